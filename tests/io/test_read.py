"""One call for every format: found by content, told apart, and refused with a way out."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import (
    DataWarning,
    FileFormatError,
    MissingDependencyError,
    ParameterError,
)
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.io import reading, registry
from neurokit_sdr.io.formats.neo import read as neo_read
from neurokit_sdr.io.registry import Reader, all_readers, is_installed


@pytest.fixture
def spikes_file(tmp_path) -> Path:
    path = tmp_path / "session.nwb"
    spikes = nks.io.from_spike_times({"a": [0.1, 0.2], "b": [0.15]}, t_stop=1.0)
    nks.io.write_nwb(spikes, path)
    return path


def test_content_decides_not_the_suffix(spikes_file):
    renamed = spikes_file.rename(spikes_file.with_suffix(".dat"))
    session = nks.io.read(str(renamed))
    assert isinstance(session, xr.DataTree)
    assert session["/spikes/spike_time"].values.tolist() == [0.1, 0.2, 0.15]


def test_phy_folder(tmp_path):
    np.save(tmp_path / "spike_times.npy", np.array([100, 200, 300]))
    np.save(tmp_path / "spike_clusters.npy", np.array([3, 1, 3]))
    (tmp_path / "params.py").write_text("sample_rate = 1000.0\n")
    session = nks.io.read(tmp_path)
    assert session["/spikes/unit"].values.tolist() == [1, 3]


def test_text_of_spike_trains_is_left_to_neo(tmp_path):
    (tmp_path / "a.txt").write_text("0.1 0.2\n0.3\n")
    assert nks.io.read(tmp_path / "a.txt")["/spikes"].sizes["unit"] == 2


def test_each_reader_is_complete_and_names_are_distinct():
    known = all_readers()
    names = [r.name for r in known]
    assert len(set(names)) == len(names)
    for reader in known:
        assert reader.kinds
        assert set(reader.kinds) <= set(schema.KINDS)
        assert reader.keeps
    assert names[-1] == "formats of neo"  # it takes whatever neo may know


def test_no_reader_claims_the_file_of_another(tmp_path, spikes_file):
    """can_read looks at content: nothing but the right reader takes what is right."""
    nks.save(xr.Dataset({"a": ("time", [1.0])}), tmp_path / "a.nc")
    found = {
        path.name: [r.name for r in all_readers() if reading._claims(r, path)]
        for path in (spikes_file, tmp_path / "a.nc")
    }
    assert found["session.nwb"][0] == "NWB"
    assert found["a.nc"][0] == "netCDF or Zarr of nks.save"
    assert set(found["session.nwb"]) <= {"NWB", "formats of neo"}


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\xff" * 100, b"a,b\n1,2\n"]
)
def test_can_read_never_raises(tmp_path, content):
    places = [tmp_path / "nowhere", tmp_path]
    for name in ("a.fif", "a.edf", "a.nwb", "F.npy", "spike_times.npy", "dataset_description.json"):
        (tmp_path / name).write_bytes(content)
        places.append(tmp_path / name)
    for reader in all_readers():
        for place in places:
            assert reader.can_read(place) in (True, False), reader.name


def test_table_of_readers():
    table = nks.io.readers()
    assert list(table) == ["kinds", "keeps", "needs", "installed"]
    assert table.index.name == "name"
    assert table.loc["NWB", "installed"]
    assert table.loc["NWB", "needs"] == ""
    assert {"FIF", "BIDS", "suite2p", "NWB"} <= set(table.index)


# -- what no reader knows ---------------------------------------------------------------------


def make_unknown(folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as file:
        file["traces"] = np.zeros(3)
    whole = (folder / "other.h5").read_bytes()
    (folder / "damaged.h5").write_bytes(whole[: len(whole) // 2])
    scipy.io.savemat(folder / "lab.mat", {"x": 1})
    (folder / "noise.xyz").write_bytes(b"\0\1\2\3" * 100)
    (folder / "table.xyz").write_text("a,b\n")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("a", "b")
    for name in ("arrays", "store", "things", "empty"):
        (folder / name).mkdir()
    np.save(folder / "arrays" / "x.npy", np.zeros(2))
    (folder / "store" / "zarr.json").write_text("{}")
    (folder / "things" / "notes.txt").write_text("hello")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("other.h5", r"HDF5 file with traces.*nearest formats are .*NWB.*from_spike_times"),
        ("lab.mat", r"MATLAB file.*scipy\.io\.loadmat.*from_fluorescence"),
        ("noise.xyz", "binary data of no known kind.*copy is complete.*readers"),
        ("table.xyz", r"found text.*from_spike_times"),
        ("all.zip", "zip archive.*Unpack"),
        ("arrays", r"folder with x\.npy.*suite2p.*F\.npy or stat\.npy"),
        ("store", r"Zarr store.*nks\.load.*open_zarr"),
        ("things", r"folder with notes\.txt.*BIDS.*dataset_description\.json"),
        ("damaged.h5", "damaged or truncated.*again"),
        ("empty", "found it empty"),
        ("nowhere", "found nothing"),
    ],
)
def test_unknown_files_say_what_they_are_and_what_to_do(tmp_path, name, says):
    make_unknown(tmp_path)
    with pytest.raises(FileFormatError, match=f"(?s){says}"):
        nks.io.read(tmp_path / name)


def test_pickles_and_empty_files_are_refused_before_anyone_is_asked(tmp_path, monkeypatch):
    (tmp_path / "a.fif").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "b.edf").touch()
    monkeypatch.setattr(reading, "all_readers", lambda: pytest.fail("was asked"))
    with pytest.raises(FileFormatError, match=r"pickle.*can run code"):
        nks.io.read(tmp_path / "a.fif")
    with pytest.raises(FileFormatError, match="0 bytes"):
        nks.io.read(tmp_path / "b.edf")


# -- readers that are not there, that fail, and those of others ---------------------------------


def only(monkeypatch, reader: Reader) -> None:
    monkeypatch.setattr(reading, "all_readers", lambda: [reader])


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.fif").write_bytes(b"x")
    reader = Reader("FIF", ("signal",), "all", lambda p: True, lambda p, *, chunks: None, "meg")
    only(monkeypatch, reader)
    real = registry.importlib.metadata.version

    def version(name):
        if name == "mne":
            raise registry.importlib.metadata.PackageNotFoundError(name)
        return real(name)

    assert is_installed(reader)
    monkeypatch.setattr(registry.importlib.metadata, "version", version)
    assert not is_installed(reader)
    with pytest.raises(MissingDependencyError, match=r"FIF.*pip install 'neurokit-sdr\[meg\]'"):
        nks.io.read(tmp_path / "a.fif")
    assert not nks.io.readers().loc["FIF", "installed"]


def test_whatever_a_library_raises_is_the_files_fault(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x")

    def fail(path, *, chunks):
        raise ZeroDivisionError("sampling rate")

    only(monkeypatch, Reader("Odd", ("signal",), "all", lambda p: True, fail))
    with pytest.raises(FileFormatError, match=r"Odd.*ZeroDivisionError: sampling rate.*damaged"):
        nks.io.read(tmp_path / "a")


def test_a_reader_that_fails_to_look_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x")

    def look(path):
        raise OSError("no")

    only(monkeypatch, Reader("Odd", ("signal",), "all", look, lambda p, *, chunks: None))
    with pytest.raises(FileFormatError, match="known format"):
        nks.io.read(tmp_path / "a")


PLUGIN = """
import neurokit_sdr as nks
import xarray as xr

def read(path, *, chunks=None):
    text = path.read_text().split()[1:]
    spikes = nks.io.from_spike_times({"a": [float(t) for t in text]})
    return xr.DataTree.from_dict({"/spikes": spikes})

OURS = nks.io.Reader(
    name="our text",
    kinds=("spikes",),
    keeps="times",
    can_read=lambda path: path.is_file() and path.read_bytes().startswith(b"OURS"),
    read=read,
)
NOTHING = 3
"""


@pytest.fixture
def another_package(tmp_path, monkeypatch):
    """A distribution on sys.path with readers under our entry point."""
    folder = tmp_path / "site"
    info = folder / "other_lab-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "other_lab_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-lab\nVersion: 1.0\n")

    def name_readers(*lines: str) -> None:
        text = "\n".join(("[neurokit_sdr.readers]", *lines)) + "\n"
        (info / "entry_points.txt").write_text(text)
        monkeypatch.syspath_prepend(str(folder))

    yield name_readers
    sys.modules.pop("other_lab_plugin", None)


def test_readers_of_other_packages(another_package, tmp_path):
    another_package("ours = other_lab_plugin:OURS")
    (tmp_path / "a.txt").write_text("OURS 0.5 0.75")
    assert nks.io.read(tmp_path / "a.txt")["/spikes/spike_time"].values.tolist() == [0.5, 0.75]
    assert nks.io.readers().loc["our text", "installed"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("ours = other_lab_plugin:NOTHING", r"to be a nks\.io\.Reader, got int"),
        ("ours = no_such_module:OURS", "no_such_module.*could not be loaded.*update or remove"),
    ],
)
def test_a_broken_package_does_not_stop_the_others(another_package, spikes_file, entry, says):
    another_package(entry)
    with pytest.warns(DataWarning, match=says):
        session = nks.io.read(spikes_file)
    assert "/spikes" in session.groups


def test_chunks_give_dask_arrays(tmp_path):
    nks.save(xr.Dataset({"a": (("time", "channel"), np.zeros((1000, 2)))}), tmp_path / "a.nc")
    session = nks.io.read(tmp_path / "a.nc", chunks={"time": 100})
    assert session["/a"].chunks == ((100,) * 10, (2,))


def test_asking_what_there_is_loads_no_heavy_library():
    code = """
    import sys, neurokit_sdr as nks
    from neurokit_sdr.io.registry import all_readers
    all_readers()
    heavy = ("mne", "pynwb", "zarr", "dask", "pynapple", "matplotlib", "numba")
    print([m for m in heavy if m in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# -- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    ["foo", 2.5, True, 0, -5, {"time": 0}, {"time": -5}, {"time": (1, 2)}, {"time": [0]}, object()],
)
@pytest.mark.parametrize("open_it", [nks.io.read, nks.load])
def test_wrong_chunks_are_not_the_files_fault(tmp_path, open_it, chunks):
    nks.save(xr.Dataset({"a": (("time", "channel"), np.zeros((1000, 2)))}), tmp_path / "a.nc")
    with pytest.raises(ParameterError, match="Expected chunks"):
        open_it(tmp_path / "a.nc", chunks=chunks)


@pytest.mark.parametrize("chunks", ["auto", -1, {"time": -1}, {"time": "1KiB"}, {"time": (1, 999)}])
def test_chunks_may_be_what_xarray_takes(tmp_path, chunks):
    nks.save(xr.Dataset({"a": (("time", "channel"), np.zeros((1000, 2)))}), tmp_path / "a.nc")
    assert nks.load(tmp_path / "a.nc", chunks=chunks)["a"].chunks is not None


READERS = [
    nks.io.read,
    nks.io.read_spikes,
    nks.io.read_calcium,
    nks.io.read_meg,
    nks.io.read_seeg,
    nks.load,
]


@pytest.mark.parametrize("path", [None, 3, b"a.nwb", ["a.nwb"]])
@pytest.mark.parametrize("open_it", READERS)
def test_what_is_no_path_is_named(open_it, path):
    with pytest.raises(ParameterError, match=r"Expected a path.*got"):
        open_it(path)


@pytest.mark.parametrize("open_it", READERS)
def test_the_home_folder_is_meant_by_a_tilde(tmp_path, monkeypatch, open_it):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "empty.nwb").touch()
    with pytest.raises(FileFormatError) as error:
        open_it("~/empty.nwb")
    assert str(tmp_path / "empty.nwb") in str(error.value)


def test_writers_know_the_home_folder_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    potential = xr.Dataset(
        {"signal": (("time", "channel"), np.array([[0.5, -1.0], [0.25, 2.0]]), {"units": "V"})},
        coords={
            "time": ("time", [0.0, 0.5], {"units": "s"}),
            "channel": ["LA1", "LA2"],
            "channel_type": ("channel", ["seeg", "seeg"]),
            "channel_unit": ("channel", ["V", "V"]),
        },
    )
    light = nks.io.from_fluorescence(np.ones((10, 2)), sampling_rate=5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # rounding to 16 bits
        nks.io.write_edf(potential, "~/a.edf")
        nks.io.write_bids(potential, "~/bids", subject="1", task="rest")
        nks.io.write_suite2p(light, "~/suite2p")
        nks.save(light, "~/a.nc")
    names = {"a.edf", "bids", "suite2p", "a.nc"}
    assert {path.name for path in tmp_path.iterdir()} == names
    pytest.importorskip("mne")
    nks.io.write_fif(potential, "~/a_raw.fif")
    assert {path.name for path in tmp_path.iterdir()} == names | {"a_raw.fif"}


def test_a_user_without_a_home_is_named():
    with pytest.raises(ParameterError, match="Expected a path, got '~nobody_of_that_name/a'"):
        nks.io.read("~nobody_of_that_name/a")


# -- files that are of no format ----------------------------------------------------------------


def test_a_folder_with_some_hdf5_needs_no_package(tmp_path):
    with h5py.File(tmp_path / "junk.h5", "w") as file:
        file["a"] = np.arange(3)
    with pytest.raises(FileFormatError, match=r"found a folder with junk\.h5"):
        nks.io.read(tmp_path)
    with pytest.raises(FileFormatError, match="Expected a spike format that neo knows"):
        nks.io.read_spikes(tmp_path)


def test_folders_of_many_files_are_not_searched(tmp_path, monkeypatch):
    for k in range(5):
        (tmp_path / f"{k}.ncs").touch()
    assert neo_read._readers(tmp_path)
    monkeypatch.setattr(neo_read, "_MOST_FILES", 4)
    assert neo_read._readers(tmp_path) == []


# neo's reader of BCI2000 leaves open what is not its own.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["text.edf", "random.dat", "random"])
def test_no_library_is_blamed_for_what_is_no_recording(tmp_path, name):
    random = stream(0, "bytes").bytes(5000)
    (tmp_path / name).write_bytes(b"hello, this is text\n" * 20 if "text" in name else random)
    says = "found text" if "text" in name else "found binary data of no known kind"
    with pytest.raises(FileFormatError, match=says) as error:
        nks.io.read(tmp_path / name)
    for library in ("pyedflib", "Axograph", "stfio", "pip install"):
        assert library not in str(error.value)
    with pytest.raises(FileFormatError):
        nks.io.read_spikes(tmp_path / name)
