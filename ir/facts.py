"""What is known of the cells of a value: a range, and patterns. A forward analysis finds it (`passes/use_facts.py`).

Facts are about numbers, as rules are (see the head of passes/rules/static.rules): `-0` counts as 0, and what an operation rounds may
be off by that. NaN is never in a range: `nan` says whether there may be some. Infinities are, so a range without a bound
may hold one. All facts hold for a 0x0 matrix, which is what variables are before they are defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf, isnan
from typing import Any, Final, NamedTuple

from sysmlc.ir.core import Op, Value
from sysmlc.ir.types import i1, i64

_DEEPEST: Final = 30
"""Longer ways to what a value is made of are not followed when no analysis has been there."""


_PATTERNS: Final = ("whole", "symmetric", "ascending", "one_in_row")


class Facts(NamedTuple):
    """What holds for all cells of a matrix, or for a number."""

    low: float = -inf
    high: float = inf
    nan: bool = True
    """Some may be NaN."""
    whole: bool = False
    """Those that are finite are integers."""
    symmetric: bool = False
    """Square, and equal to its transpose (up to rounding)."""
    ascending: bool = False
    """One column without NaN, none less than the one above it."""
    one_in_row: bool = False
    """No row has two cells that are not 0."""

    @property
    def cells(self) -> Facts:
        """What does not depend on where cells are."""
        return Facts(self.low, self.high, self.nan, self.whole)

    @property
    def finite(self) -> bool:
        return not self.nan and self.low > -inf and self.high < inf

    def join(self, other: Facts) -> Facts:
        """What holds for either of two."""
        return Facts(
            min(self.low, other.low),
            max(self.high, other.high),
            self.nan or other.nan,
            self.whole and other.whole,
            self.symmetric and other.symmetric,
            self.ascending and other.ascending,
            self.one_in_row and other.one_in_row,
        )

    def meet(self, other: Facts) -> Facts:
        """What holds where both do."""
        return Facts(
            max(self.low, other.low),
            min(self.high, other.high),
            self.nan and other.nan,
            self.whole or other.whole,
            self.symmetric or other.symmetric,
            self.ascending or other.ascending,
            self.one_in_row or other.one_in_row,
        )

    def widen(self, new: Facts) -> Facts:
        """As `join`, but a bound that moves goes to 0 or away."""
        joined = self.join(new)
        low, high = joined.low, joined.high
        if low != self.low:
            low = 0.0 if low >= 0 else -inf
        if high != self.high:
            high = 0.0 if high <= 0 else inf
        return replace(joined, low=low, high=high)

    def broken_by(self, seen: Facts) -> list[str]:
        """Which of these are not so for what was observed."""
        broken = ["low"] if seen.low < self.low else []
        broken += ["high"] if seen.high > self.high else []
        broken += ["no NaN"] if seen.nan and not self.nan else []
        return broken + [n for n in _PATTERNS if getattr(self, n) and not getattr(seen, n)]

    def __str__(self) -> str:
        """As `[0, 1] whole symmetric`; nothing when nothing is known."""
        parts = [f"[{self.low:g}, {self.high:g}]"] if self.low > -inf or self.high < inf else []
        parts += [] if self.nan else ["no NaN"]
        return " ".join(
            parts + [n for n in ("whole", "symmetric", "ascending", "one_in_row") if getattr(self, n)]
        )


ANY: Final = Facts()
"""Nothing is known."""
NOTHING: Final = Facts(inf, -inf, False, True, True, True, True)
"""There are no cells."""
ZERO: Final = Facts(0.0, 0.0, False, True)
TRUTH: Final = Facts(0.0, 1.0, False, True)
"""Cells are 0 or 1."""


def number(value: float) -> Facts:
    """What is known of a constant."""
    if isnan(value):
        return Facts(inf, -inf, True, True)
    return Facts(value, value, False, value in (inf, -inf) or value.is_integer())


def between(low: float, high: float, nan: bool, whole: bool = False) -> Facts:
    """A range; a bound that could not be computed is none."""
    return Facts(-inf if isnan(low) else low, inf if isnan(high) else high, nan, whole)


def replace(facts: Facts, **changes: Any) -> Facts:
    """The same but for some fields."""
    return facts._replace(**changes)


Transfer = Callable[[Op, Sequence[Facts]], Facts]
transfers: Final[dict[str, Transfer]] = {}
"""What operations make of what is known of their operands, by name; filled by the dialects."""
_known: dict[Value, Facts] = {}
_asking = 0
_looking = False


@contextmanager
def assumed(facts: Mapping[Value, Facts]) -> Iterator[None]:
    """While this lasts, `facts_of` knows what an analysis has found, and looks into what values are made of."""
    global _looking
    _known.update(facts)
    _looking = True
    try:
        yield
    finally:
        _known.clear()
        _looking = False


def facts_of(value: Value) -> Facts:
    """What is known of a value: by the analysis, or from what it is made of."""
    global _asking
    found = _known.get(value)
    if found is not None:
        return found
    op = value.op
    if op is None or not _looking or _asking >= _DEEPEST:
        return by_type(value)
    _asking += 1
    try:
        found = transfer(op, [facts_of(v) for v in op.operands])[value.index]
    finally:
        _asking -= 1
    _known[value] = found
    return found


def is_size(value: Value) -> bool:
    """Whether a number is known not to be negative: by the analysis, or by the operation that makes it alone."""
    op = value.op
    if op is not None and transfer(op, [by_type(v) for v in op.operands])[value.index].low >= 0:
        return True
    return facts_of(value).low >= 0


def by_type(value: Value) -> Facts:
    """What the type of a value tells."""
    if value.type is i1:
        return TRUTH
    return Facts(nan=False, whole=True) if value.type is i64 else ANY


def transfer(op: Op, operands: Sequence[Facts]) -> list[Facts]:
    """What is known of the results of an operation."""
    rule = transfers.get(op.name)
    if rule is None or len(op.results) != 1:
        return [by_type(r) for r in op.results]
    return [rule(op, operands)]


def transfers_for(*names: str) -> Callable[[Transfer], Transfer]:
    """Registers the decorated function for operations of these names."""

    def register(function: Transfer) -> Transfer:
        transfers.update(dict.fromkeys(names, function))
        return function

    return register


def observed(value: Any) -> Facts:
    """All that holds for a number or a NumPy matrix."""
    import numpy as np

    matrix = np.atleast_2d(np.asarray(value, dtype=float))
    if matrix.size == 0:
        rows, cols = matrix.shape
        return replace(NOTHING, symmetric=rows == cols, ascending=cols == 1 or rows == cols)
    missing = np.isnan(matrix)
    cells = matrix[~missing]
    finite = cells[np.isfinite(cells)]
    square = matrix.shape[0] == matrix.shape[1]
    return Facts(
        low=cells.min(initial=inf),
        high=cells.max(initial=-inf),
        nan=bool(missing.any()),
        whole=bool((finite == np.floor(finite)).all()),
        symmetric=square and np.allclose(matrix, matrix.T, 1e-9, 1e-9, equal_nan=True),
        ascending=matrix.shape[1] == 1 and not missing.any() and bool((matrix[1:] >= matrix[:-1]).all()),
        one_in_row=not ((matrix != 0).sum(axis=1) > 1).any(),
    )
