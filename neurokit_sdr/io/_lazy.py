"""Values that stay in their file until they are asked for, and chunks of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import (
    FileFormatError,
    MissingDependencyError,
    NeurokitError,
    ParameterError,
)
from neurokit_sdr.core.lazy import lazy_variable as lazy_variable


@contextmanager
def values_of(path: Any) -> Iterator[None]:
    """Turn what damaged or missing values raise, where they are needed, into one error.

    Raises
    ------
    FileFormatError
        Naming the file.
    """
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, NeurokitError):
            raise
        raise FileFormatError(
            f"{path} was opened, but values in it cannot be read ({type(error).__name__}: "
            f"{error}): it is damaged, or was changed or moved since; read it again."
        ) from error


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
