"""What NWB can hold of one variable: its values, its clock, its name, and notes about the rest."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.io.marks import add_mark, encode_attrs

#: Column names that NWB tables give a meaning or shape of their own.
_RESERVED = {
    "id",
    "spike_times",
    "obs_intervals",
    "electrodes",
    "electrode_group",
    "waveform_mean",
    "waveform_sd",
    "waveforms",
    "waveform_rate",
    "waveform_unit",
    "resolution",
    "tags",
    "timeseries",
    "image_mask",
    "pixel_mask",
    "voxel_mask",
}


def row_ids(table: xr.Dataset, dim: str) -> tuple[np.ndarray, dict[str, Any] | None]:
    """The table's integer ids, and the attributes of the coordinate that they hold (or None)."""
    if dim in table.coords and table[dim].dtype == np.int64:
        return table[dim].values, encode_attrs(table[dim].attrs)
    return np.arange(table.sizes[dim]), None


def mark_variable(dataset: xr.Dataset, name: Any, text: str, **info: Any) -> str:
    variable = dataset[name]
    return add_mark(
        text,
        name=str(name),
        dims=list(map(str, variable.dims)),
        dtype="U" if variable.dtype.kind in "UT" else variable.dtype.str,
        coord=int(name in dataset.coords),
        attrs=encode_attrs(variable.attrs),
        **info,
    )


def storable(variable: xr.Variable, where: str) -> np.ndarray:
    """Values as HDF5 holds them: text becomes variable-length strings."""
    values = np.asarray(variable.values)
    if values.dtype.kind == "O" and all(isinstance(v, str) for v in values.flat):
        values = values.astype(np.str_)
    if values.dtype.kind in "UT":
        if any("\0" in str(v) for v in values.flat):
            raise SchemaError(
                f"Expected text without NUL characters in {where}, which HDF5 cannot hold: "
                f"replace them."
            )
        return values.astype(object)
    if values.dtype.kind not in "iufb":
        raise SchemaError(
            f"Expected numbers, booleans or text in {where}, got {values.dtype}: write dates as "
            f"seconds or ISO text, complex numbers as two variables."
        )
    return values


def clock_of(dataset: xr.Dataset) -> dict[str, Any]:
    """Start and rate where they give the same times to the last bit, else every timestamp."""
    even = even_clock(dataset)
    if even is not None:
        return {"starting_time": even[0], "rate": even[1]}
    time = dataset["time"].values
    if time.size > 1 and time[-1] > time[0]:
        for rate in (1 / (time[1] - time[0]), np.round((time.size - 1) / (time[-1] - time[0]), 6)):
            if rate > 0 and np.array_equal(time[0] + np.arange(time.size) / rate, time):
                return {"starting_time": float(time[0]), "rate": float(rate)}
    return {"timestamps": compressed(time)}


def compressed(values: np.ndarray) -> Any:
    from pynwb import H5DataIO

    if values.size < 1000 or values.dtype.kind not in "iufb":
        return values
    return H5DataIO(values, compression="gzip", compression_opts=6, shuffle=True)


def column_name(name: Any, columns: list[Any], also: Iterable[str] = ()) -> str:
    taken = {c.name for c in columns} | _RESERVED | set(also)
    return free(str(name), taken)


def free(name: str, taken: Iterable[str]) -> str:
    name = "".join("_" if c in "/:" else c for c in name) or "_"
    while name in taken or f"{name}_index" in taken:
        name += "_"
    return name


def fix_object_ids(file: Any, identifier: str) -> None:
    """Give each object an id that follows from the file and its place, not a random one.

    hdmf has no public way to choose the id of a new object. Should this attribute go away, ids
    are random again and files only lose being equal byte for byte.
    """
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"neurokit_sdr/{identifier}")
    for item in file.all_children():
        # With its type: a device may have the name of a table.
        place, parent = item.name, item.parent
        while parent is not None:
            place, parent = f"{parent.name}/{place}", parent.parent
        if hasattr(item, "_AbstractContainer__object_id"):
            item._AbstractContainer__object_id = str(
                uuid.uuid5(space, f"{type(item).__name__} {place}")
            )
