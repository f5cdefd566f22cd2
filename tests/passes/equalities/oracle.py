"""The oracle for laws: every term of a class has the values of every other, on cells that are chosen to differ.

Cells are zero, small, negative and NaN; what is NaN for one term is not a number for all. As the laws promise, an infinite
value is as good as NaN.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sysmlc.ir.algebra import Apply, Expr, ExpressionParser, Number, Variable
from sysmlc.ir.facts import ANY, Facts
from sysmlc.ir.source import Source
from sysmlc.passes.equalities.graph import REFINED, Graph, Term
from sysmlc.passes.equalities.law import Law, saturate

SHAPE = (7, 9)
CELLS = (0.0, 0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 4.0, np.nan)
AGGREGATES = {
    "max": "max_of",
    "min": "min_of",
    "prod": "prod",
    "sum": "sum",
    "Maxs": "max_of",
    "Mins": "min_of",
}
RELATIONS = {">": "gt", "<": "lt", ">=": "ge", "<=": "le"}


class WrongLaw(AssertionError):
    """Two terms of one class have different values."""


def read(text: str) -> tuple[Expr, Expr, dict[str, Facts]]:
    """A statement `left = right where x >= 0, y ! nan`."""
    sides, _, guards = text.partition(" where ")
    found = []
    for side in sides.split(" = "):
        source = Source("law", side)
        found.append(ExpressionParser(source, 0, len(side)).expression())
    facts: dict[str, Facts] = {}
    for guard in filter(None, guards.split(", ")):
        name, relation, _ = guard.split()
        facts[name] = Facts(low=0.0) if relation == ">=" else Facts(nan=False)
    return found[0], found[1], facts


def build(g: Graph, e: Expr, facts: Mapping[str, Facts], cells: bool) -> int:
    """The class of an expression; with `cells`, lower-case variables are matrices too."""
    if isinstance(e, Number):
        return g.const(float(e.value))
    if isinstance(e, Variable):
        matrix = cells or e.name[0].isupper()
        return g.leaf(e.name, SHAPE if matrix else None, facts.get(e.name, ANY))
    args = [build(g, a, facts, cells) for a in e.args]
    return apply(g, e.fn, args, e)


def apply(g: Graph, fn: str, args: list[int], e: Apply | None = None) -> int:
    if fn in "+-" and len(args) == 2:
        return g.plus([(args[0], 1), (args[1], 1 if fn == "+" else -1)])
    if fn == "neg":
        return g.plus([(args[0], -1)])
    if fn in "*/":
        return g.times([(args[0], 1), (args[1], 1 if fn == "*" else -1)])
    if fn == "^":
        power = g.number[args[1]]
        return g.times([(args[0], power)]) if power.is_integer() else g.call("pow", *args)
    if fn in RELATIONS:
        return g.call(RELATIONS[fn], *args)
    direction = "row" if fn.startswith("row") else "col" if fn.startswith("col") else "full"
    if len(args) == 1 and (op := AGGREGATES.get(fn[3:] if direction != "full" else fn)):
        rows, cols = SHAPE
        shape = None if direction == "full" else (rows, 1) if direction == "row" else (1, cols)
        return g.add(Term(op, (args[0],), (direction, True)), shape)
    if fn in ("min", "max"):
        return g.extreme(fn, args)
    return g.call(fn, *args)


def given(g: Graph) -> dict[object, tuple[Facts, Any]]:
    """The leaves, with what is known of them before any law is applied."""
    return {t.data[0]: (g.facts[c], g.shape[c]) for c in g.classes() for t in g.terms[c] if t.op == "leaf"}


def draw(rng: random.Random, leaves: Mapping[object, tuple[Facts, Any]]) -> dict[object, Any]:
    """Values for the leaves, of which their facts are true."""
    values: dict[object, Any] = {}
    for name, (facts, shape) in leaves.items():
        choices = [abs(c) if facts.low >= 0 else c for c in CELLS if facts.nan or c == c]
        rows, cols = shape or (1, 1)
        drawn = [rng.choice(choices) for _ in range(rows * cols)]
        values[name] = np.array(drawn, np.longdouble).reshape(rows, cols)
    return values


def check(g: Graph, rng: random.Random, known: Mapping[object, tuple[Facts, Any]], rounds: int = 3) -> int:
    """Compare all terms of all classes; gives how many comparisons were made."""
    made = 0
    for _ in range(rounds):
        leaves = draw(rng, known)
        values: dict[int, Any] = {}
        with np.errstate(all="ignore"):
            for c in g.classes():
                expected = value(g, c, leaves, values)
                _check_facts(g, c, expected)
                for term in g.terms[c]:
                    found = evaluate(g, term, leaves, values)
                    made += 1
                    if not _equal(expected, found, g.shape[c]):
                        raise WrongLaw(
                            f"{text(g, c)}\nis {expected}\nbut {term_text(g, term)}\nis {found}\nfor {leaves}"
                        )
    return made


def _check_facts(g: Graph, c: int, found: Any) -> None:
    low, high, nan = g.facts[c].low, g.facts[c].high, g.facts[c].nan
    some = found[np.isfinite(found)]
    if (np.isnan(found).any() and not nan) or (some < low - 1e-9).any() or (some > high + 1e-9).any():
        raise WrongLaw(f"{text(g, c)}: {g.facts[c]}, but {found}")


def _equal(a: Any, b: Any, shape: object) -> bool:
    x, y = (
        np.broadcast_to(v, (1, 1) if shape is None else v.shape if v.shape != (1, 1) else shape)
        for v in (a, b)
    )
    if x.shape != y.shape:
        return False
    x, y = (np.where(np.isfinite(v), v, np.nan).astype(float) for v in (x, y))
    return bool(np.allclose(x, y, rtol=1e-9, atol=1e-9, equal_nan=True))


def value(g: Graph, c: int, leaves: Mapping[object, Any], values: dict[int, Any]) -> Any:
    """The value of a class by the first of its terms that does not need itself."""
    c = g.find(c)
    if c not in values:
        order = sorted(g.terms[c], key=lambda t: (bool(t.args), len(str(t))))
        for term in order:
            values[c] = None
            if _grounded(g, term, values, leaves):
                values[c] = evaluate(g, term, leaves, values)
                break
            del values[c]
    return values[c]


def _grounded(g: Graph, term: Term, values: dict[int, Any], leaves: Mapping[object, Any]) -> bool:
    for a in term.args:
        a = g.find(a)
        if a in values and values[a] is None:
            return False
        try:
            value(g, a, leaves, values)
        except KeyError:
            return False
    return True


def evaluate(g: Graph, t: Term, leaves: Mapping[object, Any], values: dict[int, Any]) -> Any:
    if t.op == "leaf":
        return leaves[t.data[0]]
    if t.op == "const":
        return np.full((1, 1), t.data[0], np.longdouble)
    args = [value(g, a, leaves, values) for a in t.args]
    if t.op == "+":
        return sum((c * a for c, a in zip(t.data, args, strict=False)), np.longdouble(t.data[-1]))
    if t.op == "*":
        return np.prod(
            np.broadcast_arrays(*[a ** np.longdouble(e) for a, e in zip(args, t.data, strict=True)]), axis=0
        )
    if t.op in ("max", "min"):
        one = np.maximum if t.op == "max" else np.minimum
        found = args[0]
        for a in args[1:]:
            found = one(found, a)
        return found
    if t.op in AGGREGATES.values():
        axis = {"full": None, "row": 1, "col": 0}[t.data[0]]
        return getattr(np, t.op.removesuffix("_of"))(args[0], axis=axis, keepdims=True)
    return _FUNCTIONS[t.op](*args)


_FUNCTIONS: dict[str, Any] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "tanh": np.tanh, "sign": np.sign, "floor": np.floor,
    "ceil": np.ceil, "round": lambda x: np.floor(x + 0.5), "atan": np.arctan, "sinh": np.sinh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "pow": lambda x, y: x**y, "ifelse": lambda c, a, b: np.where(c != 0, a, b),
    "gt": lambda a, b: (a > b) + np.longdouble(0), "lt": lambda a, b: (a < b) + np.longdouble(0),
    "ge": lambda a, b: (a >= b) + np.longdouble(0), "le": lambda a, b: (a <= b) + np.longdouble(0), REFINED: lambda x: x,
}  # fmt: skip


def text(g: Graph, c: int) -> str:
    """A class by its shortest term."""
    c = g.find(c)
    term = min(g.terms[c], key=lambda t: (len(t.args), len(str(t))))
    return term_text(g, term, {c})


def term_text(g: Graph, t: Term, seen: set[int] | None = None) -> str:
    if t.op in ("leaf", "const"):
        return str(t.data[0])
    inside = [
        ("…" if g.find(a) in (seen or ()) else text(g, a)) if len(seen or ()) < 3 else f"#{g.find(a)}"
        for a in t.args
    ]
    return f"{t.op}{list(t.data) if t.data else ''}({', '.join(inside)})"


def random_graph(rng: random.Random, size: int) -> tuple[Graph, list[int]]:
    """Some expressions over few operands, so that laws meet."""
    g = Graph()
    made = [
        g.leaf("X", SHAPE),
        g.leaf("Y", SHAPE, Facts(low=0.0)),
        g.leaf("Z", SHAPE, Facts(nan=False)),
        g.leaf("s", None),
    ]
    made += [g.const(c) for c in (1.0, 2.0, -1.0, 0.5)]
    unary = ("exp", "log", "sqrt", "abs", "sign", "sigmoid", "tanh", "floor", "neg")
    for _ in range(size):
        a, b, c = (rng.choice(made[-7:] if rng.random() < 0.6 else made) for _ in range(3))
        kind = rng.random()
        if kind < 0.45:
            made.append(apply(g, rng.choice(unary), [a]))
        elif kind < 0.85:
            made.append(apply(g, rng.choice("++-**/"), [a, b]))
        elif kind < 0.9:
            made.append(g.times([(a, float(rng.choice((2, 3, -1, -2))))]))
        elif kind < 0.95:
            made.append(apply(g, rng.choice(("min", "max")), [a, b]))
        elif g.shape[g.find(b)] == g.shape[g.find(c)]:
            made.append(g.call("ifelse", g.call("gt", a, b), b, c))
    return g, made


def statements(laws: list[Law]) -> Iterator[tuple[Law, str]]:
    return ((one, s) for one in laws for s in one.statements)


def holds(statement: str, laws: list[Law], cells: bool, rng: random.Random) -> bool:
    """Whether the laws find that the left side may be computed as the right one; raises WrongLaw if anything that they find is
    wrong."""
    left, right, facts = read(statement)
    g = Graph()
    a, b = (build(g, e, facts, cells) for e in (left, right))
    known = given(g)
    saturate(g, laws, 400)
    check(g, rng, known)
    return g.find(b) in refined(g, a)


def refined(g: Graph, c: int) -> set[int]:
    """The class and those it may be computed as."""
    found: set[int] = set()
    stack = [g.find(c)]
    while stack:
        c = stack.pop()
        if c not in found:
            found.add(c)
            stack += [g.find(t.args[0]) for t in g.terms[c] if t.op == REFINED]
    return found
