"""What the tests hold the package against: plain, slow, and written from the equations.

Nothing here is chunked, compiled, cached or shared with the package.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln

EPS = np.finfo(float).eps

#: Step of the complex-step derivative: far below rounding, because nothing is subtracted.
_IMAGINARY = 1e-30


class Data(NamedTuple):
    """Sequences one behind the other: counts, features, first bins, and which bins are observed."""

    counts: np.ndarray
    design: np.ndarray
    starts: np.ndarray
    observed: np.ndarray


class Enumerated(NamedTuple):
    """Sums over every path of one sequence."""

    log_likelihood: float
    state_probability: np.ndarray
    transition_count: np.ndarray
    best_path: np.ndarray
    best_log_joint: float


def enumerate_paths(
    log_initial: np.ndarray, log_transition: np.ndarray, log_likelihood: np.ndarray
) -> Enumerated:
    """Add up all S^T paths of one hidden Markov sequence."""
    n_bins, n_states = log_likelihood.shape
    paths = np.array(list(itertools.product(range(n_states), repeat=n_bins)))
    joint = np.array([log_joint(log_initial, log_transition, log_likelihood, z) for z in paths])
    peak = joint.max()
    weight = np.exp(joint - peak)
    log_sum = float(peak + np.log(weight.sum()))
    weight /= weight.sum()
    probability = np.zeros((n_bins, n_states))
    count = np.zeros((n_states, n_states))
    for path, w in zip(paths, weight, strict=True):
        for t, state in enumerate(path):
            probability[t, state] += w
            if t:
                count[path[t - 1], state] += w
    return Enumerated(log_sum, probability, count, paths[joint.argmax()], float(joint.max()))


def log_joint(
    log_initial: np.ndarray,
    log_transition: np.ndarray,
    log_likelihood: np.ndarray,
    path: np.ndarray,
) -> float:
    """Log probability of the data and one path."""
    total = log_initial[path[0]] + log_likelihood[0, path[0]]
    for t in range(1, len(path)):
        total += log_transition[path[t - 1], path[t]] + log_likelihood[t, path[t]]
    return float(total)


def log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    """As scipy's, for complex numbers too."""
    peak = values.real.max(axis=axis, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - peak).sum(axis=axis))
    return total + np.squeeze(peak, axis)


def sequence_log_likelihood(
    log_initial: np.ndarray, log_transition: np.ndarray, log_likelihood: np.ndarray
) -> Any:
    """The forward recursion of one sequence."""
    if len(log_initial) == 1:  # nothing to sum over
        return log_likelihood.sum()
    alpha = log_initial + log_likelihood[0]
    for row in log_likelihood[1:]:
        alpha = log_sum_exp(alpha[:, None] + log_transition, 0) + row
    return log_sum_exp(alpha, 0)


def smooth(
    log_initial: np.ndarray, log_transition: np.ndarray, log_likelihood: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log likelihood, state probabilities and expected transition counts of one sequence."""
    n_bins = len(log_likelihood)
    alpha = np.empty(log_likelihood.shape)
    beta = np.zeros(log_likelihood.shape)
    alpha[0] = log_initial + log_likelihood[0]
    for t in range(1, n_bins):
        alpha[t] = log_sum_exp(alpha[t - 1][:, None] + log_transition, 0) + log_likelihood[t]
    for t in range(n_bins - 2, -1, -1):
        beta[t] = log_sum_exp(log_transition + log_likelihood[t + 1] + beta[t + 1], 1)
    total = float(log_sum_exp(alpha[-1], 0))
    count = np.zeros(log_transition.shape)
    for t in range(n_bins - 1):
        onward = log_likelihood[t + 1] + beta[t + 1]
        count += np.exp(alpha[t][:, None] + log_transition + onward - total)
    return total, np.exp(alpha + beta - total), count


def history_features(
    counts: np.ndarray,
    starts: np.ndarray,
    observed: np.ndarray,
    time_constants: list[float],
    bin_size: float,
) -> np.ndarray:
    """Ones, then each source's counts weighted by each kernel: one spike at a time."""
    n_bins, n_units = counts.shape
    design = np.zeros((n_bins, 1 + n_units * len(time_constants)))
    design[:, 0] = 1.0
    for first, last in itertools.pairwise(starts):
        for h, tau in enumerate(time_constants):
            n_lags = int(np.ceil(round(5 * tau / bin_size, 6)))
            kernel = np.exp(-np.arange(1, n_lags + 1) * bin_size / tau)
            kernel /= kernel.sum()
            for t in range(first, last):
                for lag in range(1, min(n_lags, t - first) + 1):
                    if observed[t - lag]:
                        for m in range(n_units):
                            column = 1 + m * len(time_constants) + h
                            design[t, column] += kernel[lag - 1] * counts[t - lag, m]
    return design


def _decay(eta: Any) -> Any:
    """exp(-|eta|), for complex numbers near the real axis too."""
    return np.exp(np.where(np.real(eta) > 0, -eta, eta))


RATES: dict[str, Callable[[Any], Any]] = {
    "softplus": lambda eta: np.where(np.real(eta) > 0, eta, 0) + np.log1p(_decay(eta)),
    # The package's largest rate; a float has none much larger.
    "exp": lambda eta: np.exp(np.where(np.real(eta) > 690, 690, eta)),
    "sigmoid": lambda eta: np.where(np.real(eta) > 0, 1, _decay(eta)) / (1 + _decay(eta)),
}


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


def poisson_log_likelihood(
    counts: np.ndarray,
    design: np.ndarray,
    observed: np.ndarray,
    theta: np.ndarray,
    nonlinearity: str,
) -> np.ndarray:
    """Log likelihood of every bin in every state, 0 where missing."""
    out = np.zeros((len(counts), len(theta)), dtype=theta.dtype)
    for s, weights in enumerate(theta):
        expected = RATES[nonlinearity](design @ weights.T)
        with np.errstate(divide="ignore"):  # a rate of 0 where there is a spike: impossible
            log_rate = np.log(np.where(counts > 0, expected, 1))
        out[:, s] = (counts * log_rate - expected - gammaln(counts + 1)).sum(axis=1)
    return np.where(observed[:, None], out, 0.0)


def log_posterior(
    data: Any,
    prior: Any,
    nonlinearity: str,
    theta: np.ndarray,
    mean: np.ndarray,
    log_transition: np.ndarray,
    log_initial: np.ndarray,
) -> Any:
    """The objective of the HMM-GLM, with the states summed out; up to the prior's constants."""
    emission = poisson_log_likelihood(data.counts, data.design, data.observed, theta, nonlinearity)
    total = 0.0
    for first, last in itertools.pairwise(data.starts):
        total = total + sequence_log_likelihood(log_initial, log_transition, emission[first:last])
    for weights in theta:
        total -= (((weights[:, 0] - prior.bias_mean) / prior.bias_sd) ** 2).sum() / 2
        total -= (((weights[:, 1:] - mean) / prior.weight_sd) ** 2).sum() / 2
    if prior.pooled:
        total -= ((mean / prior.mean_sd) ** 2).sum() / 2
    pseudo_counts = np.full(log_transition.shape, prior.concentration - 1)
    pseudo_counts += prior.stickiness * np.eye(len(log_transition))
    total += (pseudo_counts * log_transition).sum()
    return total + (prior.concentration - 1) * log_initial.sum()


def gradient(function: Callable[[np.ndarray], Any], point: np.ndarray) -> np.ndarray:
    """Complex-step derivative: exact to rounding, for functions that take complex numbers."""
    out = np.empty(point.size)
    for i in range(point.size):
        moved = point.astype(complex)
        moved.flat[i] += 1j * _IMAGINARY
        out[i] = np.imag(function(moved)) / _IMAGINARY
    return out.reshape(point.shape)


def poisson_hmm(
    counts: np.ndarray, prior: Any, bias: np.ndarray, n_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """EM of a Poisson HMM with log rates ``bias(state, unit)`` for one sequence.

    Every M-step solves each bias's own equation, a scalar one, to the last digit.
    """
    n_states = len(bias)
    log_transition = np.full((n_states, n_states), -np.log(n_states))
    log_initial = np.full(n_states, -np.log(n_states))
    design, observed = np.ones((len(counts), 1)), np.ones(len(counts), dtype=bool)
    for _ in range(n_iterations):
        emission = poisson_log_likelihood(counts, design, observed, bias[:, :, None], "exp")
        _, probability, transition = smooth(log_initial, log_transition, emission)
        transition += prior.concentration - 1 + prior.stickiness * np.eye(n_states)
        log_transition = np.log(transition / transition.sum(axis=1, keepdims=True))
        initial = probability[0] + prior.concentration - 1
        log_initial = np.log(initial / initial.sum())
        spikes, mass = probability.T @ counts, probability.sum(axis=0)
        for s, n in np.ndindex(bias.shape):
            bias[s, n] = brentq(
                lambda b, x=spikes[s, n], w=mass[s], b0=prior.bias_mean[n]: (
                    x - w * np.exp(b) - (b - b0) / prior.bias_sd**2
                ),
                -50,
                10,
                xtol=1e-14,
                rtol=4 * EPS,
            )
    return bias, log_transition, log_initial


def bin_by_comparison(
    spike_time: np.ndarray,
    spike_unit: np.ndarray,
    n_units: int,
    edges: np.ndarray,
    stop: float,
) -> np.ndarray:
    """Counts in ``[edge, next edge)``, one comparison of each spike with each edge at a time.

    A spike at ``stop``, the recording's end, belongs to the last bin if that one ends there.
    """
    counts = np.zeros((len(edges) - 1, n_units), dtype=int)
    width = edges[1] - edges[0]
    for time, unit in zip(spike_time, spike_unit, strict=True):
        for k, (left, right) in enumerate(itertools.pairwise(edges)):
            at_the_end = k == len(edges) - 2 and right >= stop - 1e-6 * width
            counts[k, unit] += left <= time and (time < right or (at_the_end and time <= stop))
    return counts
