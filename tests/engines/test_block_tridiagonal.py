"""The block-tridiagonal solver against the dense matrix it stands for."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import EPS

from neurokit_sdr.engines.block_tridiagonal import solve


def positive(rng, size):
    root = rng.normal(size=(size, size))
    return root @ root.T + size * np.eye(size)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_it_is_the_dense_solution(size, seed):
    rng = np.random.default_rng([seed, size])
    lengths = np.array([1, 7, 4])
    above = np.triu_indices(size)
    first, noise = positive(rng, size), positive(rng, size)
    move = 0.5 * rng.normal(size=(size, size))
    through, back = move.T @ noise @ move, -noise @ move
    blocks = np.array([[positive(rng, size) for _ in range(7)] for _ in lengths])
    gradient = rng.normal(size=(3, 7, size))
    step, lagged = np.zeros((3, 7, size)), np.zeros((3, size, size))
    covariance = np.zeros((3, 7, len(above[0])))
    logarithm = solve(
        np.ascontiguousarray(blocks[:, :, above[0], above[1]]),
        gradient,
        lengths,
        first,
        noise,
        through,
        back,
        step,
        covariance,
        lagged,
        True,
    )
    for trial, n in enumerate(lengths):
        whole = np.zeros((n, size, n, size))
        for t in range(n):
            whole[t, :, t] = blocks[trial, t] + (noise if t else first)
            if t < n - 1:
                whole[t, :, t] += through
                whole[t + 1, :, t] = back
                whole[t, :, t + 1] = back.T
        dense = whole.reshape(n * size, n * size)
        inverse = np.linalg.inv(dense).reshape(n, size, n, size)
        error = 10 * EPS * len(dense) * np.linalg.cond(dense) * np.abs(inverse).max()
        wanted = np.einsum("tiuj,uj->ti", inverse, gradient[trial, :n])
        np.testing.assert_allclose(step[trial, :n], wanted, atol=error * np.abs(gradient).sum())
        assert not step[trial, n:].any()
        diagonal = np.array([inverse[t, :, t] for t in range(n)])
        np.testing.assert_allclose(
            covariance[trial, :n], diagonal[:, above[0], above[1]], atol=error
        )
        one_later = sum((inverse[t + 1, :, t] for t in range(n - 1)), np.zeros((size, size)))
        np.testing.assert_allclose(lagged[trial], one_later, atol=n * error)
        assert logarithm[trial] == pytest.approx(np.linalg.slogdet(dense)[1], rel=100 * EPS * n)
