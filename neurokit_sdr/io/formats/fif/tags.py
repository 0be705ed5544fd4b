"""FIF files before MNE opens them: whole, honest about sizes, and pointing nowhere else.

A FIF file is a sequence of tags: kind, type, size and the position of the next (four big-endian
32-bit integers), then the data. Specification: Elekta Neuromag, *Functional image file format*.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_inside

_HEAD = struct.Struct(">iiii")
_ENTRY = struct.Struct(">iiii")
_MAGIC = struct.pack(">iii", 100, 31, 20)  # a file id, of type id, 20 bytes: the first tag
_BLOCK_START, _DIRECTORY, _NEXT_NAME = 104, 102, 118
#: An unpacked .fif.gz may not be larger; MNE unpacks it again for every part it reads.
_LARGEST_UNPACKED = 1 << 30
_BLOCKS = {102: "raw", 112: "raw", 119: "raw", 373: "epochs", 104: "evoked"}
_OTHERS = {
    310: "a boundary element model",
    351: "a source space",
    352: "a forward solution",
    355: "a noise covariance",
    356: "an inverse operator",
    361: "a list of events",
    374: "an independent component analysis",
    3810: "annotations",
    313: "projections",
}


class FifContent(NamedTuple):
    """What the tags of a FIF file say.

    Attributes
    ----------
    kinds
        The kinds of recording: raw, epochs, evoked.
    others
        What else it holds, in words.
    ended
        Whether its last tag says that it is the last.
    """

    kinds: tuple[str, ...]
    others: tuple[str, ...]
    ended: bool


def is_fif(path: Path) -> bool:
    """Whether a file starts as FIF files do, packed with gzip or not."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(12)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as packed:
                head = packed.read(12)
    except (OSError, EOFError, zlib.error):
        return False
    return head == _MAGIC


def check_fif(path: Path) -> FifContent:
    """Walk all tags of a FIF file and return what it holds.

    Raises
    ------
    FileFormatError
        If a tag reaches beyond the file's end, a part of a split recording is named outside the
        file's folder, or a packed file unpacks to more than 1 GB.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        if packed:
            with gzip.open(path, "rb") as unpacked:
                size = _unpacked_size(unpacked, path)
                return _walk(unpacked, size, path)
        with path.open("rb") as stream:
            return _walk(stream, path.stat().st_size, path)
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise FileFormatError(
            f"{path} is damaged or cut off ({error}): copy or download it again."
        ) from error


def _unpacked_size(stream: Any, path: Path) -> int:
    size = 0
    while part := stream.read(1 << 20):
        size += len(part)
        if size > _LARGEST_UNPACKED:
            raise FileFormatError(
                f"{path.name} unpacks to more than {_LARGEST_UNPACKED / 1e9:.1f} GB, which a "
                f"packed file cannot be read by parts from: unpack it with gunzip and read the "
                f".fif, if you trust it."
            )
    return size


def _walk(stream: Any, size: int, path: Path) -> FifContent:
    blocks: set[int] = set()
    position, steps = 0, 0
    while True:
        kind, _, length, following = _tag(stream, position, size, path)
        if kind == _BLOCK_START and length == 4:
            blocks.add(struct.unpack(">i", stream.read(4))[0])
        elif kind == _NEXT_NAME:
            _check_next_name(stream.read(length), path)
        elif kind == _DIRECTORY:
            _check_directory(stream, position + 16, length, size, path)
        end = position + 16 + length
        # Most tags lie one behind the other; few name the position of the next.
        position = end if following == 0 else following
        if following < 0 or position == size:
            break
        steps += 1
        if steps > size // 16:
            raise FileFormatError(f"{path} is damaged: its tags lead in a circle. Copy it again.")
    kinds = tuple(dict.fromkeys(_BLOCKS[b] for b in sorted(blocks, reverse=True) if b in _BLOCKS))
    others = tuple(_OTHERS[b] for b in sorted(blocks & set(_OTHERS)))
    return FifContent(kinds, others, following < 0)


def _tag(stream: Any, position: int, size: int, path: Path) -> tuple[int, int, int, int]:
    if position < 0 or position + 16 > size:
        raise FileFormatError(
            f"{path} ends after {size} bytes, in the middle of a tag at {position}: the copy or "
            f"download was probably cut off; fetch it again."
        )
    stream.seek(position)
    kind, form, length, following = _HEAD.unpack(stream.read(16))
    if length < 0 or position + 16 + length > size:
        raise FileFormatError(
            f"{path} ends after {size} bytes, and its tag {kind} at {position} claims {length} "
            f"bytes: the copy or download was probably cut off; fetch it again."
        )
    return kind, form, length, following


def _check_directory(stream: Any, start: int, length: int, size: int, path: Path) -> None:
    """The directory may list tags that the walk does not meet."""
    stream.seek(start)
    table = stream.read(length)
    for kind, _, claimed, position in _ENTRY.iter_unpack(table[: length - length % 16]):
        if kind == -1 or claimed < 0:
            continue
        if position < 0 or position + 16 + claimed > size:
            raise FileFormatError(
                f"{path} lists a tag {kind} at {position} of {claimed} bytes, outside its "
                f"{size} bytes: it is damaged or cut off; copy or download it again."
            )
        if kind == _NEXT_NAME:
            stream.seek(position)
            _, _, real, _ = _HEAD.unpack(stream.read(16))
            _check_next_name(stream.read(max(0, min(real, claimed))), path)


def _check_next_name(raw: bytes, path: Path) -> None:
    name = raw.decode("latin-1").strip("\0")
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise FileFormatError(
            f"{path} names {name!r} as its next part, which lies outside its folder; it was not "
            f"opened. The parts of a split recording belong in one folder."
        )
    check_inside(path.parent / name, path.parent)
