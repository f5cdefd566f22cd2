"""Which matrices of a region groups may be grown from."""

from __future__ import annotations

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul
from sysmlc.ir.dialects.dml_stat import RowIndex
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import SPARSE
from sysmlc.passes.rows.fits import product_factors
from sysmlc.passes.rows.order import Order


def starts(order: Order) -> list[tuple[Value, bool]]:
    """What groups of a region are grown from: each matrix, with sides of several columns and of one."""
    return [(value, single) for value in candidates(order) for single in (False, True)]


def candidates(order: Order) -> list[Value]:
    """Matrices that several operations may scan: left operands of products, operands of row aggregates, and what those
    are made of cell by cell; in program order. `t(X) %*% Y` scans X as well, which pays when there are two and
    X is dense: the non-zeros of a sparse one are read as fast by the library."""
    closed: set[Value] = set()
    found: dict[Value, None] = {}

    def add(value: Value) -> None:
        type, op = value.type, value.op
        if value in found or not isinstance(type, Matrix) or 1 in (type.rows, type.cols):
            return
        found[value] = None
        if op is not None and op.parent is order.region and isinstance(op, (Unary, Binary, IfElse)):
            for operand in op.operands:
                add(operand)

    for op in order.ops:
        if isinstance(op, MatMul):
            factors = product_factors(op)
            if factors is None or (factors[0] in closed and order.expected.density(factors[0]) >= SPARSE):
                add(op.lhs if factors is None else factors[0])
            elif factors[0] is not factors[1]:
                closed.add(factors[0])
        elif isinstance(op, RowIndex) or (isinstance(op, Aggregate) and op.dir == "row"):
            add(op.operand)
    return list(found)
