"""The one contract every model follows, as a base class and a skeleton.

A model is a folder: ``equations.py``, pure functions on arrays, ``labels.py``, arrays to Dataset
and back, and ``model.py``, a thin class that checks, calls and labels. The class looks like this::

    class Model(Estimator):
        _allowed = {"n_states": Interval(int, 1), "prior": Options("none", "gaussian")}

        def __init__(self, *, n_states=2, prior="none"):   # keyword-only, stored verbatim
            self.n_states = n_states
            self.prior = prior

        def fit(self, data, *, rng=None, progress=True):
            self._check_params()                            # checks happen here, not in __init__
            ...
            return self._finish(result, seed=seed, status=status, fingerprint=...)  # sets result_

        def predict(self, data): ...                        # labelled like the input
        def score(self, data): ...                          # higher is better
        def simulate(self, ..., *, rng=None): ...           # what a reader returns, plus the truth

        @classmethod
        def from_parameters(cls, parameters):               # known truth, no data needed
            ...
            return cls._known(parameters, n_states=...)

A fitted model answers with what it was fitted with: every public method that does not fit is called
on a model with the hyper-parameters of the fit, so that changing them changes nothing before the
next fit.

``tests/estimator_checks`` holds every public estimator to it.
"""

from __future__ import annotations

import functools
import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from neurokit_sdr.core import results
from neurokit_sdr.core.arguments import Constraint as Constraint
from neurokit_sdr.core.arguments import Interval as Interval
from neurokit_sdr.core.arguments import Names as Names
from neurokit_sdr.core.arguments import OneOrSeveral as OneOrSeveral
from neurokit_sdr.core.arguments import Options as Options
from neurokit_sdr.core.arguments import check, did_you_mean
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NotFittedError,
    ParameterError,
    SchemaError,
    warn,
)
from neurokit_sdr.core.seeding import RNG

#: Public methods that make a fit or belong to the next one; all others ask the last one.
_OF_THE_NEXT_FIT = frozenset({"fit", "partial_fit", "get_params", "set_params"})

#: Attributes of ``result_`` that say which fit it is the result of.
_OF_A_FIT = frozenset({"parameters", "seed", "status", "input_fingerprint"})


@dataclass(frozen=True)
class Tags:
    """What a model takes, so that ``tests/estimator_checks`` knows what it may ask of it.

    Attributes
    ----------
    kind
        The kind of the schema that ``fit`` takes.
    samples
        The dimension along which the data are many: bins, stimuli.
    features
        The dimension of what is recorded: units, cells.
    trials
        The dimension of what stands for itself, in data that have it; empty where there is none.
    ordered
        Whether the order of the samples says anything to the model.
    """

    kind: str = "counts"
    samples: str = "time"
    features: str = "unit"
    trials: str = "trial"
    ordered: bool = True


class Estimator(ABC):
    """Base class of every model; see the module's text for the contract."""

    #: What the model takes.
    tags: ClassVar[Tags] = Tags()

    #: What each hyper-parameter may be; checked at the start of ``fit``.
    _allowed: ClassVar[Mapping[str, Constraint]] = {}

    result_: xr.Dataset

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            public = inspect.isfunction(method) and not name.startswith("_")
            if public and name not in _OF_THE_NEXT_FIT:
                setattr(cls, name, _asked_of_the_fit(method))
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

    def _as_fitted(self) -> Self:
        """This model, or with other hyper-parameters than at the fit, one with those of it."""
        if not hasattr(self, "result_"):
            return self
        fitted = self.result_.attrs["parameters"]
        if fitted == results.encode(self.get_params()):
            return self
        model = type(self)(**json.loads(fitted))
        model.result_ = self.result_
        return model

    def _finish(
        self,
        result: xr.Dataset,
        *,
        seed: int,
        status: str,
        fingerprint: str,
        ended_well: bool | None = None,
    ) -> Self:
        """Stamp and keep the result of a fit, and warn if it did not end well.

        Iterations end well where their status is that they converged; what has none says so itself.
        """
        self.result_ = results.stamp(
            result,
            estimator=type(self),
            parameters=self.get_params(),
            seed=seed,
            status=status,
            fingerprint=fingerprint,
        )
        if not (status == results.CONVERGED if ended_well is None else ended_well):
            warn(f"{type(self).__name__}: {status}", ConvergenceWarning)
        return self

    @classmethod
    def _named(cls, parameters: xr.Dataset) -> dict[str, Any]:
        """The hyper-parameters that a Dataset of parameters names in its attributes."""
        text = parameters.attrs.get("parameters", "{}")
        try:
            return cls(**json.loads(text)).get_params()
        except (TypeError, ValueError) as error:
            raise SchemaError(
                f"Expected attrs['parameters'] as JSON of the hyper-parameters of {cls.__name__}, "
                f"got {text!r} ({error}): drop it to have the defaults."
            ) from error

    @classmethod
    def _known(cls, parameters: xr.Dataset, **otherwise: Any) -> Self:
        """A model of checked parameters, fitted as far as anyone can tell.

        Parameters that are the result of a fit keep its hyper-parameters, seed, status and
        fingerprint; others have those of ``otherwise``, seed 0 and the status "known parameters".
        """
        given = parameters.attrs
        seed, status, fingerprint = 0, results.KNOWN, ""
        if given.get("estimator") == cls.__name__ and set(given) >= _OF_A_FIT:
            otherwise = cls._named(parameters)
            status, fingerprint = str(given["status"]), str(given["input_fingerprint"])
            seed = given["seed"]
            if not isinstance(seed, int | np.integer):
                raise SchemaError(
                    f"Expected attrs['seed'] of a fitted {cls.__name__} as an int, got {seed!r}: "
                    f"drop attrs['estimator'] to take the variables as known parameters."
                )
        model = cls(**otherwise)
        model._check_params()
        model.result_ = results.stamp(
            parameters,
            estimator=cls,
            parameters=model.get_params(),
            seed=int(seed),
            status=status,
            fingerprint=fingerprint or results.fingerprint(parameters),
        )
        return model

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items())
        return f"{type(self).__name__}({arguments})"


def _asked_of_the_fit(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def ask(self: Estimator, *args: Any, **options: Any) -> Any:
        return method(self._as_fitted(), *args, **options)

    return ask
