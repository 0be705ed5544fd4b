"""What a fitted or known HMM-GLM does."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import oracles
import pytest
import xarray as xr
from hmm_glm_problems import fitted_parameters, last, oracle_data, rounding
from oracles import EPS
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm.data import Data
from neurokit_sdr.analysis.hmm_glm.equations import Parameters
from neurokit_sdr.core.counts import flatten
from neurokit_sdr.core.errors import ParameterError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def known():
    truth = nks.snn.switching_population(5, 2, time_constants=(0.02, 0.1), rng=3)
    return truth, nks.snn.simulate_switching_population(truth, [120, 80], rng=3)


def oracle_log_likelihood(p: Parameters, data: Data, nonlinearity: str) -> float:
    emission = oracles.poisson_log_likelihood(
        data.counts, data.design, data.observed, p.theta, nonlinearity
    )
    return sum(
        oracles.smooth(p.log_initial, p.log_transition, emission[a:b])[0]
        for a, b in itertools.pairwise(data.starts)
    )


def test_score_is_what_its_text_says(known):
    truth, counts = known
    counts = counts.assign(observed=(("trial", "time"), np.arange(240).reshape(2, 120) % 7 > 0))
    model = HMMGLM.from_parameters(truth)
    data = oracle_data(counts, [0.02, 0.1])
    log_likelihood = oracle_log_likelihood(fitted_parameters(model), data, "sigmoid")
    seen = data.counts[data.observed]
    assert model.score(counts, measure="nats_per_bin") == pytest.approx(
        log_likelihood / len(seen), rel=1e-12
    )
    null = poisson.logpmf(seen, seen.mean(axis=0)).sum()
    bits = (log_likelihood - null) / np.log(2) / seen.sum()
    assert model.score(counts) == pytest.approx(bits, rel=1e-9)
    with pytest.raises(ParameterError, match="bits_per_spike"):
        model.score(counts, measure="r2")


def test_score_of_held_out_data_uses_the_training_rates(known):
    _, counts = known
    train, test = counts.isel(trial=[0]), counts.isel(trial=[1])
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(train, rng=0, progress=False)
    data = oracle_data(test, [0.02])
    log_likelihood = oracle_log_likelihood(fitted_parameters(model), data, "sigmoid")
    rates = flatten(train).counts.mean(axis=0)
    np.testing.assert_allclose(model.result_["mean_count"], rates, rtol=200 * EPS)
    null = poisson.logpmf(data.counts, rates).sum()
    bits = (log_likelihood - null) / np.log(2) / data.counts.sum()
    assert model.score(test) == pytest.approx(bits, rel=1e-9)


def test_predict_is_the_oracles_posterior_and_best_path(known):
    truth, counts = known
    short = counts.isel(time=slice(8))
    short["trial_length"].values[:] = [8, 5]
    model = HMMGLM.from_parameters(truth)
    p = fitted_parameters(model)
    data = oracle_data(short, [0.02, 0.1])
    emission = oracles.poisson_log_likelihood(
        data.counts, data.design, data.observed, p.theta, "sigmoid"
    )
    found = model.predict(short)
    for trial, (a, b) in enumerate(itertools.pairwise(data.starts)):
        all_paths = oracles.enumerate_paths(p.log_initial, p.log_transition, emission[a:b])
        one = found.isel(trial=trial, time=slice(b - a))
        np.testing.assert_allclose(
            one["state_probability"], all_paths.state_probability, atol=1e-10
        )
        np.testing.assert_array_equal(one["state"], all_paths.best_path)


@pytest.mark.filterwarnings("error:divide by zero")
def test_known_parameters_may_rule_transitions_out(known):
    truth, counts = known
    truth = truth.copy(deep=True)
    truth["transition_probability"].values[:] = np.eye(2)
    truth["initial_probability"].values[:] = [1.0, 0.0]
    model = HMMGLM.from_parameters(truth)
    assert set(np.unique(model.predict(counts)["state"])) <= {0, -1}
    assert np.isfinite(model.score(counts))


def test_simulate_gives_the_truth_along_and_repeats_itself(known):
    truth, _ = known
    model = HMMGLM.from_parameters(truth)
    simulation = model.simulate([50, 30], rng=4)
    xr.testing.assert_identical(simulation, model.simulate([50, 30], rng=4))
    assert not simulation.equals(model.simulate([50, 30], rng=5))
    assert simulation["state"].dims == ("trial", "time")
    assert (simulation["state"].values[1, 30:] == -1).all()
    assert model.simulate(40, rng=0)["count"].dims == ("time", "unit")


def test_saved_model_predicts_identically(known, tmp_path):
    truth, counts = known
    fitted = HMMGLM(2, history=[0.02, 0.1], nonlinearity="sigmoid", restarts=2)
    fitted.fit(counts, rng=0, progress=False)
    for model in (fitted, HMMGLM.from_parameters(truth)):
        nks.save_result(model, tmp_path / "fit.nc")
        loaded = nks.load_result(tmp_path / "fit.nc")
        xr.testing.assert_identical(loaded.result_, model.result_)
        xr.testing.assert_identical(loaded.predict(counts), model.predict(counts))
        assert loaded.score(counts) == model.score(counts)
        assert loaded.get_params() == model.get_params()
        xr.testing.assert_identical(loaded.simulate(30, rng=0), model.simulate(30, rng=0))


def test_a_file_of_the_first_version_still_loads():
    model = nks.load_result(GOLDEN / "hmm_glm_v1.nc")
    counts = xr.load_dataset(GOLDEN / "hmm_glm_v1_counts.nc", engine="h5netcdf")
    assert model.result_.attrs["schema_version"] == 1
    assert model.result_.attrs["status"] == "converged"
    assert model.get_params()["n_states"] == 2
    found = model.predict(counts)
    np.testing.assert_array_equal(found["state"], model.result_["state"])
    # Other machines round otherwise: as far as the log likelihood of a sequence may be off.
    tolerance = rounding(
        oracle_data(counts, [0.02]), fitted_parameters(model).theta, model.nonlinearity
    )
    np.testing.assert_allclose(
        found["state_probability"], model.result_["state_probability"], atol=tolerance
    )
    score = model.score(counts, measure="nats_per_bin") * counts["trial_length"].values.sum()
    assert score == pytest.approx(last(model.result_["log_likelihood"]), abs=tolerance)
