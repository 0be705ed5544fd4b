"""What a population, a segment or a code must be for an error that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_choice
from neurokit_sdr.sdr.theory import counts, exact, tails
from neurokit_sdr.sdr.theory.probabilities import (
    NO_MORE_ACTIVE,
    NO_MORE_MOVED,
    NO_MORE_SYNAPSES,
    SAMPLES,
    UNIONS,
)


def optimal_threshold(n: Any, a: Any, s: Any, v: Any, *, n_segments: Any = 1) -> Any:
    r"""Threshold that makes false positives and false negatives together least probable.

    .. math:: \theta^* = \arg\min_{1 \le \theta \le s}
              \left[1 - (1 - P_{FP}(\theta))^D\right] + P_{FN}(\theta)

    Of equal ones the lowest. This is the question of one segment with known noise; the published
    prediction (thresholds of 8 to 20 over a range of populations) reads the medians of
    :func:`false_positive_probability` over a grid, see :func:`tabulate`; for a limit on either
    error see :func:`required_threshold` and :func:`tolerated_noise`.

    Parameters
    ----------
    n, a, s
        Cells, active cells, synapses.
    v
        Active cells that noise moves.
    n_segments
        D, segments of the neuron any of which may be the one that answers falsely.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        The threshold.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``a`` exceeds ``n``, ``s`` or ``v`` exceeds
        ``a``, or ``s`` is 0.

    Examples
    --------
    With a third of the cells moved, whatever the population's size:

    >>> import neurokit_sdr as nks
    >>> nks.sdr.optimal_threshold(n=[1000, 4000, 16_000], a=128, s=30, v=38)
    array([13, 10,  8])
    """
    label, (n, a, s, v, d) = counts.broadcast(n=n, a=a, s=s, v=v, n_segments=n_segments)
    counts.whole("s", s, low=1)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "a", a, SAMPLES)
    counts.at_most("v", v, "a", a, NO_MORE_MOVED)
    theta = np.arange(1, int(s.max(initial=1)) + 1)
    n, a, s, v, d, theta = np.broadcast_arrays(*(x[..., None] for x in (n, a, s, v, d)), theta)
    false = tails.at_least_one(tails.segment_tail(n, a, s, theta), d).log
    total = np.where(theta <= s, np.logaddexp(false, tails.missed_tail(a, s, theta, v).log), np.inf)
    return label(1 + np.argmin(total, axis=-1))


def required_population(
    a: Any,
    s: Any,
    theta: Any,
    max_error: Any,
    *,
    n_segments: Any = 1,
    n_patterns: Any = 1,
    union: str = "activity",
) -> Any:
    """Smallest population whose false positives are at most an error that is allowed.

    Parameters
    ----------
    a, s, theta
        Active cells, synapses, threshold.
    max_error
        The probability that is allowed, above 0 and below 1, to the last digit of the number
        given; a :class:`fractions.Fraction` where floats end.
    n_segments
        Segments of a neuron (or stored patterns of a list) of which none may answer falsely.
    n_patterns
        Patterns that are superposed, see :func:`union_false_positive_probability` (exact).
    union
        Of what they are a union: ``"activity"`` or ``"synapses"``.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        n, to the cell: with one cell fewer the error is larger.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``theta`` is 0, or ``max_error`` is not
        between 0 and 1.

    Examples
    --------
    How large must n be for an error below 1e-9, of one segment and of a whole neuron?

    >>> import neurokit_sdr as nks
    >>> nks.sdr.required_population(a=40, s=20, theta=10, max_error=1e-9, n_segments=[1, 500])
    array([ 922, 1737])
    """
    check_choice("union", union, UNIONS)
    label, limits, (a, s, theta, d, m) = _asked(
        max_error, a=a, s=s, theta=theta, n_segments=n_segments, n_patterns=n_patterns
    )
    counts.whole("theta", theta, low=1)
    counts.reachable(theta, s if union == "activity" else s * m)

    def smallest(limit: Fraction, a: int, s: int, theta: int, d: int, m: int) -> int:
        return _smallest(lambda n: _at_most(limit, n, a, s, theta, d, m, union), max(a, s, 1), None)

    return label(_each(smallest, limits, a, s, theta, d, m))


def required_threshold(n: Any, a: Any, s: Any, max_error: Any, *, n_segments: Any = 1) -> Any:
    """Smallest threshold whose false positives are at most an error that is allowed.

    Parameters
    ----------
    n, a, s
        Cells, active cells, synapses.
    max_error
        See :func:`required_population`.
    n_segments
        Segments of a neuron of which none may answer falsely.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        theta; ``s`` + 1 where even the threshold ``s`` is too low: no segment of that size will do.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, or ``a`` or ``s`` exceeds ``n``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.required_threshold(n=[1000, 10_000], a=40, s=20, max_error=1e-9)
    array([10,  6])
    """
    label, limits, (n, a, s, d) = _asked(max_error, n=n, a=a, s=s, n_segments=n_segments)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)

    def smallest(limit: Fraction, n: int, a: int, s: int, d: int) -> int:
        return _smallest(
            lambda theta: theta > s or _at_most(limit, n, a, s, theta, d, 1, "activity"), 0, s + 1
        )

    return label(_each(smallest, limits, n, a, s, d))


def required_synapses(a: Any, theta: Any, v: Any, max_error: Any) -> Any:
    """Fewest synapses with which a segment misses its noisy pattern at most so often.

    Parameters
    ----------
    a, theta, v
        Active cells, threshold, active cells that noise moves.
    max_error
        The probability of a false negative that is allowed, see :func:`required_population`.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        s.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``v`` exceeds ``a``, or not even synapses
        with all a cells are enough: fewer than theta cells stay.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.required_synapses(a=128, theta=12, v=38, max_error=1e-6)
    32
    """
    label, limits, (a, theta, v) = _asked(max_error, a=a, theta=theta, v=v)
    counts.at_most("v", v, "a", a, NO_MORE_MOVED)
    counts.at_most("theta", theta, "a - v", a - v, "too few active cells stay for this threshold")

    def smallest(limit: Fraction, a: int, theta: int, v: int) -> int:
        return _smallest(lambda s: _missed_at_most(limit, a, s, theta, v), theta, a)

    return label(_each(smallest, limits, a, theta, v))


def tolerated_activity(n: Any, s: Any, theta: Any, max_error: Any, *, n_segments: Any = 1) -> Any:
    """Most active cells of a pattern with which false positives are at most an error allowed.

    Parameters
    ----------
    n, s, theta
        Cells, synapses, threshold.
    max_error
        See :func:`required_population`.
    n_segments
        Segments of a neuron of which none may answer falsely.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        a; at least theta - 1, with which no segment ever answers.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``s`` exceeds ``n``, or ``theta`` is 0.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.tolerated_activity(n=10_000, s=20, theta=10, max_error=1e-9)
    392
    """
    label, limits, (n, s, theta, d) = _asked(
        max_error, n=n, s=s, theta=theta, n_segments=n_segments
    )
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)
    counts.whole("theta", theta, low=1)
    counts.reachable(theta, s)

    def largest(limit: Fraction, n: int, s: int, theta: int, d: int) -> int:
        return _largest(lambda a: _at_most(limit, n, a, s, theta, d, 1, "activity"), 0, n)

    return label(_each(largest, limits, n, s, theta, d))


def tolerated_noise(a: Any, s: Any, theta: Any, max_error: Any) -> Any:
    """Most active cells that noise may move before a segment misses its pattern too often.

    Parameters
    ----------
    a, s, theta
        Active cells, synapses, threshold.
    max_error
        The probability of a false negative that is allowed, see :func:`required_population`.

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        v; at least s - theta, which no segment minds.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``s`` exceeds ``a``, or ``theta`` exceeds
        ``s``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.tolerated_noise(a=128, s=30, theta=[8, 12, 16], max_error=1e-6)
    array([48, 34, 22])
    """
    label, limits, (a, s, theta) = _asked(max_error, a=a, s=s, theta=theta)
    counts.at_most("s", s, "a", a, SAMPLES)
    counts.at_most("theta", theta, "s", s, "above it the segment misses its pattern without noise")

    def largest(limit: Fraction, a: int, s: int, theta: int) -> int:
        return _largest(lambda v: _missed_at_most(limit, a, s, theta, v), 0, a)

    return label(_each(largest, limits, a, s, theta))


def tolerated_patterns(
    n: Any,
    a: Any,
    s: Any,
    theta: Any,
    max_error: Any,
    *,
    n_segments: Any = 1,
    union: str = "activity",
) -> Any:
    """Most patterns that may be superposed before false positives exceed an error allowed.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells of each pattern, synapses for each pattern, threshold.
    max_error
        See :func:`required_population`.
    n_segments
        Segments of a neuron of which none may answer falsely.
    union
        ``"activity"`` or ``"synapses"``, see :func:`union_false_positive_probability` (exact).

    Returns
    -------
    int or numpy.ndarray or xarray.DataArray
        M; 0 where a single pattern is too many.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``a`` or ``s`` exceeds ``n`` or is 0,
        ``theta`` is 0, or however many patterns are not too many: the threshold is out of reach.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.tolerated_patterns(n=[1000, 4000], a=30, s=20, theta=10, max_error=1e-6)
    array([ 2, 11])
    """
    check_choice("union", union, UNIONS)
    label, limits, (n, a, s, theta, d) = _asked(
        max_error, n=n, a=a, s=s, theta=theta, n_segments=n_segments
    )
    for name, count in (("a", a), ("s", s), ("theta", theta), ("n_segments", d)):
        counts.whole(name, count, low=1)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)
    name, most = ("s", s) if union == "activity" else ("a", a)
    counts.at_most("theta", theta, name, most, "however many patterns, it is never reached")

    def largest(limit: Fraction, n: int, a: int, s: int, theta: int, d: int) -> int:
        return _largest(lambda m: _at_most(limit, n, a, s, theta, d, m, union), 0, None)

    return label(_each(largest, limits, n, a, s, theta, d))


#: Logarithms closer than this, relative to their size, are compared as whole numbers.
_TIE = 1e-11


def _asked(
    max_error: Any, **given: Any
) -> tuple[Callable[[np.ndarray], Any], list[Fraction], list[np.ndarray]]:
    """Counts broadcast with the errors allowed, these as a flat list."""
    errors = np.asarray(max_error, dtype=object)
    known = [counts.error_limit("max_error", value) for value in errors.ravel().tolist()]
    # Positions broadcast like the errors themselves, and are whole numbers.
    place: Any = np.arange(len(known)).reshape(errors.shape)
    if isinstance(max_error, xr.DataArray):
        place = max_error.copy(data=place)
    label, (*arrays, index) = counts.broadcast(**given, max_error=place)
    return label, [known[i] for i in index.ravel()], arrays


def _each(answer: Callable[..., int], limits: list[Fraction], *arrays: np.ndarray) -> np.ndarray:
    """One answer for each limit and its counts."""
    points = zip(limits, *(a.ravel().tolist() for a in arrays), strict=True)
    found = [answer(*point) for point in points]
    kind = np.int64 if max(found, default=0) < 2**63 else object
    return np.array(found, dtype=kind).reshape(arrays[0].shape)


def _decide(log: float, limit: Fraction, ratio: Callable[[], exact.Ratio]) -> bool:
    """Whether a probability is at most a limit: by logarithms, and without rounding if close."""
    bound = exact.logarithm((limit.numerator, limit.denominator))
    if abs(log - bound) > _TIE * abs(bound):
        return log < bound
    return exact.at_most(ratio(), limit)


def _at_most(
    limit: Fraction, n: int, a: int, s: int, theta: int, d: int, m: int, union: str
) -> bool:
    """Whether a neuron's false positives, of M superposed patterns, are at most the limit."""
    marked, drawn = (s, a) if union == "activity" else (a, s)
    asked = [counts.whole("", [x]) for x in (n, marked, drawn, m, theta)]
    tail = tails.at_least_one(tails.covered_tail(*asked), d)

    def ratio() -> exact.Ratio:
        return exact.at_least_one(exact.covered_tail(n, marked, drawn, m, theta), d)

    return _decide(float(tail.log[0]), limit, ratio)


def _missed_at_most(limit: Fraction, a: int, s: int, theta: int, v: int) -> bool:
    """Whether false negatives are at most the limit."""
    tail = tails.missed_tail(*(counts.whole("", [x]) for x in (a, s, theta, v)))
    lost = max(s - theta + 1, 0)
    return _decide(float(tail.log[0]), limit, lambda: exact.overlap_tail(a, v, s, lost))


def _smallest(holds: Callable[[int], bool], low: int, high: int | None) -> int:
    """Smallest number from ``low`` for which something holds that holds for all above it."""
    if holds(low):
        return low
    if high is None:
        high = 2 * low + 1
        while not holds(high):
            low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _largest(holds: Callable[[int], bool], low: int, high: int | None) -> int:
    """Largest number from ``low``, where it holds, for which something holds as for all below."""
    if high is None:
        return _smallest(lambda number: not holds(number), low, None) - 1
    return _smallest(lambda number: number > high or not holds(number), low, high + 1) - 1
