"""Trials with the past they were cut out with, recordings joined as trials, and split at gaps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import count_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError


def recording(n_bins=40) -> xr.Dataset:
    counts = nks.bin_spikes(
        nks.io.from_spike_times({"a": [0.05, 0.35], "b": [0.15]}, t_stop=n_bins * 0.1), 0.1
    )
    return counts.assign(
        speed=("time", np.arange(n_bins) / 8, {"units": "m/s"}),
        lick=("time", np.arange(n_bins) % 3 == 0),
    )


# -- trials with their past ---------------------------------------------------------------------


@given(spike_datasets(), st.integers(0, 5), st.data())
@settings(max_examples=30, deadline=None)
def test_a_context_is_what_the_recording_held_before(spikes, past, data):
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    width = (stop - start) / 10
    first = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    cut = np.array([[start + k * width, start + (k + 1) * width] for k in first])
    cut[:, 1] = np.minimum(cut[:, 1], stop)
    bare = nks.bin_spikes(spikes, width, cut)
    trials = nks.bin_spikes(spikes, width, cut, context=past * width)
    assert schema.check(trials, "counts") is trials
    # The bins of the trials are the very ones.
    np.testing.assert_array_equal(trials["count"].values[:, past:], bare["count"].values)
    np.testing.assert_allclose(trials["time"].values[past:], bare["time"].values, atol=1e-12)
    assert (trials["trial_length"].values == bare["trial_length"].values + past).all()
    assert (schema.scored_bins(trials).sum(axis=1) == bare["trial_length"].values).all()
    # Those before them hold the spikes since, and are missing where nothing was recorded.
    observed = schema.observed_bins(trials)
    before = trials["count"].values[:, :past].sum(axis=1)
    for k, position in enumerate(first):
        assert observed[k, :past].sum() == min(past, position)
        since = cut[k, 0] - past * width
        for u in range(spikes.sizes["unit"]):
            time = spikes["spike_time"].values[spikes["spike_unit"].values == u]
            # Spikes on an edge may lie on either side of it, up to its rounding.
            slack = 1e-9
            least = ((time > since + slack) & (time < cut[k, 0] - slack)).sum()
            most = ((time > since - slack) & (time < cut[k, 0] + slack)).sum()
            assert least <= before[k, u] <= most


def test_lazy_trials_have_the_same_past():
    spikes = nks.io.from_spike_times({"a": np.arange(1, 40) / 20}, t_stop=2.0)
    cut = np.array([[0.1, 0.5], [1.0, 1.6]])
    known = nks.bin_spikes(spikes, 0.1, cut, context=0.3)
    lazy = nks.bin_spikes(spikes, 0.1, cut, context=0.3, chunks=1)
    assert lazy["count"].chunks is not None
    xr.testing.assert_identical(lazy.load(), known)
    assert known["time"].values[0] == pytest.approx(-0.25)
    assert known["observed"].values[0].tolist() == [False, False, *[True] * 7]


@pytest.mark.parametrize("wrong", [-0.1, "1", None, True, np.nan, np.inf])
def test_wrong_pasts_of_trials(wrong):
    spikes = nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0)
    with pytest.raises(ParameterError, match=r"context to be a number >= 0, got"):
        nks.bin_spikes(spikes, 0.1, [[0.2, 0.5]], context=wrong)
    with pytest.raises(ParameterError, match=r"context together with trials"):
        nks.bin_spikes(spikes, 0.1, context=0.5)


# -- joining ------------------------------------------------------------------------------------


def test_joining_keeps_covariates_and_columns():
    first, second = recording(40), recording(30)
    joined = nks.concat_trials([first, second])
    for k, part in enumerate((first, second)):
        n = part.sizes["time"]
        for name in ("speed", "lick", "count"):
            found = joined[name].isel(trial=k, time=slice(n))
            np.testing.assert_array_equal(found.values, part[name].values)
            assert found.attrs == part[name].attrs
            assert found.dtype == part[name].dtype
    assert np.isnan(joined["speed"][1, 30:]).all()
    trials = nks.bin_spikes(
        nks.io.from_spike_times({"a": [0.05], "b": [0.1]}, t_stop=4.0),
        0.1,
        xr.Dataset(
            {
                "start_time": ("trial", [0.0, 1.0], {"units": "s"}),
                "stop_time": ("trial", [1.0, 3.0], {"units": "s"}),
                "condition": ("trial", ["left", "right"]),
            }
        ),
    )
    twice = nks.concat_trials([trials, trials.isel(trial=[1])])
    assert twice["condition"].values.tolist() == ["left", "right", "right"]
    assert twice["start_time"].values.tolist() == [0.0, 1.0, 1.0]
    assert twice["session"].values.tolist() == [0, 0, 1]


def test_what_only_some_sessions_have_is_named():
    first = recording()
    with pytest.warns(DataWarning, match=r"not all 2 sessions.*\['speed'\]"):
        joined = nks.concat_trials([first, recording().drop_vars("speed")])
    assert "speed" not in joined
    assert "lick" in joined
    other = recording().drop_vars("lick").assign(lick=("time", np.full(40, "no")))
    with pytest.warns(DataWarning, match=r"\['lick'\]"):
        nks.concat_trials([first, other])


def test_joined_contexts_stay_contexts():
    first = recording().assign(context=("time", np.arange(40) < 5))
    joined = nks.concat_trials([first, recording(30)])
    assert joined["context"].values[0].sum() == 5
    assert not joined["context"].values[1].any()
    assert schema.scored_bins(joined).sum() == 35 + 30


def test_bins_to_forecast_must_be_the_same():
    ahead = recording().assign_coords(forward=("time", np.arange(40) >= 36))
    joined = nks.concat_trials([ahead, ahead])
    np.testing.assert_array_equal(joined["forward"], ahead["forward"])
    with pytest.raises(SchemaError, match=r"same bins to forecast in all sessions"):
        nks.concat_trials([ahead, recording()])


# -- gaps ---------------------------------------------------------------------------------------


@given(count_datasets(max_bins=12), st.data())
@settings(max_examples=40, deadline=None)
def test_stretches_between_gaps_are_trials(counts, data):
    if "trial" in counts.dims:
        counts = counts.isel(trial=0).drop_vars("trial_length", errors="ignore")
    n = counts.sizes["time"]
    used = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    used[data.draw(st.integers(0, n - 1))] = True
    cut = counts.isel(time=used)
    split = nks.split_at_gaps(cut)
    assert schema.check(split, "counts") is split
    inside = np.arange(split.sizes["time"]) < split["trial_length"].values[:, None]
    np.testing.assert_array_equal(split["count"].values[inside], cut["count"].values)
    begins = np.flatnonzero(used & ~np.concatenate([[False], used[:-1]]))
    np.testing.assert_array_equal(split["first_bin"], counts["time"].values[begins])
    if "observed" in counts:
        np.testing.assert_array_equal(schema.observed_bins(split)[inside], cut["observed"])


def test_a_whole_recording_is_one_trial():
    split = nks.split_at_gaps(recording())
    assert split["trial_length"].values.tolist() == [40]
    np.testing.assert_array_equal(split["speed"][0], recording()["speed"])


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (recording().isel(time=[3, 1, 2]), "rising times"),
        (recording().drop_vars("time"), "coordinate 'time' in seconds"),
        (recording().isel(time=slice(0)), "at least one bin"),
        (recording().expand_dims("trial"), "each trial"),
        (recording().assign(count=-recording()["count"]), "counts >= 0"),
    ],
)
def test_what_cannot_be_split(counts, says):
    with pytest.raises(SchemaError, match=f"Expected.*{says}"):
        nks.split_at_gaps(counts)
