"""Logical operations that act cell by cell, and the aggregates that close them. Become `fused.cell` regions.

The same operations on scalars (and, at kernel level, on SIMD vectors) are the scalar arithmetic of every level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir import scalar_semantics
from sysmlc.ir.core import Op, Value
from sysmlc.ir.define import NATIVE, Attr, Operand, define
from sysmlc.ir.dialects.shapes import cellwise, common_element, constant, matrix_of
from sysmlc.ir.types import (
    Matrix,
    Type,
    Vector,
    differ_dim,
    f32,
    f64,
    i1,
    i64,
    matrix,
    same_dim,
    string,
    vector,
)

Folded = Sequence[Value | bool | int | float | str] | None
"""What `fold` gives: for each result a value or a constant."""

CELLWISE: Final = NATIVE | {"cellwise"}
UNARY: Final = (
    "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "sqrt", "exp", "log",
    "round", "floor", "ceil", "sign", "not", "isna", "isnan", "isinf", "sigmoid", "neg",
)  # fmt: skip
ARITHMETIC: Final = ("add", "sub", "mul", "div", "pow", "mod", "intdiv", "min", "max")
RELATIONAL: Final = ("eq", "ne", "lt", "le", "gt", "ge")
LOGICAL: Final = ("and", "or", "xor")
BITWISE: Final = ("bitand", "bitor", "bitxor", "shiftl", "shiftr")
BINARY: Final = ARITHMETIC + RELATIONAL + LOGICAL + BITWISE + ("log_base",)
PREDICATES: Final = frozenset(RELATIONAL + LOGICAL + ("not", "isna", "isnan", "isinf"))
COMMUTATIVE: Final = frozenset(
    {"add", "mul", "min", "max", "eq", "ne", "and", "or", "xor", "bitand", "bitor", "bitxor"}
)


def _shaped(source: Type, scalar: Type) -> Type:
    if isinstance(source, Matrix):
        return matrix(source.rows, source.cols, source.elem)
    if isinstance(source, Vector):
        return source
    return scalar


def _folded(value: scalar_semantics.Constant | None) -> Folded:
    return None if value is None else [value]


def same_shape(a: Matrix, b: Matrix) -> bool:
    """Whether two matrices are known to have equal dimensions."""
    return same_dim(a.rows, b.rows) and same_dim(a.cols, b.cols)


@define("dml", names=UNARY, traits=CELLWISE)
class Unary(Op):
    """A function of every cell, or of a scalar.

    `neg` is `-x`; `round` is floor(x + 0.5); `sign` is -1, 0, 1 (NaN stays); `not`, `isna`, `isnan`, `isinf` give 0/1 cells,
    and i1 for a scalar `not` of i1. `abs` and `neg` of i64 stay i64.
    """

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        if source is string:
            raise self.error("cannot be applied to a string")
        if self.fn == "not" and source is i1:
            return (i1,)
        if source is f32:
            return (f32,)
        return (_shaped(source, i64 if source is i64 and self.fn in ("abs", "neg") else f64),)

    def fold(self) -> Folded:
        x = constant(self.operand)
        return None if x is None else _folded(scalar_semantics.unary(self.fn, x))


@define("dml", names=BINARY, traits=CELLWISE)
class Binary(Op):
    """A function of two cells or scalars; a scalar on either side or a vector on the right is broadcast.

    Scalars follow language rules (f32, which only regions have, stays f32): `add sub mul intdiv mod min max` of two i64 give i64, relations give i1, everything else f64.
    `intdiv` and `mod` floor; `min` and `max` propagate NaN; `log_base(x, b)` is ln x / ln b.
    """

    lhs: Operand[Any]
    rhs: Operand[Any]

    def infer(self) -> Sequence[Type]:
        left, right = self.lhs.type, self.rhs.type
        if isinstance(left, Vector) or isinstance(right, Vector):
            return (left if isinstance(left, Vector) else right,)
        if isinstance(left, Matrix) or isinstance(right, Matrix):
            for side in (left, right):
                if side is string or (not isinstance(side, Matrix) and side not in (f64, i64, i1)):
                    raise self.error(f"cannot be applied to {left} and {right}")
            return (cellwise(self, left, right),)
        fn = self.fn
        if string in (left, right):
            if fn not in RELATIONAL or left is not right:
                raise self.error(f"cannot be applied to {left} and {right}")
            return (i1,)
        if fn in RELATIONAL or fn in LOGICAL:
            return (i1,)
        if left is f32 and right is f32:
            return (f32,)
        if left is i64 and right is i64 and fn not in ("div", "pow", "log_base"):
            return (i64,)
        return (f64,)

    def fold(self) -> Folded:
        y = constant(self.rhs)
        x = None if y is None else constant(self.lhs)
        return None if x is None or y is None else _folded(scalar_semantics.binary(self.fn, x, y))


@define("dml.ifelse", traits=CELLWISE)
class IfElse(Op):
    """`a` where the condition is not 0, else `b`, cell by cell. A scalar condition picks a whole operand of equal shape."""

    condition: Operand[Any]
    a: Operand[Any]
    b: Operand[Any]

    def infer(self) -> Sequence[Type]:
        vectors = [v.type for v in self.operands if isinstance(v.type, Vector)]
        if vectors:
            return (vectors[0],)
        shapes = [v.type for v in self.operands if isinstance(v.type, Matrix)]
        if not shapes:
            a, b = self.a.type, self.b.type
            return (a if a is b else f64,)
        result = shapes[0]
        common_element(self, *self.operands)
        for shape in shapes[1:]:
            if differ_dim(result.rows, shape.rows) or differ_dim(result.cols, shape.cols):
                raise self.error(f"operands must have equal shapes: {result} and {shape}")
            rows = result.rows if isinstance(result.rows, int) or shape.rows is None else shape.rows
            cols = result.cols if isinstance(result.cols, int) or shape.cols is None else shape.cols
            result = matrix(rows, cols, result.elem)
        return (matrix(result.rows, result.cols, result.elem),)

    def fold(self) -> Folded:
        condition, other = constant(self.condition), self.b.type
        zeros = self.condition.type
        if (
            isinstance(zeros, Matrix)
            and zeros.nnz == 0
            and isinstance(other, Matrix)
            and same_shape(zeros, other)
        ):
            never = self.a.type
            return [self.b] if not isinstance(never, Matrix) or same_shape(never, other) else None
        if condition is None:
            return [self.a] if self.a is self.b and not isinstance(self.condition.type, Matrix) else None
        chosen = self.a if condition else self.b
        result = self.results[0].type
        if isinstance(result, Matrix):  # the other operand may have another shape, which is an error
            a, b = self.a.type, self.b.type
            same = isinstance(a, Matrix) and isinstance(b, Matrix) and same_shape(a, b)
            return [chosen] if same else None
        if chosen.type is result:
            return [chosen]
        known = constant(chosen)
        return [float(known)] if isinstance(known, (bool, int, float)) and result is f64 else None


@define("dml.outer", traits=CELLWISE)
class Outer(Op):
    """`r[i, j] = fn(u[i], v[j])` for a column vector u and a row vector v; `op` is a binary operation's name."""

    u: Operand[Matrix]
    v: Operand[Matrix]
    op: Attr[str]

    def infer(self) -> Sequence[Type]:
        u, v = matrix_of(self, self.u), matrix_of(self, self.v)
        common_element(self, self.u, self.v)
        if differ_dim(u.cols, 1) or differ_dim(v.rows, 1):
            raise self.error(f"needs a column vector and a row vector, got {u} and {v}")
        return (matrix(u.rows, v.cols, u.elem),)


AGGREGATES: Final = ("sum", "prod", "min_of", "max_of", "mean", "sumsq", "var", "sd")


@define("dml", names=AGGREGATES, traits=NATIVE)
class Aggregate(Op):
    """All cells (`dir="full"`, a f64), each row (`"row"`, n×1) or each column (`"col"`, 1×m) to one number.

    Sums are compensated; min_of and max_of propagate NaN and are ±Infinity of nothing; mean of nothing is NaN;
    var and sd are the sample moments (n-1), 0 for one value.
    """

    operand: Operand[Matrix]
    dir: Attr[str] = "full"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        source = matrix_of(self, self.operand)
        if self.dir == "full":
            return (f64,)
        return (
            matrix(source.rows, 1, source.elem) if self.dir == "row" else matrix(1, source.cols, source.elem),
        )


def vector_of(lanes: int) -> Type:
    """The f64 SIMD vector type with these lanes."""
    return vector(lanes, f64)
