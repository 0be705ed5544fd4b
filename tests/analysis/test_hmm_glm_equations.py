"""The HMM-GLM's likelihood and derivatives against scipy and the dense formulas."""

from __future__ import annotations

import itertools

import numpy as np
import oracles
import pytest
from hmm_glm_problems import (
    BIN,
    NONLINEARITIES,
    curvature,
    flat,
    gradient_tolerance,
    random_problem,
    rounding,
    serially,
    slopes,
    smoothed,
)
from oracles import EPS, exact_rates
from scipy.stats import poisson

from neurokit_sdr.analysis.hmm_glm import equations
from neurokit_sdr.analysis.hmm_glm.data import make_data
from neurokit_sdr.analysis.hmm_glm.equations import (
    NEGLIGIBLE,
    emission_log_likelihood,
    expected_gradient,
    fisher_information,
    log_prior,
    update_chain,
)
from neurokit_sdr.analysis.hmm_glm.steps import (
    Direction,
    Pair,
    accelerated_step,
    newton_step,
)
from neurokit_sdr.engines.poisson.history import history_features
from neurokit_sdr.engines.poisson.kernels import exponential_kernel


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(5))
def test_emission_is_scipys_poisson(nonlinearity, number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    data, theta = problem.data, problem.parameters.theta
    emission = emission_log_likelihood(problem.mine, theta, nonlinearity, serially)
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
            emission_log_likelihood(data, p.theta, nonlinearity, serially),
            expected_gradient(data, p.theta, probability, nonlinearity, serially),
            fisher_information(data, p.theta, probability, nonlinearity, serially),
        )

    whole = everything()
    monkeypatch.setattr(equations, "chunks", lambda n, _: [slice(i, i + 1) for i in range(n)])
    for one, other in zip(everything(), whole, strict=True):
        size = np.abs(other).max() * len(problem.data.counts)
        np.testing.assert_allclose(one, other, atol=4 * EPS * size)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(4))
def test_expected_gradient_is_the_gradient_of_the_marginal_likelihood(nonlinearity, number, seed):
    # Fisher's identity: with the posterior of the states held fixed, or summed out, it is the same.
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    data, p = problem.data, problem.parameters
    found = expected_gradient(
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


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("number", range(4))
def test_information_is_the_dense_formula(nonlinearity, number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), nonlinearity)
    theta = problem.parameters.theta
    probability = smoothed(problem).state_probability
    found = fisher_information(problem.mine, theta, probability, nonlinearity, serially)
    for s, n in np.ndindex(theta.shape[:2]):
        truth, _ = dense_information(problem.data, theta[s, n], probability[:, s], nonlinearity)
        error = (EPS * len(probability) + NEGLIGIBLE) * len(probability) * np.abs(truth).max()
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
    design = history_features(counts, starts, observed, kernel)
    data = oracles.Data(counts, design, starts, observed)
    probability = rng.dirichlet(np.ones(2), 2000)
    theta = np.zeros((2, 2, 3))
    monkeypatch.setattr(equations, "curvature_rows", lambda n_features: 200)
    found = fisher_information(
        make_data(counts, starts, observed, kernel),
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
    information = fisher_information(mine, p.theta, probability, nonlinearity, serially)
    gradient = slopes(
        expected_gradient(mine, p.theta, probability, nonlinearity, serially), p, prior
    )
    found = newton_step(gradient, curvature(information, p, prior))
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
    np.testing.assert_allclose(flat(gradient), slope, atol=gradient_tolerance(problem))
    truth = np.linalg.solve(hessian, slope)
    error = np.linalg.cond(hessian) * EPS * hessian.shape[0] * np.abs(truth).max()
    error += gradient_tolerance(problem) / np.linalg.eigvalsh(hessian)[0]
    np.testing.assert_allclose(flat(found), truth, atol=error)


def test_accelerated_step_meets_the_secant_condition(seed):
    # With the last pair, a step multiplied by the curvature it met gives the fall it caused.
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    prior, p = problem.prior, problem.parameters
    probability = smoothed(problem).state_probability
    bend = curvature(
        fisher_information(problem.mine, p.theta, probability, problem.nonlinearity, serially),
        p,
        prior,
    )
    pairs = []
    while len(pairs) < 3:
        fall = Direction(rng.standard_normal(p.theta.shape), np.zeros(p.mean.shape))
        step = newton_step(fall, bend)
        if step.dot(fall) > 0:
            pairs.append(Pair(step.plus(step, 0.5), fall))
    found = accelerated_step(pairs[-1].fall, pairs, bend)
    np.testing.assert_allclose(flat(found), flat(pairs[-1].step), rtol=1e4 * EPS, atol=1e4 * EPS)
    none = accelerated_step(pairs[0].fall, [], bend)
    np.testing.assert_array_equal(flat(none), flat(newton_step(pairs[0].fall, bend)))


def test_chain_update_maximises_the_expected_objective(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng)
    data, prior = problem.data, problem.prior
    posterior = smoothed(problem)
    log_transition, log_initial = update_chain(posterior, data.starts, prior.on_chain)
    assert np.exp(log_transition).sum(axis=1) == pytest.approx(1)
    assert np.exp(log_initial).sum() == pytest.approx(1)

    def expected(log_transition, log_initial):
        moved = problem.parameters._replace(log_transition=log_transition, log_initial=log_initial)
        first = posterior.state_probability[data.starts[:-1]].sum(axis=0)
        return (
            (posterior.transition_count * log_transition).sum()
            + first @ log_initial
            + log_prior(moved, prior.on_weights, prior.on_chain)
        )

    best = expected(log_transition, log_initial)
    slack = EPS * log_transition.size * abs(best)
    for _ in range(50):
        nearby = log_transition + 0.1 * rng.standard_normal(log_transition.shape)
        nearby -= oracles.log_sum_exp(nearby, 1)[:, None]
        first = log_initial + 0.1 * rng.standard_normal(log_initial.shape)
        first -= oracles.log_sum_exp(first, 0)
        assert expected(nearby, first) <= best + slack
