"""EDF and BDF: what comes back is what the file holds, and what cannot be read says why."""

from __future__ import annotations

import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import recorders
import xarray as xr
from signal_files import EPS, assert_close, damaged, quiet_mne, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError, NeurokitError


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
