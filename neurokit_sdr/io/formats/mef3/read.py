"""MEF3: a session's folder ``NAME.mefd`` with folders of time series inside."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import MissingDependencyError
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.contacts.names import on_signal
from neurokit_sdr.io.formats.mef3.checksums import HEADER, check_blocks, check_mef_file
from neurokit_sdr.io.formats.mne.read import import_mne, read_framed
from neurokit_sdr.io.recording import flat
from neurokit_sdr.io.registry import Reader, with_chunks


def is_mef3(path: Path) -> bool:
    """MEF3: a session's folder ``NAME.mefd`` with folders of time series inside."""
    return path.is_dir() and any(
        f.is_dir() and f.suffix == ".timd" for f in sorted(path.iterdir())[:10_000]
    )


def read_mef3(path: Path) -> xr.DataTree:
    """MEF3 session that is not encrypted, with pymef."""
    for file in sorted(path.rglob("*")):
        check_inside(file, path)
        if file.suffix in (".tmet", ".tidx", ".rdat", ".ridx"):
            check_mef_file(file)
        elif file.suffix == ".tdat":
            check_mef_file(file, body=False)
    if not hasattr(import_mne().io, "read_raw_mef"):
        raise MissingDependencyError(
            "MEF3 needs a newer MNE, one with mne.io.read_raw_mef: pip install --upgrade mne."
        )
    return on_signal(read_framed(path, "read_raw_mef"), partial(_checked, str(path)))


def _checked(path: str, signal: xr.Dataset) -> xr.Dataset:
    held = signal["signal"].variable
    names = tuple(map(str, signal["channel"].values))
    read = partial(_read_checked, path, names, held)
    checked = lazy_variable(("time", "channel"), read, held.shape, held.dtype, held.attrs)
    return signal.assign(signal=checked)


#: What the index says of a block, and where it lies.
_BLOCK = np.dtype(
    [("offset", "<i8"), ("time", "<i8"), ("sample", "<i8"), ("samples", "<u4"), ("bytes", "<u4"),
     ("rest", "V24")]
)  # fmt: skip


def _read_checked(
    path: str, names: tuple[str, ...], held: xr.Variable, key: tuple[Any, ...]
) -> np.ndarray:
    """Values, once the blocks that hold them agree with their checksums."""
    start, stop, _ = flat(key[0], held.shape[0])
    for name in np.atleast_1d(np.array(names)[key[1]]):
        first = 0
        for index in sorted((Path(path) / f"{name}.timd").glob("*.segd/*.tidx")):
            blocks = np.frombuffer(index.read_bytes()[HEADER:], _BLOCK)
            ends = first + np.cumsum(blocks["samples"].astype(np.int64))
            low = max(int(np.searchsorted(ends, start, side="right")) - 1, 0)
            high = int(np.searchsorted(ends, stop)) + 2  # a block more on either side
            check_blocks(index.with_suffix(".tdat"), blocks[low:high])
            first = int(ends[-1]) if ends.size else first
    return held[key].values


READER = Reader(
    name="MEF3",
    kinds=("signal", "events"),
    keeps="records and gaps as annotations, as MNE reads them; not encrypted",
    can_read=is_mef3,
    read=with_chunks(read_mef3),
    needs="seeg",
)
