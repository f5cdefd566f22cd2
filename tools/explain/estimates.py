"""What operators are estimated to cost, and what the same would cost without fusion: bytes, arithmetic, seconds.

The sizes and constants are those the optimiser chooses by (`passes/fusion/cost.py`, `passes/estimate.py`): a size that is not
known counts as `UNKNOWN_DIM`, and the estimate is marked as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.types import Matrix, Type
from sysmlc.passes.estimate import density, product_cost
from sysmlc.passes.fusion.cost import (
    BYTES_PER_SECOND,
    CACHE,
    CACHED_BYTES_PER_SECOND,
    FLOPS,
    FLOPS_PER_SECOND,
    LAUNCH_SECONDS,
    bytes_of,
    size,
)
from sysmlc.passes.fusion.groups import Group

PRODUCT_FLOPS_PER_SECOND: Final = 50e9
_CUBIC: Final = {
    "solve": 0.7, "inv": 2.0, "cholesky": 0.34, "lu": 0.7, "qr": 1.4, "det": 0.7, "svd": 12.0, "eigen": 9.0,
}  # fmt: skip
_PARTS: Final = frozenset({"index", "left_index", "get_cell", "set_cell"})
_SORTS: Final = frozenset(
    {"order", "median", "quantile", "inter_quantile", "inter_quartile_mean", "count_distinct"}
)


_ADDS: Final = frozenset(
    {"sum", "sumsq", "prod", "mean", "var", "sd", "min_of", "max_of", "trace", "cumsum", "cumprod"}
)


@dataclass(frozen=True)
class Estimate:
    """The cost of one run of an operator; they add up."""

    bytes: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    assumed: bool = False
    """Whether it rests on sizes that are not known."""

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.bytes + other.bytes,
            self.flops + other.flops,
            self.seconds + other.seconds,
            self.assumed or other.assumed,
        )

    def times(self, count: float) -> Estimate:
        """The cost of so many runs."""
        return Estimate(self.bytes * count, self.flops * count, self.seconds * count, self.assumed)


def known(type: Type) -> bool:
    """Whether the sizes of a value are numbers."""
    return not isinstance(type, Matrix) or (isinstance(type.rows, int) and isinstance(type.cols, int))


def cells(type: Type) -> float:
    return float(size(type.rows) * size(type.cols)) if isinstance(type, Matrix) else 1.0


def _priced(moved: float, flops: float, rate: float, assumed: bool) -> Estimate:
    bandwidth = BYTES_PER_SECOND if moved > CACHE else CACHED_BYTES_PER_SECOND
    return Estimate(moved, flops, LAUNCH_SECONDS + max(moved / bandwidth, flops / rate), assumed)


def _assumed(values: Iterable[Value]) -> bool:
    return not all(known(v.type) for v in values)


def estimate(op: Op) -> Estimate:
    """One run of an operator as it will be executed."""
    if op.name == "core.call":
        return Estimate()
    values = [*op.operands, *op.results]
    moved = float(sum(bytes_of(v) for v in values if isinstance(v.type, Matrix)))
    if isinstance(op, Cell):
        group = Group((op,), tuple(op.results))
        flops = sum(flops_of(inner) for inner in group.body) * cells_of_shape(group)
        return _priced(moved, flops * driven(group), FLOPS_PER_SECOND, _assumed(values))
    if op.dialect == "fused" and op.regions:
        share = min((density(v.type) for v in op.operands), default=1.0)
        flops = sum(a.flops for a in parts(op)) * share
        return _priced(moved, flops, PRODUCT_FLOPS_PER_SECOND, _assumed(values))
    return _single(op.name, op, [v.type for v in op.operands], [v.type for v in op.results])


def cells_of_shape(group: Group) -> float:
    """How many cells a cell region runs over."""
    rows, cols = group.shape
    return float(size(rows) * size(cols))


def driven(group: Group) -> float:
    """The share of cells that are visited: those of the sparsest input whose zeros decide."""
    return min((density(v.type) for v in group.drivers), default=1.0)


def flops_of(op: Op) -> float:
    """Arithmetic of one cell."""
    if op.dialect == "core" or op.fn == "cast":
        return 0.0
    return float(FLOPS.get(op.fn, 1))


def _single(name: str, op: Op, reads: list[Type], writes: list[Type]) -> Estimate:
    """One operation on its own, for operands and results of these types."""
    fn, assumed = op.fn, not all(known(t) for t in [*reads, *writes])
    matrices = [t for t in reads if isinstance(t, Matrix)]
    moved = sum(stored(t) for t in [*matrices, *(t for t in writes if isinstance(t, Matrix))])
    if fn in _PARTS:  # what is not touched does not count
        moved = 2 * min(stored(t) for t in [*matrices[-1:], *writes])
    largest = max((cells(t) * density(t) for t in [*matrices, *writes]), default=1.0)
    if fn in ("matmul", "tsmm") and matrices:
        left, right = matrices[0], matrices[-1]
        turned = str(op.attrs.get("transpose", "")) if fn == "matmul" else "l"
        rows, inner = (left.cols, left.rows) if "l" in turned else (left.rows, left.cols)
        cols = right.rows if "r" in turned else right.cols
        cost = product_cost(size(rows), size(inner), size(cols), density(left), density(right))
        return _priced(moved, cost.flops / (2 if fn == "tsmm" else 1), PRODUCT_FLOPS_PER_SECOND, assumed)
    if fn in _CUBIC and matrices:
        n, k = sorted((size(matrices[0].rows), size(matrices[0].cols)))
        return _priced(moved, _CUBIC[fn] * n * n * k, PRODUCT_FLOPS_PER_SECOND, assumed)
    if fn in _SORTS:
        return _priced(moved, 4 * largest * math.log2(max(2.0, largest)), FLOPS_PER_SECOND, assumed)
    work = largest if "cellwise" in op.traits or fn in _ADDS else 0.0
    return _priced(moved, flops_of(op) * work, FLOPS_PER_SECOND, assumed)


def stored(type: Type) -> float:
    """Bytes of a matrix as it is stored."""
    if not isinstance(type, Matrix):
        return 8.0
    dense = 8.0 * cells(type)
    return dense if type.nnz is None else min(dense, 12.0 * type.nnz)


# -- what fused operators replace ------------------------------------------------------------------------------------


def unfused(op: Op) -> Estimate | None:
    """The operations of a fused operator one by one, each reading and writing whole matrices; None for single operations."""
    if op.dialect != "fused" or not op.regions:
        return None
    found = parts(op)
    return None if len(found) < 2 else sum(found[1:], found[0])


def parts(op: Op) -> list[Estimate]:
    """The operations a fused operator stands for, as if each ran on its own."""
    return _row_parts(op) if op.name == "fused.row" else _cell_parts(op)


def _row_parts(op: Op) -> list[Estimate]:
    """The body of a row region sees one row; the operations it stands for see all of them."""
    body = op.regions[0]
    first = op.operands[0].type
    rows = first.rows if isinstance(first, Matrix) else None
    whole: dict[Value, Type] = {}
    roles = op.attrs["roles"]
    assert isinstance(roles, tuple)
    rowwise = {a for a, role in zip(body.args, roles, strict=True) if role == "row"}
    for arg, value in zip(body.args, op.operands, strict=True):
        whole[arg] = value.type
    found = []
    for inner in body:
        if inner.dialect == "core":
            continue
        result = inner.results[0]
        product = inner.fn == "matmul" and inner.attrs.get("transpose") == "l"
        per_row = any(v in rowwise for v in inner.operands) and not product
        whole[result] = _all_rows(result.type, rows) if per_row else result.type
        if per_row:
            rowwise.add(result)
        if per_row or product:
            reads = [whole.get(v, v.type) for v in inner.operands]
            found.append(_single(inner.name, inner, reads, [whole[result]]))
    return found + _closing(op, [whole.get(v, v.type) for v in body.terminator.operands])


def _all_rows(type: Type, rows: object) -> Type:
    from sysmlc.ir.types import matrix

    assert rows is None or isinstance(rows, (int, str))
    return matrix(rows, type.cols if isinstance(type, Matrix) else 1)


def _cell_parts(op: Op) -> list[Estimate]:
    """Bodies of cells and outer regions compute with numbers that stand for whole matrices."""
    from sysmlc.ir.types import matrix

    body = op.regions[0]
    found: list[Estimate] = []
    whole: dict[Value, Type] = {}
    if op.name == "fused.outer":
        products = op.attrs["products"]
        assert isinstance(products, tuple)
        shape: Type = matrix()
        for i, turned in enumerate(products):
            left, right = op.operands[2 * i].type, op.operands[2 * i + 1].type
            assert isinstance(left, Matrix)
            assert isinstance(right, Matrix)
            shape = matrix(
                left.cols if "l" in str(turned) else left.rows,
                right.rows if "r" in str(turned) else right.cols,
            )
            whole[body.args[i]] = shape
            inner = left.rows if "l" in str(turned) else left.cols
            assert isinstance(shape, Matrix)
            cost = product_cost(size(shape.rows), size(inner), size(shape.cols))
            found.append(_priced(cost.bytes, cost.flops, PRODUCT_FLOPS_PER_SECOND, not known(shape)))
        others = op.operands[2 * len(products) :]
        whole.update((a, v.type) for a, v in zip(body.args[len(products) :], others, strict=False))
    else:
        assert isinstance(op, Cell)
        shape = matrix(*Group((op,), tuple(op.results)).shape)
        whole.update((a, v.type) for a, v in zip(body.args, op.operands, strict=True))
    for inner_op in body:
        if inner_op.dialect == "core" or inner_op.fn == "cast":
            if inner_op.results and inner_op.operands:
                whole[inner_op.results[0]] = whole[inner_op.operands[0]]
            continue
        reads = [whole.get(v, v.type) for v in inner_op.operands]
        whole[inner_op.results[0]] = (
            shape if any(isinstance(t, Matrix) for t in reads) else inner_op.results[0].type
        )
        found.append(_single(inner_op.name, inner_op, reads, [whole[inner_op.results[0]]]))
    return found + _closing(op, [whole.get(v, v.type) for v in body.terminator.operands])


def _closing(op: Op, yielded: list[Type]) -> list[Estimate]:
    """The aggregates and products that close a fused region."""
    found = []
    outputs = op.attrs["outputs"]
    assert isinstance(outputs, tuple)
    for kind, type, result in zip(outputs, yielded, op.results, strict=True):
        if kind in ("right", "left"):
            assert isinstance(type, Matrix)
            assert isinstance(result.type, Matrix)
            flops = 2.0 * cells(type) * size(result.type.cols)
            found.append(
                _priced(stored(type) + stored(result.type), flops, PRODUCT_FLOPS_PER_SECOND, not known(type))
            )
        elif kind != "map" and kind != "product":
            found.append(
                _priced(stored(type) + stored(result.type), cells(type), FLOPS_PER_SECOND, not known(type))
            )
    return found
