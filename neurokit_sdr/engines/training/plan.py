"""What training is to do and how far it is: plain numbers, nothing on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from neurokit_sdr.engines.training.optimiser import Group, named_groups
from neurokit_sdr.engines.training.schedules import ENDING, RISING, Plateau, Schedule

PRECISIONS = ("auto", "float32", "bfloat16")


class Settings(NamedTuple):
    """How to train.

    Attributes
    ----------
    n_epochs
        Passes over the training rows.
    batch_size
        Most rows per step. Batches are made as equal as they can be: 100 rows in batches of at
        most 64 are two of 50.
    groups
        How the weights move: one :class:`Group` for all, or several by name.
    label
        Of several groups, ``label(name) -> group``: that of an array of weights, by its name such
        as ``encoder.layers.0.weight``.
    schedules
        Numbers that the loss is given by name at each step, such as a weight of one of its terms.
    patience
        Epochs after the best one (and after the last rise of a schedule) before training stops;
        None, or no validation rows, for never.
    precision
        ``"bfloat16"`` products of matrices, ``"float32"``, or ``"auto"``: the first on a GPU. Where
        it moves the first validation loss by more than rounding both factors can, float32 is used.
    average
        Decay per step of a moving average of the weights, which is then what is validated and
        returned; 0 for none.
    """

    n_epochs: int
    batch_size: int
    groups: Group | Mapping[str, Group]
    label: Callable[[str], str] | None = None
    schedules: Mapping[str, Schedule] = MappingProxyType({})
    patience: int | None = None
    precision: str = "auto"
    average: float = 0.0

    @property
    def rises_until(self) -> int:
        """The epoch in which the last rise of a schedule of the loss ends."""
        return max((s.rise for s in self.schedules.values() if s.course in RISING), default=0)

    @property
    def ends_at_zero(self) -> bool:
        """Whether all learning rates come down to zero."""
        courses = [g.learning_rate.course for g in named_groups(self.groups).values()]
        return all(course in ENDING for course in courses)

    @property
    def plateau_peak(self) -> float | None:
        """The largest learning rate that waits on plateaus, or None."""
        rates = [g.learning_rate for g in named_groups(self.groups).values()]
        return max((r.value for r in rates if r.course == "plateau"), default=None)


class Progress:
    """Where training is, as plain numbers: everything besides arrays on devices."""

    def __init__(self) -> None:
        self.epoch = 0
        self.step = 0
        self.best_epoch = -1
        self.best_loss = np.inf
        self.plateau = Plateau()
        self.keeps_bfloat16 = True
        self.history: dict[str, list[float]] = {}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays, for a checkpoint."""
        numbers = [self.epoch, self.step, self.best_epoch, self.best_loss, self.keeps_bfloat16]
        history = {f"history/{k}": np.array(v) for k, v in self.history.items()}
        return {"progress": np.array([*numbers, *self.plateau], dtype=np.float64), **history}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Progress:
        """Undo :meth:`to_arrays`; other arrays are passed over."""
        made = cls()
        epoch, step, best, loss, kept, lowest, waited, scale = arrays["progress"].tolist()
        made.epoch, made.step, made.best_epoch = int(epoch), int(step), int(best)
        made.best_loss, made.keeps_bfloat16 = loss, bool(kept)
        made.plateau = Plateau(lowest, int(waited), scale)
        prefix = "history/"
        made.history = {
            k.removeprefix(prefix): v.tolist() for k, v in arrays.items() if k.startswith(prefix)
        }
        return made

    def summary(self) -> str:
        """Return loss and validation of the last epoch in words."""
        named = {"loss": "loss", "validation_loss": "validation"}
        found = {words: self.history[n][-1] for n, words in named.items() if n in self.history}
        return ", ".join(f"{words} {value:.4g}" for words, value in found.items())

    def out_of_patience(self, settings: Settings) -> bool:
        """Whether the best epoch lies too far back to go on."""
        if settings.patience is None or self.best_epoch < 0:
            return False
        return self.epoch - 1 - max(self.best_epoch, settings.rises_until) >= settings.patience
