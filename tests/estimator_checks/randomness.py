"""Randomness by SPEC 7."""

from __future__ import annotations

import random

import numpy as np
import xarray as xr

from estimator_checks.tools import MakeData, example, fit, fresh, raises, simulate
from neurokit_sdr.core.errors import (
    ParameterError,
)
from neurokit_sdr.core.estimator import Estimator


def check_same_seed_same_result(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    first, second = (fit(fresh(estimator), data, rng=7).result_ for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert first.attrs["seed"] == 7


def check_generator_is_accepted(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    generator = np.random.default_rng(5)
    first = fit(fresh(estimator), data, rng=generator).result_.attrs["seed"]
    second = fit(fresh(estimator), data, rng=generator).result_.attrs["seed"]
    assert first != second, "a generator moves on"
    again = fit(fresh(estimator), data, rng=np.random.default_rng(5)).result_
    assert again.attrs["seed"] == first
    for other in (np.random.Generator(np.random.MT19937(0)), np.int64(3)):
        fit(fresh(estimator), data, rng=other)


def check_no_seed_is_recorded_and_repeats(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    drawn = fit(fresh(estimator), data, rng=None).result_
    assert drawn.attrs["seed"] != fit(fresh(estimator), data, rng=None).result_.attrs["seed"]
    xr.testing.assert_identical(fit(fresh(estimator), data, rng=drawn.attrs["seed"]).result_, drawn)


def check_wrong_rng_is_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    for wrong in (np.random.RandomState(0), -1, 1.5, "0", True, [1], np.random):
        with raises(ParameterError, "rng"):
            fit(fresh(estimator), data, rng=wrong)


def check_global_randomness_is_untouched(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    fit(estimator, data, rng=None)
    estimator.predict(data)
    simulate(estimator, data, rng=None)
    after = np.random.get_state(), random.getstate()  # noqa: NPY002
    assert before[1] == after[1]
    for x, y in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(x, y)
