"""What the plots of error probabilities show is what the Datasets hold."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

mpl.use("Agg")

import matplotlib.pyplot as plt

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.sdr import (
    false_positive_probability,
    tabulate,
    union_false_positive_probability,
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_the_legend_has_the_theory_s_symbols():
    for name, symbol in (("theta", "θ"), ("n_patterns", "M")):
        table = tabulate(
            union_false_positive_probability, n=[500, 1000], a=40, s=20,
            **{"theta": 5, "n_patterns": 2} | {name: [6, 8]},
        )  # fmt: skip
        ax = nks.plotting.error_probability(table, along="n")
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == [f"{symbol} = 6", f"{symbol} = 8"]
        plt.close(ax.figure)


def errors():
    return tabulate(false_positive_probability, n=1000, a=[40, 80], s=20, theta=range(5, 25))


def test_lines_are_the_theory_and_points_the_simulation():
    theory = errors()
    p = theory["false_positive_probability"]
    simulated = xr.Dataset(
        {"probability": p * 1.1, "standard_error": p * 0.1}
    ).isel(theta=slice(0, 4))  # fmt: skip
    ax = nks.plotting.error_probability(theory, simulated)
    drawn = [line for line in ax.lines if line.get_label().startswith("a = ")]
    assert [line.get_label() for line in drawn] == ["a = 40", "a = 80"]
    for line, expected in zip(drawn, p.values, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), theory["theta"])
        # What is 0 has no place on a logarithmic axis.
        np.testing.assert_array_equal(np.nan_to_num(line.get_ydata()), expected)
    points = ax.containers[1].lines[0]
    np.testing.assert_allclose(points.get_ydata(), 1.1 * p.values[1, :4])
    assert ax.get_xlabel() == "threshold θ (synapses)"
    assert ax.get_yscale() == "log"
    ax.figure.savefig(io.BytesIO(), format="png")


def test_the_other_dimension_and_a_linear_axis():
    ax = nks.plotting.error_probability(
        errors().isel(theta=slice(0, 3)), along="a", log=False, quantity="error"
    )
    assert len(ax.lines) == 3
    assert ax.get_xlabel() == "active cells a"
    assert (ax.get_ylabel(), ax.get_yscale()) == ("error", "linear")
    single = nks.plotting.error_probability(errors().isel(a=0))
    assert len(single.lines) == 1
    assert single.get_legend() is None


def test_the_sweep_shades_what_is_low_enough():
    sweep = errors()
    ax = nks.plotting.threshold_sweep(sweep, limit=1e-6)
    median = sweep["false_positive_probability"].median("a").values
    np.testing.assert_allclose(
        np.nan_to_num(ax.lines[0].get_ydata()), median, rtol=1e-12
    )  # fmt: skip
    shaded = ax.patches[0].get_x()
    assert shaded == sweep["theta"].values[median <= 1e-6].min()
    ax.figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: nks.plotting.error_probability(3),
         SchemaError, "Expected a Dataset of one variable, got int"),
        (lambda: nks.plotting.error_probability(
            tabulate(false_positive_probability, n=[90, 100], a=[4, 5], s=[4, 5], theta=2)),
         SchemaError, "Expected one or two dimensions"),
        (lambda: nks.plotting.error_probability(errors(), along="v"), ParameterError,
         "Expected along to be one of"),
        (lambda: nks.plotting.error_probability(errors(), errors()), SchemaError,
         "Expected a variable 'probability'"),
        (lambda: nks.plotting.threshold_sweep(xr.Dataset()), SchemaError,
         r"Expected false_positive_probability\(theta"),
    ],
)  # fmt: skip
def test_other_data_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
