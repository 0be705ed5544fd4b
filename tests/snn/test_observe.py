"""Instruments: each does what its equation says, keeps the truth, and survives a file."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from strategies import calcium_datasets, signal_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import NeurokitError, ParameterError, SchemaError
from neurokit_sdr.snn import _observe, observe

#: A standard normal exceeds this once in 1.7 million draws.
FIVE = 5.0


def spikes_of(n_units: int, rate: float, duration: float, seed: int) -> xr.Dataset:
    """Poisson spikes, in order of time as the simulator gives them, with positions."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(rate * duration * n_units)
    time = np.sort(rng.uniform(0, duration, number))
    return xr.Dataset(
        {
            "spike_time": ("spike", time, {"units": "s"}),
            "spike_unit": ("spike", rng.integers(n_units, size=number)),
        },
        coords={
            "unit": np.arange(n_units),
            "population": ("unit", np.where(np.arange(n_units) % 5, "e", "i")),
            **{a: ("unit", rng.uniform(0, 1e-3, n_units), {"units": "m"}) for a in "xy"},
        },
        attrs={"t_start": 0.0, "t_stop": duration},
    )


def session(n_units: int = 6, rate: float = 5.0, duration: float = 20.0, seed: int = 0):
    """A session laid out as nks.snn.simulate does, with everything that it may hold."""
    rng = np.random.default_rng(seed)
    ids = np.arange(n_units)
    weight = np.where(rng.random((n_units, n_units)) < 0.4, rng.normal(size=(n_units,) * 2), 0)
    target, source = np.nonzero(weight)
    clock = np.arange(200) * 1e-3
    truth = xr.Dataset(
        {
            "weight": (("target", "source"), weight, {"units": "mV"}),
            "synapse_source": ("synapse", source),
            "synapse_target": ("synapse", target),
            "synapse_weight": ("synapse", weight[target, source], {"units": "mV"}),
            "state": ("time", np.arange(7) % 2),
            "gain": (("state_index", "unit"), rng.random((2, n_units))),
        },
        coords={
            "unit": ids,
            "target": ids,
            "source": ids,
            "time": ("time", np.arange(7.0), {"units": "s"}),
            "community": ("unit", ids % 2),
        },
        attrs={"network": "test", "seed": seed},
    )
    current = rng.normal(size=(200, 2)) * 100
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"lab": "ours"}),
            "/spikes": spikes_of(n_units, rate, duration, seed),
            "/truth": truth,
            "/voltage": xr.Dataset(
                {"voltage": (("time", "unit"), rng.normal(size=(200, 3)), {"units": "mV"})},
                coords={"time": ("time", clock, {"units": "s"}), "unit": ids[1:4]},
            ),
            "/current": xr.Dataset(
                {"synaptic_current": (("time", "population"), current, {"units": "pA"})},
                coords={"time": ("time", clock, {"units": "s"}), "population": ["e", "i"]},
            ),
        }
    )


CALLS = {
    "calcium": lambda s, rng: observe.calcium(s, scattering=1e-4, saturation=2.0, rng=rng),
    "sorting_errors": lambda s, rng: observe.sorting_errors(
        s, miss_rate=0.2, false_rate=1.0, merges=2, rng=rng
    ),
    "subsample": lambda s, rng: observe.subsample(s, 3, rng=rng),
    "seeg": lambda s, rng: observe.sensors(s, 12, noise=1e-9, rng=rng),
    "meg": lambda s, rng: observe.sensors(s, 20, kind="meg", noise=1e-15, rng=rng),
}


# -- every instrument ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_seeds_repeat_inputs_stay_and_files_give_it_back(name, tmp_path):
    given, before = session(), session()
    seen = CALLS[name](given, 3)
    xr.testing.assert_identical(given, before)
    xr.testing.assert_identical(seen, CALLS[name](given, 3))
    xr.testing.assert_identical(seen, CALLS[name](given, 3))
    other = CALLS[name](given, np.random.default_rng(4))
    assert not seen.equals(other)
    assert {n.path for n in given.subtree} <= {n.path for n in seen.subtree}
    # A file holds spikes unit by unit, the simulator's come in order of time.
    order = np.argsort(seen["/spikes/spike_unit"].values, kind="stable")
    if name == "sorting_errors":  # spike_source must stay beside its spikes
        assert (order == np.arange(order.size)).all()
    seen["/spikes"] = seen["/spikes"].to_dataset().isel(spike=order)
    nks.io.write_nwb(seen, tmp_path / "seen.nwb")
    back = nks.io.read_spikes(tmp_path / "seen.nwb")
    for node in seen.subtree:
        dataset = node.to_dataset(inherit=False)
        schema.check_attrs(dataset)
        if node.path.strip("/") in schema.KINDS:
            schema.check(dataset, node.path.strip("/"))
        if node.path != "/":
            xr.testing.assert_identical(dataset, back[node.path].to_dataset(inherit=False))
    assert seen.attrs.items() <= back.attrs.items()


def test_a_drawn_seed_is_kept():
    seen = observe.calcium(session())
    again = observe.calcium(session(), rng=seen["/calcium"].attrs["seed"])
    xr.testing.assert_identical(seen, again)


@pytest.mark.parametrize("name", ["calcium", "sorting_errors", "subsample"])
def test_a_dataset_of_spikes_will_do(name):
    calls = {
        "calcium": lambda s: observe.calcium(s, rng=0),
        "sorting_errors": lambda s: observe.sorting_errors(s, miss_rate=0.5, rng=0),
        "subsample": lambda s: observe.subsample(s, 2, rng=0),
    }
    spikes = spikes_of(3, 5.0, 2.0, 0)
    seen = calls[name](spikes)
    assert {"/spikes", "/truth"} <= set(seen.groups)


@given(spike_datasets())
@settings(deadline=None, max_examples=25)
def test_any_recording_can_be_observed(spikes):
    seen = observe.calcium(spikes, frame_rate=10, rng=0)
    assert np.isfinite(seen["/calcium/fluorescence"]).all()
    kept = observe.subsample(spikes, 1, rng=0)
    assert kept["/truth/spike_time_full"].size == spikes.sizes["spike"]
    wrong = observe.sorting_errors(
        spikes, miss_rate=0.5, false_rate=2.0, merges=spikes.sizes["unit"] // 2, rng=0
    )
    recorded = wrong["/truth/spike_source"].values >= 0
    assert recorded.sum() + wrong["/truth/missed"].values.sum() == spikes.sizes["spike"]


@pytest.mark.parametrize("name", CALLS)
def test_no_instrument_twice(name):
    seen = CALLS[name](session(), 0)
    if name == "subsample":
        assert CALLS[name](seen, 0)["/spikes"].sizes["unit"] == 3
        return
    with pytest.raises(SchemaError, match=r"Expected .*got"):
        CALLS[name](seen, 0)


@pytest.mark.parametrize("wrong", [None, 3, "x", np.zeros(3), xr.DataTree(), xr.Dataset()], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_session_is_named(name, wrong):
    with pytest.raises(SchemaError, match=r"(?s)Expected .*got"):
        CALLS[name](wrong, 0)


@pytest.mark.parametrize("name", ["calcium", "sorting_errors", "subsample"])
def test_sessions_without_units(name):
    none = spikes_of(2, 5.0, 1.0, 0).isel(unit=slice(0), spike=slice(0))
    with pytest.raises(SchemaError, match="at least one unit"):
        CALLS[name](none, 0)


def test_instruments_follow_each_other():
    seen = observe.subsample(session(), 4, rng=0)
    seen = observe.sensors(observe.calcium(seen, rng=0), 5, rng=0)
    seen = observe.sorting_errors(seen, miss_rate=0.1, merges=1, rng=0)
    assert seen["/calcium"].sizes["unit"] == 4
    assert seen["/spikes"].sizes["unit"] == 3
    assert seen["/truth/weight_full"].shape == (6, 6)
    with pytest.raises(SchemaError, match="sorting_errors changes the units and comes last"):
        observe.subsample(seen, 2)


# -- calcium ------------------------------------------------------------------------------------


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
    found = _observe.calcium_trace(frame_time, spike_time, spike_unit, 4, 0.02, 0.3)
    peak = _observe.kernel_peak(0.02, 0.3)
    for unit in range(4):
        lag = frame_time[:, None] - spike_time[spike_unit == unit]
        expected = double_exponential(lag, 0.02, 0.3).sum(axis=1) / peak
        np.testing.assert_allclose(found[:, unit], expected, rtol=1e-12, atol=1e-13)


def test_a_spike_at_a_frame_counts_from_that_frame_on():
    found = _observe.calcium_trace(
        np.array([0.0, 1.0]), np.array([1.0]), np.array([0]), 1, 0.0, 0.5
    )
    assert found[:, 0].tolist() == [0.0, 1.0]


def test_long_silence_ends_at_zero():
    found = _observe.calcium_trace(
        np.array([0.0, 1e3]), np.array([0.0]), np.array([0]), 1, 0.1, 0.5
    )
    assert found[1, 0] == 0.0
    slow = _observe.calcium_trace(np.arange(3e4) / 30, np.zeros(1), np.zeros(1, int), 1, 0.1, 0.5)
    assert (slow[-1000:] == 0).all()


def test_recordings_that_start_elsewhere():
    spikes = nks.io.from_spike_times({0: [-1.0, 2.1]}, t_start=-2.0, t_stop=2.05 + 0.1)
    seen = observe.calcium(spikes, frame_rate=10, noise=0)
    assert seen["/calcium/time"].values[[0, -1]].tolist() == pytest.approx([-2.0, 2.1])
    assert seen["/calcium/time"].values[-1] < 2.15


def test_saturation_is_the_hill_function():
    calcium = np.array([[0.0, -1e-17, 1e-9, 0.5, 1e9]])
    for exponent in (1.0, 2.3):
        found = _observe.saturate(calcium, 0.5, exponent)[0]
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
    peak = _observe.kernel_peak(rise, decay)
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


# -- spike sorting ------------------------------------------------------------------------------


def test_a_perfect_sorter_changes_nothing():
    given = session()
    seen = observe.sorting_errors(given, rng=0)
    spikes = given["/spikes"].to_dataset()
    order = np.argsort(spikes["spike_unit"].values, kind="stable")
    for name in ("spike_time", "spike_unit"):
        np.testing.assert_array_equal(seen["/spikes"][name], spikes[name].values[order])
        np.testing.assert_array_equal(seen["/truth"][f"true_{name}"], spikes[name])
    np.testing.assert_array_equal(seen["/truth/spike_source"], seen["/spikes/spike_unit"])
    assert not seen["/truth/missed"].any()
    assert seen["/truth/merged_into"].values.tolist() == list(range(6))


def test_errors_are_as_frequent_as_asked_for(seed):
    n_units, rate, duration, miss, false = 40, 8.0, 50.0, 0.15, 3.0
    spikes = spikes_of(n_units, rate, duration, seed)
    seen = observe.sorting_errors(spikes, miss_rate=miss, false_rate=false, merges=5, rng=seed)
    n = spikes.sizes["spike"]
    assert abs(int(seen["/truth/missed"].sum()) - miss * n) < FIVE * np.sqrt(n * miss * (1 - miss))
    source = seen["/truth/spike_source"].values
    expected = false * duration * (n_units - 5)
    assert abs((source < 0).sum() - expected) < FIVE * np.sqrt(expected)
    assert seen["/spikes"].sizes["unit"] == n_units - 5
    time = seen["/spikes/spike_time"].values[source < 0] / duration
    assert abs(time.mean() - 0.5) < FIVE * np.sqrt(1 / 12 / time.size)


def test_each_recorded_spike_names_its_true_unit():
    given = session(n_units=8)
    seen = observe.sorting_errors(given, miss_rate=0.3, false_rate=2.0, merges=3, rng=1)
    truth, spikes = seen["/truth"], seen["/spikes"]
    source, merged = truth["spike_source"].values, truth["merged_into"].values
    true = source >= 0
    np.testing.assert_array_equal(merged[source[true]], spikes["spike_unit"].values[true])
    whole = set(zip(truth["true_spike_time"].values, truth["true_spike_unit"].values, strict=True))
    found = set(zip(spikes["spike_time"].values[true], source[true], strict=True))
    assert found < whole
    lost = np.bincount([u for _, u in whole - found], minlength=8)
    np.testing.assert_array_equal(truth["missed"], lost)
    # A merged unit keeps the earlier one's id and coordinates.
    for true_unit, recorded in enumerate(merged):
        first = int(np.flatnonzero(merged == recorded)[0])
        assert spikes["unit"].values[recorded] == first
        assert first <= true_unit
        for name in ("x", "population"):
            assert spikes[name].values[recorded] == given["/spikes"][name].values[first]
    assert np.bincount(merged).tolist().count(2) == 3


def test_pairs_can_be_named_and_per_spike_values_stay_with_the_truth():
    spikes = nks.io.from_spike_times({"a": [0.1], "b": [0.2, 0.2], "c": [0.05]}, t_stop=1.0)
    spikes["spike_amplitude"] = ("spike", np.arange(4.0), {"units": "V"})
    spikes["waveform"] = (("unit", "sample"), np.arange(6.0).reshape(3, 2))
    seen = observe.sorting_errors(spikes, merges=[("c", "a")])
    assert seen["/spikes/unit"].values.tolist() == ["a", "b"]
    assert seen["/spikes/spike_time"].values.tolist() == [0.05, 0.1, 0.2, 0.2]
    assert seen["/truth/spike_source"].values.tolist() == [2, 0, 1, 1]
    assert seen["/truth/true_spike_amplitude"].values.tolist() == [0, 1, 2, 3]
    assert seen["/spikes/waveform"].values.tolist() == [[0, 1], [2, 3]]
    assert "spike_amplitude" not in seen["/spikes"]


def test_all_spikes_missed_and_none_there():
    seen = observe.sorting_errors(session(), miss_rate=1.0, rng=0)
    assert seen["/spikes"].sizes["spike"] == 0
    silent = nks.io.from_spike_times({"a": []}, t_stop=10.0)
    seen = observe.sorting_errors(silent, miss_rate=0.5, false_rate=5.0, rng=0)
    assert (seen["/truth/spike_source"] == -1).all()
    assert seen["/spikes"].sizes["spike"] > 0


def test_one_error_does_not_shift_another():
    base = {"miss_rate": 0.3, "rng": 5}
    one = observe.sorting_errors(session(), **base)
    other = observe.sorting_errors(session(), false_rate=3.0, merges=2, **base)
    xr.testing.assert_equal(one["/truth/missed"], other["/truth/missed"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"miss_rate": -0.1},
        {"miss_rate": 1.1},
        {"miss_rate": np.nan},
        {"false_rate": -1.0},
        {"false_rate": np.inf},
        {"merges": 4},
        {"merges": -1},
        {"merges": 1.5},
        {"merges": "ab"},
        {"merges": [(0, 99)]},
        {"merges": [(0, 1), (1, 2)]},
        {"merges": [(0, 0)]},
        {"merges": [(0, 1, 2)]},
        {"merges": [0, 1]},
        {"rng": -1},
    ],
    ids=str,
)
def test_sorting_arguments_out_of_range(wrong):
    with pytest.raises(ParameterError, match=r"Expected .*got"):
        observe.sorting_errors(session(), **wrong)


# -- subsampling --------------------------------------------------------------------------------


def test_the_observed_block_and_the_whole():
    given = session()
    seen = observe.subsample(given, units=[4, 1, 2])
    kept = [1, 2, 4]
    old, new = given["/truth"].to_dataset(), seen["/truth"].to_dataset()
    assert seen["/spikes/unit"].values.tolist() == kept
    np.testing.assert_array_equal(new["weight"], old["weight"].values[np.ix_(kept, kept)])
    np.testing.assert_array_equal(new["gain"], old["gain"].values[:, kept])
    np.testing.assert_array_equal(new["community"], old["community"].values[kept])
    assert new["weight_full"].dims == ("target_full", "source_full")
    for name in ("weight", "gain", "community", "unit", "synapse_source", "synapse_weight"):
        np.testing.assert_array_equal(new[f"{name}_full"], old[name])
        assert new[f"{name}_full"].attrs == old[name].attrs
    xr.testing.assert_identical(new["state"], old["state"])
    dense = np.zeros((3, 3))
    dense[new["synapse_target"], new["synapse_source"]] = new["synapse_weight"]
    np.testing.assert_array_equal(dense, new["weight"])
    spikes = given["/spikes"].to_dataset()
    for position, unit in enumerate(kept):
        mine = seen["/spikes/spike_time"].values[seen["/spikes/spike_unit"].values == position]
        np.testing.assert_array_equal(
            mine, spikes["spike_time"].values[spikes["spike_unit"].values == unit]
        )
    np.testing.assert_array_equal(new["spike_time_full"], spikes["spike_time"])
    np.testing.assert_array_equal(new["spike_unit_full"], spikes["spike_unit"])
    np.testing.assert_array_equal(new["x_full"], spikes["x"])
    assert seen["/voltage/unit"].values.tolist() == [1, 2]
    np.testing.assert_array_equal(seen["/voltage/voltage"], given["/voltage/voltage"][:, :2])


def test_a_second_subsample_keeps_the_first_whole():
    given = session()
    once = observe.subsample(given, 4, rng=0)
    twice = observe.subsample(once, 2, rng=0)
    np.testing.assert_array_equal(twice["/truth/weight_full"], given["/truth/weight"])
    assert twice["/truth/weight"].shape == (2, 2)
    ids = twice["/spikes/unit"].values
    np.testing.assert_array_equal(
        twice["/truth/weight"], given["/truth/weight"].sel(target=ids, source=ids)
    )
    assert twice["/truth"].sizes["unit_full"] == 6


def test_every_unit_is_drawn_alike(seed):
    spikes = spikes_of(5, 1.0, 1.0, 0)
    n, number = 400, np.zeros(5)
    for k in range(n):
        number[observe.subsample(spikes, 2, rng=seed * n + k)["/spikes/unit"].values] += 1
    assert (np.abs(number - 0.4 * n) < FIVE * np.sqrt(n * 0.4 * 0.6)).all()


def test_keeping_all_units_changes_nothing_else():
    given = session()
    seen = observe.subsample(given, 6, rng=0)
    xr.testing.assert_identical(
        seen["/truth"].to_dataset()[list(given["/truth"].data_vars)], given["/truth"].to_dataset()
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "neither"),
        ({"n_units": 2, "units": [0]}, "both"),
        ({"n_units": 0}, "n_units to be"),
        ({"n_units": 7}, "<= 6"),
        ({"n_units": 2.5}, "n_units to be"),
        ({"units": []}, "got none"),
        ({"units": [0, 77]}, "77"),
        ({"units": [0, 0]}, "once"),
    ],
    ids=str,
)
def test_subsample_arguments_out_of_range(wrong, says):
    with pytest.raises(ParameterError, match=says):
        observe.subsample(session(), **wrong)


# -- sensors ------------------------------------------------------------------------------------


def dipoles(seed: int, number: int = 20):
    """Sensors outside and dipoles inside a head, in all directions."""
    rng = np.random.default_rng(seed)
    direction = _observe.random_directions(number, rng)
    source = _observe.random_directions(number, rng) * rng.uniform(0.01, 0.07, (number, 1))
    sensor = _observe.random_directions(30, rng) * rng.uniform(0.1, 0.13, (30, 1))
    return sensor, source, direction


def test_radial_dipoles_are_silent_outside_the_sphere(seed):
    sensor, source, tangential = dipoles(seed)
    radial = source / np.linalg.norm(source, axis=1, keepdims=True)
    silent = np.abs(_observe.sphere_field(sensor, source, radial)).max()
    heard = np.abs(_observe.sphere_field(sensor, source, tangential)).max()
    assert silent < 1e-13 * heard  # rounding of the cross product
    centre = np.zeros_like(source)
    assert not _observe.sphere_field(sensor, centre, tangential).any()


def test_radial_component_is_that_of_the_dipole_alone(seed):
    """Volume currents in a sphere add nothing to the radial field: Biot and Savart suffice."""
    sensor, source, direction = dipoles(seed)
    away = sensor[:, None] - source
    primary = 1e-7 * np.cross(direction, away) / np.linalg.norm(away, axis=2)[..., None] ** 3
    radial = sensor[:, None] / np.linalg.norm(sensor, axis=1)[:, None, None]
    found = (_observe.sphere_field(sensor, source, direction) * radial).sum(axis=2)
    expected = (primary * radial).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_field_outside_has_neither_curl_nor_divergence(seed):
    sensor, source, direction = dipoles(seed, 1)
    h = 1e-5
    jacobian = np.stack(
        [
            (
                _observe.sphere_field(sensor + step, source, direction)
                - _observe.sphere_field(sensor - step, source, direction)
            )[:, 0]
            / (2 * h)
            for step in h * np.eye(3)
        ],
        axis=2,
    )  # (sensor, component, derivative)
    # Central differences are wrong by h^2/6 of the third derivative: (h / distance)^2, with the
    # distance at least 0.03 m, times a number of order 10; rounding adds 1e-16 / (h / distance).
    size = np.abs(jacobian).max(axis=(1, 2))
    assert (np.abs(np.trace(jacobian, axis1=1, axis2=2)) < 1e-5 * size).all()
    assert (np.abs(jacobian - jacobian.transpose(0, 2, 1)).max(axis=(1, 2)) < 1e-5 * size).all()


def test_potentials_fall_with_distance_and_a_dipole_is_two_monopoles(seed):
    distance = np.array([0.01, 0.02, 0.08])
    contact = distance[:, None] * np.array([1.0, 0.0, 0.0])
    origin, along = np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]])
    one = _observe.monopole_potential(contact, origin, 0.25)[:, 0]
    np.testing.assert_allclose(one, 1 / (np.pi * distance), rtol=1e-15)
    two = _observe.dipole_potential(contact, origin, along, 0.25)[:, 0]
    np.testing.assert_allclose(two, 1 / (np.pi * distance**2), rtol=1e-15)
    sensor, source, direction = dipoles(seed)
    h = 1e-6
    difference = (
        _observe.monopole_potential(sensor, source + h * direction, 0.33)
        - _observe.monopole_potential(sensor, source - h * direction, 0.33)
    ) / (2 * h)
    found = _observe.dipole_potential(sensor, source, direction, 0.33)
    # As above: (h / 0.03)^2 of truncation, 1e-16 / (h / 0.2) of rounding.
    np.testing.assert_allclose(found, difference, rtol=0, atol=1e-8 * np.abs(found).max())


def test_helmet_shaft_and_random_points(seed):
    points = _observe.helmet(200, 0.12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.12)
    assert points[:, 2].min() > 0
    nearest = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(200)
    # Evenly spread points are about sqrt(area each) apart; the spiral stays within 2 of that.
    assert nearest.min() > 0.5 * 0.12 * np.sqrt(2 * np.pi / 200)
    row = _observe.shaft(5, np.array([1.0, 2, 3]), np.array([0, 0, -0.5]))
    np.testing.assert_allclose(row[:, 2], [3, 2.5, 2, 1.5, 1])
    rng = np.random.default_rng(seed)
    inside = _observe.random_positions(4000, 0.5, 1.0, rng)
    radius = np.linalg.norm(inside, axis=1)
    assert (radius >= 0.5).all()
    assert (radius <= 1).all()
    share = (0.75**3 - 0.5**3) / (1 - 0.5**3)
    assert abs((radius < 0.75).mean() - share) < FIVE * np.sqrt(share * (1 - share) / 4000)
    assert (inside[:, 2] >= 0).all()
    direction = _observe.random_directions(4000, rng)
    assert (np.abs(direction.mean(axis=0)) < FIVE / np.sqrt(3 * 4000)).all()


@pytest.mark.parametrize("kind", ["seeg", "meg"])
def test_signals_are_the_leadfield_times_the_current(kind):
    given = session()
    seen = observe.sensors(given, 16, kind=kind, rng=2)
    signal, truth = seen["/signal"].to_dataset(), seen["/truth"].to_dataset()
    expected = given["/current/synaptic_current"].values @ truth["leadfield"].values.T
    np.testing.assert_allclose(signal["signal"], expected, rtol=1e-12)
    unit = {"seeg": "V", "meg": "T"}[kind]
    assert signal["signal"].attrs["units"] == unit
    assert set(signal["channel_unit"].values.tolist()) == {unit}
    assert truth["leadfield"].attrs["units"] == f"{unit}/pA"
    assert truth["leadfield"].dims == ("channel", "population")
    sensor = np.stack([signal[a] for a in "xyz"], axis=1)
    place = np.stack([truth[f"population_{a}"] for a in "xyz"], axis=1)
    direction = np.stack([truth[f"orientation_{a}"] for a in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1)
    if kind == "seeg":
        leadfield = _observe.dipole_potential(sensor, place, direction, 0.33)
    else:
        radial = sensor / np.linalg.norm(sensor, axis=1, keepdims=True)
        field = _observe.sphere_field(sensor, place, direction)
        leadfield = np.einsum("cpk,ck->cp", field, radial)
    np.testing.assert_allclose(truth["leadfield"], 1e-16 * leadfield, rtol=1e-12)
    np.testing.assert_array_equal(signal["time"], given["/current/time"])


def test_both_kinds_see_the_same_sources():
    seeg, meg = (observe.sensors(session(), 3, kind=k, rng=1) for k in ("seeg", "meg"))
    for name in ("population_x", "orientation_z"):
        xr.testing.assert_equal(seeg["/truth"][name], meg["/truth"][name])


def test_given_geometry_scale_and_conductivity():
    contacts = [[0.0, 0.0, 0.01], [0.0, 0.0, 0.03]]
    options = {
        "source_positions": [[0, 0, 0], [0, 0, -0.01]],
        "source_orientations": [[0, 0, 2.0], [5.0, 0, 0]],
    }
    seen = observe.sensors(session(), contacts, scale=2.0, conductivity=0.5, **options)
    expected = np.array([[2 / (2 * np.pi * d**2), 0.0] for d in (0.01, 0.03)])
    np.testing.assert_allclose(seen["/truth/leadfield"], expected, rtol=1e-14)
    point = observe.sensors(
        session(), contacts, source="monopole", source_positions=np.zeros((2, 3))
    )
    expected = 1e-12 / (4 * np.pi * 0.33 * np.array([[0.01, 0.01], [0.03, 0.03]]))
    np.testing.assert_allclose(point["/truth/leadfield"], expected, rtol=1e-14)
    assert "orientation_x" not in point["/truth"]


def test_sensor_noise_and_sampling(seed):
    given = session()
    clean = observe.sensors(given, 40, rng=seed)["/signal/signal"].values
    seen = observe.sensors(given, 40, noise=3e-6, rng=seed)["/signal/signal"].values
    error = (seen - clean) / 3e-6
    assert abs(error.mean()) < FIVE / np.sqrt(error.size)
    assert abs((error**2).mean() - 1) < FIVE * np.sqrt(2 / error.size)
    slow = observe.sensors(given, 40, sampling_interval=7e-3, rng=seed)["/signal"]
    assert slow.sizes["time"] == 28
    np.testing.assert_allclose(slow["time"], (np.arange(28) * 7 + 3) * 1e-3)
    np.testing.assert_allclose(
        slow["signal"], clean[:196].reshape(28, 7, 40).mean(axis=1), rtol=1e-9, atol=1e-18
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "eeg"}, "one of 'seeg', 'meg'"),
        ({"source": "quadrupole"}, "one of 'dipole'"),
        ({"kind": "meg", "source": "monopole"}, "no magnetic field"),
        ({"positions": 0}, "positions to be"),
        ({"positions": 2.5}, "positions to be"),
        ({"positions": 50}, "<= 43"),
        ({"positions": "many"}, "positions to be"),
        ({"positions": [[0.0, 0.0]]}, "three finite numbers"),
        ({"positions": [[0.0, 0.0, np.nan]]}, "three finite numbers"),
        ({"positions": np.empty((0, 3))}, "at least one row"),
        ({"source_positions": [[0, 0, 0]]}, "2 rows"),
        ({"source_orientations": [[0, 0, 0], [1, 0, 0]]}, "population 0"),
        ({"scale": -1.0}, "scale"),
        ({"scale": np.nan}, "scale"),
        ({"conductivity": 0.0}, "conductivity"),
        ({"noise": -1.0}, "noise"),
        ({"sampling_interval": 0.0}, "sampling_interval"),
        ({"sampling_interval": 1.5e-3}, "whole multiple"),
        ({"sampling_interval": 1e-4}, "whole multiple"),
        ({"sampling_interval": 5.0}, "no longer than"),
        ({"positions": [[0, 0, 0.05]], "source_positions": [[0, 0, 0.05]] * 2}, "move one of them"),
        (
            {"kind": "meg", "positions": [[0, 0, 0.05]], "source_positions": [[0, 0, 0.06]] * 2},
            "out",
        ),
    ],
    ids=str,
)
def test_sensor_arguments_out_of_range(wrong, says):
    positions = wrong.pop("positions", 4) if "positions" in wrong else 4
    options = {k: v for k, v in wrong.items() if k != "positions"}
    with pytest.raises(ParameterError, match=rf"(?s)Expected .*({says})"):
        observe.sensors(session(), positions, **options)


def test_sensors_need_a_recorded_current():
    given = session()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    current = groups["/current"]
    array = current["synaptic_current"]
    for wrong, says in (
        (xr.Dataset(), "record_current=True"),
        (current.transpose(), "transpose"),
        (current.isel(population=slice(0)), "at least one of each"),
        (current.assign(synaptic_current=array.drop_attrs()), r"attrs\['units'\]"),
        (current.drop_vars("time"), "coordinate 'time'"),
        (current.assign(synaptic_current=array * np.nan), "finite|attrs"),
        (current.assign(synaptic_current=array.copy(data=array * np.nan)), "finite"),
    ):
        with pytest.raises(SchemaError, match=says):
            observe.sensors(xr.DataTree.from_dict(groups | {"/current": wrong}), 4)
    bare = current.assign(synaptic_current=array.assign_attrs(units="1"))
    tree = xr.DataTree.from_dict(groups | {"/current": bare})
    with pytest.raises(
        ParameterError, match="A m one 1 stands for; the default for one pA is 1e-16"
    ):
        observe.sensors(tree, 4)
    seen = observe.sensors(tree, 4, scale=1e-12)
    assert seen["/truth/leadfield"].attrs["units"] == "V/1"


def test_a_millivolt_of_drive_counts_as_ten_picoamperes():
    given = session()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    array = groups["/current"]["synaptic_current"]
    milli = groups["/current"].assign(synaptic_current=(array / 10).assign_attrs(units="mV"))
    seen = observe.sensors(given, 4, rng=0)["/signal/signal"].values
    same = observe.sensors(xr.DataTree.from_dict(groups | {"/current": milli}), 4, rng=0)
    np.testing.assert_allclose(same["/signal/signal"].values, seen, rtol=1e-12)


def test_sensors_see_the_input_of_a_network_of_pulses():
    network = nks.snn.hub_network(20, rng=0)
    for interval in (1e-4, 1e-3):
        seen = nks.snn.simulate(
            network, 1.0, rng=0, record_current=True, sampling_interval=interval, progress=False
        )
        mean = seen["current"]["synaptic_current"].mean("time").values
        wired = network.synapses
        step = np.rint(seen["spikes"]["spike_time"].values / network.dt)
        wanted = dict.fromkeys(network.populations, 0.0)
        for k in range(wired.source.size):
            own = step[seen["spikes"]["spike_unit"].values == wired.source[k]]
            arrived = (own + np.rint(wired.delay[k] / network.dt) < 1.0 / network.dt).sum()
            wanted[network.population[wired.target[k]]] += arrived * wired.weight[k]
        tau = network.neuron.tau_membrane
        np.testing.assert_allclose(mean, np.array(list(wanted.values())) * tau, rtol=1e-9)
    assert observe.sensors(seen, 4, rng=0)["/signal/signal"].attrs["units"] == "V"


def test_a_truth_with_populations_of_its_own():
    given = session()
    truth = given["/truth"].to_dataset()
    groups = {n.path: n.to_dataset(inherit=False) for n in given.subtree}
    per_unit = truth.assign_coords(population=("unit", list("eeiiii")))
    with pytest.raises(SchemaError, match=r"'population'.*rename"):
        observe.sensors(xr.DataTree.from_dict(groups | {"/truth": per_unit}), 4)
    per_population = truth.assign(rate=("population", [1.0, 2.0]))
    seen = observe.sensors(xr.DataTree.from_dict(groups | {"/truth": per_population}), 4)
    assert seen["/truth/rate"].values.tolist() == [1.0, 2.0]


# -- the schema of what they give ---------------------------------------------------------------


@given(calcium_datasets())
@settings(deadline=None)
def test_strategy_of_calcium_follows_the_schema(calcium):
    assert schema.check(calcium, "calcium") is calcium


@given(signal_datasets())
@settings(deadline=None)
def test_strategy_of_signals_follows_the_schema(signal):
    assert schema.check(signal, "signal") is signal


def calcium_and_signal() -> tuple[xr.Dataset, xr.Dataset]:
    seen = observe.sensors(observe.calcium(session(), rng=0), 4, rng=0)
    return seen["/calcium"].to_dataset(), seen["/signal"].to_dataset()


def test_sessions_give_their_recordings():
    seen = observe.calcium(session(), rng=0)
    assert schema.select(seen, "calcium").equals(seen["/calcium"].to_dataset())
    with pytest.raises(SchemaError, match=r"/signal group.*observe\.sensors"):
        schema.select(seen, "signal")


def test_what_the_schema_refuses():
    calcium, signal = calcium_and_signal()
    time = calcium["time"].values
    for wrong, kind, says in (
        (calcium.drop_vars("time"), "calcium", "coordinate 'time'"),
        (calcium.assign_coords(time=time), "calcium", "'units'"),
        (calcium.assign_coords(time=("time", time[::-1], {"units": "s"})), "calcium", "rising"),
        (calcium.assign_coords(time=("time", time * 0, {"units": "s"})), "calcium", "index 1"),
        (calcium.assign_coords(time=("time", time * np.nan, {"units": "s"})), "calcium", "index 0"),
        (calcium.drop_vars("unit"), "calcium", "coordinate 'unit'"),
        (calcium.transpose(), "calcium", "transpose"),
        (calcium.astype(int), "calcium", "dtype"),
        (calcium.rename(fluorescence="flourescence"), "calcium", "Did you mean"),
        (calcium.assign(dff=("unit", np.zeros(6))), "calcium", "'dff'"),
        (signal.drop_vars("channel"), "signal", "one name per channel"),
        (signal.assign_coords(channel=list("aabc")), "signal", r"\['a'\] more than once"),
        (signal.drop_vars("coord_frame"), "signal", "measured in"),
        (signal.drop_vars("channel_unit"), "signal", "channel_unit"),
        (signal.assign_coords(x=signal["x"].assign_attrs(units="mm")), "signal", "'mm'"),
        (signal.assign_coords(bad=signal["bad"].astype(int)), "signal", "'bad'"),
        (signal.drop_vars("time"), "signal", "coordinate 'time'"),
    ):
        with pytest.raises(NeurokitError, match=says):
            schema.check(wrong, kind)
