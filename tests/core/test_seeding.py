"""One recorded seed, and streams that never meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kstest

from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.core.seeding import resolve_seed, stream


def test_an_int_is_the_seed():
    for value in (0, 3, np.int64(3), np.uint8(3), 2**63 - 1):
        seed = resolve_seed(value)
        assert type(seed) is int
        assert seed == value


def test_a_generator_gives_one_draw_and_moves_on():
    generator = np.random.default_rng(0)
    first, second = resolve_seed(generator), resolve_seed(generator)
    assert first != second
    assert resolve_seed(np.random.default_rng(0)) == first


def test_none_is_fresh_each_time():
    seeds = {resolve_seed(None) for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    "wrong",
    [-1, 2**63, 1.0, "1", True, np.bool_(True), [1], np.random.RandomState(0), np.random],
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(ParameterError, match=r"Expected rng to be.*got"):
        resolve_seed(wrong)


def test_a_name_is_always_the_same_stream():
    names = [("a",), ("a", 0), ("a", "0", 1), ()]
    for name in names:
        np.testing.assert_array_equal(stream(5, *name).random(9), stream(5, *name).random(9))
    np.testing.assert_array_equal(stream(5, "a", 0).random(3), stream(5, "a", "0").random(3))


def test_streams_of_any_seeds_and_names_differ():
    names = [("a",), ("b",), ("a", 0), ("a", 1), ("a", 1, 0), ("a", 10), ("ab",), ("a", "b")]
    drawn = {stream(seed, *name).bytes(8) for seed, name in itertools.product(range(30), names)}
    assert len(drawn) == 30 * len(names)


def test_names_that_only_look_alike_differ():
    # Joined with a separator that a name may hold, these two would be one.
    assert stream(0, "a/b").bytes(8) != stream(0, "a", "b").bytes(8)


def test_streams_are_independent(seed):
    n = 4000
    first, second = stream(seed, "restart", 0), stream(seed, "restart", 1)
    x, y = first.random(n), second.random(n)
    # Of independent uniforms the correlation has standard error 1 / sqrt(n); 1e-6 beyond 4.9 of it.
    assert abs(np.corrcoef(x, y)[0, 1]) < 4.9 / np.sqrt(n)
    across = [stream(s, "one").random() for s in range(n)]
    assert kstest(across, "uniform").pvalue > 1e-6
