"""Single precision beside double precision and float32 of NumPy (with threaded OpenBLAS) and SciPy, through the Python interface.

    python benchmarks/precision.py [--rounds 15] [--only TEXT]

Minima of interleaved rounds; the ratios say how much faster single precision is than the other column.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from measure import clocked, machine, side_by_side, table  # noqa: E402

import sysmlc  # noqa: E402

CELLS = 8_000_000


def products(n: int) -> tuple[str, str, dict[str, Any], Any]:
    rng = np.random.default_rng(n)
    X, Y = rng.random((n, n), np.float32), rng.random((n, n), np.float32)
    return f"X %*% Y, n = {n}", "r = X %*% Y", {"X": X, "Y": Y}, lambda: X @ Y


def cells() -> list[tuple[str, str, dict[str, Any], Any]]:
    rng = np.random.default_rng(0)
    X, Y, Z = (rng.random((CELLS // 1000, 1000), np.float32) for _ in range(3))
    return [
        ("sum(X*Y*Z)", "r = sum(X * Y * Z)", {"X": X, "Y": Y, "Z": Z}, lambda: np.sum(X * Y * Z)),
        ("exp(X)", "r = exp(X)", {"X": X}, lambda: np.exp(X)),
        ("sum(tanh(X))", "r = sum(tanh(X))", {"X": X}, lambda: np.sum(np.tanh(X))),
        ("X %*% v", "r = X %*% v", {"X": X, "v": Y[:1].T.copy()}, lambda: X @ Y[:1].T),
    ]


def scans() -> list[tuple[str, str, dict[str, Any], Any]]:
    """Expressions that are one scan of their largest matrix."""
    rng = np.random.default_rng(1)
    X = rng.random((CELLS // 500, 500), np.float32) - np.float32(0.5)
    v, w = rng.random((500, 1), np.float32), rng.random((len(X), 1), np.float32)
    B, Y = rng.random((500, 4), np.float32) / 500, rng.random((len(X), 4), np.float32)

    def logistic() -> Any:
        E = np.exp(X @ B)
        return X.T @ (E / E.sum(axis=1, keepdims=True) - Y)

    S = sparse.random(20_000, 20_000, 0.005, "csr", np.float32, random_state=rng)
    U, V = (rng.random((20_000, 20), np.float32) for _ in range(2))
    rows = np.repeat(np.arange(S.shape[0]), np.diff(S.indptr))

    def sampled() -> Any:
        P = np.concatenate([
            np.einsum("ij,ij->i", U[rows[i : i + 65536]], V[S.indices[i : i + 65536]]) for i in range(0, S.nnz, 65536)
        ])  # fmt: skip
        return np.sum((S.data - P) ** 2, dtype=np.float64)

    product = rng.random((20_000, 32), np.float32)
    return [
        (
            "t(X) %*% (w*(X %*% v))",
            "r = t(X) %*% (w * (X %*% v))",
            {"X": X, "w": w, "v": v},
            lambda: X.T @ (w * (X @ v)),
        ),
        (
            "gradient of MLR, 4 classes",
            "E = exp(X %*% B); r = t(X) %*% (E / rowSums(E) - Y)",
            {"X": X, "B": B, "Y": Y},
            logistic,
        ),
        (
            "sum((S!=0)*(S - U %*% t(V))^2)",
            "r = sum((S != 0) * (S - U %*% t(V))^2)",
            {"S": S, "U": U, "V": V},
            sampled,
        ),
        ("S %*% B, 32 columns", "r = S %*% B", {"S": S, "B": product}, lambda: S @ product),
        ("S %*% v", "r = S %*% v", {"S": S, "v": product[:, :1].copy()}, lambda: S @ product[:, :1]),
        ("t(S) %*% B, 32 columns", "r = t(S) %*% B", {"S": S, "B": product}, lambda: S.T @ product),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with this text in their names")
    given = parser.parse_args()
    rows = []
    cases = [*cells(), *scans(), *(products(n) for n in (1000, 2000, 3000))]
    for name, script, single, peer in (c for c in cases if given.only in c[0]):
        double = {key: value.astype(np.float64) for key, value in single.items()}
        programs = {p: sysmlc.compile(script, outputs=["r"], precision=p) for p in ("single", "double")}
        found = side_by_side(
            {
                "single": clocked(lambda p=programs["single"], x=single: p.run(inputs=x)["r"]),
                "double": clocked(lambda p=programs["double"], x=double: p.run(inputs=x)["r"]),
                "NumPy": clocked(peer),
            },
            given.rounds,
            warmup=2,
        )
        best = {key: min(times) for key, times in found.items()}
        rows.append(
            [
                name,
                *(f"{1000 * best[key]:.2f}" for key in ("single", "double", "NumPy")),
                *(f"{best[key] / best['single']:.2f}x" for key in ("double", "NumPy")),
            ]
        )
    print(machine())
    print(table(["expression", "single ms", "double ms", "NumPy ms", "vs double", "vs NumPy"], rows))


if __name__ == "__main__":
    main()
