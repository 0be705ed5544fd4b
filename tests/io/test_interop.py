"""pynapple, neo and nemos: what they can hold arrives, and what they cannot is named."""

from __future__ import annotations

import importlib.util
import sys
import warnings

import neo
import numpy as np
import pytest
import quantities as pq
import xarray as xr
from hypothesis import HealthCheck, given, settings
from strategies import session_trees, spike_datasets

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock, even_time
from neurokit_sdr.core.errors import DataWarning, MissingDependencyError, SchemaError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    nap = pytest.importorskip("pynapple")

NANOSECOND = 1e-9  # pynapple rounds to it
QUIET = pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")


@pytest.fixture
def spikes() -> xr.Dataset:
    made = nks.io.from_spike_times({3: [0.1, 0.4], 8: [0.2], 9: []}, t_stop=0.5)
    return made.assign_coords(
        brain_area=("unit", ["CA1", "CA3", "CA1"]), rate=("unit", [1.0, 2.0, 3.0])
    )


def trials(start: list, stop: list, **columns: list) -> xr.Dataset:
    return xr.Dataset(
        {
            "start_time": ("trial", np.array(start, dtype=float), {"units": "s"}),
            "stop_time": ("trial", np.array(stop, dtype=float), {"units": "s"}),
            **{n: ("trial", v) for n, v in columns.items()},
        }
    )


# -- pynapple ---------------------------------------------------------------------------------


def test_spikes_become_a_group_with_metadata(spikes):
    group = nks.io.to_pynapple(spikes)
    assert list(group.keys()) == [3, 8, 9]
    assert group[3].t.tolist() == [0.1, 0.4]
    assert len(group[9]) == 0
    assert group.metadata["brain_area"].tolist() == ["CA1", "CA3", "CA1"]
    assert group.metadata["rate_column"].tolist() == [1.0, 2.0, 3.0]
    assert group.time_support.start.tolist() == [0.0]
    assert group.time_support.end.tolist() == [0.5]
    back = nks.io.from_pynapple(group)
    xr.testing.assert_identical(back.drop_attrs(), spikes.rename(rate="rate_column").drop_attrs())
    assert (back.attrs["t_start"], back.attrs["t_stop"]) == (0.0, 0.5)


@pytest.mark.parametrize("ids", [["b", "a"], [7, 2], ["µ1", "7"]])
def test_ids_that_cannot_be_keys_are_kept(ids):
    spikes = nks.io.from_spike_times({ids[0]: [0.1], ids[1]: [0.2, 0.3]}, t_stop=1.0)
    group = nks.io.to_pynapple(spikes)
    assert list(group.keys()) == [0, 1]
    assert group.metadata["unit"].tolist() == ids
    xr.testing.assert_identical(nks.io.from_pynapple(group).drop_attrs(), spikes.drop_attrs())


@QUIET
@given(spikes=spike_datasets())
@settings(deadline=None, max_examples=25)
def test_spikes_survive_pynapple_to_a_nanosecond(spikes):
    back = nks.io.from_pynapple(nks.io.to_pynapple(spikes))
    assert np.array_equal(back["unit"].values, spikes["unit"].values)
    assert np.array_equal(back["spike_unit"].values, spikes["spike_unit"].values)
    difference = back["spike_time"].values - spikes["spike_time"].values
    assert np.abs(difference).max(initial=0) <= NANOSECOND
    assert back.attrs["t_start"] == pytest.approx(spikes.attrs["t_start"], abs=NANOSECOND)


def test_what_pynapple_cannot_hold_is_named_once(spikes):
    data = spikes.assign(amplitude=("spike", [1.0, 2.0, 3.0])).assign_attrs(lab="ours")
    data = data.assign_coords(depth=("unit", [0.1, 0.2, 0.3], {"units": "m"}))
    with pytest.warns(DataWarning) as caught:
        nks.io.to_pynapple(data)
    assert len(caught) == 1
    text = str(caught[0].message)
    for part in ("pynapple", "amplitude", "attributes lab", "unit m of depth"):
        assert part in text


def test_intervals_come_back_with_their_columns():
    data = trials([0, 2], [1, 3], reward=[True, False], side=["left", "right"])
    made = nks.io.to_pynapple(data)
    assert made.start.tolist() == [0, 2]
    assert made.end.tolist() == [1, 3]
    xr.testing.assert_identical(nks.io.from_pynapple(made).rename(epoch="trial"), data)


@pytest.mark.parametrize(
    ("start", "stop", "says"),
    [
        ([0, 1], [1, 2], "1 of 2 intervals, which touch"),
        ([0, 1], [2, 3], "1 of 2 intervals, which overlap"),
        ([0, 1], [0, 2], "1 of 2 intervals, which have no duration"),
    ],
)
def test_intervals_that_pynapple_changes_are_named(start, stop, says):
    with pytest.warns(DataWarning, match=says):
        nks.io.to_pynapple(trials(start, stop, side=["left", "right"]))


def test_events_are_grouped_by_label():
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.5, 0.1, 0.9], {"units": "s"}),
            "event_duration": ("event", np.zeros(3), {"units": "s"}),
            "event_label": ("event", ["go", "cue", "go"]),
        }
    )
    group = nks.io.to_pynapple(events)
    assert group.metadata["event_label"].tolist() == ["go", "cue"]
    assert group[0].t.tolist() == [0.5, 0.9]
    with pytest.warns(DataWarning, match="event_duration"):
        nks.io.to_pynapple(events.assign(event_duration=("event", [0.1, 0, 0])))
    assert len(nks.io.to_pynapple(events.isel(event=slice(0)))) == 0


def test_series_of_every_shape():
    time = ("time", [0.0, 0.1, 0.2], {"units": "s"})
    data = xr.Dataset(
        {
            "speed": ("time", [1.0, 2.0, 3.0]),
            "position": (("time", "space"), np.eye(3, 2, dtype=np.float32)),
            "video": (("time", "y", "x"), np.zeros((3, 2, 2))),
        },
        coords={"time": time, "space": ["x", "y"], "calibrated": ("space", [True, False])},
    )
    with pytest.warns(DataWarning, match="labels of y, x of video"):
        made = nks.io.to_pynapple(data)
    assert isinstance(made["speed"], nap.Tsd)
    assert list(made["position"].columns) == ["x", "y"]
    assert made["position"].metadata["calibrated"].tolist() == [True, False]
    assert isinstance(made["video"], nap.TsdTensor)
    back = nks.io.from_pynapple(made["position"], name="position", dim="space")
    xr.testing.assert_identical(back, data[["position"]])
    xr.testing.assert_identical(
        nks.io.from_pynapple(made["speed"], name="speed"),
        data[["speed"]],
    )


def test_support_of_several_intervals_is_kept():
    support = nap.IntervalSet([0, 2], [1, 3])
    trains = {k: nap.Ts([t], time_support=support) for k, t in enumerate((0.5, 2.5))}
    group = nap.TsGroup(trains, time_support=support)
    spikes = nks.io.from_pynapple(group)
    assert spikes["support_start"].values.tolist() == [0, 2]
    assert spikes["support_stop"].values.tolist() == [1, 3]
    again = nks.io.to_pynapple(spikes)
    assert again.time_support.start.tolist() == [0, 2]
    frame = nap.TsdFrame(t=[0.5, 2.5], d=np.eye(2), time_support=support)
    again = nks.io.to_pynapple(nks.io.from_pynapple(frame))
    assert again.time_support.end.tolist() == [1, 3]


def test_a_session_becomes_a_dict_and_back(spikes):
    session = xr.DataTree.from_dict({"/spikes": spikes, "/trials": trials([0], [0.5])})
    made = nks.io.to_pynapple(session)
    assert list(made) == ["spikes", "trials"]
    back = nks.io.from_pynapple(made)
    xr.testing.assert_identical(back["/trials"].to_dataset(), session["/trials"].to_dataset())
    assert nks.bin_spikes(back, 0.1)["count"].values.sum() == 3


def test_what_is_none_of_pynapple_or_has_no_time_is_refused():
    with pytest.raises(SchemaError, match=r"TsGroup.*got int"):
        nks.io.from_pynapple(3)
    with pytest.raises(SchemaError, match="spikes, intervals, events or variables over time"):
        nks.io.to_pynapple(xr.Dataset({"weight": ("unit", [1.0])}))


def test_without_pynapple_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(MissingDependencyError, match=r"neurokit-sdr\[pynapple\]"):
        nks.io.from_pynapple(3)


# -- nemos ------------------------------------------------------------------------------------


def test_nemos_gets_counts_with_each_trial_as_an_interval():
    count = np.arange(12).reshape(2, 3, 2)
    counts = xr.Dataset(
        {
            "count": (("trial", "time", "unit"), count, {"units": "1"}),
            "trial_length": ("trial", [3, 2], {"units": "1"}),
            "observed": (("trial", "time"), np.array([[1, 0, 1], [1, 1, 1]], dtype=bool)),
        },
        coords={"time": ("time", [0.05, 0.15, 0.25], {"units": "s"}), "unit": ["a", "b"]},
        attrs={"bin_size": 0.1},
    )
    frame = nks.io.to_nemos(counts)
    assert frame.values.dtype == np.float64
    assert frame.values.tolist() == [[0, 1], [4, 5], [6, 7], [8, 9]]
    assert np.allclose(frame.t, [0.05, 0.25, 0.45, 0.55])
    assert np.allclose(frame.time_support.start, [0.0, 0.2, 0.4])
    assert np.allclose(frame.time_support.end, [0.1, 0.3, 0.6])
    assert list(frame.columns) == ["a", "b"]


def test_nemos_refuses_what_are_no_counts(spikes):
    with pytest.raises(SchemaError, match="'count'"):
        nks.io.to_nemos(spikes)
    counts = nks.bin_spikes(spikes, 0.1)
    nothing = counts.assign(observed=("time", np.zeros(counts.sizes["time"], dtype=bool)))
    with pytest.raises(SchemaError, match="at least one bin"):
        nks.io.to_nemos(nothing)


# -- neo --------------------------------------------------------------------------------------


@QUIET
@given(tree=session_trees())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_sessions_come_back_from_neo(tree):
    back = nks.io.from_neo(nks.io.to_neo(tree))
    assert back.attrs == tree.attrs
    for node in tree.subtree:
        if node.path == "/" or not node.variables:
            continue
        ours, theirs = (t[node.path].to_dataset(inherit=False) for t in (tree, back))
        lost = set(ours.variables) - set(theirs.variables)
        for name in theirs.variables:
            assert theirs[name].dtype == ours[name].dtype
        xr.testing.assert_identical(theirs, ours.drop_vars(lost))
        assert all(_no_place_in_neo(ours[n], ours) for n in lost), lost


def _no_place_in_neo(array: xr.DataArray, group: xr.Dataset) -> bool:
    """Signals in trials, arrays of several dimensions without time, what labels only those."""
    if "trial" in group.dims and "signal" in group:
        return True
    along = {d for v in group.data_vars.values() if v.dims[:1] == ("time",) for d in v.dims}
    return array.dims[:1] != ("time",) and (array.ndim != 1 or array.dims[0] not in along)


def test_neo_gets_units_times_and_labels(spikes):
    signal = xr.Dataset(
        {"signal": (("time", "channel"), np.arange(6.0).reshape(3, 2), {"long_name": "LFP"})},
        coords=even_time(3, 500.0, 0.1),
    ).assign_coords(
        channel=["A1", "M1"],
        channel_type=("channel", ["seeg", "mag"]),
        channel_unit=("channel", ["V", "T"]),
    )
    session = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"subject_id": "m1"}),
            "/spikes": spikes,
            "/signal": signal,
            "/trials": trials([0, 0.2], [0.1, 0.7], side=["left", "right"]),
        }
    )
    block = nks.io.to_neo(session)
    segment = block.segments[0]
    assert block.annotations["subject_id"] == "m1"
    train = segment.spiketrains[0]
    assert (train.name, train.annotations["brain_area"]) == ("3", "CA1")
    assert train.rescale("ms").magnitude.tolist() == [100.0, 400.0]
    assert float(train.t_stop) == 0.5
    volts, tesla = segment.analogsignals
    assert (volts.dimensionality.string, tesla.dimensionality.string) == ("V", "T")
    assert float(volts.sampling_rate) == 500.0
    assert float(volts.t_start) == 0.1
    assert volts.array_annotations["channel"].tolist() == ["A1"]
    assert segment.epochs[0].labels.tolist() == ["left", "right"]
    back = nks.io.from_neo(block)
    assert even_clock(back["/signal"].to_dataset()) == (0.1, 500.0)
    for node in session.subtree:
        xr.testing.assert_identical(
            back[node.path].to_dataset(inherit=False), node.to_dataset(inherit=False)
        )


def test_what_neo_cannot_hold_is_named():
    data = xr.DataTree.from_dict({"/truth": xr.Dataset({"weight": (("a", "b"), np.eye(2))})})
    with pytest.warns(DataWarning, match=r"truth: weight\('a', 'b'\)"):
        nks.io.to_neo(data)


def test_blocks_of_others_are_read():
    segment = neo.Segment(name="run")
    segment.spiketrains.append(
        neo.SpikeTrain([100.0, 250.0], units="ms", t_stop=1000.0, name="u1", area="V1")
    )
    segment.analogsignals.append(
        neo.AnalogSignal(
            np.array([[1.0, 2.0], [3.0, 4.0]]),
            units="uV",
            sampling_rate=1 * pq.kHz,
            t_start=5 * pq.ms,
            name="lfp",
            array_annotations={"channel_names": ["a", "b"], "depth": [1, 2]},
        )
    )
    segment.irregularlysampledsignals.append(
        neo.IrregularlySampledSignal([0.0, 0.1, 0.5], [1, 2, 3], units="m/s", time_units="s")
    )
    segment.events.append(neo.Event([0.3] * pq.s, labels=["go"], name="cue"))
    session = nks.io.from_neo(segment)
    assert session["/spikes/spike_time"].values.tolist() == [0.1, 0.25]
    assert session["/spikes/area"].values.tolist() == ["V1"]
    lfp = session["/signal/lfp"].to_dataset()
    assert lfp["signal"].values.tolist() == [[1e-6, 2e-6], [3e-6, 4e-6]]
    assert lfp["channel"].values.tolist() == ["a", "b"]
    assert lfp["channel_unit"].values.tolist() == ["V", "V"]
    assert lfp["depth"].values.tolist() == [1, 2]
    assert even_clock(lfp) == (0.005, 1000.0)
    assert session["/signal/signal1/channel_unit"].values.tolist() == ["m/s"]
    assert session["/signal/signal1/time"].values.tolist() == [0.0, 0.1, 0.5]
    assert session["/events/event_label"].values.tolist() == ["go"]


def test_signals_alone_and_nothing_at_all():
    segment = neo.Segment()
    with pytest.raises(SchemaError, match="found none"):
        nks.io.from_neo(segment)
    with pytest.raises(SchemaError, match=r"neo\.Block or neo\.Segment, got list"):
        nks.io.from_neo([segment])
    segment.analogsignals.append(neo.AnalogSignal([[1.0]], units="V", sampling_rate=1 * pq.Hz))
    assert nks.io.from_neo(segment)["/signal/signal"].values.tolist() == [[1.0]]


def test_mne_is_there_too():
    if importlib.util.find_spec("mne") is None:
        pytest.skip("mne is not installed")
    assert callable(nks.io.to_mne)
    assert callable(nks.io.from_mne)


def test_pynapple_holds_no_signal_without_channels():
    pytest.importorskip("pynapple")
    empty = xr.Dataset(
        {"signal": (("time", "channel"), np.zeros((3, 0)), {"units": "V"})},
        coords={"time": ("time", np.arange(3.0), {"units": "s"})},
    )
    with pytest.raises(SchemaError, match="Expected at least one channel of signal, got none"):
        nks.io.to_pynapple(empty)
    with pytest.raises(SchemaError, match="Expected at least one channel of signal, got none"):
        nks.io.to_pynapple(xr.DataTree.from_dict({"/signal": empty}))
