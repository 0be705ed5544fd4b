"""Results and unfinished work on disk."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import pickle

import h5py
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import results, schema
from neurokit_sdr.core.checkpoint import Checkpoint, checkpoint_seed
from neurokit_sdr.core.errors import (
    FileFormatError,
    NotFittedError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.estimator import Estimator, Interval


class Mean(Estimator):
    """The smallest estimator there is."""

    _allowed = {"power": Interval(float, 0)}  # noqa: RUF012

    def __init__(self, *, power=1.0, note=None):
        self.power = power
        self.note = note

    def fit(self, data, *, rng=None, progress=True):
        """Take the mean."""
        self.result_ = results.stamp(
            xr.Dataset({"mean": data["count"].mean() ** self.power}),
            estimator=type(self),
            parameters=self.get_params(),
            seed=0,
            status=results.CONVERGED,
            fingerprint=results.fingerprint(data),
        )
        return self

    def predict(self, data):
        """The mean."""
        return self._check_fitted()

    def score(self, data):
        """How near."""
        return 0.0

    @classmethod
    def from_parameters(cls, parameters):
        """Known."""
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _registered():
    results.register(Mean)
    yield
    results._registry.pop((results._package(Mean.__module__), "Mean"), None)


@pytest.fixture
def data():
    return xr.Dataset(
        {"count": (("time", "unit"), np.arange(6).reshape(3, 2), {"units": "1"})},
        coords={"unit": ["a", "b"]},
        attrs={"bin_size": 0.1},
    )


@pytest.fixture
def saved(data, tmp_path):
    path = tmp_path / "fit.nc"
    nks.save_result(Mean(power=2.0, note=[1, None]).fit(data), path)
    return path


def test_stamp_says_what_made_the_result(data):
    attrs = Mean().fit(data).result_.attrs
    assert attrs["estimator"] == "Mean"
    assert attrs["neurokit_sdr_version"] == nks.__version__
    assert attrs["schema_version"] == schema.SCHEMA_VERSION
    assert json.loads(attrs["parameters"]) == {"power": 1.0, "note": None}
    assert attrs["input_fingerprint"] == results.fingerprint(data)


def test_stamp_keeps_the_results_own_attributes_and_refuses_what_no_file_keeps(data):
    marks = {"estimator": Mean, "parameters": {}, "seed": 0, "status": "x", "fingerprint": "y"}
    stamped = results.stamp(xr.Dataset(attrs={"bin_size": 0.1}), **marks)
    assert stamped.attrs["bin_size"] == 0.1
    with pytest.raises(SchemaError, match="'when'"):
        results.stamp(xr.Dataset(attrs={"when": None}), **marks)


def test_encode_takes_numpy_and_is_ordered():
    assert results.encode({"b": np.float64(1), "a": np.arange(2)}) == '{"a": [0, 1], "b": 1.0}'


def test_outcome_says_what_to_do():
    assert results.outcome(True, False, 10) == results.CONVERGED
    assert "raise max_iter or tol" in results.outcome(False, False, 10)
    assert results.outcome(True, True, 10).startswith("interrupted")


def test_fingerprint_follows_the_content(data):
    mark = results.fingerprint(data)
    assert results.fingerprint(data.copy(deep=True)) == mark
    assert results.fingerprint(data.assign_attrs(note="x")) == mark
    assert results.fingerprint(data.chunk(time=1)) == mark
    fortran = data.assign(count=data["count"].copy(data=np.asfortranarray(data["count"].values)))
    assert results.fingerprint(fortran) == mark
    others = [
        data.isel(time=slice(2)),
        data.assign_coords(unit=["a", "c"]),
        data.rename(unit="cell"),
        data.assign(count=data["count"] + 1),
        data.assign(count=data["count"].astype(float)),
        data.assign(count=data["count"].copy(data=data["count"].values.reshape(2, 3).T)),
        data.assign(more=3),
    ]
    marks = {results.fingerprint(other) for other in others}
    assert len(marks) == len(others)
    assert mark not in marks


def test_round_trip(saved, data):
    model = nks.load_result(saved)
    fitted = Mean(power=2.0, note=[1, None]).fit(data)
    assert model.get_params() == fitted.get_params()
    xr.testing.assert_identical(model.result_, fitted.result_)
    assert {k: type(v) for k, v in model.result_.attrs.items()} == {
        k: type(v) for k, v in fitted.result_.attrs.items()
    }
    with xr.open_dataset(saved, engine="h5netcdf") as opened:  # any netCDF reader will do
        assert float(opened["mean"]) == float(fitted.result_["mean"])


def test_an_unfitted_model_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError, match="call fit first"):
        nks.save_result(Mean(), tmp_path / "fit.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(saved, data, monkeypatch):
    before = saved.read_bytes()
    model = Mean().fit(data)
    model.result_["odd"] = ((), np.array(object(), dtype=object))
    with pytest.raises(ValueError, match="object"):
        nks.save_result(model, saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def rewritten(saved, **attrs):
    """The saved file with other attributes; None removes one."""
    with h5py.File(saved, "a") as file:
        for name, value in attrs.items():
            del file.attrs[name]
            if value is not None:
                file.attrs[name] = value
    return saved


@pytest.mark.parametrize(
    ("attrs", "says"),
    [
        ({"estimator": "Maen"}, r"'Maen'.*Did you mean 'Mean'"),
        ({"estimator": "Other"}, r"known are .*HMMGLM.*Mean"),
        ({"estimator": None}, "written by nks.save_result"),
        ({"parameters": None}, "written by nks.save_result"),
        ({"schema_version": 99}, r"schema 99.*knows 1.*upgrade"),
        ({"schema_version": None}, "."),
        ({"schema_version": "new"}, "."),
        ({"parameters": "{not json"}, "."),
        ({"parameters": "[1]"}, "."),
        ({"parameters": '{"power": 1.0, "colour": 3}'}, "."),
    ],
)
def test_files_that_are_no_result_of_ours(saved, attrs, says):
    with pytest.raises(FileFormatError, match=says):
        nks.load_result(rewritten(saved, **attrs))


def test_files_that_are_no_netcdf(saved, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.arange(3)
    with pytest.raises(FileFormatError):
        nks.load_result(other)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Mean()))
    with pytest.raises(FileFormatError, match="pickle"):
        nks.load_result(tmp_path / "model.pkl")
    whole = saved.read_bytes()
    for share in (0, 0.1, 0.5, 0.99):
        saved.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FileFormatError):
            nks.load_result(saved)


# -- checkpoints --------------------------------------------------------------------------------


def test_checkpoint_round_trip(tmp_path):
    identity = {"seed": 3, "parameters": {"history": [0.02, 0.1], "n": np.int64(2)}}
    path = tmp_path / "deep" / "work.npz"
    checkpoint = Checkpoint(path, identity)
    assert checkpoint.read() is None
    arrays = {"a": np.arange(3.0), "0.theta": np.zeros((2, 0)), "flag": np.array(True)}
    for _ in range(2):
        checkpoint.write(arrays)
        found = Checkpoint(str(path), identity).read()
        assert set(found) == set(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
    assert list(path.parent.iterdir()) == [path]
    checkpoint.remove()
    checkpoint.remove()
    assert checkpoint.read() is None


def test_no_path_keeps_nothing():
    checkpoint = Checkpoint(None, {})
    checkpoint.write({"a": np.zeros(1)})
    assert checkpoint.read() is None
    checkpoint.remove()


def test_a_checkpoint_of_other_work_is_refused_and_kept(tmp_path):
    Checkpoint(tmp_path / "w.npz", {"seed": 1}).write({"a": np.zeros(1)})
    with pytest.raises(ParameterError, match=r"other work.*delete it or give another path"):
        Checkpoint(tmp_path / "w.npz", {"seed": 2}).read()
    assert Checkpoint(tmp_path / "w.npz", {"seed": 1}).read() is not None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a checkpoint", "pickle"])
def test_damaged_checkpoints(tmp_path, content):
    path = tmp_path / "w.npz"
    if content == "pickle":
        content = pickle.dumps({"a": 1})
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        Checkpoint(path, {}).read()


def test_cut_and_foreign_archives_are_damaged_checkpoints(tmp_path, seed):
    path = tmp_path / "w.npz"
    checkpoint = Checkpoint(path, {})
    checkpoint.write({"a": np.arange(1000.0)})
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FileFormatError, match=r"damaged.*delete it"):
            checkpoint.read()
    rng = np.random.default_rng(seed)
    for _ in range(100):
        spoilt = bytearray(whole)
        for position in rng.integers(len(whole), size=5):
            spoilt[position] = rng.integers(256)
        path.write_bytes(spoilt)
        with contextlib.suppress(FileFormatError, ParameterError):
            checkpoint.read()
    np.savez(path, a=np.zeros(1))
    with pytest.raises(FileFormatError, match="not a checkpoint"):
        checkpoint.read()
    np.save(tmp_path / "w.npy", np.zeros(1))
    with pytest.raises(FileFormatError, match="not a checkpoint"):
        Checkpoint(tmp_path / "w.npy", {}).read()
    np.savez(path, identity=np.array("{}"), a=np.array([object()]))
    with pytest.raises(FileFormatError):
        checkpoint.read()


@pytest.mark.parametrize("package", ["numpy", "numba", "neurokit-sdr"])
def test_work_of_other_versions_is_other_work(tmp_path, monkeypatch, package):
    Checkpoint(tmp_path / "w.npz", {"seed": 1}).write({"a": np.zeros(1)})
    version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.0" if name == package else version(name)
    )
    with pytest.raises(ParameterError, match="versions of packages"):
        Checkpoint(tmp_path / "w.npz", {"seed": 1}).read()


@pytest.mark.parametrize("rng", [None, np.random.default_rng(0), True, 1.0])
def test_a_checkpoint_needs_an_int_seed_in_every_room(rng, tmp_path):
    with pytest.raises(ParameterError, match="rng as an int together with checkpoint"):
        checkpoint_seed(rng, tmp_path / "w.npz")
    assert checkpoint_seed(np.int64(3), tmp_path / "w.npz") == 3
    assert checkpoint_seed(None, None) >= 0


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80\x04."])
def test_what_is_no_checkpoint_is_told_to_be_deleted(tmp_path, content):
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(FileFormatError, match="is not a checkpoint") as caught:
        Checkpoint(tmp_path / "w.npz", {}).read()
    assert "pickle" not in str(caught.value)
    assert "download" not in str(caught.value)
