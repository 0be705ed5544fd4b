"""Recordings on disk as netCDF or Zarr: what is loaded is what was saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from neurokit_sdr._version import __version__
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, ParameterError, SchemaError
from neurokit_sdr.core.files import atomic_folder, atomic_path, check_file, check_heaps
from neurokit_sdr.io.lazy import chunked, path_of
from neurokit_sdr.io.registry import Reader
from neurokit_sdr.io.store import files, layout

_NETCDF = (".nc", ".nc4", ".netcdf")
_ZARR = (".zarr",)


def save(data: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write a recording to one netCDF file or one Zarr folder, so that loading gives it back.

    Everything comes back as it was: values and their types, text, missing values, the order of
    variables, dimensions and groups, attributes and their types, units, masks, arrays without
    elements. An evenly sampled ``time`` is stored as its start and rate, whatever its length. Other
    tools read the file as plain netCDF-4 or Zarr version 3.

    Values on disk or in dask arrays are written piece by piece, never all at once. The file or
    folder appears only once it is whole: a killed process leaves what was there before.

    Parameters
    ----------
    data
        A Dataset or DataTree, as readers, simulators and models give it.
    path
        With the suffix ``.nc`` (netCDF) or ``.zarr`` (Zarr; needs the extra ``zarr``). What lies
        there is replaced; a folder only if it is a Zarr store.

    Raises
    ------
    SchemaError
        If an attribute or a variable holds what neither format can: objects, a MultiIndex.
    ParameterError
        If the suffix is another, or a folder that is no Zarr store lies at the path.
    MissingDependencyError
        If the path ends in ``.zarr`` and zarr is not installed.

    Notes
    -----
    Numbers are not compressed: recordings hardly shrink, and what is not compressed can claim no
    more memory than its file is long. NumPy scalars in attributes come back as Python's numbers.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.4], "b": []}, t_stop=0.5)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "spikes.nc"
    >>> nks.save(spikes, path)
    >>> nks.load(path).identical(spikes)
    True
    """
    path = path_of(path)
    if not isinstance(data, xr.Dataset | xr.DataTree):
        raise SchemaError(
            f"Expected an xarray.Dataset or DataTree to save, got {schema.describe(data)}: "
            f"nks.save_result saves a fitted model, .to_dataset(name=...) makes a Dataset of a "
            f"DataArray."
        )
    suffix = path.suffix.lower()
    if suffix not in _NETCDF + _ZARR:
        raise ParameterError(
            f"Expected a path that ends in .nc (netCDF) or .zarr (Zarr), got {path.name!r}: for "
            f"NWB use nks.io.write_nwb."
        )
    groups = _groups(data)
    table = _table(data, groups)
    if suffix in _ZARR:
        files.import_zarr()
        if path.exists() and not (path / "zarr.json").is_file():
            raise ParameterError(
                f"Expected nothing or a Zarr store at {path}, found something else, which is not "
                f"replaced: give another path or delete it."
            )
        with atomic_folder(path) as temporary:
            files.write_zarr(temporary, groups, table)
        return
    if path.is_dir():
        raise ParameterError(
            f"Expected a file or nothing at {path}, found a folder, which is not replaced: give "
            f"another path."
        )
    with atomic_path(path) as temporary:
        files.write_netcdf(temporary, groups, table)


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


def _groups(data: xr.Dataset | xr.DataTree) -> dict[str, xr.Dataset]:
    if isinstance(data, xr.Dataset):
        return {"/": data}
    top = data.path.rstrip("/")
    return {
        node.path[len(top) :] or "/": node.to_dataset(inherit=node is data) for node in data.subtree
    }


def _table(data: xr.Dataset | xr.DataTree, groups: dict[str, xr.Dataset]) -> dict[str, Any]:
    entries = []
    stored = {"/": ""}
    for number, (path, dataset) in enumerate(groups.items()):
        if path != "/":
            parent, _, name = path.rpartition("/")
            plain = name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
            kept = name if plain and len(name) < 80 else f"group_{number}"
            place = f"{stored[parent or '/']}/{kept}"
            taken = {p.casefold() for p in stored.values()}
            above = groups[parent or "/"]
            if place.casefold() in taken or kept in above.variables or kept in above.dims:
                place = f"{stored[parent or '/']}/group_{number}"
            stored[path] = place
        entries.append(
            {"path": path, "stored": stored[path]} | layout.describe_group(dataset, path)
        )
    return {
        "store": layout.VERSION,
        "schema": schema.SCHEMA_VERSION,
        "package": __version__,
        "type": "Dataset" if isinstance(data, xr.Dataset) else "DataTree",
        "name": data.name if isinstance(data, xr.DataTree) else None,
        "groups": entries,
    }


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


def _is_ours(path: Path) -> bool:
    try:
        table = files.zarr_table(path) if path.is_dir() else files.netcdf_table(path)
    except Exception:  # damaged
        return False
    return table is not None


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


READERS = (
    Reader(
        name="netCDF or Zarr of nks.save",
        kinds=tuple(schema.KINDS),
        keeps="everything",
        can_read=_is_ours,
        read=_read,
    ),
)
