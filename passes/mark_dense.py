"""Find the matrices that never are sparse, whatever happens, and say so in their types: lowering then lists no kernel variants
for the others.

An operator makes CSR only of CSR operands, or where it counts non-zeros (reading, tables, random matrices, zeros). What loops
carry is dense when it is before the loop and after each round: all of it is assumed to be, until something is found that is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import Cell, Convert
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, with_facts
from sysmlc.passes.fusion.groups import DENSE, MOVES
from sysmlc.passes.lower_cells import may_be_sparse, may_make_sparse
from sysmlc.passes.select_format import matrices

_LOOPS: Final = {"scf.for": 3, "scf.parfor": 3, "scf.while": 0}
"""Loops, with the number of operands before those that are carried."""
_JOINS: Final = frozenset({"dml.cbind", "dml.rbind"})


@register_pass
class MarkDense(Pass):
    """Mark the types of matrices that never are sparse as dense."""

    name = "mark-dense"

    def run(self, module: Module) -> None:
        for func in module.body:
            if func.name != "core.func":
                continue
            sparse = _Sparse(func.regions[0]).values
            for value in matrices(func.regions[0]):
                if value not in sparse and may_be_sparse(value):
                    assert isinstance(value.type, Matrix)
                    value.type = with_facts(value.type, format="dense")
                    self.count("matrices that never are sparse")


class _Sparse:
    """The values of a function that may be sparse."""

    def __init__(self, body: Region) -> None:
        self.values = {a for a in body.args if may_be_sparse(a)}
        known = -1
        while known != len(self.values):
            known = len(self.values)
            self.region(body)

    def region(self, region: Region) -> None:
        for op in region:
            if op.name == "scf.if":
                for branch in op.regions:
                    self.region(branch)
                    self.carry(branch.terminator.operands, op.results)
            elif op.name in _LOOPS:
                first = _LOOPS[op.name]
                self.carry(op.operands[first:], op.results)
                for body in op.regions:
                    self.carry(op.results, body.args[min(first, 1) :])
                    self.region(body)
                self.carry(op.regions[-1].terminator.operands, op.results)
            else:
                for result in op.results:
                    if result not in self.values and may_be_sparse(result) and self.makes(op, result):
                        self.values.add(result)

    def carry(self, given: Sequence[Value], taken: Sequence[Value]) -> None:
        for value, place in zip(given, taken, strict=True):
            if value in self.values and may_be_sparse(place):
                self.values.add(place)

    def makes(self, op: Op, result: Value) -> bool:
        """Whether an operation may make this result sparse."""
        if isinstance(op, Cell):
            return op.outputs[result.index] == "map" and may_make_sparse(op, self.values.__contains__)
        if isinstance(op, Convert):
            return True  # to dense ones have a type that says so
        if op.name in MOVES:
            return op.operands[0] in self.values
        if op.name in _JOINS:
            return any(v in self.values for v in op.operands)
        if op.name == "dml.matmul":
            return all(v in self.values for v in op.operands)
        if op.name == "dml.rand":
            return constant(op.operands[4]) != 1
        if op.name == "dml.fill":
            return constant(op.operands[0]) in (None, 0, 0.0)
        return op.name not in DENSE and op.name != "dml.undefined"
