"""Arrays of a Poisson linear dynamical system to variables of ``result_``, and back."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.generative.poisson_lds import equations
from neurokit_sdr.generative.rates.arrays import Arrays


def data_of(arrays: Arrays, units: np.ndarray, valid: np.ndarray) -> equations.Data:
    """What the posterior is conditioned on: some units in some bins."""
    if units.all():
        counts = arrays.counts.astype(np.float64)
    else:  # held-in units in the window
        counts = np.zeros((*valid.shape, int(units.sum())))
        counts[:, : arrays.n_window] = arrays.inputs
    counts = np.where(valid[:, :, None], counts, 0.0)
    return equations.Data(counts, valid.astype(np.float64), arrays.inside.sum(axis=1))


def label_parameters(p: equations.Parameters) -> xr.Dataset:
    """The parameters under their names in ``result_``."""
    one = {"units": "1"}
    square = ("latent_dim", "other_dim")
    return xr.Dataset(
        {
            "transition": (square, p.transition, one),
            "noise_covariance": (square, p.noise, one),
            "initial_mean": ("latent_dim", p.first_mean, one),
            "initial_covariance": (square, p.first_noise, one),
            "loading": (("unit", "latent_dim"), p.loading, one),
            "log_rate": ("unit", p.bias, {"long_name": "log spikes per bin", **one}),
        }
    )


def unlabel(result: xr.Dataset) -> equations.Parameters:
    """Undo :func:`label_parameters`."""
    names = (
        "transition",
        "noise_covariance",
        "initial_mean",
        "initial_covariance",
        "loading",
        "log_rate",
    )
    return equations.Parameters(*(result[name].values.astype(np.float64) for name in names))
