"""One way to write each thing: decided branches and trivial loops go, constants are folded, detours are cut short.

What an operation folds to is its own knowledge (`Op.fold`); the rules here are about structure and about pairs of operations.
No pass depends on this one for being right.
"""

from __future__ import annotations

from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.dialects.dml_fit import RequireFit, holds
from sysmlc.ir.dialects.dml_matrix import AsScalar, GetCell, Index, LeftIndex, SetCell
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Assert, Cast, Concat, RequireDefined
from sysmlc.ir.dialects.scf import For, If, ParFor, While
from sysmlc.ir.dialects.shapes import constant, constant_int, size_dim
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.rewrite import CHANGED, Replacement, Rule, RuleSet, rewrite, rule
from sysmlc.ir.types import Dim, Matrix, Type, f64, i1, i64, same_dim
from sysmlc.passes.splice import can_stand_for, splice


@register_pass
class Canonicalize(Pass):
    """Fold constants, take decided branches, cut detours short."""

    name = "canonicalize"

    def run(self, module: Module) -> None:
        rewrite(module, RULES, count=self.count)


# -- structure --------------------------------------------------------------------------------------------------------


@rule(If)
def take_decided_branch(op: If, b: Builder) -> Replacement:
    decided = constant(op.condition)
    if not isinstance(decided, bool):
        return None
    region = op.then if decided else op.orelse
    if not all(
        _may_replace(old, new, region)
        for old, new in zip(op.results, region.terminator.operands, strict=True)
    ):
        return None
    return splice(op, region)


def _may_replace(old: Value, new: Value, moving: Region) -> bool:
    return new.region is moving or can_stand_for(old, new)


@rule(If)
def know_condition_in_branches(op: If, b: Builder) -> Replacement:
    condition = op.condition
    if constant(condition) is not None:
        return None
    inside = [(user, i, _branch(op, user)) for user, i in condition.uses if user is not op]
    inside = [(user, i, branch) for user, i, branch in inside if branch is not None]
    if not inside:
        return None
    for user, i, branch in inside:
        assert branch is not None
        start = Builder(branch, branch.first, user.loc)
        user.set_operand(i, start(Constant, value=branch is op.then))
    return CHANGED


def _branch(op: Op, user: Op) -> Region | None:
    """The region of `op` that `user` is in."""
    at: Op | None = user
    while at is not None:
        region = at.parent
        if region is not None and region.parent is op:
            return region
        at = at.parent_op
    return None


@rule(If)
def same_in_both_branches(op: If, b: Builder) -> Replacement:
    """A result that is the same value either way, or a truth value that is the condition."""
    changed = False
    for result in op.results:
        if not result.uses:
            continue
        first, second = (r.terminator.operands[result.index] for r in op.regions)
        if first is second and can_stand_for(result, first):
            result.replace_by(first)
            changed = True
        elif constant(first) is True and constant(second) is False:
            result.replace_by(op.condition)
            changed = True
        elif (
            constant(first) is not None
            and repr(constant(first)) == repr(constant(second))
            and first.type is second.type
        ):
            result.replace_by(b(Constant, value=constant(first), types=[first.type]))
            changed = True
    return CHANGED if changed else None


@rule(For)
def trivial_loop(op: For, b: Builder) -> Replacement:
    return _trivial_loop(op)


@rule(ParFor)
def trivial_parallel_loop(op: ParFor, b: Builder) -> Replacement:
    return _trivial_loop(op)


def _trivial_loop(op: For) -> Replacement:
    """A loop that runs never or once."""
    start, stop, step = (constant(v) for v in op.operands[:3])
    if not (isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)) or step == 0:
        if op.start is not op.stop:
            return None
        start = stop = step = 1
    trips = max(0, (stop - start) // step + 1)
    inits = op.inits
    last = op.body.terminator.operands
    if trips == 0 and all(map(can_stand_for, op.results, inits)):
        return inits
    fits = all(
        _may_replace(old, new, op.body) and new not in op.body.args
        for old, new in zip(op.results, last, strict=True)
    )
    if trips == 1 and fits:
        return splice(op, op.body, [op.start, *inits])
    return None


@rule(While)
def loop_that_never_runs(op: While, b: Builder) -> Replacement:
    if constant(op.cond.terminator.operands[0]) is not False or not all(
        map(can_stand_for, op.results, op.inits)
    ):
        return None
    inits = op.inits
    splice(op, op.cond, inits)
    return inits


@rule(For)
def unchanging_carried_value(op: For, b: Builder) -> Replacement:
    return _unchanging(op, [op.body], op.body.args[1:])


@rule(ParFor)
def unchanging_carried_value_of_parfor(op: ParFor, b: Builder) -> Replacement:
    return _unchanging(op, [op.body], op.body.args[1:])


@rule(While)
def unchanging_carried_value_of_while(op: While, b: Builder) -> Replacement:
    return _unchanging(op, [op.cond, op.body], op.body.args)


def _unchanging(op: Op, regions: list[Region], args: list[Value]) -> Replacement:
    """What a loop carries without changing it is the initial value all along."""
    first = len(op.operands) - len(op.results)
    changed = False
    for i, (arg, result) in enumerate(zip(args, op.results, strict=True)):
        init, last = op.operands[first + i], op.regions[-1].terminator.operands[i]
        same = last is arg or last is init or _equal_constants(last, init)
        if not same or not can_stand_for(result, init):
            continue
        for value in (result, *(r.args[len(r.args) - len(args) + i] for r in regions)):
            if any(user.name != "core.yield" or user.parent is not op.regions[-1] for user, _ in value.uses):
                changed = True
            value.replace_by(init)
    return CHANGED if changed else None


def _equal_constants(a: Value, b: Value) -> bool:
    x = constant(a)
    return x is not None and a.type is b.type and repr(x) == repr(constant(b))


@rule(Assert)
def certain_assertion(op: Assert, b: Builder) -> Replacement:
    return [] if constant(op.condition) is True else None


@rule(RequireDefined)
def certainly_defined(op: RequireDefined, b: Builder) -> Replacement:
    return [] if constant(op.flag) is True else None


@rule(RequireFit)
def certain_fit(op: RequireFit, b: Builder) -> Replacement:
    return [] if all(map(holds, op.demands)) else None


# -- scalars ----------------------------------------------------------------------------------------------------------

_LOSSLESS: Final[dict[tuple[Type, Type], bool]] = {(i1, i64): True, (i1, f64): True}


@rule(Cast)
def cast_of_cast(op: Cast, b: Builder) -> Replacement:
    inner = op.operand.op
    if not isinstance(inner, Cast):
        return None
    source, middle, to = inner.operand.type, op.operand.type, op.results[0].type
    if _LOSSLESS.get((source, middle)) and to in (i1, i64, f64):
        return inner.operand if source is to else b(Cast, inner.operand, types=[to])
    return b(Cast, inner.operand, types=[to]) if (source, middle, to) == (i64, f64, i1) else None


@rule(Unary, "not")
def double_negation(op: Unary, b: Builder) -> Replacement:
    inner = op.operand.op
    return (
        inner.operands[0]
        if inner is not None and inner.name == "dml.not" and inner.operands[0].type is i1
        else None
    )


@rule(Unary, "not")
def negated_comparison(op: Unary, b: Builder) -> Replacement:
    """Order is only total without NaN: the opposite of `<` is `>=` for integers, of `==` always `!=`."""
    inner = op.operand.op
    if not isinstance(inner, Binary) or len(op.operand.uses) != 1:
        return None
    opposite = {"eq": "ne", "ne": "eq"}.get(inner.fn)
    if opposite is None and inner.lhs.type is i64 and inner.rhs.type is i64:
        opposite = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt"}.get(inner.fn)
    return None if opposite is None else b(Binary, opposite, inner.lhs, inner.rhs)


@rule(Binary, "and", "or")
def truth_with_constant(op: Binary, b: Builder) -> Replacement:
    if op.results[0].type is not i1:
        return None
    for one, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        known = constant(one)
        if known is None:
            continue
        if bool(known) is (op.fn == "or"):
            return b(Constant, value=op.fn == "or")
        return other if other.type is i1 else None
    return op.lhs if op.lhs is op.rhs and op.lhs.type is i1 else None


@rule(Binary, "sub", "add")
def integers_that_cancel(op: Binary, b: Builder) -> Replacement:
    """`i - i` and `(n + 1) - 1` of integers."""
    if op.results[0].type is not i64:
        return None
    if op.fn == "sub" and op.lhs is op.rhs:
        return b(Constant, value=0)
    inner, amount = op.lhs.op, constant_int(op.rhs)
    if (
        not isinstance(inner, Binary)
        or inner.fn not in ("add", "sub")
        or inner.lhs.type is not i64
        or amount is None
    ):
        return None
    other = constant_int(inner.rhs)
    if other is None or inner.rhs.type is not i64:
        return None
    total = (other if inner.fn == "add" else -other) + (amount if op.fn == "add" else -amount)
    return inner.lhs if total == 0 else None


@rule(Concat)
def concat_constants(op: Concat, b: Builder) -> Replacement:
    """`(x + "a") + "b"` is `x + "ab"`."""
    inner, last = op.lhs.op, constant(op.rhs)
    if not isinstance(inner, Concat) or not isinstance(last, str) or not isinstance(constant(inner.rhs), str):
        return None
    return b(Concat, inner.lhs, b(Constant, value=f"{constant(inner.rhs)}{last}"))


# -- cells and ranges -----------------------------------------------------------------------------------------------


@rule(AsScalar)
def scalar_of_matrix_of_scalar(op: AsScalar, b: Builder) -> Replacement:
    inner = op.operand.op
    return inner.operands[0] if isinstance(inner, AsMatrix) and inner.operands[0].type is f64 else None


@rule(AsMatrix)
def matrix_of_scalar_of_matrix(op: AsMatrix, b: Builder) -> Replacement:
    inner = op.operand.op
    source = inner.operand.type if isinstance(inner, AsScalar) else None
    return (
        inner.operands[0]
        if inner and isinstance(source, Matrix) and (source.rows, source.cols) == (1, 1)
        else None
    )


@rule(AsScalar)
def cell_of_range(op: AsScalar, b: Builder) -> Replacement:
    """`as.scalar(X[i, j])` reads one cell."""
    inner = op.operand.op
    if not isinstance(inner, Index) or not (_equal(inner.rl, inner.ru) and _equal(inner.cl, inner.cu)):
        return None
    return b(GetCell, inner.operand, inner.rl, inner.cl)


def _equal(a: Value, b: Value) -> bool:
    known = constant_int(a)
    return a is b or (known is not None and known == constant_int(b))


@rule(GetCell)
def cell_of_one(op: GetCell, b: Builder) -> Replacement:
    """The cell of a number made a matrix."""
    inner = op.operand.op
    known = constant_int(op.i) == 1 and constant_int(op.j) == 1
    return (
        inner.operands[0] if known and isinstance(inner, AsMatrix) and inner.operands[0].type is f64 else None
    )


@rule(Index)
def full_range(op: Index, b: Builder) -> Replacement:
    return op.operand if covers(op.operand.type, op.operands[1:]) else None


@rule(LeftIndex)
def full_range_assigned(op: LeftIndex, b: Builder) -> Replacement:
    if not covers(op.operand.type, op.operands[2:]):
        return None
    a, r = op.operand.type, op.rhs.type
    fits = (
        isinstance(a, Matrix)
        and isinstance(r, Matrix)
        and same_dim(a.rows, r.rows)
        and same_dim(a.cols, r.cols)
    )
    return op.rhs if fits else None


@rule(LeftIndex)
def number_assigned(op: LeftIndex, b: Builder) -> Replacement:
    """`X[i, j] = v` of a 1x1 matrix writes one cell."""
    type = op.rhs.type
    assert isinstance(type, Matrix)
    if not (_equal(op.rl, op.ru) and _equal(op.cl, op.cu)) or (type.rows, type.cols) != (1, 1):
        return None
    return b(SetCell, op.operand, b(AsScalar, op.rhs), op.rl, op.cl)


@rule(LeftIndex)
def overwritten_range(op: LeftIndex, b: Builder) -> Replacement:
    """What is overwritten before anybody reads it need not be written."""
    return _without_store_before(op)


@rule(SetCell)
def overwritten_cell(op: SetCell, b: Builder) -> Replacement:
    return _without_store_before(op)


def _without_store_before(op: LeftIndex | SetCell) -> Replacement:
    before = op.operand.op
    if not isinstance(before, (LeftIndex, SetCell)) or not op.operand.has_one_use():
        return None
    (rl, ru, cl, cu), (first_row, last_row, first_col, last_col) = _bounds(before), _bounds(op)
    type = op.operand.type
    assert isinstance(type, Matrix)
    if not (
        _spans(first_row, last_row, rl, ru, type.rows) and _spans(first_col, last_col, cl, cu, type.cols)
    ):
        return None
    op.set_operand(0, before.operand)
    return CHANGED


def _bounds(op: LeftIndex | SetCell) -> list[Value]:
    return [op.i, op.i, op.j, op.j] if isinstance(op, SetCell) else op.operands[2:]


def _spans(first: Value, last: Value, low: Value, high: Value, extent: Dim) -> bool:
    """Whether the indexes `first:last` take in all valid indexes `low:high`."""
    a, b, c, d = (constant_int(v) for v in (first, last, low, high))
    starts = first is low or a == 1 or (a is not None and c is not None and a <= c)
    ends = last is high or same_dim(size_dim(last), extent) or (b is not None and d is not None and b >= d)
    return starts and ends


def covers(type: Type, bounds: list[Value]) -> bool:
    """Whether the range `rl:ru, cl:cu` is all of a matrix."""
    assert isinstance(type, Matrix)
    return (
        constant_int(bounds[0]) == 1
        and constant_int(bounds[2]) == 1
        and same_dim(size_dim(bounds[1]), type.rows)
        and same_dim(size_dim(bounds[3]), type.cols)
        and type.rows != 0
        and type.cols != 0
    )


RULES: Final = RuleSet(one for one in list(globals().values()) if isinstance(one, Rule))
