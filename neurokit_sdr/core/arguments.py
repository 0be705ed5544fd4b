"""Arguments of a call, checked in one way."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurokit_sdr.core.errors import ParameterError


def as_array(name: str, value: Any) -> np.ndarray:
    """Whatever numpy makes an array of, or a :class:`ParameterError`."""
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # lists of unequal lengths
        raise ParameterError(
            f"Expected {name} as a number or an array, got {type(value).__name__}: {error}"
        ) from error


def as_numbers(name: str, value: Any) -> np.ndarray:
    """A number or an array of them, or a :class:`ParameterError`."""
    array = as_array(name, value)
    if array.size and array.dtype.kind not in "biuf":
        got = repr(value) if array.size < 4 else f"an array of {array.dtype}"
        raise ParameterError(f"Expected {name} as numbers, got {got}.")
    return array
