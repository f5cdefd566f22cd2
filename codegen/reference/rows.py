"""Row regions: the body runs for one row after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sysmlc.codegen.reference.cells import aggregate
from sysmlc.codegen.reference.table import fail
from sysmlc.ir.core import Op

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator


def evaluate_rows(run: Evaluator, op: Op, inputs: list[Any]) -> list[Any]:
    """The results of a `fused.row`."""
    roles, kinds = op.attrs["roles"], op.attrs["outputs"]
    assert isinstance(roles, tuple)
    assert isinstance(kinds, tuple)
    rows = inputs[0].shape[0]
    for value, role in zip(inputs, roles, strict=True):
        if role == "row" and value.shape[0] not in (1, rows):
            raise fail(op, f"a matrix with {value.shape[0]} rows beside one with {rows}")

    def slice_of(value: Any, role: Any, i: int) -> Any:
        if role == "row":
            return value[i : i + 1] if value.shape[0] == rows else value
        return float(value) if role == "scalar" else value

    # A row of zeros tells the shapes of results when there are no rows.
    probe = [
        np.zeros((1, v.shape[1]), v.dtype) if r == "row" else v for v, r in zip(inputs, roles, strict=True)
    ]
    shapes = run.region(op.regions[0], probe, {})
    values = [
        run.region(
            op.regions[0],
            [slice_of(v, r, i) for v, r in zip(inputs, roles, strict=True)],
            {},
        )
        for i in range(rows)
    ]
    columns = [[v[k] for v in values] for k in range(len(op.results))]
    return [_output(str(kind), parts, s) for kind, parts, s in zip(kinds, columns, shapes, strict=True)]


def _output(kind: str, parts: list[Any], example: Any) -> Any:
    if kind.startswith("full:"):
        fn = {"full:sum": "sum", "full:min": "min_of", "full:max": "max_of"}[kind]
        return aggregate(fn, "full", np.array(parts, float).reshape(-1, 1))
    if kind == "product":
        return np.sum(parts, axis=0, dtype=float) if parts else np.zeros(example.shape)
    stacked = np.concatenate(parts, axis=0) if parts else np.zeros((0, example.shape[1]))
    return stacked if kind == "map" else aggregate("sum", "col", stacked)
