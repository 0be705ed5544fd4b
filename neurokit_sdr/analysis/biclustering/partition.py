r"""The law of partitions: a mixture of finite mixtures.

With :math:`K` components, :math:`p(K) = \rho (1 - \rho)^{K - 1}`, weights
:math:`\mathrm{Dir}(g, \ldots, g)` integrated out, a partition of :math:`n` neurons into :math:`t`
clusters has probability

.. math:: V_n(t) \prod_c \frac{\Gamma(n_c + g)}{\Gamma(g)}, \quad
          V_n(t) = \sum_{K \ge t} \frac{K!}{(K - t)!} \frac{\Gamma(g K)}{\Gamma(g K + n)} p(K).

References
----------
Miller, Harrison (2018), Mixture models with a prior on the number of components. JASA 113.
arXiv:1502.06241.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp

#: Terms of the sum over K that are added at a time.
_AT_ONCE = 256


def log_weights(n_units: int, concentration: float, success: float) -> np.ndarray:
    """Return log V_n(t) for t = 1, ..., n at index t; index 0 holds -inf."""
    found = np.full(n_units + 1, -np.inf)
    for t in range(1, n_units + 1):
        total, first = -np.inf, t
        while True:
            k = np.arange(first, first + _AT_ONCE)
            terms = gammaln(k + 1) - gammaln(k - t + 1)
            terms += gammaln(concentration * k) - gammaln(concentration * k + n_units)
            terms += np.log(success) + (k - 1) * np.log1p(-success)
            total = np.logaddexp(total, logsumexp(terms))
            first += _AT_ONCE
            # Beyond their largest, terms fall at least as fast as p(K) in the end.
            if terms[-1] < terms[0] and terms[-1] < total - 40:
                break
        found[t] = total
    return found


def draw_partition(
    n_units: int, concentration: float, success: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a partition by its number of components; labels from 0 in order of appearance."""
    n_components = rng.geometric(success)
    weight = rng.dirichlet(np.full(n_components, concentration))
    return relabelled(rng.choice(n_components, n_units, p=weight))


def relabelled(cluster: np.ndarray) -> np.ndarray:
    """Return the same partition with labels from 0 in order of appearance."""
    _, first, label = np.unique(cluster, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[label]


def log_partition(cluster: np.ndarray, concentration: float, log_weight: np.ndarray) -> float:
    """Return the log probability of a partition, with :func:`log_weights`."""
    size = np.bincount(cluster)
    rising = gammaln(size + concentration) - gammaln(concentration)
    return float(log_weight[len(size)] + rising.sum())
