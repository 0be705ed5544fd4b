"""The simulator's loops, compiled: membrane equations, delivery of spikes, plasticity.

Time runs in steps of dt. In step k every unit first receives the input that is due at time k dt,
is then advanced from k dt to (k+1) dt, and spikes found after that are stamped (k+1) dt. A synapse
with a delay of d steps delivers at (k+1+d) dt; with d = 0 the next step begins with the input.

A neuron model is a NamedTuple of constants per *group*, a run of neighbouring units with equal
parameters, so that the loop over a group holds only scalars and arrays and is vectorised.
:func:`_advance` is chosen by that tuple's type when :func:`run_static` or :func:`run_delivering`
is compiled, so that each model gets a loop of its own from one source.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from neurokit_sdr.engines.vector_math import exp

#: The fast exp is exact for arguments within this range.
_EXP_LIMIT = 690.0

#: A division by zero gives infinity instead of an exception, and products may be fused with sums:
#: without either a loop is not vectorised. No flag lets sums be reordered.
_OPTIONS: Any = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}

#: Units looked at together for spikes: most blocks hold none, and a vector comparison says so.
_BLOCK = 64


class CurrentConstants(NamedTuple):
    """Exact propagators of the current-based LIF over one step, per group."""

    start: np.ndarray  # (group + 1,) first unit
    leak: np.ndarray  # exp(-dt / tau_m)
    excitatory: np.ndarray  # of the excitatory synaptic drive into v
    inhibitory: np.ndarray
    excitatory_decay: np.ndarray
    inhibitory_decay: np.ndarray
    rest: np.ndarray
    threshold: np.ndarray
    reset: np.ndarray
    refractory: np.ndarray  # steps


class DeltaConstants(NamedTuple):
    """The LIF whose synapses make v jump."""

    start: np.ndarray
    pulse: np.ndarray  # drive that moves v in one step as a jump of 1 mV does: tau_m / dt
    leak: np.ndarray
    rest: np.ndarray
    threshold: np.ndarray
    reset: np.ndarray
    refractory: np.ndarray


class ConductanceConstants(NamedTuple):
    """The conductance-based LIF."""

    start: np.ndarray
    step_over_capacitance: np.ndarray  # dt / C
    leak: np.ndarray  # g_L
    rest: np.ndarray
    excitatory_reversal: np.ndarray
    inhibitory_reversal: np.ndarray
    excitatory_half: np.ndarray  # exp(-dt / 2 tau)
    inhibitory_half: np.ndarray
    threshold: np.ndarray
    reset: np.ndarray
    refractory: np.ndarray


class AdExConstants(NamedTuple):
    """The adaptive exponential integrate-and-fire neuron."""

    start: np.ndarray
    step: np.ndarray  # ms
    step_over_capacitance: np.ndarray
    leak: np.ndarray
    rest: np.ndarray
    soft_threshold: np.ndarray
    slope: np.ndarray
    adaptation_step: np.ndarray  # dt / tau_w
    subthreshold: np.ndarray  # a
    spike_triggered: np.ndarray  # b
    excitatory_reversal: np.ndarray
    inhibitory_reversal: np.ndarray
    excitatory_half: np.ndarray
    inhibitory_half: np.ndarray
    threshold: np.ndarray
    reset: np.ndarray
    refractory: np.ndarray


class IzhikevichConstants(NamedTuple):
    """Izhikevich's two-variable neuron, with the published half steps."""

    start: np.ndarray
    step: np.ndarray  # ms
    pulse: np.ndarray  # height of a synaptic pulse of one step: 1 ms / dt
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    d: np.ndarray
    threshold: np.ndarray


class HodgkinHuxleyConstants(NamedTuple):
    """Sodium, potassium and leak, with the rates of Traub and Miles."""

    start: np.ndarray
    step: np.ndarray
    step_over_capacitance: np.ndarray
    leak: np.ndarray
    sodium: np.ndarray
    potassium: np.ndarray
    rest: np.ndarray
    sodium_reversal: np.ndarray
    potassium_reversal: np.ndarray
    offset: np.ndarray  # V_T
    excitatory_reversal: np.ndarray
    inhibitory_reversal: np.ndarray
    excitatory_half: np.ndarray
    inhibitory_half: np.ndarray
    threshold: np.ndarray
    refractory: np.ndarray


class State(NamedTuple):
    """What a unit carries from step to step."""

    v: np.ndarray  # (unit,)
    synaptic: np.ndarray  # (2 * unit,): excitatory, then inhibitory
    extra: np.ndarray  # (variable, unit): adaptation, recovery or gates
    refractory: np.ndarray  # (unit,) steps left


class Wiring(NamedTuple):
    """Synapses sorted by source. A target is a unit's place in the input: receptor * N + unit."""

    start: np.ndarray  # (unit + 1,)
    target: np.ndarray  # (synapse,)
    weight: np.ndarray
    delay: np.ndarray  # steps


class External(NamedTuple):
    """Input from outside the network."""

    drive: np.ndarray  # (unit,)
    loading: np.ndarray  # (latent, unit)
    latent: np.ndarray  # (frame, latent)
    frame_steps: int
    noise: np.ndarray  # (unit,) sd per step
    poisson_target: np.ndarray  # (source,) place in the input
    poisson_mean: np.ndarray  # events per step
    poisson_weight: np.ndarray
    forced_step: np.ndarray  # sorted
    forced_unit: np.ndarray


class Recording(NamedTuple):
    """Where a chunk is written."""

    step: np.ndarray  # (capacity,) of each spike
    unit: np.ndarray
    voltage: np.ndarray  # (sample, recorded unit)
    voltage_unit: np.ndarray
    current: np.ndarray  # (sample, population)
    population: np.ndarray  # (unit,)
    sample_steps: int
    current_steps: int  # between readings of the current, of which a sample is the mean


class Plasticity(NamedTuple):
    """A pair rule, its traces, and the synapses that learn."""

    plastic: np.ndarray  # (synapse,) bool
    incoming_start: np.ndarray  # (unit + 1,) by target
    incoming: np.ndarray  # plastic synapses by target
    source: np.ndarray  # (synapse,)
    trace_pre: np.ndarray  # (slot, unit): before the spikes of that moment
    run_pre: np.ndarray  # (unit,)
    run_post: np.ndarray
    decay_pre: float
    decay_post: float
    on_pre: float  # times the trace of the target, at a presynaptic arrival
    on_pre_constant: float
    on_post: float  # times the trace of the source, at a postsynaptic spike
    low: float
    high: float
    nearest: bool
    change: np.ndarray  # (synapse,) changes that wait, when update_steps > 0
    update_steps: int
    drift: float
    keep: float


class Dendrites(NamedTuple):
    """Segments and what they remember: the last `threshold` arrivals of each."""

    unit: np.ndarray  # (segment,)
    arrivals: np.ndarray  # (segment, threshold) steps, a ring
    position: np.ndarray  # (segment,)
    until: np.ndarray  # (segment,) step at which the plateau ends
    unit_until: np.ndarray  # (unit,)
    window: int
    duration: int
    amplitude: np.ndarray  # (unit,)
    event_step: np.ndarray  # recorded plateaus, (capacity,)
    event_segment: np.ndarray


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
def _decay(values, factor):
    for i in range(values.size):
        values[i] *= factor


@njit(inline="always")
def _count_down(refractory):
    for i in range(refractory.size):
        refractory[i] -= refractory[i] > 0


def _advance(model: Any, state: Any, arriving: Any, drive: Any, found: Any) -> Any:
    """Advance all units by one step; write those that spike to `found`, return their number."""


@overload(_advance, jit_options=_OPTIONS)
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
        _decay(excitatory, half_e * half_e)
        _decay(inhibitory, half_i * half_i)
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
        _decay(excitatory, half_e * half_e)
        _decay(inhibitory, half_i * half_i)
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


def _receive(model: Any, state: Any, arriving: Any) -> Any:
    """Move a step's input into the synaptic state, and empty its place in the ring."""


@overload(_receive, jit_options=_OPTIONS)
def _choose_receive(model, state, arriving):
    if not keeps_input(model.instance_class):
        return lambda model, state, arriving: None

    def receive(model, state, arriving):
        for i in range(arriving.size):
            state.synaptic[i] += arriving[i]
        for i in range(arriving.size):
            arriving[i] = 0.0

    return receive


def keeps_input(constants: type) -> bool:
    """Whether a model's input lives on in synaptic variables, or acts in its own step alone."""
    return constants not in (DeltaConstants, IzhikevichConstants)


def _synaptic_current(model: Any, state: Any, arriving: Any, i: Any) -> Any:
    """Synaptic current into unit i, inward positive, once a step's input is received.

    Pulses count as the steady drive that does the same in one step.
    """


@overload(_synaptic_current, jit_options=_OPTIONS)
def _choose_current(model, state, arriving, i):
    fields = model.instance_class._fields
    if "excitatory_reversal" in fields:

        def by_conductance(model, state, arriving, i):
            n = state.v.size
            g = 0
            while model.start[g + 1] <= i:
                g += 1
            inward = state.synaptic[i] * (model.excitatory_reversal[g] - state.v[i])
            return inward + state.synaptic[n + i] * (model.inhibitory_reversal[g] - state.v[i])

        return by_conductance

    if keeps_input(model.instance_class):
        return lambda model, state, arriving, i: (
            state.synaptic[i] + state.synaptic[state.v.size + i]
        )

    def by_pulse(model, state, arriving, i):
        g = 0
        while model.start[g + 1] <= i:
            g += 1
        return (arriving[i] + arriving[state.v.size + i]) * model.pulse[g]

    return by_pulse


@njit(inline="always")
def _poisson(mean, rng):
    """A Poisson number by inversion; in parts where exp(-mean) would underflow."""
    total = 0
    while mean > 0.0:
        part = min(mean, 500.0)
        mean -= part
        p = np.exp(-part)
        u = rng.random()
        k = 0
        while u > p and p > 0.0:
            u -= p
            k += 1
            p *= part / k
        total += k
    return total


@njit(inline="always")
def _external(external, step, arriving, steady, drive, rng_poisson, rng_noise):
    """Add this step's Poisson events to `arriving`, and return this step's drive.

    A generator is None where there is nothing to draw: the loop is then compiled without.
    """
    n = drive.size
    if step % external.frame_steps == 0 or step == 0:
        frame = min(step // external.frame_steps, external.latent.shape[0] - 1)
        for i in range(n):
            steady[i] = external.drive[i]
        for k in range(external.loading.shape[0]):
            z = external.latent[frame, k]
            row = external.loading[k]
            for i in range(n):
                steady[i] += z * row[i]
    if rng_poisson is not None:
        for j in range(external.poisson_target.size):
            k = _poisson(external.poisson_mean[j], rng_poisson)
            if k:
                arriving[external.poisson_target[j]] += k * external.poisson_weight[j]
    # Compiled in one branch alone; with `else`, because only then is the other left out.
    if rng_noise is None:
        return steady
    else:
        for i in range(n):
            drive[i] = steady[i] + external.noise[i] * rng_noise.standard_normal()
        return drive


@njit(inline="always")
def _first_forced(external, step):
    pointer = 0
    while pointer < external.forced_step.size and external.forced_step[pointer] < step:
        pointer += 1
    return pointer


@njit(inline="always")
def _force(external, step, pointer, found, number):
    """Append the spikes that are imposed at the end of this step, once each."""
    # Not searchsorted, nor slices assigned anywhere here: they double the time of compilation.
    while pointer < external.forced_step.size and external.forced_step[pointer] <= step:
        unit = external.forced_unit[pointer]
        twice = False
        for j in range(number):
            twice |= found[j] == unit
        if external.forced_step[pointer] == step and not twice:
            found[number] = unit
            number += 1
        pointer += 1
    return pointer, number


@njit(inline="always")
def _record(model, state, arriving, recording, step):
    sample = step // recording.sample_steps
    if step % recording.sample_steps == 0:
        for j in range(recording.voltage_unit.size):
            recording.voltage[sample, j] = state.v[recording.voltage_unit[j]]
    if recording.current.shape[1] and step % recording.current_steps == 0:
        share = recording.current_steps / recording.sample_steps
        for i in range(state.v.size):
            current = _synaptic_current(model, state, arriving, i)
            recording.current[sample, recording.population[i]] += share * current


@njit(cache=True, **_OPTIONS)
def run_static(
    model, state, ring, direct, wiring, external, steady, recording, step, stop, rng_poisson,
    rng_noise,
):  # fmt: skip
    """Run steps `step` to `stop` with fixed weights, pushing each spike into a ring of inputs.

    With `direct`, where no synapse has a delay and the model keeps its input, spikes go straight
    into the synaptic variables.
    Returns the step reached and the number of spikes: earlier than `stop` where the record is
    full, to be emptied and called again.
    """
    n = state.v.size
    n_slots = ring.shape[0]
    found = np.empty(2 * n, np.int32)
    drive = np.empty(n)
    written = 0
    recorded = recording.voltage_unit.size + recording.current.shape[1] > 0
    pointer = _first_forced(external, step)
    while step < stop and written + n <= recording.step.size:
        arriving = state.synaptic if direct else ring[step % n_slots]
        total = _external(external, step, arriving, steady, drive, rng_poisson, rng_noise)
        if not direct:
            _receive(model, state, arriving)
        if recorded:
            _record(model, state, arriving, recording, step)
        number = _advance(model, state, arriving, total, found)
        pointer, number = _force(external, step, pointer, found, number)
        step += 1
        for j in range(number):
            source = found[j]
            recording.step[written] = step
            recording.unit[written] = source
            written += 1
            if n_slots == 1:
                place = state.synaptic if direct else ring[0]
                for k in range(wiring.start[source], wiring.start[source + 1]):
                    place[wiring.target[k]] += wiring.weight[k]
            else:
                for k in range(wiring.start[source], wiring.start[source + 1]):
                    slot = (step + wiring.delay[k]) % n_slots
                    ring[slot, wiring.target[k]] += wiring.weight[k]
    return step, written


@njit(inline="always")
def _arrive(dendrites, segment, step):
    """One input at a segment; True where it starts a plateau."""
    ring = dendrites.arrivals[segment]
    position = dendrites.position[segment]
    ring[position] = step
    position = (position + 1) % ring.size
    dendrites.position[segment] = position
    # The next place holds the oldest of the last `threshold` arrivals, this one included.
    coincident = step - ring[position] < dendrites.window
    if not coincident or step < dendrites.until[segment]:
        return False
    end = step + dendrites.duration
    unit = dendrites.unit[segment]
    dendrites.until[segment] = end
    dendrites.unit_until[unit] = max(end, dendrites.unit_until[unit])
    return True


@njit(inline="always")
def _bounded(value, low, high):
    return min(max(value, low), high)


@njit(cache=True, **_OPTIONS)
def run_delivering(
    model, state, ring, wiring, delays, pointer_by_delay, history, history_number, plasticity,
    dendrites, external, steady, recording, step, stop, rng_poisson, rng_noise,
):  # fmt: skip
    """Run steps with synapses looked up when their spikes arrive: for weights that change, and
    for dendritic segments.

    `delays` are the distinct delays in steps, `pointer_by_delay` of shape (unit, delay + 1) where
    the synapses of each begin, `history` of shape (slot, unit) the spikes of the last steps.
    Returns the step reached, the number of spikes and of plateaus.
    """
    n = state.v.size
    n_slots = history.shape[0]
    found = np.empty(2 * n, np.int32)
    drive = np.empty(n)
    written = 0
    plateaus = 0
    recorded = recording.voltage_unit.size + recording.current.shape[1] > 0
    forced = _first_forced(external, step)
    learning = plasticity.incoming.size > 0
    n_segments = dendrites.unit.size
    arriving = ring[0]
    while (
        step < stop
        and written + n <= recording.step.size
        and plateaus + n_segments <= dendrites.event_step.size
    ):
        total = _external(external, step, arriving, steady, drive, rng_poisson, rng_noise)
        _receive(model, state, arriving)
        if recorded:
            _record(model, state, arriving, recording, step)
        if n_segments:
            for i in range(n):
                plateau = dendrites.amplitude[i] if step < dendrites.unit_until[i] else 0.0
                drive[i] = total[i] + plateau
            total = drive
        number = _advance(model, state, arriving, total, found)
        forced, number = _force(external, step, forced, found, number)
        step += 1
        now = step % n_slots
        history_number[now] = number
        for j in range(number):
            history[now, j] = found[j]
            recording.step[written] = step
            recording.unit[written] = found[j]
            written += 1
        if learning:
            _decay(plasticity.run_pre, plasticity.decay_pre)
            _decay(plasticity.run_post, plasticity.decay_post)
            for i in range(n):
                plasticity.trace_pre[now, i] = plasticity.run_pre[i]
            for j in range(number):
                target = found[j]
                for q in range(
                    plasticity.incoming_start[target], plasticity.incoming_start[target + 1]
                ):
                    k = plasticity.incoming[q]
                    past = (step - wiring.delay[k]) % n_slots
                    change = plasticity.on_post * plasticity.trace_pre[past, plasticity.source[k]]
                    if plasticity.update_steps:
                        plasticity.change[k] += change
                    else:
                        wiring.weight[k] = _bounded(
                            wiring.weight[k] + change, plasticity.low, plasticity.high
                        )
            for j in range(number):
                unit = found[j]
                if plasticity.nearest:
                    plasticity.run_pre[unit] = 1.0
                    plasticity.run_post[unit] = 1.0
                else:
                    plasticity.run_pre[unit] += 1.0
                    plasticity.run_post[unit] += 1.0
        for q in range(delays.size):
            past = (step - delays[q]) % n_slots
            if delays[q] > step:
                continue
            for j in range(history_number[past]):
                source = history[past, j]
                for k in range(pointer_by_delay[source, q], pointer_by_delay[source, q + 1]):
                    target = wiring.target[k]
                    if target >= 2 * n:
                        if _arrive(dendrites, target - 2 * n, step):
                            dendrites.event_step[plateaus] = step
                            dendrites.event_segment[plateaus] = target - 2 * n
                            plateaus += 1
                        continue
                    arriving[target] += wiring.weight[k]
                    if learning and plasticity.plastic[k]:
                        trace = plasticity.run_post[target % n]
                        change = plasticity.on_pre * trace + plasticity.on_pre_constant
                        if plasticity.update_steps:
                            plasticity.change[k] += change
                        else:
                            wiring.weight[k] = _bounded(
                                wiring.weight[k] + change, plasticity.low, plasticity.high
                            )
        if plasticity.update_steps and step % plasticity.update_steps == 0:
            for k in range(wiring.weight.size):
                if plasticity.plastic[k]:
                    wiring.weight[k] = _bounded(
                        wiring.weight[k] + plasticity.drift + plasticity.change[k],
                        plasticity.low,
                        plasticity.high,
                    )
                    plasticity.change[k] *= plasticity.keep
    return step, written, plateaus
