"""Files are untrusted, and writes are whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pickle
import stat

import h5py
import numpy as np
import pytest

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import atomic_path, check_file, check_hdf5


@pytest.fixture
def hdf5(tmp_path):
    path = tmp_path / "good.h5"
    with h5py.File(path, "w") as file:
        file["group/values"] = np.arange(1000.0)
        file["group"].attrs["units"] = "s"
    return path


def test_good_files_pass(hdf5):
    assert check_file(str(hdf5)) == hdf5
    assert check_hdf5(hdf5) == hdf5


@pytest.mark.parametrize("check", [check_file, check_hdf5])
def test_missing_folder_and_empty(check, tmp_path):
    with pytest.raises(FileFormatError, match="found nothing"):
        check(tmp_path / "nowhere.h5")
    with pytest.raises(FileFormatError, match="found a folder"):
        check(tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(FileFormatError, match=r"empty \(0 bytes\).*again"):
        check(tmp_path / "empty")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_never_opened(protocol, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(FileFormatError):
        check_hdf5(path)
    if protocol >= 2:  # older ones are text, and no different from any other
        with pytest.raises(FileFormatError, match=r"pickle.*can run code.*NWB"):
            check_file(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"\x80", b"unit,time\n1,0.5\n", b"\x00" * 600])
def test_other_files_are_not_hdf5(content, tmp_path):
    (tmp_path / "x.nwb").write_bytes(content)
    assert check_file(tmp_path / "x.nwb")
    with pytest.raises(FileFormatError, match="found something else"):
        check_hdf5(tmp_path / "x.nwb")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_truncated_hdf5(hdf5, share):
    whole = hdf5.read_bytes()
    hdf5.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError, match=r"damaged or truncated.*again"):
        check_hdf5(hdf5)


def test_a_copy_with_holes_gives_our_error_or_none(hdf5):
    # Zeros, as of a download that skipped a block.
    whole = hdf5.read_bytes()
    for first in range(0, len(whole), 64):
        hdf5.write_bytes(whole[:first] + bytes(64) + whole[first + 64 :])
        with contextlib.suppress(FileFormatError):
            check_hdf5(hdf5)


def test_external_links_are_refused(hdf5, tmp_path):
    path = tmp_path / "link.h5"
    with h5py.File(path, "w") as file:
        file.create_group("deep/deeper")
        file["deep/deeper/away"] = h5py.ExternalLink(str(hdf5), "/group")
    with pytest.raises(FileFormatError, match=r"deep/deeper/away.*another file"):
        check_hdf5(path)


def test_virtual_and_external_datasets_are_refused(hdf5, tmp_path):
    virtual = tmp_path / "virtual.h5"
    layout = h5py.VirtualLayout((1000,), dtype=float)
    layout[:] = h5py.VirtualSource(hdf5, "group/values", (1000,))
    with h5py.File(virtual, "w") as file:
        file.create_virtual_dataset("values", layout)
    with pytest.raises(FileFormatError, match=r"/values in another file"):
        check_hdf5(virtual)
    external = tmp_path / "external.h5"
    with h5py.File(external, "w") as file:
        file.create_dataset("raw", (10,), dtype="f8", external=[(str(tmp_path / "raw.bin"), 0, 80)])
    with pytest.raises(FileFormatError, match=r"/raw in another file"):
        check_hdf5(external)


def test_links_inside_the_file_are_fine(hdf5):
    with h5py.File(hdf5, "a") as file:
        file["soft"] = h5py.SoftLink("/group/values")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["group/loop"] = file["group"]
        file["group/up"] = file["/"]
        file["type"] = np.dtype("f8")
    assert check_hdf5(hdf5) == hdf5


# -- atomic writes ------------------------------------------------------------------------------


def test_atomic_path_replaces_only_when_whole(tmp_path):
    path = tmp_path / "deep" / "result.nc"
    with atomic_path(path) as temporary:
        temporary.write_text("first")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".nc"
        assert not path.exists()
    assert path.read_text() == "first"

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("hal")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_path_that_is_removed_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.nc"
    path.write_text("old")

    def lose():
        with atomic_path(path) as temporary:
            temporary.unlink()

    with pytest.raises(FileNotFoundError):
        lose()
    assert path.read_text() == "old"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_atomic_path_gives_the_permissions_any_new_file_has(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("a")
        (tmp_path / "b.txt").write_text("b")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as one, atomic_path(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
