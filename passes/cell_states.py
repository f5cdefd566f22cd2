"""States of aggregates in loops and in memory."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel_lanes import Mask, Select
from sysmlc.ir.dialects.kernel_memory import Load, LoadMasked, Store, StoreMasked
from sysmlc.ir.types import Scalar, f64, vector
from sysmlc.passes.cell_body import IDENTITY, Code, Frame, Output, State, finish, step


def split(values: Sequence[Value], states: Sequence[State]) -> tuple[list[State], list[Value]]:
    """Cut a flat list of carried values into states of the given sizes; also what is left over."""
    made, at = [], 0
    for state in states:
        made.append(list(values[at : at + len(state)]))
        at += len(state)
    return made, list(values[at:])


def flat(states: Sequence[State]) -> list[Value]:
    return [v for state in states for v in state]


def load_vector(
    code: Code, address: Value, lanes: int, mask: Value | None, elem: Scalar | None = None
) -> Value:
    """A vector of cells (or of another element); with a mask, zeros in the other lanes."""
    type = vector(lanes, elem or code.elem)
    return (
        code(Load, address, types=[type]) if mask is None else code(LoadMasked, address, mask, types=[type])
    )


def store_vector(code: Code, value: Value, address: Value, mask: Value | None) -> None:
    if mask is None:
        code.op(Store, value, address)
    else:
        code.op(StoreMasked, value, address, mask)


def neutral(code: Code, output: Output, value: Value, mask: Value | None, lanes: int) -> Value:
    if mask is None:
        return value
    return code(Select, mask, value, code.cell(IDENTITY[output.fn], lanes))


def column_partials(
    code: Code, output: Output, column: Value, outs: dict[int, Value], errors: dict[int, Value]
) -> list[Value]:
    """Where the partial result of a column is, and its compensation if there is one."""
    place = code.partial(outs[output.index], column)
    if output.fn == "sum" and code.elem is f64:
        return [place, code.partial(place, errors[output.index])]
    return [place]


def step_column(code: Code, output: Output, state: State, cell: Value) -> State:
    """The partial result of a column after one more cell."""
    if output.fn == "sum":
        return step(code, "sum", state, cell)
    fn = "mul" if output.fn == "prod" else output.fn
    return [code(Binary, fn, state[0], code.widened(cell))]


def clean_columns(frame: Frame, outs: dict[int, Value], errors: dict[int, Value]) -> None:
    """Compensations of columns whose sum is not finite are NaN by now: make them 0. (Sums of f32 have none.)"""
    sums = [o for o in frame.of_kind("col") if o.fn == "sum" and frame.elem is f64]

    def body(inner: Code, c: Value, carried: list[Value]) -> list[Value]:
        mask = inner(Mask, inner.sub(frame.c1, c), lanes=frame.lanes)
        for output in sums:
            total = inner.at(outs[output.index], c)
            error = inner.at(total, errors[output.index])
            state = [load_vector(inner, a, frame.lanes, mask) for a in (total, error)]
            store_vector(inner, finish(inner, "sum", state, frame.lanes)[1], error, mask)
        return []

    if sums:
        frame.code.loop(frame.c0, frame.c1, frame.lanes, [], body)
