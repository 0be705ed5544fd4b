"""Adaptation of a population: its effects, its time course, and which mechanism explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.plotting._style import (
    given_axes,
    label,
    new_axes,
    plain,
    pyplot,
    require,
    state_colors,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _against_distance(
    effects: xr.Dataset, name: str, hint: str, neutral: float, ylabel: str, ax: Axes
) -> None:
    values = require(effects, name, [("session", "unit")], hint)
    distance = np.asarray(require(effects, "distance", [("unit",)], hint).values)
    order = np.argsort(distance)
    table = values.values[:, order]
    color = state_colors(1)[0]
    if len(table) > 1:
        ax.plot(distance[order], table.T, color="0.8", linewidth=0.7)
    ax.axhline(neutral, color="0.5", linewidth=0.8, linestyle=":")
    ax.plot(distance[order], table.mean(axis=0), color=color)
    ax.set_xlabel(label(effects["distance"], "distance from adaptor", "deg"))
    ax.set_ylabel(ylabel)


@styled
def response_extremes(effects: xr.Dataset, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Plot how maxima and minima of tuning curves changed, against distance from the adaptor.

    Parameters
    ----------
    effects
        What ``nks.analysis.response_extremes`` gives. Sessions are grey, their mean coloured.
    axes
        Two Axes; None makes a figure.

    Returns
    -------
    numpy.ndarray
        The two Axes.

    Raises
    ------
    SchemaError, ParameterError, MissingDependencyError
        If a variable is missing, the Axes are not two, or matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> data = nks.analysis.simulate_gain_sessions("gain", 2, rng=0)
    >>> axes = nks.plotting.response_extremes(nks.analysis.response_extremes(data))
    >>> axes[0].get_ylabel()
    'maximum, adapted / control'
    >>> plt.close(axes[0].figure)
    """
    if axes is None:
        _, made = pyplot().subplots(1, 2, figsize=(7, 2.8), layout="constrained")
        axes = np.asarray(made)
    flat = given_axes(axes, 2)
    hint = "pass what nks.analysis.response_extremes returns"
    _against_distance(effects, "maximum_ratio", hint, 1.0, "maximum, adapted / control", flat[0])
    _against_distance(effects, "minimum_change", hint, 0.0, "change of minimum / height", flat[1])
    return flat


@styled
def preferred_shift(effects: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot how far preferred stimuli moved away from the adaptor.

    Parameters
    ----------
    effects
        What ``nks.analysis.preferred_shift`` gives.
    ax
        Axes; None makes a figure.
    """
    ax = new_axes(ax, 3.6, 2.8)
    hint = "pass what nks.analysis.preferred_shift returns"
    units = plain(effects["shift"].attrs.get("units", "deg")) if "shift" in effects else ""
    _against_distance(effects, "shift", hint, 0.0, f"shift away from adaptor ({units})", ax)
    return ax


@styled
def response_flatness(effects: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot time-averaged responses over the population, before and after adaptation.

    Parameters
    ----------
    effects
        What ``nks.analysis.response_flatness`` gives; the mean over sessions is shown.
    ax
        Axes; None makes a figure.
    """
    hint = "pass what nks.analysis.response_flatness returns"
    values = require(effects, "mean_response", [("session", "unit", "case")], hint)
    ax = new_axes(ax, 3.6, 2.8)
    by_stimulus = "preferred" in effects.coords
    x = effects["preferred"].values if by_stimulus else values["unit"].values
    order = np.argsort(x)
    for color, case in zip(state_colors(3), values["case"].values, strict=True):
        ax.plot(x[order], values.sel(case=case).mean("session").values[order], color=color,
                label=str(case))  # fmt: skip
    ax.set_xlabel(label(effects["preferred"], "preferred stimulus") if by_stimulus else "unit")
    ax.set_ylabel("mean response")
    ax.set_ylim(bottom=min(0, float(values.min())))
    ax.legend()
    return ax


@styled
def response_covariance(effects: xr.Dataset, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Plot correlations between units that stimuli cause, in three panels of one colour scale.

    Parameters
    ----------
    effects
        What ``nks.analysis.decorrelation`` gives; the mean over sessions is shown.
    axes
        Three Axes; None makes a figure.
    """
    hint = "pass what nks.analysis.decorrelation returns"
    dims = [("session", "unit", "other_unit", "case")]
    values = require(effects, "correlation", dims, hint).mean("session")
    if axes is None:
        _, made = pyplot().subplots(1, 3, figsize=(8, 2.6), layout="constrained")
        axes = np.asarray(made)
    flat = given_axes(axes, 3)
    for ax, case in zip(flat, values["case"].values, strict=True):
        image = ax.imshow(values.sel(case=case).values, vmin=-1, vmax=1, cmap="RdBu_r")
        ax.set_title(str(case))
        ax.set_xlabel("unit")
    flat[0].set_ylabel("unit")
    flat[-1].figure.colorbar(image, ax=flat.tolist(), label="correlation")
    return flat


@styled
def fidelity_and_cost(effects: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot coding error against activity over contexts, with adapted and with fixed gains.

    Parameters
    ----------
    effects
        What ``nks.analysis.fidelity_and_cost`` gives.
    ax
        Axes; None makes a figure.
    """
    hint = "pass what nks.analysis.fidelity_and_cost returns"
    error = require(effects, "error", [("gains", "condition")], hint)
    activity = require(effects, "activity", [("gains", "condition")], hint)
    ax = new_axes(ax, 3.6, 2.8)
    for color, gains in zip(state_colors(2), error["gains"].values, strict=True):
        ax.plot(activity.sel(gains=gains), error.sel(gains=gains), "o-", color=color,
                markersize=4, label=f"{gains} gains")  # fmt: skip
    ax.set_xlabel("activity (mean squared response)")
    ax.set_ylabel("coding error (share of drive)")
    ax.legend()
    return ax


@styled
def adaptation_time_course(effects: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot how far the gains have gone to their new equilibrium, and back.

    Parameters
    ----------
    effects
        What ``nks.analysis.adaptation_time_course`` gives.
    ax
        Axes; None makes a figure.
    """
    hint = "pass what nks.analysis.adaptation_time_course returns"
    progress = require(effects, "progress", [("time",)], hint)
    half = require(effects, "half_time", [("phase_name",)], hint)
    ax = new_axes(ax, 4.4, 2.8)
    time, phase = progress["time"].values, effects["phase"].values
    for color, name in zip(state_colors(2), half["phase_name"].values, strict=True):
        shown = phase == name
        frames = float(half.sel(phase_name=name))
        text = f"{name}, half {'not reached' if np.isnan(frames) else f'in {frames:.0f}'}"
        ax.plot(time[shown], progress.values[shown], color=color, label=text)
    for level in (0, 1):
        ax.axhline(level, color="0.5", linewidth=0.8, linestyle=":")
    ax.set_xlabel(label(effects["time"], "time", "stimuli"))
    ax.set_ylabel("way to equilibrium")
    ax.legend()
    return ax


@styled
def gain_model_comparison(comparison: xr.DataTree, *, ax: Axes | None = None) -> Axes:
    """Plot how far each mechanism is behind the best, with two standard errors.

    Parameters
    ----------
    comparison
        What ``nks.analysis.compare_gain_models`` gives.
    ax
        Axes; None makes a figure.
    """
    hint = "pass what nks.analysis.compare_gain_models returns"
    table = comparison.to_dataset() if isinstance(comparison, xr.DataTree) else comparison
    gap = require(table, "elpd_difference", [("mechanism",)], hint)
    se = require(table, "difference_se", [("mechanism",)], hint)
    ax = new_axes(ax, 4.8, 2.6)
    order = np.argsort(gap.values)
    place = np.arange(len(order))
    ax.errorbar(gap.values[order], place, xerr=2 * se.values[order], fmt="o", markersize=4,
                color=state_colors(1)[0])  # fmt: skip
    ax.axvline(0, color="0.5", linewidth=0.8, linestyle=":")
    ax.set_yticks(place, [plain(t) for t in table["title"].values[order]])
    ax.set_xlabel("log predictive density below the best (nat)")
    ax.set_title(plain(f"verdict: {table.attrs.get('verdict', '')}"))
    return ax


@styled
def gain_predictive(
    comparison: xr.DataTree, data: xr.Dataset, mechanism: str, *, session: int = 0,
    axes: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Plot measured adapted curves of one session on what a mechanism says they would be.

    Parameters
    ----------
    comparison
        What ``nks.analysis.compare_gain_models`` gives.
    data
        The tuning that was compared.
    mechanism
        Which.
    session
        Position of the session.
    axes
        One Axes for each unit; None makes a figure.

    Returns
    -------
    numpy.ndarray
        The Axes, flat. Bands are 90 % intervals of curves measured again.

    Raises
    ------
    SchemaError
        If the mechanism was not compared.
    """
    if not isinstance(comparison, xr.DataTree) or mechanism not in comparison.children:
        known = list(comparison.children) if isinstance(comparison, xr.DataTree) else []
        raise SchemaError(f"Expected mechanism as one of {known}, got {mechanism!r}.")
    draws = comparison[mechanism].to_dataset()
    dims = [("session", "unit", "stimulus", "condition")]
    measured = require(data, "response", dims, "pass the tuning that was compared")
    adapted = comparison.attrs["condition"]
    names = [str(c) for c in measured["condition"].values]
    both = measured.isel(session=session)
    height = float(comparison.attrs["height"])
    n = draws.sizes["unit"]
    if axes is None:
        columns = min(n, 6)
        rows = -(-n // columns)
        _, made = pyplot().subplots(rows, columns, figsize=(1.6 * columns, 1.4 * rows),
                                    sharex=True, sharey=True, layout="constrained")  # fmt: skip
        axes = np.atleast_1d(made).ravel()
        for spare in axes[n:]:
            spare.set_visible(False)
        axes = axes[:n]
    flat = given_axes(axes, n)
    color = state_colors(1)[0]
    x = measured["stimulus"].values
    for u, ax in enumerate(flat):
        part = draws.isel(session=session, unit=u)
        low, high = part["response_low"].values * height, part["response_high"].values * height
        ax.fill_between(x, low, high, color=color, alpha=0.3, linewidth=0)
        ax.plot(x, part["response_mean"].values * height, color=color)
        ax.plot(x, both.isel(unit=u, condition=names.index(adapted)), "k.", markersize=3)
    flat[0].set_ylabel("response")
    flat[-1].set_xlabel(label(measured["stimulus"], "stimulus"))
    return flat
