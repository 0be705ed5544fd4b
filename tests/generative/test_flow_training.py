"""Langevin flows at the edges of data, and through the training engine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from flow_problems import (
    LONG,
    N_BINS,
    N_FORWARD,
    N_TRIALS,
    N_UNITS,
    N_WINDOW,
    WIDTH,
    changed,
    fit,
    recording,
)

from neurokit_sdr.core import results
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NeurokitError,
    ParameterError,
    SchemaError,
    TrainingError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.engines.training import steps

pytestmark = pytest.mark.usefixtures("quickly")

# ---------------------------------------------------------------- the edges of data


def test_units_silent_in_training_are_rare_and_finite(fitted):
    data = recording(3)
    silent = data["count"].copy()
    silent[:, :, [1, N_UNITS - 1]] = 0
    trained = fit(data.assign(count=silent))
    rate = trained.predict(data)["expected_count"]
    assert np.isfinite(rate).all()
    mean = rate.mean(["trial", "time"]).values
    # Where a unit had no spike in n bins, more than 10 / n is ruled out by odds of exp(10).
    assert (mean[[1, -1]] < 10 / (N_TRIALS * N_BINS)).all()
    assert np.isfinite(trained.score(data))  # unit 6 has spikes


def test_gaps_and_bins_ahead_are_trained_around(fitted, seed):
    """What lies in missing bins changes no bit of a fit."""
    data = recording(seed)
    observed = np.ones((N_TRIALS, N_BINS), dtype=bool)
    observed[:, 4:7] = observed[3, :18] = False
    data["observed"] = ("trial", "time"), observed
    one = fit(data, n_steps=30)
    other = fit(changed(data, ~observed[:, :, None]), n_steps=30)
    for name in ("weight", "last_weight", "loss", "validation_loss"):
        np.testing.assert_array_equal(one.result_[name], other.result_[name])
    assert np.isfinite(one.result_["loss"]).all()
    assert one.result_.attrs["n_forward"] == N_FORWARD
    # Bins ahead are targets.
    third = fit(changed(data, data["forward"].values[:, None]), n_steps=30)
    assert not np.array_equal(one.result_["loss"], third.result_["loss"])
    assert one.predict(data.isel(time=slice(N_WINDOW))).sizes["time"] == N_BINS


@pytest.mark.slow
def test_one_long_trial_of_two_units():
    """A thousand bins train, without validation, held-out units or trials."""
    count = stream(0, "long").poisson(0.3, (1000, 2))
    data = xr.Dataset(
        {"count": (("time", "unit"), count, {"units": "1"})},
        coords={"time": ("time", (np.arange(1000) + 0.5) * WIDTH, {"units": "s"}), "unit": [3, 7]},
        attrs={"bin_size": WIDTH},
    )
    trained = fit(data, covariates=None, n_steps=4)
    result = trained.result_
    assert result.attrs["status"] == results.CONVERGED
    assert result.sizes["epoch"] == 4
    assert "validation_loss" not in result
    assert np.isfinite(result["loss"]).all()
    assert np.isfinite(result["gradient_norm"]).all()
    np.testing.assert_array_equal(result["weight"], result["last_weight"])
    assert trained.predict(data)["expected_count"].dims == ("time", "unit")
    # Units that know nothing of each other: of hidden counts x with rate r a prediction that is off
    # by d in log r gains (x - r) d less something, whose sum has the variance sum r d^2. Four small
    # steps from the mean rate d is below 1.
    assert trained.score(data) < 5 / np.sqrt(count.sum()) / np.log(2)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n_latents": 6}, "Expected n_latents as a multiple of 4, the groups that couple, got 6"),
        ({"n_hidden": 7}, r"n_hidden as a multiple of 2 \(attention has two heads\), got 7"),
        ({"n_hidden": 6, "variant": "released", "covariates": None}, "n_hidden as a multiple of 4"),
        ({"n_hidden": 8, "variant": "released"}, "no covariates with variant='released'"),
        ({"latent_path": "latent_only"}, "latents_only"),
        ({"time_step": 0.0}, "time_step"),
    ],
)
def test_settings_that_cannot_be(changes, match):
    with pytest.raises(ParameterError, match=match) as caught:
        fit(recording(0), **changes)
    assert isinstance(caught.value, NeurokitError)


def test_data_that_cannot_be():
    data = recording(0)
    with pytest.raises(SchemaError, match="Expected at least 2 held-in units to find what they"):
        fit(data.isel(unit=[0, N_UNITS - 1]))
    with pytest.raises(SchemaError, match="Expected spikes of the held-in units, got none"):
        fit(changed(data, np.array(True), 0))
    with pytest.raises(SchemaError, match="Expected at least one observed bin"):
        fit(data.assign(observed=(("trial", "time"), np.zeros((N_TRIALS, N_BINS), bool))))
    with pytest.raises(SchemaError, match="mark missing bins with a boolean variable 'observed"):
        fit(data.assign(count=data["count"].where(data["count"] > 0)))
    with pytest.raises(SchemaError, match="Expected whole, finite spike counts >= 0"):
        fit(data.assign(count=data["count"] + 0.5))


# ---------------------------------------------------------------- training


def test_fits_of_equal_shapes_compile_nothing_anew(fitted):
    fit(recording(5), n_steps=1)  # others have come between, and only the last are kept
    before = steps.TRACES.total()
    for changes in ({}, {"n_steps": 50, "learning_rate": 0.003, "kl_weight": 1.0}):
        fit(recording(5), rng=5, **changes)
    assert steps.TRACES.total() == before


@pytest.mark.slow
def test_a_fit_killed_at_a_random_moment_goes_on_to_the_same_bits(fitted, tmp_path):
    path = tmp_path / "state.npz"
    code = "import sys, flow_problems; flow_problems.saving_always(sys.argv[1])"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[1], env=os.environ
    )
    try:
        begin = time.perf_counter()
        while not path.exists():
            assert child.poll() is None
            assert time.perf_counter() - begin < 300
            time.sleep(0.01)
        # Any moment must do: a new one each time.
        time.sleep(np.random.default_rng(time.time_ns()).uniform(0, 1))
        assert child.poll() is None, "finished before it was killed: give it more steps"
    finally:
        child.kill()
        child.wait()
    with np.load(path) as saved:
        assert saved["progress"][0] < 2000
    with pytest.raises(ParameterError, match="checkpoint of other work"):
        fit(recording(1), checkpoint=path, **LONG)
    with pytest.raises(ParameterError, match="Expected rng as an int together with checkpoint"):
        fit(recording(0), rng=None, checkpoint=path, **LONG)
    went_on = fit(recording(0), checkpoint=path, **LONG)
    assert not path.exists()
    whole = fit(recording(0), **LONG)
    assert went_on.result_.attrs == whole.result_.attrs
    for name in whole.result_.variables:
        np.testing.assert_array_equal(went_on.result_[name], whole.result_[name], err_msg=name)


def test_a_learning_rate_that_blows_up_is_named(fitted):
    with pytest.warns(ConvergenceWarning, match="stopped at epoch") as caught:
        trained = fit(recording(0), learning_rate=1.0)
    text = str(caught[0].message)
    assert "at learning rate" in text
    assert "Lower learning_rate" in text
    assert "The result is the best before, of epoch" in text
    assert np.isfinite(trained.result_["weight"]).all()
    assert np.isfinite(trained.predict(recording(0))["expected_count"]).all()


def test_a_count_that_no_rate_can_follow_ends_the_fit(fitted):
    data = recording(0)
    data["count"] = data["count"].astype(float)
    data["count"][4, 3, 1] = 1e30
    with pytest.raises(TrainingError, match="stopped at epoch 0") as caught:
        fit(data)
    text = str(caught.value)
    assert "the loss is finite, its gradient is not, in " in text
    # The starting log rate, that of the mean count, carries it to all trials.
    assert "Every training trial of the batch gives it" in text
    assert "Lower learning_rate, set gradient_clip, or look for extreme values in the data" in text
