"""Nihon Kohden: ``.EEG`` files with others of the same name beside them."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file
from neurokit_sdr.io.formats.mne.read import read_framed
from neurokit_sdr.io.recording import head
from neurokit_sdr.io.registry import Reader, with_chunks


def is_nihon(path: Path) -> bool:
    """Nihon Kohden: the name of the device, here and again in the control block."""
    start = head(path, 0x91)
    device = start[:16]
    return device[:4] in (b"EEG-", b"QI-4", b"DAE-") and start[0x81:0x91] == device


def read_nihon(path: Path) -> xr.DataTree:
    """Nihon Kohden ``.EEG`` with the files of the same name beside it."""
    return _bounded(read_framed(check_file(path), "read_raw_nihon"), path)


def _bounded(tree: xr.DataTree, path: Path) -> xr.DataTree:
    """The recording, if the file is large enough for the samples its header claims."""
    sizes = tree["/signal"].sizes
    claimed = 2 * sizes["time"] * max(sizes["channel"] - 1, 0)  # one channel may be made up
    if claimed > path.stat().st_size:
        raise FileFormatError(
            f"Expected at most {path.stat().st_size} bytes of samples in {path}, its size, got "
            f"{sizes['time']} samples of {sizes['channel']} channels: the header is damaged or "
            f"the file cut off; copy it again."
        )
    return tree


READER = Reader(
    name="Nihon Kohden",
    kinds=("signal", "events"),
    keeps="channel types and units, annotations, as MNE reads them",
    can_read=is_nihon,
    read=with_chunks(read_nihon),
    needs="seeg",
)
