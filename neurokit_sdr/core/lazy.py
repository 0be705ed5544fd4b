"""Values that are fetched, or computed, where they are used, and survive a process boundary."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing


class _LazyArray(BackendArray):
    """An array known by shape and dtype; `read` fetches a part of it."""

    def __init__(
        self, read: Callable[[tuple[Any, ...]], np.ndarray], shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.read, self.shape, self.dtype = read, tuple(shape), np.dtype(dtype)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._get
        )

    def _get(self, key: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self.read(key), dtype=self.dtype)


def lazy_variable(
    dims: tuple[Hashable, ...],
    read: Callable[[tuple[Any, ...]], np.ndarray],
    shape: tuple[int, ...],
    dtype: Any,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Variable:
    """Return a variable whose values are read when, and where, they are used.

    Parameters
    ----------
    dims, shape, dtype, attrs
        What is known beforehand.
    read
        From one int or slice of positive step per dimension to the values there. It must open the
        file itself and close it again, and be picklable (a :func:`functools.partial` of a
        function importable by name, with the path): ``.chunk()`` then gives dask arrays that work
        in other processes.

    Notes
    -----
    Nothing is cached: each use reads again, until ``.load()``.
    """
    array = indexing.LazilyIndexedArray(_LazyArray(read, shape, dtype))
    return xr.Variable(dims, array, dict(attrs or {}))


def is_lazy(variable: xr.Variable) -> bool:
    """Whether values are still in a file: not in memory, and not a dask array."""
    held = variable._data
    return isinstance(held, indexing.ExplicitlyIndexed | np.memmap) and not hasattr(held, "dask")
