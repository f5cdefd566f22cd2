"""Parts of what is computed: only the parts of the operands that they need.

    (A %*% B)[1:10, 1:20]  →  A[1:10, ] %*% B[, 1:20]
    exp(X + v)[5, ]        →  exp(X[5, ] + v)

An index out of range stays the same error: rows are still rows of a matrix with as many of them, and come first. Where rows
would become columns the bounds must be known to hold. The whole is not needed by anybody else, and not just once for
many rounds of a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import (
    AsScalar,
    CBind,
    GetCell,
    Index,
    MatMul,
    NCol,
    NRow,
    Transpose,
)
from sysmlc.ir.dialects.shapes import constant_int, range_size, size_dim
from sysmlc.ir.rewrite import Replacement, rule
from sysmlc.ir.types import Dim, Matrix, same_dim

SMALL_SHARE: Final = 0.25
"""At most this share of the cells pays for copying parts of the operands of a cheap operation."""
_TINY_SHARE: Final = 1e-3
_TYPICAL: Final = 1000
"""What a size is taken to be that is not known."""


@dataclass(frozen=True)
class _Range:
    """A range of rows or columns: bounds, inclusive, and how many there are of how many."""

    lower: Value
    upper: Value
    size: Dim
    extent: Dim

    @property
    def whole(self) -> bool:
        return constant_int(self.lower) == 1 and same_dim(size_dim(self.upper), self.extent)

    @property
    def inside(self) -> bool:
        """Whether it is known to be in range."""
        low, high = constant_int(self.lower), constant_int(self.upper)
        known = low is not None and high is not None and isinstance(self.extent, int)
        return self.whole or (known and 1 <= low <= high <= self.extent)  # type: ignore[operator]

    @property
    def share(self) -> float:
        """The share of what there is, as far as it is known."""
        if self.whole or not isinstance(self.size, int):
            return 1.0
        return self.size / max(1, self.extent if isinstance(self.extent, int) else max(_TYPICAL, self.size))


_Bounds: TypeAlias = tuple[Value, Value]


@rule(Index, depth=4)
def part_of_a_computed_matrix(op: Index, b: Builder) -> Replacement:
    """A small part of a computed matrix, or any part of a product, from parts of the operands."""
    return _part(b, op, op.operand, (op.rl, op.ru), (op.cl, op.cu))


@rule(GetCell, depth=4)
def cell_of_a_computed_matrix(op: GetCell, b: Builder) -> Replacement:
    """A cell of a computed matrix, from what it is computed from."""
    made = _part(b, op, op.operand, (op.i, op.i), (op.j, op.j))
    return None if made is None else b(AsScalar, made)


def _part(b: Builder, op: Op, value: Value, rows: _Bounds, cols: _Bounds) -> Value | None:
    source = value.op
    maker = None if source is None else _MAKERS.get(source.name)
    if source is None or maker is None:
        return None
    r, c = _ranges(value, rows, cols)
    # A tiny part of a product is computed by itself in any case: what else is made of it may not need it as a whole.
    tiny = isinstance(source, MatMul) and r.share * c.share <= _TINY_SHARE
    users = [op] if tiny else value.users()
    if not all(_as_often(user, value) for user in users):
        return None
    return maker(b, source, r, c) if len(users) == 1 or _are_small_parts(value, users) else None


def _ranges(value: Value, rows: _Bounds, cols: _Bounds) -> tuple[_Range, _Range]:
    type = value.type
    assert isinstance(type, Matrix)
    return (
        _Range(*rows, range_size(*rows, type.rows), type.rows),
        _Range(*cols, range_size(*cols, type.cols), type.cols),
    )


def _are_small_parts(value: Value, users: list[Op]) -> bool:
    """Whether operations take small parts of a value, and nothing else."""
    shares = 0.0
    for user in users:
        if isinstance(user, Index) and user.operand is value:
            r, c = _ranges(value, (user.rl, user.ru), (user.cl, user.cu))
        elif isinstance(user, GetCell):
            r, c = _ranges(value, (user.i, user.i), (user.j, user.j))
        else:
            return False
        shares += r.share * c.share
    return shares <= SMALL_SHARE


def _as_often(op: Op, value: Value) -> bool:
    """Whether no loop stands between what makes a value and an operation."""
    at: Op | None = op
    while at is not None and at.parent is not value.region:
        at = at.parent_op
        if at is None or at.name != "scf.if":
            return False
    return True


def _is_small(r: _Range, c: _Range) -> bool:
    return r.share * c.share <= SMALL_SHARE


def _rows(b: Builder, value: Value, r: _Range) -> Value:
    return value if r.whole else b(Index, value, r.lower, r.upper, b(Constant, value=1), b(NCol, value))


def _cols(b: Builder, value: Value, c: _Range) -> Value:
    return value if c.whole else b(Index, value, b(Constant, value=1), b(NRow, value), c.lower, c.upper)


def _of_product(b: Builder, op: Op, r: _Range, c: _Range) -> Value | None:
    """(A %*% B)[r, c] = A[r, ] %*% B[, c]"""
    assert isinstance(op, MatMul)
    # Along a vector a part of the other operand is copied for as much work.
    copied = (r.extent == 1 or c.extent == 1) and r.share * c.share > SMALL_SHARE
    if op.transpose or copied or (r.whole and c.whole):
        return None
    left, right = _rows(b, op.lhs, r), _cols(b, op.rhs, c)
    b.loc = op.loc
    return b(MatMul, left, right)


def _of_cells(b: Builder, op: Op, r: _Range, c: _Range) -> Value | None:
    """f(X, Y)[r, c] = f(X[r, c], Y[r, c]), where vectors stay vectors."""
    if not _is_small(r, c):
        return None
    parts: dict[Value, Value] = {}
    types = {v: v.type for v in op.operands if isinstance(v.type, Matrix)}
    full = [v for v, t in types.items() if same_dim(t.rows, r.extent) and same_dim(t.cols, c.extent)]
    if not full:
        return None
    for value in dict.fromkeys(
        [*full, *types]
    ):  # what is out of range is found where both bounds are looked at
        shape = types[value]
        if value in full:
            parts[value] = b(Index, value, r.lower, r.upper, c.lower, c.upper)
        elif (shape.rows, shape.cols) == (1, 1):
            parts[value] = value
        elif shape.rows == 1 and same_dim(shape.cols, c.extent):
            parts[value] = _cols(b, value, c)
        elif shape.cols == 1 and same_dim(shape.rows, r.extent):
            parts[value] = _rows(b, value, r)
        else:
            return None
    b.loc = op.loc
    operands = [parts.get(v, v) for v in op.operands]
    return b(IfElse, *operands) if isinstance(op, IfElse) else b(type(op), op.fn, *operands)


def _of_transpose(b: Builder, op: Op, r: _Range, c: _Range) -> Value | None:
    """t(X)[r, c] = t(X[c, r]); t(A %*% B) is t(B) %*% t(A), whose rows and columns are what they were."""
    assert isinstance(op, Transpose)
    inner = op.operand.op
    if not op.operand.has_one_use() or (r.whole and c.whole):
        return None
    if isinstance(inner, MatMul) and not inner.transpose:
        left, right = _rows(b, b(Transpose, inner.rhs), r), _cols(b, b(Transpose, inner.lhs), c)
        b.loc = inner.loc
        return b(MatMul, left, right)
    if not (_is_small(r, c) and r.inside and c.inside):
        return None
    return b(Transpose, b(Index, op.operand, c.lower, c.upper, r.lower, r.upper))


def _of_aggregate(b: Builder, op: Op, r: _Range, c: _Range) -> Value | None:
    """rowSums(X)[r, ] = rowSums(X[r, ]), and the like."""
    assert isinstance(op, Aggregate)
    along, across = (r, c) if op.dir == "row" else (c, r)
    if op.dir == "full" or not across.inside or along.share > SMALL_SHARE:
        return None
    part = _rows(b, op.operand, r) if op.dir == "row" else _cols(b, op.operand, c)
    b.loc = op.loc
    return b(Aggregate, op.fn, part, dir=op.dir)


def _of_append(b: Builder, op: Op, r: _Range, c: _Range) -> Value | None:
    """cbind(X, Y)[r, c] = X[r, c], where these columns are in X, and cbind(X, Y)[r, ] = cbind(X[r, ], Y[r, ])."""
    beside = isinstance(op, CBind)
    along = c if beside else r
    if along.whole and not (r.whole and c.whole) and _is_small(r, c):
        return b(type(op), [_rows(b, v, r) if beside else _cols(b, v, c) for v in op.operands])
    low, high = constant_int(along.lower), constant_int(along.upper)
    if low is None or high is None or low > high:
        return None
    before = 0
    for value in op.operands:
        shape = value.type
        assert isinstance(shape, Matrix)
        size = shape.cols if beside else shape.rows
        if not isinstance(size, int):
            return None
        if before < low and high <= before + size:
            low, high = (b(Constant, value=i - before) for i in (low, high))  # type: ignore[assignment]
            return b(
                Index, value, *((r.lower, r.upper, low, high) if beside else (low, high, c.lower, c.upper))
            )
        before += size
    return None


_Maker = Callable[[Builder, Op, _Range, _Range], Value | None]
_MAKERS: Final[dict[str, _Maker]] = {
    **{name: _of_cells for family in (Unary, Binary, IfElse) for name in family.names},
    **dict.fromkeys(Aggregate.names, _of_aggregate),
    "dml.matmul": _of_product,
    "dml.t": _of_transpose,
    "dml.cbind": _of_append,
    "dml.rbind": _of_append,
}
