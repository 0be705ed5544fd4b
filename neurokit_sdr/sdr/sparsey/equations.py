r"""Sparsey's code selection, learning and recall on plain arrays, compiled.

A *mac* is a field of Q competitive modules of K units; its code is one winner in each module.
Everything that can be active has one number: first the cells of the input, then the units of mac 0,
of mac 1, and so on. The synapses of one type (bottom-up, horizontal, top-down) are the rows of a
matrix ``(afferent, unit)``, the afferents of a mac behind one another: ``start[m]`` to
``start[m + 1]``. A frame costs the same whatever was stored before: it reads the rows of the
active afferents, and writes a bit of each for each winner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numba
import numpy as np

#: The types of synapses, and the bit each has in the number of a version.
BOTTOM_UP, HORIZONTAL, TOP_DOWN = 0, 1, 2

#: Sigmoids from V to relative likelihood, by source.
SIGMOIDS = ("sparseycore", "sparsey_alt", "rinkus_2010", "sparseypy")

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


class Afferents(NamedTuple):
    """Which sources reach which mac through one type of synapse.

    Attributes
    ----------
    source
        Number of each afferent, shape (afferent,).
    start
        First afferent of each mac, and their number last, shape (mac + 1,).
    """

    source: np.ndarray
    start: np.ndarray


class Wiring(NamedTuple):
    """The fields and what they hear.

    Attributes
    ----------
    n_cells
        Cells of the input.
    level
        Of each mac, from 0, in rising order, shape (mac,).
    bottom_up, horizontal, top_down
        The afferents of each type; none of a type that is not used.
    """

    n_cells: int
    level: np.ndarray
    bottom_up: Afferents
    horizontal: Afferents
    top_down: Afferents


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


class Rule(NamedTuple):
    """Hyper-parameters of the code selection.

    Attributes
    ----------
    n_modules, n_units
        Q and K.
    sigmoid
        Position in :data:`SIGMOIDS`.
    exponent
        Of bottom-up, horizontal and top-down signals, and of bottom-up signals in the first frame
        of an episode, shape (4,).
    activation
        Smallest and largest share of active features with which a mac is active, shape (2,).
    cutoff
        Normalised signals below the first are 0, above the second 1, shape (2,).
    persistence
        Frames that a code stays, shape (mac,).
    lifetime
        Frames after which an unrepeated synapse is gone; 0 for never.
    freezing
        Share of a unit's synapses of a type beyond which they learn no more.
    back_off
        Thresholds of G with three, two and one type of signal, shape (3,); (0,) without.
    """

    n_modules: int
    n_units: int
    sigmoid: int
    exponent: np.ndarray
    activation: np.ndarray
    cutoff: np.ndarray
    persistence: np.ndarray
    lifetime: int
    freezing: float
    back_off: np.ndarray


class State(NamedTuple):
    """Activity that one frame leaves to the next.

    Attributes
    ----------
    active
        Whether each source is active, shape (source,), uint8.
    age
        Frames that the code of each mac still stays, shape (mac,).
    familiarity
        G of that code, shape (mac,).
    """

    active: np.ndarray
    age: np.ndarray
    familiarity: np.ndarray


class Codes(NamedTuple):
    """What a run of frames gives.

    Attributes
    ----------
    winner
        Position of the winner in each module, -1 in a mac that is not active, shape (frame, mac,
        module).
    familiarity
        G of each mac, NaN in one that is not active, shape (frame, mac).
    version
        Which types of signals G was computed from: the sum of 1 (bottom-up), 2 (horizontal) and 4
        (top-down), shape (frame, mac).
    """

    winner: np.ndarray
    familiarity: np.ndarray
    version: np.ndarray


def make_wiring(
    position: np.ndarray, n_macs: Sequence[int], receptive_field: float, signals: str, size: int
) -> Wiring:
    """Wire levels of macs on top of the cells.

    Parameters
    ----------
    position
        Of each cell, within the unit interval or square, shape (cell, 1) or (cell, 2).
    n_macs
        Macs in each level, from the bottom.
    receptive_field
        Width of the windows, in distances between macs.
    signals
        Letters of the types that exist.
    size
        Units in a mac.
    """
    n_cells, level = len(position), np.repeat(np.arange(len(n_macs)), n_macs)
    first = np.concatenate([[0], np.cumsum(n_macs)])
    below, below_number = position, np.arange(n_cells)[:, None]
    heard: list[np.ndarray] = []
    parents: list[list[int]] = [[] for _ in level]
    for depth, number in enumerate(n_macs):
        centre, spacing = mac_positions(number, position.shape[1])
        for m in range(number):
            offset = below - centre[m]
            reach = receptive_field * spacing / 2
            inside = ((offset >= -reach - 1e-9) & (offset < reach - 1e-9)).all(axis=1)
            heard.append(below_number[inside].ravel())
            if depth > 0:
                for child in np.flatnonzero(inside):
                    parents[first[depth - 1] + child].append(first[depth] + m)
        macs = first[depth] + np.arange(number)
        below, below_number = centre, n_cells + macs[:, None] * size + np.arange(size)
    own = [n_cells + m * size + np.arange(size) for m in range(len(level))]
    above = [np.concatenate([own[p] for p in found] or [own[0][:0]]) for found in parents]
    none = [own[0][:0] for _ in level]
    return Wiring(
        n_cells,
        level,
        _behind_one_another(heard),
        _behind_one_another(own if "H" in signals else none),
        _behind_one_another(above if "D" in signals else none),
    )


def mac_positions(number: int, dimensions: int) -> tuple[np.ndarray, float]:
    """Centres of the macs of a level, shape (mac, dimension), and the distance between them."""
    side = number if dimensions == 1 else round(number**0.5)
    along = (np.arange(side) + 0.5) / side
    grid = np.meshgrid(*[along] * dimensions, indexing="ij")
    return np.stack([axis.ravel() for axis in grid], axis=1), 1 / side


def _behind_one_another(sources: list[np.ndarray]) -> Afferents:
    start = np.concatenate([[0], np.cumsum([len(s) for s in sources])])
    return Afferents(np.concatenate(sources).astype(np.int64), start.astype(np.int64))


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


def run(
    wiring: Wiring,
    rule: Rule,
    memory: Memory,
    pattern: np.ndarray,
    starts: np.ndarray,
    driven: np.ndarray,
    uniform: np.ndarray,
    *,
    clock: int,
    learn: bool,
    draw: bool,
    state: State | None = None,
) -> Codes:
    """Run frames one after the other.

    Parameters
    ----------
    wiring, rule
        The model.
    memory
        Read, and with ``learn`` changed in place.
    pattern
        Whether each cell is active, shape (frame, cell), uint8.
    starts
        Whether an episode starts with the frame, shape (frame,).
    driven
        Whether the frame has input; without it macs go on by horizontal and top-down signals.
    uniform
        Numbers from 0 to 1 that winners are drawn by, shape (frame, mac, module).
    clock
        Frames learnt before the first of these.
    learn
        Whether to store; back-off is for recognition only.
    draw
        Whether winners are drawn by likelihood; else the largest V wins, and ``uniform`` decides
        between equal ones.
    state
        What the frames go on from, changed in place; None starts without activity.

    Returns
    -------
    Codes
    """
    n_macs = len(wiring.level)
    if state is None:
        state = no_activity(wiring, rule)
    codes = Codes(
        np.full((len(pattern), n_macs, rule.n_modules), -1, np.int16),
        np.full((len(pattern), n_macs), np.nan),
        np.zeros((len(pattern), n_macs), np.uint8),
    )
    _run(
        wiring.n_cells, wiring.level, wiring.bottom_up, wiring.horizontal, wiring.top_down,
        rule, memory.bottom_up, memory.horizontal, memory.top_down, memory.inflection,
        memory.highest_mean_v, pattern, starts, driven, uniform, clock, learn, draw,
        *state, codes.winner, codes.familiarity, codes.version,
    )  # fmt: skip
    return codes


def no_activity(wiring: Wiring, rule: Rule) -> State:
    """The state before the first frame: nothing active, no code that stays."""
    n_macs = len(wiring.level)
    n_sources = wiring.n_cells + n_macs * rule.n_modules * rule.n_units
    return State(np.zeros(n_sources, np.uint8), np.zeros(n_macs, np.int64), np.zeros(n_macs))


def support(wiring: Wiring, rule: Rule, memory: Memory, winner: np.ndarray) -> np.ndarray:
    """Share of the winners that learnt each cell, shape (frame, cell).

    Parameters
    ----------
    winner
        Shape (frame, mac, module); only the macs of the lowest level, which hear cells, count.
    """
    found = np.zeros((len(winner), wiring.n_cells))
    top = MAX_WEIGHT if rule.lifetime else 1
    _support(
        wiring.level, wiring.bottom_up, memory.bottom_up.weight, rule.n_units, winner, found,
        np.zeros(wiring.n_cells), float(top),
    )  # fmt: skip
    return found


def effective_weights(synapses: Synapses, clock: int, lifetime: int) -> np.ndarray:
    """Weights of ageing synapses at a time, 0 to 127, shape (afferent, unit)."""
    weight = np.zeros(synapses.stamp.shape, np.uint8)
    _weigh(synapses.stamp, synapses.stiffness, clock, lifetime, weight)
    return weight


@numba.njit(cache=True)
def expansivity(sigmoid, familiarity, n_units):
    """eta(G): how much likelier the likeliest winner may be."""
    if sigmoid <= 1:
        over = max(0.0, (familiarity - 0.1) / 0.9)
        return 1.0 + over * over * 100.0 * n_units
    if sigmoid == 2:
        return 10000.0 * familiarity**7
    return 2.5 * max(0.0, (familiarity - 0.2) / 0.8)


@numba.njit(cache=True)
def relative_likelihood(sigmoid, v, eta, inflection):
    """mu(V), by source."""
    if sigmoid == 0:
        if v >= 0.999:
            return max(eta, 1.0)
        return max(eta / (1.0 + np.exp(-4.0 * (v - inflection))), 1.0)
    if sigmoid == 1:
        return (eta - 1.0) / (1.0 + (0.1 * np.exp(-4.0 * (v - 1.0))) ** 8) + 1.0
    if sigmoid == 2:
        return eta / (1.0 + np.exp(-(26.0 * v - 13.0))) + 1.0
    return eta / (1.0 + np.exp(-(28.0 * v - 5.0))) + 1e-6


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


@numba.njit(cache=True)
def _sum_signals(afferents, synapses, mac, active, clock, lifetime, total):
    """Sum the weights of the active afferents of a mac into ``total``; return their number."""
    number = 0
    total[:] = 0
    for row in range(afferents.start[mac], afferents.start[mac + 1]):
        if active[afferents.source[row]] == 0:
            continue
        number += 1
        if lifetime == 0:
            weight = synapses.weight[row]
            for unit in range(total.size):
                total[unit] += weight[unit]
        else:
            for unit in range(total.size):
                total[unit] += aged_weight(
                    synapses.stamp[row, unit], synapses.stiffness[row, unit], clock, lifetime
                )
    return number


@numba.njit(cache=True)
def _normalise(total, number, top, cutoff, exponent, power, signal):
    """Share of the largest sum there can be, cut off, to a power."""
    largest = number * top
    tabulated = largest < total.size  # there are fewer sums than units
    for k in range(largest + 1 if tabulated else total.size):
        u = (k if tabulated else total[k]) / largest
        if u < cutoff[0]:
            u = 0.0
        elif u > cutoff[1]:
            u = 1.0
        power[k] = u**exponent
    for unit in range(total.size):
        signal[unit] = power[total[unit]] if tabulated else power[unit]


@numba.njit(cache=True)
def _combine(signal, version, n_modules, n_units, v):
    """V of each unit from the types of a version; returns G."""
    v[:] = 1.0
    for kind in range(3):
        if version >> kind & 1:
            for unit in range(v.size):
                v[unit] *= signal[kind, unit]
    total = 0.0
    for module in range(n_modules):
        highest = 0.0
        for unit in range(module * n_units, (module + 1) * n_units):
            highest = max(highest, v[unit])
        total += highest
    return total / n_modules


@numba.njit(cache=True)
def _size(version):
    return (version & 1) + (version >> 1 & 1) + (version >> 2 & 1)


@numba.njit(cache=True)
def _choose_version(signal, available, back_off, n_modules, n_units, v):
    """The version of most types whose G clears its threshold; else all that is available."""
    if back_off.size == 3:
        for size in range(_size(available), 0, -1):
            best, best_g = 0, -1.0
            for version in range(1, 8):
                if version & ~available or _size(version) != size:
                    continue
                g = _combine(signal, version, n_modules, n_units, v)
                if g > best_g:
                    best, best_g = version, g
            if best_g >= back_off[3 - size]:
                return best
    return available


@numba.njit(cache=True)
def _pick(v, first, n_units, likelihood, uniform, draw):
    """Position of the winner of a module."""
    if draw:
        total = 0.0
        for unit in range(n_units):
            total += likelihood[first + unit]
        left = uniform * total
        for unit in range(n_units):
            left -= likelihood[first + unit]
            if left < 0:
                return unit
        return n_units - 1
    highest, equal = -1.0, 0
    for unit in range(n_units):
        if v[first + unit] > highest:
            highest, equal = v[first + unit], 1
        elif v[first + unit] == highest:
            equal += 1
    skip = int(uniform * equal)
    for unit in range(n_units):
        if v[first + unit] == highest:
            if skip == 0:
                return unit
            skip -= 1
    return n_units - 1


@numba.njit(cache=True)
def _learn(
    afferents, synapses, mac, active, winner, n_units, clock, lifetime, persistence, freezing
):
    """Set the synapses from the active afferents to the winners of one mac."""
    begin, end = afferents.start[mac], afferents.start[mac + 1]
    for row in range(begin, end):
        if active[afferents.source[row]] == 0:
            continue
        for module in range(winner.size):
            unit = module * n_units + winner[module]
            if synapses.frozen[mac, unit]:
                continue
            if lifetime == 0:
                synapses.weight[row, unit] = 1
                continue
            stamp, stiffness = synapses.stamp[row, unit], synapses.stiffness[row, unit]
            age = clock - stamp
            if stamp >= 0 and aged_weight(stamp, stiffness, clock, lifetime) == 0:
                stiffness = 0
            elif stamp >= 0 and stiffness < PERMANENT:
                fresh = STAGE_END[0] * lifetime * (1 + stiffness)
                if age >= persistence and age < fresh:
                    stiffness += 1
            synapses.stamp[row, unit] = clock
            synapses.stiffness[row, unit] = stiffness
    if freezing >= 1.0 or end == begin:
        return
    for module in range(winner.size):
        unit = module * n_units + winner[module]
        if synapses.frozen[mac, unit]:
            continue
        number = 0
        for row in range(begin, end):
            number += _is_set(synapses, row, unit, clock, lifetime)
        if number > freezing * (end - begin):
            synapses.frozen[mac, unit] = 1
            if lifetime > 0:
                for row in range(begin, end):
                    if _is_set(synapses, row, unit, clock, lifetime):
                        synapses.stiffness[row, unit] = PERMANENT


@numba.njit(cache=True)
def _is_set(synapses, row, unit, clock, lifetime):
    if lifetime == 0:
        return synapses.weight[row, unit] > 0
    return (
        aged_weight(synapses.stamp[row, unit], synapses.stiffness[row, unit], clock, lifetime) > 0
    )


@numba.njit(cache=True)
def _run(
    n_cells, level, bottom_up, horizontal, top_down, rule, up, across, down, inflection,
    highest_mean_v, pattern, starts, driven, uniform, clock, learn, draw, active, age, held,
    winner, familiarity, version,
):  # fmt: skip
    n_modules, n_units = rule.n_modules, rule.n_units
    size = n_modules * n_units
    top = MAX_WEIGHT if rule.lifetime else 1
    previous = np.zeros_like(active)
    signal, total = np.empty((3, size)), np.empty(size, np.int32)
    v, power, likelihood = np.empty(size), np.empty(size), np.empty(size)
    for t in range(pattern.shape[0]):
        if starts[t]:
            active[:] = 0
            age[:] = 0
        previous[:] = active
        for cell in range(n_cells):
            active[cell] = pattern[t, cell] if driven[t] else 0
        for mac in range(level.size):
            first = n_cells + mac * size
            if age[mac] > 0:  # the code stays
                for module in range(n_modules):
                    for unit in range(n_units):
                        if active[first + module * n_units + unit]:
                            winner[t, mac, module] = unit
                familiarity[t, mac] = held[mac]
                age[mac] -= 1
                continue
            active[first : first + size] = 0
            number = _sum_signals(bottom_up, up, mac, active, clock, rule.lifetime, total)
            n_heard = bottom_up.start[mac + 1] - bottom_up.start[mac]
            # Of higher levels, macs are the features, and each active one has as many winners.
            share = number / n_heard if level[mac] == 0 else number * n_units / n_heard
            inside = rule.activation[0] - 1e-12 <= share <= rule.activation[1] + 1e-12
            available = 1 if number > 0 and inside else 0
            if available == 0 and (number > 0 or driven[t]):
                continue
            if available:
                initial = starts[t] and horizontal.source.size > 0
                exponent = rule.exponent[3] if initial else rule.exponent[0]
                _normalise(total, number, top, rule.cutoff, exponent, power, signal[0])
            number = _sum_signals(horizontal, across, mac, previous, clock, rule.lifetime, total)
            if number > 0:
                available |= 2
                _normalise(total, number, top, rule.cutoff, rule.exponent[1], power, signal[1])
            number = _sum_signals(top_down, down, mac, previous, clock, rule.lifetime, total)
            if number > 0:
                available |= 4
                _normalise(total, number, top, rule.cutoff, rule.exponent[2], power, signal[2])
            if available == 0:
                continue
            chosen = available
            if not learn:
                chosen = _choose_version(signal, available, rule.back_off, n_modules, n_units, v)
            g = _combine(signal, chosen, n_modules, n_units, v)
            familiarity[t, mac] = held[mac] = g
            version[t, mac] = chosen
            if draw:
                mean_v = v.mean()
                if learn and mean_v > INFLECTION_MEAN_V and mean_v > highest_mean_v[mac]:
                    highest_mean_v[mac] = mean_v
                    inflection[mac] = min(inflection[mac] + INFLECTION_STEP, INFLECTION_END)
                eta = expansivity(rule.sigmoid, g, n_units)
                for unit in range(size):
                    likelihood[unit] = relative_likelihood(
                        rule.sigmoid, v[unit], eta, inflection[mac]
                    )
            for module in range(n_modules):
                won = _pick(v, module * n_units, n_units, likelihood, uniform[t, mac, module], draw)
                winner[t, mac, module] = won
                active[first + module * n_units + won] = 1
            age[mac] = rule.persistence[mac] - 1
        if learn:
            for mac in range(level.size):
                code = winner[t, mac]
                if code[0] < 0:
                    continue
                stay = rule.persistence[mac]
                _learn(
                    bottom_up, up, mac, active, code, n_units, clock, rule.lifetime, stay,
                    rule.freezing,
                )  # fmt: skip
                _learn(
                    horizontal, across, mac, previous, code, n_units, clock, rule.lifetime, stay,
                    rule.freezing,
                )  # fmt: skip
                _learn(
                    top_down, down, mac, previous, code, n_units, clock, rule.lifetime, stay,
                    rule.freezing,
                )  # fmt: skip
            clock += 1


@numba.njit(cache=True)
def _support(level, bottom_up, weight, n_units, winner, found, number, top):
    for t in range(winner.shape[0]):
        number[:] = 0.0
        for mac in range(level.size):
            if level[mac] > 0 or winner[t, mac, 0] < 0:
                continue
            for row in range(bottom_up.start[mac], bottom_up.start[mac + 1]):
                cell = bottom_up.source[row]
                for module in range(winner.shape[2]):
                    found[t, cell] += weight[row, module * n_units + winner[t, mac, module]] / top
                number[cell] += winner.shape[2]
        for cell in range(number.size):
            if number[cell] > 0:
                found[t, cell] /= number[cell]
