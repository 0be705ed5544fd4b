"""What a Dataset is beyond its numbers, as a table in the file, so that it comes back the same.

netCDF and Zarr know fewer types than xarray: no bool, no text of fixed width, no list of one
number, no order of groups. Values are stored as the nearest type that both hold and other tools
read; the table says what they were.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.core.indexes import PandasIndex

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import clock_state, even_time
from neurokit_sdr.core.errors import FileFormatError, SchemaError

#: Name of the root's attribute that holds the table, as JSON.
MARK = "neurokit_sdr_store"
VERSION = 1

#: Longest list of numbers kept as an attribute of its own beside the table; HDF5 takes 64 KiB.
_LONGEST = 1000
#: Names of attributes that mean something to netCDF or to xarray's own reading of it.
_RESERVED = {
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
    "coordinates",
    "dtype",
    "calendar",
    MARK,
}


# -- values -----------------------------------------------------------------------------------


def stored_dtype(dtype: np.dtype, name: str) -> np.dtype | type[str]:
    """The type that values are stored as; complex numbers have a dimension of two more."""
    kind = dtype.kind
    if kind in "UTS":
        return str
    if kind in "iu" or (kind == "f" and dtype.itemsize in (4, 8)):
        return dtype
    if kind == "b":
        return np.dtype(np.uint8)
    if kind == "f" and dtype.itemsize == 2:
        return np.dtype(np.uint16).newbyteorder(dtype.byteorder)
    if kind == "c" and dtype.itemsize in (8, 16):
        return np.dtype(f"f{dtype.itemsize // 2}").newbyteorder(dtype.byteorder)
    if kind in "mM":
        return np.dtype(np.int64)
    if kind == "O":
        return str
    raise SchemaError(
        f"Expected numbers, true and false, or text in {name!r}, got {dtype}: convert it with "
        f".astype before saving."
    )


def encode_values(values: np.ndarray, name: str) -> np.ndarray:
    """From values to what is stored; text becomes an array of Python's str."""
    kind = values.dtype.kind
    if kind in "UTSO":
        return _plain_text(values, name)
    if kind in "iu" or (kind == "f" and values.dtype.itemsize > 2):
        return values
    stored = stored_dtype(values.dtype, name)
    if kind == "c":
        return np.ascontiguousarray(values).reshape(*values.shape, 1).view(stored)
    if kind in "mM":
        return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("=")).view(np.int64)
    return np.ascontiguousarray(values).reshape(values.shape).view(stored)


def _plain_text(values: np.ndarray, name: str) -> np.ndarray:
    items = [v.decode("latin-1") if isinstance(v, bytes) else v for v in values.flat]
    if not all(isinstance(v, str) for v in items):
        wrong = next(type(v).__name__ for v in items if not isinstance(v, str))
        raise SchemaError(
            f"Expected text in {name!r}, got an array of objects with {wrong} in it: convert it "
            f"with .astype(str), or to numbers with NaN for what is missing."
        )
    text = np.empty(values.shape, dtype=object)
    text[...] = np.array([*map(str, items), None], dtype=object)[:-1].reshape(values.shape)
    return text


def needs_escape(text: np.ndarray) -> bool:
    """Whether text holds what UTF-8 in C cannot: NUL, or half of a surrogate pair."""
    return any(re.search("[\0\ud800-\udfff]", item) for item in text.flat)


def escape(text: np.ndarray) -> np.ndarray:
    """Text as JSON writes it between its quotes."""
    out = np.empty(text.shape, dtype=object)
    out[...] = np.array([*(json.dumps(t)[1:-1] for t in text.flat), None], object)[:-1].reshape(
        text.shape
    )
    return out


def decode_values(raw: np.ndarray, dtype: np.dtype, escaped: bool) -> np.ndarray:
    """From what is stored to the values."""
    if dtype.kind in "UTSO":
        items = [v.decode() if isinstance(v, bytes) else str(v) for v in np.asarray(raw).flat]
        if escaped:
            items = [json.loads(f'"{v}"') for v in items]
        if dtype.kind in "US" and max(map(len, items), default=0) > width_of(dtype):
            raise FileFormatError(
                f"Expected text of at most {width_of(dtype)} characters, found longer: the file "
                f"was changed after it was saved."
            )
        if dtype.kind == "S":
            return np.array([v.encode("latin-1") for v in items], dtype).reshape(np.shape(raw))
        out = np.empty(np.shape(raw), dtype=dtype)
        out[...] = np.array([*items, ""], dtype=dtype)[:-1].reshape(np.shape(raw))
        return out
    raw = np.ascontiguousarray(raw).reshape(np.shape(raw))
    if dtype.kind == "c":
        pairs = raw.view(dtype.newbyteorder(raw.dtype.byteorder)).reshape(raw.shape[:-1])
        return pairs.astype(dtype, copy=False)
    if dtype.kind in "bmM" or (dtype.itemsize == 2 and dtype.kind == "f"):
        if dtype.kind == "b":
            return raw.astype(bool)
        return raw.view(dtype.newbyteorder(raw.dtype.byteorder)).astype(dtype, copy=False)
    return raw.astype(dtype, copy=False)


def width_of(dtype: np.dtype) -> int:
    """Characters in text of fixed width."""
    return dtype.itemsize // (4 if dtype.kind == "U" else 1)


def dtype_name(dtype: np.dtype) -> str:
    """A dtype as text."""
    return dtype.kind if dtype.kind in "OT" else dtype.str


def dtype_of(name: str) -> np.dtype:
    """The dtype of such a text; only plain ones are made."""
    if name == "O":
        return np.dtype(object)
    if name == "T":
        return np.dtypes.StringDType()
    if not re.fullmatch(r"[<>|=]?[biufcUSmM]\d{0,9}(\[\w+\])?", name):
        raise FileFormatError(f"Expected a type of numbers or text, found {name[:40]!r}.")
    return np.dtype(name)


# -- attributes -------------------------------------------------------------------------------


def describe_attrs(attrs: Mapping[Any, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The table's part about attributes, and those that a file holds as they are.

    Each entry of the table is ``[key, how]`` where the file holds the value, ``[key, how, value]``
    where the table does.
    """
    table: list[Any] = []
    native: dict[str, Any] = {}
    for key, value in attrs.items():
        how, plain = _describe(value)
        if how.startswith("native") and _native_name(key):
            table.append([key, how])
            native[key] = plain
        else:
            table.append([key, how.removeprefix("native "), plain])
    return table, native


def _inline(attrs: Mapping[Any, Any]) -> list[Any]:
    """The table's part about attributes of what has no place of its own in the file."""
    described = {key: _describe(value) for key, value in attrs.items()}
    return [[key, how.removeprefix("native "), plain] for key, (how, plain) in described.items()]


def _native_name(key: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z][\w.-]{0,200}", key)) and key not in _RESERVED


def _describe(value: Any) -> tuple[str, Any]:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        usable = value and not re.search("[\0\ud800-\udfff]", value)
        return ("native str" if usable else "str"), value
    if isinstance(value, int):
        return ("native int" if -(2**63) <= value < 2**63 else "int"), value
    if isinstance(value, float):
        return ("native float" if math.isfinite(value) else "float"), value
    if isinstance(value, np.ndarray):
        return f"array {value.dtype.str}", value.tolist()
    items = [v.item() if isinstance(v, np.generic) else v for v in value]
    kinds = {_describe(v)[0] for v in items}
    alike = len(kinds) == 1 and 1 < len(items) <= _LONGEST
    return ("native list" if alike and kinds.pop().startswith("native") else "list"), items


def restore_attrs(table: Iterable[Any], native: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes in their order and of their types; those that others added come last."""
    attrs: dict[str, Any] = {}
    for key, how, *value in table:
        if value:
            plain = value[0]
            if how.startswith("array "):
                plain = np.array(plain, dtype=dtype_of(how.removeprefix("array ")))
            attrs[str(key)] = plain
        elif key in native:  # else another tool deleted it
            attrs[str(key)] = _as_was(how, native[key])
    for key, value in native.items():
        if key not in attrs and key not in _RESERVED and not key.startswith("_N"):
            attrs[key] = _as_was("", value)
    return attrs


def _as_was(how: str, value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if how != "native list" and isinstance(value, list) and len(value) == 1:
        value = value[0]  # netCDF knows no number that is not in a list
    if how == "native float" and isinstance(value, int):
        return float(value)  # JSON of other tools writes 1.0 as 1
    return value


# -- Datasets ---------------------------------------------------------------------------------


def describe_group(data: xr.Dataset, where: str) -> dict[str, Any]:
    """The table's part about one Dataset: its variables in their order, and its attributes."""
    schema.check_attrs(data)
    shared = [names for names in _shared_indexes(data) if len(names) > 1]
    if shared:
        raise SchemaError(
            f"Expected one index per coordinate in {where}, got one over {shared[0]}: save "
            f"data.reset_index({shared[0][0]!r})."
        )
    variables = []
    taken: set[str] = set(map(str.casefold, map(str, data.dims)))
    for name in data.variables:
        if not isinstance(name, str):
            raise SchemaError(
                f"Expected names of variables in {where} to be text, got {name!r}: rename it."
            )
        variable = data.variables[name]
        entry: dict[str, Any] = {
            "name": name,
            "dims": list(map(str, variable.dims)),
            "shape": list(variable.shape),
            "dtype": dtype_name(variable.dtype),
            "attrs": describe_attrs(variable.attrs)[0],
            "coordinate": int(name in data.coords),
            "index": int(name in data.xindexes),
        }
        state = clock_state(data, name)
        if state is not None:
            entry["even"] = state
            entry["attrs"] = _inline(variable.attrs)
        elif not variable.size:
            stored_dtype(variable.dtype, name)  # nothing to store but the names
            entry["attrs"] = _inline(variable.attrs)
        else:
            stored_dtype(variable.dtype, name)
            entry["stored"] = _stored_name(name, variable.dims, taken)
        variables.append(entry)
    return {"variables": variables, "attrs": describe_attrs(data.attrs)[0]}


def _shared_indexes(data: xr.Dataset) -> list[list[str]]:
    found: dict[int, list[str]] = {}
    for name, index in data.xindexes.items():
        found.setdefault(id(index), []).append(str(name))
    return list(found.values())


def _stored_name(name: str, dims: tuple[Any, ...], taken: set[str]) -> str:
    """The name in the file: the variable's own where every file system and tool can hold it.

    A variable may carry the name of a dimension only where it lies along that dimension.
    """
    own = bool(re.fullmatch(r"[A-Za-z0-9][\w +-]{0,80}", name)) and name.isascii()
    if own and (dims == (name,) or name.casefold() not in taken):
        taken.add(name.casefold())
        return name
    number = 0
    while f"variable_{number}" in taken:
        number += 1
    taken.add(f"variable_{number}")
    return f"variable_{number}"


def restore_group(
    entries: Iterable[Mapping[str, Any]], variables: Mapping[str, xr.Variable], attrs: dict
) -> xr.Dataset:
    """The Dataset that a table describes, from the variables that were read."""
    coordinates: dict[str, Any] = {}
    indexes: dict[str, Any] = {}
    values: dict[str, xr.Variable] = {}
    later: list[str] = []
    names = []
    for entry in entries:
        name = entry["name"]
        names.append(name)
        variable = variables[name]
        if "even" in entry:
            made = even_time(variable.size, dim=str(variable.dims[0]), **entry["even"])
            coordinates[name] = made[name].variable
            coordinates[name].attrs = dict(variable.attrs)
            indexes[name] = made.xindexes[name]
        elif not entry["coordinate"]:
            values[name] = variable
        elif entry["index"] and variable.dims == (name,):
            index = PandasIndex.from_variables({name: variable}, options={})
            coordinates |= index.create_variables({name: variable})
            indexes[name] = index
        else:
            coordinates[name] = variable
            later += [name] if entry["index"] else []
    data = xr.Dataset(values, coords=xr.Coordinates(coordinates, indexes), attrs=attrs)
    for name in later:
        data = data.set_xindex(name)
    return data[names]


def even_placeholder(entry: Mapping[str, Any]) -> xr.Variable:
    """Dims, length and attributes of an evenly sampled time that is not in the file."""
    (size,) = entry["shape"]
    attrs = restore_attrs(entry["attrs"], {})
    # One number that stands for all of them: nothing is taken in memory.
    return xr.Variable(tuple(entry["dims"]), np.broadcast_to(np.float64(0), (size,)), attrs)
