"""Mean rates on arrays: no labels, no class, no file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import poisson


class Fit(NamedTuple):
    """What counts say of units that are independent and do not change.

    Attributes
    ----------
    mean_count
        Spikes per bin of each unit, shape (unit,).
    log_likelihood
        Nats per bin of the data it was fitted to.
    """

    mean_count: np.ndarray
    log_likelihood: float


def fit(count: np.ndarray, pseudo_count: float) -> Fit:
    """Fit to counts of shape (bin, unit)."""
    mean = (count.sum(axis=0) + pseudo_count) / len(count)
    return Fit(mean, log_likelihood(count, mean))


def log_likelihood(count: np.ndarray, mean_count: np.ndarray) -> float:
    """Return the log probability of counts of shape (bin, unit), in nats per bin."""
    return float(poisson.logpmf(count, mean_count).sum(axis=1).mean())
