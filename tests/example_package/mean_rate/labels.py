"""Arrays to Dataset and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from mean_rate.equations import Fit
from neurokit_sdr.core import schema
from neurokit_sdr.core.counts import check_counts, time_coords, unflatten
from neurokit_sdr.core.errors import SchemaError


def scored_counts(data: Any) -> np.ndarray:
    """Checked counts of the bins that a model is fitted to and scored on, shape (bin, unit)."""
    check_counts(data)
    return data["count"].values[schema.scored_bins(data)]


def label_fit(fit: Fit, data: xr.Dataset) -> xr.Dataset:
    nats = {"units": "nats", "long_name": "log likelihood per bin"}
    return xr.Dataset(
        {
            "mean_count": ("unit", fit.mean_count, {"units": "1", "long_name": "mean count"}),
            "log_likelihood": ((), fit.log_likelihood, nats),
        },
        coords={"unit": data["unit"].values},
        attrs={"bin_size": float(data.attrs["bin_size"])},
    )


def label_prediction(mean_count: np.ndarray, data: xr.Dataset) -> xr.Dataset:
    expected = np.tile(mean_count, (int(schema.trial_lengths(data).sum()), 1))
    attrs = {"units": "1", "long_name": "expected spike count per bin"}
    return xr.Dataset(
        {"expected_count": (data["count"].dims, unflatten(expected, data, np.nan), attrs)},
        coords=time_coords(data) | {"unit": data["unit"].variable},
    )


def label_simulation(count: np.ndarray, result: xr.Dataset, seed: int) -> xr.Dataset:
    width = result.attrs["bin_size"]
    time = (np.arange(len(count)) + 0.5) * width
    return xr.Dataset(
        {"count": (("time", "unit"), count, {"units": "1"})},
        coords={"time": ("time", time, {"units": "s"}), "unit": result["unit"].values},
        attrs={"bin_size": width, "seed": seed},
    )


def check_same_units(data: xr.Dataset, result: xr.Dataset) -> None:
    """Raise where checked data have other units or bins than the fit."""
    if not np.array_equal(data["unit"].values, result["unit"].values):
        raise SchemaError(
            f"Expected the unit labels of the fit, {result['unit'].values.tolist()}, got "
            f"{data['unit'].values.tolist()}: use data.sel(unit=model.result_['unit'].values)."
        )
    width = result.attrs["bin_size"]
    if not np.isclose(data.attrs["bin_size"], width, rtol=1e-9):
        raise SchemaError(
            f"Expected bins of {width} s as in the fit, got {data.attrs['bin_size']} s: bin alike."
        )


def check_parameters(parameters: Any) -> xr.Dataset:
    """Return known parameters, a copy."""
    if not isinstance(parameters, xr.Dataset) or "mean_count" not in parameters:
        got = schema.describe(parameters)
        raise SchemaError(f"Expected a Dataset with mean_count(unit), got {got}.")
    mean = parameters["mean_count"]
    if mean.dims != ("unit",) or not (np.isfinite(mean) & (mean > 0)).all():
        raise SchemaError(f"Expected mean_count(unit) > 0, got {mean.values} over {mean.dims}.")
    if "unit" not in parameters.coords or not parameters.attrs.get("bin_size", 0) > 0:
        raise SchemaError(
            f"Expected labels of 'unit' and attrs['bin_size'] > 0 (s), got "
            f"{list(parameters.coords)} and {parameters.attrs}."
        )
    return parameters.copy()
