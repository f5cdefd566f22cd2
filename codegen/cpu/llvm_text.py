"""Types and constants as LLVM writes them."""

from __future__ import annotations

import math
import struct

from sysmlc.ir.types import Type, Vector, f32, f64, i1, i32, i64, ptr

SCALARS: dict[Type, str] = {f64: "double", f32: "float", i64: "i64", i32: "i32", i1: "i1", ptr: "ptr"}


def number(value: float) -> str:
    """A double as LLVM writes it, bit for bit."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def single(value: float) -> str:
    """A number rounded to f32 as LLVM writes it: as the double it is."""
    try:
        return number(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return number(math.copysign(math.inf, value))


def is_single(kind: str) -> bool:
    """Whether `kind`, a floating-point type or a vector of one, is of f32."""
    return "float" in kind


def with_element(kind: str, element: str) -> str:
    """The type with other elements and as many lanes: `<8 x i1>` for `<8 x double>`."""
    return kind.replace("float" if is_single(kind) else "double", element)


def constant(kind: str, value: float) -> str:
    """A floating-point constant of type `kind`, in every lane of a vector."""
    element = f"float {single(value)}" if is_single(kind) else f"double {number(value)}"
    if not kind.startswith("<"):
        return element.partition(" ")[2]
    return f"splat ({element})"


def type_text(type: Type) -> str:
    if isinstance(type, Vector):
        return f"<{type.lanes} x {SCALARS[type.elem]}>"
    return SCALARS[type]


def suffix(kind: str) -> str:
    """How intrinsics name a floating-point type: `f64`, `v8f64`, `v16f32`."""
    element = "f32" if is_single(kind) else "f64"
    return f"v{kind[1:].partition(' ')[0]}{element}" if kind.startswith("<") else element
