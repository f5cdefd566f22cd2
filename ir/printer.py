"""The text form of the IR, one syntax for every operation:

    %r = dialect.op %a, %b {attr = 1} : type (%arg: type) { … }

Result types are always there, operand types never. Values keep their names (made unique within a function), the others
get numbers. What `to_text` prints, `sysmlc.ir.parser` reads back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sysmlc.ir.core import AttrValue, Op, Region, Value
from sysmlc.ir.source import UNKNOWN, Location

_ODD_IN_NAMES = re.compile(r"[^A-Za-z0-9_.$]")
_ODD_IN_STRINGS = re.compile(r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def to_text(op: Op, *, locations: bool = False) -> str:
    """The operation and all it contains as text, ending in a newline."""
    return Printer(locations).text(op)


def attr_text(value: AttrValue) -> str:
    """An attribute value: `true`, `1`, `1.0`, `inf`, `nan`, `"text"`, `[1, 2]`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return f"[{', '.join(attr_text(v) for v in value)}]"
    return repr(value)


def quoted(text: str) -> str:
    """`text` as a string literal; control characters and the like are escaped."""
    return f'"{_ODD_IN_STRINGS.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    return _ESCAPES.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")


def location_text(loc: Location) -> str:
    """`loc("file":line:col)`, with the end column after a `-` where it is known; `loc(?)` for no place."""
    if loc is UNKNOWN:
        return "loc(?)"
    end = f"-{loc.end_col}" if loc.end_col else ""
    return f"loc({quoted(loc.source.name)}:{loc.line}:{loc.col}{end})"


class Printer:
    """Prints operations in the project's text form; other forms override `op`."""

    def __init__(self, locations: bool) -> None:
        self.locations = locations
        self.lines: list[str] = []
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.next_number = 0

    def text(self, op: Op) -> str:
        self.op(op, "")
        self.lines.append("")
        return "\n".join(self.lines)

    def name(self, value: Value) -> str:
        found = self.names.get(value)
        if found is None:
            found = self.names[value] = "%" + self.unique(value.name)
        return found

    def unique(self, wanted: str) -> str:
        if not wanted or wanted.isdigit():
            number = self.next_number
            self.next_number = number + 1
            return str(number)
        name = _ODD_IN_NAMES.sub("_", wanted)
        if name[0].isdigit():
            name = "_" + name
        made, n = name, 0
        while made in self.taken:
            n += 1
            made = f"{name}_{n}"
        self.taken.add(made)
        return made

    def op(self, op: Op, indent: str) -> None:
        # Operands are named first: in valid IR they have names, in broken IR they should get the early numbers.
        operands = ", ".join([self.name(v) for v in op.operands])
        parts = [indent]
        if op.results:
            parts += [", ".join([self.name(v) for v in op.results]), " = "]
        parts.append(op.name)
        if operands:
            parts += [" ", operands]
        if op.attrs:
            parts += [" {", ", ".join([f"{k} = {attr_text(v)}" for k, v in op.attrs.items()]), "}"]
        if op.results:
            parts += [" : ", ", ".join([v.type.text for v in op.results])]
        if op.regions:
            self.regions(op, indent, "".join(parts))
        elif self.locations:
            self.lines.append(f"{''.join(parts)} {location_text(op.loc)}")
        else:
            self.lines.append("".join(parts))

    def regions(self, op: Op, indent: str, head: str) -> None:
        with self.scope(op):
            for region in op.regions:
                self.lines.append(f"{head}{self.arguments(region.args)} {{")
                self.region(region, indent + "  ")
                head = indent + "}"
        self.lines.append(f"{head} {location_text(op.loc)}" if self.locations else head)

    @contextmanager
    def scope(self, op: Op) -> Iterator[None]:
        """The names of values in the regions of `op`: its own when it is isolated."""
        outer = self.names, self.taken, self.next_number
        if "isolated" in op.traits:
            self.names, self.taken, self.next_number = {}, set(), 0
            yield
            self.names, self.taken, self.next_number = outer
        else:
            yield

    def arguments(self, args: Iterable[Value]) -> str:
        text = ", ".join([f"{self.name(a)}: {a.type.text}" for a in args])
        return f" ({text})" if text else ""

    def region(self, region: Region, indent: str) -> None:
        for op in region:
            self.op(op, indent)
