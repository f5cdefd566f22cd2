"""Walks a module: structure, calls, control flow, effects. The functions of single operations are in the other files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sysmlc.codegen.reference import files, lists, machine, matrices, program, regions, statistics, text
from sysmlc.codegen.reference.cells import binary
from sysmlc.codegen.reference.lists import ListValue
from sysmlc.codegen.reference.table import element, fail, functions, structural
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.dml_fit import demands, holds
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f32, f64, i1, i64, list_, string

__all__ = ["Evaluator", "StopProgram", "evaluate"]
_FAMILIES = (
    files,
    lists,
    machine,
    matrices,
    program,
    regions,
    statistics,
    text,
)  # importing them fills the tables


class StopProgram(Diagnostic):
    """The script's own stop() or assert()."""


def evaluate(
    module: Op,
    inputs: Mapping[str, Any] | None = None,
    args: Mapping[str, str] | None = None,
    output: Callable[[str], Any] | None = None,
) -> dict[str, Any]:
    """Run the function `main` of a module; gives the values handed out by `dml.output`.

    `output` receives the printed lines (default: `print`). Run-time errors are raised as Diagnostic.
    """
    run = Evaluator(module, inputs or {}, args or {}, output or print)
    with np.errstate(all="ignore"):
        run.call("main", ())
    program.check_released(run)
    return run.outputs


class Evaluator:
    """One run of a module."""

    def __init__(
        self, module: Op, inputs: Mapping[str, Any], args: Mapping[str, str], output: Callable[[str], Any]
    ) -> None:
        self.functions = {str(op.attrs["sym"]): op for op in module.regions[0] if "sym" in op.attrs}
        """Functions and kernels, by name."""
        self.inputs = inputs
        self.args = args
        self.output = output
        self.outputs: dict[str, Any] = {}
        self.owned: list[program.Owned] = []
        """Objects of a program that says when they are freed."""

    def call(self, name: str, values: Sequence[Any]) -> tuple[Any, ...]:
        """Results of a function of the module."""
        body = self.functions[name].regions[0]
        return self.region(body, values, {})

    def region(self, region: Region, values: Sequence[Any], env: dict[Value, Any]) -> tuple[Any, ...]:
        """Run a region with these argument values; gives what its terminator holds."""
        env.update(zip(region.args, values, strict=True))
        for op in region:
            if "terminator" in op.traits:
                return tuple(env[v] for v in op.operands)
            results = self.op(op, env)
            for result, value in zip(op.results, results, strict=True):
                env[result] = as_element(result.type, value)
        raise AssertionError("a region without terminator")

    def op(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        """Results of one operation."""
        function = functions.get(op.name)
        if function is None:
            if op.name in structural:
                return tuple(structural[op.name](self, op, env))
            special = getattr(self, "_" + op.name.replace(".", "_"), None)
            if special is None:
                raise fail(op, f"the reference evaluator has no '{op.name}'")
            return tuple(special(op, env))
        try:
            result = function(op, *[env[v] for v in op.operands])
        except Diagnostic as error:
            raise error if error.loc.line else fail(op, error.message) from error
        return result if len(op.results) > 1 else (result,) if op.results else ()

    # -- structure -------------------------------------------------------------------------------------------

    def _core_constant(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (op.attrs["value"],)

    def _core_call(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return self.call(str(op.attrs["callee"]), [env[v] for v in op.operands])

    def _scf_if(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return self.region(op.regions[0 if env[op.operands[0]] else 1], (), env)

    def _scf_while(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        values: Sequence[Any] = [env[v] for v in op.operands]
        while self.region(op.regions[0], values, env)[0]:
            values = self.region(op.regions[1], values, env)
        return values

    def _scf_for(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        start, stop, step, *values = [env[v] for v in op.operands]
        i = start
        while i <= stop if step > 0 else i >= stop:
            values = list(self.region(op.regions[0], (i, *values), env))
            i += step
        return values

    _scf_parfor = _scf_for

    # -- effects and bindings ----------------------------------------------------------------------------------

    def _dml_print(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        self.output(env[op.operands[0]])
        return ()

    def _dml_stop(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        raise StopProgram(env[op.operands[0]], op.loc)

    def _dml_assert(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        if not env[op.operands[0]]:
            raise StopProgram("assertion failed", op.loc)
        return ()

    def _dml_time(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (time.time_ns(),)

    def _dml_require_defined(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        if not env[op.operands[0]]:
            raise fail(op, f"variable '{op.attrs['variable']}' is not defined")
        return ()

    def _dml_require_fit(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        sizes = [int(env[v]) for v in op.operands]
        if not all(map(holds, demands(str(op.attrs["rule"]), sizes))):
            shapes = " and ".join(f"{r}x{c}" for r, c in zip(sizes[::2], sizes[1::2], strict=True))
            raise fail(op, f"the operands of {op.attrs['what']} do not fit: {shapes}")
        return ()

    def _dml_undefined(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        type = op.result.type
        if isinstance(type, Matrix):
            return (np.zeros((0, 0)),)
        return ({f64: 0.0, i64: 0, i1: False, string: "", list_: ListValue(())}.get(type, 0.0),)

    def _dml_has_arg(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (str(op.attrs["name_"]) in self.args,)

    def _dml_arg(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        name = str(op.attrs["name_"])
        if name not in self.args:
            raise fail(op, f"argument ${name} was not passed")
        return (cast(op, literal(self.args[name]), op.result.type),)

    def _dml_dynamic(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        a, b = (env[v] for v in op.operands)
        fn = str(op.attrs["operator"])
        texts = isinstance(a, str) or isinstance(b, str)
        if texts and fn == "add":
            return (text.scalar_text(a) + text.scalar_text(b),)
        if texts or isinstance(a, bool) != isinstance(b, bool):
            raise fail(op, f"'{fn}' cannot be applied to {a!r} and {b!r}")
        return (binary(op, fn, a, b),)

    def _dml_dynamic_compare(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        a, b = (env[v] for v in op.operands)
        if isinstance(a, str) or isinstance(b, str):
            a, b = text.scalar_text(a), text.scalar_text(b)
        return (binary(op, str(op.attrs["operator"]), a, b),)

    def _dml_input(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        name = str(op.attrs["name_"])
        if name not in self.inputs:
            raise fail(op, f"input '{name}' was not given")
        value = self.inputs[name]
        if isinstance(op.result.type, Matrix):
            dense = value.toarray() if hasattr(value, "toarray") else np.asarray(value, float)
            return (dense.reshape(-1, 1) if dense.ndim == 1 else dense,)
        return (value,)

    def _dml_output(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        self.outputs[str(op.attrs["name_"])] = env[op.operands[0]]
        return ()

    def _dml_cast(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (cast(op, env[op.operands[0]], op.result.type),)

    def _dml_concat(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (env[op.operands[0]] + env[op.operands[1]],)


def as_element(type: Type, value: Any) -> Any:
    """The value with the elements of its type: what was computed in others is rounded."""
    if isinstance(value, np.ndarray):
        elem = element(type)
        return value if value.dtype == elem else value.astype(elem)
    return float(np.float32(value)) if type is f32 else value


def literal(raw: str) -> Any:
    """The value of an argument's text: TRUE/FALSE, an integer, a double, or a string (quotes optional)."""
    if raw in ("TRUE", "FALSE"):
        return raw == "TRUE"
    for kind in (int, float):
        try:
            return kind(raw)
        except ValueError:
            continue
    return raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'" else raw


def cast(op: Op, value: Any, type: Type) -> Any:
    """Scalar conversion by the rules of the language."""
    if type is string:
        return text.scalar_text(value)
    if type is box:
        return value
    if isinstance(value, str):
        if type is i1:
            return value.upper() == "TRUE"
        try:
            value = float(value.strip().replace("Infinity", "inf"))
        except ValueError:
            raise fail(op, f"'{value}' is not a number") from None
    if type is i1:
        return bool(value != 0)
    if type is f64:
        return float(value)
    if type is i64 and isinstance(value, float):
        if math.isnan(value):
            return 0
        return (
            int(max(-(2.0**63), min(value, 2.0**63)))
            if abs(value) < 2.0**63
            else (2**63 - 1 if value > 0 else -(2**63))
        )
    return int(value) if type is i64 else value
