"""Passes and pipelines.

    @register_pass
    @dataclass(frozen=True)                 # only with options
    class Unroll(Pass):
        '''Unroll short loops.'''          # the line `--list-passes` shows
        name = "unroll"
        limit: int = 8                      # an option: `unroll{limit=4}`
        def run(self, module: Module) -> None:
            ...
            self.count("loops unrolled")    # a statistic

A pipeline is a list of passes, as text `cse,unroll{limit=4},dce`. `PassManager` runs one; what else should happen around
each pass (timing, printing, reproducers) are instruments.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.verify import verify

if TYPE_CHECKING:
    from sysmlc.ir.dialects.core import Module

Statistics = Counter[tuple[str, str]]
"""How often each (pass, event) happened."""

_statistics: ContextVar[Statistics | None] = ContextVar("statistics", default=None)


@dataclass(frozen=True)
class Pass:
    """A transformation or analysis of a whole module. Fields are options and all have defaults."""

    name: ClassVar[str] = ""

    def run(self, module: Module) -> None:
        raise AssertionError(f"pass {self.name} does not say what it does")

    def count(self, event: str, times: int = 1) -> None:
        """Add to a statistic of the running pipeline."""
        statistics = _statistics.get()
        if statistics is not None:
            statistics[self.name, event] += times

    @classmethod
    def summary(cls) -> str:
        """The first line of the documentation."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    def __str__(self) -> str:
        shown = [
            f"{f.name.replace('_', '-')}={_option_text(getattr(self, f.name))}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name}{{{','.join(shown)}}}" if shown else self.name


PassClass = TypeVar("PassClass", bound=type[Pass])

registered: dict[str, type[Pass]] = {}
"""Passes whose modules have been imported, by name."""


def register_pass(cls: PassClass) -> PassClass:
    """Class decorator: make a pass known by its name."""
    assert cls.name, f"{cls.__name__} has no name"
    assert registered.get(cls.name, cls).__qualname__ == cls.__qualname__, (
        f"pass {cls.name} is registered twice"
    )
    fields = {f.name for f in dataclasses.fields(cls)}
    lost = [
        n
        for n, t in vars(cls).get("__annotations__", {}).items()
        if n not in fields and "ClassVar" not in str(t)
    ]
    assert not lost, f"{cls.__name__} lacks @dataclass(frozen=True): {lost[0]} is no option"
    registered[cls.name] = cls
    return cls


# -- pipelines as text ----------------------------------------------------------------------------------------------

Finder = Callable[[str], "type[Pass] | None"]
_NAME = re.compile(r"\s*([A-Za-z][\w-]*)\s*")
_VALUE = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s,{}"]+)\s*')


def parse_pipeline(
    text: str, find: Finder = registered.get, known: Callable[[], Iterable[str]] = lambda: registered
) -> list[Pass]:
    """The passes `text` names: `a,b{x=1}`. `find` gives a pass by name, `known` all names (for hints)."""
    source = Source("<pipeline>", text)
    passes: list[Pass] = []
    at = 0

    def fail(message: str, start: int, end: int = 0, hint: str | None = None) -> Diagnostic:
        return Diagnostic(message, source.location(start, end), hint=hint)

    while text.strip():  # an empty text is an empty pipeline
        found = _NAME.match(text, at)
        if found is None:
            raise fail("a pass name is missing here", at)
        cls = find(found[1])
        if cls is None:
            raise fail(f"there is no pass '{found[1]}'", *found.span(1), nearest(found[1], known()))
        at = found.end()
        options: dict[str, Any] = {}
        if text[at : at + 1] == "{":
            at = _parse_options(text, at + 1, cls, options, fail)
        passes.append(cls(**options))
        if at == len(text):
            break
        if text[at] != ",":
            raise fail("expected ',' between passes", at)
        at += 1
    return passes


def _parse_options(
    text: str, at: int, cls: type[Pass], options: dict[str, Any], fail: Callable[..., Diagnostic]
) -> int:
    fields = {f.name.replace("_", "-"): f for f in dataclasses.fields(cls)}
    while True:
        closing = re.compile(r"[\s,]*\}\s*").match(text, at)
        if closing:
            return closing.end()
        name = re.compile(r"[\s,]*([A-Za-z][\w-]*)\s*").match(text, at)
        if name is None:
            raise fail("expected an option or '}'", min(at, max(len(text) - 1, 0)))
        field = fields.get(name[1].replace("_", "-"))
        if field is None:
            takes = f"it takes {', '.join(fields)}" if fields else "it takes none"
            raise fail(f"pass '{cls.name}' has no option '{name[1]}'", *name.span(1), takes)
        at = name.end()
        value: str | None = None
        if text[at : at + 1] == "=":
            given = _VALUE.match(text, at + 1)
            if given is None:
                raise fail(f"option '{name[1]}' has no value", at)
            value, at = given[1], given.end()
        try:
            options[field.name] = _option_value(field, value)
        except ValueError as error:
            raise fail(str(error), *name.span(1)) from None


def _option_value(field: dataclasses.Field[Any], text: str | None) -> Any:
    default: Any = field.default
    if isinstance(default, bool):
        if text in (None, "true", "1"):
            return True
        if text in ("false", "0"):
            return False
    elif text is not None:
        if isinstance(default, str):
            return text[1:-1].replace('\\"', '"').replace("\\\\", "\\") if text[0] == '"' else text
        try:
            return type(default)(text)
        except ValueError:
            pass
    raise ValueError(f"option '{field.name.replace('_', '-')}' must be a {type(default).__name__}")


def _option_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not _VALUE.fullmatch(value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def pipeline_text(passes: Iterable[Pass]) -> str:
    """The text form of a pipeline; only options that differ from their defaults are named."""
    return ",".join(str(p) for p in passes)


# -- running --------------------------------------------------------------------------------------------------------


class Instrument(Protocol):
    """Something that happens around every pass."""

    def before(self, p: Pass, module: Module) -> None: ...

    def after(self, p: Pass, module: Module) -> None: ...

    def failed(self, p: Pass, module: Module, error: BaseException) -> None: ...


class PassError(AssertionError):
    """A pass broke an invariant: it crashed, or left a module that does not verify. A bug of ours, not of the user."""

    def __init__(self, p: Pass, what: str) -> None:
        super().__init__(f"pass '{p}' {what}")
        self.failed_pass = p


def _place(error: BaseException) -> str:
    """The file and line an exception comes from."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}" if at is not None else "?"


class PassManager:
    """Runs passes in order and verifies the module after each, or (`verify_last`) after the last one only."""

    def __init__(
        self,
        passes: Sequence[Pass],
        verify_each: bool = True,
        instruments: Sequence[Instrument] = (),
        verify_last: bool = False,
    ) -> None:
        self.passes = list(passes)
        self.verify_each = verify_each
        self.verify_last = verify_last
        self.instruments = list(instruments)
        self.statistics: Statistics = Counter()

    def run(self, module: Module) -> None:
        """Run the pipeline. User errors come as Diagnostics, broken invariants as PassError."""
        collecting = gc.isenabled()
        gc.disable()  # the IR is full of cycles: collecting costs up to 5x on big modules
        token = _statistics.set(self.statistics)
        try:
            if self.verify_each:
                verify(module, shapes=False)
            for p in self.passes:
                self._run(p, module)
        finally:
            _statistics.reset(token)
            if collecting:
                gc.enable()

    def _run(self, p: Pass, module: Module) -> None:
        for instrument in self.instruments:
            instrument.before(p, module)
        try:
            self._run_and_verify(p, module)
        except BaseException as error:
            for instrument in reversed(self.instruments):
                instrument.failed(p, module, error)
            raise
        for instrument in reversed(self.instruments):
            instrument.after(p, module)

    def _run_and_verify(self, p: Pass, module: Module) -> None:
        try:
            p.run(module)
        except (Diagnostic, DiagnosticGroup):
            raise
        except Exception as error:
            raise PassError(p, f"crashed: {type(error).__name__}: {error} ({_place(error)})") from error
        if self.verify_each or (self.verify_last and p is self.passes[-1]):
            try:
                verify(module, shapes=False)
            except Diagnostic as error:
                raise PassError(p, f"left an invalid module\n{error}") from error
