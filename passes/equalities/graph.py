"""A small e-graph of cellwise expressions: classes of terms that are equal, found equal by laws, and closed under congruence.

Sums and products are terms of any number of operands: `+` adds multiples of classes and a constant, `*` multiplies powers of
classes. Their operands are sorted, and equal ones are merged, so that no law speaks of order or grouping. What would cancel
(`x - x`, `x / x`) stays, since it is NaN where x is not finite. Each class has a shape, facts (see `ir/facts.py`), and about which
share of its cells is not 0.

What is equal only on paper is not merged: `exp(x) * sigmoid(-x)` may be computed as `sigmoid(x)`, but not the other way round, which is
NaN for a large x. The first class has a term that stands for the second one then (`refine`), and so have all that use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import Any, Final, NamedTuple

from sysmlc.ir import scalar_semantics
from sysmlc.ir.dialects.cell_facts import binary, extreme_of, joined, unary
from sysmlc.ir.facts import ANY, Facts, number
from sysmlc.passes.estimate import KEEPS_ZERO

Shape = tuple[object, object] | None
"""What rows and columns are: equal things are equal sizes. None: a scalar."""
Pairs = Iterable[tuple[int, float]]


class Term(NamedTuple):
    """A function of classes. `data`: of `+` the factors and the constant, of `*` the exponents, else what else defines it."""

    op: str
    args: tuple[int, ...]
    data: tuple[Any, ...] = ()


REFINED: Final = "="
"""The operation of a term that is another class: a more exact one."""
REACH: Final = 3
"""How far laws look into what they are about."""


class UnknownShape(Exception):
    """Nobody knows what the shape of a new term would be."""


class Graph:
    """Classes are numbers; `find` gives the one that stands for all that were merged with it."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.terms: list[dict[Term, None]] = []
        self.users: list[dict[tuple[Term, int], None]] = []
        self.facts: list[Facts] = []
        self.share: list[float] = []
        self.shape: list[Shape] = []
        self.number: dict[int, float] = {}
        self.known: dict[tuple[Term, Shape], int] = {}
        self.merged: list[int] = []
        self.refined: dict[int, int] = {}
        """The classes that are less exact than others, and through how many users that was followed from them on."""
        self._tried: set[tuple[Term, int, int, int]] = set()
        """The terms that were made again of a more exact operand, as `_refine_user` was asked."""
        self.limit = 0
        """When there are more classes, nothing new is looked for."""
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

    def leaf(self, key: object, shape: Shape, facts: Facts = ANY, share: float = 1.0) -> int:
        """Something that is not looked into."""
        made = self.add(Term("leaf", (), (key,)), shape)
        self.facts[made], self.share[made] = facts, share
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
        made = self.canonical(term, shape)
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
        args = [self.find(a) for a in made.args]
        self.facts.append(_facts(made, [self.facts[a] for a in args]))
        self.share.append(_share(made, [self.share[a] for a in args]))
        self.known[made, shape] = found
        for arg in made.args:
            self.users[arg][made, found] = None
        self.touched.add(found)
        if made.op != REFINED:
            for arg in made.args:
                for better in self._refinements(arg):
                    self._refine_user(made, found, arg, better)
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
        self.share[a] = min(self.share[a], self.share[b])
        if b in self.number:
            self.number[a] = self.number[b]
        if b in self.refined:
            self.refined[a] = max(self.refined[b], self.refined.get(a, 0))
        self.merged.append(a)
        self.touched.add(a)

    def refine(self, a: int, better: int, reach: int = REACH) -> None:
        """What `a` stands for may be computed as `better`, and so may it in what is made of it, as far as laws look."""
        a, better = self.find(a), self.find(better)
        if a == better or self.shape[a] != self.shape[better] or better in self._refinements(a):
            return
        term = Term(REFINED, (better,))
        self.terms[a][term] = None
        self.users[better][term, a] = None
        self.refined[a] = max(reach, self.refined.get(a, 0))
        self.touched.add(a)
        for one, user in list(self.users[a]):
            self._refine_user(one, user, a, better)

    def _refinements(self, c: int) -> list[int]:
        c = self.find(c)
        return [self.find(t.args[0]) for t in self.terms[c] if t.op == REFINED] if c in self.refined else []

    def _refine_user(self, term: Term, user: int, arg: int, better: int) -> None:
        reach, asked = self.refined[self.find(arg)], (term, user, arg, better)
        if not reach or term.op == REFINED or asked in self._tried or len(self.parent) > self.limit:
            return
        self._tried.add(asked)
        args = tuple(better if self.find(a) == self.find(arg) else a for a in term.args)
        self.refine(user, self.add(Term(term.op, args, term.data), self.shape[self.find(user)]), reach - 1)

    def rebuild(self) -> None:
        """Merge what became equal because its operands did, and learn what follows from new facts."""
        while self.merged:
            for c in {self.find(c): None for c in self.merged.copy()}:
                self._rebuild(c)
                self.merged = [m for m in self.merged if self.find(m) != c]
        for c in sorted({self.find(c) for c in self.refined}):
            for better in self._refinements(c):
                for term, user in list(self.users[c]):
                    self._refine_user(term, user, c, better)
        self.touched = {self.find(c) for c in self.touched}

    def _rebuild(self, c: int) -> None:
        users, self.users[c] = self.users[c], {}
        for term, user in users:
            user = self.find(user)
            shape = self.shape[user]
            self.known.pop((term, shape), None)
            self.terms[user].pop(term, None)
            made = self.canonical(term, shape)
            if term.op == REFINED:  # others may be refined to the same
                if self.find(c) != user:
                    self.terms[user][Term(REFINED, (self.find(c),))] = None
                    self.users[self.find(c)][Term(REFINED, (self.find(c),)), user] = None
                continue
            if isinstance(made, int):
                self.union(made, user)
                continue
            other = self.known.setdefault((made, shape), user)
            self.union(other, user)
            user = self.find(user)
            self.terms[user][made] = None
            for arg in made.args:
                self.users[self.find(arg)][made, user] = None
            better = self.facts[user].meet(_facts(made, [self.facts[self.find(a)] for a in made.args]))
            if better != self.facts[user]:
                self.facts[user] = better
                self.merged.append(user)
                self.touched.add(user)

    # -- canonical terms --------------------------------------------------------------------------------------------

    def canonical(self, term: Term, shape: Shape) -> Term | int:
        """The term with sorted and merged operands, or the class that it is."""
        args = tuple([self.find(a) for a in term.args])
        if term.op == REFINED:
            return Term(REFINED, args)
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


def _facts(t: Term, args: list[Facts]) -> Facts:
    """What is known of a term, from what is known of its operands."""
    if t.op == "const":
        return number(t.data[0])
    if t.op == REFINED:
        return ANY
    if t.op == "+":
        parts = [f if c == 1 else binary("mul", f, number(c)) for c, f in zip(t.data, args, strict=False)]
        return reduce(partial(binary, "add"), [*parts, number(t.data[-1])] if t.data[-1] else parts)
    if t.op == "*":
        return reduce(partial(binary, "mul"), map(_power_facts, args, t.data))
    if t.op in ("min", "max"):
        return reduce(partial(binary, t.op), args)
    if t.op in ("min_of", "max_of"):
        return extreme_of(t.op, args[0], t.data[1])
    if t.op == "ifelse":
        return joined(*args[1:])
    if len(args) == 1 and not t.data:
        return unary(t.op, args[0])
    return binary(t.op, args[0], args[1]) if len(args) == 2 else ANY


def _power_facts(x: Facts, e: float) -> Facts:
    return x if e == 1 else binary("pow", x, number(e))


def _share(t: Term, args: list[float]) -> float:
    if t.op in ("min", "max") or (t.op == "+" and not t.data[-1]):
        return min(1.0, sum(args))
    if t.op == "*":
        return min([s for e, s in zip(t.data, args, strict=True) if e > 0], default=1.0)
    return args[0] if f"dml.{t.op}" in KEEPS_ZERO else 1.0
