"""The theory of sparse representations against whole numbers, published numbers, enumeration."""

from __future__ import annotations

import itertools
import math
import time
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

#: The published limit. What is measured is a few units in the last place.
LIMIT = 1e-12
LAST_PLACE = np.finfo(float).eps


# the oracle: rationals, written down from the definitions


def hypergeometric(n, a, s, b):
    """P(overlap = b): a of n cells, s of them marked."""
    if not 0 <= b <= min(s, a) or a - b > n - s:
        return Fraction(0)
    return Fraction(math.comb(s, b) * math.comb(n - s, a - b), math.comb(n, a))


def tail(n, a, s, theta):
    """P(overlap >= theta)."""
    return sum((hypergeometric(n, a, s, b) for b in range(theta, min(s, a) + 1)), Fraction(0))


def fast_tail(n, a, s, theta):
    """The same for large counts: s factors instead of whole binomials."""
    s, a = min(s, a), max(s, a)
    first = max(0, theta, s + a - n)
    if first > s:
        return Fraction(0)
    term = math.comb(s, first) * math.perm(a, first) * math.perm(n - a, s - first)
    total = 0
    for b in range(first, s + 1):
        total += term
        term = term * (s - b) * (a - b) // ((b + 1) * (n - s - a + b + 1))
    return Fraction(total, math.perm(n, s))


def union_tail(n, marked, drawn, m, theta):
    """P(at least theta marked cells lie in the union of m sets), by inclusion and exclusion.

    Another way than the chain of the code: with differences, which whole numbers can afford.
    """

    # How often all m sets miss k given cells.
    none_of = [math.comb(n - k, drawn) ** m for k in range(marked + 1)]

    def exactly(covered):
        return math.comb(marked, covered) * sum(
            (-1) ** j * math.comb(covered, j) * none_of[marked - covered + j]
            for j in range(covered + 1)
        )

    number = sum(exactly(b) for b in range(max(theta, 0), marked + 1))
    return Fraction(number, math.comb(n, drawn) ** m)


def log_of(p):
    """Log of a rational of any size, right to the last place."""
    if p == 0:
        return -math.inf
    if p > Fraction(1, 2):
        return math.log1p(-float(1 - p))
    power = p.numerator.bit_length() - p.denominator.bit_length()
    return math.log(float(p / Fraction(2) ** power)) + power * math.log(2)


def assert_close(found, found_log, expected, limit=LIMIT):
    """A probability and its log against a rational."""
    if expected > Fraction(1, 10**300):
        assert found == pytest.approx(float(expected), rel=limit, abs=0)
    else:
        assert found == pytest.approx(float(expected), rel=limit, abs=1e-300)
    # In the log the same relative error is an absolute one, until the log's own last place.
    exact = log_of(expected)
    room = limit + 4 * LAST_PLACE * abs(exact) if abs(exact) > 0.5 else limit * abs(exact)
    assert found_log == exact or abs(found_log - exact) <= room


def random_points(seed, number):
    """n to a million with the sizes of codes that people use, and wild ones."""
    rng = np.random.default_rng([5, seed])
    for _ in range(number):
        n = int(10 ** rng.uniform(0.3, 6))
        n = 1_000_000 if rng.random() < 0.1 else n
        a = int(rng.integers(0, min(n, 4000) + 1))
        s = int(rng.integers(0, min(n, rng.choice([20, 60, 200])) + 1))
        theta = int(rng.integers(0, s + 1))
        yield rng, n, a, s, theta


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
