"""Connectivity from spikes: against independent implementations, and against known wiring."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm

import neurokit_sdr as nks
from neurokit_sdr.analysis.connectivity.lags import z_of_largest
from neurokit_sdr.core.errors import DataWarning, NeurokitError
from neurokit_sdr.core.seeding import stream


@pytest.fixture(scope="module")
def hubs():
    """Two minutes of a strongly coupled network, its counts, and the truth."""
    session = nks.snn.simulate(nks.snn.hub_network(rng=3), 120.0, rng=3, progress=False)
    return session, nks.bin_spikes(session, 0.002), nks.bin_spikes(session, 0.02)


def test_lagged_correlation_is_pearsons(seed):
    rng = stream(seed, "lagged")
    spikes = {i: np.sort(rng.uniform(0, 20, 200)) for i in range(4)}
    counts = nks.bin_spikes(nks.io.from_spike_times(spikes, t_stop=20.0), 0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        weight = nks.analysis.lagged_correlation(counts, lag=2)["weight"]
    n = counts["count"].values.astype(float)
    for target in range(4):
        for source in range(4):
            if target != source:
                wanted = np.corrcoef(n[2:, target], n[:-2, source])[0, 1]
                got = float(weight.sel(target=target, source=source))
                # Means and variances over all bins, or over those that overlap.
                assert abs(got - wanted) < 5 / len(n)


def test_the_methods_rank_as_an_independent_simulator_ranked_them(hubs):
    session, fine, coarse = hubs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        estimates = {
            "glm": nks.analysis.coupled_poisson_glm(fine),
            "lag": nks.analysis.lagged_correlation(fine),
            "challenge": nks.analysis.challenge_partial_correlation(coarse),
        }
    table = nks.validation.score_connectivity(estimates, session)
    for score in ("auroc", "auprc"):
        glm, lag, challenge = (float(table[score].sel(estimate=e)) for e in estimates)
        chance = float(table[score].sel(estimate="chance"))
        assert glm > lag > challenge > chance
    assert np.median(table["hub_rank"].sel(estimate="glm")) <= 5


METHODS = {
    "correlogram": lambda spikes, counts: nks.analysis.cross_correlogram_peak(spikes),
    "lag": lambda spikes, counts: nks.analysis.lagged_correlation(counts),
    "partial": lambda spikes, counts: nks.analysis.partial_correlation(counts),
    "glm": lambda spikes, counts: nks.analysis.coupled_poisson_glm(counts),
    "entropy": lambda spikes, counts: nks.analysis.transfer_entropy(counts),
    "entropy, shifted": lambda spikes, counts: nks.analysis.transfer_entropy(
        counts, null="shift", rng=0
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_z_scores_of_independent_trains_are_no_larger_than_those_of_a_normal(method, seed):
    rng = stream(seed, "independent")
    trains = {i: np.sort(rng.uniform(0, 120, rng.poisson(8 * 120))) for i in range(30)}
    spikes = nks.io.from_spike_times(trains, t_stop=120.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        z = METHODS[method](spikes, nks.bin_spikes(spikes, 0.002))["z_score"].values
    z = np.abs(z[~np.eye(30, dtype=bool)])
    # Pairs share trains, but a pair says nothing of another; partial correlation is symmetric.
    n = z.size / (2 if method == "partial" else 1)
    assert (z > 1.96).mean() < 0.05 + 5 * np.sqrt(0.05 * 0.95 / n)
    assert z.max() < norm.isf(1e-5 / n / 2)


def test_the_largest_of_several_is_as_rare_as_it_is():
    z = np.linspace(0.1, 30, 200)
    for number in (1, 2, 9):
        found = z_of_largest(z, number)
        wanted = -np.expm1(number * np.log1p(-2 * norm.sf(z)))
        # Below p = 1e-9 as m p, which is off by m p / 2.
        np.testing.assert_allclose(2 * norm.sf(found[z < 8]), wanted[z < 8], rtol=number * 1e-9)
        assert (np.diff(found) > 0).all()
        assert (found <= z * (1 + 1e-12)).all()
        np.testing.assert_array_equal(z_of_largest(-z, number), -found)
    np.testing.assert_allclose(z_of_largest(z, 1), z, rtol=1e-9)


def posterior_mode(design, count, prior_sd):
    """Newton's method for one target, by the textbook: (intercept and weights, their errors)."""
    precision = np.full(design.shape[1], prior_sd**-2.0)
    precision[0] = 0
    theta = np.zeros(design.shape[1])
    theta[0] = np.log(count.mean())
    for _ in range(100):
        rate = np.exp(design @ theta)
        hessian = design.T @ (design * rate[:, None]) + np.diag(precision)
        step = np.linalg.solve(hessian, design.T @ (count - rate) - precision * theta)
        theta += step
        if np.abs(step).max() < 1e-12:
            break
    return theta, np.sqrt(np.diag(np.linalg.inv(hessian)))


def test_glm_is_the_mode_that_newtons_method_finds(seed):
    rng = stream(seed, "glm")
    spikes = {i: np.sort(rng.uniform(0, 60, 400)) for i in range(4)}
    # Unit 1 follows unit 0 by 4 ms, every other time.
    spikes[1] = np.sort(np.concatenate([spikes[1], spikes[0][::2] + 0.004]))
    spikes[1] = spikes[1][spikes[1] < 60]
    counts = nks.bin_spikes(nks.io.from_spike_times(spikes, t_stop=60.0), 0.002)
    kernel = np.array([0.1, 0.6, 0.3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        result = nks.analysis.coupled_poisson_glm(counts, 3, kernel=kernel)
    n = counts["count"].values.astype(float)
    design = np.ones((len(n), 5))
    design[:, 1:] = 0
    for k, phi in enumerate(result["kernel"].values, start=1):
        design[k:, 1:] += phi * n[:-k]
    off = ~np.eye(4, dtype=bool)
    for target in range(4):
        theta, error = posterior_mode(design, n[:, target], 5.0)
        others = off[target]
        got = result.isel(target=target)
        # Both stop within a small part of a standard error of the mode.
        apart = (got["weight"].values - theta[1:])[others] / error[1:][others]
        assert np.abs(apart).max() < 1e-2
        wanted = (theta[1:] / error[1:])[others]
        np.testing.assert_allclose(got["z_score"].values[others], wanted, atol=2e-2, rtol=1e-2)
    assert float(result["z_score"].sel(target=1, source=0)) > 5


def test_a_fitting_setting_does_not_warn_and_a_wrong_one_names_a_better(hubs):
    _, fine, coarse = hubs
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nks.analysis.lagged_correlation(fine, lag=1)
    with pytest.warns(DataWarning, match="lag"):
        nks.analysis.lagged_correlation(fine, lag=20)
    with pytest.warns(DataWarning, match="bin"):
        nks.analysis.lagged_correlation(coarse, lag=1)


@pytest.mark.parametrize(
    "method",
    [
        nks.analysis.coupled_poisson_glm,
        nks.analysis.lagged_correlation,
        nks.analysis.partial_correlation,
        nks.analysis.transfer_entropy,
        nks.analysis.challenge_partial_correlation,
    ],
)
def test_odd_recordings(method):
    rng = np.random.default_rng(0)
    times = {"a": np.sort(rng.uniform(0, 30, 300)), "b": np.sort(rng.uniform(0, 30, 200))}
    silent = nks.io.from_spike_times(times | {"c": []}, t_stop=30.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        result = method(nks.bin_spikes(silent, 0.01))
        assert not np.isfinite(result["z_score"].sel(source="c").values).any()
        one = nks.bin_spikes(nks.io.from_spike_times({"a": times["a"]}, t_stop=30.0), 0.01)
        with pytest.raises(NeurokitError):
            method(one)
        with pytest.raises(NeurokitError):
            method(one["count"])
