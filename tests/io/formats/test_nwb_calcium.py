"""Calcium in NWB: of other laboratories, and ours where other tools look for it."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from nwb_files import SAID, complaints, nwb_file, planes, same, write
from strategies import calcium_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError

FILE_SETTINGS = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Imaging:
    """Builds NWB files with planes of imaged units."""

    def __init__(self) -> None:
        from pynwb.ophys import ImageSegmentation

        self.file = nwb_file()
        self.device = self.file.create_device("scope", description="two photons")
        self.module = self.file.create_processing_module("ophys", "imaging")
        self.segmentation = ImageSegmentation()
        self.module.add(self.segmentation)

    def plane(self, name: str, **options):
        from pynwb.ophys import OpticalChannel

        imaging = self.file.create_imaging_plane(
            name=f"imaging_{name}",
            optical_channel=OpticalChannel(name="green", description="d", emission_lambda=510.0),
            description="one",
            device=self.device,
            excitation_lambda=920.0,
            indicator="GCaMP6s",
            location="V1",
            imaging_rate=15.0,
            grid_spacing=[1e-6, 2e-6],
            **options,
        )
        return self.segmentation.create_plane_segmentation("all cells", imaging, name=name)

    def series(self, container: str, name: str, data, rows, table, **clock):
        from pynwb.ophys import DfOverF, Fluorescence

        kind = DfOverF if container == "DfOverF" else Fluorescence
        if container not in self.module.data_interfaces:
            self.module.add(kind(name=container))
        self.module[container].create_roi_response_series(
            name=name,
            data=np.asarray(data),
            rois=table.create_roi_table_region("some", region=list(rows)),
            unit=clock.pop("unit", "n/a"),
            **clock,
        )


def test_calcium_of_another_laboratory(tmp_path):
    made = Imaging()
    table = made.plane("plane0")
    table.add_column("iscell", "two columns: label and probability")
    table.add_column("label", "of the atlas")
    for k in range(3):
        pixels = [(k, 2 * k, 0.5), (k + 1, 2 * k, 1.0)]
        table.add_roi(pixel_mask=pixels, iscell=[float(k != 1), k / 4], label=f"é{k}")
    light = np.arange(60, dtype=np.float32).reshape(20, 3)
    for container, values in [("Fluorescence", light), ("Neuropil", light / 2)]:
        made.series(container, "plane0", values, range(3), table, rate=15.0, starting_time=2.0)
    made.series("Deconvolved", "plane0", light / 8, range(3), table, rate=15.0, starting_time=2.0)
    counts = (light * 2).astype(np.int16)
    made.series(
        "DfOverF", "a", counts, range(3), table, rate=15.0, starting_time=2.0, conversion=0.25
    )
    session = nks.io.read(write(made.file, tmp_path / "a.nwb"))
    data, rois = session["/calcium"].to_dataset(), session["/rois"].to_dataset()
    assert set(data.data_vars) == {"fluorescence", "neuropil", "deconvolved", "dff"}
    assert not isinstance(data["fluorescence"].variable._data, np.ndarray)
    assert data["fluorescence"].dtype == np.float32
    assert np.array_equal(data["fluorescence"].values, light)
    assert np.array_equal(data["neuropil"].values, light / 2)
    assert np.array_equal(data["deconvolved"][3:7, 1].values, light[3:7, 1] / 8)
    assert data["dff"].dtype == np.float64
    assert np.array_equal(data["dff"].values, counts * 0.25)
    assert even_clock(data) == (2.0, 15.0)
    assert data["unit"].values.tolist() == [0, 1, 2]
    assert data["is_cell"].values.tolist() == [True, False, True]
    assert data["cell_probability"].values.tolist() == [0.0, 0.25, 0.5]
    assert data["label"].values.tolist() == ["é0", "é1", "é2"]
    assert data["roi_x"].values.tolist() == pytest.approx([2 / 3, 5 / 3, 8 / 3])
    expected = {
        "indicator": "GCaMP6s",
        "location": "V1",
        "imaging_rate": 15.0,
        "sampling_rate": 15.0,
        "excitation_lambda": 920.0,
        "emission_lambda": [510.0],
        "grid_spacing": [1e-6, 2e-6],
        "grid_spacing_unit": "meters",
        "microscope": "scope",
    }
    assert expected.items() <= data.attrs.items()
    assert rois["pixel_unit"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert rois["pixel_x"].values.tolist() == [0, 1, 1, 2, 2, 3]
    assert rois["pixel_y"].values.tolist() == [0, 0, 2, 2, 4, 4]
    assert rois["pixel_weight"].dtype == np.float32
    assert nks.io.roi_masks(session).values[2, 4, 3] == 1.0
    calcium_only = nks.io.read_calcium(tmp_path / "a.nwb", chunks={"time": 6})
    assert calcium_only["/calcium/dff"].chunksizes["time"] == (6, 6, 6, 2)
    copy = pickle.loads(pickle.dumps(data))
    assert np.array_equal(copy["dff"].values, counts * 0.25)
    with pytest.raises(ParameterError, match="its own times"):
        nks.io.read_calcium(tmp_path / "a.nwb", sampling_rate=1.0)
    with pytest.raises(FileFormatError, match=r"units table.*RoiResponseSeries.*nks\.io\.read"):
        nks.io.read_spikes(tmp_path / "a.nwb")


def test_several_planes_clocks_and_subsets(tmp_path):
    made = Imaging()
    first, second, third = (made.plane(n) for n in ("deep", "upper", "volume"))
    for _ in range(3):
        first.add_roi(image_mask=np.arange(6.0).reshape(2, 3))
    for k in range(2):
        second.add_roi(id=10 + k, image_mask=np.eye(2) * (k + 1))
    third.add_roi(voxel_mask=[(1, 2, 3, 0.5)])
    times = np.array([0.0, 0.1, 0.25, 0.3])
    light = np.arange(12.0).reshape(4, 3)
    made.series("Fluorescence", "deep", light, range(3), first, timestamps=times)
    made.series("Fluorescence", "some", light[:, [2, 0]], [2, 0], first, timestamps=times)
    made.series("Fluorescence", "upper", light[:, :2], range(2), second, rate=10.0)
    session = nks.io.read(write(made.file, tmp_path / "a.nwb"))
    assert list(session["calcium"].children) == ["deep", "deep_some", "upper"]
    assert list(session["rois"].children) == ["deep", "deep_some", "upper", "volume"]
    assert session["/calcium/deep/time"].values.tolist() == times.tolist()
    assert "sampling_rate" not in session["/calcium/deep"].attrs
    some = session["/calcium/deep_some"].to_dataset()
    assert some["unit"].values.tolist() == [2, 0]
    assert np.array_equal(some["fluorescence"].values, light[:, [2, 0]])
    assert session["/calcium/upper/unit"].values.tolist() == [10, 11]
    mask = session["/rois/deep/mask"]
    assert mask.dims == ("unit", "y", "x")
    # The standard's order is (roi, x, y): 2 columns of 3 rows.
    assert mask[0].values.tolist() == np.arange(6.0).reshape(2, 3).T.tolist()
    assert mask[1, 2].values.tolist() == [2, 5]
    assert mask[:, 1, 1].values.tolist() == [4, 4, 4]
    subset = session["/rois/deep_some/mask"]
    assert subset[1].values.tolist() == mask[0].values.tolist()
    assert subset[:, 0:2, 1].values.tolist() == [[3, 4], [3, 4]]
    voxel = session["/rois/volume"].to_dataset()
    assert [int(voxel[f"pixel_{a}"][0]) for a in "xyz"] == [1, 2, 3]
    with pytest.raises(SchemaError, match="choose one"):
        nks.core.schema.select(session, "calcium")


@SAID
def test_calcium_that_cannot_be_kept_is_named(tmp_path):
    made = Imaging()
    table = made.plane("plane0")
    for _ in range(2):
        table.add_roi(image_mask=np.ones((2, 2)))
    good = np.ones((3, 2))
    made.series("Fluorescence", "good", good, range(2), table, rate=1.0)
    made.series("Fluorescence", "back", good, range(2), table, timestamps=[0.0, 2.0, 1.0])
    made.series("Fluorescence", "wide", np.ones((3, 4)), range(2), table, rate=1.0)
    path = write(made.file, tmp_path / "a.nwb")
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read(path)
    text = " ".join(str(w.message) for w in caught)
    assert len(caught) == 1
    assert "Fluorescence/back (times that do not rise)" in text
    assert "Fluorescence/wide (values of shape (3, 4) for 2 regions)" in text
    assert list(session["calcium"].data_vars) == ["fluorescence"]
    with h5py.File(path, "a") as file:
        file["processing/ophys/Fluorescence/good/rois"][1] = 7
    with pytest.raises(FileFormatError, match="among the 2 of plane0"):
        nks.io.read(path)


def test_planes_are_where_other_tools_look_for_them(tmp_path):
    import pynwb

    path = tmp_path / "a.nwb"
    nks.io.write_nwb(planes(), path)
    same(planes(), nks.io.read(path))
    assert complaints(path) == []
    with pynwb.NWBHDF5IO(str(path), "r") as stream:
        file = stream.read()
        ophys = file.processing["ophys"]
        tables = ophys["ImageSegmentation"].plane_segmentations
        assert set(tables) == {"plane0", "plane1"}
        assert [tuple(p) for p in tables["plane0"]["pixel_mask"][0]] == [
            (5, 1, np.float32(0.2)),
            (5, 1, np.float32(0.3)),
        ]
        assert len(tables["plane0"]["pixel_mask"][1]) == 0
        assert set(ophys["Fluorescence"].roi_response_series) == {
            f"plane{k}_{n}" for k in range(2) for n in ("fluorescence", "neuropil")
        }
        series = ophys["Fluorescence"]["plane1_fluorescence"]
        assert (series.starting_time, series.rate) == (0.0, 11.0)
        assert series.rois.table is tables["plane1"]
        assert tables["plane1"].imaging_plane.imaging_rate == 11.0


@given(calcium_datasets())
@FILE_SETTINGS
def test_calcium_alone_comes_back(tmp_path, data):
    nks.io.write_nwb(data, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")
    xr.testing.assert_identical(back["/calcium"].to_dataset(), data)


def test_frames_without_a_rate_say_so(tmp_path):
    import pynwb

    data = nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0)
    data["time"].attrs["units"] = "frame"
    data = data.drop_attrs(deep=False)
    nks.io.write_nwb(data, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")["/calcium"].to_dataset()
    xr.testing.assert_identical(back, data)
    with pynwb.NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as stream:
        series = stream.read().processing["ophys"]["Fluorescence"]["fluorescence"]
        assert "times count frames" in series.comments
