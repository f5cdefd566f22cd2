"""What single operations of a round become for all rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sysmlc.ir.core import Op, Value, clone
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import COMMUTATIVE, Aggregate, Binary, IfElse, Outer, Unary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import AsScalar, CBind, GetCell, Index, MatMul, NRow, RBind, Rev, Transpose
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Cast
from sysmlc.ir.dialects.dml_stat import Cumulative, RowIndex
from sysmlc.ir.types import Matrix, Scalar, f64, i1, i64
from sysmlc.passes.loops.accesses import Stuck
from sysmlc.passes.loops.affine import Affine
from sysmlc.passes.loops.lift import Count, Fixed, Kind, Lift, Many, Product

_MIRRORED: Final = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
_SINGLE_IS_SAME: Final = frozenset({"sum", "prod", "min_of", "max_of", "mean"})
_DOWN: Final = frozenset({"cumsum", "cumprod", "cummin", "cummax"})


def lift_op(lift: Lift, op: Op) -> None:
    """One operation of the body."""
    lift.b.loc = op.loc
    result = op.results[0]
    if result.type is i64:
        form = lift.integers.of(result)
        if lift.rounds.counter in form.terms and not any(
            isinstance(lift.kinds.get(a), Many) for a in form.terms if isinstance(a, Value)
        ):
            lift.kinds[result] = Count(form)
            return
    kinds = [lift.kind(v) for v in op.operands]
    if all(isinstance(k, Fixed) for k in kinds):
        if op in lift.optional:
            lift.require_inside(op.operands[0], lift.region(op))
        made = clone(
            op, {v: k.value for v, k in zip(op.operands, kinds, strict=True) if isinstance(k, Fixed)}
        )
        lift.b.insert(made)
        lift.kinds.update(zip(op.results, map(Fixed, made.results), strict=True))
        return
    rule = _RULES.get(type(op))
    if rule is None:
        raise Stuck(f"{op.name} of something that differs between rounds")
    lift.kinds[result] = rule(lift, op)


def unary(lift: Lift, op: Op) -> Kind:
    kind = lift.kind(op.operands[0])
    if isinstance(kind, Product):
        if op.fn != "neg":
            raise Stuck(f"{op.name} of a product")
        return Product(kind.left, lift.b(Unary, "neg", kind.right))
    stack = lift.stacked(op.operands[0])
    return Many(lift.b(Unary, op.fn, stack.value), stack.in_rows)


def binary(lift: Lift, op: Op) -> Kind:
    left, right = op.operands
    kinds = [lift.kind(left), lift.kind(right)]
    if any(isinstance(k, Product) for k in kinds):
        return scaled(lift, op)
    units = lift.is_unit(left), lift.is_unit(right)
    if units == (True, False) and isinstance(left.type, Matrix):
        raise Stuck("a 1x1 matrix on the left of a larger one")
    in_rows = lift.direction([left, right])
    if units == (False, False):
        for rows in (True, False):
            lift.require_equal(lift.size(left, rows), lift.size(right, rows))
    (a, form_a), (b, form_b) = lift.operand(left, in_rows), lift.operand(right, in_rows)
    return Many(_combined(lift, op.fn, a, form_a, b, form_b, in_rows), in_rows)


def _combined(lift: Lift, fn: str, a: Value, form_a: int, b: Value, form_b: int, in_rows: bool) -> Value:
    """`fn` of two operands; only the right one is broadcast by the language."""
    if {form_a, form_b} == {1, 2}:
        column, row = (a, b) if (form_a == 1) == in_rows else (b, a)
        if column is a:
            return lift.b(Outer, a, b, op=fn)
        if fn in COMMUTATIVE or fn in _MIRRORED:
            return lift.b(Outer, column, row, op=_MIRRORED.get(fn, fn))
        one = lift.b(Constant, value=1)
        return lift.b(Binary, fn, lift.b(Outer, lift.ones(lift.b(NRow, column), one), row, op="mul"), column)
    if form_a in (1, 2) and form_b == 3:
        if fn in COMMUTATIVE or fn in _MIRRORED:
            return lift.b(Binary, _MIRRORED.get(fn, fn), b, a)
        if fn == "sub":
            return lift.b(Binary, "add", lift.b(Unary, "neg", b), a)
        a = lift.spread(a, (form_a == 1) == in_rows, b)
    return lift.b(Binary, fn, a, b)


def scaled(lift: Lift, op: Op) -> Kind:
    """A product of a column and a row, times or divided by a number."""
    for value, other in (op.operands, op.operands[::-1]):
        kind = lift.kind(value)
        if isinstance(kind, Product) and lift.is_unit(other) and not isinstance(lift.kind(other), Product):
            if op.fn != "mul" and (op.fn != "div" or value is not op.operands[0]):
                break
            by, _ = lift.operand(other, True)
            return Product(kind.left, lift.b(Binary, op.fn, kind.right, by))
    raise Stuck(f"{op.name} of a product")


def if_else(lift: Lift, op: Op) -> Kind:
    return choice(lift, op, lift.direction(op.operands))


def choice(lift: Lift, op: Op, in_rows: bool) -> Many:
    """A choice in every round, with the rounds in rows or in columns."""
    unit = all(map(lift.is_unit, op.operands))
    found = [lift.operand(v, in_rows) for v in op.operands]
    if not unit:
        shapes = [v for v in op.operands if not lift.is_unit(v)]
        for rows in (True, False):
            for other in shapes[1:]:
                lift.require_equal(lift.size(shapes[0], rows), lift.size(other, rows))
        full = [v for v, form in found if form == 3]
        if not full:
            raise Stuck("a choice between vectors")
        found = [
            (lift.spread(v, (form == 1) == in_rows, full[0]) if form in (1, 2) else v, form)
            for v, form in found
        ]
    values = [lift.b(Cast, v, types=[f64]) if v.type in (i1, i64) else v for v, _ in found[1:]]
    return Many(lift.b(IfElse, found[0][0], *values), in_rows)


def aggregate(lift: Lift, op: Op) -> Kind:
    dot = _dot_product(lift, op) if lift.nested and op.fn == "sum" else None
    if dot is not None:
        return dot
    stack, direction = lift.stacked(op.operands[0]), op.attrs.get("dir", "full")
    across = "row" if stack.in_rows else "col"
    if direction in ("full", across) or (lift.is_unit(op.operands[0]) and op.fn in _SINGLE_IS_SAME):
        return Many(lift.b(Aggregate, op.fn, stack.value, dir=across), stack.in_rows)
    if op.fn in _SINGLE_IS_SAME:
        return stack
    if op.fn == "sumsq":
        return Many(lift.b(Binary, "mul", stack.value, stack.value), stack.in_rows)
    raise Stuck(f"{op.name} of single values")


def _dot_product(lift: Lift, op: Op) -> Many | None:
    """The sums of the vectors of all rounds times one vector, as a product: rounds of a loop around it may make that a matrix product."""
    made = op.operands[0].op
    if made is None or made.name != "dml.mul" or op.attrs.get("dir", "full") != "full":
        return None
    for value, other in (made.operands, made.operands[::-1]):
        stack, vector = lift.kind(value), lift.kind(other)
        if isinstance(stack, Many) and isinstance(vector, Fixed) and not lift.is_unit(other):
            turned = lift.b(Transpose, vector.value)
            factors = (stack.value, turned) if stack.in_rows else (turned, stack.value)
            return None if lift.is_unit(value) else Many(lift.b(MatMul, *factors), stack.in_rows)
    return None


def matmul(lift: Lift, op: Op) -> Kind:
    left, right = op.operands
    transpose = str(op.attrs.get("transpose", ""))
    kinds = [lift.kind(left), lift.kind(right)]
    lift.require_equal(lift.size(left, "l" in transpose), lift.size(right, "r" not in transpose))
    if isinstance(kinds[1], Fixed) and "l" not in transpose:
        stack = lift.many(kinds[0], True, lift.is_unit(left))
        return Many(lift.b(MatMul, stack.value, kinds[1].value, transpose=transpose), True)
    if isinstance(kinds[0], Fixed) and "r" not in transpose:
        stack = lift.many(kinds[1], False, lift.is_unit(right))
        return Many(lift.b(MatMul, kinds[0].value, stack.value, transpose=transpose), False)
    if transpose:
        raise Stuck("a product of transposed operands")
    if lift.size(left, True) == Affine(1) and lift.size(right, False) == Affine(1):
        rows = lift.many(kinds[0], True, lift.is_unit(left)).value
        cols = lift.many(kinds[1], False, lift.is_unit(right)).value
        cells = lift.b(Binary, "mul", rows, lift.b(Transpose, cols))
        return Many(lift.b(Aggregate, "sum", cells, dir="row"), True)
    return Product(
        lift.many(kinds[0], False, lift.is_unit(left)).value,
        lift.many(kinds[1], True, lift.is_unit(right)).value,
    )


def transpose(lift: Lift, op: Op) -> Kind:
    kind = lift.kind(op.operands[0])
    if isinstance(kind, Product):
        return Product(lift.b(Transpose, kind.right), lift.b(Transpose, kind.left))
    stack = lift.stacked(op.operands[0])
    if lift.is_unit(op.operands[0]):
        return stack
    return Many(lift.b(Transpose, stack.value), not stack.in_rows)


def rev(lift: Lift, op: Op) -> Kind:
    stack = lift.stacked(op.operands[0])
    return stack if stack.in_rows or lift.is_unit(op.operands[0]) else Many(lift.b(Rev, stack.value), False)


def cumulative(lift: Lift, op: Op) -> Kind:
    stack = lift.stacked(op.operands[0])
    if stack.in_rows == (op.fn in _DOWN) or lift.is_unit(op.operands[0]):
        return stack  # along a single cell
    return Many(lift.b(type(op), op.fn, stack.value), stack.in_rows)


def row_index(lift: Lift, op: Op) -> Kind:
    stack = lift.many(lift.kind(op.operands[0]), True, lift.is_unit(op.operands[0]))
    return Many(lift.b(type(op), op.fn, stack.value), True)


def side_by_side(lift: Lift, op: Op) -> Kind:
    in_rows = op.name == "dml.cbind"
    for value in op.operands[1:]:
        lift.require_equal(lift.size(op.operands[0], in_rows), lift.size(value, in_rows))
    stacks = [lift.many(lift.kind(v), in_rows, lift.is_unit(v)).value for v in op.operands]
    return Many(lift.b(CBind if in_rows else RBind, stacks), in_rows)


def same(lift: Lift, op: Op) -> Kind:
    return lift.stacked(op.operands[0])


def cast(lift: Lift, op: Op) -> Kind:
    stack, to = lift.stacked(op.operands[0]), op.results[0].type
    source = op.operands[0].type
    if to is i64 and op.operands[0] in lift.integers.whole:
        return stack
    if not isinstance(source, Scalar) or source not in (f64, i64, i1) or to not in (f64, i1):
        raise Stuck(f"a conversion to {to}")
    if to is i1 and source is not i1:
        return Many(lift.b(Binary, "ne", stack.value, lift.b(Constant, value=0.0)), stack.in_rows)
    return stack


def fill(lift: Lift, op: Op) -> Kind:
    value, rows, cols = op.operands
    shape = lift.integers.of(rows).known(), lift.integers.of(cols).known()
    stack = lift.stacked(value)
    if shape == (1, 1):
        return stack
    if shape[0] == 1:
        column = lift.many(stack, True, True).value
        return Many(
            lift.b(Outer, column, lift.ones(lift.b(Constant, value=1), lift.fixed(cols)), op="mul"), True
        )
    if shape[1] == 1:
        row = lift.many(stack, False, True).value
        return Many(
            lift.b(Outer, lift.ones(lift.fixed(rows), lift.b(Constant, value=1)), row, op="mul"), False
        )
    raise Stuck("a matrix filled in every round")


def index(lift: Lift, op: Op) -> Kind:
    kind = lift.read(op.operands[0], lift.region(op), lift.area(op))
    return (
        Fixed(lift.b(AsScalar, kind.value)) if isinstance(kind, Fixed) and op.name == "dml.get_cell" else kind
    )


_RULES: Final[dict[type[Op], Callable[[Lift, Op], Kind]]] = {
    Unary: unary, Binary: binary, IfElse: if_else, Aggregate: aggregate, MatMul: matmul,
    Transpose: transpose, Rev: rev, Cumulative: cumulative, RowIndex: row_index, CBind: side_by_side,
    RBind: side_by_side, AsScalar: same, AsMatrix: same, Cast: cast, Fill: fill,
    Index: index, GetCell: index,
}  # fmt: skip
