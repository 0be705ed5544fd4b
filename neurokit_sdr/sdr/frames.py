"""Binary patterns as frames behind one another, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError


class Frames(NamedTuple):
    """Every frame of a Dataset of patterns, item after item.

    Attributes
    ----------
    pattern
        Whether each cell is active, shape (frame, cell), uint8.
    starts
        Whether an episode (an item, or the recording) starts with the frame, shape (frame,).
    dims
        The dimensions that the frames came from: ``item``, ``time`` or both.
    shape
        Their sizes.
    place
        Position of each frame in an array of that shape, flattened, shape (frame,).
    """

    pattern: np.ndarray
    starts: np.ndarray
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    place: np.ndarray

    def spread(self, values: np.ndarray, fill: Any) -> np.ndarray:
        """Give values of each frame the shape of the input, with ``fill`` beyond an item's end."""
        spread = np.full((int(np.prod(self.shape)), *values.shape[1:]), fill, values.dtype)
        spread[self.place] = values
        return spread.reshape(*self.shape, *values.shape[1:])

    @property
    def item(self) -> np.ndarray:
        """The item that each frame belongs to, shape (frame,)."""
        return self.place // (self.shape[1] if len(self.shape) == 2 else 1)


def flatten(data: Any) -> Frames:
    """Check a Dataset of patterns and lay its frames behind one another.

    Raises
    ------
    SchemaError
        If it is none, or has no cell or no frame.
    """
    pattern = schema.check(data, "patterns")["pattern"]
    dims = tuple(str(d) for d in pattern.dims[:-1])
    for dim in (*dims, "cell"):
        if data.sizes[dim] == 0:
            raise SchemaError(
                f"Expected patterns with at least one {dim}, got none: select fewer away."
            )
    shape = pattern.shape[:-1]
    inside = np.ones(shape, dtype=bool)
    if "item_length" in data.variables and "time" in dims:
        inside = np.arange(data.sizes["time"]) < data["item_length"].values[:, None]
        if not inside.any():
            raise SchemaError("Expected items with at least one frame, got item_length 0 in all.")
    starts = np.zeros(shape, dtype=bool)
    starts[..., 0] = True
    if dims == ("item",):
        starts[:] = True
    flat = np.asarray(pattern.values).reshape(-1, data.sizes["cell"])
    keep = inside.ravel()
    return Frames(
        np.ascontiguousarray(flat[keep]).astype(np.uint8),
        starts.ravel()[keep],
        dims,
        shape,
        np.flatnonzero(keep),
    )


def frame_coords(data: xr.Dataset) -> dict[Any, xr.DataArray]:
    """Coordinates along items and time, for what is labelled like the input."""
    return {
        name: array
        for name, array in data.coords.items()
        if array.dims and set(array.dims) <= {"item", "time"}
    }


def refuse_silence(frames: Frames) -> None:
    """Raise where there is nothing to store."""
    if not frames.pattern.any():
        raise SchemaError(
            "Expected patterns with active cells to store, got none that is active: lower the "
            "threshold they were encoded with."
        )


def as_items(pattern: np.ndarray) -> Frames:
    """Patterns of shape (frame, cell) as items of one frame."""
    number = len(pattern)
    return Frames(pattern, np.ones(number, bool), ("item",), (number,), np.arange(number))


def prolonged(frames: Frames, more: int) -> tuple[Frames, np.ndarray]:
    """Every episode with frames without input behind it, and which frames have input."""
    ends = np.append(np.flatnonzero(frames.starts)[1:], len(frames.pattern))
    gap = np.repeat(ends, more)
    pattern = np.insert(frames.pattern, gap, 0, axis=0)
    driven = np.insert(np.ones(len(frames.pattern), bool), gap, False)
    starts = np.insert(frames.starts, gap, False)
    if frames.dims == ("time",):
        shape: tuple[int, ...] = (len(pattern),)
        place = np.arange(len(pattern))
        return Frames(pattern, starts, frames.dims, shape, place), driven
    length = frames.shape[1] if len(frames.shape) == 2 else 1
    first = np.flatnonzero(starts)
    within = np.arange(len(pattern)) - np.repeat(first, np.diff(np.append(first, len(pattern))))
    item = np.repeat(frames.item[frames.starts], np.diff(np.append(first, len(pattern))))
    shape = (frames.shape[0], length + more)
    return Frames(pattern, starts, ("item", "time"), shape, item * shape[1] + within), driven
