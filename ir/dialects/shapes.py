"""Shape rules shared by the inference functions of the logical operations."""

from __future__ import annotations

from sysmlc.ir.core import Op, Value
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import (
    ELEMENTS,
    Dim,
    Matrix,
    Scalar,
    Type,
    differ_dim,
    f64,
    matrix,
    meet_dim,
    same_dim,
)


def matrix_of(op: Op, value: Value, what: str = "operand") -> Matrix:
    """The matrix type of `value`, or a diagnostic that says what it is instead."""
    if not isinstance(value.type, Matrix):
        raise op.error(f"{what} must be a matrix, but is {value.type}")
    return value.type


assumed: dict[Value, int | float | str | bool] = {}
"""Scalars that an analysis in progress takes to be constants; empty otherwise."""
assumed_sizes: dict[Value, str] = {}
"""Names that an analysis in progress gives to i64 values of unknown size."""


def constant(value: Value) -> int | float | str | bool | None:
    """The value of a `core.constant` (or of what an analysis takes for one), None for anything else."""
    op = value.op
    if op is None or op.name != "core.constant":
        return assumed.get(value) if assumed else None
    found = op.attrs["value"]
    assert not isinstance(found, tuple)
    return found


def constant_int(value: Value) -> int | None:
    """The integer a value is known to be, None when it is not known."""
    found = constant(value)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return int(found) if isinstance(found, int) else None


def size_dim(value: Value) -> Dim:
    """The dimension an i64 value stands for: a constant, the rows or columns of a matrix, or unknown."""
    known = constant_int(value)
    if known is not None:
        return known if known >= 0 else None
    op = value.op
    if op is not None and op.name in ("dml.nrow", "dml.ncol"):
        source = op.operands[0].type
        assert isinstance(source, Matrix)
        return source.rows if op.name == "dml.nrow" else source.cols
    return assumed_sizes.get(value) if assumed_sizes else None


def count(type: Matrix) -> int | None:
    """How many cells a matrix is known to have."""
    rows, cols = type.rows, type.cols
    return rows * cols if isinstance(rows, int) and isinstance(cols, int) else None


def may_be_vector(type: Matrix) -> bool:
    """Whether a matrix may have one row or one column."""
    return not differ_dim(type.rows, 1) or not differ_dim(type.cols, 1)


def length(vector: Matrix) -> Dim:
    """How many cells a vector has."""
    return vector.rows if vector.cols == 1 else vector.cols if vector.rows == 1 else None


def common_element(op: Op, *values: Value) -> Scalar:
    """The element type that all matrices among `values` have."""
    types = [v.type for v in values if isinstance(v.type, Matrix)]
    for type in types[1:]:
        if type.elem is not types[0].elem:
            raise op.error(f"operands have different element types: {types[0]} and {type}")
    return types[0].elem if types else f64


def element(op: Op) -> Scalar:
    """The element type that the attribute `elem` of an operation names."""
    found = next((e for e in ELEMENTS if e.text == op.attrs.get("elem", "f64")), None)
    if found is None:
        raise op.error(f"elem is f64 or f32, not '{op.attrs['elem']}'")
    return found


def cellwise(op: Op, left: Type, right: Type) -> Type:
    """The result of a cellwise binary operation: DML broadcasts a scalar on either side, or a right vector."""
    if not isinstance(left, Matrix):
        return matrix(right.rows, right.cols, right.elem) if isinstance(right, Matrix) else f64
    if not isinstance(right, Matrix):
        return matrix(left.rows, left.cols, left.elem)
    common_element(op, *op.operands)
    for side, a, b in (("rows", left.rows, right.rows), ("columns", left.cols, right.cols)):
        if differ_dim(a, b) and b != 1:
            raise _mismatch(op, left, right, side)
    if right.rows == 1 and right.cols == 1:
        return matrix(left.rows, left.cols, left.elem)
    col_vector, row_vector = right.cols == 1 and left.cols != 1, right.rows == 1 and left.rows != 1
    if col_vector and row_vector:
        return matrix(left.rows, left.cols, left.elem)
    if col_vector and differ_dim(left.rows, right.rows):
        raise _mismatch(op, left, right, "rows")
    if row_vector and differ_dim(left.cols, right.cols):
        raise _mismatch(op, left, right, "columns")
    rows, cols = left.rows, left.cols
    if isinstance(right.rows, int) and right.rows > 1:
        rows = meet_dim(rows, right.rows)
    if isinstance(right.cols, int) and right.cols > 1:
        cols = meet_dim(cols, right.cols)
    return matrix(rows, cols, left.elem)


def _mismatch(op: Op, left: Matrix, right: Matrix, side: str) -> Diagnostic:
    hint = None
    if left.rows == 1 and left.cols == 1:
        hint = "as.scalar() makes a number of a 1x1 matrix, which may be the left operand"
    elif left.cols == 1 and right.rows == 1:
        hint = "outer() combines each cell of a column with each cell of a row"
    elif left.rows == 1 or left.cols == 1:
        hint = "only the right operand of a cellwise operation is broadcast; swap the operands"
    return op.error(f"operands do not have the same {side}: {left} and {right}", hint)


def stacked(op: Op, values: list[Value], by_rows: bool) -> Matrix:
    """The shape of rbind (by rows) or cbind (by columns)."""
    grow: Dim = 0
    keep: Dim = None
    elem = common_element(op, *values)
    for value in values:
        type = matrix_of(op, value)
        along, across = (type.rows, type.cols) if by_rows else (type.cols, type.rows)
        grow = grow + along if isinstance(grow, int) and isinstance(along, int) else None
        if differ_dim(keep, across):
            what = "columns" if by_rows else "rows"
            raise op.error(f"the matrices have different numbers of {what}: {keep} and {across}")
        keep = meet_dim(keep, across) if keep is not None else across
    return matrix(grow, keep, elem) if by_rows else matrix(keep, grow, elem)


def range_size(lower: Value, upper: Value, extent: Dim) -> Dim:
    """How many indexes `lower:upper` names, when that can be known."""
    low, high = constant_int(lower), constant_int(upper)
    if low is not None and high is not None:
        return max(high - low + 1, 0)
    if lower is upper:
        return 1
    if low == 1:
        size = size_dim(upper)
        if size is not None:
            return size
    if low is not None and isinstance(extent, int) and same_dim(size_dim(upper), extent):
        return extent - low + 1
    return None
