"""Binary patterns of recordings and memories: rasters, overlaps, and a reader's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.plotting._style import (
    coordinate,
    label,
    new_axes,
    require,
    state_colors,
    styled,
    tick_units,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Lines of a reader's false positives: variable, words, line.
_READER = (
    ("theory", "theory, n and mean a", ":"),
    ("theory_active_counts", "theory, a of each frame", "-"),
    ("shuffled", "each cell shuffled", "--"),
    ("measured", "the recording", "-"),
)


@styled
def pattern_raster(
    patterns: xr.Dataset, recalled: xr.Dataset | None = None, *, ax: Axes | None = None
) -> Axes:
    """Plot which cells are active in which frame, and what a memory made of it.

    Parameters
    ----------
    patterns
        ``pattern(item, cell)`` or ``pattern(time, cell)``.
    recalled
        The same frames and cells as a memory recalled them: cells that are active in both are
        dots, those missed are circles, those that should be silent crosses.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, frames along it and the first cell on top.

    Raises
    ------
    SchemaError
        If the data break the schema, have items of several frames, or the two differ in size.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((6, 30)) < 0.2
    >>> data = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(30)})
    >>> ax = nks.plotting.pattern_raster(data)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('item', 'cell')
    >>> plt.close(ax.figure)
    """
    stored = _frames(patterns)
    found = stored if recalled is None else _frames(recalled)
    if found.shape != stored.shape:
        raise SchemaError(
            f"Expected recalled patterns of shape {stored.shape} like the others, got "
            f"{found.shape}: select the same frames and cells."
        )
    ax = new_axes(ax, 5.0, 3.4)
    x = _places(stored)
    good, missed, wrong = state_colors(3)
    kinds = (
        ("active" if recalled is None else "recalled", stored & found, ".", good),
        ("missed", stored & ~found, "o", missed),
        ("not stored", ~stored & found, "x", wrong),
    )
    for name, shown, marker, color in kinds[: 1 if recalled is None else 3]:
        frame, cell = np.nonzero(shown.values)
        ax.plot(
            x[frame], cell, marker, color=color, markersize=4, label=name, linestyle="none",
            fillstyle="none" if marker == "o" else "full",
        )  # fmt: skip
    ax.set_ylim(stored.sizes["cell"] - 0.5, -0.5)
    tick_units(ax.yaxis, coordinate(stored, "cell"))
    if str(stored.dims[0]) not in stored.coords:
        ax.set_xticks(x[:: 1 + x.size // 12])
    ax.set_xlabel(_frame_label(stored))
    ax.set_ylabel("cell")
    if recalled is not None:
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


@styled
def overlap_matrix(overlap: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Plot how many active cells each two patterns share.

    Parameters
    ----------
    overlap
        As :func:`neurokit_sdr.sdr.overlap_matrix` or :meth:`neurokit_sdr.sdr.Sparsey.similarity`
        gives it. Times are taken as evenly spaced.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, with a colour bar beside it.

    Raises
    ------
    SchemaError
        If it is no matrix, or empty.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((6, 30)) < 0.2
    >>> data = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(30)})
    >>> ax = nks.plotting.overlap_matrix(nks.sdr.overlap_matrix(data))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('other item', 'item')
    >>> plt.close(ax.figure)
    """
    if not isinstance(overlap, xr.DataArray) or overlap.ndim != 2 or overlap.size == 0:
        raise SchemaError(
            f"Expected overlaps of two dimensions, got {schema.describe(overlap)}: make them with "
            f"nks.sdr.overlap_matrix(patterns)."
        )
    ax = new_axes(ax, 4.6, 3.8)
    edges = []
    for dim in map(str, overlap.dims):
        place = coordinate(overlap, dim)
        place = place if place.dtype.kind in "iuf" else np.arange(place.size)
        half = (place[-1] - place[0]) / max(place.size - 1, 1) / 2 or 0.5
        edges.append((place[0] - half, place[-1] + half))
    image = ax.imshow(
        overlap.values, extent=(*edges[1], *edges[0][::-1]), aspect="auto",
        interpolation="nearest", cmap="viridis",
    )  # fmt: skip
    bar = ax.figure.colorbar(image, ax=ax)
    counts = overlap.dtype.kind in "iu"
    bar.set_label("shared active cells" if counts else "share of equal winners")
    for axis, along in ((ax.yaxis, overlap.dims[0]), (ax.xaxis, overlap.dims[1])):
        name, array = str(along).replace("_", " "), overlap.coords.get(along)
        seconds = array is not None and array.attrs.get("units") == "s"
        axis.set_label_text(f"{name} (s)" if seconds else name)
    return ax


@styled
def reader_reliability(reliability: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot how often a reader of one pattern answers to others: theory beside the recording.

    Parameters
    ----------
    reliability
        As :func:`neurokit_sdr.sdr.reader_reliability` gives it. Bars are two standard errors.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, its vertical scale logarithmic; probabilities of 0 are left out.

    Raises
    ------
    SchemaError
        If a variable is missing or has other dimensions.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((300, 30)) < 0.2
    >>> data = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(30)})
    >>> ax = nks.plotting.reader_reliability(nks.sdr.reader_reliability(data, 4, rng=0))
    >>> ax.get_xlabel()
    'threshold θ (synapses)'
    >>> plt.close(ax.figure)
    """
    hint = "pass nks.sdr.reader_reliability(patterns, n_synapses)"
    ax = new_axes(ax, 5.0, 3.4)
    for (name, words, line), color in zip(_READER, state_colors(len(_READER)), strict=True):
        values = require(reliability, name, [("threshold",)], hint)
        place, shown = coordinate(values, "threshold"), np.where(values > 0, values, np.nan)
        if f"{name}_error" in reliability:
            error = require(reliability, f"{name}_error", [("threshold",)], hint).values
            ax.errorbar(
                place, shown, 2 * error, fmt=f"o{line}", color=color, markersize=3, label=words
            )  # fmt: skip
        else:
            ax.plot(place, shown, line, color=color, label=words)
    ax.set(yscale="log", xlabel="threshold θ (synapses)")
    ax.set_ylabel("probability of a false positive")
    thresholds = coordinate(reliability["theory"], "threshold")
    ax.set_xticks(thresholds[:: 1 + thresholds.size // 12])
    ax.legend(frameon=False)
    return ax


def _frames(data: xr.Dataset) -> xr.DataArray:
    pattern = schema.check(data, "patterns")["pattern"]
    if pattern.ndim != 2:
        raise SchemaError(
            f"Expected pattern(item, cell) or pattern(time, cell), got {tuple(pattern.dims)}: "
            f"select one item with .isel(item=0)."
        )
    return pattern


def _places(pattern: xr.DataArray) -> np.ndarray:
    """Where frames are drawn: at their times, else at their positions."""
    place = coordinate(pattern, str(pattern.dims[0]))
    return place if place.dtype.kind in "iuf" else np.arange(place.size)


def _frame_label(pattern: xr.DataArray) -> str:
    dim = str(pattern.dims[0])
    if dim == "item":
        return "item"
    timed = "time" in pattern.coords and "units" in pattern["time"].attrs
    return label(pattern["time"], "time", "s") if timed else "time (frames)"
