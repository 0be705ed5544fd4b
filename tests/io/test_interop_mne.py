"""MNE in memory, and epochs: both ways without loss, and what cannot be kept is named."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from mne_files import assert_same, made_raw, simple

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError
from neurokit_sdr.io.interop.mne import from_mne, to_mne

mne = pytest.importorskip("mne")


# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


@pytest.fixture
def epochs_file(tmp_path: Path) -> Path:
    import pandas as pd

    raw = made_raw(samples=6000)
    events = np.stack([np.arange(1300, 6300, 500), np.zeros(10), np.arange(10) % 2 + 1], axis=1)
    metadata = pd.DataFrame(
        {"reaction_time": np.arange(10) / 7, "hand": ["left", "right"] * 5, "block": range(10)}
    )
    epochs = mne.Epochs(
        raw,
        events.astype(int),
        {"go": 1, "stop": 2},
        -0.1,
        0.3,
        baseline=(None, 0),
        metadata=metadata,
        preload=True,
        picks="all",
        verbose="ERROR",
    )
    path = tmp_path / "made-epo.fif"
    epochs.save(path, fmt="double", verbose="ERROR")
    return path


def test_epochs_keep_their_trials(epochs_file):
    session = nks.io.read_meg(epochs_file)
    theirs = mne.read_epochs(epochs_file, proj=False, verbose="ERROR")
    signal = schema.check(session["signal"].to_dataset(), "signal")
    assert signal["signal"].dims == ("trial", "time", "channel")
    values = theirs.get_data(verbose="ERROR").transpose(0, 2, 1)
    assert signal["signal"].variable._in_memory is False
    assert np.array_equal(signal["signal"].values, values)
    assert np.array_equal(signal["trial"].values, theirs.selection)
    # The first event overlaps the annotation BAD_jump.
    assert signal.attrs["n_dropped"] == 10 - len(theirs) > 0
    assert np.array_equal(signal["event_sample"].values, theirs.events[:, 0])
    assert np.array_equal(signal["event_value"].values, theirs.events[:, 2])
    assert set(signal["event_label"].values) == {"go", "stop"}
    assert np.array_equal(signal["hand"].values, theirs.metadata["hand"])
    assert np.array_equal(signal["reaction_time"].values, theirs.metadata["reaction_time"])
    assert (signal.attrs["baseline_start"], signal.attrs["baseline_stop"]) == theirs.baseline
    assert np.abs(signal["time"].values - theirs.times).max() < 4 * np.finfo(float).eps
    for key in (
        (2, slice(None), slice(None)),
        (slice(1, 7, 3), slice(5, 50, 4), [3, 1]),
        ([0, 4], 7, 2),
        (slice(0, 0), slice(None), slice(None)),
    ):
        assert np.array_equal(
            signal["signal"][key].values, xr.Variable(signal["signal"].dims, values)[key]
        )
    reasons = session["drop_log/reason"].values
    assert [json.loads(r) if r else [] for r in reasons] == [list(r) for r in theirs.drop_log]


def test_epochs_go_back_to_mne_and_to_fif(epochs_file, tmp_path):
    session = nks.io.read_meg(epochs_file)
    theirs = mne.read_epochs(epochs_file, proj=False, verbose="ERROR")
    back = to_mne(session)
    assert_same(dict(back.info), dict(theirs.info))
    assert np.array_equal(back.get_data(verbose="ERROR"), theirs.get_data(verbose="ERROR"))
    for name in ("events", "event_id", "drop_log", "baseline", "selection", "tmin"):
        assert_same(getattr(back, name), getattr(theirs, name), name)
    assert back.metadata.equals(theirs.metadata)
    assert list(back.annotations.description) == list(theirs.annotations.description)
    nks.io.write_fif(session, tmp_path / "again-epo.fif")
    again = nks.io.read_meg(tmp_path / "again-epo.fif")
    for group in ("/signal", "/events", "/drop_log"):
        xr.testing.assert_identical(again[group].to_dataset(), session[group].to_dataset())


def test_our_own_trials_go_to_mne(tmp_path):
    session = from_mne(made_raw())
    trials = nks.epoch(session, [1.0, 2.0, 3.5], -0.1, 0.2)
    trials = trials.assign_coords(event_label=("trial", ["a", "b", "a"]), rt=("trial", [1.0, 2, 3]))
    epochs = to_mne(trials)
    assert epochs.event_id == {"a": 1, "b": 2}
    assert epochs.events[:, 0].tolist() == [500, 1000, 1750]
    assert epochs.metadata["rt"].tolist() == [1.0, 2.0, 3.0]
    assert np.array_equal(epochs.get_data(verbose="ERROR").transpose(0, 2, 1), trials["signal"])


def test_epochs_without_a_trial(tmp_path):
    epochs = mne.EpochsArray(
        np.zeros((2, 1, 5)), mne.create_info(["a"], 10.0, "eeg"), verbose="ERROR"
    )
    session = from_mne(epochs.drop([0, 1], verbose="ERROR"))
    assert session["signal/signal"].shape == (0, 5, 1)


def test_averages_of_unlike_channels_are_sets_of_their_own():
    one = mne.EvokedArray(np.ones((2, 4)), mne.create_info(2, 100.0, "eeg"), comment="a")
    two = mne.EvokedArray(np.ones((1, 4)), mne.create_info(1, 100.0, "mag"), comment="b", tmin=-0.1)
    session = from_mne([one, two])
    assert session["evoked/0/condition"].values == ["a"]
    assert float(session["evoked/1/time"][0]) == -0.1
    with pytest.raises(SchemaError, match=r"session\['/evoked/0'\]"):
        to_mne(session)
    (back,) = to_mne(session["/evoked/1"])
    assert np.array_equal(back.data, two.data)
    alone = from_mne(one)
    assert alone["evoked/signal"].shape == (1, 4, 2)


def test_a_raw_that_mne_has_not_loaded_stays_on_disk(raw_file):
    raw = mne.io.read_raw_fif(raw_file, verbose="ERROR").pick(["mag", "eeg"])
    session = from_mne(raw)
    assert session["signal/signal"].variable._in_memory is False
    assert np.array_equal(session["signal/signal"].values.T, raw.get_data())


def test_mne_works_on_a_copy():
    session = from_mne(made_raw())
    before = session["signal"].to_dataset().copy(deep=True)
    to_mne(session).apply_function(lambda x: x + 1, picks="all", verbose="ERROR")
    xr.testing.assert_identical(session["signal"].to_dataset(), before)


def test_compensation_and_history_come_back():
    """What only few files hold, put into an info by hand."""
    info = made_raw().info
    names = info["ch_names"]
    comp = {
        "ctfkind": 1194410578,
        "kind": 1,
        "save_calibrated": False,
        "rowcals": np.array([1.0, 2.0]),
        "colcals": np.array([3.0]),
        "data": {
            "nrow": 2,
            "ncol": 1,
            "row_names": names[:2],
            "col_names": names[2:3],
            "data": np.array([[0.5], [0.25]]),
        },
    }
    from scipy.sparse import csc_array

    history = {
        "block_id": {"version": 1, "machid": np.array([1, 2], np.int32), "secs": 3, "usecs": 4},
        "date": (5, 6),
        "experimenter": "x",
        "creator": "MaxFilter",
        "max_info": {"sss_ctc": {"decoupler": csc_array(np.eye(3))}, "max_st": {}},
        "values": [1.5, np.nan, np.inf, None, True, b"\1", 2 + 1j, datetime.date(2020, 1, 2)],
    }
    whole = mne.Info({**info, "comps": [comp], "proc_history": [history]})
    raw = mne.io.RawArray(made_raw().get_data(), whole, verbose="ERROR")
    session = from_mne(raw)
    assert session["compensation/0/weight"].sel(channel=names[1]).values.tolist() == [0.25]
    assert session["compensation/0"].attrs["grade"] == 1
    assert session["signal"].attrs["compensation_grade"] == 0
    assert_same(dict(to_mne(session).info), dict(raw.info))
    schema.check_attrs(session["mne_info"].to_dataset())


def test_changes_to_the_coordinates_go_to_mne():
    session = from_mne(made_raw())
    signal = (
        session["signal"]
        .to_dataset()
        .assign_coords(
            bad=("channel", [True, False, False, False, False]),
            x=("channel", np.array([0.2, 0.2, 0.2, 0.3, np.nan]), {"units": "m"}),
            channel_type=("channel", ["grad", "grad", "mag", "eog", "stim"]),
        )
    )
    session["signal"] = signal
    session.attrs["subject_sex"] = "male"
    info = to_mne(session).info
    assert info["bads"] == ["MEG 0112"]
    assert info["chs"][0]["loc"][0] == 0.2
    assert info["chs"][0]["coil_type"] == made_raw().info["chs"][0]["coil_type"]
    assert mne.channel_type(info, 3) == "eog"
    assert info["subject_info"]["sex"] == 1


def named_left(data: Any) -> str:
    with pytest.warns(DataWarning, match="MNE cannot hold") as caught:
        to_mne(data)
    return str(caught[0].message)


def test_what_mne_cannot_hold_is_named():
    data = simple(
        shaft=("channel", ["A", "A"]),
        **{axis: ("channel", [0.1, 0.2], {"units": "m"}) for axis in "xyz"},
        coord_frame="mni152",
    )
    data.attrs = {"reference": "common average", "amplifier": "x"}
    said = named_left(
        xr.DataTree.from_dict(
            {
                "/": xr.Dataset(attrs={"meas_date": "yesterday", "subject_species": "rat"}),
                "/signal": data.assign_coords(even_time(100, 100.0, 2.5)),
                "/spikes": nks.io.from_spike_times({"a": [0.1]}, t_stop=1.0),
                "/events": xr.Dataset(
                    {
                        "event_onset": ("event", [3.0, 50.0], {"units": "s"}),
                        "event_duration": ("event", [0.0, 0.0], {"units": "s"}),
                        "event_label": ("event", ["a", "b"]),
                        "score": ("event", [1.0, 2.0]),
                    }
                ),
            }
        )
    )
    for word in (
        "'/spikes'",
        "'shaft'",
        "'amplifier'",
        "'mni152'",
        "'common average'",
        "'yesterday'",
        "'subject_species'",
        "2.5 s",
        "1 events outside",
        "'score'",
    ):
        assert word in said, word
    assert "'fish'" in named_left(simple(channel_type=("channel", ["seeg", "fish"])))
    strange = simple(
        channel_type=("channel", ["misc", "misc"]), channel_unit=("channel", ["furlong", "V"])
    )
    assert "'furlong' of channel A1" in named_left(strange)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (simple(channel_unit=("channel", ["uV", "V"])), r"A1 of type seeg in V.*'uV'"),
        (
            simple()
            .drop_vars("time")
            .assign_coords(time=("time", np.cumsum(np.linspace(1, 2, 100)), {"units": "s"})),
            "evenly spaced",
        ),
        (simple().drop_vars("channel_type"), "channel_type"),
        (xr.DataTree.from_dict({"/a": simple()}), "one /signal or one /evoked"),
        (xr.DataTree.from_dict({"/signal/a": simple()}), r"session\['/signal/a'\]"),
        (np.zeros(3), "NumPy array"),
        (simple().isel(time=[0]), "sampling_rate"),
    ],
)
def test_what_is_no_recording_for_mne_is_refused(data, says, tmp_path):
    with pytest.raises(SchemaError, match=says):
        to_mne(data)
    with pytest.raises(SchemaError, match=says):
        nks.io.write_fif(data, tmp_path / "x_raw.fif")
    assert list(tmp_path.iterdir()) == []


def test_from_mne_refuses_other_things():
    with pytest.raises(ParameterError, match="got ndarray"):
        from_mne(np.zeros(3))


def test_times_in_memory_are_even_enough():
    data = (
        simple()
        .drop_vars("time")
        .assign_coords(time=("time", np.arange(100) * 0.005 + 0.0, {"units": "s"}))
    )
    assert to_mne(data).info["sfreq"] == 200.0
