"""Latent dynamics: potentials, flows, paths of trials, and how a model was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.plotting._style import (
    coordinate,
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

#: Conditions that a legend names; more are told apart by colour alone.
MOST_NAMES = 10
#: Arrows of a force along each axis.
ARROWS = 15
#: Share of a slice that the shades resolve: walls rise without end.
RESOLVED = 0.85
#: Most lines of equal energy, and the greys of the lowest and the highest: paths have the colours.
LEVELS, DARKEST, LIGHTEST = 16, 0.58, 1.0

_LANDSCAPE = "pass model.landscape(data{}) of a Langevin flow"
_LATENTS = "pass model.transform(data)"
_RESULT = "pass the result_ of a model that was trained"


@styled
def potential_landscape(
    landscape: xr.Dataset, *, condition: str | None = None, ax: Axes | None = None
) -> Axes:
    """Plot a slice of a potential, the forces in it, and the latents' paths through it.

    A barrier of less than one thermal energy kT is none to the noise. Forces in other directions
    than the slice's are not seen.

    Parameters
    ----------
    landscape
        ``potential(other_position, position)`` (kT), ``force`` and ``other_force`` of the same
        dims, and optionally ``trajectory([trial,] time, axis)``, as ``LangevinFlow.landscape``
        gives it.
    condition
        Name of a coordinate along ``trial`` that colours the paths.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If a variable is missing or has other dims, or there is no such coordinate.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> import xarray as xr
    >>> z = np.linspace(-2, 2, 21)
    >>> a, b = np.meshgrid(z, z)
    >>> dims = ("other_position", "position")
    >>> well = xr.Dataset(
    ...     {"potential": (dims, a**4 - 2 * a**2 + b**2, {"units": "kT"}),
    ...      "force": (dims, 4 * a - 4 * a**3), "other_force": (dims, -2 * b)},
    ...     coords={"position": z, "other_position": z},
    ... )
    >>> ax = nks.plotting.potential_landscape(well)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('position', 'other_position')
    >>> plt.close(ax.figure)
    """
    dims = ("other_position", "position")
    hint = _LANDSCAPE.format("")
    potential, force, other_force = (
        require(landscape, name, [dims], hint) for name in ("potential", "force", "other_force")
    )
    ax = new_axes(ax, 5.4, 4.2)
    _contours(ax, potential)
    # Points in the middle of even shares, so that no arrow starts at the rim.
    every = [
        (np.arange(n := min(ARROWS, potential.sizes[d])) * 2 + 1) * potential.sizes[d] // (2 * n)
        for d in dims
    ]
    x, y = (coordinate(potential, d) for d in reversed(dims))
    arrows = [f.values[np.ix_(*every)] for f in (force, other_force)]
    if np.any(arrows):  # the length of none cannot be scaled
        ax.quiver(x[every[1]], y[every[0]], *arrows, angles="xy", color="0.25", width=0.0035)
    _draw_paths(ax, landscape, condition)
    _label_plane(ax, potential)
    return ax


@styled
def flow_field(
    landscape: xr.Dataset, *, condition: str | None = None, ax: Axes | None = None
) -> Axes:
    """Plot where the dynamics go in the phase plane of one mode, without noise or input.

    Streamlines over lines of equal energy: without friction the flow would follow these; friction
    lets it fall across them, into a resting point.

    Parameters
    ----------
    landscape
        ``energy(velocity, position)`` (kT), ``position_rate`` and ``velocity_rate`` (1/s) of the
        same dims, evenly spaced, and optionally ``trajectory([trial,] time, axis)``, as
        ``LangevinFlow.landscape(data, plane="phase")`` gives it.
    condition
        Name of a coordinate along ``trial`` that colours the paths.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If a variable is missing or has other dims, or there is no such coordinate.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> import xarray as xr
    >>> at = np.linspace(-2, 2, 21)
    >>> q, p = np.meshgrid(at, at)
    >>> dims = ("velocity", "position")
    >>> spiral = xr.Dataset(
    ...     {"energy": (dims, (q**2 + p**2) / 2, {"units": "kT"}),
    ...      "position_rate": (dims, p), "velocity_rate": (dims, -q - 0.3 * p)},
    ...     coords={"position": at, "velocity": at},
    ... )
    >>> ax = nks.plotting.flow_field(spiral)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('position', 'velocity')
    >>> plt.close(ax.figure)
    """
    dims = ("velocity", "position")
    hint = _LANDSCAPE.format(", plane='phase'")
    energy, across, up = (
        require(landscape, name, [dims], hint)
        for name in ("energy", "position_rate", "velocity_rate")
    )
    ax = new_axes(ax, 5.4, 4.2)
    _contours(ax, energy)
    x, y = (coordinate(energy, d) for d in reversed(dims))
    if min(energy.shape) > 1:
        ax.streamplot(
            x, y, across.values, up.values, color="0.25", linewidth=0.6, arrowsize=0.7,
            density=0.9,
        )  # fmt: skip
    _draw_paths(ax, landscape, condition)
    _label_plane(ax, energy)
    return ax


@styled
def phase_portrait(
    latents: xr.Dataset,
    dims: tuple[int, int] = (0, 1),
    *,
    condition: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the paths of trials in the plane of two latents.

    A dot marks where each trial begins. Latents of most models may be rotated, scaled and mirrored
    without any change to the rates: the shape of the paths says more than their place.

    Parameters
    ----------
    latents
        ``latent([trial,] time, latent_dim)`` of any model's ``transform``, or true ones.
    dims
        Positions of the two latents, the first along the horizontal axis.
    condition
        Name of a coordinate along ``trial`` that colours the paths.
    ax
        Axes to draw into; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SchemaError
        If the variable is missing or has other dims, or there is no such coordinate.
    ParameterError
        If ``dims`` are not two positions of latents.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import numpy as np
    >>> import xarray as xr
    >>> angle = np.linspace(0, 6, 50)
    >>> latents = xr.Dataset({"latent": (("latent_dim", "time"), [np.cos(angle), np.sin(angle)])})
    >>> ax = nks.plotting.phase_portrait(latents)
    >>> ax.get_xlabel()
    'latent 0'
    >>> plt.close(ax.figure)
    """
    options = [("trial", "time", "latent_dim"), ("time", "latent_dim")]
    latent = require(latents, "latent", options, _LATENTS)
    number = latent.sizes["latent_dim"]
    whole = all(isinstance(d, int | np.integer) and not isinstance(d, bool) for d in dims)
    if len(dims) != 2 or not whole or not all(0 <= d < number for d in dims):
        raise ParameterError(
            f"Expected dims as two positions between 0 and {number - 1}, the last of {number} "
            f"latents, got {dims!r}."
        )
    ax = new_axes(ax, 4.6, 4.2)
    pair = latent.isel(latent_dim=list(dims))
    _paths(ax, pair.values.reshape(-1, *pair.shape[-2:]), *_colors(pair, condition))
    names = [f"latent {coordinate(latent, 'latent_dim')[d]}" for d in dims]
    ax.set_xlabel(plain(names[0]))
    ax.set_ylabel(plain(names[1]))
    return ax


@styled
def training_curves(result: xr.Dataset, *, axes: np.ndarray | None = None) -> np.ndarray:
    """Plot how a model was trained: loss and validation, KL divergence, and the schedules.

    The epoch whose weights are kept is marked where ``attrs["best_epoch"]`` names it. Loss and
    validation are of different counts and need not meet; a validation that rises while the loss
    falls says that the model learns the trials by heart. A divergence that falls to zero says that
    the latents carry nothing: rates, if they are good, come by another way.

    Parameters
    ----------
    result
        ``loss(epoch)``, and of ``validation_loss(epoch)``, ``kl(epoch)``, ``learning_rate(epoch)``,
        ``kl_weight(epoch)`` those that there are.
    axes
        Three Axes; None makes a figure.

    Returns
    -------
    numpy.ndarray
        The Axes of the loss, the divergence and the schedules.

    Raises
    ------
    SchemaError
        If the loss is missing, or a variable has other dims.
    ParameterError
        If the number of axes is wrong.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> import xarray as xr
    >>> result = xr.Dataset({"loss": ("epoch", [0.4, 0.3, 0.25], {"units": "nats"})})
    >>> axes = nks.plotting.training_curves(result)
    >>> axes[0].get_ylabel()
    'loss (nats)'
    >>> plt.close(axes[0].figure)
    """
    from matplotlib.ticker import MaxNLocator

    loss = require(result, "loss", [("epoch",)], _RESULT)
    found = {
        name: require(result, name, [("epoch",)], _RESULT)
        for name in ("validation_loss", "kl", "learning_rate", "kl_weight")
        if name in result.variables
    }
    panels = _stack(axes)
    epoch = coordinate(loss, "epoch")
    marker = "o" if epoch.size == 1 else None
    blue, orange, green = state_colors(3)
    top, middle, bottom = panels
    top.plot(epoch, loss.values, color=blue, marker=marker, label="training")
    top.set_ylabel(label(loss, "loss"))
    if "validation_loss" in found:
        values = found["validation_loss"].values
        top.plot(epoch, values, color=orange, marker=marker, label="validation")
    _see_the_end(top)
    if "kl" in found:
        middle.plot(epoch, found["kl"].values, color=blue, marker=marker)
        middle.set_ylim(bottom=0)
    else:
        middle.text(0.5, 0.5, "no divergence", ha="center", transform=middle.transAxes)
    middle.set_ylabel(label(found.get("kl", loss), "KL"))
    if "learning_rate" in found:
        bottom.plot(epoch, found["learning_rate"].values, color=green, marker=marker)
        bottom.set_ylim(bottom=0)
    bottom.set_ylabel("learning rate", color=green)
    if "kl_weight" in found:
        right = bottom.twinx()
        right.spines["right"].set_visible(True)
        right.plot(epoch, found["kl_weight"].values, "--", color=orange, marker=marker)
        right.set_ylim(bottom=0)
        right.set_ylabel("KL weight", color=orange)
    best = int(result.attrs.get("best_epoch", -1))
    if best in epoch:
        for ax in panels:
            text = f"weights kept (epoch {best})" if ax is top else None
            ax.axvline(best, color="0.4", linestyle=(0, (4, 3)), linewidth=0.8, label=text)
    top.legend(loc="upper center")
    bottom.set_xlabel("epoch")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "status" in result.attrs:
        top.set_title("status: " + plain(result.attrs["status"]))
    return panels


# -- planes ---------------------------------------------------------------------------------------


def _contours(ax: Axes, energy: xr.DataArray) -> None:
    values = np.asarray(energy.values, dtype=float)
    if min(values.shape) < 2 or not np.isfinite(values).all():
        raise SchemaError(
            f"Expected finite values of {energy.name!r} on a grid of at least 2 by 2 points, got "
            f"shape {values.shape} with {int((~np.isfinite(values)).sum())} that are not finite."
        )
    low, high = values.min(), np.quantile(values, RESOLVED)
    step = _round_up((high - low) / (LEVELS - 2))
    first = np.floor(low / step)
    levels = step * np.arange(first, max(np.ceil(high / step), first + 1) + 1)
    x, y = (coordinate(energy, str(d)) for d in reversed(energy.dims))
    greys = [str(g) for g in np.linspace(DARKEST, LIGHTEST, levels.size)]
    filled = ax.contourf(x, y, values, levels=levels, extend="max", colors=greys)
    ax.contour(x, y, values, levels=levels, colors="0.45", linewidths=0.4)
    name = str(energy.attrs.get("long_name", energy.name))
    ax.figure.colorbar(filled, ax=ax, label=label(energy, name, "kT"))


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, ... and their tenths; 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(s * power for s in (1, 2, 5, 10) if s * power >= value * (1 - 1e-9)))


def _label_plane(ax: Axes, energy: xr.DataArray) -> None:
    y, x = energy.dims
    for dim, axis in ((x, ax.xaxis), (y, ax.yaxis)):
        values = coordinate(energy, str(dim))
        attrs = energy[dim].attrs if dim in energy.coords else {}
        axis.set_label_text(plain(attrs.get("long_name", dim)))
        axis.set_view_interval(values[0], values[-1], ignore=True)


def _draw_paths(ax: Axes, landscape: xr.Dataset, condition: str | None) -> None:
    if "trajectory" not in landscape:
        return
    options = [("trial", "time", "axis"), ("time", "axis")]
    path = require(landscape, "trajectory", options, _LANDSCAPE.format(""))
    _paths(ax, path.values.reshape(-1, *path.shape[-2:]), *_colors(path, condition))


def _colors(paths: xr.DataArray, condition: str | None) -> tuple[list[str], list[str]]:
    """A colour for each path, and for each path the name of its condition."""
    number = paths.sizes.get("trial", 1)
    if condition is None:
        return [state_colors(4)[3]] * number, []
    known = [str(n) for n, c in paths.coords.items() if c.dims == ("trial",)]
    if condition not in known:
        raise SchemaError(
            f"Expected {condition!r} to be a coordinate along trial, got {known}."
            f"{schema.did_you_mean(condition, known)}"
        )
    values = paths[condition].values
    values = values.astype(str) if values.dtype.kind == "O" else values
    kinds, index = np.unique(values, return_inverse=True)
    colors = state_colors(len(kinds))
    return [colors[i] for i in index], [str(value) for value in values]


def _paths(ax: Axes, paths: np.ndarray, colors: list[str], names: list[str]) -> None:
    """Lines of trials (trial, time, 2), each from a dot."""
    kinds = list(dict.fromkeys(names))
    for number, (path, color) in enumerate(zip(paths, colors, strict=True)):
        there = path[np.isfinite(path).all(axis=1)]
        if not len(there):
            continue
        name = names[number] if names and names.index(names[number]) == number else None
        ax.plot(*path.T, color=color, linewidth=0.9, alpha=0.85, label=name)
        ax.plot(*there[:1].T, "o", color=color, markersize=2.5)
    if 1 < len(kinds) <= MOST_NAMES:
        legend = ax.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5, columnspacing=1.2
        )
        for line in legend.get_lines():
            line.set_linewidth(2)


# -- training -------------------------------------------------------------------------------------


def _stack(axes: np.ndarray | None) -> np.ndarray:
    if axes is not None:
        return given_axes(axes, 3)
    _, made = pyplot().subplots(3, 1, figsize=(6.0, 5.4), sharex=True, height_ratios=[2, 1, 1])
    return made


def _see_the_end(ax: Axes) -> None:
    """Start the view where the first twentieth of the curves has gone by."""
    curves = [np.asarray(line.get_ydata()) for line in ax.lines]
    values = np.concatenate([curve[curve.size // 20 :] for curve in curves])
    values = values[np.isfinite(values)]
    if values.size and np.ptp(values) > 0:
        margin = 0.05 * np.ptp(values)
        ax.set_ylim(values.min() - margin, values.max() + margin)
