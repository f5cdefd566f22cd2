"""What a sparse matrix masks, or what is read only in part, takes memory for its non-zeros: no large product is formed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sysmlc.api import Program
from sysmlc.codegen.cpu.compile import Options
from sysmlc.ir.source import Source
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
@pytest.mark.parametrize("text", MASKED)
def test_masked(text: str, known: bool) -> None:
    check(text, known, 0.15)
