"""Headers of EDF, EDF+ and BDF, checked against the size of the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurokit_sdr.core.errors import FileFormatError

#: Bytes of each field of the header, in the order of the file.
GLOBAL_FIELDS = (
    ("version", 8),
    ("patient", 80),
    ("recording", 80),
    ("date", 8),
    ("time", 8),
    ("header_bytes", 8),
    ("reserved", 44),
    ("records", 8),
    ("duration", 8),
    ("signals", 4),
)
CHANNEL_FIELDS = (
    ("label", 16),
    ("transducer", 80),
    ("unit", 8),
    ("physical_minimum", 8),
    ("physical_maximum", 8),
    ("digital_minimum", 8),
    ("digital_maximum", 8),
    ("prefilter", 80),
    ("samples", 8),
    ("reserved", 32),
)
HEADER = 256
_BDF_MAGIC = b"\xffBIOSEMI"
#: Labels of signals that hold annotations.
ANNOTATIONS = {"EDF Annotations", "BDF Annotations"}


class Signal(NamedTuple):
    """One signal of the header.

    Attributes
    ----------
    label, transducer, unit, prefilter
        Text as written.
    physical, digital
        Minimum and maximum; None for physical where they do not say how to scale.
    samples
        In each data record.
    offset
        Bytes before its samples in a record.
    """

    label: str
    transducer: str
    unit: str
    prefilter: str
    physical: tuple[float, float] | None
    digital: tuple[float, float]
    samples: int
    offset: int


class Header(NamedTuple):
    """What the header says, checked against the size of the file.

    ``width`` is the bytes of a sample, ``plus`` one of "", "C" (continuous) and "D" (with gaps),
    ``record_bytes`` the bytes of a data record, ``duration`` its seconds, ``left`` what is left
    out, in words.
    """

    fields: dict[str, str]
    signals: tuple[Signal, ...]
    width: int
    plus: str
    header_bytes: int
    records: int
    record_bytes: int
    duration: Fraction
    left: tuple[str, ...]


def is_edf(path: Path) -> bool:
    """Whether a file starts as EDF or BDF do."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(HEADER)
    fields = head[184:192], head[236:244], head[244:252], head[252:256]
    return (
        len(head) == HEADER
        and (head[:8] == b"0       " or head[:8] == _BDF_MAGIC)
        # One damaged number does not make it another format.
        and sum(f.strip().lstrip(b"-").isdigit() for f in fields) >= 2
    )


def read_header(path: Path) -> Header:
    """Read the header, and refuse sizes that the file cannot hold."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(HEADER)
        fields = _cut(head, GLOBAL_FIELDS, 1)
        if len(head) < HEADER:
            raise FileFormatError(
                f"Expected at least {HEADER} bytes of header in {path}, got {size}: it is cut off; "
                f"copy or download it again."
            )
        text = {k: v[0] for k, v in fields.items()}
        number = _count(text, "signals", path)
        declared = _count(text, "header_bytes", path)
        if not number or declared != HEADER * (number + 1) or declared > size:
            raise FileFormatError(
                f"Expected a header of 256 bytes and 256 for each signal in {path}, got "
                f"{declared} bytes for {number} signals in a file of {size}: it is damaged or cut "
                f"off; copy or download it again."
            )
        columns = _cut(stream.read(HEADER * number), CHANNEL_FIELDS, number)
    width = 3 if head[:8] == _BDF_MAGIC else 2
    signals, left, offset = [], [], 0
    for k in range(number):
        signal = _signal({n: v[k] for n, v in columns.items()}, offset, path)
        if signal.physical is None and signal.label not in ANNOTATIONS:
            left.append(
                f"the scale of {signal.label or 'a channel without a name'}, whose minimum and "
                f"maximum are equal or no numbers: its values are the stored integers"
            )
        signals.append(signal)
        offset += signal.samples * width
    plus = {"EDF+C": "C", "EDF+D": "D", "BDF+C": "C", "BDF+D": "D"}.get(text["reserved"][:5], "")
    duration = _duration(text["duration"], path)
    records = _records(text, size - declared, offset, path)
    if duration == 0 and any(s.samples and s.label not in ANNOTATIONS for s in signals):
        raise FileFormatError(
            f"Expected data records that last longer than 0 s in {path}, got "
            f"{text['duration']!r}: the sampling rate cannot be known."
        )
    rest = size - declared - records * offset
    if rest > 0:
        left.append(f"{rest} bytes after the last data record the header counts")
    return Header(
        text, tuple(signals), width, plus, declared, records, offset, duration, tuple(left)
    )


def _cut(data: bytes, fields: Sequence[tuple[str, int]], number: int) -> dict[str, list[str]]:
    found, place = {}, 0
    for name, width in fields:
        found[name] = [
            text_of(data[place + k * width : place + (k + 1) * width]) for k in range(number)
        ]
        place += width * number
    return found


def text_of(data: bytes) -> str:
    # The standard says ASCII. Laboratories write their own alphabet.
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\0", " ").strip()


def _count(text: dict[str, str], name: str, path: Path) -> int:
    if not re.fullmatch(r"\d{1,8}", text[name], re.ASCII):
        raise FileFormatError(
            f"Expected a number for {name!r} in the header of {path}, got {text[name]!r}: it is "
            f"damaged; copy or download it again."
        )
    return int(text[name])


def _signal(text: dict[str, str], offset: int, path: Path) -> Signal:
    low, high = _number(text["digital_minimum"]), _number(text["digital_maximum"])
    bottom, top = _number(text["physical_minimum"]), _number(text["physical_maximum"])
    known = low is not None and high is not None and low < high
    known = known and bottom is not None and top is not None and bottom != top
    return Signal(
        text["label"],
        text["transducer"],
        text["unit"],
        text["prefilter"],
        (float(bottom or 0.0), float(top or 0.0)) if known else None,
        (float(low or 0.0), float(high or 0.0)),
        _count(text, "samples", path),
        offset,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _duration(text: str, path: Path) -> Fraction:
    plain = text.replace(",", ".")
    # Not Fraction(text) of anything: "9e999999" would be a number of a million digits.
    if re.fullmatch(r"\d{0,8}\.?\d{0,8}", plain, re.ASCII) and plain.strip("."):
        return Fraction(plain)
    value = _number(plain)
    if value is None or not 0 < value < 1e9:
        raise FileFormatError(
            f"Expected the seconds of a data record in {path}, got {text!r}: the header is "
            f"damaged; copy or download it again."
        )
    return Fraction(value)


def _records(text: dict[str, str], data_bytes: int, record_bytes: int, path: Path) -> int:
    if record_bytes == 0:
        raise FileFormatError(f"Expected samples in the data records of {path}, got none.")
    whole = data_bytes // record_bytes
    if text["records"] == "-1":  # the recording was stopped before the header could be completed
        return whole
    records = _count(text, "records", path)
    if records > whole:
        raise FileFormatError(
            f"Expected {records} data records of {record_bytes} bytes in {path}, got {whole} whole "
            f"ones: it is cut off or its header damaged; copy it again, or write -1 for the number "
            f"of records (bytes 236 to 243) to read what is there."
        )
    return records
