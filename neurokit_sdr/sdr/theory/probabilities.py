r"""Error probabilities of sparse distributed representations, exact to the last bit of a float.

Symbols, as in Ahmad and Hawkins (2015, arXiv 1503.07469; 2016, arXiv 1601.00720):

======= ==========================================================================
n       cells of a population
a       active cells of a pattern
s       synapses of a dendritic segment, a sample of the cells of one pattern
theta   threshold of the segment (of the NMDA spike): overlaps of theta and more match
b       overlap: synapses of the segment whose cells are active
v       active cells of a pattern that noise moves elsewhere
======= ==========================================================================

Every function broadcasts arrays, and DataArrays by their dimensions. Counts are whole numbers of
any size. A threshold of 0 is always met. One above s never is: that is a mistake, and an error,
unless the arrays hold combinations where it can be met as well; then it has probability 0 there.
One above a (but not above s) has probability 0: the segment is fine, the pattern is too small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from neurokit_sdr.core.arguments import check_choice
from neurokit_sdr.sdr.theory import counts, exact, tails
from neurokit_sdr.sdr.theory.tails import Tail

NO_MORE_ACTIVE = "no more cells can be active than there are"
NO_MORE_SYNAPSES = "a segment has one synapse with a cell"
NO_MORE_MOVED = "no more cells can be moved than are active"
SAMPLES = "the segment samples the cells of its pattern"

#: How a union of patterns is treated, see :func:`union_false_positive_probability`.
UNION_METHODS = ("exact", "substituted", "rounded")
#: What is a union of several patterns.
UNIONS = ("activity", "synapses")


def overlap_count(n: Any, a: Any, s: Any, b: Any, *, log: bool = False) -> Any:
    r"""Count the patterns of a of n cells that share exactly b with s given cells.

    .. math:: |\Omega(n, a, s, b)| = \binom{s}{b} \binom{n - s}{a - b}

    Parameters
    ----------
    n, a, s, b
        Cells, active cells, given cells, overlap.
    log
        Return the natural logarithm, a float.

    Returns
    -------
    int
        Exact, whatever its size; an array of them (dtype object) for arrays.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, or ``a`` or ``s`` exceeds ``n``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.overlap_count(n=1024, a=4, s=4, b=2)
    3118140
    """
    label, (n, a, s, b) = counts.broadcast(n=n, a=a, s=s, b=b)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)

    def one(n: int, a: int, s: int, b: int) -> int:
        # b above a is an overlap that no pattern has.
        return math.comb(s, b) * math.comb(n - s, a - b) if b <= a else 0

    return label(_integers(one, log, n, a, s, b))


def capacity(n: Any, a: Any, *, log: bool = False) -> Any:
    r"""Count the different patterns of a of n cells, :math:`\binom{n}{a}`.

    Two random patterns are identical with the inverse of this probability.

    Parameters
    ----------
    n, a
        Cells, active cells.
    log
        Return the natural logarithm, a float, without the number itself.

    Returns
    -------
    int
        Exact, whatever its size; an array of them (dtype object) for arrays.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, or ``a`` exceeds ``n``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.capacity(n=64, a=3)
    41664
    >>> round(nks.sdr.capacity(n=2048, a=40, log=True), 6)
    194.280788
    """
    label, (n, a) = counts.broadcast(n=n, a=a)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    return label(tails.log_binomial(n, a) if log else _integers(math.comb, log, n, a))


def false_positive_probability(n: Any, a: Any, s: Any, theta: Any, *, log: bool = False) -> Any:
    r"""Probability that a random pattern makes a segment answer that learnt another.

    .. math:: P = \sum_{b=\theta}^{\min(s, a)} \binom{s}{b} \binom{n - s}{a - b}
              \Big/ \binom{n}{a}

    With :math:`s = a` this is the false match of two whole patterns.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells, synapses, threshold; whole numbers or arrays of them.
    log
        Return the natural logarithm, where the probability is below 1e-308.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        Within a few units in the last place.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``a`` or ``s`` exceeds ``n``, or ``theta``
        exceeds ``s`` in every combination.

    Examples
    --------
    The chance that any 10 of 2,000 active cells of 200,000 hit all 10 synapses, and half of 20:

    >>> import neurokit_sdr as nks
    >>> nks.sdr.false_positive_probability(n=200_000, a=2000, s=[10, 20], theta=10)
    array([9.77936337e-21, 1.64989875e-15])
    """
    label, (n, a, s, theta) = _segment(n=n, a=a, s=s, theta=theta)
    return label(_pick(tails.segment_tail(n, a, s, theta), log))


def false_negative_probability(a: Any, s: Any, theta: Any, v: Any, *, log: bool = False) -> Any:
    r"""Probability that a segment misses its own pattern after noise moved v of its active cells.

    .. math:: P = \sum_{b=s-\theta+1}^{s} \binom{s}{b} \binom{a - s}{v - b} \Big/ \binom{a}{v}

    where b is how many of the synapses lose their input. The population's size does not matter:
    the noise moves activity to cells that were silent, and the segment has no synapse there.

    Parameters
    ----------
    a, s, theta, v
        Active cells, synapses, threshold, active cells that are moved.
    log
        Return the natural logarithm.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        Within a few units in the last place.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, ``s`` or ``v`` exceeds ``a``, or ``theta``
        exceeds ``s`` in every combination.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> p = nks.sdr.false_negative_probability(a=128, s=30, theta=[8, 12, 16], v=64)
    >>> [f"{value:.4g}" for value in p]
    ['0.0007354', '0.0717', '0.5825']
    """
    label, (a, s, theta, v) = counts.broadcast(a=a, s=s, theta=theta, v=v)
    counts.at_most("s", s, "a", a, SAMPLES)
    counts.at_most("v", v, "a", a, NO_MORE_MOVED)
    counts.reachable(theta, s)
    return label(_pick(tails.missed_tail(a, s, theta, v), log))


def union_size(n: Any, a: Any, n_patterns: Any) -> Any:
    r"""Expected number of active cells in the union of random patterns.

    .. math:: E|U| = n \left(1 - (1 - a / n)^M\right)

    Parameters
    ----------
    n, a, n_patterns
        Cells, active cells of each pattern, M.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        A mean, so not whole.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is negative, or ``a`` exceeds ``n``.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> nks.sdr.union_size(n=2048, a=40, n_patterns=[1, 10, 50])
    array([  40.        ,  366.61366303, 1284.13297821])
    """
    label, (n, a, m) = counts.broadcast(n=n, a=a, n_patterns=n_patterns)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    return label(tails.union_size(n, a, m))


def union_false_positive_probability(
    n: Any,
    a: Any,
    s: Any,
    theta: Any,
    n_patterns: Any,
    *,
    union: str = "activity",
    method: str = "exact",
    log: bool = False,
) -> Any:
    r"""Probability of a false positive where M patterns are superposed.

    A union of *activity*: M random patterns are active at once, and a segment that learnt none of
    them answers. A union of *synapses*: a segment learnt s cells of each of M patterns, and another
    random pattern makes it answer. Three methods, which differ by a few per cent where the figures
    of the papers are:

    =============== ==========================================================================
    ``exact``       the expectation over random unions: a chain over the number of synapses (or
                    active cells) that are covered after 1, 2, ... M patterns
    ``substituted`` the published one: the mean size of the union in place of a (or s) in the
                    equation of a single pattern, with binomials of a number that is not whole
    ``rounded``     the same, rounded to a whole number
    =============== ==========================================================================

    The last two put a mean where a distribution belongs (the probability is convex in it, so they
    are most often too small). With ``theta`` = ``s`` the exact one is the probability that a random
    set of s cells is contained in the union.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells of each pattern, synapses for each pattern, threshold.
    n_patterns
        M.
    union
        ``"activity"`` or ``"synapses"``.
    method
        One of the above.
    log
        Return the natural logarithm.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        The probability.

    Raises
    ------
    ParameterError
        As :func:`false_positive_probability`. With a union of synapses ``theta`` may exceed ``s``,
        but not ``s`` times ``n_patterns`` in every combination.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> for method in ("exact", "substituted", "rounded"):
    ...     p = nks.sdr.union_false_positive_probability(
    ...         n=1000, a=30, s=20, theta=10, n_patterns=10, method=method
    ...     )
    ...     print(f"{method:12} {p:.5f}")
    exact        0.01871
    substituted  0.01857
    rounded      0.01879
    """
    check_choice("union", union, UNIONS)
    check_choice("method", method, UNION_METHODS)
    label, (n, a, s, theta, m) = counts.broadcast(n=n, a=a, s=s, theta=theta, n_patterns=n_patterns)
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)
    most, name = (s, "s") if union == "activity" else (s * m, "s * n_patterns")
    counts.reachable(theta, most, name)
    # Both unions are one question: how many of some cells are covered by M random sets.
    marked, drawn = (s, a) if union == "activity" else (a, s)
    return label(_pick(tails.union_tail(n, marked, drawn, theta, m, method), log))


def list_false_positive_probability(
    n: Any,
    a: Any,
    s: Any,
    theta: Any,
    n_patterns: Any,
    *,
    method: str = "independent",
    log: bool = False,
) -> Any:
    r"""Probability that a random pattern matches at least one of a list of M stored patterns.

    ``"independent"`` takes the M comparisons as independent events, :math:`1 - (1 - p)^M`, which
    they are over random stored patterns given the one that is shown. ``"bound"`` is the published
    upper bound, :math:`\min(1, M p)`, which is worst where it is near one.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells, cells that are stored of each pattern (s = a for whole ones), and the
        overlap that is a match.
    n_patterns
        M.
    method
        ``"independent"`` or ``"bound"``.
    log
        Return the natural logarithm.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        The probability.

    Raises
    ------
    ParameterError
        As :func:`false_positive_probability`.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> p = nks.sdr.list_false_positive_probability(n=100, a=7, s=7, theta=4, n_patterns=500)
    >>> round(p, 6)
    0.134728
    """
    check_choice("method", method, ("independent", "bound"))
    label, (n, a, s, theta, m) = _segment(n=n, a=a, s=s, theta=theta, n_patterns=n_patterns)
    one = tails.segment_tail(n, a, s, theta)
    if method == "independent":
        return label(_pick(tails.at_least_one(one, m), log))
    many = counts.as_floats("n_patterns", m)
    with np.errstate(divide="ignore"):
        bound = np.minimum(0.0, np.log(many) + one.log)
    return label(bound if log else np.minimum(1.0, many * one.probability))


def neuron_false_positive_probability(
    n: Any, a: Any, s: Any, theta: Any, n_segments: Any, *, log: bool = False
) -> Any:
    r"""Probability that a random pattern makes at least one of a neuron's segments answer.

    .. math:: P = 1 - (1 - P_{\text{segment}})^D

    with D segments that learnt independent patterns.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells, synapses of each segment, threshold.
    n_segments
        D.
    log
        Return the natural logarithm.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        The probability.

    Raises
    ------
    ParameterError
        As :func:`false_positive_probability`.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> p = nks.sdr.neuron_false_positive_probability(n=2000, a=32, s=20, theta=10, n_segments=500)
    >>> f"{p:.4g}"
    '1.952e-11'
    """
    label, (n, a, s, theta, d) = _segment(n=n, a=a, s=s, theta=theta, n_segments=n_segments)
    return label(_pick(tails.at_least_one(tails.segment_tail(n, a, s, theta), d), log))


def sequence_memory_similarity(n: Any, a: Any, s: Any, theta: Any, n_transitions: Any) -> Any:
    r"""Similarity of what a sequence memory predicts to what comes, by false positives alone.

    .. math:: J = \frac{a}{a + q(n - a)}, \qquad q = 1 - (1 - P_{\text{segment}})^{n_t a / n}

    The Jaccard index of predicted and next active cells, where each of :math:`n_t` learnt
    transitions gave every cell of the next pattern one segment on the pattern before, so that a
    cell has :math:`n_t a / n` of them on average.

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells, synapses of each segment, threshold.
    n_transitions
        Transitions that were learnt.

    Returns
    -------
    float or numpy.ndarray or xarray.DataArray
        Between a / n and 1.

    Raises
    ------
    ParameterError
        As :func:`false_positive_probability`.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> j = nks.sdr.sequence_memory_similarity(n=1000, a=64, s=20, theta=10, n_transitions=19_000)
    >>> round(j, 4)
    0.9989
    """
    label, (n, a, s, theta, m) = _segment(n=n, a=a, s=s, theta=theta, n_transitions=n_transitions)
    one = tails.segment_tail(n, a, s, theta)
    a, n = counts.as_floats("a", a), counts.as_floats("n", n)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_cell = np.where(a == 0, 0.0, counts.as_floats("n_transitions", m) * a / n)
        q = tails.at_least_one(one, per_cell).probability
        # Without any active cell there is nothing to predict, and nothing to miss.
        return label(np.where(a == 0, 1.0, a / (a + q * (n - a))))


def _segment(**given: Any) -> tuple[Callable[[np.ndarray], Any], list[np.ndarray]]:
    """The arguments of one segment, checked and broadcast."""
    label, arrays = counts.broadcast(**given)
    n, a, s, theta = arrays[:4]
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)
    counts.reachable(theta, s)
    return label, arrays


def _pick(tail: Tail, log: bool) -> np.ndarray:
    return tail.log if log else tail.probability


def _integers(count: Callable[..., int], log: bool, *arrays: np.ndarray) -> np.ndarray:
    """Whole numbers of any size, one by one, or their logarithms."""
    found = [count(*point) for point in zip(*(x.ravel().tolist() for x in arrays), strict=True)]
    out = np.empty(len(found), float if log else object)
    out[:] = [exact.log_integer(number) for number in found] if log else found
    return out.reshape(arrays[0].shape)
