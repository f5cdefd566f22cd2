"""The cell launcher: shapes, formats, variants, aggregates, reuse of buffers; with hand-written C kernels."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capi import TAG_F64, TAG_MATRIX, Arg, Kernel, Runtime, RuntimeFailure

from sysmlc.runtime.library import include_dir


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("kernels") / "kernels.so"
    source = Path(__file__).with_name("kernels.c")
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", f"-I{include_dir()}", "-o", out, source, "-lm"], check=True
    )
    return ctypes.CDLL(str(out))


def data(rows: int, cols: int, density: float, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < density)


def launch(rt: Runtime, kernel: Kernel, *inputs: int | float, consume: int = 0) -> list[Any]:
    args = (Arg * len(inputs))()
    for slot, value in zip(args, inputs, strict=True):
        if isinstance(value, float):
            slot.tag, slot.v.f64 = TAG_F64, value
        else:
            slot.tag, slot.v.object = TAG_MATRIX, value
    slots = [ctypes.c_double() if kernel.out_kind[k] == 1 else ctypes.c_void_p() for k in range(kernel.n_out)]
    pointers = (ctypes.c_void_p * kernel.n_out)(*(ctypes.addressof(s) for s in slots))
    rt.call("launch_cell:vppbp", ctypes.addressof(kernel), args, consume, pointers)
    return [s.value for s in slots]


def kernel(kernels: Any, name: str) -> Kernel:
    return Kernel.in_dll(kernels, "k_" + name)


MAKES = ["dense", "csr"]
BROADCASTS = [((20, 30), (20, 30)), ((20, 30), (20, 1)), ((20, 30), (1, 30)), ((20, 30), (1, 1)), ((20, 1), (20, 1)),
              ((1, 30), (1, 30)), ((1, 1), (1, 1)), ((700, 90), (700, 90)), ((700, 90), (700, 1)), ((70000, 1), (70000, 1)),
              ((1, 70000), (1, 70000)), ((0, 3), (0, 3)), ((3, 0), (3, 0)), ((0, 3), (1, 3))]  # fmt: skip


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("left", MAKES)
@pytest.mark.parametrize("right", MAKES)
def test_two_operands(rt: Runtime, kernels: Any, op: str, shapes: Any, left: str, right: str) -> None:
    a, b = data(*shapes[0], 0.1), data(*shapes[1], 0.1, seed=2)
    x, y = getattr(rt, left)(a), getattr(rt, right)(b)
    before = rt.call("stats_conversions:ib", 0)
    (result,) = launch(rt, kernel(kernels, op), x, y)
    np.testing.assert_array_equal(rt.numpy(result, release=False), a + b if op == "add" else a * b)
    if shapes[0] == shapes[1] == (700, 90) and left == right == "csr":
        assert rt.format(result) == "csr"
        assert rt.call("stats_conversions:ib", 0) == before
    if op == "mul" and left == "csr" and shapes[0] == (700, 90):
        assert rt.format(result) == "csr"
    rt.release(x, y, result)


@pytest.mark.parametrize("make", MAKES)
def test_scalars(rt: Runtime, kernels: Any, make: str) -> None:
    a = data(300, 50, 0.1)
    x = getattr(rt, make)(a)
    np.testing.assert_array_equal(rt.numpy(launch(rt, kernel(kernels, "add"), x, 2.0)[0]), a + 2)
    np.testing.assert_array_equal(rt.numpy(launch(rt, kernel(kernels, "add"), 2.0, x)[0]), a + 2)
    (product,) = launch(rt, kernel(kernels, "mul"), x, 2.0)
    assert rt.format(product) == make
    np.testing.assert_array_equal(rt.numpy(product), a * 2)
    rt.release(x)


def test_outer(rt: Runtime, kernels: Any) -> None:
    u, v = np.arange(5.0)[:, None], np.arange(7.0)[None, :]
    x, y = rt.dense(u), rt.dense(v)
    narrow = kernel(kernels, "outer")
    np.testing.assert_array_equal(rt.numpy(launch(rt, narrow, x, y)[0]), u + v)
    with pytest.raises(RuntimeFailure, match=r"^the operands of \+ do not fit: 5x1 and 1x7$"):
        launch(rt, kernel(kernels, "add"), x, y)
    rt.release(x, y)


def test_broadcast_operands_are_written_out_for_a_missing_variant(rt: Runtime, kernels: Any) -> None:
    a, b = data(20, 30, 1), data(20, 1, 1)
    x, y = rt.dense(a), rt.dense(b)
    np.testing.assert_array_equal(rt.numpy(launch(rt, kernel(kernels, "narrow"), x, y)[0]), a + b)
    np.testing.assert_array_equal(rt.numpy(launch(rt, kernel(kernels, "narrow"), 3.0, x)[0]), a + 3)
    rt.release(x, y)


def test_shapes_that_do_not_fit(rt: Runtime, kernels: Any) -> None:
    x, y = rt.dense(np.ones((3, 4))), rt.dense(np.ones((5, 6)))
    with pytest.raises(RuntimeFailure, match=r"^the operands of \+ do not fit: 3x4 and 5x6$"):
        launch(rt, kernel(kernels, "add"), x, y)
    with pytest.raises(RuntimeFailure, match=r"^the operands of >, \+, log do not fit: 3x4 and 5x6$"):
        launch(rt, kernel(kernels, "gt"), x, y)
    rt.release(x, y)


@pytest.mark.parametrize(("threshold", "format"), [(0.5, "csr"), (0.0, "csr"), (-0.5, "dense")])
def test_scalars_decide_whether_zeros_stay_zero(
    rt: Runtime, kernels: Any, threshold: float, format: str
) -> None:
    a = data(300, 50, 0.1)
    x = rt.csr(a)
    before = rt.call("stats_conversions:ib", 0)
    (result,) = launch(rt, kernel(kernels, "gt"), x, threshold)
    assert rt.format(result) == format
    assert rt.call("stats_conversions:ib", 0) == before
    np.testing.assert_array_equal(rt.numpy(result), a > threshold)
    rt.release(x)


def test_results_larger_than_the_caches_are_streamed(rt: Runtime, kernels: Any) -> None:
    small, large = rt.dense(np.zeros((1000, 1000))), rt.dense(np.zeros((2100, 2000)))
    assert rt.numpy(launch(rt, kernel(kernels, "flags"), small)[0])[-1, -1] == 2
    assert rt.numpy(launch(rt, kernel(kernels, "flags"), large)[0])[-1, -1] == 1
    assert rt.numpy(launch(rt, kernel(kernels, "flags"), large, consume=1)[0])[-1, -1] == 2
    rt.release(small)


AGGREGATES = {"sum": np.sum, "prod": np.prod, "min": np.min, "max": np.max}


@pytest.mark.parametrize("fn", list(AGGREGATES))
@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (700, 90), (3, 60000), (60000, 3)])
@pytest.mark.parametrize("density", [0.05, 1.0])
def test_aggregates(
    rt: Runtime, kernels: Any, fn: str, make: str, shape: tuple[int, int], density: float
) -> None:
    a = data(*shape, density)
    a = np.abs(a) + (a != 0) if fn == "min" else a
    x = getattr(rt, make)(a)
    full, rows, cols = launch(rt, kernel(kernels, "agg_" + fn), x)
    reference = AGGREGATES[fn]
    with np.errstate(all="ignore"):
        for got, expected in [
            (full, reference(a)),
            (rt.numpy(rows)[:, 0], reference(a, axis=1)),
            (rt.numpy(cols)[0], reference(a, axis=0)),
        ]:
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    rt.release(x)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_aggregates_of_nothing(rt: Runtime, kernels: Any, shape: tuple[int, int]) -> None:
    for fn, identity in {"sum": 0.0, "prod": 1.0, "min": np.inf, "max": -np.inf}.items():
        x = rt.dense(np.zeros(shape))
        full, rows, cols = launch(rt, kernel(kernels, "agg_" + fn), x)
        assert full == identity
        np.testing.assert_array_equal(rt.numpy(rows), np.full((shape[0], 1), identity))
        np.testing.assert_array_equal(rt.numpy(cols), np.full((1, shape[1]), identity))
        rt.release(x)


def test_infinities_and_nan_in_sums(rt: Runtime, kernels: Any) -> None:
    for values, expected in [
        ([1, np.inf, 2], np.inf),
        ([np.inf, -np.inf], np.nan),
        ([1, np.nan], np.nan),
        ([1e308, 1e308], np.inf),
    ]:
        x = rt.dense([values])
        full, rows, cols = launch(rt, kernel(kernels, "agg_sum"), x)
        np.testing.assert_equal(full, expected)
        rt.release(x, rows, cols)


def test_sums_are_compensated_across_chunks(rt: Runtime, kernels: Any) -> None:
    a = np.full((2000, 100), 0.1)
    a[0, 0], a[-1, -1] = 1e17, -1e17
    x = rt.dense(a)
    full, rows, cols = launch(rt, kernel(kernels, "agg_sum"), x)
    assert full == pytest.approx(0.1 * (a.size - 2), rel=1e-12)
    rt.release(x, rows, cols)


def test_consumed_buffers_are_reused(rt: Runtime, kernels: Any) -> None:
    a, b = data(500, 400, 1), data(500, 400, 1, seed=2)
    x, y = rt.dense(a), rt.dense(b)
    before = rt.lib.sm_alloc_count()
    for _ in range(5):
        (x,) = launch(rt, kernel(kernels, "add"), x, y, consume=1)
    assert rt.lib.sm_alloc_count() == before
    np.testing.assert_allclose(rt.numpy(x, release=False), a + 5 * b)
    rt.call("retain:vp", x)
    (other,) = launch(rt, kernel(kernels, "add"), x, y, consume=1)  # somebody else holds x
    assert other != x
    np.testing.assert_allclose(rt.numpy(x, release=False), a + 5 * b)
    s = rt.csr(data(500, 400, 0.1))
    (t,) = launch(rt, kernel(kernels, "mul"), s, 2.0, consume=1)
    assert t == s
    (twice,) = launch(rt, kernel(kernels, "add"), other, other, consume=1)
    rt.release(x, y, t, twice)


def test_results_do_not_depend_on_the_threads(rt: Runtime, kernels: Any) -> None:
    x = rt.dense(data(3000, 170, 1))
    s = rt.csr(data(3000, 170, 0.2))
    seen = []
    for n in (1, 2, 3, 7):
        rt.lib.sm_set_threads(n)
        for m in (x, s):
            full, rows, cols = launch(rt, kernel(kernels, "agg_sum"), m)
            seen.append((n, m == x, full, rt.numpy(rows).tobytes(), rt.numpy(cols).tobytes()))
    rt.lib.sm_set_threads(0)
    for dense in (True, False):
        assert len({r[2:] for r in seen if r[1] == dense}) == 1
    rt.release(x, s)


def test_statistics(rt: Runtime, kernels: Any) -> None:
    rt.call("stats_enable:vb", 1)
    x = rt.dense(np.ones((10, 10)))
    rt.release(*launch(rt, kernel(kernels, "add"), x, 1.0), rt.call("t:pp", x), rt.call("t:pp", x), x)
    report = rt.call("stats_report:si", 10).decode()
    assert "Heavy hitter" in report
    counts = {
        line.split()[1]: int(line.split()[-1]) for line in report.splitlines() if line[:3].strip().isdigit()
    }
    assert counts["t"] == 2
    assert counts["+"] == 1


def test_missing_variants_are_compiled_once(rt: Runtime, kernels: Any) -> None:
    asked: list[int] = []
    resolve_type = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    splat = ctypes.cast(kernel(kernels, "add").variants, ctypes.POINTER(ctypes.c_void_p))[1]

    def resolve(_: int, __: int, key: int) -> int | None:
        asked.append(key)
        return splat if key == 1 else None

    callback = resolve_type(resolve)
    rt.call("set_resolve:vp", ctypes.cast(callback, ctypes.c_void_p))
    x = rt.dense(np.ones((3, 3)))
    for _ in range(3):
        rt.release(*launch(rt, kernel(kernels, "narrow"), x, 1.0))
    assert asked == [1]
    rt.call("set_resolve:vp", None)
    rt.release(x)
