"""Simulate, fit, compare with the truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hmm_glm_problems import BIN, fitted_parameters, serially, simulated

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm.data import make_data
from neurokit_sdr.analysis.hmm_glm.equations import fisher_information
from neurokit_sdr.core.counts import flatten
from neurokit_sdr.engines.poisson.kernels import exponential_kernel


def accuracies(truth: xr.Dataset, counts: xr.Dataset, **settings) -> tuple[float, float]:
    """Share of bins whose state is right: with the true parameters, and with a fit's."""
    known = HMMGLM.from_parameters(truth).predict(counts)["state"]
    fitted = HMMGLM(truth.sizes["state"], nonlinearity=truth.attrs["nonlinearity"], **settings)
    fitted.fit(counts, rng=0, progress=False)
    match = nks.validation.match_states
    return (
        match(counts["state"], known).accuracy,
        match(counts["state"], fitted.result_["state"]).accuracy,
    )


def facts_problem(number: int) -> tuple[float, float]:
    """Ten neurons, three states, 5000 bins."""
    truth = nks.snn.switching_population(10, 3, rng=number)
    counts = nks.snn.simulate_switching_population(truth, 5000, rng=number)
    return accuracies(truth, counts)


def large_problem(number: int) -> tuple[float, float]:
    """Twenty neurons, five states, ten trials of 2000 bins."""
    truth = nks.snn.switching_population(20, 5, rng=number)
    counts = nks.snn.simulate_switching_population(truth, [2000] * 10, rng=number)
    return accuracies(truth, counts)


def report(record_property, number, oracle, fitted):
    record_property("state accuracy", f"seed {number}: truth {oracle:.4f}, fit {fitted:.4f}")
    print(f"seed {number}: true parameters {oracle:.4f}, fit {fitted:.4f}")


@pytest.mark.parametrize(
    "number", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 20))]
)
def test_states_are_found_as_well_as_with_the_true_parameters(number, record_property):
    oracle, fitted = facts_problem(number)
    report(record_property, number, oracle, fitted)
    assert fitted > oracle - 0.01


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_many_states_and_units_are_found(number, record_property):
    oracle, fitted = large_problem(number)
    report(record_property, number, oracle, fitted)
    assert fitted > oracle - 0.003


@pytest.mark.parametrize("number", range(10))
def test_it_beats_one_state_and_no_coupling_on_held_out_data(number):
    counts = simulated(8, 3, [2500, 1500], number)
    train, test = counts.isel(trial=[0]), counts.isel(trial=[1])
    models = [HMMGLM(3), HMMGLM(1), HMMGLM(3, history=None)]
    scores = [
        model.set_params(nonlinearity="sigmoid", restarts=3)
        .fit(train, rng=0, progress=False)
        .score(test)
        for model in models
    ]
    print("bits per spike, HMM-GLM, one state, no coupling:", np.round(scores, 4))
    assert scores[0] > max(scores[1:])


def test_weights_are_found(seed):
    truth = nks.snn.switching_population(6, 2, rng=seed)
    counts = nks.snn.simulate_switching_population(truth, 20_000, rng=seed)
    model = HMMGLM(2, prior="none", nonlinearity="sigmoid", restarts=2)
    result = model.fit(counts, rng=0, progress=False).result_
    order = nks.validation.match_states(counts["state"], result["state"]).order
    found = result["weight"].values[order]
    data = make_data(*flatten(counts), exponential_kernel([0.02], BIN))
    probability = np.eye(2)[result["state"].values]
    information = fisher_information(
        data, fitted_parameters(model).theta, probability, "sigmoid", serially
    )[order]
    variance = np.linalg.inv(information)[:, :, range(7), range(7)][:, :, 1:]
    z = (found[..., 0] - truth["weight"].values[..., 0]) / np.sqrt(variance)
    # Standard normal, were the states known: 72 of them stay below 5 with probability 1 - 4e-5,
    # and their mean square below 1 + 5 sqrt(2 / 72).
    assert np.abs(z).max() < 5
    assert np.mean(z**2) < 1 + 5 * np.sqrt(2 / z.size)
