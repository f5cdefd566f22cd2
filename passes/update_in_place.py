"""Let cell kernels write their result over an operand: `W = W - lr * dW` needs no new matrix.

An operand may be overwritten where it dies and may have the result's shape. The run time has the last word: it reuses a
buffer only when nobody else holds it and the sizes agree, so marking too much costs nothing and is never wrong.
"""

from __future__ import annotations

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, differ_dim
from sysmlc.passes.manage_ownership import captured, is_handle

KERNELS = frozenset({"fused.cell", "rt.launch"})


@register_pass
class UpdateInPlace(Pass):
    """Mark the operands of cell kernels that die there and whose buffer the result may take."""

    name = "update-in-place"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                if func.name == "core.func":
                    self._region(region, set())

    def _region(self, region: Region, needed: set[Value]) -> None:
        """`needed`: outer values that must survive this region."""
        live = set(needed)
        for op in region.reversed():
            inside = captured(op) if op.regions else {}
            if op.name in KERNELS:
                self._mark(op, live)
            elif op.regions:
                # What a loop captures is needed by its next iteration.
                kept = live if op.name == "scf.if" else live | inside.keys()
                for nested in op.regions:
                    self._region(nested, kept)
            live.difference_update(op.results)
            live.update(v for v in op.operands if is_handle(v))
            live.update(inside)

    def _mark(self, op: Op, live: set[Value]) -> None:
        shapes = [r.type for r in op.results if isinstance(r.type, Matrix)]
        reuse = []
        for i, value in enumerate(op.operands):
            dies = isinstance(value.type, Matrix) and value not in live
            if dies and op.operands.count(value) == 1 and any(_may_fit(value.type, s) for s in shapes):
                reuse.append(i)
        if reuse and tuple(reuse) != op.attrs.get("reuse"):
            op.attrs["reuse"] = tuple(reuse)
            self.count("operands reused", len(reuse))


def _may_fit(operand: object, result: Matrix) -> bool:
    return (
        isinstance(operand, Matrix)
        and operand.elem is result.elem
        and not differ_dim(operand.rows, result.rows)
        and not differ_dim(operand.cols, result.cols)
        and (operand.rows, operand.cols) != (1, 1)
    )
