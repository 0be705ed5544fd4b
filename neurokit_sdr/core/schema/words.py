"""Objects in words, for error texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr


def describe(data: Any) -> str:
    """One line that says what an object is, for error texts."""
    if isinstance(data, xr.Dataset):
        variables = {name: tuple(data[name].dims) for name in data.data_vars}
        return f"a Dataset with {variables or 'no variables'}"
    if isinstance(data, xr.DataTree):
        return f"a DataTree with groups {[g for g in data.groups if g != '/']}"
    if isinstance(data, xr.DataArray):
        return f"a DataArray {data.name!r} with dims {tuple(data.dims)}"
    if isinstance(data, np.ndarray):
        return f"a NumPy array of shape {data.shape}"
    return f"{type(data).__name__}"
