"""What a group of cells costs: the slower of moving its bytes and doing its arithmetic.

Constants are those of a two-core AVX-512 machine; only their ratios matter. Sizes that are not known count as large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Dim, Matrix
from sysmlc.passes.fusion.groups import Group, Shape

BYTES_PER_SECOND: Final = 20e9
CACHED_BYTES_PER_SECOND: Final = 80e9
CACHE: Final = 4 << 20
FLOPS_PER_SECOND: Final = 30e9
LAUNCH_SECONDS: Final = 1e-6
UNKNOWN_DIM: Final = 1000

FLOPS: Final = {
    "div": 6, "sqrt": 8, "exp": 14, "log": 18, "sin": 24, "cos": 24, "tan": 40, "asin": 40, "acos": 40, "atan": 30, "sinh": 30,
    "cosh": 30, "tanh": 22, "sigmoid": 20, "pow": 45, "log_base": 36, "mod": 16, "intdiv": 8, "round": 4, "min": 3, "max": 3,
}  # fmt: skip
"""Floating-point operations of one cell; others count 1."""


def size(dim: Dim) -> int:
    return dim if isinstance(dim, int) else UNKNOWN_DIM


def cells(shape: Shape) -> int:
    return size(shape[0]) * size(shape[1])


def bytes_of(value: Value) -> int:
    """The bytes of a value as it is stored."""
    if not isinstance(value.type, Matrix):
        return 8
    dense = value.type.cell_bytes * size(value.type.rows) * size(value.type.cols)
    return dense if value.type.nnz is None else min(dense, value.type.entry_bytes * value.type.nnz)


def flops_of(ops: Iterable[Op]) -> int:
    """Arithmetic for one cell. Powers with small constant exponents are products."""
    return sum(
        0 if op.name.startswith("core.") else 2 if _is_product(op) else FLOPS.get(op.fn, 1) for op in ops
    )


def _is_product(op: Op) -> bool:
    return op.name == "dml.pow" and constant(op.operands[1]) in (-1.0, 0.5, 2.0, 3.0, 4.0)


def group_seconds(group: Group) -> float:
    """Estimated time of one launch, driven by the non-zeros where the group allows it."""
    if group.seconds is None:
        object.__setattr__(group, "seconds", _estimate(group))
    assert group.seconds is not None
    return group.seconds


def _estimate(group: Group) -> float:
    count = cells(group.shape)
    known = [v.type.nnz for v in group.drivers if isinstance(v.type, Matrix) and v.type.nnz is not None]
    share = min([n / max(count, 1) for n in known], default=1.0)
    work = flops_of(op for cell in group.cells for op in cell.regions[0])
    arithmetic = (work + 2 * sum(k != "map" for k in group.kinds)) * count * share
    moved = float(sum(bytes_of(v) for v in group.inputs))
    # A new matrix is written, and its lines are read before that.
    moved += sum(
        2 * bytes_of(v) * (share if k == "map" else 1)
        for v, k in zip(group.outputs, group.kinds, strict=True)
    )
    rate = BYTES_PER_SECOND if moved > CACHE else CACHED_BYTES_PER_SECOND
    return LAUNCH_SECONDS + max(arithmetic / FLOPS_PER_SECOND, moved / rate)
