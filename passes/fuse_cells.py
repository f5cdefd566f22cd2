"""Fuse cell regions: expressions run in one pass over the data, aggregates included, and scans of one matrix are shared.

The plan of each region is searched by cost (`passes/fusion/search.py`); this pass builds it and puts the region's
operations back into an order in which everything is computed before it is used.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping

from sysmlc.ir.core import Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.passes.effects import must_follow
from sysmlc.passes.fusion.search import plan_region, reads


@register_pass
class FuseCells(Pass):
    """Fuse cell regions vertically and horizontally, by cost."""

    name = "fuse-cells"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name == "core.func":
                for region in list(walk_regions([func])):
                    if region.parent is None or region.parent.name != "fused.cell":
                        self._fuse(region)

    def _fuse(self, region: Region) -> None:
        groups = [g for g in plan_region(region) if len(g.cells) > 1]
        if not groups:
            return
        places, follows = {op: i for i, op in enumerate(region)}, must_follow(region)
        made = [(group, region.append(group.make())) for group in groups]
        places |= {op: max(places[c] for c in group.cells) for group, op in made}
        follows |= {op: {f for c in group.cells for f in follows.get(c, ())} for group, op in made}
        for group, op in made:
            for old, new in zip(group.outputs, op.results, strict=True):
                new.name = old.name
                # A value that several groups write is taken from the first.
                if old.uses:
                    old.replace_by(new)
        for cell in sorted({c for g in groups for c in g.cells}, key=places.__getitem__, reverse=True):
            if not any(r.uses for r in cell.results):
                cell.erase()
        reorder(region, places, follows)
        self.count("cells fused", sum(len(g.cells) for g in groups))
        self.count("fused operators", len(groups))


def reorder(region: Region, places: Mapping[Op, int], follows: Mapping[Op, Collection[Op]]) -> None:
    """Order the operations so that definitions come before uses, and each behind what it `follows`, as near to `places` as that allows."""
    ops = sorted(region, key=places.__getitem__)
    terminators = [op for op in ops if "terminator" in op.traits]
    assert len(terminators) == 1
    index = {op: i for i, op in enumerate(ops)}
    waits: dict[Op, int] = {}
    wakes: dict[Op, list[Op]] = {op: [] for op in ops}
    for op in ops:
        needed = {d for v in reads(op) if (d := _definer(v, region)) is not None and d is not op}
        needed.update(follows.get(op, ()))
        waits[op] = len(needed)
        for d in needed:
            wakes[d].append(op)
    waits[terminators[0]] += 1  # always last
    ready = [index[op] for op in ops if waits[op] == 0]
    heapq.heapify(ready)
    done: list[Op] = []
    while ready:
        op = ops[heapq.heappop(ready)]
        done.append(op)
        for other in wakes[op]:
            waits[other] -= 1
            if waits[other] == 0:
                heapq.heappush(ready, index[other])
    assert len(done) == len(ops) - 1, "fusion made a cycle"
    for op in [*done, terminators[0]]:
        region.append(op.detach())


def _definer(value: Value, region: Region) -> Op | None:
    op = value.op
    return op if op is not None and op.parent is region else None
