"""Groups of cells that run as one pass over their data.

A group is a set of `fused.cell` operations of one region and iteration shape. Cells may be members of several groups:
a producer is then computed again in each, which can be cheaper than writing and reading what it makes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from sysmlc.ir.core import Op, Region, Value, clone
from sysmlc.ir.dialects.core import Yield
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Dim, Matrix, differ_dim, same_dim
from sysmlc.passes import lower_cells
from sysmlc.passes.lower_cells import (
    MAX_INPUTS,
    MAX_OUTPUTS,
    iteration_shape,
    joint_zeros,
    likely_zero,
    zeros_of,
)

MAX_BODY = 96
"""Operations in one body; beyond that registers run out and compile time grows."""

MOVES = frozenset(
    f"dml.{fn}"
    for fn in ("t", "rev", "index", "reshape", "tsmm", "order", "cumsum", "cumprod", "cummin", "cummax", "rowcumsum")
)  # fmt: skip
"""Their results are dense where the operand is."""
DENSE = frozenset(
    f"dml.{fn}"
    for fn in (
        "seq", "sample", "cumsumprod", "solve", "inv", "cholesky", "qr", "lu", "eigen",
        "svd",
    )
) | {"fused.row"}  # fmt: skip

Shape = tuple[Dim, Dim]


def shape_of(cell: Op) -> Shape:
    """The rows and columns a cell runs over."""
    return iteration_shape(cell)


def same_shape(a: Shape, b: Shape) -> bool:
    return same_dim(a[0], b[0]) and same_dim(a[1], b[1])


def fills(value: Value, shape: Shape) -> bool:
    """Whether a value is known to have the whole iteration shape."""
    return isinstance(value.type, Matrix) and same_shape((value.type.rows, value.type.cols), shape)


def feeds(producer: Op, consumer: Op) -> list[Value]:
    """The results of one cell that another reads cell by cell over the same shape."""
    shape = shape_of(consumer)
    if not same_shape(shape_of(producer), shape):
        return []
    outputs = producer.attrs["outputs"]
    assert isinstance(outputs, tuple)
    return [
        r
        for r, kind in zip(producer.results, outputs, strict=True)
        if kind == "map" and any(op is consumer for op, _ in r.uses)
    ]


def may_be_sparse(value: Value, known: dict[Value, bool] | None = None) -> bool:
    """Whether a matrix may be stored sparse: not when it is known how it was made, and that makes dense ones.

    `known` remembers answers, for as long as nothing changes.
    """
    known = {} if known is None else known
    if value not in known:
        known[value] = _may_be_sparse(value, known)
    return known[value]


def _may_be_sparse(value: Value, known: dict[Value, bool]) -> bool:
    op = value.op
    if not lower_cells.may_be_sparse(value) or op is None:
        return lower_cells.may_be_sparse(value)
    if op.name in MOVES:
        return may_be_sparse(op.operands[0], known)
    if op.name == "dml.matmul":
        return all(may_be_sparse(v, known) for v in op.operands)
    if op.name == "dml.rand":
        return constant(op.operands[4]) != 1
    if op.name == "dml.fill":
        return constant(op.operands[0]) in (None, 0, 0.0)
    if isinstance(op, Cell):
        return op.outputs[value.index] == "map" and Group((op,), (value,), known).led
    return op.name not in DENSE


@dataclass(frozen=True, eq=False)
class Group:
    """Cells in program order, and those of their results that are needed outside of the group."""

    cells: tuple[Op, ...]
    outputs: tuple[Value, ...]
    sparse: dict[Value, bool] = field(default_factory=dict)
    """Which values may be sparse, as far as somebody asked."""
    seconds: float | None = None
    """What the group is estimated to cost, once somebody asked."""

    @cached_property
    def shape(self) -> Shape:
        return shape_of(self.cells[-1])

    @cached_property
    def inputs(self) -> tuple[Value, ...]:
        """What the group reads, in order of first use, each once; full matrices first."""
        inside = set(self.cells)
        found = {v: None for c in self.cells for v in c.operands if v.op not in inside}
        return tuple(sorted(found, key=lambda v: (not fills(v, self.shape), not isinstance(v.type, Matrix))))

    @cached_property
    def size(self) -> int:
        """Operations in the body."""
        return sum(1 for c in self.cells for _ in c.regions[0]) - len(self.cells)

    @cached_property
    def body(self) -> Region:
        """The region of the whole group, equal expressions computed once."""
        elem = next(arg.type for arg in self.cells[0].regions[0].args)
        made = Region([elem] * len(self.inputs), [v.name for v in self.inputs])
        known = dict(zip(self.inputs, made.args, strict=True))
        seen: dict[object, Op] = {}
        for cell in self.cells:
            inner = {arg: known[v] for arg, v in zip(cell.regions[0].args, cell.operands, strict=True)}
            for op in cell.regions[0]:
                if op.name == "core.yield":
                    known.update(zip(cell.results, (inner[v] for v in op.operands), strict=True))
                    break
                key = (
                    op.name,
                    *(id(inner[v]) for v in op.operands),
                    *sorted(op.attrs.items()),
                    *(r.type.text for r in op.results),
                )
                twin = seen.get(key)
                if twin is None:
                    seen[key] = made.append(clone(op, inner))
                else:
                    inner.update(zip(op.results, twin.results, strict=True))
        made.append(Yield.new([known[v] for v in self.outputs]))
        return made

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What becomes of each output."""
        return tuple(_kind(v) for v in self.outputs)

    @cached_property
    def outer(self) -> bool:
        """Whether a column and a row vector meet somewhere: the left one is smaller than what they make."""
        return any(isinstance(cell, Cell) and cell.outer for cell in self.cells) or not (
            self.inputs and fills(self.inputs[0], self.shape)
        )

    @cached_property
    def drivers(self) -> frozenset[Value]:
        """The inputs of which it is likely to be known what their zeros make: if one is sparse, only its non-zeros are visited."""
        matrices = [isinstance(v.type, Matrix) for v in self.inputs]
        candidates = [
            i for i, v in enumerate(self.inputs) if fills(v, self.shape) and may_be_sparse(v, self.sparse)
        ]
        if not candidates:
            return frozenset()
        zeros = zeros_of(self.body, matrices, self.kinds, candidates)
        found = [
            self.inputs[i]
            for i in candidates
            if zeros.may_drive(i, self._is_vector)
            and likely_zero(self.body, matrices, self.kinds, 1 << i, zeros.needs[i])
        ]
        return frozenset(found)

    @property
    def led(self) -> bool:
        """Whether the non-zeros of one input, or of several together, may be all that is visited."""
        return bool(self.drivers or self.joint_drivers)

    @cached_property
    def joint_drivers(self) -> tuple[tuple[Value, ...], ...]:
        """Inputs that are so together: several sparse ones of which none is alone."""
        sparse = [
            i for i, v in enumerate(self.inputs) if fills(v, self.shape) and may_be_sparse(v, self.sparse)
        ]
        if len(sparse) < 2:
            return ()
        matrices = [isinstance(v.type, Matrix) for v in self.inputs]
        return tuple(
            tuple(v for i, v in enumerate(self.inputs) if zeros >> i & 1)
            for zeros, needed in joint_zeros(self.body, matrices, self.kinds, sparse)
            if all(self._is_vector(k) for k in range(len(matrices)) if needed >> k & 1)
        )

    def _is_vector(self, i: int) -> bool:
        type = self.inputs[i].type
        assert isinstance(type, Matrix)
        return any(
            a == 1 and differ_dim(a, b) for a, b in zip((type.rows, type.cols), self.shape, strict=True)
        )

    @property
    def fits(self) -> bool:
        """Whether one kernel can hold the group."""
        return len(self.inputs) <= MAX_INPUTS and len(self.outputs) <= MAX_OUTPUTS and self.size <= MAX_BODY

    def make(self) -> Cell:
        """The fused operation, not yet in a region."""
        made = Cell.new(
            self.inputs,
            outputs=self.kinds,
            outer=self.outer,
            spreads=not self.outer
            and any(c.attrs.get("outer") or c.attrs.get("spreads") for c in self.cells),
            regions=[self.body],
            types=[v.type for v in self.outputs],
            loc=self.cells[-1].loc,
        )
        assert isinstance(made, Cell)
        return made


def _kind(value: Value) -> str:
    op = value.op
    assert isinstance(op, Cell)
    return op.outputs[value.index]
