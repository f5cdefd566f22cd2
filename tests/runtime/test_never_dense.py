"""What is computed with sparse matrices makes no dense copies of them, and gives what dense ones give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc

ROWS, COLS = 90, 70
RNG = np.random.default_rng(7)


def csr(density: float, seed: int) -> Any:
    made = sparse.random(ROWS, COLS, density, format="csr", random_state=seed)
    made.data = np.round(made.data * 8 - 3)  # some entries are stored zeros
    return made


INPUTS: dict[str, Any] = {
    "X": csr(0.1, 1), "W": csr(0.15, 2), "Z": csr(0.05, 3), "U": csr(0.001, 5), "B": csr(0.1, 6)[:COLS, :5], "C": csr(0.1, 8)[:5], "D": RNG.random((ROWS, COLS)) + 0.5,
    "a": RNG.random((ROWS, 1)) + 0.5, "b": RNG.random((1, COLS)) + 0.5, "n": RNG.random((ROWS, 1)) - 0.5,
    "o": (RNG.random((1, COLS)) < 0.5).astype(float), "s": 0.75, "t": -0.5,
}  # fmt: skip

EXPRESSIONS = [
    # zeros stay zeros for the vectors that are there: found by trying
    "X / a", "X / b", "X / rowSums(abs(X) + 1)", "X > a", "X > n", "X / o", "X ^ b", "min(X, a)", "max(X, n)", "X / a / b",
    "ifelse(X > a, X, 0)", "X * (X > rowMeans(X)) + X / s", "X %% a", "(X / b) * D",
    # zeros become something else: counted, not visited
    "sum(exp(X))", "rowSums(exp(X))", "colSums(exp(X))", "sum((X - a) ^ 2)", "rowSums(cos(X - a))", "colSums(cos(X - b))",
    "sum(cos(X - b))", "colSums(cos(X - a))", "sum(X == 0)", "min(cos(X))", "rowMaxs(cos(X))", "colMins(X + 1)", "prod(X / 4 + 1)",
    "var(X)", "colVars(X)", "colSds(X)", "sd(X / a)", "sum(max(X, 0.1))", "rowSums(X > t)", "sum(exp(X - a) * b)", "max(X - n)",
    "sum(exp(X)) + rowMaxs(X)", "colSums(X == 0) + colMaxs(X)",
    # two sparse ones and vectors
    "X * a * b + W", "X / a - W * b", "sum(abs(X * b - W) / a)", "rowSums(max(X * a, W * b))", "colMaxs(X * b - W)",
    "X * W * a", "sum(X * W / a)", "X == W", "sum(exp(X - W))", "X / (W + 5)", "abs(X - W) / b",
    # sparse and full ones
    "D + X", "D - X * W", "sum((D - X) ^ 2)", "rowSums(D > X)", "colSums(D * exp(X))", "X * exp(W) * D", "D + X * a + W * b",
    "X + W + Z", "sum(abs(X + W - Z))", "colMaxs(X + W + Z)", "X - a %*% b", "sum(exp(X) * D + W)", "min(X * D + W + Z)",
    # several sparse ones, with what else is there
    "X * W * Z", "(X + W) * Z", "X * (W + D)", "(X + W) * D", "X / a + W / b - Z", "pmax(pmax(X, W), Z)", "X * W + Z * D", "(X - W) * (Z + D)",
    "sum((X + W) * D)", "sum(exp(X + W - Z))", "rowSums((X + W) * D / a)", "colSums(abs(X - W) * D)", "colSums(exp(X - W + Z))",
    "rowMaxs(X + W - Z)", "colMins(X - W * D)", "sum(X * W * Z) + sum(X + W)", "ifelse(X > W, Z, X)", "(X != 0) & (W != 0) & (Z != 0)",
    # zeros that are not stored take no part in products, whatever the other factor is
    "(X != 0) * log(X)", "sum((X != 0) * log(abs(X)))", "(X > 0) / X * (X > 0)",
    # not cellwise
    "rowIndexMax(X)", "rowIndexMin(X + W)", "cbind(X, W)", "rbind(X, D[1:5, ])", "t(X) * t(a)", "rev(X) + W",
    "cumsum(X)", "cumprod(X)", "cummin(X)", "cummax(-X)", "rowcumsum(X)", "cumsum(U)", "cummin(U)", "cummax(U)", "rowcumsum(U)",
    "countDistinct(X)", "countDistinct(X, dir='r')", "countDistinct(X, dir='c')", "mean(D, abs(X))", "rowSums(exp(D %*% B))", "rowIndexMax(D %*% t(C))",
]  # fmt: skip


def run(text: str, inputs: dict[str, Any], level: int = 2) -> tuple[Any, str]:
    contexts: list[Any] = []

    def configure(context: Any) -> None:
        context.enable_statistics()
        contexts.append(context)

    results = sysmlc.compile(text, outputs=["R"], optimize=level).run(inputs, configure=configure)
    return results["R"], contexts[0].statistics(5)


def dense(value: Any) -> Any:
    return value.toarray() if sparse.issparse(value) else np.asarray(value)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_no_copies(expression: str) -> None:
    text = f"R = {expression}\n"
    found, report = run(text, INPUTS)
    assert "Conversions: 0 to dense" in report
    with np.errstate(all="ignore"):
        expected = dense(
            run(text, {n: dense(v) if n in "XWZUBC" else v for n, v in INPUTS.items()}, level=0)[0]
        )
    found = dense(found)
    if "log" in expression or "/ X" in expression:  # where dense zeros meet what is not finite
        stored = abs(INPUTS["X"]).toarray() != 0
        found, expected = (
            np.where(stored, v, 0.0) if np.shape(v) == stored.shape else v for v in (found, expected)
        )
    if expression == "sum((X != 0) * log(abs(X)))":
        expected = np.log(np.abs(INPUTS["X"].data[INPUTS["X"].data != 0])).sum()
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


SPARSE_RESULTS = [
    "X / a",
    "X / rowSums(abs(X) + 1)",
    "X > a",
    "X * a * b + W",
    "X / s",
    "X * W * a",
    "(X != 0) * log(abs(X))",
    "X + W + Z",
    "X * a + W * b - Z * s",
    "X / a + W",
    "X / a / b",
    "X / a + W / b",
    "abs(X / a) * b - W / b",
    "pmax(pmax(X, W), Z)",
    "X * W * Z",
    "(X + W) * Z",
    "X * (W + D)",
    "(X + W) * D",
    "X * D + W * a",
    "(X - W) * (Z + D)",
]


@pytest.mark.parametrize("expression", SPARSE_RESULTS)
def test_results_keep_the_structure(expression: str) -> None:
    assert sparse.issparse(run(f"R = {expression}\n", INPUTS)[0])


@pytest.mark.parametrize(
    "expression",
    ["X + Y + Z", "(X - Y) * D * a", "X * (Y + Z)", "sum(abs(X - Y + Z))", "colSums(exp(X * Y - Z))"],
)
@pytest.mark.parametrize("shape", [(3, 50_000), (2000, 3), (300, 700), (5000, 40)])
def test_rows_of_any_density_are_merged(expression: str, shape: tuple[int, int]) -> None:
    """Few and many entries in a row, rows without any, one input with much more than the others, one structure for two."""
    rng = np.random.default_rng(3)
    rows, cols = shape
    made = [sparse.random(rows, cols, d, format="csr", random_state=rng) for d in (0.001, 0.03, 0.3)]
    made[2] = sparse.csr_matrix(made[2].multiply(rng.random((rows, 1)) < 0.5))
    twin = made[1].copy()
    twin.data = -twin.data / 3
    others = {"D": rng.random(shape) - 0.5, "a": rng.random((rows, 1))}
    for x, y, z in (made, made[::-1], (made[1], twin, made[0])):
        inputs = {"X": x, "Y": y, "Z": z, **others}
        inputs = {n: v for n, v in inputs.items() if n in expression}
        found, _ = run(f"R = {expression}\n", inputs)
        expected = dense(run(f"R = {expression}\n", {n: dense(v) for n, v in inputs.items()}, level=0)[0])
        np.testing.assert_allclose(dense(found), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "expression",
    [
        "X * a + W - Z * s",
        "(X + W) * D",
        "rowSums(abs(X - W) / a)",
        "colSums(exp(X - W + Z))",
        "sum(X * W * Z)",
    ],
)
def test_merges_in_single_precision(expression: str) -> None:
    found = sysmlc.compile(f"R = {expression}\n", outputs=["R"], precision="single").run(INPUTS)["R"]
    expected = sysmlc.compile(f"R = {expression}\n", outputs=["R"], optimize=0).run(
        {n: dense(v) for n, v in INPUTS.items()}
    )["R"]
    np.testing.assert_allclose(dense(found), dense(expected), rtol=1e-5, atol=1e-5)


def test_zeros_that_do_not_stay_zeros() -> None:
    """0 / 0 is NaN, in the row or column of the divisor: the result is as full as it must be."""
    found, report = run(
        "R = X / rowSums(X)\n", {"X": sparse.csr_matrix([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 3, 0]])}
    )
    np.testing.assert_array_equal(found, [[0.5, 0, 0, 0.5], [np.nan] * 4, [0, 0, 1, 0]])
    assert "Conversions: 0 to dense" in report


def test_zeros_in_vectors_of_both_directions() -> None:
    """A 0 in either of them is found; what depends on two at once is not asked one by one."""
    x = sparse.csr_matrix([[1.0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 3, 0]])
    a, b = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0, 2.0, 4.0, 8.0]])
    texts = ("X / a / b", "X / a + t(t(X) * 2) / b", "X / outer(a, b, '-')", "X / (a - 1) / (b - 2)")
    for text in (f"R = {e}\n" for e in texts):
        for row, column in ((None, None), (1, None), (None, 2), (2, 3)):
            inputs: dict[str, Any] = {"X": x, "a": a.copy(), "b": b.copy()}
            if row is not None:
                inputs["a"][row] = 0
            if column is not None:
                inputs["b"][0, column] = 0
            found, expected = (run(text, i, k)[0] for i, k in ((inputs, 2), ({**inputs, "X": dense(x)}, 0)))
            np.testing.assert_allclose(dense(found), dense(expected), rtol=1e-14)


def test_rows_longer_than_a_piece() -> None:
    """One long row, rows longer than what is written out at a time, and sums over their pieces."""
    for rows, cols in ((1, 100_000), (3, 40_000), (40_000, 3), (700, 150)):
        x = sparse.random(rows, cols, 0.02, format="csr", random_state=4)
        d = np.random.default_rng(1).random((rows, cols))
        for text, expected in {
            "R = D + X\n": d + x.toarray(),
            "R = sum(D * exp(X))\n": np.sum(d * np.exp(x.toarray())),
            "R = colSums(exp(X - D))\n": np.sum(np.exp(x.toarray() - d), axis=0, keepdims=True),
            "R = rowMaxs(X - D)\n": np.max(x.toarray() - d, axis=1, keepdims=True),
        }.items():
            np.testing.assert_allclose(run(text, {"X": x, "D": d})[0], expected, rtol=1e-11)


GROUPS = [
    "aggregate(target=X, groups=g, fn='sum')", "aggregate(target=X, groups=g, fn='mean', weights=a)", "aggregate(target=X, groups=g, fn='count', ngroups=6)",
    "aggregate(target=X, groups=g, fn='variance', weights=a)", "aggregate(target=X, groups=g, fn='min')", "aggregate(target=X, groups=g, fn='max')",
    "aggregate(target=X, groups=g, fn='centralmoment', order=3)", "aggregate(target=X, groups=g, fn='mean', ngroups=6)",
]  # fmt: skip


@pytest.mark.parametrize("expression", GROUPS)
def test_groups_of_sparse_rows(expression: str) -> None:
    inputs = {"X": INPUTS["X"], "g": np.arange(ROWS).reshape(-1, 1) % 4 + 1.0, "a": INPUTS["a"]}
    inputs = {n: v for n, v in inputs.items() if n in "Xg" or "weights" in expression}
    found, _ = run(f"R = {expression}\n", inputs)
    expected, _ = run(f"R = {expression}\n", {**inputs, "X": inputs["X"].toarray()}, level=0)
    np.testing.assert_allclose(dense(found), dense(expected), rtol=1e-10, atol=1e-12)


WIDE = {  # what a matrix gives that would take 720 GB if it was dense, and the sum of that
    "rev(X)": lambda x: x.sum(), "t(X)": lambda x: x.sum(), "order(target=X, by=4)": lambda x: x.sum(), "roll(X, 7)": lambda x: x.sum(),
    "matrix(X, rows=150000, cols=600000)": lambda x: x.sum(), "matrix(X, rows=150000, cols=600000, byrow=FALSE)": lambda x: x.sum(),
    "cbind(X, X)": lambda x: 2 * x.sum(), "rbind(X, X)": lambda x: 2 * x.sum(), "X[4:200000, 2:250000]": lambda x: x[3:200000, 1:250000].sum(),
    "removeEmpty(target=X, margin='rows')": lambda x: x.sum(), "removeEmpty(target=X, margin='cols')": lambda x: x.sum(),
    "replace(target=X, pattern=2, replacement=5)": lambda x: x.sum() + 3 * (x.data == 2).sum(), "diag(X)": lambda x: x.diagonal().sum(),
    "diag(rowSums(X))": lambda x: x.sum(), "lower.tri(target=X, diag=TRUE, values=TRUE)": lambda x: sparse.tril(x).sum(),
    "upper.tri(target=X, diag=FALSE, values=TRUE)": lambda x: sparse.triu(x, 1).sum(), "X > 0.7": lambda x: (x > 0.7).sum(),
    "X != 0": lambda x: x.nnz, "X != t(X)": lambda x: (x != x.T).sum(), "ifelse(X > 1, X, 0)": lambda x: x.data[x.data > 1].sum(),
    "X + t(X) - rev(X)": lambda x: (x + x.T - x[::-1]).sum(), "(X + t(X)) * X": lambda x: (x + x.T).multiply(x).sum(),
    "pmax(pmax(X, t(X)), rev(X))": lambda x: x.maximum(x.T).maximum(x[::-1]).sum(), "X * rowSums(X) + t(X) * 2": lambda x: x.power(2).sum() + 2 * x.sum(),
    "X / (rowSums(X) + 1) + t(X)": lambda x: (x.data / (x.data + 1)).sum() + x.sum(), "X %*% X": lambda x: (x @ x).sum(),
    "t(X) %*% X": lambda x: (x.T @ x).sum(), "X %*% t(X)": lambda x: (x @ x.T).sum(), "rowSums(X) %*% colSums(X)": lambda x: x.sum() ** 2,
    "cumprod(X)": lambda x: 0.0, "cummin(X)": lambda x: 0.0, "cumsum(rev(X))": lambda x: x.tocoo().data @ (x.tocoo().row + 1),
    "aggregate(target=X, groups=seq(1, nrow(X)), fn='sum')": lambda x: x.sum(), "round(X)": lambda x: np.floor(x.data + 0.5).sum(),
    "table(seq(1, nrow(X)), rowIndexMax(X), nrow(X), ncol(X))": lambda x: x.shape[0], "X ^ 2": lambda x: (x.data**2).sum(),
    "matrix(countDistinct(X), 1, 1)": lambda x: len(set(x.data)) + 1,
}  # fmt: skip


@pytest.mark.parametrize("level", [0, 2])
def test_operations_on_what_would_fill_the_memory(level: int) -> None:
    """All in one program: each is a few milliseconds of work, whatever the number of cells. (Rewriting makes some sums simpler.)"""
    rng = np.random.default_rng(3)
    entries = np.round(rng.random(90) * 4 + 1) / 2
    x = sparse.csr_matrix((entries, rng.integers(0, 300_000, (2, 90))), shape=(300_000, 300_000))
    names = [f"r{k}" for k in range(len(WIDE))]
    text = "".join(f"Q = {e}\n{n} = sum(Q)\n" for n, e in zip(names, WIDE, strict=True))
    found = sysmlc.compile(text, outputs=names, optimize=level).run({"X": x})
    for name, (expression, expected) in zip(names, WIDE.items(), strict=True):
        assert found[name] == pytest.approx(expected(x)), expression


def test_what_would_fill_the_memory() -> None:
    x = sparse.csr_matrix(([1.0, 2.0, 0.5], ([5, 7, 9], [3, 250_000, 3])), shape=(300_000, 300_000))
    y, z = sparse.csr_matrix(x.T), x * 2
    found, _ = run(
        "R = sum((X + Y - Z) / v) + sum(pmax(X, Y) * Z)\n",
        {"X": x, "Y": y, "Z": z, "v": np.full((300_000, 1), 2.0)},
    )
    assert found == pytest.approx(((x + y - z) / 2).sum() + 2 * x.multiply(x).sum())
    v = np.asarray(x.sum(axis=1)) + 1
    found, _ = run("R = sum(exp(X / v) - 1) + sum(colVars(X)) + var(X)\n", {"X": x, "v": v})
    assert found == pytest.approx(np.exp([0.5, 2 / 3, 1 / 3]).sum() - 3, rel=1e-4)
