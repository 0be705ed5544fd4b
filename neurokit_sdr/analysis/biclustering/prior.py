"""Draws of all parameters before anything is observed."""

from __future__ import annotations

import itertools

import numpy as np

from neurokit_sdr.analysis.biclustering.equations import Parameters, Priors
from neurokit_sdr.analysis.biclustering.states import Regression, draw_regression, flat_dirichlet


def draw_parameters(
    cluster: np.ndarray, starts: np.ndarray, prior: Priors, rng: np.random.Generator
) -> Parameters:
    """Draw everything but the clusters, of which there are as many as the largest label says.

    Parameters
    ----------
    cluster
        Shape (unit,), labels from 0 without gaps.
    starts
        First bin of each trial, and the number of bins last.
    prior
        What is believed.
    rng
        Of the draws.
    """
    n_units, n_clusters, p = len(cluster), int(cluster.max()) + 1, prior.n_factors
    offset = rng.normal(0.0, prior.offset_sd, n_units)
    loading = rng.normal(0.0, prior.loading_sd, (n_units, p))
    dispersion = rng.gamma(prior.dispersion_shape, 1 / prior.dispersion_rate, n_units)
    base = flat_dirichlet(np.full(prior.n_states, prior.gamma / prior.n_states), rng)
    weight = prior.alpha * base + prior.kappa * np.eye(prior.n_states)
    transition = flat_dirichlet(weight, rng)
    state = np.empty(starts[-1], dtype=np.int64)
    begins = np.isin(np.arange(starts[-1]), starts)
    for t in range(starts[-1]):
        law = base if begins[t] else transition[state[t - 1]]
        state[t] = rng.choice(prior.n_states, p=law)
    dynamics, noise = draw_regression(nothing_known(n_clusters * (1 + p), prior), rng)
    path = draw_future(dynamics, noise, state, starts, prior, rng)
    return Parameters(
        cluster, offset, loading, dispersion, path.reshape(len(path), n_clusters, 1 + p),
        state, base, transition, dynamics, noise,
    )  # fmt: skip


def nothing_known(k: int, prior: Priors) -> Regression:
    """Return the law of every state's dynamics before anything is observed."""
    n = prior.n_states
    return Regression(
        np.broadcast_to(np.eye(k, k + 1) * prior.dynamics_mean, (n, k, k + 1)),
        np.broadcast_to(np.eye(k + 1) * prior.dynamics_weight, (n, k + 1, k + 1)),
        np.broadcast_to(np.eye(k) * prior.noise_scale, (n, k, k)),
        np.full(n, k + prior.noise_df),
    )


def draw_future(
    dynamics: np.ndarray,
    noise: np.ndarray,
    state: np.ndarray,
    starts: np.ndarray,
    prior: Priors,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw trajectories of known dynamics and states, shape (time, k)."""
    root = np.linalg.cholesky(noise)
    path = rng.standard_normal((starts[-1], noise.shape[1]))
    for begin, end in itertools.pairwise(starts):
        path[begin] *= prior.first_sd
        for t in range(begin + 1, end):
            turn = dynamics[state[t]]
            path[t] = turn[:, :-1] @ path[t - 1] + turn[:, -1] + root[state[t]] @ path[t]
    return path
