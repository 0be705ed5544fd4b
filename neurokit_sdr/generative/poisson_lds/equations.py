r"""Poisson linear dynamical system on arrays: Laplace posterior, and expectation maximisation.

.. math:: x_1 \sim N(\mu_1, V_1), \quad x_t = A x_{t-1} + N(0, Q), \quad
          y_{tn} \sim \mathrm{Poisson}(e^{d_n + c_n \cdot x_t})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from neurokit_sdr.engines.block_tridiagonal import solve
from neurokit_sdr.generative.baselines.equations import (
    Counts,
    find_factors,
    fit_read_out,
    project,
    roots,
)

#: Drives are kept below this: exp of more is no rate of anything.
_LARGEST_DRIVE = 30.0
#: Weak priors, conjugate where there is a conjugate: they bound what the data leave open (one
#: trial, one bin per trial, a silent unit) and are lost among a hundred bins.
_NOISE_COUNT, _NOISE_SCALE = 1.0, 1e-2
_FIRST_COUNT, _FIRST_SCALE = 1.0, 1e-1
_TRANSITION_PRECISION = 1e-2
_LOADING_PRECISION = 1.0
_BIAS_PRECISION = 1.0 / 6.0**2
#: Newton steps of one posterior at most, nats that the last may gain, and halvings of a step.
_NEWTON_STEPS, _NEWTON_GAIN, _HALVINGS = 100, 1e-6, 40
#: The start: kernel of the counts in bins, and variance of the noise beside factors of variance 1.
_START_WIDTH, _START_NOISE = 4.0, 0.1
#: Bins whose rates are held at once.
_BLOCK = 20_000


class Parameters(NamedTuple):
    """The parameters of the model.

    Attributes
    ----------
    transition
        :math:`A`, shape (latent, latent).
    noise
        :math:`Q`, shape (latent, latent).
    first_mean, first_noise
        :math:`\\mu_1` and :math:`V_1`, shapes (latent,) and (latent, latent).
    loading, bias
        :math:`C` and :math:`d`, shapes (unit, latent) and (unit,).
    """

    transition: np.ndarray
    noise: np.ndarray
    first_mean: np.ndarray
    first_noise: np.ndarray
    loading: np.ndarray
    bias: np.ndarray


class Data(NamedTuple):
    """Counts of trials.

    Attributes
    ----------
    counts
        Float64, shape (trial, bin, unit); 0 where ``valid`` is false.
    valid
        Float64, 1 in bins that hold data, shape (trial, bin).
    lengths
        Bins of each trial, shape (trial,); latents beyond have no meaning.
    """

    counts: np.ndarray
    valid: np.ndarray
    lengths: np.ndarray

    def take(self, trials: np.ndarray) -> Data:
        """Some trials."""
        return Data(self.counts[trials], self.valid[trials], self.lengths[trials])


class Posterior(NamedTuple):
    r"""Gaussian around the mode of the latents given the counts, trial by trial.

    Attributes
    ----------
    mean
        The mode, shape (trial, bin, latent).
    covariance
        The inverse of the negative Hessian at the mode, its blocks on the diagonal, shape (trial,
        bin, pair), pairs in the order of :func:`numpy.triu_indices`.
    lagged
        :math:`\sum_t \mathrm{Cov}(x_{t+1}, x_t)`, shape (trial, latent, latent).
    log_likelihood
        Laplace's approximation to :math:`\log p(y)`, without the constant
        :math:`-\log y!`, shape (trial,).
    """

    mean: np.ndarray
    covariance: np.ndarray
    lagged: np.ndarray
    log_likelihood: np.ndarray


# -- posterior ----------------------------------------------------------------------------------


def infer(data: Data, p: Parameters, start: np.ndarray | None = None) -> Posterior:
    """Mode of the latents by Newton's method, and the Gaussian around it."""
    shape = (*data.valid.shape, len(p.first_mean))
    mean = np.zeros(shape) if start is None else start.copy()
    value = _log_joint(data, p, mean)
    todo = np.arange(len(mean))
    for _ in range(_NEWTON_STEPS):
        part = data.take(todo)
        gradient, information = _derivatives(part, p, mean[todo])
        step = _step(part, p, information, gradient)[0]
        gain = np.einsum("tbl,tbl->t", step, gradient)
        scale = np.ones(len(todo))
        for _ in range(_HALVINGS):
            new = mean[todo] + scale[:, None, None] * step
            new_value = _log_joint(part, p, new)
            worse = ~(new_value >= value[todo] - 1e-9 * np.abs(value[todo]))
            if not worse.any():
                break
            scale[worse] /= 2
        better = ~worse
        mean[todo[better]], value[todo[better]] = new[better], new_value[better]
        todo = todo[better & (gain > _NEWTON_GAIN)]
        if not todo.size:
            break
    gradient, information = _derivatives(data, p, mean)
    _, logarithm, covariance, lagged = _step(data, p, information, gradient, full=True)
    return Posterior(mean, covariance, lagged, value - 0.5 * logarithm)


def expected_counts(mean: np.ndarray, covariance: np.ndarray, p: Parameters) -> np.ndarray:
    r"""Mean rates under the posterior, :math:`\exp(d + Cm + \tfrac12 \mathrm{diag}(CVC^T))`."""
    return np.exp(_drive(mean, covariance, p.loading, p.bias))


def _drive(
    mean: np.ndarray, covariance: np.ndarray, loading: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    drive = mean @ loading.T + 0.5 * covariance @ _pairs(loading, doubled=True).T + bias
    return np.minimum(drive, _LARGEST_DRIVE)


def _pairs(vectors: np.ndarray, *, doubled: bool = False) -> np.ndarray:
    """Products of all pairs of entries, (..., pair); those off the diagonal twice if doubled."""
    i, j = np.triu_indices(vectors.shape[-1])
    return vectors[..., i] * vectors[..., j] * np.where(doubled & (i != j), 2.0, 1.0)


def _square(packed: np.ndarray, d: int) -> np.ndarray:
    """Symmetric matrices (..., d, d) from their pairs (..., pair)."""
    i, j = np.triu_indices(d)
    out = np.empty((*packed.shape[:-1], d, d))
    out[..., i, j] = packed
    out[..., j, i] = packed
    return out


def _rate(p: Parameters, mean: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(mean @ p.loading.T + p.bias, _LARGEST_DRIVE))


def _innovations(data: Data, p: Parameters, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The noise that moved the latents; zero beyond a trial's end."""
    inside = np.arange(1, mean.shape[1]) < data.lengths[:, None]
    moved = (mean[:, 1:] - mean[:, :-1] @ p.transition.T) * inside[:, :, None]
    return mean[:, 0] - p.first_mean, moved


def _log_joint(data: Data, p: Parameters, mean: np.ndarray) -> np.ndarray:
    r""":math:`\log p(y, x) + \tfrac{Td}{2} \log 2\pi` without the factorials, for every trial."""
    first, moved = _innovations(data, p, mean)
    value = np.zeros(len(mean))
    for part in _blocks(mean.shape):
        drive = np.minimum(mean[part] @ p.loading.T + p.bias, _LARGEST_DRIVE)
        inner = np.einsum("tbn,tbn->tb", data.counts[part], drive) - np.exp(drive).sum(axis=2)
        value[part] = np.einsum("tb,tb->t", inner, data.valid[part])
    value -= 0.5 * np.einsum("ti,ti->t", first @ np.linalg.inv(p.first_noise), first)
    value -= 0.5 * np.einsum("tbi,tbi->t", moved @ np.linalg.inv(p.noise), moved)
    value -= 0.5 * np.linalg.slogdet(p.first_noise)[1]
    return value - 0.5 * (data.lengths - 1) * np.linalg.slogdet(p.noise)[1]


def _derivatives(data: Data, p: Parameters, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the log joint, and the counts' part of its negative Hessian, packed."""
    first, moved = _innovations(data, p, mean)
    pulled = moved @ np.linalg.inv(p.noise)
    gradient = np.zeros_like(mean)
    gradient[:, 0] = -first @ np.linalg.inv(p.first_noise)
    gradient[:, 1:] -= pulled
    gradient[:, :-1] += pulled @ p.transition
    information = np.empty((*mean.shape[:2], _pairs(p.loading).shape[1]))
    for part in _blocks(mean.shape):
        rate = _rate(p, mean[part]) * data.valid[part][:, :, None]
        gradient[part] += (data.counts[part] - rate) @ p.loading
        information[part] = rate @ _pairs(p.loading)
    return gradient, information


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Trials whose rates fit into memory together."""
    size = max(_BLOCK // max(shape[1], 1), 1)
    for begin in range(0, shape[0], size):
        yield slice(begin, begin + size)


def _step(
    data: Data, p: Parameters, information: np.ndarray, gradient: np.ndarray, full: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Newton step, log determinant, and with ``full`` covariances."""
    precision = np.linalg.inv(p.noise)
    d = len(precision)
    step = np.zeros_like(gradient)
    covariance = np.zeros_like(information) if full else np.zeros((len(step), 0, 0))
    lagged = np.zeros((len(step), d, d))
    logarithm = solve(
        information,
        gradient,
        data.lengths,
        np.linalg.inv(p.first_noise),
        precision,
        p.transition.T @ precision @ p.transition,
        -precision @ p.transition,
        step,
        covariance,
        lagged,
        full,
    )
    return step, logarithm, covariance, lagged


# -- expectation maximisation -------------------------------------------------------------------


class Fit(NamedTuple):
    """What :func:`fit` ends with.

    Attributes
    ----------
    parameters
        Of the best objective.
    objective, log_likelihood
        Log posterior of the parameters by Laplace's approximation, and without the prior, in nats,
        shape (iteration,).
    converged, interrupted
        How it ended.
    """

    parameters: Parameters
    objective: np.ndarray
    log_likelihood: np.ndarray
    converged: bool
    interrupted: bool


def fit(
    data: Data,
    start: Parameters,
    *,
    max_iter: int,
    tol: float,
    on_iteration: Callable[[float], None] = lambda _: None,
) -> Fit:
    """Alternate Laplace posteriors and the parameters that they make most likely.

    Parameters
    ----------
    max_iter
        Iterations at most.
    tol
        Converged once the objective gains less than this per bin that holds data, in nats.
    on_iteration
        Called with the objective after each iteration.
    """
    n_bins = data.valid.sum()
    mean_rate = np.maximum(data.counts.sum(axis=(0, 1)), 0.5) / n_bins
    p = best = start
    mode = None
    objective: list[float] = []
    likelihood: list[float] = []
    converged = interrupted = False
    try:
        for _ in range(max_iter):
            posterior = infer(data, p, mode)
            mode = posterior.mean
            likelihood.append(float(posterior.log_likelihood.sum()))
            objective.append(likelihood[-1] + _log_prior(p, mean_rate))
            if objective[-1] >= max(objective):
                best = p
            on_iteration(objective[-1])
            if len(objective) > 1 and objective[-1] - objective[-2] < tol * n_bins:
                converged = True
                break
            p = _dynamics(data, posterior, p)
            p = _emission(data, posterior, p, mean_rate)
    except KeyboardInterrupt:
        interrupted = True
    return Fit(best, np.array(objective), np.array(likelihood), converged, interrupted)


def begin(data: Data, n_latents: int) -> Parameters:
    """Factors of smoothed counts, and the dynamics that they follow."""
    seen = data.valid.astype(bool)
    every = np.ones(data.counts.shape[2], dtype=bool)
    mean = data.counts[seen].mean(axis=0)
    root, _ = roots(Counts(data.counts, seen, every), _START_WIDTH, mean)
    found = find_factors(root[seen], n_latents)
    features = project(root, np.zeros_like(root), found, every)
    read_out = fit_read_out(
        features.take(np.flatnonzero(seen), np.arange(every.size)),
        data.counts[seen],
        _LOADING_PRECISION,
    )
    latent = features.values.reshape(*seen.shape, -1)
    pairs = seen[:, 1:] & seen[:, :-1]
    before, after = latent[:, :-1][pairs], latent[:, 1:][pairs]
    eye = np.eye(n_latents)
    transition = np.linalg.solve(before.T @ before + eye, before.T @ after).T
    return Parameters(
        transition, _START_NOISE * eye, np.zeros(n_latents), eye, read_out.weight, read_out.bias
    )


def canonical(data: Data, p: Parameters) -> Parameters:
    r"""The same model with latents that can be told apart.

    In the data the latents then have unit covariance, and the columns of the loading are
    orthogonal, the longest first, each with its largest entry positive.
    """
    posterior = infer(data, p)
    d = len(p.first_mean)
    inside = np.arange(data.valid.shape[1]) < data.lengths[:, None]
    mean = posterior.mean[inside]
    spread = _square(posterior.covariance[inside].mean(axis=0), d)
    centre = mean.mean(axis=0)
    root = np.linalg.cholesky((mean - centre).T @ (mean - centre) / len(mean) + spread)
    _, _, rotation = np.linalg.svd(p.loading @ root, full_matrices=False)
    back = root @ rotation.T  # old latents from new ones
    loading = p.loading @ back
    largest = np.take_along_axis(loading, np.abs(loading).argmax(axis=0)[None], axis=0)
    back = back * np.where(largest < 0, -1.0, 1.0)
    there = np.linalg.inv(back)
    noise, first_noise = (there @ v @ there.T for v in (p.noise, p.first_noise))
    return Parameters(
        there @ p.transition @ back,
        0.5 * (noise + noise.T),
        there @ p.first_mean,
        0.5 * (first_noise + first_noise.T),
        p.loading @ back,
        p.bias,
    )


def _log_prior(p: Parameters, mean_rate: np.ndarray) -> float:
    def gaussian(noise: np.ndarray, count: float, scale: np.ndarray) -> float:
        size = count * np.linalg.slogdet(noise)[1]
        return -0.5 * (size + float(np.trace(np.linalg.solve(noise, scale))))

    d = len(p.noise)
    eye = np.eye(d)
    moved = _NOISE_SCALE * eye + _TRANSITION_PRECISION * p.transition @ p.transition.T
    return float(
        gaussian(p.noise, _NOISE_COUNT + d, moved)
        + gaussian(p.first_noise, _FIRST_COUNT, _FIRST_SCALE * eye)
        - 0.5 * _LOADING_PRECISION * (p.loading**2).sum()
        - 0.5 * _BIAS_PRECISION * ((p.bias - np.log(mean_rate)) ** 2).sum()
    )


def _dynamics(data: Data, posterior: Posterior, p: Parameters) -> Parameters:
    """Transition, noise and first latent in closed form."""
    mean, d = posterior.mean, len(p.noise)
    eye = np.eye(d)
    bins = np.arange(mean.shape[1])
    inside = (bins < data.lengths[:, None]).astype(np.float64)
    leaves = (bins < data.lengths[:, None] - 1).astype(np.float64)
    moment = _pairs(mean) + posterior.covariance
    before = _square(np.einsum("tbp,tb->p", moment, leaves), d)
    after = _square(np.einsum("tbp,tb->p", moment[:, 1:], inside[:, 1:]), d)
    across = posterior.lagged.sum(axis=0) + np.einsum(
        "tbi,tbj->ij", mean[:, 1:] * inside[:, 1:, None], mean[:, :-1]
    )
    transition = np.linalg.solve(before + _TRANSITION_PRECISION * eye, across.T).T
    left = after - transition @ across.T + _NOISE_SCALE * eye
    noise = 0.5 * (left + left.T) / (leaves.sum() + _NOISE_COUNT + d)
    first = mean[:, 0].mean(axis=0)
    spread = (mean[:, 0] - first).T @ (mean[:, 0] - first)
    spread += _square(posterior.covariance[:, 0].sum(axis=0), d) + _FIRST_SCALE * eye
    return p._replace(
        transition=transition,
        noise=noise,
        first_mean=first,
        first_noise=spread / (len(mean) + _FIRST_COUNT),
    )


def _emission(
    data: Data, posterior: Posterior, p: Parameters, mean_rate: np.ndarray, steps: int = 2
) -> Parameters:
    """Loadings and biases by Newton steps that never lower the expected log joint."""
    d = p.loading.shape[1]
    penalty = np.full(d + 1, _LOADING_PRECISION)
    penalty[0] = _BIAS_PRECISION
    centre = np.zeros((len(p.bias), d + 1))
    centre[:, 0] = np.log(mean_rate)
    theta = np.column_stack([p.bias, p.loading])
    valid = data.valid.astype(bool)
    mean, covariance = posterior.mean[valid], posterior.covariance[valid]
    counts = data.counts[valid]
    target = counts.T @ np.column_stack([np.ones(len(mean)), mean])
    sums = _Sums(mean, covariance)

    def value(t: np.ndarray) -> np.ndarray:
        prior = 0.5 * (penalty * (t - centre) ** 2).sum(axis=1)
        return (target * t).sum(axis=1) - sums.total(t) - prior

    current = value(theta)
    for _ in range(steps):
        first, curvature = sums.derivatives(theta)
        gradient = target - first - penalty * (theta - centre)
        step = np.linalg.solve(curvature + np.diag(penalty), gradient[:, :, None])[:, :, 0]
        scale = np.ones(len(theta))
        for _ in range(_HALVINGS):
            new = theta + scale[:, None] * step
            reached = value(new)
            worse = ~(reached >= current)
            if not worse.any():
                break
            scale[worse] /= 2
        theta = np.where(worse[:, None], theta, new)
        current = np.where(worse, current, reached)
    return p._replace(loading=theta[:, 1:], bias=theta[:, 0])


class _Sums(NamedTuple):
    """Sums over bins of the expected rates of a posterior, block by block."""

    mean: np.ndarray
    covariance: np.ndarray

    def _rates(self, theta: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for begin in range(0, len(self.mean), _BLOCK):
            mean = self.mean[begin : begin + _BLOCK]
            covariance = self.covariance[begin : begin + _BLOCK]
            yield mean, covariance, np.exp(_drive(mean, covariance, theta[:, 1:], theta[:, 0]))

    def total(self, theta: np.ndarray) -> np.ndarray:
        """Expected spikes of every unit."""
        return sum((rate.sum(axis=0) for *_, rate in self._rates(theta)), np.zeros(len(theta)))

    def derivatives(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""First derivatives, and second ones without the terms in :math:`V c`.

        Left out are the products of the posterior's covariance with the loading: an order smaller,
        and with them every unit would need its own pass over all bins.
        """
        n, d = len(theta), theta.shape[1] - 1
        first = np.zeros((n, d + 1))
        spread = np.zeros((n, d * (d + 1) // 2))
        moment = np.zeros_like(spread)
        for mean, covariance, rate in self._rates(theta):
            first[:, 0] += rate.sum(axis=0)
            first[:, 1:] += rate.T @ mean
            spread += rate.T @ covariance
            moment += rate.T @ (_pairs(mean) + covariance)
        curvature = np.empty((n, d + 1, d + 1))
        curvature[:, 0, 0] = first[:, 0]
        curvature[:, 0, 1:] = curvature[:, 1:, 0] = first[:, 1:]
        curvature[:, 1:, 1:] = _square(moment, d)
        first[:, 1:] += np.einsum("nij,nj->ni", _square(spread, d), theta[:, 1:])
        return first, curvature
