"""Potentials and synaptic currents, sampled."""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.extending import overload

from neurokit_sdr.snn.engine.constants import keeps_input
from neurokit_sdr.snn.engine.options import OPTIONS


def synaptic_current(model: Any, state: Any, arriving: Any, i: Any) -> Any:
    """Synaptic current into unit i, inward positive, once a step's input is received.

    Pulses count as the steady drive that does the same in one step.
    """


@overload(synaptic_current, jit_options=OPTIONS)
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
def record(model, state, arriving, recording, step):
    sample = step // recording.sample_steps
    if step % recording.sample_steps == 0:
        for j in range(recording.voltage_unit.size):
            recording.voltage[sample, j] = state.v[recording.voltage_unit[j]]
    if recording.current.shape[1] and step % recording.current_steps == 0:
        share = recording.current_steps / recording.sample_steps
        for i in range(state.v.size):
            current = synaptic_current(model, state, arriving, i)
            recording.current[sample, recording.population[i]] += share * current
