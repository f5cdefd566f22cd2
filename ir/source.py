"""Source locations and user-facing diagnostics: `file:line:col: error: …`, the line, a caret, a hint."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
_SHOWN = 200
"""How many characters of a source line a diagnostic shows."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text with a name, able to give its lines back for diagnostics."""

    name: str
    text: str = field(repr=False)
    _starts: list[int] = field(default_factory=list, init=False, repr=False, compare=False)

    def line(self, number: int) -> str | None:
        """The text of line `number` (1-based), without its newline; None when there is none."""
        starts = self._line_starts()
        if not 1 <= number <= len(starts):
            return None
        end = starts[number] - 1 if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r")

    def location(self, start: int, end: int = 0) -> Location:
        """The place of the characters `start` (0-based) up to `end`; the underline stops at the line's end."""
        starts = self._starts or self._line_starts()
        line = bisect_right(starts, start)
        before = starts[line - 1] - 1
        if end and line < len(starts) and end >= starts[line]:
            end = starts[line] - 1
        return Location(self, line, start - before, end - before if end > before else 0)

    def _line_starts(self) -> list[int]:
        if not self._starts:
            starts, at = [0], self.text.find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = self.text.find("\n", at + 1)
            self._starts.extend(starts)
        return self._starts


@dataclass(slots=True, unsafe_hash=True)
class Location:
    """A place in a source: line and column are 1-based; `end_col` is exclusive (0: unknown). Never changed.

    Not frozen all the same: every operation has one, and frozen ones take three times as long to make.
    """

    source: Source
    line: int
    col: int
    end_col: int = 0

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.col}"


UNKNOWN = Location(Source("<unknown>", ""), 0, 0)


@dataclass(frozen=True, slots=True)
class Note:
    """A remark attached to a diagnostic, with a place of its own."""

    message: str
    loc: Location


class Diagnostic(Exception):
    """One error or warning a user can act on; prints as compilers do."""

    def __init__(
        self,
        message: str,
        loc: Location = UNKNOWN,
        *,
        hint: str | None = None,
        notes: tuple[Note, ...] = (),
        severity: Severity = "error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.loc = loc
        self.hint = hint
        self.notes = notes
        self.severity = severity

    def __str__(self) -> str:
        text = _place(self.loc, self.severity, self.message)
        if self.hint:
            text += f"\n  hint: {self.hint}"
        for note in self.notes:
            text += "\n" + _place(note.loc, "note", note.message)
        return text


class DiagnosticGroup(Exception):
    """Several independent diagnostics found in one run, in source order."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(f"{len(diagnostics)} errors")
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)


def _place(loc: Location, severity: str, message: str) -> str:
    if loc is UNKNOWN or loc.line <= 0:
        return f"{severity}: {message}"
    head = f"{loc}: {severity}: {message}"
    line = loc.source.line(loc.line)
    if line is None:
        return head
    width = max(1, min(loc.end_col, len(line) + 1) - loc.col) if loc.end_col else 1
    # Of a very long line only the part around the caret helps; what would move the cursor must not get out.
    cut = max(0, loc.col - 1 - _SHOWN // 2) if len(line) > _SHOWN else 0
    width = min(width, _SHOWN - (loc.col - 1 - cut))
    before, after = "…" if cut else "", "…" if len(line) > cut + _SHOWN else ""
    shown = "".join(char if char.isprintable() else " " for char in line[cut : cut + _SHOWN])
    return (
        f"{head}\n  {before}{shown}{after}\n  {' ' * (len(before) + loc.col - 1 - cut)}^{'~' * (width - 1)}"
    )
