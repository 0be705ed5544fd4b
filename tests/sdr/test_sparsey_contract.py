"""Sparsey as an estimator: labels, parts, files, errors, plots."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError, SchemaError
from neurokit_sdr.sdr import Sparsey
from neurokit_sdr.sdr.sparsey import equations
from tests.sdr.stored_patterns import N, dataset, moved, random_patterns, stored

GOLDEN = Path(__file__).parents[1] / "golden"


# -- labels, similarity, simulation


def test_labels_are_told_from_single_trials(seed):
    rng = np.random.default_rng(seed)
    prototype = random_patterns(rng, 5, N)
    label = np.repeat(["à", "b", "c", "d", "e"], 10)
    train = dataset(moved(rng, np.repeat(prototype, 10, axis=0), 4), label=("item", label))
    test = dataset(moved(rng, np.repeat(prototype, 10, axis=0), 4))
    model = Sparsey(exponent=10.0).fit(train, rng=0, progress=False)
    found = model.predict(test)
    assert (found["label"].values == label).mean() > 0.9
    assert found["label_support"].dims == ("item", "label_value")
    parts = Sparsey(exponent=10.0).partial_fit(train.isel(item=slice(10)), rng=0)
    parts.partial_fit(train.isel(item=slice(10, None)))
    xr.testing.assert_identical(parts.predict(test), found)
    parts.partial_fit(test)  # without labels: those known stay
    assert "label_weight" in parts.result_
    with pytest.raises(SchemaError, match="labels of one kind, got int64 after <U1"):
        parts.partial_fit(train.assign(label=("item", np.arange(50))))


def test_labels_of_sequences_are_told_of_whole_sequences(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 4, 5, N)
    data = dataset(active, label=("item", [3, 1, 3, 2]))
    model = Sparsey(signals="UH").fit(data, rng=0, progress=False)
    assert model.predict(data)["label"].values.tolist() == [3, 1, 3, 2]


def test_similarity_is_the_share_of_equal_winners(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 10, N)
    model = stored(active)
    found = model.similarity(dataset(active))
    assert found.dims == ("pattern", "other_pattern")
    np.testing.assert_array_equal(np.diag(found), 1.0)
    winner = model.predict(dataset(active))["winner"].values
    assert found.values[2, 5] == (winner[2] == winner[5]).mean()
    near = model.similarity(dataset(active), dataset(moved(rng, active, 4)))
    assert near.values.diagonal().mean() > near.values[~np.eye(10, dtype=bool)].mean() + 0.3
    silent = model.similarity(dataset(np.zeros((1, N))))
    assert np.isnan(silent.values).all()


def test_what_is_drawn_from_the_memory_is_familiar(seed):
    rng = np.random.default_rng(seed)
    active = random_patterns(rng, 20, N)
    model = stored(active, exponent=5.0)
    drawn = model.simulate(30, rng=seed)
    assert model.score(drawn[["pattern"]]) > 0.9
    assert model.score(drawn[["pattern"]]) > model.score(dataset(random_patterns(rng, 30, N))) + 0.5
    sequences = stored(random_patterns(rng, 3, 6, N), signals="UH")
    drawn = sequences.simulate(15, rng=seed)
    assert drawn["pattern"].dims == ("time", "cell")
    assert drawn["pattern"].any("cell").all()


# -- parts, files and errors


def test_storing_in_parts_stores_the_same(seed):
    rng = np.random.default_rng(seed)
    data = dataset(random_patterns(rng, 50, N))
    for how in ({}, {"learning": "ageing", "lifetime": 30, "freezing": 0.3}):
        whole = Sparsey(**how).fit(data, rng=seed, progress=False).result_
        parts = Sparsey(**how).partial_fit(data.isel(item=slice(20)), rng=seed)
        parts = parts.partial_fit(data.isel(item=slice(20, None))).result_
        for name in whole.data_vars:
            if not str(name).startswith("learned"):
                np.testing.assert_array_equal(whole[name], parts[name], err_msg=str(name))
        assert whole.attrs["frames_learned"] == parts.attrs["frames_learned"] == 50


def test_a_saved_memory_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    data = dataset(random_patterns(rng, 30, N), label=("item", ["x", "y", "z"] * 10))
    model = Sparsey(n_macs=(2, 1), signals="UHD", persistence=[1, 2]).fit(
        data, rng=0, progress=False
    )
    nks.save_result(model, tmp_path / "memory.nc")
    loaded = nks.load_result(tmp_path / "memory.nc")
    xr.testing.assert_identical(loaded.predict(data), model.predict(data))
    more = dataset(random_patterns(rng, 10, N))
    xr.testing.assert_identical(loaded.partial_fit(more).result_, model.partial_fit(more).result_)


def test_files_of_the_first_schema_still_open():
    model = nks.load_result(GOLDEN / "sparsey_v1.nc")
    data = xr.load_dataset(GOLDEN / "sparsey_v1_patterns.nc", engine="h5netcdf")
    assert model.result_.attrs["schema_version"] == 1
    assert model.result_.attrs["status"] == "stored 12 frames"
    found = model.predict(data)
    np.testing.assert_array_equal(found["winner"], data["winner"])
    np.testing.assert_allclose(found["familiarity"], data["familiarity"], rtol=1e-13)
    assert found["label"].values.tolist() == ["left", "right", "left"]
    assert model.partial_fit(data).result_.attrs["frames_learned"] == 24


def test_ctrl_c_keeps_what_is_stored(monkeypatch):
    rng = np.random.default_rng(0)
    data = dataset(random_patterns(rng, 300, N))
    run, calls = equations.run, []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*args, **kwargs)

    monkeypatch.setattr(equations, "run", interrupted)
    model = Sparsey()
    with pytest.warns(ConvergenceWarning, match="stored 256 of 300 frames"):
        model.fit(data, rng=0, progress=False)
    monkeypatch.undo()
    assert model.score(data.isel(item=slice(256))) == pytest.approx(1.0, rel=1e-14)
    model.partial_fit(data.isel(item=slice(256, None)))
    whole = Sparsey().fit(data, rng=0, progress=False)
    np.testing.assert_array_equal(
        model.result_["bottom_up_weight"], whole.result_["bottom_up_weight"]
    )


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"persistence": [1, 2]}, "one for each of 1 levels, got .1, 2."),
        ({"activation_min": 0.5, "activation_max": 0.1}, "activation_min <= activation_max, got"),
        ({"cutoff_min": 0.5, "cutoff_max": 0.1}, "cutoff_min <= cutoff_max, got"),
        ({"back_off": [0.9, 0.9]}, "one threshold, or three"),
        ({"n_macs": 400}, "macs that each have something in their window, got n_macs=400 for 300"),
        ({"sigmoid": "sparsy"}, "sigmoid of Sparsey to be one of 'sparseycore'"),
    ],
)
def test_hyper_parameters_that_do_not_fit_are_refused(how, says):
    with pytest.raises(ParameterError, match=says):
        stored(np.ones((2, N), bool), **how)


def test_a_grid_needs_square_numbers():
    data = dataset(np.ones((1, 4), bool)).assign_coords(
        x=("cell", [0.0, 0, 1, 1]), y=("cell", [0.0, 1, 0, 1])
    )
    with pytest.raises(ParameterError, match="square numbers, for cells with x and y, got 2"):
        Sparsey(n_macs=2).fit(data, progress=False)


def test_calls_that_cannot_be_answered_are_refused():
    data = dataset(np.eye(5, N, dtype=bool))
    model = Sparsey(n_modules=4, n_units=4).fit(data, rng=0, progress=False)
    with pytest.raises(ParameterError, match="signals='UH' or 'UHD' to recall sequences, got 'U'"):
        model.recall(data, n_frames=3)
    with pytest.raises(ParameterError, match="n_frames to be a whole number >= 0, got -1"):
        model.recall(data, n_frames=-1)
    with pytest.raises(ParameterError, match="n_frames to be a whole number >= 1, got 0"):
        model.simulate(0)
    with pytest.raises(ParameterError, match="hyper-parameters of the first fit, got others"):
        model.set_params(n_modules=5).partial_fit(data)
    with pytest.raises(SchemaError, match="none that is active: lower the threshold"):
        Sparsey().fit(data.assign(pattern=data["pattern"] & False), progress=False)
    for length, says in (([0, 0], "at least one frame, got item_length 0"), ([1, 4], "got 1 to 4")):
        frames = dataset(np.ones((2, 3, 4), bool), item_length=("item", length, {"units": "1"}))
        with pytest.raises(SchemaError, match=says):
            Sparsey().fit(frames, progress=False)
    wrong = model.result_.assign_attrs(parameters='{"n": 1}')
    with pytest.raises(SchemaError, match=r"Expected attrs.* as the hyper-parameters of Sparsey"):
        Sparsey.from_parameters(wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_modules": 7}, {"n_units": 8}, {"signals": "UHD", "n_macs": 2}, {"signals": "U"},
        {"learning": "ageing"}, {"sigmoid": "sparseypy", "exponent": 4.0}, {"persistence": [1, 2]},
    ],
)  # fmt: skip
def test_hyper_parameters_set_after_a_fit_count_from_the_next(changed):
    data = dataset(random_patterns(np.random.default_rng(0), 4, 5, N))
    calls = {
        "predict": lambda m: m.predict(data),
        "score": lambda m: m.score(data),
        "recall": lambda m: m.recall(data, n_frames=2),
        "similarity": lambda m: m.similarity(data),
        "simulate": lambda m: m.simulate(3, rng=0),
    }
    model = Sparsey(n_modules=5, n_units=6, signals="UH").fit(data, rng=0, progress=False)
    before = {name: call(model) for name, call in calls.items()}
    model.set_params(**changed)
    for name, call in calls.items():
        again = call(model)
        same = again == before[name] if name == "score" else again.identical(before[name])
        assert same, name
    assert model.get_params() | changed == model.get_params()
    with pytest.raises(ParameterError, match="hyper-parameters of the first fit, got others"):
        model.partial_fit(data)


WHOLE = {"learning": "ageing", "freezing": 0.5, "signals": "UHD", "n_macs": (2, 1)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["level"], "laid out like result_ of a fitted Sparsey, with attrs"),
        (lambda p: p.drop_attrs(), "laid out like result_ of a fitted Sparsey, with attrs"),
        (lambda p: p.drop_vars("cell"), "got none of cell"),
        (lambda p: p.drop_vars("level"), "got none of level"),
        *((lambda p, name=name: p.drop_vars(name), f"got no {name}")
          for name in ("inflection", "highest_mean_v", "bottom_up_weight", "bottom_up_source",
                       "horizontal_weight", "top_down_mac", "bottom_up_stamp",
                       "horizontal_stiffness", "top_down_frozen", "label_value")),
        (lambda p: p.isel(module=slice(3)), "bottom_up_weight with dimensions .* of sizes .*4, 5"),
        (lambda p: p.isel(module_unit=slice(3)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(bottom_up_afferent=slice(30)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(bottom_up_afferent=slice(None, None, -1)), "bottom_up_source as the cel"),
        (lambda p: p.isel(cell=slice(30)), "bottom_up_weight with dimensions"),
        (lambda p: p.isel(mac=[0]), "level with dimensions"),
        (lambda p: p.transpose(), "bottom_up_weight with dimensions"),
        (lambda p: p.assign(inflection=p["inflection"] * np.nan), "inflection as numbers, none mi"),
        (lambda p: p.assign(inflection=p["inflection"].astype(str)), "inflection as numbers, none"),
        (lambda p: p.assign(bottom_up_weight=p["bottom_up_weight"].astype(int) + 200),
         "bottom_up_weight from 0 to 127, got 0 to 327"),
        (lambda p: p.assign_attrs(frames_learned="many"), "frames_learned.* whole number >= 0, go"),
        (lambda p: p.assign_attrs(fewest_active=-1), "fewest_active.* whole number >= 0, got -1"),
    ],
)  # fmt: skip
def test_what_is_not_a_whole_memory_is_refused(change, says):
    active = random_patterns(np.random.default_rng(0), 3, 4, 40, a=8)
    data = dataset(active, label=("item", ["a", "b", "c"]))
    model = Sparsey(n_modules=4, n_units=5, **WHOLE).fit(data, rng=0, progress=False)
    again = Sparsey.from_parameters(model.result_)
    xr.testing.assert_identical(again.predict(data), model.predict(data))
    with pytest.raises(SchemaError, match=says):
        Sparsey.from_parameters(change(model.result_))


# -- plots


def test_a_raster_shows_what_was_recalled():
    stored_, recalled = dataset([[1, 1, 0], [0, 1, 0]]), dataset([[1, 0, 0], [0, 1, 1]])
    ax = nks.plotting.pattern_raster(stored_, recalled)
    points = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert points == {"recalled": [[0, 0], [1, 1]], "missed": [[0, 1]], "not stored": [[1, 2]]}
    plt.close(ax.figure)
    ax = nks.plotting.pattern_raster(stored_)
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [0, 1], [1, 1]]
    plt.close(ax.figure)
    with pytest.raises(SchemaError, match=r"recalled patterns of shape \(2, 3\)"):
        nks.plotting.pattern_raster(stored_, recalled.isel(item=[0]))
    with pytest.raises(SchemaError, match="select one item"):
        nks.plotting.pattern_raster(dataset(np.ones((2, 3, 4), bool)))
