"""How a spiking network fires: rasters, population rates and their spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.plotting._style import (
    check_axes,
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

#: Units of a raster when no number is asked for: more than its rows of pixels show nothing.
DEFAULT_UNITS = 200
#: More spikes than this become an image inside a vector file, which might not open else.
_VECTOR_SPIKES = 20_000

_HINT = "pass nks.snn.population_rate(session)"


@styled
def spike_raster(
    spikes: xr.Dataset | xr.DataTree,
    rates: xr.Dataset | None = None,
    *,
    window: tuple[float, float] | None = None,
    max_units: int = DEFAULT_UNITS,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Plot every spike of some units, and under it the rate of each population.

    One row per unit, the first unit on top; populations have colours of their own. Of more units
    than ``max_units`` every population shows its first, in proportion to its size; the axis says
    how many of how many.

    Parameters
    ----------
    spikes
        Spikes of one recording, or a session that holds them; ``population(unit)`` gives colours.
    rates
        ``rate(population, time)`` as :func:`neurokit_sdr.snn.population_rate` gives it; None leaves
        the lower panel out.
    window
        ``(start, stop)`` in seconds; None shows the recording.
    max_units
        Most rows of the raster.
    axes
        As many Axes as panels; None makes a figure.

    Returns
    -------
    numpy.ndarray
        The Axes from top to bottom: two, or one without ``rates``.

    Raises
    ------
    SchemaError
        If a variable is missing or has other dimensions.
    ParameterError
        If the window lies outside the recording, or the number of axes or units is wrong.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.cuba(400, rng=0), 0.2, rng=0, progress=False)
    >>> raster, rate = nks.plotting.spike_raster(session, nks.snn.population_rate(session, 0.005))
    >>> rate.get_xlabel()
    'time (s)'
    >>> plt.close(raster.figure)
    """
    data = schema.select(spikes, "spikes")
    begin, end = float(data.attrs["t_start"]), float(data.attrs["t_stop"])
    start, stop = (begin, end) if window is None else map(float, window)
    if not begin - 1e-9 <= start < stop <= end + 1e-9:
        raise ParameterError(
            f"Expected window=(start, stop) within {begin:g} to {end:g} s, got {window!r}."
        )
    if isinstance(max_units, bool) or not isinstance(max_units, int | np.integer) or max_units < 1:
        raise ParameterError(f"Expected max_units to be a whole number >= 1, got {max_units!r}.")
    panels = _panels(axes, 1 if rates is None else 2)
    names, index = _populations(data)
    row, n_rows = _rows(index, names.size, int(max_units))
    _draw_spikes(panels[0], data, row, index, names, (start, stop))
    n_units = data.sizes["unit"]
    panels[0].set_ylim(n_rows - 0.5, -0.5)
    panels[0].set_ylabel("unit" if n_rows == n_units else f"unit ({n_rows} of {n_units})")
    if rates is not None:
        _draw_rates(panels[1], rates, (start, stop))
        panels[0].tick_params(labelbottom=False)
    if names.size > 1:
        _legend(panels[0])
    for panel in panels:
        panel.set_xlim(start, stop)
    panels[-1].set_xlabel("time (s)")
    panels[0].figure.align_ylabels(panels)
    return panels


@styled
def rate_spectrum(spectrum: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Plot the power of each population's rate over that of independent Poisson units.

    Parameters
    ----------
    spectrum
        ``relative_power(population, frequency)`` as :func:`neurokit_sdr.snn.rate_spectrum` gives
        it. The dashed line at 1 is what units that know nothing of each other would give.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, both of its scales logarithmic.

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
    >>> session = nks.snn.simulate(nks.snn.cuba(400, rng=0), 1.0, rng=0, progress=False)
    >>> spectrum = nks.snn.rate_spectrum(nks.snn.population_rate(session))
    >>> ax = nks.plotting.rate_spectrum(spectrum)
    >>> ax.get_xlabel()
    'frequency (Hz)'
    >>> plt.close(ax.figure)
    """
    hint = "pass nks.snn.rate_spectrum(nks.snn.population_rate(session))"
    dims = [("population", "frequency")]
    power = require(spectrum, "relative_power", dims, hint)
    frequency = require(spectrum, "frequency", [("frequency",)], hint).values
    names = power["population"].values
    ax = new_axes(ax, 5.0, 3.2)
    for number, (name, color) in enumerate(zip(names, state_colors(names.size), strict=True)):
        ax.plot(
            frequency, power.values[number], state_line(number), color=color, label=plain(name)
        )  # fmt: skip
    ax.axhline(1.0, color="0.4", linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set(xscale="log", yscale="log", xlabel="frequency (Hz)", xlim=frequency[[0, -1]])
    ax.set_ylabel("power / Poisson power")
    if names.size > 1:
        _legend(ax)
    return ax


def _panels(axes: np.ndarray | None, number: int) -> np.ndarray:
    if axes is None:
        ratios = [3, 1][:number]
        _, made = pyplot().subplots(
            number, 1, figsize=(7.0, 4.4), squeeze=False, sharex=True, height_ratios=ratios
        )
        return made[:, 0]
    given = np.array(axes, dtype=object).ravel()
    if given.size != number:
        raise ParameterError(f"Expected {number} axes, one per panel, got {given.size}.")
    for panel in given:
        check_axes(panel, "axes")
    return given


def _populations(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Names in their order, and the position of each unit's name."""
    if "population" not in data.coords:
        return np.array(["all"]), np.zeros(data.sizes["unit"], int)
    values = np.asarray(data["population"].values).astype(str)
    unique, first, index = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return unique[order], np.argsort(order)[index]


def _rows(index: np.ndarray, n_populations: int, most: int) -> tuple[np.ndarray, int]:
    """Row of each unit, -1 for those left out, and the number of rows."""
    n_units = index.size
    size = np.bincount(index, minlength=n_populations)
    share = size if n_units <= most else np.maximum(1, size * most // n_units)
    row = np.full(n_units, -1)
    first = 0
    for population in range(n_populations):
        shown = np.flatnonzero(index == population)[: share[population]]
        row[shown] = first + np.arange(shown.size)
        first += shown.size
    return row, first


def _draw_spikes(
    ax: Axes,
    data: xr.Dataset,
    row: np.ndarray,
    index: np.ndarray,
    names: np.ndarray,
    window: tuple[float, float],
) -> None:
    time, unit = data["spike_time"].values, data["spike_unit"].values
    shown = (time >= window[0]) & (time <= window[1]) & (row[unit] >= 0)
    time, unit = time[shown], unit[shown]
    size = 2.0 if row.max() > 60 else 4.0
    for population, color in enumerate(state_colors(names.size)):
        own = index[unit] == population
        ax.plot(
            time[own], row[unit[own]], "|", color=color, markersize=size, markeredgewidth=0.6,
            label=plain(names[population]), rasterized=time.size > _VECTOR_SPIKES,
        )  # fmt: skip


def _draw_rates(ax: Axes, rates: xr.Dataset, window: tuple[float, float]) -> None:
    rate = require(rates, "rate", [("population", "time")], _HINT)
    time = require(rates, "time", [("time",)], _HINT).values
    inside = (time >= window[0]) & (time <= window[1])
    if not inside.any():
        raise SchemaError(
            f"Expected rates within {window[0]:g} to {window[1]:g} s, got times "
            f"{time.min():g} to {time.max():g} s: {_HINT} of the same recording."
        )
    names = rate["population"].values
    for number, (name, color) in enumerate(zip(names, state_colors(names.size), strict=True)):
        ax.plot(
            time[inside], rate.values[number, inside], color=color, linewidth=0.9,
            label=plain(name),
        )  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.set_ylabel(label(rate, "rate", "Hz"))


def _legend(ax: Axes) -> None:
    ax.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=1.0, markerscale=3
    )
