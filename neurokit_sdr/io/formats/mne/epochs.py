"""Epochs and averages of MNE as Datasets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.mne import encoding as mne_json
from neurokit_sdr.io.formats.mne import info as mne_info
from neurokit_sdr.io.formats.mne import read as mne_read

_OWN = ("event_sample", "event_value", "event_previous_value", "event_label", "event_onset")


def epochs_groups(
    epochs: Any, path: Path | None = None
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups and root attributes of epochs; with a path, their values stay in that file.

    ``/signal`` has dims (trial, time, channel), ``trial`` counts the original events, and what is
    known of each trial lies on it. ``/drop_log`` says of every original event why it was dropped.
    """
    info = epochs.info
    shape = (len(epochs.events), len(epochs.times), len(epochs.ch_names))
    attrs = {"long_name": "recorded signal", "units": mne_read.one_unit(info)}
    dims = ("trial", "time", "channel")
    if path is None:
        values = epochs.get_data(verbose="ERROR").transpose(0, 2, 1)
        variable = xr.Variable(dims, values, attrs)
    else:
        read = partial(_read_epochs, str(path), shape)
        variable = lazy_variable(dims, read, shape, np.float64, attrs)
    signal = xr.Dataset(
        {"signal": variable},
        coords=mne_info.channel_coords(info) | _trial_coords(epochs, path),
        attrs=mne_info.signal_attrs(info) | _epoch_attrs(epochs),
    ).assign_coords(_times(epochs.times, float(info["sfreq"])))
    groups = {"/signal": signal, "/drop_log": _drop_log(epochs)}
    annotations = getattr(epochs, "annotations", None)
    if annotations is not None and len(annotations):
        groups["/events"] = mne_read.event_dataset([mne_read.annotation_columns(annotations, 0.0)])
        groups["/events"].attrs["description"] = (
            "seconds on the clock of event_sample, which starts with the acquisition"
        )
    groups |= mne_info.info_groups(info)
    arrays: list[np.ndarray] = []
    known = {
        name: mne_json.encode(getattr(epochs, name), arrays)
        for name in ("event_id", "reject", "flat", "reject_tmin", "reject_tmax")
    }
    groups["/mne_info"]["epochs"] = ((), np.array(json.dumps(known), dtype=np.str_))
    return groups, mne_info.session_attrs(info)


def _times(times: np.ndarray, rate: float) -> xr.Coordinates:
    first = round(float(times[0]) * rate) if len(times) else 0
    return even_time(len(times), rate, first / rate)


def _epoch_attrs(epochs: Any) -> dict[str, Any]:
    dropped = [i for i, why in enumerate(epochs.drop_log) if why]
    attrs: dict[str, Any] = {"n_dropped": len(dropped)}
    if _event_rate(epochs) != float(epochs.info["sfreq"]):
        attrs["event_sampling_rate"] = _event_rate(epochs)
    return attrs | baseline_attrs(epochs.baseline)


def _event_rate(epochs: Any) -> float:
    """Rate of the clock that counts the events: the recording's, before any resampling."""
    rate = getattr(epochs, "_raw_sfreq", None)
    rate = epochs.info["sfreq"] if rate is None else rate
    return float(np.ravel(rate)[0])


def baseline_attrs(baseline: Any) -> dict[str, Any]:
    """The interval whose mean was subtracted, in s; open ends are left out."""
    if baseline is None:
        return {}
    ends = zip(("baseline_start", "baseline_stop"), baseline, strict=True)
    return {name: float(value) for name, value in ends if value is not None}


def _trial_coords(epochs: Any, path: Path | None) -> dict[str, Any]:
    events = np.asarray(epochs.events).reshape(-1, 3)
    names: dict[int, list[str]] = {}
    for name, value in epochs.event_id.items():
        names.setdefault(int(value), []).append(str(name))
    labels = ["/".join(names.get(int(v), [str(v)])) for v in events[:, 2]]
    rate = _event_rate(epochs)
    coords: dict[str, Any] = {
        "trial": ("trial", np.asarray(epochs.selection, dtype=np.int64)),
        "event_sample": ("trial", events[:, 0].astype(np.int64)),
        "event_onset": ("trial", events[:, 0] / rate, {"units": "s"}),
        "event_value": ("trial", events[:, 2].astype(np.int64)),
        "event_previous_value": ("trial", events[:, 1].astype(np.int64)),
        "event_label": ("trial", np.array(labels, dtype=np.str_)),
    }
    if epochs.metadata is None:
        return coords
    left = []
    for name in epochs.metadata.columns:
        column = assemble.plain_array(epochs.metadata[name].to_numpy())
        if column is None:
            column = np.array([str(v) for v in epochs.metadata[name]], dtype=np.str_)
            left.append(f"the types of metadata column {name!r} (kept as text)")
        taken = [*coords, "signal", "time", "channel", "bad", "x", "y", "z"]
        coords[assemble.free_name(str(name), taken)] = ("trial", column)
    assemble.warn_left_out(path or Path("Epochs"), left)
    return coords


def metadata_columns(signal: xr.Dataset) -> list[str]:
    """Coordinates on ``trial`` that are the trials' own, not the events' of MNE."""
    return [
        str(n)
        for n, c in signal.coords.items()
        if c.dims == ("trial",) and n not in {*_OWN, "trial"}
    ]


def _drop_log(epochs: Any) -> xr.Dataset:
    reasons = [json.dumps(list(why)) if why else "" for why in epochs.drop_log]
    return xr.Dataset(
        {"reason": ("event", np.array(reasons, dtype=np.str_))},
        attrs={"description": "why each original event gave no trial, as JSON; empty where it did"},
    )


def _read_epochs(path: str, shape: tuple[int, int, int], key: tuple[Any, ...]) -> np.ndarray:
    trial, time, channel = key
    with mne_read.opening(path):
        epochs = open_epochs(path)
    with mne_read.mne_errors(path):
        if (len(epochs.events), len(epochs.times), len(epochs.ch_names)) != shape:
            raise FileFormatError(
                f"Expected {shape[0]} trials of {shape[1]} samples and {shape[2]} channels in "
                f"{path}, as when it was opened: it has changed; read it again."
            )
        trials, picks = np.arange(shape[0])[trial], np.arange(shape[2])[channel]
        rows, columns = np.atleast_1d(trials), np.atleast_1d(picks)
        if rows.size == 0 or columns.size == 0:
            values = np.empty((rows.size, columns.size, shape[1]))
        else:
            values = epochs.get_data(picks=columns, item=rows, verbose="ERROR")
    values = values.transpose(0, 2, 1)[:, time]
    if np.ndim(picks) == 0:
        values = values[..., 0]
    return values[0] if np.ndim(trials) == 0 else values


def open_epochs(path: str | Path) -> Any:
    """Epochs of a FIF file as they were saved: no projection applied, nothing dropped, lazy."""
    import mne

    return mne.read_epochs(path, proj=False, preload=False)


def evoked_groups(evokeds: Sequence[Any]) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Groups and root attributes of averages.

    Those of the same times and channels share ``/evoked``, with dims (condition, time, channel);
    where there are several such sets, each is ``/evoked/0``, ``/evoked/1`` and so on.
    """
    sets: dict[Any, list[Any]] = {}
    for evoked in evokeds:
        place = (evoked.first, evoked.last, evoked.info["sfreq"], tuple(evoked.ch_names))
        state = (tuple(sorted(evoked.info["bads"])), evoked.baseline)
        sets.setdefault((place, state), []).append(evoked)
    groups: dict[str, xr.Dataset] = {}
    for k, alike in enumerate(sets.values()):
        groups["/evoked" if len(sets) == 1 else f"/evoked/{k}"] = _evoked(alike)
    info = evokeds[0].info
    return groups | mne_info.info_groups(info), mne_info.session_attrs(info)


def _evoked(evokeds: Sequence[Any]) -> xr.Dataset:
    first = evokeds[0]
    values = np.stack([e.data.T for e in evokeds])
    comments = np.array([str(e.comment or "") for e in evokeds], dtype=np.str_)
    return xr.Dataset(
        {
            "signal": (
                ("condition", "time", "channel"),
                values,
                {"long_name": "average", "units": mne_read.one_unit(first.info)},
            ),
            "n_averaged": (
                "condition",
                np.array([int(e.nave) for e in evokeds]),
                {"units": "1", "long_name": "trials in the average"},
            ),
        },
        coords=mne_info.channel_coords(first.info)
        | {
            "condition": ("condition", comments),
            "statistic": ("condition", np.array([str(e.kind) for e in evokeds], dtype=np.str_)),
        },
        attrs=mne_info.signal_attrs(first.info) | baseline_attrs(first.baseline),
    ).assign_coords(_times(first.times, float(first.info["sfreq"])))
