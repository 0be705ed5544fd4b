"""Matching states, cutting recordings into blocks, and comparing models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.validation import Fold, alternating_blocks, cross_validate, match_states


@pytest.fixture(autouse=True)
def _here():
    with limited_threads(1):
        yield


@pytest.mark.parametrize("number", range(20))
def test_match_is_the_best_of_all_permutations(number, seed):
    rng = np.random.default_rng([seed, number])
    n_true, n_found = rng.integers(1, 5, 2)
    true, found = rng.integers(n_true, size=40), rng.integers(n_found, size=40)
    match = match_states(true, found)
    size = max(true.max(), found.max()) + 1
    best = max(
        np.mean(np.array(order)[true] == found) for order in itertools.permutations(range(size))
    )
    assert match.accuracy == pytest.approx(best)
    assert np.mean(match.order[true] == found) == match.accuracy


def test_match_undoes_any_renaming(seed):
    rng = np.random.default_rng(seed)
    true = rng.integers(4, size=100)
    order = rng.permutation(4)
    match = match_states(true, order[true])
    assert match.accuracy == 1
    np.testing.assert_array_equal(match.order, order)
    # As the text says: the found states, reordered, stand beside the true ones.
    weight = rng.standard_normal((4, 3))
    found = np.empty_like(weight)
    found[order] = weight
    np.testing.assert_array_equal(found[match.order], weight)


def test_match_leaves_out_what_lies_beyond_a_trial():
    true = np.array([[0, 1, 1], [0, -1, -1]])
    found = np.array([[1, 0, 0], [1, -1, 0]])
    assert match_states(true, found).accuracy == 1
    assert match_states(xr.DataArray(true), xr.DataArray(found)).accuracy == 1


@pytest.mark.parametrize(
    ("true", "found", "says"),
    [
        ([0, 1], [0, 1, 1], r"one shape, got \(2,\) and \(3,\)"),
        ([], [], "at least one bin"),
        ([-1, 0], [0, -1], "at least one bin"),
        ([0.5, 1.0], [0, 1], "Expected"),
        (["a", "b"], [0, 1], "Expected"),
    ],
)
def test_what_cannot_be_matched(true, found, says):
    with pytest.raises(SchemaError, match=says):
        match_states(true, found)


# -- blocks -------------------------------------------------------------------------------------


def recording(n_bins=103, n_units=2) -> xr.Dataset:
    return xr.Dataset(
        {
            "count": (
                ("time", "unit"),
                np.arange(n_bins * n_units).reshape(n_bins, n_units),
                {"units": "1"},
            )
        },
        coords={"unit": [f"u{i}" for i in range(n_units)], "depth": ("unit", [0.1] * n_units)},
        attrs={"bin_size": 0.02},
    )


@pytest.mark.parametrize("n_blocks", [2, 4, 10, 102])
def test_blocks_take_turns_and_lose_nothing(n_blocks):
    counts = recording()
    folds = alternating_blocks(counts, n_blocks)
    assert len(folds) == 2
    xr.testing.assert_identical(folds[0].train, folds[1].test)
    xr.testing.assert_identical(folds[0].test, folds[1].train)
    parts = []
    for fold in (folds[0].train, folds[0].test):
        lengths = fold["trial_length"].values
        assert len(lengths) == n_blocks // 2
        assert lengths.max() - lengths.min() <= 1
        parts.append([fold["count"].values[k, :n] for k, n in enumerate(lengths)])
        assert fold["depth"].values.tolist() == [0.1, 0.1]
    taken = [block for pair in zip(*parts, strict=True) for block in pair]
    np.testing.assert_array_equal(np.concatenate(taken), counts["count"])


def test_blocks_keep_missing_bins():
    counts = recording(40)
    counts["observed"] = "time", np.arange(40) % 3 > 0
    fold = alternating_blocks(counts, 4)[0]
    assert fold.train["observed"].values.sum() + fold.test["observed"].values.sum() == 26


@pytest.mark.parametrize("wrong", [0, 1, 3, -2, 200, 2.5, "4", None])
def test_wrong_numbers_of_blocks(wrong):
    with pytest.raises(ParameterError, match=r"even n_blocks.*got"):
        alternating_blocks(recording(), wrong)


def test_trials_are_not_cut():
    with pytest.raises(SchemaError, match=r"one continuous recording.*isel"):
        alternating_blocks(recording().expand_dims("trial"), 2)
    with pytest.raises(SchemaError):
        alternating_blocks(xr.Dataset(), 2)


# -- comparing ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folds():
    truth = nks.snn.switching_population(4, 2, rng=0)
    return alternating_blocks(nks.snn.simulate_switching_population(truth, 400, rng=0), 4)


def models(**settings):
    settings = {"nonlinearity": "sigmoid", "restarts": 2, "max_iter": 30} | settings
    return {f"S={n}": nks.analysis.HMMGLM(n, **settings) for n in (1, 2)}


def test_scores_are_those_of_a_fit_by_hand(folds):
    table = cross_validate(models(), folds, rng=0, progress=False)
    assert dict(table.sizes) == {"model": 2, "fold": 2}
    assert table["model"].values.tolist() == ["S=1", "S=2"]
    # The single-state fit has one optimum, whatever its seed.
    for number, fold in enumerate(folds):
        model = models()["S=1"].fit(fold.train, rng=9, progress=False)
        cell = table.sel(model="S=1", fold=number)
        assert float(cell["score"]) == model.score(fold.test)
        assert float(cell["train_score"]) == model.score(fold.train)
        assert str(cell["status"].values) == model.result_.attrs["status"]


def test_numbers_do_not_depend_on_the_company(folds):
    both = cross_validate(models(), folds, rng=3, progress=False)
    alone = cross_validate({"S=2": models()["S=2"]}, folds, rng=3, progress=False)
    xr.testing.assert_identical(both.sel(model=["S=2"]), alone)
    again = cross_validate(models(), folds, rng=both.attrs["seed"], progress=False)
    xr.testing.assert_identical(both, again)


def test_models_and_data_stay_unchanged(folds):
    given = models()
    before = [fold.train.copy(deep=True) for fold in folds]
    cross_validate(given, folds, rng=0, progress=False)
    assert not any(hasattr(model, "result_") for model in given.values())
    for fold, old in zip(folds, before, strict=True):
        xr.testing.assert_identical(fold.train, old)


def test_a_fit_that_does_not_converge_is_said_in_the_table(folds):
    table = cross_validate(models(max_iter=2), folds[:1], rng=0, progress=False)  # no warning
    assert all("max_iter" in status for status in table["status"].values.ravel())


def test_table_can_be_saved(folds, tmp_path):
    table = cross_validate(models(), folds[:1], rng=0, progress=False)
    table.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "table.nc", engine="h5netcdf"), table)


def test_errors_of_a_fit_come_through(folds):
    with pytest.raises(ParameterError, match="n_states"):
        cross_validate({"wrong": nks.analysis.HMMGLM(0)}, folds, progress=False)


@pytest.mark.parametrize("given", [({}, 1), (1, 0)])
def test_nothing_to_compare(given, folds):
    some = models() if given[0] else {}
    with pytest.raises(ParameterError, match=r"at least one model and one fold, got"):
        cross_validate(some, folds[: given[1]], progress=False)


def test_any_pair_of_datasets_is_a_fold(folds):
    by_hand = Fold(folds[0].train.isel(trial=[0]), folds[0].test.isel(trial=[1]))
    table = cross_validate({"one": models()["S=1"]}, [by_hand], rng=0, progress=False)
    assert np.isfinite(table["score"].values).all()
