"""What was recorded, as it was recorded: traces of calcium imaging, MEG, sEEG and EEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.plotting._style import label, new_axes, plain, state_colors, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is drawn when no variable is named, the first that is there, and the dimension of its rows.
_VARIABLES = {
    "signal": "channel",
    "dff": "unit",
    "fluorescence": "unit",
    "deconvolved": "unit",
    "neuropil": "unit",
}
#: Samples drawn when no window is given: a figure shows no more, and a recording may not fit.
_SAMPLES = 5000
#: Rows lie this many times their typical height apart.
_SPACING = 1.1


@styled
def traces(
    data: xr.Dataset | xr.DataTree,
    variable: str | None = None,
    *,
    window: tuple[float, float] | None = None,
    max_traces: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Plot the first channels or units of a recording over time, one row each.

    Rows of the same unit share a scale, which a bar beside the last of them tells; bad channels are
    grey. Of a recording on disk only the window is read.

    Parameters
    ----------
    data
        ``signal(time, channel)`` or calcium variables ``(time, unit)``, or a session with one of
        them. Of several (planes, sampling rates) pass one: ``session["calcium/plane0"]``.
    variable
        What to draw. None takes the first of ``signal``, ``dff``, ``fluorescence``,
        ``deconvolved``, ``neuropil`` that is there.
    window
        ``(start, stop)`` in the units of ``time``, both included. None shows the first 5000
        samples.
    max_traces
        Most rows.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes, the first row on top.

    Raises
    ------
    SchemaError
        If there is nothing to draw, or it has trials: pick one with ``.isel(trial=0)``.
    ParameterError
        If the window holds no sample, or ``max_traces`` is no whole number from 1 on.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.cuba(20, rng=0), 2.0, rng=0, progress=False)
    >>> calcium = nks.snn.observe.calcium(session, rng=0)
    >>> ax = nks.plotting.traces(calcium, max_traces=5)
    >>> len(ax.lines) >= 5
    True
    >>> plt.close(ax.figure)
    """
    if isinstance(max_traces, bool) or not isinstance(max_traces, int | np.integer):
        raise ParameterError(f"Expected max_traces to be a whole number, got {max_traces!r}.")
    if max_traces < 1:
        raise ParameterError(f"Expected max_traces >= 1, got {max_traces}.")
    array, bad, units = _rows(data, variable, int(max_traces))
    n_rows = array.sizes[array.dims[1]]
    shown = _shown(array, window)
    time, values = shown["time"].values, np.asarray(shown.values, dtype=np.float64)
    height = _heights(values, units)
    ax = new_axes(ax, 7.0, 0.8 + 0.2 * max(n_rows, 4))
    color = state_colors(1)[0]
    for row in range(n_rows):
        finite = values[np.isfinite(values[:, row]), row]
        middle = np.median(finite) if finite.size else 0.0
        ax.plot(
            time,
            row - (values[:, row] - middle) / (height[row] * _SPACING),
            color="0.65" if bad[row] else color,
            linewidth=0.7,
        )
    _scale_bars(ax, units, height * _SPACING)
    names = [plain(name) for name in array[array.dims[1]].values]
    ax.set_yticks(range(n_rows), names, fontsize="small")
    peak = np.nanmin(ax.lines[0].get_ydata(), initial=0.0)  # the axis points down
    ax.set_ylim(n_rows - 0.2, min(-0.8, peak - 0.1))
    ax.set_xlim(time[0], time[-1] if time[-1] > time[0] else None)
    ax.set_xlabel(label(shown["time"], "time", "s"))
    total = array.attrs.get("total", n_rows)
    what = f"{array.dims[1]}" if total == n_rows else f"{array.dims[1]} ({n_rows} of {total})"
    ax.set_ylabel(what)
    return ax


def _rows(
    data: xr.Dataset | xr.DataTree, variable: str | None, most: int
) -> tuple[xr.DataArray, np.ndarray, list[str]]:
    """The rows to draw, whether each is bad, and its units."""
    dataset = _dataset(data)
    known = [name for name in _VARIABLES if name in dataset.data_vars]
    if variable is None:
        if not known:
            raise SchemaError(
                f"Expected one of {list(_VARIABLES)} over time, got {schema.describe(data)}: pass "
                f"session['signal'] or session['calcium'], or one of the groups inside it."
            )
        variable = known[0]
    elif variable not in dataset.data_vars:
        raise SchemaError(
            f"Expected a variable {variable!r}, got {schema.describe(dataset)}."
            f"{schema.did_you_mean(variable, map(str, dataset.data_vars))}"
        )
    array = dataset[variable]
    if "trial" in array.dims:
        raise SchemaError(f"Expected {variable!r} of one trial: pick it with .isel(trial=0).")
    if array.ndim != 2 or array.dims[0] != "time":
        raise SchemaError(
            f"Expected {variable!r} with dims (time, channel or unit), got {array.dims}."
        )
    dim = str(array.dims[1])
    total = array.sizes[dim]
    if not total or not array.sizes["time"]:
        raise SchemaError(f"Expected something to draw, got {variable!r} of shape {array.shape}.")
    array = array.isel({dim: slice(0, most)}).assign_attrs(total=total)
    if dim not in array.coords:
        array = array.assign_coords({dim: np.arange(array.sizes[dim])})
    number = array.sizes[dim]
    bad = np.asarray(dataset["bad"].values[:most]) if "bad" in dataset else np.zeros(number, bool)
    if "channel_unit" in dataset:
        units = [str(u) for u in dataset["channel_unit"].values[:most]]
    else:
        units = [str(array.attrs.get("units", ""))] * number
    return array, bad, units


def _dataset(data: xr.Dataset | xr.DataTree) -> xr.Dataset:
    if not isinstance(data, xr.DataTree):
        if not isinstance(data, xr.Dataset):
            raise SchemaError(f"Expected a Dataset or a session, got {schema.describe(data)}.")
        return data
    if data.data_vars:
        return data.to_dataset()
    for kind in ("signal", "calcium"):
        if kind in data.children:
            return _dataset(data.children[kind])
    raise SchemaError(
        f"Expected a session with {schema.GROUPS['signal']} or {schema.GROUPS['calcium']}, or one "
        f"group of it, got {data.path} with groups {list(data.children)}: pass one of them."
    )


def _shown(array: xr.DataArray, window: tuple[float, float] | None) -> xr.DataArray:
    if window is None:
        return array.isel(time=slice(0, _SAMPLES)).load()
    start, stop = map(float, window)
    shown = array.sel(time=slice(start, stop))
    if not shown.sizes["time"]:
        first, last = (float(array["time"][i]) for i in (0, -1))
        raise ParameterError(
            f"Expected a window=(start, stop) with samples of {first:g} to {last:g}, got "
            f"{window!r}."
        )
    return shown.load()


def _heights(values: np.ndarray, units: list[str]) -> np.ndarray:
    """Of each row, the value that one step between rows stands for: shared by rows of one unit."""
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(values), values, np.nan)
        spread = np.array(
            [
                np.ptp(np.nanpercentile(v, (1, 99))) if np.isfinite(v).any() else 0.0
                for v in finite.T
            ]
        )
    height = np.ones(len(units))
    for unit in set(units):
        own = np.array([u == unit for u in units])
        used = spread[own & (spread > 0)]
        height[own] = np.median(used) if used.size else 1.0
    return height


def _scale_bars(ax: Axes, units: list[str], height: np.ndarray) -> None:
    """A bar right of the last row of each unit, of a round size."""
    for unit in dict.fromkeys(units):
        row = max(i for i, u in enumerate(units) if u == unit)
        power = 10.0 ** np.floor(np.log10(height[row]))
        size = max(s * power for s in (1, 2, 5) if s * power <= height[row])
        ax.plot(
            [1.01, 1.01],
            [row + 0.4, row + 0.4 - size / height[row]],
            color="0.2",
            linewidth=1.5,
            transform=ax.get_yaxis_transform(),
            clip_on=False,
        )
        text = f"{size:g}" if unit in ("", "1") else f"{size:g} {unit}"
        ax.text(
            1.02, row + 0.4 - size / height[row] / 2, plain(text), va="center", fontsize="small",
            transform=ax.get_yaxis_transform(),
        )  # fmt: skip
