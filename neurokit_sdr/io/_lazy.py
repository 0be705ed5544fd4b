"""Values that stay in their file until they are asked for, and survive a process boundary."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from neurokit_sdr.core.errors import MissingDependencyError, ParameterError


class _FileArray(BackendArray):
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
    dims: tuple[str, ...],
    read: Callable[[tuple[Any, ...]], np.ndarray],
    shape: tuple[int, ...],
    dtype: Any,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Variable:
    """Return a variable whose values are read when, and where, they are used.

    Parameters
    ----------
    dims, shape, dtype, attrs
        What is known from the header.
    read
        From one int or slice of positive step per dimension to the values there. It must open the
        file itself and close it again, and be picklable (a :func:`functools.partial` of a
        function importable by name, with the path): ``.chunk()`` then gives dask arrays that work
        in other processes.

    Notes
    -----
    Nothing is cached: each use reads again, until ``.load()``.
    """
    array = indexing.LazilyIndexedArray(_FileArray(read, shape, dtype))
    return xr.Variable(dims, array, dict(attrs or {}))


def chunked(session: xr.DataTree, chunks: Any) -> xr.DataTree:
    """Return the session with dask arrays in every group that has one of the dimensions named.

    Parameters
    ----------
    session
        As a reader gives it.
    chunks
        None leaves it as it is; else what :meth:`xarray.Dataset.chunk` takes. A number or
        ``"auto"`` is for ``time``.

    Raises
    ------
    MissingDependencyError
        If dask is not installed.
    ParameterError
        If no group has one of the dimensions.
    """
    if chunks is None:
        return session
    if importlib.util.find_spec("dask") is None:
        raise MissingDependencyError(
            "chunks= needs dask, which is not installed: pip install 'neurokit-sdr[cluster]'."
        )
    wanted = dict(chunks) if isinstance(chunks, Mapping) else {"time": chunks}
    found = False
    groups: dict[str, xr.Dataset] = {}
    for node in session.subtree:
        data = node.to_dataset(inherit=False)
        here = {dim: size for dim, size in wanted.items() if dim in data.dims}
        found |= bool(here)
        groups[node.path] = data.chunk(here) if here else data
    if wanted and not found:
        dims = sorted({str(d) for data in groups.values() for d in data.dims})
        raise ParameterError(
            f"Expected chunks of dimensions that the recording has, {dims}, got {wanted}."
        )
    return xr.DataTree.from_dict(groups, name=session.name)
