"""A small case of the bi-clustering model for tests of its kernels."""

from __future__ import annotations

import numpy as np

from neurokit_sdr.analysis.biclustering.equations import (
    Counts,
    Parameters,
    Priors,
    follows,
    log_rate,
    simulate,
)
from neurokit_sdr.analysis.biclustering.prior import draw_parameters

#: Tamer than the paper's, so that all moments that are compared exist.
PRIOR = Priors(
    n_factors=1,
    n_states=3,
    offset_sd=0.5,
    loading_sd=0.7,
    first_sd=0.7,
    dispersion_shape=4.0,
    dispersion_rate=1.5,
    noise_df=8.0,
    noise_scale=0.5,
    dynamics_mean=0.6,
    dynamics_weight=8.0,
    alpha=2.0,
    gamma=3.0,
    kappa=1.5,
)

STARTS = np.array([0, 5, 8])

CLUSTER = np.array([0, 0, 1])


def draw_prior(rng: np.random.Generator) -> Parameters:
    return draw_parameters(CLUSTER, STARTS, PRIOR, rng)


def draw_data(at: Parameters, rng: np.random.Generator) -> Counts:
    observed = np.ones((STARTS[-1], len(at.cluster)), dtype=bool)
    observed[2:4, 0] = False
    return Counts(simulate(at, rng), observed, STARTS)


def measures(at: Parameters, data: Counts) -> dict[str, float]:
    """Numbers that move when any kernel is wrong; none depends on labels."""
    path = at.latent.reshape(len(at.latent), -1)
    later = follows(data.starts)
    before = np.column_stack([path[later - 1], np.ones(len(later))])
    error = path[later] - np.einsum("tij,tj->ti", at.dynamics[at.state[later]], before)
    inverse = np.linalg.inv(at.noise)
    energy = np.einsum("ti,tij,tj->t", error, inverse[at.state[later]], error)
    seen = np.log1p(data.spikes[data.observed])
    eta = log_rate(at)[data.observed]
    same = at.state[later] == at.state[later - 1]
    return {
        "offset squared": np.square(at.offset).mean(),
        "loading squared": np.square(at.loading).mean(),
        "log dispersion": np.log(at.dispersion).mean(),
        "log dispersion squared": np.square(np.log(at.dispersion)).mean(),
        "mean trajectory squared": np.square(at.latent[:, :, 0]).mean(),
        "factor squared": np.square(at.latent[:, :, 1:]).mean(),
        "lagged": (path[later] * path[later - 1]).mean(),
        "step energy": energy.mean(),
        "log noise": np.linalg.slogdet(at.noise)[1].mean(),
        "persistence": np.trace(at.dynamics[:, :, :-1], axis1=1, axis2=2).mean(),
        "drift squared": np.square(at.dynamics[:, :, -1]).mean(),
        "persistence where used": at.dynamics[at.state[later]][:, 0, 0].mean(),
        "stays": same.mean(),
        "staying": np.diag(at.transition).mean(),
        "taken": np.log(at.transition[at.state[later - 1], at.state[later]]).mean(),
        "base squared": np.square(at.base).sum(),
        "base of states": at.base[at.state].mean(),
        "counts": seen.mean(),
        "counts squared": np.square(seen).mean(),
        "counts of rates": (seen * eta).mean(),
        "spread of counts": (np.log(at.dispersion)[None] * (data.spikes > 2)).mean(),
    }
