"""Nested values of an ``mne.Info`` as JSON, large arrays beside it, and back."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Arrays of up to so many numbers lie in the JSON, longer ones beside it.
_SMALL = 64


def encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Nested dicts, lists, arrays, dates and MNE's own kinds, as JSON; arrays are put aside."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.integer | int):
        return int(value)
    if isinstance(value, np.floating | float):
        return {"float": repr(float(value))} if not math.isfinite(value) else float(value)
    if isinstance(value, complex | np.complexfloating):
        return {"complex": [float(value.real), float(value.imag)]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, datetime.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays)
    if isinstance(value, tuple):
        return {"tuple": [encode(v, arrays) for v in value]}
    if isinstance(value, list):
        return [encode(v, arrays) for v in value]
    if isinstance(value, Mapping):
        kind = {"Transform": "transform", "DigPoint": "point"}.get(type(value).__name__, "dict")
        return {kind: {str(k): encode(v, arrays) for k, v in value.items()}}
    if hasattr(value, "tocsc"):
        sparse = value.tocsc()
        parts = {n: encode(getattr(sparse, n), arrays) for n in ("data", "indices", "indptr")}
        return {"csc": {**parts, "shape": list(map(int, sparse.shape))}}
    return {"text": str(value)}


def _encode_array(value: np.ndarray, arrays: list[np.ndarray]) -> Any:
    if value.dtype.kind in "iufb" and value.size <= _SMALL:
        flat = [encode(v, arrays) for v in value.ravel().tolist()]
        return {"small": [value.dtype.newbyteorder("=").str, list(value.shape), flat]}
    if value.dtype.kind in "iufb":
        arrays.append(value.astype(value.dtype.newbyteorder("=")))
        return {"array": len(arrays) - 1}
    if value.dtype.kind == "c":
        arrays.append(np.stack([value.real, value.imag]))
        return {"complex_array": len(arrays) - 1}
    return {"list_array": [encode(v, arrays) for v in value.tolist()]}


def decode(value: Any, arrays: Mapping[int, np.ndarray]) -> Any:
    """Inverse of :func:`encode`."""
    if isinstance(value, list):
        return [decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "float":
        return float(held)
    if kind == "complex":
        return complex(*held)
    if kind == "bytes":
        return bytes.fromhex(held)
    if kind == "datetime":
        return datetime.datetime.fromisoformat(held)
    if kind == "date":
        return datetime.date.fromisoformat(held)
    if kind == "small":
        dtype, shape, flat = held
        return np.array([decode(v, arrays) for v in flat], dtype=dtype).reshape(shape)
    if kind == "array":
        return np.array(arrays[held])
    if kind == "complex_array":
        return arrays[held][0] + 1j * arrays[held][1]
    if kind == "list_array":
        return np.array([decode(v, arrays) for v in held])
    if kind == "tuple":
        return tuple(decode(v, arrays) for v in held)
    if kind == "csc":
        from scipy.sparse import csc_array

        parts = tuple(decode(held[n], arrays) for n in ("data", "indices", "indptr"))
        return csc_array(parts, shape=tuple(held["shape"]))
    if kind == "transform":
        return _transform({k: decode(v, arrays) for k, v in held.items()})
    if kind in {"dict", "point"}:
        return {k: decode(v, arrays) for k, v in held.items()}
    return held


def _transform(entry: Mapping[str, Any]) -> Any:
    from mne.transforms import Transform

    return Transform(int(entry["from"]), int(entry["to"]), np.asarray(entry["trans"]))
