"""Ranges of what cellwise functions give, from the ranges of their operands."""

from __future__ import annotations

from math import floor, inf, sqrt
from typing import Final

from sysmlc.ir.dialects.dml_cell import PREDICATES
from sysmlc.ir.facts import ANY, TRUTH, ZERO, Facts, between, replace

_EXACT: Final = 2.0**53
"""Integers up to here are numbers of their own."""


def joined(a: Facts, b: Facts) -> Facts:
    """Cells of either."""
    return a.cells.join(b.cells)


def unary(fn: str, x: Facts) -> Facts:
    """`fn` of every cell."""
    low, high, nan = x.low, x.high, x.nan
    if fn in PREDICATES:
        return TRUTH
    if fn == "neg":
        return Facts(-high, -low, nan, x.whole)
    if fn == "abs":
        near = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return Facts(near, max(abs(low), abs(high)), nan, x.whole)
    if fn == "round" and nan:  # becomes 0
        return unary(fn, replace(x.join(ZERO), nan=False))
    if fn in ("floor", "ceil", "round"):
        return Facts(
            _floor(low) if fn != "ceil" else low, -_floor(-high) if fn != "floor" else high, nan, True
        )
    if fn == "sign":
        return Facts(_sign(low), _sign(high), nan, True)
    if fn == "sqrt":
        return Facts(
            sqrt(low) if 0 < low < inf else 0.0,
            sqrt(high) if 0 < high < inf else max(high, 0.0),
            nan or low < 0,
        )
    if fn in ("exp", "cosh"):
        return Facts(0.0, inf, nan)
    if fn == "log":
        return Facts(0.0 if low >= 1 else -inf, 0.0 if high <= 1 else inf, nan or low < 0)
    if fn == "sigmoid":
        return Facts(0.0, 1.0, nan)
    if fn == "tanh":
        return Facts(0.0 if low >= 0 else -inf, 0.0 if high <= 0 else inf, nan)
    return ANY


def _sign(x: float) -> float:
    return float(x > 0) - float(x < 0)


def _floor(x: float) -> float:
    return float(floor(x)) if abs(x) < inf else x


def binary(fn: str, a: Facts, b: Facts, same: bool = False) -> Facts:
    """`fn` of cells at the same place; `same`: they are the same."""
    if fn in PREDICATES:
        return TRUTH
    if fn in ("add", "sub", "mul", "div", "min", "max", "pow", "intdiv", "mod"):
        if a.low > a.high or b.low > b.high:  # there are no numbers, only NaN
            return Facts(nan=True) if a.nan or b.nan else Facts(nan=False)
        return _FUNCTIONS[fn](a, b, same)
    return ANY


def extreme_of(fn: str, a: Facts, some: bool) -> Facts:
    """`min_of` or `max_of` of cells; `some`: there is one, for what is infinite without."""
    made = a.cells
    if some:
        return made
    return replace(made, high=inf) if fn == "min_of" else replace(made, low=-inf)


def _add(a: Facts, b: Facts, same: bool) -> Facts:
    clash = (a.high == inf and b.low == -inf) or (a.low == -inf and b.high == inf)
    return between(
        a.low + b.low, a.high + b.high, a.nan or b.nan or (clash and not same), a.whole and b.whole
    )


def _sub(a: Facts, b: Facts, same: bool) -> Facts:
    return _add(a, Facts(-b.high, -b.low, b.nan, b.whole), False)


def _mul(a: Facts, b: Facts, same: bool) -> Facts:
    if same:
        near, far = unary("abs", a).low, unary("abs", a).high
        return between(near * near, far * far, a.nan, a.whole)
    ends = [0.0 if 0 in (x, y) else x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    clash = any(x.low <= 0 <= x.high and inf in (-y.low, y.high) for x, y in ((a, b), (b, a)))
    return Facts(min(ends), max(ends), a.nan or b.nan or clash, a.whole and b.whole)


def _div(a: Facts, b: Facts, same: bool) -> Facts:
    if b.low <= 0 <= b.high:  # 1 / -0 is -Infinity, and -0 counts as 0
        return ANY
    ends = [
        x / y if abs(x) < inf or abs(y) < inf else x * y for x in (a.low, a.high) for y in (b.low, b.high)
    ]
    ends += [0.0] if inf in (-b.low, b.high) else []
    both = inf in (-a.low, a.high) and inf in (-b.low, b.high)
    return Facts(min(ends), max(ends), a.nan or b.nan or both)


def _min(a: Facts, b: Facts, same: bool) -> Facts:
    return Facts(min(a.low, b.low), min(a.high, b.high), a.nan or b.nan, a.whole and b.whole)


def _max(a: Facts, b: Facts, same: bool) -> Facts:
    return Facts(max(a.low, b.low), max(a.high, b.high), a.nan or b.nan, a.whole and b.whole)


def _pow(a: Facts, b: Facts, same: bool) -> Facts:
    exponent = b.low if b.low == b.high and not b.nan else None
    if exponent == 2:
        return _mul(a, a, True)
    whole = a.whole and b.whole and b.low >= 0
    if exponent is not None and abs(exponent) < inf and exponent % 2 == 0:
        return Facts(0.0, inf, a.nan, whole)
    if a.low < 0:
        return Facts(nan=a.nan or b.nan or not b.whole, whole=whole)
    if a.low == 0 and b.low < 0:  # (-0)^-1 is -Infinity
        return ANY
    return Facts(0.0, 1.0 if a.high <= 1 and whole else inf, a.nan or b.nan, whole)


def _intdiv(a: Facts, b: Facts, same: bool) -> Facts:
    return replace(unary("floor", _div(a, b, same)), nan=True)


def _mod(a: Facts, b: Facts, same: bool) -> Facts:
    """Exact for integers; others may be off by a rounding, even below 0."""
    exact = a.whole and b.whole and b.low > 0 and max(-a.low, a.high, b.high) < _EXACT
    return Facts(0.0, b.high - 1, a.nan or b.nan, True) if exact else replace(ANY, whole=a.whole and b.whole)


_FUNCTIONS: Final = {
    "add": _add, "sub": _sub, "mul": _mul, "div": _div, "min": _min, "max": _max, "pow": _pow, "intdiv": _intdiv, "mod": _mod,
}  # fmt: skip
