"""Run a network, and label what it did."""

from __future__ import annotations

import json
import numbers
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.checkpoint import Checkpoint
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, resolve_seed, stream
from neurokit_sdr.snn import _engine as engine
from neurokit_sdr.snn.latents import Sample
from neurokit_sdr.snn.network import DENSE_LIMIT, Network, per_unit
from neurokit_sdr.snn.neurons import DendriticLIF
from neurokit_sdr.snn.synapses import INHIBITORY, check_memory

#: Wall seconds between two writes of a checkpoint.
CHECKPOINT_SECONDS = 30.0

#: Biological seconds between two looks at the bar, Ctrl-C and the checkpoint.
_CHUNK_SECONDS = 0.25

#: Spikes the engine writes before they are put aside.
_SPIKE_BUFFER = 1 << 18

#: A segment that has not yet received anything remembers inputs from this step.
_NEVER = -(1 << 40)


def simulate(
    network: Network,
    duration: float,
    *,
    rng: RNG = None,
    record_voltage: bool | Sequence[int] = False,
    record_current: bool = False,
    sampling_interval: float = 1e-3,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
) -> xr.DataTree:
    """Simulate a network with every spike recorded, and its truth beside it.

    One thread, whatever the machine: the same seed gives the same spikes everywhere on one
    architecture. Many runs go through :func:`neurokit_sdr.core.parallel.map_tasks`.

    Parameters
    ----------
    network
        A :class:`Network`.
    duration
        Seconds, rounded to whole steps.
    rng
        Seed or generator of noise, Poisson input and latents (the wiring has its own seed).
    record_voltage
        True for every unit, or a list of units.
    record_current
        Whether to record the synaptic current summed over each population, in the unit of the
        model's drive, inward positive. Where synapses act in pulses (``DeltaLIF``,
        ``Izhikevich``) each sample is the mean over the interval that begins at its time.
    sampling_interval
        Of voltage and current, s.
    progress
        Whether to show a bar.
    checkpoint
        A path: the state is written there about every 30 s, and a run that was killed goes on
        from it to the identical spikes. Needs an int ``rng``. Deleted at the end.

    Returns
    -------
    xarray.DataTree
        ``/spikes`` in the readers' schema, with ``population(unit)``; ``/truth`` with
        ``synapse_source, synapse_target, synapse_weight, synapse_delay (synapse)``, up to 2000
        units ``weight(target, source)`` (negative where it inhibits, 0 where there is no synapse),
        ``latent(time, latent_index)``, ``state(time)`` and what else the network's maker knows; on
        request ``/voltage`` (``voltage(time, unit)``, mV) and ``/current``
        (``synaptic_current(time, population)``, inward positive). Learnt weights are
        ``final_synapse_weight``. Plateaus of dendritic segments are ``/plateaus``.

    Raises
    ------
    ParameterError
        If an argument is out of range, or the recording would not fit into memory.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.snn.simulate(nks.snn.cuba(n_units=400, rng=0), 0.2, rng=0, progress=False)
    >>> session["spikes"].sizes["unit"]
    400
    """
    run = _Run(
        network, duration, rng, record_voltage, record_current, sampling_interval, checkpoint
    )
    run.go(progress)
    return run.labelled()


class _Run:
    """The arrays of one simulation, from the network's parameters to the recorded session."""

    def __init__(
        self,
        network: Network,
        duration: float,
        rng: RNG,
        record_voltage: bool | Sequence[int],
        record_current: bool,
        sampling_interval: float,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        if not isinstance(network, Network):
            raise ParameterError(
                f"Expected a Network, got {type(network).__name__}: nks.snn.cuba() makes one."
            )
        dt = network.dt
        for name, value in (("duration", duration), ("sampling_interval", sampling_interval)):
            number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or value < dt:
                raise ParameterError(
                    f"Expected {name} in seconds, at least one step of {dt:g} s, got {value!r}."
                )
        if checkpoint is not None and not isinstance(rng, numbers.Integral):
            raise ParameterError(
                "Expected an int rng with a checkpoint: without one every call would begin "
                "another run."
            )
        self.network, self.seed = network, resolve_seed(rng)
        self.n_steps = round(duration / dt)
        self.step = 0
        self._set_up_units()
        self._set_up_inputs()
        self._set_up_synapses()
        self._set_up_recording(record_voltage, record_current, sampling_interval)
        self.checkpoint = Checkpoint(
            checkpoint,
            {
                "simulation": network.fingerprint() if checkpoint is not None else "",
                "seed": self.seed,
                "steps": self.n_steps,
                "recorded": [self.recording.voltage_unit.tolist(), bool(record_current)],
                "sample_steps": self.recording.sample_steps,
            },
        )

    def _set_up_units(self) -> None:
        network = self.network
        n, neuron = network.n_units, network.neuron
        self.model = neuron.constants(n, network.dt)
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
        self.state = engine.State(v, synaptic, extra, np.zeros(n, np.int32))

    def _set_up_inputs(self) -> None:
        network, n, dt = self.network, self.network.n_units, self.network.dt
        inputs = network.inputs
        self.sample: Sample | None = None
        latent, loading, frame_steps = np.zeros((1, 0)), np.zeros((0, n)), max(self.n_steps, 1)
        if inputs.process is not None:
            frame_steps = round(inputs.process.frame_interval / dt)
            n_frames = -(-self.n_steps // frame_steps)
            self.sample = inputs.process.sample(n_frames, stream(self.seed, "latents"))
            latent = np.ascontiguousarray(self.sample.latent, float)
            loading = np.ascontiguousarray(np.asarray(inputs.loading, float).T)
            if loading.shape[0] != latent.shape[1]:
                raise ParameterError(
                    f"Expected a loading for each of {latent.shape[1]} latents, got "
                    f"{loading.shape[0]}."
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
        self.external = engine.External(
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
        self.steady = np.zeros(n)
        self.rng_poisson = stream(self.seed, "poisson")
        self.rng_noise = stream(self.seed, "noise")

    def _set_up_synapses(self) -> None:
        network, n, dt = self.network, self.network.n_units, self.network.dt
        s = network.synapses
        delay = np.rint(s.delay / dt).astype(np.int32)
        on_segment = s.segment >= 0
        self.delivering = network.plasticity is not None or isinstance(network.neuron, DendriticLIF)
        order: Any = slice(None)  # as networks usually come: no sorting, no copies
        if self.delivering:
            order = np.lexsort((delay, s.source))
        elif (s.source[1:] < s.source[:-1]).any():
            order = np.argsort(s.source, kind="stable")
        place = s.receptor.astype(np.int32) * np.int32(n) + s.target
        place[on_segment] = 2 * n + s.segment[on_segment]
        self.order = order
        start = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(s.source, minlength=n), out=start[1:])
        self.wiring = engine.Wiring(
            start,
            np.ascontiguousarray(place[order]),
            # A copy: learning and states change it.
            np.array(s.weight[order], float),
            np.ascontiguousarray(delay[order]),
        )
        self.scale = None
        if network.weight_scale is not None:
            self.scale = np.asarray(network.weight_scale, float)[:, order]
            if self.sample is None or self.sample.state is None:
                raise ParameterError("Expected a process with states beside weight_scale.")
            n_states = int(self.sample.state.max(initial=-1)) + 1
            if n_states > len(self.scale):
                raise ParameterError(
                    f"Expected weight_scale for each of {n_states} states, got {len(self.scale)}."
                )
        n_slots = (int(delay.max()) if delay.size else 0) + 1
        if not self.delivering:
            self.ring = np.zeros((n_slots, 2 * n))
            self.direct = n_slots == 1 and engine.keeps_input(type(self.model))
            return
        self.ring = np.zeros((1, 2 * n))
        self.delays = np.unique(delay).astype(np.int64)
        source = s.source[order]
        # Where the synapses of each source and delay begin, in the order of both.
        key = source.astype(np.int64) * self.delays.size + np.searchsorted(
            self.delays, delay[order]
        )
        edges = np.searchsorted(key, np.arange(n * self.delays.size + 1))
        rows = np.arange(n)[:, None] * self.delays.size + np.arange(self.delays.size + 1)
        self.pointer = np.ascontiguousarray(edges[rows])
        self.history = np.zeros((n_slots, n), np.int32)
        self.history_number = np.zeros(n_slots, np.int64)
        self._set_up_plasticity(source, s.target[order], s.receptor[order], on_segment[order])
        self._set_up_dendrites()

    def _set_up_plasticity(
        self, source: np.ndarray, target: np.ndarray, receptor: np.ndarray, on_segment: np.ndarray
    ) -> None:
        network, n, dt = self.network, self.network.n_units, self.network.dt
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
            first = self.wiring.weight[learns]
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
        n_slots = self.history.shape[0]
        waits = rule is not None and rule.update_interval is not None
        self.plasticity = engine.Plasticity(
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

    def _set_up_dendrites(self) -> None:
        network, n, dt = self.network, self.network.n_units, self.network.dt
        # Without segments there is nothing to remember; the engine wants the arrays all the same.
        neuron = network.neuron if isinstance(network.neuron, DendriticLIF) else None
        per_cell = int(neuron.n_segments) if neuron else 0
        threshold = int(neuron.segment_threshold) if neuron else 1
        total = n * per_cell
        check_memory(total * threshold * 8, f"{total} segments that remember {threshold} inputs")
        capacity = max(1, 2 * total)
        self.dendrites = engine.Dendrites(
            unit=np.repeat(np.arange(n), per_cell),
            arrivals=np.full((total, threshold), _NEVER, np.int64),
            position=np.zeros(total, np.int64),
            until=np.zeros(total, np.int64),
            unit_until=np.zeros(n, np.int64),
            window=max(1, round(neuron.coincidence_window / dt)) if neuron else 1,
            duration=max(1, round(neuron.plateau_duration / dt)) if neuron else 1,
            amplitude=per_unit("plateau_drive", neuron.plateau_drive if neuron else 0.0, n),
            event_step=np.zeros(capacity, np.int64),
            event_segment=np.zeros(capacity, np.int64),
        )
        self.plateaus: list[tuple[np.ndarray, np.ndarray]] = []

    def _set_up_recording(
        self, voltage: bool | Sequence[int], current: bool, interval: float
    ) -> None:
        network, n = self.network, self.network.n_units
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
                f"Expected sampling_interval as a multiple of dt ({network.dt:g} s), got "
                f"{interval:g}."
            )
        n_samples = -(-self.n_steps // sample_steps)
        n_populations = len(network.populations) if current else 0
        check_memory(
            8.0 * n_samples * (units.size + n_populations),
            f"Recording {units.size} potentials for {n_samples} samples",
        )
        capacity = max(_SPIKE_BUFFER, 2 * n)
        self.recording = engine.Recording(
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
            current_steps=sample_steps if engine.keeps_input(type(self.model)) else 1,
        )
        self.spike_step: list[np.ndarray] = []
        self.spike_unit: list[np.ndarray] = []

    def _mutable(self) -> dict[str, np.ndarray]:
        """Every array the engine writes to, by name: what a checkpoint holds."""
        arrays = {f"state_{name}": a for name, a in self.state._asdict().items()}
        arrays |= {"ring": self.ring, "steady": self.steady, "weight": self.wiring.weight}
        arrays |= {"voltage": self.recording.voltage, "current": self.recording.current}
        if self.delivering:
            arrays |= {"history": self.history, "history_number": self.history_number}
            for name in ("trace_pre", "run_pre", "run_post", "change"):
                arrays[name] = getattr(self.plasticity, name)
            for name in ("arrivals", "position", "until", "unit_until"):
                arrays[name] = getattr(self.dendrites, name)
        return arrays

    def _save(self) -> None:
        spikes = {
            "spike_step": _joined(self.spike_step, np.int64),
            "spike_unit": _joined(self.spike_unit, np.int32),
        }
        generators = json.dumps(
            [self.rng_poisson.bit_generator.state, self.rng_noise.bit_generator.state]
        )
        if self.delivering:
            spikes["plateau_step"] = _joined([p[0] for p in self.plateaus], np.int64)
            spikes["plateau_segment"] = _joined([p[1] for p in self.plateaus], np.int64)
        self.checkpoint.write(
            self._mutable()
            | spikes
            | {"step": np.array(self.step), "generators": np.array(generators)}
        )

    def _restore(self) -> None:
        saved = self.checkpoint.read()
        if saved is None:
            return
        for name, array in self._mutable().items():
            array[...] = saved[name]
        self.step = int(saved["step"])
        poisson, noise = json.loads(str(saved["generators"]))
        self.rng_poisson.bit_generator.state = poisson
        self.rng_noise.bit_generator.state = noise
        self.spike_step, self.spike_unit = [saved["spike_step"]], [saved["spike_unit"]]
        if self.delivering:
            self.plateaus = [(saved["plateau_step"], saved["plateau_segment"])]

    def go(self, progress: bool) -> None:
        """Run to the end, from the checkpoint where there is one."""
        self._restore()
        chunk = max(1, round(_CHUNK_SECONDS / self.network.dt))
        written = time.monotonic()
        with progress_bar(self.n_steps, self.network.name, progress) as bar:
            bar.update(self.step)
            while self.step < self.n_steps:
                stop = min(self.step + chunk, self.n_steps)
                if self.scale is not None:
                    stop = self._set_state_weights(stop)
                before = self.step
                self._advance(stop)
                bar.update(self.step - before)
                if time.monotonic() - written > CHECKPOINT_SECONDS:
                    self._save()
                    written = time.monotonic()
        self.checkpoint.remove()

    def _set_state_weights(self, stop: int) -> int:
        """Take the weights of the current state, and stop where the state changes."""
        assert self.scale is not None
        assert self.sample is not None
        assert self.sample.state is not None
        frame_steps, state = self.external.frame_steps, self.sample.state
        frame = self.step // frame_steps
        weight = self.network.synapses.weight[self.order]
        np.multiply(weight, self.scale[state[frame]], out=self.wiring.weight)
        changes = np.flatnonzero(state[frame:] != state[frame])
        return min(stop, (frame + int(changes[0])) * frame_steps) if changes.size else stop

    def _advance(self, stop: int) -> None:
        external = self.external
        generators = (
            self.rng_poisson if external.poisson_target.size else None,
            self.rng_noise if external.noise.size else None,
        )
        shared = (external, self.steady, self.recording)
        while self.step < stop:
            if self.delivering:
                self.step, number, plateaus = engine.run_delivering(
                    self.model, self.state, self.ring, self.wiring, self.delays, self.pointer,
                    self.history, self.history_number, self.plasticity, self.dendrites, *shared,
                    self.step, stop, *generators,
                )  # fmt: skip
                if plateaus:
                    events = self.dendrites.event_step, self.dendrites.event_segment
                    self.plateaus.append((events[0][:plateaus].copy(), events[1][:plateaus].copy()))
            else:
                self.step, number = engine.run_static(
                    self.model, self.state, self.ring, self.direct, self.wiring, *shared,
                    self.step, stop, *generators,
                )  # fmt: skip
            if number:
                self.spike_step.append(self.recording.step[:number].astype(np.int64))
                self.spike_unit.append(self.recording.unit[:number].copy())
        if not np.isfinite(self.state.v).all():
            raise ParameterError(
                f"The membrane potential of unit {int(np.argmin(np.isfinite(self.state.v)))} left "
                f"the range of numbers before {self.step * self.network.dt:g} s: use a smaller dt "
                f"or weaker input."
            )

    def labelled(self) -> xr.DataTree:
        """The session as a DataTree."""
        network, dt, n = self.network, self.network.dt, self.network.n_units
        unit = ("unit", np.arange(n))
        coords: dict[str, Any] = {"unit": unit, "population": ("unit", network.population)}
        for name, value in network.unit_coords.items():
            place = {"units": "m"} if name in ("x", "y", "z") else {}
            coords[name] = ("unit", np.asarray(value), place)
        when = _joined(self.spike_step, np.int64) * dt
        self.spike_step.clear()
        who = _joined(self.spike_unit, np.int32)
        self.spike_unit.clear()
        stop = self.n_steps * dt
        spikes = xr.Dataset(
            {
                "spike_time": (("spike",), np.minimum(when, stop, out=when), {"units": "s"}),
                "spike_unit": (("spike",), who),
            },
            coords=coords,
            attrs={"t_start": 0.0, "t_stop": stop},
        )
        groups = {"/spikes": spikes, "/truth": self._truth()}
        if self.recording.voltage_unit.size:
            groups["/voltage"] = xr.Dataset(
                {"voltage": (("time", "unit"), self.recording.voltage, {"units": "mV"})},
                coords={"time": self._clock(), "unit": self.recording.voltage_unit},
            )
        if self.recording.current.shape[1]:
            units = "pA" if network.neuron.conductance_based else network.neuron.drive_units
            groups["/current"] = xr.Dataset(
                {
                    "synaptic_current": (
                        ("time", "population"),
                        self.recording.current,
                        {"units": units, "long_name": "synaptic current, inward positive"},
                    )
                },
                coords={"time": self._clock(), "population": list(network.populations)},
            )
        if self.delivering and isinstance(network.neuron, DendriticLIF):
            moments = _joined([p[0] for p in self.plateaus], np.int64) * dt
            segment = _joined([p[1] for p in self.plateaus], np.int64)
            groups["/plateaus"] = xr.Dataset(
                {
                    "plateau_time": (("plateau",), moments, {"units": "s"}),
                    "plateau_segment": (("plateau",), segment),
                }
            )
        if network.behavior is not None and self.sample is not None:
            output = self.sample.latent @ np.asarray(network.behavior, float)
            groups["/behavior"] = xr.Dataset(
                {"behavior": (("time", "output"), output, {"units": "1"})},
                coords={"time": self._frame_clock(len(output))},
            )
        return xr.DataTree.from_dict(groups)

    def _clock(self) -> tuple[str, np.ndarray, dict[str, str]]:
        n_samples = len(self.recording.voltage)
        interval = self.recording.sample_steps * self.network.dt
        return ("time", np.arange(n_samples) * interval, {"units": "s"})

    def _frame_clock(self, n_frames: int) -> tuple[str, np.ndarray, dict[str, str]]:
        interval = self.external.frame_steps * self.network.dt
        return ("time", (np.arange(n_frames) + 0.5) * interval, {"units": "s"})

    def _truth(self) -> xr.Dataset:
        network, s = self.network, self.network.synapses
        ids = np.arange(network.n_units)
        units = "nS" if network.neuron.conductance_based else "mV"
        about = {"units": units, "long_name": "synaptic weight, negative where it inhibits"}
        truth = xr.Dataset(
            {
                "synapse_source": (("synapse",), s.source),
                "synapse_target": (("synapse",), s.target),
                "synapse_weight": (("synapse",), network.signed_weight(), about),
                "synapse_delay": (("synapse",), s.delay, {"units": "s"}),
            },
            coords={"unit": ids, "target": ids, "source": ids},
            attrs={"network": network.name, "dt": float(network.dt), "seed": self.seed},
        )
        if (s.segment >= 0).any():
            truth["synapse_segment"] = (("synapse",), s.segment)
        if network.n_units <= DENSE_LIMIT:
            truth["weight"] = (("target", "source"), network.weight_matrix(), about)
        if network.plasticity is not None:
            final = np.empty(s.weight.size)
            final[self.order] = self.wiring.weight
            # Conductances are positive; weights of current-based models carry their own sign.
            final[network.neuron.conductance_based & (s.receptor == INHIBITORY)] *= -1
            truth["final_synapse_weight"] = (("synapse",), final, about)
            if network.n_units <= DENSE_LIMIT:
                truth["final_weight"] = (("target", "source"), network.weight_matrix(final), about)
        if self.sample is not None:
            self._add_sample(truth)
        if network.truth is not None:
            truth = truth.merge(network.truth, combine_attrs="no_conflicts")
        return truth

    def _add_sample(self, truth: xr.Dataset) -> None:
        assert self.sample is not None
        latent = self.sample.latent
        truth.coords["time"] = self._frame_clock(len(latent))
        truth["latent"] = (("time", "latent_index"), latent, {"units": "1"})
        truth["loading"] = (
            ("unit", "latent_index"),
            np.asarray(self.network.inputs.loading, float),
            {"units": self.network.neuron.drive_units},
        )
        if self.sample.state is not None:
            truth["state"] = (("time",), self.sample.state)
        for name, value in self.sample.variables.items():
            truth[name] = (("time",), value)


def _joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
