"""Continuous recordings: binned, cut into trials and filtered, a part at a time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import check_number
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import ParameterError, SchemaError, warn
from neurokit_sdr.preprocessing import filtering
from neurokit_sdr.preprocessing.along_time import BinMean, Cut, Filter, along_time, cut_trials
from neurokit_sdr.preprocessing.binning import SECONDS
from neurokit_sdr.preprocessing.sampling import GAP, ON_EDGE, Clock, clock_of, samples

#: Kinds of a session that these functions take, in this order where none is named.
_KINDS = ("signal", "calcium", "behavior")
#: Channels that are no recorded activity, and pass a filter as they are.
_UNFILTERED = ("stim", "misc", "syst", "exci", "ias", "chpi", "temperature", "gof", "trigger")


def bin_signal(data: xr.Dataset | xr.DataTree, bin_size: float) -> xr.Dataset:
    r"""Average a continuous recording in bins of equal width.

    .. math:: \bar x_{k,c} = \frac{1}{|B_k|} \sum_{t \in B_k} x_{t,c}, \quad
              B_k = \{t : t_0 + k \Delta \le t < t_0 + (k + 1) \Delta\}

    :math:`t_0` is the first sample's time. Bins are those of :func:`neurokit_sdr.bin_spikes`, so
    that spikes and signals of one recording line up.

    Parameters
    ----------
    data
        A Dataset with a dimension ``time``: signal, calcium or behaviour; or a session with one of
        ``/signal``, ``/calcium`` and ``/behavior``, the first of which is taken.
    bin_size
        Bin width :math:`\Delta` in seconds, at least one sampling interval.

    Returns
    -------
    xarray.Dataset
        Every variable of floats with ``time``, averaged, as float64, in its own dims and units:
        ``signal(time, channel)``, ``fluorescence(time, unit)``. ``time`` is the bin's centre;
        attrs ``bin_size`` and ``sampling_rate``. A bin without samples, or with a NaN, is NaN; one
        that is not wholly inside the recording is left out. Values still in their file, or in
        dask arrays, stay there: a part of the result reads that part only.

    Raises
    ------
    SchemaError
        If there is no evenly or unevenly sampled ``time`` in seconds, or the recording is cut into
        trials.
    ParameterError
        If ``bin_size`` is not a number, shorter than a sampling interval or longer than the
        recording.

    Warns
    -----
    DataWarning
        Naming variables over time that are no floats, which are left out.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> wheel = xr.Dataset(
    ...     {"speed": ("time", [1.0, 3.0, 5.0, 7.0])},
    ...     coords={"time": ("time", [0.0, 0.1, 0.2, 0.3], {"units": "s"})},
    ... )
    >>> nks.bin_signal(wheel, 0.2)["speed"].values
    array([2., 6.])
    """
    recording = _continuous(data)
    clock = clock_of(recording)
    width = check_number("bin_size", bin_size, 0, open_low=True, hint=SECONDS)
    if width * clock.rate < 1 - ON_EDGE:
        raise ParameterError(
            f"Expected bin_size of at least one sampling interval, {1 / clock.rate:g} s, got "
            f"{width:g} s."
        )
    number = int(np.floor((clock.stop - clock.start) / width + ON_EDGE))
    if number == 0:
        raise ParameterError(
            f"Expected bin_size of at most the recording's {clock.stop - clock.start:g} s, got "
            f"{width:g} s."
        )
    operation = BinMean(clock, width, recording.sizes["time"])
    variables, left = {}, []
    for name, variable in recording.variables.items():
        if "time" not in variable.dims:
            variables[name] = variable
        elif name != "time" and variable.dtype.kind == "f":
            variables[name] = along_time(variable, operation, number)
        elif name != "time":
            left.append(str(name))
    if left:
        warn(
            f"Left out of the bins, because they are no floats, and a mean of codes or text says "
            f"nothing: {sorted(left)}. Convert those that were measured first: "
            f"{_converted(sorted(left)[0])}."
        )
    binned = _rebuilt(recording, variables)
    centre = clock.start + (np.arange(number) + 0.5) * width
    binned = binned.assign_coords(time=("time", centre, {"units": "s", "long_name": "bin centre"}))
    binned.attrs |= {"bin_size": width, "sampling_rate": 1.0 / width}
    return binned


def epoch(
    data: xr.Dataset | xr.DataTree,
    events: xr.Dataset | xr.DataTree | np.ndarray | list[float],
    start: float,
    stop: float,
    *,
    drop: xr.Dataset | xr.DataTree | np.ndarray | None = None,
) -> xr.Dataset:
    r"""Cut a continuous recording into trials around events.

    Trial :math:`i` holds the samples from ``start`` to ``stop`` around the sample nearest to the
    onset :math:`o_i`, both ends included, as ``.sel(time=slice(start, stop))`` and MNE count.

    Parameters
    ----------
    data
        A Dataset with a dimension ``time``: signal, calcium or behaviour; or a session with one of
        ``/signal``, ``/calcium`` and ``/behavior``, the first of which is taken.
    events
        A Dataset or group with ``event_onset(event)`` (of a session, or some of them:
        ``events.isel(event=events["event_label"] == "go")``), or with ``start_time(trial)``, or
        the onsets as numbers; in seconds on the recording's clock.
    start, stop
        Of each trial, in seconds from its onset.
    drop
        Stretches that no trial may touch: a Dataset or group of events, of which those whose label
        starts with BAD or EDGE count (all, if it has no labels), or an array of shape (stretch, 2)
        of starts and stops in seconds. None keeps all trials.

    Returns
    -------
    xarray.Dataset
        Each variable over time with a first dimension ``trial``: ``signal(trial, time, channel)``.
        ``time`` is in s from the onset's sample. On ``trial``: its number among the events given,
        ``event_onset`` (s), and every column of the events; attrs ``n_dropped``. Values still in
        their file, or in dask arrays, stay there: a trial of the result reads that trial only.

    Raises
    ------
    SchemaError
        If there is no ``time`` in seconds, the recording is already cut into trials, events have no
        finite onsets, or ``drop`` is not made of finite starts and stops.
    ParameterError
        If ``stop`` is before ``start``, or no trial lies inside the recording.

    Warns
    -----
    DataWarning
        Saying how many trials reach outside the recording or across a gap, and were left out.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> wheel = xr.Dataset(
    ...     {"speed": ("time", np.arange(10.0))},
    ...     coords={"time": ("time", np.arange(10) / 10, {"units": "s"})},
    ... )
    >>> trials = nks.epoch(wheel, [0.3, 0.6], -0.1, 0.1)
    >>> trials["speed"].values
    array([[2., 3., 4.],
           [5., 6., 7.]])
    """
    recording = _continuous(data)
    clock = clock_of(recording)
    start, stop = (
        check_number(name, edge, hint="it is in seconds")
        for name, edge in (("start", start), ("stop", stop))
    )
    if stop < start:
        raise ParameterError(f"Expected start <= stop, got {start:g} and {stop:g} s.")
    table = _event_table(events)
    onset = table["event_onset"].values.astype(np.float64)
    low, high = (samples(edge, clock.rate) for edge in (start, stop))
    sample, whole = _windows(clock, onset, low, high)
    clean = ~_touches(onset + low / clock.rate, onset + high / clock.rate, drop)
    kept = np.flatnonzero(whole & clean)
    if not whole.all():
        warn(
            f"{int((~whole).sum())} of {onset.size} trials reach outside the recording or across a "
            f"gap in it, and were left out; 'trial' numbers the events given."
        )
    if kept.size == 0:
        raise ParameterError(
            f"Expected at least one trial of {start:g} to {stop:g} s inside the recording "
            f"[{clock.start:g}, {clock.stop:g}] s, got none of {onset.size} "
            f"({int((whole & ~clean).sum())} dropped): check that onsets are seconds on its clock."
        )
    operation = Cut(sample[kept] + low, high - low + 1)
    variables = {
        name: cut_trials(variable, operation) if "time" in variable.dims else variable
        for name, variable in recording.variables.items()
        if name != "time"
    }
    columns = {}
    for name, column in table.variables.items():
        new = str(name) if name not in {*variables, "time", "trial"} else f"event_{name}"
        columns[new] = ("trial", column.values[kept], column.attrs)
    taken = sorted(set(columns) & {str(n) for n in variables})
    if taken:
        raise SchemaError(
            f"Expected events with columns of their own, got {taken}, which the recording uses: "
            f"rename them with .rename."
        )
    cut = _rebuilt(recording, variables).assign_coords(
        even_time(high - low + 1, clock.rate, low / clock.rate)
    )
    cut = cut.assign_coords({"trial": ("trial", kept), **columns})
    cut.attrs |= {"sampling_rate": clock.rate, "n_dropped": int(onset.size - kept.size)}
    return cut


def bandpass(
    data: xr.Dataset | xr.DataTree, low: float | None = None, high: float | None = None
) -> xr.Dataset:
    r"""Filter a continuous recording without shifting it in time.

    .. math:: y_t = \sum_{k=-m}^{m} h_k\, x_{t-k}, \quad h_{-k} = h_k

    :math:`h` is a windowed sinc (Hamming), the difference of two low-pass filters. The transition
    reaches from ``low`` down by min(max(low / 4, 2), low) Hz and from ``high`` up by
    min(max(high / 4, 2), rate / 2 - high) Hz, with half amplitude in its middle, as in MNE's
    default; the response is as long as its narrower transition needs, 3.3 over the width in s.
    Before its first sample and after its last, and at gaps, the recording is taken to go on
    point-symmetrically, :math:`x_{-k} = 2 x_0 - x_k`.

    Parameters
    ----------
    data
        A Dataset with a dimension ``time``: signal, calcium or behaviour; or a session with one of
        ``/signal``, ``/calcium`` and ``/behavior``, the first of which is taken. Of a session, a
        stretch labelled BAD_ACQ_SKIP or EDGE in ``/events`` is a gap, and stays as it is.
    low, high
        Edges of the pass band in Hz. Without ``low`` the filter is a low-pass, without ``high`` a
        high-pass.

    Returns
    -------
    xarray.Dataset
        The same, with every variable of floats over time filtered, as float64; channels of a type
        that is no recorded activity (stim, misc, ...) pass as they are. attrs ``highpass``,
        ``lowpass`` (Hz) are narrowed, ``filter`` says what was done. Values still in their file, or
        in dask arrays, stay there: a part of the result reads that part and :math:`m` samples on
        either side, and equals that part of the whole.

    Raises
    ------
    SchemaError
        If there is no evenly sampled ``time`` in seconds, or the recording is cut into trials.
    ParameterError
        If the edges are not 0 < low < high < half the sampling rate, or the recording is not
        longer than half the response.

    Warns
    -----
    DataWarning
        Saying how many stretches between gaps are too short to filter, which become NaN; naming
        variables of whole numbers over time, which pass as they are.

    References
    ----------
    Widmann, Schröger, Maess, Journal of Neuroscience Methods 250 (2015) 34-46.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import neurokit_sdr as nks
    >>> time = np.arange(4000) / 1000
    >>> tones = np.sin(2 * np.pi * 10 * time) + np.sin(2 * np.pi * 100 * time)
    >>> data = xr.Dataset({"tone": ("time", tones)}, {"time": ("time", time, {"units": "s"})})
    >>> slow = nks.bandpass(data, 5, 30)["tone"].values[1000:-1000]
    >>> bool(np.abs(slow - np.sin(2 * np.pi * 10 * time)[1000:-1000]).max() < 0.01)
    True
    """
    recording = _continuous(data)
    clock = clock_of(recording)
    low, high = _band(low, high, clock.rate)
    kernel = filtering.band_kernel(low, high, clock.rate)
    pieces = _pieces(clock, recording.sizes["time"], data)
    length = np.array([b - a for a, b, wanted in pieces if wanted])
    short = length <= kernel.half
    if short.all():
        raise ParameterError(
            f"Expected more than {kernel.half} samples ({kernel.half / clock.rate:g} s), half the "
            f"filter's response, got {int(length.max(initial=0))}: take a longer recording or "
            f"wider edges (the transition is a quarter of an edge, and at least 2 Hz)."
        )
    if short.any():
        warn(
            f"{int(short.sum())} stretches between gaps are not longer than half the filter's "
            f"response ({kernel.half / clock.rate:g} s), and became NaN."
        )
    variables = {}
    done, left = 0, []
    for name, variable in recording.variables.items():
        if name == "time" or "time" not in variable.dims or variable.dtype.kind != "f":
            variables[name] = variable
            if name in recording.data_vars and "time" in variable.dims:
                left += [str(name)] if variable.dtype.kind in "iu" else []
            continue
        done += name in recording.data_vars
        operation = Filter(kernel.weight, pieces, _passed(recording, variable))
        variables[name] = along_time(variable, operation, recording.sizes["time"])
    filtered = _rebuilt(recording, variables, time=True)
    if left:
        warn(
            f"Not filtered, because they hold whole numbers, which may be codes: {sorted(left)}. "
            f"Convert those that were measured first: {_converted(sorted(left)[0])}."
        )
    if done or not left:
        filtered.attrs |= _filter_attrs(recording.attrs, kernel, clock.rate)
    return filtered


# -- arguments ----------------------------------------------------------------------------------


def _converted(name: str) -> str:
    return f"data = data.assign({{{name!r}: data[{name!r}].astype(float)}})"


def _band(low: Any, high: Any, rate: float) -> tuple[float | None, float | None]:
    if low is None and high is None:
        raise ParameterError("Expected low, high or both in Hz, got neither.")
    edges = [
        None if edge is None else check_number(name, edge, 0, open_low=True, hint="it is in Hz")
        for name, edge in (("low", low), ("high", high))
    ]
    top = edges[1] if edges[1] is not None else rate / 2
    if (edges[0] is not None and edges[0] >= top) or (edges[1] or 0.0) >= rate / 2:
        raise ParameterError(
            f"Expected 0 < low < high < {rate / 2:g} Hz, half the sampling rate, got low={low!r} "
            f"and high={high!r}."
        )
    return edges[0], edges[1]


def _continuous(data: Any) -> xr.Dataset:
    """The recording over ``time``, from a Dataset or a session."""
    if isinstance(data, xr.DataTree):
        found = [k for k in _KINDS if schema.GROUPS[k] in data.groups and _timed(data, k)]
        if not found and "time" not in data.dims:
            raise SchemaError(
                f"Expected a session with time in one of "
                f"{[schema.GROUPS[k] for k in _KINDS]}, got {schema.describe(data)}: give the "
                f"recording itself, such as session['/signal/NAME'].to_dataset()."
            )
        data = data[schema.GROUPS[found[0]]].to_dataset() if found else data.to_dataset()
    if not isinstance(data, xr.Dataset):
        raise SchemaError(
            f"Expected a Dataset over 'time' or a session that holds one, got "
            f"{schema.describe(data)}."
        )
    if "time" not in data.coords or data["time"].dims != ("time",):
        raise SchemaError(
            f"Expected a Dataset with a coordinate 'time' in seconds, got {schema.describe(data)}: "
            f"add one with .assign_coords(time=('time', seconds, {{'units': 's'}}))."
        )
    cut = [
        d
        for d in ("trial", "condition")
        if any({d, "time"} <= set(v.dims) for v in data.variables.values())
    ]
    if cut:
        raise SchemaError(
            f"Expected a continuous recording, got one cut into {cut[0]}s: bin, filter or cut the "
            f"recording itself, before its trials."
        )
    return data


def _timed(data: xr.DataTree, kind: str) -> bool:
    return "time" in data[schema.GROUPS[kind]].to_dataset().coords


def _rebuilt(
    data: xr.Dataset, variables: Mapping[Any, xr.Variable], time: bool = False
) -> xr.Dataset:
    """A Dataset of the same names, coordinates and attributes; ``time`` only if it is the same."""
    others = {n: v for n, v in variables.items() if n != "time"}
    new = xr.Dataset(
        {n: v for n, v in others.items() if n not in data.coords},
        {n: v for n, v in others.items() if n in data.coords},
        dict(data.attrs),
    )
    if time:
        new = new.assign_coords(xr.Coordinates({"time": data["time"]}, data["time"].xindexes))
    return new


# -- filter -------------------------------------------------------------------------------------


def _passed(data: xr.Dataset, variable: xr.Variable) -> tuple[str, np.ndarray] | None:
    """The channels of a variable that a filter leaves as they are."""
    if "channel_type" not in data.variables or "channel" not in variable.dims:
        return None
    return "channel", np.isin(data["channel_type"].values.astype(np.str_), _UNFILTERED)


def _pieces(clock: Clock, size: int, data: Any) -> tuple[tuple[int, int, bool], ...]:
    """Stretches without a gap, as (start, stop, whether to filter), in order and without holes."""
    edges = np.array([], dtype=np.int64)
    if clock.time is not None:
        step = np.diff(clock.time) * clock.rate
        edges = np.flatnonzero(step > GAP) + 1
        uneven = np.abs(step - 1) > 1e-2
        if (uneven & (step <= GAP)).any():
            raise SchemaError(
                f"Expected an evenly sampled 'time', which a filter needs, got intervals from "
                f"{np.diff(clock.time).min():g} to {np.diff(clock.time).max():g} s: average it in "
                f"bins with nks.bin_signal first."
            )
    marks: list[tuple[int, int]] = []
    if isinstance(data, xr.DataTree) and schema.GROUPS["events"] in data.groups:
        events = data[schema.GROUPS["events"]].to_dataset()
        if "event_label" in events.variables:
            for onset, duration, label in zip(
                events["event_onset"].values,
                events["event_duration"].values,
                events["event_label"].values,
                strict=True,
            ):
                if str(label).lower().startswith(("bad_acq_skip", "edge")):
                    ends = clock.first_from(np.array([onset, onset + duration]))
                    low, high = np.clip(ends, 0, size)
                    marks.append((int(low), int(high)))
    cuts = sorted({0, size, *edges.tolist(), *(e for mark in marks for e in mark)})
    return tuple(
        (a, b, not any(low <= a and b <= high for low, high in marks))
        for a, b in itertools.pairwise(cuts)
    )


def _filter_attrs(
    attrs: Mapping[str, Any], kernel: filtering.Kernel, rate: float
) -> dict[str, Any]:
    new: dict[str, Any] = {}
    words = []
    if np.isfinite(kernel.low):
        new["highpass"] = max(float(attrs.get("highpass", 0.0)), kernel.low)
        words.append(f"from {kernel.low:g} Hz (transition {kernel.low_transition:g} Hz below)")
    if np.isfinite(kernel.high):
        new["lowpass"] = min(float(attrs.get("lowpass", np.inf)), kernel.high)
        words.append(f"to {kernel.high:g} Hz (transition {kernel.high_transition:g} Hz above)")
    done = (
        f"zero-phase FIR, windowed sinc (Hamming), {' '.join(words)}, "
        f"{kernel.weight.size} samples at {rate:g} Hz"
    )
    before = attrs.get("filter")
    new["filter"] = f"{before}; {done}" if before else done
    return new


# -- trials -------------------------------------------------------------------------------------


def _event_table(events: Any) -> xr.Dataset:
    """Columns over ``event`` with ``event_onset`` among them."""
    if isinstance(events, xr.DataTree):
        events = events.to_dataset()
    if isinstance(events, xr.Dataset):
        for onset, dim in (("event_onset", "event"), ("start_time", "trial")):
            if onset in events.variables and events[onset].dims == (dim,):
                columns = {
                    n: ("event", v.values, v.attrs)
                    for n, v in events.variables.items()
                    if v.dims == (dim,) and n != dim
                }
                table = xr.Dataset(columns)
                if onset != "event_onset" and "event_onset" not in table:
                    table["event_onset"] = table[onset]
                break
        else:
            raise SchemaError(
                f"Expected events with event_onset(event) or start_time(trial) in seconds, got "
                f"{schema.describe(events)}."
            )
    else:
        try:
            onsets = np.asarray(events, dtype=np.float64)
        except (TypeError, ValueError):
            onsets = np.empty((0, 0))
        if onsets.ndim != 1:
            raise SchemaError(
                f"Expected events as a Dataset with event_onset(event), or onsets in seconds as "
                f"one list, got {schema.describe(events)}."
            )
        table = xr.Dataset({"event_onset": ("event", onsets, {"units": "s"})})
    if not np.isfinite(table["event_onset"].values).all():
        raise SchemaError("Expected finite onsets in seconds, got NaN: drop those events.")
    return table


def _windows(clock: Clock, onset: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """The sample of each onset, and whether its window lies inside without a gap."""
    sample = clock.nearest(onset)
    size = round((clock.stop - clock.start) * clock.rate) if clock.time is None else clock.time.size
    whole = (sample + low >= 0) & (sample + high < size)
    if clock.time is not None:
        inside = np.flatnonzero(whole)
        begin, end = sample[inside] + low, sample[inside] + high
        span = clock.time[end] - clock.time[begin]
        # Half a sample too long or short: a gap, or frames that came late.
        whole[inside] = np.abs(span * clock.rate - (high - low)) < 0.5
        whole &= np.abs(clock.time[np.clip(sample, 0, size - 1)] - onset) * clock.rate < GAP
    return sample, whole


def _touches(begin: np.ndarray, end: np.ndarray, drop: Any) -> np.ndarray:
    """Which windows overlap a stretch that none may touch."""
    if drop is None:
        return np.zeros(begin.size, dtype=bool)
    if isinstance(drop, xr.DataTree):
        drop = drop.to_dataset()
    if isinstance(drop, xr.Dataset):
        table = schema.check(drop, "events")
        labels = np.char.lower(table["event_label"].values.astype(np.str_))
        bad = np.char.startswith(labels, "bad") | np.char.startswith(labels, "edge")
        low = table["event_onset"].values[bad]
        high = low + table["event_duration"].values[bad]
    else:
        try:
            array = np.asarray(drop, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.ndim != 2 or array.shape[1] != 2:
            raise SchemaError(
                f"Expected drop as events or an array of shape (stretch, 2) with starts and stops "
                f"in seconds, got {schema.describe(drop)}."
            )
        low, high = array.T
    if not (np.isfinite(low) & (low <= high)).all():
        raise SchemaError(
            "Expected drop as stretches with a finite start and a stop not before it, in seconds, "
            "got NaN or a stop before its start: give each a stop, np.inf up to the end."
        )
    return ((begin[:, None] <= high) & (end[:, None] >= low)).any(axis=1)
