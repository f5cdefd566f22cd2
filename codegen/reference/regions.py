"""Fused regions, and the kernels that are made of them: over cells, over rows, and over the cells of products.

A region is evaluated for whole matrices at a time where that is possible; what becomes of its values follows the definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sysmlc.codegen.reference.cells import aggregate, binary, ifelse, unary
from sysmlc.codegen.reference.table import element, evaluates, executes, fail
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.dml_cell import BINARY, UNARY

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator

Env = Mapping[Value, Any]


@evaluates("fused.convert", "fused.recast")
def same_values(op: Op, value: Any) -> Any:
    return value


@executes("fused.cell")
def fused_cell(run: Evaluator, op: Op, env: Env) -> list[Any]:
    return evaluate_cells(op, op.attrs["outputs"], [env[v] for v in op.operands])


@executes("fused.row")
def fused_row(run: Evaluator, op: Op, env: Env) -> list[Any]:
    return evaluate_rows(run, op, [env[v] for v in op.operands])


@executes("fused.outer")
def fused_outer(run: Evaluator, op: Op, env: Env) -> list[Any]:
    values = [env[v] for v in op.operands]
    return evaluate_products(op.regions[0], op.attrs["products"], op.attrs["outputs"], values)


# -- cells -----------------------------------------------------------------------------------------------------------


def common_shape(inputs: Sequence[Any]) -> tuple[int, int]:
    """The shape of the cells a region over these inputs has."""
    shapes = [v.shape for v in inputs if isinstance(v, np.ndarray)]
    if any(0 in s for s in shapes):
        return next(s for s in shapes if 0 in s)
    return max((s[0] for s in shapes), default=1), max((s[1] for s in shapes), default=1)


def evaluate_cells(owner: Op, outputs: Any, inputs: Sequence[Any]) -> list[Any]:
    """What the region of `owner` gives for inputs that are broadcast to each other."""
    body = owner.regions[0]
    shape = common_shape(inputs)
    known = [
        v if isinstance(v, np.ndarray) else np.full((1, 1), float(v), element(arg.type))
        for arg, v in zip(body.args, inputs, strict=True)
    ]
    made = [np.broadcast_to(v, shape) for v in cell_values(body, known)]
    return [close(str(kind), value) for kind, value in zip(outputs, made, strict=True)]


def cell_values(body: Region, inputs: Sequence[Any]) -> list[Any]:
    """What a region of cellwise operations yields for arrays."""
    known = dict(zip(body.args, inputs, strict=True))
    for op in body:
        if op.name == "core.yield":
            return [known[v] for v in op.operands]
        known[op.result] = _cells(op, [known[v] for v in op.operands])
    raise AssertionError("a body without a yield")


def _cells(op: Op, values: list[Any]) -> Any:
    fn = op.fn
    if op.name == "core.constant":
        value = op.attrs["value"]
        assert isinstance(value, (bool, int, float))
        return np.full((1, 1), float(value), element(op.result.type))
    if fn in BINARY:
        return binary(op, fn, *np.broadcast_arrays(*values))
    if fn in UNARY:
        return unary(op, fn, values[0])
    if fn == "ifelse":
        return ifelse(op, *np.broadcast_arrays(*values))
    if fn == "cast":
        return values[0]
    raise fail(op, f"'{op.name}' cannot stand in a region over cells")


def close(kind: str, value: Any) -> Any:
    """What becomes of a matrix of yielded values."""
    dir, _, fn = kind.partition(":")
    if dir == "map":
        return np.array(value)
    return aggregate({"min": "min_of", "max": "max_of"}.get(fn, fn), dir, np.asarray(value))


# -- rows ------------------------------------------------------------------------------------------------------------


def evaluate_rows(run: Evaluator, owner: Op, inputs: list[Any]) -> list[Any]:
    """The region of `owner` (a `fused.row` or its kernel), for one row after the other."""
    roles, kinds = owner.attrs["roles"], owner.attrs["outputs"]
    assert isinstance(roles, tuple)
    assert isinstance(kinds, tuple)
    rows = inputs[0].shape[0]
    for value, role in zip(inputs, roles, strict=True):
        if role == "row" and value.shape[0] not in (1, rows):
            raise fail(owner, f"a matrix with {value.shape[0]} rows beside one with {rows}")

    def slice_of(value: Any, role: Any, i: int) -> Any:
        if role == "row":
            return value[i : i + 1] if value.shape[0] == rows else value
        return float(value) if role == "scalar" else value

    # A row of zeros tells the shapes of results when there are no rows.
    probe = [
        np.zeros((1, v.shape[1]), v.dtype) if r == "row" else v for v, r in zip(inputs, roles, strict=True)
    ]
    shapes = run.region(owner.regions[0], probe, {})
    values = [
        run.region(
            owner.regions[0],
            [slice_of(v, r, i) for v, r in zip(inputs, roles, strict=True)],
            {},
        )
        for i in range(rows)
    ]
    columns = [[v[k] for v in values] for k in range(len(kinds))]
    return [_rows_output(str(kind), parts, s) for kind, parts, s in zip(kinds, columns, shapes, strict=True)]


def _rows_output(kind: str, parts: list[Any], example: Any) -> Any:
    if kind.startswith("full:"):
        return close(kind, np.array(parts, float).reshape(-1, 1))
    if kind == "product":
        return np.sum(parts, axis=0, dtype=float) if parts else np.zeros(example.shape)
    stacked = np.concatenate(parts, axis=0) if parts else np.zeros((0, example.shape[1]))
    return stacked if kind == "map" else aggregate("sum", "col", stacked)


# -- products --------------------------------------------------------------------------------------------------------


def evaluate_products(body: Region, products: Any, outputs: Any, values: Sequence[Any]) -> list[Any]:
    """A region over products: they are formed, and the rest follows the definition."""
    cells, factors = product_cells(body, products, values)
    shape = np.broadcast_shapes(*(c.shape for c in cells))
    made = [np.broadcast_to(v, shape) for v in cell_values(body, cells)]
    return [close_product(str(kind), s, factors) for kind, s in zip(outputs, made, strict=True)]


def product_cells(body: Region, products: Any, values: Sequence[Any]) -> tuple[list[Any], Any]:
    """The products and other inputs of a region as matrices, and the factors that close its outputs, in order."""
    first = 2 * len(products)
    last = len(products) + len(body.args)
    cells = [
        _turned(values[2 * i], "l" in str(t)) @ _turned(values[2 * i + 1], "r" in str(t))
        for i, t in enumerate(products)
    ]
    cells += [
        v if isinstance(v, np.ndarray) else np.full((1, 1), float(v), element(arg.type))
        for v, arg in zip(values[first:last], body.args[len(products) :], strict=True)
    ]
    return cells, iter(values[last:])


def _turned(value: Any, transposed: bool) -> Any:
    return value.T if transposed else value


def close_product(kind: str, cells: Any, factors: Any) -> Any:
    """What becomes of a matrix of yielded values, which the next of `factors` may multiply."""
    if kind == "right":
        return cells @ next(factors)
    if kind == "left":
        return cells.T @ next(factors)
    return close(kind, cells)
