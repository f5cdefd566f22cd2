"""Regions over products compute what the unfused program computes: all closings, every kind of driver, any number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.api import Results
from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.parser import parse
from sysmlc.ir.passes import PassManager
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Source
from sysmlc.ir.types import Matrix, matrix
from sysmlc.passes import parse_pipeline
from sysmlc.runtime.bridge import Context

PASSES = "inline,infer,canonicalize,cse,dce,fuse-outer"
SCRIPTS = {
    "entropy": "r = sum(X * log(U %*% t(V) + 0.5))",
    "loss": "r = sum((X != 0) * (X - U %*% t(V))^2)",
    "plus": "r = sum((X != 0) * (X + U %*% t(V))^2)",
    "map": "r = X / (U %*% t(V) + s)",
    "rows": "r = rowSums(X * (U %*% t(V)) * Y)",
    "columns": "r = colSums(X * exp(-(U %*% t(V))))",
    "right": "r = ((X != 0) * (U %*% t(V) - X)) %*% B",
    "left": "r = t(X * (U %*% t(V))) %*% A",
    "left of a product": "r = t(A) %*% (X * (U %*% t(V)))",
    "right of a product": "r = t(B) %*% t(X * (U %*% t(V)))",
    "stored by columns": "r = sum(X * (t(L) %*% H))",
    "vectors": "r = rowSums(X * (U %*% t(V) * v + c))",
    "two products": "r = colSums(X * (U %*% t(V) - t(L) %*% H)^2)",
    "two sparse": "r = sum(X * Z * (U %*% t(V))) + sum(X * (U %*% t(V)))",
    "shared": "S = X * (U %*% t(V))\nr = S %*% B\nq = t(S) %*% A\np = sum(S^2)",
    "condition": "r = sum(X * (U %*% t(V) > 3))",
    "sums of the product": "P = U %*% t(V)\nr = sum(P) - sum(X * log(P + 1))\nq = rowSums(P)\np = colSums(P)",
    "sums of factors by columns": "P = t(L) %*% H\nr = sum(P) - sum(X * log(P + 1))\nq = rowSums(P)\np = colSums(P)",
    "same zeros": "W = X != 0\nr = (X - W * (U %*% t(V))) %*% B\nq = sum((W * (U %*% t(V)) - X)^2)\np = sum(W)",
    "one reads the other": "Q = X * (U %*% t(V))\nr = (Q - X * rowSums(Q)) %*% B\nq = sum(Q * X)",
    "zeros of both": "r = (X - Z * (U %*% t(V))) %*% B\nq = sum((Z * (U %*% t(V)) - X)^2)\np = rowSums(X * (U %*% t(V)) + Z)",
    "choice": "r = sum(ifelse(X != 0, U %*% t(V), 0))",
}
M, N = 130, 97


def inputs_for(kind: str, rank: int, m: int = M, n: int = N) -> dict[str, Any]:
    rng = np.random.default_rng(rank)
    x = np.where(
        rng.random((m, n)) < {"dense": 1.0, "empty": 0.0}.get(kind, 0.06), rng.random((m, n)) + 0.5, 0.0
    )
    if kind == "nan":
        x[m // 2, n // 2], x[0, 0] = np.nan, np.inf
    if kind == "heavy":  # one long row, empty rows, one full column
        x[:] = 0
        x[m // 3] = 2.0
        x[:, n // 2] = 0.5
    z = np.where(rng.random((m, n)) < 0.3, 1.5, 0.0)
    return {
        "X": x, "Z": z, "Y": rng.random((m, n)), "U": rng.random((m, rank)), "V": rng.random((n, rank)),
        "L": rng.random((rank, m)), "H": rng.random((rank, n)), "A": rng.random((m, 9)), "B": rng.random((n, 3)),
        "v": rng.random((1, n)), "c": rng.random((m, 1)), "s": 0.25,
    }  # fmt: skip


def module_of(script: str, given: Mapping[str, Any], known: bool = True) -> Op:
    types = {
        name: matrix(*(value.shape if known else ())) if isinstance(value, np.ndarray) else None
        for name, value in given.items()
        if isinstance(value, np.ndarray)
    }
    text = "".join(f"{n} = {v}\n" for n, v in given.items() if n not in types) + script + "\n"
    names = [line.split(" = ")[0] for line in script.split("\n") if line[0] in "rqp"]
    return compile_source(Source("<script>", text), {}, inputs=types, outputs=names)


def run(text: str, given: Mapping[str, Any], names: tuple[str, ...], threads: int = 2) -> dict[str, Any]:
    loaded = engine().load(compile_program(parse(text), "outer", Options(0)))
    context = Context()
    context.set_threads(threads)
    try:
        for name, value in given.items():
            if not isinstance(value, float):
                context.set_input(name, value)
        context.run(loaded, engine().resolver)
        results = Results(context, names)
        made = {n: results[n] for n in names}
        return {n: v.toarray() if sparse.issparse(v) else v for n, v in made.items()}
    finally:
        context.set_threads(0)


def check(script: str, given: Mapping[str, Any], *, known: bool = True, fused: bool = True) -> None:
    module = module_of(script, given, known)
    with np.errstate(all="ignore"):
        expected = evaluate(module, inputs=dict(given), output=print)
        PassManager(parse_pipeline(PASSES)).run(module)
        again = evaluate(module, inputs=dict(given), output=print)
    text = to_text(module)
    assert ("fused.outer" in text) == fused, text
    for name, value in expected.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-10, atol=1e-12)
    csr = {n: sparse.csr_matrix(v) if n in "XZ" else v for n, v in given.items()}
    for form in (given, csr):
        found = run(text, form, tuple(expected))
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-10, err_msg=f"{name}\n{text}")


@pytest.mark.parametrize("kind", ["sparse", "dense", "empty", "heavy"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_closings(name: str, kind: str) -> None:
    check(SCRIPTS[name], inputs_for(kind, 5))


@pytest.mark.parametrize("kind", ["sparse", "dense"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_single_precision(name: str, kind: str) -> None:
    """Native code and the evaluator, with cells of f32, against numbers."""
    for rank in (5, 8, 20) if kind == "sparse" else (5,):
        given = {
            n: v if isinstance(v, float) else v.astype(np.float32) for n, v in inputs_for(kind, rank).items()
        }
        module = module_of(SCRIPTS[name], given)
        expected = evaluate(
            module, inputs={n: v if isinstance(v, float) else v.astype(float) for n, v in given.items()}
        )
        PassManager(parse_pipeline(PASSES.replace("fuse-outer", "set-precision,fuse-outer"))).run(module)
        text = to_text(module)
        assert "fused.outer" in text
        csr = {n: sparse.csr_matrix(v) if n in "XZ" else v for n, v in given.items()}
        names = tuple(expected)
        for found in (evaluate(module, inputs=given), run(text, given, names), run(text, csr, names)):
            for n, value in expected.items():
                size = np.max(np.abs(value), initial=1.0)
                np.testing.assert_allclose(found[n], value, rtol=2e-5, atol=2e-6 * size, err_msg=n)
                assert isinstance(value, float) or found[n].dtype == np.float32


@pytest.mark.parametrize("rank", [1, 2, 7, 8, 9, 16, 20, 64, 70])
@pytest.mark.parametrize("name", ["loss", "right", "stored by columns"])
def test_ranks(name: str, rank: int) -> None:
    check(SCRIPTS[name], inputs_for("sparse", rank))


@pytest.mark.parametrize("name", [n for n, s in SCRIPTS.items() if "t(V)" in s])
def test_unknown_sizes(name: str) -> None:
    check(SCRIPTS[name], inputs_for("sparse", 5), known=False)


@pytest.mark.parametrize("kind", ["sparse", "dense", "nan"])
@pytest.mark.parametrize("name", ["map", "columns", "right", "shared", "two products"])
def test_long_sums(name: str, kind: str) -> None:
    """Factors that turn out to be wide: the product is formed unless few of its cells are needed."""
    check(SCRIPTS[name], inputs_for(kind, 700, 40, 30), known=False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (40, 30), (300, 200)])
@pytest.mark.parametrize("rank", [3, 60])
def test_tiles_of_unknown_sizes(rank: int, shape: tuple[int, int]) -> None:
    check("r = sum((Y - U %*% t(V))^2)", inputs_for("dense", rank, *shape), known=False)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (3, 4)])
@pytest.mark.parametrize("name", ["map", "rows", "columns", "right", "left", "loss"])
def test_unknown_small_sizes(name: str, shape: tuple[int, int]) -> None:
    check(SCRIPTS[name], inputs_for("sparse", 2, *shape), known=False)


@pytest.mark.parametrize("name", ["map", "loss", "rows", "columns", "right", "left"])
def test_special_values_of_the_driver(name: str) -> None:
    check(SCRIPTS[name], inputs_for("nan", 5))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_threads_do_not_matter(threads: int, dense: bool) -> None:
    script = "S = X * (U %*% t(V))\nr = S %*% B\nq = t(S) %*% A\np = rowSums(S)"
    given: dict[str, Any] = inputs_for("sparse", 20, 900, 800)
    given["X"] = given["X"] if dense else sparse.random(900, 800, 0.4, "csr", random_state=1)
    shapes = {n: np.empty(v.shape) if sparse.issparse(v) else v for n, v in given.items()}
    module = module_of(script, shapes)
    PassManager(parse_pipeline(PASSES)).run(module)
    one, other = (run(to_text(module), given, ("r", "q", "p"), t) for t in (2, threads))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    "rank", [3, 4, 5, 6, 12, 15, 17, 23, 25, 31, 33, 40, 47, 55, 57, 63, 65, 71, 72, 73, 100]
)
def test_long_and_short_rows(rank: int) -> None:
    """Rows that fill groups of eight and rows that do not; what is infinite in one cell stays out of the others."""
    rng = np.random.default_rng(rank)
    x = sparse.csr_matrix(sparse.vstack([sparse.random(40, 90, d, random_state=1) for d in (0.02, 0.1, 0.6)]))
    u, v = rng.random((120, rank)), rng.random((90, rank))
    v[7, rank // 2], u[5, rank - 1] = np.inf, -np.inf
    module = module_of("S = X * (U %*% t(V))\nr = rowSums(S)", {"X": np.empty(x.shape), "U": u, "V": v})
    PassManager(parse_pipeline(PASSES)).run(module)
    found = run(to_text(module), {"X": x, "U": u, "V": v}, ("r",))["r"]
    expected = [sum(x[i, j] * (u[i] @ v[j]) for j in x[i].indices) for i in range(120)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_several_tasks_that_share_rows() -> None:
    """A right factor larger than the cache, with rows that many non-zeros need."""
    rng = np.random.default_rng(0)
    x = sparse.random(700, 1500, 0.3, "csr", random_state=2)
    u, v = rng.random((700, 100)), rng.random((1500, 100))
    script = "S = X * (U %*% t(V))\nr = rowSums(S)\nq = t(S) %*% U\np = sum(S)"
    shapes = {"X": np.empty(x.shape), "U": u, "V": v}
    module = module_of(script, shapes)
    PassManager(parse_pipeline(PASSES)).run(module)
    found = run(to_text(module), {"X": x, "U": u, "V": v}, ("r", "q", "p"))
    s = x.toarray() * (u @ v.T)
    np.testing.assert_allclose(found["r"], s.sum(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(found["q"], s.T @ u, rtol=1e-12)
    np.testing.assert_allclose(found["p"], s.sum(), rtol=1e-12)


def test_large_results_without_zeros_are_tiled() -> None:
    rng = np.random.default_rng(0)
    given = {"X": rng.random((1100, 1000)), "U": rng.random((1100, 4)), "V": rng.random((1000, 4))}
    check("r = sum((X - U %*% t(V))^2)", given)


@pytest.mark.parametrize(
    "script",
    [
        "r = sum(X - U %*% t(V))",
        "P = U %*% t(V)\nr = P\nq = sum(X * P)",
        "r = sum(X / (U %*% t(V)))",
        "r = sum(Y %*% t(Y))",
    ],
)
def test_what_is_left_alone(script: str) -> None:
    check(script, inputs_for("dense", 5), fused=False)


def test_memory_is_linear_in_the_non_zeros() -> None:
    n = 60_000
    x = sparse.random(n, n, 1e-6, "csr", random_state=np.random.default_rng(1))
    rng = np.random.default_rng(0)
    u, v = rng.random((n, 8)), rng.random((n, 8))
    module = module_of(SCRIPTS["loss"], {"X": Shaped((n, n)), "U": u, "V": v})
    PassManager(parse_pipeline(PASSES)).run(module)
    rows, cols = x.nonzero()
    expected = np.sum((x.data - np.sum(u[rows] * v[cols], axis=1)) ** 2)
    found = run(to_text(module), {"X": x, "U": u, "V": v}, ("r",))
    np.testing.assert_allclose(found["r"], expected, rtol=1e-12)


class Shaped(np.ndarray):
    """The shape of a matrix that is too large to make."""

    def __new__(cls, shape: tuple[int, int]) -> Shaped:
        return np.broadcast_to(np.float64(0), shape).view(cls)  # type: ignore[return-value]


def test_types_of_results() -> None:
    module = module_of(SCRIPTS["left of a product"], inputs_for("sparse", 5))
    PassManager(parse_pipeline(PASSES)).run(module)
    (region,) = (op for op in module.walk() if op.name == "fused.outer")
    result = region.results[0].type
    assert isinstance(result, Matrix)
    assert (result.rows, result.cols) == (N, 9)


def test_zeros_of_two_matrices_together_lead() -> None:
    # Cell by cell, 10^11 of them would take minutes.
    n, rng = 300_000, np.random.default_rng(1)
    X, Z = (sparse.random(n, n, 1e-8, "csr", random_state=np.random.default_rng(k)) for k in (1, 2))
    U, V, B = rng.random((n, 3)), rng.random((n, 3)), rng.random((n, 2))
    given: dict[str, Any] = {"X": X, "Z": Z, "U": U, "V": V, "B": B}
    module = module_of("r = (X - Z * (U %*% t(V))) %*% B", {k: Shaped(v.shape) for k, v in given.items()})
    PassManager(parse_pipeline(PASSES)).run(module)
    rows, cols = Z.nonzero()
    sampled = sparse.csr_matrix((Z.data * (U[rows] * V[cols]).sum(1), (rows, cols)), Z.shape)
    np.testing.assert_allclose(run(to_text(module), given, ("r",))["r"], (X - sampled) @ B)
