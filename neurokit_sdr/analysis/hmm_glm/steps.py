"""Newton steps on biases and weights, and what past steps teach about the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurokit_sdr.analysis.hmm_glm.equations import Parameters, Prior


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
