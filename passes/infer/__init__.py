"""Facts: sizes, non-zeros and scalar constants, found by one forward analysis of the program and kept in the types.

Structured: regions are walked in program order; loops start from what is known of their initial values and are walked again
until what they carry is stable; functions are analysed for what all their call sites have in common, until that is stable.

A size that is not known gets a name: equal names are equal sizes, so `X %*% t(X)` is known to fit without numbers. A name
belongs to one value; it is only seen where that value is, except that a loop's argument and result share theirs.

Operands that do not fit are errors of the user, reported with their place; all of them at once.
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Op
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.source import DiagnosticGroup
from sysmlc.passes.infer.functions import Analysis
from sysmlc.passes.splice import splice, take_place


@register_pass
class Infer(Pass):
    """Find sizes, non-zeros and constants; report operands that cannot fit."""

    name = "infer"

    def run(self, module: Module) -> None:
        analysis = Analysis(module)
        try:
            analysis.solve()
            errors = list(analysis.errors.values())
            if errors:
                errors.sort(key=lambda e: (e.loc.line, e.loc.col))
                raise errors[0] if len(errors) == 1 else DiagnosticGroup(errors)
            self.count("constants found", _place_constants(analysis))
            self.count("branches decided", _take_branches(analysis))
        finally:
            analysis.forget()


def _place_constants(analysis: Analysis) -> int:
    """Make scalars that turned out to be constants into constants."""
    placed = 0
    for value, known in list(analysis.constants.items()):
        if not value.uses:
            continue
        owner = value.owner
        b = Builder.before(owner) if isinstance(owner, Op) else Builder(owner, owner.first)
        if b.anchor is not None and not isinstance(owner, Op):
            b.loc = b.anchor.loc
        value.replace_by(b(Constant, value=known, types=[value.type]))
        placed += 1
    return placed


def _take_branches(analysis: Analysis) -> int:
    """Replace branches whose condition is a constant by the side that runs."""
    taken = 0
    for function in analysis.functions.values():
        for op in list(function.op.walk()):
            if op.name != "scf.if" or not op.operands:  # without operands: it was in a branch not taken
                continue
            decided = constant(op.operands[0])
            if decided is not None:
                take_place(op, splice(op, op.regions[0 if decided else 1]))
                taken += 1
    return taken
