"""What a frame leaves behind: synapses set, hardened and frozen."""

from __future__ import annotations

import numba

from neurokit_sdr.sdr.sparsey.memory import PERMANENT, STAGE_END, aged_weight


@numba.njit(cache=True)
def learn_synapses(
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
