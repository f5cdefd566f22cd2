"""Every builtin on dense, sparse, empty, 1x1, NaN and infinite inputs: native code against the reference evaluator.

Each expression is one script over the inputs it names. Where the reference reports an error, native code must too.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.codegen.reference import ListValue, evaluate
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import matrix
from sysmlc.runtime.bridge import NativeError

RNG = np.random.default_rng(5)


def spots(rows: int, cols: int, density: float = 0.15) -> Any:
    """A dense array with few non-zeros."""
    return np.where(RNG.random((rows, cols)) < density, RNG.normal(size=(rows, cols)), 0.0)


def special(rows: int, cols: int, infinite: bool) -> Any:
    """Ordinary cells with NaN, signed zeros, tiny ones and perhaps infinities and huge ones among them."""
    cells = RNG.normal(size=(rows, cols)) * 3
    picks = [np.nan, 0.0, -0.0, 1e-310, 2.5, -2.5] + [np.inf, -np.inf, 1e300, -1e300] * infinite
    where = RNG.random((rows, cols)) < 0.4
    return np.where(where, RNG.choice(picks, size=(rows, cols)), cells)


X_KINDS: dict[str, Any] = {
    "dense": RNG.normal(size=(23, 17)) * 2,
    "positive": RNG.random((40, 9)) + 0.1,
    "integers": RNG.integers(-4, 5, size=(12, 19)).astype(float),
    "sparse": sparse.csr_matrix(spots(37, 29)),
    "very sparse": sparse.csr_matrix(spots(150, 120, 0.002)),
    "no entries": sparse.csr_matrix((11, 13)),
    "zeros": np.zeros((7, 5)),
    "1x1": np.array([[-1.75]]),
    "1x1 zero": np.array([[0.0]]),
    "row": RNG.normal(size=(1, 33)),
    "column": RNG.normal(size=(31, 1)),
    "special": special(21, 18, False),
    "special column": special(50, 1, False),
    "infinite": special(21, 18, True),
    "infinite column": special(50, 1, True),
    "large": RNG.normal(size=(700, 130)),
    "large sparse": sparse.csr_matrix(spots(900, 400, 0.05)),
    "0x0": np.zeros((0, 0)),
    "0x4": np.zeros((0, 4)),
    "4x0": np.zeros((4, 0)),
}

UNARY = [
    "abs(X)", "sin(X)", "cos(X)", "tan(X)", "asin(X)", "acos(X)", "atan(X)", "sinh(X)", "cosh(X)", "tanh(X)", "sqrt(X)", "exp(X)",
    "log(X)", "log(X, 2)", "round(X)", "floor(X)", "ceil(X)", "ceiling(X)", "sign(X)", "!X", "is.na(X)", "is.nan(X)", "is.infinite(X)",
    "sigmoid(X)", "-X", "+X",
]  # fmt: skip
SCALAR_BINARY = [
    "X + 1.5", "1.5 - X", "X * -2", "X * 0", "X / 2", "2 / X", "X / 0", "X ^ 2", "X ^ 3", "X ^ 0.5", "X ^ -1", "2 ^ X", "X ^ 0", "X %% 3", "X %/% 3",
    "X %% -2.5", "X %/% 0", "X %% 0", "5 %% X", "X > 0", "X >= 1", "X < 0", "X <= 1", "X == 0", "X != 0", "0 < X", "X & 1", "X | 0",
    "min(X, 0.5)", "max(X, 0.5)", "max(-1, X)", "min(X, NaN)", "xor(X > 0, X < 1)", "bitwAnd(round(X), 3)", "bitwOr(round(X), 3)",
    "bitwXor(round(X), 5)", "bitwShiftL(round(X), 2)", "bitwShiftR(round(X), 1)", "ifelse(X > 0, X, -1)", "ifelse(X != 0, 1, X)",
]  # fmt: skip
FULL = ["sum", "mean", "prod", "min", "max", "var", "sd", "nrow", "ncol", "length", "avg"]
ROWS = [
    "rowSums", "rowMeans", "rowMins", "rowMaxs", "rowVars", "rowSds", "rowProds", "rowIndexMax", "rowIndexMin", "colSums", "colMeans",
    "colMins", "colMaxs", "colVars", "colSds", "colProds", "cumsum", "cumprod", "cummin", "cummax", "t", "rev",
]  # fmt: skip
OTHERS = [
    "sum(X * X)", "sum(X != 0)", "trace(X %*% t(X))", "X + X", "X - t(t(X)) * 0.5", "X * (X > 0)", "X / X", "X + rowSums(X)", "X - colMeans(X)",
    "X * rowMaxs(X)", "X * colSums(X)", "X / rowSums(X)", "X + as.scalar(X[1, 1])", "t(X) %*% X", "X %*% t(X)", "X %*% matrix(1, ncol(X), 3)",
    "matrix(1, 1, nrow(X)) %*% X", "t(X) %*% (X %*% matrix(2, ncol(X), 1))", "cbind(X, X)", "rbind(X, X)", "cbind(X, rowSums(X), X)",
    "rbind(colSums(X), X)", "X[1, ]", "X[, 1]", "X[1:2, 1:2]", "X[2:nrow(X), ]", "X[, 2:ncol(X)]", "X[1:5, 2:3]", "X[nrow(X), ncol(X)]",
    "matrix(X, rows=ncol(X), cols=nrow(X))", "matrix(X, rows=ncol(X), cols=nrow(X), byrow=FALSE)", "matrix(X, rows=1, cols=length(X))",
    "diag(X[, 1])", "diag(X %*% t(X))", "order(target=X, by=1)", "order(target=X, by=1, decreasing=TRUE)",
    "order(target=X, by=1, index.return=TRUE)", "order(target=round(X), by=2, decreasing=TRUE, index.return=TRUE)",
    "removeEmpty(target=X, margin='rows')", "removeEmpty(target=X, margin='cols')", "removeEmpty(target=X, margin='rows', empty.return=FALSE)",
    "removeEmpty(target=X, margin='rows', select=X[, 1] > 0)", "removeEmpty(target=X, margin='cols', select=t(X[1, ]) > 0)",
    "replace(target=X, pattern=0, replacement=7)", "replace(target=X, pattern=NaN, replacement=-1)", "replace(target=X, pattern=1/0, replacement=3)",
    "lower.tri(target=X)", "upper.tri(target=X, diag=TRUE, values=TRUE)", "lower.tri(target=X, values=TRUE)",
    "quantile(X[, 1], 0.3)", "median(X[, 1])", "interQuartileMean(X[, 1])", "interQuantile(X[, 1], 0.2)", "moment(X[, 1], 2)", "moment(X[, 1], 3)",
    "moment(X[, 1], 4)", "cov(X[, 1], X[, ncol(X)])", "quantile(X[, 1], matrix('0 0.25 0.5 0.9 1', 5, 1))", "countDistinct(X)",
    "table(abs(round(X[, 1])) + 1, abs(floor(X[, ncol(X)])) + 1)", "table(abs(round(X[, 1])) + 1, abs(floor(X[, 1])) + 2, 4, 3)",
    "table(seq(1, nrow(X)), abs(round(X[, 1])) + 1)", "aggregate(target=X[, 1], groups=abs(round(X[, 1])) + 1, fn='sum')",
    "aggregate(target=X[, 1], groups=abs(round(X[, 1])) + 1, fn='variance')", "aggregate(target=X, groups=abs(round(X[, 1])) + 1, fn='mean', ngroups=4)",
    "aggregate(target=X[, 1], groups=abs(round(X[, 1])) + 1, fn='count')", "outer(X[, 1], t(X[, 1]), '*')", "outer(X[, 1], X[1, ], '<=')",
    "outer(X[, 1], X[1, ], 'max')", "ifelse(X > 0, X, X * 2)", "ifelse(nrow(X) > 20, X, -X)", "rowcumsum(X)", "cumsumprod(X[, 1:2])", "roll(X, 2)",
    "mean(X[, 1], abs(X[, 1]))", "seq(1, nrow(X))", "seq(0, 1, 0.125)", "matrix(0, nrow(X), 2)", "matrix(3.5, 2, ncol(X))", "rand(rows=nrow(X), cols=5, seed=3)",
    "rand(rows=30, cols=40, sparsity=0.1, seed=4, min=-1, max=1)", "rand(rows=9, cols=9, pdf='normal', seed=5)", "rand(rows=9, cols=9, pdf='poisson', lambda=2, seed=5)",
    "sample(100, 7, FALSE, 9)", "sample(5, 20, TRUE, 9)", "as.matrix(sum(X))", "(X - colMeans(X)) / (colSds(X) + 1)", "exp(X - rowMaxs(X)) / rowSums(exp(X - rowMaxs(X)))",
    "(X != 0) * log(abs(X) + 1)", "sum((X - X %*% matrix(0.1, ncol(X), ncol(X))) ^ 2)", "1 - X * 2", "sum(X) * X", "X * (1 - X)", "(X > 0) - (X < 0)",
]  # fmt: skip
SCALAR = "as.scalar(X[1, 1])"
ALIASES = [
    "pmin(X, 1)", "pmax(X, 0)", "isNA(X)", "isNaN(X)", "isInf(X)", "append(X, X)", "ppred(X, 0, '>')", "ctable(abs(round(X[, 1])) + 1, 2)",
    "groupedAggregate(target=X[, 1], groups=abs(round(X[, 1])) + 1, fn='sum')", "centralMoment(X[, 1], 2)", "tr(X %*% t(X))", "rowCountDistinct(X)",
    "colCountDistinct(X)", "countDistinctApprox(X)", "countDistinctApproxRow(X)", "countDistinctApproxCol(X)", "castAsScalar(X[1, 1])",
    f"as.integer({SCALAR})", f"as.logical({SCALAR})", f"as.boolean({SCALAR})", "as.double(nrow(X))", "exists('X')", "length(list(X, 1))",
    "eval('rowSums', X)", "length(evalList('t', X))",
]  # fmt: skip
EXPRESSIONS = UNARY + SCALAR_BINARY + [f"{f}(X)" for f in FULL + ROWS] + OTHERS + ALIASES


@cache
def programs(expression: str, level: int) -> tuple[Any, Any]:
    script = f"R = {expression}\n"
    reference = compile_source(Source("case.dml", script), {}, inputs={"X": matrix()}, outputs=["R"])
    return reference, sysmlc.compile(script, outputs=["R"], optimize=level)


def dense(value: Any) -> Any:
    if isinstance(value, ListValue):
        return list(value.items)
    return value.toarray() if sparse.issparse(value) else value


def same(native: Any, reference: Any, magnitude: float) -> None:
    native, reference = np.asarray(dense(native)), np.asarray(dense(reference))
    assert native.shape == reference.shape
    assert np.array_equal(np.isnan(native), np.isnan(reference)), "NaN in other places"
    np.testing.assert_allclose(native, reference, rtol=2e-11, atol=1e-13 * magnitude)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_against_reference(expression: str, level: int) -> None:
    module, program = programs(expression, level)
    for kind, X in X_KINDS.items():
        cells = dense(X)
        if kind.startswith("infinite") and (level or "prod" in expression.lower() or "moment" in expression):
            continue  # regrouping may turn an infinity into NaN or back; so may the order of a product
        finite = np.abs(cells[np.isfinite(cells)])
        try:
            expected = evaluate(module, {"X": X})["R"]
        except Diagnostic:
            with pytest.raises((NativeError, Diagnostic)):
                program.run({"X": X})
            continue
        try:
            same(program.run({"X": X})["R"], expected, float(np.max(finite, initial=1.0)))
        except NativeError as error:
            pytest.fail(f"{kind}: {error}")
        except AssertionError as error:
            raise AssertionError(f"{kind}: {error}") from None


A = "A = t(X) %*% X / (sum(X * X) + 1) + diag(matrix(1, ncol(X), 1))\n"
FACTORS = [
    f"{A}R = solve(A, t(X) %*% matrix(1, nrow(X), 1))", f"{A}R = inv(A)", f"{A}R = inverse(A)", f"{A}R = cholesky(A)", f"{A}R = as.matrix(det(A))",
    f"{A}[w, V] = eigen(A)\nR = V %*% diag(w) %*% t(V)", f"{A}[P, L, U] = lu(A)\nR = t(P) %*% L %*% U",
    f"{A}[U, S, V] = svd(A)\nR = U %*% S %*% t(V)", f"{A}[H, S] = qr(A)\nR = abs(S)",
]  # fmt: skip


@pytest.mark.parametrize("script", FACTORS)
def test_decompositions(script: str) -> None:
    """What has one value is compared as it is, the rest by what the factors multiply to."""
    module = compile_source(Source("case.dml", script + "\n"), {}, inputs={"X": matrix()}, outputs=["R"])
    program = sysmlc.compile(script + "\n", outputs=["R"])
    for kind, X in X_KINDS.items():
        if np.isfinite(dense(X)).all() and min(X.shape) > 0 and X.shape[1] < 100:
            expected = evaluate(module, {"X": X})["R"]
            np.testing.assert_allclose(dense(program.run({"X": X})["R"]), expected, 1e-8, 1e-9, err_msg=kind)


POINTS = "-1.5 0 0.25 0.5 0.975 1 2 7"
DISTRIBUTIONS = [
    "pnorm({}, mean=1, sd=2)", "pexp({}, rate=2)", "pchisq({}, df=3)", "pf({}, df1=3, df2=5)", "pt({}, df=4)", "pnorm({}, lower.tail=FALSE)",
    "qnorm({}, mean=1, sd=2)", "qexp({}, rate=2)", "qchisq({}, df=3)", "qf({}, df1=3, df2=5)", "qt({}, df=4)",
    "cdf(target={}, dist='normal')", "icdf(target={}, dist='t', df=3)",
]  # fmt: skip


@pytest.mark.parametrize("call", DISTRIBUTIONS)
def test_distributions(call: str) -> None:
    for point in POINTS.split():
        script = f"R = {call.format(point)}\n"
        module = compile_source(Source("case.dml", script), {}, outputs=["R"])
        try:
            expected = evaluate(module, {})["R"]
        except Diagnostic:
            with pytest.raises((NativeError, Diagnostic)):
                sysmlc.run(script, outputs=["R"])
            continue
        found = sysmlc.run(script, outputs=["R"])["R"]
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12, err_msg=script)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("qchisq(target=0.9, df=1e300)", 1e300),
        ("qt(target=0.9, df=1e15)", 1.2815515655446004),
        ("qf(target=0.5, df1=1e12, df2=1e12)", 1.0),
    ],
)
def test_inverses_end_for_huge_parameters(call: str, expected: float) -> None:
    np.testing.assert_allclose(sysmlc.run(f"R = {call}\n", outputs=["R"])["R"], expected, rtol=1e-9)


ELSEWHERE = {
    "as.list": "frontends/dml/test_builtins.py", "assert": "tools/test_bad_input.py", "print": "language/test_print_cases.py", "read": "runtime/io",
    "readMM": "frontends/dml/test_builtins.py", "write": "runtime/io", "stop": "language/test_print_cases.py", "remove": "language/oracle/list_changes.dml",
    "time": "frontends/dml/test_builtins.py", "toString": "language/oracle/to_string.dml",
}  # fmt: skip
"""Builtins with effects, or of texts and lists, and the tests that are about them."""


def test_every_builtin_has_cases() -> None:
    """A builtin that is added to the table needs a line here."""
    tried = "\n".join([*EXPRESSIONS, *FACTORS, *DISTRIBUTIONS])
    called = set(re.findall(r"([A-Za-z][\w.]*)\s*\(", tried))
    assert set(TABLE) <= called | set(ELSEWHERE), sorted(set(TABLE) - called - set(ELSEWHERE))
    tests = Path(__file__).resolve().parents[1]
    assert all((tests / place).exists() for place in ELSEWHERE.values())


@pytest.mark.parametrize(("rows", "cols"), [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("level", [0, 2])
def test_products_of_matrices_without_cells(rows: int, cols: int, level: int) -> None:
    A = np.ones((rows, cols))
    script = "P = t(A) %*% A\nQ = A %*% t(A)\n"
    got = sysmlc.compile(script, outputs=["P", "Q"], optimize=level).run(inputs={"A": A})
    np.testing.assert_array_equal(np.asarray(got["P"]), A.T @ A)
    np.testing.assert_array_equal(np.asarray(got["Q"]), A @ A.T)
