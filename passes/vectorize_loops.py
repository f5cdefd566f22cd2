"""Loops over cells, rows and columns become operations on whole matrices.

    for (i in 1:nrow(X)) R[i, ] = X[i, ] * w        →   R = X * w
    for (i in 1:n) s = s + sum(X[i, ] * Y[i, ])     →   s = s + sum(rowSums(X * Y))

A nest is taken apart from the inside. Rounds may depend on each other through sums, products, extremes and races for the best
round, and through matrices that grow by a row or a column, only; what a round reads from a matrix that the loop writes must be
its own, or not yet written. What is not certain to run without an
error (empty ranges that count down, indexes beyond a matrix, sizes that differ) is asked at run time, and the loop is kept
for it: errors and what happens before them stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sysmlc.ir.core import Builder, Op, Region, Value, clone_region
from sysmlc.ir.dialects.core import Constant, Module, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_fit import RequireFit, compared
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import meet, refines
from sysmlc.passes.loops.accesses import Region as Area
from sysmlc.passes.loops.accesses import Rounds, Stuck
from sysmlc.passes.loops.affine import Affine, Integers, at_most
from sysmlc.passes.loops.branches import choose, make_choices
from sysmlc.passes.loops.carried import Array, Carried, carried
from sysmlc.passes.loops.lift import Fixed, Lift
from sysmlc.passes.loops.operations import lift_op
from sysmlc.passes.loops.parts import (
    asks_how_far,
    counts_towards_its_end,
    divide,
    does_nothing,
    only_numbers,
)
from sysmlc.passes.loops.winners import winners
from sysmlc.passes.splice import keep_in, take_place

MOST_STEPS = 8
"""A loop that counts by more leaves too much out to do it all."""
FEW_ROUNDS = 64
"""Numbers that are computed in fewer rounds, again and again, are not worth operations on matrices."""
WHOLE = 2**52
"""Integers up to here neither overflow nor are rounded as cells of matrices."""
MOST_CUTS = 2
"""How often a loop is taken apart."""
_COUNTING = frozenset({"scf.for", "scf.parfor"})


@register_pass
@dataclass(frozen=True)
class VectorizeLoops(Pass):
    """Turn loops over cells, rows and columns into matrix operations."""

    name = "vectorize-loops"
    strict_fp: bool = False
    """Sums and products over rounds stay as they are written."""

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                self._region(region)

    def _region(self, region: Region) -> None:
        for op in region:
            if op.name in _COUNTING and self._goes(op, MOST_CUTS):
                continue
            for nested in op.regions:
                self._region(nested)

    def _goes(self, loop: Op, cuts: int) -> bool:
        """What is certain to run as a whole is not taken apart; what is not rather is."""
        if cuts == 0 or not asks_how_far(loop):
            return self._loop(loop)
        return self._loop(loop, certain=True) or self._divided(loop, cuts) or self._loop(loop)

    def _loop(self, loop: Op, certain: bool = False) -> bool:
        """From the outside in: a nest that cannot go as a whole may have loops inside that can."""
        made = Region()
        b = Builder(made, loc=loop.loc)
        nest = _Nest(loop, [], Integers(), {}, b, _around(loop), self.strict_fp)
        try:
            values = nest.values()
            if not nest.lift.stacks:
                raise Stuck("no matrix is read or written round by round")
            if _is_in_a_loop(loop) and only_numbers(loop):
                nest.lift.require(Affine(FEW_ROUNDS), nest.lift.rounds.count.times(nest.rounds_inside))
            if certain and nest.lift.conditions:
                raise Stuck("a part of it may be more certain to run")
            guard = _guard(nest, Builder.before(loop))
        except (Stuck, Diagnostic) as why:  # a diagnostic: what is certain to fail is left to fail
            self.count(f"loops kept: {why if isinstance(why, Stuck) else 'a round is certain to fail'}")
            for op in made:
                op.drop_uses()
            return False
        finally:
            nest.forget()
        _replace(loop, made, values, guard)
        self.count("loops vectorised")
        return True

    def _divided(self, loop: Op, cuts: int) -> bool:
        """Take a loop apart where its branches ask for the counter; only worth it when all parts can go."""
        choice = divide(loop)
        if choice is None:
            return False
        parts = [op for op in choice.then if op.name == "scf.for"]
        for part in parts:
            if does_nothing(part):
                part.replace_by(part.operands[3:])
            elif not self._goes(part, cuts - 1):
                choice.erase()
                return False
        keep_in(loop, choice, choice.orelse)
        self.count("loops taken apart")
        return True


def _guard(nest: _Nest, b: Builder) -> Value | None:
    """Whether the rounds are certain to run without an error."""
    holds: Value | None = None
    asked: list[Affine] = []
    for small, large in nest.lift.conditions:
        gap = large - small
        if gap in asked:
            continue
        asked.append(gap)
        # What is subtracted goes to the other side, so that nothing can overflow.
        sides = [
            Affine(0, {a: abs(k) for a, k in gap.terms.items() if (k > 0) == more}) for more in (False, True)
        ]
        less, more = (
            nest.integers.emit(side, b, nest.is_outside)
            for side in (sides[0] + max(-gap.const, 0), sides[1] + max(gap.const, 0))
        )
        if less is None or more is None:
            raise Stuck("a bound is only known inside the loop")
        test = b(Binary, "le", less, more)
        holds = test if holds is None else b(Binary, "and", holds, test)
    return holds


def _replace(loop: Op, made: Region, values: list[Value], guard: Value | None) -> None:
    at = loop.parent
    assert at is not None
    if guard is None:
        for op in made:
            at.insert_before(loop, op.detach())
        take_place(loop, values)
        return
    for old, new in zip(loop.results, values, strict=True):
        if not refines(new.type, old.type):
            new.type = meet(new.type, old.type)
    Builder(made, loc=loop.loc).op(Yield, values)
    kept = Region()
    choice = Builder.before(loop).op(If, guard, types=[r.type for r in loop.results], regions=[made, kept])
    keep_in(loop, choice, kept)


class _Nest:
    """One loop and all in it, written for all rounds at once by `b`."""

    def __init__(
        self,
        loop: Op,
        enclosing: list[Rounds],
        integers: Integers,
        areas: dict[Op, Area],
        b: Builder,
        around: set[Region],
        strict_fp: bool,
    ) -> None:
        self.loop, self.enclosing, self.integers, self.areas = loop, enclosing, integers, areas
        self.b, self.around, self.strict_fp = b, around, strict_fp
        self.rounds_inside = 1
        """At least how many rounds the loops inside have in each round, together."""
        self.body = clone_region(loop.regions[0], {})
        """A copy to take apart; the loop itself stays as it is."""

    def forget(self) -> None:
        for op in self.body:
            op.drop_uses()

    def is_outside(self, value: Value) -> bool:
        """Whether a value can be seen where the loop is."""
        return value.region in self.around

    def values(self) -> list[Value]:
        """What the loop's results are. Fails with `Stuck`."""
        body, loop = self.body, self.loop
        taken, order, step = self._rounds()
        rounds = self._widened(taken)
        assert loop.parent is not None
        nested = loop.parent.parent is None  # in the copy of the body of another loop
        self.lift = lift = Lift(
            rounds,
            taken,
            self.integers,
            self.areas,
            set(body.args),
            self.is_outside,
            self.b,
            nested,
            self.strict_fp,
        )
        inner: list[tuple[Affine, Affine]] = []
        for op in body:
            if op.name in _COUNTING:
                inner += self._inner(op)
            elif op.name == "scf.if":
                make_choices(op, self._may_count, lift.optional)
            elif isinstance(op, RequireFit):
                self._fits(op)
            elif op.regions or ("pure" not in op.traits and "terminator" not in op.traits):
                raise Stuck(f"{op.name} in the loop")
        if abs(step) > 1:
            self._choose_rounds(abs(step))
        if rounds is not taken:
            self._choose_inside(rounds, taken)
        for op in body.reversed():  # loops inside may have left operands behind that nobody needs
            if "pure" in op.traits and not any(r.uses for r in op.results):
                op.erase()
        lift.local.update(r for op in body for r in op.results)
        if order is not None:
            lift.conditions.append(order)
        for small, large in inner:
            lift.require(small, large)
        return self._carried(loop.operands[3:], body.terminator.operands)

    def _rounds(self) -> tuple[Rounds, tuple[Affine, Affine] | None, int]:
        """How the loop counts, what must hold for that (first at most second), and its step."""
        start, stop, step = self.loop.operands[:3]
        first, last = self.integers.of(start), self.integers.of(stop)
        known = constant_int(step)
        if known is None and counts_towards_its_end(self.loop):
            known = self._direction(first, last)
        if known is None or not 0 < abs(known) <= MOST_STEPS:
            raise Stuck("the step is not known, or large")
        order = (first, last) if known > 0 else (last, first)
        holds = at_most(*order)
        if holds is False:
            raise Stuck("there are no rounds")
        if abs(known) > 1:
            last = self._last(start, stop, known)
        return Rounds(self.body.args[0], first, last, 1 if known > 0 else -1), None if holds else order, known

    def _direction(self, first: Affine, last: Affine) -> int:
        """Which way a loop counts that counts towards its end, most likely: that it does is asked for."""
        least, most = self._over_enclosing(last - first, last - first)
        for outer in _counting_around(self.loop):
            start, stop = (self.integers.of(v) for v in outer.operands[:2])
            rounds = Rounds(outer.regions[0].args[0], start, stop, 1)
            least, most = rounds.bounds(least)[0], rounds.bounds(most)[1]
        if at_most(Affine(), least):
            return 1
        # `nrow(X):1` goes down
        down = at_most(most, Affine()) or (last.known() is not None and first.known() is None)
        return -1 if down else 1

    def _over_enclosing(self, least: Affine, most: Affine) -> tuple[Affine, Affine]:
        """The bounds of what is between two forms, whatever the rounds of the loops around this one."""
        for outer in reversed(self.enclosing):
            least, most = outer.bounds(least)[0], outer.bounds(most)[1]
        return least, most

    def _last(self, start: Value, stop: Value, step: int) -> Affine:
        """The counter in the last round of a loop that does not count by one."""
        first, end = self.integers.of(start).known(), self.integers.of(stop).known()
        if first is not None and end is not None:
            return Affine(first + (end - first) // step * step)
        b = Builder.before(self.loop)
        size = b(Constant, value=step)
        rounds = b(Binary, "intdiv", b(Binary, "sub", stop, start), size)
        return self.integers.of(b(Binary, "add", start, b(Binary, "mul", rounds, size)))

    def _choose_rounds(self, step: int) -> None:
        """Count by one after all, and change things only in the rounds of the loop."""
        end = self.body.terminator
        b = Builder.before(end)
        distance = b(Binary, "sub", self.body.args[0], self.loop.operands[0])
        taken = b(Binary, "eq", b(Binary, "mod", distance, b(Constant, value=step)), b(Constant, value=0))
        # What does not depend on the round before is that of the last round, which is taken.
        values = zip(self.body.args[1:], list(end.operands), strict=True)
        end.set_operands([choose(b, taken, value, arg) if arg.uses else value for arg, value in values])

    def _widened(self, rounds: Rounds) -> Rounds:
        """With those that are added where loops around this one decide how many there are: all that any of them asks for."""
        least, most = self._over_enclosing(rounds.least, rounds.most)
        if (least, most) == (rounds.least, rounds.most):
            return rounds
        first, last = (least, most) if rounds.step > 0 else (most, least)
        return Rounds(rounds.counter, first, last, rounds.step)

    def _choose_inside(self, rounds: Rounds, taken: Rounds) -> None:
        """Change things only in the rounds of the loop."""
        end, start, stop = self.body.terminator, *self.loop.operands[:2]
        b = Builder.before(end)
        tests = [
            b(Binary, "ge" if up else "le", self.body.args[0], bound)
            for bound, up, moves in (
                (start, taken.step > 0, rounds.first != taken.first),
                (stop, taken.step < 0, rounds.last != taken.last),
            )
            if moves
        ]
        inside = tests[0] if len(tests) == 1 else b(Binary, "and", *tests)
        values = zip(self.body.args[1:], list(end.operands), strict=True)
        end.set_operands([choose(b, inside, value, arg) for arg, value in values])

    def _may_count(self, value: Value) -> bool:
        """Whether an integer in a branch is made of counters and sizes: that it is not too large is asked for."""
        form = self.integers.of(value)
        if value in form.terms:
            return False
        for small, large in ((Affine(-WHOLE), form), (form, Affine(WHOLE))):
            self.lift.require(small, large)
        return True

    def _inner(self, loop: Op) -> list[tuple[Affine, Affine]]:
        """Write a loop inside this one for all of its rounds; gives what that needs."""
        around, enclosing = {*self.around, self.body}, [*self.enclosing, self.lift.taken]
        nest = _Nest(loop, enclosing, self.integers, self.areas, Builder.before(loop), around, self.strict_fp)
        try:
            values = nest.values()
        finally:
            nest.forget()
        self.lift.stacks += nest.lift.stacks
        self.rounds_inside = max(
            self.rounds_inside, (nest.lift.rounds.count.known() or 1) * nest.rounds_inside
        )
        loop.replace_by(values)
        return nest.lift.conditions

    def _fits(self, check: RequireFit) -> None:
        """What a check asks for is asked for all rounds; where a vector would be repeated after all, the loop is kept."""
        sizes = [self.integers.of(v) for v in check.sizes]
        for i, j, repeated in compared(check.rule, len(sizes)):
            one, other = sizes[i], Affine(1) if j is None else sizes[j]
            if not (repeated and one == Affine(1)):
                self.lift.require_equal(one, other)
        check.erase()

    def _carried(self, inits: list[Value], lasts: list[Value]) -> list[Value]:
        """Sort out what is carried, write the body, and close it."""
        lift, body = self.lift, self.body
        args = body.args[1:]
        won = winners(args, inits, lasts)
        found: list[Carried] = [
            won.get(values[0]) or carried(*values, body, lift)
            for values in zip(args, inits, lasts, strict=True)
        ]
        written = {op for one in found for op in one.written}
        arrays = {version: one for one in found if isinstance(one, Array) for version in one.versions}
        writes = [op for array in arrays.values() for op in array.writes]
        lift.preferred = lift.go_along_rows([*writes, *body])
        for op in body:
            if op in written or op is body.last:
                continue
            array = arrays.get(op.operands[0]) if op.operands else None
            if array is None:
                lift_op(lift, op)
            elif op.name in ("dml.index", "dml.get_cell"):
                lift.kinds[op.results[0]] = array.read(op, lift)
            else:
                lift.kinds[op.results[0]] = Fixed(lift.number(self.integers.of(op.results[0])))
        return [one.after(init, lift) for one, init in zip(found, inits, strict=True)]


def _is_in_a_loop(op: Op) -> bool:
    at = op.parent_op
    while at is not None and at.name == "scf.if":
        at = at.parent_op
    return at is not None and at.dialect == "scf"


def _counting_around(op: Op) -> Iterator[Op]:
    """The counting loops that an operation is in, from the inside out."""
    at = op.parent_op
    while at is not None:
        if at.name in _COUNTING:
            yield at
        at = at.parent_op


def _around(op: Op) -> set[Region]:
    """The regions that an operation is in."""
    found: set[Region] = set()
    at: Op | None = op
    while at is not None and at.parent is not None:
        found.add(at.parent)
        at = at.parent_op
    return found
