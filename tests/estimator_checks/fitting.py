"""Fitting: what it may touch."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import xarray as xr

import neurokit_sdr as nks
from estimator_checks.tools import MakeData, example, fit, fresh
from neurokit_sdr.core.errors import (
    NotFittedError,
)
from neurokit_sdr.core.estimator import Estimator


def check_not_fitted_is_said(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    for call in (estimator.predict, estimator.score):
        with pytest.raises(NotFittedError, match="fit"):
            call(data)
    with pytest.raises(NotFittedError, match="fit"):
        nks.save_result(estimator, "never-written.nc")
    assert not Path("never-written.nc").exists()
    assert not hasattr(estimator, "result_")


def check_fit_returns_self_and_sets_one_attribute(
    estimator: Estimator, make_data: MakeData
) -> None:
    before = set(vars(estimator))
    parameters = copy.deepcopy(estimator.get_params())
    assert fit(estimator, example(make_data)) is estimator
    assert set(vars(estimator)) - before == {"result_"}
    assert estimator.get_params() == parameters


def check_refit_forgets(estimator: Estimator, make_data: MakeData) -> None:
    first, second = example(make_data, 0), example(make_data, 1)
    once = fit(fresh(estimator), second).result_
    fit(estimator, first)
    xr.testing.assert_identical(fit(estimator, second).result_, once)


def check_input_stays_unchanged(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    before = data.copy(deep=True)
    fit(estimator, data)
    estimator.predict(data)
    estimator.score(data)
    xr.testing.assert_identical(data, before)
    result = estimator.result_.copy(deep=True)
    for variable in estimator.predict(data).data_vars.values():
        variable.values[:] = 0  # a prediction is the caller's to change
    xr.testing.assert_identical(estimator.result_, result)
    xr.testing.assert_identical(data, before)


def check_read_only_input_will_do(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    for variable in data.variables.values():
        variable.values.flags.writeable = False
    fit(estimator, data).predict(data)
