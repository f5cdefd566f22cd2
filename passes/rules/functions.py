"""Rules that a table cannot say: about any cellwise operation, any number of operands, or ranges.

Their promises are those of the tables (see the head of static.rules).
"""

from __future__ import annotations

from typing import Final

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import PREDICATES, RELATIONAL, Aggregate, Binary, Outer, Unary
from sysmlc.ir.dialects.dml_matrix import (
    NNZ,
    AsScalar,
    CBind,
    Fill,
    GetCell,
    Index,
    LeftIndex,
    MatMul,
    NCol,
    NRow,
    Order,
    RBind,
    Rev,
    Seq,
    Table,
    Transpose,
)
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.dml_stat import Cumulative, GroupedAggregate
from sysmlc.ir.dialects.shapes import constant, constant_int, size_dim
from sysmlc.ir.rewrite import Replacement, Rule, RuleSet, rule
from sysmlc.ir.types import Dim, Matrix, f64, i64, same_dim

# -- cellwise ---------------------------------------------------------------------------------------------------------


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


# -- appending --------------------------------------------------------------------------------------------------------


@rule(CBind)
def nested_cbind(op: CBind, b: Builder) -> Replacement:
    return _nested(op, b)


@rule(RBind)
def nested_rbind(op: RBind, b: Builder) -> Replacement:
    return _nested(op, b)


def _nested(op: Op, b: Builder) -> Replacement:
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


# -- ranges -----------------------------------------------------------------------------------------------------------


@rule(Index)
def range_of_a_product(op: Index, b: Builder) -> Replacement:
    """One row or column of a product needs one row or column of an operand."""
    inner = op.operand.op
    if not isinstance(inner, MatMul) or inner.transpose or not op.operand.has_one_use():
        return None
    result = op.results[0].type
    assert isinstance(result, Matrix)
    left, right = inner.lhs, inner.rhs
    if result.rows == 1:
        one = b(Constant, value=1)
        left = b(Index, left, op.rl, op.ru, one, b(NCol, left))
    if result.cols == 1:
        one = b(Constant, value=1)
        right = b(Index, right, one, b(NRow, right), op.cl, op.cu)
    product = inner.results[0].type
    assert isinstance(product, Matrix)
    whole_rows = result.rows == 1 or _whole(op.rl, op.ru, product.rows)
    whole_cols = result.cols == 1 or _whole(op.cl, op.cu, product.cols)
    # Of a single row or column nothing is saved.
    saves = (result.rows == 1 and product.rows != 1) or (result.cols == 1 and product.cols != 1)
    return b(MatMul, left, right) if whole_rows and whole_cols and saves else None


def _whole(lower: Value, upper: Value, size: Dim) -> bool:
    return constant_int(lower) == 1 and same_dim(size_dim(upper), size)


@rule(GetCell)
def cell_of_a_product(op: GetCell, b: Builder) -> Replacement:
    inner = op.operand.op
    if not isinstance(inner, MatMul) or inner.transpose or not op.operand.has_one_use():
        return None
    one = b(Constant, value=1)
    row = b(Index, inner.lhs, op.i, op.i, one, b(NCol, inner.lhs))
    col = b(Index, inner.rhs, one, b(NRow, inner.rhs), op.j, op.j)
    return b(AsScalar, b(MatMul, row, col))


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


# -- aggregates and generators ----------------------------------------------------------------------------------------


@rule(Aggregate, "sum")
def sum_of_constant_matrix(op: Aggregate, b: Builder) -> Replacement:
    """`sum(matrix(v, n, m))` is `v * n * m`, for a finite v."""
    filled = op.operand.op
    if op.dir != "full" or not isinstance(filled, Fill):
        return None
    value = constant(filled.value)
    if not isinstance(value, (int, float)) or not abs(value) < 1e100:
        return None
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


@rule(NRow)
def rows_of_cellwise(op: NRow, b: Builder) -> Replacement:
    return _size_of_cellwise(op, b)


@rule(NCol)
def columns_of_cellwise(op: NCol, b: Builder) -> Replacement:
    return _size_of_cellwise(op, b)


def _size_of_cellwise(op: Op, b: Builder) -> Replacement:
    """Cellwise results have the size of their left matrix: nothing needs to be computed to know it."""
    inner = op.operands[0].op
    if not isinstance(inner, (Unary, Binary)):
        return None
    source = next(v for v in inner.operands if isinstance(v.type, Matrix))
    return b(type(op), source) if op.results[0].type is i64 else None


FUNCTIONS: Final = RuleSet(one for one in list(globals().values()) if isinstance(one, Rule))
