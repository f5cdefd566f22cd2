"""Golden tests: `tests/golden/**/*.ir` and `*.dml` with RUN and CHECK lines, run in process.

    // RUN: sysmlc-opt %s -p simplify | filecheck %s
    // RUN: not sysmlc-opt %s -p no-such-pass 2>&1 | filecheck %s --check-prefix=ERR

In `.dml` files comments start with `#`. `| filecheck %s` may be left out; without CHECK lines the command must only succeed.
By hand, a RUN line runs as it stands (filecheck is `python tests/filecheck.py`).

A file with a line `// CHECKS ARE GENERATED` gets its CHECK lines rewritten by `pytest --update`.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.filecheck import CheckError, filecheck, read_checks

GENERATED = "CHECKS ARE GENERATED"
SUFFIXES = (".ir", ".dml")


@dataclass(frozen=True)
class Run:
    """One RUN line."""

    line: int
    args: list[str]
    fails: bool
    merged: bool
    prefix: str
    piped: bool


def read_runs(text: str, path: str) -> list[Run]:
    """The RUN lines of a file; a line ending in a backslash goes on in the next RUN line."""
    runs, pending, first = [], "", 0
    for number, line in enumerate(text.split("\n"), 1):
        found = re.search(r"(?:^|\W)RUN:\s*(.*?)\s*$", line)
        if found is None:
            continue
        first = first or number
        pending += found[1].removesuffix("\\")
        if not found[1].endswith("\\"):
            runs.append(_run(pending, first, path))
            pending, first = "", 0
    return runs


def _run(command: str, line: int, path: str) -> Run:
    tool, _, check = command.partition(" | ")
    words = [w.replace("%s", path) for w in shlex.split(tool)]
    fails = words[0] == "not"
    words = words[fails:]
    merged = "2>&1" in words
    words = [w for w in words if w != "2>&1"]
    checker = shlex.split(check) or ["filecheck"]
    if words[0] != "sysmlc-opt" or checker[0] != "filecheck":
        raise CheckError(f"{path}:{line}: RUN lines are: [not] sysmlc-opt … [| filecheck %s]")
    prefix = next((w.partition("=")[2] for w in checker if w.startswith("--check-prefix=")), "CHECK")
    return Run(line, words[1:], fails, merged, prefix, bool(check))


def execute(run: Run) -> tuple[str, str, bool]:
    """The output to check, the errors, and whether the exit code was right."""
    from sysmlc.tools.opt import run as run_opt

    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        code = run_opt(run.args, io.StringIO(), stdout, stdout if run.merged else stderr)
    except SystemExit as error:  # argparse on bad options
        code = error.code if isinstance(error.code, int) else 1
    return stdout.getvalue(), stderr.getvalue(), (code != 0) == run.fails


class GoldenFile(pytest.File):
    """A file of golden tests: one test for each RUN line."""

    def collect(self) -> Iterator[pytest.Item]:
        text = self.path.read_text(encoding="utf-8")
        runs = read_runs(text, str(self.path))
        if not runs:
            raise CheckError(f"{self.path}: there is no RUN line")
        for run in runs:
            yield GoldenTest.from_parent(self, name=f"{run.line}", run=run, text=text)


class GoldenTest(pytest.Item):
    """One RUN line."""

    def __init__(self, *, run: Run, text: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.run = run
        self.text = text

    def runtest(self) -> None:
        output, errors, ok = execute(self.run)
        if not ok:
            wanted = "fail" if self.run.fails else "succeed"
            raise CheckError(
                f"{self.path}:{self.run.line}: the command should {wanted}\n{output[-2000:]}{errors}"
            )
        if GENERATED in self.text and self.config.getoption("--update"):
            self.path.write_text(
                updated(self.path.read_text(encoding="utf-8"), output, self.run.prefix), "utf-8"
            )
        elif read_checks(self.text, self.run.prefix):
            filecheck(self.text, output, prefix=self.run.prefix, name=str(self.path))
        elif self.run.piped:
            raise CheckError(f"{self.path}: there are no {self.run.prefix} lines")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        if isinstance(excinfo.value, CheckError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.run.line - 1, f"{self.path.name}:{self.run.line}"


def updated(text: str, output: str, prefix: str = "CHECK") -> str:
    """`text` with its CHECK lines replaced by what `output` is now."""
    comment = "#" if re.search(r"^# RUN:", text, re.MULTILINE) else "//"
    is_check = re.compile(rf"^\s*{comment} {re.escape(prefix)}(-[\w-]+)?:")
    kept = [line for line in text.rstrip("\n").split("\n") if not is_check.match(line)]
    while kept and not kept[-1].strip():
        kept.pop()
    made, kind = [], ""
    for line in output.rstrip("\n").split("\n"):
        shown = re.sub(r"\[\[|\{\{", lambda m: "{{" + re.escape(m[0]) + "}}", line.strip())
        made.append(f"{comment} {prefix}{kind if shown else '-EMPTY'}: {shown}".rstrip())
        kind = "-NEXT"
    return "\n".join([*kept, "", *made, ""])
