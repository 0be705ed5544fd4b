"""Spike sorting and subsampling: which units and spikes are seen, and the truth that stays."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.snn import observe
from tests.snn.observed import FIVE, session, spikes_of

# -- spike sorting ------------------------------------------------------------------------------


def test_a_perfect_sorter_changes_nothing():
    given = session()
    seen = observe.sorting_errors(given, rng=0)
    spikes = given["/spikes"].to_dataset()
    order = np.argsort(spikes["spike_unit"].values, kind="stable")
    for name in ("spike_time", "spike_unit"):
        np.testing.assert_array_equal(seen["/spikes"][name], spikes[name].values[order])
        np.testing.assert_array_equal(seen["/truth"][f"true_{name}"], spikes[name])
    np.testing.assert_array_equal(seen["/truth/spike_source"], seen["/spikes/spike_unit"])
    assert not seen["/truth/missed"].any()
    assert seen["/truth/merged_into"].values.tolist() == list(range(6))


def test_errors_are_as_frequent_as_asked_for(seed):
    n_units, rate, duration, miss, false = 40, 8.0, 50.0, 0.15, 3.0
    spikes = spikes_of(n_units, rate, duration, seed)
    seen = observe.sorting_errors(spikes, miss_rate=miss, false_rate=false, merges=5, rng=seed)
    n = spikes.sizes["spike"]
    assert abs(int(seen["/truth/missed"].sum()) - miss * n) < FIVE * np.sqrt(n * miss * (1 - miss))
    source = seen["/truth/spike_source"].values
    expected = false * duration * (n_units - 5)
    assert abs((source < 0).sum() - expected) < FIVE * np.sqrt(expected)
    assert seen["/spikes"].sizes["unit"] == n_units - 5
    time = seen["/spikes/spike_time"].values[source < 0] / duration
    assert abs(time.mean() - 0.5) < FIVE * np.sqrt(1 / 12 / time.size)


def test_each_recorded_spike_names_its_true_unit():
    given = session(n_units=8)
    seen = observe.sorting_errors(given, miss_rate=0.3, false_rate=2.0, merges=3, rng=1)
    truth, spikes = seen["/truth"], seen["/spikes"]
    source, merged = truth["spike_source"].values, truth["merged_into"].values
    true = source >= 0
    np.testing.assert_array_equal(merged[source[true]], spikes["spike_unit"].values[true])
    whole = set(zip(truth["true_spike_time"].values, truth["true_spike_unit"].values, strict=True))
    found = set(zip(spikes["spike_time"].values[true], source[true], strict=True))
    assert found < whole
    lost = np.bincount([u for _, u in whole - found], minlength=8)
    np.testing.assert_array_equal(truth["missed"], lost)
    # A merged unit keeps the earlier one's id and coordinates.
    for true_unit, recorded in enumerate(merged):
        first = int(np.flatnonzero(merged == recorded)[0])
        assert spikes["unit"].values[recorded] == first
        assert first <= true_unit
        for name in ("x", "population"):
            assert spikes[name].values[recorded] == given["/spikes"][name].values[first]
    assert np.bincount(merged).tolist().count(2) == 3


def test_pairs_can_be_named_and_per_spike_values_stay_with_the_truth():
    spikes = nks.io.from_spike_times({"a": [0.1], "b": [0.2, 0.2], "c": [0.05]}, t_stop=1.0)
    spikes["spike_amplitude"] = ("spike", np.arange(4.0), {"units": "V"})
    spikes["waveform"] = (("unit", "sample"), np.arange(6.0).reshape(3, 2))
    seen = observe.sorting_errors(spikes, merges=[("c", "a")])
    assert seen["/spikes/unit"].values.tolist() == ["a", "b"]
    assert seen["/spikes/spike_time"].values.tolist() == [0.05, 0.1, 0.2, 0.2]
    assert seen["/truth/spike_source"].values.tolist() == [2, 0, 1, 1]
    assert seen["/truth/true_spike_amplitude"].values.tolist() == [0, 1, 2, 3]
    assert seen["/spikes/waveform"].values.tolist() == [[0, 1], [2, 3]]
    assert "spike_amplitude" not in seen["/spikes"]


def test_all_spikes_missed_and_none_there():
    seen = observe.sorting_errors(session(), miss_rate=1.0, rng=0)
    assert seen["/spikes"].sizes["spike"] == 0
    silent = nks.io.from_spike_times({"a": []}, t_stop=10.0)
    seen = observe.sorting_errors(silent, miss_rate=0.5, false_rate=5.0, rng=0)
    assert (seen["/truth/spike_source"] == -1).all()
    assert seen["/spikes"].sizes["spike"] > 0


def test_one_error_does_not_shift_another():
    base = {"miss_rate": 0.3, "rng": 5}
    one = observe.sorting_errors(session(), **base)
    other = observe.sorting_errors(session(), false_rate=3.0, merges=2, **base)
    xr.testing.assert_equal(one["/truth/missed"], other["/truth/missed"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"miss_rate": -0.1},
        {"miss_rate": 1.1},
        {"miss_rate": np.nan},
        {"false_rate": -1.0},
        {"false_rate": np.inf},
        {"merges": 4},
        {"merges": -1},
        {"merges": 1.5},
        {"merges": "ab"},
        {"merges": [(0, 99)]},
        {"merges": [(0, 1), (1, 2)]},
        {"merges": [(0, 0)]},
        {"merges": [(0, 1, 2)]},
        {"merges": [0, 1]},
        {"rng": -1},
    ],
    ids=str,
)
def test_sorting_arguments_out_of_range(wrong):
    with pytest.raises(ParameterError, match=r"Expected .*got"):
        observe.sorting_errors(session(), **wrong)


# -- subsampling --------------------------------------------------------------------------------


def test_the_observed_block_and_the_whole():
    given = session()
    seen = observe.subsample(given, units=[4, 1, 2])
    kept = [1, 2, 4]
    old, new = given["/truth"].to_dataset(), seen["/truth"].to_dataset()
    assert seen["/spikes/unit"].values.tolist() == kept
    np.testing.assert_array_equal(new["weight"], old["weight"].values[np.ix_(kept, kept)])
    np.testing.assert_array_equal(new["gain"], old["gain"].values[:, kept])
    np.testing.assert_array_equal(new["community"], old["community"].values[kept])
    assert new["weight_full"].dims == ("target_full", "source_full")
    for name in ("weight", "gain", "community", "unit", "synapse_source", "synapse_weight"):
        np.testing.assert_array_equal(new[f"{name}_full"], old[name])
        assert new[f"{name}_full"].attrs == old[name].attrs
    xr.testing.assert_identical(new["state"], old["state"])
    dense = np.zeros((3, 3))
    dense[new["synapse_target"], new["synapse_source"]] = new["synapse_weight"]
    np.testing.assert_array_equal(dense, new["weight"])
    spikes = given["/spikes"].to_dataset()
    for position, unit in enumerate(kept):
        mine = seen["/spikes/spike_time"].values[seen["/spikes/spike_unit"].values == position]
        np.testing.assert_array_equal(
            mine, spikes["spike_time"].values[spikes["spike_unit"].values == unit]
        )
    np.testing.assert_array_equal(new["spike_time_full"], spikes["spike_time"])
    np.testing.assert_array_equal(new["spike_unit_full"], spikes["spike_unit"])
    np.testing.assert_array_equal(new["x_full"], spikes["x"])
    assert seen["/voltage/unit"].values.tolist() == [1, 2]
    np.testing.assert_array_equal(seen["/voltage/voltage"], given["/voltage/voltage"][:, :2])


def test_a_second_subsample_keeps_the_first_whole():
    given = session()
    once = observe.subsample(given, 4, rng=0)
    twice = observe.subsample(once, 2, rng=0)
    np.testing.assert_array_equal(twice["/truth/weight_full"], given["/truth/weight"])
    assert twice["/truth/weight"].shape == (2, 2)
    ids = twice["/spikes/unit"].values
    np.testing.assert_array_equal(
        twice["/truth/weight"], given["/truth/weight"].sel(target=ids, source=ids)
    )
    assert twice["/truth"].sizes["unit_full"] == 6


def test_every_unit_is_drawn_alike(seed):
    spikes = spikes_of(5, 1.0, 1.0, 0)
    n, number = 400, np.zeros(5)
    for k in range(n):
        number[observe.subsample(spikes, 2, rng=seed * n + k)["/spikes/unit"].values] += 1
    assert (np.abs(number - 0.4 * n) < FIVE * np.sqrt(n * 0.4 * 0.6)).all()


def test_keeping_all_units_changes_nothing_else():
    given = session()
    seen = observe.subsample(given, 6, rng=0)
    xr.testing.assert_identical(
        seen["/truth"].to_dataset()[list(given["/truth"].data_vars)], given["/truth"].to_dataset()
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "neither"),
        ({"n_units": 2, "units": [0]}, "both"),
        ({"n_units": 0}, "n_units to be"),
        ({"n_units": 7}, "<= 6"),
        ({"n_units": 2.5}, "n_units to be"),
        ({"units": []}, "got none"),
        ({"units": [0, 77]}, "77"),
        ({"units": [0, 0]}, "once"),
    ],
    ids=str,
)
def test_subsample_arguments_out_of_range(wrong, says):
    with pytest.raises(ParameterError, match=says):
        observe.subsample(session(), **wrong)
