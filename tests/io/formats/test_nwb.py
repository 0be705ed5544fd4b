"""NWB that others write: everything is kept or named, and what is damaged or unsafe is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from nwb_files import nwb_file, units_file, write

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError

REAL_NWB = "spikes/phy_nwb/A8604-211122.nwb"


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
