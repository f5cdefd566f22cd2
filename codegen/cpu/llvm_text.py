"""Types and constants as LLVM writes them."""

from __future__ import annotations

import struct

from sysmlc.ir.types import Type, Vector, f64, i1, i32, i64, ptr

SCALARS: dict[Type, str] = {f64: "double", i64: "i64", i32: "i32", i1: "i1", ptr: "ptr"}


def number(value: float) -> str:
    """A double as LLVM writes it, bit for bit."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def type_text(type: Type) -> str:
    if isinstance(type, Vector):
        return f"<{type.lanes} x {SCALARS[type.elem]}>"
    return SCALARS[type]


def repeated(element: str, type: Type) -> str:
    """A vector constant with `element` in every lane."""
    assert isinstance(type, Vector)
    return "<" + ", ".join([element] * type.lanes) + ">"


def suffix(kind: str) -> str:
    """How intrinsics name a floating-point type: `f64`, `v8f64`."""
    return "f64" if kind == "double" else f"v{kind[1:].partition(' ')[0]}f64"
