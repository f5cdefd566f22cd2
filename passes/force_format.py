"""Every matrix in a format that was asked for, whatever it costs: to search for defects, not to run programs.

A conversion follows wherever a matrix comes from (an operation, a loop, a call), so every operation gets its operands in
that format. Matrices with one column are always dense.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import Convert
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, matrix
from sysmlc.passes.select_format import matrices

FORCED = {"dense": ("dense",), "csr": ("csr",), "alternating": ("csr", "dense", "dense", "csr")}


@register_pass
@dataclass(frozen=True)
class ForceFormat(Pass):
    """Convert every matrix to `format` (dense, csr, or alternating between them) where it is made."""

    name = "force-format"
    format: str = "csr"

    def run(self, module: Module) -> None:
        if self.format not in FORCED:
            raise Diagnostic(f"force-format makes matrices {', '.join(FORCED)}, not '{self.format}'")
        formats = cycle(FORCED[self.format])
        functions = [f for f in module.body if f.name == "core.func"]
        for func in functions:
            for value in matrices(func.regions[0]):
                assert isinstance(value.type, Matrix)
                value.type = matrix(value.type.rows, value.type.cols, value.type.elem, value.type.nnz)
        for func in functions:
            for value in list(matrices(func.regions[0])):
                self._convert(value, next(formats))

    def _convert(self, value: Value, format: str) -> None:
        if not value.uses or (value.op is not None and value.op.name == "dml.undefined"):
            return
        after = value.op
        if after is not None:
            b = Builder.before(after)
            made = b.op(Convert, value, format=format)
            assert after.parent is not None
            after.parent.insert_after(after, made.detach())
        else:
            assert value.region is not None
            made = Builder(value.region, value.region.first).op(Convert, value, format=format)
        made.results[0].name = value.name
        for user, i in list(value.uses):
            if user is not made:
                user.set_operand(i, made.results[0])
        self.count("matrices converted")
