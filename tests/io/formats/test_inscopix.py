"""Inscopix: what comes back is what the tables hold, and what cannot be read says why."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from calcium_files import inscopix

import neurokit_sdr as nks
from neurokit_sdr.core.clock import even_clock
from neurokit_sdr.core.errors import DataWarning, FileFormatError


def test_inscopix(tmp_path):
    rows = ["0.1,1.5,-2", "0.15,,3.25", "0.21,1e-3,0.1"]
    path = inscopix(tmp_path / "traces.csv", *rows)
    with (tmp_path / "traces-props.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["Name", "Status", "CentroidX", "CentroidY", "Size", "Note"])
        table.writerow(["C01", "undecided", "4.5", "6", "", "é"])
        table.writerow(["C00", "accepted", "1.5", "2", "30", ""])
    session = nks.io.read_calcium(path)
    data = session["/calcium"].to_dataset()
    assert data["unit"].values.tolist() == ["C00", "C01"]
    assert data["time"].values.tolist() == [0.1, 0.15, 0.21]
    np.testing.assert_array_equal(
        data["fluorescence"].values, [[1.5, -2], [np.nan, 3.25], [1e-3, 0.1]]
    )
    assert data["status"].values.tolist() == ["accepted", "undecided"]
    assert data["is_cell"].values.tolist() == [True, False]
    assert data["CentroidX"].values.tolist() == [1.5, 4.5]
    np.testing.assert_array_equal(data["Size"].values, [30, np.nan])
    assert data["Note"].values.tolist() == ["", "é"]
    even = nks.io.read_calcium(path, sampling_rate=20.0)["/calcium"].to_dataset()
    assert even_clock(even) == (0.1, 20.0)
    nothing = nks.io.read_calcium(inscopix(tmp_path / "b.csv"))["/calcium"]
    assert dict(nothing.sizes) == {"time": 0, "unit": 2}


def test_inscopix_with_a_table_of_other_cells(tmp_path):
    path = inscopix(tmp_path / "traces.csv", "0,1,2")
    (tmp_path / "traces-props.csv").write_text("Name,Size\nC05,3\n")
    with pytest.warns(DataWarning, match=r"traces-props\.csv \(KeyError"):
        nks.io.read_calcium(path)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["0,1,2", "0,1,2"], "rising times.*line 4"),
        (["0,1,2", ",1,2"], "rising times.*line 4"),
        (["0,1,x"], "Expected numbers below"),
        (["0,1"], "3 numbers in each line.*got 2"),
        (["0,1,2", "0,1,2,3"], "Expected"),
    ],
)
def test_damaged_inscopix(tmp_path, rows, says):
    with pytest.raises(FileFormatError, match=says):
        nks.io.read_calcium(inscopix(tmp_path / "a.csv", *rows))


def test_doubled_names_in_inscopix(tmp_path):
    with pytest.raises(FileFormatError, match="more than once"):
        nks.io.read_calcium(inscopix(tmp_path / "a.csv", "0,1,2", names=" ,C,C"))
