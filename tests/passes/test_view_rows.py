"""Views of rows: nothing is copied, nobody sees a difference, and they are gone when the loop is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.runtime.library import native

N, M = 64, 5000
X = np.arange(N * M, dtype=np.float64).reshape(N, M) % 97

BODIES = [
    "B = X[i:(i + 1), ]\n  B[1, 1] = 1000\n  {r} = {r} + sum(B)",  # a view is never written to
    "B = X[i:(i + 1), ]\n  B = B * 3\n  {r} = {r} + sum(B)",
    "B = X[i, 2:9]\n  {r} = {r} + sum(B * 2)",
    "B = X[i:(i + 1), 2:9]\n  {r} = {r} + sum(B)",
    "B = X[i:(i + 1), ]\n  C = B[2, ]\n  {r} = {r} + sum(C)",  # of a view
    "L = list(X[i, ])\n  {r} = {r} + sum(as.matrix(L[1]))",
    "if (i > 3) {{\n    B = X[i, ]\n    {r} = {r} + min(B)\n  }}",
]


def test_loops_over_rows_allocate_nothing_for_them() -> None:
    script = "r = 0\nY = X * 2\nfor (i in 1:4) {\n  B = Y[(16 * i - 15):(16 * i), ]\n  r = r + sum(B %*% t(B))\n}\n"
    program = sysmlc.compile(script, outputs=["r"])
    program.run(inputs={"X": X})
    native().sm_reset_peak()
    before = native().sm_bytes_live()
    found = program.run(inputs={"X": X})["r"]
    assert native().sm_bytes_peak() - before < X.nbytes + 200_000  # Y, and not 640,000 for B
    Y = 2 * X
    assert found == pytest.approx(sum(np.sum(Y[i : i + 16] @ Y[i : i + 16].T) for i in range(0, N, 16)))


@pytest.mark.parametrize("form", ["dense", "csr", "f32"])
def test_results_are_those_of_copies(form: str) -> None:
    given = {"dense": X, "csr": sparse.csr_matrix(X * (X == 5)), "f32": X.astype(np.float32)}[form]
    names = [f"r{k}" for k in range(len(BODIES))]
    script = ""
    for r, body in zip(names, BODIES, strict=True):
        script += f"{r} = 0\nfor (i in 1:8) {{\n  {body.format(r=r)}\n}}\n"
    script += "X[1, 1] = 7\n"
    precision = "single" if form == "f32" else "double"
    found = [
        sysmlc.compile(script, outputs=[*names, "X"], optimize=level, precision=precision).run({"X": given})
        for level in (0, 2)
    ]
    for name in names:
        assert found[0][name] == pytest.approx(found[1][name]), name
    changed = np.array(given.toarray() if sparse.issparse(given) else given)
    changed[0, 0] = 7
    for result in (f["X"] for f in found):
        np.testing.assert_array_equal(result.toarray() if sparse.issparse(result) else result, changed)


def test_an_error_while_a_view_lives() -> None:
    script = "r = 0\nY = X * 2\nfor (i in 1:8) {\n  B = Y[i, ]\n  if (i == 5) {\n    stop('enough')\n  }\n  r = r + sum(B)\n}\n"
    program = sysmlc.compile(script, outputs=["r"])
    before = native().sm_bytes_live()
    for _ in range(3):
        with pytest.raises(sysmlc.NativeError, match="enough"):
            program.run(inputs={"X": X})
    assert native().sm_bytes_live() == before
