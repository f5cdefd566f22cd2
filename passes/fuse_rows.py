"""Fuse operations that scan the rows of one matrix into `fused.row`: one scan instead of several.

    t(X) %*% (w * (X %*% v))        exp(X - rowMaxs(X)) / rowSums(…)        t(X) %*% (P - Y) with P = softmax(X %*% B)

Groups are grown from each matrix (`passes/rows/grow.py`) and taken when they save scans, the largest first. Whether to
fuse depends on structure; sizes that are not known are checked at run time, so that a program gives the same results whether
its sizes are known when it is compiled or not.
"""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Builder, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.passes.fuse_cells import reorder
from sysmlc.passes.rows.build import build
from sysmlc.passes.rows.candidates import starts
from sysmlc.passes.rows.grow import RowGroup
from sysmlc.passes.rows.order import Order
from sysmlc.passes.rows.worth import MAX_MEMBERS, is_worth_it
from sysmlc.passes.rows.zeros import group_of
from sysmlc.passes.sparsity import Expectations

_UNKNOWN, _NOTHING = (1 << 30, 0), (0, 0)
"""Sizes of a group that was not grown yet, and of one that is not worth it."""


@dataclass(frozen=True)
class _Failed:
    """Groups that do not fit where a region is reached."""

    tries: frozenset[tuple[Value, bool]] = frozenset()
    """What they were grown from, which is not tried again."""
    conditions: tuple[frozenset[object], ...] = ()
    """What each asked for: what asks for as much does not fit either."""

    def with_group(self, group: RowGroup) -> _Failed:
        tries = {(group.main, group.single), (group.main, True)}
        return _Failed(self.tries | tries, (*self.conditions, group.conditions))


_NONE = _Failed()


@register_pass
class FuseRows(Pass):
    """Fuse what scans the rows of one matrix into one scan."""

    name = "fuse-rows"

    def run(self, module: Module) -> None:
        expected = Expectations()
        for func in list(module.body):
            if func.name == "core.func":
                for region in list(walk_regions([func])):
                    if region.parent is not None and region.parent.dialect != "fused":
                        self._fuse_all(region, expected)

    def _fuse_all(self, region: Region, expected: Expectations, failed: _Failed = _NONE) -> None:
        """Fuse groups of a region, the largest first, where those that `failed` do not hold.

        A group only loses members to those fused before it. So its size, when it was last grown, bounds what it is now,
        and most need not be grown again.
        """
        bounds: dict[tuple[Value, bool], tuple[int, int]] = {}
        while True:
            order = Order(region, expected)
            tries = [
                t
                for t in starts(order)
                if t not in failed.tries and bounds.setdefault(t, _UNKNOWN) != _NOTHING
            ]
            grown: dict[tuple[Value, bool], RowGroup] = {}
            while tries:
                best = max(tries, key=bounds.__getitem__)
                if best in grown:
                    self._fuse(region, grown[best], order, failed)
                    break
                group = group_of(order, *best)
                if not group.depends_on_single:
                    same = best[0], not best[1]
                    bounds[same] = _NOTHING
                    tries = [t for t in tries if t != same]
                worth = is_worth_it(group)
                if worth and not any(conditions <= group.conditions for conditions in failed.conditions):
                    grown[best] = group
                    bounds[best] = group.rank
                    continue
                tries.remove(best)
                if not worth and len(group.members) <= MAX_MEMBERS:
                    bounds[best] = _NOTHING
            else:
                return

    def _fuse(self, region: Region, best: RowGroup, order: Order, failed: _Failed) -> None:
        places = {op: 2 * i for op, i in order.places.items()}
        inputs = {v.op for op in best.members for v in op.operands if v.op not in best.members}
        inputs.add(best.main.op)
        place = max((places[op] for op in inputs if op is not None and op in places), default=-2) + 1
        last = list(best.members)[-1]
        before, follows = set(region), dict(order.follows)
        checks = {f for op in best.members for f in follows.get(op, ())}
        outputs, saved = best.outputs(), best.scans - 1
        failed = failed.with_group(best)
        made = build(best, Builder(region, loc=last.loc))
        for op in region:
            if op not in before:
                places[op] = place
                follows[op] = checks
        for old, new in zip(outputs, made.results, strict=True):
            new.name = old.name
            old.replace_by(new)
        for op in reversed(list(best.members)):
            op.erase()
        reorder(region, places, follows)
        if not best.is_certain:
            # Where sizes do not allow this scan, parts of it may still be one.
            self._fuse_all(made.regions[1], order.expected, failed)
        self.count("operations fused", len(best.members))
        self.count("scans saved", saved)
