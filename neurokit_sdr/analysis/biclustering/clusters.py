r"""Neurons change their cluster, one after another, among those there are.

The cluster of a neuron and its offset and loading are proposed together: a cluster in proportion to
its size without the neuron plus :math:`g`, times the evidence of the neuron's counts there by
Laplace's method; then offset and loading. The Metropolis-Hastings ratio takes the exact likelihood,
with auxiliary variates integrated out: given them, a neuron would hardly ever move. A neuron that
is alone stays, so that the number of clusters does not change.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from neurokit_sdr.analysis.biclustering import laplace
from neurokit_sdr.analysis.biclustering.equations import Counts, Parameters, Priors


def draw_clusters(
    data: Counts, at: Parameters, prior: Priors, units: np.ndarray, rng: np.random.Generator
) -> Parameters:
    """Let some units move, in their order."""
    cluster = at.cluster.copy()
    own = np.column_stack([at.offset, at.loading])
    paths = np.ascontiguousarray(np.swapaxes(at.latent, 0, 1))
    _move_units(
        units, cluster, own, data.spikes, data.observed, at.dispersion, paths,
        loading_precision(prior), prior.concentration, rng,
    )  # fmt: skip
    return at._replace(cluster=cluster, offset=own[:, 0].copy(), loading=own[:, 1:].copy())


def loading_precision(prior: Priors) -> np.ndarray:
    """Precisions of a neuron's offset and loading beforehand."""
    return np.array([prior.offset_sd**-2, *[prior.loading_sd**-2] * prior.n_factors])


@numba.njit(cache=True, nogil=True)
def _move_units(
    units, cluster, own, spikes, observed, dispersion, paths, precision, concentration, rng
):
    n_clusters, _, q = paths.shape
    size = np.zeros(n_clusters)
    for c in cluster:
        size[c] += 1.0
    weight = np.empty(n_clusters)
    modes = np.empty((n_clusters, q))
    factors = np.empty((n_clusters, q, q))
    for i in units:
        here = cluster[i]
        if size[here] < 2:
            continue
        size[here] -= 1.0
        y = spikes[:, i].copy()
        seen = observed[:, i].copy()
        r = dispersion[i]
        for c in range(n_clusters):
            evidence = laplace.fit(y, seen, r, paths[c], precision, modes[c], factors[c])
            weight[c] = math.log(size[c] + concentration) + evidence
        peak = weight.max()
        total = 0.0
        for c in range(n_clusters):
            total += math.exp(weight[c] - peak)
        left = rng.random() * total
        new = n_clusters - 1
        for c in range(n_clusters):
            left -= math.exp(weight[c] - peak)
            if left < 0:
                new = c
                break
        proposed = laplace.draw(modes[new], factors[new], rng)
        ratio = _worth(
            new, proposed, y, seen, r, paths, precision, weight, size, concentration, modes, factors
        )
        ratio -= _worth(
            here, own[i], y, seen, r, paths, precision, weight, size, concentration, modes, factors
        )
        if math.log(rng.random()) < ratio:
            cluster[i] = new
            own[i] = proposed
        size[cluster[i]] += 1.0


@numba.njit(cache=True, nogil=True)
def _worth(c, at, y, seen, r, paths, precision, weight, size, concentration, modes, factors):
    """Log of the target over the proposal."""
    target = math.log(size[c] + concentration)
    target += laplace.log_posterior(y, seen, r, paths[c], precision, at)
    return target - weight[c] - laplace.log_density(at, modes[c], factors[c])
