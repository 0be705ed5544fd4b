"""FIF that others write, whole, split or damaged: nothing outside its folder, nothing believed."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from mne_files import made_raw, write_opm

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError, MissingDependencyError
from neurokit_sdr.io.formats.fif import tags as fif_tags

mne = pytest.importorskip("mne")

# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


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
