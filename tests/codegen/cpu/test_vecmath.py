"""The vector mathematics against extended precision: millions of arguments, and every special value."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.codegen.cpu.kernel_runner import Runner, kernel_of

from sysmlc.codegen.cpu.host import host_processor
from sysmlc.codegen.cpu.target import compile_object, level_of, make_target
from sysmlc.codegen.cpu.vecmath import MathLibrary
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.types import matrix
from sysmlc.runtime.code import Code

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator], Array]
N = 1 << 17

SPECIAL = np.array([
    0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 0.1, 5e-324, -5e-324, 1e-300, 1e-20,
    2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 709.782712893384, 709.79, -745.13, -745.14,
    -708.5, 710.4758600739439, 710.48, 1e5, 524288.0, -524288.0, 1e10, 1e22, -745.5, -746.5, 746.5, -800.5, 800.5, -1e22, 1e300, -1e300,
])  # fmt: skip


def uniform(low: float, high: float) -> Draw:
    return lambda rng: rng.uniform(low, high, N)


def magnitudes(low: float, high: float) -> Draw:
    """Numbers of both signs of all sizes between two powers of ten."""
    return lambda rng: rng.choice([-1.0, 1.0], N) * 10.0 ** rng.uniform(low, high, N)


def any_bits(rng: np.random.Generator) -> Array:
    return rng.integers(0, 2**64, N, dtype=np.uint64).view(np.float64)


def near_quadrants(rng: np.random.Generator) -> Array:
    return np.round(rng.uniform(-3e5, 3e5, N)) * (np.pi / 2)


def special(rng: np.random.Generator) -> Array:
    return SPECIAL


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


CASES: dict[str, tuple[Callable[[Array], Array], float, list[Draw]]] = {
    "exp": (np.exp, 0.85, [uniform(-750, 715), uniform(-1, 1), magnitudes(-20, 0)]),
    "log": (
        np.log,
        0.9,
        [lambda rng: np.abs(any_bits(rng)), uniform(0.5, 2), uniform(0.9, 1.1), uniform(1e-320, 1e-308)],
    ),
    "tanh": (np.tanh, 2.6, [uniform(-25, 25), uniform(-1, 1), magnitudes(-20, 0)]),
    "sigmoid": (sigmoid, 2.6, [uniform(-750, 40), uniform(-2, 2)]),
    "sinh": (np.sinh, 2.6, [uniform(-712, 712), uniform(-25, 25), uniform(-1, 1), magnitudes(-20, 0)]),
    "cosh": (np.cosh, 1.3, [uniform(-712, 712), uniform(-2, 2)]),
    "sin": (np.sin, 0.9, [uniform(-10, 10), uniform(-5e5, 5e5), magnitudes(-10, 12), near_quadrants]),
    "cos": (np.cos, 0.9, [uniform(-10, 10), uniform(-5e5, 5e5), magnitudes(-10, 12), near_quadrants]),
    "tan": (np.tan, 2.3, [uniform(-10, 10), uniform(-5e5, 5e5), magnitudes(-10, 12), near_quadrants]),
    "asin": (np.arcsin, 2.3, [uniform(-1, 1), magnitudes(-10, 0)]),
    "acos": (np.arccos, 1.2, [uniform(-1, 1), lambda rng: 1 - 10.0 ** rng.uniform(-16, 0, N)]),
    "atan": (np.arctan, 1.9, [uniform(-5, 5), magnitudes(-10, 10)]),
}
LEVELS = ("native", "x86-64-v3", "x86-64-v2")


@cache
def runner(level: str) -> Runner:
    return Runner(make_target(level))


def require(level: str) -> None:

    if level != "native" and level > level_of(host_processor()[1]):
        pytest.skip(f"this machine is not {level}")


def units_off(got: Array, exact: Array) -> Array:
    """How far `got` is from `exact`, in units in the last place; infinite where NaN or infinities disagree."""
    rounded = exact.astype(np.float64)
    unit = np.spacing(np.abs(rounded))
    wrong = (np.isnan(got) != np.isnan(rounded)) | (np.isinf(rounded) & (got != rounded))
    with np.errstate(invalid="ignore"):
        off = np.abs(got.astype(np.longdouble) - exact) / unit
    off = np.where(np.isfinite(rounded) & ~np.isnan(got), off, 0).astype(np.float64)
    off[wrong] = np.inf
    return off


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fn", CASES)
def test_unary_functions_keep_their_bounds(fn: str, level: str) -> None:
    require(level)
    reference, bound, draws = CASES[fn]
    kernel = kernel_of(lambda b, x: b(Unary, fn, x), [matrix()])
    rng = np.random.default_rng(7)
    for draw in [*draws, any_bits, special]:
        x = draw(rng)
        (got,) = runner(level).dense(kernel, [x.reshape(1, -1)], (1, len(x)))
        with np.errstate(all="ignore"):
            off = units_off(got[0], reference(x.astype(np.longdouble)))
        worst = int(off.argmax())
        assert off[worst] <= bound, f"{fn}({x[worst]!r}) = {got[0, worst]!r} is {off[worst]:.2f} units off"


@pytest.mark.parametrize("fn", ["sin", "tan", "asin", "atan", "sinh", "tanh", "exp", "log"])
def test_zero_keeps_its_sign(fn: str) -> None:
    kernel = kernel_of(lambda b, x: b(Unary, fn, x), [matrix()])
    x = np.array([[0.0, -0.0]])
    (got,) = runner("native").dense(kernel, [x], (1, 2))
    with np.errstate(divide="ignore"):
        expected = CASES[fn][0](x)
    assert (np.signbit(got) == np.signbit(expected)).all()


@pytest.mark.parametrize("level", LEVELS)
def test_powers(level: str) -> None:
    require(level)
    rng = np.random.default_rng(11)
    pairs = [
        (rng.uniform(0, 10, N), rng.uniform(-5, 5, N)),
        (np.abs(magnitudes(-300, 300)(rng)), rng.uniform(-1.2, 1.2, N)),
        (1 + magnitudes(-10, -3)(rng), magnitudes(0, 6)(rng)),
        (rng.uniform(-10, 10, N), np.round(rng.uniform(-300, 300, N))),
        (any_bits(rng), magnitudes(-5, 3)(rng)),
        (any_bits(rng), any_bits(rng)),
        (np.repeat(SPECIAL, len(SPECIAL)), np.tile(SPECIAL, len(SPECIAL))),
    ]
    kernel = kernel_of(lambda b, x, y: b(Binary, "pow", x, y), [matrix(), matrix()])
    for x, y in pairs:
        (got,) = runner(level).dense(kernel, [x.reshape(1, -1), y.reshape(1, -1)], (1, len(x)))
        with np.errstate(all="ignore"):
            off = units_off(got[0], np.power(x.astype(np.longdouble), y.astype(np.longdouble)))
        worst = int(off.argmax())
        assert off[worst] <= 0.8, f"{x[worst]!r}^{y[worst]!r} = {got[0, worst]!r}: {off[worst]:.2f} units off"


@pytest.mark.parametrize("level", LEVELS)
def test_exact_powers_are_exact(level: str) -> None:
    require(level)
    cases = [(x, y, x**y) for x in range(-40, 41) for y in range(40) if abs(x**y) <= 2**53]
    cases += [(n * n, 0.5, n) for n in range(1, 2000)]
    x, y, expected = (np.array(column, np.float64) for column in zip(*cases, strict=True))
    kernel = kernel_of(lambda b, x, y: b(Binary, "pow", x, y), [matrix(), matrix()])
    (got,) = runner(level).dense(kernel, [x.reshape(1, -1), y.reshape(1, -1)], (1, len(x)))
    np.testing.assert_array_equal(got[0], expected)


def test_logarithms_to_a_base() -> None:
    rng = np.random.default_rng(3)
    x, base = 10 ** rng.uniform(-300, 300, N), 10 ** rng.uniform(0.1, 3, N)
    kernel = kernel_of(lambda b, x, y: b(Binary, "log_base", x, y), [matrix(), matrix()])
    (got,) = runner("native").dense(kernel, [x.reshape(1, -1), base.reshape(1, -1)], (1, N))
    exact = np.log(x.astype(np.longdouble)) / np.log(base.astype(np.longdouble))
    assert units_off(got[0], exact).max() <= 2.5
    (got,) = runner("native").dense(
        kernel, [np.array([[8.0, 100.0, 0.0]]), np.array([[2.0, 10.0, 2.0]])], (1, 3)
    )
    assert got.tolist() == [[3.0, 2.0, -np.inf]]


def reference_erf(x: Array) -> Array:
    """erf in extended precision, by its series or by its continued fraction."""
    x = x.astype(np.longdouble)
    size = np.minimum(np.abs(x), 7)
    small, term = size.copy(), size.copy()
    for n in range(1, 120):
        term = term * (-size * size) / n
        small = small + term / (2 * n + 1)
    fraction = size.copy()
    for n in range(60, 0, -1):
        fraction = size + (n / np.longdouble(2)) / fraction
    root = np.sqrt(np.longdouble("3.14159265358979323846264338327950288"))
    large = 1 - np.exp(-size * size) / (fraction * root)
    return np.copysign(np.where(size < 2.5, small * 2 / root, large), x)


@pytest.mark.parametrize("level", LEVELS)
def test_erf(level: str) -> None:
    """No operation uses erf yet, so it is called on its own."""
    require(level)
    target = make_target(level)
    library = MathLibrary(target)
    kind = f"<{target.lanes} x double>"
    text = f"""
define void @run(ptr %x, ptr %y) {{
  %v = load {kind}, ptr %x, align 8
  %r = call {kind} @{library.need("erf")}({kind} %v)
  store {kind} %r, ptr %y, align 8
  ret void
}}
"""
    image = compile_object(text + library.text(), target)
    code = Code(image)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("run"))
    rng = np.random.default_rng(9)
    x = np.concatenate([rng.uniform(-7, 7, 1 << 14), magnitudes(-12, 0.3)(rng)[: 1 << 14]])
    got = np.empty_like(x)
    for at in range(0, len(x), target.lanes):
        run(x[at:].ctypes.data, got[at:].ctypes.data)
    assert units_off(got, reference_erf(x)).max() <= 1.2
    x, got = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 40.0, -7.0]), np.empty(8)
    for at in range(0, len(x), target.lanes):
        run(x[at:].ctypes.data, got[at:].ctypes.data)
    np.testing.assert_array_equal(got, [0.0, -0.0, 1.0, -1.0, np.nan, 5e-324, 1.0, -1.0])
