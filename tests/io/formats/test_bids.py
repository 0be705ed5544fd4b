"""BIDS that others write: everything the dataset says of a recording, and no way out of it."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import recorders
from bids_files import DBS, HFO, column, table
from signal_files import quiet_mne, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError
from neurokit_sdr.io.formats.bids import files as bids_files
from neurokit_sdr.io.formats.bids import read as bids


def test_hfo_dataset_holds_what_its_files_say(data_folder):
    root = data_folder / "seeg" / "hfo_bids"
    tree = nks.io.read(root)
    data = schema.check(signal_of(tree), "signal")
    raw = quiet_mne("brainvision", root / f"{HFO}_ieeg.vhdr")
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert even_clock(data) == (0.0, raw.info["sfreq"]) == (0.0, 2000.0)
    rows = table(root / f"{HFO}_channels.tsv")
    assert data["channel"].values.tolist() == column(rows, "name") == raw.ch_names
    assert data["bids_type"].values.tolist() == column(rows, "type")
    assert data["channel_type"].values.tolist() == [t.lower() for t in column(rows, "type")]
    assert data["bids_unit"].values.tolist() == column(rows, "units")
    assert set(data["channel_unit"].values) == {"V"}
    assert data["status"].values.tolist() == column(rows, "status")
    assert data["bad"].values.tolist() == [s == "bad" for s in column(rows, "status")]
    assert data["low_cutoff"].values.tolist() == [float(v) for v in column(rows, "low_cutoff")]
    assert data["high_cutoff"].values.tolist() == [float(v) for v in column(rows, "high_cutoff")]
    assert data["description"].values.tolist() == column(rows, "description")
    assert data.attrs["line_freq"] == 50.0
    assert json.loads(data.attrs["sidecar"])["Manufacturer"] == "Elekta"
    assert "x" not in data.coords  # the dataset has no positions
    rows = table(root / f"{HFO}_events.tsv")
    events = schema.check(tree["/events"].to_dataset(), "events")
    assert events.sizes["event"] == len(rows) == 68
    assert events["event_onset"].values.tolist() == [float(v) for v in column(rows, "onset")]
    assert events["event_duration"].values.tolist() == [float(v) for v in column(rows, "duration")]
    assert events["event_label"].values.tolist() == column(rows, "trial_type")
    assert events["sample"].values.tolist() == [int(v) for v in column(rows, "sample")]
    assert events["value"].values.tolist() == [int(v) for v in column(rows, "value")]
    assert tree["/markers"].sizes["event"] == len(raw.annotations) + 1  # and the first segment
    rows = table(root / "derivatives" / f"{HFO}_annotations.tsv")
    found = schema.check(tree["/derivatives/annotations"].to_dataset(), "events")
    assert found["event_label"].values.tolist() == column(rows, "label")
    assert found["channels"].values.tolist() == column(rows, "channels")
    (row,) = table(root / "participants.tsv")
    assert tree.attrs["subject_id"] == "sub-01"
    assert tree.attrs["subject_age"] == int(row["age"])
    assert tree.attrs["subject_sex"] == row["sex"]
    assert "subject_hand" not in tree.attrs  # n/a
    assert tree.attrs["task"] == "interictalsleep"
    assert tree.attrs["run"] == "01"
    assert tree.attrs["meas_date"] == table(root / "sub-01/sub-01_scans.tsv")[0]["acq_time"]
    assert json.loads(tree.attrs["dataset_description"])["BIDSVersion"] == "1.4.0"


def test_dbs_dataset_keeps_types_positions_and_the_frames_own_name(data_folder):
    root = data_folder / "seeg" / "dbs_ecog_bids"
    tree = nks.io.read(root)
    data = schema.check(signal_of(tree), "signal")
    raw = quiet_mne("brainvision", root / f"{DBS}_task-gripforce_run-0_ieeg.vhdr")
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    rows = table(root / f"{DBS}_task-gripforce_run-0_channels.tsv")
    assert data["channel"].values.tolist() == column(rows, "name")
    assert data["channel_type"].values.tolist() == ["dbs"] * 3 + ["ecog"] * 6 + ["misc"]
    assert data.attrs["line_freq"] == 60.0
    places = table(root / f"{DBS}_space-mni_electrodes.tsv")
    assert column(places, "name") == data["channel"].values.tolist()
    for axis in "xyz":
        written = column(places, axis)
        assert data[axis].values[:-1].tolist() == [float(v) for v in written[:-1]]
        assert written[-1] == "n/a"
        assert np.isnan(data[axis].values[-1])
        assert data[axis].attrs["units"] == "m"
    system = json.loads((root / f"{DBS}_space-mni_coordsystem.json").read_text())
    assert set(data["coord_frame"].values) == {system["iEEGCoordinateSystem"]} == {"Other"}
    assert data.attrs["space"] == "mni"
    electrodes = tree["/electrodes"]
    assert json.loads(electrodes.attrs["coordsystem"]) == system
    assert electrodes["electrode"].values.tolist() == column(places, "name")
    assert electrodes["impedance"].values.tolist() == column(places, "impedance")
    assert "/events" not in tree.groups
    assert tree.attrs["session"] == "EphysMedOff"


@pytest.mark.parametrize(("name", "header"), [("hfo_bids", f"{HFO}_ieeg.vhdr"), (
    "dbs_ecog_bids", f"{DBS}_task-gripforce_run-0_ieeg.vhdr")])  # fmt: skip
def test_public_datasets_are_what_mne_bids_says_of_them(data_folder, name, header):
    mne_bids = pytest.importorskip("mne_bids")
    path = data_folder / "seeg" / name / header
    data = signal_of(nks.io.read(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path), verbose="error")
    assert data["channel"].values.tolist() == raw.ch_names
    assert data["channel_type"].values.tolist() == raw.get_channel_types()
    assert data["channel"].values[data["bad"].values].tolist() == raw.info["bads"]
    assert data.attrs["line_freq"] == raw.info["line_freq"]
    montage = raw.get_montage()
    if montage is not None:
        for channel, place in montage.get_positions()["ch_pos"].items():
            one = data.sel(channel=channel)
            assert np.allclose([one[a].item() for a in "xyz"], place, atol=1e-12, equal_nan=True)


def test_folder_file_and_part_of_a_dataset_are_one_recording(data_folder):
    root = data_folder / "seeg" / "hfo_bids"
    trees = [nks.io.read_seeg(root / p) for p in ("", "sub-01", "sub-01/ieeg", f"{HFO}_ieeg.vhdr")]
    for tree in trees[1:]:
        assert tree.identical(trees[0])
    chunked = nks.io.read_seeg(root, chunks={"time": 4000})
    assert chunked["/signal/signal"].chunksizes["time"] == (4000, 4000, 2000)
    assert np.array_equal(chunked["/signal/signal"].values, trees[0]["/signal/signal"].values)


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def rows(*lines: str) -> str:
    return "".join("\t".join(line.split("|")) + "\n" for line in lines)


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A dataset of one EDF recording: contacts LA1, LA2 and an ECG."""
    root = tmp_path / "set"
    write(root / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.10.0"})
    (root / "sub-a" / "ieeg").mkdir(parents=True)
    signals = [{"label": n, "values": stored((3, 100))} for n in ("LA1", "LA2", "ECG")]
    recorders.edf(root / "sub-a" / "ieeg" / "sub-a_task-rest_ieeg.edf", signals)
    return root


def place(root: Path, name: str) -> Path:
    return root / "sub-a" / "ieeg" / f"sub-a_{name}"


def test_nearer_sidecars_override_farther_ones(dataset):
    write(dataset / "task-rest_ieeg.json", {"PowerLineFrequency": 60, "iEEGReference": "far"})
    write(dataset / "sub-a" / "sub-a_ieeg.json", {"iEEGReference": "near"})
    write(dataset / "task-other_ieeg.json", {"PowerLineFrequency": 50})
    write(dataset / "task-rest_channels.tsv", rows("name|type", "LA1|MISC"))
    write(place(dataset, "task-rest_channels.tsv"),
          rows("name|type", "LA1|SEEG", "LA2|SEEG", "ECG|ECG"))  # fmt: skip
    data = signal_of(nks.io.read(dataset))
    assert data.attrs["line_freq"] == 60.0
    assert data.attrs["reference"] == "near"
    assert data["channel_type"].values.tolist() == ["seeg", "seeg", "ecg"]


def test_channels_table_and_recording_may_differ_and_it_is_said(dataset):
    text = rows("name|type|units|status|group|note", "LA2|SEEG|µV|bad|LA", "LA9|SEEG|µV|good|LA|x")
    write(place(dataset, "task-rest_channels.tsv"), text)
    write(place(dataset, "task-rest_ieeg.json"), {"SamplingFrequency": 99})
    with pytest.warns(DataWarning) as caught:
        data = signal_of(nks.io.read(dataset))
    said = " ".join(str(w.message) for w in caught)
    assert "no row for LA1, ECG" in said
    assert "LA9" in said
    assert "sampled at 100 Hz" in said
    assert data["channel"].values.tolist() == ["LA1", "LA2", "ECG"]  # the order of the file
    assert data["bad"].values.tolist() == [False, True, False]
    assert data["group"].values.tolist() == ["n/a", "LA", "n/a"]
    assert data["channel_type"].values.tolist() == ["eeg", "seeg", "ecg"]


@pytest.mark.parametrize(("unit", "scale"), [("m", 1.0), ("cm", 1e-2), ("mm", 1e-3)])
def test_positions_are_metres_in_the_frame_that_is_written(dataset, unit, scale):
    text = rows(
        "name|x|y|z|size|group", "LA1|1.5|-2|3|n/a|L", "LA2|n/a|n/a|n/a|4|L", "X9|1|1|1|4|R"
    )
    write(place(dataset, "electrodes.tsv"), text)
    system = {"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": unit, "IntendedFor": "n/a"}
    write(place(dataset, "coordsystem.json"), system)
    tree = nks.io.read(dataset)
    data, electrodes = signal_of(tree), tree["/electrodes"]
    assert data["x"].values[0] == 1.5 * scale
    assert data["y"].values[0] == -2 * scale
    assert np.isnan(data["x"].values[1:]).all()
    assert set(data["coord_frame"].values) == {"ACPC"}
    assert data["x"].attrs["file_unit"] == unit
    assert electrodes["electrode"].values.tolist() == ["LA1", "LA2", "X9"]  # X9 has no channel
    assert electrodes["size"].values.tolist()[1:] == [4.0, 4.0]


def test_positions_in_pixels_are_no_metres(dataset):
    write(place(dataset, "electrodes.tsv"), rows("name|x|y|z", "LA1|10|20|n/a"))
    system = {"iEEGCoordinateSystem": "Pixels", "iEEGCoordinateUnits": "pixels"}
    write(place(dataset, "coordsystem.json"), system)
    with pytest.warns(DataWarning, match="'pixels', which are no metres"):
        tree = nks.io.read(dataset)
    assert np.isnan(signal_of(tree)["x"].values).all()
    assert tree["/electrodes/x_written"].values.tolist() == [10.0]
    assert tree["/electrodes/x_written"].attrs["units"] == "pixels"


def test_two_spaces_are_both_kept(dataset):
    for space, x in (("MNI305", "1"), ("individual", "2")):
        write(place(dataset, f"space-{space}_electrodes.tsv"), rows("name|x|y|z", f"LA1|{x}|0|0"))
        system = {"iEEGCoordinateSystem": space, "iEEGCoordinateUnits": "mm"}
        write(place(dataset, f"space-{space}_coordsystem.json"), system)
    with pytest.warns(DataWarning, match="2 spaces"):
        tree = nks.io.read(dataset)
    assert tree["/electrodes/MNI305/x"].values.tolist() == [0.001]
    assert tree["/electrodes/individual/x"].values.tolist() == [0.002]
    frame = signal_of(tree)["coord_frame"].values[0]
    assert signal_of(tree)["x"].values[0] == {"MNI305": 0.001, "individual": 0.002}[frame]


def test_events_keep_every_column_and_rows_without_onset_are_named(dataset):
    text = rows("onset|duration|trial_type|value|rt|file", "0.5|n/a|go ä|7|n/a|a.png",
                "n/a|1|lost|8|0.1|b.png", "1.5|0|stop|9|0.25|n/a")  # fmt: skip
    write(place(dataset, "task-rest_events.tsv"), text)
    write(dataset / "task-rest_events.json", {"rt": {"Units": "s"}})
    with pytest.warns(DataWarning, match="1 rows of sub-a_task-rest_events.tsv without an onset"):
        events = schema.check(nks.io.read(dataset)["/events"].to_dataset(), "events")
    assert events["event_label"].values.tolist() == ["go ä", "stop"]
    assert np.isnan(events["event_duration"].values[0])
    assert events["value"].values.tolist() == [7, 9]
    assert np.isnan(events["rt"].values[0])
    assert events["file"].values.tolist() == ["a.png", "n/a"]
    assert json.loads(events.attrs["sidecar"]) == {"rt": {"Units": "s"}}


def test_several_recordings_are_listed(dataset):
    source = place(dataset, "task-rest_ieeg.edf")
    shutil.copy(source, place(dataset, "task-move_ieeg.edf"))
    with pytest.raises(FileFormatError, match=r"found 2 in.*task-move_ieeg.edf"):
        nks.io.read(dataset)
    assert signal_of(nks.io.read(source)).sizes["channel"] == 3
    (dataset / "sub-b" / "ieeg").mkdir(parents=True)
    with pytest.raises(FileFormatError, match="found none"):
        bids.read_bids(dataset / "sub-b")


def secret(folder: Path) -> Path:
    return write(folder / "secret.tsv", rows("name|type", "LA1|SEEG"))


def test_links_out_of_the_dataset_are_refused(dataset, tmp_path):
    place(dataset, "task-rest_channels.tsv").symlink_to(secret(tmp_path))
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read(dataset)


def test_a_recording_that_links_out_is_refused(dataset, tmp_path):
    path = place(dataset, "task-rest_ieeg.edf")
    path.rename(tmp_path / "outside.edf")
    path.symlink_to(tmp_path / "outside.edf")
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_seeg(dataset)
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_seeg(path)
    (tmp_path / "outside.edf").unlink()
    with pytest.raises(FileFormatError):
        nks.io.read_seeg(path)


def test_links_inside_the_dataset_and_a_linked_dataset_are_followed(dataset, tmp_path):
    path = place(dataset, "task-rest_ieeg.edf")
    (dataset / ".git").mkdir()
    path.rename(dataset / ".git" / "object")
    path.symlink_to(dataset / ".git" / "object")
    (tmp_path / "linked").symlink_to(dataset)
    assert signal_of(nks.io.read_seeg(tmp_path / "linked")).sizes["channel"] == 3
    (dataset / ".git" / "object").unlink()
    with pytest.raises(FileFormatError, match="datalad get"):
        nks.io.read_seeg(dataset)


def test_linked_derivatives_and_scans_are_refused(dataset, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (dataset / "derivatives").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_seeg(dataset)


@pytest.mark.parametrize(
    "target",
    ["../../etc/passwd", "/etc/passwd", "C:\\x", "..\\x", "file:///etc/passwd", "bids::../x"],
)
def test_references_out_of_the_dataset_are_refused(dataset, target):
    write(place(dataset, "electrodes.tsv"), rows("name|x|y|z", "LA1|1|2|3"))
    system = {"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": "mm", "IntendedFor": [target]}
    write(place(dataset, "coordsystem.json"), system)
    with pytest.raises(FileFormatError, match="leads out of the dataset"):
        nks.io.read(dataset)
    place(dataset, "coordsystem.json").unlink()
    place(dataset, "electrodes.tsv").unlink()
    write(dataset / "sub-a" / "sub-a_scans.tsv", rows("filename|acq_time", f"{target}|n/a"))
    with pytest.raises(FileFormatError, match="leads out of the dataset"):
        nks.io.read(dataset)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("task-rest_ieeg.json", "{", "not valid JSON"),
        ("task-rest_ieeg.json", "[1]", "JSON object"),
        ("task-rest_ieeg.json", "[" * 100_000, "not valid JSON"),
        ("task-rest_channels.tsv", "name\ttype\nLA1\tSEEG\tmore\n", "2 columns.*row 2"),
        ("task-rest_channels.tsv", "name\tname\nLA1\tSEEG\n", "different names"),
    ],
)
def test_damaged_sidecars_are_refused(dataset, name, content, says):
    write(place(dataset, name), content)
    with pytest.raises(FileFormatError, match=says):
        nks.io.read(dataset)


def test_sidecars_that_are_not_utf8_or_empty(dataset):
    place(dataset, "task-rest_channels.tsv").write_bytes(b"name\ttype\nLA1\xff\tSEEG\n")
    with pytest.raises(FileFormatError, match="Expected UTF-8"):
        nks.io.read(dataset)
    place(dataset, "task-rest_channels.tsv").write_bytes(b"")
    with pytest.warns(DataWarning, match="no row for"):
        assert signal_of(nks.io.read(dataset)).sizes["channel"] == 3


def test_columns_become_what_they_hold():
    typed = bids_files.typed
    assert typed(["1", "2"]).dtype == np.int64
    assert typed(["1", "n/a"]).tolist()[0] == 1.0
    assert typed(["001", "002"]).tolist() == ["001", "002"]  # labels, not numbers
    assert typed(["n/a", "n/a"]).tolist() == ["n/a", "n/a"]
    assert typed(["1e-3", "-.5", "2."]).tolist() == [0.001, -0.5, 2.0]
    assert typed(["1_000", "2"]).dtype.kind == "U"
    assert typed(["9" * 30, "1"]).dtype.kind == "f"
