"""The Bonn recordings of epilepsy, in their laboratory's own format: one text file per segment."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io import assemble
from neurokit_sdr.io.recording import signal_dataset

RATE = 173.61
#: Of each class: what was recorded, and MNE's word for such channels (Andrzejak et al. 2001).
CLASSES = {
    "Z": ("surface of healthy volunteers, eyes open", "eeg"),
    "O": ("surface of healthy volunteers, eyes closed", "eeg"),
    "N": ("inside patients, hippocampal formation opposite the epileptogenic zone, interictal",
          "seeg"),
    "F": ("inside patients, within the epileptogenic zone, interictal", "seeg"),
    "S": ("inside patients, sites of ictal activity, during seizures", "seeg"),
}  # fmt: skip
_NAME = re.compile(r"(?:.*/)?([ZONFS])(\d{3})\.txt", re.IGNORECASE)
#: A segment takes 30 KB of text.
_LARGEST = 1 << 18
_MOST = 10_000


def read_bonn(folder: Path) -> xr.DataTree:
    """Read the set from the folder that holds ``bonn_eeg_dataset.zip``.

    Each class is a group, because it is its own kind of recording: ``/signal/Z`` and so on, with
    ``signal(trial, time, channel)`` of 100 segments, 4097 samples and one channel, and the name of
    each segment as ``segment(trial)``. The segments come from different people and moments.
    """
    path = check_file(folder / "bonn_eeg_dataset.zip")
    try:
        with zipfile.ZipFile(path) as archive:
            segments = _segments(archive, path)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise FileFormatError(f"{path} is damaged ({error}): delete it, and fetch it again.") from (
            error
        )
    groups = {
        f"/signal/{name}": _class_dataset(name, segments[name], path)
        for name in CLASSES
        if segments[name]
    }
    if not groups:
        raise FileFormatError(f"Expected segments such as Z001.txt in {path}, found none.")
    return assemble.session(groups, {"source": "Bonn EEG set"})


def _segments(archive: zipfile.ZipFile, path: Path) -> dict[str, list[tuple[str, np.ndarray]]]:
    entries = archive.infolist()
    if len(entries) > _MOST:
        raise FileFormatError(f"Expected at most {_MOST} files in {path}, got {len(entries)}.")
    found: dict[str, list[tuple[str, np.ndarray]]] = {name: [] for name in CLASSES}
    left = []
    for entry in entries:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in entry.filename:
            raise FileFormatError(
                f"{path} holds {entry.filename!r}, a path out of its folder; it was not read."
            )
        named = _NAME.fullmatch(place.as_posix())
        if entry.is_dir() or named is None:
            left += [] if entry.is_dir() else [entry.filename]
            continue
        if entry.file_size > _LARGEST:
            raise FileFormatError(
                f"Expected at most {_LARGEST} bytes in {entry.filename} of {path}, got "
                f"{entry.file_size}: it is no segment, and was not unpacked."
            )
        with archive.open(entry) as stream:
            text = stream.read(_LARGEST + 1)
        try:
            values = np.array(text.split(), dtype=np.float64)
        except ValueError as error:
            raise FileFormatError(
                f"Expected numbers in {entry.filename} of {path}, got {error}."
            ) from error
        found[named[1].upper()].append((place.stem.upper(), values))
    assemble.warn_left_out(path, left[:10])
    return found


def _class_dataset(name: str, segments: list[tuple[str, np.ndarray]], path: Path) -> xr.Dataset:
    segments = sorted(segments)
    sizes = {values.size for _, values in segments}
    names = [segment for segment, _ in segments]
    if len(sizes) != 1 or len(set(names)) != len(names):
        raise FileFormatError(
            f"Expected segments of one length and of different names in class {name} of {path}, "
            f"got lengths {sorted(sizes)}: fetch it again."
        )
    what, kind = CLASSES[name]
    values = np.stack([v for _, v in segments])[:, :, None]
    data = signal_dataset(
        xr.Variable(("trial", "time", "channel"), values, {"long_name": "recorded signal"}),
        even_time(values.shape[1], RATE),
        ["1"],
        [kind],
        ["n/a"],
        attrs={
            "sampling_rate": RATE,
            "class": name,
            "description": what,
            "comment": "the files state no unit; each segment is of another person or moment",
        },
    )
    return data.assign_coords(segment=("trial", np.array(names, dtype=np.str_)))
