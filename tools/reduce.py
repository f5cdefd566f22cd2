"""sysmlc-reduce: make a failing .ir file small while it keeps failing.

Tries to remove functions, operations, regions, results, arguments and attributes, keeps every change after which the
module still is valid and the command still fails, and stops when none is left to try.
"""

from __future__ import annotations

import argparse
import io
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.parser import parse_source
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.verify import verify

EXAMPLES = """\
examples:
  sysmlc-reduce bad.ir -c 'sysmlc-opt %s -p simplify'
  sysmlc-reduce bad.ir -c 'sysmlc-opt %s -O2' --contains 'left an invalid module' -o small.ir
  sysmlc-reduce bad.ir -c './check.sh %s'          any command: a failure is an exit code other than 0

A command that starts with sysmlc-opt runs in this process, hundreds of times a second.
"""

Predicate = Callable[[str], bool]
Edit = Callable[[], None]


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="sysmlc-reduce",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="the .ir file that makes the command fail")
    add("-c", "--command", required=True, help="the command; %%s is the file")
    add(
        "--contains",
        default="",
        metavar="TEXT",
        help="a failure counts only when the command's output has this text",
    )
    add("-o", dest="output", metavar="FILE", help="write to FILE instead of standard output")
    add(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="a run that takes longer is no failure (60)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command `sysmlc-reduce`; gives the exit code."""
    given = options().parse_args(argv)
    try:
        text = Path(given.file).read_text(encoding="utf-8")
        module = parse_source(Source(given.file, text))
        verify(module)
        start = to_text(module)
        with tempfile.TemporaryDirectory(prefix="sysmlc-reduce-") as folder:
            fails = command_predicate(given.command, Path(folder) / "case.ir", given.contains, given.timeout)
            if not fails(start):
                with_text = " with this text" if given.contains else ""
                raise Diagnostic(f"the command does not fail on this file{with_text}")
            reduced = reduce(start, fails, lambda text: _progress(start, text))
        if given.output:
            Path(given.output).write_text(reduced, encoding="utf-8")
        else:
            sys.stdout.write(reduced)
    except (Diagnostic, DiagnosticGroup) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"error: {given.file}: {getattr(error, 'strerror', None) or error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _progress(start: str, text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{start.count(chr(10))} -> {text.count(chr(10))} lines ")


def command_predicate(command: str, file: Path, contains: str, timeout: float) -> Predicate:
    """Whether `command` fails on a text (written to `file`), with `contains` in what it prints."""
    words = shlex.split(command)
    line = [w.replace("%s", str(file)) for w in words]

    def in_process() -> tuple[int, str]:
        from sysmlc.tools.opt import run

        out = io.StringIO()
        try:
            return run(line[1:], io.StringIO(), out, out), out.getvalue()
        except Exception:  # a crash of the tool is a failure as well
            return 1, out.getvalue() + traceback.format_exc()

    def outside() -> tuple[int, str]:
        try:
            done = subprocess.run(
                line,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return 0, ""
        return done.returncode, done.stdout

    def fails(text: str) -> bool:
        file.write_text(text, encoding="utf-8")
        code, output = in_process() if words[0] == "sysmlc-opt" else outside()
        return code != 0 and contains in output

    return fails


def reduce(text: str, fails: Predicate, report: Callable[[str], object] = lambda text: None) -> str:
    """The smallest text found on which `fails` still is true. `text` must be a valid module on which it is."""
    best = text
    seen = {text}

    def attempt(number: int) -> str | None:
        """The text after edit `number` of the best module, if it is valid and still fails. StopIteration: no such edit."""
        module = parse_source(Source("case.ir", best))
        for i, edit in enumerate(edits(module)):
            if i == number:
                try:
                    edit()
                    verify(module)
                except (Diagnostic, AssertionError):  # this cannot be done here
                    return None
                made = to_text(module)
                if made in seen:
                    return None
                seen.add(made)
                return made if fails(made) else None
        raise StopIteration

    improved = True
    while improved:
        improved = False
        number = 0
        while True:
            try:
                made = attempt(number)
            except StopIteration:
                break
            if made is None:
                number += 1
            else:
                best, improved = made, True
                report(best)
    return best


def edits(module: Op) -> Iterator[Edit]:
    """Everything that may be tried on a module, big steps first. Edits change the module they came from."""
    functions = [op for op in module.regions[0] if op.regions]
    for function in functions:
        yield lambda f=function: f.erase()
    for function in functions:
        yield from _chunks([op for region in function.regions for op in region])
    inner = [op for f in functions for region in f.regions for op in region.walk()]
    for op in inner:
        if op.regions:
            for region in op.regions:
                yield lambda o=op, r=region: _hoist(o, r)
            for region in op.regions:
                yield from _chunks(list(region))
    for op in inner:
        if op.results:
            for operand in dict.fromkeys(op.operands):
                if all(operand.type is r.type for r in op.results):
                    yield lambda o=op, v=operand: o.replace_by([v] * len(o.results))
            if op.name not in ("dml.undefined", "core.constant"):
                yield lambda o=op: _remove([o])
    for op in inner:
        for i in range(len(op.results)):
            if not op.results[i].uses:
                yield lambda o=op, k=i: _drop_carried(o, k)
    for function in functions:
        for region in function.regions:
            for i in range(len(region.args)):
                yield lambda r=region, k=i: r.erase_arg(k) if not r.args[k].uses else None
            if region.last is not None and region.last.operands:
                yield lambda end=region.last: end.set_operands([])
    for op in inner:
        for attr in definitions[type(op)].attrs:
            if not attr.required and attr.name in op.attrs:
                yield lambda o=op, name=attr.name: o.attrs.pop(name)


def _chunks(ops: list[Op]) -> Iterator[Edit]:
    """Removals of runs of operations: halves first, then quarters …, single ones at last."""
    removable = [op for op in ops if "terminator" not in op.traits]
    size = len(removable)
    while size >= 1:
        for start in range(0, len(removable), size):
            yield lambda part=removable[start : start + size]: _remove(part)
        size //= 2


def _remove(ops: Sequence[Op]) -> None:
    """Remove operations; what others use of them becomes `dml.undefined`."""
    for op in reversed(ops):
        for result in op.results:
            if result.uses:
                made = registry["dml.undefined"]("dml.undefined", (), [result.type], None, (), op.loc)
                assert op.parent is not None
                op.parent.insert_before(op, made)
                result.replace_by(made.results[0])
        op.erase()


def _hoist(op: Op, region: Region) -> None:
    """Replace an operation by the contents of one of its regions, run once."""
    flow: dict[Value, Value] = {}
    for source, target in op.flow():
        if source in op.operands:
            flow.setdefault(target, source)
    for arg in list(region.args):
        if arg in flow:
            arg.replace_by(flow[arg])
        elif arg.uses:
            made = registry["dml.undefined"]("dml.undefined", (), [arg.type], None, (), op.loc)
            assert op.parent is not None
            op.parent.insert_before(op, made)
            arg.replace_by(made.results[0])
    assert op.parent is not None
    end = region.terminator
    for inner in region:
        if inner is not end:
            op.parent.insert_before(op, inner.detach())
    if len(end.operands) == len(op.results):
        for result, value in zip(op.results, list(end.operands), strict=True):
            if value.type is result.type:
                result.replace_by(value)
    _remove([op])


def _drop_carried(op: Op, index: int) -> None:
    """Remove a result that nobody uses, with what is carried for it."""
    result = op.results[index]
    into = [(source, target) for source, target in op.flow() if target is result]
    arguments = [
        (r, a) for r in op.regions for a in r.args if len(r.args) - len(op.results) + index == a.index
    ]
    count = len(op.results)
    if not into or (len(op.operands) < count and arguments):
        return
    for region in op.regions:
        if region.last is not None and len(region.last.operands) == count:
            values = list(region.last.operands)
            del values[index]
            region.last.set_operands(values)
    if arguments:
        operands = list(op.operands)
        del operands[len(operands) - count + index]
        op.set_operands(operands)
        for region, arg in arguments:
            if arg.uses:
                made = registry["dml.undefined"]("dml.undefined", (), [arg.type], None, (), op.loc)
                region.insert_before(region.terminator if region.first is None else region.first, made)
                arg.replace_by(made.results[0])
            region.erase_arg(arg.index)
    del op.results[index]
    for i, left in enumerate(op.results):
        left.index = i


if __name__ == "__main__":
    sys.exit(main())
