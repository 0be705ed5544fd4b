"""Readers of spikes: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import count_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, SchemaError

# -- strategies and from_spike_times ------------------------------------------------------------


@given(spike_datasets())
@settings(deadline=None)
def test_strategy_of_spikes_follows_the_schema(spikes):
    assert schema.check(spikes, "spikes") is spikes


@given(count_datasets())
@settings(deadline=None)
def test_strategy_of_counts_follows_the_schema(counts):
    assert schema.check(counts, "counts") is counts


@given(spike_datasets())
@settings(deadline=None)
def test_from_spike_times_gives_back_each_units_times(spikes):
    times = {
        unit: spikes["spike_time"].values[spikes["spike_unit"].values == k]
        for k, unit in enumerate(spikes["unit"].values.tolist())
    }
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    made = nks.io.from_spike_times(times, t_start=start, t_stop=stop)
    assert np.array_equal(made["unit"].values, spikes["unit"].values)
    assert np.array_equal(made["spike_time"].values, spikes["spike_time"].values)
    assert np.array_equal(made["spike_unit"].values, spikes["spike_unit"].values)


def test_from_spike_times_says_where_t_stop_comes_from():
    spikes = nks.io.from_spike_times({"a": [0.5, 2.5], "b": []})
    assert spikes.attrs["t_stop"] == 2.5
    assert "last spike" in spikes.attrs["t_stop_source"]
    silent = nks.io.from_spike_times({1: [], 2: []}, t_stop=3)
    assert silent.sizes == {"spike": 0, "unit": 2}
    assert silent.attrs["t_stop"] == 3.0


@pytest.mark.parametrize(
    ("times", "options", "says"),
    [
        ({}, {}, "at least one unit"),
        ([[0.1]], {}, r"dict\(enumerate"),
        ({"a": [-0.1, 0.2]}, {}, "unit a.*t_start that covers"),
        ({"a": [0.1], "b": [0.3, 0.2]}, {}, "unit b.*sort"),
        ({"a": [0.1, np.nan]}, {}, "NaN.*unit a.*drop"),
        ({"a": [0.1, np.inf]}, {}, "unit a"),
        ({"a": [[0.1], [0.2]]}, {}, "one-dimensional.*ravel"),
        ({"a": 0.5}, {}, "one-dimensional"),
        ({"a": ["x"]}, {}, "numbers in seconds"),
        ({"a": [0.1], 1: [0.2]}, {}, "all text or all whole numbers"),
        ({"a": [0.1, 0.2]}, {"t_stop": 0.15}, "inside the recording"),
    ],
)
def test_from_spike_times_refuses(times, options, says):
    with pytest.raises(SchemaError, match=says):
        nks.io.from_spike_times(times, **options)


def test_negative_times_are_allowed_where_t_start_covers_them():
    spikes = nks.io.from_spike_times({"a": [-0.1, 0.2]}, t_start=-1.0)
    assert spikes.attrs["t_start"] == -1.0


@pytest.mark.parametrize("name", ["a.nwb", "a.h5", "a.plx", "a.xyz", "a.mat", "a.nev"])
def test_empty_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileFormatError, match="empty"):
        nks.io.read_spikes(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nwb", "a.plx", "a.xyz", "a.mat", "a.txt", "a.nex", "a.rhd"])
def test_nonsense_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"nonsense\n" * 50)
    with pytest.raises(FileFormatError):
        nks.io.read_spikes(tmp_path / name)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["a.pkl", "a.nwb", "a.mat"])
def test_pickles_are_not_opened(tmp_path, name, protocol):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / name).write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(FileFormatError):
        nks.io.read_spikes(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_missing_paths_and_folders(tmp_path):
    with pytest.raises(FileFormatError, match="found nothing"):
        nks.io.read_spikes(tmp_path / "no.nwb")
    with pytest.raises(FileFormatError, match="empty"):
        nks.io.read_spikes(tmp_path)
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(FileFormatError, match="Zarr"):
        nks.io.read_spikes(tmp_path)


# -- imports ------------------------------------------------------------------------------------


def test_the_room_loads_no_file_library():
    code = (
        "import sys, neurokit_sdr.io, neurokit_sdr.io.spikes, neurokit_sdr.io.published.fetch;"
        "found = {'pynwb', 'neo', 'scipy.io', 'matplotlib'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_guessed():
    with pytest.raises(AttributeError, match="read_spikes"):
        nks.io.read_spike
    assert "fetch_example" in dir(nks.io)
