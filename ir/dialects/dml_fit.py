"""The check that operands fit, as an operation of its own: operators that are rewritten and fused later on need not know what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Operands, define
from sysmlc.ir.dialects.shapes import size_dim
from sysmlc.ir.types import Dim, Scalar, Type, same_dim

RULES: Final = ("cells", "equal", "product", "cbind", "rbind", "square", "diag", "single")


@define("dml.require_fit")
class RequireFit(Op):
    """Abort with the message of operation `what` unless its operands fit; `sizes` are the rows and columns of each, i64.

    `rule`: `cells` (as many rows and columns as the first operand, or one), `equal` (as many), `product` (columns of the first are
    rows of the second), `cbind`, `rbind` (as many rows, columns as the first), `square`, `diag` (square or one column), `single` (1x1).
    """

    sizes: Operands[Scalar]
    rule: Attr[str]
    what: Attr[str]

    def infer(self) -> Sequence[Type]:
        return ()

    def check(self) -> None:
        if self.rule not in RULES:
            raise self.error(f"has no rule '{self.rule}'")

    @property
    def demands(self) -> list[Demand]:
        """What must hold."""
        return demands(self.rule, [size_dim(v) for v in self.sizes])


Demand = tuple[Dim, Dim, bool]
"""`(one, other, repeated)`: a size that equals the other one, or is 1 if it may be repeated."""


def demands(rule: str, sizes: Sequence[Dim]) -> list[Demand]:
    """What a rule asks of sizes, two for each operand."""
    return [
        (sizes[i], 1 if j is None else sizes[j], repeated) for i, j, repeated in compared(rule, len(sizes))
    ]


def compared(rule: str, count: int) -> Iterator[tuple[int, int | None, bool]]:
    """Which of the sizes have to equal which other one (None: 1), or may be 1 because they are repeated."""
    for i in range(2, count, 2):
        if rule in ("cells", "equal", "cbind"):
            yield i, 0, rule == "cells"
        if rule in ("cells", "equal", "rbind"):
            yield i + 1, 1, rule == "cells"
        if rule == "product":
            yield i, 1, False
    if rule in ("square", "diag"):
        yield 1, 0, rule == "diag"
    elif rule == "single":
        yield 0, None, False
        yield 1, None, False


def holds(demand: Demand) -> bool:
    """Whether a demand is known to be met."""
    one, other, repeated = demand
    return same_dim(one, other) or (repeated and one == 1)
