"""Partitions summed up: against sums over all partitions of a few items."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score, rand_score

from neurokit_sdr.analysis.biclustering.partition import (
    draw_partition,
    log_partition,
    log_weights,
    relabelled,
)
from neurokit_sdr.analysis.biclustering.summaries import distance, point_partition, together

LOSSES = ["variation_of_information", "binder"]


def partitions(n: int) -> list[np.ndarray]:
    """All of n items, with labels in order of appearance."""
    found = [[0]]
    for _ in range(n - 1):
        found = [[*p, j] for p in found for j in range(max(p) + 2)]
    return [np.array(p) for p in found]


def test_distances_are_those_of_other_libraries(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        one, other = rng.integers(0, 4, (2, 12))
        shared = mutual_info_score(one, other)
        entropies = sum(entropy(np.bincount(x)) for x in (one, other))
        assert abs(distance(one, other) - (entropies - 2 * shared)) < 1e-12
        assert abs(distance(one, other, "binder") - (1 - rand_score(one, other))) < 1e-12
        assert distance(one, relabelled(one)) < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_the_point_is_the_best_of_all_partitions(loss, seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        truth = rng.integers(0, 3, 6)
        noise = rng.random((40, 6)) < 0.25
        draws = np.where(noise, rng.integers(0, 4, (40, 6)), truth)
        found = point_partition(draws, loss)
        means = [np.mean([distance(p, labels, loss) for labels in draws]) for p in partitions(6)]
        assert abs(found.expected_loss - min(means)) < 1e-12
        far = [distance(found.label, labels, loss) for labels in draws]
        assert np.mean(np.array(far) <= found.radius + 1e-12) >= 0.95
        assert np.mean(np.array(far) < found.radius - 1e-12) < 0.95


def test_labels_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, 3, (30, 8))
    renamed = np.array([rng.permutation(3)[labels] for labels in draws])
    np.testing.assert_array_equal(together(draws), together(renamed))
    for loss in LOSSES:
        one, other = point_partition(draws, loss), point_partition(renamed, loss)
        np.testing.assert_array_equal(one.label, other.label)
        assert one.expected_loss == pytest.approx(other.expected_loss, abs=1e-12)


def test_shares_of_being_together():
    draws = np.array([[0, 0, 1], [1, 1, 1]])
    np.testing.assert_array_equal(together(draws), [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 1]])


# -- the law of partitions -------------------------------------------------------------------------


@pytest.mark.parametrize(("concentration", "success"), [(1.0, 0.2), (0.3, 0.5), (4.0, 0.05)])
def test_probabilities_of_all_partitions_sum_to_one(concentration, success):
    weight = log_weights(6, concentration, success)
    total = sum(np.exp(log_partition(p, concentration, weight)) for p in partitions(6))
    assert abs(total - 1) < 1e-9


def test_partitions_are_drawn_by_their_law(seed):
    rng = np.random.default_rng(seed)
    n = 20000
    drawn = [tuple(draw_partition(4, 0.7, 0.4, rng)) for _ in range(n)]
    weight = log_weights(4, 0.7, 0.4)
    for p in partitions(4):
        chance = np.exp(log_partition(p, 0.7, weight))
        share = np.mean([d == tuple(p) for d in drawn])
        # 15 shares, each normal to a good part: 4.5 standard errors are passed once in 10,000.
        assert abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / n) + 1 / n


def test_labels_come_in_order_of_appearance():
    for labels in itertools.product(range(3), repeat=4):
        found = relabelled(np.array(labels))
        assert found[0] == 0
        assert (np.diff(np.maximum.accumulate(found)) <= 1).all()
        np.testing.assert_array_equal(
            found[:, None] == found, np.array(labels)[:, None] == np.array(labels)
        )
