"""Products of a sparse matrix and a vector beside SciPy, in double and in single precision.

    python benchmarks/sparse.py [--rounds 15] [--rows 1000000] [--cols 1000] [--nnz 10000000]

`call` is one call from Python, which checks the caller's CSR arrays; `operator` is one more product of a program that makes
several with the same matrix. Minima of interleaved rounds; ratios say how much longer SciPy takes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from expressions import csr  # noqa: E402
from measure import clocked, machine, side_by_side, table  # noqa: E402

import sysmlc  # noqa: E402

MORE = 5
"""Products that a program makes beyond one."""


def repeated(product: str, vector: str) -> str:
    """A script that makes n products, each of a vector that depends on the one before."""
    return f"for (i in 1:n) {{\n  r = {product}\n  {vector}[1, 1] = max(r)\n}}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cols", type=int, default=1000)
    parser.add_argument("--nnz", type=int, default=10_000_000)
    options = parser.parse_args()
    rng = np.random.default_rng(5)
    X = csr(options.rows, options.cols, options.nnz)
    u, v = rng.random((options.rows, 1)), rng.random((options.cols, 1))
    rows = []
    for precision, kind in (("double", np.float64), ("single", np.float32)):
        S = X.astype(kind)
        for product, name, vector, peer in (
            ("X %*% v", "v", v.astype(kind), lambda S, x: S @ x),
            ("t(X) %*% u", "u", u.astype(kind), lambda S, x: S.T @ x),
        ):
            one = sysmlc.compile(f"r = {product}\n", outputs=["r"], precision=precision)
            several = sysmlc.compile(repeated(product, name), outputs=["r"], precision=precision)
            inputs: dict[str, Any] = {"X": S, name: vector}
            calls: dict[str, Callable[[], Any]] = {
                "call": lambda p=one, d=inputs: p.run(d)["r"],
                "first": lambda p=several, d=inputs: p.run({**d, "n": 1})["r"],
                "more": lambda p=several, d=inputs: p.run({**d, "n": 1 + MORE})["r"],
                "SciPy": lambda f=peer, S=S, x=vector: f(S, x),
            }
            found = side_by_side({k: clocked(c) for k, c in calls.items()}, options.rounds, 2)
            best = {k: min(times) for k, times in found.items()}
            operator = (best["more"] - best["first"]) / MORE
            rows.append([
                f"{product}, {precision}", *(f"{t * 1e3:.1f}" for t in (operator, best["call"], best["SciPy"])),
                *(f"{best['SciPy'] / t:.2f}x" for t in (operator, best["call"])),
            ])  # fmt: skip
    print(machine())
    print(table(["product", "operator ms", "call ms", "SciPy ms", "operator", "call"], rows))


if __name__ == "__main__":
    main()
