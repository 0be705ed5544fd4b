"""neo: blocks of segments with spike trains, signals, events and epochs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock, even_time
from neurokit_sdr.core.errors import SchemaError, warn
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.neo import read as neo_read
from neurokit_sdr.io.recording import to_volts

#: Annotation of a segment that says what neo has no field for.
_MARK = "neurokit_sdr"
_SPIKES = ("spike_time", "spike_unit", "unit")


def to_neo(data: xr.Dataset | xr.DataTree) -> Any:
    """Give a recording to neo (and so to elephant).

    Parameters
    ----------
    data
        A session, or a Dataset of one kind. Values on disk are loaded: select first what you need
        of a long recording.

    Returns
    -------
    neo.Block
        With one segment. Each unit is a ``SpikeTrain`` (s) whose annotations hold what is known of
        the unit; variables over time are an ``AnalogSignal`` where time is even, else an
        ``IrregularlySampledSignal``, one per unit of measurement, with what is known per channel
        as array annotations; trials, epochs and other intervals are an ``Epoch``, events an
        ``Event``. Session metadata are annotations of the block.

    Raises
    ------
    SchemaError
        If it is no Dataset or session.

    Warns
    -----
    DataWarning
        Once, naming what neo cannot hold: signals in trials, arrays without time.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({3: [0.1, 0.4], 8: [0.2]}, t_stop=0.5)
    >>> block = nks.io.to_neo(spikes)
    >>> block.segments[0].spiketrains[0].magnitude
    array([0.1, 0.4])
    >>> nks.io.from_neo(block)["/spikes"].to_dataset().identical(spikes)
    True
    """
    import neo

    groups, attrs = _groups(data)
    block = neo.Block(name=str(attrs.get("identifier", "")) or None)
    block.annotations.update({str(k): v for k, v in attrs.items()})
    segment = neo.Segment(index=0)
    block.segments.append(segment)
    lost: list[str] = []
    info: dict[str, Any] = {"attrs": dict(attrs), "groups": {}}
    for path, group in groups.items():
        if not group.variables and not group.attrs:
            continue
        kept = _add(segment, path, group, lost)
        info["groups"][path] = {
            "attrs": dict(group.attrs),
            "variables": {n: dict(group[n].attrs) for n in kept},
            "order": kept,
            "coords": [n for n in kept if n in group.coords],
            "dtypes": {n: group[n].dtype.str for n in kept if group[n].dtype.kind in "UTO"},
        }
    segment.annotations[_MARK] = info
    if lost:
        warn(f"neo has no place for: {'; '.join(lost)}.")
    return block


def from_neo(obj: Any) -> xr.DataTree:
    """Take a block or segment of neo.

    Parameters
    ----------
    obj
        A ``neo.Block`` or ``neo.Segment``, loaded or lazy (proxies are loaded).

    Returns
    -------
    xarray.DataTree
        ``/spikes``, ``/events``, ``/epochs`` as :func:`neurokit_sdr.io.read_spikes` gives them from
        a file, and each signal in ``/signal`` (``/signal/NAME`` where there are several) with its
        channels and their units; voltages are in V. What :func:`to_neo` made comes back as it was.

    Raises
    ------
    SchemaError
        If it is neither, or holds nothing.

    Warns
    -----
    DataWarning
        Once, naming what is not kept: images, waveforms.

    Examples
    --------
    >>> import neo
    >>> import neurokit_sdr as nks
    >>> train = neo.SpikeTrain([100, 400], units="ms", t_stop=500, name="a")
    >>> segment = neo.Segment()
    >>> segment.spiketrains.append(train)
    >>> nks.io.from_neo(segment)["/spikes/spike_time"].values
    array([0.1, 0.4])
    """
    import neo

    if isinstance(obj, neo.Segment):
        blocks: list[Any] = [SimpleNamespace(segments=[obj])]
    elif isinstance(obj, neo.Block):
        blocks = [obj]
    else:
        raise SchemaError(
            f"Expected a neo.Block or neo.Segment, got {type(obj).__name__}: put a spike train or "
            f"signal into a Segment."
        )
    segments = blocks[0].segments
    if len(segments) == 1 and isinstance(segments[0].annotations.get(_MARK), dict):
        return _restored(segments[0])
    return _foreign(blocks)


def _groups(data: Any) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    if isinstance(data, xr.DataTree):
        groups = {n.path: n.to_dataset(inherit=False) for n in data.subtree}
        return {k: v for k, v in groups.items() if k != "/"}, {
            str(k): v for k, v in data.attrs.items()
        }
    if not isinstance(data, xr.Dataset):
        raise SchemaError(f"Expected a Dataset or a session, got {schema.describe(data)}.")
    for kind, spec in schema.KINDS.items():
        needed = {n for n, v in spec.variables.items() if v.required}
        if kind in schema.GROUPS and needed and needed <= set(data.variables):
            return {schema.GROUPS[kind]: data}, {}
    return {"/behavior": data}, {}


# -- to ---------------------------------------------------------------------------------------


def _add(segment: Any, path: str, group: xr.Dataset, lost: list[str]) -> list[str]:
    """Put what neo can hold of a Dataset into the segment; the names of what was put there."""
    names = set(map(str, group.variables))
    if {"spike_time", "spike_unit"} <= names:
        kept = _add_trains(segment, group)
    elif {"start_time", "stop_time"} <= names:
        kept = _add_intervals(segment, path, group)
    elif {"event_onset", "event_label"} <= names:
        kept = _add_events(segment, path, group)
    else:
        kept = _add_signals(segment, path, group)
    missing = [n for n in map(str, group.variables) if n not in kept]
    if missing:
        described = [f"{n}{group[n].dims}" for n in missing]
        lost.append(f"{path.strip('/')}: {', '.join(described)}")
    return [n for n in map(str, group.variables) if n in kept]


def _add_trains(segment: Any, group: xr.Dataset) -> list[str]:
    import neo

    schema.check(group, "spikes")
    unit = group["spike_unit"].values
    per_unit = [str(n) for n in group.variables if group[n].dims == ("unit",) and n != "unit"]
    per_spike = [
        str(n) for n in group.variables if group[n].dims == ("spike",) and n not in _SPIKES
    ]
    order = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=group.sizes["unit"]))
    for k, where in enumerate(np.split(order, ends[:-1])):
        known = {n: group[n].values[k].item() for n in ("unit", *per_unit)}
        segment.spiketrains.append(
            neo.SpikeTrain(
                group["spike_time"].values[where],
                units="s",
                t_start=float(group.attrs["t_start"]),
                t_stop=float(group.attrs["t_stop"]),
                name=str(known["unit"]),
                array_annotations={n: group[n].values[where] for n in per_spike},
                unit_dtypes={n: group[n].dtype.str for n in ("unit", *per_unit)},
                unit_known=known,
                **{_free(n): v for n, v in known.items()},
            )
        )
    return [*_SPIKES, *per_unit, *per_spike]


def _free(name: str) -> str:
    """A name of an annotation that is no argument of neo's classes."""
    taken = {"name", "description", "file_origin", "units", "times", "t_start", "t_stop", "dtype"}
    return assemble.free_name(name, taken | {"copy", "waveforms", "left_sweep", "sampling_rate"})


def _columns(group: xr.Dataset, dim: str, used: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {
        str(n): group[n].values
        for n in group.variables
        if group[n].dims == (dim,) and n not in used
    }


def _add_intervals(segment: Any, path: str, group: xr.Dataset) -> list[str]:
    import neo

    used = ("start_time", "stop_time")
    dim = str(group["start_time"].dims[0])
    columns = _columns(group, dim, used)
    start, stop = (group[n].values for n in used)
    label = next((v for n, v in columns.items() if v.dtype.kind in "UTO"), None)
    segment.epochs.append(
        neo.Epoch(
            start,
            durations=stop - start,
            labels=np.full(start.size, "", "U1") if label is None else label.astype(np.str_),
            units="s",
            name=path,
            # A difference and a sum of times can miss the time itself by one rounding.
            array_annotations={**columns, "stop_time": stop},
            dim=dim,
        )
    )
    return [*used, *columns]


def _add_events(segment: Any, path: str, group: xr.Dataset) -> list[str]:
    import neo

    used = ("event_onset", "event_label")
    columns = _columns(group, "event", used)
    segment.events.append(
        neo.Event(
            group["event_onset"].values,
            labels=group["event_label"].values.astype(np.str_),
            units="s",
            name=path,
            array_annotations=columns,
        )
    )
    return [*used, *columns]


def _add_signals(segment: Any, path: str, group: xr.Dataset) -> list[str]:
    kept: list[str] = []
    for key, array in group.data_vars.items():
        if array.dims[:1] != ("time",) or array.ndim > 2 or array.dtype.kind not in "fiub":
            continue
        name, dim = str(key), str(array.dims[1]) if array.ndim == 2 else ""
        columns = {
            n: v for n, v in _columns(group, dim, ()).items() if v.dtype.kind in "iufbUTO" and dim
        }
        values = array.values[:, None] if array.ndim == 1 else array.values
        if not values.shape[1]:
            continue
        units = (
            group["channel_unit"].values.astype(np.str_)
            if name == "signal" and "channel_unit" in columns
            else np.full(values.shape[1], str(array.attrs.get("units", "")))
        )
        for unit in dict.fromkeys(units.tolist()):
            here = np.flatnonzero(units == unit)
            found = _signal(group, values[:, here], unit)
            found.name = f"{path}:{name}"
            found.annotations |= {
                "variable": name,
                "dim": dim,
                "positions": here.tolist(),
                "dtype": array.dtype.str,
                "stored_unit": unit,
            }
            for n, column in columns.items():
                found.array_annotate(**{n: column[here]})
            (
                segment.analogsignals
                if type(found).__name__ == "AnalogSignal"
                else segment.irregularlysampledsignals
            ).append(found)
        kept += [name, "time", *columns]
    return list(dict.fromkeys(kept))


def _signal(group: xr.Dataset, values: np.ndarray, unit: str) -> Any:
    import neo
    import quantities as pq

    try:
        quantity = pq.Quantity(values, {"µV": "uV", "1": "", "px": ""}.get(unit, unit))
    except (LookupError, ValueError, SyntaxError, TypeError):  # a unit that quantities knows not
        quantity = pq.Quantity(values, "")
    clock = even_clock(group)
    if clock is not None:
        return neo.AnalogSignal(
            quantity, t_start=clock[0] * pq.s, sampling_rate=clock[1] * pq.Hz, even=True
        )
    return neo.IrregularlySampledSignal(group["time"].values, quantity, time_units="s")


# -- from -------------------------------------------------------------------------------------


def _restored(segment: Any) -> xr.DataTree:
    info = segment.annotations[_MARK]
    made: dict[str, xr.Dataset] = {}
    for path, about in info["groups"].items():
        variables: dict[str, Any] = {}
        coords: Any = None
        if "spike_time" in about["order"]:
            variables = _trains(segment)
        for item in (e for e in segment.epochs if e.name == path):
            stop = item.array_annotations["stop_time"]
            variables = {"start_time": (item.annotations["dim"], _seconds(item.times))}
            variables |= {"stop_time": (item.annotations["dim"], np.asarray(stop))}
            variables |= _annotated(item, item.annotations["dim"], ("stop_time",))
        for item in (e for e in segment.events if e.name == path):
            variables = {
                "event_onset": ("event", _seconds(item.times)),
                "event_label": ("event", np.asarray(item.labels)),
            }
            variables |= _annotated(item, "event", ())
        signals = [
            s
            for s in (*segment.analogsignals, *segment.irregularlysampledsignals)
            if str(s.name).rpartition(":")[0] == path
        ]
        if signals:
            variables, coords = _pieces(signals)
        dataset = xr.Dataset(variables, coords=coords, attrs=dict(about["attrs"]))
        dataset = dataset.set_coords([n for n in about["coords"] if n in dataset.variables])
        for name, attrs in about["variables"].items():
            dataset[name].attrs = dict(attrs)
        for name, dtype in about["dtypes"].items():
            if dtype[1:2] == "U" and dataset[name].dtype.str != dtype:
                values = dataset[name].values.astype(dtype)
                dataset[name] = (dataset[name].dims, values, dataset[name].attrs)
        made[path] = dataset[about["order"]]
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=info["attrs"]), **made})


def _seconds(quantity: Any) -> np.ndarray:
    return np.asarray(quantity.rescale("s").magnitude, dtype=np.float64)


def _trains(segment: Any) -> dict[str, Any]:
    trains = list(segment.spiketrains)
    known = [t.annotations["unit_known"] for t in trains]
    dtypes = trains[0].annotations["unit_dtypes"]
    variables: dict[str, Any] = {
        "spike_time": ("spike", np.concatenate([_seconds(t) for t in trains])),
        "spike_unit": ("spike", np.repeat(np.arange(len(trains)), [t.size for t in trains])),
    }
    for name, dtype in dtypes.items():
        variables[name] = ("unit", np.array([k[name] for k in known], dtype=np.dtype(dtype)))
    for name in trains[0].array_annotations:
        parts = [np.asarray(t.array_annotations[name]) for t in trains]
        variables[name] = ("spike", np.concatenate(parts))
    return variables


def _annotated(item: Any, dim: str, skip: tuple[str, ...]) -> dict[str, Any]:
    return {n: (dim, np.asarray(v)) for n, v in item.array_annotations.items() if n not in skip}


def _pieces(signals: list[Any]) -> tuple[dict[str, Any], Any]:
    """Variables whose columns lie in several signals, one per unit of measurement."""
    first = signals[0]
    if first.annotations.get("even"):
        rate, start = first.sampling_rate.rescale("Hz"), first.t_start.rescale("s")
        coords: Any = even_time(first.shape[0], float(rate.magnitude), float(start.magnitude))
    else:
        coords = {"time": ("time", _seconds(first.times), {"units": "s"})}
    variables: dict[str, Any] = {}
    for name in dict.fromkeys(s.annotations["variable"] for s in signals):
        parts = [s for s in signals if s.annotations["variable"] == name]
        position = np.concatenate([s.annotations["positions"] for s in parts])
        order = np.argsort(position)
        values = np.concatenate([s.magnitude for s in parts], axis=1)[:, order]
        values = values.astype(np.dtype(parts[0].annotations["dtype"]), copy=False)
        dim = parts[0].annotations["dim"]
        variables[name] = (("time", dim), values) if dim else ("time", values[:, 0])
        for key in parts[0].array_annotations if dim else ():
            columns = [np.asarray(s.array_annotations[key]) for s in parts]
            variables[key] = (dim, np.concatenate(columns)[order])
    return variables, coords


def _foreign(blocks: list[Any]) -> xr.DataTree:
    parts = neo_read._loaded(blocks)
    for part in (p for block in parts for p in block):
        part.left = [text for text in part.left if not text.startswith("signal ")]
    flat = [p for block in parts for p in block]
    where = Path("the neo object")
    if any(p.trains for p in flat):
        session = neo_read._session(where, parts, "neo object")
    else:
        assemble.warn_left_out(where, sorted({text for p in flat for text in p.left}))
        session = assemble.session(neo_read._marks(flat), flat[0].attrs if len(flat) == 1 else {})
    groups = {n.path: n.to_dataset(inherit=False) for n in session.subtree}
    segments = [s for block in blocks for s in block.segments]
    for k, segment in enumerate(segments):
        found = [*segment.analogsignals, *segment.irregularlysampledsignals]
        names = _distinct([str(s.name or f"signal{i}") for i, s in enumerate(found)])
        top = "/signal" if len(segments) == 1 else f"/segments/{k}/signal"
        for name, signal in zip(names, found, strict=True):
            place = top if len(found) == 1 else f"{top}/{name.replace('/', '_')}"
            groups[place] = _foreign_signal(signal.load() if hasattr(signal, "load") else signal)
    if len(groups) == 1 and not groups["/"].variables:
        raise SchemaError("Expected spike trains, signals, events or epochs, found none.")
    return xr.DataTree.from_dict(groups)


def _distinct(names: list[str]) -> list[str]:
    made: list[str] = []
    for name in names:
        made.append(assemble.free_name(name, made, suffix="copy"))
    return made


def _foreign_signal(signal: Any) -> xr.Dataset:
    unit = signal.dimensionality.string
    factor, unit = to_volts("1" if unit == "dimensionless" else unit)
    values = np.asarray(signal.magnitude, dtype=np.float64) * factor
    values = values.reshape(values.shape[0], -1)
    notes = {k: assemble.plain_array(v) for k, v in signal.array_annotations.items()}
    names = notes.pop("channel_names", None)
    labels = _distinct(list(map(str, range(values.shape[1]) if names is None else names)))
    made = xr.Dataset(
        {"signal": (("time", "channel"), values)},
        coords=_foreign_clock(signal, values.shape[0]),
        attrs=assemble.plain_attrs(signal.annotations),
    ).assign_coords(
        channel=np.array(labels, dtype=np.str_),
        channel_type=("channel", np.full(len(labels), "eeg" if unit == "V" else "misc")),
        channel_unit=("channel", np.full(len(labels), unit)),
    )
    for name, column in notes.items():
        if column is not None and column.shape == (len(labels),):
            taken = [*made.variables, *made.dims]
            made = made.assign_coords({assemble.free_name(name, taken): ("channel", column)})
    if hasattr(signal, "sampling_rate"):
        made.attrs["sampling_rate"] = float(signal.sampling_rate.rescale("Hz").magnitude)
    return schema.check(made, "signal")


def _foreign_clock(signal: Any, size: int) -> Any:
    if not hasattr(signal, "sampling_rate"):
        return {"time": ("time", _seconds(signal.times), {"units": "s"})}
    rate = float(signal.sampling_rate.rescale("Hz").magnitude)
    return even_time(size, rate, float(signal.t_start.rescale("s").magnitude))
