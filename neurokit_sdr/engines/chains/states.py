"""The state of a chain as plain arrays and back, so that a checkpoint loses nothing of it.

A state is an array, a number, or a NamedTuple or dict of states. Its shape may change from sweep to
sweep; its structure and types may not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import ParameterError


def to_arrays(state: Any, name: str = "state") -> dict[str, np.ndarray]:
    """Return every leaf of a state under its path, as ``state/weight``."""
    found: dict[str, np.ndarray] = {}

    def keep(leaf: Any, path: str) -> Any:
        found[path] = np.asarray(leaf)
        return leaf

    _map(keep, state, name)
    return found


def from_arrays(arrays: Mapping[str, np.ndarray], like: Any, name: str = "state") -> Any:
    """Return the state that :func:`to_arrays` was given, in the types of another."""

    def rebuild(leaf: Any, path: str) -> Any:
        array = arrays[path]
        if isinstance(leaf, np.ndarray):
            return array
        return array[()] if isinstance(leaf, np.generic) else type(leaf)(array[()])

    return _map(rebuild, like, name)


def settled(state: Any) -> Any:
    """Return the state with views copied.

    A file keeps values and the order of axes in memory, but no strides; and sums over memory of
    other strides may round otherwise. So no state has strides that a file would lose.
    """

    def copy_view(leaf: Any, path: str) -> Any:
        if isinstance(leaf, np.ndarray) and not (
            leaf.flags.c_contiguous or leaf.flags.f_contiguous
        ):
            return leaf.copy()
        return leaf

    return _map(copy_view, state, "state")


def _map(function: Callable[[Any, str], Any], state: Any, path: str) -> Any:
    if isinstance(state, dict):
        return {key: _map(function, value, f"{path}/{key}") for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        fields = zip(state._fields, state, strict=True)
        return type(state)(*[_map(function, value, f"{path}/{name}") for name, value in fields])
    is_array = isinstance(state, np.ndarray | np.generic) and not state.dtype.hasobject
    if is_array or isinstance(state, bool | int | float):
        return function(state, path)
    raise ParameterError(
        f"Expected {path} of a chain as an array, a number, or a NamedTuple or dict of them, got "
        f"{type(state).__name__}: a checkpoint holds plain arrays only."
    )


def fields(state: Any) -> dict[str, Any]:
    """Return what a state consists of, by name: what is recorded where nothing else is said."""
    if isinstance(state, dict):
        return state
    return state._asdict() if hasattr(state, "_asdict") else {"state": state}


def fingerprint(state: Any) -> str:
    """SHA-256 over the names, types and values of a state."""
    digest = hashlib.sha256()
    for name, array in to_arrays(state).items():
        digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
