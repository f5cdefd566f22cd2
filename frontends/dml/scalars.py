"""Lowering of literals, variables and operators."""

from __future__ import annotations

from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.frame import Frame, literal, lowers
from sysmlc.frontends.dml.types import NUMERIC, describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul
from sysmlc.ir.dialects.dml_scalar import DYNAMIC, DYNAMIC_RELATIONS, Arg, Concat, Dynamic, DynamicCompare
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f64, i1, i64, list_, string

ARITHMETIC: Final = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow", "%%": "mod", "%/%": "intdiv",
}  # fmt: skip
RELATIONS: Final = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
LOGICAL: Final = {"&": "and", "|": "or"}
OPERATORS: Final = {**ARITHMETIC, **RELATIONS, **LOGICAL}
_DOUBLES: Final = frozenset({"div", "pow", "log_base"})


@lowers(ast.IntLit, ast.DoubleLit, ast.BoolLit, ast.StringLit)
def _literal(frame: Frame, node: ast.IntLit | ast.DoubleLit | ast.BoolLit | ast.StringLit) -> Value:
    return frame.constant(node, node.value)


@lowers(ast.Name)
def _name(frame: Frame, node: ast.Name) -> Value:
    return frame.read(node)


@lowers(ast.ArgRef)
def _argument(frame: Frame, node: ast.ArgRef) -> Value:
    given = frame.session.argument(node.name)
    if given is not None:
        return frame.constant(node, given)
    if frame.session.runtime_args:
        return frame.emit(node, Arg, name_=node.name, types=[box])
    option = "-args" if node.name.isdecimal() else f"-nvargs {node.name}=…"
    raise Diagnostic(
        f"the argument ${node.name} was not passed",
        node.loc,
        hint=f"pass it with {option}, or give it a default: x = ifdef(${node.name}, …)",
    )


@lowers(ast.ListLit)
def _list(frame: Frame, node: ast.ListLit) -> Value:
    raise Diagnostic(
        "lists in brackets are arguments of the deep-learning operators, which this version does not have",
        node.loc,
        hint="write list(…) for a list of values",
    )


@lowers(ast.Unary)
def _unary(frame: Frame, node: ast.Unary) -> Value:
    known = literal(node)
    if known is not None:
        return frame.constant(node, known)
    value = frame.expr(node.operand)
    if node.op == "!":
        if isinstance(value.type, Matrix):
            return frame.emit(node, Unary, "not", value)
        return frame.emit(node, Unary, "not", frame.as_scalar(node.operand, value, i1, "the operand of '!'"))
    type = value.type
    if type in (string, list_, i1):
        hint = "convert it: as.double(…)" if type is not list_ else None
        raise Diagnostic(f"'{node.op}' cannot be applied to {describe(type)}", node.loc, hint=hint)
    if node.op == "+":
        return value
    return negated(frame, node, value)


@lowers(ast.Binary)
def _binary(frame: Frame, node: ast.Binary) -> Value:
    # Chains such as a + b + c + … are deep on the left: fold over them, whatever their length.
    first, chain = ast.left_spine(node)
    value = frame.expr(first)
    for link in chain:
        value = apply(frame, link, link.op, value, frame.expr(link.right))
    return value


def apply(frame: Frame, node: ast.Node, op: str, left: Value, right: Value) -> Value:
    """`left op right` for an operator as it is written."""
    if op == "%*%":
        for side in (left, right):
            if not isinstance(side.type, Matrix):
                hint = "write '*' to multiply by a scalar" if side.type in NUMERIC else None
                raise Diagnostic(
                    f"'%*%' needs two matrices, but one is {describe(side.type)}", node.loc, hint=hint
                )
        return frame.emit(node, MatMul, left, right)
    if op == "+" and (left.type is string or right.type is string):
        for side in (left, right):
            if not is_scalar(side.type):
                raise Diagnostic(
                    f"'+' cannot join a string and {describe(side.type)}", node.loc, hint="write toString(…)"
                )
        return frame.emit(node, Concat, frame.cast(node, left, string), frame.cast(node, right, string))
    return combine(frame, node, OPERATORS[op], left, right, f"'{op}'")


def negated(frame: Frame, node: ast.Node, value: Value) -> Value:
    """`-value`"""
    if value.type is box:
        return combine(frame, node, "mul", value, frame.constant(node, -1), "'-'")
    return frame.emit(node, Unary, "neg", value)


def combine(frame: Frame, node: ast.Node, fn: str, left: Value, right: Value, called: str) -> Value:
    """The cellwise operation `fn` of two values, after the conversions that DML makes; `called` is for messages."""
    a, b = left.type, right.type
    if isinstance(a, Matrix) or isinstance(b, Matrix):
        if not isinstance(a, Matrix):
            left = _cell(frame, node, left, called)
        elif not isinstance(b, Matrix):
            right = _cell(frame, node, right, called)
        return frame.emit(node, Binary, fn, left, right)
    if box in (a, b) and is_scalar(a) and is_scalar(b):
        # Next to a double only a sum is not certain to be one: it may join texts.
        relation = fn in DYNAMIC_RELATIONS
        if relation or (fn in DYNAMIC and (fn == "add" or f64 not in (a, b))):
            operation = DynamicCompare if relation else Dynamic
            left, right = frame.cast(node, left, box), frame.cast(node, right, box)
            return frame.emit(node, operation, left, right, operator=fn)
    to = _common(node, fn, a, b, called)
    return frame.emit(node, Binary, fn, frame.cast(node, left, to), frame.cast(node, right, to))


def _cell(frame: Frame, node: ast.Node, value: Value, called: str) -> Value:
    if value.type not in NUMERIC:
        raise Diagnostic(f"{called} cannot be applied to a matrix and {describe(value.type)}", node.loc)
    return frame.cast(node, value, f64)


def _common(node: ast.Node, fn: str, a: Type, b: Type, called: str) -> Type:
    """The type in which `fn` works on scalars of the types `a` and `b`."""
    wanted: Type
    if fn in ("and", "or", "xor"):
        wanted = i1
    elif fn in RELATIONS.values():
        if string in (a, b):
            wanted = string
        elif a is b and a is not box:
            wanted = a
        else:
            wanted = f64 if f64 in (a, b) or box in (a, b) else i64
    elif (a is i1) != (b is i1) and box not in (a, b) and string not in (a, b) and list_ not in (a, b):
        raise Diagnostic(
            f"{called} cannot mix {describe(a)} and {describe(b)}",
            node.loc,
            hint="convert the boolean: as.double(…) or as.integer(…)",
        )
    else:
        wanted = i64 if a is i64 and b is i64 and fn not in _DOUBLES else f64
    for side in (a, b):
        fits = is_scalar(side) if wanted is string else side in NUMERIC
        if not fits:
            raise Diagnostic(f"{called} cannot be applied to {describe(a)} and {describe(b)}", node.loc)
    return wanted
