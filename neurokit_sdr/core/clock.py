"""Evenly sampled time without a number in memory for each sample."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.core.indexes import PandasIndex
from xarray.indexes import CoordinateTransform, CoordinateTransformIndex


class _EvenTransform(CoordinateTransform):
    """Sample ``first + stride * i`` of a clock that starts at ``start`` and ticks at ``rate``."""

    def __init__(
        self, dim: str, size: int, start: float, rate: float, first: int = 0, stride: int = 1
    ) -> None:
        super().__init__([dim], {dim: size}, np.dtype(np.float64))
        self.start, self.rate, self.first, self.stride = start, rate, first, stride

    def forward(self, dim_positions: dict[str, Any]) -> dict[Hashable, Any]:
        (position,) = dim_positions.values()
        sample = self.first + self.stride * np.asarray(position, dtype=np.int64)
        return {self.coord_names[0]: self.start + sample / self.rate}

    def reverse(self, coord_labels: dict[Hashable, Any]) -> dict[str, Any]:
        (label,) = coord_labels.values()
        sample = (np.asarray(label, dtype=np.float64) - self.start) * self.rate
        return {self.dims[0]: (sample - self.first) / self.stride}

    def equals(self, other: CoordinateTransform, **_: Any) -> bool:
        return isinstance(other, _EvenTransform) and (
            (self.start, self.rate, self.first, self.stride, self.dim_size)
            == (other.start, other.rate, other.first, other.stride, other.dim_size)
        )


class EvenTimeIndex(CoordinateTransformIndex):
    """Index of an evenly sampled ``time``: exact after slicing, selectable by label and slice.

    xarray's own ``RangeIndex`` accumulates rounding when it is sliced and has no ``slice`` of
    labels. Here sample i is always ``start + i / rate``, so that a piece of a recording has the
    very times of the whole.
    """

    transform: _EvenTransform

    def isel(self, indexers: Mapping[Any, Any]) -> EvenTimeIndex | PandasIndex | None:
        transform = self.transform
        dim = transform.dims[0]
        indexer = indexers[dim]
        size = transform.dim_size[dim]
        if isinstance(indexer, slice) and (indexer.step or 1) > 0:
            begin, _, step = indexer.indices(size)
            return type(self)(
                _EvenTransform(
                    dim,
                    len(range(*indexer.indices(size))),
                    transform.start,
                    transform.rate,
                    transform.first + begin * transform.stride,
                    transform.stride * step,
                )
            )
        if isinstance(indexer, slice):
            indexer = np.arange(size)[indexer]
        values = indexer.values if isinstance(indexer, xr.Variable) else np.asarray(indexer)
        if values.ndim != 1 or (isinstance(indexer, xr.Variable) and indexer.dims != (dim,)):
            return None
        positions = np.flatnonzero(values) if values.dtype == bool else values
        return PandasIndex(
            _labels(transform, np.where(positions < 0, positions + size, positions)), dim
        )

    def sel(self, labels: dict[Any, Any], method: Any = None, tolerance: Any = None) -> Any:
        from xarray.core.indexing import IndexSelResult

        transform = self.transform
        dim = transform.dims[0]
        ((name, label),) = labels.items()
        size = transform.dim_size[dim]
        if isinstance(label, slice):
            if label.step is not None:
                raise ValueError(
                    f"Expected a slice of {name} without a step: use .isel for every nth."
                )
            low = 0 if label.start is None else self._edge(float(label.start), "left")
            high = size if label.stop is None else self._edge(float(label.stop), "right")
            return IndexSelResult({dim: slice(low, max(low, high))})
        wanted = (
            label.values if isinstance(label, xr.DataArray | xr.Variable) else np.asarray(label)
        )
        wanted = wanted.astype(np.float64)
        position = np.rint(transform.reverse({name: wanted})[dim])
        if not np.isfinite(position).all():
            raise KeyError(f"not all values found in index {name!r}")
        position = np.clip(position, 0, max(size - 1, 0)).astype(np.int64)
        distance = np.abs(_labels(transform, position) - wanted)
        if method not in (None, "nearest"):
            raise ValueError(f"Expected method None or 'nearest' for {name}, got {method!r}.")
        allowed = np.inf if method == "nearest" else 0.0
        allowed = allowed if tolerance is None else float(tolerance)
        if size == 0 or (distance > allowed).any():
            raise KeyError(f"not all values found in index {name!r}: use method='nearest'")
        if isinstance(label, xr.DataArray | xr.Variable):
            return IndexSelResult({dim: xr.Variable(label.dims, position)})
        return IndexSelResult({dim: int(position) if position.ndim == 0 else position})

    def _edge(self, label: float, side: str) -> int:
        """Position where a label would be inserted, as :func:`numpy.searchsorted` says."""
        transform = self.transform
        size = transform.dim_size[transform.dims[0]]
        if np.isnan(label):
            raise KeyError("nan")
        guess = transform.reverse({"": label})[transform.dims[0]]
        position = (
            int(np.clip(np.floor(guess), -1, size))
            if np.isfinite(guess)
            else (0 if guess < 0 else size)
        )
        near = np.arange(max(position - 1, 0), min(position + 3, size))
        first = int(near[0]) if near.size else min(max(position, 0), size)
        return first + int(np.searchsorted(_labels(transform, near), label, side=side))  # type: ignore[call-overload]

    def join(self, other: Any, how: str = "inner") -> Any:
        return self.to_index().join(_to_index(other), how=how)

    def reindex_like(self, other: Any) -> dict[Hashable, Any]:
        return self.to_index().reindex_like(_to_index(other))

    @classmethod
    def concat(cls, indexes: Any, dim: Any, positions: Any = None) -> Any:
        return PandasIndex.concat([_to_index(i) for i in indexes], dim, positions)

    def to_index(self) -> PandasIndex:
        """The same times in memory."""
        dim = self.transform.dims[0]
        return PandasIndex(self.to_pandas_index(), dim)

    def to_pandas_index(self) -> Any:
        import pandas as pd

        transform = self.transform
        size = transform.dim_size[transform.dims[0]]
        return pd.Index(_labels(transform, np.arange(size)), name=transform.coord_names[0])


def _labels(transform: _EvenTransform, position: np.ndarray) -> np.ndarray:
    return transform.forward({transform.dims[0]: position})[transform.coord_names[0]]


def _to_index(index: Any) -> PandasIndex:
    return index.to_index() if isinstance(index, EvenTimeIndex) else index


def even_time(
    size: int,
    rate: float,
    start: float = 0.0,
    dim: str = "time",
    *,
    first: int = 0,
    stride: int = 1,
) -> xr.Coordinates:
    """Times of evenly taken samples, as coordinates that take no memory.

    .. math:: t_i = t_0 + i / f_s

    Parameters
    ----------
    size
        Number of samples.
    rate
        Sampling rate :math:`f_s` in Hz, positive.
    start
        Time :math:`t_0` of the first sample, in seconds.
    dim
        Name of the dimension and the coordinate.
    first, stride
        For a piece of a longer recording: the number of its first sample, and how many samples on
        the next one is, so that its times are the very ones of the whole.

    Returns
    -------
    xarray.Coordinates
        ``time(time)`` in seconds, to be given to ``xr.Dataset(coords=...)`` or
        ``.assign_coords``. Slices keep it; other selections turn it into numbers in memory.
        xarray aligns it only with other even times: beside a recording whose times are in memory,
        and for ``reindex``, load them with
        ``data.assign_coords(time=("time", data["time"].values, {"units": "s"}))``.

    Examples
    --------
    >>> import xarray as xr
    >>> from neurokit_sdr.core.clock import even_time
    >>> hour = xr.Dataset(coords=even_time(3_600_000, 1000.0))
    >>> hour.sel(time=slice(1.0, 1.002))["time"].values
    array([1.   , 1.001, 1.002])
    """
    coordinates = xr.Coordinates.from_xindex(
        EvenTimeIndex(
            _EvenTransform(dim, int(size), float(start), float(rate), int(first), int(stride))
        )
    )
    coordinates[dim].attrs["units"] = "s"
    return coordinates


def even_clock(data: xr.Dataset | xr.DataArray, dim: str = "time") -> tuple[float, float] | None:
    """First sample's time (s) and sampling rate (Hz) of an evenly sampled ``time``, else None.

    Only looks at how the coordinate is held: times in memory are never called even.
    """
    index = data.xindexes.get(dim)
    if not isinstance(index, EvenTimeIndex):
        return None
    transform = index.transform
    return transform.start + transform.first / transform.rate, transform.rate / transform.stride


def clock_state(data: xr.Dataset | xr.DataArray, dim: str = "time") -> dict[str, Any] | None:
    """What :func:`even_time` needs beside the size to make an evenly sampled time again."""
    index = data.xindexes.get(dim)
    if not isinstance(index, EvenTimeIndex):
        return None
    transform = index.transform
    return {
        "rate": transform.rate,
        "start": transform.start,
        "first": transform.first,
        "stride": transform.stride,
    }
