"""Chooses a plan for every result of an island.

Each expression has candidates: as it is written (over the best plans of its operands), with products reordered but sums left
whole, multiplied out, and with common factors taken out. One set of candidates is chosen for all results together, so that
what they share is paid once. Sums are not multiplied out lightly:

* `strict_fp` takes sums as they are written: it regroups products only, and aggregates of products.
* Otherwise a distribution must save `_LINEAR` of the time, and where it would subtract sums instead of cells, `_SIGNED` times.
* A product of sums, such as a squared difference, loses digits when the result is small against its terms: its error is
  relative to the sum of the terms' absolute values. It is multiplied out only where that is `_SQUARED` times cheaper, which
  means that a dense product far larger than the non-zeros is avoided; a sum of squares then stays at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sysmlc.passes.estimate import density
from sysmlc.passes.sum_product import polynomial as p
from sysmlc.passes.sum_product.contraction import Contraction
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.factor import Sums
from sysmlc.passes.sum_product.nodes import Graph, Node
from sysmlc.passes.sum_product.polynomial import Polynomial, TooBig

_GAIN: Final = 0.99
"""A rewrite must cost less than this share of the original."""
_NEGLIGIBLE: Final = 1e-5
"""Seconds that a plan may lose where matrices turn out to be tiny."""
_LINEAR: Final = 1.1
_SIGNED: Final = 2.0
_SQUARED: Final = 10.0
_PLACES: Final = ("mul", "div", "matmul", "tsmm", "sum", "sumsq", "trace", "diag", "pow", "add", "sub", "neg", "t", "fill",
                  "as_scalar", "as_matrix", "mean")  # fmt: skip


class Planner:
    """Finds candidate plans for the nodes of an island."""

    def __init__(self, graph: Graph, model: Model, strict: bool, finite: bool = False) -> None:
        self.graph = graph
        self.model = model
        self.strict = strict
        self.finite = finite
        """Whether cells may be taken to be finite: then `X - X` is zero."""
        self.sums = Sums(Contraction(graph, model))
        self._best: dict[Node, Node] = {}
        self._candidates: dict[Node, list[Node]] = {}
        self._forms: dict[tuple[Node, bool], Polynomial] = {}

    # -- canonical forms ----------------------------------------------------------------------------------------------

    def form(self, node: Node, distribute: bool) -> Polynomial:
        """The canonical form of a node; without `distribute`, sums inside products are atoms."""
        key = (node, distribute)
        found = self._forms.get(key)
        if found is None:
            try:
                found = self._form(node, distribute)
                if found.vanished and not self.finite:
                    found = self._atom(node)
            except TooBig:
                found = self._atom(node)
            self._forms[key] = found
        return found

    def _atom(self, node: Node, inverse: bool = False) -> Polynomial:
        return p.atom(node.id, node.rows, node.cols, node.scalar, inverse)

    def _part(self, node: Node, distribute: bool) -> Polynomial:
        """An operand of something that changes no cells, such as a transpose."""
        if self.strict and node.kind in ("add", "sub"):
            return self._atom(self.best(node))
        return self.form(node, distribute)

    def _operand(self, node: Node, distribute: bool) -> Polynomial:
        """An operand of something that distributes over sums."""
        found = self._part(node, distribute)
        if (not distribute and len(found.terms) > 1) or (found.squared and node.scalar):
            return self._atom(self.best(node))
        return found

    def _form(self, node: Node, distribute: bool) -> Polynomial:
        kind, args = node.kind, node.args
        rows, cols, scalar = node.rows, node.cols, node.scalar
        if kind == "const":
            return p.number(node.constant or 0.0)
        if kind not in _PLACES:
            empty = kind == "leaf" and not scalar and node.value is not None and density(node.value.type) == 0
            return p.number(0.0, rows, cols, False) if empty else self._atom(node)
        if kind in ("add", "sub"):
            if self.strict:
                return self._atom(node)
            a, b = (self.form(x, distribute) for x in args)
            if any(f.squared and x.scalar for f, x in zip((a, b), args, strict=True)):
                a, b = (self._operand(x, distribute) for x in args)
            return p.add(a.shaped(rows, cols, scalar), b, 1.0 if kind == "add" else -1.0)
        if kind == "neg":
            return self._part(args[0], distribute).scaled(-1.0)
        if kind == "t":
            return p.transpose(self._part(args[0], distribute))
        if kind in ("as_scalar", "as_matrix", "fill"):
            return self._part(args[0], distribute).shaped(rows, cols, scalar)
        a = self._operand(args[0], distribute)
        if kind == "mul":
            b = self._operand(args[1], distribute)
            return p.multiply(a, b, rows, cols, scalar)
        if kind == "div":
            return self._divided(a, args[1], distribute, node)
        if kind == "pow":
            made = a
            for _ in range(int(args[1].constant or 0) - 1):
                made = p.multiply(made, a, rows, cols, scalar)
            return made
        if kind in ("matmul", "tsmm"):
            left = kind == "tsmm" or "l" in str(node.attr)
            b = a if kind == "tsmm" else self._operand(args[1], distribute)
            a = p.transpose(a) if left else a
            b = p.transpose(b) if "r" in str(node.attr) and kind == "matmul" else b
            return p.multiply(a, b, rows, cols, False, contract=a.cols)
        if kind == "trace":
            return p.trace(a)
        if kind == "diag":
            if rows == 1 and cols == 1:
                return a
            return p.diagonal_matrix(a) if cols != 1 else p.diagonal(a)
        if kind == "sumsq":
            a = p.multiply(a, a, a.rows, a.cols, False)
        if kind == "mean":
            over = [d for d, gone in ((a.rows, node.attr != "row"), (a.cols, node.attr != "col")) if gone]
            if not all(isinstance(d, int) and d > 0 for d in over):
                return self._atom(node)
            for d in over:
                assert isinstance(d, int)
                a = a.scaled(1.0 / d)
        return p.sums(a, str(node.attr), scalar)

    def _divided(self, a: Polynomial, divisor: Node, distribute: bool, node: Node) -> Polynomial:
        form = self._part(divisor, distribute)
        if form.constant == 0:
            return self._atom(node)
        inverse = p.inverse(form)
        if inverse is not None:
            return p.multiply(a, inverse, node.rows, node.cols, node.scalar)
        below = self.best(divisor)
        return p.multiply(a, self._atom(below, inverse=True), node.rows, node.cols, node.scalar)

    # -- candidates ----------------------------------------------------------------------------------------------------

    def best(self, node: Node) -> Node:
        """The cheapest plan for a node by itself."""
        found = self._best.get(node)
        if found is None:
            self._best[node] = node  # while its parts are planned
            found = min(self.candidates(node), key=lambda n: (self.model.alone(n), n is not node, n.id))
            self._best[node] = found
        return found

    def candidates(self, node: Node) -> list[Node]:
        """Plans for a node, the written one first."""
        found = self._candidates.get(node)
        if found is None:
            self._candidates[node] = [node]
            found = self._candidates[node] = self._find(node) if node.kind in _PLACES else [node]
        return found

    def _find(self, node: Node) -> list[Node]:
        shallow = self.form(node, False)
        plans = self.sums.plans(shallow.terms, node.rows, node.cols, node.scalar)
        found = [node, *plans]
        if not plans or self.strict or any(self._has_sums(a) for a in node.args):
            # Else the operands are products, and contraction has found the best of all their orders.
            found.append(self._over(node, tuple(self.best(a) for a in node.args)))
        if not self.strict:
            full = self.form(node, True)
            if _may_gain(shallow, full):
                safe = min(self.model.alone(n) for n in found)
                margin = self._margin(full)
                hopeful = self.model.least(node, self._read(full)) * margin <= safe
                for plan in self.sums.plans(full.terms, node.rows, node.cols, node.scalar) if hopeful else ():
                    if self.model.alone(plan) * margin <= safe:
                        found.append(self._clamped(node, plan) if full.squared else plan)
        return list(dict.fromkeys(found))

    def _read(self, form: Polynomial) -> list[Node]:
        """The leaves that every plan for a form reads as a whole; of some only the diagonal is."""
        factors = {f.node for m in form.terms for f in m.factors if f.row != f.col and f.node != p.DELTA}
        return [n for n in map(self.graph.nodes.__getitem__, sorted(factors)) if n.kind == "leaf"]

    def _has_sums(self, node: Node) -> bool:
        shallow = self.form(node, False)
        return len(shallow.terms) > 1 or self.form(node, True).terms != shallow.terms

    def margin(self, node: Node) -> float:
        """How many times cheaper a plan must be that multiplies out the sums of a node."""
        return 1.0 if self.strict else self._margin(self.form(node, True))

    def _margin(self, full: Polynomial) -> float:
        if full.squared:
            return _SQUARED
        signs = {c > 0 for c in full.terms.values()}
        return _SIGNED if len(signs) == 2 and any(m.bound for m in full.terms) else _LINEAR

    def _over(self, node: Node, args: tuple[Node, ...]) -> Node:
        """The node over other operands."""
        if args == node.args:
            return node
        if node.kind == "matmul":
            return self.graph.product(args[0], args[1], str(node.attr))
        if node.kind == "t":
            return self.graph.t(args[0])
        if node.kind == "sum":
            made = self.graph.aggregate("sum", str(node.attr), args[0])
            return made if made.scalar == node.scalar else node
        return self.graph.make(node.kind, args, node.attr, node.rows, node.cols, node.scalar)

    def _clamped(self, node: Node, plan: Node) -> Node:
        """Keep what was a sum of squares from becoming negative."""
        inner = node.args[0]
        squares = node.kind == "sumsq" or (
            node.kind == "sum" and inner.kind == "pow" and inner.args[1].constant in (2.0, 4.0)
        )
        if squares and node.scalar:
            return self.graph.make("max", (plan, self.graph.const(0.0)), None, 1, 1, True)
        return plan


def _may_gain(shallow: Polynomial, full: Polynomial) -> bool:
    """Whether the terms that are multiplied out are worth a look: without sums over them, there must be less of them."""
    if full.terms is shallow.terms or full.terms == shallow.terms:
        return False
    return any(m.bound for m in full.terms) or _factors(full) <= _factors(shallow)


def _factors(form: Polynomial) -> int:
    return sum(len(m.factors) for m in form.terms)


def choose(planner: Planner, roots: list[Node]) -> dict[Node, Node]:
    """A plan for each root, cheapest together; those that do not gain stay as they are."""
    model = planner.model
    total = model.total
    distinct = list(dict.fromkeys(roots))
    options = {r: planner.candidates(r) for r in distinct}
    written = {r: r for r in distinct}
    greedy = _descend(model, {r: planner.best(r) for r in distinct}, options)
    chosen = greedy if total(greedy.values()) < total(written.values()) * _GAIN else written
    if chosen is written:
        chosen = _descend(model, dict(written), options)
    # What changed without being worth it goes back.
    for r in distinct:
        if chosen[r] is not r:
            back = {**chosen, r: r}
            if (
                total(chosen.values()) > total(back.values()) * _GAIN
                and model.alone(chosen[r]) > model.alone(r) * _GAIN
            ):
                chosen = back
    return _robust(chosen, planner.graph, model)


def _descend(model: Model, chosen: dict[Node, Node], options: Mapping[Node, list[Node]]) -> dict[Node, Node]:
    best = model.total(chosen.values())
    for _ in range(3):
        changed = False
        for root, plans in options.items():
            for plan in plans:
                if plan is chosen[root]:
                    continue
                attempt = {**chosen, root: plan}
                cost = model.total(attempt.values())
                if cost < best * (1 - 1e-9):
                    chosen, best, changed = attempt, cost, True
        if not changed:
            break
    return chosen


def _robust(chosen: dict[Node, Node], graph: Graph, model: Model) -> dict[Node, Node]:
    """Keep only what is no worse whatever the named sizes are: small, large, or one of them different."""
    names = list(graph.sizes)
    if not names or all(r is c for r, c in chosen.items()):
        return chosen
    worlds = [dict.fromkeys(names, s) for s in (20.0, 100000.0)]
    worlds += [{n: s} for n in names[:6] for s in (20.0, 100000.0)]
    models = [Model(w, model.expected, model.samples) for w in worlds]

    def worse(pairs: Mapping[Node, Node]) -> bool:
        return any(m.total(pairs.values()) > m.total(pairs.keys()) * 1.02 + _NEGLIGIBLE for m in models)

    kept = {r: r if c is not r and worse({r: c}) else c for r, c in chosen.items()}
    return {r: r for r in kept} if worse(kept) else kept
