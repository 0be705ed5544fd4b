"""Hidden Markov messages: equal to the sum over all paths, and stable where sums underflow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from oracles import EPS, enumerate_paths, log_joint, smooth
from scipy.special import logsumexp

from neurokit_sdr.engines import hmm

#: T=4, S=3: what the sum over all paths must be met to.
EXACT = 1e-10


def chain(rng, n_states):
    """Log initial and transition probabilities."""
    return (
        np.log(rng.dirichlet(np.ones(n_states))),
        np.log(rng.dirichlet(np.ones(n_states), n_states)),
    )


def compare_with_all_paths(log_initial, log_transition, log_likelihood, starts, tolerance):
    """Hold messages and the best path against enumeration, sequence by sequence."""
    found = hmm.forward_backward(log_initial, log_transition, log_likelihood, starts)
    path = hmm.most_likely_path(log_initial, log_transition, log_likelihood, starts)
    count = np.zeros(log_transition.shape)
    for q, (first, last) in enumerate(pairwise(starts)):
        rows = log_likelihood[first:last]
        truth = enumerate_paths(log_initial, log_transition, rows)
        assert found.log_likelihood[q] == pytest.approx(
            truth.log_likelihood, abs=tolerance, rel=tolerance
        )
        np.testing.assert_allclose(
            found.state_probability[first:last], truth.state_probability, atol=tolerance
        )
        count += truth.transition_count
        mine = log_joint(log_initial, log_transition, rows, path[first:last])
        assert mine == pytest.approx(truth.best_log_joint, abs=tolerance, rel=tolerance)
        gap = truth.best_log_joint - mine
        assert gap > 0 or np.array_equal(path[first:last], truth.best_path)
    np.testing.assert_allclose(found.transition_count, count, atol=len(starts) * tolerance)
    np.testing.assert_allclose(found.state_probability.sum(axis=1), 1, atol=tolerance)


@pytest.mark.parametrize("number", range(20))
def test_messages_equal_the_sum_over_all_paths(number, seed):
    rng = np.random.default_rng([seed, number])
    compare_with_all_paths(*chain(rng, 3), 3 * rng.standard_normal((4, 3)), np.array([0, 4]), EXACT)


@pytest.mark.parametrize("n_states", [1, 2, 3, 5])
def test_several_sequences_are_independent(n_states, seed):
    rng = np.random.default_rng([seed, n_states])
    starts = np.array([0, 4, 5, 8, 12])
    log_likelihood = 3 * rng.standard_normal((12, n_states))
    compare_with_all_paths(*chain(rng, n_states), log_likelihood, starts, EXACT)


def test_missing_bins_say_nothing(seed):
    rng = np.random.default_rng(seed)
    log_initial, log_transition = chain(rng, 3)
    log_likelihood = rng.standard_normal((4, 3))
    for missing in ([1], [0, 3], [0, 1, 2, 3]):
        rows = log_likelihood.copy()
        rows[missing] = 0.0
        compare_with_all_paths(log_initial, log_transition, rows, np.array([0, 4]), EXACT)
    found = hmm.forward_backward(log_initial, log_transition, np.zeros((4, 3)), np.array([0, 4]))
    assert found.log_likelihood[0] == pytest.approx(0, abs=EXACT)
    forward = np.exp(log_initial) @ np.linalg.matrix_power(np.exp(log_transition), 3)
    np.testing.assert_allclose(found.state_probability[3], forward, atol=EXACT)


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
@pytest.mark.parametrize(
    ("initial", "transition"),
    [
        ([1, 0, 0], [[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1]]),  # left to right
        ([0.2, 0.3, 0.5], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),  # a cycle
        ([0, 1, 0], np.eye(3)),  # never leaves
        ([0.5, 0.5, 0], [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]),  # a state never reached
    ],
)
def test_impossible_transitions_never_happen(initial, transition, seed):
    rng = np.random.default_rng(seed)
    log_initial, log_transition = np.log(initial), np.log(transition)
    log_likelihood = 3 * rng.standard_normal((7, 3))
    compare_with_all_paths(log_initial, log_transition, log_likelihood, np.array([0, 4, 7]), EXACT)
    found = hmm.forward_backward(log_initial, log_transition, log_likelihood, np.array([0, 4, 7]))
    assert not found.transition_count[np.asarray(transition) == 0].any()


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
def test_impossible_data_have_no_likelihood_and_make_no_nan():
    log_initial, log_transition = np.log([1.0, 0.0]), np.log(np.eye(2))
    log_likelihood = np.array([[0.0, 0.0], [-np.inf, 0.0], [0.0, 0.0], [-1.0, -1.0]])
    found = hmm.forward_backward(log_initial, log_transition, log_likelihood, np.array([0, 3, 4]))
    assert found.log_likelihood.tolist() == [-np.inf, -1.0]
    assert np.isfinite(found.state_probability).all()
    assert not found.transition_count.any()


@pytest.mark.parametrize("level", [-1e5, 1e5])
def test_likelihoods_far_below_and_above_one(level, seed):
    # -1e5 per bin is what many active neurons give; exp of it is 0 in floating point.
    rng = np.random.default_rng(seed)
    log_likelihood = level + 3 * rng.standard_normal((4, 3))
    # Four numbers of this size are added, each rounded: their differences carry that rounding.
    tolerance = max(EXACT, 4 * EPS * abs(level))
    compare_with_all_paths(*chain(rng, 3), log_likelihood, np.array([0, 4]), tolerance)


def test_likelihoods_near_the_smallest_float_stay_finite(seed):
    log_likelihood = np.full((4, 3), -1e300)
    found = hmm.forward_backward(
        *chain(np.random.default_rng(seed), 3), log_likelihood, np.array([0, 4])
    )
    assert found.log_likelihood[0] == pytest.approx(-4e300)
    assert np.isfinite(found.state_probability).all()


def test_states_whose_likelihoods_differ_by_more_than_exp_can_hold(seed):
    rng = np.random.default_rng(seed)
    log_likelihood = rng.uniform(-2000, 0, (4, 3))
    tolerance = max(EXACT, 4 * EPS * 2000)
    compare_with_all_paths(*chain(rng, 3), log_likelihood, np.array([0, 4]), tolerance)


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
def test_a_state_that_seemed_lost_comes_back():
    # With no way to change state, what counts is the sum over time: state 1 falls behind by more
    # than a float can tell, in steps that each look harmless, and then wins.
    log_likelihood = np.zeros((6, 2))
    log_likelihood[:2, 1] = -500.0
    log_likelihood[2:, 0] = -500.0
    compare_with_all_paths(
        np.log([0.5, 0.5]), np.log(np.eye(2)), log_likelihood, np.array([0, 6]), EXACT
    )


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log")
@pytest.mark.parametrize("number", range(20))
def test_states_that_never_mix_keep_their_sums(number, seed):
    rng = np.random.default_rng([seed, number])
    log_likelihood = rng.uniform(-560, 0, (8, 2))
    transition = np.eye(2) if number % 2 else np.array([[0.9, 0.1], [0.0, 1.0]])
    tolerance = max(EXACT, 8 * EPS * 560 * 8)
    compare_with_all_paths(
        np.log([0.5, 0.5]), np.log(transition), log_likelihood, np.array([0, 8]), tolerance
    )


def test_long_sequences_match_an_independent_implementation(seed):
    rng = np.random.default_rng(seed)
    log_initial, log_transition = chain(rng, 4)
    n_bins = 3000
    log_likelihood = 10 * rng.standard_normal((n_bins, 4)) - 50
    starts = np.array([0, n_bins])
    found = hmm.forward_backward(log_initial, log_transition, log_likelihood, starts)
    total, probability, count = smooth(log_initial, log_transition, log_likelihood)
    # The oracle's messages are sums of n_bins terms and as large as the log likelihood; what the
    # package normalises away, the oracle carries as rounding.
    rounding = n_bins * EPS * abs(total)
    assert found.log_likelihood[0] == pytest.approx(total, abs=rounding)
    np.testing.assert_allclose(found.state_probability, probability, atol=rounding)
    np.testing.assert_allclose(found.transition_count, count, atol=n_bins * rounding)
    assert found.transition_count.sum() == pytest.approx(n_bins - 1)


def test_oracle_agrees_with_scipy_and_with_enumeration(seed):
    rng = np.random.default_rng(seed)
    log_initial, log_transition = chain(rng, 3)
    log_likelihood = rng.standard_normal((5, 3))
    alpha = log_initial + log_likelihood[0]
    for row in log_likelihood[1:]:
        alpha = logsumexp(alpha[:, None] + log_transition, axis=0) + row
    truth = enumerate_paths(log_initial, log_transition, log_likelihood)
    total, probability, count = smooth(log_initial, log_transition, log_likelihood)
    assert total == pytest.approx(logsumexp(alpha), abs=EXACT)
    assert total == pytest.approx(truth.log_likelihood, abs=EXACT)
    np.testing.assert_allclose(probability, truth.state_probability, atol=EXACT)
    np.testing.assert_allclose(count, truth.transition_count, atol=EXACT)


def test_posterior_adds_up(seed):
    rng = np.random.default_rng(seed)
    starts = np.array([0, 100, 101, 250])
    log_likelihood = 5 * rng.standard_normal((250, 6))
    found = hmm.forward_backward(*chain(rng, 6), log_likelihood, starts)
    leaving = found.state_probability.sum(axis=0)
    leaving -= found.state_probability[starts[1:] - 1].sum(axis=0)
    entering = found.state_probability.sum(axis=0)
    entering -= found.state_probability[starts[:-1]].sum(axis=0)
    rounding = 250 * 250 * EPS
    np.testing.assert_allclose(found.transition_count.sum(axis=1), leaving, atol=rounding)
    np.testing.assert_allclose(found.transition_count.sum(axis=0), entering, atol=rounding)


def test_renaming_the_states_renames_the_answer(seed):
    rng = np.random.default_rng(seed)
    log_initial, log_transition = chain(rng, 4)
    log_likelihood = rng.standard_normal((30, 4))
    starts = np.array([0, 30])
    order = rng.permutation(4)
    found = hmm.forward_backward(log_initial, log_transition, log_likelihood, starts)
    renamed = hmm.forward_backward(
        log_initial[order], log_transition[np.ix_(order, order)], log_likelihood[:, order], starts
    )
    rounding = 30 * 4 * EPS * np.abs(log_likelihood).sum()
    np.testing.assert_allclose(
        renamed.state_probability, found.state_probability[:, order], atol=rounding
    )
    np.testing.assert_allclose(
        renamed.transition_count, found.transition_count[np.ix_(order, order)], atol=rounding
    )


def test_no_bins_give_nothing():
    found = hmm.forward_backward(
        np.log([0.5, 0.5]), np.log(np.full((2, 2), 0.5)), np.zeros((2, 2)), np.array([0, 0, 2])
    )
    assert found.log_likelihood[0] == 0
    assert found.transition_count.sum() == pytest.approx(1)
