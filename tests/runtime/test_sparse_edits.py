"""Sparse matrices that are changed cell by cell and row by row: results are those of dense ones, and nothing is copied."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc


def run(script: str, inputs: dict[str, Any], outputs: list[str]) -> tuple[dict[str, Any], str]:
    contexts: list[Any] = []

    def configure(context: Any) -> None:
        context.enable_statistics()
        contexts.append(context)

    results = sysmlc.compile(script, outputs=outputs).run(inputs, configure=configure)
    return results, contexts[0].statistics(5)


def plain(x: Any) -> Any:
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


WALK = """
s = 1
for (k in 1:rounds) {
  s = (s * 16807) %% 2147483647
  i = s %% nrow(X) + 1
  j = (s %/% 7) %% ncol(X) + 1
  BODY
}
r = sum(X)
"""


def walked(x: Any, rounds: int, body: Any) -> Any:
    s, x = 1, x.copy()
    for k in range(1, rounds + 1):
        s = (s * 16807) % 2147483647
        body(x, k, s % x.shape[0], (s // 7) % x.shape[1])
    return x


def _set(x: Any, k: int, i: int, j: int) -> None:
    x[i, j] = k % 3


def _double(x: Any, k: int, i: int, j: int) -> None:
    x[i] = x[i] * 2 - (x[i] == 4)


def _copy(x: Any, k: int, i: int, j: int) -> None:
    x[i, : j + 1] = x[k % x.shape[0], : j + 1]
    x[i, j] = x[i, j] + 1


def _block(x: Any, k: int, i: int, j: int) -> None:
    x[i:, j] = 0
    x[i, j] = k


BODIES = {
    "X[i, j] = k %% 3": _set,
    "X[i, ] = X[i, ] * 2 - (X[i, ] == 4)": _double,
    "X[i, 1:j] = X[k %% nrow(X) + 1, 1:j]\n X[i, j] = as.scalar(X[i, j]) + 1": _copy,
    "X[i:nrow(X), j] = matrix(0, nrow(X) - i + 1, 1)\n X[i, j] = k": _block,
}


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_edits_are_those_of_a_dense_matrix(body: str) -> None:
    x = sparse.random(300, 200, 0.02, format="csr", random_state=1)
    x.data = np.ceil(x.data * 4)
    found, report = run(WALK.replace("BODY", body), {"X": x, "rounds": 500}, ["X", "r"])
    expected = walked(x.toarray(), 500, BODIES[body])
    np.testing.assert_array_equal(plain(found["X"]), expected)
    assert found["r"] == expected.sum()
    assert "Edits of sparse rows" in report


def test_edits_are_put_in_once() -> None:
    x = sparse.random(3000, 2000, 0.001, format="csr", random_state=1)
    _, report = run(WALK.replace("BODY", "X[i, j] = k"), {"X": x, "rounds": 2000}, ["r"])
    edits = re.search(r"Edits of sparse rows: (\d+), put in 1 times", report)
    assert edits is not None
    assert int(edits[1]) > 1900


def test_columns_written_one_after_the_other() -> None:
    """The first column moves all rows, which tells that others may follow."""
    x = sparse.random(500, 300, 0.01, format="csr", random_state=1)
    script = "for (k in 1:ncol(X)) { j = as.scalar(P[k, 1]); X[, j] = (V %% 7 == j %% 7) * 2; }\nr = sum(X)\n"
    v = np.arange(500.0)[:, None]
    found, report = run(script, {"X": x, "V": v, "P": np.arange(300.0, 0, -1)[:, None]}, ["X", "r"])
    expected = (v % 7 == np.arange(1, 301)[None, :] % 7) * 2.0
    np.testing.assert_array_equal(plain(found["X"]), expected)
    assert "Edits of sparse rows" in report


def test_what_fills_up_becomes_dense() -> None:
    x = sparse.csr_matrix((40, 50))
    script = "for (k in 1:39) { i = as.scalar(P[k, 1]); X[i, ] = matrix(i, 1, ncol(X)); }\nr = sum(X)\n"
    found, report = run(script, {"X": x, "P": np.arange(40.0, 0, -1)[:, None]}, ["X", "r"])
    assert isinstance(found["X"], np.ndarray)
    assert found["r"] == 50 * sum(range(2, 41))
    assert "Edits of sparse rows" in report


READS = """
Y = X
f = function(matrix[double] A, integer k) return (matrix[double] B) { B = A; B[k, k] = k; B[k, ] = B[k, ] * 2; }
for (k in 1:9) {
  X = f(X, k)
  X[k, 2] = k
  if (k == 4) { Y = X; L = list(X, k); }
  if (k == 6) print(sum(X))
  while (sum(X[k, ]) < 100) X[k, 5] = as.scalar(X[k, 5]) + 40
}
M = as.matrix(L[1])
r = sum(X) + 2 * sum(Y) + 3 * sum(M)
"""


def test_everybody_else_sees_settled_matrices() -> None:
    x = sparse.random(60, 50, 0.02, format="csr", random_state=1)
    x.data = np.ceil(x.data * 4)
    found, _ = run(READS, {"X": x}, ["X", "Y", "M", "r"])
    dense, _ = run(READS, {"X": x.toarray()}, ["X", "Y", "M", "r"])
    for name in ("X", "Y", "M"):
        np.testing.assert_array_equal(plain(found[name]), plain(dense[name]))
    assert found["r"] == dense["r"]
    assert (found["Y"] != found["X"]).sum() > 0
