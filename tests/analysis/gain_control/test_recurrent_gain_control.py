"""The estimator: equilibrium, responses, adaptation, and what a fit finds again."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.analysis.gain_control import equations
from neurokit_sdr.core.errors import NeurokitError, ParameterError, SchemaError


def made(**changes) -> nks.analysis.RecurrentGainControl:
    options = {"n_units": 12, "n_stimuli": 24, "recurrence": -2.0, "alpha": 2.0, "gamma": 0.05}
    options |= changes
    return nks.analysis.RecurrentGainControl.from_parameters(nks.analysis.gain_circuit(**options))


def biased(model, probability=0.4) -> xr.DataArray:
    stimulus = model.result_["stimulus"]
    return nks.analysis.adaptor_ensemble(stimulus, probability=probability)


@pytest.mark.parametrize("gain_on", ["drive", "total"])
def test_control_gains_are_1_and_the_adaptor_lowers_them(gain_on):
    model = made(gain_on=gain_on)
    home = model.equilibrium(model.result_["probability"])
    np.testing.assert_allclose(home["gain"], 1, atol=1e-6)
    settled = model.equilibrium(biased(model))
    assert np.argmin(settled["gain"].values) == 6  # prefers 0 deg
    np.testing.assert_allclose(settled["response"], model.respond(settled["gain"]))


def test_adapted_gains_cost_less_than_unadapted_ones():
    model = made()
    p = biased(model)
    settled = model.equilibrium(p)
    r = model.respond()
    unadapted = float((r**2 @ p).sum())
    assert float(settled["activity"]) < unadapted


@pytest.mark.parametrize("gain_on", ["drive", "total"])
def test_adapt_goes_to_the_equilibrium_and_back(gain_on, seed):
    model = made(gain_on=gain_on, gamma=0.5, alpha=4.0)
    p = biased(model)
    rng = np.random.default_rng(seed)
    settled = model.equilibrium(p)["gain"]
    path = model.adapt(rng.choice(24, 8000, p=p.values), rate=0.005)
    # Five standard deviations of one unit's gain in one frame; a mean over 1000 lies nearer.
    total = equations.online_noise(model._circuit(), p.values, 0.005, settled.values)
    noise = 5 * np.sqrt(total / 12)
    assert noise < np.abs(settled - 1).max()
    assert np.abs(path[-1000:].mean("time") - settled).max() < noise
    back = model.adapt(rng.integers(0, 24, 8000), rate=0.005, gain=path[-1])
    assert np.abs(back[-1000:].mean("time") - 1).max() < noise


def test_a_fit_to_noiseless_sessions_finds_the_circuit_again():
    truth = made(alpha=0.8, gamma=0.2, recurrence=-1.5)
    data = truth.simulate(2)
    found = nks.analysis.RecurrentGainControl().fit(data, progress=False)
    for name, value in (("alpha", 0.8), ("gamma", 0.2), ("recurrence", -1.5)):
        assert float(found.result_[name]) == pytest.approx(value, rel=1e-3)
    assert found.score(data) > 1 - 1e-8
    np.testing.assert_allclose(found.result_["gain"].isel(session=0), data["gain_truth"], atol=1e-4)


def test_predictions_read_no_adapted_response(seed):
    model = nks.analysis.RecurrentGainControl()
    data = made().simulate(3, noise=0.01, rng=seed)
    model.fit(data, progress=False)
    hidden = data.copy(deep=True)
    hidden["response"][..., 1] = 7.0
    xr.testing.assert_equal(model.predict(hidden), model.predict(data))
    # What is left is the noise of both conditions, of a variance of 2 * 0.01^2.
    change = data["response"].diff("condition")
    left = 2 * 0.01**2 / float((change**2).mean())
    assert left < 0.3
    assert 1 - 1.5 * left < model.score(data) < 1 - left / 1.5


def test_conditions_may_come_in_any_order():
    data = made().simulate(1)
    model = nks.analysis.RecurrentGainControl().fit(data, progress=False)
    predicted = model.predict(data)
    assert predicted["condition"].values.tolist() == ["control", "adapted"]
    three = xr.concat(
        [data, data.sel(condition=["adapted"]).assign_coords(condition=["again"])],
        "condition",
        data_vars="minimal",
    )
    again = model.predict(three)["response"]
    np.testing.assert_allclose(again[..., 2], again[..., 1])


def test_save_and_load(tmp_path):
    model = nks.analysis.RecurrentGainControl(kernel="gaussian")
    data = made().simulate(2, noise=0.02, rng=0)
    model.fit(data, progress=False)
    nks.save_result(model, tmp_path / "fit.nc")
    again = nks.load_result(tmp_path / "fit.nc")
    xr.testing.assert_equal(again.predict(data), model.predict(data))
    assert again.kernel == "gaussian"


def _tuning(**changes) -> xr.Dataset:
    return made().simulate(1, noise=0.01, rng=0).assign(**changes)


def _flat():
    data = _tuning().copy(deep=True)
    data["response"][:, 3] = 1.0
    return data


def _nan():
    data = _tuning().copy(deep=True)
    data["response"][0, 0, 0, 0] = np.nan
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: _tuning().isel(condition=[0]), "at least 2 conditions"),
        (lambda: _tuning().isel(stimulus=[3]), "probability|3 stimuli"),
        (lambda: _tuning().assign(probability=_tuning()["probability"] * 2), "sums? "),
        (lambda: _tuning().drop_vars("probability"), "probability"),
        (_flat, "tuned to the stimulus"),
        (_nan, "finite"),
        (lambda: _tuning().isel(session=[]), "session"),
        (lambda: _tuning().drop_vars("response"), "response"),
    ],
)
def test_bad_tuning_is_said(data, says):
    with pytest.raises(NeurokitError, match=says):
        nks.analysis.RecurrentGainControl().fit(data(), progress=False)


def test_bad_calls_are_said():
    model = made()
    with pytest.raises(ParameterError, match="settles"):
        nks.analysis.gain_circuit(recurrence=1.0)
    with pytest.raises(ParameterError, match="von_mises"):
        nks.analysis.gain_circuit(kernel="von_mise")
    with pytest.raises(SchemaError, match="gain_circuit"):
        nks.analysis.RecurrentGainControl.from_parameters(xr.Dataset())
    with pytest.raises(SchemaError, match="sum"):
        model.equilibrium(2 * model.result_["probability"])
    with pytest.raises(SchemaError, match="stimulus"):
        model.equilibrium(xr.DataArray([1.0], dims="other"))
    with pytest.raises(ParameterError, match="0 to 23"):
        model.adapt([24])
    with pytest.raises(ParameterError, match="rate"):
        model.adapt([0], rate=0)
    with pytest.raises(SchemaError, match="12 units"):
        model.respond(xr.DataArray(np.ones(3), dims="unit"))
    with pytest.raises(ParameterError, match="probability"):
        nks.analysis.adaptor_ensemble(model.result_["stimulus"], probability=1.5)
    with pytest.raises(SchemaError, match="at least 2 units, got 1"):
        nks.analysis.RecurrentGainControl().fit(_tuning().isel(unit=[4]), progress=False)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("gain_on", "rate"),
    [("drive", 5.0), ("drive", 1e6), ("drive", 1e308), ("total", 50.0), ("total", 1e308)],
)
@pytest.mark.parametrize("recurrence", [-2.0, 0.6])
def test_a_rate_at_which_gains_run_away_is_said_with_the_frame(gain_on, rate, recurrence, seed):
    model = made(gain_on=gain_on, recurrence=recurrence)
    stimuli = np.random.default_rng(seed).integers(0, 24, 200)
    with pytest.raises(ParameterError, match=r"run away in frame \d+ at rate .*lower"):
        model.adapt(stimuli, rate=rate)


def _circuit(**values) -> xr.Dataset:
    circuit = nks.analysis.gain_circuit(12, 24)
    for name, value in values.items():
        circuit[name] = circuit[name].astype(object if isinstance(value, str) else float)
        circuit[name][(0,) * circuit[name].ndim] = value
    return circuit


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, "much"])
@pytest.mark.parametrize("name", ["alpha", "gamma"])
def test_prices_of_a_circuit_are_checked(name, value):
    with pytest.raises(ParameterError, match=f"Expected {name} to be a number >= 0, got"):
        nks.analysis.RecurrentGainControl.from_parameters(_circuit(**{name: value}))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        (lambda: _circuit(drive=np.nan), "drive as finite"),
        (lambda: _circuit(weight=np.nan), "weight as finite"),
        (lambda: _circuit(weight=np.inf), "weight as finite"),
        (lambda: _circuit(preferred=np.nan), "preferred as finite"),
        (lambda: _circuit(probability=np.nan), "probability as finite"),
        (lambda: _circuit(drive="loud"), "drive as finite"),
        (lambda: _circuit().rename(unit="neuron"), "drive with dims"),
        (lambda: _circuit().isel(stimulus=0), "drive with dims"),
        (lambda: _circuit().isel(target=slice(5)), "of the same number"),
        (lambda: _circuit().isel(unit=[], target=[], source=[]), "of the same number"),
        (lambda: _circuit().assign(alpha=("unit", np.ones(12))), "alpha with dims"),
    ],
)
def test_arrays_of_a_circuit_are_checked(parameters, says):
    with pytest.raises(SchemaError, match=says):
        nks.analysis.RecurrentGainControl.from_parameters(parameters())


def test_dims_of_a_circuit_may_come_in_any_order():
    turned = _circuit().transpose("stimulus", "unit", "source", "target")
    model = nks.analysis.RecurrentGainControl.from_parameters(turned)
    straight = nks.analysis.RecurrentGainControl.from_parameters(_circuit())
    xr.testing.assert_equal(model.simulate(1), straight.simulate(1))


def test_arrays_without_labels_are_said():
    model = made()
    p = model.result_["probability"]
    for call in (
        lambda: model.respond(np.ones(5)),
        lambda: model.respond(1.0),
        lambda: model.adapt([0], gain=np.ones(12)),
        lambda: model.equilibrium(p.values),
        lambda: model.simulate(1, probability=p.values),
        lambda: nks.analysis.adaptor_ensemble(p["stimulus"].values),
    ):
        with pytest.raises(SchemaError, match=r"as a DataArray.*label it"):
            call()
    with pytest.raises(SchemaError, match="12 units, got 3"):
        model.adapt([0], gain=xr.DataArray(np.ones(3), dims="unit"))
    with pytest.raises(SchemaError, match="finite gains"):
        model.respond(xr.DataArray(np.full(12, np.nan), dims="unit"))
