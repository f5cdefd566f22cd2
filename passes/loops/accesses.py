"""Which cells a round of a loop touches, and whether rounds meet in a cell."""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Value
from sysmlc.passes.loops.affine import Affine, at_most


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
    for x, y in zip(later.spans, earlier.spans, strict=True):
        if at_most(x.hull(rounds).high + 1, y.hull(rounds).low) or at_most(
            y.hull(rounds).high + 1, x.hull(rounds).low
        ):
            return False
        if x.direction(rounds) and x.direction(rounds) == y.direction(rounds):
            # They meet where the later round is this many rounds after the earlier one.
            distance = ((y.low - x.low).times(x.direction(rounds))).known()
            if distance is not None and distance <= 0:
                return False
    return True
