"""Plots of coupling: weights on one scale, truth beneath, labels."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import (
    ParameterError,
    SchemaError,
)
from tests.plotting.results import (
    make_result,
)


def test_coupling_matrices_show_the_weights_on_one_symmetric_scale():
    result = make_result()
    axes = nks.plotting.coupling_matrices(result)
    assert axes.shape == (1, 3)
    limits = set()
    for s, ax in enumerate(axes[0]):
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), result["weight"].values[s, :, :, 0])
        # row 0 at the top, as a matrix is written
        assert image.origin == "upper"
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
        limits.add(image.get_clim())
        assert ax.get_title() == f"state {s}"
    ((low, high),) = limits
    weight = result["weight"].values[..., 0]
    assert low == -high == -np.abs(weight[:, ~np.eye(4, dtype=bool)]).max()


def test_coupling_matrices_have_labels_and_one_colour_bar():
    axes = nks.plotting.coupling_matrices(make_result())
    figure = axes[0, 0].figure
    assert axes[0, 0].get_ylabel() == "τ = 20 ms\ntarget unit"
    assert {ax.get_xlabel() for ax in axes[0]} == {"source unit"}
    (bar,) = set(figure.axes) - set(axes.ravel())
    assert bar.get_ylabel() == "coupling weight (dimensionless)"


def test_coupling_matrices_one_row_per_time_constant_with_truth_beneath():
    result = make_result(n_constants=3)
    truth = result[["weight"]] * 2
    axes = nks.plotting.coupling_matrices(result, truth=truth)
    assert axes.shape == (6, 3)
    weight = result["weight"].values
    for k in range(3):
        for s in range(3):
            np.testing.assert_array_equal(axes[2 * k, s].images[0].get_array(), weight[s, ..., k])
            np.testing.assert_array_equal(
                axes[2 * k + 1, s].images[0].get_array(), 2 * weight[s, ..., k]
            )
    assert axes[2, 0].get_ylabel().startswith("fit, τ = 100 ms")
    assert axes[3, 0].get_ylabel().startswith("truth, τ = 100 ms")


def test_coupling_matrices_of_one_time_constant():
    result = make_result(n_constants=3)
    axes = nks.plotting.coupling_matrices(result, time_constant=0.11)
    assert axes.shape == (1, 3)
    np.testing.assert_array_equal(
        axes[0, 1].images[0].get_array(), result["weight"].values[1, ..., 1]
    )
    with pytest.raises(ParameterError, match="time_constant"):
        nks.plotting.coupling_matrices(result, time_constant="fast")


def test_coupling_matrices_accept_weights_and_truth_without_time_constant():
    result = make_result()
    truth = xr.Dataset({"weight": result["weight"].isel(time_constant=0)})
    axes = nks.plotting.coupling_matrices(result, truth=truth)
    assert axes[0, 0].get_ylabel() == "fit, τ = 20 ms\ntarget unit"
    assert axes[1, 0].get_ylabel() == "truth\ntarget unit"


def test_coupling_matrices_say_when_weights_lie_beyond_the_colours():
    result = make_result()
    axes = nks.plotting.coupling_matrices(result, limit=0.5)
    assert axes[0, 0].images[0].get_clim() == (-0.5, 0.5)
    assert axes[0, 0].images[0].colorbar.extend == "both"
    result["weight"][:] = np.eye(4)[..., None] * -5
    result["weight"][0, 0, 1, 0] = 1.0
    image = nks.plotting.coupling_matrices(result)[0, 0].images[0]
    assert image.get_clim() == (-1.0, 1.0)
    assert image.colorbar.extend == "min"


def test_coupling_matrices_wrap_many_states():
    axes = nks.plotting.coupling_matrices(make_result(n_states=7))
    assert axes.shape == (1, 7)
    rows = [ax.get_subplotspec().rowspan.start for ax in axes[0]]
    assert rows == [0, 0, 0, 0, 1, 1, 1]
    # the fourth has nothing beneath it, so it names its own axis
    assert [bool(ax.get_xlabel()) for ax in axes[0]] == [
        False,
        False,
        False,
        True,
        True,
        True,
        True,
    ]


def test_coupling_matrices_into_given_axes():
    figure, given = plt.subplots(1, 3)
    axes = nks.plotting.coupling_matrices(make_result(), axes=given)
    assert list(axes.ravel()) == list(given)
    with pytest.raises(ParameterError, match="1 x 3 axes"):
        nks.plotting.coupling_matrices(make_result(), axes=given[:2])
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("limit", [0, -1, "wide", np.nan])
def test_coupling_matrices_refuse_a_limit_that_is_none(limit):
    with pytest.raises(ParameterError, match="limit"):
        nks.plotting.coupling_matrices(make_result(), limit=limit)


def test_coupling_matrices_refuse_a_truth_of_another_shape():
    with pytest.raises(SchemaError, match="truth"):
        nks.plotting.coupling_matrices(make_result(), truth=make_result(n_states=2))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_coupling_matrices_of_no_coupling(value):
    result = make_result()
    result["weight"][:] = value
    if np.isnan(value):
        with pytest.raises(SchemaError, match="finite"):
            nks.plotting.coupling_matrices(result)
    else:
        assert nks.plotting.coupling_matrices(result)[0, 0].images[0].get_clim() == (-1.0, 1.0)


def test_coupling_matrices_of_one_neuron():
    result = make_result(n_states=1, n_units=1)
    image = nks.plotting.coupling_matrices(result)[0, 0].images[0]
    assert image.get_clim()[1] == abs(float(result["weight"].squeeze()))
