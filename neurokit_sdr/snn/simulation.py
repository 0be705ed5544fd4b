"""Run a network to the end of its time, and go on where it was stopped."""

from __future__ import annotations

import json
import numbers
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.checkpoint import Checkpoint, checkpoint_seed
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.progress import progress_bar
from neurokit_sdr.core.seeding import RNG, stream
from neurokit_sdr.snn import labels, set_up
from neurokit_sdr.snn.engine.delivering import run_delivering
from neurokit_sdr.snn.engine.static import run_static
from neurokit_sdr.snn.network import Network
from neurokit_sdr.snn.neurons import DendriticLIF

#: Wall seconds between two writes of a checkpoint.
CHECKPOINT_SECONDS = 30.0

#: Biological seconds between two looks at the bar, Ctrl-C and the checkpoint.
CHUNK_SECONDS = 0.25


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
    return run.session()


class _Run:
    """The arrays of one simulation, and how far it is."""

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
        self.network, self.seed = network, checkpoint_seed(rng, checkpoint)
        self.n_steps = round(duration / dt)
        self.step = 0
        self.model, self.state = set_up.set_up_units(network)
        self.external, self.sample = set_up.set_up_inputs(network, self.n_steps, self.seed)
        self.steady = np.zeros(network.n_units)
        self.rng_poisson = stream(self.seed, "poisson")
        self.rng_noise = stream(self.seed, "noise")
        self.synapses = set_up.set_up_synapses(network, self.model, self.sample)
        self.recording = set_up.set_up_recording(
            network, self.n_steps, record_voltage, record_current, sampling_interval, self.model
        )
        self.spike_step: list[np.ndarray] = []
        self.spike_unit: list[np.ndarray] = []
        self.plateaus: list[tuple[np.ndarray, np.ndarray]] = []
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

    def _mutable(self) -> dict[str, np.ndarray]:
        """Every array the engine writes to, by name: what a checkpoint holds."""
        arrays = {f"state_{name}": a for name, a in self.state._asdict().items()}
        arrays |= {"ring": self.synapses.ring, "steady": self.steady}
        arrays |= {"weight": self.synapses.wiring.weight}
        arrays |= {"voltage": self.recording.voltage, "current": self.recording.current}
        delivery = self.synapses.delivery
        if delivery is not None:
            arrays |= {"history": delivery.history, "history_number": delivery.history_number}
            for name in ("trace_pre", "run_pre", "run_post", "change"):
                arrays[name] = getattr(delivery.plasticity, name)
            for name in ("arrivals", "position", "until", "unit_until"):
                arrays[name] = getattr(delivery.dendrites, name)
        return arrays

    def _save(self) -> None:
        spikes = {
            "spike_step": _joined(self.spike_step, np.int64),
            "spike_unit": _joined(self.spike_unit, np.int32),
        }
        generators = json.dumps(
            [self.rng_poisson.bit_generator.state, self.rng_noise.bit_generator.state]
        )
        if self.synapses.delivery is not None:
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
        if self.synapses.delivery is not None:
            self.plateaus = [(saved["plateau_step"], saved["plateau_segment"])]

    def go(self, progress: bool) -> None:
        """Run to the end, from the checkpoint where there is one."""
        self._restore()
        chunk = max(1, round(CHUNK_SECONDS / self.network.dt))
        written = time.monotonic()
        with progress_bar(self.n_steps, self.network.name, progress) as bar:
            bar.update(self.step)
            while self.step < self.n_steps:
                stop = min(self.step + chunk, self.n_steps)
                if self.synapses.scale is not None:
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
        synapses = self.synapses
        assert synapses.scale is not None
        assert self.sample is not None
        assert self.sample.state is not None
        frame_steps, state = self.external.frame_steps, self.sample.state
        frame = self.step // frame_steps
        weight = self.network.synapses.weight[synapses.order]
        np.multiply(weight, synapses.scale[state[frame]], out=synapses.wiring.weight)
        changes = np.flatnonzero(state[frame:] != state[frame])
        return min(stop, (frame + int(changes[0])) * frame_steps) if changes.size else stop

    def _advance(self, stop: int) -> None:
        external = self.external
        generators = (
            self.rng_poisson if external.poisson_target.size else None,
            self.rng_noise if external.noise.size else None,
        )
        shared = (external, self.steady, self.recording)
        wiring, ring, delivery = self.synapses.wiring, self.synapses.ring, self.synapses.delivery
        while self.step < stop:
            if delivery is not None:
                self.step, number, plateaus = run_delivering(
                    self.model, self.state, ring, wiring, *delivery, *shared, self.step, stop,
                    *generators,
                )  # fmt: skip
                if plateaus:
                    when, segment = delivery.dendrites.event_step, delivery.dendrites.event_segment
                    self.plateaus.append((when[:plateaus].copy(), segment[:plateaus].copy()))
            else:
                self.step, number = run_static(
                    self.model, self.state, ring, self.synapses.direct, wiring, *shared,
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

    def session(self) -> xr.DataTree:
        """What was recorded, and the truth beside it."""
        network, dt = self.network, self.network.dt
        time = _joined(self.spike_step, np.int64) * dt
        self.spike_step.clear()
        unit = _joined(self.spike_unit, np.int32)
        self.spike_unit.clear()
        frame_interval = self.external.frame_steps * dt
        final_weight = None
        if network.plasticity is not None:
            final_weight = np.empty(network.synapses.weight.size)
            final_weight[self.synapses.order] = self.synapses.wiring.weight
        groups = {
            "/spikes": labels.label_spikes(network, self.n_steps * dt, time, unit),
            "/truth": labels.label_truth(
                network, self.seed, self.sample, frame_interval, final_weight
            ),
            **labels.label_recording(network, self.recording),
        }
        if isinstance(network.neuron, DendriticLIF):
            moments = _joined([p[0] for p in self.plateaus], np.int64) * dt
            segment = _joined([p[1] for p in self.plateaus], np.int64)
            groups["/plateaus"] = labels.label_plateaus(moments, segment)
        if network.behavior is not None and self.sample is not None:
            groups["/behavior"] = labels.label_behavior(network, self.sample, frame_interval)
        return xr.DataTree.from_dict(groups)


def _joined(parts: list[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
