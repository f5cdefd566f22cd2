"""What operators are estimated to cost, and what the same would cost without fusion: bytes, arithmetic, seconds.

The constants are those the optimiser chooses by (`passes/fusion/cost.py`, `passes/estimate.py`), and so are the numbers of
non-zeros (`passes/sparsity`). An estimate that rests on a size nobody knows is marked as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.fused import Cell, OuterRegion
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import NUMBERS, PRODUCT_FLOPS_PER_SECOND, product_cost
from sysmlc.passes.fusion.cost import (
    BYTES_PER_SECOND,
    CACHE,
    CACHED_BYTES_PER_SECOND,
    FLOPS,
    FLOPS_PER_SECOND,
    LAUNCH_SECONDS,
)
from sysmlc.passes.fusion.groups import Group
from sysmlc.passes.lower_outer import region_drivers
from sysmlc.passes.sparsity import Expectations, Sketch
from sysmlc.passes.sparsity.cells import Fact, inside

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


def known(value: Value) -> bool:
    """Whether the sizes of a value are numbers."""
    type = value.type
    return not isinstance(type, Matrix) or (isinstance(type.rows, int) and isinstance(type.cols, int))


def stored(fact: Fact) -> float:
    """Bytes of a value in the smaller format."""
    if not isinstance(fact, Sketch):
        return float(NUMBERS.cell_bytes)
    return min(float(NUMBERS.cell_bytes * fact.rows * fact.cols), NUMBERS.entry_bytes * fact.nnz)


def flops_of(op: Op) -> float:
    """Arithmetic of one cell."""
    if op.dialect == "core" or op.fn == "cast":
        return 0.0
    return float(FLOPS.get(op.fn, 1))


def _entries(fact: Fact) -> float:
    return fact.nnz if isinstance(fact, Sketch) else 1.0


def _full(rows: int, cols: int) -> Sketch:
    return Sketch.spread(rows, cols, rows * cols)


def _priced(moved: float, flops: float, rate: float) -> Estimate:
    bandwidth = BYTES_PER_SECOND if moved > CACHE else CACHED_BYTES_PER_SECOND
    return Estimate(moved, flops, LAUNCH_SECONDS + max(moved / bandwidth, flops / rate))


class Estimator:
    """Estimates of the operators of one program, by what is expected of its values."""

    def __init__(self) -> None:
        self.expected = Expectations()

    def cost(self, op: Op) -> Estimate:
        """One run of an operator as it will be executed."""
        if op.name == "core.call":
            return Estimate()
        values = [*op.operands, *op.results]
        moved = sum(self.stored(v) for v in values if isinstance(v.type, Matrix))
        if isinstance(op, Cell):
            group = Group((op,), tuple(op.results))
            flops = sum(flops_of(inner) for inner in group.body) * self._cells(op)
            leaders = [(v,) for v in group.drivers] or group.joint_drivers
            share = min((sum(map(self.expected.density, some)) for some in leaders), default=1.0)
            share = min(share, 1.0)
            made = _priced(moved, flops * share, FLOPS_PER_SECOND)
        elif op.regions and op.dialect == "fused":
            flops = sum(a.flops for a in self.parts(op))
            made = _priced(moved, flops * self._share(op), PRODUCT_FLOPS_PER_SECOND)
        else:
            made = _single(op, [self.expected.fact(v) for v in op.operands], self._facts(op.results))
        return replace(made, assumed=not all(map(known, values)))

    def unfused(self, op: Op) -> Estimate | None:
        """The operations of a fused operator one by one, each reading and writing whole matrices; None for single ones."""
        if op.dialect != "fused" or not op.regions:
            return None
        found = self.parts(op)
        whole = sum(found[1:], found[0]) if len(found) >= 2 else None
        return whole and replace(whole, assumed=not all(map(known, [*op.operands, *op.results])))

    def parts(self, op: Op) -> list[Estimate]:
        """The operations a fused operator stands for, as if each ran on its own."""
        return self._row_parts(op) if op.name == "fused.row" else self._cell_parts(op)

    def stored(self, value: Value) -> float:
        """Bytes of a value in the smaller format."""
        return stored(self.expected.fact(value))

    def _facts(self, values: Iterable[Value]) -> list[Fact]:
        return [self.expected.fact(v) for v in values]

    def _cells(self, op: Cell) -> float:
        """How many cells a cell region runs over."""
        rows, cols = self._shape(op)
        return float(rows * cols)

    def _shape(self, op: Cell) -> tuple[int, int]:
        grids = [f for f in self._facts([*op.operands, *op.results]) if isinstance(f, Sketch)]
        return max((g.rows for g in grids), default=1), max((g.cols for g in grids), default=1)

    def _share(self, op: Op) -> float:
        """The share of its cells that a region visits."""
        if not isinstance(op, OuterRegion):
            return min((self.expected.density(v) for v in op.operands), default=1.0)
        shares = [
            sum(self.expected.density(op.operands[len(op.products) + i]) for i in driver)
            for driver in region_drivers(op)
        ]
        return min([1.0, *shares])

    def _row_parts(self, op: Op) -> list[Estimate]:
        """The body of a row region sees one row; the operations it stands for see all of them."""
        body = op.regions[0]
        roles = op.attrs["roles"]
        assert isinstance(roles, tuple)
        whole = dict(zip(body.args, self._facts(op.operands), strict=True))
        first = whole[body.args[0]]
        rows = first.rows if isinstance(first, Sketch) else 1
        rowwise = {a for a, role in zip(body.args, roles, strict=True) if role == "row"}
        found = []
        for inner in body:
            if inner.dialect == "core":
                continue
            result = inner.results[0]
            product = inner.fn == "matmul" and inner.attrs.get("transpose") == "l"
            per_row = any(v in rowwise for v in inner.operands) and not product
            one = self.expected.fact(result)
            whole[result] = _full(rows, one.cols if isinstance(one, Sketch) else 1) if per_row else one
            if per_row:
                rowwise.add(result)
            if per_row or product:
                reads = [whole[v] if v in whole else self.expected.fact(v) for v in inner.operands]
                found.append(_single(inner, reads, [whole[result]]))
        return found + self._closing(op, [whole.get(v) for v in body.terminator.operands])

    def _cell_parts(self, op: Op) -> list[Estimate]:
        """Bodies of cell and outer regions compute with numbers that stand for whole matrices."""
        body: Region = op.regions[0]
        found: list[Estimate] = []
        inputs: list[Fact] = []
        others = op.operands
        if isinstance(op, OuterRegion):
            for i, turned in enumerate(op.products):
                left, right = (self.expected.sketch(v) for v in op.operands[2 * i : 2 * i + 2])
                left, right = left.t() if "l" in turned else left, right.t() if "r" in turned else right
                inputs.append(_full(left.rows, right.cols))
                cost = product_cost(left.rows, left.cols, right.cols)
                found.append(_priced(cost.bytes, cost.flops, PRODUCT_FLOPS_PER_SECOND))
            others = others[2 * len(inputs) :][: len(body.args) - len(inputs)]
            rows, cols = left.rows, right.cols
        else:
            assert isinstance(op, Cell)
            rows, cols = self._shape(op)
        whole = inside(body, [*inputs, *self._facts(others)], rows, cols)
        for inner in body:
            if inner.dialect != "core" and inner.fn != "cast":
                found.append(_single(inner, [whole[v] for v in inner.operands], [whole[inner.results[0]]]))
        return found + self._closing(op, [whole[v] for v in body.terminator.operands])

    def _closing(self, op: Op, yielded: list[Fact]) -> list[Estimate]:
        """The aggregates and products that close a fused region."""
        found = []
        outputs = op.attrs["outputs"]
        assert isinstance(outputs, tuple)
        for kind, cells, result in zip(outputs, yielded, self._facts(op.results), strict=True):
            moved = stored(cells) + stored(result)
            if kind in ("right", "left"):
                assert isinstance(result, Sketch)
                found.append(_priced(moved, 2.0 * _entries(cells) * result.cols, PRODUCT_FLOPS_PER_SECOND))
            elif kind not in ("map", "product"):
                found.append(_priced(moved, _entries(cells), FLOPS_PER_SECOND))
        return found


def _single(op: Op, reads: list[Fact], writes: list[Fact]) -> Estimate:
    """One operation on its own, for operands and results like these."""
    fn = op.fn
    matrices = [f for f in reads if isinstance(f, Sketch)]
    made = [f for f in writes if isinstance(f, Sketch)]
    moved = sum(map(stored, [*matrices, *made]))
    if fn in _PARTS:  # what is not touched does not count
        moved = 2 * min(stored(f) for f in [*matrices[-1:], *writes])
    largest = max(map(_entries, [*matrices, *writes]), default=1.0)
    if fn in ("matmul", "matmul_shared", "tsmm") and matrices:
        left, *rights = matrices
        turned = str(op.attrs.get("transpose", "")) if fn != "tsmm" else "l"
        a, flops = left.t() if "l" in turned else left, 0.0
        for right in rights or [left]:
            b = right.t() if "r" in turned else right
            flops += product_cost(a.rows, a.cols, b.cols, a.density, b.density, a.products(b)).flops
        return _priced(moved, flops / (2 if fn == "tsmm" else 1), PRODUCT_FLOPS_PER_SECOND)
    if fn in _CUBIC and matrices:
        n, k = sorted((matrices[0].rows, matrices[0].cols))
        return _priced(moved, _CUBIC[fn] * n * n * k, PRODUCT_FLOPS_PER_SECOND)
    if fn in _SORTS:
        return _priced(moved, 4 * largest * math.log2(max(2.0, largest)), FLOPS_PER_SECOND)
    work = largest if "cellwise" in op.traits or fn in _ADDS else 0.0
    return _priced(moved, flops_of(op) * work, FLOPS_PER_SECOND)
