"""Cell traces that Inscopix's software exports as CSV, with the table of cell properties."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file, check_inside
from neurokit_sdr.io import assemble, imaging
from neurokit_sdr.io.registry import Reader, with_chunks

_STATUS = ("accepted", "rejected", "undecided")


def is_inscopix(path: Path) -> bool:
    """Whether a path is a CSV file of cell traces."""
    try:
        return path.is_file() and _header(path) is not None
    except (OSError, ValueError, csv.Error):
        return False


def _header(path: Path) -> tuple[list[str], list[str]] | None:
    """Names and status of the cells; None where the first two lines are others."""
    with path.open("rb") as stream:
        lines = [stream.readline(2**24) for _ in range(2)]
    text = [line.decode("utf-8-sig") for line in lines]
    rows = list(csv.reader(text, skipinitialspace=True, strict=True))
    if len(rows) != 2 or len(rows[0]) != len(rows[1]) or len(rows[0]) < 2:
        return None
    names, status = ([field.strip() for field in row] for row in rows)
    known = all(word.lower() in _STATUS for word in status[1:])
    if not status[0].lower().startswith("time") or not known:
        return None
    return names[1:], [word.lower() for word in status[1:]]


def read_inscopix(path: Path, sampling_rate: float | None = None) -> xr.DataTree:
    """Read cell traces; :func:`neurokit_sdr.io.read_calcium` says into what."""
    check_file(path)
    header = _header(path)
    if header is None:
        raise FileFormatError(f"Expected names and status of cells on top of {path}.")
    names, status = header
    values = _numbers(path, len(names) + 1)
    time, light = values[:, 0], values[:, 1:]
    rising = np.isfinite(time)
    rising[1:] &= np.diff(time) > 0
    if not rising.all():
        line = int(np.argmin(rising)) + 3
        raise FileFormatError(
            f"Expected rising times in seconds in the first column of {path}, got {time[line - 3]} "
            f"in line {line}: export the traces again."
        )
    columns = {
        "status": xr.Variable("unit", np.array(status, dtype=np.str_)),
        "is_cell": xr.Variable(
            "unit", np.array(status) == "accepted", {"comment": "status is accepted"}
        ),
    }
    left: list[str] = []
    props = path.with_name(f"{path.stem}-props.csv")
    if props.is_file():
        columns |= _properties(check_inside(props, path.parent), names, left)
    clock: Any = time
    attrs: dict[str, Any] = {}
    if sampling_rate is not None:
        clock = imaging.clock(time.size, sampling_rate, float(time[0]) if time.size else 0.0)
        attrs["sampling_rate"] = sampling_rate
    calcium = imaging.calcium_dataset(
        {"fluorescence": imaging.trace("fluorescence", light)},
        np.array(names, dtype=np.str_),
        clock,
        columns,
        attrs,
        str(path),
    )
    calcium["fluorescence"].attrs["comment"] = "in the unit of the export (dF, dF/F or SNR)"
    assemble.warn_left_out(path, left)
    return imaging.plane_groups({"plane": {"calcium": calcium}})


def _numbers(path: Path, width: int) -> np.ndarray:
    """The table of numbers; what is empty (a dropped frame) is NaN."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = (line for number, line in enumerate(stream) if number > 1 and line.strip())
            first = next(lines, None)
            if first is None:
                return np.zeros((0, width))
            filled = map(_filled, itertools.chain([first], lines))
            table = np.loadtxt(filled, np.float64, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise FileFormatError(
            f"Expected numbers below the first two lines of {path}, got something else ({error}): "
            f"export the traces again."
        ) from error
    if table.shape[1] != width:
        raise FileFormatError(
            f"Expected {width} numbers in each line of {path}, one time and one per cell, got "
            f"{table.shape[1]}: export the traces again."
        )
    return table


def _filled(line: str) -> str:
    """A line whose empty fields say nan."""
    if ",," not in line and not line.startswith(",") and not line.rstrip().endswith(","):
        return line
    return ",".join(field.strip() or "nan" for field in line.split(","))


def _properties(path: Path, names: list[str], left: list[str]) -> dict[str, xr.Variable]:
    """Columns of the table that the export puts beside the traces, one row per cell."""
    try:
        check_file(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head, *rows = list(csv.reader(stream, skipinitialspace=True, strict=True))
        number = head.index("Name")
        by_name = {row[number].strip(): row for row in rows if row}
        chosen = [by_name[name] for name in names]
        if any(len(row) != len(head) for row in chosen):
            raise ValueError("lines of unequal length")
    except (ValueError, KeyError, IndexError, OSError, csv.Error, FileFormatError) as error:
        left.append(f"{path.name} ({type(error).__name__}: {error})")
        return {}
    columns: dict[str, xr.Variable] = {}
    for k, field in enumerate(head):
        if field in ("Name", "Status"):
            continue
        texts = [row[k].strip() for row in chosen]
        new = assemble.free_name(field, ["time", "unit", "status", "is_cell", *columns])
        try:
            numbers = np.array([float(t) if t else np.nan for t in texts])
            columns[new] = xr.Variable("unit", numbers)
        except ValueError:
            columns[new] = xr.Variable("unit", np.array(texts, dtype=np.str_))
    return columns


READER = Reader(
    name="Inscopix CSV",
    kinds=("calcium", "rois"),
    keeps="cell traces, accepted, rejected or undecided, cell properties, real frame times",
    can_read=is_inscopix,
    read=with_chunks(read_inscopix),
)
