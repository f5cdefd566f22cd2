"""Aggregates of rows or columns of narrow matrices: one row in each lane, because a row does not fill a vector."""

from __future__ import annotations

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.kernel_lanes import Iota, Mask, TwoSum
from sysmlc.ir.dialects.kernel_memory import Load, Store, StoreMasked
from sysmlc.ir.types import f32, f64
from sysmlc.passes.cell_body import (
    EXTREMES,
    Code,
    Frame,
    Output,
    State,
    across_lanes,
    cell_of,
    finish,
    start,
    step,
)
from sysmlc.passes.cell_states import flat, neutral, split


def short_rows(frame: Frame) -> None:
    """Rows hardly longer than a vector: columns one after the other."""
    code, lanes = frame.code, frame.lanes
    bases = [frame.field("in", i) for i in frame.inputs]
    strides = [frame.field("in_rs", i) for i in frame.inputs]
    outs = {o.index: frame.field("out", o.index) for o in frame.outputs}
    steps = [code(Iota, s, lanes=lanes) for s in strides]

    def rows(inner: Code, r: Value, _: list[Value]) -> list[Value]:
        mask = inner(Mask, inner.sub(frame.r1, r), lanes=lanes)
        firsts = [inner.at(b, inner.mul(r, s)) for b, s in zip(bases, strides, strict=True)]
        fixed = {i: inner.gather(firsts[i], steps[i], mask) for i in frame.inputs if not frame.is_vector[i]}
        states = [start(inner, o.fn, lanes) for o in frame.outputs]

        def columns(deep: Code, c: Value, carried: list[Value]) -> list[Value]:
            cells = [
                fixed[i] if i in fixed else deep.gather(deep.at(firsts[i], c), steps[i], mask)
                for i in frame.inputs
            ]
            values = frame.evaluate(deep, cells, lanes)
            parts = split(carried, states)[0]
            return flat(
                [step(deep, o.fn, s, v) for o, s, v in zip(frame.outputs, parts, values, strict=True)]
            )

        done = split(inner.loop(frame.c0, frame.c1, 1, flat(states), columns), states)[0]
        for output, state in zip(frame.outputs, done, strict=True):
            made = cell_of(inner, output.fn, state, lanes)
            inner.op(StoreMasked, made, inner.at(outs[output.index], r), mask)
        return []

    code.loop(frame.r0, frame.r1, lanes, [], rows)


def narrow_columns(frame: Frame) -> None:
    """A few columns, one after the other: all rows of each, some at a time."""
    code, lanes = frame.code, frame.lanes
    bases = [frame.field("in", i) for i in frame.inputs]
    strides = [frame.field("in_rs", i) for i in frame.inputs]
    outs = {o.index: frame.field("out", o.index) for o in frame.outputs}
    errors = {o.index: frame.field("out_rs", o.index) for o in frame.outputs}
    steps = [code(Iota, s, lanes=lanes) for s in strides]

    def column(inner: Code, c: Value, _: list[Value]) -> list[Value]:
        states = [start(inner, o.fn, lanes) for o in frame.outputs]
        firsts = [inner.at(b, c) if v else b for b, v in zip(bases, frame.is_vector, strict=True)]

        def rows(deep: Code, r: Value, carried: list[Value]) -> list[Value]:
            mask = deep(Mask, deep.sub(frame.r1, r), lanes=lanes)
            cells = [
                deep.gather(deep.at(first, deep.mul(r, stride)), offsets, mask)
                for first, stride, offsets in zip(firsts, strides, steps, strict=True)
            ]
            values = frame.evaluate(deep, cells, lanes)
            parts = split(carried, states)[0]
            return flat(
                [
                    step(deep, o.fn, s, neutral(deep, o, v, mask, lanes))
                    for o, s, v in zip(frame.outputs, parts, values, strict=True)
                ]
            )

        done = split(inner.loop(frame.r0, frame.r1, lanes, flat(states), rows), states)[0]
        for output, state in zip(frame.outputs, done, strict=True):
            _add_to_partial(inner, output, state, inner.partial(outs[output.index], c), errors[output.index])
        return []

    code.loop(frame.c0, frame.c1, 1, [], column)


def _add_to_partial(code: Code, output: Output, state: State, place: Value, errors: Value) -> None:
    """Fold the state of one column into its partial result."""
    parts = finish(code, output.fn, across_lanes(code, output.fn, state))
    before = code(Load, place, types=[f64])
    if output.fn != "sum":
        fn = "mul" if output.fn == "prod" else output.fn
        value = code.widened(parts[0]) if output.fn in EXTREMES else parts[0]
        code.op(Store, code(Binary, fn, before, value), place)
        return
    if code.elem is f32:
        code.op(Store, code(Binary, "add", before, parts[0]), place)
        return
    rest = code.partial(place, errors)
    total, error = code.op(TwoSum, before, parts[0]).results
    error = code(Binary, "add", code(Binary, "add", code(Load, rest, types=[f64]), parts[1]), error)
    made = finish(code, "sum", [total, error])
    code.op(Store, made[0], place)
    code.op(Store, made[1], rest)
