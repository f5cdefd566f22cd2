"""Every law is true, finds what it states, and is needed; and the oracle that says so finds wrong ones."""

from __future__ import annotations

import random

import pytest
from tests.passes.equalities.oracle import (
    WrongLaw,
    build,
    check,
    given,
    holds,
    random_graph,
    read,
    statements,
)

from sysmlc.passes.equalities import laws  # noqa: F401 (they register themselves)
from sysmlc.passes.equalities.graph import Graph, Shape, Term
from sysmlc.passes.equalities.law import LAWS, Found, Law, inner, saturate

STATED = [pytest.param(one, s, id=s) for one, s in statements(LAWS)]


@pytest.mark.parametrize(("law", "statement"), STATED)
def test_law(law: Law, statement: str) -> None:
    assert holds(statement, LAWS, False, random.Random(statement))
    if not any(c.isupper() for c in statement):
        assert holds(statement, LAWS, True, random.Random(statement))


@pytest.mark.parametrize("law", LAWS, ids=lambda one: one.name)
def test_law_is_needed(law: Law) -> None:
    others = [one for one in LAWS if one is not law]
    assert not all(holds(s, others, False, random.Random(1)) for s in law.statements)


@pytest.mark.parametrize("start", range(0, 200, 20))
def test_laws_together(start: int) -> None:
    """Whatever laws find from what others have found is equal too."""
    for number in range(start, start + 20):
        rng = random.Random(number)
        g, _ = random_graph(rng, 8)
        known = given(g)
        saturate(g, LAWS, 250)
        assert check(g, rng, known, rounds=2)


def test_graphs_stay_small() -> None:
    """Sums that are made of each other have ever more forms."""
    left, right, facts = read("2 * sigmoid(2 * x) - 1 = (exp(x) - exp(-x)) / (exp(x) + exp(-x))")
    g = Graph()
    for e in (left, right):
        build(g, e, facts, True)
    saturate(g, LAWS, 250)
    assert len(g.parent) < 300


def _root(g: Graph, t: Term, shape: Shape) -> Found:
    if (x := inner(g, t.args[0], "sqrt")) is not None:
        yield g.times([(x, t.data[0] / 2)], shape)


def _clamp(g: Graph, t: Term, shape: Shape) -> Found:
    yield from (a for a in t.args if g.find(a) not in g.number)


def _product(g: Graph, t: Term, shape: Shape) -> Found:
    if len(t.args) == 2 and t.data == (1.0, 1.0, 0.0):
        yield g.times([(a, 1.0) for a in t.args], shape)


def _choice(g: Graph, t: Term, shape: Shape) -> Found:
    yield g.extreme("max", t.args[1:], shape)


@pytest.mark.parametrize(
    ("wrong", "statement"),
    [
        (Law("square of a root", ("*",), (), _root, True), "sqrt(x) ^ 2 = x"),  # NaN where x is negative
        (Law("what is clamped", ("max",), (), _clamp, True), "max(x, 0) = x"),
        (Law("sum is product", ("+",), (), _product, True), "x + y = x * y"),
        (
            Law("choice of the larger", ("ifelse",), (), _choice, True),
            "ifelse(x > y, x, y) = max(x, y)",
        ),  # NaN
    ],
    ids=lambda w: w.name if isinstance(w, Law) else "",
)
def test_wrong_laws_are_found(wrong: Law, statement: str) -> None:
    with pytest.raises(WrongLaw):
        holds(statement, [*LAWS, wrong], True, random.Random(2))
