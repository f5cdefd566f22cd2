"""The program level: runtime calls, launches, cell access, and who owns what.

A runtime call is the operation of the logical level that it was made of: `sm_foo` of the values and attributes that `dml.foo`
declares. Objects a program owns count their owners as in the native runtime: one that is used after it was freed, or never
freed, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sysmlc.codegen.reference.launch import launch_cells
from sysmlc.codegen.reference.launch_rows import launch_products, launch_rows
from sysmlc.codegen.reference.table import executes, fail
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.types import Matrix
from sysmlc.passes.manage_ownership import is_handle, taken_operands

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator

Env = dict[Value, Any]

_BY_TYPE: Final = {
    "cast": "dml.cast", "input": "dml.input", "arg": "dml.arg", "output": "dml.output", "undefined": "dml.undefined",
    "read": "dml.read_scalar", "write": "dml.write_scalar",
}  # fmt: skip
"""Operations with a function for each type: how their names begin."""
_CONVERSIONS: Final = {"dense": "fused.convert", "csr": "fused.convert", "smaller": "fused.convert"} | {
    "f32": "fused.recast",
    "f64": "fused.recast",
}


@dataclass
class Owned:
    """An object at run time and the number of its owners. Constants are not counted: nobody frees them."""

    value: Any
    maker: Op
    owners: int = 1


def borrowed(op: Op, env: Env) -> list[Any]:
    """The operands of an operation as values."""
    made = []
    for operand in op.operands:
        value = env[operand]
        if isinstance(value, Owned):
            if value.owners < 1:
                raise fail(
                    op, f"{value.maker.name} of line {value.maker.loc.line} is used after it was freed"
                )
            value = value.value
        made.append(value)
    return made


def finish(run: Evaluator, op: Op, env: Env, results: Sequence[Any]) -> list[Any]:
    """The results as the program owns them; what the operation took over has one owner less."""
    for i in taken_operands(op):
        _release(op, env[op.operands[i]])
    made = []
    for result, value in zip(op.results, results, strict=True):
        if is_handle(result):
            value = Owned(_as_stored(result, value), op)
            run.owned.append(value)
        made.append(value)
    return made


def _as_stored(result: Value, value: Any) -> Any:
    from sysmlc.codegen.reference.evaluate import as_element

    return as_element(result.type, value)


def _release(op: Op, value: Any) -> None:
    if isinstance(value, Owned):
        if value.owners < 1:
            raise fail(op, f"{value.maker.name} of line {value.maker.loc.line} is freed twice")
        value.owners -= 1


def check_released(run: Evaluator) -> None:
    """Whether a program that frees anything at all has freed everything."""
    frees = any(op.name == "rt.release" for f in run.functions.values() for op in f.walk())
    for one in run.owned:
        if frees and one.owners:
            raise fail(one.maker, f"what {one.maker.name} makes is never freed")


@executes("rt.settle")
def settle(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    borrowed(op, env)
    return ()


@executes("rt.retain")
def retain(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    borrowed(op, env)
    value = env[op.operands[0]]
    if isinstance(value, Owned):
        value.owners += 1
    return ()


@executes("rt.release")
def release(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    _release(op, env[op.operands[0]])
    return ()


@executes("rt.field")
def get_size(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    (a,) = borrowed(op, env)
    return (int(a.shape[("rows", "cols").index(str(op.attrs["field"]))]),)


@executes("rt.get_cell")
def get_cell(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    return _as_logical(run, op, "dml.get_cell", env)


@executes("rt.set_cell")
def set_cell(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    return _as_logical(run, op, "dml.set_cell", env)


@executes("rt.call")
def call(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    callee = str(op.attrs["callee"]).removeprefix("sm_")
    if callee == "string_compare":
        a, b = borrowed(op, env)
        return finish(run, op, env, ((a > b) - (a < b),))
    if f"dml.{callee}" in registry:
        return _as_logical(run, op, f"dml.{callee}", env)
    stem, _, type = callee.partition("_")
    if stem == "to" and type in _CONVERSIONS:
        return _as_logical(run, op, _CONVERSIONS[type], env)
    if stem in _BY_TYPE and re.fullmatch(r"\w+", type):
        return _as_logical(run, op, _BY_TYPE[stem], env)
    raise fail(op, f"the reference evaluator has no runtime function '{op.attrs['callee']}'")


def _as_logical(run: Evaluator, op: Op, name: str, env: Env) -> Sequence[Any]:
    """What the operation `name` of a higher level gives in place of `op`."""
    cls = registry[name]
    region = Region([v.type for v in op.operands])
    extra = op.attrs.get("extra", ())
    assert isinstance(extra, tuple)
    attrs = dict(zip([a.name for a in definitions[cls].attrs], extra, strict=False))
    if op.attrs.get("named"):
        attrs["names_"] = op.attrs.get("names_", ())
    made = cls(name, region.args, [r.type for r in op.results], attrs, loc=op.loc)
    values = dict(zip(region.args, borrowed(op, env), strict=True))
    return finish(run, op, env, run.op(made, values))


# -- launches ----------------------------------------------------------------------------------------------------------


@executes("rt.launch")
def launch(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    launched = launch_rows if op.attrs.get("template") == "row" else launch_cells
    inputs = _inputs(op, borrowed(op, env))
    return finish(run, op, env, launched(run, op, run.functions[str(op.attrs["kernel"])], inputs))


@executes("rt.launch_outer")
def launch_outer(run: Evaluator, op: Op, env: Env) -> Sequence[Any]:
    kernel = run.functions[str(op.attrs["kernel"])]
    return finish(run, op, env, launch_products(run, op, kernel, _inputs(op, borrowed(op, env))))


def _inputs(op: Op, values: list[Any]) -> list[Any]:
    return [v if isinstance(o.type, Matrix) else float(v) for o, v in zip(op.operands, values, strict=True)]


__all__ = ["Owned", "check_released"]
