"""Structured control flow. Values that change in a loop are carried: initial values in, final values out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.define import Attr, Body, Operand, Operands, define
from sysmlc.ir.types import Scalar, i1, i64, refines


def _check_yield(op: Op, region: Region, results: int) -> None:
    last = region.terminator
    if last.name != "core.yield" or len(last.operands) != results:
        raise op.error(f"a region must end in core.yield of {results} values")
    for i in range(results):
        if not refines(last.operands[i].type, op.results[i].type):
            raise op.error(f"yields {last.operands[i].type} where the result is {op.results[i].type}")


def _check_carried(op: Op, region: Region, inits: list[Any], first: int) -> None:
    if len(region.args) - first != len(inits) or len(inits) != len(op.results):
        raise op.error("initial values, region arguments and results differ in number")
    for init, arg, result in zip(inits, region.args[first:], op.results, strict=True):
        if not refines(init.type, arg.type) or arg.type is not result.type:
            raise op.error(f"carries {init.type} as {arg.type} into a result of {result.type}")


@define("scf.if")
class If(Op):
    """Two regions, one of which runs. Result types are given. `why`: the reason of a choice that the compiler leaves open."""

    condition: Operand[Scalar]
    why: Attr[str] = ""  # type: ignore[assignment]
    then: Body
    orelse: Body

    def flow(self) -> Iterable[tuple[Value, Value]]:
        for region in self.regions:
            yield from zip(region.terminator.operands, self.results, strict=True)

    def check(self) -> None:
        if self.condition.type is not i1:
            raise self.error(f"the condition must be i1, but is {self.condition.type}")
        for region in self.regions:
            _check_yield(self, region, len(self.results))


@define("scf.while")
class While(Op):
    """`cond` (carried values → i1) and `body` (carried values → new carried values) run in turn."""

    inits: Operands[Any]
    cond: Body
    body: Body

    def flow(self) -> Iterable[tuple[Value, Value]]:
        yield from zip(self.inits, self.cond.args, strict=True)
        yield from zip(self.body.terminator.operands, self.cond.args, strict=True)
        yield from zip(self.cond.args, self.body.args, strict=True)
        yield from zip(self.cond.args, self.results, strict=True)

    def check(self) -> None:
        for region in self.regions:
            _check_carried(self, region, self.inits, 0)
        last = self.cond.terminator
        if last.name != "core.yield" or len(last.operands) != 1 or last.operands[0].type is not i1:
            raise self.error("the first region must yield one i1")
        _check_yield(self, self.body, len(self.results))


@define("scf.for")
class For(Op):
    """Counts from `start` to `stop` inclusive by `step` (never 0; counts down when negative).

    The region's first argument is the i64 counter, the others are the carried values.
    """

    start: Operand[Scalar]
    stop: Operand[Scalar]
    step: Operand[Scalar]
    inits: Operands[Any]
    body: Body

    def flow(self) -> Iterable[tuple[Value, Value]]:
        for values in (self.inits, self.body.terminator.operands):
            yield from zip(values, self.body.args[1:], strict=True)
            yield from zip(values, self.results, strict=True)

    def check(self) -> None:
        for bound in self.operands[:3]:
            if bound.type is not i64:
                raise self.error(f"bounds must be i64, but one is {bound.type}")
        if not self.body.args or self.body.args[0].type is not i64:
            raise self.error("the first region argument must be the i64 counter")
        _check_carried(self, self.body, self.inits, 1)
        _check_yield(self, self.body, len(self.results))


@define("scf.parfor")
class ParFor(For):
    """As `scf.for`, with independent iterations; `options` holds the script's parfor parameters as `key=value,…`."""

    options: Attr[str] = ""  # type: ignore[assignment]
