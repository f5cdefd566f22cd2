"""Damaged and arbitrary scripts through the whole compiler: diagnostics or code, never a traceback, a hang or a crash.

By hand: `python -m tests.language.test_fuzz_pipeline --count 5000`.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from sysmlc.api import _type_of
from sysmlc.codegen.cpu.compile import Options, emit_compiled, lower_module
from sysmlc.codegen.cpu.target import make_target, parse
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.runtime.bridge import value_kind
from tests.frontends.dml.test_fuzz_parser import TOKENS, Grammar
from tests.language.random_programs import write

TIME_LIMIT = 20
"""Seconds of a processor: a machine that is busy, or stopped, makes no hangs."""
SWAPS = (
    ("+", "%*%"), ("*", "/"), ("<", "=="), ("&", "+"), ("rows", "cols"), ("nrow", "ncol"), ("t(", "diag("), ("rbind", "cbind"),
    ("matrix(", "rand("), ("sum(", "toString("), ("TRUE", "'a'"), ("1:", "0:"), ("X0", "n"), ("n", "X0"), ("s", "w"), ("b", "L1"), ("M1", "M2"),
    ("matrix[double]", "double"), ("double", "string"), ("int", "boolean"), ("return", "print"), ("if (", "while ("), ("for (", "parfor ("),
    (", ", " "), ("(", "(("), ("}", ""), ("{", ""), ("=", "+="), ("2", "0"), ("3", "-1"), ("4", "1e308"), ("1", "9223372036854775807"),
    ("abs", "rowSums"), ("cumsum", "exp"), ("%%", "^"), ("else", ";"), ("M", "v"), ("as.scalar", "as.matrix"), ("list(", "cbind("),
)  # fmt: skip


def mutated(rng: random.Random, text: str) -> str:
    """A script with a few local damages: most still parse, many have wrong types, shapes or names."""
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(5)
        lines = text.split("\n")
        if kind == 0 and len(lines) > 2:
            i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        elif kind == 1 and len(lines) > 2:
            del lines[rng.randrange(len(lines))]
            text = "\n".join(lines)
        elif kind == 2:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(TOKENS) + text[at + rng.randrange(3) :]
        else:
            old, new = rng.choice(SWAPS)
            places = [i for i in range(len(text)) if text.startswith(old, i)]
            if places:
                at = rng.choice(places)
                text = text[:at] + new + text[at + len(old) :]
    return text


def compile_everything(text: str, kinds: dict[str, Any], level: int) -> str:
    """Down to LLVM that LLVM accepts; gives how it ended."""
    try:
        module: Any = compile_source(
            Source("fuzz.dml", text), {"x": "3", "1": "a"}, inputs=kinds, runtime_args=level == 1
        )
        lower_module(module, Options(level))
        compiled = emit_compiled(module, "fuzz", [], Options(level))
        parse(compiled.llvm)
        make_target("native")
    except (Diagnostic, DiagnosticGroup) as error:
        return "diagnostic" if str(error).strip() else "an empty diagnostic"
    return "code"


def one(number: int) -> tuple[str, str]:
    """Script `number`, and how compiling it ended."""
    rng = random.Random(number)
    if rng.random() < 0.15:
        text, kinds = Grammar(rng).script(), {}
    else:
        made = write(rng, rng.randrange(2, 9))
        text = mutated(rng, made.text)
        kinds = {name: _type_of(value_kind(value)) for name, value in made.inputs.items()}
    return text, compile_everything(text, kinds, rng.randrange(3))


def test_damaged_scripts() -> None:
    ends = Counter(one(number)[1] for number in range(120))
    assert set(ends) == {"code", "diagnostic"}
    assert ends["code"] > 10
    assert ends["diagnostic"] > 30


class Hang(Exception):
    """Compiling took too long."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("."))
    options = parser.parse_args()

    def too_long(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGVTALRM, too_long)
    ends: Counter[str] = Counter()
    for number in range(options.first, options.first + options.count):
        signal.setitimer(signal.ITIMER_VIRTUAL, TIME_LIMIT)
        (options.out / "last-fuzz").write_text(str(number))
        try:
            ends[one(number)[1]] += 1
        except BaseException as error:
            ends["failure"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
            print(f"{number}: {type(error).__name__} at {place}: {str(error)[:200]!r}", flush=True)
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print(dict(ends))
    return int(ends["failure"] > 0)


if __name__ == "__main__":
    sys.exit(main())
