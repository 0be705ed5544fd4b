"""What a fitted model keeps, and that it answers with nothing else."""

from __future__ import annotations

import concurrent.futures
import contextlib
import inspect
import json
import pickle
import tempfile
import unittest.mock
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
import xarray as xr

import neurokit_sdr as nks
from estimator_checks.tools import REQUIRED_ATTRS, MakeData, example, fit, fresh, simulate
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NeurokitError,
)
from neurokit_sdr.core.estimator import Constraint, Estimator, Options


def check_result_says_where_it_comes_from(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    result = fit(estimator, data).result_
    for name, kind in REQUIRED_ATTRS.items():
        assert isinstance(result.attrs[name], kind), name
    assert result.attrs["estimator"] == type(estimator).__name__
    assert json.loads(result.attrs["parameters"]) == json.loads(json.dumps(estimator.get_params()))
    assert result.attrs["neurokit_sdr_version"] == nks.__version__
    schema.check_attrs(result)
    other = fit(fresh(estimator), example(make_data, 1)).result_
    assert other.attrs["input_fingerprint"] != result.attrs["input_fingerprint"]
    for name, variable in result.data_vars.items():
        assert variable.dtype.kind in "iufUb", f"{name} is no plain array"
        assert variable.dims or variable.size == 1


def other_value(allowed: Constraint, value: Any) -> Any:
    """A value that a constraint takes, and that differs."""
    plain = [1, 2, 3, 4, 8, 0.05, 0.3, 0.9, 50.0, None, ["speed"]]
    words = list(allowed.words) if isinstance(allowed, Options) else []
    return next((v for v in (*words, *plain) if v in allowed and v != value), value)


def answers(estimator: Any, data: xr.Dataset) -> dict[str, Any]:
    """What every public method says that needs nothing but data, and a simulation."""
    found = {"simulate": simulate(estimator, data, rng=3)}
    for name, method in inspect.getmembers(type(estimator), inspect.isfunction):
        needed = [
            p.name
            for p in inspect.signature(method).parameters.values()
            if p.default is inspect.Parameter.empty and p.name != "self"
        ]
        if not name.startswith(("_", "fit", "partial_fit")) and needed == ["data"]:
            found[name] = method(estimator, data)
    return found


def check_hyperparameters_set_after_the_fit_wait_for_the_next(
    estimator: Estimator, make_data: MakeData
) -> None:
    data = example(make_data)
    fit(estimator, data)
    before = answers(estimator, data)
    assert {"predict", "score"} <= set(before)
    allowed = type(estimator)._allowed
    estimator.set_params(**{n: other_value(c, getattr(estimator, n)) for n, c in allowed.items()})
    after = answers(estimator, data)
    for name, said in before.items():
        if isinstance(said, xr.Dataset | xr.DataArray):
            xr.testing.assert_identical(after[name], said)
        else:
            np.testing.assert_equal(after[name], said)


def blas_threads() -> list[int]:
    return [
        pool["num_threads"]
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] in ("blas", "openmp")
    ]


def check_threads_are_given_back(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    with threadpoolctl.threadpool_limits(2):
        before = blas_threads()
        fit(estimator, data).predict(data)
        assert blas_threads() == before
        # The first to end must not take the limit of the second for the process's own.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(fit, fresh(estimator), data) for _ in range(2)]:
                done.result()
        assert blas_threads() == before
        with contextlib.suppress(NeurokitError):
            fit(fresh(estimator), data.isel({type(estimator).tags.samples: slice(0)}))
        assert blas_threads() == before
        # Ctrl-C in the middle, which some keep for later and others let through.
        with (
            unittest.mock.patch("tqdm.auto.tqdm.update", side_effect=KeyboardInterrupt) as pressed,
            contextlib.suppress(KeyboardInterrupt),
        ):
            fit(fresh(estimator), data)
        assert pressed.called
        assert blas_threads() == before


def check_too_few_iterations_are_said(estimator: Estimator, make_data: MakeData) -> None:
    if "max_iter" not in estimator.get_params():
        return
    model = fresh(estimator).set_params(max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter") as caught:
        model.fit(example(make_data), rng=0, progress=False)
    assert caught[0].filename == __file__, "it points at the line that called"
    assert "max_iter" in model.result_.attrs["status"]
    assert "raise" in model.result_.attrs["status"]


def check_saved_model_predicts_identically(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.nc"
        nks.save_result(estimator, path)
        loaded = nks.load_result(path)
    assert type(loaded) is type(estimator)
    assert list(vars(loaded)) == list(vars(estimator))
    xr.testing.assert_identical(loaded.result_, estimator.result_)
    for name, value in estimator.result_.attrs.items():
        assert type(loaded.result_.attrs[name]) is type(value), name
    xr.testing.assert_identical(loaded.predict(data), estimator.predict(data))
    assert loaded.score(data) == estimator.score(data)


def check_pickles_for_executors(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    unfitted = pickle.loads(pickle.dumps(estimator))
    assert unfitted.get_params() == estimator.get_params()
    fit(estimator, data)
    fitted = pickle.loads(pickle.dumps(estimator))
    xr.testing.assert_identical(fitted.result_, estimator.result_)
    xr.testing.assert_identical(fitted.predict(data), estimator.predict(data))
