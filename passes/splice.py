"""Putting the operations of a region in the place of the operation that holds it."""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Yield
from sysmlc.ir.types import compatible, meet, refines


def splice(op: Op, region: Region, arguments: Sequence[Value] = ()) -> list[Value]:
    """Move what `region` does before `op`, with `arguments` for its arguments; gives what it yields. `op` stays."""
    assert op.parent is not None
    for arg, value in zip(region.args, arguments, strict=True):
        arg.replace_by(value)
    for inner in region:
        if inner is not region.last:
            op.parent.insert_before(op, inner.detach())
    return list(region.terminator.operands)


def keep_in(loop: Op, choice: Op, kept: Region) -> None:
    """Move a loop to the end of a branch of a choice that gives its results."""
    for old, result in zip(loop.results, choice.results, strict=True):
        result.name = old.name
        old.replace_by(result)
    kept.append(loop.detach())
    Builder(kept, loc=loop.loc).op(Yield, loop.results)


def can_stand_for(old: Value, new: Value) -> bool:
    """Whether `new` may replace `old`: it has its facts already, or can take them on because it is computed beside it."""
    return refines(new.type, old.type) or (new.region is old.region and compatible(new.type, old.type))


def take_place(op: Op, values: Sequence[Value]) -> None:
    """Replace the results of `op`, all of which `can_stand_for` it, and erase it."""
    for old, new in zip(op.results, values, strict=True):
        if not refines(new.type, old.type):
            new.type = meet(new.type, old.type)
    op.replace_by(values)
