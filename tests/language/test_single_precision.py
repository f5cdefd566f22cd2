"""Expressions in single precision against the same in double precision, dense and sparse; files, executables, settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import matrix
from sysmlc.passes import parse_pipeline

EXPRESSIONS = (
    "X + Y * 2 - X / (Y + 3)", "X ^ 2 + Y ^ 0.5", "min(X, Y) - max(X, 0.5)", "abs(X - 0.5) * sign(Y - 0.5)", "round(10 * X) %% 3",
    "(10 * X) %/% 3", "floor(4 * X) + ceil(3 * Y)", "(X > Y) + (X <= 0.5) * 2", "(X > 0.5) & (Y < 0.5)", "!(X > 0.5)",
    "ifelse(X > Y, X, -Y)", "exp(X - Y)", "log(X + 1)", "sigmoid(4 * X - 2)", "tanh(X * Y)", "sin(X) + cos(Y)", "sqrt(X) + atan(Y)",
    "X * v", "X + w", "outer(w, v, '*')", "sum(X * Y)", "rowSums(X)", "colSums(X ^ 2)", "rowMaxs(X) - rowMins(Y)", "mean(X)",
    "colMeans(X)", "colVars(X)", "sd(X)", "prod(X + 0.5)", "min(X) + max(Y)", "X %*% t(Y)", "t(X) %*% Y", "t(X) %*% X", "X %*% t(v)", "t(X) %*% w",
    "t(X) %*% (w * (X %*% t(v)))", "sum((X - w %*% v) ^ 2)", "t(X)", "rev(X)", "X[2:5, ]", "X[, 2]", "cbind(X, w)", "rbind(X, v)",
    "matrix(X, rows=ncol(X), cols=nrow(X))", "diag(w)", "cumsum(X)", "rowIndexMax(X)", "order(target=X, by=1)", "removeEmpty(target=X, margin='rows')",
    "replace(target=X, pattern=0, replacement=7)", "table(round(3 * w) + 1, round(2 * w) + 1)", "solve(t(X) %*% X + diag(matrix(1, ncol(X), 1)), t(X) %*% w)",
    "lower.tri(target=X[1:3, 1:3], diag=TRUE, values=TRUE)", "quantile(w, 0.3)", "as.scalar(X[2, 3]) * X",
)  # fmt: skip


def inputs(density: float) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    made = {
        "X": rng.random((37, 11)),
        "Y": rng.random((37, 11)),
        "v": rng.random((1, 11)),
        "w": rng.random((37, 1)),
    }
    if density < 1:
        made["X"] *= rng.random((37, 11)) < density
    return {name: value.astype(np.float32) for name, value in made.items()}


def in_numpy(script: str, given: dict[str, Any], passes: str) -> Any:
    """What the reference evaluator computes after `passes`."""
    types = {name: matrix(*value.shape) for name, value in given.items()}
    module = compile_source(Source("<script>", script), {}, inputs=types, outputs=["r"])
    PassManager(parse_pipeline(passes)).run(module)
    return evaluate(module, inputs=given)["r"]


def dense(value: Any) -> Any:
    return value.toarray() if sparse.issparse(value) else np.asarray(value)


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions(expression: str, density: float) -> None:
    given = inputs(density)
    script = f"r = {expression}\n"
    exact = in_numpy(script, {n: v.astype(float) for n, v in given.items()}, "infer")
    single = in_numpy(script, given, "infer,set-precision")
    arrays = {n: sparse.csr_matrix(v) if n == "X" and density < 1 else v for n, v in given.items()}
    for level in (0, 2):
        got = sysmlc.compile(script, outputs=["r"], precision="single", optimize=level).run(inputs=arrays)[
            "r"
        ]
        if isinstance(exact, np.ndarray):
            assert got.dtype == np.float32
            assert got.shape == exact.shape
        scale = np.max(np.abs(exact), initial=1.0)
        np.testing.assert_allclose(dense(got), exact, rtol=2e-5, atol=2e-5 * scale)
        np.testing.assert_allclose(dense(single), exact, rtol=2e-5, atol=2e-5 * scale)


def test_cells_are_rounded_to_single() -> None:
    r = sysmlc.compile(
        "r = matrix(0.1, 3, 4)\ns = as.scalar(r[1, 1])\n", outputs=["r", "s"], precision="single"
    ).run()
    assert r["r"].dtype == np.float32
    assert r["s"] == float(np.float32(0.1))


def test_sums_are_of_double_precision() -> None:
    X = np.full((4000, 1000), 0.1, np.float32)
    got = sysmlc.compile("s = sum(X)\n", outputs=["s"], precision="single").run(inputs={"X": X})["s"]
    assert got == pytest.approx(4e6 * float(np.float32(0.1)), rel=1e-14)


def test_files_and_executables(tmp_path: Path) -> None:
    script = tmp_path / "s.dml"
    script.write_text(
        "X = read($X)\nY = X * 2\nB = X + 1\nwrite(Y, $Y, format='csv')\n"
        "write(B, $B, format='binary')\nprint(sum(read($B)))\nprint(sum(sigmoid(X)))\n"
    )
    np.savetxt(tmp_path / "X.csv", np.arange(12.0).reshape(3, 4) / 8, delimiter=",")
    (tmp_path / "X.csv.mtd").write_text('{"data_type": "matrix", "rows": 3, "cols": 4, "format": "csv"}')
    compiler = [sys.executable, "-m", "sysmlc.tools.sysmlc"]

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = []
    run(*compiler, str(script), "-o", "s", "--precision=single")
    for name, command in {
        "run": [*compiler, "run", str(script), "--precision=single"],
        "exe": ["./s"],
    }.items():
        printed.append(run(*command, "-nvargs", "X=X.csv", f"Y={name}.csv", f"B={name}.bin"))
        np.testing.assert_array_equal(
            np.loadtxt(tmp_path / f"{name}.csv", delimiter=","), np.arange(12.0).reshape(3, 4) / 4
        )
    assert printed[0] == printed[1]
    assert printed[0].startswith("20.25\n")


def test_systemml_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.xml").write_text(
        "<root><sysml.floating.point.precision>single</sysml.floating.point.precision></root>"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", "-config", "c.xml", "-s", "X = rand(rows=1, cols=1, seed=7); print(sum(X))"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert float(done.stdout) == float(np.float32(done.stdout)), done.stderr
