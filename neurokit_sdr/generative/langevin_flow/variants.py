"""The two variants of the flow behind one argument: the paper's model, and the released code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import numpy as np

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.engines.training.optimiser import Group
from neurokit_sdr.engines.training.schedules import Schedule
from neurokit_sdr.generative.langevin_flow.equations import N_GROUPS
from neurokit_sdr.generative.langevin_flow.network import Flow, Loss, Sizes
from neurokit_sdr.generative.langevin_flow.released import ReleasedFlow


class Variant(ABC):
    """A network and how it is trained.

    Attributes
    ----------
    hidden_multiple
        What ``n_hidden`` is a multiple of.
    takes_covariates
        Whether the network knows covariates.
    average
        Decay per step of the averaged weights that are kept; 0 for none.
    """

    hidden_multiple: ClassVar[int]
    takes_covariates: ClassVar[bool]
    average: ClassVar[float]

    def check_sizes(self, n_latents: int, n_hidden: int, covariates: Sequence[str] | None) -> None:
        """Raise :class:`ParameterError` where a network of that kind cannot be so large."""
        if n_latents % N_GROUPS:
            raise ParameterError(
                f"Expected n_latents as a multiple of {N_GROUPS}, the groups that couple, got "
                f"{n_latents}."
            )
        multiple = self.hidden_multiple
        if n_hidden % multiple:
            raise ParameterError(
                f"Expected n_hidden as a multiple of {multiple} (attention has two heads), got "
                f"{n_hidden}."
            )
        if covariates and not self.takes_covariates:
            raise ParameterError(
                f"Expected no covariates with variant='released', which has none, got "
                f"{covariates!r}: use variant='paper'."
            )

    @abstractmethod
    def network(
        self,
        key: jax.Array,
        sizes: Sizes,
        log_mean: np.ndarray,
        *,
        latent_path: str,
        time_step: float,
        dropout: float,
    ) -> Any:
        """Draw a network of these sizes; where it can, rates start at the mean counts."""

    @abstractmethod
    def loss(self, sizes: Sizes, n_forward: int, *, keep: float, crop: float) -> Loss:
        """The loss, as :class:`Loss` has it."""

    @abstractmethod
    def group(self, learning_rate: float) -> Group:
        """How the weights move."""

    @abstractmethod
    def kl_weight(self, full: float, n_epochs: int) -> Schedule:
        """The weight of the divergence over the training."""


class Paper(Variant):
    """The model that :class:`LangevinFlow` describes."""

    hidden_multiple = 2
    takes_covariates = True
    average = 0.995

    #: Share of the training over which the KL weight rises.
    rise = 0.2
    #: Largest norm of a gradient.
    gradient_clip = 1.0

    def network(
        self,
        key: jax.Array,
        sizes: Sizes,
        log_mean: np.ndarray,
        *,
        latent_path: str,
        time_step: float,
        dropout: float,
    ) -> Flow:
        """See :class:`Variant`."""
        return Flow.init(key, sizes, log_mean, latent_path, time_step, dropout)

    def loss(self, sizes: Sizes, n_forward: int, *, keep: float, crop: float) -> Loss:
        """See :class:`Variant`."""
        return Loss(sizes.n_inputs, n_forward, keep, crop, kl_per_trial=False)

    def group(self, learning_rate: float) -> Group:
        """See :class:`Variant`."""
        rate = Schedule(learning_rate, "warmup_cosine")
        return Group(rate, gradient_clip=self.gradient_clip)

    def kl_weight(self, full: float, n_epochs: int) -> Schedule:
        """See :class:`Variant`."""
        return Schedule(full, "linear", round(self.rise * n_epochs))


class Released(Variant):
    """The authors' code as it is: its network, and its training without crops, clip or average."""

    hidden_multiple = N_GROUPS
    takes_covariates = False
    average = 0.0

    #: Epochs over which the KL weight rises.
    rise = 500
    #: Damping per step.
    damping = 0.55

    def network(
        self,
        key: jax.Array,
        sizes: Sizes,
        log_mean: np.ndarray,
        *,
        latent_path: str,
        time_step: float,
        dropout: float,
    ) -> ReleasedFlow:
        """See :class:`Variant`; it has a step of its own."""
        return ReleasedFlow.init(key, sizes, latent_path, self.damping, dropout)

    def loss(self, sizes: Sizes, n_forward: int, *, keep: float, crop: float) -> Loss:
        """See :class:`Variant`."""
        return Loss(sizes.n_inputs, n_forward, keep, 0.0, kl_per_trial=True)

    def group(self, learning_rate: float) -> Group:
        """See :class:`Variant`."""
        return Group(Schedule(learning_rate, "plateau"))

    def kl_weight(self, full: float, n_epochs: int) -> Schedule:
        """See :class:`Variant`."""
        return Schedule(full, "linear", self.rise)


#: By the word of the hyper-parameter.
VARIANTS: dict[str, Variant] = {"paper": Paper(), "released": Released()}
