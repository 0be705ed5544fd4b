"""The loop of networks whose weights stay: each spike is pushed to its targets as it is found."""

from __future__ import annotations

import numpy as np
from numba import njit

from neurokit_sdr.snn.engine.inputs import external_input, first_forced, force, receive
from neurokit_sdr.snn.engine.membrane import advance
from neurokit_sdr.snn.engine.options import OPTIONS
from neurokit_sdr.snn.engine.recording import record


@njit(cache=True, **OPTIONS)
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
    pointer = first_forced(external, step)
    while step < stop and written + n <= recording.step.size:
        arriving = state.synaptic if direct else ring[step % n_slots]
        total = external_input(external, step, arriving, steady, drive, rng_poisson, rng_noise)
        if not direct:
            receive(model, state, arriving)
        if recorded:
            record(model, state, arriving, recording, step)
        number = advance(model, state, arriving, total, found)
        pointer, number = force(external, step, pointer, found, number)
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
