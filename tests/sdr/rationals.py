"""Probabilities of overlaps in rational numbers, term by term, and how near floats must come."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

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
