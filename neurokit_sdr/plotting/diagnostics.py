"""Whether to believe a fit: its restarts and its convergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.plotting._style import (
    coordinate,
    label,
    new_axes,
    plain,
    require,
    state_colors,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def convergence(result: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot how the objective rose in each restart, and in the one that won.

    A believable fit has a flat end, and several restarts that end close to the best. A dot marks
    where each restart ended. The first iteration is usually far below the rest: the view starts
    at the lowest value of the second, and what lies below is cut.

    Parameters
    ----------
    result
        ``objective(iteration)`` of the winner and, optionally, ``restart_objective(restart,
        iteration)`` of all, NaN after each one's end; in nats.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If a variable is missing or has other dimensions.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> result = xr.Dataset({"objective": ("iteration", [-12.0, -7.0, -6.5, -6.4])})
    >>> ax = nks.plotting.convergence(result)
    >>> ax.get_ylabel()
    'log posterior (nats)'
    >>> plt.close(ax.figure)
    """
    from matplotlib.ticker import MaxNLocator

    best = require(result, "objective", [("iteration",)], "pass model.result_")
    iteration = coordinate(best, "iteration")
    traces = np.empty((0, best.size))
    if "restart_objective" in result.variables:
        dims = [("restart", "iteration")]
        traces = require(result, "restart_objective", dims, "pass model.result_").values
    ax = new_axes(ax, 6, 3.6)
    for number, trace in enumerate(traces):
        name = f"{len(traces)} restarts" if number == 0 else None
        ax.plot(iteration, trace, color="0.6", linewidth=0.8, label=name)
        _dot_at_end(ax, iteration, trace, "0.6", 3)
    color = state_colors(1)[0]
    ax.plot(iteration, best.values, color=color, linewidth=2, label="best")
    _dot_at_end(ax, iteration, best.values, color, 6)
    _skip_first_jump(ax, np.vstack([traces, best.values[None]]))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter("{x:,.6g}")
    ax.set_xlabel("EM iteration")
    ax.set_ylabel(label(best, "log posterior", "nats"))
    if "status" in result.attrs:
        ax.set_title("status: " + plain(result.attrs["status"]))
    if len(traces):
        ax.legend(loc="lower right")
    return ax


def _dot_at_end(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, size: float) -> None:
    finite = np.flatnonzero(np.isfinite(y))
    if finite.size:
        last = finite[-1]
        ax.plot(x[last : last + 1], y[last : last + 1], "o", color=color, markersize=size)


def _skip_first_jump(ax: Axes, traces: np.ndarray) -> None:
    """Start the view at the lowest value from the second iteration on."""
    later = traces[:, 1:]
    later = later[np.isfinite(later)]
    if later.size and np.ptp(later) > 0:
        margin = 0.05 * np.ptp(later)
        ax.set_ylim(later.min() - margin, later.max() + margin)
