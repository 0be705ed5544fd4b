"""Probabilities against rationals, enumeration and publications."""

from __future__ import annotations

import itertools
import math
import time
from fractions import Fraction

import numpy as np
import pytest

from neurokit_sdr.sdr import (
    capacity,
    false_negative_probability,
    false_positive_probability,
    list_false_positive_probability,
    neuron_false_positive_probability,
    overlap_count,
    required_population,
    tabulate,
    union_false_positive_probability,
    union_size,
)
from tests.sdr.rationals import (
    LAST_PLACE,
    assert_close,
    fast_tail,
    log_of,
    random_points,
    tail,
    union_tail,
)


def test_five_thousand_probabilities_against_rationals(seed):
    points = list(random_points(seed, 2000))
    n, a, s, theta = np.array([p[1:] for p in points]).T
    p = false_positive_probability(n, a, s, theta)
    log = false_positive_probability(n, a, s, theta, log=True)
    d = 1 + n % 1000
    neuron = neuron_false_positive_probability(n, a, s, theta, d)
    log_neuron = neuron_false_positive_probability(n, a, s, theta, d, log=True)
    smallest = 0.0
    for i in range(len(points)):
        expected = fast_tail(*map(int, (n[i], a[i], s[i], theta[i])))
        assert_close(p[i], log[i], expected)
        if i % 10 == 0:  # powers of rationals take their time
            assert_close(neuron[i], log_neuron[i], 1 - (1 - expected) ** int(d[i]))
        smallest = min(smallest, log[i] if np.isfinite(log[i]) else 0)
    assert smallest < math.log(1e-300)


def test_false_negatives_against_rationals(seed):
    rng = np.random.default_rng([6, seed])
    a = (10 ** rng.uniform(0, 6, 2000)).astype(int)
    s = rng.integers(0, np.minimum(a, 100) + 1)
    theta, v = rng.integers(0, s + 1), rng.integers(0, a + 1)
    p = false_negative_probability(a, s, theta, v)
    log = false_negative_probability(a, s, theta, v, log=True)
    for i in range(a.size):
        lost = int(s[i] - theta[i] + 1)
        assert_close(p[i], log[i], fast_tail(int(a[i]), int(v[i]), int(s[i]), lost))


def test_unions_against_rationals(seed):
    rng = np.random.default_rng([7, seed])
    for _ in range(400):
        n = int(10 ** rng.uniform(0.3, 6))
        a, s = int(rng.integers(0, min(n, 60) + 1)), int(rng.integers(0, min(n, 20) + 1))
        m = int(rng.integers(0, 40))
        for union, (marked, drawn) in {"activity": (s, a), "synapses": (a, s)}.items():
            theta = int(rng.integers(0, marked + 1))
            if union == "synapses":
                theta = min(theta, s * m)
            found = [
                union_false_positive_probability(n, a, s, theta, m, union=union, log=log)
                for log in (False, True)
            ]
            assert_close(*found, union_tail(n, marked, drawn, m, theta))


def test_lists_against_rationals(seed):
    for rng, n, a, s, theta in random_points(seed, 100):
        m = int(rng.integers(1, 300))
        p = fast_tail(n, a, s, theta)
        for method, expected in (("independent", 1 - (1 - p) ** m), ("bound", min(1, m * p))):
            found = [
                list_false_positive_probability(n, a, s, theta, m, method=method, log=log)
                for log in (False, True)
            ]
            assert_close(*found, Fraction(expected))


def test_substituted_unions_against_rationals(seed):
    """Binomials of a number that is not whole are products too, so rationals hold them."""
    rng = np.random.default_rng([8, seed])
    for _ in range(200):
        n, m = int(rng.integers(100, 5000)), int(rng.integers(2, 30))
        a, s = int(rng.integers(20, 80)), int(rng.integers(5, 30))
        theta = int(rng.integers(1, s + 1))
        size = Fraction(float(union_size(n, a, m)))
        if s > size or s > n - size:
            continue

        def falling(x, k):
            return math.prod((x - i for i in range(k)), start=Fraction(1))

        expected = sum(
            math.comb(s, b) * falling(size, b) * falling(n - size, s - b)
            for b in range(theta, s + 1)
        ) / falling(Fraction(n), s)
        found = [
            union_false_positive_probability(
                n, a, s, theta, m, method="substituted", log=log
            )
            for log in (False, True)
        ]  # fmt: skip
        # n - size is rounded once per factor.
        assert_close(*found, expected, limit=100 * s * LAST_PLACE)
        rounded = union_false_positive_probability(n, a, s, theta, m, method="rounded")
        assert rounded == false_positive_probability(n, round(size), s, theta)


def test_large_codes_against_rationals():
    """Synapses in the thousands, and half of all cells active."""
    points = [
        (1_000_000, 500_000, 3000, 1600), (1_000_000, 20_000, 5000, 300),
        (100_000, 2000, 2000, 1500), (10_000, 5000, 5000, 2600), (4000, 3900, 3900, 3805),
    ]  # fmt: skip
    for n, a, s, theta in points:
        found = [false_positive_probability(n, a, s, theta, log=log) for log in (False, True)]
        assert_close(*found, fast_tail(n, a, s, theta))


def test_small_codes_against_enumeration():
    """Every pattern of a of n cells, counted."""
    for n, a, s in itertools.product((1, 4, 7), range(8), range(8)):
        if max(a, s) > n:
            continue
        shared = [len({*range(s)} & {*cells}) for cells in itertools.combinations(range(n), a)]
        for theta in range(s + 1):
            matching = sum(b >= theta for b in shared)
            assert overlap_count(n, a, s, theta) == sum(b == theta for b in shared)
            found = false_positive_probability(n, a, s, theta)
            assert found == pytest.approx(matching / len(shared), rel=4 * LAST_PLACE)


def test_small_unions_against_enumeration():
    """Every pair of patterns, and the segment's synapses fixed by symmetry."""
    n, a, s = 6, 2, 3
    patterns = [{*c} for c in itertools.combinations(range(n), a)]
    covered = [len((x | y) & {0, 1, 2}) for x in patterns for y in patterns]
    for theta in range(s + 1):
        expected = np.mean([c >= theta for c in covered])
        found = union_false_positive_probability(n, a, s, theta, 2)
        assert found == pytest.approx(expected, rel=8 * LAST_PLACE)


# whole numbers of any size


def test_counts_are_exact_whatever_their_size():
    assert overlap_count(1024, 4, 4, 2) == math.comb(4, 2) * math.comb(1020, 2)
    assert overlap_count(10**30, 3, 2, 1) == 2 * math.comb(10**30 - 2, 2)
    assert capacity(100_000, 2000) == math.comb(100_000, 2000)
    assert capacity(2048, 40, log=True) == pytest.approx(math.log(math.comb(2048, 40)), rel=1e-15)
    found = overlap_count(100, 7, 7, np.arange(9))
    assert found.dtype == object
    assert found.tolist() == [math.comb(7, b) * math.comb(93, 7 - b) for b in range(8)] + [0]
    assert overlap_count(100, 7, 7, [7, 8], log=True).tolist() == [0.0, -math.inf]


def test_log_capacity_needs_no_number():
    big = capacity(1_000_000, 500_000, log=True)
    # Of half the cells, by the series of the central binomial.
    k = 500_000
    series = 2 * k * math.log(2) - 0.5 * math.log(math.pi * k) - 1 / (8 * k)
    assert big == pytest.approx(series, rel=1e-15)
    assert capacity([5, 7], [5, 0], log=True).tolist() == [0.0, 0.0]


def test_populations_beyond_floats_are_exact_too():
    n, a, s, theta = 10**20, 10**6, 20, 10
    expected = fast_tail(n, a, s, theta)
    for log in (False, True):
        found = false_positive_probability(n, a, s, theta, log=log)
        assert found == pytest.approx(log_of(expected) if log else float(expected), rel=1e-15)
    assert false_positive_probability([2**60, 1000], 40, 20, 10)[1] == float(tail(1000, 40, 20, 10))
    many = union_false_positive_probability(10**17, 40, 20, 3, 5, log=True)
    assert many == pytest.approx(log_of(union_tail(10**17, 20, 40, 5, 3)), rel=1e-15)
    assert required_population(10**6, 20, 10, 1e-60) > 10**10


# published numbers


def published(value, digits):
    """Agreement to the digits that were printed."""
    return pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


def test_median_error_over_the_published_grid():
    seconds = []
    for _ in range(3):  # the first may compile
        began = time.perf_counter()
        sweep = tabulate(
            false_positive_probability,
            n=[1000, 5000, 9000, 13_000, 17_000],
            sparsity=[0.005, 0.01, 0.015, 0.02, 0.025, 0.03],
            s=range(20, 51, 5),
            theta=range(3, 25),
        )
        seconds.append(time.perf_counter() - began)
    assert sweep.sizes == {"n": 5, "sparsity": 6, "s": 7, "theta": 22}
    # The target of 50 ms is the benchmark's; a machine that is busy is given more here.
    assert min(seconds) < 0.5
    p = sweep["false_positive_probability"]
    median = p.median(["n", "sparsity", "s"])
    printed = {
        3: ".0173255", 4: ".00198947", 5: "1.7097e-4", 6: "1.20e-5", 7: "6.57e-7", 8: "3.33e-8",
        9: "1.35e-9", 10: "4.80e-11", 11: "1.54e-12", 12: "3.41e-14", 13: "6.40e-16",
        14: "9.34e-18", 15: "1.37e-19", 16: "1.43e-21", 17: "1.42e-23", 18: "1.12e-25",
        19: "5.18e-28", 20: "3.90e-30", 24: "2.07e-39",
    }  # fmt: skip
    for theta, text in printed.items():
        digits = len(text.split("e")[0].replace(".", "").lstrip("0"))
        assert float(f"{median.sel(theta=theta).item():.{digits - 1}e}") == float(text)
    assert p.mean(["n", "sparsity", "s"]).sel(theta=8).item() == published(5.23e-6, 3)
    assert p.max(["n", "sparsity", "s"]).sel(theta=8).item() == published(1.1e-4, 2)
    # Nowhere above min(s, a): there are combinations with 5 active cells.
    assert (p.sel(n=1000, sparsity=0.005, theta=slice(6, None)) == 0).all()
    assert (p.sel(s=20, theta=slice(21, None)) == 0).all()


@pytest.mark.parametrize(
    ("counts", "expected", "digits"),
    [
        # false positives against n
        ((4100, 64, 24, 12), 1.66e-16, 3), ((4100, 128, 24, 12), 1.006e-12, 4),
        ((4100, 256, 24, 12), 3.764e-9, 4),
        # the dense curve: stored as a = n/4, not the n/2 it is said to be
        ((700, 175, 24, 12), 0.00630387, 6), ((700, 350, 24, 12), 0.582, 3),
        # against s
        ((2000, 32, 20, 10), 3.904e-14, 4), ((4000, 32, 20, 10), 3.967e-17, 4),
        ((16_000, 512, 20, 10), 1.430e-10, 4), ((16_000, 4000, 20, 10), 0.01381, 4),
        ((2000, 32, 30, 15), 3.27e-21, 3), ((4000, 32, 30, 15), 1.03e-25, 3),
        ((16_000, 512, 30, 15), 3.08e-15, 3), ((16_000, 4000, 30, 15), 2.7e-3, 2),
        # tables: all synapses, then half of them, then a share of 2 m
        ((100_000, 2000, 6, 6), 6.353e-11, 4), ((100_000, 2000, 8, 8), 2.525e-14, 4),
        ((100_000, 2000, 10, 10), 1.0016e-17, 5), ((100_000, 2000, 12, 6), 5.294e-8, 4),
        ((100_000, 2000, 16, 8), 2.817e-10, 4), ((100_000, 2000, 20, 10), 1.5419e-12, 5),
        ((100_000, 2000, 24, 12), 8.587e-15, 4), ((100_000, 2000, 40, 10), 4.915e-9, 4),
        ((100_000, 2000, 80, 10), 4.626e-6, 4), ((100_000, 2000, 120, 10), 1.588e-4, 4),
        ((100_000, 2000, 240, 20), 1.080e-7, 4),
        # a sparsity of 2 % alone is not enough
        ((400, 8, 4, 2), 2.063e-3, 4), ((4000, 400, 4, 2), 0.0522, 3),
        # Hawkins and Ahmad (2016); 1.6e-18 is printed for the second
        ((200_000, 2000, 10, 10), 9.779e-21, 4), ((200_000, 2000, 20, 10), 1.650e-15, 4),
        # the notebook's symbolic sum gave 0
        ((10_000, 64, 24, 12), 4.0416e-21, 5),
        # segments of the union figure with one pattern
        ((1000, 30, 20, 10), 1.750e-11, 4), ((4000, 30, 20, 10), 1.856e-17, 4),
        ((8000, 30, 20, 10), 1.844e-20, 4), ((10_000, 200, 25, 15), 5.304e-20, 4),
    ],
)  # fmt: skip
def test_published_false_positives(counts, expected, digits):
    assert false_positive_probability(*counts) == published(expected, digits)


@pytest.mark.parametrize(
    ("v", "expected"),
    [(64, (7.3543e-4, 0.071699, 0.582502)), (38, (7.902e-10, 1.0925e-5, 6.275e-3))],
)
def test_published_false_negatives(v, expected):
    found = false_negative_probability(a=128, s=30, theta=[8, 12, 16], v=v)
    for value, printed, digits in zip(found, expected, (4, 5, 4), strict=True):
        assert value == published(printed, digits)


@pytest.mark.parametrize(
    ("m", "expected"),
    [(1, (1.750e-11, 1.856e-17, 1.844e-20)), (10, (0.01857, 3.326e-7, 5.323e-10)),
     (20, (0.4301, 1.298e-4, 3.481e-7))],
)  # fmt: skip
def test_published_unions_are_the_substituted_ones(m, expected):
    found = union_false_positive_probability(
        n=[1000, 4000, 8000], a=30, s=20, theta=10, n_patterns=m, method="substituted"
    )
    for value, printed in zip(found, expected, strict=True):
        assert value == published(printed, 4)


def test_what_rounding_a_union_does():
    at_five = {
        method: union_false_positive_probability(1000, 30, 20, 10, 5, method=method)
        for method in ("exact", "substituted", "rounded")
    }
    assert at_five["substituted"] == published(1.22462e-4, 6)
    assert at_five["rounded"] == published(1.204e-4, 4)
    # A mean in place of a distribution: too small, as the probability is convex in it.
    assert at_five["exact"] > at_five["substituted"]


def test_the_published_list_and_its_bound():
    """n = 100, w = 7, 500 patterns: the simulation is the independent form's, not the bound's."""
    bound = list_false_positive_probability(100, 7, 7, [4, 5, 6, 7], 500, method="bound")
    for value, printed in zip(bound, (0.144691, 0.002826, 2.0365e-5, 3.1235e-8), strict=True):
        assert value == published(printed, 4)
    independent = list_false_positive_probability(100, 7, 7, 4, 500)
    assert independent == published(0.134728, 6)
    # The simulated rate of the published 1e6 trials, within three standard errors.
    simulated = 0.134632
    assert abs(independent - simulated) < 3 * math.sqrt(simulated * (1 - simulated) / 1e6)
    assert abs(bound[0] - simulated) > 20 * math.sqrt(simulated * (1 - simulated) / 1e6)
