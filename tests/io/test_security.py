"""Files are untrusted: they point nowhere else, run nothing, and claim no more than they hold."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import FileFormatError, NeurokitError
from neurokit_sdr.core.files import check_hdf5, check_heaps

READ = [nks.load, nks.io.read]


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file that no recording has a business with."""
    path = tmp_path / "secret" / "passwords.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(5.0)
    return path


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "data" / "a.nc"
    path.parent.mkdir()
    nks.save(xr.Dataset({"a": ("time", np.zeros(5))}), path)
    return path


@pytest.fixture
def store(tmp_path) -> Path:
    path = tmp_path / "data.zarr"
    nks.save(xr.Dataset({"a": ("time", np.zeros(5))}), path)
    return path


def nwb(path: Path) -> Path:
    nks.io.write_nwb(nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0), path)
    return path


# -- HDF5 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", READ)
def test_external_links_are_not_followed(read, saved, secret):
    with h5py.File(saved, "r+") as file:
        del file["a"]
        file["a"] = h5py.ExternalLink(str(secret), "/a")
    with pytest.raises(FileFormatError, match="another file"):
        read(saved)


@pytest.mark.parametrize("read", READ)
def test_virtual_datasets_are_not_read(read, saved, secret):
    layout = h5py.VirtualLayout(shape=(5,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(secret), "a", shape=(5,))
    with h5py.File(saved, "r+") as file:
        del file["a"]
        file.create_virtual_dataset("a", layout)
    with pytest.raises(FileFormatError, match="external storage"):
        read(saved)


@pytest.mark.parametrize("read", READ)
def test_raw_external_storage_is_not_read(read, saved, secret):
    with h5py.File(saved, "r+") as file:
        del file["a"]
        file.create_dataset("a", (5,), "f8", external=[(str(secret), 0, 40)])
    with pytest.raises(FileFormatError, match="external storage"):
        read(saved)


@pytest.mark.parametrize("kind", ["link", "virtual", "raw"])
def test_nwb_that_points_elsewhere_is_refused(tmp_path, secret, kind):
    path = nwb(tmp_path / "a.nwb")
    with h5py.File(path, "r+") as file:
        units = file["units"]
        size = units["spike_times"].shape[0]
        attrs = dict(units["spike_times"].attrs)
        del units["spike_times"]
        if kind == "link":
            units["spike_times"] = h5py.ExternalLink(str(secret), "/a")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(size,), dtype="f8")
            layout[:] = h5py.VirtualSource(str(secret), "a", shape=(5,))[:size]
            units.create_virtual_dataset("spike_times", layout)
        else:
            units.create_dataset("spike_times", (size,), "f8", external=[(str(secret), 0, 8)])
        if kind != "link":
            units["spike_times"].attrs.update(attrs)
    with pytest.raises(FileFormatError, match="another file"):
        nks.io.read(path)


def bomb(path: Path) -> None:
    """A file of a few kilobytes that claims a terabyte, in the dimension that is an index."""
    with h5py.File(path, "r+") as file:
        table = json.loads(file.attrs["neurokit_sdr_store"])
        del file["a"], file["time"]
        file.create_dataset("a", (2**37,), "f8", chunks=(2**17,), compression="gzip")
        variable = table["groups"][0]["variables"][0]
        variable |= {"shape": [2**37], "name": "time", "coordinate": 1, "index": 1}
        file.attrs["neurokit_sdr_store"] = json.dumps(table)


@pytest.mark.parametrize("read", READ)
def test_a_terabyte_in_a_kilobyte_is_refused(read, saved):
    bomb(saved)
    with pytest.raises(FileFormatError, match=r"claims 1,?099,?511,?627,?776 bytes"):
        read(saved)


def test_text_longer_than_it_says_is_refused(tmp_path):
    path = tmp_path / "a.nc"
    nks.save(xr.Dataset({"a": ("unit", ["x", "y"])}), path)
    with h5py.File(path, "r+") as file:
        file["a"][...] = np.array(["x" * 10**6, "y"], dtype=object)
    with pytest.raises(FileFormatError, match="at most 1 characters"):
        nks.load(path)


@pytest.mark.parametrize("read", READ)
def test_a_heap_that_leads_nowhere_is_not_followed(read, tmp_path):
    """The HDF5 library never comes back from a heap with an object of no length."""
    path = tmp_path / "a.nc"
    nks.save(xr.Dataset({"a": ("unit", ["one", "two", "three"])}), path)
    content = bytearray(path.read_bytes())
    for start in [m.start() for m in re.finditer(b"GCOL", content)]:
        content[start + 32 : start + 96] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"damaged \(the text in it"):
        read(path)


def test_the_letters_of_a_heap_at_the_very_end_are_no_heap(tmp_path):
    path = tmp_path / "a.nc"
    nks.save(nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0), path)
    content = path.read_bytes()
    content += b"\0" * (-len(content) % 8)
    for tail in (b"", b"\1", b"\1" * 7):
        path.write_bytes(content + b"GCOL\x01\0\0\0" + tail)
        check_heaps(path)


def test_heaps_of_whole_files_are_whole(tmp_path):
    for k in range(0, 400, 7):
        path = tmp_path / f"{k}.nc"
        nks.save(xr.Dataset({"a": ("unit", [f"{i}" * (i % 31) for i in range(k)])}), path)
        check_hdf5(path)
    check_hdf5(nwb(tmp_path / "a.nwb"))


# -- Zarr -------------------------------------------------------------------------------------


def edit(place: Path, **changes: object) -> None:
    metadata = json.loads((place / "zarr.json").read_text())
    (place / "zarr.json").write_text(json.dumps(metadata | changes))


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("what", ["a", "a/c/0", "a/zarr.json", "zarr.json"])
def test_links_out_of_a_store_are_not_followed(read, store, tmp_path, what):
    outside = tmp_path / "outside"
    shutil.move(store / what, outside)
    (store / what).symlink_to(outside)
    with pytest.raises(FileFormatError, match="leads out"):
        read(store)


def test_links_within_a_store_are_fine(store):
    shutil.move(store / "a", store / "b")
    (store / "a").symlink_to("b")
    assert nks.load(store)["a"].values.tolist() == [0] * 5


@pytest.mark.parametrize(
    "codec",
    [
        {"name": "numcodecs.pickle", "configuration": {}},
        {"name": "pickle"},
        {"name": "gzip", "configuration": {"level": 5}},
        "bytes",
        3,
        [],
    ],
)
def test_codecs_that_could_run_or_swell_are_refused(store, codec):
    edit(store / "a", codecs=[{"name": "bytes", "configuration": {"endian": "little"}}, codec])
    with pytest.raises(FileFormatError, match=r"open_zarr|damaged"):
        nks.load(store)


@pytest.mark.parametrize("chunk", [[10**15], [0], [-1], ["a"], [5, 5], [2.5]])
def test_chunks_larger_than_their_array_are_refused(store, chunk):
    edit(
        store / "a",
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": chunk}},
    )
    with pytest.raises(FileFormatError):
        nks.load(store)


def test_a_store_without_its_chunks_that_claims_much_is_refused(store):
    table = json.loads(json.loads((store / "zarr.json").read_text())["attributes"][MARK])
    table["groups"][0]["variables"][0]["shape"] = [2**40]
    edit(store, attributes={MARK: json.dumps(table)})
    edit(store / "a", shape=[2**40])
    with pytest.raises(FileFormatError, match="claims"):
        nks.load(store)


MARK = "neurokit_sdr_store"


def test_zarr_of_version_2_with_pickles_is_refused(tmp_path):
    """The older version knows a codec that unpickles."""
    path = tmp_path / "old.zarr"
    (path / "a").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({MARK: "{}"}))
    (path / "a" / ".zarray").write_text(
        json.dumps(
            {
                "zarr_format": 2,
                "shape": [1],
                "chunks": [1],
                "dtype": "|O",
                "compressor": None,
                "filters": [{"id": "pickle"}],
                "fill_value": None,
                "order": "C",
            }
        )
    )
    (path / "a" / "0").write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    for read in READ:
        with pytest.raises(NeurokitError):
            read(path)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


# -- whole folders ----------------------------------------------------------------------------


def test_a_suite2p_folder_with_a_trap_runs_nothing(tmp_path):
    folder = tmp_path / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    np.save(folder / "F.npy", np.zeros((2, 5), np.float32))
    np.save(folder / "Fneu.npy", np.zeros((2, 5), np.float32))
    np.save(folder / "iscell.npy", np.ones((2, 2)))
    trap = np.empty(2, dtype=object)
    trap[:] = [Trap(str(tmp_path / "sprung")), {}]
    np.save(folder / "stat.npy", trap, allow_pickle=True)
    with pytest.raises(FileFormatError) as caught:
        nks.io.read(folder.parent)
    assert not (tmp_path / "sprung").exists()
    assert "stat.npy" in str(caught.value)


def test_parameters_of_phy_are_not_run(tmp_path):
    np.save(tmp_path / "spike_times.npy", np.array([1, 2]))
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 0]))
    place = tmp_path / "sprung"
    (tmp_path / "params.py").write_text(f"import os\nos.mkdir({str(place)!r})\nsample_rate = 1.0\n")
    with pytest.raises(FileFormatError, match="holds code"):
        nks.io.read(tmp_path)
    assert not place.exists()


@pytest.mark.parametrize("name", ["spike_times.npy", "spike_clusters.npy", "templates.npy"])
def test_arrays_of_phy_are_not_unpickled(tmp_path, name):
    np.save(tmp_path / "spike_times.npy", np.array([1, 2]))
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 0]))
    (tmp_path / "params.py").write_text("sample_rate = 1000.0\n")
    place = tmp_path / "sprung"
    np.save(tmp_path / name, np.array([Trap(str(place))] * 2), allow_pickle=True)
    with pytest.raises(FileFormatError):
        nks.io.read(tmp_path)
    assert not place.exists()


@pytest.mark.parametrize("suffix", [".pkl", ".fif", ".edf", ".nwb", ".mat", ".npy", ""])
def test_a_pickle_under_any_name_is_not_opened(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung")), protocol=protocol))
        for read in READ:
            with pytest.raises(NeurokitError):
                read(path)
    assert not (tmp_path / "sprung").exists()


def test_refusing_a_bomb_takes_no_memory(saved):
    bomb(saved)
    code = f"""
    import resource, neurokit_sdr as nks
    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    try:
        nks.load({str(saved)!r})
    except nks.core.errors.FileFormatError:
        # Not ru_maxrss, which begins with what the parent of this process had.
        lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print(int(lines["VmHWM"].split()[0]) < 500_000)
    """
    if sys.platform != "linux":
        pytest.skip("memory is limited on Linux only")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
