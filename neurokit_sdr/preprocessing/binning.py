"""Spike times to spike counts, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import check_number, check_whole
from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError

#: A duration that falls short of a whole number of bins by less than this share of a bin is whole:
#: 0.3 s / 0.1 s is 2.9999999999999996 in floating point.
_WHOLE_BIN = 1e-6
#: Of the variables that binning makes.
_NAMES = ("count", "time", "trial_length", "observed", "context")
#: What a bin width is, for error texts.
SECONDS = "it is in seconds, and 0.02 is usual"


def bin_spikes(
    session: xr.Dataset | xr.DataTree,
    bin_size: float,
    trials: xr.Dataset | xr.DataTree | np.ndarray | None = None,
    *,
    context: float = 0.0,
    chunks: int | None = None,
) -> xr.Dataset:
    r"""Count spikes in bins of equal width.

    .. math:: n_{t,u} = \#\{\text{spikes of } u \text{ in } [e_t, e_{t+1})\}, \quad
              e_t = t_{start} + t \, \Delta

    Bins are closed on the left and open on the right; only a spike at the recording's very end
    goes to the last bin. Bins that are not wholly inside the recording (or trial) are left out.

    Parameters
    ----------
    session
        A Dataset of spikes, or a DataTree with a ``/spikes`` group.
    bin_size
        Bin width in seconds.
    trials
        None bins the whole recording. Otherwise the trials: a Dataset or DataTree group with
        ``start_time(trial)`` and ``stop_time(trial)``, or an array of shape (trial, 2), in
        seconds. Trials may differ in length and overlap; time then runs from each trial's start.
    context
        Seconds before each trial that models may read as its past, rounded to whole bins.
    chunks
        Bins (trials, where there are any) per dask chunk; None counts at once.

    Returns
    -------
    xarray.Dataset
        ``count(time, unit)``, or ``count(trial, time, unit)`` with ``trial_length(trial)`` in
        bins; beyond a trial's length counts are 0 and carry no information. Coordinates: ``time``
        (bin centre, s), ``unit`` and everything known per unit, and the trials' own columns. With
        a context, trials begin with its bins, at negative times; ``context(time)`` is true there:
        they are read as the past, and neither fitted nor scored. Where the recording does not
        reach so far back, ``observed(trial, time)`` is false.

    Raises
    ------
    ParameterError
        If ``bin_size`` is not a positive number, or longer than the recording or a trial,
        ``context`` is not a number >= 0, or asked for without trials, or ``chunks`` is not a
        positive whole number.
    SchemaError
        If the spikes break the schema, or a trial reaches outside the recording.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.05, 0.25], "b": [0.1]}, t_stop=0.3)
    >>> nks.bin_spikes(spikes, 0.1)["count"].values
    array([[1, 0],
           [0, 1],
           [1, 0]], dtype=int32)
    """
    spikes = schema.select(session, "spikes")
    width = check_number("bin_size", bin_size, 0, open_low=True, hint=SECONDS)
    lead = round(check_number("context", context, 0) / width)
    if lead and trials is None:
        raise ParameterError(
            f"Expected context together with trials, got {context!r} s and the whole recording, "
            f"which has no past: leave it out, or give the trials."
        )
    if chunks is not None:
        check_whole("chunks", chunks, 1, hint="a number of bins (or trials), or None")
    start, stop = float(spikes.attrs["t_start"]), float(spikes.attrs["t_stop"])
    per_unit = {name: c.variable for name, c in spikes.coords.items() if set(c.dims) <= {"unit"}}
    attrs = {"bin_size": width, "t_start": start, "t_stop": stop}
    times = spikes["spike_time"].data
    units = spikes["spike_unit"].data
    n_units = spikes.sizes["unit"]
    lazy = chunks is not None or spikes["spike_time"].chunks is not None
    if trials is None:
        n_bins = _whole_bins(stop - start, width)
        if n_bins == 0:
            raise ParameterError(
                f"Expected bin_size of at most the recording's {stop - start:g} s, got {width:g} s."
            )
        edges = [
            (first, min(chunks or n_bins, n_bins - first))
            for first in range(0, n_bins, chunks or n_bins)
        ]
        blocks = [(start, first, number) for first, number in edges]
        count = _count(times, units, n_units, width, blocks, stop, lazy)
        data = _dask().array.concatenate(count, axis=0) if lazy else count[0]
        dims: tuple[str, ...] = ("time", "unit")
        time = start + (np.arange(n_bins) + 0.5) * width
        extra: dict[str, Any] = {}
    else:
        intervals = _check_trials(trials, start, stop)
        begin = intervals["start_time"].values
        length = np.array(
            [_whole_bins(d, width) for d in intervals["stop_time"].values - begin], dtype=np.int64
        )
        if length.size == 0 or np.min(length) == 0:
            raise ParameterError(
                f"Expected at least one trial, each of at least one bin of {width:g} s, got "
                f"{length.size} trials, {int((length == 0).sum())} of them shorter."
            )
        length += lead
        n_bins = int(np.max(length))
        blocks = [(b, -lead, int(n)) for b, n in zip(begin, length, strict=True)]
        count = _count(times, units, n_units, width, blocks, stop, lazy)
        if lazy:
            array = _dask().array
            padded = [array.pad(c, ((0, n_bins - c.shape[0]), (0, 0)))[None] for c in count]
            data = array.concatenate(padded, axis=0).rechunk({0: chunks or 1, 1: -1, 2: -1})
        else:
            data = np.zeros((len(count), n_bins, n_units), dtype=np.int32)
            for row, c in zip(data, count, strict=True):
                row[: c.shape[0]] = c
        dims = ("trial", "time", "unit")
        time = (np.arange(-lead, n_bins - lead) + 0.5) * width
        extra = {
            str(name): (v.dims, v.values, v.attrs)
            for name, v in intervals.variables.items()
            if v.dims == ("trial",)
        }
        taken = sorted(set(extra) & {*_NAMES, *map(str, per_unit)})
        if taken:
            raise SchemaError(
                f"Expected trial columns with names of their own, got {taken}, which the counts "
                f"use: rename them with .rename."
            )
    binned = xr.Dataset(
        {"count": (dims, data, {"units": "1", "long_name": "spike count per bin"})},
        coords={"time": ("time", time, {"units": "s", "long_name": "bin centre"})},
        attrs=attrs,
    ).assign_coords(per_unit)
    if extra:
        binned = binned.assign_coords(extra)
        binned["trial_length"] = (("trial",), length, {"units": "1", "long_name": "bins in trial"})
    if lead:
        binned["context"] = ("time", np.arange(n_bins) < lead)
        recorded = begin[:, None] + time - width / 2 >= start - _WHOLE_BIN * width
        if not recorded.all():
            binned["observed"] = (("trial", "time"), recorded)
    return binned


def _check_trials(trials: Any, start: float, stop: float) -> xr.Dataset:
    if isinstance(trials, xr.DataTree):
        trials = trials.to_dataset()
    if not isinstance(trials, xr.Dataset):
        try:
            array = np.asarray(trials, dtype=float)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.ndim != 2 or array.shape[1] != 2:
            got = f"shape {array.shape}" if array.size else schema.describe(trials)
            raise SchemaError(
                f"Expected trials as a Dataset or an array of shape (trial, 2) with start and stop "
                f"in seconds, got {got}."
            )
        trials = xr.Dataset(
            {
                "start_time": (("trial",), array[:, 0], {"units": "s"}),
                "stop_time": (("trial",), array[:, 1], {"units": "s"}),
            }
        )
    schema.check(trials, "trials")
    outside = (trials["start_time"].values < start) | (trials["stop_time"].values > stop)
    if outside.any():
        first = int(np.argmax(outside))
        raise SchemaError(
            f"Expected trials inside the recording [{start:g}, {stop:g}] s, got trial {first} from "
            f"{float(trials['start_time'][first]):g} to {float(trials['stop_time'][first]):g} s: "
            f"zero counts outside the recording would not be silence but missing data."
        )
    return trials


def _whole_bins(duration: float, width: float) -> int:
    return int(np.floor(duration / width + _WHOLE_BIN))


def _dask() -> Any:
    try:
        import dask
        import dask.array
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Counting chunk by chunk needs dask: pip install 'neurokit-sdr[cluster]'."
        ) from error
    return dask


def _count(
    times: Any,
    units: Any,
    n_units: int,
    width: float,
    blocks: list[tuple[float, int, int]],
    stop: float,
    lazy: bool,
) -> list[Any]:
    """Count each block ``(origin, first bin, number of bins)``; lazily as dask arrays."""
    if not lazy:
        ordered = _sort_by_time(times, units)
        return [_count_block(ordered, n_units, width, b, stop) for b in blocks]
    dask = _dask()
    ordered = dask.delayed(_sort_by_time, pure=True)(times, units)
    block_of = dask.delayed(_count_block, pure=True)
    return [
        dask.array.from_delayed(
            block_of(ordered, n_units, width, b, stop), (b[2], n_units), dtype=np.int32
        )
        for b in blocks
    ]


def _sort_by_time(times: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times, units = np.asarray(times), np.asarray(units)
    order = np.argsort(times, kind="stable")
    return times[order], units[order]


def _count_block(
    ordered: tuple[np.ndarray, np.ndarray],
    n_units: int,
    width: float,
    block: tuple[float, int, int],
    stop: float,
) -> np.ndarray:
    """Count the spikes of one block of bins, from times in ascending order and their units."""
    times, units = ordered
    origin, first, number = block
    edges = origin + (first + np.arange(number + 1)) * width
    low = np.searchsorted(times, edges[0], side="left")
    # A spike at the recording's end would fall off the half-open last bin.
    if edges[-1] >= stop - _WHOLE_BIN * width:
        high = np.searchsorted(times, stop, side="right")
    else:
        high = np.searchsorted(times, edges[-1], side="left")
    t, u = times[low:high], units[low:high]
    index = np.clip(((t - edges[0]) / width).astype(np.int64), 0, number - 1)
    # Division can land one bin off at an edge; the edges themselves decide.
    index -= t < edges[index]
    index += (t >= edges[index + 1]) & (index < number - 1)
    flat = np.bincount(index * n_units + u, minlength=number * n_units)
    return flat.reshape(number, n_units).astype(np.int32)
