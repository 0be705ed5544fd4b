"""Data that must be refused, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from estimator_checks.tools import (
    MakeData,
    example,
    fit,
    fresh,
    kind_of,
    main_variable,
    raises,
    unit_dim,
)
from neurokit_sdr.core.errors import (
    SchemaError,
)
from neurokit_sdr.core.estimator import Estimator


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
    name = main_variable(estimator)
    for wrong in (
        np.nan,
        np.inf,
        -np.inf,
        *([-1.0, 0.5] if kind_of(estimator).name == "counts" else []),
    ):
        bad = data.assign({name: data[name].astype(float)}).copy(deep=True)
        bad[name].values.flat[3] = wrong
        refused(estimator, make_data, bad)


def check_empty_data_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    refused(estimator, make_data, data.isel({type(estimator).tags.samples: slice(0)}))
    refused(estimator, make_data, data.isel({unit_dim(estimator): slice(0)}))


def check_silence_is_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data).copy(deep=True)
    data[main_variable(estimator)].values[:] = 0
    with raises(SchemaError):
        fit(fresh(estimator), data)
    fit(estimator, example(make_data)).predict(data)  # of a fitted model it is a fair question


def check_one_unit_is_refused_or_fitted(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    data = data.isel({unit_dim(estimator): [0]})
    refusal = ""
    try:
        fit(fresh(estimator), data).predict(data)
    except SchemaError as error:
        refusal = str(error)
    assert refusal == "" or (unit_dim(estimator) in refusal and "got 1" in refusal)


def check_wrong_dims_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    name = main_variable(estimator)
    samples = type(estimator).tags.samples
    refused(estimator, make_data, data.rename({samples: "bin"}), samples)
    unit = unit_dim(estimator)
    refused(estimator, make_data, data.rename({unit: "neuron"}), unit)
    refused(estimator, make_data, data.transpose(..., unit, samples), "rename or transpose")
    refused(estimator, make_data, data.expand_dims("extra"), "extra")
    refused(estimator, make_data, data.rename({name: name + "s"}), f"Did you mean '{name}s'?")
    refused(estimator, make_data, data.drop_vars(name), name)


def check_wrong_types_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    name = main_variable(estimator)
    tree = xr.DataTree.from_dict({"/x": data})
    for wrong in (None, data[name], data[name].values, "counts.nc", data.to_dict(), 3, tree):
        refused(estimator, make_data, wrong, "Dataset")
    refused(estimator, make_data, data.assign({name: data[name].astype(str)}), "dtype")


def check_missing_labels_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    for attr in kind_of(estimator).attrs:
        refused(estimator, make_data, data.drop_attrs(deep=False), attr)
        for wrong in (0.0, -1.0, np.nan, np.inf, "fast", "0.02", [0.02]):
            refused(estimator, make_data, data.assign_attrs({attr: wrong}), attr)
    unit = unit_dim(estimator)
    refused(estimator, make_data, data.drop_vars(unit), unit)
    units = data[unit].values.copy()
    units[1] = units[0]
    refused(estimator, make_data, data.assign_coords({unit: units}), "unique")


def check_missing_bins_may_not_be_all(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    if "observed" not in kind_of(estimator).variables:
        return
    dims = [d for d in data[main_variable(estimator)].dims if d != unit_dim(estimator)]
    shape = [data.sizes[d] for d in dims]
    refused(estimator, make_data, data.assign(observed=(dims, np.zeros(shape, bool))), "observed")
    fit(estimator, data.assign(observed=(dims, np.ones(shape, bool))))


def check_other_units_are_refused(estimator: Estimator, make_data: MakeData) -> None:
    data = example(make_data)
    fit(estimator, data)
    unit = unit_dim(estimator)
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
    if "bin_size" in kind_of(estimator).attrs:
        # Without a clock, which would tell by itself.
        wider = data.drop_vars(type(estimator).tags.samples, errors="ignore")
        with raises(SchemaError, "bin"):
            estimator.predict(wider.assign_attrs(bin_size=2 * data.attrs["bin_size"]))
