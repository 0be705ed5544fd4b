"""Calcium to suite2p folders, with notes in ops.npy that bring it back exactly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import ParameterError, SchemaError, warn
from neurokit_sdr.core.files import atomic_folder
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.suite2p.names import LABELS, MARK, PIXELS, RESERVED, TRACES
from neurokit_sdr.io.formats.suite2p.notes import clock_notes
from neurokit_sdr.io.formats.suite2p.read import is_suite2p
from neurokit_sdr.io.lazy import path_of
from neurokit_sdr.io.marks import encode_attrs

#: Values copied at a time.
_BLOCK = 8_000_000
_FILES = {name: file for file, name in TRACES.items()}
_PIXEL_FIELDS = {name: field for field, name in PIXELS.items()}


def write_suite2p(data: xr.Dataset | xr.DataTree, folder: str | os.PathLike[str]) -> None:
    """Write calcium as a suite2p folder, so that reading gives it back.

    Parameters
    ----------
    data
        A Dataset of calcium with ``fluorescence``, or a session: of it ``/calcium``, ``/rois`` and
        ``/suite2p`` are written, each plane into a folder of its own.
    folder
        Where ``plane0``, ``plane1``, ... appear, all at once when they are whole. A folder that is
        there is replaced only if it holds nothing but planes of suite2p.

    Raises
    ------
    SchemaError
        If the calcium breaks the schema or has no fluorescence.
    ParameterError
        If the folder holds something else.

    Warns
    -----
    DataWarning
        Naming variables that suite2p has no file for, such as ``dff``.

    Notes
    -----
    ``stat.npy`` and ``ops.npy`` hold what suite2p's own window asks for; what is not known there
    is empty, and is not read back as data. Ids, frame times and attributes travel in ``ops.npy``
    as text. Units are written in order, the pixels of one together.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.5, 0.6], "b": []}, t_stop=2.0)
    >>> seen = nks.snn.observe.calcium(spikes, rng=0)
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "suite2p"
    >>> nks.io.write_suite2p(seen, folder)
    >>> back = nks.io.read_calcium(folder)
    >>> back["/calcium"].to_dataset().identical(seen["/calcium"].to_dataset())
    True
    """
    folder = path_of(folder)
    planes = _planes(data)
    if folder.exists() and not _replaceable(folder):
        raise ParameterError(
            f"Expected a new folder, or one that holds nothing but suite2p's planes, got "
            f"{folder}: it was left as it is."
        )
    left: list[str] = []
    with atomic_folder(folder) as temporary:
        for k, (name, groups) in enumerate(planes.items()):
            place = temporary / f"plane{k}"
            place.mkdir()
            writer = _Plane(place, name, groups, len(planes))
            writer.write()
            left += [f"{one} of {name}" for one in writer.left]
    if left:
        warn(f"suite2p has no place for {'; '.join(left)}: not written to {folder}.")


def _replaceable(folder: Path) -> bool:
    return folder.is_dir() and all(
        p.name.startswith("plane") and is_suite2p(p) for p in folder.iterdir()
    )


def _planes(data: xr.Dataset | xr.DataTree) -> dict[str, dict[str, xr.Dataset]]:
    if not isinstance(data, xr.DataTree):
        return {"plane0": {"calcium": _checked(data)}}
    kinds = ("calcium", "rois", "suite2p")
    node = data.children.get("calcium")
    if node is None or node.data_vars or not node.children:
        groups = {
            k: data.children[k].to_dataset(inherit=False) for k in kinds if k in data.children
        }
        groups["calcium"] = _checked(schema.select(data, "calcium"))
        return {"plane0": groups}
    planes: dict[str, dict[str, xr.Dataset]] = {}
    for name, plane in node.children.items():
        planes[name] = {
            k: data.children[k].children[name].to_dataset(inherit=False)
            for k in kinds
            if k in data.children and name in data.children[k].children
        }
        _checked(plane.to_dataset(inherit=False))
    return planes


def _checked(data: Any) -> xr.Dataset:
    schema.check(data, "calcium")
    if "fluorescence" not in data:
        raise SchemaError(
            f"Expected fluorescence(time, unit), which suite2p's F.npy holds, got "
            f"{schema.describe(data)}: nks.io.write_nwb keeps other traces."
        )
    return data


class _Plane:
    """Writes one plane into an empty folder."""

    def __init__(
        self, folder: Path, name: str, groups: dict[str, xr.Dataset], n_planes: int
    ) -> None:
        self.folder, self.name, self.groups, self.n_planes = folder, name, groups, n_planes
        self.data = groups["calcium"]
        self.left: list[str] = []
        self.made_up: list[str] = []
        self.stat: list[dict[str, Any]] = [{} for _ in range(self.data.sizes["unit"])]
        self.columns: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        self._traces()
        self._labels()
        rois = self._rois()
        self._columns()
        stat = np.empty(len(self.stat), dtype=object)
        stat[:] = self.stat
        np.save(self.folder / "stat.npy", stat, allow_pickle=True)
        np.save(self.folder / "ops.npy", self._ops(rois), allow_pickle=True)  # type: ignore[arg-type]

    def _traces(self) -> None:
        shape = (self.data.sizes["unit"], self.data.sizes["time"])
        written = set()
        for name, file in _FILES.items():
            if name in self.data and self.data[name].dims == ("time", "unit"):
                _save_trace(self.folder / file, self.data[name])
                written.add(name)
            elif file in ("Fneu.npy", "spks.npy"):  # suite2p's own window opens neither without
                np.save(self.folder / file, np.zeros(shape, np.float32))
                self.made_up.append(file)
        for key, variable in self.data.variables.items():
            name = str(key)
            known = name in written or name in ("time", "unit") or _is_column(variable)
            if not known:
                self.left.append(name)

    def _labels(self) -> None:
        number = self.data.sizes["unit"]
        for file, names in LABELS.items():
            known = [n for n in names if n in self.data.variables]
            if not known and file != "iscell.npy":
                continue
            values = np.ones((number, 2))
            for k, name in enumerate(names):
                if name in known and _is_column(self.data[name].variable):
                    values[:, k] = self.data[name].values
                    self._note(name, name)
                else:
                    self.made_up.append(name)
            np.save(self.folder / file, values)

    def _note(self, name: str, column: str) -> None:
        variable = self.data[name]
        self.columns[name] = {
            "column": column,
            "dtype": "U" if variable.dtype.kind in "UTO" else variable.dtype.str,
            "attrs": encode_attrs(variable.attrs),
            "coord": int(name in self.data.coords),
        }

    def _columns(self) -> None:
        """What is known per unit: into the dict of each."""
        data = self.data
        if {"roi_y", "roi_x"} <= set(data.variables):
            y, x = data["roi_y"].values.tolist(), data["roi_x"].values.tolist()
            for roi, *centre in zip(self.stat, y, x, strict=True):
                roi["med"] = centre
            for name in ("roi_y", "roi_x"):
                self._note(name, name)
        for label, variable in data.variables.items():
            name = str(label)
            if name == "unit" or name in self.columns or not _is_column(variable):
                continue
            key = str(variable.attrs.get("name_in_file", name))
            taken = {*RESERVED, "med", "time", "unit", *(k for roi in self.stat[:1] for k in roi)}
            key = assemble.free_name({"plane": "iplane"}.get(key, key), taken)
            values = variable.values
            if values.dtype.kind in "UTO":
                values = [str(v) for v in values]  # type: ignore[assignment]
            for roi, value in zip(self.stat, values, strict=True):
                roi[key] = value
            self._note(name, key)

    def _rois(self) -> dict[str, Any]:
        """Pixels into the dict of each unit; returns the notes to put them back."""
        rois = self.groups.get("rois")
        empty: dict[str, Any] = {"ypix": np.zeros(0, int), "xpix": np.zeros(0, int)}
        for roi in self.stat:
            roi |= {**empty, "lam": np.zeros(0, np.float32)}
        if rois is None:
            return {}
        schema.check(rois, "rois")
        if "pixel_unit" not in rois.variables:
            self.left.append("masks that are no lists of pixels")
            return {}
        if not np.array_equal(rois["unit"].values, self.data["unit"].values):
            raise SchemaError(
                f"Expected the units of /calcium in /rois, got {rois.sizes['unit']} others: "
                f"select the same units in both."
            )
        notes: dict[str, Any] = {"attrs": encode_attrs(rois.attrs), "variables": {}}
        for name, variable in rois.variables.items():
            if name in ("unit", "pixel_unit"):
                continue
            (dim, *more) = variable.dims or ("",)
            owner = "pixel_unit" if dim == "pixel" else f"{str(dim).removesuffix('_item')}_unit"
            if name == owner:
                continue
            if more or owner not in rois.variables or variable.dtype.kind not in "iufb":
                self.left.append(f"/rois {name}")
                continue
            field = _PIXEL_FIELDS.get(str(name), str(name).removeprefix("pixel_"))
            for roi, values in zip(self.stat, _split(rois, name, owner), strict=True):
                roi[field] = values
        for name, variable in rois.variables.items():
            notes["variables"][str(name)] = encode_attrs(variable.attrs)
        return notes

    def _ops(self, rois: dict[str, Any]) -> dict[str, Any]:
        data = self.data
        settings = self.groups.get("suite2p")
        ops: dict[str, Any] = {}
        if settings is not None:
            ops |= settings.attrs
            ops |= {str(n): v.values for n, v in settings.variables.items()}
        height, width = _picture(self.groups)
        rate = data.attrs.get("sampling_rate", _rate(data))
        standard = {
            "nplanes": self.n_planes,
            "nchannels": 1,
            "functional_chan": 1,
            "nframes": data.sizes["time"],
            "nrois": data.sizes["unit"],
            "Ly": height,
            "Lx": width,
            "yrange": [0, height],
            "xrange": [0, width],
            "meanImg": np.zeros((height, width), np.float32),
            "neucoeff": float(data.attrs.get("neuropil_coefficient", 0.7)),
            "tau": float(data.attrs.get("decay_time", 1.0)),
        }
        if rate is not None:
            standard["fs"] = rate
        ops = standard | ops
        ops[MARK] = json.dumps(
            {
                "name": self.name,
                "attrs": encode_attrs(data.attrs),
                "made_up": self.made_up,
                "settings": None
                if settings is None
                else {
                    "attrs": list(map(str, settings.attrs)),
                    "dims": {str(n): list(v.dims) for n, v in settings.variables.items()},
                },
                "unit": [data["unit"].values.tolist(), encode_attrs(data["unit"].attrs)],
                "time": clock_notes(data),
                "columns": self.columns,
                "traces": {n: encode_attrs(data[n].attrs) for n in _FILES if n in data.data_vars},
                "rois": rois,
            }
        )
        return ops


def _is_column(variable: xr.Variable) -> bool:
    return variable.dims == ("unit",) and variable.dtype.kind in "iufbUT"


def _save_trace(path: Path, trace: xr.DataArray) -> None:
    """Values of (time, unit) as a file of (unit, time), some units at a time."""
    n_time, n_units = trace.shape
    if not trace.size:
        np.save(path, np.zeros((n_units, n_time), trace.dtype))
        return
    mapped = np.lib.format.open_memmap(path, "w+", trace.dtype, (n_units, n_time))
    step = max(_BLOCK // n_time, 1)
    for first in range(0, n_units, step):
        mapped[first : first + step] = trace[:, first : first + step].values.T
    mapped.flush()
    del mapped


def _split(rois: xr.Dataset, name: Any, owner: str) -> list[np.ndarray]:
    unit = rois[owner].values
    order = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=rois.sizes["unit"]))
    return np.split(rois[name].values[order], ends[:-1])


def _picture(groups: dict[str, xr.Dataset]) -> tuple[int, int]:
    """Height and width of the picture in pixels: as known, else around all pixels."""
    rois = groups.get("rois")
    settings = groups.get("suite2p", xr.Dataset())
    if "Ly" in settings.attrs and "Lx" in settings.attrs:
        return int(settings.attrs["Ly"]), int(settings.attrs["Lx"])
    if rois is None or "pixel_y" not in rois:
        return 512, 512
    size = [int(rois[f"pixel_{a}"].max()) + 1 if rois.sizes["pixel"] else 1 for a in "yx"]
    return (
        int(rois.attrs.get("height", size[0])),
        int(rois.attrs.get("width", size[1])),
    )


def _rate(data: xr.Dataset) -> float | None:
    """Frames per second, from the typical time between two where the clock is not even."""
    if data["time"].attrs.get("units") != "s":
        return None
    clock = even_clock(data)
    if clock is not None:
        return clock[1]
    steps = np.diff(data["time"].values)
    return float(1 / np.median(steps)) if steps.size else None
