r"""Hidden Markov messages in log space, for any emission.

Functions take log likelihoods ``(time, state)``, not models. Several independent sequences lie
behind one another; ``starts`` holds where each begins, and the total length last. A missing bin
has log likelihood 0 in every state.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np


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
) -> Posterior:
    """Smooth the states of every sequence.

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

    Returns
    -------
    Posterior
    """
    n_bins, n_states = log_likelihood.shape
    probability = np.empty((n_bins, n_states))
    count = np.zeros((n_states, n_states))
    total = np.empty(len(starts) - 1)
    _forward_backward(
        log_initial, log_transition, log_likelihood, starts, total, probability, count
    )
    return Posterior(total, probability, count)


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
def _forward_backward(log_initial, log_transition, log_likelihood, starts, total, forward, count):
    """Turn ``forward`` from filtered log messages into smoothed probabilities in place."""
    n_states = log_initial.size
    backward = np.empty(n_states)
    incoming = np.empty(n_states)
    joint = np.empty((n_states, n_states))
    for q in range(starts.size - 1):
        first, last = starts[q], starts[q + 1]
        total[q] = 0.0
        for t in range(first, last):
            highest = -np.inf
            for j in range(n_states):
                if t == first:
                    message = log_initial[j]
                else:
                    peak = -np.inf
                    for i in range(n_states):
                        incoming[i] = forward[t - 1, i] + log_transition[i, j]
                        peak = max(peak, incoming[i])
                    message = -np.inf
                    if peak > -np.inf:
                        mass = 0.0
                        for i in range(n_states):
                            mass += np.exp(incoming[i] - peak)
                        message = peak + np.log(mass)
                forward[t, j] = message + log_likelihood[t, j]
                highest = max(highest, forward[t, j])
            if highest == -np.inf:
                total[q] = -np.inf
                forward[first:last] = 1.0 / n_states
                break
            mass = 0.0
            for j in range(n_states):
                mass += np.exp(forward[t, j] - highest)
            evidence = highest + np.log(mass)
            total[q] += evidence
            for j in range(n_states):
                forward[t, j] -= evidence
        if total[q] == -np.inf:
            continue
        for j in range(n_states):
            backward[j] = 0.0
        for t in range(last - 1, first - 1, -1):
            if t < last - 1:
                for j in range(n_states):
                    incoming[j] = backward[j] + log_likelihood[t + 1, j]
                peak = -np.inf
                for i in range(n_states):
                    for j in range(n_states):
                        joint[i, j] = forward[t, i] + log_transition[i, j] + incoming[j]
                        peak = max(peak, joint[i, j])
                mass = 0.0
                for i in range(n_states):
                    for j in range(n_states):
                        joint[i, j] = np.exp(joint[i, j] - peak)
                        mass += joint[i, j]
                top = -np.inf
                for i in range(n_states):
                    highest = -np.inf
                    for j in range(n_states):
                        count[i, j] += joint[i, j] / mass
                        highest = max(highest, log_transition[i, j] + incoming[j])
                    backward[i] = -np.inf
                    if highest > -np.inf:
                        onward = 0.0
                        for j in range(n_states):
                            onward += np.exp(log_transition[i, j] + incoming[j] - highest)
                        backward[i] = highest + np.log(onward)
                    top = max(top, backward[i])
                for i in range(n_states):
                    backward[i] -= top
            peak = -np.inf
            for j in range(n_states):
                incoming[j] = forward[t, j] + backward[j]
                peak = max(peak, incoming[j])
            mass = 0.0
            for j in range(n_states):
                incoming[j] = np.exp(incoming[j] - peak)
                mass += incoming[j]
            for j in range(n_states):
                forward[t, j] = incoming[j] / mass


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
