"""Counts: arrays of whole numbers of any size, and which of them fit together."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import ParameterError


def whole(name: str, value: Any, *, low: int = 0) -> np.ndarray:
    """Whole numbers of any size that are at least ``low``: int64, or Python's where larger.

    Raises
    ------
    ParameterError
        If they are something else: a float too, however round, because counts that were computed
        as floats are most often not what was meant.
    """
    try:
        values = np.asarray(value)
    except ValueError:
        raise ParameterError(
            f"Expected {name} to be one number or an array of whole numbers, got lists of "
            f"different lengths: nks.sdr.tabulate makes a grid of one list for each count."
        ) from None
    if values.size == 0:
        return values.astype(np.int64)
    if values.dtype.kind == "O" or values.dtype == np.uint64:
        flat = values.ravel().tolist()
        plain = all(isinstance(v, int) and not isinstance(v, bool) for v in flat)
        largest = max(map(abs, flat)) if plain else 0
        values = values.astype(np.int64 if plain and largest < 2**63 else object)
    else:
        plain = values.dtype.kind in "iu"
    if not plain:
        kind = "bool" if values.dtype.kind == "b" else str(values.dtype)
        shown = values.item() if values.ndim == 0 else kind
        raise ParameterError(
            f"Expected {name} to be a whole number (a count), got {shown!r}: round it to an int "
            f"first, or ask for a union, where mean numbers of cells belong."
        )
    if values.dtype.kind == "u":
        values = values.astype(np.int64)
    if values.dtype.kind == "i":
        values = values.astype(np.int64, copy=False)
    smallest = min(values.ravel().tolist()) if values.dtype.kind == "O" else values.min()
    if smallest < low:
        raise ParameterError(f"Expected {name} >= {low}, got {smallest}.")
    return values


def broadcast(**counts: Any) -> tuple[Callable[[np.ndarray], Any], list[np.ndarray]]:
    """Whole numbers >= 0 as arrays of one shape, and what labels a result like the arguments.

    Plain arrays broadcast by position, DataArrays by the names of their dimensions.

    Raises
    ------
    ParameterError
        If one is not whole, or the shapes do not fit.
    """
    checked = {name: whole(name, value) for name, value in counts.items()}
    labelled = {k: v for k, v in counts.items() if isinstance(v, xr.DataArray)}
    if not labelled:
        try:
            arrays = np.broadcast_arrays(*checked.values())
        except ValueError:
            shapes = {name: value.shape for name, value in checked.items()}
            raise ParameterError(
                f"Expected shapes that broadcast, got {shapes}: nks.sdr.tabulate makes a grid."
            ) from None
        return (lambda found: found.item() if found.ndim == 0 else found), list(arrays)
    for name, value in checked.items():
        if name not in labelled and value.ndim:
            raise ParameterError(
                f"Expected {name} to be one number or a DataArray, as {next(iter(labelled))} is "
                f"one, got an array of shape {value.shape}: name its dimensions."
            )
    try:
        template, *_ = xr.broadcast(*xr.align(*labelled.values(), join="exact"))
    except ValueError as error:
        raise ParameterError(
            f"Expected DataArrays with the same labels where they share a dimension, got others "
            f"({str(error).splitlines()[0]}): select those that all have, or rename a dimension."
        ) from None
    whole_arrays = {
        name: labelled[name].copy(data=value) if name in labelled else xr.DataArray(value)
        for name, value in checked.items()
    }
    wide = [a.broadcast_like(template).transpose(*template.dims) for a in whole_arrays.values()]
    return (
        lambda found: xr.DataArray(found, coords=template.coords, dims=template.dims),
        [a.values for a in wide],
    )


def as_floats(name: str, value: Any) -> np.ndarray:
    """Counts, or means of them, as floats.

    Raises
    ------
    ParameterError
        If one is larger than any float.
    """
    try:
        return np.asarray(value, float)
    except OverflowError:
        largest = shown(max(np.ravel(value).tolist()))
        raise ParameterError(
            f"Expected {name} that a float can hold (below 1.8e308), got {largest}: use a smaller "
            f"number."
        ) from None


def shown(number: int) -> str:
    """A whole number for an error text, which has no room for hundreds of digits."""
    if abs(number) < 10**21:
        return str(number)
    return f"about 1e{math.floor(abs(number).bit_length() * math.log10(2))}"


def at_most(name: str, value: np.ndarray, other: str, limit: np.ndarray, why: str) -> None:
    """Raise where a count exceeds another in any combination."""
    above = np.asarray(value > limit, bool)
    if above.any():
        raise ParameterError(
            f"Expected {name} <= {other}, got {name}={value[above][0]} and {other}="
            f"{limit[above][0]}: {why}."
        )


def reachable(theta: np.ndarray, s: np.ndarray, what: str = "s") -> None:
    """Raise where no combination has a threshold that its synapses can reach."""
    if theta.size and np.asarray(theta > s, bool).all():
        raise ParameterError(
            f"Expected theta <= {what}, got theta={theta.flat[0]} and {what}={s.flat[0]}: a "
            f"segment with fewer synapses than its threshold never answers. (Within a grid such "
            f"combinations have probability 0; here there is no other.)"
        )


def error_limit(name: str, value: Any) -> Fraction:
    """A probability above 0 and below 1, exactly the number that was given.

    Raises
    ------
    ParameterError
        If it is something else.
    """
    good = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not good or not 0 < value < 1:
        raise ParameterError(
            f"Expected {name} to be a probability above 0 and below 1 (a float, or a Fraction "
            f"where floats end), got {value!r}."
        )
    return Fraction(value) if isinstance(value, Fraction) else Fraction(float(value))
