"""Lowering of assignments and branches."""

from __future__ import annotations

from dataclasses import dataclass, field

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.frame import Frame, Variable, lowers
from sysmlc.frontends.dml.scalars import apply
from sysmlc.frontends.dml.types import describe, is_scalar, merge
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Yield
from sysmlc.ir.dialects.dml_scalar import Arg, HasArg, Undefined
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.source import Diagnostic, Note
from sysmlc.ir.types import Type, box, i1


@lowers(ast.Import)
def _import(frame: Frame, node: ast.Import) -> None:
    """Sourced files are resolved before lowering starts."""


@lowers(ast.SetWd)
def _setwd(frame: Frame, node: ast.SetWd) -> None:
    frame.workdir = f"{frame.workdir.rstrip('/')}/{node.path}" if not node.path.startswith("/") else node.path


@lowers(ast.Assign)
def _assign(frame: Frame, node: ast.Assign) -> None:
    target, value = node.target, node.value
    if isinstance(value, ast.IfDef):
        frame.define(target, frame.expr(value))
    elif node.accumulate:
        before = frame.read(target)
        frame.define(target, apply(frame, node, "+", before, frame.expr(value)))
    else:
        frame.define(target, frame.expr(value))


@lowers(ast.IfDef)
def _ifdef(frame: Frame, node: ast.IfDef) -> Value:
    name = node.arg.name
    given = frame.session.argument(name)
    if given is not None:
        return frame.constant(node.arg, given)
    if not frame.session.runtime_args:
        return frame.expr(node.default)
    passed, otherwise = Region(), Region()
    with frame.inside(otherwise):
        default = frame.expr(node.default)
        if not is_scalar(default.type):
            raise Diagnostic(
                f"the default of ${name} must be a scalar, but is {describe(default.type)}", node.default.loc
            )
        frame.op(node.default, Yield, [frame.cast(node.default, default, box)])
    condition = frame.emit(node.arg, HasArg, name_=name)
    with frame.inside(passed):
        frame.op(node.arg, Yield, [frame.emit(node.arg, Arg, name_=name, types=[box])])
    return frame.op(node, If, condition, types=[box], regions=[passed, otherwise]).result


# ---- branches


@dataclass(slots=True)
class Branch:
    """One way through an `if`."""

    region: Region
    env: dict[str, Variable]
    stopped: bool


@dataclass(slots=True)
class Merge:
    """Results under construction: for each, its type and what each branch yields."""

    types: list[Type] = field(default_factory=list)
    yields: tuple[list[Value], list[Value]] = field(default_factory=lambda: ([], []))
    names: list[str] = field(default_factory=list)


@lowers(ast.If)
def _if(frame: Frame, node: ast.If) -> None:
    condition = frame.attempt(node.cond, i1, lambda: frame.truth(node.cond, "if"))
    env, stopped = frame.env, frame.stopped
    branches: list[Branch] = []
    frame.branches += 1
    for body in (node.body, node.orelse):
        region = Region()
        frame.env, frame.stopped = dict(env), stopped
        with frame.inside(region):
            frame.block(body)
        branches.append(Branch(region, frame.env, frame.stopped))
    frame.branches -= 1
    frame.env, frame.stopped = env, stopped or (branches[0].stopped and branches[1].stopped)
    merged, flags = Merge(), Merge()
    after = frame.flow.after[node]
    for name in frame.flow.effects[node].assigned:
        _merge_variable(frame, node, name, branches, name in after, merged, flags)
    for branch, values, bits in zip(branches, merged.yields, flags.yields, strict=True):
        with frame.inside(branch.region):
            frame.op(node, Yield, values + bits)
    op = frame.op(
        node, If, condition, types=merged.types + flags.types, regions=[branch.region for branch in branches]
    )
    _bind(frame, op, merged.names, flags.names)


def _merge_variable(
    frame: Frame, node: ast.If, name: str, branches: list[Branch], wanted: bool, merged: Merge, flags: Merge
) -> None:
    """Add what the branches make of a variable to the results, or settle it without one."""
    found = [branch.env.get(name) for branch in branches]
    # A branch that ends in stop() has no say in what the variable is afterwards.
    live = [v for v, branch in zip(found, branches, strict=True) if not branch.stopped] or found
    if found[0] is found[1] and found[0] is not None:
        return
    variables = [v for v in live if v is not None]
    if not variables:
        frame.env.pop(name, None)
        return
    if any(v.value is None for v in variables):
        frame.env[name] = Variable(None, None, variables[-1].at)
        return
    types = [v.value.type for v in variables if v.value is not None]
    type = types[0] if len(types) == 1 else merge(types[0], types[1])
    if type is None:
        first, second = variables
        frame.session.report(
            Diagnostic(
                f"'{name}' is {describe(types[1])} here, but {describe(types[0])} on the other path",
                second.at.loc,
                notes=(Note(f"'{name}' is {describe(types[0])} here", first.at.loc),),
                hint="use different names for values of different kinds",
            )
        )
        frame.env[name] = Variable(None, None, second.at)
        return
    if not wanted:
        frame.env.pop(name, None)
        return
    unsure = len(variables) < len(live) or any(v.flag is not None for v in variables)
    frame.env[name] = variables[-1]
    merged.names.append(name)
    merged.types.append(type)
    if unsure:
        flags.names.append(name)
        flags.types.append(i1)
    for i, branch in enumerate(branches):
        variable = found[i]
        value = variable.value if variable is not None else None
        with frame.inside(branch.region):
            skipped = value is None or (branch.stopped and merge(value.type, type) is not type)
            if skipped or value is None:
                merged.yields[i].append(frame.emit(node, Undefined, types=[type]))
            else:
                merged.yields[i].append(frame.cast(node, value, type) if is_scalar(type) else value)
            if unsure:
                flag = variable.flag if variable is not None else None
                known = variable is not None and not skipped
                flags.yields[i].append(flag if flag is not None else frame.constant(node, known))


def _bind(frame: Frame, op: Op, names: list[str], unsure: list[str]) -> None:
    flags = dict(zip(unsure, op.results[len(names) :], strict=True))
    for name, value in zip(names, op.results, strict=False):
        value.name = name
        frame.env[name] = Variable(value, flags.get(name), frame.env[name].at)
