"""Rules about any cellwise operation, whatever it computes."""

from __future__ import annotations

from typing import Final

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.dml_cell import PREDICATES, RELATIONAL, Binary, Outer, Unary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import AsScalar, NCol, NRow, Transpose
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.rewrite import Replacement, rule
from sysmlc.ir.types import Matrix, i64, same_dim


@rule(Transpose, depth=3)
def transpose_around_cellwise(op: Transpose, b: Builder) -> Replacement:
    """`t(f(t(X)))` is `f(X)` for cellwise f of one matrix and scalars."""
    inner = op.operand.op
    if inner is None or not isinstance(inner, (Unary, Binary)) or not op.operand.has_one_use():
        return None
    matrices = [i for i, v in enumerate(inner.operands) if isinstance(v.type, Matrix)]
    source = inner.operands[matrices[0]].op
    if len(matrices) != 1 or not isinstance(source, Transpose):
        return None
    operands = list(inner.operands)
    operands[matrices[0]] = source.operand
    return b(type(inner), inner.fn, *operands)


@rule(Binary)
def cells_of_a_constant_matrix(op: Binary, b: Builder) -> Replacement:
    """`X + matrix(v, …)` is `X + v` where the sizes are known to agree."""
    left, right = op.lhs.type, op.rhs.type
    if not isinstance(left, Matrix) or not isinstance(right, Matrix):
        return None
    filled = op.rhs.op
    if isinstance(filled, Fill) and _broadcasts(left, right):
        return b(Binary, op.fn, op.lhs, filled.value)
    filled = op.lhs.op
    if isinstance(filled, Fill) and same_dim(left.rows, right.rows) and same_dim(left.cols, right.cols):
        return b(Binary, op.fn, filled.value, op.rhs)
    return None


def _broadcasts(left: Matrix, right: Matrix) -> bool:
    rows, cols = same_dim(left.rows, right.rows), same_dim(left.cols, right.cols)
    return (rows or right.rows == 1) and (cols or right.cols == 1)


@rule(Binary)
def right_operand_of_one_cell(op: Binary, b: Builder) -> Replacement:
    """A 1x1 matrix on the right is a scalar."""
    right = op.rhs.type
    if (
        not isinstance(right, Matrix)
        or not isinstance(op.lhs.type, Matrix)
        or (right.rows, right.cols) != (1, 1)
    ):
        return None
    return b(Binary, op.fn, op.lhs, b(AsScalar, op.rhs))


_WHOLE: Final = ("abs", "round", "floor", "ceil", "sign")


@rule(Unary, *_WHOLE)
def rounding_of_truth(op: Unary, b: Builder) -> Replacement:
    """Cells that are 0 or 1 already are rounded, not negative, and their own sign."""
    return op.operand if isinstance(op.operand.type, Matrix) and _is_truth(op.operand) else None


def _is_truth(value: Value) -> bool:
    """Whether all cells are 0 or 1."""
    op = value.op
    if isinstance(op, Outer):
        return op.op in RELATIONAL
    return isinstance(op, (Unary, Binary)) and op.fn in PREDICATES and isinstance(value.type, Matrix)


@rule(Binary, "eq", "ne", "gt")
def comparison_of_truth(op: Binary, b: Builder) -> Replacement:
    """`(X > y) == 1` is `X > y`, `(X > y) == 0` its negation."""
    known = constant(op.rhs)
    if not _is_truth(op.lhs) or isinstance(known, str) or known not in (0, 1):
        return None
    if op.fn == "gt":
        return op.lhs if known == 0 else None
    return op.lhs if (op.fn == "eq") is (known == 1) else b(Unary, "not", op.lhs)


@rule(NRow, NCol)
def size_of_cellwise(op: NRow | NCol, b: Builder) -> Replacement:
    """Cellwise results have the size of their left matrix: nothing needs to be computed to know it."""
    inner = op.operands[0].op
    if not isinstance(inner, (Unary, Binary)):
        return None
    source = next(v for v in inner.operands if isinstance(v.type, Matrix))
    return b(type(op), source) if op.results[0].type is i64 else None
