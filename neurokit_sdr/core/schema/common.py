"""Checks that several kinds share."""

from __future__ import annotations

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError


def check_unique_units(data: xr.Dataset) -> None:
    """Raise :class:`SchemaError` where two units carry the same id."""
    if "unit" not in data.coords:
        raise SchemaError(
            f"Expected a coordinate 'unit' with one id per unit, got coords "
            f"{sorted(map(str, data.coords))}: add one with .assign_coords(unit=[...])."
        )
    ids, number = np.unique(data["unit"].values, return_counts=True)
    if (number > 1).any():
        raise SchemaError(
            f"Expected unique unit ids, got {ids[number > 1][:5].tolist()} more than once: merge "
            f"those units or give them distinct ids (several probes: prefix the probe's name)."
        )


def one_number(data: xr.Dataset, name: str) -> float:
    """An attribute in seconds."""
    value = data.attrs[name]
    if isinstance(value, str) or np.ndim(value) > 0:
        raise SchemaError(
            f"Expected attrs[{name!r}] to be one number of seconds, got {value!r}: set it as a "
            f"float."
        )
    return float(value)
