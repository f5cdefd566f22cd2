"""sysmlc-opt: read the IR (or a script), run passes, print what they leave. The compiler engineer's tool."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from sysmlc.ir.core import Op
from sysmlc.ir.instruments import PrintIR, Reproducer, Timing, statistics_report
from sysmlc.ir.nearest import nearest
from sysmlc.ir.parser import parse_source
from sysmlc.ir.passes import Instrument, Pass, PassError, PassManager
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.types import PRECISIONS
from sysmlc.ir.verify import verify
from sysmlc.passes import all_passes, find_pass, parse_pipeline
from sysmlc.passes.pipelines import lowering, pipeline
from sysmlc.tools.expected import Expectations

EXAMPLES = """\
examples:
  sysmlc-opt script.dml                           the logical IR of a script
  sysmlc-opt script.dml --arg X=in.csv -O2        … optimised
  sysmlc-opt f.ir -p 'cse,simplify{group=sum}'    run two passes
  sysmlc-opt f.ir -O2 --print-ir-after-change     follow the IR through a pipeline
  sysmlc-opt script.dml -O2 --precision=single    … with matrices of f32
  sysmlc-opt f.ir -O2 --timing --stats            where the time goes, which rules apply
  sysmlc-opt script.dml -O2 --emit=asm            lower it, too, and print machine code as text
  sysmlc-opt script.dml -O2 --explain plan        what is fused, formats, sizes and costs, by source line
  sysmlc-opt f.ir --evaluate                      run it on the reference evaluator
  sysmlc-opt - < f.ir                             read standard input

A file with several cases separated by lines '// -----' (in .dml '# -----') runs with --split-input-file; errors that a
case must give are written '// expected-error @+1 {{text}}' and checked with --verify-diagnostics.
"""
SEPARATORS = ("// -----", "# -----")


@functools.cache
def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="sysmlc-opt",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="an .ir or .dml file; - reads IR from standard input",
    )
    add("-o", dest="output", metavar="FILE", help="write to FILE instead of standard output")
    add(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a script's $ argument (positional: 1=VALUE)",
    )
    group = parser.add_argument_group("passes")
    add = group.add_argument
    add("-O", dest="level", choices=("0", "1", "2"), help="run the pipeline of this level (then that of -p)")
    add(
        "--precision",
        choices=tuple(PRECISIONS),
        help="with -O: what matrices hold, double (default) or single; scalars are double",
    )
    add("--strict-fp", action="store_true", help="with -O: passes neither multiply out nor factor sums")
    add("-p", "--pass-pipeline", default="", metavar="PASSES", help="run these passes: a,b{x=1,y=text},c")
    add(
        "--verify-each",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="verify after every pass (default)",
    )
    add("--list-passes", action="store_true", help="list all passes and their options")
    group = parser.add_argument_group("output")
    add = group.add_argument
    add("--emit", choices=("ir", "mlir", "llvm", "asm"), default="ir", help="what to print (default: ir)")
    add(
        "--target-cpu",
        default="native",
        metavar="CPU",
        help="processor for --emit=llvm and asm (default: native)",
    )
    add(
        "--explain",
        choices=("plan", "rewrites"),
        help="instead of the IR print the plan of operators, or each rewrite of the passes given",
    )
    add("--locations", action="store_true", help="print the location of every operation")
    add(
        "--evaluate",
        action="store_true",
        help="run the module on the reference evaluator instead of printing it",
    )
    group = parser.add_argument_group("looking at passes (on standard error)")
    add = group.add_argument
    add(
        "--print-ir-before",
        action="append",
        default=[],
        metavar="PASS",
        help="print the IR before PASS (a,b: both)",
    )
    add("--print-ir-after", action="append", default=[], metavar="PASS", help="print the IR after PASS")
    add("--print-ir-after-all", action="store_true", help="print the IR after every pass")
    add("--print-ir-after-change", action="store_true", help="print the IR after passes that change it")
    add(
        "--print-ir-after-failure",
        action="store_true",
        help="when a pass fails print a reproducer and what it left",
    )
    add("--reproducer", metavar="FILE", help="when a pass fails write a reproducer to FILE")
    add("--timing", action="store_true", help="report how long each pass takes")
    add("--stats", action="store_true", help="report what passes count: rules applied, operations removed …")
    group = parser.add_argument_group("tests")
    add = group.add_argument
    add("--split-input-file", action="store_true", help="treat the parts between '// -----' lines one by one")
    add(
        "--verify-diagnostics",
        action="store_true",
        help="check that exactly the errors expected in comments occur",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command `sysmlc-opt`; gives the exit code."""
    try:
        code = run(sys.argv[1:] if argv is None else argv, sys.stdin, sys.stdout, sys.stderr)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader (head, say) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def run(argv: Sequence[str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    """`main` with its streams given: tests call this thousands of times in one process."""
    given = options().parse_args(list(argv))
    try:
        return _Run(given, stdin, stdout, stderr).run()
    except (Diagnostic, DiagnosticGroup) as error:
        stderr.write(f"{error}\n")
    except RecursionError:
        stderr.write("error: regions are nested too deeply\n")
    except BrokenPipeError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        stderr.write(f"error: {_file_error(error, given.file)}\n")
    return 1


def _file_error(error: OSError | UnicodeDecodeError, file: str) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"{file} is not UTF-8 text (byte {error.start})"
    return f"{error.filename or file}: {error.strerror or error}"


class _Run:
    def __init__(self, given: argparse.Namespace, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.given = given
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    def run(self) -> int:
        given = self.given
        if given.list_passes:
            self.stdout.write(pass_list())
            return 0
        passes = self.passes()
        text = self.read()
        cases = _split(text) if given.split_input_file else [text]
        outputs, failed = [], False
        for case in cases:
            source = Source("<stdin>" if given.file == "-" else given.file, case)
            if given.verify_diagnostics:
                output, ok = self.checked(source, passes)
            else:
                output, ok = self.reported(source, passes)
            outputs.append(output)
            failed |= not ok
        self.write("// -----\n".join(outputs))
        return int(failed)

    def passes(self) -> list[Pass]:
        given = self.given
        for name in _names(given.print_ir_before) + _names(given.print_ir_after):
            if find_pass(name) is None:
                raise Diagnostic(
                    f"there is no pass '{name}'", hint=nearest(name, [p.name for p in all_passes()])
                )
        return [*self.optimisation(), *parse_pipeline(given.pass_pipeline)]

    def optimisation(self) -> list[Pass]:
        """What -O stands for."""
        given = self.given
        if given.level:
            elem = PRECISIONS[given.precision or "double"].text
            return pipeline(int(given.level), strict_fp=given.strict_fp, elem=elem)
        if given.precision:
            raise Diagnostic("--precision chooses a pipeline: it needs -O", hint="with -p, run set-precision")
        return []

    def read(self) -> str:
        if self.given.file == "-":
            return self.stdin.read()
        with open(self.given.file, encoding="utf-8") as file:
            return file.read()

    def write(self, text: str) -> None:
        if self.given.output:
            with open(self.given.output, "w", encoding="utf-8") as file:
                file.write(text)
        else:
            self.stdout.write(text)

    def reported(self, source: Source, passes: list[Pass]) -> tuple[str, bool]:
        try:
            return self.compile(source, passes), True
        except (Diagnostic, DiagnosticGroup) as error:
            self.stderr.write(f"{error}\n")
        except PassError as error:
            self.stderr.write(f"error: {error}\n")
            if not (self.given.print_ir_after_failure or self.given.reproducer):
                self.stderr.write("  hint: --print-ir-after-failure prints a reproducer\n")
        return "", False

    def checked(self, source: Source, passes: list[Pass]) -> tuple[str, bool]:
        expected = Expectations(source)
        output, found = "", []
        try:
            output = self.compile(source, passes)
        except Diagnostic as error:
            found = [error]
        except DiagnosticGroup as errors:
            found = errors.diagnostics
        except PassError as error:
            found = [error.__cause__ if isinstance(error.__cause__, Diagnostic) else Diagnostic(str(error))]
        problems = expected.compare(found)
        self.stderr.write("".join(f"{p}\n" for p in problems))
        return output, not problems

    def compile(self, source: Source, passes: list[Pass]) -> str:
        given = self.given
        args = dict(a.partition("=")[::2] for a in given.arg)
        module = load(source, args)
        verify(module)
        if given.emit in ("llvm", "asm") and not given.evaluate and not _is_lowered(module, passes):
            passes = passes + lowering()
        if given.explain:
            from sysmlc.tools.explain import explain_module

            level, fusion = int(given.level or 0), given.level != "0"
            return explain_module(module, source.name, level, given.explain, passes, fusion=fusion)
        instruments, timing = self.instruments()
        manager = PassManager(passes, given.verify_each, instruments)
        try:
            manager.run(module)  # type: ignore[arg-type]
        finally:
            if timing is not None:
                self.stderr.write(timing.report())
            if given.stats:
                self.stderr.write(statistics_report(list(manager.statistics.items())))
        if given.evaluate:
            from sysmlc.tools.emit import evaluated

            return evaluated(module, args)
        if given.emit == "ir":
            return to_text(module, locations=given.locations)
        from sysmlc.tools.emit import emitted

        return emitted(module, given.emit, given.target_cpu, int(given.level or 0))

    def instruments(self) -> tuple[list[Instrument], Timing | None]:
        given, made = self.given, list[Instrument]()
        after = ["*"] if given.print_ir_after_all else _names(given.print_ir_after)
        if given.print_ir_before or after or given.print_ir_after_change:
            before = _names(given.print_ir_before)
            made.append(PrintIR(before, after, changed=given.print_ir_after_change, write=self.stderr.write))
        if given.print_ir_after_failure:
            made.append(Reproducer(self.stderr.write))
        if given.reproducer:
            made.append(Reproducer(self.save, show_after=False))
        timing = Timing() if given.timing else None
        return made + ([timing] if timing else []), timing

    def save(self, text: str) -> None:
        with open(self.given.reproducer, "a" if "RUN:" not in text else "w", encoding="utf-8") as file:
            file.write(text)


def load(source: Source, args: dict[str, str]) -> Op:
    """The module in a source: a script when its name ends in .dml, else the IR's text form."""
    if source.name.endswith(".dml"):
        from sysmlc.frontends.dml.lower import compile_source

        return compile_source(source, args)
    import sysmlc.ir.dialects  # noqa: F401 (operations must be known before they are read)

    return parse_source(source)


def _is_lowered(module: Op, passes: list[Pass]) -> bool:
    """Whether the module is, or the passes take it, (partly) below the logical level."""
    names = {p.name for p in lowering()} - {p.name for p in pipeline(2)}
    return any(p.name in names for p in passes) or any(op.dialect in ("rt", "kernel") for op in module.walk())


def _names(lists: Iterable[str]) -> list[str]:
    return [name.strip() for names in lists for name in names.split(",")]


def _split(text: str) -> list[str]:
    """The parts of a text between separator lines, each padded with empty lines so that line numbers stay right."""
    parts, part = [], list[str]()
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if line.rstrip() in SEPARATORS:
            parts.append("\n".join(part))
            part = [""] * (i + 1)
        else:
            part.append(line)
    return [*parts, "\n".join(part)]


def pass_list() -> str:
    """All passes with their options, for people."""
    import dataclasses

    lines = []
    for one in all_passes():
        lines.append(f"{one.name:24} {one.summary()}")
        for field in dataclasses.fields(one):
            default = (
                "true" if field.default is True else "false" if field.default is False else field.default
            )
            lines.append(f"    {field.name.replace('_', '-')} = {default}")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
