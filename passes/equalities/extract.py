"""The cheapest terms of an e-graph, and operations for them.

What a class costs is paid once, however many use it. A term of many operands is computed from what is small to what is large:
scalars first, then vectors, then matrices. Costs are those that fusion counts with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sysmlc.passes.equalities.graph import REFINED, Graph, Shape, Term
from sysmlc.passes.fusion.cost import (
    BYTES_PER_SECOND,
    FLOPS,
    FLOPS_PER_SECOND,
    LAUNCH_SECONDS,
    UNKNOWN_DIM,
)
from sysmlc.passes.sum_product.cost import FUSED

Choice = dict[int, Term]
_STEPS: Final = 400
"""How many other choices are tried."""


def layers(graph: Graph, args: Iterable[tuple[int, float]], whole: Shape) -> list[list[tuple[int, float]]]:
    """The operands of a sum or product by their shapes, small ones first.

    Those of the result's shape are last, also where sizes are not known: the others are broadcast to them.
    """
    found: dict[Shape, list[tuple[int, float]]] = {}
    for a, c in args:
        found.setdefault(graph.shape[graph.find(a)], []).append((graph.find(a), c))
    return [found[s] for s in sorted(found, key=lambda s: (s == whole, _cells(s)))]


def _cells(shape: Shape) -> float:
    if shape is None:
        return 0.0
    rows, cols = (d if isinstance(d, int) else UNKNOWN_DIM for d in shape)
    return float(rows * cols)


class Option(NamedTuple):
    """A term of a class: what it costs beyond its operands, and these, each once."""

    cost: float
    args: tuple[int, ...]
    term: Term


class Extraction:
    """Chooses a term for each class that is needed."""

    def __init__(self, graph: Graph, roots: Iterable[int]) -> None:
        self.graph = graph
        self.roots = list(dict.fromkeys(map(graph.find, roots)))
        self.options: dict[int, list[Option]] = {}
        stack = list(self.roots)
        while stack:
            c = stack.pop()
            if c not in self.options:
                found = self.options[c] = [self._option(c, t) for t in graph.terms[c]]
                stack += [a for option in found for a in option.args if a not in self.options]

    def _option(self, c: int, term: Term) -> Option:
        return Option(self._own(c, term), tuple(dict.fromkeys(map(self.graph.find, term.args))), term)

    def _own(self, c: int, term: Term) -> float:
        """Seconds for one term beyond its operands."""
        g, op = self.graph, term.op
        shape = g.shape[c]
        if not term.args or op == REFINED:
            return 0.0
        if op == "+":
            extra = bool(term.data[-1]) or all(x < 0 for x in term.data[:-1])
            return self._nary(shape, term, [x not in (1, -1) for x in term.data[:-1]], extra)
        if op == "*":
            division = FLOPS["div"] if min(term.data) < 0 else 0
            work = [_power_flops(abs(e)) for e in term.data]
            return self._nary(shape, term, work, division and max(term.data) < 0, division)
        if op in ("max_of", "min_of", "prod", "sum"):
            shape = g.shape[g.find(term.args[0])]
            return self.seconds(shape, 1, 1.0, 1)
        return self.seconds(shape, FLOPS.get(op, 1), g.share[c], max(1, len(term.args) - 1))

    def _nary(self, shape: Shape, term: Term, work: Sequence[float], extra: float, flops: float = 0) -> float:
        """A sum or product: `work` on each operand, one step `extra`, and `flops` where all comes together."""
        g = self.graph
        groups = layers(g, zip(term.args, work, strict=True), shape)
        vectors = [g.shape[group[0][0]] is not None for group in groups]
        found = 0.0
        for i, group in enumerate(groups):
            last = i == len(groups) - 1
            steps = sum(w > 0 for _, w in group) + len(group) - 1 + (i == 0 and extra > 0)
            steps += sum(vectors[:-1]) if last and sum(vectors) > 1 else 0
            steps += vectors[i] and sum(vectors[:i]) == 0 and not vectors[0]
            share = min(1.0, sum(g.share[a] for a, _ in group))
            each = steps + sum(max(0.0, w - 1) for _, w in group) + (flops if last else 0)
            found += self.seconds(g.shape[group[0][0]], each, share, steps)
        return found

    def seconds(self, shape: Shape, flops: float, share: float, steps: int) -> float:
        """Seconds for so many operations on every cell."""
        if shape is None:
            return 2e-9 * steps + flops / FLOPS_PER_SECOND
        cells = _cells(shape) * share
        moved = 8 * FUSED * cells * steps / BYTES_PER_SECOND
        return cells * flops / FLOPS_PER_SECOND + moved + LAUNCH_SECONDS * FUSED * steps

    # -- choosing -----------------------------------------------------------------------------------------------------

    def best(self) -> tuple[float, Choice]:
        """The cheapest choice that was found, and its cost."""
        chosen = self._trees()
        cost, order = self.total(chosen)
        steps = _STEPS
        again = True
        while again and steps > 0:
            again = False
            for c in order:
                for option in self.options[c] if c in chosen else ():
                    if option is chosen[c] or option.cost >= cost or steps <= 0:
                        continue
                    steps -= 1
                    kept, chosen[c] = chosen[c], option
                    found, needed = self.total(chosen)
                    if found < cost * (1 - 1e-9):
                        cost, order, again = found, needed, True
                    else:
                        chosen[c] = kept
        return cost, {c: option.term for c, option in chosen.items()}

    def _trees(self) -> dict[int, Option]:
        """For each class the term that is cheapest if nothing is shared."""
        cost: dict[int, float] = dict.fromkeys(self.options, math.inf)
        chosen: dict[int, Option] = {}
        changed = True
        while changed:
            changed = False
            for c, options in reversed(self.options.items()):
                for option in options:
                    found = option.cost + 1e-12
                    for a in option.args:
                        found += cost[a]
                    if found < cost[c]:
                        cost[c], chosen[c], changed = found, option, True
        return chosen

    def total(self, chosen: Mapping[int, Option]) -> tuple[float, list[int]]:
        """Seconds for all roots, and the classes that are needed; infinite when one needs itself."""
        done: dict[int, bool] = {}
        order: list[int] = []

        def visit(c: int) -> bool:
            done[c] = False  # being visited
            for a in chosen[c].args:
                state = done.get(a)
                if not (visit(a) if state is None else state):
                    return False
            done[c] = True
            order.append(c)
            return True

        for root in self.roots:
            if root not in done and not visit(root):
                return math.inf, order
        return sum([chosen[c].cost for c in order]), order


def _power_flops(e: float) -> int:
    return {1.0: 0, 2.0: 1, 3.0: 2, 4.0: 2, 0.5: FLOPS["sqrt"]}.get(e, FLOPS["pow"])
