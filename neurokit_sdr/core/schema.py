"""The data schema: names, dimensions, units, and the checks that hold data to them.

Names are fixed here and nowhere else. A *kind* is one kind of recording (spikes, binned counts,
calcium, MEG and sEEG signals, events, intervals, behaviour) or of what is made of one (binary
patterns); each is an :class:`xarray.Dataset` whose variables, dimensions and units :data:`KINDS`
lists. A file that holds several kinds becomes an :class:`xarray.DataTree` with one group per kind
(:data:`GROUPS`). Time is float64 seconds from the recording's start.

Attributes hold str, int, float and lists of them only, because netCDF holds nothing else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import SchemaError

SCHEMA_VERSION = 1

#: Group of a DataTree that holds each kind.
GROUPS = {
    "spikes": "/spikes",
    "counts": "/counts",
    "calcium": "/calcium",
    "rois": "/rois",
    "signal": "/signal",
    "evoked": "/evoked",
    "behavior": "/behavior",
    "trials": "/trials",
    "epochs": "/epochs",
    "events": "/events",
    "electrodes": "/electrodes",
}


@dataclass(frozen=True)
class Variable:
    """One variable of a kind.

    Attributes
    ----------
    dims
        The allowed dimension tuples.
    units
        What ``attrs["units"]`` must say; empty where the unit is the data's own business.
    dtype
        NumPy kind codes the values may have (``"f"`` float, ``"iu"`` integer, ``"b"`` bool).
    required
        Whether a Dataset of the kind must hold it.
    """

    dims: tuple[tuple[str, ...], ...]
    units: str = ""
    dtype: str = "f"
    required: bool = True


@dataclass(frozen=True)
class Kind:
    """One kind of recording: its variables, and the attributes it must carry."""

    name: str
    variables: dict[str, Variable]
    attrs: tuple[str, ...] = ()
    hint: str = ""


KINDS: dict[str, Kind] = {
    "spikes": Kind(
        "spikes",
        {
            "spike_time": Variable((("spike",),), units="s"),
            "spike_unit": Variable((("spike",),), dtype="iu"),
        },
        attrs=("t_start", "t_stop"),
        hint="read a file with nks.io.read_spikes, or use nks.io.from_spike_times({unit: seconds})",
    ),
    "counts": Kind(
        "counts",
        {
            "count": Variable(
                (("time", "unit"), ("trial", "time", "unit")), units="1", dtype="iuf"
            ),
            "trial_length": Variable((("trial",), ()), units="1", dtype="iu", required=False),
            "observed": Variable((("time",), ("trial", "time")), dtype="b", required=False),
            "held_in": Variable((("unit",),), dtype="b", required=False),
            "forward": Variable((("time",),), dtype="b", required=False),
        },
        attrs=("bin_size",),
        hint="make it with nks.bin_spikes(session, bin_size)",
    ),
    "calcium": Kind(
        "calcium",
        {
            "fluorescence": Variable((("time", "unit"),), required=False),
            "neuropil": Variable((("time", "unit"),), required=False),
            "dff": Variable((("time", "unit"),), required=False),
            "denoised": Variable((("time", "unit"),), required=False),
            "deconvolved": Variable((("time", "unit"),), required=False),
            "is_cell": Variable((("unit",),), dtype="b", required=False),
            "cell_probability": Variable((("unit",),), required=False),
            "roi_y": Variable((("unit",),), dtype="iuf", units="pixel", required=False),
            "roi_x": Variable((("unit",),), dtype="iuf", units="pixel", required=False),
        },
        hint="read a recording with nks.io.read_calcium, simulate one with "
        "nks.snn.observe.calcium(session), or use nks.io.from_fluorescence(array, "
        "sampling_rate=30)",
    ),
    "rois": Kind(
        "rois",
        {
            "pixel_unit": Variable((("pixel",),), dtype="iu", required=False),
            "pixel_y": Variable((("pixel",),), dtype="iu", units="pixel", required=False),
            "pixel_x": Variable((("pixel",),), dtype="iu", units="pixel", required=False),
            "pixel_weight": Variable((("pixel",),), required=False),
            "mask": Variable((("unit", "y", "x"), ("unit", "y", "x", "z")), required=False),
        },
        hint="nks.io.read_calcium gives them where the file holds them",
    ),
    "signal": Kind(
        "signal",
        {
            "signal": Variable((("time", "channel"), ("trial", "time", "channel"))),
            "channel_type": Variable((("channel",),), dtype="UTO"),
            "channel_unit": Variable((("channel",),), dtype="UTO"),
            "bad": Variable((("channel",),), dtype="b", required=False),
            "x": Variable((("channel",),), units="m", required=False),
            "y": Variable((("channel",),), units="m", required=False),
            "z": Variable((("channel",),), units="m", required=False),
            "coord_frame": Variable((("channel",), ()), dtype="UTO", required=False),
        },
        hint="simulate one with nks.snn.observe.sensors(session, 64), or give signal(time, "
        "channel) with channel_type and channel_unit (T, T/m, V) of each channel",
    ),
    "evoked": Kind(
        "evoked",
        {
            "signal": Variable((("condition", "time", "channel"),)),
            "channel_type": Variable((("channel",),), dtype="UTO"),
            "channel_unit": Variable((("channel",),), dtype="UTO"),
            "n_averaged": Variable((("condition",),), units="1", dtype="iu", required=False),
            "bad": Variable((("channel",),), dtype="b", required=False),
        },
        hint="give signal(condition, time, channel), the mean over the trials of each condition, "
        "with channel_type and channel_unit of each channel",
    ),
    "trials": Kind(
        "trials",
        {
            "start_time": Variable((("trial",),), units="s"),
            "stop_time": Variable((("trial",),), units="s"),
        },
        hint="give start_time(trial) and stop_time(trial) in seconds",
    ),
    "epochs": Kind(
        "epochs",
        {
            "start_time": Variable((("epoch",),), units="s"),
            "stop_time": Variable((("epoch",),), units="s"),
        },
        hint="give start_time(epoch) and stop_time(epoch) in seconds",
    ),
    "events": Kind(
        "events",
        {
            "event_onset": Variable((("event",),), units="s"),
            "event_duration": Variable((("event",),), units="s"),
            "event_label": Variable((("event",),), dtype="UTO"),
        },
        hint="give event_onset, event_duration (s) and event_label, all (event)",
    ),
    "patterns": Kind(
        "patterns",
        {
            "pattern": Variable(
                (("item", "cell"), ("time", "cell"), ("item", "time", "cell")), dtype="b"
            ),
            "item_length": Variable((("item",),), units="1", dtype="iu", required=False),
            "label": Variable((("item",),), dtype="iuUTO", required=False),
        },
        hint="make it from binned spikes with nks.sdr.encode(counts, sparsity=0.05), or give "
        "booleans: pattern(item, cell), or pattern([item,] time, cell) of sequences",
    ),
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def describe(data: Any) -> str:
    """One line that says what an object is, for error texts."""
    if isinstance(data, xr.Dataset):
        variables = {name: tuple(data[name].dims) for name in data.data_vars}
        return f"a Dataset with {variables or 'no variables'}"
    if isinstance(data, xr.DataTree):
        return f"a DataTree with groups {[g for g in data.groups if g != '/']}"
    if isinstance(data, xr.DataArray):
        return f"a DataArray {data.name!r} with dims {tuple(data.dims)}"
    if isinstance(data, np.ndarray):
        return f"a NumPy array of shape {data.shape}"
    return f"{type(data).__name__}"


def select(data: xr.Dataset | xr.DataTree, kind: str) -> xr.Dataset:
    """Return the Dataset of one kind from a Dataset or a DataTree, checked.

    Parameters
    ----------
    data
        A Dataset of that kind, or a DataTree that holds one in its usual group.
    kind
        A key of :data:`KINDS`.

    Raises
    ------
    SchemaError
        If there is none, or it does not follow the schema.
    """
    if isinstance(data, xr.DataTree):
        group = GROUPS[kind]
        if group not in data.groups:
            if data.data_vars:
                return check(data.to_dataset(), kind)
            raise SchemaError(
                f"Expected a session with a {group} group, got {describe(data)}: "
                f"{KINDS[kind].hint}."
            )
        node = data[group]
        if node.children and not node.data_vars:
            parts = [f"{group}/{name}" for name in node.children]
            raise SchemaError(
                f"Expected one recording of {kind}, got {len(parts)} in this session, {parts}: "
                f"choose one, such as session[{parts[0]!r}].to_dataset()."
            )
        return check(node.to_dataset(), kind)
    return check(data, kind)


def check(data: Any, kind: str) -> xr.Dataset:
    """Check that a Dataset follows the schema of a kind, and return it.

    Checks names, dimensions, dtypes, units and the kind's own invariants: spike times finite,
    inside ``[t_start, t_stop]`` and sorted within each unit; unit ids unique; counts non-negative
    and finite wherever ``observed`` is true; frame and sample times finite and ascending; channel
    names unique, positions with a ``coord_frame``; intervals that do not end before they start;
    cell ids of patterns unique.

    Parameters
    ----------
    data
        An :class:`xarray.Dataset`.
    kind
        A key of :data:`KINDS`.

    Returns
    -------
    xarray.Dataset
        The same object.

    Raises
    ------
    SchemaError
        Naming the first thing that is wrong, what was expected and what to do.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.2]}, t_stop=1.0)
    >>> nks.core.schema.check(spikes, "spikes") is spikes
    True
    """
    spec = KINDS[kind]
    if not isinstance(data, xr.Dataset):
        raise SchemaError(
            f"Expected an xarray.Dataset of {kind}, got {describe(data)}: {spec.hint}."
        )
    _check_variables(data, spec)
    for name in spec.attrs:
        if name not in data.attrs:
            raise SchemaError(
                f"Expected attrs[{name!r}] on a Dataset of {kind}, got attrs "
                f"{sorted(map(str, data.attrs))}: {spec.hint}."
            )
    check_attrs(data)
    _INVARIANTS[kind](data)
    return data


def _check_variables(data: xr.Dataset, spec: Kind) -> None:
    for name, variable in spec.variables.items():
        if name not in data.variables:
            if not variable.required:
                continue
            guess = did_you_mean(name, map(str, data.variables))
            raise SchemaError(
                f"Expected variable {name!r} with dims {_either(variable.dims)} in a Dataset of "
                f"{spec.name}, got {describe(data)}.{guess} To get one, {spec.hint}."
            )
        array = data[name]
        if tuple(array.dims) not in variable.dims:
            raise SchemaError(
                f"Expected {name!r} with dims {_either(variable.dims)}, got {tuple(array.dims)}: "
                f"rename or transpose the dimensions; {spec.hint}."
            )
        if array.dtype.kind not in variable.dtype:
            raise SchemaError(
                f"Expected {name!r} with a dtype of kind {variable.dtype!r}, got {array.dtype}: "
                f"convert it with .astype."
            )
        if variable.units and array.attrs.get("units") != variable.units:
            raise SchemaError(
                f"Expected {name!r} with attrs['units'] == {variable.units!r}, got "
                f"{array.attrs.get('units')!r}: convert the values and set the attribute."
            )


def _either(dims: tuple[tuple[str, ...], ...]) -> str:
    return " or ".join(str(d) for d in dims)


def check_attrs(data: xr.Dataset) -> None:
    """Raise :class:`SchemaError` where an attribute could not be written to netCDF."""
    holders: list[tuple[str, dict[Any, Any]]] = [("the Dataset", data.attrs)]
    holders += [(f"variable {name!r}", data[name].attrs) for name in data.variables]
    for where, attrs in holders:
        for key, value in attrs.items():
            items = value if isinstance(value, list) else [value]
            plain = all(
                isinstance(v, str | int | float | np.integer | np.floating)
                and not isinstance(v, bool | np.bool_)
                for v in items
            ) or (isinstance(value, np.ndarray) and value.dtype.kind in "iufU")
            if not plain:
                raise SchemaError(
                    f"Expected attrs[{key!r}] of {where} to be str, int, float or a list of "
                    f"them, got {type(value).__name__}: encode it (JSON for a dict, 0/1 for a "
                    f"bool, ISO text for a date)."
                )


def check_unique_units(data: xr.Dataset) -> None:
    """Raise :class:`SchemaError` where two units carry the same id."""
    if "unit" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'unit' with one id per unit, got coords "
            f"{sorted(map(str, data.coords))}: add one with .assign_coords(unit=[...])."
        )
    ids, number = np.unique(data["unit"].values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected unique unit ids, got {ids[number > 1][:5].tolist()} more than once: merge "
            f"those units or give them distinct ids (several probes: prefix the probe's name)."
        )


def _seconds(data: xr.Dataset, name: str) -> float:
    value = data.attrs[name]
    if isinstance(value, str) or np.ndim(value) > 0:
        raise SchemaError(
            f"Expected attrs[{name!r}] to be one number of seconds, got {value!r}: set it as a "
            f"float."
        )
    return float(value)


def _check_spikes(data: xr.Dataset) -> None:
    check_unique_units(data)
    time = np.asarray(data["spike_time"].values)
    unit = np.asarray(data["spike_unit"].values)
    start, stop = _seconds(data, "t_start"), _seconds(data, "t_stop")
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


def _check_counts(data: xr.Dataset) -> None:
    check_unique_units(data)
    bin_size = _seconds(data, "bin_size")
    if not np.isfinite(bin_size) or bin_size <= 0:
        raise SchemaError(
            f"Expected attrs['bin_size'] > 0 seconds, got {bin_size}: bin again with "
            f"nks.bin_spikes, or set the width the counts were made with."
        )
    count = data["count"]
    for name in ("trial_length", "observed"):
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


def valid_bins(data: xr.Dataset) -> np.ndarray:
    """Which bins carry data: inside the trial and observed; ``(time,)`` or ``(trial, time)``."""
    inside = np.arange(data.sizes["time"]) < trial_lengths(data)[:, None]
    observed = observed_bins(data)
    return observed & inside.reshape(observed.shape)


def _check_clock(data: xr.Dataset, units: tuple[str, ...] = ("s",)) -> None:
    """Raise where ``time`` is missing, not in seconds or does not rise from sample to sample."""
    if "time" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'time' in seconds, got coords {sorted(map(str, data.coords))}: "
            f"add one with .assign_coords(time=('time', seconds, {{'units': 's'}}))."
        )
    time = data["time"]
    if time.dtype.kind != "f" or time.attrs.get("units") not in units:
        raise SchemaError(
            f"Expected 'time' as floats with attrs['units'] == 's', got {time.dtype} in "
            f"{time.attrs.get('units')!r}: convert the values and set the attribute."
        )
    if even_clock(data) is not None:
        return  # rises by construction, and may be too long for memory
    rising = np.isfinite(time.values)
    rising[1:] &= np.diff(time.values) > 0
    if not rising.all():
        first = int(np.argmin(rising))
        raise SchemaError(
            f"Expected finite, rising times, got {time.values[first]} s at index {first}: sort the "
            f"samples, and drop those without a time."
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
    _check_clock(data, ("s", "frame"))


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
    _check_clock(data)
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


_INVARIANTS = {
    "spikes": _check_spikes,
    "counts": _check_counts,
    "calcium": _check_calcium,
    "rois": _check_rois,
    "signal": _check_signal,
    "evoked": _check_signal,
    "trials": _check_intervals,
    "epochs": _check_intervals,
    "events": _check_events,
    "patterns": _check_patterns,
}
