"""Physical operations: fused regions and format changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sysmlc.ir.core import Op
from sysmlc.ir.define import NATIVE, PURE, Attr, Body, Operand, Operands, define
from sysmlc.ir.dialects.shapes import common_element, constant_int, element, matrix_of
from sysmlc.ir.types import Matrix, Type, matrix

OUTPUTS = ("map", "full", "row", "col")


def check_elements(op: Op) -> None:
    """Whether a region over cells computes with the elements that its matrices have."""
    elem = common_element(op, *op.operands, *op.results)
    if any(a.type is not elem for a in op.regions[0].args):
        raise op.error(f"region arguments must be {elem}")
    if any(v.type is not elem for v in op.regions[0].terminator.operands):
        raise op.error(f"yielded values must be {elem}")


@define("fused.cell", traits=PURE)
class Cell(Op):
    """One pass over the cells of its operands.

    The region has one argument for each operand (matrices and scalars) and yields one value for each result, all of the
    element type of the matrices: f64, or f32, to which scalars are then rounded. Sums are f64 in any case. `outputs` says what becomes of each: `map` (a matrix), or `full:fn`, `row:fn`, `col:fn` with fn sum, prod, min or max.
    The first matrix operands decide the shape; others are broadcast as in `dml` cellwise operations (or, with
    `outer`, a column vector and a row vector combine). `spreads`: a column and a row combine inside, to a shape that an operand
    has, too. `reuse` lists operands whose buffer may be taken over.
    """

    inputs: Operands[Any]
    outputs: Attr[tuple[str, ...]]
    reuse: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    outer: Attr[bool] = False  # type: ignore[assignment]
    spreads: Attr[bool] = False  # type: ignore[assignment]
    body: Body

    def check(self) -> None:
        if len(self.body.args) != len(self.operands):
            raise self.error("needs one region argument for each operand")
        check_elements(self)
        if len(self.outputs) != len(self.results) or len(self.body.terminator.operands) != len(self.results):
            raise self.error("needs one yielded value and one output kind for each result")
        for kind in self.outputs:
            if kind.partition(":")[0] not in OUTPUTS:
                raise self.error(f"unknown output kind '{kind}'")


FORMATS = ("dense", "csr", "smaller")


@define("fused.convert", traits=NATIVE)
class Convert(Op):
    """The same matrix as `dense`, as `csr` (one column stays dense), or as the `smaller` of them, by counting non-zeros.

    A matrix that already is in the format costs nothing. `why` is for people: what the compiler expects to gain.
    """

    operand: Operand[Matrix]
    format: Attr[str]
    why: Attr[str] = ""  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        format = "dense" if self.format == "dense" or source.cols == 1 else None
        return (matrix(source.rows, source.cols, source.elem, source.nnz, format),)

    def check(self) -> None:
        if self.format not in FORMATS:
            raise self.error(f"the format is {', '.join(FORMATS)}, not '{self.format}'")


@define("fused.recast", traits=NATIVE)
class Recast(Op):
    """The same matrix with cells of `elem`: f32 widened to f64, or f64 rounded to f32."""

    operand: Operand[Matrix]
    elem: Attr[str]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        return (matrix(source.rows, source.cols, element(self), source.nnz, source.format),)


ROW_ROLES = ("row", "side", "scalar")
ROW_OPS = frozenset({
    "core.constant", "core.yield", "dml.matmul", "dml.sum", "dml.sumsq", "dml.prod", "dml.min_of", "dml.max_of",
    "dml.row_index_max", "dml.row_index_min", "dml.cbind", "dml.index", "dml.fill", "dml.cast",
})  # fmt: skip
"""What regions over rows compute with, besides cellwise operations."""
ROW_OUTPUTS = ("map", "product", "col:sum", "full:sum", "full:min", "full:max")


@define("fused.row", traits=PURE)
class Row(Op):
    """One scan of the rows of its first operand.

    The region runs for each row. `roles` says what it sees of each operand: `row` the same row of a matrix (or all of a
    matrix with one row) as a one-row matrix, `side` a whole matrix (small enough to stay in the cache), `scalar` an f64. All
    matrices have the same elements; of f32, one number a row is a cell too, and sums over rows are f64. It
    computes with the logical operations: cellwise ones, aggregates of the row and places of its extremes, products of the row
    with sides, `cbind`, ranges of columns with constant bounds, and `fill` with one number a row. `outputs` says what becomes of each yielded value: `map` puts the rows below each other; `product` adds up the outer products that a
    `t(a) %*% b` of two row values is; `col:sum` adds up the rows, `full:fn` combines the numbers (fn sum, min or max).
    """

    inputs: Operands[Any]
    roles: Attr[tuple[str, ...]]
    outputs: Attr[tuple[str, ...]]
    body: Body

    def check(self) -> None:
        if len(self.body.args) != len(self.operands) or len(self.roles) != len(self.operands):
            raise self.error("needs one region argument and one role for each operand")
        if not self.roles or self.roles[0] != "row" or any(r not in ROW_ROLES for r in self.roles):
            raise self.error(f"roles are {', '.join(ROW_ROLES)}, and the first operand is a row")
        common_element(self, *self.operands, *self.body.args, *self.results)
        if len(self.outputs) != len(self.results) or len(self.body.terminator.operands) != len(self.results):
            raise self.error("needs one yielded value and one output kind for each result")
        for kind in self.outputs:
            if kind not in ROW_OUTPUTS:
                raise self.error(f"unknown output kind '{kind}'")
        for op in self.body:
            if op.name not in ROW_OPS and "cellwise" not in op.traits:
                raise op.error("cannot stand in a region over rows")
            if op.name == "dml.index" and (
                None in (bounds := [constant_int(v) for v in op.operands[1:]]) or bounds[:2] != [1, 1]
            ):
                raise op.error("takes columns between constant bounds in a region over rows, of one row")
            if op.name == "dml.fill" and [constant_int(v) for v in op.operands[1:]] != [1, 1]:
                raise op.error("is one number in a region over rows")


TRANSPOSES = ("", "l", "r", "lr")
OUTER_OUTPUTS = ("map", "full:sum", "row:sum", "col:sum", "right", "left")


@define("fused.outer", traits=PURE)
class OuterRegion(Op):
    """One pass over the cells of matrix products, which are never formed as a whole.

    `products` has one entry for each product: how its two factors are stored, as `transpose` of `dml.matmul`. Operands are
    the factors of the products, the other inputs, and one matrix for each `right` or `left` output. The region has one cell
    as argument for each product and each other input (broadcast as in `fused.cell`) and yields one for each result; cells are
    what the matrices have, f64 or f32.
    `outputs` says what becomes of the matrix S of those: S itself, its sums, `S %*% B` (right) or `t(S) %*% A` (left). Where
    an input is sparse at run time and its zeros make every output zero, only its non-zeros are visited.
    """

    inputs: Operands[Any]
    products: Attr[tuple[str, ...]]
    outputs: Attr[tuple[str, ...]]
    body: Body

    def check(self) -> None:
        count = len(self.products)
        closing = sum(kind in ("right", "left") for kind in self.outputs)
        if not count or any(t not in TRANSPOSES for t in self.products):
            raise self.error("needs products, with transposes '', 'l', 'r' or 'lr'")
        if len(self.operands) != len(self.body.args) + count + closing:
            raise self.error(
                "needs two factors for each product, and an operand for each argument and each closing product"
            )
        factors = self.operands[: 2 * count] + self.operands[len(self.operands) - closing :]
        if not all(isinstance(v.type, Matrix) for v in factors):
            raise self.error("factors must be matrices")
        check_elements(self)
        if len(self.outputs) != len(self.results) or len(self.body.terminator.operands) != len(self.results):
            raise self.error("needs one yielded value and one output kind for each result")
        for kind in self.outputs:
            if kind not in OUTER_OUTPUTS:
                raise self.error(f"unknown output kind '{kind}'")
