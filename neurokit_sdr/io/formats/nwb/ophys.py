"""Imaged units of an NWB file: segmentations, fluorescence and what was made of it."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble, imaging
from neurokit_sdr.io.formats.nwb.tables import (
    Reading,
    address,
    is_a,
    read_scaled,
    read_table,
    row_ends,
    series_clock,
)
from neurokit_sdr.io.lazy import values_of
from neurokit_sdr.io.marks import split_mark

_MASKS = ("image_mask", "pixel_mask", "voxel_mask")
#: What a series of imaged units is, by its name or its container's; the first that fits.
_TRACES = (
    ("neuropil", r"neuropil|fneu"),
    ("deconvolved", r"deconv|spks|spike|inferred|event"),
    ("denoised", r"denois"),
    ("dff", r"dff|df_f|df/f|dfof|df_over_f|dfoverf|delta_?f"),
)
#: Columns that say whether a region is a cell.
_IS_CELL = ("iscell", "is_cell", "accepted")


def read_planes(reading: Reading, series: list[Any]) -> None:
    """Every plane into ``/calcium`` and ``/rois``, with a name where there are several."""
    tables = {
        t.object_id: t
        for t in sorted(reading.file.objects.values(), key=address)
        if is_a(t, "PlaneSegmentation") and not split_mark(t.description)[1]
    }
    parts = _recordings(reading, series, tables)
    for table in tables.values():
        if not any(one is table for one, _, _ in parts):
            parts.append((table, np.arange(len(table.id)), []))
    names: list[str] = []
    for table, _, traces in parts:
        suffix = f"_{traces[0].name}" if any(t is table for t, *_ in parts[: len(names)]) else ""
        names.append(assemble.free_name(f"{table.name}{suffix}", names, "plane"))
    alone = len(parts) == 1 and not any(g.startswith("/calcium") for g in reading.groups)
    for name, (table, rows, traces) in zip(names, parts, strict=True):
        end = "" if alone else f"/{name}"
        plane = _Plane(reading, table, rows)
        if traces:
            reading.groups[f"/calcium{end}"] = plane.calcium(traces)
        rois = plane.rois(with_columns=not traces)
        if rois is not None:
            reading.groups[f"/rois{end}"] = rois


def _recordings(
    reading: Reading, series: list[Any], tables: dict[str, Any]
) -> list[tuple[Any, np.ndarray, list[Any]]]:
    """Series of the same regions on the same clock belong together."""
    found: dict[Any, tuple[Any, np.ndarray, list[Any]]] = {}
    for one in series:
        table = one.rois.table if one.rois is not None else None
        if table is None or table.object_id not in tables:
            reading.left.add(address(one), "no plane segmentation that its regions refer to")
            continue
        rows = np.asarray(one.rois.data[:], dtype=np.int64).ravel()
        if rows.size and not (rows.min() >= 0 and rows.max() < len(table.id)):
            raise FileFormatError(
                f"Expected the regions of {address(one)} among the {len(table.id)} of "
                f"{table.name} in {reading.path}, got {rows.min()} to {rows.max()}: the file is "
                f"damaged; write it again."
            )
        why = _unfit(one, rows.size)
        if why:
            reading.left.add(address(one), why)
            continue
        key = (table.object_id, rows.tobytes(), _clock_key(one))
        found.setdefault(key, (table, rows, []))[2].append(one)
    return list(found.values())


def _unfit(series: Any, n_units: int) -> str:
    """Why a series cannot be kept; empty where it can."""
    shape, kind = getattr(series.data, "shape", ()), getattr(series.data, "dtype", None)
    if kind is None or kind.kind not in "iufb":
        return f"values of type {kind}"
    if shape[1:] != (n_units,) and not (len(shape) == 1 and n_units == 1):
        return f"values of shape {shape} for {n_units} regions"
    return unfit_clock(series, len(series.data))


def unfit_clock(series: Any, size: int) -> str:
    if series.timestamps is None:
        rate = series.rate
        return "" if rate and np.isfinite(rate) and rate > 0 else f"a rate of {rate} Hz"
    if len(series.timestamps) != size:
        return f"{size} samples at {len(series.timestamps)} times"
    time = np.asarray(series.timestamps[:], dtype=np.float64)
    if not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        return "times that do not rise"
    return ""


def _clock_key(series: Any) -> Any:
    size = len(series.data)
    if series.timestamps is None:
        return size, float(series.starting_time or 0.0), float(series.rate)
    return np.asarray(series.timestamps[:], dtype=np.float64).tobytes()


class _Plane:
    """One segmentation, or the rows of it that were recorded."""

    def __init__(self, reading: Reading, table: Any, rows: np.ndarray) -> None:
        self.reading, self.table, self.rows = reading, table, rows
        self.path = str(reading.path)
        reading.seen |= {table.object_id, table.imaging_plane.object_id}
        if table.parent is not None:
            reading.seen.add(table.parent.object_id)
        self.ids = np.asarray(table.id.data[:])[rows]
        self.plane_rois = self._rois()
        columns = read_table(table, "unit", reading.left, tuple(_MASKS))
        self.columns = _cells(columns.isel(unit=rows))

    def calcium(self, series: list[Any]) -> xr.Dataset:
        traces: dict[str, xr.Variable] = {}
        for one in series:
            self.reading.seen.add(one.object_id)
            traces[self._name(one, traces)] = self._trace(one)
        clock = series_clock(series[0])
        attrs = self._attrs()
        if series[0].timestamps is None:
            attrs["sampling_rate"] = float(series[0].rate)
        per_unit = {str(n): v for n, v in self.columns.variables.items() if v.dims == ("unit",)}
        per_unit.pop("unit", None)
        if self.plane_rois is not None and "pixel_y" in self.plane_rois:
            for name, centre in imaging.centres(self.plane_rois).items():
                per_unit.setdefault(name, centre)
        calcium = imaging.calcium_dataset(traces, self.ids, clock, per_unit, attrs, self.path)
        rest = self.columns.drop_vars([*per_unit, "unit"], errors="ignore")
        return calcium.merge(rest, combine_attrs="override", compat="override")

    def _name(self, series: Any, taken: dict[str, xr.Variable]) -> str:
        own = "" if series.parent is None else str(series.parent.name)
        words = f"{own} {series.name}".lower()
        name = next((n for n, words_of in _TRACES if re.search(words_of, words)), "fluorescence")
        if is_a(series.parent, "DfOverF") and name not in ("deconvolved", "denoised"):
            name = "dff"
        if name in taken:
            name = assemble.free_name(series.name, [*taken, "time", "unit"], "series")
        return name

    def _trace(self, series: Any) -> xr.Variable:
        conversion, offset = float(series.conversion or 1.0), float(series.offset or 0.0)
        text, _ = split_mark(series.description)
        attrs = assemble.plain_attrs(
            {
                "units": _unit(series.unit),
                "name_in_file": address(series),
                "description": text if text and text != "no description" else None,
                "comments": None if series.comments in (None, "no comments") else series.comments,
            }
        )
        shape = (series.data.shape[0], self.rows.size)
        exact = series.data.dtype.kind == "f" and conversion == 1.0 and offset == 0.0
        dtype = series.data.dtype.newbyteorder("=") if exact else np.dtype(np.float64)
        read = partial(read_scaled, self.path, series.data.name, conversion, offset, None)
        return xr.Variable(
            ("time", "unit"), lazy_variable(("time", "unit"), read, shape, dtype)._data, attrs
        )

    def _attrs(self) -> dict[str, Any]:
        """What the file says of the microscope's picture."""
        plane = self.table.imaging_plane
        found = {
            "indicator": plane.indicator,
            "location": plane.location,
            "imaging_rate": plane.imaging_rate,
            "excitation_lambda": plane.excitation_lambda,
            "emission_lambda": [c.emission_lambda for c in plane.optical_channel],
            "imaging_plane": plane.name,
            "plane_description": plane.description,
            "plane_segmentation": self.table.name,
            "microscope": None if plane.device is None else plane.device.name,
            "grid_spacing": None if plane.grid_spacing is None else list(plane.grid_spacing[:]),
            "grid_spacing_unit": plane.grid_spacing_unit
            if plane.grid_spacing is not None
            else None,
            "origin_coords": None if plane.origin_coords is None else list(plane.origin_coords[:]),
            "origin_coords_unit": plane.origin_coords_unit
            if plane.origin_coords is not None
            else None,
            "reference_frame": plane.reference_frame,
            "optical_channels": json.dumps(
                {c.name: str(c.description) for c in plane.optical_channel}, sort_keys=True
            ),
        }
        for name in ("grid_spacing", "origin_coords"):
            if found[name] is not None:
                found[f"{name}_unit"] = getattr(plane, f"{name}_unit")
        return assemble.plain_attrs({k: v for k, v in found.items() if v is not None})

    # -- regions of interest ------------------------------------------------------------------

    def rois(self, with_columns: bool) -> xr.Dataset | None:
        if self.plane_rois is None or not with_columns:
            return self.plane_rois
        columns = self.columns.drop_vars("unit", errors="ignore")
        return self.plane_rois.assign_coords(columns.variables)

    def _rois(self) -> xr.Dataset | None:
        for name, has_z in (("pixel_mask", False), ("voxel_mask", True)):
            if name in self.table.colnames:
                return self._ragged(name, has_z)
        if "image_mask" not in self.table.colnames:
            return None
        stored = self.table["image_mask"].data
        if not hasattr(stored, "file") or stored.dtype.kind not in "iufb" or stored.ndim < 3:
            self.reading.left.add(f"{self.table.name}.image_mask", "no pictures")
            return None
        # The standard's order is (roi, x, y).
        shape = (self.rows.size, stored.shape[2], stored.shape[1], *stored.shape[3:])
        dims = ("unit", "y", "x", "z")[: len(shape)]
        dtype = stored.dtype if stored.dtype.kind == "f" else np.dtype(np.float64)
        whole = np.array_equal(self.rows, np.arange(stored.shape[0]))
        rows = None if whole else self.rows
        read = partial(_read_masks, self.path, stored.name, rows)
        attrs = {"units": "1", "comment": "read as (roi, x, y), which is the standard's order"}
        mask = lazy_variable(dims, read, shape, dtype.newbyteorder("="), attrs)
        return xr.Dataset({"mask": mask}, {"unit": ("unit", self.ids)})

    def _ragged(self, name: str, has_z: bool) -> xr.Dataset | None:
        index = self.table[name]
        values = np.asarray(index.target.data[:])
        fields = ("x", "y", "z", "weight") if has_z else ("x", "y", "weight")
        if values.dtype.names:
            if not set(fields) <= set(values.dtype.names):
                self.reading.left.add(f"{self.table.name}.{name}", f"fields {values.dtype.names}")
                return None
            parts = {f: values[f] for f in fields}
        else:
            flat = values.reshape(-1, len(fields)) if values.size else np.zeros((0, len(fields)))
            parts = {f: flat[:, k] for k, f in enumerate(fields)}
        ends = row_ends(index, len(values), name)
        counts = np.diff(ends, prepend=0)
        starts = ends - counts
        chosen = np.concatenate(
            [np.arange(starts[r], ends[r]) for r in self.rows] or [np.zeros(0, np.int64)]
        ).astype(np.int64)
        place = {f: _whole(parts[f][chosen]) for f in fields if f != "weight"}
        weight = parts["weight"][chosen]
        return imaging.roi_dataset(
            np.repeat(np.arange(self.rows.size), counts[self.rows]),
            place["y"],
            place["x"],
            weight if weight.dtype.kind == "f" else weight.astype(np.float64),
            self.ids,
            None,
            z=place.get("z"),
        )


def _whole(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "iu" else values.astype(np.int64)


def _unit(unit: Any) -> str:
    return "1" if str(unit).strip().lower() in ("n/a", "na", "a.u.", "au", "") else str(unit)


def _read_masks(path: str, name: str, rows: np.ndarray | None, key: tuple[Any, ...]) -> np.ndarray:
    """Pictures (unit, y, x) of some rows from a dataset of (roi, x, y)."""
    import h5py

    unit, y, x, *z = key
    with values_of(path), h5py.File(path, "r") as file:
        stored = file[name]
        if rows is None:
            values = stored[(unit, x, y, *z)]
        else:
            picked = [stored[(r, x, y, *z)] for r in np.atleast_1d(rows[unit])]
            values = picked[0] if np.ndim(rows[unit]) == 0 else np.stack(picked)
    first = 0 if not isinstance(unit, slice) else 1
    if isinstance(x, slice) and isinstance(y, slice):
        values = np.swapaxes(values, first, first + 1)
    return np.asarray(values)


def _cells(columns: xr.Dataset) -> xr.Dataset:
    """One name for whether a region is a cell, from the columns that tools write it into."""
    for name in map(str, list(columns.data_vars)):
        values = columns[name].values
        if name.lower() not in _IS_CELL or "is_cell" in columns.coords:
            continue
        label = values[:, 0] if values.ndim == 2 and values.shape[1] == 2 else values
        if label.ndim != 1 or label.dtype.kind not in "iufb" or not set(np.unique(label)) <= {0, 1}:
            continue
        attrs = columns[name].attrs | {"name_in_file": name}
        columns = columns.drop_vars(name)
        columns = columns.assign_coords(is_cell=("unit", label == 1, attrs))
        if values.ndim == 2:
            probability = ("unit", values[:, 1].astype(np.float64), {"name_in_file": name})
            columns = columns.assign_coords(cell_probability=probability)
    return columns
