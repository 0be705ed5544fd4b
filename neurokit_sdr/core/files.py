"""Files are untrusted, and writes are atomic.

What every reader does before it trusts a path, and what every writer does so that a killed
process never leaves half a file.
"""

from __future__ import annotations

import functools
import json
import math
import mmap
import os
import re
import shutil
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurokit_sdr.core.errors import FileFormatError

#: Bytes above which an HDF5 dataset must be backed by what lies in the file ...
_LARGE = 64 * 2**20
#: ... and how much smaller deflate, the strongest of the filters of HDF5 itself, can make it.
_MOST_COMPRESSION = 1100
_KNOWN_FILTERS = {
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_LZF,
}
#: How a heap of text begins in an HDF5 file: its name, version 1, and three bytes of nothing.
_HEAP = b"GCOL\x01\0\0\0"
#: Files up to this size are looked through for heaps, which takes about 0.1 s.
_SCANNED = 2**28
_PICKLE_PROTOCOLS = {0x80: range(2, 6)}


def check_file(path: str | os.PathLike[str]) -> Path:
    """Return the path as a :class:`~pathlib.Path` once it is a readable, non-empty, safe file.

    Raises
    ------
    FileFormatError
        If the file is missing, a folder, empty, or a Python pickle.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileFormatError(f"Expected a file at {path}, found nothing: check the path.")
    if path.is_dir():
        raise FileFormatError(f"Expected a file at {path}, found a folder.")
    if path.stat().st_size == 0:
        raise FileFormatError(
            f"{path} is empty (0 bytes): the copy or download was probably cut off; fetch it again."
        )
    with path.open("rb") as stream:
        head = stream.read(2)
    if len(head) == 2 and head[1] in _PICKLE_PROTOCOLS.get(head[0], ()):
        raise FileFormatError(
            f"{path} is a Python pickle, which can run code when it is opened; it was not read. "
            f"Ask for the data as NWB, or load it yourself if you trust it and use "
            f"nks.io.from_spike_times."
        )
    return path


def check_hdf5(path: str | os.PathLike[str]) -> Path:
    """Return the path once it is a whole HDF5 file that points to no other file.

    Raises
    ------
    FileFormatError
        If the file is not HDF5, is truncated, or holds external links or external storage.
    """
    path = check_file(path)
    if not h5py.is_hdf5(path):
        raise FileFormatError(
            f"Expected an HDF5 file (NWB or netCDF4) at {path}, found something else: check that "
            f"the download is complete and the suffix is right."
        )
    check_heaps(path)
    try:
        with h5py.File(path, "r") as file:
            _refuse_external(file, path, set())
    except FileFormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        # Damage inside the file surfaces as any of these, by where it sits.
        raise FileFormatError(
            f"{path} is damaged or truncated ({error}): copy or download it again."
        ) from error
    return path


def check_heaps(path: Path) -> None:
    """Raise where the heaps that hold text of an HDF5 file are damaged.

    The HDF5 library reads a heap object by object, and never ends where one has no length. It is
    inside its own code then, and cannot be stopped; so this comes before anything else. Files
    larger than :data:`_SCANNED` are too long to be looked through, and are not.

    Raises
    ------
    FileFormatError
        If a heap does not fill the place it claims.
    """
    stat = path.stat()
    if 0 < stat.st_size <= _SCANNED:
        start = _damaged_heap(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if start is not None:
            raise FileFormatError(
                f"{path} is damaged (the text in it, at byte {start}): copy or download it again."
            )


@functools.lru_cache(maxsize=8)  # one reading asks more than once
def _damaged_heap(path: Path, size: int, modified: int, inode: int) -> int | None:
    """Where the first heap starts that does not fill the place it claims."""
    if size < 16:
        return None  # cut off within its own head: HDF5 sees that itself
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        lengths = data[14] if data[8:9] in (b"\0", b"\1") else data[10]
        if lengths != 8:
            return None  # of a kind that no writer in use makes
        # A heap lies at a whole multiple of 8 bytes; elsewhere the letters are somebody's data.
        words = np.frombuffer(data, np.uint64, count=size // 8)
        starts = 8 * np.flatnonzero(words == np.frombuffer(_HEAP, np.uint64))
        del words  # or the map could not be closed
        damaged = (int(s) for s in starts if not _heap_is_whole(data, int(s), size))
        return next(damaged, None)


def _heap_is_whole(data: mmap.mmap, start: int, file_size: int) -> bool:
    """Whether the objects of a heap lie one after the other up to its end."""
    if start + 16 > file_size:
        return True  # cut off within its head: HDF5 sees that itself
    (size,) = struct.unpack_from("<Q", data, start + 8)
    if size > file_size - start:
        return True  # the letters occur in somebody's data, or HDF5 itself sees the damage
    place = 16
    while place + 16 <= size:
        index, length = struct.unpack_from("<H6xQ", data, start + place)
        if index == 0 and length < 16:  # free space counts its own header
            return False
        place += length if index == 0 else 16 + (length + 7) // 8 * 8
    return place <= size


def _refuse_external(group: h5py.Group, path: Path, seen: set[int]) -> None:
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:  # hard links may lead in circles
        return
    seen.add(address)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise FileFormatError(
                f"{path} links {group.name}/{name} to another file ({link.filename}); external "
                f"links are not followed. Export the file with its data inside."
            )
        if isinstance(link, h5py.SoftLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_external(item, path, seen)
        elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise FileFormatError(
                f"{path} keeps the values of {item.name} in another file; external storage is "
                f"not read. Export the file with its data inside."
            )
        elif isinstance(item, h5py.Dataset):
            _refuse_empty_claim(item, path)


def _refuse_empty_claim(item: h5py.Dataset, path: Path) -> None:
    """Raise where a dataset claims far more values than the file can hold of it."""
    claimed = item.nbytes if item.shape is not None else 0
    packed = item.id.get_create_plist()
    filters = {packed.get_filter(k)[0] for k in range(packed.get_nfilters())}
    if claimed < _LARGE or filters - _KNOWN_FILTERS:
        return
    stored = item.id.get_storage_size()
    if claimed > _MOST_COMPRESSION * max(stored, 1):
        raise FileFormatError(
            f"{path} claims {claimed:,} bytes in {item.name} and holds {stored:,} of them: it is "
            f"damaged, or the recording was never written; copy or download it again."
        )


#: Codecs of Zarr, by either version's name, that turn bytes into numbers and text and do no more.
_ZARR_CODECS = {
    *("blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "crc32", "crc32c", "adler32"),
    *("delta", "shuffle", "bitround", "fixedscaleoffset", "quantize", "packbits", "astype"),
    *("bytes", "endian", "transpose", "sharding_indexed", "vlen-utf8", "vlen-bytes", "fletcher32"),
}
#: Bytes of one chunk, which must be in memory whole.
_LARGEST_CHUNK = 2**30


def check_zarr(path: str | os.PathLike[str]) -> Path:
    """Return the path once it is a Zarr store that holds plain values and leads nowhere else.

    Raises
    ------
    FileFormatError
        If it is no folder, its metadata cannot be read, a link leads out of it, a codec could run
        code (pickled objects) or is not known, or a chunk is too large for memory.
    """
    path = Path(path).expanduser()
    found = False
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if (Path(folder) / name).is_symlink():
                check_inside(Path(folder) / name, path)
        for name in {".zarray", "zarr.json", ".zgroup"} & set(files):
            found = True
            place = Path(folder) / name
            try:
                if place.stat().st_size > 2**24:
                    raise ValueError("metadata of more than 16 MB")
                _check_zarr_array(json.loads(place.read_text("utf-8")), place)
            except FileFormatError:
                raise
            except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
                raise FileFormatError(
                    f"{place} is damaged ({type(e).__name__}: {e}): copy the store again."
                ) from e
    if not found:
        raise FileFormatError(f"Expected a Zarr store at {path}, found no metadata of one.")
    return path


def _check_zarr_array(meta: Any, place: Path) -> None:
    """Raise where the metadata of one array, of either version, ask for more than plain values."""
    if not isinstance(meta, dict):
        raise ValueError("no JSON object")
    stores = [meta]
    inside = meta.get("consolidated_metadata")
    if isinstance(inside, dict):
        stores += list((inside.get("metadata") or {}).values())
    for one in stores:
        if "chunks" in one:  # version 2
            codecs = [one.get("compressor"), *(one.get("filters") or [])]
            names = [codec["id"] for codec in codecs if codec is not None]
            chunk, dtype = one["chunks"], one.get("dtype")
            packed = names[:1] if one.get("compressor") is not None else []
        elif "chunk_grid" in one:
            codecs = list(one.get("codecs") or [])
            for codec in list(codecs):
                settings = codec.get("configuration") or {}
                codecs += [*settings.get("codecs", []), *settings.get("index_codecs", [])]
            names = [str(codec["name"]).removeprefix("numcodecs.") for codec in codecs]
            chunk, dtype = one["chunk_grid"]["configuration"]["chunk_shape"], one.get("data_type")
            packed = [] if "sharding_indexed" in names else [n for n in names if n in _UNPACKED]
        else:
            continue
        strange = sorted(set(map(str, names)) - _ZARR_CODECS)
        if strange:
            raise FileFormatError(
                f"{place} needs the codecs {strange}, which are not known to be safe (pickled "
                f"objects can run code); it was not read. Write the store again with blosc or zstd."
            )
        size = math.prod(int(n) for n in chunk) * _itemsize(dtype)
        if size > _LARGEST_CHUNK or any(int(n) < 0 for n in chunk):
            raise FileFormatError(
                f"{place} keeps chunks of {size:,} bytes, more than {_LARGEST_CHUNK:,} fit into "
                f"memory at a time: it is damaged, or must be written again in smaller chunks."
            )
        claimed = math.prod(int(n) for n in one.get("shape", [])) * _itemsize(dtype)
        if one is meta and claimed >= _LARGE:
            _refuse_empty_store(claimed, place)
        if one is meta and packed and packed[-1] in _UNPACKED:
            text = dtype in ("|O", "string") or "vlen-utf8" in names or "vlen-bytes" in names
            most = 2**10 * size + 2**20 if text else 2 * size + 2**16
            _refuse_swollen_chunks(place, _UNPACKED[packed[-1]], most)


def _refuse_swollen_chunks(place: Path, unpacked: Callable[[bytes], int], most: int) -> None:
    """Raise where a chunk says that it unpacks to more bytes than a chunk may have.

    Codecs allocate what a chunk says of itself before they look at the rest of it.
    """
    for folder, _, files in os.walk(place.parent):
        for name in files:
            if name in {".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"}:
                continue
            with (Path(folder) / name).open("rb") as stream:
                said = unpacked(stream.read(18))
            if said > most:
                raise FileFormatError(
                    f"{Path(folder) / name} says that it unpacks to {said:,} bytes, and a chunk "
                    f"there has at most {most:,}: it is damaged; copy or export it again."
                )


def _blosc_size(head: bytes) -> int:
    return int(struct.unpack_from("<I", head, 4)[0]) if len(head) >= 8 else 0


def _lz4_size(head: bytes) -> int:
    return int(struct.unpack_from("<I", head)[0]) if len(head) >= 4 else 0


def _zstd_size(head: bytes) -> int:
    """The content size in the header of a frame, 0 where it is not said (RFC 8878, 3.1.1.1)."""
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        return 0
    flag, single = head[4] >> 6, head[4] >> 5 & 1
    start = 5 + (not single) + (0, 1, 2, 4)[head[4] & 3]
    length = (single, 2, 4, 8)[flag]
    field = head[start : start + length]
    if not length or len(field) < length:
        return 0
    return int.from_bytes(field, "little") + (256 if flag == 1 else 0)


#: Bytes that a chunk unpacks to, from its first ones, by codec.
_UNPACKED: dict[str, Callable[[bytes], int]] = {
    "blosc": _blosc_size,
    "lz4": _lz4_size,
    "zstd": _zstd_size,
}


def _refuse_empty_store(claimed: int, place: Path) -> None:
    """Raise where an array claims far more values than its folder can hold of it."""
    files = (Path(folder) / name for folder, _, names in os.walk(place.parent) for name in names)
    stored = sum(file.stat().st_size for file in files)
    if claimed > _MOST_COMPRESSION * stored:
        raise FileFormatError(
            f"{place} claims {claimed:,} bytes and its folder holds {stored:,}: it is damaged, or "
            f"the recording was never written; copy or export it again."
        )


def _itemsize(dtype: Any) -> int:
    """Bytes of one value, 8 where that is not said by a number."""
    digits = re.search(r"\d+$", dtype) if isinstance(dtype, str) else None
    if digits is None:
        return 8
    number = int(digits[0])
    return number if len(dtype) > 1 and dtype[0] in "<>|" else max(number // 8, 1)


def check_inside(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Return the path once nothing on it, such as ``..`` or a link, leads out of the folder.

    Raises
    ------
    FileFormatError
        If it leads out.
    """
    path, folder = Path(path), Path(folder)
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in circles, NUL in a name
        inside = False
    if not inside:
        raise FileFormatError(
            f"{path} leads out of the folder {folder}; such links are not followed. Put a copy of "
            f"the file into the folder."
        )
    return path


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``path`` only if the block succeeds.

    A folder that is there already moves aside for the moment between two renames, and is then
    deleted; it must be one that a caller may replace.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "a"
    >>> with atomic_folder(folder) as temporary:
    ...     _ = (temporary / "b.txt").write_text("whole")
    >>> (folder / "b.txt").read_text()
    'whole'
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    aside = temporary.with_name(f"{temporary.name}.old")
    try:
        yield temporary
        if path.exists():
            os.replace(path, aside)
        try:
            os.replace(temporary, path)
        except OSError:
            if aside.exists():
                os.replace(aside, path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that takes the place of ``path`` only if the block succeeds.

    The temporary file lies in the same folder, so that the replacement is one rename.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{path.suffix}")
    # Not tempfile.mkstemp: its mode 0600 would hide the file from the rest of the laboratory.
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
