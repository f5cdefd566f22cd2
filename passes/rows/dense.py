"""Loops over dense rows: a block of rows at a time, some columns in each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel_lanes import Integer, Mask, Select
from sysmlc.ir.dialects.kernel_memory import Load, Prefetch, Store
from sysmlc.ir.types import f64
from sysmlc.passes import cell_body
from sysmlc.passes.cell_body import (
    EXPENSIVE,
    Code,
    State,
    across_lanes,
    across_rows,
    cell_of,
    start,
    step,
)
from sysmlc.passes.cell_places import PLACES, columns_from, step_place
from sysmlc.passes.cell_states import flat, load_vector, neutral, split, store_vector
from sysmlc.passes.rows.frame import (
    ROWS,
    Block,
    by_steps,
    close_sum,
    horizontal,
    multiply_add,
    open_sum,
    row_sums,
)
from sysmlc.passes.rows.lengths import is_matmul
from sysmlc.passes.rows.plan import Output, reduction_of
from sysmlc.passes.rows.turned import SHORT, turned_product
from sysmlc.passes.rows.wide import Actions, factors

FETCH_BLOCK = 524288
"""Bytes of a block up to which the next block is fetched: beyond that it would be gone when its turn comes."""
CACHE_LINE = 64
"""Bytes."""
FULL_WIDTH = 64
"""Bytes of a vector, of which there are 32 registers then."""
LONG = EXPENSIVE - {"div", "sqrt"}
"""Operations that are many instructions."""

Scan = int | Op | Output
"""A loop over the scanned matrix: the one that most actions of a level share, a product with a side, or an outer product."""
Step = Callable[[Code, Value, Value | None, list[Value]], list[Value]]


def scans_of(level: int, actions: Actions) -> list[Scan]:
    """The loops of one level over the scanned matrix."""
    return [*([level] if actions.joint else []), *actions.matmuls, *actions.broad]


class DenseLoops:
    """The loops over the scanned rows of one block at one level."""

    def __init__(self, block: Block, level: int, actions: Actions, scans: Sequence[Scan]) -> None:
        self.block, self.frame, self.plan = block, block.frame, block.frame.plan
        self.level, self.actions = level, actions
        self.scans = scans
        """All loops over the scanned matrix: each fetches its share of the next block."""
        self.lanes = self.frame.lanes
        self.splats: dict[tuple[Value, int], Value] = {}
        self.bases: dict[tuple[Value, int], Value] = {}

    def emit(self) -> None:
        if self.actions.joint:
            self.joint()
            for op in self.actions.reductions:
                slot = self.frame.slot[op.results[0]]
                self.block.single[op.results[0]] = self.block.load(self.block.code, slot)
        for op in self.actions.matmuls:
            self.matmul(op)
        for output in self.actions.broad:
            self.broad(output)

    # -- values ------------------------------------------------------------------------------------------------------

    def prepare(self, value: Value) -> None:
        """Compute before the loop what a wide value needs and does not depend on the column."""
        plan, code = self.plan, self.block.code
        kind, op = plan.kind[value], value.op
        if kind == "single":
            for j in range(self.block.rows):
                if (value, j) not in self.splats:
                    number = self.block.number(code, value, self.block.index(code, j))
                    self.splats[value, j] = code.wide(number, self.lanes)
        elif kind == "wide" and (op is None or self.is_kept_before(value)):
            for j in range(self.block.rows):
                if op is None:
                    self.bases[value, j] = self.block.row_address(code, value.index, j)
                else:
                    self.bases[value, j] = self.kept_row(code, value, j)
        elif kind == "wide" and op is not None:
            for v in op.operands:
                self.prepare(v)

    def is_kept_before(self, value: Value) -> bool:
        return value in self.plan.kept and (self.plan.level[value] < self.level or value in self.done)

    done: frozenset[Value] = frozenset()

    def kept_row(self, code: Code, value: Value, j: int) -> Value:
        return code.at(self.frame.slot[value], code.mul(self.frame.cols, self.block.index(code, j)))

    def value(
        self,
        code: Code,
        value: Value,
        j: int,
        c: Value,
        mask: Value | None,
        known: dict[tuple[Value, int], Value],
    ) -> Value:
        """A vector of columns of row `j`."""
        key = (value, j)
        if key not in known:
            known[key] = self._value(code, value, j, c, mask, known)
        return known[key]

    def _value(
        self,
        code: Code,
        value: Value,
        j: int,
        c: Value,
        mask: Value | None,
        known: dict[tuple[Value, int], Value],
    ) -> Value:
        kind, op = self.plan.kind[value], value.op
        if kind == "scalar":
            return self.frame.scalar(code, value, self.lanes)
        if kind == "single":
            return self.splats[value, j]
        if (value, j) in self.bases:
            return load_vector(code, code.at(self.bases[value, j], c), self.lanes, mask)
        assert op is not None
        operands = [self.value(code, v, j, c, mask, known) for v in op.operands]
        return self.frame.compute(code, op, operands, self.lanes)

    @property
    def is_masked(self) -> bool:
        """Whether one loop with a mask is enough: for the few rows that make no block, whose code should be short, where masks
        are registers."""
        block = self.block
        return block.rows == 1 and block.place is None and self.lanes * block.code.cell_size == FULL_WIDTH

    def loop(self, inits: list[Value], body: Step) -> list[Value]:
        """A loop over the columns: whole vectors, then the lanes of the last one."""
        code, lanes, cols = self.block.code, self.lanes, self.frame.cols
        zero = code.integer(0)
        if self.is_masked:

            def some(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
                return body(inner, c, inner(Mask, inner.sub(cols, c), lanes=lanes), carried)

            return code.loop(zero, cols, lanes, inits, some)
        main = code(Integer, "iand", cols, code.integer(-lanes))
        done = code.loop(zero, main, lanes, inits, lambda inner, c, carried: body(inner, c, None, carried))

        def tail(inner: Code) -> list[Value]:
            mask = inner(Mask, inner.sub(cols, main), lanes=lanes)
            return body(inner, main, mask, done)

        return code.when(code.relation("ilt", main, cols), tail, lambda inner: done)

    def fetch_from(self, scan: Scan) -> Value:
        """Where this loop's share of the next block begins."""
        turn, turns = self.scans.index(scan), len(self.scans)
        code, cols = self.block.code, self.frame.cols
        rows = self.block.rows if self.block.place is None else ROWS
        block = code.mul(self.frame.strides[0], code.integer(rows))
        near = code.relation("ilt", block, code.integer(FETCH_BLOCK // code.cell_size))
        ahead = code(Select, near, block, code.integer(0))
        if self.block.place is not None:
            return code.at(self.block.row_address(code, 0, 0), ahead)
        skip = code.mul(cols, code.integer(turn * -(-self.block.rows // turns)))
        return code.at(self.block.addresses[0], code.add(ahead, skip))

    def fetch(self, code: Code, place: Value, c: Value) -> None:
        """Ask for a share of the next block: rows lie one after the other, so that lines are taken in order."""
        lines = -(-self.block.rows // len(self.scans))
        at = code.at(place, code.mul(c, code.integer(lines)))
        for n in range(lines):
            for line in range(0, self.lanes, CACHE_LINE // code.cell_size):
                code.op(Prefetch, code.at(at, code.integer(n * self.lanes + line)), far=True)

    def fetch_once(self, code: Code, following: Value, k: Value) -> Value:
        """What a loop over columns fetches when it comes by for columns from `k` on: later on, what is there already."""
        return code(Select, code.relation("ilt", k, self.frame.one), following, self.block.addresses[0])

    # -- the loop that most actions share --------------------------------------------------------------------------

    def joint(self) -> None:
        """All rows side by side; but row by row where there is much to compute, and code for eight would only be longer."""
        block = self.block
        if block.rows == 1 or not any(self.is_much(value) for value in self.actions.joint_values()):
            self.joint_loop()
            return

        def row(code: Code, j: Value, _: list[Value]) -> list[Value]:
            DenseLoops(block.one_row(code, j), self.level, self.actions, self.scans).joint_loop()
            return []

        block.code.loop(block.code.integer(0), block.code.integer(block.rows), 1, [], row)

    def is_much(self, value: Value) -> bool:
        """Whether computing a wide value here takes long."""
        op = value.op
        if op is None or self.plan.kind[value] != "wide" or self.is_kept_before(value):
            return False
        return op.fn in LONG or any(self.is_much(v) for v in op.operands)

    def joint_loop(self) -> None:
        block, code, frame, actions = self.block, self.block.code, self.frame, self.actions
        rows = range(block.rows)
        self.splats, self.bases = {}, {}
        for op in actions.reductions:
            self.prepare(op.operands[0])
        for value in actions.kept:
            self.prepare(value)
        for output in [*actions.maps, *actions.sums]:
            self.prepare(output.values[0])
        for output in actions.products:
            for value in output.values:
                self.prepare(value)
        states: list[State] = []
        for op in actions.reductions:
            for _ in rows:
                zero = code.cell(0.0, self.lanes)
                states.append([zero] if is_matmul(op) else start(code, reduction_of(op)[0], self.lanes))
        maps = {
            (o.index, j): code.at(
                frame.outs[o.index],
                code.mul(code.add(block.first, block.index(code, j)), frame.out_strides[o.index]),
            )
            for o in actions.maps
            for j in rows
        }

        following = self.fetch_from(self.level)
        has_places = any(not is_matmul(op) and reduction_of(op)[0] in PLACES for op in actions.reductions)

        def body(inner: Code, c: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
            known: dict[tuple[Value, int], Value] = {}
            parts, made = split(carried, states)[0], []
            if mask is None and (block.rows > 1 or (block.place is not None and self.scans[0] == self.level)):
                self.fetch(inner, following, c)
            columns = columns_from(inner, c, self.lanes) if has_places else None
            for n, op in enumerate(actions.reductions):
                side = (
                    load_vector(inner, inner.at(frame.inputs[op.operands[1].index], c), self.lanes, mask)
                    if is_matmul(op)
                    else None
                )
                for j in rows:
                    cell = self.value(inner, op.operands[0], j, c, mask, known)
                    made.append(self.reduce(inner, op, parts[n * block.rows + j], cell, side, mask, columns))
            for value in actions.kept:
                for j in rows:
                    cell = self.value(inner, value, j, c, mask, known)
                    place = inner.at(self.kept_row(inner, value, j), c)
                    store_vector(inner, cell, place, mask)
            for output in actions.maps:
                for j in rows:
                    cell = self.value(inner, output.values[0], j, c, mask, known)
                    store_vector(inner, cell, inner.at(maps[output.index, j], c), mask)
            for output in actions.sums:
                place = inner.partial(frame.outs[output.index], c)
                places = frame.sum_places(inner, place, frame.cols)
                state = [load_vector(inner, a, self.lanes, mask, f64) for a in places]
                for j in rows:
                    cell = self.value(inner, output.values[0], j, c, mask, known)
                    state = step(inner, "sum", state, cell)
                for v, a in zip(state, places, strict=True):
                    store_vector(inner, v, a, mask)
            for output in actions.products:
                wide, single = factors(self.plan, output)
                place = inner.partial(frame.outs[output.index], c)
                total = open_sum(inner, place, self.lanes, mask)
                for j in rows:
                    cell = self.value(inner, wide, j, c, mask, known)
                    total = multiply_add(inner, cell, self.splats[single, j], total)
                store_vector(inner, close_sum(inner, total, place, self.lanes, mask), place, mask)
            return flat(made)

        done = split(self.loop(flat(states), body), states)[0]
        for n, op in enumerate(actions.reductions):
            slot, ends = frame.slot[op.results[0]], done[n * block.rows : (n + 1) * block.rows]
            if block.rows == 1:
                code.op(Store, self.total(code, op, ends[0]), code.at(slot, block.index(code, 0)))
            elif is_matmul(op):
                block.store(code, row_sums(code, [end[0] for end in ends]), slot)
            else:
                fn = reduction_of(op)[0]
                cells = [cell_of(code, fn, s, block.lanes) for s in across_rows(code, fn, ends)]
                block.store(code, cells, slot)

    def reduce(
        self,
        code: Code,
        op: Op,
        state: State,
        cell: Value,
        side: Value | None,
        mask: Value | None,
        columns: Value | None,
    ) -> State:
        if side is not None:
            if mask is not None and cell.op is not None and not isinstance(cell.op, Load):
                zero = code.cell(0.0, self.lanes)
                cell = code(Select, mask, cell, zero)
            return [multiply_add(code, cell, side, state[0])]
        fn, square = reduction_of(op)
        cell = code(Binary, "mul", cell, cell) if square else cell
        if columns is not None and fn in PLACES:
            known = cell if mask is None else code(Select, mask, cell, code.cell(nan, self.lanes))
            return step_place(code, fn, state, known, columns)
        return step(code, fn, state, neutral(code, cell_body.Output(0, "row", fn), cell, mask, self.lanes))

    def total(self, code: Code, op: Op, state: State) -> Value:
        """The number of a row."""
        if is_matmul(op):
            return horizontal(code, state[0])
        fn = reduction_of(op)[0]
        return cell_of(code, fn, across_lanes(code, fn, state))

    # -- products with several columns -----------------------------------------------------------------------------

    @property
    def steps(self) -> Sequence[int]:
        """How many columns are done at a time: two like three."""
        full = self.lanes * self.block.code.cell_size == FULL_WIDTH
        return (3, 1) if full and self.block.rows > 1 else (1,)

    def matmul(self, op: Op) -> None:
        """The row times a side, whose columns lie one after the other: some columns at a time."""
        block, code = self.block, self.block.code
        if block.rows == 1:
            self.long_product(op)
            return

        following, lines = self.fetch_from(op), -(-block.rows // len(self.scans))

        def fetch(inner: Code, c: Value) -> None:
            inner.op(Prefetch, inner.at(following, inner.mul(c, inner.integer(lines))), far=True)

        def turn(inner: Code) -> list[Value]:
            turned_product(block, inner, op, self.level, fetch)
            return []

        def long(inner: Code) -> list[Value]:
            block.code = inner
            self.long_product(op)
            return []

        code.when(code.relation("ilt", self.frame.cols, code.integer(SHORT + 1)), turn, long)
        block.code = code

    def long_product(self, op: Op) -> None:
        block, frame = self.block, self.frame
        wide, side, result = op.operands[0], op.operands[1].index, op.results[0]
        rows = range(block.rows)
        outer = block.code
        self.done = frozenset(self.actions.kept)
        length = frame.length_of(result)
        following = self.fetch_from(op)

        def columns(code: Code, numbers: list[Value]) -> None:
            block.code = code
            self.splats, self.bases = {}, {}
            self.prepare(wide)
            count = len(numbers)
            sides = [code.at(frame.inputs[side], code.mul(k, frame.cols)) for k in numbers]
            zero = code.cell(0.0, self.lanes)
            ahead = self.fetch_once(code, following, numbers[0])

            def body(inner: Code, c: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
                known: dict[tuple[Value, int], Value] = {}
                if mask is None and block.rows > 1:
                    self.fetch(inner, ahead, c)
                factor = [load_vector(inner, inner.at(s, c), self.lanes, mask) for s in sides]
                made = []
                for j in rows:
                    cell = self.value(inner, wide, j, c, mask, known)
                    if mask is not None:
                        cell = inner(Select, mask, cell, zero)
                    for n in range(count):
                        made.append(multiply_add(inner, cell, factor[n], carried[j * count + n]))
                return made

            done = self.loop([zero] * (block.rows * count), body)
            for n, k in enumerate(numbers):
                block.store(code, row_sums(code, done[n::count]), block.kept(code, result, k))

        by_steps(outer, length, self.steps, columns)
        block.code = outer
        self.done = frozenset()

    def broad(self, output: Output) -> None:
        """Outer products, added to a partial result with one row for each column of the narrow factor.

        Sums for some of its columns stay in registers while the rows of the block pass by; numbers of the narrow factor are
        read as often as they are used, which the multiplication does on its way.
        """
        block, frame = self.block, self.frame
        wide, narrow = factors(self.plan, output)
        outer = block.code
        following = self.fetch_from(output)

        def columns(code: Code, numbers: list[Value]) -> None:
            block.code = code
            places = [code.partial(frame.outs[output.index], code.mul(n, frame.cols)) for n in numbers]
            kept = [] if narrow.op is None else [block.kept(code, narrow, n) for n in numbers]
            ahead = self.fetch_once(code, following, numbers[0])

            def body(inner: Code, c: Value, mask: Value | None, carried: list[Value]) -> list[Value]:
                if mask is None and block.rows > 1:
                    self.fetch(inner, ahead, c)

                def row(code: Code, j: Value, sums: list[Value]) -> list[Value]:
                    one = DenseLoops(block.one_row(code, j), self.level, self.actions, self.scans)
                    one.done = frozenset(self.actions.kept)
                    one.prepare(wide)
                    cell = one.value(code, wide, 0, c, mask, {})
                    made = []
                    for n, total in enumerate(sums):
                        if narrow.op is None:
                            place = code.at(one.block.row_address(code, narrow.index, 0), numbers[n])
                        else:
                            place = code.at(kept[n], j)
                        number = code(Load, place, types=[code.elem])
                        made.append(multiply_add(code, cell, code.wide(number, self.lanes), total))
                    return made

                addresses = [inner.partial(p, c) for p in places]
                totals = [open_sum(inner, a, self.lanes, mask) for a in addresses]
                totals = inner.loop(inner.integer(0), inner.integer(block.rows), 1, totals, row)
                # Two places may be the same: all are read first.
                ends = [
                    close_sum(inner, t, a, self.lanes, mask) for t, a in zip(totals, addresses, strict=True)
                ]
                for end, address in zip(ends, addresses, strict=True):
                    store_vector(inner, end, address, mask)
                return []

            self.loop([], body)

        by_steps(outer, frame.length_of(narrow), (8, 3, 1) if block.rows > 1 else (1,), columns)
        block.code = outer


assert ROWS % 8 == 0
