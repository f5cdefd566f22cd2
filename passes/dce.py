"""Dead code: what no effect and no result depends on goes, loop-carried values and results of branches included.

Mark and sweep: live are operations with effects and everything they need. A loop carries only values that are live, so
`s` in `for (...) { s = s + i }` goes when nobody looks at it after the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.passes.effects import is_silent, silent_functions

_CARRY: Final[dict[str, int | None]] = {"scf.if": None, "scf.for": 1, "scf.parfor": 1, "scf.while": 0}
"""Operations whose results are carried out of regions; for loops, how many arguments come before the carried ones."""


@register_pass
class DeadCodeElimination(Pass):
    """Remove what no effect and no result depends on."""

    name = "dce"

    def run(self, module: Module) -> None:
        silent = silent_functions(module)
        for func in module.body:
            marker = _Marker(silent)
            for region in func.regions:
                marker.function(region)
            for region in func.regions:
                self._sweep(region, marker)

    def _sweep(self, region: Region, live: _Marker) -> None:
        for op in region.reversed():
            if "terminator" in op.traits:
                continue
            if op not in live.ops:
                self.count("operations removed")
                op.erase()
            elif op.name in _CARRY:
                self._narrow(op, live)

    def _narrow(self, op: Op, live: _Marker) -> None:
        """Clean the regions of a live operation, and drop its dead results with all that belongs to them."""
        width = len(op.results)
        keep = [i for i in range(width) if (op, i) in live.carried]
        if len(keep) < width:
            self.count("carried values removed", width - len(keep))
            for region in op.regions[1:] if op.name == "scf.while" else op.regions:
                last = region.terminator
                last.set_operands([last.operands[i] for i in keep])
            op.results = _renumbered([op.results[i] for i in keep])
        for region in op.regions:
            self._sweep(region, live)
        first = _CARRY[op.name]
        if len(keep) == width or first is None:
            return
        fixed = len(op.operands) - width
        op.set_operands(op.operands[:fixed] + [op.operands[fixed + i] for i in keep])
        for region in op.regions:
            region.args = _renumbered(region.args[:first] + [region.args[first + i] for i in keep])


class _Marker:
    """Finds what is live."""

    def __init__(self, silent: Mapping[str, bool]) -> None:
        self.silent = silent
        self.ops: set[Op] = set()
        self.carried: set[tuple[Op, int]] = set()
        self.values: set[Value] = set()
        self.work: list[Value] = []

    def function(self, region: Region) -> None:
        for op in region.walk():
            if "terminator" not in op.traits and not is_silent(op, self.silent):
                self.op(op)
        for value in region.terminator.operands:
            self.value(value)
        while self.work:
            self.follow(self.work.pop())

    def value(self, value: Value) -> None:
        if value not in self.values:
            self.values.add(value)
            self.work.append(value)

    def op(self, op: Op) -> None:
        """`op` happens, and so do the operations around it."""
        at: Op | None = op
        while at is not None and at not in self.ops and at.name != "core.func":
            self.ops.add(at)
            fixed = len(at.operands) - (len(at.results) if _CARRY.get(at.name) is not None else 0)
            for value in at.operands[:fixed]:
                self.value(value)
            if at.name == "scf.while":
                self.value(at.regions[0].terminator.operands[0])
            at = at.parent_op

    def follow(self, value: Value) -> None:
        """What a live value is made of is live."""
        owner = value.owner
        if isinstance(owner, Op):
            self.op(owner)
            if owner.name in _CARRY:
                self.carry(owner, value.index)
        elif owner.parent is not None and owner.parent.name in _CARRY:
            loop = owner.parent
            self.op(loop)
            first = _CARRY[loop.name]
            assert first is not None
            if value.index >= first:
                self.carry(loop, value.index - first)

    def carry(self, op: Op, index: int) -> None:
        if (op, index) in self.carried:
            return
        self.carried.add((op, index))
        for region in op.regions[1:] if op.name == "scf.while" else op.regions:
            self.value(region.terminator.operands[index])
        first = _CARRY[op.name]
        if first is not None:
            self.value(op.operands[len(op.operands) - len(op.results) + index])


def _renumbered(values: list[Value]) -> list[Value]:
    for i, value in enumerate(values):
        value.index = i
    return values
