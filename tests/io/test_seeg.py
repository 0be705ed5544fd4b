"""Recorders' formats: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import recorders
from signal_files import stored

import neurokit_sdr as nks
from neurokit_sdr.core.errors import DataWarning, FileFormatError, NeurokitError
from neurokit_sdr.io.formats import recorders as recorders_of_files

FORMATS = {
    "EDF and BDF": lambda f: recorders.edf(f / "x", [{"label": "A", "values": stored((1, 4))}]),
    "BrainVision": lambda f: recorders.brainvision(f, stored((5, 2))),
    "Persyst": lambda f: recorders.persyst(f, stored((5, 2))),
    "Nihon Kohden": lambda f: recorders.nihon(f, stored((50, 2))),
    "Blackrock nsx": lambda f: recorders.blackrock(f / "x", [(0, stored((5, 2)))]),
    "Micromed": lambda f: recorders.micromed(f / "x", stored((5, 2)) + 32768),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_known_by_content(tmp_path, name):
    path = FORMATS[name](tmp_path)
    claims = [r.name for r in recorders_of_files.READERS if r.can_read(path)]
    assert claims == [name]
    for other in ("empty", "text", "folder"):
        target = tmp_path / other
        if other == "folder":
            target.mkdir()
        else:
            target.write_bytes(b"" if other == "empty" else b"hello\n" * 100)
        assert not any(r.can_read(target) for r in recorders_of_files.READERS)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "EDF and BDF"])
def test_mutated_files_give_our_errors_or_a_recording(tmp_path, name, seed):
    path = FORMATS[name](tmp_path)
    if name == "Blackrock nsx":
        path = path.rename(tmp_path / "x.ns2")
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for _ in range(25):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), rng.choice([1, 3, 30])):
                data[place] = rng.integers(0, 256)
            path.write_bytes(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
            with contextlib.suppress(NeurokitError):
                nks.io.read_seeg(path)["/signal"].to_dataset().load()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: f / "missing.edf", "found nothing"),
        (lambda f: f, "folder with other content"),
        (lambda f: (f / "a.edf").write_bytes(b"") and f / "a.edf", "Expected a file|0 bytes"),
    ],
)
def test_what_is_no_recording_says_what_to_do(tmp_path, make, says):
    path = make(tmp_path)
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path if isinstance(path, Path) else tmp_path / "a.edf")


def test_other_files_and_pickles_are_refused(tmp_path):
    (tmp_path / "a.edf").write_bytes(b"x" * 1000)
    with pytest.raises(FileFormatError, match=r"one of EDF and BDF, .*nks\.io\.read_meg"):
        nks.io.read_seeg(tmp_path / "a.edf")
    (tmp_path / "b.edf").write_bytes(pickle.dumps([1]))
    with pytest.raises(FileFormatError, match="pickle"):
        nks.io.read_seeg(tmp_path / "b.edf")


def test_a_folder_without_a_name_is_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match="found a folder with other content"):
        nks.io.read_seeg(".")
