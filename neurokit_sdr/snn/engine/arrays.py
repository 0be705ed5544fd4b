"""What a loop reads and writes beside the model's constants."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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
