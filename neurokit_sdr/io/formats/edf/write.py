"""Signals as EDF+: 16-bit integers, the range of each channel its own."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import SchemaError, warn
from neurokit_sdr.core.files import atomic_path
from neurokit_sdr.io.formats.edf.header import CHANNEL_FIELDS, GLOBAL_FIELDS, HEADER
from neurokit_sdr.io.formats.edf.read import PADDING, channel_type
from neurokit_sdr.io.lazy import path_of
from neurokit_sdr.io.recording import VOLTS, recordings, sample_clock, to_volts

#: Values converted at a time.
_BLOCK = 1 << 20
_LOW, _HIGH = -32768, 32767
#: Seconds of a data record, in order of preference.
_DURATIONS = ["1", "2", "0.5", "0.1", "0.2", "0.25", "5", "10", "20", "50", "100", "200", "1000"]
#: Coordinates that EDF has a place for.
_KEPT = {
    "time",
    "channel",
    "channel_type",
    "channel_unit",
    "file_unit",
    "transducer",
    "prefilter",
    "physical_minimum",
    "physical_maximum",
    "digital_minimum",
    "digital_maximum",
}
_KEPT_ATTRS = {"sampling_rate", "highpass", "lowpass"}


class Scaling(NamedTuple):
    """How one channel becomes integers: its header fields, and value = integer * scale + shift."""

    unit: str
    physical: tuple[str, str]
    digital: tuple[int, int]
    scale: float
    shift: float


def write_edf(data: xr.Dataset | xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write signals, and events where there are any, as EDF+.

    EDF holds integers of 16 bits between bounds for each channel, of at most 8 characters. Values
    that came from an EDF file, and lie on its steps still, go back as the same integers; others
    are rounded to 65,535 steps between their smallest and largest, and a warning says what steps.
    The data records are chosen such that readers compute the very sampling rate; where that leaves
    the last one half empty it is filled, marked by an annotation "Recording ends" over the filling,
    which :func:`read_seeg` takes off again. The file appears only once it is whole.

    Parameters
    ----------
    data
        A Dataset with ``signal(time, channel)``, evenly sampled; or a session with ``/signal``, or
        several of different rates such as ``/signal/256Hz``, and ``/events``.
    path
        Where to write; a file there is replaced.

    Raises
    ------
    SchemaError
        If the data are no continuous signals; have NaN, gaps, names that are not at most 16 ASCII
        characters, or values that the bounds cannot hold.

    Warns
    -----
    DataWarning
        Saying what steps values were rounded to, and naming what EDF has no place for, such as
        positions and bad channels: :func:`write_bids` keeps these.

    Examples
    --------
    >>> import neurokit_sdr as nks
    >>> session = nks.io.read_seeg("night.edf")  # doctest: +SKIP
    >>> nks.io.write_edf(nks.io.bipolar_reference(session), "bipolar.edf")  # doctest: +SKIP
    """
    path = path_of(path)
    signals, events, attrs = recordings(data, "EDF")
    for one in signals:
        _check(one)
    clocks = [sample_clock(one, "EDF") for one in signals]
    start = clocks[0][0]
    if any(c[0] != start for c in clocks):
        raise SchemaError(
            f"Expected signals that start together, got {sorted({c[0] for c in clocks})} s: write "
            f"each as a file of its own."
        )
    rates = [c[1] for c in clocks]
    sizes = [one.sizes["time"] for one in signals]
    duration, samples = record_length(rates, sizes)
    records = max((-(-n // s) for n, s in zip(sizes, samples, strict=True)), default=0)
    ends = {n / r for n, r in zip(sizes, rates, strict=True)}
    if max(ends) - min(ends) > 0.5 / max(rates):
        raise SchemaError(
            f"Expected signals that end together, got lengths of {sorted(ends)} s: cut them to the "
            f"same end (.isel(time=slice(n)))."
        )
    length = float(Fraction(duration))
    notes = _notes(events)
    if records * samples[0] > sizes[0]:
        end = start + sizes[0] / rates[0]
        notes.append((end, start + records * length - end, PADDING))
    lists = _lists(notes, start, length, records)
    scalings = [_scalings(one) for one in signals]
    _name_left_out(signals, events)
    width = max([16, *map(len, lists)])
    width += width % 2
    error = 0.0
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(
            _header(signals, scalings, samples, records, duration, width // 2, attrs, start)
        )
        for first, blocks, off in _blocks(signals, scalings, samples, records):
            error = max(error, off)
            for k in range(len(blocks[0])):
                stream.write(b"".join(block[k].tobytes() for block in blocks))
                stream.write(lists[first + k].ljust(width, b"\0"))
    _tell_resolution(signals, scalings, error)


def _check(data: xr.Dataset) -> None:
    if data["signal"].dims != ("time", "channel"):
        raise SchemaError(
            f"Expected signal(time, channel) for EDF, got {data['signal'].dims}: write one trial "
            f"(.isel(trial=0)), or save all with nks.save."
        )
    if not data.sizes["channel"] or not data.sizes["time"]:
        raise SchemaError(f"Expected at least one channel and one sample, got {dict(data.sizes)}.")
    for name in map(str, data["channel"].values):
        if len(name) > 16 or not name.isascii() or not name.isprintable() or name != name.strip():
            raise SchemaError(
                f"Expected channel names of at most 16 ASCII characters for EDF, got {name!r}: "
                f"rename it with .assign_coords(channel=[...]), or use nks.io.write_bids."
            )


# -- records ------------------------------------------------------------------------------------


def record_length(rates: list[float], sizes: list[int]) -> tuple[str, list[int]]:
    """Seconds of a data record as the header says it, and samples of each rate in one.

    Chosen such that the rates that a reader computes are the very numbers given, and that the last
    record is full where that can be had.
    """
    candidates = list(_DURATIONS)
    for rate, size in zip(rates, sizes, strict=True):
        whole = Fraction(rate).limit_denominator(10000)
        candidates += [str(k * whole.denominator) for k in (1, 2, 5, 10)]
        for number in (n for n in _divisors(size) if n <= 1 << 16):
            text = f"{number / rate:.10f}".rstrip("0").rstrip(".")
            if len(text) <= 8 and number / rate >= 0.1:
                candidates.append(text)
    exact = []
    for text in dict.fromkeys(candidates):
        seconds = Fraction(text)
        if len(text) > 8 or not seconds:
            continue
        samples = [round(Fraction(rate) * seconds) for rate in rates]
        same = [float(n / seconds) == rate for n, rate in zip(samples, rates, strict=True)]
        if all(same) and max(samples) < 10**8 and min(samples) > 0:
            full = all(size % n == 0 for size, n in zip(sizes, samples, strict=True))
            exact.append((not full, text, samples))
    if exact:
        _, text, samples = min(exact, key=lambda e: e[0])
        return text, samples
    samples = [max(round(rate), 1) for rate in rates]
    length = f"{samples[0] / rates[0]:.8f}"[:8]
    kept = [float(n / Fraction(length)) for n in samples]
    if len(rates) > 1 and any(abs(k - r) > 1e-6 * r for k, r in zip(kept, rates, strict=True)):
        raise SchemaError(
            f"Expected sampling rates that fit into one data record of EDF, got {rates} Hz: write "
            f"each as a file of its own."
        )
    warn(f"EDF cannot hold sampling rates of {rates} Hz: {kept} Hz are written.")
    return length, samples


def _divisors(number: int) -> list[int]:
    low = [k for k in range(1, math.isqrt(number) + 1) if number % k == 0]
    return sorted({*low, *(number // k for k in low)})


def _blocks(
    signals: list[xr.Dataset], scalings: list[list[Scaling]], samples: list[int], records: int
) -> Iterator[tuple[int, list[np.ndarray], float]]:
    """Some records at a time: the first, of each rate (record, channel, sample), largest error.

    The error is in steps of the integers.
    """
    wide = sum(n * one.sizes["channel"] for n, one in zip(samples, signals, strict=True))
    at_once = max(_BLOCK // wide, 1)
    for first in range(0, records, at_once):
        number = min(at_once, records - first)
        blocks, error = [], 0.0
        for one, scaling, n in zip(signals, scalings, samples, strict=True):
            part = slice(first * n, (first + number) * n)
            values = one["signal"].isel(time=part).values
            scale, shift = (np.array([getattr(s, k) for s in scaling]) for k in ("scale", "shift"))
            stored = np.rint((values - shift) / scale)
            stored = np.clip(
                stored, [s.digital[0] for s in scaling], [s.digital[1] for s in scaling]
            )
            off = np.abs(stored * scale + shift - values) / np.abs(scale)
            error = max(error, float(off.max(initial=0.0)))
            short = number * n - len(stored)
            stored = np.pad(stored, ((0, short), (0, 0)), mode="edge")
            blocks.append(stored.astype("<i2").reshape(number, n, -1).transpose(0, 2, 1))
        yield first, blocks, error


# -- integers -----------------------------------------------------------------------------------


def _scalings(data: xr.Dataset) -> list[Scaling]:
    """The file's own range where the values came from one and lie on it still, else a tight one."""
    given = [_given(data, k) for k in range(data.sizes["channel"])]
    low = np.full(len(given), np.inf)
    high = np.full(len(given), -np.inf)
    fits = np.array([g is not None for g in given])
    scale = np.array([g.scale if g else 1.0 for g in given])
    shift = np.array([g.shift if g else 0.0 for g in given])
    bottom = np.array([g.digital[0] if g else 0 for g in given])
    top = np.array([g.digital[1] if g else 0 for g in given])
    at_once = max(_BLOCK // len(given), 1)
    for first in range(0, data.sizes["time"], at_once):
        values = data["signal"].isel(time=slice(first, first + at_once)).values
        if not np.isfinite(values).all():
            raise SchemaError(
                f"Expected finite values for EDF, got NaN or infinite ones in channel "
                f"{data['channel'].values[~np.isfinite(values).all(axis=0)][0]!s}: integers hold "
                f"no NaN; fill them (.fillna), or save with nks.save."
            )
        low = np.minimum(low, values.min(axis=0))
        high = np.maximum(high, values.max(axis=0))
        stored = np.rint((values - shift) / scale)
        fits &= (np.abs(stored * scale + shift - values) <= 1e-6 * np.abs(scale)).all(axis=0)
        fits &= ((stored >= bottom) & (stored <= top)).all(axis=0)
    return [
        g if g is not None and fits[k] else _tight(data, k, float(low[k]), float(high[k]))
        for k, g in enumerate(given)
    ]


def _given(data: xr.Dataset, channel: int) -> Scaling | None:
    names = ("file_unit", "physical_minimum", "physical_maximum", "digital_minimum")
    if not all(n in data.coords for n in (*names, "digital_maximum")):
        return None
    one = data.isel(channel=channel)
    unit = str(one["file_unit"].item())
    factor, means = to_volts(unit)
    if means != str(one["channel_unit"].item()):
        return None
    low, high = (float(one[f"digital_{m}imum"]) for m in ("min", "max"))
    texts = [_exact(float(one[f"physical_{m}imum"])) for m in ("min", "max")]
    if None in texts or not _LOW <= low < high <= _HIGH or texts[0] == texts[1]:
        return None
    return _scaling(unit, (str(texts[0]), str(texts[1])), (round(low), round(high)), factor)


def _exact(value: float) -> str | None:
    """The number in at most 8 characters; None if that is another number."""
    for digits in range(8, -1, -1):
        text = f"{value:.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        if len(text) <= 8 and float(text) == value:
            return text
    return None


def _tight(data: xr.Dataset, channel: int, low: float, high: float) -> Scaling:
    unit = str(data["channel_unit"].values[channel])
    name, factor = unit, 1.0
    if unit == "V":
        # Eight characters: the unit whose numbers use them well, microvolts where they do.
        largest = max(abs(low), abs(high)) * 1e6
        name = "uV" if not largest or 0.1 <= largest < 1e6 else "nV" if largest < 0.1 else "V"
        factor = VOLTS[name]
    low, high = low / factor, high / factor
    if low == high:
        low, high = (-1.0, 1.0) if not low else (min(low, 0.0), max(low, 0.0))
    ends = [_outward(low, ROUND_FLOOR), _outward(high, ROUND_CEILING)]
    width = float(ends[1]) - float(ends[0]) if all(ends) else 0.0
    if not width or (high - low) < 0.01 * width:
        raise SchemaError(
            f"Expected values that a header of 8 characters can bound, got {low:g} to {high:g} "
            f"{name} in channel {data['channel'].values[channel]!s}: scale them and set "
            f"channel_unit, or use nks.io.write_bids or nks.save."
        )
    digital = (-_HIGH, _HIGH) if ends[0] == f"-{ends[1]}" else (_LOW, _HIGH)
    return _scaling(name, (ends[0], ends[1]), digital, factor)


def _outward(value: float, rounding: str) -> str:
    """The nearest number of at most 8 characters on one side; empty where there is none."""
    exact = Decimal(value)
    for digits in range(7, -1, -1):
        rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding=rounding)
        text = f"{rounded:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        text = "0" if text == "-0" else text
        if len(text) <= 8:
            return text
    return ""


def _scaling(
    unit: str, physical: tuple[str, str], digital: tuple[int, int], factor: float
) -> Scaling:
    bottom, top = map(float, physical)
    step = (top - bottom) / (digital[1] - digital[0])  # in the reader's order of operations
    return Scaling(unit, physical, digital, step * factor, (bottom - digital[0] * step) * factor)


# -- header and annotations ---------------------------------------------------------------------


def _notes(events: xr.Dataset | None) -> list[tuple[float, float, str]]:
    if events is None:
        return []
    onset, duration = events["event_onset"].values, events["event_duration"].values
    texts = [str(t) for t in events["event_label"].values]
    if any(set(t) & {"\x00", "\x14", "\x15"} for t in texts) or "" in texts:
        raise SchemaError(
            "Expected event labels of at least one character and without the control characters "
            "that mark annotations in EDF, got others: rename those events."
        )
    return [
        (float(o), 0.0 if np.isnan(d) else float(d), t)
        for o, d, t in zip(onset, duration, texts, strict=True)
    ]


def _lists(
    notes: list[tuple[float, float, str]], start: float, length: float, records: int
) -> list[bytes]:
    """Of each record, its onset and the annotations that begin in it."""
    lists = [_moment(start + k * length) + b"\x14\x14\0" for k in range(records)]
    for onset, duration, text in notes:
        place = min(max(int((onset - start) // length), 0), records - 1)
        span = b"\x15" + _plain(duration).encode() if duration else b""
        lists[place] += _moment(onset) + span + b"\x14" + text.encode() + b"\x14\0"
    return lists


def _moment(seconds: float) -> bytes:
    return (b"-" if seconds < 0 else b"+") + _plain(abs(seconds)).encode()


def _plain(value: float) -> str:
    """The shortest decimal that reads back as the same number; of tiny ones, 18 decimals."""
    text = repr(float(value))
    if "e" in text:
        text = f"{Decimal(text).quantize(Decimal(1).scaleb(-18)) if value < 1 else Decimal(text):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _header(
    signals: list[xr.Dataset],
    scalings: list[list[Scaling]],
    samples: list[int],
    records: int,
    duration: str,
    note_samples: int,
    attrs: dict[str, Any],
    start: float,
) -> bytes:
    rows = [
        _row(one.isel(channel=k), scaling, number)
        for one, group, number in zip(signals, scalings, samples, strict=True)
        for k, scaling in enumerate(group)
    ]
    rows.append(
        {
            "label": "EDF Annotations",
            "physical_minimum": "-1",
            "physical_maximum": "1",
            "digital_minimum": str(_LOW),
            "digital_maximum": str(_HIGH),
            "samples": str(note_samples),
        }
    )
    moment = _moment_of(attrs | signals[0].attrs)
    date = moment.strftime("%d-%b-%Y").upper() if moment else "X"
    code = str(attrs.get("subject_id", "X")).replace(" ", "_")
    fields = {
        "version": "0",
        "patient": _ascii(attrs.get("patient") or f"{code} {attrs.get('subject_sex', 'X')} X X"),
        "recording": _ascii(attrs.get("recording") or f"Startdate {date} X X X"),
        "date": moment.strftime("%d.%m.%y") if moment else "01.01.85",
        "time": moment.strftime("%H.%M.%S") if moment else "00.00.00",
        "header_bytes": str(HEADER * (len(rows) + 1)),
        "reserved": "EDF+C",
        "records": str(records),
        "duration": duration,
        "signals": str(len(rows)),
    }
    text = "".join(_field(fields[name], width) for name, width in GLOBAL_FIELDS)
    for name, width in CHANNEL_FIELDS:
        text += "".join(_field(row.get(name, ""), width) for row in rows)
    return text.encode("ascii")


def _row(one: xr.Dataset, scaling: Scaling, samples: int) -> dict[str, str]:
    label, kind = str(one["channel"].item()), str(one["channel_type"].item())
    transducer = str(one["transducer"].item()) if "transducer" in one.coords else ""
    if channel_type(label, transducer, scaling.unit) != kind:
        transducer = f"{kind.upper()} electrode"
    filters = [f"{k}:{one.attrs[n]:g}Hz" for k, n in _FILTERS if n in one.attrs]
    prefilter = str(one["prefilter"].item()) if "prefilter" in one.coords else " ".join(filters)
    return {
        "label": label,
        "transducer": _ascii(transducer),
        "unit": _ascii(scaling.unit),
        "physical_minimum": scaling.physical[0],
        "physical_maximum": scaling.physical[1],
        "digital_minimum": str(scaling.digital[0]),
        "digital_maximum": str(scaling.digital[1]),
        "prefilter": _ascii(prefilter),
        "samples": str(samples),
    }


_FILTERS = (("HP", "highpass"), ("LP", "lowpass"))


def _field(text: str, width: int) -> str:
    return text[:width].ljust(width)


def _ascii(value: Any) -> str:
    return str(value).encode("ascii", "replace").decode()


def _moment_of(attrs: dict[Any, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(attrs.get("meas_date", "")))
    except ValueError:
        return None
    return moment if 1985 <= moment.year <= 2084 else None


# -- what could not be kept ---------------------------------------------------------------------


def _name_left_out(signals: list[xr.Dataset], events: xr.Dataset | None) -> None:
    left = {str(n) for one in signals for n in one.variables} - _KEPT - {"signal"}
    if all("bad" not in one.variables or not one["bad"].values.any() for one in signals):
        left.discard("bad")
    left |= {str(k) for one in signals for k in one.attrs} - _KEPT_ATTRS
    if events is not None:
        left |= {str(n) for n in events.variables} - set(schema.KINDS["events"].variables)
    if left:
        warn(
            f"EDF has no place for {', '.join(sorted(left))}: write BIDS (nks.io.write_bids) or "
            f"save with nks.save to keep them."
        )


def _tell_resolution(
    signals: list[xr.Dataset], scalings: list[list[Scaling]], error: float
) -> None:
    if error <= 1e-6:
        return
    steps: dict[str, list[float]] = {}
    for one, group in zip(signals, scalings, strict=True):
        for unit, scaling in zip(one["channel_unit"].values, group, strict=True):
            steps.setdefault(str(unit), []).append(abs(scaling.scale))
    said = [f"{min(s):.3g} to {max(s):.3g} {unit}" for unit, s in steps.items()]
    warn(
        f"EDF holds 16-bit integers: values are rounded to steps of {' and '.join(said)}, by up to "
        f"{error:.3g} of a step."
    )
