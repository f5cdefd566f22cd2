"""How output to the terminal, text conversion and aborting are lowered."""

from __future__ import annotations

import re
from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.arguments import Builtin
from sysmlc.frontends.dml.frame import Frame
from sysmlc.frontends.dml.types import describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_matrix import MatrixToString
from sysmlc.ir.dialects.dml_scalar import Assert, Format, ListToString, Print, Stop
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f64, i1, i64, list_, string

_DEFAULTS: Final = (100, 100, 3, False, " ", "\n")
_SPECIFIER: Final = re.compile(r"%(\d+\$)?([-#+ 0,(<]*)(\d+)?(\.\d+)?([a-zA-Z%])?")


def to_string(frame: Frame, node: ast.Call, target: Value, *options: Value) -> Value:
    """`toString(x, rows=, cols=, …)`"""
    made = _text_of(frame, node, target, options)
    for option in options:
        if (
            not option.uses
            and not option.name
            and option.op is not None
            and option.op.name == "core.constant"
        ):
            option.op.erase()  # only matrices are laid out
    return made


def _text_of(frame: Frame, node: ast.Node, value: Value, options: tuple[Value, ...] = ()) -> Value:
    """The print form of anything."""
    if isinstance(value.type, Matrix):
        operands = options or tuple(frame.constant(node, default) for default in _DEFAULTS)
        return frame.emit(node, MatrixToString, value, *operands)
    if value.type is list_:
        return frame.emit(node, ListToString, value)
    return frame.cast(node, value, string)


def print_(frame: Frame, node: ast.Call, self: Builtin) -> None:
    """`print(x)`, `print("format", a, b)`"""
    if not node.args or any(arg.name for arg in node.args):
        raise self.wrong(node, "'print' takes a value, or a format and the values it shows")
    if len(node.args) == 1:
        arg = node.args[0].value
        frame.op(node, Print, _text_of(frame, arg, frame.expr(arg)))
    else:
        frame.op(node, Print, _formatted(frame, node))


def _formatted(frame: Frame, node: ast.Call) -> Value:
    form = node.args[0].value
    if not isinstance(form, ast.StringLit):
        raise Diagnostic(
            "the format must be a string literal", form.loc, hint='write print("%s %s", a, b), or join with +'
        )
    values = [frame.expr(arg.value) for arg in node.args[1:]]
    wanted = _wanted(form, len(values))
    for i, (arg, value) in enumerate(zip(node.args[1:], values, strict=True)):
        if not is_scalar(value.type):
            raise Diagnostic(
                f"a format shows scalars, but this is {describe(value.type)}",
                arg.loc,
                hint="write toString(…)",
            )
        if i in wanted:
            values[i] = _fit(frame, arg, value, *wanted[i])
    return frame.emit(node, Format, frame.constant(form, form.value), values)


def _wanted(form: ast.StringLit, count: int) -> dict[int, tuple[str, Type | None]]:
    """For the arguments that the format shows: the specifier, and the type it needs."""
    wanted: dict[int, tuple[str, Type | None]] = {}
    following = 0
    for found in _SPECIFIER.finditer(form.value):
        position, _, _, _, letter = found.groups()
        if letter in ("%", "n"):
            continue
        if letter is None or letter not in "dxXofeEgGaAsSbBc":
            raise Diagnostic(f"'{found[0]}' is not a format", form.loc, hint="write %% for a percent sign")
        at = int(position[:-1]) - 1 if position else following
        following += not position
        if at >= count:
            raise Diagnostic(
                f"the format shows {at + 1} values, but {count} {'is' if count == 1 else 'are'} given",
                form.loc,
            )
        wanted[at] = found[0], i64 if letter in "dxXo" else f64 if letter in "feEgGaA" else None
    return wanted


def _fit(frame: Frame, arg: ast.Arg, value: Value, specifier: str, type: Type | None) -> Value:
    if type is None or value.type is type or value.type is box:
        return value
    wanted, cast = ("integers", "as.integer") if type is i64 else ("doubles", "as.double")
    raise Diagnostic(
        f"'{specifier}' shows {wanted}, but this is {describe(value.type)}",
        arg.loc,
        hint=f"convert it: {cast}(…)" + (", or write %s" if value.type in (string, i1) else ""),
    )


def stop(frame: Frame, node: ast.Call, message: Value) -> None:
    """`stop("message")`"""
    frame.op(node, Stop, _text_of(frame, node, message))
    frame.stopped = True


def assert_(frame: Frame, node: ast.Call, arg: ast.Expr) -> None:
    """`assert(condition)`"""
    frame.op(node, Assert, frame.scalar(arg, i1, "the condition of 'assert'"))
