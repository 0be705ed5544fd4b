"""Binary patterns, 64 cells to a word: drawing, counting and comparing them.

Cell ``i`` is bit ``i % 64`` of word ``i // 64``; the bits behind the last cell are 0. All functions
work on arrays ``words(pattern, word)`` of uint64.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from neurokit_sdr.core.parallel import thread_count

WORD = 64
#: Words that are worth a thread of their own (2 MB).
_WORDS_PER_THREAD = 1 << 18


@intrinsic
def _popcount(typing_context, word):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


#: Number of ones in a uint64: one instruction, or a few on vectors.
popcount: Any = _popcount


def n_words(n: int) -> int:
    """Words that hold n cells."""
    return -(-n // WORD)


def from_dense(dense: np.ndarray) -> np.ndarray:
    """Pack bool (pattern, cell)."""
    n_patterns, n = dense.shape
    packed = np.zeros((n_patterns, n_words(n) * 8), np.uint8)
    packed[:, : -(-n // 8)] = np.packbits(dense, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def to_dense(words: np.ndarray, n: int) -> np.ndarray:
    """Unpack to bool (pattern, cell)."""
    octets = np.ascontiguousarray(words.astype("<u8", copy=False)).view(np.uint8)
    return np.unpackbits(octets, axis=1, count=n, bitorder="little").astype(bool)


@numba.njit(cache=True, nogil=True)
def set_active(words, pattern, cell):
    """Set the bit of each ``cell[i]`` in row ``pattern[i]``; True if one was set twice."""
    twice = False
    for i in range(len(cell)):
        word, bit = cell[i] // 64, np.uint64(1) << np.uint64(cell[i] % 64)
        twice |= (words[pattern[i], word] & bit) != 0
        words[pattern[i], word] |= bit
    return twice


@numba.njit(cache=True, nogil=True)
def n_active(words):
    """Number of active cells of each pattern."""
    found = np.zeros(words.shape[0], np.int64)
    for p in range(words.shape[0]):
        total = np.uint64(0)
        for w in range(words.shape[1]):
            total += popcount(words[p, w])
        found[p] = total
    return found


@numba.njit(cache=True, nogil=True)
def active_cells(row, out):
    """Write the active cells of one row in ascending order; return how many there are."""
    found = 0
    for w in range(len(row)):
        word = row[w]
        while word != 0:
            low = word & (~word + np.uint64(1))
            out[found] = 64 * w + popcount(low - np.uint64(1))
            word ^= low
            found += 1
    return found


@numba.njit(cache=True, nogil=True)
def fill(row, n, number, rng):
    """Activate ``number`` more cells of a row, each set of inactive ones as likely as another."""
    done = 0
    while done < number:
        cell = int(rng.random() * n)
        bit = np.uint64(1) << np.uint64(cell % 64)
        if row[cell // 64] & bit == 0:
            row[cell // 64] |= bit
            done += 1


@numba.njit(cache=True, nogil=True)
def draw(words, n, a, rng):
    """Fill empty rows with a of n cells each."""
    for p in range(words.shape[0]):
        if 2 * a <= n:
            fill(words[p], n, a, rng)
            continue
        # Drawing the silent cells keeps the number of repeated draws small.
        fill(words[p], n, n - a, rng)
        for cell in range(n):
            words[p, cell // 64] ^= np.uint64(1) << np.uint64(cell % 64)


@numba.njit(cache=True, nogil=True)
def shuffle_first(cells, number, size, rng):
    """Bring a random choice of ``number`` of the first ``size`` cells to the front."""
    for i in range(number):
        j = i + int(rng.random() * (size - i))
        cells[i], cells[j] = cells[j], cells[i]


@numba.njit(cache=True, nogil=True)
def subsample(words, n, s, rng):
    """Keep s of the active cells of each row, drawn anew for each."""
    found = np.zeros_like(words)
    cells = np.empty(n, np.int64)
    for p in range(words.shape[0]):
        size = active_cells(words[p], cells)
        shuffle_first(cells, s, size, rng)
        for i in range(s):
            found[p, cells[i] // 64] |= np.uint64(1) << np.uint64(cells[i] % 64)
    return found


@numba.njit(cache=True, nogil=True)
def corrupt(words, n, v, rng):
    """Move v active cells of each row to cells that were silent."""
    found = words.copy()
    cells = np.empty(n, np.int64)
    for p in range(words.shape[0]):
        size = active_cells(words[p], cells)
        # All that was active stays taken until the new cells are drawn.
        fill(found[p], n, v, rng)
        shuffle_first(cells, v, size, rng)
        for i in range(v):
            found[p, cells[i] // 64] ^= np.uint64(1) << np.uint64(cells[i] % 64)
    return found


@numba.njit(cache=True, nogil=True)
def shared(row, other):
    """Number of active cells that two rows share."""
    total = np.uint64(0)
    for w in range(len(row)):
        total += popcount(row[w] & other[w])
    return total


@numba.njit(cache=True, nogil=True)
def _overlaps_block(stored, queries, out):
    for p in range(stored.shape[0]):
        for q in range(queries.shape[0]):
            total = shared(stored[p], queries[q])
            out[q, p] = total


@numba.njit(cache=True, nogil=True)
def _matches_block(stored, queries, theta, out):
    for p in range(stored.shape[0]):
        for q in range(queries.shape[0]):
            total = shared(stored[p], queries[q])
            out[q, p] = total >= theta


@numba.njit(cache=True, nogil=True)
def _reached_block(stored, queries, count, squares):
    found = np.zeros(count.size, np.int64)
    for p in range(stored.shape[0]):
        found[:] = 0
        for q in range(queries.shape[0]):
            total = shared(stored[p], queries[q])
            found[total] += 1
        reached = 0
        for overlap in range(count.size - 1, -1, -1):
            reached += found[overlap]
            count[overlap] += reached
            squares[overlap] += reached * reached


@numba.njit(cache=True, nogil=True)
def _summed_block(stored, queries, value, out):
    for p in range(stored.shape[0]):
        for q in range(queries.shape[0]):
            total = shared(stored[p], queries[q])
            out[q] += value[total]


def over_blocks(stored: np.ndarray, work: int, task: Callable[[slice], None]) -> None:
    """Call ``task`` on slices of the stored patterns, in threads where there is work for them.

    ``work`` is how many words are compared in all.
    """
    threads = max(1, min(thread_count(), work // _WORDS_PER_THREAD, len(stored)))
    edges = np.linspace(0, len(stored), threads + 1).astype(int)
    blocks = [slice(*pair) for pair in itertools.pairwise(edges)]
    if threads == 1:
        task(blocks[0])
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, blocks))


def overlaps(stored: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Number of shared active cells, int32 (query, pattern)."""
    out = np.empty((len(queries), len(stored)), np.int32)
    over_blocks(
        stored,
        stored.size * len(queries),
        lambda b: _overlaps_block(stored[b], queries, out[:, b]),
    )
    return out


def matches(stored: np.ndarray, queries: np.ndarray, theta: int) -> np.ndarray:
    """Whether at least theta active cells are shared, bool (query, pattern)."""
    out = np.empty((len(queries), len(stored)), np.bool_)
    over_blocks(
        stored,
        stored.size * len(queries),
        lambda b: _matches_block(stored[b], queries, np.uint64(theta), out[:, b]),
    )
    return out


def reached(stored: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """How many pairs of a query and a stored pattern share at least 0, 1, 2, ... active cells.

    Two rows: the number of pairs, and the sum over stored patterns of the square of its number of
    queries, from which follows how the stored patterns scatter.
    """
    parts = []

    def task(block: slice) -> None:
        found = np.zeros((2, stored.shape[1] * WORD + 1), np.int64)
        _reached_block(stored[block], queries, *found)
        parts.append(found)

    over_blocks(stored, stored.size * len(queries), task)
    return np.sum(parts, axis=0)


def summed(stored: np.ndarray, queries: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Sum over the stored patterns of ``value[overlap]``, (query)."""
    parts: dict[int, np.ndarray] = {}

    def task(block: slice) -> None:
        found = np.zeros(len(queries))
        _summed_block(stored[block], queries, value, found)
        parts[block.start] = found

    over_blocks(stored, stored.size * len(queries), task)
    return np.sum([parts[start] for start in sorted(parts)], axis=0)


@numba.njit(cache=True, nogil=True)
def _nearest_block(stored, query, first, index, overlap):
    """Keep the best of one block for one query: highest overlap, then lowest index."""
    k = len(index)
    for p in range(stored.shape[0]):
        total = np.int64(shared(stored[p], query))
        if total <= overlap[k - 1]:
            continue
        place = k - 1
        while place > 0 and overlap[place - 1] < total:
            overlap[place], index[place] = overlap[place - 1], index[place - 1]
            place -= 1
        overlap[place], index[place] = total, first + p


def nearest(stored: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k patterns that share most with each query: (index, overlap), each (query, rank)."""
    parts: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def task(block: slice) -> None:
        index = np.full((len(queries), k), -1)
        overlap = np.full((len(queries), k), -1)
        for q in range(len(queries)):
            _nearest_block(stored[block], queries[q], block.start, index[q], overlap[q])
        parts[block.start] = index, overlap

    over_blocks(stored, stored.size * len(queries), task)
    found = [parts[start] for start in sorted(parts)]
    index = np.concatenate([part[0] for part in found], axis=1)
    overlap = np.concatenate([part[1] for part in found], axis=1)
    # Blocks come in the order of the patterns, so a stable sort keeps the lowest index first.
    order = np.argsort(-overlap, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(index, order, 1), np.take_along_axis(overlap, order, 1)
