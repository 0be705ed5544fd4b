"""What goes into the methods of connectivity, checked, and what comes out, labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.analysis.connectivity.lags import Trains
from neurokit_sdr.core import schema
from neurokit_sdr.core.counts import Sequences, flatten, flatten_bins
from neurokit_sdr.core.errors import SchemaError


def counts_of(counts: Any) -> tuple[Sequences, np.ndarray]:
    """Checked counts of all trials behind one another, and the unit ids."""
    sequences = flatten(counts)
    _check_two(counts)
    # The past that trials were cut out with may be another trial: it counts once, there.
    scored = flatten_bins(schema.scored_bins(counts), counts)
    return sequences._replace(observed=scored), counts["unit"].values


def spikes_of(data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Times from the recording's start ascending, whose they are, unit ids, and duration, in s."""
    spikes = schema.select(data, "spikes")
    _check_two(spikes)
    start = float(spikes.attrs["t_start"])
    time = np.asarray(spikes["spike_time"].values) - start
    order = np.argsort(time, kind="stable")
    duration = float(spikes.attrs["t_stop"]) - start
    unit = np.asarray(spikes["spike_unit"].values)[order].astype(np.int64)
    return time[order], unit, spikes["unit"].values, duration


def _check_two(data: xr.Dataset) -> None:
    if data.sizes["unit"] < 2:
        raise SchemaError(
            f"Expected at least two units, got {data.sizes['unit']}: connectivity is between pairs."
        )


def signal_of(
    data: xr.Dataset | xr.DataTree | xr.DataArray,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Values (time, unit), unit ids, and the time between frames in s if known."""
    if not isinstance(data, xr.DataArray):
        recording = schema.select(data, "calcium")
        names = ("dff", "fluorescence", "denoised", "deconvolved")
        data = recording[next(n for n in names if n in recording.variables)]
    if set(data.dims) != {"time", "unit"}:
        raise SchemaError(
            f"Expected a signal with dims ('time', 'unit'), got {schema.describe(data)}: rename "
            f"its dimensions, and select one trial."
        )
    schema.check_unique_units(data.to_dataset(name="signal"))
    schema.check_frames(data.to_dataset(name="signal"))
    values = np.asarray(data.transpose("time", "unit").values, dtype=float)
    if values.shape[1] < 2 or values.shape[0] < values.shape[1] + 8:
        raise SchemaError(
            f"Expected at least two units and more frames than units, got {values.shape[1]} units "
            f"and {values.shape[0]} frames."
        )
    if not np.isfinite(values).all():
        raise SchemaError(
            f"Expected finite values, got {int((~np.isfinite(values)).sum())} NaN or infinite: "
            f"interpolate short gaps (.interpolate_na('time')) and drop what is left."
        )
    interval = None
    if "time" in data.coords and data["time"].attrs.get("units") != "frame":
        interval = float(np.median(np.diff(data["time"].values)))
    return values, data["unit"].values, interval


def check_length(trains: Trains, lag: int) -> None:
    """Four pairs of bins a lag apart: fewer say nothing of how much chance gives."""
    length = np.diff(trains.starts)
    if np.maximum(length - lag, 0).sum() < 4:
        raise SchemaError(
            f"Expected at least 4 pairs of bins {lag} apart within a trial and without missing "
            f"bins between, got stretches of at most {int(length.max())} bins: use a smaller lag "
            f"or narrower bins."
        )


def label(
    weight: np.ndarray,
    z: np.ndarray,
    units: np.ndarray,
    silent: np.ndarray,
    unit: str,
    **attrs: Any,
) -> xr.Dataset:
    """Label, with NaN where the method does not say."""
    unknown = np.eye(len(units), dtype=bool) | silent[:, None] | silent | ~np.isfinite(weight)
    dims = ("target", "source")
    return xr.Dataset(
        {
            "weight": (dims, np.where(unknown, np.nan, weight), {"units": unit}),
            "z_score": (dims, np.where(unknown, np.nan, z), {"units": "1"}),
        },
        coords={"target": ("target", units), "source": ("source", units)},
        attrs=attrs | {"signed": 1},
    )
