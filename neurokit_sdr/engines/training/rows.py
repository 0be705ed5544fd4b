"""Where the rows of a batch come from: arrays on the device, or a function of what lies on disk."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

#: Rows that are gathered on the host go to the device in blocks of about so many bytes.
BLOCK_BYTES = 2**25


class Gathered(NamedTuple):
    """Rows that are made when a step needs them, such as windows of a recording on disk.

    Attributes
    ----------
    data
        What ``gather`` is given, such as a memory-mapped array.
    n_rows
        How many there are.
    gather
        ``gather(data, rows) -> {name: array}`` for an array of row numbers: arrays whose first axis
        is the row, the same for the same row whenever it is asked for.
    """

    data: Any
    n_rows: int
    gather: Callable[[Any, np.ndarray], Mapping[str, np.ndarray]]


Data = Mapping[str, np.ndarray] | Gathered


class Batches(NamedTuple):
    """Rows in batches of one width.

    Attributes
    ----------
    position
        ``(step, row)``: place in an order of the rows; rows too many repeat one of their batch.
    weight
        ``(step, row)``: 1, or 0 for rows too many.
    """

    position: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, n_rows: int, batch_size: int, n_devices: int) -> Batches:
        """Divide so evenly that sizes differ by one at most, whatever the number of devices."""
        n_steps = -(-n_rows // batch_size)
        edges = np.arange(n_steps + 1) * n_rows // n_steps
        sizes = np.diff(edges)
        width = -(-int(sizes.max()) // n_devices) * n_devices
        row = np.arange(width)
        real = row < sizes[:, None]
        position = edges[:-1, None] + np.where(real, row, 0)
        return cls(position.astype(np.int32), real.astype(np.float32))


class Block(NamedTuple):
    """What steps up to ``stop`` find their rows in.

    Attributes
    ----------
    data
        Arrays on the device.
    rows
        ``(step, row)``: where in them the rows of each step are.
    stop
        The first step that needs another block.
    """

    data: dict[str, jax.Array]
    rows: jax.Array
    stop: int


class Part(NamedTuple):
    """Some batches in their order, for a pass without training: see :class:`Block`.

    Attributes
    ----------
    weight
        ``(step, row)`` as in :class:`Batches`; 0 in steps that only fill up.
    """

    data: dict[str, jax.Array]
    rows: jax.Array
    weight: jax.Array


class OnDevice:
    """Arrays that lie on the device as a whole; a step picks its rows there."""

    def __init__(
        self, data: Mapping[str, np.ndarray], batches: Batches, put: Callable[[Any], Any]
    ) -> None:
        self.batches, self._put = batches, put
        self._data = put(prepared(data))
        self.shapes = _shapes(self._data, batches)

    def plan(self, order: np.ndarray) -> None:
        """Begin an epoch with the rows in this order."""
        self.rows = order[self.batches.position].astype(np.int32)
        self._rows = self._put(self.rows)

    def block(self, step: int) -> Block:
        """What the steps from this one on find their rows in."""
        return Block(self._data, self._rows, len(self.rows))

    def parts(self) -> Iterator[Part]:
        """All batches in the order of the rows."""
        yield Part(self._data, *self._put(tuple(self.batches)))

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Some rows."""
        return {name: np.asarray(values[rows]) for name, values in self._data.items()}


class FromHost:
    """Rows that are gathered on the host, for some steps at a time."""

    def __init__(self, data: Gathered, batches: Batches, put: Callable[[Any], Any]) -> None:
        self.batches, self._put, self._source = batches, put, data
        n_steps, width = batches.position.shape
        one = self.take(batches.position[0])
        self.shapes = _shapes(one, batches)
        size = sum(values.nbytes for values in one.values())
        self._n = int(np.clip(BLOCK_BYTES // max(size, 1), 1, n_steps))
        place = (np.arange(n_steps) % self._n)[:, None] * width + np.arange(width)
        self._place = put(place.astype(np.int32))
        self._number = -1
        self._block: dict[str, jax.Array] = {}

    def plan(self, order: np.ndarray) -> None:
        """Begin an epoch with the rows in this order."""
        self.rows = order[self.batches.position].astype(np.int32)
        self._number = -1

    def block(self, step: int) -> Block:
        """What the steps from this one on find their rows in."""
        n_steps = len(self.rows)
        number = min(step, n_steps - 1) // self._n
        if number != self._number:
            self._block = {}  # two of them are never held at once
            self._block, self._number = self._filled(self.rows, number), number
        return Block(self._block, self._place, min((number + 1) * self._n, n_steps))

    def parts(self) -> Iterator[Part]:
        """All batches in the order of the rows."""
        self._number, self._block = -1, {}
        position, weight = self.batches
        for number in range(-(-len(position) // self._n)):
            steps = slice(number * self._n, (number + 1) * self._n)
            empty = np.zeros((self._n - len(weight[steps]), weight.shape[1]), weight.dtype)
            weights = np.concatenate([weight[steps], empty])
            data = self._filled(position, number)
            yield Part(data, self._place[: self._n], self._put(weights))

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Some rows."""
        return prepared(self._source.gather(self._source.data, np.asarray(rows)))

    def _filled(self, rows: np.ndarray, number: int) -> dict[str, jax.Array]:
        """The rows of a block's steps; the last block repeats its last step until it is full."""
        steps = np.minimum(number * self._n + np.arange(self._n), len(rows) - 1)
        return self._put(self.take(rows[steps].ravel()))


Source = OnDevice | FromHost


def source(data: Data, batch_size: int, n_devices: int, put: Callable[[Any], Any]) -> Source:
    """Rows of the data in batches; ``put`` brings arrays to their devices."""
    batches = Batches.of(n_rows(data), batch_size, n_devices)
    if isinstance(data, Gathered):
        return FromHost(data, batches, put)
    return OnDevice(data, batches, put)


def n_rows(data: Data) -> int:
    """How many rows there are."""
    return data.n_rows if isinstance(data, Gathered) else len(next(iter(data.values())))


def _shapes(data: Mapping[str, Any], batches: Batches) -> Hashable:
    """What compiled code depends on."""
    each = sorted((name, values.shape, str(values.dtype)) for name, values in data.items())
    return (*each, batches.position.shape)


def prepared(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays in the types that JAX has: it would narrow the others without a word."""
    made = {}
    for name, values in data.items():
        array = np.asarray(values)
        made[name] = array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
    return made
