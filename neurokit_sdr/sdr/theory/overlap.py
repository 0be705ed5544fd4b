"""Tails of the overlap of random sparse patterns, to the last bit of a float, in numba.

The overlap b of a of n cells with s marked ones is hypergeometric. All quantities here are products
and sums of positive terms, never differences, and are carried as a double-double times a power of
two: 106 bits, and no underflow. The first term of a tail is a product of ratios,

    P(b) = C(s, b) [a]_b [n - a]_(s-b) / [n]_s,    [x]_k = x (x - 1) ... (x - k + 1),

and the others follow by P(b + 1) / P(b) = (s - b) (a - b) / ((b + 1) (n - s - a + b + 1)). Sums run
away from the mode, so that their terms fall; the other tail is one minus that, which costs nothing
because the one that is summed is then the smaller or they are about equal.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

#: Counts up to here are exact as floats, and so are their differences.
LARGEST = 1 << 52

_LN2 = math.log(2.0)
#: A mantissa beyond this gives its power of two to the exponent.
_BIG = 2.0**400
_SMALL = 2.0**-400
#: Terms below this share of the sum are below the last bit of a double-double's upper half.
_NEGLIGIBLE = 2.0**-70


@intrinsic
def _fused(typing_context, x, y, z):
    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


#: ``x * y + z`` with one rounding, which gives the rounding error of a product.
_fma: Any = _fused


@numba.njit(cache=True, inline="always")
def _times(high, low, factor):
    """Double-double times a double."""
    product = high * factor
    rest = _fma(high, factor, -product) + low * factor
    total = product + rest
    return total, rest - (total - product)


@numba.njit(cache=True, inline="always")
def _over(high, low, divisor):
    """Double-double over a double."""
    quotient = high / divisor
    rest = _fma(-quotient, divisor, high) + low
    correction = rest / divisor
    total = quotient + correction
    return total, correction - (total - quotient)


@numba.njit(cache=True, inline="always")
def _plus(high, low, other_high, other_low):
    """Sum of two positive double-doubles."""
    total = high + other_high
    part = total - high
    rest = (high - (total - part)) + (other_high - part) + low + other_low
    result = total + rest
    return result, rest - (result - total)


@numba.njit(cache=True, inline="always")
def _scaled(high, low, exponent):
    """Keep the mantissa in range."""
    if high > _BIG:
        return high * _SMALL, low * _SMALL, exponent + 400
    if high < _SMALL:
        return high * _BIG, low * _BIG, exponent - 400
    return high, low, exponent


@numba.njit(cache=True)
def _term(n, a, s, b):
    """P(overlap = b) as (high, low, exponent); a may be any real number from b to n - s + b."""
    high, low, exponent = 1.0, 0.0, 0
    for i in range(s):
        # Numerator and denominator turn by turn, so that the exponent is seldom touched.
        if i < b:
            high, low = _times(high, low, a - i)
        else:
            high, low = _times(high, low, n - a - (i - b))
        high, low = _over(high, low, float(n - i))
        high, low, exponent = _scaled(high, low, exponent)
    for i in range(min(b, s - b)):
        high, low = _times(high, low, float(s - i))
        high, low = _over(high, low, float(i + 1))
        high, low, exponent = _scaled(high, low, exponent)
    return high, low, exponent


@numba.njit(cache=True)
def _sum_from(n, a, s, b, step, last):
    """Sum of P(b), P(b + step), ... P(last) as (high, low, exponent)."""
    first, first_low, exponent = _term(n, a, s, b)
    high, low = first, first_low
    total, total_low = high, low
    while b != last:
        if step > 0:
            up, across = float(s - b), a - b
            down, under = float(b + 1), n - s - a + b + 1
        else:
            up, across = float(b), n - s - a + b
            down, under = float(s - b + 1), a - b + 1
        high, low = _times(high, low, up)
        high, low = _times(high, low, across)
        high, low = _over(high, low, down)
        high, low = _over(high, low, under)
        total, total_low = _plus(total, total_low, high, low)
        b += step
        # The ratios fall too: what is left is below a geometric series.
        ratio = (up * across) / (down * under)
        if ratio < 1 and high < _NEGLIGIBLE * (1 - ratio) * total:
            break
        if total > _BIG:
            high, low = high * _SMALL, low * _SMALL
            total, total_low, exponent = total * _SMALL, total_low * _SMALL, exponent + 400
    return total, total_low, exponent


@numba.njit(cache=True)
def _logarithm(high, low, exponent):
    mantissa, power = math.frexp(high)
    return math.log(mantissa) + ((exponent + power) * _LN2 + math.log1p(low / high))


@numba.njit(cache=True)
def _both(upper, high, low, exponent):
    """(probability, log, log of the rest) of one tail, of which it or the rest was summed."""
    small = math.ldexp(high + low, exponent)
    if small >= 1.0:
        # Rounding, or substituted counts that are not whole.
        return (1.0, 0.0, -np.inf) if upper else (0.0, -np.inf, 0.0)
    log, rest = _logarithm(high, low, exponent), math.log1p(-small)
    return (small, log, rest) if upper else (1.0 - small, rest, log)


@numba.njit(cache=True)
def overlap_tail(n, a, s, theta):
    """P(b >= theta) for a of n cells and s marked ones; a may be a real number.

    Returns (probability, log, log of the rest).
    """
    if a == math.floor(a) and s > a:
        # Symmetric where both are whole: the shorter product.
        a, s = float(s), int(a)
    lowest = max(0, s - math.floor(n - a))
    highest = min(s, math.floor(a))
    if theta <= lowest:
        return 1.0, 0.0, -np.inf
    if theta > highest:
        return 0.0, -np.inf, 0.0
    mode = (a + 1) * (s + 1) / (n + 2)
    # The terms of a substituted a below s do not sum to one: then only this tail is the answer.
    if theta > mode or a < s:
        high, low, exponent = _sum_from(n, a, s, theta, 1, highest)
        return _both(True, high, low, exponent)
    high, low, exponent = _sum_from(n, a, s, theta - 1, -1, lowest)
    return _both(False, high, low, exponent)


@numba.njit(cache=True)
def overlap_tails(n, a, s, theta, out):
    """:func:`overlap_tail` of flat arrays, into ``out`` of shape (3, point)."""
    for i in range(len(n)):
        out[0, i], out[1, i], out[2, i] = overlap_tail(n[i], a[i], s[i], theta[i])


@numba.njit(cache=True)
def log_binomials(n, k, out):
    """Log of C(n, k), flat arrays; C(n, k) = 1 / P(a certain k of n are the k drawn)."""
    for i in range(len(n)):
        if k[i] > n[i]:
            out[i] = -np.inf
            continue
        size = min(k[i], n[i] - k[i])
        high, low, exponent = _term(n[i], float(size), size, size)
        out[i] = -_logarithm(high, low, exponent)


@numba.njit(cache=True, inline="always")
def _add(value, power, more, more_power):
    """Sum of two numbers, each a mantissa times a power of two."""
    if more == 0.0:
        return value, power
    if value == 0.0:
        return more, more_power
    shift = power - more_power
    if shift > 200:
        return value, power
    if shift < -200:
        return more, more_power
    mantissa, extra = math.frexp(value + math.ldexp(more, -shift))
    return mantissa, power + extra


@numba.njit(cache=True)
def _transitions(n, marked, drawn, theta):
    """One more pattern: from x < theta covered cells to x + j, and to theta or more.

    Mantissas and powers (x, j); the last column is the step to theta or more.
    """
    value, power = np.zeros((theta, theta + 1)), np.zeros((theta, theta + 1), np.int64)
    for x in range(theta):
        left = marked - x
        lowest, highest = max(0, drawn - (n - left)), min(left, drawn)
        if lowest <= highest:
            high, low, exponent = _term(n, float(max(left, drawn)), min(left, drawn), lowest)
        for j in range(lowest, min(theta - x - 1, highest) + 1):
            mantissa, extra = math.frexp(high + low)
            value[x, j], power[x, j] = mantissa, exponent + extra
            high, low = _times(high, low, float(left - j))
            high, low = _times(high, low, float(drawn - j))
            high, low = _over(high, low, float(j + 1))
            if j < highest:
                high, low = _over(high, low, float(n - left - drawn + j + 1))
                high, low, exponent = _scaled(high, low, exponent)
        _, log, _ = overlap_tail(n, float(drawn), left, theta - x)
        # The tail as mantissa and power, from its terms: exp(log) would lose its last digits.
        need = theta - x
        if log == 0.0:
            value[x, theta], power[x, theta] = 0.5, 1
        elif log > -np.inf:
            value[x, theta], power[x, theta] = _tail_mantissa(n, drawn, left, need)
    return value, power


@numba.njit(cache=True)
def _tail_mantissa(n, a, s, theta):
    """P(b >= theta) > 0 of whole counts as mantissa and power of two."""
    probability, _, _ = overlap_tail(n, float(a), s, theta)
    if probability > 1e-290:
        return math.frexp(probability)
    if s > a:
        a, s = s, a
    high, low, exponent = _sum_from(n, float(a), s, theta, 1, min(s, a))
    mantissa, extra = math.frexp(high + low)
    return mantissa, exponent + extra


@numba.njit(cache=True)
def covered_tail(n, marked, drawn, times, theta):
    """P(at least theta of the marked cells are covered by the union of random patterns).

    ``times`` patterns of ``drawn`` of n cells each. A chain over the number of cells covered so
    far; each pattern covers a hypergeometric number of those left. Only sums of positive terms.
    Returns (probability, log, log of the rest).
    """
    if theta <= 0:
        return 1.0, 0.0, -np.inf
    if times == 0 or theta > marked or drawn == 0:
        return 0.0, -np.inf, 0.0
    if times == 1:
        return overlap_tail(n, float(drawn), marked, theta)
    step, step_power = _transitions(n, marked, drawn, theta)
    value, power = np.zeros(theta), np.zeros(theta, np.int64)
    value[0], power[0] = 0.5, 1
    met, met_power = 0.0, 0
    for _ in range(times):
        fresh, fresh_power = np.zeros(theta), np.zeros(theta, np.int64)
        for x in range(theta):
            if value[x] == 0.0:
                continue
            for j in range(theta - x):
                fresh[x + j], fresh_power[x + j] = _add(
                    fresh[x + j], fresh_power[x + j],
                    value[x] * step[x, j], power[x] + step_power[x, j],
                )  # fmt: skip
            met, met_power = _add(
                met, met_power, value[x] * step[x, theta], power[x] + step_power[x, theta]
            )
        value, power = fresh, fresh_power
    rest, rest_power = 0.0, 0
    for x in range(theta):
        rest, rest_power = _add(rest, rest_power, value[x], power[x])
    if met == 0.0:
        return 0.0, -np.inf, 0.0
    if rest == 0.0:
        return 1.0, 0.0, -np.inf
    if math.ldexp(met, met_power) <= 0.5:
        return _both(True, met, 0.0, met_power)
    return _both(False, rest, 0.0, rest_power)


@numba.njit(cache=True)
def covered_tails(n, marked, drawn, times, theta, out):
    """:func:`covered_tail` of flat arrays, into ``out`` of shape (3, point)."""
    for i in range(len(n)):
        out[0, i], out[1, i], out[2, i] = covered_tail(
            n[i], marked[i], drawn[i], times[i], theta[i]
        )
