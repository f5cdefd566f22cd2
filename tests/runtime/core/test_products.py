"""Dense products: all shapes around the sizes of tiles, both precisions, all transposes, any number of threads."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capi import Runtime
from hypothesis import given, settings
from hypothesis import strategies as st

EPSILON = {"f8": 2.0**-52, "f4": 2.0**-23}
TRANSPOSES = ("", "l", "r", "lr")
SIZES = [
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    23,
    24,
    25,
    31,
    33,
    47,
    48,
    49,
    65,
    96,
    97,
    191,
    193,
    383,
    384,
    385,
    400,
]
keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)


def wrap(rt: Runtime, array: Any) -> int:
    """A matrix over the cells of an array, which must live longer."""
    name = "matrix_from_external" + ("_f32" if array.dtype == np.float32 else "")
    release = ctypes.cast(keep, ctypes.c_void_p)
    return int(rt.call(name + ":piippp", *array.shape, array.ctypes.data, release, None))


def cells(rt: Runtime, matrix: int, kind: str) -> Any:
    """The cells of a result, which is released."""
    shape = rt.view("rows", matrix), rt.view("cols", matrix)
    pointer = rt.view("data", matrix, ctypes.POINTER(ctypes.c_double if kind == "f8" else ctypes.c_float))
    found = np.ctypeslib.as_array(pointer, shape).copy() if shape[0] * shape[1] else np.zeros(shape, kind)
    rt.release(matrix)
    return found


def with_threads(rt: Runtime, call: Any, kind: str) -> Any:
    """The result, which must be the same to the bit for 1, 2 and 3 threads."""
    results = []
    for threads in (1, 2, 3):
        rt.lib.sm_set_threads(threads)
        results.append(cells(rt, call(), kind))
    rt.lib.sm_set_threads(0)
    for other in results[1:]:
        np.testing.assert_array_equal(other.view(np.uint8), results[0].view(np.uint8))
    return results[0]


def close(found: Any, a: Any, b: Any, kind: str) -> None:
    """As exact as a sum of products can be expected to be, whatever its order."""
    a, b = a.astype("f8"), b.astype("f8")
    assert found.shape == (a.shape[0], b.shape[1])
    bound = 4 * EPSILON[kind] * np.sqrt(a.shape[1] + 8) * (np.abs(a) @ np.abs(b)) + 1e-300
    assert (np.abs(found - a @ b) <= bound).all()


def product(rt: Runtime, m: int, n: int, k: int, kind: str, transpose: str, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((k, m) if "l" in transpose else (m, k)).astype(kind)
    b = rng.standard_normal((n, k) if "r" in transpose else (k, n)).astype(kind)
    x, y = wrap(rt, a), wrap(rt, b)
    found = with_threads(rt, lambda: rt.call("matmul:ppps", x, y, transpose.encode()), kind)
    rt.release(x, y)
    close(found, a.T if "l" in transpose else a, b.T if "r" in transpose else b, kind)


def self_product(rt: Runtime, k: int, n: int, kind: str, seed: int = 0) -> None:
    a = np.random.default_rng(seed).standard_normal((k, n)).astype(kind)
    x = wrap(rt, a)
    found = with_threads(rt, lambda: rt.call("tsmm:pp", x), kind)
    rt.release(x)
    close(found, a.T, a, kind)
    np.testing.assert_array_equal(found, found.T)


@pytest.fixture(scope="module")
def one() -> Any:
    runtime = Runtime()
    yield runtime
    live = runtime.live()
    runtime.close()
    assert live == 0


size = st.one_of(st.sampled_from(SIZES), st.integers(1, 130))


@settings(max_examples=100, deadline=None)
@given(size, size, size, st.sampled_from(["f8", "f4"]), st.sampled_from(TRANSPOSES), st.integers(0, 9))
def test_products(one: Runtime, m: int, n: int, k: int, kind: str, transpose: str, seed: int) -> None:
    product(one, m, n, k, kind, transpose, seed)


@settings(max_examples=60, deadline=None)
@given(size, size, st.sampled_from(["f8", "f4"]), st.integers(0, 9))
def test_self_products(one: Runtime, k: int, n: int, kind: str, seed: int) -> None:
    self_product(one, k, n, kind, seed)


# m, n, k: split along rows, along columns, along the inner dimension, and with one panel of columns that is read where it is.
LARGE = [
    (900, 300, 400),
    (300, 1100, 385),
    (10, 7, 9000),
    (30, 50, 5003),
    (9001, 10, 100),
    (9, 5001, 100),
    (700, 2, 900),
]


@pytest.mark.parametrize("kind", ["f8", "f4"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_split_products(one: Runtime, shape: tuple[int, int, int], transpose: str, kind: str) -> None:
    product(one, *shape, kind, transpose)


@pytest.mark.parametrize("kind", ["f8", "f4"])
@pytest.mark.parametrize("shape", [(9000, 10), (6000, 57), (500, 600), (5, 1100), (900, 400)], ids=str)
def test_split_self_products(one: Runtime, shape: tuple[int, int], kind: str) -> None:
    self_product(one, *shape, kind)


@pytest.mark.parametrize("kind", ["f8", "f4"])
@pytest.mark.parametrize(
    "shape",
    [
        (5, 6, 7),
        (9, 1, 15),
        (9, 1, 27),
        (1, 9, 27),
        (40, 30, 20),
        (100, 9, 64),
        (9, 100, 500),
        (300, 5, 7000),
    ],
    ids=str,
)
@pytest.mark.parametrize("transpose", TRANSPOSES)
def test_special_values(rt: Runtime, shape: tuple[int, int, int], transpose: str, kind: str) -> None:
    """A NaN or an infinity reaches its row and its column, and nothing else; zeros do not hide it."""
    m, n, k = shape
    a, b = np.zeros((m, k), kind), np.ones((k, n), kind)
    a[m // 2, k - 1], a[m - 1, 0] = np.nan, np.inf
    b[k // 2, n - 1] = -np.inf
    stored = [np.ascontiguousarray(v.T if side in transpose else v) for v, side in ((a, "l"), (b, "r"))]
    x, y = (wrap(rt, v) for v in stored)
    found = cells(rt, rt.call("matmul:ppps", x, y, transpose.encode()), kind)
    rt.release(x, y)
    expected = np.zeros((m, n), kind)
    expected[m - 1] = np.inf
    expected[m // 2] = np.nan
    expected[:, n - 1] = np.nan  # 0 * -Inf
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", ["f8", "f4"])
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (1, 1, 0), (1, 0, 5)], ids=str)
def test_empty_products(rt: Runtime, shape: tuple[int, int, int], kind: str) -> None:
    m, n, k = shape
    a, b = np.zeros((m, k), kind), np.zeros((k, n), kind)
    x, y = wrap(rt, a), wrap(rt, b)
    np.testing.assert_array_equal(cells(rt, rt.call("matmul:ppps", x, y, b""), kind), a @ b)
    np.testing.assert_array_equal(cells(rt, rt.call("tsmm:pp", y), kind), b.T @ b)
    rt.release(x, y)


@pytest.mark.parametrize("level", ["2", "3"])
def test_lower_levels_of_the_instruction_set(level: str) -> None:
    """What processors without AVX-512, or without AVX2, run."""
    environment = {**os.environ, "SYSMLC_CPU_LEVEL": level}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run([sys.executable, __file__], env=environment, check=True, timeout=120)


if __name__ == "__main__":
    runtime, rng = Runtime(), np.random.default_rng(3)
    for number in range(12):
        shape = rng.choice(SIZES, 3).tolist()
        for kind in EPSILON:
            for transpose in TRANSPOSES:
                product(runtime, *shape, kind, transpose, number)
            self_product(runtime, *shape[:2], kind, number)
    for kind in EPSILON:
        for large in LARGE:
            product(runtime, *large, kind, TRANSPOSES[large[0] % 4])
        self_product(runtime, 9000, 30, kind)
