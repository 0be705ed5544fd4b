"""Priors of the HMM-GLM: derivatives are those of the density, and one more is one more class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hmm_glm_problems import flat, random_problem, rounding, serially, smoothed
from oracles import EPS

from neurokit_sdr.analysis import HMMGLM
from neurokit_sdr.analysis.hmm_glm.em import Fit, maximise
from neurokit_sdr.analysis.hmm_glm.equations import expected_gradient, fisher_information
from neurokit_sdr.analysis.hmm_glm.prior import PRIORS
from neurokit_sdr.analysis.hmm_glm.steps import Direction, PriorCurvature, factorise, newton_step

#: Of differences; the densities of the package are quadratic, so that only rounding is left.
STEP = 1e-2


@pytest.fixture(params=PRIORS)
def case(request, seed):
    """A prior of two units with two kernels, and a point."""
    rng = np.random.default_rng(seed)
    prior = PRIORS[request.param].make(0.5, rng.uniform(1, 2, 4), rng.normal(size=2))
    theta = rng.normal(size=(3, 2, 5))
    return prior, theta, rng.normal(size=(2, 4)) * prior.pooled


def moved(theta, mean, number, by):
    point = flat([theta, mean])
    point[number] += by
    return point[: theta.size].reshape(theta.shape), point[theta.size :].reshape(mean.shape)


def test_the_gradient_is_that_of_the_density(case):
    prior, theta, mean = case
    found = flat(prior.gradient(theta, mean))
    size = theta.size + mean.size if prior.pooled else theta.size
    for number in range(size):
        above = prior.log_density(*moved(theta, mean, number, STEP))
        below = prior.log_density(*moved(theta, mean, number, -STEP))
        error = 4 * EPS * size * max(abs(above), abs(below)) / STEP
        assert found[number] == pytest.approx((above - below) / (2 * STEP), abs=error)
    assert not found[size:].any()


def test_the_curvature_is_that_of_the_gradient(case):
    prior, theta, mean = case
    found = prior.curvature(theta, mean)
    whole = np.diag(np.broadcast_to(found.theta, theta.shape).ravel())
    if prior.pooled:
        index = np.arange(theta.size).reshape(theta.shape)
        whole = np.pad(whole, (0, mean.size))
        for n, d in np.ndindex(mean.shape):
            m = theta.size + n * mean.shape[1] + d
            for s in range(len(theta)):
                whole[index[s, n, d + 1], m] = whole[m, index[s, n, d + 1]] = -found.coupling[d]
            whole[m, m] = found.mean[d]
    for number in range(len(whole)):
        above = flat(prior.gradient(*moved(theta, mean, number, STEP)))[: len(whole)]
        below = flat(prior.gradient(*moved(theta, mean, number, -STEP)))[: len(whole)]
        error = 8 * EPS * max(np.abs(above).max(), np.abs(below).max()) / STEP
        np.testing.assert_allclose(whole[number], (below - above) / (2 * STEP), atol=error)


def test_the_model_takes_every_prior_there_is():
    assert HMMGLM._allowed["prior"].words == tuple(PRIORS)


@dataclass(frozen=True)
class HeavyTails:
    """A third prior as somebody would add it: Cauchy weights, which are not log-concave."""

    scale: float
    pooled: ClassVar[bool] = False

    @classmethod
    def make(cls, prior_sd, scale, bias_mean):
        return cls(prior_sd)

    def log_density(self, theta, mean):
        return -float(np.sum(np.log1p((theta / self.scale) ** 2)))

    def gradient(self, theta, mean):
        return Direction(-2 * theta / (self.scale**2 + theta**2), np.zeros_like(mean))

    def curvature(self, theta, mean):
        return PriorCurvature(2 / (self.scale**2 + theta**2), None, None)


@pytest.mark.parametrize("number", range(5))
def test_em_takes_a_prior_it_does_not_know(number, seed):
    problem = random_problem(np.random.default_rng([seed, number]), "softplus")
    prior = HeavyTails.make(0.5, None, None)
    start = problem.parameters._replace(mean=np.zeros(problem.parameters.mean.shape))
    fit = maximise(
        problem.mine,
        Fit(start, np.empty(0), np.empty(0)),
        prior,
        problem.prior.on_chain,
        "softplus",
        max_iter=3000,
        tol=1e-14,
        run=serially,
    )
    assert fit.converged
    assert (np.diff(fit.objective) >= 0).all()
    # One more step, from the slope of likelihood and prior together, gains no more than rounding.
    p = fit.parameters
    probability = smoothed(problem._replace(parameters=p)).state_probability
    slope = Direction(
        expected_gradient(problem.mine, p.theta, probability, "softplus", serially)
        + prior.gradient(p.theta, p.mean).theta,
        p.mean,
    )
    information = fisher_information(problem.mine, p.theta, probability, "softplus", serially)
    step = newton_step(slope, factorise(information, prior.curvature(p.theta, p.mean)))
    assert step.dot(slope) / 2 < rounding(problem.data, p.theta, "softplus")
