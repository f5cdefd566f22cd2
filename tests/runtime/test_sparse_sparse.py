"""CSR times CSR: whatever accumulator and format the estimate picks, the product is SciPy's; the estimate is that of sketches."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.passes.sparsity import Sketch
from sysmlc.runtime.bridge import Context

RNG = np.random.default_rng(11)
PRODUCT = sysmlc.compile("R = A %*% B\n", outputs=["R"])


def spread(rows: int, cols: int, nnz: int) -> sparse.csr_matrix:
    """Small whole numbers, so that every order of addition gives the same."""
    values = RNG.integers(1, 5, nnz) * RNG.choice([-1.0, 1.0], nnz)
    made = sparse.csr_matrix(
        (values, (RNG.integers(0, rows, nnz), RNG.integers(0, cols, nnz))), shape=(rows, cols)
    )
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def selection(rows: int, cols: int) -> sparse.csr_matrix:
    return sparse.csr_matrix(
        (np.ones(rows), (np.arange(rows), RNG.integers(0, cols, rows))), shape=(rows, cols)
    )


CASES: dict[str, Callable[[], tuple[sparse.csr_matrix, sparse.csr_matrix]]] = {
    "sums of a row in the cache": lambda: (spread(300, 200, 900), spread(200, 400, 1200)),
    "dense result": lambda: (spread(300, 200, 9000), spread(200, 250, 9000)),
    "many columns, few products": lambda: (spread(2000, 3000, 6000), spread(3000, 200000, 9000)),
    "many columns, long rows": lambda: (spread(60, 3000, 30000), spread(3000, 70000, 60000)),
    "many columns, some close together": lambda: (
        spread(200, 400, 2000),
        sparse.hstack(
            [sparse.csr_matrix((400, 60000)), spread(400, 300, 4000), spread(400, 70000, 90)]
        ).tocsr(),
    ),
    "one in each row": lambda: (selection(500, 300), spread(300, 9000, 2000)),
    "one in each column": lambda: (spread(500, 300, 9000), selection(400, 300).T.tocsr()),
    "empty rows": lambda: (
        sparse.vstack([spread(3, 50, 20), sparse.csr_matrix((400, 50))]).tocsr(),
        spread(50, 80, 60),
    ),
    "everything cancels": lambda: (
        sparse.csr_matrix(np.tile([1.0, 1.0] + [0.0] * 6, (40, 1))),
        sparse.csr_matrix(np.vstack([np.ones(30), -np.ones(30), np.zeros((6, 30))])),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_scipy(name: str) -> None:
    a, b = CASES[name]()
    found = PRODUCT.run({"A": a, "B": b})["R"]
    expected = (a @ b).tocsr()
    expected.eliminate_zeros()
    if sparse.issparse(found):
        assert found.has_sorted_indices
        assert found.nnz == expected.nnz
        assert (found != expected).nnz == 0
    else:
        np.testing.assert_array_equal(found, expected.toarray())
    assert sparse.issparse(found) == (expected.nnz < 0.4 * a.shape[0] * b.shape[1])


def estimated(a: sparse.csr_matrix, b: sparse.csr_matrix) -> float:
    context = Context()
    lib = context._lib
    handles = []
    for m in (a, b):
        rowptr, colidx = m.indptr.astype(np.int64), m.indices.astype(np.int32)
        handles.append(
            lib.sm_csr_new(
                context._ctx, *m.shape, m.data.ctypes.data, rowptr.ctypes.data, 8, colidx.ctypes.data, 4
            )
        )
    return float(lib.sm_expected_product_nnz(context._ctx, *handles))


@pytest.mark.parametrize("name", ["one in each row", "one in each column"])
def test_the_estimate_is_exact_where_structure_decides(name: str) -> None:
    a, b = CASES[name]()
    assert estimated(a, b) == pytest.approx((abs(a) @ abs(b)).nnz)


def test_the_estimate_is_close_on_random_matrices_and_near_the_sketch() -> None:
    errors, apart = [], []
    for nnz in (300, 1000, 3000, 10000):
        for _ in range(3):
            a, b = spread(300, 250, nnz), spread(250, 280, nnz)
            true = (abs(a) @ abs(b)).nnz
            found = estimated(a, b)
            errors.append(abs(found - true) / true)
            apart.append(abs(found - Sketch.of(a).matmul(Sketch.of(b)).nnz) / true)
    assert statistics.median(errors) < 0.03
    assert max(errors) < 0.1
    assert max(apart) < 0.1
