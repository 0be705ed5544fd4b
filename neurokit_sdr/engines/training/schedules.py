"""Learning rates and KL weights over training, by name, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Share of all steps over which ``"warmup_cosine"`` raises the learning rate.
WARMUP = 0.05

#: ``"plateau"``: the learning rate is multiplied by FACTOR whenever PATIENCE epochs in a row did
#: not lower the watched loss by a share of THRESHOLD, down to FLOOR.
FACTOR, PATIENCE, THRESHOLD, FLOOR = 0.95, 10, 1e-4, 1e-5


def _constant(step: np.ndarray, total: int) -> np.ndarray:
    return np.ones(step.shape)


def _cosine(step: np.ndarray, total: int) -> np.ndarray:
    return 0.5 * (1 + np.cos(np.pi * step / total))


def _warmup_cosine(step: np.ndarray, total: int) -> np.ndarray:
    rise = max(1, round(WARMUP * total))
    fall = _cosine(np.maximum(step - rise, 0), max(1, total - rise))
    return np.where(step < rise, (step + 1) / rise, fall)


_SHARES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "constant": _constant,
    "cosine": _cosine,
    "warmup_cosine": _warmup_cosine,
    "plateau": _constant,
}

LEARNING_RATE_SCHEDULES = tuple(_SHARES)
KL_SCHEDULES = ("constant", "linear", "cyclical")

#: Those that end with a learning rate of zero: their last epoch is the end of training by design.
ENDING_SCHEDULES = ("cosine", "warmup_cosine")


def learning_rates(
    schedule: str, peak: float, epoch: int, n_epochs: int, n_steps: int
) -> np.ndarray:
    """Return the learning rate of each step of an epoch, with s = epoch n_steps + step, S in all.

    - ``"constant"`` and ``"plateau"``: the peak (what :class:`Plateau` takes off comes on top)
    - ``"cosine"``: peak (1 + cos(pi s / S)) / 2
    - ``"warmup_cosine"``: peak (s + 1) / W for the first W = max(1, round(0.05 S)) steps, then the
      cosine over the others
    """
    step = epoch * n_steps + np.arange(n_steps)
    return (peak * _SHARES[schedule](step, n_epochs * n_steps)).astype(np.float32)


def kl_weights(schedule: str, full: float, warmup: int, epoch: int, n_steps: int) -> np.ndarray:
    """Return the weight of the KL term at each step of an epoch, with e = epoch + step / n_steps.

    - ``"constant"``: full
    - ``"linear"``: full min(1, e / warmup)
    - ``"cyclical"``: the same rise over ``warmup`` epochs and as many at full weight, again and
      again (Fu et al. 2019, arXiv:1903.10145, with half of each cycle rising)
    """
    at = epoch + np.arange(n_steps) / n_steps
    if schedule == "constant" or warmup == 0:
        share = np.ones(n_steps)
    else:
        share = np.minimum(1, (at % (2 * warmup) if schedule == "cyclical" else at) / warmup)
    return (full * share).astype(np.float32)


class Plateau(NamedTuple):
    """What ``"plateau"`` remembers between epochs.

    Attributes
    ----------
    best
        Lowest loss so far.
    waited
        Epochs in a row that were not clearly lower.
    scale
        What the learning rate is multiplied by.
    """

    best: float = np.inf
    waited: int = 0
    scale: float = 1.0

    def after(self, loss: float, peak: float) -> Plateau:
        """Return the memory after one more epoch."""
        # By a share of the size: log likelihoods of counts can have either sign.
        if not np.isfinite(self.best) or loss < self.best - THRESHOLD * abs(self.best):
            return Plateau(loss, 0, self.scale)
        if self.waited < PATIENCE:
            return self._replace(waited=self.waited + 1)
        lowered = max(self.scale * FACTOR, FLOOR / peak)
        return Plateau(self.best, 0, min(self.scale, lowered))
