"""Segments that learn patterns, and what they answer.

A segment is a :class:`Patterns` row: the cells it has synapses with. It answers a pattern where at
least theta of them are active.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_whole
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr import packed
from neurokit_sdr.sdr.dendrites import sampling
from neurokit_sdr.sdr.patterns import Patterns


def learn_segments(
    patterns: Patterns, s: int, *, patterns_per_segment: int = 1, rng: RNG = None
) -> Patterns:
    """Give segments synapses with s of the active cells of each pattern that they learn.

    Parameters
    ----------
    patterns
        What is learnt, in this order.
    s
        Synapses for each pattern.
    patterns_per_segment
        Patterns that share a segment, which then has the union of their synapses.
    rng
        Seed or generator.

    Returns
    -------
    Patterns
        One row per segment.

    Raises
    ------
    ParameterError
        If a pattern has fewer than s active cells, or the patterns do not fill whole segments.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> stored = nks.sdr.Patterns.random(1000, 40, 30, rng=0)
    >>> segments = nks.sdr.learn_segments(stored, 20, patterns_per_segment=3, rng=0)
    >>> len(segments), bool((segments.n_active > 50).all())
    (10, True)
    """
    _check_patterns("patterns", patterns)
    m = check_whole("patterns_per_segment", patterns_per_segment, 1)
    if len(patterns) % m:
        raise ParameterError(
            f"Expected whole segments of {m} patterns each, got {len(patterns)} patterns."
        )
    words = patterns.subsampled(s, rng=rng).words
    return Patterns(np.bitwise_or.reduce(words.reshape(-1, m, words.shape[1]), axis=1), patterns.n)


def clustered_patterns(
    n: int, a: int, cluster_size: int, n_patterns: int, *, n_clusters: int, rng: RNG = None
) -> Patterns:
    """Draw patterns of cells that are active together: correlated input.

    Clusters are random sets of cells; they share cells only where there are more than n / size of
    them. A pattern is made of whole clusters in random order, the last one cut so that exactly a
    cells are active.

    Parameters
    ----------
    n, a
        Cells, active cells.
    cluster_size
        Cells of a cluster; 1 leaves them independent where there are n of them.
    n_patterns
        How many.
    n_clusters
        Clusters there are: the fewer, the more the patterns are alike.
    rng
        Seed or generator.

    Raises
    ------
    ParameterError
        If a count is not whole, or out of range.

    Examples
    --------
    The overlaps of different patterns spread more, their mean stays:

    >>> import neurokit_sdr as nks
    >>> for size in (1, 8):
    ...     made = nks.sdr.clustered_patterns(500, 32, size, 2000, n_clusters=500 // size, rng=0)
    ...     overlap = made[:1000].overlap(made[1000:])
    ...     print(size, f"{overlap.mean().item():.1f} {overlap.std().item():.1f}")
    1 2.0 1.3
    8 2.1 3.8
    """
    n, a = check_whole("n", n, 1), check_whole("a", a)
    size = check_whole("cluster_size", cluster_size, 1)
    number = check_whole("n_clusters", n_clusters, 1)
    for name, value in (("a", a), ("cluster_size", size)):
        if value > n:
            raise ParameterError(f"Expected {name} <= n, got {name}={value} and n={n}.")
    seed = resolve_seed(rng)
    generator = stream(seed, "clusters")
    # Every cell comes once before any comes twice: n clusters of one cell are independent cells.
    rounds = -(-number * size // n)
    cells = np.concatenate([generator.permutation(n) for _ in range(rounds)])
    clusters = cells[: number * size].reshape(number, size)
    total = check_whole("n_patterns", n_patterns)
    words = sampling.clustered(n, a, clusters, total, stream(seed, "patterns"))
    return Patterns(words, n)


def threshold_nonlinearity(theta: int) -> Callable[[np.ndarray], np.ndarray]:
    """A segment that answers with 1 from theta active synapses on, as an NMDA spike."""
    theta = check_whole("theta", theta)
    return lambda overlap: (np.asarray(overlap) >= theta).astype(float)


def sigmoid_nonlinearity(center: float, slope: float) -> Callable[[np.ndarray], np.ndarray]:
    """A graded answer, ``1 / (1 + exp(slope (center - overlap)))``."""
    return lambda overlap: 1.0 / (1.0 + np.exp(slope * (center - np.asarray(overlap, float))))


def power_nonlinearity(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    """An answer that grows as a power of the overlap (Poirazi and Mel 2001)."""
    return lambda overlap: np.asarray(overlap, float) ** exponent


def neuron_response(
    segments: Patterns, patterns: Patterns, nonlinearity: Callable[[np.ndarray], np.ndarray]
) -> xr.DataArray:
    r"""Sum the answers of a neuron's segments to each pattern.

    .. math:: r(x) = \sum_{d} f(\text{overlap of } x \text{ and segment } d)

    The two-layer neuron of Poirazi and Mel (2001, doi:10.1016/S0896-6273(01)00252-5). Two such
    neurons compete by the difference of their responses.

    Parameters
    ----------
    segments
        Of one neuron.
    patterns
        What it sees, over as many cells.
    nonlinearity
        f: :func:`threshold_nonlinearity` counts the segments that answer,
        :func:`sigmoid_nonlinearity` and :func:`power_nonlinearity` are graded; or any function
        from overlaps to floats.

    Returns
    -------
    xarray.DataArray
        ``response(pattern)``.

    Raises
    ------
    ParameterError
        If the numbers of cells differ, or the answers are not one finite number per overlap.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> stored = nks.sdr.Patterns.random(2000, 40, 500, rng=0)
    >>> segments = nks.sdr.learn_segments(stored, 20, rng=0)
    >>> spike = nks.sdr.threshold_nonlinearity(10)
    >>> nks.sdr.neuron_response(segments, stored[:3], spike).values
    array([1., 1., 1.])
    """
    _check_patterns("segments", segments)
    queries = segments._words_of(patterns)
    if not callable(nonlinearity):
        raise ParameterError(
            f"Expected nonlinearity to be a function of overlaps, got {nonlinearity!r}: "
            f"nks.sdr.threshold_nonlinearity(theta) makes one."
        )
    most = int(segments.n_active.max(initial=0))
    answer = nonlinearity(np.arange(most + 1))
    try:
        value = np.asarray(answer, float)
    except (TypeError, ValueError):
        raise ParameterError(
            f"Expected nonlinearity to give one finite number for each overlap from 0 to {most}, "
            f"got {answer!r}."
        ) from None
    if value.shape != (most + 1,) or not np.isfinite(value).all():
        raise ParameterError(
            f"Expected nonlinearity to give one finite number for each overlap from 0 to {most}, "
            f"got shape {value.shape}."
        )
    found = packed.summed(segments.words, queries, value)
    return xr.DataArray(found, dims="pattern", name="response", attrs={"units": "1"})


def _check_patterns(name: str, value: Any) -> None:
    if not isinstance(value, Patterns):
        raise ParameterError(
            f"Expected {name} to be Patterns, got {type(value).__name__}: Patterns.from_dense or "
            f"from_active makes them."
        )
