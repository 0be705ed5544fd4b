"""Bins of counts: which there are, which are missing, and what holds for them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.common import check_bins, check_unique_units, one_number


def check_counts(data: xr.Dataset) -> None:
    check_unique_units(data)
    bin_size = one_number(data, "bin_size")
    if not np.isfinite(bin_size) or bin_size <= 0:
        raise SchemaError(
            f"Expected attrs['bin_size'] > 0 seconds, got {bin_size}: bin again with "
            f"nks.bin_spikes, or set the width the counts were made with."
        )
    check_bins(data, bin_size)
    count = data["count"]
    for name in ("trial_length", "observed", "context"):
        if name in data.variables and not set(data[name].dims) <= set(count.dims):
            raise SchemaError(
                f"Expected {name!r} with dims that count {count.dims} has, got {data[name].dims}: "
                f"drop it, or give it the trials and bins of the counts."
            )
    if "trial_length" in data.variables:
        if ("trial" in data["trial_length"].dims) != ("trial" in count.dims):
            raise SchemaError(
                f"Expected trial_length(trial) beside a count with trials and a single number "
                f"beside one without, got {data['trial_length'].dims} beside {count.dims}."
            )
        length = data["trial_length"].values
        if length.size and (length.min() < 0 or length.max() > data.sizes["time"]):
            raise SchemaError(
                f"Expected trial_length between 0 and {data.sizes['time']} bins, got "
                f"{length.min()} to {length.max()}."
            )
    if "held_in" in data.variables and data["held_in"].size and not data["held_in"].values.any():
        raise SchemaError(
            "Expected at least one unit with held_in true, got none: a model would have nothing to "
            "read."
        )
    if "forward" in data.variables and (np.diff(data["forward"].values.astype(int)) < 0).any():
        raise SchemaError(
            "Expected forward true from some bin to the last, got an observed bin after one: the "
            "bins to forecast follow those that are seen."
        )
    if "context" in data.variables and (np.diff(data["context"].values.astype(int)) > 0).any():
        raise SchemaError(
            "Expected context true from a trial's first bin to some bin, got one after a bin that "
            "is none: it marks the past that a trial was cut out with, which comes before it."
        )
    if count.chunks is not None:
        return  # looking at the values would compute them; the model's own check does so
    values = np.asarray(count.values)
    valid = valid_bins(data)
    used = values[valid]
    if used.size == 0:
        return
    if not np.isfinite(used).all():
        raise SchemaError(
            f"Expected finite counts, got {int((~np.isfinite(used)).sum())} NaN or infinite "
            f"values: mark missing bins with a boolean variable 'observed(time)', or drop them."
        )
    if used.min() < 0:
        raise SchemaError(f"Expected counts >= 0, got {used.min()}: these are not spike counts.")


def trial_lengths(data: xr.Dataset) -> np.ndarray:
    """Bins in each trial; one entry, all of them, where there is no trial dimension."""
    if "trial_length" in data.variables:
        return np.atleast_1d(data["trial_length"].values).astype(np.int64)
    n_trials = data.sizes["trial"] if "trial" in data["count"].dims else 1
    return np.full(n_trials, data.sizes["time"], dtype=np.int64)


def observed_bins(data: xr.Dataset) -> np.ndarray:
    """Which bins are not missing, of shape ``(time,)`` or ``(trial, time)``."""
    shape = data["count"].shape[:-1]
    if "observed" not in data.variables:
        return np.ones(shape, dtype=bool)
    return np.broadcast_to(np.asarray(data["observed"].values), shape)


def scored_bins(data: xr.Dataset) -> np.ndarray:
    """Which bins are fitted and scored: valid, and no context; ``(time,)`` or ``(trial, time)``.

    The bins of ``context`` carry data that a model reads, as the past of those that follow, and
    that belong to another part of a recording.
    """
    valid = valid_bins(data)
    if "context" not in data.variables:
        return valid
    return valid & ~np.asarray(data["context"].values)


def valid_bins(data: xr.Dataset) -> np.ndarray:
    """Which bins carry data: inside the trial and observed; ``(time,)`` or ``(trial, time)``."""
    inside = np.arange(data.sizes["time"]) < trial_lengths(data)[:, None]
    observed = observed_bins(data)
    return observed & inside.reshape(observed.shape)
