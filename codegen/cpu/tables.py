"""The constant data of a program: strings, the table of locations, script parameters, kernel descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sysmlc.ir.source import UNKNOWN, Location

IMMORTAL_REFS = 1 << 30
KIND_STRING = 2
MAX_OUT = 8


@dataclass(frozen=True)
class Kernel:
    """What the runtime must know to launch a cell kernel: the fields of `sm_cell_kernel`."""

    name: str
    n_in: int
    out_kind: tuple[int, ...]
    out_fn: tuple[int, ...]
    sparse_safe: int = 0
    zero_safe: int = 0
    keys: tuple[int, ...] = ()
    """Variants the program may ask for; the run time resolves others through the context."""


@dataclass(frozen=True)
class Parameter:
    """A `$` argument of the script."""

    name: str
    has_default: bool = False
    default: str = ""


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

    def kernel(self, kernel: Kernel, linked: bool) -> None:
        """The descriptor of a kernel. `linked`: its variants are symbols of the executable, else they are found later."""
        symbol = f'@"kernel.{kernel.name}"'
        keys = self.array(f'@"keys.{kernel.name}"', "i32", [str(k) for k in kernel.keys])
        functions = "null"
        if kernel.keys:
            functions = f'@"variants.{kernel.name}"'
            items = [f'@"{variant_symbol(kernel.name, k)}"' if linked else "null" for k in kernel.keys]
            if linked:
                self.lines.extend(f"declare void {item}(ptr, i64, i64, i64, i64)" for item in items)
            inner = ", ".join(f"ptr {item}" for item in items)
            self.lines.append(f"{functions} = internal global [{len(items)} x ptr] [{inner}], align 8")
        kinds, functions_of = _byte_array(kernel.out_kind), _byte_array(kernel.out_fn)
        self.lines.append(
            f"{symbol} = internal global %sm_cell_kernel {{ i32 {kernel.n_in}, i32 {len(kernel.out_kind)}, {kinds}, {functions_of}, "
            f"i32 {kernel.sparse_safe}, i32 {kernel.zero_safe}, i32 {len(kernel.keys)}, ptr {keys}, ptr {functions}, "
            f"ptr {self.text(kernel.name)}, ptr null }}, align 8"
        )

    def program(self, name: str, parameters: Sequence[Parameter], version: str) -> None:
        """The descriptor `sm_program` that a host or `main` starts from."""
        locations = [
            f"{{ ptr {self.text(loc.source.name)}, i32 {loc.line}, i32 {loc.col}, ptr {self._line(loc)} }}"
            for loc in self._locations
        ]
        where = self.array("@locations", "{ ptr, i32, i32, ptr }", locations)
        params = [
            f"{{ ptr {self.text(p.name)}, i32 {int(p.has_default)}, "
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
        return "null" if line is None else self.text(line[:400])


def _byte_array(values: Sequence[int]) -> str:
    padded = [*values, *[0] * (MAX_OUT - len(values))]
    return f"[{MAX_OUT} x i8] [" + ", ".join(f"i8 {v}" for v in padded) + "]"


def variant_symbol(kernel: str, key: int) -> str:
    """The symbol of one variant of a kernel in object code."""
    return f"{kernel}.{key:x}"


TYPES = """\
%sm_object = type { i32, i8, i8, i16, ptr, ptr, ptr }
%sm_cell_kernel = type { i32, i32, [8 x i8], [8 x i8], i32, i32, i32, ptr, ptr, ptr, ptr }
%sm_arg = type { i64, i64 }
"""
