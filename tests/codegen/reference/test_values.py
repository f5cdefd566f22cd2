"""The reference evaluator against values that come from elsewhere: worked by hand, R's documentation, NumPy and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from sysmlc.codegen.reference import StopProgram, evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import matrix

RNG = np.random.default_rng(11)
A = RNG.normal(size=(6, 4))
B = RNG.normal(size=(4, 3))
S = A.T @ A + np.eye(4)
V = RNG.normal(size=(9, 1))
W = np.array([[1.0], [0], [2], [1], [3], [1], [0], [1], [2]])


def run(expression: str, **inputs: Any) -> Any:
    known = {"A": A, "B": B, "S": S, "V": V, "W": W} | inputs
    script = Source("case.dml", f"R = {expression}\n")
    module = compile_source(script, {}, inputs={k: matrix() for k in known}, outputs=["R"])
    return evaluate(module, known)["R"]


SCALARS = [
    ("2 ^ 3 ^ 2", 512.0), ("-2 ^ 2", -4.0), ("7 %/% 2", 3), ("-7 %/% 2", -4), ("-7 %% 3", 2), ("7 %% -3", -2), ("5.5 %% 2", 1.5), ("1 / 0", math.inf),
    ("0.3 %/% 0.1", 2.0), ("5 / 2", 2.5), ("4 / 2", 2.0), ("3 * 4", 12), ("TRUE & FALSE", False), ("!FALSE", True), ("'a' + 1 + TRUE", "a1TRUE"),
    ("'b' > 'a'", True), ("as.integer(-3.7)", -3), ("as.integer('12')", 12), ("as.double('1e3')", 1000.0), ("as.logical(0.5)", True), ("round(2.5)", 3.0),
    ("round(-2.5)", -2.0), ("floor(-2.5)", -3.0), ("ceil(-2.5)", -2.0), ("sign(-3)", -1.0), ("abs(-3)", 3), ("min(3, 5)", 3), ("max(3, 5.5)", 5.5),
    ("max(NaN, 1)", math.nan), ("log(8, 2)", 3.0), ("exp(1)", math.e), ("sqrt(2)", math.sqrt(2)), ("bitwAnd(12, 10)", 8), ("bitwOr(12, 10)", 14),
    ("bitwXor(12, 10)", 6), ("bitwShiftL(3, 4)", 48), ("bitwShiftR(48, 4)", 3), ("xor(TRUE, FALSE)", True), ("ifelse(FALSE, 1, 2)", 2),
    # R 4: pnorm(1.96), pnorm(-1), qnorm(0.975), pt(2, 5), qt(0.95, 10), pchisq(3.84, 1), qchisq(0.95, 2), pf(3, 2, 10), qf(0.95, 3, 20), pexp(2, 0.5)
    ("cdf(target=1.96, dist='normal')", 0.9750021048517795), ("pnorm(target=-1)", 0.15865525393145707), ("qnorm(target=0.975)", 1.959963984540054),
    ("cdf(target=2, dist='t', df=5)", 0.9490302605850709), ("qt(target=0.95, df=10)", 1.8124611228107335), ("pchisq(target=3.84, df=1)", math.erf(math.sqrt(1.92))),
    ("qchisq(target=0.95, df=2)", 5.991464547107979), ("pf(target=3, df1=2, df2=10)", 0.9046325683594), ("qf(target=0.95, df1=3, df2=20)", 3.0983912121407795),
    ("pexp(target=2, rate=0.5)", 0.6321205588285577), ("cdf(target=1.96, dist='normal', lower.tail=FALSE)", 0.024997895148220484),
    # R: var(1:10), median, quantile(type = 1), moments
    ("var(seq(1, 10))", 9.166666666666666), ("sd(seq(1, 10))", 3.0276503540974917), ("median(seq(1, 10))", 5.5), ("quantile(seq(1, 10), 0.25)", 3.0),
    ("quantile(seq(1, 10), 0)", 1.0), ("quantile(seq(1, 10), 1)", 10.0), ("interQuartileMean(seq(1, 10))", 5.5), ("moment(seq(1, 10), 2)", 8.25),
    ("moment(seq(1, 10), 3)", 0.0), ("moment(seq(1, 10), 4)", 120.8625), ("cov(seq(1, 10), seq(1, 10) ^ 2)", 100.83333333333333), ("prod(seq(1, 10))", 3628800.0),
    ("sum(matrix(0, 0, 3))", 0.0), ("min(matrix(0, 0, 3))", math.inf), ("max(matrix(0, 0, 3))", -math.inf), ("mean(matrix(0, 0, 3))", math.nan),
    ("trace(diag(seq(1, 4)))", 10.0), ("det(diag(seq(1, 4)))", 24.0), ("nrow(matrix(0, 3, 2))", 3), ("length(matrix(0, 3, 2))", 6),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "value"), SCALARS, ids=[e for e, _ in SCALARS])
def test_scalar(expression: str, value: Any) -> None:
    found = run(expression)
    assert type(found) is type(value)
    if isinstance(value, float):
        assert found == pytest.approx(value, rel=1e-12, abs=1e-15, nan_ok=True)
    else:
        assert found == value


MATRICES: list[tuple[str, Any]] = [
    ("A %*% B", A @ B), ("t(A) %*% A", A.T @ A), ("t(A)", A.T), ("rev(A)", A[::-1]), ("A[2:3, 2]", A[1:3, 1:2]), ("A[4, ]", A[3:4]), ("diag(S)", np.diag(S)[:, None]),
    ("solve(S, B)", np.linalg.solve(S, B)), ("inv(S)", np.linalg.inv(S)), ("cholesky(S)", np.linalg.cholesky(S)), ("rowSums(A)", A.sum(1, keepdims=True)),
    ("colSums(A)", A.sum(0, keepdims=True)), ("rowMeans(A)", A.mean(1, keepdims=True)), ("colVars(A)", A.var(0, ddof=1, keepdims=True)),
    ("colSds(A)", A.std(0, ddof=1, keepdims=True)), ("rowMaxs(A)", A.max(1, keepdims=True)), ("colMins(A)", A.min(0, keepdims=True)),
    ("rowIndexMax(A)", A.argmax(1)[:, None] + 1.0), ("rowIndexMax(matrix('1 1 0', 1, 3))", [[2.0]]), ("cumsum(A)", A.cumsum(0)), ("cumprod(A)", A.cumprod(0)),
    ("cummax(A)", np.maximum.accumulate(A)), ("rowcumsum(A)", A.cumsum(1)), ("cumsumprod(matrix('1 2 3 4', 2, 2))", [[1.0], [7.0]]),
    ("seq(1, 2, 0.25)", [[1.0], [1.25], [1.5], [1.75], [2.0]]), ("seq(3, 1)", [[3.0], [2.0], [1.0]]), ("matrix('1 2 3 4 5 6', 2, 3)", [[1.0, 2, 3], [4, 5, 6]]),
    ("matrix(matrix('1 2 3 4 5 6', 2, 3), 3, 2)", [[1.0, 2], [3, 4], [5, 6]]), ("matrix(matrix('1 2 3 4 5 6', 2, 3), 3, 2, byrow=FALSE)", [[1.0, 5], [4, 3], [2, 6]]),
    ("order(target=matrix('3 1 2', 3, 1))", [[1.0], [2], [3]]), ("order(target=matrix('3 1 2', 3, 1), decreasing=TRUE, index.return=TRUE)", [[1.0], [3], [2]]),
    ("order(target=matrix('2 2 1', 3, 1), index.return=TRUE)", [[3.0], [1], [2]]), ("order(target=matrix('2 2 1', 3, 1), decreasing=TRUE, index.return=TRUE)", [[1.0], [2], [3]]),
    ("table(matrix('1 2 2 3', 4, 1), matrix('1 1 2 1', 4, 1))", [[1.0, 0], [1, 1], [1, 0]]), ("table(matrix('1 3', 2, 1), matrix('1 2', 2, 1), 2, 2)", [[1.0, 0], [0, 0]]),
    ("removeEmpty(target=matrix('0 0 1 0 0 0', 3, 2), margin='rows')", [[1.0, 0]]), ("removeEmpty(target=matrix('0 0 1 0 0 0', 3, 2), margin='cols')", [[0.0], [1], [0]]),
    ("replace(target=matrix('1 0 1', 1, 3), pattern=1, replacement=5)", [[5.0, 0, 5]]), ("lower.tri(target=matrix(2, 2, 2), diag=TRUE)", [[1.0, 0], [1, 1]]),
    ("upper.tri(target=matrix('1 2 3 4', 2, 2), values=TRUE)", [[0.0, 2], [0, 0]]), ("outer(seq(1, 2), t(seq(1, 3)), '*')", [[1.0, 2, 3], [2, 4, 6]]),
    ("aggregate(target=seq(1, 4), groups=matrix('1 2 1 3', 4, 1), fn='sum')", [[4.0], [2], [4]]), ("cbind(seq(1, 2), seq(3, 4))", [[1.0, 3], [2, 4]]),
    ("aggregate(target=seq(1, 4), groups=matrix('1 2 1 2', 4, 1), fn='variance')", [[2.0], [2.0]]), ("rbind(t(seq(1, 2)), t(seq(3, 4)))", [[1.0, 2], [3, 4]]),
    ("quantile(V, W, matrix('0.25 0.5', 2, 1))", np.quantile(np.repeat(V, W.astype(int).ravel()), [0.25, 0.5], method="inverted_cdf")[:, None]),
    ("as.matrix(moment(V, W, 3))", [[stats.moment(np.repeat(V, W.astype(int).ravel()), 3)]]), ("as.matrix(cov(V, V ^ 2, W))", [[np.cov(V.ravel(), (V**2).ravel(), fweights=W.ravel().astype(int))[0, 1]]]),
    ("A %% 0.7", np.mod(A, 0.7)), ("A %/% 0.7", np.floor_divide(A, 0.7)), ("sigmoid(A)", 1 / (1 + np.exp(-A))), ("A > 0 & A < 1", ((A > 0) & (A < 1)) * 1.0),
    ("roll(seq(1, 4), 1)", [[4.0], [1], [2], [3]]), ("ifelse(A > 0, A, 0)", np.maximum(A, 0)), ("countDistinct(matrix('1 2 2 1', 2, 2))", [[2.0]]),
    ("rand(rows=2, cols=3, seed=7)", [[0.4532435332, 0.0159203042, 0.0860658888], [0.5966360597, 0.0557539631, 0.0547542647]]),  # SystemDS 3.4
    ("sample(10, 4, 7)", [[2.0], [6], [10], [8]]), ("sample(10, 4, TRUE, 7)", [[3.0], [2], [6], [7]]), ("sample(10, 5, FALSE, 42)", [[6.0], [8], [5], [3], [2]]),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "value"), MATRICES, ids=[e for e, _ in MATRICES])
def test_matrix(expression: str, value: Any) -> None:
    found = run(expression)
    np.testing.assert_allclose(
        found if isinstance(found, np.ndarray) else np.array([[found]]), value, rtol=1e-9, atol=1e-10
    )


def test_decompositions_multiply_back() -> None:
    module = compile_source(
        Source(
            "case.dml",
            "[H, R] = qr(A)\n[P, L, U] = lu(S)\n[w, E] = eigen(S)\n[X, D, Y] = svd(A)\n",
        ),
        {},
        inputs={"A": matrix(), "S": matrix()},
        outputs=["H", "R", "P", "L", "U", "w", "E", "X", "D", "Y"],
    )
    r = evaluate(module, {"A": A, "S": S})
    Q = np.eye(6)
    for v in r["H"].T:
        Q = Q @ (np.eye(6) - 2 * np.outer(v, v) / (v @ v))
    np.testing.assert_allclose(Q @ r["R"], A, atol=1e-12)
    np.testing.assert_allclose(r["P"] @ S, r["L"] @ r["U"], atol=1e-12)
    np.testing.assert_allclose(r["E"] @ np.diag(r["w"].ravel()) @ r["E"].T, S, atol=1e-12)
    np.testing.assert_allclose(r["X"] @ r["D"] @ r["Y"].T, A, atol=1e-12)
    assert np.all(np.diff(r["w"].ravel()) >= 0)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("stop('enough')", "enough"),
        ("assert(1 > 2)", "assertion failed"),
        ("X = solve(matrix(0, 2, 2), matrix(1, 2, 1))", "singular"),
        ("x = 9223372036854775807\ny = x + x\nprint(y)", "overflow"),
        ("X = matrix('1 2 3', 2, 2)", "3 values"),
    ],
)
def test_errors_have_a_place(script: str, message: str) -> None:
    with pytest.raises(Diagnostic) as caught:
        evaluate(compile_source(Source("case.dml", script + "\n"), {}), output=lambda _: None)
    assert message in str(caught.value)
    assert caught.value.loc.line > 0
    assert isinstance(caught.value, StopProgram) == script.startswith(("stop", "assert"))
