"""MEG: what comes back is what MNE holds, lazily; and what cannot be kept or read says why."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from mne_files import EVOKED, RAWS, assert_same, made_raw, simple

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError
from neurokit_sdr.io.formats.mne import read as mne_read
from neurokit_sdr.io.interop.mne import from_mne, to_mne

mne = pytest.importorskip("mne")


# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


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


@pytest.mark.parametrize("chunks", ["foo", 2.5, {"time": 0}, {"time": -5}])
@pytest.mark.parametrize("open_it", [nks.io.read, nks.io.read_meg])
def test_wrong_chunks_of_meg_are_not_the_files_fault(data_folder, open_it, chunks):
    path = data_folder / "meg" / "kit" / "test_bin_raw.fif"
    with pytest.raises(ParameterError, match="Expected chunks"):
        open_it(path, chunks=chunks, **({"events": False} if open_it is nks.io.read_meg else {}))
