"""Plans of whole programs: what is shared, what is safe, what is certain when sizes are names, and how long it takes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.passes.sum_product.programs import cost, optimized, program, random_values, results, types_of
from tests.passes.sum_product.rule_table import SHAPES

from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.explain import recording
from sysmlc.ir.passes import PassManager
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Source
from sysmlc.ir.types import Matrix, f64, i64, matrix
from sysmlc.passes import parse_pipeline
from sysmlc.passes.fuse_outer import FuseOuter
from sysmlc.passes.sum_product import SumProduct

FACTORS = {"X": (10000, 5000, 500000), "U": (10000, 20), "V": (5000, 20), "s": None}
LOSS = "sum((X {} U %*% t(V)) ^ 2)"


def largest(module: Module) -> int:
    """Cells of the largest dense matrix that an operation makes."""
    made = [
        r.type
        for op in module.walk()
        if op.name.startswith("dml.") and op.name != "dml.input"
        for r in op.results
    ]
    return max((t.rows * t.cols for t in made if isinstance(t, Matrix) and t.nnz is None), default=0)  # type: ignore[operator]


def ops(module: Module, name: str) -> list[Op]:
    return [op for op in module.walk() if op.name == name]


# -- the expressions of the benchmarks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["-", "+"])
def test_factorisation_loss_never_forms_the_product(sign):
    types = types_of(FACTORS)
    after, _ = optimized([LOSS.format(sign)], types)
    cheaper = cost(after)
    FuseOuter().run(after)
    assert largest(after) <= 10000 * 20
    unfused, _ = optimized([LOSS.format(sign)], types, sampling=False)
    assert largest(unfused) <= 10000 * 20
    assert cheaper < cost(program([LOSS.format(sign)], types)) / 30


@pytest.mark.parametrize("e", ["(U %*% t(V) - X) %*% V", "t(U) %*% (U %*% t(V) - X)", "sum(U %*% t(V))"])
def test_factorisation_gradients_never_form_the_product(e):
    after, _ = optimized([e], types_of(FACTORS))
    assert largest(after) <= 10000 * 20


def test_products_are_contracted_from_the_vector():
    after, _ = optimized(
        ["A %*% B %*% C %*% v"], types_of({"A": (90, 80), "B": (80, 70), "C": (70, 60), "v": (60, 1)})
    )
    assert all(op.results[0].type.cols == 1 for op in ops(after, "dml.matmul"))  # type: ignore[attr-defined]


def test_results_that_share_a_product_change_together():
    """Each by itself would keep `W %*% H`, since the other needs it."""
    shapes = {"W": (2000, 10), "H": (10, 1500), "G": (10, 1500), "K": (1500, 1)}
    after, _ = optimized(["sum(W %*% H)", "(W %*% H) %*% K", "rowSums(W %*% H)"], types_of(shapes))
    assert largest(after) <= 2000 * 10


def test_what_is_needed_anyway_is_used():
    types = types_of({"A": (50, 40), "B": (40, 30), "C": (30, 20)})
    after, _ = optimized(["A %*% B", "A %*% B %*% C"], types)
    assert len(ops(after, "dml.matmul")) == 2


def test_equal_functions_of_equal_expressions_are_one():
    after, _ = optimized(["sum(exp(X + Y) * X) + sum(X * exp(Y + X))"], types_of(SHAPES))
    assert len(ops(after, "dml.sum")) == 1


@pytest.mark.parametrize("e", ["sum(X - Y) + sum(Y)", "sum(X * Y) - sum(Y * X)", "sum((X - colMeans(X)) / Y)", "0 * sum(X)",
                               "sum((X - colSums(X) / 120) / colSums(Y ^ 2))"])  # fmt: skip
def test_what_is_not_finite_stays_so(e):
    values = random_values(SHAPES, 1)
    values["Y"][0, 0] = values["X"][0, 0] = np.nan
    after, _ = optimized([e], types_of(SHAPES))
    assert np.isnan(results(after, values)[0])


# -- safety ---------------------------------------------------------------------------------------------------------------


def near_fit(noise: float) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    u, v = rng.normal(size=(300, 4)), rng.normal(size=(200, 4))
    x = u @ v.T
    return {"X": x + noise * rng.normal(size=x.shape), "U": u, "V": v, "s": 1.0}


@pytest.mark.parametrize("noise", [1e-1, 1e-4, 1e-8, 0.0])
def test_expanded_losses_stay_within_the_tolerance(noise):
    """The error of an expanded sum of squares is relative to its terms, not to its result; and it is never negative."""
    values = near_fit(noise)
    types = types_of(FACTORS) | {"X": matrix(300, 200, nnz=10), "U": matrix(300, 4), "V": matrix(200, 4)}
    e = LOSS.format("-")
    before = program([e], types_of(FACTORS))
    after, _ = optimized([e], types_of(FACTORS))
    assert len(types) == 4
    assert to_text(before) != to_text(after)
    (expected,), (found,) = results(before, values), results(after, values)
    product = values["U"] @ values["V"].T
    terms = float(np.sum(values["X"] ** 2) + 2 * np.sum(np.abs(values["X"] * product)) + np.sum(product**2))
    assert abs(found - expected) <= 64 * np.finfo(float).eps * terms
    assert found >= 0


@pytest.mark.parametrize("noise", [1e-4, 1e-8])
def test_strict_results_keep_their_digits(noise):
    values = near_fit(noise)
    before = program([LOSS.format("-")], types_of(FACTORS))
    after, _ = optimized([LOSS.format("-")], types_of(FACTORS), strict=True)
    np.testing.assert_allclose(results(after, values), results(before, values), rtol=1e-12)


@pytest.mark.parametrize(
    "e", ["sum((X - Y) ^ 2)", "sum((P - X %*% K) ^ 2)", "sum(X - Y)", "sum((X - mean(X)) ^ 2)"]
)
def test_differences_are_kept_where_nothing_large_is_avoided(e):
    after, _ = optimized([e], types_of(SHAPES))
    assert ops(after, "dml.sub")
    assert not ops(after, "dml.max")


@pytest.mark.parametrize(
    "e", ["(X + Y) %*% K", "sum(X + Y)", "(U %*% t(V) - S) %*% V", "X * Y + X * Z", "X - Y * X"]
)
def test_strict_keeps_sums_as_they_are_written(e):
    after, rewrites = optimized([e], types_of(SHAPES), strict=True)
    assert len(ops(after, "dml.add") + ops(after, "dml.sub")) == 1
    assert not rewrites
    free, _ = optimized([e], types_of(SHAPES))
    assert e == "sum(X + Y)" or to_text(free) != to_text(after)


def test_strict_still_orders_the_products_inside_sums():
    after, _ = optimized(["A %*% B %*% K + X %*% K"], types_of(SHAPES), strict=True)
    assert all(op.results[0].type.cols == 1 for op in ops(after, "dml.matmul"))  # type: ignore[attr-defined]


# -- what is known -------------------------------------------------------------------------------------------------------


def test_named_sizes_are_enough():
    types = {"A": matrix("n", "k"), "B": matrix("k", "m"), "s": f64}
    after, _ = optimized(["sum(A %*% B)", "sum(t(A)) + s"], types)
    assert not ops(after, "dml.matmul")
    values = {"A": np.arange(6.0).reshape(2, 3), "B": np.ones((3, 2)), "s": 1.0}
    np.testing.assert_allclose(results(after, values), [30.0, 16.0])


def test_named_sizes_are_read_where_a_plan_needs_them():
    after, _ = optimized(["sum(X + s)"], {"X": matrix("n", "m"), "s": f64})
    found = results(after, {"X": np.ones((3, 4)), "s": 2.0})
    assert found == [36.0]


def test_unknown_sizes_are_left_alone():
    """`Y` may be a vector, so nothing is certain."""
    types = {"X": matrix(), "Y": matrix()}
    before = to_text(program(["sum(X * Y) + sum(X * Y) + sum(X %*% Y)"], types))
    after, rewrites = optimized(["sum(X * Y) + sum(X * Y) + sum(X %*% Y)"], types)
    assert to_text(after) == before
    assert not rewrites


def test_order_of_names_depends_on_their_sizes_so_nothing_is_done():
    types = {"A": matrix("a", "b"), "B": matrix("b", "c"), "C": matrix("c", "d")}
    _, rewrites = optimized(["A %*% B %*% C"], types)
    assert not rewrites


def test_integers_stay_exact_and_become_f64_only_in_f64_arithmetic():
    types = {"n": i64, "m": i64, "X": matrix(4, 5)}
    after, _ = optimized(["sum(X * n * m)"], types)
    found = results(after, {"n": 2**40, "m": 2**40, "X": np.ones((4, 5))})
    assert found == [20.0 * 2.0**80]


def test_rewrites_are_recorded_with_their_costs():
    module = program(["sum(A %*% B)"], types_of(SHAPES))
    with recording() as steps:
        SumProduct().run(module)
    (text,) = [str(s) for s in steps]
    assert "sum(A %*% B)" in text
    assert "colSums(A)" in text
    assert "µs → " in text


# -- places and names ------------------------------------------------------------------------------------------------


def test_what_is_made_stands_where_it_was_written():
    text = """\
A = rand(rows=300, cols=200, seed=1)
B = rand(rows=200, cols=100, seed=1)
X = rand(rows=300, cols=100, seed=1)
total = sum(A %*%
            B) +
  sum(X * 2 +
      X * A[,1])
print(total)
"""
    module = compile_source(Source("t.dml", text), {})
    PassManager(parse_pipeline("canonicalize,cse,sum-product")).run(module)
    sums = {op.operands[0].name: op.loc.line for op in ops(module, "dml.sum") if op.attrs.get("dir")}
    assert sums == {"A": 4, "B": 4, "X": 6}
    assert not ops(module, "dml.matmul")
    (product,) = [op for op in ops(module, "dml.add") if isinstance(op.result.type, Matrix)]
    assert product.loc.line == 6
    assert "%total = " in to_text(module)


# -- random programs -----------------------------------------------------------------------------------------------------


def random_expression(rng: random.Random, rows: int, cols: int, depth: int) -> str:
    """An expression of this shape over inputs called after their shapes."""

    def of(r: int, c: int) -> str:
        return random_expression(rng, r, c, depth - 1)

    if depth == 0 or rng.random() < 0.1:
        return f"{rng.choice('XYS')}{rows}x{cols}" if rows * cols > 1 else rng.choice(["s", "2", "0.5"])
    if rows == cols == 1:
        r, c = rng.choice((3, 4, 5)), rng.choice((1, 3, 4))
        return rng.choice(
            [lambda: f"sum({of(r, c)})", lambda: f"({of(1, 1)} * {of(1, 1)})", lambda: f"({of(1, 1)} - {of(1, 1)})",
             lambda: f"sum({of(r, c)} ^ 2)", lambda: f"trace({of(4, 4)})", lambda: f"({of(1, 1)} / (2 + s ^ 2))",
             lambda: f"mean({of(r, c)})"]
        )()  # fmt: skip
    k = rng.choice((1, 3, 4, 5))
    options = [
        lambda: f"({of(rows, cols)} + {of(rows, cols)})", lambda: f"({of(rows, cols)} - {of(rows, cols)})",
        lambda: f"({of(rows, cols)} * {of(rows, cols)})", lambda: f"({of(rows, cols)} * {of(1, 1)})",
        lambda: f"t({of(cols, rows)})", lambda: f"-{of(rows, cols)}", lambda: f"({of(rows, cols)} * {of(rows, 1) if rows > 1 else of(rows, cols)})",
        lambda: f"({of(rows, cols)} / (1 + Y{rows}x{cols} ^ 2))", lambda: f"exp({of(rows, cols)} * 0.01)",
    ]  # fmt: skip
    if k > 1:
        options += [lambda: f"({of(rows, k)} %*% {of(k, cols)})"] * 2
    if cols == 1:
        options += [lambda: f"rowSums({of(rows, 4)})"] + (
            [lambda: f"diag({of(rows, rows)})"] if rows > 1 else []
        )
    if rows == 1:
        options += [lambda: f"colSums({of(5, cols)})"]
    if rows == cols:
        options += [lambda: f"diag({of(rows, 1)})"]
    return rng.choice(options)()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_programs_keep_their_values(seed):
    rng = random.Random(seed)
    sizes = (1, 3, 4, 5)
    shapes: dict[str, Any] = {
        f"{n}{r}x{c}": (r, c) for n in "XYS" for r in sizes for c in sizes if r * c > 1
    } | {"s": None}  # fmt: skip
    texts = [
        random_expression(rng, rng.choice(sizes), rng.choice(sizes), rng.choice((2, 3, 4))) for _ in range(3)
    ]
    texts = [t for t in texts if not t.replace(".", "").isdigit()] or ["s"]
    values = random_values(shapes, 1, seed % 1000)
    expected_program = program(texts, types_of(shapes))
    for strict in (False, True):
        after, _ = optimized(texts, types_of(shapes), strict)
        for text, found, expected in zip(
            texts, results(after, values), results(expected_program, values), strict=True
        ):
            assert np.shape(found) == np.shape(expected), text
            scale = 1.0 + float(np.max(np.abs(expected)))
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7 * scale, err_msg=text)


# -- bounds ------------------------------------------------------------------------------------------------


def test_enormous_expressions_end():
    product = " * ".join(f"(X + Y * {i})" for i in range(2, 40))
    after, _ = optimized([f"sum({product})"], types_of(SHAPES))
    assert cost(after) <= cost(program([f"sum({product})"], types_of(SHAPES))) * 1.0001
