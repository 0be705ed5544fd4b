"""From counts to patterns, and a hypothetical reader of a recording."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.sdr import encode, estimate_sparsity, overlap_matrix, reader_reliability


def counts(values, **variables):
    values = np.asarray(values)
    dims = ("time", "unit") if values.ndim == 2 else ("trial", "time", "unit")
    time = ("time", np.arange(values.shape[-2]) + 0.5, {"units": "s"})
    return xr.Dataset(
        {"count": (dims, values, {"units": "1"})} | variables,
        {"time": time, "unit": [f"ü{i}" for i in range(values.shape[-1])]},
        {"bin_size": 1.0},
    )


def patterns(active, dim="item"):
    active = np.asarray(active, bool)
    return xr.Dataset({"pattern": ((dim, "cell"), active)}, {"cell": np.arange(active.shape[1])})


# -- encode


def test_a_threshold_counts_spikes():
    data = counts([[0, 1, 2], [3, 0, 1]])
    for threshold in (1, 2, 3):
        found = encode(data, threshold=threshold)
        np.testing.assert_array_equal(found["pattern"], data["count"] >= threshold)


def test_ranks_are_relative_to_a_cells_own_mean():
    """Cell 0 fires four times as much: 4 spikes are its mean, 2 of cell 1 are twice its own."""
    data = counts([[4, 2, 0], [4, 0, 0], [4, 1, 2], [4, 1, 0]])
    found = encode(data, sparsity=1 / 3)["pattern"].values
    # Relative counts: 1, 2, 0; 1, 0, 0; 1, 1, 4; 1, 1, 0 (a tie: the first).
    np.testing.assert_array_equal(found.argmax(axis=1), [1, 0, 2, 0])
    np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_as_many_cells_are_active_as_asked_unless_they_are_silent(seed):
    rng = np.random.default_rng(seed)
    data = counts(rng.poisson(0.3, (300, 40)))
    active = encode(data, sparsity=0.1)["pattern"].values
    fired = data["count"].values > 0
    np.testing.assert_array_equal(active.sum(axis=1), np.minimum(fired.sum(axis=1), 4))
    assert not (active & ~fired).any()
    relative = data["count"].values / data["count"].values.mean(axis=0)
    for row, chosen in zip(relative, active, strict=True):
        if chosen.any() and not chosen.all():
            assert row[chosen].min() >= row[~chosen].max()


def test_labels_come_along_and_input_stays():
    data = counts([[0, 1], [2, 0]]).assign_coords(x=("unit", [0.0, 1e-3], {"units": "m"}))
    before = data.copy(deep=True)
    found = encode(data, threshold=1)
    xr.testing.assert_identical(data, before)
    assert found["cell"].values.tolist() == ["ü0", "ü1"]
    assert found["x"].dims == ("cell",)
    assert found["x"].attrs["units"] == "m"
    assert found.attrs == {"bin_size": 1.0}
    np.testing.assert_array_equal(found["time"], data["time"])
    nks.core.schema.check(found, "patterns")


def test_trials_are_items_of_their_own_length():
    data = counts(
        np.ones((2, 3, 4), int), trial_length=("trial", [3, 1], {"units": "1"})
    ).assign_coords(trial=["a", "b"])
    for how in ({"threshold": 1}, {"sparsity": 0.5}):
        found = encode(data, **how)
        assert found["pattern"].dims == ("item", "time", "cell")
        np.testing.assert_array_equal(found["item_length"], [3, 1])
        assert found["item"].values.tolist() == ["a", "b"]
        assert found["pattern"][0].all("time").sum() == (4 if "threshold" in how else 2)
        assert not found["pattern"][1, 1:].any()
        nks.core.schema.check(found, "patterns")


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({}, ParameterError, "one of sparsity and threshold, got sparsity=None"),
        ({"sparsity": 0.1, "threshold": 1}, ParameterError, "one of sparsity and threshold"),
        ({"sparsity": 0.0}, ParameterError, "sparsity to be a number > 0 and <= 1, got 0.0"),
        ({"sparsity": 2}, ParameterError, "sparsity to be a number > 0"),
        ({"sparsity": 0.1}, ParameterError, "at least one active cell of 3, got sparsity=0.1"),
        ({"threshold": 0}, ParameterError, "threshold to be a whole number >= 1, got 0"),
        (
            {"threshold": 3},
            ParameterError,
            "that some cell reaches, got threshold=3, and at most 2",
        ),
        ({"threshold": 10**30}, ParameterError, "and at most 2 spikes in a bin: lower it, or make"),
        ({"threshold": 1.5}, ParameterError, "threshold to be a whole number"),
    ],
)
def test_wrong_parameters_are_refused(how, error, says):
    with pytest.raises(error, match=says):
        encode(counts([[0, 1, 2]]), **how)


def test_wrong_counts_are_refused():
    good = counts([[0, 1, 2], [1, 1, 0]])
    with pytest.raises(SchemaError, match="missing bins, got 1: leave them out"):
        encode(good.assign(observed=("time", [True, False])), threshold=1)
    for empty in (good.isel(time=slice(0)), good.isel(unit=slice(0))):
        with pytest.raises(SchemaError, match="at least one bin and unit"):
            encode(empty, threshold=1)
    with pytest.raises(SchemaError, match=r"Expected an xarray.Dataset of counts"):
        encode(good["count"].values, threshold=1)
    with pytest.raises(SchemaError, match="finite counts"):
        encode(counts([[np.nan, 1.0]]), threshold=1)


def test_one_silent_unit_gives_an_empty_pattern():
    assert not encode(counts([[0], [0]]), threshold=1)["pattern"].any()
    assert not encode(counts([[0], [0]]), sparsity=1.0)["pattern"].any()


# -- sparsity and overlaps


def test_sparsity_is_counted():
    data = patterns([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], "time")
    found = estimate_sparsity(data)
    assert found["n_cells"].item() == 4
    assert found["n_silent_cells"].item() == 2
    assert found["mean_active"].item() == 1.0
    assert found["sparsity"].item() == 0.25
    assert found["active_count"].values.tolist() == [1, 2, 0]
    np.testing.assert_allclose(found["activity"], [2 / 3, 1 / 3, 0, 0])


def test_sparsity_leaves_out_what_lies_beyond_an_items_end():
    data = xr.Dataset(
        {
            "pattern": (("item", "time", "cell"), np.ones((2, 3, 2), bool)),
            "item_length": ("item", [3, 1], {"units": "1"}),
        },
        {"cell": ["a", "b"]},
    )
    found = estimate_sparsity(data)
    assert found["sparsity"].item() == 1.0
    assert found["active_count"].values.tolist() == [[2, 2, 2], [2, -1, -1]]


def test_overlaps_are_inner_products(seed):
    rng = np.random.default_rng(seed)
    first, second = (patterns(rng.random((k, 130)) < 0.2) for k in (7, 5))
    found = overlap_matrix(first, second)
    a, b = (d["pattern"].values.astype(int) for d in (first, second))
    np.testing.assert_array_equal(found, a @ b.T)
    np.testing.assert_array_equal(overlap_matrix(first), a @ a.T)
    timed = first.rename(item="time").assign_coords(time=("time", np.arange(7.0), {"units": "s"}))
    found = overlap_matrix(timed)
    assert found.dims == ("time", "other_time")
    np.testing.assert_array_equal(found["other_time"], timed["time"])


def test_overlaps_of_other_cells_or_of_sequences_are_refused():
    data = patterns(np.eye(3))
    with pytest.raises(SchemaError, match="same cells on both sides"):
        overlap_matrix(data, data.isel(cell=[0, 1]))
    with pytest.raises(SchemaError, match="items of several frames"):
        overlap_matrix(data.expand_dims(time=2).transpose("item", "time", "cell"))


# -- readers


def test_readers_of_independent_frames_err_as_often_as_the_theory_says(seed):
    """Frames of exactly a of n random cells: every assumption holds."""
    rng = np.random.default_rng(seed)
    n, a, s, n_frames = 60, 12, 6, 4000
    active = np.argsort(rng.random((n_frames, n)), axis=1) < a
    found = reader_reliability(patterns(active), s, n_readers=2000, rng=seed)
    np.testing.assert_allclose(found["theory"], found["theory_active_counts"], rtol=1e-12)
    for theta in range(1, s + 1):
        p = found["theory"].sel(threshold=theta).item()
        assert p == nks.sdr.false_positive_probability(n, a, s, theta)
        # Readers differ by their segments and share the frames: the variance of the mean is that
        # over readers, and that over frames, each with its own number.
        frames = np.sqrt(p * (1 - p) / n_frames)
        for name in ("measured", "shuffled"):
            value = found[name].sel(threshold=theta).item()
            error = np.hypot(found[f"{name}_error"].sel(threshold=theta).item(), frames)
            if name == "measured":
                assert abs(value - p) < 5 * error
    v = found["false_negative"]
    assert found["n_active"].item() == a
    expected = nks.sdr.false_negative_probability(a, s, 4, 5)
    assert v.sel(threshold=4, n_lost=5).item() == expected


def test_cells_that_fire_together_mislead_readers(seed):
    """Ten assemblies of six cells: a reader answers to its assembly each time it is active."""
    rng = np.random.default_rng(seed)
    which = rng.integers(10, size=3000)
    active = np.arange(60) // 6 == which[:, None]
    found = reader_reliability(patterns(active), 5, n_readers=500, rng=seed)
    share = np.bincount(which, minlength=10) / 3000
    # Drawn by a frame, an assembly comes with its own share, and is then answered to by as many.
    expected, sd = (share**2).sum(), np.sqrt((share**3).sum() - (share**2).sum() ** 2)
    for theta in (1, 5):
        value = found["measured"].sel(threshold=theta).item()
        # The learnt frame is not among those shown: one of 3000.
        assert abs(value - expected) < 5 * sd / np.sqrt(500) + 1 / 3000
    assert found["excess"].sel(threshold=5) > 1000
    assert found["shuffled"].sel(threshold=5) < found["measured"].sel(threshold=5) / 10


def test_frames_near_the_learnt_one_are_not_shown():
    """Each pattern lasts ten frames: without a gap its neighbours are false positives."""
    active = np.kron(np.eye(20, dtype=bool), np.ones((10, 3), bool))
    none = reader_reliability(patterns(active, "time"), 3, n_readers=50, gap=9, rng=0)
    assert (none["measured"] == 0).all()
    some = reader_reliability(patterns(active, "time"), 3, n_readers=50, gap=0, rng=0)
    np.testing.assert_allclose(some["measured"], 9 / 199)


def test_the_same_seed_gives_the_same_readers():
    data = patterns(np.random.default_rng(0).random((100, 30)) < 0.3)
    xr.testing.assert_identical(
        reader_reliability(data, 4, n_readers=20, rng=3),
        reader_reliability(data, 4, n_readers=20, rng=3),
    )


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"n_synapses": 0}, ParameterError, "n_synapses to be a whole number >= 1, got 0"),
        ({"n_synapses": 2, "n_readers": 1}, ParameterError, "n_readers to be a whole number >= 2"),
        ({"n_synapses": 2, "gap": -1}, ParameterError, "gap to be a whole number >= 0"),
        ({"n_synapses": 4}, SchemaError, "at least 4 active cells.*got at most 3 active cells"),
        ({"n_synapses": 2, "gap": 9}, SchemaError, "more than 19 frames"),
    ],
)
def test_readers_that_cannot_be_are_refused(how, error, says):
    with pytest.raises(error, match=says):
        reader_reliability(patterns(np.ones((5, 3))), **how)


def test_a_recording_breaks_the_independence(data_folder, monkeypatch):
    """Rat CA1 on a track: place cells of one place fire together."""
    if not (data_folder / "spikes" / "linear_track" / "spikes.mat").exists():
        pytest.skip("spikes/linear_track is not in the data folder")
    monkeypatch.setenv("NEUROKIT_SDR_DATA", str(data_folder))
    data = encode(nks.bin_spikes(nks.io.fetch_example("linear_track"), 0.25), threshold=1)
    sparsity = estimate_sparsity(data)
    assert sparsity["n_cells"].item() == 31
    assert sparsity["active_count"].sum() == data["pattern"].sum()
    found = reader_reliability(data, 5, gap=20, rng=0)
    # Unequal rates alone raise false positives; frames in which many are active go with the
    # shuffling, so that high thresholds are not comparable.
    low = found.sel(threshold=[1, 2])
    assert (low["shuffled"] > low["theory_active_counts"] + 5 * low["shuffled_error"]).all()
    # Correlations raise them further.
    error = np.hypot(found["measured_error"], found["shuffled_error"])
    assert (found["measured"] > found["shuffled"] + 5 * error)[2:4].all()
    assert (np.diff(found["excess"]) > 0).all()


# -- plots


def test_a_readers_plot_shows_what_it_is_given():
    rng = np.random.default_rng(0)
    found = reader_reliability(patterns(rng.random((300, 30)) < 0.3), 5, n_readers=30, rng=0)
    ax = nks.plotting.reader_reliability(found)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(
        lines["theory, a of each frame"].get_ydata(), found["theory_active_counts"]
    )
    shown = [c.lines[0].get_ydata() for c in ax.containers]
    np.testing.assert_allclose(shown[0], found["shuffled"].where(found["shuffled"] > 0))
    assert ax.get_xticks().tolist() == [1, 2, 3, 4, 5]
    plt.close(ax.figure)
    with pytest.raises(SchemaError, match=r"Expected a variable 'theory'.*reader_reliability"):
        nks.plotting.reader_reliability(found.drop_vars("theory"))


def test_an_overlap_plot_shows_the_matrix():
    timed = patterns(np.random.default_rng(0).random((7, 30)) < 0.3, "time")
    timed = timed.assign_coords(time=("time", 2.0 * np.arange(7), {"units": "s"}))
    overlap = overlap_matrix(timed)
    ax = nks.plotting.overlap_matrix(overlap)
    np.testing.assert_array_equal(ax.images[0].get_array(), overlap)
    assert ax.images[0].get_extent() == [-1, 13, 13, -1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("other time (s)", "time (s)")
    plt.close(ax.figure)
    with pytest.raises(SchemaError, match="overlaps of two dimensions"):
        nks.plotting.overlap_matrix(overlap[0])
