"""Recorders' formats: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import struct
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import recorders
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock, even_time
from neurokit_sdr.core.errors import (
    DataWarning,
    FileFormatError,
    NeurokitError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.io.formats import recorders as recorders_of_files
from neurokit_sdr.io.formats.edf.write import record_length
from neurokit_sdr.io.published.seeg import read_bonn

FILE_SETTINGS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: Values are an integer times a scale plus a shift: two roundings, of numbers of this size.
EPS = np.finfo(np.float64).eps


def stored(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Integers as a recorder stores them."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape)


def recording(
    values: np.ndarray, rate: float = 250.0, start: float = 0.0, **coords: object
) -> xr.Dataset:
    """Voltages on contacts LA1, LA2, ..., evenly sampled."""
    number = values.shape[1]
    data = xr.Dataset(
        {"signal": (("time", "channel"), values, {"units": "V"})},
        coords={
            "channel": [f"LA{k + 1}" for k in range(number)],
            "channel_type": ("channel", ["seeg"] * number),
            "channel_unit": ("channel", ["V"] * number),
            **coords,
        },
    )
    return data.assign_coords(even_time(len(values), rate, start))


def signal_of(tree: xr.DataTree, group: str = "/signal") -> xr.Dataset:
    return tree[group].to_dataset(inherit=False)


def quiet_mne(opener: str, path: Path, **options: object):
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MNE's own opinions about this test's files
        return getattr(mne.io, f"read_raw_{opener}")(path, verbose="error", **options)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to the rounding of a product and a sum."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max(initial=0.0) <= 4 * EPS * np.abs(expected).max(initial=0.0)


# -- EDF and BDF, read ----------------------------------------------------------------------------


def test_edf_values_units_and_header_are_those_of_the_file(tmp_path):
    values = stored((4, 100))
    signals = [
        {
            "label": "LA1",
            "values": values,
            "transducer": "SEEG depth electrode",
            "prefilter": "HP:0.16Hz LP:120Hz",
            "physical_minimum": "-3276.8",
            "physical_maximum": "3276.7",
        },
        {"label": "ECG", "values": values[::-1], "unit": "mV", "prefilter": "HP:0.16Hz LP:120Hz"},
        {"label": "SpO2", "values": -values, "unit": "%"},
    ]
    path = recorders.edf(
        tmp_path / "a.edf", signals, patient="p7 F X X", recording="Startdate 02-MAR-2004 X X X"
    )
    tree = nks.io.read_seeg(path)
    data = schema.check(signal_of(tree), "signal")
    assert data["signal"].dims == ("time", "channel")
    assert even_clock(data) == (0.0, 100.0)
    assert data["channel"].values.tolist() == ["LA1", "ECG", "SpO2"]
    assert data["channel_type"].values.tolist() == ["seeg", "ecg", "misc"]
    assert data["channel_unit"].values.tolist() == ["V", "V", "%"]
    assert data["file_unit"].values.tolist() == ["uV", "mV", "%"]
    flat = values.ravel()
    expected = np.stack([flat * 0.1e-6, values[::-1].ravel() * 1e-3, -flat.astype(float)], axis=1)
    step = np.array([0.1e-6, 1e-3, 1.0])
    assert (np.abs(data["signal"].values - expected) <= 32768 * 4 * EPS * step).all()
    assert data["prefilter"].values[0] == "HP:0.16Hz LP:120Hz"
    assert data["transducer"].values[0] == "SEEG depth electrode"
    assert data.attrs["sampling_rate"] == 100.0
    assert "highpass" not in data.attrs  # SpO2 has none
    assert tree.attrs["meas_date"] == "2004-03-02T05:06:07"
    assert tree.attrs["patient"] == "p7 F X X"


def test_edf_is_what_mne_says_of_it(tmp_path):
    signals = [
        {"label": "EEG LA1", "values": stored((3, 64)), "prefilter": "HP:0.5Hz LP:30Hz"},
        {"label": "EEG LA2", "values": stored((3, 64), 1), "prefilter": "HP:0.5Hz LP:30Hz"},
    ]
    note = b"+0.75\x150.5\x14seizure\x14\0"
    path = recorders.edf(
        tmp_path / "a.edf", signals, reserved="EDF+C", onsets=[0, 1, 2], notes=[(1, note)]
    )
    tree, raw = nks.io.read_seeg(path), quiet_mne("edf", path)
    data = signal_of(tree)
    assert data["channel"].values.tolist() == raw.ch_names
    assert data.attrs["sampling_rate"] == raw.info["sfreq"]
    assert (data.attrs["highpass"], data.attrs["lowpass"]) == (
        raw.info["highpass"],
        raw.info["lowpass"],
    )
    assert_close(data["signal"].values, raw.get_data().T)
    events = tree["/events"]
    assert events["event_onset"].values.tolist() == raw.annotations.onset.tolist() == [0.75]
    assert events["event_duration"].values.tolist() == [0.5]
    assert events["event_label"].values.tolist() == raw.annotations.description.tolist()


def test_edf_written_by_edfio_is_read_with_its_annotations(tmp_path):
    import edfio

    rng = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(rng.normal(size=600), 200.0, label="LA1", physical_dimension="uV"),
        edfio.EdfSignal(rng.normal(size=30), 10.0, label="SaO2", physical_dimension="%"),
    ]
    notes = [edfio.EdfAnnotation(1.5, None, "spike ä"), edfio.EdfAnnotation(0.25, 0.5, "wave")]
    edf = edfio.Edf(signals, annotations=notes)
    edf.write(tmp_path / "a.edf")
    tree = nks.io.read_seeg(tmp_path / "a.edf")
    assert set(tree["/signal"].children) == {"200Hz", "10Hz"}
    for signal, name, scale in zip(edf.signals, ("200Hz", "10Hz"), (1e-6, 1.0), strict=True):
        found = schema.check(signal_of(tree, f"/signal/{name}"), "signal")
        assert found["channel"].values.tolist() == [signal.label]
        assert even_clock(found) == (0.0, signal.sampling_frequency)
        assert_close(found["signal"].values[:, 0], signal.data * scale)
    assert tree["/events/event_label"].values.tolist() == ["wave", "spike ä"]
    assert tree["/events/event_onset"].values.tolist() == [0.25, 1.5]
    assert tree["/events/event_duration"].values.tolist() == [0.5, 0.0]


def test_bdf_is_what_mne_says_of_it(tmp_path):
    wide = np.random.default_rng(1).integers(-(2**23), 2**23, (2, 2, 32))
    signals = [
        {"label": "A1", "values": wide[0], "physical_minimum": "-262144",
         "physical_maximum": "262143"},
        {"label": "A2", "values": wide[1], "physical_minimum": "-262144",
         "physical_maximum": "262143"},
    ]  # fmt: skip
    path = recorders.edf(tmp_path / "a.bdf", signals, reserved="24BIT", bdf=True)
    tree, raw = nks.io.read_seeg(path), quiet_mne("bdf", path)
    assert tree.attrs["source"] == "BDF"
    assert_close(signal_of(tree)["signal"].values, raw.get_data().T)


def test_edf_with_gaps_has_the_real_times(tmp_path):
    signals = [{"label": "LA1", "values": stored((4, 10))}]
    path = recorders.edf(
        tmp_path / "a.edf", signals, reserved="EDF+D", onsets=[0.5, 1.5, 7.25, 8.25]
    )
    tree = nks.io.read_seeg(path)
    time = signal_of(tree)["time"].values
    expected = np.concatenate([0.5 + np.arange(20) / 10, 7.25 + np.arange(20) / 10])
    assert np.array_equal(time, expected)
    gaps = tree["/observation_intervals"]
    assert gaps["start_time"].values.tolist() == [0.5, 7.25]
    assert gaps["stop_time"].values.tolist() == [2.5, 9.25]
    assert_close(signal_of(tree)["signal"].values[:, 0], stored((4, 10)).ravel() * 1e-6)


def test_edf_of_type_d_without_gaps_is_even(tmp_path):
    signals = [{"label": "LA1", "values": stored((3, 10))}]
    path = recorders.edf(tmp_path / "a.edf", signals, reserved="EDF+D", onsets=[0.25, 1.25, 2.25])
    tree = nks.io.read_seeg(path)
    assert even_clock(signal_of(tree)) == (0.25, 10.0)
    assert "/observation_intervals" not in tree.groups


def test_edf_whose_clock_runs_backwards_is_refused(tmp_path):
    signals = [{"label": "LA1", "values": stored((3, 10))}]
    path = recorders.edf(tmp_path / "a.edf", signals, reserved="EDF+D", onsets=[0, 5, 2])
    with pytest.raises(FileFormatError, match=r"record 2 at 2 s.*clock runs backwards"):
        nks.io.read_seeg(path)


def test_edf_that_contradicts_itself_is_read_as_it_says_with_a_warning(tmp_path):
    signals = [{"label": "LA1", "values": stored((2, 10))}]
    path = recorders.edf(tmp_path / "a.edf", signals, reserved="EDF+C", onsets=[0, 5])
    with pytest.warns(DataWarning, match="no gaps"):
        tree = nks.io.read_seeg(path)
    assert even_clock(signal_of(tree)) == (0.0, 10.0)


def test_edf_channels_of_one_name_are_told_apart(tmp_path):
    signals = [{"label": "LA1", "values": stored((1, 4), k)} for k in range(3)]
    signals.append({"label": "LA1-0", "values": stored((1, 4), 3)})
    path = recorders.edf(tmp_path / "a.edf", signals)
    with pytest.warns(DataWarning, match="more than one channel of the name LA1"):
        names = signal_of(nks.io.read_seeg(path))["channel"].values.tolist()
    assert names == ["LA1-1", "LA1-2", "LA1-3", "LA1-0"]


def test_edf_without_a_scale_keeps_the_integers(tmp_path):
    signals = [
        {"label": "LA1", "values": stored((1, 4)), "physical_minimum": "0",
         "physical_maximum": "0"},
        {"label": "LA2", "values": stored((1, 4)), "digital_minimum": "x"},
    ]  # fmt: skip
    path = recorders.edf(tmp_path / "a.edf", signals)
    with pytest.warns(DataWarning, match="scale of LA1.*stored integers.*scale of LA2"):
        data = signal_of(nks.io.read_seeg(path))
    assert np.array_equal(data["signal"].values[:, 1], stored((1, 4))[0])
    assert data["channel_unit"].values.tolist() == ["", ""]


def test_edf_that_was_stopped_early_is_read_to_its_end(tmp_path):
    signals = [{"label": "LA1", "values": stored((3, 10))}]
    path = recorders.edf(tmp_path / "a.edf", signals, records=-1)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(DataWarning, match="13 bytes after the last data record"):
        assert signal_of(nks.io.read_seeg(path)).sizes["time"] == 20


def test_edf_of_annotations_alone_and_unicode_names(tmp_path):
    note = "+0.5\x14Anfall ä\x14\0".encode()
    path = recorders.edf(
        tmp_path / "a.edf", [], reserved="EDF+C", duration="0", onsets=[0], notes=[(0, note)]
    )
    tree = nks.io.read_seeg(path)
    assert tree["/events/event_label"].values.tolist() == ["Anfall ä"]
    assert "/signal" not in tree.groups
    path = recorders.edf(tmp_path / "b.edf", [{"label": "Öl 1", "values": stored((1, 4))}])
    assert signal_of(nks.io.read_seeg(path))["channel"].values.tolist() == ["Öl 1"]


def damaged(path: Path, place: int, text: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[place : place + len(text)] = text
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize(
    ("place", "text", "says"),
    [
        (184, b"99999   ", "header of 256 bytes and 256 for each signal"),
        (236, b"99999999", "cut off or its header damaged.*-1"),
        (236, b"x       ", "number for 'records'"),
        (244, b"0       ", "longer than 0 s"),
        (244, b"x       ", "seconds of a data record"),
        (244, b"9e999999", "seconds of a data record"),
        (252, b"0   ", "256 for each signal"),
        (256 + 216, b"99999999", "data records of 199999998 bytes"),
        (256 + 216, b"0       ", "samples in the data records"),
    ],
)
def test_edf_with_a_wrong_header_is_refused(tmp_path, place, text, says):
    path = recorders.edf(tmp_path / "a.edf", [{"label": "LA1", "values": stored((2, 10))}])
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(damaged(path, place, text))


def test_edf_that_is_cut_off_is_refused_wherever_it_is_cut(tmp_path):
    path = recorders.edf(tmp_path / "a.edf", [{"label": "LA1", "values": stored((2, 10))}])
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(FileFormatError):
            nks.io.read_seeg(path)


def test_mutated_edf_gives_our_errors_or_a_recording(tmp_path, seed):
    signals = [
        {"label": "LA1", "values": stored((3, 20))},
        {"label": "B", "values": stored((3, 5))},
    ]
    note = b"+0.75\x150.5\x14seizure\x14\0"
    path = recorders.edf(
        tmp_path / "a.edf", signals, reserved="EDF+D", onsets=[0, 1, 5], notes=[(1, note)]
    )
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for _ in range(300):
            data = bytearray(whole)
            for place in rng.integers(0, 256 * 4 if rng.random() < 0.7 else len(data), 3):
                data[place] = rng.integers(0, 256)
            path.write_bytes(bytes(data))
            try:
                tree = nks.io.read_seeg(path)
                for node in tree.subtree:
                    node.to_dataset().load()
            except NeurokitError:
                pass


def test_opening_edf_reads_its_header_only(tmp_path):
    """A sparse file of 8 GB: reading its samples would take minutes and all memory."""
    path = recorders.edf(tmp_path / "a.edf", [{"label": "LA1", "values": stored((1, 2_000_000))}])
    head = bytearray(path.read_bytes()[:512])
    head[236:244] = b"2000    "
    with path.open("wb") as stream:
        stream.write(bytes(head))
        stream.truncate(512 + 2000 * 4_000_000)
    data = signal_of(nks.io.read_seeg(path))
    assert data.sizes["time"] == 4_000_000_000
    assert not data["signal"].isel(time=slice(10**9, 10**9 + 10)).values.any()
    assert data["signal"].sel(time=slice(1500.0, 1500.00001)).sizes["time"] == 21


def test_parts_of_a_file_are_those_of_the_whole(tmp_path):
    path = recorders.edf(
        tmp_path / "a.edf",
        [{"label": f"LA{k}", "values": stored((5, 10), k)} for k in range(3)],
    )
    lazy = signal_of(nks.io.read_seeg(path))["signal"]
    whole = lazy.values
    for time in (slice(None), slice(3, 37), slice(0, 50, 7), slice(9, 10), 17, slice(20, 20), -1):
        for channel in (slice(None), slice(1, 3), 2, slice(0, 3, 2), [2, 0]):
            part = lazy.isel(time=time, channel=channel)
            assert np.array_equal(part.values, whole[time][..., channel])


def values_of(data: xr.DataArray) -> np.ndarray:
    return data.values


def test_lazy_values_work_in_other_processes(tmp_path):
    path = recorders.edf(tmp_path / "a.edf", [{"label": "LA1", "values": stored((5, 10))}])
    lazy = signal_of(nks.io.read_seeg(path))["signal"]
    assert np.array_equal(pickle.loads(pickle.dumps(lazy)).values, lazy.values)
    chunked = signal_of(nks.io.read_seeg(path, chunks={"time": 20}))["signal"]
    assert chunked.chunksizes["time"] == (20, 20, 10)
    # Not a fork: that would copy the locks of dask's threads as other tests left them.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(values_of, chunked).result(), lazy.values)


# -- EDF, written ---------------------------------------------------------------------------------


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


# -- BrainVision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", ["INT_16", "INT_32", "IEEE_FLOAT_32"])
@pytest.mark.parametrize("order", ["MULTIPLEXED", "VECTORIZED"])
def test_brainvision_is_what_mne_says_of_it(tmp_path, binary, order):
    channels = ["LA1,,0.5,µV", "LA2,Ref,1.5,mV", r"a\1b,,,µV", "T,,1,C"]
    markers = [
        "New Segment,,1,1,0,20040302050607000000",
        "Stimulus,S  1,11,1,0",
        r"Comment,left\1 right,31,5,2",
    ]
    path = recorders.brainvision(
        tmp_path, stored((50, 4)), binary=binary, order=order, channels=channels, markers=markers
    )
    tree, raw = nks.io.read_seeg(path), quiet_mne("brainvision", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names == ["LA1", "LA2", "a,b", "T"]
    assert data["channel_unit"].values.tolist() == ["V", "V", "V", "C"]
    assert data["file_unit"].values.tolist() == ["µV", "mV", "µV", "C"]
    assert data["reference"].values.tolist() == ["", "Ref", "", ""]
    assert even_clock(data) == (0.0, raw.info["sfreq"]) == (0.0, 500.0)
    assert_close(data["signal"].values, raw.get_data().T)
    assert np.array_equal(data["signal"].isel(time=slice(5, 9), channel=1), raw[1, 5:9][0][0])
    events = tree["/events"].to_dataset()
    assert events["event_label"].values.tolist() == [
        "New Segment/", "Stimulus/S  1", "Comment/left, right"
    ]  # fmt: skip
    marks = events.isel(event=[1, 2])  # MNE leaves the first segment out
    kept = [k for k, d in enumerate(raw.annotations.description) if "New" not in d]
    assert np.allclose(marks["event_onset"], raw.annotations.onset[kept], rtol=EPS, atol=0)
    assert np.allclose(marks["event_duration"], raw.annotations.duration[kept], rtol=EPS, atol=0)
    assert events["marker_channel"].values.tolist() == [0, 0, 2]
    assert tree.attrs["meas_date"] == "2004-03-02T05:06:07"


@pytest.mark.parametrize(
    "name", ["../rec.eeg", "/etc/passwd", "sub/rec.eeg", "..", r"..\rec.eeg", r"C:\rec.eeg"]
)
def test_brainvision_that_points_elsewhere_is_refused(tmp_path, name):
    path = recorders.brainvision(tmp_path, stored((5, 2)), data_file=name)
    with pytest.raises(FileFormatError, match=r"another folder|found nothing"):
        nks.io.read_seeg(path)


def test_brainvision_link_out_of_its_folder_is_refused(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    path = recorders.brainvision(folder, stored((5, 2)))
    (folder / "rec.eeg").rename(tmp_path / "outside.eeg")
    (folder / "rec.eeg").symlink_to(tmp_path / "outside.eeg")
    with pytest.raises(FileFormatError, match="leads out of the folder"):
        nks.io.read_seeg(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("NumberOfChannels=2", "NumberOfChannels=999999999", "999999999|1e\\+09"),
        ("SamplingInterval=2000", "SamplingInterval=0", "positive number for SamplingInterval"),
        ("SamplingInterval=2000", "SamplingInterval=x", "positive number for SamplingInterval"),
        ("INT_16", "INT_17", "IEEE_FLOAT_32.*INT_17"),
        ("DataFormat=BINARY", "DataFormat=ASCII", "export it as binary"),
        ("LA1,,0.5", "LA1,,0", "resolution other than 0"),
        ("LA1,,0.5", "LA1,,nan", "resolution other than 0"),
        ("DataFile=rec.eeg", "DataFile=other.eeg", "correct DataFile"),
        ("DataFile=rec.eeg\n", "", "Expected a DataFile"),
        ("NumberOfChannels=2", "NumberOfChannels=2\nDataPoints=7", "Expected 7 samples"),
    ],
)
def test_brainvision_with_a_wrong_header_is_refused(tmp_path, old, new, says):
    path = recorders.brainvision(tmp_path, stored((5, 2)))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path)


def test_brainvision_that_is_cut_off_or_not_the_header_is_refused(tmp_path):
    path = recorders.brainvision(tmp_path, stored((5, 2)))
    with pytest.raises(FileFormatError, match=r"belongs to rec\.vhdr"):
        nks.io.read_seeg(tmp_path / "rec.eeg")
    data = (tmp_path / "rec.eeg").read_bytes()
    (tmp_path / "rec.eeg").write_bytes(data[:-1])
    with pytest.raises(FileFormatError, match="cut off"):
        nks.io.read_seeg(path)


def test_brainvision_spherical_coordinates_and_comment_are_kept_as_written(tmp_path):
    more = "[Coordinates]\nCh1=1,-60,-51\nCh2=0,0,0\n[Comment]\nImpedance [kOhm]\nLA1: 5\n"
    path = recorders.brainvision(tmp_path, stored((5, 2)), more=more)
    tree = nks.io.read_seeg(path)
    data = signal_of(tree)
    assert data["sphere_theta"].values.tolist()[0] == -60.0
    assert np.isnan(data["sphere_radius"].values[1])
    assert "x" not in data.coords  # a head of unknown size has no metres
    assert tree.attrs["comment"] == "Impedance [kOhm]\nLA1: 5"


# -- other recorders ------------------------------------------------------------------------------


def test_persyst_is_what_mne_says_of_it_with_its_own_names(tmp_path):
    comments = ["0.5,0.25,0,100,spike, left", "1.0,0,1,4,end", "x,0,0,0,y"]
    path = recorders.persyst(tmp_path, stored((400, 2)), comments=comments, data_file="rec.dat")
    with pytest.warns(DataWarning, match="1 comments without a time"):
        tree = nks.io.read_seeg(path)
    path.write_text(path.read_text(encoding="utf-8").replace("x,0,0,0,y", ""), encoding="utf-8")
    raw = quiet_mne("persyst", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == ["LA1-Ref", "LA2-Ref"]  # MNE makes them LA1, LA2
    assert_close(data["signal"].values, raw.get_data().T)
    assert even_clock(data) == (0.0, raw.info["sfreq"])
    assert tree["/events/event_onset"].values.tolist() == raw.annotations.onset.tolist()
    assert tree["/events/event_duration"].values.tolist() == raw.annotations.duration.tolist()
    assert tree["/events/event_label"].values.tolist() == ["spike, left", "end"]
    assert tree.attrs["subject_id"] == "p7"
    assert tree.attrs["patient_physician"] == "Dr Ä"
    assert tree.attrs["meas_date"] == "2004-03-02T10:00:00"


def test_persyst_finds_the_samples_beside_it_and_keeps_gaps(tmp_path):
    path = recorders.persyst(tmp_path, stored((100, 2)), times=["0=36000.0", "60=36010.0"])
    tree = nks.io.read_seeg(path)
    time = signal_of(tree)["time"].values
    assert np.array_equal(time, np.r_[np.arange(60) / 200, 10 + np.arange(40) / 200])
    assert tree["/observation_intervals/stop_time"].values.tolist() == [0.3, 10.2]
    path = recorders.persyst(tmp_path, stored((100, 2)), times=["0=36000.0", "60=30000.0"])
    with pytest.raises(FileFormatError, match="clock runs backwards"):
        nks.io.read_seeg(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("WaveformCount=2", "WaveformCount=900000000", "Expected 900000000 channels"),
        ("SamplingRate=200", "SamplingRate=-1", "samplingrate"),
        ("Calibration=0.25", "Calibration=", "calibration"),
        ("DataType=0", "DataType=5", "DataType 0 or 7"),
        (r"C:\patients\rec.dat", "..", "name of a file of samples"),
        (r"C:\patients\rec.dat", "other.dat", "copy the two"),
        ("LA2-Ref=2\n", "", "Expected 2 channels"),
    ],
)
def test_persyst_with_a_wrong_layout_is_refused(tmp_path, old, new, says):
    path = recorders.persyst(tmp_path, stored((100, 2)))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path)


def test_nihon_kohden_is_what_mne_says_of_it(tmp_path):
    path = recorders.nihon(tmp_path, stored((100, 2)))
    tree, raw = nks.io.read_seeg(path), quiet_mne("nihon", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names == ["LA1", "LA2"]
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert np.ptp(data["signal"].values) > 1e-4  # the samples, and not zeros
    assert even_clock(data) == (0.0, 500.0)
    assert tree["/events/event_label"].values.tolist() == ["REC START"]
    assert set(data["coord_frame"].values) == {"unknown"}
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 0x1800 + 0x1C, 2**31)
    path.write_bytes(bytes(data))
    with pytest.raises(FileFormatError, match="its size"):
        nks.io.read_seeg(path)


def test_blackrock_is_what_mne_says_of_it(tmp_path):
    path = recorders.blackrock(tmp_path / "a.ns2", [(0, stored((100, 2)))])
    tree, raw = nks.io.read_seeg(path), quiet_mne("nsx", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names
    assert data["channel_type"].values.tolist() == raw.get_channel_types() == ["seeg", "seeg"]
    assert_close(data["signal"].values, raw.get_data().T)
    assert data.attrs["highpass"] == raw.info["highpass"]
    assert data.attrs["lowpass"] == raw.info["lowpass"]
    assert tree.attrs["meas_date"] == "2020-01-02T10:11:12.500000+00:00"


def test_blackrock_gaps_have_the_real_times(tmp_path):
    parts = [stored((100, 2)), stored((50, 2), 1)]
    path = recorders.blackrock(tmp_path / "a.ns2", [(0, parts[0]), (30 * 400, parts[1])])
    tree = nks.io.read_seeg(path)
    data = signal_of(tree)
    assert np.allclose(data["time"], np.r_[np.arange(100) / 1000, 0.4 + np.arange(50) / 1000])
    assert_close(data["signal"].values, np.concatenate(parts) * 0.25e-6)
    assert_close(data["signal"].isel(time=slice(90, 110), channel=1).values,
                 np.concatenate(parts)[90:110, 1] * 0.25e-6)  # fmt: skip
    assert tree["/observation_intervals"].sizes["interval"] == 2
    other = path.rename(tmp_path / "a.dat")
    with pytest.raises(FileFormatError, match=r"suffix \.ns1 to \.ns9"):
        nks.io.read_seeg(other)


def test_micromed_is_what_its_header_says(tmp_path):
    values = stored((300, 2))
    path = recorders.micromed(tmp_path / "a.trc", values + 32768, notes=[(128, "spike")])
    tree = nks.io.read_seeg(path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == ["LA1", "LA2"]
    assert even_clock(data) == (0.0, 256.0)
    # a difference of numbers of 2**15 steps, each rounded
    assert np.abs(data["signal"].values - values * 1e-6).max() <= 65536e-6 * 4 * EPS
    assert tree["/events/event_label"].values.tolist() == ["spike"]
    assert tree["/events/event_onset"].values.tolist() == [0.5]
    assert tree.attrs["meas_date"] == "2004-03-02T10:11:12"


def test_micromed_segments_have_the_real_times(tmp_path):
    values = stored((300, 2)) + 32768
    path = recorders.micromed(tmp_path / "a.trc", values, segments=[(256, 0), (2816, 200)])
    tree = nks.io.read_seeg(path)
    time = signal_of(tree)["time"].values
    assert np.array_equal(time, np.r_[np.arange(200) / 256, 10 + np.arange(100) / 256])
    path = recorders.micromed(tmp_path / "b.trc", values, segments=[(2560, 0), (1, 200)])
    with pytest.raises(FileFormatError, match="clock runs backwards"):
        nks.io.read_seeg(path)


def test_mef3_is_what_mne_says_of_it(tmp_path):
    pytest.importorskip("pymef")
    path = recorders.mef3(tmp_path, stored((2500, 2)))
    tree, raw = nks.io.read_seeg(path), quiet_mne("mef", path)
    data = schema.check(signal_of(tree), "signal")
    assert data["channel"].values.tolist() == raw.ch_names
    assert data["channel_type"].values.tolist() == ["seeg", "seeg"]
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert_close(data["signal"].values, stored((2500, 2)) * 0.5e-6)
    part = data["signal"].isel(time=slice(990, 1010), channel=1)
    assert np.array_equal(part.values, raw[1, 990:1010][0][0])
    assert tree.attrs["subject_id"] == "p7"


def test_damaged_mef3_is_refused_before_the_c_library_sees_it(tmp_path):
    pytest.importorskip("pymef")
    path = recorders.mef3(tmp_path, stored((2500, 2)))
    for suffix, place in ((".tmet", 2000), (".tidx", 1030), (".tdat", 40)):
        (file, *_) = sorted(path.rglob(f"*{suffix}"))
        whole = file.read_bytes()
        damaged(file, place, bytes([whole[place] ^ 1]))
        with pytest.raises(FileFormatError, match="checksum"):
            nks.io.read_seeg(path)
        file.write_bytes(whole[:1000])
        with pytest.raises(FileFormatError, match="cut off"):
            nks.io.read_seeg(path)
        file.write_bytes(whole)
    data = signal_of(nks.io.read_seeg(path))
    damaged(file, 1100, bytes([whole[1100] ^ 1]))  # a block of the samples
    with pytest.raises(FileFormatError, match=r"block.*checksum"):
        data["signal"].values


def test_eeglab_is_what_mne_says_of_it(tmp_path):
    import scipy.io

    values = stored((100, 2)).T.astype(float)
    labels = np.array([("LA1",), ("LA2",)], dtype=[("labels", object)])
    events = np.array(
        [("go", 11.0, 0.0)], dtype=[("type", "O"), ("latency", "O"), ("duration", "O")]
    )
    content = {"data": values, "nbchan": 2.0, "pnts": 100.0, "trials": 1.0, "srate": 100.0,
               "xmin": 0.0, "xmax": 0.99, "chanlocs": labels, "event": events, "setname": "x",
               "epoch": np.array([]), "urevent": np.array([]), "chaninfo": {"x": 1.0}}  # fmt: skip
    path = tmp_path / "a.set"
    scipy.io.savemat(path, {"EEG": content}, appendmat=False)
    tree, raw = nks.io.read_seeg(path), quiet_mne("eeglab", path)
    data = schema.check(signal_of(tree), "signal")
    assert np.array_equal(data["signal"].values, raw.get_data().T)
    assert_close(data["signal"].values, values.T * 1e-6)
    assert tree["/events/event_onset"].values.tolist() == [0.1]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileFormatError):
        nks.io.read_seeg(path)


FORMATS = {
    "EDF and BDF": lambda f: recorders.edf(f / "x", [{"label": "A", "values": stored((1, 4))}]),
    "BrainVision": lambda f: recorders.brainvision(f, stored((5, 2))),
    "Persyst": lambda f: recorders.persyst(f, stored((5, 2))),
    "Nihon Kohden": lambda f: recorders.nihon(f, stored((50, 2))),
    "Blackrock nsx": lambda f: recorders.blackrock(f / "x", [(0, stored((5, 2)))]),
    "Micromed": lambda f: recorders.micromed(f / "x", stored((5, 2)) + 32768),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_known_by_content(tmp_path, name):
    path = FORMATS[name](tmp_path)
    claims = [r.name for r in recorders_of_files.READERS if r.can_read(path)]
    assert claims == [name]
    for other in ("empty", "text", "folder"):
        target = tmp_path / other
        if other == "folder":
            target.mkdir()
        else:
            target.write_bytes(b"" if other == "empty" else b"hello\n" * 100)
        assert not any(r.can_read(target) for r in recorders_of_files.READERS)


@pytest.mark.parametrize("name", [n for n in FORMATS if n != "EDF and BDF"])
def test_mutated_files_give_our_errors_or_a_recording(tmp_path, name, seed):
    path = FORMATS[name](tmp_path)
    if name == "Blackrock nsx":
        path = path.rename(tmp_path / "x.ns2")
    whole, rng = path.read_bytes(), np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        for _ in range(25):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), rng.choice([1, 3, 30])):
                data[place] = rng.integers(0, 256)
            path.write_bytes(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
            with contextlib.suppress(NeurokitError):
                nks.io.read_seeg(path)["/signal"].to_dataset().load()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f: f / "missing.edf", "found nothing"),
        (lambda f: f, "folder with other content"),
        (lambda f: (f / "a.edf").write_bytes(b"") and f / "a.edf", "Expected a file|0 bytes"),
    ],
)
def test_what_is_no_recording_says_what_to_do(tmp_path, make, says):
    path = make(tmp_path)
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_seeg(path if isinstance(path, Path) else tmp_path / "a.edf")


def test_other_files_and_pickles_are_refused(tmp_path):
    (tmp_path / "a.edf").write_bytes(b"x" * 1000)
    with pytest.raises(FileFormatError, match=r"one of EDF and BDF, .*nks\.io\.read_meg"):
        nks.io.read_seeg(tmp_path / "a.edf")
    (tmp_path / "b.edf").write_bytes(pickle.dumps([1]))
    with pytest.raises(FileFormatError, match="pickle"):
        nks.io.read_seeg(tmp_path / "b.edf")


# -- the Bonn set ---------------------------------------------------------------------------------


def test_bonn_holds_what_its_text_files_say(data_folder):
    tree = read_bonn(data_folder / "seeg" / "bonn")
    with zipfile.ZipFile(data_folder / "seeg" / "bonn" / "bonn_eeg_dataset.zip") as archive:
        for folder, name in (("A_Z", "Z"), ("B_O", "O"), ("C_N", "N"), ("D_F", "F"), ("E_S", "S")):
            data = schema.check(signal_of(tree, f"/signal/{name}"), "signal")
            assert dict(data.sizes) == {"trial": 100, "time": 4097, "channel": 1}
            assert data["segment"].values[:2].tolist() == [f"{name}001", f"{name}002"]
            (entry,) = [
                n for n in archive.namelist() if n.lower() == f"{folder}/{name}017.txt".lower()
            ]
            text = archive.read(entry).split()
            assert data["signal"].values[16, :, 0].tolist() == [float(t) for t in text]
            assert even_clock(data) == (0.0, 173.61)
            assert data["channel_type"].item() == ("eeg" if name in "ZO" else "seeg")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"../Z001.txt": b"1\n"}, "out of its folder"),
        ({"/Z001.txt": b"1\n"}, "out of its folder"),
        ({"A/Z001.txt": b"1\n" * 400_000}, "not unpacked"),
        ({"A/Z001.txt": b"1\nx\n"}, "Expected numbers in A/Z001.txt"),
        ({"A/Z001.txt": b"1\n2\n", "A/Z002.txt": b"1\n"}, "one length"),
        ({"A/other": b""}, "found none"),
    ],
)
def test_bonn_archives_that_are_others_are_refused(tmp_path, entries, says):
    with zipfile.ZipFile(tmp_path / "bonn_eeg_dataset.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        with pytest.raises(FileFormatError, match=says):
            read_bonn(tmp_path)


def test_bonn_archive_that_is_damaged_is_refused(tmp_path, data_folder):
    whole = (data_folder / "seeg" / "bonn" / "bonn_eeg_dataset.zip").read_bytes()
    (tmp_path / "bonn_eeg_dataset.zip").write_bytes(whole[:50_000])
    with pytest.raises(FileFormatError, match="damaged"):
        read_bonn(tmp_path)


# -- references and contacts --------------------------------------------------------------------


def grid(rows: int = 4, columns: int = 8) -> xr.Dataset:
    """Contacts G1, G2, ... of a grid, 4 mm apart, numbered row after row."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return recording(
        stored((50, rows * columns)) * 1e-6,
        channel=[f"G{k + 1}" for k in range(rows * columns)],
        x=("channel", column * 4e-3, {"units": "m"}),
        y=("channel", row * 4e-3, {"units": "m"}),
        z=("channel", np.zeros(rows * columns), {"units": "m"}),
        coord_frame=("channel", ["head"] * (rows * columns)),
    )


def test_pairs_that_wrap_round_a_grid_are_named():
    with pytest.warns(DataWarning) as said:
        pairs = nks.io.bipolar_reference(grid())
    (text,) = (str(w.message) for w in said)
    # The row's other end, 7 steps of 4 mm away and one row on.
    assert "G8-G9 (0.0283 m), G16-G17 (0.0283 m), G24-G25 (0.0283 m)" in text
    assert "3 bipolar pairs" in text
    assert "most (0.004 m)" in text
    assert pairs.sizes["channel"] == 31
    one_row = nks.io.bipolar_reference(grid(rows=1))  # no warning
    assert one_row.sizes["channel"] == 7


def test_unknown_positions_are_not_measured():
    unknown = np.full(32, np.nan)
    data = grid().assign_coords(dict.fromkeys("xyz", ("channel", unknown, {"units": "m"})))
    assert nks.io.bipolar_reference(data).sizes["channel"] == 31
    assert nks.io.bipolar_reference(grid().drop_vars(["z"])).sizes["channel"] == 31


def test_pairs_of_the_sample_grid_are_named(data_folder):
    path = data_folder / "seeg" / "ecog_seeg" / "sample_ecog_ieeg.fif"
    with pytest.warns(DataWarning, match=r"23 bipolar pairs.*G16-G17.*OFMG8-OFMG9"):
        nks.io.bipolar_reference(nks.io.read(path))


def test_what_was_bipolar_once_is_so_after_an_average_too():
    pairs = nks.io.bipolar_reference(grid(rows=1))
    averaged = nks.io.common_average(pairs)
    assert averaged.attrs["reference"] == "bipolar; common average"
    without_word = averaged.assign_attrs(reference="common average")  # as versions before wrote
    without_history = averaged.assign_attrs(history=[])
    for data in (averaged, without_word, without_history):
        with pytest.raises(SchemaError, match="got a bipolar one"):
            nks.io.bipolar_reference(data)
    assert nks.io.common_average(grid(rows=1)).attrs["reference"] == "common average"


@pytest.mark.parametrize("word", ["names", "shafts", "types"])
def test_contacts_are_chosen_by_text(word):
    with pytest.raises(ParameterError, match=f"Expected {word} as text or a list of it, got 5"):
        nks.io.select_contacts(grid(), **{word: 5})


def test_a_folder_without_a_name_is_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileFormatError, match="found a folder with other content"):
        nks.io.read_seeg(".")
