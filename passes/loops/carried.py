"""What a loop hands from round to round: sums and other reductions, matrices written cell by cell, last values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.core import Region as Body
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary
from sysmlc.ir.dialects.dml_matrix import AsScalar, GetCell, Index, LeftIndex, MatMul, SetCell
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Cast
from sysmlc.ir.types import Matrix, f64, i1, i64
from sysmlc.passes.loops.accesses import Region, Stuck, disjoint, meets_earlier
from sysmlc.passes.loops.lift import Count, Fixed, Kind, Lift, Many, Product

_WRITES: Final = frozenset({"dml.left_index", "dml.set_cell"})
_READS: Final = frozenset({"dml.index", "dml.get_cell"})
_SIZES: Final = frozenset({"dml.nrow", "dml.ncol", "dml.length"})
_OVER_ROUNDS: Final = {"add": "sum", "sub": "sum", "mul": "prod", "min": "min_of", "max": "max_of"}


@dataclass
class Array:
    """A carried matrix and the operations of a round that write into it, in order."""

    init: Value
    writes: list[Op]
    regions: list[Region]
    versions: dict[Value, int]
    """The matrix as it is after so many writes of a round."""


@dataclass
class Reduction:
    """`((init fn x) fn y) …`: operations of one kind and their other operands."""

    steps: list[tuple[Op, Value]]


def array(arg: Value, init: Value, last: Value, lift: Lift) -> Array | None:
    """The carried value as a matrix that is only written and read by cells, rows and columns."""
    found, value = Array(init, [], [], {arg: 0}), arg
    while value is not last:
        writes = [op for op, i in value.uses if i == 0 and op.name in _WRITES]
        if len(writes) != 1:
            return None
        found.writes.append(writes[0])
        found.regions.append(lift.region(writes[0]))
        value = writes[0].results[0]
        found.versions[value] = len(found.writes)
    for version in found.versions:
        for op, i in version.uses:
            allowed = i == 0 and (op in found.writes or op.name in _READS or op.name in _SIZES)
            if not allowed and not (version is last and op.name == "core.yield"):
                return None
    return found if found.writes else None


def check_writes(found: Array, lift: Lift) -> None:
    """All that the first write does may happen before anything that the second does, and so on."""
    for i, region in enumerate(found.regions):
        if not region.moves(lift.rounds):
            raise Stuck("every round writes to the same cells")
        for later in found.regions[i + 1 :]:
            if meets_earlier(region, later, lift.rounds):
                raise Stuck("rounds write to each other's cells")


def read(found: Array, op: Op, lift: Lift) -> Kind:
    """What a round reads from a matrix it also writes: what it has just written, or what was there before the loop."""
    region = lift.region(op)
    lift.b.loc = op.loc
    lift.require_inside(op.operands[0], region)
    count = found.versions[op.operands[0]]
    for write, written in list(zip(found.writes, found.regions, strict=True))[:count][::-1]:
        if written == region:
            return _as(lift, lift.kind(write.operands[1]), op)
        if not disjoint(written, region):
            raise Stuck("a round reads part of what it has written")
    if any(meets_earlier(region, written, lift.rounds) for written in found.regions):
        raise Stuck("a round reads what a round before has written")
    return _as(lift, lift.read(found.init, region), op)


def _as(lift: Lift, kind: Kind, op: Op) -> Kind:
    """A single cell as the kind of value that `op` gives."""
    if isinstance(kind, Fixed) and isinstance(kind.value.type, Matrix) != isinstance(
        op.results[0].type, Matrix
    ):
        return Fixed(lift.b(AsScalar if isinstance(kind.value.type, Matrix) else AsMatrix, kind.value))
    return kind


def write_all(found: Array, lift: Lift) -> Value:
    """The matrix after the loop."""
    value = found.init
    for op, region in zip(found.writes, found.regions, strict=True):
        lift.b.loc = op.loc
        rhs = op.operands[1]
        lift.require_inside(value, region)
        for span, rows in ((region.rows, True), (region.cols, False)):
            lift.require_equal(span.high - span.low + 1, lift.size(rhs, rows))
        made, hull = lift.written(rhs, region)
        value = lift.b(LeftIndex, value, made, *lift.range(hull))
    return value


# -- reductions -------------------------------------------------------------------------------------------------------


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


def reduced(found: Reduction, init: Value, lift: Lift) -> Value:
    """The value of a reduction after all rounds."""
    value = init
    for op, other in found.steps:
        lift.b.loc = op.loc
        if isinstance(value.type, Matrix) and isinstance(other.type, Matrix):
            for rows in (True, False):
                lift.require_equal(lift.integers.size(init, rows), lift.size(other, rows))
        value = lift.b(Binary, op.fn, value, _over_rounds(op.fn, other, value, lift))
    return value


def _over_rounds(fn: str, other: Value, value: Value, lift: Lift) -> Value:
    """What `fn` makes of an operand over all rounds."""
    kind, b = lift.kind(other), lift.b
    if isinstance(kind, Fixed):
        if fn in ("min", "max"):
            return kind.value
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
    if value.type is i64:
        raise Stuck("an integer that is added up")
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


# -- last values ------------------------------------------------------------------------------------------------------


def last_value(value: Value, lift: Lift) -> Value:
    """What a value of the body is in the last round."""
    kind, b, type = lift.kind(value), lift.b, value.type
    if isinstance(kind, Fixed):
        return kind.value
    if isinstance(kind, Count):
        return lift.number(kind.form.put(lift.rounds.counter, lift.rounds.last))
    if not isinstance(kind, Many):
        raise Stuck("the last of many products")
    one, last = b(Constant, value=1), lift.trips()
    if isinstance(type, Matrix):
        rows, cols = (lift.number(lift.size(value, r)) for r in (True, False))
        bounds = (last, last, one, cols) if kind.in_rows else (one, rows, last, last)
        return b(Index, kind.value, *bounds)
    cell = b(GetCell, kind.value, *((last, one) if kind.in_rows else (one, last)))
    if type is i1:
        return b(Binary, "ne", cell, b(Constant, value=0.0))
    return b(Cast, cell, types=[i64]) if type is i64 else cell


def accumulator(found: Array, lift: Lift) -> Value | None:
    """For a matrix of which every round writes one and the same region: what a round reads there before."""
    if len(found.writes) != 1 or found.regions[0].moves(lift.rounds):
        return None
    reads = [op for version in found.versions for op, _ in version.uses if op.name in _READS]
    same = (
        len(reads) == 1
        and found.versions[reads[0].operands[0]] == 0
        and lift.region(reads[0]) == found.regions[0]
    )
    return reads[0].results[0] if same else None


def close_cell(found: Array, chain: Reduction, lift: Lift) -> Value:
    """The matrix with the result of a reduction where every round reads and writes."""
    region, cell = found.regions[0], found.writes[0].name == "dml.set_cell"
    lift.require_inside(found.init, region)
    bounds = lift.range(region)
    if cell:
        total = reduced(chain, lift.b(GetCell, found.init, *bounds[::2]), lift)
        return lift.b(SetCell, found.init, total, *bounds[::2])
    return lift.b(LeftIndex, found.init, reduced(chain, lift.b(Index, found.init, *bounds), lift), *bounds)
