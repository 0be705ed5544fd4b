"""Responses to stimuli in conditions, with standard errors, from trials of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.arguments import as_numbers, check_number
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError, warn

#: Traces of calcium, the first that is there is taken.
_TRACES = ("deconvolved", "dff", "denoised", "fluorescence")


def estimate_tuning(
    session: xr.Dataset | xr.DataTree,
    trials: xr.Dataset | xr.DataTree | None = None,
    *,
    stimulus: str = "stimulus",
    condition: str = "condition",
    window: tuple[float, float] | None = None,
    variable: str | None = None,
    period: float | None = None,
    name: Any = 0,
) -> xr.Dataset:
    r"""Mean responses of every unit to every stimulus in every condition, with standard errors.

    The response to a trial is the firing rate (spikes) or the mean of the trace (calcium) in a
    window. Its mean over the n trials of a stimulus and condition has the standard error
    :math:`sd / \sqrt n` for calcium. For spikes, where cells of few trials often hold none,

    .. math:: se = \sqrt{F_u\, (k + 1/2)} / (n T),

    k the number of spikes in the n windows of length T and :math:`F_u` the unit's Fano factor
    (variance over mean of counts around their means, pooled over stimuli and conditions, at least
    0.1).

    Parameters
    ----------
    session
        Spikes or calcium, a Dataset or a DataTree with such a group.
    trials
        ``start_time(trial)`` and ``stop_time(trial)`` in seconds, and what was shown; None takes
        the ``/trials`` of the session.
    stimulus, condition
        Names of the variables of the trials that say which stimulus, and in which condition
        (ensemble) it came.
    window
        Seconds from a trial's start, ``(from, to)``; None is the whole trial.
    variable
        The trace of calcium; None takes the first of deconvolved, dff, denoised, fluorescence.
    period
        Of a stimulus on a circle, such as 180 deg of orientation; None takes
        ``trials[stimulus].attrs["period"]`` if there is one.
    name
        Of the session. Join several with ``xr.concat(sessions, "session")``.

    Returns
    -------
    xarray.Dataset
        ``response(session, unit, stimulus, condition)``, ``response_se``,
        ``probability(stimulus, condition)``, shares of the trials, and
        ``n_trials(stimulus, condition)``; conditions in the order of their first trial, stimuli
        ascending. What is known per unit comes along.

    Raises
    ------
    SchemaError
        If recording or trials break the schema, a variable is missing, or a trial's window leaves
        the recording.
    ParameterError
        If the window is empty.

    Warns
    -----
    DataWarning
        If a stimulus came less than twice in a condition: its response or error is NaN.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> spikes = nks.io.from_spike_times({"a": [0.1, 0.3, 1.2, 2.1, 2.4, 2.6]}, t_stop=4.0)
    >>> trials = xr.Dataset({
    ...     "start_time": ("trial", [0.0, 1.0, 2.0, 3.0], {"units": "s"}),
    ...     "stop_time": ("trial", [1.0, 2.0, 3.0, 4.0], {"units": "s"}),
    ...     "stimulus": ("trial", [0.0, 90.0, 0.0, 90.0], {"units": "deg"}),
    ...     "condition": ("trial", ["control"] * 4),
    ... })
    >>> nks.estimate_tuning(spikes, trials)["response"].squeeze().values
    array([2.5, 0.5])
    """
    table = _trials(session, trials, stimulus, condition)
    start = np.asarray(table["start_time"].values, float)
    stop = np.asarray(table["stop_time"].values, float)
    if window is not None:
        low, high = _window(window)
        if (start + high > stop + 1e-9).any():
            raise ParameterError(
                f"Expected a window inside every trial, got {low:g} to {high:g} s for trials as "
                f"short as {np.min(stop - start):g} s."
            )
        start, stop = start + low, start + high
    if not (stop > start).all():
        raise SchemaError("Expected trials longer than 0 s, got one that is not: drop it.")
    shown, which = np.unique(table[stimulus].values, return_inverse=True)
    names, first = np.unique(table[condition].values, return_index=True)
    names = names[np.argsort(first)]
    cell = which * len(names) + np.array([names.tolist().index(c) for c in table[condition].values])
    cells = np.arange(len(shown) * len(names))
    member = (cell == cells[:, None]).astype(float)  # (cell, trial)
    n = member.sum(axis=1)
    few = n < 2
    if few.any():
        warn(
            f"{int(few.sum())} of {len(n)} pairs of stimulus and condition came less than twice: "
            f"their response or its error is NaN",
            DataWarning,
        )
    kind = _kind(session)
    data = schema.select(session, kind)
    if kind == "spikes":
        count = _count(data, start, stop)
        length = stop - start
        mean, error = _of_spikes(count, length, member, n)
        units = "Hz"
    else:
        traces = _means(data, _trace(data, variable), start, stop)
        mean, error = _of_traces(traces, member, n)
        units = str(data[_trace(data, variable)].attrs.get("units", "1"))
    shape = (1, data.sizes["unit"], len(shown), len(names))
    dims = ("session", "unit", "stimulus", "condition")
    attrs = {k: v for k, v in table[stimulus].attrs.items() if k in ("units", "period")}
    if period is not None:
        attrs["period"] = check_number("period", period, 0, open_low=True)
    number = n.reshape(len(shown), len(names))
    per_unit = {k: c.variable for k, c in data.coords.items() if c.dims == ("unit",)}
    tuning = xr.Dataset(
        {
            "response": (dims, mean.T.reshape(shape), {"units": units}),
            "response_se": (dims, error.T.reshape(shape), {"units": units}),
            "probability": (dims[2:], number / number.sum(axis=0), {"units": "1"}),
            "n_trials": (dims[2:], number.astype(np.int64), {"units": "1"}),
        },
        coords={
            "session": [name],
            "stimulus": ("stimulus", shown, attrs),
            "condition": ("condition", names),
            **per_unit,
        },
    )
    # What the trials say may not follow the schema: stimuli without units, for one.
    return schema.check(tuning, "tuning")


def _trials(session: Any, trials: Any, stimulus: str, condition: str) -> xr.Dataset:
    if trials is None:
        if not isinstance(session, xr.DataTree):
            raise SchemaError(
                "Expected trials beside a Dataset, got none: pass start_time, stop_time, stimulus "
                "and condition of each trial."
            )
        table = schema.select(session, "trials")
    else:
        table = schema.select(trials, "trials")
    for name in (stimulus, condition):
        if name not in table.variables or table[name].dims != ("trial",):
            raise SchemaError(
                f"Expected {name!r} with dims ('trial',) among the trials, got "
                f"{sorted(map(str, table.variables))}: say which variable it is with stimulus= and "
                f"condition=."
            )
    if not table.sizes["trial"]:
        raise SchemaError("Expected at least one trial, got none.")
    return table


def _window(window: Any) -> tuple[float, float]:
    bounds = as_numbers("window", window)
    if bounds.shape != (2,) or not np.isfinite(bounds).all() or not 0 <= bounds[0] < bounds[1]:
        raise ParameterError(f"Expected window as (from, to) with 0 <= from < to, got {window!r}.")
    return float(bounds[0]), float(bounds[1])


def _kind(session: Any) -> str:
    """Spikes or calcium, whichever is there."""
    groups = session.groups if isinstance(session, xr.DataTree) else ()
    variables = getattr(session, "variables", {})
    if schema.GROUPS["spikes"] in groups or "spike_time" in variables:
        return "spikes"
    if schema.GROUPS["calcium"] in groups or set(_TRACES) & set(variables):
        return "calcium"
    return "spikes"  # whose check says what was expected


def _count(data: xr.Dataset, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Spikes in ``[start, stop)`` of each trial, (trial, unit)."""
    _inside(start, stop, float(data.attrs["t_start"]), float(data.attrs["t_stop"]))
    time = np.asarray(data["spike_time"].values)
    unit = np.asarray(data["spike_unit"].values)
    count = np.empty((len(start), data.sizes["unit"]))
    for u in range(data.sizes["unit"]):
        own = np.sort(time[unit == u])
        count[:, u] = np.searchsorted(own, stop) - np.searchsorted(own, start)
    return count


def _inside(start: np.ndarray, stop: np.ndarray, first: float, last: float) -> None:
    if start.min() < first - 1e-9 or stop.max() > last + 1e-9:
        raise SchemaError(
            f"Expected trials inside the recording, {first:g} to {last:g} s, got ones from "
            f"{start.min():g} to {stop.max():g} s: drop those outside."
        )


def _of_spikes(
    count: np.ndarray, length: np.ndarray, member: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rates and their errors, (cell, unit)."""
    total = member @ count
    seconds = (member @ length)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = total / seconds
    expected = member.T @ np.nan_to_num(rate) * length[:, None]
    # Residuals around a cell's own mean have n - 1 degrees of freedom of its n.
    spread = ((count - expected) ** 2).sum(axis=0)
    free = ((1 - 1 / np.maximum(n, 1))[:, None] * total).sum(axis=0)
    fano = np.where(free > 0, spread / np.where(free > 0, free, 1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(fano, 0.1) * (total + 0.5)) / seconds
    return rate, np.where(n[:, None] > 0, error, np.nan)


def _trace(data: xr.Dataset, variable: str | None) -> str:
    if variable is not None and variable not in data.data_vars:
        raise SchemaError(
            f"Expected the trace {variable!r}, got {sorted(map(str, data.data_vars))}."
        )
    return variable or next(t for t in _TRACES if t in data.variables)


def _means(data: xr.Dataset, name: str, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Mean of a trace in each trial's window, (trial, unit)."""
    if data["time"].attrs.get("units") != "s":
        raise SchemaError(
            "Expected frames with times in seconds, got frame numbers: say the sampling rate when "
            "reading."
        )
    time = np.asarray(data["time"].values)
    low, high = np.searchsorted(time, start), np.searchsorted(time, stop)
    _inside(start, stop, float(time[0] - (time[1] - time[0])), float(2 * time[-1] - time[-2]))
    if not (high > low).all():
        raise SchemaError(
            f"Expected at least one frame in every window, got {int((high <= low).sum())} without: "
            f"widen the window."
        )
    values = np.asarray(data[name].transpose("time", "unit").values, float)
    return np.stack([values[i:j].mean(axis=0) for i, j in zip(low, high, strict=True)])


def _of_traces(
    traces: np.ndarray, member: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means and their errors, (cell, unit)."""
    number = n[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (member @ traces) / number
        rest = traces - member.T @ np.nan_to_num(mean)
        error = np.sqrt((member @ rest**2) / (number - 1) / number)
    return mean, np.where(number > 1, error, np.nan)
