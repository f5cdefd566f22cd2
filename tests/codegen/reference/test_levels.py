"""Programs mean the same at every level: logical, fused, as launches and runtime calls, and with the loops of kernels.

The reference evaluator runs them all, so what is compared here is the lowering, step by step, and never native code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tests.language.random_programs import write
from tests.language.test_random_programs import compare, module_of
from tests.passes import test_fuse_outer, test_fuse_rows

import sysmlc.ir.dialects  # noqa: F401 (registers every operation)
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Builder, Op, clone
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.kernel_memory import Offset
from sysmlc.ir.dialects.rt import Release
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import Type, matrix
from sysmlc.passes import parse_pipeline
from sysmlc.passes.pipelines import lowering, pipeline

RNG = np.random.default_rng(3)


def lowered(module: Op, level: int, lanes: int, elem: str = "f64") -> dict[str, Op]:
    """The module at each level below the one it has."""
    made = clone(module, {})
    PassManager(pipeline(level, elem=elem)).run(made)  # type: ignore[arg-type]
    levels = {"optimised": clone(made, {})}
    PassManager(lowering()).run(made)  # type: ignore[arg-type]
    levels["program"] = clone(made, {})
    PassManager(parse_pipeline(f"vectorize-cells{{lanes={lanes}}}")).run(made)  # type: ignore[arg-type]
    return levels | {f"loops with {lanes} lanes": made}


def check(module: Op, inputs: Mapping[str, Any], outputs: Sequence[str], level: int, lanes: int = 8) -> None:
    """Compare outputs and what is printed at all levels."""
    printed: list[str] = []
    expected = evaluate(module, inputs, output=printed.append)
    for name, lower in lowered(module, level, lanes).items():
        lines: list[str] = []
        found = evaluate(lower, inputs, output=lines.append)
        for output in outputs:
            compare(found[output], expected[output], False, f"{output}, {name}, -O{level}")
        assert lines == printed, name


def of_script(script: str, inputs: Mapping[str, Any], outputs: Sequence[str], known: bool) -> Op:
    types: dict[str, Type] = {n: matrix(*v.shape) if known else matrix() for n, v in inputs.items()}
    return compile_source(Source("levels.dml", script), {}, inputs=types, outputs=outputs)


CELLS = """
a = abs(X) + sqrt(abs(Y)) * 2
b = X * (Y + c) - r / 3
d = sum(X * Y) + max(X) - min(Y) + prod(X[1, 1:2])
e = rowSums(X) + rowMaxs(Y) * rowMins(X)
f = colSums(X * 2) - colMaxs(X) * colMins(Y)
g = X * (Y != 0)
h = (X > 0) & !(Y > c) | xor(X < r, Y == 0)
i = ifelse(X > Y, X, -1) %% 3
j = min(X, 0.25) + max(Y, c) + round(X) %/% 2
k = bitwAnd(abs(round(X)), 3) + sign(Y) + (X ^ 2) ^ 0.5
l = rowSums(X * Y) / (rowSums(X != 0) + 1)
m = sum(X != 0) + sum(X + Y) + sum(X - Y)
n = X + Y
o = colSums(X - Y) + rowProds(X[1, ])
p = outer(c, r, "*") + X
q = (X - colMeans(X)) / (colSds(X) + 1)
s = cumsum(exp(-X)) + log(abs(Y) + 1) + sigmoid(X) + tanh(Y)
t2 = is.nan(X / X) + is.infinite(1 / X)
u = mean(X) + var(Y) + sd(X) + colVars(Y) + colProds(X)
v = X * 0 + Y ^ 2 - 1.5 * Y
"""
CELL_OUTPUTS = [line.partition(" = ")[0] for line in CELLS.strip().split("\n")]


def spots(rows: int, cols: int, density: float) -> Any:
    return np.where(RNG.random((rows, cols)) < density, np.round(RNG.normal(size=(rows, cols)), 2), 0.0)


def signs(rows: int, cols: int) -> Any:
    picks = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -2.5]
    return RNG.choice(picks, size=(rows, cols))


SHAPES: dict[str, tuple[Any, Any]] = {
    "dense": (RNG.normal(size=(5, 11)), RNG.normal(size=(5, 11))),
    "sparse": (spots(18, 10, 0.1), spots(18, 10, 0.15)),
    "sparse and dense": (spots(6, 9, 0.1), RNG.normal(size=(6, 9))),
    "no entries": (np.zeros((3, 5)), spots(3, 5, 0.2)),
    "narrow": (RNG.normal(size=(17, 3)), spots(17, 3, 0.2)),
    "1x2": (RNG.normal(size=(1, 2)), np.zeros((1, 2))),
    "not finite": (signs(5, 9), signs(5, 9)),
}


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("kind", SHAPES)
def test_cells(kind: str, level: int) -> None:
    if kind == "not finite" and level:
        pytest.skip("algebra may regroup what is not finite")
    X, Y = SHAPES[kind]
    given = {"X": X, "Y": Y, "c": RNG.normal(size=(len(X), 1)), "r": RNG.normal(size=(1, X.shape[1]))}
    module = of_script(CELLS, given, CELL_OUTPUTS, known=level == 0)
    check(module, given, CELL_OUTPUTS, level, lanes=4 + 2 * level)


ROWS = {
    k: test_fuse_rows.MATRICES[k][:20]
    for k in ("one block", "few rows", "one row", "narrow", "two columns", "1x1", "special", "no rows")
} | {
    "sparse": spots(19, 13, 0.1),
    "sparse narrow": spots(17, 4, 0.1),
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows(kind: str) -> None:
    """Each script with some of the matrices, each of those with some of the scripts."""
    X = ROWS[kind]
    for number, script in enumerate(test_fuse_rows.SCRIPTS.values()):
        if (number + list(ROWS).index(kind)) % 3:
            continue
        given = test_fuse_rows.data(script, X, (1, 3, 5)[number % 3])
        names = test_fuse_rows.outputs(script)
        types = test_fuse_rows.types(given, number % 2 == 0)
        module = test_fuse_rows.logical(script, types, names, True)
        check(module, given, names, 0)


@pytest.mark.parametrize("number", range(len(test_fuse_outer.SCRIPTS)))
def test_products(number: int) -> None:
    given = test_fuse_outer.inputs_for(("sparse", "empty", "dense")[number % 3], 3, 20, 31)
    name, script = list(test_fuse_outer.SCRIPTS.items())[number]
    module = test_fuse_outer.module_of(script, given, known=False)
    PassManager(parse_pipeline(test_fuse_outer.PASSES)).run(module)
    assert any(op.name == "fused.outer" for op in module.walk()) or "columns" in name
    check(module, given, [line[0] for line in script.split("\n") if line[0] in "rqp"], 0)


EFFECTS = """
f = function(matrix[double] A, int n) return (matrix[double] B, double s) {
  B = A
  if (n > 0) { [B, s] = f(A * 2, n - 1)
    B[1, n] = s }
  s = sum(B)
}
[P, p] = f(X, 2)
l = list(a=X, b="text", c=3)
l = append(l, list(d=P))
for (i in 1:3) { P[i, 1] = i
  X = as.matrix(l["a"]) * P[i, 1] + X }
k = 0
while (k < 3 & sum(X) < 1e9) { X = X * 1.5
  k = k + 1 }
t = ifelse(k > 2, "many", "few")
print(t + " " + k + " " + as.scalar(P[1, 1]) + ("b" > "a"))
print(toString(l["b"]) + length(l))
print("%d rows, %.2f and %s", nrow(X), sum(P), t)
for (i in seq(5, 1, -2)) { if (i == 3) { Q = cbind(X, P) } else { Q = rbind(X, P) } }
[H, R] = qr(X)
N = sum(abs(R)) + as.integer("12") + as.double("0.5")
if (exists("nothing")) { print("never") }
"""


@pytest.mark.parametrize("level", [0, 2])
def test_control_flow_lists_and_ownership(level: int) -> None:
    X = RNG.normal(size=(4, 3))
    check(
        of_script(EFFECTS, {"X": X}, ["P", "X", "Q", "N", "p"], True),
        {"X": X},
        ["P", "X", "Q", "N", "p"],
        level,
    )


@pytest.mark.parametrize("number", range(12))
def test_random_programs(number: int) -> None:
    made = write(random.Random(4000 + number), statements=8)
    try:
        module = module_of(made, sized=number % 2 == 0)
        evaluate(module, made.inputs, output=lambda _: None)
    except Diagnostic:
        return
    try:
        check(module, made.inputs, made.outputs, 0 if number % 3 == 0 else 2)
    except Exception as error:
        raise AssertionError(f"{made.text}\n{made.inputs}\n{error}") from error


SINGLE = {
    "cells": "A = X * Y + 2\nB = rowSums(X)\nC = colMaxs(X - Y)\nD = sum(X * X)\nE = exp(X) / 3\n",
    "rows": "E = exp(X - rowMaxs(X))\nP = E / rowSums(E)\nA = t(X) %*% (w * (X %*% v))\nB = t(X) %*% (X %*% V - 1)\n"
    "C = colSums(P)\nD = sum(P * P)\nE = max(P * w)\n",
    "sparse rows": "p = Y %*% v\nA = t(Y) %*% (w * p)\nB = t(Y) %*% (Y %*% V)\nC = sum(p)\nD = min(p)\nE = p\n",
    "products": "Q = Y * (U %*% t(V))\nA = rowSums(Q)\nB = sum(Y * log(U %*% t(V) + 3))\nC = Q %*% V\nD = t(Q) %*% U\nE = colSums(Q)\n",
}


@pytest.mark.parametrize("script", SINGLE.values(), ids=SINGLE)
def test_single_precision(script: str) -> None:
    given = {"X": RNG.normal(size=(19, 21)), "Y": spots(19, 21, 0.2), "w": RNG.normal(size=(19, 1))}
    given |= {"v": RNG.normal(size=(21, 1)), "U": RNG.random((19, 2)), "V": RNG.random((21, 2))}
    given = {n: np.float32(v) for n, v in given.items() if n in script.replace("Q", "")}
    module = of_script(script, given, list("ABCDE"), True)
    expected = evaluate(module, given)
    for name, lower in lowered(module, 2, 4, "f32").items():
        found = evaluate(lower, given)
        for output, value in expected.items():
            np.testing.assert_allclose(found[output], value, 2e-5, 2e-5, err_msg=f"{output}, {name}")


def damaged(name: str, change: Callable[[Op], Any], every: bool = False) -> str:
    """What the evaluator says about a program in which the first operation of this name was changed, or every one."""
    module = of_script("Y = t(X) %*% X\nr = sum(exp(Y) * Y)\n", {"X": np.eye(3)}, ["r"], True)
    program = list(lowered(module, 0, 4).values())[-1]
    found = [op for op in program.walk() if op.name == name]
    for op in found if every else found[:1]:
        change(op)
    try:
        return str(evaluate(program, {"X": np.eye(3)})["r"])
    except Diagnostic as error:
        return error.message


def test_wrong_programs_are_found_out() -> None:
    def too_far(op: Op) -> None:
        b = Builder.before(op)
        op.set_operand(0, b(Offset, op.operands[0], b(Constant, value=99)))

    def freed(op: Op) -> None:
        Builder.after(op).op(Release, (*op.operands, *op.results)[-1])

    assert damaged("core.func", lambda op: None) == str(3 * np.e)
    assert "is never freed" in damaged("rt.release", Op.erase)
    assert "is freed twice" in damaged("rt.release", freed)
    assert "after it was freed" in damaged("rt.call", freed)
    assert "is accessed" in damaged("kernel.load_masked", too_far, every=True)
