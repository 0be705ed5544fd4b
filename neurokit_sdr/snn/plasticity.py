r"""Rules by which pairs of spikes change weights.

A presynaptic spike leaves a trace that decays with ``tau_pre``, a postsynaptic spike one that
decays with ``tau_post``; delays count to the presynaptic side, so that what matters is when the
spike *arrives*. With the arrival at :math:`t_i` and the postsynaptic spike at :math:`t_j`,

.. math::

   \Delta w = \begin{cases} A_+\, e^{-(t_j - t_i)/\tau_{pre}} & t_i < t_j \\
              A_-\, e^{-(t_i - t_j)/\tau_{post}} & t_i \ge t_j \end{cases}
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurokit_sdr.core.errors import ParameterError


@dataclass(frozen=True)
class PairRule:
    r"""Additive pair rule with bounds; all pairs, or only the nearest.

    Attributes
    ----------
    tau_pre, tau_post
        Time constants of the traces, s.
    potentiation
        :math:`A_+`, applied at a postsynaptic spike times the presynaptic trace; weight units.
    depression
        :math:`A_-`, negative to depress, applied at an arrival times the postsynaptic trace.
    arrival
        A constant added at every arrival.
    low, high
        Bounds of the weight.
    sources, targets, receptor
        Which synapses learn: those between these populations (None: all) onto this receptor (0
        excitatory, 1 inhibitory).
    nearest
        A spike sets its trace to 1 instead of adding 1: only the nearest pairs count.
    update_interval
        None changes weights at once. Else changes gather for that many seconds; then the weight
        grows by them and ``drift``, and ``keep`` of them remains (Izhikevich 2006).
    drift, keep
        See above.
    """

    tau_pre: float = 0.02
    tau_post: float = 0.02
    potentiation: float = 0.01
    depression: float = -0.0105
    arrival: float = 0.0
    low: float = 0.0
    high: float = 1.0
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    receptor: int = 0
    nearest: bool = False
    update_interval: float | None = None
    drift: float = 0.0
    keep: float = 0.0

    def check(self) -> None:
        """Raise :class:`ParameterError` where a value is out of range."""
        numbers = (
            self.tau_pre, self.tau_post, self.potentiation, self.depression,
            self.arrival, self.low, self.high, self.drift, self.keep,
        )  # fmt: skip
        if not np.isfinite(numbers).all():
            raise ParameterError(f"Expected finite parameters of plasticity, got {self!r}.")
        if self.tau_pre <= 0 or self.tau_post <= 0:
            raise ParameterError(
                f"Expected tau_pre and tau_post > 0 s, got {self.tau_pre} and {self.tau_post}."
            )
        if self.update_interval is not None and not 0 < self.update_interval < np.inf:
            raise ParameterError(
                f"Expected update_interval > 0 s, or None for changes at once, got "
                f"{self.update_interval!r}."
            )
        if self.low >= self.high:
            raise ParameterError(f"Expected low < high, got {self.low} and {self.high}.")
        if self.receptor not in (0, 1):
            raise ParameterError(f"Expected receptor 0 or 1, got {self.receptor!r}.")


def vogels_rule(
    rate: float,
    learning_rate: float,
    tau: float,
    high: float,
    sources: tuple[str, ...],
    targets: tuple[str, ...] | None = None,
) -> PairRule:
    r"""Inhibitory plasticity that brings targets to a rate (Vogels et al. 2011,
    doi:10.1126/science.1211095).

    .. math:: \Delta w = \eta\,(x_{post} - 2\rho_0\tau) \text{ at an arrival}, \quad
              \Delta w = \eta\, x_{pre} \text{ at a postsynaptic spike}

    Parameters
    ----------
    rate
        :math:`\rho_0`, Hz.
    learning_rate
        :math:`\eta`, weight units.
    tau
        s.
    high
        Largest weight; the smallest is 0.
    sources
        Inhibitory populations.
    targets
        Populations whose rate is to be brought to the target; None: all.
    """
    return PairRule(
        tau_pre=tau,
        tau_post=tau,
        potentiation=learning_rate,
        depression=learning_rate,
        arrival=-2 * rate * tau * learning_rate,
        high=high,
        sources=sources,
        targets=targets,
        receptor=1,
    )
