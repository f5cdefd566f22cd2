"""Work of a branch joins a scan in front of it, when the branch is only skipped as its loop ends.

    while (improving) {                                         while (improving) {
      p = X %*% v; improving = sum(p) > eps                       p = X %*% v; g = t(X) %*% p; improving = sum(p) > eps
      if (improving) v = v - t(X) %*% p                           if (improving) v = v - g
    }                                                           }

`fuse-rows` then reads X once a round. What is computed in vain is the scan's share of one round, the last; so no estimate of how
often a branch is taken is needed. Only what cannot fail is moved, and only what a group of `fuse-rows` takes up together with
operations that were there before.
"""

from __future__ import annotations

from collections.abc import Iterator

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.scf import While
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.passes.effects import cannot_fail
from sysmlc.passes.rows.candidates import starts
from sysmlc.passes.rows.grow import RowGroup
from sysmlc.passes.rows.order import Order
from sysmlc.passes.rows.worth import is_worth_it
from sysmlc.passes.rows.zeros import group_of
from sysmlc.passes.sparsity import Expectations


@register_pass
class FuseAhead(Pass):
    """Let scans do what a branch behind them needs in every round of a loop but the last."""

    name = "fuse-ahead"

    def run(self, module: Module) -> None:
        expected = Expectations()
        for loop in [op for op in module.walk() if isinstance(op, While)]:
            for branch, side in _needed(loop):
                self.count("operations done ahead", _move_ahead(branch, side, expected))


def _needed(loop: While) -> Iterator[tuple[Op, Region]]:
    """The branches of a loop and the side of each that is only left out in the last round."""
    going_on = dict(_conjuncts(loop.cond.terminator.operands[0]))
    wanted: dict[Value, bool] = {}
    for carried, arg in zip(loop.body.terminator.operands, loop.cond.args, strict=True):
        if arg in going_on:
            value, truth = _stripped(carried)
            wanted[value] = going_on[arg] == truth
    for op in list(loop.body):
        if op.name == "scf.if":
            value, truth = _stripped(op.operands[0])
            if value in wanted:
                yield op, op.regions[0 if wanted[value] == truth else 1]


def _conjuncts(condition: Value) -> Iterator[tuple[Value, bool]]:
    """What must be true, or false, for a condition to hold."""
    value, truth = _stripped(condition)
    if truth and value.op is not None and value.op.name == "dml.and":
        for operand in value.op.operands:
            yield from _conjuncts(operand)
    else:
        yield value, truth


def _stripped(condition: Value) -> tuple[Value, bool]:
    """The value below negations, and whether it is true where the condition holds."""
    op = condition.op
    if op is not None and op.name == "dml.not":
        value, truth = _stripped(op.operands[0])
        return value, not truth
    return condition, True


def _move_ahead(branch: Op, side: Region, expected: Expectations) -> int:
    """Move what a scan takes up before the branch; how many operations that were."""
    region = branch.parent
    assert region is not None
    moved: dict[Op, None] = {}
    for op in side:
        inner = any(v.region is side and v.op not in moved for v in op.operands)
        if "pure" in op.traits and not op.regions and not inner and cannot_fail(op):
            moved[op] = None
    for op in moved:
        region.insert_before(branch, op.detach())
    order = Order(region, expected)
    groups = [group_of(order, *one) for one in starts(order)]
    shared = [g for g in groups if is_worth_it(g) and _is_shared(g, moved)]
    kept: dict[Op, None] = {}
    if shared:
        best = max(shared, key=lambda g: g.rank)
        pending = [op for op in best.members if op in moved]
        while pending:
            op = pending.pop()
            kept[op] = None
            pending += [v.op for v in op.operands if v.op in moved and v.op not in kept]
    first = side.first
    assert first is not None
    for op in moved:
        if op not in kept:
            side.insert_before(first, op.detach())
    return len(kept)


def _is_shared(group: RowGroup, moved: dict[Op, None]) -> bool:
    """Whether operations of the branch and others read the same rows."""
    reading = {op in moved for op in group.members if group.reads_wide(op)}
    return reading == {False, True}
