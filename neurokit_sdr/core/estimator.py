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
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import Constraint as Constraint
from neurokit_sdr.core.arguments import Interval as Interval
from neurokit_sdr.core.arguments import Names as Names
from neurokit_sdr.core.arguments import OneOrSeveral as OneOrSeveral
from neurokit_sdr.core.arguments import Options as Options
from neurokit_sdr.core.arguments import check, did_you_mean
from neurokit_sdr.core.errors import ConvergenceWarning, NotFittedError, ParameterError
from neurokit_sdr.core.seeding import RNG


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
            check(f"{name} of {type(self).__name__}", getattr(self, name), allowed)

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
