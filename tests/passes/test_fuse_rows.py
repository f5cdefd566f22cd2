"""Row regions: what is fused, and that it computes the same as the operations one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sysmlc.codegen.reference import evaluate
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Type, matrix
from sysmlc.passes.lower_rows import describe
from sysmlc.runtime.bridge import NativeError
from sysmlc.runtime.library import native

from .row_programs import RowProgram, logical, row_regions

RNG = np.random.default_rng(11)

SCRIPTS = {
    "mmchain": "R = t(X) %*% (X %*% v)",
    "weighted mmchain": "R = t(X) %*% (w * (X %*% v))",
    "residual": "R = t(X) %*% (X %*% v - w)",
    "softmax": "E = exp(X - rowMaxs(X)); R = E / rowSums(E)",
    "log softmax": "S = X - rowMaxs(X); R = S - log(rowSums(exp(S)))",
    "mlr": "S = X %*% B; E = exp(S - rowMaxs(S)); P = E / rowSums(E); R = t(X) %*% (P - Y)",
    "mlr loss": "S = X %*% B; S = S - rowMaxs(S); L = S - log(rowSums(exp(S))); R = t(X) %*% (exp(L) - Y); T = sum(Y * L)",
    "mlr hessian": "Q = Y * (X %*% B); R = t(X) %*% (Q - Y * rowSums(Q))",
    "l2svm": "s = max(1 - w * (X %*% v), 0); R = t(X) %*% (w * s); T = sum(s ^ 2)",
    "glm": "p = 1 / (1 + exp(-(X %*% v))); R = t(X) %*% (p * (1 - p) * (X %*% u)); T = colSums(X * p)",
    "kmeans": "D = rowSums(C ^ 2); P = X %*% t(C); P = (P >= rowMaxs(P)); P = P / rowSums(P); R = t(P) %*% X; T = colSums(P)",
    "kmeans step": "D = rowSums(C ^ 2); P = -2 * (X %*% t(C)) + t(D); M = rowMins(P); P = (P <= M); T = sum(M); P = P / rowSums(P); R = t(P) %*% X; U = colSums(P)",
    "narrow products": "P = X %*% B; R = t(P) %*% Y; T = t(X) %*% P; U = t(P) %*% w; V = t(w) %*% (P * Y); W = t(rowSums(P)) %*% w",
    "scaled rows": "Z = exp(-X ^ 2) * w; P = Z %*% B; R = t(Z) %*% (P - Y); T = rowSums(Z)",
    "other rows": "Z = X * A; p = rowSums(Z); R = t(A) %*% p; T = t(X) %*% p",
    "base class": "S = cbind(X %*% B, matrix(0, nrow(X), 1)); E = exp(S - rowMaxs(S)); P = E / rowSums(E); R = t(X) %*% (P[, 1] - w); T = sum(P[, 1]); U = colSums(P)",
    "ranges": "P = cbind(X %*% B, w, w * 2); Q = P[, 1:2] - w; R = t(X) %*% Q; T = sum(P[, 2:3] * P[, 1]); U = Q; V = t(Q) %*% P[, 2]",
    "ranges of inputs": "P = X %*% B + X[, 1]; R = t(X) %*% (P * Y[, 1]); T = rowSums(P - X[, 1:1]); U = colSums(P - Y[, 1])",
    "pieces": "p = X %*% v; S = cbind(p, Y * 2, rowSums(X), p * p); R = t(S) %*% X; T = rowSums(S * w); U = S",
    "cbind of cbind": "p = X %*% v; S = cbind(cbind(p, w), cbind(p * 2, w * p)); R = t(X) %*% rowMaxs(S); T = t(S) %*% S[, 2:4]; U = S[, 3]",
    "classes": "P = X %*% B; P = P - rowMaxs(P); R = rowIndexMax(P); T = sum(P); U = t(X) %*% (P / (1 + rowSums(P ^ 2)))",
    "places": "Z = X * w; R = rowIndexMax(Z); T = rowIndexMin(X); U = rowSums(Z); V = t(X) %*% rowIndexMax(X - rowMeans(X))",
    "right places": "P = X %*% B + w; R = mean(rowIndexMax(P) == rowIndexMin(-P)); T = t(X) %*% rowIndexMin(P - Y)",
    "row vector": "Z = X * t(v); R = t(X) %*% rowSums(Z); T = rowSums(Z ^ 2)",
    "of a row vector alone": "q = t(v) * 2; Z = X * q; R = t(X) %*% rowSums(Z); T = sum(q); U = rowIndexMax(q); V = q[, 1]",
    "several outputs": "p = X %*% v; q = X %*% u; R = t(X) %*% (p * q); T = p; U = q; V = sum(p); W = min(q)",
    "scalars": "R = t(X) %*% (a * (X %*% v) + 2)",
    "centered": "Z = X - rowMeans(X); R = t(Z) %*% (Z %*% v)",
    "extremes": "Z = X / rowMaxs(abs(X)); R = rowSums(Z); T = rowMins(Z); U = max(Z); V = min(rowSums(Z))",
    "extremes of entries": "Z = X * A; p = rowMaxs(Z); R = rowMins(Z * p); T = max(Z * w) + min(Z * p); U = rowProds(Z); V = rowSums(Z); W = t(Z) %*% p",
    "squares": "Z = X - rowMaxs(X); R = rowSums(Z ^ 2); T = colSums(Z); U = sum(Z ^ 2)",
    "left product": "p = X %*% v; R = t(p) %*% X; T = rowProds(X - p)",
    "gate": "p = X %*% v; Z = X * (X > p); R = colSums(Z); T = rowSums(Z)",
}


def spots(rows: int, cols: int, density: float) -> Any:
    return np.where(RNG.random((rows, cols)) < density, RNG.normal(size=(rows, cols)), 0.0)


def special(rows: int, cols: int) -> Any:
    cells = RNG.normal(size=(rows, cols))
    picks = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    return np.where(RNG.random((rows, cols)) < 0.02, RNG.choice(picks, size=(rows, cols)), cells)


EVALUATED_ROWS = 500

MATRICES: dict[str, Any] = {
    "dense": RNG.normal(size=(203, 37)),
    "one block": RNG.normal(size=(8, 16)),
    "few rows": RNG.normal(size=(5, 33)),
    "one row": RNG.normal(size=(1, 19)),
    "narrow": RNG.normal(size=(101, 3)),
    "two columns": RNG.normal(size=(57, 2)),
    "1x1": np.array([[0.7]]),
    "many chunks": RNG.normal(size=(4003, 61)),
    "long rows": RNG.normal(size=(20, 9001)),
    "sparse": sparse.csr_matrix(spots(301, 47, 0.1)),
    "very sparse": sparse.csr_matrix(spots(5000, 90, 0.01)),
    "no entries": sparse.csr_matrix((40, 30)),
    "special": special(150, 21),
    "no rows": np.zeros((0, 4)),
}


def data(script: str, X: Any, classes: int) -> dict[str, Any]:
    """Inputs of a script, by the names it uses."""
    rows, cols = X.shape
    rng = np.random.default_rng(rows + cols)
    made = {
        "X": X,
        "v": rng.normal(size=(cols, 1)),
        "u": rng.normal(size=(cols, 1)),
        "w": rng.normal(size=(rows, 1)),
        "B": rng.normal(size=(cols, classes)) / cols,
        "Y": rng.random(size=(rows, classes)),
        "A": rng.random(size=(rows, cols)),
        "C": rng.normal(size=(classes, cols)),
        "a": 1.5,
    }
    words = set("".join(c if c.isalnum() else " " for c in script).split())
    return {name: value for name, value in made.items() if name in words}


def outputs(script: str) -> list[str]:
    return [n for n in "RTUVW" if f"{n} = " in script]


def types(inputs: dict[str, Any], known: bool) -> dict[str, Type]:
    from sysmlc.ir.types import f64

    return {
        n: f64 if isinstance(v, float) else matrix(*v.shape) if known else matrix() for n, v in inputs.items()
    }


def dense(value: Any) -> Any:
    return value.toarray() if sparse.issparse(value) else np.asarray(value, float)


def both_ways(fused: Any, inputs: dict[str, Any], native: RowProgram) -> Iterator[Any]:
    """Of the program and of the evaluator, which takes its time with each row and is not asked about many."""
    yield native.run(inputs)
    if max(v.shape[0] for v in inputs.values() if not isinstance(v, float)) <= EVALUATED_ROWS:
        yield evaluate(fused, inputs)


def check(script: str, inputs: dict[str, Any], known: bool) -> None:
    names = outputs(script)
    kinds = types(inputs, known)
    plain = logical(script, kinds, names, False)
    fused = logical(script, kinds, names, True)
    try:
        expected = evaluate(plain, inputs)
    except Diagnostic:
        with pytest.raises((NativeError, Diagnostic)):
            RowProgram(script, names, True, kinds).run(inputs)
        return
    for found in both_ways(fused, inputs, RowProgram(script, names, True, kinds)):
        for name in names:
            a, b = dense(found[name]), dense(expected[name])
            assert a.shape == b.shape
            assert np.array_equal(np.isnan(a), np.isnan(b)), f"{name}: NaN in other places"
            size = np.max(np.abs(b[np.isfinite(b)]), initial=1e-30)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * size, err_msg=name)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("pattern", SCRIPTS)
def test_against_reference(pattern: str, known: bool) -> None:
    script = SCRIPTS[pattern]
    for kind, X in MATRICES.items():
        if known and X.shape[0] == 0 and "[," in script:
            continue  # a range of no rows is an error, which the compiler finds
        for classes in (1, 4) if set("BYC") & set(script) else (1,):
            try:
                check(script, data(script, X, classes), known)
            except (AssertionError, NativeError) as error:
                raise AssertionError(f"{kind}, {classes} classes: {error}") from None


SINGLE = (
    "weighted mmchain",
    "softmax",
    "mlr loss",
    "l2svm",
    "kmeans",
    "several outputs",
    "extremes",
    "squares",
    "left product",
    "gate",
    "base class",
    "pieces",
    "classes",
    "places",
)


@pytest.mark.parametrize("pattern", SINGLE)
def test_single_precision(pattern: str) -> None:
    """Native code and the evaluator, with cells of f32, against numbers."""
    script = SCRIPTS[pattern]
    names = outputs(script)
    for kind in (
        "one block",
        "few rows",
        "one row",
        "narrow",
        "1x1",
        "many chunks",
        "sparse",
        "no entries",
        "no rows",
    ):
        inputs = {
            n: v.astype(np.float32) if hasattr(v, "astype") else v
            for n, v in data(script, MATRICES[kind], 4).items()
        }
        kinds = types(inputs, False)
        wide = {n: v.astype(float) if hasattr(v, "astype") else v for n, v in inputs.items()}
        exact = evaluate(logical(script, kinds, names, False), wide)
        fused = logical(script, kinds, names, True, "f32")
        assert row_regions(fused)
        for found in both_ways(fused, inputs, RowProgram(script, names, True, kinds, "f32")):
            for name in names:
                with np.errstate(over="ignore"):  # numbers beyond those of f32
                    a, b = dense(found[name]), dense(exact[name]).astype(np.float32).astype(float)
                assert a.shape == b.shape
                size = np.max(np.abs(b[np.isfinite(b)]), initial=1e-30)
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * size, err_msg=f"{kind}: {name}")


@pytest.mark.parametrize("pattern", SCRIPTS)
def test_is_fused(pattern: str) -> None:
    script = SCRIPTS[pattern]
    inputs = data(script, np.zeros((1000, 50)), 4)
    names = outputs(script)
    region, *others = row_regions(logical(script, types(inputs, True), names, True))
    assert region.roles[0] == "row"
    assert not others  # a single row is no scan: nothing is saved
    # Sizes that are not known become a condition; ranges are only taken where it is known that they are there.
    assert "[," in script or row_regions(logical(script, types(inputs, False), names, True))


NOT_FUSED = {
    "one product": "R = X %*% v",
    "cellwise": "R = exp(X) * 2",
    "one aggregate": "R = rowSums(X * 2)",
    "unrelated": "R = X %*% v; T = t(Z) %*% w",
    "wide side": "R = t(X) %*% (X %*% Z)",
    "closed": "R = X %*% (t(X) %*% w)",
    "self product": "R = t(X) %*% X",
}


@pytest.mark.parametrize("what", NOT_FUSED)
def test_is_left_alone(what: str) -> None:
    kinds = {"X": matrix(500, 60), "v": matrix(60, 1), "w": matrix(500, 1), "Z": matrix(60, 500)}
    if what == "unrelated":
        kinds["Z"] = matrix(500, 7)
    script = NOT_FUSED[what]
    words = set("".join(c if c.isalnum() else " " for c in script).split())
    kinds = {n: t for n, t in kinds.items() if n in words}
    assert not row_regions(logical(script, kinds, outputs(script), True))


@pytest.fixture
def threads() -> Iterator[Any]:
    yield native().sm_set_threads
    native().sm_set_threads(0)


@pytest.mark.parametrize("pattern", ["weighted mmchain", "mlr loss", "several outputs", "squares"])
def test_threads_do_not_matter(pattern: str, threads: Any) -> None:
    script = SCRIPTS[pattern]
    for X in (RNG.normal(size=(20011, 43)), sparse.csr_matrix(spots(20011, 43, 0.1))):
        inputs = data(script, X, 4)
        program = RowProgram(script, outputs(script), True)
        results = []
        for n in (1, 2, 3):
            threads(n)
            made = program.run(inputs)
            results.append([dense(made[name]).tobytes() for name in outputs(script)])
        assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("script", [
    "Z = X * Y[, 2:4]; R = t(X) %*% rowSums(Z); T = rowSums(Z ^ 2)",
    "P = ifelse(X > 0, X, Y[, 1:3]) %*% B; R = P; T = sum(X)",
    "Z = Y[, 2:4]; R = t(Z) %*% (Z %*% v); T = rowSums(Z)",
])  # fmt: skip
def test_ranges_as_wide_as_the_scan(script: str) -> None:
    """They are made before: what a scan puts together from columns is narrow."""
    check(script, data(script, MATRICES["narrow"], 4), known=True)


def test_extremes_of_entries() -> None:
    """Cells without an entry are zeros: they count unless a row is full."""
    X = spots(61, 9, 0.5)
    X[0], X[1], X[2] = -1 - RNG.random(9), 1 + RNG.random(9), 0
    X[3:5, 2] = np.nan, -np.inf
    script = "Z = X * A; R = rowMaxs(Z); T = rowMins(Z * (R >= 0)); U = rowProds(Z); V = rowSums(Z)"
    check(script, data(script, sparse.csr_matrix(X), 1), known=False)
    (kernel,) = row_regions(logical(script, types(data(script, X, 1), True), outputs(script), True))
    assert describe(kernel).sparse_safe


def test_known_sizes_change_nothing() -> None:
    script = SCRIPTS["mlr loss"]
    inputs = data(script, RNG.normal(size=(999, 23)), 3)
    made = [RowProgram(script, ["R", "T"], True, types(inputs, known)).run(inputs) for known in (True, False)]
    assert all(dense(made[0][n]).tobytes() == dense(made[1][n]).tobytes() for n in "RT")


def test_sums_are_compensated() -> None:
    X = np.array([[1e16, 1.0, -1e16, 1.0]] * 9)
    made = RowProgram(
        "p = X %*% v; Z = X * (p > 5); R = rowSums(Z + 0 * rowSums(Z)); T = sum(p)", ["R", "T"], True
    ).run({"X": X, "v": np.ones((4, 1)) * [[0], [1], [0], [9]]})
    assert np.array_equal(made["R"], np.full((9, 1), 2.0))
    assert made["T"] == 90.0


@pytest.mark.parametrize(("rows", "columns", "fused"), [(200, 4, True), (200, 16, False), (4000, 16, True)])
def test_products_that_are_mostly_arithmetic_stay_with_the_library(
    rows: int, columns: int, fused: bool
) -> None:
    """One scan less is nothing beside a product with many columns, unless the scan is long."""
    types = {"X": matrix(rows, 14), "B": matrix(14, columns), "Y": matrix(rows, columns)}
    module = logical("R = t(X) %*% (Y * (X %*% B))", types, ["R"], True)
    assert bool(row_regions(module)) is fused


def test_scans_with_conditions_move_past_prints() -> None:
    """The second part of the scan needs what is computed after the print, which needs the first part."""
    script = """
        print(sum(((X - m) %*% v - w) ^ 2))
        mu = colMeans(X[1:30, ])
        R = sum(((X - mu) %*% v - w) ^ 2)"""
    types = {"X": matrix(60, 8), "m": matrix(), "v": matrix(), "w": matrix(60, 1)}
    assert row_regions(logical(script, types, ["R"], True))
