"""States of aggregates in loops and in memory."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.kernel import Load, LoadMasked, Mask, Select, Store, StoreMasked
from sysmlc.ir.types import f64, vector
from sysmlc.passes.cell_body import IDENTITY, Code, Frame, Output, State, finish


def split(values: Sequence[Value], states: Sequence[State]) -> tuple[list[State], list[Value]]:
    """Cut a flat list of carried values into states of the given sizes; also what is left over."""
    made, at = [], 0
    for state in states:
        made.append(list(values[at : at + len(state)]))
        at += len(state)
    return made, list(values[at:])


def flat(states: Sequence[State]) -> list[Value]:
    return [v for state in states for v in state]


def load_vector(code: Code, address: Value, lanes: int, mask: Value | None) -> Value:
    """A vector of cells; with a mask, zeros in the other lanes."""
    type = vector(lanes, f64)
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
    return code(Select, mask, value, code.wide(code.number(IDENTITY[output.fn]), lanes))


def clean_columns(frame: Frame, outs: dict[int, Value], errors: dict[int, Value]) -> None:
    """Compensations of columns whose sum is not finite are NaN by now: make them 0."""
    sums = [o for o in frame.of_kind("col") if o.fn == "sum"]

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
