"""Spike times to spike counts, exactly."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError

#: A duration that falls short of a whole number of bins by less than this share of a bin is whole:
#: 0.3 s / 0.1 s is 2.9999999999999996 in floating point.
_WHOLE_BIN = 1e-6


def bin_spikes(
    session: xr.Dataset | xr.DataTree,
    bin_size: float,
    trials: xr.Dataset | xr.DataTree | np.ndarray | None = None,
    *,
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
    chunks
        Bins (trials, where there are any) per dask chunk; None counts at once.

    Returns
    -------
    xarray.Dataset
        ``count(time, unit)``, or ``count(trial, time, unit)`` with ``trial_length(trial)`` in
        bins; beyond a trial's length counts are 0 and carry no information. Coordinates: ``time``
        (bin centre, s), ``unit`` and everything known per unit, and the trials' own columns.

    Raises
    ------
    ParameterError
        If ``bin_size`` is not a positive number, or longer than the recording or a trial, or
        ``chunks`` is not a positive whole number.
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
    width = _check_bin_size(bin_size)
    _check_chunks(chunks)
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
        n_bins = int(np.max(length))
        blocks = [(b, 0, int(n)) for b, n in zip(begin, length, strict=True)]
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
        time = (np.arange(n_bins) + 0.5) * width
        extra = {
            str(name): (v.dims, v.values, v.attrs)
            for name, v in intervals.variables.items()
            if v.dims == ("trial",)
        }
        taken = sorted(set(extra) & {"count", "time", "trial_length", *map(str, per_unit)})
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
    return binned


def concat_trials(sessions: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put binned sessions of the same units behind one another as trials of their own lengths.

    Models treat trials as independent, so this is how several sessions, or the blocks of one, go
    into one fit.

    Parameters
    ----------
    sessions
        Datasets of ``count(time, unit)`` or ``count(trial, time, unit)`` with the same ``unit`` and
        ``bin_size``.

    Returns
    -------
    xarray.Dataset
        ``count(trial, time, unit)``, ``trial_length(trial)`` and, where any input has it,
        ``observed(trial, time)``. Coordinates: ``unit`` and all that is known per unit;
        ``session(trial)``, which input each came from; ``first_bin(trial)``, the time of its first
        bin there, in s. Other variables are left out.

    Raises
    ------
    SchemaError
        If units or bin sizes differ, or there is nothing to join.
    """
    if not sessions:
        raise SchemaError("Expected at least one binned session, got none.")
    checked = [schema.check(s, "counts") for s in sessions]
    first = checked[0]
    for number, other in enumerate(checked):
        if not np.array_equal(other["unit"].values, first["unit"].values):
            raise SchemaError(
                f"Expected every session to have the same units, got others in session {number}: "
                f"select the shared ones with .sel(unit=...) first."
            )
        if not np.isclose(other.attrs["bin_size"], first.attrs["bin_size"], rtol=1e-9):
            raise SchemaError(
                f"Expected one bin_size, got {first.attrs['bin_size']} and "
                f"{other.attrs['bin_size']} s: bin every session alike."
            )
    rows: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    origin: list[int] = []
    begin: list[float] = []
    for number, data in enumerate(checked):
        counts = np.asarray(data["count"].values)
        clock = np.asarray(data["time"].values)
        observed = schema.observed_bins(data)
        if counts.ndim == 2:
            counts, observed = counts[None], observed[None]
        for trial, length in enumerate(schema.trial_lengths(data)):
            rows.append(counts[trial, :length])
            masks.append(observed[trial, :length])
            origin.append(number)
            begin.append(float(clock[0]) if len(clock) else np.nan)
    if not rows:
        raise SchemaError(
            f"Expected at least one trial in the sessions to join, got none in {len(checked)} of "
            f"them."
        )
    length = np.array([len(r) for r in rows], dtype=np.int64)
    # Counts with missing values are floats; joined to whole numbers they stay so.
    kind = np.result_type(*{r.dtype for r in rows})
    count = np.zeros((len(rows), length.max(), first.sizes["unit"]), dtype=kind)
    observed = np.ones(count.shape[:2], dtype=bool)
    for trial, (row, mask) in enumerate(zip(rows, masks, strict=True)):
        count[trial, : len(row)] = row
        observed[trial, : len(row)] = mask
    width = float(first.attrs["bin_size"])
    joined = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, dict(first["count"].attrs)),
            "trial_length": (("trial",), length, {"units": "1", "long_name": "bins in trial"}),
        },
        coords={
            "time": ("time", (np.arange(length.max()) + 0.5) * width, {"units": "s"}),
            "session": ("trial", np.array(origin)),
            "first_bin": ("trial", np.array(begin), {"units": "s"}),
        },
        attrs={"bin_size": width},
    ).assign_coords({n: c.variable for n, c in first.coords.items() if set(c.dims) <= {"unit"}})
    if not observed.all():
        joined["observed"] = (("trial", "time"), observed)
    return joined


def _check_bin_size(bin_size: float) -> float:
    number = isinstance(bin_size, numbers.Real) and not isinstance(bin_size, bool)
    if not number or not np.isfinite(bin_size) or bin_size <= 0:
        raise ParameterError(f"Expected bin_size > 0 in seconds, got {bin_size!r}: 0.02 is usual.")
    return float(bin_size)


def _check_chunks(chunks: int | None) -> None:
    whole = isinstance(chunks, numbers.Integral) and not isinstance(chunks, bool)
    if chunks is not None and not (whole and chunks > 0):
        raise ParameterError(
            f"Expected chunks to be a number of bins (or trials) >= 1 or None, got {chunks!r}."
        )


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
