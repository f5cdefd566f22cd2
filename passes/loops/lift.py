"""Operations on the values of all rounds at once.

What differs from round to round is stacked: `Many` has round t in row t (or column t), so a round's scalar becomes a vector and
its row a matrix. A sum over rounds of column times row is a `Product` of the two stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Outer
from sysmlc.ir.dialects.dml_create import Fill, Seq
from sysmlc.ir.dialects.dml_matrix import AsScalar, Index, NCol, NRow, Rev, Transpose
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.types import Matrix, f64, i64
from sysmlc.passes.loops.accesses import READS, WRITES, Region, Rounds, Span, Stuck
from sysmlc.passes.loops.affine import Affine, Integers, at_most


@dataclass(frozen=True)
class Fixed:
    """The same in every round."""

    value: Value


@dataclass(frozen=True)
class Many:
    """The values of all rounds, one in each row (or column) of a matrix."""

    value: Value
    in_rows: bool


@dataclass(frozen=True)
class Count:
    """An integer that follows the counter."""

    form: Affine


@dataclass(frozen=True)
class Product:
    """The product of a column (in the columns of `left`) and a row (in the rows of `right`)."""

    left: Value
    right: Value


Kind = Fixed | Many | Count | Product


class Lift:
    """Writes the operations of a loop's body for all rounds; `kinds` holds what has become of its values."""

    def __init__(
        self,
        rounds: Rounds,
        taken: Rounds,
        integers: Integers,
        areas: dict[Op, Region],
        local: set[Value],
        is_outside: Callable[[Value], bool],
        b: Builder,
        nested: bool,
        strict_fp: bool,
    ) -> None:
        self.rounds = rounds
        self.taken = taken
        """The rounds of the loop itself: some may be added that do nothing, so that it has as many whenever it is run."""
        self.integers = integers
        self.areas = areas
        """What operations made for all rounds really touch, where their operands say more."""
        self.local = local
        self.is_outside = is_outside
        self.nested = nested
        self.strict_fp = strict_fp
        self.b = b
        self.preferred: bool | None = None
        """Whether numbers of rounds go in rows, as what is made of them will: a vector is turned sooner than a matrix."""
        self.kinds: dict[Value, Kind] = {rounds.counter: Count(Affine(0, {rounds.counter: 1}))}
        self.conditions: list[tuple[Affine, Affine]] = []
        """What must hold (first at most second) for the loop to do what is written here without an error."""
        self.optional: set[Op] = set()
        """Readings of cells that not every round does: whether the cells are there is asked, even where they are the same."""
        self.stacks = 0
        """How many matrices are read or written all rounds at once."""

    # -- facts ----------------------------------------------------------------------------------------------------

    def require(self, small: Affine, large: Affine) -> None:
        """Demand order, in every round."""
        least = self.rounds.bounds(large - small)[0]
        holds = at_most(Affine(), least)
        if holds is False:
            raise Stuck("a round is certain to fail")
        if holds is None:
            self.conditions.append((Affine(), least))

    def require_equal(self, a: Affine, b: Affine) -> None:
        if a != b:
            self.require(a, b)
            self.require(b, a)

    def size(self, value: Value, rows: bool) -> Affine:
        """The rows or columns of what a value of the body is in one round; 1 for scalars."""
        return self.integers.size(value, rows) if isinstance(value.type, Matrix) else Affine(1)

    def is_unit(self, value: Value) -> bool:
        """Whether a value is one number in each round."""
        return self.size(value, True) == self.size(value, False) == Affine(1)

    def kind(self, value: Value) -> Kind:
        kind = self.kinds.get(value)
        if kind is None and value in self.local:
            raise Stuck("a round needs what the round before has left")
        return kind or Fixed(value)

    def fixed(self, value: Value) -> Value:
        """What a value is that must not differ between rounds."""
        kind = self.kind(value)
        if not isinstance(kind, Fixed):
            raise Stuck("an operand that must be the same in every round is not")
        return kind.value

    # -- making values --------------------------------------------------------------------------------------------

    def number(self, form: Affine) -> Value:
        """An integer of the loop as a value."""
        made = self.integers.emit(form, self.b, lambda v: v.region is self.b.region or self.is_outside(v))
        if made is None:
            raise Stuck("a bound is only known inside the loop")
        return made

    def trips(self) -> Value:
        return self.number(self.rounds.count)

    def whole(self, value: Value) -> Value:
        """A number that is an integer as one; the cells of a matrix stand for it, when it is one for each round of a loop."""
        self.integers.whole.add(value)
        return self.b(Cast, value, types=[i64])

    def many(self, kind: Kind, in_rows: bool, unit: bool) -> Many:
        """A value of one round as a stack in the wanted direction."""
        if isinstance(kind, Count):
            ends = [
                self.b(Cast, self.number(kind.form.put(self.rounds.counter, end)), types=[f64])
                for end in (self.rounds.first, self.rounds.last)
            ]
            step = kind.form.factor(self.rounds.counter) * self.rounds.step
            kind = Many(self.b(Seq, *ends, self.b(Constant, value=float(step))), True)
            self.integers.counted[kind.value] = self.rounds.count
        if isinstance(kind, Fixed) and unit:
            filler = kind.value
            if isinstance(filler.type, Matrix):
                filler = self.b(AsScalar, filler)
            elif filler.type is not f64:
                filler = self.b(Cast, filler, types=[f64])
            one = self.b(Constant, value=1)
            sizes = (self.trips(), one) if in_rows else (one, self.trips())
            return Many(self.b(Fill, filler, *sizes), in_rows)
        if not isinstance(kind, Many) or (kind.in_rows != in_rows and not unit):
            raise Stuck("rows and columns of rounds are mixed")
        return kind if kind.in_rows == in_rows else Many(self.b(Transpose, kind.value), in_rows)

    def ones(self, rows: Value, cols: Value) -> Value:
        return self.b(Fill, self.b(Constant, value=1.0), rows, cols)

    def spread(self, value: Value, is_column: bool, like: Value) -> Value:
        """A row or column vector as a matrix of the shape of `like`."""
        one = self.b(Constant, value=1)
        if is_column:
            return self.b(Outer, value, self.ones(one, self.b(NCol, like)), op="mul")
        return self.b(Outer, self.ones(self.b(NRow, like), one), value, op="mul")

    def stacked(self, value: Value) -> Many:
        """A value of the body as it is stacked already."""
        kind = self.kind(value)
        return kind if isinstance(kind, Many) else self.many(kind, True, self.is_unit(value))

    def direction(self, values: list[Value]) -> bool:
        """Whether the rounds of some values go in rows together."""
        wanted: set[bool] = set()
        unit: list[bool] = []
        for value in values:
            kind = self.kind(value)
            if isinstance(kind, Many):
                (unit.append if self.is_unit(value) else wanted.add)(kind.in_rows)
            elif isinstance(kind, Fixed) and not self.is_unit(value):
                if self.size(value, True) != Affine(1) and self.size(value, False) != Affine(1):
                    raise Stuck("a whole matrix with every round")
                wanted.add(self.size(value, True) == Affine(1))
        if len(wanted) > 1:
            raise Stuck("rows and columns in one operation")
        if wanted:
            return wanted.pop()
        return all(unit or [True]) if self.preferred is None else self.preferred

    def operand(self, value: Value, in_rows: bool) -> tuple[Value, int]:
        """An operand for all rounds, and whether it is a number (0), one per round (1), one vector (2), or all cells (3)."""
        kind, unit = self.kind(value), self.is_unit(value)
        if isinstance(kind, Fixed):
            if unit:
                return (self.b(AsScalar, kind.value) if isinstance(value.type, Matrix) else kind.value), 0
            return kind.value, 2
        return self.many(kind, in_rows, unit).value, 1 if unit else 3

    # -- cells ----------------------------------------------------------------------------------------------------

    def region(self, op: Op) -> Region:
        """The cells that an indexing operation reads or writes."""
        bounds = op.operands[2 if op.name in WRITES else 1 :]
        forms = [self.integers.of(v) for v in bounds]
        for atom in {a for form in forms for a in form.terms}:
            if isinstance(atom, Value) and atom is not self.rounds.counter and not self.is_outside(atom):
                raise Stuck("an index is no simple function of the counter")
        if len(forms) == 2:
            forms = [forms[0], forms[0], forms[1], forms[1]]
        return Region(Span(forms[0], forms[1]), Span(forms[2], forms[3]))

    def go_along_rows(self, ops: Iterable[Op]) -> bool | None:
        """Whether the first of the operations that index by the counter goes along rows; None where none does."""
        for op in ops:
            try:
                region = self.region(op) if op.name in WRITES | READS else None
                if region is not None and region.moves(self.rounds):
                    return self.hull(region)[1]
            except Stuck:  # perhaps the same in every round
                continue
        return None

    def area(self, op: Op) -> Region:
        """The cells that an indexing operation reads or writes for others to see."""
        return self.areas.get(op) or self.region(op)

    def touches(self, made: Value, region: Region, area: Region) -> Value:
        """Take down what an operation touches in the rounds that are taken, where that is not all of `region`."""
        area = area.hull(self.taken)
        if area != region:
            assert made.op is not None
            self.areas[made.op] = area
        return made

    def require_inside(self, matrix: Value, region: Region) -> None:
        for span, rows in ((region.rows, True), (region.cols, False)):
            self.require(Affine(1), span.low)
            self.require(span.low, span.high)
            self.require(span.high, self.size(matrix, rows))

    def read(self, matrix: Value, region: Region, area: Region) -> Kind:
        """The cells `region` of a matrix of the body, of which `area` is wanted."""
        self.require_inside(matrix, region)
        kind = self.kind(matrix)
        if isinstance(kind, Many):
            if any(s.direction(self.rounds) for s in region.spans):
                raise Stuck("part of a round's value that depends on the counter")
            every = Span(Affine(1), self.rounds.count)
            picked = Region(every, region.cols) if kind.in_rows else Region(region.rows, every)
            return Many(self.b(Index, kind.value, *self.range(picked)), kind.in_rows)
        if not isinstance(kind, Fixed):
            raise Stuck("part of a product")
        if not region.moves(self.rounds):
            made = self.b(Index, kind.value, *self.range(region))
            return Fixed(self.touches(made, region, area))
        hull, in_rows, down = self.hull(region)
        self.stacks += 1
        found = self.touches(self.b(Index, kind.value, *self.range(hull)), hull, area)
        return Many(self.reversed(found, in_rows) if down else found, in_rows)

    def hull(self, region: Region) -> tuple[Region, bool, bool]:
        """What all rounds touch, whether rounds go along rows, and whether they go down."""
        rows, cols = (s.direction(self.rounds) for s in region.spans)
        if rows and cols:
            raise Stuck("rounds go along a diagonal")
        return region.hull(self.rounds), rows != 0, rows + cols < 0

    def range(self, region: Region) -> list[Value]:
        return [self.number(form) for span in region.spans for form in (span.low, span.high)]

    def reversed(self, value: Value, rows: bool) -> Value:
        """With its rows or columns in reverse order."""
        if rows:
            return self.b(Rev, value)
        return self.b(Transpose, self.b(Rev, self.b(Transpose, value)))

    def written(self, value: Value, region: Region) -> tuple[Value, Region]:
        """What all rounds together write where: a round writes `value` to `region`."""
        hull, in_rows, down = self.hull(region)
        self.stacks += 1
        return self.all_rounds(value, in_rows, down), hull

    def all_rounds(self, value: Value, in_rows: bool, down: bool = False) -> Value:
        """The rows or columns that all rounds make, one below or beside the other; `down`: the last round first."""
        kind, unit = self.kind(value), self.is_unit(value)
        if isinstance(kind, Fixed) and not unit:
            return self.repeated(kind.value, in_rows)
        made = self.many(kind, in_rows, unit).value
        return self.reversed(made, in_rows) if down else made

    def repeated(self, vector: Value, in_rows: bool) -> Value:
        one = self.b(Constant, value=1)
        if in_rows:
            return self.b(Outer, self.ones(self.trips(), one), vector, op="mul")
        return self.b(Outer, vector, self.ones(one, self.trips()), op="mul")
