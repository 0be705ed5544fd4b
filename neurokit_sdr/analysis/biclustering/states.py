r"""States of time and their dynamics: a sticky hidden Markov model of unknown size, weak limit.

Given trajectories, states are drawn as one block (filter forward, draw backward); the base law from
the numbers of tables that transitions would take in the Chinese restaurant franchise, without those
that stickiness alone explains; transitions from Dirichlet laws; and the dynamics of each state from
their matrix-normal inverse-Wishart posterior, those of unused states from the prior.

References
----------
Fox, Sudderth, Jordan, Willsky (2011), A sticky HDP-HMM with application to speaker diarization.
Annals of Applied Statistics 5. arXiv:0905.2592; and Bayesian nonparametric inference of switching
dynamic linear models. IEEE Transactions on Signal Processing 59. arXiv:1003.3829.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from scipy.special import multigammaln

from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors, follows


def draw_states(data: Counts, at: Parameters, rng: np.random.Generator) -> Parameters:
    """Draw the states of all bins, as one block per trial."""
    fit = transition_log_likelihood(data, at)
    state = np.empty(len(fit), dtype=np.int64)
    uniform = rng.random(len(fit))
    _draw_states(at.base, at.transition, fit, data.starts, uniform, state)
    return at._replace(state=state)


def transition_log_likelihood(data: Counts, at: Parameters) -> np.ndarray:
    """Log density of each step under each state, shape (time, state); 0 where a trial begins."""
    path = at.latent.reshape(len(at.latent), -1)
    whitener = np.linalg.inv(np.linalg.cholesky(at.noise))
    fit = np.zeros((len(path), len(at.base)))
    _fit_steps(path, whitener @ at.dynamics, whitener, data.starts, fit)
    return fit


@numba.njit(cache=True, nogil=True)
def _fit_steps(path, turn, whitener, starts, fit):
    """Each step in units of its noise: L^-1 x_t - L^-1 [A b] (x_{t-1}, 1)."""
    k = path.shape[1]
    for s in range(turn.shape[0]):
        size = -0.5 * k * np.log(2 * np.pi)
        for i in range(k):
            size += np.log(whitener[s, i, i])
        for trial in range(starts.size - 1):
            for t in range(starts[trial] + 1, starts[trial + 1]):
                total = 0.0
                for i in range(k):
                    left = -turn[s, i, k]
                    for j in range(i + 1):
                        left += whitener[s, i, j] * path[t, j]
                    for j in range(k):
                        left -= turn[s, i, j] * path[t - 1, j]
                    total += left * left
                fit[t, s] = size - 0.5 * total


@numba.njit(cache=True, nogil=True)
def _draw_states(base, transition, fit, starts, uniform, state):
    n_states = base.size
    filtered = np.empty((fit.shape[0], n_states))
    for trial in range(starts.size - 1):
        begin, end = starts[trial], starts[trial + 1]
        for t in range(begin, end):
            peak = fit[t].max()
            total = 0.0
            for j in range(n_states):
                ahead = 0.0
                if t == begin:
                    ahead = base[j]
                else:
                    for i in range(n_states):
                        ahead += filtered[t - 1, i] * transition[i, j]
                filtered[t, j] = ahead * np.exp(fit[t, j] - peak)
                total += filtered[t, j]
            for j in range(n_states):
                filtered[t, j] /= total
        for t in range(end - 1, begin - 1, -1):
            total = 0.0
            for j in range(n_states):
                if t + 1 < end:
                    filtered[t, j] *= transition[j, state[t + 1]]
                total += filtered[t, j]
            left = uniform[t] * total
            chosen = n_states - 1
            for j in range(n_states):
                left -= filtered[t, j]
                if left < 0:
                    chosen = j
                    break
            state[t] = chosen


def draw_transitions(
    data: Counts, at: Parameters, prior: Priors, rng: np.random.Generator
) -> Parameters:
    """Draw the base law with transitions integrated out, then the transitions."""
    n_states = len(at.base)
    later = follows(data.starts)
    count = np.zeros((n_states, n_states), dtype=np.int64)
    np.add.at(count, (at.state[later - 1], at.state[later]), 1)
    weight = prior.alpha * at.base + prior.kappa * np.eye(n_states)
    tables = np.zeros((n_states, n_states), dtype=np.int64)
    _count_tables(count, weight, tables, rng)
    sticky = prior.kappa / (prior.kappa + prior.alpha * at.base)
    own = np.diag(tables) - rng.binomial(np.diag(tables), sticky)
    np.fill_diagonal(tables, own)
    served = tables.sum(axis=0) + np.bincount(at.state[data.starts[:-1]], minlength=n_states)
    base = flat_dirichlet(prior.gamma / n_states + served, rng)
    weight = prior.alpha * base + prior.kappa * np.eye(n_states)
    return at._replace(base=base, transition=flat_dirichlet(weight + count, rng))


@numba.njit(cache=True, nogil=True)
def _count_tables(count, weight, tables, rng):
    """Occupied tables of so many customers: the n-th opens one with odds weight : n - 1."""
    for i in range(count.shape[0]):
        for j in range(count.shape[1]):
            for n in range(count[i, j]):
                if rng.random() * (n + weight[i, j]) < weight[i, j]:
                    tables[i, j] += 1


def flat_dirichlet(weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of Dirichlet laws, none of them with a zero that a gamma of small shape rounds to."""
    drawn = np.maximum(rng.standard_gamma(weight), np.finfo(float).tiny)
    return drawn / drawn.sum(axis=-1, keepdims=True)


class Regression(NamedTuple):
    """The law of one state's dynamics: matrix normal given an inverse-Wishart noise.

    Attributes
    ----------
    mean, precision
        Of [A b]: shape (state, k, k + 1), and of its columns (state, k + 1, k + 1).
    scale, df
        Of Q: shape (state, k, k) and (state,).
    """

    mean: np.ndarray
    precision: np.ndarray
    scale: np.ndarray
    df: np.ndarray


def regress(path: np.ndarray, state: np.ndarray, starts: np.ndarray, prior: Priors) -> Regression:
    """Return the posterior of each state's dynamics, given a path (time, k) and its states."""
    k = path.shape[1]
    later = follows(starts)
    before = np.column_stack([path[later - 1], np.ones(len(later))])
    both = np.column_stack([before, path[later]])
    centre = np.eye(k, k + 1) * prior.dynamics_mean
    own = np.eye(k + 1) * prior.dynamics_weight
    sums = np.zeros((prior.n_states, 2 * k + 1, 2 * k + 1))
    for s in np.unique(state[later]):
        rows = both[state[later] == s]
        sums[s] = rows.T @ rows
    precision = own + sums[:, : k + 1, : k + 1]
    cross = centre @ own + sums[:, k + 1 :, : k + 1]
    mean = np.swapaxes(np.linalg.solve(precision, np.swapaxes(cross, 1, 2)), 1, 2)
    scale = prior.noise_scale * np.eye(k) + centre @ own @ centre.T + sums[:, k + 1 :, k + 1 :]
    scale = scale - mean @ np.swapaxes(cross, 1, 2)
    scale = (scale + np.swapaxes(scale, 1, 2)) / 2
    count = np.bincount(state[later], minlength=prior.n_states)
    return Regression(mean, precision, scale, k + prior.noise_df + count)


def draw_dynamics(
    data: Counts, at: Parameters, prior: Priors, rng: np.random.Generator
) -> Parameters:
    """Draw the dynamics and noise of every state from their joint conditional."""
    law = regress(at.latent.reshape(len(at.latent), -1), at.state, data.starts, prior)
    dynamics, noise = draw_regression(law, rng)
    return at._replace(dynamics=dynamics, noise=noise)


def draw_regression(law: Regression, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw [A b] and Q of every state."""
    n_states, k, _ = law.scale.shape
    # Bartlett: a triangle of normals and roots of chi-squares is the factor of a Wishart matrix.
    triangle = np.tril(rng.standard_normal((n_states, k, k)), -1)
    degrees = law.df[:, None] - np.arange(k)
    triangle[:, range(k), range(k)] = np.sqrt(2 * rng.standard_gamma(degrees / 2))
    # Q = R R' with R = chol(scale) T^-T, whose inverse is Wishart.
    lower = np.linalg.cholesky(law.scale)
    root = np.swapaxes(np.linalg.solve(triangle, np.swapaxes(lower, 1, 2)), 1, 2)
    noise = root @ np.swapaxes(root, 1, 2)
    columns = np.linalg.cholesky(law.precision)
    normal = rng.standard_normal(law.mean.shape)
    spread = np.swapaxes(
        np.linalg.solve(np.swapaxes(columns, 1, 2), np.swapaxes(normal, 1, 2)), 1, 2
    )
    return law.mean + root @ spread, noise


def log_evidence(path: np.ndarray, state: np.ndarray, starts: np.ndarray, prior: Priors) -> float:
    """Log density of a path given its states, with dynamics and noise integrated out."""
    k = path.shape[1]
    law = regress(path, state, starts, prior)
    n = law.df - k - prior.noise_df
    total = -0.5 * k * np.log(np.pi) * n.sum()
    total += 0.5 * k * (k + 1) * np.log(prior.dynamics_weight) * len(n)
    total -= 0.5 * k * np.linalg.slogdet(law.precision)[1].sum()
    df = k + prior.noise_df
    total += 0.5 * df * k * np.log(prior.noise_scale) * len(n)
    total -= 0.5 * (law.df * np.linalg.slogdet(law.scale)[1]).sum()
    total += sum(multigammaln(d / 2, k) - multigammaln(df / 2, k) for d in law.df)
    first = path[starts[:-1]] / prior.first_sd
    total -= 0.5 * np.square(first).sum() + first.size * np.log(prior.first_sd * np.sqrt(2 * np.pi))
    return float(total)
