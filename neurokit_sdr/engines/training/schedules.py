"""Numbers that change over training, learning rates among them, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Share of all steps over which ``"warmup_cosine"`` rises.
WARMUP = 0.05

#: ``"plateau"``: the number is multiplied by FACTOR whenever PATIENCE epochs in a row did not lower
#: the watched loss by a share of THRESHOLD, down to FLOOR.
FACTOR, PATIENCE, THRESHOLD, FLOOR = 0.95, 10, 1e-4, 1e-5


class Moment(NamedTuple):
    """The steps of one epoch: ``step`` counts from the start of training, of ``total`` in all."""

    epoch: int
    step: np.ndarray
    total: int

    @property
    def epochs(self) -> np.ndarray:
        """Epochs that are over, with a fraction inside of one."""
        return self.epoch + np.arange(self.step.size) / self.step.size


def _constant(at: Moment, rise: int) -> np.ndarray:
    return np.ones(at.step.size)


def _cosine(at: Moment, rise: int) -> np.ndarray:
    return _fall(at.step, at.total)


def _fall(step: np.ndarray, total: int) -> np.ndarray:
    return 0.5 * (1 + np.cos(np.pi * step / total))


def _warmup_cosine(at: Moment, rise: int) -> np.ndarray:
    steps = max(1, round(WARMUP * at.total))
    fall = _fall(np.maximum(at.step - steps, 0), max(1, at.total - steps))
    return np.where(at.step < steps, (at.step + 1) / steps, fall)


def _linear(at: Moment, rise: int) -> np.ndarray:
    return np.minimum(1, at.epochs / rise) if rise else _constant(at, rise)


def _cyclical(at: Moment, rise: int) -> np.ndarray:
    return np.minimum(1, (at.epochs % (2 * rise)) / rise) if rise else _constant(at, rise)


#: What a schedule's value is multiplied by at each step of an epoch.
COURSES: dict[str, Callable[[Moment, int], np.ndarray]] = {
    "constant": _constant,
    "linear": _linear,
    "cyclical": _cyclical,
    "cosine": _cosine,
    "warmup_cosine": _warmup_cosine,
    "plateau": _constant,
}

#: Those that end at zero: for a learning rate the last epoch is the end of training by design.
ENDING = ("cosine", "warmup_cosine")

#: Those that rise over ``rise`` epochs.
RISING = ("linear", "cyclical")


class Schedule(NamedTuple):
    """One number over training, with s = epoch n_steps + step, of S in all, and e = s / n_steps.

    - ``"constant"``: value
    - ``"linear"``: value min(1, e / rise)
    - ``"cyclical"``: the same rise, as many epochs at full value, again and again (Fu et al. 2019,
      arXiv:1903.10145, with half of each cycle rising)
    - ``"cosine"``: value (1 + cos(pi s / S)) / 2
    - ``"warmup_cosine"``: value (s + 1) / W for the first W = max(1, round(0.05 S)) steps, then the
      cosine over the others
    - ``"plateau"``, of learning rates: value, and what :class:`Plateau` takes off

    Attributes
    ----------
    value
        At its full; validation always uses it, so that epochs can be compared.
    course
        One of the above.
    rise
        Epochs.
    """

    value: float
    course: str = "constant"
    rise: int = 0

    def during(self, epoch: int, n_epochs: int, n_steps: int) -> np.ndarray:
        """Return the number at each step of an epoch, float32, shape (n_steps,)."""
        at = Moment(epoch, epoch * n_steps + np.arange(n_steps), n_epochs * n_steps)
        return (self.value * COURSES[self.course](at, self.rise)).astype(np.float32)


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
