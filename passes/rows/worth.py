"""Whether a group of operations is worth one scan.

What a scan saves is counted, not timed: how often wide values are read without it. With one product in the scan, what is left to
save is what happens to its few columns; measured, that pays for short rows or few columns, where the library's
product is not at its best either.
"""

from __future__ import annotations

from sysmlc.ir.core import Op
from sysmlc.ir.dialects.dml_cell import Aggregate
from sysmlc.ir.dialects.dml_matrix import CBind, Index, MatMul
from sysmlc.ir.dialects.dml_stat import RowIndex
from sysmlc.ir.types import Dim, Matrix
from sysmlc.passes.estimate import SPARSE
from sysmlc.passes.fusion.groups import may_be_sparse
from sysmlc.passes.lower_cells import MAX_INPUTS, MAX_OUTPUTS
from sysmlc.passes.lower_rows import MAX_ASSEMBLED
from sysmlc.passes.rows.fits import product_factors
from sysmlc.passes.rows.grow import MANY, RowGroup, is_less

MAX_MEMBERS = 40
"""Beyond that registers run out and compile time grows."""
SHORT = 16
"""Columns of the scanned matrix for each time that the rows of its product are aggregated, up to which many columns pay as well."""


def is_worth_it(group: RowGroup) -> bool:
    """Whether the group saves a scan and one kernel can hold it; what that depends on at run time joins its conditions."""
    read = [v for op in group.members for v in (op.operands[:1] if isinstance(op, Index) else op.operands)]
    if (
        len(group.members) > MAX_MEMBERS
        or len(group.outputs()) > MAX_OUTPUTS
        or len({v for v in read if v.op not in group.members}) > MAX_INPUTS
        or sum(isinstance(op, (CBind, Index)) for op in group.members) > MAX_ASSEMBLED
    ):
        return False
    # Writing a wide result costs more than reading, so that one scan less does not show.
    writes = any(group.kind.get(v) == "wide" for v in group.outputs())
    products = any(isinstance(op, MatMul) for op in group.members)
    return group.scans >= (3 if writes and not products else 2) or _is_thin(group)


def _is_thin(group: RowGroup) -> bool:
    """Whether one product makes so little of a row that its aggregates are worth being done in the same scan."""
    products = [op for op in group.members if isinstance(op, MatMul)]
    if len(products) != 1 or product_factors(products[0]) is not None:
        return False
    (product,) = products
    if group.expected.density(group.main) < SPARSE:
        return False
    limit = SHORT * len({_level(group, op) for op in group.members if _reads_again(group, op)})
    side, main = product.rhs, group.main.type
    assert isinstance(side.type, Matrix)
    assert isinstance(main, Matrix)
    columns: Dim = side.type.rows if product.transpose else side.type.cols
    if not limit or group.kind[product.results[0]] != "narrow":
        return False
    if may_be_sparse(group.main):  # whose entries are read once for each column here
        limit = 0
    few, short = is_less(columns, MANY), limit > 0 and is_less(main.cols, limit + 1)
    if few or short:
        return True
    if few is False and short is False:
        return False
    group.guards[f"thin {limit}{' rows' if product.transpose else ''}", side] = None
    return True


def _reads_again(group: RowGroup, op: Op) -> bool:
    """Whether the operation makes one number of the few columns of each row."""
    narrow = any(group.kind.get(v) == "narrow" for v in op.operands)
    return narrow and (isinstance(op, RowIndex) or (isinstance(op, Aggregate) and op.dir == "row"))


def _level(group: RowGroup, op: Op) -> int:
    return max(group.level.get(v, 0) for v in op.operands)
