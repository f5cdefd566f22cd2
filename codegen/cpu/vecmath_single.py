"""Mathematics for SIMD vectors of f32: polynomials of their own for the functions of neural networks, the others through f64."""

from __future__ import annotations

import math

from sysmlc.codegen.cpu import vecmath_tables
from sysmlc.codegen.cpu.coefficients import EXP_SINGLE, LOG_SINGLE, TANH_SINGLE
from sysmlc.codegen.cpu.vecmath import LOG2_E, Lane, Lanes
from sysmlc.codegen.cpu.vecmath_elementary import Function

MAGIC = 1.5 * 2.0**23
"""Adding it rounds to an integer, whose bits then are the lowest of the sum."""
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cf79abcap-20")
"""ln 2 in two parts; integers below 2^9 times the first are exact."""
EXP_MIN, EXP_MAX = -104.0, 89.0
"""Beyond these exp is 0 or infinite."""


def _reduce(lanes: Lanes, x: Lane) -> tuple[Lane, Lane]:
    """n and r with e^x = 2^n e^r, |r| <= ln(2)/2."""
    n = lanes.fma(x, LOG2_E, MAGIC) - MAGIC
    return n, lanes.fma(n, -LN2_LOW, lanes.fma(n, -LN2_HIGH, x))


def _power_of_two(lanes: Lanes, n: Lane) -> Lane:
    """2^n for integers -126 <= n <= 127."""
    return lanes.floats((lanes.bits(n + MAGIC) << 23) + (127 << 23))


def _scale(lanes: Lanes, x: Lane, n: Lane) -> Lane:
    """x * 2^n, rounded once, for x near 1 and any integer |n| < 250."""
    half = lanes.intrinsic("floor", n * 0.5)
    return x * _power_of_two(lanes, half) * _power_of_two(lanes, n - half)


def exp(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.exp(lanes, x)
    n, r = _reduce(lanes, lanes.at_least(lanes.at_most(x, EXP_MAX), EXP_MIN))
    return _scale(lanes, _power(lanes, r), n)


def _power(lanes: Lanes, r: Lane) -> Lane:
    """e^r for |r| <= ln(2)/2."""
    return lanes.fma(r * r, lanes.polynomial(EXP_SINGLE, r), r) + 1.0


def sigmoid(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.sigmoid(lanes, x)
    # 1 / (1 + e^-x), but e^-x and both ones are smaller by a power of 2: so it is finite as long as the result is not 0.
    n, r = _reduce(lanes, lanes.at_most(lanes.at_least(-x, -20.0), 120.0))
    one = 2.0**-25
    return lanes.of(one) / (_scale(lanes, _power(lanes, r) * one, n) + one)


def tanh(lanes: Lanes, x: Lane) -> Lane:
    """Near 0 by a polynomial, else 1 - 2 / (e^2x + 1)."""
    if lanes.target.avx512:
        return vecmath_tables.tanh(lanes, x)
    size = lanes.abs(x)
    z = x * x
    small = lanes.fma(x * z, lanes.polynomial(TANH_SINGLE, z), x)
    n, r = _reduce(lanes, lanes.at_most(size, 10.0) * 2.0)
    e = _power(lanes, r) * _power_of_two(lanes, n)
    large = lanes.of(1.0) - lanes.of(2.0) / (e + 1.0)
    return lanes.choose(lanes.compare("olt", size, 0.625), small, lanes.with_sign(large, x))


def log(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.log(lanes, x)
    tiny = lanes.compare("olt", x, 2.0**-126)
    bits = lanes.bits(lanes.choose(tiny, x * 2.0**25, x))
    # Shift the boundary between exponents from 1 to sqrt(1/2).
    shifted = bits + (0x3F800000 - 0x3F3504F3)
    k = lanes.floats((shifted >> 23) | 0x4B000000) - (2.0**23 + 127)
    k = k - lanes.choose(tiny, 25.0, 0.0)
    f = lanes.floats((shifted & 0x007FFFFF) + 0x3F3504F3) - 1.0
    square = f * f
    tail = lanes.fma(f * square, lanes.polynomial(LOG_SINGLE, f), k * LN2_LOW)
    result = lanes.fma(k, LN2_HIGH, f + lanes.fma(square, -0.5, tail))
    below = lanes.choose(lanes.compare("oeq", x, 0.0), -math.inf, math.nan)
    result = lanes.choose(lanes.compare("olt", x, math.inf), result, x)
    return lanes.choose(lanes.compare("ole", x, 0.0), below, result)


def in_double(fn: str, function: Function) -> Function:
    """The function in f64, half of the lanes at a time, rounded."""

    def write(lanes: Lanes, *arguments: Lane) -> Lane:
        symbol = lanes.library.need(fn)
        n, single = lanes.count, lanes.types["f"]
        half, wide = f"<{n // 2} x float>", f"<{n // 2} x double>"
        parts = []
        for first in (0, n // 2):
            chosen = f"<{n // 2} x i32> <" + ", ".join(f"i32 {first + i}" for i in range(n // 2)) + ">"
            given = []
            for x in arguments:
                part = lanes.let("f", f"shufflevector {single} {x.text}, {single} poison, {chosen}")
                given.append(f"{wide} " + lanes.let("f", f"fpext {half} {part.text} to {wide}").text)
            made = lanes.let("f", f"call {wide} @{symbol}({', '.join(given)})")
            parts.append(lanes.let("f", f"fptrunc {wide} {made.text} to {half}").text)
        order = ", ".join(f"i32 {i}" for i in range(n))
        return lanes.let("f", f"shufflevector {half} {parts[0]}, {half} {parts[1]}, <{n} x i32> <{order}>")

    return Function(write, arity=function.arity)


SINGLE = {
    "exp": Function(exp, inline=True),
    "log": Function(log, inline=True),
    "tanh": Function(tanh, inline=True),
    "sigmoid": Function(sigmoid, inline=True),
}
