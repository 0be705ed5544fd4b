"""Plots of convergence and of transitions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from tests.plotting.results import make_result


def test_convergence_shows_every_restart_and_the_best():
    result = make_result()
    ax = nks.plotting.convergence(result)
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    for line, trace in zip(lines[:-1], result["restart_objective"].values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), trace)
    np.testing.assert_array_equal(lines[-1].get_ydata(), result["objective"].values)
    np.testing.assert_array_equal(lines[-1].get_xdata(), result["iteration"].values)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert dots[1].get_xdata().tolist() == [4]
    assert ax.get_xlabel() == "EM iteration"
    assert ax.get_ylabel() == "log posterior (nats)"
    assert ax.get_title() == "status: converged"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["4 restarts", "best"]


def test_convergence_view_skips_the_first_jump():
    result = make_result()
    result["objective"][0] = -1e6
    low, high = nks.plotting.convergence(result).get_ylim()
    assert -1000 < low < float(result["restart_objective"][:, 1:].min())
    assert high > float(result["objective"].max())


def test_convergence_without_restarts():
    result = make_result()[["objective"]]
    ax = nks.plotting.convergence(result)
    assert ax.get_legend() is None
    nks.plotting.convergence(result.isel(iteration=[0]))


def test_transition_matrix_shows_the_probabilities():
    result = make_result()
    ax = nks.plotting.transition_matrix(result)
    values = result["transition_probability"].values
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    written = [float(t.get_text().replace("<", "")) for t in ax.texts]
    np.testing.assert_allclose(written, values.ravel(), atol=0.005)
    assert ax.images[0].colorbar.ax.get_ylabel() == "transition probability per bin"
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("state", "next state")


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "0"), (1, "1"), (0.0004, "<.001"), (0.9996, ">.999"), (0.98, ".980"), (0.25, ".25")],
)
def test_transition_matrix_never_rounds_to_certainty(probability, text):
    values = [[probability, 1 - probability], [0.5, 0.5]]
    result = xr.Dataset({"transition_probability": (("state", "next_state"), values)})
    assert nks.plotting.transition_matrix(result).texts[0].get_text() == text
