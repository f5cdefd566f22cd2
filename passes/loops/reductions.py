"""Sums, products and extremes over the rounds of a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.core import Region as Body
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary
from sysmlc.ir.dialects.dml_matrix import AsScalar, MatMul
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Cast
from sysmlc.ir.types import Matrix, f64, i64
from sysmlc.passes.loops.accesses import Stuck
from sysmlc.passes.loops.lift import Count, Fixed, Lift, Many, Product

_OVER_ROUNDS: Final = {"add": "sum", "sub": "sum", "mul": "prod", "min": "min_of", "max": "max_of"}


@dataclass(frozen=True)
class Reduction:
    """`((init fn x) fn y) …`: operations of one kind and their other operands."""

    steps: list[tuple[Op, Value]]

    @property
    def written(self) -> set[Op]:
        return {op for op, _ in self.steps}

    def after(self, init: Value, lift: Lift) -> Value:
        """What has become of `init` after all rounds."""
        value = init
        for op, other in self.steps:
            lift.b.loc = op.loc
            if isinstance(value.type, Matrix) and isinstance(other.type, Matrix):
                for rows in (True, False):
                    lift.require_equal(lift.integers.size(init, rows), lift.size(other, rows))
            value = lift.b(Binary, op.fn, value, _over_rounds(op.fn, other, value, lift))
        return value


def reduction(arg: Value, last: Value, body: Body) -> Reduction | None:
    """The way from a carried value to what it is after a round, as a chain of one operation."""
    tainted = {arg}
    for op in body:
        if any(v in tainted for v in op.operands):
            tainted.update(op.results)
    steps: list[tuple[Op, Value]] = []
    value = last
    while value is not arg:
        made = value.op
        if not isinstance(made, Binary) or len(value.uses) != 1 or _OVER_ROUNDS.get(made.fn) is None:
            return None
        left, right = (v in tainted for v in made.operands)
        if left == right or (made.fn == "sub" and right):
            return None
        steps.append((made, made.operands[1 if left else 0]))
        value = made.operands[0 if left else 1]
    same = {_OVER_ROUNDS[op.fn] for op, _ in steps}
    return Reduction(steps[::-1]) if len(same) == 1 and len(arg.uses) == 1 else None


def _over_rounds(fn: str, other: Value, value: Value, lift: Lift) -> Value:
    """What `fn` makes of an operand over all rounds."""
    kind, b = lift.kind(other), lift.b
    if isinstance(kind, Fixed) and fn in ("min", "max"):
        return kind.value
    if lift.strict_fp and fn not in ("min", "max") and value.type is not i64:
        raise Stuck("a sum stays as it is written")
    if isinstance(kind, Fixed):
        if fn == "mul":
            raise Stuck("a power with the number of rounds")
        times = lift.trips()
        whole = kind.value.type is i64
        return b(Binary, "mul", kind.value, times if whole else b(Cast, times, types=[f64]))
    if isinstance(kind, Count) and fn in ("add", "sub"):
        ends = [
            lift.number(kind.form.put(lift.rounds.counter, e)) for e in (lift.rounds.first, lift.rounds.last)
        ]
        twice = b(Binary, "mul", lift.trips(), b(Binary, "add", *ends))
        return b(Binary, "intdiv", twice, b(Constant, value=2))
    if value.type is i64 and (fn not in ("add", "sub") or not isinstance(kind, Many)):
        raise Stuck("integers that are not added up")
    if isinstance(kind, Product):
        if fn not in ("add", "sub"):
            raise Stuck("products that are not added up")
        return b(MatMul, kind.left, kind.right)
    dot = _dot_product(other, lift) if fn in ("add", "sub") and lift.nested else None
    if dot is not None:
        return dot if isinstance(other.type, Matrix) else b(AsScalar, dot)
    stack = lift.stacked(other)
    name = _OVER_ROUNDS[fn]
    if not lift.is_unit(other):
        return b(Aggregate, name, stack.value, dir="col" if stack.in_rows else "row")
    total = b(Aggregate, name, stack.value)
    if value.type is i64:
        return lift.whole(total)
    return b(AsMatrix, total) if isinstance(other.type, Matrix) else total


def _dot_product(value: Value, lift: Lift) -> Value | None:
    """A sum of products of numbers as row times column: rounds of a loop around it may make that a matrix product."""
    op = value.op
    if (
        op is None
        or op.name != "dml.mul"
        or not all(isinstance(lift.kind(v), Many) and lift.is_unit(v) for v in op.operands)
    ):
        return None
    row, column = (
        lift.many(lift.kind(v), in_rows, True) for v, in_rows in zip(op.operands, (False, True), strict=True)
    )
    return lift.b(MatMul, row.value, column.value)
