"""Recorders' own formats that MNE and neo read: what is checked before, and after."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file, check_inside
from neurokit_sdr.io._mne import read_with_mne
from neurokit_sdr.io._neo_signals import read_neo_signals

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
    return _bounded(read_with_mne(check_file(path), "read_raw_nihon", events=False), path)


def read_blackrock(path: Path) -> xr.DataTree:
    """Blackrock ``.ns1`` to ``.ns6``."""
    return _bounded(read_with_mne(check_file(path), "read_raw_nsx", events=False), path)


def read_eeglab(path: Path) -> xr.DataTree:
    """EEGLAB ``.set``, alone or with its ``.fdt``."""
    return read_with_mne(check_file(path), "read_raw_eeglab", events=False)


def read_micromed(path: Path) -> xr.DataTree:
    """Micromed ``.trc``."""
    return read_neo_signals(path, "MicromedRawIO", "Micromed")


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
    return read_with_mne(path, "read_raw_mef", events=False)


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
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xEB31D82E if value & 1 else 0)
        table.append(value)
    return table


def _checksum(data: bytes) -> int:
    """Koopman's 32-bit cyclic redundancy check, as MEF3 has it."""
    value, table = 0xFFFFFFFF, _table()
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value
