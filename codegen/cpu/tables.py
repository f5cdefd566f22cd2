"""The constant data of a program: strings, the table of locations, script parameters, kernel descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sysmlc.ir.source import UNKNOWN, Location
from sysmlc.ir.types import f32

if TYPE_CHECKING:
    from sysmlc.ir.dialects.kernel import CellKernel

IMMORTAL_REFS = 1 << 30
KIND_STRING = 2
MAX_OUT = 8


OUT_KINDS: Final = {"map": 0, "full": 1, "row": 2, "col": 3, "product": 4}
OUT_FUNCTIONS: Final = {"": 0, "sum": 0, "prod": 1, "min": 2, "max": 3}


@dataclass(frozen=True)
class Parameter:
    """A `$` argument of the script."""

    name: str
    has_default: bool = False
    default: str = ""
    fixed: bool = False
    """The program was compiled for this value, in `default`."""


def c_bytes(text: str) -> tuple[int, str]:
    """The UTF-8 bytes of `text` with a terminating 0, as their number and LLVM's notation."""
    data = text.encode("utf-8", "surrogateescape") + b"\0"
    shown = "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02X}" for b in data)
    return len(data), f'c"{shown}"'


@dataclass
class Tables:
    """Collects constants while functions are printed, and prints them at the end."""

    lines: list[str] = field(default_factory=list)
    _texts: dict[str, str] = field(default_factory=dict)
    _strings: dict[str, str] = field(default_factory=dict)
    _locations: dict[Location, int] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """The symbol of a C string."""
        name = self._texts.get(text)
        if name is None:
            name = self._texts[text] = f"@text.{len(self._texts)}"
            size, data = c_bytes(text)
            self.lines.append(f"{name} = private unnamed_addr constant [{size} x i8] {data}")
        return name

    def string(self, text: str) -> str:
        """The symbol of an `sm_string` that is never freed."""
        name = self._strings.get(text)
        if name is None:
            name = self._strings[text] = f"@string.{len(self._strings)}"
            size, data = c_bytes(text)
            self.lines.append(
                f"{name} = internal global {{ %sm_object, i64, [{size} x i8] }} {{ %sm_object {{ i32 {IMMORTAL_REFS}, "
                f"i8 {KIND_STRING}, i8 0, i16 0, ptr null, ptr null, ptr null }}, i64 {size - 1}, [{size} x i8] {data} }}, align 8"
            )
        return name

    def location(self, loc: Location) -> int:
        """The index of a location in the table; -1 for none."""
        if loc is UNKNOWN or loc.line <= 0:
            return -1
        return self._locations.setdefault(loc, len(self._locations))

    def array(self, name: str, element: str, items: Sequence[str]) -> str:
        """A constant array; its symbol, or null when it is empty."""
        if not items:
            return "null"
        inner = ", ".join(f"{element} {item}" for item in items)
        self.lines.append(f"{name} = internal constant [{len(items)} x {element}] [{inner}], align 8")
        return name

    def texts(self, texts: Sequence[str]) -> str:
        """An array of C strings, null when it is empty."""
        return self.array(f"@names.{len(self.lines)}", "ptr", [self.text(t) for t in texts])

    def kernel(self, kernel: CellKernel) -> None:
        """The descriptor of a kernel; its variants are found by the host when they are first needed."""
        name, keys = kernel.sym, kernel.variants
        key_array = self.array(f'@"keys.{name}"', "i32", [str(k) for k in keys])
        variants = f'@"variants.{name}"' if keys else "null"
        if keys:
            self.lines.append(variant_table(name, keys, linked=False))
        kinds = [kind.partition(":") for kind in kernel.outputs]
        out_kind = _byte_array([OUT_KINDS[kind] for kind, _, _ in kinds])
        out_fn = _byte_array([OUT_FUNCTIONS[fn] for _, _, fn in kinds])
        plan = "null"
        if kernel.name == "kernel.row":
            from sysmlc.passes.lower_rows import kernel_plan

            plan = self.array(f'@"plan.{name}"', "i32", [str(n) for n in kernel_plan(kernel)])  # type: ignore[arg-type]
        elif kernel.leads:
            plan = self.array(f'@"leads.{name}"', "i32", [str(mask) for mask in kernel.leads])
        needs = self.array(f'@"needs.{name}"', "i32", [str(mask) for mask in kernel.probe_needs])
        joint = self.array(f'@"joint.{name}"', "i32", [str(mask) for pair in kernel.joint for mask in pair])
        traits = int(kernel.outer) | int(kernel.elem is f32) << 1
        self.lines.append(
            f'@"kernel.{name}" = internal global %sm_cell_kernel {{ i32 {len(kernel.body.args)}, i32 {len(kinds)}, {out_kind}, '
            f"{out_fn}, i32 {kernel.sparse_safe}, i32 {traits}, i32 {len(keys)}, i32 {kernel.sparse_probe}, "
            f"ptr {key_array}, ptr {variants}, ptr {self.text(name)}, ptr {plan}, ptr {needs}, ptr {joint}, i64 {len(kernel.joint)} }}, align 8"
        )

    def program(self, name: str, parameters: Sequence[Parameter], version: str) -> None:
        """The descriptor `sm_program` that a host or `main` starts from."""
        locations = [
            f"{{ ptr {self.text(loc.source.name)}, i32 {loc.line}, i32 {loc.col}, ptr {self._line(loc)} }}"
            for loc in self._locations
        ]
        where = self.array("@locations", "{ ptr, i32, i32, ptr }", locations)
        params = [
            f"{{ ptr {self.text(p.name)}, i32 {2 if p.fixed else int(p.has_default)}, "
            f"ptr {self.text(p.default) if p.has_default else 'null'}, ptr null }}"
            for p in parameters
        ]
        table = self.array("@params", "{ ptr, i32, ptr, ptr }", params)
        self.lines.append(
            "@sm_program = constant { ptr, ptr, i64, ptr, i64, ptr, ptr } { ptr @sm_entry, "
            f"ptr {where}, i64 {len(locations)}, ptr {table}, i64 {len(params)}, "
            f"ptr {self.text(name)}, ptr {self.text(version)} }}, align 8"
        )

    def _line(self, loc: Location) -> str:
        line = loc.source.line(loc.line)
        # Far out on a line that a program writes, the caret would stand nowhere.
        return "null" if line is None or loc.col > 400 else self.text(line[:400])


def _byte_array(values: Sequence[int]) -> str:
    padded = [*values, *[0] * (MAX_OUT - len(values))]
    return f"[{MAX_OUT} x i8] [" + ", ".join(f"i8 {v}" for v in padded) + "]"


def variant_symbol(kernel: str, key: int) -> str:
    """The symbol of one variant of a kernel in object code."""
    return f"{kernel}_{key:x}"


def variant_table(kernel: str, keys: Sequence[int], linked: bool) -> str:
    """The table of a kernel's variants: empty, or `linked` to the symbols of its objects."""
    symbols = [f'@"{variant_symbol(kernel, k)}"' for k in keys]
    declared = "".join(f"declare void {s}(ptr, i64, i64, i64, i64)\n" for s in symbols) if linked else ""
    inner = ", ".join(f"ptr {s}" for s in (symbols if linked else ["null"] * len(symbols)))
    return f'{declared}@"variants.{kernel}" = internal global [{len(symbols)} x ptr] [{inner}], align 8'


TYPES = """\
%sm_object = type { i32, i8, i8, i16, ptr, ptr, ptr }
%sm_cell_kernel = type { i32, i32, [8 x i8], [8 x i8], i32, i32, i32, i32, ptr, ptr, ptr, ptr, ptr, ptr, i64 }
%sm_arg = type { i64, i64 }
"""
