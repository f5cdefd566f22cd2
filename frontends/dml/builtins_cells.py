"""How cellwise builtins and aggregates are lowered."""

from __future__ import annotations

from typing import Any, Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.arguments import Builtin, Emitter, empty, evaluate
from sysmlc.frontends.dml.frame import Frame
from sysmlc.frontends.dml.scalars import OPERATORS, apply, combine, negated
from sysmlc.frontends.dml.types import NUMERIC, describe, merge
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Outer, Unary
from sysmlc.ir.dialects.dml_matrix import AsScalar, AsVector
from sysmlc.ir.dialects.dml_scalar import AsMatrix
from sysmlc.ir.dialects.dml_stat import CountDistinct, Quantile, WeightedMean
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, box, f64, i1, i64, string

_INTEGER: Final = ("abs",)
"""Functions whose result for an integer is an integer."""


def op(cls: Any, **attrs: Any) -> Emitter:
    """The operation `cls` of the arguments in order."""

    def emit(frame: Frame, node: ast.Call, *values: Value) -> Value | list[Value]:
        results = frame.op(node, cls, *values, **attrs).results
        return results[0] if len(results) == 1 else results

    return emit


def family(cls: Any, fn: str) -> Emitter:
    """The operation `fn` of the family `cls`."""

    def emit(frame: Frame, node: ast.Call, *values: Value) -> Value:
        return frame.emit(node, cls, fn, *values)

    return emit


def aggregate(fn: str, dir: str = "full") -> Emitter:
    """The aggregate `fn` of a matrix."""

    def emit(frame: Frame, node: ast.Call, value: Value) -> Value:
        return frame.emit(node, Aggregate, fn, value, dir=dir)

    return emit


def unary(fn: str) -> Emitter:
    """The cellwise function `fn` of a matrix or a number."""

    def emit(frame: Frame, node: ast.Call, value: Value) -> Value:
        type = value.type
        if not isinstance(type, Matrix):
            if type not in NUMERIC:
                raise Diagnostic(f"'{node.name}' cannot be applied to {describe(type)}", node.loc)
            if type is box and fn == "abs":
                return combine(frame, node, "max", value, negated(frame, node, value), "'abs'")
            if not (type is i64 and fn in _INTEGER):
                value = frame.cast(node.args[0].value, value, f64)
        return frame.emit(node, Unary, fn, value)

    return emit


def binary(fn: str) -> Emitter:
    """The cellwise function `fn` of two operands."""

    def emit(frame: Frame, node: ast.Call, left: Value, right: Value) -> Value:
        return combine(frame, node, fn, left, right, f"'{node.name}'")

    return emit


def logarithm(frame: Frame, node: ast.Call, value: Value, base: Value | None) -> Value:
    """`log(x)`, `log(x, base)`"""
    if base is None:
        return frame.emit(node, Unary, "log", value)
    return frame.emit(node, Binary, "log_base", value, base)


def extreme(fn: str, full: str) -> Emitter:
    """`min`, `max`: of all cells of one matrix, or cellwise of several operands."""

    def emit(frame: Frame, node: ast.Call, self: Builtin) -> Value:
        if not node.args or any(arg.name is not None for arg in node.args):
            raise self.wrong(node, f"'{node.name}' takes one matrix, or two or more unnamed arguments")
        values = [frame.expr(arg.value) for arg in node.args]
        if len(values) == 1:
            if not isinstance(values[0].type, Matrix):
                raise self.wrong(
                    node,
                    f"'{node.name}' of one argument needs a matrix, but it is {describe(values[0].type)}",
                )
            return frame.emit(node, Aggregate, full, values[0])
        result = values[0]
        for value in values[1:]:
            result = combine(frame, node, fn, result, value, f"'{node.name}'")
        return result

    return emit


def mean(frame: Frame, node: ast.Call, value: Value, weights: Value | None) -> Value:
    """`mean(X)`, `mean(X, W)`"""
    if weights is None:
        return frame.emit(node, Aggregate, "mean", value)
    return frame.emit(node, WeightedMean, value, weights)


def if_else(frame: Frame, node: ast.Call, condition: Value, a: Value, b: Value) -> Value:
    """`ifelse(c, a, b)`: scalars get one type; next to a matrix they are doubles."""
    if not isinstance(condition.type, Matrix):
        condition = frame.as_scalar(node.args[0].value, condition, i1, "the condition of 'ifelse'")
    if any(isinstance(value.type, Matrix) for value in (condition, a, b)):
        chosen = []
        for arg, value in zip(node.args[1:], (a, b), strict=False):
            if not isinstance(value.type, Matrix):
                value = frame.as_scalar(arg.value, value, f64, "the argument of 'ifelse'")
            chosen.append(value)
        return frame.emit(node, IfElse, condition, *chosen)
    type = merge(a.type, b.type)
    if type is None or (a.type not in NUMERIC and a.type is not string):
        raise Diagnostic(
            f"'ifelse' cannot choose between {describe(a.type)} and {describe(b.type)}", node.loc
        )
    return frame.emit(node, IfElse, condition, frame.cast(node, a, type), frame.cast(node, b, type))


def operator_name(node: ast.Call, op: str) -> str:
    """The operation of an operator or function given as a string."""
    fn = OPERATORS.get(op) or (op if op in ("min", "max") else None)
    if fn is None:
        known = " ".join([*OPERATORS, "min", "max"])
        raise Diagnostic(
            f"'{op}' is not an operator for '{node.name}'", node.args[2].loc, hint=f"it is one of {known}"
        )
    return fn


def outer(frame: Frame, node: ast.Call, u: Value, v: Value, op: str) -> Value:
    """`outer(u, v, "op")`"""
    fn = operator_name(node, op)
    u, v = (_vector(frame, node, value, side) for value, side in ((u, "column"), (v, "row")))
    return frame.emit(node, Outer, u, v, op=fn)


def _vector(frame: Frame, node: ast.Call, value: Value, side: str) -> Value:
    """A matrix that has one column or one row, which is asked when the program runs where it is not known."""
    assert isinstance(value.type, Matrix)
    known = (value.type.rows if side == "row" else value.type.cols) == 1
    return value if known else frame.emit(node, AsVector, value, side=side, function=node.name)


def ppred(frame: Frame, node: ast.Call, x: Value, y: Value, op: str) -> Value:
    """`ppred(X, y, "op")`, the old form of comparisons."""
    if op not in ("<", "<=", ">", ">=", "==", "!="):
        raise Diagnostic(f"'{op}' is not a comparison", node.args[2].loc, hint="it is one of < <= > >= == !=")
    return apply(frame, node, op, x, y)


def quantile(frame: Frame, node: ast.Call, self: Builtin) -> Value:
    """`quantile(X, p)`, `quantile(X, W, p)`; p a scalar or a column of several."""
    if not 2 <= len(node.args) <= 3 or any(arg.name for arg in node.args):
        raise self.wrong(node, f"'{node.name}' takes 2 or 3 arguments, but {len(node.args)} are given")
    what = f"the argument of '{node.name}'"
    values = [evaluate(frame, arg.value, "matrix", what) for arg in node.args[:-1]]
    p = frame.expr(node.args[-1].value)
    weights = values[1] if len(values) == 2 else empty(frame, node)
    if isinstance(p.type, Matrix):
        return frame.emit(node, Quantile, values[0], weights, p)
    p = frame.as_scalar(node.args[-1].value, p, f64, "the probability of 'quantile'")
    column = frame.emit(node, Quantile, values[0], weights, frame.emit(node, AsMatrix, p))
    return frame.emit(node, AsScalar, column)


def weighted(cls: Any, kind: str) -> Emitter:
    """`f(X, k)`, `f(X, W, k)` with optional weights before the last argument, which is of `kind`."""

    def emit(frame: Frame, node: ast.Call, self: Builtin) -> Value:
        if not 2 <= len(node.args) <= 3 or any(arg.name for arg in node.args):
            raise self.wrong(node, f"'{node.name}' takes 2 or 3 arguments, but {len(node.args)} are given")
        what = f"the argument of '{node.name}'"
        values = [evaluate(frame, arg.value, "matrix", what) for arg in node.args[:-1]]
        last = evaluate(frame, node.args[-1].value, kind, what)
        weights = values[1] if len(values) == 2 else empty(frame, node)
        return frame.emit(node, cls, values[0], weights, last)

    return emit


def count_distinct(frame: Frame, node: ast.Call, value: Value, dir: str) -> Value:
    """`countDistinct(X, dir="rc")`: a scalar; for rows and columns a vector."""
    directions = {"rc": "full", "r": "row", "c": "col"}
    if dir not in directions:
        raise Diagnostic(
            f"the argument 'dir' of '{node.name}' cannot be '{dir}'", node.loc, hint="it is rc, r or c"
        )
    counted = frame.emit(node, CountDistinct, value, dir=directions[dir])
    return frame.emit(node, AsScalar, counted) if dir == "rc" else counted


def count_distinct_approx(frame: Frame, node: ast.Call, value: Value, type: str, dir: str) -> Value:
    """`countDistinctApprox(X, type="KMV", dir="rc")`: the exact number is the best estimate."""
    return count_distinct(frame, node, value, dir)
