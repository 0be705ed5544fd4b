r"""What draws of partitions agree upon, whatever their labels are.

References
----------
Wade, Ghahramani (2018), Bayesian cluster analysis: point estimation and credible balls. Bayesian
Analysis 13. Meilă (2007), Comparing clusterings. Journal of Multivariate Analysis 98.
Binder (1978), Bayesian cluster analysis. Biometrika 65.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numba
import numpy as np

from neurokit_sdr.analysis.biclustering.partition import relabelled

Loss = Literal["variation_of_information", "binder"]

#: Candidates that are improved one item at a time, the best of the draws first.
_IMPROVED = 5


def together(draws: np.ndarray) -> np.ndarray:
    """Return the share of draws, shape (draw, item), in which each two items share a label."""
    n_items = draws.shape[1]
    total = np.zeros((n_items, n_items))
    for labels in draws:
        total += labels[:, None] == labels
    return total / len(draws)


def distance(one: np.ndarray, other: np.ndarray, loss: Loss = "variation_of_information") -> float:
    r"""Return how far two partitions lie apart.

    Parameters
    ----------
    one, other
        Labels, shape (item,).
    loss
        ``"variation_of_information"``: :math:`2 H(a, b) - H(a) - H(b)` in nats.
        ``"binder"``: the share of pairs of items that are together in one and apart in the other.
    """
    table = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(table, (one, other), 1.0)
    return float(_distance(table, loss == "binder"))


class Point(NamedTuple):
    """One partition for all draws.

    Attributes
    ----------
    label
        Shape (item,), from 0 in order of appearance.
    expected_loss
        Mean distance of the draws from it.
    radius
        Distance within which 95 % of the draws lie: the credible ball around it.
    """

    label: np.ndarray
    expected_loss: float
    radius: float


def point_partition(draws: np.ndarray, loss: Loss = "variation_of_information") -> Point:
    """Return the partition of least expected distance from draws.

    Every draw is a candidate; the best few are improved by moving one item at a time, to any of
    their clusters or to one of its own, until none is better.

    Parameters
    ----------
    draws
        Labels, shape (draw, item).
    loss
        As for :func:`distance`.
    """
    compact = np.array([relabelled(labels) for labels in draws])
    unique, count = np.unique(compact, axis=0, return_counts=True)
    weight = count / count.sum()
    binder = loss == "binder"
    expected = np.array([_expected(labels, unique, weight, binder) for labels in unique])
    best = None
    for candidate in np.argsort(expected, kind="stable")[:_IMPROVED]:
        label = unique[candidate].copy()
        value = _improve(label, unique, weight, binder)
        if best is None or value < best[1] - 1e-12:
            best = label, value
    assert best is not None
    label = relabelled(best[0])
    far = np.array([distance(label, labels, loss) for labels in unique])
    order = np.argsort(far)
    within = np.searchsorted(np.cumsum(weight[order]), 0.95 - 1e-12)
    return Point(label, best[1], float(far[order][within]))


@numba.njit(cache=True, nogil=True)
def _distance(table, binder):
    n = table.sum()
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    if binder:
        apart = (rows**2).sum() + (columns**2).sum() - 2 * (table**2).sum()
        return apart / (n * (n - 1)) if n > 1 else 0.0
    total = 0.0
    for value in rows:
        total += _entropy_term(value, n)
    for value in columns:
        total += _entropy_term(value, n)
    for value in table.ravel():
        total -= 2 * _entropy_term(value, n)
    return max(total, 0.0)


@numba.njit(cache=True, nogil=True)
def _entropy_term(value, n):
    return value / n * np.log(value / n) if value > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def _expected(label, draws, weight, binder):
    n = label.size
    total = 0.0
    for d in range(draws.shape[0]):
        table = np.zeros((label.max() + 1, draws[d].max() + 1))
        for i in range(n):
            table[label[i], draws[d, i]] += 1.0
        total += weight[d] * _distance(table, binder)
    return total


@numba.njit(cache=True, nogil=True)
def _improve(label, draws, weight, binder):
    """Move items one at a time while that helps; return the expected distance."""
    value = _expected(label, draws, weight, binder)
    better = True
    while better:
        better = False
        for i in range(label.size):
            here = label[i]
            used = np.zeros(label.size + 1)
            for other in label:
                used[other] += 1.0
            empty = 0
            while used[empty] > 0:
                empty += 1
            best, best_value = here, value
            for new in range(label.size):
                if new == here or (used[new] == 0 and new != empty):
                    continue
                label[i] = new
                found = _expected(label, draws, weight, binder)
                if found < best_value - 1e-12:
                    best, best_value = new, found
            label[i] = best
            if best != here:
                value = best_value
                better = True
    return value
