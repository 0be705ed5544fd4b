"""Arrays of a Langevin flow: what the network is given, and what is said of what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr

from neurokit_sdr.generative.langevin_flow.equations import Physics, normal_modes
from neurokit_sdr.generative.rates.arrays import Arrays

#: What a prediction says, in words.
VARIABLES = {
    "expected_count": "expected spike count per bin",
    "expected_count_low": "2.5 % of draws from the posterior lie below",
    "expected_count_high": "2.5 % of draws from the posterior lie above",
}


def described(values: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, str, dict]]:
    """Variables of a prediction with their dim and attributes."""
    return {
        name: (array, "unit", {"units": "1", "long_name": VARIABLES[name]})
        for name, array in values.items()
    }


def unit_order(held_in: np.ndarray) -> np.ndarray:
    """Units in the order of the network: those held in come first."""
    return np.argsort(~held_in, kind="stable")


def in_order(values: np.ndarray, held_in: np.ndarray) -> np.ndarray:
    """Values (..., unit) in the network's order of units in that of the data."""
    made = np.empty(values.shape)
    made[..., unit_order(held_in)] = values
    return made


def make_batch(arrays: Arrays) -> dict[str, np.ndarray]:
    """What the loss and the network take, with all trials as rows."""
    n_inside = arrays.inside.sum(axis=1)
    counts = arrays.counts[:, :, unit_order(arrays.held_in)]
    n_inputs = int(arrays.held_in.sum())
    counts[:, : arrays.n_window, :n_inputs] = arrays.inputs
    return {
        "counts": counts,
        "observed": arrays.valid,
        "covariates": arrays.covariates,
        "n_window": np.minimum(n_inside, _window_ends(arrays)).astype(np.int32),
        "n_inside": n_inside.astype(np.int32),
    }


def _window_ends(arrays: Arrays) -> np.ndarray:
    """First bin ahead of each trial: of one cut short, the bin after its last."""
    last = arrays.valid.shape[1] - np.argmax(arrays.valid[:, ::-1], axis=1)
    short = arrays.inside[:, arrays.n_window :].any(axis=1) & (arrays.n_window > last)
    return np.where(short, np.maximum(last, 1), arrays.n_window)


def contents(batch: Mapping[str, np.ndarray], n_inputs: int) -> list[bytes]:
    """All that a prediction of each trial may read in its window, to the bit."""
    found = []
    for trial, end in enumerate(batch["n_window"]):
        read = (
            batch["counts"][trial, :end, :n_inputs],
            batch["observed"][trial, :end],
            batch["covariates"][trial, :end],
        )
        found.append(b"".join(values.tobytes() for values in read))
    return found


def label_physics(physics: Physics, seconds: float) -> xr.Dataset:
    """The constants of the dynamics; ``seconds`` is one unit of the model's time."""
    frequency, shape = normal_modes(physics)
    model = {"units": "1", "long_name": "in the model's units"}

    def array(values: jax.Array) -> np.ndarray:
        return np.asarray(values, dtype=np.float64)

    return xr.Dataset(
        {
            "stiffness": ("oscillator", array(physics.stiffness), model),
            "mass": ("oscillator", array(physics.mass), model),
            "friction": ("oscillator", array(physics.friction) / seconds, {"units": "1/s"}),
            "temperature": ("scalar", array(physics.temperature)[None], model),
            "coupling": (("oscillator", "other_oscillator"), array(physics.coupling), model),
            "frequency": ("mode", frequency / (2 * np.pi * seconds), {"units": "Hz"}),
            "mode_shape": (("oscillator", "mode"), shape, model),
        }
    )


def unlabel_physics(result: xr.Dataset, seconds: float) -> Physics:
    """Undo :func:`label_physics`."""
    constants: list[Any] = [
        result["stiffness"].values,
        result["coupling"].transpose("oscillator", "other_oscillator").values,
        result["mass"].values,
        result["friction"].values * seconds,
        float(result["temperature"].values[0]),
    ]
    return Physics(*constants)


def with_covariates_at_means(simulated: xr.Dataset, result: xr.Dataset) -> xr.Dataset:
    """What was drawn from the prior, beside the covariates that it was drawn at."""
    counted = simulated["count"]
    means = result.get("covariate_mean", xr.DataArray([], dims="covariate"))
    for name, mean in zip(means.coords.get("covariate", []), means, strict=False):
        values = np.full(counted.shape[:-1], float(mean))
        simulated[str(name.item())] = (counted.dims[:-1], values)
    return simulated
