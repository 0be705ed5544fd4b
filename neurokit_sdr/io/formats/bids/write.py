"""A recording into a BIDS dataset: samples, and the sidecars that say what they are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr._version import __version__
from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError, warn
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.io.formats.bids.files import read_tsv
from neurokit_sdr.io.formats.bids.names import DESCRIPTION, TYPES
from neurokit_sdr.io.formats.brainvision.write import write_brainvision
from neurokit_sdr.io.lazy import path_of
from neurokit_sdr.io.recording import recordings, sample_clock

_VERSION = "1.10.0"
#: Words that BIDS has for coordinate systems of each kind of recording.
_TEMPLATES = set(
    """
    ICBM452AirSpace ICBM452Warp5Space IXI549Space fsaverage fsaverageSym fsLR MNIColin27 MNI152Lin
    MNI152NLin2009aSym MNI152NLin2009bSym MNI152NLin2009cSym MNI152NLin2009aAsym
    MNI152NLin2009bAsym MNI152NLin2009cAsym MNI152NLin6Sym MNI152NLin6ASym MNI305 NIHPD
    OASIS30AntsOASISAnts OASIS30Atropos Talairach UNCInfant Other
    """.split()  # noqa: SIM905
)
_FRAMES = {
    "ieeg": {"ACPC", "ScanRAS", *_TEMPLATES},
    "eeg": {"CapTrak", "EEGLAB", "EEGLAB-HJ", "CTF", "ElektaNeuromag", "4DBti", "KitYokogawa",
            "ChietiItab", *_TEMPLATES},
}  # fmt: skip
_WORDS = {v: k for k, v in reversed(TYPES.items())}
_COUNTS = {
    "EEG": ("eeg",),
    "SEEG": ("seeg", "dbs"),  # BIDS has no count of its own for the contacts of DBS
    "ECOG": ("ecog",),
    "EOG": ("eog",),
    "ECG": ("ecg",),
    "EMG": ("emg",),
    "Misc": ("misc",),
    "Trigger": ("stim",),
}
#: What channels.tsv has a column for, from the coordinates of channels.
_COLUMNS = (
    "reference",
    "group",
    "sampling_frequency",
    "description",
    "notch",
    "status_description",
)
#: Coordinates and attributes that go elsewhere, or follow from what is written.
_ELSEWHERE = {
    *("time", "channel", "channel_type", "channel_unit", "bad", "x", "y", "z", "coord_frame"),
    *("file_unit", "resolution", "bids_type", "bids_unit", "status", "low_cutoff", "high_cutoff"),
}
_ATTRS = {
    *("sampling_rate", "line_freq", "highpass", "lowpass", "reference", "history", "space"),
    *("coord_frame_description", "sidecar"),
}


def write_bids(
    data: xr.Dataset | xr.DataTree,
    folder: str | os.PathLike[str],
    *,
    subject: str,
    task: str,
    session: str | None = None,
    run: str | None = None,
) -> Path:
    """Write signals, and events where there are any, as a recording of a BIDS dataset.

    Intracranial channels make it iEEG, others EEG. Samples become BrainVision, 32-bit floats in
    the units of the channels. Positions go to ``electrodes.tsv``; a coordinate frame that BIDS has
    no word for is written as ``Other``, with its own name as the description. The dataset is made
    where there is none yet, and gains the recording where there is. Each file appears only once it
    is whole.

    Parameters
    ----------
    data
        A Dataset with ``signal(time, channel)``, evenly sampled; or a session with ``/signal`` and
        ``/events``.
    folder
        The dataset's.
    subject, task, session, run
        Labels: letters and digits. A recording of the same labels is replaced.

    Returns
    -------
    pathlib.Path
        The recording's header file, which :func:`read_seeg` reads.

    Raises
    ------
    ParameterError
        If a label has other characters.
    SchemaError
        If the data are no continuous, evenly sampled signals of one rate, or MEG.

    Warns
    -----
    DataWarning
        Saying what 32 bits cost, and naming what BIDS has no place for.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> potential = xr.Dataset(
    ...     {"signal": (("time", "channel"), np.array([[0.5, -1.0], [0.25, 2.0]]))},
    ...     coords={
    ...         "time": ("time", [0.0, 0.5], {"units": "s"}),
    ...         "channel": ["LA1", "LA2"],
    ...         "channel_type": ("channel", ["seeg", "seeg"]),
    ...         "channel_unit": ("channel", ["V", "V"]),
    ...         "bad": ("channel", [False, True]),
    ...     },
    ... )
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> path = nks.io.write_bids(potential, folder, subject="01", task="rest")
    >>> path.name
    'sub-01_task-rest_ieeg.vhdr'
    >>> nks.io.read(folder)["/signal/bad"].values.tolist()
    [False, True]
    """
    folder = path_of(folder)
    labels = {"sub": subject, "ses": session, "task": task, "run": run}
    for name, label in labels.items():
        if label is not None and not re.fullmatch(r"[A-Za-z0-9]+", str(label), re.ASCII):
            raise ParameterError(
                f"Expected {name!r} of letters and digits, as BIDS wants, got {label!r}."
            )
    signals, events, attrs = recordings(data, "BIDS")
    if len(signals) > 1:
        raise SchemaError(
            f"Expected signals of one sampling rate, got {len(signals)} groups: write each as a "
            f"recording of its own (another run)."
        )
    (signal,) = signals
    _check(signal)
    start, rate = sample_clock(signal, "BIDS")
    types = signal["channel_type"].values.astype(np.str_).tolist()
    kind = "ieeg" if {"seeg", "ecog", "dbs"} & set(types) else "eeg"
    parts = [f"{k}-{v}" for k, v in labels.items() if v is not None]
    within = [p for p in parts if p[:4] in ("sub-", "ses-")]
    place = folder.joinpath(*within, kind)
    place.mkdir(parents=True, exist_ok=True)
    stem = "_".join(parts)
    _dataset(folder, subject, attrs)
    tables = {
        f"{stem}_channels.tsv": _channels(signal, rate),
        f"{stem}_events.tsv": _events(events, start),
        **_electrodes(signal, kind, "_".join(within)),
        f"{stem}_{kind}.json": _sidecar(signal, kind, task, rate, types),
    }
    for name, content in tables.items():
        if content is not None:
            _write(place / name, content)
        else:
            (place / name).unlink(missing_ok=True)
    header = place / f"{stem}_{kind}.vhdr"
    moment = str(attrs.get("meas_date", ""))
    cost = write_brainvision(signal, header, rate, start, events, moment)
    _scan(folder.joinpath(*within), "_".join(within), f"{kind}/{header.name}", moment)
    _name_left_out(signal, events, start, cost)
    return header


def _check(data: xr.Dataset) -> None:
    if data["signal"].dims != ("time", "channel"):
        raise SchemaError(
            f"Expected signal(time, channel) for BIDS, got {data['signal'].dims}: BIDS has "
            f"recordings without cuts only; save trials with nks.save."
        )
    if not data.sizes["channel"] or not data.sizes["time"]:
        raise SchemaError(f"Expected at least one channel and one sample, got {dict(data.sizes)}.")
    types = set(data["channel_type"].values.astype(np.str_).tolist())
    if types & {"mag", "grad", "ref_meg"}:
        raise SchemaError(
            f"Expected sEEG, ECoG or EEG, got channel types {sorted(types)}: write MEG with "
            f"nks.io.write_fif."
        )
    texts = [*map(str, data["channel"].values), *map(str, data["channel_unit"].values)]
    if any(re.search(r"[\t\r\n]", t) or t != t.strip() or not t for t in texts):
        raise SchemaError(
            "Expected names and units of channels without tabs, line breaks and blanks at their "
            "ends, got others: rename them."
        )


# -- tables -------------------------------------------------------------------------------------


def _channels(data: xr.Dataset, rate: float) -> str:
    number = data.sizes["channel"]
    types = data["channel_type"].values.astype(np.str_)
    words = [_WORDS.get(t, "MISC") for t in types]
    if "bids_type" in data.coords:
        written = data["bids_type"].values.astype(np.str_)
        words = [
            w if TYPES.get(w.upper(), "misc") == t and w != "n/a" else v
            for w, t, v in zip(written, types, words, strict=True)
        ]
    columns: dict[str, Any] = {
        "name": data["channel"].values,
        "type": words,
        "units": data["channel_unit"].values,
    }
    for column, attr in (("low_cutoff", "highpass"), ("high_cutoff", "lowpass")):
        columns[column] = np.full(number, data.attrs.get(attr, np.nan))
        if column in data.coords:
            columns[column] = data[column].values
    columns["sampling_frequency"] = np.full(number, rate)
    for name in _COLUMNS:
        if name in data.coords and name not in columns:
            columns[name] = data[name].values
    bad = data["bad"].values if "bad" in data.coords else np.zeros(number, dtype=bool)
    columns["status"] = np.where(bad, "bad", "good")
    if "status_description" not in columns:
        columns["status_description"] = np.full(number, "n/a")
    return _table(columns)


def _events(events: xr.Dataset | None, start: float) -> str | None:
    if events is None:
        return None
    columns: dict[str, Any] = {
        "onset": events["event_onset"].values - start,
        "duration": events["event_duration"].values,
        "trial_type": events["event_label"].values,
    }
    for name, values in events.variables.items():
        if values.dims == ("event",) and name not in {
            "event_onset",
            "event_duration",
            "event_label",
        }:
            columns.setdefault(str(name), values.values)
    return _table(columns)


def _electrodes(data: xr.Dataset, kind: str, stem: str) -> dict[str, str | None]:
    names = {"electrodes": f"{stem}_electrodes.tsv", "system": f"{stem}_coordsystem.json"}
    axes = [data[a].values for a in "xyz" if a in data.coords]
    if len(axes) < 3 or not np.isfinite(np.stack(axes)).all(axis=0).any():
        return {}
    known = np.isfinite(np.stack(axes)).all(axis=0)
    frames = np.unique(np.broadcast_to(data["coord_frame"].values, known.shape)[known])
    if len(frames) > 1:
        raise SchemaError(
            f"Expected positions in one coordinate frame, got {frames.tolist()}: write the "
            f"channels of each as a recording of its own."
        )
    contacts = np.isin(data["channel_type"].values.astype(np.str_), ("eeg", "seeg", "ecog", "dbs"))
    columns: dict[str, Any] = {"name": data["channel"].values[contacts | known]}
    for axis, values in zip("xyz", axes, strict=True):
        columns[axis] = values[contacts | known]
    if kind == "ieeg":
        size = data["size"].values[contacts | known] if "size" in data.coords else None
        columns["size"] = np.full(len(columns["name"]), np.nan) if size is None else size
    frame = str(frames[0])
    prefix = {"ieeg": "iEEG", "eeg": "EEG"}[kind]
    system = {
        f"{prefix}CoordinateSystem": frame if frame in _FRAMES[kind] else "Other",
        f"{prefix}CoordinateUnits": "m",
    }
    described = str(data.attrs.get("coord_frame_description", ""))
    if frame not in _FRAMES[kind] or frame == "Other":
        own = frame if frame not in _FRAMES[kind] else described or str(data.attrs.get("space", ""))
        system[f"{prefix}CoordinateSystemDescription"] = own or "n/a"
    if frame not in _FRAMES[kind]:
        warn(
            f"BIDS has no coordinate system {frame!r}: it is written as 'Other', with "
            f"{frame!r} as its description."
        )
    return {names["electrodes"]: _table(columns), names["system"]: _json(system)}


def _sidecar(data: xr.Dataset, kind: str, task: str, rate: float, types: list[str]) -> str:
    prefix = {"ieeg": "iEEG", "eeg": "EEG"}[kind]
    line = data.attrs.get("line_freq")
    try:
        known = json.loads(str(data.attrs.get("sidecar", "{}")))
    except ValueError:
        known = {}
    fields: dict[str, Any] = {
        "SoftwareFilters": "n/a",
        **(known if isinstance(known, dict) else {}),
        "TaskName": task,
        "SamplingFrequency": rate,
        "PowerLineFrequency": "n/a" if line is None else float(line),
        f"{prefix}Reference": str(data.attrs.get("reference", "n/a")),
        "RecordingDuration": data.sizes["time"] / rate,
        "RecordingType": "continuous",
    }
    for name, counted in _COUNTS.items():
        fields[f"{name}ChannelCount"] = sum(map(types.count, counted))
    if "history" in data.attrs:
        history = data.attrs["history"]
        fields["SoftwareFilters"] = {"history": {"steps": history}}
    return _json(fields)


def _table(columns: dict[str, Any]) -> str:
    texts = {k: [_cell(v) for v in np.asarray(values)] for k, values in columns.items()}
    rows = zip(*texts.values(), strict=True)
    return "".join("\t".join(row) + "\n" for row in [tuple(texts), *rows])


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if not np.isfinite(number):
            return "n/a"
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    return re.sub(r"[\t\r\n]+", " ", str(value)).strip() or "n/a"


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=4, ensure_ascii=False) + "\n"


def _write(path: Path, content: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


# -- the dataset --------------------------------------------------------------------------------


def _dataset(folder: Path, subject: str, attrs: dict[str, Any]) -> None:
    description = folder / DESCRIPTION
    if not description.exists():
        fields = {
            "Name": str(attrs.get("dataset_name") or folder.name or "recordings"),
            "BIDSVersion": _VERSION,
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": "neurokit_sdr", "Version": __version__}],
        }
        _write(description, _json(fields))
    if not (folder / "README").exists() and not list(folder.glob("README.*")):
        _write(folder / "README", "Recordings written by neurokit_sdr.\n")
    known = {
        k.removeprefix("subject_"): v
        for k, v in attrs.items()
        if k.startswith("subject_") and k != "subject_id" and isinstance(v, str | int | float)
    }
    _add_row(
        folder / "participants.tsv", "participant_id", {"participant_id": f"sub-{subject}"} | known
    )


def _scan(within: Path, stem: str, name: str, moment: str) -> None:
    row = {"filename": name, "acq_time": moment if "T" in moment else "n/a"}
    _add_row(within / f"{stem}_scans.tsv", "filename", row)


def _add_row(path: Path, key: str, row: dict[str, Any]) -> None:
    """Add a row to a table, or replace the one of the same key."""
    table = read_tsv(path) if path.exists() else {key: []}
    if key not in table:
        raise FileFormatError(
            f"Expected a column {key!r} in {path}, got {list(table)}: correct it."
        )
    keep = [k for k, value in enumerate(table[key]) if value != str(row[key])]
    names = list(dict.fromkeys([*table, *row]))
    total = len(table[key])
    columns = {
        n: [table.get(n, ["n/a"] * total)[k] for k in keep] + [_cell(row.get(n, "n/a"))]
        for n in names
    }
    _write(path, _table(columns))


# -- what could not be kept ---------------------------------------------------------------------


def _name_left_out(data: xr.Dataset, events: xr.Dataset | None, start: float, cost: float) -> None:
    left = {str(n) for n in data.variables} - _ELSEWHERE - set(_COLUMNS) - {"signal", "size"}
    left |= {str(k) for k in data.attrs} - _ATTRS
    if events is not None:
        left |= {str(n) for n, v in events.variables.items() if v.dims != ("event",)}
    if left:
        warn(f"BIDS has no place for {', '.join(sorted(left))}: save with nks.save to keep them.")
    if start:
        warn(
            f"BIDS counts time from the first sample: {start:g} s, its time here, becomes 0, and "
            f"events move with it."
        )
    if cost:
        warn(
            f"BrainVision holds 32-bit floats: values are rounded by up to {cost:.2g} of "
            f"themselves."
        )
