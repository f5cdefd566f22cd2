"""What ranges and patterns of cells allow: `abs(exp(X))` is `exp(X)`, `t(S)` is `S` where S is `t(X) %*% X`.

A forward analysis over loops, branches and calls, to a fixpoint, finds the facts (`ir/facts.py`; what operations make of them is in
`ir/dialects/dml_facts.py`). Rules that ask for facts are applied while they are known: those of `facts.rules`, and the choice
of how to solve a system whose matrix is symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dataflow import Forward
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_stat import Solve
from sysmlc.ir.facts import Facts, assumed, by_type, facts_of, transfer
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.rewrite import Replacement, RuleSet, rewrite, rule
from sysmlc.passes.rules import table

_COUNTING: Final = frozenset({"scf.for", "scf.parfor"})
_NO_ROUND: Final = Facts(inf, -inf, False, True)


class CellFacts(Forward[Facts]):
    """Facts of the cells of all values of a module."""

    def join(self, a: Facts, b: Facts) -> Facts:
        return a.join(b)

    def widen(self, old: Facts, new: Facts) -> Facts:
        return old.widen(new)

    def entry(self, value: Value) -> Facts:
        loop = value.owner.parent if isinstance(value.owner, Region) else None
        return _NO_ROUND if loop is not None and loop.name in _COUNTING else by_type(value)

    def transfer(self, op: Op, operands: Sequence[Facts]) -> Sequence[Facts]:
        return transfer(op, operands)

    def _visit(self, op: Op) -> None:
        if op.name in _COUNTING and all(v in self.facts for v in op.operands[:2]):
            start, stop = (self.facts[v].cells for v in op.operands[:2])
            self.update(op.regions[0].args[0], start.join(stop))  # a counter is between the bounds
        super()._visit(op)


@rule(Solve)
def solve_symmetric(op: Solve, b: Builder) -> Replacement:
    """A symmetric matrix is taken to be positive definite until it shows that it is not."""
    return None if op.symmetric or not facts_of(op.a).symmetric else b(Solve, op.a, op.b, symmetric=True)


@register_pass
class UseFacts(Pass):
    """Rewrite what ranges and patterns of cells allow."""

    name = "use-facts"

    def run(self, module: Module) -> None:
        with assumed(CellFacts(module).solve()):
            rewrite(module, RuleSet([*table("facts").rules, solve_symmetric]), count=self.count)
