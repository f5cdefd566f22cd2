"""Branches inside a round become choices between values, so that all rounds can be written at once.

    if (c) s = s + x                     s = s + ifelse(c, x, 0)
    if (c) R[i, ] = x else R[i, ] = y    R[i, ] = ifelse(c, x, y)
    if (c) R[i, ] = x                    R[i, ] = ifelse(c, x, R[i, ])
    if (x > m) m = x                     m = max(m, x)
    if (c) R = rbind(R, x)               R = rbind(R, removeEmpty(x, select=c))

Both sides are computed in every round, so neither may have an effect or fail but by an index, which is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import CBind, GetCell, Index, LeftIndex, RBind, SetCell
from sysmlc.ir.dialects.dml_pick import RemoveEmpty
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Cast
from sysmlc.ir.types import Matrix, f64, i64
from sysmlc.passes.effects import cannot_fail
from sysmlc.passes.loops.accesses import READS, WRITES, Stuck
from sysmlc.passes.splice import splice

_NEUTRAL: Final = {"add": 0.0, "sub": 0.0, "mul": 1.0, "min": float("inf"), "max": float("-inf")}
_ASKED_FOR: Final = READS | WRITES


def make_choices(branch: Op, may_count: Callable[[Value], bool], optional: set[Op]) -> None:
    """Put both sides of a branch before it, and choices between what they give in its place.

    `may_count` tells of an integer that it cannot overflow, or is asked for as well. `optional` gets the readings of cells that
    not all rounds do."""
    for region in branch.regions:
        for op in region:
            if op.name == "scf.if":
                make_choices(op, may_count, optional)
    for op in branch.walk():
        free = op is branch or "terminator" in op.traits or op.name in _ASKED_FOR or _is_step(op)
        free = free or (len(op.results) == 1 and op.results[0].type is i64 and may_count(op.results[0]))
        if not free and ("pure" not in op.traits or op.regions or not cannot_fail(op)):
            raise Stuck(f"{op.name} in a branch")
        if op.name in READS:
            optional.add(op)
    sides = [splice(branch, region) for region in branch.regions]
    b = Builder.before(branch)
    condition = branch.operands[0]
    pairs = [(x, y) for x, y in zip(*sides, strict=True)]
    alone = sum(x is not y for x, y in pairs) == 1
    branch.replace_by([choose(b, condition, x, y, alone) for x, y in pairs])


def _is_step(op: Op) -> bool:
    """Whether an operation only makes the next value of something that is carried; the choice takes its place."""
    return (
        isinstance(op, Binary)
        and op.fn in _NEUTRAL
        and [u.name for u in op.results[0].users()] == ["core.yield"]
    )


def choose(b: Builder, condition: Value, x: Value, y: Value, alone: bool = True) -> Value:
    """`x` where the condition holds, else `y`. When it is `alone`, nothing else is chosen with it."""
    if x is y:
        return x
    if isinstance(x.op, IfElse) and x.op.operands[2] is y and not isinstance(y.type, Matrix):
        return b(IfElse, b(Binary, "and", condition, x.op.operands[0]), x.op.operands[1], y)
    for one, other, first in ((x, y, True), (y, x, False)):
        made = _changed(b, condition, one, other, first)
        if made is not None:
            return made
    extreme = _extreme(b, condition, x, y) if alone else None
    if extreme is not None:
        return extreme
    left, right = x.op, y.op
    if isinstance(left, (LeftIndex, SetCell)) and type(left) is type(right):
        assert right is not None
        same = all(
            u is v
            for u, v in zip(
                (left.operands[0], *left.operands[2:]), (right.operands[0], *right.operands[2:]), strict=True
            )
        )
        if same:
            return _write(b, left, b(IfElse, condition, left.operands[1], right.operands[1]))
    if isinstance(left, Binary) and isinstance(right, Binary) and left.lhs is right.lhs:
        if left.fn == right.fn:
            return b(Binary, left.fn, left.lhs, b(IfElse, condition, left.rhs, right.rhs))
        if {left.fn, right.fn} == {"add", "sub"}:
            sides = (op.rhs if op.fn == "add" else b(Unary, "neg", op.rhs) for op in (left, right))
            return b(Binary, "add", left.lhs, b(IfElse, condition, *sides))
    if x.type is not y.type and not (isinstance(x.type, Matrix) and isinstance(y.type, Matrix)):
        raise Stuck("a choice between different kinds of values")
    return b(IfElse, condition, x, y)


def _extreme(b: Builder, condition: Value, x: Value, y: Value) -> Value | None:
    """`if (x > y) x else y` as a maximum; an x that is NaN is never taken."""
    test = condition.op
    if not isinstance(test, Binary) or not x.type is y.type is f64:
        return None
    if test.operands == [x, y]:
        larger, smaller = ("gt", "ge"), ("lt", "le")
    elif test.operands == [y, x]:
        larger, smaller = ("lt", "le"), ("gt", "ge")
    else:
        return None
    if test.fn not in (*larger, *smaller):
        return None
    fn = "max" if test.fn in larger else "min"
    never = b(Constant, value=_NEUTRAL[fn])
    return b(Binary, fn, y, b(IfElse, b(Unary, "isnan", x), never, x))


def _changed(b: Builder, condition: Value, one: Value, other: Value, first: bool) -> Value | None:
    """`one`, which is made of `other` step by step, with steps that change nothing where it is not chosen."""
    if one is other:
        return other
    made = one.op
    if isinstance(made, (LeftIndex, SetCell)):
        base = _changed(b, condition, made.operand, other, first)
        if base is None:
            return None
        before = b(GetCell if isinstance(made, SetCell) else Index, base, *made.operands[2:])
        value, inner = made.operands[1], keeps(made)
        wanted = condition if first else b(Unary, "not", condition)
        if inner is not None and inner[1].operands[1:] == made.operands[2:]:  # a choice in a choice
            wanted, value = b(Binary, "and", wanted, inner[0].operands[0]), inner[0].operands[1]
        picked = b(IfElse, wanted, value, before)
        return b(type(made), base, picked, *made.operands[2:])
    if isinstance(made, (RBind, CBind)) and len(made.operands) == 2 and other in made.operands:
        parts = [v if v is other else _if_chosen(b, condition, v, first, made) for v in made.operands]
        return b(type(made), parts)
    if isinstance(made, Binary) and made.fn in _NEUTRAL:
        sides = [made.operands] if made.fn == "sub" else [made.operands, made.operands[::-1]]
        for before, added in sides:
            base = _changed(b, condition, before, other, first)
            if base is not None:
                return b(Binary, made.fn, base, _pick(b, condition, added, _neutral(b, made, added), first))
    return None


def _if_chosen(b: Builder, condition: Value, part: Value, first: bool, append: Op) -> Value:
    """A row (or column) to append, or none at all."""
    wanted = condition if first else b(Unary, "not", condition)
    select = b(AsMatrix, b(Cast, wanted, types=[f64]))
    margin = b(Constant, value="rows" if append.name == "dml.rbind" else "cols")
    return b(RemoveEmpty, part, margin, select, b(Constant, value=False))


def keeps(write: Op) -> tuple[Op, Op] | None:
    """The choice and the read of a write that may keep something that was there; nobody else needs them."""
    picked = write.operands[1].op
    before = picked.operands[2].op if isinstance(picked, IfElse) else None
    if picked is None or before is None or before.name not in ("dml.index", "dml.get_cell"):
        return None
    alone = before.operands[0] is write.operands[0] and all(
        len(op.results[0].uses) == 1 for op in (picked, before)
    )
    return (picked, before) if alone else None


def _pick(b: Builder, condition: Value, x: Value, y: Value, first: bool) -> Value:
    return b(IfElse, condition, *((x, y) if first else (y, x)))


def _neutral(b: Builder, op: Binary, added: Value) -> Value:
    """What changes nothing as an operand of an operation, where `added` is one."""
    type = op.results[0].type
    known = _NEUTRAL[op.fn]
    if (type is f64 or isinstance(type, Matrix)) and (added.type is f64 or isinstance(added.type, Matrix)):
        return b(Constant, value=known)
    if type is i64 and added.type is i64 and op.fn not in ("min", "max"):
        return b(Constant, value=int(known))
    raise Stuck("a choice between numbers of different kinds")


def _write(b: Builder, op: LeftIndex | SetCell, value: Value) -> Value:
    return b(type(op), op.operand, value, *op.operands[2:])
