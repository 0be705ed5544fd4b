"""The switching population: it does what its equations say, and says when it cannot."""

from __future__ import annotations

import numpy as np
import oracles
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.engines.poisson.kernels import inverse_rate
from neurokit_sdr.snn import exponential_kernel
from neurokit_sdr.snn.point_process import unlabel_parameters

NONLINEARITIES = ("softplus", "exp", "sigmoid")

#: A standard normal exceeds this once in 1.7 million draws.
FIVE = 5.0


def history_and_rates(truth: xr.Dataset, simulated: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The oracle's features of every bin, and the counts they and the true states make expect."""
    counts = simulated["count"].values.astype(float)
    design = oracles.history_features(
        counts,
        np.array([0, len(counts)]),
        np.ones(len(counts), dtype=bool),
        list(truth["time_constant"].values),
        truth.attrs["bin_size"],
    )
    states, targets = truth["bias"].shape
    theta = np.concatenate(
        [truth["bias"].values[..., None], truth["weight"].values.reshape(states, targets, -1)],
        axis=2,
    )
    drive = np.einsum("td,tnd->tn", design, theta[simulated["state"].values])
    return design, oracles.RATES[truth.attrs["nonlinearity"]](drive)


@pytest.mark.parametrize("time_constants", [[0.02], [0.02, 0.1, 0.5], [0.013], []])
@pytest.mark.parametrize("bin_size", [0.02, 0.001, 0.1])
def test_kernels_follow_their_equation(time_constants, bin_size):
    kernel = exponential_kernel(time_constants, bin_size)
    assert len(kernel) == len(time_constants)
    for row, tau in zip(kernel, time_constants, strict=True):
        n_lags = np.count_nonzero(row)
        assert n_lags == max(1, int(np.ceil(round(5 * tau / bin_size, 6))))
        assert (row[n_lags:] == 0).all()
        assert row.sum() == pytest.approx(1)
        np.testing.assert_allclose(row[1:n_lags] / row[: n_lags - 1], np.exp(-bin_size / tau))


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_inverse_rate_undoes_the_rate(nonlinearity):
    count = np.array([1e-6, 0.01, 0.5, 0.99] + ([3.0, 30.0] if nonlinearity != "sigmoid" else []))
    drive = inverse_rate(count, nonlinearity)
    np.testing.assert_allclose(oracles.RATES[nonlinearity](drive), count, rtol=1e-9)


def test_inverse_rate_of_an_unknown_nonlinearity():
    with pytest.raises(ParameterError, match=r"one of .*got 'relu'"):
        inverse_rate(np.ones(1), "relu")


def test_population_is_what_was_asked_for(seed):
    truth = nks.snn.switching_population(
        30, 4, connection_probability=0.3, strength=(0.5, 2.0), mean_count=0.4, rng=seed
    )
    assert dict(truth["weight"].sizes) == {
        "state": 4,
        "target": 30,
        "source": 30,
        "time_constant": 1,
    }
    weight = truth["weight"].values
    n = weight.size
    assert abs((weight != 0).mean() - 0.3) < FIVE * np.sqrt(0.3 * 0.7 / n)
    strength = np.abs(weight[weight != 0])
    assert strength.min() >= 0.5
    assert strength.max() <= 2.0
    assert abs((weight[weight != 0] > 0).mean() - 0.5) < FIVE * 0.5 / np.sqrt(strength.size)
    rate = oracles.RATES["sigmoid"](truth["bias"].values)
    np.testing.assert_allclose(rate, 0.4)
    np.testing.assert_allclose(truth["transition_probability"].sum("next_state"), 1)
    schema.check_attrs(truth)
    unlabel_parameters(truth)


def test_same_seed_same_population_and_simulation():
    one, two = (nks.snn.switching_population(5, 2, rng=3) for _ in range(2))
    xr.testing.assert_identical(one, two)
    assert not nks.snn.switching_population(5, 2, rng=4).equals(one)
    first, second = (nks.snn.simulate_switching_population(one, 50, rng=3) for _ in range(2))
    xr.testing.assert_identical(first, second)
    drawn = nks.snn.simulate_switching_population(one, 50)
    again = nks.snn.simulate_switching_population(one, 50, rng=drawn.attrs["seed"])
    xr.testing.assert_identical(drawn, again)


def test_one_state_and_one_unit_are_populations_too():
    truth = nks.snn.switching_population(1, 1, rng=0)
    simulated = nks.snn.simulate_switching_population(truth, 20, rng=0)
    assert not simulated["state"].any()
    assert dict(simulated.sizes) == {"time": 20, "unit": 1}


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_counts_are_poisson_around_the_equations_rate(nonlinearity, seed):
    truth = nks.snn.switching_population(
        4,
        2,
        connection_probability=0.7,
        nonlinearity=nonlinearity,
        # Weak enough that four excitatory inputs with both kernels cannot make it run away.
        strength={"softplus": (0.05, 0.15), "exp": (0.02, 0.08), "sigmoid": (0.5, 1.5)}[
            nonlinearity
        ],
        time_constants=(0.02, 0.06),
        rng=seed,
    )
    truth["weight"].values[..., 1] = truth["weight"].values[..., 0] / 2
    simulated = nks.snn.simulate_switching_population(truth, 4000, rng=seed)
    design, rate = history_and_rates(truth, simulated)
    count = simulated["count"].values
    # Given the past each count is Poisson: the rate is its mean, whatever the past was, ...
    error = (count - rate).T @ design
    assert (np.abs(error) < FIVE * np.sqrt(rate.T @ design**2)).all()
    # ... and its variance.
    excess = ((count - rate) ** 2 - rate).sum()
    assert abs(excess) < FIVE * np.sqrt((rate + 2 * rate**2).sum())


def test_states_follow_the_chain(seed):
    truth = nks.snn.switching_population(1, 3, self_transition=0.7, rng=seed)
    truth["transition_probability"].values[0] = [0.5, 0.5, 0.0]
    truth["initial_probability"].values[:] = [0.2, 0.8, 0.0]
    state = nks.snn.simulate_switching_population(truth, 20_000, rng=seed)["state"].values
    probability = truth["transition_probability"].values
    number = np.zeros((3, 3))
    np.add.at(number, (state[:-1], state[1:]), 1)
    assert number[0, 2] == 0
    error = number - number.sum(axis=1, keepdims=True) * probability
    spread = np.sqrt(number.sum(axis=1, keepdims=True) * probability * (1 - probability))
    assert (np.abs(error) <= FIVE * spread).all()
    first = nks.snn.simulate_switching_population(truth, [1] * 2000, rng=seed)["state"].values
    share = np.bincount(first.ravel(), minlength=3) / 2000
    assert (np.abs(share - [0.2, 0.8, 0]) <= FIVE * np.sqrt([0.16 / 2000, 0.16 / 2000, 0])).all()


def test_trials_are_independent_and_ragged():
    truth = nks.snn.switching_population(3, 2, rng=0)
    simulated = nks.snn.simulate_switching_population(truth, [30, 10, 20], rng=5)
    schema.check(simulated, "counts")
    assert simulated["trial_length"].values.tolist() == [30, 10, 20]
    beyond = np.arange(30) >= simulated["trial_length"].values[:, None]
    assert (simulated["state"].values[beyond] == -1).all()
    assert not simulated["count"].values[beyond].any()
    # A trial does not depend on how many come after it, nor on their lengths.
    fewer = nks.snn.simulate_switching_population(truth, [30, 7], rng=5)
    xr.testing.assert_equal(fewer["count"][0], simulated["count"][0])
    np.testing.assert_array_equal(fewer["count"][1, :7], simulated["count"][1, :7])
    assert not np.array_equal(simulated["count"][0, :10], simulated["count"][1, :10])


def test_spikes_from_counts_and_back():
    truth = nks.snn.switching_population(3, 2, mean_count=0.8, rng=0)
    counts = nks.snn.simulate_switching_population(truth, 300, rng=0)
    spikes = nks.snn.spikes_from_counts(counts, rng=0)
    schema.check(spikes, "spikes")
    np.testing.assert_array_equal(nks.bin_spikes(spikes, 0.02)["count"], counts["count"])
    trials = nks.snn.simulate_switching_population(truth, [30, 20], rng=0)
    with pytest.raises(SchemaError, match="isel"):
        nks.snn.spikes_from_counts(trials)
    with pytest.raises(SchemaError, match="Expected"):
        nks.snn.spikes_from_counts(xr.Dataset())


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_units": 0},
        {"n_units": 2.5},
        {"n_states": 0},
        {"n_states": "two"},
        {"connection_probability": 1.5},
        {"connection_probability": -0.1},
        {"connection_probability": np.nan},
        {"strength": (3.0, 0.5)},
        {"strength": (-1.0, 1.0)},
        {"strength": 1.0},
        {"mean_count": 0.0},
        {"mean_count": -1.0},
        {"mean_count": 1.5, "nonlinearity": "sigmoid"},
        {"self_transition": 0.0},
        {"self_transition": 1.1},
        {"nonlinearity": "relu"},
        {"nonlinearity": None},
        {"bin_size": 0.0},
        {"bin_size": "20 ms"},
        {"time_constants": ()},
        {"time_constants": (0.02, -0.1)},
        {"time_constants": 0.02},
        {"rng": "x"},
    ],
    ids=str,
)
def test_arguments_out_of_range(wrong):
    with pytest.raises(ParameterError, match=r"Expected .*got"):
        nks.snn.switching_population(**wrong)


@pytest.mark.parametrize("wrong", [0, -5, [], [10, 0], 2.5, "ten", None, True, [[3]]], ids=str)
def test_wrong_lengths(wrong):
    truth = nks.snn.switching_population(2, 2, rng=0)
    with pytest.raises(ParameterError, match=r"Expected n_bins.*got"):
        nks.snn.simulate_switching_population(truth, wrong)


def test_a_population_that_runs_away_is_said():
    truth = nks.snn.switching_population(
        4, 1, nonlinearity="exp", connection_probability=1.0, strength=(3, 4), rng=1
    )
    truth["weight"].values[:] = np.abs(truth["weight"].values)
    with pytest.raises(ParameterError, match=r"ran away in trial 1 at bin.*Weaken the weights"):
        nks.snn.simulate_switching_population(truth, [1, 1000], rng=0)


@pytest.mark.parametrize("name", ["weight", "bias", "transition_probability", "kernel"])
def test_wrong_parameters(name):
    truth = nks.snn.switching_population(3, 2, rng=0)
    for wrong in (
        truth.drop_vars(name),
        truth.assign({name: truth[name] * np.nan}),
        truth.assign({name: truth[name].isel({truth[name].dims[0]: 0})}),
        truth.drop_attrs(),
        truth.assign_attrs(nonlinearity="relu"),
    ):
        with pytest.raises(SchemaError, match=r"Expected .*got"):
            nks.snn.simulate_switching_population(wrong, 10)


def test_probabilities_must_sum_to_one():
    truth = nks.snn.switching_population(3, 2, rng=0)
    for name in ("transition_probability", "initial_probability"):
        for values in (truth[name] * 0.9, truth[name] - 0.6, truth[name] * 0):
            with pytest.raises(SchemaError, match=rf"{name} to be >= 0 and sum to 1"):
                nks.snn.simulate_switching_population(truth.assign({name: values}), 10)


def test_dimensions_may_come_in_any_order():
    truth = nks.snn.switching_population(3, 2, rng=0)
    turned = truth.transpose("source", "target", "lag", "time_constant", "next_state", "state")
    xr.testing.assert_identical(
        nks.snn.simulate_switching_population(turned, 40, rng=0),
        nks.snn.simulate_switching_population(truth, 40, rng=0),
    )


def test_input_stays_unchanged():
    truth = nks.snn.switching_population(3, 2, rng=0)
    before = truth.copy(deep=True)
    nks.snn.simulate_switching_population(truth, 40, rng=0)
    xr.testing.assert_identical(truth, before)
