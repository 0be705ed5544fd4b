"""Tuning from trials: exact means, and errors that say how far they are off."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError


def trials_of(n_trials, n_stimuli=3, length=0.5, seed=0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    begin = np.arange(n_trials) * 1.0
    shown = np.arange(n_trials) % n_stimuli
    rng.shuffle(shown)
    return xr.Dataset(
        {
            "start_time": ("trial", begin, {"units": "s"}),
            "stop_time": ("trial", begin + length, {"units": "s"}),
            "orientation": ("trial", 60.0 * shown, {"units": "deg"}),
            "block": ("trial", np.where(np.arange(n_trials) < n_trials // 2, "uniform", "biased")),
        }
    )


NAMES = {"stimulus": "orientation", "condition": "block"}


def test_rates_are_counts_over_time():
    trials = trials_of(24)
    rng = np.random.default_rng(1)
    times = {u: np.sort(rng.uniform(0, 24, 400)) for u in ("a", "b")}
    spikes = nks.io.from_spike_times(times, t_stop=24.0)
    tuning = nks.estimate_tuning(spikes, trials, window=(0.1, 0.4), period=180, **NAMES)
    schema.check(tuning, "tuning")
    assert tuning["condition"].values.tolist() == ["uniform", "biased"]
    assert tuning["stimulus"].attrs == {"units": "deg", "period": 180.0}
    for u, s, c in [("a", 0.0, "uniform"), ("b", 120.0, "biased")]:
        own = trials.isel(trial=(trials["orientation"] == s) & (trials["block"] == c))
        begin = own["start_time"].values + 0.1
        number = sum(((times[u] >= b) & (times[u] < b + 0.3)).sum() for b in begin)
        found = tuning["response"].sel(unit=u, stimulus=s, condition=c).item()
        assert found == pytest.approx(number / (0.3 * len(begin)))
    np.testing.assert_allclose(tuning["probability"].sum("stimulus"), 1)
    assert int(tuning["n_trials"].sum()) == 24


@pytest.mark.parametrize("fano", [1.0, 3.0])
def test_errors_of_rates_are_their_standard_deviation(fano, seed):
    # Counts with a Fano factor: Poisson, or Poisson numbers of bursts of fano spikes.
    rng = np.random.default_rng(seed)
    trials, n_units, length = trials_of(90), 100, 0.5
    rate = np.array([2.0, 10.0, 40.0])[(trials["orientation"].values / 60).astype(int)]
    count = (rng.poisson(rate[:, None] * length / fano, (90, n_units)) * fano).astype(int)
    times = {}
    for u in range(n_units):
        own = [b + rng.uniform(0, length, k) for b, k in zip(range(90), count[:, u], strict=True)]
        times[u] = np.sort(np.concatenate(own))
    tuning = nks.estimate_tuning(nks.io.from_spike_times(times, t_stop=90.0), trials, **NAMES)
    truth = xr.DataArray([2.0, 10.0, 40.0], dims="stimulus")
    z = ((tuning["response"] - truth) / tuning["response_se"]).values
    # Mean square 1, but for the half spike (16 spikes or more expected in a cell) and the spread of
    # the Fano factor over units; 600 values of variance 2 or a little more where they are skewed.
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(4 / z.size) + 1 / 32


def test_traces_of_calcium_are_averaged(seed):
    rng = np.random.default_rng(seed)
    trials = trials_of(60)
    n_frames = 600
    time = (np.arange(n_frames) + 0.5) / 10
    level = np.zeros(n_frames)
    for k in range(60):
        level[10 * k : 10 * k + 5] = trials["orientation"].values[k]
    trace = level[:, None] + rng.normal(size=(n_frames, 40))
    calcium = nks.io.from_fluorescence(trace, sampling_rate=10)
    calcium = calcium.assign_coords(time=("time", time, {"units": "s"}))
    tuning = nks.estimate_tuning(calcium, trials, **NAMES)
    schema.check(tuning, "tuning")
    z = ((tuning["response"] - tuning["stimulus"]) / tuning["response_se"]).values
    # t with 9 degrees of freedom: mean square 9 / 7, and kurtosis 6 / 5 more than a normal's.
    assert abs((z**2).mean() - 9 / 7) < 5 * (9 / 7) * np.sqrt((2 + 6 / 5 + 1) / z.size)


def test_trials_of_the_session_are_taken():
    spikes = nks.io.from_spike_times({"a": [0.1, 1.2]}, t_stop=6.0)
    trials = trials_of(6, n_stimuli=1).rename(orientation="stimulus", block="condition")
    tree = xr.DataTree.from_dict({"/spikes": spikes, "/trials": trials})
    assert nks.estimate_tuning(tree)["response"].sizes["unit"] == 1


def test_rare_stimuli_are_said():
    spikes = nks.io.from_spike_times({"a": [0.1, 1.2]}, t_stop=6.0)
    with pytest.warns(DataWarning, match="less than twice"):
        nks.estimate_tuning(spikes, trials_of(6), **NAMES)


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        ({}, {"window": (0.4, 0.2)}, ParameterError, "from < to"),
        ({}, {"window": (0.0, 0.8)}, ParameterError, "inside every trial"),
        ({}, {"stimulus": "angle"}, SchemaError, "angle"),
        ({"trial": []}, {}, SchemaError, "at least one trial"),
    ],
)
def test_bad_input_is_said(change, options, error, says):
    spikes = nks.io.from_spike_times({"a": [0.1, 1.2]}, t_stop=12.0)
    with pytest.raises(error, match=says):
        nks.estimate_tuning(spikes, trials_of(12).isel(change), **{**NAMES, **options})


def test_stimuli_need_units():
    spikes = nks.io.from_spike_times({"a": [0.1, 1.2]}, t_stop=24.0)
    trials = trials_of(24)
    trials["orientation"].attrs = {}
    with pytest.raises(SchemaError, match=r"attrs\['units'\]"):
        nks.estimate_tuning(spikes, trials, **NAMES)


def test_trials_outside_the_recording_are_said():
    spikes = nks.io.from_spike_times({"a": [0.1, 1.2]}, t_stop=6.0)
    with pytest.raises(SchemaError, match="inside the recording"):
        nks.estimate_tuning(spikes, trials_of(24), **NAMES)
    with pytest.raises(SchemaError, match="trials beside"):
        nks.estimate_tuning(spikes)
