"""Logical matrix operations: products, reorganisation, indexing, construction. Library operations: `dml.foo` is `sm_foo`."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Op, Value
from sysmlc.ir.define import NATIVE, Attr, Operand, Operands, define
from sysmlc.ir.dialects.shapes import (
    common_element,
    constant_int,
    count,
    matrix_of,
    range_size,
    size_dim,
    stacked,
)
from sysmlc.ir.types import Dim, Matrix, Scalar, Type, differ_dim, f64, i64, matrix, string


@define("dml.matmul", traits=NATIVE)
class MatMul(Op):
    """Matrix product `lhs %*% rhs`. `transpose` marks operands used transposed: "", "l", "r" or "lr" (set by passes)."""

    lhs: Operand[Matrix]
    rhs: Operand[Matrix]
    transpose: Attr[str] = ""  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (_product(self, self.lhs, self.rhs, self.transpose),)


def _product(op: Op, lhs: Value, rhs: Value, transpose: str) -> Matrix:
    left, right = matrix_of(op, lhs), matrix_of(op, rhs)
    rows, inner = (left.cols, left.rows) if "l" in transpose else (left.rows, left.cols)
    inner2, cols = (right.cols, right.rows) if "r" in transpose else (right.rows, right.cols)
    if differ_dim(inner, inner2):
        raise op.error(
            f"inner dimensions differ: {left} %*% {right}",
            "transpose one side with t()" if inner == cols or rows == inner2 else None,
        )
    return matrix(rows, cols, common_element(op, lhs, rhs))


@define("dml.matmul_shared", traits=NATIVE)
class MatMulShared(Op):
    """The products of `lhs` with each of `factors`: it is read and packed once (set by passes). `transpose` is that of `dml.matmul`.

    (C: sm_matmul_shared(ctx, lhs, n, sm_matrix** factors, transpose, sm_matrix*** results).)
    """

    lhs: Operand[Matrix]
    factors: Operands[Matrix]
    transpose: Attr[str] = ""  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return tuple(_product(self, self.lhs, factor, self.transpose) for factor in self.factors)


@define("dml.tsmm", traits=NATIVE)
class TransposeSelfProduct(Op):
    """`t(X) %*% X`, computed on one triangle and mirrored (set by passes)."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.cols, source.cols, source.elem),)


@define("dml.t", traits=NATIVE)
class Transpose(Op):
    """Transpose."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.cols, source.rows, source.elem, source.nnz),)


@define("dml.rev", traits=NATIVE)
class Rev(Op):
    """Rows in reverse order."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem, source.nnz),)


@define("dml.roll", traits=NATIVE)
class Roll(Op):
    """Rows rotated down by `shift` (i64)."""

    operand: Operand[Matrix]
    shift: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem, source.nnz),)


@define("dml.diag", traits=NATIVE)
class Diag(Op):
    """A column vector to a diagonal matrix, or the diagonal of a square matrix to a column vector."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        if source.cols == 1:
            nnz = source.rows if isinstance(source.rows, int) else None
            return (matrix(source.rows, source.rows, source.elem, nnz),)
        if isinstance(source.cols, int):
            if differ_dim(source.rows, source.cols):
                raise self.error(f"needs a column vector or a square matrix, got {source}")
            return (matrix(source.cols, 1, source.elem),)
        return (matrix(source.rows, None, source.elem),)


@define("dml.nrow", traits=NATIVE)
class NRow(Op):
    """Number of rows, i64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        return (i64,)

    def fold(self) -> Sequence[Value | int] | None:
        size = matrix_of(self, self.operand).rows
        return [size] if isinstance(size, int) else None


@define("dml.ncol", traits=NATIVE)
class NCol(Op):
    """Number of columns, i64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        return (i64,)

    def fold(self) -> Sequence[Value | int] | None:
        size = matrix_of(self, self.operand).cols
        return [size] if isinstance(size, int) else None


@define("dml.length", traits=NATIVE)
class Length(Op):
    """Number of cells, i64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        return (i64,)

    def fold(self) -> Sequence[Value | int] | None:
        cells = count(matrix_of(self, self.operand))
        return None if cells is None else [cells]


@define("dml.nnz", traits=NATIVE)
class NNZ(Op):
    """Number of non-zero cells, i64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("dml.trace", traits=NATIVE)
class Trace(Op):
    """Sum of the diagonal of a square matrix, f64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        if differ_dim(source.rows, source.cols):
            raise self.error(f"needs a square matrix, got {source}")
        return (f64,)


@define("dml.index", traits=NATIVE)
class Index(Op):
    """`X[rl:ru, cl:cu]`, 1-based and inclusive. Open sides are written out: 1 and nrow/ncol.

    With `view`, which `view-rows` sets, cells that lie side by side are looked at where they are, not copied.
    """

    operand: Operand[Matrix]
    rl: Operand[Scalar]
    ru: Operand[Scalar]
    cl: Operand[Scalar]
    cu: Operand[Scalar]
    view: Attr[bool] = False  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        _check_range(self, "row", self.rl, self.ru, source.rows)
        _check_range(self, "column", self.cl, self.cu, source.cols)
        rows, cols = range_size(self.rl, self.ru, source.rows), range_size(self.cl, self.cu, source.cols)
        return (matrix(rows, cols, source.elem),)


@define("dml.left_index", traits=NATIVE, consumes=(0,))
class LeftIndex(Op):
    """`X` with `X[rl:ru, cl:cu] = rhs`; sizes must agree. Takes `X` over: no copy when nobody else holds it."""

    operand: Operand[Matrix]
    rhs: Operand[Matrix]
    rl: Operand[Scalar]
    ru: Operand[Scalar]
    cl: Operand[Scalar]
    cu: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source, rhs = matrix_of(self, self.operand), matrix_of(self, self.rhs)
        _check_range(self, "row", self.rl, self.ru, source.rows)
        _check_range(self, "column", self.cl, self.cu, source.cols)
        rows, cols = range_size(self.rl, self.ru, source.rows), range_size(self.cl, self.cu, source.cols)
        if differ_dim(rows, rhs.rows) or differ_dim(cols, rhs.cols):
            raise self.error(f"the range is {matrix(rows, cols, rhs.elem)}, but the right side is {rhs}")
        return (matrix(source.rows, source.cols, common_element(self, self.operand, self.rhs)),)


@define("dml.set_cell", traits=NATIVE, consumes=(0,))
class SetCell(Op):
    """`X` with `X[i, j] = value` (f64). Takes `X` over."""

    operand: Operand[Matrix]
    value: Operand[Scalar]
    i: Operand[Scalar]
    j: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        _check_range(self, "row", self.i, self.i, source.rows)
        _check_range(self, "column", self.j, self.j, source.cols)
        return (matrix(source.rows, source.cols, source.elem),)


@define("dml.get_cell", traits=NATIVE)
class GetCell(Op):
    """`as.scalar(X[i, j])`, f64."""

    operand: Operand[Matrix]
    i: Operand[Scalar]
    j: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        _check_range(self, "row", self.i, self.i, source.rows)
        _check_range(self, "column", self.j, self.j, source.cols)
        return (f64,)


def _check_range(op: Op, what: str, lower: Value, upper: Value, extent: Dim) -> None:
    low, high = constant_int(lower), constant_int(upper)
    for bound in (low, high):
        if bound is not None and (bound < 1 or (isinstance(extent, int) and bound > extent)):
            raise op.error(f"{what} index {bound} is out of range: the matrix has {extent} {what}s" if bound >= 1
                           else f"{what} index {bound} is out of range: indexes start at 1")  # fmt: skip
    if low is not None and high is not None and low > high:
        raise op.error(f"{what} range {low}:{high} is empty")


@define("dml.cbind", traits=NATIVE)
class CBind(Op):
    """Matrices side by side. (C: sm_cbind(ctx, n, sm_matrix** values).)"""

    values: Operands[Matrix]

    def infer(self) -> Sequence[Type]:
        return (stacked(self, self.values, by_rows=False),)


@define("dml.rbind", traits=NATIVE)
class RBind(Op):
    """Matrices on top of each other. (C: sm_rbind(ctx, n, sm_matrix** values).)"""

    values: Operands[Matrix]

    def infer(self) -> Sequence[Type]:
        return (stacked(self, self.values, by_rows=True),)


@define("dml.reshape", traits=NATIVE)
class Reshape(Op):
    """The cells of a matrix in another shape, row by row on both sides (`byrow`, i1) or column by column."""

    operand: Operand[Matrix]
    rows: Operand[Scalar]
    cols: Operand[Scalar]
    byrow: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        made = matrix(size_dim(self.rows), size_dim(self.cols), source.elem, source.nnz)
        if differ_dim(count(source), count(made)):
            raise self.error(f"cannot put the cells of {source} into {made}")
        return (made,)


@define("dml.as_scalar", traits=NATIVE)
class AsScalar(Op):
    """The cell of a 1x1 matrix, f64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        if differ_dim(source.rows, 1) or differ_dim(source.cols, 1):
            raise self.error(f"needs a 1x1 matrix, got {source}", "take one cell first: as.scalar(X[i, j])")
        return (f64,)


@define("dml.as_vector", traits=NATIVE)
class AsVector(Op):
    """The same matrix, which must have one column (`side` "column") or one row ("row") to be an argument of `function`."""

    operand: Operand[Matrix]
    side: Attr[str]
    function: Attr[str]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        rows, cols = (1, source.cols) if self.side == "row" else (source.rows, 1)
        if differ_dim(source.rows, rows) or differ_dim(source.cols, cols):
            raise self.error(f"needs a {self.side} vector, got {source}")
        return (matrix(rows, cols, source.elem, source.nnz),)

    def fold(self) -> Sequence[Value | int] | None:
        source = matrix_of(self, self.operand)
        known = source.rows == 1 if self.side == "row" else source.cols == 1
        return [self.operand] if known else None


@define("dml.write_matrix", traits={"f32"})
class WriteMatrix(Op):
    """Write a matrix file (and its .mtd) by `options`, `key=value` lines."""

    operand: Operand[Matrix]
    path: Operand[Scalar]
    options: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.matrix_to_string", traits=NATIVE)
class MatrixToString(Op):
    """toString of a matrix; rows, cols, decimal are i64, sparse is i1."""

    operand: Operand[Matrix]
    rows: Operand[Scalar]
    cols: Operand[Scalar]
    decimal: Operand[Scalar]
    sparse: Operand[Scalar]
    sep: Operand[Scalar]
    linesep: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (string,)
