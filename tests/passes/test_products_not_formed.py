"""What a sparse matrix masks, or what is read only in part, takes memory for its non-zeros: no large product is formed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sysmlc.api import Program
from sysmlc.codegen.cpu.compile import Options
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import matrix
from sysmlc.passes import parse_pipeline
from sysmlc.runtime.bridge import NativeError
from sysmlc.runtime.library import native

ROWS, COLS, RANK = 1300, 1100, 8
PRODUCT = 8 * ROWS * COLS
RNG = np.random.default_rng(3)
X = sparse.random(ROWS, COLS, 2e-3, format="csr", random_state=5)
X.data += 0.5
INPUTS: dict[str, Any] = {
    "X": X, "U": RNG.random((ROWS, RANK)), "V": RNG.random((COLS, RANK)), "M": RNG.random((RANK, RANK)),
    "N": RNG.random((RANK, RANK)), "B": RNG.random((RANK, COLS)), "L": RNG.random((RANK, ROWS)), "d": RNG.random((RANK, 1)),
    "a": RNG.random((ROWS, 1)), "b": RNG.random((COLS, 1)), "s": 0.5, "k": 20,
}  # fmt: skip

MASKED = [
    "R = X * (U %*% M %*% t(V))",
    "R = X * (U %*% M %*% N %*% t(V))",
    "R = X * (U %*% B)",
    "R = X * (U %*% M %*% B)",
    "R = X * (t(L) %*% M %*% B)",
    "R = X * (s * (U %*% M %*% t(V)))",
    "R = X * ((U * s) %*% M %*% t(V))",
    "R = X * ((U - U %*% M) %*% B)",
    "R = X * (U %*% t(V) - U %*% M %*% t(V))",
    "R = X * t(V %*% M %*% t(U))",
    "R = t(X) * exp(V %*% M %*% t(U))",
    "R = sum(X * (U %*% M %*% t(V)))",
    "R = sum(X * log(U %*% diag(d) %*% t(V) + s))",
    "R = sum((X != 0) * (X - U %*% M %*% t(V))^2)",
    "R = ((X != 0) * (U %*% M %*% t(V) - X)) %*% V",
    "R = t((X != 0) * (U %*% M %*% t(V) - X)) %*% U",
    "R = ifelse(X != 0, U %*% M %*% t(V), 0)",
    "R = X / (U %*% M %*% t(V) + s)",
    "R = rowMaxs(X * (U %*% M %*% t(V)))",
    "G = X\nfor (i in 1:2) { G = (X != 0) * (G * (U %*% M %*% t(V)) - X) }\nR = G",
    "G = X\nfor (i in 1:2) { G = G * exp(-(U %*% t(V))) }\nR = G",
    "G = V\nfor (i in 1:2) {\n E = (X != 0) * (U %*% M %*% t(G) - X)\n G = G - 0.001 * (t(E) %*% (U %*% M))\n}\nR = G",
    "f = function(matrix[double] X, matrix[double] U, matrix[double] V) return (double r) { r = sum((X != 0) * (X - U %*% t(V))^2) }\nR = f(X, U %*% M, V) + f(X, U, V * 2)",
]  # fmt: skip
ELSEWHERE = [
    "R = t(X) %*% (X * (U %*% t(V)))",
    "P = U %*% t(V)\nR = sum((X != 0) * P) + mean(P)",
    "P = U %*% t(V)\nR = sum((X != 0) * P) + length(P) - nrow(P)",
    "P = U %*% t(V)\nR = sum((X != 0) * P) + as.scalar(P[k, 1])",
    "P = U %*% t(V)\nif (s > 0) { R = X * P } else { R = X }",
    "P = exp(U %*% t(V))\nif (s < 0) { R = sum(X * P) } else { R = sum(X * P * 2) }",
]
"""What else is made of the product, or where, does not need it as a whole."""
FACTORS = [
    "R = mean(U %*% t(V))",
    "R = rowMeans(U %*% M %*% t(V))",
    "R = colMeans(U %*% t(V))",
    "v = matrix(1, rows=nrow(V), cols=1)\nR = U %*% t(V) %*% v",
    "R = U %*% t(V) %*% V",
    "R = X %*% t(X) %*% U",
    "R = sum((X - U %*% t(V))^2)",
    "R = sum(log(U %*% t(V) + X + s))",
]
"""What needs the factors, in another order or for sums, or cells one after the other."""
PARTS = [
    "P = U %*% t(V)\nR = P[1:10, 1:20]",
    "P = U %*% M %*% t(V)\nR = P[k:(k + 5), ]",
    "P = U %*% t(V)\nR = P[, k]",
    "P = U %*% t(V)\nR = as.scalar(P[k, 7]) + s",
    "P = U %*% t(V)\nR = P[1:10, ] + P[21:30, ]",
    "P = U %*% t(V)\nif (s > 0) { R = sum(P[1:10, ]) } else { R = 0 }",
    "P = t(U %*% t(V))\nR = P[1:10, k]",
    "P = exp(U %*% t(V) * 2) / s\nR = P[k, 1:20]",
    "P = exp(-(U %*% t(V)))\nR = as.scalar(P[5, 7])",
    "P = rowSums(exp(U %*% t(V)))\nR = P[1:10]",
    "P = colMaxs(exp(U %*% t(V)))\nR = P[1, 3:5]",
]  # fmt: skip
PARTS_OF_KNOWN_SIZES = [
    "P = X + U %*% t(V)\nR = P[1:9, ]",
    "P = exp(U %*% t(V) + a + t(b))\nR = P[1:10, 1:20]",
    "P = t(exp(U %*% t(V)))\nR = P[1:10, ]",
    "P = cbind(U %*% t(V), a)\nR = P[1:10, 1:20]",
    "P = cbind(a, U %*% t(V))\nR = P[k:(k + 2), 2:20]",
    "P = cbind(a, U %*% t(V))\nR = P[1:10, ]",
    "P = rbind(t(b), U %*% t(V))\nR = P[5:10, 4:9]",
    "P = ifelse(U %*% t(V) > a, 1, 0)\nR = P[4, ]",
]  # fmt: skip
LOOPS = [
    "P = U %*% t(V)\nR = 0\nfor (i in 1:20) { R = R + sum(P[i, ]^2) }",
    "P = exp(U %*% t(V))\nR = 0\nfor (i in 1:20) { R = R + as.scalar(P[i, i]) * i }",
]
"""A part for each round is taken from what is computed once."""
OUT_OF_RANGE = [
    "P = U %*% t(V)\nR = P[1:k, ]",
    "P = U %*% t(V)\nR = P[k:(k + 1), ]",
    "P = U %*% t(V)\nR = P[, 2:k]",
    "P = U %*% t(V)\nR = as.scalar(P[k, k])",
    "P = U %*% t(V)\nR = P[4:(k - 38), 1]",
    "P = t(U %*% t(V))\nR = P[1, k]",
    "P = t(U %*% t(V))\nR = P[k, 1]",
    "P = t(exp(U %*% t(V)))\nR = P[k, k]",
    "P = exp(U %*% t(V) + a)\nR = P[k, 1]",
    "P = exp(a + U %*% t(V))\nR = P[2, k]",
    "P = exp(a + U %*% t(V))\nR = as.scalar(P[k, 1 - k])",
    "P = rowSums(exp(U %*% t(V)))\nR = P[k, 1]",
    "P = rowSums(exp(U %*% t(V)))\nR = P[1, k]",
    "P = cbind(a, U %*% t(V))\nR = P[k, 2:3]",
    "P = rbind(t(b), U %*% t(V))\nR = P[2:3, k]",
]


def run(text: str, inputs: Mapping[str, Any], *, level: int = 2, known: bool = True) -> tuple[Any, int]:
    """The result and by how many bytes matrices grew at most."""
    program = Program(Source("<script>", text + "\n"), outputs=["R"], options=Options(level))
    if not known:
        program.prepare(
            {
                n: "f64" if isinstance(v, float) else "i64" if isinstance(v, int) else "matrix"
                for n, v in inputs.items()
            }
        )
    before = 0

    def reset(_: Any) -> None:
        nonlocal before
        native().sm_reset_peak()
        before = native().sm_bytes_live()

    results = program.run(inputs, configure=reset)
    grown = native().sm_bytes_peak() - before
    found = results["R"]
    return found.toarray() if sparse.issparse(found) else np.array(found), grown


def used(text: str, dense: bool = False) -> dict[str, Any]:
    """The inputs that a script reads."""
    words = set("".join(c if c.isalnum() else " " for c in text).split())
    return {n: v.toarray() if dense and sparse.issparse(v) else v for n, v in INPUTS.items() if n in words}


def check(text: str, known: bool, most: float) -> None:
    expected, formed = run(text, used(text, dense=True), level=0)
    assert formed > PRODUCT
    found, grown = run(text, used(text), known=known)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    assert grown < most * PRODUCT


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("text", MASKED + ELSEWHERE + FACTORS)
def test_masked(text: str, known: bool) -> None:
    check(text, known, 0.15)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("text", PARTS)
def test_parts(text: str, known: bool) -> None:
    check(text, known, 0.15)


@pytest.mark.parametrize("text", PARTS_OF_KNOWN_SIZES)
def test_parts_of_known_sizes(text: str) -> None:
    check(text, True, 0.15)


@pytest.mark.parametrize("text", LOOPS)
def test_loops_take_parts_of_what_is_there(text: str) -> None:
    types = {n: matrix(*v.shape) for n, v in used(text).items()}
    module = compile_source(Source("<script>", text + "\n"), {}, inputs=types, outputs=["R"])
    PassManager(parse_pipeline("inline,infer,canonicalize,cse,dce,simplify")).run(module)
    products = [op for op in module.walk() if op.name == "dml.matmul"]
    assert [op.parent is not None and op.parent.parent.name for op in products] == ["core.func"]
    found, _ = run(text, used(text))
    expected, _ = run(text, used(text), level=0)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("text", OUT_OF_RANGE)
def test_errors_are_those_of_the_whole(text: str, known: bool) -> None:
    rng = np.random.default_rng(1)
    small = {
        "U": rng.random((12, 2)), "V": rng.random((9, 2)), "a": rng.random((12, 1)), "b": rng.random((9, 1)), "k": 40,
    }  # fmt: skip
    given = {n: v for n, v in small.items() if n in used(text)}
    messages = []
    for level in (0, 2):
        with pytest.raises((NativeError, Diagnostic)) as raised:
            run(text, given, level=level, known=known)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


def test_many_ways_from_a_product_to_its_mask_are_no_more_work() -> None:
    steps = "".join(f"P = P + abs(P - {i})\n" for i in range(10))
    check(f"P = U %*% M %*% t(V)\n{steps}R = sum(X * P)", True, 0.15)
