"""Hyper-parameters: stored, named, checked."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import sklearn.base

from estimator_checks.tools import MakeData, example, fit, fresh, raises
from neurokit_sdr.core.errors import (
    ParameterError,
)
from neurokit_sdr.core.estimator import Constraint, Estimator, Names, OneOrSeveral, Options


def check_init_only_stores(estimator: Estimator, make_data: MakeData) -> None:
    names = list(inspect.signature(type(estimator).__init__).parameters)[1:]
    values = {name: object() for name in names}
    made = type(estimator)(**values)
    assert vars(made) == values
    for parameter in list(inspect.signature(type(estimator)).parameters.values())[1:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, parameter
    for parameter in inspect.signature(type(estimator)).parameters.values():
        assert parameter.default is not inspect.Parameter.empty, parameter


def check_get_and_set_params(estimator: Estimator, make_data: MakeData) -> None:
    before = estimator.get_params()
    assert list(before) == list(inspect.signature(type(estimator)).parameters)
    other = type(estimator)()
    assert other.set_params(**before) is other
    assert other.get_params() == before
    assert estimator.get_params() == before
    assert type(estimator).__name__ in repr(estimator)


def check_sklearn_clone(estimator: Estimator, make_data: MakeData) -> None:
    fitted = fit(fresh(estimator), example(make_data))
    cloned = sklearn.base.clone(fitted)
    assert type(cloned) is type(estimator)
    assert cloned.get_params() == estimator.get_params()
    assert not hasattr(cloned, "result_")


def check_unknown_parameter_is_named(estimator: Estimator, make_data: MakeData) -> None:
    name = next(iter(estimator.get_params()))
    before = estimator.get_params()
    with pytest.raises(ParameterError) as caught:
        estimator.set_params(**{name + "s_": 1})
    text = str(caught.value)
    assert f"Did you mean {name!r}?" in text
    assert name + "s_" in text
    with pytest.raises(ParameterError):
        estimator.set_params(**{name: before[name], "qqqqqqqq": 1})
    assert estimator.get_params() == before


def wrong_values(allowed: Constraint) -> list[Any]:
    """Values that a constraint must refuse."""
    if isinstance(allowed, Options):
        return ["", "no such word", 1, None, allowed.words[0].swapcase(), list(allowed.words)]
    if isinstance(allowed, Names):
        return ["speed", [], [1], ["a", "a"], [""], 1, True]
    if isinstance(allowed, OneOrSeveral):
        each = [v for v in wrong_values(allowed.each) if v is not None and v != [1]]
        several = [[], (), [[allowed.each.low + 1]], *([v] for v in each)]
        return [*each, *several, *([] if allowed.none else [None])]
    values: list[Any] = [True, False, None, "1", math.nan, math.inf, -math.inf, [1], 1j]
    values.append(allowed.low - 1)
    values += [allowed.low] if allowed.open_low else []
    values += [allowed.high + 1] if math.isfinite(allowed.high) else []
    values += [allowed.low + 1.5] if allowed.kind is int else []
    return values


def check_wrong_hyper_parameters_are_refused_at_fit(
    estimator: Estimator, make_data: MakeData
) -> None:
    data = example(make_data)
    assert set(estimator._allowed) == set(estimator.get_params()), "every one has a constraint"
    for name, allowed in estimator._allowed.items():
        for value in wrong_values(allowed):
            model = fresh(estimator)
            model.set_params(**{name: value})  # not here
            with raises(ParameterError, name):
                fit(model, data)
            assert not hasattr(model, "result_")
