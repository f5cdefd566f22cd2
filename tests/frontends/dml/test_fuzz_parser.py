"""A seeded fuzzer for the DML parser: scripts from the grammar, and valid scripts with random damage.

Every input has to give a tree, which survives printing and parsing again, or diagnostics; nothing else may come
out, and nothing may take long. By hand: `python -m tests.frontends.dml.test_fuzz_parser --count 100000`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.check import check as static_errors
from sysmlc.frontends.dml.lexer import DOTTED, KEYWORDS, LEVELS, PUNCTUATIONS
from sysmlc.frontends.dml.parser import parse
from sysmlc.frontends.dml.unparse import same, to_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source

TIME_LIMIT = 2.0
NAMES = ("x", "y", "X", "W1", "beta", "i", "norm_r2", "T", "NaN", "matrix")
FUNCTIONS = ("f", "sum", "nrow", "t", "as.scalar", "affine::forward", "matrix", "is.nan", "print")
LITERALS = (
    *("1", "0", "42", "9223372036854775807", "1.5", "5.", ".25", "1e-3", "2E+5", "1e309"),
    "TRUE",
    "FALSE",
)
STRINGS = (
    '"text"',
    "'it is'",
    r'"a\tb\n"',
    r'"say \"x\""',
    r"'\\'",
    '""',
    '"two\nlines"',
    "'\"'",
    '"# no comment"',
)
TYPES = (
    "int",
    "double",
    "Integer",
    "string",
    "matrix[double]",
    "Matrix[Double]",
    "frame[string]",
    "list[unknown]",
)
BLANKS = (" ", " ", " ", "\n", "  ", "\t", " # remark\n", " /* remark */ ", "\r\n")
TOKENS = (
    *(*NAMES, *FUNCTIONS, *LITERALS, *STRINGS, *TYPES, *KEYWORDS, *LEVELS, *PUNCTUATIONS, *DOTTED),
    *(
        "(",
        "[",
        "!",
        "$x",
        "$1",
        "5L",
        "**",
        "%o%",
        "->",
        ":=",
        "::",
        "a.b",
        "'",
        '"',
        "/*",
        "\\",
        "_",
        "é",
        "\0",
    ),
)


class Grammar:
    """Writes random scripts that are valid DML."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def script(self) -> str:
        rng = self.rng
        parts = [
            self.function() if rng.random() < 0.15 else self.statement(3) for _ in range(rng.randrange(1, 8))
        ]
        return self.join(parts)

    def join(self, parts: list[str]) -> str:
        return "".join(part + self.rng.choice(("\n", "\n", ";\n", " ; ", "\n\n")) for part in parts)

    def expr(self, depth: int) -> str:
        rng = self.rng
        kind = rng.randrange(10) if depth > 0 else rng.randrange(4)
        if kind < 2:
            return rng.choice(NAMES)
        if kind == 2:
            return rng.choice(LITERALS)
        if kind == 3:
            return rng.choice((*STRINGS, "$x", "$1"))
        if kind < 7:
            op = rng.choice([op for op in LEVELS if op not in ("&&", "||")])
            return f"{self.expr(depth - 1)}{self.blank()}{op}{self.blank()}{self.expr(depth - 1)}"
        if kind == 7:
            return rng.choice(("-", "+", "!")) + self.expr(depth - 1)
        if kind == 8:
            return f"({self.expr(depth - 1)})" if rng.random() < 0.5 else self.index(depth - 1)
        if rng.random() < 0.1:
            return f"[{', '.join(self.expr(depth - 1) for _ in range(rng.randrange(1, 4)))}]"
        return self.call(depth - 1)

    def blank(self) -> str:
        return self.rng.choice(BLANKS)

    def call(self, depth: int) -> str:
        rng = self.rng
        args = [
            rng.choice(("", "", "rows=", "lower.tail=")) + self.expr(depth) for _ in range(rng.randrange(4))
        ]
        return f"{rng.choice(FUNCTIONS)}({','.join(args)})"

    def index(self, depth: int) -> str:
        rng = self.rng

        def side() -> str:
            if rng.random() < 0.2:
                return ""
            low = self.expr(depth)
            return f"{low}:{self.expr(depth)}" if rng.random() < 0.3 else low

        return (
            f"{rng.choice(NAMES)}[{side()}]"
            if rng.random() < 0.3
            else f"{rng.choice(NAMES)}[{side()},{side()}]"
        )

    def statement(self, depth: int) -> str:
        rng = self.rng
        kind = rng.randrange(14) if depth > 0 else rng.randrange(8)
        if kind < 4:
            return f"{rng.choice(NAMES)} {rng.choice(('=', '<-', '+='))} {self.expr(3)}"
        if kind == 4:
            return f"{self.index(1)} {rng.choice(('=', '<-', '+='))} {self.expr(2)}"
        if kind == 5:
            return self.call(2)
        if kind == 6:
            return f"[{rng.choice(NAMES)}, {self.index(1)}] = {self.call(2)}"
        if kind == 7:
            return rng.choice(('source("a.dml") as a', 'setwd("b")', f"x = ifdef($x, {self.expr(1)})"))
        if kind < 10:
            text = f"if ({self.expr(2)}) {self.body(depth)}"
            return f"{text}\nelse {self.body(depth)}" if rng.random() < 0.5 else text
        if kind == 10:
            return f"while ({self.expr(2)}) {self.body(depth)}"
        keyword = rng.choice(("for", "parfor"))
        span = f"{self.expr(1)}:{self.expr(1)}" if rng.random() < 0.7 else f"seq(1, {self.expr(1)}, 2)"
        params = ", check=0, par=4" if rng.random() < 0.2 else ""
        return f"{keyword} (i in {span}{params}) {self.body(depth)}"

    def body(self, depth: int) -> str:
        if self.rng.random() < 0.2:
            return self.statement(0)
        return "{\n" + self.join([self.statement(depth - 1) for _ in range(self.rng.randrange(4))]) + "}"

    def function(self) -> str:
        rng = self.rng
        params = ", ".join(
            f"{rng.choice(TYPES)} {rng.choice(NAMES)}" + (" = 3" if rng.random() < 0.3 else "")
            for _ in range(rng.randrange(4))
        )
        outputs = f" return ({rng.choice(TYPES)} y)" if rng.random() < 0.8 else ""
        if rng.random() < 0.1:
            return f'f = externalFunction({params}){outputs} implemented in (classname="a.B", exectype="mem")'
        return f"f = function({params}){outputs} {self.body_in_braces()}"

    def body_in_braces(self) -> str:
        return "{" + self.join([self.statement(2) for _ in range(self.rng.randrange(4))]) + "}"


def damage(text: str, rng: random.Random) -> str:
    """`text` with a few random changes of characters or tokens."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((0, 1, 1, 2, 5, 30)))
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:at] + text[end:]
        elif kind == 1:
            text = text[:at] + rng.choice(TOKENS) + text[end:]
        elif kind == 2:
            text = text[:at] + f" {rng.choice(TOKENS)} " + text[at:]
        elif kind == 3:
            text = text[:end] + text[at:end] * rng.choice((1, 2, 50)) + text[end:]
        else:
            text = text[:at] + chr(rng.choice((rng.randrange(128), rng.randrange(0x3000)))) + text[end:]
    return text


def inputs(seed: int, scripts: list[str]) -> Iterator[tuple[str, bool]]:
    """Endless pairs of a text and whether it is valid for sure."""
    rng = random.Random(seed)
    grammar = Grammar(rng)
    while True:
        yield grammar.script(), True
        yield damage(grammar.script(), rng), False
        yield " ".join(rng.choices(TOKENS, k=rng.randrange(1, 40))), False
        if scripts:
            script = rng.choice(scripts)
            at = rng.randrange(len(script))
            yield damage(script[at : at + 3000] if rng.random() < 0.5 else script, rng), False


def attempt(text: str) -> tuple[ast.Program | None, list[Diagnostic]]:
    """The tree of `text`, or its errors."""
    try:
        return parse(Source("fuzz.dml", text)), []
    except Diagnostic as error:
        return None, [error]
    except DiagnosticGroup as group:
        return None, group.diagnostics


def check(text: str, valid: bool) -> str:
    """Parse `text`; "tree" or "errors". Anything else is an exception."""
    started = time.process_time()
    tree, errors = attempt(text)
    assert time.process_time() - started < TIME_LIMIT, "this takes too long"
    if tree is None:
        assert not valid, f"rejected a valid script:\n{errors[0]}"
        assert all(str(error).startswith("fuzz.dml:") for error in errors), "an error without a place"
        places = [(error.loc.line, error.loc.col) for error in errors]
        assert places == sorted(set(places)), "errors out of order"
        return "errors"
    for error in static_errors(tree, builtins={"sum", "print"}, namespaces={}):
        assert str(error).startswith("fuzz.dml:"), "an error without a place"
    printed = to_source(tree)
    again, errors = attempt(printed)
    # Parentheses that printing adds may cross the limit of nesting; nothing else may change.
    if again is None:
        assert "nested too deeply" in errors[0].message, f"{errors[0]}\nin\n{printed}"
    else:
        assert same(tree, again), f"printing changed the meaning:\n{printed}"
    return "tree"


def own_scripts() -> list[str]:
    """The DML scripts this project ships."""
    root = Path(__file__).resolve().parents[3]
    return [path.read_text() for path in sorted((root / "scripts").rglob("*.dml"))]


def test_two_thousand_inputs() -> None:
    stream = inputs(7, own_scripts())
    outcomes = Counter(check(*next(stream)) for _ in range(2000))
    assert outcomes["tree"] > 400
    assert outcomes["errors"] > 400


def test_scripts_of_the_project_parse() -> None:
    for text in own_scripts():
        assert check(text, True) == "tree"


def main() -> int:
    """Run `--count` inputs; print the first failure and stop, or a summary."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    stream = inputs(args.seed, own_scripts())
    for number in range(args.count):
        text, valid = next(stream)
        started = time.process_time()
        try:
            outcomes[check(text, valid)] += 1
        except Exception as error:
            print(f"input {number}: {type(error).__name__}: {error}\n----\n{text}\n----")
            return 1
        slowest = max(slowest, time.process_time() - started)
    print(
        f"{args.count} inputs: {outcomes['tree']} parsed, {outcomes['errors']} rejected; slowest {slowest:.3f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
