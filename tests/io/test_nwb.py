"""NWB of every kind: what pynwb says of a file is what comes back, and what we write is NWB."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from nwb_files import complaints, opened, planes, same, signal_of
from strategies import spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, SchemaError
from neurokit_sdr.snn import observe

FILE_SETTINGS = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


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
