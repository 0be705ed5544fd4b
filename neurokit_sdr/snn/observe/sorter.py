"""Errors of spike sorting as functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class SortedSpikes(NamedTuple):
    """What a spike sorter gives.

    Attributes
    ----------
    time
        Seconds, unit after unit and ascending in each, shape (spike,).
    unit
        Position of the recorded unit, shape (spike,).
    source
        Position of the true unit that fired, -1 for a false spike, shape (spike,).
    missed
        Spikes of each true unit that were not recorded, shape (true unit,).
    """

    time: np.ndarray
    unit: np.ndarray
    source: np.ndarray
    missed: np.ndarray


def sort_spikes(
    spike_time: np.ndarray,
    spike_unit: np.ndarray,
    recorded_as: np.ndarray,
    miss_rate: float,
    false_rate: float,
    window: tuple[float, float],
    miss_rng: np.random.Generator,
    false_rng: np.random.Generator,
) -> SortedSpikes:
    """Miss spikes, add false ones and give each to the unit its true unit is recorded as.

    Parameters
    ----------
    spike_time, spike_unit
        True spikes in seconds, and the position of their unit, shape (spike,).
    recorded_as
        Position of the recorded unit of each true unit, from 0 without gaps, shape (true unit,).
    miss_rate
        Probability that a spike is missed.
    false_rate
        False spikes per second and recorded unit, a Poisson process.
    window
        First and last moment in seconds.
    miss_rng, false_rng
        Generators, one for each kind of error.
    """
    kept = miss_rng.random(spike_time.size) >= miss_rate
    n_recorded = int(recorded_as.max()) + 1
    number = false_rng.poisson(false_rate * (window[1] - window[0]), n_recorded)
    false_time = false_rng.uniform(*window, int(number.sum()))
    time = np.concatenate([spike_time[kept], false_time])
    unit = np.concatenate([recorded_as[spike_unit[kept]], np.repeat(np.arange(n_recorded), number)])
    source = np.concatenate([spike_unit[kept], np.full(false_time.size, -1)])
    order = np.lexsort((time, unit))
    missed = np.bincount(spike_unit[~kept], minlength=recorded_as.size)
    return SortedSpikes(time[order], unit[order], source[order], missed)
