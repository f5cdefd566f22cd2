"""Formats, indexing, binding, reorganisation and construction, dense and CSR, against NumPy."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import pytest
from capi import Runtime, RuntimeFailure

SHAPES = [(1, 1), (1, 9), (9, 1), (7, 13), (64, 40), (300, 70), (0, 3), (3, 0), (0, 0)]
MAKES = ["dense", "csr"]


def data(rows: int, cols: int, density: float = 0.2, seed: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < density)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("shape", SHAPES)
def test_unary(rt: Runtime, make: str, shape: tuple[int, int]) -> None:
    a = data(*shape)
    m = getattr(rt, make)(a)
    same = np.testing.assert_array_equal
    same(rt.numpy(rt.call("t:pp", m)), a.T)
    same(rt.numpy(rt.call("rev:pp", m)), a[::-1])
    same(rt.numpy(rt.call("roll:ppi", m, 2)), np.roll(a, 2, axis=0))
    same(rt.numpy(rt.call("roll:ppi", m, -1)), np.roll(a, -1, axis=0))
    same(rt.numpy(rt.call("to_dense:pp", m)), a)
    same(rt.numpy(rt.call("to_csr:pp", m)), a)
    same(rt.numpy(rt.call("to_smaller:pp", m)), a)
    for diag in (0, 1):
        same(rt.numpy(rt.call("lower_tri:ppbb", m, diag, 1)), np.tril(a, diag - 1))
        same(rt.numpy(rt.call("upper_tri:ppbb", m, diag, 1)), np.triu(a, 1 - diag))
        same(rt.numpy(rt.call("lower_tri:ppbb", m, diag, 0)), np.tril(np.ones_like(a), diag - 1))
    same(rt.numpy(rt.call("replace:ppdd", m, 0.0, 5.0)), np.where(a == 0, 5.0, a))
    assert rt.call("nnz:ip", m) == np.count_nonzero(a)
    assert [rt.call(f"{n}:ip", m) for n in ("nrow", "ncol", "length")] == [*shape, shape[0] * shape[1]]
    rows, cols = shape
    for r, c in {(cols, rows), (1, rows * cols), (rows * cols, 1), (rows // 2 or 1, cols * 2)}:
        if r * c == rows * cols:
            same(rt.numpy(rt.call("reshape:ppiib", m, r, c, 1)), a.reshape(r, c))
            same(rt.numpy(rt.call("reshape:ppiib", m, r, c, 0)), a.reshape((r, c), order="F"))
    rt.release(m)


@pytest.mark.parametrize("make", MAKES)
def test_diag_and_trace(rt: Runtime, make: str) -> None:
    new = getattr(rt, make)
    v, square = data(40, 1, 0.9), data(30, 30)
    a, b = new(v), new(square)
    made = rt.call("diag:pp", a)
    assert rt.format(made) == "csr"
    np.testing.assert_array_equal(rt.numpy(made), np.diag(v[:, 0]))
    np.testing.assert_array_equal(rt.numpy(rt.call("diag:pp", b)), np.diag(square)[:, None])
    assert rt.call("trace:dp", b) == pytest.approx(np.trace(square))
    wide = new(data(3, 4))
    for op in ("diag:pp", "trace:dp"):
        with pytest.raises(RuntimeFailure, match="square matrix, got 3x4"):
            rt.call(op, wide)
    rt.release(a, b, wide)


@pytest.mark.parametrize("make", MAKES)
def test_indexing(rt: Runtime, make: str) -> None:
    a = data(50, 60)
    m = getattr(rt, make)(a)
    for r0, r1, c0, c1 in [
        (1, 50, 1, 60),
        (3, 3, 1, 60),
        (1, 50, 7, 7),
        (5, 20, 10, 40),
        (50, 50, 60, 60),
        (1, 1, 1, 2),
    ]:
        got = rt.numpy(rt.call("index:ppiiii", m, r0, r1, c0, c1))
        np.testing.assert_array_equal(got, a[r0 - 1 : r1, c0 - 1 : c1])
    assert rt.call("get_cell:dpii", m, 4, 9) == a[3, 8]
    for bounds, message in [
        ((0, 1, 1, 1), "row index 0 is out of range: indexes start at 1"),
        ((1, 51, 1, 1), "row index 51 is out of range: the matrix has 50 rows"),
        ((5, 4, 1, 1), "row range 5:4 is empty"),
        ((1, 1, 61, 61), "column index 61 is out of range: the matrix has 60 columns"),
    ]:
        with pytest.raises(RuntimeFailure, match=message):
            rt.call("index:ppiiii", m, *bounds)
    with pytest.raises(RuntimeFailure, match="row index 51"):
        rt.call("get_cell:dpii", m, 51, 1)
    rt.release(m)


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("value_make", MAKES)
def test_left_indexing(rt: Runtime, make: str, value_make: str) -> None:
    a, v = data(50, 60, 0.1), data(10, 20, 0.3, seed=5)
    m, value = getattr(rt, make)(a), getattr(rt, value_make)(v)
    rt.call("retain:vp", m)  # somebody else holds it: the original stays
    changed = rt.call("left_index:pppiiii", m, value, 11, 20, 31, 50)
    expected = a.copy()
    expected[10:20, 30:50] = v
    np.testing.assert_array_equal(rt.numpy(changed, release=False), expected)
    np.testing.assert_array_equal(rt.numpy(m, release=False), a)
    expected[2, 3] = 9.0
    changed = rt.call("set_cell:ppdii", changed, 9.0, 3, 4)
    expected[2, 3] = 0.0
    changed = rt.call("set_cell:ppdii", changed, 0.0, 3, 4)
    np.testing.assert_array_equal(rt.numpy(changed), expected)
    with pytest.raises(RuntimeFailure, match="range has shape 10x19, but the right side is 10x20"):
        rt.call("left_index:pppiiii", m, value, 11, 20, 31, 49)  # takes m over even when it fails
    rt.release(value)


def test_loops_update_in_place(rt: Runtime) -> None:
    m, line = rt.dense(np.zeros((400, 300))), rt.dense(np.ones((1, 300)))
    before = rt.lib.sm_alloc_count()
    for i in range(1, 401):
        m = rt.call("left_index:pppiiii", m, line, i, i, 1, 300)
        m = rt.call("set_cell:ppdii", m, 2.0, i, 1)
    assert rt.lib.sm_alloc_count() == before
    assert rt.numpy(m).sum() == 400 * 301
    rt.release(line)


def test_external_buffers_are_not_copied_nor_written(rt: Runtime) -> None:
    a = np.arange(12.0).reshape(3, 4)
    freed: list[int] = []
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: freed.append(1))
    m = rt.call(
        "matrix_from_external:piippp", 3, 4, a.ctypes.data, ctypes.cast(callback, ctypes.c_void_p), None
    )
    assert rt.view("data", m, ctypes.c_void_p) == a.ctypes.data
    changed = rt.call("set_cell:ppdii", m, 99.0, 1, 1)
    assert freed == [1]
    assert a[0, 0] == 0
    assert rt.numpy(changed)[0, 0] == 99.0


@pytest.mark.parametrize(
    "makes", [("dense", "dense"), ("csr", "csr"), ("csr", "dense"), ("dense", "csr", "csr")]
)
def test_binding(rt: Runtime, makes: tuple[str, ...]) -> None:
    for op, shapes in {
        "cbind": [(20, 30), (20, 1), (20, 11)],
        "rbind": [(30, 20), (1, 20), (11, 20)],
    }.items():
        parts = [data(*s, seed=i) for i, s in enumerate(shapes[: len(makes)])]
        values = [getattr(rt, make)(p) for make, p in zip(makes, parts, strict=True)]
        array = (ctypes.c_void_p * len(values))(*values)
        joined = np.hstack(parts) if op == "cbind" else np.vstack(parts)
        result = rt.call(f"{op}:pip", len(values), array)
        assert rt.format(result) == ("dense" if set(makes) == {"dense"} else "csr")
        np.testing.assert_array_equal(rt.numpy(result), joined)
        other = rt.dense(np.ones((2, 2)))
        bad = (ctypes.c_void_p * 2)(values[0], other)
        with pytest.raises(RuntimeFailure, match=f"{op}: numbers of (rows|columns) differ"):
            rt.call(f"{op}:pip", 2, bad)
        rt.release(*values, other)


def test_sparse_rule(rt: Runtime) -> None:
    for rows, cols, density, expected in [
        (100, 100, 0.39, "csr"),
        (100, 100, 0.45, "dense"),
        (1000, 1, 0.0, "dense"),
        (2, 2, 0.2, "dense"),
    ]:
        m = rt.dense(data(rows, cols, density) if density else np.zeros((rows, cols)))
        compact = rt.call("to_smaller:pp", m)
        assert rt.format(compact) == expected
        rt.release(m, compact)


def test_construction(rt: Runtime) -> None:
    np.testing.assert_array_equal(rt.numpy(rt.call("fill:pdiis", 2.5, 3, 4, b"f64")), np.full((3, 4), 2.5))
    np.testing.assert_array_equal(rt.numpy(rt.call("seq:pddd", 1.0, 5.0, 1.0))[:, 0], np.arange(1.0, 6))
    np.testing.assert_array_equal(rt.numpy(rt.call("seq:pddd", 5.0, 1.0, -2.0))[:, 0], [5, 3, 1])
    np.testing.assert_allclose(rt.numpy(rt.call("seq:pddd", 0.0, 1.0, 0.25))[:, 0], [0, 0.25, 0.5, 0.75, 1])
    assert len(rt.numpy(rt.call("seq:pddd", 0.0, 1.0, 0.1))) == 11
    text = rt.string(" 1.5 -2.25\n0 1e10 ")
    np.testing.assert_array_equal(
        rt.numpy(rt.call("matrix_of_text:ppii", text, 2, 2)), [[1.5, -2.25], [0, 1e10]]
    )
    with pytest.raises(RuntimeFailure, match="a 2x3 matrix has 6 cells, but the string holds 4 values"):
        rt.call("matrix_of_text:ppii", text, 2, 3)
    with pytest.raises(RuntimeFailure, match="wrong sign"):
        rt.call("seq:pddd", 1.0, 5.0, -1.0)
    with pytest.raises(RuntimeFailure, match="cannot have -1 rows"):
        rt.call("fill:pdiis", 0.0, -1, 3, b"f64")
    one = rt.call("as_matrix:pds", 7.0, b"f64")
    assert rt.call("as_scalar:dp", one) == 7.0
    wide = rt.dense(np.ones((2, 3)))
    with pytest.raises(RuntimeFailure, match=r"as\.scalar needs a 1x1 matrix, got 2x3"):
        rt.call("as_scalar:dp", wide)
    with pytest.raises(RuntimeFailure, match="2x3 cells do not fit into 4x2"):
        rt.call("reshape:ppiib", wide, 4, 2, 1)
    nan = rt.dense([[math.nan, 1.0]])
    np.testing.assert_array_equal(rt.numpy(rt.call("replace:ppdd", nan, math.nan, 3.0)), [[3.0, 1.0]])
    rt.release(text, one, wide, nan)


@pytest.mark.parametrize("size", [(10**6, 10**6), (2**40, 2**40), (2**62, 1)])
def test_too_large(rt: Runtime, size: tuple[int, int]) -> None:
    with pytest.raises(RuntimeFailure, match="out of memory"):
        rt.call("fill:pdiis", 1.0, *size, b"f64")


def test_bad_sparse_input(rt: Runtime) -> None:
    val, ptr, idx = np.ones(2), np.array([0, 2], np.int64), np.array([3, 1], np.int32)
    with pytest.raises(RuntimeFailure, match="columns must ascend"):
        rt.call("csr_new:piippipi", 1, 5, val.ctypes.data, ptr.ctypes.data, 8, idx.ctypes.data, 4)


def test_memory_is_accounted(rt: Runtime) -> None:
    for name in ("alloc_count", "bytes_live", "bytes_peak"):
        getattr(rt.lib, "sm_" + name).restype = ctypes.c_int64
    start = rt.lib.sm_bytes_live()
    rt.lib.sm_reset_peak()
    a = rt.call("fill:pdiis", 1.0, 1000, 1000, b"f64")
    b = rt.call("t:pp", a)
    assert rt.lib.sm_bytes_live() - start == 16_000_000
    rt.release(a, b)
    assert rt.lib.sm_bytes_live() == start
    assert rt.lib.sm_bytes_peak() - start == 16_000_000


def test_bindings_keep_values(rt: Runtime) -> None:
    m = rt.dense(np.ones((2, 2)))
    rt.call("set_input:vsp", b"X", m)
    rt.release(m)
    assert rt.call("input_matrix:pss", b"X", b"f64") == m
    rt.release(m)
    rt.call("output_f64:vds", 2.5, b"y")
    rt.lib.sm_get_output.restype = ctypes.c_void_p
    box = rt.lib.sm_get_output(rt.ctx, b"y")
    assert rt.call("cast_box_f64:dp", box) == 2.5
    with pytest.raises(RuntimeFailure, match="the input 'X' must be a scalar"):
        rt.call("input_f64:ds", b"X")
    with pytest.raises(RuntimeFailure, match="no input is bound to 'Z'"):
        rt.call("input_matrix:pss", b"Z", b"f64")
    rt.call("clear_bindings:v")
