"""Non-zeros of each row (or column) of a matrix: one number when they are about equal, else an array.

NumPy is only needed, and only loaded, for arrays: programs without data at compile time do without.
"""

from __future__ import annotations

import math
from typing import Any, Final

Counts = Any
"""A float, or a one-dimensional array of floats."""
LONGEST: Final = 1 << 18
"""Longer counts are replaced by their mean."""
SHORTEST: Final = 64
"""Fewer, or a part that is so much smaller than the other, are not worth an array."""


def limited(counts: Counts) -> Counts:
    """The counts, or their mean where they are too many to carry about."""
    return counts if isinstance(counts, float) or len(counts) <= LONGEST else float(counts.mean())


def total(counts: Counts, n: int) -> float:
    """The sum of n counts."""
    return counts * n if isinstance(counts, float) else float(counts.sum())


def most(counts: Counts, n: int) -> float:
    """The largest of n counts."""
    if isinstance(counts, float):
        return counts if n else 0.0
    return float(counts.max()) if len(counts) else 0.0


def at_most(counts: Counts, bound: float) -> Counts:
    """The counts, none larger than `bound`."""
    if isinstance(counts, float):
        return min(counts, bound)
    import numpy as np

    return np.minimum(counts, bound)


def above(counts: Counts, bound: float, n: int) -> float:
    """How many of n counts are larger than `bound`."""
    if isinstance(counts, float):
        return float(n) if counts > bound else 0.0
    return float((counts > bound).sum())


def ones(counts: Counts, n: int) -> float:
    """How many of n counts are 1."""
    if isinstance(counts, float):
        return float(n) if counts == 1 else 0.0
    return float((counts == 1).sum())


def chance_of_none(chances: Counts, n: int) -> float:
    """The chance that none of n independent events happens."""
    if isinstance(chances, float):
        return 0.0 if chances >= 1 else math.exp(n * math.log1p(-chances))
    import numpy as np

    if len(chances) and chances.max() >= 1:
        return 0.0
    return math.exp(float(np.log1p(-chances).sum()))


def joined(a: Counts, n: int, b: Counts, m: int) -> Counts:
    """n counts followed by m others."""
    if isinstance(a, float) and isinstance(b, float) and a == b:
        return a
    uneven = min(n, m) * SHORTEST < n + m or n + m < SHORTEST
    if n + m > LONGEST or n + m == 0 or (isinstance(a, float) and isinstance(b, float) and uneven):
        return (total(a, n) + total(b, m)) / max(1, n + m)
    import numpy as np

    return np.concatenate([np.broadcast_to(a, (n,)), np.broadcast_to(b, (m,))])


def part(counts: Counts, low: int, high: int) -> Counts:
    """The counts from `low` up to `high`."""
    return counts if isinstance(counts, float) else counts[low:high]


def repeated(counts: Counts, times: int) -> Counts:
    """The counts, so many times one after the other."""
    if isinstance(counts, float):
        return counts
    import numpy as np

    return float(counts.mean()) if len(counts) * times > LONGEST else np.tile(counts, times)


def summed(counts: Counts, n: int, width: int) -> Counts:
    """Sums over runs of `width` of n counts."""
    return counts * width if isinstance(counts, float) else counts.reshape(n // width, width).sum(axis=1)


def crossed(a: Counts, n: int, b: Counts, m: int) -> Counts:
    """All products of n counts with m others, the others running faster."""
    if isinstance(a, float) and isinstance(b, float):
        return a * b
    if n * m > LONGEST:
        return total(a, n) * total(b, m) / (n * m)
    import numpy as np

    return np.outer(np.broadcast_to(a, (n,)), np.broadcast_to(b, (m,))).ravel()
