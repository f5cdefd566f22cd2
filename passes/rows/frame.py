"""A row kernel being written: what all of its loops share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.kernel import RowKernel
from sysmlc.ir.dialects.kernel_lanes import Halves, Integer, Iota, LaneSums, Mask, MultiplyAdd
from sysmlc.ir.dialects.kernel_memory import Field, Load, Store
from sysmlc.ir.types import Scalar, Vector, f64, i1, vector
from sysmlc.passes.cell_body import Code, State, at_width
from sysmlc.passes.cell_states import load_vector
from sysmlc.passes.rows.lengths import WIDE, one_column
from sysmlc.passes.rows.plan import Plan, slots

ROWS = 8
"""Rows of a block: as many accumulators stay in registers, and the partial results are updated once for all of them."""


class RowFrame:
    """The arguments, the plan and the addresses of a row kernel."""

    def __init__(self, b: Builder, kernel: RowKernel, mask: int, lanes: int, params: Sequence[Value]) -> None:
        self.code = Code(b.region, b.anchor, b.loc)
        self.code.elem = kernel.elem
        self.kernel = kernel
        self.register = lanes
        """How many f64 a register holds."""
        self.lanes = lanes if kernel.elem is f64 else 2 * lanes
        self.args, self.r0, self.r1, _, self.cols = params
        roles, body = kernel.roles, kernel.body
        self.plan = Plan(body, roles, kernel.outputs, mask)
        lengths = self.plan.lengths
        everything = (1 << len(roles)) - 1
        code = self.code
        self.inputs = [self.field("in", i) for i in range(len(roles))]
        self.strides = [self.field("in_rs", i) for i in range(len(roles))]
        self.outs = [self.field("out", i) for i in range(len(kernel.outputs))]
        self.out_strides = [self.field("out_rs", i) for i in range(len(kernel.outputs))]
        table = self.field("lengths")
        self.length: dict[int, Value] = {
            k: self.cols if k == WIDE else code.load_i64(table, code.integer(k)) for k in lengths.classes()
        }
        self.one = code.integer(1)
        self.slot: dict[Value | None, Value] = {}
        place = self.field("scratch")
        for value, length in slots(Plan(body, roles, kernel.outputs, everything)):
            self.slot[value] = place
            count = self.one if length is None else self.length[length]
            place = code.at(place, code.mul(count, code.integer(ROWS)))
        self.scalars: dict[tuple[Value, int], Value] = {}
        for arg, role in zip(body.args, roles, strict=True):
            if role == "scalar":
                number = code(Load, self.inputs[arg.index], types=[code.elem])
                for width in {1, min(self.lanes, ROWS), self.lanes}:
                    self.scalars[arg, width] = code.wide(number, width)

    def field(self, member: str, index: int = 0) -> Value:
        return self.code(Field, self.args, member=member, index=index)

    def length_of(self, value: Value) -> Value:
        """The columns of a value of this variant."""
        found = self.plan.lengths.class_of(value)
        return self.one if found is None or self.plan.kind[value] == "single" else self.length[found]

    def sum_places(self, code: Code, place: Value, distance: Value) -> list[Value]:
        """Where the partial result of a sum is, and its compensation if there is one."""
        return [place, code.partial(place, distance)] if code.elem is f64 else [place]

    def compute(self, code: Code, op: Op, operands: list[Value], lanes: int) -> Value:
        """One cellwise operation; truth values become 0/1 cells."""
        made = at_width(code, op, operands, lanes)
        return code(Cast, made, types=[code.elem]) if made.type is i1 else made

    def scalar(self, code: Code, value: Value, lanes: int) -> Value:
        """A value that is the same for all rows."""
        found = self.scalars.get((value, lanes))
        if found is not None:
            return found
        op = value.op
        assert op is not None
        if op.name == "dml.fill":  # one column of it
            return self.scalar(code, op.operands[0], lanes)
        return self.compute(code, op, [self.scalar(code, v, lanes) for v in op.operands], lanes)


def multiply_add(code: Code, a: Value, b: Value, c: Value) -> Value:
    return code(MultiplyAdd, a, b, c)


def open_sum(code: Code, place: Value, lanes: int, mask: Value | None) -> Value:
    """What the products of a block are added to: the partial result at `place`, which is f64, or of f32 a sum of its own."""
    return load_vector(code, place, lanes, mask) if code.elem is f64 else code.cell(0.0, lanes)


def close_sum(code: Code, total: Value, place: Value, lanes: int, mask: Value | None) -> Value:
    """What becomes of the partial result at `place` with the sum that `open_sum` began."""
    if code.elem is f64:
        return total
    return code(Binary, "add", load_vector(code, place, lanes, mask, f64), code.widened(total))


def horizontal(code: Code, value: Value) -> Value:
    """The sum of the lanes."""
    while isinstance(value.type, Vector):
        low, high = code.op(Halves, value).results
        value = code(Binary, "add", low, high)
    return value


def row_sums(code: Code, values: Sequence[Value]) -> list[Value]:
    """The sums of the lanes of one vector for each row of a block, by groups of lanes."""
    if len(values) == 1:
        return [horizontal(code, v) for v in values]
    while isinstance(type := values[0].type, Vector) and type.lanes > len(values):
        values = [code(Binary, "add", *code.op(Halves, v).results) for v in values]
    if not isinstance(type, Vector):
        return list(values)
    return [code(LaneSums, values[g : g + type.lanes]) for g in range(0, len(values), type.lanes)]


class Block:
    """The rows from `first` on, `rows` of them: what is known about them while their code is written."""

    place: Value | None = None
    """Where code is for one row of the block at a time, which one: known when it runs."""

    def __init__(self, frame: RowFrame, code: Code, first: Value, rows: int) -> None:
        self.frame, self.code, self.first, self.rows = frame, code, first, rows
        self.lanes = min(frame.lanes, rows)
        self.groups = rows // self.lanes
        self.single: dict[Value, list[Value]] = {}
        self.addresses: dict[int, Value] = {}
        for arg in frame.kernel.body.args:
            if frame.kernel.roles[arg.index] == "row":
                offset = code.mul(first, frame.strides[arg.index])
                self.addresses[arg.index] = code.at(frame.inputs[arg.index], offset)
                if frame.plan.kind[arg] == "single":
                    self.single[arg] = self.column(code, arg.index, code.integer(0))

    def one_row(self, code: Code, place: Value) -> Block:
        """The same block, for code that is run for each of its rows."""
        made = copy.copy(self)
        made.code, made.place = code, place
        made.rows = made.lanes = made.groups = 1
        return made

    def index(self, code: Code, j: int) -> Value:
        """Row `j` as a value."""
        return code.integer(j) if self.place is None else self.place

    def row_address(self, code: Code, i: int, j: int) -> Value:
        """Where row `j` of the block begins in input `i`."""
        if j == 0 and self.place is None:
            return self.addresses[i]
        return code.at(self.addresses[i], code.mul(self.frame.strides[i], self.index(code, j)))

    def column(self, code: Code, i: int, c: Value) -> list[Value]:
        """Column `c` of the block's rows of input `i`, by groups of lanes."""
        return self.spread(code, code.at(self.addresses[i], c), self.frame.strides[i])

    def spread(self, code: Code, base: Value, stride: Value) -> list[Value]:
        """The cells at `base` and every `stride` cells behind it, one for each row, by groups of lanes."""
        if self.lanes == 1:
            return [code(Load, base, types=[code.elem])]
        steps = code(Iota, stride, lanes=self.lanes)
        everything = code(Mask, code.integer(self.lanes), lanes=self.lanes)
        made = []
        for g in range(self.groups):
            place = code.at(base, code.mul(stride, code.integer(g * self.lanes))) if g else base
            made.append(code.gather(place, steps, everything))
        return made

    def load(self, code: Code, base: Value, elem: Scalar | None = None) -> list[Value]:
        """The groups of lanes of scratch memory at `base`: cells, or another element."""
        elem = elem or code.elem
        type = vector(self.lanes, elem) if self.lanes > 1 else elem
        return [
            code(Load, code.at(base, code.integer(g * self.lanes), elem.text) if g else base, types=[type])
            for g in range(self.groups)
        ]

    def store(self, code: Code, values: Sequence[Value], base: Value, elem: Scalar | None = None) -> None:
        elem = elem or code.elem
        for g, value in enumerate(values):
            code.op(Store, value, code.at(base, code.integer(g * self.lanes), elem.text) if g else base)

    def kept(self, code: Code, value: Value, k: Value) -> Value:
        """Where column `k` of a narrow value is in scratch memory."""
        return code.at(self.frame.slot[value], code.mul(k, code.integer(ROWS)))

    def number(self, code: Code, value: Value, j: Value) -> Value:
        """A single value of one row, as a scalar from memory."""
        if value.op is None:
            return code(
                Load,
                code.at(self.addresses[value.index], code.mul(self.frame.strides[value.index], j)),
                types=[code.elem],
            )
        return code(Load, code.at(self.frame.slot[value], j), types=[code.elem])


def by_steps(
    code: Code, length: Value, steps: Sequence[int], columns: Callable[[Code, list[Value]], object]
) -> None:
    """Loops over columns: so many at a time as the first step says, as long as the next step is too small for what is left.

    Where fewer are left than a step takes, the last column is taken several times, so `columns` must only store what it
    computes, or read everything that it changes first.
    """
    done, last = code.integer(0), code.sub(length, code.integer(1))
    for some, less in zip(steps, (*steps[1:], 0), strict=True):
        stop = code.sub(length, code.integer(less))

        def step(inner: Code, k: Value, _: list[Value], some: int = some) -> list[Value]:
            following = [inner.add(k, inner.integer(n)) for n in range(1, some)]
            columns(inner, [k, *(inner(Integer, "imin", n, last) for n in following)])
            return [inner.add(k, inner.integer(some))]

        (done,) = code.loop(done, stop, some, [done], step)


Compute = Callable[[Code, Value], Value]

__all__ = [
    "ROWS",
    "Block",
    "Compute",
    "RowFrame",
    "State",
    "by_steps",
    "close_sum",
    "horizontal",
    "multiply_add",
    "one_column",
    "open_sum",
    "row_sums",
]
