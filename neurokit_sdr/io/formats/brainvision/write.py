"""Signals to BrainVision: 32-bit floats, a header, and markers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import atomic_path

#: Written at a time.
_BLOCK = 1 << 22

_HEADER = """Brain Vision Data Exchange Header File Version 1.0
; Written by neurokit_sdr

[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={number}
SamplingInterval={interval}

[Binary Infos]
BinaryFormat=IEEE_FLOAT_32

[Channel Infos]
; Ch<number>=<name>,<reference>,<resolution in unit>,<unit>; commas are coded as \\1
{channels}
"""

_MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg

[Marker Infos]
; Mk<number>=<type>,<description>,<position>,<size>,<channel, 0 for all>,<date>
Mk1=New Segment,,1,1,0,{date}
{markers}"""


def write_brainvision(
    data: xr.Dataset, path: Path, rate: float, start: float, events: xr.Dataset | None, date: str
) -> float:
    """Write 32-bit floats in the units of the channels; the header comes last.

    Returns
    -------
    float
        Largest relative error that 32 bits cost; 0 where every value is one already.
    """
    stem, number = path.stem, data.sizes["channel"]
    worst = 0.0
    at_once = max(_BLOCK // (8 * max(number, 1)), 1)
    with atomic_path(path.with_suffix(".eeg")) as temporary, temporary.open("wb") as stream:
        for first in range(0, data.sizes["time"], at_once):
            values = data["signal"].isel(time=slice(first, first + at_once)).values
            stored = values.astype("<f4")
            _check_floats(values, stored)
            with np.errstate(divide="ignore", invalid="ignore"):
                off = np.abs(stored - values) / np.abs(values)
            worst = max(worst, float(np.nanmax(off, initial=0.0)))
            stream.write(stored.tobytes())
    lines = []
    if events is not None:
        onset = np.rint((events["event_onset"].values - start) * rate).astype(np.int64) + 1
        length = np.nan_to_num(events["event_duration"].values)
        size = np.maximum(np.rint(length * rate), 1).astype(np.int64)
        for k, label in enumerate(map(str, events["event_label"].values)):
            text = " ".join(label.split()).replace(",", r"\1")
            lines.append(f"Mk{k + 2}=Comment,{text},{onset[k]},{size[k]},0\n")
    moment = re.sub(r"\D", "", date)[:20].ljust(20, "0") if date else "0" * 20
    with atomic_path(path.with_suffix(".vmrk")) as temporary:
        temporary.write_text(
            _MARKERS.format(stem=stem, date=moment, markers="".join(lines)), encoding="utf-8"
        )
    names = [str(n).replace(",", r"\1") for n in data["channel"].values]
    units = [str(u).replace(",", r"\1") for u in data["channel_unit"].values]
    rows = [f"Ch{k + 1}={n},,1,{u}" for k, (n, u) in enumerate(zip(names, units, strict=True))]
    with atomic_path(path) as temporary:
        temporary.write_text(
            _HEADER.format(
                stem=stem, number=number, interval=_interval(rate), channels="\n".join(rows)
            ),
            encoding="utf-8",
        )
    return worst


def _interval(rate: float) -> str:
    """Microseconds between samples, such that a reader computes the very rate from them."""
    near = 1e6 / rate
    for value in (near, np.nextafter(near, 0.0), np.nextafter(near, np.inf)):
        if 1e6 / float(value) == rate:
            return repr(float(value))
    return repr(near)


def _check_floats(values: np.ndarray, stored: np.ndarray) -> None:
    if np.isinf(stored).any() and not np.isinf(values).any():
        raise FileFormatError(
            "Expected values that 32-bit floats can hold, up to 3.4e38, got larger ones."
        )
