"""Binning: every spike in the bin that contains it, and nothing where nothing was recorded."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import bin_by_comparison
from strategies import count_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError

#: Widths that floating point holds exactly, and widths that it does not.
WIDTHS = st.sampled_from([0.0625, 0.1, 0.02, 0.3, 1 / 3, 0.07])


def one_unit(times, t_start=0.0, t_stop=1.0) -> xr.Dataset:
    return nks.io.from_spike_times({"a": times}, t_start=t_start, t_stop=t_stop)


def oracle(spikes: xr.Dataset, begin: float, stop: float, width: float) -> np.ndarray:
    n_bins = int(np.floor((stop - begin) / width + 1e-6))
    return bin_by_comparison(
        spikes["spike_time"].values,
        spikes["spike_unit"].values,
        spikes.sizes["unit"],
        begin + np.arange(n_bins + 1) * width,
        spikes.attrs["t_stop"],
    )


@given(spike_datasets(), WIDTHS)
@settings(deadline=None)
def test_counts_equal_one_comparison_at_a_time(spikes, width):
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    assume(stop - start >= width)
    binned = nks.bin_spikes(spikes, width)
    assert schema.check(binned, "counts") is binned
    np.testing.assert_array_equal(binned["count"], oracle(spikes, start, stop, width))
    for name, coord in spikes.coords.items():
        xr.testing.assert_identical(binned[name].variable, coord.variable)
    np.testing.assert_allclose(
        binned["time"], start + (np.arange(binned.sizes["time"]) + 0.5) * width
    )


@given(spike_datasets(), WIDTHS, st.data())
@settings(deadline=None)
def test_trials_equal_one_comparison_at_a_time(spikes, width, data):
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    assume(stop - start >= width)
    drawn = st.lists(
        st.tuples(st.floats(start, stop), st.floats(start, stop)).map(sorted),
        min_size=1,
        max_size=4,
    )
    trials = [(a, b) for a, b in data.draw(drawn) if b - a >= width] + [(start, stop)]
    binned = nks.bin_spikes(spikes, width, np.array(trials))
    assert schema.check(binned, "counts") is binned
    for number, (a, b) in enumerate(trials):
        truth = oracle(spikes, a, b, width)
        assert binned["trial_length"][number] == len(truth)
        np.testing.assert_array_equal(binned["count"][number, : len(truth)], truth)
        assert not binned["count"][number, len(truth) :].any()
    assert binned.sizes["time"] == binned["trial_length"].max()


@given(spike_datasets(), WIDTHS, st.integers(1, 7), st.booleans())
@settings(deadline=None, max_examples=25)
def test_chunks_and_lazy_spikes_give_the_same(spikes, width, chunks, lazy):
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    assume(stop - start >= width)
    trials = np.array([[start, stop], [start, start + width * 1.5]])
    assume(trials.max() <= stop)
    given_spikes = spikes.chunk(spike=3) if lazy else spikes
    for cut in (None, trials):
        eager = nks.bin_spikes(spikes, width, cut)
        binned = nks.bin_spikes(given_spikes, width, cut, chunks=chunks)
        assert binned["count"].chunks is not None
        assert max(binned["count"].chunks[0]) <= chunks
        xr.testing.assert_identical(binned.compute(), eager)


@given(count_datasets())
@settings(deadline=None, max_examples=25)
def test_spikes_placed_in_bins_are_counted_back(counts):
    assume("trial" not in counts["count"].dims)
    spikes = nks.snn.spikes_from_counts(counts, rng=0)
    binned = nks.bin_spikes(spikes, counts.attrs["bin_size"])
    np.testing.assert_array_equal(binned["count"], counts["count"])


def test_bins_are_closed_on_the_left_and_open_on_the_right():
    binned = nks.bin_spikes(one_unit([0.0, 0.25, 0.25, 0.5 - 1e-16, 0.5, 1.0]), 0.25)
    np.testing.assert_array_equal(binned["count"].values.ravel(), [1, 3, 1, 1])


def test_a_spike_at_the_very_end_goes_to_the_last_bin():
    assert nks.bin_spikes(one_unit([1.0]), 0.1)["count"].values.ravel().tolist() == [0] * 9 + [1]
    # Where the last bin ends before the recording does, the rest is left out.
    assert nks.bin_spikes(one_unit([0.95, 1.0]), 0.3)["count"].sum() == 0
    # A trial's end is no recording's end: what comes then belongs to what comes after.
    trials = np.array([[0.0, 0.5], [0.5, 1.0]])
    binned = nks.bin_spikes(one_unit([0.5, 1.0]), 0.25, trials)
    np.testing.assert_array_equal(binned["count"][..., 0], [[0, 0], [1, 1]])


@pytest.mark.parametrize("width", [0.1, 0.3, 0.02, 0.001, 1 / 3, 1e-4])
@pytest.mark.parametrize("start", [0.0, 0.1, 12345.678, -3.3])
def test_every_edge_belongs_to_the_bin_it_opens(width, start):
    # 0.1 * 3 is not 0.3: dividing by the width would put some of these one bin early or late.
    n_bins = 300
    edges = start + np.arange(n_bins + 1) * width
    binned = nks.bin_spikes(one_unit(edges, start, edges[-1]), width)
    assert binned.sizes["time"] == n_bins
    np.testing.assert_array_equal(binned["count"][:, 0], [1] * (n_bins - 1) + [2])
    before = np.nextafter(edges[1:], -np.inf)
    binned = nks.bin_spikes(one_unit(before, start, edges[-1]), width)
    np.testing.assert_array_equal(binned["count"][:, 0], 1)


@pytest.mark.parametrize(
    ("duration", "width", "n_bins"),
    [(0.3, 0.1, 3), (0.7, 0.1, 7), (1.0, 0.3, 3), (600.0, 0.02, 30_000), (0.1, 0.1, 1)],
)
def test_whole_bins_survive_floating_point(duration, width, n_bins):
    assert nks.bin_spikes(one_unit([], t_stop=duration), width).sizes["time"] == n_bins


def test_no_spikes_is_silence_not_an_error():
    binned = nks.bin_spikes(one_unit([]), 0.5)
    assert binned["count"].values.tolist() == [[0], [0]]


def test_trials_keep_their_columns_and_may_overlap():
    trials = xr.Dataset(
        {
            "start_time": ("trial", [0.0, 0.1, 0.4], {"units": "s"}),
            "stop_time": ("trial", [0.5, 0.6, 1.0], {"units": "s"}),
            "condition": ("trial", ["left", "right", "left"]),
        },
        coords={"trial": [7, 8, 9]},
    )
    spikes = one_unit([0.2, 0.45])
    binned = nks.bin_spikes(spikes, 0.1, trials)
    assert binned["condition"].values.tolist() == ["left", "right", "left"]
    assert binned["trial"].values.tolist() == [7, 8, 9]
    assert binned["trial_length"].values.tolist() == [5, 5, 6]
    assert binned["count"].sum("time").values.ravel().tolist() == [2, 2, 1]
    assert binned["start_time"].attrs["units"] == "s"
    session = xr.DataTree.from_dict({"/spikes": spikes, "/trials": trials})
    xr.testing.assert_identical(nks.bin_spikes(session, 0.1, session["/trials"]), binned)


def test_input_stays_unchanged():
    spikes = one_unit([0.2, 0.45])
    before = spikes.copy(deep=True)
    nks.bin_spikes(spikes, 0.1, np.array([[0.0, 0.5]]))
    xr.testing.assert_identical(spikes, before)


@pytest.mark.parametrize(
    "wrong", [0, 0.0, -0.02, np.nan, np.inf, "0.02", "fast", None, [0.02], True, 1j]
)
def test_bin_size_is_a_positive_number_of_seconds(wrong):
    with pytest.raises(ParameterError, match=r"bin_size to be a number > 0, got .*0\.02"):
        nks.bin_spikes(one_unit([0.5]), wrong)


@pytest.mark.parametrize("right", [1, np.float32(0.5), np.int64(1), np.float64(0.25)])
def test_bin_size_may_be_any_number(right):
    nks.bin_spikes(one_unit([0.5]), right)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", True])
def test_chunks_is_a_positive_number_of_bins(wrong):
    with pytest.raises(ParameterError, match=r"Expected chunks.*got"):
        nks.bin_spikes(one_unit([0.5]), 0.1, chunks=wrong)


def test_bins_longer_than_the_recording_or_a_trial():
    with pytest.raises(ParameterError, match=r"at most the recording's 1 s, got 1.5 s"):
        nks.bin_spikes(one_unit([0.5]), 1.5)
    with pytest.raises(ParameterError, match=r"at least one bin of 0.2 s, got 2 trials, 1 of"):
        nks.bin_spikes(one_unit([0.5]), 0.2, np.array([[0.0, 0.5], [0.5, 0.6]]))
    with pytest.raises(ParameterError, match="got 0 trials"):
        nks.bin_spikes(one_unit([0.5]), 0.2, np.empty((0, 2)))


@pytest.mark.parametrize("trial", [(-0.5, 0.5), (0.5, 1.5), (2.0, 3.0)])
def test_nothing_is_counted_outside_the_recording(trial):
    with pytest.raises(SchemaError, match=r"inside the recording \[0, 1\] s.*trial 1.*missing"):
        nks.bin_spikes(one_unit([0.5]), 0.1, np.array([(0.0, 1.0), trial]))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(4),
        np.zeros((2, 3)),
        [(0.5, 0.2)],
        [(np.nan, 0.5)],
        xr.Dataset(),
        "trials",
        [["a", "b"]],
        [(0.0, 0.5), (0.5,)],
        3,
    ],
)
def test_wrong_trials(wrong):
    with pytest.raises(SchemaError, match=r"Expected .*got"):
        nks.bin_spikes(one_unit([0.5]), 0.1, wrong)


@pytest.mark.parametrize("wrong", [None, {"a": [0.1]}, np.zeros(3), xr.Dataset(), "file.nwb"])
def test_wrong_spikes(wrong):
    with pytest.raises(SchemaError, match=r"Expected .*from_spike_times"):
        nks.bin_spikes(wrong, 0.1)


# -- joining ------------------------------------------------------------------------------------


@given(st.lists(count_datasets(max_units=1), min_size=1, max_size=3))
@settings(deadline=None, max_examples=25)
def test_joined_sessions_keep_every_bin(sessions):
    sessions = [
        s.assign_coords(unit=["a"], time=("time", (np.arange(s.sizes["time"]) + 0.5) * 0.02))
        for s in sessions
    ]
    sessions = [s.assign_attrs(bin_size=0.02) for s in sessions]
    joined = nks.concat_trials(sessions)
    assert schema.check(joined, "counts") is joined
    whole = [s["count"].values[schema.valid_bins(s)] for s in sessions]
    np.testing.assert_array_equal(
        joined["count"].values[schema.valid_bins(joined)], np.concatenate(whole)
    )
    lengths = np.concatenate([schema.trial_lengths(s) for s in sessions])
    np.testing.assert_array_equal(joined["trial_length"], lengths)
    origin = [i for i, s in enumerate(sessions) for _ in schema.trial_lengths(s)]
    np.testing.assert_array_equal(joined["session"], origin)


def binned(n_bins, **changes) -> xr.Dataset:
    return nks.bin_spikes(one_unit([0.05], t_stop=n_bins * 0.1), 0.1).assign_attrs(changes)


def test_joining_keeps_what_is_known_per_unit():
    first = binned(5).assign_coords(brain_area=("unit", ["CA1"]))
    assert nks.concat_trials([first, binned(3)])["brain_area"].values.tolist() == ["CA1"]


def test_joining_counts_with_missing_ones_loses_neither():
    lost = binned(4).assign(count=binned(4)["count"].astype(float))
    lost["count"].values[2] = np.nan
    lost["observed"] = "time", np.arange(4) != 2
    joined = nks.concat_trials([binned(3), lost])
    assert joined["observed"].values.tolist() == [[True] * 4, [True, True, False, True]]
    np.testing.assert_array_equal(joined["count"][1, :, 0], lost["count"][:, 0])


@pytest.mark.parametrize(
    ("sessions", "says"),
    [
        ([], "got none"),
        ([binned(3), binned(3).assign_coords(unit=["b"])], "others in session 1"),
        ([binned(3), binned(3, bin_size=0.05).drop_vars("time")], "0.1 and 0.05 s"),
        ([binned(3), None], "NoneType"),
        ([binned(3).expand_dims("trial").isel(trial=slice(0))], "at least one trial"),
    ],
)
def test_what_cannot_be_joined(sessions, says):
    with pytest.raises(SchemaError, match=f"Expected.*{says}"):
        nks.concat_trials(sessions)
