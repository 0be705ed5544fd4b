r"""How rarely chance gives a correlation of sparse counts, as the size of a normal variable.

Few coincidences are not normal: where 0.2 are expected, two have the z-score 4 and come once in 60
pairs. All that is known without a coupling follows from permuting bins: of the sum of products
:math:`S = \sum_t x_t y_t` over :math:`T` bins with :math:`\bar x, \bar y`, standardised,

.. math:: z_0 = r \sqrt{T - 1}, \qquad
          \gamma = g_x\, g_y\, \sqrt{T - 1} / (T - 2), \qquad
          \sigma^2 = T^2 v_x v_y / (T - 1)

is its deviation, :math:`\gamma` its skewness and :math:`\sigma^2` its variance, with variances
:math:`v` and skewnesses :math:`g` of the counts (Pitman, Supplement to the Journal of the Royal
Statistical Society 4, 1937). A Poisson variable of mean :math:`1/\gamma^2`, scaled and shifted, has
the same three moments. For bins with at most one spike, few of which hold any, it is the number of
coincidences itself; for dense counts it is nearly normal.
"""

from __future__ import annotations

import numpy as np

from neurokit_sdr.analysis.connectivity.lags import Lagged

#: A skewness below this changes no probability that a float holds.
_SMALLEST_SKEWNESS = 1e-8

#: Distance from the mean, relative to it, within which series replace differences of like numbers.
_NEAR = 1e-3


def z_of_correlation(correlation: np.ndarray, n_bins: float, of: Lagged, lag: int) -> np.ndarray:
    """Z-scores of correlations, shape (target, source); no larger than a normal variable's.

    Parameters
    ----------
    correlation
        Plain or partial, shape (target, source).
    n_bins
        Pairs of bins, less what other units have explained.
    of
        Counts at each lag.
    lag
        Which of them.
    """
    n = of.n_bins[lag]
    target = _moments(of.target_sum[lag], of.target_square[lag], of.target_cube[lag], n)
    source = _moments(of.source_sum[lag], of.source_square[lag], of.source_cube[lag], n)
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.outer(target[1], source[1]) * np.sqrt(n - 1) / (n - 2)
        # Sums of products are whole numbers; half of one goes to the side of chance.
        half = 0.5 / (n * np.sqrt(np.outer(target[0], source[0]) / (n - 1)))
    return z_of_skewed(correlation * np.sqrt(max(n_bins - 1, 1)), skewness, half)


def z_of_count(count: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Z-scores of Poisson counts, as :func:`z_of_skewed`; 0 where nothing is expected nor came."""
    # An expectation that floats cannot divide by is beyond any recording.
    mean = np.maximum(expected, 1e-100)
    z = z_of_skewed((count - mean) / np.sqrt(mean), mean**-0.5, 0.5 * mean**-0.5)
    return np.where((count == 0) & (expected == 0), 0.0, z)


def z_of_skewed(deviation: np.ndarray, skewness: np.ndarray, half_step: np.ndarray) -> np.ndarray:
    """Z-scores of a lattice variable with mean 0, variance 1 and some skewness.

    The size is what a normal variable exceeds as rarely as this one reaches the deviation or goes
    beyond, towards that side; 0 where it does so more often than not.

    Parameters
    ----------
    deviation
        What was seen.
    skewness
        Of any sign.
    half_step
        Half the distance between the values that are possible.
    """
    side = np.where(skewness < 0, -1.0, 1.0)
    size = np.maximum(np.abs(skewness), _SMALLEST_SKEWNESS)
    above = _z_of_poisson(side * deviation - half_step, size)
    below = _z_of_poisson(side * deviation + half_step, size)
    return side * (np.maximum(above, 0.0) + np.minimum(below, 0.0))


def _z_of_poisson(deviation: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    r"""Normal quantile of a standardised Poisson variable between its steps.

    :math:`P(N \ge n) = P(G_n < \mu)` with a gamma variable of shape :math:`n`, which fills the
    steps. Its tail is the saddlepoint's, :math:`z = w + \ln(u / w) / w` (Barndorff-Nielsen,
    Biometrika 73, 1986), right within 0.02 from one spike on, and beyond what
    the smallest float can hold.
    """
    mean = skewness**-2.0
    # Relative to the mean; the gamma's shape is half a step beyond the number between steps.
    apart = deviation * skewness + 0.5 * skewness**2
    impossible = apart <= -1.0
    apart = np.where(impossible, 0.0, apart)
    near = np.abs(apart) < _NEAR
    d = np.where(near, 1.0, apart)
    w = np.sign(d) * np.sqrt(2 * ((1 + d) * np.log1p(d) - d))
    correction = np.log(d / np.sqrt(1 + d) / w) / w
    d = np.where(near, apart, 0.0)
    w = np.where(near, d * np.sqrt(1 - d / 3 + d**2 / 6), w)
    correction = np.where(near, -1 / 3 + 5 * d / 36, correction)
    z = w * np.sqrt(mean) + correction / np.sqrt(mean)
    return np.where(impossible, -np.inf, z)


def _moments(
    total: np.ndarray, square: np.ndarray, cube: np.ndarray, n: float
) -> tuple[np.ndarray, np.ndarray]:
    """Variance and skewness of counts from their sums."""
    mean = total / n
    variance = square / n - mean**2
    third = cube / n - 3 * mean * square / n + 2 * mean**3
    with np.errstate(divide="ignore", invalid="ignore"):
        return variance, third / variance**1.5
