"""What a loop hands from round to round: matrices written cell by cell, reductions, last values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from sysmlc.ir.core import Op, Value
from sysmlc.ir.core import Region as Body
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_matrix import AsScalar, CBind, GetCell, Index, LeftIndex, RBind, SetCell
from sysmlc.ir.dialects.dml_pick import RemoveEmpty
from sysmlc.ir.dialects.dml_scalar import AsMatrix
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix, i1, i64
from sysmlc.passes.loops.accesses import READS, WRITES, Region, Stuck, disjoint, meets_earlier
from sysmlc.passes.loops.affine import Affine
from sysmlc.passes.loops.branches import keeps
from sysmlc.passes.loops.lift import Count, Fixed, Kind, Lift, Many
from sysmlc.passes.loops.operations import choice, lift_op
from sysmlc.passes.loops.reductions import Reduction, reduction

_SIZES: Final = frozenset({"dml.nrow", "dml.ncol", "dml.length"})


class Carried(Protocol):
    """A carried value: `written` are the operations of a round that `after` stands for."""

    @property
    def written(self) -> set[Op]: ...

    def after(self, init: Value, lift: Lift) -> Value:
        """The value after all rounds."""


def carried(arg: Value, init: Value, last: Value, body: Body, lift: Lift) -> Carried:
    """How the rounds of `body` change `arg`, which is `init` at first, into `last`."""
    if last is arg:
        lift.kinds[arg] = Fixed(init)
        return Last(last)
    if last.op is not None and last.op.name in ("dml.rbind", "dml.cbind") and arg in last.op.operands:
        return Appended(arg, last.op)
    array = _array(arg, init, last, lift)
    if array is None:
        return reduction(arg, last, body) or Last(last)
    start = array.accumulator(lift)
    chain = None if start is None else reduction(start, array.writes[0].operands[1], body)
    if start is None or chain is None:
        array.check_writes(lift)
        return array
    return Cell(array, start, chain)


@dataclass(frozen=True)
class Last:
    """What does not depend on the rounds before."""

    value: Value

    @property
    def written(self) -> set[Op]:
        return set()

    def after(self, init: Value, lift: Lift) -> Value:
        """What a value of the body is in the last round."""
        value, b = self.value, lift.b
        kind, type = lift.kind(value), value.type
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
        return lift.whole(cell) if type is i64 else cell


@dataclass(frozen=True)
class Appended:
    """A matrix that grows by a row or a column in every round."""

    arg: Value
    append: Op

    @property
    def written(self) -> set[Op]:
        return {self.append, *([self.chosen] if self.chosen else [])}

    @property
    def chosen(self) -> Op | None:
        """What leaves the row or column out of some rounds."""
        made = [v.op for v in self.append.operands if v is not self.arg and v.has_one_use()]
        return made[0] if made and isinstance(made[0], RemoveEmpty) and self._is_single(made[0]) else None

    def _is_single(self, op: RemoveEmpty) -> bool:
        side = "rows" if self.append.name == "dml.rbind" else "cols"
        return constant(op.margin) == side and isinstance(op.select.op, AsMatrix)

    def after(self, init: Value, lift: Lift) -> Value:
        """The matrix with all that is appended."""
        b, in_rows, parts = lift.b, self.append.name == "dml.rbind", list(self.append.operands)
        b.loc = self.append.loc
        at = parts.index(self.arg)
        if len(parts) != 2 or parts[1 - at] is self.arg or len(self.arg.uses) != 1:
            raise Stuck("a round needs what the rounds before have appended")
        value, chosen = parts[1 - at], self.chosen
        if chosen is not None:
            value = chosen.operands[0]
        lift.require_equal(lift.size(value, in_rows), Affine(1))
        lift.require_equal(lift.size(value, not in_rows), lift.integers.size(init, not in_rows))
        made = lift.all_rounds(value, in_rows, down=at == 1)
        if chosen is not None:
            _, margin, select, empty = chosen.operands
            taken = lift.all_rounds(select, in_rows, down=at == 1)
            made = b(RemoveEmpty, made, lift.fixed(margin), taken, lift.fixed(empty))
        lift.stacks += 1
        return b(RBind if in_rows else CBind, [init, made] if at == 0 else [made, init])


@dataclass(frozen=True)
class Array:
    """A matrix that rounds write into, and what they write, in order."""

    init: Value
    writes: list[Op]
    regions: list[Region]
    areas: list[Region]
    """What others may see of that."""
    versions: dict[Value, int]
    """The matrix as it is after so many writes of a round."""
    kept: dict[Op, tuple[Op, Op]]
    """Writes of a choice between a value and what was there before: the choice and the read, which can wait."""

    @property
    def written(self) -> set[Op]:
        return {*self.writes, *(op for pair in self.kept.values() for op in pair)}

    def check_writes(self, lift: Lift) -> None:
        """All that the first write does may happen before anything that the second does, and so on."""
        for i, region in enumerate(self.regions):
            if not region.moves(lift.rounds):
                raise Stuck("every round writes to the same cells")
            for later in self.areas[i + 1 :]:
                if meets_earlier(self.areas[i], later, lift.taken):
                    raise Stuck("rounds write to each other's cells")

    def read(self, op: Op, lift: Lift) -> Kind:
        """What a round reads from a matrix it also writes: what it has just written, or what was there before the loop."""
        region = lift.region(op)
        lift.b.loc = op.loc
        lift.require_inside(op.operands[0], region)
        count = self.versions[op.operands[0]]
        for write, written in list(zip(self.writes, self.regions, strict=True))[:count][::-1]:
            if written == region:
                return _as(lift, self._value(write, lift), op)
            if not disjoint(written, region):
                raise Stuck("a round reads part of what it has written")
        area = lift.area(op)
        if any(meets_earlier(area, written, lift.taken) for written in self.areas):
            raise Stuck("a round reads what a round before has written")
        return _as(lift, lift.read(self.init, region, area), op)

    def _value(self, write: Op, lift: Lift) -> Kind:
        """What is in the cells after a write."""
        if write in self.kept:
            picked, before = self.kept[write]
            lift.kinds[before.results[0]] = self.read(before, lift)
            lift_op(lift, picked)
        return lift.kind(write.operands[1])

    def after(self, init: Value, lift: Lift) -> Value:
        """The matrix after the loop."""
        value = self.init
        for op, region, area in zip(self.writes, self.regions, self.areas, strict=True):
            lift.b.loc = op.loc
            rhs = op.operands[1]
            if op in self.kept:
                picked, before = self.kept[op]
                lift.kinds[before.results[0]] = lift.read(value, region, area)
                lift.kinds[rhs] = choice(lift, picked, lift.hull(region)[1])
            lift.require_inside(value, region)
            for span, rows in ((region.rows, True), (region.cols, False)):
                lift.require_equal(span.high - span.low + 1, lift.size(rhs, rows))
            made, hull = lift.written(rhs, region)
            value = lift.touches(lift.b(LeftIndex, value, made, *lift.range(hull)), hull, area)
        return value

    def accumulator(self, lift: Lift) -> Value | None:
        """For a matrix of which every round writes one and the same region: what a round reads there before."""
        if len(self.writes) != 1 or self.regions[0].moves(lift.rounds):
            return None
        reads = [op for version in self.versions for op, _ in version.uses if op.name in READS]
        same = (
            len(reads) == 1
            and self.versions[reads[0].operands[0]] == 0
            and lift.region(reads[0]) == self.regions[0]
        )
        return reads[0].results[0] if same else None


@dataclass(frozen=True)
class Cell:
    """A region of a matrix that every round reads, as `start`, and writes: a reduction in memory."""

    array: Array
    start: Value
    chain: Reduction

    @property
    def written(self) -> set[Op]:
        assert self.start.op is not None
        return {self.start.op, *self.array.written, *self.chain.written}

    def after(self, init: Value, lift: Lift) -> Value:
        """The matrix with the result of the reduction in its place."""
        region, b = self.array.regions[0], lift.b
        lift.require_inside(init, region)
        bounds = lift.range(region)
        if self.array.writes[0].name == "dml.set_cell":
            bounds = bounds[::2]
            return b(SetCell, init, self.chain.after(b(GetCell, init, *bounds), lift), *bounds)
        return b(LeftIndex, init, self.chain.after(b(Index, init, *bounds), lift), *bounds)


def _as(lift: Lift, kind: Kind, op: Op) -> Kind:
    """A single cell as the kind of value that `op` gives."""
    if isinstance(kind, Fixed) and isinstance(kind.value.type, Matrix) != isinstance(
        op.results[0].type, Matrix
    ):
        return Fixed(lift.b(AsScalar if isinstance(kind.value.type, Matrix) else AsMatrix, kind.value))
    return kind


def _array(arg: Value, init: Value, last: Value, lift: Lift) -> Array | None:
    """The carried value as a matrix that is only written and read by cells, rows and columns."""
    found, value = Array(init, [], [], [], {arg: 0}, {}), arg
    while value is not last:
        writes = [op for op, i in value.uses if i == 0 and op.name in WRITES]
        if len(writes) != 1:
            return None
        found.writes.append(writes[0])
        found.regions.append(lift.region(writes[0]))
        found.areas.append(lift.area(writes[0]))
        kept = keeps(writes[0])
        if kept is not None and lift.region(kept[1]) == found.regions[-1]:
            found.kept[writes[0]] = kept
        value = writes[0].results[0]
        found.versions[value] = len(found.writes)
    for version in found.versions:
        for op, i in version.uses:
            allowed = i == 0 and (op in found.writes or op.name in READS or op.name in _SIZES)
            if not allowed and not (version is last and op.name == "core.yield"):
                return None
    return found if found.writes else None
