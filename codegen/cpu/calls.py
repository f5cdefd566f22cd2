"""How a program uses the runtime: calls, kernel launches, cell access, ownership. Part of the program printer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from sysmlc.codegen.cpu.scalars import LLVM_TYPES, convert, double_text
from sysmlc.codegen.cpu.tables import Tables
from sysmlc.ir.core import Op, Value
from sysmlc.ir.source import Location
from sysmlc.ir.types import Matrix, Type, box, f32, f64, i1, i64, list_, string

# Offsets in sm_object and sm_matrix; a test compares them with the header.
HOLDS: Final = 6
ROWS, COLS, NNZ, LAYOUT, DATA = 32, 40, 48, 56, 64
DENSE: Final = 0x00FFFF  # of the i32 at LAYOUT: the byte elem is that of the type, the byte format is 0 ...
WRITABLE: Final = 0x01FFFF  # ... and so is the read-only flag
TAGS: Final[dict[Type, int]] = {f64: 0, i64: 2, i1: 3, string: 4, list_: 5, box: 6}
MATRIX_TAG: Final = 1
RARE_ELSE: Final = "!prof !1"


class Printer(Protocol):
    """What this part needs of the function printer."""

    tables: Tables
    names: dict[Value, str]
    block: str
    stored: int | None
    cold: list[str]

    def fresh(self, stem: str = "v") -> str: ...
    def emit(self, instruction: str) -> str: ...
    def do(self, instruction: str) -> None: ...
    def label(self, name: str) -> None: ...
    def declare(self, declaration: str) -> None: ...
    def stack(self, type: str) -> str: ...
    def value(self, value: Value) -> str: ...
    def place(self, loc: Location) -> None: ...
    def fail_if(self, condition: str, message: str, op: Op) -> None: ...


def llvm_type(type: Type) -> str:
    """How a value of this type is passed around in generated code."""
    return LLVM_TYPES.get(type, "ptr")


def c_type(type: Type) -> str:
    """How a value of this type is passed to and from C."""
    return "i32" if type is i1 else llvm_type(type)


def address(p: Printer, base: str, offset: int) -> str:
    return p.emit(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")


def load(p: Printer, type: str, base: str, offset: int) -> str:
    return p.emit(
        f"load {type}, ptr {address(p, base, offset)}, align {2 if type == 'i16' else 4 if type == 'i32' else 8}"
    )


def to_c(p: Printer, value: Value) -> str:
    """A value as a C argument, with its type."""
    text = p.value(value)
    return (
        f"i32 {p.emit(f'zext i1 {text} to i32')}" if value.type is i1 else f"{llvm_type(value.type)} {text}"
    )


def from_c(p: Printer, text: str, type: Type) -> str:
    return p.emit(f"icmp ne i32 {text}, 0") if type is i1 else text


def _extra(p: Printer, item: Any) -> str:
    if isinstance(item, bool):
        return f"i32 {int(item)}"
    if isinstance(item, int):
        return f"i64 {item}"
    if isinstance(item, float):
        return f"double {double_text(item)}"
    assert isinstance(item, str)
    return f"ptr {p.tables.text(item)}"


def _bits(p: Printer, value: Value) -> str:
    """The payload of a tagged value."""
    text = p.value(value)
    if value.type is f64:
        return p.emit(f"bitcast double {text} to i64")
    if value.type is i64:
        return text
    return p.emit(f"{'zext i1' if value.type is i1 else 'ptrtoint ptr'} {text} to i64")


def _tagged(p: Printer, values: Sequence[Value]) -> str:
    """An array of sm_arg on the stack."""
    array = p.stack(f"[{max(1, len(values))} x %sm_arg]")
    for i, value in enumerate(values):
        tag = MATRIX_TAG if isinstance(value.type, Matrix) else TAGS[value.type]
        p.do(f"store i64 {tag}, ptr {address(p, array, 16 * i)}, align 8")
        p.do(f"store i64 {_bits(p, value)}, ptr {address(p, array, 16 * i + 8)}, align 8")
    return array


def _pointers(p: Printer, values: Sequence[str]) -> str:
    array = p.stack(f"[{max(1, len(values))} x ptr]")
    for i, value in enumerate(values):
        p.do(f"store ptr {value}, ptr {address(p, array, 8 * i)}, align 8")
    return array


def runtime_call(p: Printer, op: Op) -> None:
    a = op.attrs
    split = int(a.get("pack_from", 0)) if a.get("pack") else len(op.operands)  # type: ignore[arg-type]
    args = ["ptr %ctx", *(to_c(p, value) for value in op.operands[:split])]
    if a.get("pack"):
        packed = op.operands[split:]
        array = _tagged(p, packed) if a["pack"] == "values" else _pointers(p, [p.value(v) for v in packed])
        args += [f"i64 {len(packed)}", f"ptr {array}"]
        if a.get("named"):
            args.append(f"ptr {p.tables.texts([str(n) for n in a.get('names_', ())])}")  # type: ignore[union-attr]
    extra: Any = a.get("extra", ())
    args += [_extra(p, item) for item in extra]
    returns = len(op.results) == 1 and not a.get("pack_results")
    slots = [] if returns else [p.stack(c_type(r.type)) for r in op.results]
    args += [f"ptr {s}" for s in ([_pointers(p, slots)] if a.get("pack_results") else slots)]
    p.place(op.loc)
    result = c_type(op.results[0].type) if returns else "void"
    made = _call(p, result, str(a["callee"]), args)
    if returns:
        p.names[op.results[0]] = from_c(p, made, op.results[0].type)
    for value, slot in zip(op.results if slots else (), slots, strict=True):
        p.names[value] = from_c(p, p.emit(f"load {c_type(value.type)}, ptr {slot}, align 8"), value.type)


def _call(p: Printer, result: str, callee: str, args: Sequence[str]) -> str:
    types = ", ".join(a.partition(" ")[0] for a in args)
    p.declare(f"declare {result} @{callee}({types})")
    text = f"call {result} @{callee}({', '.join(args)})"
    if result == "void":
        p.do(text)
        return ""
    return p.emit(text)


def launch(p: Printer, op: Op) -> None:
    values = []
    for value in op.operands:
        values.append(value if isinstance(value.type, Matrix) or value.type is f64 else _as_f64(p, value))
    args = _tagged(p, values)
    slots = [p.stack(c_type(r.type)) for r in op.results]
    p.place(op.loc)
    kernel = f'@"kernel.{op.attrs["kernel"]}"'
    if op.name == "rt.launch_outer":
        plan = p.tables.text(str(op.attrs["plan"]))
        parts = ["ptr %ctx", f"ptr {kernel}", f"ptr {plan}", f"ptr {args}", f"ptr {_pointers(p, slots)}"]
        _call(p, "void", "sm_launch_outer", parts)
    else:
        reuse: Any = op.attrs.get("reuse", ())
        mask = sum(1 << i for i in reuse)
        parts = ["ptr %ctx", f"ptr {kernel}", f"ptr {args}", f"i32 {mask}", f"ptr {_pointers(p, slots)}"]
        _call(p, "void", f"sm_launch_{op.attrs.get('template', 'cell')}", parts)
    for value, slot in zip(op.results, slots, strict=True):
        p.names[value] = p.emit(f"load {c_type(value.type)}, ptr {slot}, align 8")


def _as_f64(p: Printer, value: Value) -> Value:
    made = Value(f64, value.owner, value.index)
    p.names[made] = convert(p, p.value(value), value.type, f64)
    return made


def field(p: Printer, op: Op) -> None:
    offset = ROWS if op.attrs["field"] == "rows" else COLS
    p.names[op.result] = load(p, "i64", p.value(op.operands[0]), offset)


def _single(value: Value) -> bool:
    return isinstance(value.type, Matrix) and value.type.elem is f32


def _cell(p: Printer, m: str, i: str, j: str, mask: int, single: bool) -> tuple[str, str, str]:
    """(i1: plain access is possible, row, column), both 0-based."""
    layout = p.emit(f"and i32 {load(p, 'i32', m, LAYOUT)}, {mask}")
    row, col = p.emit(f"sub i64 {i}, 1"), p.emit(f"sub i64 {j}, 1")
    inside = p.emit(f"icmp ult i64 {row}, {load(p, 'i64', m, ROWS)}")
    across = p.emit(f"icmp ult i64 {col}, {load(p, 'i64', m, COLS)}")
    plain = p.emit(
        f"and i1 {p.emit(f'icmp eq i32 {layout}, {int(single)}')}, {p.emit(f'and i1 {inside}, {across}')}"
    )
    return plain, row, col


def _cell_address(p: Printer, m: str, row: str, col: str, kind: str) -> str:
    start = p.emit(f"mul i64 {row}, {load(p, 'i64', m, COLS)}")
    at = p.emit(f"add i64 {start}, {col}")
    return p.emit(f"getelementptr inbounds {kind}, ptr {load(p, 'ptr', m, DATA)}, i64 {at}")


def _slow(p: Printer, op: Op, result: str, callee: str, args: Sequence[str], join: str) -> tuple[str, str]:
    """A cold block that makes the call and goes on at `join`; (its label, the result)."""
    label, name = p.fresh("slow"), f"%{p.fresh('s')}"
    p.declare(f"declare {result} @{callee}({', '.join(a.partition(' ')[0] for a in args)})")
    p.cold += [
        f"{label}:",
        f"  store i32 {p.tables.location(op.loc)}, ptr %ctx",
        f"  {name} = call {result} @{callee}({', '.join(args)})",
        f"  br label %{join}",
    ]
    return label, name


def get_cell(p: Printer, op: Op) -> None:
    m, i, j = (p.value(v) for v in op.operands)
    single = _single(op.operands[0])
    plain, row, col = _cell(p, m, i, j, DENSE, single)
    fast, join = p.fresh("fast"), p.fresh("join")
    slow, other = _slow(
        p, op, "double", "sm_get_cell", ["ptr %ctx", f"ptr {m}", f"i64 {i}", f"i64 {j}"], join
    )
    p.do(f"br i1 {plain}, label %{fast}, label %{slow}, {RARE_ELSE}")
    p.label(fast)
    if single:
        cell = p.emit(f"load float, ptr {_cell_address(p, m, row, col, 'float')}, align 4")
        found = p.emit(f"fpext float {cell} to double")
    else:
        found = p.emit(f"load double, ptr {_cell_address(p, m, row, col, 'double')}, align 8")
    p.do(f"br label %{join}")
    p.label(join)
    p.names[op.result] = p.emit(f"phi double [ {found}, %{fast} ], [ {other}, %{slow} ]")


def set_cell(p: Printer, op: Op) -> None:
    m, value, i, j = (p.value(v) for v in op.operands)
    single = _single(op.operands[0])
    plain, row, col = _cell(p, m, i, j, WRITABLE, single)
    alone = p.emit(f"icmp eq i32 {load(p, 'i32', m, 0)}, 1")
    free = p.emit(f"icmp eq i16 {load(p, 'i16', m, HOLDS)}, 0")
    plain = p.emit(f"and i1 {plain}, {p.emit(f'and i1 {alone}, {free}')}")
    fast, join = p.fresh("fast"), p.fresh("join")
    args = ["ptr %ctx", f"ptr {m}", f"double {value}", f"i64 {i}", f"i64 {j}"]
    slow, other = _slow(p, op, "ptr", "sm_set_cell", args, join)
    p.do(f"br i1 {plain}, label %{fast}, label %{slow}, {RARE_ELSE}")
    p.label(fast)
    if single:
        cell = p.emit(f"fptrunc double {value} to float")
        p.do(f"store float {cell}, ptr {_cell_address(p, m, row, col, 'float')}, align 4")
    else:
        p.do(f"store double {value}, ptr {_cell_address(p, m, row, col, 'double')}, align 8")
    p.do(f"store i64 -1, ptr {address(p, m, NNZ)}, align 8")
    p.do(f"br label %{join}")
    p.label(join)
    p.names[op.result] = p.emit(f"phi ptr [ {m}, %{fast} ], [ {other}, %{slow} ]")


def settle(p: Printer, op: Op) -> None:
    p.place(op.loc)
    _call(p, "void", "sm_settle", ["ptr %ctx", f"ptr {p.value(op.operands[0])}"])


def retain(p: Printer, op: Op) -> None:
    p.do(f"atomicrmw add ptr {p.value(op.operands[0])}, i32 1 monotonic")


def release(p: Printer, op: Op) -> None:
    _call(p, "void", "sm_release", ["ptr %ctx", f"ptr {p.value(op.operands[0])}"])


PRINTERS: Final[dict[str, Callable[[Any, Op], None]]] = {
    "rt.call": runtime_call,
    "rt.launch": launch,
    "rt.launch_outer": launch,
    "rt.field": field,
    "rt.get_cell": get_cell,
    "rt.set_cell": set_cell,
    "rt.settle": settle,
    "rt.retain": retain,
    "rt.release": release,
}
