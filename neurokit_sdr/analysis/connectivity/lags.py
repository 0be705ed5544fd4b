"""Coincidences of sparse spike trains at many lags: what every pairwise method is made of.

Bins that cannot be used are cut out first, so that data are *runs*: stretches of bins that follow
one another in time. A lag never leads from one run into another.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from neurokit_sdr.core.counts import Sequences

#: Standard errors at which a lag stands out.
SIGNIFICANT = 4.0


class Trains(NamedTuple):
    """Binned spike trains as a list of the bins that hold spikes.

    Attributes
    ----------
    bin
        Bin of each entry, ascending, shape (entry,).
    unit
        Its unit, shape (entry,).
    number
        Its spikes, float64, shape (entry,).
    starts
        First bin of each run, and the number of bins last, shape (run + 1,).
    n_units
        Number of units.
    """

    bin: np.ndarray
    unit: np.ndarray
    number: np.ndarray
    starts: np.ndarray
    n_units: int


class Lagged(NamedTuple):
    """Pairs of bins at each lag.

    Attributes
    ----------
    product
        Sum of target count times source count a lag earlier, shape (lag, target, source).
    n_bins
        Number of such pairs of bins, shape (lag,).
    target_sum, source_sum
        Sums of the counts over the later and the earlier bins, shape (lag, unit).
    target_square, source_square
        Sums of their squares, shape (lag, unit).
    target_cube, source_cube
        Sums of their cubes, shape (lag, unit).
    """

    product: np.ndarray
    n_bins: np.ndarray
    target_sum: np.ndarray
    source_sum: np.ndarray
    target_square: np.ndarray
    source_square: np.ndarray
    target_cube: np.ndarray
    source_cube: np.ndarray


def trains_of_counts(sequences: Sequences) -> Trains:
    """Cut missing bins out and list the bins with spikes."""
    trial = np.repeat(np.arange(len(sequences.starts) - 1), np.diff(sequences.starts))
    kept = np.flatnonzero(sequences.observed)
    broken = np.flatnonzero((np.diff(kept) > 1) | (np.diff(trial[kept]) > 0)) + 1
    counts = sequences.counts if len(kept) == len(trial) else sequences.counts[kept]
    row, unit = np.nonzero(counts)
    starts = np.concatenate([[0], broken, [len(kept)]])
    return Trains(row, unit, counts[row, unit], starts, counts.shape[1])


def trains_of_spikes(
    time: np.ndarray, unit: np.ndarray, n_units: int, width: float, duration: float
) -> Trains:
    """List the bins with spikes; times run from 0 to ``duration``, in s."""
    # At least one bin; the last may reach beyond the recording's end.
    n_bins = max(int(np.ceil(duration / width - 1e-6)), 1)
    place = np.minimum((time / width).astype(np.int64), n_bins - 1)
    flat, count = np.unique(place * n_units + unit, return_counts=True)
    return Trains(
        flat // n_units, flat % n_units, count.astype(float), np.array([0, n_bins]), n_units
    )


def lagged(trains: Trains, n_lags: int) -> Lagged:
    """Products and sums at lags 0 to ``n_lags`` bins."""
    run = np.searchsorted(trains.starts, trains.bin, side="right") - 1
    since, until = trains.bin - trains.starts[run], trains.starts[run + 1] - 1 - trains.bin
    shape = (n_lags + 1, trains.n_units)

    def sums(distance: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Over the entries at least each lag from the run's edge."""
        out = np.zeros(shape)
        np.add.at(out, (np.minimum(distance, n_lags), trains.unit), weight)
        return out[::-1].cumsum(axis=0)[::-1]

    length = np.diff(trains.starts)
    square = trains.number**2
    return Lagged(
        _products(
            trains.bin, trains.unit, trains.number, trains.bin - since, n_lags, trains.n_units
        ),
        np.array([np.maximum(length - k, 0).sum() for k in range(n_lags + 1)], dtype=float),
        sums(since, trains.number),
        sums(until, trains.number),
        sums(since, square),
        sums(until, square),
        sums(since, trains.number**3),
        sums(until, trains.number**3),
    )


def correlation(of: Lagged) -> np.ndarray:
    """Pearson correlations, shape (lag, target, source); NaN where a unit never changes."""
    n = of.n_bins[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = of.product - of.target_sum[:, :, None] * of.source_sum[:, None, :] / n
        target = _positive(of.target_square - of.target_sum**2 / n[:, 0])
        source = _positive(of.source_square - of.source_sum**2 / n[:, 0])
        out = covariance / np.sqrt(target[:, :, None] * source[:, None, :])
    return np.clip(out, -1.0, 1.0)


def _positive(variance: np.ndarray) -> np.ndarray:
    """Rounding leaves a constant unit with a variance that is not quite zero."""
    return np.where(variance > 1e-9, variance, np.nan)


class Profile(NamedTuple):
    """At which lags pairs fire together more or less often than by chance.

    Attributes
    ----------
    excess
        Mean over ordered pairs of the squared z-score of the correlation, less 1, which is what
        chance gives, and less the floor that slow common changes give, shape (lag,).
    error
        Standard error of each under independence, shape (lag,).
    """

    excess: np.ndarray
    error: np.ndarray

    @property
    def amplitude(self) -> np.ndarray:
        """Typical size of the coupling at each lag, 0 where it does not stand out."""
        found = np.where(self.excess > SIGNIFICANT * self.error, self.excess, 0.0)
        # At lag 0 either direction counts for both ordered pairs.
        found[0] /= 2
        return np.sqrt(found)


def profile(of: Lagged) -> Profile:
    """Measure the excess at every lag; the farther half of the lags is the floor."""
    z = correlation(of) * np.sqrt(of.n_bins)[:, None, None]
    expected = of.target_sum[:, :, None] * of.source_sum[:, None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A squared z-score of a Poisson count n of mean E has variance 2 + 1 / E.
        spread = 2 + of.n_bins[:, None, None] / expected
    used = np.isfinite(z)
    used &= ~np.eye(z.shape[1], dtype=bool)
    number = used.sum(axis=(1, 2))
    if number.min() == 0:
        return Profile(np.zeros(len(z)), np.ones(len(z)))
    excess = np.where(used, z, 0.0) ** 2
    excess = excess.sum(axis=(1, 2)) / number - 1
    error = np.sqrt(np.where(used, spread, 0.0).sum(axis=(1, 2))) / number
    # The two ordered pairs of two units are one measurement at lag 0.
    error[0] *= np.sqrt(2)
    excess -= max(np.median(excess[len(excess) // 2 :]), 0.0)
    return Profile(excess, error)


def mean_lag(amplitude: np.ndarray) -> float:
    """Centre of the coupling in bins; NaN where there is none.

    Spikes of one bin are on average no lag apart in either order, those of bins k apart k bins:
    so a delay shorter than a bin still shows, in how much of the coupling spills into the next.
    """
    total = amplitude.sum()
    return float(np.arange(len(amplitude)) @ amplitude / total) if total > 0 else np.nan


def round_width(width: float) -> float:
    """The nearest, by ratio, of 1, 2, 5, 10, ... times a power of ten."""
    power = 10.0 ** np.floor(np.log10(width))
    step = min((1, 2, 5, 10), key=lambda s: abs(np.log(s * power / width)))
    return float(f"{step * power:.0e}")


def sliding(fine: np.ndarray, steps: int) -> np.ndarray:
    """Sums over windows of that many bins."""
    total = np.concatenate([np.zeros((1, *fine.shape[1:])), fine.cumsum(axis=0)])
    return total[steps:] - total[:-steps]


def common_shape(of: Lagged, n_lags: int, targets: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """What the correlations of some targets at lags 1 to ``n_lags`` share, shape (lag,).

    It is their first singular vector. What is negative in it is set to 0, so that the sign of a
    weight says excitation or inhibition.

    Parameters
    ----------
    targets
        Indices of units.
    otherwise
        The shape where the correlations are no larger than chance makes them: it counts as much as
        the largest part that many correlations without any coupling have in common.
    """
    z = correlation(of)[1 : n_lags + 1] * np.sqrt(of.n_bins[1 : n_lags + 1])[:, None, None]
    pairs = ~np.eye(z.shape[1], dtype=bool)[targets]
    z = np.nan_to_num(z[:, targets][:, pairs])
    number = int(z.any(axis=0).sum())
    # The edge of the eigenvalues of so many columns of noise, less their mean.
    edge = n_lags + 2 * np.sqrt(n_lags * number)
    unit = otherwise / np.linalg.norm(otherwise)
    vector = np.linalg.eigh(z @ z.T + edge * np.outer(unit, unit))[1][:, -1]
    vector = np.maximum(vector * np.sign(vector[np.argmax(np.abs(vector))]), 0.0)
    return vector / vector.sum()


@numba.njit(cache=True, nogil=True)
def _products(bin_, unit, count, run_start, n_lags, n_units):
    out = np.zeros((n_lags + 1, n_units, n_units))
    for e in range(bin_.size):
        now, target, number = bin_[e], unit[e], count[e]
        out[0, target, target] += number * number
        for f in range(e - 1, -1, -1):
            lag = now - bin_[f]
            if lag > n_lags or bin_[f] < run_start[e]:
                break
            product = number * count[f]
            out[lag, target, unit[f]] += product
            if lag == 0:
                out[0, unit[f], target] += product
    return out


@numba.njit(cache=True, nogil=True)
def correlograms(time, unit, first, width, n_bins, n_units):
    """Numbers of target spikes in each bin after a source spike, shape (bin, target, source).

    Times ascend; the bins begin at the lag ``first``.
    """
    out = np.zeros((n_bins, n_units, n_units))
    reach = first + n_bins * width
    for e in range(time.size):
        for f in range(e - 1, -1, -1):
            lag = time[e] - time[f]
            if lag >= reach:
                break
            # Sampled times lie on edges up to rounding; the share keeps them on one side.
            k = int(np.floor((lag - first) / width + 1e-6))
            if 0 <= k < n_bins:
                out[k, unit[e], unit[f]] += 1.0
                # Spikes of one sample have no order: each is counted from the other.
                if lag == 0.0:
                    out[k, unit[f], unit[e]] += 1.0
    return out


def jittered(
    time: np.ndarray,
    unit: np.ndarray,
    first: float,
    width: float,
    n_bins: int,
    n_units: int,
    jitter: float,
    duration: float,
) -> np.ndarray:
    """Mean of :func:`correlograms` when target spikes move uniformly within jitter windows."""
    n_windows = max(int(np.ceil(duration / jitter - 1e-6)), 1)
    # The last window ends with the recording: spikes cannot move beyond.
    length = np.full(n_windows, jitter)
    length[-1] = max(duration - (n_windows - 1) * jitter, np.finfo(float).tiny)
    place = np.minimum((time / jitter).astype(np.int64), n_windows - 1)
    count = np.bincount(place * n_units + unit, minlength=n_windows * n_units)
    density = count.reshape(n_windows, n_units) / length[:, None]
    out = np.zeros((n_bins, n_units, n_units))
    _add_jittered(time, unit, first, width, jitter, duration, density, out)
    return out.transpose(0, 2, 1).copy()


@numba.njit(cache=True, nogil=True)
def _add_jittered(time, unit, first, width, jitter, duration, density, out):
    for e in range(time.size):
        for k in range(out.shape[0]):
            begin = time[e] + first + k * width
            end = min(begin + width, duration)
            while begin < end:
                window = min(int(begin / jitter + 1e-9), density.shape[0] - 1)
                edge = (window + 1) * jitter if window < density.shape[0] - 1 else duration
                # Rounding must not leave an interval without length.
                stop = min(max(edge, begin + 1e-9 * jitter), end)
                part = stop - begin
                row = out[k, unit[e]]
                for i in range(row.size):
                    row[i] += part * density[window, i]
                begin = stop


def z_of_log_probability(log_probability: np.ndarray) -> np.ndarray:
    """Size that a standard normal variable exceeds with the probability of this logarithm."""
    return -ndtri_exp(np.minimum(log_probability, 0.0) - np.log(2))


def z_of_largest(z: np.ndarray, number: int) -> np.ndarray:
    r"""The z-score that the largest in size of several has as one alone, sign kept.

    .. math:: p = 1 - (1 - 2\,\Phi(-|z|))^m

    Exact for independent ones, a little too small for those that share data.
    """
    one = np.log(2) + log_ndtr(-np.abs(z))
    with np.errstate(divide="ignore"):
        any_of = np.log(-np.expm1(number * np.log1p(-np.exp(np.minimum(one, 0.0)))))
    # 1 - (1 - p)^m loses its digits where m p is small; there it is m p.
    log_probability = np.where(one < np.log(1e-9), one + np.log(number), any_of)
    return np.sign(z) * z_of_log_probability(log_probability)
