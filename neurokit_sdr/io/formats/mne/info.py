"""What MNE knows about a measurement, as Datasets, and back into an ``mne.Info``.

Each thing has one place: channels are coordinates of the signal, the session's metadata attributes
of the root, and head position, digitised points, projections and compensation groups of their own.
What has no readable form of its own lies in ``/mne_info``: MNE's entries for each channel as they
are, and the rest as JSON with its large arrays beside it.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from neurokit_sdr.core.errors import SchemaError
from neurokit_sdr.io.formats.mne import encoding as mne_json

#: Coordinate frames of FIFF, in MNE's words.
FRAMES = {
    0: "unknown",
    1: "meg",
    2: "isotrak",
    3: "hpi",
    4: "head",
    5: "mri",
    300: "tufts_eeg",
    1001: "ctf_meg",
    1004: "ctf_head",
    2001: "mri_voxel",
    2002: "ras",
    2003: "mni_tal",
    2006: "fs_tal",
}
UNITS = {
    -1: "n/a",
    0: "1",
    1: "m",
    2: "kg",
    3: "s",
    4: "A",
    5: "K",
    6: "mol",
    7: "rad",
    10: "mol/m^3",
    101: "Hz",
    102: "N",
    103: "Pa",
    104: "J",
    105: "W",
    106: "C",
    107: "V",
    108: "F",
    109: "ohm",
    110: "S",
    111: "Wb",
    112: "T",
    113: "H",
    114: "degC",
    115: "lm",
    116: "lx",
    117: "V/m^2",
    201: "T/m",
    202: "A m",
    203: "A/m",
    204: "A/m^2",
    210: "px",
}
PREFIXES = {9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "u", -9: "n", -12: "p", -15: "f"}
POINT_KINDS = {1: "cardinal", 2: "hpi", 3: "eeg", 4: "extra", 5: "head"}
CARDINALS = {1: "lpa", 2: "nasion", 3: "rpa"}
_SEXES = {0: "unknown", 1: "male", 2: "female"}
_HANDS = {1: "right", 2: "left", 3: "ambidextrous"}

_TRANSFORMS = ("dev_head_t", "ctf_head_t", "dev_ctf_t")
_TEXTS = ("experimenter", "description", "proj_name", "utc_offset")
_NUMBERS = ("proj_id", "gantry_angle", "kit_system_id")
#: Fields that are kept elsewhere, or follow from others.
_ELSEWHERE = {
    *_TRANSFORMS,
    *("sfreq", "highpass", "lowpass", "line_freq", "chs", "ch_names", "nchan", "bads"),
    *("dig", "projs", "comps", "meas_date", "subject_info", "device_info"),
}
_CHANNEL_FIELDS = ("scanno", "logno", "kind", "range", "cal", "coil_type", "unit", "unit_mul")
_SUBJECT = {"his_id": "id", "id": "number"}
#: HDF5 holds attributes of up to 64 KB; longer texts go to /mne_info.
_LONG = 30_000
#: Types of channels that are no sensor on or in the body.
_NOWHERE = ("stim", "misc", "syst", "exci", "ias", "chpi", "temperature", "gof", "dipole")
_MEG = ("mag", "grad", "ref_meg")


@cache
def coils() -> dict[int, str]:
    """Names of the coil types: ``VV_PLANAR_T1`` for FIFFV_COIL_VV_PLANAR_T1."""
    from mne.io.constants import FIFF

    found: dict[int, str] = {}
    for name in sorted(vars(FIFF)):
        if name.startswith("FIFFV_COIL_"):
            found.setdefault(int(getattr(FIFF, name)), name.removeprefix("FIFFV_COIL_"))
    return found


def coil_name(number: int) -> str:
    """Name of a coil type; the number itself where MNE has no name for it."""
    return coils().get(int(number), str(int(number)))


def unit_text(unit: int, multiplier: int) -> str:
    """Unit of a channel as text, such as ``T/m``."""
    text = UNITS.get(int(unit), f"FIFF unit {int(unit)}")
    prefix = PREFIXES.get(int(multiplier))
    return f"{prefix}{text}" if prefix is not None else f"1e{int(multiplier)} {text}"


def frame_text(frame: int) -> str:
    """Coordinate frame in MNE's word; ``FIFF frame N`` where it has none."""
    return FRAMES.get(int(frame), f"FIFF frame {int(frame)}")


# -- from MNE -----------------------------------------------------------------------------------


def channel_coords(info: Any, file_units: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Coordinates on ``channel``: name, type, unit, bad, position, frame, coil and its axes."""
    import mne

    chs = info["chs"]
    types = [mne.channel_type(info, k) for k in range(len(chs))]
    place = np.array([c["loc"] for c in chs], dtype=np.float64).reshape(len(chs), 12)
    known = has_position(place, types)
    position = np.where(known[:, None], place[:, :3], np.nan)
    bads = set(info["bads"])
    units = [unit_text(c["unit"], c.get("unit_mul", 0)) for c in chs]
    coords: dict[str, Any] = {
        "channel": ("channel", _text(info["ch_names"])),
        "channel_type": ("channel", _text(types)),
        "channel_unit": ("channel", _text(units)),
        "bad": ("channel", np.array([n in bads for n in info["ch_names"]], dtype=bool)),
        **{axis: ("channel", position[:, k], {"units": "m"}) for k, axis in enumerate("xyz")},
        "coord_frame": ("channel", _text([frame_text(c["coord_frame"]) for c in chs])),
    }
    meg = np.array([t in _MEG for t in types], dtype=bool)
    if meg.any():
        axes = np.where(meg[:, None], place[:, 3:], np.nan).reshape(-1, 3, 3)
        coords["coil_type"] = ("channel", _text([coil_name(c["coil_type"]) for c in chs]))
        coords["orientation"] = (
            ("channel", "coil_axis", "space"),
            axes,
            {"long_name": "unit vectors of the coil, z is its normal, x the gradient's direction"},
        )
        coords["coil_axis"] = ("coil_axis", _text("xyz"))
        coords["space"] = ("space", _text("xyz"))
    if file_units and any(str(u) not in {"", "n/a"} for u in file_units.values()):
        written = [str(file_units.get(n, "n/a")) for n in info["ch_names"]]
        coords["file_unit"] = (
            "channel",
            _text(written),
            {"long_name": "unit written in the file; values are in channel_unit"},
        )
    return coords


def has_position(loc: np.ndarray, types: Sequence[str]) -> np.ndarray:
    """Which channels' positions are known: MNE writes zeros or NaN for those that are not.

    Channels that are no sensors may hold anything.
    """
    place = loc[:, :3]
    known = np.isfinite(place).all(axis=1) & (place != 0).any(axis=1)
    return known & ~np.isin(types, _NOWHERE)


def signal_attrs(info: Any) -> dict[str, Any]:
    """Attributes of the signal: rate, filters, line frequency, reference."""
    attrs: dict[str, Any] = {"sampling_rate": float(info["sfreq"])}
    for name in ("highpass", "lowpass", "line_freq"):
        if info.get(name) is not None and math.isfinite(float(info[name])):
            attrs[name] = float(info[name])
    custom = int(info.get("custom_ref_applied") or 0)
    if custom:
        attrs["reference"] = {1: "custom", 2: "current source density"}.get(custom, str(custom))
    return attrs


def session_attrs(info: Any) -> dict[str, Any]:
    """Attributes of the root: when, who, with what."""
    attrs: dict[str, Any] = {}
    if info.get("meas_date") is not None:
        attrs["meas_date"] = info["meas_date"].isoformat()
    for name in (*_TEXTS, *_NUMBERS):
        value = info.get(name)
        if value is None:
            continue
        value = np.asarray(value).item() if name not in _TEXTS else str(value)
        if not isinstance(value, str) or len(value) <= _LONG:
            attrs[name] = value
    for name, value in (info.get("subject_info") or {}).items():
        attrs[f"subject_{_SUBJECT.get(name, name)}"] = _subject_value(name, value)
    for name, value in (info.get("device_info") or {}).items():
        attrs[f"device_{name}"] = _plain(value)
    return {k: v for k, v in attrs.items() if v is not None}


def _subject_value(name: str, value: Any) -> Any:
    if name == "sex":
        return _SEXES.get(int(value), int(value))
    if name == "hand":
        return _HANDS.get(int(value), int(value))
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    value = np.asarray(value)
    item = value.item() if value.size == 1 else value.tolist()
    return int(item) if isinstance(item, bool) else item


def info_groups(info: Any) -> dict[str, xr.Dataset]:
    """Groups beside the signal: head position, digitisation, projections, compensation, rest."""
    groups = {
        "/head_position": _transforms(info),
        "/digitization": _digitization(info.get("dig")),
        "/projections": _projections(info.get("projs")),
        **{
            f"/compensation/{k}": _compensation(comp)
            for k, comp in enumerate(info.get("comps") or [])
        },
        "/mne_info": _rest(info),
    }
    return {name: data for name, data in groups.items() if data is not None}


def _transforms(info: Any) -> xr.Dataset | None:
    found = {name: info.get(name) for name in _TRANSFORMS if info.get(name) is not None}
    if not found:
        return None
    return xr.Dataset(
        {
            name: (
                ("row", "column"),
                np.asarray(t["trans"], dtype=np.float64),
                {"from_frame": frame_text(t["from"]), "to_frame": frame_text(t["to"])},
            )
            for name, t in found.items()
        },
        attrs={"description": "affine transforms between coordinate frames, translations in m"},
    )


def _digitization(points: Any) -> xr.Dataset | None:
    if not points:
        return None
    place = np.array([p["r"] for p in points])
    kinds = [int(p["kind"]) for p in points]
    names = [CARDINALS.get(int(p["ident"]), "") if int(p["kind"]) == 1 else "" for p in points]
    return xr.Dataset(
        {
            "kind": ("point", _text([POINT_KINDS.get(k, str(k)) for k in kinds])),
            "ident": ("point", np.array([int(p["ident"]) for p in points])),
            "landmark": ("point", _text(names)),
            **{axis: ("point", place[:, k].copy(), {"units": "m"}) for k, axis in enumerate("xyz")},
            "coord_frame": ("point", _text([frame_text(p["coord_frame"]) for p in points])),
        },
        attrs={"description": "points digitised on the head"},
    )


def _projections(projs: Any) -> xr.Dataset | None:
    if not projs:
        return None
    names = list(dict.fromkeys(n for p in projs for n in p["data"]["col_names"]))
    column = {name: k for k, name in enumerate(names)}
    rows, origin = [], []
    for k, proj in enumerate(projs):
        places = [column[n] for n in proj["data"]["col_names"]]
        for vector in np.atleast_2d(np.asarray(proj["data"]["data"], dtype=np.float64)):
            row = np.full(len(names), np.nan)
            row[places] = vector
            rows.append(row)
            origin.append(k)
    chosen = [projs[k] for k in origin]
    variance = [p.get("explained_var") for p in chosen]
    return xr.Dataset(
        {
            "weight": (
                ("vector", "channel"),
                np.array(rows).reshape(len(rows), len(names)),
                {"long_name": "direction taken out of the signal; NaN for channels left alone"},
            )
        },
        coords={
            "channel": ("channel", _text(names)),
            "projection": ("vector", np.array(origin, dtype=np.int64)),
            "description": ("vector", _text([str(p["desc"]) for p in chosen])),
            "kind": ("vector", np.array([int(p["kind"]) for p in chosen], dtype=np.int64)),
            "active": ("vector", np.array([bool(p["active"]) for p in chosen], dtype=bool)),
            "explained_variance": (
                "vector",
                np.array([np.nan if v is None else float(v) for v in variance]),
            ),
        },
        attrs={"description": "signal space projections; active ones are applied to the signal"},
    )


def _compensation(comp: Any) -> xr.Dataset:
    data = comp["data"]
    return xr.Dataset(
        {
            "weight": (("channel", "reference"), np.asarray(data["data"], dtype=np.float64)),
            "row_calibration": ("channel", np.asarray(comp["rowcals"], dtype=np.float64)),
            "column_calibration": ("reference", np.asarray(comp["colcals"], dtype=np.float64)),
        },
        coords={
            "channel": ("channel", _text(data["row_names"])),
            "reference": ("reference", _text(data["col_names"])),
        },
        attrs={
            "description": "share of each reference channel that compensation subtracts",
            "grade": int(comp["kind"]),
            "ctf_kind": int(comp["ctfkind"]),
            "save_calibrated": int(comp["save_calibrated"]),
        },
    )


def _rest(info: Any) -> xr.Dataset:
    chs = info["chs"]
    place = np.array([c["loc"] for c in chs]).reshape(len(chs), 12)
    variables: dict[str, Any] = {
        name: ("channel", np.array([_number(c.get(name, 0)) for c in chs]))
        for name in _CHANNEL_FIELDS
    }
    variables["loc"] = (("channel", "loc_entry"), place)
    variables["coord_frame"] = ("channel", np.array([int(c["coord_frame"]) for c in chs], int))
    arrays: list[np.ndarray] = []
    long = {n for n in _TEXTS if info.get(n) is not None and len(str(info[n])) > _LONG}
    skip = _ELSEWHERE | (set(_TEXTS) - long) | set(_NUMBERS)
    fields = {
        k: mne_json.encode(v, arrays)
        for k, v in info.items()
        if k not in skip and v not in (None, [], "")
    }
    variables["fields"] = ((), np.array(json.dumps(fields), dtype=np.str_))
    for k, array in enumerate(arrays):
        dims = tuple(f"array{k}_dim{i}" for i in range(array.ndim))
        variables[f"array{k}"] = (dims, array)
    return xr.Dataset(
        variables,
        coords={"channel": ("channel", _text(info["ch_names"]))},
        attrs={"description": "what MNE holds beyond the other groups; to_mne reads it back"},
    )


def _number(value: Any) -> int | float:
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _text(values: Any) -> np.ndarray:
    return np.array([str(v) for v in values], dtype=np.str_)


def number_of(text: str, table: Mapping[int, str], what: str) -> int:
    """Key of a word in a table; raises where there is none."""
    for number, word in table.items():
        if word == text:
            return number
    if text.rpartition(" ")[2].lstrip("-").isdigit() and text.startswith("FIFF"):
        return int(text.rpartition(" ")[2])
    raise SchemaError(
        f"Expected {what} as one of {sorted(set(table.values()))}, got {text!r}: rename it, or "
        f"leave that part out."
    )


# -- to MNE -------------------------------------------------------------------------------------


def transform(matrix: xr.DataArray) -> Any:
    """MNE's Transform from a variable of ``/head_position``."""
    from mne.transforms import Transform

    ends = [
        number_of(str(matrix.attrs[n]), FRAMES, f"attrs[{n!r}]") for n in ("from_frame", "to_frame")
    ]
    return Transform(*ends, matrix.values)


def points(data: xr.Dataset) -> list[dict[str, Any]]:
    """Digitised points from ``/digitization``; MNE makes its own kind of them."""
    place = np.stack([data[axis].values for axis in "xyz"], axis=1)
    kinds = [number_of(str(k), POINT_KINDS, "kind") for k in data["kind"].values]
    frames = [number_of(str(f), FRAMES, "coord_frame") for f in data["coord_frame"].values]
    rows = zip(kinds, data["ident"].values.tolist(), place, frames, strict=True)
    return [{"kind": k, "ident": i, "r": r.copy(), "coord_frame": f} for k, i, r, f in rows]


def projections(data: xr.Dataset) -> list[Any]:
    """MNE's projections from ``/projections``."""
    import mne

    names = data["channel"].values.astype(np.str_)
    found = []
    for number in dict.fromkeys(data["projection"].values.tolist()):
        rows = data.isel(vector=data["projection"].values == number)
        weight = rows["weight"].values
        used = np.isfinite(weight).all(axis=0)
        variance = float(rows["explained_variance"].values[0])
        found.append(
            mne.Projection(
                data={
                    "nrow": len(weight),
                    "ncol": int(used.sum()),
                    "row_names": None,
                    "col_names": [str(n) for n in names[used]],
                    "data": weight[:, used],
                },
                desc=str(rows["description"].values[0]),
                kind=int(rows["kind"].values[0]),
                active=bool(rows["active"].values[0]),
                explained_var=None if math.isnan(variance) else variance,
            )
        )
    return found


def compensation(data: xr.Dataset) -> dict[str, Any]:
    """MNE's compensation from a group of ``/compensation``."""
    weight = data["weight"].values
    return {
        "ctfkind": int(data.attrs["ctf_kind"]),
        "kind": int(data.attrs["grade"]),
        "save_calibrated": bool(data.attrs["save_calibrated"]),
        "rowcals": data["row_calibration"].values,
        "colcals": data["column_calibration"].values,
        "data": {
            "nrow": weight.shape[0],
            "ncol": weight.shape[1],
            "row_names": [str(n) for n in data["channel"].values],
            "col_names": [str(n) for n in data["reference"].values],
            "data": weight,
        },
    }


def channel_entry(rest: xr.Dataset, position: int) -> dict[str, Any]:
    """MNE's entry of one channel from ``/mne_info``."""
    entry = {n: _number(rest[n].values[position]) for n in (*_CHANNEL_FIELDS, "coord_frame")}
    return entry | {"loc": rest["loc"].values[position].copy()}


def event_annotations(events: xr.Dataset) -> Any:
    """MNE's annotations from events, onsets from the first sample on."""
    import mne

    number = events.sizes["event"]

    def texts(name: str) -> list[str]:
        return [str(v) for v in events[name].values] if name in events.variables else [""] * number

    channels = [tuple(json.loads(c)) if c else () for c in texts("event_channels")]
    options: dict[str, Any] = {}
    if any(texts("event_extras")):
        options["extras"] = [json.loads(e) if e else None for e in texts("event_extras")]
    return mne.Annotations(
        events["event_onset"].values.astype(np.float64),
        events["event_duration"].values.astype(np.float64),
        texts("event_label"),
        ch_names=channels if any(channels) else None,
        **options,
    )


def subject(attrs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """MNE's subject from root attributes, and those that it has no field for."""
    back = {word: field for field, word in _SUBJECT.items()}
    fields = {"his_id", "id", "last_name", "first_name", "middle_name", "birthday"}
    fields |= {"sex", "hand", "weight", "height"}
    found: dict[str, Any] = {}
    unknown = []
    for name, value in attrs.items():
        if not str(name).startswith("subject_"):
            continue
        word = str(name).removeprefix("subject_")
        field = back.get(word, word)
        if field not in fields:
            unknown.append(str(name))
        elif field == "sex":
            found[field] = {w: n for n, w in _SEXES.items()}.get(str(value).lower(), 0)
        elif field == "hand":
            hands = {w: n for n, w in _HANDS.items()}
            if str(value).lower() in hands:
                found[field] = hands[str(value).lower()]
            else:
                unknown.append(str(name))
        elif field == "birthday":
            found[field] = datetime.date.fromisoformat(str(value)[:10])
        elif field in ("weight", "height"):
            found[field] = float(value)
        else:
            found[field] = int(value) if field == "id" else str(value)
    return found, unknown
