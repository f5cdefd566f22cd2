"""Loops are taken apart where a branch asks how far they are, so that every part knows the answer.

for (i in 1:n) if (i > 1) R[i, ] = X[i, ] - X[i - 1, ]    →    for (i in 2:n) R[i, ] = X[i, ] - X[i - 1, ]
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Op, Region, Value, clone_region
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.scf import For, If
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.rewrite import rewrite
from sysmlc.ir.types import Matrix, i64
from sysmlc.passes.canonicalize import RULES
from sysmlc.passes.splice import can_stand_for

_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}
_AT_AN_END = {("eq", True): "le", ("ne", True): "gt", ("eq", False): "ge", ("ne", False): "lt"}
"""What it means to be at the first round (else the last)."""
_DECIDE = frozenset({"scf.if", "dml.and", "dml.or", "dml.not"})


def divide(loop: Op) -> If | None:
    """A choice whose first branch does what `loop` does where it counts up, in two loops; the second one is not filled in."""
    for test in loop.regions[0]:
        found = _comparison(loop, test)
        if found is not None:
            return _parts(loop, test, *found)
    return None


def asks_how_far(loop: Op) -> bool:
    """Whether a branch depends on how far a loop is, so that it can be taken apart."""
    return any(_comparison(loop, test) is not None for test in loop.regions[0])


def _comparison(loop: Op, test: Op) -> tuple[str, Value] | None:
    """How a branch compares the counter, and with what."""
    counter = loop.regions[0].args[0]
    if loop.name != "scf.for" or not (constant_int(loop.operands[2]) == 1 or counts_towards_its_end(loop)):
        return None
    if not isinstance(test, Binary) or test.fn not in _MIRRORED or counter not in test.operands:
        return None
    left, right = test.operands
    fn, bound = (test.fn, right) if left is counter else (_MIRRORED[test.fn], left)
    inside = bound.region is loop.regions[0] and constant(bound) is None
    if bound.type is not i64 or inside or not all(u.name in _DECIDE for u, _ in test.results[0].uses):
        return None
    for first, end in ((True, loop.operands[0]), (False, loop.operands[1])):
        if (fn, first) in _AT_AN_END and same(bound, end):
            return _AT_AN_END[fn, first], end
    return None if fn in ("eq", "ne") else (fn, bound)


def _parts(loop: Op, test: Op, fn: str, bound: Value) -> If:
    start, stop, step = loop.operands[:3]
    before = Builder.before(loop)
    known = constant_int(step) is not None
    rising = before(Constant, value=True) if known else before(Binary, "le", start, stop)
    region = Region()
    b = Builder(region, loc=loop.loc)
    one = b(Constant, value=1)
    if constant(bound) is not None:  # a constant of the body
        bound = b(Constant, value=constant_int(bound))
    if fn in ("le", "gt"):
        last = b(Binary, "min", stop, bound)
        first = b(Binary, "max", start, b(Binary, "add", last, one))
    else:
        first = b(Binary, "max", start, bound)
        last = b(Binary, "min", stop, b(Binary, "sub", first, one))
    values = list(loop.operands[3:])
    for low, high, holds in ((start, last, fn in ("le", "lt")), (first, stop, fn in ("ge", "gt"))):
        mapping: dict[Value, Value] = {}
        body = clone_region(loop.regions[0], mapping)
        answer = Builder(body, body.first, test.loc)(Constant, value=holds)
        mapping[test.results[0]].replace_by(answer)
        values = b.op(
            For, low, high, one, values, types=[r.type for r in loop.results], regions=[body]
        ).results
    b.op(Yield, values)
    choice = before.op(If, rising, types=[r.type for r in loop.results], regions=[region, Region()])
    assert isinstance(choice, If)
    rewrite(choice, RULES)
    return choice


def does_nothing(loop: Op) -> bool:
    """Whether a part has no rounds, or they hand on what they get."""
    body, inits = loop.regions[0], loop.operands[3:]
    first, last, step = map(constant_int, loop.operands[:3])
    none = step == 1 and first is not None and last is not None and first > last  # else it counts down
    same_values = all(v is arg for v, arg in zip(body.terminator.operands, body.args[1:], strict=True))
    idle = same_values and all("pure" in op.traits or op is body.last for op in body)
    return (none or idle) and all(map(can_stand_for, loop.results, inits))


def counts_towards_its_end(loop: Op) -> bool:
    """Whether the step is 1, or -1 where the start is greater than the end."""
    start, stop, step = loop.operands[:3]
    op = step.op
    if op is None or op.name != "dml.ifelse" or [constant(v) for v in op.operands[1:]] != [-1, 1]:
        return False
    test = op.operands[0].op
    return (
        test is not None
        and test.name == "dml.gt"
        and same(test.operands[0], start)
        and same(test.operands[1], stop)
    )


def only_numbers(loop: Op) -> bool:
    """Whether all that a loop does with matrices is to read and write cells."""
    return all(
        op.name in ("dml.get_cell", "dml.set_cell", "scf.if", "scf.for", "core.yield")
        or not any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results))
        for region in loop.regions
        for op in region.walk()
    )


def same(a: Value, b: Value) -> bool:
    """Whether two values are one, or the same integer."""
    return a is b or (a.type is b.type is i64 and constant(a) is not None and constant(a) == constant(b))
