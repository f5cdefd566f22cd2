"""The Python interface: compile scripts, and run them on NumPy, SciPy and pandas values.

program = sysmlc.compile("gradient.dml")                     # a path, or the text of a script
results = program.run(inputs={"X": X, "y": y}, args={"lambda": 0.1}, outputs=["w"])
w = results["w"]
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sysmlc.ir.source import Diagnostic, Source

if TYPE_CHECKING:
    from sysmlc.codegen.cpu.compile import Compiled, Options
    from sysmlc.codegen.cpu.jit import LoadedProgram
    from sysmlc.ir.core import Op
    from sysmlc.runtime.bridge import Context

SPECIALISED = 4
"""Combinations of input sizes that get code of their own, in which sizes and numbers of non-zeros are known."""

PathLike = str | os.PathLike[str]


def compile(
    script: PathLike,
    *,
    args: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    optimize: int = 2,
    strict_fp: bool = False,
    precision: str = "double",
) -> Program:
    """A program of a DML script: the path of a file, or source text. Syntax errors are raised here.

    `args` are the script's `$` arguments, `outputs` the variables to hand back (by default every variable that the
    script assigns outside of control flow), `optimize` the level 0, 1 or 2, `precision` what matrices hold: `double` or `single`
    (scalars are double always); with
    `strict_fp` sums are neither multiplied out nor factored, so that roundings stay relative to the terms that are written. Code is made when the program first runs with
    arguments and kinds of inputs it has not seen; with `inputs` (values like those to come, or their kinds as texts like
    `matrix` and `f64`) it is made at once, and everything that is wrong with the script is raised here.
    """
    from sysmlc.codegen.cpu.compile import Options

    options = Options(level=optimize, strict_fp=strict_fp, precision=precision)
    program = Program(load_script(script), args=args, outputs=outputs, options=options)
    if inputs is not None:
        program.prepare(inputs)
    return program


def run(
    script: PathLike,
    *,
    inputs: Mapping[str, Any] | None = None,
    args: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
    precision: str = "double",
) -> Results:
    """Compile and run a script in one call."""
    return compile(script, args=args, outputs=outputs, precision=precision).run(inputs=inputs)


def load_script(script: PathLike) -> Source:
    """The source of a script given as a path or as text: text has a newline or anything a path would not have."""
    text = os.fspath(script)
    looks_like_text = (
        isinstance(script, str) and ("\n" in text or not text.endswith(".dml")) and not os.path.isfile(text)
    )
    if looks_like_text:
        return Source("<script>", text)
    return read_source(text)


def read_source(path: str) -> Source:
    """The source of a file; a Diagnostic when it cannot be read."""
    try:
        return Source(path, Path(path).read_bytes().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Diagnostic(f"{path} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise Diagnostic(f"cannot read {path}: {error.strerror or error}") from None


def argument_text(value: Any) -> str:
    """A `$` argument as text, as the command line would pass it."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


class Program:
    """A script, compiled for every combination of arguments and kinds of inputs it is run with."""

    def __init__(
        self,
        source: Source,
        *,
        args: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
        options: Options | None = None,
    ) -> None:
        from sysmlc.codegen.cpu.compile import Options

        self.source = source
        self.args = {name: argument_text(value) for name, value in (args or {}).items()}
        self.outputs = outputs
        self.options = options or Options()
        self._loaded: dict[object, LoadedProgram] = {}
        self._shapes: set[object] = set()
        self._specialise = True
        if outputs is None:
            self.outputs = _assigned(source)

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        """Make the code for inputs like these (values, or kinds as texts) before the first run."""
        from sysmlc.runtime.bridge import value_kind

        given = {name: v for name, v in inputs.items() if isinstance(v, str) and v in _KINDS}
        values = {name: v for name, v in inputs.items() if name not in given}
        if "matrix" in given.values():
            self._specialise = False  # code for any size was asked for
        kinds = given | self._with_facts({name: value_kind(v) for name, v in values.items()}, values)
        self._load(kinds, self.args, tuple(self.outputs or ()))

    def _with_facts(self, kinds: Mapping[str, str], inputs: Mapping[str, Any]) -> dict[str, str]:
        """The kinds with the sizes of matrices, for the first few combinations; then code for any size serves the rest."""
        exact = {
            n: matrix_facts(inputs[n]) + expected_facts(inputs[n]) if kind == "matrix" else kind
            for n, kind in kinds.items()
        }
        combination = tuple(sorted(exact.items()))
        known = combination in self._shapes
        if not self._specialise or (not known and len(self._shapes) >= SPECIALISED):
            return dict(kinds)
        self._shapes.add(combination)
        return exact

    def _load(
        self, kinds: Mapping[str, str], args: Mapping[str, str], outputs: tuple[str, ...]
    ) -> LoadedProgram:
        from sysmlc.codegen.cpu.jit import engine

        key = (tuple(sorted(kinds.items())), tuple(sorted(args.items())), outputs)
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = engine().load(self.compiled(kinds, args, outputs))
        return loaded

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        args: Mapping[str, Any] | None = None,
        outputs: Sequence[str] | None = None,
        *,
        configure: Callable[[Context], None] | None = None,
    ) -> Results:
        """Run the program. `inputs` binds variables to values, `args` adds `$` arguments, `outputs` replaces those to hand back.

        Inputs may be bool, int, float and str (or NumPy's); lists and dicts of values, which are DML's lists without and with
        names; and matrices: NumPy arrays of numbers with one dimension (a column) or two, pandas frames and series, SciPy
        sparse matrices. Every matrix is one of f64, or of f32 in single precision. Dense arrays of it in C order are
        read in place and never written; others are converted. Outputs are bool, int, float, str, list, dict, arrays of shape (rows, columns), and
        `csr_matrix`; arrays look into the memory of the run.

        Raises `NativeError` for errors of the running program and `Diagnostic` (several: `DiagnosticGroup`) for those found
        while it is compiled; both say where in the script. TypeError: a value is nothing that DML has. Ctrl-C stops the
        program and raises KeyboardInterrupt.
        """
        from sysmlc.codegen.cpu.jit import engine
        from sysmlc.runtime.bridge import Context, value_kind
        from sysmlc.runtime.running import interruptible, print_to_python

        inputs = inputs or {}
        kinds = {name: value_kind(value) for name, value in inputs.items()}
        kinds = self._with_facts(kinds, inputs)
        texts = self.args | {name: argument_text(value) for name, value in (args or {}).items()}
        wanted = tuple(self.outputs or ()) if outputs is None else tuple(outputs)
        loaded = self._load(kinds, texts, wanted)
        context = Context(self.options.precision)
        for name, value in inputs.items():
            context.set_input(name, value)
        print_to_python(context)
        if configure is not None:
            configure(context)
        engine().failure = None

        def start() -> None:
            context.run(loaded, engine().resolver)

        try:
            interruptible(start, context)
        except Exception:
            if engine().failure:
                raise AssertionError(f"compiling a kernel failed:\n{engine().failure}") from None
            raise
        return Results(context, wanted)

    def compiled(
        self,
        kinds: Mapping[str, str],
        args: Mapping[str, str],
        outputs: Sequence[str],
        *,
        runtime_args: bool = False,
        here: bool = False,
    ) -> Compiled:
        """Code for inputs of these kinds and these arguments, from the cache when nothing it was made of has changed.

        It is compiled by a worker, so that this process stays small, or `here`, which is sooner."""
        from sysmlc.codegen.cpu import saved
        from sysmlc.codegen.cpu.cache import compiler_version, key_of, object_cache
        from sysmlc.codegen.cpu.workers import workers

        parts = [sorted(kinds.items()), sorted(args.items()), list(outputs), runtime_args]
        key = key_of(
            "script",
            self.source.name,
            self.source.text,
            json.dumps(parts),
            self.options.key,
            compiler_version(),
        )
        found = object_cache().get(key)
        if found is None or not saved.is_current(found):
            workers().start(1 if here else 2)  # one waits for kernels, with the compiler loaded
            arguments = (self.source, dict(kinds), dict(args), tuple(outputs), self.options, runtime_args)
            found = compile_script(*arguments) if here else workers().call(compile_script, *arguments)
            object_cache().put(key, found)
        return saved.unpack(found, self.options)

    def module(
        self,
        kinds: Mapping[str, str] | None = None,
        args: Mapping[str, str] | None = None,
        outputs: Sequence[str] = (),
        *,
        runtime_args: bool = False,
    ) -> Op:
        """The program as logical IR, before any pass. With `runtime_args` a program that is given no arguments now looks
        them up when it runs; one that is given some is for these, as if it were run with them."""
        from sysmlc.frontends.dml.lower import compile_source

        types = {name: _type_of(kind) for name, kind in (kinds or {}).items()}
        texts = self.args if args is None else args
        later = runtime_args and not texts
        made = compile_source(self.source, texts, inputs=types, outputs=outputs, runtime_args=later)
        expected = {name: kind.partition("; ")[2] for name, kind in (kinds or {}).items()}
        for op in made.walk() if any(expected.values()) else ():
            if op.name == "dml.input" and expected[str(op.attrs["name_"])]:
                fact, _, number = expected[str(op.attrs["name_"])].partition("=")
                op.attrs[fact] = int(number) if fact == "most_in_row" else float(number)
        return made


def compile_script(
    source: Source,
    kinds: Mapping[str, str],
    args: Mapping[str, str],
    outputs: Sequence[str],
    options: Options,
    runtime_args: bool,
) -> bytes:
    """Compile a script, as workers do; the result is what `saved` stores."""
    import gc

    from sysmlc.codegen.cpu import saved
    from sysmlc.codegen.cpu.compile import compile_program
    from sysmlc.frontends.dml.builtins_files import described_data

    collecting = gc.isenabled()
    gc.disable()
    try:
        program = Program(source, outputs=outputs, options=options)
        module: Any = program.module(kinds, args, outputs, runtime_args=runtime_args)
        sourced = {op.loc.source.name: op.loc.source for op in module.walk() if op.loc.line > 0}
        sourced.pop(source.name, None)
        described = described_data(module)
        fixed = args if runtime_args else {}
        made = compile_program(module, os.path.basename(source.name), options, fixed, linked=runtime_args)
        return saved.pack(made, list(sourced.values()), described)
    finally:
        if collecting:
            gc.enable()


class Results(Mapping[str, Any]):
    """What a run handed back: variables by name. Arrays look into the memory of the run and keep it alive."""

    def __init__(self, context: Context, names: Sequence[str]) -> None:
        self.context = context
        self._names = tuple(names)
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(
                f"{name!r} is not an output of this run; it has {', '.join(self._names) or 'none'}"
            )
        if name not in self._values:
            self._values[name] = self.context.output(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def get(self, *names: Any) -> Any:
        """One value, or a tuple of several: `w, b = results.get("w", "b")`."""
        found = tuple(self[name] for name in names)
        return found[0] if len(found) == 1 else found


def _assigned(source: Source) -> list[str]:
    """The variables that a script assigns outside of control flow."""
    from sysmlc.frontends.dml import ast
    from sysmlc.frontends.dml.parser import parse

    names: dict[str, None] = {}
    for statement in parse(source).body:
        targets: Sequence[Any] = ()
        if isinstance(statement, ast.Assign):
            targets = (statement.target,)
        elif isinstance(statement, ast.MultiAssign):
            targets = statement.targets
        names.update((t.name, None) for t in targets if isinstance(t, ast.Name))
    return list(names)


_SAMPLED = 1 << 16
"""Cells of a dense matrix that is worth looking at."""
_KINDS = frozenset({"matrix", "f64", "i64", "i1", "str", "list"})


def _type_of(kind: str) -> Any:
    from sysmlc.ir.parser import parse_type
    from sysmlc.ir.types import matrix

    return matrix() if kind == "matrix" else parse_type(kind.partition("; ")[0])


def matrix_facts(value: Any) -> str:
    """The type of a matrix value as text: its size, and that it is dense or a bound of its non-zeros."""
    shape = tuple(value.shape)
    rows, cols = shape if len(shape) == 2 else (shape[0], 1) if len(shape) == 1 else (1, 1)
    if not hasattr(value, "tocsr"):
        return f"matrix<{rows}x{cols}xf64, dense>"
    step = 1 << max(int(value.nnz).bit_length() - 3, 0)  # rounded up, so that similar data shares code
    nnz = -(-int(value.nnz) // step) * step
    return f"matrix<{rows}x{cols}xf64, nnz={nnz}>" if nnz < rows * cols else f"matrix<{rows}x{cols}xf64>"


def expected_facts(value: Any) -> str:
    """What a look at a matrix lets expect, as attributes of `dml.input`; "" when that is nothing.

    Of CSR data, the most non-zeros of a row (rounded up to a power of two); of dense data, which of a thousand cells are
    zero, where most are (rounded, so that similar data shares code).
    """
    import numpy as np

    if getattr(value, "format", None) == "csr":
        most = int(np.diff(value.indptr).max(initial=0))
        return f"; most_in_row={1 << (most - 1).bit_length() if most else 0}"
    if isinstance(value, np.ndarray) and value.size >= _SAMPLED and value.flags.c_contiguous:
        sample = value.reshape(-1)[:: value.size // 1000 | 1]
        share = np.count_nonzero(sample) / sample.size
        if share < 0.3:
            return f"; filled={next(s for s in (0.0, 0.005, 0.02, 0.1, 0.3) if share <= s)}"
    return ""
