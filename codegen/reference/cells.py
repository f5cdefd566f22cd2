"""Cellwise operations and aggregates, on scalars and arrays alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.dml_cell import BINARY, PREDICATES, UNARY

INT_MAX = 2**63 - 1


def _floor_div(x: Any, y: Any) -> Any:
    return np.floor(x / y)


def _mod(x: Any, y: Any) -> Any:
    q = x / y
    # A quotient beyond the integers of its type has no meaningful remainder: 0.
    r = np.where(
        (np.abs(q) >= 2.0 ** (np.finfo(q.dtype).nmant + 1)) & np.isfinite(q), 0.0, x - np.floor(q) * y
    )
    return np.where(np.isinf(y) & np.isfinite(x), np.where(x * y < 0, y, x), r)


def _int64(x: Any) -> Any:
    """Truncated, NaN as 0, and what is too big as the nearest integer there is."""
    clear = np.where(np.isnan(x) | (np.abs(x) >= 2.0**63), 0.0, np.trunc(x)).astype(np.int64)
    return np.where(x >= 2.0**63, np.int64(INT_MAX), np.where(x <= -(2.0**63), np.int64(-INT_MAX - 1), clear))


def _bits(f: Any, *, shift: bool = False) -> Any:
    return lambda x, y: f(_int64(x), _int64(y) & 63 if shift else _int64(y)).astype(float)


def _round(x: Any) -> Any:
    low = np.floor(x)  # x + 0.5 would round
    return np.where(np.isnan(x), 0.0, np.where(x - low >= 0.5, low + 1.0, low))


_UNARY: dict[str, Any] = {
    "abs": np.abs, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "round": _round,
    "floor": np.floor, "ceil": np.ceil, "sign": np.sign, "not": lambda x: x == 0, "isna": np.isnan, "isnan": np.isnan,
    "isinf": np.isinf, "sigmoid": special.expit, "neg": np.negative,
}  # fmt: skip
_BINARY: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.float_power, "mod": _mod,
    "intdiv": _floor_div, "min": np.minimum, "max": np.maximum, "eq": np.equal, "ne": np.not_equal, "lt": np.less,
    "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "and": lambda x, y: (x != 0) & (y != 0),
    "or": lambda x, y: (x != 0) | (y != 0), "xor": lambda x, y: (x != 0) != (y != 0), "bitand": _bits(np.bitwise_and),
    "bitor": _bits(np.bitwise_or), "bitxor": _bits(np.bitwise_xor), "shiftl": _bits(np.left_shift, shift=True),
    "shiftr": _bits(np.right_shift, shift=True), "log_base": lambda x, y: np.log(x) / np.log(y),
}  # fmt: skip


def _integers(op: Op, fn: str, x: int, y: int) -> int:
    """Integer arithmetic of the language: exact, with overflow an error."""
    if fn in ("intdiv", "mod"):
        if y == 0:
            if fn == "mod":
                return 0
            raise fail(op, "integer division by zero")
        result = x // y if fn == "intdiv" else x % y
    elif fn in ("bitand", "bitor", "bitxor", "shiftl", "shiftr"):
        shift = y & 63
        result = {
            "bitand": x & y,
            "bitor": x | y,
            "bitxor": x ^ y,
            "shiftl": x << shift,
            "shiftr": x >> shift,
        }[fn]
        return (result + 2**63) % 2**64 - 2**63
    else:
        result = {"add": x + y, "sub": x - y, "mul": x * y, "min": min(x, y), "max": max(x, y)}[fn]
    if not -INT_MAX - 1 <= result <= INT_MAX:
        raise fail(op, "numerical result overflow")
    return result


def _element(*values: Any) -> Any:
    """What cells are computed in: f32 when there are matrices of it."""
    return next((v.dtype for v in values if isinstance(v, np.ndarray) and v.dtype == np.float32), np.float64)


def binary(op: Op, fn: str, x: Any, y: Any) -> Any:
    """`fn(x, y)` of scalars or (already broadcastable) arrays."""
    if isinstance(x, str) or isinstance(y, str):
        return bool(_BINARY[fn](np.str_(x), np.str_(y)))
    arrays = isinstance(x, np.ndarray) or isinstance(y, np.ndarray)
    if (
        not arrays
        and type(x) is int
        and type(y) is int
        and fn not in ("div", "pow", "log_base")
        and fn not in PREDICATES
    ):
        return _integers(op, fn, x, y)
    with np.errstate(all="ignore"):
        elem = _element(x, y)
        result = _BINARY[fn](np.asarray(x, elem), np.asarray(y, elem))
    if arrays:
        return np.asarray(result, elem)
    return bool(result) if fn in PREDICATES else float(result)


def unary(op: Op, fn: str, x: Any) -> Any:
    """`fn(x)` of a scalar or array."""
    if type(x) is int and fn in ("abs", "neg"):
        return abs(x) if fn == "abs" else -x
    with np.errstate(all="ignore"):
        result = _UNARY[fn](np.asarray(x, _element(x)))
    if isinstance(x, np.ndarray):
        return np.asarray(result, _element(x))
    return bool(result) if fn == "not" and isinstance(x, bool) else float(result)


def check_broadcast(op: Op, x: Any, y: Any) -> None:
    """DML broadcasts scalars on either side, and a 1x1 matrix or a vector on the right."""
    if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)) or x.shape == y.shape:
        return
    if y.shape == (1, 1) or y.shape == (x.shape[0], 1) or y.shape == (1, x.shape[1]):
        return
    raise fail(op, f"operands do not have the same shape: {x.shape} and {y.shape}")


@evaluates(*BINARY)
def evaluate_binary(op: Op, x: Any, y: Any) -> Any:
    check_broadcast(op, x, y)
    return binary(op, op.fn, x, y)


@evaluates(*UNARY)
def evaluate_unary(op: Op, x: Any) -> Any:
    return unary(op, op.fn, x)


@evaluates("ifelse")
def ifelse(op: Op, c: Any, a: Any, b: Any) -> Any:
    arrays = [v for v in (c, a, b) if isinstance(v, np.ndarray)]
    if not arrays:
        chosen = a if c else b
        return float(chosen) if {type(a), type(b)} == {int, float} else chosen
    if any(v.shape != arrays[0].shape for v in arrays):
        raise fail(op, "ifelse: operands must have equal shapes")
    elem = _element(c, a, b)
    a, b = np.asarray(a, elem), np.asarray(b, elem)
    return np.broadcast_to(np.where(np.asarray(c, elem) != 0, a, b), arrays[0].shape).astype(elem)


@evaluates("outer")
def outer(op: Op, u: Any, v: Any) -> Any:
    if u.shape[1] != 1 or v.shape[0] != 1:
        raise fail(op, f"outer needs a column vector and a row vector, got {u.shape} and {v.shape}")
    return binary(op, str(op.attrs["op"]), u, v)


def _sum(x: Any) -> float:
    with np.errstate(all="ignore"):
        if not np.isfinite(x).all():
            return float(np.sum(x))
        try:
            return math.fsum(x)
        except OverflowError:
            return float(np.sum(x))


def _variance(x: Any) -> float:
    if len(x) < 2:
        return float(x[0] - x[0]) if len(x) else math.nan
    with np.errstate(all="ignore"):
        return float(np.var(x, ddof=1, dtype=float))


_AGGREGATES: dict[str, Any] = {
    "sum": _sum,
    "sumsq": lambda x: _sum(x * x),
    "mean": lambda x: _sum(x) / len(x) if len(x) else math.nan,
    "prod": lambda x: float(np.prod(x, dtype=float)),
    "min_of": lambda x: float(np.min(x)) if len(x) else math.inf,
    "max_of": lambda x: float(np.max(x)) if len(x) else -math.inf,
    "var": _variance,
    "sd": lambda x: math.sqrt(_variance(x)),
}


def aggregate(fn: str, dir: str, x: Any) -> Any:
    """Aggregate all cells, rows or columns."""
    f = _AGGREGATES[fn]
    if dir == "full":
        return float(f(x.ravel()))
    if dir == "row":
        return np.array([f(r) for r in x], _element(x)).reshape(-1, 1)
    return np.array([f(c) for c in x.T], _element(x)).reshape(1, -1)


@evaluates(*_AGGREGATES)
def evaluate_aggregate(op: Op, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return aggregate(op.fn, str(op.attrs.get("dir", "full")), x)
