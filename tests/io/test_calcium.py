"""Readers of calcium: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import csv
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from calcium_files import caiman_file, inscopix, minian_stores, suite2p_plane

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import (
    FileFormatError,
    MissingDependencyError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.io import calcium

# -- what is no recording of calcium ------------------------------------------------------------


def test_what_is_no_recording_of_calcium(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.bin").write_bytes(b"")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["x"] = 1
    for name, says in [
        ("nowhere", "found nothing"),
        ("empty", r"a folder with \[\]"),
        ("a.csv", "suite2p, CaImAn, minian.*from_fluorescence"),
        ("b.bin", "empty"),
        ("c.h5", "another kind"),
    ]:
        with pytest.raises(FileFormatError, match=says):
            nks.io.read_calcium(tmp_path / name)
    assert not any(r.can_read(tmp_path / "nowhere") for r in calcium.READERS)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00,\x00")
    assert not any(r.can_read(tmp_path / "a.csv") for r in calcium.READERS)


def test_each_format_is_known_by_content_and_by_one_reader(tmp_path):
    paths = {
        "suite2p": suite2p_plane(tmp_path / "plane0"),
        "CaImAn": caiman_file(tmp_path / "a.dat"),
        "Inscopix CSV": inscopix(tmp_path / "a.txt", "0,1,2"),
    }
    for name, path in paths.items():
        assert [r.name for r in calcium.READERS if r.can_read(path)] == [name]


# -- plain arrays -------------------------------------------------------------------------------


def test_plain_arrays():
    values = np.arange(12).reshape(6, 2)
    data = nks.io.from_fluorescence(values, sampling_rate=20, unit=["é", "b"])
    assert data["fluorescence"].dtype == np.float64
    assert np.array_equal(data["fluorescence"].values, values)
    assert even_clock(data) == (0.0, 20.0)
    assert data.attrs == {"sampling_rate": 20.0}
    times = [0.1, 0.2, 0.4, 0.7, 0.8, 1.5]
    irregular = nks.io.from_fluorescence(values.astype(np.float32), time=times)
    assert irregular["fluorescence"].dtype == np.float32
    assert irregular["time"].values.tolist() == times
    assert irregular["unit"].values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "options", "error", "says"),
    [
        (np.ones((3, 2)), {}, ParameterError, "got neither"),
        (np.ones((3, 2)), {"time": [0, 1, 2], "sampling_rate": 1}, ParameterError, "got both"),
        (np.ones((3, 2)), {"sampling_rate": 0}, ParameterError, "above 0"),
        (np.ones(3), {"sampling_rate": 1}, SchemaError, r"\[:, None\]"),
        (np.ones((2, 3)), {"time": [0, 1, 2]}, SchemaError, r"\.T"),
        (np.ones((3, 2)), {"time": [0, 2, 1]}, SchemaError, "rising"),
        (np.ones((3, 2)), {"sampling_rate": 1, "unit": ["a"]}, SchemaError, "2 unit ids"),
        (np.ones((3, 2)), {"sampling_rate": 1, "unit": ["a", "a"]}, SchemaError, "more than once"),
        ([["x"]], {"sampling_rate": 1}, SchemaError, "numbers"),
    ],
)
def test_plain_arrays_that_are_refused(values, options, error, says):
    with pytest.raises(error, match=says):
        nks.io.from_fluorescence(values, **options)


# -- chunks -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The data type:zarr.errors.UnstableSpecificationWarning")
@pytest.mark.filterwarnings("ignore:minian also holds")
def test_chunks_survive_a_process_boundary(tmp_path):
    pytest.importorskip("dask")
    paths = (
        suite2p_plane(tmp_path / "plane0"),
        caiman_file(tmp_path / "a.hdf5"),
        minian_stores(tmp_path / "minian", 3),
    )
    traces = []
    for path in paths:
        session = nks.io.read_calcium(path, sampling_rate=10.0, chunks={"time": 7})
        traces.append(session["/calcium/fluorescence"])
        assert traces[-1].chunksizes["time"][0] == 7
    (tmp_path / "traces.pickle").write_bytes(pickle.dumps([t.data for t in traces]))
    program = (
        "import pickle, sys\n"
        "for a in pickle.loads(open(sys.argv[1], 'rb').read()):\n"
        "    print(float(a[3:9].sum().compute(scheduler='synchronous')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "traces.pickle")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [float(n) for n in done.stdout.split()] == [float(t[3:9].sum()) for t in traces]
    with pytest.raises(ParameterError, match="chunks of dimensions"):
        nks.io.read_calcium(path, chunks={"channel": 1}, sampling_rate=1.0)


def test_chunks_without_dask_name_the_extra(tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "dask" else find(n, *a)
    )
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[cluster\]"):
        nks.io.read_calcium(suite2p_plane(tmp_path / "plane0"), chunks={"time": 5})


# -- published recordings -----------------------------------------------------------------------


def test_worms_equal_what_h5py_says(data_folder):
    session = nks.io.fetch_example("celegans")
    paths = sorted((data_folder / "calcium/celegans").glob("*.h5"))
    names = [p.name.removesuffix("-data.h5") for p in paths]
    assert list(session["calcium"].children) == names
    with (data_folder / "calcium/celegans/neuron_labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for path, name in zip(paths, names, strict=True):
        data = schema.check(session[f"/calcium/{name}"].to_dataset(), "calcium")
        behavior = session[f"/behavior/{name}"].to_dataset()
        events = schema.check(session[f"/events/{name}"].to_dataset(), "events")
        with h5py.File(path) as file:
            assert np.array_equal(data["fluorescence"], file["gcamp/trace_array_original"])
            assert np.array_equal(data["f_over_f20"], file["gcamp/traces_array_F_F20"])
            assert np.array_equal(data["zscore"], file["gcamp/trace_array"])
            clock = file["timing/timestamp_confocal"][:]
            assert np.array_equal(data["time"], clock - clock[0])
            kept = {*behavior.data_vars, "reversal_events"}
            assert kept == set(file["behavior"])
            for key in behavior.data_vars:
                np.testing.assert_array_equal(behavior[key], file["behavior"][key])
            first, last = file["behavior/reversal_events"][:]
            assert np.array_equal(
                session[f"/camera/{name}/time"], file["timing/timestamp_nir"][:] - clock[0]
            )
            assert (
                session[f"/neuropal/{name}/roi_match"].size
                == file["neuropal_registration/roi_match"].size
            )
        reverse = behavior["reversal_vec"].values
        # Counted from 1, ends included: the volumes so marked are those of the events.
        marked = np.zeros(reverse.size, dtype=int)
        for a, b in zip(first, last, strict=True):
            marked[a - 1 : b] = 1
        assert (marked == reverse).mean() > 0.95
        assert np.array_equal(events["event_onset"], data["time"].values[first - 1])
        own = {int(r["trace_index_1based"]): r for r in rows if r["recording"] == name}
        known = data["label"].values != ""
        assert known.sum() == len(own)
        for k in np.flatnonzero(known):
            row = own[k + 1]
            assert data["label"].values[k] == row["label"]
            assert data["label_confidence"].values[k] == float(row["confidence"])
    # Left and right of a pair are alike: the labels sit on the right columns.
    one = session[f"/calcium/{names[0]}"].to_dataset()
    pair = [one["zscore"].values[:, list(one["label"].values).index(n)] for n in ("AVAL", "AVAR")]
    assert np.corrcoef(pair)[0, 1] > 0.5


def test_fish_equals_what_numpy_says(data_folder):
    session = nks.io.fetch_example("zebrafish")
    data = schema.check(session["/calcium"].to_dataset(), "calcium")
    stem = data_folder / "calcium/zebrafish/zf_20170215-f3/zf_20170215-f3"
    activity = np.loadtxt(f"{stem}_activity_matrix.csv", delimiter=",")
    place = np.loadtxt(f"{stem}_cell_coordinates.csv", delimiter=",")
    assert np.array_equal(data["dff"].values, activity.T)
    assert np.array_equal(data["cell_x"].values, place[:, 0])
    assert even_clock(data) == (0.0, 2.2)
    lines = Path(f"{stem}_assembly_assignments.csv").read_text().splitlines()
    for k, line in enumerate(lines):
        members = [int(n) for n in line.split(",")]
        assert data["unit"].values[data["in_assembly"].values[k]].tolist() == members
    # Cells of an assembly are alike: its numbers count from 1.
    alike = np.corrcoef(activity)
    for inside in data["in_assembly"].values:
        assert alike[np.ix_(inside, inside)].mean() > alike[np.ix_(inside, ~inside)].mean()


def test_files_that_change_after_they_were_opened(tmp_path):
    folder, path = suite2p_plane(tmp_path / "plane0"), caiman_file(tmp_path / "a.hdf5")
    opened = [nks.io.read_calcium(p)["/calcium/fluorescence"] for p in (folder, path)]
    (folder / "F.npy").write_bytes((folder / "F.npy").read_bytes()[:200])
    path.unlink()
    for light in opened:
        with pytest.raises(FileFormatError, match=r"cut off|was changed or moved since"):
            light.load()


@pytest.mark.parametrize("time", [["a", "b"], [1j, 2j], [[1.0], [1.0, 2.0]]])
def test_times_of_frames_are_numbers(time):
    with pytest.raises(SchemaError, match="Expected time as seconds of each frame"):
        nks.io.from_fluorescence(np.ones((2, 1)), time=time)


def test_complex_light_is_refused():
    with pytest.raises(SchemaError, match=r"complex numbers, of which \.real"):
        nks.io.from_fluorescence(np.ones((2, 1)) * 1j, sampling_rate=1.0)
