"""Where names of functions lead: files, the files they source, and the functions they define."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.parser import parse
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source


@dataclass(slots=True, eq=False)
class Unit:
    """One file: its functions, and the files it sources by the names it gives them."""

    program: ast.Program
    bundled: bool
    """Whether the file comes with the package."""
    functions: dict[str, ast.FunctionDef | ast.ExternalFunction] = field(default_factory=dict)
    namespaces: dict[str, Unit] = field(default_factory=dict)

    def find(self, call: ast.Call) -> tuple[Unit, ast.FunctionDef | ast.ExternalFunction] | None:
        """The function of the script that `call` names, with the unit it is defined in."""
        unit: Unit | None = self if call.namespace is None else self.namespaces.get(call.namespace)
        if unit is None:
            return None
        found = unit.functions.get(call.name)
        return None if found is None else (unit, found)


class Files:
    """All files of one program, each read and parsed once."""

    def __init__(self, report: Callable[[Diagnostic], None]) -> None:
        self.report = report
        self.units: list[Unit] = []
        self._by_key: dict[str, Unit | None] = {}

    def main(self, program: ast.Program) -> Unit:
        """The unit of the script itself, with everything it sources."""
        return self._unit(program, bundled=False)

    def _unit(self, program: ast.Program, *, bundled: bool, key: str | None = None) -> Unit:
        unit = Unit(program, bundled)
        self.units.append(unit)
        if key is not None:
            self._by_key[key] = unit  # before its own imports: files may source each other
        unit.functions.update((function.name, function) for function in program.functions)
        workdir = "."
        for statement in _file_statements(program.body):
            if isinstance(statement, ast.SetWd):
                workdir = os.path.join(workdir, statement.path)
            else:
                found = self._import(statement, workdir)
                if found is not None:
                    unit.namespaces[statement.namespace] = found
        return unit

    def _import(self, statement: ast.Import, workdir: str) -> Unit | None:
        located = _locate(statement.path, workdir)
        if located is None:
            self.report(
                Diagnostic(
                    f"there is no file '{statement.path}'",
                    statement.loc,
                    hint="a path is looked up in the directory of setwd() or the current one, in scripts/, "
                    "and among the scripts of this package",
                )
            )
            return None
        key, name, path, bundled = located
        if key in self._by_key:
            return self._by_key[key]
        self._by_key[key] = None
        try:
            program = parse(Source(name, path.read_text(encoding="utf-8")))
        except Diagnostic as wrong:
            self.report(wrong)
        except DiagnosticGroup as group:
            for one in group.diagnostics:
                self.report(one)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            self.report(Diagnostic(f"cannot read '{statement.path}': {reason}", statement.loc))
        else:
            return self._unit(program, bundled=bundled, key=key)
        return None


def _file_statements(body: tuple[ast.Statement, ...]) -> Iterator[ast.Import | ast.SetWd]:
    for statement in body:
        if isinstance(statement, ast.Import | ast.SetWd):
            yield statement
        elif isinstance(statement, ast.If):
            yield from _file_statements(statement.body)
            yield from _file_statements(statement.orelse)
        elif isinstance(statement, ast.While | ast.For):
            yield from _file_statements(statement.body)


def _locate(path: str, workdir: str) -> tuple[str, str, Path, bool] | None:
    """Key, name for messages, path, and whether bundled, of a sourced file."""
    candidates = (
        [path] if os.path.isabs(path) else [os.path.join(workdir, path), os.path.join("scripts", path)]
    )
    for candidate in candidates:
        if os.path.isfile(candidate):
            shown = os.path.normpath(candidate)
            return os.path.realpath(candidate), shown, Path(candidate), False
    relative = os.path.normpath(path).lstrip("/")
    if relative.startswith(".."):
        return None
    relative = relative.removeprefix("scripts/")
    from importlib.resources import files  # slow to import, and needed for bundled files only

    resource = Path(str(files("sysmlc") / "scripts" / relative))
    if resource.is_file():
        return os.path.realpath(resource), f"scripts/{relative}", resource, True
    return None
