"""Delivery, plasticity, inputs, recording and reproducibility of simulations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.parallel import map_tasks
from neurokit_sdr.snn import (
    ConductanceLIF,
    CurrentLIF,
    DeltaLIF,
    DendriticLIF,
    Inputs,
    Izhikevich,
    Lorenz,
    Network,
    PairRule,
    Schedule,
    connect_randomly,
    simulation,
    synapses,
    vogels_rule,
)
from neurokit_sdr.snn.latents import HiddenStates
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


# delays


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


def random_wiring(n, rng, *, delays, weights=(0.25, 1.0)):
    """Random synapses with weights in eighths, so that sums do not depend on their order."""
    parts = []
    for low, high, sign in ((0, 3 * n // 4, 1.0), (3 * n // 4, n, -1.0)):
        made = connect_randomly(range(low, high), range(n), 0.3, sign, rng)
        size = made.source.size
        weight = sign * rng.integers(weights[0] * 8, weights[1] * 8 + 1, size) / 8
        parts.append(synapses(made.source, made.target, weight, delay=rng.choice(delays, size)))
    return join(parts)


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


def pairs(lag_steps, delay_steps, rule, weight=1.0, dt=1e-4):
    """One pair of forced spikes per lag between arrival and the postsynaptic spike."""
    lag_steps, delay_steps = np.broadcast_arrays(lag_steps, delay_steps)
    n = lag_steps.size
    sent = np.full(n, 3000)
    post = sent + delay_steps + lag_steps
    network = Network(
        "stdp", COUNTER, {"pre": n, "post": n}, plasticity=rule, dt=dt,
        synapses=synapses(np.arange(n), n + np.arange(n), weight, delay=delay_steps * dt),
        inputs=Inputs(
            forced_time=np.concatenate([sent, post]) * dt, forced_unit=np.arange(2 * n)
        ),
    )  # fmt: skip
    session = run(network, (3000 + int(delay_steps.max() + abs(lag_steps).max()) + 2) * dt)
    return session["truth"]["final_synapse_weight"].values - weight


LAGS = np.concatenate([np.arange(-6, 7), [-2000, -333, -100, -20, 20, 100, 333, 2000]])


@pytest.mark.parametrize("delay", [0, 1, 37, None])
@pytest.mark.parametrize("nearest", [False, True])
def test_stdp_window_is_the_closed_form(delay, nearest):
    rule = PairRule(
        tau_pre=0.015, tau_post=0.032, potentiation=0.011, depression=-0.007, low=-5.0, high=5.0,
        nearest=nearest,
    )  # fmt: skip
    delays = np.arange(LAGS.size) * 3 if delay is None else delay
    lag = LAGS * 1e-4
    # A tie counts as post before pre.
    expected = np.where(lag > 0, 0.011 * np.exp(-lag / 0.015), -0.007 * np.exp(lag / 0.032))
    # A decay of 2000 factors, and one sum of size 1.
    np.testing.assert_allclose(pairs(LAGS, delays, rule), expected, rtol=2e-12, atol=3e-16)


def test_stdp_in_steps_of_another_size():
    rule = PairRule(low=-5.0, high=5.0)
    lag = LAGS[abs(LAGS) < 400] * 5e-4
    expected = np.where(lag > 0, 0.01 * np.exp(-lag / 0.02), -0.0105 * np.exp(lag / 0.02))
    found = pairs(LAGS[abs(LAGS) < 400], 4, rule, dt=5e-4)
    np.testing.assert_allclose(found, expected, rtol=2e-12, atol=3e-16)


def trains(rule, wiring, n_pre, n_post, *, seed=0, model=COUNTER, n_steps=4000, n_spikes=300):
    """Random forced trains, and the weights after them."""
    rng = np.random.default_rng(seed)
    when = rng.integers(1, n_steps - 100, n_spikes)
    unit = rng.integers(0, n_pre + n_post, n_spikes)
    network = Network(
        "trains", model, {"pre": n_pre, "post": n_post}, synapses=wiring, plasticity=rule,
        inputs=Inputs(forced_time=when * 1e-4, forced_unit=unit),
    )  # fmt: skip
    session = run(network, n_steps * 1e-4)
    return when, unit, session["truth"]["final_synapse_weight"].values


def events_of(synapse, wiring, when, unit):
    """Moments of arrivals and of postsynaptic spikes, in steps, each once."""
    sent = np.unique(when[unit == wiring.source[synapse]])
    delay = round(wiring.delay[synapse] / 1e-4)
    return sent + delay, np.unique(when[unit == wiring.target[synapse]])


def history(rule, arrivals, posts, weight, end):
    """Sums over pairs, in order of time, with bounds; arrivals after posts of the same moment."""
    changes = []
    for t in posts:
        earlier = arrivals[arrivals < t]
        kept = earlier[-1:] if rule.nearest else earlier
        gain = rule.potentiation * np.exp(-(t - kept) * 1e-4 / rule.tau_pre).sum()
        changes.append((t, 0, gain))
    for t in arrivals[arrivals <= end]:
        earlier = posts[posts <= t]
        kept = earlier[-1:] if rule.nearest else earlier
        gain = rule.depression * np.exp(-(t - kept) * 1e-4 / rule.tau_post).sum()
        changes.append((t, 1, gain + rule.arrival))
    if rule.update_interval is None:
        for _, _, change in sorted(changes):
            weight = min(max(weight + change, rule.low), rule.high)
        return weight
    every, waiting = round(rule.update_interval / 1e-4), 0.0
    for update in range(every, end + 1, every):
        waiting += sum(c for t, _, c in changes if update - every < t <= update)
        weight = min(max(weight + rule.drift + waiting, rule.low), rule.high)
        waiting *= rule.keep
    return weight


RULES = {
    "all pairs": PairRule(tau_pre=0.01, tau_post=0.03, low=-9.0, high=9.0),
    "nearest": PairRule(tau_pre=0.01, tau_post=0.03, low=-9.0, high=9.0, nearest=True),
    "with arrival": PairRule(arrival=-0.003, low=-9.0, high=9.0),
    "bounds": PairRule(potentiation=0.2, depression=-0.2, low=0.4, high=0.7),
    "deferred": PairRule(low=-9.0, high=9.0, update_interval=0.05, drift=0.002, keep=0.9),
    "deferred and bounded": PairRule(
        potentiation=0.2, depression=-0.2, low=0.4, high=0.7, update_interval=0.05, keep=0.5
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_weights_after_trains_are_the_sums_over_pairs(name):
    rule, rng = RULES[name], np.random.default_rng(4)
    wiring = synapses(
        rng.integers(0, 3, 30), rng.integers(3, 6, 30), rng.uniform(0.45, 0.65, 30),
        delay=rng.integers(0, 90, 30) * 1e-4,
    )  # fmt: skip
    when, unit, found = trains(rule, wiring, 3, 3)
    expected = [
        history(rule, *events_of(k, wiring, when, unit), wiring.weight[k], 4000) for k in range(30)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    assert (found != wiring.weight).any()


def test_recurrent_plastic_synapses_and_autapses_follow_the_sums_over_pairs():
    rule, rng = RULES["all pairs"], np.random.default_rng(5)
    wiring = synapses(
        rng.integers(0, 4, 40), rng.integers(0, 4, 40), 0.5, delay=rng.integers(0, 60, 40) * 1e-4
    )
    when, unit, found = trains(rule, wiring, 2, 2)
    expected = [history(rule, *events_of(k, wiring, when, unit), 0.5, 4000) for k in range(40)]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_vogels_rule_is_its_two_terms_on_inhibitory_synapses_alone():
    rule = vogels_rule(rate=5.0, learning_rate=0.1, tau=0.02, high=50.0, sources=("pre",))
    rng = np.random.default_rng(6)
    n = 24
    wiring = synapses(
        rng.integers(0, 4, n), rng.integers(2, 4, n), 3.0, delay=0.0008,
        receptor=np.arange(n) % 2,
    )  # fmt: skip
    model = ConductanceLIF(threshold=OUT_OF_REACH)
    when, unit, found = trains(rule, wiring, 2, 2, model=model)
    learns = (np.arange(n) % 2 == 1) & (wiring.source < 2)
    assert 0 < learns.sum() < n
    np.testing.assert_array_equal(found[~learns & (wiring.receptor == 0)], 3.0)
    # Reported as the truth is: negative where it inhibits.
    np.testing.assert_array_equal(found[~learns & (wiring.receptor == 1)], -3.0)
    for k in np.flatnonzero(learns):
        arrivals, posts = events_of(k, wiring, when, unit)
        weight, eta = 3.0, 0.1
        moments = [(t, 0) for t in posts] + [(t, 1) for t in arrivals if t <= 4000]
        for t, arrival in sorted(moments):
            if arrival:
                x_post = np.exp(-(t - posts[posts <= t]) * 1e-4 / 0.02).sum()
                weight += eta * (x_post - 2 * 5.0 * 0.02)
            else:
                weight += eta * np.exp(-(t - arrivals[arrivals < t]) * 1e-4 / 0.02).sum()
            weight = min(max(weight, 0.0), 50.0)
        assert -found[k] == pytest.approx(weight, rel=1e-11)


def test_a_learnt_weight_is_what_the_next_arrival_brings():
    """The second arrival carries the potentiation of the first pair, not the weight of its own."""
    rule = PairRule(
        potentiation=0.5, depression=-0.25, low=0.0, high=9.0, tau_pre=1e9, tau_post=1e9
    )
    network = Network(
        "learnt", COUNTER, {"pre": 1, "post": 1}, plasticity=rule, synapses=synapses([0], [1], 1.0),
        inputs=Inputs(forced_time=[0.001, 0.002, 0.003], forced_unit=[0, 1, 0]),
    )  # fmt: skip
    v = voltages(network, 0.01)[:, 1]
    np.testing.assert_allclose(np.unique(v), [0.0, 1.0, 2.5], rtol=1e-9)


@pytest.mark.parametrize(
    ("weight", "receptor", "rule", "found"),
    [
        (20.0, 0, PairRule(), "0 to 1, got 20 to 20"),
        (-5.0, 1, PairRule(receptor=1), "0 to 1, got -5 to -5"),
        (
            -5.0,
            1,
            nks.snn.plasticity.vogels_rule(5.0, 0.01, 0.02, 100.0, ("a",)),
            "0 to 100, got -5",
        ),
    ],
)
def test_weights_outside_the_bounds_of_learning_are_refused(weight, receptor, rule, found):
    wiring = synapses([0], [1], weight, delay=0.002, receptor=receptor)
    network = Network("test", CurrentLIF(), {"a": 2}, synapses=wiring, plasticity=rule)
    with pytest.raises(ParameterError, match=f"within the rule's bounds, {found}"):
        nks.snn.simulate(network, 0.01, rng=0, progress=False)


def test_learnt_weights_come_as_a_matrix_too():
    wiring = synapses([0, 0, 1], [1, 1, 0], [0.2, 0.3, 0.4], delay=0.002)
    network = Network(
        "test", CurrentLIF(), {"a": 2}, synapses=wiring, plasticity=PairRule(),
        inputs=Inputs(forced_time=[0.003, 0.01, 0.02], forced_unit=[0, 1, 0]),
    )  # fmt: skip
    truth = nks.snn.simulate(network, 0.05, rng=0, progress=False)["truth"]
    learnt = truth["final_synapse_weight"].values
    assert (learnt != truth["synapse_weight"].values).all()
    matrix = truth["final_weight"]
    assert matrix.dims == ("target", "source")
    np.testing.assert_allclose(matrix.values, [[0, learnt[2]], [learnt[0] + learnt[1], 0]])


def test_learnt_weight_of_a_current_based_model_keeps_its_own_sign():
    rule = PairRule(depression=-2.0, low=-5.0, high=5.0)
    change = pairs(np.array([-1]), 0, rule)
    assert change[0] == pytest.approx(-2.0 * np.exp(-1e-4 / 0.02))


# reproducibility


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


@pytest.fixture(scope="module")
def sessions():
    made = {name: recorded(name) for name in MAKERS}
    for session in made.values():
        assert session["spikes"].sizes["spike"] > 200
        nks.core.schema.check(session["spikes"].to_dataset(), "spikes")
    assert made["dendritic"]["plateaus"].sizes["plateau"] > 10
    final, first = (made["plastic"]["truth"][x] for x in ("final_synapse_weight", "synapse_weight"))
    assert (final != first).any()
    return made


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_session_and_another_seed_another(name, sessions):
    assert_identical(recorded(name), sessions[name])
    other = recorded(name, rng=8)["spikes"]["spike_time"].values
    mine = sessions[name]["spikes"]["spike_time"].values
    assert other.size != mine.size or (other != mine).any()


@pytest.mark.parametrize("name", MAKERS)
def test_chunks_and_buffers_change_nothing(name, sessions, monkeypatch):
    monkeypatch.setattr(simulation, "_CHUNK_SECONDS", 0.0371)
    monkeypatch.setattr(simulation, "_SPIKE_BUFFER", 1)
    assert_identical(recorded(name), sessions[name])


@pytest.mark.parametrize("name", MAKERS)
def test_simulating_changes_neither_network_nor_global_generator(name):
    network = MAKERS[name]()
    before = network.fingerprint()
    weight = network.synapses.weight.copy()
    np.random.seed(3)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    run(network, 0.5)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(network.synapses.weight, weight)
    assert network.fingerprint() == before


def spikes_of(task):
    """Of a task of map_tasks."""
    name, seed = task
    spikes = recorded(name, rng=seed)["spikes"]
    return spikes["spike_time"].values, spikes["spike_unit"].values


def test_map_tasks_gives_the_spikes_of_this_process():
    tasks = [("latent", 7), ("plastic", 7), ("latent", 8)]
    for found, task in zip(map_tasks(spikes_of, tasks, progress=False), tasks, strict=True):
        for one, other in zip(found, spikes_of(task), strict=True):
            np.testing.assert_array_equal(one, other)


def child(script, threads=1):
    """Start a Python process in which this module is `tests`."""
    lines = [f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})",
             f"import {Path(__file__).stem} as tests", script]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)],
        env={**os.environ, "NUMBA_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_spikes_do_not_depend_on_threads(tmp_path, sessions):
    children = []
    for threads in (1, 2):
        script = (
            "import numpy\n"
            "for name in tests.MAKERS:\n"
            f"    path = {str(tmp_path)!r} + f'/{{name}}{threads}.npy'\n"
            "    numpy.save(path, numpy.stack(tests.spikes_of((name, 7))))\n"
        )
        children.append(child(script, threads))
    for process in children:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for name in MAKERS:
        spikes = sessions[name]["spikes"]
        expected = np.stack([spikes["spike_time"].values, spikes["spike_unit"].values])
        for threads in (1, 2):
            np.testing.assert_array_equal(np.load(tmp_path / f"{name}{threads}.npy"), expected)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_run_goes_on_to_the_identical_session(tmp_path, sessions, monkeypatch):
    """Killed by SIGKILL after its third checkpoint, in the middle of the run."""
    children = {}
    for name in MAKERS:
        path = tmp_path / f"{name}.npz"
        script = (
            "import os, signal\n"
            "from neurokit_sdr.snn import simulation\n"
            "simulation.CHECKPOINT_SECONDS = -1.0\n"
            "save, count = simulation._Run._save, []\n"
            "def dying(run):\n"
            "    save(run)\n"
            "    count.append(run.step)\n"
            "    if len(count) == 3:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "simulation._Run._save = dying\n"
            f"tests.recorded({name!r}, {str(path)!r})\n"
        )
        children[name] = child(script)
    for process in children.values():
        _, errors = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, errors

    begun = []
    restore = simulation._Run._restore

    def spying(self):
        restore(self)
        begun.append(self.step)

    monkeypatch.setattr(simulation._Run, "_restore", spying)
    for name in MAKERS:
        path = tmp_path / f"{name}.npz"
        assert path.exists()
        assert_identical(recorded(name, path), sessions[name])
        assert not path.exists()
    assert [step > 0 for step in begun] == [True, True, True]


def half_done(tmp_path, monkeypatch, name="latent"):
    """A checkpoint of a run that was stopped."""

    class StopError(Exception):
        pass

    path, save = tmp_path / "half.npz", simulation._Run._save

    def stopping(self):
        save(self)
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "CHECKPOINT_SECONDS", -1.0)
        patch.setattr(simulation._Run, "_save", stopping)
        with pytest.raises(StopError):
            recorded(name, path)
    return path


def test_the_checkpoint_of_other_work_is_refused(tmp_path, monkeypatch):
    path = half_done(tmp_path, monkeypatch)
    network = latent_network()
    options = {"record_voltage": [0, 5, 39], "record_current": True, "checkpoint": path}
    cases = [
        (network, 2.0, 8, options),
        (network, 1.9, 7, options),
        (network, 2.0, 7, options | {"record_voltage": [0]}),
        (network, 2.0, 7, options | {"record_current": False}),
        (network, 2.0, 7, options | {"sampling_interval": 2e-3}),
        (network.with_(dt=5e-5), 2.0, 7, options),
        (network.with_(neuron=CurrentLIF(rest=-52.1)), 2.0, 7, options),
        (plastic_network(), 2.0, 7, options),
    ]
    for changed, duration, rng, chosen in cases:
        with pytest.raises(ParameterError, match="the checkpoint of other work"):
            run(changed, duration, rng, **chosen)
    assert path.exists()
    assert_identical(recorded("latent", path), recorded("latent"))


def test_networks_whose_parameters_read_alike_have_fingerprints_of_their_own():
    one = Network("a", COUNTER, {"all": 1}, inputs=Inputs(noise=1.0, poisson_rate=10.0))
    other = one.with_(inputs=Inputs(noise=1.01, poisson_rate=0.0))
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == one.with_().fingerprint()
    split = one.with_(populations={"a": 1, "b": 12})
    assert split.fingerprint() != one.with_(populations={"a1b": 13}).fingerprint()


def test_a_checkpoint_that_is_not_reached_leaves_no_file(tmp_path):
    path = tmp_path / "none.npz"
    assert_identical(recorded("latent", path), recorded("latent"))
    assert not path.exists()
