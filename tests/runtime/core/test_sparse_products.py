"""Products with CSR operands: every width of a strip of columns, empty rows, and any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from capi import Runtime

WIDTHS = [*range(1, 18), 23, 24, 25, 40, 56, 57, 63, 64, 65, 71, 72, 73, 100, 128, 137]
RNG = np.random.default_rng(11)


def sparse(rows: int, cols: int, density: float) -> Any:
    """Random, with some rows and columns that are empty, and one full row."""
    made = sp.random(rows, cols, density, format="lil", random_state=5)
    made[rows // 3 : rows // 3 + 2] = 0
    made[:, cols // 2] = 0
    if rows > 4:
        made[rows - 2] = RNG.random(cols) + 0.5
    return sp.csr_matrix(made)


SHAPES = {
    "wide": (7, 90, 0.2),
    "tall": (150, 9, 0.3),
    "one row": (1, 40, 0.3),
    "one column": (60, 2, 0.4),
    "empty": (20, 30, 0.0),
}
SHAPES |= {"ultra-sparse": (300, 200, 0.0002)}


def products(rt: Runtime, S: Any, width: int) -> None:
    """All three products of a sparse matrix with dense ones of this width."""
    rows, cols = S.shape
    right, left, other = RNG.random((cols, width)), RNG.random((rows, width)), RNG.random((width, rows))
    for x, y, transpose, expected in (
        (S, right, b"", S @ right),
        (S, left, b"l", S.T @ left),
        (other, S, b"", other @ S),
    ):
        operands = [rt.csr(v) if sp.issparse(v) else rt.dense(v) for v in (x, y)]
        found = rt.numpy(rt.call("matmul:ppps", *operands, transpose))
        rt.release(*operands)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("width", WIDTHS)
def test_strips(rt: Runtime, width: int) -> None:
    products(rt, sparse(80, 50, 0.15), width)


def test_rows_of_all_lengths(rt: Runtime) -> None:
    """Rows that fill no vector, one, two and more of them; NaN and Inf stay in their rows."""
    lengths = [*range(41), 1000, 0, 3, 0]
    columns = [np.sort(RNG.permutation(1100)[:n]) for n in lengths]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    S = sp.csr_matrix((RNG.random(offsets[-1]), np.concatenate(columns), offsets), shape=(len(lengths), 1100))
    products(rt, S, 1)
    S.data[offsets[7]], S.data[offsets[30] + 20] = np.nan, np.inf
    products(rt, S, 1)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("width", [1, 2, 10, 70])
def test_shapes(rt: Runtime, shape: tuple[int, int, float], width: int) -> None:
    products(rt, sparse(*shape), width)


def test_many_rows_on_the_left(rt: Runtime) -> None:
    """More of them than are packed at a time."""
    products(rt, sparse(60, 20, 0.2), 4500)


@pytest.mark.parametrize("width", [1, 3, 20])
def test_threads_do_not_change_results(rt: Runtime, width: int) -> None:
    S = sp.random(4000, 600, 0.15, format="csr", random_state=2)  # several tasks
    s, found = rt.csr(S), []
    right, left, other = (
        rt.dense(RNG.random((600, width))),
        rt.dense(RNG.random((4000, width))),
        rt.dense(RNG.random((width, 4000))),
    )
    try:
        for threads in (1, 2, 5):
            rt.lib.sm_set_threads(threads)
            found.append(
                [
                    rt.numpy(rt.call("matmul:ppps", *operands))
                    for operands in ((s, right, b""), (s, left, b"l"), (other, s, b""))
                ]
            )
    finally:
        rt.lib.sm_set_threads(0)
        rt.release(s, right, left, other)
    for results in found[1:]:
        for one, more in zip(found[0], results, strict=True):
            np.testing.assert_array_equal(one, more)
