"""Where a row has its smallest or greatest cell: a state of running values as those of the aggregates in `cell_body`.

It is the extreme so far and the column, from 1 on, where it was seen last. NaN is never chosen; of nothing, the place is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Binary, IfElse
from sysmlc.ir.dialects.kernel_lanes import Iota, Number

if TYPE_CHECKING:
    from sysmlc.passes.cell_body import Code, State

PLACES = {"place of min": ("le", "lt", float("inf")), "place of max": ("ge", "gt", float("-inf"))}
"""The relation that keeps the later of equal cells, the strict one, and where the extreme begins."""


def start_place(code: Code, fn: str, lanes: int) -> State:
    """The state of nothing."""
    return [code.cell(PLACES[fn][2], lanes), code.cell(1.0, lanes)]


def step_place(code: Code, fn: str, state: State, value: Value, column: Value) -> State:
    """The state after the cells of one more column, or after one more vector of columns."""
    better = code(Binary, PLACES[fn][0], value, state[0])
    return [code(IfElse, better, value, state[0]), code(IfElse, better, column, state[1])]


def merge_places(code: Code, fn: str, a: State, b: State) -> State:
    """The state of both parts, whose columns may come in any order."""
    better = code(Binary, PLACES[fn][1], b[0], a[0])
    last = code(IfElse, code(Binary, "gt", b[1], a[1]), b[1], a[1])
    tied = code(IfElse, code(Binary, "eq", a[0], b[0]), last, a[1])
    return [code(IfElse, better, b[0], a[0]), code(IfElse, better, b[1], tied)]


def same_column(code: Code, k: Value, lanes: int) -> Value:
    """Column `k`, counted from 0, as places are counted: in every lane."""
    return code.wide(code(Number, code.add(k, code.integer(1)), elem=code.elem.text), lanes)


def columns_from(code: Code, c: Value, lanes: int) -> Value:
    """The columns from `c` on, counted from 0, as places are counted: one in each lane."""
    steps = code(Number, code(Iota, code.integer(1), lanes=lanes), elem=code.elem.text)
    return code(Binary, "add", same_column(code, c, lanes), steps)
