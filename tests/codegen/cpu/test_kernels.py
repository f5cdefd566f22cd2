"""Compiled kernels against NumPy: every operation, every kind of operand, every aggregate, dense and CSR."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from tests.codegen.cpu.kernel_runner import Runner, kernel_of

from sysmlc.codegen.cpu.host import host_processor
from sysmlc.codegen.cpu.target import level_of, make_target
from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import AGGREGATES, BINARY, UNARY, Aggregate, Binary, IfElse, Outer, Unary
from sysmlc.ir.types import f64, matrix
from sysmlc.passes.form_cells import make_cell

Array = np.ndarray[Any, Any]
LEVELS = ("native", "x86-64-v3", "x86-64-v2")


def _round(x: Array) -> Array:
    low = np.floor(x)
    return np.where(np.isnan(x), 0.0, np.where(x - low >= 0.5, low + 1, low))


def _mod(x: Array, y: Array) -> Array:
    q = x / y
    plain = x - np.floor(q) * y
    plain = np.where((np.abs(q) >= 2.0**53) & np.isfinite(q), 0.0, plain)
    return np.where(np.isinf(y) & np.isfinite(x), np.where(x * y < 0, y, x), plain)


def _integers(x: Array) -> Array:
    x = np.asarray(x, np.float64)
    inside = np.clip(np.where(np.isnan(x), 0, x), -(2.0**63), 2.0**62)
    return np.where(x >= 2.0**63, 2**63 - 1, inside.astype(np.int64))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


UNARY_REFERENCE: dict[str, Callable[[Array], Array]] = {
    **{fn: getattr(np, fn) for fn in ("abs", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt", "exp", "log")},
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "floor": np.floor, "ceil": np.ceil, "sign": np.sign,
    "round": _round, "not": lambda x: (x == 0) * 1.0, "isna": lambda x: np.isnan(x) * 1.0,
    "isnan": lambda x: np.isnan(x) * 1.0, "isinf": lambda x: np.isinf(x) * 1.0, "sigmoid": _sigmoid,
    "neg": np.negative,
}  # fmt: skip
BINARY_REFERENCE: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "mod": _mod,
    "intdiv": lambda x, y: np.floor(x / y), "min": np.minimum, "max": np.maximum,
    **{fn: (lambda x, y, op=op: op(x, y) * 1.0) for fn, op in {
        "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
        "ge": np.greater_equal, "and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor,
    }.items()},
    "bitand": lambda x, y: (_integers(x) & _integers(y)) * 1.0,
    "bitor": lambda x, y: (_integers(x) | _integers(y)) * 1.0,
    "bitxor": lambda x, y: (_integers(x) ^ _integers(y)) * 1.0,
    "shiftl": lambda x, y: (_integers(x) << (_integers(y) & 63)) * 1.0,
    "shiftr": lambda x, y: (_integers(x) >> (_integers(y) & 63)) * 1.0,
    "log_base": lambda x, y: np.log(x) / np.log(y),
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "prod": np.prod, "min_of": np.min, "max_of": np.max, "sumsq": lambda x, axis=None: (x * x).sum(axis),
}  # fmt: skip
SPECIAL = [
    0.0,
    -0.0,
    np.nan,
    np.inf,
    -np.inf,
    1.0,
    -1.0,
    2.5,
    -2.5,
    0.5,
    -0.5,
    0.49999999999999994,
    1e17,
    7.0,
    0.1,
    3.0,
]


@cache
def runner(level: str = "native") -> Runner:
    return Runner(make_target(level))


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:

    name = str(request.param)
    if name != "native" and name > level_of(host_processor()[1]):
        pytest.skip(f"this machine is not {name}")
    return name


def cells(rows: int, cols: int, seed: int = 0) -> Array:
    """Numbers of both signs, with every special value if there is room."""
    rng = np.random.default_rng(seed)
    made = np.round(rng.normal(0, 3, (rows, cols)), 2)
    flat = made.reshape(-1)
    if flat.size >= 64:
        flat[rng.permutation(flat.size)[: len(SPECIAL)]] = SPECIAL
    return made


def agree(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=2e-15, atol=0, equal_nan=True)


def test_the_references_cover_every_operation() -> None:
    assert set(UNARY_REFERENCE) == set(UNARY)
    assert set(BINARY_REFERENCE) == set(BINARY)
    assert set(REDUCTIONS) | {"mean", "var", "sd"} == set(AGGREGATES)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fn", UNARY)
def test_unary(fn: str, level: str) -> None:
    kernel = kernel_of(lambda b, x: b(Unary, fn, x), [matrix()])
    for shape in [(1, 1), (1, 7), (13, 5), (3, 101)]:
        x = cells(*shape)
        agree(runner(level).dense(kernel, [x], shape)[0], UNARY_REFERENCE[fn](x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fn", BINARY)
def test_binary(fn: str, level: str) -> None:
    run, reference = runner(level), BINARY_REFERENCE[fn]
    full = kernel_of(lambda b, x, y: b(Binary, fn, x, y), [matrix(), matrix()])
    right = kernel_of(lambda b, x, s: b(Binary, fn, x, s), [matrix(), f64])
    left = kernel_of(lambda b, x, s: b(Binary, fn, s, x), [matrix(), f64])
    for rows, cols in [(1, 1), (9, 3), (5, 70)]:
        x = cells(rows, cols, 1)
        for y in (cells(rows, cols, 2), cells(1, cols, 3), cells(rows, 1, 4), cells(1, 1, 5)):
            agree(run.dense(full, [x, y], x.shape)[0], reference(x, np.broadcast_to(y, x.shape)))
        for s in (2.0, -3.0, 0.0, np.nan, np.inf):
            agree(run.dense(right, [x, s], x.shape)[0], reference(x, np.full(x.shape, s)))
            agree(run.dense(left, [x, s], x.shape)[0], reference(np.full(x.shape, s), x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("power", [0.0, 1.0, -1.0, 2.0, 3.0, 4.0, 0.5])
def test_constant_powers(power: float) -> None:
    kernel = kernel_of(lambda b, x: b(Binary, "pow", x, b(Constant, value=power)), [matrix()])
    x = cells(4, 40)
    # A scalar exponent would make NumPy take a square root, which is wrong for -Inf.
    agree(runner().dense(kernel, [x], x.shape)[0], np.power(x, np.full(x.shape, power)))


def test_ifelse_and_outer(level: str) -> None:
    run = runner(level)
    c, a, b_ = np.sign(np.round(cells(6, 21, 1))), cells(6, 21, 2), cells(6, 21, 3)
    pick = kernel_of(lambda b, c, x, y: b(IfElse, c, x, y), [matrix(), matrix(), matrix()])
    agree(run.dense(pick, [c, a, b_], c.shape)[0], np.where(c != 0, a, b_))
    # A scalar condition: matrices come first in the kernel.
    pick = kernel_of(lambda b, c, x, y: b(IfElse, c, x, y), [f64, matrix(), matrix()])
    for condition in (0.0, 1.0, np.nan):
        agree(run.dense(pick, [a, b_, condition], a.shape)[0], a if condition != 0 else b_)
    u, v = cells(6, 1, 1), cells(1, 21, 2)
    product = kernel_of(lambda b, u, v: b(Outer, u, v, op="le"), [matrix(None, 1), matrix(1, None)])
    agree(run.dense(product, [u, v], (6, 21))[0], (u <= v) * 1.0)


SHAPES = [(1, 1), (1, 1000), (1000, 1), (37, 3), (8, 8), (5, 129), (2, 16), (130, 17), (1, 4097)]


@pytest.mark.parametrize("dir", ["full", "row", "col"])
@pytest.mark.parametrize("fn", REDUCTIONS)
def test_aggregates(fn: str, dir: str, level: str) -> None:
    kernel = kernel_of(lambda b, x: b(Aggregate, fn, x, dir=dir), [matrix()])
    axis = {"full": None, "row": 1, "col": 0}[dir]
    rng = np.random.default_rng(5)
    for shape in SHAPES:
        x = rng.uniform(-1, 1, shape) * (2.0 if fn == "prod" else 1e3)
        (got,) = runner(level).dense(kernel, [x], shape)
        expected = REDUCTIONS[fn](x.astype(np.longdouble), axis=axis)
        np.testing.assert_allclose(got, expected.astype(np.float64), rtol=2e-15 if fn != "prod" else 1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dir", ["full", "row", "col"])
@pytest.mark.parametrize("fn", REDUCTIONS)
def test_aggregates_of_nan_and_infinity(fn: str, dir: str, level: str) -> None:
    kernel = kernel_of(lambda b, x: b(Aggregate, fn, x, dir=dir), [matrix()])
    axis = {"full": None, "row": 1, "col": 0}[dir]
    for special in (np.nan, np.inf, -np.inf):
        for shape in [(3, 70), (70, 3), (9, 40)]:
            for place in (0, 1, shape[0] * shape[1] // 2, shape[0] * shape[1] - 1):
                x = np.ones(shape)
                x.reshape(-1)[place] = special
                (got,) = runner(level).dense(kernel, [x], shape)
                np.testing.assert_array_equal(got, REDUCTIONS[fn](x, axis=axis))
    x = np.full((4, 40), np.inf)
    x[:, 3] = -np.inf
    (got,) = runner(level).dense(kernel, [x], x.shape)
    np.testing.assert_array_equal(got, REDUCTIONS[fn](x, axis=axis))


def test_sums_are_compensated() -> None:
    x = np.array([[1.0, 1e100, 1.0, -1e100] * 1000])
    for dir, shape in (("full", (1, 4000)), ("row", (1, 4000)), ("col", (4000, 1))):
        kernel = kernel_of(lambda b, x, dir=dir: b(Aggregate, "sum", x, dir=dir), [matrix()])
        assert np.ravel(runner().dense(kernel, [x.reshape(shape)], shape)[0])[0] == 2000.0


def test_empty_matrices_give_the_identity() -> None:
    for fn, value in (("sum", 0.0), ("prod", 1.0), ("min_of", np.inf), ("max_of", -np.inf)):
        kernel = kernel_of(lambda b, x, fn=fn: b(Aggregate, fn, x), [matrix()])
        assert runner().dense(kernel, [np.zeros((0, 5))], (0, 5))[0] == value


def test_streaming_stores_write_the_same(level: str) -> None:
    kernel = kernel_of(lambda b, x, y: b(Binary, "mul", x, y), [matrix(), matrix()])
    for shape in [(1, 1000), (16, 64), (7, 33)]:
        x, y = cells(*shape, seed=1), cells(*shape, seed=2)
        with np.errstate(invalid="ignore"):
            agree(runner(level).dense(kernel, [x, y], shape, stream=True)[0], x * y)


# -- several operations and outputs in one kernel ---------------------------------------------------------------


def fused(
    outputs: Sequence[str], inputs: int, body: Callable[[Builder, Sequence[Value]], Sequence[Value]]
) -> Any:
    def make(b: Builder, *values: Value) -> Sequence[Value]:
        types = [f64 if o.startswith("full") else matrix() for o in outputs]
        return make_cell(b, values, tuple(outputs), types, body).results

    return kernel_of(make, [matrix()] * inputs)


@pytest.mark.parametrize("shape", [(1, 1), (40, 3), (33, 70), (1, 500)])
def test_fused_outputs_of_all_kinds(shape: tuple[int, int], level: str) -> None:
    def body(b: Builder, v: Sequence[Value]) -> Sequence[Value]:
        product = b(Binary, "mul", v[0], v[1])
        error = b(Binary, "sub", product, v[2])
        return [product, b(Unary, "exp", error), error, b(Binary, "mul", error, error), error]

    kernel = fused(["map", "full:sum", "row:max", "col:sum", "col:min"], 3, body)
    rng = np.random.default_rng(1)
    x, y, v = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, (shape[0], 1)), rng.uniform(-1, 1, (1, shape[1]))
    product, total, largest, squares, smallest = runner(level).dense(kernel, [x, y, v], shape)
    error = x * y - v
    agree(product, x * y)
    np.testing.assert_allclose(total, np.exp(error).sum(), rtol=1e-14)
    np.testing.assert_allclose(largest, error.max(axis=1), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(squares, (error**2).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(smallest, error.min(axis=0), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("cols", [1, 8, 63, 64, 65, 72, 1000])
def test_sums_of_rounded_cells(cols: int, level: str) -> None:
    """They are added in stretches; sums of other cells in the same kernel stay compensated."""

    def body(b: Builder, v: Sequence[Value]) -> Sequence[Value]:
        e = b(Unary, "exp", v[0])
        positive = b(Binary, "gt", e, b(Constant, value=1.0))
        chosen = b(IfElse, positive, v[1], v[1])
        return [e, e, v[1], chosen, e]

    kernel = fused(["full:sum", "row:sum", "full:sum", "full:sum", "row:min"], 2, body)
    rng = np.random.default_rng(cols)
    x, y = (
        rng.uniform(-3, 3, (3, cols)),
        rng.permuted(np.resize([1.0, 2.0**60, 1.0, -(2.0**60)], (3, cols)), axis=1),
    )
    total, rows, exact, chosen, smallest = runner(level).dense(kernel, [x, y], x.shape)
    e = np.exp(x)
    np.testing.assert_allclose(total, math.fsum(e.ravel()), rtol=1e-15)
    np.testing.assert_allclose(rows, [math.fsum(row) for row in e], rtol=1e-15)
    np.testing.assert_allclose(smallest, e.min(axis=1), rtol=1e-15)
    assert exact == chosen == math.fsum(y.ravel())


def test_sixteen_inputs_and_eight_outputs() -> None:
    def body(b: Builder, v: Sequence[Value]) -> Sequence[Value]:
        return [b(Binary, "add", v[2 * k], v[2 * k + 1]) for k in range(8)]

    outputs = ["map", "full:sum", "row:sum", "col:sum", "map", "full:max", "row:min", "col:max"]
    kernel = fused(outputs, 16, body)
    inputs = [np.random.default_rng(k).uniform(-1, 1, (11, 37)) for k in range(16)]
    results = runner().dense(kernel, inputs, (11, 37))
    pairs = [inputs[2 * k] + inputs[2 * k + 1] for k in range(8)]
    expected = [
        pairs[0], pairs[1].sum(), pairs[2].sum(1), pairs[3].sum(0), pairs[4], pairs[5].max(), pairs[6].min(1),
        pairs[7].max(0),
    ]  # fmt: skip
    for got, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-14)


# -- CSR ---------------------------------------------------------------------------------------------------------


def sparse(rows: int, cols: int, density: float, seed: int) -> Any:
    return sp.random(
        rows, cols, density, format="csr", random_state=np.random.default_rng(seed), data_rvs=_values
    )


def _values(n: int) -> Array:
    return np.random.default_rng(n).uniform(-3, 3, n)


SPARSE_SHAPES = [(1, 50, 0.3), (40, 30, 0.05), (17, 200, 0.2), (50, 4, 0.0)]


@pytest.mark.parametrize("fn", ["abs", "neg", "sin", "tanh", "sqrt", "round", "sign", "floor"])
def test_csr_unary(fn: str, level: str) -> None:
    kernel = kernel_of(lambda b, x: b(Unary, fn, x), [matrix()])
    assert kernel.sparse_safe == 1
    for rows, cols, density in SPARSE_SHAPES:
        x = sparse(rows, cols, density, 1)
        with np.errstate(invalid="ignore"):
            agree(runner(level).csr(kernel, [x], 0)[0], UNARY_REFERENCE[fn](x.data))


@pytest.mark.parametrize("driver", [0, 1])
def test_csr_times_dense(driver: int, level: str) -> None:
    kernel = kernel_of(lambda b, x, y: b(Binary, "mul", x, y), [matrix(), matrix()])
    assert kernel.sparse_safe == 3
    for rows, cols, density in SPARSE_SHAPES:
        s = sparse(rows, cols, density, 2)
        places = s.tocoo()
        others = [cells(rows, cols, 3)]
        if driver == 0:
            others += [cells(1, cols, 4), cells(rows, 1, 5), cells(1, 1, 6)]
        for other in others:
            inputs = [s, other] if driver == 0 else [other, s]
            (got,) = runner(level).csr(kernel, inputs, driver)
            with np.errstate(invalid="ignore"):
                agree(got, s.data * np.broadcast_to(other, s.shape)[places.row, places.col])


@pytest.mark.parametrize("dir", ["full", "row", "col"])
@pytest.mark.parametrize("fn", ["sum", "sumsq", "min_of", "max_of", "prod"])
def test_csr_aggregates_see_the_entries(fn: str, dir: str, level: str) -> None:
    kernel = kernel_of(lambda b, x: b(Aggregate, fn, x, dir=dir), [matrix()])
    identity = {"sum": 0.0, "sumsq": 0.0, "min_of": np.inf, "max_of": -np.inf, "prod": 1.0}[fn]
    axis = {"full": None, "row": 1, "col": 0}[dir]
    for rows, cols, density in SPARSE_SHAPES:
        x = sparse(rows, cols, density, 3)
        (got,) = runner(level).csr(kernel, [x], 0)
        dense = np.full(x.shape, identity)
        places = x.tocoo()
        dense[places.row, places.col] = x.data
        np.testing.assert_allclose(got, REDUCTIONS[fn](dense, axis=axis), rtol=1e-12, atol=1e-14)


def test_csr_of_a_third_input() -> None:
    kernel = fused(
        ["full:sum", "map"], 3,
        lambda b, v: [b(Binary, "mul", b(Binary, "add", v[0], v[1]), v[2])] * 2,
    )  # fmt: skip
    x, y, s = cells(20, 30, 1), cells(1, 30, 2), sparse(20, 30, 0.2, 4)
    x[~np.isfinite(x)] = 1.0
    total, values = runner().csr(kernel, [x, y, s], 2)
    expected = s.multiply(x + y).tocsr()
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-13)
    agree(values, expected.data)
