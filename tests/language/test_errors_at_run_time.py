"""Errors that only the run time finds: what the optimiser makes of a script, it fails where the script as written does.

Equal are the place, the operator, the shapes, and what was printed before.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.runtime.bridge import NativeError
from sysmlc.tools.sysmlc import main

SHAPES = {
    "A": (6, 4), "B": (6, 4), "C": (4, 3), "D": (5, 4), "E": (3, 6), "S": (6, 6), "Q": (7, 7),
    "u": (5, 1), "v": (4, 1), "w": (6, 1), "r": (1, 4), "one": (1, 1),
}  # fmt: skip

CELLS = [
    "R = (A + B) * exp(D - 1)\nprint(sum(R))",
    "R = exp(r) * A\nprint(sum(R))",
    "R = A * u + 1\nprint(sum(R))",
    "R = A - colSums(C)\nprint(sum(R))",
    "R = one * A\nprint(sum(R))",
    "R = 2 * (A * 3 - D / 2)\nprint(sum(R))",
    "print(sum(A * B * D))",
    "print(sum((A - D)^2))",
    "print(sum(A * w) + sum(A * u))",
    "R = t(t(A) * t(D))\nprint(sum(R))",
    "R = A * B + A * D\nprint(sum(R))",
    "R = (A + D) - D\nprint(sum(R))",
    "R = 0 * (A + D)\nprint(sum(R))",
    "print(nrow(A + D))",
    "R = outer(w, u, '+')\nprint(sum(R))",
    "R = outer(w, A, '+')\nprint(sum(R))",
    "x = A + D\nprint('nobody needs x')",
    "R = (A > 0) & (D > 0)\nprint(sum(R))",
    "R = min(A, D) + A %% B + log(A, B)\nprint(sum(R))",
    "R = ifelse(A > 0, B, D)\nprint(sum(R))",
    "R = ifelse(sum(A) > 0, B, D) + A\nprint(sum(R))",
    "print(sum((A - colMeans(D)) / colSds(C)))",
    "n = nrow(A)\nW = matrix(0, n, 1)\nR = D + W\nprint(sum(R))",
    "R = removeEmpty(target=A * (A > 0), margin='rows')\nX = R + B[1:2,]\nprint(sum(X))",
]
PRODUCTS = [
    "R = t(t(A) %*% D)\nprint(sum(R))",
    "R = t(A %*% t(C))\nprint(sum(R))",
    "R = A %*% C %*% E %*% w %*% C\nprint(sum(R))",
    "R = A %*% C + A %*% t(E)\nprint(sum(R))",
    "print(sum(A %*% D))",
    "print(sum(rowSums(A %*% D)))",
    "print(as.scalar(t(w) %*% u))",
    "print(as.scalar(t(w) %*% A))",
    "print(trace(A %*% E))",
    "print(trace(A %*% C))",
    "print(sum(diag(A %*% t(A)) * u))",
    "print(sum(diag(A)))",
    "H = t(A) %*% A + S\nprint(sum(H))",
    "x = solve(t(A) %*% A, t(D) %*% w)\nprint(sum(x))",
    "X = A + D\nY = A %*% B\nprint(sum(X) + sum(Y))",
    "Y = A %*% B\nX = A + D\nprint(sum(X) + sum(Y))",
]
SCANS = [
    "g = t(A) %*% (w * (A %*% u))\nprint(sum(g))",
    "g = t(A) %*% (u * (A %*% v))\nprint(sum(g))",
    "g = t(D) %*% (w * (A %*% v))\nprint(sum(g))",
    "P = exp(A %*% C)\nP = P / rowSums(P)\nG = t(A) %*% (P - D)\nprint(sum(G))",
    "P = A - rowMaxs(D)\nprint(sum(exp(P) / rowSums(exp(P))))",
    "o = 1 - w * (A %*% v)\ns = o > 0\ng = v - t(A) %*% (o * s * u)\nprint(sum(g))",
    "R = cbind(A, w, u)\nprint(sum(R %*% t(R)))",
    "R = cbind(A, w) %*% C\nprint(sum(R))",
    "X = cbind(A, w)\nY = cbind(D, u)\nprint(sum(X) > 0)\nprint(sum(X * Y))",
    "R = rbind(A, C) * 2\nprint(sum(R))",
    "P = A %*% C\nk = ncol(C) + 1\ng = t(A) %*% (P[,1:k] - 1)\nprint(sum(g))",
]
SPARSE = [
    "L = sum(S * log(A %*% t(D) + 1))\nprint(L)",
    "L = sum((S - A %*% t(B) * A)^2)\nprint(L)",
    "L = sum((Q - A %*% t(B))^2)\nprint(L)",
    "L = (S * (A %*% t(B))) %*% D\nprint(sum(L))",
    "L = t(Q * (A %*% t(B))) %*% A\nprint(sum(L))",
    "print(sum(A %*% t(B)) - sum(Q * log(A %*% t(B) + 1)))",
]
ORDER = [
    "s = sum(A * B)\nprint(s > 0)\nt = sum(A * D)\nprint(t)",
    "print('1')\nX = A * 2\nprint(sum(X) > 0)\nY = X + D\nprint(sum(Y))",
    "if (sum(A) > 0) {\n  print('in')\n  R = A + D\n} else {\n  R = A\n}\nprint(sum(R))",
    "R = A\nif (sum(A) < 0) { R = A + D }\nprint(sum(R) > 0)\nprint(sum(R * D))",
    "if (sum(A) < 0) { Z = A }\nprint('p')\nprint(sum(Z + D))",
    "for (i in 1:3) { if (i > 1) { print(sum(Z + D)) }\n  Z = A\n}",
    "for (i in 1:3) {\n  print(i)\n  A = A + D\n}\nprint(sum(A))",
    "s = 0\nfor (i in 1:3) {\n  s = s + sum(A %*% D)\n  print(i)\n}\nprint(s)",
    "s = 0\nX = A\nfor (i in 1:5) {\n  s = s + sum(X %*% C)\n  print(s > 0)\n  X = cbind(X, w)\n}\nprint(s)",
    "s = 0\nfor (i in 1:nrow(A)) { s = s + sum(A[i,] * D[i,]) }\nprint(s)",
    "R = A\nfor (i in 1:nrow(A)) { R[i,] = A[i,] * t(w) }\nprint(sum(R))",
    "R = A\nparfor (i in 1:nrow(A)) { R[i, 1] = sum(A[i,] %*% C[, i]) }\nprint(sum(R))",
    "k = 0\nx = v\nwhile (k < 4) {\n  x = x + t(A) %*% (A %*% x)\n  k = k + 1\n  if (k == 2) x = x + w\n}\nprint(sum(x))",
    "x = A\nwhile (sum(x) > 0) {\n  x = x - 1\n  if (sum(x) < 20) x = x + D\n}\nprint('n')",
    "f = function(matrix[double] X, matrix[double] y) return (matrix[double] z) { z = t(X) %*% (X %*% y) }\n"
    "p = f(A, v)\nprint(sum(p) > 0)\nq = f(A, u)\nprint(sum(q))",
    "f = function(matrix[double] X, integer k) return (matrix[double] z) {\n"
    "  if (k == 0) { z = X } else { z = f(cbind(X, X), k - 1) + X }\n}\nprint(sum(f(A, 2)))",
    "R = solve(S * 0, w)\nX = A + D\nprint(sum(X) + sum(R))",
    "X = A + D\nR = solve(S * 0, w)\nprint(sum(X) + sum(R))",
    "l = list(A, D)\nX = as.matrix(l[1]) + as.matrix(l[2])\nprint(sum(X))",
]
INDEXES = [
    "s = sum(A * 2)\nprint(s > 0)\nt = sum(A[2:9,] * 2)\nprint(t)",
    "n = nrow(D) + 2\nP = A + 1\nprint(sum(P[n,]))",
    "i = nrow(A) + 1\nP = A %*% C\nprint(as.scalar(P[i, 1]))",
    "R = A %*% C[, 1:5]\nprint(sum(R))",
    "k = nrow(A) + 2\nR = A[k,]\nX = A + D\nprint(sum(X) + sum(R))",
    "k = nrow(A) + 2\nX = A + D\nR = A[k,]\nprint(sum(X) + sum(R))",
    "s = 0\nfor (i in 1:8) {\n  print(i)\n  s = s + sum(A[i,])\n}\nprint(s)",
    "s = 0\nfor (i in 1:nrow(A)) { for (j in 1:nrow(A)) { s = s + as.scalar(A[i, j]) } }\nprint(s)",
    "R = A\nfor (i in 1:nrow(A)) { R[i + 1, 1] = i }\nprint(sum(R))",
    "i = nrow(D)\nA[i:(i+3), 1] = w\nprint(sum(A))",
    "A[, 1] = u\nprint(sum(A))",
    "k = nrow(A) - 1\nA[1:k, ] = D * 2\nprint(sum(A) > 0)\nA[1:k, ] = B\nprint(sum(A))",
    "X = A[1:4,] + D[1:4,]\nprint(sum(X) > 0)\nY = A[1:4,] + D\nprint(sum(Y))",
]
OTHERS = [
    "s = 0\nfor (i in 1:3) {\n  print(i)\n  s = s + sum(inv(S * 0))\n}\nprint(s)",
    "k = nrow(A) - 6\nprint('x')\nprint(5 %/% k)",
    "i = nrow(A) * 2000000000\nprint(sum(A) > 0)\nprint(i * 3000000000)",
    "R = matrix(A + 1, rows=3, cols=nrow(D))\nprint(sum(R))",
    "R = table(w, u)\nprint(sum(R))",
    "print('k')\nR = inv(A)\nprint(sum(R))",
    "assert(nrow(A) == 5)\nprint(sum(A + D))",
    "if (nrow(A) == 6) stop('too many rows')\nprint(sum(A + D))",
]  # fmt: skip


def cells(rows: int, cols: int) -> Any:
    return 0.1 + np.arange(rows * cols, dtype=float).reshape(rows, cols) % 7 / 8


def inputs(script: str) -> dict[str, Any]:
    used = {name: cells(*shape) for name, shape in SHAPES.items() if re.search(rf"\b{name}\b", script)}
    return {n: sparse.csr_matrix(m * (m > 0.7)) if n == "Q" else m for n, m in used.items()}


def outcome(program: sysmlc.Program, given: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What the program prints, and its error."""
    program.prepare(dict.fromkeys(given, "matrix"))
    error = ""
    try:
        program.run(inputs=given)
    except NativeError as caught:
        error = str(caught)
    return [capfd.readouterr().out, error]


@pytest.mark.parametrize("script", [*CELLS, *PRODUCTS, *SCANS, *SPARSE, *ORDER, *INDEXES, *OTHERS])
def test_the_optimised_script_fails_as_the_written_one(
    script: str, capfd: pytest.CaptureFixture[str]
) -> None:
    written, optimised = (
        outcome(sysmlc.compile(script, outputs=[], optimize=level), inputs(script), capfd) for level in (0, 2)
    )
    assert re.match(r"<script>:\d+:\d+: error: ", written[1])
    assert optimised == written


@pytest.mark.parametrize(
    "script",
    [
        "R = (X + Y) * Z",
        "R = X * Y - Z / X",
        "R = ifelse(X > 0, Y, Z)",
        "R = t(X %*% Y) + Z",
        "R = X %*% Y %*% Z",
        "R = t(X) %*% (Y * (X %*% Z))",
        "R = as.matrix(sum(X * log(Y %*% t(Z) + 1)))",
        "R = cbind(X, Y) %*% Z",
        "R = rbind(X - Y, Z)",
        "R = as.matrix(trace(X %*% Y)) + as.scalar(Z)",
        "R = diag(X) * Y\nif (sum(R) > 0) R = R + Z",
        "R = matrix(0, nrow(X), ncol(X))\nfor (i in 1:nrow(X)) R[i,] = X[i,] * Y[i,] + Z",
    ],
)
def test_random_shapes_fit_or_fail_as_written(script: str, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(len(script))
    programs = [sysmlc.compile(script, outputs=["R"], optimize=level) for level in (0, 2)]
    failed = 0
    for _ in range(60):
        sizes = rng.choice([1, 2, 3], size=4)
        given = {n: cells(*rng.choice(sizes, size=2)) for n in "XYZ"}
        written, optimised = (outcome(p, given, capfd) for p in programs)
        assert optimised == written
        failed += bool(written[1])
        if not written[1]:
            np.testing.assert_allclose(*(p.run(inputs=given)["R"] for p in programs), rtol=1e-10)
    assert 5 < failed < 60


@pytest.mark.parametrize("script", [CELLS[0], SCANS[3]])
def test_executables_fail_as_the_written_script(
    script: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "script.dml"
    lines = [f'{name} = read("{tmp_path}/{name}.csv", format="csv")' for name in inputs(script)]
    for name, matrix in inputs(script).items():
        np.savetxt(tmp_path / f"{name}.csv", matrix, delimiter=",")
    file.write_text("\n".join([*lines, "print('read')", script, ""]))
    assert main([str(file), "-o", str(tmp_path / "program")]) == 0
    assert main(["run", "-O0", str(file)]) == 1
    written = capfd.readouterr()
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, env={}, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, "read\n", written.err)
    assert written.out == "read\n"
