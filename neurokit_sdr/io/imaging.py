"""From the traces and pixels of imaged units to Datasets: what every reader of calcium shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, ParameterError
from neurokit_sdr.io import assemble

#: What each trace is, for ``attrs["long_name"]``.
LONG_NAMES = {
    "fluorescence": "fluorescence",
    "neuropil": "fluorescence of the neuropil around the unit",
    "dff": "change of fluorescence over its baseline",
    "denoised": "denoised fluorescence",
    "deconvolved": "deconvolved activity",
    "residual": "fluorescence that the denoised trace leaves over",
}
UNKNOWN_RATE = (
    "nothing in it says how many frames were taken per second, so time counts frames (units "
    "'frame'). Give the rate: nks.io.read_calcium(path, sampling_rate=30.0)"
)


def check_rate(rate: Any) -> float | None:
    """Return a sampling rate in Hz as a float, None as None; refuse what is neither."""
    if rate is None:
        return None
    if isinstance(rate, bool | str) or np.ndim(rate) or not np.isfinite(rate) or rate <= 0:
        raise ParameterError(
            f"Expected sampling_rate as frames per second, a number above 0, got {rate!r}."
        )
    return float(rate)


def known_rate(rate: Any) -> float | None:
    """A file's sampling rate in Hz, None where it is no such number."""
    try:
        return check_rate(np.asarray(rate).reshape(()).item())
    except (ParameterError, TypeError, ValueError):
        return None


def clock(size: int, rate: float | None, start: float = 0.0) -> xr.Coordinates:
    """Frame times in seconds, or numbers of frames where the rate is not known."""
    if rate is not None:
        return even_time(size, rate, start)
    frames = even_time(size, 1.0)
    frames["time"].attrs["units"] = "frame"
    return frames


def trace(name: str, values: Any, **attrs: Any) -> xr.Variable:
    """Values of (time, unit) with the attributes of a trace."""
    long_name = LONG_NAMES.get(name, name.replace("_", " "))
    attrs = {"units": "1", "long_name": long_name} | attrs
    if isinstance(values, xr.Variable):
        return xr.Variable(values.dims, values._data, attrs)
    return xr.Variable(("time", "unit"), values, attrs)


def calcium_dataset(
    traces: Mapping[str, xr.Variable],
    ids: np.ndarray,
    time: xr.Coordinates | np.ndarray,
    columns: Mapping[str, xr.Variable],
    attrs: Mapping[str, Any],
    where: str,
    error: type[NeurokitError] = FileFormatError,
) -> xr.Dataset:
    """Build the Dataset of one plane.

    Parameters
    ----------
    traces
        Variables of dims (time, unit).
    ids
        One per unit.
    time
        As :func:`clock` gives it, or seconds.
    columns
        What is known per unit, of dims (unit,).
    attrs
        Of the Dataset.
    where
        What is being read, for error texts.
    error
        The class of error to raise.
    """
    assemble.check_unit_ids(np.asarray(ids), where, error)
    coords: Any = time
    if not isinstance(time, xr.Coordinates):
        coords = {"time": ("time", np.asarray(time, dtype=np.float64), {"units": "s"})}
    size = coords["time"].size if isinstance(time, xr.Coordinates) else len(time)
    for name, variable in traces.items():
        if variable.shape != (size, len(ids)):
            raise error(
                f"Expected {size} frames x {len(ids)} units of {name} in {where}, got "
                f"{' x '.join(map(str, variable.shape))}: its parts do not belong together."
            )
    data = xr.Dataset(dict(traces), coords=coords, attrs=dict(attrs))
    data = data.assign_coords({"unit": ("unit", ids), **columns})
    return schema.check(data, "calcium")


def roi_dataset(
    unit: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    ids: np.ndarray,
    shape: tuple[int, ...] | None,
    *,
    z: np.ndarray | None = None,
    **extra: np.ndarray,
) -> xr.Dataset:
    """Build the Dataset of regions of interest: their pixels one after the other.

    Parameters
    ----------
    unit
        Position of each pixel's unit, of shape (pixel,).
    y, x, z
        Row, column and depth of each pixel, from 0.
    weight
        Share of each pixel in its unit's trace.
    ids
        One per unit.
    shape
        Height, width and, for volumes, depth of the picture; None where not known.
    **extra
        Other values per pixel.
    """
    place = {"units": "pixel"}
    columns: dict[str, Any] = {
        "pixel_unit": ("pixel", unit, {"long_name": "position on the unit dimension"}),
        "pixel_y": ("pixel", y, place),
        "pixel_x": ("pixel", x, place),
    }
    if z is not None:
        columns["pixel_z"] = ("pixel", z, place)
    if weight is not None:
        columns["pixel_weight"] = ("pixel", weight, {"units": "1"})
    for name, values in extra.items():
        columns[name] = ("pixel", values)
    attrs = {}
    if shape is not None:
        attrs = dict(zip(("height", "width", "depth"), map(int, shape), strict=False))
    return schema.check(xr.Dataset(columns, {"unit": ("unit", ids)}, attrs), "rois")


def centres(rois: xr.Dataset) -> dict[str, xr.Variable]:
    """Centre of mass of each unit's pixels, in pixels; NaN where a unit has none."""
    unit, size = rois["pixel_unit"].values, rois.sizes["unit"]
    weight = rois["pixel_weight"].values if "pixel_weight" in rois else np.ones(unit.size)
    total = np.bincount(unit, weight, size)
    found = {}
    for axis in ("y", "x"):
        moment = np.bincount(unit, weight * rois[f"pixel_{axis}"].values, size)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = moment / total
        attrs = {"units": "pixel", "comment": "centre of mass of the unit's pixels"}
        found[f"roi_{axis}"] = xr.Variable("unit", values, attrs)
    return found


def plane_groups(
    planes: Mapping[str, Mapping[str, xr.Dataset]], attrs: Mapping[str, Any] | None = None
) -> xr.DataTree:
    """One session of one or several planes: ``/calcium``, or ``/calcium/NAME`` of each."""
    groups: dict[str, xr.Dataset] = {}
    for name, parts in planes.items():
        for kind, dataset in parts.items():
            groups[f"/{kind}" if len(planes) == 1 else f"/{kind}/{name}"] = dataset
    for path, dataset in groups.items():
        kind = path.split("/")[1]
        if kind in schema.KINDS:
            schema.check(dataset, kind)
    return assemble.session(groups, dict(attrs or {}))
