"""Which products are worth not being formed, at the non-zeros of a sparse matrix or tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.ir.types import Dim, Matrix, same_dim
from sysmlc.passes import estimate
from sysmlc.passes.fusion.groups import may_be_sparse
from sysmlc.passes.outer.zeros import is_grid
from sysmlc.passes.sparsity import Expectations

SMALL: Final = 4096
"""Cells of a product that may as well be formed."""
SKINNY: Final = 512
"""Inner dimensions up to this make an outer product when the other dimensions are not known."""
LARGE: Final = 1 << 20
"""Cells of a product that is worth tiling without any zeros."""
_WIDE: Final = 1024
"""Rows or columns that a product has to have where other sizes are not known."""
SPARSE: Final = 8
"""A driver with one non-zero in this many cells pays for any inner dimension."""
SAMPLED: Final = 0.2
"""Plans count on it that products are sampled where at most this share of their cells is needed."""


def may_sample(inner: float, share: float) -> bool:
    """Whether so few cells are needed of a product with this inner dimension that it is not formed."""
    return inner <= SKINNY or share * SPARSE <= 1


def may_be_outer(op: MatMul) -> bool:
    """Whether the product may be large and thin inside; a product with a vector is not."""
    rows, cols, inner = dims(op)
    if rows == 1 or cols == 1 or (isinstance(rows, int) and isinstance(cols, int) and rows * cols < SMALL):
        return False
    if isinstance(inner, int):
        return inner <= SKINNY or (isinstance(rows, int) and isinstance(cols, int))
    return not _is_own_size(rows) and not _is_own_size(cols)


def is_part(op: MatMul) -> bool:
    """Whether another product reads all of this one: `U %*% M` in `X * (U %*% M %*% t(V))`, or, where it is no larger than
    U, in `X * ((U - U %*% M) %*% t(V))`."""
    if any(isinstance(u, MatMul) for u in _behind(op.result, cells=False)):
        return True
    return not _is_thin(op) and any(
        isinstance(u, MatMul) and may_be_outer(u) and not _is_no_larger(u)
        for u in _behind(op.result, cells=True)
    )


def _behind(value: Value, cells: bool) -> Iterator[Op]:
    """The operations that use a value, directly, transposed, or with `cells` through cellwise ones that need all of it."""
    seen: set[Op] = set()
    stack = [value]
    while stack:
        for user in stack.pop().users():
            if user not in seen:
                seen.add(user)
                yield user
                if isinstance(user, Transpose) or (cells and _needs_all(user)):
                    stack += user.results


def _needs_all(op: Op) -> bool:
    masked = op.name == "dml.mul" and any(is_grid(v) and may_be_sparse(v) for v in op.operands)
    return isinstance(op, (Unary, Binary)) and not masked


def _is_thin(op: MatMul) -> bool:
    """Whether a product looks larger than its factors."""
    _, _, inner = dims(op)
    hinted = isinstance(inner, int) or _is_own_size(inner) or _looks_outer(op)
    return hinted and not _is_no_larger(op)


def _is_no_larger(op: MatMul) -> bool:
    """Whether a product is known to be no larger than one of its factors."""
    rows, cols, inner = dims(op)
    known = [d for d in (rows, cols) if isinstance(d, int)]
    if isinstance(inner, int) and known:
        return inner >= min(known)
    return same_dim(inner, rows) or same_dim(inner, cols)


def _looks_outer(op: MatMul) -> bool:
    """Whether a product is written as one of factors, `U %*% t(V)`."""
    return "r" in op.transpose or isinstance(op.rhs.op, Transpose)


def _is_own_size(dim: Dim) -> bool:
    """Whether `infer` named the size after a scalar, like a number of factors, and not after a matrix of data."""
    return isinstance(dim, str) and dim.startswith("n")


def worth_sampling(op: MatMul, drivers: Sequence[frozenset[Value]]) -> bool:
    rows, cols, inner = dims(op)
    if isinstance(rows, int) and isinstance(cols, int):
        if isinstance(inner, int) and inner > min(rows, cols):
            return any(_most(d) <= rows * cols // SPARSE for d in drivers)
    elif _is_own_size(rows) or _is_own_size(cols):
        # As many columns as there are classes make no large product: other operators are better if nothing is sparse.
        expected = Expectations()
        return any(expected.density(v) < estimate.SPARSE for d in drivers for v in d)
    elif not _is_thin(op):
        return any(all(map(may_be_sparse, d)) for d in drivers)
    return True


def _most(driver: frozenset[Value]) -> float:
    """An upper bound of the non-zeros a driver leads to."""
    counts = [d.type.nnz for d in driver if isinstance(d.type, Matrix)]
    return sum(math.inf if n is None else n for n in counts)


def worth_tiling(op: MatMul) -> bool:
    rows, cols, inner = dims(op)
    if isinstance(rows, int) and isinstance(cols, int):
        return isinstance(inner, int) and rows * cols >= LARGE and 4 * inner <= min(rows, cols)
    # Where sizes are not known, the run time forms the product if it is no larger than its factors.
    wide = all(d >= _WIDE if isinstance(d, int) else not _is_own_size(d) for d in (rows, cols))
    return wide and _is_thin(op)


def has_known_sizes(op: MatMul) -> bool:
    rows, cols, _ = dims(op)
    return isinstance(rows, int) and isinstance(cols, int)


def dims(op: MatMul) -> tuple[Dim, Dim, Dim]:
    """Rows, columns and the inner dimension of a product."""
    result, left, right = op.result.type, op.lhs.type, op.rhs.type
    assert isinstance(result, Matrix)
    assert isinstance(left, Matrix)
    assert isinstance(right, Matrix)
    inner = left.rows if "l" in op.transpose else left.cols
    if not isinstance(inner, int):
        inner = right.cols if "r" in op.transpose else right.rows
    return result.rows, result.cols, inner
