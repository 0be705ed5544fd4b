"""Extracellular signals of an NWB file: raw data and LFP, volts per electrode."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.nwb.ophys import unfit_clock
from neurokit_sdr.io.formats.nwb.tables import Reading, address, read_scaled, series_clock
from neurokit_sdr.io.marks import split_mark

#: Electrode columns that may name the channels.
_NAMES = ("channel_name", "label", "electrode_name")
_UNITS = {"volts": "V", "volt": "V", "v": "V"}
_MICROMETRE = 1e-6


def read_electrical(reading: Reading, series: list[Any]) -> None:
    """Every series into ``/signal``, with a name where there are several."""
    kept = [one for one in series if _fits(reading, one)]
    alone = len(kept) == 1 and not any(g.startswith("/signal") for g in reading.groups)
    names: list[str] = []
    for one in kept:
        name = one.name
        if name in names and one.parent is not None:
            name = f"{one.parent.name}_{name}"
        names.append(assemble.free_name(name, names, "series"))
    for name, one in zip(names, kept, strict=True):
        reading.groups["/signal" if alone else f"/signal/{name}"] = _signal(reading, one)


def _fits(reading: Reading, series: Any) -> bool:
    shape, kind = getattr(series.data, "shape", ()), getattr(series.data, "dtype", None)
    size = len(series.electrodes.data) if series.electrodes is not None else 0
    why = ""
    if kind is None or kind.kind not in "iuf":
        why = f"values of type {kind}"
    elif not hasattr(series.data, "file"):
        why = "values outside the file"
    elif shape[1:] != (size,) and not (len(shape) == 1 and size == 1):
        why = f"values of shape {shape} for {size} electrodes"
    else:
        why = unfit_clock(series, len(series.data))
    if why:
        reading.left.add(address(series), f"{type(series).__name__} with {why}")
    return not why


def _signal(reading: Reading, series: Any) -> xr.Dataset:
    rows = np.asarray(series.electrodes.data[:], dtype=np.int64)
    conversion, offset = float(series.conversion or 1.0), float(series.offset or 0.0)
    per_channel = series.channel_conversion
    factors = None if per_channel is None else np.asarray(per_channel[:], dtype=np.float64)
    stored = series.data
    exact = stored.dtype.kind == "f" and conversion == 1.0 and offset == 0.0 and factors is None
    dtype = stored.dtype.newbyteorder("=") if exact else np.dtype(np.float64)
    read = partial(read_scaled, str(reading.path), stored.name, conversion, offset, factors)
    unit = _UNITS.get(str(series.unit).lower(), str(series.unit))
    text, _ = split_mark(series.description)
    attrs = {
        "description": text if text != "no description" else None,
        "comments": None if series.comments in (None, "no comments") else series.comments,
        "filtering": getattr(series, "filtering", None),
        "resolution": None if series.resolution in (None, -1.0) else series.resolution,
        "name_in_file": address(series),
        "sampling_rate": None if series.timestamps is not None else float(series.rate),
    }
    variable = lazy_variable(
        ("time", "channel"), read, (stored.shape[0], rows.size), dtype, {"units": unit}
    )
    signal = xr.Dataset(
        {"signal": variable},
        coords=series_clock(series),
        attrs=assemble.plain_attrs({k: v for k, v in attrs.items() if v is not None}),
    )
    return signal.assign_coords(_channels(reading, rows, unit))


def _channels(reading: Reading, rows: np.ndarray, unit: str) -> dict[str, Any]:
    """What the table of electrodes knows of each channel."""
    table = reading.groups["/electrodes"].isel(electrode=rows)
    ids = table["electrode"].values
    coords: dict[str, Any] = {
        "channel": ("channel", _names(table, ids)),
        "channel_type": (
            "channel",
            np.full(rows.size, "misc"),
            {"comment": "an electrode; NWB does not say of which kind"},
        ),
        "channel_unit": ("channel", np.full(rows.size, unit)),
        "electrode": ("channel", ids, {"long_name": "id in /electrodes"}),
    }
    placed = False
    for name, column in table.data_vars.items():
        if column.dims != ("electrode",) or name in coords:
            continue
        values, attrs = column.values, dict(column.attrs)
        if name in ("x", "y", "z"):
            values = values.astype(np.float64) * _MICROMETRE
            attrs = {"units": "m", "comment": "in the file in um, the NWB standard's unit"}
            placed = True
        label = assemble.free_name(str(name), [*coords, "time", "signal", "coord_frame", "bad"])
        coords[label] = ("channel", values, attrs)
    if placed:
        coords["coord_frame"] = (
            (),
            "unknown",
            {"comment": "the file does not say what positions are measured in"},
        )
    return coords


def _names(table: xr.Dataset, ids: np.ndarray) -> np.ndarray:
    for name in _NAMES:
        if name in table and table[name].dtype.kind == "U":
            names = table[name].values
            if np.unique(names).size == names.size and (names != "").all():
                return names
    names = ids.astype(np.str_)
    if np.unique(names).size < names.size:  # a series may list an electrode twice
        names = np.array([f"{name}_{k}" for k, name in enumerate(names)], dtype=np.str_)
    return names
