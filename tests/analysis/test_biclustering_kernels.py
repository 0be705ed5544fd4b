"""Each kernel of bi-clustering leaves the joint law of parameters and counts as it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from analysis.biclustering_model import CLUSTER, PRIOR, STARTS, draw_data, draw_prior, measures
from geweke import geweke
from scipy.stats import invwishart, matrix_normal, multivariate_normal, nbinom

from neurokit_sdr.analysis.biclustering.dispersion import draw_dispersion
from neurokit_sdr.analysis.biclustering.equations import Parameters, log_likelihood, log_rate
from neurokit_sdr.analysis.biclustering.loadings import draw_loadings
from neurokit_sdr.analysis.biclustering.smoother import (
    about_latent,
    draw_information,
    draw_latent,
    law_of_paths,
    log_density_of_path,
    path_of,
)
from neurokit_sdr.analysis.biclustering.states import (
    draw_dynamics,
    draw_states,
    draw_transitions,
    log_evidence,
    regress,
    transition_log_likelihood,
)

EPS = np.finfo(float).eps


def move_latent(at, data, rng):
    return draw_latent(data, at, draw_information(data, at, rng), PRIOR, rng)


def move_loadings(at, data, rng):
    return draw_loadings(at, draw_information(data, at, rng), PRIOR, rng)


def move_dispersion(at, data, rng):
    return draw_dispersion(data, at, PRIOR, rng)


def move_states(at, data, rng):
    return draw_states(data, at, rng)


def move_transitions(at, data, rng):
    return draw_transitions(data, at, PRIOR, rng)


def move_dynamics(at, data, rng):
    return draw_dynamics(data, at, PRIOR, rng)


KERNELS = [
    move_latent, move_loadings, move_dispersion, move_states, move_transitions, move_dynamics
]  # fmt: skip


def run_geweke(kernel, seed: int):
    rng = np.random.default_rng(seed)
    return geweke(draw_prior, draw_data, kernel, measures, rng, n_chains=110, n_steps=20)


@pytest.mark.parametrize("kernel", KERNELS)
def test_geweke_passes_each_kernel(kernel, seed):
    assert not run_geweke(kernel, seed).failed


# -- errors that are easily made -------------------------------------------------------------------


def latent_with_the_state_of_the_bin_before(at, data, rng):
    """The state of a bin moves into it, not out of it."""
    moved = draw_latent(
        data,
        at._replace(state=np.roll(at.state, 1)),
        draw_information(data, at, rng),
        PRIOR,
        rng,
    )
    return moved._replace(state=at.state)


def loadings_without_the_dispersion(at, data, rng):
    """Forgets that the variates see log rate - log dispersion."""
    forgets = at._replace(dispersion=np.ones_like(at.dispersion))
    moved = draw_loadings(forgets, draw_information(data, at, rng), PRIOR, rng)
    return moved._replace(dispersion=at.dispersion)


def dispersion_by_tables(at, data, rng):
    """As in print: a gamma law given table counts, as if log rate - log dispersion stood still."""
    r, seen = at.dispersion, data.observed
    rate = np.exp(log_rate(at))
    tables = np.zeros_like(r)
    for t, i in np.argwhere(seen):
        customers = np.arange(data.spikes[t, i])
        tables[i] += (rng.random(customers.size) < r[i] / (r[i] + customers)).sum()
    shrink = np.where(seen, np.log1p(rate / r), 0.0).sum(axis=0)
    drawn = rng.gamma(PRIOR.dispersion_shape + tables) / (PRIOR.dispersion_rate + shrink)
    return at._replace(dispersion=drawn)


def dynamics_with_too_few_degrees(at, data, rng):
    """Forgets that the degrees of freedom grow with k."""
    return draw_dynamics(data, at, PRIOR._replace(noise_df=PRIOR.noise_df - 4), rng)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel",
    [
        latent_with_the_state_of_the_bin_before,
        loadings_without_the_dispersion,
        dispersion_by_tables,
        dynamics_with_too_few_degrees,
    ],
)
def test_geweke_finds_a_planted_error(kernel, seed):
    assert run_geweke(kernel, seed).failed


# -- exact small cases -----------------------------------------------------------------------------


@pytest.fixture
def case(seed):
    rng = np.random.default_rng(seed)
    at = draw_prior(rng)
    return at, draw_data(at, rng), rng


def dense_gaussian(at: Parameters, pull, precision):
    """Mean and covariance of the whole path at once, from the equations."""
    n_bins, k = pull.shape
    # Each trial as one linear map of its noise.
    total = np.zeros((n_bins * k, n_bins * k))
    shift = np.zeros(n_bins * k)
    for begin, end in itertools.pairwise(STARTS):
        for t in range(begin, end):
            here = slice(t * k, t * k + k)
            if t == begin:
                total[here, here] += np.eye(k) / PRIOR.first_sd**2
                continue
            past = slice(t * k - k, t * k)
            turn = at.dynamics[at.state[t]]
            inverse = np.linalg.inv(at.noise[at.state[t]])
            both = np.hstack([-turn[:, :-1], np.eye(k)])
            rows = np.r_[past, here]
            total[np.ix_(rows, rows)] += both.T @ inverse @ both
            shift[rows] += both.T @ inverse @ turn[:, -1]
    width = precision.shape[2]
    for t in range(n_bins):
        shift[t * k : t * k + k] += pull[t]
        for j in range(precision.shape[1]):
            block = slice(t * k + j * width, t * k + (j + 1) * width)
            total[block, block] += precision[t, j]
    covariance = np.linalg.inv(total)
    return (covariance @ shift).reshape(n_bins, k), covariance


def test_paths_have_the_mean_and_covariance_of_the_dense_gaussian(case):
    at, data, rng = case
    pull, precision = about_latent(at, draw_information(data, at, rng))
    law = law_of_paths(pull, precision, at.dynamics, at.noise, at.state, STARTS, PRIOR.first_sd)
    mean, covariance = dense_gaussian(at, pull, precision)
    found = path_of(law, np.zeros(pull.shape))
    np.testing.assert_allclose(found, mean, atol=1e-8)
    # A draw is the mean and a linear map of the normal variates: its columns, one by one.
    columns = [path_of(law, unit.reshape(pull.shape)) - found for unit in np.eye(pull.size)]
    root = np.array(columns).reshape(pull.size, -1)
    np.testing.assert_allclose(root.T @ root, covariance, atol=1e-8)
    path = path_of(law, rng.standard_normal(pull.shape))
    density = multivariate_normal.logpdf(path.ravel(), mean.ravel(), covariance)
    np.testing.assert_allclose(log_density_of_path(law, path), density, rtol=1e-8)


def test_information_is_the_sum_over_neurons(case):
    at, data, rng = case
    information = draw_information(data, at, rng)
    assert (information.weight[~data.observed] == 0).all()
    pull, precision = about_latent(at, information)
    width = at.latent.shape[2]
    psi = log_rate(at) - np.log(at.dispersion)
    quadratic = information.pull * psi - information.weight * psi**2 / 2
    known = at.offset - np.log(at.dispersion)
    constant = information.pull * known - information.weight * known**2 / 2
    for t in range(STARTS[-1]):
        x = at.latent[t]
        by_latent = pull[t] @ x.ravel() - sum(
            x[j] @ precision[t, j] @ x[j] / 2 for j in range(len(x))
        )
        size = np.abs(quadratic[t]).sum() + np.abs(constant[t]).sum() + 1
        assert abs(by_latent - (quadratic - constant)[t].sum()) < 100 * width * EPS * size


def test_steps_have_their_gaussian_density(case):
    at, data, _ = case
    fit = transition_log_likelihood(data, at)
    path = at.latent.reshape(STARTS[-1], -1)
    assert (fit[STARTS[:-1]] == 0).all()
    for t in (1, 4, 6):
        for s in range(PRIOR.n_states):
            mean = at.dynamics[s] @ np.append(path[t - 1], 1.0)
            expected = multivariate_normal.logpdf(path[t], mean, at.noise[s])
            np.testing.assert_allclose(fit[t, s], expected, rtol=1e-9)


def test_evidence_is_the_joint_over_the_posterior(case):
    """log p(path) = log p(path | A, Q) + log p(A, Q) - log p(A, Q | path), at any A and Q."""
    at, data, _ = case
    path = at.latent.reshape(STARTS[-1], -1)
    empty = at.state * 0 + PRIOR.n_states - 1  # all bins in one state
    for state in (at.state, empty):
        before = regress(path, state, np.array([0, *range(1, STARTS[-1] + 1)]), PRIOR)
        after = regress(path, state, STARTS, PRIOR)
        moved = at._replace(state=state)
        later = np.setdiff1d(np.arange(STARTS[-1]), STARTS[:-1])
        expected = transition_log_likelihood(data, moved)[later, state[later]].sum()
        for law, sign in ((before, 1), (after, -1)):
            expected += sign * log_density_of_dynamics(law, at.dynamics, at.noise)
        first = path[STARTS[:-1]].ravel()
        variance = np.full(first.size, PRIOR.first_sd**2)
        expected += multivariate_normal.logpdf(first, cov=np.diag(variance))
        np.testing.assert_allclose(log_evidence(path, state, STARTS, PRIOR), expected, rtol=1e-9)


def log_density_of_dynamics(law, dynamics, noise) -> float:
    total = 0.0
    for s in range(len(noise)):
        total += invwishart.logpdf(noise[s], law.df[s], law.scale[s])
        columns = np.linalg.inv(law.precision[s])
        total += matrix_normal.logpdf(dynamics[s], law.mean[s], noise[s], columns)
    return total


def test_likelihood_is_that_of_scipy(case):
    at, data, _ = case
    rate, r = np.exp(log_rate(at)), at.dispersion
    each = nbinom.logpmf(data.spikes, r, r / (r + rate))
    expected = np.where(data.observed, each, 0).sum(axis=0)
    np.testing.assert_allclose(log_likelihood(data, at), expected, rtol=1e-9)
    assert len(CLUSTER) == len(expected)
