"""The round that wins, and what a loop keeps of it.

    if (v > best) { best = v; at = i }      best = max(best, v),  at = the first i with v == best, if any v was better
    if (c) last = x                         last = the x of the last round with c, if there is one

Of equal rounds the first wins where `>` is asked for, the last one with `>=`; what is NaN never does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_create import Seq
from sysmlc.ir.dialects.dml_matrix import GetCell, Transpose
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.types import Matrix, f64, i1, i64
from sysmlc.passes.loops.affine import Affine
from sysmlc.passes.loops.lift import Count, Fixed, Lift

_MIRRORED: Final = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}


class Race:
    """What decides which round wins: the best `key`, compared by `fn`, of those where `guards` hold; without a key the last one."""

    def __init__(
        self, key: Value | None, fn: str, guards: list[Value], init: Value, skipped: set[Op]
    ) -> None:
        self.key, self.fn, self.guards, self.init, self.skipped = key, fn, guards, init, skipped
        self.result: Result | None = None

    def run(self, lift: Lift) -> Result:
        """Write what finds the winner, once."""
        if self.result is None:
            self.result = self._run(lift)
        return self.result

    def _run(self, lift: Lift) -> Result:
        b = lift.b
        last, upwards = self.fn in ("ge", "le"), self.fn in ("gt", "ge")
        in_rows = lift.direction([v for v in (self.key, *self.guards) if v is not None])
        guards = [lift.operand(guard, in_rows) for guard in self.guards]
        numbers = _numbers(lift, in_rows, last)
        place, won, best = numbers, None, None
        if self.key is not None:
            keys = lift.many(lift.kind(self.key), in_rows, lift.is_unit(self.key)).value
            never = b(Constant, value=float("-inf") if upwards else float("inf"))
            usable = b(IfElse, b(Unary, "isnan", keys), never, keys)
            for guard, _ in guards:
                usable = b(IfElse, guard, usable, never)
            best = b(Aggregate, "max_of" if upwards else "min_of", usable)
            place = b(Binary, "mul", b(Binary, "eq", keys, best), numbers)
            best = lift.whole(best) if self.key.type is i64 else best
            won = b(Binary, self.fn, best, self.init)
        zero = b(Constant, value=0.0)
        for guard, form in guards:
            place = b(Binary, "mul", guard, place) if form else b(IfElse, guard, place, zero)
        number = b(Aggregate, "max_of", place)
        if last:  # a key may be as good as none
            somebody = b(Binary, "gt", number, zero)
            won = somebody if won is None else b(Binary, "and", won, somebody)
        else:
            number = b(Binary, "sub", _rounds(lift, 1), number)
        assert won is not None
        if not lift.nested:  # else it is only used where a round has won
            number = b(IfElse, won, number, b(Constant, value=1.0))
        return Result(won, best, number, in_rows)


@dataclass(frozen=True)
class Result:
    """Whether a round was better than what there was before the loop, its key, and its number."""

    won: Value
    best: Value | None
    number: Value
    in_rows: bool

    def of(self, value: Value, lift: Lift) -> Value:
        """What a number of the body is in the round that has won."""
        kind, b = lift.kind(value), lift.b
        if isinstance(kind, Fixed):
            return kind.value
        if isinstance(kind, Count):
            step = kind.form.factor(lift.rounds.counter) * lift.rounds.step
            before = kind.form.put(lift.rounds.counter, lift.rounds.first) - step
            steps = lift.whole(self.number)
            if step != 1:
                steps = b(Binary, "mul", steps, b(Constant, value=step))
            return steps if before == Affine() else b(Binary, "add", lift.number(before), steps)
        stack = lift.many(kind, self.in_rows, lift.is_unit(value)).value
        if lift.nested:  # rounds of a loop around this one may all have their own winner
            numbers = _numbers(lift, self.in_rows, rising=True)
            chosen = b(Binary, "eq", numbers, self.number)
            cell = b(Aggregate, "sum", b(IfElse, chosen, stack, b(Constant, value=0.0)))
        else:
            one, place = b(Constant, value=1), lift.whole(self.number)
            cell = b(GetCell, stack, *((place, one) if self.in_rows else (one, place)))
        if value.type is i1:
            return b(Binary, "ne", cell, b(Constant, value=0.0))
        return lift.whole(cell) if value.type is i64 else cell


@dataclass(frozen=True)
class Winner:
    """A number that is that of the round that wins a race."""

    race: Race
    value: Value
    choice: Op

    @property
    def written(self) -> set[Op]:
        return {self.choice, *self.race.skipped}

    def after(self, init: Value, lift: Lift) -> Value:
        """The number that is left after all rounds."""
        lift.b.loc = self.choice.loc
        result = self.race.run(lift)
        key = self.value is self.race.key and result.best is not None
        value = result.best if key else result.of(self.value, lift)
        assert value is not None
        return lift.b(IfElse, result.won, value, init)


def _rounds(lift: Lift, more: int = 0) -> Value:
    return lift.b(Cast, lift.number(lift.rounds.count + more), types=[f64])


def _numbers(lift: Lift, in_rows: bool, rising: bool) -> Value:
    """The numbers of the rounds: the greatest is that of the round that is preferred."""
    b = lift.b
    one = b(Constant, value=1.0)
    ends = (one, _rounds(lift)) if rising else (_rounds(lift), one)
    made = b(Seq, *ends, b(Constant, value=1.0 if rising else -1.0))
    lift.integers.counted[made] = lift.rounds.count
    return made if in_rows else b(Transpose, made)


def winners(args: list[Value], inits: list[Value], lasts: list[Value]) -> dict[Value, Winner]:
    """The carried numbers that are kept from the round that wins a race."""
    chosen = {
        arg: (last.op, tuple(dict.fromkeys(_conjuncts(last.op.operands[0]))), init)
        for arg, init, last in zip(args, inits, lasts, strict=True)
        if isinstance(last.op, IfElse) and last.op.operands[2] is arg and not isinstance(arg.type, Matrix)
    }
    races: dict[tuple[Value, ...], Race] = {}
    for arg, (choice, tests, init) in chosen.items():
        for test in tests:
            fn = _asks(test, choice.operands[1], arg)
            if fn is not None:
                guards = [other for other in tests if other is not test]
                races[tests] = Race(choice.operands[1], fn, guards, init, _only_for(test))
    found: dict[Value, Winner] = {}
    for arg, (choice, tests, init) in chosen.items():
        if tests not in races:
            races[tests] = Race(None, "ge", list(tests), init, set())
        if choice.results[0].type is choice.operands[1].type is arg.type:
            found[arg] = Winner(races[tests], choice.operands[1], choice)
    return found


def _conjuncts(condition: Value) -> list[Value]:
    op = condition.op
    if op is not None and op.name == "dml.and" and condition.type is i1:
        return [part for v in op.operands for part in _conjuncts(v)]
    return [condition]


def _asks(test: Value, value: Value, arg: Value) -> str | None:
    """How a test compares what a round brings with the best before."""
    op = test.op
    if not isinstance(op, Binary) or op.fn not in _MIRRORED or arg.type not in (f64, i64):
        return None
    if op.operands == [value, arg]:
        return op.fn
    return _MIRRORED[op.fn] if op.operands == [arg, value] else None


def _only_for(test: Value) -> set[Op]:
    """A test and what joins it with others."""
    assert test.op is not None
    found, work = {test.op}, [test]
    while work:
        for user in work.pop().users():
            if user.name == "dml.and" and user not in found:
                found.add(user)
                work.append(user.results[0])
    return found
