"""Operations that make matrices: of numbers, of text, at random, from files."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Op
from sysmlc.ir.define import NATIVE, PURE, Attr, Operand, define
from sysmlc.ir.dialects.shapes import (
    constant,
    element,
    size_dim,
)
from sysmlc.ir.types import Handle, Scalar, Type, matrix


@define("dml.fill", traits=NATIVE)
class Fill(Op):
    """A matrix whose cells all are `value` (f64): `matrix(value, rows, cols)`."""

    value: Operand[Scalar]
    rows: Operand[Scalar]
    cols: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        nnz = 0 if constant(self.value) == 0 else None
        return (matrix(size_dim(self.rows), size_dim(self.cols), element(self), nnz),)


@define("dml.matrix_of_text", traits=PURE)
class MatrixOfText(Op):
    """`matrix("1 2 3", rows, cols)`: whitespace-separated cells, row by row."""

    text: Operand[Scalar]
    rows: Operand[Scalar]
    cols: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (matrix(size_dim(self.rows), size_dim(self.cols)),)


@define("dml.matrix_of_box", traits=PURE)
class MatrixOfBox(Op):
    """`matrix(v, rows, cols)` of a scalar whose type is known at run time: a number fills, a string is taken apart."""

    value: Operand[Handle]
    rows: Operand[Scalar]
    cols: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (matrix(size_dim(self.rows), size_dim(self.cols)),)


@define("dml.seq", traits=PURE)
class Seq(Op):
    """`from, from+incr, …` up to `to`, a column vector of f64."""

    from_: Operand[Scalar]
    to: Operand[Scalar]
    incr: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        first, last, step = (constant(v) for v in self.operands)
        if (
            isinstance(first, (int, float))
            and isinstance(last, (int, float))
            and isinstance(step, (int, float))
            and step
        ):
            if (last - first) * step < 0:
                raise self.error(
                    f"wrong sign for the increment of a sequence from {first} to {last} by {step}"
                )
            count = 1 + int(last / step - first / step) if abs(last / step - first / step) < 2**53 else None
            return (matrix(count, 1),)
        if first == 1 and step == 1:
            to = self.to.op
            source = to.operands[0] if to is not None and to.name == "dml.cast" else self.to
            return (matrix(size_dim(source), 1),)
        return (matrix(None, 1),)


@define("dml.rand", traits={"random", "f32"})
class Rand(Op):
    """Random matrix: `pdf` (str) uniform, normal or poisson; `seed` -1 draws one. Bit-compatible with the documented generator."""

    rows: Operand[Scalar]
    cols: Operand[Scalar]
    min: Operand[Scalar]
    max: Operand[Scalar]
    sparsity: Operand[Scalar]
    pdf: Operand[Scalar]
    seed: Operand[Scalar]
    lambda_: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (matrix(size_dim(self.rows), size_dim(self.cols), element(self)),)


@define("dml.sample", traits={"random"})
class Sample(Op):
    """`size` integers from 1..range (both i64) as a column vector, with or without replacement (i1), by `seed` (-1: any)."""

    range: Operand[Scalar]
    size: Operand[Scalar]
    replace: Operand[Scalar]
    seed: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (matrix(size_dim(self.size), 1),)


@define("dml.read_matrix", traits={"f32"})
class ReadMatrix(Op):
    """Read a matrix file. `options` are the read() arguments as `key=value` lines. The result type carries what is known."""

    path: Operand[Scalar]
    options: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (matrix(elem=element(self)),)
