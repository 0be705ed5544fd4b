"""Counts to arrays and back, the score, and what models of rates refuse."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from rate_problems import EPS, MODELS, fitted, known_lds, rotation, split, trials
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    MissingDependencyError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.generative.baselines.model import FactorAnalysis, Smoothing
from neurokit_sdr.generative.poisson_lds.model import PoissonLDS
from neurokit_sdr.generative.rates.arrays import evaluation_arrays, training_arrays
from neurokit_sdr.generative.rates.labels import begin_result, label

# -- bits per spike -----------------------------------------------------------------------------


def test_bits_per_spike_by_hand():
    # Spikes 3 and 1, mean 2: (3 log 3/2 + log 1/2 - 4 + 4) / (4 log 2).
    by_hand = (3 * np.log(1.5) + np.log(0.5)) / (4 * np.log(2))
    assert bits_per_spike([[3.0], [1.0]], [[3], [1]]) == pytest.approx(by_hand, rel=4 * EPS)
    assert bits_per_spike([[2.0], [2.0]], [[3], [1]]) == 0.0
    # Nothing expected where a spike came: 1e-9.
    worst = (3 * np.log(1.5) + np.log(1e-9 / 2) - 3 - 1e-9 + 4) / (4 * np.log(2))
    assert bits_per_spike([[3.0], [0.0]], [[3], [1]]) == pytest.approx(worst, rel=1e-14)


def test_bits_per_spike_is_a_ratio_of_poisson_likelihoods(seed):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 1.0, (4, 20, 5)) + 0.01
    count = rng.poisson(rate).astype(float)
    count[rng.random(count.shape) < 0.2] = np.nan
    count[..., 3] = np.where(np.isnan(count[..., 3]), np.nan, 0.0)  # a silent unit
    count[..., 4] = np.nan  # and one that was not recorded
    mean = np.zeros(5)
    mean[:4] = np.nanmean(count[..., :4], axis=(0, 1))
    used = ~np.isnan(count)
    null = np.broadcast_to(np.maximum(mean, 1e-9), count.shape)
    gain = poisson.logpmf(count[used], rate[used]) - poisson.logpmf(count[used], null[used])
    expected = gain.sum() / (np.log(2) * count[used].sum())
    # Each logarithm of a probability is rounded a few times, and sums of 400 terms of size 10.
    assert bits_per_spike(rate, count) == pytest.approx(expected, abs=400 * 10 * 8 * EPS)
    poisoned = np.where(used, rate, np.nan)
    assert bits_per_spike(poisoned, count) == bits_per_spike(rate, count)
    assert bits_per_spike(rate[0, 0], count) == bits_per_spike(
        np.broadcast_to(rate[0, 0], count.shape), count
    )


@pytest.mark.parametrize(
    ("expected", "count", "says"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]], "of one shape"),
        ([[-0.1]], [[1.0]], "are they log rates"),
        ([[np.nan]], [[1.0]], "Set count to NaN"),
        ([[1.0]], [[0.0]], "at least one spike"),
        ([[1.0]], [[np.nan]], "at least one spike"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one spike"),
    ],
)
def test_bits_per_spike_refuses(expected, count, says):
    with pytest.raises(SchemaError, match=says) as caught:
        bits_per_spike(expected, count)
    assert "got" in str(caught.value)


# -- data to arrays and back --------------------------------------------------------------------


def test_counts_are_taken_apart_by_hand():
    count = np.arange(1, 25).reshape(2, 4, 3)
    observed = np.ones((2, 4), dtype=bool)
    observed[0, 1] = False
    data = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, {"units": "1"}),
            "trial_length": ("trial", [4, 2], {"units": "1"}),
            "observed": (("trial", "time"), observed),
        },
        coords={
            "unit": ["a", "b", "c"],
            "held_in": ("unit", [True, False, True]),
            "forward": ("time", [False, False, False, True]),
        },
        attrs={"bin_size": 0.1},
    )
    arrays = training_arrays(data)
    valid = np.array([[1, 0, 1, 1], [1, 1, 0, 0]], dtype=bool)
    np.testing.assert_array_equal(arrays.valid, valid)
    np.testing.assert_array_equal(arrays.inside, [[1, 1, 1, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(arrays.counts, np.where(valid[:, :, None], count, 0))
    np.testing.assert_array_equal(arrays.inputs, arrays.counts[:, :3, [0, 2]])
    np.testing.assert_array_equal(arrays.seen, valid[:, :3])
    assert arrays.n_window == 3
    assert arrays.inputs.dtype == arrays.counts.dtype == np.float32

    result = begin_result(data, arrays)
    assert result.attrs == {"bin_size": 0.1, "n_forward": 1}
    # Held-in units of the window alone; a forward bin follows the trial that fills it.
    test = data.isel(unit=[0, 2], time=slice(3)).drop_vars("forward")
    test["trial_length"] = ("trial", [3, 2], {"units": "1"})
    asked = evaluation_arrays(test, result)
    np.testing.assert_array_equal(asked.inputs, arrays.inputs)
    np.testing.assert_array_equal(asked.inside, arrays.inside)
    np.testing.assert_array_equal(asked.forward, arrays.forward)
    assert not asked.valid[:, 3].any()
    assert np.isnan(asked.counts[:, :, 1]).all()

    values = np.arange(24.0).reshape(2, 4, 3)
    labelled = label({"x": (values, "unit", {})}, test, asked, result)
    np.testing.assert_array_equal(labelled["x"][1, 2:], np.nan)
    np.testing.assert_array_equal(labelled["x"][0], values[0])
    np.testing.assert_array_equal(labelled["trial_length"], [4, 2])
    assert list(labelled["unit"].values) == ["a", "b", "c"]


def test_forward_bins_are_labelled_on_the_same_clock():
    data = split(trials())
    model = fitted("Smoothing", data)
    test = data.isel(time=slice(25), trial=slice(4)).assign_coords(
        phase=("time", np.linspace(0, 1, 25)),
        step=("time", np.arange(25)),
        condition=("trial", list("abca")),
    )
    predicted = model.predict(test)
    # Sums of bin widths round once per bin.
    np.testing.assert_allclose(predicted["time"], data["time"], rtol=30 * EPS)
    np.testing.assert_array_equal(predicted["forward"], data["forward"])
    np.testing.assert_array_equal(predicted["phase"][:25], test["phase"])
    assert np.isnan(predicted["phase"][25:]).all()
    assert "step" not in predicted.coords
    xr.testing.assert_identical(predicted["condition"].variable, test["condition"].variable)
    np.testing.assert_array_equal(predicted["held_in"], data["held_in"])
    # One trial without its dim is the same, without it.
    one = model.predict(test.isel(trial=2, drop=True))
    assert one["expected_count"].dims == ("time", "unit")
    np.testing.assert_array_equal(one["expected_count"], predicted["expected_count"][2])
    # More forward bins than the fit had are forecast too, where the data mark them.
    more = test.assign_coords(forward=("time", np.arange(25) >= 15))
    assert model.predict(more).sizes["time"] == 25
    fewer = test.assign_coords(forward=("time", np.arange(25) >= 23))
    assert model.predict(fewer).sizes["time"] == 28


@pytest.mark.parametrize("name", MODELS)
def test_only_held_in_units_in_observed_bins_are_read(name):
    """A leak here would put a score above that of the true rates."""
    data = split(trials(n_trials=9))
    model = fitted(name, data.isel(trial=slice(6)))
    truth = data.isel(trial=slice(6, 9))
    poisoned = truth.copy(deep=True)
    poisoned["count"].values[:, :, 9:] = 7
    poisoned["count"].values[:, 25:] = 7
    test = truth.isel(unit=slice(9), time=slice(25)).drop_vars(["forward", "held_in"])
    observed = np.ones((3, 30), dtype=bool)
    observed[:, 10:13] = False
    predicted = model.predict(truth)
    for other in (poisoned, test):
        for call in (model.predict, model.transform):
            expected, got = call(truth), call(other)
            for variable in expected.data_vars:
                np.testing.assert_array_equal(got[variable], expected[variable])
    # Nor are missing bins.
    gap, gap_poisoned = (
        d.assign(observed=(("trial", "time"), observed)) for d in (truth, poisoned)
    )
    gap_poisoned["count"].values[:, 10:13] = 9
    np.testing.assert_array_equal(
        model.predict(gap)["expected_count"], model.predict(gap_poisoned)["expected_count"]
    )
    assert (model.predict(gap)["expected_count"] != predicted["expected_count"]).any()
    # The score is of held-out units in observed bins, and of nothing else.
    by_hand = bits_per_spike(
        predicted["expected_count"].values[:, :25, 9:], truth["count"].values[:, :25, 9:]
    )
    assert model.score(truth) == by_hand
    with pytest.raises(SchemaError, match="held-out units to score"):
        model.score(test)


@pytest.mark.parametrize("name", MODELS)
def test_trials_of_other_lengths_are_predicted_as_if_alone(name):
    data = trials(n_trials=6)
    model = fitted(name, data)
    short = data.assign(trial_length=("trial", [30, 12, 30, 1, 25, 30], {"units": "1"}))
    short["count"].values[1, 12:] = 5
    predicted = model.predict(short)["expected_count"]
    alone = model.predict(data.isel(trial=[1], time=slice(12)))["expected_count"]
    # Smoothing pads with zeros behind the end, which adds nothing to its sums.
    np.testing.assert_allclose(predicted[1, :12], alone[0], rtol=1e-12)
    assert np.isnan(predicted[1, 12:]).all()
    assert np.isfinite(predicted[3, 0]).all()
    assert np.isfinite(model.score(short))
    assert model.transform(short)["latent"].isel(trial=1, time=slice(12)).notnull().all()


@pytest.mark.parametrize("name", MODELS)
def test_fits_take_ragged_trials_silent_units_and_single_trials(name):
    data = split(trials(n_trials=6))
    data["count"].values[:, :, [0, 11]] = 0
    ragged = data.assign(trial_length=("trial", [30, 12, 0, 1, 25, 30], {"units": "1"}))
    model = fitted(name, ragged)
    rate = model.predict(ragged)["expected_count"]
    assert (rate[0, :, [0, 11]] < 0.05).all()
    assert (rate[0] > 0).all()
    single = fitted(name, data.isel(trial=0, drop=True))
    assert np.isfinite(single.predict(data.isel(trial=0, drop=True))["expected_count"]).all()
    # A trial of one bin holds no transition, and three such trials no time course.
    short = trials(n_trials=20, n_bins=1)
    assert np.isfinite(fitted(name, short).predict(short)["expected_count"]).all()


# -- errors -------------------------------------------------------------------------------------


def test_hopeless_data_are_refused():
    data = split(trials())
    model = Smoothing()

    def refused(bad, says, model=model):
        with pytest.raises(SchemaError, match=says) as caught:
            model.fit(bad, progress=False)
        assert "got" in str(caught.value)

    silent = data.copy(deep=True)
    silent["count"].values[:, :, :9] = 0
    refused(silent, "Expected spikes of the held-in units, got none")
    refused(data.assign_coords(forward=("time", np.ones(30, bool))), "nothing to read")
    refused(data.isel(unit=[0, 9, 10]), "at least 2 held-in units", FactorAnalysis())
    refused(data.isel(unit=[0, 9, 10]), "got 1 of 3 units", PoissonLDS())
    refused(data.isel(trial=slice(0)), "is the recording empty")
    fit = fitted("Smoothing", data)
    with pytest.raises(SchemaError, match="nothing to read"):
        fit.predict(data.assign_coords(forward=("time", np.ones(30, bool))))
    with pytest.raises(SchemaError, match="or the 9 held-in ones of them"):
        fit.predict(data.isel(unit=slice(8)))
    with pytest.raises(SchemaError, match="bin the data alike"):
        fit.predict(data.drop_vars("time").assign_attrs(bin_size=0.01))


def test_hyper_parameters_that_the_data_rule_out():
    data = split(trials(n_trials=4))
    for model in (FactorAnalysis(n_latents=10), PoissonLDS(n_latents=10)):
        with pytest.raises(ParameterError, match="at most the 9 held-in units, got 10"):
            model.fit(data, progress=False)
    with pytest.raises(ParameterError, match=r"at least half a bin, 0\.01 s, got 0\.005 s"):
        Smoothing(smoothing=[0.05, 0.005]).fit(data, progress=False)


def test_wide_bins_have_kernels_of_their_own():
    data = trials(n_trials=4).drop_vars("time").assign_attrs(bin_size=1.0)
    assert Smoothing().fit(data, rng=0, progress=False).result_.attrs["smoothing"] >= 0.5


def test_parameters_that_are_none():
    good = known_lds(rotation()).result_
    bad = {
        "transition": good.drop_vars("transition"),
        "finite": good.assign(log_rate=good["log_rate"] * np.nan),
        "bin_size": good.assign_attrs(bin_size=0),
        "JSON": good.assign_attrs(parameters="{"),
        "positive definite": good.assign(noise_covariance=-good["noise_covariance"]),
    }
    for says, parameters in bad.items():
        with pytest.raises(SchemaError, match=says) as caught:
            PoissonLDS.from_parameters(parameters)
        assert "Expected" in str(caught.value)
    smoothing = fitted("Smoothing", trials(n_trials=4)).result_
    with pytest.raises(SchemaError, match="as many input_unit as held-in units, 12, got 9"):
        Smoothing.from_parameters(smoothing.isel(input_unit=slice(9)))
    del smoothing.attrs["smoothing"]
    with pytest.raises(SchemaError, match=r"attrs\['smoothing'\] as a number > 0, got None"):
        Smoothing.from_parameters(smoothing)


@pytest.mark.parametrize("n_bins", [0, -1, 1.5, [], [3, 0], True])
def test_simulations_of_no_length(n_bins):
    with pytest.raises(ParameterError, match="whole number of at least 1"):
        known_lds(rotation()).simulate(n_bins)


def test_dynamics_that_run_away_are_noticed():
    p = rotation(decay=0.9)
    wild = known_lds(p._replace(transition=1.5 * np.eye(2)))
    with pytest.raises(ParameterError, match="damp the dynamics"):
        wild.simulate(500, rng=0)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(nks.generative._CLASSES, "Nothing", "no_such_module_of_ours")
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[generative\]"):
        nks.generative.Nothing
