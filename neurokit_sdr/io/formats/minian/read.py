"""Zarr stores of minian: one per variable, with the labels that minian gave them.

Public layout: https://minian.readthedocs.io (variables A, C, S, YrA over frame, height, width,
unit_id).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, MissingDependencyError, NeurokitError, warn
from neurokit_sdr.core.files import check_zarr
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble, imaging
from neurokit_sdr.io.registry import Reader, with_chunks

_TRACES = {"YrA": "fluorescence", "C": "denoised", "S": "deconvolved"}
_DIMS = ("unit_id", "frame")
_PIXELS = ("unit_id", "height", "width")
_META = (".zarray", ".zgroup", "zarr.json")


def is_minian(path: Path) -> bool:
    """Whether a path is a folder with minian's traces C, as a store of its own or in one."""
    return _place_of(path, "C") is not None


def _place_of(path: Path, name: str) -> Path | None:
    """The Zarr array of a variable: in a store of its own (NAME.zarr/NAME), or in one for all."""
    try:
        for place in (path / f"{name}.zarr" / name, path / name / name, path / name):
            if place.is_dir() and _dims_of(place) is not None:
                return place
    except (OSError, ValueError):
        return None
    return None


def _dims_of(place: Path) -> tuple[str, ...] | None:
    """Names of an array's dimensions, as xarray writes them; None where they are not said."""
    try:
        if (place / "zarr.json").is_file():
            meta = json.loads((place / "zarr.json").read_text("utf-8"))
            dims = meta.get("dimension_names") if meta.get("node_type") == "array" else None
        elif (place / ".zarray").is_file() and (place / ".zattrs").is_file():
            dims = json.loads((place / ".zattrs").read_text("utf-8")).get("_ARRAY_DIMENSIONS")
        else:
            return None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    if isinstance(dims, list) and all(isinstance(d, str) for d in dims):
        return tuple(dims)
    return None


def read_minian(path: Path, sampling_rate: float | None = None) -> xr.DataTree:
    """Read minian's stores; :func:`neurokit_sdr.io.read_calcium` says into what."""
    check_zarr(path)
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "minian's Zarr stores need the package zarr: pip install 'neurokit-sdr[zarr]'."
        ) from error
    try:
        session, left = _Reading(path, sampling_rate).session()
    except NeurokitError:
        raise
    except Exception as error:  # whatever damaged metadata make of zarr, it is the file's fault
        raise FileFormatError(
            f"{path} looks like minian's output but could not be read ({type(error).__name__}: "
            f"{error}): copy it again, or save it again with minian."
        ) from error
    assemble.warn_left_out(path, left)
    if session["/calcium/time"].attrs["units"] == "frame":
        warn(f"{path.name}: {imaging.UNKNOWN_RATE}.")
    return session


def _open(place: str) -> Any:
    import zarr

    return zarr.open_array(place, mode="r")


def _read_array(place: str, order: tuple[int, ...], key: tuple[Any, ...]) -> np.ndarray:
    """Part of an array whose dimensions were put into another order."""
    stored: list[Any] = [slice(None)] * len(order)
    for axis, wanted in zip(order, key, strict=True):
        stored[axis] = wanted
    try:
        values = np.asarray(_open(place)[tuple(stored)])
    except Exception as error:  # a chunk is cut off or no longer there
        raise FileFormatError(
            f"{place} is damaged ({type(error).__name__}: {error}): copy it again."
        ) from error
    kept = [axis for axis in sorted(order) if isinstance(stored[axis], slice)]
    wanted_axes = [axis for axis in order if axis in kept]
    return values.transpose([kept.index(axis) for axis in wanted_axes])


class _Reading:
    """One pass over the stores."""

    def __init__(self, path: Path, rate: float | None) -> None:
        self.path, self.rate = path, rate
        self.left: list[str] = []
        self.places = self._all_places()

    def _all_places(self) -> dict[str, Path]:
        places = {}
        for entry in sorted(self.path.iterdir()):
            name = entry.name.removesuffix(".zarr")
            place = _place_of(self.path, name) if entry.is_dir() else None
            if place is not None:
                places[name] = place
            elif not entry.name.startswith(".") and entry.name != "zarr.json":
                self.left.append(entry.name)
        return places

    def session(self) -> tuple[xr.DataTree, list[str]]:
        ids, frames = self._labels("C", "unit_id"), self._labels("C", "frame")
        traces: dict[str, xr.Variable] = {}
        rest: dict[str, xr.Variable] = {}
        masks = None
        for name, place in self.places.items():
            dims = _dims_of(place) or ()
            if name in _DIMS or name in ("height", "width", "animal", "session"):
                continue
            if set(dims) == set(_DIMS) and self._same(name, ids, frames):
                new = _TRACES.get(name, name)
                traces[new] = self._trace(new, name, place, dims)
            elif name == "A" and set(dims) == set(_PIXELS) and self._same(name, ids, None):
                masks = self._masks(place, dims, ids)
            elif set(dims) >= {"frame", "height", "width"}:
                self.left.append(f"{name} (a movie)")
            else:
                variable = self._lazy(place, dims)
                if variable.dtype.kind in "iufb" and "unit_id" not in dims:
                    rest[name] = variable
                else:
                    self.left.append(f"{name} (dims {dims})")
        if "fluorescence" not in traces:
            traces = {"fluorescence": traces.pop("denoised"), **traces}
            traces["fluorescence"].attrs["long_name"] = "denoised fluorescence: there is no YrA"
        clock, columns = self._clock(frames)
        attrs = self._scalars() | ({} if self.rate is None else {"sampling_rate": self.rate})
        calcium = imaging.calcium_dataset(traces, ids, clock, {}, attrs, str(self.path))
        calcium = calcium.assign_coords(columns)
        groups = {"calcium": calcium}
        if masks is not None:
            groups["rois"] = masks
        other = self._rest(rest)
        if other.variables:
            groups["minian"] = other
        return imaging.plane_groups({"plane": groups}), self.left

    def _labels(self, name: str, dim: str) -> np.ndarray:
        """Labels along a dimension; positions where the store has none."""
        place = self.places[name]
        dims = _dims_of(place) or ()
        if dim not in dims:
            raise FileFormatError(
                f"Expected {name} with dims {_DIMS} in {self.path}, got {dims}: save it with "
                f"minian."
            )
        size = _open(str(place)).shape[dims.index(dim)]
        labels = place.parent / dim
        if not labels.is_dir():
            return np.arange(size)
        values = assemble.plain_array(_open(str(labels))[:])
        if values is None or values.shape != (size,):
            raise FileFormatError(
                f"Expected {size} labels in {labels}, one for each {dim} of {name}: the store is "
                f"damaged."
            )
        return values

    def _same(self, name: str, ids: np.ndarray, frames: np.ndarray | None) -> bool:
        same = np.array_equal(self._labels(name, "unit_id"), ids) and (
            frames is None or np.array_equal(self._labels(name, "frame"), frames)
        )
        return bool(same)

    def _lazy(
        self,
        place: Path,
        dims: tuple[str, ...],
        wanted: tuple[str, ...] | None = None,
        floats: bool = False,
    ) -> xr.Variable:
        array = _open(str(place))
        wanted = wanted or dims
        order = tuple(dims.index(d) for d in wanted)
        shape = tuple(array.shape[axis] for axis in order)
        dtype = np.dtype(array.dtype).newbyteorder("=")
        if floats and dtype.kind != "f":
            dtype = np.dtype(np.float64)
        return lazy_variable(wanted, partial(_read_array, str(place), order), shape, dtype)

    def _trace(self, new: str, name: str, place: Path, dims: tuple[str, ...]) -> xr.Variable:
        lazy = self._lazy(place, dims, ("frame", "unit_id"), floats=True)
        lazy.dims = ("time", "unit")
        return imaging.trace(new, lazy, name_in_file=name)

    def _masks(self, place: Path, dims: tuple[str, ...], ids: np.ndarray) -> xr.Dataset:
        lazy = self._lazy(place, dims, _PIXELS, floats=True)
        mask = xr.Variable(("unit", "y", "x"), lazy._data, {"units": "1", "name_in_file": "A"})
        coords: dict[str, Any] = {"unit": ("unit", ids)}
        for axis, dim in (("y", "height"), ("x", "width")):
            coords[axis] = (axis, self._labels("A", dim), {"units": "pixel"})
        return xr.Dataset({"mask": mask}, coords)

    def _clock(self, frames: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Times from the numbers of frames, which need not begin at 0 nor be whole."""
        numbers = frames.astype(np.float64)
        steps = np.diff(numbers)
        if not np.isfinite(numbers).all() or (steps <= 0).any():
            raise FileFormatError(
                f"Expected rising numbers of frames in {self.path}, got others: the store is "
                f"damaged."
            )
        first = float(numbers[0]) if numbers.size else 0.0
        if (steps == 1).all():
            clock = imaging.clock(numbers.size, self.rate, first / (self.rate or 1.0))
            if self.rate is None and first:
                clock = xr.Coordinates({"time": ("time", numbers, {"units": "frame"})})
        elif self.rate is None:
            clock = xr.Coordinates({"time": ("time", numbers, {"units": "frame"})})
        else:
            clock = xr.Coordinates({"time": ("time", numbers / self.rate, {"units": "s"})})
        plain = self.rate is None or np.array_equal(numbers, np.arange(numbers.size))
        return clock, ({} if plain else {"frame": ("time", frames)})

    def _scalars(self) -> dict[str, Any]:
        """Names of the animal and the session, which minian keeps beside each variable."""
        found = {}
        for name in ("animal", "session"):
            place = self.places["C"].parent / name
            if place.is_dir():
                values = assemble.plain_array(_open(str(place))[...])
                if values is not None and values.size == 1:
                    found[name] = values.reshape(-1)[0].item()
        return found

    def _rest(self, variables: dict[str, xr.Variable]) -> xr.Dataset:
        dataset = xr.Dataset()
        for name, variable in variables.items():
            try:
                dataset = dataset.assign({name: variable})
            except ValueError:  # pictures of another size
                self.left.append(f"{name} (dims {variable.dims} of another size)")
        return dataset


READER = Reader(
    name="minian",
    kinds=("calcium", "rois"),
    keeps="YrA, C, S and footprints A (lazy), unit and frame labels, other variables",
    can_read=is_minian,
    read=with_chunks(read_minian),
    needs="zarr",
)
