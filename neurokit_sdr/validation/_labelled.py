"""Predictions and truth brought together: by label where there are labels, else by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.validation._metrics import complete

#: Times of two files for one bin differ by rounding only.
SAME_TIME = 1e-6


def is_labelled(*data: Any) -> bool:
    """Whether all are labelled; raise where only some are."""
    labelled = [isinstance(d, xr.Dataset | xr.DataArray) for d in data]
    if any(labelled) and not all(labelled):
        raise SchemaError(
            f"Expected all labelled or all arrays, got {', '.join(map(schema.describe, data))}: "
            f"label an array with counts['count'].copy(data=array)."
        )
    return all(labelled)


def variable_of(data: Any, name: str) -> xr.DataArray:
    """The variable of that name of a Dataset, or the DataArray itself."""
    if isinstance(data, xr.DataArray):
        return data
    if not isinstance(data, xr.Dataset):
        raise SchemaError(
            f"Expected a Dataset with {name!r} or a DataArray, got {schema.describe(data)}."
        )
    if name not in data.variables:
        raise SchemaError(
            f"Expected a Dataset with {name!r}, got {schema.describe(data)}."
            f"{schema.did_you_mean(name, map(str, data.variables))}"
        )
    return data[name]


def masked_counts(counts: Any) -> xr.DataArray:
    """Counts as floats; NaN beyond a trial, where nothing was observed, and in its context."""
    if isinstance(counts, xr.DataArray):
        counts = counts.to_dataset(name="count")
        if not {"time", "unit"} <= set(counts["count"].dims):
            raise SchemaError(
                f"Expected counts with dims time and unit, got {counts['count'].dims}."
            )
        order = [d for d in ("trial", "time", "unit") if d in counts["count"].dims]
        counts = counts.transpose(*order, ...)
    else:
        schema.check(counts, "counts")
    valid = schema.scored_bins(counts)
    count = counts["count"].astype(np.float64)
    return count.where(xr.DataArray(valid, dims=count.dims[:-1]))


def matched(prediction: xr.DataArray, truth: xr.DataArray, what: str) -> np.ndarray:
    """Values of the prediction for the truth's labels, in the order of its dimensions."""
    if set(prediction.dims) != set(truth.dims):
        raise SchemaError(
            f"Expected {what} with dims {truth.dims} as the truth has, got {prediction.dims}."
        )
    for dim in map(str, truth.dims):
        prediction = prediction.isel({dim: positions(prediction, truth, dim, what)})
    return np.asarray(prediction.transpose(*truth.dims).values, dtype=np.float64)


def positions(have: xr.DataArray, want: xr.DataArray, dim: str, what: str) -> np.ndarray:
    """Where along a dimension of ``have`` the labels of ``want`` lie; all must be there."""
    named = [dim in data.coords for data in (have, want)]
    if any(named) and not all(named):
        raise SchemaError(
            f"Expected labels along {dim!r} of {what} and of what it is compared with, got them on "
            f"one side only: copy them with .assign_coords({dim}=other[{dim!r}].values)."
        )
    if not any(named):
        if have.sizes[dim] != want.sizes[dim]:
            raise SchemaError(
                f"Expected {what} with {want.sizes[dim]} along {dim!r}, got {have.sizes[dim]}: "
                f"without labels they must be the same ones in the same order."
            )
        return np.arange(want.sizes[dim])
    found = find(have[dim].values, want[dim].values, dim, what)
    if (found < 0).any():
        lost = want[dim].values[found < 0]
        raise SchemaError(
            f"Expected {what} for all {found.size} labels of {dim!r}, got none for {lost.size} of "
            f"them, such as {lost[:3].tolist()}: predict them, or select what there is with .sel."
        )
    return found


def find(
    have: np.ndarray, want: np.ndarray, dim: str, what: str, tolerance: float = SAME_TIME
) -> np.ndarray:
    """Positions of labels, -1 where there is none; times need not agree to the last digit."""
    index = pd.Index(have)
    if not index.is_unique:
        twice = index[index.duplicated()][:3].tolist()
        raise SchemaError(f"Expected unique labels along {dim!r} of {what}, got {twice} twice.")
    if index.dtype.kind == "f" and index.is_monotonic_increasing and want.dtype.kind == "f":
        return index.get_indexer(pd.Index(want), method="nearest", tolerance=tolerance)
    return index.get_indexer(pd.Index(want))


def coordinate(data: xr.DataArray | xr.Dataset, name: str, dim: str) -> xr.DataArray:
    """A coordinate along one dimension; an error that lists those there are."""
    if name not in data.coords or data[name].dims != (dim,):
        along = [str(n) for n, c in data.coords.items() if c.dims == (dim,) and n != dim]
        raise SchemaError(
            f"Expected a coordinate {name!r} along {dim!r}, got {along}."
            f"{schema.did_you_mean(name, along)} Add one with .assign_coords({name}=({dim!r}, "
            f"values))."
        )
    return data[name]


def paired_rows(
    rates: xr.DataArray, behavior: xr.DataArray, lag: float, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both for the same trials and times, in the order of the rates."""
    for data in (rates, behavior):
        if not isinstance(data, xr.DataArray):
            raise SchemaError(
                f"Expected a DataArray with time, got {schema.describe(data)}: choose one variable."
            )
    lead = [d for d in ("trial", "time") if d in rates.dims]
    extra = [[d for d in a.dims if d not in ("trial", "time")] for a in (rates, behavior)]
    if "time" not in lead or len(extra[0]) != 1 or len(extra[1]) > 1:
        raise SchemaError(
            f"Expected ([trial,] time, {what}) and ([trial,] time[, space]), got {rates.dims} and "
            f"{behavior.dims}."
        )
    if [d for d in ("trial", "time") if d in behavior.dims] != lead:
        raise SchemaError(
            f"Expected both with trials or both without, got {rates.dims} and {behavior.dims}."
        )
    if "trial" in lead:
        behavior = behavior.isel(trial=positions(behavior, rates, "trial", "behaviour"))
    if lag and not ("time" in rates.coords and "time" in behavior.coords):
        raise ParameterError(f"Expected 'time' in seconds on both for lag={lag!r}, got none.")
    if "time" in rates.coords and "time" in behavior.coords:
        wanted = rates["time"].values + lag
        apart = np.median(np.diff(wanted)) / 2 if wanted.size > 1 else 0.0
        tolerance = max(SAME_TIME, apart * (1 - 1e-6))
        found = find(behavior["time"].values, wanted, "time", "behaviour", tolerance=tolerance)
        behavior = behavior.isel(time=np.maximum(found, 0)).astype(np.float64)
        behavior = behavior.where(xr.DataArray(found >= 0, dims="time"))
    elif rates.sizes["time"] != behavior.sizes["time"]:
        raise SchemaError(
            f"Expected as many bins without times to match, got {rates.sizes['time']} and "
            f"{behavior.sizes['time']}."
        )
    x, y = (np.asarray(a.transpose(*lead, ...).values, np.float64) for a in (rates, behavior))
    n_rows = int(np.prod(x.shape[:-1]))
    return complete(x.reshape(n_rows, -1), y.reshape(n_rows, -1), "features")
