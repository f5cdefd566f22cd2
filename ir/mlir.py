"""Export in MLIR's generic form, for tools of that world: `mlir-opt --allow-unregistered-dialect` reads it.

Operations keep their names, types that MLIR does not have become `!sysmlc.…`.
"""

from __future__ import annotations

import math
import struct

from sysmlc.ir.core import AttrValue, Op, Region
from sysmlc.ir.printer import Printer
from sysmlc.ir.source import UNKNOWN, Location
from sysmlc.ir.types import Scalar, Type, Vector, string


def to_mlir(op: Op, *, locations: bool = False) -> str:
    """The operation and all it contains in MLIR's generic form."""
    return _MlirPrinter(locations).text(op)


def type_text(type: Type) -> str:
    """A type as MLIR writes it."""
    if isinstance(type, Vector):
        return f"vector<{type.lanes}x{type_text(type.elem)}>"
    return type.text if isinstance(type, Scalar) and type is not string else f"!sysmlc.{type.text}"


def attr_text(value: AttrValue) -> str:
    """An attribute as MLIR writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value} : i64"
    if isinstance(value, float):
        return f"{_float_text(value)} : f64"
    if isinstance(value, str):
        return _quoted(value)
    return f"[{', '.join(attr_text(v) for v in value)}]"


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    mantissa, e, exponent = repr(value).partition("e")
    return (mantissa if "." in mantissa else mantissa + ".0") + e + exponent


def _quoted(text: str) -> str:
    plain = (
        chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in text.encode("utf-8", "replace")
    )
    return f'"{"".join(plain)}"'


class _MlirPrinter(Printer):
    def location(self, loc: Location) -> str:
        return "loc(unknown)" if loc is UNKNOWN else f"loc({_quoted(loc.source.name)}:{loc.line}:{loc.col})"

    def op(self, op: Op, indent: str) -> None:
        operands = ", ".join(self.name(v) for v in op.operands)
        results = ", ".join(self.name(r) for r in op.results)
        head = f'{indent}{results}{" = " if results else ""}"{op.name}"({operands})'
        tail = ""
        if op.attrs:
            tail += f" {{{', '.join(f'{k} = {attr_text(v)}' for k, v in op.attrs.items())}}}"
        inputs = ", ".join(type_text(v.type) for v in op.operands)
        outputs = ", ".join(type_text(r.type) for r in op.results)
        tail += f" : ({inputs}) -> {outputs if len(op.results) == 1 else f'({outputs})'}"
        if self.locations:
            tail += f" {self.location(op.loc)}"
        if not op.regions:
            self.lines.append(head + tail)
            return
        with self.scope(op):
            separator = " ("
            for region in op.regions:
                self.lines.append(f"{head}{separator}{{")
                self.block(region, indent)
                head, separator = f"{indent}}}", ", "
        self.lines.append(f"{head}){tail}")

    def block(self, region: Region, indent: str) -> None:
        if region.args:
            args = ", ".join(f"{self.name(a)}: {type_text(a.type)}" for a in region.args)
            self.lines.append(f"{indent}^bb0({args}):")
        self.region(region, indent + "  ")
