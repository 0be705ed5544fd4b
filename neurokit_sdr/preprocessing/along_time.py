"""Operations along time: on arrays in memory, on dask arrays, and on values still in their file.

Each says which samples a part of its result needs, and makes that part of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import MissingDependencyError
from neurokit_sdr.core.lazy import is_lazy, lazy_variable
from neurokit_sdr.preprocessing import filtering
from neurokit_sdr.preprocessing.sampling import Clock

#: Values read at once where only every nth is wanted.
_BLOCK_VALUES = 4_000_000


class BinMean(NamedTuple):
    """Means in bins: row k of the result from the samples of bin k."""

    clock: Clock
    width: float
    size: int

    def edges(self, start: int, stop: int) -> np.ndarray:
        moment = self.clock.start + np.arange(start, stop + 1) * self.width
        return np.minimum(self.clock.first_from(moment), self.size)

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        if stop <= start:
            return 0, 0
        edges = self.edges(start, stop)
        return int(edges[0]), int(edges[-1])

    def rows(
        self, values: np.ndarray, first: int, start: int, stop: int, others: Mapping[Any, Any]
    ) -> np.ndarray:
        out = np.full((max(stop - start, 0), *values.shape[1:]), np.nan)
        if stop <= start:
            return out
        edges = self.edges(start, stop) - first
        count = np.diff(edges)
        filled = count > 0
        if filled.any():
            sums = np.add.reduceat(values.astype(np.float64), edges[:-1][filled], axis=0)
            out[filled] = sums / count[filled].reshape(-1, *(1,) * (values.ndim - 1))
        return out


class Filter(NamedTuple):
    """A symmetric kernel, piece by piece between gaps; some channels pass."""

    weight: np.ndarray
    pieces: tuple[tuple[int, int, bool], ...]
    passed: tuple[str, np.ndarray] | None

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        if stop <= start:
            return 0, 0
        ranges = [self._needs(piece, start, stop) for piece in self._met(start, stop)]
        return min(a for a, _ in ranges), max(b for _, b in ranges)

    def _met(self, start: int, stop: int) -> list[tuple[int, int, bool]]:
        return [p for p in self.pieces if p[0] < stop and p[1] > start]

    def _needs(self, piece: tuple[int, int, bool], start: int, stop: int) -> tuple[int, int]:
        begin, end, wanted = piece
        start, stop = max(start, begin), min(stop, end)
        if not wanted or end - begin <= self.weight.size // 2:
            return start, stop
        half = self.weight.size // 2
        low, high = filtering.needed(start - begin, stop - begin, end - begin, half)
        return low + begin, high + begin

    def rows(
        self, values: np.ndarray, first: int, start: int, stop: int, others: Mapping[Any, Any]
    ) -> np.ndarray:
        out = np.empty((max(stop - start, 0), *values.shape[1:]))
        for begin, end, wanted in self._met(start, stop):
            low, high = max(start, begin), min(stop, end)
            part = values[low - first : high - first]
            if wanted and end - begin > self.weight.size // 2:
                part = filtering.filter_part(
                    values, first - begin, end - begin, low - begin, high - begin, self.weight
                )
            elif wanted:
                part = np.full(part.shape, np.nan)
            out[low - start : high - start] = part
        if self.passed is not None and stop > start:
            dim, mask = self.passed
            mask = mask[others[dim]] if dim in others else mask
            if mask.any():
                axis = 1  # channel follows time in what is given here
                untouched = values[start - first : stop - first]
                out = np.where(mask.reshape(*(1,) * axis, -1), untouched, out)
        return out


_Operation = BinMean | Filter


def along_time(variable: xr.Variable, operation: _Operation, size: int) -> xr.Variable:
    """Apply an operation along ``time``, now or, of values not in memory, when they are used."""
    order = ("time", *(d for d in variable.dims if d != "time"))
    source = variable.transpose(*order)
    if variable.chunks is not None:
        return _on_dask(source, operation, size).transpose(*variable.dims)
    shape = (size, *source.shape[1:])
    if is_lazy(variable):
        read = partial(_read_rows, source, operation, size)
        made = lazy_variable(order, read, shape, np.float64, variable.attrs)
        return made.transpose(*variable.dims)
    first, last = operation.needs(0, size)
    values = operation.rows(np.asarray(source.values[first:last]), first, 0, size, {})
    return xr.Variable(order, values, variable.attrs).transpose(*variable.dims)


def _read_rows(
    source: xr.Variable, operation: _Operation, size: int, key: tuple[Any, ...]
) -> np.ndarray:
    """Rows of the result at a key of ints and slices, time first."""
    time, *rest = key
    # A channel alone keeps its dimension until the end: operations tell channels apart.
    others = {
        dim: k if isinstance(k, slice) else slice(int(k), int(k) + 1)
        for dim, k in zip(source.dims[1:], rest, strict=True)
    }
    if not isinstance(time, slice):
        start, stop, step = int(time), int(time) + 1, 1
    else:
        start, stop, step = time.indices(size)
    part = source.isel({str(d): k for d, k in others.items()})
    width = max(int(np.prod(part.shape[1:])), 1)
    block = max(stop - start, 1) if step == 1 else max(1, _BLOCK_VALUES // (width * step)) * step
    parts = []
    for begin in range(start, max(stop, start + 1), block):
        end = min(begin + block, stop)
        first, last = operation.needs(begin, end)
        values = np.asarray(part.isel(time=slice(first, last)).values)
        parts.append(operation.rows(values, first, begin, end, others)[::step])
    out = np.concatenate(parts) if len(parts) > 1 else parts[0]
    drop = tuple(0 if not isinstance(k, slice) else slice(None) for k in rest)
    return out[(slice(None) if isinstance(time, slice) else 0, *drop)]


def _on_dask(source: xr.Variable, operation: _Operation, size: int) -> xr.Variable:
    try:
        import dask.array as da
    except ModuleNotFoundError as error:  # pragma: no cover - chunks need dask to begin with
        raise MissingDependencyError(
            "Working chunk by chunk needs dask: pip install 'neurokit-sdr[cluster]'."
        ) from error
    chunks = source.chunks
    assert chunks is not None
    bounds = _result_bounds(chunks[0], source.sizes["time"], size)
    pieces = []
    for start, stop in bounds:
        first, last = operation.needs(start, stop)
        # Which channels pass is known by position, so channels stay together.
        part = source.data[first:last].rechunk({0: -1, 1: -1} if source.ndim > 1 else {0: -1})
        pieces.append(
            part.map_blocks(
                _block_rows,
                operation=operation,
                first=first,
                start=start,
                stop=stop,
                dtype=np.float64,
                chunks=((stop - start,), *part.chunks[1:]),
                meta=np.empty((0,) * source.ndim),
            )
        )
    return xr.Variable(source.dims, da.concatenate(pieces, axis=0), source.attrs)


def _result_bounds(chunks: tuple[int, ...], size: int, rows: int) -> list[tuple[int, int]]:
    """Ranges of the result that follow the chunks of the source."""
    ends = np.cumsum(chunks) * rows // max(size, 1)
    edges = np.unique(np.concatenate([[0], ends, [rows]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)) or [(0, 0)]


def _block_rows(
    values: np.ndarray, operation: _Operation, first: int, start: int, stop: int
) -> np.ndarray:
    return operation.rows(values, first, start, stop, {})


class Cut(NamedTuple):
    """Windows of equal length: their first samples, and how many."""

    first: np.ndarray
    length: int


def cut_trials(variable: xr.Variable, cut: Cut) -> xr.Variable:
    axis = variable.dims.index("time")
    dims = ("trial", *variable.dims)
    shape = (cut.first.size, *variable.shape[:axis], cut.length, *variable.shape[axis + 1 :])
    if variable.chunks is not None:
        import dask.array as da

        rows = [
            variable.isel(time=slice(int(f), int(f) + cut.length)).data.rechunk({axis: -1})
            for f in cut.first
        ]
        return xr.Variable(dims, da.stack(rows), variable.attrs)
    if is_lazy(variable):
        read = partial(_read_trials, variable, cut)
        return lazy_variable(dims, read, shape, variable.dtype, variable.attrs)
    index = cut.first[:, None] + np.arange(cut.length)
    values = np.take(variable.values, index.ravel(), axis=axis)
    values = values.reshape(*shape[1 : axis + 1], *index.shape, *shape[axis + 2 :])
    return xr.Variable(dims, np.moveaxis(values, axis, 0), variable.attrs)


def _read_trials(variable: xr.Variable, cut: Cut, key: tuple[Any, ...]) -> np.ndarray:
    trial, *rest = key
    keys = dict(zip(variable.dims, rest, strict=True))
    time = keys["time"]
    firsts = np.atleast_1d(cut.first[trial])

    def one(first: int) -> np.ndarray:
        if isinstance(time, slice):
            low, high, step = time.indices(cut.length)
            where: Any = slice(first + low, first + high, step)
        else:
            where = first + int(time)
        return np.asarray(variable.isel({**keys, "time": where}).values)

    if firsts.size == 0:
        window = one(int(cut.first[0])) if cut.first.size else np.empty(())
        return np.empty((0, *window.shape), dtype=variable.dtype)
    values = np.stack([one(int(f)) for f in firsts])
    return values if isinstance(trial, slice) else values[0]
