"""Trials of any length as one long array, and back.

Every model over time works on sequences that lie behind one another; only here is the labelled
layout ``([trial,] time, unit)`` taken apart and put together again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError


class Sequences(NamedTuple):
    """Counts of all trials, one behind the other.

    Attributes
    ----------
    counts
        Float64, shape (time, unit); 0 in missing bins.
    starts
        First bin of each trial that has any, and the number of bins last, shape (trial + 1,).
    observed
        Which bins are not missing, shape (time,).
    """

    counts: np.ndarray
    starts: np.ndarray
    observed: np.ndarray


def check_counts(data: Any) -> xr.Dataset:
    """Return labelled counts that hold something that models can be fitted to.

    This is the one check of counts; what comes after it may rely on them.

    Raises
    ------
    SchemaError
        If the data break the schema, hold no bins or no bin to score, or are not whole counts.
    """
    schema.check(data, "counts")
    lengths = schema.trial_lengths(data)
    if lengths.sum() == 0 or data.sizes["unit"] == 0:
        raise SchemaError(
            f"Expected at least one bin and one unit, got {schema.describe(data)} with sizes "
            f"{dict(data.sizes)}: is the recording empty?"
        )
    valid = schema.valid_bins(data)
    if not valid.any():
        raise SchemaError(
            "Expected at least one observed bin, got a mask 'observed' that is false everywhere: "
            "it must be true where the data can be used."
        )
    if not schema.scored_bins(data).any():
        raise SchemaError(
            "Expected at least one bin to fit or score, got a mask 'context' that is true in all "
            "observed ones: it marks the past that trials were cut out with."
        )
    used = np.asarray(data["count"].values)[valid]
    whole = np.isfinite(used) & (used >= 0)
    if used.dtype.kind == "f":
        whole &= used == np.round(used)
    if not whole.all():
        raise SchemaError(
            "Expected whole, finite spike counts >= 0, got fractions, negative values or NaN: use "
            "nks.bin_spikes, and mark missing bins with a boolean variable 'observed(time)'."
        )
    return data


def flatten(data: xr.Dataset) -> Sequences:
    """Take labelled counts apart, checked by :func:`check_counts`."""
    check_counts(data)
    observed = flatten_bins(schema.observed_bins(data), data)
    count = np.asarray(data["count"].values)
    counts = flatten_bins(count, data).astype(np.float64)
    counts[~observed] = 0.0
    # A trial without bins is no sequence: unique drops where it would begin.
    starts = np.unique(np.concatenate([[0], np.cumsum(schema.trial_lengths(data))]))
    return Sequences(counts, starts, observed)


def flatten_bins(values: np.ndarray, data: xr.Dataset) -> np.ndarray:
    """Values of shape ``([trial,] time, ...)`` one behind the other, as :func:`flatten` does."""
    inside = _inside(data)
    return values.reshape(*inside.shape, *values.shape[data["count"].ndim - 1 :])[inside]


def unflatten(values: np.ndarray, data: xr.Dataset, fill: float) -> np.ndarray:
    """Put per-bin values back into the data's ``([trial,] time, ...)`` shape.

    Parameters
    ----------
    values
        Shape (time, ...), as long as :func:`flatten` made it.
    data
        The Dataset that was taken apart.
    fill
        What stands beyond a trial's end.
    """
    inside = _inside(data)
    if "trial" not in data["count"].dims:
        inside = inside[0]
    out = np.full((*inside.shape, *values.shape[1:]), fill, dtype=values.dtype)
    out[inside] = values
    return out


def _inside(data: xr.Dataset) -> np.ndarray:
    """Which bins lie inside a trial, shape (trial, time); one trial where there is no such dim."""
    return np.arange(data.sizes["time"]) < schema.trial_lengths(data)[:, None]


def time_coords(data: xr.Dataset) -> dict[str, xr.Variable]:
    """The data's coordinates along time and trial, and the trials' lengths."""
    kept = {
        str(name): c.variable
        for name, c in data.coords.items()
        if c.dims and set(c.dims) <= {"time", "trial"}
    }
    if "trial_length" in data.variables:
        kept["trial_length"] = data["trial_length"].variable
    return kept
