"""Rules about appending, and about ranges that are read or assigned."""

from __future__ import annotations

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import (
    CBind,
    Index,
    LeftIndex,
    RBind,
    Transpose,
)
from sysmlc.ir.dialects.shapes import constant_int, size_dim
from sysmlc.ir.rewrite import Replacement, rule
from sysmlc.ir.types import Dim, Matrix


@rule(CBind, RBind)
def nested_append(op: CBind | RBind, b: Builder) -> Replacement:
    """Appending to what was appended is appending all."""
    values: list[Value] = []
    for value in op.operands:
        inner = value.op
        values += (
            inner.operands if inner is not None and inner.name == op.name and value.has_one_use() else [value]
        )
    return b(type(op), values) if len(values) > len(op.operands) else None


@rule(Transpose, depth=3)
def transpose_of_append(op: Transpose, b: Builder) -> Replacement:
    """`t(cbind(t(A), t(B)))` is `rbind(A, B)`."""
    inner = op.operand.op
    if not isinstance(inner, (CBind, RBind)):
        return None
    sources = [v.op for v in inner.operands]
    if not all(isinstance(s, Transpose) for s in sources):
        return None
    return b(RBind if isinstance(inner, CBind) else CBind, [s.operands[0] for s in sources if s is not None])


@rule(LeftIndex, depth=3)
def columns_assigned_one_by_one(op: LeftIndex, b: Builder) -> Replacement:
    """`X[, 1:k] = A; X[, (k+1):m] = B` is `cbind(A, B)`; likewise for rows. A range assigned twice keeps the last."""
    inner = op.operand.op
    if not isinstance(inner, LeftIndex) or not op.operand.has_one_use():
        return None
    outer_range = [size_dim(v) for v in op.operands[2:]]
    inner_range = [size_dim(v) for v in inner.operands[2:]]
    type = op.operand.type
    if None in outer_range or None in inner_range or not isinstance(type, Matrix):
        return None
    if outer_range == inner_range:
        return b(LeftIndex, inner.operand, op.rhs, *op.operands[2:])
    full_rows, full_cols = [1, type.rows], [1, type.cols]
    if inner_range[:2] == outer_range[:2] == full_rows and _meet(inner_range[2:], outer_range[2:], type.cols):
        return b(CBind, [inner.rhs, op.rhs])
    if inner_range[2:] == outer_range[2:] == full_cols and _meet(inner_range[:2], outer_range[:2], type.rows):
        return b(RBind, [inner.rhs, op.rhs])
    return None


def _meet(first: list[Dim], second: list[Dim], size: Dim) -> bool:
    """Whether two ranges follow each other and fill everything."""
    end, start = first[1], second[0]
    return (
        first[0] == 1 and isinstance(end, int) and start == end + 1 and second[1] == size and size is not None
    )


@rule(Index, depth=3)
def range_of_zeros(op: Index, b: Builder) -> Replacement:
    """Any range of an all-zero or constant matrix that is known to be in range."""
    source = op.operand.type
    assert isinstance(source, Matrix)
    bounds = [constant_int(v) for v in op.operands[1:]]
    if None in bounds or not isinstance(source.rows, int) or not isinstance(source.cols, int):
        return None
    filled = op.operand.op
    if source.nnz != 0 and not isinstance(filled, Fill):
        return None
    result = op.results[0].type
    assert isinstance(result, Matrix)
    value = filled.value if isinstance(filled, Fill) else b(Constant, value=0.0)
    assert isinstance(result.rows, int)
    assert isinstance(result.cols, int)
    return b(Fill, value, b(Constant, value=result.rows), b(Constant, value=result.cols))


@rule(LeftIndex)
def zeros_into_zeros(op: LeftIndex, b: Builder) -> Replacement:
    """Writing zeros into zeros changes nothing, where the range is known to fit."""
    source, rhs = op.operand.type, op.rhs.type
    known = all(constant_int(v) is not None for v in op.operands[2:])
    if not isinstance(source, Matrix) or not isinstance(rhs, Matrix) or not known:
        return None
    sized = all(isinstance(d, int) for d in (source.rows, source.cols, rhs.rows, rhs.cols))
    return op.operand if sized and source.nnz == 0 and rhs.nnz == 0 else None
