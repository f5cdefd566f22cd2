"""Lowering of `eval` and `evalList`: calls of functions by names that are computed when the program runs.

A name that is written out is one function. Any other is compared with the names that could be meant, each in a branch with
an ordinary call: the functions that can be called at this place, and the builtins whose names the script has as texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.arguments import Builtin
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.frontends.dml.builtins_matrix import as_matrix
from sysmlc.frontends.dml.calls import call_function, call_with, default_value
from sysmlc.frontends.dml.frame import Frame, PoisonedError, Variable
from sysmlc.frontends.dml.session import Function
from sysmlc.ir.core import Region, Value
from sysmlc.ir.dialects.core import Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_scalar import (
    ListFind,
    ListList,
    ListMatrix,
    ListNew,
    ListRange,
    ListScalar,
    NoFunction,
    Stop,
    Undefined,
)  # fmt: skip
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, list_, string

Target = Function | Builtin


def call_by_name(frame: Frame, node: ast.Call, type: Type) -> Value:
    """`eval("name", …)`: a matrix; `evalList("name", …)`: a list of all results, or the list that is the only one."""
    if frame.predicate:
        raise Diagnostic(
            f"the condition of '{frame.predicate}' cannot call '{node.name}'",
            node.name_loc,
            hint="assign its result to a variable first",
        )
    if not node.args or node.args[0].name is not None:
        raise Diagnostic(f"'{node.name}' needs the name of a function, then its arguments", node.loc)
    name = frame.scalar(node.args[0].value, string, "the name of the function")
    places = [ast.Name(arg.span, f"{node.name}({i})") for i, arg in enumerate(node.args)]
    """Variables for the arguments, called as no variable of a script can be."""
    given = [frame.expr(arg.value) for arg in node.args[1:]]  # may call by name themselves
    for place, value in zip(places[1:], given, strict=True):
        frame.env[place.name] = Variable(value, None, place)
    try:
        call = _Call(frame, node, places[1:], type)
        first = node.args[0].value
        if isinstance(first, ast.StringLit):
            return call.written(first)
        return call.one_of(name, list(_candidates(frame)))
    finally:
        for place in places[1:]:
            frame.env.pop(place.name, None)


def _candidates(frame: Frame) -> Iterator[tuple[str, Target]]:
    """Everything that a computed name could mean."""
    unit = frame.unit
    for prefix, owner in (("", unit), *((f"{name}::", other) for name, other in unit.namespaces.items())):
        for name, definition in owner.functions.items():
            if isinstance(definition, ast.FunctionDef):
                yield prefix + name, frame.session.function(owner, definition, prefix + name)
    for name in _texts(unit.program):
        if name in TABLE and name not in unit.functions and not TABLE[name].effect:
            yield name, TABLE[name]


def _texts(program: ast.Program) -> list[str]:
    return list(dict.fromkeys(node.value for node in ast.walk(program) if isinstance(node, ast.StringLit)))


class _Call:
    """The arguments of one `eval`, whatever function they are for."""

    def __init__(self, frame: Frame, node: ast.Call, places: Sequence[ast.Name], type: Type) -> None:
        self.frame = frame
        self.node = node
        self.args = tuple(
            ast.Arg(arg.span, arg.name, place) for arg, place in zip(node.args[1:], places, strict=True)
        )
        self.type = type
        self.packed: Value | None = None
        """The list that holds the arguments, where that is all that is given."""
        if len(places) == 1 and self.args[0].name is None:
            only = frame.env[places[0].name].value
            self.packed = only if only is not None and only.type is list_ else None

    def written(self, name: ast.StringLit) -> Value:
        """The call of the one function that is named."""
        known = dict(_candidates(self.frame))
        target = known.get(name.value) or (TABLE.get(name.value) if "::" not in name.value else None)
        if target is None:
            hint = nearest(name.value, [*known, *TABLE])
            raise Diagnostic(f"there is no function '{name.value}'", name.loc, hint=hint)
        return self._result(name.value, target)

    def one_of(self, name: Value, candidates: Sequence[tuple[str, Target]]) -> Value:
        """The call of the function that has the name: the first candidate, or else one of the others."""
        frame, node = self.frame, self.node

        def missing() -> Value:
            known = " ".join(text for text, _ in candidates)
            frame.op(node, NoFunction, name, known=known)
            return frame.emit(node, Undefined, types=[self.type])

        def choose(at: int) -> Value:
            if at == len(candidates):
                return missing()
            text, target = candidates[at]
            same = frame.emit(node, Binary, "eq", name, frame.constant(node, text))
            return self._branch(same, lambda: self._attempt(text, target), lambda: choose(at + 1), self.type)

        return choose(0)

    def _branch(
        self, condition: Value, then: Callable[[], Value], orelse: Callable[[], Value], type: Type
    ) -> Value:
        regions = [Region(), Region()]
        for region, value in zip(regions, (then, orelse), strict=True):
            with self.frame.inside(region):
                self.frame.op(self.node, Yield, [value()])
        return self.frame.op(self.node, If, condition, types=[type], regions=regions).result

    def _attempt(self, name: str, target: Target) -> Value:
        """The result of a candidate; where the arguments do not suit it, the program fails when it is meant."""
        try:
            return self._result(name, target)
        except Diagnostic as error:
            return self._stop(f"'{name}' cannot be called so: {error.message}")

    def _stop(self, message: str) -> Value:
        self.frame.op(self.node, Stop, self.frame.constant(self.node, message))
        return self.frame.emit(self.node, Undefined, types=[self.type])

    def _result(self, name: str, target: Target) -> Value:
        frame, node = self.frame, self.node
        values = self._values(name, target)
        if self.type is list_:
            return (
                values[0]
                if len(values) == 1 and values[0].type is list_
                else frame.emit(node, ListNew, values)
            )
        if len(values) != 1:
            raise Diagnostic(
                f"'{name}' returns {len(values)} values", node.loc, hint="evalList gives all of them"
            )
        if values[0].type is list_:
            raise Diagnostic(f"'{name}' returns a list", node.loc, hint="evalList gives lists")
        return as_matrix(frame, node, values[0])

    def _values(self, name: str, target: Target) -> list[Value]:
        frame, node = self.frame, self.node
        namespace, _, last = name.rpartition("::")
        call = ast.Call(node.span, namespace or None, last, self.args)
        if isinstance(target, Builtin):
            return target.lower(frame, call)
        if self.packed is not None and target.params != (list_,):
            return self._unpacked(target, self.packed)
        try:
            return call_function(frame, call, target)
        except PoisonedError:
            shown = ", ".join(param.name for param in target.definition.params)
            raise Diagnostic(f"the arguments do not fit {name}({shown})", node.loc) from None

    def _unpacked(self, function: Function, packed: Value) -> list[Value]:
        """The call with the entries of a list: by name if it has names, else by position."""
        frame, node = self.frame, self.node
        values: dict[str, Value] = {}
        for number, (param, type) in enumerate(
            zip(function.definition.params, function.params, strict=True), 1
        ):
            if type is None:
                raise PoisonedError  # a wrong declaration, which is reported
            key, position = frame.constant(node, param.name), frame.constant(node, number)
            at = frame.emit(node, ListFind, packed, key, position)
            found = frame.emit(node, Binary, "gt", at, frame.constant(node, 0))
            entry = partial(self._entry, packed, at, type)
            default = partial(self._default, function, param, values, type)
            values[param.name] = self._branch(found, entry, default, type)
        return call_with(frame, node, function, values)

    def _entry(self, packed: Value, at: Value, type: Type) -> Value:
        frame, node = self.frame, self.node
        entry = frame.emit(node, ListRange, packed, at, at)
        if isinstance(type, Matrix):
            return frame.emit(node, ListMatrix, entry)
        if type is list_:
            return frame.emit(node, ListList, entry)
        return frame.cast(node, frame.emit(node, ListScalar, entry), type)

    def _default(self, function: Function, param: ast.Param, values: dict[str, Value], type: Type) -> Value:
        if param.default is not None:
            return default_value(self.frame, function, param, values, type)
        message = f"the list has no argument '{param.name}' for '{function.definition.name}'"
        self.frame.op(self.node, Stop, self.frame.constant(self.node, message))
        return self.frame.emit(self.node, Undefined, types=[type])
