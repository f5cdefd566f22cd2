"""sin, cos, tan and their inverses, for SIMD vectors."""

from __future__ import annotations

import math

from sysmlc.codegen.cpu.coefficients import ASIN, ATAN, COS, SIN
from sysmlc.codegen.cpu.vecmath import MAGIC, Lane, Lanes
from sysmlc.codegen.cpu.vecmath_elementary import Function

# pi/2 in parts of 33 bits: integers below 2^20 times each of the first three are exact.
HALF_PI_1 = float.fromhex("0x1.921fb544p+0")
HALF_PI_2 = float.fromhex("0x1.0b4611a6p-34")
HALF_PI_3 = float.fromhex("0x1.3198a2e0p-69")
HALF_PI_4 = float.fromhex("0x1.b839a252049c1p-104")
HALF_PI, HALF_PI_LOW = math.pi / 2, 6.123233995736766e-17
LIMIT = 2.0**19
"""Greater arguments need more digits of pi, and are left to libm."""


def _reduce(lanes: Lanes, x: Lane) -> tuple[Lane, Lane, Lane]:
    """The bits of the quadrant, and x minus it as a sum of two values, |r| <= pi/4."""
    shifted = lanes.fma(x, 2 / math.pi, MAGIC)
    q = shifted - MAGIC
    a = x - q * HALF_PI_1
    b, b_low = lanes.two_sum(a, -(q * HALF_PI_2))
    c, c_low = lanes.two_sum(b, -(q * HALF_PI_3))
    r, r_low = lanes.quick_two_sum(c, (b_low + c_low) - q * HALF_PI_4)
    return lanes.bits(shifted), r, r_low


def _sin_cos(lanes: Lanes, r: Lane, low: Lane) -> tuple[Lane, Lane]:
    """sin and cos of r + low for |r| <= pi/4."""
    z = r * r
    half = z * 0.5
    sine = r + lanes.fma(r * z, lanes.polynomial(SIN, z), low * (lanes.of(1.0) - half))
    most = lanes.of(1.0) - half
    rest = ((lanes.of(1.0) - most) - half) + lanes.fma(z * z, lanes.polynomial(COS, z), -(r * low))
    return sine, most + rest


def _flip(lanes: Lanes, x: Lane, quadrant: Lane) -> Lane:
    """x, with the other sign in quadrants with bit 1 set."""
    return lanes.floats(lanes.bits(x) ^ ((quadrant & 2) << 62))


def _with_libm(lanes: Lanes, fn: str, x: Lane, result: Lane) -> Lane:
    """Let libm do the lanes that are too great."""
    big = lanes.compare("oge", lanes.abs(x), LIMIT)
    n = lanes.target.lanes
    any_big = lanes.let(
        "b", lanes.library.call("i1", f"llvm.vector.reduce.or.v{n}i1", [f"{lanes.types['b']} {big.text}"])
    )
    serial = len(lanes.lines)
    slow, after = f"slow{serial}", f"after{serial}"
    lanes.lines += [
        f"  br label %from{serial}",
        f"from{serial}:",
        f"  br i1 {any_big.text}, label %{slow}, label %{after}",
        f"{slow}:",
    ]
    made = result
    for i in range(n):
        lane = lanes.let("s", f"extractelement {lanes.types['f']} {x.text}, i32 {i}")
        value = lanes.let("s", lanes.library.call("double", fn, [f"double {lane.text}"]))
        made = lanes.let("f", f"insertelement {lanes.types['f']} {made.text}, double {value.text}, i32 {i}")
    mixed = lanes.choose(big, made, result)
    lanes.lines += [f"  br label %{after}", f"{after}:"]
    return lanes.let(
        "f", f"phi {lanes.types['f']} [ {result.text}, %from{serial} ], [ {mixed.text}, %{slow} ]"
    )


def sin(lanes: Lanes, x: Lane) -> Lane:
    quadrant, r, low = _reduce(lanes, x)
    sine, cosine = _sin_cos(lanes, r, low)
    value = _flip(lanes, lanes.choose(lanes.nonzero(quadrant & 1), cosine, sine), quadrant)
    return _with_libm(lanes, "sin", x, lanes.choose(lanes.compare("oeq", x, 0.0), x, value))


def cos(lanes: Lanes, x: Lane) -> Lane:
    quadrant, r, low = _reduce(lanes, x)
    sine, cosine = _sin_cos(lanes, r, low)
    value = lanes.choose(lanes.nonzero(quadrant & 1), sine, cosine)
    return _with_libm(lanes, "cos", x, _flip(lanes, value, quadrant + 1))


def tan(lanes: Lanes, x: Lane) -> Lane:
    quadrant, r, low = _reduce(lanes, x)
    sine, cosine = _sin_cos(lanes, r, low)
    odd = lanes.nonzero(quadrant & 1)
    value = lanes.choose(odd, -cosine, sine) / lanes.choose(odd, sine, cosine)
    return _with_libm(lanes, "tan", x, lanes.choose(lanes.compare("oeq", x, 0.0), x, value))


def _asin_part(lanes: Lanes, size: Lane) -> tuple[Lane, Lane]:
    """Whether |x| > 1/2, and asin of |x|, or else of sqrt((1 - |x|) / 2)."""
    big = lanes.compare("ogt", size, 0.5)
    z = lanes.choose(big, (lanes.of(1.0) - size) * 0.5, size * size)
    s = lanes.choose(big, lanes.intrinsic("sqrt", z), size)
    return big, lanes.fma(s * z, lanes.polynomial(ASIN, z), s)


def asin(lanes: Lanes, x: Lane) -> Lane:
    big, p = _asin_part(lanes, lanes.abs(x))
    other = lanes.of(HALF_PI) - (p * 2.0 - HALF_PI_LOW)
    return lanes.with_sign(lanes.choose(big, other, p), x)


def acos(lanes: Lanes, x: Lane) -> Lane:
    big, p = _asin_part(lanes, lanes.abs(x))
    negative = lanes.compare("olt", x, 0.0)
    near_zero = lanes.of(HALF_PI) - (lanes.with_sign(p, x) - HALF_PI_LOW)
    twice = p * 2.0
    far = lanes.choose(negative, lanes.of(2 * HALF_PI) - (twice - 2 * HALF_PI_LOW), twice)
    return lanes.choose(big, far, near_zero)


def atan(lanes: Lanes, x: Lane) -> Lane:
    size = lanes.abs(x)
    middle = lanes.compare("ogt", size, math.tan(math.pi / 8))
    large = lanes.compare("ogt", size, math.tan(3 * math.pi / 8))
    above = lanes.choose(large, -1.0, lanes.choose(middle, size - 1.0, size))
    below = lanes.choose(large, size, lanes.choose(middle, size + 1.0, 1.0))
    base = lanes.choose(large, HALF_PI, lanes.choose(middle, HALF_PI / 2, 0.0))
    base_low = lanes.choose(large, HALF_PI_LOW, lanes.choose(middle, HALF_PI_LOW / 2, 0.0))
    t = above / below
    z = t * t
    return lanes.with_sign(base + (t + lanes.fma(t * z, lanes.polynomial(ATAN, z), base_low)), x)


TRIGONOMETRIC = {
    "sin": Function(sin),
    "cos": Function(cos),
    "tan": Function(tan),
    "asin": Function(asin),
    "acos": Function(acos),
    "atan": Function(atan),
}
