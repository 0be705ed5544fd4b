"""The choice of a code: normalised signals, familiarity, sigmoids, winners."""

from __future__ import annotations

import numba
import numpy as np

from neurokit_sdr.sdr.sparsey.memory import aged_weight


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
def sum_signals(afferents, synapses, mac, active, clock, lifetime, total):
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
def normalise(total, number, top, cutoff, exponent, power, signal):
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
def combine(signal, version, n_modules, n_units, v):
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
def choose_version(signal, available, back_off, n_modules, n_units, v):
    """The version of most types whose G clears its threshold; else all that is available."""
    if back_off.size == 3:
        for size in range(_size(available), 0, -1):
            best, best_g = 0, -1.0
            for version in range(1, 8):
                if version & ~available or _size(version) != size:
                    continue
                g = combine(signal, version, n_modules, n_units, v)
                if g > best_g:
                    best, best_g = version, g
            if best_g >= back_off[3 - size]:
                return best
    return available


@numba.njit(cache=True)
def pick(v, first, n_units, likelihood, uniform, draw):
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
