"""Arguments of a call, checked in one way.

A *constraint* says what a value may be, in code (``value in constraint``) and in words (``str``).
Hyper-parameters of an estimator name theirs in ``_allowed``; functions ask :func:`check`, or one of
the functions below it that also convert what came.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurokit_sdr.core.errors import ParameterError


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` (included, unless ``open_low``) to ``high`` (included)."""

    kind: type[int] | type[float]
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False

    def __contains__(self, value: object) -> bool:
        number = numbers.Integral if self.kind is int else numbers.Real
        if not isinstance(value, number) or isinstance(value, bool):
            return False
        above = value > self.low if self.open_low else value >= self.low  # type: ignore[operator]
        return bool(above and value <= self.high and (self.kind is int or _is_finite(value)))

    def __str__(self) -> str:
        noun = "integer" if self.kind is int else "number"
        bounds = []
        if self.low != -math.inf:
            bounds.append(f"{'>' if self.open_low else '>='} {self.low:g}")
        if self.high != math.inf:
            bounds.append(f"<= {self.high:g}")
        if not bounds:
            return f"a finite {noun}" if self.kind is float else "an integer"
        return f"{'an' if self.kind is int else 'a'} {noun} {' and '.join(bounds)}"


def _is_finite(number: Any) -> bool:
    """Whether a number is a finite float; whole numbers and fractions may be too large for one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


@dataclass(frozen=True, init=False)
class Options:
    """One of a few words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.words))


@dataclass(frozen=True)
class OneOrSeveral:
    """One value of a constraint, a non-empty list of them, or None if that is allowed."""

    each: Interval
    none: bool = False

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.none
        if isinstance(value, list | tuple):
            return len(value) > 0 and all(v in self.each for v in value)
        return value in self.each

    def __str__(self) -> str:
        return f"{self.each}, or a list of such" + (", or None" if self.none else "")


@dataclass(frozen=True)
class Names:
    """None, or a list of different names."""

    def __contains__(self, value: object) -> bool:
        if value is None:
            return True
        if not isinstance(value, list | tuple) or not value:
            return False
        named = all(isinstance(v, str) and v for v in value)
        return named and len(set(value)) == len(value)

    def __str__(self) -> str:
        return "None or a list of different names"


Constraint = Interval | Options | OneOrSeveral | Names


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def check(name: str, value: Any, allowed: Constraint, *, hint: str = "") -> Any:
    """Return a value that a constraint allows.

    Parameters
    ----------
    name
        What the caller calls it, for the error's text.
    value
        What came.
    allowed
        What it may be.
    hint
        What to do, where the constraint does not say it all.

    Raises
    ------
    ParameterError
        Saying what was expected, what came, and the word that was nearly written.

    Examples
    --------
    >>> check("n_states", 3, Interval(int, 1))
    3
    """
    if value in allowed:
        return value
    guess = ""
    if isinstance(allowed, Options) and isinstance(value, str):
        guess = did_you_mean(value, allowed.words)
    raise ParameterError(
        f"Expected {name} to be {allowed}, got {value!r}{f': {hint}' if hint else ''}.{guess}"
    )


def check_number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    hint: str = "",
) -> float:
    """A finite number within bounds as a float, or a :class:`ParameterError`."""
    return float(check(name, value, Interval(float, low, high, open_low), hint=hint))


def check_whole(name: str, value: Any, low: int = 0, *, hint: str = "") -> int:
    """A whole number of at least ``low`` as an int, or a :class:`ParameterError`.

    An array without dimensions counts as its value. A float does not, however round: counts that
    were computed as floats are most often not what was meant.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if value not in Interval(int, low):
        raise ParameterError(
            f"Expected {name} to be a whole number >= {low}, got {value!r}"
            f"{f': {hint}' if hint else ''}."
        )
    return int(value)


def check_choice(name: str, value: Any, words: Iterable[str], *, hint: str = "") -> str:
    """One of a few words, or a :class:`ParameterError`."""
    return str(check(name, value, Options(*words), hint=hint))


def check_names(
    what: str,
    names: Iterable[Any],
    known: Iterable[Any],
    *,
    hint: str = "",
    error: type[Exception] = ParameterError,
) -> None:
    """Raise where a name is not among those there are.

    Parameters
    ----------
    what
        What is named, in the plural: ``"hyper-parameters of HMMGLM"``.
    names
        What came.
    known
        What there is.
    hint
        What to do, where the list does not say it all.
    error
        The class to raise.
    """
    there = list(known)
    for name in names:
        if name not in there:
            guess = did_you_mean(str(name), map(str, there))
            raise error(
                f"Expected {what} among {there}, got {name!r}{f': {hint}' if hint else ''}.{guess}"
            )


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
