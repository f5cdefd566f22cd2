"""Logical operations of statistics, linear algebra and prefix scans. Library operations: `dml.foo` is `sm_foo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.define import NATIVE, PURE, Attr, Operand, define
from sysmlc.ir.dialects.shapes import length, matrix_of, may_be_vector, size_dim
from sysmlc.ir.types import Dim, Matrix, Scalar, Type, differ_dim, f64, matrix


def _column(op: Op, value: Value) -> Matrix:
    """The type of an operand that must be a column vector."""
    source = matrix_of(op, value)
    if differ_dim(source.cols, 1):
        raise op.error(f"needs a column vector, got {source}")
    return source


def _square(op: Op, value: Value) -> Matrix:
    """The type of an operand that must be a square matrix."""
    source = matrix_of(op, value)
    if differ_dim(source.rows, source.cols):
        raise op.error(f"needs a square matrix, got {source}")
    return source


def _weigh(op: Op, weights: Value, data: Matrix) -> None:
    """Weights are as many as the data, or 0x0: none."""
    found = matrix_of(op, weights)
    if (found.rows, found.cols) == (0, 0):
        return
    if differ_dim(found.rows, data.rows) or differ_dim(found.cols, data.cols):
        raise op.error(f"has weights of {found} for data of {data}")


CUMULATIVE: Final = ("cumsum", "cumprod", "cummin", "cummax", "rowcumsum")


@define("dml", names=CUMULATIVE, traits=PURE)
class Cumulative(Op):
    """Prefix operation down each column (`rowcumsum`: along each row); NaN propagates."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem),)


@define("dml.cumsumprod", traits=PURE)
class CumSumProd(Op):
    """For X n×2: `y[i] = X[i,1] + X[i,2] * y[i-1]`, n×1."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        if differ_dim(source.cols, 2):
            raise self.error(f"needs a matrix of two columns, got {source}")
        return (matrix(source.rows, 1, source.elem),)


@define("dml", names=("row_index_max", "row_index_min"), traits=NATIVE)
class RowIndex(Op):
    """1-based column of each row's extreme; ties give the last; NaN cells are never chosen."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, 1, source.elem),)


@define("dml.weighted_mean", traits=PURE)
class WeightedMean(Op):
    """`sum(X * W) / sum(W)` of column vectors, f64."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, matrix_of(self, self.operand))
        return (f64,)


@define("dml.moment", traits=PURE)
class Moment(Op):
    """Central moment of order `k` (i64) of a column vector with `weights` (0x0: none), f64."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]
    k: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, _column(self, self.operand))
        return (f64,)


@define("dml.cov", traits=PURE)
class Cov(Op):
    """Sample covariance of two column vectors with `weights` (0x0: none), f64."""

    x: Operand[Matrix]
    y: Operand[Matrix]
    weights: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        x, y = matrix_of(self, self.x), matrix_of(self, self.y)
        if differ_dim(x.cols, 1) or differ_dim(y.cols, 1) or differ_dim(x.rows, y.rows):
            raise self.error(f"needs two column vectors of equal length, got {x} and {y}")
        _weigh(self, self.weights, x)
        return (f64,)


@define("dml.median", traits=PURE)
class Median(Op):
    """Median of a column vector with `weights` (0x0: none), f64."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, _column(self, self.operand))
        return (f64,)


@define("dml.quantile", traits=PURE)
class Quantile(Op):
    """The values of a sorted column vector at `ceil(p * sum(w))` for each p of a k×1 matrix, k×1; `weights` 0x0: none."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]
    p: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, _column(self, self.operand))
        p = _column(self, self.p)
        return (matrix(p.rows, 1),)


@define("dml.inter_quantile", traits=PURE)
class InterQuantile(Op):
    """The part of a sorted column vector between its p and 1-p quantiles."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]
    p: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, _column(self, self.operand))
        return (matrix(None, 1),)


@define("dml.inter_quartile_mean", traits=PURE)
class InterQuartileMean(Op):
    """Mean of the middle half of a column vector, f64."""

    operand: Operand[Matrix]
    weights: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        _weigh(self, self.weights, _column(self, self.operand))
        return (f64,)


@define("dml.count_distinct", traits=PURE)
class CountDistinct(Op):
    """Number of distinct values of all cells (`dir` "full"), each row or each column; a matrix 1×1, n×1 or 1×m."""

    operand: Operand[Matrix]
    dir: Attr[str] = "full"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows if self.dir == "row" else 1, source.cols if self.dir == "col" else 1),)


@define("dml.grouped_aggregate", traits=PURE)
class GroupedAggregate(Op):
    """Aggregate the rows of `target` by the ids in `groups`: `function` (str) sum, count, mean, variance, centralmoment
    (of `order`, i64), min or max; `weights` 0x0: none; `ngroups` (i64) -1: the largest id."""

    target: Operand[Matrix]
    groups: Operand[Matrix]
    weights: Operand[Matrix]
    function: Operand[Scalar]
    order: Operand[Scalar]
    ngroups: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        target, groups, weights = (matrix_of(self, v) for v in (self.target, self.groups, self.weights))
        if not may_be_vector(groups):
            raise self.error(f"needs a vector of groups, got {groups}")
        ids, given = length(groups), length(weights)
        if differ_dim(given, ids) and given != 0:
            raise self.error(f"has weights of {weights} for groups of {groups}")
        cols: Dim = target.cols
        if target.rows == 1 and ids != 1:  # a row of values is taken for a column
            if differ_dim(cols, ids):
                raise self.error(f"has a target of {target}, but groups of {groups}")
            cols = 1 if isinstance(ids, int) else None
        elif differ_dim(target.rows, ids):
            raise self.error(f"has a target of {target}, but groups of {groups}")
        elif target.rows is None or isinstance(target.rows, str):
            cols = 1 if cols == 1 else cols if ids == 1 or differ_dim(cols, ids) else None
        return (matrix(size_dim(self.ngroups), cols),)


@define("dml.solve", traits=PURE)
class Solve(Op):
    """`X` with `A %*% X = B`, A square; `symmetric` (set by passes): solved by Cholesky's factors where A is positive definite."""

    a: Operand[Matrix]
    b: Operand[Matrix]
    symmetric: Attr[bool] = False  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        a, b = _square(self, self.a), matrix_of(self, self.b)
        if differ_dim(a.rows, b.rows):
            raise self.error(f"the right side has other rows than the matrix: {a} and {b}")
        return (matrix(a.cols, b.cols, a.elem),)


@define("dml", names=("inv", "cholesky"), traits=PURE)
class Factor(Op):
    """Inverse, or the lower Cholesky factor of a symmetric positive definite matrix."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = _square(self, self.operand)
        return (matrix(source.rows, source.cols, source.elem),)


@define("dml.det", traits=PURE)
class Det(Op):
    """Determinant, f64."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        _square(self, self.operand)
        return (f64,)


@define("dml.qr", traits=PURE)
class QR(Op):
    """`[H, R]`: Householder vectors (m×n) and R (m×n) of a QR factorisation."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols), matrix(source.rows, source.cols))


@define("dml.lu", traits=PURE)
class LU(Op):
    """`[P, L, U]` with `P %*% A = L %*% U`."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = _square(self, self.operand)
        return (matrix(source.rows, source.cols),) * 3


@define("dml.eigen", traits=PURE)
class Eigen(Op):
    """`[values, vectors]` of a symmetric matrix, values ascending (n×1), unit vectors in columns."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = _square(self, self.operand)
        return (matrix(source.rows, 1), matrix(source.rows, source.cols))


@define("dml.svd", traits=PURE)
class SVD(Op):
    """`[U, S, V]` thin, S a descending diagonal matrix, `A = U S t(V)`."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        rows, cols = source.rows, source.cols
        k = min(rows, cols) if isinstance(rows, int) and isinstance(cols, int) else None
        return (matrix(rows, k), matrix(k, k), matrix(cols, k))


@define("dml", names=("cdf", "icdf"), traits=PURE)
class Distribution(Op):
    """Distribution function or its inverse: `dist` (str) normal (mean a, sd b), exp (rate a), chisq (df a), f (df1 a, df2 b), t (df a);
    `lower` (i1) picks the tail."""

    target: Operand[Scalar]
    dist: Operand[Scalar]
    a: Operand[Scalar]
    b: Operand[Scalar]
    lower: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (f64,)
