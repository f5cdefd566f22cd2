"""The best order to multiply the factors of a monomial and sum over its indexes.

Intermediates have at most two indexes, since they are matrices. Factors at the same indexes are multiplied cellwise first, an
index that only one factor has is summed at once, and connected subsets of what is left are joined by dynamic programming (for
a chain of products these are the intervals). Returns None where three indexes would be needed at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sysmlc.ir.dialects.dml_cell import PREDICATES
from sysmlc.ir.types import Dim
from sysmlc.passes.outer.worth import SAMPLED
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.nodes import Graph, Node
from sysmlc.passes.sum_product.polynomial import DELTA, NONE, Factor, Monomial

_MAX_SUBSETS: Final = 160


class Tensor(NamedTuple):
    """A node whose rows and columns run over these indexes (a vector has one, in either orientation)."""

    node: Node
    at: tuple[int, ...]


class _Best(NamedTuple):
    cost: float
    tensor: Tensor
    parts: float = 0.0
    """What the operands of the last join cost."""


class Contraction:
    """Contracts monomials to plans; remembers what it has found."""

    def __init__(self, graph: Graph, model: Model, budget: int = 20000) -> None:
        self.graph = graph
        self.model = model
        self.budget = budget
        """Joins that may still be tried; when it is spent, nothing is contracted any more."""
        self.known: dict[tuple[Monomial, float, Dim, Dim], Node | None] = {}
        self.contracted: dict[object, Tensor | None] = {}

    def plan(self, m: Monomial, coefficient: float, rows: Dim, cols: Dim) -> Node | None:
        """The plan for `coefficient` times a monomial; its shape covers the free indexes that occur in `m`."""
        key = (m, coefficient, rows, cols)
        if key not in self.known:
            self.known[key] = self._plan(m, coefficient, rows)
        return self.known[key]

    def _plan(self, m: Monomial, coefficient: float, rows: Dim) -> Node | None:
        g = self.graph
        diagonal = any(f.node == DELTA for f in m.factors)
        tensors: list[Tensor] = []
        over = g.const(1.0)
        under: Node | None = None
        for factor, times in _powers(m.factors):
            node = g.nodes[factor.node]
            if factor.node == DELTA:
                continue
            tensor = self._tensor(node, factor, times)
            if tensor.at:
                tensors.append(tensor)
            elif factor.inverse:
                under = tensor.node if under is None else g.cell("mul", under, tensor.node)
            else:
                over = g.cell("mul", over, tensor.node)
        used = {i for t in tensors for i in t.at}
        for i, dim in enumerate(m.bound, 2):
            if i not in used:
                over = g.cell("mul", over, g.size(dim))
        over = g.cell("mul", over, g.const(coefficient))
        if not tensors:
            made = over if under is None else g.cell("div", over, under)
            return g.diagonal_matrix(g.fill(made, rows, 1)) if diagonal else made
        free = {0} if diagonal else {0, 1}
        early = self._scaled_early(tensors, free, over, under)
        if early:
            over, under = g.const(1.0), None
        key = tuple(tensors), diagonal
        if key not in self.contracted:
            self.contracted[key] = self._contract(tensors, free)
        found = self.contracted[key]
        if found is None:
            return None
        made = self._oriented(found)
        if under is not None and over.constant == 1:
            made = g.cell("div", made, under)
        elif under is not None:
            made = g.cell("mul", made, g.cell("div", over, under))
        else:
            made = g.cell("mul", made, over)
        if diagonal:
            made = g.diagonal_matrix(made if made.covers(True) else g.fill(g.scalar(made), rows, 1))
        return made

    def _tensor(self, node: Node, factor: Factor, times: int) -> Tensor:
        g = self.graph
        index = tuple(i for i in (factor.row, factor.col) if i != NONE)
        if len(index) == 2 and index[0] == index[1]:
            node, index = g.diagonal(node), index[:1]
        if not index:
            node = g.scalar(node)
        if times > 1 and not _is_truth(node):
            powers = [4] * (times // 4) + ([times % 4] if times % 4 else [])
            made = [g.power(node, p) for p in powers]
            node = made[0]
            for other in made[1:]:
                node = g.cell("mul", node, other)
        if factor.inverse and index:
            node = g.cell("div", g.const(1.0), node)
        return Tensor(node, index)

    def _scaled_early(self, tensors: list[Tensor], free: set[int], over: Node, under: Node | None) -> bool:
        """Multiply the scalars into a factor that is much smaller than the result, in place."""
        if (over.constant == 1 and under is None) or len(tensors) == 1:
            return False
        size = 1.0
        for i in free & {i for t in tensors for i in t.at}:
            size *= self._extent(tensors, i)
        small = min(range(len(tensors)), key=lambda i: self.model.cells(tensors[i].node))
        if self.model.cells(tensors[small].node) * 4 > size:
            return False
        node = self.graph.cell("mul", tensors[small].node, over)
        if under is not None:
            node = self.graph.cell("div", node, under)
        tensors[small] = Tensor(node, tensors[small].at)
        return True

    def _extent(self, tensors: Iterable[Tensor], index: int) -> float:
        for node, at in tensors:
            if index in at:
                rows = (len(at) == 2 and at[0] == index) or (len(at) == 1 and node.rows != 1)
                return self.model.size(node.rows if rows else node.cols)
        return 1.0

    def _oriented(self, t: Tensor) -> Node:
        """With index 0 along rows and 1 along columns."""
        if t.at in ((0, 1), ()):
            return t.node
        if t.at == (0,):
            return self._column(t.node)
        return self._row(t.node) if t.at == (1,) else self.graph.t(t.node)

    # -- joining ----------------------------------------------------------------------------------------------------

    def _contract(self, tensors: list[Tensor], free: set[int]) -> Tensor | None:
        groups: dict[frozenset[int], Tensor] = {}
        order = sorted(tensors, key=lambda t: (self.model.density(t.node), t.node.kind == "div", t.node.id))
        for t in order:
            at = frozenset(t.at)
            groups[at] = t if at not in groups else self._cellwise(groups[at], t)
        parts = list(groups.values())
        while True:
            shared = _outside(parts)
            reduced = [self._reduced(t, free | {i for i in t.at if shared[i] > 1}) for t in parts]
            merged: dict[frozenset[int], Tensor] = {}
            for t in reduced:
                at = frozenset(t.at)
                merged[at] = t if at not in merged else self._cellwise(merged[at], t)
            parts = list(merged.values())
            if len(merged) == len(reduced) and all(a is b for a, b in zip(reduced, parts, strict=True)):
                break
        components: list[Tensor] = []
        for component in _components(parts):
            best = self._search(component, free)
            if best is None:
                return None
            components.append(best)
        made = components[0]
        for t in components[1:]:
            made = self._outer(made, t)
        return made

    def _search(self, parts: list[Tensor], free: set[int]) -> Tensor | None:
        """The cheapest way to join connected factors."""
        n = len(parts)
        if n == 1:
            return parts[0]
        masks = [sum(1 << i for i in t.at) for t in parts]
        keep = sum(1 << i for i in free)
        everything = (1 << n) - 1
        best: dict[int, _Best] = {1 << i: _Best(0.0, t) for i, t in enumerate(parts)}
        by_size: list[list[int]] = [[], [1 << i for i in range(n)]]
        covers = {1 << i: masks[i] for i in range(n)}
        rest: dict[int, int] = {}  # the indexes outside of a subset, and free ones
        for size in range(2, n + 1):
            level: dict[int, _Best] = {}
            for small in range(1, size // 2 + 1):
                for left in by_size[small]:
                    a, covered = best[left], covers[left]
                    for right in by_size[size - small]:
                        if left & right or not covered & covers[right]:
                            continue
                        both = left | right
                        b, known = best[right], level.get(both)
                        if known is not None and known.cost <= min(a.parts + b.cost, a.cost + b.parts):
                            continue
                        self.budget -= 1
                        if self.budget < 0:
                            return None
                        outside = rest.get(both)
                        if outside is None:
                            outside = keep
                            for i in range(n):
                                if not both >> i & 1:
                                    outside |= masks[i]
                            rest[both] = outside
                        made = self._join(a.tensor, b.tensor, outside)
                        if made is None:
                            continue
                        cost = self._joined(made.node, a, b)
                        if known is None or cost < known.cost:
                            level[both] = _Best(cost, made, a.cost + b.cost)
            for both, found in level.items():
                best[both] = found
                covers[both] = sum(1 << i for i in found.tensor.at)
            by_size.append(list(level))
            if len(best) > _MAX_SUBSETS and everything not in best:
                return self._greedy(parts, free)
        return best[everything].tensor if everything in best else None

    def _greedy(self, parts: list[Tensor], free: set[int]) -> Tensor | None:
        """Join the cheapest pair, again and again."""
        parts = list(parts)
        while len(parts) > 1:
            found: tuple[float, int, int, Tensor] | None = None
            for i, a in enumerate(parts):
                for j in range(i):
                    b = parts[j]
                    if not set(a.at) & set(b.at):
                        continue
                    rest = {k for n, t in enumerate(parts) if n not in (i, j) for k in t.at}
                    made = self._join(b, a, sum(1 << k for k in free | rest))
                    if made is not None:
                        cost = self._spent(made.node, a.node, b.node)
                        if found is None or cost < found[0]:
                            found = (cost, i, j, made)
            if found is None:
                return None
            _, i, j, made = found
            parts = [t for n, t in enumerate(parts) if n not in (i, j)] + [made]
        return parts[0]

    def _join(self, left: Tensor, right: Tensor, needed: int) -> Tensor | None:
        """The product of two tensors that share an index, summed over what nobody needs any more."""
        g = self.graph
        if len(left.at) < len(right.at):
            left, right = right, left
        if len(left.at) == len(right.at) and set(left.at) == set(right.at):
            made = self._cellwise(left, right)
            return self._reduced(made, {i for i in made.at if needed >> i & 1})
        (k,) = set(left.at) & set(right.at)
        (i,) = set(left.at) - {k}
        if len(right.at) == 1:
            if needed >> k & 1:
                along_rows = left.at[0] == k
                vector = self._column(right.node) if along_rows else self._row(right.node)
                made = Tensor(g.cell("mul", left.node, vector), left.at)
                return self._reduced(made, {i for i in made.at if needed >> i & 1})
            a = left.node if left.at[1] == k else g.t(left.node)
            return Tensor(g.product(a, self._column(right.node), ""), (i,))
        if needed >> k & 1:
            return None
        (j,) = set(right.at) - {k}
        a = left.node if left.at[1] == k else g.t(left.node)
        b = right.node if right.at[0] == k else g.t(right.node)
        return Tensor(g.product(a, b, ""), (i, j))

    def _cellwise(self, a: Tensor, b: Tensor) -> Tensor:
        g = self.graph
        if len(a.at) == 2:
            if a.at == b.at:
                return Tensor(g.cell("mul", a.node, b.node), a.at)
            if _turns_freely(a.node) or (
                a.node.kind == "leaf" and b.node.kind != "leaf" and not _turns_freely(b.node)
            ):
                return Tensor(g.cell("mul", g.t(a.node), b.node), b.at)
            return Tensor(g.cell("mul", a.node, g.t(b.node)), a.at)
        if not a.at:
            return Tensor(g.cell("mul", a.node, b.node), b.at)
        other = self._column(b.node) if a.node.cols == 1 else self._row(b.node)
        return Tensor(g.cell("mul", a.node, other), a.at)

    def _reduced(self, t: Tensor, needed: set[int]) -> Tensor:
        """Summed over the indexes that are not needed."""
        kept = tuple(i for i in t.at if i in needed)
        if len(kept) == len(t.at):
            return t
        if not kept:
            return Tensor(self.graph.aggregate("sum", "full", t.node), ())
        return Tensor(self.graph.aggregate("sum", "row" if kept[0] == t.at[0] else "col", t.node), kept)

    def _outer(self, a: Tensor, b: Tensor) -> Tensor:
        """The product of tensors that share no index."""
        g = self.graph
        if not a.at or not b.at:
            return Tensor(g.cell("mul", a.node, b.node), a.at or b.at)
        return Tensor(g.product(self._column(a.node), self._row(b.node), ""), (a.at[0], b.at[0]))

    def _joined(self, node: Node, a: _Best, b: _Best) -> float:
        """What a join costs with its operands. A product joined cell by cell with a sparse matrix is sampled, not formed."""
        for product, other in ((a, b), (b, a)):
            made = product.tensor.node
            share = self.model.density(other.tensor.node)
            if (
                share < SAMPLED
                and self.model.may_sample(made, share)
                and set(product.tensor.at) == set(other.tensor.at)
            ):
                return product.parts + other.cost + self.model.sample(made, share)
        return a.cost + b.cost + self._spent(node, a.tensor.node, b.tensor.node)

    def _spent(self, node: Node, *until: Node) -> float:
        """What a join costs beyond its operands."""
        model = self.model
        cost, stack = 0.0, [node]
        while stack:
            at = stack.pop()
            if at in until or not at.args:
                continue
            cost += model.base(at)
            for arg in at.parts:
                if arg not in until:
                    stack.append(arg)
                    if at.near and arg.cell:
                        cost -= model.saved(arg)
        return cost

    def _column(self, v: Node) -> Node:
        return v if v.cols == 1 and not v.scalar else self.graph.t(v)

    def _row(self, v: Node) -> Node:
        return v if v.rows == 1 and not v.scalar else self.graph.t(v)


def _is_truth(node: Node) -> bool:
    """Whether all cells are 0 or 1, so that powers change nothing."""
    op = None if node.value is None else node.value.op
    return op is not None and op.fn in PREDICATES


def _turns_freely(node: Node) -> bool:
    return node.kind in ("matmul", "tsmm", "t")


def _powers(factors: Iterable[Factor]) -> list[tuple[Factor, int]]:
    found: dict[Factor, int] = {}
    for f in factors:
        found[f] = found.get(f, 0) + 1
    return list(found.items())


def _outside(parts: Iterable[Tensor]) -> dict[int, int]:
    """How many factors have each index."""
    found: dict[int, int] = {}
    for t in parts:
        for i in t.at:
            found[i] = found.get(i, 0) + 1
    return found


def _components(parts: list[Tensor]) -> list[list[Tensor]]:
    """The groups of factors connected by indexes, those that are scalars last."""
    groups: list[tuple[set[int], list[Tensor]]] = []
    for t in parts:
        touching = [g for g in groups if g[0] & set(t.at)]
        index, members = set(t.at), [t]
        for g in touching:
            index |= g[0]
            members = g[1] + members
            groups.remove(g)
        groups.append((index, members))
    groups.sort(key=lambda g: not g[0])
    return [members for _, members in groups]
