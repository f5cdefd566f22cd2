"""What inference says about values is true of every value the reference evaluator computes; and what it finds in programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.ir.random_modules import RandomModule

from sysmlc.codegen.reference import Evaluator
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.types import Matrix, Type
from sysmlc.passes import parse_pipeline


class Witness(Evaluator):
    """Compares types with values while it runs; but for undefined ones, which are never looked at: they have the type of what
    the variable holds on other paths."""

    def __init__(self, module: Op, inputs: dict[str, Any]) -> None:
        super().__init__(module, inputs, {}, lambda line: None)
        self.seen = 0
        self.undefined: list[Any] = []

    def op(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        results = super().op(op, env)
        if op.name == "dml.undefined":
            self.undefined += results
        sizes: dict[str, int] = {}
        for value in op.operands:
            self.check(op, value.type, env[value], sizes)
        for result, value in zip(op.results, results, strict=True):
            self.check(op, result.type, value, sizes)
        return results

    def region(self, region: Region, values: Sequence[Any], env: dict[Value, Any]) -> tuple[Any, ...]:
        sizes: dict[str, int] = {}
        for arg, value in zip(region.args, values, strict=True):
            if region.parent is not None:
                self.check(region.parent, arg.type, value, sizes)
        return super().region(region, values, env)

    def check(self, op: Op, type: Type, value: Any, sizes: dict[str, int]) -> None:
        if not isinstance(type, Matrix) or any(value is one for one in self.undefined):
            return
        self.seen += 1
        for dim, size in zip((type.rows, type.cols), value.shape, strict=True):
            if isinstance(dim, int):
                assert dim == size, f"{op}: {type} is {value.shape}"
            elif dim is not None:
                assert sizes.setdefault(dim, size) == size, f"{op}: {dim} is {size} and {sizes[dim]}"
        if type.nnz is not None:
            assert np.count_nonzero(value) <= type.nnz, (
                f"{op}: {type} has {np.count_nonzero(value)} non-zeros"
            )


@pytest.mark.parametrize("seed", range(120))
def test_facts_are_true(seed: int) -> None:
    made = RandomModule(seed + 5000, 30)
    PassManager(parse_pipeline("infer" if seed % 2 else "inline,infer,canonicalize,cse,infer,simplify")).run(
        made.module
    )
    witness = Witness(made.module, made.inputs)
    with np.errstate(all="ignore"):
        witness.call("main", ())
    assert witness.seen


def inferred(script: str, passes: str = "inline,infer") -> dict[str, str]:
    """The types of variables after inference (of each, the last value)."""
    module = compile_source(Source("t.dml", script), {"X": "x.csv", "Y": "y.csv"})
    PassManager(parse_pipeline(passes)).run(module)
    found: dict[str, str] = {}
    for op in module.walk():
        for value in [*op.results, *(a for r in op.regions for a in r.args)]:
            if value.name:
                found[value.name.partition("_")[0]] = str(value.type)
    return found


@pytest.mark.parametrize(
    ("script", "variable", "type"),
    [
        ("X = read($X)\nG = t(X) %*% X\nprint(sum(G))", "G", "matrix<c0xc0xf64>"),
        ("n = 3\nfor (i in 1:4) { n = 3 }\nA = matrix(0, n, n + 1)\nprint(sum(A))", "A", "matrix<3x4xf64, nnz=0>"),
        ("X = read($X)\ni = 0\nwhile (i < 3) { X = X * 2\ni = i + 1 }\nB = X + 1\nprint(sum(B))", "B", "matrix<r0xc0xf64>"),
        ("X = read($X)\nfor (i in 1:4) { B = X * i }\nprint(sum(B))", "B", "matrix<r0xc0xf64>"),
        ("X = read($X)\nfor (i in 1:4) { B = removeEmpty(target=X, margin=\"rows\") }\nC = B + 1\nprint(sum(C))", "C", "matrix<r4xc0xf64>"),
        ("f = function(matrix[double] M, int n) return (matrix[double] R) { if (n > 0) { R = f(M, n - 1) } else { R = M } }\n"
         "A = f(matrix(1, 3, 4), 5)\nprint(sum(A))", "M", "matrix<3x4xf64>"),
        ("X = read($X)\nk = ncol(X) - 1\nA = X[, 1:k]\nB = matrix(1, k, 2)\nC = A %*% B\nprint(sum(C))", "C", "matrix<r0x2xf64>"),
        ("a = matrix(0, 4, 4)\na[2, 3] = 7\na[1, 1] = 5\nb = t(a) * 2\nprint(sum(b))", "b", "matrix<4x4xf64, nnz=2>"),
        ("if (2 > 1) { A = matrix(1, 2, 2) } else { A = matrix(1, 3, 3) }\nB = A + 1\nprint(sum(B))", "B", "matrix<2x2xf64>"),
    ],
)  # fmt: skip
def test_types(script: str, variable: str, type: str) -> None:
    assert inferred(script)[variable] == type


def test_several_errors_each_with_its_place() -> None:
    script = (
        "f = function(matrix[double] A, matrix[double] B) return (matrix[double] C) { C = A %*% B }\n"
        "g = function(matrix[double] A) return (double s) { s = as.scalar(A[1, 7]) }\n"
        "X = matrix(1, 3, 4)\nprint(sum(f(X, X)) + g(X))\n"
    )
    with pytest.raises(DiagnosticGroup) as group:
        inferred(script)
    assert [e.loc.line for e in group.value.diagnostics] == [1, 2]


def test_what_never_runs_has_no_errors() -> None:
    script = (
        "f = function(matrix[double] A) return (double s) {\n"
        'if (ncol(A) < 7) { stop("too narrow") }\ns = as.scalar(A[1, 7]) }\n'
        "print(f(matrix(1, 3, 4)))\n"
    )
    inferred(script)
    with pytest.raises(Diagnostic):
        inferred(script.replace("stop(", "print("))
