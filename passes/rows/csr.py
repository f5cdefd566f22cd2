"""Loops over the non-zeros of CSR rows. Every wide value is 0 where the scanned matrix is."""

from __future__ import annotations

from collections.abc import Callable

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel import Integer, Load, LoadMasked, Mask, Select, Store
from sysmlc.ir.types import f64, i32, i64, vector
from sysmlc.passes.cell_body import Code, State, across_lanes, cell_of, start, step
from sysmlc.passes.cell_states import flat, load_vector, split
from sysmlc.passes.rows.frame import ROWS, Block, horizontal, multiply_add
from sysmlc.passes.rows.lengths import is_matmul
from sysmlc.passes.rows.plan import reduction_of
from sysmlc.passes.rows.wide import Actions, factors

Step = Callable[[Code, Value, Value | None, list[Value]], list[Value]]


class CsrLoops:
    """The loops over the scanned rows of one block at one level: row by row."""

    def __init__(self, block: Block, actions: Actions, pointers: tuple[Value, Value]) -> None:
        self.block, self.frame, self.plan = block, block.frame, block.frame.plan
        self.actions = actions
        self.rowptr, self.colidx = pointers

    def emit(self) -> None:
        block, code = self.block, self.block.code

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
        code, frame = self.code, self.frame
        if self.actions.reductions:
            self.reductions()
        for op in self.actions.matmuls:
            self.matmul(op)
        scattered = [*self.actions.products, *self.actions.sums, *self.actions.broad]
        if not scattered:
            return

        def entry(inner: Code, p: Value, _: list[Value]) -> list[Value]:
            column = inner.load_i32(self.loops.colidx, p)
            for output in self.actions.sums:
                cell = self.value(inner, output.values[0], p, column, 1, None)
                place = inner.partial(frame.outs[output.index], column)
                places = frame.sum_places(inner, place, frame.cols)
                state = step(inner, "sum", [inner(Load, a, types=[f64]) for a in places], cell)
                for v, a in zip(state, places, strict=True):
                    inner.op(Store, v, a)
            for output in self.actions.products:
                wide, single = factors(self.plan, output)
                cell = self.value(inner, wide, p, column, 1, None)
                factor = self.block.number(inner, single, self.j)
                self.add(inner, inner.partial(frame.outs[output.index], column), cell, factor)
            for output in self.actions.broad:
                wide, narrow = factors(self.plan, output)
                cell = self.value(inner, wide, p, column, 1, None)
                self.add_columns(inner, inner.partial(frame.outs[output.index], column), cell, narrow)
            return []

        code.loop(*self.bounds, 1, [], entry)

    def add_columns(self, code: Code, base: Value, cell: Value, narrow: Value) -> None:
        """One entry times the numbers of its row, in the rows of a partial result."""

        def one(inner: Code, k: Value, _: list[Value]) -> list[Value]:
            place = inner.partial(base, inner.mul(k, self.frame.cols))
            self.add(inner, place, cell, self.narrow_number(inner, narrow, k))
            return []

        code.loop(code.integer(0), self.frame.length_of(narrow), 1, [], one)

    @staticmethod
    def add(code: Code, place: Value, a: Value, b: Value) -> None:
        before = code(Load, place, types=[f64])
        code.op(Store, multiply_add(code, code.widened(a), code.widened(b), before), place)

    def narrow_number(self, code: Code, narrow: Value, k: Value) -> Value:
        if narrow.op is None:
            i = narrow.index
            row = code.at(self.block.addresses[i], code.mul(self.frame.strides[i], self.j))
            return code(Load, code.at(row, k), types=[code.elem])
        return code(Load, code.at(self.block.kept(code, narrow, k), self.j), types=[code.elem])

    # -- sums along the row --------------------------------------------------------------------------------------------

    def along(self, code: Code, inits: list[Value], body: Step) -> list[Value]:
        """A loop over the entries of the row: whole vectors, then the lanes of the last one."""
        first, last = self.bounds
        lanes = self.frame.lanes
        whole = code(Integer, "iand", code.sub(last, first), code.integer(-lanes))
        middle = code.add(first, whole)
        done = code.loop(first, middle, lanes, inits, lambda inner, p, carried: body(inner, p, None, carried))

        def tail(inner: Code) -> list[Value]:
            return body(inner, middle, inner(Mask, inner.sub(last, middle), lanes=lanes), done)

        return code.when(code.relation("ilt", middle, last), tail, lambda inner: done)

    def columns(self, code: Code, p: Value, mask: Value | None) -> Value:
        type, place = vector(self.frame.lanes, i32), code.at(self.loops.colidx, p, "i32")
        return (
            code(Load, place, types=[type]) if mask is None else code(LoadMasked, place, mask, types=[type])
        )

    def masked(self, code: Code, cell: Value, mask: Value | None) -> Value:
        if mask is None:
            return cell
        return code(Select, mask, cell, code.cell(0.0, self.frame.lanes))

    def reductions(self) -> None:
        code, lanes = self.code, self.frame.lanes
        states: list[State] = [
            [code.cell(0.0, lanes)] if is_matmul(op) else start(code, "sum", lanes)
            for op in self.actions.reductions
        ]

        def body(inner: Code, p: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            columns = self.columns(inner, p, mask)
            made = []
            for op, state in zip(self.actions.reductions, split(carried, states)[0], strict=True):
                cell = self.masked(inner, self.value(inner, op.operands[0], p, columns, lanes, mask), mask)
                if is_matmul(op):
                    side = self.gather(inner, self.frame.inputs[op.operands[1].index], columns, mask)
                    made.append([multiply_add(inner, cell, side, state[0])])
                else:
                    cell = inner(Binary, "mul", cell, cell) if reduction_of(op)[1] else cell
                    made.append(step(inner, "sum", state, cell))
            return flat(made)

        for op, state in zip(
            self.actions.reductions, split(self.along(code, flat(states), body), states)[0], strict=True
        ):
            if is_matmul(op):
                total = horizontal(code, state[0])
            else:
                total = cell_of(code, "sum", across_lanes(code, "sum", state))
            code.op(Store, total, code.at(self.frame.slot[op.results[0]], self.j))

    def matmul(self, op: Op) -> None:
        frame, result = self.frame, op.results[0]
        side = frame.inputs[op.operands[1].index]

        def column(code: Code, k: Value, _: list[Value]) -> list[Value]:
            base = code.at(side, code.mul(k, frame.cols))

            def body(inner: Code, p: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
                columns = self.columns(inner, p, mask)
                cell = self.value(inner, op.operands[0], p, columns, frame.lanes, mask)
                factor = self.gather(inner, base, columns, mask)
                return [multiply_add(inner, self.masked(inner, cell, mask), factor, carried[0])]

            (total,) = self.along(code, [code.cell(0.0, frame.lanes)], body)
            code.op(Store, horizontal(code, total), code.at(self.block.kept(code, result, k), self.j))
            return []

        self.code.loop(self.code.integer(0), frame.length_of(result), 1, [], column)

    def gather(self, code: Code, base: Value, columns: Value, mask: Value | None) -> Value:
        chosen = code(Mask, code.integer(self.frame.lanes), lanes=self.frame.lanes) if mask is None else mask
        return code.gather(base, columns, chosen)

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
            if lanes == 1:
                return code(Load, code.at(row, columns), types=[code.elem])
            return self.gather(code, row, columns, mask)
        operands = [self.value(code, v, p, columns, lanes, mask) for v in op.operands]
        return self.frame.compute(code, op, operands, lanes)


__all__ = ["ROWS", "CsrLoops", "i64"]
