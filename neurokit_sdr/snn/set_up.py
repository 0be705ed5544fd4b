"""From a network's parameters to the arrays of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.snn.engine.arrays import (
    Dendrites,
    External,
    Plasticity,
    Recording,
    State,
    Wiring,
)
from neurokit_sdr.snn.engine.constants import keeps_input
from neurokit_sdr.snn.latents import Sample
from neurokit_sdr.snn.network import Network, per_unit
from neurokit_sdr.snn.neurons import DendriticLIF
from neurokit_sdr.snn.synapses import check_memory

#: Spikes the engine writes before they are put aside.
SPIKE_BUFFER = 1 << 18

#: A segment that has not yet received anything remembers inputs from this step.
NEVER = -(1 << 40)


class Delivery(NamedTuple):
    """What the loop needs that looks synapses up when their spikes arrive.

    Attributes
    ----------
    delays
        The distinct delays in steps, shape (delay,).
    pointer
        Where the synapses of each source and delay begin, shape (unit, delay + 1).
    history
        Who spiked in the last steps, shape (slot, unit), and how many, shape (slot,).
    plasticity, dendrites
        Empty where nothing learns and where there are no segments.
    """

    delays: np.ndarray
    pointer: np.ndarray
    history: np.ndarray
    history_number: np.ndarray
    plasticity: Plasticity
    dendrites: Dendrites


class Connections(NamedTuple):
    """The synapses, as one of the loops reads them.

    Attributes
    ----------
    order
        Of the network's synapses in the wiring.
    wiring
        With weights that may change.
    scale
        Factors of the weights in each state, shape (state, synapse), or None.
    ring
        Input that is on its way, shape (slot, 2 * unit).
    direct
        Whether spikes go straight into the synaptic variables.
    delivery
        None where weights stay and spikes are pushed.
    """

    order: Any
    wiring: Wiring
    scale: np.ndarray | None
    ring: np.ndarray
    direct: bool
    delivery: Delivery | None


def set_up_units(network: Network) -> tuple[Any, State]:
    """The model's constants, and the state before the first step."""
    n, neuron = network.n_units, network.neuron
    model = neuron.constants(n, network.dt)
    values = neuron.resting(n) | {
        name: per_unit(name, value, n) for name, value in network.initial.items()
    }
    # One row more than HodgkinHuxley's gates: scratch space of its loop.
    extra = np.zeros((len(neuron.extra_variables) + 1, n))
    for row, name in enumerate(neuron.extra_variables):
        extra[row] = values[name]
    synaptic = np.zeros(2 * n)
    synaptic[:n] = values.get("excitatory", 0.0)
    synaptic[n:] = values.get("inhibitory", 0.0)
    v = values["v"].astype(float).copy()
    return model, State(v, synaptic, extra, np.zeros(n, np.int32))


def set_up_inputs(network: Network, n_steps: int, seed: int) -> tuple[External, Sample | None]:
    """Input from outside, and the states and latents it was drawn with."""
    n, dt, inputs = network.n_units, network.dt, network.inputs
    sample: Sample | None = None
    latent, loading, frame_steps = np.zeros((1, 0)), np.zeros((0, n)), max(n_steps, 1)
    if inputs.process is not None:
        frame_steps = round(inputs.process.frame_interval / dt)
        n_frames = -(-n_steps // frame_steps)
        sample = inputs.process.sample(n_frames, stream(seed, "latents"))
        latent = np.ascontiguousarray(sample.latent, float)
        loading = np.ascontiguousarray(np.asarray(inputs.loading, float).T)
        if loading.shape[0] != latent.shape[1]:
            raise ParameterError(
                f"Expected a loading for each of {latent.shape[1]} latents, got {loading.shape[0]}."
            )
        readout = network.behavior
        shape = () if readout is None else np.shape(readout)
        if readout is not None and (len(shape) != 2 or shape[0] != latent.shape[1]):
            raise ParameterError(
                f"Expected a behavior of shape ({latent.shape[1]}, output), got {shape}."
            )
    noise = per_unit("noise", inputs.noise, n)
    rate = per_unit("poisson_rate", inputs.poisson_rate, n)
    weight = per_unit("poisson_weight", inputs.poisson_weight, n)
    fed = np.flatnonzero((rate > 0) & (weight != 0))
    inhibits = (weight[fed] < 0).astype(np.int64)
    forced_step = np.rint(np.asarray(inputs.forced_time, float) / dt).astype(np.int64)
    order = np.argsort(forced_step, kind="stable")
    external = External(
        drive=per_unit("drive", inputs.drive, n),
        loading=loading,
        latent=latent,
        frame_steps=frame_steps,
        noise=network.neuron.noise_per_step(noise, dt) if noise.any() else np.zeros(0),
        poisson_target=inhibits * n + fed,
        poisson_mean=rate[fed] * dt,
        poisson_weight=weight[fed],
        # A spike forced at time t is found at the end of the step before.
        forced_step=forced_step[order] - 1,
        forced_unit=np.asarray(inputs.forced_unit, np.int64)[order],
    )
    return external, sample


def set_up_synapses(network: Network, model: Any, sample: Sample | None) -> Connections:
    """The synapses for one of the two loops."""
    n, dt, s = network.n_units, network.dt, network.synapses
    delay = np.rint(s.delay / dt).astype(np.int32)
    on_segment = s.segment >= 0
    delivering = network.plasticity is not None or isinstance(network.neuron, DendriticLIF)
    order: Any = slice(None)  # as networks usually come: no sorting, no copies
    if delivering:
        order = np.lexsort((delay, s.source))
    elif (s.source[1:] < s.source[:-1]).any():
        order = np.argsort(s.source, kind="stable")
    place = s.receptor.astype(np.int32) * np.int32(n) + s.target
    place[on_segment] = 2 * n + s.segment[on_segment]
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(s.source, minlength=n), out=start[1:])
    wiring = Wiring(
        start,
        np.ascontiguousarray(place[order]),
        # A copy: learning and states change it.
        np.array(s.weight[order], float),
        np.ascontiguousarray(delay[order]),
    )
    scale = None
    if network.weight_scale is not None:
        scale = np.asarray(network.weight_scale, float)[:, order]
        if sample is None or sample.state is None:
            raise ParameterError("Expected a process with states beside weight_scale.")
        n_states = int(sample.state.max(initial=-1)) + 1
        if n_states > len(scale):
            raise ParameterError(
                f"Expected weight_scale for each of {n_states} states, got {len(scale)}."
            )
    n_slots = (int(delay.max()) if delay.size else 0) + 1
    if not delivering:
        direct = n_slots == 1 and keeps_input(type(model))
        return Connections(order, wiring, scale, np.zeros((n_slots, 2 * n)), direct, None)
    delays = np.unique(delay).astype(np.int64)
    source = s.source[order]
    # Where the synapses of each source and delay begin, in the order of both.
    key = source.astype(np.int64) * delays.size + np.searchsorted(delays, delay[order])
    edges = np.searchsorted(key, np.arange(n * delays.size + 1))
    rows = np.arange(n)[:, None] * delays.size + np.arange(delays.size + 1)
    learning = set_up_plasticity(
        network, wiring.weight, source, s.target[order], s.receptor[order], on_segment[order],
        n_slots,
    )  # fmt: skip
    delivery = Delivery(
        delays,
        np.ascontiguousarray(edges[rows]),
        np.zeros((n_slots, n), np.int32),
        np.zeros(n_slots, np.int64),
        learning,
        set_up_dendrites(network),
    )
    return Connections(order, wiring, scale, np.zeros((1, 2 * n)), False, delivery)


def set_up_plasticity(
    network: Network,
    weight: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    receptor: np.ndarray,
    on_segment: np.ndarray,
    n_slots: int,
) -> Plasticity:
    """Which synapses learn, and by what. Arrays of shape (synapse,), in the wiring's order."""
    n, dt = network.n_units, network.dt
    rule = network.plasticity
    plastic = np.zeros(source.size, bool)
    if rule is not None:
        plastic = (receptor == rule.receptor) & ~on_segment
        for chosen, units in ((rule.sources, source), (rule.targets, target)):
            if chosen is not None:
                parts = [np.array(network.units(name)) for name in chosen]
                plastic &= np.isin(units, np.concatenate(parts))
    learns = np.flatnonzero(plastic)
    if rule is not None and learns.size:
        first = weight[learns]
        if first.min() < rule.low or first.max() > rule.high:
            raise ParameterError(
                f"Expected weights that learn within the rule's bounds, {rule.low:g} to "
                f"{rule.high:g}, got {first.min():g} to {first.max():g}: give low= and high= "
                f"that hold them (inhibitory weights of current-based models are negative), or "
                f"name the populations that learn."
            )
    by_target = learns[np.argsort(target[learns], kind="stable")]
    incoming_start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(target[learns], minlength=n), out=incoming_start[1:])
    waits = rule is not None and rule.update_interval is not None
    return Plasticity(
        plastic=plastic,
        incoming_start=incoming_start,
        incoming=by_target.astype(np.int64),
        source=source.astype(np.int32),
        trace_pre=np.zeros((n_slots, n)),
        run_pre=np.zeros(n),
        run_post=np.zeros(n),
        decay_pre=float(np.exp(-dt / rule.tau_pre)) if rule else 0.0,
        decay_post=float(np.exp(-dt / rule.tau_post)) if rule else 0.0,
        on_pre=float(rule.depression) if rule else 0.0,
        on_pre_constant=float(rule.arrival) if rule else 0.0,
        on_post=float(rule.potentiation) if rule else 0.0,
        low=float(rule.low) if rule else 0.0,
        high=float(rule.high) if rule else 0.0,
        nearest=bool(rule.nearest) if rule else False,
        change=np.zeros(source.size if waits else 0),
        update_steps=round(rule.update_interval / dt) if rule and rule.update_interval else 0,
        drift=float(rule.drift) if rule else 0.0,
        keep=float(rule.keep) if rule else 0.0,
    )


def set_up_dendrites(network: Network) -> Dendrites:
    """Segments that have received nothing yet."""
    n, dt = network.n_units, network.dt
    # Without segments there is nothing to remember; the engine wants the arrays all the same.
    neuron = network.neuron if isinstance(network.neuron, DendriticLIF) else None
    per_cell = int(neuron.n_segments) if neuron else 0
    threshold = int(neuron.segment_threshold) if neuron else 1
    total = n * per_cell
    check_memory(total * threshold * 8, f"{total} segments that remember {threshold} inputs")
    capacity = max(1, 2 * total)
    return Dendrites(
        unit=np.repeat(np.arange(n), per_cell),
        arrivals=np.full((total, threshold), NEVER, np.int64),
        position=np.zeros(total, np.int64),
        until=np.zeros(total, np.int64),
        unit_until=np.zeros(n, np.int64),
        window=max(1, round(neuron.coincidence_window / dt)) if neuron else 1,
        duration=max(1, round(neuron.plateau_duration / dt)) if neuron else 1,
        amplitude=per_unit("plateau_drive", neuron.plateau_drive if neuron else 0.0, n),
        event_step=np.zeros(capacity, np.int64),
        event_segment=np.zeros(capacity, np.int64),
    )


def set_up_recording(
    network: Network,
    n_steps: int,
    voltage: bool | Sequence[int],
    current: bool,
    interval: float,
    model: Any,
) -> Recording:
    """Where spikes are written, and what else was asked for."""
    n = network.n_units
    if isinstance(voltage, bool | np.bool_):
        units = np.arange(n if voltage else 0)
    else:
        units = np.asarray(voltage)
        if units.ndim != 1 or (units.size and units.dtype.kind not in "iu"):
            raise ParameterError(
                f"Expected record_voltage as True, False or a list of units, got {voltage!r}."
            )
        units = units.astype(np.int64)
        if units.size and (units.min() < 0 or units.max() >= n):
            raise ParameterError(f"Expected record_voltage among {n} units, got {units}.")
    sample_steps = round(interval / network.dt)
    if abs(interval / network.dt - sample_steps) > 1e-6:
        raise ParameterError(
            f"Expected sampling_interval as a multiple of dt ({network.dt:g} s), got {interval:g}."
        )
    n_samples = -(-n_steps // sample_steps)
    n_populations = len(network.populations) if current else 0
    check_memory(
        8.0 * n_samples * (units.size + n_populations),
        f"Recording {units.size} potentials for {n_samples} samples",
    )
    capacity = max(SPIKE_BUFFER, 2 * n)
    return Recording(
        step=np.zeros(capacity, np.int64),
        unit=np.zeros(capacity, np.int32),
        voltage=np.zeros((n_samples, units.size)),
        voltage_unit=units.astype(np.int64),
        current=np.zeros((n_samples, n_populations)),
        population=np.repeat(
            np.arange(len(network.populations)), list(network.populations.values())
        ),
        sample_steps=sample_steps,
        # A pulse between two samples would be missed.
        current_steps=sample_steps if keeps_input(type(model)) else 1,
    )
