"""Vectorised rates and derivatives against NumPy and SciPy in the textbook form."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
from oracles import EPS, exact_rates
from scipy.special import expit
from scipy.stats import poisson

from neurokit_sdr.engines.poisson.kernels import NONLINEARITIES
from neurokit_sdr.engines.poisson.rates import derivatives, products, rates

#: Largest relative error of a rate, as engines/poisson/rates.py promises.
RATE_ERROR = 2e-15
DRIVES = np.concatenate([np.linspace(-650, 650, 4001), np.linspace(-5, 5, 4001), [0.0, -0.0]])
REFERENCE = {
    "softplus": lambda x: np.logaddexp(0.0, x),
    "exp": np.exp,
    "sigmoid": expit,
}


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_are_exact_to_a_few_roundings(nonlinearity):
    expected = REFERENCE[nonlinearity](DRIVES)
    found = rates(DRIVES.copy(), nonlinearity)
    # exp of x carries the rounding of its argument, |x| * eps; all else is a few roundings.
    tolerance = np.finfo(float).eps * (8 + np.abs(DRIVES))
    assert (np.abs(found / expected - 1) < tolerance).all()


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_of_extreme_drives_are_positive_and_finite(nonlinearity):
    found = rates(np.array([-1e6, -800.0, 800.0, 1e6]), nonlinearity)
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
    first, information = derivatives(drive.copy(), count, nonlinearity)
    # Central differences: truncation step**2 and rounding eps / step, times the values' size.
    np.testing.assert_allclose(first, numeric, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(information, slope**2 / rate, rtol=1e-8)


def test_products_are_the_upper_triangle_of_the_outer_product():
    x = np.random.default_rng(0).normal(size=(7, 5))
    above, left = np.triu_indices(5)
    np.testing.assert_array_equal(products(x), x[:, above] * x[:, left])


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_and_derivatives(nonlinearity, seed):
    drive = np.concatenate(
        [np.linspace(-30, 30, 241), np.random.default_rng(seed).uniform(-600, 30, 200), [0.0]]
    )
    rate, slope = exact_rates(drive, nonlinearity)
    found = rates(drive.copy(), nonlinearity)
    np.testing.assert_allclose(found, rate.astype(float), rtol=RATE_ERROR)
    for count in (0.0, 1.0, 7.0):
        first, information = derivatives(drive.copy(), np.full(drive.shape, count), nonlinearity)
        # The count and the rate are subtracted: their error stays, relative to each of them.
        error = 6 * RATE_ERROR * (slope / rate * (count + rate)).astype(float)
        truth = (slope / rate * (count - rate)).astype(float)
        np.testing.assert_array_less(np.abs(first - truth), error + 1e-300)
        np.testing.assert_allclose(
            information, (slope**2 / rate).astype(float), rtol=6 * RATE_ERROR
        )


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_slope_of_the_oracle_is_its_derivative(nonlinearity):
    drive = np.linspace(-5, 5, 41)
    _, slope = exact_rates(drive, nonlinearity)
    found = oracles.gradient(lambda x: oracles.RATES[nonlinearity](x).sum(), drive)
    np.testing.assert_allclose(found, slope.astype(float), rtol=200 * EPS)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_and_log_rates_are_finite_for_any_drive(nonlinearity):
    drive = np.array([-1e308, -1e4, -800.0, -0.0, 800.0, 1e4])
    rate = rates(drive.copy(), nonlinearity)
    assert np.isfinite(rate).all()
    assert np.isfinite(np.log(rate)).all()
    first, information = derivatives(drive.copy(), np.ones(6), nonlinearity)
    assert np.isfinite(first).all()
    assert (information >= 0).all()
