"""What kernels compute besides the cellwise operations of `dml`: on lanes, on integers, on f64 beside f32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import PURE, Attr, Operand, Operands, define
from sysmlc.ir.dialects.shapes import element
from sysmlc.ir.types import Scalar, Type, Vector, f32, f64, i1, i64, vector

INTEGER: Final = ("iadd", "isub", "imul", "iand", "imin")
INTEGER_RELATIONS: Final = ("ilt", "ige", "ieq")


@define("kernel.mask", traits=PURE)
class Mask(Op):
    """The first `count` lanes of `lanes`: all for a larger count, none for a negative one."""

    count: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (vector(self.lanes, i1),)


@define("kernel.splat", traits=PURE)
class Splat(Op):
    """A scalar (f64, f32 or i64) in every lane."""

    operand: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        assert isinstance(self.operand.type, Scalar)
        return (vector(self.lanes, self.operand.type),)


@define("kernel.iota", traits=PURE)
class Iota(Op):
    """0, scale, 2·scale, … as i64 lanes."""

    scale: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (vector(self.lanes, i64),)


@define("kernel.number", traits=PURE)
class Number(Op):
    """An i64 as a cell, f64 or f32; lane by lane."""

    operand: Operand[Any]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        made = element(self)
        return (vector(source.lanes, made) if isinstance(source, Vector) else made,)

    def check(self) -> None:
        source = self.operand.type
        if (source.elem if isinstance(source, Vector) else source) is not i64:
            raise self.error(f"cannot be applied to {source}")


@define("kernel.halves", traits=PURE)
class Halves(Op):
    """The lower and the upper lanes; scalars once there are two."""

    operand: Operand[Vector]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        assert isinstance(source, Vector)
        half = vector(source.lanes // 2, source.elem) if source.lanes > 2 else source.elem
        return (half, half)


@define("kernel.pair_halves", traits=PURE)
class PairHalves(Op):
    """Two vectors of groups of twice `half` lanes: the lower halves of their groups, in turn of `a` and of `b`, and the upper halves.

    So what is done with both results halves the groups of two vectors at once.
    """

    a: Operand[Vector]
    b: Operand[Vector]
    half: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (self.a.type, self.a.type)


@define("kernel.lane_sums", traits=PURE)
class LaneSums(Op):
    """The sums of the lanes of vectors, as many as each has lanes: that of the first one in the first lane, and so on.

    Halves are added to halves until one number is left.
    """

    values: Operands[Vector]

    def infer(self) -> Sequence[Type]:
        return (self.values[0].type,)


@define("kernel", names=("widen", "narrow"), traits=PURE)
class Precision(Op):
    """An f32 as f64 (exact), or an f64 rounded to f32; lane by lane."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        wide = self.fn == "widen"
        elem = source.elem if isinstance(source, Vector) else source
        if elem is not (f32 if wide else f64):
            raise self.error(f"cannot be applied to {source}")
        made = f64 if wide else f32
        return (vector(source.lanes, made) if isinstance(source, Vector) else made,)


@define("kernel.two_sum", traits=PURE)
class TwoSum(Op):
    """The rounded sum and its exact rounding error (as long as nothing overflows); never contracted."""

    a: Operand[Any]
    b: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type, self.a.type)


@define("kernel.multiply_add", traits=PURE)
class MultiplyAdd(Op):
    """`a * b + c`, rounded once where the processor can, else twice."""

    a: Operand[Any]
    b: Operand[Any]
    c: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type,)


@define("kernel.select", traits=PURE)
class Select(Op):
    """`a` where the condition (i1, or a mask for vectors) holds, else `b`."""

    condition: Operand[Any]
    a: Operand[Any]
    b: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type,)


@define("kernel", names=INTEGER, traits=PURE)
class Integer(Op):
    """i64 arithmetic without overflow checks: addresses and counters."""

    a: Operand[Scalar]
    b: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("kernel", names=INTEGER_RELATIONS, traits=PURE)
class IntegerRelation(Op):
    """Signed comparison of two i64."""

    a: Operand[Scalar]
    b: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (i1,)


def pairing(lanes: int) -> list[int]:
    """The order in which as many vectors as they have lanes are paired, so that each one ends in the lane of its number.

    In which order they meet follows from the lanes they end in, whose numbers are read from the other side.
    """
    bits = lanes.bit_length() - 1
    return [int(f"{k:0{bits}b}"[::-1], 2) for k in range(lanes)]
