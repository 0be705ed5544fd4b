"""Why values are not finite: which term of the loss, which weights, which trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from neurokit_sdr.engines.training.weights import leaf_name

REMEDY = "Lower learning_rate, set gradient_clip, or look for extreme values in the data."

#: Most trials that a message describes.
SHOWN = 3


class Look(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    values
        The loss and its terms.
    gradients
        Names of the weights whose gradient is not finite, or too large for its norm to be.
    """

    values: dict[str, float]
    gradients: list[str]

    @classmethod
    def of(cls, values: Mapping[str, Any], finite: Any) -> Look:
        """From what :func:`steps.inspect` returns."""
        paths = jax.tree_util.tree_leaves_with_path(jax.device_get(finite))
        bad = [leaf_name(path) for path, good in paths if not good]
        return cls({name: float(value) for name, value in jax.device_get(values).items()}, bad)

    @property
    def failed(self) -> bool:
        """Whether training cannot go on. A term that only reports may be NaN."""
        return bool(self.gradients) or not np.isfinite(self.values["loss"])

    def describe(self) -> str:
        """Say what is not finite, the terms of the loss first."""
        terms = {n: v for n, v in self.values.items() if n != "loss" and not np.isfinite(v)}
        if np.isfinite(self.values["loss"]):
            return f"the loss is finite, its gradient is not, in {', '.join(self.gradients)}"
        if terms:
            return " and ".join(f"term {name!r} of the loss is {v}" for name, v in terms.items())
        return f"the loss is {self.values['loss']} though each of its terms is finite"


def cause(
    look: Callable[[np.ndarray], Look],
    trials: np.ndarray,
    take: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    which: str,
) -> str | None:
    """Say why a batch is not finite; None if it is.

    Parameters
    ----------
    look
        Gives what a batch of these trials gives.
    trials
        ``(row)``: those of the batch.
    take
        Gives the values of such trials.
    which
        ``"training"`` or ``"validation"``.
    """
    whole = look(trials)
    if not whole.failed:
        return None
    members = np.unique(trials).tolist()
    # Rows of weight 0 cannot stand in: nothing times infinity is not nothing.
    guilty = [trial for trial in members if look(np.full_like(trials, trial)).failed]
    if not guilty:
        blame = f"No single {which} trial gives it."
    elif len(guilty) == len(members) > 1:
        blame = f"Every {which} trial of the batch gives it."
    else:
        rows = "; ".join(f"trial {t}: {_describe(take(np.array([t])))}" for t in guilty[:SHOWN])
        more = f" and {len(guilty) - SHOWN} others" if len(guilty) > SHOWN else ""
        blame = f"Alone it comes from {which} {rows}{more}."
    return f"{whole.describe()}. {blame} {REMEDY}"


def _describe(trial: Mapping[str, np.ndarray]) -> str:
    """The largest value of each array of one trial, or that some are not finite."""
    parts = []
    for name, row in trial.items():
        if row.dtype.kind not in "iuf" or row.size == 0:
            continue
        bad = int((~np.isfinite(row)).sum())
        size = np.abs(row.astype(np.float64)).max()
        found = f"has {bad} values that are not finite" if bad else f"reaches {size:.3g}"
        parts.append(f"{name!r} {found}")
    return ", ".join(parts)
