"""Tails of overlaps on arrays: in numba where floats hold the counts, in whole numbers beyond."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.sdr.theory import exact
from neurokit_sdr.sdr.theory import overlap as kernel
from neurokit_sdr.sdr.theory.counts import as_floats, shown

#: A union of more patterns takes seconds, and loses more than four of a float's digits.
MOST_PATTERNS = 1_000_000


class Tail(NamedTuple):
    """P(b >= theta), its logarithm, and the logarithm of P(b < theta), arrays of one shape."""

    probability: np.ndarray
    log: np.ndarray
    log_rest: np.ndarray


def fits(*counts: np.ndarray) -> bool:
    """Whether floats hold all of these counts exactly."""
    return all(c.dtype.kind != "O" and c.max(initial=0) <= kernel.LARGEST for c in counts)


def _flat(values: np.ndarray, kind: type) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=kind).ravel()


def _each(ratio: Callable[..., exact.Ratio], *counts: np.ndarray) -> Tail:
    """Ratios of whole numbers, one by one."""
    shape = np.broadcast_shapes(*(c.shape for c in counts))
    out = np.empty((3, math.prod(shape)))
    flat = [np.broadcast_to(c, shape).ravel().tolist() for c in counts]
    for i, point in enumerate(zip(*flat, strict=True)):
        found = ratio(*point)
        rest = found[1] - found[0], found[1]
        out[:, i] = exact.probability(found), exact.logarithm(found), exact.logarithm(rest)
    return Tail(*out.reshape(3, *shape))


def segment_tail(n: np.ndarray, a: np.ndarray, s: np.ndarray, theta: np.ndarray) -> Tail:
    """At least theta of s marked cells among a of n; ``a`` may be floats. Arrays of one shape."""
    theta = np.minimum(theta, s + 1)
    if not fits(n, a, s, theta):
        return _each(exact.overlap_tail, n, a, s, theta)
    out = np.empty((3, n.size))
    kernel.overlap_tails(
        _flat(n, np.int64), _flat(a, np.float64), _flat(s, np.int64), _flat(theta, np.int64), out
    )
    return Tail(*out.reshape(3, *n.shape))


def missed_tail(a: np.ndarray, s: np.ndarray, theta: np.ndarray, v: np.ndarray) -> Tail:
    """More than s - theta of s of a active cells among the v that are moved. One shape."""
    return segment_tail(a, v, s, np.maximum(s - theta + 1, 0))


def covered_tail(
    n: np.ndarray, marked: np.ndarray, drawn: np.ndarray, times: np.ndarray, theta: np.ndarray
) -> Tail:
    """At least theta of the marked cells covered by random sets of cells. Arrays of one shape."""
    most = max(times.ravel().tolist(), default=0)
    if most > MOST_PATTERNS:
        raise ParameterError(
            f"Expected a union of up to {MOST_PATTERNS} patterns, which is how far their exact sum "
            f"goes, got {most}: ask with method='substituted', or for a larger error."
        )
    theta = np.minimum(theta, marked + 1)
    if not fits(n, marked, drawn, theta):
        return _each(exact.covered_tail, n, marked, drawn, times, theta)
    out = np.empty((3, n.size))
    kernel.covered_tails(*(_flat(c, np.int64) for c in (n, marked, drawn, times, theta)), out)  # type: ignore[call-arg, unused-ignore]
    return Tail(*out.reshape(3, *n.shape))


def union_size(n: np.ndarray, a: np.ndarray, n_patterns: np.ndarray) -> np.ndarray:
    """Mean size of a union of random patterns."""
    cells = as_floats("n", n)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_silent = np.log1p(-np.asarray(a, float) / cells)
        # No pattern, or none of the cells: 0 times minus infinity, and 0 / 0.
        empty = np.equal(n_patterns, 0) | np.equal(a, 0)
        size = -cells * np.expm1(as_floats("n_patterns", n_patterns) * log_silent)
    return np.where(empty, 0.0, size)


def union_tail(
    n: np.ndarray,
    marked: np.ndarray,
    drawn: np.ndarray,
    theta: np.ndarray,
    n_patterns: np.ndarray,
    method: str,
) -> Tail:
    """At least theta of the marked cells in a union of random sets. Arrays of one shape."""
    if method == "exact":
        return covered_tail(n, marked, drawn, n_patterns, theta)
    if not fits(n, marked, drawn, theta):
        largest = max(max(c.ravel().tolist(), default=0) for c in (n, marked, drawn, theta))
        raise ParameterError(
            f"Expected counts up to {kernel.LARGEST} with method={method!r}, which puts a float in "
            f"their place, got {shown(largest)}: method='exact' knows no limit."
        )
    size = union_size(n, drawn, n_patterns)
    # A union of one pattern is that pattern, whatever the logarithms rounded.
    size = np.where(n_patterns == 1, np.asarray(drawn, float), size)
    return segment_tail(n, np.rint(size) if method == "rounded" else size, marked, theta)


def at_least_one(tail: Tail, number: Any) -> Tail:
    """At least one of so many independent events.

    ``1 - (1 - p)^k`` by the logarithm of the rest; where p is too small for a float, it is k p.
    """
    count = as_floats("the number of patterns or segments", number)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        log_rest = np.where(count == 0, 0.0, count * tail.log_rest)
        probability = -np.expm1(log_rest)
        linear = np.log(count) + tail.log
        log = np.where(log_rest > -math.log(2.0), np.log(probability), np.log1p(-np.exp(log_rest)))
        # Numbers below 1e-308 have lost digits that the logarithm still has.
        tiny = (linear < -600) | (tail.log < -600) & (log_rest > -1e-30)
        log = np.where(tiny, linear, log)
        probability = np.where(tiny, np.exp(linear), probability)
    return Tail(probability, log, log_rest)


def log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Log of C(n, k), arrays of one shape."""
    if not fits(n, k):
        pairs = zip(n.ravel().tolist(), k.ravel().tolist(), strict=True)
        found = [exact.log_integer(math.comb(*pair)) for pair in pairs]
        return np.array(found, float).reshape(n.shape)
    out = np.empty(n.size)
    kernel.log_binomials(_flat(n, np.int64), _flat(k, np.int64), out)
    return out.reshape(n.shape)
