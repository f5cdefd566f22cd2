"""Common subexpressions: of equal pure operations, the first one that dominates computes for all.

Scoped over regions: what is known before an operation with regions is known inside, not the other way round. Operands of
commuting operations are in one order. Sizes that are known to be equal by their name count as equal: `nrow(X)` is
`ncol(t(X))`.
"""

from __future__ import annotations

from typing import Any

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_cell import COMMUTATIVE
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, compatible, meet, refines, same_dim


@register_pass
class CommonSubexpressionElimination(Pass):
    """Compute equal things once."""

    name = "cse"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                self._region(region, {})

    def _region(self, region: Region, known: dict[Any, Op]) -> None:
        added: list[Any] = []
        for op in region:
            if op.regions:
                apart = "isolated" in op.traits or op.dialect == "fused"
                for nested in op.regions:
                    self._region(nested, {} if apart else known)
                continue
            if "pure" not in op.traits or not op.results:
                continue
            key = _key(op)
            found = known.get(key)
            if found is None:
                known[key] = op
                added.append(key)
            elif _merge(found, op):
                self.count("operations merged")
        for key in added:
            del known[key]


def _key(op: Op) -> Any:
    name = op.name
    operands = op.operands
    if name == "core.constant":
        value = op.attrs["value"]
        return name, op.results[0].type, repr(value)
    if name in ("dml.nrow", "dml.ncol"):
        type = operands[0].type
        dim = (type.rows if name == "dml.nrow" else type.cols) if isinstance(type, Matrix) else None
        if dim is not None:
            return "size", dim
    ids = tuple(map(id, operands))
    if len(ids) == 2 and ids[0] > ids[1] and op.fn in COMMUTATIVE and _commutes(operands):
        ids = (ids[1], ids[0])
    attrs = tuple(sorted(op.attrs.items())) if op.attrs else ()
    # Types of scalars are part of what an operation does (casts); facts about matrices are not.
    types = tuple(None if isinstance(r.type, Matrix) else r.type for r in op.results)
    return name, ids, attrs, types


def _commutes(operands: list[Value]) -> bool:
    a, b = operands[0].type, operands[1].type
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return same_dim(a.rows, b.rows) and same_dim(a.cols, b.cols)
    return True


def _merge(kept: Op, op: Op) -> bool:
    """Let `kept` stand for `op` where the facts known of both are facts of either."""
    pairs = list(zip(kept.results, op.results, strict=True))
    if not all(compatible(a.type, b.type) for a, b in pairs):
        return False  # the program is wrong, and will say so where it runs
    here = kept.parent is op.parent
    if not here and not all(refines(a.type, b.type) for a, b in pairs):
        return False
    for a, b in pairs:
        if here:
            a.type = meet(a.type, b.type)
        b.replace_by(a)
    op.erase()
    return True
