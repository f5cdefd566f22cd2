"""Physical operations: fused regions and format changes."""

from __future__ import annotations

from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Body, Operand, Operands, define
from sysmlc.ir.types import Matrix, f64

OUTPUTS = ("map", "full", "row", "col")


@define("fused.cell", traits={"pure"})
class Cell(Op):
    """One pass over the cells of its operands.

    The region has one f64 argument for each operand (matrices and scalars) and yields one f64 for each result. `outputs`
    says what becomes of each: `map` (a matrix), or `full:fn`, `row:fn`, `col:fn` with fn sum, prod, min or max.
    The first matrix operands decide the shape; others are broadcast as in `dml` cellwise operations (or, with
    `outer`, a column vector and a row vector combine). `reuse` lists operands whose buffer may be taken over.
    """

    inputs: Operands[Any]
    outputs: Attr[tuple[str, ...]]
    reuse: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    outer: Attr[bool] = False  # type: ignore[assignment]
    body: Body

    def check(self) -> None:
        if len(self.body.args) != len(self.operands):
            raise self.error("needs one region argument for each operand")
        if any(a.type is not f64 for a in self.body.args):
            raise self.error("region arguments must be f64")
        if len(self.outputs) != len(self.results) or len(self.body.terminator.operands) != len(self.results):
            raise self.error("needs one yielded value and one output kind for each result")
        for kind in self.outputs:
            if kind.partition(":")[0] not in OUTPUTS:
                raise self.error(f"unknown output kind '{kind}'")


@define("fused.convert", traits={"pure"})
class Convert(Op):
    """The same matrix in another format: `csr` or `dense`. The result type carries it."""

    operand: Operand[Matrix]
    format: Attr[str]
