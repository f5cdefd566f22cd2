"""Turn what is left of the logical level into runtime calls.

`dml.foo` becomes a call of `sm_foo(operands…, attributes…)` in the order of its definition; operations whose C name or
arguments depend on types are listed in `_SPECIAL`. Scalar arithmetic stays and is printed as machine arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.define import definitions
from sysmlc.ir.dialects.core import Constant, Module, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.rt import Field, GetCell, RtCall, SetCell
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, Type, f32, f64, i1, i32, i64, string

NUMBERS: Final = (f64, f32, i64, i32, i1)
PROGRAM_DIALECTS: Final = frozenset({"core", "scf", "rt", "kernel"})
_ZERO: Final[dict[Type, bool | int | float]] = {f64: 0.0, i64: 0, i1: False}


@register_pass
class LowerProgram(Pass):
    """Turn library operations into calls of the native runtime."""

    name = "lower-program"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name == "core.func":
                for op in list(func.regions[0].walk()):
                    if op.parent is not None:
                        self._lower(op)

    def _lower(self, op: Op) -> None:
        if op.dialect in PROGRAM_DIALECTS or is_scalar(op):
            return
        special = _SPECIAL.get(op.name)
        if special is not None:
            replacement = special(Builder.before(op), op)
        elif op.dialect != "dml" or (
            ("cellwise" in op.traits) and any(v.type is not string for v in op.operands)
        ):
            raise AssertionError(f"{op.name} must be lowered to a kernel before lower-program")
        elif "cellwise" in op.traits:
            replacement = _compare_strings(Builder.before(op), op)
        else:
            replacement = _library_call(Builder.before(op), op)
        self.count("runtime calls")
        op.replace_by(replacement)


def is_scalar(op: Op) -> bool:
    """Whether the operation is arithmetic on numbers, which code generation prints in place."""
    return (
        ("cellwise" in op.traits or op.name == "dml.cast")
        and all(v.type in NUMBERS for v in op.operands)
        and all(r.type in NUMBERS for r in op.results)
    )


def _call(b: Builder, op: Op, callee: str, args: Sequence[Value], **attrs: Any) -> Sequence[Value]:
    return b.op(RtCall, args, callee=callee, types=[r.type for r in op.results], **attrs).results


def _library_call(b: Builder, op: Op) -> Sequence[Value]:
    extra = tuple(op.attrs.get(a.name, a.default) for a in definitions[type(op)].attrs)
    return _call(b, op, f"sm_{op.fn}", op.operands, extra=extra, takes=op.consumes)


def type_suffix(type: Type) -> str:
    """How the runtime's functions name a type."""
    return "matrix" if isinstance(type, Matrix) else str(type)


def _by_result_type(b: Builder, op: Op) -> Sequence[Value]:
    type = op.result.type
    extra = (op.attrs["name_"], *((str(type.elem),) if isinstance(type, Matrix) else ()))
    return _call(b, op, f"sm_{op.fn}_{type_suffix(type)}", (), extra=extra)


def _undefined(b: Builder, op: Op) -> Sequence[Value]:
    type = op.result.type
    if type in _ZERO:
        return (b(Constant, value=_ZERO[type]),)
    if type is string:
        return (b(Constant, value=""),)
    return _call(b, op, f"sm_undefined_{type_suffix(type)}", ())


def _output(b: Builder, op: Op) -> Sequence[Value]:
    suffix = type_suffix(op.operands[0].type)
    return _call(b, op, f"sm_output_{suffix}", op.operands, extra=(op.attrs["name_"],))


def _read_scalar(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, f"sm_read_{type_suffix(op.result.type)}", op.operands)


def _write_scalar(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, f"sm_write_{type_suffix(op.operands[0].type)}", op.operands)


def _cast(b: Builder, op: Op) -> Sequence[Value]:
    source, target = op.operands[0].type, op.result.type
    if source is target:
        return (op.operands[0],)
    return _call(b, op, f"sm_cast_{type_suffix(source)}_{type_suffix(target)}", op.operands)


def _bind(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, f"sm_{op.fn}", op.operands, pack="matrices")


def _matmul_shared(b: Builder, op: Op) -> Sequence[Value]:
    extra = (op.attrs.get("transpose", ""),)
    return _call(
        b, op, "sm_matmul_shared", op.operands, pack="matrices", pack_from=1, extra=extra, pack_results=True
    )


def _format(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, "sm_format", op.operands, pack="values", pack_from=1)


def _require_fit(b: Builder, op: Op) -> Sequence[Value]:
    extra = (op.attrs["rule"], op.attrs["what"])
    return _call(b, op, "sm_require_fit", op.operands, pack="values", extra=extra)


def _list_new(b: Builder, op: Op) -> Sequence[Value]:
    names = op.attrs.get("names_", ())
    return _call(b, op, "sm_list_new", op.operands, pack="values", named=True, names_=names)


def _length(b: Builder, op: Op) -> Sequence[Value]:
    (x,) = op.operands
    return (b(Binary, "mul", b(Field, x, field="rows"), b(Field, x, field="cols")),)


def _convert(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, f"sm_to_{op.attrs['format']}", op.operands)


def _recast(b: Builder, op: Op) -> Sequence[Value]:
    return _call(b, op, f"sm_to_{op.attrs['elem']}", op.operands)


def _compare_strings(b: Builder, op: Op) -> Sequence[Value]:
    order = b.op(RtCall, op.operands, callee="sm_string_compare", types=[i64]).result
    return (b(Binary, op.fn, order, b(Constant, value=0)),)


def _choose(b: Builder, op: Op) -> Sequence[Value]:
    """ifelse of whole objects: a branch, so that both sides may be owned."""
    condition, a, c = op.operands
    if condition.type not in NUMBERS:
        raise AssertionError("dml.ifelse over matrices must be lowered to a kernel before lower-program")
    if condition.type is not i1:
        zero: int | float = 0 if condition.type is i64 else 0.0
        condition = b(Binary, "ne", condition, b(Constant, value=zero))
    regions = []
    for value in (a, c):
        region = Region()
        Builder(region, loc=op.loc).op(Yield, [value])
        regions.append(region)
    return b.op(If, condition, types=[op.result.type], regions=regions).results


_SPECIAL: Final[dict[str, Callable[[Builder, Op], Sequence[Value]]]] = {
    "dml.nrow": lambda b, op: (b(Field, op.operands[0], field="rows"),),
    "dml.ncol": lambda b, op: (b(Field, op.operands[0], field="cols"),),
    "dml.length": _length,
    "dml.get_cell": lambda b, op: (b(GetCell, *op.operands),),
    "dml.set_cell": lambda b, op: (b(SetCell, *op.operands),),
    "dml.cbind": _bind,
    "dml.rbind": _bind,
    "dml.matmul_shared": _matmul_shared,
    "dml.format": _format,
    "dml.list_new": _list_new,
    "dml.require_fit": _require_fit,
    "dml.cast": _cast,
    "dml.ifelse": _choose,
    "dml.arg": _by_result_type,
    "dml.input": _by_result_type,
    "dml.undefined": _undefined,
    "dml.output": _output,
    "dml.read_scalar": _read_scalar,
    "dml.write_scalar": _write_scalar,
    "fused.convert": _convert,
    "fused.recast": _recast,
}
