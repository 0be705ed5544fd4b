"""Signals, electrodes, units and behaviour in NWB: of other laboratories, and ours for them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from nwb_files import SAID, nwb_file, opened, recorded, same, signal_of, write

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, SchemaError


def electrical(file, name: str, data, rows, **options):
    from pynwb.ecephys import ElectricalSeries

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb's own opinions about this test's files
        region = file.create_electrode_table_region(list(rows), "some")
        return ElectricalSeries(name=name, data=np.asarray(data), electrodes=region, **options)


@SAID
def test_raw_data_of_two_probes_and_lfp_at_another_rate(tmp_path):
    from pynwb.ecephys import LFP

    file = recorded(channel_name=["A1", "A2", "B1", "B2"])
    raw = np.arange(200, dtype=np.int16).reshape(100, 2)
    for probe, rows in enumerate(([0, 1], [2, 3])):
        file.add_acquisition(
            electrical(
                file,
                f"raw{probe}",
                raw + probe,
                rows,
                rate=1000.0,
                starting_time=0.5,
                conversion=2e-6,
                offset=1e-3,
                channel_conversion=[1.0, 3.0],
                filtering="300 Hz high pass",
            )
        )
    lfp = electrical(
        file, "lfp", np.arange(10, dtype=np.float32), [3], timestamps=np.arange(10) / 7
    )
    file.create_processing_module("ecephys", "signals").add(LFP(electrical_series=lfp))
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    assert list(session["signal"].children) == ["lfp", "raw0", "raw1"]
    one = session["/signal/raw1"].to_dataset()
    assert not isinstance(one["signal"].variable._data, np.ndarray)
    expected = (raw + 1) * np.array([1.0, 3.0]) * 2e-6 + 1e-3
    assert np.array_equal(one["signal"].values, expected)
    assert np.array_equal(one["signal"][5:60:7, 1].values, expected[5:60:7, 1])
    assert one["signal"].attrs["units"] == "V"
    assert even_clock(one) == (0.5, 1000.0)
    assert one.attrs["sampling_rate"] == 1000.0
    assert one.attrs["filtering"] == "300 Hz high pass"
    assert one["channel"].values.tolist() == ["B1", "B2"]
    assert one["channel_unit"].values.tolist() == ["V", "V"]
    assert one["channel_type"].values.tolist() == ["misc", "misc"]
    assert one["electrode"].values.tolist() == [2, 3]
    assert one["location"].values.tolist() == ["L2", "L3"]
    assert one["group_name"].values.tolist() == ["probe1", "probe1"]
    assert one["y"].values.tolist() == pytest.approx([40e-6, 60e-6])
    assert one["y"].attrs["units"] == "m"
    assert np.isnan(one["z"].values).all()
    assert one["coord_frame"].values == "unknown"
    slow = session["/signal/lfp"].to_dataset()
    assert slow["signal"].shape == (10, 1)
    assert slow["signal"].dtype == np.float32
    assert slow["signal"][2:5].values.ravel().tolist() == [2, 3, 4]
    assert slow["signal"][:, 0].values.tolist() == list(range(10))
    assert slow["time"].values.tolist() == (np.arange(10) / 7).tolist()
    assert session["/electrodes/y"].attrs["units"] == "um"


def test_one_signal_without_names_and_with_a_gap(tmp_path):
    file = recorded()
    times = np.array([0.0, 0.1, 5.0, 5.1])
    file.add_acquisition(
        electrical(file, "raw", np.arange(12.0).reshape(4, 3), [2, 0, 0], timestamps=times)
    )
    signal = nks.io.read(write(file, tmp_path / "a.nwb"))["/signal"].to_dataset()
    assert signal["channel"].values.tolist() == ["2_0", "0_1", "0_2"]
    assert signal["time"].values.tolist() == times.tolist()
    assert "sampling_rate" not in signal.attrs


@SAID
def test_signals_that_cannot_be_kept_are_named(tmp_path):
    from pynwb.ecephys import SpikeEventSeries

    file = recorded()
    back = np.array([0.0, 0.2, 0.1])
    file.add_acquisition(electrical(file, "back", np.ones((3, 2)), [0, 1], timestamps=back))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb says itself that the shape is wrong
        file.add_acquisition(electrical(file, "wide", np.ones((3, 4)), [0, 1], rate=1.0))
    region = file.create_electrode_table_region([0], "one")
    file.add_acquisition(
        SpikeEventSeries(
            name="snippets", data=np.ones((2, 5)), timestamps=[0.0, 1.0], electrodes=region
        )
    )
    with pytest.warns(DataWarning) as caught:
        session = nks.io.read(write(file, tmp_path / "a.nwb"))
    text = str(caught[0].message)
    assert "back (ElectricalSeries with times that do not rise)" in text
    assert "wide (ElectricalSeries with values of shape (3, 4) for 2 electrodes)" in text
    assert "snippets (SpikeEventSeries)" in text
    assert set(session.children) == {"electrodes"}


def test_two_tables_of_units(tmp_path):
    from pynwb.misc import Units

    file = nwb_file()
    module = file.create_processing_module("ecephys", "sorted")
    for k, name in enumerate(("probeA", "probeB")):
        units = Units(name=name, description="sorted")
        units.add_unit(spike_times=[0.5 + k, 2.0], id=k)
        module.add(units)
    session = nks.io.read_spikes(write(file, tmp_path / "a.nwb"))
    assert list(session["spikes"].children) == ["probeA", "probeB"]
    assert session["/spikes/probeB/spike_time"].values.tolist() == [1.5, 2.0]
    with pytest.raises(SchemaError, match="choose one"):
        nks.core.schema.select(session, "spikes")
    nks.io.write_nwb(session, tmp_path / "b.nwb")
    same(session, nks.io.read(tmp_path / "b.nwb"))


@SAID
def test_electrodes_of_another_laboratory_stay_electrodes(tmp_path):
    file = recorded(shank=[0, 0, 1, 1])
    file.add_unit_column("quality", "of the unit")
    file.add_unit(spike_times=[0.5], electrodes=[1, 2], quality="good", id=4)
    file.add_unit(spike_times=[0.6], electrodes=[], quality="bad", id=5)
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    path = tmp_path / "b.nwb"
    nks.io.write_nwb(session, path)
    same(session, nks.io.read(path))
    with opened(path) as stream:
        back = stream.read()
        table = back.electrodes
        assert table["y"][:].tolist() == [0, 20, 40, 60]
        assert table["location"][:].tolist() == ["L0", "L1", "L2", "L3"]
        assert [g.name for g in table["group"][:]] == ["probe0", "probe0", "probe1", "probe1"]
        assert table["group_name"][:].tolist() == ["probe0", "probe0", "probe1", "probe1"]
        assert table["shank"][:].tolist() == [0, 0, 1, 1]
        assert back.electrode_groups["probe1"].location == "CA1"
        assert back.electrode_groups["probe1"].device.name == "probe"
        assert back.units["electrodes"][0].index.tolist() == [1, 2]
        assert len(back.units["electrodes"][1]) == 0
        assert not [n for n in back.scratch if n.startswith("electrodes")]


def test_electrodes_in_metres_are_micrometres_for_others_and_exact_for_us(tmp_path):
    metres = np.array([0.1, 0.0123, np.nan])
    electrodes = xr.Dataset(
        {"imp": ("electrode", ["n/a", "5", "6"]), "note": ((), "one for all")},
        coords={
            "electrode": ["A1", "A2", "A3"],
            "x": ("electrode", metres, {"units": "m"}),
            "group": ("electrode", ["a/b", "", "a/b"]),
        },
        attrs={"space": "mni"},
    )
    signal = signal_of(["A3", "A1"], ["seeg", "ecog"])
    session = xr.DataTree.from_dict({"/signal": signal, "/electrodes": electrodes})
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(session, path)
    same(session, nks.io.read(path))
    with opened(path) as stream:
        back = stream.read()
        assert back.electrodes["x"][:].tolist() == pytest.approx([1e5, 12300, np.nan], nan_ok=True)
        assert back.electrodes["group_name"][:].tolist() == ["a_b", "unknown", "a_b"]
        series = back.processing["signal"]["signal"]
        assert series.neurodata_type == "ElectricalSeries"
        assert series.electrodes.data[:].tolist() == [2, 0]
        assert series.electrodes.table is back.electrodes


def test_channels_are_electrodes_or_at_least_have_names(tmp_path):
    session = xr.DataTree.from_dict(
        {
            "/signal/brain": signal_of(["A1", "A2"], ["seeg", "eeg"]),
            "/signal/mixed": signal_of(["A1", "ECG"], ["seeg", "ecg"]),
        }
    )
    path = tmp_path / "a.nwb"
    nks.io.write_nwb(session, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = nks.io.read(path)
    same(session, back)
    with opened(path) as stream:
        file = stream.read()
        assert file.electrodes["channel_name"][:].tolist() == ["A1", "A2"]
        assert file.electrodes["x"][:].tolist() == [0, 1000]
        module = file.processing["signal"]
        assert module["brain_signal"].neurodata_type == "ElectricalSeries"
        assert module["mixed_signal"].neurodata_type == "TimeSeries"
        assert module["mixed_channels"]["channel_name"][:].tolist() == ["A1", "ECG"]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 2), (5, 4), (1,)])
@pytest.mark.parametrize("stands", ["alone", "in a Position"])
def test_positions_of_every_shape_are_read(tmp_path, shape, stands):
    import pynwb

    file, values = nwb_file(), np.arange(float(np.prod(shape))).reshape(shape)
    file.add_unit(spike_times=[0.1, 0.2])
    module = file.create_processing_module(name="behavior", description="of the animal")
    clock = {"rate": 10.0, "starting_time": 0.0}
    if stands == "alone":
        module.add(pynwb.TimeSeries(name="position", data=values, unit="m", **clock))
    else:
        track = pynwb.behavior.SpatialSeries(
            name="track", data=values[:, :3] if values.ndim > 1 else values, **clock
        )
        values = track.data
        module.add(pynwb.behavior.Position(spatial_series=track))
    session = nks.io.read(write(file, tmp_path / "a.nwb"))
    assert np.array_equal(session["/behavior"]["position"].values, values)
