"""EEGLAB: ``.set`` files, alone or with their ``.fdt``."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.core.files import check_file
from neurokit_sdr.io.formats.mne.read import read_framed
from neurokit_sdr.io.recording import head
from neurokit_sdr.io.registry import Reader, with_chunks


def is_eeglab(path: Path) -> bool:
    """EEGLAB: a MATLAB file, of either version, of the suffix ``.set``."""
    start = head(path, 128)
    return path.suffix.lower() == ".set" and start[:6] == b"MATLAB"


def read_eeglab(path: Path) -> xr.DataTree:
    """EEGLAB ``.set``, alone or with its ``.fdt``."""
    return read_framed(check_file(path), "read_raw_eeglab")


READER = Reader(
    name="EEGLAB",
    kinds=("signal", "events"),
    keeps="channel types, positions, events, as MNE reads them",
    can_read=is_eeglab,
    read=with_chunks(read_eeglab),
    needs="seeg",
)
