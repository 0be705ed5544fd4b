"""Whitening circuits: exact where the frame can, settling within the derived noise."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.stats import chi2

import neurokit_sdr as nks
from neurokit_sdr.analysis.gain_control import whitening
from neurokit_sdr.core.errors import ParameterError


def random_covariance(n: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=(n, 2 * n + 2))
    return x @ x.T / (2 * n + 2)


@pytest.mark.parametrize("n", range(2, 21))
def test_enough_interneurons_whiten_exactly(n, seed):
    rng = np.random.default_rng([seed, n])
    for alpha in (1.0, 0.3):
        circuit = nks.analysis.AdaptiveWhitening(n, alpha=alpha, rng=seed)
        for _ in range(25):
            covariance = random_covariance(n, rng)
            white = circuit.response_covariance(covariance, circuit.optimal_gains(covariance))
            assert np.linalg.norm(white - np.eye(n)) < 1e-6


def test_closed_form_is_that_of_the_paper():
    circuit = nks.analysis.AdaptiveWhitening(5, alpha=0.7, rng=0)
    c = random_covariance(5, np.random.default_rng(0))
    w = circuit.frame
    values, vectors = np.linalg.eigh(c)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    given = np.linalg.solve((w.T @ w) ** 2, np.diag(w.T @ (root - 0.7 * np.eye(5)) @ w))
    np.testing.assert_allclose(circuit.optimal_gains(c), given, atol=1e-7)


def test_offline_steps_arrive_at_the_closed_form():
    c = np.array([[2.0, 0.6], [0.6, 1.0]])
    circuit = nks.analysis.AdaptiveWhitening(2)
    found = circuit.adapt(np.repeat(c[None], 2000, axis=0), rate=0.1)
    np.testing.assert_allclose(found["gain"][-1], circuit.optimal_gains(c), atol=1e-8)
    assert found["error"][-1] < 1e-8
    assert found["error"][0] > 0.1


def test_clamped_gains_never_fall_below_0_and_whiten_no_better():
    c = np.array([[0.3, 0.2], [0.2, 3.0]])
    free = nks.analysis.AdaptiveWhitening(2)
    clamped = nks.analysis.AdaptiveWhitening(2, clamp=True)
    assert free.optimal_gains(c).min() < 0
    steps = np.repeat(c[None], 3000, axis=0)
    held = clamped.adapt(steps, rate=0.05)
    assert held["gain"].min() == 0
    assert held["error"][-1] > 0.1 > free.adapt(steps, rate=0.05)["error"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_online_gains_settle_within_the_derived_noise(alpha, seed):
    c = np.array([[2.0, 0.6], [0.6, 1.5]])
    circuit = nks.analysis.AdaptiveWhitening(2, alpha=alpha)
    exact = circuit.optimal_gains(c).values
    rate, batch, steps, chains = 0.01, 16, 3000, 60
    noise = whitening.online_noise(circuit.frame, exact, alpha, rate, batch)
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(c)
    last = np.array(
        [
            circuit.adapt(
                samples=rng.normal(size=(steps, batch, 2)) @ factor.T, rate=rate, gain=exact
            )["gain"].values[-1]
            for _ in range(chains)
        ]
    )
    distance = np.einsum("ij,jk,ik->i", last - exact, np.linalg.inv(noise), last - exact)
    # A sum of chains chi-squared variables with three degrees of freedom, but for terms of the
    # second order in the rate (rate times curvature, below 0.1).
    low, high = chi2.ppf([1e-6, 1 - 1e-6], 3 * chains)
    assert 0.9 * low < distance.sum() < 1.1 * high


def test_alpha_is_respected_online():
    # One frozen batch whose covariance is C: online and offline are the same circuit.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    c = x.T @ x / 400
    circuit = nks.analysis.AdaptiveWhitening(3, alpha=0.4, rng=1)
    online = circuit.adapt(samples=np.repeat(x[None], 50, axis=0), rate=0.02)
    offline = circuit.adapt(np.repeat(c[None], 50, axis=0), rate=0.02)
    np.testing.assert_allclose(online["gain"], offline["gain"], atol=1e-12)
    slow = {"rate": 0.02, "slow_rate": 0.01}
    online = circuit.adapt(samples=np.repeat(x[None], 50, axis=0), **slow)
    offline = circuit.adapt(np.repeat(c[None], 50, axis=0), **slow)
    np.testing.assert_allclose(online["frame"], offline["frame"], atol=1e-12)


def test_weights_learn_the_frame_that_a_family_of_contexts_shares(seed):
    # Contexts with the same axes and other variances: two interneurons on these axes suffice.
    rng = np.random.default_rng(seed)
    angle = 0.4
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    contexts = np.stack([axes @ np.diag(rng.uniform(1.5, 4, 2)) @ axes.T for _ in range(400)])
    circuit = nks.analysis.AdaptiveWhitening(np.eye(2))
    steps = np.repeat(contexts, 50, axis=0)
    both = circuit.adapt(steps, rate=0.2, slow_rate=0.01)
    gains = circuit.adapt(steps, rate=0.2)
    # A context has been shown for 50 steps when the next begins.
    end = slice(49 + 50 * 300, None, 50)
    assert both["error"][end].mean() < 0.2 * gains["error"][end].mean()
    cosine = np.abs(axes.T @ (both["frame"].values / np.linalg.norm(both["frame"], axis=0)))
    np.testing.assert_allclose(np.sort(cosine.max(axis=1)), 1, atol=0.02)


def test_responses_keep_their_labels_and_are_white(seed):
    rng = np.random.default_rng(seed)
    factor = np.array([[1.5, 0.0], [0.7, 1.0]])
    x = xr.DataArray(
        rng.normal(size=(20_000, 2)) @ factor.T,
        {"channel": ["a", "b"], "time": np.arange(20_000) * 0.001},
        ("time", "channel"),
    )
    circuit = nks.analysis.AdaptiveWhitening(2)
    y = circuit.respond(x, circuit.optimal_gains(factor @ factor.T))
    assert y.dims == x.dims
    assert y["channel"].values.tolist() == ["a", "b"]
    # A sample covariance of white noise: standard error sqrt(2 / n) at most.
    assert np.abs(np.cov(y.values.T) - np.eye(2)).max() < 5 * np.sqrt(2 / 20_000)
    np.testing.assert_allclose(circuit.respond(x.T, np.zeros(3)).T, x)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nks.analysis.AdaptiveWhitening(0), r"a number of channels.*>= 1"),
        (lambda: nks.analysis.AdaptiveWhitening([1.0, 2.0]), "channel, interneuron"),
        (lambda: nks.analysis.AdaptiveWhitening(2, alpha=0), r"alpha.*> 0"),
        (lambda: nks.analysis.AdaptiveWhitening(2).optimal_gains(np.eye(3)), "2 channels"),
        (lambda: nks.analysis.AdaptiveWhitening(2).optimal_gains(np.zeros((2, 2))), "positive"),
        (lambda: nks.analysis.AdaptiveWhitening(2).optimal_gains([[1, 2], [0, 3]]), "symmetric"),
        (lambda: nks.analysis.AdaptiveWhitening(2).adapt(rate=0.1), "neither"),
        (lambda: nks.analysis.AdaptiveWhitening(2).adapt([np.eye(2)], rate=-1), "rate"),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).adapt(
                np.repeat(0.01 * np.eye(2)[None], 2000, 0), rate=1e4
            ),
            "run away.*lower",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).adapt(samples=np.ones((3, 2)), rate=0.1),
            "step, sample, channel",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).respond(xr.DataArray([1.0]), np.ones(3)),
            "channel",
        ),
        (lambda: nks.analysis.AdaptiveWhitening(2).respond(np.ones((4, 2)), np.ones(3)), "ndarray"),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).respond(
                xr.DataArray([["a", "b"]], dims=("time", "channel")), np.ones(3)
            ),
            "signal as numbers",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).adapt(np.zeros((0, 2, 2)), rate=0.1),
            "covariance for at least one step",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).adapt(samples=np.zeros((3, 0, 2)), rate=0.1),
            "at least one sample",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).adapt(samples=np.zeros((0, 4, 2)), rate=0.1),
            "at least one step",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).optimal_gains(np.full((2, 2), np.nan)),
            "finite covariance, got 4",
        ),
        (
            lambda: nks.analysis.AdaptiveWhitening(2).optimal_gains(np.diag([1, np.inf])),
            "finite covariance, got 1",
        ),
        (lambda: nks.analysis.AdaptiveWhitening(np.zeros((2, 3))), "only zeros"),
        (lambda: nks.analysis.AdaptiveWhitening([[1, 0], [1, 0]]), r"only zeros for \[1\] of 2"),
    ],
)
def test_bad_input_is_said(call, says):
    with pytest.raises(ParameterError, match=says):
        call()


C = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize("rate", [5.0, 10.0, 1e3, 1e300])
@pytest.mark.parametrize("options", [{}, {"slow_rate": 0.01}])
def test_a_rate_at_which_the_circuit_runs_away_is_said_with_the_step(rate, options, seed):
    circuit = nks.analysis.AdaptiveWhitening(2)
    samples = np.random.default_rng(seed).normal(size=(300, 8, 2)) @ np.linalg.cholesky(C).T
    for data in ({"covariance": np.array([C] * 300)}, {"samples": samples}):
        with pytest.raises(ParameterError, match=r"run away in step \d+ at rate .*lower"):
            circuit.adapt(**data, rate=rate, **options)


def test_weights_that_learn_too_fast_run_away_and_are_said():
    with pytest.raises(ParameterError, match=r"run away in step \d+ .*slow_rate 50"):
        nks.analysis.AdaptiveWhitening(2).adapt(np.array([C] * 300), rate=0.01, slow_rate=50.0)


@pytest.mark.parametrize(
    "gain", [[-9, -9, -9], [-9, 9, 9], np.full(3, -2 / 3), np.full(3, 1.7e308)]
)
def test_gains_with_which_responses_do_not_settle_are_refused(gain):
    # For the three vectors at 120 degrees W W' = 1.5 I: at gains of -2/3 the leak is 0.
    circuit = nks.analysis.AdaptiveWhitening(2)
    x = xr.DataArray(np.ones((4, 2)), dims=("time", "channel"))
    for call in (
        lambda: circuit.respond(x, gain),
        lambda: circuit.response_covariance(C, gain),
        lambda: circuit.adapt(C[None], rate=0.1, gain=gain),
    ):
        with pytest.raises(ParameterError, match=r"positive definite, got an eigenvalue"):
            call()
    near = np.full(3, -0.66)  # just inside: the leak is 0.01
    np.testing.assert_allclose(circuit.respond(x, near), 100, rtol=1e-9)
