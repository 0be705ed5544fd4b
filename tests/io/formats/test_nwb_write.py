"""NWB that we write: it comes back, is valid, and other tools find the standard parts."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from nwb_files import FILE_SETTINGS, groups_of
from strategies import session_trees, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError


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
