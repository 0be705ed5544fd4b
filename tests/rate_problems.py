"""What the tests of models of rates fit: a population that follows a turning linear system."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.generative.baselines.model import FactorAnalysis, Smoothing
from neurokit_sdr.generative.poisson_lds import equations as lds
from neurokit_sdr.generative.poisson_lds.model import PoissonLDS

EPS = np.finfo(float).eps

MODELS = {
    "Smoothing": Smoothing(smoothing=0.05),
    "FactorAnalysis": FactorAnalysis(n_latents=2, smoothing=0.05),
    "PoissonLDS": PoissonLDS(n_latents=2, tol=1e-3),
}


def rotation(n_units=12, speed=0.3, decay=0.97, seed=0) -> lds.Parameters:
    """Two latents that turn, in their stationary distribution of unit covariance."""
    turn = np.array([[np.cos(speed), -np.sin(speed)], [np.sin(speed), np.cos(speed)]])
    rng = np.random.default_rng(seed)
    noise = (1 - decay**2) * np.eye(2)
    return lds.Parameters(
        decay * turn,
        noise,
        np.zeros(2),
        np.eye(2),
        rng.standard_normal((n_units, 2)) * 0.6,
        np.full(n_units, np.log(0.4)),
    )


def known_lds(p: lds.Parameters, **attrs) -> PoissonLDS:
    square = ("latent_dim", "other_dim")
    return PoissonLDS.from_parameters(
        xr.Dataset(
            {
                "transition": (square, p.transition),
                "noise_covariance": (square, p.noise),
                "initial_mean": ("latent_dim", p.first_mean),
                "initial_covariance": (square, p.first_noise),
                "loading": (("unit", "latent_dim"), p.loading),
                "log_rate": ("unit", p.bias),
            },
            coords={"unit": [f"n{i}" for i in range(len(p.bias))]},
            attrs={"bin_size": 0.02, **attrs},
        )
    )


def trials(n_trials=12, n_bins=30, seed=0, **options) -> xr.Dataset:
    return known_lds(rotation(**options)).simulate([n_bins] * n_trials, rng=seed)[["count"]]


def split(data: xr.Dataset, n_held_out=3, n_forward=5) -> xr.Dataset:
    """The data with the coordinates of the protocol."""
    held_in = np.arange(data.sizes["unit"]) < data.sizes["unit"] - n_held_out
    forward = np.arange(data.sizes["time"]) >= data.sizes["time"] - n_forward
    return data.assign_coords(held_in=("unit", held_in), forward=("time", forward))


def fitted(name: str, data: xr.Dataset):
    model = type(MODELS[name])(**MODELS[name].get_params())
    return model.fit(data, rng=0, progress=False)
