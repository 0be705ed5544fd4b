"""suite2p: what comes back is what the folder holds, and what cannot be read says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calcium_files import FILE_SETTINGS, roi, same, suite2p_plane
from hypothesis import given
from strategies import calcium_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError
from neurokit_sdr.snn import observe

SUITE2P = "calcium/suite2p/plane0"


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
