"""Error probabilities of sparse representations: theory as lines, simulation as points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.schema import describe
from neurokit_sdr.plotting._style import (
    coordinate,
    new_axes,
    plain,
    require,
    state_colors,
    state_line,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What the axes call the arguments of the theory.
_WORDS = {
    "n": "population size n (cells)",
    "a": "active cells a",
    "s": "synapses on a segment s",
    "theta": "threshold θ (synapses)",
    "v": "moved cells v",
    "n_patterns": "superposed patterns M",
    "n_segments": "segments of a neuron D",
    "sparsity": "active share of the cells",
    "jitter": "timing jitter (sd / coincidence window)",
    "noise": "moved share of the active cells",
    "correlation": "mean correlation of two cells",
}
#: What the legend calls them, where it is not their name.
_SYMBOLS = {"theta": "θ", "n_patterns": "M", "n_segments": "D"}
_HINT = "make it with nks.sdr.tabulate(nks.sdr.false_positive_probability, n=[...], ...)"


@styled
def error_probability(
    theory: xr.Dataset,
    simulated: xr.Dataset | None = None,
    *,
    along: str | None = None,
    quantity: str = "probability of error",
    log: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Plot error probabilities against one argument, a line for each value of another.

    Parameters
    ----------
    theory
        One variable of one or two dimensions, as :func:`neurokit_sdr.sdr.tabulate` gives it.
    simulated
        ``probability`` and ``standard_error`` of the same dimensions, in the same order of the
        lines: points, with bars of two standard errors.
    along
        Dimension of the horizontal axis; None takes the last.
    quantity
        What the vertical axis says.
    log
        Whether the vertical axis is logarithmic; probabilities of 0 are then left out.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    Raises
    ------
    SchemaError
        If the Dataset holds several variables or more than two dimensions, or the simulation has
        others.
    ParameterError
        If there is no dimension of that name.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> errors = nks.sdr.tabulate(
    ...     nks.sdr.false_positive_probability, a=[64, 128], n=range(300, 4000, 100), s=24, theta=12
    ... )
    >>> ax = nks.plotting.error_probability(errors)
    >>> ax.get_xlabel(), [line.get_label() for line in ax.lines]
    ('population size n (cells)', ['a = 64', 'a = 128'])
    >>> plt.close(ax.figure)
    """
    if not isinstance(theory, xr.Dataset) or len(theory.data_vars) != 1:
        raise SchemaError(f"Expected a Dataset of one variable, got {describe(theory)}: {_HINT}.")
    variable = next(iter(theory.data_vars.values()))
    if variable.ndim not in (1, 2):
        raise SchemaError(
            f"Expected one or two dimensions, got {tuple(variable.dims)}: select single values of "
            f"the others with .sel, or take a median over them."
        )
    name = str(variable.dims[-1]) if along is None else along
    if name not in variable.dims:
        raise ParameterError(f"Expected along to be one of {variable.dims}, got {along!r}.")
    other = next((str(dim) for dim in variable.dims if dim != name), None)
    dims = (name,) if other is None else (other, name)
    values = np.atleast_2d(variable.transpose(*dims).values)
    ax = new_axes(ax, 5.0, 3.4)
    x = coordinate(variable, name)
    points = _simulated(simulated, dims, values.shape)
    lines = (
        [""]
        if other is None
        else [f"{_SYMBOLS.get(other, other)} = {v}" for v in coordinate(variable, other)]
    )
    for number, (text, color) in enumerate(zip(lines, state_colors(len(lines)), strict=True)):
        y = np.where(values[number] > 0, values[number], np.nan) if log else values[number]
        ax.plot(x, y, state_line(number), color=color, label=plain(text))
        if points is not None:
            place, p, error = points[0], points[1][number], points[2][number]
            shown = p > 0 if log else np.isfinite(p)
            ax.errorbar(
                place[shown], p[shown], 2 * error[shown], fmt="o", color=color, markersize=3,
                linewidth=0.8,
            )  # fmt: skip
    if log:
        ax.set_yscale("log")
    ax.set_xlabel(_WORDS.get(name, name))
    ax.set_ylabel(quantity)
    if other is not None:
        ax.legend(frameon=False)
    return ax


@styled
def threshold_sweep(errors: xr.Dataset, *, limit: float = 1e-7, ax: Axes | None = None) -> Axes:
    """Plot the median error over a grid against the threshold, and where it is low enough.

    Parameters
    ----------
    errors
        ``false_positive_probability`` with a dimension ``theta`` and those of a grid, as
        :func:`neurokit_sdr.sdr.tabulate` gives it. The line is the median over the grid, the band
        reaches from its 5th to its 95th percentile.
    limit
        Error that is low enough; thresholds whose median is below are shaded.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    Raises
    ------
    SchemaError
        If the variable or its dimension ``theta`` is missing.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> errors = nks.sdr.tabulate(
    ...     nks.sdr.false_positive_probability,
    ...     n=[1000, 5000], sparsity=[0.01, 0.02], s=[20, 30], theta=range(3, 20),
    ... )
    >>> ax = nks.plotting.threshold_sweep(errors)
    >>> ax.get_xlabel()
    'threshold θ (synapses)'
    >>> plt.close(ax.figure)
    """
    name = "false_positive_probability"
    if not isinstance(errors, xr.Dataset) or name not in errors or "theta" not in errors[name].dims:
        raise SchemaError(f"Expected {name}(theta, ...), got {describe(errors)}: {_HINT}.")
    variable = errors[name]
    flat = variable.transpose("theta", ...).values.reshape(variable.sizes["theta"], -1)
    theta = coordinate(variable, "theta")
    low, median, high = np.quantile(flat, (0.05, 0.5, 0.95), axis=1)
    floor = median[median > 0].min(initial=1.0) / 10
    ax = new_axes(ax, 5.0, 3.4)
    (color,) = state_colors(1)
    ax.fill_between(theta, np.maximum(low, floor), np.maximum(high, floor), color=color, alpha=0.2)
    ax.plot(theta, np.where(median > 0, median, np.nan), "o-", color=color, markersize=3)
    enough = theta[median <= limit]
    if enough.size:
        ax.axvspan(enough.min(), theta.max(), color="0.9", zorder=0)
        ax.axhline(limit, color="0.4", linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set(yscale="log", ylim=(floor, 1), xlabel=_WORDS["theta"])
    ax.set_ylabel("probability of a false positive")
    return ax


def _simulated(
    simulated: xr.Dataset | None, dims: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Places, probabilities and standard errors of the points, line by line."""
    if simulated is None:
        return None
    hint = "give probability and standard_error over the dimensions of the theory"
    p = require(simulated, "probability", [dims], hint)
    error = require(simulated, "standard_error", [dims], hint)
    found = np.atleast_2d(p.values), np.atleast_2d(error.values)
    if len(found[0]) != shape[0]:
        raise SchemaError(f"Expected {shape[0]} simulated lines, got {len(found[0])}: {hint}.")
    return coordinate(p, dims[-1]), *found
