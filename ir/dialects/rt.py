"""The program level: calls into the native runtime, kernel launches, ownership."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Operand, Operands, define
from sysmlc.ir.types import Type


@define("rt.call")
class RtCall(Op):
    """Call of the C function `callee(ctx, operands…, attributes…)`; several results come through trailing pointers.

    `takes` lists operands whose reference the callee takes over. Result types are given.
    """

    args: Operands[Any]
    callee: Attr[str]
    extra: Attr[tuple[Any, ...]] = ()  # type: ignore[assignment]
    takes: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]


@define("rt.launch")
class Launch(Op):
    """Launch of the cell kernel `kernel` over matrices and scalars; `reuse` operands are taken over. Result types are given."""

    args: Operands[Any]
    kernel: Attr[str]
    reuse: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]


@define("rt.retain")
class Retain(Op):
    """One more owner of a handle."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return ()


@define("rt.release")
class Release(Op):
    """One owner less of a handle; the last one frees it."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return ()
