"""Bit-packed patterns against arrays of booleans."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from neurokit_sdr.core.errors import ParameterError, SchemaError
from neurokit_sdr.core.parallel import limited_threads
from neurokit_sdr.sdr import Patterns


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200, 2048])
def test_packing_is_undone(n, seed):
    dense = np.random.default_rng([n, seed]).random((17, n)) < 0.3
    made = Patterns.from_dense(dense)
    np.testing.assert_array_equal(made.dense(), dense)
    np.testing.assert_array_equal(made.n_active, dense.sum(axis=1))
    assert [cells.tolist() for cells in made.active()] == [
        np.flatnonzero(row).tolist() for row in dense
    ]
    again = Patterns.from_active(made.active(), n)
    np.testing.assert_array_equal(again.words, made.words)
    # Cell i is bit i % 64 of word i // 64.
    bit = [(int(made.words[3, i // 64]) >> (i % 64)) & 1 for i in range(n)]
    np.testing.assert_array_equal(bit, dense[3])


@pytest.mark.parametrize("n", [1, 64, 130])
@pytest.mark.parametrize("threads", [1, 2])
def test_overlaps_are_products(n, threads, seed):
    rng = np.random.default_rng([n, seed])
    stored, queries = rng.random((300, n)) < 0.4, rng.random((9, n)) < 0.4
    a, b = Patterns.from_dense(stored), Patterns.from_dense(queries)
    product = queries.astype(int) @ stored.T.astype(int)
    with limited_threads(threads):
        overlap = a.overlap(b)
        assert overlap.dims == ("query", "pattern")
        assert overlap.attrs["units"] == "1"
        np.testing.assert_array_equal(overlap, product)
        np.testing.assert_array_equal(a.matches(b, 5), product >= 5)
        nearest = a.nearest(b, k=4)
        order = np.argsort(-product, axis=1, kind="stable")[:, :4]
        np.testing.assert_array_equal(nearest["pattern"], order)
        np.testing.assert_array_equal(
            nearest["overlap"], np.take_along_axis(product, order, axis=1)
        )


def test_many_patterns_in_threads_give_the_same():
    stored = Patterns.random(2048, 40, 20_000, rng=0)
    queries = stored[[3, 19_999]].corrupted(12, rng=0)
    with limited_threads(1):
        one = stored.overlap(queries).values, stored.nearest(queries, 3)
    with limited_threads(3):
        several = stored.overlap(queries).values, stored.nearest(queries, 3)
    np.testing.assert_array_equal(one[0], several[0])
    xr.testing.assert_identical(one[1], several[1])
    assert one[1]["pattern"].values[:, 0].tolist() == [3, 19_999]


@pytest.mark.parametrize("a", [0, 3, 60, 97, 100])
def test_random_patterns_have_their_size_and_are_uniform(a, seed):
    n, number = 100, 4000
    made = Patterns.random(n, a, number, rng=seed)
    assert (made.n_active == a).all()
    # Each cell is active in a binomial number of patterns; six standard errors over 100 cells
    # are passed by chance once in 10 million.
    p = a / n
    room = 6 * np.sqrt(number * p * (1 - p)) + 1e-9
    assert (np.abs(made.dense().sum(axis=0) - number * p) <= room).all()
    np.testing.assert_array_equal(made.words, Patterns.random(n, a, number, rng=seed).words)


def test_samples_lie_inside_and_noise_outside(seed):
    stored = Patterns.random(300, 40, 2000, rng=seed)
    sample = stored.subsampled(12, rng=seed)
    assert (sample.n_active == 12).all()
    assert ((sample.words & ~stored.words) == 0).all()
    noisy = stored.corrupted(15, rng=seed)
    assert (noisy.n_active == 40).all()
    kept = (noisy.dense() & stored.dense()).sum(axis=1)
    assert (kept == 25).all()
    # What is kept, and what is new, is uniform over the cells there are for it.
    position = np.array([np.isin(s, c) for s, c in zip(stored.active(), sample.active())])  # noqa: B905
    room = 6 * np.sqrt(2000 * 0.3 * 0.7)
    assert (np.abs(position.sum(axis=0) - 600) < room).all()


def test_unions_and_joining():
    made = Patterns.from_active([[0, 5], [5, 9], []], 10)
    assert made.union().active()[0].tolist() == [0, 5, 9]
    both = made.joined(made[:1])
    assert len(both) == 4
    assert both[-1].active()[0].tolist() == [0, 5]
    assert made[np.array([True, False, True])].n_active.tolist() == [2, 0]
    assert repr(made) == "Patterns(3 of 10 cells)"
    assert made.n_active.tolist() == [2, 2, 0]


def test_no_patterns_at_all():
    none = Patterns.random(100, 5, 0, rng=0)
    assert len(none) == 0
    assert none.dense().shape == (0, 100)
    assert none.overlap(Patterns.random(100, 5, 2, rng=0)).shape == (2, 0)
    assert Patterns.random(100, 5, 2, rng=0).overlap(none).shape == (0, 2)
    assert none.corrupted(3).n_active.size == 0
    with pytest.raises(ParameterError, match="Expected k up to 0"):
        none.nearest(none)


def test_dense_of_other_kinds():
    labelled = xr.DataArray([[0, 1], [1, 1]], dims=("pattern", "unit"))
    assert Patterns.from_dense(labelled).n_active.tolist() == [1, 2]
    assert Patterns.from_dense([[0.0, 1.0]]).n_active.tolist() == [1]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Patterns(np.zeros((2, 1)), 10), ParameterError, r"uint64 words of shape \(patt"),
        (lambda: Patterns(np.zeros((2, 2), np.uint64), 10), ParameterError, "uint64 words"),
        (lambda: Patterns(np.full((1, 1), 1 << 12, np.uint64), 10), ParameterError, "below 10"),
        (lambda: Patterns.random(10, 11, 1), ParameterError, "at most n=10 active cells, got a=11"),
        (lambda: Patterns.random(10.0, 1, 1), ParameterError, "n to be a whole number >= 1"),
        (lambda: Patterns.random(10, 1, -1), ParameterError, "n_patterns to be a whole number"),
        (lambda: Patterns.from_active([[0, 10]], 10), ParameterError, "cells from 0 to 9, got 0"),
        (lambda: Patterns.from_active([[3, 3]], 10), ParameterError, "each cell once per pattern"),
        (lambda: Patterns.from_active([[0.5]], 10), ParameterError, "one list of cells"),
        (lambda: Patterns.from_dense([1, 0]), SchemaError, r"shape \(pattern, cell\)"),
        (lambda: Patterns.from_dense([[2, 0]]), SchemaError, "0 .silent. and 1 .active. only"),
        (lambda: Patterns.from_dense([[np.nan, 0]]), SchemaError, "compare with a threshold"),
        (lambda: Patterns.from_dense([["a"]]), SchemaError, "0 .silent. and 1 .active. only"),
        (lambda: Patterns.random(9, 4, 1).subsampled(5), ParameterError, "at most 4 active cells"),
        (lambda: Patterns.random(9, 6, 1).corrupted(4), ParameterError, "at most 3 cells"),
        (lambda: Patterns.random(9, 4, 1).overlap(Patterns.random(8, 4, 1)), ParameterError,
         "patterns over 9 cells, got 8"),
        (lambda: Patterns.random(9, 4, 1).overlap(np.zeros((1, 9))), ParameterError,
         "Expected Patterns, got ndarray: Patterns.from_dense"),
        (lambda: Patterns.random(9, 4, 1).matches(Patterns.random(9, 4, 1), 1.5), ParameterError,
         "threshold to be a whole number"),
    ],
)  # fmt: skip
def test_bad_patterns_are_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
