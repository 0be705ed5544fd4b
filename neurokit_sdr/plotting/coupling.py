"""Who drives whom, state by state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.schema import describe
from neurokit_sdr.plotting._style import (
    check_axes,
    coordinate,
    label,
    pyplot,
    require,
    state_colors,
    styled,
    tick_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: States side by side before the next line starts.
_PER_LINE = 5

_DIMS = [("state", "target", "source", "time_constant"), ("state", "target", "source")]


@styled
def coupling_matrices(
    result: xr.Dataset,
    *,
    time_constant: float | None = None,
    truth: xr.Dataset | None = None,
    limit: float | None = None,
    axes: Sequence[Axes] | np.ndarray | None = None,
) -> np.ndarray:
    """Plot the coupling weights of each state as a matrix, on one colour scale.

    Rows are target units, columns source units: the colour at row *i*, column *j* says how spikes
    of unit *j* drive unit *i*. Red is excitation, blue inhibition, white no coupling, grey a
    missing value. The frame of each matrix has the colour of its state.

    Parameters
    ----------
    result
        ``weight(state, target, source[, time_constant])``; ``time_constant`` in seconds.
    time_constant
        Which one to plot (s), the nearest; None plots every one, a row of matrices each.
    truth
        ``weight`` of the same states, targets and sources, in the same order (align the states
        first), drawn beneath each row. Where it has as many time constants as ``result``, each
        belongs to its own.
    limit
        Weight at which the colours end. None takes the largest absolute weight between two
        different units; self-coupling is often far stronger and would leave the rest white. The
        ends of the colour bar point outwards where weights lie beyond.
    axes
        Axes to draw into, one per matrix: rows (time constants, each with its truth beneath) times
        states. None makes a figure, with at most five states side by side.

    Returns
    -------
    numpy.ndarray
        Axes of shape (row, state).

    Raises
    ------
    SchemaError
        If ``weight`` is missing or has other dimensions, or the truth is of another shape.
    ParameterError
        If ``axes`` are not one per matrix, ``limit`` is not positive, or ``time_constant`` is not
        a number.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> weight = [[[0.0, 1.0], [-1.0, 0.0]], [[0.0, -1.0], [1.0, 0.0]]]
    >>> result = xr.Dataset(
    ...     {"weight": (("state", "target", "source"), weight)},
    ...     coords={"target": ["a", "b"], "source": ["a", "b"]},
    ... )
    >>> axes = nks.plotting.coupling_matrices(result)
    >>> [ax.get_title() for ax in axes[0]]
    ['state 0', 'state 1']
    >>> plt.close(axes[0, 0].figure)
    """
    weight, names = _rows(result, time_constant)
    if truth is not None:
        weight, names = _with_truth(weight, names, truth, result, time_constant)
    values = np.asarray(weight.values, dtype=float)
    if not np.isfinite(values).any():
        raise SchemaError(f"Expected finite weights, got none in {describe(result)}: fit again.")
    limit = _limit(values, limit)
    n_states, n_rows = weight.sizes["state"], len(names)
    if axes is None:
        columns = -(-n_states // -(-n_states // _PER_LINE))
        tall = weight.sizes["target"] / weight.sizes["source"]
        grid = _new_grid(n_rows, n_states, columns, min(max(tall, 0.5), 2.0))
    else:
        columns = n_states
        grid = _given_grid(axes, n_rows, n_states)
    images = []
    for r, name in enumerate(names):
        for s in range(n_states):
            images.append(_draw(grid[r, s], weight.isel(row=r, state=s), limit))
            # What neighbours share is said once: at the left, and beneath the last in a column.
            if s % columns == 0:
                grid[r, s].set_ylabel(f"{name}\ntarget unit" if name else "target unit")
            else:
                grid[r, s].tick_params(labelleft=False)
            if r == n_rows - 1 and s + columns >= n_states:
                grid[r, s].set_xlabel("source unit")
            else:
                grid[r, s].tick_params(labelbottom=False)
    colors = state_colors(n_states)
    for s in range(n_states):
        grid[0, s].set_title(f"state {s}")
        for ax in grid[:, s]:
            ax.spines[:].set(visible=True, color=colors[s], linewidth=2)
    figure = grid[0, 0].figure
    length = min(3.0, 0.9 * figure.get_figheight())
    bar = figure.colorbar(
        images[0],
        ax=list(grid.ravel()),
        extend=_extend(values, limit),
        shrink=length / figure.get_figheight(),
        aspect=length / 0.14,
        pad=0.02,
    )
    bar.set_label(label(result["weight"], "coupling weight"))
    return grid


def _rows(data: xr.Dataset, time_constant: float | None) -> tuple[xr.DataArray, list[str]]:
    """``weight(row, state, target, source)``, one row per time constant, and the rows' names."""
    weight = require(data, "weight", _DIMS, "pass model.result_")
    if weight.size == 0:
        raise SchemaError(f"Expected at least one weight, got {describe(data)}: fit some data.")
    if "time_constant" not in weight.dims:
        return weight.expand_dims("row"), [""]
    constants = coordinate(weight, "time_constant")
    if time_constant is not None:
        try:
            distance = np.abs(constants - float(time_constant))
        except (TypeError, ValueError):
            raise ParameterError(
                f"Expected time_constant in seconds, one of {constants.tolist()}, got "
                f"{time_constant!r}."
            ) from None
        keep = [int(np.argmin(distance))]
        weight, constants = weight.isel(time_constant=keep), constants[keep]
    names = [f"τ = {1000 * float(c):.4g} ms" for c in constants]
    rows = weight.transpose("time_constant", "state", "target", "source")
    return rows.rename(time_constant="row").drop_vars("row", errors="ignore"), names


def _with_truth(
    weight: xr.DataArray,
    names: list[str],
    truth: xr.Dataset,
    result: xr.Dataset,
    time_constant: float | None,
) -> tuple[xr.DataArray, list[str]]:
    """The rows of the fit, each with that of the truth beneath it."""
    true, true_names = _rows(truth, time_constant)
    if true.shape != weight.shape:
        raise SchemaError(
            f"Expected the truth's weight with {dict(weight.sizes)} (row: time constants), got "
            f"{dict(true.sizes)}: choose one time_constant, and drop states that were not fitted."
        )
    both = np.stack([weight.values, true.values], axis=1).reshape(-1, *weight.shape[1:])
    pairs = zip(names, true_names, strict=True)
    labels = [text for fit, known in pairs for text in (f"fit, {fit}", f"truth, {known}")]
    coords = {d: weight[d] for d in ("target", "source") if d in weight.coords}
    return xr.DataArray(both, dims=weight.dims, coords=coords), [
        t.removesuffix(", ") for t in labels
    ]


def _limit(values: np.ndarray, limit: float | None) -> float:
    if limit is not None:
        try:
            number = float(limit)
        except (TypeError, ValueError):
            number = np.nan
        if not number > 0:
            raise ParameterError(
                f"Expected limit > 0, the weight where colours end, got {limit!r}."
            )
        return number
    between = np.eye(*values.shape[-2:]) == 0
    for candidates in (values[..., between], values):
        found = float(np.nanmax(np.abs(candidates), initial=0.0))
        if found > 0:
            return found
    return 1.0


def _extend(values: np.ndarray, limit: float) -> str:
    """At which ends of the colour bar weights lie beyond it."""
    below, above = np.nanmin(values) < -limit, np.nanmax(values) > limit
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


def _new_grid(n_rows: int, n_states: int, columns: int, tall: float) -> np.ndarray:
    """Axes (row, state) of a new figure: lines of ``columns`` states, each with all its rows."""
    n_lines = -(-n_states // columns)
    side = 2.2 if columns <= 3 and n_rows * n_lines <= 3 else 1.8
    figure = pyplot().figure(
        figsize=(side * columns + 1.8, max((side * tall + 0.1) * n_lines * n_rows + 0.7, 3.0))
    )
    spec = figure.add_gridspec(n_lines * n_rows, columns)
    grid = np.empty((n_rows, n_states), dtype=object)
    for r in range(n_rows):
        for s in range(n_states):
            grid[r, s] = figure.add_subplot(spec[s // columns * n_rows + r, s % columns])
    return grid


def _given_grid(axes: Any, n_rows: int, n_states: int) -> np.ndarray:
    grid = np.array(axes, dtype=object)
    if grid.size != n_rows * n_states:
        raise ParameterError(
            f"Expected {n_rows} x {n_states} axes (rows x states), got {grid.size}: make them with "
            f"plt.subplots({n_rows}, {n_states})."
        )
    for ax in grid.ravel():
        check_axes(ax, "axes")
    return grid.reshape(n_rows, n_states)


def _draw(ax: Axes, weight: xr.DataArray, limit: float) -> Any:
    import matplotlib

    colors = matplotlib.colormaps["RdBu_r"].with_extremes(bad="0.75")
    image = ax.imshow(
        np.ma.masked_invalid(weight.values),
        cmap=colors,
        vmin=-limit,
        vmax=limit,
        origin="upper",
        aspect="equal",
        interpolation="nearest",
    )
    tick_units(ax.xaxis, coordinate(weight, "source"), most=6)
    tick_units(ax.yaxis, coordinate(weight, "target"), most=8)
    return image
