"""The order of matrix products: `A %*% B %*% v` as `A %*% (B %*% v)`, by dynamic programming over the cost model.

A chain is a tree of products whose inner nodes nobody else uses; transposes of products are pushed down to the factors while
looking (`t(A %*% B)` counts as `t(B) %*% t(A)`). Where a sparse matrix tells which cells of the last product are needed, as in
`X * (A %*% B %*% C)`, `fuse-outer` computes only these, and they are what it costs. Where sizes are known by name only, the
order must be as good as the written one whatever they are: products with a vector come first. Where they decide, and no brackets
do, the program compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_fit import RequireFit
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix, compatible, meet, same_dim
from sysmlc.passes.chains.choice import alternative, build_choice, by_sizes
from sysmlc.passes.chains.plan import Factor, Plan, build, is_link, is_product, sketch_of
from sysmlc.passes.outer.needed import is_masked, needed
from sysmlc.passes.outer.worth import SAMPLED
from sysmlc.passes.sparsity import Expectations

_TYPICAL = 1000
"""What an unknown size is taken to be, where all that is known is that others are 1."""
_EXTREMES = (20, 100000)
"""Sizes that an order must be good for, whatever the unknown ones are."""
_LONGEST_NAMED = 6
_NEGLIGIBLE = 1e-5
"""Seconds that an order may lose where matrices turn out to be tiny."""
_LONGEST = 60
"""Longer chains keep their order: the search takes time cubic in the length."""


@register_pass
@dataclass(frozen=True)
class MatMulChain(Pass):
    """Order chains of matrix products by cost."""

    name = "matmul-chain"
    sampling: bool = True
    """Count on `fuse-outer`: of a product that is multiplied with a sparse matrix only some cells are computed."""

    def run(self, module: Module) -> None:
        expected = Expectations()
        for func in module.body:
            for region in func.regions:
                for op in list(region.walk()):
                    if is_product(op) and op.parent is not None and not is_link(op):
                        self._chain(op, expected)

    def _chain(self, root: Op, expected: Expectations) -> None:
        factors: list[Factor] = []
        links: list[Op] = []
        _collect(root, False, factors, links)
        if not 3 <= len(factors) <= _LONGEST:
            return
        dims = _dims(factors, root)
        if dims is None:
            return
        if not all(isinstance(d, int) for d in dims):
            self._named(root, factors, links, dims, expected)
            return
        sizes = [d for d in dims if isinstance(d, int)]
        share = needed(root.results[0], expected) if self.sampling else 1.0
        plan = Plan(
            sizes,
            [sketch_of(expected, v, turned, sizes[i : i + 2]) for i, (v, turned) in enumerate(factors)],
            share if share < SAMPLED else 1.0,
        )
        before, after = plan.cost_of(root, factors), plan.cost
        choice = (
            None
            if self.sampling and is_masked(root.results[0], expected)
            else alternative(plan, factors, expected)
        )
        if choice is None and not after.seconds < before.seconds * 0.99:
            return
        b = Builder.before(root)
        if choice is None:
            made = build(b, plan, factors, 0, len(factors) - 1)
        else:
            made = build_choice(b, plan, choice, factors, root.results[0].type)
            self.count("orders decided at run time")
        if self._replace(root, links, made):
            self.count("flops saved", int(before.flops - after.flops))

    def _replace(self, root: Op, links: list[Op], made: Value) -> bool:
        result = root.results[0]
        if not compatible(made.type, result.type):
            return False
        made.type = meet(made.type, result.type)
        root.replace_by([made])
        for op in links:
            if op.parent is not None and not op.results[0].uses:
                op.erase()
        self.count("chains reordered")
        return True

    def _named(
        self, root: Op, factors: list[Factor], links: list[Op], dims: list[Dim], expected: Expectations
    ) -> None:
        """Order a chain of which some sizes are known by name: as is best for typical ones, if that is never worse."""
        if len(factors) > _LONGEST_NAMED:
            return

        def planned(world: Mapping[Dim, int]) -> Plan:
            sizes = [d if isinstance(d, int) else world[d] for d in dims]
            return Plan(
                sizes, [sketch_of(expected, v, t, sizes[i : i + 2]) for i, (v, t) in enumerate(factors)]
            )

        names = list(dict.fromkeys(d for d in dims if not isinstance(d, int)))
        typical = planned(dict.fromkeys(names, _TYPICAL))
        worlds = [planned(dict(zip(names, w, strict=True))) for w in product(_EXTREMES, repeat=len(names))]
        gains = typical.cost.seconds < typical.cost_of(root, factors).seconds * 0.99
        last = len(factors) - 1
        if gains and all(
            w.under(typical, 0, last).seconds <= w.cost_of(root, factors).seconds * 1.02 + _NEGLIGIBLE
            for w in worlds
        ):
            self._replace(root, links, build(Builder.before(root), typical, factors, 0, last))
        elif last == 2 and _is_left_deep(root) and not is_masked(root.results[0], expected):
            plans = {w.split[0, 2]: w for w in worlds}
            if len(plans) == 2 and self._replace(
                root, links, by_sizes(Builder.before(root), plans, factors, root.results[0].type)
            ):
                self.count("orders decided at run time")


def _collect(op: Op, transposed: bool, factors: list[Factor], links: list[Op]) -> None:
    """The factors of a product in order, each with whether it is used transposed."""
    operands = op.operands[::-1] if transposed else op.operands
    for value in operands:
        inner, flipped, passed = value.op, transposed, [] if value.op is None else [value.op]
        if inner is not None and inner.name == "dml.t":
            source = inner.operands[0].op
            if source is not None and is_product(source) and is_link(source) and value.has_one_use():
                inner, flipped = source, not transposed
                passed.append(source)
        if inner is not None and is_product(inner) and inner.parent is op.parent and is_link(inner):
            links += passed
            _collect(inner, flipped, factors, links)
        elif inner is not None and inner.name == "dml.t":
            factors.append((inner.operands[0], not transposed))
            links.append(inner)
        else:
            factors.append((value, transposed))


def _dims(factors: list[Factor], root: Op) -> list[Dim] | None:
    """The dimensions between factors, the same name for what is known or has been checked to be equal; None: they might not fit."""
    pairs: list[tuple[Dim, Dim]] = []
    for value, transposed in factors:
        type = value.type
        assert isinstance(type, Matrix)
        pairs.append((type.cols, type.rows) if transposed else (type.rows, type.cols))
    dims: list[Dim] = [pairs[0][0]]
    checked: dict[Dim, Dim] | None = None
    for (_, left), (right, _) in pairwise(pairs):
        if not same_dim(left, right):
            checked = _checked(root) if checked is None else checked
            if left is None or right is None or checked.get(left, left) != checked.get(right, right):
                return None  # they fail in the order written
        dims.append(left)
    dims.append(pairs[-1][1])
    if None in dims:
        return None
    return [(checked or {}).get(d, d) for d in dims]


def _checked(op: Op) -> dict[Dim, Dim]:
    """One of the names, or the number, of sizes that are equal, as has been checked before an operation is reached."""
    found: dict[Dim, Dim] = {}
    at: Op | None = op
    while at is not None and at.parent is not None:
        for before in at.parent:
            if before is at:
                break
            for one, other, repeated in before.demands if isinstance(before, RequireFit) else ():
                if not repeated and one is not None and other is not None:
                    a, b = found.get(one, one), found.get(other, other)
                    a, b = (b, a) if isinstance(a, int) else (a, b)
                    found.update({d: b for d in (*found, one, other) if found.get(d, d) == a})
        at = at.parent_op
    return found


def _is_left_deep(root: Op) -> bool:
    """Whether a chain of three is written without brackets."""
    first = root.operands[0].op
    return first is not None and is_product(first)
