"""What it costs an operation to read one of its operands dense, and to read it as CSR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import (
    NUMBERS,
    PRODUCT_FLOPS_PER_SECOND,
    SPARSE,
    SPARSE_BY_DENSE,
    SPARSE_BY_SPARSE,
)
from sysmlc.passes.fusion.cost import BYTES_PER_SECOND, FLOPS_PER_SECOND, flops_of
from sysmlc.passes.fusion.groups import may_be_sparse
from sysmlc.passes.lower_cells import is_vector_of, joint_leaders, likely_zero, zeros_of_cell
from sysmlc.passes.lower_rows import is_sparse_safe
from sysmlc.passes.sparsity.expect import Expectations
from sysmlc.passes.sparsity.sketch import Sketch

_THIN: Final = 16
"""Rows or columns of a factor below which a dense product waits for memory."""
ENTRY_SECONDS: Final = 0.9e-9
"""To fetch one stored entry and the cell of a vector it meets …"""
_SCATTER_SECONDS: Final = 1.4e-9
"""… or to add to that cell, …"""
LINE_SECONDS: Final = 2e-9
"""… or to do either with a row of few cells, …"""
_ROW_SECONDS: Final = 0.85e-9
"""… or to do either in a kernel over rows."""
_FULL_ONLY: Final = frozenset(
    f"dml.{fn}"
    for fn in (
        "solve", "inv", "cholesky", "qr", "lu", "eigen", "svd", "det",
    )
)  # fmt: skip
"""Library operations that work on dense operands."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one run; `full` where the operation makes a CSR operand dense first."""

    dense: float
    csr: float
    full: bool = False


ANY: Final = Cost(0.0, 0.0)


def conversion(sketch: Sketch) -> float:
    """Seconds to convert a matrix, to either format."""
    cells = float(sketch.rows * sketch.cols)
    return (2 * NUMBERS.cell_bytes * cells + NUMBERS.entry_bytes * sketch.nnz) / BYTES_PER_SECOND


def is_stored_csr(value: Value, expected: Expectations) -> bool:
    """Whether a matrix is expected to be stored as CSR."""
    made_dense = value.op is not None and value.op.name == "dml.fill"  # with zeros, to be filled
    return not made_dense and may_be_sparse(value) and expected.density(value) < SPARSE


def use_cost(user: Op, index: int, expected: Expectations) -> Cost:
    """What operand `index` costs `user` by its format; equal where the format does not matter or decides about results."""
    value = user.operands[index]
    if isinstance(user, Cell):
        return _cell(user, index, expected)
    if user.name == "fused.row":
        return _row(user, index, expected)
    if user.name == "fused.outer":
        return _outer(user, index, expected)
    if user.name in ("dml.matmul", "dml.tsmm"):
        return _product(user, index, expected)
    fills = user.name == "dml.replace" and constant(user.operands[1]) == 0
    if user.name in _FULL_ONLY or fills:
        return Cost(0.0, conversion(expected.sketch(value)), True)
    return ANY


def _cell(cell: Cell, index: int, expected: Expectations) -> Cost:
    value = cell.operands[index]
    zeros = zeros_of_cell(cell)
    flags = [isinstance(v.type, Matrix) for v in cell.operands]
    matrices = [v for v in cell.operands if isinstance(v.type, Matrix)]
    sketch = expected.sketch(value)

    def drives(i: int) -> bool:
        return zeros.may_drive(i, lambda k: is_vector_of(cell, k)) and likely_zero(
            cell.body, flags, cell.outputs, 1 << i, zeros.needs[i]
        )

    # Where other inputs lead, what is stored of this one is written into rows in the cache, and taken out again.
    spread = Cost(0.0, 2 * sketch.nnz * _SCATTER_SECONDS)
    if not drives(index):
        sparse = [
            i for i, v in enumerate(cell.operands) if is_stored_csr(v, expected) and not is_vector_of(cell, i)
        ]
        return ANY if any(index in leaders for leaders in joint_leaders(cell, sparse)) else spread
    rivals = (
        v for i, v in enumerate(cell.operands) if i != index and is_stored_csr(v, expected) and drives(i)
    )
    if any(expected.density(v) < sketch.density for v in rivals):
        return spread  # that one drives
    if any(kind == "map" for kind in cell.outputs):
        return ANY  # the result has its structure
    cells, others = float(sketch.rows * sketch.cols), len(matrices) - 1
    flops = flops_of(cell.body)
    each, entry = NUMBERS.cell_bytes, NUMBERS.entry_bytes
    dense = max(each * cells * (1 + others) / BYTES_PER_SECOND, flops * cells / FLOPS_PER_SECOND)
    stored = max(
        (entry + each * others) * sketch.nnz / BYTES_PER_SECOND, 2 * flops * sketch.nnz / FLOPS_PER_SECOND
    )
    return Cost(dense, stored)


def _row(op: Op, index: int, expected: Expectations) -> Cost:
    roles, outputs = op.attrs["roles"], op.attrs["outputs"]
    assert isinstance(roles, tuple)
    assert isinstance(outputs, tuple)
    sketch = expected.sketch(op.operands[index])
    if roles[index] == "side":
        return Cost(0.0, conversion(sketch), True)
    cells = float(sketch.rows * sketch.cols)
    if index == 0 and is_sparse_safe(op.regions[0], roles, outputs):  # type: ignore[arg-type]
        sides = [v.type for v, role in zip(op.operands, roles, strict=True) if role == "side"]
        if any(isinstance(t, Matrix) and t.cols != 1 for t in sides):
            return ANY
        passes = max(1, sum(1 for inner in op.regions[0] if inner.fn == "matmul"))
        return Cost(8 * cells / BYTES_PER_SECOND, passes * sketch.nnz * _ROW_SECONDS)
    return Cost(0.0, 8 * cells / BYTES_PER_SECOND)  # rows are written out block by block, in the cache


def _outer(op: Op, index: int, expected: Expectations) -> Cost:
    products = op.attrs["products"]
    assert isinstance(products, tuple)
    first = 2 * len(products)
    inputs = op.operands[first : first + len(op.regions[0].args) - len(products)]
    sketch = expected.sketch(op.operands[index])
    if first <= index < first + len(inputs):
        return ANY  # where it drives, only its non-zeros are computed; where it does not, tiles of it are written out
    return Cost(0.0, conversion(sketch), True)


def _product(op: Op, index: int, expected: Expectations) -> Cost:
    turned = "l" if op.name == "dml.tsmm" else str(op.attrs.get("transpose", ""))
    a, b = expected.sketch(op.operands[0]), expected.sketch(op.operands[-1])
    a, b = a.t() if "l" in turned else a, b.t() if "r" in turned else b
    if a.cols != b.rows:
        return ANY
    here, far = (b, a) if index == 1 else (a, b)
    wide = a.rows if index == 1 else b.cols
    fetch = here.nnz * (LINE_SECONDS if wide > 1 else _SCATTER_SECONDS if "l" in turned else ENTRY_SECONDS)
    met = a.products(b) * 2 / PRODUCT_FLOPS_PER_SECOND
    if op.name == "dml.tsmm":
        return Cost(_dense_product(a, b) / 2, max(SPARSE_BY_DENSE * met / 2, fetch))
    if is_stored_csr(op.operands[1 - index], expected):
        across = b.cols if index == 1 else a.rows
        beside = 2 * far.nnz * across / PRODUCT_FLOPS_PER_SECOND
        return Cost(SPARSE_BY_DENSE * beside, max(SPARSE_BY_SPARSE * met, fetch))
    alone = 2 * here.nnz * wide / PRODUCT_FLOPS_PER_SECOND
    return Cost(_dense_product(a, b), max(SPARSE_BY_DENSE * alone, fetch))


def _dense_product(a: Sketch, b: Sketch) -> float:
    """Seconds of a dense product: at the speed of memory with a vector, in between with thin matrices."""
    read = 8.0 * (a.rows * a.cols + b.rows * b.cols) / BYTES_PER_SECOND
    thin = max(1, min(a.rows, a.cols, b.cols))
    rate = PRODUCT_FLOPS_PER_SECOND * (1.0 if thin == 1 else min(1.0, thin / _THIN))
    return max(2.0 * a.rows * a.cols * b.cols / rate, read)
