"""EDF, EDF+ (continuous or not) and BDF: each channel at its own rate, from the samples as stored.

Written from the published formats (Kemp et al. 1992; Kemp and Olivan 2003, https://www.edfplus.info;
BioSemi's 24-bit variant). Other readers bring channels of several rates to one by resampling; here
each rate is a group of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core.clock import even_time
from neurokit_sdr.core.errors import FileFormatError, warn
from neurokit_sdr.core.files import check_file
from neurokit_sdr.core.lazy import lazy_variable
from neurokit_sdr.io import assemble
from neurokit_sdr.io.formats.edf.header import (
    ANNOTATIONS,
    Header,
    Signal,
    is_edf,
    read_header,
    text_of,
)
from neurokit_sdr.io.recording import (
    distrust,
    events_dataset,
    flat,
    interval_dataset,
    shaped,
    signal_dataset,
    to_volts,
    unique_names,
)
from neurokit_sdr.io.registry import Reader, with_chunks

#: Text of an annotation up to the file's end: the samples under it only fill the last record.
PADDING = "Recording ends"
#: Read at a time: enough for the disk, little for the memory.
_BLOCK = 1 << 22

#: First word of an EDF+ label, or a word of the transducer's description, and MNE's type.
TYPES = {
    "EEG": "eeg",
    "SEEG": "seeg",
    "ECOG": "ecog",
    "DBS": "dbs",
    "EOG": "eog",
    "ECG": "ecg",
    "EKG": "ecg",
    "EMG": "emg",
    "RESP": "resp",
    "TEMP": "temperature",
    "TRIGGER": "stim",
    "STATUS": "stim",
}


class Layout(NamedTuple):
    """Where the samples of channels of one rate lie; each attribute of channels has one each."""

    header_bytes: int
    record_bytes: int
    width: int
    samples: int
    size: int
    offsets: tuple[int, ...]
    scale: tuple[float, ...]
    shift: tuple[float, ...]


def read_edf(path: Path) -> xr.DataTree:
    """Read EDF or BDF; :func:`neurokit_sdr.io.read_seeg` says into what."""
    path = check_file(path)
    with distrust(path, "EDF or BDF"):
        return _read(path, read_header(path))


def _read(path: Path, header: Header) -> xr.DataTree:
    notes = [s for s in header.signals if s.label in ANNOTATIONS]
    onsets, annotations = _annotations(path, header, notes)
    channels = [s for s in header.signals if s.label not in ANNOTATIONS and s.samples]
    left = list(header.left)
    empty = [s.label for s in header.signals if not s.samples]
    if empty:
        left.append(f"channels without samples ({', '.join(empty[:5])})")
    starts, stretch = _stretches(path, header, onsets)
    names = unique_names([s.label for s in channels], path)
    rates = [s.samples / header.duration for s in channels] if channels else []
    kinds = list(dict.fromkeys(rates))
    padding, annotations = _padding(annotations, header, starts, stretch)
    groups: dict[str, xr.Dataset] = {}
    for rate in kinds:
        chosen = [k for k, r in enumerate(rates) if r == rate]
        place = "/signal" if len(kinds) == 1 else f"/signal/{float(rate):.12g}Hz"
        groups[place] = _channels(
            path,
            header,
            [channels[k] for k in chosen],
            [names[k] for k in chosen],
            (starts, stretch),
            padding,
        )
    if annotations:
        onset, duration, label = zip(*annotations, strict=True)
        groups["/events"] = events_dataset(onset, duration, label)
    if len(starts) > 1:
        lengths = np.diff([*stretch, header.records]) * float(header.duration)
        groups["/observation_intervals"] = interval_dataset(starts, np.array(starts) + lengths)
    assemble.warn_left_out(path, left)
    if not groups:
        raise FileFormatError(f"Expected at least one signal in {path}, got none.")
    return assemble.session(groups, _session_attrs(header))


def _session_attrs(header: Header) -> dict[str, Any]:
    text = header.fields
    attrs: dict[str, Any] = {
        "source": ("BDF" if header.width == 3 else "EDF") + (f"+{header.plus}" * bool(header.plus)),
        "patient": text["patient"],
        "recording": text["recording"],
    }
    moment = _start(text)
    if moment:
        attrs["meas_date"] = moment.isoformat()
    if header.plus:
        code, sex, *_ = [*text["patient"].split(), "X", "X"]
        attrs |= {k: v for k, v in (("subject_id", code), ("subject_sex", sex)) if v != "X"}
    return {k: v for k, v in attrs.items() if v != ""}


def _start(text: dict[str, str]) -> datetime | None:
    """When the recording began, by its own clock; None where it does not say or is anonymous."""
    numbers = re.findall(r"\d+", f"{text['date']}.{text['time']}", re.ASCII)
    if len(numbers) != 6:
        return None
    day, month, year, hour, minute, second = map(int, numbers)
    named = re.search(r"Startdate \d\d-[A-Z]{3}-(\d{4})", text["recording"], re.ASCII)
    year = int(named[1]) if named else year + (1900 if year >= 85 else 2000)
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


# -- time and annotations -----------------------------------------------------------------------


def _annotations(
    path: Path, header: Header, notes: Sequence[Signal]
) -> tuple[np.ndarray | None, list[tuple[float, float, str]]]:
    """Each record's onset (s), and the annotations: onset (s), duration (s), text."""
    if not notes or not header.plus:
        return None, []
    onsets = np.full(header.records, np.nan)
    found: list[tuple[float, float, str]] = []
    with path.open("rb") as stream:
        for record in range(header.records):
            for number, note in enumerate(notes):
                stream.seek(header.header_bytes + record * header.record_bytes + note.offset)
                data = stream.read(note.samples * header.width)
                for k, (onset, duration, texts) in enumerate(_lists(data)):
                    if number == 0 and k == 0 and texts and texts[0] == "":
                        onsets[record] = onset  # this one only keeps the time
                        texts = texts[1:]
                    found += [(onset, duration, text) for text in texts if text]
    found.sort(key=lambda a: a[0])
    return onsets, found


_ONSET = re.compile(rb"([+-]\d{1,15}(?:\.\d{0,30})?)(?:\x15(\d{0,15}(?:\.\d{0,30})?))?\x14")


def _lists(data: bytes) -> list[tuple[float, float, list[str]]]:
    """The time-stamped lists of annotations in the bytes of one record."""
    found = []
    for part in data.split(b"\0"):
        start = _ONSET.match(part)
        if start is None:
            continue
        texts = [text_of(t) for t in part[start.end() :].split(b"\x14")]
        if len(texts) > 1:
            texts = texts[:-1]  # what follows the last mark is nothing
        duration = start[2] or b""
        found.append((float(start[1]), float(duration) if duration.strip(b".") else 0.0, texts))
    return found


def _stretches(
    path: Path, header: Header, onsets: np.ndarray | None
) -> tuple[list[float], list[int]]:
    """Where stretches without a gap start: their first moments (s) and first records."""
    if onsets is None or not onsets.size or np.isnan(onsets[0]):
        return [0.0], [0]
    if header.plus == "D" and np.isnan(onsets).any():
        raise FileFormatError(
            f"Expected the onset of each data record in {path} (EDF+D), got none in record "
            f"{int(np.argmax(np.isnan(onsets)))}: its times cannot be known."
        )
    length = float(header.duration)
    most = max((s.samples for s in header.signals if s.label not in ANNOTATIONS), default=1)
    step = np.diff(onsets) - length
    jumps = np.flatnonzero(np.abs(step) > 0.5 * length / max(most, 1)) + 1
    if header.plus == "C":
        if jumps.size:
            warn(
                f"{path.name} says that it has no gaps (EDF+C), and {jumps.size} of its data "
                f"records say they start at other times: they are read as without gaps."
            )
        return [float(onsets[0])], [0]
    if (step[jumps - 1] < 0).any():
        first = int(jumps[np.argmax(step[jumps - 1] < 0)])
        raise FileFormatError(
            f"Expected data records in order of time in {path}, got record {first} at "
            f"{onsets[first]:g} s, before the one ahead of it ends: its clock runs backwards; cut "
            f"the file there, and read the two parts."
        )
    return [float(onsets[k]) for k in (0, *jumps)], [0, *map(int, jumps)]


def _padding(
    annotations: list[tuple[float, float, str]],
    header: Header,
    starts: list[float],
    stretch: list[int],
) -> tuple[float, list[tuple[float, float, str]]]:
    """Seconds at the end that only fill the last record, and the annotations without their mark."""
    end = starts[-1] + (header.records - stretch[-1]) * float(header.duration)
    for k, (onset, length, text) in enumerate(annotations):
        fills = text == PADDING and abs(onset + length - end) < 1e-9 * (1 + abs(end))
        if fills and 0 < length < float(header.duration):
            return length, annotations[:k] + annotations[k + 1 :]
    return 0.0, annotations


# -- samples ------------------------------------------------------------------------------------


def _channels(
    path: Path,
    header: Header,
    signals: list[Signal],
    names: list[str],
    stretches: tuple[list[float], list[int]],
    padding: float,
) -> xr.Dataset:
    samples = signals[0].samples
    rate = samples / header.duration
    size = header.records * samples - round(padding * rate)
    scaled = [_scale(s) for s in signals]
    layout = Layout(
        header.header_bytes,
        header.record_bytes,
        header.width,
        samples,
        size,
        tuple(s.offset for s in signals),
        tuple(s[0] for s in scaled),
        tuple(s[1] for s in scaled),
    )
    units = [s[2] for s in scaled]
    columns = {
        "file_unit": np.array([s.unit for s in signals], dtype=np.str_),
        "transducer": np.array([s.transducer for s in signals], dtype=np.str_),
        "prefilter": np.array([s.prefilter for s in signals], dtype=np.str_),
        "physical_minimum": np.array([(s.physical or s.digital)[0] for s in signals]),
        "physical_maximum": np.array([(s.physical or s.digital)[1] for s in signals]),
        "digital_minimum": np.array([s.digital[0] for s in signals]),
        "digital_maximum": np.array([s.digital[1] for s in signals]),
    }
    attrs = {"sampling_rate": float(rate)} | _filters([s.prefilter for s in signals])
    read = partial(read_samples, str(path), layout)
    return signal_dataset(
        lazy_variable(("time", "channel"), read, (size, len(signals)), np.float64),
        _clock(size, float(rate), samples, stretches),
        names,
        [channel_type(s.label, s.transducer, s.unit) for s in signals],
        units,
        columns=columns,
        attrs=attrs,
    )


def _clock(size: int, rate: float, samples: int, stretches: tuple[list[float], list[int]]) -> Any:
    starts, records = stretches
    if len(starts) == 1:
        return even_time(size, rate, starts[0])
    first = np.array(records) * samples
    lengths = np.diff([*first, size])
    within = np.arange(size) - np.repeat(first, lengths)
    return ("time", np.repeat(starts, lengths) + within / rate, {"units": "s"})


def _scale(signal: Signal) -> tuple[float, float, str]:
    """Factor and offset from stored integers to values, and their unit."""
    if signal.physical is None:
        return 1.0, 0.0, ""
    factor, unit = to_volts(signal.unit)
    (bottom, top), (low, high) = signal.physical, signal.digital
    scale = (top - bottom) / (high - low)
    return scale * factor, (bottom - low * scale) * factor, unit


def channel_type(label: str, transducer: str, unit: str) -> str:
    """MNE's word for a channel, from the words that its label or transducer begins with.

    A voltage that says no more is "eeg", as MNE has it.
    """
    first = label.split(" ")[0].upper()
    if first in TYPES and (" " in label or first in {"STATUS", "TRIGGER", "ECG", "EKG"}):
        return TYPES[first]
    for word in re.findall(r"\w+", transducer.upper()):
        if word in TYPES:
            return TYPES[word]
    return "eeg" if to_volts(unit)[1] == "V" else "misc"


def _filters(texts: list[str]) -> dict[str, float]:
    """Pass band in Hz, where all channels say the same."""
    found = {}
    for name, mark in (("highpass", "HP"), ("lowpass", "LP")):
        values = {
            float(m[1]) if (m := re.search(rf"{mark}:? ?(\d{{1,6}}\.?\d{{0,6}}) ?Hz", t)) else None
            for t in texts
        }
        if len(values) == 1 and None not in values:
            found[name] = float(values.pop() or 0.0)
    return found


def read_samples(path: str, layout: Layout, key: tuple[Any, ...]) -> np.ndarray:
    """Values of some samples and channels, in their units, of shape (time, channel)."""
    start, stop, step = flat(key[0], layout.size)
    channels = np.atleast_1d(np.arange(len(layout.offsets))[key[1]])
    stop = max(stop, start)
    if start == stop:
        return shaped(np.empty((0, channels.size)), key)
    first, last = start // layout.samples, -(-stop // layout.samples)
    values = np.empty((channels.size, (last - first) * layout.samples))
    at_once = max(_BLOCK // layout.record_bytes, 1)
    with open(path, "rb") as stream:
        stream.seek(layout.header_bytes + first * layout.record_bytes)
        for record in range(first, last, at_once):
            number = min(at_once, last - record)
            block = stream.read(number * layout.record_bytes)
            if len(block) < number * layout.record_bytes:
                raise FileFormatError(f"{path} became shorter since it was opened: read it again.")
            rows = np.frombuffer(block, np.uint8).reshape(number, layout.record_bytes)
            place = slice((record - first) * layout.samples, None)
            for row, channel in enumerate(channels):
                begin = layout.offsets[channel]
                stored = rows[:, begin : begin + layout.samples * layout.width]
                out = values[row, place][: number * layout.samples].reshape(number, layout.samples)
                _integers(stored, layout.width, out)
    values *= np.array(layout.scale)[channels, None]
    values += np.array(layout.shift)[channels, None]
    skip = start - first * layout.samples
    return shaped(values[:, skip : skip + stop - start : step].T, key)


def _integers(stored: np.ndarray, width: int, out: np.ndarray) -> None:
    """Little-endian integers of 2 or 3 bytes, into floats."""
    if width == 2:
        out[:] = np.ascontiguousarray(stored).view("<i2")
        return
    number, size = stored.shape[0], stored.shape[1] // 3
    wide = np.zeros((number, size, 4), dtype=np.uint8)
    wide[..., 1:] = stored.reshape(number, size, 3)
    out[:] = wide.reshape(number, -1).view("<i4") >> 8  # the shift carries the sign


READER = Reader(
    name="EDF and BDF",
    kinds=("signal", "events"),
    keeps=(
        "each channel at its own rate, units, filters, transducers and integer ranges as "
        "written, annotations, gaps, patient and recording lines"
    ),
    can_read=is_edf,
    read=with_chunks(read_edf),
)
