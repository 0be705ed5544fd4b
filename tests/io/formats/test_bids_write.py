"""BIDS that we write: read back, and read by mne-bids."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from bids_files import column, table
from signal_files import assert_close, recording, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError


def positioned(values: np.ndarray, frame: str = "ACPC") -> xr.Dataset:
    number = values.shape[1]
    where = np.arange(number) / 300
    where[-1] = np.nan
    return recording(
        values,
        bad=("channel", np.arange(number) == 1),
        **{a: ("channel", where + k, {"units": "m"}) for k, a in enumerate("xyz")},
        coord_frame=("channel", np.full(number, frame)),
    ).assign_attrs(line_freq=50.0, reference="scalp", highpass=0.5, lowpass=100.0)


def written_session() -> xr.DataTree:
    values = (stored((500, 3)) * 1e-6).astype(np.float32).astype(np.float64)
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.1, 0.7], {"units": "s"}),
            "event_duration": ("event", [0.0, np.nan], {"units": "s"}),
            "event_label": ("event", ["go", "stop, ä"]),
            "trial": ("event", [1, 2]),
        }
    )
    attrs = {"meas_date": "2004-03-02T05:06:07", "subject_age": 30}
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs), "/signal": positioned(values), "/events": events}
    )


def test_bids_gives_back_what_was_written(tmp_path):
    tree = written_session()
    path = nks.io.write_bids(tree, tmp_path, subject="01", task="rest", session="a", run="2")
    assert path.relative_to(tmp_path).as_posix() == (
        "sub-01/ses-a/ieeg/sub-01_ses-a_task-rest_run-2_ieeg.vhdr"
    )
    back = nks.io.read(tmp_path)
    found, expected = signal_of(back), signal_of(tree)
    assert np.array_equal(found["signal"].values, expected["signal"].values)
    assert even_clock(found) == even_clock(expected)
    for name in ("channel", "channel_type", "channel_unit", "bad", "x", "y", "z", "coord_frame"):
        xr.testing.assert_equal(found[name].drop_vars(found[name].coords),
                                expected[name].drop_vars(expected[name].coords))  # fmt: skip
    for name in ("line_freq", "reference", "highpass", "lowpass", "sampling_rate"):
        assert found.attrs[name] == expected.attrs.get(name, 250.0)
    for name in ("event_onset", "event_duration", "event_label", "trial"):
        xr.testing.assert_equal(back[f"/events/{name}"], tree[f"/events/{name}"])
    assert back.attrs["meas_date"] == "2004-03-02T05:06:07"
    assert back.attrs["subject_age"] == 30
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    nks.io.write_bids(tree, tmp_path, subject="01", task="rest", session="a", run="2")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    nks.io.write_bids(tree, tmp_path, subject="02", task="rest")
    assert column(table(tmp_path / "participants.tsv"), "participant_id") == ["sub-01", "sub-02"]


def test_written_bids_is_read_by_mne_bids(tmp_path):
    mne_bids = pytest.importorskip("mne_bids")
    tree = written_session()
    path = nks.io.write_bids(tree, tmp_path, subject="01", task="rest")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(mne_bids.get_bids_path_from_fname(path), verbose="error")
    data = signal_of(tree)
    assert_close(raw.get_data().T, data["signal"].values)
    assert raw.ch_names == data["channel"].values.tolist()
    assert raw.get_channel_types() == ["seeg"] * 3
    assert raw.info["bads"] == ["LA2"]
    assert raw.info["line_freq"] == 50.0
    assert raw.annotations.description.tolist() == ["go", "stop, ä"]
    assert np.allclose(raw.annotations.onset, [0.1, 0.7])
    positions = raw.get_montage().get_positions()["ch_pos"]
    assert np.allclose(positions["LA2"], [data[a].values[1] for a in "xyz"])


def test_frames_that_bids_does_not_know_are_described(tmp_path):
    data = positioned(np.ones((5, 3)), "head")
    with pytest.warns(DataWarning, match="no coordinate system 'head'.*'Other'"):
        nks.io.write_bids(data, tmp_path, subject="01", task="rest")
    found = signal_of(nks.io.read(tmp_path))
    assert set(found["coord_frame"].values) == {"Other"}
    assert found.attrs["coord_frame_description"] == "head"


def test_what_bids_cannot_hold_is_named(tmp_path):
    tree = written_session()
    data = signal_of(tree).assign_coords(shaft=("channel", ["A", "A", "B"]))
    tree["/signal"] = (data * 1.1).assign_attrs(data.attrs | {"seed": 3}).assign_coords(data.coords)
    tree["/truth"] = xr.Dataset({"a": ("k", [1])})
    with pytest.warns(DataWarning) as caught:
        nks.io.write_bids(tree, tmp_path, subject="01", task="rest")
    said = " ".join(str(w.message) for w in caught)
    assert "/truth" in said
    assert "seed" in said
    assert "shaft" in said
    assert "32-bit floats: values are rounded by up to" in said
    found = signal_of(nks.io.read(tmp_path))["signal"].values
    assert np.allclose(found, tree["/signal/signal"].values, rtol=2**-24, atol=0)


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda d: d, {"subject": "a-b"}, ParameterError, "'sub' of letters and digits"),
        (lambda d: d, {"subject": "../x"}, ParameterError, "letters and digits"),
        (lambda d: d, {"task": "a b"}, ParameterError, "letters and digits"),
        (lambda d: d.expand_dims("trial"), {}, SchemaError, r"signal\(time, channel\)"),
        (lambda d: d.isel(channel=[]), {}, SchemaError, "at least one channel"),
        (lambda d: d.assign_coords(channel_type=("channel", ["mag"] * 2)), {}, SchemaError,
         "nks.io.write_fif"),
        (lambda d: d.assign_coords(channel=["a\tb", "c"]), {}, SchemaError, "without tabs"),
        (lambda d: d.isel(time=[0, 1, 5]), {}, SchemaError, "evenly sampled"),
    ],
)  # fmt: skip
def test_bids_refuses_what_it_cannot_hold(tmp_path, change, options, error, says):
    data = recording(np.arange(20.0).reshape(10, 2))
    with pytest.raises(error, match=says):
        nks.io.write_bids(change(data), tmp_path, **({"subject": "01", "task": "rest"} | options))
    assert not list(tmp_path.rglob("*.vhdr"))


def test_simulated_recordings_go_through_every_reader(tmp_path):
    current = xr.Dataset(
        {
            "synaptic_current": (
                ("time", "population"),
                np.random.default_rng(0).normal(size=(400, 2)) * 100,
                {"units": "pA"},
            )
        },
        coords={"time": ("time", np.arange(400) * 0.002, {"units": "s"}), "population": ["e", "i"]},
    )
    seen = nks.snn.observe.sensors(xr.DataTree.from_dict({"/current": current}), 4, rng=0)
    truth = signal_of(seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what they say is tested above
        nks.io.write_edf(seen, tmp_path / "a.edf")
        nks.io.write_bids(seen, tmp_path / "set", subject="sim", task="rest")
    by_edf = signal_of(nks.io.read(tmp_path / "a.edf"))
    by_bids = signal_of(nks.io.read(tmp_path / "set"))
    for found in (by_edf, by_bids):
        assert found["channel"].values.tolist() == truth["channel"].values.tolist()
        assert set(found["channel_type"].values) == {"seeg"}
        assert found.attrs["sampling_rate"] == 500.0
        assert even_clock(found) == (0.0, 500.0)
    span = np.ptp(truth["signal"].values, axis=0)
    assert (np.abs(by_edf["signal"].values - truth["signal"].values) <= span / 65000 / 2).all()
    assert np.allclose(by_bids["signal"].values, truth["signal"].values, rtol=2**-24, atol=0)
    for axis in "xyz":
        assert np.array_equal(by_bids[axis].values, truth[axis].values)
