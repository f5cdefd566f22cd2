"""Look at parts of matrices where they are: `X_batch = X[beg:end, ]` in a loop over X copies nothing.

A view keeps its matrix, so it must not be what a matrix outlives its last use by, nor be there when the matrix is updated in
place, which would copy all of it. Both hold for a part of a matrix from outside of a loop that does not leave the round it is
made in: loops borrow what they capture. Whether the cells lie side by side, the run time sees.
"""

from __future__ import annotations

from sysmlc.ir.core import Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_matrix import Index
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.passes.manage_ownership import LOOPS

_KEEPS = frozenset(
    {
        "core.yield",
        "core.return",
        "core.call",
        "dml.list_new",
        "dml.list_append",
        "dml.list_set",
        "dml.output",
    }
)
"""Operations that hand their operands on."""


@register_pass
class ViewRows(Pass):
    """Mark parts of matrices that may be looked at in place, because the matrix outlives them."""

    name = "view-rows"

    def run(self, module: Module) -> None:
        for region in list(walk_regions([f for f in module.body if f.name == "core.func"])):
            for op in region:
                if isinstance(op, Index) and not op.view and _outlives(op.operand, op) and _stays(op.result):
                    op.attrs["view"] = True
                    self.count("views")


def _outlives(source: Value, op: Op) -> bool:
    """Whether a loop around the operation captures the matrix."""
    region: Region | None = op.parent
    while region is not None and region is not source.region:
        around = region.parent
        if around is not None and around.name in LOOPS:
            return True
        region = None if around is None else around.parent
    return False


def _stays(part: Value) -> bool:
    return all(user.name not in _KEEPS and not user.regions for user in part.users())
