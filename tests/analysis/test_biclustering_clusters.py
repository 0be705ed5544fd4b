"""Moves of neurons between clusters, splits and merges, and the whole sweep, by Geweke's test."""

from __future__ import annotations

import numpy as np
import pytest
from analysis.biclustering_model import PRIOR, STARTS, draw_data, measures
from geweke import geweke

from neurokit_sdr.analysis.biclustering import laplace, split_merge
from neurokit_sdr.analysis.biclustering.clusters import draw_clusters, loading_precision
from neurokit_sdr.analysis.biclustering.equations import Counts, log_likelihood
from neurokit_sdr.analysis.biclustering.likeness import chances_to_leave, directions, likeness
from neurokit_sdr.analysis.biclustering.partition import draw_partition, log_weights
from neurokit_sdr.analysis.biclustering.prior import draw_parameters
from neurokit_sdr.analysis.biclustering.split_merge import Known, split_or_merge
from neurokit_sdr.analysis.biclustering.sweep import Sweep

N_UNITS = 4

#: More clusters than the paper expects of so few units, so that their number moves.
ANY_NUMBER = PRIOR._replace(success=0.5)

WEIGHT = log_weights(N_UNITS, ANY_NUMBER.concentration, ANY_NUMBER.success)


def draw_two_clusters(rng):
    """Given that there are two clusters, none of them empty."""
    while True:
        weight = rng.dirichlet([PRIOR.concentration] * 2)
        cluster = rng.choice(2, N_UNITS, p=weight)
        if np.ptp(cluster):
            return draw_parameters(cluster, STARTS, PRIOR, rng)


def draw_any_number(rng):
    cluster = draw_partition(N_UNITS, ANY_NUMBER.concentration, ANY_NUMBER.success, rng)
    return draw_parameters(cluster, STARTS, ANY_NUMBER, rng)


def of_partitions(at, data):
    size = np.bincount(at.cluster)
    return measures(at, data) | {
        "clusters": len(size),
        "one cluster": float(len(size) == 1),
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


def split_merge_kernel(at, data, rng):
    return split_or_merge(data, at, ANY_NUMBER, Known(likeness(data), WEIGHT), rng)


def sweep_kernel(at, data, rng):
    return Sweep(data, ANY_NUMBER, Known(likeness(data), WEIGHT))(at, rng)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [split_merge_kernel, sweep_kernel])
def test_geweke_passes_splits_and_merges_and_the_whole_sweep(kernel, seed):
    rng = np.random.default_rng(seed)
    found = geweke(draw_any_number, draw_data, kernel, of_partitions, rng, n_chains=150, n_steps=60)
    assert not found.failed


@pytest.mark.slow
def test_geweke_finds_splits_judged_by_likelihood_alone(seed, monkeypatch):
    """As in print: what the proposal and the prior weigh is left out of a split's ratio."""
    monkeypatch.setattr(split_merge, "log_density_of_path", lambda law, path: 0.0)
    monkeypatch.setattr(split_merge, "log_evidence", lambda path, state, starts, prior: 0.0)
    rng = np.random.default_rng(seed)
    found = geweke(
        draw_any_number, draw_data, split_merge_kernel, of_partitions, rng, n_chains=150, n_steps=30
    )
    assert {"clusters", "one cluster"} & set(found.failed)


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


def test_neurons_of_a_kind_are_alike_and_leave_together(seed):
    rng = np.random.default_rng(seed)
    slow = np.cumsum(rng.standard_normal((400, 3)), axis=0)
    slow = np.sin(slow / 3)
    kind = np.repeat([0, 1, 2], 5)
    data_of = rng.poisson(np.exp(0.8 * slow[:, kind])).astype(float)
    data = Counts(data_of, np.ones(data_of.shape, bool), np.array([0, 200, 400]))
    alike = likeness(data)
    np.testing.assert_allclose(alike, alike.T)
    others = np.array([1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
    chance = chances_to_leave(alike, 0, 5, others)
    assert (chance[(others > 5) & (others < 10)] > 0.5).all()
    assert (chance[(others < 5) | (others > 9)] < 0.5).all()
    assert chances_to_leave(alike, 0, 5, np.zeros(0, int)).size == 0
    basis = directions(alike, np.arange(5), 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.abs(basis[:, 0]), 5**-0.5)
    assert directions(alike, np.array([3]), 2).shape == (1, 1)


def test_a_neuron_that_is_alone_stays(case):
    at, data, rng = case
    alone = at._replace(cluster=np.array([0, 1, 1, 1]))
    for _ in range(20):
        moved = draw_clusters(data, alone, PRIOR, np.arange(1), rng)
        np.testing.assert_array_equal(moved.cluster, alone.cluster)
