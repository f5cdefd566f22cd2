"""From DML to the IR: the script becomes the function `main`, each function it calls one of its own."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sysmlc.frontends.dml import builtins, calls, indexing, loops, scalars, statements
from sysmlc.frontends.dml.ast import Import, Program
from sysmlc.frontends.dml.check import check
from sysmlc.frontends.dml.flow import Flow
from sysmlc.frontends.dml.frame import Frame, Variable
from sysmlc.frontends.dml.names import Unit
from sysmlc.frontends.dml.parser import MAX_DEPTH, parse
from sysmlc.frontends.dml.session import Session
from sysmlc.ir.core import Op, Region
from sysmlc.ir.dialects.core import Func, Module, Return
from sysmlc.ir.dialects.dml_scalar import Input, Output, RequireDefined
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.types import Type

__all__ = ["calls", "compile_source", "indexing", "loops", "lower_program", "scalars", "statements"]


def compile_source(
    source: Source,
    args: Mapping[str, str] | None = None,
    *,
    inputs: Mapping[str, Type] | None = None,
    outputs: Sequence[str] = (),
    runtime_args: bool = False,
) -> Op:
    """The module of a script. Raises a `Diagnostic`, or a `DiagnosticGroup` where there are several errors.

    `args` are the texts of `$` arguments; those that are missing are errors, or with `runtime_args` looked up when
    the program runs. `inputs` are variables bound by an embedding program, `outputs` those handed back to it.
    """
    return lower_program(parse(source), args, inputs=inputs, outputs=outputs, runtime_args=runtime_args)


def lower_program(
    program: Program,
    args: Mapping[str, str] | None = None,
    *,
    inputs: Mapping[str, Type] | None = None,
    outputs: Sequence[str] = (),
    runtime_args: bool = False,
) -> Op:
    """The module of a parsed script; see `compile_source`."""
    session = Session(args or {}, runtime_args)
    with _undisturbed():
        unit = session.files.main(program)
        for one in session.files.units:
            _check(session, one, (inputs or {}) if one is unit else {})
        main = _main(session, unit, inputs or {}, outputs)
        session.lower_pending()
        functions = session.reachable(main) if not session.errors else []
        session.check_unused()
    errors = session.sorted_errors()
    assert errors or not session.poisoned, f"an error was swallowed at {session.poisoned[0].loc}"
    if len(errors) > 1:
        raise DiagnosticGroup(errors)
    if errors:
        raise errors[0]
    body = Region()
    for function in (main, *functions):
        body.append(function)
    return Module.new(regions=[body], loc=program.loc)


def _check(session: Session, unit: Unit, inputs: Mapping[str, Type]) -> None:
    """Report what the tree of a file shows without types."""
    program = unit.program
    if unit is not session.files.units[0]:  # of a sourced file only the functions count
        imports = tuple(statement for statement in program.body if isinstance(statement, Import))
        program = Program(program.span, program.source, program.functions, imports)
    namespaces = {name: other.functions for name, other in unit.namespaces.items()}
    for error in check(program, builtins=builtins.names(), namespaces=namespaces, variables=inputs):
        session.report(error)


def _main(session: Session, unit: Unit, inputs: Mapping[str, Type], outputs: Sequence[str]) -> Op:
    program = unit.program
    region = Region()
    frame = Frame(session, unit, region, Flow(program.body, outputs))
    for name, type in inputs.items():
        value = frame.emit(program, Input, name_=name, types=[type])
        value.name = name
        frame.env[name] = Variable(value, None, program)
    frame.block(program.body)
    for name in outputs:
        variable = frame.env.get(name)
        if variable is None:
            session.report(
                Diagnostic(
                    f"the output '{name}' is never assigned", hint=nearest(name, frame.env), loc=program.loc
                )
            )
        elif variable.value is not None:
            if variable.flag is not None:
                frame.op(variable.at, RequireDefined, variable.flag, variable=name)
            frame.op(variable.at, Output, variable.value, name_=name)
    frame.op(program, Return, [])
    return Func.new(sym="main", regions=[region], loc=program.loc)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Room for deep nesting (the parser bounds it), and no search for garbage: nothing made here becomes any."""
    limit, collecting = sys.getrecursionlimit(), gc.isenabled()
    sys.setrecursionlimit(max(limit, 30 * MAX_DEPTH + 1000))
    gc.disable()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()
