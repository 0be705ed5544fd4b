r"""The HMM-GLM on arrays: likelihood, priors and one run of EM.

For bin :math:`t`, target :math:`n` and state :math:`s`

.. math:: x_{tn} \mid z_t = s \sim \mathrm{Poisson}\big(f(\theta_{sn} \cdot h_t)\big), \qquad
          h_t = (1, \phi_1 * x_1, \ldots)

with history :math:`h_t` (D features, the first constant). Priors on the coupling weights
(:math:`\theta` without its first column), for feature :math:`d` with scale :math:`\sigma_d`:

- ``"none"``: :math:`w_{snd} \sim N(0, \sigma_d^2)` with :math:`\sigma` so wide that it only keeps
  the objective bounded where the data alone would not (a pair that never fires together);
- ``"gaussian"``: :math:`w_{snd} \sim N(\mu_{nd}, \sigma_d^2)`, states pooled around a mean
  :math:`\mu` that is fitted with them.

The objective is the log posterior :math:`\log p(x \mid \theta, P, \pi) + \log p(\theta, \mu, P,
\pi)`. Each iteration smooths the states, sets :math:`P` and :math:`\pi` to their maximisers and
moves :math:`\theta` and :math:`\mu` by one Newton step with exact gradient; a step that lowers the
objective is halved, so it never falls (generalised EM, Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, gammaln
from threadpoolctl import threadpool_limits

from neurokit_sdr.analysis import _hmm

#: Elements of one chunk of drives: small enough for the cache, large enough for BLAS.
CHUNK = 1 << 18

#: Rates are kept off zero so that their logarithm is finite.
TINY_RATE = 1e-300

#: exp(500) is finite and so is its product with any count.
LARGEST_LOG_RATE = 500.0

#: State probabilities below this change no sum by more than rounding does.
NEGLIGIBLE = 1e-12

#: A step that still lowers the objective at this size is rounding: EM has converged.
SMALLEST_STEP = 1e-10

Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]


class Data(NamedTuple):
    """Binned sequences, one behind the other.

    Attributes
    ----------
    counts
        Shape (time, target).
    design
        History features, the first column ones, shape (time, feature).
    starts
        First bin of each sequence, and the number of bins last.
    observed
        Which bins are not missing, shape (time,).
    """

    counts: np.ndarray
    design: np.ndarray
    starts: np.ndarray
    observed: np.ndarray


class Prior(NamedTuple):
    """Everything that is fixed about the objective besides the data.

    Attributes
    ----------
    pooled
        Whether weights are drawn around a fitted mean.
    weight_sd
        Of each weight, shape (feature - 1,).
    mean_sd
        Of the mean of a pooled weight, shape (feature - 1,).
    bias_mean
        Shape (target,).
    bias_sd
        Of each bias.
    stickiness, concentration
        Transition rows are Dirichlet(concentration + stickiness on the diagonal); the initial
        state is Dirichlet(concentration).
    """

    pooled: bool
    weight_sd: np.ndarray
    mean_sd: np.ndarray
    bias_mean: np.ndarray
    bias_sd: float
    stickiness: float
    concentration: float


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


class Fit(NamedTuple):
    """A finished (or interrupted) run of EM.

    Attributes
    ----------
    parameters
        The best reached.
    objective
        Log posterior at the start of every iteration, shape (iteration,).
    log_likelihood
        Its data part, shape (iteration,).
    converged
        Whether the last gain was below the tolerance.
    interrupted
        Whether Ctrl-C ended it.
    """

    parameters: Parameters
    objective: np.ndarray
    log_likelihood: np.ndarray
    converged: bool = False
    interrupted: bool = False


@contextmanager
def parallel_map(threads: int) -> Iterator[Map]:
    """Map over chunks with threads; BLAS itself runs on one, so sums do not depend on how many."""
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        yield lambda function, items: list(pool.map(function, items))


def history_features(
    counts: np.ndarray, starts: np.ndarray, observed: np.ndarray, kernel: np.ndarray
) -> np.ndarray:
    """Filter the counts of every sequence with every kernel; what lies before its start is zero.

    Missing bins count as zero in the history of later bins.

    Parameters
    ----------
    counts
        Shape (time, source).
    starts
        As in :class:`Data`.
    observed
        Shape (time,).
    kernel
        Shape (time_constant, lag), lag 1 first.

    Returns
    -------
    numpy.ndarray
        Ones, then source-major history features, shape (time, 1 + source * time_constant).
    """
    n_bins, n_units = counts.shape
    known = np.where(observed[:, None], counts, 0.0)
    design = np.zeros((n_bins, 1 + n_units * len(kernel)))
    design[:, 0] = 1.0
    features = design[:, 1:].reshape(n_bins, n_units, len(kernel))
    for first, last in zip(starts[:-1], starts[1:], strict=True):
        for h, weights in enumerate(kernel):
            for lag in np.flatnonzero(weights) + 1:
                if first + lag < last:
                    features[first + lag : last, :, h] += (
                        weights[lag - 1] * known[first : last - lag]
                    )
    return design


def rate(eta: np.ndarray, nonlinearity: str) -> np.ndarray:
    """Expected counts for drives; overwrites ``eta``."""
    if nonlinearity == "softplus":
        positive = np.maximum(eta, 0.0)
        np.abs(eta, out=eta)
        np.negative(eta, out=eta)
        np.exp(eta, out=eta)
        np.log1p(eta, out=eta)
        eta += positive
    elif nonlinearity == "exp":
        np.minimum(eta, LARGEST_LOG_RATE, out=eta)
        np.exp(eta, out=eta)
    else:
        expit(eta, out=eta)
    return np.maximum(eta, TINY_RATE, out=eta)


def rate_slope(value: np.ndarray, nonlinearity: str) -> np.ndarray:
    """Derivative of the rate with respect to the drive, from the rate itself."""
    if nonlinearity == "softplus":
        return -np.expm1(-value)
    if nonlinearity == "exp":
        return value
    return value * (1.0 - value)


def emission_log_likelihood(
    data: Data, theta: np.ndarray, nonlinearity: str, run: Map
) -> np.ndarray:
    r"""Return :math:`\log p(x_t \mid z_t = s, h_t)`, shape (time, state); 0 in missing bins."""
    n_states, n_units, n_features = theta.shape
    flat = np.ascontiguousarray(theta.reshape(n_states * n_units, n_features).T)
    out = np.empty((len(data.counts), n_states))

    def fill(rows: slice) -> None:
        y = data.counts[rows]
        f = rate(data.design[rows] @ flat, nonlinearity).reshape(len(y), n_states, n_units)
        out[rows] = -f.sum(axis=2)
        np.log(f, out=f)
        out[rows] += np.matmul(f, y[:, :, None])[:, :, 0]
        out[rows] -= gammaln(y + 1.0).sum(axis=1, keepdims=True)

    run(fill, chunks(len(data.counts), n_states * n_units))
    out[~data.observed] = 0.0
    return out


def chunks(n_rows: int, width: int) -> list[slice]:
    """Slices over rows of :data:`CHUNK` elements each; they do not depend on the machine."""
    step = max(64, CHUNK // max(width, 1))
    return [slice(a, min(a + step, n_rows)) for a in range(0, n_rows, step)]


def log_prior(parameters: Parameters, prior: Prior) -> float:
    """Log density of the parameters, without constants."""
    theta = parameters.theta
    deviation = (theta[:, :, 1:] - parameters.mean) / prior.weight_sd
    density = -0.5 * np.sum(deviation**2)
    density -= 0.5 * np.sum(((theta[:, :, 0] - prior.bias_mean) / prior.bias_sd) ** 2)
    if prior.pooled:
        density -= 0.5 * np.sum((parameters.mean / prior.mean_sd) ** 2)
    density += (prior.concentration - 1.0) * parameters.log_transition.sum()
    density += prior.stickiness * np.trace(parameters.log_transition)
    density += (prior.concentration - 1.0) * parameters.log_initial.sum()
    return float(density)


def update_chain(
    posterior: _hmm.Posterior, starts: np.ndarray, prior: Prior
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
        p = probability[:, s]
        rows = np.flatnonzero((p > NEGLIGIBLE) & data.observed)

        def part(cut: slice, rows=rows, p=p, weights=weights) -> np.ndarray:
            x, y = data.design[rows[cut]], data.counts[rows[cut]]
            f = rate(x @ weights.T, nonlinearity)
            return (p[rows[cut], None] * rate_slope(f, nonlinearity) / f * (y - f)).T @ x

        for g in run(part, chunks(len(rows), theta.shape[1])):
            gradient[s] += g
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
        p = probability[:, s]
        rows = np.flatnonzero((p > NEGLIGIBLE) & data.observed)
        chosen = rows[:: max(1, len(rows) // curvature_rows(n_features))]

        def part(cut: slice, rows=chosen, p=p, weights=weights) -> np.ndarray:
            x = data.design[rows[cut]]
            f = rate(x @ weights.T, nonlinearity)
            weight = p[rows[cut], None] * rate_slope(f, nonlinearity) ** 2 / f
            return weight.T @ (x[:, above] * x[:, left])

        packed = np.zeros((n_units, len(above)))
        for i in run(part, chunks(len(chosen), len(above))):
            packed += i
        mass = p[chosen].sum()
        packed *= p[rows].sum() / mass if mass > 0 else 1.0
        information[s][:, above, left] = packed
        information[s][:, left, above] = packed
    return information


def curvature_rows(n_features: int) -> int:
    """Bins of each state that the curvature is taken from."""
    return max(12_000, 20 * n_features)


class Curvature(NamedTuple):
    """Factors that turn a gradient into a Newton step.

    Attributes
    ----------
    inverse
        Of the negative Hessian in theta alone, shape (state, target, feature, feature).
    mean_inverse
        Of its Schur complement for the mean, shape (target, feature - 1, feature - 1).
    """

    inverse: np.ndarray
    mean_inverse: np.ndarray | None


def factorise(information: np.ndarray, prior: Prior) -> Curvature:
    """Add the prior's curvature to the data's and invert."""
    n_states, _, n_features, _ = information.shape
    precision = 1.0 / prior.weight_sd**2
    diagonal = np.arange(n_features)
    curvature = information.copy()
    curvature[:, :, diagonal, diagonal] += np.concatenate([[1 / prior.bias_sd**2], precision])
    inverse = np.linalg.inv(curvature)
    if not prior.pooled:
        return Curvature(inverse, None)
    schur = -precision[:, None] * inverse[:, :, 1:, 1:].sum(axis=0) * precision
    weights = np.arange(n_features - 1)
    schur[:, weights, weights] += n_states * precision + 1.0 / prior.mean_sd**2
    return Curvature(inverse, np.linalg.inv(schur))


def newton_step(
    gradient: np.ndarray, parameters: Parameters, prior: Prior, curvature: Curvature
) -> tuple[np.ndarray, np.ndarray]:
    r"""Step in :math:`\theta` and :math:`\mu` from the gradient of the expected log likelihood."""
    theta, mean = parameters.theta, parameters.mean
    precision = 1.0 / prior.weight_sd**2
    pull = precision * (theta[:, :, 1:] - mean)
    gradient = gradient.copy()
    gradient[:, :, 1:] -= pull
    gradient[:, :, 0] -= (theta[:, :, 0] - prior.bias_mean) / prior.bias_sd**2
    step = np.matmul(curvature.inverse, gradient[..., None])[..., 0]
    if curvature.mean_inverse is None:
        return step, np.zeros_like(mean)
    # The mean couples the states; its Schur complement decouples them again.
    mean_gradient = pull.sum(axis=0) - mean / prior.mean_sd**2
    mean_gradient += precision * step[:, :, 1:].sum(axis=0)
    mean_step = np.matmul(curvature.mean_inverse, mean_gradient[..., None])[..., 0]
    step += np.matmul(curvature.inverse[..., 1:], (precision * mean_step)[..., None])[..., 0]
    return step, mean_step


def refreshes(iteration: int) -> bool:
    """Whether the curvature is taken anew: every iteration at first, then ever more rarely."""
    return iteration < 4 or iteration % 5 == 0


def maximise(
    data: Data,
    start: Fit,
    prior: Prior,
    nonlinearity: str,
    *,
    max_iter: int,
    tol: float,
    run: Map,
    on_iteration: Callable[[Fit], None] = lambda fit: None,
) -> Fit:
    """Run EM from a start, or go on with a run where it stopped.

    Parameters
    ----------
    start
        Its parameters; its traces hold the iterations already done, and grow.
    max_iter
        Iterations at most, those already done included.
    tol
        Stop once the objective gains less than this per observed bin, in nats.
    run
        From :func:`parallel_map`.
    on_iteration
        Called with the run so far after every smoothing. A run that goes on from a fit seen at an
        iteration for which :func:`refreshes` is true does exactly what this one will do.
    """
    enough = tol * max(1, int(data.observed.sum()))
    done = start
    current = start.parameters
    step: tuple[np.ndarray, np.ndarray] | None = None
    curvature: Curvature | None = None
    if len(start.objective):  # its last iteration is smoothed again, for the messages
        done = start._replace(objective=start.objective[:-1],
                              log_likelihood=start.log_likelihood[:-1])
    try:
        while len(done.objective) < max_iter:
            emission = emission_log_likelihood(data, current.theta, nonlinearity, run)
            posterior = _hmm.forward_backward(
                current.log_initial, current.log_transition, emission, data.starts
            )
            likelihood = float(posterior.log_likelihood.sum())
            objective = likelihood + log_prior(current, prior)
            if step is not None and not objective >= done.objective[-1]:
                curvature = None
                if max(np.abs(part).max(initial=0.0) for part in step) < SMALLEST_STEP:
                    return done._replace(converged=True)
                step = (0.5 * step[0], 0.5 * step[1])
                current = current._replace(
                    theta=done.parameters.theta + step[0], mean=done.parameters.mean + step[1]
                )
                continue
            done = Fit(
                current,
                np.append(done.objective, objective),
                np.append(done.log_likelihood, likelihood),
            )
            on_iteration(done)
            iteration = len(done.objective) - 1
            if iteration > 0 and done.objective[-1] - done.objective[-2] < enough:
                return done._replace(converged=True)
            probability = posterior.state_probability
            if curvature is None or refreshes(iteration):
                curvature = factorise(
                    fisher_information(data, current.theta, probability, nonlinearity, run), prior
                )
            gradient = expected_gradient(data, current.theta, probability, nonlinearity, run)
            step = newton_step(gradient, current, prior, curvature)
            log_transition, log_initial = update_chain(posterior, data.starts, prior)
            current = Parameters(
                current.theta + step[0], current.mean + step[1], log_transition, log_initial
            )
    except KeyboardInterrupt:
        return done._replace(interrupted=True)
    return done
