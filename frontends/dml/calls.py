"""Lowering of calls: which function is meant, its arguments in the order of its parameters, its results."""

from __future__ import annotations

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.builtins import builtin
from sysmlc.frontends.dml.flow import reads_of
from sysmlc.frontends.dml.frame import CONSTANTS, Frame, PoisonedError, Variable, lowers
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
    if frame.session.finds_function(frame.unit, node):
        raise PoisonedError
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
    if user is not None and count > len(results):
        raise PoisonedError
    if user is None and count != len(results):
        raise _wrong_count(call, len(results), count)
    for target, value in zip(node.targets, results, strict=False):
        if isinstance(target, ast.Name):
            frame.define(target, value)
        else:
            store(frame, target, value, node)


def _wrong_count(node: ast.Call, has: int, wanted: int) -> Diagnostic:
    """The error of a builtin's results that do not fit; for functions of the script, `check` has found it."""
    name = node.full_name
    if has == 0:
        return Diagnostic(
            f"'{name}' returns nothing", node.name_loc, hint="call it as a statement of its own"
        )
    targets = ", ".join("abcdefgh"[:has])
    hint = f"write '[{targets}] = {name}(…)'" if has > 1 else f"write 'a = {name}(…)'"
    count = f"{has} value{'s' * (has != 1)}" + (f", not {wanted}" if wanted > 1 else "")
    return Diagnostic(f"'{name}' returns {count}", node.name_loc, hint=hint)


def evaluate(frame: Frame, node: ast.Call) -> list[Value]:
    """Lower a call and give all its results."""
    function = frame.session.resolve(frame.unit, node)
    if function is None:
        return builtin(node).lower(frame, node)
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
            values[param.name] = default_value(frame, function, param, values, types[param.name])
    return call_with(frame, node, function, values)


def call_with(frame: Frame, node: ast.Call, function: Function, values: dict[str, Value]) -> list[Value]:
    """A call with a value for each parameter, in its type."""
    operands = [values[param.name] for param in function.definition.params]
    results = [type or matrix() for type in function.outputs]
    op = frame.op(node, Call, operands, callee=function.symbol, types=results)
    return list(op.results)


def _arguments(node: ast.Call, definition: ast.FunctionDef) -> list[tuple[ast.Param, ast.Arg]]:
    """Each argument with its parameter, in the order written; `check` has complained about wrong lists."""
    params = {param.name: param for param in definition.params}
    if any(arg.name is not None for arg in node.args):
        pairs = [(params[arg.name], arg) for arg in node.args if arg.name in params]
    else:
        pairs = list(zip(definition.params, node.args, strict=False))
    given = {param.name for param, _ in pairs}
    missing = [param for param in definition.params if param.name not in given]
    if len(given) < len(node.args) or any(param.default is None for param in missing):
        raise PoisonedError
    return pairs


def default_value(
    frame: Frame, function: Function, param: ast.Param, values: dict[str, Value], type: Type | None
) -> Value:
    """A parameter's default. It may use the parameters given so far, but no variables of the caller."""
    assert param.default is not None
    unknown = sorted(reads_of(param.default) - values.keys() - CONSTANTS.keys())
    if unknown:
        raise Diagnostic(
            f"the default of '{param.name}' uses '{unknown[0]}', which is not a parameter before it",
            param.default.loc,
        )
    outer, unit = frame.env, frame.unit
    frame.env = {}
    for name, value in values.items():
        value.name = value.name or name  # as for any variable: it is used again, by the call
        frame.env[name] = Variable(value, None, param)
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
    if (isinstance(source, Matrix) and isinstance(type, Matrix)) or source is type is list_:
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
