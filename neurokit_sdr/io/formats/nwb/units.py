"""The units table of an NWB file: spike times, everything per unit, and the recording's limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError, warn
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.nwb import tables as nwb_tables
from neurokit_sdr.io.formats.nwb.tables import (
    Reading,
    address,
    column_values,
    is_a,
    read_table,
    row_ends,
)
from neurokit_sdr.io.marks import split_mark

#: Unit columns that name where the unit lies, in the order in which one becomes brain_area.
_AREA_COLUMNS = ("brain_area", "location", "brain_region")


def find_units(reading: Reading, needed: bool) -> dict[str, Any]:
    """Tables of units by the group that each becomes; raise where there must be one and is none.

    Several tables, such as one per probe, lie in processing modules under names of their own.
    """
    tables = [
        t for t in reading.file.objects.values() if is_a(t, "Units") and "spike_times" in t.colnames
    ]
    if not tables:
        if needed:
            raise FileFormatError(
                f"Expected a units table with spike times in {reading.path}, found "
                f"{_contents(reading)}. Sort the spikes first, or read this file with nks.io.read."
            )
        return {}
    found: dict[str, Any] = {}
    for table in sorted(tables, key=address):
        _, mark = split_mark(table.description)
        alone = table is reading.file.units or len(tables) == 1
        group = mark.get("group") or ("/spikes" if alone else f"/spikes/{table.name}")
        while group in found:
            group += "_"
        found[group] = table
        reading.seen.add(table.object_id)
    return found


def _contents(reading: Reading) -> str:
    kinds: dict[str, list[str]] = {}
    for item in reading.file.objects.values():
        if hasattr(item, "colnames") or is_a(item, "TimeSeries"):
            kinds.setdefault(type(item).__name__, []).append(item.name)
    listed = [f"{kind} {', '.join(names[:5])}" for kind, names in sorted(kinds.items())]
    return "; ".join(listed) or "no data at all"


def read_units(reading: Reading, units: Any, group: str) -> xr.Dataset:
    """The Dataset of spikes. Flat times and their index are read once and split here."""
    where = str(reading.path)
    text, mark = split_mark(units.description)
    index = units["spike_times"]
    times = np.asarray(index.target.data[:], dtype=np.float64)
    ends = row_ends(index, times.size, "spike_times")
    counts = np.diff(ends, prepend=0)
    times = times[: ends[-1]] if ends.size else times
    ids = np.asarray(units.id.data[:])
    assemble.check_unit_ids(ids, where, FileFormatError)
    start, stop, source = _limits(reading, units, times, group)
    columns = read_table(
        units, "unit", reading.left, ("spike_times", "obs_intervals", *_per_spike(units))
    )
    _, time_mark = split_mark(index.target.description)
    if mark:
        stored = mark["attrs"]
        start, stop, source = stored["t_start"], stored["t_stop"], stored.get("t_stop_source")
    spikes = assemble.spike_dataset(
        times,
        counts,
        ids if "unit" not in columns.coords else columns["unit"].values,
        t_start=start,
        t_stop=stop,
        t_stop_source=source or "",
        where=where,
    )
    for name in _per_spike(units):
        spikes = _add_per_spike(reading, spikes, units[name], name, ends)
    if mark:
        spikes["spike_time"].attrs = time_mark["attrs"]
        spikes["spike_unit"].attrs = mark["spike_unit"]
        spikes = spikes.drop_vars("unit")
        spikes.attrs = mark["attrs"]
        return spikes.merge(columns, combine_attrs="override")
    spikes.attrs |= {"description": text} if text else {}
    spikes.attrs |= assemble.plain_attrs(
        {"resolution": units.resolution, "waveform_rate": units.waveform_rate}
    )
    if units is not reading.file.units:
        spikes.attrs["units_table"] = address(units)
    columns = _brain_area(reading, columns)
    columns = columns.set_coords([n for n, v in columns.data_vars.items() if v.dims == ("unit",)])
    return spikes.merge(columns, combine_attrs="override")


def _per_spike(units: Any) -> tuple[str, ...]:
    """Ragged columns with one value per spike, such as amplitudes."""
    reference = np.asarray(units["spike_times"].data[:])
    return tuple(
        name
        for name in units.colnames
        if name not in ("spike_times", "obs_intervals")
        and type(units[name]).__name__ == "VectorIndex"
        and type(units[name].target).__name__ == "VectorData"
        and len(units[name].target.data) == len(units["spike_times"].target.data)
        and np.array_equal(np.asarray(units[name].data[:]), reference)
    )


def _add_per_spike(
    reading: Reading, spikes: xr.Dataset, index: Any, name: str, ends: Any
) -> xr.Dataset:
    text, mark = split_mark(index.target.description)
    values = column_values(index.target)
    if values is None:
        reading.left.add(f"units.{name}", "references or mixed types")
        return spikes
    if mark:
        return nwb_tables.restore(spikes, mark, values)
    dims = ("spike", *(f"{name}_axis{k}" for k in range(1, values.ndim)))
    number = int(ends[-1]) if len(ends) else 0
    return spikes.assign({name: (dims, values[:number], {"description": text} if text else {})})


def _brain_area(reading: Reading, columns: xr.Dataset) -> xr.Dataset:
    """One name for where a unit lies; from its electrodes where the units table is silent."""
    for name in _AREA_COLUMNS:
        if name not in columns or columns[name].dtype.kind != "U":
            continue
        if (columns[name].values != "").any():
            if name != "brain_area":
                columns = columns.rename({name: "brain_area"})
                columns["brain_area"].attrs["name_in_file"] = name
            return columns.set_coords("brain_area")
    electrodes = reading.groups.get("/electrodes")
    if electrodes is None or "location" not in electrodes or "electrodes" not in columns:
        return columns
    if "electrodes_unit" not in columns or electrodes["location"].dtype.kind != "U":
        return columns
    place = dict(
        zip(electrodes["electrode"].values.tolist(), electrodes["location"].values, strict=True)
    )
    areas: list[set[str]] = [set() for _ in range(columns.sizes["unit"])]
    rows, ids = columns["electrodes_unit"].values, columns["electrodes"].values
    for row, electrode in zip(rows.tolist(), ids.tolist(), strict=True):
        areas[row].add(str(place.get(electrode, "")))
    text = np.array([", ".join(sorted(a - {""})) for a in areas], dtype=np.str_)
    attrs = {"comment": "location of the unit's electrodes"}
    return columns.assign_coords(brain_area=("unit", text, attrs))


def _limits(
    reading: Reading, units: Any, times: np.ndarray, group: str
) -> tuple[float, float, str]:
    """When the recording starts and ends, and what says so."""
    # Each unit's times rise, or are refused later: the last of each says enough.
    ends = np.asarray(units["spike_times"].data[:], dtype=np.int64)
    latest = times[ends[ends > 0] - 1]
    latest = latest[np.isfinite(latest)]
    last = float(latest.max()) if latest.size else None
    observed = _observation(reading, units, group)
    if observed is not None:
        start, stop = observed
        source = "the end of the units' observation intervals"
    elif reading.extents:
        # A camera may run on after the electrodes; signals, trials and epochs are the recording.
        known = [e for e in reading.extents if not e.covariate] or reading.extents
        start = min(0.0, min(e.first for e in known))
        longest = max(known, key=lambda e: e.last)
        stop, source = longest.last, f"the end of {longest.what}"
    else:
        start, stop = 0.0, last or 0.0
        source = "the last spike: the file does not say when the recording ended"
    if last is not None and last > stop:
        return start, last, f"the last spike, which is later than {source}"
    return start, stop, source


def _observation(reading: Reading, units: Any, group: str) -> tuple[float, float] | None:
    if "obs_intervals" not in units.colnames:
        return None
    index = units["obs_intervals"]
    limits = np.asarray(index.target.data[:], dtype=np.float64).reshape(-1, 2)
    ends = row_ends(index, len(limits), "obs_intervals")
    if not len(limits) or not np.isfinite(limits).all():
        return None
    start, stop = float(limits[:, 0].min()), float(limits[:, 1].max())
    counts = np.diff(ends, prepend=0)
    if (counts == 1).all() and (limits == limits[0]).all():
        return start, stop  # t_start and t_stop say it all
    place = f"/observation_intervals{group.removeprefix('/spikes')}"
    reading.groups[place] = xr.Dataset(
        {
            "start_time": ("interval", limits[:, 0], {"units": "s"}),
            "stop_time": ("interval", limits[:, 1], {"units": "s"}),
            "interval_unit": ("interval", np.repeat(np.arange(counts.size), counts)),
        },
        attrs={"description": "when each unit was observed; spike_unit counts the same way"},
    )
    warn(
        f"{reading.path.name}: units were not all observed from {start:g} to {stop:g} s without a "
        f"gap, so zero counts there need not be silence: see {place}."
    )
    return start, stop
