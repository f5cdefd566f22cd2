"""How each operation of the kernel dialect is printed as LLVM text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sysmlc.codegen.cpu.llvm_text import constant, suffix, type_text
from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.kernel_lanes import pairing
from sysmlc.ir.types import Type, Vector, bytes_of, f32, f64, i1

if TYPE_CHECKING:
    from sysmlc.codegen.cpu.llvm import KernelPrinter

FIELD_OFFSETS = {
    "in": 0, "in_rs": 128, "out": 256, "out_rs": 320, "rowptr": 384, "colidx": 392, "flags": 400,
    "scratch": 400, "lengths": 408,
}  # fmt: skip
"""Of sm_cell_args; sm_row_args begins in the same way."""
ELEMENTS = {"f64": "double", "f32": "float", "i64": "i64", "i32": "i32"}

PRINTERS: dict[str, Callable[[KernelPrinter, Op], None]] = {}


def _prints(
    *names: str,
) -> Callable[[Callable[[KernelPrinter, Op], None]], Callable[[KernelPrinter, Op], None]]:
    def register(function: Callable[[KernelPrinter, Op], None]) -> Callable[[KernelPrinter, Op], None]:
        for name in names:
            PRINTERS[name] = function
        return function

    return register


@_prints("core.constant")
def _constant(p: KernelPrinter, op: Op) -> None:
    value = op.attrs["value"]
    result = op.results[0]
    assert isinstance(value, (bool, int, float))
    if result.type is i1:
        p.text[result] = "true" if value else "false"
    else:
        real = result.type is f64 or result.type is f32
        p.text[result] = constant(type_text(result.type), float(value)) if real else str(int(value))


@_prints("kernel.field")
def _field(p: KernelPrinter, op: Op) -> None:
    index = op.attrs.get("index", 0)
    assert isinstance(index, int)
    place = FIELD_OFFSETS[str(op.attrs["member"])] + 8 * index
    address = p.let(f"getelementptr i8, {p.typed(op.operands[0])}, i64 {place}")
    p.text[op.results[0]] = p.let(
        f"load {type_text(op.results[0].type)}, ptr {address}, align 8, !invariant.load !0"
    )


@_prints("kernel.offset")
def _offset(p: KernelPrinter, op: Op) -> None:
    element = ELEMENTS[str(op.attrs.get("elem", "f64"))]
    if p.text[op.operands[1]] == "0":
        p.text[op.results[0]] = p.text[op.operands[0]]
        return
    p.text[op.results[0]] = p.let(
        f"getelementptr {element}, {p.typed(op.operands[0])}, {p.typed(op.operands[1])}"
    )


@_prints("kernel.misaligned")
def _misaligned(p: KernelPrinter, op: Op) -> None:
    address = p.let(f"ptrtoint {p.typed(op.operands[0])} to i64")
    to = op.attrs["to"]
    assert isinstance(to, int)
    p.text[op.results[0]] = p.let(f"and i64 {address}, {to - 1}")


@_prints("kernel.load")
def _load(p: KernelPrinter, op: Op) -> None:
    result = op.results[0]
    address = p.typed(op.operands[0])
    if op.attrs.get("width") == "i32":
        narrow = p.let(f"load i32, {address}, align 4")
        p.text[result] = p.let(f"sext i32 {narrow} to i64")
    else:
        p.text[result] = p.let(
            f"load {type_text(result.type)}, {address}, align {_element_size(result.type)}"
        )


def _element_size(type: Type) -> int:
    return bytes_of(type.elem if isinstance(type, Vector) else type)


def _intrinsic_suffix(type: Type) -> str:
    assert isinstance(type, Vector)
    return f"v{type.lanes}{type.elem}"


@_prints("kernel.load_masked")
def _load_masked(p: KernelPrinter, op: Op) -> None:
    result = op.results[0]
    kind = type_text(result.type)
    p.text[result] = p.invoke(
        kind,
        f"llvm.masked.load.{_intrinsic_suffix(result.type)}.p0",
        p.typed(op.operands[0]),
        f"i32 {_element_size(result.type)}",
        p.typed(op.operands[1]),
        f"{kind} zeroinitializer",
    )


@_prints("kernel.store")
def _store(p: KernelPrinter, op: Op) -> None:
    value, address = op.operands
    if op.attrs.get("streaming"):
        assert isinstance(value.type, Vector)
        p.emit(
            f"store {p.typed(value)}, {p.typed(address)}, align {_element_size(value.type) * value.type.lanes}, !nontemporal !1"
        )
    else:
        p.emit(f"store {p.typed(value)}, {p.typed(address)}, align {_element_size(value.type)}")


@_prints("kernel.store_masked")
def _store_masked(p: KernelPrinter, op: Op) -> None:
    value, address, mask = op.operands
    name = f"llvm.masked.store.{_intrinsic_suffix(value.type)}.p0"
    p.invoke(
        "void", name, p.typed(value), p.typed(address), f"i32 {_element_size(value.type)}", p.typed(mask)
    )


@_prints("kernel.gather")
def _gather(p: KernelPrinter, op: Op) -> None:
    base, indices, mask = op.operands
    result = op.results[0]
    assert isinstance(result.type, Vector)
    lanes = result.type.lanes
    kind = type_text(result.type)
    elem = result.type.elem
    addresses = p.let(f"getelementptr {ELEMENTS[str(elem)]}, {p.typed(base)}, {p.typed(indices)}")
    name = f"llvm.masked.gather.v{lanes}{elem}.v{lanes}p0"
    p.text[result] = p.invoke(
        kind,
        name,
        f"<{lanes} x ptr> {addresses}",
        f"i32 {_element_size(elem)}",
        p.typed(mask),
        f"{kind} zeroinitializer",
    )


@_prints("kernel.scatter")
def _scatter(p: KernelPrinter, op: Op) -> None:
    value, base, indices, mask = op.operands
    assert isinstance(value.type, Vector)
    lanes, elem = value.type.lanes, value.type.elem
    addresses = p.let(f"getelementptr {ELEMENTS[str(elem)]}, {p.typed(base)}, {p.typed(indices)}")
    p.invoke(
        "void",
        f"llvm.masked.scatter.v{lanes}{elem}.v{lanes}p0",
        p.typed(value),
        f"<{lanes} x ptr> {addresses}",
        f"i32 {_element_size(elem)}",
        p.typed(mask),
    )


@_prints("kernel.prefetch")
def _prefetch(p: KernelPrinter, op: Op) -> None:
    locality = "i32 2" if op.attrs.get("far") else "i32 3"
    p.invoke("void", "llvm.prefetch.p0", p.typed(op.operands[0]), "i32 0", locality, "i32 1")


@_prints("kernel.fence")
def _fence(p: KernelPrinter, op: Op) -> None:
    p.invoke("void", "llvm.x86.sse.sfence")


@_prints("kernel.mask")
def _mask(p: KernelPrinter, op: Op) -> None:
    lanes = op.attrs["lanes"]
    assert isinstance(lanes, int)
    count = p.text[op.operands[0]]
    if count == str(lanes):
        p.text[op.results[0]] = "splat (i1 true)"
        return
    wide = _splat(p, f"i64 {count}", lanes)
    numbers = ", ".join(f"i64 {i}" for i in range(lanes))
    p.text[op.results[0]] = p.let(f"icmp slt <{lanes} x i64> <{numbers}>, {wide}")


def _splat(p: KernelPrinter, scalar: str, lanes: int) -> str:
    kind = f"<{lanes} x {scalar.partition(' ')[0]}>"
    if not scalar.partition(" ")[2].startswith("%"):
        return f"splat ({scalar})"
    first = p.let(f"insertelement {kind} poison, {scalar}, i32 0")
    return p.let(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")


@_prints("kernel.splat")
def _splat_op(p: KernelPrinter, op: Op) -> None:
    lanes = op.attrs["lanes"]
    assert isinstance(lanes, int)
    p.text[op.results[0]] = _splat(p, p.typed(op.operands[0]), lanes)


@_prints("kernel.iota")
def _iota(p: KernelPrinter, op: Op) -> None:
    lanes = op.attrs["lanes"]
    assert isinstance(lanes, int)
    numbers = ", ".join(f"i64 {i}" for i in range(lanes))
    wide = _splat(p, p.typed(op.operands[0]), lanes)
    p.text[op.results[0]] = p.let(f"mul <{lanes} x i64> {wide}, <{numbers}>")


@_prints("kernel.number")
def _number(p: KernelPrinter, op: Op) -> None:
    p.text[op.results[0]] = p.let(f"sitofp {p.typed(op.operands[0])} to {type_text(op.results[0].type)}")


@_prints("kernel.halves")
def _halves(p: KernelPrinter, op: Op) -> None:
    source = op.operands[0]
    assert isinstance(source.type, Vector)
    half = source.type.lanes // 2
    for k, result in enumerate(op.results):
        if half == 1:
            p.text[result] = p.let(f"extractelement {p.typed(source)}, i32 {k}")
        else:
            chosen = ", ".join(f"i32 {i + k * half}" for i in range(half))
            p.text[result] = p.let(
                f"shufflevector {p.typed(source)}, {type_text(source.type)} poison, <{half} x i32> <{chosen}>"
            )


@_prints("kernel.pair_halves")
def _pair_halves(p: KernelPrinter, op: Op) -> None:
    half = op.attrs["half"]
    assert isinstance(half, int)
    halves = _paired(p, op.results[0].type, p.text[op.operands[0]], p.text[op.operands[1]], half)
    p.text[op.results[0]], p.text[op.results[1]] = halves


def _paired(p: KernelPrinter, type: Type, a: str, b: str, half: int) -> list[str]:
    """The lower and the upper halves of the groups of two vectors: lanes of `a` move down, or those of `b` up."""
    assert isinstance(type, Vector)
    kind, lanes = type_text(type), type.lanes
    low = [k if k // half % 2 == 0 else lanes + k - half for k in range(lanes)]
    chosen = [f"<{lanes} x i32> <" + ", ".join(f"i32 {k + up}" for k in low) + ">" for up in (0, half)]
    return [p.let(f"shufflevector {kind} {a}, {kind} {b}, {c}") for c in chosen]


@_prints("kernel.lane_sums")
def _lane_sums(p: KernelPrinter, op: Op) -> None:
    type = op.results[0].type
    assert isinstance(type, Vector)
    parts = [p.text[op.operands[k]] for k in pairing(type.lanes)]
    half = type.lanes
    while (half := half // 2) > 0:
        pairs = [_paired(p, type, a, b, half) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        parts = [p.let(f"fadd {type_text(type)} {low}, {high}") for low, high in pairs]
    p.text[op.results[0]] = parts[0]


@_prints("kernel.widen", "kernel.narrow")
def _precision(p: KernelPrinter, op: Op) -> None:
    name = "fpext" if op.fn == "widen" else "fptrunc"
    p.text[op.results[0]] = p.let(f"{name} {p.typed(op.operands[0])} to {type_text(op.results[0].type)}")


@_prints("kernel.two_sum")
def _two_sum(p: KernelPrinter, op: Op) -> None:
    kind = type_text(op.operands[0].type)
    a, b = (p.text[v] for v in op.operands)
    total = p.let(f"fadd {kind} {a}, {b}")
    virtual = p.let(f"fsub {kind} {total}, {a}")
    rest = p.let(f"fsub {kind} {a}, {p.let(f'fsub {kind} {total}, {virtual}')}")
    error = p.let(f"fadd {kind} {rest}, {p.let(f'fsub {kind} {b}, {virtual}')}")
    p.text[op.results[0]], p.text[op.results[1]] = total, error


@_prints("kernel.multiply_add")
def _multiply_add(p: KernelPrinter, op: Op) -> None:
    kind = type_text(op.operands[0].type)
    a, b, c = (p.text[v] for v in op.operands)
    if p.target.fma:
        made = p.invoke(kind, f"llvm.fma.{suffix(kind)}", f"{kind} {a}", f"{kind} {b}", f"{kind} {c}")
    else:
        made = p.let(f"fadd {kind} {p.let(f'fmul {kind} {a}, {b}')}, {c}")
    p.text[op.results[0]] = made


@_prints("kernel.select")
def _select(p: KernelPrinter, op: Op) -> None:
    p.text[op.results[0]] = p.let("select " + ", ".join(p.typed(v) for v in op.operands))


@_prints("kernel.iadd", "kernel.isub", "kernel.imul", "kernel.iand", "kernel.imin")
def _integer(p: KernelPrinter, op: Op) -> None:
    a, b = (p.text[v] for v in op.operands)
    known = _known_integer(op.fn, a, b)
    if known is not None:
        p.text[op.results[0]] = known
    elif op.fn == "imin":
        p.text[op.results[0]] = p.invoke("i64", "llvm.smin.i64", f"i64 {a}", f"i64 {b}")
    else:
        p.text[op.results[0]] = p.let(f"{op.fn[1:]} i64 {a}, {b}")


def _known_integer(fn: str, a: str, b: str) -> str | None:
    """The sum or product of numbers, or one of a neutral element."""
    if fn == "imul" and "0" in (a, b):
        return "0"
    if fn in ("iadd", "imul"):
        neutral = "0" if fn == "iadd" else "1"
        if neutral in (a, b):
            return b if a == neutral else a
        if "%" not in a and "%" not in b:
            return str(int(a) + int(b) if fn == "iadd" else int(a) * int(b))
    return a if fn == "isub" and b == "0" else None


@_prints("kernel.ilt", "kernel.ige", "kernel.ieq")
def _relation(p: KernelPrinter, op: Op) -> None:
    name = {"ilt": "slt", "ige": "sge", "ieq": "eq"}[op.fn]
    a, b = (p.text[v] for v in op.operands)
    p.text[op.results[0]] = p.let(f"icmp {name} i64 {a}, {b}")


# -- control ---------------------------------------------------------------------------------------------------


def _phi(p: KernelPrinter, value: Value, cases: list[tuple[str, str]]) -> str:
    choices = ", ".join(f"[ {text}, %{block} ]" for text, block in cases)
    return f"phi {type_text(value.type)} {choices}"


@_prints("kernel.if")
def _if(p: KernelPrinter, op: Op) -> None:
    labels, after = [p.label(), p.label()], p.label()
    p.emit(f"br i1 {p.text[op.operands[0]]}, label %{labels[0]}, label %{labels[1]}")
    cases = []
    for label, region in zip(labels, op.regions, strict=True):
        p.open(label)
        values = p.region(region)
        cases.append((values, p.block))
        p.emit(f"br label %{after}")
    p.open(after)
    for k, result in enumerate(op.results):
        p.text[result] = p.let(_phi(p, result, [(values[k], block) for values, block in cases]))


@_prints("kernel.for")
def _for(p: KernelPrinter, op: Op) -> None:
    """A guarded loop with its test at the end."""
    start, stop, step = (p.text[v] for v in op.operands[:3])
    inits = [p.text[v] for v in op.operands[3:]]
    body = op.regions[0]
    loop, after, before = p.label(), p.label(), p.block
    p.emit(f"br i1 {p.let(f'icmp slt i64 {start}, {stop}')}, label %{loop}, label %{after}")
    p.open(loop)
    for arg in body.args:
        p.text[arg] = p.fresh()
    at = len(p.lines)
    yielded = p.region(body)
    counter = p.let(f"add nsw i64 {p.text[body.args[0]]}, {step}")
    again = p.let(f"icmp slt i64 {counter}, {stop}")
    end = p.block
    p.emit(f"br i1 {again}, label %{loop}, label %{after}")
    firsts, nexts = [start, *inits], [counter, *yielded]
    p.lines[at:at] = [
        f"  {p.text[arg]} = {_phi(p, arg, [(first, before), (following, end)])}"
        for arg, first, following in zip(body.args, firsts, nexts, strict=True)
    ]
    p.open(after)
    for result, init, value in zip(op.results, inits, yielded, strict=True):
        p.text[result] = p.let(_phi(p, result, [(init, before), (value, end)]))
