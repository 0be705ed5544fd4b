"""Smoothing and factor analysis: against hand, dense and other code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.optimize
from rate_problems import EPS, MODELS, fitted, split, trials
from scipy.stats import multivariate_normal

import neurokit_sdr as nks
from neurokit_sdr.generative.baselines import equations as core
from neurokit_sdr.generative.baselines.model import FactorAnalysis

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
