"""Loops over the non-zeros of CSR rows. Every wide value is 0 where the scanned matrix is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel_lanes import Mask, Select
from sysmlc.ir.dialects.kernel_memory import Gather, Load, LoadMasked, Prefetch, Scatter, Store
from sysmlc.ir.types import Scalar, f64, i32, i64, vector
from sysmlc.passes.cell_body import Code, Output, State, across_lanes, cell_of, start, step
from sysmlc.passes.cell_states import flat, load_vector, neutral, split
from sysmlc.passes.rows.frame import ROWS, Block, horizontal, multiply_add
from sysmlc.passes.rows.lengths import is_matmul
from sysmlc.passes.rows.plan import reduction_of
from sysmlc.passes.rows.wide import Actions, factors

AHEAD = 1024
"""Entries between what is computed and what is fetched: rows are too short for the hardware to do it well."""
LINE = 16
"""Columns in a cache line, and entries in two lines of cells."""
SCATTERS = 8
"""Lanes of f64 of processors that write to as many places at once."""

Step = Callable[[Code, Value, Value, list[Value]], list[Value]]
Entries = Callable[[Code, Value, Value, int, Value | None], None]
"""Code for the entries from a position on: their columns, how many, and which of them there are."""


class CsrLoops:
    """The loops over the scanned rows of one block at one level: row by row."""

    def __init__(self, block: Block, actions: Actions, pointers: tuple[Value, Value], fetches: bool) -> None:
        self.block, self.frame, self.plan = block, block.frame, block.frame.plan
        self.actions = actions
        self.rowptr, self.colidx = pointers
        self.fetches = fetches
        """Whether this is the first loop over the block."""

    def fetch(self) -> None:
        """Ask for entries that are due some blocks later."""
        block, code = self.block, self.block.code
        first = code.load_i64(self.rowptr, block.first)
        last = code.load_i64(self.rowptr, code.add(block.first, code.integer(block.rows)))

        def lines(inner: Code, p: Value, _: list[Value]) -> list[Value]:
            ahead = inner.add(p, inner.integer(AHEAD))
            cells = inner.at(self.frame.inputs[0], ahead)
            inner.op(Prefetch, cells)
            inner.op(Prefetch, inner.at(cells, inner.integer(LINE // 2)))
            inner.op(Prefetch, inner.at(self.colidx, ahead, "i32"))
            return []

        code.loop(first, last, LINE, [], lines)

    def emit(self) -> None:
        block, code = self.block, self.block.code
        if self.fetches:
            self.fetch()

        def row(inner: Code, j: Value, _: list[Value]) -> list[Value]:
            r = inner.add(block.first, j)
            bounds = (
                inner.load_i64(self.rowptr, r),
                inner.load_i64(self.rowptr, inner.add(r, inner.integer(1))),
            )
            _Row(self, inner, j, r, bounds).emit()
            return []

        code.loop(code.integer(0), code.integer(block.rows), 1, [], row)
        for op in self.actions.reductions:
            block.single[op.results[0]] = block.load(code, self.frame.slot[op.results[0]])


class _Row:
    def __init__(self, loops: CsrLoops, code: Code, j: Value, r: Value, bounds: tuple[Value, Value]) -> None:
        self.loops, self.block, self.frame, self.plan = loops, loops.block, loops.frame, loops.plan
        self.code, self.j, self.r, self.bounds = code, j, r, bounds
        self.actions = loops.actions

    def emit(self) -> None:
        frame = self.frame
        if self.actions.reductions:
            self.reductions()
        for op in self.actions.matmuls:
            self.matmul(op)
        scattered = [*self.actions.products, *self.actions.sums, *self.actions.broad]
        if not scattered:
            return

        def some(inner: Code, p: Value, columns: Value, lanes: int, mask: Value | None) -> None:
            for output in self.actions.sums:
                cell = self.value(inner, output.values[0], p, columns, lanes, mask)
                places = frame.sum_places(inner, frame.outs[output.index], frame.cols)
                state = step(inner, "sum", [self.read(inner, a, columns, mask, f64) for a in places], cell)
                for v, a in zip(state, places, strict=True):
                    self.write(inner, v, a, columns, mask)
            for output in self.actions.products:
                wide, single = factors(self.plan, output)
                cell = self.value(inner, wide, p, columns, lanes, mask)
                factor = inner.wide(self.block.number(inner, single, self.j), lanes)
                self.add(inner, frame.outs[output.index], columns, cell, factor, mask)
            for output in self.actions.broad:
                wide, narrow = factors(self.plan, output)
                cell = self.value(inner, wide, p, columns, lanes, mask)
                self.add_columns(inner, frame.outs[output.index], columns, cell, narrow, lanes, mask)

        self.entries(some)

    def entries(self, some: Entries) -> None:
        """A loop over the entries of the row, in as many lanes as can be written to different places: no two have one column."""
        first, last = self.bounds
        lanes = self.frame.lanes if self.frame.register >= SCATTERS else 1

        def body(inner: Code, p: Value, _: list[Value]) -> list[Value]:
            mask = inner(Mask, inner.sub(last, p), lanes=lanes) if lanes > 1 else None
            columns = inner.load_i32(self.loops.colidx, p) if mask is None else self.columns(inner, p, mask)
            some(inner, p, columns, lanes, mask)
            return []

        self.code.loop(first, last, lanes, [], body)

    def add_columns(
        self,
        code: Code,
        base: Value,
        columns: Value,
        cell: Value,
        narrow: Value,
        lanes: int,
        mask: Value | None,
    ) -> None:
        """Entries times the numbers of their row, in the rows of a partial result."""

        def one(inner: Code, k: Value, _: list[Value]) -> list[Value]:
            place = inner.partial(base, inner.mul(k, self.frame.cols))
            factor = inner.wide(self.narrow_number(inner, narrow, k), lanes)
            self.add(inner, place, columns, cell, factor, mask)
            return []

        code.loop(code.integer(0), self.frame.length_of(narrow), 1, [], one)

    def add(self, code: Code, base: Value, columns: Value, a: Value, b: Value, mask: Value | None) -> None:
        """Add products to partial results, which are f64."""
        before = self.read(code, base, columns, mask, f64)
        self.write(code, multiply_add(code, code.widened(a), code.widened(b), before), base, columns, mask)

    @staticmethod
    def read(
        code: Code, base: Value, columns: Value, mask: Value | None, elem: Scalar | None = None
    ) -> Value:
        """Cells (or other elements) in some columns; without a mask, in one."""
        elem = elem or code.elem
        if mask is None:
            return code(Load, code.at(base, columns, elem.text), types=[elem])
        return code(Gather, base, columns, mask, elem=elem.text)

    @staticmethod
    def write(code: Code, value: Value, base: Value, columns: Value, mask: Value | None) -> None:
        """Partial results."""
        if mask is None:
            code.op(Store, value, code.partial(base, columns))
        else:
            code.op(Scatter, value, base, columns, mask)

    def narrow_number(self, code: Code, narrow: Value, k: Value) -> Value:
        if narrow.op is None:
            i = narrow.index
            row = code.at(self.block.addresses[i], code.mul(self.frame.strides[i], self.j))
            return code(Load, code.at(row, k), types=[code.elem])
        return code(Load, code.at(self.block.kept(code, narrow, k), self.j), types=[code.elem])

    # -- sums along the row --------------------------------------------------------------------------------------------

    def along(self, code: Code, inits: list[Value], body: Step, at_once: int) -> list[Value]:
        """A loop over the entries of the row, a vector at a time; the first `at_once` vectors are taken without a question,
        because a wrong guess of how long a row is costs more than lanes without entries."""
        first, last = self.bounds
        lanes = self.frame.lanes

        def vector(inner: Code, p: Value, carried: list[Value]) -> list[Value]:
            return body(inner, p, inner(Mask, inner.sub(last, p), lanes=lanes), carried)

        done, p = inits, first
        for _ in range(at_once):
            done, p = vector(code, p, done), code.add(p, code.integer(lanes))
        return code.loop(p, last, lanes, done, vector)

    def at_once(self, values: Sequence[Value]) -> int:
        return 0 if any(self.plan.is_expensive(v) for v in values) else 2

    def columns(self, code: Code, p: Value, mask: Value) -> Value:
        place = code.at(self.loops.colidx, p, "i32")
        return code(LoadMasked, place, mask, types=[vector(self.frame.lanes, i32)])

    def masked(self, code: Code, cell: Value, mask: Value) -> Value:
        return code(Select, mask, cell, code.cell(0.0, self.frame.lanes))

    def reductions(self) -> None:
        code, lanes = self.code, self.frame.lanes
        states: list[State] = [
            [code.cell(0.0, lanes)] if is_matmul(op) else start(code, reduction_of(op)[0], lanes)
            for op in self.actions.reductions
        ]

        def body(inner: Code, p: Value, mask: Value, carried: list[Value]) -> list[Value]:
            columns = self.columns(inner, p, mask)
            made = []
            for op, state in zip(self.actions.reductions, split(carried, states)[0], strict=True):
                cell = self.value(inner, op.operands[0], p, columns, lanes, mask)
                if is_matmul(op):
                    side = self.read(inner, self.frame.inputs[op.operands[1].index], columns, mask)
                    made.append([multiply_add(inner, self.masked(inner, cell, mask), side, state[0])])
                else:
                    fn, square = reduction_of(op)
                    cell = inner(Binary, "mul", cell, cell) if square else cell
                    cell = neutral(inner, Output(0, "row", fn), cell, mask, lanes)
                    made.append(step(inner, fn, state, cell))
            return flat(made)

        at_once = self.at_once([op.operands[0] for op in self.actions.reductions])
        ends = split(self.along(code, flat(states), body, at_once), states)[0]
        for op, state in zip(self.actions.reductions, ends, strict=True):
            if is_matmul(op):
                total = horizontal(code, state[0])
            else:
                fn = reduction_of(op)[0]
                total = cell_of(code, fn, self.with_zeros(fn, across_lanes(code, fn, state)))
            code.op(Store, total, code.at(self.frame.slot[op.results[0]], self.j))

    def with_zeros(self, fn: str, state: State) -> State:
        """The state of a row after the cells that it has no entries for."""
        if fn == "sum":
            return state
        code, (first, last) = self.code, self.bounds
        has_zeros = code.relation("ilt", code.sub(last, first), self.frame.cols)
        return code.when(
            has_zeros, lambda inner: step(inner, fn, state, inner.cell(0.0, 1)), lambda inner: state
        )

    def matmul(self, op: Op) -> None:
        frame, result = self.frame, op.results[0]
        side = frame.inputs[op.operands[1].index]

        def column(code: Code, k: Value, _: list[Value]) -> list[Value]:
            base = code.at(side, code.mul(k, frame.cols))

            def body(inner: Code, p: Value, mask: Value, carried: list[Value]) -> list[Value]:
                columns = self.columns(inner, p, mask)
                cell = self.value(inner, op.operands[0], p, columns, frame.lanes, mask)
                factor = self.read(inner, base, columns, mask)
                return [multiply_add(inner, self.masked(inner, cell, mask), factor, carried[0])]

            (total,) = self.along(code, [code.cell(0.0, frame.lanes)], body, self.at_once(op.operands[:1]))
            code.op(Store, horizontal(code, total), code.at(self.block.kept(code, result, k), self.j))
            return []

        self.code.loop(self.code.integer(0), frame.length_of(result), 1, [], column)

    def value(
        self, code: Code, value: Value, p: Value, columns: Value, lanes: int, mask: Value | None
    ) -> Value:
        """A value at the entries from position `p`: in `lanes` columns, or in one."""
        kind, op = self.plan.kind[value], value.op
        if kind == "scalar":
            return self.frame.scalar(code, value, lanes)
        if kind == "single":
            return code.wide(self.block.number(code, value, self.j), lanes)
        if op is None and value.index == 0:
            place = code.at(self.frame.inputs[0], p)
            return (
                code(Load, place, types=[code.elem]) if lanes == 1 else load_vector(code, place, lanes, mask)
            )
        if op is None:
            i = value.index
            row = code.at(self.block.addresses[i], code.mul(self.frame.strides[i], self.j))
            return self.read(code, row, columns, mask)
        operands = [self.value(code, v, p, columns, lanes, mask) for v in op.operands]
        return self.frame.compute(code, op, operands, lanes)


__all__ = ["ROWS", "CsrLoops", "i64"]
