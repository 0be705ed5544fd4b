"""HDF5 files of CaImAn: what its ``save`` writes of an analysis.

Public layout: https://caiman.readthedocs.io/en/latest/Getting_Started.html (estimates object).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, NeurokitError, warn
from neurokit_sdr.core.files import check_hdf5
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble, imaging
from neurokit_sdr.io.hdf5 import outline
from neurokit_sdr.io.lazy import values_of
from neurokit_sdr.io.registry import Reader, with_chunks

#: Traces of ``estimates``, all (component, frame), and what they become.
_TRACES = {
    "C": "denoised",
    "YrA": "residual",
    "F_dff": "dff",
    "S": "deconvolved",
    "R": "residual_signal",
}
_ACCEPTED, _REJECTED = "idx_components", "idx_components_bad"


def is_caiman(path: Path) -> bool:
    """Whether a path is an HDF5 file with CaImAn's estimates."""
    return outline(path).members.get("estimates", frozenset()) >= {"A", "C"}


def read_caiman(path: Path, sampling_rate: float | None = None) -> xr.DataTree:
    """Read CaImAn's estimates; :func:`neurokit_sdr.io.read_calcium` says into what."""
    check_hdf5(path)
    try:
        with h5py.File(path, "r") as file:
            reading = _Reading(path, file, sampling_rate)
            session = reading.session()
    except NeurokitError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{path} has CaImAn's estimates but they could not be read ({type(error).__name__}: "
            f"{error}): save them again with cnm.save(...)."
        ) from error
    assemble.warn_left_out(path, reading.left)
    if session["/calcium/time"].attrs["units"] == "frame":
        warn(f"{path.name}: {imaging.UNKNOWN_RATE}.")
    return session


def _read_rows(path: str, names: tuple[str, ...], key: tuple[Any, ...]) -> np.ndarray:
    """Part of (time, unit) from datasets of (component, frame), summed."""
    with values_of(path), h5py.File(path, "r") as file:
        parts = [file[f"estimates/{name}"][key[::-1]] for name in names]
    total = parts[0] if len(parts) == 1 else np.add(*parts)
    return total.T


def _read_part(path: str, name: str, key: tuple[Any, ...]) -> np.ndarray:
    with values_of(path), h5py.File(path, "r") as file:
        return np.asarray(file[name][key])


class _Reading:
    """One pass over an open file."""

    def __init__(self, path: Path, file: h5py.File, rate: float | None) -> None:
        self.path, self.file, self.rate = path, file, rate
        self.estimates = file["estimates"]
        self.left: list[str] = []
        self.seen = set(_TRACES)

    def session(self) -> xr.DataTree:
        traces = self._traces()
        n_frames, n_units = next(iter(traces.values())).shape
        rois = self._rois(n_units)
        columns = self._accepted(n_units)
        if rois is not None:
            columns |= imaging.centres(rois)
        columns |= self._columns(n_units)
        stored = self._number("params/data/fr")
        rate = self.rate or imaging.known_rate(stored)
        attrs: dict[str, Any] = {} if rate is None else {"sampling_rate": rate}
        if self.rate is not None and imaging.known_rate(stored) not in (None, rate):
            attrs["sampling_rate_in_file"] = float(stored)
        calcium = imaging.calcium_dataset(
            traces,
            np.arange(n_units),
            imaging.clock(n_frames, rate),
            columns,
            attrs,
            str(self.path),
        )
        groups = {"calcium": calcium}
        if rois is not None:
            groups["rois"] = rois
        groups["caiman"] = self._rest()
        return imaging.plane_groups({"plane": groups})

    def _array(self, name: str) -> h5py.Dataset | None:
        """A dataset of numbers with dimensions; None where there is none ("NoneType" in words)."""
        item = self.file.get(name)
        if not isinstance(item, h5py.Dataset) or item.shape is None or not item.ndim:
            return None
        return item if item.dtype.kind in "iufb" else None

    def _number(self, name: str) -> Any:
        item = self.file.get(name)
        if not isinstance(item, h5py.Dataset) or item.shape is None or item.size != 1:
            return None
        value = np.asarray(item[()]).reshape(()).item()
        return value if isinstance(value, int | float) else None

    def _traces(self) -> dict[str, xr.Variable]:
        found = {n: self._array(f"estimates/{n}") for n in _TRACES}
        shape = None if found["C"] is None else found["C"].shape
        if shape is None or len(shape) != 2:
            raise FileFormatError(
                f"Expected estimates/C (component, frame) in {self.path}, got shape {shape}: the "
                f"analysis was saved before components were found."
            )
        traces = {}
        for name, stored in found.items():
            if stored is None:
                continue
            if stored.shape != shape:
                self.left.append(f"estimates/{name} (shape {stored.shape}, not {shape})")
            else:
                traces[_TRACES[name]] = self._trace(_TRACES[name], (name,), shape, stored.dtype)
        if "residual" in traces:
            dtype = np.result_type(traces["denoised"].dtype, traces["residual"].dtype)
            light = self._trace("fluorescence", ("C", "YrA"), shape, dtype)
        else:
            light = traces.pop("denoised")
            light.attrs["long_name"] = "denoised fluorescence: the file has no residual YrA"
        return {"fluorescence": light, **traces}

    def _trace(
        self, name: str, stored: tuple[str, ...], shape: tuple[int, int], dtype: np.dtype
    ) -> xr.Variable:
        dtype = np.dtype(dtype if dtype.kind == "f" else np.float64).newbyteorder("=")
        read = partial(_read_rows, str(self.path), stored)
        lazy = lazy_variable(("time", "unit"), read, shape[::-1], dtype)
        return imaging.trace(name, lazy, name_in_file=" + ".join(stored))

    def _dims(self) -> tuple[int, ...] | None:
        for name in ("estimates/dims", "dims", "params/data/dims"):
            stored = self._array(name)
            if stored is not None and stored.ndim == 1 and 2 <= stored.size <= 3:
                return tuple(map(int, stored[:]))
        return None

    def _rois(self, n_units: int) -> xr.Dataset | None:
        """Footprints: a sparse matrix of (pixel, component) whose pixels count down columns."""
        self.seen.add("A")
        parts = [self._array(f"estimates/A/{n}") for n in ("data", "indices", "indptr", "shape")]
        dims = self._dims()
        if any(p is None for p in parts) or dims is None:
            self.left.append("estimates/A (footprints that are no sparse matrix with known dims)")
            return None
        weight, pixel, ends, shape = (np.asarray(p[:]) for p in parts)  # type: ignore[index]
        whole = (
            tuple(shape) == (int(np.prod(dims)), n_units)
            and ends.shape == (n_units + 1,)
            and weight.shape == pixel.shape == (int(ends[-1]),)
            and ends[0] == 0
            and (np.diff(ends) >= 0).all()
            and (not pixel.size or (pixel.min() >= 0 and pixel.max() < shape[0]))
        )
        if not whole:
            raise FileFormatError(
                f"Expected footprints estimates/A of {n_units} components over {dims} pixels in "
                f"{self.path}, got a matrix whose parts do not fit together: save it again."
            )
        place = np.unravel_index(pixel.astype(np.int64), dims, order="F")
        return imaging.roi_dataset(
            np.repeat(np.arange(n_units), np.diff(ends)),
            place[0],
            place[1],
            weight if weight.dtype.kind == "f" else weight.astype(np.float64),
            np.arange(n_units),
            dims,
            z=place[2] if len(dims) == 3 else None,
        )

    def _accepted(self, n_units: int) -> dict[str, xr.Variable]:
        """Which components the user kept; nothing where they were never evaluated."""
        self.seen |= {_ACCEPTED, _REJECTED, "dims"}
        accepted = self._array(f"estimates/{_ACCEPTED}")
        if accepted is None:
            return {}
        chosen = np.asarray(accepted[:])
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < n_units):
            raise FileFormatError(
                f"Expected estimates/{_ACCEPTED} below {n_units} in {self.path}, got "
                f"{chosen.min()} to {chosen.max()}: the file is damaged; save it again."
            )
        is_cell = np.zeros(n_units, dtype=bool)
        is_cell[chosen.astype(np.int64)] = True
        return {"is_cell": xr.Variable("unit", is_cell, {"name_in_file": _ACCEPTED})}

    def _columns(self, n_units: int) -> dict[str, xr.Variable]:
        """Numbers of each component, such as SNR_comp, r_values and cnn_preds."""
        columns = {}
        for name in self.estimates:
            stored = self._array(f"estimates/{name}")
            if name in self.seen or stored is None or stored.shape != (n_units,) or not n_units:
                continue
            columns[assemble.free_name(name, ["time", "unit", "is_cell"])] = xr.Variable(
                "unit", np.asarray(stored[:])
            )
            self.seen.add(name)
        return columns

    def _rest(self) -> xr.Dataset:
        """Parameters as attributes, every other array as a variable that stays in the file."""
        rest = xr.Dataset()
        dims = self._dims()

        def visit(name: str, item: Any) -> None:
            inside, _, key = name.rpartition("/")
            if inside == "estimates" and key in self.seen:
                return
            if name.startswith("estimates/A/") or not isinstance(item, h5py.Dataset):
                return
            label = name.removeprefix("estimates/").replace("/", ".")
            if item.shape is None or item.size == 0:
                return
            if not item.ndim or (item.ndim == 1 and item.size <= 16):
                values = assemble.plain_array(item[()])
                if values is not None and values.ndim == 0:
                    values = values[()]
                if not (isinstance(values, str) and values == "NoneType"):
                    kept = assemble.plain_attrs({label: values})
                    rest.attrs.update(kept)
                    self.left += [] if kept else [f"{name} ({item.dtype})"]
            elif item.dtype.kind in "iufb":
                names = tuple(f"{label}_axis{k}" for k in range(item.ndim))
                if item.shape == dims and item.ndim == 2:
                    names = ("y", "x")
                read = partial(_read_part, str(self.path), name)
                native = item.dtype.newbyteorder("=")
                rest[label] = lazy_variable(names, read, item.shape, native)
            else:
                self.left.append(f"{name} ({item.dtype})")

        self.file.visititems(visit)
        return rest


READER = Reader(
    name="CaImAn",
    kinds=("calcium", "rois"),
    keeps="C, YrA, S, F_dff (lazy), footprints, accepted components, quality, parameters",
    can_read=is_caiman,
    read=with_chunks(read_caiman),
)
