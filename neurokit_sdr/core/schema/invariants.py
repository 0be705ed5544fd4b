"""What holds within a kind beyond names, dims and dtypes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import did_you_mean
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.core.schema.bins import check_counts
from neurokit_sdr.core.schema.common import (
    check_clock,
    check_seconds,
    check_unique_units,
    one_number,
)
from neurokit_sdr.core.schema.kinds import KINDS
from neurokit_sdr.core.schema.stimuli import check_stimulus, check_tuning
from neurokit_sdr.core.schema.words import describe


def _check_spikes(data: xr.Dataset) -> None:
    check_unique_units(data)
    time = np.asarray(data["spike_time"].values)
    unit = np.asarray(data["spike_unit"].values)
    start, stop = one_number(data, "t_start"), one_number(data, "t_stop")
    if not (np.isfinite(start) and np.isfinite(stop) and stop >= start):
        raise SchemaError(
            f"Expected finite attrs t_start <= t_stop in seconds, got {start} and {stop}: give "
            f"the recording's first and last moment."
        )
    if time.size == 0:
        return
    first, last = time.min(), time.max()
    if not np.isfinite(first + last):  # a NaN anywhere is the minimum
        finite = np.isfinite(time)
        raise SchemaError(
            f"Expected finite spike times, got {int((~finite).sum())} NaN or infinite of "
            f"{time.size}, the first at index {int(np.argmin(finite))}: drop them before reading."
        )
    if first < start or last > stop:
        raise SchemaError(
            f"Expected spike times inside the recording [{start:g}, {stop:g}] s, got "
            f"{first:g} to {last:g} s: give t_start and t_stop that cover them, or "
            f"check that the times are seconds and not samples or milliseconds."
        )
    grouped = not (unit[1:] < unit[:-1]).any()
    low, high = (unit[0], unit[-1]) if grouped else (unit.min(), unit.max())
    if low < 0 or high >= data.sizes["unit"]:
        raise SchemaError(
            f"Expected spike_unit to index into {data.sizes['unit']} units, got values "
            f"{low} to {high}: it is a position on the unit dimension, not an id."
        )
    if not grouped:
        order = np.argsort(unit, kind="stable")
        time, unit = time[order], unit[order]
    before = np.flatnonzero(time[1:] < time[:-1])
    backward = before[unit[before + 1] == unit[before]]
    if backward.size:
        bad = data["unit"].values[unit[backward[0]]]
        raise SchemaError(
            f"Expected spike times sorted within each unit, got unit {bad!r} going backwards: "
            f"sort each unit's times."
        )


def _check_calcium(data: xr.Dataset) -> None:
    traces = ("fluorescence", "dff", "denoised", "deconvolved")
    if not set(traces) & set(data.variables):
        guess = did_you_mean("fluorescence", map(str, data.variables))
        raise SchemaError(
            f"Expected variable 'fluorescence' (or one of {list(traces[1:])}) with dims ('time', "
            f"'unit') in a Dataset of calcium, got {describe(data)}.{guess} To get one, "
            f"{KINDS['calcium'].hint}."
        )
    check_unique_units(data)
    # Frames are counted, not timed, where nothing says how fast they were taken.
    check_clock(data, ("s", "frame"))


def _check_rois(data: xr.Dataset) -> None:
    check_unique_units(data)
    ragged = {"pixel_unit", "pixel_y", "pixel_x"}
    if "mask" not in data.variables and not ragged <= set(data.variables):
        raise SchemaError(
            f"Expected pixel_unit, pixel_y and pixel_x (pixel), or mask(unit, y, x), in a Dataset "
            f"of rois, got {describe(data)}: {KINDS['rois'].hint}."
        )
    if "pixel_unit" not in data.variables or not data.sizes["pixel"]:
        return
    unit = data["pixel_unit"].values
    if unit.min() < 0 or unit.max() >= data.sizes["unit"]:
        raise SchemaError(
            f"Expected pixel_unit to index into {data.sizes['unit']} units, got values "
            f"{unit.min()} to {unit.max()}: it is a position on the unit dimension, not an id."
        )


def _check_signal(data: xr.Dataset) -> None:
    check_clock(data)
    if "channel" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'channel' with one name per channel, got coords "
            f"{sorted(map(str, data.coords))}: add one with .assign_coords(channel=[...])."
        )
    names, number = np.unique(data["channel"].values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected unique channel names, got {names[number > 1][:5].tolist()} more than once: "
            f"rename or drop the copies."
        )
    if "coord_frame" not in data.variables and {"x", "y", "z"} & set(data.variables):
        raise SchemaError(
            "Expected 'coord_frame' beside the positions x, y, z of the channels, got none: say "
            "what they are measured in, such as 'head' or 'mni', with "
            ".assign_coords(coord_frame='head')."
        )


def _check_intervals(data: xr.Dataset) -> None:
    start, stop = data["start_time"].values, data["stop_time"].values
    bad = ~(np.isfinite(start) & np.isfinite(stop)) | (stop < start)
    if bad.any():
        first = int(np.argmax(bad))
        raise SchemaError(
            f"Expected finite start_time <= stop_time, got {start[first]} and {stop[first]} s at "
            f"index {first}: drop or correct that interval."
        )


def _check_patterns(data: xr.Dataset) -> None:
    if "cell" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'cell' with one id per cell, got coords "
            f"{sorted(map(str, data.coords))}: add one with .assign_coords(cell=[...])."
        )
    ids, number = np.unique(data["cell"].values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected unique cell ids, got {ids[number > 1][:5].tolist()} more than once: give "
            f"the cells distinct ids."
        )
    if "item_length" not in data.variables:
        return
    length, n_frames = data["item_length"].values, data.sizes.get("time", 1)
    if length.size and (length.min() < 0 or length.max() > n_frames):
        raise SchemaError(
            f"Expected item_length between 0 and {n_frames} frames, got {length.min()} to "
            f"{length.max()}."
        )


def _check_events(data: xr.Dataset) -> None:
    if not np.isfinite(data["event_onset"].values).all():
        raise SchemaError("Expected finite event_onset in seconds, got NaN: drop those events.")


def _check_behavior(data: xr.Dataset) -> None:
    if not any("time" in v.dims for v in data.data_vars.values()):
        raise SchemaError(
            f"Expected a variable over 'time' in a Dataset of behaviour, got {describe(data)}: "
            f"{KINDS['behavior'].hint}."
        )
    # Tracking may stutter; what needs times that rise asks for them itself.
    check_seconds(data)


INVARIANTS = {
    "spikes": _check_spikes,
    "counts": check_counts,
    "calcium": _check_calcium,
    "rois": _check_rois,
    "signal": _check_signal,
    "evoked": _check_signal,
    "trials": _check_intervals,
    "epochs": _check_intervals,
    "events": _check_events,
    "behavior": _check_behavior,
    "stimulus": check_stimulus,
    "tuning": check_tuning,
    "patterns": _check_patterns,
}
