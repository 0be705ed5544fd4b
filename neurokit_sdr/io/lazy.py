"""Where a recording lies, its values that stay there until they are asked for, and chunks."""

from __future__ import annotations

import importlib.util
import numbers
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from neurokit_sdr.core.errors import (
    FileFormatError,
    MissingDependencyError,
    NeurokitError,
    ParameterError,
)


def path_of(path: Any) -> Path:
    """The path that a caller gave, with a ``~`` at its start as the home folder.

    Raises
    ------
    ParameterError
        If it is none, or names the home of a user whom the system does not know.
    """
    if not isinstance(path, str | os.PathLike):
        raise ParameterError(
            f"Expected a path as text or pathlib.Path, got {type(path).__name__}: give the file's "
            f"or folder's name."
        )
    try:
        return Path(path).expanduser()
    except (TypeError, RuntimeError) as error:
        raise ParameterError(f"Expected a path, got {path!r} ({error}).") from error


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
        If ``chunks`` are no sizes, or no group has one of the dimensions.
    """
    if chunks is None:
        return session
    wanted = dict(chunks) if isinstance(chunks, Mapping) else {"time": chunks}
    for dim, size in wanted.items():
        _check_size(dim, size)
    if importlib.util.find_spec("dask") is None:
        raise MissingDependencyError(
            "chunks= needs dask, which is not installed: pip install 'neurokit-sdr[cluster]'."
        )
    found = False
    groups: dict[str, xr.Dataset] = {}
    for node in session.subtree:
        data = node.to_dataset(inherit=False)
        here = {dim: size for dim, size in wanted.items() if dim in data.dims}
        found |= bool(here)
        try:
            groups[node.path] = data.chunk(here) if here else data
        except NeurokitError:
            raise
        except (ValueError, TypeError, NotImplementedError) as error:
            raise ParameterError(
                f"Expected chunks that xarray's .chunk takes, got {here} ({error})."
            ) from error
    if wanted and not found:
        dims = sorted({str(d) for data in groups.values() for d in data.dims})
        raise ParameterError(
            f"Expected chunks of dimensions that the recording has, {dims}, got {wanted}."
        )
    return xr.DataTree.from_dict(groups, name=session.name)


def _check_size(dim: Any, size: Any) -> None:
    """Raise where a size of chunks is none that xarray takes."""
    if size is None or (isinstance(size, str) and size == "auto"):
        return
    sizes = size if isinstance(size, tuple | list) else (size,)
    if isinstance(size, str):
        fits = size[:1].isdigit()  # "100MiB"; dask knows which words follow
    else:
        fits = bool(sizes) and all(
            isinstance(n, numbers.Integral)
            and not isinstance(n, bool)
            and (int(n) > 0 or (int(n) == -1 and sizes is not size))
            for n in sizes
        )
    if not fits:
        raise ParameterError(
            f"Expected chunks of {dim!r} as a whole number of values above 0, -1 for one chunk, "
            f'or "auto", got {size!r}: {{"time": 100_000}} is usual.'
        )
