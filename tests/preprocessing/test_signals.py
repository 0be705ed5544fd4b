"""Binning, cutting and filtering of recordings: exact, and a part at a time."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError
from neurokit_sdr.core.lazy import is_lazy, lazy_variable
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.preprocessing import filtering

RATE = 200.0
EPSILON = np.finfo(float).eps


class Counted:
    """Values of a file that count how many of them were read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.read = values, 0

    def __call__(self, key):
        part = self.values[key]
        self.read += part.size
        return part


def recording(values: np.ndarray, rate: float = RATE, start: float = 0.0) -> xr.Dataset:
    """A signal of channels A, B, ... and one trigger channel at the end."""
    number = values.shape[1]
    names = [chr(65 + k) for k in range(number)]
    return xr.Dataset(
        {"signal": (("time", "channel"), values, {"units": "V"})},
        coords={
            "channel": names,
            "channel_type": ("channel", ["seeg"] * (number - 1) + ["stim"]),
            "channel_unit": ("channel", ["V"] * number),
        },
        attrs={"sampling_rate": rate, "highpass": 0.1, "lowpass": 80.0},
    ).assign_coords(even_time(len(values), rate, start))


def lazily(data: xr.Dataset) -> tuple[xr.Dataset, Counted]:
    counted = Counted(data["signal"].values)
    variable = lazy_variable(data["signal"].dims, counted, counted.values.shape, float, {})
    return data.assign(signal=variable), counted


def noise(seed: int, samples: int = 3000, channels: int = 4) -> np.ndarray:
    return stream(seed, "signals").standard_normal((samples, channels))


# -- bin_signal ---------------------------------------------------------------------------------


def test_bins_are_means_and_line_up_with_those_of_spikes(seed):
    data = recording(noise(seed))
    binned = nks.bin_signal(data, 0.05)
    expected = data["signal"].values.reshape(300, 10, 4).mean(axis=1)
    assert np.abs(binned["signal"].values - expected).max() < 10 * EPSILON * 6
    spikes = nks.io.from_spike_times({"a": [0.1]}, t_stop=15.0)
    xr.testing.assert_identical(
        nks.bin_spikes(spikes, 0.05)["time"].variable, binned["time"].variable
    )
    assert binned.attrs["bin_size"] == 0.05
    assert binned.attrs["sampling_rate"] == 20.0
    assert binned["signal"].attrs["units"] == "V"
    assert list(binned["channel_type"].values) == list(data["channel_type"].values)
    schema.check(binned, "signal")


@given(st.floats(0.005, 1.0), st.sampled_from([200.0, 173.61, 1017.25]), st.floats(-5, 5))
@settings(deadline=None, max_examples=40)
def test_every_sample_lies_in_the_bin_that_holds_its_time(width, rate, start):
    size = int(2.2 * rate)
    ramp = np.arange(size, dtype=float)
    data = recording(np.stack([ramp, ramp], axis=1), rate, start)
    if width * rate < 1:
        return
    binned = nks.bin_signal(data, width)
    time = data["time"].values
    for k in range(binned.sizes["time"]):
        low, high = start + k * width, start + (k + 1) * width
        near = np.abs(np.array([time - low, time - high])).min(axis=0) * rate < 1e-5
        inside = ((time >= low) & (time < high))[~near]
        mean = float(binned["signal"].values[k, 0])
        if not near.any():
            assert mean == pytest.approx(ramp[inside].mean(), rel=1e-12)


def test_bins_of_uneven_frames_may_be_empty():
    calcium = xr.Dataset(
        {
            "fluorescence": (("time", "unit"), np.array([[1.0], [3.0], [5.0], [7.0], [10.0]])),
            "frame": ("time", np.arange(5)),
        },
        coords={"time": ("time", [0.0, 0.1, 0.21, 0.6, 0.7], {"units": "s"}), "unit": ["a"]},
    )
    with pytest.warns(DataWarning, match=r"\['frame'\]"):
        binned = nks.bin_signal(calcium, 0.2)
    assert np.array_equal(
        binned["fluorescence"].values, [[2.0], [5.0], [np.nan], [8.5]], equal_nan=True
    )
    assert "frame" not in binned


def test_a_missing_sample_makes_its_bin_missing():
    values = np.ones((100, 2))
    values[5, 0] = np.nan
    binned = nks.bin_signal(recording(values), 0.05)["signal"].values
    assert np.isnan(binned[0, 0])
    assert np.isfinite(binned).sum() == binned.size - 1


@pytest.mark.parametrize(
    ("width", "says"),
    [
        (0, "a number > 0, got 0: it is in seconds"),
        (True, "got True"),
        (np.nan, "> 0"),
        (0.001, "one sampling interval, 0.005 s"),
        (100.0, "at most the recording's 15 s"),
    ],
)
def test_bin_signal_refuses(width, says):
    with pytest.raises(ParameterError, match=says):
        nks.bin_signal(recording(noise(0)), width)


# -- epoch --------------------------------------------------------------------------------------


def events() -> xr.Dataset:
    return xr.Dataset(
        {
            "event_onset": ("event", [0.001, 2.0, 5.003, 14.9], {"units": "s"}),
            "event_duration": ("event", np.zeros(4), {"units": "s"}),
            "event_label": ("event", ["a", "b", "a", "c"]),
            "event_value": ("event", [1, 2, 1, 3]),
        }
    )


def test_trials_hold_the_samples_around_each_onset(seed):
    data = recording(noise(seed))
    with pytest.warns(DataWarning, match="2 of 4 trials reach outside"):
        trials = nks.epoch(data, events(), -0.1, 0.5)
    assert trials["signal"].dims == ("trial", "time", "channel")
    assert trials["trial"].values.tolist() == [1, 2]
    assert trials["event_label"].values.tolist() == ["b", "a"]
    assert trials["event_onset"].values.tolist() == [2.0, 5.003]
    assert np.array_equal(trials["signal"].values[0], data["signal"].values[380:501])
    assert np.array_equal(trials["signal"].values[1], data["signal"].values[981:1102])
    assert trials["time"].values[[0, 20, -1]].tolist() == [-0.1, 0.0, 0.5]
    assert trials.attrs["n_dropped"] == 2
    schema.check(trials, "signal")


def test_trials_equal_those_of_mne(seed):
    mne = pytest.importorskip("mne")
    data = recording(noise(seed))
    onsets = np.array([1.0, 2.345, 7.77])
    trials = nks.epoch(data, onsets, -0.2, 0.3)
    raw = mne.io.RawArray(data["signal"].values.T, mne.create_info(4, RATE, "eeg"), verbose="ERROR")
    table = np.stack([np.rint(onsets * RATE), np.zeros(3), np.ones(3)], axis=1).astype(int)
    theirs = mne.Epochs(raw, table, tmin=-0.2, tmax=0.3, baseline=None, verbose="ERROR")
    assert np.array_equal(
        trials["signal"].values, theirs.get_data(verbose="ERROR").transpose(0, 2, 1)
    )
    assert np.abs(trials["time"].values - theirs.times).max() < 2 * EPSILON


def test_trials_that_touch_bad_stretches_are_dropped_on_request():
    data = recording(noise(0))
    bad = xr.Dataset(
        {
            "event_onset": ("event", [2.3, 8.0], {"units": "s"}),
            "event_duration": ("event", [0.1, 0.5], {"units": "s"}),
            "event_label": ("event", ["BAD_jump", "cue"]),
        }
    )
    kept = nks.epoch(data, [1.0, 2.0, 8.1], -0.1, 0.5, drop=bad)
    assert kept["trial"].values.tolist() == [0, 2]
    assert kept.attrs["n_dropped"] == 1
    kept = nks.epoch(data, [1.0, 2.0, 8.1], -0.1, 0.5, drop=np.array([[8.0, 8.5]]))
    assert kept["trial"].values.tolist() == [0, 1]
    assert nks.epoch(data, [1.0, 2.0], -0.1, 0.5).sizes["trial"] == 2


def test_trials_across_a_gap_are_left_out():
    time = np.concatenate([np.arange(100), np.arange(300, 400)]) / 100
    data = xr.Dataset(
        {"speed": ("time", np.arange(200.0))},
        coords={"time": ("time", time, {"units": "s"})},
        attrs={"sampling_rate": 100.0},
    )
    with pytest.warns(DataWarning, match="2 of 4 trials"):
        trials = nks.epoch(data, [0.5, 0.95, 2.0, 3.5], -0.1, 0.1)
    assert trials["trial"].values.tolist() == [0, 3]
    assert trials["speed"].values[1].tolist() == list(range(140, 161))


def test_trials_of_a_session_take_its_columns():
    data = recording(noise(0))
    trials = xr.Dataset(
        {
            "start_time": ("trial", [1.0, 3.0], {"units": "s"}),
            "stop_time": ("trial", [2.0, 4.0], {"units": "s"}),
            "choice": ("trial", ["left", "right"]),
        }
    )
    session = xr.DataTree.from_dict({"/signal": data, "/trials": trials, "/events": events()})
    cut = nks.epoch(session, session["trials"], 0.0, 1.0)
    assert cut["choice"].values.tolist() == ["left", "right"]
    assert cut["event_onset"].values.tolist() == [1.0, 3.0]
    assert nks.epoch(session, session["events"].isel(event=[1]), 0, 1)["trial"].values == [0]


@pytest.mark.parametrize(
    ("given_events", "edges", "error", "says"),
    [
        ([1.0], (0.5, 0.1), ParameterError, "start <= stop"),
        ([1.0], (np.nan, 0.1), ParameterError, "start to be a finite number, got nan"),
        ([np.nan], (0, 0.1), SchemaError, "finite onsets"),
        ([[1.0, 2.0]], (0, 0.1), SchemaError, "one list"),
        ("go", (0, 0.1), SchemaError, "one list"),
        (xr.Dataset({"onset": ("event", [1.0])}), (0, 0.1), SchemaError, "event_onset"),
    ],
)
def test_epoch_refuses(given_events, edges, error, says):
    with pytest.raises(error, match=says):
        nks.epoch(recording(noise(0)), given_events, *edges)


def test_no_trial_inside_the_recording_is_an_error():
    with (
        pytest.raises(ParameterError, match=r"none of 1.*seconds on its clock"),
        pytest.warns(DataWarning),
    ):
        nks.epoch(recording(noise(0)), [500.0], 0.0, 1.0)


def test_stretches_to_drop_are_checked():
    with pytest.raises(SchemaError, match=r"shape \(stretch, 2\)"):
        nks.epoch(recording(noise(0)), [1.0], 0.0, 1.0, drop=np.array([1.0, 2.0]))


# -- bandpass -----------------------------------------------------------------------------------


def by_definition(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The filter written out: pad point-symmetrically, convolve directly."""
    half = weight.size // 2
    before = 2 * values[0] - values[1 : half + 1][::-1]
    after = 2 * values[-1] - values[-half - 1 : -1][::-1]
    padded = np.concatenate([before, values, after])
    columns = [convolve(c, weight, mode="valid", method="direct") for c in padded.T]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("low", "high"), [(5, 30), (2, None), (None, 40), (20, 21)])
def test_the_filter_is_the_convolution_it_says(seed, low, high):
    data = recording(noise(seed) + 5.0)
    kernel = filtering.band_kernel(low, high, RATE)
    assert np.array_equal(kernel.weight, kernel.weight[::-1])
    found = nks.bandpass(data, low, high)["signal"].values
    expected = by_definition(data["signal"].values, kernel.weight)
    # Rounding of a Fourier transform of up to 2^14 samples of size 10.
    tolerance = 14 * EPSILON * 10 * np.abs(kernel.weight).sum() * 10
    assert np.abs(found[:, :-1] - expected[:, :-1]).max() < tolerance
    assert np.array_equal(found[:, -1], data["signal"].values[:, -1])


@pytest.mark.parametrize(("low", "high"), [(5.0, 30.0), (1.0, None), (None, 40.0), (0.5, 90.0)])
def test_the_filters_gain_is_what_its_bands_promise(low, high):
    kernel = filtering.band_kernel(low, high, RATE)
    frequency = np.linspace(0, RATE / 2, 2001)
    angle = 2 * np.pi * frequency[:, None] / RATE * np.arange(1, kernel.half + 1)
    gain = kernel.weight[kernel.half] + 2 * np.cos(angle) @ kernel.weight[kernel.half + 1 :]
    passed = np.ones(frequency.size, dtype=bool)
    stopped = np.zeros(frequency.size, dtype=bool)
    if low is not None:
        passed &= frequency >= low
        stopped |= frequency <= low - kernel.low_transition
    if high is not None:
        passed &= frequency <= high
        stopped |= frequency >= high + kernel.high_transition
    # A Hamming window's ripple is 0.0022 at each edge; there are two, of either sign of frequency.
    assert np.abs(gain[passed] - 1).max() < 4 * 0.0022
    if stopped.any():
        assert np.abs(gain[stopped]).max() < 4 * 0.0022


def test_the_filter_agrees_with_mnes():
    mne = pytest.importorskip("mne")
    theirs = mne.filter.create_filter(
        None, RATE, 5.0, 30.0, fir_window="hamming", fir_design="firwin", verbose="ERROR"
    )
    ours = filtering.band_kernel(5.0, 30.0, RATE).weight
    assert theirs.size == ours.size
    # They place the window's edges by another rule of rounding.
    assert np.abs(theirs - ours).max() < 0.01 * np.abs(ours).max()


def test_a_filter_narrows_the_attributes_and_says_what_it_did():
    data = nks.bandpass(nks.bandpass(recording(noise(0)), 5, 30), 1, 20)
    assert (data.attrs["highpass"], data.attrs["lowpass"]) == (5.0, 20.0)
    assert data.attrs["filter"].count("zero-phase FIR") == 2
    assert data.attrs["sampling_rate"] == RATE
    assert data["signal"].attrs["units"] == "V"
    schema.check(data, "signal")


def test_a_missing_sample_reaches_as_far_as_the_response(seed):
    values = noise(seed)
    clean = nks.bandpass(recording(values), 5, 30)["signal"].values
    values[1500, 0] = np.nan
    half = filtering.band_kernel(5, 30, RATE).half
    found = nks.bandpass(recording(values), 5, 30)["signal"].values
    missing = np.flatnonzero(np.isnan(found[:, 0]))
    assert missing.tolist() == list(range(1500 - half, 1500 + half + 1))
    rest = np.isfinite(found)
    assert np.abs(found - clean)[rest].max() < 1e-12


def test_gaps_are_edges(seed):
    values = noise(seed, 2000)
    session = xr.DataTree.from_dict(
        {
            "/signal": recording(values),
            "/events": xr.Dataset(
                {
                    "event_onset": ("event", [4.0, 7.0], {"units": "s"}),
                    "event_duration": ("event", [0.5, 0.0], {"units": "s"}),
                    "event_label": ("event", ["BAD_ACQ_SKIP", "EDGE boundary"]),
                }
            ),
        }
    )
    whole = nks.bandpass(session, 10, 30)["signal"].values
    for low, high in ((0, 800), (900, 1400), (1400, 2000)):
        alone = nks.bandpass(recording(values[low:high]), 10, 30)["signal"].values
        assert np.abs(whole[low:high] - alone).max() < 1e-13
    assert np.array_equal(whole[800:900], values[800:900])
    time = np.concatenate([np.arange(800), np.arange(1000, 2200)]) / RATE
    jumps = recording(values).drop_vars("time").assign_coords(time=("time", time, {"units": "s"}))
    found = nks.bandpass(jumps, 10, 30)["signal"].values
    alone = nks.bandpass(recording(values[800:]), 10, 30)["signal"].values
    assert np.abs(found[800:] - alone).max() < 1e-13


def test_a_stretch_too_short_to_filter_is_named():
    time = np.concatenate([np.arange(30), np.arange(1000, 3000)]) / RATE
    data = xr.Dataset(
        {"x": ("time", np.ones(2030))}, coords={"time": ("time", time, {"units": "s"})}
    )
    with pytest.warns(DataWarning, match="1 stretches between gaps"):
        found = nks.bandpass(data, 5, 30)["x"].values
    assert np.isnan(found[:30]).all()
    assert np.isfinite(found[30:]).all()


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (None, None, "low, high or both"),
        (30, 5, "0 < low < high < 100 Hz"),
        (-1, 5, "low to be a number > 0"),
        (5, 100, "half the sampling rate"),
        (150, None, "half the sampling rate"),
        (0.05, None, "more than 6600 samples"),
    ],
)
def test_bandpass_refuses(low, high, says):
    with pytest.raises(ParameterError, match=says):
        nks.bandpass(recording(noise(0)), low, high)


def test_uneven_frames_are_not_filtered():
    time = np.cumsum(np.linspace(0.08, 0.12, 500))
    data = xr.Dataset({"x": ("time", time)}, coords={"time": ("time", time, {"units": "s"})})
    with pytest.raises(SchemaError, match="bin_signal first"):
        nks.bandpass(data, 1, 2)


# -- a part at a time ---------------------------------------------------------------------------


def operations():
    return {
        "bin": lambda d: nks.bin_signal(d, 0.033),
        "epoch": lambda d: nks.epoch(d, np.arange(1.0, 13.0, 0.7), -0.3, 0.4),
        "bandpass": lambda d: nks.bandpass(d, 5, 30),
        "chain": lambda d: nks.epoch(
            nks.bin_signal(nks.bandpass(d, 5, 30), 0.02), [2.0, 5.0], 0, 1
        ),
    }


@pytest.mark.parametrize("name", operations())
def test_lazy_and_chunked_values_give_the_same(seed, name):
    pytest.importorskip("dask")
    work = operations()[name]
    data = recording(noise(seed))
    whole = work(data)
    lazy, counted = lazily(data)
    later = work(lazy)
    assert counted.read == 0
    assert is_lazy(later["signal"].variable)
    assert later["signal"].dtype == np.float64
    variants = [later, work(lazy.chunk(time=700)), work(lazy.chunk(time=37, channel=2))]
    variants += [later.chunk(time=11), work(data.chunk(time=5000))]
    # The same sums in other blocks of a Fourier transform.
    for other in variants:
        assert other["signal"].shape == whole["signal"].shape
        assert np.abs(other["signal"].values - whole["signal"].values).max() < 1e-13
        xr.testing.assert_identical(other.drop_vars("signal"), whole.drop_vars("signal"))
    for key in (
        {"time": slice(3, 30, 4)},
        {"time": 7},
        {"channel": 3},
        {"channel": [2, 0], "time": slice(5, 9)},
        {"time": slice(0, 0)},
    ):
        part = later.isel(key)["signal"].values
        assert part.shape == whole.isel(key)["signal"].shape
        assert np.abs(part - whole.isel(key)["signal"].values).max(initial=0) < 1e-13


def test_a_part_of_the_result_reads_that_part():
    lazy, counted = lazily(recording(np.zeros((60_000, 4))))
    width = 4
    half = filtering.band_kernel(5, 30, RATE).half
    filtered = nks.bandpass(lazy, 5, 30)
    filtered["signal"].sel(time=slice(100, 110)).values
    assert counted.read == (2001 + 2 * half) * width
    counted.read = 0
    nks.bandpass(lazy.sel(time=slice(100, 110)), 5, 30)["signal"].values
    assert counted.read == 2001 * width
    counted.read = 0
    nks.bin_signal(lazy, 0.1)["signal"].sel(time=slice(100, 110)).values
    assert counted.read == 100 * 20 * width
    counted.read = 0
    trials = nks.epoch(lazy, np.arange(1.0, 200.0), 0.0, 0.5)
    assert counted.read == 0
    trials["signal"].isel(trial=[3, 4], channel=1).values
    assert counted.read == 2 * 101
    counted.read = 0
    nks.epoch(filtered, [50.0], 0.0, 0.5)["signal"].values
    assert counted.read == (101 + 2 * half) * width


def test_the_ends_of_a_lazy_recording_are_filtered_like_the_whole(seed):
    data = recording(noise(seed, 400))
    lazy, _ = lazily(data)
    whole = nks.bandpass(data, 10, 30)["signal"].values
    later = nks.bandpass(lazy, 10, 30)["signal"]
    for part in (slice(0, 1), slice(0, 5), slice(3, 390), slice(395, 400), slice(399, 400)):
        assert np.abs(later[part].values - whole[part]).max() < 1e-13


def double(path_values, key):
    return path_values[key]


def test_lazy_results_go_to_other_processes():
    values = noise(0, 500)
    data = recording(values)
    variable = lazy_variable(("time", "channel"), partial(double, values), values.shape, float)
    filtered = nks.bandpass(data.assign(signal=variable), 10, 30)
    again = pickle.loads(pickle.dumps(filtered))
    assert np.array_equal(again["signal"].values, filtered["signal"].values)


def test_a_memory_map_stays_on_disk(tmp_path):
    values = np.memmap(tmp_path / "x.dat", dtype=np.float32, mode="w+", shape=(2000, 2))
    values[:] = np.arange(4000).reshape(2000, 2)
    data = recording(np.zeros((2000, 2)))
    data["signal"] = (
        ("time", "channel"),
        np.memmap(tmp_path / "x.dat", np.float32, "r").reshape(2000, 2),
    )
    binned = nks.bin_signal(data, 0.05)
    assert is_lazy(binned["signal"].variable)
    assert np.array_equal(
        binned["signal"].values, values.reshape(200, 10, 2).mean(axis=1, dtype=float)
    )


# -- what is not a recording --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.zeros(3), "NumPy array"),
        (xr.Dataset({"x": ("sample", [1.0])}), "coordinate 'time'"),
        (xr.DataTree.from_dict({"/spikes": xr.Dataset()}), "session with time"),
        (
            xr.Dataset({"x": (("trial", "time"), np.ones((2, 3)))}, {"time": [0.0, 0.1, 0.2]}),
            "cut into trials",
        ),
        (xr.Dataset({"x": ("time", [1.0, 2.0])}, {"time": [1.0, 0.5]}), "rising times"),
        (xr.Dataset({"x": ("time", [1.0])}, {"time": [1.0]}), "at least two"),
    ],
)
def test_other_things_are_refused(data, says):
    for work in operations().values():
        with pytest.raises(SchemaError, match=says):
            work(data)


def test_the_input_is_not_changed(seed):
    data = recording(noise(seed))
    before = data.copy(deep=True)
    for work in operations().values():
        work(data)
    xr.testing.assert_identical(before, data)


# -- what was done silently, or failed without a word -------------------------------------------


@pytest.mark.parametrize("units", ["frame", "ms"])
@pytest.mark.parametrize(
    "call",
    [
        lambda data: nks.bin_signal(data, 10),
        lambda data: nks.epoch(data, [50.0], -2, 2),
        lambda data: nks.bandpass(data, 0.01, 0.1),
    ],
)
def test_frames_are_not_taken_for_seconds(call, units):
    time = even_time(2000, 1.0)
    time["time"].attrs["units"] = units
    data = xr.Dataset({"fluorescence": (("time", "unit"), np.ones((2000, 2)))}, time)
    says = "sampling_rate=30.0" if units == "frame" else "units 's'"
    with pytest.raises(SchemaError, match=f"Expected time in seconds.*{says}"):
        call(xr.DataTree.from_dict({"/calcium": data}))


def test_whole_numbers_are_named_where_they_are_not_filtered_or_averaged():
    data = recording(noise(0)).assign(raw=("time", np.arange(3000)))
    with pytest.warns(DataWarning, match=r"Not filtered.*\['raw'\].*astype\(float\)"):
        filtered = nks.bandpass(data, 5, 20)
    assert (filtered["raw"] == data["raw"]).all()
    with pytest.warns(DataWarning, match=r"Left out.*\['raw'\].*astype\(float\)"):
        nks.bin_signal(data, 0.1)
    with pytest.warns(DataWarning, match="Not filtered"):
        untouched = nks.bandpass(data[["raw"]], 5, 20)
    assert "filter" not in untouched.attrs  # nothing was


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize(
    ("onsets", "edges"),
    [([0.5], (-1e300, 1e300)), ([1e300], (-0.1, 0.1)), ([-1e300], (-0.1, 0.1))],
)
def test_trials_beyond_all_numbers_lie_outside_the_recording(onsets, edges, even):
    data = recording(noise(0))
    if not even:
        frames = np.cumsum(1 + np.arange(3000) % 3) / RATE
        data = data.drop_vars("time").assign_coords(time=("time", frames, {"units": "s"}))
    with pytest.warns(DataWarning, match="1 of 1 trials reach outside"):  # noqa: SIM117
        with pytest.raises(ParameterError, match="at least one trial"):
            nks.epoch(data, onsets, *edges)


@pytest.mark.parametrize(
    ("drop", "says"),
    [
        ("x", r"shape \(stretch, 2\).*got str"),
        ([[np.nan, 1.0]], "finite start"),
        ([[0.1, np.nan]], "finite start"),
        ([[2.0, 1.0]], "stop not before it"),
    ],
)
def test_stretches_to_drop_must_be_stretches(drop, says):
    with pytest.raises(SchemaError, match=says):
        nks.epoch(recording(noise(0)), [0.5], -0.1, 0.1, drop=drop)
