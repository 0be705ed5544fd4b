"""FIF that we write: it comes back, and what it cannot hold is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from mne_files import simple
from strategies import evoked_datasets

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import DataWarning, FileFormatError, ParameterError, SchemaError
from neurokit_sdr.core.seeding import stream
from neurokit_sdr.io.interop.mne import from_mne, to_mne

mne = pytest.importorskip("mne")

# MNE sets the metadata's index in a way that pandas will drop one day.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


def simulated(kind: str) -> xr.DataTree:
    current = xr.Dataset(
        {
            "synaptic_current": (
                ("time", "population"),
                stream(0, "current").standard_normal((500, 2)) * 100,
                {"units": "pA"},
            )
        },
        coords={"time": ("time", np.arange(500) / 500, {"units": "s"}), "population": ["e", "i"]},
    )
    session = xr.DataTree.from_dict({"/current": current})
    return nks.snn.observe.sensors(session, 6, kind=kind, rng=1)


@pytest.mark.parametrize("kind", ["meg", "seeg"])
def test_simulated_recordings_go_through_the_reader(tmp_path, kind):
    made = simulated(kind)
    with pytest.warns(DataWarning, match="/current"):
        nks.io.write_fif(made, tmp_path / "made_raw.fif")
    back = nks.io.read_meg(tmp_path / "made_raw.fif")
    assert np.array_equal(back["signal/signal"].values, made["signal/signal"].values)
    assert np.array_equal(back["signal/channel"].values, made["signal/channel"].values)
    assert np.array_equal(back["signal/channel_type"].values, made["signal/channel_type"].values)
    for axis in "xyz":
        error = np.abs(back["signal"][axis].values - made["signal"][axis].values)
        assert error.max() < 1e-8  # single precision of 0.1 m
    if kind == "meg":
        assert set(back["signal/coord_frame"].values) == {"meg"}
        assert np.array_equal(back["head_position/dev_head_t"].values, np.eye(4))
    else:
        assert set(back["signal/coord_frame"].values) == {"head"}


def test_positions_are_left_out_rather_than_moved_to_another_frame(tmp_path):
    places = {axis: ("channel", [0.1, 0.2], {"units": "m"}) for axis in "xyz"}
    with pytest.warns(DataWarning, match=r"'mni_tal'.*left out rather than misplaced"):
        nks.io.write_fif(simple(**places, coord_frame="mni_tal"), tmp_path / "x_raw.fif")
    back = nks.io.read_meg(tmp_path / "x_raw.fif")["signal"]
    assert np.isnan(back["x"].values).all()


def test_what_fif_rounds_is_named(tmp_path):
    data = simple().assign_coords(even_time(100, 173.61))
    events = xr.Dataset(
        {
            "event_onset": ("event", [0.1], {"units": "s"}),
            "event_duration": ("event", [0.0], {"units": "s"}),
            "event_label": ("event", ["a"]),
        }
    )
    session = xr.DataTree.from_dict({"/signal": data, "/events": events})
    with pytest.warns(DataWarning, match=r"sampling rate 173\.61 Hz.*event onsets"):
        nks.io.write_fif(session, tmp_path / "x_raw.fif")
    back = nks.io.read_meg(tmp_path / "x_raw.fif")
    assert float(back["events/event_onset"][0]) == np.float32(0.1)


def test_a_write_that_fails_leaves_nothing_and_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x_raw.fif"
    nks.io.write_fif(simple(), path)
    before = path.read_bytes()

    def broken(self, *args, **kwargs):
        Path(args[0]).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(mne.io.BaseRaw, "save", broken)
    with pytest.raises(FileFormatError, match=r"could not be written.*disk full"):
        nks.io.write_fif(simple() + 1, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_name_must_be_that_of_a_fif(tmp_path):
    with pytest.raises(ParameterError, match=r"ends in \.fif"):
        nks.io.write_fif(simple(), tmp_path / "x.edf")


@given(evoked_datasets())
@settings(max_examples=15, deadline=None)
def test_averages_go_through_mne_without_loss(evoked):
    schema.check(evoked, "evoked")
    known = evoked.drop_attrs(deep=False).assign_attrs(sampling_rate=250.0)
    back = from_mne(to_mne(known))["evoked"].to_dataset()
    assert np.array_equal(back["signal"].values, evoked["signal"].values)
    for name in ("condition", "n_averaged", "channel", "channel_type", "channel_unit", "bad"):
        assert np.array_equal(back[name].values, evoked[name].values)
    assert np.allclose(back["time"].values, evoked["time"].values, rtol=0, atol=1e-15)


def test_a_signal_without_channels_is_not_written(tmp_path):
    empty = xr.Dataset(
        {"signal": (("time", "channel"), np.zeros((3, 0)), {"units": "V"})},
        coords={
            "time": ("time", np.arange(3) / 100, {"units": "s"}),
            "channel": np.array([], dtype="U1"),
            "channel_type": ("channel", np.array([], dtype="U1")),
            "channel_unit": ("channel", np.array([], dtype="U1")),
        },
    )
    for data in (empty, xr.DataTree.from_dict({"/signal": empty})):
        with pytest.raises(SchemaError, match="Expected at least one channel to write"):
            nks.io.write_fif(data, tmp_path / "none_raw.fif")
    assert not list(tmp_path.iterdir())
