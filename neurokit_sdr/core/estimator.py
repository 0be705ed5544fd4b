"""The one contract every model follows, as a base class and a skeleton.

A model is a pair of files: ``_x.py``, pure functions on arrays, and ``x.py``, a thin class that
checks, calls and labels. The class looks like this::

    class Model(Estimator):
        _allowed = {"n_states": Interval(int, 1), "prior": Options("none", "gaussian")}

        def __init__(self, *, n_states=2, prior="none"):   # keyword-only, stored verbatim
            self.n_states = n_states
            self.prior = prior

        def fit(self, data, *, rng=None, progress=True):
            self._check_params()                            # checks happen here, not in __init__
            ...
            self.result_ = results.stamp(...)               # exactly one new attribute
            return self

        def predict(self, data): ...                        # labelled like the input
        def score(self, data): ...                          # higher is better
        def simulate(self, ..., *, rng=None): ...           # what a reader returns, plus the truth

        @classmethod
        def from_parameters(cls, parameters): ...           # known truth, no data needed

``tests/estimator_checks.py`` holds every public estimator to it.
"""

from __future__ import annotations

import inspect
import math
import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.errors import ConvergenceWarning, NotFittedError, ParameterError
from neurokit_sdr.core.schema import did_you_mean
from neurokit_sdr.core.seeding import RNG


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` (included, unless ``open_low``) to ``high`` (included)."""

    kind: type[int] | type[float]
    low: float
    high: float = float("inf")
    open_low: bool = False

    def __contains__(self, value: object) -> bool:
        number = numbers.Integral if self.kind is int else numbers.Real
        if not isinstance(value, number) or isinstance(value, bool):
            return False
        above = value > self.low if self.open_low else value >= self.low  # type: ignore[operator]
        return bool(above and value <= self.high and math.isfinite(value))

    def __str__(self) -> str:
        noun = "an integer" if self.kind is int else "a number"
        low = f" {'>' if self.open_low else '>='} {self.low:g}"
        return noun + low + (f" and <= {self.high:g}" if self.high != float("inf") else "")


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


class Estimator(ABC):
    """Base class of every model; see the module's text for the contract."""

    #: What each hyper-parameter may be; checked at the start of ``fit``.
    _allowed: ClassVar[Mapping[str, Constraint]] = {}

    result_: xr.Dataset

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not inspect.isabstract(cls):
            results.register(cls)

    @abstractmethod
    def fit(self, data: xr.Dataset, *, rng: RNG = None, progress: bool = True) -> Self:
        """Fit to data and set ``result_``."""

    @abstractmethod
    def predict(self, data: xr.Dataset) -> xr.Dataset:
        """Return what the fitted model says of data, labelled like them."""

    @abstractmethod
    def score(self, data: xr.Dataset) -> float:
        """Return one number for held-out data; higher is better."""

    @classmethod
    @abstractmethod
    def from_parameters(cls, parameters: xr.Dataset) -> Self:
        """Return a model with known parameters, as if it had been fitted."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        signature = inspect.signature(cls.__init__)
        return [name for name in signature.parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyper-parameters by name (``deep`` is scikit-learn's, and has no effect)."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Self:
        """Set hyper-parameters by name.

        Raises
        ------
        ParameterError
            If there is none of that name.
        """
        names = self._parameter_names()
        for name in parameters:
            if name not in names:
                raise ParameterError(
                    f"{type(self).__name__} has no hyper-parameter {name!r}; it has {names}."
                    f"{did_you_mean(name, names)}"
                )
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def _check_params(self) -> None:
        for name, allowed in self._allowed.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ParameterError(
                    f"Expected {name} of {type(self).__name__} to be {allowed}, got {value!r}."
                )

    def _check_fitted(self) -> xr.Dataset:
        if not hasattr(self, "result_"):
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted: call fit(data) first, or open a "
                f"fitted one with nks.load_result."
            )
        return self.result_

    def _warn_unless_converged(self, status: str) -> None:
        if status != results.CONVERGED:
            warnings.warn(f"{type(self).__name__}: {status}", ConvergenceWarning, stacklevel=3)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items())
        return f"{type(self).__name__}({arguments})"
