r"""Priors of the HMM-GLM, each an object with a log density, its gradient and its curvature.

A prior is on biases and weights, :math:`\theta` of shape (state, target, feature) with the bias
first, and may have a mean of its own, (target, feature - 1), that is fitted with them. One more
prior is one more class here, entered in :data:`PRIORS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np

from neurokit_sdr.analysis.hmm_glm.steps import Direction, PriorCurvature

#: Bounds the objective where the data do not: weights far beyond any measured coupling.
WEAK_WEIGHT_SD = 10.0

#: Of the mean that the Gaussian prior pools states around: the published prior is flat, and a pair
#: of units that never fires together would then have no maximum.
MEAN_SD = 0.4

#: Of each bias around the drive that gives the neuron's mean rate.
BIAS_SD = 6.0

#: One tenth of a pseudo-count keeps every transition and first state possible.
CONCENTRATION = 1.1


class Prior(Protocol):
    """What EM asks of a prior on biases and weights."""

    @property
    def pooled(self) -> bool:
        """Whether the weights have a mean that is fitted with them."""

    @classmethod
    def make(cls, prior_sd: float, scale: np.ndarray, bias_mean: np.ndarray) -> Self:
        """The prior of a model.

        Parameters
        ----------
        prior_sd
            The model's hyper-parameter.
        scale
            Of a weight's standard deviation, 1 for the shortest kernel, shape (feature - 1,).
        bias_mean
            The drive at which each unit fires at its mean rate, shape (target,).
        """

    def log_density(self, theta: np.ndarray, mean: np.ndarray) -> float:
        """Log density, without constants."""

    def gradient(self, theta: np.ndarray, mean: np.ndarray) -> Direction:
        """Gradient of the log density; zeros for a mean that is not fitted."""

    def curvature(self, theta: np.ndarray, mean: np.ndarray) -> PriorCurvature:
        """Second derivatives of minus the log density, none of them negative.

        Where the density is not log-concave, something that is: it shapes a step, and a step that
        lowers the objective is shortened.
        """


class ChainPrior(NamedTuple):
    """Dirichlet priors on the states.

    Attributes
    ----------
    stickiness, concentration
        Transition rows are Dirichlet(concentration + stickiness on the diagonal); the initial
        state is Dirichlet(concentration).
    """

    stickiness: float
    concentration: float = CONCENTRATION


@dataclass(frozen=True)
class NoPrior:
    r""":math:`w_{snd} \sim N(0, \sigma_d^2)`, so wide that it only keeps the objective bounded.

    Attributes
    ----------
    weight_sd
        Of each weight, shape (feature - 1,).
    bias_mean
        Shape (target,).
    bias_sd
        Of each bias.
    """

    weight_sd: np.ndarray
    bias_mean: np.ndarray
    bias_sd: float = BIAS_SD
    pooled: ClassVar[bool] = False

    @classmethod
    def make(cls, prior_sd: float, scale: np.ndarray, bias_mean: np.ndarray) -> Self:
        """The width is not the user's to choose."""
        return cls(WEAK_WEIGHT_SD * scale, bias_mean)

    def log_density(self, theta: np.ndarray, mean: np.ndarray) -> float:
        """Of weights and biases."""
        return _log_normal(self, theta, mean)

    def gradient(self, theta: np.ndarray, mean: np.ndarray) -> Direction:
        """Back to zero."""
        return Direction(-_pull(self, theta, mean), np.zeros_like(mean))

    def curvature(self, theta: np.ndarray, mean: np.ndarray) -> PriorCurvature:
        """Constant."""
        return PriorCurvature(_precision(self), None, None)


@dataclass(frozen=True)
class GaussianPrior:
    r""":math:`w_{snd} \sim N(\mu_{nd}, \sigma_d^2)`: states pooled around a fitted mean.

    Attributes
    ----------
    weight_sd
        Of each weight around its mean, shape (feature - 1,).
    mean_sd
        Of the mean, shape (feature - 1,).
    bias_mean
        Shape (target,).
    bias_sd
        Of each bias.
    """

    weight_sd: np.ndarray
    mean_sd: np.ndarray
    bias_mean: np.ndarray
    bias_sd: float = BIAS_SD
    pooled: ClassVar[bool] = True

    @classmethod
    def make(cls, prior_sd: float, scale: np.ndarray, bias_mean: np.ndarray) -> Self:
        """Weights and their mean are wider for longer kernels alike."""
        return cls(prior_sd * scale, MEAN_SD * scale, bias_mean)

    def log_density(self, theta: np.ndarray, mean: np.ndarray) -> float:
        """Of weights, biases and the mean."""
        return _log_normal(self, theta, mean) - 0.5 * float(np.sum((mean / self.mean_sd) ** 2))

    def gradient(self, theta: np.ndarray, mean: np.ndarray) -> Direction:
        """Weights and mean pull on each other."""
        pull = _pull(self, theta, mean)
        return Direction(-pull, pull[:, :, 1:].sum(axis=0) - mean / self.mean_sd**2)

    def curvature(self, theta: np.ndarray, mean: np.ndarray) -> PriorCurvature:
        """Constant."""
        precision = _precision(self)
        coupling = precision[1:]
        return PriorCurvature(precision, coupling, len(theta) * coupling + 1.0 / self.mean_sd**2)


#: Priors by the word that chooses them.
PRIORS: dict[str, type[Prior]] = {"none": NoPrior, "gaussian": GaussianPrior}


def _log_normal(prior: NoPrior | GaussianPrior, theta: np.ndarray, mean: np.ndarray) -> float:
    density = -0.5 * np.sum(((theta[:, :, 1:] - mean) / prior.weight_sd) ** 2)
    density -= 0.5 * np.sum(((theta[:, :, 0] - prior.bias_mean) / prior.bias_sd) ** 2)
    return float(density)


def _pull(prior: NoPrior | GaussianPrior, theta: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """How much every bias and weight is pulled to its mean, shape (state, target, feature)."""
    pull = np.empty_like(theta)
    pull[:, :, 1:] = (theta[:, :, 1:] - mean) / prior.weight_sd**2
    pull[:, :, 0] = (theta[:, :, 0] - prior.bias_mean) / prior.bias_sd**2
    return pull


def _precision(prior: NoPrior | GaussianPrior) -> np.ndarray:
    return np.concatenate([[1 / prior.bias_sd**2], 1.0 / prior.weight_sd**2])
