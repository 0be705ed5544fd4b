"""Every spike format that neo reads."""

from __future__ import annotations

import inspect
import itertools
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, warn
from neurokit_sdr.core.files import check_hdf5
from neurokit_sdr.io import assemble
from neurokit_sdr.io.hdf5 import outline
from neurokit_sdr.io.registry import Reader, with_chunks

#: Readers of neo that are not used: they run code from the file (PickleIO unpickles, ElphyIO calls
#: eval), make data up (ExampleIO), take any bytes for a signal, or are done here already.
_REFUSED = {
    "PickleIO",
    "ElphyIO",
    "ExampleIO",
    "RawBinarySignalIO",
    "AsciiSignalIO",
    "AsciiImageIO",
    "AsciiSpikeTrainIO",
    "EDFIO",
    "TiffIO",
    "NWBIO",
    "PhyIO",
}
#: Suffixes that many formats share: neo knows such a file only if it can open it.
_SHARED_SUFFIXES = {
    "",
    ".h5",
    ".hdf5",
    ".mat",
    ".nc",
    ".csv",
    ".npy",
    ".dat",
    ".bin",
    ".raw",
    ".xml",
}
#: Folders with more files than any recording's are not searched, which takes neo many seconds.
_MOST_FILES = 20_000
#: Readers of HDF5 that need a package of their own.
_HDF5 = {"NixIO", "MEArecIO"}
_HDF5_SUFFIXES = {".nwb", ".nix", ".h5", ".hdf5", ".nc", ".kwik"}
_PICKLE_SUFFIXES = {".pkl", ".pickle"}
_OWN_WAY = "or load the times yourself and use nks.io.from_spike_times"


def read_neo(path: Path) -> xr.DataTree:
    """Read what neo knows under the path's suffix; :func:`read_spikes` says into what."""
    _check_kind(path)
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise FileFormatError(
            f"{path} is a Python pickle by its suffix, which can run code when it is opened; it "
            f"was not read. Ask for the data as NWB, {_OWN_WAY}."
        )
    if path.is_file() and path.suffix.lower() == ".txt":
        return _session(path, [[_text_trains(path)]], "text, one spike train per line")
    readers = _candidates(path)
    failures: list[str] = []
    missing: list[str] = []
    for reader in readers:
        try:
            blocks = _read_blocks(reader, path)
        except ImportError as error:
            if _promises(reader, path):
                missing.append(f"{reader.__name__} ({error})")
            else:
                failures.append(f"{reader.__name__}: its package is not installed")
        except Exception as error:  # neo's readers raise anything on a file that is not theirs
            failures.append(f"{reader.__name__}: {type(error).__name__} {error}"[:200])
        else:
            if any(len(s.spiketrains) for b in blocks for s in b.segments):
                return _session(path, _loaded(blocks), f"neo {reader.__name__}")
            failures.append(f"{reader.__name__}: no spike trains")
    if missing:
        raise MissingDependencyError(
            f"{path} needs a package that is not installed: {'; '.join(missing)}. Install it with "
            f"pip install {_package(missing)}."
        )
    raise FileFormatError(
        f"Expected a recording with spike trains at {path}, and neo found none "
        f"({'; '.join(failures) or 'no reader knows it'}): check that it holds sorted spikes, and "
        f"where the format is a folder give the folder; {_OWN_WAY}."
    )


def _check_kind(path: Path) -> None:
    """Raise where a path is no recording of spikes, or not what its suffix promises."""
    if path.is_dir():
        if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
            raise FileFormatError(
                f"{path} is a Zarr store, which is not read as spikes: export NWB-Zarr to an HDF5 "
                f"file with hdmf-zarr, and read that."
            )
        if not any(path.iterdir()):
            raise FileFormatError(f"Expected a recording in the folder {path}, found it empty.")
        return
    if h5py.is_hdf5(path) or path.suffix.lower() in _HDF5_SUFFIXES:
        check_hdf5(path)  # also raises where the suffix promises HDF5 and the content is none
    if (path.parent / "spike_times.npy").exists() and path.suffix in {".npy", ".py", ".tsv"}:
        raise FileFormatError(
            f"{path} is one file of a Phy or Kilosort folder: give the folder {path.parent}."
        )


def knows(path: Path) -> bool:
    """Whether there is something in neo for the path's suffix and content."""
    suffix = path.suffix.lower()
    if suffix in _PICKLE_SUFFIXES:
        return False
    readers = _readers(path)
    if path.is_dir() or suffix in _SHARED_SUFFIXES:
        return any(_opens(reader, path) for reader in readers)
    return bool(readers) or (path.is_file() and suffix == ".txt")


def _opens(reader: Any, path: Path) -> bool:
    try:
        blocks = _read_blocks(reader, path)
    except ImportError:
        return _promises(reader, path)  # read_neo names the package
    except Exception:  # neo's readers raise anything on a file that is not theirs
        return False
    return any(len(segment.spiketrains) for block in blocks for segment in block.segments)


def _promises(reader: Any, path: Path) -> bool:
    """Whether a file is of a reader's format by what was seen of it without that reader."""
    if path.is_dir() or path.suffix.lower() not in _SHARED_SUFFIXES:
        return True
    return reader.__name__ in _HDF5  # their content was looked at


def _readers(path: Path) -> list[Any]:
    import neo

    if path.is_dir() and _is_crowded(path):
        return []
    try:
        readers = neo.io.list_candidate_ios(path)
    except (ValueError, OSError):
        readers = []
    refused = _REFUSED | _other_hdf5(path)
    # Of a folder, neo names the readers of every file in it.
    modes = ("dir",) if path.is_dir() else ("file", "fake", "dir")
    known = [r for r in dict.fromkeys(readers) if r.is_readable and r.mode in modes]
    return [r for r in known if r.__name__ not in refused]


def _is_crowded(folder: Path) -> bool:
    number = 0
    for _, _, files in os.walk(folder):
        number += len(files)
        if number > _MOST_FILES:
            return True
    return False


def _candidates(path: Path) -> list[Any]:
    readers = _readers(path)
    if not readers:
        raise FileFormatError(
            f"Expected a spike format that neo knows, got {path.name}: read_spikes knows NWB, Phy "
            f"and Kilosort folders and neo's formats; convert it to NWB, {_OWN_WAY}."
        )
    return readers


def _other_hdf5(path: Path) -> set[str]:
    """Readers of HDF5 that need a package of their own and whose format this file is not."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return set() if path.suffix.lower() == ".nix" else _HDF5
    found = outline(path)
    is_nix = found.attributes.get("format") == "nix"
    is_mearec = {"spiketrains", "info"} <= set(found.members)
    return _HDF5 - ({"NixIO"} if is_nix else set()) - ({"MEArecIO"} if is_mearec else set())


def _check_matlab(path: Path) -> None:
    """Raise where SciPy's reader, which neo calls, dies of a damaged MATLAB file.

    It does so without an exception; another process is asked to read the file first.
    """
    code = "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, timeout=60, check=False
        )
        died = done.returncode != 0
    except subprocess.TimeoutExpired:
        died = True
    if died:
        raise FileFormatError(f"{path} is no whole MATLAB file: copy or export it again.")


def _read_blocks(reader: Any, path: Path) -> list[Any]:
    """All blocks of a file, without loading signals where the reader can do so."""
    if reader.__name__ == "NeoMatlabIO":
        _check_matlab(path)
    with warnings.catch_warnings():
        # Readers that try a file which is not theirs warn on the way; what is kept is checked here.
        warnings.simplefilter("ignore")
        source = reader(str(path))
        options = inspect.signature(source.read_block).parameters
        lazy = {"lazy": True} if source.support_lazy and "lazy" in options else {}
        # Those of neo that find nothing log an exception; here that is an answer, not an event.
        logger = logging.getLogger("neo")
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            blocks = source.read(**lazy)
        finally:
            logger.setLevel(level)
    blocks = blocks if isinstance(blocks, list) else [blocks]
    return [b for b in blocks if b is not None]


def _package(missing: Sequence[str]) -> str:
    found = re.search(r"named '([\w.]+)'|pip install ([\w-]+)", " ".join(missing))
    known = {"NixIO": "nixio", "CedIO": "sonpy", "KwikIO": "klusta", "MEArecIO": "MEArec"}
    for reader, package in known.items():
        if reader in missing[0]:
            return package
    return (found.group(1) or found.group(2)) if found else "what it names"


@dataclass
class Train:
    """One unit in one segment, in seconds."""

    name: str
    times: np.ndarray
    t_start: float
    t_stop: float
    annotations: dict[str, Any]
    per_spike: dict[str, np.ndarray]


#: Name, onsets and durations in seconds, and labels of one source of events or epochs.
Marks = tuple[str, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Part:
    """One segment: its trains, what marks time in it, and what of it is not kept."""

    trains: list[Train]
    events: list[Marks]
    epochs: list[Marks]
    left: list[str]
    attrs: dict[str, Any]


def _loaded(blocks: Sequence[Any]) -> list[list[Part]]:
    return [[_part(segment) for segment in block.segments] for block in blocks]


def _part(segment: Any) -> Part:
    trains = [_train(t, k) for k, t in enumerate(segment.spiketrains)]
    left = [f"signal {s.name or k}" for k, s in enumerate(segment.analogsignals)]
    left += [f"signal {s.name or k}" for k, s in enumerate(segment.irregularlysampledsignals)]
    left += [f"images {s.name or k}" for k, s in enumerate(segment.imagesequences)]
    if any(getattr(t, "waveforms", None) is not None for t in segment.spiketrains):
        left.append("spike waveforms")
    if any(getattr(t, "left_sweep", None) is not None for t in segment.spiketrains):
        left.append("spike waveforms")
    events: list[Marks] = []
    epochs: list[Marks] = []
    for kind, found, kept in (
        ("event", segment.events, events),
        ("epoch", segment.epochs, epochs),
    ):
        for k, item in enumerate(found):
            item = _load(item)
            onset = _seconds(item.times)
            duration = _seconds(item.durations) if kind == "epoch" else np.zeros(onset.size)
            labels = np.asarray(item.labels).astype(np.str_)
            if labels.size != onset.size:
                labels = np.full(onset.size, "", dtype=np.str_)
            if onset.size:
                kept.append((str(item.name or f"{kind}{k}"), onset, duration, labels))
    attrs = {"name": segment.name, "recorded": segment.rec_datetime, **segment.annotations}
    return Part(trains, events, epochs, sorted(set(left)), assemble.plain_attrs(attrs))


def _load(item: Any) -> Any:
    """The neo object behind a proxy, or the object itself."""
    return item.load() if hasattr(item, "load") else item


def _seconds(quantity: Any) -> np.ndarray:
    # 1 s times the number of seconds per unit: neo keeps the unit of the file.
    return np.asarray(quantity.rescale("s").magnitude, dtype=np.float64).reshape(-1)


def _train(source: Any, position: int) -> Train:
    train = _load(source)
    times = _seconds(train.times if hasattr(train, "times") else train)
    annotations = {k: v for k, v in train.annotations.items() if not str(k).startswith("nix_")}
    name = source.name or annotations.get("unit_name") or annotations.get("id") or f"{position}"
    per_spike = {}
    for key, values in getattr(train, "array_annotations", {}).items():
        array = assemble.plain_array(getattr(values, "magnitude", values))
        if array is not None and array.shape == times.shape:
            per_spike[str(key)] = array
    start, stop = (float(t.rescale("s").magnitude) for t in (train.t_start, train.t_stop))
    finite = times[np.isfinite(times)]
    return Train(
        str(name),
        times,
        # Rescaled from other units, the limits can miss the outermost spike by one rounding.
        min(start, float(finite.min())) if finite.size else start,
        max(stop, float(finite.max())) if finite.size else stop,
        assemble.plain_attrs(annotations),
        per_spike,
    )


def _text_trains(path: Path) -> Part:
    """Lines of seconds; read here because neo rounds them to float32, 0.1 ms at 2000 s."""
    trains = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for k, line in enumerate(text.splitlines()):
        words = [w for w in re.split(r"[\s,;]+", line) if w]
        try:
            times = np.array([float(w) for w in words])
        except ValueError as error:
            raise FileFormatError(
                f"Expected one spike train per line, as seconds, in {path}, got {line[:40]!r} in "
                f"line {k + 1}: for other text use nks.io.from_spike_times."
            ) from error
        last = float(times.max()) if times.size else 0.0
        trains.append(Train(str(k), times, 0.0, last, {}, {}))
    return Part(trains, [], [], [], {})


def _session(path: Path, blocks: list[list[Part]], source: str) -> xr.DataTree:
    parts = [p for block in blocks for p in block if p.trains or p.events or p.epochs]
    recorded = [p for p in parts if p.trains]
    limits = [(min(t.t_start for t in p.trains), max(t.t_stop for t in p.trains)) for p in recorded]
    in_turn = all(a[1] <= b[0] for a, b in itertools.pairwise(limits))
    names = [[t.name for t in p.trains] for p in recorded]
    same_units = all(n == names[0] for n in names)
    attrs = {"source": source} | (parts[0].attrs if len(parts) == 1 else {})
    left = sorted({name for p in parts for name in p.left})
    assemble.warn_left_out(path, left)
    if in_turn and same_units:
        groups = _groups(recorded, str(path), source)
        others = [p for p in parts if not p.trains]
        groups |= _marks([*recorded, *others])
        if len(recorded) > 1:
            groups["/observation_intervals"] = _segments(recorded, limits)
            if any(a[1] < b[0] for a, b in itertools.pairwise(limits)):
                warn(
                    f"{path.name} was recorded in {len(recorded)} segments with gaps between them, "
                    f"where zero counts are not silence: see /observation_intervals."
                )
        return assemble.session(groups, attrs)
    groups = {}
    for k, part in enumerate(parts):
        inside = _groups([part], str(path), source) if part.trains else {}
        for name, dataset in (inside | _marks([part])).items():
            groups[f"/segments/{k}{name}"] = dataset.assign_attrs(dataset.attrs | part.attrs)
    warn(
        f"{path.name} holds {len(parts)} segments that overlap in time or differ in units, which "
        f"makes them no single recording: each is kept with its own clock under /segments/0, "
        f"/segments/1 and so on; use session['/segments/0/spikes']."
    )
    return assemble.session(groups, attrs)


def _groups(parts: list[Part], where: str, source: str) -> dict[str, xr.Dataset]:
    """The spikes of segments that follow one another on one clock."""
    n_units = len(parts[0].trains)
    rows = [[p.trains[k] for p in parts] for k in range(n_units)]
    trains = [t for row in rows for t in row]
    spikes = assemble.spike_dataset(
        np.concatenate([t.times for t in trains]),
        [sum(t.times.size for t in row) for row in rows],
        _ids(parts[0].trains),
        t_start=min(t.t_start for t in trains),
        t_stop=max(t.t_stop for t in trains),
        t_stop_source=f"t_stop of the spike trains ({source})",
        where=where,
    )
    for name in sorted({k for row in rows for t in row for k in t.annotations}):
        values = [row[0].annotations.get(name, "") for row in rows]
        column = assemble.plain_array(np.array(values, dtype=object))
        if column is None and all(isinstance(v, int | float) for v in values):
            column = np.array(values)
        if column is None:
            column = np.array([str(v) for v in values], dtype=np.str_)
        new = assemble.free_name(name, [*spikes.variables, *spikes.dims])
        spikes = spikes.assign_coords({new: ("unit", column)})
    for name in sorted(set.intersection(*(set(t.per_spike) for t in trains))):
        new = assemble.free_name(name, [*spikes.variables, *spikes.dims])
        spikes[new] = ("spike", np.concatenate([t.per_spike[name] for t in trains]))
    return {"/spikes": spikes}


def _ids(trains: list[Train]) -> np.ndarray:
    """Names where they tell units apart, else positions."""
    names = [t.name for t in trains]
    if len(set(names)) == len(names):
        if all(re.fullmatch(r"0|[1-9]\d{0,17}", n) for n in names):
            return np.array([int(n) for n in names], dtype=np.int64)
        return np.array(names, dtype=np.str_)
    return np.arange(len(names))


def _marks(parts: list[Part]) -> dict[str, xr.Dataset]:
    groups = {}
    events = [e for p in parts for e in p.events]
    epochs = [e for p in parts for e in p.epochs]
    if events:
        onset, duration, label, origin = _joined(events)
        groups["/events"] = xr.Dataset(
            {
                "event_onset": ("event", onset, {"units": "s"}),
                "event_duration": ("event", duration, {"units": "s"}),
                "event_label": ("event", label),
                "event_source": ("event", origin),
            }
        )
    if epochs:
        onset, duration, label, origin = _joined(epochs)
        groups["/epochs"] = xr.Dataset(
            {
                "start_time": ("epoch", onset, {"units": "s"}),
                "stop_time": ("epoch", onset + duration, {"units": "s"}),
                "label": ("epoch", label),
                "source": ("epoch", origin),
            }
        )
    return groups


def _joined(found: Sequence[Marks]) -> list[np.ndarray]:
    origin = np.concatenate([np.full(onset.size, name) for name, onset, _, _ in found])
    columns = [np.concatenate([item[k] for item in found]) for k in (1, 2, 3)]
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in (*columns, origin)]


def _segments(parts: list[Part], limits: list[tuple[float, float]]) -> xr.Dataset:
    return xr.Dataset(
        {
            "start_time": ("interval", np.array([a for a, _ in limits]), {"units": "s"}),
            "stop_time": ("interval", np.array([b for _, b in limits]), {"units": "s"}),
            "name": ("interval", np.array([str(p.attrs.get("name", "")) for p in parts])),
        },
        attrs={"description": "the segments of the recording"},
    )


READER = Reader(
    name="formats of neo",
    kinds=("spikes", "events", "epochs"),
    keeps="spike trains and their annotations, events, epochs (Plexon, Blackrock, Neuralynx, "
    "Spike2, NeuroExplorer, NIX, text, ...)",
    can_read=knows,
    read=with_chunks(read_neo),
)
