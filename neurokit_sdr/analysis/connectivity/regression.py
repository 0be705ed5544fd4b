r"""Poisson regressions of every unit on the filtered spikes of all units, from lists of spikes.

A bin's drive depends on the few units that spiked shortly before. So rates, gradients and the
Fisher information are summed bin by bin over those units alone, for many targets at once: the
information costs (active units)² / 2 operations per bin and target instead of (units)² / 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from neurokit_sdr.analysis.connectivity.lags import Trains
from neurokit_sdr.core.threads import Map
from neurokit_sdr.engines.poisson.rates import LARGEST_DRIVE
from neurokit_sdr.engines.vector_math import exp

#: Targets fitted together: their Fisher information should stay in the cache of one core.
BLOCK = 32

#: Newton's step, in standard errors, below which a fit has converged.
TOLERANCE = 5e-3

#: Length of a step, in standard errors, after which the optimum is near enough (some tenths of
#: that) for the exact Fisher information.
_NEAR = 0.5

#: Steps after which it is computed in any case.
_ROUGH_STEPS = 8

#: Halvings of a step that would lower the objective.
_HALVINGS = 30


class Features(NamedTuple):
    """Filtered spikes, row by row; bins without any are only counted.

    Attributes
    ----------
    starts
        First entry of each row, and their number last, shape (row + 1,).
    unit, value
        The units that spiked within the kernel, ascending in each row, and their filtered counts,
        shape (entry,).
    n_empty
        Number of bins without an entry.
    """

    starts: np.ndarray
    unit: np.ndarray
    value: np.ndarray
    n_empty: int


class Fit(NamedTuple):
    """Fits of all targets.

    Attributes
    ----------
    bias
        Shape (target,).
    weight, error
        Shape (target, source).
    n_iter
        Newton steps of each, shape (target,).
    converged
        Shape (target,).
    """

    bias: np.ndarray
    weight: np.ndarray
    error: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray


def features(trains: Trains, kernel: np.ndarray) -> Features:
    """Filter with ``kernel(lag)``, lag 1 bin first; what lies before a run's start is zero."""
    n_entries, n_rows = _count(trains.bin, trains.unit, trains.starts, len(kernel), trains.n_units)
    starts = np.zeros(n_rows + 1, dtype=np.int64)
    unit = np.empty(n_entries, dtype=np.int32)
    value = np.empty(n_entries)
    _fill(
        trains.bin,
        trains.unit,
        trains.number,
        trains.starts,
        kernel,
        trains.n_units,
        starts,
        unit,
        value,
    )
    return Features(starts, unit, value, int(trains.starts[-1]) - n_rows)


def fit(
    design: Features,
    observed: np.ndarray,
    total: np.ndarray,
    prior_precision: float,
    max_iter: int,
    run: Map,
) -> Fit:
    """Maximise the Poisson log likelihood with a Gaussian prior on the weights, by Newton's method.

    Parameters
    ----------
    design
        Of the sources, all of which spike.
    observed
        Sum over bins of a target's count times each feature, shape (target, source).
    total
        Spikes of each target, shape (target,), each > 0.
    prior_precision
        Of each weight.
    max_iter
        Newton steps at most.
    run
        Maps over blocks of targets.
    """
    n_targets, n_sources = observed.shape
    # Without couplings all targets have one Fisher information but for their rates.
    shared = _information(design, np.zeros((1, n_sources + 1)))
    blocks = [slice(first, min(first + BLOCK, n_targets)) for first in range(0, n_targets, BLOCK)]

    def fit_block(rows: slice) -> Fit:
        right = np.concatenate([total[rows, None], observed[rows]], axis=1)
        penalty = np.full(n_sources + 1, prior_precision)
        penalty[0] = 0.0
        theta = _pair_by_pair(design, right, shared[0])
        return _newton(design, right, penalty, theta, shared[0], max_iter)

    parts = run(fit_block, blocks)
    return Fit(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _pair_by_pair(design: Features, right: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """Where to start: each weight as if its source were the only one.

    A source whose feature was either 0 or one value x would multiply the rate by exp(w x).
    """
    rate = right[:, :1] / shared[0, 0]
    mass = shared[0, 1:]
    # A source that spoke to no bin (its one spike was the last) has no value: any will do.
    value = np.divide(np.diagonal(shared)[1:], mass, out=np.ones_like(mass), where=mass > 0)
    # In spikes; one more of either keeps a pair that was never seen within bounds.
    seen, expected = right[:, 1:] / value, rate * mass / value
    theta = np.empty_like(right)
    theta[:, 1:] = np.log((seen + 1) / (expected + 1)) / value
    theta[:, 0] = np.log(rate[:, 0])
    theta[:, 0] += np.log(right[:, 0] / _sums(design, theta)[0][:, 0])
    return theta


def _newton(
    design: Features,
    right: np.ndarray,
    penalty: np.ndarray,
    theta: np.ndarray,
    shared: np.ndarray,
    max_iter: int,
) -> Fit:
    """Fit a block of targets, starting from ``theta``.

    The exact information costs several gradients. On the way there it is that of constant rates
    with the diagonal corrected; it is computed near the optimum, and again only where steps do not
    shrink.
    """
    sums, squares = _sums(design, theta)
    # The prior steadies the inverse where units copy each other.
    rough = np.linalg.inv(shared + np.diag(penalty) * shared[0, 0] / right[:, 0].mean())
    scale = np.sqrt(squares / np.diagonal(shared))
    covariance = None
    previous, converged, n_iter = np.inf, False, 0
    while n_iter < max_iter and not converged:
        n_iter += 1
        gradient = right - sums - penalty * theta
        if covariance is None:
            step = ((gradient / scale) @ rough) / scale
        else:
            step = np.einsum("tab,tb->ta", covariance, gradient)
        size = float(np.max(np.abs(step) * np.sqrt(squares)))
        if covariance is not None and size <= TOLERANCE:
            theta, converged = theta + step, True
            break
        theta, sums, squares = _climb(design, right, penalty, theta, step, sums, squares)
        if covariance is None:
            scale = np.sqrt(squares / np.diagonal(shared))
            due = size <= _NEAR or n_iter == _ROUGH_STEPS
        else:
            due = size > previous / 2
        if due:
            covariance = np.linalg.inv(_information(design, theta) + np.diag(penalty))
        previous = size
    if covariance is None:
        covariance = np.linalg.inv(_information(design, theta) + np.diag(penalty))
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    n = len(theta)
    return Fit(theta[:, 0], theta[:, 1:], error[:, 1:], np.full(n, n_iter), np.full(n, converged))


def _climb(
    design: Features,
    right: np.ndarray,
    penalty: np.ndarray,
    theta: np.ndarray,
    step: np.ndarray,
    sums: np.ndarray,
    squares: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the step, halved until the objective does not fall; return the sums there too."""

    def objective(rows: np.ndarray, at: np.ndarray, rate: np.ndarray) -> np.ndarray:
        return (right[rows] * at).sum(axis=1) - rate - (penalty * at**2).sum(axis=1) / 2

    left, size = np.arange(len(theta)), 1.0
    # The bias has the feature 1: the first sum is that of the rates.
    before = objective(left, theta, sums[:, 0])
    # Rounding must not stop a step that is too small to be seen in the objective.
    before -= 1e-10 * (1 + np.abs(before))
    theta, sums, squares = theta.copy(), sums.copy(), squares.copy()
    for _ in range(_HALVINGS):
        trial = theta[left] + size * step[left]
        trial_sums, trial_squares = _sums(design, trial)
        better = objective(left, trial, trial_sums[:, 0]) >= before[left]
        taken = left[better]
        theta[taken], sums[taken] = trial[better], trial_sums[better]
        squares[taken] = trial_squares[better]
        left, size = left[~better], size / 2
        if not left.size:
            break
    return theta, sums, squares


def _sums(design: Features, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over bins of the rates times each feature, and times its square."""
    out = np.zeros((2, theta.shape[1], len(theta)))
    _add_sums(
        design.starts,
        design.unit,
        design.value,
        design.n_empty,
        np.ascontiguousarray(theta.T),
        out,
    )
    return out[0].T.copy(), out[1].T.copy()


def _information(design: Features, theta: np.ndarray) -> np.ndarray:
    """Fisher information of the rates at ``theta(target, feature)``, the bias first."""
    n_features = theta.shape[1]
    packed = np.zeros((n_features * (n_features + 1) // 2, len(theta)))
    _add_information(
        design.starts,
        design.unit,
        design.value,
        design.n_empty,
        np.ascontiguousarray(theta.T),
        packed,
    )
    out = np.empty((len(theta), n_features, n_features))
    row, column = np.triu_indices(n_features)
    out[:, row, column] = packed.T
    out[:, column, row] = packed.T
    return out


@numba.njit(cache=True, nogil=True)
def _count(bin_, unit, starts, n_lags, n_units):
    """Entries and rows that :func:`_fill` will make."""
    last = np.full(n_units, -1)
    n_entries = n_rows = 0
    begin = 0
    for r in range(starts.size - 1):
        end = begin
        while end < bin_.size and bin_[end] < starts[r + 1]:
            end += 1
        last[:] = -1
        covered = -1
        for e in range(begin, end):
            # Bins after this spike, up to n_lags, that no earlier spike of the unit reached.
            stop = min(bin_[e] + n_lags, starts[r + 1] - 1)
            n_entries += max(stop - max(last[unit[e]], bin_[e]), 0)
            n_rows += max(stop - max(covered, bin_[e]), 0)
            last[unit[e]] = stop
            covered = max(covered, stop)
        begin = end
    return n_entries, n_rows


@numba.njit(cache=True, nogil=True)
def _fill(bin_, unit, count, run_starts, kernel, n_units, starts, out_unit, out_value):
    n_lags = kernel.size
    sums = np.zeros(n_units)
    seen = np.zeros(n_units, dtype=np.bool_)
    row = entry = 0
    first = 0  # oldest spike that the kernel still reaches
    stop = 0  # first spike that is not before this bin
    for r in range(run_starts.size - 1):
        t = run_starts[r]
        while stop < bin_.size and bin_[stop] < t:
            stop += 1
        first = stop
        while t < run_starts[r + 1]:
            while stop < bin_.size and bin_[stop] < t:
                stop += 1
            while first < stop and bin_[first] < t - n_lags:
                first += 1
            if first == stop:
                # Silence: on to the bin after the next spike.
                t = bin_[stop] + 1 if stop < bin_.size else run_starts[r + 1]
                continue
            for e in range(first, stop):
                sums[unit[e]] += kernel[t - bin_[e] - 1] * count[e]
                seen[unit[e]] = True
            for u in range(n_units):
                if seen[u]:
                    out_unit[entry], out_value[entry] = u, sums[u]
                    entry += 1
                    sums[u] = 0.0
                    seen[u] = False
            row += 1
            starts[row] = entry
            t += 1


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _rates(begin, end, unit, value, theta, rate):
    """Expected counts of one bin."""
    rate[:] = theta[0]
    for e in range(begin, end):
        weight, x = theta[unit[e] + 1], value[e]
        for n in range(rate.size):
            rate[n] += x * weight[n]
    for n in range(rate.size):
        rate[n] = exp(min(max(rate[n], -LARGEST_DRIVE), LARGEST_DRIVE))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _add_sums(starts, unit, value, n_empty, theta, out):
    rate = np.empty(theta.shape[1])
    _rates(0, 0, unit, value, theta, rate)
    first, second = out[0], out[1]
    for n in range(rate.size):
        first[0, n] += n_empty * rate[n]
    for row in range(starts.size - 1):
        begin, end = starts[row], starts[row + 1]
        _rates(begin, end, unit, value, theta, rate)
        bias = first[0]
        for n in range(rate.size):
            bias[n] += rate[n]
        for e in range(begin, end):
            x = value[e]
            sums, squares = first[unit[e] + 1], second[unit[e] + 1]
            for n in range(rate.size):
                sums[n] += x * rate[n]
                squares[n] += x * x * rate[n]
    second[0] = first[0]


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
def _add_information(starts, unit, value, n_empty, theta, out):
    n_features, n_targets = theta.shape
    rate, part = np.empty(n_targets), np.empty(n_targets)
    _rates(0, 0, unit, value, theta, rate)
    for n in range(n_targets):
        out[0, n] += n_empty * rate[n]
    for row in range(starts.size - 1):
        begin, end = starts[row], starts[row + 1]
        _rates(begin, end, unit, value, theta, rate)
        bias = out[0]
        for n in range(n_targets):
            bias[n] += rate[n]
        for e in range(begin, end):
            a, x = unit[e] + 1, value[e]
            sums = out[a]
            for n in range(n_targets):
                part[n] = x * rate[n]
                sums[n] += part[n]
            # Entry (a, b) of a packed upper triangle, less b.
            base = a * n_features - a * (a - 1) // 2 - a
            for f in range(e, end):
                y = value[f]
                cell = out[base + unit[f] + 1]
                for n in range(n_targets):
                    cell[n] += y * part[n]
