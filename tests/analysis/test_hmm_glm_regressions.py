"""Defects that a review found; each failed before it was mended."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError

SMALL = {"nonlinearity": "sigmoid", "restarts": 2}


@pytest.fixture(scope="module")
def truth():
    return nks.snn.switching_population(4, 2, mean_count=0.05, rng=0)


@pytest.fixture(scope="module")
def counts(truth):
    return nks.snn.simulate_switching_population(truth, 600, rng=0)


def test_the_null_is_the_training_mean_however_short_the_test_data(counts):
    model = nks.analysis.HMMGLM(1, history=None, nonlinearity="exp")
    model.fit(counts, rng=0, progress=False)
    piece = counts.isel(time=slice(0, 20))
    mean = model.result_["mean_count"].values
    rate = np.exp(model.result_["bias"].values[0])
    x = piece["count"].values
    # Both are Poisson with constant rates, so the factorials cancel.
    gain = np.sum(x * np.log(rate / mean) - (rate - mean)) / (np.log(2) * x.sum())
    assert model.score(piece) == pytest.approx(gain, abs=1e-12)


def test_known_kernels_are_used_and_not_made_anew(truth, counts):
    other = truth.copy(deep=True)
    other["kernel"].values[:] = other["kernel"].values[:, ::-1]
    scores = [nks.analysis.HMMGLM.from_parameters(p).score(counts) for p in (truth, other)]
    assert scores[0] != scores[1]


def test_hyperparameters_changed_after_the_fit_do_not_change_predictions(counts):
    model = nks.analysis.HMMGLM(2, **SMALL).fit(counts, rng=0, progress=False)
    before = model.predict(counts)
    model.set_params(history=[0.02, 0.1], nonlinearity="exp")
    xr.testing.assert_identical(model.predict(counts), before)


@pytest.mark.parametrize("prior_sd", [1e-200, 1e200])
def test_priors_that_no_float_can_hold_are_refused(counts, prior_sd):
    with pytest.raises(ParameterError, match="prior_sd"):
        nks.analysis.HMMGLM(2, prior_sd=prior_sd, **SMALL).fit(counts, rng=0)


@pytest.mark.parametrize("prior_sd", [1e-6, 1e6])
def test_the_most_extreme_priors_end(counts, prior_sd):
    model = nks.analysis.HMMGLM(2, prior_sd=prior_sd, max_iter=1000, **SMALL)
    model.fit(counts, rng=0, progress=False)
    assert model.result_.attrs["status"] == "converged"


def test_a_checkpoint_needs_a_seed(counts, tmp_path):
    with pytest.raises(ParameterError, match="rng as an int together with checkpoint"):
        nks.analysis.HMMGLM(2, **SMALL).fit(counts, checkpoint=tmp_path / "fit.checkpoint")


@pytest.mark.parametrize("wrong", ["bin_size", "square", "time_constant"])
def test_incomplete_known_parameters_are_refused(truth, wrong):
    broken = {
        "bin_size": truth.drop_attrs().assign_attrs(nonlinearity="sigmoid"),
        "square": truth.isel(target=[0, 1]),
        "time_constant": truth.drop_vars("time_constant"),
    }[wrong]
    with pytest.raises(SchemaError, match=r"Expected .*got"):
        nks.analysis.HMMGLM.from_parameters(broken)


def test_a_trial_column_may_not_take_the_name_of_a_result():
    spikes = nks.io.from_spike_times({"a": [0.1, 0.9], "b": [0.5]}, t_stop=1.0)
    trials = xr.Dataset(
        {
            "start_time": ("trial", [0.0], {"units": "s"}),
            "stop_time": ("trial", [1.0], {"units": "s"}),
            "count": ("trial", [7]),
        }
    )
    with pytest.raises(SchemaError, match="names of their own"):
        nks.bin_spikes(spikes, 0.1, trials)


def test_joined_blocks_keep_when_they_began(counts):
    train, test = nks.validation.alternating_blocks(counts, 4, context=0)[0]
    np.testing.assert_allclose(train["first_bin"], counts["time"].values[[0, 300]])
    np.testing.assert_allclose(test["first_bin"], counts["time"].values[[150, 450]])
