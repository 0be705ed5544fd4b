"""NWB of every kind: what pynwb says of a file is what comes back, and what we write is NWB."""

from __future__ import annotations

import json
import pickle
import warnings
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from strategies import calcium_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError
from neurokit_sdr.snn import observe

FILE_SETTINGS = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: What pynwb says itself of the files that these tests make wrong on purpose.
SAID = pytest.mark.filterwarnings(
    "ignore:The linked table for DynamicTableRegion", "ignore:.*The second dimension of data"
)


def nwb_file():
    import pynwb

    return pynwb.NWBFile("a session", "id", datetime(2024, 1, 1, tzinfo=UTC))


def write(file, path: Path) -> Path:
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb's own opinions about this test's files
        with pynwb.NWBHDF5IO(str(path), "w") as stream:
            stream.write(file)
    return path


def same(one: xr.DataTree, other: xr.DataTree) -> None:
    """Every group is identical, to the dtype; NWB adds metadata to the root."""
    assert set(one.groups) == set(other.groups)
    assert one.attrs.items() <= other.attrs.items()
    for group in one.groups:
        if group == "/":
            continue
        a, b = (tree[group].to_dataset(inherit=False) for tree in (one, other))
        xr.testing.assert_identical(a, b)
        for name in a.variables:
            if a[name].dtype.kind not in "UTO":
                assert a[name].dtype == b[name].dtype, name


# -- calcium of other laboratories --------------------------------------------------------------


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


# -- signals of other laboratories --------------------------------------------------------------


def recorded(**columns):
    """A file with four electrodes on two probes, and an object to make series of them with."""
    file = nwb_file()
    device = file.create_device("probe", description="silicon")
    groups = [file.create_electrode_group(f"probe{k}", "d", "CA1", device) for k in range(2)]
    for name in columns:
        file.add_electrode_column(name, "given")
    for k in range(4):
        more = {name: values[k] for name, values in columns.items()}
        file.add_electrode(
            x=0.0, y=20.0 * k, z=float("nan"), location=f"L{k}", group=groups[k // 2], **more
        )
    return file


def electrical(file, name: str, data, rows, **options):
    from pynwb.ecephys import ElectricalSeries

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb's own opinions about this test's files
        region = file.create_electrode_table_region(list(rows), "some")
        return ElectricalSeries(name=name, data=np.asarray(data), electrodes=region, **options)


@SAID
def test_raw_data_of_two_probes_and_lfp_at_another_rate(tmp_path):
    from pynwb.ecephys import LFP

    file = recorded(channel_name=["A1", "A2", "B1", "B2"])
    raw = np.arange(200, dtype=np.int16).reshape(100, 2)
    for probe, rows in enumerate(([0, 1], [2, 3])):
        file.add_acquisition(
            electrical(
                file,
                f"raw{probe}",
                raw + probe,
                rows,
                rate=1000.0,
                starting_time=0.5,
                conversion=2e-6,
                offset=1e-3,
                channel_conversion=[1.0, 3.0],
                filtering="300 Hz high pass",
            )
        )
    lfp = electrical(
        file, "lfp", np.arange(10, dtype=np.float32), [3], timestamps=np.arange(10) / 7
    )
    file.create_processing_module("ecephys", "signals").add(LFP(electrical_series=lfp))
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    assert list(session["signal"].children) == ["lfp", "raw0", "raw1"]
    one = session["/signal/raw1"].to_dataset()
    assert not isinstance(one["signal"].variable._data, np.ndarray)
    expected = (raw + 1) * np.array([1.0, 3.0]) * 2e-6 + 1e-3
    assert np.array_equal(one["signal"].values, expected)
    assert np.array_equal(one["signal"][5:60:7, 1].values, expected[5:60:7, 1])
    assert one["signal"].attrs["units"] == "V"
    assert even_clock(one) == (0.5, 1000.0)
    assert one.attrs["sampling_rate"] == 1000.0
    assert one.attrs["filtering"] == "300 Hz high pass"
    assert one["channel"].values.tolist() == ["B1", "B2"]
    assert one["channel_unit"].values.tolist() == ["V", "V"]
    assert one["channel_type"].values.tolist() == ["misc", "misc"]
    assert one["electrode"].values.tolist() == [2, 3]
    assert one["location"].values.tolist() == ["L2", "L3"]
    assert one["group_name"].values.tolist() == ["probe1", "probe1"]
    assert one["y"].values.tolist() == pytest.approx([40e-6, 60e-6])
    assert one["y"].attrs["units"] == "m"
    assert np.isnan(one["z"].values).all()
    assert one["coord_frame"].values == "unknown"
    slow = session["/signal/lfp"].to_dataset()
    assert slow["signal"].shape == (10, 1)
    assert slow["signal"].dtype == np.float32
    assert slow["signal"][2:5].values.ravel().tolist() == [2, 3, 4]
    assert slow["signal"][:, 0].values.tolist() == list(range(10))
    assert slow["time"].values.tolist() == (np.arange(10) / 7).tolist()
    assert session["/electrodes/y"].attrs["units"] == "um"


def test_one_signal_without_names_and_with_a_gap(tmp_path):
    file = recorded()
    times = np.array([0.0, 0.1, 5.0, 5.1])
    file.add_acquisition(
        electrical(file, "raw", np.arange(12.0).reshape(4, 3), [2, 0, 0], timestamps=times)
    )
    signal = nks.io.read(write(file, tmp_path / "a.nwb"))["/signal"].to_dataset()
    assert signal["channel"].values.tolist() == ["2_0", "0_1", "0_2"]
    assert signal["time"].values.tolist() == times.tolist()
    assert "sampling_rate" not in signal.attrs


@SAID
def test_signals_that_cannot_be_kept_are_named(tmp_path):
    from pynwb.ecephys import SpikeEventSeries

    file = recorded()
    back = np.array([0.0, 0.2, 0.1])
    file.add_acquisition(electrical(file, "back", np.ones((3, 2)), [0, 1], timestamps=back))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb says itself that the shape is wrong
        file.add_acquisition(electrical(file, "wide", np.ones((3, 4)), [0, 1], rate=1.0))
    region = file.create_electrode_table_region([0], "one")
    file.add_acquisition(
        SpikeEventSeries(
            name="snippets", data=np.ones((2, 5)), timestamps=[0.0, 1.0], electrodes=region
        )
    )
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read(write(file, tmp_path / "a.nwb"))
    text = str(caught[0].message)
    assert "back (ElectricalSeries with times that do not rise)" in text
    assert "wide (ElectricalSeries with values of shape (3, 4) for 2 electrodes)" in text
    assert "snippets (SpikeEventSeries)" in text
    assert set(session.children) == {"electrodes"}


# -- units of several probes --------------------------------------------------------------------


def test_two_tables_of_units(tmp_path):
    from pynwb.misc import Units

    file = nwb_file()
    module = file.create_processing_module("ecephys", "sorted")
    for k, name in enumerate(("probeA", "probeB")):
        units = Units(name=name, description="sorted")
        units.add_unit(spike_times=[0.5 + k, 2.0], id=k)
        module.add(units)
    session = nks.io.read_spikes(write(file, tmp_path / "a.nwb"))
    assert list(session["spikes"].children) == ["probeA", "probeB"]
    assert session["/spikes/probeB/spike_time"].values.tolist() == [1.5, 2.0]
    with pytest.raises(SchemaError, match="choose one"):
        nks.core.schema.select(session, "spikes")
    nks.io.write_nwb(session, tmp_path / "b.nwb")
    same(session, nks.io.read(tmp_path / "b.nwb"))


# -- what we write ------------------------------------------------------------------------------


def planes(n_frames: int = 30) -> xr.DataTree:
    """Two planes with regions of interest, as a reader of suite2p gives them."""
    tree = {}
    for k in range(2):
        light = np.arange(n_frames * 3, dtype=np.float32).reshape(n_frames, 3) + k
        data = nks.io.from_fluorescence(light, sampling_rate=10.0 + k, unit=["a", "é", "c"])
        data = data.assign(neuropil=data["fluorescence"] / 2)
        data = data.assign_coords(is_cell=("unit", [True, False, True]))
        tree[f"/calcium/plane{k}"] = data.assign_attrs(indicator="GCaMP6f")
        pixel = np.array([2, 0, 0, 2])
        place = {"units": "pixel"}
        tree[f"/rois/plane{k}"] = xr.Dataset(
            {
                "pixel_unit": ("pixel", pixel),
                "pixel_y": ("pixel", pixel + 1, place),
                "pixel_x": ("pixel", pixel + 5, place),
                "pixel_weight": ("pixel", np.array([0.1, 0.2, 0.3, 0.4])),
            },
            {"unit": data["unit"]},
            {"height": 20, "width": 30},
        )
    return xr.DataTree.from_dict(tree)


def complaints(path: Path) -> list[str]:
    """What the NWB inspector finds that is critical or against best practice."""
    inspector = pytest.importorskip("nwbinspector")
    import pynwb

    assert not pynwb.validate(path=str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it says of its own options
        found = list(inspector.inspect_nwbfile(nwbfile_path=str(path)))
    return [
        f"{m.check_function_name}: {m.message}"
        for m in found
        if m.importance.name != "BEST_PRACTICE_SUGGESTION"
    ]


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


@given(spike_datasets())
@FILE_SETTINGS
def test_even_clocks_come_back_even_and_exact_after_slicing(tmp_path, spikes):
    light = np.arange(100.0).reshape(50, 2)
    whole = nks.io.from_fluorescence(light, sampling_rate=29.97)
    part = whole.isel(time=slice(7, None, 3))
    session = xr.DataTree.from_dict({"/spikes": spikes, "/calcium": part})
    nks.io.write_nwb(session, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")
    same(session, back)
    assert even_clock(back["/calcium"].to_dataset()) == even_clock(part)


def test_large_series_of_our_own_stay_in_the_file(tmp_path):
    light = np.arange(40_000.0).reshape(20_000, 2)
    data = nks.io.from_fluorescence(light, sampling_rate=30.0)
    nks.io.write_nwb(data, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")["/calcium"].to_dataset()
    assert not isinstance(back["fluorescence"].variable._data, np.ndarray)
    assert back["fluorescence"][100:103, 1].values.tolist() == [201, 203, 205]
    xr.testing.assert_identical(back, data)


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


def test_simulated_session_goes_through_nwb(tmp_path):
    spikes = nks.io.from_spike_times({"a": [0.5, 0.6], "b": []}, t_stop=2.0)
    seen = observe.calcium(spikes, rng=3)
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(seen, path)
    same(seen, nks.io.read(path))
    assert complaints(path) == []


@pytest.mark.filterwarnings("ignore:.*time counts frames:UserWarning")
def test_real_recordings_go_through_nwb(data_folder, tmp_path):
    for name in ("calcium/suite2p", "spikes/phy_nwb/A8604-211122.nwb"):
        session = nks.io.read(data_folder / name)
        path = tmp_path / "a.nwb"
        nks.io.write_nwb(session, path)
        back = nks.io.read(path)
        same(session, back)
        assert complaints(path) == []


def test_what_is_known_of_the_subject_is_kept_and_no_more(tmp_path):
    data = nks.io.from_fluorescence(np.ones((5, 2)), sampling_rate=1.0)
    tree = xr.DataTree.from_dict({"/calcium": data})
    nks.io.write_nwb(tree, tmp_path / "a.nwb")
    back = nks.io.read(tmp_path / "a.nwb")
    assert not [k for k in back.attrs if k.startswith("subject")]
    tree.attrs = {
        "subject_id": "m1",
        "subject_species": "Rattus norvegicus",
        "subject_description": "é",
    }
    nks.io.write_nwb(tree, tmp_path / "b.nwb")
    back = nks.io.read(tmp_path / "b.nwb")
    assert {k: v for k, v in back.attrs.items() if k.startswith("subject")} == tree.attrs
    assert complaints(tmp_path / "b.nwb") == []


def test_any_kind_can_be_written_alone(tmp_path):
    seconds = {"units": "s"}
    trials = xr.Dataset(
        {"start_time": ("trial", [0.0], seconds), "stop_time": ("trial", [1.0], seconds)}
    )
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.5], seconds),
            "event_duration": ("event", [0.0], seconds),
            "event_label": ("event", ["go"]),
        }
    )
    signal = xr.Dataset(
        {"signal": (("time", "channel"), np.ones((3, 1)), {"units": "V"})},
        coords={
            "time": ("time", [0.0, 0.1, 0.2], seconds),
            "channel": ["a"],
            "channel_type": ("channel", ["seeg"]),
            "channel_unit": ("channel", ["V"]),
        },
    )
    for kind, data in {"trials": trials, "events": events, "signal": signal}.items():
        nks.io.write_nwb(data, tmp_path / f"{kind}.nwb")
        back = nks.io.read(tmp_path / f"{kind}.nwb")
        xr.testing.assert_identical(back[f"/{kind}"].to_dataset(), data)
    with pytest.raises(SchemaError, match="any other that holds data"):
        nks.io.write_nwb(xr.DataTree.from_dict({"/a": xr.Dataset()}), tmp_path / "x.nwb")
    with pytest.raises(SchemaError, match="spike_time"):
        nks.io.write_nwb(xr.Dataset({"x": ("y", [1.0])}), tmp_path / "x.nwb")
    broken = planes()
    broken["/calcium/plane0"] = broken["/calcium/plane0"].to_dataset().drop_vars("unit")
    with pytest.raises(SchemaError, match="'unit'"):
        nks.io.write_nwb(broken, tmp_path / "x.nwb")
    assert not (tmp_path / "x.nwb").exists()


def test_root_metadata_is_one_json_object_deep(tmp_path):
    nks.io.write_nwb(planes(), tmp_path / "a.nwb")
    devices = json.loads(nks.io.read(tmp_path / "a.nwb").attrs["devices"])
    assert devices == {"microscope": {"description": "not described"}}


# -- electrodes, dates and subjects as other tools see them -------------------------------------


def opened(path: Path):
    import pynwb

    return pynwb.NWBHDF5IO(str(path), "r")


def signal_of(names: list[str], kinds: list[str]) -> xr.Dataset:
    n = len(names)
    return xr.Dataset(
        {"signal": (("time", "channel"), np.arange(4.0 * n).reshape(4, n), {"units": "V"})},
        coords={
            "time": ("time", np.arange(4) / 8, {"units": "s"}),
            "channel": names,
            "channel_type": ("channel", kinds),
            "channel_unit": ("channel", ["V"] * n),
            "x": ("channel", np.arange(n) / 1000, {"units": "m"}),
            "coord_frame": ((), "mri"),
        },
    )


@SAID
def test_electrodes_of_another_laboratory_stay_electrodes(tmp_path):
    file = recorded(shank=[0, 0, 1, 1])
    file.add_unit_column("quality", "of the unit")
    file.add_unit(spike_times=[0.5], electrodes=[1, 2], quality="good", id=4)
    file.add_unit(spike_times=[0.6], electrodes=[], quality="bad", id=5)
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    path = tmp_path / "b.nwb"
    nks.io.write_nwb(session, path)
    same(session, nks.io.read(path))
    with opened(path) as stream:
        back = stream.read()
        table = back.electrodes
        assert table["y"][:].tolist() == [0, 20, 40, 60]
        assert table["location"][:].tolist() == ["L0", "L1", "L2", "L3"]
        assert [g.name for g in table["group"][:]] == ["probe0", "probe0", "probe1", "probe1"]
        assert table["group_name"][:].tolist() == ["probe0", "probe0", "probe1", "probe1"]
        assert table["shank"][:].tolist() == [0, 0, 1, 1]
        assert back.electrode_groups["probe1"].location == "CA1"
        assert back.electrode_groups["probe1"].device.name == "probe"
        assert back.units["electrodes"][0].index.tolist() == [1, 2]
        assert len(back.units["electrodes"][1]) == 0
        assert not [n for n in back.scratch if n.startswith("electrodes")]


def test_electrodes_in_metres_are_micrometres_for_others_and_exact_for_us(tmp_path):
    metres = np.array([0.1, 0.0123, np.nan])
    electrodes = xr.Dataset(
        {"imp": ("electrode", ["n/a", "5", "6"]), "note": ((), "one for all")},
        coords={
            "electrode": ["A1", "A2", "A3"],
            "x": ("electrode", metres, {"units": "m"}),
            "group": ("electrode", ["a/b", "", "a/b"]),
        },
        attrs={"space": "mni"},
    )
    signal = signal_of(["A3", "A1"], ["seeg", "ecog"])
    session = xr.DataTree.from_dict({"/signal": signal, "/electrodes": electrodes})
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(session, path)
    same(session, nks.io.read(path))
    with opened(path) as stream:
        back = stream.read()
        assert back.electrodes["x"][:].tolist() == pytest.approx([1e5, 12300, np.nan], nan_ok=True)
        assert back.electrodes["group_name"][:].tolist() == ["a_b", "unknown", "a_b"]
        series = back.processing["signal"]["signal"]
        assert series.neurodata_type == "ElectricalSeries"
        assert series.electrodes.data[:].tolist() == [2, 0]
        assert series.electrodes.table is back.electrodes


def test_channels_are_electrodes_or_at_least_have_names(tmp_path):
    session = xr.DataTree.from_dict(
        {
            "/signal/brain": signal_of(["A1", "A2"], ["seeg", "eeg"]),
            "/signal/mixed": signal_of(["A1", "ECG"], ["seeg", "ecg"]),
        }
    )
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(session, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = nks.io.read(path)
    same(session, back)
    with opened(path) as stream:
        file = stream.read()
        assert file.electrodes["channel_name"][:].tolist() == ["A1", "A2"]
        assert file.electrodes["x"][:].tolist() == [0, 1000]
        module = file.processing["signal"]
        assert module["brain_signal"].neurodata_type == "ElectricalSeries"
        assert module["mixed_signal"].neurodata_type == "TimeSeries"
        assert module["mixed_channels"]["channel_name"][:].tolist() == ["A1", "ECG"]


def with_attrs(**attrs) -> xr.DataTree:
    tree = xr.DataTree.from_dict({"/signal": signal_of(["A1"], ["seeg"])})
    tree.attrs = attrs
    return tree


@pytest.mark.parametrize(
    ("source", "age", "written"),
    [
        ("BIDS, EDF", 25, "P25Y"),
        ("BIDS, EDF", "89+", "P89Y/"),
        ("BIDS, EDF", 0.5, "P183D"),
        ("BIDS, EDF", "n/a", "P0D/"),
        ("EDF", "P90D", "P90D"),
    ],
)
def test_age_is_iso_8601(tmp_path, source, age, written):
    session = with_attrs(source=source, subject_age=age, subject_sex="female")
    nks.io.write_nwb(session, tmp_path / "a.nwb")
    same(session, nks.io.read(tmp_path / "a.nwb"))
    with opened(tmp_path / "a.nwb") as stream:
        subject = stream.read().subject
        assert (subject.age, subject.sex) == (written, "F")


def test_what_nwb_does_not_take_is_left_out_with_a_word(tmp_path):
    session = with_attrs(subject_age=25, meas_date="2020-05-01T09:00:00")
    with pytest.warns(DataWarning) as caught:
        nks.io.write_nwb(session, tmp_path / "a.nwb")
    text = " ".join(str(w.message) for w in caught)
    assert "subject_age as ISO 8601" in text
    assert "meas_date as ISO 8601 with a time zone" in text
    same(session, nks.io.read(tmp_path / "a.nwb"))


def test_the_date_of_the_measurement_is_the_start_of_the_session(tmp_path):
    session = with_attrs(meas_date="2013-12-07T08:29:20.000000Z")
    nks.io.write_nwb(session, tmp_path / "a.nwb")
    with opened(tmp_path / "a.nwb") as stream:
        assert stream.read().session_start_time == datetime(2013, 12, 7, 8, 29, 20, tzinfo=UTC)


def test_moments_are_no_intervals(tmp_path):
    pytest.importorskip("pynwb.event")
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.25, 0.5], {"units": "s"}),
            "event_duration": ("event", [0.0, 0.1], {"units": "s"}),
            "event_label": ("event", ["go", "stop"]),
            "timestamp": ("event", [3, 4]),
        }
    )
    nks.io.write_nwb(events, tmp_path / "a.nwb")
    xr.testing.assert_identical(nks.io.read(tmp_path / "a.nwb")["/events"].to_dataset(), events)
    assert complaints(tmp_path / "a.nwb") == []
    with opened(tmp_path / "a.nwb") as stream:
        table = next(o for o in stream.read().objects.values() if o.name == "events")
        assert table.neurodata_type == "EventsTable"
        assert table["timestamp"][:].tolist() == [0.25, 0.5]


def test_a_scalar_beside_a_table_is_kept(tmp_path):
    seconds = {"units": "s"}
    trials = xr.Dataset(
        {
            "start_time": ("trial", [0.0], seconds),
            "stop_time": ("trial", [1.0], seconds),
            "note": ((), "of all trials"),
        }
    )
    nks.io.write_nwb(trials, tmp_path / "a.nwb")
    xr.testing.assert_identical(nks.io.read(tmp_path / "a.nwb")["/trials"].to_dataset(), trials)


def test_a_path_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    nks.io.write_nwb(signal_of(["A1"], ["seeg"]), "~/a.nwb")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nwb"]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 2), (5, 4), (1,)])
@pytest.mark.parametrize("stands", ["alone", "in a Position"])
def test_positions_of_every_shape_are_read(tmp_path, shape, stands):
    import pynwb

    file, values = nwb_file(), np.arange(float(np.prod(shape))).reshape(shape)
    file.add_unit(spike_times=[0.1, 0.2])
    module = file.create_processing_module(name="behavior", description="of the animal")
    clock = {"rate": 10.0, "starting_time": 0.0}
    if stands == "alone":
        module.add(pynwb.TimeSeries(name="position", data=values, unit="m", **clock))
    else:
        track = pynwb.behavior.SpatialSeries(
            name="track", data=values[:, :3] if values.ndim > 1 else values, **clock
        )
        values = track.data
        module.add(pynwb.behavior.Position(spatial_series=track))
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    assert np.array_equal(session["/behavior"]["position"].values, values)


# -- files that are not what they say -----------------------------------------------------------


def test_nwb_that_points_elsewhere_or_claims_too_much(tmp_path):
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(planes(2000), path)
    series = "processing/ophys/Fluorescence/plane0_fluorescence/data"

    def changed(name: str):
        copy = tmp_path / name
        copy.write_bytes(path.read_bytes())
        return copy, h5py.File(copy, "a")

    copy, file = changed("link.nwb")
    with file:
        del file[series]
        file[series] = h5py.ExternalLink("a.nwb", series)
    with pytest.raises(FileFormatError, match="external links are not followed"):
        nks.io.read(copy)
    copy, file = changed("virtual.nwb")
    with file:
        del file[series]
        layout = h5py.VirtualLayout((2000, 3), "f4")
        layout[:] = h5py.VirtualSource("a.nwb", series, (2000, 3))
        file.create_virtual_dataset(series, layout)
    with pytest.raises(FileFormatError, match="external storage is not read"):
        nks.io.read(copy)
    copy, file = changed("huge.nwb")
    with file:
        del file["processing/ophys/Fluorescence/plane0_fluorescence/data"]
        file.create_dataset(series, (10**9, 10**6), "f8", chunks=(1000, 10))
    with pytest.raises(FileFormatError, match="claims 8,000,000,000,000,000 bytes"):
        nks.io.read(copy)
    copy.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileFormatError):
        nks.io.read(copy)
