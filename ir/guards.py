"""Guards of rules: conditions over what types and constants tell, with `None` for what is not known (Kleene's logic)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from sysmlc.ir.algebra import Expr, Number, Variable
from sysmlc.ir.core import Value
from sysmlc.ir.facts import facts_of, is_size
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic, Location
from sysmlc.ir.types import Matrix, f64, i1, i64

Guard = Callable[[list[Any]], Any]
"""Gives a truth value, a number, a named dimension, or None when it is not known."""


def constant_of(value: Value) -> Any:
    """The value of a constant, None for anything else."""
    op = value.op
    return op.attrs["value"] if op is not None and op.name == "core.constant" else None


def _of_matrix(fact: Callable[[Matrix], Any]) -> Callable[[Value], Any]:
    return lambda v: fact(v.type) if isinstance(v.type, Matrix) else None


def _is_integral(value: Value) -> bool | None:
    if value.type in (i64, i1):
        return True
    found = constant_of(value)
    return float(found).is_integer() if isinstance(found, float) else None


_FACTS: Final[Mapping[str, Callable[[Value], Any]]] = {
    "rows": _of_matrix(lambda t: t.rows),
    "cols": _of_matrix(lambda t: t.cols),
    "nnz": _of_matrix(lambda t: 0 if 0 in (t.rows, t.cols) else t.nnz),
    "uses": lambda v: len(v.uses),
    "is_const": lambda v: constant_of(v) is not None,
    "is_i64": lambda v: v.type is i64,
    "is_f64": lambda v: v.type is f64,
    "is_i1": lambda v: v.type is i1,
    "is_integral": _is_integral,
    "is_scalar": lambda v: not isinstance(v.type, Matrix),
    "is_matrix": lambda v: isinstance(v.type, Matrix),
    "is_size": is_size,
    "low": lambda v: facts_of(v).low,
    "high": lambda v: facts_of(v).high,
    "no_nan": lambda v: not facts_of(v).nan,
    "whole": lambda v: facts_of(v).whole,
    "symmetric": lambda v: facts_of(v).symmetric,
    "ascending": lambda v: facts_of(v).ascending,
    "one_in_row": lambda v: facts_of(v).one_in_row,
}

_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%%": operator.mod,
}  # fmt: skip


def compile_guard(e: Expr, slots: Mapping[Expr, int], loc: Location) -> Guard:
    """`e` as a function of what the left side matched."""
    if isinstance(e, Number):
        value = e.value
        return lambda bindings: value
    if isinstance(e, Variable):
        slot = _slot(e, slots, loc)
        return lambda bindings: constant_of(bindings[slot])
    if e.fn in _FACTS:
        if len(e.args) != 1:
            raise Diagnostic(f"{e.fn}() takes one argument", loc)
        slot, fact = _slot(e.args[0], slots, loc), _FACTS[e.fn]
        return lambda bindings: fact(bindings[slot])
    args = [compile_guard(a, slots, loc) for a in e.args]
    if e.fn == "not":
        inner = args[0]
        return lambda bindings: None if (found := inner(bindings)) is None else not found
    if e.fn in ("and", "or"):
        return _connective(args[0], args[1], e.fn == "or")
    if e.fn == "neg":
        inner = args[0]
        return lambda bindings: None if (found := inner(bindings)) is None else -found
    if e.fn in _COMPARE:
        return _comparison(args[0], args[1], e.fn)
    if e.fn in _ARITHMETIC:
        return _arithmetic(args[0], args[1], _ARITHMETIC[e.fn])
    raise Diagnostic(f"there is no condition '{e.fn}'", loc, hint=nearest(e.fn, _FACTS))


def _slot(e: Expr, slots: Mapping[Expr, int], loc: Location) -> int:
    slot = slots.get(e)
    if slot is None:
        raise Diagnostic(f"'{e}' does not occur on the left side", loc)
    return slot


def _connective(left: Guard, right: Guard, decides: bool) -> Guard:
    def guard(bindings: list[Any]) -> Any:
        a = left(bindings)
        if a is decides:
            return decides
        b = right(bindings)
        if b is decides:
            return decides
        return None if a is None or b is None else not decides

    return guard


def _comparison(left: Guard, right: Guard, fn: str) -> Guard:
    compare = _COMPARE[fn]

    def guard(bindings: list[Any]) -> bool | None:
        a, b = left(bindings), right(bindings)
        if a is None or b is None:
            return None
        if isinstance(a, str) or isinstance(
            b, str
        ):  # named dimensions: equal names are equal sizes, no more is known
            return fn in ("==", "<=", ">=") if a == b else None
        return bool(compare(a, b))

    return guard


def _arithmetic(left: Guard, right: Guard, compute: Callable[[Any, Any], Any]) -> Guard:
    def guard(bindings: list[Any]) -> Any:
        a, b = left(bindings), right(bindings)
        if a is None or b is None or isinstance(a, str) or isinstance(b, str):
            return None
        try:
            return compute(a, b)
        except ZeroDivisionError:
            return None

    return guard
