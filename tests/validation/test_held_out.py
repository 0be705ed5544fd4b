"""Neurons, trials and bins held out: who is in which part, for every way to say it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.validation import held_out_folds, held_out_split


def recording(n_trials=20, n_bins=8, n_units=6, **coords) -> xr.Dataset:
    """Counts whose values say which trial, bin and unit they are."""
    count = np.arange(n_trials * n_bins * n_units).reshape(n_trials, n_bins, n_units)
    return xr.Dataset(
        {"count": (("trial", "time", "unit"), count, {"units": "1"})},
        coords={
            "time": ("time", (np.arange(n_bins) + 0.5) * 0.02, {"units": "s"}),
            "unit": [f"u{k}" for k in range(n_units)],
            **coords,
        },
        attrs={"bin_size": 0.02},
    )


def test_what_each_part_holds():
    counts = recording()
    split = held_out_split(counts, neurons=["u1", "u4"], trials=[3, 5], forward=2)
    assert split.truth["trial"].values.tolist() == [3, 5]
    assert split.train["trial"].values.tolist() == [t for t in range(20) if t not in (3, 5)]
    assert dict(split.train.sizes) == {"trial": 18, "time": 8, "unit": 6}
    assert dict(split.truth.sizes) == {"trial": 2, "time": 8, "unit": 6}
    assert split.test["unit"].values.tolist() == ["u0", "u2", "u3", "u5"]
    np.testing.assert_array_equal(split.test["time"], counts["time"][:6])
    # What a model must not see is not there to be seen.
    hidden = set(split.truth["count"].sel(unit=["u1", "u4"]).values.ravel().tolist())
    hidden |= set(split.truth["count"].isel(time=slice(6, None)).values.ravel().tolist())
    assert not hidden & set(split.test["count"].values.ravel().tolist())
    np.testing.assert_array_equal(
        split.test["count"], counts["count"].values[[3, 5], :6][:, :, [0, 2, 3, 5]]
    )
    for part in split:
        schema.check(part, "counts")
        assert {"held_in", "forward", "trial"} <= set(part.coords)
    assert split.train["held_in"].values.tolist() == [True, False, True, True, False, True]
    assert split.truth["forward"].values.tolist() == [False] * 6 + [True] * 2
    assert split.test["held_in"].values.all()
    assert not split.test["forward"].values.any()


def test_input_is_not_changed_and_coordinates_survive_selection():
    counts = recording(condition=("trial", np.arange(20) % 4))
    before = counts.copy(deep=True)
    split = held_out_split(counts, neurons=2, trials=4, forward=1, rng=0)
    xr.testing.assert_identical(counts, before)
    assert split.train.isel(unit=[0, 5])["held_in"].values.tolist() == [True, False]
    assert split.truth.isel(time=slice(6, None))["forward"].values.tolist() == [False, True]
    assert "condition" in split.test.coords


def test_last_ones_shares_lists_booleans(seed):
    counts = recording()
    split = held_out_split(counts, neurons=2, trials=3)
    assert split.train["held_in"].values.tolist() == [True] * 4 + [False] * 2
    assert split.truth["trial"].values.tolist() == [17, 18, 19]
    share = held_out_split(counts, neurons=0.34, trials=0.25, rng=seed)
    assert int((~share.train["held_in"]).sum()) == 2  # 0.34 of 6
    assert share.truth.sizes["trial"] == 5
    both = np.concatenate([share.train["trial"], share.truth["trial"]])
    assert sorted(both.tolist()) == list(range(20))
    marks = np.arange(20) % 7 == 0
    assert held_out_split(counts, trials=marks).truth["trial"].values.tolist() == [0, 7, 14]
    named = counts.assign_coords(trial=[f"t{k}" for k in range(20)])
    assert held_out_split(named, trials=["t9"]).truth["trial"].values.tolist() == ["t9"]
    none = held_out_split(counts, neurons=0, trials=2, forward=3)
    assert none.test.sizes["unit"] == 6
    # A small share is at least one.
    assert int((~held_out_split(counts, neurons=0.01, trials=2).train["held_in"]).sum()) == 1


def test_same_seed_same_split_and_neurons_do_not_depend_on_trials(seed):
    counts = recording()
    first = held_out_split(counts, rng=seed)
    for a, b in zip(first, held_out_split(counts, rng=seed), strict=True):
        xr.testing.assert_identical(a, b)
    other = held_out_split(counts, trials=0.5, rng=seed)
    np.testing.assert_array_equal(first.train["held_in"], other.train["held_in"])
    folds = held_out_folds(counts, rng=seed)
    np.testing.assert_array_equal(first.train["held_in"], folds[3].train["held_in"])
    assert first.train.attrs["held_out_seed"] == seed
    drawn = held_out_split(counts)
    again = held_out_split(counts, rng=drawn.train.attrs["held_out_seed"])
    xr.testing.assert_identical(drawn.truth, again.truth)


def test_stratified_by_a_coordinate(seed):
    condition = np.repeat([0, 1, 2], [10, 20, 5])
    counts = recording(35, condition=("trial", condition))
    split = held_out_split(counts, trials=0.2, stratify="condition", rng=seed)
    assert np.bincount(split.truth["condition"]).tolist() == [2, 4, 1]
    # 3 of 4 equal strata of five get one trial where a share asks for three.
    even = recording(20, condition=("trial", np.repeat(list("abcd"), 5)))
    split = held_out_split(even, trials=0.15, stratify="condition", rng=seed)
    number = np.unique(split.truth["condition"], return_counts=True)[1]
    assert number.tolist() == [1, 1, 1]


def test_groups_stay_together(seed):
    condition = np.arange(20) % 5
    counts = recording(condition=("trial", condition))
    split = held_out_split(counts, trials=0.4, group="condition", rng=seed)
    assert len(np.unique(split.truth["condition"])) == 2
    assert not set(split.truth["condition"].values) & set(split.train["condition"].values)
    last = held_out_split(counts, trials=1, group="condition")
    assert np.unique(last.truth["condition"]).tolist() == [4]
    named = held_out_split(counts, trials=[0, 2], group="condition")
    assert np.unique(named.truth["condition"]).tolist() == [0, 2]


def test_ragged_trials_end_where_they_end():
    length = np.array([8, 7, 5, 3, 8, 6])
    counts = recording(6).assign(trial_length=("trial", length, {"units": "1"}))
    split = held_out_split(counts, trials=[0, 1, 2, 3], forward=2, neurons=1)
    assert split.test["trial_length"].values.tolist() == [6, 6, 5, 3]
    assert split.truth["trial_length"].values.tolist() == [8, 7, 5, 3]
    assert split.test["trial_length"].attrs == {"units": "1"}
    with pytest.raises(ParameterError, match=r"reaches the 2 forward bins.*none longer than 5"):
        held_out_split(counts, trials=[2, 3], forward=2)


def test_gaps_and_other_variables_are_cut_alike():
    observed = np.ones((20, 8), dtype=bool)
    observed[3, 2] = False
    counts = recording().assign(
        observed=(("trial", "time"), observed),
        rate=(("trial", "time", "unit"), np.ones((20, 8, 6))),
        latent=(("trial", "time", "latent_dim"), np.ones((20, 8, 3))),
    )
    test = held_out_split(counts, trials=[3], neurons=2, forward=1).test
    assert test["observed"].values.tolist() == [[True, True, False, True, True, True, True]]
    assert test["rate"].shape == (1, 7, 4)
    assert test["latent"].shape == (1, 7, 3)


def test_folds_test_every_trial_once(seed):
    condition = np.repeat(np.arange(4), [5, 7, 9, 6])
    counts = recording(27, condition=("trial", condition))
    for options in ({}, {"stratify": "condition"}):
        folds = held_out_folds(counts, 5, neurons=2, forward=1, rng=seed, **options)
        tested = np.concatenate([fold.truth["trial"] for fold in folds])
        assert sorted(tested.tolist()) == list(range(27))
        sizes = [fold.truth.sizes["trial"] for fold in folds]
        assert max(sizes) - min(sizes) <= 1
    number = np.array([np.bincount(f.truth["condition"], minlength=4) for f in folds])
    assert (np.ptp(number, axis=0) <= 1).all()
    for fold in folds:
        assert not set(fold.train["trial"].values) & set(fold.truth["trial"].values)
        np.testing.assert_array_equal(fold.test["trial"], fold.truth["trial"])
        assert fold.test.sizes["unit"] == 4


def test_folds_by_group(seed):
    counts = recording(30, condition=("trial", np.arange(30) % 6))
    folds = held_out_folds(counts, 3, group="condition", rng=seed)
    values = [set(fold.truth["condition"].values.tolist()) for fold in folds]
    assert [len(v) for v in values] == [2, 2, 2]
    assert set.union(*values) == set(range(6))


def test_marks_that_the_counts_carry_are_replaced():
    first = held_out_split(recording(), neurons=3, trials=2, forward=2).train
    again = held_out_split(first, neurons=1, trials=2)
    assert int((~again.train["held_in"]).sum()) == 1
    assert not again.train["forward"].values.any()


def test_exported():
    assert nks.validation.held_out_split is held_out_split
    assert nks.validation.held_out_folds is held_out_folds


CONDITION = ("trial", np.repeat(["a", "b"], [18, 2]))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"neurons": 7}, ParameterError, r"neurons between 0 and the 6 values of 'unit', got 7"),
        ({"neurons": 6}, ParameterError, r"at least one of 6 units held in, got neurons=6"),
        ({"neurons": ["u9"]}, ParameterError, r"among the 6 values of 'unit' \('u0'.*\['u9'\]"),
        ({"neurons": 1.5}, ParameterError, r"neurons as a share to be between 0 and 1, got 1\.5"),
        ({"neurons": -1}, ParameterError, r"neurons between 0 and the 6"),
        ({"neurons": "u1"}, ParameterError, r"a list of values of 'unit', got 'u1'"),
        ({"neurons": True}, ParameterError, r"a share between 0 and 1, a whole number"),
        ({"trials": 20}, ParameterError, r"trials to fit and trials to test, got 20 of 20"),
        ({"trials": 0}, ParameterError, r"trials to fit and trials to test, got 0 of 20"),
        ({"trials": [99]}, ParameterError, r"got unknown \[99\]"),
        ({"trials": np.ones(3, bool)}, ParameterError, r"20 booleans.*got 3"),
        ({"trials": np.nan}, ParameterError, r"trials to be a share"),
        ({"forward": 8}, ParameterError, r"below the 8 of the longest trial, got 8"),
        ({"forward": 0.04}, ParameterError, r"whole number of bins.*0\.04 s would be 2 bins"),
        ({"forward": -1}, ParameterError, r"whole number of bins >= 0"),
        ({"stratify": "condtion"}, SchemaError, r"Did you mean 'condition'"),
        ({"stratify": "time"}, SchemaError, r"'time' to be a coordinate along trial"),
        ({"stratify": "condition", "trials": 3}, ParameterError, r"as a share.*cannot be strat"),
        ({"stratify": "condition", "trials": 0.96}, ParameterError, r"a trial to fit of every"),
        ({"stratify": "condition", "group": "condition"}, ParameterError, r"stratify or group"),
        ({"group": "condition", "trials": 2}, ParameterError, r"trials to fit and trials to test"),
        ({"group": "score"}, SchemaError, r"'score' to have a value in every trial, got NaN in 1"),
        ({"rng": "x"}, ParameterError, r"Expected rng"),
    ],
)
def test_nonsense_is_refused(options, error, text):
    score = np.arange(20.0)
    score[3] = np.nan
    counts = recording(condition=CONDITION, score=("trial", score))
    with pytest.raises(error, match=text):
        held_out_split(counts, **options)


@pytest.mark.parametrize(
    ("n_folds", "options", "text"),
    [
        (1, {}, r"n_folds to be a whole number >= 2, got 1"),
        (2.0, {}, r"n_folds to be a whole number"),
        (21, {}, r"at least n_folds=21 trials, got 20"),
        (3, {"stratify": "condition"}, r"n_folds=3 trials of each value of 'condition', got 2"),
        (3, {"group": "condition"}, r"n_folds=3 values of 'condition', got 2"),
    ],
)
def test_folds_that_cannot_be(n_folds, options, text):
    with pytest.raises(ParameterError, match=text):
        held_out_folds(recording(condition=CONDITION), n_folds, **options)


def test_one_trial_and_no_trials():
    with pytest.raises(ParameterError, match="got 1 of 1 to test"):
        held_out_split(recording(1))
    with pytest.raises(SchemaError, match=r"counts with trials.*alternating_blocks"):
        held_out_split(recording(1).isel(trial=0))
    with pytest.raises(SchemaError, match=r"Expected an xarray\.Dataset of counts"):
        held_out_split(np.ones((3, 4, 5)))
    with pytest.raises(ParameterError, match="at least one of 1 units held in"):
        held_out_split(recording(n_units=1))
