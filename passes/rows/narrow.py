"""Loops over values with few columns: one row in each lane."""

from __future__ import annotations

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel_memory import Load, Store
from sysmlc.ir.types import f64
from sysmlc.passes.cell_body import EXTREMES, Code, State, cell_of, start, step
from sysmlc.passes.cell_places import PLACES, same_column, step_place
from sysmlc.passes.cell_states import flat, split
from sysmlc.passes.rows.frame import ROWS, Block, multiply_add
from sysmlc.passes.rows.lengths import first_column, is_assembly, is_matmul, is_reduction
from sysmlc.passes.rows.plan import Output, reduction_of


def compute_singles(block: Block, level: int) -> None:
    """What has one number a row and is known at this level, with what is put together; and outputs made of it."""
    frame, plan, code = block.frame, block.frame.plan, block.code
    for op in plan.ops:
        value = op.results[0]
        if is_assembly(op):
            if plan.level[value] == level:
                _assemble(block, op)
            continue
        if plan.kind[value] != "single" or plan.level[value] != level or value in block.single:
            continue
        operands = [
            block.single[v]
            if plan.kind[v] == "single"
            else [frame.scalar(code, v, block.lanes)] * block.groups
            for v in op.operands
        ]
        if is_reduction(op):
            fn, square = reduction_of(op)
            made = [code(Binary, "mul", v, v) if square else v for v in operands[0]]
            if fn in PLACES:
                made = [code.cell(1.0, block.lanes)] * block.groups
        else:
            made = [
                frame.compute(code, op, [o[g] for o in operands], block.lanes) for g in range(block.groups)
            ]
        block.single[value] = made
        block.store(code, made, frame.slot[value])
    for output in plan.outputs:
        value = output.values[0]
        if output.kind == "product" or plan.kind[value] != "single" or plan.output_level(output) != level:
            continue
        if output.kind == "map":
            block.store(code, block.single[value], code.at(frame.outs[output.index], block.first))
        else:
            _accumulate(block, code, output, block.single[value], code.integer(0))


def _accumulate(block: Block, code: Code, output: Output, values: list[Value], k: Value) -> None:
    """Fold one column of the block into a partial result, which keeps a state for each row of a block."""
    fn = output.fn
    base = code.partial(block.frame.outs[output.index], code.mul(k, code.integer(2 * ROWS)))
    places = [base, code.partial(base, code.integer(ROWS))]
    if fn == "sum":
        places = block.frame.sum_places(code, base, code.integer(ROWS))
    before = [block.load(code, p, f64) for p in places]
    made: list[State] = []
    for g, value in enumerate(values):
        state = [part[g] for part in before]
        if fn in EXTREMES:  # which are cells
            state = [code.rounded(v) for v in state]
        state = step(code, fn, state, value)
        made.append([code.widened(v) for v in state] if fn in EXTREMES else state)
    for part, place in enumerate(places):
        block.store(code, [s[part] for s in made], place, f64)


def narrow_loops(block: Block, level: int) -> None:
    """For each class of narrow values, one loop over their columns."""
    plan = block.frame.plan
    classes = sorted({plan.lengths.class_of(v) or 0 for v, kind in plan.kind.items() if kind == "narrow"})
    for number in classes:
        _Narrow(block, level, number).emit()


def _assemble(block: Block, op: Op) -> None:
    """Columns of other values, put into scratch memory side by side."""
    code, frame, value = block.code, block.frame, op.results[0]
    is_range = op.name == "dml.index"
    first = code.integer(first_column(op) if is_range else 0)
    if frame.plan.kind[value] == "single":
        block.single[value] = _cells(block, code, op.operands[0], first)
        block.store(code, block.single[value], frame.slot[value])
        return
    place = code.integer(0)
    for piece in op.operands[:1] if is_range else op.operands:
        length = frame.length_of(value if is_range else piece)
        _copy(block, piece, first, value, place, length)
        place = code.add(place, length)


def _copy(block: Block, source: Value, first: Value, target: Value, place: Value, count: Value) -> None:
    """Columns of a value, from `first` on, to those of another, from `place` on."""

    def column(code: Code, k: Value, _: list[Value]) -> list[Value]:
        cells = _cells(block, code, source, code.add(first, k))
        block.store(code, cells, block.kept(code, target, code.add(place, k)))
        return []

    if block.frame.plan.kind[source] in ("single", "scalar"):
        column(block.code, block.code.integer(0), [])
    else:
        block.code.loop(block.code.integer(0), count, 1, [], column)


def narrow_products(block: Block, level: int) -> None:
    """Outer products of values with few columns, added to partial results that keep a sum for each row of a block."""
    plan = block.frame.plan
    for output in plan.outputs:
        few = all(plan.kind[v] != "wide" for v in output.values)
        if output.kind == "product" and few and plan.output_level(output) == level:
            _add_product(block, output)


def _add_product(block: Block, output: Output) -> None:
    a, b = output.values
    base, across = block.frame.outs[output.index], block.frame.length_of(b)

    def row(outer: Code, i: Value, _: list[Value]) -> list[Value]:
        left = _cells(block, outer, a, i)
        start = outer.partial(base, outer.mul(outer.mul(i, across), outer.integer(ROWS)))

        def cell(inner: Code, k: Value, _: list[Value]) -> list[Value]:
            place = inner.partial(start, inner.mul(k, inner.integer(ROWS)))
            terms = zip(left, _cells(block, inner, b, k), block.load(inner, place, f64), strict=True)
            sums = [multiply_add(inner, inner.widened(v), inner.widened(w), t) for v, w, t in terms]
            block.store(inner, sums, place, f64)
            return []

        outer.loop(outer.integer(0), across, 1, [], cell)
        return []

    block.code.loop(block.code.integer(0), block.frame.length_of(a), 1, [], row)


def _cells(block: Block, code: Code, value: Value, k: Value) -> list[Value]:
    """Column `k` of a value with few columns that is kept or given, by groups of rows."""
    kind = block.frame.plan.kind[value]
    if kind == "single":
        return block.single[value]
    if kind == "scalar":
        return [block.frame.scalar(code, value, block.lanes)] * block.groups
    if value.op is None:
        return block.column(code, value.index, k)
    return block.load(code, block.kept(code, value, k))


class _Narrow:
    def __init__(self, block: Block, level: int, number: int) -> None:
        self.block, self.frame, self.plan, self.level = block, block.frame, block.frame.plan, level
        plan = self.plan

        def here(value: Value) -> bool:
            return plan.kind.get(value) == "narrow" and plan.lengths.class_of(value) == number

        self.reductions = [
            op
            for op in plan.ops
            if is_reduction(op) and here(op.operands[0]) and plan.level[op.operands[0]] == level
        ]
        self.kept = [
            op.results[0]
            for op in plan.ops
            if here(v := op.results[0])
            and v in plan.kept
            and plan.level[v] == level
            and not (is_matmul(op) or is_assembly(op))
        ]
        self.outputs = [
            o
            for o in plan.outputs
            if o.kind != "product" and here(o.values[0]) and plan.output_level(o) == level
        ]
        self.length = self.frame.length[number]

    def emit(self) -> None:
        block, code = self.block, self.block.code
        if not (self.reductions or self.kept or self.outputs):
            return
        states: list[State] = [
            start(code, reduction_of(op)[0], block.lanes)
            for op in self.reductions
            for _ in range(block.groups)
        ]

        def body(inner: Code, k: Value, carried: list[Value]) -> list[Value]:
            return flat(self.column(inner, k, split(carried, states)[0]))

        done = split(code.loop(code.integer(0), self.length, 1, flat(states), body), states)[0]
        for n, op in enumerate(self.reductions):
            fn = reduction_of(op)[0]
            states = done[n * block.groups : (n + 1) * block.groups]
            made = [cell_of(code, fn, state, block.lanes) for state in states]
            block.single[op.results[0]] = made
            block.store(code, made, self.frame.slot[op.results[0]])

    def column(self, code: Code, k: Value, states: list[State]) -> list[State]:
        block = self.block
        known: dict[Value, list[Value]] = {}
        places = any(reduction_of(op)[0] in PLACES for op in self.reductions)
        number = same_column(code, k, block.lanes) if places else None
        for value in self.kept:
            block.store(code, self.value(code, value, k, known), block.kept(code, value, k))
        made = []
        for n, op in enumerate(self.reductions):
            fn, square = reduction_of(op)
            for g, cell in enumerate(self.value(code, op.operands[0], k, known)):
                cell = code(Binary, "mul", cell, cell) if square else cell
                state = states[n * block.groups + g]
                if number is not None and fn in PLACES:
                    made.append(step_place(code, fn, state, cell, number))
                else:
                    made.append(step(code, fn, state, cell))
        for output in self.outputs:
            value = output.values[0]
            if output.kind != "map":
                _accumulate(block, code, output, self.value(code, value, k, known), k)
                continue
            stride = self.frame.out_strides[output.index]
            place = code.at(self.frame.outs[output.index], code.add(code.mul(block.first, stride), k))
            source = block.kept(code, value, k)
            for j in range(block.rows):
                offset = code.integer(j)
                cell = code(Load, code.at(source, offset), types=[code.elem])
                code.op(Store, cell, code.at(place, code.mul(stride, offset)))
        return made

    def value(self, code: Code, value: Value, k: Value, known: dict[Value, list[Value]]) -> list[Value]:
        """A value in column `k`, by groups of rows."""
        if value not in known:
            known[value] = self._value(code, value, k, known)
        return known[value]

    def _value(self, code: Code, value: Value, k: Value, known: dict[Value, list[Value]]) -> list[Value]:
        block, plan, op = self.block, self.plan, value.op
        kind = plan.kind[value]
        if kind == "scalar":
            return [self.frame.scalar(code, value, block.lanes)] * block.groups
        if kind == "single":
            return block.single[value]
        if op is None:
            return block.column(code, value.index, k)
        if is_matmul(op) or is_assembly(op) or (value in plan.kept and plan.level[value] < self.level):
            return block.load(code, block.kept(code, value, k))
        operands = [self.value(code, v, k, known) for v in op.operands]
        return [
            self.frame.compute(code, op, [o[g] for o in operands], block.lanes) for g in range(block.groups)
        ]
