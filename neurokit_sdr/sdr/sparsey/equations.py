"""Sparsey's frames on plain arrays, compiled: choose codes, store them, complete inputs.

A *mac* is a field of Q competitive modules of K units; its code is one winner in each module.
Everything that can be active has one number: first the cells of the input, then the units of mac 0,
of mac 1, and so on. The synapses of one type (bottom-up, horizontal, top-down) are the rows of a
matrix ``(afferent, unit)``, the afferents of a mac behind one another: ``start[m]`` to
``start[m + 1]``. A frame costs the same whatever was stored before: it reads the rows of the
active afferents, and writes a bit of each for each winner.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from neurokit_sdr.sdr.sparsey.learning import learn_synapses
from neurokit_sdr.sdr.sparsey.macs import Wiring
from neurokit_sdr.sdr.sparsey.memory import (
    INFLECTION_END,
    INFLECTION_MEAN_V,
    INFLECTION_STEP,
    MAX_WEIGHT,
    Memory,
)
from neurokit_sdr.sdr.sparsey.recognition import (
    choose_version,
    combine,
    expansivity,
    normalise,
    pick,
    relative_likelihood,
    sum_signals,
)
from neurokit_sdr.sdr.sparsey.rule import Rule


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
    if state is None:
        state = no_activity(wiring, rule)
    codes = no_codes(wiring, rule, len(pattern))
    _run(
        wiring.n_cells, wiring.level, wiring.bottom_up, wiring.horizontal, wiring.top_down,
        rule, memory.bottom_up, memory.horizontal, memory.top_down, memory.inflection,
        memory.highest_mean_v, pattern, starts, driven, uniform, clock, learn, draw,
        *state, codes.winner, codes.familiarity, codes.version,
    )  # fmt: skip
    return codes


def no_codes(wiring: Wiring, rule: Rule, n_frames: int) -> Codes:
    """Codes of macs that are not active."""
    n_macs = len(wiring.level)
    return Codes(
        np.full((n_frames, n_macs, rule.n_modules), -1, np.int16),
        np.full((n_frames, n_macs), np.nan),
        np.zeros((n_frames, n_macs), np.uint8),
    )


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


def similarity(winner: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of modules with the same winner, over the macs that are active in either frame.

    Parameters
    ----------
    winner, other
        Shapes (frame, mac, module) and (other frame, mac, module).

    Returns
    -------
    numpy.ndarray, shape ``(frame, other frame)``
        NaN where no mac is active.
    """
    rows = []
    for code in winner:
        either = (code[:, :1] >= 0) | (other[:, :, :1] >= 0)
        same = ((other == code) & either).sum(axis=(1, 2))
        number = either.sum(axis=(1, 2)) * code.shape[1]
        rows.append(np.where(number > 0, same / np.maximum(number, 1), np.nan))
    return np.stack(rows)


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
            number = sum_signals(bottom_up, up, mac, active, clock, rule.lifetime, total)
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
                normalise(total, number, top, rule.cutoff, exponent, power, signal[0])
            number = sum_signals(horizontal, across, mac, previous, clock, rule.lifetime, total)
            if number > 0:
                available |= 2
                normalise(total, number, top, rule.cutoff, rule.exponent[1], power, signal[1])
            number = sum_signals(top_down, down, mac, previous, clock, rule.lifetime, total)
            if number > 0:
                available |= 4
                normalise(total, number, top, rule.cutoff, rule.exponent[2], power, signal[2])
            if available == 0:
                continue
            chosen = available
            if not learn:
                chosen = choose_version(signal, available, rule.back_off, n_modules, n_units, v)
            g = combine(signal, chosen, n_modules, n_units, v)
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
                won = pick(v, module * n_units, n_units, likelihood, uniform[t, mac, module], draw)
                winner[t, mac, module] = won
                active[first + module * n_units + won] = 1
            age[mac] = rule.persistence[mac] - 1
        if learn:
            for mac in range(level.size):
                code = winner[t, mac]
                if code[0] < 0:
                    continue
                stay = rule.persistence[mac]
                learn_synapses(
                    bottom_up, up, mac, active, code, n_units, clock, rule.lifetime, stay,
                    rule.freezing,
                )  # fmt: skip
                learn_synapses(
                    horizontal, across, mac, previous, code, n_units, clock, rule.lifetime, stay,
                    rule.freezing,
                )  # fmt: skip
                learn_synapses(
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
