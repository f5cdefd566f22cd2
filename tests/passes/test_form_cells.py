"""Decomposed moments give what NumPy gives; the golden file shows the shapes of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.codegen.cpu.kernel_runner import Runner, kernel_of, module_of

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.core import Func
from sysmlc.ir.dialects.dml_cell import Aggregate
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.types import f64, matrix
from sysmlc.passes.decompose import Decompose
from sysmlc.passes.form_cells import FormCells

RUNNER = Runner()


def run_cells(func: Func, x: Any) -> Any:
    """Interpret the main function: cells on their kernels, scalar arithmetic in Python."""
    known: dict[Value, Any] = {func.body.args[0]: x}
    for op in func.body:
        if op.name == "core.return":
            return known[op.operands[0]]
        known[op.results[0]] = _run(op, [known[v] for v in op.operands])
    raise AssertionError("no return")


def _run(op: Op, values: list[Any]) -> Any:
    scalar = {
        "dml.nrow": lambda m: len(m), "dml.ncol": lambda m: m.shape[1], "dml.length": lambda m: m.size,
        "dml.cast": float, "dml.div": lambda a, b: a / b, "dml.mul": lambda a, b: a * b, "dml.sub": lambda a, b: a - b, "dml.max": max, "dml.min": min,
        "dml.sqrt": np.sqrt,
    }  # fmt: skip
    if op.name == "core.constant":
        return op.attrs["value"]
    if not isinstance(op, Cell):
        return scalar[op.name](*values)

    def again(b: Any, *_: Value) -> Any:
        from sysmlc.ir.core import clone

        return b.insert(clone(op, dict(zip(op.operands, b.region.args, strict=True)))).results

    kernel = kernel_of(again, [matrix() if isinstance(v, np.ndarray) else f64 for v in values])
    shape = next(v.shape for v in values if isinstance(v, np.ndarray))
    (made,) = RUNNER.dense(kernel, values, shape)
    kind = op.outputs[0]
    return (
        made.reshape(-1, 1)
        if kind.startswith("row")
        else made.reshape(1, -1)
        if kind.startswith("col")
        else made
    )


@pytest.mark.parametrize("dir", ["full", "row", "col"])
@pytest.mark.parametrize("fn", ["mean", "var", "sd"])
@pytest.mark.parametrize("known", [True, False])
def test_moments(fn: str, dir: str, known: bool) -> None:
    x = np.random.default_rng(2).normal(1e6, 1, (7, 11))
    module = module_of(lambda b, x: b(Aggregate, fn, x, dir=dir), [matrix(7, 11) if known else matrix()])
    Decompose().run(module)
    FormCells().run(module)
    func = module.body.first
    assert isinstance(func, Func)
    assert not any(op.name in ("dml.mean", "dml.var", "dml.sd") for op in func.walk())
    axis = {"full": None, "row": 1, "col": 0}[dir]
    expected = {"mean": x.mean, "var": lambda a: x.var(a, ddof=1), "sd": lambda a: x.std(a, ddof=1)}[fn](axis)
    np.testing.assert_allclose(np.ravel(run_cells(func, x)), np.ravel(expected), rtol=1e-12)


def test_one_value_has_no_variance() -> None:
    module = module_of(lambda b, x: b(Aggregate, "var", x), [matrix()])
    Decompose().run(module)
    FormCells().run(module)
    func = module.body.first
    assert isinstance(func, Func)
    assert run_cells(func, np.array([[3.0]])) == 0.0
