"""Trials of any length as one long array, and back.

Every model over time works on sequences that lie behind one another; only here is the labelled
layout ``([trial,] time, unit)`` taken apart and put together again.
"""

from __future__ import annotations

from typing import NamedTuple

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


def flatten(data: xr.Dataset) -> Sequences:
    """Take labelled counts apart.

    Raises
    ------
    SchemaError
        If the data break the schema, hold no bins or no observed bin, or are not whole counts.
    """
    schema.check(data, "counts")
    lengths = schema.trial_lengths(data)
    if lengths.sum() == 0 or data.sizes["unit"] == 0:
        raise SchemaError(
            f"Expected at least one bin and one unit, got {schema.describe(data)} with sizes "
            f"{dict(data.sizes)}: is the recording empty?"
        )
    inside = np.arange(data.sizes["time"]) < lengths[:, None]
    count = np.asarray(data["count"].values)
    counts = count.reshape(len(lengths), -1, count.shape[-1])[inside].astype(np.float64)
    observed = schema.observed_bins(data).reshape(inside.shape)[inside]
    if not observed.any():
        raise SchemaError(
            "Expected at least one observed bin, got a mask 'observed' that is false everywhere: "
            "it must be true where the data can be used."
        )
    counts[~observed] = 0.0
    if not np.isfinite(counts).all() or (counts < 0).any() or (counts != np.round(counts)).any():
        raise SchemaError(
            "Expected whole, finite spike counts >= 0, got fractions, negative values or NaN: use "
            "nks.bin_spikes, and mark missing bins with a boolean variable 'observed(time)'."
        )
    # A trial without bins is no sequence: unique drops where it would begin.
    return Sequences(counts, np.unique(np.concatenate([[0], np.cumsum(lengths)])), observed)


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
    lengths = schema.trial_lengths(data)
    inside = np.arange(data.sizes["time"]) < lengths[:, None]
    if "trial" not in data["count"].dims:
        inside = inside[0]
    out = np.full((*inside.shape, *values.shape[1:]), fill, dtype=values.dtype)
    out[inside] = values
    return out


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
