"""KIT: ``.con`` and ``.sqd`` files, which start with a directory."""

from __future__ import annotations

import struct
from pathlib import Path

import xarray as xr

from neurokit_sdr.io.formats.mne.read import KEEPS, read_with_mne
from neurokit_sdr.io.registry import Reader, with_chunks

_SUFFIXES = (".con", ".sqd")


def is_kit(path: Path) -> bool:
    """Whether a file has KIT's suffix and starts with its directory, 16 bytes an entry."""
    try:
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            return False
        total = path.stat().st_size
        with path.open("rb") as stream:
            offset, size, _, count = struct.unpack("<4i", stream.read(16))
    except (OSError, struct.error):
        return False
    return (offset, size) == (0, 16) and 0 < count < 1000 and size * (count + 1) <= total


def read_kit(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read a KIT file; :func:`neurokit_sdr.io.read_meg` says into what."""
    return read_with_mne(path, "read_raw_kit", events=events)


READER = Reader("KIT", ("signal", "events"), KEEPS, is_kit, with_chunks(read_kit), needs="meg")
