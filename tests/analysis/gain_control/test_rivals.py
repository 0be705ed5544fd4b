"""Mechanisms on arrays, the simulator of sessions, and the loader of a lab's layout."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.io import savemat

import neurokit_sdr as nks
from neurokit_sdr.analysis.gain_control import comparison, loo, rivals
from neurokit_sdr.analysis.gain_control.data import read_tuning
from neurokit_sdr.core import schema
from neurokit_sdr.core.errors import FileFormatError, NeurokitError, ParameterError

PREFERRED = np.arange(-90, 90, 15.0)
SHAPE = rivals.recurrence_shape(PREFERRED, "von_mises", 30.0, 180.0)


def curves(seed=0):
    return np.random.default_rng(seed).uniform(0.1, 1, (2, 12, 8))


@pytest.mark.parametrize("mechanism", rivals.MECHANISMS)
def test_without_an_effect_nothing_changes(mechanism):
    spec = rivals.MECHANISMS[mechanism]
    parameters = {name: np.zeros((2, 12)) for name in spec.effects}
    for shared in (-2.0, 0.4):
        if spec.shared:
            parameters[spec.shared] = abs(shared) / 3 if mechanism == "normalisation" else shared
        x, v = curves(), np.full((2, 12, 8), 0.01)
        mean, variance = rivals.adapted(mechanism, parameters, x, v, SHAPE)
        np.testing.assert_allclose(mean, x, atol=1e-12)
        np.testing.assert_allclose(variance, v, atol=1e-12)


def test_pure_gain_is_a_case_of_its_richer_rivals():
    a = np.random.default_rng(1).normal(size=(2, 12)) / 3
    x, v = curves(), np.full((2, 12, 8), 0.01)
    mean, variance = rivals.adapted("gain", {"log_gain": a}, x, v, SHAPE)
    for simple, rich in rivals.NESTED:
        assert simple == "gain"
        more = {"log_gain": a, "offset": np.zeros((2, 12)), "recurrence": 0.0}
        found, spread = rivals.adapted(rich, more, x, v, SHAPE)
        np.testing.assert_allclose(found, mean, atol=1e-12)
        np.testing.assert_allclose(spread, variance, atol=1e-12)


def test_recurrent_gain_is_the_circuit_with_gain_on_the_drive():
    circuit = nks.analysis.gain_circuit(12, 24, recurrence=-2.0)
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    gain = xr.DataArray(np.linspace(0.5, 1.5, 12), dims="unit")
    x = model.respond().values[None]
    parameters = {"log_gain": np.log(gain.values)[None], "recurrence": -2.0}
    found, _ = rivals.adapted("recurrent_gain", parameters, x, 0 * x, SHAPE)
    np.testing.assert_allclose(found[0], model.respond(gain), atol=1e-10)


def test_synaptic_change_keeps_the_drive():
    v = np.random.default_rng(2).normal(size=(2, 12)) / 4
    x = curves()
    found, _ = rivals.adapted("synaptic", {"weight_change": v, "recurrence": -1.0}, x, 0 * x, SHAPE)
    for k in range(2):
        before = -1.0 * SHAPE.shape
        after = (-1.0 + 2 * v[k])[:, None] * SHAPE.shape
        np.testing.assert_allclose(found[k] - after @ found[k], x[k] - before @ x[k], atol=1e-12)


@pytest.mark.parametrize("mechanism", ["recurrent_gain", "synaptic"])
def test_errors_that_recurrence_spreads_over_units_are_nearly_independent(mechanism):
    # What the likelihood leaves out: correlations between units of the error of M y0.
    data = nks.analysis.simulate_gain_sessions(mechanism, 1, rng=0)
    spec = rivals.MECHANISMS[mechanism]
    parameters = {n: data[f"{n}_truth"].values for n in (*spec.effects, spec.shared)}
    # M, column by column: the response to the unit vectors.
    matrix, _ = rivals.adapted(mechanism, parameters, np.eye(12)[None], np.eye(12)[None], SHAPE)
    both = matrix[0] @ matrix[0].T + np.eye(12)  # as both conditions have errors of the same size
    sd = np.sqrt(np.diag(both))
    correlation = both / np.outer(sd, sd) - np.eye(12)
    assert np.abs(correlation).max() < 0.12


def test_weights_of_leave_one_out_are_those_of_arviz(seed):
    pytest.importorskip("pymc")
    from neurokit_sdr.analysis.gain_control import posterior

    with posterior.quiet():
        arviz = pytest.importorskip("arviz")
    rng = np.random.default_rng(seed)
    ratio = rng.normal(size=(2000, 5)) * np.array([0.1, 0.5, 1.0, 2.0, 3.0])
    if not hasattr(arviz, "psislw"):
        pytest.skip("this ArviZ has psislw as a method of arrays only")
    expected, shape = arviz.psislw(ratio.T.copy())
    for i in range(5):
        found, k = loo.smoothed_weights(ratio[:, i])
        assert k == pytest.approx(float(shape[i]), abs=1e-10)
        np.testing.assert_allclose(found, expected[i], atol=1e-10)


def test_leave_one_out_is_exact_for_a_normal_mean(seed):
    # y_i ~ N(m, 1), flat prior: without y_i, m ~ N(mean of the others, 1 / (n - 1)).
    rng = np.random.default_rng(seed)
    y = rng.normal(size=30)
    draws = y.mean() + rng.normal(size=4000) / np.sqrt(30)
    density = -0.5 * (y - draws[:, None]) ** 2 - 0.5 * np.log(2 * np.pi)
    found = loo.leave_one_out(density, density)
    others = (y.sum() - y) / 29
    variance = 1 + 1 / 29
    exact = -0.5 * (y - others) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
    # 4000 independent draws of a density that varies by (y - m) / sqrt(30) around its mean.
    error = 5 * (np.abs(y - others) / np.sqrt(29) + 1 / 29) / np.sqrt(4000)
    assert (np.abs(found.density - exact) < error).all()
    assert found.shape.max() < 0.7


@pytest.mark.parametrize("mechanism", rivals.MECHANISMS)
def test_simulated_sessions_follow_the_schema_and_their_truth(mechanism, seed):
    data = nks.analysis.simulate_gain_sessions(mechanism, 3, noise=0.1, rng=seed)
    schema.check(data, "tuning")
    rest = ((data["response"] - data["response_truth"]) / 0.1).values
    # A mean of squares of n standard normal variables: variance 2 / n.
    assert abs((rest**2).mean() - 1) < 5 * np.sqrt(2 / rest.size)
    height = data["response_truth"].max("stimulus").mean("session")
    change = (height.sel(condition="adapted") / height.sel(condition="control")).values
    assert change[6] < 0.9 < 1 < change[0]
    again = nks.analysis.simulate_gain_sessions(mechanism, 3, noise=0.1, rng=seed)
    xr.testing.assert_identical(again, data)


def test_noise_is_told_from_smooth_curves(seed):
    data = nks.analysis.simulate_gain_sessions(n_sessions=11, noise=0.05, rng=seed)
    curve = np.moveaxis(data["response"].values, -1, 1)
    found = rivals.curve_noise(curve)
    # 12 units and 9 degrees of freedom each; what harmonics beyond five hold adds under 3 %.
    free = 12 * 9
    assert (np.abs(found / 0.05 - 1) < 5 / np.sqrt(2 * free) + 0.03).all()


def benucci_file(path, sessions=11, shape=(13, 21, 2)):
    rng = np.random.default_rng(0)
    cells = np.empty(sessions, dtype=object)
    for k in range(sessions):
        cells[k] = rng.uniform(1, 5, shape)
    savemat(path, {"resps": cells})
    return cells


def test_the_layout_of_benucci_is_loaded(tmp_path):
    cells = benucci_file(tmp_path / "data.mat")
    data = nks.analysis.load_benucci(tmp_path / "data.mat")
    schema.check(data, "tuning")
    assert dict(data["response"].sizes) == {
        "session": 11, "unit": 13, "stimulus": 21, "condition": 2
    }  # fmt: skip
    control = data["response"].sel(condition="control")
    np.testing.assert_allclose(control.min("stimulus"), 0, atol=1e-12)
    np.testing.assert_allclose(control.max("stimulus"), 1)
    raw = nks.analysis.load_benucci(tmp_path / "data.mat", normalise=False)
    np.testing.assert_array_equal(raw["response"][4], cells[4])
    p = data["probability"].isel(session=1).sel(condition="adapted")
    assert float(p.sel(stimulus=0)) == pytest.approx(0.175)
    assert float(p.sel(stimulus=9)) == pytest.approx(0.35 / 4)
    assert float(p.sel(stimulus=90)) == pytest.approx(0.65 / 18)
    assert read_tuning(data).period == 180


def test_bad_files_and_calls_are_said(tmp_path):
    benucci_file(tmp_path / "two.mat", sessions=2)
    with pytest.raises(ParameterError, match="one probability per session"):
        nks.analysis.load_benucci(tmp_path / "two.mat")
    with pytest.raises(FileFormatError, match="variable="):
        nks.analysis.load_benucci(tmp_path / "two.mat", variable="other")
    benucci_file(tmp_path / "flat.mat", shape=(13, 21))
    with pytest.raises(FileFormatError, match="unit, stimulus, 2"):
        nks.analysis.load_benucci(tmp_path / "flat.mat")
    (tmp_path / "text.mat").write_text("no MATLAB file at all, but long enough to be read as one")
    with pytest.raises(NeurokitError):
        nks.analysis.load_benucci(tmp_path / "text.mat")
    with pytest.raises(ParameterError, match="recurrent_gain"):
        nks.analysis.simulate_gain_sessions("recurent_gain")
    with pytest.raises(ParameterError, match="runs away"):
        nks.analysis.simulate_gain_sessions("synaptic", shared=1.0)


def densities(*means, n=400, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([m + spread * rng.normal(size=n) for m in means])


@pytest.mark.parametrize(
    ("names", "means", "unchanged", "expected"),
    [
        (["gain", "gain_offset", "synaptic"], (0.0, 0.0, -0.5), -1.0, "gain"),
        (["gain", "gain_offset", "synaptic"], (0.0, 0.0, 0.0), -1.0, "undecided"),
        (["gain", "gain_offset", "synaptic"], (-0.5, 0.0, -0.5), -1.0, "gain_offset"),
        (["gain_offset", "recurrent_gain"], (0.0, 0.0), -1.0, "undecided"),
        (["gain", "normalisation"], (-0.5, 0.0), 0.0, "undecided"),
        (["gain"], (0.0,), -1.0, "gain"),
    ],
)
def test_the_verdict_is_the_simplest_that_is_not_behind(names, means, unchanged, expected):
    density = densities(*means)
    named, reason = comparison.decide(names, density, np.full(400, unchanged))
    assert named == expected
    assert reason
