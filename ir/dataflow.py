"""Dataflow analyses: facts about values to a fixpoint (forward), and where values are needed last (liveness).

How values pass through loops, branches and calls is the operations' own knowledge (`Op.flow`), so an analysis only says
what single operations do:

    class Sign(Forward[str]):
        def join(self, a, b): return a if a == b else "?"
        def entry(self, value): return "?"
        def transfer(self, op, operands): return ["+" if op.name == "dml.exp" else "?" for _ in op.results]

    signs = Sign(module).solve()
    signs[value]
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.symbols import symbol_table

Fact = TypeVar("Fact")

_PATIENCE = 4
"""How often the fact of one value may change before it is widened."""


class Forward(Generic[Fact]):
    """A sparse forward analysis: a fact for every value, joined where control flow and calls merge.

    Subclasses give `join`, `entry` and `transfer`, and `widen` when facts can get weaker without end.
    """

    def __init__(self, root: Op) -> None:
        self.root = root
        self.facts: dict[Value, Fact] = {}
        self._number: dict[Op, int] = {}
        self._targets: dict[Value, list[Value]] = {}
        self._merged: set[Value] = set()
        self._flowing: set[Op] = set()
        self._changes: dict[Value, int] = {}
        self._work: list[int] = []
        self._queued: set[Op] = set()

    def join(self, a: Fact, b: Fact) -> Fact:
        """What is known of a value that is known to be `a` or `b`."""
        raise NotImplementedError

    def widen(self, old: Fact, new: Fact) -> Fact:
        """As `join`, but must reach a fixpoint in few steps."""
        return self.join(old, new)

    def entry(self, value: Value) -> Fact:
        """What is known of a value that comes from nowhere: an argument of an uncalled function, a loop counter."""
        raise NotImplementedError

    def transfer(self, op: Op, operands: Sequence[Fact]) -> Sequence[Fact]:
        """What is known of the results of an operation without flow of its own."""
        raise NotImplementedError

    def solve(self) -> dict[Value, Fact]:
        """Run to the fixpoint. Values that nothing reaches have no fact."""
        ops = list(self.root.walk())
        self._index(ops)
        for op in ops:
            self._push(op)
        for op in ops:
            for region in op.regions:
                for arg in region.args:
                    if arg not in self._merged:
                        self.update(arg, self.entry(arg))
        while self._work:
            op = ops[heappop(self._work)]
            self._queued.discard(op)
            self._visit(op)
        return self.facts

    def update(self, value: Value, fact: Fact) -> None:
        """Learn that `value` may be `fact`."""
        if value in self.facts:
            old = self.facts[value]
            times = self._changes.get(value, 0)
            fact = self.widen(old, fact) if times >= _PATIENCE else self.join(old, fact)
            if fact == old:
                return
            self._changes[value] = times + 1
        self.facts[value] = fact
        for user, _ in value.uses:
            self._push(user)
        for target in self._targets.get(value, ()):
            self.update(target, fact)

    def _index(self, ops: list[Op]) -> None:
        symbols: dict[str, Op] = {}
        for i, op in enumerate(ops):
            self._number[op] = i
            if "symbols" in op.traits:
                symbols = symbol_table(op)
            edges = list(op.flow())
            if "call" in op.traits and (callee := symbols.get(str(op.attrs["callee"]))) is not None:
                body = callee.regions[0]
                edges += zip(op.operands, body.args, strict=True)
                edges += zip(body.terminator.operands, op.results, strict=True)
            for source, target in edges:
                self._targets.setdefault(source, []).append(target)
                self._merged.add(target)
            if edges:
                self._flowing.add(op)

    def _push(self, op: Op) -> None:
        if op not in self._queued and op in self._number:
            self._queued.add(op)
            heappush(self._work, self._number[op])

    def _visit(self, op: Op) -> None:
        if op in self._flowing or not op.results:
            return
        facts = self.facts
        try:
            operands = [facts[v] for v in op.operands]
        except KeyError:  # an operand has not been reached yet
            return
        for result, fact in zip(op.results, self.transfer(op, operands), strict=True):
            self.update(result, fact)


class Liveness:
    """Where values die: `dying(op)` are the values that nobody needs after `op`, in order of definition or use.

    A value of an outer region that a loop uses lives until the loop ends. A branch that does not use a value which dies in
    the other branch has it in `dead_on_entry(region)`.
    """

    def __init__(self, root: Op) -> None:
        self._dying: dict[Op, list[Value]] = {}
        self._dead_on_entry: dict[Region, list[Value]] = {}
        self._free: dict[Op, dict[Value, None]] = {}
        self._find_free(root)
        for region in root.regions:
            self._region(region, set())

    def dying(self, op: Op) -> list[Value]:
        """Values whose last use is `op` itself (with all its regions, for a loop), and results of `op` without use."""
        return self._dying.get(op, [])

    def dead_on_entry(self, region: Region) -> list[Value]:
        """Arguments of the region without use, and outside values that only other branches of its operation use."""
        return self._dead_on_entry.get(region, [])

    def free(self, op: Op) -> list[Value]:
        """Values from outside that `op` needs: its operands and what its regions use."""
        return list(self._free[op])

    def _find_free(self, op: Op) -> dict[Value, None]:
        free = dict.fromkeys(op.operands)
        for region in op.regions:
            inside: dict[Value, None] = {}
            own = set(region.args)
            for inner in region:
                inside.update(self._find_free(inner))
                own.update(inner.results)
            free.update((v, None) for v in inside if v not in own)
        self._free[op] = free
        return free

    def _region(self, region: Region, live_out: set[Value]) -> None:
        live = set(live_out)
        for op in region.reversed():
            dying = [r for r in op.results if r not in live]
            live.difference_update(op.results)
            last = [v for v in self._free[op] if v not in live]
            if op.regions:
                self._nested(op, live, last, dying)
            else:
                dying += last
            if dying:
                self._dying[op] = dying
            live.update(last)
        dead = [a for a in region.args if a not in live]
        if dead:
            self._dead_on_entry[region] = dead

    def _nested(self, op: Op, live: set[Value], last: list[Value], dying: list[Value]) -> None:
        regions = op.regions
        if "isolated" in op.traits:
            for region in regions:
                self._region(region, set())
            dying += last
            return
        used = [self._used_in(r) for r in regions]
        arguments = {a for r in regions for a in r.args}
        if any(target in arguments for _, target in op.flow()):
            # A loop: what it uses must survive each round, so it dies with the loop.
            for region in regions:
                self._region(region, live | set(last))
            dying += last
            return
        inner = [v for v in last if any(v in u for u in used)]
        dying += [v for v in last if v not in inner]
        for region, uses in zip(regions, used, strict=True):
            self._region(region, live)
            dead = [v for v in inner if v not in uses]
            if dead:
                self._dead_on_entry.setdefault(region, []).extend(dead)

    def _used_in(self, region: Region) -> set[Value]:
        return {v for op in region for v in self._free[op]}
