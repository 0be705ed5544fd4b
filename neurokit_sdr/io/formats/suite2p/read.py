"""Folders of suite2p: one per plane, with traces, classifier, regions of interest and settings.

Public layout: https://suite2p.readthedocs.io/en/latest/outputs.html
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, warn
from neurokit_sdr.core.files import check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble, imaging
from neurokit_sdr.io.formats.npy import numbers_header
from neurokit_sdr.io.formats.suite2p.names import LABELS, MARK, PIXELS, RESERVED, TRACES
from neurokit_sdr.io.formats.suite2p.notes import mark_of, restored
from neurokit_sdr.io.formats.suite2p.unpickle import load_object_array
from neurokit_sdr.io.lazy import values_of
from neurokit_sdr.io.registry import Reader, with_chunks

_COPIES = {"Fall.mat"}  # the same numbers for MATLAB
_PLANE = re.compile(r"plane(\d+)")


def is_suite2p(path: Path) -> bool:
    """Whether a path is a suite2p folder, one of its planes, or the folder around it."""
    return bool(_plane_folders(path))


def _is_plane(path: Path) -> bool:
    known = ("stat.npy", "iscell.npy", "Fneu.npy", "spks.npy", "ops.npy")
    has = [name for name in ("F.npy", *known) if (path / name).is_file()]
    return "stat.npy" in has or ("F.npy" in has and len(has) > 1)


def _plane_folders(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return []
        if _is_plane(path):
            return [path]
        inside = [p for p in path.iterdir() if _PLANE.fullmatch(p.name) and _is_plane(p)]
        if inside:
            return sorted(inside, key=lambda p: int(p.name[5:]))
        return _plane_folders(path / "suite2p") if path.name != "suite2p" else []
    except OSError:
        return []


def read_suite2p(path: Path, sampling_rate: float | None = None) -> xr.DataTree:
    """Read a suite2p folder; :func:`neurokit_sdr.io.read_calcium` says into what."""
    folders = _plane_folders(path)
    left = _others(folders)
    planes = {}
    unknown = False
    for folder in folders:
        check_inside(folder, path)
        plane = _Plane(folder, sampling_rate)
        name, groups = plane.read()
        planes[name] = groups
        prefix = f"{folder.name}/" if len(folders) > 1 else ""
        left += [f"{prefix}{one}" for one in plane.left]
        unknown |= groups["calcium"]["time"].attrs["units"] == "frame"
    session = imaging.plane_groups(planes)
    assemble.warn_left_out(path, left)
    if unknown:
        warn(f"{path.name}: {imaging.UNKNOWN_RATE}.")
    return session


def _others(folders: list[Path]) -> list[str]:
    if not folders or not _PLANE.fullmatch(folders[0].name):
        return []
    top = folders[0].parent
    if (top / "combined").is_dir():
        return ["combined (a second copy of all planes)"]
    return []


def _read_trace(path: str, key: tuple[Any, ...]) -> np.ndarray:
    """Part of (time, unit) from a file of (unit, time)."""
    time, unit = key
    with values_of(path):
        return _part(path, time, unit, *numbers_header(Path(path)))


def _part(
    path: str, time: Any, unit: Any, shape: Any, dtype: Any, fortran: bool, offset: int
) -> np.ndarray:
    whole = isinstance(time, slice) and time.indices(shape[1]) == (0, shape[1], 1)
    if whole and isinstance(unit, slice) and unit.step in (None, 1) and not fortran:
        first, stop, _ = unit.indices(shape[0])
        rows = max(stop - first, 0)
        start = offset + first * shape[1] * dtype.itemsize
        values = np.fromfile(path, dtype, rows * shape[1], offset=start)
        return values.reshape(rows, shape[1]).T
    if 0 in shape:
        return np.zeros(shape, dtype)[unit, time].T
    mapped: Any = np.memmap(path, dtype, "r", offset, tuple(shape), "F" if fortran else "C")
    return np.array(mapped[unit, time]).T


class _Plane:
    """One plane's folder, and what of it was not kept."""

    def __init__(self, folder: Path, sampling_rate: float | None) -> None:
        self.folder, self.rate = folder, sampling_rate
        self.left: list[str] = []

    def read(self) -> tuple[str, dict[str, xr.Dataset]]:
        folder = self.folder
        if not (folder / "F.npy").is_file():
            raise FileFormatError(
                f"Expected F.npy, the fluorescence, in the suite2p folder {folder}, found "
                f"{sorted(p.name for p in folder.iterdir())[:10]}: copy the whole folder."
            )
        ops = self._ops()
        mark = mark_of(ops)
        n_units, n_frames = self._shape()
        traces = self._traces(mark.get("made_up", []))
        columns, rois = self._rois(n_units)
        columns |= self._labels(n_units, mark.get("made_up", []))
        found = _PLANE.fullmatch(folder.name)
        if found and "attrs" not in mark:
            columns["plane"] = xr.Variable("unit", np.full(n_units, int(found[1])))
        attrs = {}
        rate = self.rate or imaging.known_rate(ops.get("fs"))
        if self.rate is not None and imaging.known_rate(ops.get("fs")) not in (None, rate):
            attrs["sampling_rate_in_file"] = float(ops["fs"])
        if rate is not None:
            attrs["sampling_rate"] = rate
        for name, key in (("neuropil_coefficient", "neucoeff"), ("decay_time", "tau")):
            if isinstance(ops.get(key), int | float | np.number):
                attrs[name] = float(ops[key])
        calcium = imaging.calcium_dataset(
            traces,
            np.arange(n_units),
            imaging.clock(n_frames, rate),
            columns,
            attrs,
            str(folder),
        )
        settings = self._settings(ops, n_frames)
        shape: list[Any] = [settings.attrs.get("Ly"), settings.attrs.get("Lx")]
        groups = {"calcium": calcium}
        if rois is not None:
            if all(isinstance(n, int) and n > 0 for n in shape):
                rois.attrs |= {"height": shape[0], "width": shape[1]}
            groups["rois"] = rois
        if settings.attrs or settings.variables:
            groups["suite2p"] = settings
        self._name_others()
        return mark.get("name", folder.name), restored(groups, mark, self.rate)

    # -- traces -------------------------------------------------------------------------------

    def _file(self, name: str) -> Path | None:
        path = self.folder / name
        if not path.is_file():
            return None
        return check_inside(path, self.folder)

    def _shape(self) -> tuple[int, int]:
        path = check_inside(self.folder / "F.npy", self.folder)
        shape, *_ = numbers_header(path)
        if len(shape) != 2:
            raise FileFormatError(f"Expected F.npy (roi, frame) in {self.folder}, got {shape}.")
        return shape[0], shape[1]

    def _traces(self, made_up: list[str]) -> dict[str, xr.Variable]:
        traces = {}
        for file, name in TRACES.items():
            path = self._file(file)
            if path is None or file in made_up:
                continue
            shape, dtype, *_ = numbers_header(path)
            if len(shape) != 2:
                raise FileFormatError(f"Expected {file} (roi, frame) in {path}, got {shape}.")
            dtype = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)
            read = partial(_read_trace, str(path))
            lazy = lazy_variable(("time", "unit"), read, shape[::-1], dtype)
            traces[name] = imaging.trace(name, lazy, name_in_file=file)
        return traces

    def _labels(self, n_units: int, made_up: list[str]) -> dict[str, xr.Variable]:
        columns = {}
        for file, (label, probability) in LABELS.items():
            path = self._file(file)
            if path is None:
                continue
            shape, *_ = numbers_header(path)
            if shape not in ((n_units,), (n_units, 1), (n_units, 2)):
                raise FileFormatError(
                    f"Expected {file} with one row of label and probability for each of the "
                    f"{n_units} ROIs of F.npy in {self.folder}, got shape {shape}."
                )
            values = np.load(path, allow_pickle=False)
            values = values if values.ndim == 2 else values[:, None]
            if label not in made_up:
                columns[label] = xr.Variable("unit", values[:, 0] > 0)
            if values.shape[1] > 1 and probability not in made_up:
                columns[probability] = xr.Variable("unit", values[:, 1].astype(np.float64))
        return columns

    # -- regions of interest ------------------------------------------------------------------

    def _rois(self, n_units: int) -> tuple[dict[str, xr.Variable], xr.Dataset | None]:
        path = self._file("stat.npy")
        if path is None:
            return {}, None
        stat = load_object_array(path).ravel()
        if len(stat) != n_units or not all(isinstance(roi, dict) for roi in stat):
            raise FileFormatError(
                f"Expected one dict for each of the {n_units} ROIs of F.npy in {path}, got "
                f"{len(stat)} items of type {sorted({type(r).__name__ for r in stat})}."
            )
        table = _RoiTable(list(stat), path)
        self.left += [f"stat.npy {one}" for one in table.left]
        return table.columns, table.rois

    # -- settings -----------------------------------------------------------------------------

    def _ops(self) -> dict[str, Any]:
        path = self._file("ops.npy")
        if path is None:
            return {}
        ops = load_object_array(path)
        found = ops[()] if ops.shape == () else None
        if not isinstance(found, dict):
            raise FileFormatError(f"Expected one dict of settings in {path}, got {ops.shape}.")
        return {str(k): v for k, v in found.items() if isinstance(k, str)}

    def _settings(self, ops: dict[str, Any], n_frames: int) -> xr.Dataset:
        """All that ops.npy holds: settings as attributes, pictures and frame by frame values."""
        attrs: dict[str, Any] = {}
        arrays: dict[str, Any] = {}
        picture = (ops.get("Ly"), ops.get("Lx"))
        for key, value in ops.items():
            if key == MARK or value is None:
                continue
            if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "iufb":
                if value.shape == picture:
                    dims: tuple[str, ...] = ("y", "x")
                else:
                    first = "frame" if value.shape[0] == n_frames else f"{key}_axis0"
                    dims = (first, *(f"{key}_axis{k}" for k in range(1, value.ndim)))
                arrays[key.replace("/", "_")] = (dims, value)
            elif not _keep_setting(attrs, key, value):
                self.left.append(f"ops.npy {key} ({type(value).__name__})")
        return xr.Dataset(arrays, attrs=attrs)

    def _name_others(self) -> None:
        known = {*TRACES, *LABELS, *_COPIES, "stat.npy", "ops.npy"}
        for path in sorted(self.folder.iterdir()):
            if path.name not in known and not path.name.startswith("."):
                what = "folder" if path.is_dir() else "the registered movie"
                if path.suffix == ".bin" or path.is_dir():
                    self.left.append(f"{path.name} ({what})")
                else:
                    self.left.append(path.name)


def _keep_setting(attrs: dict[str, Any], key: str, value: Any, depth: int = 0) -> bool:
    """Add a setting to the attributes; nested ones as ``outer.inner``. False if it cannot be."""
    if value is None:
        return True
    if isinstance(value, dict):
        if depth == 3 or len(attrs) > 10_000:
            return False
        return all(
            isinstance(k, str) and _keep_setting(attrs, f"{key}.{k}", v, depth + 1)
            for k, v in value.items()
        )
    if isinstance(value, list | tuple) and not all(
        isinstance(v, str | int | float | np.number | np.bool_) for v in value
    ):
        return False
    kept = assemble.plain_attrs({key: value})
    attrs |= kept
    return bool(kept)


class _RoiTable:
    """The dicts of stat.npy, one per unit, as columns."""

    def __init__(self, stat: list[dict[str, Any]], path: Path) -> None:
        self.stat, self.path = stat, path
        self.left: list[str] = []
        self.columns: dict[str, xr.Variable] = {}
        #: Ragged fields that do not run over the pixels.
        ragged: dict[str, tuple[Any, ...]] = {}
        names = dict.fromkeys(str(k) for roi in stat for k in roi if isinstance(k, str))
        fields = {name: [_plain(roi.get(name)) for roi in stat] for name in names}
        self._check_size(fields)
        pixels = self._pixels(fields)
        for name, values in fields.items():
            if name == "med":
                self._centre(values)
            elif name not in pixels and not self._column(name, values):
                flat = self._ragged(values)
                if flat is None:
                    self.left.append(f"{name} ({_kinds(values)})")
                else:
                    row = np.repeat(np.arange(len(values)), [len(v) for v in values])
                    ragged[name] = (f"{name}_item", flat)
                    ragged[f"{name}_unit"] = (f"{name}_item", row)
        self.rois = self._dataset(pixels, ragged)

    def _check_size(self, fields: dict[str, list[Any]]) -> None:
        """Parts that a file names again and again could fill the memory once laid end to end."""
        number = sum(v.size for values in fields.values() for v in values if hasattr(v, "size"))
        if number > 8 * self.path.stat().st_size:
            raise FileFormatError(
                f"Expected arrays of ROIs that lie in {self.path} once each, got {number} values "
                f"in {self.path.stat().st_size} bytes: it was not read."
            )

    def _pixels(self, fields: dict[str, list[Any]]) -> dict[str, np.ndarray]:
        """Fields with one value for each pixel of every ROI, laid end to end."""
        lengths = None
        if "ypix" in fields:
            lengths = [v.size if isinstance(v, np.ndarray) else -1 for v in fields["ypix"]]
        found = {}
        for name, values in fields.items():
            if lengths is None or name == "med":
                continue
            same = all(
                isinstance(v, np.ndarray) and v.shape == (n,)
                for v, n in zip(values, lengths, strict=True)
            )
            # One pixel each would make every array of one element look like a field of pixels.
            if same and (name in PIXELS or any(n > 1 for n in lengths)):
                found[name] = np.concatenate(values) if values else np.zeros(0)
        if found and not {"ypix", "xpix"} <= set(found):
            raise FileFormatError(
                f"Expected ypix and xpix of the same length in every ROI of {self.path}, got "
                f"only {sorted(found)} with one value per pixel."
            )
        if found and any(found[n].dtype.kind not in "iu" and found[n].size for n in _PLACES):
            raise FileFormatError(
                f"Expected whole numbers in ypix and xpix of {self.path}, got "
                f"{[str(found[n].dtype) for n in _PLACES]}."
            )
        return found

    def _centre(self, values: list[Any]) -> None:
        if any(v is not None and (not isinstance(v, np.ndarray) or v.size != 2) for v in values):
            self.left.append(f"med ({_kinds(values)})")
            return
        pairs = [np.full(2, np.nan) if v is None else v for v in values]
        place = np.stack(pairs) if pairs else np.zeros((0, 2))
        for k, name in enumerate(("roi_y", "roi_x")):
            attrs = {"units": "pixel", "long_name": "median of the ROI's pixels"}
            self.columns[name] = xr.Variable("unit", place[:, k], attrs)

    def _column(self, name: str, values: list[Any]) -> bool:
        """Add a field with one number or text per ROI; False where it is neither."""
        known = [v for v in values if v is not None]
        text = bool(known) and all(isinstance(v, str) for v in known)
        number = all(isinstance(v, bool | int | float | np.number | np.bool_) for v in known)
        if not known or not (text or number):
            return False
        if any(isinstance(v, int) and not -(2**63) <= v < 2**63 for v in known):
            return False
        filled = [("" if text else np.nan) if v is None else v for v in values]
        column = np.array(filled)
        if column.dtype.kind not in "iufbU":
            return False
        new = assemble.free_name(name, ["time", "unit", *RESERVED, *self.columns])
        attrs = {} if new == name else {"name_in_file": name}
        self.columns[new] = xr.Variable("unit", column, attrs)
        return True

    def _ragged(self, values: list[Any]) -> np.ndarray | None:
        arrays = all(isinstance(v, np.ndarray) and v.ndim == 1 for v in values)
        if not arrays or any(v.dtype.kind not in "iufb" for v in values):
            return None
        return np.concatenate(values)

    def _dataset(
        self, pixels: dict[str, np.ndarray], ragged: dict[str, tuple[Any, ...]]
    ) -> xr.Dataset | None:
        if not pixels or not pixels["ypix"].size:
            self.left += [f"{n} (of ROIs without pixels)" for n, v in ragged.items() if v[1].size]
            return None
        counts = [roi["ypix"].size for roi in self.stat]
        extra = {f"pixel_{n}": v for n, v in pixels.items() if n not in PIXELS}
        rois = imaging.roi_dataset(
            np.repeat(np.arange(len(counts)), counts),
            pixels["ypix"],
            pixels["xpix"],
            pixels.get("lam"),
            np.arange(len(counts)),
            None,
            **extra,
        )
        return rois.assign(ragged)


_PLACES = ("ypix", "xpix")


def _plain(value: Any) -> Any:
    """A list of numbers as the array that it stands for."""
    if isinstance(value, list | tuple) and all(
        isinstance(v, int | float | np.number) and abs(float(v)) < 2.0**62 for v in value
    ):
        return np.array(value)
    return value


def _kinds(values: list[Any]) -> str:
    return " or ".join(sorted({type(v).__name__ for v in values}))


READER = Reader(
    name="suite2p",
    kinds=("calcium", "rois"),
    keeps="F, Fneu, spks (lazy), iscell, redcell, stat (pixels and statistics), ops, every plane",
    can_read=is_suite2p,
    read=with_chunks(read_suite2p),
)
