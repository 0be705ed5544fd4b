"""Which neurons are alike, from their counts alone: what splits are proposed by.

Proposals may depend on the data in any way, because those do not change; they must not depend on
the part of the chain's state that a move changes.
"""

from __future__ import annotations

import numpy as np

from neurokit_sdr.analysis.biclustering.equations import Counts

#: Lags in bins over which neurons are compared. Spiking noise is independent from bin to bin, so a
#: neuron's own variance is read at other lags than 0.
_LAGS = (0, 1, 2, 3)


def likeness(data: Counts) -> np.ndarray:
    """Covariance of the neurons' slow changes, as logarithms of counts show it, (unit, unit)."""
    level = np.log1p(np.where(data.observed, data.spikes, 0.0))
    seen = data.observed.sum(axis=0)
    mean = np.where(data.observed, level, 0.0).sum(axis=0) / np.maximum(seen, 1)
    change = np.where(data.observed, level - mean, 0.0)
    trial = np.searchsorted(data.starts, np.arange(data.starts[-1]), side="right")
    total = np.zeros((change.shape[1],) * 2)
    pairs = np.zeros_like(total)
    own = 1.0 - np.eye(len(total))
    for lag in _LAGS:
        later = np.flatnonzero(trial[lag:] == trial[: len(trial) - lag]) + lag
        product = change[later].T @ change[later - lag]
        use = own if lag == 0 else 1.0
        total += use * (product + product.T) / 2
        pairs += use * len(later)
    return total / np.maximum(pairs, 1)


def chances_to_leave(alike: np.ndarray, stays: int, leaves: int, others: np.ndarray) -> np.ndarray:
    """Return the probability of each other unit of a cluster to go with the second of two units.

    Those go that are alike to it and those like it: more than to the first, and more than a bound,
    so that a third group stays where it is. Some chance is left open for each.
    """
    if not len(others):
        return np.zeros(0)
    members = np.r_[stays, leaves, others]
    spread = np.sqrt(np.maximum(np.diag(alike)[members], 1e-12))
    likes = np.clip(alike[np.ix_(members, members)] / spread[:, None] / spread, -1.0, 1.0)
    first = np.zeros(len(members), dtype=bool)
    second = first.copy()
    first[0] = second[1] = True
    for _ in range(_ROUNDS):
        to_first, to_second = likes[:, first].mean(axis=1), likes[:, second].mean(axis=1)
        lead = to_second - np.maximum(to_first, _LEAST_LIKENESS)
        second = lead > 0
        first = to_first > np.maximum(to_second, _LEAST_LIKENESS)
        first[:2], second[:2] = (True, False), (False, True)
    sure = 1 / (1 + np.exp(-_SHARPNESS * lead[2:]))
    return _OPEN + (1 - 2 * _OPEN) * sure


_ROUNDS = 5
_LEAST_LIKENESS = 0.35
_SHARPNESS = 15.0
_OPEN = 0.02


def directions(alike: np.ndarray, units: np.ndarray, n_factors: int) -> np.ndarray:
    """Return an orthonormal basis, (unit of the group, direction), in which loadings should lie.

    The first is the same for all, because offsets and mean trajectories may be exchanged with
    factors; then come the main directions of what the group shares besides.
    """
    n = len(units)
    same = np.full((n, 1), n**-0.5)
    if n == 1:
        return same
    centred = np.eye(n) - same @ same.T
    _, vectors = np.linalg.eigh(centred @ alike[np.ix_(units, units)] @ centred)
    basis, _ = np.linalg.qr(np.hstack([same, vectors[:, ::-1][:, :n_factors]]))
    return basis[:, : min(n, 1 + n_factors)]
