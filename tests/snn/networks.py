"""Networks that the tests of the simulator share, and how they are run."""

from __future__ import annotations

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.snn import (
    CurrentLIF,
    DeltaLIF,
    DendriticLIF,
    Inputs,
    Lorenz,
    Network,
    PairRule,
    connect_randomly,
    synapses,
)
from neurokit_sdr.snn.synapses import join

OUT_OF_REACH = 1e12

#: Learns nothing, but takes the loop that looks synapses up when their spikes arrive.
NO_LEARNING = PairRule(potentiation=0.0, depression=0.0, low=-1e9, high=1e9)

#: Never leaks, as near as a float can tell, and never spikes: it adds up what arrives.
COUNTER = DeltaLIF(tau_membrane=1e30, rest=0.0, threshold=OUT_OF_REACH, reset=-1.0)

LOOPS = pytest.mark.parametrize("plasticity", [None, NO_LEARNING], ids=["static", "delivering"])


def run(network, duration, rng=0, **options):
    return nks.snn.simulate(network, duration, rng=rng, progress=False, **options)


def voltages(network, duration):
    session = run(network, duration, record_voltage=True, sampling_interval=network.dt)
    return session["voltage"]["voltage"].values


def assert_identical(one, other):
    """Two sessions are equal to the bit."""
    assert sorted(one.children) == sorted(other.children)
    for name in one.children:
        assert one[name].to_dataset().identical(other[name].to_dataset()), name


def random_wiring(n, rng, *, delays, weights=(0.25, 1.0)):
    """Random synapses with weights in eighths, so that sums do not depend on their order."""
    parts = []
    for low, high, sign in ((0, 3 * n // 4, 1.0), (3 * n // 4, n, -1.0)):
        made = connect_randomly(range(low, high), range(n), 0.3, sign, rng)
        size = made.source.size
        weight = sign * rng.integers(weights[0] * 8, weights[1] * 8 + 1, size) / 8
        parts.append(synapses(made.source, made.target, weight, delay=rng.choice(delays, size)))
    return join(parts)


def latent_network():
    """Every kind of random input, delays, latents; the static loop."""
    rng = np.random.default_rng(1)
    return Network(
        "latent", CurrentLIF(rest=-52.0), {"e": 30, "i": 10},
        synapses=random_wiring(40, rng, delays=[0.0005, 0.0011, 0.004]),
        inputs=Inputs(
            drive=1.0, noise=2.0, poisson_rate=200.0, poisson_weight=1.0, process=Lorenz(),
            loading=rng.normal(size=(40, 3)), forced_time=[0.3, 0.9, 1.7], forced_unit=[1, 2, 1],
        ),
    )  # fmt: skip


def plastic_network():
    """Learning, deferred, in the delivering loop."""
    rng = np.random.default_rng(2)
    return Network(
        "plastic", CurrentLIF(rest=-51.0), {"e": 30, "i": 10},
        synapses=random_wiring(40, rng, delays=[0.0, 0.0007, 0.02]),
        inputs=Inputs(noise=3.0, poisson_rate=100.0, poisson_weight=2.0),
        plasticity=PairRule(high=2.0, update_interval=0.35, keep=0.9, sources=("e",)),
    )  # fmt: skip


def dendritic_network():
    """Plateaus that last over the edges of chunks."""
    rng = np.random.default_rng(3)
    n, d = 40, 3
    target = rng.integers(0, n, 2000)
    onto_segments = synapses(
        rng.integers(0, n, 2000), target, 0.0, delay=rng.integers(0, 30, 2000) * 1e-4,
        segment=target * d + rng.integers(0, d, 2000),
    )  # fmt: skip
    neuron = DendriticLIF(
        rest=-54.0, n_segments=d, segment_threshold=3, plateau_duration=0.08, plateau_drive=4.0
    )
    return Network(
        "dendritic", neuron, {"all": n},
        synapses=join([onto_segments, random_wiring(n, rng, delays=[0.001])]),
        inputs=Inputs(noise=2.5, drive=1.0),
    )  # fmt: skip


MAKERS = {"latent": latent_network, "plastic": plastic_network, "dendritic": dendritic_network}


def recorded(name, checkpoint=None, rng=7):
    return run(
        MAKERS[name](), 2.0, rng, record_voltage=[0, 5, 39], record_current=True,
        checkpoint=checkpoint,
    )  # fmt: skip


def spikes_of(task):
    """Of a task of map_tasks."""
    name, seed = task
    spikes = recorded(name, rng=seed)["spikes"]
    return spikes["spike_time"].values, spikes["spike_unit"].values
