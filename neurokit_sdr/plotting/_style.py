"""What every plot shares: the style, the states' colours, labels with units, input checks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import MissingDependencyError, ParameterError, SchemaError
from neurokit_sdr.core.schema import describe, did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

STYLE_FILE = Path(__file__).with_name("neurokit_sdr.mplstyle")

P = ParamSpec("P")
R = TypeVar("R")


def pyplot() -> Any:
    """Return :mod:`matplotlib.pyplot`, or say how to get it."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise MissingDependencyError(
            "Plots need matplotlib, which is not installed: pip install 'neurokit-sdr[plot]'"
        ) from error
    return matplotlib.pyplot


@functools.cache
def _settings() -> Any:
    pyplot()
    import matplotlib

    return matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)


@contextmanager
def style() -> Iterator[None]:
    """Give everything drawn or saved inside the block the look of the package's plots.

    The plots apply it themselves; use it for figures of your own, and around ``savefig`` where
    text in a PDF or SVG should stay text. Your settings are as before when the block ends.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib
    >>> import neurokit_sdr as nks
    >>> with nks.plotting.style():
    ...     matplotlib.rcParams["axes.spines.top"]
    False
    """
    settings = _settings()
    import matplotlib

    with matplotlib.rc_context(settings):
        yield


def styled(plot: Callable[P, R]) -> Callable[P, R]:
    """Draw with the package's style, and leave the user's settings as they were."""

    @functools.wraps(plot)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with style():
            return plot(*args, **kwargs)

    return wrapper


def state_colors(number: int) -> list[str]:
    """One colour per state: the style's colour-blind safe ten, or a rainbow for more."""
    colors = _settings()["axes.prop_cycle"].by_key()["color"]
    colors = [c if str(c).startswith("#") else f"#{c}" for c in colors]
    if number <= len(colors):
        return colors[:number]
    import matplotlib

    rainbow = matplotlib.colormaps["turbo"](np.linspace(0.02, 0.98, number))
    return [matplotlib.colors.to_hex(c) for c in rainbow]


def state_line(state: int) -> str:
    """Line style of a state: a second mark beside its colour, for those that look alike."""
    return ("-", "--", ":")[min(state // 4, 2)]


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given Axes, or those of a new figure of that size in inches."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=(width, height))
    check_axes(ax, "ax")
    return ax


def check_axes(ax: Any, name: str) -> None:
    """Raise where something other than one matplotlib Axes was given."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise ParameterError(
            f"Expected {name} to be matplotlib Axes or None, got {describe(ax)}: make them with "
            f"fig, ax = plt.subplots()."
        )


def given_axes(axes: np.ndarray, number: int) -> np.ndarray:
    """The given Axes as a flat array, once they are as many as there are panels."""
    given = np.array(axes, dtype=object).ravel()
    if given.size != number:
        raise ParameterError(f"Expected {number} axes, one per panel, got {given.size}.")
    for panel in given:
        check_axes(panel, "axes")
    return given


def require(data: Any, name: str, dims: Sequence[tuple[str, ...]], hint: str) -> xr.DataArray:
    """Return a variable of a Dataset once it is there, with one of the given dimensions.

    Dimensions may come in any order; the variable is returned in the given one.

    Raises
    ------
    SchemaError
        Naming the variable and dimensions expected, what came, and the hint.
    """
    wanted = " or ".join(str(d) for d in dims)
    if not isinstance(data, xr.Dataset):
        fitted = isinstance(getattr(data, "result_", None), xr.Dataset)
        advice = "pass model.result_" if fitted else hint
        raise SchemaError(
            f"Expected an xarray.Dataset with {name!r} of dims {wanted}, got {describe(data)}: "
            f"{advice}."
        )
    if name not in data.variables:
        raise SchemaError(
            f"Expected a variable {name!r} with dims {wanted}, got {describe(data)}."
            f"{did_you_mean(name, map(str, data.variables))} To get one, {hint}."
        )
    array = data[name]
    for option in dims:
        if set(option) == set(array.dims):
            return array.transpose(*option)
    raise SchemaError(f"Expected {name!r} with dims {wanted}, got {tuple(array.dims)}: {hint}.")


def plain(text: Any) -> str:
    """Text in which a dollar sign is a dollar sign and not the start of a formula."""
    return str(text).replace("$", r"\$")


def label(array: xr.DataArray, name: str, units: str = "1") -> str:
    """``"name (units)"``, with the units the array carries, else the given ones."""
    units = str(array.attrs.get("units", units))
    return f"{name} ({plain('dimensionless' if units in ('1', '') else units)})"


def coordinate(array: xr.DataArray, dim: str) -> np.ndarray:
    """The labels along a dimension, or positions where it has none."""
    if dim in array.coords and array[dim].dims == (dim,):
        return np.asarray(array[dim].values)
    return np.arange(array.sizes[dim])


def tick_units(axis: Axis, ids: np.ndarray, most: int = 12) -> None:
    """Label positions 0, 1, ... with unit ids: every one, or every second, fifth, tenth, ..."""
    number = len(ids)
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if number <= most * s * 10**e)
    shown = np.arange(0, number, step)
    axis.set_ticks(shown, [plain(ids[i]) for i in shown])
    longest = max((len(str(ids[i])) for i in shown), default=0)
    if axis is axis.axes.xaxis and longest * len(shown) > 2 * most:
        axis.set_tick_params(rotation=90)
