"""BIDS against the dataset's own text and mne-bids; contacts and references against arithmetic."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import recorders
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError
from neurokit_sdr.io.contacts.names import split_name
from neurokit_sdr.io.formats.bids import files as bids_files
from neurokit_sdr.io.formats.bids import read as bids
from tests.io.test_seeg import assert_close, quiet_mne, recording, signal_of, stored

HFO = "sub-01/ieeg/sub-01_task-interictalsleep_run-01"
DBS = "sub-testsub/ses-EphysMedOff/ieeg/sub-testsub_ses-EphysMedOff"


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a table, by the standard library."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def column(rows: list[dict[str, str]], name: str) -> list[str]:
    return [row[name] for row in rows]


# -- the two public datasets ----------------------------------------------------------------------


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


# -- datasets made here ---------------------------------------------------------------------------


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


# -- security -------------------------------------------------------------------------------------


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


# -- writing --------------------------------------------------------------------------------------


def positioned(values: np.ndarray, frame: str = "ACPC") -> xr.Dataset:
    number = values.shape[1]
    where = np.arange(number) / 300
    where[-1] = np.nan
    return recording(
        values,
        bad=("channel", np.arange(number) == 1),
        **{a: ("channel", where + k, {"units": "m"}) for k, a in enumerate("xyz")},
        coord_frame=("channel", np.full(number, frame)),
    ).assign_attrs(line_freq=50.0, reference="scalp", highpass=0.5, lowpass=100.0)


def written_session() -> xr.DataTree:
    values = (stored((500, 3)) * 1e-6).astype(np.float32).astype(np.float64)
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.1, 0.7], {"units": "s"}),
            "event_duration": ("event", [0.0, np.nan], {"units": "s"}),
            "event_label": ("event", ["go", "stop, ä"]),
            "trial": ("event", [1, 2]),
        }
    )
    attrs = {"meas_date": "2004-03-02T05:06:07", "subject_age": 30}
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs), "/signal": positioned(values), "/events": events}
    )


def test_bids_gives_back_what_was_written(tmp_path):
    tree = written_session()
    path = nks.io.write_bids(tree, tmp_path, subject="01", task="rest", session="a", run="2")
    assert path.relative_to(tmp_path).as_posix() == (
        "sub-01/ses-a/ieeg/sub-01_ses-a_task-rest_run-2_ieeg.vhdr"
    )
    back = nks.io.read(tmp_path)
    found, expected = signal_of(back), signal_of(tree)
    assert np.array_equal(found["signal"].values, expected["signal"].values)
    assert even_clock(found) == even_clock(expected)
    for name in ("channel", "channel_type", "channel_unit", "bad", "x", "y", "z", "coord_frame"):
        xr.testing.assert_equal(found[name].drop_vars(found[name].coords),
                                expected[name].drop_vars(expected[name].coords))  # fmt: skip
    for name in ("line_freq", "reference", "highpass", "lowpass", "sampling_rate"):
        assert found.attrs[name] == expected.attrs.get(name, 250.0)
    for name in ("event_onset", "event_duration", "event_label", "trial"):
        xr.testing.assert_equal(back[f"/events/{name}"], tree[f"/events/{name}"])
    assert back.attrs["meas_date"] == "2004-03-02T05:06:07"
    assert back.attrs["subject_age"] == 30
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    nks.io.write_bids(tree, tmp_path, subject="01", task="rest", session="a", run="2")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    nks.io.write_bids(tree, tmp_path, subject="02", task="rest")
    assert column(table(tmp_path / "participants.tsv"), "participant_id") == ["sub-01", "sub-02"]


def test_written_bids_is_read_by_mne_bids(tmp_path):
    mne_bids = pytest.importorskip("mne_bids")
    tree = written_session()
    path = nks.io.write_bids(tree, tmp_path, subject="01", task="rest")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path), verbose="error")
    data = signal_of(tree)
    assert_close(raw.get_data().T, data["signal"].values)
    assert raw.ch_names == data["channel"].values.tolist()
    assert raw.get_channel_types() == ["seeg"] * 3
    assert raw.info["bads"] == ["LA2"]
    assert raw.info["line_freq"] == 50.0
    assert raw.annotations.description.tolist() == ["go", "stop, ä"]
    assert np.allclose(raw.annotations.onset, [0.1, 0.7])
    positions = raw.get_montage().get_positions()["ch_pos"]
    assert np.allclose(positions["LA2"], [data[a].values[1] for a in "xyz"])


def test_frames_that_bids_does_not_know_are_described(tmp_path):
    data = positioned(np.ones((5, 3)), "head")
    with pytest.warns(DataWarning, match="no coordinate system 'head'.*'Other'"):
        nks.io.write_bids(data, tmp_path, subject="01", task="rest")
    found = signal_of(nks.io.read(tmp_path))
    assert set(found["coord_frame"].values) == {"Other"}
    assert found.attrs["coord_frame_description"] == "head"


def test_what_bids_cannot_hold_is_named(tmp_path):
    tree = written_session()
    data = signal_of(tree).assign_coords(shaft=("channel", ["A", "A", "B"]))
    tree["/signal"] = (data * 1.1).assign_attrs(data.attrs | {"seed": 3}).assign_coords(data.coords)
    tree["/truth"] = xr.Dataset({"a": ("k", [1])})
    with pytest.warns(DataWarning) as caught:
        nks.io.write_bids(tree, tmp_path, subject="01", task="rest")
    said = " ".join(str(w.message) for w in caught)
    assert "/truth" in said
    assert "seed" in said
    assert "shaft" in said
    assert "32-bit floats: values are rounded by up to" in said
    found = signal_of(nks.io.read(tmp_path))["signal"].values
    assert np.allclose(found, tree["/signal/signal"].values, rtol=2**-24, atol=0)


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda d: d, {"subject": "a-b"}, ParameterError, "'sub' of letters and digits"),
        (lambda d: d, {"subject": "../x"}, ParameterError, "letters and digits"),
        (lambda d: d, {"task": "a b"}, ParameterError, "letters and digits"),
        (lambda d: d.expand_dims("trial"), {}, SchemaError, r"signal\(time, channel\)"),
        (lambda d: d.isel(channel=[]), {}, SchemaError, "at least one channel"),
        (lambda d: d.assign_coords(channel_type=("channel", ["mag"] * 2)), {}, SchemaError,
         "nks.io.write_fif"),
        (lambda d: d.assign_coords(channel=["a\tb", "c"]), {}, SchemaError, "without tabs"),
        (lambda d: d.isel(time=[0, 1, 5]), {}, SchemaError, "evenly sampled"),
    ],
)  # fmt: skip
def test_bids_refuses_what_it_cannot_hold(tmp_path, change, options, error, says):
    data = recording(np.arange(20.0).reshape(10, 2))
    with pytest.raises(error, match=says):
        nks.io.write_bids(change(data), tmp_path, **({"subject": "01", "task": "rest"} | options))
    assert not list(tmp_path.rglob("*.vhdr"))


def test_simulated_recordings_go_through_every_reader(tmp_path):
    current = xr.Dataset(
        {
            "synaptic_current": (
                ("time", "population"),
                np.random.default_rng(0).normal(size=(400, 2)) * 100,
                {"units": "pA"},
            )
        },
        coords={"time": ("time", np.arange(400) * 0.002, {"units": "s"}), "population": ["e", "i"]},
    )
    seen = nks.snn.observe.sensors(xr.DataTree.from_dict({"/current": current}), 4, rng=0)
    truth = signal_of(seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what they say is tested above
        nks.io.write_edf(seen, tmp_path / "a.edf")
        nks.io.write_bids(seen, tmp_path / "set", subject="sim", task="rest")
    by_edf = signal_of(nks.io.read(tmp_path / "a.edf"))
    by_bids = signal_of(nks.io.read(tmp_path / "set"))
    for found in (by_edf, by_bids):
        assert found["channel"].values.tolist() == truth["channel"].values.tolist()
        assert set(found["channel_type"].values) == {"seeg"}
        assert found.attrs["sampling_rate"] == 500.0
        assert even_clock(found) == (0.0, 500.0)
    span = np.ptp(truth["signal"].values, axis=0)
    assert (np.abs(by_edf["signal"].values - truth["signal"].values) <= span / 65000 / 2).all()
    assert np.allclose(by_bids["signal"].values, truth["signal"].values, rtol=2**-24, atol=0)
    for axis in "xyz":
        assert np.array_equal(by_bids[axis].values, truth[axis].values)


# -- contacts and references ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shaft", "number", "against"),
    [
        ("LA'12", "LA'", 12, ""),
        ("HL1-2", "HL", 1, "2"),
        ("POL A1-Ref", "A", 1, "Ref"),
        ("EEG B3", "B", 3, ""),
        ("EEG TP’1-REF", "TP’", 1, "REF"),
        ("LFP_RIGHT_0", "LFP_RIGHT", 0, ""),
        ("Å 07", "Å", 7, ""),
        ("后3", "后", 3, ""),
        ("A-1", "A", 1, ""),
        ("B'-12-Ref", "B'", 12, "Ref"),
        ("SEEG001", "SEEG", 1, ""),
        ("A1-A2", "A", 1, "A2"),
        ("R1A2", "R1A", 2, ""),
        ("seeg LAH10", "LAH", 10, ""),
        ("ECG", "", -1, ""),
        ("12", "", -1, ""),
        ("", "", -1, ""),
        ("Fz-Cz", "", -1, ""),
    ],
)
def test_names_are_split(name, shaft, number, against):
    assert split_name(name) == (shaft, number, against)


def contacts() -> xr.Dataset:
    """Two shafts with a hole and a bad contact, an ECG, positions."""
    names = ["A1", "A2", "A3", "A5", "B'1", "B'2", "ECG"]
    number = len(names)
    values = np.random.default_rng(0).normal(size=(20, number))
    data = recording(values, 100.0)
    return data.assign_coords(
        channel=names,
        channel_type=("channel", ["seeg"] * 6 + ["ecg"]),
        bad=("channel", [False, False, True, False, False, False, False]),
        x=("channel", np.arange(number) * 1.0, {"units": "m"}),
        y=("channel", np.r_[np.arange(number - 1) * 2.0, np.nan], {"units": "m"}),
        z=("channel", np.zeros(number), {"units": "m"}),
        coord_frame=("channel", ["ACPC"] * number),
        brain_area=("channel", ["CA1", "CA1", "CA3", "CA3", "V1", "V2", ""]),
        impedance=("channel", [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 0.0]),
    ).assign_attrs(reference="scalp")


def held(data: xr.Dataset, how: str, folder: Path) -> xr.Dataset:
    """The same signal in memory, in dask, or in a file."""
    if how == "dask":
        return data.chunk({"time": 7, "channel": 2})
    if how == "file":
        nks.io.write_bids(data.astype(np.float32), folder, subject="01", task="x")
        lazy = signal_of(nks.io.read(folder))["signal"].variable
        return data.assign(signal=lazy)
    return data


def single(data: xr.Dataset) -> xr.Dataset:
    """Values that 32-bit floats hold, so that each way of holding them holds the same."""
    return data.assign(signal=data["signal"].astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("how", ["memory", "dask", "file"])
@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
def test_bipolar_reference_is_the_difference_of_neighbours(tmp_path, how):
    data = single(contacts())
    given = held(data, how, tmp_path)
    pairs = nks.io.bipolar_reference(given)
    assert pairs["channel"].values.tolist() == ["A1-A2", "A2-A3", "B'1-B'2", "ECG"]
    values = data["signal"].values
    expected = np.stack(
        [values[:, 0] - values[:, 1], values[:, 1] - values[:, 2], values[:, 4] - values[:, 5],
         values[:, 6]], axis=1)  # fmt: skip
    assert np.array_equal(pairs["signal"].values, expected)
    assert np.array_equal(pairs["signal"].isel(time=slice(3, 9, 2), channel=1), expected[3:9:2, 1])
    assert np.array_equal(pairs["signal"].isel(time=4, channel=[2, 0]), expected[4, [2, 0]])
    assert pairs["bad"].values.tolist() == [False, True, False, False]
    assert pairs["x"].values.tolist() == [0.5, 1.5, 4.5, 6.0]
    assert pairs["brain_area"].values.tolist() == ["CA1", "CA1 | CA3", "V1 | V2", ""]
    assert pairs["impedance"].values.tolist()[0] == 1.0
    assert np.isnan(pairs["impedance"].values[1])
    assert pairs["anode"].values.tolist() == ["A1", "A2", "B'1", "ECG"]
    assert pairs["cathode"].values.tolist() == ["A2", "A3", "B'2", ""]
    assert pairs.attrs["reference"] == "bipolar"
    assert "3 pairs" in pairs.attrs["history"][-1]
    assert (pairs["signal"].chunks is not None) == (how == "dask")
    if how == "file":
        assert "channel" in pairs["signal"].dims
        assert not pairs["signal"].variable._in_memory
        again = pickle.loads(pickle.dumps(pairs))
        assert np.array_equal(again["signal"].values, expected)
    schema.check(pairs, "signal")
    assert data.identical(single(contacts()))  # the input is unchanged


def test_contacts_without_a_neighbour_are_named():
    with pytest.warns(DataWarning, match="1 contacts have no neighbour.*A5"):
        pairs = nks.io.bipolar_reference(contacts())
    assert "left out: A5" in pairs.attrs["history"][-1]
    with pytest.raises(SchemaError, match="common reference"):
        nks.io.bipolar_reference(pairs)
    with pytest.raises(SchemaError, match="follow each other"):
        nks.io.bipolar_reference(contacts().isel(channel=[0, 2, 6]))
    doubled = contacts().assign_coords(channel=["A1", "A2", "A3", "A 3", "B'1", "B'2", "ECG"])
    with pytest.raises(SchemaError, match="one channel per contact, got 'A3' and 'A 3'"):
        nks.io.bipolar_reference(doubled)


def test_pairs_of_names_with_references_are_named_plainly():
    data = contacts().isel(channel=[0, 1]).assign_coords(channel=["POL A1-Ref", "POL A2-Ref"])
    assert nks.io.bipolar_reference(data)["channel"].values.tolist() == ["A1-A2"]


@pytest.mark.parametrize("how", ["memory", "dask", "file"])
@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
def test_common_average_leaves_bad_contacts_out(tmp_path, how):
    data = single(contacts())
    given = held(data, how, tmp_path)
    values = data["signal"].values
    good = [0, 1, 3, 4, 5]
    expected = values.copy()
    expected[:, :6] -= values[:, good].mean(axis=1, keepdims=True)
    found = nks.io.common_average(given)
    assert np.allclose(found["signal"].values, expected, rtol=0, atol=8 * np.finfo(float).eps * 4)
    assert np.array_equal(found["signal"].values[:, 6], values[:, 6])  # the ECG
    part = found["signal"].isel(time=slice(2, 5), channel=2)
    assert np.array_equal(part.values, found["signal"].values[2:5, 2])
    assert found.attrs["reference"] == "common average"
    assert "5 good contacts" in found.attrs["history"][-1]
    by_shaft = nks.io.common_average(given, by="shaft")["signal"].values
    mean_a, mean_b = values[:, [0, 1, 3]].mean(axis=1), values[:, 4:6].mean(axis=1)
    assert np.allclose(by_shaft[:, 2], values[:, 2] - mean_a, rtol=0, atol=1e-14)
    assert np.allclose(by_shaft[:, 5], values[:, 5] - mean_b, rtol=0, atol=1e-14)
    if how == "file":
        assert not found["signal"].variable._in_memory


def test_common_average_by_type_and_what_it_refuses():
    data = contacts()
    mixed = data.assign_coords(channel_type=("channel", ["seeg"] * 4 + ["ecog"] * 2 + ["ecg"]))
    found = nks.io.common_average(mixed, by="type")["signal"].values
    values = data["signal"].values
    assert np.allclose(found[:, 4], (values[:, 4] - values[:, 5]) / 2, rtol=0, atol=1e-14)
    with pytest.raises(ParameterError, match="None, 'shaft' or 'type'"):
        nks.io.common_average(data, by="lead")
    with pytest.raises(SchemaError, match=r"two good contacts.*1 of 1"):
        nks.io.common_average(data.isel(channel=[0, 1, 5]), by="shaft")
    with pytest.raises(SchemaError, match="Expected contacts"):
        nks.io.common_average(data.isel(channel=[6]))
    units = data.assign_coords(channel_unit=("channel", ["V"] * 5 + ["uV", "V"]))
    with pytest.raises(SchemaError, match="one unit"):
        nks.io.common_average(units)


def test_contacts_are_selected_and_steps_are_recorded(data_folder):
    session = nks.io.read(data_folder / "seeg" / "hfo_bids")
    chosen = nks.io.select_contacts(session, shafts=["HL", "AHR"], types="ecog", drop_bad=True)
    names = chosen["/signal/channel"].values.tolist()
    listed = column(table(data_folder / "seeg" / "hfo_bids" / f"{HFO}_channels.tsv"), "name")
    assert names == [n for n in listed if n.rstrip("0123456789") in ("HL", "AHR")]
    assert not chosen["/signal/signal"].variable._in_memory
    assert chosen["/events"].identical(session["/events"])
    pairs = nks.io.bipolar_reference(chosen)
    assert pairs["/signal"].sizes["channel"] == len(names) - 2
    history = pairs["/signal"].attrs["history"]
    assert [line.partition(":")[0] for line in history] == ["select_contacts", "bipolar_reference"]
    raw = quiet_mne("brainvision", data_folder / "seeg" / "hfo_bids" / f"{HFO}_ieeg.vhdr")
    expected = raw["HL1"][0][0] - raw["HL2"][0][0]
    assert np.array_equal(pairs["/signal"].to_dataset()["signal"].sel(channel="HL1-HL2"), expected)
    schema.check(signal_of(pairs), "signal")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ["A1", "A9"]}, r"names among .*got \['A9'\]"),
        ({"shafts": "C"}, "shafts among"),
        ({"types": "eeg"}, "types among"),
        ({"shafts": "A", "types": "ecg"}, "got none of 7"),
        ({"names": []}, "got none"),
    ],
)
def test_selections_of_nothing_are_refused(options, says):
    with pytest.raises(ParameterError, match=says):
        nks.io.select_contacts(contacts(), **options)


def test_own_shafts_are_used_and_kept():
    data = contacts().isel(channel=slice(0, 3)).assign_coords(channel=["x", "y", "z"])
    with pytest.raises(SchemaError, match="set the coordinates shaft and contact"):
        nks.io.bipolar_reference(data)
    data = data.assign_coords(shaft=("channel", ["P"] * 3), contact=("channel", [1, 2, 3]))
    assert nks.io.bipolar_reference(data)["channel"].values.tolist() == ["x-y", "y-z"]
    assert nks.io.select_contacts(data, shafts="P").sizes["channel"] == 3


@pytest.mark.parametrize("step", ["split_contact_names", "bipolar_reference", "common_average"])
def test_steps_refuse_what_is_no_signal(step):
    with pytest.raises(SchemaError, match="signal"):
        getattr(nks.io, step)(xr.Dataset())
    with pytest.raises(SchemaError, match="/signal"):
        getattr(nks.io, step)(xr.DataTree.from_dict({"/events": xr.Dataset()}))
