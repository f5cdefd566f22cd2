"""Single precision: native programs against the reference evaluator, values in and out of Python, the command line."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random as sparse_random

import sysmlc
from sysmlc.api import Program, load_script
from sysmlc.codegen.cpu.compile import Options
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.passes import PassManager
from sysmlc.passes.set_precision import SetPrecision

UNARY = (
    "abs",
    "sin",
    "cos",
    "tan",
    "atan",
    "tanh",
    "sqrt",
    "exp",
    "log",
    "round",
    "floor",
    "ceil",
    "sign",
    "sigmoid",
    "!",
    "-",
)
BINARY = ("+", "-", "*", "/", "^", "%%", "%/%", "==", "!=", "<", "<=", ">", ">=", "&", "|")
SCRIPTS = {
    "unary": "".join(f"u{i} = {fn}(X)\n" for i, fn in enumerate(UNARY)),
    "binary": "".join(f"b{i} = X {fn} Y\n" for i, fn in enumerate(BINARY)),
    "broadcast": "a = X + 0.1\nb = X > 0.1\nc = X * Y[,1]\nd = X / Y[1,]\ne = ifelse(X > Y, X, 0.3)\nf = min(X, Y)",
    "full": "a = sum(X)\nb = max(X)\nc = min(X * Y)\nd = mean(X)\ne = var(X)\nf = prod(X)\ng = sum(X * Y + 2)\nh = sum(X^2)",
    "rows": "a = rowSums(X)\nb = rowMaxs(X * Y)\nc = rowMeans(X)\nd = rowMins(X)\ne = rowSums(exp(X))",
    "columns": "a = colSums(X)\nb = colMaxs(X * Y)\nc = colMeans(X)\nd = colMins(X)\ne = colVars(X)",
    "sparse": "a = sum(S)\nb = S * X\nc = rowSums(S * X)\nd = colSums(S)\ne = S + t(t(S * 2))\nf = colMaxs(S)\ng = max(S)\nh = sum(S * 3)",
    "reorganised": "a = t(X)\nb = cbind(X, S)\nc = rbind(S, X)\nd = X[2:5, 3:7]\ne = S[2:9, ]\nf = rev(X)\ng = diag(X[1:5, 1:5])\n"
    "h = diag(X[, 1])\nX[2, 3] = 9\nX[1:2, 1:2] = Y[1:2, 1:2]\ni = X\nj = matrix(X, rows=ncol(X), cols=nrow(X))\nk = as.scalar(X[2, 3])",
    "converted": "a = order(target=X, by=1)\nb = cumsum(X)\nc = X %*% t(Y)\nd = t(X) %*% X\ne = S %*% t(X)\nf = quantile(X[, 1], 0.5)",
    "made": "a = matrix(0.1, 3, 4)\nb = rand(rows=30, cols=20, seed=7)\nc = rand(rows=30, cols=20, sparsity=0.1, seed=7)\nd = seq(1, 2, 0.1)\n"
    'e = matrix("0.1 0.2", 1, 2)\nf = as.matrix(0.1)',
    "regions": "M = rowSums(X)\na = X / M\nb = exp(X - rowMaxs(X)) / rowSums(exp(X - rowMaxs(X)))\nc = t(X) %*% (X %*% Y[1, ] ^ 0)",
}  # fmt: skip
SCRIPTS["regions"] = SCRIPTS["regions"].rpartition("\n")[0]


def inputs(rows: int = 21, cols: int = 37):
    rng = np.random.default_rng(5)
    return {
        "X": rng.uniform(0.1, 3, (rows, cols)).astype(np.float32),
        "Y": rng.uniform(0.1, 2, (rows, cols)).astype(np.float32),
        "S": sparse_random(rows, cols, 0.1, "csr", dtype=np.float32, random_state=3),
    }


def single(text: str, level: int = 2) -> Program:
    return Program(load_script(text + "\n"), options=Options(level, precision="single"))


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("level", [0, 2])
def test_native_and_reference_agree(name, level):
    program, given = single(SCRIPTS[name], level), inputs()
    found = program.run(given)
    module = program.module(dict.fromkeys(given, "matrix"), outputs=list(found))
    PassManager([SetPrecision()]).run(module)
    expected = evaluate(module, given)
    for key, value in found.items():
        if hasattr(value, "toarray"):
            value = value.toarray()
        if isinstance(value, np.ndarray):
            assert value.dtype == np.float32, key
        np.testing.assert_allclose(value, expected[key], rtol=3e-6, atol=3e-6, err_msg=key)


@pytest.mark.parametrize("fn", ["exp", "log", "tanh", "sigmoid", "sin", "sqrt"])
def test_functions_of_special_and_many_arguments(fn):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 60_000, dtype=np.uint32).view(np.float32)
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.2e-38, 88.7, 88.8, -87.4, -103.9, -104.5, 1.0],
        np.float32,
    )
    plain = [rng.uniform(-most, most, 60_000).astype(np.float32) for most in (100, 2)]
    x = np.concatenate([special, bits, *plain]).reshape(-1, 1)
    found = single(f"y = {fn}(x)").run({"x": x})["y"]
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        exact = {
            "exp": np.exp,
            "log": np.log,
            "tanh": np.tanh,
            "sin": np.sin,
            "sqrt": np.sqrt,
            "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        }[fn](wide)
        expected = exact.astype(np.float32)
        assert (np.isnan(found) == np.isnan(expected)).all()
        plain = np.isfinite(expected) & np.isfinite(found)
        assert (found[~plain & ~np.isnan(found)] == expected[~plain & ~np.isnan(found)]).all()
        unit = np.spacing(np.abs(expected[plain])).astype(np.float64)
        error = np.abs(found[plain] - exact[plain]) / unit
    assert error.max() <= 3, f"{fn}: {error.max()} units at {x[plain][error.argmax()]}"


def test_arrays_of_f32_are_not_copied():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y = single("y = x").run({"x": x})["y"]
    assert y.dtype == np.float32
    assert np.shares_memory(x, y)


def test_every_program_takes_arrays_of_either_kind():
    for precision, kind in (("double", np.float64), ("single", np.float32)):
        for given in (np.float32, np.float64):
            y = sysmlc.compile("y = x * 2\n", precision=precision).run({"x": np.ones((2, 3), given)})["y"]
            assert y.dtype == kind


def test_unknown_precisions_are_errors():
    with pytest.raises(ValueError, match="precision is double or single"):
        Options(precision="half")
