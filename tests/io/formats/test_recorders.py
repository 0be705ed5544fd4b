"""Recorders' own formats: what comes back is what others say of the file, with the real times."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import recorders
from signal_files import EPS, assert_close, damaged, quiet_mne, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError


def test_persyst_is_what_mne_says_of_it_with_its_own_names(tmp_path):
    comments = ["0.5,0.25,0,100,spike, left", "1.0,0,1,4,end", "x,0,0,0,y"]
    path = recorders.persyst(tmp_path, stored((400, 2)), comments=comments, data_file="rec.dat")
    with pytest.warns(DataWarning, match="1 comments without a time"):
        tree = nks.io.read_seeg(path)
    path.write_text(path.read_text(encoding="utf-8").replace("x,0,0,0,y", ""), encoding="utf-8")
    raw = quiet_mne("persyst", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == ["LA1-Ref", "LA2-Ref"]  # MNE makes them LA1, LA2
    assert_close(data["signal"].values, raw.get_data().T)
    assert even_clock(data) == (0.0, raw.info["sfreq"])
    assert tree["/events/event_onset"].values.tolist() == raw.annotations.onset.tolist()
    assert tree["/events/event_duration"].values.tolist() == raw.annotations.duration.tolist()
    assert tree["/events/event_label"].values.tolist() == ["spike, left", "end"]
    assert tree.attrs["subject_id"] == "p7"
    assert tree.attrs["patient_physician"] == "Dr Ä"
    assert tree.attrs["meas_date"] == "2004-03-02T10:00:00"


def test_persyst_finds_the_samples_beside_it_and_keeps_gaps(tmp_path):
    path = recorders.persyst(tmp_path, stored((100, 2)), times=["0=36000.0", "60=36010.0"])
    tree = nks.io.read_seeg(path)
    time = signal_of(tree)["time"].values
    assert np.array_equal(time, np.r_[np.arange(60) / 200, 10 + np.arange(40) / 200])
    assert tree["/observation_intervals/stop_time"].values.tolist() == [0.3, 10.2]
    path = recorders.persyst(tmp_path, stored((100, 2)), times=["0=36000.0", "60=30000.0"])
    with pytest.raises(FileFormatError, match="clock runs backwards"):
        nks.io.read_seeg(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("WaveformCount=2", "WaveformCount=900000000", "Expected 900000000 channels"),
        ("SamplingRate=200", "SamplingRate=-1", "samplingrate"),
        ("Calibration=0.25", "Calibration=", "calibration"),
        ("DataType=0", "DataType=5", "DataType 0 or 7"),
        (r"C:\patients\rec.dat", "..", "name of a file of samples"),
        (r"C:\patients\rec.dat", "other.dat", "copy the two"),
        ("LA2-Ref=2\n", "", "Expected 2 channels"),
    ],
)
def test_persyst_with_a_wrong_layout_is_refused(tmp_path, old, new, says):
    path = recorders.persyst(tmp_path, stored((100, 2)))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path)


def test_nihon_kohden_is_what_mne_says_of_it(tmp_path):
    path = recorders.nihon(tmp_path, stored((100, 2)))
    tree, raw = nks.io.read_seeg(path), quiet_mne("nihon", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names == ["LA1", "LA2"]
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert np.ptp(data["signal"].values) > 1e-4  # the samples, and not zeros
    assert even_clock(data) == (0.0, 500.0)
    assert tree["/events/event_label"].values.tolist() == ["REC START"]
    assert set(data["coord_frame"].values) == {"unknown"}
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 0x1800 + 0x1C, 2**31)
    path.write_bytes(bytes(data))
    with pytest.raises(FileFormatError, match="its size"):
        nks.io.read_seeg(path)


def test_blackrock_is_what_mne_says_of_it(tmp_path):
    path = recorders.blackrock(tmp_path / "a.ns2", [(0, stored((100, 2)))])
    tree, raw = nks.io.read_seeg(path), quiet_mne("nsx", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names
    assert data["channel_type"].values.tolist() == raw.get_channel_types() == ["seeg", "seeg"]
    assert_close(data["signal"].values, raw.get_data().T)
    assert data.attrs["highpass"] == raw.info["highpass"]
    assert data.attrs["lowpass"] == raw.info["lowpass"]
    assert tree.attrs["meas_date"] == "2020-01-02T10:11:12.500000+00:00"


def test_blackrock_gaps_have_the_real_times(tmp_path):
    parts = [stored((100, 2)), stored((50, 2), 1)]
    path = recorders.blackrock(tmp_path / "a.ns2", [(0, parts[0]), (30 * 400, parts[1])])
    tree = nks.io.read_seeg(path)
    data = signal_of(tree)
    assert np.allclose(data["time"], np.r_[np.arange(100) / 1000, 0.4 + np.arange(50) / 1000])
    assert_close(data["signal"].values, np.concatenate(parts) * 0.25e-6)
    assert_close(data["signal"].isel(time=slice(90, 110), channel=1).values,
                 np.concatenate(parts)[90:110, 1] * 0.25e-6)  # fmt: skip
    assert tree["/observation_intervals"].sizes["interval"] == 2
    other = path.rename(tmp_path / "a.dat")
    with pytest.raises(FileFormatError, match=r"suffix \.ns1 to \.ns9"):
        nks.io.read_seeg(other)


def test_micromed_is_what_its_header_says(tmp_path):
    values = stored((300, 2))
    path = recorders.micromed(tmp_path / "a.trc", values + 32768, notes=[(128, "spike")])
    tree = nks.io.read_seeg(path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == ["LA1", "LA2"]
    assert even_clock(data) == (0.0, 256.0)
    # a difference of numbers of 2**15 steps, each rounded
    assert np.abs(data["signal"].values - values * 1e-6).max() <= 65536e-6 * 4 * EPS
    assert tree["/events/event_label"].values.tolist() == ["spike"]
    assert tree["/events/event_onset"].values.tolist() == [0.5]
    assert tree.attrs["meas_date"] == "2004-03-02T10:11:12"


def test_micromed_segments_have_the_real_times(tmp_path):
    values = stored((300, 2)) + 32768
    path = recorders.micromed(tmp_path / "a.trc", values, segments=[(256, 0), (2816, 200)])
    tree = nks.io.read_seeg(path)
    time = signal_of(tree)["time"].values
    assert np.array_equal(time, np.r_[np.arange(200) / 256, 10 + np.arange(100) / 256])
    path = recorders.micromed(tmp_path / "b.trc", values, segments=[(2560, 0), (1, 200)])
    with pytest.raises(FileFormatError, match="clock runs backwards"):
        nks.io.read_seeg(path)


def test_mef3_is_what_mne_says_of_it(tmp_path):
    pytest.importorskip("pymef")
    path = recorders.mef3(tmp_path, stored((2500, 2)))
    tree, raw = nks.io.read_seeg(path), quiet_mne("mef", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names
    assert data["channel_type"].values.tolist() == ["seeg", "seeg"]
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert_close(data["signal"].values, stored((2500, 2)) * 0.5e-6)
    part = data["signal"].isel(time=slice(990, 1010), channel=1)
    assert np.array_equal(part.values, raw[1, 990:1010][0][0])
    assert tree.attrs["subject_id"] == "p7"


def test_damaged_mef3_is_refused_before_the_c_library_sees_it(tmp_path):
    pytest.importorskip("pymef")
    path = recorders.mef3(tmp_path, stored((2500, 2)))
    for suffix, place in ((".tmet", 2000), (".tidx", 1030), (".tdat", 40)):
        (file, *_) = sorted(path.rglob(f"*{suffix}"))
        whole = file.read_bytes()
        damaged(file, place, bytes([whole[place] ^ 1]))
        with pytest.raises(FileFormatError, match="checksum"):
            nks.io.read_seeg(path)
        file.write_bytes(whole[:1000])
        with pytest.raises(FileFormatError, match="cut off"):
            nks.io.read_seeg(path)
        file.write_bytes(whole)
    data = signal_of(nks.io.read_seeg(path))
    damaged(file, 1100, bytes([whole[1100] ^ 1]))  # a block of the samples
    with pytest.raises(FileFormatError, match=r"block.*checksum"):
        data["signal"].values


def test_eeglab_is_what_mne_says_of_it(tmp_path):
    import scipy.io

    values = stored((100, 2)).T.astype(float)
    labels = np.array([("LA1",), ("LA2",)], dtype=[("labels", object)])
    events = np.array(
        [("go", 11.0, 0.0)], dtype=[("type", "O"), ("latency", "O"), ("duration", "O")]
    )
    content = {"data": values, "nbchan": 2.0, "pnts": 100.0, "trials": 1.0, "srate": 100.0,
               "xmin": 0.0, "xmax": 0.99, "chanlocs": labels, "event": events, "setname": "x",
               "epoch": np.array([]), "urevent": np.array([]), "chaninfo": {"x": 1.0}}  # fmt: skip
    path = tmp_path / "a.set"
    scipy.io.savemat(path, {"EEG": content}, appendmat=False)
    tree, raw = nks.io.read_seeg(path), quiet_mne("eeglab", path)
    data = schema.check(signal_of(tree), "signal")
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert_close(data["signal"].values, values.T * 1e-6)
    assert tree["/events/event_onset"].values.tolist() == [0.1]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileFormatError):
        nks.io.read_seeg(path)
