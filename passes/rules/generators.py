"""Rules about aggregates and sorting of matrices that are known to be constant, sequences, or permutations."""

from __future__ import annotations

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary
from sysmlc.ir.dialects.dml_create import Fill, Seq
from sysmlc.ir.dialects.dml_matrix import NNZ, MatMul, RBind, Rev, Transpose
from sysmlc.ir.dialects.dml_pick import Order, Table
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.dml_stat import Cumulative, GroupedAggregate
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.facts import is_size
from sysmlc.ir.rewrite import Replacement, rule
from sysmlc.ir.types import Matrix, f64, same_dim


@rule(Aggregate, "sum")
def sum_of_constant_matrix(op: Aggregate, b: Builder) -> Replacement:
    """`sum(matrix(v, n, m))` is `v * n * m`, for a finite v."""
    filled = op.operand.op
    if op.dir != "full" or not isinstance(filled, Fill):
        return None
    value = constant(filled.value)
    if not isinstance(value, (int, float)) or not abs(value) < 1e100:
        return None
    if not (is_size(filled.rows) and is_size(filled.cols)):
        return None  # making the matrix says what is wrong with a negative size
    count = b(Binary, "mul", b(Cast, filled.rows, types=[f64]), b(Cast, filled.cols, types=[f64]))
    return b(Binary, "mul", filled.value, count)


@rule(Aggregate, "sum")
def sum_of_non_zeros(op: Aggregate, b: Builder) -> Replacement:
    """`sum(X != 0)` is known to the matrix."""
    inner = op.operand.op
    if op.dir != "full" or not isinstance(inner, Binary) or inner.fn != "ne" or constant(inner.rhs) != 0:
        return None
    if not isinstance(inner.lhs.type, Matrix) or not op.operand.has_one_use():
        return None
    return b(Cast, b(NNZ, inner.lhs), types=[f64])


@rule(Aggregate, "sum", group="distribute")
def sums_of_cumulative_sums(op: Aggregate, b: Builder) -> Replacement:
    """`colSums(cumsum(X))` weights each row by how often it is added: n, n-1, …, 1."""
    inner = op.operand.op
    if (
        op.dir != "col"
        or not isinstance(inner, Cumulative)
        or inner.fn != "cumsum"
        or not op.operand.has_one_use()
    ):
        return None
    source = inner.operand.type
    if not isinstance(source, Matrix) or not isinstance(source.rows, int) or source.rows < 2:
        return None
    weights = b(Seq, b(Constant, value=float(source.rows)), b(Constant, value=1.0), b(Constant, value=-1.0))
    return b(MatMul, b(Transpose, weights), inner.operand)


@rule(Cumulative, "cumsum")
def cumulative_sum_of_ones(op: Cumulative, b: Builder) -> Replacement:
    """`cumsum(matrix(1, n, 1))` is `1, 2, …, n`."""
    filled = op.operand.op
    type = op.operand.type
    if not isinstance(filled, Fill) or constant(filled.value) != 1 or not isinstance(type, Matrix):
        return None
    if not isinstance(type.rows, int) or type.rows < 1 or type.cols != 1:
        return None
    one = b(Constant, value=1.0)
    return b(Seq, one, b(Constant, value=float(type.rows)), one)


@rule(Order)
def order_of_equal_rows(op: Order, b: Builder) -> Replacement:
    """Equal rows stay where they are; a rising sequence is sorted."""
    source, index = op.operand, constant(op.index_return)
    type = source.type
    if not isinstance(type, Matrix) or not isinstance(type.rows, int) or type.rows < 1 or type.cols != 1:
        return None
    by = op.by.type
    if (
        not isinstance(by, Matrix)
        or (by.rows, by.cols) != (1, 1)
        or not _is_one(op.by)
        or not isinstance(index, bool)
    ):
        return None
    made = source.op
    equal = isinstance(made, Fill) or type.nnz == 0
    rising = isinstance(made, Seq) and constant(op.decreasing) is False and _positive(made.incr)
    if not equal and not rising:
        return None
    one = b(Constant, value=1.0)
    return b(Seq, one, b(Constant, value=float(type.rows)), one) if index else source


def _is_one(value: Value) -> bool:
    op = value.op
    return op is not None and op.name in ("dml.as_matrix", "dml.fill") and constant(op.operands[0]) == 1


def _positive(value: Value) -> bool:
    known = constant(value)
    return isinstance(known, (int, float)) and known > 0


@rule(Order, depth=3)
def order_of_ordered(op: Order, b: Builder) -> Replacement:
    """Sorting twice, stably, is sorting by both columns at once."""
    inner = op.operand.op
    if not isinstance(inner, Order) or not op.operand.has_one_use() or constant(op.index_return) is not False:
        return None
    down = constant(op.decreasing)
    same = isinstance(down, bool) and down is constant(inner.decreasing)
    types = (op.by.type, inner.by.type)
    columns = all(isinstance(t, Matrix) and (t.cols == 1) for t in types)
    if not same or not columns or constant(inner.index_return) is not False:
        return None
    return b(Order, inner.operand, b(RBind, [op.by, inner.by]), op.decreasing, op.index_return)


@rule(Table)
def table_with_ones(op: Table, b: Builder) -> Replacement:
    """A constant matrix as second ids or weights is a single number."""
    changed = False
    operands = list(op.operands)
    for i in (1, 2):
        filled = operands[i].op
        type, first = operands[i].type, op.a.type
        if not isinstance(filled, Fill) or not isinstance(type, Matrix) or not isinstance(first, Matrix):
            continue
        if (
            same_dim(type.rows, first.rows)
            and same_dim(type.cols, first.cols)
            and (type.rows, type.cols) != (1, 1)
        ):
            one = b(Constant, value=1)
            operands[i] = b(Fill, filled.value, one, one)
            changed = True
    return b(Table, *operands) if changed else None


@rule(MatMul, depth=3)
def reversing_permutation(op: MatMul, b: Builder) -> Replacement:
    """`table(seq(1, n), seq(n, 1, -1)) %*% X` is `rev(X)`."""
    made = op.lhs.op
    type = op.rhs.type
    if (
        not isinstance(made, Table)
        or op.transpose
        or not isinstance(type, Matrix)
        or not isinstance(type.rows, int)
    ):
        return None
    n = type.rows
    up, down = (
        [constant(v) for v in s.operands] if isinstance(s := v.op, Seq) else [] for v in (made.a, made.b)
    )
    ones = _is_one(made.weights)
    sizes = [constant_int(v) for v in (made.rows, made.cols)]
    if not ones or n < 2 or any(s not in (-1, n) for s in sizes):
        return None
    return b(Rev, op.rhs) if up == [1, n, 1] and down == [n, 1, -1] else None


@rule(GroupedAggregate)
def count_needs_no_values(op: GroupedAggregate, b: Builder) -> Replacement:
    """Counting looks at the groups only."""
    target, groups = op.target.type, op.groups.type
    if constant(op.function) != "count" or op.target is op.groups:
        return None
    if not isinstance(target, Matrix) or not isinstance(groups, Matrix):
        return None
    if not same_dim(target.rows, groups.rows) or target.cols != 1 or groups.cols != 1:
        return None
    return b(GroupedAggregate, op.groups, *op.operands[1:])
