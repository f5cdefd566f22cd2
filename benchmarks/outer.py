"""Speed of expressions over `U %*% t(V)` that a sparse matrix drives, against limits of the machine, SciPy and SystemDS.

    python benchmarks/outer.py [--threads 2] [--only NAME] [--small] [--systemds]

Each line gives the time of one run, time for each non-zero, how much of the limit that is (the non-zeros and both factors
read once at the bandwidth of the memory, and the multiplications at the peak of the processor), and how many times longer
NumPy and SciPy take for the same, without forming the product. With `--systemds` (its command is $SYSTEMDS) the sweep over densities
also tells how many times longer SystemDS takes, without and with its code generation, for matrices of the same kind.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from expressions import Workload, rand, systemds_seconds
from measure import rest
from scipy import sparse

from sysmlc.api import Results
from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source
from sysmlc.ir.types import matrix
from sysmlc.runtime.bridge import Context

REPEAT = 7
BANDWIDTH = 20e9
PEAK = 100e9

Inputs = dict[str, Any]


def random_csr(rows: int, cols: int, nnz: int, seed: int = 0) -> Any:
    """About `nnz` positive entries, equally likely everywhere."""
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(0, rows * cols, nnz))
    rowptr = np.searchsorted(cells, np.arange(rows + 1) * cols)
    values = rng.random(len(cells)) + 0.5
    return sparse.csr_matrix((values, (cells % cols).astype(np.int32), rowptr.astype(np.int32)), (rows, cols))


def sampled(x: Any, u: Any, v: Any) -> Any:
    """Cells of the product at the non-zeros, in pieces that fit into the cache."""
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    made = np.empty(x.nnz)
    for at in range(0, x.nnz, 1 << 14):
        part = slice(at, at + (1 << 14))
        made[part] = np.einsum("ij,ij->i", u[rows[part]], v[x.indices[part]])
    return made


def with_cells(x: Any, cells: Any) -> Any:
    return sparse.csr_matrix((cells, x.indices, x.indptr), x.shape)


ALS: dict[str, tuple[str, Callable[..., Any]]] = {
    "loss": ("r = sum(X * (U %*% t(V)))", lambda X, U, V: X.data @ sampled(X, U, V)),
    "weighted loss": (
        "r = sum((X != 0) * (X - U %*% t(V))^2)",
        lambda X, U, V: np.sum((X.data - sampled(X, U, V)) ** 2),
    ),
    "weighted plus": (
        "r = sum((X != 0) * (X + U %*% t(V))^2)",
        lambda X, U, V: np.sum((X.data + sampled(X, U, V)) ** 2),
    ),
    "values": ("R = X * (U %*% t(V))\nr = R[1, 1]", lambda X, U, V: with_cells(X, X.data * sampled(X, U, V))),
    "gradient of U": (
        "R = ((X != 0) * (U %*% t(V) - X)) %*% V\nr = R[1, 1]",
        lambda X, U, V: with_cells(X, sampled(X, U, V) - X.data) @ V,
    ),
    "gradient of V": (
        "R = t((X != 0) * (U %*% t(V) - X)) %*% U\nr = R[1, 1]",
        lambda X, U, V: with_cells(X, sampled(X, U, V) - X.data).T @ U,
    ),
}
ENTROPY = "r = sum(X * log(U %*% t(V) + 0.001))"


class Run:
    """A script with its inputs in place."""

    def __init__(self, script: str, inputs: Inputs) -> None:
        types = {n: matrix(*v.shape) for n, v in inputs.items()}
        module = compile_source(Source("<script>", script + "\n"), {}, inputs=types, outputs=["r"])
        self.loaded = engine().load(compile_program(module, "script", Options(2)))
        self.context = Context()
        for name, value in inputs.items():
            self.context.set_input(name, value)

    def __call__(self) -> None:
        self.context.run(self.loaded, engine().resolver)

    @property
    def result(self) -> Any:
        return Results(self.context, ["r"])["r"]


def median(run: Callable[[], object], repeat: int = REPEAT) -> float:
    """The median time of one run, in seconds."""
    run()
    times = []
    for _ in range(repeat):
        rest()
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def report(name: str, script: str, inputs: Inputs, peer: Callable[..., Any], systemds: str = "") -> None:
    """Measure one script and print its line; `systemds` makes inputs for SystemDS, if that is to be measured."""
    x, u = inputs["X"], inputs["U"]
    program = Run(script, inputs)
    ours = median(program)
    theirs = median(lambda: peer(**inputs), 1)
    bytes_read = 12 * x.nnz + sum(8 * v.size for n, v in inputs.items() if n != "X")
    limit = max(bytes_read / BANDWIDTH, 2 * x.nnz * u.shape[1] / PEAK)
    expected = peer(**inputs)
    if np.isscalar(expected):
        assert np.isclose(program.result, expected, rtol=1e-9), (program.result, expected)
    others = ""
    if systemds:
        work = Workload(script, inputs, lambda _: None, systemds)
        with tempfile.TemporaryDirectory() as folder:
            plain, codegen = (systemds_seconds(work, 5, Path(folder), on) / ours for on in (False, True))
        others = f" {plain:8.1f}x SystemDS {codegen:8.1f}x with codegen"
    print(
        f"{name:<28}{1e3 * ours:9.2f} ms {1e9 * ours / max(x.nnz, 1):9.2f} ns/nz {limit / ours:7.2f} of limit"
        f" {theirs / ours:8.1f}x SciPy{others}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--small", action="store_true", help="a tenth of the sizes")
    parser.add_argument(
        "--systemds", action="store_true", help="measure it too, for the sweep over densities"
    )
    options = parser.parse_args()
    Context().set_threads(options.threads)
    scale = 10 if options.small else 1
    rows, cols, rank = 100_000 // scale, 50_000 // scale, 20
    rng = np.random.default_rng(1)
    if any(options.only in name for name in ALS):
        x = random_csr(rows, cols, 5_000_000 // scale)
        inputs = {"X": x, "U": rng.random((rows, rank)), "V": rng.random((cols, rank))}
        print(f"X {rows} x {cols}, {x.nnz} non-zeros, rank {rank}")
        for name, (script, peer) in ALS.items():
            if options.only in name:
                report(name, script, inputs, peer)
    if options.only in "entropy":
        n, rank = 20_000 // scale, 100
        print(f"{ENTROPY}, {n} x {n}, rank {rank}")
        factors = {"U": rng.random((n, rank)), "V": rng.random((n, rank))}
        for density in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
            x = random_csr(n, n, max(1, int(density * n * n)))
            report(
                f"entropy {density:g}",
                ENTROPY,
                {"X": x, **factors},
                lambda X, U, V: X.data @ np.log(sampled(X, U, V) + 0.001),
                rand("X", n, n, density) + rand("U", n, rank, seed=2) + rand("V", n, rank, seed=3)
                if options.systemds
                else "",
            )


if __name__ == "__main__":
    sys.exit(main())
