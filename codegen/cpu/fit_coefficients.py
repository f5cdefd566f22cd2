"""Fit the polynomials of the vector mathematics and write `coefficients.py`.

    python -m sysmlc.codegen.cpu.fit_coefficients > codegen/cpu/coefficients.py

Each is the interpolation at Chebyshev nodes, which is within a small factor of the best possible; its error is printed
beside it, relative to the whole function it is a part of, and stays far below half a unit in the last place (1.1e-16, or
6e-8 where the name says SINGLE).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpmath import mp, mpf

mp.prec = 200


@dataclass(frozen=True)
class Fit:
    """`part(z)` on an interval, by a polynomial; `weight(z)` is how much an error of it weighs in the function."""

    name: str
    meaning: str
    part: Callable[[Any], Any]
    weight: Callable[[Any], Any]
    low: Any
    high: Any
    degree: int


def _limit(function: Callable[[Any], Any], at_zero: Any) -> Callable[[Any], Any]:
    return lambda z: at_zero if abs(z) < mpf(10) ** -18 else function(z)


def _exp_part(r: Any) -> Any:
    return (mp.expm1(r) - r) / r**2


def _log_part(z: Any) -> Any:
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


def _log_tail(z: Any) -> Any:
    s = mp.sqrt(z)
    return ((mp.atanh(s) / s - 1) / z - mpf(1) / 3) / z


def _log_step_part(r: Any) -> Any:
    return (mp.log1p(r) - r) / r**2


def _log_single_part(f: Any) -> Any:
    return (mp.log1p(f) - f + f**2 / 2) / f**3


def _tanh_part(z: Any) -> Any:
    x = mp.sqrt(z)
    return (mp.tanh(x) / x - 1) / z


def _sin_part(z: Any) -> Any:
    r = mp.sqrt(z)
    return (mp.sin(r) - r) / r**3


def _cos_part(z: Any) -> Any:
    return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def _asin_part(z: Any) -> Any:
    x = mp.sqrt(z)
    return (mp.asin(x) / x - 1) / z


def _atan_part(z: Any) -> Any:
    x = mp.sqrt(z)
    return (mp.atan(x) / x - 1) / z


def _erf_part(z: Any) -> Any:
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def _erfc_part(t: Any) -> Any:
    x = (1 / t - 1) * 2
    return mp.exp(x * x) * mp.erfc(x)


HALF_LN2 = mp.log(2) / 2
LN2_HIGH = float.fromhex("0x1.62e42feep-1")
LN2_LOW = float(mp.log(2) - LN2_HIGH)
LN2_HIGH_SINGLE = float.fromhex("0x1.62e4p-1")
S2 = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
QUARTER_PI = mp.pi / 4

FITS = (
    Fit("EXP", "exp(r) = 1 + r + r^2 EXP(r), |r| <= ln(2)/2", _limit(_exp_part, mpf(1) / 2),
        lambda r: r**2 / mp.exp(r), -HALF_LN2 * mpf("1.0001"), HALF_LN2 * mpf("1.0001"), 9),
    Fit("EXP_STEP", "exp(r) = 1 + r + r^2 EXP_STEP(r), |r| <= ln(2)/32", _limit(_exp_part, mpf(1) / 2),
        lambda r: r**2 / mp.exp(r), -HALF_LN2 / 16 * mpf("1.0001"), HALF_LN2 / 16 * mpf("1.0001"), 4),
    Fit("EXPM1_STEP", "exp(r) - 1 = r + r^2 EXPM1_STEP(r), |r| <= ln(2)/32", _limit(_exp_part, mpf(1) / 2),
        lambda r: r, -HALF_LN2 / 16 * mpf("1.0001"), HALF_LN2 / 16 * mpf("1.0001"), 5),
    Fit("EXP_STEP_SINGLE", "exp(r) - 1 = r + r^2 EXP_STEP_SINGLE(r), |r| <= ln(2)/64", _limit(_exp_part, mpf(1) / 2),
        lambda r: r, -HALF_LN2 / 32 * mpf("1.0001"), HALF_LN2 / 32 * mpf("1.0001"), 1),
    Fit("LOG_STEP_SINGLE", "log(1+r) = r + r^2 LOG_STEP_SINGLE(r), for what log_steps() leaves", _limit(_log_step_part, -mpf(1) / 2),
        lambda r: r, -mpf("0.0157"), mpf("0.0313"), 2),
    Fit("LOG_STEP", "log(1+r) = r + r^2 LOG_STEP(r), for what log_steps() leaves", _limit(_log_step_part, -mpf(1) / 2), lambda r: r,
        -mpf("0.0313"), mpf("0.0626"), 8),
    Fit("EXP_SINGLE", "exp(r) = 1 + r + r^2 EXP_SINGLE(r), |r| <= ln(2)/2", _limit(_exp_part, mpf(1) / 2),
        lambda r: r**2 / mp.exp(r), -HALF_LN2 * mpf("1.0001"), HALF_LN2 * mpf("1.0001"), 4),
    Fit("LOG_SINGLE", "log(1+f) = f - f^2/2 + f^3 LOG_SINGLE(f), sqrt(1/2) <= 1+f <= sqrt(2)", _limit(_log_single_part, mpf(1) / 3),
        lambda f: f**2, mp.sqrt(mpf("0.49999")) - 1, mp.sqrt(mpf("2.0001")) - 1, 9),
    Fit("TANH_SINGLE", "tanh(x) = x + x z TANH_SINGLE(z), z = x^2, |x| <= 5/8", _limit(_tanh_part, -mpf(1) / 3), lambda z: z, mpf(0),
        mpf("0.391"), 5),
    Fit("LOG", "log((1+s)/(1-s)) = 2s + s z LOG(z), z = s^2, sqrt(1/2) <= (1+s)/(1-s) <= sqrt(2)",
        _limit(_log_part, mpf(2) / 3), lambda z: z / 2, mpf(0), S2 * mpf("1.0001"), 6),
    Fit("LOG_TAIL", "atanh(s)/s = 1 + z (1/3 + z LOG_TAIL(z))", _limit(_log_tail, mpf(1) / 5), lambda z: z**2, mpf(0),
        S2 * mpf("1.0001"), 8),
    Fit("SIN", "sin(r) = r + r^3 SIN(z), z = r^2, |r| <= pi/4", _limit(_sin_part, -mpf(1) / 6),
        lambda z: z, mpf(0), QUARTER_PI**2 * mpf("1.0001"), 6),
    Fit("COS", "cos(r) = 1 - z/2 + z^2 COS(z), z = r^2, |r| <= pi/4", _limit(_cos_part, mpf(1) / 24),
        lambda z: z**2 / mp.cos(mp.sqrt(z)), mpf(0), QUARTER_PI**2 * mpf("1.0001"), 6),
    Fit("ASIN", "asin(x) = x + x z ASIN(z), z = x^2, |x| <= 1/2", _limit(_asin_part, mpf(1) / 6), lambda z: z, mpf(0),
        mpf("0.2501"), 12),
    Fit("ATAN", "atan(x) = x + x z ATAN(z), z = x^2, |x| <= tan(pi/8)", _limit(_atan_part, -mpf(1) / 3), lambda z: z,
        mpf(0), mpf("0.1717"), 11),
    Fit("ERF", "erf(x) = x + x ERF(z), z = x^2, |x| <= 1", _limit(_erf_part, 2 / mp.sqrt(mp.pi) - 1), lambda z: mpf(1),
        mpf(0), mpf("1.0001"), 12),
    Fit("ERFC", "erfc(x) = exp(-x^2) ERFC(t), t = 1/(1 + x/2), 1 <= x <= 6", _erfc_part,
        lambda t: mp.exp(-(((1 / t - 1) * 2) ** 2)), mpf("0.2499"), mpf("0.6668"), 14),
)  # fmt: skip


def _split(exact: list[Any], kind: type[Any]) -> tuple[list[float], list[float]]:
    """Numbers of a kind, and what they lack."""
    near = [float(kind(float(v))) for v in exact]
    return near, [float(v - mpf(w)) for v, w in zip(exact, near, strict=True)]


def scaled_steps(count: int, kind: type[Any], digits: int, limit: float) -> tuple[list[float], list[float]]:
    """c 2^(j/count), and what is missing there, for a factor c with which all of them are numbers of that kind but for `limit`
    roundings. 2c is a little less than a power of 2, where rounding matters least."""
    exact = [mpf(2) ** (mpf(j) / count) for j in range(count)]
    powers = [np.longdouble(float(v)) + np.longdouble(float(v - mpf(float(v)))) for v in exact]
    rng = np.random.default_rng(1)
    found = np.zeros(0)
    while not len(found):
        found = kind(0.96 + rng.integers(0, 2 ** (digits - 7), 2**20) * 2.0**-digits)
        for power in powers:
            product = found * power
            off = np.abs(product - product.astype(kind)) / product
            found = found[off < limit * 2.0**-digits]
    return _split([mpf(float(found[0])) * v for v in exact], kind)


def log_steps(
    count: int, ln2: float, unit: float, kind: type[Any], enough: float
) -> tuple[list[float], list[float]]:
    """For the numbers from 3/4 to 3/2 with the highest bits j behind the point: factors that bring them near 1, and minus their
    logarithms times `ln2` / ln 2 as multiples of a unit, so that adding multiples of `ln2` makes no error. The factors are those
    among many for which that is nearly exact. Next to 1 the factor is 1. Numbers below 1 count as halves of others, so there `ln2`
    is added."""
    share = mpf(ln2) / mp.log(2)
    factors, high = [], []
    for j in range(count):
        middle = (1 + (mpf(j) + mpf(1) / 2) / count) / (1 if j < count // 2 else 2)
        first = int(mp.nint(mp.log(1 if j in (0, count - 1) else middle) * share / unit))
        for step in range(2**16):
            exact = mp.exp(-(first + step) / share * unit)
            factor = float(kind(float(exact)))
            if abs(mpf(factor) / exact - 1) < enough:
                break
        else:
            raise AssertionError("no factor for this step")
        factors.append(factor)
        high.append((first + step) * unit + (0 if j < count // 2 else ln2))
    return factors, high


def solve(fit: Fit) -> list[float]:
    """The coefficients, lowest first, rounded to doubles."""
    count = fit.degree + 1
    middle, radius = (fit.high + fit.low) / 2, (fit.high - fit.low) / 2
    nodes = [middle + radius * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    system = mp.matrix(count, count)
    right = mp.matrix(count, 1)
    for i, node in enumerate(nodes):
        right[i] = fit.part(node)
        for j in range(count):
            system[i, j] = node**j
    solution = mp.lu_solve(system, right)
    return [float(solution[j]) for j in range(count)]


def error_of(fit: Fit, coefficients: list[float]) -> float:
    """The greatest weighted error over the interval."""
    worst = mpf(0)
    for i in range(1, 400):
        z = fit.low + (fit.high - fit.low) * mpf(i) / 400
        value = mp.polyval([mpf(c) for c in reversed(coefficients)], z)
        worst = max(worst, abs((value - fit.part(z)) * fit.weight(z)))
    return float(worst)


def main() -> None:
    """Print the module of coefficients."""
    print(
        '"""Polynomials of the vector mathematics, lowest coefficient first. Written by `fit_coefficients.py`."""\n'
    )
    print("# fmt: off")
    print("\n# ln 2; small integers times the first part are exact.")
    print(f"LN2_HIGH, LN2_LOW = {LN2_HIGH!r}, {LN2_LOW!r}")
    print(f"LN2_HIGH_SINGLE, LN2_LOW_SINGLE = {LN2_HIGH_SINGLE!r}, {float(mp.log(2) - LN2_HIGH_SINGLE)!r}")
    tables = {
        "EXP_POWER EXP_POWER_LOW": _split([mpf(2) ** (mpf(j) / 16) for j in range(16)], np.float64),
        "EXP_POWER_SINGLE": _split([mpf(2) ** (mpf(j) / 32) for j in range(32)], np.float32)[:1],
        "SCALED_POWER SCALED_POWER_LOW": scaled_steps(16, np.float64, 53, 0.25),
        "SCALED_POWER_SINGLE SCALED_POWER_SINGLE_LOW": scaled_steps(32, np.float32, 24, 0.62),
        "LOG_FACTOR LOG_HIGH": log_steps(16, LN2_HIGH, 2.0**-42, np.float64, 2.0**-66),
        "LOG_FACTOR_SINGLE LOG_HIGH_SINGLE": log_steps(32, LN2_HIGH_SINGLE, 2.0**-17, np.float32, 2.0**-31),
    }
    for names, pair in tables.items():
        for name, values in zip(names.split(), pair, strict=True):
            print(f"\n{name} = (")
            for value in values:
                print(f"    {value!r},")
            print(")")
    for fit in FITS:
        coefficients = solve(fit)
        print(f"\n# {fit.meaning}; relative error {error_of(fit, coefficients):.1e}.")
        print(f"{fit.name} = (")
        for value in coefficients:
            print(f"    {value!r},")
        print(")")


if __name__ == "__main__":
    main()
