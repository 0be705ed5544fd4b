"""One look into an HDF5 file, whose answer all readers share that are asked about it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import h5py

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_heaps

#: Groups with more members are not listed: MATLAB keeps hundreds of thousands of cells in one.
_MOST = 10_000
#: Characters that are kept of a text: enough to know a word by.
_LONGEST = 100
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)


class Outline(NamedTuple):
    """What lies at the root of an HDF5 file.

    Attributes
    ----------
    attributes
        Every attribute of the root, with the beginning of its text; None where it is no text.
    members
        What lies at the root, with the names in it where it is a group of the file itself.
    """

    attributes: dict[str, str | None]
    members: dict[str, frozenset[str]]


_NOTHING = Outline({}, {})


def outline(path: Path) -> Outline:
    """Look at the root of an HDF5 file, once for as long as the file does not change.

    Whatever cannot be read is not there: to whom the file belongs is told by what can, and
    :func:`neurokit_sdr.core.files.check_hdf5` refuses it later. Never raises.
    """
    try:
        if not path.is_file():
            return _NOTHING
        stat = path.stat()
        return _outline(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)
    except _DAMAGE:
        return _NOTHING


@functools.lru_cache(maxsize=8)  # a path that is recognised is asked about by every reader
def _outline(path: Path, size: int, modified: int, inode: int) -> Outline:
    if not h5py.is_hdf5(path):
        return _NOTHING
    try:
        check_heaps(path)  # HDF5 may never return from a text in a damaged one
        readable = True
    except FileFormatError:
        readable = False
    with h5py.File(path, "r") as file:
        attributes = {name: _text(file, name) if readable else None for name in file.attrs}
        return Outline(attributes, {name: _names(file, name) for name in file})


def _text(file: h5py.File, name: str) -> str | None:
    try:
        value = file.attrs[name]
    except _DAMAGE:
        return None
    return value[:_LONGEST] if isinstance(value, str) else None


def _names(file: h5py.File, name: str) -> frozenset[str]:
    try:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            return frozenset()
        item = file[name]
        listed = isinstance(item, h5py.Group) and len(item) <= _MOST
        return frozenset(item) if listed else frozenset()
    except _DAMAGE:
        return frozenset()
