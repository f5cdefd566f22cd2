"""Choose what the cells of matrices are: f64, or f32 for single precision.

A physical choice, like a format: algebra has done its work, on numbers. From here on every matrix has elements of the type that is
chosen here, and scalars stay f64. Operations whose definition has the trait `f32` take such matrices as they are. The others
compute in f64, between conversions that everybody can see:

    %y = dml.order %x, …                       %w = fused.recast %x {elem = "f64"}
                                          →    %o = dml.order %w, …
                                               %y = fused.recast %o {elem = "f32"}
"""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.define import definitions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_scalar import Undefined
from sysmlc.ir.dialects.fused import Recast
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, f32, matrix

STRUCTURE = frozenset({"core", "scf"})


@register_pass
@dataclass(frozen=True)
class SetPrecision(Pass):
    """Let matrices hold f32; what cannot compute with them gets conversions."""

    name = "set-precision"
    elem: str = "f32"

    def run(self, module: Module) -> None:
        if self.elem == "f64":
            return
        if self.elem != "f32":
            raise Diagnostic(f"set-precision: elem is f64 or f32, not '{self.elem}'")
        for func in module.body:
            if func.name != "core.func":
                continue
            for op in list(func.walk()):
                if op.dialect == "fused":
                    raise op.error("is there already: set-precision comes before fusion")
                self._set(op)
            for region in func.regions:
                _narrow(region.args)

    def _set(self, op: Op) -> None:
        for region in op.regions:
            _narrow(region.args)
        if op.dialect in STRUCTURE or "f32" in op.traits:
            if "elem" in definitions[type(op)].defaults:
                op.attrs["elem"] = "f32"
            _narrow(op.results)
            return
        before, after = Builder.before(op), Builder.after(op)
        for i, value in enumerate(op.operands):
            if isinstance(value.type, Matrix) and value.type.elem is f32:
                op.set_operand(i, _widened(before, value))
                self.count("conversions")
        for result in op.results:
            if isinstance(result.type, Matrix):
                uses = list(result.uses)
                converted = after(Recast, result, elem="f32")
                converted.name = result.name
                for user, i in uses:
                    user.set_operand(i, converted)
                self.count("conversions")


def _single(type: Type) -> Type:
    if not isinstance(type, Matrix):
        return type
    return matrix(type.rows, type.cols, f32, type.nnz, type.format)


def _narrow(values: list[Value]) -> None:
    for value in values:
        value.type = _single(value.type)


def _widened(b: Builder, value: Value) -> Value:
    if value.op is not None and value.op.name == "dml.undefined":
        assert isinstance(value.type, Matrix)
        return b(Undefined, types=[matrix(value.type.rows, value.type.cols)])
    return b(Recast, value, elem="f64")
