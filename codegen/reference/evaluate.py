"""Walks a module: structure, calls, control flow, effects. The functions of single operations are in the other files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sysmlc.codegen.reference import files, lists, matrices, statistics, text
from sysmlc.codegen.reference.cells import aggregate, binary, ifelse, unary
from sysmlc.codegen.reference.lists import ListValue
from sysmlc.codegen.reference.outer import evaluate_outer
from sysmlc.codegen.reference.rows import evaluate_rows
from sysmlc.codegen.reference.table import element, fail, functions
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.dml_cell import BINARY, UNARY
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f64, i1, i64, list_, string

__all__ = ["Evaluator", "StopProgram", "evaluate"]
_FAMILIES = (files, lists, matrices, statistics, text)  # importing them fills the table


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
    return run.outputs


class Evaluator:
    """One run of a module."""

    def __init__(
        self, module: Op, inputs: Mapping[str, Any], args: Mapping[str, str], output: Callable[[str], Any]
    ) -> None:
        self.functions = {str(op.attrs["sym"]): op for op in module.regions[0] if op.name == "core.func"}
        self.inputs = inputs
        self.args = args
        self.output = output
        self.outputs: dict[str, Any] = {}

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
                env[result] = value.astype(element(result.type)) if _is_rounded(result, value) else value
        raise AssertionError("a region without terminator")

    def op(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        """Results of one operation."""
        special = getattr(self, "_" + op.name.replace(".", "_"), None)
        if special is not None:
            return tuple(special(op, env))
        function = functions.get(op.name)
        if function is None:
            raise fail(op, f"the reference evaluator has no '{op.name}'")
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

    # -- physical level ------------------------------------------------------------------------------------------

    def _fused_convert(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (env[op.operands[0]],)

    def _fused_recast(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return (env[op.operands[0]],)

    def _fused_row(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return evaluate_rows(self, op, [env[v] for v in op.operands])

    def _fused_cell(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        inputs = [env[v] for v in op.operands]
        shapes = [v.shape for v in inputs if isinstance(v, np.ndarray)]
        shape = (max((s[0] for s in shapes), default=1), max((s[1] for s in shapes), default=1))
        if any(0 in s for s in shapes):
            shape = next(s for s in shapes if 0 in s)
        inner: dict[Value, Any] = {}
        for arg, value in zip(op.regions[0].args, inputs, strict=True):
            inner[arg] = (
                value if isinstance(value, np.ndarray) else np.full((1, 1), float(value), element(arg.type))
            )
        results: list[Any] = []
        for body_op in op.regions[0]:
            if body_op.name == "core.yield":
                results = [np.broadcast_to(inner[v], shape) for v in body_op.operands]
                break
            inner[body_op.result] = self._cell_body(body_op, [inner.get(v) for v in body_op.operands])
        kinds = op.attrs["outputs"]
        assert isinstance(kinds, tuple)
        return [self._cell_output(str(kind), value) for kind, value in zip(kinds, results, strict=True)]

    def _fused_outer(self, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
        return evaluate_outer(op, [env[v] for v in op.operands], self._cell_body)

    def _cell_body(self, op: Op, values: list[Any]) -> Any:
        fn = op.fn
        if op.name == "core.constant":
            value = op.attrs["value"]
            assert isinstance(value, (bool, int, float))
            return np.full((1, 1), float(value), element(op.result.type))
        if fn in BINARY:
            return binary(op, fn, *np.broadcast_arrays(*values))
        if fn in UNARY:
            return unary(op, fn, values[0])
        if fn == "ifelse":
            return ifelse(op, *np.broadcast_arrays(*values))
        if fn == "cast":
            return values[0]
        raise fail(op, f"'{op.name}' cannot stand in a fused.cell region")

    @staticmethod
    def _cell_output(kind: str, value: Any) -> Any:
        dir, _, fn = kind.partition(":")
        if dir == "map":
            return np.array(value)
        return aggregate({"min": "min_of", "max": "max_of"}.get(fn, fn), dir, np.asarray(value))


def _is_rounded(result: Value, value: Any) -> bool:
    """Whether a matrix was computed with other elements than those it has."""
    return isinstance(value, np.ndarray) and value.dtype != element(result.type)


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
