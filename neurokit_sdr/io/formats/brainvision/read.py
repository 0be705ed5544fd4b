"""BrainVision: a text header, a text file of markers, and the samples.

Written from the published description of the format (Brain Products, BrainVision Core Data Format
1.0). The header names its two companions; one that lies elsewhere is not followed.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
    signal_dataset,
    to_volts,
    unique_names,
)
from neurokit_sdr.io.registry import Reader, with_chunks
from neurokit_sdr.io.samples import Layout, read_samples

_TYPES = {"INT_16": "<i2", "UINT_16": "<u2", "INT_32": "<i4", "IEEE_FLOAT_32": "<f4"}
_MAGIC = re.compile(rb"(\xef\xbb\xbf)?\s*Brain ?Vision Data Exchange Header", re.IGNORECASE)
_LARGEST_TEXT = 1 << 26


class Channel(NamedTuple):
    name: str
    reference: str
    resolution: float
    unit: str


def is_brainvision(path: Path) -> bool:
    """Whether a file is the header of a BrainVision recording."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return _MAGIC.match(stream.read(256)) is not None


def read_brainvision(path: Path) -> xr.DataTree:
    """Read the recording of a header file; :func:`neurokit_sdr.io.read_seeg` says into what."""
    path = check_file(path)
    with distrust(path, "BrainVision header"):
        return _read(path)


def _read(path: Path) -> xr.DataTree:
    sections = _sections(path)
    common = sections.get("common infos", {})
    data = _companion(path, common, "DataFile")
    channels = _channels(sections, path)
    names = unique_names([c.name for c in channels], path)
    layout = _layout(path, data, sections, channels)
    rate = 1e6 / _positive(common, "SamplingInterval", path)
    columns: dict[str, Any] = {
        "file_unit": np.array([c.unit for c in channels], dtype=np.str_),
        "resolution": np.array([c.resolution for c in channels]),
    }
    if any(c.reference for c in channels):
        columns["reference"] = np.array([c.reference for c in channels], dtype=np.str_)
    columns |= _coordinates(sections, len(channels))
    units = [to_volts(c.unit)[1] for c in channels]
    read = partial(read_samples, str(data), layout)
    attrs: dict[str, Any] = {"sampling_rate": rate}
    signal = signal_dataset(
        lazy_variable(("time", "channel"), read, (layout.size, len(channels)), np.float64),
        even_time(layout.size, rate),
        names,
        ["eeg" if unit == "V" else "misc" for unit in units],
        units,
        columns=columns,
        attrs=attrs,
    )
    root: dict[str, Any] = {"source": "BrainVision"}
    comment = "\n".join(sections.get("comment", {"": ""}).get("", "").splitlines()).strip()
    if comment:
        root["comment"] = comment
    groups = {"/signal": signal}
    if common.get("markerfile"):
        events, moment = _markers(_companion(path, common, "MarkerFile"), rate)
        if events is not None:
            groups["/events"] = events
        if moment:
            root["meas_date"] = moment
    return assemble.session(groups, root)


# -- text ---------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    if path.stat().st_size > _LARGEST_TEXT:
        raise FileFormatError(
            f"Expected a text file of at most {_LARGEST_TEXT} bytes at {path}, got "
            f"{path.stat().st_size}: it is not what its name says."
        )
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what recorders under Windows wrote before UTF-8


def _sections(path: Path) -> dict[str, dict[str, str]]:
    """Keys, in lower case, and values of each section; free text under the key ''."""
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    name = ""
    for line in _text(path).splitlines():
        header = re.fullmatch(r"\s*\[([^\]]+)\]\s*", line)
        if header and name != "comment":
            name = header[1].strip().lower()
            current = found.setdefault(name, {})
        elif name == "comment":
            current[""] = current.get("", "") + line + "\n"
        elif "=" in line and not line.lstrip().startswith(";"):
            key, _, value = line.partition("=")
            current[key.strip().lower()] = value.strip()
    return found


def _companion(path: Path, common: dict[str, str], key: str) -> Path:
    """The file beside the header that it names."""
    name = common.get(key.lower(), "").replace("$b", path.stem)
    if not name:
        raise FileFormatError(
            f"Expected a {key} in {path}, got none: its header is damaged or cut off."
        )
    if Path(name).name != name or "\\" in name or name in (".", ".."):
        raise FileFormatError(
            f"{path} names {name!r} as its {key}, which lies in another folder; such paths are not "
            f"followed. Put the file beside the header, and its name into it."
        )
    found = path.parent / name
    if not found.is_file():
        raise FileFormatError(
            f"Expected {name}, the {key} of {path.name}, beside it in {path.parent}, found "
            f"nothing: copy the files together; where they were renamed, correct {key} in the "
            f"header."
        )
    return check_inside(found, _home(path))


def _home(path: Path) -> Path:
    """The folder that links may not lead out of: the BIDS dataset's, else the file's own."""
    parents = list(path.absolute().parents)[:6]
    return next((p for p in parents if (p / "dataset_description.json").is_file()), path.parent)


def _positive(section: dict[str, str], key: str, path: Path) -> float:
    try:
        value = float(section.get(key.lower(), "").replace(",", "."))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e12:
        raise FileFormatError(
            f"Expected a positive number for {key} in {path}, got "
            f"{section.get(key.lower(), 'nothing')!r}: the header is damaged."
        )
    return value


def _channels(sections: dict[str, dict[str, str]], path: Path) -> list[Channel]:
    listed = sections.get("channel infos", {})
    number = _positive(sections.get("common infos", {}), "NumberOfChannels", path)
    if number != len(listed) or any(f"ch{k + 1}" not in listed for k in range(len(listed))):
        raise FileFormatError(
            f"Expected {number:g} channels under [Channel Infos] of {path}, Ch1 to "
            f"Ch{number:g}, got {len(listed)}: the header is damaged or cut off."
        )
    found = []
    for k in range(len(listed)):
        name, reference, resolution, unit, *_ = [*listed[f"ch{k + 1}"].split(","), "", "", ""]
        try:
            step = float(resolution or 1.0)
        except ValueError:
            step = np.nan
        if not np.isfinite(step) or not step:
            raise FileFormatError(
                f"Expected a resolution other than 0 of channel {name!r} in {path}, got "
                f"{resolution!r}: the header is damaged."
            )
        text = [t.replace(r"\1", ",").strip() for t in (name, reference, unit)]
        found.append(Channel(text[0], text[1], step, text[2] or "µV"))
    return found


def _layout(
    path: Path, data: Path, sections: dict[str, dict[str, str]], channels: list[Channel]
) -> Layout:
    common = sections.get("common infos", {})
    kind = common.get("dataformat", "BINARY").upper()
    number = sections.get("binary infos", {}).get("binaryformat", "").upper()
    domain = common.get("datatype", "TIMEDOMAIN").upper()
    order = common.get("dataorientation", "MULTIPLEXED").upper()
    known = kind == "BINARY" and number in _TYPES and domain == "TIMEDOMAIN"
    if not known or order not in {"MULTIPLEXED", "VECTORIZED"}:
        raise FileFormatError(
            f"Expected binary samples over time in {path}, {', '.join(_TYPES)}, got {kind} "
            f"{number} {domain} {order}: export it as binary with the recorder's software."
        )
    size = data.stat().st_size
    frame = np.dtype(_TYPES[number]).itemsize * len(channels)
    samples, rest = divmod(size, frame)
    said = common.get("datapoints", "")
    if rest or (said.isascii() and said.isdigit() and 0 < int(said[:18]) != samples):
        raise FileFormatError(
            f"Expected {said or 'a whole number of'} samples of {len(channels)} channels in "
            f"{data}, got {size} bytes, which are {size / frame:.2f}: it is cut off, or the header "
            f"is another recording's; copy both again."
        )
    scale = tuple(c.resolution * to_volts(c.unit)[0] for c in channels)
    return Layout(_TYPES[number], order == "MULTIPLEXED", samples, scale)


def _coordinates(sections: dict[str, dict[str, str]], number: int) -> dict[str, Any]:
    """Radius, theta and phi of electrodes as the header has them; NaN where it has none."""
    listed = sections.get("coordinates", {})
    values = np.full((number, 3), np.nan)
    for k in range(number):
        parts = listed.get(f"ch{k + 1}", "").split(",")[:3]
        try:
            row = [float(p) for p in parts]
        except ValueError:
            continue
        if len(row) == 3 and row[0] != 0:  # a radius of 0 stands for unknown
            values[k] = row
    if np.isnan(values).all():
        return {}
    names = (("radius", "1"), ("theta", "degree"), ("phi", "degree"))
    long = "spherical coordinates of the header; a radius of 1 is the surface of an unknown head"
    return {
        f"sphere_{name}": ("channel", values[:, k], {"units": unit, "long_name": long})
        for k, (name, unit) in enumerate(names)
    }


def _markers(path: Path, rate: float) -> tuple[xr.Dataset | None, str]:
    """The markers, and when the first stretch began, as ISO text."""
    rows = []
    for key, value in _sections(path).get("marker infos", {}).items():
        if re.fullmatch(r"mk\d+", key, re.ASCII):
            kind, text, place, size, channel, date, *_ = [*value.split(","), "", "", "", "", ""]
            numbers = [int(n) if re.fullmatch(r"-?\d{1,18}", n.strip(), re.ASCII) else 0
                       for n in (place, size, channel)]  # fmt: skip
            kind, text = (t.replace(r"\1", ",") for t in (kind, text))
            rows.append((kind, text, *numbers, _date(date)))
    if not rows:
        return None, ""
    kinds, texts, places, sizes, channels, dates = zip(*rows, strict=True)
    columns = {"marker_type": np.array(kinds, dtype=np.str_)}
    if any(channels):
        columns["marker_channel"] = np.array(channels)
    if any(dates):
        columns["marker_date"] = np.array(dates, dtype=np.str_)
    first = next((d for k, d in zip(kinds, dates, strict=True) if k == "New Segment" and d), "")
    events = events_dataset(
        (np.array(places) - 1) / rate,
        np.array(sizes) / rate,
        [f"{k}/{t}" for k, t in zip(kinds, texts, strict=True)],
        columns,
    )
    return events, first


def _date(text: str) -> str:
    try:
        return datetime.strptime(text.strip(), "%Y%m%d%H%M%S%f").isoformat()
    except ValueError:
        return ""


READER = Reader(
    name="BrainVision",
    kinds=("signal", "events"),
    keeps=(
        "units, resolution, references, spherical coordinates and comment as written, "
        "markers with type and date"
    ),
    can_read=is_brainvision,
    read=with_chunks(read_brainvision),
)
