"""Counts to arrays and back, the score, and the baselines: against hand, dense and other code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.optimize
import xarray as xr
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import multivariate_normal, poisson

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    MissingDependencyError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.engines.poisson.score import bits_per_spike
from neurokit_sdr.generative.baselines import equations as core
from neurokit_sdr.generative.baselines.model import FactorAnalysis, Smoothing
from neurokit_sdr.generative.poisson_lds import equations as lds
from neurokit_sdr.generative.poisson_lds.model import PoissonLDS
from neurokit_sdr.generative.rates.arrays import evaluation_arrays, training_arrays
from neurokit_sdr.generative.rates.labels import begin_result, label

EPS = np.finfo(float).eps

MODELS = {
    "Smoothing": Smoothing(smoothing=0.05),
    "FactorAnalysis": FactorAnalysis(n_latents=2, smoothing=0.05),
    "PoissonLDS": PoissonLDS(n_latents=2, tol=1e-3),
}


def rotation(n_units=12, speed=0.3, decay=0.97, seed=0) -> lds.Parameters:
    """Two latents that turn, in their stationary distribution of unit covariance."""
    turn = np.array([[np.cos(speed), -np.sin(speed)], [np.sin(speed), np.cos(speed)]])
    rng = np.random.default_rng(seed)
    noise = (1 - decay**2) * np.eye(2)
    return lds.Parameters(
        decay * turn,
        noise,
        np.zeros(2),
        np.eye(2),
        rng.standard_normal((n_units, 2)) * 0.6,
        np.full(n_units, np.log(0.4)),
    )


def known_lds(p: lds.Parameters, **attrs) -> PoissonLDS:
    square = ("latent_dim", "other_dim")
    return PoissonLDS.from_parameters(
        xr.Dataset(
            {
                "transition": (square, p.transition),
                "noise_covariance": (square, p.noise),
                "initial_mean": ("latent_dim", p.first_mean),
                "initial_covariance": (square, p.first_noise),
                "loading": (("unit", "latent_dim"), p.loading),
                "log_rate": ("unit", p.bias),
            },
            coords={"unit": [f"n{i}" for i in range(len(p.bias))]},
            attrs={"bin_size": 0.02, **attrs},
        )
    )


def trials(n_trials=12, n_bins=30, seed=0, **options) -> xr.Dataset:
    return known_lds(rotation(**options)).simulate([n_bins] * n_trials, rng=seed)[["count"]]


def split(data: xr.Dataset, n_held_out=3, n_forward=5) -> xr.Dataset:
    """The data with the coordinates of the protocol."""
    held_in = np.arange(data.sizes["unit"]) < data.sizes["unit"] - n_held_out
    forward = np.arange(data.sizes["time"]) >= data.sizes["time"] - n_forward
    return data.assign_coords(held_in=("unit", held_in), forward=("time", forward))


def fitted(name: str, data: xr.Dataset):
    model = type(MODELS[name])(**MODELS[name].get_params())
    return model.fit(data, rng=0, progress=False)


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


# -- smoothing, read-out, factors ---------------------------------------------------------------


def test_smoothing_is_the_weighted_mean_of_valid_bins(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (2, 15, 3)).astype(float)
    valid = rng.random((2, 15)) < 0.7
    fallback = np.array([9.0, 8.0, 7.0])
    with_own, without = core.smooth(counts, valid, 1.5, fallback)
    for trial, t in itertools.product(range(2), range(15)):
        for found, leave_out in ((with_own, False), (without, True)):
            near = [
                k
                for k in range(15)
                if valid[trial, k] and abs(k - t) <= 6 and not (leave_out and k == t)
            ]
            weight = np.exp(-0.5 * ((np.array(near) - t) / 1.5) ** 2)
            mean = weight @ counts[trial, near] / weight.sum() if near else fallback
            # A far bin alone has a weight of 1e-4, found as a difference of sums near 1.
            np.testing.assert_allclose(found[trial, t], mean, atol=1e4 * 50 * EPS)
    flat = core.smooth(np.full((1, 15, 1), 2.0), valid[:1], 1.5, np.array([2.0]))
    np.testing.assert_allclose(flat, 2.0, rtol=1e4 * 50 * EPS)


def test_read_out_is_at_the_maximum(seed):
    rng = np.random.default_rng(seed)
    features = core.Features(
        rng.standard_normal((400, 3)),
        rng.standard_normal((400, 2)) * 0.3,
        np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 1.0]]),
    )
    counts = rng.poisson(np.exp(0.3 + features.values @ [[0.5, -0.3], [0.2, 0], [0, 0.7]]))
    counts = counts.astype(float)
    found = core.fit_read_out(features, counts, 5.0)
    for unit in range(2):
        x = features.values + features.shift[:, [unit]] * features.direction[unit]
        mean = counts[:, unit].mean()

        def loss(theta, x=x, y=counts[:, unit], mean=mean):
            drive = theta[0] + x @ theta[1:]
            silent = 0.5 * (theta[0] - np.exp(theta[0]) / mean)
            return np.exp(drive).sum() - y @ drive + 2.5 * theta[1:] @ theta[1:] - silent

        other = scipy.optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-3})
        theta = np.append(found.bias[unit], found.weight[unit])
        # Newton stops once a step gains 1e-7 nats; another code may be as far below.
        assert loss(theta) <= other.fun + 2e-7
        np.testing.assert_allclose(
            found(features)[:, unit], np.exp(theta[0] + x @ theta[1:]), rtol=100 * EPS
        )


def test_a_silent_unit_has_half_a_spike_worth_of_bias():
    features = core.Features(np.zeros((100, 1)), np.zeros((100, 1)), np.zeros((1, 1)))
    found = core.fit_read_out(features, np.zeros((100, 1)), 1.0)
    # 0.5 - (100 + 0.5 / 0.005) e^b = 0; Newton stops 1e-7 nats below the top of curvature 0.5.
    assert found.bias[0] == pytest.approx(np.log(0.0025), abs=1e-3)
    assert found.weight[0, 0] == 0.0


def test_factor_analysis_is_scikit_learns(seed):
    from sklearn.decomposition import FactorAnalysis as Peer

    rng = np.random.default_rng(seed)
    # Loadings of 0.5 to 1.5, one alternating: far from where factors vanish and both codes crawl.
    signs = np.array([np.ones(10), (-1.0) ** np.arange(10)])
    x = rng.standard_normal((2000, 2)) @ (rng.uniform(0.5, 1.5, (2, 10)) * signs)
    x += rng.standard_normal(x.shape)
    loading, noise = core.fit_factor_analysis(np.cov(x.T, bias=True), 2)
    peer = Peer(2, svd_method="lapack", tol=1e-5, max_iter=5000).fit(x)
    ours = multivariate_normal(x.mean(0), loading @ loading.T + np.diag(noise)).logpdf(x).mean()
    # Both stop at an iteration that gains at most 5e-9 nats per sample (theirs says 1e-5 for all
    # 2000); with a hundred more of them to come they would still agree to 1e-6.
    assert ours == pytest.approx(peer.score(x), abs=1e-6)
    found = core.find_factors(x, 2)
    factors = (x - found.mean) @ found.weight.T
    np.testing.assert_allclose(factors.std(axis=0), 1.0, rtol=1e-10)
    theirs = peer.transform(x)
    for k in range(2):
        assert abs(np.corrcoef(factors[:, k], theirs[:, k])[0, 1]) > 1 - 1e-3


def test_features_of_units_that_never_vary_are_zero():
    root = np.column_stack([np.full(50, 2.0), np.arange(50.0)])
    found = core.standardise(root)
    features = (root - found.mean) @ found.weight.T
    np.testing.assert_array_equal(features[:, 0], 0.0)
    assert features[:, 1].std() == pytest.approx(1.0)
    assert np.isfinite(core.find_factors(root, 1).weight).all()


@pytest.mark.parametrize("name", ["Smoothing", "FactorAnalysis"])
def test_the_kernel_is_chosen_by_held_out_likelihood(name):
    data = split(trials(n_trials=40, n_bins=50, seed=1), n_forward=0)
    model = MODELS[name].__class__(**{**MODELS[name].get_params(), "smoothing": None})
    model.fit(data, rng=0, progress=False)
    score = model.result_["validation_score"]
    best = score.sel(
        smoothing=model.result_.attrs["smoothing"],
        ridge=model.result_.attrs["ridge"],
        method="nearest",
    )
    assert best == score.max()
    tried = score.notnull().all("ridge").values
    assert tried[0]
    assert not tried[-1]
    # Wider kernels than the latents' swings predict worse than the chosen one, on other trials.
    others = split(trials(n_trials=40, n_bins=50, seed=2), n_forward=0)
    wide = MODELS[name].__class__(**{**MODELS[name].get_params(), "smoothing": 0.3})
    assert model.score(others) > wide.fit(data, rng=0, progress=False).score(others)
    assert model.score(others) > 0.05


@pytest.mark.parametrize("name", ["Smoothing", "FactorAnalysis"])
def test_a_units_own_spike_does_not_predict_itself(name):
    """Independent constant rates hold nothing to find; with the own bin the score would be > 0.5.

    The score of B bits on n spikes has a standard error near sqrt(2 B / (n ln 2)), and the fit of p
    weights costs p / (2 n ln 2) bits on new data: here below 0.02 with 4 standard errors.
    """
    rng = np.random.default_rng(0)
    data = trials(n_trials=20)
    data["count"].values[:] = rng.poisson(0.4, data["count"].shape)
    assert abs(fitted(name, data).score(data)) < 0.05


def test_forward_rates_of_smoothing_are_the_last_features():
    data = split(trials())
    for name in ("Smoothing", "FactorAnalysis"):
        model = fitted(name, data)
        latent = model.transform(data)["latent"]
        for k in range(25, 30):
            np.testing.assert_array_equal(latent[:, k], latent[:, 24])
        rate = model.predict(data)["expected_count"]
        np.testing.assert_allclose(
            rate[:, 25],
            np.exp(
                model.result_["log_rate"].values
                + latent[:, 25].values @ model.result_["weight"].values.T
            ),
            rtol=1e-12,
        )


def test_simulated_factors_have_the_kernels_autocorrelation():
    model = fitted("FactorAnalysis", trials())
    drawn = model.simulate([40] * 400, rng=3)
    latent = drawn["latent"].values
    width = model.result_.attrs["smoothing"] / 0.02
    for lag in (0, 2, 5):
        product = (latent[:, 20] * latent[:, 20 + lag]).ravel()
        # Twice the kernel's variance; 800 independent products of variance at most 2. The kernel
        # ends at four standard deviations, which moves the correlation by less than 1e-3.
        expected = np.exp(-(lag**2) / (4 * width**2))
        assert abs(product.mean() - expected) < 5 * np.sqrt(2 / 800) + 1e-3
    ratio = drawn["count"].sum() / drawn["expected_count"].sum()
    assert abs(ratio - 1) < 5 / np.sqrt(float(drawn["expected_count"].sum()))
    constant = fitted("Smoothing", trials()).simulate(5, rng=0)["expected_count"]
    assert (constant == constant[0]).all()


# -- Poisson linear dynamical system ------------------------------------------------------------


def lds_data(seed=0, n_trials=6, n_bins=25) -> tuple[lds.Data, lds.Parameters]:
    """Ragged, with missing bins."""
    p = rotation(seed=seed)
    drawn = known_lds(p).simulate([n_bins] * n_trials, rng=seed)
    lengths = np.full(n_trials, n_bins)
    lengths[1:3] = 10, 1
    valid = (np.arange(n_bins) < lengths[:, None]).astype(float)
    valid[3, 8:14] = 0.0
    return lds.Data(drawn["count"].values * valid[:, :, None], valid, lengths), p


def dense_posterior(data: lds.Data, p: lds.Parameters, trial: int, mean: np.ndarray):
    """The negative Hessian of one trial's log joint as one matrix, from the equations."""
    n, d = data.lengths[trial], len(p.first_mean)
    hessian = np.zeros((n, d, n, d))
    inverse = np.linalg.inv(p.noise)
    hessian[0, :, 0] += np.linalg.inv(p.first_noise)
    for t in range(1, n):
        hessian[t, :, t] += inverse
        hessian[t - 1, :, t - 1] += p.transition.T @ inverse @ p.transition
        hessian[t, :, t - 1] -= inverse @ p.transition
        hessian[t - 1, :, t] -= (inverse @ p.transition).T
    for t in range(n):
        rate = np.exp(p.bias + p.loading @ mean[t]) * data.valid[trial, t]
        hessian[t, :, t] += (p.loading.T * rate) @ p.loading
    return hessian.reshape(n * d, n * d)


def test_posterior_is_the_mode_and_its_curvature(seed):
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    gradient, _ = lds._derivatives(data, p, posterior.mean)
    # Newton's last step gained under 1e-6 nats; the error of the mode after it is the square of
    # that before, times a rate of order 10.
    inside = np.arange(25) < data.lengths[:, None]
    assert np.abs(gradient[inside]).max() < 1e-4
    d = 2
    for trial in range(4):
        n = data.lengths[trial]
        hessian = dense_posterior(data, p, trial, posterior.mean[trial])
        inverse = np.linalg.inv(hessian).reshape(n, d, n, d)
        blocks = lds._square(posterior.covariance[trial, :n], d)
        for t in range(n):
            np.testing.assert_allclose(blocks[t], inverse[t, :, t], atol=1e-12)
        across = sum((inverse[t + 1, :, t] for t in range(n - 1)), np.zeros((d, d)))
        np.testing.assert_allclose(posterior.lagged[trial], across, atol=1e-11)
        # Laplace: log p(y, mode) + log of the Gaussian's volume.
        x, y = posterior.mean[trial, :n], data.counts[trial, :n]
        joint = multivariate_normal(p.first_mean, p.first_noise).logpdf(x[0])
        for t in range(1, n):
            joint += multivariate_normal(p.transition @ x[t - 1], p.noise).logpdf(x[t])
        drive = p.bias + x @ p.loading.T
        joint += ((y * drive - np.exp(drive)) * data.valid[trial, :n, None]).sum()
        volume = 0.5 * (n * d * np.log(2 * np.pi) - np.linalg.slogdet(hessian)[1])
        assert posterior.log_likelihood[trial] == pytest.approx(joint + volume, abs=1e-9)


def test_posterior_is_a_kalman_smoother_of_the_working_observations(seed):
    """At the mode the counts act like Gaussian observations with variance 1 / rate."""
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    for trial in (0, 3):
        rate = np.exp(p.bias + posterior.mean[trial] @ p.loading.T)
        working = posterior.mean[trial] @ p.loading.T + (data.counts[trial] - rate) / rate
        filtered, predicted = [], []
        mean, covariance = p.first_mean, p.first_noise
        for t in range(25):
            if t:
                mean = p.transition @ mean
                covariance = p.transition @ covariance @ p.transition.T + p.noise
            predicted.append((mean, covariance))
            if data.valid[trial, t]:
                spread = p.loading @ covariance @ p.loading.T + np.diag(1 / rate[t])
                gain = covariance @ p.loading.T @ np.linalg.inv(spread)
                mean = mean + gain @ (working[t] - p.loading @ mean)
                covariance = covariance - gain @ p.loading @ covariance
            filtered.append((mean, covariance))
        for t in range(24, -1, -1):
            if t < 24:
                back = filtered[t][1] @ p.transition.T @ np.linalg.inv(predicted[t + 1][1])
                mean = filtered[t][0] + back @ (mean - predicted[t + 1][0])
                covariance = filtered[t][1] + back @ (covariance - predicted[t + 1][1]) @ back.T
            # As far as the mode is from the true one.
            np.testing.assert_allclose(posterior.mean[trial, t], mean, atol=1e-5)
            found = lds._square(posterior.covariance[trial, t], 2)
            np.testing.assert_allclose(found, covariance, atol=1e-9)


def expected_log_joint(data, posterior, p, mean_rate):
    """What an M-step maximises, bin by bin from the equations, with the priors."""
    total = lds._log_prior(p, mean_rate)
    d = 2
    covariances = lds._square(posterior.covariance, d)
    precision, first = np.linalg.inv(p.noise), np.linalg.inv(p.first_noise)
    for trial, n in enumerate(data.lengths):
        m, v = posterior.mean[trial], covariances[trial]
        r = m[0] - p.first_mean
        total -= 0.5 * (np.trace(first @ (np.outer(r, r) + v[0])) - np.linalg.slogdet(first)[1])
        lagged = posterior.lagged[trial]
        spread = -p.transition @ lagged.T - lagged @ p.transition.T
        for t in range(1, n):
            r = m[t] - p.transition @ m[t - 1]
            spread = spread + np.outer(r, r) + v[t] + p.transition @ v[t - 1] @ p.transition.T
        total -= 0.5 * (np.trace(precision @ spread) - (n - 1) * np.linalg.slogdet(precision)[1])
        for t in np.flatnonzero(data.valid[trial]):
            drive = p.bias + p.loading @ m[t]
            variance = np.einsum("ni,ij,nj->n", p.loading, v[t], p.loading)
            total += data.counts[trial, t] @ drive - np.exp(drive + variance / 2).sum()
    return float(total)


def test_updates_raise_the_expected_log_joint_to_its_top(seed):
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    mean_rate = np.maximum(data.counts.sum(axis=(0, 1)), 0.5) / data.valid.sum()
    before = expected_log_joint(data, posterior, p, mean_rate)
    dynamics = lds._dynamics(data, posterior, p)
    middle = expected_log_joint(data, posterior, dynamics, mean_rate)
    after = lds._emission(data, posterior, dynamics, mean_rate, steps=50)
    top = expected_log_joint(data, posterior, after, mean_rate)
    assert before < middle < top
    # At a maximum no small move gains: second order in the move, first order nothing.
    rng = np.random.default_rng(seed)
    for name in ("transition", "noise", "first_mean", "first_noise", "loading", "bias"):
        value = getattr(after, name)
        move = rng.standard_normal(value.shape)
        if "noise" in name:
            root = np.linalg.cholesky(value)
            move = root @ (move + move.T) @ root.T
        h = 1e-4
        up, down = (
            expected_log_joint(data, posterior, after._replace(**{name: moved}), mean_rate)
            for moved in (value + h * move, value - h * move)
        )
        # Central difference: rounding of a sum near 1e3, and third derivatives below 1e5 (hundred
        # bins times the cube of a move of relative size 3, or of a drive of rate 0.4).
        assert abs(up - down) / (2 * h) < 1e3 * 100 * EPS / h + 1e5 * h**2 / 6, name
        assert up + down < 2 * top + 1e-7


def test_fit_climbs_and_keeps_the_best(seed):
    data, _ = lds_data(seed)
    fit = lds.fit(data, lds.begin(data, 2), max_iter=60, tol=1e-5)
    gain = np.diff(fit.objective)
    # It stops at the first gain below the tolerance, a fall included.
    assert (gain[:-1] >= 1e-5 * data.valid.sum()).all()
    best = lds.infer(data, fit.parameters)
    mean_rate = np.maximum(data.counts.sum(axis=(0, 1)), 0.5) / data.valid.sum()
    value = best.log_likelihood.sum() + lds._log_prior(fit.parameters, mean_rate)
    # Warm and cold starts of Newton end within their last gain per trial.
    assert value == pytest.approx(fit.objective.max(), abs=6 * 1e-6)


def test_canonical_latents_say_the_same(seed):
    data, p = lds_data(seed)
    mixed = p._replace(first_mean=np.array([0.5, -0.2]))
    canonical = lds.canonical(data, mixed)
    first, second = lds.infer(data, mixed), lds.infer(data, canonical)
    np.testing.assert_allclose(
        lds.expected_counts(second.mean, second.covariance, canonical),
        lds.expected_counts(first.mean, first.covariance, mixed),
        rtol=1e-4,
    )
    inside = np.arange(25) < data.lengths[:, None]
    mean = second.mean[inside] - second.mean[inside].mean(axis=0)
    spread = mean.T @ mean / len(mean)
    spread += lds._square(second.covariance[inside].mean(axis=0), 2)
    np.testing.assert_allclose(spread, np.eye(2), atol=1e-5)
    product = canonical.loading.T @ canonical.loading
    assert abs(product[0, 1]) < 1e-10
    assert product[0, 0] >= product[1, 1]


def test_dynamics_are_recovered_up_to_a_linear_map(seed):
    """Against the truth on new trials: p parameters cost about p / 2 nats there, p / 2 in training.

    p = 12 (2 + 1) + 4 + 3 + 2 + 3 - 4 = 44 free parameters, tested on as much data as they were
    fitted to; the cost is half a chi-square of p degrees of freedom for large samples. Laplace's
    approximation and the priors add their bias, taken as once more the mean.
    """
    p = rotation()
    train, test = (known_lds(p).simulate([60] * 40, rng=2 * seed + k)[["count"]] for k in (0, 1))
    model = PoissonLDS(n_latents=2, tol=1e-5).fit(train, rng=0, progress=False)
    found = lds.Parameters(
        *(
            model.result_[name].values
            for name in (
                "transition",
                "noise_covariance",
                "initial_mean",
                "initial_covariance",
                "loading",
                "log_rate",
            )
        )
    )
    data = lds.Data(test["count"].values.astype(float), np.ones((40, 60)), np.full(40, 60))
    cost = lds.infer(data, p).log_likelihood.sum() - lds.infer(data, found).log_likelihood.sum()
    assert -5 * np.sqrt(44 / 2) < cost < 44 + 5 * np.sqrt(44 / 2)
    # Frequency and decay: the standard error of a turning AR(1)'s eigenvalue, observed exactly, is
    # sqrt((1 - |a|^2) / n); spikes tell each step's latent with an error of half its variance at
    # worst, so at most twice as large. Five of them, and the priors' pull of 1 / n.
    eigenvalue = np.linalg.eigvals(found.transition)
    error = 2 * np.sqrt((1 - 0.97**2) / (40 * 59))
    assert abs(np.abs(eigenvalue).max() - 0.97) < 5 * error
    assert abs(np.abs(np.angle(eigenvalue)).max() - 0.3) < 5 * error
    # The span of the loading: what of the true one lies outside is estimation error alone.
    basis = np.linalg.qr(found.loading)[0]
    outside = p.loading - basis @ (basis.T @ p.loading)
    # A loading's standard error is at most 1 / sqrt(n rate var(latent)), for each of 10 x 2 left.
    assert (outside**2).sum() < 20 / (40 * 60 * 0.4) * 4


def test_forward_bins_are_the_forecast_of_the_dynamics():
    p = rotation()
    model = known_lds(p, n_forward=4)
    counts = known_lds(p).simulate([20, 20], rng=5)[["count"]]
    predicted, latent = model.predict(counts), model.transform(counts)["latent"].values
    arrays = evaluation_arrays(counts, model.result_)
    covariance = lds._square(model._posterior(arrays).covariance, 2)
    for t in range(20, 24):
        np.testing.assert_allclose(latent[:, t], latent[:, t - 1] @ p.transition.T, atol=1e-5)
        ahead = p.transition @ covariance[:, t - 1] @ p.transition.T + p.noise
        np.testing.assert_allclose(covariance[:, t], ahead, rtol=1e-10)
        variance = np.einsum("ni,bij,nj->bn", p.loading, covariance[:, t], p.loading)
        np.testing.assert_allclose(
            predicted["expected_count"][:, t],
            np.exp(p.bias + latent[:, t] @ p.loading.T + variance / 2),
            rtol=1e-12,
        )


def test_simulated_counts_have_the_stationary_mean(seed):
    p = rotation(speed=0.9, decay=0.5)
    stationary = solve_discrete_lyapunov(p.transition, p.noise)
    np.testing.assert_allclose(stationary, np.eye(2), atol=1e-12)
    drawn = known_lds(p).simulate([20] * 1000, rng=seed)
    variance = (p.loading**2).sum(axis=1)
    mean = np.exp(p.bias + variance / 2)
    # Each trial is independent; the spread of their means is measured.
    each = drawn["count"].mean("time").values
    error = each.std(axis=0) / np.sqrt(1000)
    # The largest of 12 units and a hundred seeds, skewed by the exponential.
    assert (np.abs(each.mean(axis=0) - mean) < 6 * error).all()
    assert drawn["latent"].dims == ("trial", "time", "latent_dim")


def test_interrupted_fit_keeps_the_best_so_far(monkeypatch):
    calls = []
    update = lds._dynamics

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return update(*arguments)

    monkeypatch.setattr(lds, "_dynamics", interrupt)
    data = trials()
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = PoissonLDS(n_latents=2, tol=0.0).fit(data, rng=0, progress=False)
    assert model.result_.sizes["iteration"] == 3
    assert np.isfinite(model.score(data))


# -- real and published recordings --------------------------------------------------------------


def test_lorenz_with_a_quarter_of_the_trials_beats_what_was_measured_before(
    data_folder, monkeypatch
):
    """Anchors with all trials: smoothing .596, factor analysis .621; the true rates have .845."""
    monkeypatch.setenv("NEUROKIT_SDR_DATA", str(data_folder))
    counts = nks.io.fetch_example("lorenz")["counts"].to_dataset()
    held_in = np.arange(60) < 45
    data = counts[["count"]].assign_coords(held_in=("unit", held_in))
    train = data.isel(trial=np.flatnonzero(counts["split"] == "train")[::4])
    truth = data.isel(trial=np.flatnonzero(counts["split"] == "valid"))
    model = FactorAnalysis(smoothing=0.04).fit(train, rng=0, progress=False)
    assert 0.64 < model.score(truth) < 0.845
