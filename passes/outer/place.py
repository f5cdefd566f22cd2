"""Where products stand of which few cells are needed: beside the sparse matrix that tells which, for then they are never formed."""

from __future__ import annotations

from sysmlc.ir.core import Op, Region, clone
from sysmlc.ir.dialects.dml_cell import Binary, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.passes.outer.needed import is_masked
from sysmlc.passes.outer.zeros import is_grid
from sysmlc.passes.sparsity import Expectations


def put_back(region: Region, moved: list[Op]) -> None:
    """Products that left a loop, and what is made of their cells, go back where the body needs few cells of them."""
    if not any(isinstance(op, MatMul) for op in moved):
        return
    expected = Expectations()
    for op in reversed(moved):
        users = set(_users(op))
        first = next((user for user in region if user in users), None)
        if (
            first is not None
            and all(u.parent is region for u in users)
            and is_masked(op.results[0], expected)
        ):
            region.insert_before(first, op.detach())


def into_branches(region: Region) -> int:
    """Products go into the branches of an `if` that need few cells of them, where nothing else needs them. Tells how many do.

    Checks that their operands fit stand by themselves, and stay.
    """
    found = 0
    if not any(op.name == "scf.if" for op in region):
        return found
    for op in region.reversed():
        users = _users(op)
        if not users or users[0].parent is region:
            continue
        around = {_ancestor(user, region) for user in users}
        branch = around.pop() if len(around) == 1 else None
        if branch is None or branch.name != "scf.if" or branch in users:
            continue
        if is_masked(op.results[0], Expectations()):
            for inner in branch.regions:
                _move_uses(op, inner)
            op.erase()
            found += 1
    return found


def _move_uses(op: Op, region: Region) -> None:
    """Give what is in a region an operation of its own there."""
    first = region.first
    own = [(user, i) for user, i in op.results[0].uses if _ancestor(user, region) is not None]
    if first is not None and own:
        made = region.insert_before(first, clone(op, {}))
        for user, i in own:
            user.set_operand(i, made.results[0])


def _ancestor(op: Op, region: Region) -> Op | None:
    """The operation of a region that an operation is, or is in."""
    at: Op | None = op
    while at is not None and at.parent is not region:
        at = at.parent_op
    return at


def _users(op: Op) -> list[Op]:
    """The users of a product or of what is made of its cells."""
    if isinstance(op, (MatMul, Transpose, Unary, Binary)) and is_grid(op.result):
        return op.result.users()
    return []
