"""The same probabilities as ratios of whole numbers: of any size, and without rounding."""

from __future__ import annotations

import math
from fractions import Fraction

Ratio = tuple[int, int]


def overlap_tail(n: int, a: int, s: int, theta: int) -> Ratio:
    """P(at least theta of s marked cells are among a of n): numerator and denominator."""
    s, a = min(s, a), max(s, a)
    first = max(theta, 0, s - (n - a))
    total = sum(
        math.comb(s, b) * math.perm(a, b) * math.perm(n - a, s - b) for b in range(first, s + 1)
    )
    return total, math.perm(n, s)


def covered_tail(n: int, marked: int, drawn: int, times: int, theta: int) -> Ratio:
    """P(at least theta marked cells are covered by so many patterns of ``drawn`` of n cells)."""
    # Of each pattern one factor of the denominator, whichever is the smaller number.
    by_marked = marked <= drawn
    whole = math.perm(n, marked) if by_marked else math.comb(n, drawn)

    def hits(left: int, j: int) -> int:
        if not by_marked:
            return math.comb(left, j) * math.comb(n - left, drawn - j)
        others = math.perm(n - drawn, left - j) * math.perm(n - left, marked - left)
        return math.comb(left, j) * math.perm(drawn, j) * others

    ways = {0: 1}
    for _ in range(times):
        fresh: dict[int, int] = {}
        for x, number in ways.items():
            left = marked - x
            for j in range(max(0, drawn - (n - left)), min(left, drawn) + 1):
                fresh[x + j] = fresh.get(x + j, 0) + number * hits(left, j)
        ways = fresh
    return sum(w for x, w in ways.items() if x >= theta), whole**times


def at_least_one(ratio: Ratio, number: int) -> Ratio:
    """1 - (1 - p)^k."""
    total = ratio[1] ** number
    return total - (ratio[1] - ratio[0]) ** number, total


def at_most(ratio: Ratio, limit: Fraction) -> bool:
    """Whether p <= limit."""
    return ratio[0] * limit.denominator <= limit.numerator * ratio[1]


def logarithm(ratio: Ratio) -> float:
    """Log of a ratio of any size, to the last digits of a float."""
    numerator, denominator = ratio
    if numerator == 0:
        return -math.inf
    if 2 * numerator > denominator:
        # Near one: by what is missing.
        return math.log1p(-((denominator - numerator) / denominator))
    # The first 64 bits and more, and the power of two apart, so that nothing cancels.
    shift = max(0, 64 + denominator.bit_length() - numerator.bit_length())
    mantissa = (numerator << shift) // denominator
    power = mantissa.bit_length()
    return math.log(mantissa / (1 << power)) + (power - shift) * math.log(2.0)


def log_integer(number: int) -> float:
    """Log of a whole number of any size, -inf of 0."""
    return math.log(number) if number else -math.inf


def probability(ratio: Ratio) -> float:
    """The nearest float."""
    return ratio[0] / ratio[1]
