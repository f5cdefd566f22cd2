"""Which sizes have to fit for the operations of a group to be valid.

A scan reads one row of everything and repeats single columns wherever they meet others, so it would also compute what is an error: an
operation has the shape of its left operand, and only right ones are repeated. What types do not tell is asked at run time; where it
does not hold, the operations are done one by one and the one that fails says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse
from sysmlc.ir.dialects.dml_matrix import CBind, Index, MatMul
from sysmlc.ir.dialects.dml_stat import RowIndex
from sysmlc.ir.types import Dim, Matrix, same_dim


@dataclass(frozen=True)
class Size:
    """The rows or columns of a matrix that is there before the scan."""

    known: Dim
    axis: str
    value: Value | None = None


@dataclass(frozen=True)
class Fit:
    """The condition that `one` is as large as `other`, or 1 if it may be `repeated`."""

    one: Size
    other: Size
    repeated: bool = False

    @property
    def is_impossible(self) -> bool:
        """Whether it can never hold: sizes that are the same, or 1 and repeated, are no conditions."""
        return isinstance(self.one.known, int) and isinstance(self.other.known, int)


Shape = tuple[Size, Size]


def product_factors(op: Op) -> tuple[Value, Value] | None:
    """`(a, b)` of `t(a) %*% b`, None for other operations."""
    if not isinstance(op, MatMul) or "r" in op.transpose:
        return None
    if op.transpose == "l":
        return op.lhs, op.rhs
    made = op.lhs.op
    return (made.operands[0], op.rhs) if made is not None and made.name == "dml.t" else None


def fits(members: Collection[Op], singles: Collection[tuple[str, Value]]) -> Iterator[Fit]:
    """What must hold for the members of a group, sides in `singles` having one column."""
    shapes: dict[Value, Shape] = {}

    def shape(value: Value) -> Shape:
        if value not in shapes:
            type = value.type
            assert isinstance(type, Matrix)
            rows = 1 if ("single rows", value) in singles else type.rows
            cols = 1 if ("single", value) in singles else type.cols
            shapes[value] = Size(rows, "rows", value), Size(cols, "cols", value)
        return shapes[value]

    for op in members:
        factors = product_factors(op)
        matrices = [v for v in op.operands if isinstance(v.type, Matrix)]
        if factors is not None:
            yield from _unless_known(Fit(shape(factors[1])[0], shape(factors[0])[0]))
            continue
        (rows, cols), result = shape(matrices[0]), op.results[0].type
        if isinstance(op, MatMul):
            inner, outer = shape(op.rhs)[:: -1 if op.transpose else 1]
            yield from _unless_known(Fit(inner, cols))
            cols = outer
        elif isinstance(op, (Aggregate, RowIndex)):
            cols = Size(1, "cols")
        elif isinstance(op, (CBind, Index)):
            cols = Size(result.cols if isinstance(result, Matrix) else None, "cols")
        for other in matrices[1:] if isinstance(op, (Binary, IfElse)) else ():
            for one, whole in zip(shape(other), (rows, cols), strict=True):
                yield from _unless_known(Fit(one, whole, repeated=isinstance(op, Binary)))
        if isinstance(result, Matrix):
            shapes[op.results[0]] = _better(rows, result.rows), _better(cols, result.cols)


def _better(size: Size, known: Dim) -> Size:
    """The size, with what the type of a result knows of it."""
    return size if size.known is not None or known is None else Size(known, size.axis, size.value)


def _unless_known(fit: Fit) -> Iterator[Fit]:
    same = fit.one == fit.other or same_dim(fit.one.known, fit.other.known)
    told = all(size.value is not None or isinstance(size.known, int) for size in (fit.one, fit.other))
    if told and not same and not (fit.repeated and fit.one.known == 1):
        yield fit
