"""The table of evaluation functions: operation name → function of the operation and its operand values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic

Function = Callable[..., Any]

functions: dict[str, Function] = {}
"""`f(op, *operands)`; gives the result, or a tuple of the results when there are several."""


def evaluates(*names: str) -> Callable[[Function], Function]:
    """Register a function for the operations `names` (without the `dml.`)."""

    def decorate(f: Function) -> Function:
        for name in names:
            full = name if "." in name else f"dml.{name}"
            assert full not in functions, full
            functions[full] = f
        return f

    return decorate


def fail(op: Op, message: str) -> Diagnostic:
    """A run-time error at the place of `op`."""
    return Diagnostic(message, op.loc)
