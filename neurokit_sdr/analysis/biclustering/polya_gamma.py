r"""Pólya-Gamma variates of any positive shape, by exact rejection.

:math:`PG(b, c) = J^*(b, c/2) / 4`, where :math:`J^*(h, z)` has the density

.. math:: f(x) \propto e^{-z^2 x / 2} \sum_n (-1)^n a_n(x), \quad
          a_n(x) = \frac{2^h \, \Gamma(n + h)}{\Gamma(h) \, n!} \frac{2n + h}{\sqrt{2 \pi x^3}}
          e^{-(2n + h)^2 / (2x)}.

A shape is cut into equal pieces of at most ``LARGEST_PIECE`` and their variates are added. Left of
a point :math:`t(h)` a piece is proposed from the first term, an inverse Gaussian; right of it from
an exponential over the tail of :math:`(\pi/2)^h x^{h-1} e^{-\pi^2 x / 8} / \Gamma(h)`, which bounds
the density for :math:`h \ge 1` and, made larger by ``_SMALL_SHAPE_BOUND``, for :math:`h < 1`.
Partial sums of the series lie in turn above and below the density once its terms fall, so that each
proposal is judged without error.

References
----------
Polson, Scott, Windle (2013), Bayesian inference for logistic models using Pólya-Gamma latent
variables. JASA 108. arXiv:1205.0310.
Windle, Polson, Scott (2014), Sampling Pólya-Gamma random variates: alternate and approximate
techniques. arXiv:1405.0506.
Devroye (2009), On exact simulation algorithms for some distributions related to Jacobi theta
functions. Statistics and Probability Letters 79.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

#: Pieces of a shape are at most this large.
LARGEST_PIECE = 4.0

_LOG_HALF_PI = math.log(math.pi / 2)
_RATE = math.pi**2 / 8

#: For shapes below 1 the right bound is too low by less than 4 % beyond their cut
#: (``test_polya_gamma.py`` goes along both).
_SMALL_SHAPE_BOUND = 1.04
_SMALL_SHAPE_CUT = 1.6

#: Cuts of pieces of shape 1 to the largest, where both bounds cross, on an even grid.
_GRID = 64


def _cut(h: float) -> float:
    def difference(t: float) -> float:
        left = h * math.log(2) + math.log(h) - 0.5 * math.log(2 * math.pi * t**3) - h * h / 2 / t
        right = h * _LOG_HALF_PI - gammaln(h) + (h - 1) * math.log(t) - _RATE * t
        return left - right

    # Left of the last crossing the first term is the lower bound.
    return brentq(difference, 0.3 * h, 1.3 * h)


_CUTS = np.array([_cut(h) for h in np.linspace(1.0, LARGEST_PIECE, _GRID)])


def draw_polya_gamma(shape: np.ndarray, tilt: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one variate for each pair.

    Parameters
    ----------
    shape
        :math:`b`, positive (0 gives 0).
    tilt
        :math:`c`, of the same dimensions; its sign does not matter.
    rng
        Of the draws.

    Returns
    -------
    numpy.ndarray
        Of mean :math:`b \\tanh(c / 2) / (2 c)`.
    """
    found = np.empty(shape.shape)
    _draw_all(shape.ravel(), tilt.ravel(), found.reshape(-1), _CUTS, rng)
    return found


@numba.njit(cache=True, nogil=True)
def _draw_all(shape, tilt, found, cuts, rng):
    for i in range(shape.size):
        found[i] = _draw(shape[i], abs(tilt[i]) / 2, cuts, rng) / 4


@numba.njit(cache=True, nogil=True)
def _draw(b, z, cuts, rng):
    """J*(b, z) as a sum over equal pieces."""
    if not b > 0:
        return 0.0
    n_pieces = math.ceil(b / LARGEST_PIECE)
    h = b / n_pieces
    rate = _RATE + z * z / 2
    log_right = h * _LOG_HALF_PI - math.lgamma(h)
    if h >= 1:
        at = (h - 1) / (LARGEST_PIECE - 1) * (cuts.size - 1)
        low = min(int(at), cuts.size - 2)
        t = cuts[low] + (at - low) * (cuts[low + 1] - cuts[low])
        # The tangent of (h - 1) log x that makes the exponential above the tail smallest.
        whole = h + rate * t
        touch = (whole + math.sqrt(whole * whole - 4 * rate * (h - 1) * t)) / (2 * rate)
        slope = rate - (h - 1) / touch
        log_right += (h - 1) * (math.log(touch) - 1)
    else:
        t = _SMALL_SHAPE_CUT
        slope = rate
        log_right += math.log(_SMALL_SHAPE_BOUND) + (h - 1) * math.log(t)
    # Right of t the bound is exp(log_right - slope x). Both masses are taken over 2^h exp(-hz).
    log_scale = h * math.log(2.0) - h * z
    left = _inverse_gaussian_mass(h, z, t)
    right = math.exp(log_right - slope * t - log_scale) / slope
    total = 0.0
    for _ in range(n_pieces):
        while True:
            if rng.random() * (left + right) < left:
                x = _inverse_gaussian_below(h, z, t, rng)
                level = rng.random()
            else:
                x = t + rng.standard_exponential() / slope
                # The bound over the first term; both carry the same tilt, but for exp(-z^2 x/2).
                log_first = (
                    h * math.log(2.0)
                    + math.log(h)
                    - 0.5 * math.log(2 * math.pi * x * x * x)
                    - h * h / (2 * x)
                    - z * z * x / 2
                )
                level = rng.random() * math.exp(log_right - slope * x - log_first)
            if _is_below_series(level, h, x):
                break
        total += x
    return total


@numba.njit(cache=True, nogil=True)
def _is_below_series(level, h, x):
    """Whether level < 1 - a_1/a_0 + a_2/a_0 - ..."""
    partial = 1.0
    term = 1.0
    ratio = 1.0
    n = 0
    while True:
        # a_{n+1} / a_n
        step = (n + h) * (2 * n + 2 + h) / ((n + 1) * (2 * n + h))
        step *= math.exp(-(4 * n + 2 * h + 2) / x)
        ratio = step
        term *= step
        n += 1
        partial += -term if n % 2 else term
        # The sum lies between two partial sums where terms fall, as they do from here on.
        if ratio < 1:
            if n % 2:
                if level < partial:
                    return True
            elif level > partial:
                return False
            if term < 1e-17:
                return level < partial


@numba.njit(cache=True, nogil=True)
def _normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@numba.njit(cache=True, nogil=True)
def _inverse_gaussian_mass(h, z, t):
    """P(X < t) for an inverse Gaussian of mean h/z and shape h^2."""
    low = (t * z - h) / math.sqrt(t)
    high = (t * z + h) / math.sqrt(t)
    if high < 25:
        second = math.exp(2 * h * z) * _normal_cdf(-high)
    else:
        # exp(2hz) alone may overflow: Mills' ratio, to 1e-9.
        w = 1 / (high * high)
        mills = (1 - w * (1 - 3 * w * (1 - 5 * w))) / high
        second = math.exp(-0.5 * low * low) * mills / math.sqrt(2 * math.pi)
    return _normal_cdf(low) + second


@numba.njit(cache=True, nogil=True)
def _inverse_gaussian_below(h, z, t, rng):
    if z * t < h:
        # Of infinite mean: h^2 over the square of a normal beyond its bound; then the tilt.
        bound = t / (h * h)
        while True:
            first = rng.standard_exponential()
            second = rng.standard_exponential()
            if first * first > 2 * second / bound:
                continue
            x = h * h * bound / ((1 + bound * first) * (1 + bound * first))
            if z == 0 or rng.random() < math.exp(-0.5 * z * z * x):
                return x
    mean = h / z
    while True:
        # Michael, Schucany, Haas: the smaller root, in a form that does not cancel.
        y = rng.standard_normal() ** 2 / (2 * h * h) * mean
        x = mean / (1 + y + math.sqrt(y * (2 + y)))
        if rng.random() * (mean + x) > mean:
            x = mean * mean / x
        if x < t:
            return x
