"""Saved recordings come back exactly, from netCDF and from Zarr, whole or lazily."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from identical import assert_same
from strategies import (
    calcium_datasets,
    count_datasets,
    session_trees,
    signal_datasets,
    spike_datasets,
)

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock, even_time
from neurokit_sdr.core.errors import FileFormatError, ParameterError, SchemaError
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io.store import files as store_files
from neurokit_sdr.io.store import layout as store_layout

SUFFIXES = ("nc", "zarr")


FILE_SETTINGS = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def round_trip(data, folder: Path, suffix: str):
    path = folder / f"saved.{suffix}"
    nks.save(data, path)
    return nks.load(path)


# -- by property ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(
    data=st.one_of(spike_datasets(), count_datasets(), calcium_datasets(), signal_datasets()),
)
@FILE_SETTINGS
def test_datasets_come_back(tmp_path, suffix, data):
    assert_same(data, round_trip(data, tmp_path, suffix))


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(tree=session_trees())
@FILE_SETTINGS
def test_sessions_come_back(tmp_path, suffix, tree):
    assert_same(tree, round_trip(tree, tmp_path, suffix))


anything = st.text(max_size=5)


values = st.one_of(
    anything,
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.lists(st.one_of(anything, st.integers(-9, 9), st.floats(width=16)), max_size=3),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(attrs=st.dictionaries(anything, values, max_size=4))
@FILE_SETTINGS
def test_attributes_keep_value_and_type(tmp_path, suffix, attrs):
    data = xr.Dataset({"a": ("time", [1.0], attrs)}, {"b": ("time", [2], attrs)}, attrs)
    assert_same(data, round_trip(data, tmp_path, suffix))


# -- case by case -----------------------------------------------------------------------------

DTYPES = "i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 >f4 >i2 ? c8 c16 >c8"


CASES = {
    "dtypes": xr.Dataset(
        {dtype: ("time", np.array([0, 1, 2]).astype(dtype)) for dtype in DTYPES.split()}
    ),
    "dates": xr.Dataset(
        {
            "when": ("event", np.array(["2024-05-01", "NaT"], "datetime64[ns]")),
            "lag": ("event", np.array([5, -1], "timedelta64[ms]")),
        }
    ),
    "no attributes, nothing at all": xr.Dataset(),
    "numbers without dims": xr.Dataset({"a": ((), 1.5), "b": ((), "text"), "c": ((), True)}),
    "text": xr.Dataset(
        {
            "wide": ("unit", np.array(["a", ""], dtype="U9")),
            "unicode": ("unit", ["Größe µ", "神経"]),
            "nul": ("unit", ["a\0b", "\ud800"]),
            "bytes": ("unit", np.array([b"a", b"\xff"], "S4")),
            "object": ("unit", np.array(["a", "bcd"], dtype=object)),
            "string": ("unit", np.array(["a", "bcd"], dtype=np.dtypes.StringDType())),
        },
        coords={"unit": ["m1", "µ2"]},
    ),
    "empty": xr.Dataset(
        {
            "spike_time": ("spike", np.zeros(0), {"units": "s"}),
            "label": ("spike", np.zeros(0, "U7")),
            "signal": (("time", "channel"), np.zeros((3, 0), np.float32)),
        },
        coords={"channel": ("channel", np.zeros(0, "U3")), "trial": np.arange(0)},
    ),
    "nan and signed zero": xr.Dataset({"a": ("time", [np.nan, -0.0, 0.0, np.inf, -np.inf])}),
    "names": xr.Dataset(
        {
            "a/b": ("time", [1]),
            "A/B": ("time", [2]),
            "x": ("time", [3]),
            "X": ("time", [4]),
            "..": ("time", [5]),
            "größe": ("time", [6]),
            "": ("time", [7]),
            "zarr.json": ("time", [8]),
            "variable_0": ("time", [9]),
            "c": ("time", [10]),
            "a" * 300: ("time", [11]),
        }
    ),
    "variable named like another's dimension": xr.Dataset(
        {"p": (("time", "state"), np.eye(2))}, coords={"state": ("time", [0, 1])}
    ),
    "coordinates": xr.Dataset(
        {"a": (("unit", "y"), np.eye(2))},
        coords={
            "z": ((), 3.0),
            "unit": [5, 6],
            "label": ("unit", ["p", "q"]),
            "image": (("unit", "y"), np.eye(2, dtype=bool)),
        },
    ).set_xindex("label"),
    "a dimension's coordinate without index": xr.Dataset(
        coords=xr.Coordinates({"unit": ("unit", [1, 2])}, indexes={})
    ),
    "attributes of every type": xr.Dataset(
        attrs={
            "one": [1],
            "none": [],
            "mixed": [1, 2.5, "a"],
            "numbers": [1.0, float("nan")],
            "integers": [1, 2],
            "words": ["a", ""],
            "empty": "",
            "whole": 3.0,
            "int": 3,
            "array": np.array([1, 2], np.int16),
            "long": list(range(20000)),
            "_FillValue": 1.0,
            "coordinates": "a b",
            "units": "µV",
            "ключ": "значение",
        }
    ),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", CASES)
def test_case_comes_back(tmp_path, suffix, name):
    assert_same(CASES[name], round_trip(CASES[name], tmp_path, suffix))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_groups_keep_order_names_and_what_they_inherit(tmp_path, suffix):
    tree = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(coords={"unit": ["b", "a"]}, attrs={"lab": "ours"}),
            "/signal": xr.Dataset(),
            "/signal/z probe": xr.Dataset({"a": ("unit", [1, 2])}),
            "/signal/A": xr.Dataset({"a": ("time", [1.0])}),
            "/signal/a": xr.Dataset({"a": ("time", [2.0])}),
            "/signal/µ": xr.Dataset(attrs={"k": 1}),
            "/behavior": xr.Dataset({"wheel": ("time", [1])}),
            "/behavior/Wheel": xr.Dataset({"x": ("time", [1])}),
        },
        name="session",
    )
    back = round_trip(tree, tmp_path, suffix)
    assert_same(tree, back)
    assert list(back.children) == ["signal", "behavior"]
    # A part of a tree is saved as a tree of its own.
    assert_same(tree["/behavior"].copy(), round_trip(tree["/behavior"].copy(), tmp_path, suffix))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_even_time_takes_no_place_and_comes_back_to_the_bit(tmp_path, suffix):
    whole = xr.Dataset(coords=even_time(10_000_000, 1000 / 3, start=-0.7))
    whole["time"].attrs["long_name"] = "since the stimulus"
    for k, data in enumerate((whole, whole.isel(time=slice(7, 9000, 3)))):
        path = tmp_path / f"{k}.{suffix}"
        nks.save(data, path)
        files = [path] if path.is_file() else list(path.rglob("*.*"))
        assert sum(f.stat().st_size for f in files) < 20_000
        back = nks.load(path)
        assert even_clock(back) == even_clock(data)
        assert back["time"].attrs == data["time"].attrs
        part = slice(100, 2000)
        assert np.array_equal(back["time"][part].values, data["time"][part].values)
        assert back.isel(time=part).identical(data.isel(time=part))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_tools_read_the_numbers_names_and_units(tmp_path, suffix):
    spikes = nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.15]}, t_stop=1.0)
    path = tmp_path / f"a.{suffix}"
    nks.save(xr.DataTree.from_dict({"/spikes": spikes}), path)
    engine, options = ("h5netcdf", {}) if suffix == "nc" else ("zarr", {"consolidated": False})
    with xr.open_dataset(path, group="/spikes", engine=engine, **options) as theirs:
        assert theirs["spike_time"].values.tolist() == [0.1, 0.2, 0.15]
        assert theirs["spike_time"].dims == ("spike",)
        assert theirs["spike_time"].attrs["units"] == "s"
        assert theirs["unit"].values.tolist() == ["a", "b"]
        assert theirs.attrs["t_stop"] == 1.0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_unit_changed_by_another_tool_is_seen(tmp_path, suffix):
    data = xr.Dataset({"a": ("time", [1.0], {"units": "V", "gone": "x"})})
    path = tmp_path / f"a.{suffix}"
    nks.save(data, path)
    if suffix == "nc":
        with h5py.File(path, "r+") as file:
            file["a"].attrs["units"] = "mV"
            file["a"].attrs["comment"] = "new"
            del file["a"].attrs["gone"]
    else:
        place = path / "a" / "zarr.json"
        metadata = json.loads(place.read_text())
        metadata["attributes"] = {"units": "mV", "comment": "new"}
        place.write_text(json.dumps(metadata))
    assert nks.load(path)["a"].attrs == {"units": "mV", "comment": "new"}


# -- lazy and large ---------------------------------------------------------------------------


def _rows(scale: float, key: tuple) -> np.ndarray:
    """Values of an array of any length, made up from their positions."""
    start, stop, step = key[0].indices(2**40) if isinstance(key[0], slice) else (key[0],) * 3
    if not isinstance(key[0], slice):
        return np.full((3,), key[0] * scale)[key[1]]
    made = np.arange(start, stop, step)[:, None] * scale
    return np.broadcast_to(made, (made.size, 3))[:, key[1]]


class _Counted:
    """Counts the largest piece that was asked for."""

    largest = 0

    def __call__(self, key: tuple) -> np.ndarray:
        values = _rows(0.5, key)
        self.largest = max(self.largest, values.nbytes)
        return values


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_on_disk_is_written_piece_by_piece(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(store_files, "_PIECE", 2**16)
    read = _Counted()
    size = 100_000
    data = xr.Dataset(
        {"signal": lazy_variable(("time", "channel"), read, (size, 3), np.float64)},
        coords=even_time(size, 1000.0),
    )
    back = round_trip(data, tmp_path, suffix)
    assert 0 < read.largest <= 2**16
    assert np.array_equal(back["signal"].values, np.arange(size)[:, None] * 0.5 * np.ones(3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_values_stay_on_disk_until_they_are_used(tmp_path, suffix, monkeypatch):
    values = np.arange(600_000, dtype=np.float64).reshape(-1, 2)
    data = xr.Dataset({"signal": (("time", "channel"), values)}, coords={"channel": ["a", "b"]})
    path = tmp_path / f"a.{suffix}"
    nks.save(data, path)
    back = nks.load(path)
    assert back["signal"].variable._in_memory is False
    asked = []
    real = store_files._values
    monkeypatch.setattr(
        store_files,
        "_values",
        lambda array, key, item: asked.append(key) or real(array, key, item),
    )
    assert back["signal"][1000:1010:3, 1].values.tolist() == values[1000:1010:3, 1].tolist()
    assert asked == [(slice(1000, 1010, 3), 1)]
    assert back["signal"][::-1].values[0].tolist() == values[-1].tolist()
    pickle.loads(pickle.dumps(back)).identical(data)
    # The same path may be written over: the values are read before the file is replaced.
    nks.save(back, path)
    assert_same(data, nks.load(path))


def _total(data: xr.Dataset) -> float:
    return float(data["signal"].sum())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_dask_arrays_work_in_another_process(tmp_path, suffix):
    values = np.arange(600_000, dtype=np.float64).reshape(-1, 2)
    path = tmp_path / f"a.{suffix}"
    chunky = xr.Dataset({"signal": (("time", "channel"), values)}).chunk({"time": 70_000})
    nks.save(chunky, path)
    back = nks.load(path, chunks={"time": 100_000})
    assert back["signal"].chunks[0] == (100_000,) * 3
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(_total, back).result() == values.sum()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_changed_since_gives_our_error(tmp_path, suffix):
    data = xr.Dataset({"signal": ("time", np.zeros(300_000))})
    path = tmp_path / f"a.{suffix}"
    nks.save(data, path)
    back = nks.load(path)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(FileFormatError, match=r"moved.*load it again"):
        back["signal"].values


# -- atomic -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    old = xr.Dataset({"a": ("time", [1.0])})
    nks.save(old, path)
    new = xr.Dataset({"a": ("time", np.array([1.0, "x"], dtype=object))})
    with pytest.raises(SchemaError, match=r"text in 'a'.*float"):
        nks.save(new, path)
    assert_same(old, nks.load(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_killed_write_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    nks.save(xr.Dataset({"a": ("time", [1.0])}), path)
    code = (
        "import os, numpy as np, xarray as xr, neurokit_sdr as nks\n"
        "from neurokit_sdr.core.lazy import lazy_variable\n"
        "def read(key): os._exit(9)\n"
        "v = lazy_variable(('time',), read, (10**6,), float)\n"
        f"nks.save(xr.Dataset({{'a': v}}), {str(path)!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert nks.load(path)["a"].values.tolist() == [1.0]


# -- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "name", "error", "says"),
    [
        (np.zeros(3), "a.nc", SchemaError, "Dataset or DataTree.*NumPy array"),
        (xr.DataArray([1.0]), "a.nc", SchemaError, "to_dataset"),
        (xr.Dataset(), "a.nwb", ParameterError, r"\.nc .*write_nwb"),
        (xr.Dataset(attrs={"a": None}), "a.nc", SchemaError, "NoneType.*encode"),
        (xr.Dataset({"a": ("t", [object()])}), "a.nc", SchemaError, "text in 'a'"),
        (xr.Dataset({5: ("t", [1])}), "a.nc", SchemaError, "text, got 5: rename"),
        (
            xr.Dataset({"a": ("t", np.zeros(2, np.longdouble))}),
            "a.nc",
            SchemaError,
            r"float128: convert",
        ),
        (
            xr.Dataset(coords={"p": ("t", [1, 2]), "q": ("t", [1, 2])}).set_index(t=["p", "q"]),
            "a.nc",
            SchemaError,
            "reset_index",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, data, name, error, says):
    with pytest.raises(error, match=says):
        nks.save(data, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_store_is_not_replaced(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").touch()
    (tmp_path / "a.nc").mkdir()
    for name in ("a.zarr", "a.nc"):
        with pytest.raises(ParameterError, match="not replaced"):
            nks.save(xr.Dataset(), tmp_path / name)
    assert (tmp_path / "a.zarr" / "thesis.txt").exists()


def test_other_files_are_named(tmp_path):
    with pytest.raises(FileFormatError, match="found nothing"):
        nks.load(tmp_path / "nowhere.nc")
    (tmp_path / "empty.nc").touch()
    with pytest.raises(FileFormatError, match="0 bytes"):
        nks.load(tmp_path / "empty.nc")
    (tmp_path / "a.nc").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(FileFormatError, match="pickle"):
        nks.load(tmp_path / "a.nc")
    xr.Dataset({"a": ("t", [1.0])}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(FileFormatError, match=r"nks\.save.*nks\.io\.read.*load_result"):
        nks.load(tmp_path / "b.nc")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(FileFormatError, match=r"nks\.save"):
        nks.load(tmp_path / "c.zarr")


def rewrite_table(path: Path, change) -> None:
    """Change the table of a saved file as somebody with bad intentions would."""
    if path.is_dir():
        place = path / "zarr.json"
        metadata = json.loads(place.read_text())
        table = json.loads(metadata["attributes"][store_layout.MARK])
        change(table)
        metadata["attributes"][store_layout.MARK] = json.dumps(table)
        place.write_text(json.dumps(metadata))
        return
    with h5py.File(path, "r+") as file:
        table = json.loads(file.attrs[store_layout.MARK])
        change(table)
        file.attrs[store_layout.MARK] = json.dumps(table)


CHANGES = {
    "newer": (lambda t: t.update(schema=99, package="9.0"), r"upgrade neurokit-sdr to .*9\.0"),
    "newer store": (lambda t: t.update(store=99), "store version 99"),
    "no version": (lambda t: t.pop("schema"), "which schema version"),
    "no groups": (lambda t: t.pop("groups"), "damaged or was changed"),
    "longer": (lambda t: t["groups"][0]["variables"][0].update(shape=[10**9]), "changed"),
    "other type": (lambda t: t["groups"][0]["variables"][0].update(dtype="<i4"), "changed"),
    "a pickle": (lambda t: t["groups"][0]["variables"][0].update(dtype="O"), "changed"),
    "a record": (lambda t: t["groups"][0]["variables"][0].update(dtype="i4,O"), "type of num"),
    "huge empty": (
        lambda t: t["groups"][0]["variables"].append(
            {
                "name": "x",
                "dims": ["x"],
                "shape": [10**15],
                "dtype": "<f8",
                "attrs": [],
                "coordinate": 1,
                "index": 1,
            }
        ),
        "values of 'x'",
    ),
    "out of the store": (lambda t: t["groups"][0].update(stored="../elsewhere"), "."),
    "another's values": (
        lambda t: t["groups"][0]["variables"][0].update(stored="../../a"),
        ".",
    ),
    "rate of nothing": (
        lambda t: t["groups"][0]["variables"][1].update(even={"rate": 0.0, "start": "a"}),
        ".",
    ),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", CHANGES)
def test_a_table_that_lies_is_refused(tmp_path, suffix, name):
    change, says = CHANGES[name]
    path = tmp_path / f"a.{suffix}"
    nks.save(xr.Dataset({"a": ("time", np.zeros(5))}, even_time(5, 10.0)), path)
    rewrite_table(path, change)
    with pytest.raises(FileFormatError, match=says):
        nks.load(path)


def test_read_gives_a_session(tmp_path):
    spikes = nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0)
    nks.save(spikes, tmp_path / "a.nc")
    session = nks.io.read(tmp_path / "a.nc")
    assert session["/spikes"].to_dataset().identical(spikes)
    assert schema.select(session, "spikes").identical(spikes)
    nks.save(session, tmp_path / "b.zarr")
    assert_same(session, nks.io.read(tmp_path / "b.zarr"))
    nks.save(xr.Dataset({"weight": ("unit", [1.0])}), tmp_path / "c.nc")
    assert list(nks.io.read(tmp_path / "c.nc").to_dataset()) == ["weight"]
