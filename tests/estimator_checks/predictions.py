"""What a fitted model says of data."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from estimator_checks.tools import (
    REQUIRED_ATTRS,
    MakeData,
    example,
    fit,
    fresh,
    main_variable,
    raises,
    simulate,
    unit_dim,
)
from neurokit_sdr.core import results, schema
from neurokit_sdr.core.errors import (
    SchemaError,
)
from neurokit_sdr.core.estimator import Estimator


def check_prediction_is_labelled_like_the_input(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    samples, trials = type(estimator).tags.samples, type(estimator).tags.trials
    size = data.sizes[samples]
    later = {
        "phase": (samples, np.linspace(0, 1, size), {"units": "1"}),
        samples: data[samples] + 5.0,
    }
    data = data.assign_coords(later)
    predicted = fit(estimator, data).predict(data)
    for name in (samples, "phase"):
        xr.testing.assert_identical(predicted[name].variable, data[name].variable)
    dims = [d for d in data[main_variable(estimator)].dims if d in (trials, samples)]
    for name, variable in predicted.data_vars.items():
        if samples in variable.dims:
            assert [d for d in variable.dims if d in (trials, samples)] == dims, name
    assert predicted.sizes[samples] == size
    xr.testing.assert_identical(predicted, estimator.predict(data))


def three_trials(estimator: Estimator, make_data: MakeData) -> xr.Dataset:
    """Trials of three lengths."""
    tags = type(estimator).tags
    data = [example(make_data, number) for number in range(3)]
    if tags.trials in data[0].dims:
        return data[0]
    together = xr.concat(data, tags.trials, coords="minimal", compat="override", join="override")
    size = together.sizes[tags.samples]
    lengths = [size - size // 3, size, size - size // 4]
    return together.assign({f"{tags.trials}_length": (tags.trials, lengths, {"units": "1"})})


def check_prediction_of_a_trial_stands_alone(estimator: Estimator, make_data: MakeData) -> None:
    tags = type(estimator).tags
    if not tags.trials:
        return
    data = three_trials(estimator, make_data)
    predicted = fit(estimator, data).predict(data)
    order = np.arange(data.sizes[tags.trials])[::-1]
    others = {"reversed": (order, estimator.predict(data.isel({tags.trials: order})))}
    one = data.isel({tags.trials: [0]})
    others["alone"] = [0], estimator.predict(one)
    length = f"{tags.trials}_length"
    if length in data:
        ended = one.isel({tags.samples: slice(int(one[length][0]))})
        others["alone and to its end"] = [0], estimator.predict(ended)
    # A thousand roundings one after another in single precision, which networks work in.
    rounding = 1000 * float(np.finfo(np.float32).eps)
    for case, (trials, other) in others.items():
        for name, expected in predicted.data_vars.items():
            if tags.trials not in expected.dims:
                continue
            expected = expected.isel({tags.trials: trials}).isel(
                {d: slice(n) for d, n in other[name].sizes.items() if d != tags.trials}
            )
            if expected.dtype.kind in "OTU":
                np.testing.assert_array_equal(other[name], expected, err_msg=f"{case}: {name}")
                continue
            np.testing.assert_allclose(
                other[name].astype(float),
                expected.astype(float),
                rtol=rounding,
                atol=rounding * float(abs(expected.astype(float)).max()),
                err_msg=f"{case}: {name}",
            )


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
    variable = shuffled[main_variable(estimator)]
    values = np.moveaxis(variable.values, variable.dims.index(unit_dim(estimator)), -1)
    for unit in range(values.shape[-1]):
        values[..., unit] = rng.permutation(values[..., unit].ravel()).reshape(values.shape[:-1])
    if not type(estimator).tags.ordered:
        values[:] = np.roll(values, 1, axis=-1)  # all that is left to spoil is whose they are
    assert score > estimator.score(shuffled)


def check_simulation_can_be_fitted(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    simulated = simulate(estimator, data, rng=3)
    schema.check(simulated, type(estimator).tags.kind)
    np.testing.assert_array_equal(simulated[unit_dim(estimator)], data[unit_dim(estimator)])
    xr.testing.assert_identical(simulate(estimator, data, rng=3), simulated)
    again = fit(fresh(estimator), simulated)
    assert set(again.predict(simulated)) == set(estimator.predict(simulated))
    assert math.isfinite(estimator.score(simulated))


def check_known_parameters_need_no_data(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    known = type(estimator).from_parameters(estimator.result_)
    assert set(vars(known)) == set(vars(estimator))
    xr.testing.assert_identical(known.predict(data), estimator.predict(data))
    assert results.encode(known.get_params()) == results.encode(estimator.get_params())
    for name in REQUIRED_ATTRS:
        assert known.result_.attrs[name] == estimator.result_.attrs[name], name
    bare = estimator.result_.copy()
    for name in ("estimator", "seed", "status", "input_fingerprint"):
        del bare.attrs[name]
    known = type(estimator).from_parameters(bare)
    assert known.result_.attrs["status"] == "known parameters"
    xr.testing.assert_identical(known.predict(data), estimator.predict(data))
    for wrong in (None, np.zeros(3), xr.Dataset()):
        with raises(SchemaError):
            type(estimator).from_parameters(wrong)
    spoilt = {"parameters": ("{no json", "[1]", '{"colour_": 1}', "null"), "seed": ("seven", 1.5)}
    for name, values in spoilt.items():
        for value in values:
            with raises(SchemaError, name):
                type(estimator).from_parameters(estimator.result_.assign_attrs({name: value}))
