"""Leave-one-out predictive densities from one posterior, by Pareto smoothed importance sampling.

Vehtari, Gelman and Gabry 2017 (arXiv:1507.04544); the smoothing is that of Vehtari, Simpson,
Gelman, Yao and Gabry 2024 (arXiv:1507.02646).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp


class LeaveOneOut(NamedTuple):
    """What is expected of each observation from all others."""

    density: np.ndarray
    """Log predictive density of each observation, (observation,)."""
    shape: np.ndarray
    """Pareto shape of its weights, (observation,); above 0.7 its density is not to be trusted."""


def leave_one_out(log_likelihood: np.ndarray, log_density: np.ndarray) -> LeaveOneOut:
    """Predict each observation from draws of the posterior of all, (draw, observation).

    ``log_likelihood`` is the observation's own share of the posterior, which the weights take
    away; ``log_density`` is what is averaged with them. They are the same thing, unless the
    posterior was sampled with another likelihood than the density that scores.
    """
    density = np.empty(log_likelihood.shape[1])
    shape = np.empty_like(density)
    for i, column in enumerate(log_likelihood.T):
        weight, shape[i] = smoothed_weights(-column)
        density[i] = logsumexp(log_density[:, i] + weight)
    return LeaveOneOut(density, shape)


def smoothed_weights(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Normalised log weights (draw,), the largest from a Pareto fit, and the shape of that."""
    n = len(log_ratio)
    weight = log_ratio - log_ratio.max()
    n_tail = int(np.ceil(min(0.2 * n, 3 * np.sqrt(n))))
    order = np.argsort(weight)
    tail = order[n - n_tail :]
    cutoff = weight[order[n - n_tail - 1]]
    k = np.inf
    if n_tail > 4 and np.ptp(weight[tail]) > np.finfo(float).eps:
        start = np.exp(cutoff)
        k, sigma = pareto_fit(np.exp(weight[tail]) - start)
        if np.isfinite(k):
            p = (np.arange(n_tail) + 0.5) / n_tail
            weight[tail] = np.log(start + _pareto_quantile(p, k, sigma))
            weight = np.minimum(weight, 0)
    return weight - logsumexp(weight), float(k)


def pareto_fit(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution, by Zhang and Stephens 2009.

    The shape is drawn towards 0.5 by a prior worth ten observations.
    """
    x = np.sort(excess)
    n = len(x)
    m = 30 + int(np.sqrt(n))
    quarter = x[int(n / 4 + 0.5) - 1]
    b = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quarter)
    shapes = np.log1p(-b[:, None] * x).mean(axis=1)
    score = n * (np.log(-b / shapes) - shapes - 1)
    weight = np.exp(score - logsumexp(score))
    chosen = float((b * weight).sum())
    shape = float(np.log1p(-chosen * x).mean())
    scale = -shape / chosen
    return (n * shape + 10 * 0.5) / (n + 10), scale


def _pareto_quantile(p: np.ndarray, shape: float, scale: float) -> np.ndarray:
    if abs(shape) < np.finfo(float).eps:
        return -scale * np.log1p(-p)
    return scale * np.expm1(-shape * np.log1p(-p)) / shape
