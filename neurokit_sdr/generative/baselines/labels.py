"""Arrays of the baselines to variables of ``result_``, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from neurokit_sdr.generative.baselines import equations


def label_fit(
    fit: equations.Fit, widths: Sequence[float], input_unit: np.ndarray, bin_size: float
) -> xr.Dataset:
    """What a fit found, under its names in ``result_``.

    Parameters
    ----------
    fit
        See :class:`equations.Fit`.
    widths
        Kernels that were tried, in s.
    input_unit
        Labels of the held-in units.
    bin_size
        In s.
    """
    one = {"units": "1"}
    per_bin = {"units": "1", "long_name": "spikes per bin"}
    return xr.Dataset(
        {
            "mean_count": ("unit", fit.mean, per_bin),
            "input_mean": ("input_unit", fit.projection.mean, one),
            "input_weight": (("latent_dim", "input_unit"), fit.projection.weight, one),
            "weight": (("unit", "latent_dim"), fit.read_out.weight, one),
            "log_rate": ("unit", fit.read_out.bias, {"long_name": "log spikes per bin", **one}),
            "validation_score": (("smoothing", "ridge"), fit.score, {"units": "bits per spike"}),
        },
        coords={
            "input_unit": ("input_unit", input_unit),
            "smoothing": ("smoothing", widths, {"units": "s"}),
            "ridge": ("ridge", list(equations.RIDGES)),
        },
        attrs={"smoothing": float(fit.width * bin_size), "ridge": float(fit.ridge)},
    )


def projection_of(result: xr.Dataset) -> equations.Projection:
    """The projection of a ``result_``."""
    return equations.Projection(result["input_mean"].values, result["input_weight"].values)


def read_out_of(result: xr.Dataset) -> equations.ReadOut:
    """The regression of a ``result_``."""
    return equations.ReadOut(result["log_rate"].values, result["weight"].values)
