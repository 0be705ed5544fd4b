"""Constants of the neuron models over one step.

A neuron model is a NamedTuple of constants per *group*, a run of neighbouring units with equal
parameters, so that the loop over a group holds only scalars and arrays and is vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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


def keeps_input(constants: type) -> bool:
    """Whether a model's input lives on in synaptic variables, or acts in its own step alone."""
    return constants not in (DeltaConstants, IzhikevichConstants)
