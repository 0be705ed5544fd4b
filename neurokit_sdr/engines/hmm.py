r"""Hidden Markov messages from log likelihoods, for any emission.

Functions take log likelihoods ``(time, state)``, not models. Several independent sequences lie
behind one another; ``starts`` holds where each begins, and the total length last. A missing bin
has log likelihood 0 in every state.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from neurokit_sdr.core.threads import Map

#: A scaled message that loses more than this at once may have lost a state that matters.
SMALLEST_MASS = 1e-250


class Posterior(NamedTuple):
    r"""What the forward-backward recursion returns.

    Attributes
    ----------
    log_likelihood
        :math:`\log p(x_{1:T})` of each sequence, shape (sequence,).
    state_probability
        :math:`p(z_t = s \mid x_{1:T})`, shape (time, state).
    transition_count
        :math:`\sum_t p(z_t = i, z_{t+1} = j \mid x_{1:T})`, shape (state, state).
    """

    log_likelihood: np.ndarray
    state_probability: np.ndarray
    transition_count: np.ndarray


def forward_backward(
    log_initial: np.ndarray,
    log_transition: np.ndarray,
    log_likelihood: np.ndarray,
    starts: np.ndarray,
    run: Map = lambda function, items: list(map(function, items)),
) -> Posterior:
    """Smooth the states of every sequence.

    Messages are scaled probabilities, relative to the likeliest state of each bin. Where one of
    them would leave the range of floats, the sequence is done again with logarithms.

    Parameters
    ----------
    log_initial
        Shape (state,).
    log_transition
        Shape (state, next_state).
    log_likelihood
        Of each bin in each state, shape (time, state).
    starts
        First bin of each sequence, and the number of bins last, shape (sequence + 1,).
    run
        Maps over sequences; the default does one after the other.

    Returns
    -------
    Posterior
    """
    n_bins, n_states = log_likelihood.shape
    probability = np.empty((n_bins, n_states))
    transition = np.exp(log_transition)
    initial = np.exp(log_initial)

    def smooth(sequence: int) -> tuple[float, np.ndarray]:
        rows = slice(starts[sequence], starts[sequence + 1])
        count = np.zeros((n_states, n_states))
        highest = log_likelihood[rows].max(axis=1, keepdims=True, initial=-np.inf)
        total = -np.inf
        if np.isfinite(highest).all():
            relative = np.exp(log_likelihood[rows] - highest)
            total = _smooth_scaled(initial, transition, relative, probability[rows], count)
            total += highest.sum()
        if not np.isfinite(total):
            count[:] = 0.0
            total = _smooth_log(
                log_initial, log_transition, log_likelihood[rows], probability[rows], count
            )
        return total, count

    total, counts = zip(*run(smooth, range(len(starts) - 1)), strict=True)
    return Posterior(np.array(total), probability, np.sum(counts, axis=0))


def most_likely_path(
    log_initial: np.ndarray,
    log_transition: np.ndarray,
    log_likelihood: np.ndarray,
    starts: np.ndarray,
) -> np.ndarray:
    """Return the jointly most likely states of every sequence (Viterbi), shape (time,)."""
    path = np.empty(len(log_likelihood), dtype=np.int64)
    _viterbi(log_initial, log_transition, log_likelihood, starts, path)
    return path


@numba.njit(cache=True, nogil=True)
def _smooth_scaled(initial, transition, likelihood, probability, count):
    """Fill ``probability``, add to ``count``, return the log likelihood; NaN on underflow."""
    n_bins, n_states = likelihood.shape
    scale = np.empty(n_bins)
    total = 0.0
    for t in range(n_bins):
        mass = 0.0
        for j in range(n_states):
            ahead = 0.0
            if t == 0:
                ahead = initial[j]
            else:
                for i in range(n_states):
                    ahead += probability[t - 1, i] * transition[i, j]
            probability[t, j] = ahead * likelihood[t, j]
            mass += probability[t, j]
        if not mass > SMALLEST_MASS:
            return np.nan
        for j in range(n_states):
            probability[t, j] /= mass
        scale[t] = mass
        total += np.log(mass)
    backward = np.ones(n_states)
    onward = np.empty(n_states)
    for t in range(n_bins - 2, -1, -1):
        for j in range(n_states):
            onward[j] = backward[j] * likelihood[t + 1, j] / scale[t + 1]
        mass = 0.0
        for i in range(n_states):
            backward[i] = 0.0
            for j in range(n_states):
                joint = transition[i, j] * onward[j]
                backward[i] += joint
                count[i, j] += probability[t, i] * joint
            mass += probability[t, i] * backward[i]
        if not np.isfinite(mass):
            return np.nan
        for i in range(n_states):
            probability[t, i] *= backward[i] / mass
    return total


@numba.njit(cache=True, nogil=True)
def _smooth_log(log_initial, log_transition, log_likelihood, forward, count):
    """The same with logarithms: slower, and right at any size."""
    n_bins, n_states = log_likelihood.shape
    backward = np.zeros(n_states)
    incoming = np.empty(n_states)
    joint = np.empty((n_states, n_states))
    total = 0.0
    for t in range(n_bins):
        for j in range(n_states):
            if t == 0:
                message = log_initial[j]
            else:
                for i in range(n_states):
                    incoming[i] = forward[t - 1, i] + log_transition[i, j]
                message = _log_sum_exp(incoming)
            forward[t, j] = message + log_likelihood[t, j]
        evidence = _log_sum_exp(forward[t])
        if evidence == -np.inf:
            forward[:] = 1.0 / n_states
            return -np.inf
        total += evidence
        for j in range(n_states):
            forward[t, j] -= evidence
    for t in range(n_bins - 1, -1, -1):
        if t < n_bins - 1:
            for j in range(n_states):
                incoming[j] = backward[j] + log_likelihood[t + 1, j]
            for i in range(n_states):
                for j in range(n_states):
                    joint[i, j] = log_transition[i, j] + incoming[j]
                backward[i] = _log_sum_exp(joint[i])
                for j in range(n_states):
                    joint[i, j] += forward[t, i]
            evidence = _log_sum_exp(joint.ravel())
            for i in range(n_states):
                for j in range(n_states):
                    count[i, j] += np.exp(joint[i, j] - evidence)
            backward -= backward.max()
        for j in range(n_states):
            incoming[j] = forward[t, j] + backward[j]
        evidence = _log_sum_exp(incoming)
        for j in range(n_states):
            forward[t, j] = np.exp(incoming[j] - evidence)
    return total


@numba.njit(cache=True, nogil=True)
def _log_sum_exp(values):
    peak = values.max()
    if peak == -np.inf:
        return peak
    mass = 0.0
    for value in values:
        mass += np.exp(value - peak)
    return peak + np.log(mass)


@numba.njit(cache=True, nogil=True)
def _viterbi(log_initial, log_transition, log_likelihood, starts, path):
    n_states = log_initial.size
    best = np.empty(n_states)
    new = np.empty(n_states)
    for q in range(starts.size - 1):
        first, last = starts[q], starts[q + 1]
        if first == last:
            continue
        origin = np.empty((last - first, n_states), dtype=np.int16)
        for j in range(n_states):
            best[j] = log_initial[j] + log_likelihood[first, j]
        for t in range(first + 1, last):
            for j in range(n_states):
                arg = 0
                value = best[0] + log_transition[0, j]
                for i in range(1, n_states):
                    candidate = best[i] + log_transition[i, j]
                    if candidate > value:
                        value = candidate
                        arg = i
                new[j] = value + log_likelihood[t, j]
                origin[t - first, j] = arg
            best[:] = new
        path[last - 1] = np.argmax(best)
        for t in range(last - 1, first, -1):
            path[t - 1] = origin[t - first, path[t]]
