"""Recordings cut into trials, and trials of several recordings put behind one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError, warn
from neurokit_sdr.core.schema.common import STEP_TOLERANCE

#: Made anew for the joined trials, or joined in a way of their own.
_OWN = {
    "count",
    "trial_length",
    "observed",
    "context",
    "forward",
    "time",
    "trial",
    "session",
    "first_bin",
}


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
        ``count(trial, time, unit)``, ``trial_length(trial)`` and, where any input has them,
        ``observed(trial, time)`` and ``context(trial, time)``. Every other variable along time or
        trial comes along, one of time with a dimension ``trial`` before it; beyond a trial's end
        floats are NaN, other numbers 0, flags false. Coordinates: ``unit`` and all that is known
        per unit; ``session(trial)``, which input each came from; ``first_bin(trial)``, the time of
        its first bin there, in s.

    Raises
    ------
    SchemaError
        If units or bin sizes differ, bins to forecast (``forward``) are not the same in all, or
        there is nothing to join.

    Warns
    -----
    DataWarning
        Naming variables along time or trial that are left out, because not all inputs have them,
        or in other dimensions.
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
    length = np.concatenate([schema.trial_lengths(s) for s in checked])
    if not length.size:
        raise SchemaError(
            f"Expected at least one trial in the sessions to join, got none in {len(checked)} of "
            f"them."
        )
    number_of = [len(schema.trial_lengths(s)) for s in checked]
    begin = [float(s["time"].values[0]) if s.sizes["time"] else np.nan for s in checked]
    width = float(first.attrs["bin_size"])
    joined = xr.Dataset(
        {
            "count": _joined([s["count"].variable for s in checked], checked, length, fill=0),
            "trial_length": (("trial",), length, {"units": "1", "long_name": "bins in trial"}),
        },
        coords={
            "time": ("time", (np.arange(length.max()) + 0.5) * width, {"units": "s"}),
            "session": ("trial", np.repeat(np.arange(len(checked)), number_of)),
            "first_bin": ("trial", np.repeat(begin, number_of), {"units": "s"}),
        },
        attrs={"bin_size": width},
    ).assign_coords({n: c.variable for n, c in first.coords.items() if set(c.dims) <= {"unit"}})
    for name, absent in (("observed", True), ("context", False)):
        if any(name in s.variables for s in checked):
            parts = [_flag(s, name, absent) for s in checked]
            flags = _joined(parts, checked, length, fill=absent)
            if (flags.values != absent).any():
                joined[name] = flags
    joined = _with_forward(joined, checked)
    return _with_others(joined, checked, length)


def split_at_gaps(counts: xr.Dataset) -> xr.Dataset:
    """Make a trial of each stretch of bins that follow one another in time.

    Bins that were selected from a recording are no recording: a lag of one bin would lead from the
    end of one stretch to the start of the next. As trials they are kept apart.

    Parameters
    ----------
    counts
        ``count(time, unit)`` with ``time`` in seconds, rising, with gaps or not.

    Returns
    -------
    xarray.Dataset
        As :func:`concat_trials` makes of the stretches, in their order; ``first_bin(trial)`` says
        when each began.

    Raises
    ------
    SchemaError
        If the counts break the schema otherwise, have trials already, have no ``time`` in seconds,
        or times that do not rise.

    Examples
    --------
    >>> import numpy as np
    >>> import neurokit_sdr as nks
    >>> spikes = nks.io.from_spike_times({"a": [0.05, 0.25]}, t_stop=1.0)
    >>> counts = nks.bin_spikes(spikes, 0.1)
    >>> awake = counts.isel(time=[0, 1, 2, 7, 8])
    >>> nks.split_at_gaps(awake)["trial_length"].values
    array([3, 2])
    """
    # Without a clock the rest of the schema is checked; the clock is what this call is about.
    schema.check(counts.drop_vars("time", errors="ignore"), "counts")
    if counts["count"].dims != ("time", "unit"):
        raise SchemaError(
            f"Expected one recording count(time, unit), got {counts['count'].dims}: split each "
            f"trial with .isel(trial=...) and join them with nks.concat_trials."
        )
    if counts.sizes["time"] == 0:
        raise SchemaError("Expected at least one bin, got none: is the recording empty?")
    schema.check_clock(counts)
    steps = np.diff(counts["time"].values) / float(counts.attrs["bin_size"])
    gaps = np.flatnonzero(np.abs(steps - 1) > STEP_TOLERANCE) + 1
    edges = [0, *gaps.tolist(), counts.sizes["time"]]
    return concat_trials([counts.isel(time=slice(a, b)) for a, b in itertools.pairwise(edges)])


def cut_blocks(
    counts: xr.Dataset, edges: Sequence[int] | np.ndarray, context: int
) -> list[xr.Dataset]:
    """Stretches of a recording, each with bins of what came before it.

    Parameters
    ----------
    counts
        ``count(time, unit)``, checked.
    edges
        First bin of each stretch, and the number of bins last.
    context
        Bins of the past that each carries, as far as there are any; ``context(time)`` marks them.
    """
    blocks = []
    for start, stop in itertools.pairwise(map(int, edges)):
        low = max(start - context, 0)
        block = counts.isel(time=slice(low, stop))
        lead = np.arange(low, stop) < start
        if "context" in block.variables:
            lead = lead | block["context"].values
        blocks.append(block.assign(context=("time", lead)))
    return blocks


def _flag(data: xr.Dataset, name: str, absent: bool) -> xr.Variable:
    if name in data.variables:
        return data[name].variable
    return xr.Variable(("time",), np.full(data.sizes["time"], absent))


def _joined(
    parts: Sequence[xr.Variable],
    sessions: Sequence[xr.Dataset],
    length: np.ndarray,
    fill: object = None,
) -> xr.Variable:
    """One variable of all sessions as ``(trial[, time], ...)``."""
    rest = tuple(d for d in parts[0].dims if d not in ("trial", "time"))
    timed = any("time" in part.dims for part in parts)
    kind = np.result_type(*(part.dtype for part in parts))
    if fill is None:
        fill = np.nan if kind.kind in "fc" else np.zeros((), kind)[()]
    shape = tuple(parts[0].sizes[d] for d in rest)
    lead = (length.size, length.max()) if timed else (length.size,)
    out = np.full((*lead, *shape), fill, dtype=kind)
    trial = 0
    for part, session in zip(parts, sessions, strict=True):
        along = [d for d in ("trial", "time") if d in part.dims]
        values = np.asarray(part.transpose(*along, *rest).values)
        for k, n in enumerate(schema.trial_lengths(session)):
            row = values[k] if "trial" in along else values
            if timed:
                out[trial, :n] = row[:n]
            else:
                out[trial] = row
            trial += 1
    dims = ("trial", "time", *rest) if timed else ("trial", *rest)
    return xr.Variable(dims, out, dict(parts[0].attrs))


def _with_forward(joined: xr.Dataset, sessions: Sequence[xr.Dataset]) -> xr.Dataset:
    marks = [_flag(s, "forward", False).values for s in sessions]
    if not any(mark.any() for mark in marks):
        return joined
    if any(not np.array_equal(mark, marks[0]) for mark in marks):
        raise SchemaError(
            f"Expected the same bins to forecast in all sessions, got forward true in "
            f"{[int(mark.sum()) for mark in marks][:10]} of {[m.size for m in marks][:10]} bins: "
            f"join the sessions first, then split with nks.validation.held_out_split(counts, "
            f"forward=...)."
        )
    return joined.assign_coords(forward=("time", marks[0]))


def _with_others(
    joined: xr.Dataset, sessions: Sequence[xr.Dataset], length: np.ndarray
) -> xr.Dataset:
    """Covariates, columns of trials and whatever else lies along time or trial."""
    first = sessions[0]
    names = dict.fromkeys(
        str(n) for s in sessions for n, v in s.variables.items() if {"time", "trial"} & set(v.dims)
    )
    left = []
    for name in names:
        if name in _OWN:
            continue
        parts = [s[name].variable for s in sessions if name in s.variables]
        rest = [{d: n for d, n in p.sizes.items() if d not in ("trial", "time")} for p in parts]
        kinds = {"text" if p.dtype.kind in "UTSO" else "number" for p in parts}
        timed = {"time" in p.dims for p in parts}
        same = all(r == rest[0] for r in rest) and len(kinds) == 1 and len(timed) == 1
        if len(parts) < len(sessions) or not same:
            left.append(name)
            continue
        variable = _joined(parts, sessions, length)
        extra = {
            n: c.variable
            for n, c in first.coords.items()
            if c.dims and set(c.dims) <= set(rest[0]) - {"unit"}
        }
        joined = joined.assign_coords(extra)
        if name in first.coords:
            joined = joined.assign_coords({name: variable})
        else:
            joined[name] = variable
    per_unit = {
        n: v.variable
        for n, v in first.data_vars.items()
        if v.dims == ("unit",) and all(n in s and s[n].equals(v) for s in sessions)
    }
    if left:
        warn(
            f"Left out of the joined trials, because not all {len(sessions)} sessions have them, "
            f"or not alike: {left}. Give every session the same variables, or drop them."
        )
    return joined.assign(per_unit)
