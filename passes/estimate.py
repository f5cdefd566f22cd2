"""The cost model: bytes moved and floating-point operations, from sizes and bounds of non-zeros."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix, Type, matrix, same_dim

NUMBERS: Final = matrix()
"""What algebra computes with: it comes before elements are chosen, and f32 halves bytes and arithmetic alike."""
PRODUCT_FLOPS_PER_SECOND: Final = 50e9
"""Arithmetic of a dense product that is not thin."""
KEEPS_ZERO: Final = frozenset(
    f"dml.{fn}"
    for fn in (
        "abs", "neg", "sqrt", "sin", "tan", "asin", "atan", "sinh", "tanh", "round", "floor", "ceil", "sign",
        "index", "isna", "isnan", "isinf",
    )
)  # fmt: skip
"""Results are 0 where the first operand is."""
_ADDS_UP: Final = frozenset({"dml.cbind", "dml.rbind", "dml.left_index"})


def nnz_bound(op: Op, type: Matrix) -> int | None:
    """At most so many cells of the result of `op` are not 0, from what is known of its operands."""
    shapes = [v.type for v in op.operands if isinstance(v.type, Matrix)]
    if not shapes:
        return 0 if op.name == "dml.as_matrix" and constant(op.operands[0]) == 0 else None
    counts = [_nnz(s) for s in shapes]
    first = counts[0]
    name = op.name
    if name in _ADDS_UP:
        return None if None in counts else sum(c for c in counts if c is not None)
    if first is None:
        return None
    if name in KEEPS_ZERO:
        return first
    if name == "dml.set_cell":
        return first + 1
    if len(shapes) == 2:
        second = counts[1]
        same = same_dim(shapes[0].rows, shapes[1].rows) and same_dim(shapes[0].cols, shapes[1].cols)
        keeps = same and second is not None and name in ("dml.add", "dml.sub", "dml.min", "dml.max", "dml.ne")
        return first + second if keeps and second is not None else None
    if len(op.operands) == 2 and isinstance(op.operands[0].type, Matrix):
        known = constant(op.operands[1])
        if isinstance(known, (int, float)) and not isinstance(known, bool):
            keeps = (
                (
                    name in ("dml.mul", "dml.div")
                    and math.isfinite(known)
                    and (known != 0 or name == "dml.mul")
                )
                or (name == "dml.pow" and known > 0)
                or (name in ("dml.ne", "dml.gt", "dml.lt") and known == 0)
            )
            return first if keeps else None
    return None


def _nnz(type: Matrix) -> int | None:
    if type.nnz is None and isinstance(type.rows, int) and isinstance(type.cols, int):
        return type.rows * type.cols
    return type.nnz


@dataclass(frozen=True)
class Cost:
    """What an operation costs; they add up."""

    bytes: float
    flops: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.bytes + other.bytes, self.flops + other.flops)

    @property
    def seconds(self) -> float:
        """A time to compare plans by: 10 GB/s of memory, 50 GFLOP/s."""
        return self.bytes / 10e9 + self.flops / PRODUCT_FLOPS_PER_SECOND


FREE: Final = Cost(0.0, 0.0)
SPARSE: Final = 0.4
"""Matrices with a smaller share of non-zeros are stored as CSR, where that is smaller."""
SPARSE_BY_DENSE: Final = 4.0
"""How much longer a multiplication takes than in a dense product when one operand is CSR …"""
SPARSE_BY_SPARSE: Final = 25.0
"""… and when both are."""


def cells(type: Type) -> float | None:
    """How many cells a matrix has (1 for a scalar), None when it is not known."""
    if not isinstance(type, Matrix):
        return 1.0
    if isinstance(type.rows, int) and isinstance(type.cols, int):
        return float(type.rows * type.cols)
    return None


def density(type: Type) -> float:
    """At most this share of the cells is not 0."""
    total = cells(type)
    if not isinstance(type, Matrix) or type.nnz is None or not total:
        return 1.0
    return min(1.0, type.nnz / total)


def size_bytes(type: Type) -> float | None:
    """Bytes of a value in the better of its two formats."""
    total = cells(type)
    if total is None or not isinstance(type, Matrix):
        return None if total is None else 8.0
    share, cell = density(type), type.cell_bytes
    if share < SPARSE and type.cols != 1 and isinstance(type.rows, int):
        return min(total * cell, total * share * type.entry_bytes + type.rows * 8)
    return total * cell


def product_cost(
    m: float, k: float, n: float, left: float = 1.0, right: float = 1.0, products: float | None = None
) -> Cost:
    """An m×k by k×n product of operands with these densities, whose non-zeros meet in `products` multiplications.

    Sparse arithmetic is slower than that of dense products: it counts as so much more, up to where dense operands are better.
    """
    read = NUMBERS.cell_bytes * (m * k * min(1.0, 1.5 * left) + k * n * min(1.0, 1.5 * right))
    met = m * k * n * left * right if products is None else products
    written = NUMBERS.cell_bytes * min(m * n, met)
    slower = (
        SPARSE_BY_SPARSE
        if max(left, right) < SPARSE
        else SPARSE_BY_DENSE
        if min(left, right) < SPARSE
        else 1.0
    )
    return Cost(read + written, 2 * min(met * slower, m * k * n))


def sampled_cost(m: float, k: float, n: float, share: float) -> Cost:
    """This share of the cells of an m×k by k×n product, and no others."""
    return Cost(NUMBERS.cell_bytes * (m * k + k * n), 2 * k * m * n * share)


def product_density(k: float, left: float, right: float) -> float:
    """The expected density of a product of operands whose non-zeros are spread evenly."""
    chance = left * right
    return 1.0 if chance >= 1 else 1.0 - (1.0 - chance) ** k
