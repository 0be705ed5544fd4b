"""Checks of counts: what is a whole number, and which of them fit together."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import ParameterError


def one_whole(name: str, value: Any, *, low: int = 0) -> int:
    """One whole number that is at least ``low``, as an int.

    Raises
    ------
    ParameterError
        If it is something else.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)
    if not whole or value < low:
        raise ParameterError(f"Expected {name} to be a whole number >= {low}, got {value!r}.")
    return int(value)
