"""Readers of calcium: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import csv
import json
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest
import scipy.sparse
import xarray as xr
from hypothesis import HealthCheck, given, settings
from strategies import calcium_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import (
    DataWarning,
    FileFormatError,
    MissingDependencyError,
    NeurokitError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.io import baselines, calcium
from neurokit_sdr.io.formats.suite2p import unpickle
from neurokit_sdr.snn import observe

FILE_SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SUITE2P = "calcium/suite2p/plane0"


def same(one: xr.DataTree | xr.Dataset, other: xr.DataTree | xr.Dataset) -> None:
    """Both are identical, to the dtype."""
    if isinstance(one, xr.DataTree):
        assert set(one.groups) == set(other.groups)
        for group in one.groups:
            same(one[group].to_dataset(inherit=False), other[group].to_dataset(inherit=False))
        return
    xr.testing.assert_identical(one, other)
    for name in one.variables:
        if one[name].dtype.kind not in "UTO":
            assert one[name].dtype == other[name].dtype, name


# -- suite2p ------------------------------------------------------------------------------------


def roi(*pixels: tuple[int, int], **more) -> dict:
    place = np.array(pixels).reshape(-1, 2)
    return {
        "ypix": place[:, 0],
        "xpix": place[:, 1],
        "lam": np.linspace(0.5, 1.0, len(place), dtype=np.float32),
        "med": [int(np.median(place[:, 0])), int(np.median(place[:, 1]))],
        "npix": len(place),
        "radius": 1.5,
        "skew": np.float32(0.25),
        "overlap": np.zeros(len(place), dtype=bool),
        "neuropil_mask": np.arange(len(place) + 2),
    } | more


def suite2p_plane(folder: Path, n_frames: int = 40, scale: float = 1.0, **ops) -> Path:
    """A plane as suite2p leaves it: three regions, settings, pictures, a registered movie."""
    folder.mkdir(parents=True)
    light = np.arange(3 * n_frames, dtype=np.float32).reshape(3, n_frames) * scale
    for k, name in enumerate(("F", "Fneu", "spks")):
        np.save(folder / f"{name}.npy", light + 1000 * k)
    np.save(folder / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.6]]))
    stat = np.array(
        [roi((1, 2), (1, 3), (2, 3)), roi((5, 5), (5, 6)), roi((7, 0), (7, 1), (6, 1), (5, 1))]
    )
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    settings_ = {
        "fs": 10.0,
        "tau": 1.25,
        "neucoeff": 0.7,
        "nplanes": 1,
        "Ly": 9,
        "Lx": 8,
        "meanImg": np.arange(72, dtype=np.float32).reshape(9, 8),
        "max_proj": np.ones((7, 6), dtype=np.float32),
        "xoff": np.arange(n_frames),
        "yrange": [1, 8],
        "date_proc": datetime(2024, 5, 1, tzinfo=UTC),
        "save_path": PurePosixPath("/data/é"),
        "do_registration": True,
        "nothing": None,
        "filelist": ["a.tif", "b.tif"],
        "classification": {"threshold": 0.5},
    }
    np.save(folder / "ops.npy", settings_ | ops, allow_pickle=True)  # type: ignore[arg-type]
    return folder


def test_one_plane_of_suite2p(tmp_path):
    session = nks.io.read_calcium(suite2p_plane(tmp_path / "plane0"))
    data, rois = session["/calcium"].to_dataset(), session["/rois"].to_dataset()
    light = np.arange(120, dtype=np.float32).reshape(3, 40)
    for k, name in enumerate(("fluorescence", "neuropil", "deconvolved")):
        assert data[name].dims == ("time", "unit")
        assert data[name].dtype == np.float32
        assert np.array_equal(data[name].values, light.T + 1000 * k)
    assert even_clock(data) == (0.0, 10.0)
    assert data["time"].attrs["units"] == "s"
    assert data.attrs == {"sampling_rate": 10.0, "neuropil_coefficient": 0.7, "decay_time": 1.25}
    assert data["is_cell"].values.tolist() == [True, False, True]
    assert data["cell_probability"].values.tolist() == [0.9, 0.1, 0.6]
    assert data["roi_y"].values.tolist() == [1, 5, 6]
    assert data["roi_x"].values.tolist() == [3, 5, 1]
    assert data["npix"].values.tolist() == [3, 2, 4]
    assert data["skew"].dtype == np.float32
    assert data["plane"].values.tolist() == [0, 0, 0]
    assert rois["pixel_unit"].values.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert rois["pixel_y"].values.tolist() == [1, 1, 2, 5, 5, 7, 7, 6, 5]
    assert rois["pixel_weight"].dtype == np.float32
    assert rois["pixel_overlap"].dtype == bool
    assert rois["neuropil_mask_unit"].values.tolist() == [0] * 5 + [1] * 4 + [2] * 6
    settings_ = session["/suite2p"].to_dataset()
    assert settings_["meanImg"].dims == ("y", "x")
    assert settings_["xoff"].dims == ("frame",)
    assert settings_["max_proj"].shape == (7, 6)
    assert settings_.attrs["date_proc"] == "2024-05-01T00:00:00+00:00"
    assert settings_.attrs["save_path"] == "/data/é"
    assert settings_.attrs["filelist"] == ["a.tif", "b.tif"]
    assert settings_.attrs["classification.threshold"] == 0.5
    assert settings_.attrs["do_registration"] == 1
    assert rois.attrs == {"height": 9, "width": 8}


def test_any_part_of_a_trace_is_read_alone(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    whole = np.load(folder / "F.npy").T
    light = nks.io.read_calcium(folder)["/calcium/fluorescence"]
    assert not isinstance(light.variable._data, np.ndarray)
    for key in [
        (slice(None), slice(None)),
        (slice(3, 20, 4), slice(1, 3)),
        (7, slice(None)),
        (slice(None), 2),
        (5, 1),
        (slice(0, 0), slice(None)),
        (slice(None), slice(1, 1)),
        (slice(None, None, -1), [2, 0]),
    ]:
        assert np.array_equal(light[key].values, whole[key]), key
    fortran = tmp_path / "other"
    suite2p_plane(fortran)
    np.save(fortran / "F.npy", np.asfortranarray(whole.T.astype(">f4")))
    again = nks.io.read_calcium(fortran)["/calcium/fluorescence"]
    assert again.dtype.isnative
    assert np.array_equal(again[2:9].values, whole[2:9])
    assert np.array_equal(again.values, whole)


def test_several_planes_and_the_combined_copy(tmp_path):
    for k in (10, 0, 2):
        suite2p_plane(tmp_path / "session" / "suite2p" / f"plane{k}", scale=k + 1.0)
    suite2p_plane(tmp_path / "session" / "suite2p" / "combined")
    for path in (tmp_path / "session", tmp_path / "session" / "suite2p"):
        with pytest.warns(DataWarning, match=r"combined \(a second copy"):
            session = nks.io.read_calcium(path)
        assert list(session["calcium"].children) == ["plane0", "plane2", "plane10"]
        assert session["/calcium/plane10/fluorescence"][1, 0] == 11.0
        assert session["/calcium/plane2/plane"].values.tolist() == [2, 2, 2]
        assert session["/rois/plane0"].sizes["pixel"] == 9
    masks = nks.io.roi_masks(session["/rois/plane0"].to_dataset())
    assert masks.shape == (3, 9, 8)
    with pytest.raises(SchemaError, match="choose one"):
        nks.io.roi_masks(session)
    nks.io.write_suite2p(session, tmp_path / "again")
    again = nks.io.read_calcium(tmp_path / "again")
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == ["plane0", "plane1", "plane2"]
    same(again, session)


def test_folder_without_settings_counts_frames(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    (folder / "ops.npy").unlink()
    with pytest.warns(DataWarning, match=r"time counts frames.*sampling_rate=30") as caught:
        session = nks.io.read_calcium(folder)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    data = session["/calcium"].to_dataset()
    assert data["time"].attrs["units"] == "frame"
    assert data["time"].values.tolist() == list(range(40))
    assert "sampling_rate" not in data.attrs
    assert "suite2p" not in session.children
    timed = nks.io.read_calcium(folder, sampling_rate=20)["/calcium"]
    assert even_clock(timed.to_dataset()) == (0.0, 20.0)
    with pytest.raises(SchemaError, match=r"rate is not known.*sampling_rate"):
        nks.io.dff(data)
    assert nks.io.dff(data, "constant").sizes["time"] == 40


def test_rate_of_the_caller_stands_above_that_of_the_file(tmp_path):
    data = nks.io.read_calcium(suite2p_plane(tmp_path / "plane0"), sampling_rate=15.0)["/calcium"]
    assert data.attrs["sampling_rate"] == 15.0
    assert data.attrs["sampling_rate_in_file"] == 10.0
    with pytest.warns(DataWarning, match="time counts frames"):
        nks.io.read_calcium(suite2p_plane(tmp_path / "plane1", fs=float("nan")))
    for wrong in (0, -1.0, "30", np.inf, True):
        with pytest.raises(ParameterError, match="frames per second"):
            nks.io.read_calcium(tmp_path / "plane0", sampling_rate=wrong)


def test_only_traces_are_enough(tmp_path):
    folder = suite2p_plane(tmp_path / "mouse")
    for name in ("stat.npy", "ops.npy", "iscell.npy", "Fneu.npy"):
        (folder / name).unlink()
    session = nks.io.read_calcium(folder, sampling_rate=10)
    assert set(session["calcium"].data_vars) == {"fluorescence", "deconvolved"}
    assert set(session["calcium"].coords) == {"time", "unit"}
    assert set(session.children) == {"calcium"}


def test_second_channel_and_what_is_left_out(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    np.save(folder / "F_chan2.npy", np.ones((3, 40), np.float32))
    np.save(folder / "redcell.npy", np.array([[1, 0.5], [0, 0.25], [0, 0.0]]))
    (folder / "data.bin").write_bytes(b"12345678")
    (folder / "reg_tif").mkdir()
    (folder / "Fall.mat").write_bytes(b"x")
    with pytest.warns(DataWarning, match=r"data\.bin \(the registered movie\); reg_tif") as caught:
        data = nks.io.read_calcium(folder)["/calcium"]
    assert "Fall" not in str(caught[0].message)
    assert data["fluorescence_chan2"].values.sum() == 120
    assert data["is_red"].values.tolist() == [True, False, False]
    assert data["red_probability"].values.tolist() == [0.5, 0.25, 0.0]


def test_fields_of_regions_that_are_not_all_alike(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    stat = np.array(
        [
            roi((1, 2), manual=1, label="é", unit=4, strange=[1, [2]], is_cell=3),
            roi((5, 5), (5, 6)),
            roi((7, 0)),
        ]
    )
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    with pytest.warns(DataWarning, match=r"stat.npy strange \(NoneType or list\)"):
        data = nks.io.read_calcium(folder)["/calcium"]
    np.testing.assert_array_equal(data["manual"].values, [1, np.nan, np.nan])
    assert data["label"].values.tolist() == ["é", "", ""]
    assert data["unit_column"].attrs["name_in_file"] == "unit"
    np.testing.assert_array_equal(data["is_cell_column"].values, [3, np.nan, np.nan])
    assert data["is_cell"].values.tolist() == [True, False, True]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_object_arrays_equal_what_pickle_says(tmp_path, protocol):
    wanted = [
        roi((1, 2), (3, 4), text="é", flag=True, big=2**70, none=None, small=-5, f=1.5),
        {
            "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
            "swapped": np.arange(3, dtype=">i2"),
            "words": np.array(["a", "bb"]),
            "bytes": np.array([b"a"]),
            "objects": np.array([None, "x", [1]], dtype=object),
            "empty": np.zeros((0, 3)),
            "nothing": np.array([], dtype=object),
            "scalar": np.float32(2),
            "word": np.str_("w"),
            "when": datetime(2020, 1, 2, 3, 4, 5, 6, UTC),
            "long": "x" * 300,
            "raw": b"y" * 300,
            "set": {1, 2},
            "many": list(range(3000)),
        },
    ]
    array = np.empty(2, dtype=object)
    array[:] = wanted
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    head = path.read_bytes()
    with path.open("rb") as stream:
        np.lib.format.read_magic(stream)
        np.lib.format.read_array_header_1_0(stream)
        head = head[: stream.tell()]
    path.write_bytes(head + pickle.dumps(array, protocol=protocol))
    found = unpickle.load_object_array(path)
    assert found.shape == (2,)
    for one, other in zip(found, wanted, strict=True):
        assert list(one) == list(other)
        for key, value in other.items():
            assert type(one[key]) is type(value), key
            if isinstance(value, np.ndarray):
                assert one[key].shape == value.shape
                assert one[key].dtype.kind == value.dtype.kind
                assert one[key].tolist() == value.tolist()
            else:
                assert one[key] == value


def save_program(path: Path, program: bytes, shape: str = "()") -> None:
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    with path.open("ab") as stream:
        stream.write(program)


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def harmful(marker: Path) -> dict[str, bytes]:
    """Pickles that would make a file, or do other harm, were they opened."""
    import importlib
    import operator

    command = f"touch {marker}"
    calls = {
        "system": (os.system, (command,)),
        "subprocess": (subprocess.check_call, (["touch", str(marker)],)),
        "eval": (eval, (f"open({str(marker)!r}, 'w')",)),
        "exec": (exec, (f"open({str(marker)!r}, 'w')",)),
        "open": (open, (str(marker), "w")),
        "getattr": (getattr, ("x", "join")),
        "import": (importlib.import_module, ("this",)),
        "attrgetter": (operator.attrgetter("system"), ("os",)),
        "numpy.load": (np.load, (str(marker),)),
        "numpy.fromfile": (np.fromfile, (str(marker),)),
        "numpy.memmap": (np.memmap, (str(marker), "u1", "w+", 0, 8)),
        "numpy.save": (np.save, (str(marker), 1)),
    }
    programs = {name: pickle.dumps({"fs": Evil(*call)}) for name, call in calls.items()}
    inside = np.array([np.array([Evil(os.system, (command,))], dtype=object), 1], dtype=object)
    programs["nested object arrays"] = pickle.dumps(inside)
    programs["f2py"] = b"cnumpy.f2py.diagnose\nrun_command\n(S'" + command.encode() + b"'\ntR."
    programs["testing"] = b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR."
    programs["ndarray itself"] = b"\x80\x04cnumpy\nndarray\nM\xff\xff\x85R."
    programs["build on a name"] = b"\x80\x04cnumpy\ndtype\n}\x8c\x04typeq\x00K\x01sb."
    programs["stack global"] = (
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c"
        + bytes([len(command)])
        + command.encode()
        + b"\x85R."
    )
    programs["instance"] = b"(S'touch x'\nios\nsystem\n."
    programs["new object"] = b"\x80\x04cnumpy\nndarray\nK\x05\x85\x81."
    programs["extension"] = b"\x80\x02\x82\x01."
    programs["persistent"] = b"\x80\x02Pid\n."
    return programs


@pytest.mark.parametrize("name", ["ops.npy", "stat.npy"])
def test_pickles_with_more_than_data_execute_nothing(tmp_path, name):
    marker = tmp_path / "executed"
    for what, program in harmful(marker).items():
        folder = suite2p_plane(tmp_path / what / "plane0")
        save_program(folder / name, program)
        with pytest.raises(FileFormatError, match=r"more than data: it .*nothing in it was exec"):
            nks.io.read_calcium(folder)
        assert not marker.exists(), what
    with pytest.raises(FileFormatError, match=r"names posix\.system|names nt\.system"):
        nks.io.read_calcium(tmp_path / "system" / "plane0")


def bombs() -> dict[str, bytes]:
    """Pickles of a few bytes that claim more memory, or time, than there is."""
    int8 = b"cnumpy\ndtype\n\x8c\x02u1\x89\x88\x87R"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    huge = b"\x8a\x06" + (10**13).to_bytes(6, "little")
    shared = b"]" + b"".join(
        b"q" + bytes([k]) + b"]h" + bytes([k]) + b"ah" + bytes([k]) + b"a" for k in range(60)
    )
    keys = b"K\x01" + b"q\x00h\x00h\x00\x86" * 60
    return {
        "array": b"\x80\x04" + array + b"(K\x01" + huge + b"\x85" + int8 + b"\x89C\x00tb.",
        "negative": b"\x80\x04" + array + b"(K\x01J\xff\xff\xff\xff\x85" + int8 + b"\x89C\x00tb.",
        "empty text": b"\x80\x04"
        + array
        + b"(K\x01"
        + huge
        + b"\x85cnumpy\ndtype\n\x8c\x02U0\x89\x88\x87R\x89C\x00tb.",
        "objects": b"\x80\x04"
        + array
        + b"(K\x01"
        + huge
        + b"\x85cnumpy\ndtype\n\x8c\x02O8\x89\x88\x87R\x89]tb.",
        "bytes": b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",
        "bytearray": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x.",
        "memo": b"\x80\x02]r\xff\xff\xff\xff.",
        "long": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        "shared": b"\x80\x02" + shared + b".",
        "keys": b"\x80\x02}" + keys + b"K\x01s.",
        "deep": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
        "marks": b"\x80\x02" + b"(" * 300_000 + b".",
        "itself": b"\x80\x02]q\x00h\x00a.",
        "nothing": b"",
        "underflow": b"\x80\x02a.",
        "cut off": pickle.dumps({"a": np.arange(100)})[:-30],
        "fields": pickle.dumps(np.zeros(2, dtype=[("a", "O")])),
        "subclass": pickle.dumps(np.ma.array([1])),
        "dates": pickle.dumps(np.array(["2020-01-01"], dtype="M8[D]")),
    }


def test_pickles_that_claim_more_than_they_hold(tmp_path):
    import tracemalloc

    folder = suite2p_plane(tmp_path / "plane0")
    for what, program in bombs().items():
        save_program(folder / "ops.npy", program)
        tracemalloc.start()
        with pytest.raises(FileFormatError, match=r"ops\.npy"):
            nks.io.read_calcium(folder)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6, what


def test_one_array_named_by_many_regions_is_refused(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0")
    shared = np.zeros(10_000, dtype=np.int8)
    one = {"ypix": shared, "xpix": shared}
    stat = np.empty(3, dtype=object)
    stat[:] = [one | {f"a{k}": shared for k in range(30)}] * 3
    np.save(folder / "stat.npy", stat, allow_pickle=True)
    with pytest.raises(FileFormatError, match="once each"):
        nks.io.read_calcium(folder)


def damaged(folder: Path, what: str) -> None:
    light = np.load(folder / "F.npy")
    if what == "F cut off":
        content = (folder / "F.npy").read_bytes()
        (folder / "F.npy").write_bytes(content[: len(content) // 2])
    elif what == "F empty":
        (folder / "F.npy").write_bytes(b"")
    elif what == "F gone":
        (folder / "F.npy").unlink()
    elif what == "F no npy":
        (folder / "F.npy").write_bytes(b"hello world, this is text")
    elif what == "F of objects":
        np.save(folder / "F.npy", np.array([{}]), allow_pickle=True)
    elif what == "F flat":
        np.save(folder / "F.npy", light[0])
    elif what == "F huge":
        head = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
        with (folder / "F.npy").open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, head)
    elif what == "Fneu other":
        np.save(folder / "Fneu.npy", light[:, :-1])
    elif what == "iscell other":
        np.save(folder / "iscell.npy", np.ones((2, 2)))
    elif what == "stat other":
        np.save(folder / "stat.npy", np.array([roi((1, 1))] * 2), allow_pickle=True)
    elif what == "stat numbers":
        np.save(folder / "stat.npy", np.arange(3))
    elif what == "stat fractions":
        stat = np.array([roi((1, 1)) | {"ypix": np.array([0.5])}] * 3)
        np.save(folder / "stat.npy", stat, allow_pickle=True)
    elif what == "ops list":
        np.save(folder / "ops.npy", np.array([{}, {}]), allow_pickle=True)
    elif what == "link out":
        (folder / "F.npy").rename(folder.parent / "outside.npy")
        (folder / "F.npy").symlink_to(folder.parent / "outside.npy")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("F cut off", r"480 bytes of values.*cut off"),
        ("F empty", "empty"),
        ("F gone", r"Expected F\.npy.*copy the whole folder"),
        ("F no npy", "header cannot be read"),
        ("F of objects", "Expected numbers"),
        ("F flat", r"\(roi, frame\)"),
        ("F huge", "cut off"),
        ("Fneu other", "40 frames x 3 units of neuropil"),
        ("iscell other", "each of the 3 ROIs"),
        ("stat other", "one dict for each of the 3"),
        ("stat numbers", "Python objects"),
        ("stat fractions", "whole numbers in ypix"),
        ("ops list", "one dict of settings"),
        ("link out", "leads out of the folder"),
    ],
)
def test_damaged_suite2p_folders(tmp_path, what, says):
    folder = suite2p_plane(tmp_path / "plane0")
    damaged(folder, what)
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_calcium(folder)


@pytest.mark.parametrize("shape", [(0, 40), (3, 0), (0, 0)])
def test_no_units_and_no_frames(tmp_path, shape):
    made = nks.io.from_fluorescence(np.zeros(shape[::-1]), sampling_rate=10.0)
    nks.io.write_suite2p(made, tmp_path / "suite2p")
    back = nks.io.read_calcium(tmp_path / "suite2p")["/calcium"].to_dataset()
    same(back, made)
    assert nks.io.dff(back, "constant")["dff"].shape == shape[::-1]


# -- writing suite2p ----------------------------------------------------------------------------


@given(calcium_datasets())
@FILE_SETTINGS
@pytest.mark.filterwarnings("ignore:suite2p has no place")
def test_suite2p_gives_back_what_was_written(tmp_path, data):
    data = data.drop_dims(["space", "pixel"], errors="ignore").drop_vars(
        ["dff", "scale"], errors="ignore"
    )
    nks.io.write_suite2p(data, tmp_path / "suite2p")
    same(nks.io.read_calcium(tmp_path / "suite2p")["/calcium"].to_dataset(), data)


def test_simulated_calcium_goes_through_suite2p(tmp_path):
    spikes = nks.io.from_spike_times({"a": [0.5, 0.6], "é": []}, t_stop=2.0)
    spikes = spikes.assign_coords(
        brain_area=("unit", ["CA1", "CA3"]), tuned=("unit", [True, False])
    )
    seen = observe.calcium(spikes, rng=3)
    folder = tmp_path / "suite2p"
    nks.io.write_suite2p(seen, folder)
    back = nks.io.read(folder)
    same(back["/calcium"].to_dataset(), seen["/calcium"].to_dataset())
    assert set(back.children) == {"calcium"}
    # What suite2p's own window asks for is there.
    plane = folder / "plane0"
    ops = np.load(plane / "ops.npy", allow_pickle=True).item()
    stat = np.load(plane / "stat.npy", allow_pickle=True)
    assert ops["fs"] == pytest.approx(30.0)
    assert ops["nframes"] == 60
    assert {"Ly", "Lx", "meanImg", "tau", "neucoeff", "nplanes"} <= set(ops)
    assert {"ypix", "xpix", "lam"} <= set(stat[0])
    assert np.load(plane / "Fneu.npy").shape == np.load(plane / "spks.npy").shape == (2, 60)
    assert np.load(plane / "iscell.npy").tolist() == [[1, 1], [1, 1]]
    timed = nks.io.read_calcium(folder, sampling_rate=15.0)["/calcium"]
    assert even_clock(timed.to_dataset()) == (0.0, 15.0)
    assert timed["unit"].values.tolist() == ["a", "é"]


def test_suite2p_goes_through_suite2p(tmp_path):
    session = nks.io.read_calcium(suite2p_plane(tmp_path / "plane0"))
    part = session.isel(time=slice(5, None, 2))
    for number, one in enumerate((session, part)):
        nks.io.write_suite2p(one, tmp_path / f"copy{number}")
        same(nks.io.read_calcium(tmp_path / f"copy{number}"), one)


def test_writer_names_what_suite2p_has_no_place_for(tmp_path):
    made = nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0)
    made = nks.io.dff(made, "constant").assign(stage=("time", np.zeros(5)))
    with pytest.warns(DataWarning, match=r"no place for dff of plane0; stage of plane0"):
        nks.io.write_suite2p(made, tmp_path / "suite2p")
    only = made.drop_vars("fluorescence")
    with pytest.raises(SchemaError, match=r"F\.npy.*write_nwb"):
        nks.io.write_suite2p(only, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_writer_replaces_only_folders_of_suite2p(tmp_path):
    made = nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0)
    folder = tmp_path / "suite2p"
    nks.io.write_suite2p(made, folder)
    nks.io.write_suite2p(made * 2, folder)
    assert nks.io.read_calcium(folder)["/calcium/fluorescence"].values.max() == 2
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ParameterError, match="nothing but suite2p's planes"):
        nks.io.write_suite2p(made, folder)
    assert nks.io.read_calcium(folder)["/calcium/fluorescence"].values.max() == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["suite2p"]


def test_damaged_notes_are_refused(tmp_path):
    folder = suite2p_plane(tmp_path / "plane0", neurokit_sdr='{"name": "a", "unit": 3}')
    with pytest.raises(FileFormatError, match="delete that key"):
        nks.io.read_calcium(folder)
    other = suite2p_plane(tmp_path / "plane1", neurokit_sdr="no json")
    assert nks.io.read_calcium(other)["calcium"].sizes["unit"] == 3


# -- the real recording -------------------------------------------------------------------------


def test_real_suite2p_equals_what_numpy_says(data_folder, tmp_path):
    folder = data_folder / SUITE2P
    with pytest.warns(DataWarning, match="time counts frames"):
        session = nks.io.read(folder)
    data = session["/calcium"].to_dataset()
    assert data.sizes == {"time": 2000, "unit": 219}
    for name, file in (("fluorescence", "F"), ("neuropil", "Fneu"), ("deconvolved", "spks")):
        assert np.array_equal(data[name].values, np.load(folder / f"{file}.npy").T)
    is_cell = np.load(folder / "iscell.npy")
    assert data["is_cell"].values.sum() == 20
    assert np.array_equal(data["cell_probability"].values, is_cell[:, 1])
    stat = np.load(folder / "stat.npy", allow_pickle=True)  # our own copy, trusted here
    rois = session["/rois"].to_dataset()
    masks = nks.io.roi_masks(session)
    for k in (0, 7, 218):
        mine = rois["pixel_unit"].values == k
        assert np.array_equal(rois["pixel_y"].values[mine], stat[k]["ypix"])
        assert np.array_equal(rois["pixel_weight"].values[mine], stat[k]["lam"])
        assert data["roi_y"].values[k] == stat[k]["med"][0]
        assert data["skew"].values[k] == stat[k]["skew"]
        assert masks[k].values[stat[k]["ypix"], stat[k]["xpix"]].tolist() == stat[k]["lam"].tolist()
        assert masks[k].values.astype(bool).sum() == len(stat[k]["ypix"])
    kept = set(data.coords) | {n.removeprefix("pixel_") for n in rois.variables}
    renamed = {"ypix": "y", "xpix": "x", "lam": "weight", "med": "roi_y"}
    assert {renamed.get(n, n) for n in stat[0]} <= kept
    nks.io.write_suite2p(session, tmp_path / "suite2p")
    with pytest.warns(DataWarning, match="time counts frames"):
        same(nks.io.read_calcium(tmp_path / "suite2p"), session)


# -- CaImAn -------------------------------------------------------------------------------------


def caiman_file(path: Path, **changes) -> Path:
    """What CaImAn's save_dict_to_hdf5 makes of an analysis of 3 components over 4 x 5 pixels."""
    trace = np.arange(3 * 50, dtype=np.float64).reshape(3, 50)
    footprints = scipy.sparse.csc_matrix(np.zeros((20, 3)))
    footprints = scipy.sparse.lil_matrix((20, 3))
    footprints[1, 0], footprints[2, 0], footprints[9, 1], footprints[19, 2] = 0.5, 1.5, 1, 2
    values = {
        "dims": (4, 5),
        "estimates/A": footprints.tocsc(),
        "estimates/C": trace,
        "estimates/YrA": trace / 8,
        "estimates/S": trace * 0,
        "estimates/F_dff": trace * 2,
        "estimates/R": None,
        "estimates/b": np.ones((20, 2)),
        "estimates/f": np.ones((2, 50)),
        "estimates/Cn": np.ones((4, 5)),
        "estimates/dims": (4, 5),
        "estimates/idx_components": np.array([0, 2]),
        "estimates/idx_components_bad": np.array([1]),
        "estimates/SNR_comp": np.array([3.0, 1.0, 4.0]),
        "estimates/cnn_preds": None,
        "params/data/fr": 15.0,
        "params/data/decay_time": 0.4,
        "params/data/fnames": "movie.tif",
        "params/init/gSig": [4, 4],
        "params/init/normalize": True,
    } | changes
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            if scipy.sparse.issparse(value):
                for part in ("data", "indices", "indptr", "shape"):
                    file[f"{name}/{part}"] = getattr(value, part)
            elif value is None:
                file[name] = "NoneType"
            elif value is not ...:
                file[name] = value
    return path


def test_caiman(tmp_path):
    path = caiman_file(tmp_path / "analysis.hdf5")
    session = nks.io.read_calcium(path)
    data = session["/calcium"].to_dataset()
    trace = np.arange(150.0).reshape(3, 50)
    assert data["fluorescence"].dims == ("time", "unit")
    assert not isinstance(data["fluorescence"].variable._data, np.ndarray)
    assert np.array_equal(data["fluorescence"].values, (trace + trace / 8).T)
    assert np.array_equal(data["denoised"][3:5, 1:].values, trace.T[3:5, 1:])
    assert np.array_equal(data["residual"].values, trace.T / 8)
    assert np.array_equal(data["dff"].values, trace.T * 2)
    assert data["deconvolved"].values.sum() == 0
    assert data["fluorescence"].attrs["name_in_file"] == "C + YrA"
    assert even_clock(data) == (0.0, 15.0)
    assert data["is_cell"].values.tolist() == [True, False, True]
    assert data["SNR_comp"].values.tolist() == [3, 1, 4]
    assert "cnn_preds" not in data.variables
    rois = session["/rois"].to_dataset()
    # Pixel 9 of 4 x 5, columns first, is row 1 of column 2.
    assert rois["pixel_y"].values.tolist() == [1, 2, 1, 3]
    assert rois["pixel_x"].values.tolist() == [0, 0, 2, 4]
    assert rois["pixel_weight"].values.tolist() == [0.5, 1.5, 1, 2]
    assert rois.attrs == {"height": 4, "width": 5}
    assert data["roi_y"].values.tolist() == [1.75, 1, 3]
    masks = nks.io.roi_masks(session)
    with h5py.File(path) as file:
        parts = [file[f"estimates/A/{n}"][:] for n in ("data", "indices", "indptr")]
    dense = scipy.sparse.csc_matrix(tuple(parts), (20, 3)).toarray()
    assert np.array_equal(masks.values, dense.T.reshape(3, 5, 4).transpose(0, 2, 1))
    assert np.array_equal(masks[1:, 1:3, ::2].values, masks.values[1:, 1:3, ::2])
    rest = session["/caiman"].to_dataset()
    assert rest.attrs["params.data.decay_time"] == 0.4
    assert rest.attrs["params.data.fnames"] == "movie.tif"
    assert rest.attrs["params.init.gSig"] == [4, 4]
    assert rest.attrs["params.init.normalize"] == 1
    assert rest["Cn"].dims == ("y", "x")
    assert rest["b"].shape == (20, 2)


def test_caiman_with_less(tmp_path):
    path = caiman_file(
        tmp_path / "a.hdf5",
        **{
            "estimates/YrA": None,
            "estimates/F_dff": None,
            "estimates/S": np.zeros((3, 49)),
            "estimates/idx_components": None,
            "params/data/fr": None,
            "estimates/A": np.zeros((20, 3)),
        },
    )
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read_calcium(path)
    text = " ".join(str(w.message) for w in caught)
    assert "estimates/S (shape (3, 49), not (3, 50))" in text
    assert "estimates/A" in text
    assert "time counts frames" in text
    data = session["/calcium"].to_dataset()
    assert set(data.data_vars) == {"fluorescence"}
    assert "residual YrA" in data["fluorescence"].attrs["long_name"]
    assert "is_cell" not in data.variables
    assert "rois" not in session.children


def test_caiman_of_a_volume(tmp_path):
    footprints = scipy.sparse.lil_matrix((24, 3))
    footprints[np.ravel_multi_index((1, 2, 1), (2, 4, 3), order="F"), 1] = 2.0
    path = caiman_file(
        tmp_path / "a.hdf5",
        dims=(2, 4, 3),
        **{"estimates/dims": (2, 4, 3), "estimates/A": footprints.tocsc()},
    )
    session = nks.io.read_calcium(path)
    place = [int(session[f"/rois/pixel_{a}"].values[0]) for a in "yxz"]
    assert place == [1, 2, 1]
    masks = nks.io.roi_masks(session)
    assert masks.shape == (3, 2, 4, 3)
    assert masks.values[1, 1, 2, 1] == 2.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"estimates/C": None}, "before components were found"),
        ({"estimates/C": np.zeros(3)}, r"estimates/C \(component, frame\)"),
        ({"estimates/idx_components": np.array([3])}, "below 3.*3 to 3"),
        ({"estimates/dims": (4, 6)}, r"over \(4, 6\) pixels"),
    ],
)
def test_damaged_caiman(tmp_path, changes, says):
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_calcium(caiman_file(tmp_path / "a.hdf5", **changes))


def test_hdf5_that_claims_more_than_it_holds(tmp_path):
    path = caiman_file(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        del file["estimates/C"]
        file.create_dataset("estimates/C", (10**6, 10**6), "f4", chunks=(100, 100))
    with pytest.raises(FileFormatError, match=r"claims 4,000,000,000,000 bytes.*holds 0"):
        nks.io.read_calcium(path)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["estimates"] = h5py.ExternalLink("a.hdf5", "/estimates")
    with pytest.raises(NeurokitError):
        nks.io.read_calcium(tmp_path / "b.hdf5")


# -- minian -------------------------------------------------------------------------------------


def minian_stores(folder: Path, zarr_format: int, frames=None) -> Path:
    zarr = pytest.importorskip("zarr")
    assert zarr
    coords = {
        "unit_id": [3, 7],
        "frame": np.arange(30) if frames is None else frames,
        "height": np.arange(4),
        "width": np.arange(5),
        "animal": "m1",
        "session": "day 2",
    }
    trace = np.arange(60.0).reshape(2, 30)
    arrays = {
        "A": (("unit_id", "height", "width"), np.arange(40.0).reshape(2, 4, 5)),
        "C": (("unit_id", "frame"), trace),
        "S": (("unit_id", "frame"), trace * 0 + 1),
        "YrA": (("unit_id", "frame"), trace + 0.5),
        "b": (("height", "width"), np.ones((4, 5))),
        "f": (("frame",), np.ones(30)),
        "varr": (("frame", "height", "width"), np.ones((30, 4, 5), np.uint8)),
    }
    for name, (dims, values) in arrays.items():
        kept = {k: v for k, v in coords.items() if k in dims or k in ("animal", "session")}
        one = xr.Dataset({name: (dims, values)}, kept)
        one.to_zarr(folder / f"{name}.zarr", zarr_format=zarr_format, consolidated=False)
    (folder / "note.txt").write_text("x")
    return folder


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_minian(tmp_path, zarr_format):
    folder = minian_stores(tmp_path / "minian", zarr_format)
    with pytest.warns(DataWarning, match=r"note\.txt; varr \(a movie\)"):
        session = nks.io.read_calcium(folder, sampling_rate=20.0)
    data = session["/calcium"].to_dataset()
    trace = np.arange(60.0).reshape(2, 30)
    assert data["unit"].values.tolist() == [3, 7]
    assert np.array_equal(data["fluorescence"].values, trace.T + 0.5)
    assert np.array_equal(data["denoised"][3:7, 1].values, trace[1, 3:7])
    assert data["deconvolved"][4].values.tolist() == [1, 1]
    assert not isinstance(data["denoised"].variable._data, np.ndarray)
    assert even_clock(data) == (0.0, 20.0)
    assert data.attrs == {"animal": "m1", "session": "day 2", "sampling_rate": 20.0}
    masks = nks.io.roi_masks(session)
    assert masks.dims == ("unit", "y", "x")
    assert masks.sel(unit=7).values.tolist() == np.arange(20.0, 40).reshape(4, 5).tolist()
    assert session["/minian/b"].dims == ("height", "width")
    assert session["/minian/f"].values.sum() == 30
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy["fluorescence"].values, trace.T + 0.5)


@pytest.mark.filterwarnings("ignore:minian also holds")
@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_frames_of_minian_need_not_begin_at_0_nor_follow_one_another(tmp_path):
    late = minian_stores(tmp_path / "late" / "minian", 2, np.arange(10, 40))
    data = nks.io.read_calcium(late, sampling_rate=10.0)["/calcium"]
    assert data["time"].values[0] == 1.0
    assert data["frame"].values[0] == 10
    gaps = np.arange(30) * 2
    gappy = minian_stores(tmp_path / "gaps" / "minian", 2, gaps)
    data = nks.io.read_calcium(gappy, sampling_rate=10.0)["/calcium"]
    assert data["time"].values.tolist() == (gaps / 10.0).tolist()
    with pytest.warns(DataWarning, match="time counts frames"):
        data = nks.io.read_calcium(gappy)["/calcium"]
    assert data["time"].values.tolist() == gaps.tolist()
    back = minian_stores(tmp_path / "back" / "minian", 2, np.arange(30)[::-1])
    with pytest.raises(FileFormatError, match="rising numbers of frames"):
        nks.io.read_calcium(back)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
def test_unsafe_and_damaged_minian(tmp_path):
    def changed(name: str, **meta) -> Path:
        folder = minian_stores(tmp_path / name / "minian", 2)
        place = folder / "C.zarr" / "C" / ".zarray"
        place.write_text(json.dumps(json.loads(place.read_text()) | meta))
        return folder

    with pytest.raises(FileFormatError, match=r"codecs \['pickle'\].*can run code"):
        nks.io.read_calcium(changed("pickle", dtype="|O", filters=[{"id": "pickle"}]))
    with pytest.raises(FileFormatError, match="smaller chunks"):
        nks.io.read_calcium(changed("huge", shape=[10**9, 10**9], chunks=[10**6, 10**6]))
    with pytest.raises(FileFormatError, match="damaged"):
        nks.io.read_calcium(changed("wrong", chunks="x"))
    folder = minian_stores(tmp_path / "link" / "minian", 2)
    (folder / "A.zarr" / "A" / "0.0.0").unlink()
    (folder / "A.zarr" / "A" / "0.0.0").symlink_to("/etc/hostname")
    with pytest.raises(FileFormatError, match="leads out"):
        nks.io.read_calcium(folder)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_minian_that_claims_what_it_does_not_hold_is_refused(tmp_path, zarr_format):
    folder = minian_stores(tmp_path, zarr_format)
    array = next(
        p for p in sorted(folder.rglob(".zarray" if zarr_format == 2 else "zarr.json"))
        if len(json.loads(p.read_text()).get("shape", [])) == 3
    )  # fmt: skip
    meta = json.loads(array.read_text())
    meta["shape"][0] = 10**12
    array.write_text(json.dumps(meta))
    with pytest.raises(FileFormatError, match="claims"):
        nks.io.read(folder)


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("codec", ["Blosc", "LZ4", "Zstd"])
def test_chunks_that_say_they_unpack_to_gigabytes_are_refused(tmp_path, codec):
    import numcodecs
    import zarr

    folder = minian_stores(tmp_path, 2)
    place = folder / "C.zarr" / "C"
    values = zarr.open_array(str(place), mode="r")[:]
    shutil.rmtree(place)
    kept = zarr.create_array(
        str(place),
        shape=values.shape,
        chunks=values.shape,
        dtype=values.dtype,
        zarr_format=2,
        compressors=getattr(numcodecs, codec)(),
        attributes={"_ARRAY_DIMENSIONS": ["unit_id", "frame"]},
    )
    kept[:] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # of the rate, and of a movie
        found = nks.io.read(folder)["calcium"]["denoised"].transpose("unit", "time")
    np.testing.assert_array_equal(found.values, values)
    (chunk,) = (p for p in place.iterdir() if p.name.startswith("0"))
    content = bytearray(chunk.read_bytes())
    if codec == "Zstd":  # a frame of one segment whose length takes eight bytes
        content = content[:4] + bytes([0b11100000]) + (2**40).to_bytes(8, "little") + content[5:]
    else:
        start = 4 if codec == "Blosc" else 0
        content[start : start + 4] = (2**31).to_bytes(4, "little")
    chunk.write_bytes(content)
    with pytest.raises(FileFormatError, match="says that it unpacks to"):
        nks.io.read_calcium(folder)


def test_minian_without_zarr_names_the_extra(tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        folder = minian_stores(tmp_path / "minian", 2)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[zarr\]"):
        nks.io.read_calcium(folder)


# -- Inscopix -----------------------------------------------------------------------------------


def inscopix(path: Path, *rows: str, names=" , C00, C01", status=None) -> Path:
    status = status or "Time(s)/Cell Status, accepted, undecided"
    path.write_text("\n".join([names, status, *rows]) + "\n", encoding="utf-8")
    return path


def test_inscopix(tmp_path):
    rows = ["0.1,1.5,-2", "0.15,,3.25", "0.21,1e-3,0.1"]
    path = inscopix(tmp_path / "traces.csv", *rows)
    with (tmp_path / "traces-props.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["Name", "Status", "CentroidX", "CentroidY", "Size", "Note"])
        table.writerow(["C01", "undecided", "4.5", "6", "", "é"])
        table.writerow(["C00", "accepted", "1.5", "2", "30", ""])
    session = nks.io.read_calcium(path)
    data = session["/calcium"].to_dataset()
    assert data["unit"].values.tolist() == ["C00", "C01"]
    assert data["time"].values.tolist() == [0.1, 0.15, 0.21]
    np.testing.assert_array_equal(
        data["fluorescence"].values, [[1.5, -2], [np.nan, 3.25], [1e-3, 0.1]]
    )
    assert data["status"].values.tolist() == ["accepted", "undecided"]
    assert data["is_cell"].values.tolist() == [True, False]
    assert data["CentroidX"].values.tolist() == [1.5, 4.5]
    np.testing.assert_array_equal(data["Size"].values, [30, np.nan])
    assert data["Note"].values.tolist() == ["", "é"]
    even = nks.io.read_calcium(path, sampling_rate=20.0)["/calcium"].to_dataset()
    assert even_clock(even) == (0.1, 20.0)
    nothing = nks.io.read_calcium(inscopix(tmp_path / "b.csv"))["/calcium"]
    assert dict(nothing.sizes) == {"time": 0, "unit": 2}


def test_inscopix_with_a_table_of_other_cells(tmp_path):
    path = inscopix(tmp_path / "traces.csv", "0,1,2")
    (tmp_path / "traces-props.csv").write_text("Name,Size\nC05,3\n")
    with pytest.warns(DataWarning, match=r"traces-props\.csv \(KeyError"):
        nks.io.read_calcium(path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0,1,2", "0,1,2"], "rising times.*line 4"),
        (["0,1,2", ",1,2"], "rising times.*line 4"),
        (["0,1,x"], "Expected numbers below"),
        (["0,1"], "3 numbers in each line.*got 2"),
        (["0,1,2", "0,1,2,3"], "Expected"),
    ],
)
def test_damaged_inscopix(tmp_path, rows, says):
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_calcium(inscopix(tmp_path / "a.csv", *rows))


def test_doubled_names_in_inscopix(tmp_path):
    with pytest.raises(FileFormatError, match="more than once"):
        nks.io.read_calcium(inscopix(tmp_path / "a.csv", "0,1,2", names=" ,C,C"))


# -- what is no recording of calcium ------------------------------------------------------------


def test_what_is_no_recording_of_calcium(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.bin").write_bytes(b"")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["x"] = 1
    for name, says in [
        ("nowhere", "found nothing"),
        ("empty", r"a folder with \[\]"),
        ("a.csv", "suite2p, CaImAn, minian.*from_fluorescence"),
        ("b.bin", "empty"),
        ("c.h5", "another kind"),
    ]:
        with pytest.raises(FileFormatError, match=says):
            nks.io.read_calcium(tmp_path / name)
    assert not any(r.can_read(tmp_path / "nowhere") for r in calcium.READERS)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00,\x00")
    assert not any(r.can_read(tmp_path / "a.csv") for r in calcium.READERS)


def test_each_format_is_known_by_content_and_by_one_reader(tmp_path):
    paths = {
        "suite2p": suite2p_plane(tmp_path / "plane0"),
        "CaImAn": caiman_file(tmp_path / "a.dat"),
        "Inscopix CSV": inscopix(tmp_path / "a.txt", "0,1,2"),
    }
    for name, path in paths.items():
        assert [r.name for r in calcium.READERS if r.can_read(path)] == [name]


# -- plain arrays -------------------------------------------------------------------------------


def test_plain_arrays():
    values = np.arange(12).reshape(6, 2)
    data = nks.io.from_fluorescence(values, sampling_rate=20, unit=["é", "b"])
    assert data["fluorescence"].dtype == np.float64
    assert np.array_equal(data["fluorescence"].values, values)
    assert even_clock(data) == (0.0, 20.0)
    assert data.attrs == {"sampling_rate": 20.0}
    times = [0.1, 0.2, 0.4, 0.7, 0.8, 1.5]
    irregular = nks.io.from_fluorescence(values.astype(np.float32), time=times)
    assert irregular["fluorescence"].dtype == np.float32
    assert irregular["time"].values.tolist() == times
    assert irregular["unit"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "options", "error", "says"),
    [
        (np.ones((3, 2)), {}, ParameterError, "got neither"),
        (np.ones((3, 2)), {"time": [0, 1, 2], "sampling_rate": 1}, ParameterError, "got both"),
        (np.ones((3, 2)), {"sampling_rate": 0}, ParameterError, "above 0"),
        (np.ones(3), {"sampling_rate": 1}, SchemaError, r"\[:, None\]"),
        (np.ones((2, 3)), {"time": [0, 1, 2]}, SchemaError, r"\.T"),
        (np.ones((3, 2)), {"time": [0, 2, 1]}, SchemaError, "rising"),
        (np.ones((3, 2)), {"sampling_rate": 1, "unit": ["a"]}, SchemaError, "2 unit ids"),
        (np.ones((3, 2)), {"sampling_rate": 1, "unit": ["a", "a"]}, SchemaError, "more than once"),
        ([["x"]], {"sampling_rate": 1}, SchemaError, "numbers"),
    ],
)
def test_plain_arrays_that_are_refused(values, options, error, says):
    with pytest.raises(error, match=says):
        nks.io.from_fluorescence(values, **options)


# -- neuropil and baselines ---------------------------------------------------------------------


def test_neuropil_is_subtracted_once_and_said():
    values = np.linspace(10, 20, 8, dtype=np.float32).reshape(4, 2)
    data = nks.io.from_fluorescence(values, sampling_rate=1.0)
    data = data.assign(neuropil=data["fluorescence"] * np.float32(0.5))
    before = data.copy(deep=True)
    clear = nks.io.subtract_neuropil(data)
    same(data, before)
    assert clear["fluorescence"].dtype == np.float32
    assert np.array_equal(clear["fluorescence"], values - np.float32(0.7) * (values / 2))
    assert clear["fluorescence"].attrs["neuropil_subtracted"] == 0.7
    assert np.array_equal(clear["neuropil"], data["neuropil"])
    with pytest.raises(SchemaError, match="subtracted already"):
        nks.io.subtract_neuropil(clear)
    with pytest.raises(SchemaError, match="without neuropil"):
        nks.io.subtract_neuropil(data.drop_vars("neuropil"))
    for wrong in (-0.1, 1.5, "0.7", float("nan"), True):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            nks.io.subtract_neuropil(data, wrong)
    tree = xr.DataTree.from_dict({"/calcium/a": data, "/calcium/b": data, "/x": xr.Dataset()})
    both = nks.io.subtract_neuropil(tree, 0.5)
    assert both["/calcium/b/fluorescence"].attrs["neuropil_subtracted"] == 0.5
    assert "neuropil_subtracted" not in tree["/calcium/b/fluorescence"].attrs
    with pytest.raises(SchemaError, match="/calcium group"):
        nks.io.subtract_neuropil(xr.DataTree.from_dict({"/x": data}))


def light_of(seed: int, frames: int = 200) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return 5 + generator.gamma(2.0, 1.0, (frames, 3))


def padded(row: np.ndarray, before: int, after: int) -> np.ndarray:
    """Mirrored at both ends, the last value twice, as scipy's 'reflect'."""
    return np.pad(row, (before, after), mode="symmetric")


def test_baselines_equal_their_definitions(seed):
    light = light_of(seed)
    window, smooth = 21, 8
    for row in light.T:
        n = row.size
        mean = [row[max(k - 3, 0) : k - 3 + smooth].mean() for k in range(n)]
        expected = [min(mean[max(k - window + 1, 0) : k + 1]) for k in range(n)]
        found = baselines.running_minimum(row[None], window, smooth)[0]
        # Means come from differences of sums: n additions of numbers up to 20.
        assert np.allclose(found, expected, rtol=0, atol=n * 20 * n * np.finfo(float).eps)

        wide = padded(row, window // 2, window // 2)
        rank = int(8.0 / 100 * window)
        ranks = [np.sort(wide[k : k + window])[rank] for k in range(n)]
        assert np.array_equal(baselines.running_quantile(row[None], window, 8.0)[0], ranks)

        low = [wide[k : k + window].min() for k in range(n)]
        wide_low = padded(np.array(low), window // 2, window // 2)
        maximin = [wide_low[k : k + window].max() for k in range(n)]
        assert np.array_equal(baselines.maximin(row[None], window, 0.0)[0], maximin)
        assert np.array_equal(
            baselines.constant(row[None], 30.0)[0], np.full(n, np.percentile(row, 30))
        )


def test_smoothing_of_maximin_is_a_gaussian(seed):
    light = light_of(seed)[:, 0]
    reach = 8  # standard deviations of 2 frames, cut at four
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / 2.0) ** 2)
    smooth = np.convolve(padded(light, reach, reach), kernel / kernel.sum(), "valid")
    assert np.allclose(baselines.maximin(light[None], 1, 2.0)[0], smooth, rtol=1e-13)


@pytest.mark.parametrize("baseline", list(baselines.BASELINES))
def test_dff_says_how_it_was_made(baseline):
    data = nks.io.from_fluorescence(light_of(0), sampling_rate=20.0)
    before = data.copy(deep=True)
    made = nks.io.dff(data, baseline)
    same(data, before)
    assert made["dff"].dims == ("time", "unit")
    assert made["dff"].attrs["baseline"] == baseline
    assert made["dff"].attrs["units"] == "1"
    schema.check(made, "calcium")
    f0 = data["fluorescence"] / (1 + made["dff"])
    assert ((f0 > 5) & (f0 < 8)).all()
    if baseline != "constant":
        assert "doi:" in made["dff"].attrs["baseline_reference"]
        assert made["dff"].attrs["baseline_window"] > 1
    with pytest.raises(SchemaError, match="no dff yet"):
        nks.io.dff(made, baseline)


def test_windows_are_seconds_whatever_the_rate(seed):
    light = light_of(seed)
    times = np.arange(200) / 20.0
    even = nks.io.from_fluorescence(light, sampling_rate=20.0)
    jitter = nks.io.from_fluorescence(light, time=times + 1e-3 * np.sin(np.arange(200)))
    for baseline in ("running_quantile", "running_minimum"):
        one = nks.io.dff(even, baseline, window=1.0)
        assert one["dff"].attrs["baseline_window"] == pytest.approx(1.0)
        other = nks.io.dff(jitter, baseline, window=1.0)
        assert np.allclose(one["dff"], other["dff"], atol=0)
    clear = nks.io.subtract_neuropil(even.assign(neuropil=even["fluorescence"] / 4), 0.5)
    assert nks.io.dff(clear)["dff"].attrs["neuropil_subtracted"] == 0.5


def test_dff_of_dask_arrays_is_the_same():
    pytest.importorskip("dask")
    data = nks.io.from_fluorescence(light_of(0), sampling_rate=20.0)
    for baseline in baselines.BASELINES:
        lazy = nks.io.dff(data.chunk(time=50, unit=1), baseline)
        assert lazy["dff"].chunks is not None
        assert np.array_equal(lazy["dff"].values, nks.io.dff(data, baseline)["dff"].values)


def test_baselines_that_are_not_above_0():
    light = light_of(0)
    light[:, 1] -= 100
    data = nks.io.from_fluorescence(light, sampling_rate=20.0, unit=["a", "b", "c"])
    with pytest.warns(DataWarning, match="baseline of unit b is not above 0"):
        made = nks.io.dff(data)
    assert np.isnan(made["dff"].values).all(axis=0).tolist() == [False, True, False]
    light[3, 0] = np.nan
    with pytest.raises(SchemaError, match="1 NaN or infinite"):
        nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=20.0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"baseline": "maximum"}, "Did you mean 'maximin'"),
        ({"baseline": "maximin", "percentile": 5}, "no percentile with the baseline 'maximin'"),
        ({"baseline": "constant", "window": 5}, "no window"),
        ({"baseline": "constant", "percentile": 101}, "from 0 to 100"),
        ({"window": 0}, "above 0"),
        ({"window": -3.0}, "above 0"),
        ({"smoothing": "x"}, "in seconds"),
    ],
)
def test_dff_refuses(options, says):
    with pytest.raises(ParameterError, match=says):
        nks.io.dff(nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0), **options)


def test_regions_of_interest_that_cannot_be_drawn():
    rois = xr.Dataset(
        {
            "pixel_unit": ("pixel", [0, 0]),
            "pixel_y": ("pixel", [0, 4], {"units": "pixel"}),
            "pixel_x": ("pixel", [0, 1], {"units": "pixel"}),
        },
        {"unit": ["a"]},
        {"height": 3, "width": 3},
    )
    with pytest.raises(SchemaError, match=r"picture of 3 x 3.*5 x 2"):
        nks.io.roi_masks(rois)
    assert nks.io.roi_masks(rois.assign_attrs(height=5)).values[0].tolist()[4] == [0, 1, 0]
    with pytest.raises(SchemaError, match="/rois group"):
        nks.io.roi_masks(xr.DataTree.from_dict({"/x": xr.Dataset()}))


# -- chunks -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.filterwarnings("ignore:minian also holds")
def test_chunks_survive_a_process_boundary(tmp_path):
    pytest.importorskip("dask")
    paths = (
        suite2p_plane(tmp_path / "plane0"),
        caiman_file(tmp_path / "a.hdf5"),
        minian_stores(tmp_path / "minian", 3),
    )
    traces = []
    for path in paths:
        session = nks.io.read_calcium(path, sampling_rate=10.0, chunks={"time": 7})
        traces.append(session["/calcium/fluorescence"])
        assert traces[-1].chunksizes["time"][0] == 7
    (tmp_path / "traces.pickle").write_bytes(pickle.dumps([t.data for t in traces]))
    program = (
        "import pickle, sys\n"
        "for a in pickle.loads(open(sys.argv[1], 'rb').read()):\n"
        "    print(float(a[3:9].sum().compute(scheduler='synchronous')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "traces.pickle")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [float(n) for n in done.stdout.split()] == [float(t[3:9].sum()) for t in traces]
    with pytest.raises(ParameterError, match="chunks of dimensions"):
        nks.io.read_calcium(path, chunks={"channel": 1}, sampling_rate=1.0)


def test_chunks_without_dask_name_the_extra(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "dask" else find(n, *a)
    )
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[cluster\]"):
        nks.io.read_calcium(suite2p_plane(tmp_path / "plane0"), chunks={"time": 5})


def test_pickletools_agrees_that_the_harmful_programs_are_pickles(tmp_path):
    programs = harmful(tmp_path / "x")
    for name in ("system", "f2py", "stack global", "ndarray itself"):
        assert [op.name for op, _, _ in pickletools.genops(programs[name])][-1] == "STOP"


# -- published recordings -----------------------------------------------------------------------


def test_worms_equal_what_h5py_says(data_folder):
    session = nks.io.fetch_example("celegans")
    paths = sorted((data_folder / "calcium/celegans").glob("*.h5"))
    names = [p.name.removesuffix("-data.h5") for p in paths]
    assert list(session["calcium"].children) == names
    with (data_folder / "calcium/celegans/neuron_labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for path, name in zip(paths, names, strict=True):
        data = schema.check(session[f"/calcium/{name}"].to_dataset(), "calcium")
        behavior = session[f"/behavior/{name}"].to_dataset()
        events = schema.check(session[f"/events/{name}"].to_dataset(), "events")
        with h5py.File(path) as file:
            assert np.array_equal(data["fluorescence"], file["gcamp/trace_array_original"])
            assert np.array_equal(data["f_over_f20"], file["gcamp/traces_array_F_F20"])
            assert np.array_equal(data["zscore"], file["gcamp/trace_array"])
            clock = file["timing/timestamp_confocal"][:]
            assert np.array_equal(data["time"], clock - clock[0])
            kept = {*behavior.data_vars, "reversal_events"}
            assert kept == set(file["behavior"])
            for key in behavior.data_vars:
                np.testing.assert_array_equal(behavior[key], file["behavior"][key])
            first, last = file["behavior/reversal_events"][:]
            assert np.array_equal(
                session[f"/camera/{name}/time"], file["timing/timestamp_nir"][:] - clock[0]
            )
            assert (
                session[f"/neuropal/{name}/roi_match"].size
                == file["neuropal_registration/roi_match"].size
            )
        reverse = behavior["reversal_vec"].values
        # Counted from 1, ends included: the volumes so marked are those of the events.
        marked = np.zeros(reverse.size, dtype=int)
        for a, b in zip(first, last, strict=True):
            marked[a - 1 : b] = 1
        assert (marked == reverse).mean() > 0.95
        assert np.array_equal(events["event_onset"], data["time"].values[first - 1])
        own = {int(r["trace_index_1based"]): r for r in rows if r["recording"] == name}
        known = data["label"].values != ""
        assert known.sum() == len(own)
        for k in np.flatnonzero(known):
            row = own[k + 1]
            assert data["label"].values[k] == row["label"]
            assert data["label_confidence"].values[k] == float(row["confidence"])
    # Left and right of a pair are alike: the labels sit on the right columns.
    one = session[f"/calcium/{names[0]}"].to_dataset()
    pair = [one["zscore"].values[:, list(one["label"].values).index(n)] for n in ("AVAL", "AVAR")]
    assert np.corrcoef(pair)[0, 1] > 0.5


def test_fish_equals_what_numpy_says(data_folder):
    session = nks.io.fetch_example("zebrafish")
    data = schema.check(session["/calcium"].to_dataset(), "calcium")
    stem = data_folder / "calcium/zebrafish/zf_20170215-f3/zf_20170215-f3"
    activity = np.loadtxt(f"{stem}_activity_matrix.csv", delimiter=",")
    place = np.loadtxt(f"{stem}_cell_coordinates.csv", delimiter=",")
    assert np.array_equal(data["dff"].values, activity.T)
    assert np.array_equal(data["cell_x"].values, place[:, 0])
    assert even_clock(data) == (0.0, 2.2)
    lines = Path(f"{stem}_assembly_assignments.csv").read_text().splitlines()
    for k, line in enumerate(lines):
        members = [int(n) for n in line.split(",")]
        assert data["unit"].values[data["in_assembly"].values[k]].tolist() == members
    # Cells of an assembly are alike: its numbers count from 1.
    alike = np.corrcoef(activity)
    for inside in data["in_assembly"].values:
        assert alike[np.ix_(inside, inside)].mean() > alike[np.ix_(inside, ~inside)].mean()


def test_files_that_change_after_they_were_opened(tmp_path):
    folder, path = suite2p_plane(tmp_path / "plane0"), caiman_file(tmp_path / "a.hdf5")
    opened = [nks.io.read_calcium(p)["/calcium/fluorescence"] for p in (folder, path)]
    (folder / "F.npy").write_bytes((folder / "F.npy").read_bytes()[:200])
    path.unlink()
    for light in opened:
        with pytest.raises(FileFormatError, match=r"cut off|was changed or moved since"):
            light.load()


@pytest.mark.parametrize("parts", [{"unit": 2}, {"time": 10, "unit": 1}])
def test_dff_looks_at_dask_arrays_when_they_are_computed(parts):
    pytest.importorskip("dask")
    light = np.ones((60, 3))
    light[5, 1] = np.nan
    later = nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=1.0).chunk(parts), "maximin")
    with pytest.raises(SchemaError, match="Expected finite fluorescence, got 1 NaN"):
        later.compute()
    light[:, 1] = -1.0
    later = nks.io.dff(nks.io.from_fluorescence(light, sampling_rate=1.0).chunk(parts), "constant")
    with pytest.warns(DataWarning, match="baseline of 1 units is not above 0"):
        change = later.compute(scheduler="synchronous")["dff"]
    assert np.isnan(change.values).all(axis=0).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("baseline", "options"),
    [("maximin", {"smoothing": 1e12}), ("running_quantile", {"window": 1e12})],
)
def test_windows_no_memory_can_hold_are_refused(baseline, options):
    calcium = nks.io.from_fluorescence(np.ones((60, 2)), sampling_rate=10.0)
    with pytest.raises(ParameterError, match="at most 12 s, twice the recording"):
        nks.io.dff(calcium, baseline, **options)


@pytest.mark.parametrize("baseline", ["maximin", "running_minimum"])
@pytest.mark.parametrize("frames", [1, 2, 59, 60])
def test_windows_of_minima_may_be_longer_than_the_recording(baseline, frames):
    light = 1 + stream(0, "light", frames).random((frames, 2))
    calcium = nks.io.from_fluorescence(light, sampling_rate=10.0)
    if frames < 2:
        calcium = nks.io.from_fluorescence(np.ones((2, 2)), sampling_rate=10.0)
    last = [
        nks.io.dff(calcium, baseline, window=window, smoothing=0.2)["dff"].values
        for window in (100.0, 1e12)
    ]
    assert np.array_equal(*last)


@pytest.mark.parametrize("value", [None, np.ones(2), 1j, "0.7", True, np.nan, 1.1])
def test_a_coefficient_is_one_number(value):
    calcium = nks.io.from_fluorescence(np.ones((3, 1)), sampling_rate=1.0)
    calcium = calcium.assign(neuropil=calcium["fluorescence"] * 0.5)
    with pytest.raises(ParameterError, match="between 0 and 1, got"):
        nks.io.subtract_neuropil(calcium, value)


@pytest.mark.parametrize("options", [{"window": np.ones(2)}, {"window": 1j}, {"smoothing": [1]}])
def test_a_window_is_one_number(options):
    calcium = nks.io.from_fluorescence(np.ones((30, 1)), sampling_rate=1.0)
    with pytest.raises(ParameterError, match="in seconds, above 0, got"):
        nks.io.dff(calcium, **options)


@pytest.mark.parametrize("time", [["a", "b"], [1j, 2j], [[1.0], [1.0, 2.0]]])
def test_times_of_frames_are_numbers(time):
    with pytest.raises(SchemaError, match="Expected time as seconds of each frame"):
        nks.io.from_fluorescence(np.ones((2, 1)), time=time)


def test_complex_light_is_refused():
    with pytest.raises(SchemaError, match=r"complex numbers, of which \.real"):
        nks.io.from_fluorescence(np.ones((2, 1)) * 1j, sampling_rate=1.0)
