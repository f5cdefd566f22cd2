"""Every rewrite rule of SystemML and SystemDS is done here, or it is said why not."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import f64, matrix
from sysmlc.passes import parse_pipeline

from .inventory import ALL, PROGRAMS, Rewrite

INPUTS = {
    "A": matrix(4, 4), "B": matrix(4, 4), "u": matrix(4, 1), "v": matrix(4, 1), "w": matrix(1, 4), "one": matrix(1, 1),
    "a": f64, "b": f64,
}  # fmt: skip
PASSES = (
    "inline,cse,infer,canonicalize,cse,dce,simplify,canonicalize,cse,simplify,equalities{linear=true},matmul-chain,cse,simplify{tables=products},"
    "canonicalize,cse,dce"
)


def compiled(rewrite: Rewrite, optimised: bool) -> Op:
    source = Source("t.dml", PROGRAMS.get(rewrite.dml, f"r = {rewrite.dml}") + "\n")
    module = compile_source(source, {}, inputs=INPUTS, outputs=["r"])
    if optimised:
        PassManager(parse_pipeline(PASSES)).run(module)
    return module


def shape_of(value: Value) -> str:
    """An expression as `name.attribute(operands)`."""
    known = constant(value)
    if known is not None:
        if isinstance(known, bool):
            return str(known).upper()
        return f"'{known}'" if isinstance(known, str) else f"{known:g}"
    op = value.op
    assert op is not None
    if op.name == "dml.input":
        return str(op.attrs["name_"])
    words = [op.fn, *(str(v) for v in op.attrs.values() if v != "full")]
    if op.fn == "cast":
        words.append(str(value.type))
    return f"{'.'.join(words)}({', '.join(map(shape_of, op.operands))})"


def result_of(module: Op) -> Value:
    return next(op.operands[0] for op in module.walk() if op.name == "dml.output")


@pytest.mark.parametrize("rewrite", [r for r in ALL if r.dml], ids=lambda r: r.name)
def test_rewrite(rewrite: Rewrite) -> None:
    module = compiled(rewrite, True)
    assert shape_of(result_of(module)) == rewrite.becomes

    rng = np.random.default_rng(random.Random(rewrite.name).randrange(1000))
    values = {n: rng.integers(1, 5, (t.rows, t.cols)) + 0.5 for n, t in INPUTS.items() if t is not f64}
    values["u"], values["v"] = (np.arange(4.0).reshape(4, 1) % k + 1 for k in (3, 4))
    inputs = {**values, "a": 1.5, "b": -0.25}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = evaluate(compiled(rewrite, False), inputs)["r"]
        actual = evaluate(module, inputs)["r"]
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def test_the_others_have_a_reason() -> None:
    names = [r.name for r in ALL]
    assert len(set(names)) == len(names)
    assert all(bool(r.dml) != bool(r.because) for r in ALL)
    assert len(ALL) >= 100
