"""Plots of adaptation: the numbers on the axes are those of the data."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import SchemaError


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    return nks.analysis.simulate_gain_sessions("gain", 3, rng=0)


def test_extremes_and_shift_show_sessions_and_their_mean(data):
    effects = nks.analysis.response_extremes(data)
    axes = nks.plotting.response_extremes(effects)
    for ax, name in zip(axes, ("maximum_ratio", "minimum_change"), strict=True):
        np.testing.assert_allclose(ax.lines[-1].get_ydata(), effects[name].mean("session"))
        np.testing.assert_allclose(ax.lines[1].get_ydata(), effects[name][1])
    effects = nks.analysis.preferred_shift(data)
    ax = nks.plotting.preferred_shift(effects)
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), effects["shift"].mean("session"))
    assert ax.get_ylabel() == "shift away from adaptor (deg)"


def test_flatness_and_correlations(data):
    effects = nks.analysis.response_flatness(data)
    ax = nks.plotting.response_flatness(effects)
    mean = effects["mean_response"].mean("session")
    for line, case in zip(ax.lines, ("control", "unadapted", "adapted"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), mean.sel(case=case))
        assert line.get_label() == case
    assert ax.get_xlabel() == "preferred stimulus (deg)"
    effects = nks.analysis.decorrelation(data)
    axes = nks.plotting.response_covariance(effects)
    shown = axes[2].images[0].get_array()
    np.testing.assert_allclose(shown, effects["correlation"].sel(case="adapted").mean("session"))


def test_cost_and_time_course():
    circuit = nks.analysis.gain_circuit(12, 24, alpha=2.0)
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    p = nks.analysis.adaptor_ensemble(circuit["stimulus"])
    effects = nks.analysis.fidelity_and_cost(model, p.expand_dims(condition=[0.4]))
    ax = nks.plotting.fidelity_and_cost(effects)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), effects["activity"].sel(gains="adapted"))
    course = nks.analysis.adaptation_time_course(model, p, n_frames=50, n_repeats=2, rng=0)
    ax = nks.plotting.adaptation_time_course(course)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), course["progress"][:50])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), course["progress"][50:])
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert texts == ["adaptation, half not reached", "recovery, half not reached"]


def compared(data) -> xr.DataTree:
    """What compare_gain_models gives, as far as the plots read it."""
    table = xr.Dataset(
        {
            "title": ("mechanism", ["pure gain", "gain and offset"]),
            "elpd_difference": ("mechanism", [-30.0, 0.0]),
            "difference_se": ("mechanism", [5.0, 0.0]),
        },
        coords={"mechanism": ["gain", "gain_offset"]},
        attrs={"verdict": "gain_offset", "condition": "adapted", "height": 2.0},
    )
    mean = data["response"].sel(condition="adapted", drop=True) / 2
    said = xr.Dataset({"response_mean": mean, "response_low": mean - 1, "response_high": mean + 1})
    return xr.DataTree.from_dict({"/": table, "/gain_offset": said})


def test_comparison_and_predictive(data):
    tree = compared(data)
    ax = nks.plotting.gain_model_comparison(tree)
    assert ax.get_title() == "verdict: gain_offset"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["pure gain", "gain and offset"]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [-30, 0])
    axes = nks.plotting.gain_predictive(tree, data, "gain_offset", session=1)
    assert len(axes) == 12
    adapted = data["response"].sel(condition="adapted")[1]
    np.testing.assert_allclose(axes[4].lines[0].get_ydata(), adapted[4])
    np.testing.assert_allclose(axes[4].lines[1].get_ydata(), adapted[4])


def test_wrong_datasets_are_said(data):
    for plot in (
        nks.plotting.response_extremes,
        nks.plotting.preferred_shift,
        nks.plotting.response_flatness,
        nks.plotting.response_covariance,
        nks.plotting.fidelity_and_cost,
        nks.plotting.adaptation_time_course,
        nks.plotting.gain_model_comparison,
    ):
        with pytest.raises(SchemaError, match=r"nks\.analysis"):
            plot(data)
    with pytest.raises(SchemaError, match="gain_offset"):
        nks.plotting.gain_predictive(compared(data), data, "gain")


def test_one_figure_is_rendered(data, tmp_path):
    axes = nks.plotting.response_extremes(nks.analysis.response_extremes(data))
    axes[0].figure.savefig(tmp_path / "extremes.png")
    image = plt.imread(tmp_path / "extremes.png")
    assert image.std() > 0.05
