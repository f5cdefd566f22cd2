"""Turn means, variances and standard deviations into the sums and the arithmetic they are made of.

    colSds(X)       m = colSums(X) / n;  sqrt(colSums((X - m)^2) / (n - 1))

Before equal things are shared and scans are fused: `colMeans(X)` and `colSds(X)` have their sum in common. Two passes over the
data, as accurate as the compensated sums are.
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, NCol, NRow
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.dml_stat import RowIndex
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, f64


@register_pass
class Decompose(Pass):
    """Turn mean, var and sd into sums and arithmetic, so that they are shared and fused."""

    name = "decompose"

    def run(self, module: Module) -> None:
        for op in list(module.walk()):
            if isinstance(op, Aggregate) and op.fn in ("mean", "var", "sd") and _is_matrix(op.operand):
                op.replace_by([_sums(op)])
                self.count(f"{op.fn}s decomposed")


def _is_matrix(value: Value) -> bool:
    return isinstance(value.type, Matrix)


def _sums(op: Aggregate) -> Value:
    b = Builder.before(op)
    x, dir = op.operand, op.dir
    count = _count(b, x, dir)
    result = b(Binary, "div", b(Aggregate, "sum", x, dir=dir), count)
    if op.fn != "mean":
        total = b(Aggregate, "sumsq", b(Binary, "sub", x, result), dir=dir)
        one = b(Constant, value=1.0)
        # One value has variance 0, none has NaN: 0 / min(max(n - 1, 1), n).
        degrees = b(Binary, "min", b(Binary, "max", b(Binary, "sub", count, one), one), count)
        result = b(Binary, "div", total, degrees)
    if op.fn == "sd":
        result = b(Unary, "sqrt", result)
    result.type, result.name = op.result.type, op.result.name
    return result


def _count(b: Builder, x: Value, dir: str) -> Value:
    """How many cells one result is made of, f64."""
    assert isinstance(x.type, Matrix)
    rows, cols = x.type.rows, x.type.cols
    if dir == "full":
        if isinstance(rows, int) and isinstance(cols, int):
            return b(Constant, value=float(rows * cols))
        return b(
            Binary, "mul", *(b(Cast, b(size, _with_size(x, size)), types=[f64]) for size in (NRow, NCol))
        )
    known, op = (cols, NCol) if dir == "row" else (rows, NRow)
    if isinstance(known, int):
        return b(Constant, value=float(known))
    return b(Cast, b(op, _with_size(x, op)), types=[f64])


def _with_size(x: Value, size: type[NRow | NCol]) -> Value:
    """What x is made of that has as many rows or columns: then x itself need not be there."""
    while True:
        op = x.op
        if isinstance(op, (Unary, Binary)):
            x = next(v for v in op.operands if isinstance(v.type, Matrix))
        elif size is NRow and (isinstance(op, RowIndex) or (isinstance(op, Aggregate) and op.dir == "row")):
            x = op.operands[0]
        elif isinstance(op, MatMul) and ("l" if size is NRow else "r") not in op.transpose:
            x = op.lhs if size is NRow else op.rhs
        else:
            return x
