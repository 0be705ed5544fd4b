"""What a simulation did, as a labelled session with its truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.snn.engine.arrays import Recording
from neurokit_sdr.snn.latents import Sample
from neurokit_sdr.snn.network import DENSE_LIMIT, Network
from neurokit_sdr.snn.synapses import INHIBITORY

Clock = tuple[str, np.ndarray, dict[str, str]]


def label_spikes(
    network: Network, duration: float, time: np.ndarray, unit: np.ndarray
) -> xr.Dataset:
    """Spikes in the readers' schema. ``time`` is bounded by the duration in place."""
    coords: dict[str, Any] = {
        "unit": ("unit", np.arange(network.n_units)),
        "population": ("unit", network.population),
    }
    for name, value in network.unit_coords.items():
        place = {"units": "m"} if name in ("x", "y", "z") else {}
        coords[name] = ("unit", np.asarray(value), place)
    return xr.Dataset(
        {
            "spike_time": (("spike",), np.minimum(time, duration, out=time), {"units": "s"}),
            "spike_unit": (("spike",), unit),
        },
        coords=coords,
        attrs={"t_start": 0.0, "t_stop": duration},
    )


def label_recording(network: Network, recording: Recording) -> dict[str, xr.Dataset]:
    """The groups of potentials and synaptic currents that were asked for."""
    groups = {}
    interval = recording.sample_steps * network.dt
    time: Clock = ("time", np.arange(len(recording.voltage)) * interval, {"units": "s"})
    if recording.voltage_unit.size:
        groups["/voltage"] = xr.Dataset(
            {"voltage": (("time", "unit"), recording.voltage, {"units": "mV"})},
            coords={"time": time, "unit": recording.voltage_unit},
        )
    if recording.current.shape[1]:
        units = "pA" if network.neuron.conductance_based else network.neuron.drive_units
        groups["/current"] = xr.Dataset(
            {
                "synaptic_current": (
                    ("time", "population"),
                    recording.current,
                    {"units": units, "long_name": "synaptic current, inward positive"},
                )
            },
            coords={"time": time, "population": list(network.populations)},
        )
    return groups


def label_plateaus(time: np.ndarray, segment: np.ndarray) -> xr.Dataset:
    """When segments began their plateaus."""
    return xr.Dataset(
        {
            "plateau_time": (("plateau",), time, {"units": "s"}),
            "plateau_segment": (("plateau",), segment),
        }
    )


def label_behavior(network: Network, sample: Sample, frame_interval: float) -> xr.Dataset:
    """What the network's latents were read out as."""
    output = sample.latent @ np.asarray(network.behavior, float)
    return xr.Dataset(
        {"behavior": (("time", "output"), output, {"units": "1"})},
        coords={"time": _frames(len(output), frame_interval)},
    )


def label_truth(
    network: Network,
    seed: int,
    sample: Sample | None,
    frame_interval: float,
    final_weight: np.ndarray | None,
) -> xr.Dataset:
    """All that is known of the network and of what drove it.

    Parameters
    ----------
    network, seed
        What was simulated.
    sample
        States and latents, where there is a process.
    frame_interval
        Between two values of theirs, s.
    final_weight
        Weights as they were learnt, in the network's order; None where none learns.
    """
    s = network.synapses
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
        attrs={"network": network.name, "dt": float(network.dt), "seed": seed},
    )
    if (s.segment >= 0).any():
        truth["synapse_segment"] = (("synapse",), s.segment)
    if network.n_units <= DENSE_LIMIT:
        truth["weight"] = (("target", "source"), network.weight_matrix(), about)
    if final_weight is not None:
        # Conductances are positive; weights of current-based models carry their own sign.
        final_weight[network.neuron.conductance_based & (s.receptor == INHIBITORY)] *= -1
        truth["final_synapse_weight"] = (("synapse",), final_weight, about)
        if network.n_units <= DENSE_LIMIT:
            matrix = network.weight_matrix(final_weight)
            truth["final_weight"] = (("target", "source"), matrix, about)
    if sample is not None:
        _add_sample(truth, network, sample, frame_interval)
    if network.truth is not None:
        truth = truth.merge(network.truth, combine_attrs="no_conflicts")
    return truth


def _add_sample(truth: xr.Dataset, network: Network, sample: Sample, frame_interval: float) -> None:
    truth.coords["time"] = _frames(len(sample.latent), frame_interval)
    truth["latent"] = (("time", "latent_index"), sample.latent, {"units": "1"})
    truth["loading"] = (
        ("unit", "latent_index"),
        np.asarray(network.inputs.loading, float),
        {"units": network.neuron.drive_units},
    )
    if sample.state is not None:
        truth["state"] = (("time",), sample.state)
    for name, value in sample.variables.items():
        truth[name] = (("time",), value)


def _frames(number: int, interval: float) -> Clock:
    return ("time", (np.arange(number) + 0.5) * interval, {"units": "s"})
