"""Scalar arithmetic of a program as LLVM instructions, with the semantics of the language.

Integers trap on overflow and on division by zero; `%/%` and `%%` floor; min and max propagate NaN; anything that does
not stay integer is computed in f64, with the rules of the cell kernels (llvm_arithmetic).
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

from sysmlc.ir.core import Op, Value
from sysmlc.ir.types import Type, f32, f64, i1, i32, i64

LLVM_TYPES: Final[dict[Type, str]] = {f64: "double", f32: "float", i64: "i64", i32: "i32", i1: "i1"}
_FLOAT_PREDICATE: Final = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
_INT_PREDICATE: Final = {"eq": "eq", "ne": "ne", "lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_INTRINSIC: Final = {
    "abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "exp": "exp", "log": "log", "sin": "sin", "cos": "cos",
}  # fmt: skip
_LIBM: Final = ("tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
_CHECKED: Final = {"add": "sadd", "sub": "ssub", "mul": "smul"}
_BITS: Final = {"bitand": "and", "bitor": "or", "bitxor": "xor", "shiftl": "shl", "shiftr": "ashr"}
OVERFLOW: Final = "numerical result overflow"


class Emitter(Protocol):
    """What scalar emission needs of the function printer."""

    def value(self, value: Value) -> str: ...
    def emit(self, instruction: str) -> str: ...
    def declare(self, declaration: str) -> None: ...
    def fail_if(self, condition: str, message: str, op: Op) -> None: ...


def double_text(value: float) -> str:
    """An f64 constant in LLVM's exact notation."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016x}"


def emit_scalar(e: Emitter, op: Op) -> str:
    """Emit a scalar operation; the name (or text) of its result."""
    if op.name == "dml.cast":
        return convert(e, e.value(op.operands[0]), op.operands[0].type, op.result.type)
    if len(op.operands) == 1:
        return _unary(e, op)
    if op.fn == "ifelse":
        condition = convert(e, e.value(op.operands[0]), op.operands[0].type, i1)
        a, b = (convert(e, e.value(v), v.type, op.result.type) for v in op.operands[1:])
        type = LLVM_TYPES[op.result.type]
        return e.emit(f"select i1 {condition}, {type} {a}, {type} {b}")
    return _binary(e, op)


def convert(e: Emitter, text: str, source: Type, target: Type) -> str:
    """A number as another type: f64→i64 truncates (NaN is 0, big values saturate), number→i1 is `!= 0`."""
    if source is target:
        return text
    a, b = LLVM_TYPES[source], LLVM_TYPES[target]
    if target is i1:
        zero = "0.0" if source in (f64, f32) else "0"
        return e.emit(f"{'fcmp une' if source in (f64, f32) else 'icmp ne'} {a} {text}, {zero}")
    if source is i1:
        return e.emit(f"{'uitofp' if target in (f64, f32) else 'zext'} i1 {text} to {b}")
    if source in (f64, f32) and target in (i64, i32):
        name = f"@llvm.fptosi.sat.{b}.{'f64' if source is f64 else 'f32'}"
        e.declare(f"declare {b} {name}({a})")
        return e.emit(f"call {b} {name}({a} {text})")
    if target in (f64, f32):
        step = "sitofp" if source in (i64, i32) else "fpext" if target is f64 else "fptrunc"
        return e.emit(f"{step} {a} {text} to {b}")
    return e.emit(f"{'sext' if target is i64 else 'trunc'} {a} {text} to {b}")


def _call(e: Emitter, name: str, *args: str) -> str:
    e.declare(f"declare double @{name}({', '.join(['double'] * len(args))})")
    return e.emit(f"call double @{name}({', '.join(f'double {a}' for a in args)})")


def _as_result(e: Emitter, flag: str, type: Type) -> str:
    return convert(e, flag, i1, type)


def _unary(e: Emitter, op: Op) -> str:
    fn, source, target = op.fn, op.operands[0].type, op.result.type
    text = e.value(op.operands[0])
    if fn == "not":
        flag = e.emit(f"xor i1 {convert(e, text, source, i1)}, true")
        return _as_result(e, flag, target)
    if source is i64 and target is i64:
        negated = _checked_int(e, op, "sub", "0", text)
        if fn == "neg":
            return negated
        return e.emit(f"select i1 {e.emit(f'icmp slt i64 {text}, 0')}, i64 {negated}, i64 {text}")
    x = convert(e, text, source, f64)
    if fn in ("isna", "isnan", "isinf"):
        if fn == "isinf":
            flag = e.emit(f"fcmp oeq double {_call(e, 'llvm.fabs.f64', x)}, {double_text(float('inf'))}")
        else:
            flag = e.emit(f"fcmp uno double {x}, 0.0")
        return _as_result(e, flag, target)
    if fn == "neg":
        return e.emit(f"fneg double {x}")
    if fn in _INTRINSIC:
        return _call(e, f"llvm.{_INTRINSIC[fn]}.f64", x)
    if fn in _LIBM:
        return _call(e, fn, x)
    if fn == "round":
        return _round(e, x)
    if fn == "sign":
        one = _call(e, "llvm.copysign.f64", double_text(1.0), x)
        stays = e.emit(f"fcmp ueq double {x}, 0.0")  # 0 and NaN
        return e.emit(f"select i1 {stays}, double {x}, double {one}")
    assert fn == "sigmoid", f"no scalar form of {op.name}"
    power = _call(e, "llvm.exp.f64", e.emit(f"fneg double {x}"))
    return e.emit(f"fdiv double 1.0, {e.emit(f'fadd double 1.0, {power}')}")


def _checked_int(e: Emitter, op: Op, fn: str, a: str, b: str) -> str:
    name = f"llvm.{_CHECKED[fn]}.with.overflow.i64"
    e.declare(f"declare {{i64, i1}} @{name}(i64, i64)")
    pair = e.emit(f"call {{i64, i1}} @{name}(i64 {a}, i64 {b})")
    e.fail_if(e.emit(f"extractvalue {{i64, i1}} {pair}, 1"), OVERFLOW, op)
    return e.emit(f"extractvalue {{i64, i1}} {pair}, 0")


def _floor_int(e: Emitter, op: Op, fn: str, a: str, b: str) -> str:
    zero = e.emit(f"icmp eq i64 {b}, 0")
    if fn == "mod":  # x %% 0 is 0, as x %% 1 is
        b = e.emit(f"select i1 {zero}, i64 1, i64 {b}")
    else:
        e.fail_if(zero, OVERFLOW, op)
    least = e.emit(f"icmp eq i64 {a}, {-(2**63)}")
    minus = e.emit(f"icmp eq i64 {b}, -1")
    e.fail_if(e.emit(f"and i1 {least}, {minus}"), OVERFLOW, op)
    rest = e.emit(f"srem i64 {a}, {b}")
    signs = e.emit(f"icmp slt i64 {e.emit(f'xor i64 {rest}, {b}')}, 0")
    inexact = e.emit(f"and i1 {e.emit(f'icmp ne i64 {rest}, 0')}, {signs}")
    if fn == "mod":
        return e.emit(f"select i1 {inexact}, i64 {e.emit(f'add i64 {rest}, {b}')}, i64 {rest}")
    quotient = e.emit(f"sdiv i64 {a}, {b}")
    return e.emit(f"select i1 {inexact}, i64 {e.emit(f'sub i64 {quotient}, 1')}, i64 {quotient}")


def _shift_int(e: Emitter, op: Op, fn: str, a: str, b: str) -> str:
    # As on the machine: the count is taken modulo 64.
    count = e.emit(f"and i64 {b}, 63") if fn.startswith("shift") else b
    return e.emit(f"{_BITS[fn]} i64 {a}, {count}")


def _int_binary(e: Emitter, op: Op, a: str, b: str) -> str:
    fn = op.fn
    if fn in _CHECKED:
        return _checked_int(e, op, fn, a, b)
    if fn in ("intdiv", "mod"):
        return _floor_int(e, op, fn, a, b)
    if fn in ("min", "max"):
        e.declare(f"declare i64 @llvm.s{fn}.i64(i64, i64)")
        return e.emit(f"call i64 @llvm.s{fn}.i64(i64 {a}, i64 {b})")
    return _shift_int(e, op, fn, a, b)


def _binary(e: Emitter, op: Op) -> str:
    fn, left, right = op.fn, op.operands[0].type, op.operands[1].type
    a, b = e.value(op.operands[0]), e.value(op.operands[1])
    if fn in ("and", "or", "xor"):
        a, b = convert(e, a, left, i1), convert(e, b, right, i1)
        return e.emit(f"{fn} i1 {a}, {b}")
    if fn in _FLOAT_PREDICATE:
        if left is right and left in (i64, i32):
            return e.emit(f"icmp {_INT_PREDICATE[fn]} {LLVM_TYPES[left]} {a}, {b}")
        if left is right is i1 and fn in ("eq", "ne"):
            return e.emit(f"icmp {fn} i1 {a}, {b}")
        a, b = convert(e, a, left, f64), convert(e, b, right, f64)
        return e.emit(f"fcmp {_FLOAT_PREDICATE[fn]} double {a}, {b}")
    if op.result.type is i64:
        return _int_binary(e, op, a, b)
    if fn in _BITS:
        a, b = convert(e, a, left, i64), convert(e, b, right, i64)
        return convert(e, _shift_int(e, op, fn, a, b), i64, f64)
    return _float_binary(e, op, convert(e, a, left, f64), convert(e, b, right, f64))


def _float_binary(e: Emitter, op: Op, a: str, b: str) -> str:
    fn = op.fn
    if fn in ("add", "sub", "mul", "div"):
        return e.emit(f"f{fn} double {a}, {b}")
    if fn in ("min", "max"):
        return _call(e, f"llvm.{fn}imum.f64", a, b)
    if fn == "pow":
        return _call(e, "llvm.pow.f64", a, b)
    if fn == "log_base":
        return e.emit(f"fdiv double {_call(e, 'llvm.log.f64', a)}, {_call(e, 'llvm.log.f64', b)}")
    quotient = e.emit(f"fdiv double {a}, {b}")
    if fn == "intdiv":
        return _call(e, "llvm.floor.f64", quotient)
    assert fn == "mod", f"no scalar form of {op.name}"
    return _mod(e, a, b, quotient)


def _round(e: Emitter, x: str) -> str:
    """floor(x + 0.5) without the error of the sum; NaN becomes 0."""
    low = _call(e, "llvm.floor.f64", x)
    up = e.emit(f"fcmp oge double {e.emit(f'fsub double {x}, {low}')}, 0.5")
    rounded = e.emit(f"select i1 {up}, double {e.emit(f'fadd double {low}, 1.0')}, double {low}")
    return e.emit(f"select i1 {e.emit(f'fcmp uno double {x}, 0.0')}, double 0.0, double {rounded}")


def _mod(e: Emitter, x: str, y: str, quotient: str) -> str:
    """x - floor(x / y) * y; 0 where the quotient is no longer an exact integer; x or y when y is infinite."""
    infinity = double_text(float("inf"))
    floor = _call(e, "llvm.floor.f64", quotient)
    plain = e.emit(f"fsub double {x}, {e.emit(f'fmul double {floor}, {y}')}")
    size = _call(e, "llvm.fabs.f64", quotient)
    huge = e.emit(f"fcmp oge double {size}, {double_text(2.0**53)}")
    clamp = e.emit(f"and i1 {huge}, {e.emit(f'fcmp one double {size}, {infinity}')}")
    clamped = e.emit(f"select i1 {clamp}, double 0.0, double {plain}")
    endless = e.emit(f"fcmp oeq double {_call(e, 'llvm.fabs.f64', y)}, {infinity}")
    inside = e.emit(f"fcmp one double {_call(e, 'llvm.fabs.f64', x)}, {infinity}")
    # x / ±Inf is ±0: its floor is 0 for equal signs and -1 for different ones.
    opposite = e.emit(f"fcmp olt double {e.emit(f'fmul double {x}, {y}')}, 0.0")
    wrapped = e.emit(f"select i1 {opposite}, double {y}, double {x}")
    return e.emit(f"select i1 {e.emit(f'and i1 {endless}, {inside}')}, double {wrapped}, double {clamped}")
