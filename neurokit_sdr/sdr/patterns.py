"""Sets of sparse binary patterns over one population, bit-packed, and their overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core.arguments import check_whole
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.sdr import packed


@dataclass(frozen=True, eq=False)
class Patterns:
    """Sparse binary patterns over n cells, 64 cells to a word.

    Segments of a dendrite are patterns too: those of the cells they have synapses with.

    Attributes
    ----------
    words
        uint64 (pattern, word); cell i is bit ``i % 64`` of word ``i // 64``, and bits behind the
        last cell are 0.
    n
        Number of cells.

    Raises
    ------
    ParameterError
        If the words are not of that dtype or shape, or a bit behind the last cell is set.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> stored = nks.sdr.Patterns.random(2048, 40, 1000, rng=0)
    >>> noisy = stored[:2].corrupted(10, rng=1)
    >>> noisy.n_active
    array([40, 40])
    >>> stored.nearest(noisy)["pattern"].values.ravel()
    array([0, 1])
    >>> int(stored.matches(noisy, threshold=20).sum())
    2
    """

    words: np.ndarray
    n: int

    def __post_init__(self) -> None:
        n = check_whole("n", self.n, 1)
        words = np.asarray(self.words)
        if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != packed.n_words(n):
            raise ParameterError(
                f"Expected uint64 words of shape (pattern, {packed.n_words(n)}) for {n} cells, got "
                f"{words.dtype} of shape {words.shape}: Patterns.from_dense or from_active makes "
                f"them."
            )
        spare = n % packed.WORD
        if spare and (words[:, -1] >> np.uint64(spare)).any():
            raise ParameterError(f"Expected only cells below {n} to be active, got others.")
        object.__setattr__(self, "words", np.ascontiguousarray(words))
        object.__setattr__(self, "n", n)

    @classmethod
    def random(cls, n: int, a: int, n_patterns: int, *, rng: RNG = None) -> Self:
        """Draw patterns, each any a of n cells with equal probability.

        Parameters
        ----------
        n
            Cells.
        a
            Active cells of each pattern.
        n_patterns
            How many.
        rng
            Seed or generator.

        Raises
        ------
        ParameterError
            If a number is not whole, is negative, or ``a`` exceeds ``n``.
        """
        n, a = check_whole("n", n, 1), check_whole("a", a, 0)
        if a > n:
            raise ParameterError(f"Expected at most n={n} active cells, got a={a}.")
        words = np.zeros((check_whole("n_patterns", n_patterns, 0), packed.n_words(n)), np.uint64)
        packed.draw(words, n, a, stream(resolve_seed(rng), "patterns"))
        return cls(words, n)

    @classmethod
    def from_active(cls, active: Sequence[Any] | np.ndarray, n: int) -> Self:
        """Make patterns from lists of their active cells.

        Parameters
        ----------
        active
            One sequence of cells per pattern; lengths may differ.
        n
            Cells.

        Raises
        ------
        ParameterError
            If a cell is not a whole number from 0 to n - 1, or is named twice in a pattern.
        """
        n = check_whole("n", n, 1)
        rows = [np.asarray(row) for row in active]
        for row in rows:
            if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
                raise ParameterError(
                    f"Expected one list of cells (whole numbers) per pattern, got {row.dtype} of "
                    f"shape {row.shape} as a pattern."
                )
        cell = np.concatenate([row.astype(np.int64) for row in rows] or [np.empty(0, np.int64)])
        if cell.size and (cell.min() < 0 or cell.max() >= n):
            raise ParameterError(
                f"Expected cells from 0 to {n - 1}, got {cell.min()} to {cell.max()}."
            )
        words = np.zeros((len(rows), packed.n_words(n)), np.uint64)
        owner = np.repeat(np.arange(len(rows)), [row.size for row in rows])
        if packed.set_active(words, owner, cell):
            raise ParameterError("Expected each cell once per pattern, got one twice.")
        return cls(words, n)

    @classmethod
    def from_dense(cls, dense: Any) -> Self:
        """Pack a bool (or 0 and 1) array of shape (pattern, cell).

        Raises
        ------
        SchemaError
            If it has other dimensions, no cell, or values other than 0 and 1.
        """
        values = np.asarray(dense)
        if values.ndim != 2 or values.shape[1] < 1:
            raise SchemaError(
                f"Expected patterns of shape (pattern, cell), got shape {values.shape}: add the "
                f"missing dimension with [None]."
            )
        if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
            raise SchemaError(
                f"Expected 0 (silent) and 1 (active) only, got other values of {values.dtype}: "
                f"compare with a threshold first."
            )
        return cls(packed.from_dense(values.astype(bool)), values.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, which: Any) -> Self:
        """Some of the patterns: an index, a slice, or an array of either kind."""
        return type(self)(np.atleast_2d(self.words[which]), self.n)

    def __repr__(self) -> str:
        return f"Patterns({len(self)} of {self.n} cells)"

    @property
    def n_active(self) -> np.ndarray:
        """Active cells of each pattern, shape (pattern,)."""
        return packed.n_active(self.words)

    def active(self) -> list[np.ndarray]:
        """The active cells of each pattern, ascending."""
        return [np.flatnonzero(row) for row in self.dense()]

    def dense(self) -> np.ndarray:
        """As bool (pattern, cell)."""
        return packed.to_dense(self.words, self.n)

    def union(self) -> Self:
        """The one pattern of all cells that are active in any."""
        return type(self)(np.bitwise_or.reduce(self.words, axis=0, keepdims=True), self.n)

    def joined(self, other: Patterns) -> Self:
        """These patterns, and behind them those of another set over as many cells."""
        return type(self)(np.concatenate([self.words, self._words_of(other)]), self.n)

    def subsampled(self, s: int, *, rng: RNG = None) -> Self:
        """Keep s of the active cells of each pattern: what a segment with s synapses learns.

        Raises
        ------
        ParameterError
            If a pattern has fewer active cells.
        """
        s = check_whole("s", s, 0)
        fewest = int(self.n_active.min(initial=self.n))
        if s > fewest:
            raise ParameterError(
                f"Expected to keep at most {fewest} active cells (the fewest of a pattern), got "
                f"s={s}."
            )
        generator = stream(resolve_seed(rng), "subsample")
        return type(self)(packed.subsample(self.words, self.n, s, generator), self.n)

    def corrupted(self, v: int, *, rng: RNG = None) -> Self:
        """Move v active cells of each pattern to cells that were silent.

        Raises
        ------
        ParameterError
            If a pattern has fewer active, or fewer silent, cells.
        """
        v = check_whole("v", v, 0)
        active = self.n_active
        most = int(np.minimum(active, self.n - active).min(initial=self.n))
        if v > most:
            raise ParameterError(
                f"Expected to move at most {most} cells (the fewest active, or silent, of a "
                f"pattern), got v={v}."
            )
        generator = stream(resolve_seed(rng), "corrupt")
        return type(self)(packed.corrupt(self.words, self.n, v, generator), self.n)

    def overlap(self, queries: Patterns) -> xr.DataArray:
        """Count the active cells that each query shares with each of these patterns.

        Parameters
        ----------
        queries
            Patterns over as many cells.

        Returns
        -------
        xarray.DataArray
            int32 (query, pattern).

        Raises
        ------
        ParameterError
            If the queries are over another number of cells.
        """
        found = packed.overlaps(self.words, self._words_of(queries))
        return xr.DataArray(found, dims=("query", "pattern"), name="overlap", attrs={"units": "1"})

    def matches(self, queries: Patterns, threshold: int) -> xr.DataArray:
        """Say whether the overlap reaches a threshold, bool (query, pattern).

        Parameters
        ----------
        queries
            Patterns over as many cells.
        threshold
            Active cells that must be shared.

        Raises
        ------
        ParameterError
            If the queries are over another number of cells, or the threshold is not a whole number.
        """
        theta = check_whole("threshold", threshold, 0)
        found = packed.matches(self.words, self._words_of(queries), theta)
        return xr.DataArray(found, dims=("query", "pattern"), name="match")

    def nearest(self, queries: Patterns, k: int = 1) -> xr.Dataset:
        """Find the k patterns that share most with each query; of equals, the first.

        Parameters
        ----------
        queries
            Patterns over as many cells.
        k
            How many.

        Returns
        -------
        xarray.Dataset
            ``pattern(query, rank)``, the position of each, and ``overlap(query, rank)``.

        Raises
        ------
        ParameterError
            If the queries are over another number of cells, or there are fewer than k patterns.
        """
        k = check_whole("k", k, 1)
        if k > len(self):
            raise ParameterError(f"Expected k up to {len(self)}, the stored patterns, got {k}.")
        index, overlap = packed.nearest(self.words, self._words_of(queries), k)
        dims = ("query", "rank")
        return xr.Dataset(
            {"pattern": (dims, index), "overlap": (dims, overlap, {"units": "1"})},
        )

    def _words_of(self, other: Any) -> np.ndarray:
        if not isinstance(other, Patterns):
            raise ParameterError(
                f"Expected Patterns, got {type(other).__name__}: Patterns.from_dense or "
                f"from_active makes them."
            )
        if other.n != self.n:
            raise ParameterError(f"Expected patterns over {self.n} cells, got {other.n}.")
        return other.words
