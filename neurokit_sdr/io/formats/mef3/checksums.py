"""MEF3's own checksums, by which damage shows before a library meets it."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.recording import head

#: Bytes of the header of every file.
HEADER = 1024


def check_blocks(path: Path, blocks: np.ndarray) -> None:
    """Raise where a block does not agree with the checksum in front of it."""
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
    data = path.read_bytes() if body else head(path, HEADER)
    if len(data) < HEADER:
        raise FileFormatError(
            f"Expected at least {HEADER} bytes in {path}, got {len(data)}: it is cut off; "
            f"copy the session again."
        )
    header, rest = struct.unpack_from("<II", data)
    damaged = header != _checksum(data[4:HEADER])
    damaged |= body and rest != _checksum(data[HEADER:])
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
