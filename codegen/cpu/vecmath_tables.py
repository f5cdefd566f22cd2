"""exp, log, sigmoid and tanh of AVX-512: steps from tables of two registers leave short polynomials.

Two ports of a core do all vector arithmetic, so what counts is the number of instructions: special values are left to those that
treat them well (scalef, getexp, getmant) wherever that is so.
"""

from __future__ import annotations

from sysmlc.codegen.cpu.coefficients import (
    EXP_POWER,
    EXP_POWER_LOW,
    EXP_STEP,
    EXPM1_STEP,
    LN2_HIGH,
    LN2_LOW,
    LOG_FACTOR,
    LOG_HIGH,
    LOG_STEP,
    SCALED_POWER,
    SCALED_POWER_LOW,
)
from sysmlc.codegen.cpu.vecmath import LOG2_E, Lane, Lanes

LN2, LN2_REST = float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")
"""ln 2 in two parts, for products that are not rounded."""
SIXTEENTHS = 1.5 * 2.0**48
"""Adding it rounds to sixteenths, whose number then is in the lowest bits of the sum."""
EXP_MIN, EXP_MAX = -745.2, 710.0
"""Beyond these exp is 0 or infinite."""


def _steps(lanes: Lanes, x: Lane, sign: int = 1) -> tuple[Lane, Lane, Lane]:
    """n in sixteenths, the index of its power in tables, and r with e^(sign x) = 2^n e^(sign r)."""
    shifted = lanes.fma(x, sign * LOG2_E, SIXTEENTHS)
    n = shifted - SIXTEENTHS
    r = lanes.fma(n, -sign * LN2_REST, lanes.fma(n, -sign * LN2, x))
    return n, lanes.bits(shifted), r


def exp(lanes: Lanes, x: Lane) -> Lane:
    n, index, r = _steps(lanes, lanes.at_most(x, EXP_MAX))
    power, low = lanes.entry(EXP_POWER, index), lanes.entry(EXP_POWER_LOW, index)
    value = power + lanes.fma(power * r, lanes.horner((1.0, *EXP_STEP), r), low)
    # Results that are 0 take hundreds of cycles when arithmetic finds out.
    return lanes.scale_where(lanes.compare("uge", x, EXP_MIN), value, n)


def sigmoid(lanes: Lanes, x: Lane) -> Lane:
    """1 / (1 + e^-x), both multiplied with the first power of the table: c / (c + c e^-x). With that factor all powers are nearly
    doubles, and e^-x is finite as long as the result is not 0."""
    n, index, r = _steps(lanes, lanes.at_least(lanes.at_most(x, 50.0), -800.0), -1)
    power, first = lanes.scale(lanes.entry(SCALED_POWER, index), n), SCALED_POWER[0]
    # e^-r, with the odd coefficients of e^r negated
    rest = lanes.horner([-c if k % 2 else c for k, c in enumerate((1.0, 1.0, *EXP_STEP))], r)
    return lanes.of(first) / lanes.fma(power, rest, first)


def tanh(lanes: Lanes, x: Lane) -> Lane:
    """(c e^2x - c) / (c e^2x + c)."""
    size = lanes.at_most(lanes.abs(x), 22.0)
    n, index, r = _steps(lanes, size + size)
    n, c = n + 54.0, SCALED_POWER[0] * 2.0**54
    power, low = (lanes.scale(lanes.entry(table, index), n) for table in (SCALED_POWER, SCALED_POWER_LOW))
    rest = lanes.fma(r * r, lanes.horner(EXPM1_STEP, r), r)
    less = (power - c) + lanes.fma(power, rest, low)
    return lanes.with_sign(less / (less + 2 * c), x)


SPECIAL_LOGS = 0x03530422
"""Of NaN: itself; of 0: -Infinity; of Infinity: itself; of less than 0: NaN."""


def log(lanes: Lanes, x: Lane) -> Lane:
    """Without a division: a factor from a table brings the mantissa near 1."""
    m, k = lanes.mantissa(x), lanes.exponent(x)  # which are of 2m where m < 1: the table knows
    index = lanes.bits(m) >> 48
    r = lanes.fma(m, lanes.entry(LOG_FACTOR, index), -1.0)
    # k LN2_HIGH + LOG_HIGH is exact, and 0 or greater than r. What both lack of logarithms is in proportion.
    big = lanes.fma(k, LN2_HIGH, lanes.entry(LOG_HIGH, index))
    total, error = lanes.quick_two_sum(big, r)
    low = lanes.fma(big, LN2_LOW / LN2_HIGH, error)
    result = total + lanes.fma(r * r, lanes.horner(LOG_STEP, r), low)
    return lanes.repaired(result, x, SPECIAL_LOGS)
