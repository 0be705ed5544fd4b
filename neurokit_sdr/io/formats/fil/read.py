"""FIL OPM: samples ``NAME_meg.bin`` with tables beside them."""

from __future__ import annotations

import glob
from pathlib import Path

import xarray as xr

from neurokit_sdr.core.files import check_inside
from neurokit_sdr.io.formats.mne.read import KEEPS, read_with_mne
from neurokit_sdr.io.registry import Reader, with_chunks


def is_fil(path: Path) -> bool:
    """Whether a file is the samples of a FIL-OPM recording, with its tables beside it."""
    if not path.is_file() or not path.name.endswith("_meg.bin"):
        return False
    stem = path.name.removesuffix("_meg.bin")
    beside = (f"{stem}_channels.tsv", f"{stem}_meg.json")
    return all((path.parent / name).is_file() for name in beside)


def read_fil(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read a FIL OPM recording; :func:`neurokit_sdr.io.read_meg` says into what."""
    stem = path.name.removesuffix("_meg.bin")
    for beside in path.parent.glob(f"{glob.escape(stem)}_*"):
        check_inside(beside, path.parent)
    return read_with_mne(path, "read_raw_fil", events=events)


READER = Reader("FIL OPM", ("signal", "events"), KEEPS, is_fil, with_chunks(read_fil), needs="meg")
