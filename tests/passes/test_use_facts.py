"""What `use-facts` claims of cells holds whenever the reference runs it; false claims are planted, and found."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.ir.random_modules import RandomModule
from tests.language.random_programs import write
from tests.language.test_random_programs import module_of

import sysmlc
from sysmlc.codegen.reference import Evaluator
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.cell_facts import binary
from sysmlc.ir.facts import ANY, TRUTH, Facts, facts_of, observed, transfers
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.passes import parse_pipeline
from sysmlc.passes.pipelines import pipeline
from sysmlc.passes.use_facts import CellFacts
from sysmlc.runtime.bridge import NativeError


class Witness(Evaluator):
    """Compares what is claimed of values with what they are."""

    def __init__(self, module: Op, inputs: dict[str, Any]) -> None:
        super().__init__(module, inputs, {}, lambda line: None)
        self.claims = CellFacts(module).solve()
        self.seen = 0

    def op(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        results = super().op(op, env)
        for result, value in zip(op.results, results, strict=True):
            self.check(op, result, value)
        return results

    def region(self, region: Region, values: Sequence[Any], env: dict[Value, Any]) -> tuple[Any, ...]:
        for arg, value in zip(region.args, values, strict=True):
            self.check(region.parent, arg, value)
        return super().region(region, values, env)

    def check(self, op: Op | None, value: Value, is_: Any) -> None:
        claim = self.claims.get(value, ANY)
        if isinstance(is_, (np.ndarray, float, int)) and claim != ANY:
            self.seen += 1
            broken = claim.broken_by(observed(is_))
            assert not broken, f"{op}: {broken} of '{claim}' is not so:\n{is_}"


def script_is_true(number: int) -> int:
    made = write(random.Random(number), statements=14)
    module = module_of(made)
    PassManager(
        parse_pipeline("infer" if number % 2 else "inline,infer,canonicalize,cse,simplify,infer")
    ).run(module)
    witness = Witness(module, made.inputs)
    with np.errstate(all="ignore"), contextlib.suppress(Diagnostic):  # of scripts that stop
        witness.call("main", ())
    return witness.seen


def module_is_true(number: int) -> int:
    made = RandomModule(number + 9000, 30)
    PassManager(parse_pipeline("infer")).run(made.module)
    witness = Witness(made.module, made.inputs)
    with np.errstate(all="ignore"):
        witness.call("main", ())
    return witness.seen


@pytest.mark.parametrize("number", range(20))
def test_random_scripts(number: int) -> None:
    assert script_is_true(number)


@pytest.mark.parametrize("number", range(20))
def test_random_modules(number: int) -> None:
    assert module_is_true(number)


CURATED = """
n = 40
A = rand(rows=n, cols=6, min=-2, max=3, seed=1)
B = (A > 0) * floor(A) + abs(A) %% 3
C = A; C[3, 2] = 0/0; C[4, 1] = 1/0; C[5, 1] = -1/0
D = round(C) + sign(C) * 2 - ceil(C)
E = cbind(sqrt(C), exp(C), log(abs(C)), 1 / (1 + exp(-C)), C ^ 2, C ^ 3, abs(C) ^ 0.5, C ^ -1, tanh(C))
F = cbind(C %/% 2, C %% 2, A %% -2, A %/% 3, max(C, 0), min(C, 0.5), max(C, A), C == 0, C != C, !(C), isNaN(C), C & A)
G = t(A) %*% A + diag(matrix(0.1, 6, 1))
H = replace(target=C, pattern=0/0, replacement=-1)
I = order(target=A[, 1], by=1, decreasing=FALSE, index.return=FALSE)
J = cumsum(abs(A[, 1]))
K = table(seq(1, n), 1 + floor(abs(A[, 2])))
U = table(seq(1, n), 1 + floor(abs(A[, 2])), A[, 3])
T = A[1:6, ] + t(A[1:6, ]) * t(A[1:6, ]) %*% A[1:6, ] - min(t(A[1:6, ]), A[1:6, ])
L = order(target=C[, 1], by=1, decreasing=TRUE, index.return=TRUE)
M = rowIndexMax(C) + rowSums(K) + sum(table(K[, 1] + 1, K[, 2] + 1))
N = lower.tri(target=G, diag=TRUE, values=FALSE) + outer(seq(1, 6), t(seq(1, 6)), "-")
s = 0
k = 1
while (k < 20) { s = s + k * min(A); k = k * 2; B = abs(B) - 1; }
for (i in 3:7) { for (j in i:1) { A[i, 1] = i - j; s = s + i %% j; } if (i > 4) { I = I * 2 } else { J = J + 1 } }
f = function(matrix[double] X, double a) return (matrix[double] Y) { Y = X; if (a > 0) { Y = f(abs(X), a - 1) } }
O = f(A, 2) + f(matrix(1, n, 6), 0)
Q = cbind(colMeans(C), colSums(abs(A)), colVars(A), colMins(A), t(rowMaxs(C)), t(rowProds(A)), colSums(C ^ 2))
R = seq(0, 0.3, 0.1)
P = A[1:6, ]
V = (P + t(P)) * max(t(P), P) - (P - t(P))
S = rbind(seq(5, 1, -2), seq(1.5, 3, 0.25), as.matrix(2), sample(10, 4, 3), removeEmpty(target=I, margin="rows"))
print(sum(D) + sum(E) + sum(F) + sum(H) + sum(J) + sum(L) + sum(M) + sum(N) + s + sum(O) + sum(Q) + sum(R) + sum(S) + sum(B) + sum(U) + sum(V))
"""


def curated_is_true(number: int) -> int:
    module = compile_source(Source("curated.dml", CURATED), {})
    PassManager(parse_pipeline(("infer", "inline,infer,canonicalize,cse,simplify,infer")[number])).run(module)
    witness = Witness(module, {})
    with np.errstate(all="ignore"):
        witness.call("main", ())
    return witness.seen


@pytest.mark.parametrize("number", [0, 1])
def test_every_kind_of_operation(number: int) -> None:
    assert curated_is_true(number) > 100


_WRONG = {
    "dml.sub": lambda op, x: binary("add", *x),
    "dml.max": lambda op, x: x[0],
    "dml.sqrt": lambda op, x: Facts(0.0, nan=False),
    "dml.index": lambda op, x: Facts(symmetric=True),
    "dml.left_index": lambda op, x: x[0],
    "dml.cbind": lambda op, x: TRUTH,
    "dml.table": lambda op, x: TRUTH,
    "dml.mod": lambda op, x: Facts(0.0),
    "dml.cumsum": lambda op, x: Facts(ascending=True),
}


@pytest.mark.parametrize("name", _WRONG)
def test_wrong_claims_are_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(transfers, name, _WRONG[name])

    def run() -> None:
        curated_is_true(0)
        for number in range(20):
            script_is_true(number)

    with pytest.raises(AssertionError, match="is not so"):
        run()


def test_facts_cross_loops_branches_and_calls() -> None:
    script = """
    f = function(matrix[double] A) return (matrix[double] B) { B = A + 1; }
    X = exp(rand(rows=9, cols=9, seed=1))
    for (i in 1:3) { if (i > 2) { X = f(X) } else { X = X * 2 } }
    Y = f(X)
    k = 1
    while (k < 100) k = k * 2
    print(sum(Y) + k)
    """
    module = compile_source(Source("t.dml", script), {})
    found = CellFacts(module).solve()
    named = {v.name.partition("_")[0]: str(f) for v, f in found.items() if v.name}
    assert named["Y"] == "[1, inf] no NaN"
    assert named["i"] == "[1, 3] no NaN whole"
    assert named["k"] == "[2, inf] no NaN whole"


_X, _C = "X = rand(rows=30, cols=30, seed=1)\n", "C = rand(rows=30, cols=30, min=-1, seed=2)\n"
_HOT = "y = sample(5, 30, TRUE, 7)\nT = table(seq(1, 30), y, 30, 5)\n"
_FUNCTION = "f = function(matrix[double] A, int n) return (matrix[double] B) { if (n > 0) { B = f(A * 2, n - 1) } else { B = A } }\n"


@pytest.mark.parametrize(("script", "gone"), [
    (_X + "if (sum(X) > 3) { Y = exp(X) } else { Y = X ^ 2 }\nprint(sum(abs(Y)))", "dml.abs"),  # not negative
    (_X + "i = 0\nwhile (i < sum(X) & i < 3) { X = X * 2 + 0.5\n i = i + 1 }\nprint(sum(abs(X)))", "dml.abs"),
    (_FUNCTION + _X + "k = as.integer(sum(X) / 100)\nY = f(X, k)\nprint(sum(abs(Y)))", "dml.abs"),
    (_X + "print(sum(abs(colVars(X))) + sum(max(sigmoid(X), 0)) + sum((X <= 1) * X))", "dml.abs dml.max dml.le"),
    (_C + "B = (C > 0) * (C < 0.5)\nprint(sum((B != 0) * C) + sum(B ^ 2 * C))", "dml.ne dml.pow"),  # 0 or 1
    (_C + "B = ifelse(C > 0, 1, 0)\nif (sum(C) > 0) { B = 1 - B }\nprint(sum((B != 0) * C))", "dml.ne"),
    (_HOT + "print(sum((T != 0) * rand(rows=30, cols=5, seed=3)) + sum(T ^ 2))", "dml.ne dml.pow"),  # one in a row
    (_HOT + "if (sum(y) > 9) { T = T * 2 }\nprint(sum(rowMaxs(T) * 2))", "dml.max_of"),
    (_X + "S = X + t(X)\nprint(sum(t(S) * rand(rows=30, cols=30, seed=3)))", "dml.t"),  # symmetric
    (_X + "G = t(X) %*% X\nfor (i in 1:4) { G = G * 2 + i }\nprint(sum(t(G) * rand(rows=30, cols=30, seed=3)))", "dml.t"),
    (_X + "G = t(X) %*% X\nif (sum(X) > 9) { G = G > 7 }\nprint(sum(t(G) * rand(rows=30, cols=30, seed=3)))", "dml.t"),
    (_C + "S = order(target=C[, 1], by=1)\nif (sum(S) > 3) { S = S * 2 }\nprint(min(S) + max(S))", "dml.min_of dml.max_of"),  # sorted
    ("print(max(cumsum(rand(rows=30, cols=1, seed=1))))", "dml.max_of"),
    (_X + "R = round(X * 10)\nprint(sum(floor(R) * X) + sum(round(R + 1)))", "dml.floor"),  # whole
    (_X + "print(sum(replace(target=X, pattern=0/0, replacement=0)))", "dml.replace"),  # no NaN
    (_X + "Z = matrix(0, rows=30, cols=30)\nfor (i in 1:5) { Z = Z * 2 }\nprint(sum(X + Z))", "dml.add"),  # non-zeros
    (_X + "if (sum(X) > 1) { Y = X + 1 } else { Y = X * 2 }\nprint(nrow(Y))", "dml.nrow"),  # sizes
    ("a = 3\nif (a > 2) { b = 1 } else { b = 2 }\n" + _X + "print(sum(X ^ b))", "scf.if dml.pow"),  # constants
])  # fmt: skip
def test_what_is_known_changes_the_plan(script: str, gone: str) -> None:
    written, made = (compile_source(Source("t.dml", script + "\n"), {}) for _ in range(2))
    PassManager(pipeline(2, fusion=False)).run(made)
    counts = [Counter(op.name for op in m.walk()) for m in (written, made)]
    assert all(counts[1][name] < counts[0][name] for name in gone.split())
    results: list[list[str]] = [[], []]
    for module, lines in zip((written, made), results, strict=True):
        Evaluator(module, {}, {}, lines.append).call("main", ())
    assert [float(x) for x in results[0]] == pytest.approx([float(x) for x in results[1]], rel=1e-12)


def test_nothing_is_known_when_nobody_asked() -> None:
    module = compile_source(Source("t.dml", "X = exp(rand(rows=9, cols=9))\nprint(sum(X))\n"), {})
    assert all(facts_of(v) == ANY for op in module.walk() for v in op.results if v.name == "X")


@pytest.mark.parametrize("shift", [0.0, -40.0])
def test_symmetric_systems(shift: float) -> None:
    """Solved by Cholesky's factors, and otherwise where the matrix is not positive definite."""
    x = np.random.default_rng(1).normal(size=(60, 20))
    b = x.T @ np.arange(60.0)[:, None]
    script = "A = t(X) %*% X + diag(matrix(d, ncol(X), 1))\ny = solve(A, b)\n"
    found = sysmlc.run(script, inputs={"X": x, "b": b, "d": shift}, outputs=["y"])["y"]
    np.testing.assert_allclose(found, np.linalg.solve(x.T @ x + shift * np.eye(20), b), rtol=1e-8)


def test_singular_symmetric_systems_fail_as_others_do() -> None:
    with pytest.raises(NativeError, match="solve: the matrix is singular"):
        sysmlc.run(
            "A = t(X) %*% X\ny = solve(A, matrix(1, 3, 1))\n", inputs={"X": np.ones((5, 3))}, outputs=["y"]
        )
