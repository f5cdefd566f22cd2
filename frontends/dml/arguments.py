"""Signatures of builtins, and binding the arguments of a call to them.

A signature is written as `target: matrix, by: column = 1, decreasing: boolean = FALSE`. The kind says what the
emitter gets:

    matrix    a matrix                       number    f64        integer   i64
    boolean   i1                             text      str        cells     a matrix or f64
    column    a matrix; a scalar becomes 1x1 list      a list     any       any value
    word      the Python text of a literal   node      the expression itself, not evaluated

Defaults are literals, `none` (an empty matrix) or `?` (the emitter gets None).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.frame import Frame, scalar_hint
from sysmlc.frontends.dml.types import NUMERIC, argument, describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Undefined
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, f64, i1, i64, list_, matrix, string

Emitter = Callable[..., "Value | Sequence[Value] | None"]
_SCALARS: Final[dict[str, Type]] = {"number": f64, "integer": i64, "boolean": i1, "text": string}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a builtin."""

    name: str
    kind: str
    default: str | None
    """As written in the signature; None: the argument must be given."""


def _parameters(text: str) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for part in text.split(", ") if text else ():
        declaration, _, default = part.partition(" = ")
        name, _, kind = declaration.partition(": ")
        found.append(Parameter(name, kind, default or None))
    return tuple(found)


@dataclass
class Builtin:
    """A function of the language: its signature and how calls of it are lowered."""

    signature: str
    """With kinds; `…` at the start: the emitter binds the arguments itself, and the rest is for messages."""
    emit: Emitter
    results: int = 1
    effect: bool = False
    """Whether a call makes sense as a statement."""
    named: bool = False
    """Whether all arguments must be named."""
    raw: bool = False
    """Whether the emitter gets the builtin itself, to bind the arguments in its own way."""
    name: str = ""

    @cached_property
    def params(self) -> tuple[Parameter, ...]:
        """The parameters, read from the signature when they are first needed."""
        return _parameters(self.signature)

    @property
    def shown(self) -> str:
        """The signature as users see it: `order(target, by = 1, …)`."""
        if self.signature.startswith("…"):
            return f"{self.name}({self.signature[1:]})"
        parts = [
            p.name
            if p.default is None
            else f"{p.name} = …"
            if p.default in ("none", "?")
            else f"{p.name} = {p.default}"
            for p in self.params
        ]
        return f"{self.name}({', '.join(parts)})".replace("\n", "\\n")

    def lower(self, frame: Frame, node: ast.Call) -> list[Value]:
        """The results of a call."""
        if self.raw or self.signature.startswith("…"):
            made = self.emit(frame, node, self)
        else:
            made = self.emit(frame, node, *self.bind(frame, node))
        if made is None:
            return []
        return [made] if isinstance(made, Value) else list(made)

    def wrong(self, node: ast.Node, message: str) -> Diagnostic:
        """The error of a wrong argument list, with the signature as hint."""
        return Diagnostic(message, node.loc, hint=self.shown)

    def match(self, node: ast.Call) -> dict[str, ast.Arg]:
        """The argument of each parameter that is given, in the order written."""
        given: dict[str, ast.Arg] = {}
        params = self.params
        for position, arg in enumerate(node.args):
            if arg.name is None:
                if self.named:
                    raise self.wrong(arg, f"the arguments of '{self.name}' must be named")
                if given and any(a.name is not None for a in given.values()):
                    raise self.wrong(arg, "positional arguments stand before named ones")
                if position >= len(params):
                    most = (
                        f"at most {len(params)} argument{'s' * (len(params) != 1)}"
                        if params
                        else "no arguments"
                    )
                    raise self.wrong(node, f"'{self.name}' takes {most}, but {len(node.args)} are given")
                name = params[position].name
            else:
                name = arg.name
                if all(p.name != name for p in params):
                    known = [p.name for p in params]
                    error = self.wrong(arg, f"'{self.name}' has no parameter '{name}'")
                    close = nearest(name, known)
                    error.hint = f"{close} {self.shown}" if close else self.shown
                    raise error
            if name in given:
                raise self.wrong(arg, f"the argument '{name}' is given twice")
            given[name] = arg
        missing = [f"'{p.name}'" for p in params if p.default is None and p.name not in given]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            raise self.wrong(node, f"'{self.name}' needs the argument{plural} {', '.join(missing)}")
        return given

    def bind(self, frame: Frame, node: ast.Call) -> list[Any]:
        """What the emitter gets for each parameter; arguments are evaluated in the order written."""
        given = self.match(node)
        kinds = {p.name: p.kind for p in self.params}
        values = {
            name: evaluate(frame, arg.value, kinds[name], f"the argument '{name}' of '{self.name}'")
            for name, arg in given.items()
        }
        return [values[p.name] if p.name in values else _default(frame, node, p) for p in self.params]


def evaluate(frame: Frame, node: ast.Expr, kind: str, what: str) -> Any:
    """An argument as its kind says; `what` names it in messages."""
    if kind == "node":
        return node
    if kind in _SCALARS:
        return text(frame, node, what) if kind == "text" else frame.scalar(node, _SCALARS[kind], what)
    if kind == "word":
        known = known_text(frame, node)
        if known is None:
            raise Diagnostic(f"{what} must be a string literal", node.loc)
        return known
    if kind == "cells" and isinstance(node, ast.IntLit | ast.DoubleLit):
        return frame.scalar(node, f64, what)
    value = frame.expr(node)
    if kind == "any":
        return value
    if isinstance(value.type, Matrix):
        if kind != "list":
            return value
    elif kind == "list":
        if value.type is list_:
            return value
    elif kind == "cells" and value.type in NUMERIC:
        return frame.cast(node, value, f64)
    elif kind == "column" and value.type in NUMERIC:
        return frame.emit(node, AsMatrix, frame.cast(node, value, f64))
    wanted = {"list": "a list", "matrix": "a matrix"}.get(kind, "a matrix or a number")
    hint = None
    if kind == "matrix" and value.type in NUMERIC:
        hint = "make a 1x1 matrix of it: as.matrix(…)"
    elif value.type is list_:
        hint = "take one entry out: as.matrix(L[i])"
    raise Diagnostic(f"{what} must be {wanted}, but is {describe(value.type)}", node.loc, hint=hint)


def text(frame: Frame, node: ast.Expr, what: str) -> Value:
    """A string argument. Numbers are not taken for text here, as that is nearly always a slip."""
    value = frame.expr(node)
    if value.type is string:
        return value
    if is_scalar(value.type) and value.type not in (f64, i64, i1):
        return frame.cast(node, value, string)
    raise Diagnostic(
        f"{what} must be a string, but is {describe(value.type)}",
        node.loc,
        hint=scalar_hint(value.type, string),
    )


def known_text(frame: Frame, node: ast.Expr) -> str | None:
    """The text of a string that is known when the script is compiled."""
    if isinstance(node, ast.StringLit):
        return node.value
    if isinstance(node, ast.ArgRef):
        given = frame.session.argument(node.name)
        return given if isinstance(given, str) else None
    if isinstance(node, ast.Name):
        value = frame.read(node)
        op = value.op
        found = op.attrs["value"] if op is not None and op.name == "core.constant" else None
        return found if isinstance(found, str) else None
    return None


def empty(frame: Frame, node: ast.Node) -> Value:
    """The 0x0 matrix that stands for an optional matrix argument that is not given."""
    return frame.emit(node, Undefined, types=[matrix(0, 0)])


def _default(frame: Frame, node: ast.Call, param: Parameter) -> Any:
    default = param.default
    assert default is not None
    if default == "?":
        return None
    if default == "none":
        return empty(frame, node)
    value = argument(default)
    if param.kind == "word":
        return value
    if param.kind in ("number", "cells", "column"):
        number = frame.constant(node, float(value))
        return frame.emit(node, AsMatrix, number) if param.kind == "column" else number
    return frame.constant(node, value)
