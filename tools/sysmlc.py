"""The compiler driver: `sysmlc run script.dml` and `sysmlc script.dml -o prog`."""

from __future__ import annotations

if __name__ == "__main__":
    from sysmlc.tools.start import leave_silently

    leave_silently()

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sysmlc.tools.start import INTERRUPTED, answer_interrupts
from sysmlc.tools.usage import ABSENT, HELP

if TYPE_CHECKING:
    from sysmlc.api import Program
    from sysmlc.runtime.bridge import Context

TARGETS = ("native", "x86-64-v2", "x86-64-v3", "x86-64-v4")
INPUT_TYPES = ("", "matrix", "f64", "i64", "i1", "str", "list")
KINDS = ("exe", "lib", "obj", "asm", "llvm", "ir")


class UsageError(Exception):
    """The command line makes no sense; the text says why."""


@dataclass
class Command:
    """What the command line asks for."""

    run: bool = False
    script: str | None = None
    text: str | None = None
    args: dict[str, str] = field(default_factory=dict)
    stats: int | None = None
    explain: str | None = None
    page: str | None = None
    config: str | None = None
    seed: int | None = None
    threads: int | None = None
    level: int | None = None
    fusion: bool = True
    strict_fp: bool = False
    precision: str | None = None
    output: str | None = None
    emit: str = "exe"
    target: str = "native"
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)

    @property
    def has_script(self) -> bool:
        return self.script is not None or self.text is not None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        answer_interrupts()
        return _answer(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _answer(argv: Sequence[str]) -> int:
    _open_standard_streams()
    if not argv or argv[0] in ("-help", "--help", "-h", "help"):
        print(HELP, end="")
        return 0 if argv else 2
    if argv[0] in ("-version", "--version"):
        from sysmlc import __version__

        print(f"sysmlc {__version__}")
        return 0
    try:
        command = parse(argv)
        if command is None:
            print(HELP, end="")
            return 0
        return _guarded(command)
    except UsageError as error:
        print(f"sysmlc: {error} (see sysmlc --help)", file=sys.stderr)
        return 2


def _open_standard_streams() -> None:
    """Where a standard stream is closed, no file may get its number: what is printed would end up in it."""
    try:
        while (number := os.open(os.devnull, os.O_RDONLY)) <= 2:
            pass
        os.close(number)
    except OSError:
        return


def _guarded(command: Command) -> int:
    from sysmlc.ir.source import Diagnostic, DiagnosticGroup

    try:
        if command.run:
            return run_script(command)
        compile_script(command)
        return 0
    except UsageError:
        raise
    except (Diagnostic, DiagnosticGroup) as error:
        return _failed(str(error))
    except MemoryError:
        return _failed("error: out of memory")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        import errno
        import resource

        hint = ""
        if error.errno in (None, errno.ENOMEM) and resource.getrlimit(resource.RLIMIT_AS)[0] >= 0:
            hint = "\n  hint: compiling may take more memory than 'ulimit -v' allows"
        return _failed(
            f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else "") + hint
        )
    except Exception as error:
        if type(error).__name__ == "NativeError":
            return _failed(str(error))
        if os.environ.get("SYSMLC_DEBUG"):
            raise
        text = str(error) or type(error).__name__
        return _failed(
            f"internal error: {text}\n  this is a bug in sysmlc; SYSMLC_DEBUG=1 shows where it is, "
            "please report it with the script"
        )


def _failed(text: str) -> int:
    if sys.stdout is not None:
        sys.stdout.flush()
    print(text, file=sys.stderr)
    return 1


# -- the command line ------------------------------------------------------------------------------------------------


def parse(argv: Sequence[str]) -> Command | None:
    """The command that `argv` gives; None for help."""
    words = list(argv)
    command = Command()
    launched = words[0] in ("-f", "-s")  # as SystemML's launcher
    if words[0] in ("run", "compile", "build"):
        command.run = words.pop(0) == "run"
    while words:
        word = words.pop(0)
        if word in ("-help", "--help", "-h"):
            return None
        if word in ("-nvargs", "--nvargs"):
            _named_arguments(command, words)
            break
        if word in ("-args", "--args"):
            command.args = {str(i): text for i, text in enumerate(words, 1)}
            break
        if not word.startswith("-") or word == "-":
            _set_script(command, word)
        elif word.startswith("--") and "=" in word:
            name, _, value = word.partition("=")
            _option(command, name, [value])
        else:
            _option(command, word, words)
    if not command.has_script:
        raise UsageError("no script was given")
    for_files = [
        o
        for o, given in (
            ("-o", command.output),
            ("--emit", command.emit != "exe"),
            ("--input", command.inputs),
            ("--output", command.outputs),
        )
        if given
    ]
    if command.run and for_files:
        raise UsageError(f"{for_files[0]} is for compiled programs: `sysmlc SCRIPT -o FILE` makes one")
    command.run = command.run or (launched and not for_files)
    return command


def _set_script(command: Command, path: str) -> None:
    if command.has_script:
        if (
            not command.run
            and command.script
            and command.script.isalpha()
            and not Path(command.script).exists()
        ):
            raise UsageError(f"there is no command '{command.script}'; `sysmlc run {path}` runs a script")
        raise UsageError(f"more than one script: '{path}' comes too late; arguments follow -args or -nvargs")
    command.script = path


def _following(option: str, words: list[str]) -> str:
    if not words:
        raise UsageError(f"{option} needs a value")
    return words.pop(0)


def _option(command: Command, option: str, words: list[str]) -> None:
    """Take one option, and its value from the words that follow."""
    name = "-" + option.lstrip("-")
    if name == "-f":
        _set_script(command, _following(option, words))
    elif name == "-s":
        if command.script is not None:
            raise UsageError("-s gives a second script")
        command.text = _following(option, words)
    elif name == "-o":
        command.output = _following(option, words)
    elif name == "-emit":
        command.emit = _following(option, words)
        if command.emit not in KINDS:
            raise UsageError(f"--emit makes {', '.join(KINDS)}, not '{command.emit}'")
    elif name == "-target-cpu":
        command.target = _following(option, words)
        levels = command.target.split(",")
        if not set(levels) <= {*TARGETS} or ("native" in levels and len(levels) > 1):
            raise UsageError(
                f"--target-cpu is {TARGETS[0]}, or one or more of {', '.join(TARGETS[1:])}, not '{command.target}'"
            )
    elif name == "-input":
        variable, _, kind = _following(option, words).partition(":")
        if kind not in INPUT_TYPES:
            raise UsageError(f"the type of an input is {', '.join(filter(None, INPUT_TYPES))}, not '{kind}'")
        command.inputs[variable] = kind or "matrix"
    elif name == "-output":
        command.outputs.append(_following(option, words))
    elif name in ("-O0", "-O1", "-O2"):
        command.level = int(name[2])
    elif name == "-no-fusion":
        command.fusion = False
    elif name == "-strict-fp":
        command.strict_fp = True
    elif name == "-precision":
        command.precision = _following(option, words)
        from sysmlc.ir.types import PRECISIONS

        if command.precision not in PRECISIONS:
            raise UsageError(f"--precision is {' or '.join(PRECISIONS)}, not '{command.precision}'")
    elif name == "-stats":
        command.stats = int(words.pop(0)) if words and words[0].isdigit() else 10
    elif name == "-explain":
        from sysmlc.tools.explain import LEVELS

        named = words[0].partition("=") if words else ("", "", "")
        command.explain = LEVELS.get(named[0], "runtime")
        if words and named[0] not in LEVELS and not words[0].startswith("-") and command.has_script:
            raise UsageError(f"-explain shows {', '.join(dict.fromkeys(LEVELS.values()))}, not '{words[0]}'")
        if named[0] in LEVELS:
            words.pop(0)
            command.page = named[2] or None
            if named[1] and (command.explain != "plan" or not named[2]):
                raise UsageError(f"-explain {named[0]}= names no page: -explain plan=FILE.html writes one")
    elif name == "-config":
        command.config = _following(option, words)
    elif name == "-seed":
        command.seed = _integer(option, _following(option, words))
    elif name == "-threads":
        command.threads = _integer(option, _following(option, words))
        if command.threads < 1:
            raise UsageError("-threads needs a number of at least 1")
    elif name == "-exec":
        _check_mode(_following(option, words))
    elif (absent := name.lstrip("-")) in ABSENT:
        raise UsageError(f"'{option}' is about {ABSENT[absent]}, which this version does not have")
    else:
        raise UsageError(f"unknown option '{option}'")


def _check_mode(mode: str) -> None:
    if mode in ("singlenode", "hybrid"):
        return
    if mode in ("spark", "hybrid_spark", "hadoop"):
        raise UsageError(
            f"execution mode '{mode}' needs a cluster back end, which this version does not have"
        )
    raise UsageError(f"unknown execution mode '{mode}': use singlenode or hybrid")


def _integer(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} needs a whole number, not '{text}'") from None


def _named_arguments(command: Command, words: list[str]) -> None:
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"-nvargs takes name=value pairs, got '{word}'")
        command.args[name] = value


# -- running and compiling -----------------------------------------------------------------------------------------------


def _program(command: Command, outputs: Sequence[str] = ()) -> Program:
    from sysmlc.api import Program, read_source
    from sysmlc.codegen.cpu.compile import Options
    from sysmlc.ir.source import Source

    source = (
        Source("<script>", command.text) if command.text is not None else read_source(str(command.script))
    )
    level = 2 if command.level is None else command.level
    options = Options(
        level,
        command.target,
        command.fusion,
        strict_fp=command.strict_fp,
        precision=command.precision or "double",
    )
    return Program(source, args=command.args, outputs=outputs, options=options)


def run_script(command: Command) -> int:
    """Compile and run in this process."""
    started = time.perf_counter()
    if command.config is not None:
        from sysmlc.tools.configuration import apply_configuration

        apply_configuration(command, command.config)
    program = _program(command)
    if command.explain is not None:
        _explain(program, command.explain, command.page)
        return 0
    compiled_at = started

    def configure(context: Context) -> None:
        nonlocal compiled_at
        compiled_at = time.perf_counter()
        if command.threads is not None:
            context.set_threads(command.threads)
        if command.seed is not None:
            context.set_seed(command.seed)
        if command.stats is not None:
            context.enable_statistics()
        context.stop_on_signals()

    results = program.run(configure=configure)
    if command.stats is not None:
        done = time.perf_counter()
        print("SystemML Statistics:", file=sys.stderr)
        print(f"Total elapsed time:\t\t{done - started:.3f} sec.", file=sys.stderr)
        print(f"Total compilation time:\t\t{compiled_at - started:.3f} sec.", file=sys.stderr)
        print(f"Total execution time:\t\t{done - compiled_at:.3f} sec.", file=sys.stderr)
        print(results.context.statistics(command.stats), end="", file=sys.stderr)
    return 0


def _explain(program: Program, level: str, page: str | None) -> None:
    from sysmlc.tools.explain import explain, plan_page

    if page is None:
        print(explain(program, level).rstrip("\n"))
    else:
        _write_text(Path(page), plan_page(program))


def compile_script(command: Command) -> None:
    """Make a file of a script."""
    from sysmlc.ir.source import Diagnostic

    for given, option in ((command.stats, "-stats"), (command.explain, "-explain"), (command.config, "-config"),
                          (command.seed, "-seed"), (command.threads, "-threads")):  # fmt: skip
        if given is not None:
            raise UsageError(
                f"{option} belongs to `sysmlc run`; executables take -stats, -seed and -threads themselves"
            )
    if (command.inputs or command.outputs) and command.emit not in ("lib", "obj"):
        raise UsageError("--input and --output are for callers of a library: add --emit=lib")
    program = _program(command)
    output = Path(command.output or _default_output(command))
    if output.is_dir():
        raise Diagnostic(f"cannot write {output}: it is a folder", hint="name the result with -o FILE")
    if command.script is not None and output.exists() and output.samefile(command.script):
        raise Diagnostic(f"the result would replace the script {output}", hint="name the result with -o FILE")
    if command.emit in ("asm", "llvm", "ir"):
        from sysmlc.tools.explain import explain

        level = "hops" if command.emit == "ir" else command.emit
        _write_text(output, explain(program, level, runtime_args=True))
        return
    from sysmlc.codegen.cpu import link

    compiled = program.compiled(command.inputs, program.args, command.outputs, runtime_args=True, here=True)
    make = {"exe": link.link_executable, "lib": link.link_library, "obj": link.link_object}[command.emit]
    make(compiled, output)


def _default_output(command: Command) -> str:
    if command.script is None:
        raise UsageError("name the result with -o FILE")
    stem = Path(command.script).stem
    return {"exe": stem, "lib": f"lib{stem}.so", "obj": f"{stem}.o", "asm": f"{stem}.s"}.get(
        command.emit, f"{stem}.{'ll' if command.emit == 'llvm' else 'ir'}"
    )


def _write_text(output: Path, text: str) -> None:
    from sysmlc.ir.source import Diagnostic

    if str(output) in ("-", "/dev/stdout"):
        print(text)
        return
    temporary = output.with_name(f".{output.name}.{os.getpid()}.new")
    try:
        temporary.write_text(text.rstrip("\n") + "\n")
        os.replace(temporary, output)
    except OSError as error:
        raise Diagnostic(f"cannot write {output}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
