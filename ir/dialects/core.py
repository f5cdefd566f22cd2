"""Structure: module, functions, calls, constants, terminators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Body, Operands, define
from sysmlc.ir.types import Type, f32, f64, i1, i64, string


@define("core.module", traits={"isolated", "symbols"})
class Module(Op):
    """A whole program: a list of functions. The one called `main` runs the script."""

    body: Body

    def infer(self) -> Sequence[Type]:
        return ()


@define("core.func", traits={"isolated"})
class Func(Op):
    """A function `sym`; its parameters are the arguments of `body`, its results what `core.return` gives.

    `peak_bytes` is the planned peak of its matrices (-1: not planned); `unknown_sizes` says that some count nothing there.
    """

    sym: Attr[str]
    peak_bytes: Attr[int] = -1  # type: ignore[assignment]
    unknown_sizes: Attr[bool] = False  # type: ignore[assignment]
    body: Body

    def infer(self) -> Sequence[Type]:
        return ()


@define("core.call", traits={"call"})
class Call(Op):
    """Call of the function `callee`. Result types are given, and verified against the callee."""

    args: Operands[Any]
    callee: Attr[str]


@define("core.return", traits={"terminator"})
class Return(Op):
    """End of a function: its results."""

    values: Operands[Any]

    def infer(self) -> Sequence[Type]:
        return ()


@define("core.yield", traits={"terminator"})
class Yield(Op):
    """End of a region: the values it hands to the operation around it."""

    values: Operands[Any]

    def infer(self) -> Sequence[Type]:
        return ()


@define("core.constant", traits={"pure"})
class Constant(Op):
    """A scalar constant: f64, i64, i1 or str, or in regions over cells f32. The type is given where the text is ambiguous."""

    value: Attr[bool | int | float | str]

    def infer(self) -> Sequence[Type]:
        value = self.value
        if isinstance(value, bool):
            return (i1,)
        if isinstance(value, int):
            return (i64,)
        if isinstance(value, str):
            return (string,)
        single = bool(self.results) and self.results[0].type is f32
        return (f32 if single else f64,)
