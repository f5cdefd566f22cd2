"""Lowering of indexing, on the right (`X[i, j]`, `L["a"]`) and on the left of an assignment."""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.frame import Frame, Variable, lowers, scalar_hint
from sysmlc.frontends.dml.scalars import apply
from sysmlc.frontends.dml.types import NUMERIC, describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_matrix import GetCell, Index, LeftIndex, NCol, NRow, SetCell
from sysmlc.ir.dialects.dml_scalar import (
    ListNamed,
    ListNew,
    ListRange,
    ListScalar,
    ListSet,
    ListSetNamed,
)
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, f64, i64, list_, string


@dataclass(frozen=True, slots=True)
class Span:
    """The indexes along one dimension; `lower is upper` where one index is written."""

    lower: Value
    upper: Value

    @property
    def one(self) -> bool:
        """Whether this is a single index for sure."""
        if self.lower is self.upper:
            return True
        low = constant_int(self.lower)
        return low is not None and low == constant_int(self.upper)


@lowers(ast.Index)
def _index(frame: Frame, node: ast.Index) -> Value:
    base = frame.read(node.base)
    if base.type is list_:
        return _entries(frame, node, base)
    matrix = _indexable(node, base)
    if node.rows is None and node.cols is None:
        return base
    rows, cols = _spans(frame, node, base, matrix)
    return frame.emit(node, Index, base, rows.lower, rows.upper, cols.lower, cols.upper)


def cell(frame: Frame, node: ast.Expr) -> Value | None:
    """`X[i, j]` of a matrix as a scalar; None when the expression is not a single cell."""
    if not isinstance(node, ast.Index) or node.rows is None or node.cols is None:
        return None
    if isinstance(node.rows, ast.Range) or isinstance(node.cols, ast.Range):
        return None
    base = frame.read(node.base)
    if not isinstance(base.type, Matrix):
        return None
    rows = _bound(frame, node.rows, "row")
    return frame.emit(node, GetCell, base, rows, _bound(frame, node.cols, "column"))


def _indexable(node: ast.Index, base: Value) -> Matrix:
    if not isinstance(base.type, Matrix):
        raise Diagnostic(
            f"'{node.base.name}' is {describe(base.type)} and cannot be indexed",
            node.loc,
            hint="only matrices and lists have entries",
        )
    return base.type


def _spans(frame: Frame, node: ast.Index, base: Value, matrix: Matrix) -> tuple[Span, Span]:
    rows = _span(frame, node, node.rows, base, NRow, matrix.rows, "row")
    return rows, _span(frame, node, node.cols, base, NCol, matrix.cols, "column")


def _span(
    frame: Frame,
    node: ast.Index,
    part: ast.Expr | ast.Range | None,
    base: Value,
    size: type[NRow] | type[NCol],
    known: int | str | None,
    what: str,
) -> Span:
    if part is None:
        first = frame.constant(node, 1)
        last = frame.constant(node, known) if isinstance(known, int) else frame.emit(node, size, base)
        return Span(first, last)
    if isinstance(part, ast.Range):
        return Span(_bound(frame, part.lower, what), _bound(frame, part.upper, what))
    at = _bound(frame, part, what)
    return Span(at, at)


def _bound(frame: Frame, node: ast.Expr, what: str) -> Value:
    value = frame.expr(node)
    if value.type not in NUMERIC:
        hint = "matrices have no column names" if value.type is string else scalar_hint(value.type, i64)
        raise Diagnostic(
            f"a {what} index must be a number, but is {describe(value.type)}", node.loc, hint=hint
        )
    return frame.cast(node, value, i64)


# ---- lists


def _entries(frame: Frame, node: ast.Index, base: Value) -> Value:
    key = _key(frame, node)
    if key is None:
        return base
    if isinstance(key, Span):
        return frame.emit(node, ListRange, base, key.lower, key.upper)
    return frame.emit(node, ListNamed, base, key)


def _key(frame: Frame, node: ast.Index) -> Span | Value | None:
    """The positions a list index names, or the name (a string); None for all."""
    if not node.single:
        raise Diagnostic('a list has one dimension: index it as L[i] or L["name"]', node.loc)
    part = node.rows
    if part is None:
        return None
    if isinstance(part, ast.Range):
        return Span(_bound(frame, part.lower, "list"), _bound(frame, part.upper, "list"))
    value = frame.expr(part)
    if value.type is string:
        return value
    at = frame.as_scalar(part, value, i64, "a list index")
    return Span(at, at)


def one_entry(frame: Frame, node: ast.Node, value: Value) -> Value:
    """A value as a list of one entry, as the operations that put entries into lists take it."""
    op = value.op
    if value.type is list_ and op is not None:
        operands = op.operands
        taken_out = op.name == "dml.list_named" or (
            op.name == "dml.list_range" and operands[1] is operands[2]
        )
        if taken_out or (op.name == "dml.list_new" and len(operands) == 1):
            return value
    return frame.emit(node, ListNew, [value])


# ---- on the left


@lowers(ast.IndexedAssign)
def _indexed_assign(frame: Frame, node: ast.IndexedAssign) -> None:
    if isinstance(node.value, ast.IfDef):
        raise Diagnostic("ifdef() can only be assigned to a whole variable", node.value.loc)
    if node.accumulate:
        _accumulate(frame, node)
        return
    frame.read(node.target.base)
    store(frame, node.target, frame.expr(node.value), node)


def store(frame: Frame, target: ast.Index, rhs: Value, node: ast.Node) -> None:
    """`target = rhs` for an indexed target."""
    base = frame.read(target.base)
    if base.type is list_:
        key = _key(frame, target)
        value = one_entry(frame, node, rhs)
        if key is None or (isinstance(key, Span) and not key.one):
            raise Diagnostic("one entry of a list is assigned at a time", target.loc, hint="write L[i] = …")
        if isinstance(key, Span):
            made = frame.emit(node, ListSet, base, key.lower, value)
        else:
            made = frame.emit(node, ListSetNamed, base, key, value)
    else:
        rows, cols = _spans(frame, target, base, _indexable(target, base))
        made = _put(frame, target, base, rhs, rows, cols, node)
    _replace(frame, target, made)


def _put(
    frame: Frame, target: ast.Index, base: Value, rhs: Value, rows: Span, cols: Span, node: ast.Node
) -> Value:
    if isinstance(rhs.type, Matrix):
        return frame.emit(node, LeftIndex, base, rhs, rows.lower, rows.upper, cols.lower, cols.upper)
    if rhs.type not in NUMERIC:
        hint = scalar_hint(rhs.type, f64)
        raise Diagnostic(f"{describe(rhs.type)} cannot be assigned to cells of a matrix", node.loc, hint=hint)
    if not (rows.one and cols.one):
        raise Diagnostic(
            "a scalar can only be assigned to a single cell",
            node.loc,
            hint="fill the range with a matrix: matrix(value, rows=…, cols=…)",
        )
    return frame.emit(node, SetCell, base, frame.cast(node, rhs, f64), rows.lower, cols.lower)


def _accumulate(frame: Frame, node: ast.IndexedAssign) -> None:
    target = node.target
    base = frame.read(target.base)
    if base.type is list_:
        key = _key(frame, target)
        if not isinstance(key, Span) or not key.one:
            raise Diagnostic("'+=' adds to one entry of a list, by its position", target.loc)
        entry = frame.emit(target, ListScalar, frame.emit(target, ListRange, base, key.lower, key.upper))
        total = apply(frame, node, "+", entry, frame.expr(node.value))
        _replace(
            frame, target, frame.emit(node, ListSet, base, key.lower, frame.emit(node, ListNew, [total]))
        )
        return
    rows, cols = _spans(frame, target, base, _indexable(target, base))
    added = frame.expr(node.value)
    old = (
        frame.emit(target, GetCell, base, rows.lower, cols.lower)
        if is_scalar(added.type) and rows.one and cols.one
        else frame.emit(target, Index, base, rows.lower, rows.upper, cols.lower, cols.upper)
    )
    total = apply(frame, node, "+", old, added)
    _replace(frame, target, _put(frame, target, base, total, rows, cols, node))


def _replace(frame: Frame, target: ast.Index, made: Value) -> None:
    made.name = target.base.name
    frame.env[target.base.name] = Variable(made, None, target)
