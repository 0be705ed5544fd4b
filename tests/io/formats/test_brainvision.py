"""BrainVision: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import numpy as np
import pytest
import recorders
from signal_files import EPS, assert_close, quiet_mne, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import FileFormatError


@pytest.mark.parametrize("binary", ["INT_16", "INT_32", "IEEE_FLOAT_32"])
@pytest.mark.parametrize("order", ["MULTIPLEXED", "VECTORIZED"])
def test_brainvision_is_what_mne_says_of_it(tmp_path, binary, order):
    channels = ["LA1,,0.5,µV", "LA2,Ref,1.5,mV", r"a\1b,,,µV", "T,,1,C"]
    markers = [
        "New Segment,,1,1,0,20040302050607000000",
        "Stimulus,S  1,11,1,0",
        r"Comment,left\1 right,31,5,2",
    ]
    path = recorders.brainvision(
        tmp_path, stored((50, 4)), binary=binary, order=order, channels=channels, markers=markers
    )
    tree, raw = nks.io.read_seeg(path), quiet_mne("brainvision", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names == ["LA1", "LA2", "a,b", "T"]
    assert data["channel_unit"].values.tolist() == ["V", "V", "V", "C"]
    assert data["file_unit"].values.tolist() == ["µV", "mV", "µV", "C"]
    assert data["reference"].values.tolist() == ["", "Ref", "", ""]
    assert even_clock(data) == (0.0, raw.info["sfreq"]) == (0.0, 500.0)
    assert_close(data["signal"].values, raw.get_data().T)
    assert np.array_equal(data["signal"].isel(time=slice(5, 9), channel=1), raw[1, 5:9][0][0])
    events = tree["/events"].to_dataset()
    assert events["event_label"].values.tolist() == [
        "New Segment/", "Stimulus/S  1", "Comment/left, right"
    ]  # fmt: skip
    marks = events.isel(event=[1, 2])  # MNE leaves the first segment out
    kept = [k for k, d in enumerate(raw.annotations.description) if "New" not in d]
    assert np.allclose(marks["event_onset"], raw.annotations.onset[kept], rtol=EPS, atol=0)
    assert np.allclose(marks["event_duration"], raw.annotations.duration[kept], rtol=EPS, atol=0)
    assert events["marker_channel"].values.tolist() == [0, 0, 2]
    assert tree.attrs["meas_date"] == "2004-03-02T05:06:07"


@pytest.mark.parametrize(
    "name", ["../rec.eeg", "/etc/passwd", "sub/rec.eeg", "..", r"..\rec.eeg", r"C:\rec.eeg"]
)
def test_brainvision_that_points_elsewhere_is_refused(tmp_path, name):
    path = recorders.brainvision(tmp_path, stored((5, 2)), data_file=name)
    with pytest.raises(FileFormatError, match=r"another folder|found nothing"):
        nks.io.read_seeg(path)


def test_brainvision_link_out_of_its_folder_is_refused(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = recorders.brainvision(folder, stored((5, 2)))
    (folder / "rec.eeg").rename(tmp_path / "outside.eeg")
    (folder / "rec.eeg").symlink_to(tmp_path / "outside.eeg")
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_seeg(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("NumberOfChannels=2", "NumberOfChannels=999999999", "999999999|1e\\+09"),
        ("SamplingInterval=2000", "SamplingInterval=0", "positive number for SamplingInterval"),
        ("SamplingInterval=2000", "SamplingInterval=x", "positive number for SamplingInterval"),
        ("INT_16", "INT_17", "IEEE_FLOAT_32.*INT_17"),
        ("DataFormat=BINARY", "DataFormat=ASCII", "export it as binary"),
        ("LA1,,0.5", "LA1,,0", "resolution other than 0"),
        ("LA1,,0.5", "LA1,,nan", "resolution other than 0"),
        ("DataFile=rec.eeg", "DataFile=other.eeg", "correct DataFile"),
        ("DataFile=rec.eeg\n", "", "Expected a DataFile"),
        ("NumberOfChannels=2", "NumberOfChannels=2\nDataPoints=7", "Expected 7 samples"),
    ],
)
def test_brainvision_with_a_wrong_header_is_refused(tmp_path, old, new, says):
    path = recorders.brainvision(tmp_path, stored((5, 2)))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path)


def test_brainvision_that_is_cut_off_or_not_the_header_is_refused(tmp_path):
    path = recorders.brainvision(tmp_path, stored((5, 2)))
    with pytest.raises(FileFormatError, match=r"belongs to rec\.vhdr"):
        nks.io.read_seeg(tmp_path / "rec.eeg")
    data = (tmp_path / "rec.eeg").read_bytes()
    (tmp_path / "rec.eeg").write_bytes(data[:-1])
    with pytest.raises(FileFormatError, match="cut off"):
        nks.io.read_seeg(path)


def test_brainvision_spherical_coordinates_and_comment_are_kept_as_written(tmp_path):
    more = "[Coordinates]\nCh1=1,-60,-51\nCh2=0,0,0\n[Comment]\nImpedance [kOhm]\nLA1: 5\n"
    path = recorders.brainvision(tmp_path, stored((5, 2)), more=more)
    tree = nks.io.read_seeg(path)
    data = signal_of(tree)
    assert data["sphere_theta"].values.tolist()[0] == -60.0
    assert np.isnan(data["sphere_radius"].values[1])
    assert "x" not in data.coords  # a head of unknown size has no metres
    assert tree.attrs["comment"] == "Impedance [kOhm]\nLA1: 5"
