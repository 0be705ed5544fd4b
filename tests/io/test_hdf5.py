"""An HDF5 file is recognised once, by what every reader would have seen of it itself."""

from __future__ import annotations

import os
import traceback
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from calcium_files import caiman_file

import neurokit_sdr as nks
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.io.hdf5 import outline

PACKAGE = Path(nks.__file__).parent
SPIKES = nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.3]}, t_stop=1.0)


def nwb(folder: Path) -> Path:
    nks.io.write_nwb(SPIKES, folder / "a.nwb")
    return folder / "a.nwb"


def saved(folder: Path) -> Path:
    nks.save(SPIKES, folder / "a.nc")
    return folder / "a.nc"


def caiman(folder: Path) -> Path:
    return caiman_file(folder / "a.hdf5")


@pytest.fixture
def opened(monkeypatch) -> Counter[str]:
    """How often files are opened as HDF5, by the module that does it."""
    counted: Counter[str] = Counter()

    real = h5py.File.__init__

    def counting(self, name, *args, **options):
        callers = [Path(f.filename) for f in traceback.extract_stack()]
        own = [p for p in callers if p.is_relative_to(PACKAGE)]
        if own and isinstance(name, str | Path):  # else the test's own, or a handle of an open one
            counted[own[-1].relative_to(PACKAGE).as_posix()] += 1
        real(self, name, *args, **options)

    monkeypatch.setattr(h5py.File, "__init__", counting)
    return counted


@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
@pytest.mark.parametrize("read", [nks.io.read, nks.io.read_spikes])
def test_nwb_is_recognised_once(tmp_path, opened, read):
    path = nwb(tmp_path)
    opened.clear()
    read(path)
    assert opened == {"io/hdf5.py": 1, "core/files.py": 1, "io/formats/nwb/read.py": 1}


@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
@pytest.mark.parametrize("make", [nwb, saved, caiman])
def test_readers_share_one_look(tmp_path, opened, make):
    path = make(tmp_path)
    opened.clear()
    nks.io.read(path)
    assert opened["io/hdf5.py"] == 1
    nks.io.read(path)
    assert opened["io/hdf5.py"] == 1  # nothing changed


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "nix"
    assert outline(path).attributes == {"format": "nix"}
    with h5py.File(path, "w") as file:
        file.create_group("estimates").create_group("A")
        file.attrs["number"] = 3
    os.utime(path, ns=(1, 1))  # a clock may be coarser than two writes
    assert outline(path) == ({"number": None}, {"estimates": frozenset({"A"})})


SIGNATURE = b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize("read", [nks.io.read, nks.io.read_spikes])
@pytest.mark.parametrize(
    "content",
    [b"text", *(SIGNATURE + rest for rest in (b"", b"\0", b"\2", b"\2\0\0", bytes(6), bytes(600)))],
)
def test_what_is_no_whole_file_has_no_outline(tmp_path, read, content):
    path = tmp_path / "a.nwb"
    path.write_bytes(content)
    assert outline(path) == ({}, {})
    with pytest.raises(FileFormatError):
        read(path)


def test_a_folder_and_nothing_have_no_outline(tmp_path):
    assert outline(tmp_path) == outline(tmp_path / "nowhere") == ({}, {})


def test_links_to_other_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("estimates/A")
        file.create_group("estimates/C")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["estimates"] = h5py.ExternalLink("other.h5", "/estimates")
    assert outline(tmp_path / "a.h5").members == {"estimates": frozenset()}


def test_text_in_a_damaged_heap_is_not_read(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs.create("words", "nix", dtype=h5py.string_dtype())
        file["text"] = np.array(["a", "b"], dtype=object)
    data = bytearray(path.read_bytes())
    start = data.index(b"GCOL")
    data[start + 16 : start + 32] = bytes(16)  # an object of no length: HDF5 would never end
    path.write_bytes(data)
    assert outline(path).attributes == {"words": None}
    with pytest.raises(FileFormatError, match="the text in it"):
        nks.io.read(path)
