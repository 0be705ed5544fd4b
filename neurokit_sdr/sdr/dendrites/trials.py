"""How often segments err, by drawing patterns and segments and comparing their bits.

The simulations test :mod:`neurokit_sdr.sdr.theory` and go where it does not: correlated patterns,
graded non-linearities.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_choice, check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import thread_count
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr import packed
from neurokit_sdr.sdr.dendrites import sampling
from neurokit_sdr.sdr.theory import counts
from neurokit_sdr.sdr.theory.probabilities import (
    NO_MORE_ACTIVE,
    NO_MORE_MOVED,
    NO_MORE_SYNAPSES,
    SAMPLES,
    UNIONS,
)

#: Patterns, and segments, of one block: a block is one stream of random numbers.
_BLOCK = 4096
#: Cells that a simulation can hold.
_MOST_CELLS = 100_000_000
#: Trials of one block where each has a pattern of its own.
_TRIALS = 1 << 17


def simulate_false_positives(
    n: int,
    a: int,
    s: int,
    *,
    n_trials: int = 1_000_000,
    n_patterns: int = 1,
    union: str = "activity",
    rng: RNG = None,
    progress: bool = True,
) -> xr.Dataset:
    """Show random patterns to segments that learnt others, for all thresholds at once.

    Patterns and segments are drawn in blocks and every pattern is shown to every segment of its
    block, at a hundredth of the cost of independent trials. Such pairs are pairwise independent
    where ``n_patterns`` is 1, and the standard error is that of independent trials. Pairs that
    share a union share its size, which is random: they are correlated, and the standard error is
    that of the scatter of the unions, each with its share of pairs that answer. It can be many
    times that of independent trials, and falls with the number of unions, the root of the pairs of
    a block.

    Parameters
    ----------
    n, a, s
        Cells, active cells, synapses for each pattern.
    n_trials
        Pairs of a pattern and a segment; rounded up to whole blocks, which are squares of up to
        4096 patterns and as many segments. At least two where ``n_patterns`` is more than 1.
    n_patterns, union
        Patterns that are superposed: as activity, or as synapses of a segment, see
        :func:`union_false_positive_probability`.
    rng
        Seed or generator.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        ``count(theta)``, the pairs whose overlap reaches the threshold, ``probability(theta)`` and
        its ``standard_error(theta)``, for thresholds from 0 to the largest overlap there can be;
        ``n_trials`` in the attributes.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is out of range.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> found = nks.sdr.simulate_false_positives(200, 20, 20, rng=0, progress=False)
    >>> at = found.sel(theta=5)
    >>> p = nks.sdr.false_positive_probability(200, 20, 20, 5)
    >>> bool(abs(at["probability"] - p) < 4 * at["standard_error"])
    True
    """
    check_choice("union", union, UNIONS)
    n, a, s = (check_whole(k, v) for k, v in (("n", n), ("a", a), ("s", s)))
    m = check_whole("n_patterns", n_patterns, 1)
    _check_held("n", n)
    # Two unions at least, or nothing says how they scatter.
    trials = check_whole("n_trials", n_trials, 1 if m == 1 else 2)
    counts.at_most("a", np.array(a), "n", np.array(n), NO_MORE_ACTIVE)
    counts.at_most("s", np.array(s), "n", np.array(n), NO_MORE_SYNAPSES)
    side = min(_BLOCK, math.isqrt(trials - 1) + 1)
    blocks = -(-trials // side**2)
    seed = resolve_seed(rng)
    count, squares = np.zeros((2, packed.n_words(n) * packed.WORD + 1), np.int64)
    superposed, single = (a, s) if union == "activity" else (s, a)
    with progress_bar(blocks, "false positives", progress) as bar:
        for block in range(blocks):
            draws = stream(seed, "block", block)
            unions = sampling.superposed(n, superposed, m, side, draws)
            others = sampling.superposed(n, single, 1, side, draws)
            of_block = packed.reached(unions, others)
            count += of_block[0]
            squares += of_block[1]
            bar.update()
    most = min(single, superposed * m, n)
    error = None
    if m > 1:
        # Unions are uncorrelated: given a union, only its size matters, and given one of the
        # others, whatever it is, all unions have the same chance to meet it.
        number = blocks * side
        mean = count[: most + 1] / number
        variance = (squares[: most + 1] - number * mean**2) / (number - 1)
        error = np.sqrt(np.maximum(variance, 0.0) / number) / side
    attrs = {"n": n, "a": a, "s": s, "n_patterns": m}
    return _sweep(count[: most + 1], blocks * side**2, seed, attrs, error)


def _check_held(name: str, most: int) -> None:
    """Raise where a simulation would hold more cells than there is memory for."""
    if most > _MOST_CELLS:
        raise ParameterError(
            f"Expected {name} <= {_MOST_CELLS}, because a simulation holds every cell, got "
            f"{counts.shown(most)}: the probabilities of nks.sdr have no such limit."
        )


def simulate_false_negatives(
    n: int,
    a: int,
    s: int,
    v: int,
    *,
    n_trials: int = 100_000,
    rng: RNG = None,
    progress: bool = True,
) -> xr.Dataset:
    """Show segments their own pattern with v active cells moved, for all thresholds at once.

    Parameters
    ----------
    n, a, s, v
        Cells, active cells, synapses, active cells that noise moves to cells that were silent.
    n_trials
        Each with a pattern, a segment and noise of its own.
    rng
        Seed or generator.
    progress
        Whether to show a bar.

    Returns
    -------
    xarray.Dataset
        ``count(theta)``, the trials in which the threshold is missed, ``probability(theta)`` and
        ``standard_error(theta)``, for thresholds from 0 to s; ``n_trials`` in the attributes.

    Raises
    ------
    ParameterError
        If a count is not a whole number or is out of range.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> found = nks.sdr.simulate_false_negatives(2000, 64, 20, 32, rng=0, progress=False)
    >>> at = found.sel(theta=10)
    >>> p = nks.sdr.false_negative_probability(64, 20, 10, 32)
    >>> bool(abs(at["probability"] - p) < 4 * at["standard_error"])
    True
    """
    n, a, s, v = (check_whole(k, x) for k, x in (("n", n), ("a", a), ("s", s), ("v", v)))
    trials = check_whole("n_trials", n_trials, 1)
    _check_held("n", n)
    counts.at_most("a", np.array(a), "n", np.array(n), NO_MORE_ACTIVE)
    counts.at_most("s", np.array(s), "a", np.array(a), SAMPLES)
    counts.at_most("v", np.array(v), "a", np.array(a), NO_MORE_MOVED)
    counts.at_most(
        "v", np.array(v), "n - a", np.array(n - a), "noise needs silent cells to move to"
    )
    seed = resolve_seed(rng)
    blocks = [min(_TRIALS, trials - first) for first in range(0, trials, _TRIALS)]

    def run(block: int) -> np.ndarray:
        found = np.zeros(s + 1, np.int64)
        draws = stream(seed, "block", block)
        sampling.missed_overlaps(n, a, s, v, blocks[block], draws, found)
        return found

    count = np.zeros(s + 1, np.int64)
    with (
        progress_bar(len(blocks), "false negatives", progress) as bar,
        ThreadPoolExecutor(thread_count()) as pool,
    ):
        for found in pool.map(run, range(len(blocks))):
            count += found
            bar.update()
    missed = np.append(0, np.cumsum(count)[:-1])
    return _sweep(missed, trials, seed, {"n": n, "a": a, "s": s, "v": v})


def estimate_false_positives(
    n: Any, a: Any, s: Any, theta: Any, *, n_trials: int = 10_000, rng: RNG = None
) -> xr.Dataset:
    """Simulate false positives that are too rare to wait for, by importance sampling.

    Patterns are drawn cell by cell with a bias towards the segment's synapses, so that every one of
    them matches, and weighted by how much less likely it is by chance. The estimate is unbiased and
    its relative error does not grow as the event gets rarer; it knows nothing of the hypergeometric
    distribution, and so tests it where counting cannot (below about 1e-7).

    Parameters
    ----------
    n, a, s, theta
        Cells, active cells, synapses, threshold; numbers, or flat arrays that make a list of
        points.
    n_trials
        Patterns for each point.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        ``probability(point)``, ``log_probability(point)`` and ``standard_error(point)``, with the
        counts of each point as coordinates.

    Raises
    ------
    ParameterError
        As :func:`false_positive_probability`, or if there are fewer than two trials.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> found = nks.sdr.estimate_false_positives(2000, 40, 20, 12, rng=0)
    >>> p = nks.sdr.false_positive_probability(2000, 40, 20, 12)
    >>> print(f"{p:.3g}", bool(abs(found["probability"] - p)[0] < 4 * found["standard_error"][0]))
    7.66e-17 True
    """
    points = _points(n=n, a=a, s=s, theta=theta)
    n, a, s, theta = points.values()
    _check_held("n", max(n.tolist(), default=0))
    counts.at_most("a", a, "n", n, NO_MORE_ACTIVE)
    counts.at_most("s", s, "n", n, NO_MORE_SYNAPSES)
    counts.reachable(theta, s)
    return _estimates((n, a, s, theta), points, n_trials, rng)


def estimate_false_negatives(
    a: Any, s: Any, theta: Any, v: Any, *, n_trials: int = 10_000, rng: RNG = None
) -> xr.Dataset:
    """Simulate false negatives that are too rare to wait for, by importance sampling.

    As :func:`estimate_false_positives`, with noise that is biased towards the segment's synapses.

    Parameters
    ----------
    a, s, theta, v
        Active cells, synapses, threshold, active cells that noise moves; numbers, or flat arrays
        that make a list of points.
    n_trials
        Noises for each point.
    rng
        Seed or generator.

    Returns
    -------
    xarray.Dataset
        As of :func:`estimate_false_positives`.

    Raises
    ------
    ParameterError
        As :func:`false_negative_probability`, or if there are fewer than two trials.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> found = nks.sdr.estimate_false_negatives(128, 30, 8, 32, rng=0)
    >>> p = nks.sdr.false_negative_probability(128, 30, 8, 32)
    >>> print(f"{p:.3g}", bool(abs(found["probability"] - p)[0] < 4 * found["standard_error"][0]))
    2.23e-12 True
    """
    points = _points(a=a, s=s, theta=theta, v=v)
    a, s, theta, v = points.values()
    _check_held("a", max(a.tolist(), default=0))
    counts.at_most("s", s, "a", a, SAMPLES)
    counts.at_most("v", v, "a", a, NO_MORE_MOVED)
    counts.at_most("theta", theta, "s", s, "above it the segment misses its pattern without noise")
    return _estimates((a, v, s, s - theta + 1), points, n_trials, rng)


def _points(**given: Any) -> dict[str, np.ndarray]:
    """Whole numbers as flat arrays of one length."""
    _, arrays = counts.broadcast(**given)
    if arrays[0].ndim > 1:
        raise ParameterError(f"Expected numbers or flat arrays, got shape {arrays[0].shape}.")
    return dict(zip(given, map(np.atleast_1d, arrays), strict=True))


def _estimates(
    counts: tuple[np.ndarray, ...], points: dict[str, np.ndarray], n_trials: int, rng: RNG
) -> xr.Dataset:
    trials, seed = check_whole("n_trials", n_trials, 2), resolve_seed(rng)

    def run(i: int) -> tuple[float, float, float]:
        n, a, s, theta = (int(c[i]) for c in counts)
        if theta > min(a, s):
            return -math.inf, 0.0, 0.0
        return sampling.rare_overlaps(n, a, s, theta, trials, stream(seed, "point", i))

    with ThreadPoolExecutor(thread_count()) as pool:
        found = list(pool.map(run, range(len(counts[0]))))
    scale, mean, square = np.array(found).reshape(-1, 3).T
    with np.errstate(divide="ignore"):
        log = scale + np.log(mean)
    variance = np.maximum(square - mean**2, 0.0) / (trials - 1)
    return xr.Dataset(
        {
            "probability": ("point", np.exp(log), {"units": "1"}),
            "log_probability": ("point", log, {"units": "1"}),
            "standard_error": ("point", np.exp(scale) * np.sqrt(variance), {"units": "1"}),
        },
        coords={name: ("point", values) for name, values in points.items()},
        attrs={"n_trials": trials, "seed": seed},
    )


def _sweep(
    count: np.ndarray,
    total: int,
    seed: int,
    attrs: dict[str, int],
    error: np.ndarray | None = None,
) -> xr.Dataset:
    """How often each threshold errs; without an error of its own, that of independent trials."""
    p = count / total
    return xr.Dataset(
        {
            "count": ("theta", count, {"units": "1"}),
            "probability": ("theta", p, {"units": "1"}),
            "standard_error": (
                "theta", np.sqrt(p * (1 - p) / total) if error is None else error, {"units": "1"}
            ),
        },
        coords={"theta": np.arange(len(count))},
        attrs={**attrs, "n_trials": total, "seed": seed},
    )  # fmt: skip
