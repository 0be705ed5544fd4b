"""The Poisson linear dynamical system against dense matrices, a Kalman smoother and the truth."""

from __future__ import annotations

import numpy as np
import pytest
from rate_problems import EPS, known_lds, rotation, trials
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import multivariate_normal

from neurokit_sdr.core.errors import (
    ConvergenceWarning,
)
from neurokit_sdr.generative.poisson_lds import equations as lds
from neurokit_sdr.generative.poisson_lds.model import PoissonLDS
from neurokit_sdr.generative.rates.arrays import evaluation_arrays

# -- Poisson linear dynamical system ------------------------------------------------------------


def lds_data(seed=0, n_trials=6, n_bins=25) -> tuple[lds.Data, lds.Parameters]:
    """Ragged, with missing bins."""
    p = rotation(seed=seed)
    drawn = known_lds(p).simulate([n_bins] * n_trials, rng=seed)
    lengths = np.full(n_trials, n_bins)
    lengths[1:3] = 10, 1
    valid = (np.arange(n_bins) < lengths[:, None]).astype(float)
    valid[3, 8:14] = 0.0
    return lds.Data(drawn["count"].values * valid[:, :, None], valid, lengths), p


def dense_posterior(data: lds.Data, p: lds.Parameters, trial: int, mean: np.ndarray):
    """The negative Hessian of one trial's log joint as one matrix, from the equations."""
    n, d = data.lengths[trial], len(p.first_mean)
    hessian = np.zeros((n, d, n, d))
    inverse = np.linalg.inv(p.noise)
    hessian[0, :, 0] += np.linalg.inv(p.first_noise)
    for t in range(1, n):
        hessian[t, :, t] += inverse
        hessian[t - 1, :, t - 1] += p.transition.T @ inverse @ p.transition
        hessian[t, :, t - 1] -= inverse @ p.transition
        hessian[t - 1, :, t] -= (inverse @ p.transition).T
    for t in range(n):
        rate = np.exp(p.bias + p.loading @ mean[t]) * data.valid[trial, t]
        hessian[t, :, t] += (p.loading.T * rate) @ p.loading
    return hessian.reshape(n * d, n * d)


def test_posterior_is_the_mode_and_its_curvature(seed):
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    gradient, _ = lds._derivatives(data, p, posterior.mean)
    # Newton's last step gained under 1e-6 nats; the error of the mode after it is the square of
    # that before, times a rate of order 10.
    inside = np.arange(25) < data.lengths[:, None]
    assert np.abs(gradient[inside]).max() < 1e-4
    d = 2
    for trial in range(4):
        n = data.lengths[trial]
        hessian = dense_posterior(data, p, trial, posterior.mean[trial])
        inverse = np.linalg.inv(hessian).reshape(n, d, n, d)
        blocks = lds._square(posterior.covariance[trial, :n], d)
        for t in range(n):
            np.testing.assert_allclose(blocks[t], inverse[t, :, t], atol=1e-12)
        across = sum((inverse[t + 1, :, t] for t in range(n - 1)), np.zeros((d, d)))
        np.testing.assert_allclose(posterior.lagged[trial], across, atol=1e-11)
        # Laplace: log p(y, mode) + log of the Gaussian's volume.
        x, y = posterior.mean[trial, :n], data.counts[trial, :n]
        joint = multivariate_normal(p.first_mean, p.first_noise).logpdf(x[0])
        for t in range(1, n):
            joint += multivariate_normal(p.transition @ x[t - 1], p.noise).logpdf(x[t])
        drive = p.bias + x @ p.loading.T
        joint += ((y * drive - np.exp(drive)) * data.valid[trial, :n, None]).sum()
        volume = 0.5 * (n * d * np.log(2 * np.pi) - np.linalg.slogdet(hessian)[1])
        assert posterior.log_likelihood[trial] == pytest.approx(joint + volume, abs=1e-9)


def test_posterior_is_a_kalman_smoother_of_the_working_observations(seed):
    """At the mode the counts act like Gaussian observations with variance 1 / rate."""
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    for trial in (0, 3):
        rate = np.exp(p.bias + posterior.mean[trial] @ p.loading.T)
        working = posterior.mean[trial] @ p.loading.T + (data.counts[trial] - rate) / rate
        filtered, predicted = [], []
        mean, covariance = p.first_mean, p.first_noise
        for t in range(25):
            if t:
                mean = p.transition @ mean
                covariance = p.transition @ covariance @ p.transition.T + p.noise
            predicted.append((mean, covariance))
            if data.valid[trial, t]:
                spread = p.loading @ covariance @ p.loading.T + np.diag(1 / rate[t])
                gain = covariance @ p.loading.T @ np.linalg.inv(spread)
                mean = mean + gain @ (working[t] - p.loading @ mean)
                covariance = covariance - gain @ p.loading @ covariance
            filtered.append((mean, covariance))
        for t in range(24, -1, -1):
            if t < 24:
                back = filtered[t][1] @ p.transition.T @ np.linalg.inv(predicted[t + 1][1])
                mean = filtered[t][0] + back @ (mean - predicted[t + 1][0])
                covariance = filtered[t][1] + back @ (covariance - predicted[t + 1][1]) @ back.T
            # As far as the mode is from the true one.
            np.testing.assert_allclose(posterior.mean[trial, t], mean, atol=1e-5)
            found = lds._square(posterior.covariance[trial, t], 2)
            np.testing.assert_allclose(found, covariance, atol=1e-9)


def expected_log_joint(data, posterior, p, mean_rate):
    """What an M-step maximises, bin by bin from the equations, with the priors."""
    total = lds._log_prior(p, mean_rate)
    d = 2
    covariances = lds._square(posterior.covariance, d)
    precision, first = np.linalg.inv(p.noise), np.linalg.inv(p.first_noise)
    for trial, n in enumerate(data.lengths):
        m, v = posterior.mean[trial], covariances[trial]
        r = m[0] - p.first_mean
        total -= 0.5 * (np.trace(first @ (np.outer(r, r) + v[0])) - np.linalg.slogdet(first)[1])
        lagged = posterior.lagged[trial]
        spread = -p.transition @ lagged.T - lagged @ p.transition.T
        for t in range(1, n):
            r = m[t] - p.transition @ m[t - 1]
            spread = spread + np.outer(r, r) + v[t] + p.transition @ v[t - 1] @ p.transition.T
        total -= 0.5 * (np.trace(precision @ spread) - (n - 1) * np.linalg.slogdet(precision)[1])
        for t in np.flatnonzero(data.valid[trial]):
            drive = p.bias + p.loading @ m[t]
            variance = np.einsum("ni,ij,nj->n", p.loading, v[t], p.loading)
            total += data.counts[trial, t] @ drive - np.exp(drive + variance / 2).sum()
    return float(total)


def test_updates_raise_the_expected_log_joint_to_its_top(seed):
    data, p = lds_data(seed)
    posterior = lds.infer(data, p)
    mean_rate = np.maximum(data.counts.sum(axis=(0, 1)), 0.5) / data.valid.sum()
    before = expected_log_joint(data, posterior, p, mean_rate)
    dynamics = lds._dynamics(data, posterior, p)
    middle = expected_log_joint(data, posterior, dynamics, mean_rate)
    after = lds._emission(data, posterior, dynamics, mean_rate, steps=50)
    top = expected_log_joint(data, posterior, after, mean_rate)
    assert before < middle < top
    # At a maximum no small move gains: second order in the move, first order nothing.
    rng = np.random.default_rng(seed)
    for name in ("transition", "noise", "first_mean", "first_noise", "loading", "bias"):
        value = getattr(after, name)
        move = rng.standard_normal(value.shape)
        if "noise" in name:
            root = np.linalg.cholesky(value)
            move = root @ (move + move.T) @ root.T
        h = 1e-4
        up, down = (
            expected_log_joint(data, posterior, after._replace(**{name: moved}), mean_rate)
            for moved in (value + h * move, value - h * move)
        )
        # Central difference: rounding of a sum near 1e3, and third derivatives below 1e5 (hundred
        # bins times the cube of a move of relative size 3, or of a drive of rate 0.4).
        assert abs(up - down) / (2 * h) < 1e3 * 100 * EPS / h + 1e5 * h**2 / 6, name
        assert up + down < 2 * top + 1e-7


def test_fit_climbs_and_keeps_the_best(seed):
    data, _ = lds_data(seed)
    fit = lds.fit(data, lds.begin(data, 2), max_iter=60, tol=1e-5)
    gain = np.diff(fit.objective)
    # It stops at the first gain below the tolerance, a fall included.
    assert (gain[:-1] >= 1e-5 * data.valid.sum()).all()
    best = lds.infer(data, fit.parameters)
    mean_rate = np.maximum(data.counts.sum(axis=(0, 1)), 0.5) / data.valid.sum()
    value = best.log_likelihood.sum() + lds._log_prior(fit.parameters, mean_rate)
    # Warm and cold starts of Newton end within their last gain per trial.
    assert value == pytest.approx(fit.objective.max(), abs=6 * 1e-6)


def test_canonical_latents_say_the_same(seed):
    data, p = lds_data(seed)
    mixed = p._replace(first_mean=np.array([0.5, -0.2]))
    canonical = lds.canonical(data, mixed)
    first, second = lds.infer(data, mixed), lds.infer(data, canonical)
    np.testing.assert_allclose(
        lds.expected_counts(second.mean, second.covariance, canonical),
        lds.expected_counts(first.mean, first.covariance, mixed),
        rtol=1e-4,
    )
    inside = np.arange(25) < data.lengths[:, None]
    mean = second.mean[inside] - second.mean[inside].mean(axis=0)
    spread = mean.T @ mean / len(mean)
    spread += lds._square(second.covariance[inside].mean(axis=0), 2)
    np.testing.assert_allclose(spread, np.eye(2), atol=1e-5)
    product = canonical.loading.T @ canonical.loading
    assert abs(product[0, 1]) < 1e-10
    assert product[0, 0] >= product[1, 1]


def test_dynamics_are_recovered_up_to_a_linear_map(seed):
    """Against the truth on new trials: p parameters cost about p / 2 nats there, p / 2 in training.

    p = 12 (2 + 1) + 4 + 3 + 2 + 3 - 4 = 44 free parameters, tested on as much data as they were
    fitted to; the cost is half a chi-square of p degrees of freedom for large samples. Laplace's
    approximation and the priors add their bias, taken as once more the mean.
    """
    p = rotation()
    train, test = (known_lds(p).simulate([60] * 40, rng=2 * seed + k)[["count"]] for k in (0, 1))
    model = PoissonLDS(n_latents=2, tol=1e-5).fit(train, rng=0, progress=False)
    found = lds.Parameters(
        *(
            model.result_[name].values
            for name in (
                "transition",
                "noise_covariance",
                "initial_mean",
                "initial_covariance",
                "loading",
                "log_rate",
            )
        )
    )
    data = lds.Data(test["count"].values.astype(float), np.ones((40, 60)), np.full(40, 60))
    cost = lds.infer(data, p).log_likelihood.sum() - lds.infer(data, found).log_likelihood.sum()
    assert -5 * np.sqrt(44 / 2) < cost < 44 + 5 * np.sqrt(44 / 2)
    # Frequency and decay: the standard error of a turning AR(1)'s eigenvalue, observed exactly, is
    # sqrt((1 - |a|^2) / n); spikes tell each step's latent with an error of half its variance at
    # worst, so at most twice as large. Five of them, and the priors' pull of 1 / n.
    eigenvalue = np.linalg.eigvals(found.transition)
    error = 2 * np.sqrt((1 - 0.97**2) / (40 * 59))
    assert abs(np.abs(eigenvalue).max() - 0.97) < 5 * error
    assert abs(np.abs(np.angle(eigenvalue)).max() - 0.3) < 5 * error
    # The span of the loading: what of the true one lies outside is estimation error alone.
    basis = np.linalg.qr(found.loading)[0]
    outside = p.loading - basis @ (basis.T @ p.loading)
    # A loading's standard error is at most 1 / sqrt(n rate var(latent)), for each of 10 x 2 left.
    assert (outside**2).sum() < 20 / (40 * 60 * 0.4) * 4


def test_forward_bins_are_the_forecast_of_the_dynamics():
    p = rotation()
    model = known_lds(p, n_forward=4)
    counts = known_lds(p).simulate([20, 20], rng=5)[["count"]]
    predicted, latent = model.predict(counts), model.transform(counts)["latent"].values
    arrays = evaluation_arrays(counts, model.result_)
    covariance = lds._square(model._posterior(arrays).covariance, 2)
    for t in range(20, 24):
        np.testing.assert_allclose(latent[:, t], latent[:, t - 1] @ p.transition.T, atol=1e-5)
        ahead = p.transition @ covariance[:, t - 1] @ p.transition.T + p.noise
        np.testing.assert_allclose(covariance[:, t], ahead, rtol=1e-10)
        variance = np.einsum("ni,bij,nj->bn", p.loading, covariance[:, t], p.loading)
        np.testing.assert_allclose(
            predicted["expected_count"][:, t],
            np.exp(p.bias + latent[:, t] @ p.loading.T + variance / 2),
            rtol=1e-12,
        )


def test_simulated_counts_have_the_stationary_mean(seed):
    p = rotation(speed=0.9, decay=0.5)
    stationary = solve_discrete_lyapunov(p.transition, p.noise)
    np.testing.assert_allclose(stationary, np.eye(2), atol=1e-12)
    drawn = known_lds(p).simulate([20] * 1000, rng=seed)
    variance = (p.loading**2).sum(axis=1)
    mean = np.exp(p.bias + variance / 2)
    # Each trial is independent; the spread of their means is measured.
    each = drawn["count"].mean("time").values
    error = each.std(axis=0) / np.sqrt(1000)
    # The largest of 12 units and a hundred seeds, skewed by the exponential.
    assert (np.abs(each.mean(axis=0) - mean) < 6 * error).all()
    assert drawn["latent"].dims == ("trial", "time", "latent_dim")


def test_interrupted_fit_keeps_the_best_so_far(monkeypatch):
    calls = []
    update = lds._dynamics

    def interrupt(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return update(*arguments)

    monkeypatch.setattr(lds, "_dynamics", interrupt)
    data = trials()
    with pytest.warns(ConvergenceWarning, match="interrupted"):
        model = PoissonLDS(n_latents=2, tol=0.0).fit(data, rng=0, progress=False)
    assert model.result_.sizes["iteration"] == 3
    assert np.isfinite(model.score(data))
