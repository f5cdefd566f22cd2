"""Which cells a round of a loop touches, and whether rounds meet in a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Value
from sysmlc.passes.loops.affine import Affine, at_most

WRITES: Final = frozenset({"dml.left_index", "dml.set_cell"})
READS: Final = frozenset({"dml.index", "dml.get_cell"})


class Stuck(Exception):
    """The loop stays a loop; the text says why."""


@dataclass(frozen=True)
class Rounds:
    """The values of a loop's counter: from `first` by 1 or -1 (`step`) to `last`; at least one."""

    counter: Value
    first: Affine
    last: Affine
    step: int

    @property
    def least(self) -> Affine:
        return self.first if self.step > 0 else self.last

    @property
    def most(self) -> Affine:
        return self.last if self.step > 0 else self.first

    @property
    def count(self) -> Affine:
        return self.most - self.least + 1

    def bounds(self, form: Affine) -> tuple[Affine, Affine]:
        """The least and the greatest value of `form` over all rounds."""
        ends = [form.put(self.counter, end) for end in (self.least, self.most)]
        return (ends[1], ends[0]) if form.factor(self.counter) < 0 else (ends[0], ends[1])


@dataclass(frozen=True)
class Span:
    """Indexes `low` to `high` of one dimension; a single one that follows the counter has `low == high`."""

    low: Affine
    high: Affine

    def direction(self, rounds: Rounds) -> int:
        """How the span moves from round to round: 1, -1, or 0 when it stays."""
        factors = self.low.factor(rounds.counter), self.high.factor(rounds.counter)
        if factors == (0, 0):
            return 0
        if self.low != self.high or abs(factors[0]) != 1:
            raise Stuck("an index is no simple function of the counter")
        return factors[0] * rounds.step

    def hull(self, rounds: Rounds) -> Span:
        """All that is touched in any round."""
        return Span(rounds.bounds(self.low)[0], rounds.bounds(self.high)[1])


@dataclass(frozen=True)
class Region:
    """The cells of a matrix that one round reads or writes."""

    rows: Span
    cols: Span

    @property
    def spans(self) -> tuple[Span, Span]:
        return self.rows, self.cols

    def hull(self, rounds: Rounds) -> Region:
        """All that is touched in any round."""
        return Region(self.rows.hull(rounds), self.cols.hull(rounds))

    def moves(self, rounds: Rounds) -> bool:
        return any(s.direction(rounds) for s in self.spans)


def disjoint(a: Region, b: Region) -> bool:
    """Whether two regions of one round have no cell in common, for certain."""
    return any(
        at_most(x.high + 1, y.low) or at_most(y.high + 1, x.low)
        for x, y in zip(a.spans, b.spans, strict=True)
    )


def meets_earlier(later: Region, earlier: Region, rounds: Rounds) -> bool:
    """Whether `later`, in some round, may touch what `earlier` touched in a round before."""
    return not any(
        at_most(Affine(1), gap)
        for x, y in zip(later.spans, earlier.spans, strict=True)
        for gap in (
            y.hull(rounds).low - x.hull(rounds).high,
            x.hull(rounds).low - y.hull(rounds).high,
            _least(y.low, x.high.times(-1), rounds),
            _least(y.high.times(-1), x.low, rounds),
        )
    )


def _least(earlier: Affine, later: Affine, rounds: Rounds) -> Affine:
    """The least sum of the two forms, over all pairs of a round and a later one: it is in one of three corners."""
    first, last, step = rounds.first, rounds.last, rounds.step
    a, b = (form.factor(rounds.counter) * step for form in (earlier, later))
    one = first if (b >= 0 and a + b >= 0) or (b < 0 and a >= 0) else last - step
    other = one + step if b >= 0 else last
    return earlier.put(rounds.counter, one) + later.put(rounds.counter, other)
