r"""The HMM-GLM on arrays: likelihood, derivatives, states.

For bin :math:`t`, target :math:`n` and state :math:`s`

.. math:: x_{tn} \mid z_t = s \sim \mathrm{Poisson}\big(f(\theta_{sn} \cdot h_t)\big), \qquad
          h_t = (1, \phi_1 * x_1, \ldots)

with history :math:`h_t` (D features, the first constant). The objective is the log posterior
:math:`\log p(x \mid \theta, P, \pi) + \log p(\theta, \mu, P, \pi)`, with a prior of
:mod:`~neurokit_sdr.analysis.hmm_glm.prior`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurokit_sdr.analysis.hmm_glm.data import Data
from neurokit_sdr.analysis.hmm_glm.prior import ChainPrior, Prior
from neurokit_sdr.core.threads import Map
from neurokit_sdr.engines import hmm
from neurokit_sdr.engines.poisson.rates import (
    derivatives,
    poisson_log_likelihood,
    products,
    rates,
)

#: Elements of one chunk of drives: small enough for the cache, large enough for BLAS.
CHUNK = 1 << 17

#: State probabilities below this change no sum by more than rounding does.
NEGLIGIBLE = 1e-12


class Parameters(NamedTuple):
    """What EM moves.

    Attributes
    ----------
    theta
        Bias and weights, shape (state, target, feature).
    mean
        Mean of the pooled weights, shape (target, feature - 1); zeros without pooling.
    log_transition
        Shape (state, next_state).
    log_initial
        Shape (state,).
    """

    theta: np.ndarray
    mean: np.ndarray
    log_transition: np.ndarray
    log_initial: np.ndarray


def emission_log_likelihood(
    data: Data, theta: np.ndarray, nonlinearity: str, run: Map
) -> np.ndarray:
    r"""Return :math:`\log p(x_t \mid z_t = s, h_t)`, shape (time, state); 0 in missing bins."""
    n_states, n_units, n_features = theta.shape
    flat = np.ascontiguousarray(theta.reshape(n_states * n_units, n_features).T)
    out = np.zeros((len(data.counts), n_states))

    def fill(rows: slice) -> None:
        rate = rates(data.design[rows] @ flat, nonlinearity)
        out[data.active[rows]] = poisson_log_likelihood(rate, data.active_spikes[rows], n_states)

    run(fill, chunks(len(data.active), n_states * n_units))
    baseline = rates(theta[:, :, 0].copy(), nonlinearity)
    out[data.silent] = data.silent_spikes @ np.log(baseline).T - baseline.sum(axis=1)
    out -= data.log_factorial[:, None]
    out[~data.observed] = 0.0
    return out


def chunks(n_rows: int, width: int) -> list[slice]:
    """Slices over rows of :data:`CHUNK` elements each; they do not depend on the machine."""
    step = max(64, CHUNK // max(width, 1))
    return [slice(a, min(a + step, n_rows)) for a in range(0, n_rows, step)]


def log_prior(parameters: Parameters, prior: Prior, chain: ChainPrior) -> float:
    """Log density of the parameters, without constants."""
    density = prior.log_density(parameters.theta, parameters.mean)
    density += (chain.concentration - 1.0) * parameters.log_transition.sum()
    density += chain.stickiness * np.trace(parameters.log_transition)
    density += (chain.concentration - 1.0) * parameters.log_initial.sum()
    return float(density)


def update_chain(
    posterior: hmm.Posterior, starts: np.ndarray, prior: ChainPrior
) -> tuple[np.ndarray, np.ndarray]:
    """Return log transition and log initial probabilities that maximise the expected posterior."""
    n_states = posterior.state_probability.shape[1]
    transition = posterior.transition_count + (prior.concentration - 1.0)
    transition = transition + prior.stickiness * np.eye(n_states)
    initial = posterior.state_probability[starts[:-1]].sum(axis=0) + (prior.concentration - 1.0)
    return (
        np.log(transition / transition.sum(axis=1, keepdims=True)),
        np.log(initial / initial.sum()),
    )


def expected_gradient(
    data: Data, theta: np.ndarray, probability: np.ndarray, nonlinearity: str, run: Map
) -> np.ndarray:
    """Gradient of the expected log likelihood, shape (state, target, feature)."""
    gradient = np.zeros(theta.shape)
    for s, weights in enumerate(theta):
        p = probability[data.active, s]
        rows = np.flatnonzero(p > NEGLIGIBLE)

        def part(
            cut: slice,
            rows: np.ndarray = rows,
            p: np.ndarray = p,
            weights: np.ndarray = weights,
        ) -> np.ndarray:
            chosen = rows[cut]
            x = data.design[chosen]
            slope, _ = derivatives(x @ weights.T, data.active_counts[chosen], nonlinearity)
            slope *= p[chosen, None]
            return slope.T @ x

        for g in run(part, chunks(len(rows), theta.shape[1])):
            gradient[s] += g
    mass, mean = _silent_means(data, probability)
    slope, _ = derivatives(theta[:, :, 0].copy(), mean, nonlinearity)
    gradient[:, :, 0] += mass[:, None] * slope
    return gradient


def fisher_information(
    data: Data, theta: np.ndarray, probability: np.ndarray, nonlinearity: str, run: Map
) -> np.ndarray:
    """Expected Fisher information, shape (state, target, feature, feature).

    Of long recordings an even subset of the bins is used (:func:`curvature_rows`): it only shapes
    the step, whose gradient stays exact.
    """
    n_states, n_units, n_features = theta.shape
    above, left = np.triu_indices(n_features)
    information = np.empty((n_states, n_units, n_features, n_features))
    for s, weights in enumerate(theta):
        p = probability[data.active, s]
        rows = np.flatnonzero(p > NEGLIGIBLE)
        sample = rows[:: max(1, len(rows) // curvature_rows(n_features))]

        def part(
            cut: slice,
            rows: np.ndarray = sample,
            p: np.ndarray = p,
            weights: np.ndarray = weights,
        ) -> np.ndarray:
            chosen = rows[cut]
            x = data.design[chosen]
            _, weight = derivatives(x @ weights.T, data.active_counts[chosen], nonlinearity)
            weight *= p[chosen, None]
            return weight.T @ products(x)

        packed = np.zeros((n_units, len(above)))
        for i in run(part, chunks(len(sample), len(above))):
            packed += i
        mass = p[sample].sum()
        packed *= p[rows].sum() / mass if mass > 0 else 1.0
        information[s][:, above, left] = packed
        information[s][:, left, above] = packed
    mass, mean = _silent_means(data, probability)
    _, weight = derivatives(theta[:, :, 0].copy(), mean, nonlinearity)
    information[:, :, 0, 0] += mass[:, None] * weight
    return information


def _silent_means(data: Data, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total probability (state,) and mean count (state, target) of the bins without history."""
    p = probability[data.silent]
    mass = p.sum(axis=0)
    return mass, (data.silent_spikes.T @ p).T / np.maximum(mass, NEGLIGIBLE)[:, None]


def curvature_rows(n_features: int) -> int:
    """Bins of each state that the curvature is taken from."""
    return max(4_000, 20 * n_features)


class Decoded(NamedTuple):
    """States of every bin.

    Attributes
    ----------
    state
        The jointly most likely path of each sequence, shape (time,).
    state_probability
        Given the whole sequence, shape (time, state).
    """

    state: np.ndarray
    state_probability: np.ndarray


def decode(starts: np.ndarray, parameters: Parameters, emission: np.ndarray) -> Decoded:
    """States from the log likelihood of every bin."""
    chain = (parameters.log_initial, parameters.log_transition, emission, starts)
    return Decoded(hmm.most_likely_path(*chain), hmm.forward_backward(*chain).state_probability)
