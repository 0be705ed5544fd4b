"""Files are untrusted, and writes are atomic.

What every reader does before it trusts a path, and what every writer does so that a killed
process never leaves half a file.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from neurokit_sdr.core.errors import FileFormatError

_PICKLE_PROTOCOLS = {0x80: range(2, 6)}


def check_file(path: str | os.PathLike[str]) -> Path:
    """Return the path as a :class:`~pathlib.Path` once it is a readable, non-empty, safe file.

    Raises
    ------
    FileFormatError
        If the file is missing, a folder, empty, or a Python pickle.
    """
    path = Path(path)
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
    path = Path(path)
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
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{path.suffix}")
    # Not tempfile.mkstemp: its mode 0600 would hide the file from the rest of the laboratory.
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
