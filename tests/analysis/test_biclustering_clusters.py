"""Moves of neurons between clusters, by Geweke's test, and their pieces."""

from __future__ import annotations

import numpy as np
import pytest
from analysis.biclustering_model import PRIOR, STARTS, draw_data, measures
from geweke import geweke

from neurokit_sdr.analysis.biclustering import laplace
from neurokit_sdr.analysis.biclustering.clusters import draw_clusters, loading_precision
from neurokit_sdr.analysis.biclustering.equations import log_likelihood
from neurokit_sdr.analysis.biclustering.prior import draw_parameters

N_UNITS = 4


def draw_two_clusters(rng):
    """Given that there are two clusters, none of them empty."""
    while True:
        weight = rng.dirichlet([PRIOR.concentration] * 2)
        cluster = rng.choice(2, N_UNITS, p=weight)
        if np.ptp(cluster):
            return draw_parameters(cluster, STARTS, PRIOR, rng)


def of_partitions(at, data):
    size = np.bincount(at.cluster)
    return measures(at, data) | {
        "largest": size.max(),
        "together": float(at.cluster[0] == at.cluster[1]),
        "level of the largest": at.offset[at.cluster == size.argmax()].mean() ** 2,
    }


def move_clusters(at, data, rng):
    return draw_clusters(data, at, PRIOR, np.arange(N_UNITS), rng)


def test_geweke_passes_moves_between_clusters(seed):
    rng = np.random.default_rng(seed)
    found = geweke(
        draw_two_clusters, draw_data, move_clusters, of_partitions, rng, n_chains=110, n_steps=30
    )
    assert not found.failed


def moves_by_likelihood_alone(at, data, rng):
    """Forgets the sizes of the clusters."""
    flat = PRIOR._replace(concentration=1e6)
    return draw_clusters(data, at, flat, np.arange(N_UNITS), rng)


def moves_without_a_ratio(at, data, rng):
    """Takes a proposal by Laplace's method for the conditional itself, with too small a spread."""
    cluster = at.cluster.copy()
    own = np.column_stack([at.offset, at.loading])
    path = np.ascontiguousarray(np.swapaxes(at.latent, 0, 1))
    mode, factor = np.empty(own.shape[1]), np.empty((own.shape[1],) * 2)
    for i in range(N_UNITS):
        y, seen = data.spikes[:, i].copy(), data.observed[:, i].copy()
        laplace.fit(
            y, seen, at.dispersion[i], path[cluster[i]], loading_precision(PRIOR), mode, factor
        )
        own[i] = mode + 0.8 * (laplace.draw(mode, factor, rng) - mode)
    return at._replace(offset=own[:, 0].copy(), loading=own[:, 1:].copy())


@pytest.mark.parametrize("kernel", [moves_by_likelihood_alone, moves_without_a_ratio])
def test_geweke_finds_a_planted_error_in_moves(kernel, seed):
    rng = np.random.default_rng(seed)
    found = geweke(
        draw_two_clusters, draw_data, kernel, of_partitions, rng, n_chains=110, n_steps=30
    )
    assert found.failed


# -- pieces ----------------------------------------------------------------------------------------


@pytest.fixture
def case(seed):
    rng = np.random.default_rng(seed)
    at = draw_two_clusters(rng)
    return at, draw_data(at, rng), rng


def test_the_posterior_of_one_neuron_is_likelihood_times_prior(case):
    """Up to what does not depend on its offset and loading."""
    at, data, rng = case
    i = 1
    path = np.ascontiguousarray(at.latent[:, at.cluster[i]])
    difference = []
    for _ in range(5):
        own = rng.normal(size=2)
        changed = at._replace(offset=at.offset.copy(), loading=at.loading.copy())
        changed.offset[i], changed.loading[i] = own[0], own[1:]
        prior = -0.5 * (own[0] / PRIOR.offset_sd) ** 2 - 0.5 * (own[1] / PRIOR.loading_sd) ** 2
        found = laplace.log_posterior(
            data.spikes[:, i],
            data.observed[:, i],
            at.dispersion[i],
            path,
            loading_precision(PRIOR),
            own,
        )
        difference.append(found - prior - log_likelihood(data, changed)[i])
    np.testing.assert_allclose(difference, difference[0], rtol=0, atol=1e-10)


def test_proposals_of_a_neuron_have_the_density_they_say(case):
    """By importance: the mean of 1/q over draws of q within a box is the box's size."""
    at, data, rng = case
    path = np.ascontiguousarray(at.latent[:, 0])
    mode, factor = np.empty(2), np.empty((2, 2))
    y, seen = data.spikes[:, 0].copy(), data.observed[:, 0].copy()
    precision = loading_precision(PRIOR)
    evidence = laplace.fit(y, seen, at.dispersion[0], path, precision, mode, factor)
    sd = np.sqrt(np.diag(np.linalg.inv(np.tril(factor) @ np.tril(factor).T)))
    drawn = np.array([laplace.draw(mode, factor, rng) for _ in range(4000)])
    inverse = np.array([np.exp(-laplace.log_density(d, mode, factor)) for d in drawn])
    inverse *= (np.abs(drawn - mode) < sd).all(axis=1)
    size = 4 * sd[0] * sd[1]
    assert abs(inverse.mean() - size) < 4 * inverse.std() / np.sqrt(4000)
    # The evidence by importance sampling from the same proposal; Laplace's is near it.
    log_weight = np.array(
        [
            laplace.log_posterior(y, seen, at.dispersion[0], path, precision, d)
            - laplace.log_density(d, mode, factor)
            for d in drawn
        ]
    )
    exact = np.log(np.exp(log_weight - log_weight.max()).mean()) + log_weight.max()
    assert abs(evidence - exact) < 0.3


def test_a_neuron_that_is_alone_stays(case):
    at, data, rng = case
    alone = at._replace(cluster=np.array([0, 1, 1, 1]))
    for _ in range(20):
        moved = draw_clusters(data, alone, PRIOR, np.arange(1), rng)
        np.testing.assert_array_equal(moved.cluster, alone.cluster)
