"""Recorders of voltages: the formats of which each file, or folder, is a recording by itself."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io.formats.blackrock.read import READER as BLACKROCK
from neurokit_sdr.io.formats.brainvision.read import READER as BRAINVISION
from neurokit_sdr.io.formats.edf.read import READER as EDF
from neurokit_sdr.io.formats.eeglab.read import READER as EEGLAB
from neurokit_sdr.io.formats.mef3.read import READER as MEF3
from neurokit_sdr.io.formats.micromed.read import READER as MICROMED
from neurokit_sdr.io.formats.nihon_kohden.read import READER as NIHON_KOHDEN
from neurokit_sdr.io.formats.persyst.read import READER as PERSYST

#: In the order in which they are asked.
READERS = (EDF, BRAINVISION, PERSYST, NIHON_KOHDEN, BLACKROCK, MICROMED, MEF3, EEGLAB)


def read_recording(path: Path) -> xr.DataTree:
    """Read one file, or folder of MEF3, without what a BIDS dataset says about it."""
    if not path.is_dir():
        path = check_file(path)
    for reader in READERS:
        if reader.can_read(path):
            return reader.read(path)
    raise FileFormatError(_unknown(path))


def _unknown(path: Path) -> str:
    header = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".avg": ".vhdr", ".dat": ".lay", ".fdt": ".set"}
    other = path.with_suffix(header.get(path.suffix.lower(), path.suffix)) if path.name else path
    if path.is_file() and other != path and other.is_file():
        return f"{path} belongs to {other.name}: give {other}."
    what = "folder with other content" if path.is_dir() else "file of another format"
    names = ", ".join(reader.name for reader in READERS)
    return (
        f"Expected a recording in one of {names} or BIDS at {path}, found a {what}: "
        f"of MEG use nks.io.read_meg, of spikes nks.io.read_spikes, or nks.io.read for any."
    )
