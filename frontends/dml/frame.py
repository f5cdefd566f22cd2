"""The state of lowering one function body: where operations go, and which value each variable has.

The modules that lower expressions and statements register a function for each kind of node here; they all work on
a `Frame`, so nothing else ties them together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.flow import Flow
from sysmlc.frontends.dml.types import NUMERIC, Literal, convert, describe, is_scalar, type_of
from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_scalar import Cast, RequireDefined, Undefined
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.source import Diagnostic, Note
from sysmlc.ir.types import Matrix, Type, box, f64, i1, i64, list_, matrix, string

if TYPE_CHECKING:
    from sysmlc.frontends.dml.names import Unit
    from sysmlc.frontends.dml.session import Session

_OPERATION: Final = re.compile(r"^'\w+\.\w+' ")
_MATRIX: Final = re.compile(r"matrix<([^>]*?)xf64[^>]*>")
CONSTANTS: Final = {"Inf": math.inf, "NaN": math.nan, "pi": math.pi}


class PoisonedError(Exception):
    """An expression reads a variable whose assignment was wrong; that is reported already."""


@dataclass(slots=True)
class Variable:
    """What is known of a variable at one point of the script."""

    value: Value | None
    """None: its assignment was wrong, and whatever depends on it is not worth a message."""
    flag: Value | None
    """Whether it is defined (i1), where that depends on the path taken; None: it is."""
    at: ast.Node
    """The place of its last assignment."""


_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_handlers: Final[dict[type[ast.Node], Callable[..., Any]]] = {}


def lowers(*kinds: type[ast.Node]) -> Callable[[_Handler], _Handler]:
    """Decorator: the function that lowers nodes of these kinds, called with a frame and the node."""

    def register(handler: _Handler) -> _Handler:
        for kind in kinds:
            _handlers[kind] = handler
        return handler

    return register


class Frame:
    """One function body (or the script itself) being lowered."""

    def __init__(self, session: Session, unit: Unit, region: Region, flow: Flow) -> None:
        self.session = session
        self.unit = unit
        self.builder = Builder(region)
        self.flow = flow
        self.env: dict[str, Variable] = {}
        self.stopped = False
        """Whether the path being lowered has come to a stop()."""
        self.workdir = "."
        """Where setwd() has led to: relative paths start there."""
        self.branches = 0
        """How many branches around this place may not be taken."""
        self.predicate = ""
        """The statement whose condition is being lowered, if any."""
        self.carried: dict[ast.Node, dict[str, Type]] = {}
        """Types that the variables of a loop were found to need, for when an outer loop lowers it again."""
        self._node: ast.Node | None = None

    # ---- operations

    def emit(self, node: ast.Node, cls: Any, *operands: Any, **attrs: Any) -> Value:
        """Insert an operation at the place of `node` and give its only result."""
        op = self.op(node, cls, *operands, **attrs)
        assert len(op.results) == 1
        return op.results[0]

    def op(self, node: ast.Node, cls: Any, *operands: Any, **attrs: Any) -> Op:
        """Insert an operation at the place of `node`."""
        builder = self.builder
        if node is not self._node:
            builder.loc = node.loc
            self._node = node
        try:
            op: Op = cls.new(*operands, loc=builder.loc, **attrs)
        except Diagnostic as error:
            if not self.branches:
                raise _as_written(node, error) from None
            op = self._unsized(node, cls, operands, attrs, error)
        return builder.insert(op)

    def _unsized(
        self, node: ast.Node, cls: Any, operands: Sequence[Any], attrs: dict[str, Any], error: Diagnostic
    ) -> Op:
        """The operation as if nothing were known of the sizes of its operands: in a branch that may be there to avoid
        just this error, it is one only when it is reached."""
        try:
            made: Op = cls.new(*[self._hidden(node, value) for value in operands], loc=node.loc, **attrs)
        except Diagnostic:
            raise _as_written(node, error) from None
        return made

    def _hidden(self, node: ast.Node, value: Any) -> Any:
        """The same value through a branch that is always taken, which has no size and is no constant."""
        if isinstance(value, list | tuple):
            return [self._hidden(node, one) for one in value]
        if not isinstance(value, Value) or not (isinstance(value.type, Matrix) or value.type is i64):
            return value
        type = matrix() if isinstance(value.type, Matrix) else i64
        regions = [Region(), Region()]
        for region in regions:
            with self.inside(region):
                self.op(node, Yield, [value])
        taken = self.constant(node, True)
        return self.op(node, If, taken, types=[type], regions=regions).result

    def constant(self, node: ast.Node, value: Literal) -> Value:
        """A constant of the type that `value` has."""
        builder = self.builder
        if node is not self._node:
            builder.loc = node.loc
            self._node = node
        # Every second operation is a constant: made without the checks of `new`.
        op = Constant("core.constant", (), (type_of(value),), {"value": value}, (), builder.loc)
        return builder.insert(op).results[0]

    @contextmanager
    def inside(self, region: Region) -> Iterator[None]:
        """Insert into `region` for a while."""
        outer, self.builder.region = self.builder.region, region
        try:
            yield
        finally:
            self.builder.region = outer

    # ---- nodes

    def expr(self, node: ast.Node) -> Value:
        """The value of an expression."""
        value: Value = _handlers[type(node)](self, node)
        return value

    def block(self, body: tuple[ast.Statement, ...]) -> None:
        """Lower statements; an error spoils its statement only."""
        session = self.session
        for statement in body:
            try:
                _handlers[type(statement)](self, statement)
            except PoisonedError:
                session.poisoned.append(statement)
                self.poison(statement)
            except Diagnostic as error:
                session.report(error)
                self.poison(statement)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report what goes wrong inside, and go on after it."""
        try:
            yield
        except PoisonedError:
            pass  # reported where the variable was assigned
        except Diagnostic as error:
            self.session.report(error)

    def attempt(self, node: ast.Node, type: Type, evaluate: Callable[[], Value]) -> Value:
        """The value, or some value of `type` after reporting what is wrong with it."""
        found: list[Value] = []
        with self.reporting():
            found.append(evaluate())
        return found[0] if found else self.emit(node, Undefined, types=[type])

    # ---- variables

    def read(self, node: ast.Name) -> Value:
        """The value of a variable."""
        name = node.name
        variable = self.env.get(name)
        if variable is None:
            if name in CONSTANTS:
                return self.constant(node, CONSTANTS[name])
            raise self.undefined(node)
        if variable.value is None:
            raise PoisonedError
        if variable.flag is not None:
            self.op(node, RequireDefined, variable.flag, variable=name)
            self.env[name] = Variable(variable.value, None, variable.at)
        return variable.value

    def undefined(self, node: ast.Name) -> Diagnostic:
        """The error of reading a variable that no path up to here assigns."""
        name = node.name
        at = self.flow.body.assigned.get(name)
        # Once is enough: later uses would say the same.
        self.env[name] = Variable(None, None, node)
        if at is None:
            raise PoisonedError  # nothing assigns it: `check` has said so
        notes = (Note(f"'{name}' is assigned here", at.loc),)
        return Diagnostic(f"variable '{name}' is not defined yet", node.loc, notes=notes)

    def define(self, target: ast.Name, value: Value) -> None:
        """Assign a whole variable."""
        if not value.name:
            value.name = target.name
        self.env[target.name] = Variable(value, None, target)

    def poison(self, statement: ast.Statement) -> None:
        """Mark what a wrong statement would have assigned."""
        targets: tuple[ast.Node, ...] = ()
        if isinstance(statement, ast.Assign):
            targets = (statement.target,)
        elif isinstance(statement, ast.MultiAssign):
            targets = statement.targets
        elif isinstance(statement, ast.IndexedAssign):
            targets = (statement.target,)
        for target in targets:
            if isinstance(target, ast.Name):
                self.env[target.name] = Variable(None, None, target)
            elif isinstance(target, ast.Index):
                self.env.setdefault(target.base.name, Variable(None, None, target))

    # ---- conversions

    def cast(self, node: ast.Node, value: Value, to: Type) -> Value:
        """A scalar as another scalar type; constants are converted here and now."""
        source = value.type
        if source is to:
            return value
        known = constant(value) if to is not box else None
        if known is not None:
            converted = convert(known, to)
            if converted is not None:
                if not value.uses and not value.name and value.op is not None and value.op.parent is not None:
                    value.op.erase()
                return self.constant(node, converted)
        return self.emit(node, Cast, value, types=[to])

    def scalar(self, node: ast.Expr, to: Type, what: str = "this") -> Value:
        """The value of an expression that must be a scalar, converted to `to`. A literal becomes one constant."""
        known = literal(node)
        if known is not None and (to is string) == isinstance(known, str):
            converted = known if type_of(known) is to else convert(known, to)
            if converted is not None:
                return self.constant(node, converted)
        return self.as_scalar(node, self.expr(node), to, what)

    def as_scalar(self, node: ast.Node, value: Value, to: Type, what: str = "this") -> Value:
        """`value`, which must be a scalar that can be had as `to`; text never counts as a number."""
        source = value.type
        if source is to:
            return value
        if to is string:
            if is_scalar(source):
                return self.cast(node, value, to)
        elif source in NUMERIC:
            return self.cast(node, value, to)
        wanted = "a scalar" if isinstance(source, Matrix) or source is list_ else describe(to)
        if to in (f64, i64) and source is string:
            wanted = "a number"
        raise Diagnostic(
            f"{what} must be {wanted}, but is {describe(source)}", node.loc, hint=scalar_hint(source, to)
        )

    def truth(self, node: ast.Expr, statement: str) -> Value:
        """The condition of a statement, as i1; numbers are true when they are not 0."""
        outer, self.predicate = self.predicate, statement
        try:
            return self.scalar(node, i1, f"the condition of '{statement}'")
        finally:
            self.predicate = outer


def _as_written(node: ast.Node, error: Diagnostic) -> Diagnostic:
    """An error of an operation in the words of the script: its operator or function, and sizes instead of types."""
    name = getattr(node, "op", None) or getattr(node, "name", None)
    message = _OPERATION.sub(f"'{name}' " if isinstance(name, str) else "", error.message)
    return Diagnostic(_MATRIX.sub(r"\1", message), error.loc, hint=error.hint, notes=error.notes)


def scalar_hint(source: Type, to: Type) -> str | None:
    """How to get a scalar of type `to` from a value of type `source`."""
    if isinstance(source, Matrix):
        one = source.rows == 1 and source.cols == 1
        return "convert it: as.scalar(…)" if one else "take one cell out: as.scalar(X[i, j])"
    if source is list_:
        return "take one entry out: as.scalar(L[i])"
    if source is string:
        casts = {f64: "as.double", i64: "as.integer", i1: "as.logical"}
        return f"convert it: {casts[to]}(…)" if to in casts else None
    return None


def literal(node: ast.Node) -> Literal | None:
    """The value of a literal, its sign included; None for any other expression."""
    kind = type(node)
    if kind is ast.IntLit or kind is ast.DoubleLit or kind is ast.BoolLit or kind is ast.StringLit:
        value: Literal = node.value  # type: ignore[attr-defined]
        return value
    if kind is ast.Unary and node.op in "-+":  # type: ignore[attr-defined]
        inner = literal(node.operand)  # type: ignore[attr-defined]
        if type(inner) is int or type(inner) is float:
            return -inner if node.op == "-" else inner  # type: ignore[attr-defined]
    return None
