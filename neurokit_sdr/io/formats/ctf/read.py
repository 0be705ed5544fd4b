"""CTF: a folder ``NAME.ds`` whose resources start with MEG4."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.io.formats.mne.read import KEEPS, check_folder, read_with_mne
from neurokit_sdr.io.registry import Reader, with_chunks


def is_ctf(path: Path) -> bool:
    """Whether a folder is a CTF dataset: its resources start with MEG4."""
    return path.is_dir() and any(_starts(f, b"MEG4") for f in path.glob("*.res4"))


def _starts(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(magic)) == magic
    except OSError:
        return False


def read_ctf(path: Path, *, events: bool | None = None) -> xr.DataTree:
    """Read a CTF dataset; :func:`neurokit_sdr.io.read_meg` says into what."""
    check_folder(path)
    # MNE's default would cut off what follows where the acquisition's clock stands still.
    options = {"system_clock": "ignore"}
    return read_with_mne(path, "read_raw_ctf", events=events, options=options)


READER = Reader("CTF", ("signal", "events"), KEEPS, is_ctf, with_chunks(read_ctf), needs="meg")
