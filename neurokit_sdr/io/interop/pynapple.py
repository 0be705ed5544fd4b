"""pynapple: groups of spike trains, series over time, sets of intervals."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import MissingDependencyError, SchemaError, warn
from neurokit_sdr.io import assemble

#: Attributes that say in words or numbers what the object itself holds.
_HELD = {"t_start", "t_stop", "t_stop_source", "bin_size", "sampling_rate"}
_INTERVALS = ("start_time", "stop_time")
_SUPPORT = ("support_start", "support_stop")


def to_pynapple(data: xr.Dataset | xr.DataTree) -> Any:
    """Give a recording to pynapple.

    Parameters
    ----------
    data
        A Dataset: spikes become a ``TsGroup``, trials, epochs and other intervals an
        ``IntervalSet``, events a ``TsGroup`` with one member per label, each variable over time a
        ``Tsd`` (time), ``TsdFrame`` (time and one more dimension) or ``TsdTensor``. Or a session.
        Values on disk are loaded: select first what you need of a long recording.

    Returns
    -------
    pynapple object or dict
        Coordinates of units and channels become metadata columns. Whole-number ids in ascending
        order are the keys of a ``TsGroup``; other ids are its metadata column ``unit``. The time
        support is ``[t_start, t_stop]`` of spikes, or ``support_start`` and ``support_stop`` where
        the Dataset has them; bins that were not observed are outside it. A Dataset with several
        variables over time gives a dict by variable, a session a dict by group.

    Raises
    ------
    SchemaError
        If a Dataset holds nothing that has time, or a variable over time without a channel or unit.
    MissingDependencyError
        If pynapple is not installed.

    Warns
    -----
    DataWarning
        Once, naming what pynapple cannot hold: attributes, units, variables per spike, intervals
        that touch (it takes 1 µs off them), overlap (it joins them) or have no duration (it drops
        them). It rounds every time to 1 ns, which is not named each time.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({3: [0.1, 0.4], 8: [0.2]}, t_stop=0.5)
    >>> nks.io.to_pynapple(spikes)[3].t
    array([0.1, 0.4])
    """
    nap = import_pynapple()
    lost: list[str] = []
    if isinstance(data, xr.DataTree):
        made: Any = {}
        if data.attrs:
            lost.append(f"the session's attributes {', '.join(map(str, data.attrs))}")
        for node in data.subtree:
            group = node.to_dataset(inherit=False)
            if not group.variables:
                continue
            what: list[str] = []
            converted = _one(nap, group, what)
            name = node.path.strip("/")
            lost += [f"{name}: {text}" for text in what]
            if converted is None:
                lost.append(f"{name}: it has no time")
            else:
                made[name] = converted
    else:
        made = _one(nap, data, lost)
        if made is None:
            raise SchemaError(
                f"Expected spikes, intervals, events or variables over time, got "
                f"{schema.describe(data)}: pynapple holds nothing else."
            )
    _report(lost, "pynapple")
    return made


def from_pynapple(data: Any, *, name: str = "value", dim: str = "column") -> Any:
    """Take objects of pynapple.

    Parameters
    ----------
    data
        A ``TsGroup``, ``Ts``, ``Tsd``, ``TsdFrame``, ``TsdTensor`` or ``IntervalSet``; or a dict
        of them by group, as :func:`to_pynapple` gives.
    name, dim
        What the values of a series are called, and the second dimension of a ``TsdFrame``:
        ``name="fluorescence", dim="unit"`` makes calcium that follows the schema.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        Spikes for a ``TsGroup`` or ``Ts``, ``start_time(epoch)`` and ``stop_time(epoch)`` for an
        ``IntervalSet``, else ``name(time, ...)``; metadata columns are coordinates. A time support
        of several intervals is kept as ``support_start`` and ``support_stop``. A DataTree for a
        dict.

    Raises
    ------
    SchemaError
        If it is nothing of pynapple.
    MissingDependencyError
        If pynapple is not installed.

    Examples
    --------
    >>> import pynapple as nap
    >>> import neurokit_sdr as nks
    >>> support = nap.IntervalSet(0, 1)
    >>> group = nap.TsGroup({7: nap.Ts([0.25, 0.5])}, time_support=support)
    >>> nks.io.from_pynapple(group)["spike_time"].values
    array([0.25, 0.5 ])
    """
    nap = import_pynapple()
    if isinstance(data, Mapping) and not isinstance(data, nap.TsGroup):
        groups: dict[str, xr.Dataset] = {}
        for key, value in data.items():
            if isinstance(value, Mapping) and not isinstance(value, nap.TsGroup):
                for inner, series in value.items():
                    groups[f"/{key}/{inner}"] = _back(nap, series, str(inner), dim)
            else:
                found = _back(nap, value, name, dim)
                groups[f"/{key}"] = (
                    found.rename(epoch="trial") if str(key).endswith("trials") else found
                )
        return xr.DataTree.from_dict(groups)
    return _back(nap, data, name, dim)


# -- to ---------------------------------------------------------------------------------------


def _one(nap: Any, data: xr.Dataset, lost: list[str]) -> Any:
    with quiet():
        if {"spike_time", "spike_unit"} <= set(data.variables):
            return _spikes(nap, data, lost)
        if set(_INTERVALS) <= set(data.variables):
            return _intervals(nap, data, lost)
        if {"event_onset", "event_label"} <= set(data.variables):
            return _events(nap, data, lost)
        found = {}
        for name, array in data.data_vars.items():
            if "time" in array.dims:
                found[str(name)] = _series(nap, data, str(name), lost)
            elif name not in _SUPPORT:
                lost.append(f"{name}{array.dims}")
        _name_attrs(data, lost)
        if not found:
            return None
        return next(iter(found.values())) if len(found) == 1 else found


def _spikes(nap: Any, data: xr.Dataset, lost: list[str]) -> Any:
    schema.check(data, "spikes")
    time, unit = data["spike_time"].values, data["spike_unit"].values
    order = np.argsort(unit, kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=data.sizes["unit"]))
    trains = np.split(time[order], ends[:-1])
    ids = data["unit"].values
    keyed = ids.dtype.kind in "iu" and bool((np.diff(ids) > 0).all())
    keys = ids.tolist() if keyed else list(range(ids.size))
    start, stop = float(data.attrs["t_start"]), float(data.attrs["t_stop"])
    if stop <= start:
        lost.append("the recording's end: pynapple knows no time without duration, 1 µs is added")
        stop = start + 1e-6
    support = (
        nap.IntervalSet(data[_SUPPORT[0]].values, data[_SUPPORT[1]].values)
        if set(_SUPPORT) <= set(data.variables)
        # Rounded to 1 ns, the limits could leave out the outermost spikes.
        else nap.IntervalSet(np.floor(start * 1e9) / 1e9, np.ceil(stop * 1e9) / 1e9)
    )
    columns = {} if keyed else {"unit": ids}
    columns |= _columns(data, "unit", {*dir(nap.TsGroup), "rate"}, lost, skip=("unit",))
    lost += [
        f"{name}{data[name].dims}"
        for name in data.variables
        if name not in ("spike_time", "spike_unit", "unit", *_SUPPORT)
        and data[name].dims != ("unit",)
    ]
    _name_attrs(data, lost)
    trains_of = {k: nap.Ts(t, time_support=support) for k, t in zip(keys, trains, strict=True)}
    return nap.TsGroup(trains_of, time_support=support, metadata=columns or None)


def _intervals(nap: Any, data: xr.Dataset, lost: list[str]) -> Any:
    dim = str(data["start_time"].dims[0])
    start, stop = data["start_time"].values, data["stop_time"].values
    changed = {
        "have no duration and are dropped": start == stop,
        "touch the next, and are cut by 1 µs": np.append(stop[:-1] == start[1:], False),
        "overlap and are joined": np.append(stop[:-1] > start[1:], False),
    }
    for text, which in changed.items():
        if which.any():
            lost.append(f"{int(which.sum())} of {start.size} intervals, which {text}")
    columns = _columns(data, dim, set(dir(nap.IntervalSet)), lost, skip=_INTERVALS)
    lost += [
        f"{name}{data[name].dims}"
        for name in data.variables
        if data[name].dims != (dim,) and name != dim
    ]
    _name_attrs(data, lost)
    made = nap.IntervalSet(start, stop)
    if len(made) == start.size and bool((np.diff(start) > 0).all()):
        return nap.IntervalSet(start, stop, metadata=columns) if columns else made
    if columns:
        lost.append(f"the columns {', '.join(columns)}, as intervals were joined or moved")
    return made


def _events(nap: Any, data: xr.Dataset, lost: list[str]) -> Any:
    onset = data["event_onset"].values
    labels = data["event_label"].values.astype(np.str_)
    known = list(dict.fromkeys(labels.tolist()))
    lost += [
        str(name)
        for name in data.variables
        if name not in ("event_onset", "event_label", "event")
        and not (name == "event_duration" and not data[name].values.any())
    ]
    _name_attrs(data, lost)
    if not onset.size:
        return nap.TsGroup({}, time_support=nap.IntervalSet(0, 1e-6))
    support = nap.IntervalSet(
        np.floor(onset.min() * 1e9) / 1e9, np.ceil(onset.max() * 1e9) / 1e9 + 1e-6
    )
    members = {
        k: nap.Ts(np.sort(onset[labels == label]), time_support=support)
        for k, label in enumerate(known)
    }
    return nap.TsGroup(members, time_support=support, metadata={"event_label": known})


def _series(nap: Any, data: xr.Dataset, name: str, lost: list[str]) -> Any:
    array = data[name]
    array = array.transpose("time", *(d for d in array.dims if d != "time"))
    values, time = array.values, data["time"].values
    support = None
    if set(_SUPPORT) <= set(data.variables):
        support = nap.IntervalSet(data[_SUPPORT[0]].values, data[_SUPPORT[1]].values)
    elif time.size < 2:  # its own guess would have no duration
        first = float(time[0]) if time.size else 0.0
        support = nap.IntervalSet(first - 1e-6, first + 1e-6)
    if array.attrs.get("units") not in (None, "1"):
        lost.append(f"the unit {array.attrs['units']} of {name}")
    if values.ndim == 1:
        return nap.Tsd(t=time, d=values, time_support=support)
    if 0 in values.shape[1:]:
        dim = str(array.dims[1:][values.shape[1:].index(0)])
        raise SchemaError(
            f"Expected at least one {dim} of {name}, got none, which pynapple cannot hold: check "
            f"what was selected."
        )
    if values.ndim > 2:
        lost.append(f"the labels of {', '.join(map(str, array.dims[1:]))} of {name}")
        return nap.TsdTensor(t=time, d=values, time_support=support)
    dim = str(array.dims[1])
    labels = data[dim].values if dim in data.coords else np.arange(values.shape[1])
    columns = _columns(data, dim, set(dir(nap.TsdFrame)), lost, skip=(dim,))
    return nap.TsdFrame(
        t=time,
        d=values,
        columns=labels.tolist(),
        time_support=support,
        metadata=columns or None,
    )


def _columns(
    data: xr.Dataset, dim: str, taken: set[str], lost: list[str], skip: Iterable[str]
) -> dict[str, Any]:
    """What is known per unit, channel or interval, under names that pynapple allows."""
    columns: dict[str, Any] = {}
    for key in data.variables:
        name = str(key)
        if data[name].dims != (dim,) or name in skip:
            continue
        if data[name].attrs.get("units") not in (None, "1", "s"):
            lost.append(f"the unit {data[name].attrs['units']} of {name}")
        columns[assemble.free_name(name, {*taken, *columns, *skip})] = data[name].values
    return columns


def _name_attrs(data: xr.Dataset, lost: list[str]) -> None:
    named = [str(k) for k in data.attrs if k not in _HELD]
    if named:
        lost.append(f"attributes {', '.join(named)}")


# -- from -------------------------------------------------------------------------------------


def _back(nap: Any, data: Any, name: str, dim: str) -> xr.Dataset:
    if isinstance(data, nap.Ts):
        with quiet():
            data = nap.TsGroup({0: data}, time_support=data.time_support)
    if isinstance(data, nap.TsGroup):
        return _back_spikes(data)
    if isinstance(data, nap.IntervalSet):
        made = xr.Dataset(
            {
                "start_time": ("epoch", np.array(data.start, dtype=np.float64), {"units": "s"}),
                "stop_time": ("epoch", np.array(data.end, dtype=np.float64), {"units": "s"}),
            }
        )
        return made.assign(_metadata(data, "epoch"))
    if not isinstance(data, nap.Tsd | nap.TsdFrame | nap.TsdTensor):
        raise SchemaError(
            f"Expected a TsGroup, Ts, Tsd, TsdFrame, TsdTensor or IntervalSet of pynapple, got "
            f"{type(data).__name__}."
        )
    values = np.asarray(data.values)
    dims = ("time", dim)[: values.ndim] if values.ndim < 3 else _tensor_dims(values.ndim)
    made = xr.Dataset(
        {name: (dims, values)},
        coords={"time": ("time", np.array(data.t, dtype=np.float64), {"units": "s"})},
    )
    if isinstance(data, nap.TsdFrame):
        labels = assemble.plain_array(np.asarray(data.columns))
        made = made.assign_coords(
            {dim: labels if labels is not None else np.asarray(data.columns).astype(str)}
        ).assign_coords(_metadata(data, dim))
    return _with_support(made, data.time_support)


def _tensor_dims(number: int) -> tuple[str, ...]:
    return ("time", *(f"dim_{k}" for k in range(1, number)))


def _back_spikes(data: Any) -> xr.Dataset:
    keys = list(data.keys())
    trains = [np.array(data[k].t, dtype=np.float64) for k in keys]
    support = data.time_support
    columns = _metadata(data, "unit", skip=("rate",))
    ids = columns.pop("unit", None)
    ids = np.array(keys, dtype=np.int64) if ids is None else ids[1]
    spikes = assemble.spike_dataset(
        np.concatenate(trains) if trains else np.zeros(0),
        [t.size for t in trains],
        ids,
        t_start=float(support.start[0]),
        t_stop=float(support.end[-1]),
        t_stop_source="time support of the TsGroup",
        where="the TsGroup",
        error=SchemaError,
    )
    return schema.check(_with_support(spikes.assign_coords(columns), support), "spikes")


def _metadata(data: Any, dim: str, skip: tuple[str, ...] = ()) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in data.metadata.columns:
        if str(name) in skip:
            continue
        array = assemble.plain_array(np.asarray(data.metadata[name].values))
        if array is None:
            array = np.array([str(v) for v in data.metadata[name].values], dtype=np.str_)
        columns[str(name)] = (dim, array)
    return columns


def _with_support(data: xr.Dataset, support: Any) -> xr.Dataset:
    if len(support) < 2:
        return data
    return data.assign(
        {
            _SUPPORT[0]: ("support", np.array(support.start, dtype=np.float64), {"units": "s"}),
            _SUPPORT[1]: ("support", np.array(support.end, dtype=np.float64), {"units": "s"}),
        }
    )


def _report(lost: list[str], library: str) -> None:
    if lost:
        warn(f"{library} has no place for: {'; '.join(lost)}.")


@contextmanager
def quiet() -> Any:
    """pynapple warns of what is named here in one warning; only its code runs inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_pynapple() -> Any:
    try:
        with quiet():
            import pynapple
    except ImportError as error:
        raise MissingDependencyError(
            "This needs pynapple, which is not installed: pip install 'neurokit-sdr[pynapple]'."
        ) from error
    return pynapple
