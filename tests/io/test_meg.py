"""MEG: what comes back is what MNE holds, lazily; and what cannot be kept or read says why."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import pickle
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from strategies import evoked_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import (
    DataWarning,
    FileFormatError,
    MissingDependencyError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.io.formats.bti.read import bti_file
from neurokit_sdr.io.formats.ctf.read import is_ctf
from neurokit_sdr.io.formats.fif import tags as fif_tags
from neurokit_sdr.io.formats.fil.read import is_fil
from neurokit_sdr.io.formats.kit.read import is_kit
from neurokit_sdr.io.formats.mne import read as mne_read
from neurokit_sdr.io.interop.mne import from_mne, to_mne

mne = pytest.importorskip("mne")

# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")

RAWS = [
    "meg/kit/test_bin_raw.fif",
    "meg/elekta/test_elekta_3ch_raw.fif",
    "meg/elekta/141027_cropped_90Hz_raw.fif",
    "seeg/ecog_seeg/sample_ecog_ieeg.fif",
]
EVOKED = "meg/evoked/test-ave.fif.gz"


def assert_same(found: Any, expected: Any, where: str = "info") -> None:
    """Equal through and through: nested dicts, lists, arrays, sparse matrices, NaN."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key in expected:
            assert_same(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), where
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_same(a, b, f"{where}[{k}]")
    elif hasattr(expected, "tocsc"):
        assert_same(found.toarray(), expected.toarray(), where)
    elif isinstance(expected, np.ndarray):
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), where
    else:
        assert found == expected or (found != found and expected != expected), where


def made_raw(seed: int = 0, samples: int = 2000, **options: Any) -> Any:
    """A recording in memory with gradiometers, magnetometers, EEG and a trigger channel."""
    types = ["grad", "grad", "mag", "eeg", "stim"]
    names = ["MEG 0112", "MEG 0113", "MEG 0111", "EEG 001", "STI 014"]
    info = mne.create_info(names, 500.0, types)
    info["line_freq"] = 50.0
    info["bads"] = ["MEG 0113"]
    info["subject_info"] = {"his_id": "s1", "sex": 2, "hand": 1}
    info["experimenter"] = "Zoë"
    info.set_meas_date(datetime.datetime(2024, 5, 1, 9, 30, tzinfo=datetime.UTC))
    scale = np.array([1e-11, 1e-11, 1e-13, 1e-5, 0])[:, None]
    values = stream(seed, "raw").standard_normal((5, samples)) * scale
    for sample, code, width in ((100, 1, 5), (700, 2, 1), (1500, 1, 5)):
        values[4, sample : sample + width] = code
    raw = mne.io.RawArray(values, info, first_samp=1000, verbose="ERROR", **options)
    raw.info["chs"][3]["loc"][:3] = [0.01, 0.02, 0.1]
    for entry in raw.info["chs"][:3]:
        entry["loc"] = np.array([0.1, 0, 0.05, *np.eye(3).ravel()])
    raw.set_annotations(
        mne.Annotations(
            [0.5, 2.0, 3.0],
            [0.25, 0.0, 0.5],
            ["BAD_jump", "EDGE boundary", "réponse"],
            ch_names=[["MEG 0111"], [], []],
        )
    )
    return raw


@pytest.fixture
def raw_file(tmp_path: Path) -> Path:
    path = tmp_path / "made_raw.fif"
    made_raw().save(path, fmt="double", verbose="ERROR")
    return path


# -- real recordings, against MNE ---------------------------------------------------------------


@pytest.mark.parametrize("name", RAWS)
def test_raw_recordings_are_what_mne_says(data_folder, name):
    session = nks.io.read_meg(data_folder / name)
    raw = mne.io.read_raw_fif(data_folder / name, verbose="ERROR")
    signal = schema.check(session["signal"].to_dataset(), "signal")
    assert signal.sizes["time"] == raw.n_times
    assert list(signal["channel"].values) == raw.ch_names
    assert list(signal["channel_type"].values) == raw.get_channel_types()
    assert [n for n, b in zip(raw.ch_names, signal["bad"].values, strict=True) if b] == (
        raw.info["bads"]
    )
    assert signal.attrs["sampling_rate"] == raw.info["sfreq"]
    assert signal.attrs["first_sample"] == raw.first_samp
    assert signal.attrs.get("line_freq") == raw.info["line_freq"]
    assert (signal.attrs["highpass"], signal.attrs["lowpass"]) == (
        raw.info["highpass"],
        raw.info["lowpass"],
    )
    assert np.array_equal(signal["time"].values, raw.times)
    assert np.array_equal(signal["signal"].values.T, raw.get_data())
    units = {"mag": "T", "grad": "T/m", "stim": "V", "ecog": "V", "seeg": "V"}
    assert list(signal["channel_unit"].values) == [units[t] for t in raw.get_channel_types()]
    for k, entry in enumerate(raw.info["chs"]):
        place = [float(signal[axis][k]) for axis in "xyz"]
        if signal["channel_type"].values[k] == "stim":
            assert np.isnan(place).all()
            continue
        assert np.array_equal(place, entry["loc"][:3])
        if signal["channel_type"].values[k] in ("mag", "grad"):
            assert np.array_equal(signal["orientation"].values[k].ravel(), entry["loc"][3:])
            assert str(signal["coord_frame"].values[k]) == "meg"
        else:
            assert str(signal["coord_frame"].values[k]) == "head"
    dig = raw.info["dig"] or []
    assert ("/digitization" in session.groups) == bool(dig)
    if dig:
        points = session["digitization"]
        assert np.array_equal(
            np.stack([points[a].values for a in "xyz"], axis=1), [d["r"] for d in dig]
        )
        assert points["landmark"].values[:3].tolist() == ["lpa", "nasion", "rpa"]
    assert ("/projections" in session.groups) == bool(raw.info["projs"])
    for k, proj in enumerate(raw.info["projs"]):
        row = session["projections"].to_dataset().isel(vector=k)
        assert str(row["description"].values) == proj["desc"]
        assert bool(row["active"]) == proj["active"]
        vector = row["weight"].sel(channel=proj["data"]["col_names"]).values
        assert np.array_equal(vector, proj["data"]["data"][0])
    if raw.info["dev_head_t"] is not None:
        found = session["head_position/dev_head_t"]
        assert np.array_equal(found.values, raw.info["dev_head_t"]["trans"])
        assert (found.attrs["from_frame"], found.attrs["to_frame"]) == ("meg", "head")
    if raw.info["meas_date"] is not None:
        assert session.attrs["meas_date"] == raw.info["meas_date"].isoformat()
    if "stim" in raw:
        theirs = mne.find_events(raw, verbose="ERROR")
        events = session["events"]
        assert np.array_equal(events["event_value"].values, theirs[:, 2])
        sample = np.rint(events["event_onset"].values * raw.info["sfreq"]).astype(int)
        assert np.array_equal(sample + raw.first_samp, theirs[:, 0])


@pytest.mark.parametrize("name", RAWS)
def test_raw_recordings_go_back_to_mne_and_to_fif_without_loss(data_folder, tmp_path, name):
    session = nks.io.read_meg(data_folder / name)
    raw = mne.io.read_raw_fif(data_folder / name, verbose="ERROR")
    back = to_mne(session)
    assert_same(dict(back.info), dict(raw.info))
    assert back.first_samp == raw.first_samp
    assert np.array_equal(back.get_data(), raw.get_data())
    nks.io.write_fif(session, tmp_path / "again_raw.fif")
    again = nks.io.read_meg(tmp_path / "again_raw.fif")
    for group in session.groups:
        if group not in ("/", "/mne_info"):
            xr.testing.assert_identical(again[group].to_dataset(), session[group].to_dataset())
    assert again.attrs == session.attrs


def test_averages_are_what_mne_says(data_folder, tmp_path):
    session = nks.io.read_meg(data_folder / EVOKED)
    theirs = mne.read_evokeds(data_folder / EVOKED, proj=False, verbose="ERROR")
    evoked = schema.check(session["evoked"].to_dataset(), "evoked")
    assert evoked["condition"].values.tolist() == [e.comment for e in theirs]
    assert evoked["n_averaged"].values.tolist() == [e.nave for e in theirs]
    assert set(evoked["statistic"].values) == {"average"}
    assert list(evoked["channel_type"].values) == theirs[0].get_channel_types()
    for k, one in enumerate(theirs):
        assert np.array_equal(evoked["signal"].values[k].T, one.data)
    # Either counts samples from 0 and divides, in another order.
    assert np.abs(evoked["time"].values - theirs[0].times).max() < 4 * np.finfo(float).eps
    for back, one in zip(to_mne(session), theirs, strict=True):
        assert_same(dict(back.info), dict(one.info))
        assert np.array_equal(back.data, one.data)
        assert (back.comment, back.nave, back.kind, back.first, back.baseline) == (
            one.comment,
            one.nave,
            one.kind,
            one.first,
            one.baseline,
        )
    nks.io.write_fif(session, tmp_path / "again-ave.fif")
    again = nks.io.read_meg(tmp_path / "again-ave.fif")
    assert np.array_equal(again["evoked/signal"].values, evoked["signal"].values)


@pytest.mark.parametrize("name", [*RAWS, EVOKED])
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_saved_and_loaded_they_are_the_same(data_folder, tmp_path, name, suffix):
    session = nks.io.read(data_folder / name)
    nks.save(session, tmp_path / f"x{suffix}")
    back = nks.load(tmp_path / f"x{suffix}")
    assert back.groups == session.groups
    for group in session.groups:
        xr.testing.assert_identical(
            back[group].to_dataset(inherit=False), session[group].to_dataset(inherit=False)
        )
    assert type(to_mne(back)) is type(to_mne(session))


# -- raw recordings that we write ---------------------------------------------------------------


def test_annotations_and_triggers_become_events(raw_file):
    events = nks.io.read_meg(raw_file)["events"].to_dataset()
    assert events["event_label"].values.tolist() == [
        "1",
        "BAD_jump",
        "2",
        "EDGE boundary",
        "réponse",
        "1",
    ]
    assert events["event_onset"].values.tolist() == [0.2, 0.5, 1.4, 2.0, 3.0, 3.0]
    assert events["event_duration"].values.tolist() == [0.0, 0.25, 0.0, 0.0, 0.5, 0.0]
    assert events["event_value"].values.tolist() == [1, 0, 2, 0, 0, 1]
    assert events["event_source"].values.tolist()[:3] == ["STI 014", "annotation", "STI 014"]
    assert events["event_channels"].values.tolist()[1:3] == ['["MEG 0111"]', ""]


def test_triggers_of_large_files_are_searched_on_request(raw_file, monkeypatch):
    monkeypatch.setattr(mne_read, "TRIGGER_SEARCH", 10)
    with pytest.warns(DataWarning, match=r"'STI 014'.*not searched.*events=True"):
        found = nks.io.read_meg(raw_file)["events"]
    assert set(found["event_source"].values) == {"annotation"}
    assert nks.io.read_meg(raw_file, events=True)["events"].sizes["event"] == 6
    assert nks.io.read_meg(raw_file, events=False)["events"].sizes["event"] == 3
    with pytest.raises(ParameterError, match="True, False or None"):
        nks.io.read_meg(raw_file, events="all")


def test_what_is_known_of_the_session_lies_on_the_root(raw_file):
    attrs = nks.io.read_meg(raw_file).attrs
    assert attrs["meas_date"] == "2024-05-01T09:30:00+00:00"
    assert attrs["experimenter"] == "Zoë"
    assert (attrs["subject_id"], attrs["subject_sex"], attrs["subject_hand"]) == (
        "s1",
        "female",
        "right",
    )


def test_values_are_read_where_they_are_used(raw_file):
    session = nks.io.read_meg(raw_file)
    values = mne.io.read_raw_fif(raw_file, verbose="ERROR").get_data().T
    signal = session["signal/signal"]
    assert signal.variable._in_memory is False
    for key in (
        (slice(10, 500, 7), slice(None)),
        (slice(10, 500, 7), [4, 0, 2]),
        (3, slice(1, 3)),
        (slice(None), 2),
        (5, 1),
        (slice(4, 4), slice(None)),
        ([9, 3, 3], slice(None)),
        (slice(None, None, -1), slice(None)),
    ):
        assert np.array_equal(signal[key].values, values[key]), key


def test_a_step_over_a_long_recording_reads_it_in_blocks(raw_file, monkeypatch):
    monkeypatch.setattr(mne_read, "_BLOCK_VALUES", 100)
    signal = nks.io.read_meg(raw_file)["signal/signal"]
    assert np.array_equal(signal[::7].values, signal.values[::7])


def test_chunks_survive_a_process_boundary(raw_file, tmp_path):
    pytest.importorskip("dask")
    session = nks.io.read_meg(raw_file, chunks={"time": 300})
    signal = session["signal/signal"]
    assert signal.chunks == ((300,) * 6 + (200,), (5,))
    lazy = nks.io.read_meg(raw_file)["signal"].to_dataset()
    (tmp_path / "lazy.pkl").write_bytes(pickle.dumps((signal.data, lazy)))
    code = (
        "import pickle, sys, numpy as np; "
        "chunked, lazy = pickle.load(open(sys.argv[1], 'rb')); "
        "np.save(sys.argv[2], np.stack([chunked.compute(), lazy['signal'].values]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "lazy.pkl", tmp_path / "out.npy"], check=True
    )
    for found in np.load(tmp_path / "out.npy"):
        assert np.array_equal(found, signal.values)


def test_a_file_that_changes_or_goes_is_noticed(raw_file):
    session = nks.io.read_meg(raw_file)
    made_raw(samples=1800).save(raw_file, fmt="double", overwrite=True, verbose="ERROR")
    with pytest.raises(FileFormatError, match="has changed; read it again"):
        session["signal/signal"].values
    raw_file.unlink()
    with pytest.raises(FileFormatError, match="no longer there"):
        session["signal/signal"].values


def test_long_names_and_single_channels(tmp_path):
    for names in (["Kontakt-Hippocampus-links-1", "B"], ["only"]):
        values = np.ones((3, len(names)))
        data = xr.Dataset(
            {"signal": (("time", "channel"), values, {"units": "V"})},
            coords={
                "channel": names,
                "channel_type": ("channel", ["seeg"] * len(names)),
                "channel_unit": ("channel", ["V"] * len(names)),
            },
        ).assign_coords(even_time(3, 100.0))
        nks.io.write_fif(data, tmp_path / "x_raw.fif")
        back = nks.io.read_meg(tmp_path / "x_raw.fif")["signal"]
        assert back["channel"].values.tolist() == names
        assert np.array_equal(back["signal"].values, values)


@pytest.mark.parametrize("name", ["é1", "海马"])
def test_names_that_fif_cannot_spell_are_refused(tmp_path, name):
    data = simple().assign_coords(channel=["A", name])
    with pytest.raises(SchemaError, match=f"ASCII.*{name[0]}.*rename"):
        nks.io.write_fif(data, tmp_path / "x_raw.fif")
    assert list(tmp_path.iterdir()) == []
    session = from_mne(to_mne(data))
    assert session["signal/channel"].values.tolist() == ["A", name]


# -- split recordings, other folders ------------------------------------------------------------


@pytest.fixture
def split_files(tmp_path: Path) -> Path:
    path = tmp_path / "parts" / "long_raw.fif"
    path.parent.mkdir()
    raw = made_raw(samples=60_000)
    raw.save(path, fmt="double", split_size="2MB", verbose="ERROR")
    assert (path.parent / "long_raw-1.fif").exists()
    return path


def test_split_recordings_are_one(split_files):
    signal = nks.io.read_meg(split_files)["signal"]
    assert signal.sizes["time"] == 60_000
    assert np.array_equal(signal["signal"].values.T, made_raw(samples=60_000).get_data())


def test_a_missing_part_is_an_error(split_files):
    (split_files.parent / "long_raw-1.fif").unlink()
    with pytest.raises(FileFormatError, match=r"long_raw-1\.fif"):
        nks.io.read_meg(split_files)


@pytest.mark.parametrize("name", [b"../x/raw-1.fif", b"/etc/raw-1.fif\0", b"a\\b\\raw-1.fif"])
def test_a_part_outside_the_folder_is_refused(split_files, name):
    content = split_files.read_bytes()
    assert content.count(b"long_raw-1.fif") == 1
    split_files.write_bytes(content.replace(b"long_raw-1.fif", name[:14]))
    with pytest.raises(FileFormatError, match="outside its folder"):
        nks.io.read_meg(split_files)


def test_a_part_that_is_a_link_out_of_the_folder_is_refused(split_files, tmp_path):
    part = split_files.parent / "long_raw-1.fif"
    part.rename(tmp_path / "elsewhere.fif")
    part.symlink_to(tmp_path / "elsewhere.fif")
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_meg(split_files)


def test_links_out_of_a_recordings_folder_are_refused(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"MEG41RS\0" + bytes(100))
    ctf, bti = tmp_path / "x.ds", tmp_path / "run"
    ctf.mkdir()
    bti.mkdir()
    (ctf / "x.res4").write_bytes(outside.read_bytes())
    (ctf / "x.meg4").symlink_to(outside)
    (bti / "c,rfDC").write_bytes(bytes(100))
    (bti / "config").symlink_to(outside)
    (tmp_path / "opm").mkdir()
    opm = write_opm(tmp_path / "opm")
    (tmp_path / "table").write_text("name")
    table = next((tmp_path / "opm").glob("*_channels.tsv"))
    table.unlink()
    table.symlink_to(tmp_path / "table")
    for path in (ctf, bti, opm):
        with pytest.raises(FileFormatError, match="leads out of the folder"):
            nks.io.read_meg(path)


def test_the_path_itself_may_be_a_link(raw_file, tmp_path):
    link = tmp_path / "links" / "y_raw.fif"
    link.parent.mkdir()
    link.symlink_to(raw_file)
    assert nks.io.read_meg(link)["signal/signal"].values.shape == (2000, 5)


# -- epochs -------------------------------------------------------------------------------------


@pytest.fixture
def epochs_file(tmp_path: Path) -> Path:
    import pandas as pd

    raw = made_raw(samples=6000)
    events = np.stack([np.arange(1300, 6300, 500), np.zeros(10), np.arange(10) % 2 + 1], axis=1)
    metadata = pd.DataFrame(
        {"reaction_time": np.arange(10) / 7, "hand": ["left", "right"] * 5, "block": range(10)}
    )
    epochs = mne.Epochs(
        raw,
        events.astype(int),
        {"go": 1, "stop": 2},
        -0.1,
        0.3,
        baseline=(None, 0),
        metadata=metadata,
        preload=True,
        picks="all",
        verbose="ERROR",
    )
    path = tmp_path / "made-epo.fif"
    epochs.save(path, fmt="double", verbose="ERROR")
    return path


def test_epochs_keep_their_trials(epochs_file):
    session = nks.io.read_meg(epochs_file)
    theirs = mne.read_epochs(epochs_file, proj=False, verbose="ERROR")
    signal = schema.check(session["signal"].to_dataset(), "signal")
    assert signal["signal"].dims == ("trial", "time", "channel")
    values = theirs.get_data(verbose="ERROR").transpose(0, 2, 1)
    assert signal["signal"].variable._in_memory is False
    assert np.array_equal(signal["signal"].values, values)
    assert np.array_equal(signal["trial"].values, theirs.selection)
    # The first event overlaps the annotation BAD_jump.
    assert signal.attrs["n_dropped"] == 10 - len(theirs) > 0
    assert np.array_equal(signal["event_sample"].values, theirs.events[:, 0])
    assert np.array_equal(signal["event_value"].values, theirs.events[:, 2])
    assert set(signal["event_label"].values) == {"go", "stop"}
    assert np.array_equal(signal["hand"].values, theirs.metadata["hand"])
    assert np.array_equal(signal["reaction_time"].values, theirs.metadata["reaction_time"])
    assert (signal.attrs["baseline_start"], signal.attrs["baseline_stop"]) == theirs.baseline
    assert np.abs(signal["time"].values - theirs.times).max() < 4 * np.finfo(float).eps
    for key in (
        (2, slice(None), slice(None)),
        (slice(1, 7, 3), slice(5, 50, 4), [3, 1]),
        ([0, 4], 7, 2),
        (slice(0, 0), slice(None), slice(None)),
    ):
        assert np.array_equal(
            signal["signal"][key].values, xr.Variable(signal["signal"].dims, values)[key]
        )
    reasons = session["drop_log/reason"].values
    assert [json.loads(r) if r else [] for r in reasons] == [list(r) for r in theirs.drop_log]


def test_epochs_go_back_to_mne_and_to_fif(epochs_file, tmp_path):
    session = nks.io.read_meg(epochs_file)
    theirs = mne.read_epochs(epochs_file, proj=False, verbose="ERROR")
    back = to_mne(session)
    assert_same(dict(back.info), dict(theirs.info))
    assert np.array_equal(back.get_data(verbose="ERROR"), theirs.get_data(verbose="ERROR"))
    for name in ("events", "event_id", "drop_log", "baseline", "selection", "tmin"):
        assert_same(getattr(back, name), getattr(theirs, name), name)
    assert back.metadata.equals(theirs.metadata)
    assert list(back.annotations.description) == list(theirs.annotations.description)
    nks.io.write_fif(session, tmp_path / "again-epo.fif")
    again = nks.io.read_meg(tmp_path / "again-epo.fif")
    for group in ("/signal", "/events", "/drop_log"):
        xr.testing.assert_identical(again[group].to_dataset(), session[group].to_dataset())


def test_our_own_trials_go_to_mne(tmp_path):
    session = from_mne(made_raw())
    trials = nks.epoch(session, [1.0, 2.0, 3.5], -0.1, 0.2)
    trials = trials.assign_coords(event_label=("trial", ["a", "b", "a"]), rt=("trial", [1.0, 2, 3]))
    epochs = to_mne(trials)
    assert epochs.event_id == {"a": 1, "b": 2}
    assert epochs.events[:, 0].tolist() == [500, 1000, 1750]
    assert epochs.metadata["rt"].tolist() == [1.0, 2.0, 3.0]
    assert np.array_equal(epochs.get_data(verbose="ERROR").transpose(0, 2, 1), trials["signal"])


def test_epochs_without_a_trial(tmp_path):
    epochs = mne.EpochsArray(
        np.zeros((2, 1, 5)), mne.create_info(["a"], 10.0, "eeg"), verbose="ERROR"
    )
    session = from_mne(epochs.drop([0, 1], verbose="ERROR"))
    assert session["signal/signal"].shape == (0, 5, 1)


def test_averages_of_unlike_channels_are_sets_of_their_own():
    one = mne.EvokedArray(np.ones((2, 4)), mne.create_info(2, 100.0, "eeg"), comment="a")
    two = mne.EvokedArray(np.ones((1, 4)), mne.create_info(1, 100.0, "mag"), comment="b", tmin=-0.1)
    session = from_mne([one, two])
    assert session["evoked/0/condition"].values == ["a"]
    assert float(session["evoked/1/time"][0]) == -0.1
    with pytest.raises(SchemaError, match=r"session\['/evoked/0'\]"):
        to_mne(session)
    (back,) = to_mne(session["/evoked/1"])
    assert np.array_equal(back.data, two.data)
    alone = from_mne(one)
    assert alone["evoked/signal"].shape == (1, 4, 2)


# -- MNE in memory ------------------------------------------------------------------------------


def test_a_raw_that_mne_has_not_loaded_stays_on_disk(raw_file):
    raw = mne.io.read_raw_fif(raw_file, verbose="ERROR").pick(["mag", "eeg"])
    session = from_mne(raw)
    assert session["signal/signal"].variable._in_memory is False
    assert np.array_equal(session["signal/signal"].values.T, raw.get_data())


def test_mne_works_on_a_copy():
    session = from_mne(made_raw())
    before = session["signal"].to_dataset().copy(deep=True)
    to_mne(session).apply_function(lambda x: x + 1, picks="all", verbose="ERROR")
    xr.testing.assert_identical(session["signal"].to_dataset(), before)


def test_compensation_and_history_come_back():
    """What only few files hold, put into an info by hand."""
    info = made_raw().info
    names = info["ch_names"]
    comp = {
        "ctfkind": 1194410578,
        "kind": 1,
        "save_calibrated": False,
        "rowcals": np.array([1.0, 2.0]),
        "colcals": np.array([3.0]),
        "data": {
            "nrow": 2,
            "ncol": 1,
            "row_names": names[:2],
            "col_names": names[2:3],
            "data": np.array([[0.5], [0.25]]),
        },
    }
    from scipy.sparse import csc_array

    history = {
        "block_id": {"version": 1, "machid": np.array([1, 2], np.int32), "secs": 3, "usecs": 4},
        "date": (5, 6),
        "experimenter": "x",
        "creator": "MaxFilter",
        "max_info": {"sss_ctc": {"decoupler": csc_array(np.eye(3))}, "max_st": {}},
        "values": [1.5, np.nan, np.inf, None, True, b"\1", 2 + 1j, datetime.date(2020, 1, 2)],
    }
    whole = mne.Info({**info, "comps": [comp], "proc_history": [history]})
    raw = mne.io.RawArray(made_raw().get_data(), whole, verbose="ERROR")
    session = from_mne(raw)
    assert session["compensation/0/weight"].sel(channel=names[1]).values.tolist() == [0.25]
    assert session["compensation/0"].attrs["grade"] == 1
    assert session["signal"].attrs["compensation_grade"] == 0
    assert_same(dict(to_mne(session).info), dict(raw.info))
    schema.check_attrs(session["mne_info"].to_dataset())


def test_changes_to_the_coordinates_go_to_mne():
    session = from_mne(made_raw())
    signal = (
        session["signal"]
        .to_dataset()
        .assign_coords(
            bad=("channel", [True, False, False, False, False]),
            x=("channel", np.array([0.2, 0.2, 0.2, 0.3, np.nan]), {"units": "m"}),
            channel_type=("channel", ["grad", "grad", "mag", "eog", "stim"]),
        )
    )
    session["signal"] = signal
    session.attrs["subject_sex"] = "male"
    info = to_mne(session).info
    assert info["bads"] == ["MEG 0112"]
    assert info["chs"][0]["loc"][0] == 0.2
    assert info["chs"][0]["coil_type"] == made_raw().info["chs"][0]["coil_type"]
    assert mne.channel_type(info, 3) == "eog"
    assert info["subject_info"]["sex"] == 1


def named_left(data: Any) -> str:
    with pytest.warns(DataWarning, match="MNE cannot hold") as caught:
        to_mne(data)
    return str(caught[0].message)


def simple(**coords: Any) -> xr.Dataset:
    return xr.Dataset(
        {"signal": (("time", "channel"), np.zeros((100, 2)), {"units": "V"})},
        coords={
            "channel": ["A1", "A2"],
            "channel_type": ("channel", ["seeg", "seeg"]),
            "channel_unit": ("channel", ["V", "V"]),
            **coords,
        },
    ).assign_coords(even_time(100, 100.0))


def test_what_mne_cannot_hold_is_named():
    data = simple(
        shaft=("channel", ["A", "A"]),
        **{axis: ("channel", [0.1, 0.2], {"units": "m"}) for axis in "xyz"},
        coord_frame="mni152",
    )
    data.attrs = {"reference": "common average", "amplifier": "x"}
    said = named_left(
        xr.DataTree.from_dict(
            {
                "/": xr.Dataset(attrs={"meas_date": "yesterday", "subject_species": "rat"}),
                "/signal": data.assign_coords(even_time(100, 100.0, 2.5)),
                "/spikes": nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0),
                "/events": xr.Dataset(
                    {
                        "event_onset": ("event", [3.0, 50.0], {"units": "s"}),
                        "event_duration": ("event", [0.0, 0.0], {"units": "s"}),
                        "event_label": ("event", ["a", "b"]),
                        "score": ("event", [1.0, 2.0]),
                    }
                ),
            }
        )
    )
    for word in (
        "'/spikes'",
        "'shaft'",
        "'amplifier'",
        "'mni152'",
        "'common average'",
        "'yesterday'",
        "'subject_species'",
        "2.5 s",
        "1 events outside",
        "'score'",
    ):
        assert word in said, word
    assert "'fish'" in named_left(simple(channel_type=("channel", ["seeg", "fish"])))
    strange = simple(
        channel_type=("channel", ["misc", "misc"]), channel_unit=("channel", ["furlong", "V"])
    )
    assert "'furlong' of channel A1" in named_left(strange)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (simple(channel_unit=("channel", ["uV", "V"])), r"A1 of type seeg in V.*'uV'"),
        (
            simple()
            .drop_vars("time")
            .assign_coords(time=("time", np.cumsum(np.linspace(1, 2, 100)), {"units": "s"})),
            "evenly spaced",
        ),
        (simple().drop_vars("channel_type"), "channel_type"),
        (xr.DataTree.from_dict({"/a": simple()}), "one /signal or one /evoked"),
        (xr.DataTree.from_dict({"/signal/a": simple()}), r"session\['/signal/a'\]"),
        (np.zeros(3), "NumPy array"),
        (simple().isel(time=[0]), "sampling_rate"),
    ],
)
def test_what_is_no_recording_for_mne_is_refused(data, says, tmp_path):
    with pytest.raises(SchemaError, match=says):
        to_mne(data)
    with pytest.raises(SchemaError, match=says):
        nks.io.write_fif(data, tmp_path / "x_raw.fif")
    assert list(tmp_path.iterdir()) == []


def test_from_mne_refuses_other_things():
    with pytest.raises(ParameterError, match="got ndarray"):
        from_mne(np.zeros(3))


def test_times_in_memory_are_even_enough():
    data = (
        simple()
        .drop_vars("time")
        .assign_coords(time=("time", np.arange(100) * 0.005 + 0.0, {"units": "s"}))
    )
    assert to_mne(data).info["sfreq"] == 200.0


# -- FIF that we write --------------------------------------------------------------------------


def simulated(kind: str) -> xr.DataTree:
    current = xr.Dataset(
        {
            "synaptic_current": (
                ("time", "population"),
                stream(0, "current").standard_normal((500, 2)) * 100,
                {"units": "pA"},
            )
        },
        coords={"time": ("time", np.arange(500) / 500, {"units": "s"}), "population": ["e", "i"]},
    )
    session = xr.DataTree.from_dict({"/current": current})
    return nks.snn.observe.sensors(session, 6, kind=kind, rng=1)


@pytest.mark.parametrize("kind", ["meg", "seeg"])
def test_simulated_recordings_go_through_the_reader(tmp_path, kind):
    made = simulated(kind)
    with pytest.warns(DataWarning, match="/current"):
        nks.io.write_fif(made, tmp_path / "made_raw.fif")
    back = nks.io.read_meg(tmp_path / "made_raw.fif")
    assert np.array_equal(back["signal/signal"].values, made["signal/signal"].values)
    assert np.array_equal(back["signal/channel"].values, made["signal/channel"].values)
    assert np.array_equal(back["signal/channel_type"].values, made["signal/channel_type"].values)
    for axis in "xyz":
        error = np.abs(back["signal"][axis].values - made["signal"][axis].values)
        assert error.max() < 1e-8  # single precision of 0.1 m
    if kind == "meg":
        assert set(back["signal/coord_frame"].values) == {"meg"}
        assert np.array_equal(back["head_position/dev_head_t"].values, np.eye(4))
    else:
        assert set(back["signal/coord_frame"].values) == {"head"}


def test_positions_are_left_out_rather_than_moved_to_another_frame(tmp_path):
    places = {axis: ("channel", [0.1, 0.2], {"units": "m"}) for axis in "xyz"}
    with pytest.warns(DataWarning, match=r"'mni_tal'.*left out rather than misplaced"):
        nks.io.write_fif(simple(**places, coord_frame="mni_tal"), tmp_path / "x_raw.fif")
    back = nks.io.read_meg(tmp_path / "x_raw.fif")["signal"]
    assert np.isnan(back["x"].values).all()


def test_what_fif_rounds_is_named(tmp_path):
    data = simple().assign_coords(even_time(100, 173.61))
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.1], {"units": "s"}),
            "event_duration": ("event", [0.0], {"units": "s"}),
            "event_label": ("event", ["a"]),
        }
    )
    session = xr.DataTree.from_dict({"/signal": data, "/events": events})
    with pytest.warns(DataWarning, match=r"sampling rate 173\.61 Hz.*event onsets"):
        nks.io.write_fif(session, tmp_path / "x_raw.fif")
    back = nks.io.read_meg(tmp_path / "x_raw.fif")
    assert float(back["events/event_onset"][0]) == np.float32(0.1)


def test_a_write_that_fails_leaves_nothing_and_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x_raw.fif"
    nks.io.write_fif(simple(), path)
    before = path.read_bytes()

    def broken(self, *args, **kwargs):
        Path(args[0]).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(mne.io.BaseRaw, "save", broken)
    with pytest.raises(FileFormatError, match=r"could not be written.*disk full"):
        nks.io.write_fif(simple() + 1, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_must_be_that_of_a_fif(tmp_path):
    with pytest.raises(ParameterError, match=r"ends in \.fif"):
        nks.io.write_fif(simple(), tmp_path / "x.edf")


@given(evoked_datasets())
@settings(max_examples=15, deadline=None)
def test_averages_go_through_mne_without_loss(evoked):
    schema.check(evoked, "evoked")
    known = evoked.drop_attrs(deep=False).assign_attrs(sampling_rate=250.0)
    back = from_mne(to_mne(known))["evoked"].to_dataset()
    assert np.array_equal(back["signal"].values, evoked["signal"].values)
    for name in ("condition", "n_averaged", "channel", "channel_type", "channel_unit", "bad"):
        assert np.array_equal(back[name].values, evoked[name].values)
    assert np.allclose(back["time"].values, evoked["time"].values, rtol=0, atol=1e-15)


# -- other formats ------------------------------------------------------------------------------


def write_opm(folder: Path) -> Path:
    """A FIL-OPM recording: samples as big-endian floats, and two tables."""
    path = folder / "sub-1_task-rest_run-1_meg.bin"
    values = np.arange(12.0).reshape(4, 3)  # sample, channel
    path.write_bytes(values.astype(">f4").tobytes())
    stem = path.name.removesuffix("_meg.bin")
    (folder / f"{stem}_meg.json").write_text(
        json.dumps({"SamplingFrequency": 1000, "PowerLineFrequency": 50})
    )
    (folder / f"{stem}_channels.tsv").write_text(
        "name\ttype\tunits\tstatus\n"
        "G1-X\tMEGMAG\tfT\tgood\nG2-X\tMEGMAG\tfT\tbad\nTRIG1\tTRIG\tV\tgood\n"
    )
    (folder / f"{stem}_positions.tsv").write_text(
        "name\tPx\tPy\tPz\tOx\tOy\tOz\nG1-X\t10\t20\t30\t1\t0\t0\nG2-X\t10\t-20\t30\t0\t1\t0\n"
    )
    return path


def test_optically_pumped_magnetometers(tmp_path):
    path = write_opm(tmp_path)
    assert is_fil(path)
    with pytest.warns(DataWarning, match="MNE says of sub-1.*No fiducials"):
        session = nks.io.read_meg(path)
    raw = mne.io.read_raw_fil(path, verbose="ERROR")
    signal = session["signal"]
    assert np.array_equal(signal["signal"].values.T, raw.get_data())
    assert signal["channel_type"].values.tolist() == ["mag", "mag", "stim"]
    assert signal["channel_unit"].values.tolist()[:2] == ["T", "T"]
    assert signal["bad"].values.tolist() == [False, True, False]
    assert signal["coil_type"].values[0] == "QUSPIN_ZFOPM_MAG2"
    assert signal.attrs["line_freq"] == 50.0


def test_folders_and_files_are_known_by_content(tmp_path):
    ctf = tmp_path / "x.ds"
    ctf.mkdir()
    (ctf / "x.res4").write_bytes(b"MEG41RS\0" + bytes(100))
    assert is_ctf(ctf)
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(ctf)
    kit = tmp_path / "x.sqd"
    kit.write_bytes(struct.pack("<4i", 0, 16, 32, 32) + bytes(16 * 40))
    assert is_kit(kit)
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(kit)
    bti = tmp_path / "run"
    bti.mkdir()
    (bti / "config").write_bytes(bytes(100))
    (bti / "c,rfDC").write_bytes(bytes(100))
    assert bti_file(bti) == bti / "c,rfDC"
    with pytest.raises(FileFormatError, match="could not be read with MNE"):
        nks.io.read_meg(bti)
    for path in (tmp_path, kit.with_name("y.sqd")):
        path.mkdir(exist_ok=True)
        assert not is_ctf(path)
        assert not is_kit(path)
        assert not is_fil(path)
        assert bti_file(path) is None
        with pytest.raises(FileFormatError, match="Expected a recording in FIF, CTF, KIT"):
            nks.io.read_meg(path)


def test_formats_that_only_mne_knows(tmp_path):
    from scipy.io import savemat

    values = np.arange(20.0).reshape(2, 10)
    savemat(
        tmp_path / "x.set",
        {
            "EEG": {
                "setname": "x",
                "nbchan": 2,
                "trials": 1,
                "pnts": 10,
                "srate": 100.0,
                "xmin": 0.0,
                "xmax": 0.09,
                "data": values,
                "icawinv": [],
                "icasphere": [],
                "icaweights": [],
                "icaact": [],
                "chanlocs": [],
                "event": [],
                "epoch": [],
                "urevent": [],
            }
        },
        appendmat=False,
    )
    session = nks.io.read_meg(tmp_path / "x.set")
    # EEGLAB writes microvolts; MNE gives volts.
    assert np.allclose(session["signal/signal"].values.T, values * 1e-6, rtol=1e-12)


# -- bad files ----------------------------------------------------------------------------------


def test_truncated_files_say_so(raw_file):
    content = raw_file.read_bytes()
    for length in (13, 36, 100, 1000, len(content) // 2, len(content) - 1):
        raw_file.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"cut off|could not be read"):
            nks.io.read_meg(raw_file)


def test_a_tag_that_claims_gigabytes_is_refused(raw_file):
    content = bytearray(raw_file.read_bytes())
    head = struct.pack(">ii", 300, 5)  # a buffer of doubles
    position = content.index(head)
    content[position + 8 : position + 12] = struct.pack(">i", 2**31 - 1)
    raw_file.write_bytes(content)
    with pytest.raises(FileFormatError, match="claims 2147483647 bytes"):
        nks.io.read_meg(raw_file)


def test_tags_in_a_circle_are_refused(tmp_path):
    path = tmp_path / "x.fif"
    path.write_bytes(
        struct.pack(">iiii", 100, 31, 20, 0) + bytes(20) + struct.pack(">iiii", 1, 0, 0, 36)
    )
    with pytest.raises(FileFormatError, match="in a circle"):
        nks.io.read_meg(path)


def test_a_directory_that_points_outside_is_refused(tmp_path):
    path = tmp_path / "x.fif"
    entry = struct.pack(">iiii", 118, 10, 4, 10_000)
    path.write_bytes(
        struct.pack(">iiii", 100, 31, 20, 0)
        + bytes(20)
        + struct.pack(">iiii", 102, 32, 16, -1)
        + entry
    )
    with pytest.raises(FileFormatError, match="outside its"):
        nks.io.read_meg(path)


def test_a_packed_file_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, raw_file):
    path = tmp_path / "x_raw.fif.gz"
    path.write_bytes(gzip.compress(raw_file.read_bytes()))
    expected = nks.io.read_meg(raw_file)["signal/signal"].values
    assert np.array_equal(nks.io.read_meg(path)["signal/signal"].values, expected)
    monkeypatch.setattr(fif_tags, "_LARGEST_UNPACKED", 10_000)
    with pytest.raises(FileFormatError, match="gunzip"):
        nks.io.read_meg(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FileFormatError, match="damaged or cut off"):
        nks.io.read_meg(path)


def test_a_file_without_its_end_mark_is_read_with_a_warning(raw_file):
    content = raw_file.read_bytes()
    raw_file.write_bytes(content[:-16])
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read_meg(raw_file)
    assert "probably cut off; what is there is read" in str(caught[0].message)
    assert session["signal"].sizes["time"] == 2000


def test_fif_without_a_recording_says_what_it_holds(tmp_path):
    path = tmp_path / "x-eve.fif"
    mne.write_events(path, np.array([[1, 0, 1]]), verbose="ERROR")
    with pytest.raises(FileFormatError, match="found a list of events"):
        nks.io.read_meg(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x80\x04\x95", "pickle"),
        (b"no recording at all", "Expected a recording in FIF"),
    ],
)
def test_other_files_are_refused(tmp_path, content, says):
    path = tmp_path / "x.fif"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_meg(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileFormatError, match="found nothing"):
        nks.io.read_meg(tmp_path / "x.fif")


def test_without_mne_the_extra_is_named(raw_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[meg\]"):
        nks.io.read_meg(raw_file)


# -- large recordings ---------------------------------------------------------------------------

LARGE = textwrap.dedent(
    """
    import json, sys, time
    import numpy as np
    import neurokit_sdr as nks

    def read_bytes():
        with open("/proc/self/io") as stream:
            return int(stream.readline().split()[1])

    def peak_mb():
        with open("/proc/self/status") as stream:
            return next(int(line.split()[1]) for line in stream if "VmHWM" in line) / 1e3

    # Libraries are loaded once for all files; here, those of this format.
    small = nks.io.read(sys.argv[1])["signal"].to_dataset()
    begin = time.process_time()
    signal = nks.io.read(sys.argv[2])["signal"].to_dataset()
    found = {"seconds": time.process_time() - begin, "peak_mb": peak_mb()}
    nks.bandpass(small, 20, 40).isel(channel=[0])["signal"].values
    minute = slice(3600, 3660)
    for name, work in {
        "bin": lambda: nks.bin_signal(signal, 0.1).sel(time=minute),
        "epoch": lambda: nks.epoch(signal, np.arange(3600.0, 3660.0), 0.0, 0.999),
        "bandpass": lambda: nks.bandpass(signal, 20, 40).sel(time=minute),
        "bandpass_minute": lambda: nks.bandpass(signal.sel(time=minute), 20, 40),
    }.items():
        start = read_bytes()
        work()["signal"].values
        found[name] = read_bytes() - start
    json.dump(found, sys.stdout)
    """
)


def write_brainvision(folder: Path, name: str, samples: int, channels: int) -> Path:
    """A BrainVision recording of zeros, as a sparse file."""
    lines = [
        "Brain Vision Data Exchange Header File Version 1.0",
        "[Common Infos]",
        "Codepage=UTF-8",
        f"DataFile={name}.eeg",
        f"MarkerFile={name}.vmrk",
        "DataFormat=BINARY",
        "DataOrientation=MULTIPLEXED",
        f"NumberOfChannels={channels}",
        "SamplingInterval=1000",
        "[Binary Infos]",
        "BinaryFormat=INT_16",
        "[Channel Infos]",
        *(f"Ch{k + 1}=C{k + 1},,0.1,uV" for k in range(channels)),
    ]
    path = folder / f"{name}.vhdr"
    path.write_text("\n".join(lines) + "\n")
    (folder / f"{name}.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={name}.eeg\n[Marker Infos]\nMk1=Stimulus,S  1,2000,1,0\n"
    )
    with (folder / f"{name}.eeg").open("wb") as stream:
        stream.truncate(samples * channels * 2)
    return path


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes as Linux does")
def test_twenty_gigabytes_open_at_once_and_a_minute_reads_a_minute(tmp_path):
    channels, rate = 256, 1000
    samples = 20_000_000_000 // (2 * channels)
    small = write_brainvision(tmp_path, "small", 5000, channels)
    large = write_brainvision(tmp_path, "large", samples, channels)
    assert (tmp_path / "large.eeg").stat().st_size > 19.9e9
    done = subprocess.run(
        [sys.executable, "-c", LARGE, small, large], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"] < 1
    assert found["peak_mb"] < 200
    minute = 60 * rate * channels * 2
    padding = 2 * (3.3 / 5.0 / 2 + 0.01) * rate * channels * 2
    # Beside the samples: a header and buffers.
    for name, allowed in {
        "bin": minute,
        "epoch": minute,
        "bandpass": minute + padding,
        "bandpass_minute": minute,
    }.items():
        assert 0.99 * minute < found[name] < 1.01 * allowed + 1e5, name


def test_a_signal_without_channels_is_not_written(tmp_path):
    empty = xr.Dataset(
        {"signal": (("time", "channel"), np.zeros((3, 0)), {"units": "V"})},
        coords={
            "time": ("time", np.arange(3) / 100, {"units": "s"}),
            "channel": np.array([], dtype="U1"),
            "channel_type": ("channel", np.array([], dtype="U1")),
            "channel_unit": ("channel", np.array([], dtype="U1")),
        },
    )
    for data in (empty, xr.DataTree.from_dict({"/signal": empty})):
        with pytest.raises(SchemaError, match="Expected at least one channel to write"):
            nks.io.write_fif(data, tmp_path / "none_raw.fif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunks", ["foo", 2.5, {"time": 0}, {"time": -5}])
@pytest.mark.parametrize("open_it", [nks.io.read, nks.io.read_meg])
def test_wrong_chunks_of_meg_are_not_the_files_fault(data_folder, open_it, chunks):
    path = data_folder / "meg" / "kit" / "test_bin_raw.fif"
    with pytest.raises(ParameterError, match="Expected chunks"):
        open_it(path, chunks=chunks, **({"events": False} if open_it is nks.io.read_meg else {}))
