"""What can happen around passes: timing, printing the IR, saving a reproducer of a failure."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from sysmlc.ir.passes import Pass, pipeline_text
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic, DiagnosticGroup

if TYPE_CHECKING:
    from sysmlc.ir.dialects.core import Module

Write = Callable[[str], object]


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)


class Timing:
    """Wall time of each pass (with its verification), in order of execution."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, float]] = []
        self._start = 0.0

    def before(self, p: Pass, module: Module) -> None:
        self._start = time.perf_counter()

    def after(self, p: Pass, module: Module) -> None:
        self.spans.append((p.name, time.perf_counter() - self._start))

    def failed(self, p: Pass, module: Module, error: BaseException) -> None:
        self.after(p, module)

    def report(self) -> str:
        """A table of the passes: milliseconds and share."""
        total = sum(seconds for _, seconds in self.spans)
        rows = [f"{s * 1e3:9.2f} ms {s / total if total else 0:6.1%}  {name}" for name, s in self.spans]
        return "\n".join(["timing of passes", *rows, f"{total * 1e3:9.2f} ms         total", ""])


class PrintIR:
    """Prints the module before or after the passes named (`*`: all), or after those that change it."""

    def __init__(
        self,
        before: Collection[str] = (),
        after: Collection[str] = (),
        *,
        changed: bool = False,
        write: Write = _to_stderr,
    ) -> None:
        self._before = before
        self._after = after
        self._changed = changed
        self._write = write
        self._text = ""

    def before(self, p: Pass, module: Module) -> None:
        if self._changed:
            self._text = to_text(module)
        if p.name in self._before or "*" in self._before:
            self._write(f"// IR before {p}\n{to_text(module)}\n")

    def after(self, p: Pass, module: Module) -> None:
        if p.name in self._after or "*" in self._after or (self._changed and to_text(module) != self._text):
            self._write(f"// IR after {p}\n{to_text(module)}\n")

    def failed(self, p: Pass, module: Module, error: BaseException) -> None:
        pass


class Reproducer:
    """On failure writes the IR as it was before the failing pass, with a RUN line that repeats the failure."""

    def __init__(self, write: Write = _to_stderr, *, show_after: bool = True) -> None:
        self._write = write
        self._show_after = show_after
        self._text = ""

    def before(self, p: Pass, module: Module) -> None:
        self._text = to_text(module)

    def after(self, p: Pass, module: Module) -> None:
        pass

    def failed(self, p: Pass, module: Module, error: BaseException) -> None:
        user_error = isinstance(error, (Diagnostic, DiagnosticGroup))
        self._write(f"// RUN: sysmlc-opt %s -p '{pipeline_text([p])}'\n")
        self._write(
            f"// pass '{p}' {'reported an error' if user_error else 'failed'}; the IR before it:\n{self._text}"
        )
        if self._show_after:
            self._write(f"\n// the IR it left:\n{_text_of_broken(module)}")


def _text_of_broken(module: Module) -> str:
    try:
        return to_text(module)
    except Exception as error:  # the module may be broken in any way
        return f"// cannot be printed: {type(error).__name__}: {error}\n"


def statistics_report(counts: Sequence[tuple[tuple[str, str], int]]) -> str:
    """A table of how often each event of each pass happened."""
    rows = [f"{times:9d}  {name}: {event}" for (name, event), times in counts]
    return "\n".join(["statistics of passes", *rows, ""])
