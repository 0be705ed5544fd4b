"""Rasters of states show the data, their window, gaps and trials."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    ParameterError,
    SchemaError,
)
from neurokit_sdr.plotting import _style
from tests.plotting.results import (
    BIN,
    PLOTS,
    make_counts,
    make_result,
    path_on,
)


def test_state_raster_shows_the_data():
    result = make_result()
    counts = make_counts(result)
    raster, path, stack = nks.plotting.state_raster(result, counts)
    cells = raster.collections[-1].get_array()
    np.testing.assert_array_equal(np.ma.filled(cells, 0), counts["count"].values.T)
    np.testing.assert_array_equal(path_on(path, result["time"].values, 3), result["state"].values)
    np.testing.assert_array_equal(path_on(raster, result["time"].values, 3), result["state"].values)
    total = result["state_probability"].values.cumsum(1)
    for area in stack.patches:
        values, edges, _ = area.get_data()
        np.testing.assert_array_equal(values, total[:, int(area.get_label())])
        np.testing.assert_allclose(edges, np.arange(61) * BIN)
    assert [t.get_text() for t in raster.get_yticklabels()] == list(counts["unit"].values)


def test_state_raster_axes_have_units():
    raster, path, stack = PLOTS["state_raster"]()
    assert stack.get_xlabel() == "time (s)"
    assert raster.get_ylabel() == "unit"
    assert path.get_ylabel() == "state"
    assert stack.get_ylabel() == "probability"
    assert raster.child_axes[0].get_ylabel() == "spikes per bin"
    legend = [t.get_text() for t in stack.get_legend().get_texts()]
    assert sorted(legend) == ["0", "1", "2"]


def test_state_raster_colours_each_state_alike_everywhere():
    raster, path, stack = PLOTS["state_raster"]()
    colors = _style.state_colors(3)
    for s, color in enumerate(colors):
        for ax in (raster, path):
            assert mpl.colors.to_hex(ax.collections[s].get_facecolor()[0]) == color.lower()
    for area in stack.patches:
        drawn = mpl.colors.to_hex(area.get_facecolor())
        assert drawn == colors[int(area.get_label())].lower()


def test_state_raster_without_counts_has_two_panels():
    assert len(nks.plotting.state_raster(make_result())) == 2


def test_state_raster_window():
    result = make_result()
    axes = nks.plotting.state_raster(result, make_counts(result), window=(0.2, 0.6))
    values, edges, _ = axes[-1].patches[0].get_data()
    assert len(values) == 20
    np.testing.assert_allclose([edges[0], edges[-1]], [0.2, 0.6])
    assert axes[0].get_title() == ""


@pytest.mark.parametrize("window", [(5.0, 6.0), (0.6, 0.2), 3.0, ("a", "b"), (0.0, 1.0, 2.0)])
def test_state_raster_refuses_a_window_outside(window):
    with pytest.raises(ParameterError, match="window"):
        nks.plotting.state_raster(make_result(), window=window)


def test_state_raster_of_a_long_recording_shows_the_start_and_says_so():
    result = make_result(n_bins=2500)
    axes = nks.plotting.state_raster(result)
    assert len(axes[-1].patches[0].get_data()[0]) == 1000
    assert axes[0].get_title() == "the first 20 s of 50 s"


def test_state_raster_of_a_long_window_shows_sums_and_says_so():
    result = make_result(n_bins=2500)
    counts = make_counts(result)
    raster, path, stack = nks.plotting.state_raster(result, counts, window=(0, 50))
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    assert cells.shape == (4, 834)
    np.testing.assert_array_equal(cells.sum(1), counts["count"].sum("time").values)
    np.testing.assert_array_equal(cells[:, 0], counts["count"][:3].sum("time").values)
    assert raster.child_axes[0].get_ylabel() == "spikes per 0.06 s"
    np.testing.assert_array_equal(path_on(path, result["time"].values, 3), result["state"].values)
    assert len(stack.patches[0].get_data()[0]) == 2500


def test_state_raster_of_trials():
    result = make_result(n_trials=3)
    counts = make_counts(result)
    axes = nks.plotting.state_raster(result, counts, trial=2)
    values, _, _ = axes[-1].patches[-1].get_data()
    np.testing.assert_array_equal(values, result["state_probability"].values[2, :50, 0])
    np.testing.assert_array_equal(
        np.ma.filled(axes[0].collections[-1].get_array(), 0), counts["count"].values[2, :50].T
    )
    assert axes[-1].get_xlabel() == "time from trial start (s)"
    assert axes[0].get_title() == "trial 2 (3 in all)"
    first = nks.plotting.state_raster(result)
    assert first[0].get_title() == "trial 0 (3 in all)"
    labelled = result.assign_coords(trial=["a", "b", "c"])
    assert nks.plotting.state_raster(labelled, trial="b")[0].get_title() == "trial b (3 in all)"


@pytest.mark.parametrize("trial", [3, "b", -1])
def test_state_raster_refuses_a_trial_that_is_not_there(trial):
    with pytest.raises(ParameterError, match="trial"):
        nks.plotting.state_raster(make_result(n_trials=3), trial=trial)
    with pytest.raises(ParameterError, match="without trials"):
        nks.plotting.state_raster(make_result(), trial=0)


def test_state_raster_leaves_missing_bins_and_gaps_white():
    result = make_result()
    result["state"][10:15] = -1
    result["state_probability"][10:15] = np.nan
    counts = make_counts(result)
    counts["observed"] = ("time", np.arange(60) < 50)
    keep = np.r_[0:30, 40:60]
    result, counts = result.isel(time=keep), counts.isel(time=keep)
    raster, path, stack = nks.plotting.state_raster(result, counts)
    time = (np.arange(60) + 0.5) * BIN
    expected = np.full(60, -1)
    expected[keep] = result["state"].values
    np.testing.assert_array_equal(path_on(path, time, 3), expected)
    expected[50:] = -1
    np.testing.assert_array_equal(path_on(raster, time, 3), expected)
    empty = np.isnan(stack.patches[0].get_data()[0])
    assert np.flatnonzero(empty).tolist() == [*range(10, 15), *range(30, 40)]
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    assert cells[:, 30:40].sum() == 0
    assert cells[:, 50:].sum() == 0


def test_state_raster_refuses_counts_of_other_bins():
    result = make_result()
    counts = make_counts(result)
    with pytest.raises(SchemaError, match="same bins"):
        nks.plotting.state_raster(result, counts.isel(time=slice(10)))
    with pytest.raises(SchemaError, match="same bins"):
        nks.plotting.state_raster(result, counts.assign_coords(time=counts["time"] + 1))
    with pytest.raises(SchemaError, match="'trial'"):
        nks.plotting.state_raster(make_result(n_trials=2), counts)


def test_state_raster_refuses_time_that_does_not_increase():
    result = make_result()
    with pytest.raises(SchemaError, match="increase"):
        nks.plotting.state_raster(result.isel(time=slice(None, None, -1)))


def test_state_raster_refuses_axes_without_a_place_in_a_grid():
    ax = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ParameterError, match="subplots"):
        nks.plotting.state_raster(make_result(), ax=ax)


@pytest.mark.parametrize(("n_states", "n_units", "n_bins"), [(1, 1, 1), (10, 31, 30), (12, 1, 2)])
def test_state_raster_of_the_smallest_and_many(n_states, n_units, n_bins):
    result = make_result(n_states=n_states, n_units=n_units, n_bins=n_bins)
    axes = nks.plotting.state_raster(result, make_counts(result, n_units))
    axes[0].figure.draw_without_rendering()
    assert len(axes[-1].patches) == n_states


def test_state_raster_of_silence():
    result = make_result()
    counts = make_counts(result)
    counts["count"][:] = 0
    raster = nks.plotting.state_raster(result, counts)[0]
    raster.figure.draw_without_rendering()
    assert raster.collections[-1].get_array().mask.all()


def test_state_raster_of_dask_counts():
    pytest.importorskip("dask")
    result = make_result()
    counts = make_counts(result)
    raster = nks.plotting.state_raster(result, counts.chunk(time=7))[0]
    cells = np.ma.filled(raster.collections[-1].get_array(), 0)
    np.testing.assert_array_equal(cells, counts["count"].values.T)
