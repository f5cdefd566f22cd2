"""What scalar operations of the language compute, for folding constants.

Values are Python's: bool is i1, int is i64, float is f64, str is str. `None` means: leave it to the run time, because the
result is an error there, or not worth knowing exactly here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

Constant: TypeAlias = "bool | int | float | str"

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
_EXACT: Final = 2.0**53
"""Integers of a double are exact up to here."""


def unary(fn: str, x: Constant) -> Constant | None:
    """`fn(x)` of a scalar."""
    if isinstance(x, str):
        return None
    if fn == "not" and isinstance(x, bool):
        return not x
    if fn in ("abs", "neg") and _is_int(x):
        return _fits(abs(int(x)) if fn == "abs" else -int(x))
    return _double(_UNARY.get(fn), float(x))


def binary(fn: str, x: Constant, y: Constant) -> Constant | None:
    """`fn(x, y)` of scalars."""
    compare = _RELATIONS.get(fn)
    if isinstance(x, str) or isinstance(y, str):
        return (
            bool(compare(x, y)) if compare is not None and isinstance(x, str) and isinstance(y, str) else None
        )
    if compare is not None:
        both = _is_int(x) and _is_int(y)
        return bool(compare(x, y) if both else compare(float(x), float(y)))
    if fn in _LOGICAL:
        return bool(_LOGICAL[fn](_truth(x), _truth(y)))
    if _is_int(x) and _is_int(y) and fn not in ("div", "pow", "log_base"):
        if fn in ("intdiv", "mod") and y == 0:
            return None
        compute = _INTEGER.get(fn)
        return None if compute is None else _fits(compute(int(x), int(y)))
    return _double(_BINARY.get(fn), float(x), float(y))


def cast(x: Constant, to: str) -> Constant | None:
    """`x` as the scalar type called `to`. Texts of numbers are the run time's business."""
    if isinstance(x, str):
        return x if to == "str" else None
    if to == "str":
        return ("TRUE" if x else "FALSE") if isinstance(x, bool) else None if isinstance(x, float) else str(x)
    if to == "i1":
        return _truth(x)
    if to == "f64":
        return float(x)
    if to != "i64":
        return None
    if isinstance(x, float):
        return (
            0 if math.isnan(x) else int(max(INT_MIN, min(INT_MAX, x))) if math.isfinite(x) else _saturated(x)
        )
    return int(x)


def _saturated(x: float) -> int:
    return INT_MAX if x > 0 else INT_MIN


def _is_int(x: Constant) -> bool:
    return type(x) is int


def _truth(x: Constant) -> bool:
    return x != 0


def _fits(x: int) -> int | None:
    return x if INT_MIN <= x <= INT_MAX else None


def _double(f: Callable[..., float] | None, *args: float) -> float | None:
    if f is None:
        return None
    try:
        return float(f(*args))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _div(x: float, y: float) -> float:
    if y != 0:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)


def _integral(f: Callable[[float], int]) -> Callable[[float], float]:
    """`f` with its integer result as a double; whole numbers (all big ones are), NaN and infinities stay as they are;
    -0.5 goes up to -0.0."""
    return lambda x: math.copysign(f(x), x) if abs(x) < _EXACT and x != int(x) else x


def _mod(x: float, y: float) -> float:
    q = x / y
    if not (math.isfinite(q) and abs(q) < _EXACT and math.isfinite(y)):
        raise ValueError
    return x - math.floor(q) * y


def _log(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


def _extreme(pick: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda x, y: math.nan if math.isnan(x) or math.isnan(y) else pick(x, y)


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x and not math.isnan(x) else x


_RELATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
_LOGICAL: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}  # fmt: skip
_INTEGER: Final[dict[str, Callable[[int, int], int]]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "min": min, "max": max,
    "intdiv": operator.floordiv, "mod": operator.mod,
    "bitand": operator.and_, "bitor": operator.or_, "bitxor": operator.xor,
}  # fmt: skip
_BINARY: Final[dict[str, Callable[[float, float], float]]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _div, "pow": math.pow, "mod": _mod,
    "intdiv": lambda x, y: _integral(math.floor)(_div(x, y)), "min": _extreme(min), "max": _extreme(max),
    "log_base": lambda x, y: _div(_log(x), _log(y)),
}  # fmt: skip
_UNARY: Final[dict[str, Callable[[float], float]]] = {
    "abs": abs, "neg": operator.neg, "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin,
    "acos": math.acos, "atan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh,
    "sqrt": math.sqrt, "exp": math.exp, "log": _log, "floor": _integral(math.floor), "ceil": _integral(math.ceil),
    "round": lambda x: 0.0 if math.isnan(x) else _integral(math.floor)(x + 0.5), "sign": _sign,
    "not": lambda x: float(x == 0), "isna": lambda x: float(math.isnan(x)), "isnan": lambda x: float(math.isnan(x)),
    "isinf": lambda x: float(math.isinf(x)),
}  # fmt: skip
