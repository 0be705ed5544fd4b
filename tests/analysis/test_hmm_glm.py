"""The HMM-GLM: its likelihood, its derivatives, its optimum, and what a fit promises."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import oracles
import pytest
import xarray as xr
from oracles import EPS
from scipy.optimize import minimize
from scipy.special import gammaln, xlogy
from scipy.stats import poisson

import neurokit_sdr as nks
from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm import data as layout
from neurokit_sdr.analysis.hmm_glm import equations as core
from neurokit_sdr.analysis.hmm_glm import model as hmm_glm
from neurokit_sdr.core.counts import flatten
from neurokit_sdr.core.errors import ConvergenceWarning, ParameterError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.engines import hmm as _hmm
from neurokit_sdr.engines.poisson import rates as _rates
from neurokit_sdr.engines.poisson.kernels import exponential_kernel, inverse_rate

NONLINEARITIES = ("softplus", "exp", "sigmoid")
GOLDEN = Path(__file__).parents[1] / "golden"
BIN = 0.02

#: Largest relative error of a rate, as analysis/_rates.py promises.
RATE_ERROR = 2e-15


def serially(function, items):
    return [function(item) for item in items]


#: Below what the objective resolves: a fit that ends by it stands as still as floats can.
TINY = 1e-14


# -- problems -----------------------------------------------------------------------------------


class Problem(NamedTuple):
    """The data as the oracles take them, and as the package does; and what else EM needs."""

    data: oracles.Data
    mine: core.Data
    prior: core.Prior
    parameters: core.Parameters
    nonlinearity: str


def random_problem(rng, nonlinearity=None, nasty=False) -> Problem:
    """Ragged trials with missing bins, random size, prior, history and start."""
    nonlinearity = nonlinearity or str(rng.choice(NONLINEARITIES))
    n_states, n_units = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    lengths = rng.integers(1, 40, rng.integers(1, 5))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rates = rng.gamma(2.0, 0.4, (n_states, n_units))
    if nasty:
        rates *= rng.choice([0.01, 1.0, 300.0], n_units)
    state = rng.integers(n_states, size=starts[-1] // 5 + 1).repeat(5)[: starts[-1]]
    counts = rng.poisson(rates[state]).astype(float)
    observed = rng.random(starts[-1]) > rng.choice([0.0, 0.2])
    if nasty:
        counts[:, rng.integers(n_units)] = 0
    observed[rng.integers(starts[-1])] = True
    counts[~observed] = 0
    time_constants = [[], [0.02], [0.04], [0.02, 0.1], [0.02, 0.1, 0.5]][rng.integers(5)]
    kernel = exponential_kernel(time_constants, BIN)
    design = layout.history_features(counts, starts, observed, kernel)
    n_features = design.shape[1]
    mean_count = np.maximum(counts[observed].mean(axis=0), 0.5 / observed.sum())
    bias_mean = inverse_rate(mean_count, nonlinearity)
    prior = core.Prior(
        pooled=bool(rng.random() < 0.5),
        weight_sd=rng.choice([0.1, 1 / 3, 10.0]) * rng.uniform(0.5, 2, n_features - 1),
        mean_sd=rng.uniform(0.5, 2, n_features - 1),
        bias_mean=bias_mean,
        bias_sd=3.0,
        stickiness=float(rng.choice([0.0, 1.0, 10.0])),
        concentration=1.1,
    )
    theta = np.zeros((n_states, n_units, n_features))
    theta[:, :, 0] = bias_mean + 0.3 * rng.standard_normal((n_states, n_units))
    mean = np.zeros((n_units, n_features - 1))
    if not nasty:  # large counts times random weights would be no start anyone makes
        theta[:, :, 1:] = 0.2 * rng.standard_normal((n_states, n_units, n_features - 1))
        mean += prior.pooled * 0.2 * rng.standard_normal(mean.shape)
    parameters = core.Parameters(
        theta,
        mean,
        np.log(rng.dirichlet(np.full(n_states, 2.0), n_states)),
        np.log(rng.dirichlet(np.full(n_states, 2.0))),
    )
    return Problem(
        oracles.Data(counts, design, starts, observed),
        layout.make_data(counts, starts, observed, kernel),
        prior,
        parameters,
        nonlinearity,
    )


def rounding(data: oracles.Data, theta: np.ndarray, nonlinearity: str) -> float:
    """How far two sums of the log likelihood's terms can differ: by their number and size."""
    size = 0.0
    for weights in theta:
        f = oracles.RATES[nonlinearity](data.design @ weights.T)
        f = np.maximum(f, 1e-300)  # a state that a bin excludes has no part in its sum
        size = max(size, (np.abs(xlogy(data.counts, f)) + f + gammaln(data.counts + 1)).sum())
    return 4 * EPS * sum(data.counts.shape) * (1 + size)


def smoothed(problem: Problem) -> _hmm.Posterior:
    p = problem.parameters
    emission = core.emission_log_likelihood(problem.mine, p.theta, problem.nonlinearity, serially)
    return _hmm.forward_backward(p.log_initial, p.log_transition, emission, problem.data.starts)


def simulated(n_units, n_states, n_bins, seed, **settings) -> xr.Dataset:
    truth = nks.snn.switching_population(n_units, n_states, rng=seed, **settings)
    return nks.snn.simulate_switching_population(truth, n_bins, rng=seed)


def last(trace: xr.DataArray) -> float:
    """The last value before the NaN that pads a run shorter than others."""
    return float(trace.values[np.isfinite(trace.values)][-1])


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


# -- likelihood ---------------------------------------------------------------------------------


@pytest.mark.parametrize("time_constants", [[], [0.02], [0.013], [0.02, 0.1, 0.5]])
def test_history_matches_the_oracle(time_constants, seed):
    rng = np.random.default_rng(seed)
    starts = np.array([0, 1, 40, 47, 100])
    counts = rng.poisson(1.0, (100, 3)).astype(float)
    observed = rng.random(100) > 0.2
    kernel = exponential_kernel(time_constants, BIN)
    mine = layout.history_features(counts, starts, observed, kernel)
    truth = oracles.history_features(counts, starts, observed, time_constants, BIN)
    # At most as many terms as the kernel has lags, none above the largest count.
    np.testing.assert_allclose(mine, truth, atol=EPS * (1 + kernel.shape[1]) * counts.max())
    np.testing.assert_array_equal(mine[starts[:-1], 1:], 0)


def test_history_ignores_what_missing_bins_hold(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (60, 2)).astype(float)
    observed = rng.random(60) > 0.3
    kernel, starts = exponential_kernel([0.02, 0.1], BIN), np.array([0, 60])
    before = layout.history_features(counts, starts, observed, kernel)
    counts[~observed] = np.nan
    np.testing.assert_array_equal(layout.history_features(counts, starts, observed, kernel), before)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(5))
def test_emission_is_scipys_poisson(nonlinearity, number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    data, theta = problem.data, problem.parameters.theta
    emission = core.emission_log_likelihood(problem.mine, theta, nonlinearity, serially)
    for s, weights in enumerate(theta):
        expected = oracles.RATES[nonlinearity](data.design @ weights.T)
        truth = poisson.logpmf(data.counts, expected).sum(axis=1) * data.observed
        np.testing.assert_allclose(emission[:, s], truth, atol=rounding(data, theta, nonlinearity))


def test_sums_in_chunks_are_sums_at_once(monkeypatch, seed):
    problem = random_problem(np.random.default_rng(seed))
    _, data, _, p, nonlinearity = problem
    probability = smoothed(problem).state_probability

    def everything():
        return (
            core.emission_log_likelihood(data, p.theta, nonlinearity, serially),
            core.expected_gradient(data, p.theta, probability, nonlinearity, serially),
            core.fisher_information(data, p.theta, probability, nonlinearity, serially),
        )

    whole = everything()
    monkeypatch.setattr(core, "chunks", lambda n, _: [slice(i, i + 1) for i in range(n)])
    for one, other in zip(everything(), whole, strict=True):
        size = np.abs(other).max() * len(problem.data.counts)
        np.testing.assert_allclose(one, other, atol=4 * EPS * size)


def exact_rates(drive, nonlinearity):
    """Rate and slope in extended precision."""
    x = np.asarray(drive, dtype=np.longdouble)
    z = np.exp(-np.abs(x))
    sigmoid = np.where(x >= 0, 1, z) / (1 + z)
    return {
        "softplus": (np.maximum(x, 0) + np.log1p(z), sigmoid),
        "exp": (np.exp(x), np.exp(x)),
        "sigmoid": (sigmoid, z / (1 + z) ** 2),
    }[nonlinearity]


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_and_derivatives(nonlinearity, seed):
    drive = np.concatenate(
        [np.linspace(-30, 30, 241), np.random.default_rng(seed).uniform(-600, 30, 200), [0.0]]
    )
    rate, slope = exact_rates(drive, nonlinearity)
    found = _rates.rates(drive.copy(), nonlinearity)
    np.testing.assert_allclose(found, rate.astype(float), rtol=RATE_ERROR)
    for count in (0.0, 1.0, 7.0):
        first, information = _rates.derivatives(
            drive.copy(), np.full(drive.shape, count), nonlinearity
        )
        # The count and the rate are subtracted: their error stays, relative to each of them.
        error = 6 * RATE_ERROR * (slope / rate * (count + rate)).astype(float)
        truth = (slope / rate * (count - rate)).astype(float)
        np.testing.assert_array_less(np.abs(first - truth), error + 1e-300)
        np.testing.assert_allclose(
            information, (slope**2 / rate).astype(float), rtol=6 * RATE_ERROR
        )


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_slope_of_the_oracle_is_its_derivative(nonlinearity):
    drive = np.linspace(-5, 5, 41)
    _, slope = exact_rates(drive, nonlinearity)
    found = oracles.gradient(lambda x: oracles.RATES[nonlinearity](x).sum(), drive)
    np.testing.assert_allclose(found, slope.astype(float), rtol=200 * EPS)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_rates_and_log_rates_are_finite_for_any_drive(nonlinearity):
    drive = np.array([-1e308, -1e4, -800.0, -0.0, 800.0, 1e4])
    rate = _rates.rates(drive.copy(), nonlinearity)
    assert np.isfinite(rate).all()
    assert np.isfinite(np.log(rate)).all()
    first, information = _rates.derivatives(drive.copy(), np.ones(6), nonlinearity)
    assert np.isfinite(first).all()
    assert (information >= 0).all()


# -- derivatives --------------------------------------------------------------------------------


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(4))
def test_expected_gradient_is_the_gradient_of_the_marginal_likelihood(nonlinearity, number, seed):
    # Fisher's identity: with the posterior of the states held fixed, or summed out, it is the same.
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    data, p = problem.data, problem.parameters
    found = core.expected_gradient(
        problem.mine, p.theta, smoothed(problem).state_probability, nonlinearity, serially
    )

    def log_likelihood(theta):
        emission = oracles.poisson_log_likelihood(
            data.counts, data.design, data.observed, theta, nonlinearity
        )
        return sum(
            oracles.sequence_log_likelihood(p.log_initial, p.log_transition, emission[a:b])
            for a, b in itertools.pairwise(data.starts)
        )

    truth = oracles.gradient(log_likelihood, p.theta)
    np.testing.assert_allclose(found, truth, atol=gradient_tolerance(problem))


def gradient_tolerance(problem: Problem) -> float:
    """Rounding of the posterior and of the sum over bins, and what negligible states may add."""
    data, p = problem.data, problem.parameters
    largest = total = 0.0
    for weights in p.theta:
        f = oracles.RATES[problem.nonlinearity](data.design @ weights.T)
        term = np.abs(data.counts / f - 1) @ np.ones(f.shape[1]) * data.design.max(axis=1)
        largest, total = max(largest, term.max()), max(total, term.sum())
    posterior = rounding(data, p.theta, problem.nonlinearity) + EPS * len(data.counts)
    return 4 * (posterior * total + core.NEGLIGIBLE * len(data.counts) * largest)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(4))
def test_information_is_the_dense_formula(nonlinearity, number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    theta = problem.parameters.theta
    probability = smoothed(problem).state_probability
    found = core.fisher_information(problem.mine, theta, probability, nonlinearity, serially)
    for s, n in np.ndindex(theta.shape[:2]):
        truth, _ = dense_information(problem.data, theta[s, n], probability[:, s], nonlinearity)
        error = (EPS * len(probability) + core.NEGLIGIBLE) * len(probability) * np.abs(truth).max()
        np.testing.assert_allclose(found[s, n], truth, atol=4 * error)


def dense_information(data, theta, probability, nonlinearity):
    """Sum over bins of slope^2 / rate times the features' products, and each bin's part."""
    rate, slope = (x.astype(float) for x in exact_rates(data.design @ theta, nonlinearity))
    weight = probability * data.observed * slope**2 / rate
    parts = weight[:, None, None] * data.design[:, :, None] * data.design[:, None, :]
    return parts.sum(axis=0), parts


def test_information_of_a_subset_stands_for_all(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.5, (2000, 2)).astype(float)
    observed, starts = np.ones(2000, dtype=bool), np.array([0, 2000])
    kernel = exponential_kernel([0.02], BIN)
    design = layout.history_features(counts, starts, observed, kernel)
    data = oracles.Data(counts, design, starts, observed)
    probability = rng.dirichlet(np.ones(2), 2000)
    theta = np.zeros((2, 2, 3))
    monkeypatch.setattr(core, "curvature_rows", lambda n_features: 200)
    found = core.fisher_information(
        layout.make_data(counts, starts, observed, kernel),
        theta,
        probability,
        "softplus",
        serially,
    )
    for s in range(2):
        truth, parts = dense_information(data, theta[s, 0], probability[:, s], "softplus")
        # The sum over 2000 estimated from about 200: five standard errors of such a sum.
        error = 5 * parts.std(axis=0) * 2000 / np.sqrt(200)
        assert (np.abs(found[s, 0] - truth) < error).all()
        assert not np.allclose(found[s, 0], truth, rtol=1e-6)


@pytest.mark.parametrize("number", range(20))
def test_newton_step_solves_the_whole_system(number, seed):
    problem = random_problem(np.random.default_rng([seed, number]))
    data, mine, prior, p, nonlinearity = problem
    probability = smoothed(problem).state_probability
    information = core.fisher_information(mine, p.theta, probability, nonlinearity, serially)
    slopes = core.add_prior_gradient(
        core.expected_gradient(mine, p.theta, probability, nonlinearity, serially), p, prior
    )
    found = core.newton_step(slopes, prior, core.factorise(information, prior))
    n_states, n_units, n_features = p.theta.shape

    # The whole negative Hessian over (theta, mean), and the oracle's gradient of the objective.
    index = np.arange(p.theta.size).reshape(p.theta.shape)
    mean_index = p.theta.size + np.arange(p.mean.size).reshape(p.mean.shape)
    hessian = np.zeros((p.theta.size + p.mean.size,) * 2)
    precision = 1 / prior.weight_sd**2
    for s, n in np.ndindex(n_states, n_units):
        block = index[s, n]
        hessian[np.ix_(block, block)] = information[s, n]
        hessian[block[0], block[0]] += 1 / prior.bias_sd**2
        for d in range(n_features - 1):
            w, m = block[1 + d], mean_index[n, d]
            hessian[w, w] += precision[d]
            if prior.pooled:
                hessian[w, m] = hessian[m, w] = -precision[d]
                hessian[m, m] += precision[d]
    for n, d in np.ndindex(p.mean.shape):
        m = mean_index[n, d]
        hessian[m, m] += 1 / prior.mean_sd[d] ** 2 if prior.pooled else 1.0

    def objective(point):
        theta = point[: p.theta.size].reshape(p.theta.shape)
        mean = point[p.theta.size :].reshape(p.mean.shape)
        return oracles.log_posterior(
            data, prior, nonlinearity, theta, mean, p.log_transition, p.log_initial
        )

    slope = oracles.gradient(objective, flat([p.theta, p.mean]))
    if not prior.pooled:
        slope[p.theta.size :] = 0  # there the mean is a constant zero
    np.testing.assert_allclose(flat(slopes), slope, atol=gradient_tolerance(problem))
    truth = np.linalg.solve(hessian, slope)
    error = np.linalg.cond(hessian) * EPS * hessian.shape[0] * np.abs(truth).max()
    error += gradient_tolerance(problem) / np.linalg.eigvalsh(hessian)[0]
    np.testing.assert_allclose(flat(found), truth, atol=error)


def flat(parts) -> np.ndarray:
    """Several arrays as one vector."""
    return np.concatenate([np.ravel(part) for part in parts])


def test_accelerated_step_meets_the_secant_condition(seed):
    # With the last pair, a step multiplied by the curvature it met gives the fall it caused.
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    prior, p = problem.prior, problem.parameters
    probability = smoothed(problem).state_probability
    curvature = core.factorise(
        core.fisher_information(problem.mine, p.theta, probability, problem.nonlinearity, serially),
        prior,
    )
    pairs = []
    while len(pairs) < 3:
        fall = core.Direction(rng.standard_normal(p.theta.shape), np.zeros(p.mean.shape))
        step = core.newton_step(fall, prior, curvature)
        if step.dot(fall) > 0:
            pairs.append(core.Pair(step.plus(step, 0.5), fall))
    found = core.accelerated_step(pairs[-1].fall, pairs, prior, curvature)
    np.testing.assert_allclose(flat(found), flat(pairs[-1].step), rtol=1e4 * EPS, atol=1e4 * EPS)
    none = core.accelerated_step(pairs[0].fall, [], prior, curvature)
    np.testing.assert_array_equal(
        flat(none), flat(core.newton_step(pairs[0].fall, prior, curvature))
    )


def test_chain_update_maximises_the_expected_objective(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    data, prior = problem.data, problem.prior
    posterior = smoothed(problem)
    log_transition, log_initial = core.update_chain(posterior, data.starts, prior)
    assert np.exp(log_transition).sum(axis=1) == pytest.approx(1)
    assert np.exp(log_initial).sum() == pytest.approx(1)

    def expected(log_transition, log_initial):
        moved = problem.parameters._replace(log_transition=log_transition, log_initial=log_initial)
        first = posterior.state_probability[data.starts[:-1]].sum(axis=0)
        return (
            (posterior.transition_count * log_transition).sum()
            + first @ log_initial
            + core.log_prior(moved, prior)
        )

    best = expected(log_transition, log_initial)
    slack = EPS * log_transition.size * abs(best)
    for _ in range(50):
        nearby = log_transition + 0.1 * rng.standard_normal(log_transition.shape)
        nearby -= oracles.log_sum_exp(nearby, 1)[:, None]
        first = log_initial + 0.1 * rng.standard_normal(log_initial.shape)
        first -= oracles.log_sum_exp(first, 0)
        assert expected(nearby, first) <= best + slack


# -- EM -----------------------------------------------------------------------------------------


def oracle_objective(problem: Problem, p: core.Parameters) -> float:
    return float(oracles.log_posterior(problem.data, problem.prior, problem.nonlinearity, *p))


@pytest.mark.parametrize("number", range(100))
def test_em_never_lowers_the_objective(number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nasty=number % 3 == 0)
    seen: list[core.Fit] = []
    fit = core.maximise(
        problem.mine,
        core.Fit(problem.parameters, np.empty(0), np.empty(0)),
        problem.prior,
        problem.nonlinearity,
        max_iter=25,
        tol=0.0,
        run=serially,
        on_iteration=seen.append,
    )
    # Not what EM says of itself, but the oracle's objective at the parameters it passed through.
    trace = np.array([oracle_objective(problem, f.parameters) for f in seen])
    slack = np.array(
        [
            rounding(problem.data, f.parameters.theta, problem.nonlinearity)
            + 4 * EPS * f.parameters.theta.size * abs(core.log_prior(f.parameters, problem.prior))
            for f in seen
        ]
    )
    np.testing.assert_array_less(np.abs(fit.objective[: len(seen)] - trace), slack)
    assert (np.diff(trace) >= -slack[1:] - slack[:-1]).all()
    assert np.isfinite(fit.parameters.theta).all()


def documented_prior(model: HMMGLM, data: oracles.Data) -> core.Prior:
    """The prior as the class's text has it, with the package's numbers."""
    time_constants = [] if model.history is None else list(np.atleast_1d(model.history))
    kernels = exponential_kernel(time_constants, BIN)
    norms = [np.linalg.norm(k) for k in kernels]
    scale = np.array([max(norms) / norm for _ in range(data.counts.shape[1]) for norm in norms])
    pooled = model.prior == "gaussian"
    mean_count = np.maximum(data.counts[data.observed].mean(axis=0), 0.5 / data.observed.sum())
    return core.Prior(
        pooled=pooled,
        weight_sd=(model.prior_sd if pooled else hmm_glm.WEAK_WEIGHT_SD) * scale,
        mean_sd=hmm_glm.MEAN_SD * scale,
        bias_mean=inverse_rate(mean_count, model.nonlinearity),
        bias_sd=hmm_glm.BIAS_SD,
        stickiness=model.stickiness,
        concentration=hmm_glm.CONCENTRATION,
    )


def test_the_text_names_the_priors_numbers():
    assert f"standard deviation {hmm_glm.WEAK_WEIGHT_SD:g})" in HMMGLM.__doc__
    assert f"N(0, {hmm_glm.MEAN_SD:g}^2)" in HMMGLM.__doc__


def oracle_data(counts: xr.Dataset, time_constants: list[float]) -> oracles.Data:
    sequences = flatten(counts)
    design = oracles.history_features(*sequences, time_constants, BIN)
    return oracles.Data(sequences.counts, design, sequences.starts, sequences.observed)


def problem_of(model: HMMGLM, counts: xr.Dataset) -> Problem:
    """The problem that a fit solved, with the parameters it found."""
    time_constants = [] if model.history is None else list(np.atleast_1d(model.history))
    data = oracle_data(counts, time_constants)
    return Problem(
        data,
        layout.make_data(*flatten(counts), exponential_kernel(time_constants, BIN)),
        documented_prior(model, data),
        fitted_parameters(model),
        model.nonlinearity,
    )


def fitted_parameters(model: HMMGLM) -> core.Parameters:
    r = model.result_
    theta = np.concatenate(
        [r["bias"].values[..., None], r["weight"].values.reshape(*r["bias"].shape, -1)], axis=2
    )
    mean = np.zeros(theta.shape[1:])[:, 1:]
    if "weight_mean" in r:
        mean = r["weight_mean"].values.reshape(mean.shape)
    return core.Parameters(
        theta,
        mean,
        np.log(r["transition_probability"].values),
        np.log(r["initial_probability"].values),
    )


@pytest.mark.parametrize("nonlinearity", ["softplus", "exp"])
@pytest.mark.parametrize("prior", ["none", "gaussian"])
@pytest.mark.parametrize("history", [0.02, [0.02, 0.1]])
def test_one_state_is_what_an_independent_optimiser_finds(nonlinearity, prior, history, seed):
    counts = simulated(3, 1, [80, 120, 50], seed, nonlinearity="softplus", strength=(0.2, 0.6))
    counts["observed"] = ("trial", "time"), np.random.default_rng(seed).random((3, 120)) > 0.1
    model = HMMGLM(1, prior=prior, nonlinearity=nonlinearity, history=history, tol=TINY)
    model.fit(counts, rng=0, progress=False)
    data, _, fixed, mine, _ = problem_of(model, counts)
    start = np.zeros(mine.theta.size + mine.mean.size)
    one = np.zeros((1, 1))

    def loss(point):
        theta = point[: mine.theta.size].reshape(mine.theta.shape)
        mean = point[mine.theta.size :].reshape(mine.mean.shape)
        if not fixed.pooled:
            mean = np.zeros(mine.mean.shape)
        return -oracles.log_posterior(data, fixed, nonlinearity, theta, mean, one, one[0])

    found = minimize(
        loss,
        start,
        jac=lambda x: oracles.gradient(loss, x),
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-9, "maxcor": 30},
    )
    here = flat([mine.theta, mine.mean])
    # Both lie on one concave hill that bends at least as much as its prior: a point is no further
    # from the top than its slope over that bend.
    bend = np.linalg.eigvalsh(prior_precision(fixed, mine)).min()
    assert bend > 0
    slopes = [np.linalg.norm(oracles.gradient(loss, x)) for x in (here, found.x)]
    assert max(slopes) / bend < 0.01
    np.testing.assert_allclose(here, found.x, atol=sum(slopes) / bend)
    slack = 2 * rounding(data, mine.theta, nonlinearity)
    assert -loss(here) >= -found.fun - slack
    assert last(model.result_["objective"]) == pytest.approx(-loss(here), abs=slack)


def prior_precision(prior: core.Prior, p: core.Parameters) -> np.ndarray:
    """Second derivatives of minus the log prior in theta and the mean."""
    at = core.Parameters(p.theta, p.mean, np.zeros((1, 1)), np.zeros(1))
    here = flat(core.add_prior_gradient(np.zeros(p.theta.shape), at, prior))
    columns = []
    for unit in np.eye(p.theta.size + p.mean.size):
        moved = at._replace(
            theta=p.theta + unit[: p.theta.size].reshape(p.theta.shape),
            mean=p.mean + unit[p.theta.size :].reshape(p.mean.shape),
        )
        columns.append(here - flat(core.add_prior_gradient(np.zeros(p.theta.shape), moved, prior)))
    size = p.theta.size if not prior.pooled else None  # there the mean is a constant zero
    return np.array(columns)[:size, :size]


@pytest.mark.parametrize("n_states", [2, 3])
def test_without_history_it_is_a_poisson_hmm(n_states, seed):
    rng = np.random.default_rng(seed)
    rates = np.array([[0.2, 3.0, 1.0], [4.0, 0.3, 1.0], [1.0, 1.0, 8.0]])[:n_states]
    state = rng.integers(n_states, size=20).repeat(15)
    counts = nks.snn.simulate_switching_population(
        nks.snn.switching_population(3, 1, rng=0), len(state), rng=0
    )
    counts["count"].values[:] = rng.poisson(rates[state])
    model = HMMGLM(n_states, history=None, nonlinearity="exp", tol=TINY)
    model.fit(counts, rng=0, progress=False)
    assert model.result_.sizes["time_constant"] == 0
    problem = problem_of(model, counts)
    data, _, prior, mine, _ = problem
    bias, log_transition, log_initial = oracles.poisson_hmm(data.counts, prior, np.log(rates), 100)
    truth = core.Parameters(bias[:, :, None], np.zeros((3, 0)), log_transition, log_initial)
    slack = 2 * rounding(data, mine.theta, "exp")
    assert oracle_objective(problem, mine) == pytest.approx(
        oracle_objective(problem, truth), abs=slack
    )
    order = [int(np.abs(truth.theta - one).sum(axis=(1, 2)).argmin()) for one in mine.theta]
    assert sorted(order) == list(range(n_states))
    # An objective known to `slack` fixes a parameter to sqrt(2 slack / curvature); the curvature of
    # a log rate is the number of spikes it rests on, of which states that overlap take a part.
    spikes = (smoothed(problem).state_probability.T @ data.counts).min()
    np.testing.assert_allclose(mine.theta, truth.theta[order], atol=4 * np.sqrt(slack / spikes))


@pytest.mark.parametrize("prior", ["none", "gaussian"])
def test_a_fit_ends_where_the_objective_is_flat(prior, seed):
    counts = simulated(4, 2, [300, 200], seed, nonlinearity="softplus", strength=(0.3, 0.8))
    model = HMMGLM(2, prior=prior, restarts=2, tol=TINY, max_iter=3000)
    model.fit(counts, rng=0, progress=False)
    problem = problem_of(model, counts)
    data, p = problem.data, problem.parameters
    slack = rounding(data, p.theta, "softplus")
    assert last(model.result_["objective"]) == pytest.approx(
        oracle_objective(problem, p), abs=slack
    )
    sizes = np.cumsum([part.size for part in p])

    def objective(point):
        theta, mean, transition, initial = np.split(point, sizes[:-1])
        transition = transition.reshape(2, 2)  # free numbers, normalised here
        return oracles.log_posterior(
            data,
            problem.prior,
            "softplus",
            theta.reshape(p.theta.shape),
            mean.reshape(p.mean.shape) if problem.prior.pooled else p.mean,
            transition - oracles.log_sum_exp(transition, 1)[:, None],
            initial - oracles.log_sum_exp(initial, 0),
        )

    slope = oracles.gradient(objective, flat(p))
    # What one more Newton step would gain is beyond what the objective can resolve.
    probability = smoothed(problem).state_probability
    information = core.fisher_information(problem.mine, p.theta, probability, "softplus", serially)
    curvature = core.factorise(information, problem.prior)
    theta_slope = slope[: p.theta.size].reshape(p.theta.shape)
    gain = 0.5 * np.einsum("sni,snij,snj", theta_slope, curvature.inverse, theta_slope)
    assert gain < slack
    # A transition's log odds bend by its expected number, at least the prior's pseudo-counts.
    chain_slope = slope[sizes[1] :]
    assert (chain_slope**2 / (2 * (problem.prior.concentration - 1)) < 100 * slack).all()


def test_trials_and_joined_sessions_have_the_pooled_objective(seed):
    truth = nks.snn.switching_population(4, 2, rng=seed)
    sessions = [
        nks.snn.simulate_switching_population(truth, n, rng=seed + n) for n in (150, 90, 200)
    ]
    joined = nks.concat_trials(sessions)
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(joined, rng=0, progress=False)
    p = fitted_parameters(model)
    parts = [oracle_data(s, [0.02]) for s in sessions]
    total = 0.0
    for part in parts:
        emission = oracles.poisson_log_likelihood(
            part.counts, part.design, part.observed, p.theta, "sigmoid"
        )
        total += oracles.sequence_log_likelihood(p.log_initial, p.log_transition, emission)
    problem = problem_of(model, joined)
    slack = rounding(problem.data, p.theta, "sigmoid")
    assert last(model.result_["log_likelihood"]) == pytest.approx(total, abs=slack)
    assert last(model.result_["objective"]) == pytest.approx(
        oracle_objective(problem, p), abs=slack
    )


def test_an_empty_trial_changes_nothing(seed):
    counts = simulated(3, 2, [60, 80], seed)
    padded = counts.isel(trial=[0, 1, 1, 0, 0]).copy(deep=True)
    padded["trial_length"].values[:] = [60, 0, 80, 0, 0]
    padded["count"].values[2] = counts["count"].values[1]
    settings = {"nonlinearity": "sigmoid", "restarts": 2}
    with_empty = HMMGLM(2, **settings).fit(padded, rng=0, progress=False)
    without = HMMGLM(2, **settings).fit(counts, rng=0, progress=False)
    for name in ("weight", "bias", "transition_probability", "initial_probability", "objective"):
        xr.testing.assert_identical(
            with_empty.result_[name].variable, without.result_[name].variable
        )


def test_missing_bins_have_no_influence(seed):
    counts = simulated(4, 2, 400, seed)
    rng = np.random.default_rng(seed)
    counts["observed"] = "time", rng.random(400) > 0.2
    other = counts.copy(deep=True)
    other["count"].values[~other["observed"].values] = 7
    lost = counts.copy(deep=True).assign(count=counts["count"].astype(float))
    lost["count"].values[~lost["observed"].values] = np.nan
    fits = [
        HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(data, rng=0, progress=False)
        for data in (counts, other, lost)
    ]
    for one in fits[1:]:
        xr.testing.assert_identical(
            one.result_.drop_attrs(deep=False), fits[0].result_.drop_attrs(deep=False)
        )
        assert one.score(lost) == fits[0].score(counts)


def test_permuting_the_units_permutes_the_weights(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, "softplus")
    while problem.data.counts.shape[1] < 3 or problem.data.design.shape[1] < 4:
        problem = random_problem(rng, "softplus")
    data, mine, prior, p, _ = problem
    n_units = data.counts.shape[1]
    n_kernels = (data.design.shape[1] - 1) // n_units
    order = rng.permutation(n_units)
    columns = (order[:, None] * n_kernels + np.arange(n_kernels)).ravel()
    features = np.concatenate([[0], 1 + columns])
    permuted = Problem(
        data,
        mine._replace(
            counts=mine.counts[:, order],
            design=mine.design[:, features],
            active_counts=mine.active_counts[:, order],
            active_spikes=mine.active_spikes[:, order],
            silent_spikes=mine.silent_spikes[:, order],
        ),
        prior._replace(
            weight_sd=prior.weight_sd[columns],
            mean_sd=prior.mean_sd[columns],
            bias_mean=prior.bias_mean[order],
        ),
        p._replace(theta=p.theta[:, order][:, :, features], mean=p.mean[order][:, columns]),
        "softplus",
    )
    fits = [
        core.maximise(
            one.mine,
            core.Fit(one.parameters, np.empty(0), np.empty(0)),
            one.prior,
            "softplus",
            max_iter=6,
            tol=0.0,
            run=serially,
        )
        for one in (problem, permuted)
    ]
    information = core.fisher_information(
        mine,
        fits[0].parameters.theta,
        smoothed(problem).state_probability,
        "softplus",
        serially,
    )
    bend = 1 / prior.weight_sd.max() ** 2
    condition = np.linalg.norm(information, axis=(2, 3)).max() / bend
    error = 6 * condition * (EPS * len(data.counts) + gradient_tolerance(problem))
    np.testing.assert_allclose(
        fits[1].parameters.theta, fits[0].parameters.theta[:, order][:, :, features], atol=error
    )
    np.testing.assert_allclose(
        fits[1].objective,
        fits[0].objective,
        atol=rounding(data, fits[0].parameters.theta, "softplus") * (1 + condition),
    )


def test_states_are_numbered_by_how_long_they_last(seed):
    counts = simulated(6, 3, 1500, seed)
    result = (
        HMMGLM(3, nonlinearity="sigmoid", restarts=3).fit(counts, rng=0, progress=False).result_
    )
    occupancy = result["state_probability"].sum("time").values
    assert (np.diff(occupancy) <= 0).all()
    # One numbering everywhere: decoding the training data again gives the training states.
    model = HMMGLM.from_parameters(result)
    again = model.predict(counts)
    np.testing.assert_array_equal(again["state"], result["state"])
    np.testing.assert_allclose(
        again["state_probability"], result["state_probability"], atol=1500 * EPS
    )


def test_result_adds_up(seed):
    counts = simulated(4, 2, [100, 250, 30], seed)
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=3).fit(counts, rng=0, progress=False)
    result = model.result_
    beyond = np.arange(250) >= counts["trial_length"].values[:, None]
    assert (result["state"].values[beyond] == -1).all()
    assert np.isnan(result["state_probability"].values[beyond]).all()
    inside = result["state_probability"].values[~beyond]
    np.testing.assert_allclose(inside.sum(axis=1), 1, atol=250 * EPS)
    np.testing.assert_allclose(result["transition_probability"].sum("next_state"), 1, atol=4 * EPS)
    np.testing.assert_allclose(result["initial_probability"].sum("state"), 1, atol=4 * EPS)
    traces = result["restart_objective"].values
    assert traces.shape[0] == 3
    assert np.nanmax(traces) == np.nanmax(result["objective"].values)
    for trace in traces:
        assert (np.diff(trace[np.isfinite(trace)]) >= 0).all()


# -- how a fit ends -----------------------------------------------------------------------------


class Stopping:
    """A progress bar that raises at its n-th step."""

    def __init__(self, after: int, error: BaseException) -> None:
        self.after, self.error, self.steps = after, error, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def set_postfix_str(self, *_, **__):
        pass

    def update(self, *_):
        self.steps += 1
        if self.steps > self.after:
            raise self.error


class KilledError(Exception):
    """Stands for a process that ends without warning."""


SMALL = {"nonlinearity": "sigmoid", "restarts": 3, "tol": 1e-9}


def steps_of_a_fit(monkeypatch, counts, settings) -> tuple[int, xr.Dataset]:
    counting = Stopping(10**9, KilledError())
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: counting)
        model = HMMGLM(2, **settings).fit(counts, rng=1)
    return counting.steps, model.result_


def test_a_killed_fit_resumes_to_the_identical_result(monkeypatch, tmp_path, seed):
    counts = simulated(4, 2, [300, 200], seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    rng = np.random.default_rng(seed)
    path = tmp_path / "fit.checkpoint"
    moments = [0, 1, n_steps - 1, *rng.integers(n_steps, size=12).tolist()]
    for after in moments:
        stopping = Stopping(after, KilledError())
        with monkeypatch.context() as patch:
            patch.setattr(hmm_glm, "progress_bar", lambda *_, bar=stopping: bar)
            with pytest.raises(KilledError):
                HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
        assert path.exists() or after == 0
        resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
        xr.testing.assert_identical(resumed.result_, whole)
        assert not path.exists()


def test_a_fit_killed_again_and_again_still_ends_the_same(monkeypatch, tmp_path, seed):
    counts = simulated(4, 2, 400, seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    path = tmp_path / "fit.checkpoint"
    for _ in range(n_steps):
        stopping = Stopping(45, KilledError())  # further than from one checkpoint to the next
        try:
            with monkeypatch.context() as patch:
                patch.setattr(hmm_glm, "progress_bar", lambda *_, bar=stopping: bar)
                model = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
        except KilledError:
            continue
        xr.testing.assert_identical(model.result_, whole)
        return
    pytest.fail("no run got further than the one before")


KILLED_FIT = """
import os, signal, sys
import xarray as xr
from neurokit_sdr.analysis import HMMGLM, hmm_glm

class Killing:
    steps = 0
    def __enter__(self): return self
    def __exit__(self, *_): return None
    def set_postfix_str(self, *_, **__): pass
    def update(self):
        self.steps += 1
        if self.steps == 45:
            os.kill(os.getpid(), signal.SIGKILL)

hmm_glm.progress_bar = lambda *_: Killing()
counts = xr.load_dataset(sys.argv[1], engine="h5netcdf")
HMMGLM(2, nonlinearity="sigmoid", restarts=3, tol=1e-9).fit(
    counts, rng=1, checkpoint=sys.argv[2]
)
"""


def test_a_process_killed_for_good_leaves_a_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    counts = simulated(4, 2, 400, 0)
    counts.to_netcdf(tmp_path / "counts.nc", engine="h5netcdf")
    path = tmp_path / "fit.checkpoint"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_FIT, str(tmp_path / "counts.nc"), str(path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(nks.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.exists()
    _, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
    xr.testing.assert_identical(resumed.result_, whole)


def test_a_checkpoint_of_other_work_is_refused(monkeypatch, tmp_path):
    counts = simulated(4, 2, 200, 0)
    path = tmp_path / "fit.checkpoint"
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: Stopping(5, KilledError()))
        with pytest.raises(KilledError):
            HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
    kept = path.read_bytes()
    others = [
        (HMMGLM(2, **SMALL), counts, 2),
        (HMMGLM(3, **SMALL), counts, 1),
        (HMMGLM(2, **SMALL), counts.isel(time=slice(100)), 1),
    ]
    for model, data, rng in others:
        with pytest.raises(ParameterError, match="checkpoint of other work"):
            model.fit(data, rng=rng, checkpoint=path, progress=False)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.95])
def test_ctrl_c_leaves_the_best_so_far(monkeypatch, tmp_path, share, seed):
    counts = simulated(4, 2, 400, seed)
    n_steps, whole = steps_of_a_fit(monkeypatch, counts, SMALL)
    path = tmp_path / "fit.checkpoint"
    stopping = Stopping(int(share * n_steps), KeyboardInterrupt())
    with monkeypatch.context() as patch:
        patch.setattr(hmm_glm, "progress_bar", lambda *_: stopping)
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path)
    assert model.result_.attrs["status"].startswith("interrupted")
    traces = model.result_["restart_objective"].values
    assert model.result_["objective"].max() == np.nanmax(traces, initial=-np.inf)
    assert set(model.result_.data_vars) == set(whole.data_vars)
    assert np.isfinite(model.score(counts))
    assert model.predict(counts)["state"].shape == (400,)
    nks.save_result(model, tmp_path / "fit.nc")
    resumed = HMMGLM(2, **SMALL).fit(counts, rng=1, checkpoint=path, progress=False)
    xr.testing.assert_identical(resumed.result_, whole)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_ctrl_c_while_a_start_is_made_loses_nothing(monkeypatch, call):
    from neurokit_sdr.analysis.hmm_glm import start

    counts = simulated(4, 2, 400, 0)
    made = start.first_parameters
    calls = itertools.count(1)

    def interrupted(*args):
        if next(calls) == call:
            raise KeyboardInterrupt
        return made(*args)

    monkeypatch.setattr(start, "first_parameters", interrupted)
    if call == 1:  # nothing is there to keep yet
        with pytest.raises(KeyboardInterrupt):
            HMMGLM(2, **SMALL).fit(counts, rng=1, progress=False)
        return
    model = HMMGLM(2, **SMALL)
    try:
        with pytest.warns(ConvergenceWarning, match="interrupted"):
            model.fit(counts, rng=1, progress=False)
    except KeyboardInterrupt:  # let through it would end pytest, not the test
        pytest.fail("what the starts before had found is lost")
    assert np.isfinite(model.score(counts))


def test_too_few_iterations_are_said(seed):
    counts = simulated(4, 2, 300, seed)
    with pytest.warns(ConvergenceWarning, match="max_iter reached") as caught:
        model = HMMGLM(2, nonlinearity="sigmoid", max_iter=1).fit(counts, rng=0, progress=False)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert model.result_.attrs["status"] == "max_iter reached (1): raise max_iter or tol"
    assert model.result_.sizes["iteration"] == 1
    assert np.isfinite(model.score(counts))


def test_threads_do_not_change_the_numbers(monkeypatch, seed):
    monkeypatch.setattr(core, "CHUNK", 2000)  # many chunks even of little data
    counts = simulated(6, 3, [700, 500], seed)
    results = []
    for number in (1, 2, 5):
        with limited_threads(number):
            model = HMMGLM(3, **SMALL)
            results.append(model.fit(counts, rng=0, progress=False).result_)
    for other in results[1:]:
        xr.testing.assert_identical(other, results[0])


# -- what a fitted or known model does ----------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    truth = nks.snn.switching_population(5, 2, time_constants=(0.02, 0.1), rng=3)
    return truth, nks.snn.simulate_switching_population(truth, [120, 80], rng=3)


def oracle_log_likelihood(p: core.Parameters, data: core.Data, nonlinearity: str) -> float:
    emission = oracles.poisson_log_likelihood(
        data.counts, data.design, data.observed, p.theta, nonlinearity
    )
    return sum(
        oracles.smooth(p.log_initial, p.log_transition, emission[a:b])[0]
        for a, b in itertools.pairwise(data.starts)
    )


def test_score_is_what_its_text_says(known):
    truth, counts = known
    counts = counts.assign(observed=(("trial", "time"), np.arange(240).reshape(2, 120) % 7 > 0))
    model = HMMGLM.from_parameters(truth)
    data = oracle_data(counts, [0.02, 0.1])
    log_likelihood = oracle_log_likelihood(fitted_parameters(model), data, "sigmoid")
    seen = data.counts[data.observed]
    assert model.score(counts, measure="nats_per_bin") == pytest.approx(
        log_likelihood / len(seen), rel=1e-12
    )
    null = poisson.logpmf(seen, seen.mean(axis=0)).sum()
    bits = (log_likelihood - null) / np.log(2) / seen.sum()
    assert model.score(counts) == pytest.approx(bits, rel=1e-9)
    with pytest.raises(ParameterError, match="bits_per_spike"):
        model.score(counts, measure="r2")


def test_score_of_held_out_data_uses_the_training_rates(known):
    _, counts = known
    train, test = counts.isel(trial=[0]), counts.isel(trial=[1])
    model = HMMGLM(2, nonlinearity="sigmoid", restarts=2).fit(train, rng=0, progress=False)
    data = oracle_data(test, [0.02])
    log_likelihood = oracle_log_likelihood(fitted_parameters(model), data, "sigmoid")
    rates = flatten(train).counts.mean(axis=0)
    np.testing.assert_allclose(model.result_["mean_count"], rates, rtol=200 * EPS)
    null = poisson.logpmf(data.counts, rates).sum()
    bits = (log_likelihood - null) / np.log(2) / data.counts.sum()
    assert model.score(test) == pytest.approx(bits, rel=1e-9)


def test_predict_is_the_oracles_posterior_and_best_path(known):
    truth, counts = known
    short = counts.isel(time=slice(8))
    short["trial_length"].values[:] = [8, 5]
    model = HMMGLM.from_parameters(truth)
    p = fitted_parameters(model)
    data = oracle_data(short, [0.02, 0.1])
    emission = oracles.poisson_log_likelihood(
        data.counts, data.design, data.observed, p.theta, "sigmoid"
    )
    found = model.predict(short)
    for trial, (a, b) in enumerate(itertools.pairwise(data.starts)):
        all_paths = oracles.enumerate_paths(p.log_initial, p.log_transition, emission[a:b])
        one = found.isel(trial=trial, time=slice(b - a))
        np.testing.assert_allclose(
            one["state_probability"], all_paths.state_probability, atol=1e-10
        )
        np.testing.assert_array_equal(one["state"], all_paths.best_path)


@pytest.mark.filterwarnings("error:divide by zero")
def test_known_parameters_may_rule_transitions_out(known):
    truth, counts = known
    truth = truth.copy(deep=True)
    truth["transition_probability"].values[:] = np.eye(2)
    truth["initial_probability"].values[:] = [1.0, 0.0]
    model = HMMGLM.from_parameters(truth)
    assert set(np.unique(model.predict(counts)["state"])) <= {0, -1}
    assert np.isfinite(model.score(counts))


def test_simulate_gives_the_truth_along_and_repeats_itself(known):
    truth, _ = known
    model = HMMGLM.from_parameters(truth)
    simulation = model.simulate([50, 30], rng=4)
    xr.testing.assert_identical(simulation, model.simulate([50, 30], rng=4))
    assert not simulation.equals(model.simulate([50, 30], rng=5))
    assert simulation["state"].dims == ("trial", "time")
    assert (simulation["state"].values[1, 30:] == -1).all()
    assert model.simulate(40, rng=0)["count"].dims == ("time", "unit")


def test_saved_model_predicts_identically(known, tmp_path):
    truth, counts = known
    fitted = HMMGLM(2, history=[0.02, 0.1], nonlinearity="sigmoid", restarts=2)
    fitted.fit(counts, rng=0, progress=False)
    for model in (fitted, HMMGLM.from_parameters(truth)):
        nks.save_result(model, tmp_path / "fit.nc")
        loaded = nks.load_result(tmp_path / "fit.nc")
        xr.testing.assert_identical(loaded.result_, model.result_)
        xr.testing.assert_identical(loaded.predict(counts), model.predict(counts))
        assert loaded.score(counts) == model.score(counts)
        assert loaded.get_params() == model.get_params()
        xr.testing.assert_identical(loaded.simulate(30, rng=0), model.simulate(30, rng=0))


def test_a_file_of_the_first_version_still_loads():
    model = nks.load_result(GOLDEN / "hmm_glm_v1.nc")
    counts = xr.load_dataset(GOLDEN / "hmm_glm_v1_counts.nc", engine="h5netcdf")
    assert model.result_.attrs["schema_version"] == 1
    assert model.result_.attrs["status"] == "converged"
    assert model.get_params()["n_states"] == 2
    found = model.predict(counts)
    np.testing.assert_array_equal(found["state"], model.result_["state"])
    # Other machines round otherwise: as far as the log likelihood of a sequence may be off.
    tolerance = rounding(
        oracle_data(counts, [0.02]), fitted_parameters(model).theta, model.nonlinearity
    )
    np.testing.assert_allclose(
        found["state_probability"], model.result_["state_probability"], atol=tolerance
    )
    score = model.score(counts, measure="nats_per_bin") * counts["trial_length"].values.sum()
    assert score == pytest.approx(last(model.result_["log_likelihood"]), abs=tolerance)


# -- recovery -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 5))]
)
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
    data = layout.make_data(*flatten(counts), exponential_kernel([0.02], BIN))
    probability = np.eye(2)[result["state"].values]
    information = core.fisher_information(
        data, fitted_parameters(model).theta, probability, "sigmoid", serially
    )[order]
    variance = np.linalg.inv(information)[:, :, range(7), range(7)][:, :, 1:]
    z = (found[..., 0] - truth["weight"].values[..., 0]) / np.sqrt(variance)
    # Standard normal, were the states known: 72 of them stay below 5 with probability 1 - 4e-5,
    # and their mean square below 1 + 5 sqrt(2 / 72).
    assert np.abs(z).max() < 5
    assert np.mean(z**2) < 1 + 5 * np.sqrt(2 / z.size)
