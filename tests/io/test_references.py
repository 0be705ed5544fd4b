"""Contacts and references against arithmetic."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from bids_files import HFO, column, table
from signal_files import quiet_mne, recording, signal_of, stored

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import DataWarning, ParameterError, SchemaError
from neurokit_sdr.io.contacts.names import split_name


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


@pytest.mark.parametrize(
    ("name", "shaft", "number", "against"),
    [
        ("LA'12", "LA'", 12, ""),
        ("HL1-2", "HL", 1, "2"),
        ("POL A1-Ref", "A", 1, "Ref"),
        ("EEG B3", "B", 3, ""),
        ("EEG TP’1-REF", "TP’", 1, "REF"),
        ("LFP_RIGHT_0", "LFP_RIGHT", 0, ""),
        ("Å 07", "Å", 7, ""),
        ("后3", "后", 3, ""),
        ("A-1", "A", 1, ""),
        ("B'-12-Ref", "B'", 12, "Ref"),
        ("SEEG001", "SEEG", 1, ""),
        ("A1-A2", "A", 1, "A2"),
        ("R1A2", "R1A", 2, ""),
        ("seeg LAH10", "LAH", 10, ""),
        ("ECG", "", -1, ""),
        ("12", "", -1, ""),
        ("", "", -1, ""),
        ("Fz-Cz", "", -1, ""),
    ],
)
def test_names_are_split(name, shaft, number, against):
    assert split_name(name) == (shaft, number, against)


def contacts() -> xr.Dataset:
    """Two shafts with a hole and a bad contact, an ECG, positions."""
    names = ["A1", "A2", "A3", "A5", "B'1", "B'2", "ECG"]
    number = len(names)
    values = np.random.default_rng(0).normal(size=(20, number))
    data = recording(values, 100.0)
    return data.assign_coords(
        channel=names,
        channel_type=("channel", ["seeg"] * 6 + ["ecg"]),
        bad=("channel", [False, False, True, False, False, False, False]),
        x=("channel", np.arange(number) * 1.0, {"units": "m"}),
        y=("channel", np.r_[np.arange(number - 1) * 2.0, np.nan], {"units": "m"}),
        z=("channel", np.zeros(number), {"units": "m"}),
        coord_frame=("channel", ["ACPC"] * number),
        brain_area=("channel", ["CA1", "CA1", "CA3", "CA3", "V1", "V2", ""]),
        impedance=("channel", [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 0.0]),
    ).assign_attrs(reference="scalp")


def held(data: xr.Dataset, how: str, folder: Path) -> xr.Dataset:
    """The same signal in memory, in dask, or in a file."""
    if how == "dask":
        return data.chunk({"time": 7, "channel": 2})
    if how == "file":
        nks.io.write_bids(data.astype(np.float32), folder, subject="01", task="x")
        lazy = signal_of(nks.io.read(folder))["signal"].variable
        return data.assign(signal=lazy)
    return data


def single(data: xr.Dataset) -> xr.Dataset:
    """Values that 32-bit floats hold, so that each way of holding them holds the same."""
    return data.assign(signal=data["signal"].astype(np.float32).astype(np.float64))


@pytest.mark.parametrize("how", ["memory", "dask", "file"])
@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
def test_bipolar_reference_is_the_difference_of_neighbours(tmp_path, how):
    data = single(contacts())
    given = held(data, how, tmp_path)
    pairs = nks.io.bipolar_reference(given)
    assert pairs["channel"].values.tolist() == ["A1-A2", "A2-A3", "B'1-B'2", "ECG"]
    values = data["signal"].values
    expected = np.stack(
        [values[:, 0] - values[:, 1], values[:, 1] - values[:, 2], values[:, 4] - values[:, 5],
         values[:, 6]], axis=1)  # fmt: skip
    assert np.array_equal(pairs["signal"].values, expected)
    assert np.array_equal(pairs["signal"].isel(time=slice(3, 9, 2), channel=1), expected[3:9:2, 1])
    assert np.array_equal(pairs["signal"].isel(time=4, channel=[2, 0]), expected[4, [2, 0]])
    assert pairs["bad"].values.tolist() == [False, True, False, False]
    assert pairs["x"].values.tolist() == [0.5, 1.5, 4.5, 6.0]
    assert pairs["brain_area"].values.tolist() == ["CA1", "CA1 | CA3", "V1 | V2", ""]
    assert pairs["impedance"].values.tolist()[0] == 1.0
    assert np.isnan(pairs["impedance"].values[1])
    assert pairs["anode"].values.tolist() == ["A1", "A2", "B'1", "ECG"]
    assert pairs["cathode"].values.tolist() == ["A2", "A3", "B'2", ""]
    assert pairs.attrs["reference"] == "bipolar"
    assert "3 pairs" in pairs.attrs["history"][-1]
    assert (pairs["signal"].chunks is not None) == (how == "dask")
    if how == "file":
        assert "channel" in pairs["signal"].dims
        assert not pairs["signal"].variable._in_memory
        again = pickle.loads(pickle.dumps(pairs))
        assert np.array_equal(again["signal"].values, expected)
    schema.check(pairs, "signal")
    assert data.identical(single(contacts()))  # the input is unchanged


def test_contacts_without_a_neighbour_are_named():
    with pytest.warns(DataWarning, match="1 contacts have no neighbour.*A5"):
        pairs = nks.io.bipolar_reference(contacts())
    assert "left out: A5" in pairs.attrs["history"][-1]
    with pytest.raises(SchemaError, match="common reference"):
        nks.io.bipolar_reference(pairs)
    with pytest.raises(SchemaError, match="follow each other"):
        nks.io.bipolar_reference(contacts().isel(channel=[0, 2, 6]))
    doubled = contacts().assign_coords(channel=["A1", "A2", "A3", "A 3", "B'1", "B'2", "ECG"])
    with pytest.raises(SchemaError, match="one channel per contact, got 'A3' and 'A 3'"):
        nks.io.bipolar_reference(doubled)


def test_pairs_of_names_with_references_are_named_plainly():
    data = contacts().isel(channel=[0, 1]).assign_coords(channel=["POL A1-Ref", "POL A2-Ref"])
    assert nks.io.bipolar_reference(data)["channel"].values.tolist() == ["A1-A2"]


@pytest.mark.parametrize("how", ["memory", "dask", "file"])
@pytest.mark.filterwarnings("ignore::neurokit_sdr.core.errors.DataWarning")
def test_common_average_leaves_bad_contacts_out(tmp_path, how):
    data = single(contacts())
    given = held(data, how, tmp_path)
    values = data["signal"].values
    good = [0, 1, 3, 4, 5]
    expected = values.copy()
    expected[:, :6] -= values[:, good].mean(axis=1, keepdims=True)
    found = nks.io.common_average(given)
    assert np.allclose(found["signal"].values, expected, rtol=0, atol=8 * np.finfo(float).eps * 4)
    assert np.array_equal(found["signal"].values[:, 6], values[:, 6])  # the ECG
    part = found["signal"].isel(time=slice(2, 5), channel=2)
    assert np.array_equal(part.values, found["signal"].values[2:5, 2])
    assert found.attrs["reference"] == "common average"
    assert "5 good contacts" in found.attrs["history"][-1]
    by_shaft = nks.io.common_average(given, by="shaft")["signal"].values
    mean_a, mean_b = values[:, [0, 1, 3]].mean(axis=1), values[:, 4:6].mean(axis=1)
    assert np.allclose(by_shaft[:, 2], values[:, 2] - mean_a, rtol=0, atol=1e-14)
    assert np.allclose(by_shaft[:, 5], values[:, 5] - mean_b, rtol=0, atol=1e-14)
    if how == "file":
        assert not found["signal"].variable._in_memory


def test_common_average_by_type_and_what_it_refuses():
    data = contacts()
    mixed = data.assign_coords(channel_type=("channel", ["seeg"] * 4 + ["ecog"] * 2 + ["ecg"]))
    found = nks.io.common_average(mixed, by="type")["signal"].values
    values = data["signal"].values
    assert np.allclose(found[:, 4], (values[:, 4] - values[:, 5]) / 2, rtol=0, atol=1e-14)
    with pytest.raises(ParameterError, match="None, 'shaft' or 'type'"):
        nks.io.common_average(data, by="lead")
    with pytest.raises(SchemaError, match=r"two good contacts.*1 of 1"):
        nks.io.common_average(data.isel(channel=[0, 1, 5]), by="shaft")
    with pytest.raises(SchemaError, match="Expected contacts"):
        nks.io.common_average(data.isel(channel=[6]))
    units = data.assign_coords(channel_unit=("channel", ["V"] * 5 + ["uV", "V"]))
    with pytest.raises(SchemaError, match="one unit"):
        nks.io.common_average(units)


def test_contacts_are_selected_and_steps_are_recorded(data_folder):
    session = nks.io.read(data_folder / "seeg" / "hfo_bids")
    chosen = nks.io.select_contacts(session, shafts=["HL", "AHR"], types="ecog", drop_bad=True)
    names = chosen["/signal/channel"].values.tolist()
    listed = column(table(data_folder / "seeg" / "hfo_bids" / f"{HFO}_channels.tsv"), "name")
    assert names == [n for n in listed if n.rstrip("0123456789") in ("HL", "AHR")]
    assert not chosen["/signal/signal"].variable._in_memory
    assert chosen["/events"].identical(session["/events"])
    pairs = nks.io.bipolar_reference(chosen)
    assert pairs["/signal"].sizes["channel"] == len(names) - 2
    history = pairs["/signal"].attrs["history"]
    assert [line.partition(":")[0] for line in history] == ["select_contacts", "bipolar_reference"]
    raw = quiet_mne("brainvision", data_folder / "seeg" / "hfo_bids" / f"{HFO}_ieeg.vhdr")
    expected = raw["HL1"][0][0] - raw["HL2"][0][0]
    assert np.array_equal(pairs["/signal"].to_dataset()["signal"].sel(channel="HL1-HL2"), expected)
    schema.check(signal_of(pairs), "signal")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ["A1", "A9"]}, r"names among .*got \['A9'\]"),
        ({"shafts": "C"}, "shafts among"),
        ({"types": "eeg"}, "types among"),
        ({"shafts": "A", "types": "ecg"}, "got none of 7"),
        ({"names": []}, "got none"),
    ],
)
def test_selections_of_nothing_are_refused(options, says):
    with pytest.raises(ParameterError, match=says):
        nks.io.select_contacts(contacts(), **options)


def test_own_shafts_are_used_and_kept():
    data = contacts().isel(channel=slice(0, 3)).assign_coords(channel=["x", "y", "z"])
    with pytest.raises(SchemaError, match="set the coordinates shaft and contact"):
        nks.io.bipolar_reference(data)
    data = data.assign_coords(shaft=("channel", ["P"] * 3), contact=("channel", [1, 2, 3]))
    assert nks.io.bipolar_reference(data)["channel"].values.tolist() == ["x-y", "y-z"]
    assert nks.io.select_contacts(data, shafts="P").sizes["channel"] == 3


@pytest.mark.parametrize("step", ["split_contact_names", "bipolar_reference", "common_average"])
def test_steps_refuse_what_is_no_signal(step):
    with pytest.raises(SchemaError, match="signal"):
        getattr(nks.io, step)(xr.Dataset())
    with pytest.raises(SchemaError, match="/signal"):
        getattr(nks.io, step)(xr.DataTree.from_dict({"/events": xr.Dataset()}))
