"""Forecasts of Langevin flows."""

from __future__ import annotations

import functools
import json

import equinox as eqx
import jax
import numpy as np
import pytest
import xarray as xr
from flow_problems import (
    N_ERRORS,
    N_FORWARD,
    N_IN,
    N_UNITS,
    N_WINDOW,
    WIDTH,
    emptied,
    flow,
    recording,
)
from scipy.stats import norm

from neurokit_sdr.core.errors import (
    ParameterError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training.weights import to_flat
from neurokit_sdr.generative.langevin_flow import network as networks
from neurokit_sdr.generative.langevin_flow.model import LangevinFlow
from neurokit_sdr.generative.langevin_flow.network import Sizes

pytestmark = pytest.mark.usefixtures("quickly")

# ---------------------------------------------------------------- forecasts

LINEAR = {"n_latents": 4, "n_hidden": 8, "covariates": None}


def linear_flow(seed: int, time_step: float = 0.5) -> tuple[LangevinFlow, np.ndarray]:
    """Log rates affine in the positions of uncoupled oscillators; also the loadings.

    The posterior of the first state depends on the counts, what follows is the prior.
    """
    sizes = Sizes(N_IN, N_UNITS, 0, 4, 8)
    network = flow(seed, sizes, time_step=time_step)
    for names in (("layer", "output"), ("layer", "narrow"), ("mix",), ("readout",)):
        network = emptied(network, *names)
    for name in ("control_encoder", "control_state"):
        network = emptied(network, name)
    loading = 0.4 * stream(seed, "loading").standard_normal((4, N_UNITS)).astype(np.float32)
    mix = np.zeros((8, 8), np.float32)
    mix[:4, :4] = np.eye(4)
    new = {
        "mix.weight": mix,
        "readout.weight": np.concatenate([loading, 0 * loading]),
        "readout.bias": np.full(N_UNITS, np.log(0.5), np.float32),
        "oscillators.kernel": np.zeros((4, 4, 3), np.float32),
        "oscillators.log_mass": np.zeros(4, np.float32),
        "oscillators.log_temperature": np.zeros((), np.float32),
        "oscillators.raw_stiffness": np.full(4, np.log(np.expm1(1.0)), np.float32),
        "oscillators.raw_friction": np.full(4, np.log(np.expm1(1.0)), np.float32),
    }
    for name, values in new.items():
        network = eqx.tree_at(
            lambda m, n=name: functools.reduce(getattr, n.split("."), m),
            network,
            jax.device_put(values),
        )
    vector, layout = to_flat(network)
    parameters = {**LINEAR, "time_step": time_step}
    known = xr.Dataset(
        {"weight": ("parameter", vector, {"layout": layout})},
        coords={"unit": recording(0)["unit"].values, "held_in": recording(0)["held_in"].variable},
        attrs={"bin_size": WIDTH, "n_forward": 0, "parameters": json.dumps(parameters)},
    )
    return LangevinFlow.from_parameters(known), loading.astype(float)


def test_a_long_forecast_reaches_the_mean_rates_of_the_prior(seed):
    """By closed form: positions are Gaussian with variance kT / k, which BAOAB keeps exactly."""
    known, loading = linear_flow(seed)
    data, n_draws = recording(seed).isel(trial=slice(2)), 800
    said = known.forecast(data, 60, n_draws=n_draws, rng=seed)
    assert said.sizes["time"] == N_WINDOW + 60
    np.testing.assert_allclose(np.diff(said["time"]), WIDTH, rtol=1e-9)
    np.testing.assert_array_equal(said["forward"], np.arange(N_WINDOW + 60) >= N_WINDOW)
    last = said.isel(time=-1)
    variance = (loading**2).sum(axis=0)
    mean = 0.5 * np.exp(variance / 2)
    error = mean * np.sqrt(np.expm1(variance) / n_draws)
    # After 60 steps of half a time constant each nothing is left of the window.
    assert (np.abs(last["expected_count"] - mean) <= N_ERRORS * error).all()
    # A quantile is off by sqrt(p (1 - p) / n) over the density there.
    for name, p in (("expected_count_low", 0.025), ("expected_count_high", 0.975)):
        sd = np.sqrt(variance)
        share = norm.cdf(np.log(last[name] / 0.5) / sd)
        assert (np.abs(share - p) <= N_ERRORS * np.sqrt(p * (1 - p) / n_draws)).all()
    simulated = known.simulate([61] * n_draws, rng=seed)["expected_count"].isel(time=-1)
    simulated = simulated.mean("trial")
    assert (np.abs(simulated - mean) <= N_ERRORS * error).all()


def test_a_forecast_goes_on_from_each_trials_own_end(seed):
    time_step = 1e-3
    known, loading = linear_flow(seed, time_step)
    # The first velocity is N(mean, sd^2) with both from an encoder's state within (-1, 1); what the
    # bath adds in 22 such steps has a variance of 22 times twice the step.
    first = known._trained().first
    _, _, mean, log_sd = np.split(np.abs(first.weight).sum(axis=0) + np.abs(first.bias), 4)
    fastest = (mean + N_ERRORS * np.exp(np.minimum(log_sd, networks.LARGEST_LOG_SD)) + 1).max()
    data = recording(seed).isel(trial=slice(2), time=slice(N_WINDOW)).drop_vars("forward")
    lengths = np.array([N_WINDOW, 9])
    data["trial_length"] = ("trial", lengths, {"units": "1"})
    said = known.forecast(data, 5, n_draws=20, rng=seed)
    np.testing.assert_array_equal(said["trial_length"], lengths + 5)
    rate = said["expected_count"].values
    for i, length in enumerate(lengths):
        known_bins = np.isfinite(rate[i]).all(axis=-1)
        np.testing.assert_array_equal(known_bins, np.arange(N_WINDOW + 5) < length + 5)
        # In a step z moves by the step's length times the velocity, and that is bounded.
        step = np.abs(np.log(rate[i, length] / rate[i, length - 1]))
        assert (step <= time_step * fastest * np.abs(loading).sum(axis=0)).all()
    # Far from what another trial says there.
    assert np.abs(np.log(rate[0, 8] / rate[1, 8])).max() > 0.05


def test_a_forecast_is_random_by_its_seed_and_ordered(fitted, seed):
    data = recording(seed)
    one, again, other = (fitted.forecast(data, N_FORWARD, n_draws=3, rng=r) for r in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not one.equals(other)
    for said in (one, fitted.predict(data)):
        low, mean, high = (said[f"expected_count{end}"] for end in ("_low", "", "_high"))
        assert (low < high).all()
        assert (low <= mean).all()
        assert np.isfinite(high).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_bins": 0}, "Expected n_bins as a whole number of at least 1, got 0"),
        ({"n_bins": 2.0}, "Expected n_bins as a whole number of at least 1, got 2.0"),
        ({"n_bins": 2, "n_draws": 0}, "Expected n_draws as a whole number of at least 1, got 0"),
    ],
)
def test_forecasts_that_cannot_be(fitted, changes, match):
    with pytest.raises(ParameterError, match=match):
        fitted.forecast(recording(0), **changes)
