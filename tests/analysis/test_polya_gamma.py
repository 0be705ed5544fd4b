"""Pólya-Gamma draws: their law, moments, and the bounds that make them exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import norm

from neurokit_sdr.analysis.biclustering import polya_gamma
from neurokit_sdr.analysis.biclustering.polya_gamma import draw_polya_gamma

SHAPES = [0.05, 0.5, 0.97, 1.0, 1.5, 3.99, 4.0, 4.01, 11.3, 60.2]
TILTS = [0.0, 1e-3, 0.6, -2.3, 7.0, 40.0]


def mean_and_variance(b: float, c: float) -> tuple[float, float]:
    if abs(c) < 0.01:  # by series: the closed form cancels
        return b / 4 * (1 - c**2 / 12), b / 24 * (1 - c**2 / 5)
    c = abs(c)
    mean = b / (2 * c) * math.tanh(c / 2)
    # (sinh c - c) / cosh(c/2)^2, without overflow.
    ratio = 2 * math.tanh(c / 2) - c * (1 - math.tanh(c / 2) ** 2)
    return mean, b / (4 * c**3) * ratio


def test_moments_are_the_exact_ones(seed):
    rng = np.random.default_rng(seed)
    n = 20000
    limit = norm.isf(1e-3 / (4 * len(SHAPES) * len(TILTS)))
    for b in SHAPES:
        for c in TILTS:
            drawn = draw_polya_gamma(np.full(n, b), np.full(n, c), rng)
            mean, variance = mean_and_variance(b, c)
            assert abs(drawn.mean() - mean) < limit * math.sqrt(variance / n), (b, c)
            square = (drawn - mean) ** 2
            # The square of a skewed variate is judged by its own spread: three times as wide.
            assert abs(square.mean() - variance) < 3 * limit * square.std() / math.sqrt(n), (b, c)


@pytest.mark.parametrize("b", [0.3, 1.0, 2.6, 4.0])
def test_laplace_transform_is_the_exact_one(b, seed):
    """E exp(-u w) = (cosh(c/2) / cosh(sqrt(c^2/4 + u/2)))^b, which bounded variates test best."""
    rng = np.random.default_rng(seed)
    n, c = 40000, 1.7
    drawn = draw_polya_gamma(np.full(n, b), np.full(n, c), rng)
    for u in (0.3, 2.0, 20.0, 200.0):
        value = np.exp(-u * drawn)
        exact = (math.cosh(c / 2) / math.cosh(math.sqrt(c * c / 4 + u / 2))) ** b
        square = (math.cosh(c / 2) / math.cosh(math.sqrt(c * c / 4 + u))) ** b
        error = math.sqrt(max(square - exact**2, 0) / n)
        assert abs(value.mean() - exact) < norm.isf(1e-3 / 32) * error + 1e-12


def log_density(x: float, h: float) -> float:
    """Of J*(h, 0), by exact sums of its series: terms are added in integers of many digits."""
    from fractions import Fraction

    total, largest, n = Fraction(0), -np.inf, 0
    while True:
        term = h * math.log(2) + gammaln(n + h) - gammaln(h) - gammaln(n + 1)
        term += math.log(2 * n + h) - 0.5 * math.log(2 * math.pi * x**3)
        term -= (2 * n + h) ** 2 / (2 * x)
        largest = max(largest, term)
        total += Fraction(math.exp(term)) * (-1) ** n
        n += 1
        if term < largest - 60:
            return math.log(total)


def test_bounds_on_the_right_lie_above_the_density():
    for h in (0.02, 0.2, 0.4, 0.5, 0.6, 0.8, 0.98, 1.0, 2.2, 4.0):
        bound = 0.0 if h >= 1 else math.log(polya_gamma._SMALL_SHAPE_BOUND)
        begin = polya_gamma._SMALL_SHAPE_CUT if h < 1 else 0.5 * h
        for x in np.linspace(begin, 10.0, 60):
            right = h * math.log(math.pi / 2) - gammaln(h) + (h - 1) * math.log(x)
            right -= math.pi**2 / 8 * x
            assert log_density(x, h) <= right + bound + 1e-9, (h, x)


def test_first_terms_fall_where_they_are_the_bound():
    """Left of the cut the first term is above the density."""
    for h in np.linspace(1, polya_gamma.LARGEST_PIECE, 7):
        for x in np.linspace(0.1 * h, polya_gamma._cut(h), 20):
            assert (2 + h) * math.exp(-(2 * h + 2) / x) < 1


def test_edge_cases():
    rng = np.random.default_rng(0)
    zero = draw_polya_gamma(np.zeros((2, 3)), np.ones((2, 3)), rng)
    np.testing.assert_array_equal(zero, np.zeros((2, 3)))
    for c in (500.0, 2000.0):
        drawn = draw_polya_gamma(np.full(4000, 3.0), np.full(4000, c), rng)
        mean, variance = mean_and_variance(3.0, c)
        assert abs(drawn.mean() - mean) < norm.isf(1e-4) * math.sqrt(variance / 4000)
    large = draw_polya_gamma(np.full(50, 20000.0), np.full(50, 1.0), rng)
    mean, variance = mean_and_variance(20000.0, 1.0)
    assert abs(large.mean() - mean) < norm.isf(1e-4) * math.sqrt(variance / 50)
