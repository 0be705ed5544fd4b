"""What training is to do and how far it is: plain numbers, nothing on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from neurokit_sdr.engines.training.schedules import Plateau

PRECISIONS = ("auto", "float32", "bfloat16")


class Settings(NamedTuple):
    """How to train.

    Attributes
    ----------
    n_epochs
        Passes over the training trials.
    batch_size
        Most trials per step. Batches are made as equal as they can be: 100 trials in batches of
        at most 64 are two of 50.
    learning_rate, learning_rate_schedule
        Adam's peak rate, and its course: see :func:`learning_rates`, or ``"plateau"``.
    kl_weight, kl_schedule, kl_warmup
        What the loss is given to weigh its KL term: see :func:`kl_weights`; ``kl_warmup`` in
        epochs. Validation always uses ``kl_weight`` itself, so that epochs can be compared.
    weight_decay
        Of AdamW, on arrays of two or more dimensions; it shrinks frozen ones, too.
    gradient_clip
        Largest global norm of a gradient; None for any.
    patience
        Epochs after the best one (and after the first rise of the KL weight) before training
        stops; None, or no validation trials, for never.
    precision
        ``"bfloat16"`` products of matrices, ``"float32"``, or ``"auto"``: the first on a GPU. Where
        it moves the first validation loss by more than rounding both factors can, float32 is used.
    average
        Decay per step of a moving average of the weights, which is then what is validated and
        returned; 0 for none.
    """

    n_epochs: int
    batch_size: int
    learning_rate: float
    learning_rate_schedule: str = "constant"
    kl_weight: float = 1.0
    kl_schedule: str = "constant"
    kl_warmup: int = 0
    weight_decay: float = 0.0
    gradient_clip: float | None = None
    patience: int | None = None
    precision: str = "auto"
    average: float = 0.0


class Batches(NamedTuple):
    """Trials in batches of one width.

    Attributes
    ----------
    position
        ``(step, row)``: place in an order of the trials; rows too many repeat one of their batch.
    weight
        ``(step, row)``: 1, or 0 for rows too many.
    """

    position: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, n_trials: int, batch_size: int, n_devices: int) -> Batches:
        """Divide so evenly that sizes differ by one at most, whatever the number of devices."""
        n_steps = -(-n_trials // batch_size)
        edges = np.arange(n_steps + 1) * n_trials // n_steps
        sizes = np.diff(edges)
        width = -(-int(sizes.max()) // n_devices) * n_devices
        row = np.arange(width)
        real = row < sizes[:, None]
        position = edges[:-1, None] + np.where(real, row, 0)
        return cls(position.astype(np.int32), real.astype(np.float32))


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
        rising = settings.kl_warmup if settings.kl_schedule != "constant" else 0
        return self.epoch - 1 - max(self.best_epoch, rising) >= settings.patience
