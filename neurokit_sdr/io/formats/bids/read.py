"""BIDS: a recording with everything its dataset says about it.

Written from the Brain Imaging Data Structure specification (version 1.10), for iEEG, EEG and MEG.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, warn
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.bids.files import (
    absolute,
    check_reference,
    derived_tables,
    entities,
    find_recordings,
    find_root,
    is_recording,
    merged_json,
    numbers,
    read_json,
    read_tsv,
    rows_by,
    sidecars,
    typed,
)
from neurokit_sdr.io.formats.bids.names import DESCRIPTION, LONGEST, TYPES
from neurokit_sdr.io.formats.nwb.read import read_nwb
from neurokit_sdr.io.formats.recorders import read_recording
from neurokit_sdr.io.meg import read_meg
from neurokit_sdr.io.recording import events_dataset
from neurokit_sdr.io.registry import Reader, with_chunks

#: Metres in one unit of positions.
METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_ENTITIES = {
    "ses": "session",
    "task": "task",
    "acq": "acquisition",
    "run": "run",
    "proc": "processing",
    "rec": "recording_label",
}


def is_bids(path: Path) -> bool:
    """Whether a path is a BIDS dataset with recordings, a folder of one, or a recording in one."""
    root = find_root(path)
    if root is None:
        return False
    path = absolute(path)
    if is_recording(path):
        return True
    return path.is_dir() and bool(find_recordings(path))


def read_bids(path: Path) -> xr.DataTree:
    """Read the recording that a dataset, a folder of one, or a file names.

    :func:`neurokit_sdr.io.read_seeg` says into what.
    """
    path = absolute(path)
    root = find_root(path)
    if root is None:
        raise FileFormatError(
            f"Expected {DESCRIPTION} in the folder of a BIDS dataset around {path}, found none: "
            f"copy the dataset with it."
        )
    recording = check_inside(_only_recording(path, root), root)
    if recording.is_symlink() and not recording.exists():
        raise FileFormatError(
            f"{recording} is a link to nothing: its content was not fetched (datalad get)."
        )
    return _Session(recording, root).read()


def _only_recording(path: Path, root: Path) -> Path:
    if is_recording(path):
        return path
    found = find_recordings(path) if path.is_dir() else []
    if not found:
        raise FileFormatError(
            f"Expected a recording (sub-..._ieeg, _eeg or _meg) in {path}, found none: see that "
            f"the dataset is complete."
        )
    if len(found) > 1:
        some = "".join(f"\n  {f.relative_to(root).as_posix()}" for f in found[:20])
        raise FileFormatError(
            f"Expected one recording, found {len(found)} in {path}: read one of them at a time, "
            f"such as nks.io.read({str(found[0])!r}):{some}{' ...' if len(found) > 20 else ''}"
        )
    return found[0]


class _Session:
    """One recording being put together: the groups so far, and what is left out."""

    def __init__(self, recording: Path, root: Path) -> None:
        self.recording, self.root = recording, root
        self.entities, self.suffix, _ = entities(recording.name)
        self.groups: dict[str, xr.Dataset] = {}
        self.attrs: dict[str, Any] = {}
        self.left: list[str] = []

    def read(self) -> xr.DataTree:
        tree = _read_file(self.recording, self.suffix)
        self.attrs = {str(k): v for k, v in tree.attrs.items()}
        self.groups = {
            n.path: n.to_dataset(inherit=False)
            for n in tree.subtree
            if n.path != "/" and (n.variables or n.attrs)
        }
        self._sidecar()
        self._channels()
        self._electrodes()
        self._events()
        self._derivatives()
        self._session()
        assemble.warn_left_out(self.recording, self.left)
        return assemble.session(self.groups, self.attrs)

    def _signals(self) -> list[str]:
        return [g for g in self.groups if g == "/signal" or g.startswith("/signal/")]

    def _files(self, suffix: str, extension: str, *extra: str) -> list[Path]:
        return sidecars(self.recording, self.root, suffix, extension, extra)

    def _json(self, value: dict[str, Any], name: str) -> dict[str, str]:
        """The fields as one attribute; named as left out where attributes cannot hold them."""
        text = json.dumps(value, ensure_ascii=False)
        if not value:
            return {}
        if len(text) > LONGEST:
            self.left.append(f"{name}.json, which is longer than attributes can be")
            return {}
        return {name: text}

    # -- channels -------------------------------------------------------------------------------

    def _sidecar(self) -> None:
        fields = merged_json(self._files(self.suffix, ".json"))
        attrs: dict[str, Any] = self._json(fields, "sidecar")
        line = fields.get("PowerLineFrequency")
        if isinstance(line, int | float) and not isinstance(line, bool):
            attrs["line_freq"] = float(line)
        reference = fields.get(f"{_prefix(self.suffix)}Reference")
        if isinstance(reference, str) and reference != "n/a":
            attrs["reference"] = reference
        for group in self._signals():
            self.groups[group] = self.groups[group].assign_attrs(attrs)
            rate = self.groups[group].attrs.get("sampling_rate")
            said = fields.get("SamplingFrequency")
            if len(self._signals()) == 1 and isinstance(said, int | float) and rate:
                self._compare_rate(float(said), float(rate), f"_{self.suffix}.json")

    def _compare_rate(self, said: float, rate: float, where: str) -> None:
        if np.isfinite(said) and abs(said - rate) > 1e-3 * rate:
            warn(
                f"{self.recording.name} is sampled at {rate:g} Hz, and its {where} says {said:g} "
                f"Hz: the recording is believed."
            )

    def _channels(self) -> None:
        files = self._files("channels", ".tsv")
        if not files:
            return
        table = read_tsv(files[-1])
        rows = rows_by(table, "name")
        used: set[str] = set()
        for group in self._signals():
            data = self.groups[group]
            names = [str(n) for n in data["channel"].values]
            place = [rows.get(n, -1) for n in names]
            used |= {n for n, p in zip(names, place, strict=True) if p >= 0}
            missing = [n for n, p in zip(names, place, strict=True) if p < 0]
            if missing:
                warn(
                    f"{files[-1].name} has no row for {', '.join(missing[:10])}: type and status "
                    f"of these channels are the recording's own."
                )
            columns = {k: [v[p] if p >= 0 else "n/a" for p in place] for k, v in table.items()}
            self.groups[group] = self._described(data, columns, files[-1])
        unknown = [n for n in rows if n not in used]
        if unknown:
            self.left.append(
                f"rows of {files[-1].name} without a channel ({', '.join(unknown[:10])})"
            )

    def _described(self, data: xr.Dataset, columns: dict[str, list[str]], file: Path) -> xr.Dataset:
        types = [str(t) for t in data["channel_type"].values]
        units = [str(u) for u in data["channel_unit"].values]
        for k, word in enumerate(columns.get("type", [])):
            if not word.upper().startswith("MEG") and word != "n/a":
                types[k] = TYPES.get(word.upper(), "misc")
        for k, word in enumerate(columns.get("units", [])):
            if units[k] in ("", "n/a") and word != "n/a":
                units[k] = word  # the recording itself does not say
        new: dict[str, Any] = {
            "channel_type": ("channel", np.array(types, dtype=np.str_)),
            "channel_unit": ("channel", np.array(units, dtype=np.str_)),
        }
        status = [s.lower() for s in columns.get("status", [])]
        if status:
            own = data["bad"].values if "bad" in data.coords else np.zeros(len(types), bool)
            said = [o if s not in ("good", "bad") else s == "bad"
                    for s, o in zip(status, own, strict=True)]  # fmt: skip
            new["bad"] = ("channel", np.array(said, dtype=bool))
        data = data.assign_coords(new)
        renamed = {"type": "bids_type", "units": "bids_unit"}
        for name, column in columns.items():
            if name == "name":
                continue
            values = typed(column)
            label = renamed.get(name, name)
            if label in data.variables and label not in {"reference"}:
                label = assemble.free_name(f"bids_{label}", data.variables)
            attrs = {"units": "Hz"} if name in _HERTZ and values.dtype.kind in "if" else {}
            data = data.assign_coords({label: ("channel", values, attrs)})
        for attr, name in (("highpass", "low_cutoff"), ("lowpass", "high_cutoff")):
            cutoff = set(numbers(columns.get(name, ["n/a"])).tolist())
            if len(cutoff) == 1 and np.isfinite(next(iter(cutoff))):
                data.attrs[attr] = cutoff.pop()
        rates = numbers(columns.get("sampling_frequency", []))
        for said in set(rates[np.isfinite(rates)].tolist()):
            self._compare_rate(said, float(data.attrs.get("sampling_rate", said)), file.name)
        return data

    # -- electrodes -----------------------------------------------------------------------------

    def _electrodes(self) -> None:
        tables = {}
        for file in self._files("electrodes", ".tsv", "space"):
            tables[entities(file.name)[0].get("space", "")] = file  # the nearest of each space
        for space, file in tables.items():
            group = "/electrodes" if len(tables) == 1 else f"/electrodes/{space or 'no_space'}"
            self.groups[group] = self._electrode_group(file, space)
        if len(tables) > 1:
            warn(
                f"{self.recording.name} has positions in {len(tables)} spaces "
                f"({', '.join(s or 'none named' for s in tables)}): /electrodes holds all, the "
                f"channels those of {next(iter(tables)) or 'the one without a name'}."
            )
        if tables:
            first = next(g for g in self.groups if g.startswith("/electrodes"))
            for group in self._signals():
                self.groups[group] = _placed(self.groups[group], self.groups[first])

    def _electrode_group(self, file: Path, space: str) -> xr.Dataset:
        systems = [
            f
            for f in self._files("coordsystem", ".json", "space")
            if entities(f.name)[0].get("space", "") == space
        ]
        system = merged_json(systems)
        prefix = _prefix(self.suffix)
        frame = str(system.get(f"{prefix}CoordinateSystem") or space or "n/a")
        unit = str(system.get(f"{prefix}CoordinateUnits") or "n/a")
        table = read_tsv(file)
        names = table.pop("name", [])
        scale = METRES.get(unit)
        coords: dict[str, Any] = {"electrode": ("electrode", np.array(names, dtype=np.str_))}
        written = {}
        for axis in "xyz":
            values = numbers(table.pop(axis, ["n/a"] * len(names)))
            metres = values * scale if scale else np.full(len(names), np.nan)
            coords[axis] = ("electrode", metres, {"units": "m", "file_unit": unit})
            written[f"{axis}_written"] = ("electrode", values, {"units": unit})
        coords["coord_frame"] = ("electrode", np.full(len(names), frame))
        if scale is None and any(np.isfinite(v[1]).any() for v in written.values()):
            coords |= written
            warn(
                f"{file.name} has positions in {unit!r}, which are no metres: they are kept as "
                f"written in x_written, y_written and z_written of /electrodes, and x, y, z are "
                f"NaN."
            )
        for name, column in table.items():
            coords[assemble.free_name(name, coords)] = ("electrode", typed(column))
        attrs = {"coord_frame": frame, "coordinate_unit": unit}
        if space:
            attrs["space"] = space
        described = system.get(f"{prefix}CoordinateSystemDescription")
        if isinstance(described, str) and described != "n/a":
            attrs["coord_frame_description"] = described
        attrs |= self._json(system, "coordsystem")
        attrs |= self._json(merged_json(self._files("electrodes", ".json", "space")), "sidecar")
        return xr.Dataset(coords=coords, attrs=attrs)

    # -- events ---------------------------------------------------------------------------------

    def _events(self) -> None:
        files = self._files("events", ".tsv")
        if not files:
            return
        if "/events" in self.groups:
            self.groups["/markers"] = self.groups.pop("/events")
        events = self._event_table(files[-1])
        events.attrs |= self._json(merged_json(self._files("events", ".json")), "sidecar")
        self.groups["/events"] = events

    def _event_table(self, file: Path) -> xr.Dataset:
        table = read_tsv(file)
        onset = numbers(table.get("onset", []))
        known = np.isfinite(onset)
        if not known.all():
            self.left.append(f"{int((~known).sum())} rows of {file.name} without an onset")
        kept = {k: [v for v, keep in zip(values, known, strict=True) if keep]
                for k, values in table.items()}  # fmt: skip
        number = int(known.sum())
        starts = [self.groups[g]["time"].values[:1] for g in self._signals()]
        start = float(starts[0][0]) if starts and starts[0].size else 0.0
        label = next(
            (kept[k] for k in ("trial_type", "label", "event", "value") if k in kept),
            ["n/a"] * number,
        )
        columns = {k: typed(v) for k, v in kept.items() if k not in ("onset", "duration")}
        return events_dataset(
            onset[known] + start, numbers(kept.get("duration", ["n/a"] * number)), label, columns
        )

    def _derivatives(self) -> None:
        for group, file in derived_tables(self.recording, self.root):
            events = self._event_table(file)
            described = file.with_suffix(".json")
            if described.is_file():
                fields = read_json(check_inside(described, self.root))
                events.attrs |= self._json(fields, "sidecar")
            self.groups[f"/derivatives/{assemble.free_name(group, self.groups)}"] = events

    # -- session --------------------------------------------------------------------------------

    def _session(self) -> None:
        subject = f"sub-{self.entities['sub']}"
        attrs: dict[str, Any] = {"source": f"BIDS, {self.attrs.get('source', self.suffix)}"}
        attrs["subject_id"] = subject
        attrs |= {v: self.entities[k] for k, v in _ENTITIES.items() if k in self.entities}
        description = read_json(check_inside(self.root / DESCRIPTION, self.root))
        attrs |= self._json(description, "dataset_description")
        attrs |= self._row(self.root / "participants.tsv", "participant_id", subject, "subject_")
        within = self.root / subject
        if "ses" in self.entities:
            session = f"ses-{self.entities['ses']}"
            attrs |= self._row(
                within / f"{subject}_sessions.tsv", "session_id", session, "session_"
            )
            within = within / session
        scans = within / f"{within.relative_to(self.root).as_posix().replace('/', '_')}_scans.tsv"
        name = self.recording.relative_to(within).as_posix()
        scan = self._row(scans, "filename", name, "scan_")
        if "scan_acq_time" in scan:
            attrs["meas_date"] = scan["scan_acq_time"]
        self.attrs |= attrs | scan

    def _row(self, file: Path, key: str, value: str, prefix: str) -> dict[str, Any]:
        """The row of a table that is about this recording, as attributes."""
        if not file.is_file() and not file.is_symlink():
            return {}
        table = read_tsv(check_inside(file, self.root))
        if key == "filename":
            for text in table.get(key, []):
                check_reference(text, file)
        row = rows_by(table, key).get(value)
        if row is None:
            return {}
        found = {}
        for name, values in table.items():
            if name != key and values[row] != "n/a":
                found[f"{prefix}{name}"] = typed([values[row]])[0].item()
        return found


_HERTZ = {"low_cutoff", "high_cutoff", "sampling_frequency"}


def _prefix(suffix: str) -> str:
    return {"ieeg": "iEEG", "eeg": "EEG", "meg": "MEG"}[suffix]


def _placed(signal: xr.Dataset, electrodes: xr.Dataset) -> xr.Dataset:
    """The channels with the positions of the electrodes of their names; NaN for the others."""
    rows = {str(n): k for k, n in reversed(list(enumerate(electrodes["electrode"].values)))}
    place = np.array([rows.get(str(n), -1) for n in signal["channel"].values], dtype=np.int64)
    new: dict[str, Any] = {}
    for axis in "xyz":
        values = np.append(electrodes[axis].values, np.nan)  # position -1 is that NaN
        new[axis] = ("channel", values[place], dict(electrodes[axis].attrs))
    frame = electrodes.attrs["coord_frame"]
    new["coord_frame"] = ("channel", np.full(place.size, frame))
    signal = signal.assign_coords(new)
    kept = {k: v for k, v in electrodes.attrs.items() if k in ("space", "coord_frame_description")}
    return signal.assign_attrs(kept)


def _read_file(path: Path, suffix: str) -> xr.DataTree:
    if path.suffix == ".nwb":
        return read_nwb(path)
    return read_meg(path) if suffix == "meg" else read_recording(path)


READER = Reader(
    name="BIDS",
    kinds=("signal", "events"),
    keeps="channel types, units and status, electrodes and their coordinate frame as written, "
    "coordsystem, events with all columns, line frequency, reference, participant, derived "
    "annotations",
    can_read=is_bids,
    read=with_chunks(read_bids),
)
