"""Plans for sums of monomials: added up as they are, or with common factors taken out.

`A %*% B + A %*% C` has the factor A at (0, k): what is left, `B + C`, is a sum with the free indexes (k, 1), planned in the same
way, and joined with A by contraction. The expanded sum and every factored one are compared by cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from sysmlc.ir.types import Dim
from sysmlc.passes.sum_product.contraction import Contraction
from sysmlc.passes.sum_product.nodes import Graph, Node
from sysmlc.passes.sum_product.polynomial import (
    DELTA,
    NONE,
    Factor,
    Monomial,
    canonical,
    shared_factors,
)

_MAX_FACTORED: Final = 10
"""Sums of more terms are not factored."""
_CHOICES: Final = 2
"""How many common factors are tried at each step."""

Terms = Mapping[Monomial, float]


class _Signed(NamedTuple):
    sign: int
    node: Node


class _Quotient(NamedTuple):
    """What is left of some terms when a factor is taken out: a sum over the indexes `index` of the original."""

    terms: dict[Monomial, float]
    members: frozenset[Monomial]
    factor: Factor
    at: tuple[int, int]
    dims: tuple[Dim, Dim]
    summed: dict[int, Dim]


class Sums:
    """Plans sums; remembers what it has found."""

    def __init__(self, contraction: Contraction) -> None:
        self.contraction = contraction
        self.graph: Graph = contraction.graph
        self.model = contraction.model
        self.known: dict[object, list[Node]] = {}

    def plans(self, terms: Terms, rows: Dim, cols: Dim, scalar: bool) -> list[Node]:
        """The expanded plan (if there is one) and the cheapest factored one."""
        return self._plans(terms, rows, cols, scalar, 2)

    def _best(self, terms: Terms, rows: Dim, cols: Dim, depth: int) -> Node | None:
        found = self._plans(terms, rows, cols, rows == 1 and cols == 1, depth)
        return min(found, key=lambda n: (self.model.alone(n), n.id)) if found else None

    def _plans(self, terms: Terms, rows: Dim, cols: Dim, scalar: bool, depth: int) -> list[Node]:
        key = (frozenset(terms.items()), rows, cols, scalar, depth)
        found = self.known.get(key)
        if found is None:
            expanded = self._expanded(terms, rows, cols, scalar)
            found = [] if expanded is None else [expanded]
            if 2 <= len(terms) <= _MAX_FACTORED and depth > 0:
                found += self._factored(terms, rows, cols, scalar, depth)
            self.known[key] = found
        return found

    def _expanded(self, terms: Terms, rows: Dim, cols: Dim, scalar: bool) -> Node | None:
        sizes = {abs(c) for c in terms.values()}
        common = sizes.pop() if len(sizes) == 1 and len(terms) > 1 else 1.0
        parts: list[_Signed] = []
        for m, c in sorted(terms.items(), key=lambda t: (len(t[0].factors), t[0].factors)):
            made = self.contraction.plan(m, abs(c) / common, rows, cols)
            if made is None:
                return None
            parts.append(_Signed(1 if c > 0 else -1, made))
        return self.graph.cell("mul", self.added(parts, rows, cols, scalar), self.graph.const(common))

    # -- factors ----------------------------------------------------------------------------------------------------

    def _factored(self, terms: Terms, rows: Dim, cols: Dim, scalar: bool, depth: int) -> list[Node]:
        common = [(n, k) for k, n in shared_factors(terms).items() if n > 1]
        cells = {k: self.model.cells(self.graph.nodes[k[0]]) for _, k in common}
        common.sort(key=lambda c: (-c[0], -cells[c[1]], c[1]))
        best: tuple[float, Node] | None = None
        for _, (node, inverse) in common[:_CHOICES]:
            for quotient in _quotients(terms, node, inverse, rows, cols):
                made = self._joined(terms, quotient, rows, cols, scalar, depth)
                if made is not None:
                    cost = self.model.alone(made)
                    if best is None or cost < best[0]:
                        best = (cost, made)
        return [best[1]] if best else []

    def _joined(
        self, terms: Terms, q: _Quotient, rows: Dim, cols: Dim, scalar: bool, depth: int
    ) -> Node | None:
        inner = self._best(q.terms, *q.dims, depth - 1)
        if inner is None:
            return None
        at = [
            i if d != 1 and inner.covers(k == 0) else NONE
            for k, (i, d) in enumerate(zip(q.at, q.dims, strict=True))
        ]
        _, product = canonical([q.factor, Factor(inner.id, at[0], at[1])], q.summed)
        made = self.contraction.plan(product, 1.0, rows, cols)
        if made is None:
            return None
        rest = {m: c for m, c in terms.items() if m not in q.members}
        if not rest:
            return self.added([_Signed(1, made)], rows, cols, scalar)
        for other in self._plans(rest, rows, cols, scalar, depth - 1)[-1:]:
            return self._plus(other, made, rows, cols, scalar)
        return None

    def _plus(self, a: Node, b: Node, rows: Dim, cols: Dim, scalar: bool) -> Node:
        parts = []
        for n in (b, a):
            parts.append(_Signed(-1, n.args[0]) if n.kind == "neg" else _Signed(1, n))
        return self.added(parts, rows, cols, scalar)

    # -- addition -----------------------------------------------------------------------------------------------------

    def added(self, parts: Iterable[_Signed], rows: Dim, cols: Dim, scalar: bool) -> Node:
        """A sum; parts that vary along fewer dimensions than the result are broadcast."""
        g = self.graph
        classes: dict[tuple[bool, bool], list[_Signed]] = {}
        for part in parts:
            node = part.node
            if not node.scalar and node.rows == 1 and node.cols == 1:
                part = _Signed(part.sign, g.scalar(node))
            classes.setdefault((node.covers(True), node.covers(False)), []).append(part)
        sums = {k: self._folded(v) for k, v in classes.items()}
        full, nothing = (rows != 1, cols != 1), (False, False)
        if full == nothing:
            total = self._signed(sums[nothing]) if nothing in sums else g.const(0.0)
            return total if scalar else g.fill(total, 1, 1)
        constant = sums.pop(nothing, None)
        if constant is not None:
            if not sums:
                return g.fill(self._signed(constant), rows, cols)
            smallest = min(sums, key=sum)
            sums[smallest] = self._both(sums[smallest], constant)
        if full in sums:
            made = sums.pop(full)
            for vector in sums.values():
                made = self._both(made, vector)
            return self._signed(made)
        column, row = sums.get((True, False)), sums.get((False, True))
        if column and row:
            op = "add" if column.sign == row.sign else "sub"
            return self._signed(
                _Signed(column.sign, g.make("outer", (column.node, row.node), op, rows, cols, False))
            )
        if column:
            return g.product(self._signed(column), g.fill(g.const(1.0), 1, cols), "")
        if row:
            return g.product(g.fill(g.const(1.0), rows, 1), self._signed(row), "")
        return g.fill(g.const(0.0), rows, cols)

    def _folded(self, parts: list[_Signed]) -> _Signed:
        parts = sorted(parts, key=lambda p: -p.sign)
        total = parts[0]
        for part in parts[1:]:
            total = self._both(total, part)
        return total

    def _both(self, a: _Signed, b: _Signed) -> _Signed:
        g = self.graph
        if a.sign == b.sign:
            return _Signed(a.sign, g.cell("add", a.node, b.node))
        if a.sign < 0 and (b.node.scalar or (a.node.rows, a.node.cols) == (b.node.rows, b.node.cols)):
            return _Signed(1, g.cell("sub", b.node, a.node))
        return _Signed(a.sign, g.cell("sub", a.node, b.node))

    def _signed(self, part: _Signed) -> Node:
        return part.node if part.sign > 0 else self.graph.neg(part.node)


def _quotients(terms: Terms, node: int, inverse: bool, rows: Dim, cols: Dim) -> list[_Quotient]:
    """What is left when a node is taken out of all terms where it stands at the same kind of place."""
    groups: dict[tuple[int, int], list[tuple[Monomial, float, int]]] = {}
    for m, c in terms.items():
        seen = set()
        for i, f in enumerate(m.factors):
            if f.node == node and f.inverse == inverse:
                place = _place(f)
                if place not in seen:
                    seen.add(place)
                    groups.setdefault(place, []).append((m, c, i))
    found = []
    for place, members in groups.items():
        if len(members) > 1 and not any(f.node == DELTA for m, _, _ in members for f in m.factors):
            made = _quotient(members, place, rows, cols)
            if made is not None:
                found.append(made)
    return found


def _place(f: Factor) -> tuple[int, int]:
    """The indexes of a factor, with summed ones as 2 and 3."""
    row = 2 if f.row >= 2 else f.row
    return row, (f.col if f.col < 2 else row if f.col == f.row else 3)


def _quotient(
    members: list[tuple[Monomial, float, int]], place: tuple[int, int], rows: Dim, cols: Dim
) -> _Quotient | None:
    if place[0] == place[1] and place[0] != NONE:
        return None
    dims: dict[int, Dim] = {0: rows, 1: cols}
    rest: list[tuple[list[Factor], dict[int, Dim], float]] = []
    used: set[int] = set()
    for m, c, at in members:
        f = m.factors[at]
        names = {i: p for i, p in zip((f.row, f.col), place, strict=True) if i >= 2}
        for i, p in names.items():
            dims[p] = m.bound[i - 2]
        inner = {i + 10: d for i, d in enumerate(m.bound, 2) if i not in names}
        factors = []
        for k, other in enumerate(m.factors):
            if k != at:
                r, s = (names.get(i, i if i < 2 else i + 10) for i in (other.row, other.col))
                factors.append(Factor(other.node, r, s, other.inverse))
                used.update(i for i in (r, s) if 0 <= i < 10)
        rest.append((factors, inner, c))
    free = sorted(used, key=lambda i: 9 if i == 1 else i)  # 1 is the column of the result
    if len(free) > 2:
        return None
    index = [*free, NONE, NONE][:2]
    if len(free) == 1 and free[0] == 1:
        index = [NONE, 1]
    terms: dict[Monomial, float] = {}
    for factors, inner, c in rest:
        renaming = {i: k for k, i in enumerate(index) if i != NONE}
        moved = [
            Factor(f.node, renaming.get(f.row, f.row), renaming.get(f.col, f.col), f.inverse) for f in factors
        ]
        scale, monomial = canonical(moved, inner)
        terms[monomial] = terms.get(monomial, 0.0) + scale * c
    kept = {m: c for m, c in terms.items() if c}
    first = members[0][0].factors[members[0][2]]
    summed: dict[int, Dim] = {p: dims[p] for p in (2, 3) if p in place}
    shape = tuple(dims[i] if i != NONE else 1 for i in index)
    return _Quotient(
        kept,
        frozenset(m for m, _, _ in members),
        Factor(first.node, place[0], place[1], first.inverse),
        (index[0], index[1]),
        (shape[0], shape[1]),
        summed,
    )
