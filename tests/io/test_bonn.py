"""The Bonn set, which is text in archives."""

from __future__ import annotations

import warnings
import zipfile

import pytest
from signal_files import signal_of

from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError
from neurokit_sdr.io.published.seeg import read_bonn


def test_bonn_holds_what_its_text_files_say(data_folder):
    tree = read_bonn(data_folder / "seeg" / "bonn")
    with zipfile.ZipFile(data_folder / "seeg" / "bonn" / "bonn_eeg_dataset.zip") as archive:
        for folder, name in (("A_Z", "Z"), ("B_O", "O"), ("C_N", "N"), ("D_F", "F"), ("E_S", "S")):
            data = schema.check(signal_of(tree, f"/signal/{name}"), "signal")
            assert dict(data.sizes) == {"trial": 100, "time": 4097, "channel": 1}
            assert data["segment"].values[:2].tolist() == [f"{name}001", f"{name}002"]
            (entry,) = [
                n for n in archive.namelist() if n.lower() == f"{folder}/{name}017.txt".lower()
            ]
            text = archive.read(entry).split()
            assert data["signal"].values[16, :, 0].tolist() == [float(t) for t in text]
            assert even_clock(data) == (0.0, 173.61)
            assert data["channel_type"].item() == ("eeg" if name in "ZO" else "seeg")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"../Z001.txt": b"1\n"}, "out of its folder"),
        ({"/Z001.txt": b"1\n"}, "out of its folder"),
        ({"A/Z001.txt": b"1\n" * 400_000}, "not unpacked"),
        ({"A/Z001.txt": b"1\nx\n"}, "Expected numbers in A/Z001.txt"),
        ({"A/Z001.txt": b"1\n2\n", "A/Z002.txt": b"1\n"}, "one length"),
        ({"A/other": b""}, "found none"),
    ],
)
def test_bonn_archives_that_are_others_are_refused(tmp_path, entries, says):
    with zipfile.ZipFile(tmp_path / "bonn_eeg_dataset.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(FileFormatError, match=says):
            read_bonn(tmp_path)


def test_bonn_archive_that_is_damaged_is_refused(tmp_path, data_folder):
    whole = (data_folder / "seeg" / "bonn" / "bonn_eeg_dataset.zip").read_bytes()
    (tmp_path / "bonn_eeg_dataset.zip").write_bytes(whole[:50_000])
    with pytest.raises(FileFormatError, match="damaged"):
        read_bonn(tmp_path)
