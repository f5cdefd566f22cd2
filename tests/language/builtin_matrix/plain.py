"""What builtins mean, in plain Python on rows of numbers: nothing here is shared with the reference evaluator.

Sources: R's documentation of the function of the same name, Java's Math for functions of numbers, and the description of DML.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction

Rows = list[list[float]]
NAN, INF = math.nan, math.inf


def total(f: Callable[..., float], outside: float = NAN) -> Callable[..., float]:
    """`f` with the value IEEE 754 has where Python raises an error."""

    def wrapped(*x: float) -> float:
        if any(v != v for v in x):
            return NAN
        try:
            return f(*x)
        except ValueError:
            return outside
        except OverflowError:
            return INF

    return wrapped


def log(x: float) -> float:
    return NAN if x != x or x < 0 else -INF if x == 0 else math.log(x)


def divide(x: float, y: float) -> float:
    if y:
        return x / y
    return NAN if x == 0 or x != x else math.copysign(INF, x) * math.copysign(1.0, y)


def rounded(x: float) -> float:
    """Java's Math.round, but for what is too big for its integers: halves go up, NaN is 0."""
    return 0.0 if x != x else x if math.isinf(x) else float(math.floor(Fraction(x) + Fraction(1, 2)))


def whole(f: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: x if x != x or math.isinf(x) else float(f(x))


def sign(x: float) -> float:
    return x if x != x else float((x > 0) - (x < 0))


def sigmoid(x: float) -> float:
    return x if x != x else 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def floor_mod(x: float, y: float) -> float:
    """R: x %% y has the sign of y."""
    if x != x or y != y or math.isinf(x) or y == 0:
        return NAN
    return float(Fraction(x) - Fraction(y) * math.floor(Fraction(x) / Fraction(y)))


def floor_div(x: float, y: float) -> float:
    return NAN if (q := divide(x, y)) != q else q if math.isinf(q) else float(math.floor(q))


def power(x: float, y: float) -> float:
    """C's pow, which is R's and Java's but for 1 ^ NaN."""
    if x == 0 and y < 0:
        odd = y == int(y) and int(y) % 2 == 1
        return math.copysign(INF, x) if odd else INF
    if x == 1 or y == 0:
        return 1.0
    if x != x or y != y:
        return NAN
    try:
        return math.pow(x, y)
    except ValueError:
        return NAN
    except OverflowError:
        return -INF if x < 0 and int(y) % 2 else INF


def smallest(*x: float) -> float:
    return NAN if any(v != v for v in x) else min(x, default=INF)


def largest(*x: float) -> float:
    return NAN if any(v != v for v in x) else max(x, default=-INF)


def sum_of(x: Sequence[float]) -> float:
    special = [v for v in x if v != v or math.isinf(v)]
    if special:
        return NAN if any(v != v for v in special) or len(set(special)) > 1 else special[0]
    return float(sum(map(Fraction, x)))


def product(x: Sequence[float]) -> float:
    made = 1.0
    for v in x:
        made = made * v
    return made


def mean(x: Sequence[float]) -> float:
    return sum_of(x) / len(x) if x else NAN


def variance(x: Sequence[float]) -> float:
    """Of a sample; one number has none to speak of: 0."""
    if any(v != v or math.isinf(v) for v in x) or not x:
        return NAN
    try:
        return float(statistics.variance(map(Fraction, x))) if len(x) > 1 else 0.0
    except OverflowError:
        return INF


def moment(x: Sequence[float], k: int) -> float:
    """The k-th central moment, or the mean. No value has none."""
    middle = mean(x)
    return middle if k == 1 else mean([math.prod([v - middle] * k) for v in x])


def covariance(x: Sequence[float], y: Sequence[float]) -> float:
    a, b = mean(x), mean(y)
    return sum_of([(u - a) * (v - b) for u, v in zip(x, y, strict=True)]) / max(len(x) - 1, 1)


def distinct(x: Sequence[float]) -> float:
    """How many values there are; all NaN are one."""
    return float(len({v for v in x if v == v}) + any(v != v for v in x))


def ascending(x: Sequence[float]) -> list[float]:
    """R: sort(x, na.last = TRUE)."""
    return sorted(v for v in x if v == v) + [v for v in x if v != v]


def deviation(x: Sequence[float]) -> float:
    return math.sqrt(variance(x))


def scan(f: Callable[[float, float], float]) -> Callable[[Sequence[float]], list[float]]:
    def scanned(x: Sequence[float]) -> list[float]:
        made: list[float] = []
        for v in x:
            made.append(f(made[-1], v) if made else v)
        return made

    return scanned


def last_index(better: Callable[[float, float], bool]) -> Callable[[Sequence[float]], float]:
    """Where the best number is, counted from 1; the last of equal ones; NaN is never it."""

    def index(x: Sequence[float]) -> float:
        known = [(v, i) for i, v in enumerate(x, 1) if v == v]
        best = known[0] if known else (NAN, 1)
        for v, i in known:
            if not better(best[0], v):
                best = (v, i)
        return float(best[1])

    return index


def ordered(x: Rows, columns: Sequence[int], decreasing: bool) -> list[int]:
    """R: order(…, na.last = TRUE), and NaN first where sorting is downwards. Stable."""
    found = list(range(len(x)))
    for c in reversed(columns):
        key = [(1, 0.0) if x[i][c] != x[i][c] else (0, x[i][c]) for i in range(len(x))]
        found.sort(key=lambda i: key[i], reverse=decreasing)
    return found


def matrix_product(x: Rows, y: Rows) -> Rows:
    return [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*y, strict=True)] for row in x
    ]


def turned(x: Rows) -> Rows:
    return [list(column) for column in zip(*x, strict=True)]


def by_row(f: Callable[[Sequence[float]], float]) -> Callable[[Rows], Rows]:
    return lambda x: [[f(row)] for row in x]


def by_column(f: Callable[[Sequence[float]], float]) -> Callable[[Rows], Rows]:
    return lambda x: [[f(column) for column in columns_of(x)]]


def by_cell(f: Callable[[float], float]) -> Callable[[Rows], Rows]:
    return lambda x: [[f(v) for v in row] for row in x]


def of_all(f: Callable[[Sequence[float]], float]) -> Callable[[Rows], float]:
    return lambda x: f([v for row in x for v in row])


class Table(list[list[float]]):
    """Rows that know how many columns they have, even if there is none of them."""

    def __init__(self, rows: Rows, columns: int) -> None:
        super().__init__(rows)
        self.columns = columns


def columns_of(x: Rows) -> list[list[float]]:
    count = x.columns if isinstance(x, Table) else len(x[0]) if x else 0
    return [[row[c] for row in x] for c in range(count)]
