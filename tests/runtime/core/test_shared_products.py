"""Products with one left factor: the same to the bit as one after the other, whatever the shapes and formats are."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from capi import Runtime, RuntimeFailure
from test_products import cells, wrap


def shared(rt: Runtime, x: int, factors: list[int], transpose: str) -> list[int]:
    """The handles of all products."""
    n = len(factors)
    given, made = (ctypes.c_void_p * n)(*factors), (ctypes.c_void_p * n)()
    places = (ctypes.c_void_p * n)(*(ctypes.addressof(made) + 8 * i for i in range(n)))
    pointers = [ctypes.addressof(given), transpose.encode(), ctypes.addressof(places)]
    rt.call("matmul_shared:vpipsp", x, n, *pointers)
    return [int(m or 0) for m in made]


def same(rt: Runtime, x: int, factors: list[int], transpose: str, kind: str) -> None:
    apart = [cells(rt, rt.call("matmul:ppps", x, y, transpose.encode()), kind) for y in factors]
    for threads in (1, 3):
        rt.lib.sm_set_threads(threads)
        for found, expected in zip(shared(rt, x, factors, transpose), apart, strict=True):
            np.testing.assert_array_equal(cells(rt, found, kind).view(np.uint8), expected.view(np.uint8))
    rt.lib.sm_set_threads(0)


SHAPES = [
    (700, 500, (48, 100, 101)),  # each packs the left factor, or reads it where it is
    (1003, 389, (113, 128, 97)),
    (1003, 389, (113, 129, 1, 126)),  # too wide, and a vector
    (700, 401, (110, 701, 120)),  # wider than high
    (130, 9001, (100, 17, 48)),  # the inner dimension is split
    (130, 9001, (100, 2000, 3)),
    (97, 9001, (600, 500)),  # and the results are too wide to share it
    (3, 4, (5, 6)),
    (1, 900, (30, 40)),
    (5, 0, (3, 2)),
]


@pytest.mark.parametrize("kind", ["f8", "f4"])
@pytest.mark.parametrize("transpose", ["", "l", "r", "lr"])
@pytest.mark.parametrize(("m", "k", "widths"), SHAPES)
def test_the_same_as_apart(
    rt: Runtime, m: int, k: int, widths: tuple[int, ...], transpose: str, kind: str
) -> None:
    rng = np.random.default_rng(m + k)
    a = rng.standard_normal((k, m) if "l" in transpose else (m, k)).astype(kind)
    rights = [rng.standard_normal((n, k) if "r" in transpose else (k, n)).astype(kind) for n in widths]
    x, *factors = (wrap(rt, array) for array in (a, *rights))
    same(rt, x, factors, transpose, kind)
    rt.release(x, *factors)


@pytest.mark.parametrize("transpose", ["", "l"])
@pytest.mark.parametrize("sparse", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_sparse_factors(rt: Runtime, sparse: tuple[int, ...], transpose: str) -> None:
    rng = np.random.default_rng(1)
    arrays: list[Any] = [rng.random((600, 600)), rng.random((600, 110)), rng.random((600, 120))]
    for i in sparse:
        arrays[i][rng.random(arrays[i].shape) < 0.95] = 0
    x, *factors = (rt.csr(a) if i in sparse else rt.dense(a) for i, a in enumerate(arrays))
    expected = [rt.numpy(rt.call("matmul:ppps", x, y, transpose.encode())) for y in factors]
    for found, product in zip(shared(rt, x, factors, transpose), expected, strict=True):
        np.testing.assert_array_equal(rt.numpy(found), product)
    rt.release(x, *factors)


def test_the_first_factor_that_does_not_fit_is_named(rt: Runtime) -> None:
    x = rt.dense(np.ones((300, 200)))
    factors = [rt.dense(np.ones((n, 110))) for n in (200, 201, 202)]
    with pytest.raises(RuntimeFailure) as apart:
        rt.call("matmul:ppps", x, factors[1], b"")
    with pytest.raises(RuntimeFailure) as together:
        shared(rt, x, factors, "")
    assert str(together.value) == str(apart.value)
    rt.release(x, *factors)
