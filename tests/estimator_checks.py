"""What every public estimator promises, one function per promise.

Each check takes an unfitted estimator that fits in a moment, and a function that makes tiny data
for it: ``make_data(rng) -> Dataset``. :func:`check_estimator` runs them all, for estimators of
other packages too; ``tests/test_estimators.py`` runs them one by one over every one of ours.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import json
import math
import pickle
import random
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.base
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import (
    ConvergenceWarning,
    NeurokitError,
    NotFittedError,
    ParameterError,
    SchemaError,
)
from neurokit_sdr.core.estimator import Constraint, Estimator, Names, OneOrSeveral, Options

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


def check_estimator(estimator: Estimator, make_data: MakeData) -> None:
    """Run every check."""
    for check in CHECKS:
        check(copy.deepcopy(estimator), make_data)


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


def kind_of(data: xr.Dataset) -> str:
    """The kind of the schema that a Dataset follows."""
    for name, kind in schema.KINDS.items():
        needed = {v for v, spec in kind.variables.items() if spec.required}
        if needed and needed <= set(data.variables):
            return name
    raise AssertionError(f"make_data gives no kind of the schema: {schema.describe(data)}")


def main_variable(data: xr.Dataset) -> str:
    return next(iter(schema.KINDS[kind_of(data)].variables))


def unit_dim(data: xr.Dataset) -> str:
    """The dimension of what is recorded, or of what is made of it."""
    return str(data[main_variable(data)].dims[-1])


@contextlib.contextmanager
def raises(kind: type[NeurokitError], *says: str) -> Iterator[None]:
    """The error is ours, of the right kind, and says what was expected and what came."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    for word in ("Expected", "got", *says):
        assert word in text, f"{word!r} not in: {text}"
    assert "\n" not in text


# -- hyper-parameters ---------------------------------------------------------------------------


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


# -- fit ----------------------------------------------------------------------------------------


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


# -- randomness ---------------------------------------------------------------------------------


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


# -- results ------------------------------------------------------------------------------------


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


def check_too_few_iterations_are_said(estimator: Estimator, make_data: MakeData) -> None:
    if "max_iter" not in estimator.get_params():
        return
    model = fresh(estimator).set_params(max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(example(make_data), rng=0, progress=False)
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


# -- predict, score, simulate -------------------------------------------------------------------


def check_prediction_is_labelled_like_the_input(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    size = data.sizes["time"]
    data = data.assign_coords(
        phase=("time", np.linspace(0, 1, size), {"units": "1"}),
        time=data["time"] + 5.0,
    )
    predicted = fit(estimator, data).predict(data)
    for name in ("time", "phase"):
        xr.testing.assert_identical(predicted[name].variable, data[name].variable)
    dims = [d for d in data[main_variable(data)].dims if d in ("trial", "time")]
    for name, variable in predicted.data_vars.items():
        if "time" in variable.dims:
            assert [d for d in variable.dims if d in ("trial", "time")] == dims, name
    assert predicted.sizes["time"] == size
    xr.testing.assert_identical(predicted, estimator.predict(data))


def check_score_is_higher_for_real_than_for_shuffled_data(
    estimator: Estimator, make_data: MakeData
) -> None:
    data = example(make_data)
    fit(estimator, data)
    score = estimator.score(data)
    assert type(score) is float
    assert math.isfinite(score)
    shuffled = data.copy(deep=True)
    rng = np.random.default_rng(0)
    values = shuffled[main_variable(data)].values
    for unit in range(values.shape[-1]):
        values[..., unit] = rng.permutation(values[..., unit].ravel()).reshape(values.shape[:-1])
    assert score > estimator.score(shuffled)


def simulate(estimator: Any, like: xr.Dataset, rng: Any) -> xr.Dataset:
    return estimator.simulate(like.sizes["time"], rng=rng)


def check_simulation_can_be_fitted(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    simulated = simulate(estimator, data, rng=3)
    schema.check(simulated, kind_of(data))
    np.testing.assert_array_equal(simulated[unit_dim(data)], data[unit_dim(data)])
    xr.testing.assert_identical(simulate(estimator, data, rng=3), simulated)
    again = fit(fresh(estimator), simulated)
    assert set(again.predict(simulated)) == set(estimator.predict(simulated))
    assert math.isfinite(estimator.score(simulated))


def check_known_parameters_need_no_data(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    known = type(estimator).from_parameters(estimator.result_)
    assert set(vars(known)) == set(vars(estimator))
    assert known.result_.attrs["status"] == "known parameters"
    xr.testing.assert_identical(known.predict(data), estimator.predict(data))
    for wrong in (None, np.zeros(3), xr.Dataset()):
        with raises(SchemaError):
            type(estimator).from_parameters(wrong)


# -- bad data -----------------------------------------------------------------------------------


def refused(estimator: Estimator, make_data: MakeData, data: Any, *says: str) -> None:
    """Neither fit nor a fitted model takes the data."""
    with raises(SchemaError, *says):
        fit(fresh(estimator), data)
    fitted = fit(fresh(estimator), example(make_data))
    before = fitted.result_.copy(deep=True)
    with raises(SchemaError):
        fitted.predict(data)
    with raises(SchemaError):
        fitted.score(data)
    with raises(SchemaError):
        fit(fitted, data)
    xr.testing.assert_identical(fitted.result_, before)


def check_wrong_values_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    name = main_variable(data)
    for wrong in (np.nan, np.inf, -np.inf, *([-1.0, 0.5] if kind_of(data) == "counts" else [])):
        bad = data.assign({name: data[name].astype(float)}).copy(deep=True)
        bad[name].values.flat[3] = wrong
        refused(estimator, make_data, bad)


def check_empty_data_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    refused(estimator, make_data, data.isel(time=slice(0)))
    refused(estimator, make_data, data.isel({unit_dim(data): slice(0)}))


def check_silence_is_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data).copy(deep=True)
    data[main_variable(data)].values[:] = 0
    with raises(SchemaError):
        fit(fresh(estimator), data)
    fit(estimator, example(make_data)).predict(data)  # of a fitted model it is a fair question


def check_one_unit_is_refused_or_fitted(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    data = data.isel({unit_dim(data): [0]})
    refusal = ""
    try:
        fit(fresh(estimator), data).predict(data)
    except SchemaError as error:
        refusal = str(error)
    assert refusal == "" or ("unit" in refusal and "got 1" in refusal)


def check_wrong_dims_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    name = main_variable(data)
    refused(estimator, make_data, data.rename(time="bin"), "time")
    unit = unit_dim(data)
    refused(estimator, make_data, data.rename({unit: "neuron"}), unit)
    refused(estimator, make_data, data.transpose(..., unit, "time"), "rename or transpose")
    refused(estimator, make_data, data.expand_dims("session"), "session")
    refused(estimator, make_data, data.rename({name: name + "s"}), f"Did you mean '{name}s'?")
    refused(estimator, make_data, data.drop_vars(name), name)


def check_wrong_types_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    name = main_variable(data)
    tree = xr.DataTree.from_dict({"/x": data})
    for wrong in (None, data[name], data[name].values, "counts.nc", data.to_dict(), 3, tree):
        refused(estimator, make_data, wrong, "Dataset")
    refused(estimator, make_data, data.assign({name: data[name].astype(str)}), "dtype")


def check_missing_labels_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    for attr in schema.KINDS[kind_of(data)].attrs:
        refused(estimator, make_data, data.drop_attrs(deep=False), attr)
        for wrong in (0.0, -1.0, np.nan, np.inf, "fast", "0.02", [0.02]):
            refused(estimator, make_data, data.assign_attrs({attr: wrong}), attr)
    unit = unit_dim(data)
    refused(estimator, make_data, data.drop_vars(unit), unit)
    units = data[unit].values.copy()
    units[1] = units[0]
    refused(estimator, make_data, data.assign_coords({unit: units}), "unique")


def check_missing_bins_may_not_be_all(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    if "observed" not in schema.KINDS[kind_of(data)].variables:
        return
    dims = data[main_variable(data)].dims[:-1]
    shape = [data.sizes[d] for d in dims]
    refused(estimator, make_data, data.assign(observed=(dims, np.zeros(shape, bool))), "observed")
    fit(estimator, data.assign(observed=(dims, np.ones(shape, bool))))


def check_other_units_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    unit = unit_dim(data)
    order = np.arange(data.sizes[unit])
    names = [f"other {i}" for i in order]
    for other in (
        data.isel({unit: order[::-1]}),
        data.isel({unit: order[:-1]}),
        data.assign_coords({unit: names}),
        data.assign_coords({unit: order + 1000}),
    ):
        for call in (estimator.predict, estimator.score):
            with raises(SchemaError, unit):
                call(other)
    if "bin_size" in data.attrs:
        # Without a clock, which would tell by itself.
        wider = data.drop_vars("time", errors="ignore")
        with raises(SchemaError, "bin"):
            estimator.predict(wider.assign_attrs(bin_size=2 * data.attrs["bin_size"]))


# -- manners ------------------------------------------------------------------------------------


def check_bars_show_and_can_be_silenced(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    printed = []
    for progress in (True, False):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            fit(fresh(estimator), data, progress=progress)
        assert out.getvalue() == ""
        printed.append(err.getvalue())
    assert printed[0] != ""
    assert printed[1] == ""


def check_bars_do_not_change_the_result(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    with contextlib.redirect_stderr(io.StringIO()):
        shown = fit(fresh(estimator), data, progress=True).result_
    xr.testing.assert_identical(shown, fit(fresh(estimator), data).result_)


def sections(text: str) -> dict[str, str]:
    """The numpydoc sections of a docstring by their headings."""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def check_everything_is_documented(estimator: Estimator, make_data: MakeData) -> None:
    cls = type(estimator)
    found = sections(cls.__doc__ or "")
    for heading in ("Parameters", "Attributes", "Examples"):
        assert heading in found, f"no section {heading}"
    assert ">>>" in found["Examples"]
    for name in estimator.get_params():
        assert re.search(rf"^{name}\b", found["Parameters"], re.MULTILINE), name
    assert re.search(r"^result_\b", found["Attributes"], re.MULTILINE)
    fit(estimator, example(make_data))
    for name in estimator.result_.data_vars:
        assert f"{name}(" in found["Attributes"], f"result_ holds {name}, the text does not say so"
    for name, method in inspect.getmembers(cls, callable):
        if name.startswith("_") or name not in vars(cls):
            continue
        found = sections(method.__doc__ or "")
        for parameter in list(inspect.signature(method).parameters):
            if parameter not in ("self", "cls"):
                assert re.search(
                    rf"^(?:\w+, )*{parameter}\b", found.get("Parameters", ""), re.MULTILINE
                ), f"{name}: {parameter}"


CHECKS: list[Callable[[Estimator, MakeData], None]] = [
    function
    for name, function in list(globals().items())
    if name.startswith("check_") and function is not check_estimator
]
