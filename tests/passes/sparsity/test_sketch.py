"""Sketches against NumPy: exact where structure decides, close on random matrices."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from sysmlc.passes.sparsity import Sketch

RNG = np.random.default_rng(7)


def random(rows: int, cols: int, density: float) -> np.ndarray:
    return (RNG.random((rows, cols)) < density).astype(float)


def one_in_each_row(rows: int, cols: int) -> np.ndarray:
    out = np.zeros((rows, cols))
    out[np.arange(rows), RNG.integers(0, cols, rows)] = 1
    return out


def skewed(rows: int, cols: int) -> np.ndarray:
    """A few rows and columns have most of the non-zeros."""
    chance = np.outer(1 / np.arange(1, rows + 1), 1 / np.arange(1, cols + 1)) * 5
    return (RNG.random((rows, cols)) < chance).astype(float)


def counted(x: np.ndarray) -> int:
    return int(np.count_nonzero(x))


EXACT: dict[
    str, tuple[Callable[[Sketch, Sketch], Sketch], Callable[[np.ndarray, np.ndarray], np.ndarray]]
] = {
    "transpose": (lambda a, b: a.t(), lambda a, b: a.T),
    "rbind": (lambda a, b: a.rbind(b), lambda a, b: np.vstack([a, b])),
    "cbind": (lambda a, b: a.cbind(b), lambda a, b: np.hstack([a, b])),
    "rows": (lambda a, b: a.part((3, 17), (0, 24)), lambda a, b: a[3:17]),
    "columns": (lambda a, b: a.part((0, 30), (4, 20)), lambda a, b: a[:, 4:20]),
    "wider": (lambda a, b: a.reshape(10, 72), lambda a, b: a.reshape(10, 72)),
    "narrower": (lambda a, b: a.reshape(90, 8), lambda a, b: a.reshape(90, 8)),
    "sums of rows": (lambda a, b: a.row_totals(), lambda a, b: a.sum(axis=1, keepdims=True)),
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("density", [0.0, 0.05, 0.4, 1.0])
def test_what_moves_cells_is_exact(name: str, density: float) -> None:
    of_sketch, of_matrix = EXACT[name]
    a, b = random(30, 24, density), random(30, 24, density)
    made, expected = of_sketch(Sketch.of(a), Sketch.of(b)), of_matrix(a, b)
    assert (made.rows, made.cols) == expected.shape
    assert made.nnz == pytest.approx(counted(expected))


@pytest.mark.parametrize("right", ["random", "skewed", "one in each column"])
def test_products_of_one_in_each_row_are_exact(right: str) -> None:
    a = one_in_each_row(200, 80)
    b = {
        "random": random(80, 90, 0.1),
        "skewed": skewed(80, 90),
        "one in each column": one_in_each_row(90, 80).T,
    }[right]
    assert Sketch.of(a).matmul(Sketch.of(b)).nnz == pytest.approx(counted(a @ b), rel=1e-12)
    assert Sketch.of(b.T).matmul(Sketch.of(a.T)).nnz == pytest.approx(counted(b.T @ a.T), rel=1e-12)
    diagonal = np.diag(RNG.random(80) < 0.5).astype(float)
    assert Sketch.of(diagonal).matmul(Sketch.of(b)).nnz == pytest.approx(counted(diagonal @ b), rel=1e-12)
    column = Sketch.of(np.diag(diagonal).reshape(-1, 1))
    assert column.diag().matmul(Sketch.of(b)).nnz == pytest.approx(counted(diagonal @ b), rel=1e-12)


def test_what_is_alone_is_exact_inside_other_products() -> None:
    """Half of the rows have one non-zero, the rest are empty or full."""
    a = one_in_each_row(100, 60)
    a[50:] = 0
    a[99] = 1
    b = random(60, 70, 0.02)
    found, expected = Sketch.of(a).matmul(Sketch.of(b)).nnz, counted(a @ b)
    assert found == pytest.approx(expected, rel=0.05)


def errors(make: Callable[[float], tuple[float, int]]) -> list[float]:
    found = []
    for density in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2):
        for _ in range(3):
            estimate, true = make(density)
            if true:
                found.append(abs(estimate - true) / true)
    return found


def test_products_of_random_matrices() -> None:
    def make(density: float) -> tuple[float, int]:
        a, b = random(300, 200, density), random(200, 250, density)
        return Sketch.of(a).matmul(Sketch.of(b)).nnz, counted(a @ b)

    found = errors(make)
    assert statistics.median(found) < 0.02
    assert max(found) < 0.2


def test_products_of_skewed_matrices() -> None:
    found = []
    for _ in range(10):
        a, b = skewed(300, 200), skewed(200, 300)
        true = counted(a @ b)
        found.append(abs(Sketch.of(a).matmul(Sketch.of(b)).nnz - true) / true)
    assert statistics.median(found) < 0.35


def test_chains() -> None:
    """Sketches of sketches: errors may grow, not explode."""

    def make(density: float) -> tuple[float, int]:
        a, b, c = random(200, 150, density), random(150, 180, density), random(180, 160, density)
        return Sketch.of(a).matmul(Sketch.of(b)).matmul(Sketch.of(c)).nnz, counted(a @ b @ c)

    assert statistics.median(errors(make)) < 0.1


@pytest.mark.parametrize("name", ["mul", "add"])
def test_cell_by_cell(name: str) -> None:
    def make(density: float) -> tuple[float, int]:
        a, b = random(300, 200, density), random(300, 200, 0.3)
        true = counted(a * b) if name == "mul" else counted(a + b)
        return getattr(Sketch.of(a), name)(Sketch.of(b)).nnz, true

    assert statistics.median(errors(make)) < 0.1


@pytest.mark.parametrize("density", [0.01, 0.1])
def test_even_spread_is_as_good_as_data_on_random_matrices(density: float) -> None:
    """What `rand(sparsity=)` says, without data."""
    a, b = random(300, 200, density), random(200, 250, density)
    found = Sketch.spread(300, 200, 60000 * density).matmul(Sketch.spread(200, 250, 50000 * density)).nnz
    assert found == pytest.approx(counted(a @ b), rel=0.15)


def test_data_in_any_form() -> None:
    a = random(40, 30, 0.1)
    for form in (sparse.csr_matrix(a), sparse.coo_matrix(a), a):
        made = Sketch.of(form)
        np.testing.assert_array_equal(made.by_row, a.sum(axis=1))
        np.testing.assert_array_equal(made.by_col, a.sum(axis=0))
        assert (made.most_in_row, made.most_in_col) == (a.sum(axis=1).max(), a.sum(axis=0).max())


def test_empty() -> None:
    empty = Sketch.of(np.zeros((5, 6)))
    assert empty.matmul(Sketch.of(random(6, 7, 0.5))).nnz == 0
    assert empty.mul(Sketch.of(random(5, 6, 0.5))).nnz == 0
    assert empty.matmul(empty.t()).diag().nnz == 0
    assert Sketch.of(np.zeros((0, 6))).matmul(empty.t()).nnz == 0
