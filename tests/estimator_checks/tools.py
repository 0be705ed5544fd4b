"""What the checks of estimators share."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NeurokitError,
)
from neurokit_sdr.core.estimator import Estimator

MakeData = Callable[[np.random.Generator], xr.Dataset]

REQUIRED_ATTRS = {
    "estimator": str,
    "neurokit_sdr_version": str,
    "schema_version": int,
    "parameters": str,
    "seed": int,
    "status": str,
    "input_fingerprint": str,
}


def fresh(estimator: Estimator) -> Any:
    """An unfitted estimator with the same hyper-parameters."""
    return type(estimator)(**estimator.get_params())


def fit(estimator: Estimator, data: xr.Dataset, rng: Any = 0, **options: Any) -> Any:
    """Fit quietly; whether it converged is not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(data, rng=rng, **{"progress": False, **options})


def example(make_data: MakeData, number: int = 0) -> xr.Dataset:
    return make_data(np.random.default_rng(number))


def kind_of(estimator: Estimator) -> schema.Kind:
    """The kind of the schema that an estimator takes."""
    return schema.KINDS[type(estimator).tags.kind]


def main_variable(estimator: Estimator) -> str:
    """What is recorded: a kind names it first."""
    return next(iter(kind_of(estimator).variables))


def unit_dim(estimator: Estimator) -> str:
    """The dimension of what is recorded, or of what is made of it."""
    return type(estimator).tags.features


@contextlib.contextmanager
def raises(kind: type[NeurokitError], *says: str) -> Iterator[None]:
    """The error is ours, of the right kind, and says what was expected and what came."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    for word in ("Expected", "got", *says):
        assert word in text, f"{word!r} not in: {text}"
    assert "\n" not in text


def simulate(estimator: Any, like: xr.Dataset, rng: Any) -> xr.Dataset:
    return estimator.simulate(like.sizes[type(estimator).tags.samples], rng=rng)
