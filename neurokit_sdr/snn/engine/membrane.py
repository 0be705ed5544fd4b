"""Membrane equations: all units one step further, and which of them spike.

:func:`advance` is chosen by the type of the constants when a loop is compiled, so that each model
gets a loop of its own from one source. Keep each inner loop to one array written and few read, or
it will not be vectorised.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import overload

from neurokit_sdr.engines.vector_math import exp
from neurokit_sdr.snn.engine.options import OPTIONS

#: The fast exp is exact for arguments within this range.
_EXP_LIMIT = 690.0

#: Units looked at together for spikes: most blocks hold none, and a vector comparison says so.
_BLOCK = 64


@njit(inline="always")
def _find(v, threshold, refractory, first, found, number):
    """Append the units of one group at or above threshold to `found`."""
    n = v.size
    for begin in range(0, n, _BLOCK):
        block = v[begin : min(begin + _BLOCK, n)]
        hit = 0
        for i in range(block.size):
            hit |= block[i] >= threshold
        if hit:
            for i in range(block.size):
                if block[i] >= threshold and refractory[begin + i] == 0:
                    found[number] = first + begin + i
                    number += 1
    return number


@njit(inline="always")
def decay(values, factor):
    for i in range(values.size):
        values[i] *= factor


@njit(inline="always")
def _count_down(refractory):
    for i in range(refractory.size):
        refractory[i] -= refractory[i] > 0


def advance(model: Any, state: Any, arriving: Any, drive: Any, found: Any) -> Any:
    """Advance all units by one step; write those that spike to `found`, return their number."""


@overload(advance, jit_options=OPTIONS)
def _choose_advance(model, state, arriving, drive, found):
    return _ADVANCE[model.instance_class.__name__]


def _advance_current(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, refractory, add = state.v[lo:hi], state.refractory[lo:hi], drive[lo:hi]
        excitatory, inhibitory = state.synaptic[lo:hi], state.synaptic[n + lo : n + hi]
        leak, p_e, p_i = model.leak[g], model.excitatory[g], model.inhibitory[g]
        decay_e, decay_i = model.excitatory_decay[g], model.inhibitory_decay[g]
        rest, reset = model.rest[g], model.reset[g]
        for i in range(v.size):
            asymptote = rest + add[i]
            moved = (
                asymptote + (v[i] - asymptote) * leak + excitatory[i] * p_e + inhibitory[i] * p_i
            )
            v[i] = reset if refractory[i] > 0 else moved
            excitatory[i] *= decay_e
            inhibitory[i] *= decay_i
        _count_down(refractory)
        before = number
        number = _find(v, model.threshold[g], refractory, lo, found, number)
        for j in range(before, number):
            state.v[found[j]] = reset
            state.refractory[found[j]] = model.refractory[g]
    return number


def _advance_delta(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, refractory, add = state.v[lo:hi], state.refractory[lo:hi], drive[lo:hi]
        excitatory, inhibitory = arriving[lo:hi], arriving[n + lo : n + hi]
        leak, rest, reset = model.leak[g], model.rest[g], model.reset[g]
        # The jump comes first: it may carry v over the threshold within the step it falls into.
        for i in range(v.size):
            jumped = v[i] + excitatory[i] + inhibitory[i]
            asymptote = rest + add[i]
            moved = asymptote + (jumped - asymptote) * leak
            v[i] = reset if refractory[i] > 0 else moved
        _count_down(refractory)
        before = number
        number = _find(v, model.threshold[g], refractory, lo, found, number)
        for j in range(before, number):
            state.v[found[j]] = reset
            state.refractory[found[j]] = model.refractory[g]
    for i in range(arriving.size):
        arriving[i] = 0.0
    return number


@njit(inline="always")
def _approach(x):
    """(1 - exp(-x)) / x for x >= 0, with exp(x) as its Taylor polynomial of degree 4.

    One division instead of an exponential and two. Off by x^4 / 120, so that the potential, like
    the exact one, never passes its asymptote: 1 / polynomial stays between 0 and 1.
    """
    return (1.0 + x * (1 / 2 + x * (1 / 6 + x / 24))) / (
        1.0 + x * (1.0 + x * (1 / 2 + x * (1 / 6 + x / 24)))
    )


def _advance_conductance(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, refractory, add = state.v[lo:hi], state.refractory[lo:hi], drive[lo:hi]
        excitatory, inhibitory = state.synaptic[lo:hi], state.synaptic[n + lo : n + hi]
        per_c, leak, reset = model.step_over_capacitance[g], model.leak[g], model.reset[g]
        e_e, e_i = model.excitatory_reversal[g], model.inhibitory_reversal[g]
        half_e, half_i = model.excitatory_half[g], model.inhibitory_half[g]
        leak_current = leak * model.rest[g]
        # Conductances at the middle of the step: second order.
        for i in range(v.size):
            g_e, g_i = excitatory[i] * half_e, inhibitory[i] * half_i
            total = leak + g_e + g_i
            inward = leak_current + g_e * e_e + g_i * e_i + add[i] - total * v[i]
            moved = v[i] + per_c * inward * _approach(per_c * total)
            v[i] = reset if refractory[i] > 0 else moved
            excitatory[i] = g_e * half_e
            inhibitory[i] = g_i * half_i
        _count_down(refractory)
        before = number
        number = _find(v, model.threshold[g], refractory, lo, found, number)
        for j in range(before, number):
            state.v[found[j]] = reset
            state.refractory[found[j]] = model.refractory[g]
    return number


@njit(inline="always")
def _adex_slope(v, w, leak, rest, soft, slope, g_e, e_e, g_i, e_i, current):
    # The argument is bounded: the half step may look far beyond the spike's cut.
    upswing = leak * slope * exp(min((v - soft) / slope, 30.0))
    return -leak * (v - rest) + upswing - w + g_e * (e_e - v) + g_i * (e_i - v) + current


def _advance_adex(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, refractory, add = state.v[lo:hi], state.refractory[lo:hi], drive[lo:hi]
        excitatory, inhibitory = state.synaptic[lo:hi], state.synaptic[n + lo : n + hi]
        w = state.extra[0, lo:hi]
        per_c, leak, rest = model.step_over_capacitance[g], model.leak[g], model.rest[g]
        soft, slope = model.soft_threshold[g], model.slope[g]
        per_w, a, reset = model.adaptation_step[g], model.subthreshold[g], model.reset[g]
        cut = model.threshold[g]
        e_e, e_i = model.excitatory_reversal[g], model.inhibitory_reversal[g]
        half_e, half_i = model.excitatory_half[g], model.inhibitory_half[g]
        for i in range(v.size):  # explicit midpoint
            g_e, g_i = excitatory[i], inhibitory[i]
            first = _adex_slope(v[i], w[i], leak, rest, soft, slope, g_e, e_e, g_i, e_i, add[i])
            # Beyond the spike's cut the half step explodes: w must not see that.
            v_half = min(v[i] + 0.5 * per_c * first, cut)
            w_half = w[i] + 0.5 * per_w * (a * (v[i] - rest) - w[i])
            second = _adex_slope(
                v_half, w_half, leak, rest, soft, slope,
                g_e * half_e, e_e, g_i * half_i, e_i, add[i],
            )  # fmt: skip
            held = refractory[i] > 0
            w[i] += per_w * (a * ((reset if held else v_half) - rest) - w_half)
            v[i] = reset if held else v[i] + per_c * second
        decay(excitatory, half_e * half_e)
        decay(inhibitory, half_i * half_i)
        _count_down(refractory)
        before = number
        number = _find(v, model.threshold[g], refractory, lo, found, number)
        for j in range(before, number):
            state.v[found[j]] = reset
            state.extra[0, found[j]] += model.spike_triggered[g]
            state.refractory[found[j]] = model.refractory[g]
    return number


def _advance_izhikevich(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, u, add = state.v[lo:hi], state.extra[0, lo:hi], drive[lo:hi]
        excitatory, inhibitory = arriving[lo:hi], arriving[n + lo : n + hi]
        step, pulse, a, b = model.step[g], model.pulse[g], model.a[g], model.b[g]
        c, d = model.c[g], model.d[g]
        for i in range(v.size):
            current = add[i] + (excitatory[i] + inhibitory[i]) * pulse
            x = v[i]
            x += 0.5 * step * ((0.04 * x + 5.0) * x + 140.0 - u[i] + current)
            x += 0.5 * step * ((0.04 * x + 5.0) * x + 140.0 - u[i] + current)
            u[i] += step * a * (b * x - u[i])
            v[i] = x
        before = number
        number = _find(v, model.threshold[g], state.refractory[lo:hi], lo, found, number)
        for j in range(before, number):
            state.v[found[j]] = c
            state.extra[0, found[j]] += d
    for i in range(arriving.size):
        arriving[i] = 0.0
    return number


@njit(inline="always")
def _ratio(x):
    """x / (e^x - 1), which is 1 - x/2 at 0."""
    small = abs(x) < 1e-5
    safe = 1.0 if small else min(x, _EXP_LIMIT)
    return 1.0 - 0.5 * x if small else safe / (exp(safe) - 1.0)


@njit(inline="always")
def _bounded_exp(x):
    return exp(max(min(x, _EXP_LIMIT), -_EXP_LIMIT))


@njit(inline="always")
def _relax(gate, alpha, beta, step):
    total = alpha + beta
    asymptote = alpha / total
    return asymptote + (gate - asymptote) * exp(-min(step * total, _EXP_LIMIT))


def _advance_hodgkin_huxley(model, state, arriving, drive, found):
    n = state.v.size
    number = 0
    for g in range(model.start.size - 1):
        lo, hi = model.start[g], model.start[g + 1]
        v, refractory, add = state.v[lo:hi], state.refractory[lo:hi], drive[lo:hi]
        excitatory, inhibitory = state.synaptic[lo:hi], state.synaptic[n + lo : n + hi]
        m, k, h = state.extra[0, lo:hi], state.extra[1, lo:hi], state.extra[2, lo:hi]
        moved = state.extra[3, lo:hi]
        step, per_c, leak = model.step[g], model.step_over_capacitance[g], model.leak[g]
        sodium, potassium = model.sodium[g], model.potassium[g]
        leak_current = leak * model.rest[g]
        e_na, e_k, offset = model.sodium_reversal[g], model.potassium_reversal[g], model.offset[g]
        e_e, e_i = model.excitatory_reversal[g], model.inhibitory_reversal[g]
        half_e, half_i = model.excitatory_half[g], model.inhibitory_half[g]
        for i in range(v.size):
            g_na = sodium * m[i] * m[i] * m[i] * h[i]
            g_k = potassium * k[i] * k[i] * k[i] * k[i]
            g_e, g_i = excitatory[i] * half_e, inhibitory[i] * half_i
            total = leak + g_na + g_k + g_e + g_i
            inward = leak_current + g_na * e_na + g_k * e_k + g_e * e_e + g_i * e_i + add[i]
            asymptote = inward / total
            moved[i] = asymptote + (v[i] - asymptote) * exp(-min(per_c * total, _EXP_LIMIT))
        for i in range(v.size):
            x = v[i] - offset
            alpha = 1.28 * _ratio((13.0 - x) / 4.0)
            m[i] = _relax(m[i], alpha, 1.4 * _ratio((x - 40.0) / 5.0), step)
        for i in range(v.size):
            x = v[i] - offset
            alpha = 0.16 * _ratio((15.0 - x) / 5.0)
            k[i] = _relax(k[i], alpha, 0.5 * _bounded_exp((10.0 - x) / 40.0), step)
        for i in range(v.size):
            x = v[i] - offset
            alpha = 0.128 * _bounded_exp((17.0 - x) / 18.0)
            h[i] = _relax(h[i], alpha, 4.0 / (1.0 + _bounded_exp((40.0 - x) / 5.0)), step)
        for i in range(v.size):
            v[i] = moved[i]
        decay(excitatory, half_e * half_e)
        decay(inhibitory, half_i * half_i)
        _count_down(refractory)
        before = number
        number = _find(v, model.threshold[g], refractory, lo, found, number)
        for j in range(before, number):
            state.refractory[found[j]] = model.refractory[g]
    return number


_ADVANCE = {
    "CurrentConstants": _advance_current,
    "DeltaConstants": _advance_delta,
    "ConductanceConstants": _advance_conductance,
    "AdExConstants": _advance_adex,
    "IzhikevichConstants": _advance_izhikevich,
    "HodgkinHuxleyConstants": _advance_hodgkin_huxley,
}
