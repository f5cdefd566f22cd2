"""Loops of cell kernels over CSR inputs. They see stored entries only; the run time accounts for the zeros."""

from __future__ import annotations

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.kernel_lanes import Integer, Mask, Select
from sysmlc.ir.dialects.kernel_memory import Load, LoadMasked, Store
from sysmlc.ir.types import f64, i32, i64, vector
from sysmlc.passes.cell_body import Code, Frame, Output, State, start, step, store_full, store_row
from sysmlc.passes.cell_states import (
    clean_columns,
    column_partials,
    flat,
    load_vector,
    neutral,
    split,
    step_column,
    store_vector,
)


def csr_loops(frame: Frame, driver: int) -> None:
    """Write the loops over the non-zeros of one input; the others are read at the same places."""
    _Csr(frame, driver).emit()


class _Csr:
    def __init__(self, frame: Frame, driver: int) -> None:
        self.frame, self.driver = frame, driver
        self.full, self.rows = frame.of_kind("full"), frame.of_kind("row")
        self.maps, self.cols = frame.of_kind("map"), frame.of_kind("col")
        # Columns of a row are distinct, but lanes may come from several rows or hit one cache line: add one by one.
        self.lanes = 1 if self.cols else frame.lanes
        self.others = [i for i in frame.inputs if i != driver]

    def emit(self) -> None:
        frame, code = self.frame, self.frame.code
        self.bases = [frame.field("in", i) for i in frame.inputs]
        self.strides = [frame.field("in_rs", i) for i in frame.inputs]
        self.outs = {o.index: frame.field("out", o.index) for o in frame.outputs}
        self.errors = {o.index: frame.field("out_rs", o.index) for o in self.cols}
        self.colidx = frame.field("colidx")
        rowptr = frame.field("rowptr")
        states = [start(code, o.fn, self.lanes) for o in self.full]

        def segment(inner: Code, r: Value, carried: list[Value]) -> list[Value]:
            first = inner.load_i64(rowptr, r)
            last = inner.load_i64(rowptr, inner.add(r, height))
            return flat(self.entries(inner, r, first, last, split(carried, states)[0]))

        height = self.rows_at_a_time(code)
        done = code.loop(frame.r0, frame.r1, height, flat(states), segment)
        for output, state in zip(self.full, split(done, states)[0], strict=True):
            store_full(frame, output, state)
        clean_columns(frame, self.outs, self.errors)

    def rows_at_a_time(self, code: Code) -> Value:
        """All rows are one run of non-zeros when nothing depends on the row: then short rows cost nothing."""
        one = code.integer(1)
        if self.rows or self.cols or any(self.frame.is_vector[i] for i in self.others):
            return one
        steps = code.integer(0)
        for i in self.others:
            steps = code.add(steps, self.strides[i])
        height = code.sub(self.frame.r1, self.frame.r0)
        some = code(Select, code.relation("ilt", height, one), one, height)
        return code(Select, code.relation("ieq", steps, code.integer(0)), some, one)

    def entries(self, code: Code, r: Value, first: Value, last: Value, full: list[State]) -> list[State]:
        """The non-zeros `first` to `last`, all of row `r` (or of rows that need not be told apart)."""
        places: dict[int, Value] = {}
        for i in self.others:
            address = code.at(self.bases[i], code.mul(r, self.strides[i]))
            vector_class = self.frame.is_vector[i]
            places[i] = (
                address if vector_class else code.wide(code(Load, address, types=[code.elem]), self.lanes)
            )
        states = [*full, *(start(code, o.fn, self.lanes) for o in self.rows)]

        def main(inner: Code, p: Value, carried: list[Value]) -> list[Value]:
            return flat(self.at(inner, p, places, split(carried, states)[0], None))

        def tail(inner: Code, p: Value, carried: list[Value]) -> list[Value]:
            mask = inner(Mask, inner.sub(last, p), lanes=self.lanes)
            return flat(self.at(inner, p, places, split(carried, states)[0], mask))

        if self.lanes == 1:
            done = code.loop(first, last, 1, flat(states), main)
        else:
            count = code.sub(last, first)
            middle = code.add(first, code(Integer, "iand", count, code.integer(-self.lanes)))
            done = code.loop(first, middle, self.lanes, flat(states), main)
            done = code.loop(middle, last, self.lanes, done, tail)
        final = split(done, states)[0]
        for output, state in zip(self.rows, final[len(full) :], strict=True):
            store_row(code, output, state, self.outs[output.index], r)
        return final[: len(full)]

    def at(
        self, code: Code, p: Value, places: dict[int, Value], states: list[State], mask: Value | None
    ) -> list[State]:
        """The body at the non-zeros from position `p`: one for each lane."""
        lanes = self.lanes
        index = code.at(self.colidx, p, "i32")
        value = code.at(self.bases[self.driver], p)
        needs_column = bool(self.cols) or any(self.frame.is_vector[i] for i in self.others)
        if lanes == 1:
            columns = code(Load, index, types=[i64], width="i32")
            known = {self.driver: code(Load, value, types=[code.elem])}
            for i in self.others:
                vector_class = self.frame.is_vector[i]
                known[i] = (
                    code(Load, code.at(places[i], columns), types=[code.elem]) if vector_class else places[i]
                )
        else:
            known = {self.driver: load_vector(code, value, lanes, mask)}
            chosen = code(Mask, code.integer(lanes), lanes=lanes) if mask is None else mask
            type = vector(lanes, i32)
            if needs_column:
                columns = (
                    code(Load, index, types=[type])
                    if mask is None
                    else code(LoadMasked, index, mask, types=[type])
                )
            for i in self.others:
                vector_class = self.frame.is_vector[i]
                known[i] = code.gather(places[i], columns, chosen) if vector_class else places[i]
        results = self.frame.evaluate(code, [known[i] for i in self.frame.inputs], lanes)
        for output in self.maps:
            store_vector(code, results[output.index], code.at(self.outs[output.index], p), mask)
        for output in self.cols:
            add_to_column(code, output, self.outs, self.errors, columns, results[output.index])
        return [
            step(code, o.fn, state, neutral(code, o, results[o.index], mask, lanes))
            for o, state in zip([*self.full, *self.rows], states, strict=True)
        ]


def add_to_column(
    code: Code, output: Output, outs: dict[int, Value], errors: dict[int, Value], column: Value, value: Value
) -> None:
    """Fold one cell into the partial result of its column."""
    addresses = column_partials(code, output, column, outs, errors)
    state = step_column(code, output, [code(Load, a, types=[f64]) for a in addresses], value)
    for made, address in zip(state, addresses, strict=True):
        code.op(Store, made, address)
