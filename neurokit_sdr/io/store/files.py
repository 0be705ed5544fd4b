"""Arrays into netCDF and Zarr files, piece by piece, and lazily out of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, NeurokitError
from neurokit_sdr.core.files import check_hdf5, check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.store import layout

#: Bytes written at once, and of one chunk of a Zarr array.
_PIECE = 2**24
#: Variables up to this size are read when the file is opened, ...
_SMALL = 2**20
#: ... as long as all of them together are not larger than this.
_ALL_SMALL = 2**26
#: More numbers than this many for each byte of a file come from no compression that there is.
_LARGEST_RATIO = 1100
#: Codecs of Zarr that allocate no more than the metadata say.
_CODECS = {"bytes", "vlen-utf8"}
_MARK_START = "zarr.json"


# -- writing ----------------------------------------------------------------------------------


def write_netcdf(path: Path, groups: Mapping[str, xr.Dataset], table: dict[str, Any]) -> None:
    """Write all groups, their numbers piece by piece, and the table last."""
    import h5netcdf

    with h5netcdf.File(path, "w") as file:
        for entry in table["groups"]:
            data = groups[entry["path"]]
            group = file if entry["stored"] == "" else file.create_group(entry["stored"])
            group.dimensions = {str(d): int(n) for d, n in data.sizes.items()}
            group.attrs.update(layout.describe_attrs(data.attrs)[1])
            for item in entry["variables"]:
                if "stored" not in item:
                    continue
                variable = data.variables[item["name"]]
                _write_variable(_NetcdfTarget(group, item, table), variable, item)
        file.attrs[layout.MARK] = json.dumps(table)


class _NetcdfTarget:
    """Makes one variable of a netCDF group and takes its values."""

    def __init__(self, group: Any, item: dict[str, Any], table: dict[str, Any]) -> None:
        self.group, self.item, self.table = group, item, table
        self.array: Any = None

    def make(self, dtype: Any, variable: xr.Variable, piece: tuple[int, ...]) -> None:
        dims = tuple(self.item["dims"])
        if variable.dtype.kind == "c":
            dims = (*dims, "real_imaginary")
            if "real_imaginary" not in self.group.dimensions:
                self.group.dimensions["real_imaginary"] = 2
        made = self.group.create_variable(
            self.item["stored"], dims, dtype=h5py.string_dtype() if dtype is str else dtype
        )
        made.attrs.update(layout.describe_attrs(variable.attrs)[1])
        # h5netcdf's own checks on each write cost more than the write of a small piece.
        self.array = made._h5ds
        self.item["stored"] = self.array.name.rpartition("/")[2]

    def put(self, where: tuple[slice, ...], values: np.ndarray) -> None:
        self.array[where if self.array.shape else ()] = values


def write_zarr(path: Path, groups: Mapping[str, xr.Dataset], table: dict[str, Any]) -> None:
    """Write all groups, their numbers piece by piece, and the table last."""
    zarr = import_zarr()
    root = zarr.open_group(str(path), mode="w", zarr_format=3)
    for entry in table["groups"]:
        data = groups[entry["path"]]
        group = root if entry["stored"] == "" else root.create_group(entry["stored"])
        group.attrs.update(layout.describe_attrs(data.attrs)[1])
        for item in entry["variables"]:
            if "stored" in item:
                _write_variable(_ZarrTarget(group, item), data.variables[item["name"]], item)
    root.attrs[layout.MARK] = json.dumps(table)


class _ZarrTarget:
    """Makes one array of a Zarr group and takes its values."""

    def __init__(self, group: Any, item: dict[str, Any]) -> None:
        self.group, self.item = group, item
        self.array: Any = None

    def make(self, dtype: Any, variable: xr.Variable, piece: tuple[int, ...]) -> None:
        dims, shape = tuple(self.item["dims"]), tuple(variable.shape)
        if variable.dtype.kind == "c":
            dims, shape, piece = (*dims, "real_imaginary"), (*shape, 2), (*piece, 2)
        self.array = self.group.create_array(
            self.item["stored"],
            shape=shape,
            dtype=dtype,
            chunks=piece,
            compressors=None,
            filters=None,
            dimension_names=dims,
            attributes=layout.describe_attrs(variable.attrs)[1],
            config={"write_empty_chunks": True},  # else -0.0 would come back as 0.0
        )

    def put(self, where: tuple[slice, ...], values: np.ndarray) -> None:
        self.array[where if self.array.shape else ()] = values


def _write_variable(target: Any, variable: xr.Variable, item: dict[str, Any]) -> None:
    dtype = layout.stored_dtype(variable.dtype, item["name"])
    if dtype is str:  # small enough to look at whole
        text = layout.encode_values(np.asarray(variable.values), item["name"])
        if layout.needs_escape(text):
            text = layout.escape(text)
            item["escaped"] = 1
        target.make(dtype, variable, tuple(max(n, 1) for n in variable.shape))
        target.put((slice(None),) * variable.ndim, text if variable.ndim else text[()])
        return
    piece = _piece_shape(variable)
    target.make(dtype, variable, piece)
    for where in _pieces(variable.shape, piece):
        values = np.asarray(variable[where].values)
        encoded = layout.encode_values(values, item["name"])
        extra = (slice(None),) if encoded.ndim > variable.ndim else ()
        target.put((*where, *extra), encoded)


def _piece_shape(variable: xr.Variable) -> tuple[int, ...]:
    """Shape of what is written at once: dask's chunks, or whole rows up to a size."""
    shape = [max(n, 1) for n in variable.shape]
    if variable.chunks is not None:
        shape = [max(max(lengths), 1) for lengths in variable.chunks]
        if int(np.prod(shape)) * variable.dtype.itemsize <= 8 * _PIECE:
            return tuple(shape)
    for axis in range(len(shape)):
        rest = int(np.prod(shape[axis + 1 :])) * variable.dtype.itemsize
        if shape[axis] * rest <= _PIECE:
            break
        shape[axis] = max(1, _PIECE // rest)
    return tuple(shape)


def _pieces(shape: tuple[int, ...], piece: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    starts = [range(0, n, step) for n, step in zip(shape, piece, strict=True)]
    for begin in product(*starts):
        yield tuple(
            slice(b, min(b + step, n)) for b, step, n in zip(begin, piece, shape, strict=True)
        )


# -- reading ----------------------------------------------------------------------------------


def import_zarr() -> Any:
    """The library, or the error that names the extra."""
    try:
        import zarr
    except ImportError as error:
        raise MissingDependencyError(
            "Zarr stores need the package zarr: pip install 'neurokit-sdr[zarr]'."
        ) from error
    return zarr


def netcdf_table(path: Path) -> str | None:
    """The table of a netCDF file as text; None where there is none."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return None
    with h5py.File(path, "r") as file:
        found = file.attrs.get(layout.MARK)
    return found if isinstance(found, str) else None


def zarr_table(path: Path) -> str | None:
    """The table of a Zarr store as text; None where there is none."""
    if not (path / _MARK_START).is_file():
        return None
    found = _zarr_metadata(path).get("attributes", {}).get(layout.MARK)
    return found if isinstance(found, str) else None


def read_netcdf(path: Path, table: Mapping[str, Any]) -> dict[str, xr.Dataset]:
    """All groups of a checked file, their values read when they are used."""
    size = path.stat().st_size
    budget = [_ALL_SMALL]
    found: dict[str, xr.Dataset] = {}
    with h5py.File(check_hdf5(path), "r") as file:
        for entry in table["groups"]:
            group = file[entry["stored"]] if entry["stored"] else file
            variables = {}
            for item in entry["variables"]:
                if "stored" not in item:
                    variables[item["name"]] = _without_values(item)
                    continue
                array = group[item["stored"]]
                if not isinstance(array, h5py.Dataset):
                    raise FileFormatError(f"Expected an array at {array.name}, found a group.")
                _check_array(item, array.shape, array.dtype, size)
                read = partial(_read_hdf5, str(path), array.name, item)
                attrs = layout.restore_attrs(item["attrs"], dict(array.attrs))
                variables[item["name"]] = _variable(item, read, attrs, budget, array)
            attrs = layout.restore_attrs(entry["attrs"], dict(group.attrs))
            found[entry["path"]] = layout.restore_group(entry["variables"], variables, attrs)
    return found


def read_zarr(path: Path, table: Mapping[str, Any]) -> dict[str, xr.Dataset]:
    """All groups of a store, their values read when they are used."""
    zarr = import_zarr()
    size = _check_store(path)
    budget = [_ALL_SMALL]
    found: dict[str, xr.Dataset] = {}
    for entry in table["groups"]:
        place = check_inside(path / entry["stored"].lstrip("/"), path)
        variables = {}
        for item in entry["variables"]:
            if "stored" not in item:
                variables[item["name"]] = _without_values(item)
                continue
            inside = check_inside(place / item["stored"], path)
            metadata = _zarr_metadata(inside)
            _check_codecs(inside, metadata)
            array = zarr.open_array(str(inside), mode="r", zarr_format=3)
            _check_array(item, array.shape, array.dtype, size)
            if layout.stored_dtype(layout.dtype_of(item["dtype"]), item["name"]) is str:
                array = _text_chunk(inside, tuple(array.shape), metadata)
            read = partial(_read_zarr, str(inside), item)
            attrs = layout.restore_attrs(item["attrs"], metadata.get("attributes", {}))
            variables[item["name"]] = _variable(item, read, attrs, budget, array)
        attrs = layout.restore_attrs(entry["attrs"], _zarr_metadata(place).get("attributes", {}))
        found[entry["path"]] = layout.restore_group(entry["variables"], variables, attrs)
    return found


def _without_values(item: Mapping[str, Any]) -> xr.Variable:
    if "even" in item:
        return layout.even_placeholder(item)
    if all(item["shape"]):
        raise FileFormatError(f"Expected values of {item['name']!r} in the file, found none.")
    values = np.empty(item["shape"], layout.dtype_of(item["dtype"]))
    return xr.Variable(tuple(item["dims"]), values, layout.restore_attrs(item["attrs"], {}))


def _check_array(item: Mapping[str, Any], shape: Any, dtype: Any, file_size: int) -> None:
    """Refuse an array that is not the one in the table, or that no file of this size can hold."""
    wanted = layout.dtype_of(item["dtype"])
    stored = layout.stored_dtype(wanted, item["name"])
    expected = tuple(item["shape"]) + ((2,) if wanted.kind == "c" else ())
    text = h5py.check_string_dtype(dtype) is not None or np.dtype(dtype).kind in "TU"
    if expected != tuple(shape) or (text if stored is not str else not text):
        raise FileFormatError(
            f"Expected {item['name']!r} as {wanted} of shape {expected}, found {dtype} of "
            f"{tuple(shape)}: the file was changed after it was saved, or is damaged."
        )
    if isinstance(stored, np.dtype) and (
        np.dtype(dtype).kind != stored.kind or np.dtype(dtype).itemsize != stored.itemsize
    ):
        raise FileFormatError(
            f"Expected {item['name']!r} stored as {stored}, found {dtype}: the file was changed "
            f"after it was saved, or is damaged."
        )
    claimed = int(np.prod(expected, dtype=object)) * max(wanted.itemsize, 1)
    if claimed > _SMALL + _LARGEST_RATIO * file_size:
        raise FileFormatError(
            f"{item['name']!r} claims {claimed} bytes in a file of {file_size}: nothing was read; "
            f"the file is damaged, or made to fill the memory."
        )


def _variable(
    item: Mapping[str, Any], read: Any, attrs: dict[str, Any], budget: list[int], array: Any
) -> xr.Variable:
    dtype = layout.dtype_of(item["dtype"])
    shape, dims = tuple(item["shape"]), tuple(item["dims"])
    bytes_ = int(np.prod(shape)) * dtype.itemsize
    if bytes_ <= _SMALL and bytes_ <= budget[0]:
        budget[0] -= bytes_
        return xr.Variable(dims, _values(array, (slice(None),) * len(shape), item), attrs)
    return lazy_variable(dims, read, shape, dtype, attrs)


def _read_hdf5(path: str, name: str, item: Mapping[str, Any], key: tuple[Any, ...]) -> np.ndarray:
    try:
        with h5py.File(path, "r") as file:
            return _values(file[name], key, item)
    except NeurokitError:
        raise
    except Exception as error:  # moved, changed or damaged since it was opened
        raise _unreadable(path, item, error) from error


def _read_zarr(path: str, item: Mapping[str, Any], key: tuple[Any, ...]) -> np.ndarray:
    try:
        array = import_zarr().open_array(path, mode="r", zarr_format=3)
        if layout.dtype_of(item["dtype"]).kind in "UTSO":
            array = _text_chunk(Path(path), array.shape, _zarr_metadata(Path(path)))
        return _values(array, key, item)
    except NeurokitError:
        raise
    except Exception as error:  # moved, changed or damaged since it was opened
        raise _unreadable(path, item, error) from error


def _unreadable(path: str, item: Mapping[str, Any], error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{item['name']!r} could not be read from {path} ({type(error).__name__}: {error}): the "
        f"file was moved, changed or damaged since it was opened; load it again."
    )


def _values(array: Any, key: tuple[Any, ...], item: Mapping[str, Any]) -> np.ndarray:
    dtype = layout.dtype_of(item["dtype"])
    if dtype.kind == "c":
        key = (*key, slice(None))
    if all(isinstance(k, slice) for k in key) and all(
        k.indices(n) == (0, n, 1) for k, n in zip(key, array.shape, strict=True)
    ):
        key = ()  # the whole array: HDF5 then copies it without looking at each row
    if dtype.kind in "UTSO":
        raw = np.asarray(array[key], dtype=object)
        return layout.decode_values(raw, dtype, bool(item.get("escaped")))
    return layout.decode_values(np.asarray(array[key]), dtype, False)


def _zarr_metadata(place: Path) -> dict[str, Any]:
    try:
        found = json.loads((place / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(
            f"Expected {place / 'zarr.json'} to describe a part of a Zarr store ({error}): the "
            f"store is damaged or incomplete; copy it again."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("attributes", {}), dict):
        raise FileFormatError(f"Expected a description in {place / 'zarr.json'}, found a list.")
    return found


def _text_chunk(place: Path, shape: tuple[int, ...], metadata: Mapping[str, Any]) -> np.ndarray:
    """Text of an array of one chunk: a number of items, then the length and bytes of each.

    Read here, because the library makes room for as many items as the first bytes claim.
    """
    chunk = metadata["chunk_grid"]["configuration"]["chunk_shape"]
    if [max(n, 1) for n in shape] != chunk:
        raise FileFormatError(
            f"Expected the text at {place} in one chunk, as nks.save writes it, found chunks of "
            f"{chunk}: open the store with xarray.open_zarr."
        )
    raw = place.joinpath("c", *("0" for _ in shape)).read_bytes()
    (number,) = np.frombuffer(raw, "<u4", 1).tolist()
    if number != int(np.prod(shape)):
        raise FileFormatError(
            f"Expected {int(np.prod(shape))} items of text at {place}, found {number}: the store "
            f"is damaged; copy it again."
        )
    items: list[Any] = []
    start = 4
    for _ in range(number):
        (length,) = np.frombuffer(raw, "<u4", 1, start).tolist()
        if start + 4 + length > len(raw):
            raise FileFormatError(f"Text at {place} is cut off: copy the store again.")
        items.append(raw[start + 4 : start + 4 + length].decode())
        start += 4 + length
    text = np.empty(shape, dtype=object)
    text[...] = np.array([*items, None], dtype=object)[:-1].reshape(shape)
    return text


def _check_codecs(place: Path, metadata: Mapping[str, Any]) -> None:
    codecs = metadata.get("codecs", [])
    names = {c.get("name") if isinstance(c, dict) else str(c) for c in codecs}
    chunk = metadata.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape", [])
    sizes = [n for n in chunk if isinstance(n, int) and n > 0]
    largest = max([8 * _PIECE, *(_SMALL for _ in sizes)])
    if not names or names - _CODECS or metadata.get("storage_transformers"):
        raise FileFormatError(
            f"Expected {place} without compression, as nks.save writes it, found codecs "
            f"{sorted(map(str, names))}: another tool wrote it; open it with xarray.open_zarr."
        )
    shape = metadata.get("shape", [])
    beyond = any(c > max(n, 1) for c, n in zip(chunk, shape, strict=False))
    if len(sizes) != len(chunk) or beyond or np.prod(sizes, dtype=object) * 16 > 64 * largest:
        raise FileFormatError(
            f"Expected chunks inside an array of shape {shape} at {place}, found {chunk}: the "
            f"store is damaged, or made to fill the memory."
        )


def _check_store(path: Path) -> int:
    """Bytes of a store, once no link in it leads out."""
    total = 0
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            place = Path(folder) / name
            if place.is_symlink():
                check_inside(place, path)
        total += sum((Path(folder) / name).stat().st_size for name in files)
    return total
