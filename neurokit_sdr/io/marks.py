"""What xarray knows and NWB has no field for, as JSON at the end of an object's description.

The text before the mark stays readable in every other NWB tool; a file without marks reads as any
other laboratory's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

_MARK = " | neurokit_sdr "


def add_mark(text: str, **info: Any) -> str:
    """Return the description with ``info`` behind it."""
    encoded = json.dumps(info, sort_keys=True, default=_encode)
    # "|" occurs in JSON only inside strings; escaped, the mark cannot occur in what it marks.
    return f"{text}{_MARK}{encoded.replace('|', chr(92) + 'u007c')}"


def split_mark(description: Any) -> tuple[str, dict[str, Any]]:
    """Return the readable part of a description, and the info behind it (empty where none)."""
    text, mark, encoded = str(description or "").rpartition(_MARK)
    if not mark:
        return str(description or ""), {}
    try:
        info = json.loads(encoded)
    except ValueError:  # another tool cut or edited the description: its text is all we have
        return str(description), {}
    return (text, info) if isinstance(info, dict) else (str(description), {})


def encode_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them."""
    return {str(k): _encode(v) for k, v in attrs.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value
