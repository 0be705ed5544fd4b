"""Fluorescence: each response, sum, ceiling, leak and noise as its equation says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.snn import observe
from neurokit_sdr.snn.observe import fluorescence
from tests.snn.observed import FIVE, session, spikes_of


def double_exponential(lag, rise, decay):
    """The response in closed form; 0 before the spike. Its peak is found on a fine grid."""

    def raw(t):
        fast = np.exp(-t / rise) if rise else np.zeros_like(t)
        return np.where(t >= 0, np.exp(-np.maximum(t, 0) / decay) - np.where(t >= 0, fast, 0), 0.0)

    with np.errstate(over="ignore", invalid="ignore"):
        return raw(np.asarray(lag))


@pytest.mark.parametrize(("rise", "decay"), [(0.016, 0.2), (0.07, 0.5), (0.0, 1.0), (0.19, 0.2)])
@pytest.mark.parametrize("frame_rate", [3.7, 30.0, 977.0])
def test_one_spike_gives_the_analytic_response(rise, decay, frame_rate):
    spikes = nks.io.from_spike_times({0: [0.4321]}, t_stop=3.0)
    seen = observe.calcium(
        spikes, frame_rate=frame_rate, rise_time=rise, decay_time=decay, amplitude=0.3, noise=0.0
    )
    trace, time = seen["/truth/calcium"].values[:, 0], seen["/calcium/time"].values
    np.testing.assert_allclose(time, np.arange(time.size) / frame_rate)
    assert time.size == np.ceil(3.0 * frame_rate)
    fine = np.linspace(0, 5 * decay, 2_000_001)
    peak = double_exponential(fine, rise, decay).max()
    expected = 0.3 * double_exponential(time - 0.4321, rise, decay) / peak
    # Each frame multiplies by two rounded factors, and a grid misses a peak of curvature c by
    # at most c h^2 / 8, here under 1e-11 of it; nothing in the two differs otherwise.
    np.testing.assert_allclose(trace, expected, rtol=0, atol=0.3 * 4e-16 * time.size / peak + 1e-11)
    np.testing.assert_allclose(seen["/calcium/fluorescence"].values[:, 0], 1.0 + trace, rtol=1e-15)


def test_responses_add_up_on_any_clock_and_in_any_order():
    rng = np.random.default_rng(0)
    spike_time, spike_unit = rng.uniform(-1, 9, 300), rng.integers(4, size=300)
    frame_time = np.sort(rng.uniform(0, 8, 120))
    found = fluorescence.calcium_trace(frame_time, spike_time, spike_unit, 4, 0.02, 0.3)
    peak = fluorescence.kernel_peak(0.02, 0.3)
    for unit in range(4):
        lag = frame_time[:, None] - spike_time[spike_unit == unit]
        expected = double_exponential(lag, 0.02, 0.3).sum(axis=1) / peak
        np.testing.assert_allclose(found[:, unit], expected, rtol=1e-12, atol=1e-13)


def test_a_spike_at_a_frame_counts_from_that_frame_on():
    found = fluorescence.calcium_trace(
        np.array([0.0, 1.0]), np.array([1.0]), np.array([0]), 1, 0.0, 0.5
    )
    assert found[:, 0].tolist() == [0.0, 1.0]


def test_long_silence_ends_at_zero():
    found = fluorescence.calcium_trace(
        np.array([0.0, 1e3]), np.array([0.0]), np.array([0]), 1, 0.1, 0.5
    )
    assert found[1, 0] == 0.0
    slow = fluorescence.calcium_trace(
        np.arange(3e4) / 30, np.zeros(1), np.zeros(1, int), 1, 0.1, 0.5
    )
    assert (slow[-1000:] == 0).all()


def test_recordings_that_start_elsewhere():
    spikes = nks.io.from_spike_times({0: [-1.0, 2.1]}, t_start=-2.0, t_stop=2.05 + 0.1)
    seen = observe.calcium(spikes, frame_rate=10, noise=0)
    assert seen["/calcium/time"].values[[0, -1]].tolist() == pytest.approx([-2.0, 2.1])
    assert seen["/calcium/time"].values[-1] < 2.15


def test_saturation_is_the_hill_function():
    calcium = np.array([[0.0, -1e-17, 1e-9, 0.5, 1e9]])
    for exponent in (1.0, 2.3):
        found = fluorescence.saturate(calcium, 0.5, exponent)[0]
        positive = np.maximum(calcium[0], 0)
        expected = 0.5 * positive**exponent / (positive**exponent + 0.5**exponent)
        np.testing.assert_allclose(found, expected, rtol=1e-14)
        assert found[3] == pytest.approx(0.25)
    assert calcium[0, 1] == -1e-17  # the input is left alone
    spikes = nks.io.from_spike_times({0: np.linspace(0, 1, 400)}, t_stop=2.0)
    seen = observe.calcium(spikes, saturation=1.5, hill_exponent=2.0, baseline=0.5, noise=0)
    inside = seen["/truth/calcium"].values
    expected = 0.5 + 1.5 * inside**2 / (inside**2 + 1.5**2)
    np.testing.assert_allclose(seen["/calcium/fluorescence"], expected, rtol=1e-14)
    assert expected.max() < 2.0


def test_light_leaks_as_the_square_of_distance_says():
    spikes = nks.io.from_spike_times({k: [0.1 * k + 0.1] for k in range(3)}, t_stop=1.0)
    where = np.array([[0, 0, 0], [3e-5, 4e-5, 0], [0, 0, 1.0]])
    coords = {a: ("unit", where[:, i], {"units": "m"}) for i, a in enumerate("xyz")}
    spikes = spikes.assign_coords(coords)
    options = {"noise": 0.0, "baseline": 0.7, "frame_rate": 50.0}
    alone = observe.calcium(spikes, **options)["/calcium/fluorescence"].values
    seen = observe.calcium(spikes, scattering=1e-4, scattering_strength=0.4, **options)
    share = 0.4 * np.exp(-0.25)
    expected = np.stack(
        [alone[:, 0] + share * alone[:, 1], alone[:, 1] + share * alone[:, 0], alone[:, 2]], axis=1
    )
    np.testing.assert_allclose(seen["/calcium/fluorescence"], expected, rtol=1e-14)
    flat = observe.calcium(spikes.drop_vars("z"), scattering=1e-4, **options)
    assert flat["/calcium/fluorescence"][0, 2] > alone[0, 2]


def test_noise_is_white_with_the_standard_deviation_asked_for(seed):
    spikes = nks.io.from_spike_times({k: [0.5] for k in range(50)}, t_stop=100.0)
    seen = observe.calcium(spikes, noise=0.2, rng=seed)
    clean = observe.calcium(spikes, noise=0.0, rng=seed)
    xr.testing.assert_equal(seen["/truth/calcium"], clean["/truth/calcium"])
    error = (seen["/calcium/fluorescence"] - clean["/calcium/fluorescence"]).values / 0.2
    n = error.size
    assert abs(error.mean()) < FIVE / np.sqrt(n)
    assert abs((error**2).mean() - 1) < FIVE * np.sqrt(2 / n)
    assert abs((error[1:] * error[:-1]).mean()) < FIVE / np.sqrt(n)
    assert abs((error[:, 1:] * error[:, :-1]).mean()) < FIVE / np.sqrt(n)


def test_mean_calcium_follows_the_rate(seed):
    """Campbell: mean rate x area of the response, variance rate x area of its square."""
    rate, n_units, duration, rise, decay = 4.0, 200, 60.0, 0.02, 0.2
    seen = observe.calcium(
        spikes_of(n_units, rate, duration, seed), rise_time=rise, decay_time=decay, amplitude=1.0
    )
    trace = seen["/truth/calcium"].isel(calcium_time=slice(60, None)).values  # after 10 decays
    peak = fluorescence.kernel_peak(rise, decay)
    area = (decay - rise) / peak
    mean = rate * area
    # Time averages over T of shot noise have a variance of at most rate * area**2 / T.
    error = np.sqrt(rate * area**2 / (duration - 2.0) / n_units)
    assert abs(trace.mean() - mean) < FIVE * error


def test_calcium_keeps_the_units_and_their_coordinates():
    seen = observe.calcium(session(), frame_rate=7.5, rng=0)
    assert set(seen["/calcium"].coords) == {"time", "unit", "population", "x", "y"}
    assert seen["/calcium"].attrs["frame_rate"] == 7.5
    assert seen["/truth/calcium"].dims == ("calcium_time", "unit")
    np.testing.assert_array_equal(seen["/truth/calcium_time"], seen["/calcium/time"])


def test_silent_and_single_units():
    seen = observe.calcium(nks.io.from_spike_times({"a": []}, t_stop=1.0), noise=0.0)
    assert (seen["/calcium/fluorescence"] == 1.0).all()
    with pytest.raises(SchemaError, match="longer than 0 s"):
        observe.calcium(nks.io.from_spike_times({"a": []}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_rate": 0.0},
        {"frame_rate": np.inf},
        {"rise_time": -0.1},
        {"rise_time": 0.2},
        {"rise_time": np.nan},
        {"decay_time": 0.0},
        {"decay_time": np.nan},
        {"amplitude": -1.0},
        {"saturation": 0.0},
        {"hill_exponent": 2.0},
        {"hill_exponent": 100.0, "saturation": 1.0},
        {"baseline": -1.0},
        {"noise": -0.1},
        {"noise": np.nan},
        {"noise": None},
        {"scattering": 0.0},
        {"scattering": "far"},
        {"scattering_strength": -0.1},
        {"rng": "x"},
    ],
    ids=str,
)
def test_calcium_arguments_out_of_range(wrong):
    with pytest.raises(ParameterError, match=r"Expected .*got"):
        observe.calcium(session(), **wrong)


def test_scattering_needs_positions_in_metres():
    spikes = spikes_of(3, 5.0, 1.0, 0)
    for wrong, says in (
        (spikes.drop_vars(["x", "y"]), "x, y .*or leave scattering=None"),
        (spikes.assign_coords(x=spikes["x"].assign_attrs(units="um")), "'um'.*convert"),
        (spikes.assign_coords(x=spikes["x"].drop_attrs()), "None.*set the attribute"),
        (spikes.assign_coords(x=spikes["x"] * np.nan), "'m', got|finite"),
        (spikes.assign_coords(y=spikes["y"].copy(data=[0, np.nan, 0])), "finite 'y'"),
    ):
        with pytest.raises(SchemaError, match=says):
            observe.calcium(wrong, scattering=1e-4)
