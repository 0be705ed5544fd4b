"""Memories to compare with: Hopfield, dense associative, multitasking Hebbian, nearest neighbour.

They share one small face, ``store``, ``recall`` and ``nbytes``, and are no Estimators: nothing is
fitted, no held-out data are scored, and what they hold grows by one call after another. They are
there to say what another memory gives on the same task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import Interval, Options, check, check_whole
from neurokit_sdr.core.errors import NotFittedError, ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr import packed
from neurokit_sdr.sdr.frames import flatten, frame_coords
from neurokit_sdr.sdr.memories import equations as core
from neurokit_sdr.sdr.memories.ternary import is_ternary, ternary

#: Queries whose overlaps with everything stored are held at once.
_QUERIES_AT_ONCE = 256


class Memory(ABC):
    """What every memory can do."""

    #: What each parameter may be; checked by ``store``.
    _allowed: ClassVar[dict[str, Interval | Options]] = {}

    _cell: np.ndarray | None = None

    def store(self, data: xr.Dataset) -> Self:
        """Store patterns, beside those already stored.

        Parameters
        ----------
        data
            ``pattern(item, cell)`` or ``pattern([item,] time, cell)``, whose frames are stored one
            by one.

        Returns
        -------
        Memory
            This memory.

        Raises
        ------
        SchemaError
            If the data break the schema, or have other cells than those already stored.
        ParameterError
            If the memory was made with a parameter out of range.
        """
        for name, allowed in self._allowed.items():
            check(name, getattr(self, name), allowed)
        pattern = self._patterns(data)
        self._store(pattern, data)
        self._cell = np.array(data["cell"].values)
        return self

    def recall(self, data: xr.Dataset, *, max_sweeps: int = 100, rng: RNG = None) -> xr.Dataset:
        """Complete or clean up patterns.

        Parameters
        ----------
        data
            Cues, laid out like what was stored, with the same cells.
        max_sweeps
            Most updates of every cell.
        rng
            Seed or generator of the order in which cells are updated.

        Returns
        -------
        xarray.Dataset
            ``pattern([item,] [time,] cell)``, ``sweeps([item,] [time,])``, the updates of every
            cell that it took, and ``settled([item,] [time,])``, whether nothing changed any more.

        Raises
        ------
        NotFittedError
            If nothing is stored.
        SchemaError, ParameterError
        """
        if self._cell is None:
            raise NotFittedError(
                f"This {type(self).__name__} holds nothing: call store(data) first."
            )
        max_sweeps = check_whole("max_sweeps", max_sweeps, 1)
        cue = self._patterns(data)
        seed = resolve_seed(rng)
        found = self._recall(cue, max_sweeps, stream(seed, "recall"))
        dims = data["pattern"].dims[:-1]
        shape = data["pattern"].shape
        return xr.Dataset(
            {
                "pattern": ((*dims, "cell"), (found.spin > 0).reshape(shape)),
                "sweeps": (dims, found.sweeps.reshape(shape[:-1]), {"units": "1"}),
                "settled": (dims, found.settled.reshape(shape[:-1])),
            },
            coords=frame_coords(data) | {"cell": data["cell"]},
            attrs={"seed": seed},
        )

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes of what is held."""

    @abstractmethod
    def _store(self, pattern: np.ndarray, data: xr.Dataset) -> None:
        """Take in int8 spins (item, cell)."""

    @abstractmethod
    def _recall(
        self, cue: np.ndarray, max_sweeps: int, generator: np.random.Generator
    ) -> core.Settled:
        """Answer int8 spins (item, cell)."""

    def _patterns(self, data: xr.Dataset) -> np.ndarray:
        """Spins +1 and -1 of the patterns, int8 (item, cell)."""
        pattern = flatten(data).pattern
        if "item_length" in data.variables:
            raise SchemaError(
                "Expected items of one length, got item_length: these memories hold single "
                "patterns, so store each item's frames with data.isel(item=[i], "
                "time=slice(length)).drop_vars('item_length')."
            )
        self._check_cells(data)
        return 2 * pattern.astype(np.int8) - 1

    def _check_cells(self, data: xr.Dataset) -> None:
        if self._cell is not None and not np.array_equal(data["cell"].values, self._cell):
            raise SchemaError(
                f"Expected the {self._cell.size} cells that patterns are stored of, got "
                f"{data.sizes['cell']} others: select them in the same order."
            )


class Hopfield(Memory):
    r"""The classical network: couplings are the sum of the patterns' outer products.

    .. math:: J_{ij} = \frac1N \sum_\mu \xi_i^\mu \xi_j^\mu, \qquad J_{ii} = 0, \qquad
              s_i \leftarrow \mathrm{sign} \sum_j J_{ij} s_j

    Spins are +1 where a cell is active and -1 elsewhere (Hopfield 1982,
    doi:10.1073/pnas.79.8.2554). It holds 0.138 N random patterns of half the cells, with an error
    of 1.6 % at the limit (Amit, Gutfreund and Sompolinsky 1985,
    doi:10.1103/PhysRevLett.55.1530); sparse patterns, which are all alike in being mostly -1, are
    beyond its rule.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((5, 100)) < 0.5
    >>> items = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(100)})
    >>> cues = items.copy(deep=True)
    >>> cues["pattern"][:, :20] = False
    >>> recalled = nks.sdr.Hopfield().store(items).recall(cues, rng=0)
    >>> bool((recalled["pattern"] == items["pattern"]).all())
    True
    """

    def __init__(self) -> None:
        self._coupling: np.ndarray = np.zeros((0, 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the couplings."""
        return self._coupling.nbytes

    def _store(self, pattern: np.ndarray, data: xr.Dataset) -> None:
        added = core.hebbian_coupling(pattern)
        self._coupling = added if self._cell is None else self._coupling + added

    def _recall(
        self, cue: np.ndarray, max_sweeps: int, generator: np.random.Generator
    ) -> core.Settled:
        return core.settle_hebbian(self._coupling, cue, max_sweeps, 0.0, generator)


class DenseAssociativeMemory(Memory):
    r"""A network whose energy falls steeply at each pattern, and so holds far more of them.

    .. math:: E = -\sum_\mu F\Big(\sum_i \xi_i^\mu s_i\Big), \qquad F(m) = \max(0, m)^n
              \quad\text{or}\quad e^m

    A spin is flipped where that lowers the energy. It keeps the patterns themselves; the number it
    can hold grows as :math:`N^{n-1}` (Krotov and Hopfield 2016, arXiv:1606.01164) or exponentially
    (Demircigil et al. 2017, arXiv:1702.01929).

    Parameters
    ----------
    interaction
        ``"polynomial"`` or ``"exponential"``.
    order
        n of the polynomial, from 2.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((200, 100)) < 0.5
    >>> items = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(100)})
    >>> memory = nks.sdr.DenseAssociativeMemory(interaction="exponential").store(items)
    >>> bool((memory.recall(items, rng=0)["pattern"] == items["pattern"]).all())
    True
    """

    _allowed: ClassVar[dict[str, Interval | Options]] = {
        "interaction": Options("polynomial", "exponential"),
        "order": Interval(int, 2),
    }

    def __init__(self, *, interaction: str = "polynomial", order: int = 3) -> None:
        self.interaction = interaction
        self.order = order
        self._pattern: np.ndarray = np.zeros((0, 0), np.int8)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored patterns, one for each cell of each."""
        return self._pattern.nbytes

    def _store(self, pattern: np.ndarray, data: xr.Dataset) -> None:
        held = pattern[:0] if self._cell is None else self._pattern
        self._pattern = np.concatenate([held, pattern])

    def _recall(
        self, cue: np.ndarray, max_sweeps: int, generator: np.random.Generator
    ) -> core.Settled:
        order = core.EXPONENTIAL if self.interaction == "exponential" else int(self.order)
        return core.settle_dense(self._pattern, cue, order, max_sweeps, generator)


class MultitaskingHebbian(Memory):
    r"""A Hebbian network of diluted patterns, which recalls several at once.

    Entries are -1, 1, or 0 with probability d (the dilution). Cells that a pattern leaves blank are
    free to retrieve others: without heat a state holds patterns with overlaps :math:`(1-d)`,
    :math:`(1-d)d`, :math:`(1-d)d^2`, ...; with heat and much dilution with equal ones (Agliari,
    Alessandrelli, Barra and Ricci-Tersenghi, arXiv:2308.04106).

    .. math:: J_{ij} = \frac1N \sum_\mu \xi_i^\mu \xi_j^\mu, \qquad
              P(s_i = 1) = \frac1{1 + e^{-2 \sum_j J_{ij} s_j / T}}

    Parameters
    ----------
    temperature
        T, in units of the field that one whole pattern gives; 0 takes the sign of the field.

    Notes
    -----
    ``pattern`` may hold -1, 0 and 1 as integers beside booleans (true 1, false -1). Items that
    share a ``label(item)`` are examples of one pattern, and their mean is stored (supervised);
    without labels each counts on its own (unsupervised). A 0 in a cue is a cell that nothing is
    known of. The recalled ``pattern`` is true where the spin is +1; how much of each pattern it
    holds, :func:`mattis_overlap` says.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> items = nks.sdr.diluted_patterns(3, 2000, 0.3, rng=0)
    >>> memory = nks.sdr.MultitaskingHebbian().store(items)
    >>> state = memory.recall(items.isel(item=[0]), rng=0)
    >>> abs(nks.sdr.mattis_overlap(items, state)).values.round(2).ravel()
    array([0.7 , 0.08, 0.24])
    """

    _allowed: ClassVar[dict[str, Interval | Options]] = {"temperature": Interval(float, 0)}

    def __init__(self, *, temperature: float = 0.0) -> None:
        self.temperature = temperature
        self._coupling: np.ndarray = np.zeros((0, 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the couplings."""
        return self._coupling.nbytes

    def _patterns(self, data: xr.Dataset) -> np.ndarray:
        if not is_ternary(data):
            return super()._patterns(data)
        pattern = ternary(data)
        self._check_cells(data)
        return pattern

    def _store(self, pattern: np.ndarray, data: xr.Dataset) -> None:
        values = pattern.astype(float)
        if "label" in data.variables:
            _, which = np.unique(data["label"].values.astype(str), return_inverse=True)
            values = np.stack([values[which == k].mean(axis=0) for k in range(which.max() + 1)])
        added = core.hebbian_coupling(values)
        self._coupling = added if self._cell is None else self._coupling + added

    def _recall(
        self, cue: np.ndarray, max_sweeps: int, generator: np.random.Generator
    ) -> core.Settled:
        # The couplings held are not divided by the number of cells.
        temperature = float(self.temperature) * cue.shape[1]
        return core.settle_hebbian(self._coupling, cue, max_sweeps, temperature, generator)


class NearestNeighbor(Memory):
    """Keep every pattern, answer with the nearest: the baseline that no memory beats in accuracy.

    Distance is the number of cells that differ; of equal ones the first stored is nearer. Patterns
    are held as bits, and compared 64 cells at a time.

    Parameters
    ----------
    k
        Number of neighbours; a cell is active where it is in more than half of them.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurokit_sdr as nks
    >>> active = np.random.default_rng(0).random((50, 100)) < 0.1
    >>> items = xr.Dataset({"pattern": (("item", "cell"), active)}, {"cell": np.arange(100)})
    >>> memory = nks.sdr.NearestNeighbor().store(items)
    >>> bool((memory.recall(items)["pattern"] == items["pattern"]).all()), memory.nbytes
    (True, 800)
    """

    _allowed: ClassVar[dict[str, Interval | Options]] = {"k": Interval(int, 1)}

    def __init__(self, *, k: int = 1) -> None:
        self.k = k
        self._words: np.ndarray = np.zeros((0, 0), np.uint64)

    @property
    def nbytes(self) -> int:
        """Bytes of the stored patterns, one for eight cells."""
        return self._words.nbytes

    def _store(self, pattern: np.ndarray, data: xr.Dataset) -> None:
        words = packed.from_dense(pattern > 0)
        self._words = words if self._cell is None else np.concatenate([self._words, words])

    def _recall(
        self, cue: np.ndarray, max_sweeps: int, generator: np.random.Generator
    ) -> core.Settled:
        if self.k > len(self._words):
            raise ParameterError(
                f"Expected k up to {len(self._words)}, the stored patterns, got {self.k}."
            )
        words, size = packed.from_dense(cue > 0), packed.n_active(self._words)
        spin = np.empty(cue.shape, np.int8)
        for first in range(0, len(cue), _QUERIES_AT_ONCE):
            part = slice(first, first + _QUERIES_AT_ONCE)
            # Less the cue's own active cells, which shift all distances alike.
            distance = size - 2 * packed.overlaps(self._words, words[part])
            nearest = np.argsort(distance, axis=1, kind="stable")[:, : self.k]
            dense = packed.to_dense(self._words[nearest.ravel()], cue.shape[1])
            share = dense.reshape(*nearest.shape, -1).mean(axis=1)
            spin[part] = np.where(share > 0.5, 1, -1)
        return core.Settled(spin, np.ones(len(cue), np.int64), np.ones(len(cue), bool))
