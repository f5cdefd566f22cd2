"""The table of evaluation functions: operation name → function of the operation and its operand values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, Vector, f32, i1, i32, i64

Function = Callable[..., Any]

functions: dict[str, Function] = {}
"""`f(op, *operands)`; gives the result, or a tuple of the results when there are several."""

structural: dict[str, Function] = {}
"""`f(run, op, env)` of what runs regions or keeps account; gives the results."""


def evaluates(*names: str) -> Callable[[Function], Function]:
    """Register a function for the operations `names` (without the `dml.`)."""

    def decorate(f: Function) -> Function:
        for name in names:
            full = name if "." in name else f"dml.{name}"
            assert full not in functions, full
            functions[full] = f
        return f

    return decorate


_ELEMENTS: dict[Type, Any] = {f32: np.float32, i64: np.int64, i32: np.int32, i1: np.bool_}


def executes(name: str) -> Callable[[Function], Function]:
    """Register a function that gets the evaluator and all values, for the operation `name`."""

    def decorate(f: Function) -> Function:
        structural[name] = f
        return f

    return decorate


def element(type: Type) -> Any:
    """The NumPy type of the cells of a matrix, of the lanes of a vector, or of a number in a region over cells."""
    elem = type.elem if isinstance(type, (Matrix, Vector)) else type
    return _ELEMENTS.get(elem, np.float64)


def fail(op: Op, message: str) -> Diagnostic:
    """A run-time error at the place of `op`."""
    return Diagnostic(message, op.loc)
