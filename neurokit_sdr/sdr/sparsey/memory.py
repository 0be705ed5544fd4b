"""Synapses: what was learnt, and how it ages."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from neurokit_sdr.sdr.sparsey.macs import Afferents, Wiring
from neurokit_sdr.sdr.sparsey.rule import Rule

#: SparseyCore: weights of a synapse in the three stages of its life.
STAGE_WEIGHT = np.array([127, 120, 50], dtype=np.int64)
#: Ends of these stages as shares of the lifetime; those of a stiffer synapse come twice as late.
STAGE_END = np.array([0.5, 0.75, 1.0])
MAX_WEIGHT = 127
PERMANENT = 2

#: SparseyCore's inflection point of the sigmoid: where it starts and ends, its step, and how
#: large the mean V of a mac must be for it to move.
INFLECTION_START, INFLECTION_END = 0.5, 0.9
INFLECTION_STEP = 0.004
INFLECTION_MEAN_V = 0.3


class Synapses(NamedTuple):
    """The state of one type of synapse.

    Attributes
    ----------
    weight
        0 or 1, shape (afferent, unit), uint8; with ageing, 0 to 127 at the time of the last frame.
    stamp
        With ageing, the learning frame of the last coincidence (-1: none yet), same shape; else
        of shape (0, 0).
    stiffness
        With ageing, 0, 1 or 2 (permanent), same shape; else of shape (0, 0).
    frozen
        Whether a unit's synapses of this type learn no more, shape (mac, unit).
    """

    weight: np.ndarray
    stamp: np.ndarray
    stiffness: np.ndarray
    frozen: np.ndarray


class Memory(NamedTuple):
    """Everything that learning changes, in place.

    Attributes
    ----------
    bottom_up, horizontal, top_down
        Synapses.
    inflection
        Of SparseyCore's sigmoid, shape (mac,).
    highest_mean_v
        The largest mean V that has moved it, shape (mac,).
    """

    bottom_up: Synapses
    horizontal: Synapses
    top_down: Synapses
    inflection: np.ndarray
    highest_mean_v: np.ndarray


def empty_memory(wiring: Wiring, rule: Rule) -> Memory:
    """A memory that has stored nothing."""
    n_macs, size = len(wiring.level), rule.n_modules * rule.n_units

    def virgin(afferents: Afferents) -> Synapses:
        shape = (len(afferents.source), size)
        ageing = shape if rule.lifetime else (0, 0)
        return Synapses(
            np.zeros(shape, np.uint8),
            np.full(ageing, -1, np.int32),
            np.zeros(ageing, np.uint8),
            np.zeros((n_macs, size), np.uint8),
        )

    return Memory(
        virgin(wiring.bottom_up),
        virgin(wiring.horizontal),
        virgin(wiring.top_down),
        np.full(n_macs, INFLECTION_START),
        np.zeros(n_macs),
    )


def copy_memory(memory: Memory) -> Memory:
    """A copy that learning may change."""
    up, across, down = (Synapses(*(array.copy() for array in kind)) for kind in memory[:3])
    return Memory(up, across, down, memory.inflection.copy(), memory.highest_mean_v.copy())


def effective_weights(synapses: Synapses, clock: int, lifetime: int) -> np.ndarray:
    """Weights of ageing synapses at a time, 0 to 127, shape (afferent, unit)."""
    weight = np.zeros(synapses.stamp.shape, np.uint8)
    _weigh(synapses.stamp, synapses.stiffness, clock, lifetime, weight)
    return weight


@numba.njit(cache=True)
def aged_weight(stamp, stiffness, clock, lifetime):
    """Weight of one ageing synapse."""
    if stiffness >= PERMANENT:
        return MAX_WEIGHT
    if stamp < 0:
        return 0
    age = (clock - stamp) / (lifetime * (1 + stiffness))
    for stage in range(3):
        if age < STAGE_END[stage]:
            return STAGE_WEIGHT[stage]
    return 0


@numba.njit(cache=True)
def _weigh(stamp, stiffness, clock, lifetime, weight):
    for i in range(stamp.shape[0]):
        for j in range(stamp.shape[1]):
            weight[i, j] = aged_weight(stamp[i, j], stiffness[i, j], clock, lifetime)


class Stored(NamedTuple):
    """All that frames are run on: the wiring, the rule, the memory and the frames it has learnt."""

    wiring: Wiring
    rule: Rule
    memory: Memory
    clock: int
