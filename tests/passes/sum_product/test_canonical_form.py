"""The canonical form decides equality: it proves the written rules of its fragment, and finds the wrong ones."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.passes.sum_product.programs import emit, types_of

from sysmlc.ir.algebra import Apply, Expr, Number, Variable, variables
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_scalar import Input
from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.rules import Table, TableRule
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import Matrix
from sysmlc.passes.rules import table, table_names
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.extract import Planner
from sysmlc.passes.sum_product.islands import Island, in_fragment

ALGEBRA = frozenset(
    [
        "+",
        "-",
        "*",
        "/",
        "^",
        "@",
        "neg",
        "t",
        "sum",
        "rowSums",
        "colSums",
        "sumsq",
        "rowSumSqs",
        "colSumSqs",
        "trace",
        "diag",
        "mean",
        "rowMeans",
        "colMeans",
        "as_scalar",
        "as_matrix",
        "tsmm",
    ]
)
OF_CELLS = frozenset(["low", "high", "no_nan", "whole", "symmetric", "ascending", "one_in_row"])
DIMS = (1, 3, 5)


def in_algebra(e: Expr) -> bool:
    """Whether an expression uses sum-product operations only."""
    if not isinstance(e, Apply):
        return True
    if e.fn == "^" and not (isinstance(e.args[1], Number) and e.args[1].value in (2, 3, 4)):
        return False
    return e.fn in ALGEBRA and all(in_algebra(a) for a in e.args)


def asks_cells(e: Expr | None) -> bool:
    """Whether a guard asks what cells are: such rules are no equalities of all matrices, so sums cannot prove them."""
    return isinstance(e, Apply) and (e.fn in OF_CELLS or any(asks_cells(a) for a in e.args))


def prove(rule: TableRule) -> int:
    """In how many cases both sides have one canonical form; an AssertionError where they do not."""
    names = variables(rule.left)
    matrices = [n for n in names if n[0].isupper()]
    divides = "/" in rule.name
    variants: list[float | str | None] = [None]
    if len(matrices) < len(names):
        variants += [3.0, 5.0] if divides else [0.0, 3.0]
    if "nnz" in rule.name and not divides:
        variants += matrices
    proved = 0
    dims = DIMS if len(matrices) < 3 else DIMS[:2]
    for sizes in product(product(dims, dims), repeat=len(matrices)):
        shapes: dict[str, Any] = dict.fromkeys(names) | dict(zip(matrices, sizes, strict=True))
        for known in variants:
            found = _both_sides(rule, shapes, known)
            if found is not None:
                left, right = found
                assert left == right, f"{rule.name}: the sides differ for {shapes}: {left} and {right}"
                proved += 1
    return proved


def _both_sides(
    rule: TableRule, shapes: dict[str, Any], known: float | str | None
) -> tuple[object, object] | None:
    """The canonical forms of both sides, None where the left side does not fit or the rule does not apply.

    `known` is the value of the scalars, or the matrix that is empty.
    """
    region = Region()
    b = Builder(region)
    if isinstance(known, str):
        shapes = {**shapes, known: (*shapes[known], 0)}
    inputs = {n: b(Input, name_=n, types=[t]) for n, t in types_of(shapes).items()}
    if isinstance(known, float):
        inputs |= {n: b(Constant, value=known) for n in inputs if not n[0].isupper()}
    try:
        left = emit(b, rule.left, inputs, {})
    except Diagnostic:
        return None
    assert left.op is not None
    if left.op.name not in rule.roots:
        return None
    replaced = rule.apply(left.op, Builder(region))
    if not isinstance(replaced, Value):
        return None
    if isinstance(replaced.type, Matrix) and replaced.op is not None and replaced.op.name == "core.constant":
        return None
    island = Island([op for op in region if in_fragment(op)])
    nodes = island.build()
    planner = Planner(island.graph, Model(), strict=False, finite=True)
    forms = []
    for value in (left, replaced):
        node = nodes.get(value)
        if node is None:
            node = island.node(value)
        forms.append(planner.form(node, True).key())
    return forms[0], forms[1]


WRITTEN = [
    pytest.param(r, id=f"{name}:{r.loc.line}")
    for name in table_names()
    for r in table(name).rules
    if in_algebra(r.left) and in_algebra(r.right) and not asks_cells(r.guard)
]


@pytest.mark.parametrize("rule", WRITTEN)
def test_written_rules_are_proved(rule):
    assert prove(rule) > 0, f"{rule.name} was never tried"


def one(text: str) -> TableRule:
    (rule,) = Table(Source("t.rules", text), DML).rules
    return rule


@pytest.mark.parametrize(
    "text",
    [
        "sum(X @ Y) -> sum(t(colSums(X)) * rowSums(Y))",
        "trace(X @ Y) -> sum(X * t(Y))",
        "sum((X - U @ t(V)) ^ 2) -> sum(X ^ 2) - 2 * sum((X @ V) * U) + sum((t(U) @ U) * (t(V) @ V))"
        "   if rows(U) == rows(X) and rows(V) == cols(X)",
        "(U @ t(V) - X) @ V -> U @ (t(V) @ V) - X @ V   if rows(X) == rows(U) and cols(X) == rows(V)",
        "diag(X @ Y) -> rowSums(X * t(Y))   if rows(X) > 1 and rows(X) == cols(Y)",
        "X * Y - X * rowSums(X * Y) -> X * (Y - rowSums(X * Y))   if rows(X) == rows(Y) and cols(X) == cols(Y)",
        "(x * X) @ Y -> x * (X @ Y)",
        "t(t(X) @ t(Y)) -> Y @ X",
    ],
)
def test_true_equalities(text):
    assert prove(one(text)) > 0


@pytest.mark.parametrize(
    "text",
    [
        "sum(X @ Y) -> sum(rowSums(X)) * sum(colSums(Y))",
        "trace(X @ Y) -> sum(X * Y)   if rows(X) == cols(X)",
        "sum((X - Y) ^ 2) -> sum(X ^ 2) - sum(Y ^ 2)   if rows(X) == rows(Y) and cols(X) == cols(Y)",
        "X @ Y -> Y @ X   if rows(X) == cols(X) and rows(Y) == cols(Y)",
        "sum(x * X) -> sum(X)",
        "rowSums(X + Y) -> rowSums(X)   if rows(X) == rows(Y) and cols(X) == cols(Y)",
    ],
)
def test_planted_wrong_rules_are_caught(text):
    with pytest.raises(AssertionError, match="the sides differ"):
        prove(one(text))


def test_constants_stay_leaves_of_themselves():
    region = Region()
    b = Builder(region)
    assert not in_fragment(b(Constant, value=2.0).op)


def test_variables_are_found():
    assert variables(Apply("+", (Variable("X"), Variable("y")))) == ["X", "y"]
