"""Newton steps on biases and weights, and what past steps teach about the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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


class PriorCurvature(NamedTuple):
    """What a prior adds to the negative Hessian of the objective.

    Attributes
    ----------
    theta
        To its diagonal, of a shape that broadcasts to (state, target, feature).
    coupling
        Minus the mixed derivative of each state's weight and its mean, (feature - 1,) or (target,
        feature - 1); None if no mean is fitted.
    mean
        Second derivative in the mean, of such a shape too.
    """

    theta: np.ndarray
    coupling: np.ndarray | None
    mean: np.ndarray | None


class Curvature(NamedTuple):
    """Factors that turn a gradient into a Newton step.

    Attributes
    ----------
    inverse
        Of the negative Hessian in theta alone, shape (state, target, feature, feature).
    coupling
        As of :class:`PriorCurvature`.
    mean_inverse
        Inverse of its Schur complement for the mean, shape (target, feature - 1, feature - 1).
    """

    inverse: np.ndarray
    coupling: np.ndarray | None = None
    mean_inverse: np.ndarray | None = None


def factorise(information: np.ndarray, prior: PriorCurvature) -> Curvature:
    """Add the prior's curvature to the data's and invert."""
    n_features = information.shape[-1]
    diagonal = np.arange(n_features)
    curvature = information.copy()
    curvature[:, :, diagonal, diagonal] += prior.theta
    inverse = np.linalg.inv(curvature)
    coupling = prior.coupling
    if coupling is None:
        return Curvature(inverse)
    schur = -coupling[..., None] * inverse[:, :, 1:, 1:].sum(axis=0) * coupling[..., None, :]
    weights = np.arange(n_features - 1)
    schur[:, weights, weights] += prior.mean
    return Curvature(inverse, coupling, np.linalg.inv(schur))


def newton_step(gradient: Direction, curvature: Curvature) -> Direction:
    """Multiply a gradient by the inverse curvature."""
    step = np.matmul(curvature.inverse, gradient.theta[..., None])[..., 0]
    coupling, mean_inverse = curvature.coupling, curvature.mean_inverse
    if coupling is None or mean_inverse is None:
        return Direction(step, np.zeros_like(gradient.mean))
    # The mean couples the states; its Schur complement decouples them again.
    right = gradient.mean + coupling * step[:, :, 1:].sum(axis=0)
    mean_step = np.matmul(mean_inverse, right[..., None])[..., 0]
    step += np.matmul(curvature.inverse[..., 1:], (coupling * mean_step)[..., None])[..., 0]
    return Direction(step, mean_step)


class Pair(NamedTuple):
    """A step that was taken, and how much the gradient fell along it."""

    step: Direction
    fall: Direction


def accelerated_step(gradient: Direction, pairs: list[Pair], curvature: Curvature) -> Direction:
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
    ahead = newton_step(ahead, curvature)
    for (step, fall), factor in zip(pairs, reversed(factors), strict=True):
        ahead = ahead.plus(step, factor - fall.dot(ahead) / step.dot(fall))
    return ahead
