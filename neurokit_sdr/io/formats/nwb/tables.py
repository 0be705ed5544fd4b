"""NWB tables and time series to Datasets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.assemble import free_name, plain_array, plain_attrs
from neurokit_sdr.io.lazy import values_of
from neurokit_sdr.io.marks import split_mark

#: Covariates with more values than this stay in the file until they are used ...
LAZY_SIZE = 1_000_000
#: ... and series that this package wrote with more than this.
SMALL = 10_000
_CLOCK = ("rate", "start", "first", "stride")


def read_scaled(
    path: str,
    name: str,
    conversion: float,
    offset: float,
    factors: np.ndarray | None,
    key: tuple[Any, ...],
) -> np.ndarray:
    """Part of an HDF5 dataset in its unit; ``factors`` are those of each column.

    A dataset of one dimension is read as one column where a second dimension is asked for.
    """
    import h5py

    # Opened for each read: an open handle could not travel to another process.
    with values_of(path), h5py.File(path, "r") as file:
        stored = file[name]
        if stored.ndim < len(key):
            values = np.asarray(stored[key[0]])
            values = values[..., None][..., key[1]]
        else:
            values = np.asarray(stored[key])
    if factors is not None:
        values = values * factors[key[1]]
    return scaled(values, conversion, offset)


def stored_variable(
    data: Any, dims: tuple[str, ...], conversion: float, offset: float, attrs: dict[str, Any]
) -> xr.Variable:
    """A numeric HDF5 dataset that is read when it is used, and scaled as NWB says."""
    dtype = scaled(np.empty(0, data.dtype.newbyteorder("=")), conversion, offset).dtype
    read = partial(read_scaled, str(data.file.filename), str(data.name), conversion, offset, None)
    return lazy_variable(dims, read, tuple(data.shape), dtype, attrs)


def scaled(values: np.ndarray, conversion: float, offset: float) -> np.ndarray:
    """Values in their unit: NWB stores numbers that conversion and offset turn into it."""
    if conversion == 1.0 and offset == 0.0:
        return values
    return values * conversion + offset


class Left:
    """What a reader met and did not keep."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str, why: str) -> None:
        self.names.append(f"{name} ({why})")


class Extent(NamedTuple):
    """When something in the file starts and ends, in seconds."""

    first: float
    last: float
    what: str
    covariate: bool


@dataclass
class Reading:
    """One pass over an open NWBFile, and what it has come to."""

    path: Path
    file: Any
    left: Left = field(default_factory=Left)
    #: object ids of all that was kept or reported
    seen: set[str] = field(default_factory=set)
    groups: dict[str, xr.Dataset] = field(default_factory=dict)
    extents: list[Extent] = field(default_factory=list)


def is_a(item: Any, name: str) -> bool:
    """Whether an object is of an NWB type or one that extends it, by the type's name."""
    return any(cls.__name__ == name for cls in type(item).__mro__)


def address(item: Any) -> str:
    parts = []
    while item is not None and item.parent is not None:
        parts.append(item.name)
        item = item.parent
    return "/".join(reversed(parts))


def row_ends(index: Any, length: int, name: str) -> np.ndarray:
    """Where each row of a ragged column ends; checked, because a wrong index mixes up units."""
    ends = np.asarray(index.data[:], dtype=np.int64)
    if ends.size and (ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > length):
        raise FileFormatError(
            f"Expected the index of column {name!r} to rise to at most {length}, got "
            f"{ends[0]} to {ends[-1]}: the file's table is damaged; write it again."
        )
    return ends


def column_values(column: Any) -> np.ndarray | None:
    """Values of one flat column; None where NetCDF could not hold them."""
    names = _names_referred_to(column.data)
    if names is not None:
        return names
    values = column.data[:]
    elements = getattr(column, "elements", None)
    if elements is not None and not callable(elements):  # EnumData: codes of a list of words
        words = plain_array(np.asarray(elements.data[:], dtype=object))
        return None if words is None else words[np.asarray(values, dtype=np.int64)]
    if type(column).__name__ == "DynamicTableRegion":
        return np.asarray(column.table.id.data[:])[np.asarray(values, dtype=np.int64)]
    if len(values) and hasattr(values[0], "object_id"):  # references to named objects
        values = [v.name for v in values]
    return plain_array(values)


def _names_referred_to(data: Any) -> np.ndarray | None:
    """Names of the objects that a column refers to, without making the objects; else None."""
    import h5py

    stored = getattr(data, "dataset", None)
    if not isinstance(stored, h5py.Dataset) or stored.dtype != h5py.ref_dtype or stored.ndim != 1:
        return None
    place = stored.file.id
    named = [h5py.h5r.get_name(r, place).decode() if r else "" for r in stored[:]]
    return np.array([name.rpartition("/")[2] for name in named], dtype=np.str_)


def read_table(
    table: Any,
    dim: str,
    left: Left,
    skip: tuple[str, ...] = (),
    notes: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Read a DynamicTable as variables over ``dim``; ragged columns as pairs of value and row.

    ``notes`` are those that this package left where the table's description could not hold them.
    """
    text, mark = split_mark(table.description)
    mark = notes or mark
    size = len(table.id)
    dataset = xr.Dataset(attrs=dict(mark.get("attrs", {"description": text} if text else {})))
    ids = np.asarray(table.id.data[:])
    if not mark:
        dataset = dataset.assign_coords({dim: (dim, ids)})
    elif mark.get("row_ids") is not None:
        dataset = dataset.assign_coords(
            {dim: (dim, ids.astype(mark.get("row_dtype", "i8")), mark["row_ids"])}
        )
    for name in table.colnames:
        if name not in skip:
            dataset = _add_column(dataset, table, name, dim, size, left)
    return dataset


def _add_column(
    dataset: xr.Dataset, table: Any, name: str, dim: str, size: int, left: Left
) -> xr.Dataset:
    column = table[name]
    where = f"{table.name}.{name}"
    if type(column).__name__ == "VectorIndex":
        return _add_ragged(dataset, column, name, dim, left, where)
    text, mark = split_mark(column.description)
    if mark.get("derived"):
        return dataset
    values = column_values(column)
    if values is None:
        left.add(where, f"values of type {np.asarray(column.data[:]).dtype}")
        return dataset
    if values.shape[0] != size:
        raise FileFormatError(
            f"Expected {size} rows in column {where}, got {values.shape[0]}: the file's table is "
            f"damaged; write it again."
        )
    if mark:
        return restore(dataset, mark, values)
    new = free_name(name, [*dataset.variables, *dataset.dims, dim])
    dims = (dim, *(f"{new}_axis{k}" for k in range(1, values.ndim)))
    attrs = {"description": text} if text else {}
    if new != name:
        attrs["name_in_file"] = name
    return dataset.assign({new: (dims, values, attrs)})


def _add_ragged(
    dataset: xr.Dataset, index: Any, name: str, dim: str, left: Left, where: str
) -> xr.Dataset:
    if type(index.target).__name__ == "VectorIndex":
        left.add(where, "ragged in two ways")
        return dataset
    text, mark = split_mark(index.target.description)
    if mark.get("derived"):
        return dataset
    values = (
        None
        if type(index.target).__name__.startswith("TimeSeriesRef")
        else column_values(index.target)
    )
    if values is None:
        left.add(where, "references or mixed types")
        return dataset
    ends = row_ends(index, values.shape[0], where)
    counts = np.diff(ends, prepend=0)
    if mark:
        return restore(dataset, mark, values)
    item = f"{name}_item"
    dims = (item, *(f"{name}_axis{k}" for k in range(1, values.ndim)))
    row = np.repeat(np.arange(counts.size), counts)
    return dataset.assign(
        {
            name: (dims, values, {"description": text} if text else {}),
            f"{name}_{dim}": ((item,), row, {"long_name": f"position on the {dim} dimension"}),
        }
    )


def restore(dataset: xr.Dataset, mark: dict[str, Any], values: np.ndarray) -> xr.Dataset:
    """Put a variable that this package wrote back under its name, dims, dtype and attributes."""
    shape = mark.get("shape", list(values.shape))
    dtype = mark["dtype"]
    if 0 in shape:
        values = np.zeros(shape, dtype=dtype)
    values = np.asarray(values).reshape(shape)
    values = values.astype(np.str_ if dtype == "U" else dtype, copy=False)
    variable = xr.Variable(mark["dims"], values, mark["attrs"])
    name = mark["name"]
    if mark["coord"]:
        return dataset.assign_coords({name: variable})
    return dataset.assign({name: variable})


def read_interval_table(table: Any, dim: str, left: Left) -> xr.Dataset:
    """Read a TimeIntervals table; tags of a row become one text."""
    skip = ("tags",) if "tags" in table.colnames else ()
    dataset = read_table(table, dim, left, skip)
    for name in ("start_time", "stop_time"):
        if name in dataset:
            dataset[name] = dataset[name].astype(np.float64)
            dataset[name].attrs["units"] = "s"
    if skip:
        index = table["tags"]
        words = column_values(index.target)
        if words is None:
            left.add(f"{table.name}.tags", "mixed types")
            return dataset
        ends = row_ends(index, len(words), f"{table.name}.tags")
        joined = [", ".join(row) for row in np.split(words, ends[:-1])] if ends.size else []
        dataset["tags"] = (
            dim,
            np.array(joined, dtype=np.str_),
            {"description": "user-defined tags, joined by ', '"},
        )
    return dataset


def series_time(series: Any) -> np.ndarray:
    """The time of each sample in seconds, float64."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], dtype=np.float64)
    start = float(series.starting_time or 0.0)
    return start + np.arange(len(series.data)) / float(series.rate)


def series_extent(series: Any) -> tuple[float, float] | None:
    """First and last time of a series without reading its values; None where it has no samples."""
    size = len(series.data) if series.data is not None else 0
    if series.timestamps is not None:
        size = len(series.timestamps)
        if not size:
            return None
        ends = float(series.timestamps[0]), float(series.timestamps[size - 1])
        return ends if np.isfinite(ends).all() else None
    if not size or not series.rate:
        return None
    start = float(series.starting_time or 0.0)
    return start, start + size / float(series.rate)


def series_clock(series: Any, time_attrs: dict[str, Any] | None = None) -> xr.Coordinates:
    """``time`` of a series: without a number in memory per sample where it has a rate."""
    attrs = {"units": "s"} if time_attrs is None else time_attrs
    if series.timestamps is not None or not series.rate:
        return xr.Coordinates({"time": ("time", series_time(series), attrs)})
    start = float(series.starting_time or 0.0)
    clock = even_time(len(series.data), float(series.rate), start)
    clock["time"].attrs = attrs
    return clock


def read_series(series: Any, name: str) -> xr.Dataset | str:
    """Read one TimeSeries as ``NAME(time)`` or ``NAME(time, space)``, or say why not."""
    data = series.data
    if data is None or not hasattr(data, "shape"):
        data = np.asarray(data if data is not None else [])
    if data.dtype.kind not in "iufb":
        return f"values of type {data.dtype}"
    n_times = len(data) if series.timestamps is None else len(series.timestamps)
    if data.shape[:1] != (n_times,):
        return f"{data.shape[:1]} values at {n_times} times"
    text, mark = split_mark(series.description)
    if mark:
        return _restored_series(series, data, mark)
    conversion, offset = float(series.conversion or 1.0), float(series.offset or 0.0)
    spatial = hasattr(series, "reference_frame")
    dims = ("time", *(f"{name}_axis{k}" for k in range(1, len(data.shape))))
    axes: dict[str, Any] = {}
    if spatial and len(data.shape) == 2 and data.shape[1] <= 3:
        dims = ("time", "space")
        axes["space"] = list("xyz")[: data.shape[1]]
    attrs = plain_attrs(
        {
            "units": series.unit,
            "description": text or None,
            "comments": None if series.comments in (None, "no comments") else series.comments,
            "reference_frame": getattr(series, "reference_frame", None),
            "name_in_file": None if series.name == name else series.name,
        }
    )
    if data.size > LAZY_SIZE and hasattr(data, "file"):
        variable = stored_variable(data, dims, conversion, offset, attrs)
    else:
        variable = xr.Variable(dims, scaled(np.asarray(data[:]), conversion, offset), attrs)
    return xr.Dataset({name: variable}, coords=series_clock(series)).assign_coords(axes)


def _restored_series(series: Any, data: Any, mark: dict[str, Any]) -> xr.Dataset:
    """A series that this package wrote, on the very clock that it had."""
    even = mark.get("even")
    if even is not None:
        clock = even_time(data.shape[0], **{k: even[k] for k in _CLOCK})
        clock["time"].attrs = mark["time"]
    else:
        clock = xr.Coordinates({"time": ("time", series_time(series), mark["time"])})
    dtype = np.dtype(mark["dtype"])
    if data.size > SMALL and hasattr(data, "file") and dtype.newbyteorder("=") == data.dtype:
        variable = stored_variable(data, tuple(mark["dims"]), 1.0, 0.0, mark["attrs"])
        values = {mark["name"]: variable}
        dataset = xr.Dataset() if mark["coord"] else xr.Dataset(values)
        dataset = dataset.assign_coords(values) if mark["coord"] else dataset
    else:
        dataset = restore(xr.Dataset(), mark, np.asarray(data[:]))
    return dataset.assign_coords(clock)
