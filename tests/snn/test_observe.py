"""What all instruments have in common, and the schema of what they give."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from strategies import calcium_datasets, signal_datasets, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import NeurokitError, SchemaError
from neurokit_sdr.snn import observe
from tests.snn.observed import CALLS, session, spikes_of


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
