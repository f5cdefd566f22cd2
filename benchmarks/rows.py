"""Speed of expressions that scan the rows of a matrix: fused, one operation at a time, and with NumPy.

    python benchmarks/rows.py [--threads 2] [--only mmchain]

`scan` is how long reading the scanned matrix once takes (sum(X), the fastest kernel there is for it); `share` is that over the
fused time: 1 is one scan at the bandwidth of the memory. All variants take turns; the shortest times are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from measure import rest
from tests.passes.row_programs import RowProgram

from sysmlc.runtime.library import native

REPEAT = 9


@dataclass(frozen=True)
class Case:
    """One expression and the shapes of what it reads."""

    name: str
    script: str
    shapes: dict[str, tuple[int, int]]
    numpy: Callable[..., Any] | None = None
    density: float = 1.0


def softmax(X: Any) -> Any:
    E = np.exp(X - X.max(1, keepdims=True))
    return E / E.sum(1, keepdims=True)


def mmchain(rows: int, cols: int, density: float = 1.0) -> Case:
    shapes = {"X": (rows, cols), "v": (cols, 1), "w": (rows, 1)}
    name = f"t(X)%*%(w*(X%*%v)) {rows}x{cols}" + (f" {density:g}" if density < 1 else "")
    return Case(
        name,
        "R = t(X) %*% (w * (X %*% v))",
        shapes,
        lambda X, v, w: X.T @ (w.reshape(-1, 1) * (X @ v)),
        density,
    )


def mlr(rows: int, cols: int, classes: int) -> Case:
    script = "S = X %*% B; E = exp(S - rowMaxs(S)); P = E / rowSums(E); R = t(X) %*% (P - Y)"
    shapes = {"X": (rows, cols), "B": (cols, classes), "Y": (rows, classes)}
    return Case(
        f"MLR gradient {rows}x{cols}x{classes}", script, shapes, lambda X, B, Y: X.T @ (softmax(X @ B) - Y)
    )


CASES = [
    mmchain(1_000_000, 100),
    mmchain(100_000, 1000),
    mmchain(10_000_000, 10),
    mmchain(1_000_000, 1000, 0.01),
    Case(
        "t(X)%*%(X%*%v-y) 200000x200",
        "R = t(X) %*% (X %*% v - y)",
        {"X": (200_000, 200), "v": (200, 1), "y": (200_000, 1)},
        lambda X, v, y: X.T @ (X @ v - y),
    ),
    Case(
        "softmax 1000000x50", "E = exp(X - rowMaxs(X)); R = E / rowSums(E)", {"X": (1_000_000, 50)}, softmax
    ),
    Case(
        "softmax 2000000x10", "E = exp(X - rowMaxs(X)); R = E / rowSums(E)", {"X": (2_000_000, 10)}, softmax
    ),
    mlr(500_000, 100, 3),
    mlr(500_000, 100, 10),
    mlr(100_000, 500, 10),
    mlr(100_000, 500, 32),
    Case(
        "L2SVM gradient 500000x100",
        "s = max(1 - y * (X %*% v), 0); R = t(X) %*% (y * s)",
        {"X": (500_000, 100), "v": (100, 1), "y": (500_000, 1)},
        lambda X, v, y: X.T @ (y * np.maximum(1 - y * (X @ v), 0)),
    ),
    Case(
        "GLM logit 500000x100",
        "p = 1 / (1 + exp(-(X %*% v))); R = t(X) %*% (p - y)",
        {"X": (500_000, 100), "v": (100, 1), "y": (500_000, 1)},
        lambda X, v, y: X.T @ (1 / (1 + np.exp(-(X @ v))) - y),
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    options = parser.parse_args()
    native().sm_set_threads(options.threads)
    rng = np.random.default_rng(1)
    print(
        f"{'milliseconds':34}{'fused':>9}{'plain':>9}{'ratio':>7}{'NumPy':>9}{'ratio':>7}{'scan':>8}{'share':>7}"
    )
    for case in CASES:
        if options.only in case.name:
            run(case, rng, options.scale)


def data(shape: tuple[int, int], density: float, rng: np.random.Generator) -> Any:
    if density < 1:
        from scipy import sparse

        return sparse.random(*shape, density, "csr", random_state=1)
    return rng.random(shape)


def run(case: Case, rng: np.random.Generator, scale: float) -> None:
    rows = case.shapes["X"][0]
    inputs = {
        name: data((int(r * scale) if r == rows else r, c), case.density if name == "X" else 1.0, rng)
        for name, (r, c) in case.shapes.items()
    }
    fused, plain = RowProgram(case.script, ["R"], True), RowProgram(case.script, ["R"], False)
    scan = RowProgram("R = sum(X)", ["R"], False)
    runs: list[Callable[[], Any]] = [
        lambda: fused.run(inputs)["R"],
        lambda: plain.run(inputs)["R"],
        lambda: scan.run({"X": inputs["X"]})["R"],
    ]
    if case.numpy is not None:
        numpy = case.numpy
        runs.append(lambda: numpy(**inputs))
    first = [r() for r in runs]
    np.testing.assert_allclose(first[0], first[1], rtol=1e-7, atol=1e-9 * np.abs(first[1]).max())
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(REPEAT):
        for one, taken in zip(runs, times, strict=True):
            rest()
            start = time.perf_counter()
            one()
            taken.append(1000 * (time.perf_counter() - start))
    t = [min(taken) for taken in times]
    peer = t[3] if len(t) > 3 else float("nan")
    print(
        f"{case.name:34}{t[0]:9.2f}{t[1]:9.2f}{t[1] / t[0]:7.2f}{peer:9.2f}{peer / t[0]:7.2f}{t[2]:8.2f}{t[2] / t[0]:7.2f}"
    )


if __name__ == "__main__":
    main()
