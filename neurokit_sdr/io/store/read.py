"""Recordings from disk, identical to what was saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, NeurokitError
from neurokit_sdr.core.files import check_file, check_heaps
from neurokit_sdr.io.hdf5 import outline
from neurokit_sdr.io.lazy import chunked, path_of
from neurokit_sdr.io.registry import Reader
from neurokit_sdr.io.store import files, layout


def load(path: str | os.PathLike[str], *, chunks: Any = None) -> xr.Dataset | xr.DataTree:
    """Open a file or folder written by :func:`save`.

    Parameters
    ----------
    path
        The netCDF file or Zarr folder.
    chunks
        None keeps large variables on disk until they are used. What :meth:`xarray.Dataset.chunk`
        takes (``{"time": 100_000}``, ``"auto"``) gives dask arrays, which open the file by its path
        in whichever process they are computed; it needs the extra ``cluster``.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        Identical to what was saved.

    Raises
    ------
    FileFormatError
        If the file is missing, damaged, unsafe (a pickle, links to other files, sizes that no file
        of its length can hold), newer than this package, or not written by :func:`save`.
    ParameterError
        If ``path`` is no path, or ``chunks`` are no sizes of dimensions that are there.
    MissingDependencyError
        If it is a Zarr store and zarr is not installed, or ``chunks`` is given and dask is not.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> from neurokit_sdr.core.clock import even_time
    >>> signal = xr.Dataset(coords=even_time(3_600_000, 1000.0))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "hour.nc"
    >>> nks.save(signal, path)
    >>> path.stat().st_size < 20_000
    True
    >>> nks.load(path)["time"].sel(time=slice(1.0, 1.002)).values
    array([1.   , 1.001, 1.002])
    """
    path = path_of(path)
    try:
        return _load(path, chunks)
    except (NeurokitError, Warning):
        raise
    except Exception as error:  # damage surfaces as any kind, by where it sits
        raise FileFormatError(
            f"{path} is damaged or was changed after it was saved ({type(error).__name__}: "
            f"{error}): copy it again."
        ) from error


def _load(path: Path, chunks: Any) -> xr.Dataset | xr.DataTree:
    if path.is_dir():
        text, read = files.zarr_table(path), files.read_zarr
    else:
        if h5py.is_hdf5(check_file(path)):
            check_heaps(path)  # the table is text itself
        text, read = files.netcdf_table(path), files.read_netcdf
    if text is None:
        raise FileFormatError(
            f"Expected {path} to be written by nks.save, found no mark of it: read a recording "
            f"with nks.io.read, a fitted model with nks.load_result, any other file with "
            f"xarray.open_datatree."
        )
    table = json.loads(text)
    _check_versions(path, table)
    groups = read(path, table)
    if table["type"] == "Dataset" and chunks is None:
        return groups["/"]  # a tree would put its coordinates last
    tree = chunked(xr.DataTree.from_dict(dict(groups), name=table["name"]), chunks)
    return tree if table["type"] == "DataTree" else tree.to_dataset()


def _check_versions(path: Path, table: Any) -> None:
    known = {"store": layout.VERSION, "schema": schema.SCHEMA_VERSION}
    for name, newest in known.items():
        found = table.get(name) if isinstance(table, dict) else None
        if not isinstance(found, int):
            raise FileFormatError(
                f"Expected {path} to say which {name} version it follows, got {found!r}: it was "
                f"changed after it was saved, or is damaged."
            )
        if found > newest:
            raise FileFormatError(
                f"{path} follows {name} version {found}, this package knows {newest}: upgrade "
                f"neurokit-sdr to at least {table.get('package')}."
            )


def is_saved(path: Path) -> bool:
    """Whether a path is a netCDF file or a Zarr store that says it was saved here."""
    if not path.is_dir():
        return outline(path).attributes.get(layout.MARK) is not None
    try:
        return files.zarr_table(path) is not None
    except Exception:  # damaged
        return False


def _read(path: Path, *, chunks: Any = None) -> xr.DataTree:
    """As a session, whatever was saved: a Dataset comes under the group of its kind."""
    data = load(path, chunks=chunks)
    if isinstance(data, xr.DataTree):
        return data
    for kind, spec in schema.KINDS.items():
        needed = {n for n, v in spec.variables.items() if v.required}
        if needed and needed <= set(data.variables):
            return xr.DataTree.from_dict({schema.GROUPS[kind]: data})
    return xr.DataTree(data)


READER = Reader(
    name="netCDF or Zarr of nks.save",
    kinds=tuple(schema.KINDS),
    keeps="everything",
    can_read=is_saved,
    read=_read,
)
