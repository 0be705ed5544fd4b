"""Inverse questions, shapes of arguments, and errors."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr

import neurokit_sdr as nks
from neurokit_sdr.core.errors import ParameterError
from neurokit_sdr.sdr import (
    capacity,
    false_negative_probability,
    false_positive_probability,
    list_false_positive_probability,
    neuron_false_positive_probability,
    optimal_threshold,
    overlap_count,
    required_population,
    required_synapses,
    required_threshold,
    sequence_memory_similarity,
    tabulate,
    tolerated_activity,
    tolerated_noise,
    tolerated_patterns,
    union_false_positive_probability,
    union_size,
)
from tests.sdr.rationals import (
    LAST_PLACE,
    fast_tail,
    tail,
    union_tail,
)

# inverse questions


def exact_error(n, a, s, theta, d=1, m=1):
    return 1 - (1 - union_tail(n, s, a, m, theta)) ** d


@pytest.mark.parametrize("limit", [1e-3, 1e-9, 1e-15, 1e-40, Fraction(1, 10**400), 0.99])
@pytest.mark.parametrize(("a", "s", "theta"), [(40, 20, 10), (5, 5, 5), (32, 12, 4), (1, 1, 1)])
def test_required_population_is_the_exact_integer(a, s, theta, limit):
    n = required_population(a, s, theta, limit)
    if n > 10**15:  # where whole binomials take minutes
        assert fast_tail(n, a, s, theta) <= Fraction(limit) < fast_tail(n - 1, a, s, theta)
        return
    assert fast_tail(n, a, s, theta) <= Fraction(limit)
    assert n == max(a, s) or fast_tail(n - 1, a, s, theta) > Fraction(limit)


@pytest.mark.parametrize(("d", "m"), [(500, 1), (1, 12), (40, 5)])
def test_required_population_of_neurons_and_unions(d, m):
    n = required_population(20, 12, 6, 1e-6, n_segments=d, n_patterns=m)
    assert exact_error(n, 20, 12, 6, d, m) <= Fraction(1e-6) < exact_error(n - 1, 20, 12, 6, d, m)
    wired = required_population(20, 12, 6, 1e-6, n_patterns=3, union="synapses")
    above, below = (union_tail(k, 20, 12, 3, 6) for k in (wired, wired - 1))
    assert above <= Fraction(1e-6) < below


def test_ties_are_decided_without_rounding():
    """The limit is the exact error of a population, or one that no float tells from it."""
    for n in (70, 700, 7000):
        p = tail(n, 12, 8, 4)
        assert required_population(12, 8, 4, p) == n
        assert required_population(12, 8, 4, p - Fraction(1, 10**60)) == n + 1
        neuron = 1 - (1 - p) ** 30
        assert required_population(12, 8, 4, neuron, n_segments=30) == n
        assert required_population(12, 8, 4, neuron * (1 - Fraction(1, 10**50)), n_segments=30) > n
    p = union_tail(90, 8, 12, 6, 4)
    assert required_population(12, 8, 4, p, n_patterns=6) == 90
    assert tolerated_patterns(90, 12, 8, 4, p) == 6
    assert tolerated_patterns(90, 12, 8, 4, p - Fraction(1, 10**60)) == 5


def test_the_other_inverse_questions_are_exact(seed):
    rng = np.random.default_rng([9, seed])
    for _ in range(40):
        n, a, s = int(rng.integers(200, 3000)), int(rng.integers(30, 90)), int(rng.integers(8, 30))
        theta, v = int(rng.integers(2, s // 2 + 1)), int(rng.integers(0, a // 2))
        limit = float(10 ** rng.uniform(-14, -0.5))
        bound = Fraction(limit)

        def fp(a, s, theta, n=n):
            return tail(n, a, s, theta)

        def fn(a, s, theta, v):
            return tail(a, v, s, s - theta + 1)

        found = required_threshold(n, a, s, limit)
        assert fp(a, s, found) <= bound < fp(a, s, found - 1)
        most = tolerated_activity(n, s, theta, limit)
        assert fp(most, s, theta) <= bound < fp(most + 1, s, theta)
        noise = tolerated_noise(a, s, theta, limit)
        assert fn(a, s, theta, noise) <= bound < fn(a, s, theta, noise + 1)
        synapses = required_synapses(a, theta, v, limit)
        assert fn(a, synapses, theta, v) <= bound
        assert synapses == theta or fn(a, synapses - 1, theta, v) > bound
        if n < 1000:
            many = tolerated_patterns(n, a, s, theta, limit)
            assert union_tail(n, s, a, many, theta) <= bound < union_tail(n, s, a, many + 1, theta)


def test_inverse_questions_broadcast():
    assert required_population(40, 20, [8, 10], [[1e-6], [1e-9]]).shape == (2, 2)
    table = tabulate(required_population, a=40, s=20, theta=[8, 10], max_error=[1e-6, 1e-9])
    assert table["required_population"].dims == ("theta", "max_error")
    assert required_threshold(100, 50, 3, 1e-9) == 4  # no threshold of 3 synapses will do


def test_optimal_threshold_is_the_least_of_all():
    n, a, s, v = 2000, 64, 24, 24
    total = [tail(n, a, s, t) + tail(a, v, s, s - t + 1) for t in range(1, s + 1)]
    assert optimal_threshold(n, a, s, v) == 1 + int(np.argmin(total))
    neuron = [1 - (1 - tail(n, a, s, t)) ** 500 + tail(a, v, s, s - t + 1) for t in range(1, s + 1)]
    assert optimal_threshold(n, a, s, v, n_segments=500) == 1 + int(np.argmin(neuron))
    # Without noise nothing is missed, and the highest threshold is the safest.
    assert optimal_threshold(n, a, s, 0) == s
    # More noise never asks for a higher one.
    found = optimal_threshold(n, a, [[12], [24]], np.arange(0, 60, 4))
    assert found.shape == (2, 15)
    assert (np.diff(found, axis=1) <= 0).all()


# shapes, labels, edges


def test_arrays_broadcast_and_scalars_stay_scalars():
    assert isinstance(false_positive_probability(100, 10, 10, 5), float)
    assert isinstance(optimal_threshold(100, 10, 10, 2), int)
    grid = false_positive_probability(np.array([[100], [200]]), 10, 10, np.arange(3))
    assert grid.shape == (2, 3)
    assert false_positive_probability(np.empty(0, int), 1, 1, 1).shape == (0,)
    assert false_positive_probability(np.uint16(100), np.int8(10), 10, 5) == pytest.approx(
        false_positive_probability(100, 10, 10, 5)
    )


def test_data_arrays_broadcast_by_name():
    n = xr.DataArray([100, 200], dims="population", coords={"population": ["a", "ü"]})
    theta = xr.DataArray([2, 3, 4], dims="theta")
    found = false_positive_probability(n, 10, 10, theta)
    assert found.dims == ("population", "theta")
    assert found["population"].values.tolist() == ["a", "ü"]
    np.testing.assert_array_equal(
        found, false_positive_probability(np.array([[100], [200]]), 10, 10, [2, 3, 4])
    )
    with pytest.raises(ParameterError, match=r"Expected a to be one number or a DataArray, as n"):
        false_positive_probability(n, [10, 11], 10, 5)


def test_a_grid_is_a_dataset_that_can_be_saved(tmp_path):
    table = tabulate(
        union_false_positive_probability, n=[1000, 2000], a=20, s=10, theta=5,
        n_patterns=range(1, 4), union="synapses", log=True,
    )  # fmt: skip
    variable = table["log_union_false_positive_probability"]
    assert variable.dims == ("n", "n_patterns")
    assert variable.attrs["units"] == "1"
    assert table.attrs == {"a": 20, "s": 10, "theta": 5, "union": "synapses", "log": 1}
    table.to_netcdf(tmp_path / "grid.nc", engine="h5netcdf")
    one = tabulate(false_positive_probability, n=100, a=10, s=10, theta=5)
    assert one["false_positive_probability"].dims == ()
    assert tabulate(capacity, n=10**20, a=[1, 2]).attrs["n"] == str(10**20)


def test_edges_of_the_equations():
    assert false_positive_probability(10, 5, 5, 0) == 1.0
    assert false_positive_probability(10, 5, 5, 0, log=True) == 0.0
    # All cells but one are active: nine of ten synapses or more.
    assert false_positive_probability(10, 9, 10, 9) == 1.0
    # A threshold above the active cells, below the synapses.
    assert false_positive_probability(100, 3, 10, 5) == 0.0
    assert false_positive_probability(100, 3, 10, 5, log=True) == -math.inf
    assert false_positive_probability(1, 0, 0, 0) == 1.0
    assert false_negative_probability(10, 5, 5, 0) == 0.0
    assert false_negative_probability(10, 5, [0, 1], 10).tolist() == [0.0, 1.0]
    assert false_negative_probability(20, 10, 5, 3) == 0.0
    assert union_size(10, 10, 3) == 10.0
    assert union_size(10, [0, 4], 0).tolist() == [0.0, 0.0]
    assert union_false_positive_probability(100, 10, 10, [0, 1], 0).tolist() == [1.0, 0.0]
    assert neuron_false_positive_probability(100, 10, 10, 5, 0) == 0.0
    assert neuron_false_positive_probability(100, 10, 10, 5, 0, log=True) == -math.inf
    assert sequence_memory_similarity(100, [0, 100], 10, 5, 1000).tolist() == [1.0, 1.0]


def test_one_pattern_is_no_union():
    point = (1000, 30, 20, 10)
    expected = false_positive_probability(*point)
    for union, method in itertools.product(
        ("activity", "synapses"), ("exact", "substituted", "rounded")
    ):
        found = union_false_positive_probability(*point, 1, union=union, method=method)
        assert found == pytest.approx(expected, rel=4 * LAST_PLACE)


def labelled(*labels):
    """Counts along n, with these labels."""
    return xr.DataArray(10 * np.arange(2, len(labels) + 2), {"n": list(labels)}, "n")


def test_errors_fall_with_every_cell_and_rise_with_every_pattern():
    p = false_positive_probability(np.arange(200, 400), 40, 20, 10)
    assert (np.diff(p) < 0).all()
    p = union_false_positive_probability(500, 20, 20, 10, np.arange(40), log=True)
    assert (np.diff(p[1:]) > 0).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: false_positive_probability(100, 10, 5, 6), "Expected theta <= s, got theta=6 and"),
        (lambda: false_positive_probability(100, 10, [5, 6], 7), "Within a grid such combinations"),
        (lambda: false_positive_probability(100, 101, 5, 3), "Expected a <= n, got a=101 and n="),
        (lambda: false_positive_probability(100, 10, 101, 3), "Expected s <= n, got s=101"),
        (lambda: false_positive_probability(100, 10, 5, -1), "Expected theta >= 0, got -1"),
        (lambda: false_positive_probability(-100, 10, 5, 1), "Expected n >= 0, got -100"),
        (lambda: false_positive_probability(100.0, 10, 5, 1), r"Expected n to be a whole number .*"
         r"got 100.0: round it"),
        (lambda: false_positive_probability(100, np.array([2.5]), 5, 1), "got 'float64'"),
        (lambda: false_positive_probability(100, True, 5, 1), "Expected a to be a whole number"),
        (lambda: false_positive_probability(100, "ten", 5, 1), "Expected a to be a whole number"),
        (lambda: false_positive_probability(100, None, 5, 1), "Expected a to be a whole number"),
        (lambda: false_positive_probability(100, float("nan"), 5, 1), "got nan"),
        (lambda: false_positive_probability([100, 200], [1, 2, 3], 5, 1), "shapes that broadcast"),
        (lambda: false_negative_probability(10, 11, 5, 1), "Expected s <= a, got s=11 and a=10: "
         "the segment samples"),
        (lambda: false_negative_probability(10, 5, 2, 11), "Expected v <= a"),
        (lambda: false_negative_probability(10, 5, 6, 1), "Expected theta <= s"),
        (lambda: union_size(10, 11, 2), "Expected a <= n"),
        (lambda: union_size(10, 2, 1.5), "Expected n_patterns to be a whole number"),
        (lambda: union_false_positive_probability(100, 10, 5, 6, 3), "Expected theta <= s, got"),
        (lambda: union_false_positive_probability(100, 40, 5, 16, 3, union="synapses"),
         r"Expected theta <= s \* n_patterns, got theta=16"),
        (lambda: union_false_positive_probability(100, 10, 5, 2, 3, union="both"),
         "Expected union to be one of 'activity', 'synapses', got 'both'"),
        (lambda: union_false_positive_probability(100, 10, 5, 2, 3, method="mean"),
         "Expected method to be one of 'exact', 'substituted', 'rounded'"),
        (lambda: union_false_positive_probability(100, 10, 5, 2, 10**7), "up to 1000000 patterns"),
        (lambda: list_false_positive_probability(100, 7, 7, 4, 500, method="exact"),
         "'independent', 'bound'"),
        (lambda: overlap_count(10, 11, 2, 1), "Expected a <= n"),
        (lambda: capacity(10, 11), "Expected a <= n"),
        (lambda: optimal_threshold(100, 10, 0, 1), "Expected s >= 1, got 0"),
        (lambda: optimal_threshold(100, 10, 11, 1), "Expected s <= a"),
        (lambda: required_population(10, 5, 0, 0.1), "Expected theta >= 1, got 0"),
        (lambda: required_population(10, 5, 6, 0.1), "Expected theta <= s"),
        (lambda: required_population(10, 5, 3, 0.0), "max_error to be a probability above 0"),
        (lambda: required_population(10, 5, 3, 1), "max_error to be a probability above 0"),
        (lambda: required_population(10, 5, 3, "1e-9"), "max_error to be a probability above 0"),
        (lambda: required_synapses(20, 15, 10, 0.1), "Expected theta <= a - v, got theta=15"),
        (lambda: tolerated_noise(20, 10, 11, 0.1), "misses its pattern without noise"),
        (lambda: tolerated_patterns(100, 10, 5, 6, 0.1), "however many patterns"),
        (lambda: tolerated_patterns(100, 0, 5, 3, 0.1), "Expected a >= 1, got 0"),
        (lambda: tabulate(false_positive_probability, n=[100], sparsity=[0.1], a=[2], s=5, theta=2),
         "sparsity together with n, and without a"),
        (lambda: tabulate(false_positive_probability, n=[100], sparsity=[1.5], s=5, theta=2),
         "shares of the cells between 0 and 1"),
        (lambda: false_positive_probability([[100, 200], [300]], 10, 5, 1),
         "Expected n to be one number or an array of whole numbers, got lists of different"),
        (lambda: false_positive_probability(labelled(1, 2), labelled(2, 3), 5, 1),
         "same labels where they share a dimension, got others"),
        (lambda: false_positive_probability(labelled(1, 2), labelled(1, 2, 3), 5, 1),
         "same labels where they share a dimension, got others"),
        (lambda: false_positive_probability(labelled(1, 1), labelled(1, 2), 5, 1),
         "same labels where they share a dimension, got others"),
        *((lambda m=m, n=n: union_false_positive_probability(n, 40, 20, 3, 5, method=m),
           f"with method='{m}', .* got (1[0]{{20}}|about 1e400): method='exact' knows no limit")
          for m in ("substituted", "rounded") for n in (10**20, 10**400)),
        (lambda: union_false_positive_probability(100, 10, 5, 2, 10**400, method="rounded"),
         "Expected n_patterns that a float can hold .* got about 1e400"),
        (lambda: union_size(10**400, 40, 5), "Expected n that a float can hold"),
        (lambda: list_false_positive_probability(100, 7, 7, 4, 10**400), "number of patterns or"),
        (lambda: list_false_positive_probability(100, 7, 7, 4, 10**400, method="bound"),
         "Expected n_patterns that a float can hold"),
        (lambda: neuron_false_positive_probability(100, 7, 7, 4, 10**400), "number of patterns or"),
        (lambda: sequence_memory_similarity(10**400, 7, 7, 4, 5), "Expected n that a float can"),
        (lambda: sequence_memory_similarity(100, 7, 7, 4, 10**400), "Expected n_transitions that"),
        (lambda: tabulate(3, n=[100]), "Expected a function of nks.sdr, .* got 3"),
        (lambda: tabulate(false_positive_probability, n=[100], a=3),
         "arguments of false_positive_probability .n, a, s, theta, log., got n, a: missing .*'s'"),
        (lambda: tabulate(false_positive_probability, n=[100], a=3, s=3, theta=2, q=1),
         "got n, a, s, theta, q: got an unexpected keyword argument 'q'"),
        (lambda: tabulate(false_positive_probability, n=[[1], [2, 3]], a=2, s=5, theta=2),
         "Expected n to be one number or a flat sequence"),
        (lambda: tabulate(false_positive_probability, n=[[100]], a=2, s=5, theta=2),
         "Expected n to be one number or a flat sequence"),
    ],
)  # fmt: skip
def test_bad_counts_are_refused(call, text):
    with pytest.raises(ParameterError, match=text):
        call()


def test_an_unreachable_threshold_in_a_grid_has_probability_zero():
    found = false_positive_probability(100, 20, [5, 10], 7)
    assert found[0] == 0.0
    assert found[1] > 0
    assert false_negative_probability(20, [5, 10], 7, 0).tolist() == [1.0, 0.0]


def test_the_room_is_reached_from_the_top():
    assert nks.sdr.false_positive_probability is false_positive_probability
