"""exp as a polynomial without branches, which the compiler turns into vector instructions.

NumPy's and numba's exp run element by element on many machines. Needs numba: import it only from
modules that do. The largest relative error is below 2e-15 (``tests/engines/test_rates.py``).
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

# Adding 1.5 * 2**52 leaves the nearest integer in the low bits of the sum.
_ROUNDING = 6755399441055744.0
_LOG2_E = 1.4426950408889634
# ln 2 in two parts, the first with zeros behind, so that its multiples are exact.
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10


@intrinsic
def _float_to_bits(typing_context, value):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _bits_to_float(typing_context, value):
    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@numba.njit(inline="always")
def exp(x):
    """exp for \\|x\\| <= 700: Taylor to degree 13 on \\|r\\| <= ln(2)/2, then a power of two."""
    shifted = x * _LOG2_E + _ROUNDING
    power = shifted - _ROUNDING
    r = x - power * _LN2_HIGH - power * _LN2_LOW
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _bits_to_float((_float_to_bits(shifted) + 1023) << 52)  # type: ignore[call-arg, unused-ignore]
