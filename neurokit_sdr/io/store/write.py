"""Recordings to disk."""

from __future__ import annotations

import os
from typing import Any

import xarray as xr

from neurokit_sdr._version import __version__
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.files import atomic_folder, atomic_path
from neurokit_sdr.io.lazy import path_of
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
