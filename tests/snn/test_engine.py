"""Delivery and input: delays to the step, every synapse once, moments of random input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.snn import (
    ConductanceLIF,
    CurrentLIF,
    DeltaLIF,
    Inputs,
    Izhikevich,
    Network,
    Schedule,
    synapses,
)
from neurokit_sdr.snn.latents import HiddenStates
from neurokit_sdr.snn.synapses import join
from tests.snn.networks import (
    COUNTER,
    LOOPS,
    NO_LEARNING,
    OUT_OF_REACH,
    random_wiring,
    run,
    voltages,
)


@LOOPS
@pytest.mark.parametrize("delays", [[0, 0, 0, 0], [17, 17, 17, 17], [0, 1, 2, 300], [5, 5, 9, 1]])
def test_delays_are_exact_to_the_step(plasticity, delays):
    """Each target's v jumps in the step that begins one delay after the spike."""
    delays = np.array(delays)
    at = np.array([3, 50])
    network = Network(
        "delays", COUNTER, {"source": 1, "target": 4},
        synapses=synapses([0] * 4, [1, 2, 3, 4], 1.0, delay=delays * 1e-4),
        inputs=Inputs(forced_time=at * 1e-4, forced_unit=[0, 0]), plasticity=plasticity,
    )  # fmt: skip
    v = voltages(network, 0.05)
    step = np.arange(500)[:, None]
    expected = sum((step > at[k] + delays).astype(float) for k in range(2))
    np.testing.assert_array_equal(v[:, 1:], expected)


@LOOPS
@pytest.mark.parametrize("delay", [0, 1, 23])
def test_delays_of_kept_input_are_exact_to_the_step(plasticity, delay):
    """The synaptic current is there from the very sample at which it arrives."""
    network = Network(
        "delays", CurrentLIF(threshold=OUT_OF_REACH), {"source": 1, "target": 1},
        synapses=synapses([0], [1], 8.0, delay=delay * 1e-4),
        inputs=Inputs(forced_time=[0.002], forced_unit=[0]), plasticity=plasticity,
    )  # fmt: skip
    session = run(network, 0.01, record_current=True, sampling_interval=1e-4)
    current = session["current"]["synaptic_current"].values[:, 1]
    assert (current[: 20 + delay] == 0).all()
    assert current[20 + delay] == 8.0


# both loops, and that nothing is lost


@pytest.mark.parametrize(
    "neuron",
    [
        CurrentLIF(rest=-49.5, refractory_period=0.002),
        DeltaLIF(rest=21.0),
        ConductanceLIF(rest=-49.5),
        Izhikevich(b=0.27),  # fires on its own
    ],
    ids=lambda neuron: type(neuron).__name__,
)
@pytest.mark.parametrize("delays", [[0.0], [0.0015], [0.0, 1e-4, 0.002, 0.0137]])
def test_both_loops_give_identical_sessions(neuron, delays):
    rng = np.random.default_rng(3)
    wiring = random_wiring(40, rng, delays=delays)
    if neuron.conductance_based:
        inhibits = (wiring.weight < 0).astype(np.int8)
        wiring = wiring._replace(weight=np.abs(wiring.weight), receptor=inhibits)
    network = Network(
        "both", neuron, {"all": 40}, synapses=wiring,
        initial={"v": neuron.resting(40)["v"] - rng.uniform(0, 5, 40)},
        inputs=Inputs(noise=1.0, poisson_rate=50.0, poisson_weight=0.5),
    )  # fmt: skip
    options = {"record_voltage": True, "record_current": True}
    one = run(network, 0.2, **options)
    other = run(network.with_(plasticity=NO_LEARNING), 0.2, **options)
    assert one["spikes"].sizes["spike"] > 50
    assert one["spikes"].to_dataset().identical(other["spikes"].to_dataset())
    # Without delays the static loop adds each input by itself: the same but for rounding.
    for group, name in (("voltage", "voltage"), ("current", "synaptic_current")):
        np.testing.assert_allclose(one[group][name], other[group][name], rtol=1e-12, atol=1e-10)


@LOOPS
@pytest.mark.parametrize("seed", [0, 1])
def test_every_spike_reaches_each_of_its_synapses_once(plasticity, seed):
    """Sources spike at random; each target's v is the sum of the weights of all that arrived."""
    rng = np.random.default_rng(seed)
    n = 60
    wiring = random_wiring(n, rng, delays=np.arange(0, 40) * 1e-4)
    twice = join([wiring, wiring])  # several synapses of one pair
    when = rng.integers(1, 4000, 3000)
    network = Network(
        "counters", COUNTER, {"all": n}, synapses=twice, plasticity=plasticity,
        inputs=Inputs(forced_time=when * 1e-4, forced_unit=rng.integers(0, n, 3000)),
    )  # fmt: skip
    # Long enough for every delay after the last spike.
    session = run(network, 0.41, record_voltage=True, sampling_interval=1e-4)
    count = np.bincount(session["spikes"]["spike_unit"], minlength=n)
    v = session["voltage"]["voltage"].values
    np.testing.assert_array_equal(v[-1], network.weight_matrix() @ count)
    each = synapses(twice.source, twice.target, 1.0, delay=twice.delay)
    events = network.with_(synapses=each)
    arrived = voltages(events, 0.41)[-1].sum()
    out_degree = np.bincount(twice.source, minlength=n)
    assert arrived == (count * out_degree).sum()


def test_weights_follow_the_state_when_spikes_leave():
    """weight_scale: a synapse of 3 mV at scales 1, 0 and 2."""
    states = HiddenStates(n_states=3, dwell_time=0.02, frame_interval=0.005)
    when = np.arange(10, 9000, 7)
    network = Network(
        "switching", COUNTER, {"source": 1, "target": 1},
        synapses=synapses([0], [1], 3.0, delay=0.0013),
        inputs=Inputs(process=states, loading=np.zeros((2, 3)),
                      forced_time=when * 1e-4, forced_unit=np.zeros(when.size, int)),
        weight_scale=np.array([[1.0], [0.0], [2.0]]),
    )  # fmt: skip
    session = run(network, 1.0, record_voltage=True, sampling_interval=1e-4)
    state = session["truth"]["state"].values
    assert set(state) == {0, 1, 2}
    # A spike stamped `when` was found in the step before, whose state it carries.
    jump = 3.0 * np.array([1.0, 0.0, 2.0])[state[(when - 1) // 50]]
    expected = np.zeros(10000)
    np.add.at(expected, when + 13 + 1, jump)
    found = session["voltage"]["voltage"].values[:, 1]
    np.testing.assert_array_equal(found, np.cumsum(expected))


# inputs


def test_forced_spikes_come_at_their_times_and_once():
    when = np.array([7, 3, 3, 99, 100, 7, 200])
    unit = np.array([1, 0, 0, 1, 0, 0, 1])  # one twice, one after the end
    network = Network(
        "forced", COUNTER, {"all": 2}, inputs=Inputs(forced_time=when * 1e-4, forced_unit=unit)
    )
    spikes = run(network, 0.01)["spikes"]
    found = sorted(zip(np.rint(spikes["spike_time"].values / 1e-4).astype(int),
                       spikes["spike_unit"].values.tolist(), strict=True))  # fmt: skip
    assert found == [(3, 0), (7, 0), (7, 1), (99, 1), (100, 0)]
    nks.core.schema.check(spikes.to_dataset(), "spikes")


def test_a_unit_that_is_forced_as_it_spikes_spikes_once():
    network = Network("forced", DeltaLIF(rest=40.0), {"all": 1})
    alone = run(network, 0.1)["spikes"]["spike_time"].values
    forced = network.with_(inputs=Inputs(forced_time=alone, forced_unit=[0] * alone.size))
    np.testing.assert_array_equal(run(forced, 0.1)["spikes"]["spike_time"].values, alone)
    assert alone.size > 1


@pytest.mark.parametrize("mean", [0.003, 0.4, 7.0, 730.0, 2600.0])
@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_poisson_input_has_the_moments_of_poisson(mean, weight):
    """Counts per step, from the jumps of a counter: mean and variance within 4 standard errors."""
    n, n_steps, dt = 20, 1000, 1e-3
    network = Network(
        "poisson", COUNTER, {"all": n}, dt=dt,
        inputs=Inputs(poisson_rate=mean / dt, poisson_weight=weight),
    )  # fmt: skip
    counts = np.diff(voltages(network, (n_steps + 1) * dt), axis=0) / weight
    assert (counts == np.rint(counts)).all()
    size = counts.size
    assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / size)
    # The variance of a sample variance: (fourth central moment - variance^2) / size.
    spread = np.sqrt((mean * (1 + 3 * mean) - mean**2) / size)
    assert abs(np.mean((counts - mean) ** 2) - mean) < 4 * spread
    # And the tails: the frequency of falling below the quartiles.
    for q in (0.25, 0.75):
        edge = poisson.ppf(q, mean)
        p = poisson.cdf(edge, mean)
        error = 4 * np.sqrt(p * (1 - p) / size)
        assert abs((counts <= edge).mean() - p) <= error
    if mean > 0.1:  # units are independent; rarer events are too few to correlate
        together = np.corrcoef(counts.T) - np.eye(n)
        assert abs(together).max() < 5 / np.sqrt(n_steps)


def test_poisson_rates_of_units_are_their_own():
    rate = np.array([0.0, 100.0, 1000.0, 0.0])
    network = Network(
        "poisson", COUNTER, {"all": 4}, inputs=Inputs(poisson_rate=rate, poisson_weight=1.0)
    )
    total = voltages(network, 2.0)[-1]
    assert (total[[0, 3]] == 0).all()
    assert (abs(total - 2 * rate) <= 4 * np.sqrt(2 * rate)).all()


@LOOPS
def test_latents_drive_piecewise_constantly(plasticity):
    """Sample k holds from k to k + 1 frame intervals, exactly, over the edges of chunks."""
    rng = np.random.default_rng(0)
    latent, loading = rng.normal(size=(13, 2)), rng.normal(size=(3, 2))
    drive = np.array([1.0, 0.0, -2.0])
    tau, per_frame = 0.02, 25
    network = Network(
        "latents", CurrentLIF(rest=0.0, threshold=OUT_OF_REACH, tau_membrane=tau), {"all": 3},
        inputs=Inputs(drive=drive, process=Schedule(latent, per_frame * 1e-4), loading=loading),
        plasticity=plasticity,
    )  # fmt: skip
    n_steps = 40 * per_frame + 7
    session = run(network, n_steps * 1e-4, record_voltage=True, sampling_interval=1e-4)
    frame = np.arange(n_steps) // per_frame
    expected, v, leak = [], np.zeros(3), np.exp(-1e-4 / tau)
    for k in range(n_steps):
        expected.append(v)
        d = drive + loading @ latent[frame[k] % 13]
        v = d + (v - d) * leak
    np.testing.assert_allclose(session["voltage"]["voltage"], expected, rtol=1e-11, atol=1e-12)
    truth = session["truth"]
    np.testing.assert_array_equal(truth["latent"], latent[np.arange(41) % 13])
    np.testing.assert_allclose(truth["time"], (np.arange(41) + 0.5) * per_frame * 1e-4)


# plasticity
