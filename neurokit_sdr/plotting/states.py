"""Hidden states over time, and how they follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.schema import describe
from neurokit_sdr.plotting._style import (
    check_axes,
    coordinate,
    new_axes,
    plain,
    pyplot,
    require,
    state_colors,
    styled,
    tick_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Bins shown when no window is asked for: about one per pixel of the figure.
DEFAULT_BINS = 1000
#: More bins, or cells, than this become an image inside a vector file, which might not open else.
_VECTOR_BINS = 5000
_VECTOR_CELLS = 20_000
#: Up to this many spikes per bin, every number has its own grey.
_FEW_SPIKES = 6

_HINT = "pass model.result_ or what model.predict(counts) returns"


@styled
def state_raster(
    result: xr.Dataset,
    counts: xr.Dataset | None = None,
    *,
    trial: Any = None,
    window: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> np.ndarray:
    """Plot spike counts, the most probable state path and the states' probabilities over time.

    Three panels share one time axis. Top, where ``counts`` are given: one row per unit, darker for
    more spikes in the bin, on a background in the colour of the state. Middle: the state path,
    state 0 in the lowest row. Bottom: the probability of each state, stacked from state 0 upwards.
    Bins that are missing are white: in the raster where they were not observed, below where no
    state is known.

    Parameters
    ----------
    result
        What a fit or ``predict`` gives: ``state([trial,] time)``, the index of the state, negative
        where there is none, and ``state_probability([trial,] time, state)``, NaN where there is
        none; ``time`` in seconds, increasing.
    counts
        ``count([trial,] time, unit)`` and, optionally, ``observed([trial,] time)``, with the same
        ``time`` and trials. None leaves the raster out.
    trial
        Which trial, as in ``result.sel(trial=...)``; None shows the first. Only for data with
        trials.
    window
        ``(start, stop)`` in seconds; every bin whose centre lies in it is shown. In a window of
        more than 2000 bins the raster shows the sum over neighbouring bins, at most 1000 sums; its
        colour bar says over how many seconds. None shows the first 1000 bins, which the title says
        when there are more.
    ax
        Axes that give up their place to the three panels; they must come from ``plt.subplots`` or
        a grid. None makes a figure.

    Returns
    -------
    numpy.ndarray
        The Axes from top to bottom: three, or two without ``counts``.

    Raises
    ------
    SchemaError
        If a variable is missing or has other dimensions, time does not increase, or ``counts`` and
        ``result`` are not of the same bins.
    ParameterError
        If ``trial`` or ``window`` lies outside the data, or ``ax`` has no place in a grid.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> import xarray as xr
    >>> probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]])
    >>> result = xr.Dataset(
    ...     {
    ...         "state_probability": (("time", "state"), probability),
    ...         "state": ("time", probability.argmax(1)),
    ...     },
    ...     coords={"time": [0.01, 0.03, 0.05, 0.07]},
    ...     attrs={"bin_size": 0.02},
    ... )
    >>> path, stack = nks.plotting.state_raster(result)
    >>> stack.get_xlabel()
    'time (s)'
    >>> plt.close(stack.figure)
    """
    has_trials = _check(result, counts)
    title: list[str] = []
    if has_trials:
        n_trials = result.sizes["trial"]
        result, counts, chosen = _one_trial(result, counts, trial)
        title.append(f"trial {chosen} ({n_trials} in all)")
    elif trial is not None:
        raise ParameterError(f"Expected trial=None for data without trials, got {trial!r}.")
    path = np.asarray(result["state"].values)
    time = np.asarray(result["time"].values, dtype=float)
    width = _bin_size(result, time)
    shown, note = _shown_bins(time, path, width, window, has_trials)
    title += note
    probability = np.asarray(
        result["state_probability"].transpose("time", "state").values[shown], dtype=float
    )
    n_states = probability.shape[1]
    edges, column = _regular_grid(time[shown], width)
    n_bins = len(edges) - 1
    path = _on_grid(path[shown].astype(float), column, n_bins)
    path[path < 0] = np.nan
    axes = _panels(ax, n_states, counts is not None)
    colors = state_colors(n_states)
    if counts is not None:
        ids = coordinate(counts["count"], "unit")
        grid = _on_grid(_counts(counts, shown), column, n_bins)
        seen = np.isfinite(grid).any(axis=1)
        _draw_background(axes[0], edges, np.where(seen, path, np.nan), colors)
        _draw_counts(axes[0], edges, grid)
        tick_units(axes[0].yaxis, ids)
        axes[0].set_ylabel("unit")
    _draw_path(axes[-2], edges, path, colors)
    _draw_probability(axes[-1], edges, _on_grid(probability, column, n_bins), colors)
    for panel in axes[:-1]:
        panel.tick_params(labelbottom=False)
    axes[-1].set_xlim(edges[0], edges[-1])
    axes[-1].set_xlabel("time from trial start (s)" if has_trials else "time (s)")
    axes[0].set_title(", ".join(title))
    axes[0].figure.align_ylabels(axes)
    return axes


def _check(result: xr.Dataset, counts: xr.Dataset | None) -> bool:
    """Check dimensions and that both are of the same bins; return whether there are trials."""
    state = require(result, "state", [("time",), ("trial", "time")], _HINT)
    options = [("time", "state"), ("trial", "time", "state")]
    require(result, "state_probability", [options[state.ndim - 1]], _HINT)
    require(result, "time", [("time",)], f"give the bin centres in seconds, or {_HINT}")
    if state.size == 0:
        raise SchemaError(f"Expected at least one bin, got {describe(result)}: fit some data.")
    if counts is None:
        return state.ndim == 2
    options = [("time", "unit"), ("trial", "time", "unit")]
    hint = "pass the counts that the states were found in"
    require(counts, "count", [options[state.ndim - 1]], hint)
    require(counts, "time", [("time",)], hint)
    same = all(counts.sizes[d] == result.sizes[d] for d in state.dims) and np.allclose(
        counts["time"].values, result["time"].values, rtol=0, atol=1e-9
    )
    if not same:
        raise SchemaError(
            f"Expected counts and result of the same bins, got {_extent(counts)} and "
            f"{_extent(result)}: plot other counts with model.predict(counts)."
        )
    return state.ndim == 2


def _extent(data: xr.Dataset) -> str:
    time = data["time"].values
    trials = f"{data.sizes['trial']} trials of " if "trial" in data.sizes else ""
    between = f" from {time[0]:g} to {time[-1]:g} s" if time.size else ""
    return f"{trials}{time.size} bins{between}"


def _one_trial(
    result: xr.Dataset, counts: xr.Dataset | None, trial: Any
) -> tuple[xr.Dataset, xr.Dataset | None, str]:
    labels = coordinate(result["state"], "trial")
    position = [0] if trial is None else np.flatnonzero(labels == trial)
    if len(position) == 0:
        raise ParameterError(
            f"Expected trial to be one of {len(labels)} from {labels[0]!r} to {labels[-1]!r}, got "
            f"{trial!r}."
        )
    at = int(position[0])
    one = None if counts is None else counts.isel(trial=at)
    return result.isel(trial=at), one, plain(labels[at])


def _bin_size(result: xr.Dataset, time: np.ndarray) -> float:
    """The bin size the result carries, else the usual distance between bin centres."""
    if "bin_size" in result.attrs:
        return float(result.attrs["bin_size"])
    if time.size < 2:
        raise SchemaError("Expected attrs['bin_size'] in seconds on a result of one bin, got none.")
    return float(np.median(np.diff(time)))


def _shown_bins(
    time: np.ndarray,
    path: np.ndarray,
    width: float,
    window: tuple[float, float] | None,
    has_trials: bool,
) -> tuple[np.ndarray, list[str]]:
    """Positions of the bins to draw, and what the title should say about the choice."""
    # Bins behind a trial's end are padding; in a continuous recording they are missing data.
    used = np.flatnonzero(path >= 0)
    end = (int(used[-1]) + 1 if used.size else 0) if has_trials else time.size
    if window is None:
        if end <= DEFAULT_BINS:
            return np.arange(end if end else time.size), []
        duration = end * width
        return np.arange(DEFAULT_BINS), [
            f"the first {DEFAULT_BINS * width:g} s of {duration:,.5g} s"
        ]
    try:
        start, stop = (float(w) for w in window)
    except (TypeError, ValueError):
        raise ParameterError(
            f"Expected window as (start, stop) in seconds, got {window!r}."
        ) from None
    shown = np.flatnonzero((time >= start) & (time <= stop) & (np.arange(time.size) < end))
    if shown.size == 0:
        last = time[max(end, 1) - 1]
        raise ParameterError(
            f"Expected a window (start, stop) that overlaps the data from {time[0]:g} to {last:g} "
            f"s, got ({start:g}, {stop:g})."
        )
    return shown, []


def _counts(counts: xr.Dataset, shown: np.ndarray) -> np.ndarray:
    """Counts (time, unit) of the bins shown, NaN where not observed; nothing else is computed."""
    values = np.asarray(counts["count"].transpose("time", "unit")[shown].values, dtype=float)
    if "observed" in counts.variables:
        values[~np.asarray(counts["observed"].values)[shown]] = np.nan
    return values


def _regular_grid(time: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a regular grid over all bins, and the column of each bin in it."""
    column = np.rint((time - time[0]) / width).astype(np.int64)
    if (np.diff(column) < 1).any():
        raise SchemaError(
            f"Expected time to increase by at least the bin size of {width:g} s from bin to bin, "
            f"got steps down to {np.diff(time).min():g} s: sort it, or use a trial dimension."
        )
    edges = time[0] + (np.arange(column[-1] + 2) - 0.5) * width
    return edges, column


def _on_grid(values: np.ndarray, column: np.ndarray, n_bins: int) -> np.ndarray:
    """Rows moved to their columns of the regular grid; NaN where time has a gap."""
    grid = np.full((n_bins, *values.shape[1:]), np.nan)
    grid[column] = values
    return grid


def _panels(ax: Axes | None, n_states: int, with_counts: bool) -> np.ndarray:
    """Empty panels that share a time axis, in a new figure or in the place of given Axes."""
    heights = [2.6] * with_counts + [0.3 + 0.1 * n_states, 1.2]
    figure: Figure | Any
    if ax is None:
        figure = pyplot().figure(figsize=(8, sum(heights) + 0.8))
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    else:
        check_axes(ax, "ax")
        spec = ax.get_subplotspec()
        if spec is None:
            raise ParameterError(
                "Expected ax with a place in a grid, to put the panels there: make it with "
                "plt.subplots, not with fig.add_axes."
            )
        figure = ax.figure
        grid = spec.subgridspec(len(heights), 1, height_ratios=heights)
        ax.remove()
    axes = np.empty(len(heights), dtype=object)
    for row in range(len(heights)):
        axes[row] = figure.add_subplot(grid[row], sharex=axes[0] if row else None)
    return axes


def _draw_counts(ax: Axes, edges: np.ndarray, counts: np.ndarray) -> None:
    """A grey cell for every bin with spikes; silence lets the background through."""
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, Normalize

    n_bins = len(counts)
    edges, counts, per = _thinned(edges, counts)
    summed = len(counts) < n_bins
    # Single spikes must stand out; sums are nearly everywhere and must let the states through.
    ends = [(0, 0, 0, 0.08), (0, 0, 0, 1)] if summed else ["#777777", "#000000"]
    grey = LinearSegmentedColormap.from_list("counts", ends)
    most = max(1.0, float(np.nanmax(counts, initial=1.0)))
    if most <= _FEW_SPIKES:
        norm: Normalize = BoundaryNorm(np.arange(0.5, np.ceil(most) + 1), grey.N)
    else:
        norm = Normalize(1.0, most)
    cells = ax.pcolormesh(
        edges,
        np.arange(counts.shape[1] + 1) - 0.5,
        np.ma.masked_where(~(counts.T > 0), counts.T),
        cmap=grey,
        norm=norm,
        # A rim keeps cells visible that are thinner than a pixel.
        edgecolors="face",
        linewidth=0.0 if summed else 0.3,
        rasterized=counts.size > _VECTOR_CELLS,
    )
    bar = ax.figure.colorbar(cells, cax=ax.inset_axes((1.012, 0.0, 0.018, 0.6)))
    bar.set_label(f"spikes per {per}")
    if most <= _FEW_SPIKES:
        bar.set_ticks(list(range(1, int(np.ceil(most)) + 1)))
        bar.ax.tick_params(length=0)


def _thinned(edges: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Counts (time, unit) summed over neighbours where bins are far thinner than a pixel."""
    n_bins = len(counts)
    if n_bins <= 2 * DEFAULT_BINS:
        return edges, counts, "bin"
    group = -(-n_bins // DEFAULT_BINS)
    first = np.arange(0, n_bins, group)
    # Bins that are missing add nothing to their neighbours' sum.
    total = np.add.reduceat(np.nan_to_num(counts), first, axis=0)
    return edges[np.append(first, n_bins)], total, f"{group * (edges[1] - edges[0]):.3g} s"


def _runs(path: np.ndarray, edges: np.ndarray, state: int) -> list[tuple[float, float]]:
    """``(start, duration)`` of every visit to a state."""
    inside = np.concatenate(([0], path == state, [0]))
    change = np.diff(inside)
    first, last = edges[change == 1], edges[change == -1]
    return list(zip(first.tolist(), (last - first).tolist(), strict=True))


def _draw_path(ax: Axes, edges: np.ndarray, path: np.ndarray, colors: list[str]) -> None:
    for state, color in enumerate(colors):
        ax.broken_barh(
            _runs(path, edges, state), (state - 0.45, 0.9), color=color, linewidth=0, snap=False
        )
    ax.set_ylim(-0.5, len(colors) - 0.5)
    ax.set_yticks(range(len(colors)))
    ax.set_ylabel("state")


def _draw_background(ax: Axes, edges: np.ndarray, path: np.ndarray, colors: list[str]) -> None:
    for state, color in enumerate(colors):
        ax.broken_barh(
            _runs(path, edges, state),
            (0, 1),
            transform=ax.get_xaxis_transform(),
            color=color,
            alpha=0.25,
            linewidth=0,
            snap=False,
            zorder=0,
        )


def _draw_probability(
    ax: Axes, edges: np.ndarray, probability: np.ndarray, colors: list[str]
) -> None:
    from matplotlib.patches import StepPatch

    total = np.cumsum(probability, axis=1)
    # From the highest sum down, each over the one before: areas side by side would show seams.
    for state in range(len(colors) - 1, -1, -1):
        area = StepPatch(
            total[:, state],
            edges,
            fill=True,
            color=colors[state],
            linewidth=0,
            label=f"{state}",
            rasterized=len(edges) > _VECTOR_BINS,
        )
        # ax.stairs would first look for the limits of each of many steps, for seconds.
        ax.add_artist(area)
    ax.set_ylim(0, 1)
    ax.set_ylabel("probability")
    ax.legend(
        title="state",
        loc="upper left",
        bbox_to_anchor=(1.005, 1.0),
        borderaxespad=0,
        handlelength=1,
        ncols=-(-len(colors) // 5),
    )


@styled
def transition_matrix(result: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot the probability of each state to follow each other one.

    Colours are logarithmic, from 1/1000: states last for many bins, so that on a linear scale
    only the diagonal would be seen. The numbers are in the cells.

    Parameters
    ----------
    result
        ``transition_probability(state, next_state)``, per bin.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If the variable is missing or has other dimensions.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> result = xr.Dataset(
    ...     {"transition_probability": (("state", "next_state"), [[0.9, 0.1], [0.2, 0.8]])}
    ... )
    >>> ax = nks.plotting.transition_matrix(result)
    >>> ax.get_xlabel()
    'next state'
    >>> plt.close(ax.figure)
    """
    from matplotlib.colors import LogNorm

    array = require(
        result, "transition_probability", [("state", "next_state")], "pass model.result_"
    )
    values = np.asarray(array.values, dtype=float)
    number = len(values)
    side = 1.4 + 0.45 * max(number, 3)
    ax = new_axes(ax, side + 1.3, side)
    norm = LogNorm(1e-3, 1.0, clip=True)
    image = ax.imshow(values, norm=norm, cmap="Greys", origin="upper", aspect="equal")
    for row in range(number):
        for col in range(number):
            dark = norm(values[row, col]) > 0.6
            ax.text(
                col,
                row,
                _short(values[row, col]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
    ax.set_xticks(range(number))
    ax.set_yticks(range(number))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("next state")
    ax.set_ylabel("state")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.9, extend="min")
    bar.set_ticks([1e-3, 1e-2, 1e-1, 1], labels=["0.001", "0.01", "0.1", "1"])
    bar.ax.minorticks_off()
    bar.set_label("transition probability per bin")
    return ax


def _short(probability: float) -> str:
    """Two digits of a probability in at most five characters."""
    if probability == 0:
        return "0"
    if probability < 1e-3:
        return "<.001"
    if probability > 0.999:
        return "1" if probability == 1 else ">.999"
    digits = 3 if probability < 0.1 or probability > 0.9 else 2
    return f"{probability:.{digits}f}".lstrip("0")
