"""Data and settings that people really pass: a clear error, or a fit that is right.

What any estimator must refuse is in ``estimator_checks.py``; what readers must refuse is with the
readers. Here is the way from spikes to a fitted model.
"""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.core.errors import (
    FileFormatError,
    NeurokitError,
    ParameterError,
    SchemaError,
)


def recording(n_bins=200, n_units=3, **changes) -> xr.Dataset:
    counts = np.random.default_rng(0).poisson(0.5, (n_bins, n_units))
    return xr.Dataset(
        {"count": (("time", "unit"), counts, {"units": "1"})},
        coords={"unit": np.arange(n_units)},
        attrs={"bin_size": 0.02} | changes,
    )


def fit(data, n_states=2, **settings) -> xr.Dataset:
    settings = {"restarts": 2} | settings
    return HMMGLM(n_states, **settings).fit(data, rng=0, progress=False).result_


def assert_sound(result: xr.Dataset) -> None:
    """Finite parameters, probabilities that sum to 1, an objective that rose."""
    for name in ("weight", "bias", "transition_probability", "initial_probability"):
        assert np.isfinite(result[name]).all(), name
    probability = result["state_probability"].values
    known = np.isfinite(probability)
    np.testing.assert_allclose(probability[known[..., 0]].sum(axis=-1), 1)
    trace = result["objective"].values
    assert (np.diff(trace[np.isfinite(trace)]) >= 0).all()


# -- spikes -------------------------------------------------------------------------------------


def spikes(time, unit=None, ids=("a", "b"), t_stop=1.0) -> xr.Dataset:
    unit = np.zeros(len(time), dtype=int) if unit is None else unit
    return xr.Dataset(
        {
            "spike_time": ("spike", np.asarray(time, float), {"units": "s"}),
            "spike_unit": ("spike", np.asarray(unit)),
        },
        coords={"unit": list(ids)},
        attrs={"t_start": 0.0, "t_stop": t_stop},
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (spikes([-0.1]), "inside the recording"),
        (spikes([0.2, 0.1]), "sort"),
        (spikes([np.nan]), "drop"),
        (spikes([0.1], ids=("a", "a")), "unique"),
        (spikes([1500.0]), "samples or milliseconds"),
    ],
)
def test_bad_spikes_are_not_binned(data, says):
    for session in (data, xr.DataTree.from_dict({"/spikes": data})):
        with pytest.raises(SchemaError, match=says):
            nks.bin_spikes(session, 0.1)


@pytest.mark.parametrize("wrong", [0, -1, np.nan, "0.02", None, 5.0])
def test_bad_bin_sizes(wrong):
    with pytest.raises(ParameterError, match="bin_size"):
        nks.bin_spikes(spikes([0.1]), wrong)


def test_a_session_without_spikes():
    session = xr.DataTree.from_dict({"/behavior": xr.Dataset()})
    with pytest.raises(SchemaError, match="/spikes"):
        nks.bin_spikes(session, 0.1)


def test_spikes_are_not_counts():
    with pytest.raises(SchemaError, match=r"'count'.*nks.bin_spikes"):
        fit(spikes([0.1]))


# -- counts -------------------------------------------------------------------------------------


def test_one_neuron():
    alone = recording(n_units=1)
    with pytest.raises(SchemaError, match=r"at least 2 units.*got 1.*history=None"):
        fit(alone)
    assert_sound(fit(alone, history=None))  # as the text says


def test_no_spikes():
    silent = recording().assign(count=recording()["count"] * 0)
    with pytest.raises(SchemaError, match=r"Expected spikes, got none in 200 observed bins"):
        fit(silent)
    # Spikes in missing bins only are none.
    hidden = recording().assign(observed=("time", np.arange(200) < 100))
    hidden["count"].values[:100] = 0
    with pytest.raises(SchemaError, match="got none in 100"):
        fit(hidden)


def test_nothing_observed():
    lost = recording().assign(observed=("time", np.zeros(200, bool)))
    with pytest.raises(SchemaError, match=r"observed.*false everywhere"):
        fit(lost)
    trials = recording().expand_dims("trial").copy()
    trials["trial_length"] = "trial", [0], {"units": "1"}
    with pytest.raises(SchemaError, match="at least one bin"):
        fit(trials)


def test_missing_values_need_a_mask():
    data = recording().assign(count=recording()["count"].astype(float))
    data["count"].values[5:10] = np.nan
    with pytest.raises(SchemaError, match="observed"):
        fit(data)
    data["observed"] = "time", ~np.isnan(data["count"].values[:, 0])
    assert_sound(fit(data))


def test_rates_are_not_counts():
    with pytest.raises(SchemaError, match=r"whole.*nks.bin_spikes"):
        fit(recording().assign(count=recording()["count"] / 0.02 + 0.1))


def test_dask_counts_are_checked_and_fitted_like_any():
    lazy = recording().chunk(time=50)
    xr.testing.assert_identical(fit(lazy), fit(recording()))
    with pytest.raises(SchemaError, match="negative"):
        fit((recording() - 1).assign_attrs(bin_size=0.02).chunk(time=50))


@pytest.mark.parametrize("dims", [("unit", "time"), ("time", "channel"), ("epoch", "time", "unit")])
def test_wrong_dims(dims):
    shape = {"time": 50, "unit": 3, "channel": 3, "epoch": 2}
    data = xr.Dataset(
        {"count": (dims, np.ones([shape[d] for d in dims], int), {"units": "1"})},
        coords={"unit": [0, 1, 2]},
        attrs={"bin_size": 0.02},
    )
    with pytest.raises(SchemaError, match=r"dims.*got"):
        fit(data)


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"n_states": 0}, "n_states"),
        ({"n_states": 2.0}, "n_states"),
        ({"history": 0}, "history"),
        ({"history": []}, "history"),
        ({"history": np.array([0.02])}, "history"),
        ({"prior": "one-hot"}, "prior"),
        ({"nonlinearity": "relu"}, "nonlinearity"),
        ({"restarts": 0}, "restarts"),
        ({"tol": -1e-6}, "tol"),
    ],
    ids=str,
)
def test_bad_settings(settings, says):
    with pytest.raises(ParameterError, match=says):
        fit(recording(), **settings)


@pytest.mark.parametrize("wrong", ["here", None, 3])
def test_progress_and_rng_in_the_wrong_place(wrong):
    with pytest.raises((TypeError, NeurokitError)):
        HMMGLM(2).fit(recording(), wrong)


def test_a_checkpoint_that_is_no_checkpoint(tmp_path):
    path = tmp_path / "fit.checkpoint"
    path.write_bytes(pickle.dumps({"theta": 1}))
    with pytest.raises(FileFormatError, match="is not a checkpoint"):
        HMMGLM(2).fit(recording(), rng=0, checkpoint=path, progress=False)
    path.write_bytes(b"")
    with pytest.raises(FileFormatError, match="is not a checkpoint"):
        HMMGLM(2).fit(recording(), rng=0, checkpoint=path, progress=False)


# -- strange, but possible ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.ConvergenceWarning")
class TestStrangeDataIsFitted:
    """No error, no warning from below, finite numbers."""

    def test_more_states_than_the_data_have_bins(self):
        with contextlib.suppress(NeurokitError):  # as good an answer
            assert_sound(fit(recording(n_bins=4), n_states=6))

    def test_more_states_than_different_bins(self):
        data = recording(n_bins=60)
        data["count"].values[:] = np.arange(60)[:, None] % 2
        assert_sound(fit(data, n_states=4))

    @pytest.mark.parametrize("n_bins", [1, 2, 3, 10])
    def test_hardly_any_bins(self, n_bins):
        data = recording(n_bins=n_bins)
        data["count"].values[0] = 1
        assert_sound(fit(data, n_states=1))

    @pytest.mark.parametrize("nonlinearity", ["softplus", "exp", "sigmoid"])
    @pytest.mark.parametrize("prior", ["none", "gaussian"])
    def test_a_silent_unit(self, nonlinearity, prior):
        data = recording()
        data["count"].values[:, 1] = 0
        assert_sound(fit(data, nonlinearity=nonlinearity, prior=prior))

    @pytest.mark.parametrize("nonlinearity", ["softplus", "exp", "sigmoid"])
    @pytest.mark.parametrize("prior", ["none", "gaussian"])
    def test_one_spike_in_all(self, nonlinearity, prior):
        data = recording()
        data["count"].values[:] = 0
        data["count"].values[50, 2] = 1
        assert_sound(fit(data, nonlinearity=nonlinearity, prior=prior))

    @pytest.mark.parametrize("nonlinearity", ["softplus", "exp", "sigmoid"])
    @pytest.mark.parametrize("prior", ["none", "gaussian"])
    def test_counts_that_never_change(self, nonlinearity, prior):
        data = recording()
        data["count"].values[:] = 1
        assert_sound(fit(data, nonlinearity=nonlinearity, prior=prior))

    @pytest.mark.parametrize("nonlinearity", ["softplus", "exp", "sigmoid"])
    @pytest.mark.parametrize("level", [100, 10_000])
    def test_calcium_events_or_multi_unit_counts(self, nonlinearity, level):
        data = recording()
        data["count"].values[:] *= level
        assert_sound(fit(data, nonlinearity=nonlinearity))

    def test_two_units_that_always_fire_together(self):
        data = recording()
        data["count"].values[:, 1] = data["count"].values[:, 0]
        assert_sound(fit(data, prior="none"))

    def test_history_longer_than_the_recording(self):
        assert_sound(fit(recording(n_bins=50), history=[0.02, 100.0]))

    def test_history_shorter_than_a_bin(self):
        assert_sound(fit(recording(), history=1e-4))

    def test_trials_of_one_bin(self):
        data = recording(n_bins=1).expand_dims(trial=100).copy(deep=True)
        data["count"].values[:] = np.random.default_rng(0).poisson(1.0, data["count"].shape)
        assert_sound(fit(data))

    def test_a_trial_with_no_observed_bin(self):
        data = recording(100).expand_dims(trial=2).copy(deep=True)
        data["observed"] = ("trial", "time"), np.repeat([[True], [False]], 100, axis=1)
        assert_sound(fit(data))

    @pytest.mark.parametrize("ids", [["a", "b", "ä µ"], [10, -3, 7], [0.5, 1.5, 2.5]])
    def test_any_unit_ids(self, ids, tmp_path):
        data = recording().assign_coords(unit=ids)
        model = HMMGLM(2, restarts=2).fit(data, rng=0, progress=False)
        nks.save_result(model, tmp_path / "fit.nc")
        xr.testing.assert_identical(
            nks.load_result(tmp_path / "fit.nc").predict(data), model.predict(data)
        )

    def test_coordinates_of_any_kind_come_back(self, tmp_path):
        data = recording().assign_coords(
            time=("time", np.arange(200) * 0.02, {"units": "s"}),
            running=("time", np.arange(200) % 2 == 0),
            block=("time", np.array(["a", "b"] * 100)),
        )
        model = HMMGLM(2, restarts=2).fit(data, rng=0, progress=False)
        nks.save_result(model, tmp_path / "fit.nc")
        loaded = nks.load_result(tmp_path / "fit.nc")
        xr.testing.assert_identical(loaded.result_, model.result_)


def test_a_trial_taken_with_a_number_is_a_recording():
    truth = nks.snn.switching_population(3, 2, rng=0)
    trials = nks.snn.simulate_switching_population(truth, [100, 60], rng=0)
    assert_sound(fit(trials.isel(trial=[1]), nonlinearity="sigmoid"))
    whole = fit(trials.isel(trial=0), nonlinearity="sigmoid")
    assert whole["state"].dims == ("time",)
