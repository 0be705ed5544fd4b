"""Samples that lie one after the other in a file of nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.recording import flat, shaped

#: Read at a time: enough for the disk, little for the memory.
_BLOCK = 1 << 22


class Layout(NamedTuple):
    """Where the samples lie: ``interleaved`` sample by sample, else channel by channel."""

    dtype: str
    interleaved: bool
    size: int
    scale: tuple[float, ...]


def read_samples(path: str, layout: Layout, key: tuple[Any, ...]) -> np.ndarray:
    """Values of some samples and channels, in their units, of shape (time, channel)."""
    start, stop, step = flat(key[0], layout.size)
    number = len(layout.scale)
    channels = np.atleast_1d(np.arange(number)[key[1]])
    size = max(stop - start, 0)
    dtype = np.dtype(layout.dtype)
    values = np.empty((channels.size, size))
    with open(path, "rb") as stream:
        if layout.interleaved:
            stream.seek(start * number * dtype.itemsize)
            at_once = max(_BLOCK // (number * dtype.itemsize), 1)
            for first in range(0, size, at_once):
                many = min(at_once, size - first)
                block = _stored(stream, many * number, dtype, path).reshape(many, number)
                chosen = block if channels.size == number else block[:, channels]
                values[:, first : first + many] = chosen.T
        else:
            for row, channel in enumerate(channels):
                stream.seek((channel * layout.size + start) * dtype.itemsize)
                values[row] = _stored(stream, size, dtype, path)
    values *= np.array(layout.scale)[channels, None]
    return shaped(values[:, ::step].T, key)


def _stored(stream: Any, number: int, dtype: np.dtype, path: str) -> np.ndarray:
    data = stream.read(number * dtype.itemsize)
    if len(data) < number * dtype.itemsize:
        raise FileFormatError(f"{path} became shorter since it was opened: read it again.")
    return np.frombuffer(data, dtype)
