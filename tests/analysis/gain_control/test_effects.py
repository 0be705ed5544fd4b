"""The measurements, on populations where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError, SchemaError


def population(gain=None, moved=None, n_units=12, n_stimuli=180) -> xr.Dataset:
    """Circular curves; adapted ones have other gains or preferred stimuli."""
    preferred = 180 * (np.arange(n_units) / n_units - 0.5)
    stimulus = 180 * (np.arange(n_stimuli) / n_stimuli - 0.5)
    angle = np.pi / 90

    def curves(at):
        return 0.1 + np.exp(4 * (np.cos(angle * (stimulus - at[:, None])) - 1))

    control = curves(preferred)
    adapted = curves(preferred if moved is None else preferred + moved)
    adapted = adapted * (np.ones(n_units) if gain is None else gain)[:, None]
    p = np.full(n_stimuli, 0.6 / (n_stimuli - 1))
    p[n_stimuli // 2] = 0.4
    both = np.stack([np.full(n_stimuli, 1 / n_stimuli), p], axis=-1)
    return xr.Dataset(
        {
            "response": (
                ("session", "unit", "stimulus", "condition"),
                np.stack([control, adapted], axis=-1)[None],
            ),
            "probability": (("stimulus", "condition"), both, {"units": "1"}),
        },
        coords={
            "unit": np.arange(n_units),
            "stimulus": ("stimulus", stimulus, {"units": "deg", "period": 180.0}),
            "condition": ["uniform", "biased"],
            "preferred": ("unit", preferred),
        },
    )


def test_extremes_of_scaled_curves_are_the_gains():
    gain = np.linspace(0.5, 1.5, 12)
    found = nks.analysis.response_extremes(population(gain)).isel(session=0)
    np.testing.assert_allclose(found["maximum_ratio"], gain)
    low, height = 0.1 + np.exp(-8), 1 - np.exp(-8)
    np.testing.assert_allclose(found["minimum_change"], (gain - 1) * low / height, atol=1e-6)
    np.testing.assert_allclose(found["distance"], np.arange(-90, 90, 15))


def test_curves_that_moved_away_are_repelled():
    preferred = np.arange(-90, 90, 15.0)
    away = 3 * np.sign(preferred)
    found = nks.analysis.preferred_shift(population(moved=away)).isel(session=0)["shift"]
    inside = (np.abs(preferred) > 0) & (np.abs(preferred) < 90)
    np.testing.assert_allclose(found.values[inside], 3, atol=1e-6)
    np.testing.assert_allclose(found.values[~inside], 0, atol=1e-6)
    towards = nks.analysis.preferred_shift(population(moved=-away)).isel(session=0)["shift"]
    np.testing.assert_allclose(towards.values[inside], -3, atol=1e-6)
    # The same population, seen from another adaptor: units between 0 and 30 deg come nearer to it.
    other = nks.analysis.preferred_shift(population(moved=away), adaptor=30.0).isel(session=0)
    np.testing.assert_allclose(other["shift"].values[7], -3, atol=1e-6)


def test_gains_that_even_out_mean_responses_flatten_the_population():
    data = population()
    mean = (data["response"].isel(session=0, condition=0) * data["probability"]).sum("stimulus")
    gain = (mean.isel(condition=0) / mean.isel(condition=1)).values
    found = nks.analysis.response_flatness(population(gain)).isel(session=0)["variation"]
    assert float(found.sel(case="control")) < 1e-6
    assert float(found.sel(case="unadapted")) > 0.2
    assert float(found.sel(case="adapted")) < 1e-6


def test_correlations_are_those_of_a_long_stream(seed):
    gain = np.linspace(0.5, 1.5, 12)
    data = population(gain)
    found = nks.analysis.decorrelation(data).isel(session=0)
    rng = np.random.default_rng(seed)
    for case, condition, ensemble in (("control", 0, 0), ("unadapted", 0, 1), ("adapted", 1, 1)):
        p = data["probability"].values[:, ensemble]
        shown = rng.choice(180, 20_000, p=p)
        r = data["response"].values[0, :, shown, condition]
        # Of a correlation from n independent frames the standard error is at most 1 / sqrt(n),
        # times the square root of the responses' kurtosis, below 10 here.
        error = 5 * np.sqrt(10 / 20_000)
        assert np.abs(np.corrcoef(r.T) - found["correlation"].sel(case=case)).max() < error
    # A gain changes no correlation, only covariances.
    np.testing.assert_allclose(
        found["correlation"].sel(case="adapted"), found["correlation"].sel(case="unadapted")
    )
    ratio = found["covariance"].sel(case="adapted") / found["covariance"].sel(case="unadapted")
    np.testing.assert_allclose(ratio, np.outer(gain, gain))


def circuit(**changes):
    options = {"n_units": 24, "n_stimuli": 48, "alpha": 2.0, "gamma": 0.3} | changes
    return nks.analysis.RecurrentGainControl.from_parameters(nks.analysis.gain_circuit(**options))


def test_adaptation_saves_activity_and_the_inverse_decoder_errs_without_it_nowhere():
    model = circuit()
    axis = model.result_["stimulus"]
    contexts = xr.concat(
        [nks.analysis.adaptor_ensemble(axis, probability=p) for p in (0.1, 0.4, 0.8)],
        xr.Variable("condition", [0.1, 0.4, 0.8]),
    )
    found = nks.analysis.fidelity_and_cost(model, contexts)
    assert (found["activity"].sel(gains="adapted") < found["activity"].sel(gains="fixed")).all()
    np.testing.assert_allclose(found["error"].sel(gains="fixed"), 0, atol=1e-12)
    assert found["condition"].values.tolist() == [0.1, 0.4, 0.8]
    settled = model.equilibrium(contexts)
    np.testing.assert_allclose(found["activity"].sel(gains="adapted"), settled["activity"])


def test_the_documented_regime_shows_all_effects_together():
    circuit = nks.analysis.gain_circuit(
        60, 120, tuning_width=11.0, baseline=0.4, recurrence=0.4, width=70.0, alpha=1.5, gamma=0.1
    )
    model = nks.analysis.RecurrentGainControl.from_parameters(circuit)
    p = nks.analysis.adaptor_ensemble(circuit["stimulus"], probability=0.4, spread=1)
    data = model.simulate(1, probability=p)
    extremes = nks.analysis.response_extremes(data).isel(session=0)
    gain = data["gain_truth"].sel(condition="adapted")
    # What the class's text says, to the digits that it gives.
    assert float(gain.sel(unit=30)) == pytest.approx(0.47, abs=5e-3)
    assert float(extremes["maximum_ratio"].sel(unit=30)) == pytest.approx(0.57, abs=5e-3)
    assert float(extremes["maximum_ratio"].sel(unit=0)) == pytest.approx(1.20, abs=5e-3)
    assert float(extremes["minimum_change"].sel(unit=30)) == pytest.approx(-0.17, abs=5e-3)
    shift = nks.analysis.preferred_shift(data)["shift"]
    assert float(shift.max()) == pytest.approx(1.9, abs=0.06)
    assert float(shift.min()) > -1e-6
    found = nks.analysis.decorrelation(data).isel(session=0)
    for name, before, after in (
        ("mean_correlation", 0.347, 0.341),
        ("mean_covariance", 0.298, 0.287),
    ):
        assert float(found[name].sel(case="unadapted")) == pytest.approx(before, abs=5e-4)
        assert float(found[name].sel(case="adapted")) == pytest.approx(after, abs=5e-4)
    variation = nks.analysis.response_flatness(data)["variation"].isel(session=0)
    assert float(variation.sel(case="unadapted")) == pytest.approx(0.12, abs=5e-3)
    assert float(variation.sel(case="adapted")) == pytest.approx(0.06, abs=5e-3)


def test_gains_adapt_and_go_back(seed):
    model = circuit()
    p = nks.analysis.adaptor_ensemble(model.result_["stimulus"], probability=0.5)
    found = nks.analysis.adaptation_time_course(
        model, p, rate=0.02, n_frames=1500, n_repeats=5, rng=seed
    )
    progress = found["progress"].values
    # Of five streams and 500 frames each; the gains' noise is a few percent of the way.
    assert progress[1000:1500].mean() == pytest.approx(1, abs=0.2)
    assert progress[-500:].mean() == pytest.approx(0, abs=0.2)
    half = found["half_time"]
    assert (half > 0).all()
    assert (half < 1000).all()
    assert found["phase"].values[[0, -1]].tolist() == ["adaptation", "recovery"]


def test_half_of_the_way_back_counts_from_where_the_gains_had_come_to():
    """In 50 frames they go a quarter of the way: below half of it, and not yet half way back."""
    model = circuit()
    p = nks.analysis.adaptor_ensemble(model.result_["stimulus"], probability=0.5)
    found = nks.analysis.adaptation_time_course(model, p, n_frames=50, n_repeats=2, rng=0)
    progress = found["progress"].values
    assert progress[49] < 0.5
    assert progress[50:].min() > progress[49] / 2
    assert np.isnan(found["half_time"]).all()


def test_bad_calls_are_said():
    data = population()
    with pytest.raises(ParameterError, match="adaptor"):
        nks.analysis.response_extremes(data, adaptor=np.nan)
    with pytest.raises(ParameterError, match="adapted"):
        nks.analysis.decorrelation(data, adapted="uniform")
    with pytest.raises(SchemaError, match="2 conditions"):
        nks.analysis.preferred_shift(data.isel(condition=[0]))
    model = circuit()
    with pytest.raises(ParameterError, match="stay at 1"):
        nks.analysis.adaptation_time_course(model, model.result_["probability"])
