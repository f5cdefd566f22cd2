"""Whole expressions in steady state: sysmlc (-O2 and -O0), NumPy/SciPy, NumExpr, JAX and SystemDS (codegen on and off).

    python benchmarks/expressions.py [--rounds 7] [--scale 1.0] [--only NAME ...] [--no-systemds]

Inputs are in memory. GB/s counts every input once; the share is of the read bandwidth measured in the same run.
NumExpr and JAX (on the CPU, 64 bits, compiled, inputs on its device) take part where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse, special

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measure import clocked, machine, median, run, side_by_side, systemds, systemds_environment, table  # noqa: E402

import sysmlc  # noqa: E402

RNG = np.random.default_rng(3)


@dataclass
class Workload:
    """An expression with its inputs: DML text, the same in NumPy, and how SystemDS makes inputs of the same kind."""

    dml: str
    inputs: dict[str, Any]
    numpy: Callable[[dict[str, Any]], Any]
    systemds: str
    """DML that makes the inputs with rand()."""
    numexpr: str = ""
    jax: Callable[[Any, dict[str, Any]], Any] | None = None
    """The same for arrays of `jax.numpy`, which is the first argument; None where JAX has no such arrays."""
    flops: float = 0.0
    extra: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """The variable that is asked for: all of R, if there is one, since a sum or a cell of it may be had for less."""
        return "R" if re.search(r"^R = ", self.dml, re.M) else "r"


def dense(rows: int, cols: int) -> Any:
    return RNG.random((rows, cols))


def csr(rows: int, cols: int, nnz: int) -> Any:
    """Random CSR with sorted, distinct columns in each row."""
    per_row = RNG.multinomial(nnz, np.full(rows, 1 / rows))
    keys = np.repeat(np.arange(rows, dtype=np.int64), per_row) * cols + RNG.integers(0, cols, size=nnz)
    keys = np.unique(keys)
    return sparse.csr_matrix((RNG.random(len(keys)) + 0.5, (keys // cols, keys % cols)), shape=(rows, cols))


def rand(name: str, rows: int, cols: int, sparsity: float = 1.0, seed: int = 1) -> str:
    return f"{name} = rand(rows={rows}, cols={cols}, sparsity={sparsity}, seed={seed})\n"


def workloads(scale: float) -> dict[str, Workload]:
    n = int(1_000_000 * scale)
    cells, cols = int(8_000_000 * scale) // 1000, 1000
    X, Y, Z = dense(cells, cols), dense(cells, cols), dense(cells, cols)
    three = {"X": X, "Y": Y, "Z": Z}
    make3 = rand("X", cells, cols) + rand("Y", cells, cols, seed=2) + rand("Z", cells, cols, seed=3)
    tall, wide = dense(n, 100), dense(n // 10, 1000)
    users, items, rank = int(100_000 * scale), int(50_000 * scale), 20
    ratings = csr(users, items, int(5_000_000 * scale))
    U, V = dense(users, rank), dense(items, rank)
    als = {"X": ratings, "U": U, "V": V}
    sparsity = ratings.nnz / users / items
    make_als = (
        rand("X", users, items, sparsity) + rand("U", users, rank, seed=2) + rand("V", items, rank, seed=3)
    )
    some = csr(n, 1000, int(n * 10))
    side = int(20_000 * scale)
    topics = csr(side, side, int(side * side * 1e-3))
    W, H = dense(side, 100), dense(side, 100)
    labels = np.where(RNG.random((n, 1)) < 0.5, -1.0, 1.0)

    def sampled(X: Any, U: Any, V: Any) -> Any:
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        return np.einsum("ij,ij->i", U[rows], V[X.indices])

    def als_loss(sign: float) -> Callable[[dict[str, Any]], Any]:
        def loss(d: dict[str, Any]) -> Any:
            p = sampled(d["X"], d["U"], d["V"])
            return (
                (d["X"].data ** 2).sum()
                + 2 * sign * (d["X"].data * p).sum()
                + ((d["U"].T @ d["U"]) * (d["V"].T @ d["V"])).sum()
            )

        return loss

    return {
        "sum(X*Y*Z)": Workload("r = sum(X * Y * Z)", three, lambda d: (d["X"] * d["Y"] * d["Z"]).sum(), make3, "sum(X*Y*Z)",
            jax=lambda np, d: (d["X"] * d["Y"] * d["Z"]).sum(),
        ),
        "sum(X*Y), sum(X*Z), sum(X^2)": Workload(
            "r = sum(X * Y) + 2 * sum(X * Z) + 3 * sum(X ^ 2)", three,
            lambda d: (d["X"] * d["Y"]).sum() + 2 * (d["X"] * d["Z"]).sum() + 3 * (d["X"] ** 2).sum(), make3,
            jax=lambda np, d: (d["X"] * d["Y"]).sum() + 2 * (d["X"] * d["Z"]).sum() + 3 * (d["X"] ** 2).sum(), numexpr="sum(X*Y + 2*X*Z + 3*X**2)",
        ),
        "X^2 + Y*3 - Z/2": Workload(
            "R = X ^ 2 + Y * 3 - Z / 2\nr = as.scalar(R[1, 1])", three, lambda d: d["X"] ** 2 + d["Y"] * 3 - d["Z"] / 2, make3, "X**2 + Y*3 - Z/2",
            jax=lambda np, d: d["X"] ** 2 + d["Y"] * 3 - d["Z"] / 2,
        ),
        "sum(sigmoid(X) * log(Y + 1))": Workload(
            "r = sum(sigmoid(X) * log(Y + 1))", {"X": X, "Y": Y}, lambda d: (special.expit(d["X"]) * np.log(d["Y"] + 1)).sum(),
            rand("X", cells, cols) + rand("Y", cells, cols, seed=2), "sum(log(Y + 1) / (1 + exp(-X)))",
            jax=lambda np, d: (np.log(d["Y"] + 1) / (1 + np.exp(-d["X"]))).sum(),
        ),
        "t(X)%*%(w*(X%*%v)), 1M x 100": Workload(
            "R = t(X) %*% (w * (X %*% v))\nr = sum(R * R)", {"X": tall, "w": dense(n, 1), "v": dense(100, 1)}, lambda d: d["X"].T @ (d["w"] * (d["X"] @ d["v"])),
            rand("X", n, 100) + rand("w", n, 1, seed=2) + rand("v", 100, 1, seed=3),
            jax=lambda np, d: d["X"].T @ (d["w"] * (d["X"] @ d["v"])),
        ),
        "t(X)%*%(w*(X%*%v)), 100k x 1000": Workload(
            "R = t(X) %*% (w * (X %*% v))\nr = sum(R * R)", {"X": wide, "w": dense(n // 10, 1), "v": dense(1000, 1)},
            lambda d: d["X"].T @ (d["w"] * (d["X"] @ d["v"])), rand("X", n // 10, 1000) + rand("w", n // 10, 1, seed=2) + rand("v", 1000, 1, seed=3),
            jax=lambda np, d: d["X"].T @ (d["w"] * (d["X"] @ d["v"])),
        ),
        "sum((X - U%*%t(V))^2)": Workload("r = sum((X - U %*% t(V)) ^ 2)", als, als_loss(-1), make_als),
        "sum((X + U%*%t(V))^2)": Workload("r = sum((X + U %*% t(V)) ^ 2)", als, als_loss(1), make_als),
        "(U%*%t(V) - X)%*%V": Workload(
            "R = (U %*% t(V) - X) %*% V\nr = sum(R * R)", als, lambda d: d["U"] @ (d["V"].T @ d["V"]) - d["X"] @ d["V"], make_als
        ),
        "t(U%*%t(V) - X)%*%U": Workload(
            "R = t(U %*% t(V) - X) %*% U\nr = sum(R * R)", als, lambda d: d["V"] @ (d["U"].T @ d["U"]) - d["X"].T @ d["U"], make_als
        ),
        "sum((X!=0)*(X - U%*%t(V))^2)": Workload(
            "r = sum((X != 0) * (X - U %*% t(V)) ^ 2)", als, lambda d: ((d["X"].data - sampled(d["X"], d["U"], d["V"])) ** 2).sum(), make_als
        ),
        "sum(X*log(U%*%t(V)+eps)), 1e-3": Workload(
            "r = sum(X * log(U %*% t(V) + 1e-15))", {"X": topics, "U": W, "V": H}, lambda d: (d["X"].data * np.log(sampled(d["X"], d["U"], d["V"]) + 1e-15)).sum(),
            rand("X", side, side, 1e-3) + rand("U", side, 100, seed=2) + rand("V", side, 100, seed=3),
        ),
        "PNMF objective": Workload(
            "r = sum(W %*% H) - sum(X * log(W %*% H))", {"X": topics, "W": W, "H": np.ascontiguousarray(H.T)},
            lambda d: d["W"].sum(0) @ d["H"].sum(1) - (d["X"].data * np.log(sampled(d["X"], d["W"], d["H"].T))).sum(),
            rand("X", side, side, 1e-3) + rand("W", side, 100, seed=2) + rand("H", 100, side, seed=3),
        ),
        "L2SVM inner loop": Workload(
            "out = 1 - Y * (Xw + 0.3 * Xd)\nsv = out > 0\nout = out * sv\ng = 0.1 + 0.3 * 0.2 - sum(out * Y * Xd)\nh = 0.2 + sum(Xd * sv * Xd)\nr = g / h",
            {"Y": labels, "Xw": dense(n, 1), "Xd": dense(n, 1)}, lambda d: _svm(d), rand("Y", n, 1) + rand("Xw", n, 1, seed=2) + rand("Xd", n, 1, seed=3),
            jax=lambda np, d: _svm(d),
        ),
        "MLR gradient": Workload(
            "P = exp(X %*% B)\nP = P / rowSums(P)\nR = t(X) %*% (P - Y)\nr = sum(R * R)", {"X": tall, "B": dense(100, 5) / 50, "Y": dense(n, 5)},
            lambda d: _mlr(np, d), rand("X", n, 100) + rand("B", 100, 5, seed=2) + "B = B / 50\n" + rand("Y", n, 5, seed=3),
            jax=_mlr,
        ),
        "sparse t(X)%*%(X%*%v)": Workload(
            "R = t(X) %*% (X %*% v)\nr = sum(R * R)", {"X": some, "v": dense(1000, 1)}, lambda d: d["X"].T @ (d["X"] @ d["v"]),
            rand("X", n, 1000, 0.01) + rand("v", 1000, 1, seed=2),
        ),
        "sparse t(X)%*%X": Workload("R = t(X) %*% X\nr = sum(R * R)", {"X": some}, lambda d: d["X"].T @ d["X"], rand("X", n, 1000, 0.01)),
        "dense X%*%Y, n = 2000": Workload(
            "R = X %*% Y\nr = max(R)", {"X": dense(2000, 2000), "Y": dense(2000, 2000)}, lambda d: d["X"] @ d["Y"],
            rand("X", 2000, 2000) + rand("Y", 2000, 2000, seed=2), flops=2 * 2000.0**3,
            jax=lambda np, d: d["X"] @ d["Y"],
        ),
    }  # fmt: skip


def _svm(d: dict[str, Any]) -> Any:
    out = 1 - d["Y"] * (d["Xw"] + 0.3 * d["Xd"])
    sv = out > 0
    out = out * sv
    return (0.16 - (out * d["Y"] * d["Xd"]).sum()) / (0.2 + (d["Xd"] * sv * d["Xd"]).sum())


def _mlr(arrays: Any, d: dict[str, Any]) -> Any:
    P = arrays.exp(d["X"] @ d["B"])
    return d["X"].T @ (P / P.sum(axis=1, keepdims=True) - d["Y"])


def jax_call(work: Workload) -> Callable[[], Any]:
    """The workload as a compiled function of JAX."""
    import jax

    jax.config.update("jax_enable_x64", True)
    inputs = {name: jax.device_put(value) for name, value in work.inputs.items()}
    assert work.jax is not None
    compiled = jax.jit(partial(work.jax, jax.numpy))
    return lambda: compiled(inputs).block_until_ready()


def size(value: Any) -> int:
    return (
        int(value.data.nbytes + value.indices.nbytes + value.indptr.nbytes)
        if sparse.issparse(value)
        else int(value.nbytes)
    )


def systemds_seconds(work: Workload, rounds: int, folder: Path, codegen: bool) -> float:
    """Median of timed rounds inside one process, after three to warm up; infinite when it runs out of memory."""
    body = "".join(f"  {line}\n" for line in work.dml.split("\n"))
    script = folder / "expression.dml"
    script.write_text(
        f"{work.systemds}s = 0.0\nfor (i in 1:{rounds + 3}) {{\n  begin = time()\n{body}  s = s + r\n"
        '  print("seconds " + ((time() - begin) / 1e9))\n}\nprint(s)\n'
    )
    try:
        text = run(systemds(script, codegen=codegen, folder=folder), folder, systemds_environment()).output
    except SystemExit as failure:
        if "OutOfMemoryError" not in str(failure):
            raise
        return math.inf
    return median([float(t) for t in re.findall(r"seconds ([0-9.E-]+)", text)][3:])


def read_bandwidth(rows: int) -> float:
    """GB/s of the best of several sums of a large matrix."""
    probe = dense(rows, 1000)
    reader = sysmlc.compile("r = sum(X)\n", outputs=["r"])
    reader.run({"X": probe})
    return size(probe) / min(clocked(lambda: reader.run({"X": probe}))() for _ in range(9)) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--no-systemds", action="store_true")
    options = parser.parse_args()
    bandwidth = read_bandwidth(int(64_000 * options.scale))
    print(f"{machine()}; reading {bandwidth:.1f} GB/s")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for title, work in workloads(options.scale).items():
            if options.only and title not in options.only:
                continue
            programs = {
                level: sysmlc.compile(work.dml + "\n", outputs=[work.result], optimize=level)
                for level in (2, 0)
            }
            calls: dict[str, Callable[[], Any]] = {
                "O2": lambda p=programs[2], w=work: p.run(w.inputs)[w.result]
            }
            huge = "t(V)" in title or "PNMF" in title
            if not huge:
                calls["O0"] = lambda p=programs[0], w=work: p.run(w.inputs)[w.result]
            calls["NumPy"] = lambda w=work: w.numpy(w.inputs)
            if work.numexpr and importlib.util.find_spec("numexpr"):
                import numexpr

                calls["NumExpr"] = lambda w=work: numexpr.evaluate(w.numexpr, local_dict=w.inputs)
            if work.jax and importlib.util.find_spec("jax"):
                calls["JAX"] = jax_call(work)
            found = side_by_side({k: clocked(c) for k, c in calls.items()}, options.rounds, 2)
            seconds = {k: median(v) for k, v in found.items()}
            if not options.no_systemds:
                seconds["SystemDS"] = systemds_seconds(work, options.rounds, Path(name), False)
                seconds["codegen"] = systemds_seconds(work, options.rounds, Path(name), True)
            traffic = sum(size(v) for v in work.inputs.values()) / 1e9 / seconds["O2"]
            limit = (
                f"{work.flops / seconds['O2'] / 1e9:.0f} GF/s"
                if work.flops
                else f"{traffic:.1f} GB/s ({traffic / bandwidth:.2f})"
            )
            ms = [
                ("no memory" if math.isinf(seconds[k]) else f"{seconds[k] * 1e3:.2f}")
                if k in seconds
                else "-"
                for k in ("O2", "O0", "NumPy", "NumExpr", "JAX", "SystemDS", "codegen")
            ]
            peer = min((seconds[k] for k in ("SystemDS", "codegen") if k in seconds), default=math.nan)
            rows.append(
                [
                    title,
                    *ms,
                    limit,
                    f"{seconds['NumPy'] / seconds['O2']:.1f}x",
                    f"{peer / seconds['O2']:.1f}x",
                ]
            )
            print(" | ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
    header = [
        "expression",
        "-O2 ms",
        "-O0 ms",
        "NumPy ms",
        "NumExpr ms",
        "JAX ms",
        "SystemDS ms",
        "codegen ms",
        "limit",
        "vs NumPy",
        "vs SystemDS",
    ]
    print(table(header, rows))


if __name__ == "__main__":
    main()
