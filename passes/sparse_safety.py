"""What a cell body gives where an input is 0: known by evaluating it with what is known.

A value is a number when it is known, else what it depends on. 0 * x is 0 whatever x is, as sparse multiplication has it
everywhere; dividing 0 by an unknown value is not known to be 0, because 0/0 is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import ClassVar

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.dml_cell import BITWISE


@dataclass(frozen=True)
class Unknown:
    """A value that is not known."""

    on: int
    """What it depends on, in bits whose meaning is up to who asks."""
    vanishes: bool = field(default=False, compare=False)
    """It is 0, unless something that it depends on makes it otherwise by itself, as a 0 in `a` or in `b` does with `0 / a + 0 / b`."""

    SCALAR: ClassVar[Unknown]
    """For those who only ask whether it differs between cells: it does not, …"""
    CELL: ClassVar[Unknown]
    """… or does."""


Unknown.SCALAR, Unknown.CELL = Unknown(0), Unknown(1)
Abstract = float | Unknown


def outputs_at(body: Region, inputs: Sequence[Abstract]) -> list[Abstract]:
    """What the region yields for these inputs."""
    known: dict[Value, Abstract] = dict(zip(body.args, inputs, strict=True))
    for op in body:
        arguments = [known[v] for v in op.operands]
        if op.name == "core.yield":
            return arguments
        known[op.results[0]] = evaluate_at(op, arguments)
    raise AssertionError("a body without a yield")


def evaluate_at(op: Op, args: list[Abstract]) -> Abstract:
    """What one operation gives for these operands."""
    if op.name == "core.constant":
        value = op.attrs["value"]
        assert isinstance(value, (int, float))
        return float(value)
    fn = op.fn
    if fn == "cast":
        return args[0]
    if fn == "ifelse" and isinstance(args[0], float):
        return args[1] if args[0] != 0 else args[2]
    if fn in ("mul", "and", "bitand") and 0.0 in (
        a for a, v in zip(args, op.operands, strict=True) if not _is_constant(v)
    ):
        return 0.0  # of a zero that is not stored
    if all(isinstance(a, float) for a in args):
        numbers = [a for a in args if isinstance(a, float)]
        try:
            return _FUNCTIONS[fn](*numbers)
        except (ValueError, ZeroDivisionError):
            return math.nan
        except OverflowError:
            return math.inf
    if fn in ("mul", "and", "bitand") and 0.0 in args:
        return 0.0
    if fn == "ifelse" and args[1] == 0.0 and args[2] == 0.0:
        return 0.0
    return Unknown(reduce(or_, (a.on for a in args if isinstance(a, Unknown))), _vanishes(fn, args))


def _vanishes(fn: str, args: list[Abstract]) -> bool:
    """Whether an operation of these makes 0 unless one thing that it depends on makes it otherwise."""
    zero = [a == 0.0 or (isinstance(a, Unknown) and a.vanishes) for a in args]
    if fn in ("div", "intdiv", "mod", "mul"):
        factors = [a for a, z in zip(args, zero, strict=True) if not z and isinstance(a, Unknown)]
        return (zero[0] or (fn == "mul" and zero[1])) and all(a.on & (a.on - 1) == 0 for a in factors)
    known = _FUNCTIONS.get(fn)
    return known is not None and fn not in BITWISE and all(zero) and known(*[0.0] * len(args)) == 0.0


def _is_constant(value: Value) -> bool:
    return value.op is not None and value.op.name == "core.constant"


def _truth(x: float) -> bool:
    return x != 0


def _div(x: float, y: float) -> float:
    if y != 0:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)


def _floor(x: float) -> float:
    return float(math.floor(x)) if math.isfinite(x) else x


def _extreme(x: float, y: float, smaller: bool) -> float:
    if math.isnan(x) or math.isnan(y):
        return math.nan
    return min(x, y) if smaller else max(x, y)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs, "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin, "acos": math.acos,
    "atan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "sqrt": math.sqrt, "exp": math.exp,
    "log": _log, "neg": lambda x: -x, "floor": _floor, "ceil": lambda x: -_floor(-x),
    "round": lambda x: 0.0 if math.isnan(x) else _floor(x + 0.5),
    "sign": lambda x: math.copysign(1.0, x) if x else x, "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "not": lambda x: float(not _truth(x)), "isna": lambda x: float(math.isnan(x)),
    "isnan": lambda x: float(math.isnan(x)), "isinf": lambda x: float(math.isinf(x)),
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": _div,
    "pow": math.pow, "mod": lambda x, y: x - _floor(_div(x, y)) * y, "intdiv": lambda x, y: _floor(_div(x, y)),
    "min": lambda x, y: _extreme(x, y, True), "max": lambda x, y: _extreme(x, y, False),
    "eq": lambda x, y: float(x == y), "ne": lambda x, y: float(x != y), "lt": lambda x, y: float(x < y),
    "le": lambda x, y: float(x <= y), "gt": lambda x, y: float(x > y), "ge": lambda x, y: float(x >= y),
    "and": lambda x, y: float(_truth(x) and _truth(y)), "or": lambda x, y: float(_truth(x) or _truth(y)),
    "xor": lambda x, y: float(_truth(x) != _truth(y)), "log_base": lambda x, y: _div(_log(x), _log(y)),
    **{fn: (lambda x, y, fn=fn: _bitwise(fn, int(x), int(y))) for fn in BITWISE},
}  # fmt: skip


def _bitwise(fn: str, x: int, y: int) -> float:
    if fn == "shiftl":
        return float(x << (y & 63))
    if fn == "shiftr":
        return float(x >> (y & 63))
    return float({"bitand": x & y, "bitor": x | y, "bitxor": x ^ y}[fn])
