"""The circuit's three ways to its gains agree, and obey the conditions of an optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from neurokit_sdr.analysis.gain_control import equations, kernels
from neurokit_sdr.core.errors import ParameterError


def circuit(strength=-3.0, alpha=0.5, gamma=0.1, n_units=12, n_stimuli=24, decoder="identity"):
    preferred = -90 + 180 / n_units * np.arange(n_units)
    stimulus = -90 + 180 / n_stimuli * np.arange(n_stimuli)
    drive = kernels.tuning(preferred, stimulus, "von_mises", 20.0, 0.3, 180.0)
    weight = strength * kernels.recurrence(preferred, "von_mises", 40.0, 180.0)
    eye = np.eye(n_units)
    return equations.Circuit(
        drive, weight, eye if decoder == "identity" else eye - weight, alpha, gamma
    )


def ensembles(n_stimuli=24, share=0.4):
    control = np.full(n_stimuli, 1 / n_stimuli)
    biased = np.full(n_stimuli, (1 - share) / (n_stimuli - 1))
    biased[n_stimuli // 2] = share
    return control, biased


CASES = [(-3.0, "identity"), (-3.0, "inverse"), (0.6, "identity"), (0.0, "inverse")]


@pytest.mark.parametrize(("strength", "decoder"), CASES)
@pytest.mark.parametrize("non_negative", [False, True])
def test_closed_form_and_iteration_agree(strength, decoder, non_negative):
    c = circuit(strength, decoder=decoder, gamma=0.05)
    control, biased = ensembles()
    problem = equations.quadratic(c, biased, control)
    exact = equations.closed_form(problem, non_negative)
    found = equations.iterate(problem, non_negative)
    np.testing.assert_allclose(found.gain, exact, atol=1e-6)


def test_closed_form_obeys_the_bound_when_it_matters():
    c = circuit(alpha=30.0, gamma=1e-3)
    problem = equations.quadratic(c, ensembles()[1])
    # A slope that would make some gains negative.
    problem = problem._replace(slope=problem.slope - np.linspace(0, 2, 12))
    free = equations.closed_form(problem)
    bound = equations.closed_form(problem, non_negative=True)
    assert free.min() < 0
    gradient = problem.curvature @ bound + 1e-3 * bound - problem.slope - 1e-3
    assert bound.min() == 0
    np.testing.assert_allclose(gradient[bound > 0], 0, atol=1e-9)
    assert (gradient[bound == 0] >= -1e-9).all()
    np.testing.assert_allclose(equations.iterate(problem, True, tol=1e-13).gain, bound, atol=1e-6)


@pytest.mark.parametrize("on_total", [False, True])
@pytest.mark.parametrize(("strength", "decoder"), CASES)
def test_first_order_conditions_hold_by_finite_differences(strength, decoder, on_total):
    c = circuit(strength, decoder=decoder)
    control, biased = ensembles()
    one = np.ones(12)
    pull = approx_fprime(one, lambda g: equations.objective(c, g, control, 0 * one, on_total), 1e-6)
    if on_total:
        gain = equations.descend(c, biased, control).gain
    else:
        gain = equations.closed_form(equations.quadratic(c, biased, control))

    def loss(g):
        return equations.objective(c, g, biased, pull / 2, on_total)

    # Central differences of a smooth function of values of order 10: 1e-10 rounding over 1e-4.
    step = 1e-4
    slope = [(loss(gain + step * e) - loss(gain - step * e)) / (2 * step) for e in np.eye(12)]
    size = np.abs(pull).max() + 1
    np.testing.assert_allclose(slope, 0, atol=1e-5 * size)
    assert np.abs(gain - 1).max() > 1e-3


@pytest.mark.parametrize("on_total", [False, True])
def test_gains_stay_1_in_the_control_ensemble(on_total):
    c, (control, _) = circuit(), ensembles()
    if on_total:
        gain = equations.descend(c, control, control).gain
    else:
        gain = equations.closed_form(equations.quadratic(c, control, control))
    np.testing.assert_allclose(gain, 1, atol=1e-8)


def test_total_gain_without_recurrence_is_gain_on_the_drive():
    c, (control, biased) = circuit(0.0), ensembles()
    drive = equations.closed_form(equations.quadratic(c, biased, control))
    np.testing.assert_allclose(equations.descend(c, biased, control).gain, drive, atol=1e-6)


def test_online_gains_settle_at_the_optimum_within_the_derived_noise(seed):
    c, (control, biased) = circuit(-1.0), ensembles()
    exact = equations.closed_form(equations.quadratic(c, biased, control))
    rate, n_chains, n_frames = 0.01, 24, 6000
    noise = equations.online_noise(c, biased, rate, exact)
    rng = np.random.default_rng(seed)
    # One row per chain, all from the optimum: the last gain of each is one independent draw.
    last = np.array(
        [
            equations.online(c, rng.choice(24, n_frames, p=biased), rate, control)[-1]
            for _ in range(n_chains)
        ]
    )
    slowest = np.linalg.eigvalsh(equations.quadratic(c, biased, control).curvature)[0] + c.gamma
    assert np.exp(-rate * slowest * n_frames) < 0.01  # the start is forgotten
    squared = ((last - exact) ** 2).sum(axis=1)
    # The noise of the rate's second order is rate * curvature of the noise itself.
    largest = np.linalg.eigvalsh(equations.quadratic(c, biased, control).curvature)[-1]
    error = 5 * squared.std() / np.sqrt(n_chains) + rate * largest * noise
    assert abs(squared.mean() - noise) < error


def test_responses_settle_where_the_dynamics_do():
    c = circuit(-3.0)
    gain = np.linspace(0.5, 1.5, 12)
    for on_total in (False, True):
        r = np.zeros_like(c.drive)
        for _ in range(2000):
            if on_total:
                r += 0.1 * (-r + gain[:, None] * (c.drive + c.weight @ r))
            else:
                r += 0.1 * (-r + c.weight @ r + gain[:, None] * c.drive)
        np.testing.assert_allclose(equations.response(c, gain, on_total), r, atol=1e-10)


def test_a_recurrence_that_runs_away_is_refused():
    for strength in (1.0, 1.5):
        c = circuit(strength)
        for call in (
            lambda c=c: equations.response(c, np.ones(12)),
            lambda c=c: equations.quadratic(c, ensembles()[1]),
            lambda c=c: equations.descend(c, ensembles()[1]),
        ):
            with pytest.raises(ParameterError, match=r"settles.*lower its strength"):
                call()


def test_kernels_are_normalised_and_circular():
    preferred = np.arange(-90, 90, 15.0)
    for name in ("von_mises", "gaussian", "mexican_hat", "uniform"):
        weight = kernels.recurrence(preferred, name, 30.0, 180.0)
        np.testing.assert_allclose(np.abs(np.linalg.eigvalsh(weight)).max(), 1)
        np.testing.assert_allclose(np.roll(weight, (1, 1), (0, 1)), weight, atol=1e-12)
    assert kernels.difference(np.array([80.0]), np.array([-80.0]), 180.0)[0, 0] == -20
    with pytest.raises(ParameterError, match="gaussian"):
        kernels.tuning(preferred, preferred, "von_mises", 20.0, 0.0, None)
