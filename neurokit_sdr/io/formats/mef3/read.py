"""Recorders' own formats that MNE and neo read: what is checked before, and after."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError
from neurokit_sdr.core.files import check_file, check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.contacts.names import on_signal
from neurokit_sdr.io.formats.mne.read import import_mne, read_with_mne
from neurokit_sdr.io.formats.neo.signals import read_neo_signals
from neurokit_sdr.io.recording import flat

_NSX = (b"NEURALCD", b"NEURALSG", b"BRSMPGRP")
_MEF_HEADER = 1024


def _head(path: Path, size: int) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(size)


def is_nihon(path: Path) -> bool:
    """Nihon Kohden: the name of the device, here and again in the control block."""
    head = _head(path, 0x91)
    device = head[:16]
    return device[:4] in (b"EEG-", b"QI-4", b"DAE-") and head[0x81:0x91] == device


def is_blackrock(path: Path) -> bool:
    """Blackrock nsx: continuous signals (nev holds events and spikes)."""
    return _head(path, 8) in _NSX


def is_micromed(path: Path) -> bool:
    """Micromed trc: the maker's name in the first 32 bytes, header of type 4."""
    head = _head(path, 176)
    return b"MICROMED" in head[:32].upper() and head[175:176] == b"\x04"


def is_mef3(path: Path) -> bool:
    """MEF3: a session's folder ``NAME.mefd`` with folders of time series inside."""
    return path.is_dir() and any(
        f.is_dir() and f.suffix == ".timd" for f in sorted(path.iterdir())[:10_000]
    )


def is_eeglab(path: Path) -> bool:
    """EEGLAB: a MATLAB file, of either version, of the suffix ``.set``."""
    head = _head(path, 128)
    return path.suffix.lower() == ".set" and head[:6] == b"MATLAB"


def read_nihon(path: Path) -> xr.DataTree:
    """Nihon Kohden ``.EEG`` with the files of the same name beside it."""
    return _bounded(_with_mne(check_file(path), "read_raw_nihon"), path)


def read_blackrock(path: Path) -> xr.DataTree:
    """Blackrock ``.ns1`` to ``.ns9``, with the events of the ``.nev`` of the same name."""
    number = re.fullmatch(r"\.ns([1-9])", path.suffix.lower())
    if number is None:
        raise FileFormatError(
            f"Expected the suffix .ns1 to .ns9 for the Blackrock file {path}, got "
            f"{path.suffix!r}: give it back its suffix."
        )
    tree = read_neo_signals(
        path,
        "BlackrockRawIO",
        "Blackrock",
        voltages="seeg",
        options=(("nsx_to_load", int(number[1])),),
    )
    tree = on_signal(tree, _filtered)
    moment = _nsx_date(path)
    if moment:
        tree.attrs["meas_date"] = moment
    return tree


def _filtered(signal: xr.Dataset) -> xr.Dataset:
    """With the pass band in Hz, where all channels have the same; the file has mHz."""
    for attr, name in (("highpass", "hi_freq_corner"), ("lowpass", "lo_freq_corner")):
        corners = set(signal[name].values.tolist()) if name in signal.coords else set()
        if len(corners) == 1:
            signal.attrs[attr] = corners.pop() / 1000
    return signal


def _nsx_date(path: Path) -> str:
    """When the recording began (UTC); empty where the header does not say."""
    head = _head(path, 310)
    if head[:8] == b"NEURALSG" or len(head) < 310:
        return ""
    year, month, _, day, hour, minute, second, milliseconds = struct.unpack_from("<8H", head, 294)
    try:
        moment = datetime(year, month, day, hour, minute, second, milliseconds * 1000, UTC)
    except ValueError:
        return ""
    return moment.isoformat()


def read_eeglab(path: Path) -> xr.DataTree:
    """EEGLAB ``.set``, alone or with its ``.fdt``."""
    return _with_mne(check_file(path), "read_raw_eeglab")


def read_micromed(path: Path) -> xr.DataTree:
    """Micromed ``.trc``."""
    return read_neo_signals(path, "MicromedRawIO", "Micromed")


def _with_mne(path: Path, opener: str) -> xr.DataTree:
    """Read with MNE; a channel without a position is in no coordinate frame."""
    return on_signal(read_with_mne(path, opener, events=False), _framed)


def _framed(signal: xr.Dataset) -> xr.Dataset:
    nowhere = np.isnan(signal["x"].values)
    frame = np.where(nowhere, "unknown", signal["coord_frame"].values.astype(np.str_))
    return signal.assign_coords(coord_frame=("channel", frame))


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


# -- MEF3 -----------------------------------------------------------------------------------------


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
    return on_signal(_with_mne(path, "read_raw_mef"), partial(_checked, str(path)))


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
            blocks = np.frombuffer(index.read_bytes()[_MEF_HEADER:], _BLOCK)
            ends = first + np.cumsum(blocks["samples"].astype(np.int64))
            low = max(int(np.searchsorted(ends, start, side="right")) - 1, 0)
            high = int(np.searchsorted(ends, stop)) + 2  # a block more on either side
            _check_blocks(index.with_suffix(".tdat"), blocks[low:high])
            first = int(ends[-1]) if ends.size else first
    return held[key].values


def _check_blocks(path: Path, blocks: np.ndarray) -> None:
    with path.open("rb") as stream:
        for offset, size in zip(blocks["offset"].tolist(), blocks["bytes"].tolist(), strict=True):
            stream.seek(max(offset, 0))
            data = stream.read(size)
            if (
                len(data) < size
                or size < 4
                or _checksum(data[4:]) != int.from_bytes(data[:4], "little")
            ):
                raise FileFormatError(
                    f"A block of {path} does not agree with its own checksum: the file is damaged; "
                    f"copy the session again."
                )


def check_mef_file(path: Path, *, body: bool = True) -> None:
    """Raise where a MEF3 file's own checksums say that it is damaged.

    The library that reads them is written in C and trusts what it finds.
    """
    data = path.read_bytes() if body else _head(path, _MEF_HEADER)
    if len(data) < _MEF_HEADER:
        raise FileFormatError(
            f"Expected at least {_MEF_HEADER} bytes in {path}, got {len(data)}: it is cut off; "
            f"copy the session again."
        )
    header, rest = struct.unpack_from("<II", data)
    damaged = header != _checksum(data[4:_MEF_HEADER])
    damaged |= body and rest != _checksum(data[_MEF_HEADER:])
    if damaged:
        raise FileFormatError(
            f"{path} does not agree with its own checksum: it is damaged; copy the session again."
        )


@cache
def _table() -> np.ndarray:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xEB31D82E if value & 1 else 0)
        table.append(value)
    return np.array(table, dtype=np.uint32)


def _advance(value: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """States after the bytes of each column; each row of bytes (byte, state) is one step."""
    table = _table()
    for row in columns:
        value = (value >> np.uint32(8)) ^ table[(value ^ row) & np.uint32(0xFF)]
    return value


def _checksum(data: bytes, piece: int = 1024) -> int:
    """Koopman's 32-bit cyclic redundancy check, as MEF3 has it.

    Pieces are checked side by side, from 0, and put together: the check is linear, so that what a
    state becomes over a piece is the sum of what its bits become over zeros, and the piece's own.
    """
    bytes_ = np.frombuffer(data, np.uint8).astype(np.uint32)
    whole = bytes_.size // piece
    pieces = bytes_[: whole * piece].reshape(whole, piece).T
    own = _advance(np.zeros(whole, dtype=np.uint32), pieces)
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    over = [int(v) for v in _advance(bits, np.zeros((piece, 1), dtype=np.uint32))]
    value = 0xFFFFFFFF
    for one in own.tolist():
        after = one
        for bit, image in enumerate(over):
            if value >> bit & 1:
                after ^= image
        value = after
    rest = bytes_[whole * piece :, None]
    return int(_advance(np.array([value], dtype=np.uint32), rest)[0])
