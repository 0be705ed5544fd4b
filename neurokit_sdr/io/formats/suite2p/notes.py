"""What suite2p has no field for: notes in ops.npy, and a session put together by them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import clock_state, even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.formats.suite2p.names import MARK
from neurokit_sdr.io.marks import encode_attrs


def mark_of(ops: dict[str, Any]) -> dict[str, Any]:
    """The notes in a folder's settings; empty where another program wrote it."""
    text = ops.get(MARK)
    if not isinstance(text, str):
        return {}
    try:
        mark = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}


def restored(
    groups: dict[str, xr.Dataset], mark: dict[str, Any], rate: float | None
) -> dict[str, xr.Dataset]:
    """Put names, ids, attributes and the clock back as they were before writing."""
    if not mark:
        return groups
    try:
        return _restore(groups, mark, rate)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(
            f"Expected the notes that nks.io.write_suite2p left under {MARK!r} in ops.npy, got "
            f"damaged ones ({type(error).__name__}: {error}): delete that key, or write again."
        ) from error


def clock_notes(data: xr.Dataset) -> dict[str, Any]:
    """What makes the clock again."""
    notes: dict[str, Any] = {"attrs": encode_attrs(data["time"].attrs)}
    state = clock_state(data)
    if state is not None:
        return notes | {"even": state}
    return notes | {"values": data["time"].values.tolist()}


def _restore(
    groups: dict[str, xr.Dataset], mark: dict[str, Any], rate: float | None
) -> dict[str, xr.Dataset]:
    """What was written, from what the files hold and the notes about it."""
    calcium, rois = groups["calcium"], groups.get("rois")
    ids = np.array(mark["unit"][0]) if mark["unit"][0] else calcium["unit"].values
    unit = xr.Variable("unit", ids, mark["unit"][1])
    made = xr.Dataset(attrs=mark["attrs"])
    if rate is None:
        made = made.assign_coords(_clock(mark["time"], calcium.sizes["time"]))
    else:
        made = made.assign_coords(calcium["time"].coords)
        made.attrs["sampling_rate"] = rate
    made = made.assign_coords(unit=unit)
    for name, attrs in mark["traces"].items():
        variable = calcium[name].variable
        made[name] = xr.Variable(variable.dims, variable._data, attrs)
    for name, note in mark["columns"].items():
        values = calcium[note["column"]].values
        values = values.astype(np.str_ if note["dtype"] == "U" else note["dtype"], copy=False)
        variable = xr.Variable("unit", values, note["attrs"])
        made = (
            made.assign_coords({name: variable}) if note["coord"] else made.assign({name: variable})
        )
    schema.check(made, "calcium")
    found = {"calcium": made}
    if rois is not None and mark["rois"]:
        rois = rois[[n for n in rois.data_vars if n in mark["rois"]["variables"]]]
        rois = rois.assign_coords(unit=unit)
        rois.attrs = mark["rois"]["attrs"]
        for name, attrs in mark["rois"]["variables"].items():
            if name in rois.variables:
                rois[name].attrs = attrs
        found["rois"] = rois
    settings = groups.get("suite2p")
    if settings is not None and mark["settings"] is not None:
        known = mark["settings"]
        found["suite2p"] = xr.Dataset(
            {n: (dims, settings[n].values) for n, dims in known["dims"].items()},
            attrs={k: v for k, v in settings.attrs.items() if k in known["attrs"]},
        )
    return found


def _clock(notes: dict[str, Any], size: int) -> xr.Coordinates:
    if "even" not in notes:
        time = np.array(notes["values"], dtype=np.float64)
        return xr.Coordinates({"time": ("time", time, notes["attrs"])})
    made = even_time(size, **{k: notes["even"][k] for k in ("rate", "start", "first", "stride")})
    made["time"].attrs = dict(notes["attrs"])
    return made
