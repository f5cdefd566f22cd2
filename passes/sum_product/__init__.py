"""Rewrites linear algebra to the cheapest equal plan, by algebra rather than by patterns.

Islands of sum-product operations (`islands`) are brought to a canonical form (`polynomial`), whose terms are contracted by
dynamic programming (`contraction`), added up or factored (`factor`), and compared by cost with what was written (`extract`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sysmlc.ir.core import Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.explain import current_recording
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, compatible, meet
from sysmlc.passes.sparsity import Expectations
from sysmlc.passes.sum_product.alternatives import Alternative, alternative, emit_both
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.emit import Emitter
from sysmlc.passes.sum_product.explain import Rewrite, text
from sysmlc.passes.sum_product.extract import Planner, choose
from sysmlc.passes.sum_product.islands import Island, islands
from sysmlc.passes.sum_product.nodes import Node

__all__ = ["Rewrite", "SumProduct"]


@register_pass
@dataclass(frozen=True)
class SumProduct(Pass):
    """Rewrite linear algebra to the cheapest equal plan."""

    name = "sum-product"
    strict_fp: bool = False
    """Neither multiply out nor factor sums: roundings stay relative to the terms that are written."""

    sampling: bool = True
    """Count on `fuse-outer`: products that are multiplied with sparse matrices are computed at the non-zeros only."""

    @cached_property
    def rewrites(self) -> list[Rewrite]:
        """What this pass has rewritten so far, while somebody records."""
        return []

    def run(self, module: Module) -> None:
        expected = Expectations()
        for region in list(walk_regions([module])):
            if not isinstance(region.parent, Module):
                for island in islands(region):
                    self._optimize(region, island, Model(expected=expected, samples=self.sampling))

    def _optimize(self, region: Region, island: Island, model: Model) -> None:
        if len(island.ops) < 2 and not _worth_alone(island.ops):
            return
        planner = Planner(island.graph, model, self.strict_fp)
        nodes = island.build(lambda node: planner.form(node, True).key())
        roots = [nodes[v] for v in island.results]
        chosen = choose(planner, roots)
        graph = island.graph
        other = alternative(planner, chosen, lambda m: choose(Planner(graph, m, self.strict_fp), roots))
        if other is None and all(chosen[r] is r for r in roots):
            return
        place = {op: i for i, op in enumerate(region)}
        emitter = Emitter(graph, place)
        for value, root in zip(island.results, roots, strict=True):
            if other is not None and root is other.root:
                self._keep_both(value, other, chosen[root], emitter)
            elif chosen[root] is not root:
                self._replace(value, root, chosen, emitter, model)
        _erase(island.ops)

    def _replace(
        self, value: Value, root: Node, chosen: dict[Node, Node], emitter: Emitter, model: Model
    ) -> None:
        op = value.op
        assert op is not None
        plan = chosen[root]
        made = emitter.build(root, plan, op)
        if isinstance(value.type, Matrix) and compatible(made.type, value.type):
            made.type = meet(made.type, value.type)
        value.replace_by(made)
        self.count("expressions rewritten")
        recording = current_recording()
        if recording is not None and (before := text(root)) != (after := text(plan)):
            cost = [model.alone(p) for p in (root, plan)]
            if cost[1] >= cost[0]:  # it pays because others share what it is made of
                others = model.total([p for r, p in chosen.items() if r is not root])
                cost = [model.total({**chosen, root: p}.values()) - others for p in (root, plan)]
            self.rewrites.append(Rewrite(op.loc, before, after, *cost))
            recording[1].append(self.rewrites[-1])

    def _keep_both(self, value: Value, other: Alternative, plan: Node, emitter: Emitter) -> None:
        assert value.op is not None
        value.replace_by(emit_both(emitter, other, plan, value.op))
        self.count("plans decided at run time")


def _worth_alone(ops: list[Op]) -> bool:
    return any(op.name in ("dml.mul", "dml.add", "dml.sub", "dml.sum") for op in ops)


def _erase(ops: list[Op]) -> None:
    for op in reversed(ops):
        if not op.results[0].uses:
            op.erase()
