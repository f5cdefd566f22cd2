"""Logical operations that sort, count, pick and replace cells. Library operations: `dml.foo` is `sm_foo`."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Op
from sysmlc.ir.define import PURE, Operand, define
from sysmlc.ir.dialects.shapes import (
    constant,
    constant_int,
    count,
    length,
    matrix_of,
    may_be_vector,
    size_dim,
)
from sysmlc.ir.types import Matrix, Scalar, Type, differ_dim, f64, matrix


@define("dml.order", traits=PURE)
class Order(Op):
    """Rows sorted by the columns in `by` (a matrix of column ids), stable; or with `index_return` (i1) the permutation."""

    operand: Operand[Matrix]
    by: Operand[Matrix]
    decreasing: Operand[Scalar]
    index_return: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        by = matrix_of(self, self.by)
        if not may_be_vector(by):
            raise self.error(f"needs a vector of columns to sort by, got {by}")
        made = self.by.op
        column = None if made is None or made.name != "dml.as_matrix" else constant_int(made.operands[0])
        if column is not None and (column < 1 or (isinstance(source.cols, int) and column > source.cols)):
            size = f"the matrix has {source.cols} columns" if column > 0 else "columns are counted from 1"
            raise self.error(f"cannot sort by column {column}: {size}")
        index = constant(self.index_return)
        cols = 1 if index is True else source.cols if index is False or source.cols == 1 else None
        return (matrix(source.rows, cols, source.elem),)


@define("dml.table", traits=PURE)
class Table(Op):
    """Contingency table: `out[a_i, b_i] += w_i`. Sizes `rows`, `cols` (i64) drop what lies outside; -1 means as large as needed."""

    a: Operand[Matrix]
    b: Operand[Matrix]
    weights: Operand[Matrix]
    rows: Operand[Scalar]
    cols: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        a = matrix_of(self, self.a)
        for what, value in (("a second vector", self.b), ("weights", self.weights)):
            other = matrix_of(self, value)
            one = not differ_dim(other.rows, 1) and not differ_dim(other.cols, 1)
            if not one and (differ_dim(a.rows, other.rows) or differ_dim(a.cols, other.cols)):
                raise self.error(f"has {what} of {other} for a first vector of {a}")
        return (matrix(size_dim(self.rows), size_dim(self.cols), f64, count(a)),)


@define("dml.remove_empty", traits=PURE)
class RemoveEmpty(Op):
    """Rows (`margin` "rows") or columns without all-empty ones, or those picked by the 0/1 vector `select` (0x0: none given)."""

    operand: Operand[Matrix]
    margin: Operand[Scalar]
    select: Operand[Matrix]
    empty_return: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        margin = constant(self.margin)
        select = matrix_of(self, self.select)
        across = source.rows if margin == "rows" else source.cols if margin == "cols" else None
        chosen = (select.rows, select.cols) != (0, 0)
        if chosen and (not may_be_vector(select) or differ_dim(length(select), across)):
            raise self.error(f"cannot select {margin} of {source} by a matrix of {select}")
        rows = source.rows if margin == "cols" else None
        cols = source.cols if margin == "rows" else None
        return (matrix(rows, cols, source.elem),)


@define("dml.replace", traits=PURE)
class Replace(Op):
    """Cells equal to `pattern` (NaN matches NaN) become `replacement`."""

    operand: Operand[Matrix]
    pattern: Operand[Scalar]
    replacement: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem),)


@define("dml", names=("lower_tri", "upper_tri"), traits=PURE)
class Triangle(Op):
    """The lower or upper triangle: its values (`values`, i1) or ones; `diag` (i1) includes the diagonal."""

    operand: Operand[Matrix]
    diag: Operand[Scalar]
    values: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem),)
