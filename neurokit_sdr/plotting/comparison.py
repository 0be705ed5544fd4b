"""Models against each other, and states against behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.schema import describe
from neurokit_sdr.plotting._style import (
    check_axes,
    coordinate,
    label,
    new_axes,
    plain,
    pyplot,
    require,
    state_colors,
    state_line,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX*<>"

#: Whisker, box, line, box, whisker.
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@styled
def held_out_comparison(table: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot held-out bits per spike of several models against their number of states.

    Lines join the means over folds, pale dots are the folds. A model that is finite at one number
    of states only (a GLM without states) is a horizontal dashed line, with its folds at the left.

    Parameters
    ----------
    table
        ``bits_per_spike(model, n_states[, fold])``, NaN where a model was not fitted; coordinates
        ``model`` (names) and ``n_states``.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If the variable is missing, has other dimensions, or holds no number.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> import xarray as xr
    >>> bits = [[0.5, np.nan, np.nan], [0.5, 0.8, 0.9]]
    >>> table = xr.Dataset(
    ...     {"bits_per_spike": (("model", "n_states"), bits)},
    ...     coords={"model": ["GLM", "HMM-GLM"], "n_states": [1, 2, 3]},
    ... )
    >>> ax = nks.plotting.held_out_comparison(table)
    >>> ax.get_ylabel()
    'held-out bits per spike'
    >>> plt.close(ax.figure)
    """
    dims = [("model", "n_states", "fold"), ("model", "n_states")]
    bits = require(table, "bits_per_spike", dims, "one row per model")
    values = np.asarray(bits.values, dtype=float)
    if values.ndim == 2:
        values = values[:, :, None]
    if not np.isfinite(values).any():
        raise SchemaError(f"Expected at least one finite bits_per_spike, got {describe(table)}.")
    names, n_states = coordinate(bits, "model"), coordinate(bits, "n_states")
    ax = new_axes(ax, 8.5, 4)
    colors = state_colors(len(names))
    for number, name in enumerate(names):
        marker = _MARKERS[number % len(_MARKERS)]
        # Side by side, so that the dots of two models do not hide each other.
        dodge = 0.07 * (number - (len(names) - 1) / 2)
        _draw_model(ax, n_states, values[number], plain(name), colors[number], marker, dodge)
    ax.set_xticks(n_states)
    ax.set_xlabel("number of states")
    ax.set_ylabel("held-out bits per spike")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return ax


def _draw_model(
    ax: Axes,
    n_states: np.ndarray,
    bits: np.ndarray,
    name: str,
    color: str,
    marker: str,
    dodge: float,
) -> None:
    """One model's ``bits`` (n_states, fold): mean line, and dots where there are folds."""
    # A number of states where any fold is missing has no mean to compare with the others.
    mean = bits.mean(axis=1)
    fitted = np.isfinite(mean)
    if bits.shape[1] > 1:
        at = np.repeat(n_states[:, None] + dodge, bits.shape[1], axis=1)
        ax.plot(at.ravel(), bits.ravel(), marker, color=color, alpha=0.45, markersize=3.5, mew=0)
    if fitted.sum() == 1:
        ax.axhline(mean[fitted][0], color=color, linestyle="--", linewidth=1.4, label=name)
    else:
        ax.plot(n_states[fitted], mean[fitted], color=color, marker=marker, label=name)


@styled
def states_by_position(
    dataset: xr.Dataset, *, axes: Sequence[Axes] | np.ndarray | None = None
) -> np.ndarray:
    """Plot where on the track each state occurs, and how fast the animal then moves.

    Left: the probability of each state at each position. Right: the distribution of speed in each
    state: line at the median, box from the quarter to the three quarters, whiskers from 5 to 95 %.

    Parameters
    ----------
    dataset
        ``occupancy(state, position_bin)``, the probability of each state given the position, and
        ``speed(state, quantile)``; coordinates ``position_bin`` (bin centres) and ``quantile``
        (0.05, 0.25, 0.5, 0.75, 0.95 at least). Units of position and speed are taken from
        ``attrs["units"]`` of ``position_bin`` and ``speed``.
    axes
        Two Axes to draw into; None makes a figure.

    Returns
    -------
    numpy.ndarray
        Two Axes: occupancy, speed.

    Raises
    ------
    SchemaError
        If a variable, coordinate or quantile is missing, or dimensions differ.
    ParameterError
        If ``axes`` are not two.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> dataset = xr.Dataset(
    ...     {
    ...         "occupancy": (("state", "position_bin"), [[0.9, 0.2], [0.1, 0.8]]),
    ...         "speed": (("state", "quantile"), [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]),
    ...     },
    ...     coords={
    ...         "position_bin": ("position_bin", [0.25, 0.75], {"units": "m"}),
    ...         "quantile": [0.05, 0.25, 0.5, 0.75, 0.95],
    ...     },
    ... )
    >>> dataset["speed"].attrs["units"] = "m/s"
    >>> occupancy, speed = nks.plotting.states_by_position(dataset)
    >>> occupancy.get_xlabel(), speed.get_ylabel()
    ('position (m)', 'speed (m/s)')
    >>> plt.close(occupancy.figure)
    """
    hint = "take the mean state_probability in bins of position"
    occupancy = require(dataset, "occupancy", [("state", "position_bin")], hint)
    position = require(dataset, "position_bin", [("position_bin",)], "give the bins' centres")
    boxes = _boxes(dataset)
    n_states = occupancy.sizes["state"]
    if axes is None:
        _, axes = pyplot().subplots(1, 2, figsize=(9, 3.8), gridspec_kw={"width_ratios": [1.5, 1]})
    panels = np.array(axes, dtype=object).ravel()
    if panels.size != 2:
        raise ParameterError(
            f"Expected two axes, got {panels.size}: make them with plt.subplots(1, 2)."
        )
    for ax in panels:
        check_axes(ax, "axes")
    colors = state_colors(n_states)
    for s in range(n_states):
        panels[0].plot(
            position.values,
            occupancy.values[s],
            color=colors[s],
            linestyle=state_line(s),
            linewidth=2,
            label=f"{s}",
        )
    panels[0].set_ylim(bottom=0)
    panels[0].set_xlabel(label(position, "position"))
    panels[0].set_ylabel("probability of state")
    panels[0].legend(title="state", loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    drawn = panels[1].bxp(
        boxes,
        positions=range(n_states),
        showfliers=False,
        patch_artist=True,
        widths=0.6,
        medianprops={"color": "black", "linewidth": 1.6},
    )
    for box, color in zip(drawn["boxes"], colors, strict=True):
        box.set(facecolor=color, alpha=0.6)
    panels[1].set_ylim(bottom=0)
    panels[1].set_xlabel("state")
    panels[1].set_ylabel(label(dataset["speed"], "speed"))
    return panels


def _boxes(dataset: xr.Dataset) -> list[dict[str, object]]:
    """What matplotlib draws as one box per state."""
    speed = require(dataset, "speed", [("state", "quantile")], "take quantiles of speed by state")
    quantile = require(dataset, "quantile", [("quantile",)], "give the quantiles' values").values
    at = []
    for wanted in _QUANTILES:
        near = np.flatnonzero(np.isclose(quantile, wanted, rtol=0, atol=1e-6))
        if near.size == 0:
            raise SchemaError(
                f"Expected speed at the quantiles {list(_QUANTILES)}, got {quantile.tolist()}: add "
                f"{wanted}."
            )
        at.append(int(near[0]))
    names = ("whislo", "q1", "med", "q3", "whishi")
    return [
        dict(zip(names, map(float, row), strict=True)) | {"label": f"{state}"}
        for state, row in enumerate(speed.values[:, at])
    ]
