"""Rates of single trials, against what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.plotting._style import (
    given_axes,
    label,
    plain,
    pyplot,
    require,
    state_colors,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Units that are drawn when none are named.
MOST_UNITS = 6


@styled
def single_trial_rates(
    prediction: xr.Dataset,
    truth: xr.Dataset | None = None,
    *,
    trial: Any = None,
    units: Sequence[Any] | None = None,
    psth: xr.DataArray | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Plot the rates that a model gives some units in one trial, against what is known of them.

    One panel per unit: the prediction with its band, the spikes as ticks under it (of a bin with
    several, as many side by side), the true rate and the condition's PSTH where they are known.
    Bins ahead of what the model read are shaded. Held-out units are marked; only of them, and of
    bins ahead, do the spikes test the rate.

    Parameters
    ----------
    prediction
        ``expected_count([trial,] time, unit)`` in spikes per bin, as ``predict`` gives it, and
        optionally ``expected_count_low`` and ``expected_count_high``.
    truth
        Any of ``count([trial,] time, unit)``, ``rate`` (Hz) and ``expected_count`` (spikes per bin)
        of the same dims, with ``attrs["bin_size"]`` (s); in the bins and units that it has. None
        for none; rates are then in spikes per bin.
    trial
        Label of the trial (its position where trials have no labels); None for the first.
    units
        Labels of units; None for the first six, the held-out ones before the others.
    psth
        ``(condition, time, unit)`` in spikes per bin, as :func:`neurokit_sdr.validation.psth` gives
        it; the trial's condition is drawn.
    axes
        As many Axes as units; None makes a figure.

    Returns
    -------
    numpy.ndarray
        One Axes per unit.

    Raises
    ------
    SchemaError
        If a variable is missing or has other dims.
    ParameterError
        If there is no such trial or unit, or the number of axes is wrong.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> truth = nks.snn.switching_population(n_units=3, n_states=2, rng=0)
    >>> counts = nks.snn.simulate_switching_population(truth, 200, rng=0)
    >>> model = nks.generative.Smoothing(smoothing=0.05).fit(counts, rng=0, progress=False)
    >>> axes = nks.plotting.single_trial_rates(model.predict(counts), counts, units=[0, 2])
    >>> [ax.get_title() for ax in axes]
    ['unit 0', 'unit 2']
    >>> plt.close(axes[0].figure)
    """
    dims = [("trial", "time", "unit"), ("time", "unit")]
    for side in ("", "_low", "_high"):
        if not side or f"expected_count{side}" in prediction:
            require(prediction, f"expected_count{side}", dims, "pass model.predict(data)")
    one, trial = _of_trial(prediction, trial, "prediction")
    known = xr.Dataset() if truth is None else _known(truth, trial)
    profile = None if psth is None else _profile(psth, (one, known))
    shown = _shown(one, units)
    panels = _grid(axes, len(shown))
    scale = 1 / float(known.attrs["bin_size"]) if truth is not None else 1.0
    time = one["time"]
    half = float(np.diff(time.values).min()) / 2 if time.size > 1 else 0.5
    for number, (ax, unit) in enumerate(zip(panels, shown, strict=True)):
        _draw_unit(ax, one.isel(unit=unit), known, profile, scale)
        ax.set_xlim(float(time[0]) - half, float(time[-1]) + half)
        if number + _columns(len(shown)) >= len(shown):
            ax.set_xlabel(label(time, "time", "s"))
        if number % _columns(len(shown)) == 0:
            ax.set_ylabel("rate (Hz)" if truth is not None else "spikes per bin")
    handles, texts = np.concatenate([ax.get_legend_handles_labels() for ax in panels], axis=1)
    named = dict(zip(texts, handles, strict=True))
    panels[0].figure.legend(named.values(), named, loc="outside upper center", ncols=len(named))
    return panels


def _of_trial(data: xr.Dataset, trial: Any, what: str) -> tuple[xr.Dataset, Any]:
    """One trial of a Dataset whose units and bins have labels, and the trial's label."""
    for dim in ("unit", "time"):
        if dim not in data.dims or not data.sizes[dim]:
            raise SchemaError(
                f"Expected a {what} of at least one {dim}, got {schema.describe(data)} with sizes "
                f"{dict(data.sizes)}."
            )
    data = data.assign_coords({d: np.arange(n) for d, n in data.sizes.items() if d not in data})
    if "trial" not in data.dims:
        return data, trial
    labels = data["trial"].values
    if trial is None and labels.size:
        trial = labels.tolist()[0]
    found = np.flatnonzero(labels == trial)
    if not found.size:
        raise ParameterError(
            f"Expected trial to be one of the {labels.size} of the {what}, {_few(labels)}, got "
            f"{trial!r}."
        )
    return data.isel(trial=int(found[0])), trial


def _few(labels: np.ndarray) -> str:
    text = ", ".join(repr(one) for one in labels[:5].tolist())
    return text + (", ..." if labels.size > 5 else "")


def _shown(one: xr.Dataset, units: Sequence[Any] | None) -> list[int]:
    """Positions of the units to draw."""
    labels = one["unit"].values
    if units is None:
        held_in = one["held_in"].values if "held_in" in one.coords else np.ones(labels.size, bool)
        return np.argsort(held_in, kind="stable")[:MOST_UNITS].tolist()
    known, given = labels.tolist(), np.atleast_1d(np.asarray(units)).tolist()
    missing = [unit for unit in given if unit not in known]
    if missing or not given:
        raise ParameterError(
            f"Expected units among the {labels.size} of the prediction, {_few(labels)}, got "
            f"{units!r}."
        )
    return [known.index(unit) for unit in given]


def _known(truth: Any, trial: Any) -> xr.Dataset:
    """What is known of the trial: counts, and the true ``rate`` in Hz."""
    names = ("count", "rate", "expected_count")
    if not isinstance(truth, xr.Dataset) or not any(name in truth for name in names):
        raise SchemaError(
            f"Expected the truth as a Dataset with one of {names}, got {schema.describe(truth)}: "
            f"a PSTH goes to psth=."
        )
    if "bin_size" not in truth.attrs:
        raise SchemaError("Expected attrs['bin_size'] (s) of the truth, got none: set it.")
    known = _of_trial(truth, trial, "truth")[0]
    for name in (name for name in names if name in known):
        require(known, name, [("time", "unit")], "the truth is of the prediction's trials and bins")
    if "rate" not in known and "expected_count" in known:
        known["rate"] = known["expected_count"] / float(truth.attrs["bin_size"])
    return known


def _profile(psth: Any, trial: Sequence[xr.Dataset]) -> xr.DataArray:
    """The PSTH of the trial's condition (time, unit)."""
    if not isinstance(psth, xr.DataArray) or not {"time", "unit"} <= set(psth.dims):
        raise SchemaError(
            f"Expected psth as a DataArray (condition, time, unit), got {schema.describe(psth)}: "
            f"pass nks.validation.psth(counts)."
        )
    for name in [d for d in psth.dims if d not in ("time", "unit")]:
        value = next((data[name].item() for data in trial if name in data.coords), None)
        labels = psth[name].values
        if value not in labels.tolist():
            raise SchemaError(
                f"Expected a PSTH of the trial's {name}, {value!r}, got those of {_few(labels)}: "
                f"pick one with psth.sel({name}=...)."
            )
        psth = psth.sel({name: value})
    return psth


def _draw_unit(
    ax: Axes, one: xr.Dataset, known: xr.Dataset, profile: xr.DataArray | None, scale: float
) -> None:
    """Everything about one unit in one trial; ``scale`` makes rates of expected counts."""
    time, unit = one["time"].values, one["unit"].item()
    blue, orange, green = state_colors(3)
    marker = "o" if time.size == 1 else None
    if "expected_count_low" in one and "expected_count_high" in one:
        low, high = (one[f"expected_count_{side}"].values * scale for side in ("low", "high"))
        ax.fill_between(time, low, high, color=blue, alpha=0.25, linewidth=0, label="band")
    if profile is not None and unit in profile["unit"]:
        mine = profile.sel(unit=unit)
        ax.plot(mine["time"], mine.values * scale, ":", color=green, label="PSTH")
    if "rate" in known and unit in known["unit"]:
        true = known["rate"].sel(unit=unit)
        ax.plot(true["time"], true.values, "--", color=orange, marker=marker, label="true rate")
    values = one["expected_count"].values * scale
    ax.plot(time, values, color=blue, marker=marker, label="predicted rate")
    ax.set_ylim(bottom=0)
    if "count" in known and unit in known["unit"]:
        _spike_ticks(ax, known["count"].sel(unit=unit), 1 / scale)
    if "forward" in one.coords and one["forward"].values.any():
        start = float(time[np.argmax(one["forward"].values)]) - 0.5 / scale
        ax.axvspan(start, float(time[-1]) + 0.5 / scale, color="0.92", zorder=0, label="ahead")
    held_out = "held_in" in one.coords and not bool(one["held_in"])
    ax.set_title(f"unit {plain(unit)}" + (", held out" if held_out else ""))


def _spike_ticks(ax: Axes, count: xr.DataArray, width: float) -> None:
    """A tick for every spike, spread over its bin, under the zero line."""
    number = np.nan_to_num(count.values).astype(int)
    where = [
        t + width * ((np.arange(n) + 0.5) / n - 0.5)
        for t, n in zip(count["time"].values, number, strict=True)
        if n
    ]
    top = ax.get_ylim()[1]
    spikes = np.concatenate(where) if where else np.empty(0)
    ax.vlines(spikes, -0.11 * top, -0.03 * top, color="0.2", linewidth=0.8, label="spikes")
    ax.axhline(0, color="0.6", linewidth=0.6)
    ax.set_ylim(-0.14 * top, top)


def _columns(number: int) -> int:
    return 1 if number < 4 else 2


def _grid(axes: np.ndarray | None, number: int) -> np.ndarray:
    if axes is not None:
        return given_axes(axes, number)
    columns = _columns(number)
    rows = -(-number // columns)
    figure, made = pyplot().subplots(
        rows,
        columns,
        figsize=((6.6, 8.8)[columns - 1], 1.5 * rows + 1.0),
        squeeze=False,
        sharex=True,
    )
    for extra in made.ravel()[number:]:
        figure.delaxes(extra)
    return made.ravel()[:number]
