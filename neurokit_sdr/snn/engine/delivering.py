"""The loop of networks that learn or have dendrites: synapses are read when spikes arrive."""

from __future__ import annotations

import numpy as np
from numba import njit

from neurokit_sdr.snn.engine.inputs import external_input, first_forced, force, receive
from neurokit_sdr.snn.engine.membrane import advance, decay
from neurokit_sdr.snn.engine.options import OPTIONS
from neurokit_sdr.snn.engine.recording import record


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


@njit(cache=True, **OPTIONS)
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
    forced = first_forced(external, step)
    learning = plasticity.incoming.size > 0
    n_segments = dendrites.unit.size
    arriving = ring[0]
    while (
        step < stop
        and written + n <= recording.step.size
        and plateaus + n_segments <= dendrites.event_step.size
    ):
        total = external_input(external, step, arriving, steady, drive, rng_poisson, rng_noise)
        receive(model, state, arriving)
        if recorded:
            record(model, state, arriving, recording, step)
        if n_segments:
            for i in range(n):
                plateau = dendrites.amplitude[i] if step < dendrites.unit_until[i] else 0.0
                drive[i] = total[i] + plateau
            total = drive
        number = advance(model, state, arriving, total, found)
        forced, number = force(external, step, forced, found, number)
        step += 1
        now = step % n_slots
        history_number[now] = number
        for j in range(number):
            history[now, j] = found[j]
            recording.step[written] = step
            recording.unit[written] = found[j]
            written += 1
        if learning:
            decay(plasticity.run_pre, plasticity.decay_pre)
            decay(plasticity.run_post, plasticity.decay_post)
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
