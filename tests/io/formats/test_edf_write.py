"""EDF that we write: read by others, given back to the last integer, and what it costs."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
import recorders
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from signal_files import assert_close, quiet_mne, recording, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, SchemaError
from neurokit_sdr.io.formats.edf.write import record_length

FILE_SETTINGS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def edf_recordings(draw) -> xr.DataTree:
    """Recordings on EDF's own steps, with everything that EDF has a place for."""
    number = draw(st.integers(1, 3))
    rate = draw(st.sampled_from([1.0, 100.0, 173.61, 256.0, 512.5, 1000 / 3, 2048.0]))
    size = draw(st.integers(1, 700))
    top = draw(st.sampled_from([3276.7, 0.5, 187500.0]))
    seed = draw(st.integers(0, 2**32 - 1))
    grid = np.random.default_rng(seed).integers(-32767, 32768, (size, number))
    step = (top - -top) / 65534
    data = recording(
        grid * (step * 1e-6) + (-top - -32767 * step) * 1e-6,
        rate,
        draw(st.sampled_from([0.0, 0.25])),
        file_unit=("channel", ["uV"] * number),
        physical_minimum=("channel", [-top] * number),
        physical_maximum=("channel", [top] * number),
        digital_minimum=("channel", [-32767.0] * number),
        digital_maximum=("channel", [32767.0] * number),
    )
    groups = {"/": xr.Dataset(attrs={"meas_date": "2004-03-02T05:06:07"}), "/signal": data}
    labels = draw(st.lists(st.text("abc ä°", min_size=1).map(str.strip).filter(bool), max_size=3))
    if labels:
        ticks = st.lists(st.integers(0, 5 * 10**6), min_size=len(labels), max_size=len(labels))
        onsets = [tick / 10**6 for tick in sorted(draw(ticks))]
        groups["/events"] = xr.Dataset(
            {
                "event_onset": ("event", np.array(onsets), {"units": "s"}),
                "event_duration": ("event", np.arange(len(labels)) / 7, {"units": "s"}),
                "event_label": ("event", np.array(labels, dtype=np.str_)),
            }
        )
    return xr.DataTree.from_dict(groups)


@given(edf_recordings())
@FILE_SETTINGS
def test_edf_gives_back_what_was_written(tmp_path, tree):
    path = tmp_path / "a.edf"
    nks.io.write_edf(tree, path)
    back = nks.io.read_seeg(path)
    expected, found = signal_of(tree), signal_of(back)
    assert_close(found["signal"].values, expected["signal"].values)
    assert even_clock(found) == even_clock(expected)
    assert found["channel_type"].values.tolist() == expected["channel_type"].values.tolist()
    assert ("/events" in back.groups) == ("/events" in tree.groups)
    if "/events" in tree.groups:
        order = np.argsort(tree["/events/event_onset"].values, kind="stable")
        before = tree["/events"].to_dataset().isel(event=order)
        xr.testing.assert_identical(back["/events"].to_dataset(), before)
    assert back.attrs["meas_date"] == tree.attrs["meas_date"]
    nks.io.write_edf(back, tmp_path / "b.edf")
    again = nks.io.read_seeg(tmp_path / "b.edf")
    for node in back.subtree:
        xr.testing.assert_identical(again[node.path].to_dataset(), node.to_dataset())


def test_edf_says_what_its_integers_cost(tmp_path):
    values = np.random.default_rng(0).normal(size=(500, 3)) * 1e-4
    with pytest.warns(DataWarning, match=r"16-bit integers.*steps of .* V, by up to 0\.5"):
        nks.io.write_edf(recording(values), tmp_path / "a.edf")
    data = signal_of(nks.io.read_seeg(tmp_path / "a.edf"))
    step = (data["physical_maximum"] - data["physical_minimum"]).values * 1e-6 / 65535
    assert (np.abs(data["signal"].values - values) <= 0.5 * step * (1 + 1e-6)).all()
    span = np.ptp(values, axis=0)
    assert (step <= span / 65535 * 1.001).all()  # the range is as tight as 8 characters allow


def test_written_edf_is_read_by_mne_and_edfio(tmp_path):
    import edfio

    values = stored((500, 2)) * 1e-7
    with pytest.warns(DataWarning, match="16-bit"):
        nks.io.write_edf(recording(values), tmp_path / "a.edf")
    ours = signal_of(nks.io.read_seeg(tmp_path / "a.edf"))["signal"].values
    raw = quiet_mne("edf", tmp_path / "a.edf")
    assert raw.info["sfreq"] == 250.0
    assert_close(ours, raw.get_data().T)
    edf = edfio.read_edf(tmp_path / "a.edf")
    assert [s.label for s in edf.signals] == ["LA1", "LA2"]
    assert_close(ours, np.stack([s.data for s in edf.signals], axis=1) * 1e-6)


def test_two_rates_are_written_into_one_edf(tmp_path):
    tree = xr.DataTree.from_dict(
        {
            "/signal/200Hz": recording(stored((600, 2)) * 1e-6, 200.0),
            "/signal/5Hz": recording(stored((15, 1)) * 1e-6, 5.0).assign_coords(channel=["Pulse"]),
        }
    )
    with pytest.warns(DataWarning, match="16-bit"):
        nks.io.write_edf(tree, tmp_path / "a.edf")
    back = nks.io.read_seeg(tmp_path / "a.edf")
    for name in ("200Hz", "5Hz"):
        found, expected = signal_of(back, f"/signal/{name}"), signal_of(tree, f"/signal/{name}")
        assert even_clock(found) == even_clock(expected)
        assert np.abs(found["signal"].values - expected["signal"].values).max() < 1e-6 / 65


@given(st.floats(0.1, 1e5), st.integers(1, 5000))
@settings(deadline=None, max_examples=200)
def test_records_keep_the_sampling_rate(rate, size):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        text, (samples,) = record_length([rate], [size])
    assert len(text) <= 8
    kept = float(samples / Fraction(text))
    assert kept == rate or caught  # never another rate in silence
    assert abs(kept - rate) <= 1e-4 * rate


def test_values_on_files_own_steps_do_not_change_their_bytes(tmp_path):
    signals = [{"label": "LA1", "values": stored((3, 10)), "physical_minimum": "-3276.8",
                "physical_maximum": "3276.7", "transducer": "SEEG"}]  # fmt: skip
    first = nks.io.read_seeg(recorders.edf(tmp_path / "a.edf", signals))
    nks.io.write_edf(first, tmp_path / "b.edf")
    second = nks.io.read_seeg(tmp_path / "b.edf")
    assert np.array_equal(first["/signal/signal"].values, second["/signal/signal"].values)
    assert (tmp_path / "b.edf").read_bytes()[768:788] == (tmp_path / "a.edf").read_bytes()[512:532]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.assign_coords(channel=["LA1", "x" * 17]), "16 ASCII"),
        (lambda d: d.assign_coords(channel=["LA1", "Ä"]), "16 ASCII"),
        (lambda d: d.where(d["signal"] < 1, drop=False) * np.nan, "NaN"),
        (lambda d: d.expand_dims("trial"), r"signal\(time, channel\)"),
        (lambda d: d.isel(channel=[]), "at least one channel"),
        (lambda d: d.isel(time=[0, 1, 5]), "evenly sampled"),
        (lambda d: (d + 1e12).assign_coords(channel_unit=("channel", ["x", "x"])), "8 characters"),
    ],
)
def test_edf_refuses_what_it_cannot_hold(tmp_path, change, says):
    data = recording(np.arange(20.0).reshape(10, 2) * 1e-6)
    with xr.set_options(keep_attrs=True):
        changed = change(data)
    with pytest.raises(SchemaError, match=says):
        nks.io.write_edf(changed, tmp_path / "a.edf")
    assert list(tmp_path.iterdir()) == []


def test_edf_names_what_it_has_no_place_for(tmp_path):
    data = recording(np.zeros((10, 2)), bad=("channel", [True, False])).assign_attrs(line_freq=50.0)
    data = data.assign_coords(x=("channel", [0.0, 0.1], {"units": "m"}), coord_frame="head")
    tree = xr.DataTree.from_dict({"/signal": data, "/truth": xr.Dataset({"a": ("k", [1])})})
    with pytest.warns(DataWarning) as caught:
        nks.io.write_edf(tree, tmp_path / "a.edf")
    text = " ".join(str(w.message) for w in caught)
    for name in ("/truth", "bad", "coord_frame", "line_freq", "x"):
        assert name in text
    assert not signal_of(nks.io.read_seeg(tmp_path / "a.edf"))["signal"].values.any()
