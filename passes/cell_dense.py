"""Loops of dense cell kernels: rows, columns within a row, and several vectors or rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.kernel_lanes import Integer, Mask, Select
from sysmlc.ir.dialects.kernel_memory import Fence, Load, Misaligned, Prefetch, Store, StoreMasked
from sysmlc.ir.types import f64
from sysmlc.passes.cell_body import (
    EXTREMES,
    Code,
    Frame,
    LoopBody,
    Output,
    State,
    merge,
    rounded_outputs,
    start,
    step,
    store_full,
    store_row,
)
from sysmlc.passes.cell_narrow import narrow_columns, short_rows
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

PREFETCH_AHEAD = 4096
"""Bytes: this far ahead keeps one stream at full bandwidth."""
NEAR = 131072
"""Bytes that surely are still in the cache when their turn comes."""
CACHE_LINE = 64
"""Bytes in a cache line."""
COLUMN_BLOCK = 4
"""Rows that share one pass over the partial results of column aggregates."""
STRETCH = 8
"""Vectors of cells, each rounded by a function, that are added up without compensation."""
MAX_STATE = 16
"""Vectors of running values that stay in registers."""
STREAM = 1
"""SM_CELL_STREAM."""


def dense_loops(frame: Frame) -> None:
    """Write the loops of the dense form."""
    kinds = {o.kind for o in frame.outputs}
    if frame.lanes < 4 or kinds not in ({"row"}, {"col"}):
        _Dense(frame).emit()
        return
    code = frame.code
    special, limit = (short_rows, 2 * frame.lanes) if kinds == {"row"} else (narrow_columns, frame.lanes // 2)
    few = code.relation("ilt", code.sub(frame.c1, frame.c0), code.integer(limit + 1))

    def across_lanes(inner: Code) -> list[Value]:
        frame.code = inner
        special(frame)
        return []

    def along_lanes(inner: Code) -> list[Value]:
        frame.code = inner
        _Dense(frame).emit()
        return []

    code.when(few, across_lanes, along_lanes)
    frame.code = code


@dataclass
class _Row:
    """Where the cells of one row are, for each input: an address, or the value of the whole row."""

    cells: list[Value]
    maps: dict[int, Value]


class _Dense:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.lanes = frame.lanes
        self.cell_size = frame.code.cell_size
        self.full, self.rows = frame.of_kind("full"), frame.of_kind("row")
        self.maps, self.cols = frame.of_kind("map"), frame.of_kind("col")
        cheap = frame.expensive == 0 and frame.size <= 12
        self.block = COLUMN_BLOCK if self.cols and cheap else 1
        vectors = sum(1 if o.fn == "prod" else 2 for o in self.full + self.rows)
        # Two compensated sums, or extremes, already wait for their instructions and not for each other.
        long = [o.fn in EXTREMES or (o.fn == "sum" and frame.elem is f64) for o in self.full + self.rows]
        self.unroll = (2 if long and all(long) else 4) if cheap and self.block == 1 else 1
        while self.unroll * vectors > MAX_STATE and self.unroll > 1:
            self.unroll //= 2
        rounded = rounded_outputs(frame.kernel) if frame.elem is f64 else []
        self.plain = [o.fn == "sum" and o.index in rounded for o in self.full + self.rows]

    def emit(self) -> None:
        frame, code = self.frame, self.frame.code
        self.bases = [frame.field("in", i) for i in frame.inputs]
        self.strides = [frame.field("in_rs", i) for i in frame.inputs]
        self.outs = {o.index: frame.field("out", o.index) for o in self.maps + self.rows + self.cols}
        self.out_strides = {o.index: frame.field("out_rs", o.index) for o in self.maps + self.cols}
        flag = code.integer(STREAM)
        self.stream = code.relation("ieq", code(Integer, "iand", frame.field("flags"), flag), flag)
        width = code.sub(frame.c1, frame.c0)
        chunk = code.integer(-self.unroll * self.lanes)
        self.c_main = code.add(frame.c0, code(Integer, "iand", width, chunk))
        states = [start(code, o.fn, self.lanes) for o in self.full for _ in range(self.unroll)]

        def rows_of(block: int) -> LoopBody:
            def body(inner: Code, r: Value, carried: list[Value]) -> list[Value]:
                return flat(self.row_block(inner, r, block, split(carried, states)[0]))

            return body

        done, rest = flat(states), frame.r0
        if self.block > 1:
            height = code.sub(frame.r1, frame.r0)
            rest = code.add(frame.r0, code(Integer, "iand", height, code.integer(-self.block)))
            done = code.loop(frame.r0, rest, self.block, done, rows_of(self.block))
        done = code.loop(rest, frame.r1, 1, done, rows_of(1))
        finals = split(done, states)[0]
        for i, output in enumerate(self.full):
            store_full(
                frame, output, self.join(code, output, finals[i * self.unroll : (i + 1) * self.unroll])
            )
        clean_columns(frame, self.outs, self.out_strides)
        if self.maps:
            code.when(self.stream, _fence)

    def join(self, code: Code, output: Output, states: list[State]) -> State:
        while len(states) > 1:
            states = [merge(code, output.fn, a, b) for a, b in zip(states[::2], states[1::2], strict=True)]
        return states[0]

    def row_block(self, code: Code, r: Value, block: int, full: list[State]) -> list[State]:
        """`block` rows from `r`: all columns, aggregates of rows written."""
        numbers = [r if j == 0 else code.add(r, code.integer(j)) for j in range(block)]
        rows = [self.open_row(code, n) for n in numbers]
        aligned = code.integer(0)
        for row in rows:
            for address in row.maps.values():
                first = code.at(address, self.frame.c0)
                aligned = code.add(aligned, code(Misaligned, first, to=self.cell_size * self.lanes))
        stream = code(Select, code.relation("ieq", aligned, code.integer(0)), self.stream, code.number(False))
        per_row = [start(code, o.fn, self.lanes) for _ in rows for o in self.rows for _ in range(self.unroll)]
        states = [*full, *per_row]

        def main(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
            return flat(self.cells(inner, c, rows, split(carried, states)[0], None, stream))

        def tail(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
            mask = inner(Mask, inner.sub(self.frame.c1, c), lanes=self.lanes)
            return flat(self.cells(inner, c, rows, split(carried, states)[0], mask, stream))

        if any(self.plain):
            done = self.by_stretches(code, states, rows, stream)
        else:
            done = code.loop(self.frame.c0, self.c_main, self.unroll * self.lanes, flat(states), main)
        done = code.loop(self.c_main, self.frame.c1, self.lanes, done, tail)
        final = split(done, states)[0]
        at = len(full)
        for n in numbers:
            for output in self.rows:
                joined = self.join(code, output, final[at : at + self.unroll])
                store_row(code, output, joined, self.outs[output.index], n)
                at += self.unroll
        return final[: len(full)]

    def by_stretches(self, code: Code, states: list[State], rows: list[_Row], stream: Value) -> list[Value]:
        """The columns up to the last whole vector. Sums of rounded cells are plain for a few vectors: what that loses is little next to
        what the functions have lost."""
        length = code.integer(STRETCH * self.lanes)

        def stretch(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
            before = split(carried, states)[0]
            zero = inner.cell(0.0, self.lanes)
            begun = [[zero] if plain else state for plain, state in zip(self.plain, before, strict=True)]

            def vector(deep: Code, at: Value, running: list[Value]) -> list[Value]:
                return flat(self.cells(deep, at, rows, split(running, begun)[0], None, stream))

            end = inner.add(c, length)
            end = inner(Select, inner.relation("ilt", end, self.c_main), end, self.c_main)
            made = split(inner.loop(c, end, self.lanes, flat(begun), vector), begun)[0]
            every = zip(self.plain, before, made, strict=True)
            return flat([step(inner, "sum", old, new[0]) if plain else new for plain, old, new in every])

        return code.loop(self.frame.c0, self.c_main, length, flat(states), stretch)

    def open_row(self, code: Code, r: Value) -> _Row:
        cells = []
        for i in self.frame.inputs:
            address = code.at(self.bases[i], code.mul(r, self.strides[i]))
            if not self.frame.is_vector[i]:
                address = code.wide(code(Load, address, types=[code.elem]), self.lanes)
            cells.append(address)
        maps = {
            o.index: code.at(self.outs[o.index], code.mul(r, self.out_strides[o.index])) for o in self.maps
        }
        return _Row(cells, maps)

    def cells(
        self, code: Code, c: Value, rows: list[_Row], states: list[State], mask: Value | None, stream: Value
    ) -> list[State]:
        """One step of the column loop; with a mask, only the lanes it names of one vector."""
        unroll = self.unroll if mask is None else 1
        columns = [c if u == 0 else code.add(c, code.integer(u * self.lanes)) for u in range(unroll)]
        results: list[list[list[Value]]] = []
        loaded = [[self.load(code, row, column, mask) for column in columns] for row in rows]
        if mask is None:
            self.prefetch(code, rows, c)
        for cells_of_row in loaded:
            results.append([self.frame.evaluate(code, cells, self.lanes) for cells in cells_of_row])
        self.store_maps(code, rows, columns, results, mask, stream)
        states = list(states)
        for j in range(len(rows)):
            first_row_state = len(self.full) * self.unroll + j * len(self.rows) * self.unroll
            for u in range(unroll):
                for outputs, base in ((self.full, 0), (self.rows, first_row_state)):
                    for k, output in enumerate(outputs):
                        at = base + k * self.unroll + u
                        value = neutral(code, output, results[j][u][output.index], mask, self.lanes)
                        states[at] = step(code, output.fn, states[at], value)
        for u, column in enumerate(columns):
            for output in self.cols:
                values = [results[j][u][output.index] for j in range(len(rows))]
                self.add_to_columns(code, output, column, values, mask)
        return states

    def load(self, code: Code, row: _Row, column: Value, mask: Value | None) -> list[Value]:
        cells = []
        for i in self.frame.inputs:
            if not self.frame.is_vector[i]:
                cells.append(row.cells[i])
            else:
                cells.append(load_vector(code, code.at(row.cells[i], column), self.lanes, mask))
        return cells

    def prefetch(self, code: Code, rows: list[_Row], c: Value) -> None:
        for i in self.frame.inputs:
            if self.frame.is_vector[i]:
                ahead = code.add(c, self.distance(code, i, len(rows)))
                for u in range(0, self.unroll * self.lanes, CACHE_LINE // self.cell_size):
                    column = ahead if u == 0 else code.add(ahead, code.integer(u))
                    for row in rows:
                        code.op(Prefetch, code.at(row.cells[i], column))

    def distance(self, code: Code, i: int, rows: int) -> Value:
        """How far ahead to fetch: the next block of rows if it is near, else further along these."""
        along = code.integer(PREFETCH_AHEAD // self.cell_size)
        if rows == 1:
            return along
        block = code.mul(self.strides[i], code.integer(rows))
        return code(Select, code.relation("ilt", block, code.integer(NEAR // self.cell_size)), block, along)

    def store_maps(
        self,
        code: Code,
        rows: list[_Row],
        columns: list[Value],
        results: list[list[list[Value]]],
        mask: Value | None,
        stream: Value,
    ) -> None:
        places = [
            (results[j][u][o.index], code.at(row.maps[o.index], column))
            for o in self.maps
            for j, row in enumerate(rows)
            for u, column in enumerate(columns)
        ]
        if mask is not None:
            for value, address in places:
                code.op(StoreMasked, value, address, mask)
        elif places:

            def store(inner: Code, streaming: bool) -> list[Value]:
                for value, address in places:
                    inner.op(Store, value, address, streaming=streaming)
                return []

            code.when(stream, lambda inner: store(inner, True), lambda inner: store(inner, False))

    def add_to_columns(
        self, code: Code, output: Output, column: Value, values: list[Value], mask: Value | None
    ) -> None:
        """Fold values of some rows into the partial results of their columns, which are in memory (and in L1)."""
        addresses = column_partials(code, output, column, self.outs, self.out_strides)
        state = [load_vector(code, a, self.lanes, mask, f64) for a in addresses]
        for value in values:
            state = step_column(code, output, state, value)
        for value, address in zip(state, addresses, strict=True):
            store_vector(code, value, address, mask)


def _fence(code: Code) -> list[Value]:
    code.op(Fence)
    return []
