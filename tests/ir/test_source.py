"""Lines, places, and how diagnostics print."""

from __future__ import annotations

import pytest

from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Location, Note, Source


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\nbc\n\nd", "a\r\nb", "\n\n"])
def test_lines(text: str) -> None:
    source = Source("t", text)
    lines = text.split("\n")
    assert [source.line(i + 1) for i in range(len(lines))] == [line.rstrip("\r") for line in lines]
    assert source.line(0) is None
    assert source.line(len(lines) + 1) is None


@pytest.mark.parametrize(
    ("start", "end", "line", "col", "end_col"),
    [(0, 1, 1, 1, 2), (4, 6, 2, 2, 4), (3, 9, 2, 1, 5), (8, 8, 3, 1, 1), (10, 0, 3, 3, 0), (0, 2, 1, 1, 3)],
)
def test_places(start: int, end: int, line: int, col: int, end_col: int) -> None:
    loc = Source("t", "ab\ncdef\ngh").location(start, end)
    assert (loc.line, loc.col, loc.end_col) == (line, col, end_col)


def test_a_diagnostic_shows_the_line() -> None:
    source = Source("t.dml", "x = 1\n\ty = foo + 2\r\n")
    error = Diagnostic("no 'foo'", Location(source, 2, 6, 9), hint="did you mean 'for'?")
    assert str(error) == "t.dml:2:6: error: no 'foo'\n   y = foo + 2\n       ^~~\n  hint: did you mean 'for'?"


def test_notes_and_groups() -> None:
    source = Source("t.dml", "ab")
    first = Diagnostic("one", Location(source, 1, 1), notes=(Note("see", Location(source, 1, 2)),))
    group = DiagnosticGroup([first, Diagnostic("two", severity="warning")])
    assert str(group) == "t.dml:1:1: error: one\n  ab\n  ^\nt.dml:1:2: note: see\n  ab\n   ^\nwarning: two"


def test_long_lines_are_cut_around_the_caret() -> None:
    source = Source("t.dml", "x" * 5000 + "y" + "z" * 5000)
    _, shown, caret = str(Diagnostic("bad", Location(source, 1, 5001, 9999))).split("\n")
    assert len(shown) < 210
    assert shown[caret.index("^")] == "y"
    assert len(caret) <= len(shown)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in str(Diagnostic("bad", Location(Source("t", "a\x1b[31mb"), 1, 1)))
