"""Loop-invariant code moves out of loops.

What cannot fail moves always; what may fail only where it would have been the first thing to happen anyway: in the condition of
a `while`, or in a loop that is certain to run, before anything else that has an effect or can fail. Memory is not held
longer for results that are filled anew to be overwritten (`R = matrix(0, …)` before `R[i,] = …`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix
from sysmlc.passes.effects import cannot_fail

_LOOPS = frozenset({"scf.for", "scf.parfor", "scf.while"})
_CHEAP_TO_MAKE = frozenset({"dml.fill", "dml.undefined", "dml.seq"})


@register_pass
@dataclass(frozen=True)
class Hoist(Pass):
    """Compute once, before a loop, what is the same in every iteration."""

    name = "hoist"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                self._region(region)

    def _region(self, region: Region) -> None:
        for op in region:
            for nested in op.regions:
                self._region(nested)
            if op.name in _LOOPS:
                for i, nested in enumerate(op.regions):
                    first = i == 0 and (op.name == "scf.while" or _runs(op))
                    self._hoist(op, nested, first)

    def _hoist(self, loop: Op, region: Region, first: bool) -> None:
        """`first`: what stands at the beginning of the region happens for certain."""
        guarded = False
        for op in region:
            if "terminator" in op.traits:
                return
            if op.name == "dml.require_defined":
                guarded = True
            if "pure" in op.traits:
                # Behind a check that a variable is defined, facts hold for defined values only.
                safe = cannot_fail(op) and not (
                    guarded and any(isinstance(v.type, Matrix) for v in op.operands)
                )
                if (safe or first) and _is_invariant(op, loop) and _worth_it(op):
                    _move(op, loop)
                    self.count("operations hoisted")
                elif not safe:
                    first = False
                continue
            first = False
            if op.name == "scf.if":
                self._constants(loop, op)

    def _constants(self, loop: Op, branch: Op) -> None:
        """Scalars without risk leave branches as well: they are next to free, and let more move."""
        for region in branch.regions:
            for op in region:
                scalar = op.results and not any(isinstance(r.type, Matrix) for r in op.results)
                plain = not any(isinstance(v.type, Matrix) for v in op.operands)
                if scalar and plain and "pure" in op.traits and cannot_fail(op) and _is_invariant(op, loop):
                    _move(op, loop)
                    self.count("operations hoisted")
                elif op.name == "scf.if":
                    self._constants(loop, op)


def _runs(loop: Op) -> bool:
    """Whether a counting loop is certain to run at least once."""
    start, stop, step = (constant(v) for v in loop.operands[:3])
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return start <= stop if step > 0 else start >= stop
    return False


def _is_invariant(op: Op, loop: Op) -> bool:
    return all(_is_outside(v, loop) for v in op.operands)


def _is_outside(value: Value, loop: Op) -> bool:
    at = value.region
    while at is not None:
        if at is loop.parent:
            return True
        if at.parent is loop:
            return False
        at = None if at.parent is None else at.parent.parent
    return True


def _worth_it(op: Op) -> bool:
    if op.name in _CHEAP_TO_MAKE:
        return False
    return not any(i in user.consumes for r in op.results for user, i in r.uses)


def _move(op: Op, loop: Op) -> None:
    assert loop.parent is not None
    loop.parent.insert_before(loop, op.detach())
