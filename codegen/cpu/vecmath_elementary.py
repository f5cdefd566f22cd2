"""exp, log, pow and what is made of them, for SIMD vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sysmlc.codegen.cpu import vecmath_tables
from sysmlc.codegen.cpu.coefficients import (
    ERF,
    ERFC,
    EXP,
    LN2_HIGH,
    LN2_LOW,
    LOG,
    LOG_TAIL,
)
from sysmlc.codegen.cpu.vecmath import LOG2_E, MAGIC, Lane, Lanes

EXP_MIN, EXP_MAX = -750.0, 710.0
"""Beyond these exp is 0 or infinite."""


@dataclass(frozen=True)
class Function:
    """A vector function: how to write it, and whether it is small enough to be inlined."""

    write: Callable[..., Lane]
    inline: bool = False
    arity: int = 1


def _reduce(lanes: Lanes, x: Lane, low: Lane | None = None) -> tuple[Lane, Lane, Lane]:
    """n, r and a small rest with e^(x + low) = 2^n (1 + r + rest)."""
    n = lanes.fma(x, LOG2_E, MAGIC) - MAGIC
    high = lanes.fma(n, -LN2_HIGH, x)
    rest = n * LN2_LOW
    r = high - rest
    r_low = (high - r) - rest
    if low is not None:
        r, r_low = lanes.quick_two_sum(r, r_low + low)
    return n, r, lanes.fma(r * r, lanes.polynomial(EXP, r), r_low)


def _one_more(r: Lane, rest: Lane) -> Lane:
    """1 + r + rest with one rounding that counts: powers that are exact come out exact."""
    one = r + 1.0
    return one + ((r - (one - 1.0)) + rest)


def exp(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.exp(lanes, x)
    n, r, rest = _reduce(lanes, lanes.at_least(lanes.at_most(x, EXP_MAX), EXP_MIN))
    return lanes.scale(_one_more(r, rest), n)


def _expm1_of_positive(lanes: Lanes, x: Lane) -> Lane:
    """e^x - 1 for 0 <= x < 700, without cancellation: 2^n p + (2^n - 1)."""
    n, r, rest = _reduce(lanes, x)
    power = lanes.power_of_two(n)
    return lanes.fma(power, r + rest, power - 1.0)


def tanh(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.tanh(lanes, x)
    e = _expm1_of_positive(lanes, lanes.at_most(lanes.abs(x), 22.0) * 2.0)
    return lanes.with_sign(e / (e + 2.0), x)


def sigmoid(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.sigmoid(lanes, x)
    # 1 / (1 + e^-x), but e^-x and both ones are smaller by a power of 2: so it is finite as long as the result is not 0.
    n, r, rest = _reduce(lanes, lanes.at_most(lanes.at_least(-x, -50.0), 800.0))
    one = 2.0**-53
    return lanes.of(one) / (lanes.scale(_one_more(r, rest) * one, n) + one)


def _half_exp(lanes: Lanes, x: Lane) -> Lane:
    """e^x / 2 for x >= 0, which may be finite where e^x is not."""
    n, r, rest = _reduce(lanes, lanes.at_most(x, 712.0))
    return lanes.scale(_one_more(r, rest), n - 1.0)


def sinh(lanes: Lanes, x: Lane) -> Lane:
    size = lanes.abs(x)
    e = _expm1_of_positive(lanes, lanes.at_most(size, 22.0))
    small = (e + e / (e + 1.0)) * 0.5
    return lanes.with_sign(lanes.choose(lanes.compare("olt", size, 22.0), small, _half_exp(lanes, size)), x)


def cosh(lanes: Lanes, x: Lane) -> Lane:
    half = _half_exp(lanes, lanes.abs(x))
    return half + lanes.of(0.25) / half


def _split(lanes: Lanes, x: Lane) -> tuple[Lane, Lane]:
    """k and m with x = 2^k m and sqrt(1/2) <= m < sqrt(2), for positive finite x."""
    tiny = lanes.compare("olt", x, 2.0**-1022)
    bits = lanes.bits(lanes.choose(tiny, x * 2.0**54, x))
    # Shift the boundary between exponents from 1 to sqrt(1/2).
    shifted = bits + (0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    exponent = shifted >> 52
    k = lanes.floats(exponent | 0x4330000000000000) - (2.0**52 + 1023)
    m = lanes.floats((shifted & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    return k - lanes.choose(tiny, 54.0, 0.0), m


def log(lanes: Lanes, x: Lane) -> Lane:
    if lanes.target.avx512:
        return vecmath_tables.log(lanes, x)
    k, m = _split(lanes, x)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    tail = z * lanes.polynomial(LOG, z)
    # log(1 + f) = f - (f²/2 - s (f²/2 + tail)): the big terms are exact or nearly so.
    half = f * f * 0.5
    inner = half - lanes.fma(s, half + tail, k * LN2_LOW)
    result = k * LN2_HIGH - (inner - f)
    return _log_limits(lanes, x, result)


def _log_limits(lanes: Lanes, x: Lane, result: Lane) -> Lane:
    """Infinity and NaN stay, 0 gives -Infinity, less gives NaN."""
    below = lanes.choose(lanes.compare("oeq", x, 0.0), -math.inf, math.nan)
    result = lanes.choose(lanes.compare("olt", x, math.inf), result, x)
    return lanes.choose(lanes.compare("ole", x, 0.0), below, result)


def log_base(lanes: Lanes, x: Lane, base: Lane) -> Lane:
    return log(lanes, x) / log(lanes, base)


def _log_pair(lanes: Lanes, x: Lane) -> tuple[Lane, Lane]:
    """log of a positive finite x as a sum of two values, good to about 2^-65 of itself."""
    k, m = _split(lanes, x)
    f = m - 1.0
    d, d_low = lanes.two_sum(m, lanes.of(1.0))
    inverse = lanes.of(1.0) / d
    s = f * inverse
    product, error = lanes.two_product(s, d)
    s_low = (((f - product) - error) - s * d_low) * inverse
    w, w_low = lanes.two_product(s, s)
    w_low = w_low + s * s_low * 2.0
    third = 1 / 3
    u = w * lanes.polynomial(LOG_TAIL, w)
    a, a_low = lanes.quick_two_sum(lanes.of(third), u)
    a_low = a_low + 1.850371707708594e-17
    g, g_low = lanes.two_product(w, a)
    g_low = g_low + (w * a_low + w_low * a)
    v, v_low = lanes.two_product(s, g)
    v_low = v_low + (s * g_low + s_low * g)
    high, low = lanes.quick_two_sum(s, v)
    low = low + (s_low + v_low)
    # twice atanh(s), plus k ln 2
    high, rest = lanes.two_sum(k * LN2_HIGH, high * 2.0)
    return lanes.quick_two_sum(high, rest + lanes.fma(k, LN2_LOW, low * 2.0))


def pow(lanes: Lanes, x: Lane, y: Lane) -> Lane:
    size = lanes.abs(x)
    normal = lanes.compare("olt", size, math.inf) & lanes.compare("ogt", size, 0.0)
    high, low = _log_pair(lanes, lanes.choose(normal, size, 1.0))
    # Beyond 2^70 only the sign of an exponent matters.
    exponent = lanes.at_least(lanes.at_most(y, 2.0**70), -(2.0**70))
    p, p_low = lanes.two_product(exponent, high)
    p_low = lanes.fma(exponent, low, p_low)
    inside = lanes.compare("olt", lanes.abs(p), 760.0)
    p = lanes.at_least(lanes.at_most(p, EXP_MAX + 1), EXP_MIN)
    n, r, rest = _reduce(lanes, p, lanes.choose(inside, p_low, 0.0))
    finite = lanes.scale(_one_more(r, rest), n)
    # |x| = 0 or infinite: 0 or infinity, by the sign of y.
    grows = lanes.compare("ogt", size, 1.0) ^ lanes.compare("olt", y, 0.0)
    result = lanes.choose(normal, finite, lanes.choose(grows, math.inf, 0.0))
    whole = lanes.intrinsic("floor", y)
    is_whole = lanes.compare("oeq", whole, y)
    half = lanes.intrinsic("floor", y * 0.5)
    odd = is_whole & lanes.compare("one", half + half, y) & lanes.compare("olt", lanes.abs(y), 2.0**53)
    negative = lanes.with_sign(lanes.of(1.0), x)
    is_negative = lanes.compare("olt", negative, 0.0)
    result = lanes.choose(odd & is_negative, -result, result)
    undefined = lanes.compare("olt", x, 0.0) & normal & lanes.compare("one", whole, y)
    result = lanes.choose(undefined, math.nan, result)
    result = lanes.choose(lanes.compare("uno", x, y), math.nan, result)
    one = lanes.compare("oeq", x, 1.0) | lanes.compare("oeq", y, 0.0)
    return lanes.choose(one, 1.0, result)


def erf(lanes: Lanes, x: Lane) -> Lane:
    size = lanes.at_most(lanes.abs(x), 6.0)
    z = size * size
    small = lanes.fma(x, lanes.polynomial(ERF, z), x)
    t = lanes.of(1.0) / lanes.fma(size, 0.5, 1.0)
    large = lanes.of(1.0) - exp(lanes, -z) * lanes.polynomial(ERFC, t)
    return lanes.choose(lanes.compare("olt", size, 1.0), small, lanes.with_sign(large, x))


ELEMENTARY = {
    "exp": Function(exp, inline=True),
    "log": Function(log, inline=True),
    "tanh": Function(tanh, inline=True),
    "sigmoid": Function(sigmoid, inline=True),
    "erf": Function(erf),
    "sinh": Function(sinh),
    "cosh": Function(cosh),
    "pow": Function(pow, arity=2),
    "log_base": Function(log_base, arity=2),
}
