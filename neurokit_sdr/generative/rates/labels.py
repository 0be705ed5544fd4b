"""Answers of a model of rates, labelled like the data that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.generative.rates.arrays import Arrays


def begin_result(data: xr.Dataset, arrays: Arrays) -> xr.Dataset:
    """What a ``result_`` says about the data of its fit: units, which are held in, the bins."""
    return xr.Dataset(
        coords={"unit": ("unit", data["unit"].values.copy()), "held_in": ("unit", arrays.held_in)},
        attrs={
            "bin_size": float(data.attrs["bin_size"]),
            "n_forward": int(arrays.forward.sum()),
        },
    )


def label(
    variables: Mapping[str, tuple[np.ndarray, str, dict[str, Any]]],
    data: xr.Dataset,
    arrays: Arrays,
    result: xr.Dataset,
) -> xr.Dataset:
    """Label values like the data that they are about.

    Parameters
    ----------
    variables
        By name: values of shape (trial, bin, last), the name of the last dim, attributes. They
        become NaN where ``arrays.inside`` is false.
    data, arrays
        The data, and the same taken apart.
    result
        The ``result_`` of the model, for the units.
    """
    dims = data["count"].dims[:-1]
    where: Any = slice(None) if "trial" in dims else 0
    coords = _coords(data, arrays)
    if any(last == "unit" for _, last, _ in variables.values()):
        coords |= {name: result[name].variable for name in ("unit", "held_in")}
    return xr.Dataset(
        {
            name: (
                (*dims, last),
                np.where(arrays.inside[:, :, None], values, np.nan)[where],
                attrs,
            )
            for name, (values, last, attrs) in variables.items()
        },
        coords=coords,
    )


def _coords(data: xr.Dataset, arrays: Arrays) -> dict[str, xr.Variable]:
    """Coordinates along trial and time, continued over the bins that the data do not have."""
    n_new = arrays.forward.size - data.sizes["time"]
    kept = {}
    for name, coord in data.coords.items():
        if not coord.dims or not set(coord.dims) <= {"trial", "time"}:
            continue
        if n_new == 0 or "time" not in coord.dims:
            kept[str(name)] = coord.variable
        elif name == "time":
            steps = np.arange(1, n_new + 1) * float(data.attrs["bin_size"])
            time = np.append(coord.values, coord.values[-1] + steps)
            kept["time"] = xr.Variable(("time",), time, coord.attrs)
        elif coord.dtype.kind == "f":
            kept[str(name)] = coord.variable.pad(time=(0, n_new))
    if arrays.forward.any():
        kept["forward"] = xr.Variable(("time",), arrays.forward)
    if "trial_length" in data.variables:
        given = data["trial_length"]
        length = arrays.inside.sum(axis=1).reshape(given.shape)
        kept["trial_length"] = xr.Variable(given.dims, length, given.attrs)
    return kept
