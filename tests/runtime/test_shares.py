"""Operators that work in shares of their rows: the results are right, and the same for any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.runtime.bridge import Context

N, GROUPS = 150_000, 7


@pytest.fixture(autouse=True)
def all_threads_afterwards() -> Iterator[None]:
    yield
    Context().set_threads(0)


def result(script: str, inputs: dict[str, Any]) -> Any:
    """R of the script, which must be the same to the bit with one, two and three threads."""
    program, found = sysmlc.compile(script + "\n", outputs=["R"]), []
    for threads in (1, 2, 3):
        Context().set_threads(threads)
        got = program.run(inputs)["R"]
        found.append(got.toarray() if sparse.issparse(got) else np.asarray(got))
    assert all(np.array_equal(other, found[0], equal_nan=True) for other in found)
    return found[0]


def groups(rng: np.random.Generator) -> Any:
    made = rng.integers(1, GROUPS + 1, (N, 1)).astype(float)
    made[0] = GROUPS
    return made


@pytest.mark.parametrize("width", [1, 3])
def test_grouped_aggregates(width: int) -> None:
    rng = np.random.default_rng(3)
    X, g = rng.normal(size=(N, width)), groups(rng)
    at = g[:, 0].astype(int) - 1
    parts = [X[at == k] for k in range(GROUPS)]
    for fn, of in (
        ("sum", np.sum),
        ("mean", np.mean),
        ("min", np.min),
        ("max", np.max),
        ("variance", lambda x, axis: np.var(x, axis, ddof=1)),
    ):
        found = result(f'R = aggregate(target=X, groups=g, fn="{fn}")', {"X": X, "g": g})
        np.testing.assert_allclose(found, [of(x, axis=0) for x in parts], rtol=1e-12, atol=1e-12)


def test_weighted_tables() -> None:
    rng = np.random.default_rng(4)
    g, h, w = groups(rng), groups(rng), rng.random((N, 1))
    expected = np.zeros((GROUPS, GROUPS))
    np.add.at(expected, (g[:, 0].astype(int) - 1, h[:, 0].astype(int) - 1), w[:, 0])
    found = result("R = table(g, h, w)", {"g": g, "h": h, "w": w})
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    cut = result("R = table(g, h, w, 5, 3)", {"g": g, "h": h, "w": w})
    np.testing.assert_allclose(cut, expected[:5, :3], rtol=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e16, np.inf])
def test_the_first_id_that_is_none_is_told(bad: float) -> None:
    g = np.ones((N, 1))
    g[N - 10], g[N - 5] = bad, -7
    for script in ('R = aggregate(target=g, groups=g, fn="sum")', "R = table(g, g)"):
        with pytest.raises(
            sysmlc.NativeError, match=r"ids must be at least 1, got -?[01]|the id .* is too large"
        ):
            sysmlc.compile(script + "\n", outputs=["R"]).run({"g": g})


@pytest.mark.parametrize("change", ["nothing", "columns of some rows", "rows"])
def test_a_sampled_product_with_a_second_sparse_input(change: str) -> None:
    """Its structure may be that of the input that leads, in part of the rows, or nowhere."""
    rng = np.random.default_rng(5)
    X = sparse.random(3000, 400, 0.05, "csr", random_state=rng)
    W = X.copy()
    W.data = rng.random(W.nnz) + 1
    if change == "columns of some rows":
        for i in range(1000, 1400):
            columns = slice(W.indptr[i], W.indptr[i + 1])
            W.indices[columns] = np.sort(rng.permutation(400)[: W.indptr[i + 1] - W.indptr[i]])
    if change == "rows":
        W = sparse.vstack([W[1:], W[:1]]).tocsr()
    U, V = rng.random((3000, 20)), rng.random((400, 20))
    found = result("R = matrix(sum(W * (X - U %*% t(V)) ^ 2), 1, 1)", {"W": W, "X": X, "U": U, "V": V})
    np.testing.assert_allclose(found, (W.toarray() * (X.toarray() - U @ V.T) ** 2).sum(), rtol=1e-12)
