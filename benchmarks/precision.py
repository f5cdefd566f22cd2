"""Single precision beside double precision and NumPy's float32 (with threaded OpenBLAS), through the Python interface.

    python benchmarks/precision.py [--rounds 15]

Minima of interleaved rounds; the ratios say how much faster single precision is than the other column.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    rows = []
    for name, script, single, peer in [*cells(), *(products(n) for n in (1000, 2000, 3000))]:
        double = {key: value.astype(np.float64) for key, value in single.items()}
        programs = {p: sysmlc.compile(script, outputs=["r"], precision=p) for p in ("single", "double")}
        found = side_by_side(
            {
                "single": clocked(lambda p=programs["single"], x=single: p.run(inputs=x)["r"]),
                "double": clocked(lambda p=programs["double"], x=double: p.run(inputs=x)["r"]),
                "NumPy": clocked(peer),
            },
            rounds,
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
