"""Made predictions, flows and latents to plot."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.generative.langevin_flow import equations as langevin
from neurokit_sdr.generative.langevin_flow import landscape as _landscape

BIN, TIME_STEP = 0.02, 0.5
N_TRIALS, N_BINS, N_UNITS = 3, 30, 8


def times(n_bins=N_BINS):
    return ("time", (np.arange(n_bins) + 0.5) * BIN, {"units": "s"})


def make_prediction(n_trials=N_TRIALS, n_bins=N_BINS, n_units=N_UNITS, band=True, ahead=4):
    """Rates as a model with held-out units and bins ahead predicts them, and the truth."""
    rng = np.random.default_rng(0)
    dims = ("trial", "time", "unit")
    rate = rng.gamma(3, 4, (n_trials, n_bins, n_units))
    coords = {
        "trial": 10 * np.arange(n_trials) + 5,
        "condition": ("trial", [f"c{i % 2}" for i in range(n_trials)]),
        "time": times(n_bins),
        "unit": [f"u{i}" for i in range(n_units)],
        "held_in": ("unit", np.arange(n_units) < n_units - 2),
        "forward": ("time", np.arange(n_bins) >= n_bins - ahead),
    }
    expected = rate * BIN * 1.1
    prediction = xr.Dataset({"expected_count": (dims, expected, {"units": "1"})}, coords)
    if band:
        for side, factor in (("low", 0.7), ("high", 1.5)):
            prediction[f"expected_count_{side}"] = (dims, factor * expected, {"units": "1"})
    truth = xr.Dataset(
        {
            "count": (dims, rng.poisson(rate * BIN), {"units": "1"}),
            "rate": (dims, rate, {"units": "Hz"}),
        },
        coords,
        {"bin_size": BIN},
    )
    return prediction, truth


def make_parameters(n=4, coupling=0.0, seed=0):
    """The dynamics of a fitted flow: independent oscillators, or coupled ones."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, n)) * coupling
    physics = langevin.Physics(
        *(rng.uniform(0.5, 2, n),),
        mixed + mixed.T,
        *(rng.uniform(0.5, 2, (2, n))),
        0.7,
    )
    frequency, shape = langevin.normal_modes(physics)
    seconds = BIN / TIME_STEP
    result = xr.Dataset(
        {
            "stiffness": ("oscillator", physics.stiffness),
            "mass": ("oscillator", physics.mass),
            "friction": ("oscillator", physics.friction / seconds),
            "temperature": ("scalar", [physics.temperature]),
            "coupling": (("oscillator", "other_oscillator"), physics.coupling),
            "frequency": ("mode", frequency / (2 * np.pi * seconds)),
            "mode_shape": (("oscillator", "mode"), shape),
        },
        attrs={"bin_size": BIN},
    )
    return physics, result


def cut(result, latent=None, plane="positions", modes=None, extent=None, n_points=21):
    return _landscape.landscape(
        result, TIME_STEP, latent, plane=plane, modes=modes, extent=extent, n_points=n_points
    )


def make_latent(result, n_trials=2, n_bins=12, seed=0):
    n = result.sizes["oscillator"]
    values = np.random.default_rng(seed).normal(size=(n_trials, n_bins, 2 * n))
    return xr.DataArray(
        values,
        {"time": times(n_bins), "condition": ("trial", ["a", "b"] * (n_trials // 2))},
        ("trial", "time", "latent_dim"),
        "latent",
    )


def make_history(n_epochs=12):
    falling = np.exp(-np.arange(n_epochs) / 3)
    return xr.Dataset(
        {
            "loss": ("epoch", 0.2 + falling, {"units": "nats"}),
            "validation_loss": ("epoch", 0.3 + falling**2, {"units": "nats"}),
            "kl": ("epoch", falling, {"units": "nats"}),
            "learning_rate": ("epoch", 1e-3 * falling),
            "kl_weight": ("epoch", np.linspace(0, 0.3, n_epochs)),
        },
        coords={"epoch": np.arange(n_epochs)},
        attrs={"best_epoch": 7, "status": "converged"},
    )
