"""What is equal: laws about functions, sums and products of cells.

A law looks at a term and gives terms that are equal to it. Its statements say what it is about, are what the tests try, and
what follows `where` are facts that it asks for. The promises are those of the rule tables (see the head of static.rules) for
groups named "regroup"; a law that turns sums into products or the other way round is not for `--strict-fp`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod
from typing import Any, Final

from sysmlc.passes.equalities.graph import Graph, Shape, Term, UnknownShape
from sysmlc.passes.equalities.law import Found, inner, law, pairs_of, scaled, sums

INCREASING: Final = ("exp", "sigmoid", "tanh", "atan", "sinh", "floor", "ceil", "round")
"""Functions that keep the order of numbers, also of infinite ones."""
ROOTS: Final = ("sqrt", "log")
"""Those that do so for what is not negative."""


def _ordered(g: Graph, f: str, args: list[int]) -> list[int] | None:
    """The arguments of `f` in all of `args`, where it keeps their order."""
    found = [inner(g, a, f) for a in args]
    inside = [x for x in found if x is not None]
    if len(inside) < len(args) or (f in ROOTS and any(g.facts[x].low < 0 for x in inside)):
        return None
    return inside


# -- sums and products ----------------------------------------------------------------------------------------------------


@law("+", "x + (y + z) = x + y + z", "x - (y - z) = x - y + z", "2 * (3 * x) = 6 * x", "-(x - y) = y - x",
     "(x + 1) + 2 = x + 3", "x - (1 - x) = 2 * x - 1", needs="+")  # fmt: skip
def sum_of_sums(g: Graph, t: Term, shape: Shape) -> Found:
    terms = pairs_of(t)
    for i, (a, c) in enumerate(terms):
        for pairs, b in sums(g, a):
            if c and all(x != a and _in_range([c, d]) for x, d in pairs):
                yield g.plus(
                    [*terms[:i], *((x, c * d) for x, d in pairs), *terms[i + 1 :]], t.data[-1] + c * b, shape
                )


@law("*", "x * (y * z) = x * y * z", "(x * y) ^ 2 = x ^ 2 * y ^ 2", "x / (y / z) = x * z / y", "(3 * x) ^ 2 = 9 * x ^ 2",
     "x ^ 2 * x = x ^ 3", "(-x) * y = -(x * y)", needs="+ *")  # fmt: skip
def product_of_products(g: Graph, t: Term, shape: Shape) -> Found:
    factors = pairs_of(t)
    for i, (a, e) in enumerate(factors):
        rest = [*factors[:i], *factors[i + 1 :]]
        if not e.is_integer():
            continue
        x, c, b = scaled(g, a)
        if x != a and b == 0 and 1e-50 < abs(c**e) < 1e50:
            yield g.plus([(g.times([(x, e), *rest], shape), c**e)], 0.0, shape)
        for other in list(g.terms[a]):
            if other.op == "*" and a not in other.args:
                made = [*((y, e * f) for y, f in pairs_of(other)), *rest]
                numbers = [(g.number[c], f) for y, f in made if (c := g.find(y)) in g.number]
                if _in_range([x for x, f in numbers for _ in range(min(3, ceil(abs(f))))]):
                    yield g.times(made, shape)


def _in_range(numbers: list[float]) -> bool:
    """Whether numbers may be multiplied with each other before cells are: `X * 1e200 * 1e200` is no `X * Inf`."""
    several = [x for x in numbers if abs(x) != 1]
    return len(several) < 2 or all(1e-100 < abs(x) < 1e100 for x in (*several, prod(several)))


@law("+", "max(x, y) + min(x, y) = x + y", "2 * max(x, y) + 2 * min(x, y) = 2 * (x + y)", needs="max")
def sum_of_extremes(g: Graph, t: Term, shape: Shape) -> Found:
    for high, low, rest in _extremes(g, pairs_of(t)):
        yield g.plus([*((a, high[1]) for a in low), *rest], t.data[-1], shape)


@law("*", "max(x, y) * min(x, y) = x * y", needs="max")
def product_of_extremes(g: Graph, t: Term, shape: Shape) -> Found:
    for high, low, rest in _extremes(g, pairs_of(t)):
        yield g.times([*((a, high[1]) for a in low), *rest], shape)


def _extremes(g: Graph, pairs: list[tuple[int, float]]) -> Iterator[tuple[tuple[int, float], list[int], Any]]:
    for high in pairs:
        for top in [u for u in g.terms[high[0]] if u.op == "max" and len(u.args) == 2]:
            args = tuple(sorted(map(g.find, top.args)))
            for low in pairs:
                if low[1] == high[1] and Term("min", args) in g.terms[low[0]]:
                    yield high, list(args), [p for p in pairs if p not in (high, low)]


# -- exponentials and logarithms --------------------------------------------------------------------------------------------


@law("*", "exp(x) * exp(y) = exp(x + y)", "exp(x) * z / exp(y) = exp(x - y) * z", "exp(x) ^ 3 = exp(3 * x)",
     "1 / exp(x) = exp(-x)", strict=False, needs="exp")  # fmt: skip
def product_of_exponentials(g: Graph, t: Term, shape: Shape) -> Found:
    powers: list[tuple[int, float]] = []
    rest: list[tuple[int, float]] = []
    for a, e in pairs_of(t):
        x = inner(g, a, "exp")
        powers, rest = ([*powers, (x, e)], rest) if x is not None else (powers, [*rest, (a, e)])
    if len(powers) > 1 or any(e != 1 for _, e in powers):
        yield g.times([(g.call("exp", g.plus(powers)), 1), *rest], shape)


@law("log", "log(exp(x)) = x", "log(exp(x) * y) = x + log(y)", "log(exp(x) / exp(y)) = x - y", "log(1 / x) = -log(x)",
     "log(x ^ 3) = 3 * log(x)", "log(x ^ 2) = 2 * log(abs(x))", strict=False, needs="exp *")  # fmt: skip
def logarithm_of_a_product(g: Graph, t: Term, shape: Shape) -> Found:
    x = inner(g, t.args[0], "exp")
    if x is not None:
        yield x
    for term in list(g.terms[g.find(t.args[0])]):
        factors = pairs_of(term) if term.op == "*" else []
        exponents = [(x, e) for a, e in factors if (x := inner(g, a, "exp")) is not None]
        if exponents and len(exponents) < len(factors):
            rest = [(a, e) for a, e in factors if inner(g, a, "exp") is None]
            yield g.plus([*exponents, (g.call("log", g.times(rest)), 1)], 0.0, shape)
        if len(factors) == 1 and factors[0][1].is_integer():
            ((a, e),) = factors
            yield g.plus([(g.call("log", g.call("abs", a) if e % 2 == 0 else a), e)], 0.0, shape)


@law(
    "exp",
    "exp(log(x)) = x where x >= 0",
    "exp(2 * log(x)) = x ^ 2 where x >= 0",
    "exp(log(x) - log(y)) = x / y where x >= 0, y >= 0",
    "exp(2 * log(sigmoid(x)) - abs(y)) = sigmoid(x) ^ 2 * exp(-abs(y))",
    strict=False,
    needs="log +",
)
def exponential_of_a_logarithm(g: Graph, t: Term, shape: Shape) -> Found:
    """Sums of logarithms are written so that huge and tiny factors meet before they are out of range: they only become products
    where none of these can be."""
    for pairs, b in [([(t.args[0], 1.0)], 0.0), *sums(g, t.args[0])]:
        powers = [(x, c) for a, c in pairs if (x := inner(g, a, "log")) is not None and g.facts[x].low >= 0]
        rest = [(a, c) for a, c in pairs if inner(g, a, "log") is None]
        if powers and len(powers) + len(rest) == len(pairs):
            last = g.plus(rest, b) if rest or b else None
            alone = last is None and (
                len(powers) == 1 or (len(powers) == 2 and {abs(c) for _, c in powers} == {1.0})
            )
            small = all(c > 0 and g.facts[x].high <= 1 for x, c in powers)
            if alone or (small and last is not None and g.facts[last].high <= 0):
                yield g.times([*powers, *([(g.call("exp", last), 1.0)] if last is not None else [])], shape)


@law("sqrt", "sqrt(x ^ 2) = abs(x)", "sqrt(x ^ 4 * y ^ 2) = abs(x ^ 2 * y)", "sqrt(x) = x ^ 0.5 where x >= 0",
     "sqrt(exp(x)) = exp(0.5 * x)", "sqrt(x) * sqrt(x) = x where x >= 0")  # fmt: skip
def square_root(g: Graph, t: Term, shape: Shape) -> Found:
    a = g.find(t.args[0])
    if g.facts[a].low >= 0:
        yield g.times([(a, 0.5)], shape)
    for term in [u for u in list(g.terms[a]) if u.op == "*" and all(e % 2 == 0 and e > 0 for e in u.data)]:
        yield g.call("abs", g.times([(x, e / 2) for x, e in pairs_of(term)]))


@law("pow", "x ^ 1.5 * x ^ 0.5 = x ^ 2 where x >= 0")
def power_of_what_is_not_negative(g: Graph, t: Term, shape: Shape) -> Found:
    a, e = map(g.find, t.args)
    if g.facts[a].low >= 0 and e in g.number:
        yield g.times([(a, g.number[e])], shape)


# -- the logistic function and the hyperbolic tangent --------------------------------------------------------------------------


@law("*", "1 / (1 + exp(-x)) = sigmoid(x)", "y / (1 + exp(x - z)) = y * sigmoid(z - x)",
     "3 / (1 + exp(x)) ^ 2 = 3 * sigmoid(-x) ^ 2", needs="+")  # fmt: skip
def logistic_function(g: Graph, t: Term, shape: Shape) -> Found:
    factors = pairs_of(t)
    for i, (a, e) in enumerate(factors):
        for pairs, b in sums(g, a) if e < 0 else ():
            if (
                b == 1
                and len(pairs) == 1
                and pairs[0][1] == 1
                and (x := inner(g, pairs[0][0], "exp")) is not None
            ):
                made = g.call("sigmoid", g.plus([(x, -1.0)]))
                yield g.times([(made, -e), *factors[:i], *factors[i + 1 :]], shape)


@law(
    "*",
    "exp(x) / (1 + exp(x)) = sigmoid(x)",
    "exp(-x) * sigmoid(x) = sigmoid(-x)",
    strict=False,
    needs="sigmoid",
)
def exponential_times_logistic(g: Graph, t: Term, shape: Shape) -> Found:
    factors = pairs_of(t)
    for a, e in factors:
        x = inner(g, a, "sigmoid")
        for b, f in factors if x is not None else ():
            y = inner(g, b, "exp")
            if e == f > 0 and y is not None and x is not None and g.plus([(x, 1.0)]) == g.plus([(y, -1.0)]):
                rest = [p for p in factors if p[0] not in (a, b)]
                yield g.times([(g.call("sigmoid", y), e), *rest], shape)


@law(
    "+",
    "1 - sigmoid(x) = sigmoid(-x)",
    "3 - 3 * sigmoid(x) + y = 3 * sigmoid(-x) + y",
    strict=False,
    needs="sigmoid",
)
def rest_of_the_logistic_function(g: Graph, t: Term, shape: Shape) -> Found:
    for x, c, rest in _less_sigmoid(g, t, 1):
        yield g.plus([(g.call("sigmoid", g.plus([(x, -1.0)])), -c), *rest], 0.0, shape)


@law("+", "2 * sigmoid(2 * x) - 1 = tanh(x)", strict=False, needs="sigmoid")
def tangent_of_the_logistic_function(g: Graph, t: Term, shape: Shape) -> Found:
    for x, c, rest in _less_sigmoid(g, t, 2):
        yield g.plus([(g.call("tanh", g.plus([(x, 0.5)])), c / 2), *rest], 0.0, shape)


def _less_sigmoid(g: Graph, t: Term, times: int) -> Iterator[tuple[int, float, list[tuple[int, float]]]]:
    """Each `c * sigmoid(x)` of a sum whose constant is `-c / times`: x, c, and the other terms."""
    terms = pairs_of(t)
    for i, (a, c) in enumerate(terms):
        if c == -times * t.data[-1] and c and (x := inner(g, a, "sigmoid")) is not None:
            yield x, c, [*terms[:i], *terms[i + 1 :]]


@law("*", "(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = tanh(x)", "(exp(2 * x) - 1) / (exp(2 * x) + 1) = tanh(x)",
     strict=False, needs="+")  # fmt: skip
def hyperbolic_tangent(g: Graph, t: Term, shape: Shape) -> Found:
    factors = pairs_of(t)
    for above in [f for f in factors if f[1] == 1]:
        for below in [f for f in factors if f[1] == -1]:
            for difference in _exponentials(g, above[0]):
                for total in _exponentials(g, below[0]):
                    (x, c), (y, d) = difference
                    if c == -d and total == [(x, abs(c)), (y, abs(c))]:
                        first, second = (x, y) if c > 0 else (y, x)
                        half = g.plus([(p, s) for p, s in ((first, 0.5), (second, -0.5)) if p is not None])
                        rest = [f for f in factors if f not in (above, below)]
                        yield g.times([(g.call("tanh", half), 1.0), *rest], shape)


def _exponentials(g: Graph, c: int) -> Iterator[list[tuple[int | None, float]]]:
    """The sums of two exponentials that a class is, by their exponents; None stands for that of 1."""
    for pairs, b in sums(g, c):
        found = [(inner(g, a, "exp"), f) for a, f in pairs]
        if all(x is not None for x, _ in found):
            ends = [*found, *([(None, b)] if b else [])]
            if len(ends) == 2:
                yield sorted(ends, key=str)


# -- absolute values, extremes, choices -----------------------------------------------------------------------------------------


@law(
    "abs", "abs(exp(x)) = exp(x)", "abs(-3 * x) = 3 * abs(x)", "abs(x - y) = abs(y - x)", "abs(x ^ 2) = x ^ 2"
)
def absolute_value(g: Graph, t: Term, shape: Shape) -> Found:
    a = g.find(t.args[0])
    if g.facts[a].low >= 0:
        yield a
    elif g.facts[a].high <= 0:
        yield g.plus([(a, -1.0)], 0.0, shape)
    x, c, b = scaled(g, a)
    if x != a and b == 0:
        yield g.plus([(g.call("abs", x), abs(c))], 0.0, shape)
    elif any(len(pairs) > 1 for pairs, _ in sums(g, a)):
        yield g.call("abs", g.plus([(a, -1.0)]))


@law("*", "abs(x) ^ 2 = x ^ 2", "abs(x) * abs(y) = abs(x * y)", "abs(x) / abs(y) = abs(x / y)", "x * sign(x) = abs(x)",
     "abs(x) * sign(x) * y = x * y", needs="abs sign")  # fmt: skip
def product_of_absolute_values(g: Graph, t: Term, shape: Shape) -> Found:
    factors = pairs_of(t)
    inside = [(x, e) for a, e in factors if e.is_integer() and (x := inner(g, a, "abs")) is not None]
    rest = [(a, e) for a, e in factors if not e.is_integer() or inner(g, a, "abs") is None]
    even = [(x, e) for x, e in inside if e % 2 == 0]
    odd = [(x, e) for x, e in inside if e % 2]
    if even or len(odd) > 1:
        yield g.times([*even, *([(g.call("abs", g.times(odd)), 1.0)] if odd else []), *rest], shape)
    for s in [f for f in factors if f[1] == 1]:
        x = inner(g, s[0], "sign")
        for a, e in factors if x is not None else ():
            if e == 1 and x is not None and a in (x, g.call("abs", x)):
                others = [f for f in factors if f not in (s, (a, e))]
                yield g.times([(g.call("abs", x) if a == x else x, 1.0), *others], shape)


@law("min max", "max(x, max(y, z)) = max(x, y, z)", "max(-x, -y) = -min(x, y)", "max(2 * x + 1, 2 * y + 1) = 2 * max(x, y) + 1",
     "max(exp(x), exp(y)) = exp(max(x, y))", "min(sqrt(x), sqrt(y)) = sqrt(min(x, y)) where x >= 0, y >= 0",
     "max(exp(x), 0) = exp(x)", "min(sigmoid(x), 2) = sigmoid(x)", "max(x, -x) = abs(x)")  # fmt: skip
def extreme_of_functions(g: Graph, t: Term, shape: Shape) -> Found:
    args, up = [g.find(a) for a in t.args], t.op == "max"
    for a in args:
        for u in [u for u in g.terms[a] if u.op == t.op and a not in u.args]:
            yield g.extreme(t.op, [*(b for b in args if b != a), *u.args], shape)
    for f in (*INCREASING, *ROOTS):
        inside = _ordered(g, f, args)
        if inside is not None:
            yield g.call(f, g.extreme(t.op, inside))
    parts = [scaled(g, a) for a in args]
    if len({p[1:] for p in parts}) == 1 and parts[0][1:] != (1.0, 0.0):
        _, c, b = parts[0]
        made = g.extreme(t.op if c > 0 else "min" if up else "max", [x for x, _, _ in parts])
        yield g.plus([(made, c)], b, shape)
    if up and len(args) == 2 and g.plus([(args[0], -1.0)]) == args[1]:
        yield g.call("abs", args[0] if parts[0][1] > 0 else args[1])
    for a in args:  # what can never be the extreme, and is not NaN
        own, others = g.facts[a], [b for b in args if b != a]
        if not own.nan and any(
            (g.facts[b].low >= own.high) if up else (g.facts[b].high <= own.low) for b in others
        ):
            yield g.extreme(t.op, others, shape)


@law("max_of min_of", "max(exp(X)) = exp(max(X))", "rowMins(sigmoid(X)) = sigmoid(rowMins(X))", "max(-X) = -min(X)",
     "min(2 * X + 3) = 2 * min(X) + 3", "colMaxs(X - y) = colMaxs(X) - y", "max(sqrt(X)) = sqrt(max(X)) where X >= 0")  # fmt: skip
def extreme_of_all(g: Graph, t: Term, shape: Shape) -> Found:
    """Of nothing, which is infinite, only the opposite is known."""
    (a,), (direction, some) = t.args, t.data
    for f in (*INCREASING, *ROOTS) if some else ():
        inside = _ordered(g, f, [a])
        if inside is not None:
            yield g.call(f, reduced(g, t.op, inside[0], direction, some))
    for pairs, b in sums(g, a):
        cells = [p for p in pairs if g.shape[g.find(p[0])] is not None]
        if len(cells) == 1 and cells[0][1] and (some or (len(pairs) == 1 and b == 0)):
            ((x, c),) = cells
            op = t.op if c > 0 else "min_of" if t.op == "max_of" else "max_of"
            if g.shape[g.find(x)] == g.shape[g.find(a)]:
                rest = [p for p in pairs if p not in cells]
                yield g.plus([(reduced(g, op, x, direction, some), c), *rest], b, shape)


@law("prod", "prod(exp(X)) = exp(sum(X))", strict=False)
def product_of_all_exponentials(g: Graph, t: Term, shape: Shape) -> Found:
    x = inner(g, t.args[0], "exp")
    if x is not None:
        yield g.call("exp", reduced(g, "sum", x, *t.data))


def reduced(g: Graph, op: str, a: int, direction: str, some: bool) -> int:
    """An aggregate; `some`: of at least one cell."""
    shape = g.shape[g.find(a)]
    if shape is None:
        raise UnknownShape
    rows, cols = shape
    made = None if direction == "full" else (rows, 1) if direction == "row" else (1, cols)
    return g.add(Term(op, (a,), (direction, some)), made)


@law("floor ceil round sign", "floor(floor(x)) = floor(x)", "sign(sign(x)) = sign(x)")
def rounded_twice(g: Graph, t: Term, shape: Shape) -> Found:
    if inner(g, t.args[0], t.op) is not None:
        yield t.args[0]


@law("ifelse", "ifelse(c, x, x) = x", "ifelse(x > 0, x, -x) = abs(x)", "ifelse(c, exp(x), exp(y)) = exp(ifelse(c, x, y))",
     "ifelse(x < y, y, x) = max(x, y) where x ! nan, y ! nan")  # fmt: skip
def choice(g: Graph, t: Term, shape: Shape) -> Found:
    condition, a, b = map(g.find, t.args)
    if a == b:
        yield a
    for f in {u.op for u in g.terms[a] if len(u.args) == 1 and not u.data}:
        x, y = inner(g, a, f), inner(g, b, f)
        if x is not None and y is not None:
            yield g.call(f, g.call("ifelse", condition, x, y))
    for u in list(g.terms[condition]):
        if u.op in ("gt", "ge", "lt", "le"):
            x, y = map(g.find, u.args)
            large, small = (x, y) if u.op in ("gt", "ge") else (y, x)
            if g.number.get(small) == 0 and a == large and g.plus([(a, -1.0)]) == b:
                yield g.call("abs", a)
            if {a, b} == {x, y} and not (g.facts[x].nan or g.facts[y].nan):
                yield g.extreme("max" if a == large else "min", [a, b], shape)
