"""Probabilities on grids, labelled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.sdr.theory import counts


def tabulate(function: Callable[..., Any], **counts: Any) -> xr.Dataset:
    """Evaluate a probability on a grid, one dimension for every argument that is a sequence.

    Parameters
    ----------
    function
        A function of this room, as ``nks.sdr.false_positive_probability``.
    counts
        Its arguments. Sequences become dimensions of that name, in the order given; single values
        become attributes. ``sparsity`` in place of ``a`` stands for round(sparsity * n) active
        cells of each n. Words and ``log`` are handed on.

    Returns
    -------
    xarray.Dataset
        One variable, named like the function (``log_...`` with ``log=True``).

    Raises
    ------
    ParameterError
        As the function, if it does not take these arguments, or if ``sparsity`` comes with ``a``,
        without ``n``, or outside 0 to 1.

    Examples
    --------
    The published sweep of thresholds, 210 populations and segments at each:

    >>> import neurokit_sdr as nks
    >>> sweep = nks.sdr.tabulate(
    ...     nks.sdr.false_positive_probability,
    ...     n=range(1000, 17_001, 4000),
    ...     sparsity=[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
    ...     s=range(20, 51, 5),
    ...     theta=range(3, 25),
    ... )
    >>> median = sweep["false_positive_probability"].median(["n", "sparsity", "s"])
    >>> f"{median.sel(theta=8).item():.3g}"
    '3.33e-08'
    """
    if not callable(function):
        raise ParameterError(
            f"Expected a function of nks.sdr, as nks.sdr.false_positive_probability, got "
            f"{function!r}."
        )
    arguments: dict[str, Any] = {}
    attrs: dict[str, Any] = {}
    for name, value in counts.items():
        if isinstance(value, str | bool):
            arguments[name] = value
            attrs[name] = int(value) if isinstance(value, bool) else value
        elif isinstance(value, list | tuple | range) or np.ndim(value):
            try:
                axis = np.asarray(value)
            except ValueError:
                raise ParameterError(
                    f"Expected {name} to be one number or a flat sequence, got {value!r}."
                ) from None
            if axis.ndim != 1:
                raise ParameterError(
                    f"Expected {name} to be one number or a flat sequence, got shape {axis.shape}."
                )
            arguments[name] = xr.DataArray(axis, dims=name, coords={name: axis})
        else:
            arguments[name] = value
            # netCDF holds no integer beyond 64 bits.
            attrs[name] = str(value) if isinstance(value, int) and abs(value) >= 2**63 else value
    if "sparsity" in arguments:
        arguments["a"] = _active_cells(arguments)
        del arguments["sparsity"]
    # numba's and NumPy's functions have no signature to ask.
    name = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None
    if signature is not None:
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise ParameterError(
                f"Expected the arguments of {name} ({', '.join(signature.parameters)}), got "
                f"{', '.join(counts)}: {error}."
            ) from None
    found = function(**arguments)
    if not isinstance(found, xr.DataArray):
        found = xr.DataArray(found)
    name = ("log_" if counts.get("log") else "") + name
    order = [name for name in counts if name in found.dims]
    found = found.transpose(*order).assign_attrs(units="1")
    return xr.Dataset({name: found}, attrs=attrs)


def _active_cells(arguments: dict[str, Any]) -> xr.DataArray:
    """Whole numbers of active cells, for shares of the cells."""
    if "a" in arguments or "n" not in arguments:
        raise ParameterError("Expected sparsity together with n, and without a.")
    share = xr.DataArray(arguments["sparsity"])
    if share.dtype.kind not in "iuf" or not ((share >= 0) & (share <= 1)).all():
        raise ParameterError(
            f"Expected sparsity to be shares of the cells between 0 and 1, got {share.values!r}."
        )
    n = xr.DataArray(arguments["n"])
    counts.whole("n", n.values)
    active = share * n
    return active.copy(data=np.rint(active.values).astype(np.int64))
