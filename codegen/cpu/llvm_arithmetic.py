"""Cellwise operations that are a few instructions, on f64, f32 and vectors of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sysmlc.codegen.cpu.llvm_text import constant as _constant
from sysmlc.codegen.cpu.llvm_text import is_single, suffix, with_element

if TYPE_CHECKING:
    from sysmlc.codegen.cpu.llvm import KernelPrinter

RELATIONS = {
    "eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "isna": "uno", "isnan": "uno",
}  # fmt: skip
"""Comparisons; isna and isnan compare a value with itself."""

Inline = Callable[..., str]


def _splat(kind: str, element: str) -> str:
    """A constant of `kind`."""
    if not kind.startswith("<"):
        return element.partition(" ")[2]
    return f"splat ({element})"


def _flags(kind: str) -> str:
    return with_element(kind, "i1")


def _integers(kind: str) -> str:
    return with_element(kind, "i64")


def _instruction(name: str) -> Inline:
    # Exactly what is written, without contraction: fusing cells must not change what they compute.
    return lambda p, kind, a, b: p.let(f"{name} {kind} {a}, {b}")


def _intrinsic(name: str) -> Inline:
    return lambda p, kind, a: p.intrinsic(kind, name, a)


def _choose(p: KernelPrinter, kind: str, flag: str, a: str, b: str) -> str:
    return p.let(f"select {_flags(kind)} {flag}, {kind} {a}, {kind} {b}")


def _extreme(relation: str) -> Inline:
    def inline(p: KernelPrinter, kind: str, a: str, b: str) -> str:
        # One minimum instruction gives b when either is NaN; a NaN in a is put back.
        chosen = _choose(p, kind, p.let(f"fcmp {relation} {kind} {a}, {b}"), a, b)
        return _choose(p, kind, p.let(f"fcmp uno {kind} {a}, {a}"), a, chosen)

    return inline


def _sign(p: KernelPrinter, kind: str, x: str) -> str:
    one = p.intrinsic(kind, "copysign", _constant(kind, 1.0), x)
    nonzero = p.let(f"fcmp one {kind} {x}, {_constant(kind, 0.0)}")
    return _choose(p, kind, nonzero, one, x)


def _round(p: KernelPrinter, kind: str, x: str) -> str:
    """floor(x + 0.5) without the error of the sum; NaN becomes 0."""
    low = p.intrinsic(kind, "floor", x)
    rest = p.let(f"fsub {kind} {x}, {low}")
    up = p.let(f"fcmp oge {kind} {rest}, {_constant(kind, 0.5)}")
    rounded = _choose(p, kind, up, p.let(f"fadd {kind} {low}, {_constant(kind, 1.0)}"), low)
    return _choose(p, kind, p.let(f"fcmp uno {kind} {x}, {x}"), _constant(kind, 0.0), rounded)


def _intdiv(p: KernelPrinter, kind: str, x: str, y: str) -> str:
    return p.intrinsic(kind, "floor", p.let(f"fdiv {kind} {x}, {y}"))


def _mod(p: KernelPrinter, kind: str, x: str, y: str) -> str:
    """x - floor(x / y) * y with both roundings; 0 where the quotient is no longer an exact integer; x or y when y is infinite."""
    quotient = p.let(f"fdiv {kind} {x}, {y}")
    floor = p.intrinsic(kind, "floor", quotient)
    plain = p.let(f"fsub {kind} {x}, {p.let(f'fmul {kind} {floor}, {y}')}")
    size = p.intrinsic(kind, "fabs", quotient)
    infinity = _constant(kind, float("inf"))
    huge = p.let(f"fcmp oge {kind} {size}, {_constant(kind, 2.0**24 if is_single(kind) else 2.0**53)}")
    finite = p.let(f"fcmp one {kind} {size}, {infinity}")
    flags = _flags(kind)
    clamped = _choose(p, kind, p.let(f"and {flags} {huge}, {finite}"), _constant(kind, 0.0), plain)
    endless = p.let(f"fcmp oeq {kind} {p.intrinsic(kind, 'fabs', y)}, {infinity}")
    # x / ±Inf is ±0: its floor is 0 for equal signs and -1 for different ones.
    inside = p.let(f"fcmp one {kind} {p.intrinsic(kind, 'fabs', x)}, {infinity}")
    product = p.let(f"fmul {kind} {x}, {y}")
    opposite = p.let(f"fcmp olt {kind} {product}, {_constant(kind, 0.0)}")
    wrapped = _choose(p, kind, opposite, y, x)
    return _choose(p, kind, p.let(f"and {flags} {endless}, {inside}"), wrapped, clamped)


def _to_integer(p: KernelPrinter, kind: str, x: str) -> str:
    whole = _integers(kind)
    lanes = f"v{kind[1:].partition(' ')[0]}" if kind.startswith("<") else ""
    return p.invoke(whole, f"llvm.fptosi.sat.{lanes}i64.{suffix(kind)}", f"{kind} {x}")


def _bitwise(name: str) -> Inline:
    def inline(p: KernelPrinter, kind: str, x: str, y: str) -> str:
        whole = _integers(kind)
        a, b = _to_integer(p, kind, x), _to_integer(p, kind, y)
        if name in ("shl", "ashr"):
            b = p.let(f"and {whole} {b}, {_splat(whole, 'i64 63')}")
        return p.let(f"sitofp {whole} {p.let(f'{name} {whole} {a}, {b}')} to {kind}")

    return inline


UNARY: dict[str, Inline] = {
    "neg": lambda p, kind, a: p.let(f"fneg {kind} {a}"),
    "abs": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _round,
    "sign": _sign,
}
BINARY: dict[str, Inline] = {
    "add": _instruction("fadd"),
    "sub": _instruction("fsub"),
    "mul": _instruction("fmul"),
    "div": lambda p, kind, a, b: p.let(f"fdiv {kind} {a}, {b}"),
    "min": _extreme("olt"),
    "max": _extreme("ogt"),
    "mod": _mod,
    "intdiv": _intdiv,
    "bitand": _bitwise("and"),
    "bitor": _bitwise("or"),
    "bitxor": _bitwise("xor"),
    "shiftl": _bitwise("shl"),
    "shiftr": _bitwise("ashr"),
}
