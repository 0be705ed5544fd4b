"""Datasets of signals into MNE's Raw, Epochs and Evoked, and back."""

from __future__ import annotations

import datetime
import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import ParameterError, SchemaError, warn
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.mne import encoding as mne_json
from neurokit_sdr.io.formats.mne import epochs as mne_epochs
from neurokit_sdr.io.formats.mne import info as mne_info
from neurokit_sdr.io.formats.mne import read as mne_read

#: Types whose unit MNE takes for granted.
_SENSORS = ("mag", "grad", "ref_meg", "eeg", "seeg", "ecog", "dbs", "eog", "ecg", "emg", "csd")
_HELD = {"signal", "events", "evoked", "head_position", "digitization", "projections"}
_HELD |= {"compensation", "mne_info", "drop_log"}
_COORDS = {"time", "trial", "channel", "channel_type", "channel_unit", "bad", "x", "y", "z"}
_COORDS |= {"coord_frame", "coil_type", "orientation", "coil_axis", "space", "condition"}
_COORDS |= {"statistic", "n_averaged", "signal"}
_ATTRS = {"sampling_rate", "highpass", "lowpass", "line_freq", "reference", "first_sample"}
_ATTRS |= {"compensation_grade", "baseline_start", "baseline_stop", "n_dropped", "description"}
_ATTRS |= {"event_sampling_rate"}
#: Times may stray from an even clock by this share of a sample.
_EVEN = 1e-3


def to_mne(data: xr.Dataset | xr.DataTree) -> Any:
    """Give a signal to MNE, as what it would have read itself.

    Parameters
    ----------
    data
        A Dataset of ``signal(time, channel)``, ``signal(trial, time, channel)`` or
        ``signal(condition, time, channel)``; or a session with ``/signal`` or ``/evoked``, whose
        events, head position, digitised points, projections and compensation go along. Values are
        loaded: MNE holds them in memory.

    Returns
    -------
    mne.io.Raw, mne.Epochs or list of mne.Evoked
        With dims (time, channel), (trial, time, channel) and (condition, time, channel). Bads,
        positions, types, filters and annotations are set; ``first_sample`` becomes MNE's
        ``first_samp``.

    Raises
    ------
    SchemaError
        If the data break the schema, samples are not evenly spaced, or a channel's unit is not the
        one MNE takes for granted (V, T, T/m): convert it, and say so in ``channel_unit``.
    MissingDependencyError
        If MNE (extra ``meg``) is not installed.

    Warns
    -----
    DataWarning
        Naming what MNE cannot hold: other groups, other columns per channel, coordinate frames it
        has no word for, a recording that does not start at 0 s.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> potential = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.zeros((512, 2)), {"units": "V"})},
    ...     coords={
    ...         "time": ("time", np.arange(512) / 256, {"units": "s"}),
    ...         "channel": ["A1", "A2"],
    ...         "channel_type": ("channel", ["seeg", "seeg"]),
    ...         "channel_unit": ("channel", ["V", "V"]),
    ...     },
    ... )
    >>> raw = nks.io.to_mne(potential)
    >>> raw.info["sfreq"], raw.get_channel_types()
    (256.0, ['seeg', 'seeg'])
    """
    mne_read.import_mne()
    groups, attrs = _groups(data)
    left: list[str] = []
    kind = "signal" if "signal" in groups else "evoked"
    signal = groups[kind]
    if kind == "signal" and "condition" in getattr(signal.get("signal"), "dims", ()):
        kind = "evoked"
    signal = schema.check(signal, kind)
    rate, start = _clock(signal)
    info = _info(signal, groups, attrs, rate, left)
    _name_left(signal, groups, left)
    if kind == "evoked":
        made: Any = _evokeds(signal, info, start)
    elif "trial" in signal["signal"].dims:
        made = _epochs(signal, groups, info, start)
    else:
        made = _raw(signal, groups, info, start, left)
    if left:
        warn(f"MNE cannot hold all of it: {'; '.join(left)}.")
    return made


def from_mne(obj: Any) -> xr.DataTree:
    """Take a recording over from MNE, in the layout of :func:`neurokit_sdr.io.read_meg`.

    Parameters
    ----------
    obj
        An ``mne.io.Raw`` (read on demand where MNE has not loaded it), ``mne.Epochs``, an
        ``mne.Evoked`` or a list of them.

    Returns
    -------
    xarray.DataTree
        ``/signal`` or ``/evoked``, and all that MNE knows besides.

    Raises
    ------
    ParameterError
        If it is something else.
    MissingDependencyError
        If MNE (extra ``meg``) is not installed.

    Examples
    --------
    >>> import mne, numpy as np
    >>> import neurokit_sdr as nks
    >>> info = mne.create_info(["A1", "A2"], 256.0, "seeg")
    >>> raw = mne.io.RawArray(np.zeros((2, 512)), info, verbose="ERROR")
    >>> nks.io.from_mne(raw)["/signal/signal"].dims
    ('time', 'channel')
    """
    mne = mne_read.import_mne()
    if isinstance(obj, mne.io.BaseRaw):
        groups, attrs = mne_read.raw_groups(obj)
    elif isinstance(obj, mne.BaseEpochs):
        # Rejection that is still to come decides how many trials there are.
        with mne.use_log_level("ERROR"):
            groups, attrs = mne_epochs.epochs_groups(obj.copy().load_data())
    elif isinstance(obj, mne.Evoked):
        groups, attrs = mne_epochs.evoked_groups([obj])
    elif isinstance(obj, list | tuple) and obj and all(isinstance(e, mne.Evoked) for e in obj):
        groups, attrs = mne_epochs.evoked_groups(obj)
    else:
        raise ParameterError(
            f"Expected an mne.io.Raw, mne.Epochs, mne.Evoked or a list of Evoked, got "
            f"{type(obj).__name__}."
        )
    return assemble.session(groups, attrs | {"source": f"MNE {type(obj).__name__}"})


def _groups(data: Any) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Datasets by path without the leading slash, and root attributes."""
    if isinstance(data, xr.Dataset):
        return {"signal": data}, {}
    if not isinstance(data, xr.DataTree):
        raise SchemaError(
            f"Expected a Dataset of signal(time, channel) or a session that holds one, got "
            f"{schema.describe(data)}."
        )
    if "signal" in data.data_vars:
        return {"signal": data.to_dataset()}, {}
    groups = {
        node.path.removeprefix(data.path).strip("/"): node.to_dataset()
        for node in data.subtree
        if node is not data and (node.data_vars or node.coords)
    }
    found = [n for n in ("signal", "evoked") if n in groups]
    if len(found) != 1:
        several = [f"/{n}" for n in groups if n.startswith(("signal/", "evoked/"))] + found
        raise SchemaError(
            f"Expected a session with one /signal or one /evoked, got {schema.describe(data)}: "
            + (
                f"give one of them, such as session[{several[0]!r}]."
                if several
                else f"{schema.KINDS['signal'].hint}."
            )
        )
    return groups, {str(k): v for k, v in data.attrs.items()}


def _clock(signal: xr.Dataset) -> tuple[float, float]:
    """Sampling rate in Hz and first time in s; raises where samples are not evenly spaced."""
    even = even_clock(signal)
    if even is not None:
        return even[1], even[0]
    time = signal["time"].values
    named = signal.attrs.get("sampling_rate")
    if time.size < 2:
        if named is None:
            raise SchemaError(
                f"Expected attrs['sampling_rate'] in Hz beside {time.size} samples, got none."
            )
        return float(named), float(time[0]) if time.size else 0.0
    rate = (time.size - 1) / (time[-1] - time[0])
    if named is not None and abs(float(named) - rate) * time.size < rate * _EVEN:
        rate = float(named)
    elif abs(round(rate) - rate) < 1e-9 * rate * time.size and round(rate):
        rate = float(round(rate))
    stray = np.abs(time - time[0] - np.arange(time.size) / rate) * rate
    if stray.max() > _EVEN:
        raise SchemaError(
            f"Expected evenly spaced samples, which MNE needs, got sample {int(stray.argmax())} "
            f"{stray.max():.2g} of a sample off an even clock of {rate:g} Hz: cut the recording at "
            f"its gaps, or interpolate it onto an even clock."
        )
    return float(rate), float(time[0])


# -- the measurement info -----------------------------------------------------------------------


def _info(
    signal: xr.Dataset,
    groups: Mapping[str, xr.Dataset],
    attrs: Mapping[str, Any],
    rate: float,
    left: list[str],
) -> Any:
    import mne

    rest = groups.get("mne_info")
    entries = dict(mne.create_info(0, rate))
    if rest is not None:
        entries |= _fields(rest)
    entries["chs"] = _channels(signal, rest, left)
    names = [c["ch_name"] for c in entries["chs"]]
    entries |= {"ch_names": names, "nchan": len(names), "sfreq": rate}
    bad = signal["bad"].values if "bad" in signal.variables else np.zeros(len(names), dtype=bool)
    entries["bads"] = [n for n, b in zip(names, bad, strict=True) if b]
    entries["highpass"] = float(signal.attrs.get("highpass", 0.0))
    entries["lowpass"] = float(signal.attrs.get("lowpass", rate / 2))
    if "line_freq" in signal.attrs:
        entries["line_freq"] = float(signal.attrs["line_freq"])
    _set_reference(entries, signal.attrs.get("reference"), left)
    entries |= _session_fields(attrs, left)
    position = groups.get("head_position")
    if position is not None:
        for name, matrix in position.data_vars.items():
            entries[str(name)] = mne_info.transform(matrix)
    if "digitization" in groups:
        entries["dig"] = mne_info.points(groups["digitization"])
    if "projections" in groups:
        entries["projs"] = mne_info.projections(groups["projections"])
    comps = [groups[n] for n in sorted(groups) if n.startswith("compensation/")]
    if comps:
        entries["comps"] = [mne_info.compensation(c) for c in comps]
    return mne.Info(entries)


def _fields(rest: xr.Dataset) -> dict[str, Any]:
    arrays = {
        int(str(n).removeprefix("array")): v.values
        for n, v in rest.data_vars.items()
        if str(n).startswith("array")
    }
    found = json.loads(str(rest["fields"].values))
    return {name: mne_json.decode(value, arrays) for name, value in found.items()}


def _channels(signal: xr.Dataset, rest: xr.Dataset | None, left: list[str]) -> list[dict[str, Any]]:
    """MNE's entries of the channels: those it gave, changed where the coordinates say so."""
    import mne

    names = [str(n) for n in signal["channel"].values]
    types = [str(t) for t in signal["channel_type"].values]
    known = set(mne.io.get_channel_type_constants(include_defaults=True))
    strange = sorted(set(types) - known)
    if strange:
        left.append(f"channel types {strange} (they become misc)")
    fresh = mne.create_info(names, 1.0, [t if t in known else "misc" for t in types])["chs"]
    usual = [mne_info.unit_text(c["unit"], c["unit_mul"]) for c in fresh]
    _check_units(names, types, [str(u) for u in signal["channel_unit"].values], usual)
    if rest is not None:
        place = {str(n): k for k, n in enumerate(rest["channel"].values)}
        for k, name in enumerate(names):
            if name in place:
                kept = mne_info.channel_entry(rest, place[name])
                same = mne.channel_type({"chs": [{**kept, "ch_name": name}]}, 0) == types[k]
                fresh[k] |= kept if same else {"loc": kept["loc"]}
    for k, unit in enumerate(signal["channel_unit"].values):
        if mne_info.unit_text(fresh[k]["unit"], fresh[k]["unit_mul"]) != str(unit):
            number = next((n for n, u in mne_info.UNITS.items() if u == str(unit)), None)
            if number is None:
                left.append(f"unit {str(unit)!r} of channel {names[k]}")
            else:
                fresh[k] |= {"unit": number, "unit_mul": 0}
    _set_places(signal, fresh, left)
    return fresh


def _check_units(names: list[str], types: list[str], units: list[str], usual: list[str]) -> None:
    for name, kind, unit, expected in zip(names, types, units, usual, strict=True):
        if kind == "ref_meg" and unit in ("T", "T/m"):
            continue  # references are magnetometers and gradiometers
        if kind in _SENSORS and unit != expected and expected != "n/a":
            raise SchemaError(
                f"Expected channel {name} of type {kind} in {expected}, which MNE takes for "
                f"granted, got {unit!r}: convert the values and set channel_unit."
            )


def _set_places(signal: xr.Dataset, chs: list[dict[str, Any]], left: list[str]) -> None:
    variables = signal.variables
    if {"x", "y", "z"} <= set(variables):
        place = np.stack([variables[a].values.astype(np.float64) for a in "xyz"], axis=1)
        frame = np.broadcast_to(np.asarray(variables["coord_frame"].values), len(chs))
        words = {w: n for n, w in mne_info.FRAMES.items()}
        foreign = set()
        for k, entry in enumerate(chs):
            if np.isfinite(place[k]).any():
                loc = np.array(entry["loc"], dtype=np.float64)
                same = np.array_equal(loc[:3], place[k])
                loc[:3] = place[k]
                entry["loc"] = entry["loc"] if same else loc
                if str(frame[k]) not in words:
                    foreign.add(str(frame[k]))
            if str(frame[k]) in words:
                entry["coord_frame"] = words[str(frame[k])]
            elif np.isfinite(place[k]).any():
                entry["coord_frame"] = 0
        if foreign:
            left.append(f"coordinate frames {sorted(foreign)} (MNE calls them unknown)")
    if "orientation" in variables:
        axes = variables["orientation"].values.reshape(len(chs), 9)
        for entry, axis in zip(chs, axes, strict=True):
            if np.isfinite(axis).any() and not np.array_equal(entry["loc"][3:], axis):
                entry["loc"] = np.concatenate([entry["loc"][:3], axis])
    if "coil_type" in variables:
        numbers = {word: number for number, word in mne_info.coils().items()}
        for entry, word in zip(chs, variables["coil_type"].values, strict=True):
            if str(word) in numbers and mne_info.coil_name(entry["coil_type"]) != str(word):
                entry["coil_type"] = numbers[str(word)]


def _set_reference(entries: dict[str, Any], reference: Any, left: list[str]) -> None:
    if reference is None:
        return
    known = {"custom": 1, "current source density": 2}
    entries["custom_ref_applied"] = known.get(str(reference), 1)
    if str(reference) not in known:
        left.append(f"the name of the reference, {str(reference)!r}")


def _session_fields(attrs: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    date = attrs.get("meas_date") or attrs.get("session_start_time")
    if date:
        try:
            when = datetime.datetime.fromisoformat(str(date))
        except ValueError:
            left.append(f"the date {date!r}, which is not ISO text")
        else:
            when = when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
            entries["meas_date"] = when.astimezone(datetime.UTC)
    for name in ("experimenter", "description", "proj_name", "utc_offset"):
        if name in attrs:
            entries[name] = str(attrs[name])
    for name in ("proj_id", "gantry_angle", "kit_system_id"):
        if name in attrs:
            entries[name] = attrs[name]
    subject, unknown = mne_info.subject(attrs)
    left += [f"attribute {n!r}" for n in unknown]
    if subject:
        entries["subject_info"] = subject
    device = {k.removeprefix("device_"): v for k, v in attrs.items() if k.startswith("device_")}
    if device:
        entries["device_info"] = device
    return entries


def _name_left(signal: xr.Dataset, groups: Mapping[str, xr.Dataset], left: list[str]) -> None:
    other = [f"/{n}" for n in groups if n.partition("/")[0] not in _HELD]
    if other:
        left.append(f"groups {sorted(other)}")
    trials = (
        set()
        if "trial" not in signal["signal"].dims
        else {str(n) for n, v in signal.variables.items() if v.dims == ("trial",)}
    )
    names = sorted({str(n) for n in signal.variables} - _COORDS - trials)
    if names:
        left.append(f"variables {names} of the signal")
    attrs = sorted({str(n) for n in signal.attrs} - _ATTRS)
    if attrs:
        left.append(f"attributes {attrs} of the signal")


# -- the three kinds ----------------------------------------------------------------------------


def _raw(
    signal: xr.Dataset,
    groups: Mapping[str, xr.Dataset],
    info: Any,
    start: float,
    left: list[str],
) -> Any:
    import mne

    if start != 0:
        left.append(f"the first sample's time, {start:g} s (MNE starts at 0)")
    # A copy, because MNE filters in place.
    values = np.array(signal["signal"].values.T, dtype=np.float64, order="C")
    first = int(signal.attrs.get("first_sample", 0))
    raw = mne.io.RawArray(values, info, first_samp=first, copy="auto", verbose="ERROR")
    events = groups.get("events")
    if events is not None:
        _annotate(raw, schema.check(events, "events"), start, left)
    return raw


def _annotate(raw: Any, events: xr.Dataset, start: float, left: list[str]) -> None:
    """Events become annotations, but for those that a trigger channel of the recording shows."""
    number = events.sizes["event"]
    sources = (
        events["event_source"].values.astype(np.str_)
        if "event_source" in events.variables
        else np.full(number, "annotation")
    )
    shown = np.isin(sources, raw.ch_names)
    annotations = mne_info.event_annotations(events.isel(event=~shown))
    annotations.onset[:] = annotations.onset - start
    stop = raw.n_times / raw.info["sfreq"]
    outside = (annotations.onset < 0) | (annotations.onset > stop)
    if outside.any():
        left.append(f"{int(outside.sum())} events outside the recording")
        annotations = annotations[np.flatnonzero(~outside)]
    annotations.onset[:] = np.maximum(annotations.onset, 0.0)
    raw.set_annotations(annotations, emit_warning=False, verbose="ERROR")
    known = {f"event_{n}" for n in ("onset", "duration", "label", "source", "value", "channels")}
    known |= {"event_previous_value", "event_extras", "event"}
    other = sorted({str(n) for n in events.variables} - known)
    if other:
        left.append(f"columns {other} of the events")


def _epochs(signal: xr.Dataset, groups: Mapping[str, xr.Dataset], info: Any, start: float) -> Any:
    import mne
    import pandas as pd

    number = signal.sizes["trial"]
    rest = groups.get("mne_info")
    known: dict[str, Any] = {}
    if rest is not None and "epochs" in rest:
        known = {
            n: mne_json.decode(v, {}) for n, v in json.loads(str(rest["epochs"].values)).items()
        }
    events, event_id = _event_array(signal, float(info["sfreq"]), known.get("event_id"))
    columns = mne_epochs.metadata_columns(signal)
    if "event_sample" not in signal.variables and "event_onset" in signal.variables:
        columns = [c for c in columns if c != "event_onset"]
    metadata = pd.DataFrame({c: signal[c].values for c in columns}) if columns else None
    options: dict[str, Any] = {}
    if "drop_log" in groups and "trial" in signal.coords:
        reasons = [str(r) for r in groups["drop_log"]["reason"].values]
        log = tuple(tuple(json.loads(r)) if r else () for r in reasons)
        selection = signal["trial"].values.astype(int)
        if [k for k, why in enumerate(log) if not why] == selection.tolist():
            options = {"selection": selection, "drop_log": log}
    values = np.array(signal["signal"].values.transpose(0, 2, 1), np.float64, order="C")
    with warnings.catch_warnings():
        # MNE's way of setting the metadata's index, which pandas will drop one day.
        warnings.filterwarnings("ignore", "The inplace keyword", DeprecationWarning)
        epochs = mne.EpochsArray(
            values,
            info,
            events=events if number else np.empty((0, 3), dtype=int),
            tmin=start,
            event_id=event_id,
            metadata=metadata,
            proj=False,
            verbose="ERROR",
            **options,
        )
    marks = groups.get("events")
    if marks is not None:
        epochs.set_annotations(mne_info.event_annotations(schema.check(marks, "events")))
    # Set, not applied: the values have it already.
    epochs.baseline = _baseline(signal.attrs)
    for name in ("reject", "flat", "reject_tmin", "reject_tmax"):
        if known.get(name) is not None:
            setattr(epochs, name, known[name])
    return epochs


def _event_array(
    signal: xr.Dataset, rate: float, event_id: Any
) -> tuple[np.ndarray, dict[str, int]]:
    number = signal.sizes["trial"]
    if "event_sample" in signal.variables:
        sample = signal["event_sample"].values.astype(int)
    elif "event_onset" in signal.variables:
        sample = np.rint(signal["event_onset"].values * rate).astype(int)
    else:
        sample = np.arange(number) * max(signal.sizes["time"], 1)
    labels = (
        [str(v) for v in signal["event_label"].values]
        if "event_label" in signal.variables
        else ["1"] * number
    )
    before = (
        signal["event_previous_value"].values.astype(int)
        if "event_previous_value" in signal.variables
        else np.zeros(number, dtype=int)
    )
    if "event_value" in signal.variables:
        value = signal["event_value"].values.astype(int)
        if isinstance(event_id, dict):
            names = {str(n): int(v) for n, v in event_id.items() if int(v) in value}
        else:
            names = dict(zip(labels, value.tolist(), strict=True))
        if set(value.tolist()) - set(names.values()):
            names = {str(v): int(v) for v in sorted(set(value.tolist()))}
    else:
        names = {n: k + 1 for k, n in enumerate(dict.fromkeys(labels))}
        value = np.array([names[n] for n in labels], dtype=int)
    return np.stack([sample, before, value], axis=1).reshape(number, 3), names


def _baseline(attrs: Mapping[str, Any]) -> tuple[float | None, float | None] | None:
    ends = attrs.get("baseline_start"), attrs.get("baseline_stop")
    return None if ends == (None, None) else ends


def _evokeds(signal: xr.Dataset, info: Any, start: float) -> list[Any]:
    import mne

    made = []
    for k in range(signal.sizes["condition"]):
        one = signal.isel(condition=k)
        evoked = mne.EvokedArray(
            np.array(one["signal"].values.T, dtype=np.float64, order="C"),
            info,
            tmin=start,
            comment=str(one["condition"].values) if "condition" in one.coords else "",
            nave=int(one["n_averaged"]) if "n_averaged" in one.variables else 1,
            kind=str(one["statistic"].values) if "statistic" in one.variables else "average",
            verbose="ERROR",
        )
        evoked.baseline = _baseline(signal.attrs)
        made.append(evoked)
    return made
