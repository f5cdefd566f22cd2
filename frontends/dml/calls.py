"""Lowering of calls: which function is meant, its arguments in the order of its parameters, its results."""

from __future__ import annotations

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.builtins import Builtin, builtin
from sysmlc.frontends.dml.frame import Frame, Variable, lowers
from sysmlc.frontends.dml.indexing import store
from sysmlc.frontends.dml.session import Function
from sysmlc.frontends.dml.types import describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.core import Call
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, list_, matrix


@lowers(ast.Call)
def _call(frame: Frame, node: ast.Call) -> Value:
    results = evaluate(frame, node)
    if len(results) == 1:
        return results[0]
    raise _wrong_count(node, len(results), 1)


@lowers(ast.CallStatement)
def _statement(frame: Frame, node: ast.CallStatement) -> None:
    call = node.call
    if frame.session.resolve(frame.unit, call) is None:
        found = builtin(call)
        if not found.effect:
            raise Diagnostic(
                f"'{call.name}' has no effect as a statement",
                call.loc,
                hint=f"use its result: x = {call.name}(…)",
            )
    evaluate(frame, call)


@lowers(ast.MultiAssign)
def _multi_assign(frame: Frame, node: ast.MultiAssign) -> None:
    call = node.call
    user = frame.session.resolve(frame.unit, call)
    results = evaluate(frame, call)
    count = len(node.targets)
    if count > len(results) or (user is None and count != len(results)):
        raise _wrong_count(call, len(results), count)
    for target, value in zip(node.targets, results, strict=False):
        if isinstance(target, ast.Name):
            frame.define(target, value)
        else:
            store(frame, target, value, node)


def _wrong_count(node: ast.Call, has: int, wanted: int) -> Diagnostic:
    if has == 0:
        return Diagnostic(
            f"'{node.full_name}' has no result", node.loc, hint="call it as a statement of its own"
        )
    targets = "[" + ", ".join("abcdefghijklmnop"[:has]) + "]" if has > 1 else "a"
    hint = f"write {targets} = {node.full_name}(…)"
    if wanted == 1:
        return Diagnostic(
            f"'{node.full_name}' has {has} results and cannot be part of an expression", node.loc, hint=hint
        )
    return Diagnostic(
        f"'{node.full_name}' has {has} result{'s' * (has != 1)}, not {wanted}", node.loc, hint=hint
    )


def evaluate(frame: Frame, node: ast.Call) -> list[Value]:
    """Lower a call and give all its results."""
    function = frame.session.resolve(frame.unit, node)
    if function is None:
        found: Builtin = builtin(node)
        return found.lower(frame, node)
    if frame.predicate:
        raise Diagnostic(
            f"the condition of '{frame.predicate}' cannot call the function '{node.full_name}'",
            node.name_loc,
            hint="assign its result to a variable first",
        )
    return call_function(frame, node, function)


def call_function(frame: Frame, node: ast.Call, function: Function) -> list[Value]:
    """A call of a function of the script."""
    definition = function.definition
    given = _arguments(node, definition)
    values: dict[str, Value] = {}
    types = dict(zip((param.name for param in definition.params), function.params, strict=True))
    for param, arg in given:
        values[param.name] = _fit(frame, node, param, frame.expr(arg.value), types[param.name], arg)
    for param in definition.params:
        if param.name not in values:
            assert param.default is not None
            values[param.name] = _default(frame, function, param, values, types[param.name])
    operands = [values[param.name] for param in definition.params]
    results = [type or matrix() for type in function.outputs]
    op = frame.op(node, Call, operands, callee=function.symbol, types=results)
    return list(op.results)


def _arguments(node: ast.Call, definition: ast.FunctionDef) -> list[tuple[ast.Param, ast.Arg]]:
    """Each argument with its parameter, in the order written; every parameter without a default is given."""
    params = definition.params
    named = [arg for arg in node.args if arg.name is not None]
    hint = signature(node.full_name, definition)
    if named and len(named) != len(node.args):
        where = next(arg for arg in node.args if arg.name is None)
        raise Diagnostic(
            f"arguments of '{node.full_name}' must be either all named or all positional",
            where.loc,
            hint=hint,
        )
    if not named:
        if len(node.args) != len(params) and (node.args or any(p.default is None for p in params)):
            raise Diagnostic(
                f"'{node.full_name}' takes {len(params)} argument{'s' * (len(params) != 1)}, but {len(node.args)} "
                f"{'is' if len(node.args) == 1 else 'are'} given",
                node.loc,
                hint=hint
                + (
                    "; defaults count only when all arguments are named"
                    if any(p.default for p in params)
                    else ""
                ),
            )
        return list(zip(params, node.args, strict=False))
    by_name = {param.name: param for param in params}
    given: dict[str, tuple[ast.Param, ast.Arg]] = {}
    for arg in named:
        name = arg.name or ""
        if name not in by_name:
            raise Diagnostic(f"'{node.full_name}' has no parameter '{name}'", arg.loc, hint=hint)
        if name in given:
            raise Diagnostic(f"the argument '{name}' is given twice", arg.loc)
        given[name] = by_name[name], arg
    missing = [p.name for p in params if p.name not in given and p.default is None]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise Diagnostic(f"'{node.full_name}' needs the argument {names}", node.loc, hint=hint)
    return list(given.values())


def signature(name: str, definition: ast.FunctionDef) -> str:
    """The head of a function as a call would look: `f(matrix[double] X, int k = …)`."""
    params = ", ".join(
        f"{p.type} {p.name}" + (f" = {_text(p.default)}" if p.default is not None else "")
        for p in definition.params
    )
    return f"{name}({params})"


def _text(node: ast.Node) -> str:
    source, start, end = node.span
    return source.text[start:end]


def _default(
    frame: Frame, function: Function, param: ast.Param, values: dict[str, Value], type: Type | None
) -> Value:
    """A parameter's default. It may use the parameters given so far, but no variables of the caller."""
    assert param.default is not None
    outer, unit = frame.env, frame.unit
    frame.env = {name: Variable(value, None, param) for name, value in values.items()}
    frame.unit = function.unit
    try:
        value = frame.expr(param.default)
    finally:
        frame.env, frame.unit = outer, unit
    return _fit(frame, param, param, value, type, param)


def _fit(
    frame: Frame, node: ast.Node, param: ast.Param, value: Value, type: Type | None, at: ast.Node
) -> Value:
    """An argument as the type its parameter is declared with."""
    if type is None:
        return value
    source = value.type
    if is_scalar(source) and is_scalar(type):
        return frame.cast(at, value, type)
    if isinstance(source, Matrix) and isinstance(type, Matrix) or source is type is list_:
        return value
    hint = None
    if isinstance(type, Matrix) and is_scalar(source):
        hint = "make a 1x1 matrix of it: as.matrix(…)"
    elif isinstance(source, Matrix) and is_scalar(type):
        hint = "take one cell out: as.scalar(…)"
    raise Diagnostic(
        f"the parameter '{param.name}' is {describe(type)}, but the argument is {describe(source)}",
        at.loc,
        hint=hint,
    )
