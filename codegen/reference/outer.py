"""Regions over matrix products: the products are formed, and the rest follows the definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sysmlc.codegen.reference.cells import aggregate
from sysmlc.codegen.reference.table import element
from sysmlc.ir.core import Op, Value

CellBody = Callable[[Op, list[Any]], Any]


def evaluate_outer(op: Op, values: Sequence[Any], compute: CellBody) -> list[Any]:
    """What `fused.outer` gives for these operands; `compute` does one operation of its region."""
    products, outputs = op.attrs["products"], op.attrs["outputs"]
    assert isinstance(products, tuple)
    assert isinstance(outputs, tuple)
    body = op.regions[0]
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
    known: dict[Value, Any] = dict(zip(body.args, cells, strict=True))
    shape = np.broadcast_shapes(*(c.shape for c in cells))
    factors = iter(values[last:])
    for inner in body:
        if inner.name == "core.yield":
            made = [np.broadcast_to(known[v], shape) for v in inner.operands]
            return [_close(str(kind), s, factors) for kind, s in zip(outputs, made, strict=True)]
        known[inner.result] = compute(inner, [known.get(v) for v in inner.operands])
    raise AssertionError("a body without a yield")


def _turned(value: Any, transposed: bool) -> Any:
    return value.T if transposed else value


def _close(kind: str, cells: Any, factors: Any) -> Any:
    if kind == "map":
        return np.array(cells)
    if kind == "right":
        return cells @ next(factors)
    if kind == "left":
        return cells.T @ next(factors)
    dir, _, fn = kind.partition(":")
    return aggregate(fn, dir, np.asarray(cells))
