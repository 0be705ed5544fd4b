"""Vectorised rates and derivatives against NumPy and SciPy in the textbook form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import poisson

from neurokit_sdr.engines.poisson import rates as _rates
from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES

DRIVES = np.concatenate([np.linspace(-650, 650, 4001), np.linspace(-5, 5, 4001), [0.0, -0.0]])
REFERENCE = {
    "softplus": lambda x: np.logaddexp(0.0, x),
    "exp": np.exp,
    "sigmoid": expit,
}


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_are_exact_to_a_few_roundings(nonlinearity):
    expected = REFERENCE[nonlinearity](DRIVES)
    found = _rates.rates(DRIVES.copy(), nonlinearity)
    # exp of x carries the rounding of its argument, |x| * eps; all else is a few roundings.
    tolerance = np.finfo(float).eps * (8 + np.abs(DRIVES))
    assert (np.abs(found / expected - 1) < tolerance).all()


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_of_extreme_drives_are_positive_and_finite(nonlinearity):
    found = _rates.rates(np.array([-1e6, -800.0, 800.0, 1e6]), nonlinearity)
    assert np.isfinite(np.log(found)).all()


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_derivatives_are_those_of_the_log_likelihood(nonlinearity):
    drive = np.linspace(-8, 3, 200)
    count = np.arange(200) % 4.0
    step = 1e-5

    def log_likelihood(x):
        return poisson.logpmf(count, REFERENCE[nonlinearity](x))

    numeric = (log_likelihood(drive + step) - log_likelihood(drive - step)) / (2 * step)
    rate = REFERENCE[nonlinearity](drive)
    slope = (REFERENCE[nonlinearity](drive + step) - REFERENCE[nonlinearity](drive - step)) / (
        2 * step
    )
    first, information = _rates.derivatives(drive.copy(), count, nonlinearity)
    # Central differences: truncation step**2 and rounding eps / step, times the values' size.
    np.testing.assert_allclose(first, numeric, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(information, slope**2 / rate, rtol=1e-8)


def test_products_are_the_upper_triangle_of_the_outer_product():
    x = np.random.default_rng(0).normal(size=(7, 5))
    above, left = np.triu_indices(5)
    np.testing.assert_array_equal(_rates.products(x), x[:, above] * x[:, left])
