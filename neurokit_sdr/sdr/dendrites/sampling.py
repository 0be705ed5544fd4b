"""Simulated dendritic segments: pairs of patterns and segments, noise, and rare events."""

from __future__ import annotations

import math

import numba
import numpy as np

from neurokit_sdr.sdr import packed


def superposed(
    n: int, size: int, n_patterns: int, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Unions of so many random patterns each, words (union, word)."""
    words = np.zeros((number * n_patterns, packed.n_words(n)), np.uint64)
    packed.draw(words, n, size, rng)
    return np.bitwise_or.reduce(words.reshape(number, n_patterns, -1), axis=1)


@numba.njit(cache=True, nogil=True)
def missed_overlaps(n, a, s, v, n_trials, rng, out):
    """Overlaps of a segment with its own pattern after noise, counted into ``out``.

    Every trial draws a pattern, the segment's sample of it, and the noise: v of the active cells
    are silenced, and as many that were silent become active.
    """
    cells, words = np.arange(n), (n + 63) // 64
    for _ in range(n_trials):
        packed.shuffle_first(cells, a, n, rng)
        # A sample of the pattern: its first s cells, for their order is random.
        segment, active = np.zeros(words, np.uint64), np.zeros(words, np.uint64)
        for i in range(a):
            bit = np.uint64(1) << np.uint64(cells[i] % 64)
            active[cells[i] // 64] |= bit
            if i < s:
                segment[cells[i] // 64] |= bit
        packed.fill(active, n, v, rng)
        packed.shuffle_first(cells, v, a, rng)
        for i in range(v):
            active[cells[i] // 64] ^= np.uint64(1) << np.uint64(cells[i] % 64)
        out[packed.shared(active, segment)] += 1


@numba.njit(cache=True, nogil=True)
def rare_overlaps(n, a, s, theta, n_trials, rng):
    """Sample patterns that reach theta of s synapses, and how much more often than chance.

    A pattern's cells are drawn one by one. By chance the next is a synapse's with probability
    (s - hits) / (n - drawn); here it is with (theta - hits) / (a - drawn) where that is more, so
    that theta hits come for certain, spread over all draws. The product of the ratios is the weight
    of the pattern. Returns the log of a scale, and the means of weight / scale and of its square.
    """
    cells = np.arange(n)
    packed.shuffle_first(cells, s, n, rng)
    synapse, other = cells[:s].copy(), cells[s:].copy()
    segment = np.zeros((n + 63) // 64, np.uint64)
    for i in range(s):
        segment[synapse[i] // 64] |= np.uint64(1) << np.uint64(synapse[i] % 64)
    active = np.zeros_like(segment)
    scale, total, squares = 0.0, 0.0, 0.0
    for trial in range(n_trials):
        active[:] = 0
        log_weight, hits = 0.0, 0
        for drawn in range(a):
            chance = (s - hits) / (n - drawn)
            asked = max(chance, (theta - hits) / (a - drawn))
            misses = drawn - hits
            if rng.random() < asked:
                j = hits + int(rng.random() * (s - hits))
                synapse[hits], synapse[j] = synapse[j], synapse[hits]
                cell = synapse[hits]
                hits += 1
                log_weight += math.log(chance / asked)
            else:
                j = misses + int(rng.random() * (n - s - misses))
                other[misses], other[j] = other[j], other[misses]
                cell = other[misses]
                log_weight += math.log((1 - chance) / (1 - asked))
            active[cell // 64] |= np.uint64(1) << np.uint64(cell % 64)
        overlap = np.int64(packed.shared(active, segment))
        if trial == 0:
            scale = log_weight
        if overlap >= theta:
            weight = math.exp(log_weight - scale)
            total += weight
            squares += weight * weight
    return scale, total / n_trials, squares / n_trials


@numba.njit(cache=True, nogil=True)
def clustered(n, a, clusters, n_patterns, rng):
    """Patterns of whole clusters (cluster, cell), drawn until a cells are active."""
    words = np.zeros((n_patterns, (n + 63) // 64), np.uint64)
    order = np.arange(len(clusters))
    for p in range(n_patterns):
        done, taken = 0, 0
        while done < a:
            # Every cluster once, in random order, before any comes again: there may be too few.
            if taken == len(order):
                packed.fill(words[p], n, a - done, rng)
                break
            j = taken + int(rng.random() * (len(order) - taken))
            order[taken], order[j] = order[j], order[taken]
            for cell in clusters[order[taken]]:
                bit = np.uint64(1) << np.uint64(cell % 64)
                if done < a and words[p, cell // 64] & bit == 0:
                    words[p, cell // 64] |= bit
                    done += 1
            taken += 1
    return words
