"""exp, log, sigmoid and tanh of AVX-512: steps from tables of two registers leave short polynomials.

Two ports of a core do all vector arithmetic, so what counts is the number of instructions: special values are left to those that
treat them well (scalef, getexp, getmant) wherever that is so.
"""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.codegen.cpu import coefficients as table
from sysmlc.codegen.cpu.vecmath import LOG2_E, Lane, Lanes

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Steps:
    """What the functions need in one precision. A step of exp is 2^(1/n), where two registers hold n numbers."""

    rounding: float
    """Adding it rounds to 1/n, so that the number of steps is in the lowest bits of the sum."""
    ln2: tuple[float, float]
    """ln 2 in two parts, for products that are not rounded."""
    power: Numbers
    low: Numbers
    """The steps, and (in f64) what is missing there."""
    scaled: Numbers
    scaled_low: Numbers
    """The steps times a number c."""
    exp: Numbers
    expm1: Numbers
    """(e^r - 1 - r) / r^2 for what steps leave, with regard to e^r or to e^r - 1."""
    exp_range: tuple[float, float]
    """Beyond it exp is 0 or infinite."""
    sigmoid_range: tuple[float, float]
    """Beyond it sigmoid is 0 or 1; at its lower end e^-x 2^-`less` is infinite, but nowhere where sigmoid is not 0."""
    less: int
    tanh_limit: float
    """From here on tanh is 1."""
    index: int
    """Where the highest bits of a mantissa are."""
    factor: Numbers
    high: Numbers
    log: Numbers
    log_ln2: tuple[float, float]
    """For logarithms: see `fit_coefficients.log_steps`."""


DOUBLE = Steps(
    rounding=1.5 * 2.0**48,
    ln2=(float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")),
    power=table.EXP_POWER,
    low=table.EXP_POWER_LOW,
    scaled=table.SCALED_POWER,
    scaled_low=table.SCALED_POWER_LOW,
    exp=table.EXP_STEP,
    expm1=table.EXPM1_STEP,
    exp_range=(-745.2, 710.0),
    sigmoid_range=(-800.0, 50.0),
    less=53,
    tanh_limit=22.0,
    index=48,
    factor=table.LOG_FACTOR,
    high=table.LOG_HIGH,
    log=table.LOG_STEP,
    log_ln2=(table.LN2_HIGH, table.LN2_LOW),
)
SINGLE = Steps(
    rounding=1.5 * 2.0**18,
    ln2=(float.fromhex("0x1.62e43p-1"), float.fromhex("-0x1.05c61p-29")),
    power=table.EXP_POWER_SINGLE,
    low=(),
    scaled=table.SCALED_POWER_SINGLE,
    scaled_low=table.SCALED_POWER_SINGLE_LOW,
    exp=table.EXP_STEP_SINGLE,
    expm1=table.EXP_STEP_SINGLE,
    exp_range=(-104.0, 89.0),
    sigmoid_range=(-120.0, 20.0),
    less=25,
    tanh_limit=10.0,
    index=18,
    factor=table.LOG_FACTOR_SINGLE,
    high=table.LOG_HIGH_SINGLE,
    log=table.LOG_STEP_SINGLE,
    log_ln2=(table.LN2_HIGH_SINGLE, table.LN2_LOW_SINGLE),
)


def _steps(lanes: Lanes, x: Lane, sign: int = 1) -> tuple[Steps, Lane, Lane, Lane]:
    """n in steps, the index of its power in tables, and r with e^(sign x) = 2^n e^(sign r)."""
    steps = SINGLE if lanes.single else DOUBLE
    shifted = lanes.fma(x, sign * LOG2_E, steps.rounding)
    n = shifted - steps.rounding
    r = lanes.fma(n, -sign * steps.ln2[1], lanes.fma(n, -sign * steps.ln2[0], x))
    return steps, n, lanes.bits(shifted), r


def exp(lanes: Lanes, x: Lane) -> Lane:
    low, high = (SINGLE if lanes.single else DOUBLE).exp_range
    steps, n, index, r = _steps(lanes, lanes.at_most(x, high))
    power = lanes.entry(steps.power, index)
    rest, factor = power * r, lanes.horner((1.0, *steps.exp), r)
    if lanes.single:
        value = lanes.fma(rest, factor, power)
    else:
        value = power + lanes.fma(rest, factor, lanes.entry(steps.low, index))
    # Results that are 0 take hundreds of cycles when arithmetic finds out.
    return lanes.scalef(value, n, lanes.compare("uge", x, low))


def sigmoid(lanes: Lanes, x: Lane) -> Lane:
    """1 / (1 + e^-x), both multiplied with the first power of the table: c / (c + c e^-x). With that factor all powers are nearly
    exact, and e^-x is finite as long as the result is not 0."""
    low, high = (SINGLE if lanes.single else DOUBLE).sigmoid_range
    steps, n, index, r = _steps(lanes, lanes.at_least(lanes.at_most(x, high), low), -1)
    small = [v * 2.0**-steps.less for v in steps.scaled]
    # e^-r, with the odd coefficients of e^r negated
    rest = lanes.horner([-c if k % 2 else c for k, c in enumerate((1.0, 1.0, *steps.exp))], r)
    power = lanes.scalef(lanes.entry(small, index), n)
    return lanes.of(small[0]) / lanes.fma(power, rest, small[0])


def tanh(lanes: Lanes, x: Lane) -> Lane:
    """(c e^2x - c) / (c e^2x + c)."""
    size = lanes.at_most(lanes.abs(x), (SINGLE if lanes.single else DOUBLE).tanh_limit)
    steps, n, index, r = _steps(lanes, size + size)
    power, low = (lanes.scalef(lanes.entry(t, index), n) for t in (steps.scaled, steps.scaled_low))
    rest = lanes.fma(r * r, lanes.horner(steps.expm1, r), r)
    less = (power - steps.scaled[0]) + lanes.fma(power, rest, low)
    return lanes.with_sign(less / (less + 2 * steps.scaled[0]), x)


SPECIAL_LOGS = 0x03530422
"""Of NaN: itself; of 0: -Infinity; of Infinity: itself; of less than 0: NaN."""


def log(lanes: Lanes, x: Lane) -> Lane:
    """Without a division: a factor from a table brings the mantissa near 1."""
    steps = SINGLE if lanes.single else DOUBLE
    ln2, rest = steps.log_ln2
    m, k = lanes.mantissa(x), lanes.exponent(x)  # which are of 2m where m < 1: the table knows
    index = lanes.bits(m) >> steps.index
    r = lanes.fma(m, lanes.entry(steps.factor, index), -1.0)
    # What k ln2 + high lacks of a logarithm is in proportion to it.
    big = lanes.fma(k, ln2, lanes.entry(steps.high, index))
    polynomial = lanes.horner(steps.log, r)
    if lanes.single:
        return big + (r + lanes.fma(r * r, polynomial, big * (rest / ln2)))
    total, error = lanes.quick_two_sum(big, r)  # big is exact, and 0 or greater than r
    result = total + lanes.fma(r * r, polynomial, lanes.fma(big, rest / ln2, error))
    return lanes.repaired(result, x, SPECIAL_LOGS)
