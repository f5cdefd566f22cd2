"""Every function of cells on operands that are all CSR gives what the reference gives: zeros included."""

from __future__ import annotations

import numpy as np
import pytest

from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.dml_cell import BINARY, UNARY
from sysmlc.ir.parser import parse
from sysmlc.runtime.bridge import Context

RNG = np.random.default_rng(5)
SHAPE = (30, 40)
INPUTS = {name: RNG.integers(1, 6, SHAPE) * (RNG.random(SHAPE) < 0.2).astype(float) for name in "XY"}


def module(fn: str) -> tuple[Op, list[str]]:
    """The function of one matrix, or of two and of one with scalars on either side."""
    type = "matrix<30x40xf64>"
    lines = [f'%{n} = dml.input {{name_ = "{n}"}} : {type}' for n in INPUTS]
    lines += [f"%c{i} = core.constant {{value = {c}}} : f64" for i, c in enumerate(("0.0", "2.0", "1.0"))]
    operands = ["%X"] if fn in UNARY else ["%X, %Y", "%X, %c0", "%X, %c1", "%c2, %X"]
    outputs = [f"R{i}" for i in range(len(operands))]
    for i, args in enumerate(operands):
        lines += [f"%r{i} = dml.{fn} {args} : {type}", f'dml.output %r{i} {{name_ = "R{i}"}}']
    body = "\n  ".join(lines)
    return parse(f'core.func {{sym = "main"}} () {{\n  {body}\n  core.return\n}}\n'), outputs


def check(fn: str) -> None:
    with np.errstate(all="ignore"):
        made, outputs = module(fn)
        expected = evaluate(made, inputs=INPUTS)
    loaded = engine().load(compile_program(made, "cells", Options(1, formats="csr")))
    context = Context()
    for name, value in INPUTS.items():
        context.set_input(name, value)
    context.run(loaded, engine().resolver)
    for name in outputs:
        found = context.output(name)
        found = found.toarray() if hasattr(found, "toarray") else found
        np.testing.assert_allclose(found, expected[name], rtol=1e-12, err_msg=f"{fn}, {name}")


@pytest.mark.parametrize("fn", [*UNARY, *BINARY])
def test_on_sparse_operands(fn: str) -> None:
    check(fn)
