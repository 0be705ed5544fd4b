"""When a session began, and of whom it is, in the words that the standard takes."""

from __future__ import annotations

import datetime
import re
from typing import Any

from neurokit_sdr.core.errors import ParameterError, warn

_SUBJECT_FIELDS = ("age", "description", "genotype", "sex", "species", "weight", "strain")
#: What archives demand of a subject, in the standard's words for not known: at least 0 days old,
#: of the taxon "unidentified". Not read back.
UNKNOWN_SUBJECT = {
    "subject_id": "unknown",
    "sex": "U",
    "age": "P0D/",
    "species": "http://purl.obolibrary.org/obo/NCBITaxon_32644",
    "description": "no description",
}
_UNKNOWN_START = "1970-01-01T00:00:00+00:00"
_SEXES = {"male": "M", "m": "M", "female": "F", "f": "F", "other": "O", "o": "O"}
#: ISO 8601 durations, and the ranges of them that NWB has.
_DURATION = r"P(?=[\dT])(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?"
_AGE = re.compile(rf"{_DURATION}(/({_DURATION})?)?|/{_DURATION}")
_NUMBER = re.compile(r"\d+(\.\d*)?")
_YEARS = re.compile(r"(\d+)(\.\d*)?(\+?)")


def _start_time(text: Any) -> datetime.datetime:
    try:
        start = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise ParameterError(
            f"Expected session_start_time as ISO 8601 with a time zone, such as "
            f"2024-05-01T09:00:00+00:00, got {text!r}."
        )
    return start


def start_of(attrs: dict[str, Any]) -> datetime.datetime:
    """When the session started; the date of the measurement where nothing else says it."""
    given, measured = attrs.get("session_start_time"), attrs.get("meas_date")
    if given or not measured:
        return _start_time(given or _UNKNOWN_START)
    try:
        return _start_time(measured)
    except ParameterError:
        warn(
            f"Expected meas_date as ISO 8601 with a time zone, which NWB demands, got "
            f"{measured!r}: the file says {_UNKNOWN_START}, which stands for unknown. Give "
            f"session_start_time=."
        )
        return _start_time(_UNKNOWN_START)


def subject_of(attrs: dict[str, Any]) -> dict[str, str]:
    """What the session knows of the subject, in the standard's words."""
    found = {k: str(attrs[f"subject_{k}"]) for k in _SUBJECT_FIELDS if f"subject_{k}" in attrs}
    if "subject_id" in attrs:
        found["subject_id"] = str(attrs["subject_id"])
    if "sex" in found:
        found["sex"] = _SEXES.get(found["sex"].lower(), "U")
    if str(attrs.get("source", "")).startswith("FIF") and _NUMBER.fullmatch(
        found.get("weight", "")
    ):
        found["weight"] += " kg"
    age = _age(found.pop("age", "n/a"), str(attrs.get("source", "")))
    return found | ({"age": age} if age else {})


def _age(text: str, source: str) -> str:
    """An age as ISO 8601 duration; BIDS has years. Empty where it is not known."""
    if _AGE.fullmatch(text):
        return text
    years = _YEARS.fullmatch(text)
    if years and source.startswith("BIDS"):
        if float(f"0{years[2] or ''}"):
            return f"P{round(float(text.rstrip('+')) * 365.25)}D{years[3] and '/'}"
        return f"P{years[1]}Y{years[3] and '/'}"
    if text.lower() not in ("n/a", "nan", ""):
        warn(
            f"Expected subject_age as ISO 8601 duration, such as P25Y or P90D, got {text!r}: the "
            f"subject of the NWB file has no age. Set session.attrs['subject_age']."
        )
    return ""
