"""Weights that learn: closed forms, sums over pairs, bounds, labels."""

from __future__ import annotations

import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn import (
    ConductanceLIF,
    CurrentLIF,
    Inputs,
    Network,
    PairRule,
    synapses,
    vogels_rule,
)
from tests.snn.networks import (
    COUNTER,
    OUT_OF_REACH,
    run,
    voltages,
)


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
