"""Matching states, cutting recordings into blocks, and comparing models."""

from __future__ import annotations

import itertools
import pickle
import signal
import unittest.mock

import numpy as np
import pytest
import xarray as xr
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.validation import (
    Split,
    alternating_blocks,
    cross_validate,
    held_out_folds,
    held_out_split,
    match_states,
)


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
        # The same sums in another order: a rounding error for each of their terms.
        terms = fold.test["count"].size
        same = {"rel": terms * np.finfo(float).eps, "abs": terms * np.finfo(float).eps}
        assert float(cell["score"]) == pytest.approx(model.score(fold.test), **same)
        assert float(cell["train_score"]) == pytest.approx(model.score(fold.train), **same)
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
    by_hand = Split(folds[0].train.isel(trial=[0]), folds[0].test.isel(trial=[1]))
    table = cross_validate({"one": models()["S=1"]}, [by_hand], rng=0, progress=False)
    assert np.isfinite(table["score"].values).all()


def press(*_) -> None:
    signal.raise_signal(signal.SIGINT)


class Stopped(nks.analysis.HMMGLM):
    """Ctrl-C comes as one of the fits begins, or in it, which then keeps the best so far."""

    begun = 0
    last = 0
    inside = False

    def fit(self, data, **options):
        """Fit, or not."""
        Stopped.begun += 1
        if Stopped.begun != Stopped.last:
            return super().fit(data, **options)
        if not Stopped.inside:
            press()
        with unittest.mock.patch("tqdm.auto.tqdm.update", press):
            return super().fit(data, **options)


def stopped(at: int, folds, monkeypatch, inside: bool = False) -> xr.Dataset:
    monkeypatch.setattr(Stopped, "begun", 0)
    monkeypatch.setattr(Stopped, "last", at)
    monkeypatch.setattr(Stopped, "inside", inside)
    given = {name: Stopped(**model.get_params()) for name, model in models().items()}
    return cross_validate(given, folds, rng=3, progress=False)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("at", "missing"),
    [(2, "'S=1': [1], 'S=2': [0, 1]"), (3, "'S=2': [0, 1]"), (4, "'S=2': [1]")],
)
def test_ctrl_c_keeps_the_fits_that_finished(at, missing, inside, folds, monkeypatch, tmp_path):
    whole = cross_validate(models(), folds, rng=3, progress=False)
    with pytest.warns(ConvergenceWarning) as caught:
        table = stopped(at, folds, monkeypatch, inside)
    text = str(caught[0].message)
    assert f"interrupted with {at - 1} of 4 fits done" in text
    assert missing in text
    assert caught[0].filename == __file__
    done = np.arange(4).reshape(2, 2) < at - 1
    for name in ("score", "train_score"):
        np.testing.assert_array_equal(table[name].values[done], whole[name].values[done])
        assert np.isnan(table[name].values[~done]).all()
    np.testing.assert_array_equal(table["status"].values[done], whole["status"].values[done])
    assert set(table["status"].values[~done]) == {"interrupted"}
    assert table.attrs == whole.attrs
    table.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")


def test_ctrl_c_before_anything_finished_leaves_no_table(folds, monkeypatch):
    with pytest.raises(KeyboardInterrupt, match="0 of 4"):
        stopped(1, folds, monkeypatch)


# -- one measure --------------------------------------------------------------------------------


def trials(n_trials=12, n_bins=25, n_units=8, seed=0) -> xr.Dataset:
    """Units that share a slow latent, in trials."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((n_trials, 1, 1)) + np.sin(np.arange(n_bins) / 4)[:, None]
    rate = 0.5 * np.exp(0.8 * latent * np.linspace(-1, 1, n_units))
    return xr.Dataset(
        {"count": (("trial", "time", "unit"), rng.poisson(rate), {"units": "1"})},
        coords={
            "time": ("time", (np.arange(n_bins) + 0.5) * 0.02, {"units": "s"}),
            "unit": np.arange(n_units),
        },
        attrs={"bin_size": 0.02},
    )


RATE_MODELS = {
    "smoothed": nks.generative.Smoothing(smoothing=0.04),
    "factors": nks.generative.FactorAnalysis(n_latents=2, smoothing=0.04),
}


def smoothed(train: xr.Dataset, number: int) -> nks.generative.Smoothing:
    """The fit of a table's cell, by hand."""
    seed = stream(0, "cross_validate", "smoothed", number).integers(2**63).item()
    return nks.generative.Smoothing(smoothing=0.04).fit(train, rng=seed, progress=False)


@pytest.fixture(scope="module")
def held_out():
    return held_out_folds(trials(), 3, neurons=2, rng=0)


def test_what_holds_units_out_is_taken_and_scored_as_the_benchmark_does(held_out):
    table = cross_validate(RATE_MODELS, held_out, rng=0, progress=False)
    assert table.attrs["measure"] == "co_bits_per_spike"
    assert table.attrs["null"] == "test_mean"
    assert table["score"].attrs["units"] == "bits per spike"
    for number, split in enumerate(held_out):
        model = smoothed(split.train, number)
        rate = model.predict(split.test)
        by_hand = nks.validation.co_bits_per_spike(rate, split.truth)
        assert float(table["score"].sel(model="smoothed", fold=number)) == by_hand
        assert by_hand == model.score(split.truth)


def test_over_the_training_mean_a_test_of_its_own_mean_scores_zero():
    """Both nulls by their definition, on data whose means are known."""
    split = held_out_split(trials(), neurons=2, trials=4, rng=0)
    models = {"smoothed": RATE_MODELS["smoothed"]}
    tables = {
        null: cross_validate(models, [split], null=null, rng=0, progress=False)
        for null in ("training_mean", "test_mean")
    }
    rate = smoothed(split.train, 0).predict(split.test)["expected_count"]
    hidden = ~split.truth["held_in"].values
    expected = rate.values[:, :, hidden]
    count = split.truth["count"].values[:, :, hidden]
    for null, source in (("training_mean", split.train), ("test_mean", split.truth)):
        mean = source["count"].values[:, :, hidden].mean(axis=(0, 1))
        gain = poisson.logpmf(count, expected) - poisson.logpmf(count, mean)
        found = float(tables[null]["score"][0, 0])
        # logpmf carries log factorials that cancel: a few rounding errors of each term.
        assert found == pytest.approx(gain.sum() / np.log(2) / count.sum(), abs=1e-12)
        assert tables[null].attrs["null"] == null
    train = [float(tables[null]["train_score"][0, 0]) for null in tables]
    assert train[0] == pytest.approx(train[1], abs=1e-12)


def test_forecasts_over_both_nulls(folds):
    fold = folds[0]
    model = models()["S=1"].fit(fold.train, rng=9, progress=False)
    tables = {
        null: cross_validate({"S=1": models()["S=1"]}, [fold], null=null, rng=0, progress=False)
        for null in ("training_mean", "test_mean")
    }
    used = nks.core.schema.scored_bins(fold.test)
    count = fold.test["count"].values[used]
    for null, source in (("training_mean", fold.train), ("test_mean", fold.test)):
        mean = source["count"].values[nks.core.schema.scored_bins(source)].mean(axis=0)
        expected = model.log_likelihood(fold.test) - poisson.logpmf(count, mean).sum()
        found = float(tables[null]["score"][0, 0])
        assert found == pytest.approx(expected / np.log(2) / count.sum(), abs=1e-10)
        assert tables[null].attrs == {"seed": 0, "measure": "bits_per_spike", "null": null}


def test_rows_that_cannot_be_compared_are_refused(folds, held_out):
    mixed = {"coupled": models()["S=1"], **RATE_MODELS}
    # A forecaster beside models that read what they are scored on.
    with pytest.raises(ParameterError, match=r"before it.*'factors': 'FactorAnalysis'.*held_out_"):
        cross_validate(mixed, folds, progress=False)
    with pytest.raises(ParameterError, match=r"one class.*'HMMGLM'.*'Smoothing'"):
        cross_validate(mixed, folds, measure="score", progress=False)
    # A forecaster that reads all units cannot leave some out.
    with pytest.raises(SchemaError, match=r"2 held-out units \(held_in\).*HMMGLM"):
        cross_validate(mixed, held_out, progress=False)
    with pytest.raises(SchemaError, match=r"held-out units in every fold.*fold 0.*held_out_folds"):
        cross_validate(RATE_MODELS, folds, measure="co_bits_per_spike", progress=False)


def test_measures_and_nulls_that_do_not_exist(folds):
    with pytest.raises(ParameterError, match="Did you mean 'bits_per_spike'"):
        cross_validate(models(), folds, measure="bit_per_spike", progress=False)
    with pytest.raises(ParameterError, match="Did you mean 'test_mean'"):
        cross_validate(models(), folds, null="tset_mean", progress=False)
    with pytest.raises(ParameterError, match="null is the model's own"):
        cross_validate(models(), folds, measure="score", null="test_mean", progress=False)


def test_a_class_may_be_compared_by_its_own_score(folds):
    table = cross_validate(models(), folds[:1], measure="score", rng=0, progress=False)
    assert table.attrs["measure"] == "score"
    assert table.attrs["null"] == "the model's own"
    one = models()["S=1"].fit(folds[0].train, rng=9, progress=False)
    assert float(table["score"].sel(model="S=1")[0]) == one.score(folds[0].test)


def test_there_is_one_type_of_split(folds, held_out):
    assert nks.validation.Fold is nks.validation.HeldOutSplit is Split
    train, test = folds[0]
    assert folds[0].truth is test
    assert train is folds[0].train
    assert all(type(split) is Split for split in [*folds, *held_out])
    # Workers get copies.
    copy = pickle.loads(pickle.dumps(held_out[0]))
    xr.testing.assert_identical(copy.truth, held_out[0].truth)
    xr.testing.assert_identical(copy.test, held_out[0].test)
