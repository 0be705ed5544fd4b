r"""The model of bi-clustering, as arrays: what is observed, drawn, and believed beforehand.

Neuron :math:`i` belongs to one cluster :math:`z_i`; bin :math:`t` to one state :math:`s_t`:

.. math::

    y_{ti} &\sim \mathrm{NB}(\text{mean } \lambda_{ti}, \text{dispersion } r_i), \qquad
    \operatorname{var} = \lambda + \lambda^2 / r \\
    \log \lambda_{ti} &= \delta_i + \mu_t^{(z_i)} + c_i^\top x_t^{(z_i)} \\
    X_t &= A_{s_t} X_{t-1} + b_{s_t} + e_t, \quad e_t \sim \mathrm N(0, Q_{s_t}), \qquad
    X_t = (\mu_t^{(j)}, x_t^{(j)})_j

with all clusters in one :math:`X_t` of :math:`k = K (1 + p)` numbers, so that clusters drive one
another. The first bin of a trial has :math:`X` normal, of standard deviation ``first_sd``, and
draws its state from :math:`\beta`.

.. math::

    \beta &\sim \mathrm{Dir}(\gamma / S, \ldots), \quad
    \pi_s \sim \mathrm{Dir}(\alpha \beta + \kappa e_s), \quad s_t \sim \pi_{s_{t-1}} \\
    Q_s &\sim \mathrm{IW}(k + d, q I), \quad
    [A_s\, b_s] \mid Q_s \sim \mathrm{MN}([a I\; 0], Q_s, I / m)

and :math:`\delta_i, c_i` normal, :math:`r_i` gamma.

References
----------
Wei (2024), Bayesian bi-clustering of neural spiking activity with latent structures. ICLR.
arXiv:2309.02213.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln


class Counts(NamedTuple):
    """What is observed: trials one behind the other.

    Attributes
    ----------
    spikes
        Shape (time, unit), float64 whole numbers; anything where not observed.
    observed
        Shape (time, unit).
    starts
        First bin of each trial, and the number of bins last.
    """

    spikes: np.ndarray
    observed: np.ndarray
    starts: np.ndarray


class Priors(NamedTuple):
    """What is believed beforehand; the paper's values are the defaults.

    Attributes
    ----------
    n_factors
        :math:`p`, columns of a loading.
    n_states
        :math:`S`, the largest number of states (weak limit).
    offset_sd, loading_sd, first_sd
        Standard deviations of :math:`\\delta_i`, of each :math:`c_{ij}` and of the first bin.
    dispersion_shape, dispersion_rate
        Of the gamma law of :math:`r_i`.
    noise_df, noise_scale
        :math:`d` and :math:`q`: the law of :math:`Q_s` has k + d degrees of freedom.
    dynamics_mean, dynamics_weight
        :math:`a`, and :math:`m`: as many bins as the prior of :math:`[A_s\\, b_s]` counts for.
    alpha, gamma, kappa
        Of the sticky hierarchical Dirichlet process.
    concentration, success
        :math:`g` and :math:`\\rho` of the mixture of finite mixtures of neurons.
    """

    n_factors: int = 2
    n_states: int = 10
    offset_sd: float = 1.0
    loading_sd: float = 1.0
    first_sd: float = 1.0
    dispersion_shape: float = 1.0
    dispersion_rate: float = 1.0
    noise_df: float = 2.0
    noise_scale: float = 0.01
    dynamics_mean: float = 1.0
    dynamics_weight: float = 1.0
    alpha: float = 5.0
    gamma: float = 5.0
    kappa: float = 10.0
    concentration: float = 1.0
    success: float = 0.2


class Parameters(NamedTuple):
    """The state of a chain.

    Attributes
    ----------
    cluster
        :math:`z_i`, shape (unit,), from 0.
    offset, loading, dispersion
        :math:`\\delta_i` (unit,), :math:`c_i` (unit, factor), :math:`r_i` (unit,).
    latent
        :math:`(\\mu_t, x_t)` of each cluster, shape (time, cluster, 1 + factor).
    state
        :math:`s_t`, shape (time,), from 0.
    base, transition
        :math:`\\beta` (state,) and :math:`\\pi` (state, next_state).
    dynamics, noise
        :math:`[A_s\\, b_s]` (state, k, k + 1) and :math:`Q_s` (state, k, k).
    """

    cluster: np.ndarray
    offset: np.ndarray
    loading: np.ndarray
    dispersion: np.ndarray
    latent: np.ndarray
    state: np.ndarray
    base: np.ndarray
    transition: np.ndarray
    dynamics: np.ndarray
    noise: np.ndarray


def log_rate(at: Parameters) -> np.ndarray:
    """Return :math:`\\log \\lambda`, shape (time, unit)."""
    found = np.empty((len(at.latent), len(at.cluster)))
    for j in range(at.latent.shape[1]):
        units = np.flatnonzero(at.cluster == j)
        through = at.latent[:, j, 1:] @ at.loading[units].T
        found[:, units] = at.offset[units] + at.latent[:, j, :1] + through
    return found


def log_likelihood(data: Counts, at: Parameters) -> np.ndarray:
    """Log probability of each unit's observed counts, shape (unit,)."""
    eta, r, y = log_rate(at), at.dispersion, data.spikes
    each = gammaln(y + r) - gammaln(r) - gammaln(y + 1)
    # log(r + lambda), without leaving the range of floats.
    each += r * np.log(r) + y * eta - (y + r) * np.logaddexp(np.log(r), eta)
    return np.where(data.observed, each, 0.0).sum(axis=0)


def simulate(at: Parameters, rng: np.random.Generator) -> np.ndarray:
    """Draw counts of every bin, shape (time, unit)."""
    rate = np.exp(log_rate(at)) * rng.gamma(at.dispersion, size=log_rate(at).shape) / at.dispersion
    return rng.poisson(rate).astype(float)


def follows(starts: np.ndarray) -> np.ndarray:
    """Bins that have one before them in their trial."""
    return np.setdiff1d(np.arange(starts[-1]), starts[:-1])
