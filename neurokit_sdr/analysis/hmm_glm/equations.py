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
moves :math:`\theta` and :math:`\mu` by one Newton step with exact gradient, lengthened by what past
steps taught (:func:`accelerated_step`). A step that lowers the objective is replaced by a shorter
one, so it never falls (generalised EM, Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neurokit_sdr.analysis.hmm_glm.data import Data
from neurokit_sdr.core.threads import Map
from neurokit_sdr.engines import hmm as _hmm
from neurokit_sdr.engines.poisson import rates as _rates

#: Elements of one chunk of drives: small enough for the cache, large enough for BLAS.
CHUNK = 1 << 17

#: State probabilities below this change no sum by more than rounding does.
NEGLIGIBLE = 1e-12

#: Past steps that the next one learns from.
MEMORY = 8

#: An accelerated step more often the Newton step's size than this has learned from noise.
LONGEST_STEP = 30.0

#: A step that still lowers the objective at this size is rounding: EM has converged.
SMALLEST_STEP = 1e-10


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


def emission_log_likelihood(
    data: Data, theta: np.ndarray, nonlinearity: str, run: Map
) -> np.ndarray:
    r"""Return :math:`\log p(x_t \mid z_t = s, h_t)`, shape (time, state); 0 in missing bins."""
    n_states, n_units, n_features = theta.shape
    flat = np.ascontiguousarray(theta.reshape(n_states * n_units, n_features).T)
    out = np.zeros((len(data.counts), n_states))

    def fill(rows: slice) -> None:
        rate = _rates.rates(data.design[rows] @ flat, nonlinearity)
        out[data.active[rows]] = _rates.poisson_log_likelihood(
            rate, data.active_spikes[rows], n_states
        )

    run(fill, chunks(len(data.active), n_states * n_units))
    baseline = _rates.rates(theta[:, :, 0].copy(), nonlinearity)
    out[data.silent] = data.silent_spikes @ np.log(baseline).T - baseline.sum(axis=1)
    out -= data.log_factorial[:, None]
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
            slope, _ = _rates.derivatives(x @ weights.T, data.active_counts[chosen], nonlinearity)
            slope *= p[chosen, None]
            return slope.T @ x

        for g in run(part, chunks(len(rows), theta.shape[1])):
            gradient[s] += g
    mass, mean = _silent_means(data, probability)
    slope, _ = _rates.derivatives(theta[:, :, 0].copy(), mean, nonlinearity)
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
            _, weight = _rates.derivatives(x @ weights.T, data.active_counts[chosen], nonlinearity)
            weight *= p[chosen, None]
            return weight.T @ _rates.products(x)

        packed = np.zeros((n_units, len(above)))
        for i in run(part, chunks(len(sample), len(above))):
            packed += i
        mass = p[sample].sum()
        packed *= p[rows].sum() / mass if mass > 0 else 1.0
        information[s][:, above, left] = packed
        information[s][:, left, above] = packed
    mass, mean = _silent_means(data, probability)
    _, weight = _rates.derivatives(theta[:, :, 0].copy(), mean, nonlinearity)
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


class Direction(NamedTuple):
    """A gradient or a step in everything that the M-step moves.

    Attributes
    ----------
    theta
        Shape (state, target, feature).
    mean
        Shape (target, feature - 1).
    """

    theta: np.ndarray
    mean: np.ndarray

    def plus(self, other: Direction, factor: float) -> Direction:
        return Direction(self.theta + factor * other.theta, self.mean + factor * other.mean)

    def size(self) -> float:
        """Largest change of any one number."""
        return float(max(np.abs(part).max(initial=0.0) for part in self))

    def scaled(self, factor: float) -> Direction:
        return Direction(factor * self.theta, factor * self.mean)

    def dot(self, other: Direction) -> float:
        return float(np.vdot(self.theta, other.theta) + np.vdot(self.mean, other.mean))


def add_prior_gradient(gradient: np.ndarray, parameters: Parameters, prior: Prior) -> Direction:
    """Gradient of the log posterior from that of the log likelihood."""
    theta, mean = parameters.theta, parameters.mean
    pull = (theta[:, :, 1:] - mean) / prior.weight_sd**2
    gradient = gradient.copy()
    gradient[:, :, 1:] -= pull
    gradient[:, :, 0] -= (theta[:, :, 0] - prior.bias_mean) / prior.bias_sd**2
    if not prior.pooled:
        return Direction(gradient, np.zeros_like(mean))
    return Direction(gradient, pull.sum(axis=0) - mean / prior.mean_sd**2)


def newton_step(gradient: Direction, prior: Prior, curvature: Curvature) -> Direction:
    """Multiply a gradient by the inverse curvature."""
    step = np.matmul(curvature.inverse, gradient.theta[..., None])[..., 0]
    if curvature.mean_inverse is None:
        return Direction(step, np.zeros_like(gradient.mean))
    # The mean couples the states; its Schur complement decouples them again.
    precision = 1.0 / prior.weight_sd**2
    right = gradient.mean + precision * step[:, :, 1:].sum(axis=0)
    mean_step = np.matmul(curvature.mean_inverse, right[..., None])[..., 0]
    step += np.matmul(curvature.inverse[..., 1:], (precision * mean_step)[..., None])[..., 0]
    return Direction(step, mean_step)


class Pair(NamedTuple):
    """A step that was taken, and how much the gradient fell along it."""

    step: Direction
    fall: Direction


def accelerated_step(
    gradient: Direction, pairs: list[Pair], prior: Prior, curvature: Curvature
) -> Direction:
    """Newton step corrected by past steps: L-BFGS whose first guess is the inverse curvature.

    The curvature is that of known states, more than that of the objective where states are
    uncertain; there plain EM crawls, and the past steps tell how much to lengthen the next
    (Lange 1995, Statistica Sinica 5, 1-18).
    """
    ahead = gradient
    factors = []
    for step, fall in reversed(pairs):
        factor = step.dot(ahead) / step.dot(fall)
        factors.append(factor)
        ahead = ahead.plus(fall, -factor)
    ahead = newton_step(ahead, prior, curvature)
    for (step, fall), factor in zip(pairs, reversed(factors), strict=True):
        ahead = ahead.plus(step, factor - fall.dot(ahead) / step.dot(fall))
    return ahead


def refreshes(iteration: int) -> bool:
    """Whether the curvature is taken anew: past steps make up for its age."""
    return iteration in (2, 6) or resumable(iteration)


def resumable(iteration: int) -> bool:
    """Whether an iteration starts from the parameters alone, so that a fit can go on from it."""
    return iteration % 20 == 0


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
        Stop once the objective twice gains no more than this per observed bin, in nats.
    run
        Maps over chunks, as :func:`~neurokit_sdr.core.threads.parallel_map` makes.
    on_iteration
        Called with the run so far after every iteration. A run that goes on from a fit seen at an
        iteration for which :func:`resumable` is true does exactly what this one will do.
    """
    enough = tol * max(1, int(data.observed.sum()))
    done = start
    current = start.parameters
    step: Direction | None = None
    shorter = Direction(np.zeros(0), np.zeros(0))
    last: tuple[Direction, Direction] | None = None
    pairs: list[Pair] = []
    curvature: Curvature | None = None
    if len(start.objective):  # its last iteration is smoothed again, for the messages
        done = start._replace(
            objective=start.objective[:-1], log_likelihood=start.log_likelihood[:-1]
        )
    try:
        while len(done.objective) < max_iter:
            emission = emission_log_likelihood(data, current.theta, nonlinearity, run)
            posterior = _hmm.forward_backward(
                current.log_initial, current.log_transition, emission, data.starts, run
            )
            likelihood = float(posterior.log_likelihood.sum())
            objective = likelihood + log_prior(current, prior)
            if step is not None and not objective >= done.objective[-1]:
                if not step.size() >= SMALLEST_STEP:
                    return done._replace(converged=True)
                # What led here is forgotten: the next try is a plain Newton step, ever shorter.
                step, shorter = shorter, shorter.scaled(0.5)
                pairs, curvature, last = [], None, None
                current = current._replace(
                    theta=done.parameters.theta + step.theta, mean=done.parameters.mean + step.mean
                )
                continue
            done = Fit(
                current,
                np.append(done.objective, objective),
                np.append(done.log_likelihood, likelihood),
            )
            on_iteration(done)
            iteration = len(done.objective) - 1
            # Twice, because one step of an accelerated run can be small by chance.
            if iteration > 1 and (np.diff(done.objective[-3:]) <= enough).all():
                return done._replace(converged=True)
            if len(done.objective) == max_iter:
                return done
            if resumable(iteration):
                pairs, curvature, last = [], None, None
            probability = posterior.state_probability
            if curvature is None or refreshes(iteration):
                curvature = factorise(
                    fisher_information(data, current.theta, probability, nonlinearity, run), prior
                )
            gradient = add_prior_gradient(
                expected_gradient(data, current.theta, probability, nonlinearity, run),
                current,
                prior,
            )
            if last is not None:
                fall = last[1].plus(gradient, -1.0)
                if last[0].dot(fall) > 0:
                    pairs = [*pairs, Pair(last[0], fall)][-MEMORY:]
            step = newton = newton_step(gradient, prior, curvature)
            shorter = newton.scaled(0.5)
            if pairs:
                longer = accelerated_step(gradient, pairs, prior, curvature)
                if longer.size() < LONGEST_STEP * newton.size():
                    step, shorter = longer, newton
            last = (step, gradient)
            log_transition, log_initial = update_chain(posterior, data.starts, prior)
            current = Parameters(
                current.theta + step.theta, current.mean + step.mean, log_transition, log_initial
            )
    except KeyboardInterrupt:
        return done._replace(interrupted=True)
    return done
