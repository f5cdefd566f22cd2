"""Products of short rows with a side of several columns: a block of rows is turned round first, one row in each lane.

Nothing is then summed across lanes, no lane is idle because rows end, and numbers of the side are the same for all lanes.
"""

from __future__ import annotations

from collections.abc import Callable

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.kernel_memory import Load
from sysmlc.passes.cell_body import Code
from sysmlc.passes.rows.frame import ROWS, Block, by_steps, multiply_add

SHORT = 96
"""Columns of a row up to which turning it round pays."""


def turned_product(
    block: Block, code: Code, op: Op, level: int, fetch: Callable[[Code, Value], None]
) -> None:
    """The block's rows times a side, into scratch memory; `fetch` asks for a share of the next block with each column."""
    frame = block.frame
    turned, cols = frame.slot[None], frame.cols
    wide, side, result = op.operands[0], op.operands[1].index, op.results[0]

    def turn(inner: Code, c: Value, _: list[Value]) -> list[Value]:
        fetch(inner, c)
        place = inner.at(turned, inner.mul(c, inner.integer(ROWS)))
        block.store(inner, _cells(block, inner, wide, c, level), place)
        return []

    code.loop(code.integer(0), cols, 1, [], turn)

    def columns(outer: Code, numbers: list[Value]) -> None:
        sides = [outer.at(frame.inputs[side], outer.mul(k, cols)) for k in numbers]
        zero = outer.cell(0.0, block.lanes)

        def body(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
            cells = block.load(inner, inner.at(turned, inner.mul(c, inner.integer(ROWS))))
            made = []
            for n, base in enumerate(sides):
                factor = inner.wide(inner(Load, inner.at(base, c), types=[inner.elem]), block.lanes)
                totals = carried[n * block.groups : (n + 1) * block.groups]
                made += [multiply_add(inner, cell, factor, t) for cell, t in zip(cells, totals, strict=True)]
            return made

        totals = outer.loop(outer.integer(0), cols, 1, [zero] * (len(numbers) * block.groups), body)
        for n, k in enumerate(numbers):
            place = block.kept(outer, result, k)
            block.store(outer, totals[n * block.groups : (n + 1) * block.groups], place)

    # Fewer sums than these would wait for themselves: four take no longer than one.
    some = (8, 4) if block.groups == 1 else (4,)
    by_steps(code, frame.length_of(result), some, columns)


def _cells(block: Block, code: Code, value: Value, c: Value, level: int) -> list[Value]:
    """Column `c` of a wide value, by groups of rows."""
    plan, frame = block.frame.plan, block.frame
    kind, op = plan.kind[value], value.op
    if kind == "scalar":
        return [frame.scalar(code, value, block.lanes)] * block.groups
    if kind == "single":
        return block.single[value]
    if op is None:
        return block.column(code, value.index, c)
    if value in plan.kept and plan.level[value] <= level:
        return block.spread(code, code.at(frame.slot[value], c), frame.cols)
    operands = [_cells(block, code, v, c, level) for v in op.operands]
    return [frame.compute(code, op, [o[g] for o in operands], block.lanes) for g in range(block.groups)]
