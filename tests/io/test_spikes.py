"""Readers of spikes: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from strategies import count_datasets, session_trees, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import (
    DataWarning,
    FileFormatError,
    MissingDependencyError,
    NeurokitError,
    ParameterError,
    SchemaError,
)

REAL_NWB = "spikes/phy_nwb/A8604-211122.nwb"
FILE_SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def groups_of(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    # A node that only leads to other nodes holds nothing that a file could keep.
    found = {n.path: n.to_dataset(inherit=False) for n in tree.subtree if n.path != "/"}
    return {k: v for k, v in found.items() if v.variables or v.attrs}


# -- strategies and from_spike_times ------------------------------------------------------------


@given(spike_datasets())
@settings(deadline=None)
def test_strategy_of_spikes_follows_the_schema(spikes):
    assert schema.check(spikes, "spikes") is spikes


@given(count_datasets())
@settings(deadline=None)
def test_strategy_of_counts_follows_the_schema(counts):
    assert schema.check(counts, "counts") is counts


@given(spike_datasets())
@settings(deadline=None)
def test_from_spike_times_gives_back_each_units_times(spikes):
    times = {
        unit: spikes["spike_time"].values[spikes["spike_unit"].values == k]
        for k, unit in enumerate(spikes["unit"].values.tolist())
    }
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    made = nks.io.from_spike_times(times, t_start=start, t_stop=stop)
    assert np.array_equal(made["unit"].values, spikes["unit"].values)
    assert np.array_equal(made["spike_time"].values, spikes["spike_time"].values)
    assert np.array_equal(made["spike_unit"].values, spikes["spike_unit"].values)


def test_from_spike_times_says_where_t_stop_comes_from():
    spikes = nks.io.from_spike_times({"a": [0.5, 2.5], "b": []})
    assert spikes.attrs["t_stop"] == 2.5
    assert "last spike" in spikes.attrs["t_stop_source"]
    silent = nks.io.from_spike_times({1: [], 2: []}, t_stop=3)
    assert silent.sizes == {"spike": 0, "unit": 2}
    assert silent.attrs["t_stop"] == 3.0


@pytest.mark.parametrize(
    ("times", "options", "says"),
    [
        ({}, {}, "at least one unit"),
        ([[0.1]], {}, r"dict\(enumerate"),
        ({"a": [-0.1, 0.2]}, {}, "unit a.*t_start that covers"),
        ({"a": [0.1], "b": [0.3, 0.2]}, {}, "unit b.*sort"),
        ({"a": [0.1, np.nan]}, {}, "NaN.*unit a.*drop"),
        ({"a": [0.1, np.inf]}, {}, "unit a"),
        ({"a": [[0.1], [0.2]]}, {}, "one-dimensional.*ravel"),
        ({"a": 0.5}, {}, "one-dimensional"),
        ({"a": ["x"]}, {}, "numbers in seconds"),
        ({"a": [0.1], 1: [0.2]}, {}, "all text or all whole numbers"),
        ({"a": [0.1, 0.2]}, {"t_stop": 0.15}, "inside the recording"),
    ],
)
def test_from_spike_times_refuses(times, options, says):
    with pytest.raises(SchemaError, match=says):
        nks.io.from_spike_times(times, **options)


def test_negative_times_are_allowed_where_t_start_covers_them():
    spikes = nks.io.from_spike_times({"a": [-0.1, 0.2]}, t_start=-1.0)
    assert spikes.attrs["t_start"] == -1.0


# -- NWB that we write --------------------------------------------------------------------------


@given(session_trees())
@FILE_SETTINGS
def test_nwb_gives_back_what_was_written(tmp_path, tree):
    path = tmp_path / "session.nwb"
    nks.io.write_nwb(tree, path)
    back = nks.io.read_spikes(path)
    expected, found = groups_of(tree), groups_of(back)
    assert set(expected) == set(found)
    for name, dataset in expected.items():
        xr.testing.assert_identical(dataset, found[name])
        for variable in dataset.variables:
            if dataset[variable].dtype.kind != "U":  # widths of text follow the longest
                assert dataset[variable].dtype == found[name][variable].dtype
    assert tree.attrs.items() <= back.attrs.items()


@given(spike_datasets())
@FILE_SETTINGS
def test_spikes_in_order_of_time_come_back_unit_by_unit(tmp_path, spikes):
    path = tmp_path / "spikes.nwb"
    by_time = spikes.isel(spike=np.argsort(spikes["spike_time"].values, kind="stable"))
    nks.io.write_nwb(by_time, path)
    back = nks.io.read_spikes(path)["/spikes"].to_dataset()
    xr.testing.assert_identical(back["spike_time"], spikes["spike_time"])
    xr.testing.assert_identical(back["spike_unit"], spikes["spike_unit"])


def full_session() -> xr.DataTree:
    spikes = nks.io.from_spike_times({"a": [0.1, 0.2], "b": []}, t_stop=3.0)
    bins = (np.arange(2000) + 0.5) * 0.001
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"lab": "ours", "subject_id": "m1", "seed": 3}),
            "/spikes": spikes.assign_coords(brain_area=("unit", ["CA1", "CA3"])),
            "/trials": xr.Dataset(
                {
                    "start_time": ("trial", [0.0, 1.0], {"units": "s"}),
                    "stop_time": ("trial", [1.0, 2.0], {"units": "s"}),
                    "reward": ("trial", [True, False]),
                }
            ),
            "/truth": xr.Dataset(
                {
                    "state": ("time", np.arange(2000) // 500),
                    "weight": (("state_index", "target", "source"), np.ones((4, 2, 2))),
                },
                coords={"time": ("time", bins, {"units": "s"}), "target": ["a", "b"]},
            ),
        }
    )


def test_written_nwb_is_valid_and_the_same_byte_for_byte(tmp_path):
    import pynwb

    paths = [tmp_path / "one.nwb", tmp_path / "two.nwb"]
    for path in paths:
        nks.io.write_nwb(full_session(), path, identifier="x")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not pynwb.validate(path=str(paths[0]))


def test_other_tools_find_the_standard_parts(tmp_path):
    import pynwb

    path = tmp_path / "session.nwb"
    start = "2024-05-01T09:00:00+00:00"
    nks.io.write_nwb(full_session(), path, identifier="id1", session_start_time=start)
    with pynwb.NWBHDF5IO(str(path), "r") as stream:
        file = stream.read()
        assert file.identifier == "id1"
        assert file.session_start_time == datetime(2024, 5, 1, 9, tzinfo=UTC)
        assert file.subject.subject_id == "m1"
        assert file.lab == "ours"
        assert file.units["spike_times"][0].tolist() == [0.1, 0.2]
        assert file.units["spike_times"][1].size == 0
        assert file.units["obs_intervals"][0].tolist() == [[0.0, 3.0]]
        assert list(file.units["brain_area"].data[:]) == ["CA1", "CA3"]
        assert file.trials["reward"].data[:].tolist() == [True, False]
        state = file.processing["truth"]["state"]
        assert state.data[:].tolist() == (np.arange(2000) // 500).tolist()
        times = (
            state.timestamps[:]
            if state.rate is None
            else (state.starting_time + np.arange(2000) / state.rate)
        )
        assert np.array_equal(times, full_session()["/truth/time"].values)


def imaged_session() -> xr.DataTree:
    """Calcium with all that the kind may hold, and a signal in trials."""
    tree = full_session()
    trace = np.arange(8.0).reshape(4, 2)
    tree["/calcium"] = xr.Dataset(
        {
            "fluorescence": (("time", "unit"), trace, {"units": "1"}),
            "dff": (("time", "unit"), np.where(trace > 6, np.nan, trace)),
            "shift": (("time", "space"), np.zeros((4, 2))),
            "footprint": (("unit", "pixel"), np.eye(2)),
        },
        coords={
            "time": ("time", [0.1, 0.2, 0.4, 0.7], {"units": "s"}),
            "unit": ["a", "b"],
            "x": ("unit", [1e-4, 2e-4], {"units": "m"}),
            "is_cell": ("unit", [True, False]),
        },
        attrs={"frame_rate": 30.0, "indicator": "GCaMP6f"},
    )
    tree["/signal"] = xr.Dataset(
        {"signal": (("trial", "time", "channel"), np.ones((2, 3, 1)), {"units": "T"})},
        coords={
            "time": ("time", [0.0, 0.1, 0.2], {"units": "s"}),
            "channel": ["M1"],
            "channel_type": ("channel", ["mag"]),
            "channel_unit": ("channel", ["T"]),
        },
    )
    return tree


def test_calcium_lies_where_other_tools_look_for_it(tmp_path):
    import pynwb

    paths = [tmp_path / "one.nwb", tmp_path / "two.nwb"]
    for path in paths:
        nks.io.write_nwb(imaged_session(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not pynwb.validate(path=str(paths[0]))
    with pynwb.NWBHDF5IO(str(paths[0]), "r") as stream:
        file = stream.read()
        ophys = file.processing["ophys"]
        series = ophys["Fluorescence"]["fluorescence"]
        assert type(series).__name__ == "RoiResponseSeries"
        assert series.data[:].tolist() == np.arange(8.0).reshape(4, 2).tolist()
        assert series.timestamps[:].tolist() == [0.1, 0.2, 0.4, 0.7]
        table = series.rois.table
        assert table["x"].data[:].tolist() == [1e-4, 2e-4]
        assert table["is_cell"].data[:].tolist() == [True, False]
        assert table.imaging_plane.indicator == "GCaMP6f"
        assert np.isnan(table.imaging_plane.excitation_lambda)
        assert set(ophys["DfOverF"].roi_response_series) == {"dff"}
        assert "shift" in ophys.data_interfaces
    back = nks.io.read_spikes(paths[0])
    expected, found = groups_of(imaged_session()), groups_of(back)
    assert set(expected) == set(found)
    for name, dataset in expected.items():
        xr.testing.assert_identical(dataset, found[name])
    nks.io.write_nwb(back, tmp_path / "three.nwb")
    again = groups_of(nks.io.read_spikes(tmp_path / "three.nwb"))
    xr.testing.assert_identical(again["/calcium"], expected["/calcium"])


def test_calcium_that_breaks_the_schema_is_not_written(tmp_path):
    tree = imaged_session()
    tree["/calcium"] = tree["/calcium"].to_dataset().drop_vars("unit")
    with pytest.raises(SchemaError, match="'unit'"):
        nks.io.write_nwb(tree, tmp_path / "x.nwb")
    tree = imaged_session()
    tree["/signal"] = tree["/signal"].to_dataset().drop_vars("channel_unit")
    with pytest.raises(SchemaError, match="channel_unit"):
        nks.io.write_nwb(tree, tmp_path / "x.nwb")
    assert list(tmp_path.iterdir()) == []


def test_session_metadata_survives_a_second_round(tmp_path):
    nks.io.write_nwb(full_session(), tmp_path / "a.nwb", session_description="once")
    first = nks.io.read_spikes(tmp_path / "a.nwb")
    nks.io.write_nwb(first, tmp_path / "b.nwb")
    second = nks.io.read_spikes(tmp_path / "b.nwb")
    assert first.attrs == second.attrs
    assert first.attrs["session_description"] == "once"
    assert first.attrs["seed"] == 3
    nks.io.write_nwb(first, tmp_path / "c.nwb", identifier="new")
    assert nks.io.read_spikes(tmp_path / "c.nwb").attrs["identifier"] == "new"


def test_writer_refuses_what_it_cannot_keep(tmp_path):
    path = tmp_path / "x.nwb"
    with pytest.raises(SchemaError, match="/spikes"):
        nks.io.write_nwb(xr.DataTree.from_dict({"/truth": xr.Dataset()}), path)
    with pytest.raises(ParameterError, match="time zone"):
        nks.io.write_nwb(full_session(), path, session_start_time="2024-05-01")
    tree = full_session()
    tree["/truth"] = xr.Dataset({"when": ("k", np.array(["2024-01-01"], "datetime64[ns]"))})
    with pytest.raises(SchemaError, match="ISO text"):
        nks.io.write_nwb(tree, path)
    tree = full_session()
    tree["/spikes"] = tree["/spikes"].to_dataset().assign_coords(q=("unit", ["a\0b", "c"]))
    with pytest.raises(SchemaError, match="NUL"):
        nks.io.write_nwb(tree, path)
    assert list(tmp_path.iterdir()) == []


# -- NWB that others write ----------------------------------------------------------------------


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


def units_file(tmp_path: Path, times: list, **options) -> Path:
    file = nwb_file()
    for k, t in enumerate(times):
        file.add_unit(
            spike_times=np.asarray(t, dtype=float), **{n: v[k] for n, v in options.items()}
        )
    return write(file, tmp_path / "units.nwb")


@pytest.fixture
def laboratory_nwb(tmp_path) -> Path:
    with warnings.catch_warnings():
        # What pynwb now discourages (AnnotationSeries) is in most of the files that there are.
        warnings.simplefilter("ignore")
        return write(laboratory_file(), tmp_path / "laboratory.nwb")


def laboratory_file():
    """One file with most of what laboratories put into NWB."""
    import pynwb
    from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries
    from pynwb.misc import AnnotationSeries, IntervalSeries

    file = nwb_file()
    file.experimenter = ["A, B"]
    file.subject = pynwb.file.Subject(subject_id="s1", species="Mus musculus", age="P90D")
    device = file.create_device("probe", description="silicon")
    shank = file.create_electrode_group("shank", "one shank", "CA1", device)
    for k in range(4):
        file.add_electrode(x=0.0, y=20.0 * k, z=0.0, location=["CA1", "CA3"][k // 2], group=shank)
    file.add_unit_column("quality", "by the curator")
    file.add_unit_column("tuning", "a vector")
    file.add_unit_column("spike_amps", "per spike", index=True)
    for k, t in enumerate([[0.5, 1.0], [], [0.25, 0.25, 9.0]]):
        file.add_unit(
            id=10 + k,
            spike_times=t,
            electrodes=[k, k + 1],
            quality=["good", "mua", "good"][k],
            tuning=[float(k), 1.0],
            spike_amps=[1.0 + i for i in range(len(t))],
            waveform_mean=np.full(5, k, dtype=float),
            obs_intervals=[[0.0, 4.0], [6.0, 10.0]],
        )
    file.add_trial_column("choice", "left or right")
    file.add_trial(start_time=0.0, stop_time=1.0, choice="left")
    file.add_trial(start_time=2.0, stop_time=9.5, choice="right")
    file.add_epoch(0.0, 5.0, ["wake", "run"])
    file.add_epoch(5.0, 10.0, ["sleep"])
    behavior = file.create_processing_module("behavior", "behaviour")
    place = SpatialSeries(
        name="head",
        data=np.arange(20).reshape(10, 2),
        timestamps=np.linspace(0, 9, 10),
        reference_frame="corner",
        conversion=0.01,
        unit="meters",
    )
    behavior.add(Position(name="Position", spatial_series=place))
    speed = pynwb.TimeSeries(
        name="speed", data=np.arange(5.0), unit="m/s", rate=2.0, starting_time=1.0
    )
    behavior.add(BehavioralTimeSeries(name="movement", time_series=speed))
    behavior.add(IntervalSeries(name="licks", data=[1, -1, 1, -1], timestamps=[0.5, 0.6, 1.5, 1.7]))
    file.add_acquisition(AnnotationSeries(name="notes", data=["on", "off"], timestamps=[1.0, 2.0]))
    electrodes = file.create_electrode_table_region([0, 1], "two")
    raw = ElectricalSeries(
        name="raw_lfp", data=np.zeros((100, 2)), electrodes=electrodes, rate=10.0
    )
    file.create_processing_module("ecephys", "signals").add(LFP(electrical_series=raw))
    file.add_scratch(np.arange(3), name="scribble", description="a note")
    return file


def test_everything_in_a_laboratory_nwb_is_kept_or_named(laboratory_nwb):
    with pytest.warns(DataWarning) as caught:
        tree = nks.io.read_spikes(laboratory_nwb)
    assert all(w.filename == __file__ for w in caught)  # they point at the caller's line
    text = " ".join(str(w.message) for w in caught)
    assert len(caught) == 2
    assert "raw_lfp" not in text
    assert tree["/signal/signal"].shape == (100, 2)
    assert "scribble" in text
    assert "gap" in text
    for kept in ("head", "speed", "licks", "notes", "trials", "epochs", "tuning", "probe"):
        assert kept not in text

    spikes = tree["/spikes"].to_dataset()
    assert spikes["unit"].values.tolist() == [10, 11, 12]
    assert spikes["spike_time"].values.tolist() == [0.5, 1.0, 0.25, 0.25, 9.0]
    assert spikes["spike_unit"].values.tolist() == [0, 0, 2, 2, 2]
    assert spikes["quality"].values.tolist() == ["good", "mua", "good"]
    assert spikes["brain_area"].values.tolist() == ["CA1", "CA1, CA3", "CA3"]
    assert spikes["spike_amps"].values.tolist() == [1.0, 2.0, 1.0, 2.0, 3.0]
    assert spikes["tuning"].values.tolist() == [[0, 1], [1, 1], [2, 1]]
    assert spikes["waveform_mean"].shape == (3, 5)
    assert spikes["electrodes"].values.tolist() == [0, 1, 1, 2, 2, 3]
    assert spikes["electrodes_unit"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert {"unit", "quality", "brain_area"} <= set(spikes.coords)
    assert (spikes.attrs["t_start"], spikes.attrs["t_stop"]) == (0.0, 10.0)
    assert "observation" in spikes.attrs["t_stop_source"]
    observed = tree["/observation_intervals"]
    assert observed["interval_unit"].values.tolist() == [0, 0, 1, 1, 2, 2]
    assert observed["stop_time"].values.tolist() == [4.0, 10.0] * 3

    assert tree["/electrodes/y"].values.tolist() == [0.0, 20.0, 40.0, 60.0]
    assert tree["/electrodes/y"].attrs["units"] == "um"
    assert "one shank" in tree["/electrodes"].attrs["electrode_groups"]
    assert tree["/trials/choice"].values.tolist() == ["left", "right"]
    assert tree["/trials/stop_time"].values.tolist() == [1.0, 9.5]
    assert tree["/epochs/tags"].values.tolist() == ["wake, run", "sleep"]
    position = tree["/behavior/position/position"]
    assert position.dims == ("time", "space")
    assert position.attrs["units"] == "meters"
    assert position.attrs["name_in_file"] == "head"
    assert np.allclose(position.values, np.arange(20).reshape(10, 2) * 0.01)
    speed = tree["/behavior/speed/speed"]
    assert speed["time"].values.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert tree["/intervals/licks/stop_time"].values.tolist() == [0.6, 1.7]
    assert tree["/events/event_label"].values.tolist() == ["on", "off"]
    assert tree.attrs["subject_species"] == "Mus musculus"
    assert tree.attrs["session_start_time"] == "2024-01-01T00:00:00+00:00"
    assert tree.attrs["experimenter"] == ["A, B"]


def test_events_tables_are_joined_in_order(tmp_path):
    import pynwb

    if not hasattr(pynwb.NWBFile, "create_events_table"):
        pytest.skip("this pynwb knows no EventsTable")
    file = nwb_file()
    file.add_unit(spike_times=[0.5])
    licks = file.create_events_table(name="licks", description="of the spout")
    licks.add_column(name="side", description="left or right")
    licks.add_event(timestamp=2.0, duration=0.1, side="left")
    sounds = file.create_events_table(name="sounds", description="tones")
    sounds.add_column(name="pitch", description="in Hz")
    sounds.add_event(timestamp=1.0, annotation="go", pitch=440.0)
    events = nks.io.read_spikes(write(file, tmp_path / "a.nwb"))["/events"].to_dataset()
    assert events["event_onset"].values.tolist() == [1.0, 2.0]
    assert events["event_duration"].values.tolist() == [0.0, 0.1]
    assert events["event_label"].values.tolist() == ["go", "licks"]
    assert events["event_source"].values.tolist() == ["sounds", "licks"]
    assert events["side"].values.tolist() == ["", "left"]
    np.testing.assert_array_equal(events["pitch"].values, [440.0, np.nan])


def test_series_of_one_clock_share_behavior_and_large_ones_stay_in_the_file(tmp_path, monkeypatch):
    import pynwb

    from neurokit_sdr.io.formats.nwb import tables as nwb_tables

    monkeypatch.setattr(nwb_tables, "LAZY_SIZE", 10)
    file = nwb_file()
    file.add_unit(spike_times=[0.5])
    for name, conversion in (("pupil", 0.5), ("wheel", 1.0)):
        file.add_acquisition(
            pynwb.TimeSeries(
                name=name, data=np.arange(40), unit="mm", rate=10.0, conversion=conversion
            )
        )
    tree = nks.io.read_spikes(write(file, tmp_path / "a.nwb"))
    behavior = tree["/behavior"].to_dataset()
    assert set(behavior.data_vars) == {"pupil", "wheel"}
    assert not isinstance(behavior["pupil"].variable._data, np.ndarray)
    assert behavior["pupil"][3:5].values.tolist() == [1.5, 2.0]
    assert behavior["wheel"].dtype == np.int64
    assert behavior["wheel"].values.tolist() == list(range(40))
    assert tree["/spikes"].attrs["t_stop"] == 4.0
    assert "series" in tree["/spikes"].attrs["t_stop_source"]


def test_recording_end_without_any_hint_is_the_last_spike(tmp_path):
    spikes = nks.io.read_spikes(units_file(tmp_path, [[0.5, 2.0], [1.0]]))["/spikes"]
    assert (spikes.attrs["t_start"], spikes.attrs["t_stop"]) == (0.0, 2.0)
    assert "last spike" in spikes.attrs["t_stop_source"]


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([[0.1], [0.3, 0.2]], "unit 1 .*sort"),
        ([[-0.5, 0.2]], "-0.5 s in unit 0"),
        ([[0.1, np.nan]], "NaN.*unit 0"),
    ],
)
def test_bad_spike_times_in_nwb_name_the_unit(tmp_path, times, says):
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_spikes(units_file(tmp_path, times))


def test_duplicate_unit_ids_in_nwb(tmp_path):
    path = units_file(tmp_path, [[0.1], [0.2]], id=[4, 4])
    with pytest.raises(FileFormatError, match=r"\[4\] more than once.*distinct ids"):
        nks.io.read_spikes(path)


def test_nwb_without_units_says_what_it_holds(tmp_path):
    import pynwb

    file = nwb_file()
    file.add_acquisition(pynwb.TimeSeries(name="wheel", data=[1.0], unit="m", rate=1.0))
    with pytest.raises(FileFormatError, match=r"units table.*TimeSeries wheel.*Sort the spikes"):
        nks.io.read_spikes(write(file, tmp_path / "a.nwb"))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_nwb(tmp_path, laboratory_nwb, share):
    content = laboratory_nwb.read_bytes()
    path = tmp_path / "cut.nwb"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileFormatError, match=r"again|complete"):
        nks.io.read_spikes(path)


def test_damaged_index_is_refused(tmp_path):
    path = units_file(tmp_path, [[0.1, 0.2], [0.3]])
    with h5py.File(path, "r+") as file:
        file["units/spike_times_index"][...] = [3, 2]
    with pytest.raises(FileFormatError, match=r"spike_times.*damaged"):
        nks.io.read_spikes(path)


def test_links_to_other_files_are_refused(tmp_path):
    path = units_file(tmp_path, [[0.1]])
    with h5py.File(path, "r+") as file:
        file["analysis/elsewhere"] = h5py.ExternalLink("other.h5", "/secret")
    with pytest.raises(FileFormatError, match=r"external links are not followed"):
        nks.io.read_spikes(path)


def test_hdf5_that_links_in_circles_does_not_hang(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["back"] = file["/"]
    with pytest.raises(FileFormatError, match="neo found none"):
        nks.io.read_spikes(path)


@pytest.mark.parametrize("name", ["a.nwb", "a.h5", "a.plx", "a.xyz", "a.mat", "a.nev"])
def test_empty_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileFormatError, match="empty"):
        nks.io.read_spikes(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nwb", "a.plx", "a.xyz", "a.mat", "a.txt", "a.nex", "a.rhd"])
def test_nonsense_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense\n" * 50)
    with pytest.raises(FileFormatError):
        nks.io.read_spikes(tmp_path / name)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["a.pkl", "a.nwb", "a.mat"])
def test_pickles_are_not_opened(tmp_path, name, protocol):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(FileFormatError):
        nks.io.read_spikes(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_missing_paths_and_folders(tmp_path):
    with pytest.raises(FileFormatError, match="found nothing"):
        nks.io.read_spikes(tmp_path / "no.nwb")
    with pytest.raises(FileFormatError, match="empty"):
        nks.io.read_spikes(tmp_path)
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(FileFormatError, match="Zarr"):
        nks.io.read_spikes(tmp_path)


def test_real_nwb_equals_what_h5py_says(data_folder):
    path = data_folder / REAL_NWB
    if not path.exists():
        pytest.skip(f"{REAL_NWB} is not in the data folder")
    tree = nks.io.read_spikes(path)
    spikes = tree["/spikes"].to_dataset()
    with h5py.File(path) as file:
        units = file["units"]
        assert np.array_equal(spikes["spike_time"].values, units["spike_times"][:])
        ends = units["spike_times_index"][:].astype(int)
        assert (
            np.bincount(spikes["spike_unit"].values).tolist() == np.diff(ends, prepend=0).tolist()
        )
        assert np.array_equal(spikes["unit"].values, units["id"][:])
        assert np.array_equal(spikes["group"].values, units["group"][:])
        epochs = file["intervals/epochs"]
        assert np.array_equal(tree["/epochs/stop_time"].values, epochs["stop_time"][:])
        electrodes = file["general/extracellular_ephys/electrodes"]
        assert tree["/electrodes"].sizes["electrode"] == electrodes["id"].shape[0]
        assert tree.attrs["identifier"] == file["identifier"].asstr()[()]
    assert spikes.sizes == {"spike": 21354, "unit": 3}
    assert tree["/epochs/tags"].values.tolist() == ["wake"]
    assert spikes.attrs["t_stop"] == tree["/epochs/stop_time"].values[-1]
    counts = nks.bin_spikes(tree, 0.02)
    assert int(counts["count"].sum()) == 21354


# -- Phy and Kilosort ---------------------------------------------------------------------------


def phy_folder(
    folder: Path, parameters: str = "sample_rate = 30000.\nhp_filtered = False\n"
) -> Path:
    """Three clusters; the third (9) came from merging templates 1 and 2."""
    folder.mkdir(exist_ok=True)
    (folder / "params.py").write_text(parameters)
    np.save(folder / "spike_times.npy", np.array([[30], [3000], [6000], [9000], [30000]], "u8"))
    np.save(folder / "spike_clusters.npy", np.array([9, 0, 9, 9, 0], "i4"))
    np.save(folder / "spike_templates.npy", np.array([1, 0, 2, 2, 0], "u4"))
    np.save(folder / "amplitudes.npy", np.arange(5.0))
    np.save(folder / "channel_positions.npy", np.array([[0.0, 10.0], [16.0, 30.0], [0.0, 50.0]]))
    np.save(folder / "channel_map.npy", np.array([[4], [5], [6]]))
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n0\tgood\n7\tnoise\n")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n0\tmua\n7\tmua\n9\tmua\n")
    return folder


def test_phy_folder(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    shapes = np.zeros((3, 4, 3), np.float32)
    shapes[0, :, 0], shapes[1, :, 1], shapes[2, :, 2] = (np.arange(4),) * 3
    np.save(folder / "templates.npy", shapes)
    with pytest.warns(DataWarning, match=r"templates\.npy"):
        tree = nks.io.read_spikes(folder)
    spikes = tree["/spikes"].to_dataset()
    assert spikes["unit"].values.tolist() == [0, 7, 9]
    assert spikes["spike_time"].values.tolist() == [0.1, 1.0, 0.001, 0.2, 0.3]
    assert spikes["spike_unit"].values.tolist() == [0, 0, 2, 2, 2]
    assert spikes["spike_amplitude"].values.tolist() == [1.0, 4.0, 0.0, 2.0, 3.0]
    assert spikes["spike_template"].values.tolist() == [0, 0, 1, 2, 2]
    assert spikes["quality"].values.tolist() == ["good", "noise", "mua"]
    assert spikes["KSLabel"].values.tolist() == ["mua", "mua", "mua"]
    assert spikes["peak_channel"].values.tolist() == [4, -1, 6]
    np.testing.assert_allclose(spikes["y"].values, [10e-6, np.nan, 50e-6])
    assert spikes["y"].attrs["units"] == "m"
    assert "micrometres" in spikes["y"].attrs["comment"]
    assert tree["/electrodes/y"].values.tolist() == [10.0, 30.0, 50.0]
    assert "last spike" in spikes.attrs["t_stop_source"]
    assert tree.attrs["sampling_rate"] == 30000.0


def test_phy_takes_the_length_of_a_raw_file_in_the_folder_only(tmp_path):
    text = "sample_rate = 30000\nn_channels_dat = 2\ndtype = 'int16'\ndat_path = {!r}\n"
    folder = phy_folder(tmp_path / "phy", text.format("raw.bin"))
    (folder / "raw.bin").write_bytes(bytes(2 * 2 * 60000))
    assert nks.io.read_spikes(folder)["/spikes"].attrs["t_stop"] == 2.0
    (tmp_path / "raw.bin").write_bytes(bytes(2 * 2 * 60000))
    (folder / "params.py").write_text(text.format("../raw.bin"))
    assert nks.io.read_spikes(folder)["/spikes"].attrs["t_stop"] == 1.0


def test_phy_depth_becomes_metres_and_labels_may_be_missing(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    (folder / "cluster_info.tsv").write_text("cluster_id\tdepth\tn_spikes\n0\t120\t2\n9\t40.5\t3\n")
    for name in ("cluster_group.tsv", "cluster_KSLabel.tsv", "channel_positions.npy"):
        (folder / name).unlink()
    spikes = nks.io.read_spikes(folder)["/spikes"]
    np.testing.assert_allclose(spikes["depth"].values, [120e-6, 40.5e-6])
    assert spikes["quality"].values.tolist() == ["unsorted", "unsorted"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os\nos.system('touch {0}')\nsample_rate = 30000.\n", "code in line 1"),
        ("sample_rate = __import__('pathlib').Path('{0}').touch() or 3e4\n", "code in line 1"),
        ("dat_path = 'a'\nsample_rate = eval('1')\n", "code in line 2"),
        ("sample_rate = (\n", "NAME = value"),
        ("dtype = 'int16'\n", "sample_rate"),
        ("sample_rate = 0\n", "sample_rate > 0"),
        ("sample_rate = '30000'\n", "sample_rate > 0"),
    ],
)
def test_phy_parameters_are_never_executed(tmp_path, text, says):
    trap = tmp_path / "sprung"
    folder = phy_folder(tmp_path / "phy", text.format(trap))
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_spikes(folder)
    assert not trap.exists()


def test_phy_refuses_damaged_folders(tmp_path):
    folder = phy_folder(tmp_path / "phy")
    np.save(folder / "spike_clusters.npy", np.array([0, 1]))
    with pytest.raises(FileFormatError, match="one cluster per spike"):
        nks.io.read_spikes(folder)
    np.save(folder / "spike_clusters.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickles and not opened"):
        nks.io.read_spikes(folder)
    phy_folder(folder)
    np.save(folder / "spike_times.npy", np.array([30, 20, 10, 5, 1]))
    with pytest.raises(FileFormatError, match=r"unit 0 .*sort"):
        nks.io.read_spikes(folder)
    (folder / "params.py").unlink()
    with pytest.raises(FileFormatError, match=r"params\.py"):
        nks.io.read_spikes(folder)
    with pytest.raises(FileFormatError, match="give the folder"):
        nks.io.read_spikes(folder / "spike_times.npy")


# -- neo ----------------------------------------------------------------------------------------


def neo_matlab(path: Path, shifts: list[float]) -> Path:
    import neo
    import quantities as pq

    block = neo.Block()
    for k, shift in enumerate(shifts):
        segment = neo.Segment(name=f"part{k}")
        for name, times in (("u1", [100.0, 250.0]), ("u2", [1000.0])):
            train = neo.SpikeTrain(
                np.array(times) * pq.ms + shift * pq.s,
                t_start=shift * pq.s,
                t_stop=(shift + 1.0) * pq.s,
                name=name,
                area="V1",
            )
            segment.spiketrains.append(train)
        segment.events.append(neo.Event([shift + 0.5] * pq.s, labels=np.array(["go"])))
        segment.epochs.append(
            neo.Epoch([shift] * pq.s, durations=[0.5] * pq.s, labels=np.array(["wait"]))
        )
        block.segments.append(segment)
    neo.io.NeoMatlabIO(str(path)).write_block(block)
    return path


def test_neo_file(tmp_path):
    tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0]))
    spikes = tree["/spikes"].to_dataset()
    assert spikes["unit"].values.tolist() == ["u1", "u2"]
    np.testing.assert_allclose(spikes["spike_time"].values, [0.1, 0.25, 1.0], rtol=1e-15)
    assert spikes["area"].values.tolist() == ["V1", "V1"]
    assert (spikes.attrs["t_start"], spikes.attrs["t_stop"]) == (0.0, 1.0)
    assert tree["/events/event_label"].values.tolist() == ["go"]
    assert tree["/epochs/stop_time"].values.tolist() == [0.5]
    assert tree["/epochs/label"].values.tolist() == ["wait"]


def test_neo_segments_that_follow_one_another_are_one_recording(tmp_path):
    with pytest.warns(DataWarning, match="gaps"):
        tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0, 5.0]))
    np.testing.assert_allclose(tree["/spikes/spike_time"].values, [0.1, 0.25, 5.1, 5.25, 1.0, 6.0])
    assert tree["/observation_intervals/start_time"].values.tolist() == [0.0, 5.0]
    assert tree["/spikes"].attrs["t_stop"] == 6.0
    neo_matlab(tmp_path / "b.mat", [0.0, 1.0])  # without a gap there is nothing to warn of
    assert nks.io.read_spikes(tmp_path / "b.mat")["/spikes"].attrs["t_stop"] == 2.0


def test_neo_segments_with_clocks_of_their_own_stay_apart(tmp_path):
    with pytest.warns(DataWarning, match="/segments/0"):
        tree = nks.io.read_spikes(neo_matlab(tmp_path / "a.mat", [0.0, 0.0]))
    for k in range(2):
        spikes = schema.check(tree[f"/segments/{k}/spikes"].to_dataset(), "spikes")
        np.testing.assert_allclose(spikes["spike_time"].values, [0.1, 0.25, 1.0])
        assert spikes.attrs["name"] == f"part{k}"
    assert nks.bin_spikes(tree["/segments/1/spikes"], 0.5)["count"].values.sum() == 3


def test_text_with_one_train_per_line_keeps_every_digit(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("0.1\t1999.123456789\n\n5.5\n")
    spikes = nks.io.read_spikes(path)["/spikes"]
    assert spikes["spike_time"].values.tolist() == [0.1, 1999.123456789, 5.5]
    assert spikes["spike_unit"].values.tolist() == [0, 0, 2]


def test_lazy_neo_readers_agree_with_their_own_load(tmp_path, monkeypatch):
    """ExampleIO makes a recording up; it goes the way of every reader of an acquisition system."""
    import neo

    from neurokit_sdr.io.formats.neo import read as neo_read

    monkeypatch.setattr(neo_read, "_REFUSED", neo_read._REFUSED - {"ExampleIO"})
    path = tmp_path / "made_up.fake"
    path.write_bytes(b"x")
    with pytest.warns(DataWarning) as caught:
        tree = nks.io.read_spikes(path)
    text = " ".join(str(w.message) for w in caught)
    assert "signal" in text
    assert "spike waveforms" in text
    (block,) = neo.io.ExampleIO(str(path)).read()
    units = zip(*(segment.spiketrains for segment in block.segments), strict=True)
    expected = [t.rescale("s").magnitude for unit in units for t in unit]
    assert len(block.segments) == 2
    assert np.array_equal(tree["/spikes/spike_time"].values, np.concatenate(expected))
    assert tree["/observation_intervals"].sizes["interval"] == 2


def test_missing_package_is_named(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.nix", "w") as file:
        file.attrs["format"] = "nix"
    monkeypatch.setitem(sys.modules, "nixio", None)
    with pytest.raises(MissingDependencyError, match="pip install nixio"):
        nks.io.read_spikes(tmp_path / "a.nix")


# Some of neo's readers leave a file open when it is not theirs: not ours to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_refusal_is_an_error_of_ours(tmp_path):
    """Whatever the bytes and the suffix, a reader never lets another library's exception out."""
    import neo

    junk = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    for suffix in sorted(set(neo.io.io_by_extension) - {""}):
        path = tmp_path / f"junk.{suffix}"
        path.write_bytes(junk)
        with pytest.raises(NeurokitError):
            nks.io.read_spikes(path)
        path.unlink()


# -- imports ------------------------------------------------------------------------------------


def test_the_room_loads_no_file_library():
    code = (
        "import sys, neurokit_sdr.io, neurokit_sdr.io.spikes, neurokit_sdr.io.published.fetch;"
        "found = {'pynwb', 'neo', 'scipy.io', 'matplotlib'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_guessed():
    with pytest.raises(AttributeError, match="read_spikes"):
        nks.io.read_spike
    assert "fetch_example" in dir(nks.io)
