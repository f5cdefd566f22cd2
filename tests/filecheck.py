"""LLVM's FileCheck, in process: the output of a tool against the CHECK lines of a test file.

    CHECK: text                  comes somewhere after the last match
    CHECK-NEXT: text             on the next line            CHECK-SAME: text   on the same line
    CHECK-NOT: text              not between the matches around it
    CHECK-DAG: text              like its neighbouring CHECK-DAGs, in any order
    CHECK-LABEL: text            cuts the output into parts that are checked one by one
    CHECK-EMPTY:                 the next line is empty      CHECK-COUNT-3: text  three times
Text is literal, runs of blanks are equal; `{{regex}}` is a regular expression, `[[X:regex]]` keeps what it matched for
later `[[X]]`.

As a command: python tests/filecheck.py FILE < output
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

KINDS = r"(?:-(NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\d+))?"
PIECE = re.compile(r"\{\{(.*?)\}\}|\[\[([A-Za-z_]\w*):(.*?)\]\](?!\])|\[\[([A-Za-z_]\w*)\]\]")


class CheckError(Exception):
    """The output is not what the file expects, or the file's checks make no sense."""


@dataclass(frozen=True)
class Check:
    """One CHECK line."""

    kind: str
    text: str
    line: int
    prefix: str

    def __str__(self) -> str:
        return f"{self.prefix}{'-' + self.kind if self.kind else ''}: {self.text}"


@lru_cache(maxsize=64)
def _check_line(prefix: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[^\w-]){re.escape(prefix)}{KINDS}:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


def read_checks(text: str, prefix: str = "CHECK") -> list[Check]:
    """The CHECK lines of a file."""
    checks, line, at = [], 1, 0
    for found in _check_line(prefix).finditer(text):
        line += text.count("\n", at, found.start(2))
        at = found.start(2)
        kind, count = found[1] or "", 1
        if kind.startswith("COUNT-"):
            kind, count = "", int(kind[6:])
        checks += [Check(kind, found[2], line, prefix)] * count
    return checks


def filecheck(text: str, output: str, *, prefix: str = "CHECK", name: str = "<checks>") -> None:
    """Raise a CheckError unless `output` satisfies the checks in `text`."""
    checks = read_checks(text, prefix)
    if not checks:
        raise CheckError(f"{name}: there are no {prefix} lines")
    _Checker(re.sub(r"[ \t]+", " ", output), name).run(checks)


class _Checker:
    def __init__(self, output: str, name: str) -> None:
        self.output = output
        self.name = name
        self.variables: dict[str, str] = {}

    def fail(self, check: Check, problem: str, at: int) -> CheckError:
        line = self.output.count("\n", 0, at)
        shown = self.output.splitlines()[max(0, line - 1) : line + 12]
        known = "".join(f"\n  [[{k}]] is '{v}'" for k, v in self.variables.items())
        return CheckError(
            f"{self.name}:{check.line}: {problem}\n  {check}{known}\nthe output from line {max(line, 1)} on:\n"
            + "\n".join(f"  | {s}" for s in shown)
        )

    def run(self, checks: list[Check]) -> None:
        parts: list[tuple[list[Check], int]] = [([], 0)]
        at = 0
        for check in checks:
            if check.kind == "LABEL":
                found = self.pattern(check).search(self.output, at)
                if found is None:
                    raise self.fail(check, "this label is not in the rest of the output", at)
                parts.append(([], found.end()))
                at = found.end()
            else:
                parts[-1][0].append(check)
        starts = [start for _, start in parts[1:]]
        ends = [self.output.rfind("\n", 0, s) if "\n" in self.output[:s] else 0 for s in starts] + [
            len(self.output)
        ]
        for (block, start), end in zip(parts, ends, strict=True):
            self.block(block, start, max(start, end))

    def block(self, checks: list[Check], start: int, end: int) -> None:
        at, nots, i = start, list[Check](), 0
        while i < len(checks):
            check = checks[i]
            if check.kind == "NOT":
                nots.append(check)
                i += 1
                continue
            before = at
            if check.kind == "DAG":
                group = []
                while i < len(checks) and checks[i].kind == "DAG":
                    group.append(checks[i])
                    i += 1
                first, at = self.dags(group, at, end)
            else:
                first, at = self.one(check, at, end)
                i += 1
            self.absent(nots, before, first)
            nots = []
        self.absent(nots, at, end)

    def one(self, check: Check, at: int, end: int) -> tuple[int, int]:
        low, high = at, end
        if check.kind in ("NEXT", "EMPTY"):
            newline = self.output.find("\n", at, end)
            if newline < 0:
                raise self.fail(check, "there is no next line", at)
            low = newline + 1
        if check.kind in ("NEXT", "EMPTY", "SAME"):
            newline = self.output.find("\n", low, end)
            high = newline if newline >= 0 else end
        if check.kind == "EMPTY":
            if low != high:
                raise self.fail(check, "the next line is not empty", low)
            return low, low
        found = self.search(check, low, high)
        if found is None:
            where = {"NEXT": "on the next line", "SAME": "on the same line"}.get(check.kind, "in the output")
            raise self.fail(check, f"this is not {where}", low)
        return found.start(), found.end()

    def dags(self, group: list[Check], at: int, end: int) -> tuple[int, int]:
        taken: list[tuple[int, int]] = []
        for check in group:
            low = at
            while True:
                found = self.search(check, low, end)
                if found is None:
                    raise self.fail(check, "this is not in the output", at)
                overlap = [b for a, b in taken if a < found.end() and found.start() < b]
                if not overlap:
                    break
                low = max(overlap)
            taken.append(found.span())
        return min(a for a, _ in taken), max(b for _, b in taken)

    def absent(self, nots: list[Check], low: int, high: int) -> None:
        for check in nots:
            found = self.pattern(check).search(self.output, low, high)
            if found is not None:
                raise self.fail(check, "this must not be in the output", found.start())

    def search(self, check: Check, low: int, high: int) -> re.Match[str] | None:
        found = self.pattern(check).search(self.output, low, high)
        if found is not None:
            self.variables.update({k: v for k, v in found.groupdict().items() if v is not None})
        return found

    def pattern(self, check: Check) -> re.Pattern[str]:
        made, at, own = "", 0, set[str]()
        text = re.sub(r"[ \t]+", " ", check.text)
        for piece in PIECE.finditer(text):
            made += re.escape(text[at : piece.start()])
            at = piece.end()
            regex, defined, definition, used = piece.groups()
            if regex is not None:
                made += f"(?:{regex})"
            elif defined is not None:
                made += f"(?P<{defined}>{definition})"
                own.add(defined)
            elif used in own:
                made += f"(?P={used})"
            elif used in self.variables:
                made += re.escape(self.variables[used])
            else:
                raise CheckError(f"{self.name}:{check.line}: [[{used}]] is not defined\n  {check}")
        try:
            return _compiled(made + re.escape(text[at:]))
        except re.error as error:
            raise CheckError(
                f"{self.name}:{check.line}: bad regular expression: {error}\n  {check}"
            ) from None


@lru_cache(maxsize=4096)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


def main() -> int:
    """The command: 0 when standard input satisfies the checks of a file."""
    path = Path(sys.argv[1])
    prefix = next((a.partition("=")[2] for a in sys.argv[2:] if a.startswith("--check-prefix=")), "CHECK")
    try:
        filecheck(path.read_text(encoding="utf-8"), sys.stdin.read(), prefix=prefix, name=str(path))
    except CheckError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
