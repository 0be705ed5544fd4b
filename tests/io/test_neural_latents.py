"""Files of the Neural Latents Benchmark's layout: what is read, against what was written.

No file of the benchmark can be had here; ``benchmarks/latent_metrics.py`` compares with what
nlb_tools itself makes of files as these.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pynwb
import pytest

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError

LENGTH = 12.0


class Written(NamedTuple):
    """What a file holds."""

    path: Path
    spikes: list[np.ndarray]
    align: np.ndarray
    velocity: np.ndarray


def write_file(
    path: Path,
    *,
    splits: tuple[str, ...] = ("train", "val", "train", "none", "train", "val"),
    held_out: tuple[bool, ...] = (False, True, False, False, True),
    align: str = "move_onset_time",
    behavior: str | None = "hand_vel",
    columns: dict[str, Any] | None = None,
    intervals: list[tuple[float, float]] | None = None,
    length: float = LENGTH,
    seed: int = 0,
    heldout_column: bool = True,
    split_column: bool = True,
) -> Written:
    """A file of the benchmark's layout: 1 ms behaviour, trials with splits, held-out units."""
    rng = np.random.default_rng(seed)
    file = pynwb.NWBFile("benchmark", f"nlb-{seed}", datetime(2021, 9, 1, tzinfo=UTC))
    n_trials = len(splits)
    start = np.round(0.3 + 1.9 * np.arange(n_trials) + rng.uniform(0, 0.1, n_trials), 3)
    onset = np.round(start + rng.uniform(0.4, 0.5, n_trials), 3)
    kinds = {"trial_type": 1 + np.arange(n_trials) % 2, "trial_version": np.zeros(n_trials, int)}
    columns = kinds | (columns or {})
    if align != "start_time":
        columns = {align: onset} | columns
    for name in columns:
        file.add_trial_column(name, name)
    if split_column:
        file.add_trial_column("split", "of the benchmark")
    for k in range(n_trials):
        row = {name: values[k] for name, values in columns.items()}
        if split_column:
            row["split"] = splits[k]
        file.add_trial(start_time=start[k], stop_time=start[k] + 1.8, **row)
    if heldout_column:
        file.add_unit_column("heldout", "whether it is held out")
    spikes = []
    for hidden in held_out:
        times = np.sort(np.round(rng.uniform(0, length, rng.integers(80, 200)), 5))
        # On the edges of bins of 20, 5 and 1 ms, and just before one.
        times = np.sort(np.concatenate([times, [2.0, 2.02, 2.025, 3.001, 3.99999]]))
        times = times[times >= (intervals[0][0] if intervals else 0.0)]
        spikes.append(times)
        row = {"heldout": hidden} if heldout_column else {}
        file.add_unit(spike_times=times, obs_intervals=intervals or [(0.0, length)], **row)
    clock = np.round(np.arange(round(length * 1000)) / 1000, 3)
    velocity = np.cumsum(rng.normal(size=(clock.size, 2)), axis=0)
    if behavior is not None:
        module = file.create_processing_module("behavior", "of the arm")
        module.add(
            pynwb.TimeSeries(
                name=behavior,
                data=velocity,
                timestamps=clock,
                unit="mm/s",
                comments="columns=[x,y]",
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with pynwb.NWBHDF5IO(str(path), "w") as stream:
        stream.write(file)
    return Written(path, spikes, start if align == "start_time" else onset, velocity)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Written:
    folder = tmp_path_factory.mktemp("nlb")
    return write_file(folder / "sub-Jenkins_ses-full_desc-train_behavior+ecephys.nwb")


def counted(spikes: np.ndarray, first: int, number: int, width: float) -> list[int]:
    edges = [(first + k) * width for k in range(number + 1)]
    return [
        int(((spikes >= a - 1e-9) & (spikes < b - 1e-9)).sum())
        for a, b in itertools.pairwise(edges)
    ]


@pytest.mark.parametrize("width", [0.02, 0.005])
def test_counts_are_those_of_the_window(written, width):
    tree = nks.io.read_neural_latents(written.path, bin_size=width)
    assert [g for g in tree.groups if g != "/"] == ["/train", "/val"]
    assert tree.attrs["dataset"] == "mc_maze"
    train = schema.check(tree["/train"].to_dataset(), "counts")
    assert train["trial"].values.tolist() == [0, 2, 4]
    assert tree["/val/trial"].values.tolist() == [1, 5]
    n_seen = round(0.7 / width)
    assert train.sizes["time"] == n_seen + round(0.2 / width)
    np.testing.assert_allclose(train["time"][[0, n_seen]], [-0.25 + width / 2, 0.45 + width / 2])
    assert train["held_in"].values.tolist() == [True, False, True, True, False]
    assert train["forward"].values.tolist() == [False] * n_seen + [True] * round(0.2 / width)
    for row, trial in enumerate([0, 2, 4]):
        # The first bin of the recording's grid that starts in the window.
        first = int(np.ceil(round((written.align[trial] - 0.25) / width, 6)))
        for unit in range(5):
            expected = counted(written.spikes[unit], first, train.sizes["time"], width)
            assert train["count"][row, :, unit].values.tolist() == expected
    assert "observed" not in train


def test_trials_and_units_keep_what_is_known(written):
    train = nks.io.read_neural_latents(str(written.path))["/train"].to_dataset()
    assert train["trial_type"].values.tolist() == [1, 1, 1]
    assert train["condition"].values.tolist() == ["trial_type=1, trial_version=0"] * 3
    np.testing.assert_array_equal(train["move_onset_time"], written.align[[0, 2, 4]])
    assert train.attrs["lag"] == 0.1
    assert train.attrs["psth_smoothing"] == 0.07
    assert train.attrs["bin_size"] == 0.02


def test_behavior_is_shifted_and_thinned_out(written):
    fine = nks.io.read_neural_latents(written.path, bin_size=0.001)["/train"].to_dataset()
    velocity = fine["hand_vel"]
    assert velocity.dims == ("trial", "time", "space")
    for row, trial in enumerate([0, 2, 4]):
        first = round((written.align[trial] - 0.25 + 0.1) * 1000)
        expected = written.velocity[first : first + 700]
        np.testing.assert_array_equal(velocity[row, :700], expected)
    assert np.isnan(velocity[:, 700:]).all()
    coarse = nks.io.read_neural_latents(written.path)["/train"]["hand_vel"].values
    assert np.isnan(coarse[:, 35:]).all()
    # A slow random walk: the filter moves a sample by less than it moves in 20 ms.
    first = [int(np.ceil(round((a - 0.15) / 0.02, 6))) * 20 for a in written.align[[0, 2, 4]]]
    picked = np.stack([written.velocity[f : f + 700 : 20] for f in first])
    assert np.abs(coarse[:, :35] - picked).max() < 6 * np.sqrt(20)


def test_split_and_model_use_it_as_it_is(written):
    tree = nks.io.read_neural_latents(written.path)
    truth = tree["/val"].to_dataset()
    rate = truth["count"] * 0 + 0.1
    given = rate.to_dataset(name="expected_count").drop_attrs()
    assert np.isfinite(nks.validation.co_bits_per_spike(given, truth))
    assert np.isfinite(nks.validation.forward_bits_per_spike(given, truth))


def test_folder_with_the_test_file(tmp_path):
    write_file(tmp_path / "a_desc-train_behavior+ecephys.nwb")
    test = write_file(
        tmp_path / "a_desc-test_ecephys.nwb",
        splits=("test",) * 3,
        held_out=(False, False, False),
        behavior=None,
        intervals=[(0.3, 1.8), (2.2, 3.4), (4.2, 5.4)],
        length=5.4,
        seed=3,
    )
    tree = nks.io.read_neural_latents(tmp_path, "mc_maze_small")
    assert [g for g in tree.groups if g != "/"] == ["/train", "/val", "/test"]
    found = schema.check(tree["/test"].to_dataset(), "counts")
    assert found["trial"].values.tolist() == [6, 7, 8]  # after the six of the file before
    assert dict(found.sizes) == {"trial": 3, "time": 35, "unit": 3}
    assert found["held_in"].values.all()
    assert not found["forward"].values.any()
    assert "hand_vel" not in found
    first = int(np.ceil(round((test.align[1] - 0.25) / 0.02, 6)))
    assert found["count"][1, :, 0].values.tolist() == counted(test.spikes[0], first, 35, 0.02)


def test_bins_that_were_not_observed(tmp_path):
    begin = write_file(tmp_path / "probe.nwb").align[0]
    gap = [(0.0, begin), (begin + 0.1, LENGTH)]
    written = write_file(tmp_path / "mc_maze_large.nwb", intervals=gap)
    train = nks.io.read_neural_latents(written.path)["/train"].to_dataset()
    first = int(np.ceil(round((begin - 0.25) / 0.02, 6)))
    starts = (first + np.arange(45)) * 0.02
    seen = (starts < begin - 1e-9) | (starts >= begin + 0.1 - 1e-9)
    assert train["observed"][0].values.tolist() == seen.tolist()
    assert train["observed"][1:].values.all()
    assert (train["count"].values[0][~seen] == 0).all()


def test_interval_of_the_timing_task(tmp_path):
    go = np.round(1.95 + 1.9 * np.arange(6), 3)
    columns = {
        "set_time": go - 0.6,
        "is_eye": np.arange(6) % 2,
        "theta": np.zeros(6),
        "is_short": np.zeros(6, int),
        "ts": np.full(6, 0.5),
        "tp": go % 1,
        "is_outlier": np.array([0, 0, 0, 0, 1, 0]),
        "go_time": go,
    }
    path = tmp_path / "sub-Haydn_desc-train_ecephys.nwb"
    write_file(path, align="go_cue", columns=columns, behavior=None, length=14.0)
    tree = nks.io.read_neural_latents(path)
    train = tree["/train"].to_dataset()
    assert tree.attrs["dataset"] == "dmfc_rsg"
    assert train.sizes["time"] == 75 + 10
    assert train["scored"].values.sum(axis=1).tolist() == [30, 30, 30]
    assert train["scored"].values[:, 45:75].all()
    np.testing.assert_array_equal(np.isnan(train["tp"]), [False, False, True])
    assert train["condition"].values[0] == "is_eye=0, theta=0.0, is_short=0, ts=0.5"


def test_trials_that_cannot_be_cut_are_named(tmp_path):
    late = np.round(0.8 + 1.9 * np.arange(6), 3)
    late[0], late[4] = np.nan, 11.9
    path = tmp_path / "mc_maze.nwb"
    write_file(path, align="other_time", columns={"move_onset_time": late})
    with pytest.warns(DataWarning, match=r"left out 2 of 3 trials of the split 'train'"):
        tree = nks.io.read_neural_latents(path)
    assert tree["/train/trial"].values.tolist() == [2]


def test_reaches_at_random_have_no_conditions(tmp_path):
    path = tmp_path / "sub-Indy_desc-train_behavior+ecephys.nwb"
    write_file(path, align="start_time", behavior="finger_vel")
    train = nks.io.read_neural_latents(path)["/train"].to_dataset()
    assert train.sizes["time"] == 30 + 10
    assert "condition" not in train.coords
    assert "finger_vel" in train


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("sub-Jenkins_ses-large_desc-train_behavior+ecephys.nwb", "mc_maze_large"),
        ("sub-Jenkins_ses-medium_desc-train_behavior+ecephys.nwb", "mc_maze_medium"),
        ("mc_maze_small.nwb", "mc_maze_small"),
    ],
)
def test_name_says_the_data_set(tmp_path, name, dataset):
    assert nks.io.read_neural_latents(write_file(tmp_path / name).path).attrs["dataset"] == dataset


def test_errors(tmp_path, written):
    read = nks.io.read_neural_latents
    with pytest.raises(ParameterError, match=r"one of \['mc_maze'.*got 'mc_mase'.*Did you mean"):
        read(written.path, "mc_mase")
    for width in (0.03, 0, -0.02, "x", np.nan, 0.0125, True):
        with pytest.raises(ParameterError, match=r"divide the window of 700 ms.*0\.005 or 0\.02"):
            read(written.path, bin_size=width)
    unknown = write_file(tmp_path / "one" / "session.nwb").path
    with pytest.raises(ParameterError, match="dataset to be given where the names of files do not"):
        read(unknown)
    with pytest.raises(FileFormatError, match=r"Expected the column 'go_time'.*another data set"):
        read(unknown, "dmfc_rsg")
    with pytest.raises(FileFormatError, match="Expected the behaviour 'finger_vel'"):
        read(unknown, "mc_rtt")
    plain = write_file(tmp_path / "two" / "mc_maze.nwb", heldout_column=False).path
    with pytest.raises(FileFormatError, match=r"column 'heldout'.*held_out_split"):
        read(plain)
    plain = write_file(tmp_path / "three" / "mc_maze.nwb", split_column=False).path
    with pytest.raises(FileFormatError, match="column 'split'"):
        read(plain)
    none = write_file(tmp_path / "four" / "mc_maze.nwb", splits=("none",)).path
    with pytest.raises(FileFormatError, match="whose split is one of"):
        read(none)
    write_file(tmp_path / "three" / "mc_maze.nwb")
    write_file(tmp_path / "three" / "other.nwb")
    with pytest.raises(FileFormatError, match="split 'train' in one file"):
        read(tmp_path / "three", "mc_maze")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match=r"NWB files \(\*\.nwb\) in the folder"):
        read(tmp_path / "empty", "mc_maze")
    with pytest.raises(FileFormatError):
        read(tmp_path / "nothing.nwb", "mc_maze")
    (tmp_path / "text.nwb").write_text("text")
    with pytest.raises(FileFormatError, match="Expected an NWB file at"):
        read(tmp_path / "text.nwb", "mc_maze")
    with pytest.raises(ParameterError, match="Expected a path"):
        read(3)
