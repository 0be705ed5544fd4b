"""Persyst: a text layout (``.lay``) and the samples beside it."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError
from neurokit_sdr.core.files import check_file, check_inside
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.recording import (
    distrust,
    events_dataset,
    interval_dataset,
    signal_dataset,
    unique_names,
)
from neurokit_sdr.io.registry import Reader, with_chunks
from neurokit_sdr.io.samples import Layout, read_samples

_LARGEST = 1 << 26
_TYPES = {"0": "<i2", "7": "<i4"}
_DATES = ("%m/%d/%Y", "%d-%m-%Y", "%Y.%m.%d")


def is_persyst(path: Path) -> bool:
    """Whether a file is the layout of a Persyst recording."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(4096).lower()
    return b"[fileinfo]" in head and b"waveformcount" in head


def read_persyst(path: Path) -> xr.DataTree:
    """Read the recording of a layout file; :func:`neurokit_sdr.io.read_seeg` says into what."""
    path = check_file(path)
    with distrust(path, "Persyst layout"):
        return _read(path)


def _read(path: Path) -> xr.DataTree:
    sections = _sections(path)
    info = {k.lower(): v for k, v in sections.get("fileinfo", [])}
    names = [k for k, _ in sections.get("channelmap", [])]
    number = info.get("waveformcount", "")
    if not names or number != str(len(names)):
        raise FileFormatError(
            f"Expected {number or 'some'} channels under [ChannelMap] of {path}, got "
            f"{len(names)}: the layout is damaged or cut off."
        )
    data = _samples_file(path, info.get("file", ""))
    rate = _positive(info, "samplingrate", path)
    volts = _positive(info, "calibration", path) * 1e-6  # the calibration is in microvolts
    kind = _TYPES.get(info.get("datatype", ""))
    if kind is None:
        raise FileFormatError(
            f"Expected DataType 0 or 7 (integers of 16 or 32 bits) in {path}, got "
            f"{info.get('datatype')!r}: export it from Persyst again."
        )
    size, rest = divmod(data.stat().st_size, np.dtype(kind).itemsize * len(names))
    if rest:
        raise FileFormatError(
            f"Expected a whole number of samples of {len(names)} channels in {data}, got "
            f"{data.stat().st_size} bytes: it is cut off; copy it again."
        )
    layout = Layout(kind, True, size, (volts,) * len(names))
    starts, firsts = _clock(sections.get("sampletimes", []), size, rate, path)
    clock: Any = even_time(size, rate, 0.0)
    groups: dict[str, xr.Dataset] = {}
    if len(starts) > 1:
        lengths = np.diff([*firsts, size])
        within = np.arange(size) - np.repeat(firsts, lengths)
        clock = ("time", np.repeat(starts, lengths) + within / rate, {"units": "s"})
        groups["/observation_intervals"] = interval_dataset(
            starts, np.array(starts) + lengths / rate
        )
    groups["/signal"] = signal_dataset(
        lazy_variable(
            ("time", "channel"), partial(read_samples, str(data), layout), (size, len(names)), float
        ),
        clock,
        unique_names(names, path),
        ["eeg"] * len(names),
        ["V"] * len(names),
        columns={"file_unit": np.full(len(names), "uV")},
        attrs={"sampling_rate": rate},
    )
    events = _comments(sections.get("comments", []), path)
    if events is not None:
        groups["/events"] = events
    return assemble.session(groups, _patient(sections))


def _sections(path: Path) -> dict[str, list[tuple[str, str]]]:
    if path.stat().st_size > _LARGEST:
        raise FileFormatError(f"Expected a text file of at most {_LARGEST} bytes at {path}.")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.splitlines():
        header = re.fullmatch(r"\s*\[([^\]]+)\]\s*", line)
        if header:
            name = header[1].strip().lower()
            found.setdefault(name, [])
        elif line.strip():
            key, mark, value = line.partition("=")
            comment = name == "comments"
            entry = ("", line.strip()) if comment or not mark else (key.strip(), value.strip())
            found.setdefault(name, []).append(entry)
    return found


def _samples_file(path: Path, said: str) -> Path:
    # Persyst writes the full path of where the file once was; it lies beside the layout.
    name = PureWindowsPath(said).name
    if name in ("", ".", ".."):
        raise FileFormatError(f"Expected the name of a file of samples in {path}, got {said!r}.")
    found = path.parent / name
    if not found.is_file():
        raise FileFormatError(
            f"Expected {name}, the samples of {path.name}, beside it, found nothing: copy the two "
            f"files together."
        )
    return check_inside(found, path.parent)


def _positive(info: dict[str, str], key: str, path: Path) -> float:
    try:
        value = float(info.get(key, ""))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise FileFormatError(
            f"Expected a positive number for {key} in {path}, got {info.get(key)!r}: the layout "
            f"is damaged."
        )
    return value


def _clock(
    entries: list[tuple[str, str]], size: int, rate: float, path: Path
) -> tuple[list[float], list[int]]:
    """Where stretches start: times (s) from the first sample, and samples."""
    known = []
    for sample, moment in entries:
        if re.fullmatch(r"\d{1,15}", sample, re.ASCII) and int(sample) < max(size, 1):
            known.append((int(sample), float(moment)))
    known.sort()
    starts, firsts = [0.0], [0]
    if not known:
        return starts, firsts
    first, origin = known[0]
    if first:
        return starts, firsts
    for place, stamp in known[1:]:
        runs = starts[-1] + (place - firsts[-1]) / rate
        real = stamp - origin
        if not np.isfinite(real):
            continue
        # Times are written in ms or us, and clocks of samples drift against the wall's by ppm.
        if real > runs + 0.01 + 1e-4 * (place - firsts[-1]) / rate:
            starts.append(real)
            firsts.append(place)
        elif real < runs - 0.01 - 1e-4 * (place - firsts[-1]) / rate:
            raise FileFormatError(
                f"Expected [SampleTimes] of {path} in order of time, got sample {place} at "
                f"{real:g} s, before those ahead of it end ({runs:g} s): its clock runs backwards "
                f"or it passes midnight; export the parts as recordings of their own."
            )
    return starts, firsts


def _comments(entries: list[tuple[str, str]], path: Path) -> xr.Dataset | None:
    rows, left = [], 0
    for _, line in entries:
        onset, duration, state, kind, text, *_ = [*line.split(",", 4), "", "", "", ""]
        try:
            begin, length = float(onset), float(duration or 0.0)
        except ValueError:
            begin = length = np.nan
        if np.isfinite(begin) and np.isfinite(length):
            rows.append((begin, length, text or "n/a", state, kind))
        else:
            left += 1
    assemble.warn_left_out(path, [f"{left} comments without a time"] if left else [])
    if not rows:
        return None
    begins, lengths, texts, states, kinds = zip(*rows, strict=True)
    columns = {
        "comment_state": np.array(states, dtype=np.str_),
        "comment_type": np.array(kinds, dtype=np.str_),
    }
    return events_dataset(begins, lengths, texts, columns)


def _patient(sections: dict[str, list[tuple[str, str]]]) -> dict[str, Any]:
    found = {k.lower(): v for k, v in sections.get("patient", []) if v}
    attrs: dict[str, Any] = {"source": "Persyst"}
    names = {"id": "subject_id", "sex": "subject_sex", "hand": "subject_hand"}
    for key, value in found.items():
        attrs[names.get(key, f"patient_{re.sub(r'[^a-z0-9]+', '_', key)}")] = value
    for pattern in _DATES:
        try:
            day = datetime.strptime(found.get("testdate", ""), pattern)
            moment = datetime.strptime(found.get("testtime", "00:00:00"), "%H:%M:%S")
        except ValueError:
            continue
        attrs["meas_date"] = datetime.combine(day.date(), moment.time()).isoformat()
    return attrs


READER = Reader(
    name="Persyst",
    kinds=("signal", "events"),
    keeps="channel names as written, comments, gaps, patient",
    can_read=is_persyst,
    read=with_chunks(read_persyst),
)
