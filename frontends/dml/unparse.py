"""Syntax trees back to DML text, and comparison of trees: `same(parse(to_source(tree)), tree)` holds for all."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.lexer import LEVELS, NOT_LEVEL, POWER_LEVEL, SIGN_LEVEL

_ESCAPES = str.maketrans({"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\""})
_NOT_COMPARED = {"span", "op_at", "source"}


def same(left: object, right: object) -> bool:
    """Are two trees equal but for their places? Works at any depth."""
    pending: list[tuple[Any, Any]] = [(left, right)]
    while pending:
        a, b = pending.pop()
        if type(a) is not type(b):
            return False
        if isinstance(a, ast.Node):
            names = [f.name for f in fields(type(a)) if f.name not in _NOT_COMPARED]
            pending.extend((getattr(a, name), getattr(b, name)) for name in names)
        elif isinstance(a, tuple):
            if len(a) != len(b):
                return False
            pending.extend(zip(a, b, strict=True))
        elif a != b:
            return False
    return True


def to_source(node: ast.Node) -> str:
    """DML text for any node, with no more parentheses than needed."""
    match node:
        case ast.Program():
            return "".join(_statement(child, "") for child in (*node.functions, *node.body))
        case (
            ast.FunctionDef()
            | ast.ExternalFunction()
            | ast.Assign()
            | ast.IndexedAssign()
            | ast.MultiAssign()
        ):
            return _statement(node, "")
        case ast.CallStatement() | ast.If() | ast.While() | ast.For() | ast.Import() | ast.SetWd():
            return _statement(node, "")
        case ast.Param():
            default = "" if node.default is None else f" = {_expr(node.default)}"
            return f"{node.type} {node.name}{default}"
        case ast.Type():
            return str(node)
        case ast.SeqRange():
            return _range(node)
        case _:
            return _expr(node)


def _statement(node: ast.Node, indent: str) -> str:
    match node:
        case ast.Assign() | ast.IndexedAssign():
            sign = "+=" if node.accumulate else "="
            return f"{indent}{_expr(node.target)} {sign} {_expr(node.value)}\n"
        case ast.MultiAssign():
            return f"{indent}[{', '.join(map(_expr, node.targets))}] = {_expr(node.call)}\n"
        case ast.CallStatement():
            return f"{indent}{_expr(node.call)}\n"
        case ast.If():
            text = f"{indent}if ({_expr(node.cond)}) {_block(node.body, indent)}"
            return f"{text} else {_block(node.orelse, indent)}\n" if node.orelse else f"{text}\n"
        case ast.While():
            return f"{indent}while ({_expr(node.cond)}) {_block(node.body, indent)}\n"
        case ast.For():
            keyword = "parfor" if isinstance(node, ast.ParFor) else "for"
            params = "".join(f", {_arg(param)}" for param in node.params)
            head = f"{keyword} ({node.var.name} in {_range(node.range)}{params})"
            return f"{indent}{head} {_block(node.body, indent)}\n"
        case ast.Import():
            return f"{indent}source({_string(node.path)}) as {node.namespace}\n"
        case ast.SetWd():
            return f"{indent}setwd({_string(node.path)})\n"
        case ast.FunctionDef():
            return f"{node.name} = function{_signature(node)} {_block(node.body, indent)}\n"
        case ast.ExternalFunction():
            attributes = ", ".join(f"{name}={_string(value)}" for name, value in node.attributes)
            return f"{node.name} = externalFunction{_signature(node)} implemented in ({attributes})\n"
    raise AssertionError(f"{type(node).__name__} is no statement")


def _signature(node: ast.FunctionDef | ast.ExternalFunction) -> str:
    text = f"({', '.join(map(to_source, node.params))})"
    return f"{text} return ({', '.join(map(to_source, node.outputs))})" if node.outputs else text


def _block(body: tuple[ast.Statement, ...], indent: str) -> str:
    inner = "".join(_statement(child, indent + "  ") for child in body)
    return f"{{\n{inner}{indent}}}"


def _range(node: ast.SeqRange) -> str:
    if node.by is None:
        return f"{_expr(node.start)}:{_expr(node.stop)}"
    return f"seq({_expr(node.start)}, {_expr(node.stop)}, {_expr(node.by)})"


def _expr(node: ast.Node) -> str:
    match node:
        case ast.Binary():
            return _chain(node)
        case ast.Unary():
            level = NOT_LEVEL if node.op == "!" else SIGN_LEVEL
            text = _expr(node.operand)
            loose = isinstance(node.operand, ast.Binary) and LEVELS[node.operand.op] < level
            return f"{node.op}({text})" if loose else f"{node.op}{text}"
        case ast.Name():
            return node.name
        case ast.ArgRef():
            return f"${node.name}"
        case ast.IntLit():
            return str(node.value)
        case ast.DoubleLit():
            return "1e999" if node.value == float("inf") else repr(node.value)
        case ast.BoolLit():
            return "TRUE" if node.value else "FALSE"
        case ast.StringLit():
            return _string(node.value)
        case ast.Call():
            return f"{node.full_name}({', '.join(map(_arg, node.args))})"
        case ast.Arg():
            return _arg(node)
        case ast.Index():
            rows, cols = (_expr(side) if side is not None else "" for side in (node.rows, node.cols))
            return f"{node.base.name}[{rows}]" if node.single else f"{node.base.name}[{rows}, {cols}]"
        case ast.Range():
            return f"{_expr(node.lower)}:{_expr(node.upper)}"
        case ast.ListLit():
            return f"[{', '.join(map(_expr, node.items))}]"
        case ast.IfDef():
            return f"ifdef({_expr(node.arg)}, {_expr(node.default)})"
    raise AssertionError(f"{type(node).__name__} is no expression")


def _chain(node: ast.Binary) -> str:
    first, chain = ast.left_spine(node)
    text = _expr(first)
    parts = [f"({text})" if isinstance(first, ast.Unary) else text]
    opened, inner = 0, POWER_LEVEL + 1
    for binary in chain:
        level = LEVELS[binary.op]
        if inner < level or inner == POWER_LEVEL == level:
            opened += 1
            parts.append(")")
        right = binary.right
        text = _expr(right)
        if isinstance(right, ast.Unary):
            # A prefix operator as a right operand takes in all that binds at least as tight as itself.
            text = f"({text})"
        elif isinstance(right, ast.Binary):
            below = LEVELS[right.op]
            text = text if below > level or below == POWER_LEVEL else f"({text})"
        parts.append(f" {binary.op} {text}")
        inner = level
    return "(" * opened + "".join(parts)


def _arg(arg: ast.Arg) -> str:
    return _expr(arg.value) if arg.name is None else f"{arg.name}={_expr(arg.value)}"


def _string(value: str) -> str:
    # Backslashes come in pairs: the lexer leaves the escape of a backslash as it is written.
    return f'"{value.translate(_ESCAPES)}"'
