"""Electrodes and channels of a session where other NWB tools look for them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.io.formats.nwb.values import free, mark_variable, storable
from neurokit_sdr.io.marks import add_mark, encode_attrs

#: Types of channels that are electrodes.
_ELECTRIC = ("seeg", "ecog", "eeg", "dbs")
_TEXTS = ("location", "group_name", "filtering", "reference")
_NUMBERS = ("x", "y", "z", "rel_x", "rel_y", "rel_z", "imp")
_STANDARD = (*_TEXTS, *_NUMBERS, "group")
#: The standard has positions in micrometres.
_MICROMETRES = {"um": 1.0, "µm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_UNKNOWN = "unknown"


def is_electrode_table(group: str, dataset: xr.Dataset) -> bool:
    """Whether a group becomes the file's table of electrodes."""
    return group == "/electrodes" and dataset.sizes.get("electrode", 0) > 0


def write_electrodes(file: Any, table: xr.Dataset, other_columns: Any) -> None:
    """The file's table of electrodes, its groups and devices.

    The standard demands locations and groups, and has positions in micrometres. What it demands
    and the session lacks is made up and not read back; positions in another unit are there twice.
    The notes about the table lie at its column ``location``: pynwb fixes its description.
    """
    own = {n for n in _STANDARD if n in table.variables and _fits(table, n)}
    named = _write_groups(file, table)
    if "group" in own and named != table["group"].values.tolist():
        own.discard("group")
    ids = table["electrode"].values if "electrode" in table.coords else None
    with_ids = ids is not None and ids.dtype.kind == "i"
    notes = {
        "attrs": encode_attrs(table.attrs),
        "row_ids": encode_attrs(table["electrode"].attrs) if with_ids else None,
        "row_dtype": ids.dtype.str if with_ids and ids is not None else None,
    }
    made_up: dict[str, Any] = {
        "location": np.full(len(named), _UNKNOWN, dtype=object),
        "group_name": np.array(named, dtype=object),
        **_in_micrometres(table, "electrode"),
    }
    columns = []
    for name in _STANDARD:
        more = {"electrodes": notes} if name == "location" else {}
        if name in own:
            text = mark_variable(table, name, f"{name} of the electrode", **more)
            data: Any = storable(table[name].variable, f"/electrodes/{name}")
        elif name in made_up or name == "group":
            text = add_mark(f"{name} of the electrode", derived=1, **more)
            data = made_up.get(name)
        else:
            continue
        columns.append((name, text, data))
    skip = own | ({"electrode"} if with_ids else set())
    _add_table(file, columns, named, ids if with_ids else None, other_columns(skip, _STANDARD))


def write_channels(file: Any, signals: dict[str, xr.Dataset]) -> dict[str, list[int]]:
    """Rows of the table of electrodes that are the channels of each signal.

    Where the session has no electrodes of its own, the channels become them; nothing of that is
    read back.
    """
    electric = {g: d for g, d in signals.items() if _is_electric(d)}
    if not electric or file.electrodes is not None:
        return {}
    found: dict[str, list[int]] = {}
    named: list[str] = []
    made: dict[str, list[Any]] = {"location": [], "channel_name": [], "channel_type": []}
    made |= {axis: [] for axis in "xyz" if any(axis in d.variables for d in electric.values())}
    for group, data in electric.items():
        size = data.sizes["channel"]
        found[group] = list(range(len(named), len(named) + size))
        holder = _write_group(file, group.strip("/").replace("/", "_"), {})
        named += [holder] * size
        unknown = {
            "location": np.full(size, _UNKNOWN),
            "channel_name": data["channel"].values.astype(np.str_),
            "channel_type": data["channel_type"].values,
            **dict.fromkeys("xyz", np.full(size, np.nan)),
            **_in_micrometres(data, "channel"),
        }
        if "location" in data.variables and _is_text(data["location"], "channel"):
            unknown["location"] = data["location"].values
        for name, values in made.items():
            values += unknown[name].tolist()
    made["group"], made["group_name"] = [], list(named)
    columns = []
    for name, values in made.items():
        notes = {"electrodes": {"derived": 1}} if name == "location" else {}
        columns.append((name, add_mark(f"{name} of the channel", derived=1, **notes), values))
    _add_table(file, columns, named, None, [])
    return found


def electrode_rows(table: xr.Dataset, signal: xr.Dataset) -> list[int] | None:
    """Rows of the session's electrodes that are the channels; None where some channel is none."""
    if not _is_electric(signal):
        return None
    names = ["electrode", "channel_name", "label", "electrode_name"]
    known = [table[n].values for n in names if n in table.variables]
    wanted = [signal[n].values for n in ("electrode", "channel") if n in signal.variables]
    for ids in known:
        place = {v: k for k, v in enumerate(ids.tolist())}
        for values in wanted:
            if len(place) == ids.size and all(v in place for v in values.tolist()):
                return [place[v] for v in values.tolist()]
    return None


def unit_columns(file: Any, electrodes: xr.Dataset | None, spikes: xr.Dataset) -> list[Any]:
    """What a table of units says of electrodes, as references: their groups, and themselves."""
    from hdmf.common import DynamicTableRegion, VectorData, VectorIndex

    columns: list[Any] = []
    if file.electrodes is None or electrodes is None:
        return columns
    if "electrode_group" in spikes.variables and _is_text(spikes["electrode_group"], "unit"):
        named = spikes["electrode_group"].values.tolist()
        if set(named) <= set(file.electrode_groups):
            text = mark_variable(spikes, "electrode_group", "where the unit was recorded")
            groups = [file.electrode_groups[n] for n in named]
            columns.append(VectorData(name="electrode_group", description=text, data=groups))
    if {"electrodes", "electrodes_unit"} <= set(spikes.variables) and "electrode" in electrodes:
        ids, unit = spikes["electrodes"], spikes["electrodes_unit"]
        place = {v: k for k, v in enumerate(electrodes["electrode"].values.tolist())}
        if (
            ids.dims == unit.dims
            and unit.ndim == 1
            and unit.size
            and unit.dtype.kind in "iu"
            and (np.diff(unit.values) >= 0).all()
            and 0 <= int(unit[0]) <= int(unit[-1]) < spikes.sizes["unit"]
            and all(v in place for v in ids.values.tolist())
        ):
            region = DynamicTableRegion(
                name="electrodes",
                description=add_mark("electrodes of the unit", derived=1),
                data=[place[v] for v in ids.values.tolist()],
                table=file.electrodes,
            )
            ends = np.cumsum(np.bincount(unit.values, minlength=spikes.sizes["unit"]))
            index = VectorIndex(name="electrodes_index", data=ends.astype(np.uint64), target=region)
            columns += [region, index]
    return columns


def channel_table(name: str, signal: xr.Dataset) -> Any:
    """Names of channels that are no electrodes, as a table that any tool reads."""
    from hdmf.common import DynamicTable, VectorData

    columns = []
    for column in ("channel", "channel_type", "channel_unit", "x", "y", "z"):
        if column not in signal.variables or signal[column].dims != ("channel",):
            continue
        unit = signal[column].attrs.get("units")
        text = f"{column} of each column of the signal" + (f", in {unit}" if unit else "")
        values = storable(signal[column].variable, f"/signal/{column}")
        columns.append(
            VectorData(
                name="channel_name" if column == "channel" else column,
                description=add_mark(text, derived=1),
                data=values,
            )
        )
    text = add_mark("channels of the signal, in its order", derived=1)
    return DynamicTable(name=name, description=text, columns=columns)


def _is_electric(signal: xr.Dataset) -> bool:
    if not {"signal", "channel", "channel_type"} <= set(signal.variables):
        return False
    return (
        signal["signal"].dims == ("time", "channel")
        and signal["signal"].size > 0
        and signal["signal"].attrs.get("units", "V") == "V"
        and set(signal["channel_type"].values.tolist()) <= set(_ELECTRIC)
        and ("channel_unit" not in signal or set(signal["channel_unit"].values.tolist()) <= {"V"})
    )


def _is_text(variable: xr.DataArray, dim: str) -> bool:
    return variable.dims == (dim,) and variable.dtype.kind == "U"


def _fits(table: xr.Dataset, name: str) -> bool:
    """Whether a variable is what the standard means by a column of its name."""
    if name in _NUMBERS:
        variable = table[name]
        scale = 1.0 if name == "imp" else _MICROMETRES.get(str(variable.attrs.get("units")))
        return variable.dims == ("electrode",) and variable.dtype.kind == "f" and scale == 1.0
    return _is_text(table[name], "electrode")


def _in_micrometres(table: xr.Dataset, dim: str) -> dict[str, np.ndarray]:
    found = {}
    for axis in "xyz":
        if axis in table.variables and table[axis].dims == (dim,):
            scale = _MICROMETRES.get(str(table[axis].attrs.get("units")))
            if scale is not None and table[axis].dtype.kind == "f":
                found[axis] = table[axis].values * scale
    return found


def _write_groups(file: Any, table: xr.Dataset) -> list[str]:
    """Groups of electrodes; the name of each electrode's."""
    described = _json(table.attrs.get("electrode_groups"))
    texts: list[str] = ["electrodes"] * table.sizes["electrode"]
    for name in ("group", "group_name"):
        if name in table.variables and _is_text(table[name], "electrode"):
            texts = table[name].values.tolist()
            break
    made: dict[str, str] = {}
    for text in dict.fromkeys([*texts, *described]):
        about = described.get(text)
        made[text] = _write_group(file, text, about if isinstance(about, dict) else {})
    return [made[text] for text in texts]


def _write_group(file: Any, name: str, about: dict[str, Any]) -> str:
    device = free(str(about.get("device") or "electrodes"), ())
    if device not in file.devices:
        file.create_device(name=device, description="not described")
    group = file.create_electrode_group(
        name=free(name or _UNKNOWN, file.electrode_groups),
        description=str(about.get("description") or "not described"),
        location=str(about.get("location") or _UNKNOWN),
        device=file.devices[device],
    )
    return str(group.name)


def _add_table(
    file: Any, columns: list[Any], named: list[str], ids: Any, others: list[Any]
) -> None:
    from hdmf.common import ElementIdentifiers, VectorData
    from pynwb.ecephys import ElectrodesTable

    groups = [file.electrode_groups[n] for n in named]
    standard = [
        VectorData(name=name, description=text, data=groups if name == "group" else data)
        for name, text, data in columns
    ]
    rows = np.arange(len(named)) if ids is None else ids.astype(np.int64)
    file.electrodes = ElectrodesTable(
        id=ElementIdentifiers(name="id", data=rows), columns=[*standard, *others]
    )


def _json(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
