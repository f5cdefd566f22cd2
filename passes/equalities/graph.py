"""A small e-graph of cellwise expressions: classes of terms that are equal, found equal by laws, and closed under congruence.

Sums and products are terms of any number of operands: `+` adds multiples of classes and a constant, `*` multiplies powers of
classes. Their operands are sorted, and equal ones are merged, so that no law speaks of order or grouping. What would cancel
(`x - x`, `x / x`) stays, since it is NaN where x is not finite. Each class has a shape and facts: an interval, and whether NaN
may occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sysmlc.ir import scalar_semantics
from sysmlc.ir.dialects.dml_cell import PREDICATES

Shape = tuple[object, object] | None
"""What rows and columns are: equal things are equal sizes. None: a scalar."""
INF: Final = math.inf
Pairs = Iterable[tuple[int, float]]


class Term(NamedTuple):
    """A function of classes. `data`: of `+` the factors and the constant, of `*` the exponents, else what else defines it."""

    op: str
    args: tuple[int, ...]
    data: tuple[Any, ...] = ()


class Facts(NamedTuple):
    """Cells are between `low` and `high`, or NaN where `nan`; about `share` of them are not 0."""

    low: float = -INF
    high: float = INF
    nan: bool = True
    share: float = 1.0

    def meet(self, other: Facts) -> Facts:
        return Facts(
            max(self.low, other.low),
            min(self.high, other.high),
            self.nan and other.nan,
            min(self.share, other.share),
        )


class UnknownShape(Exception):
    """Nobody knows what the shape of a new term would be."""


class Graph:
    """Classes are numbers; `find` gives the one that stands for all that were merged with it."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.terms: list[dict[Term, None]] = []
        self.users: list[dict[tuple[Term, int], None]] = []
        self.facts: list[Facts] = []
        self.shape: list[Shape] = []
        self.number: dict[int, float] = {}
        self.known: dict[tuple[Term, Shape], int] = {}
        self.merged: list[int] = []
        self.touched: set[int] = set()
        """What is new or was merged since somebody looked."""

    def find(self, c: int) -> int:
        parent = self.parent
        while parent[c] != c:
            parent[c] = parent[parent[c]]
            c = parent[c]
        return c

    def classes(self) -> Iterator[int]:
        return (c for c, p in enumerate(self.parent) if c == p)

    # -- building -------------------------------------------------------------------------------------------------

    def leaf(self, key: object, shape: Shape, facts: Facts = Facts()) -> int:  # noqa: B008 (facts are immutable)
        """Something that is not looked into."""
        made = self.add(Term("leaf", (), (key,)), shape)
        self.facts[made] = self.facts[made].meet(facts)
        return made

    def const(self, value: float) -> int:
        made = self.add(Term("const", (), (value,)), None)
        self.number[made] = value
        return made

    def plus(self, pairs: Pairs, constant: float = 0.0, shape: Shape | bool = False) -> int:
        """The sum of multiples of classes."""
        pairs = list(pairs)
        return self._nary("+", pairs, (*(float(c) for _, c in pairs), constant), shape)

    def times(self, pairs: Pairs, shape: Shape | bool = False) -> int:
        """The product of powers of classes."""
        pairs = list(pairs)
        return self._nary("*", pairs, tuple(float(e) for _, e in pairs), shape)

    def extreme(self, op: str, args: Iterable[int], shape: Shape | bool = False) -> int:
        """The `min` or `max` of classes."""
        return self._nary(op, [(a, 1.0) for a in args], (), shape)

    def _nary(
        self, op: str, pairs: list[tuple[int, float]], data: tuple[Any, ...], shape: Shape | bool
    ) -> int:
        args = tuple(self.find(a) for a, _ in pairs)
        wanted = self.join(args)
        if shape is not False and shape != wanted:
            raise UnknownShape
        return self.add(Term(op, args, data), wanted)

    def call(self, op: str, *args: int, data: tuple[Any, ...] = ()) -> int:
        """Any other cellwise function."""
        return self.add(Term(op, args, data), self.join(args))

    def join(self, args: Sequence[int]) -> Shape:
        """The shape that cells of all these classes have together."""
        found: Shape = None
        for arg in args:
            shape = self.shape[self.find(arg)]
            if shape is None or shape == found:
                continue
            if found is None or _covers(shape, found):
                found = shape
            elif not _covers(found, shape):
                raise UnknownShape
        return found

    def add(self, term: Term, shape: Shape) -> int:
        """The class of a term."""
        made = self._canonical(term, shape)
        if isinstance(made, int):
            return made
        found = self.known.get((made, shape))
        if found is not None:
            return self.find(found)
        found = len(self.parent)
        self.parent.append(found)
        self.terms.append({made: None})
        self.users.append({})
        self.shape.append(shape)
        self.facts.append(self._facts(made))
        self.known[made, shape] = found
        for arg in made.args:
            self.users[arg][made, found] = None
        self.touched.add(found)
        return found

    # -- equality -------------------------------------------------------------------------------------------------

    def union(self, a: int, b: int) -> None:
        """What both stand for is equal."""
        a, b = self.find(a), self.find(b)
        if a == b or self.shape[a] != self.shape[b]:
            return
        if len(self.users[a]) < len(self.users[b]):
            a, b = b, a
        self.parent[b] = a
        self.terms[a].update(self.terms[b])
        self.users[a].update(self.users[b])
        self.facts[a] = self.facts[a].meet(self.facts[b])
        if b in self.number:
            self.number[a] = self.number[b]
        self.merged.append(a)
        self.touched.add(a)

    def rebuild(self) -> None:
        """Merge what became equal because its operands did, and learn what follows from new facts."""
        while self.merged:
            for c in {self.find(c): None for c in self.merged.copy()}:
                self._rebuild(c)
                self.merged = [m for m in self.merged if self.find(m) != c]
        self.touched = {self.find(c) for c in self.touched}

    def _rebuild(self, c: int) -> None:
        users, self.users[c] = self.users[c], {}
        for term, user in users:
            user = self.find(user)
            shape = self.shape[user]
            self.known.pop((term, shape), None)
            self.terms[user].pop(term, None)
            made = self._canonical(term, shape)
            if isinstance(made, int):
                self.union(made, user)
                continue
            other = self.known.setdefault((made, shape), user)
            self.union(other, user)
            user = self.find(user)
            self.terms[user][made] = None
            for arg in made.args:
                self.users[self.find(arg)][made, user] = None
            better = self.facts[user].meet(self._facts(made))
            if better != self.facts[user]:
                self.facts[user] = better
                self.merged.append(user)
                self.touched.add(user)

    # -- canonical terms --------------------------------------------------------------------------------------------

    def _canonical(self, term: Term, shape: Shape) -> Term | int:
        args = tuple([self.find(a) for a in term.args])
        if term.op == "+":
            return self._sum(list(zip(args, term.data[:-1], strict=True)), term.data[-1], shape)
        if term.op == "*":
            return self._product(list(zip(args, term.data, strict=True)), shape)
        if term.op in ("min", "max"):
            distinct = sorted(set(args))
            return distinct[0] if len(distinct) == 1 else Term(term.op, tuple(distinct), term.data)
        if args and not term.data and all(a in self.number for a in args):
            folded = _folded(term.op, [self.number[a] for a in args])
            if folded is not None:
                return self.const(folded)
        return Term(term.op, args, term.data)

    def _sum(self, pairs: list[tuple[int, float]], constant: float, shape: Shape) -> Term | int:
        rest = []
        for a, c in pairs:
            if a in self.number and math.isfinite(constant + c * self.number[a]):
                constant += c * self.number[a]
            else:
                rest.append((a, c))
        found = _merged(rest)
        if not found:
            return self.const(constant)
        if len(found) == 1 and found[0][1] == 1 and constant == 0 and self.shape[found[0][0]] == shape:
            return found[0][0]
        return Term("+", tuple(a for a, _ in found), (*(c for _, c in found), constant))

    def _product(self, pairs: list[tuple[int, float]], shape: Shape) -> Term | int:
        rest, factor = [], 1.0
        for a, e in pairs:
            number = _power(self.number[a], e) if a in self.number else None
            if number is None or not _ordinary(factor * number):
                rest.append((a, e))
            else:
                factor *= number
        found = _merged(rest)
        if not found:
            return self.const(factor)
        single = len(found) == 1 and found[0][1] == 1 and self.shape[found[0][0]] == shape
        term = Term("*", tuple(a for a, _ in found), tuple(e for _, e in found))
        if factor == 1:
            return found[0][0] if single else term
        return self._sum([(found[0][0] if single else self.add(term, shape), factor)], 0.0, shape)

    # -- facts ------------------------------------------------------------------------------------------------------

    def _facts(self, t: Term) -> Facts:
        args = [self.facts[self.find(a)] for a in t.args]
        if t.op == "const":
            (value,) = t.data
            return Facts(value, value, False) if value == value else Facts()
        rule = _FACTS.get(t.op)
        if rule is not None:
            return rule(t, args)
        if t.op in PREDICATES:
            return Facts(0.0, 1.0, False)
        return Facts()


def _covers(big: Shape, small: Shape) -> bool:
    """Whether `small` is broadcast to `big`."""
    assert big is not None
    assert small is not None
    return all(s in (1, b) for b, s in zip(big, small, strict=True))


def _merged(pairs: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Equal operands as one, but for those that cancel."""
    found: list[tuple[int, float]] = []
    for a, c in sorted(pairs):
        if found and found[-1][0] == a and found[-1][1] * c > 0:
            found[-1] = (a, found[-1][1] + c)
        else:
            found.append((a, c))
    return found


def _folded(op: str, values: list[float]) -> float | None:
    fold: Callable[..., Any] = scalar_semantics.unary if len(values) == 1 else scalar_semantics.binary
    found = fold(op, *values) if len(values) < 3 else None
    return float(found) if isinstance(found, (int, float)) and math.isfinite(found) else None


def _power(x: float, e: float) -> float | None:
    return x if e == 1 else 1 / x if e == -1 and x else None


def _ordinary(x: float) -> bool:
    """Whether products with it are not likely to be out of range."""
    return 1e-100 < abs(x) < 1e100


# -- what is known of results ---------------------------------------------------------------------------------------------


def _sum_facts(t: Term, args: list[Facts]) -> Facts:
    low = high = constant = t.data[-1]
    for c, f in zip(t.data, args, strict=False):
        ends = sorted((_scaled(c, f.low), _scaled(c, f.high)))
        low, high = low + ends[0], high + ends[1]
    infinite = any(INF in (f.high, -f.low) for f in args)
    share = 1.0 if constant else min(1.0, sum(f.share for f in args))
    safe = len(args) == 1 and t.data[0] != 0
    unknown = low != low or high != high
    if not (low.is_integer() or math.isinf(low)):  # the cells are rounded, in another order
        low, high = low - 1e-12 * abs(low) - 1e-300, high + 1e-12 * abs(high)
    return Facts(-INF if unknown else low, INF if unknown else high,
                 any(f.nan for f in args) or (infinite and not safe), share)  # fmt: skip


def _scaled(c: float, x: float) -> float:
    return c * x if c else 0.0


def _product_facts(t: Term, args: list[Facts]) -> Facts:
    low, high, nan = 1.0, 1.0, False
    for e, f in zip(t.data, args, strict=True):
        positive = f.low >= 0 or e % 2 == 0
        ends = [0.0, INF] if positive else [-INF, INF]
        if e == 1:
            ends = [f.low, f.high]
        elif e > 0 and f.low >= 0 and max(f.high, e) < 1e9:
            ends = [f.low**e, f.high**e if f.high < 1e9 else INF]
        corners = [_scaled(x, y) if y else 0.0 for x in (low, high) for y in ends]
        low, high = min(corners), max(corners)
        nan |= f.nan or (len(args) > 1 and (INF in (f.high, -f.low) or e < 0))
    share = min([f.share for e, f in zip(t.data, args, strict=True) if e > 0], default=1.0)
    return Facts(low, high, nan, share)


def _increasing(f: Callable[[float], float], low: float, high: float, keeps_zero: bool = False) -> Any:
    """The facts of an increasing function with these bounds."""

    def facts(t: Term, args: list[Facts]) -> Facts:
        a, b = (f(min(max(x, -700.0), 700.0)) for x in (args[0].low, args[0].high))
        return Facts(
            a if args[0].low > -700 else low,
            b if args[0].high < 700 else high,
            args[0].nan,
            args[0].share if keeps_zero else 1.0,
        )

    return facts


def _extreme_facts(t: Term, args: list[Facts]) -> Facts:
    pick = max if t.op == "max" else min
    nan = any(f.nan for f in args)
    return Facts(
        pick(f.low for f in args), pick(f.high for f in args), nan, min(1.0, sum(f.share for f in args))
    )


_FACTS: Final[dict[str, Callable[[Term, list[Facts]], Facts]]] = {
    "+": _sum_facts,
    "*": _product_facts,
    "exp": _increasing(math.exp, 0.0, INF),
    "sigmoid": _increasing(lambda x: 1 / (1 + math.exp(-x)), 0.0, 1.0),
    "tanh": _increasing(math.tanh, -1.0, 1.0, True),
    "sqrt": lambda t, a: Facts(0.0, INF, a[0].nan or a[0].low < 0, a[0].share),
    "abs": lambda t, a: Facts(max(0.0, a[0].low, -a[0].high), max(a[0].high, -a[0].low), a[0].nan, a[0].share),
    "sign": lambda t, a: Facts(float(a[0].low > 0) - float(a[0].low < 0), float(a[0].high > 0) - float(a[0].high < 0),
                               a[0].nan, a[0].share),
    "min": _extreme_facts,
    "max": _extreme_facts,
    "ifelse": lambda t, a: Facts(min(a[1].low, a[2].low), max(a[1].high, a[2].high), a[1].nan or a[2].nan),
    "max_of": lambda t, a: a[0]._replace(low=-INF, share=1.0),
    "min_of": lambda t, a: a[0]._replace(high=INF, share=1.0),
}  # fmt: skip
