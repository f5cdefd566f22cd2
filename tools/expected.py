"""Errors that a test file expects, written in its comments: `// expected-error @+1 {{text}}`.

The place is the comment's own line, or `@+N`, `@-N`, `@above`, `@below`; `@*` is any line. The text is part of the message.
`expected-warning` and `expected-note` work alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sysmlc.ir.source import Diagnostic, Location, Source

_EXPECTED = re.compile(
    r"(?://|#).*?expected-(error|warning|note)\s*(@(?:[+-]\d+|above|below|\*))?\s*\{\{(.*?)\}\}"
)


@dataclass
class _Expected:
    severity: str
    line: int | None
    text: str
    loc: Location
    found: bool = False


class Expectations:
    """What a source expects."""

    def __init__(self, source: Source) -> None:
        self.expected: list[_Expected] = []
        start = 0
        for number, line in enumerate(source.text.split("\n"), 1):
            for found in _EXPECTED.finditer(line):
                loc = source.location(start + found.start(1), start + found.end())
                self.expected.append(_Expected(found[1], _line(found[2], number), found[3], loc))
            start += len(line) + 1

    def compare(self, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """What is wrong: diagnostics nobody expected, and expected ones that did not come."""
        problems = []
        for d in diagnostics:
            if not self._take(d.severity, d.loc.line, d.message + (f"\n{d.hint}" if d.hint else "")):
                problems.append(Diagnostic(f"unexpected {d.severity}: {d.message}", d.loc))
            for note in d.notes:  # a note need not be expected
                self._take("note", note.loc.line, note.message)
        for e in self.expected:
            if not e.found:
                problems.append(Diagnostic(f"expected {e.severity} '{e.text}' did not occur", e.loc))
        return problems

    def _take(self, severity: str, line: int, message: str) -> bool:
        for e in self.expected:
            if not e.found and e.severity == severity and e.line in (None, line) and e.text in message:
                e.found = True
                return True
        return False


def _line(place: str | None, own: int) -> int | None:
    if place == "@*":
        return None
    if place in (None, "@above", "@below"):
        return own + {None: 0, "@above": -1, "@below": 1}[place]
    assert place is not None
    return own + int(place[1:])
