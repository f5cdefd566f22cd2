"""The canonical form: sums of monomials over named indices.

A monomial is a bag of factors — a node with the indexes of its rows and columns — and the indexes that are summed over. Index
0 runs over the rows of the result, 1 over its columns, 2 and up are summed; -1 stands for a dimension of size one. Two
expressions of the sum-product algebra are equal exactly when their canonical forms are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import permutations, product
from math import isfinite
from typing import Any, Final, NamedTuple

from sysmlc.ir.types import Dim

DELTA: Final = 0
"""The id of the factor that is one where its two indexes are equal."""
NONE: Final = -1
MAX_TERMS: Final = 16
MAX_FACTORS: Final = 12
_MAX_ORDERS: Final = 120


class Factor(NamedTuple):
    """A node (by its id) at two indexes; `inverse`: one over it."""

    node: int
    row: int
    col: int
    inverse: bool = False


class Monomial(NamedTuple):
    """A product of factors, summed over the indexes 2, 3, … whose dimensions are `bound`."""

    factors: tuple[Factor, ...]
    bound: tuple[Dim, ...] = ()


ONE: Final = Monomial(())


class TooBig(Exception):
    """The canonical form would have too many terms or factors, or coefficients out of range."""


class Polynomial:
    """A sum of monomials with coefficients, and the shape of what it stands for.

    `squared`: a product of two sums was multiplied out, where large terms may cancel. `vanished`: something was subtracted from
    itself or multiplied by zero, which gives NaN where it is not finite.
    """

    __slots__ = ("cols", "rows", "scalar", "squared", "terms", "vanished")

    def __init__(
        self,
        terms: Mapping[Monomial, float],
        rows: Dim,
        cols: Dim,
        scalar: bool = False,
        squared: bool = False,
    ) -> None:
        if len(terms) > MAX_TERMS:
            raise TooBig
        self.terms = terms
        self.rows = rows
        self.cols = cols
        self.scalar = scalar
        self.squared = squared
        self.vanished = False

    @property
    def constant(self) -> float | None:
        """The number this is, if it is one everywhere."""
        if not self.terms:
            return 0.0
        return self.terms[ONE] if len(self.terms) == 1 and ONE in self.terms else None

    def key(self) -> object:
        """Equal for polynomials that are equal up to the rounding of coefficients."""
        return frozenset((m, float(f"{c:.12g}")) for m, c in self.terms.items()), self.rows, self.cols

    def scaled(self, factor: float) -> Polynomial:
        terms = {m: _times(c, factor) for m, c in self.terms.items()} if factor else {}
        made = Polynomial(terms, self.rows, self.cols, self.scalar, self.squared)
        return made.without(self)

    def without(self, *sources: Polynomial) -> Polynomial:
        """This, made of `sources`: vanished if something in them does not occur any more."""
        self.vanished |= not set().union(*(s.nodes() for s in sources)) <= self.nodes()
        return self

    def nodes(self) -> set[int]:
        """The ids of all factors."""
        return {f.node for m in self.terms for f in m.factors if f.node != DELTA}

    def shaped(self, rows: Dim, cols: Dim, scalar: bool) -> Polynomial:
        """The same sum, broadcast to another shape."""
        return Polynomial(self.terms, rows, cols, scalar, self.squared)


def atom(node: int, rows: Dim, cols: Dim, scalar: bool, inverse: bool = False) -> Polynomial:
    """A node that is not looked into."""
    factor = Factor(node, NONE if rows == 1 else 0, NONE if cols == 1 else 1, inverse)
    return Polynomial({Monomial((factor,)): 1.0}, rows, cols, scalar)


def number(value: float, rows: Dim = 1, cols: Dim = 1, scalar: bool = True) -> Polynomial:
    return Polynomial({ONE: value} if value else {}, rows, cols, scalar)


def add(a: Polynomial, b: Polynomial, sign: float = 1.0) -> Polynomial:
    """The sum in the shape of `a`."""
    terms = dict(a.terms)
    vanished = False
    for m, c in b.terms.items():
        before = terms.get(m, 0.0)
        merged = before + sign * c
        if not isfinite(merged):
            raise TooBig
        vanished |= before * sign * c < 0 and not m.bound and m != ONE
        if merged:
            terms[m] = merged
        else:
            del terms[m]
    made = Polynomial(terms, a.rows, a.cols, a.scalar, a.squared or b.squared)
    made.vanished = vanished
    return made.without(a, b)


def multiply(
    a: Polynomial,
    b: Polynomial,
    rows: Dim,
    cols: Dim,
    scalar: bool,
    contract: Dim = 1,
) -> Polynomial:
    """The cellwise product, or with `contract` (the inner dimension) the matrix product."""
    if len(a.terms) * len(b.terms) > 2 * MAX_TERMS:
        raise TooBig
    inner = contract != 1
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        for n, d in b.terms.items():
            shift = 100 + len(m.bound)
            factors = [_moved(f, 0, 99 if inner else 1, 98) for f in m.factors]
            factors += [_moved(f, 99 if inner else 0, 1, shift - 2) for f in n.factors]
            dims: dict[int, Dim] = {100 + i: dim for i, dim in enumerate(m.bound)}
            dims.update({shift + i: dim for i, dim in enumerate(n.bound)})
            if inner:
                dims[99] = contract
            _accumulate(terms, factors, dims, _times(c, d))
    both = len(a.terms) > 1 and len(b.terms) > 1
    return Polynomial(terms, rows, cols, scalar, a.squared or b.squared or both).without(a, b)


def inverse(a: Polynomial) -> Polynomial | None:
    """One over a product, cell by cell; None for sums."""
    if len(a.terms) != 1:
        return None
    ((m, c),) = a.terms.items()
    if m.bound or any(f.node == DELTA for f in m.factors) or not isfinite(1.0 / c):
        return None
    factors = tuple(sorted(Factor(f.node, f.row, f.col, not f.inverse) for f in m.factors))
    return Polynomial({Monomial(factors): 1.0 / c}, a.rows, a.cols, a.scalar)


def transpose(a: Polynomial) -> Polynomial:
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        _accumulate(terms, [_moved(f, 1, 0, 0) for f in m.factors], dict(enumerate(m.bound, 2)), c)
    return Polynomial(terms, a.cols, a.rows, False, a.squared)


def sums(a: Polynomial, dir: str, scalar: bool) -> Polynomial:
    """Summed over rows, columns or both."""
    row = 98 if dir != "row" and a.rows != 1 else 0
    col = 99 if dir != "col" and a.cols != 1 else 1
    over = {i: d for i, d in ((row, a.rows), (col, a.cols)) if i > 1}
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        dims = dict(enumerate(m.bound, 2))
        dims.update(over)
        _accumulate(terms, [_moved(f, row, col, 0) for f in m.factors], dims, c)
    rows, cols = (a.rows if dir == "row" else 1), (a.cols if dir == "col" else 1)
    return Polynomial(terms, rows, cols, scalar, a.squared).without(a)


def trace(a: Polynomial) -> Polynomial:
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        dims = dict(enumerate(m.bound, 2))
        if a.rows != 1:
            dims[99] = a.rows
        _accumulate(terms, [_moved(f, 99, 99, 0) for f in m.factors], dims, c)
    return Polynomial(terms, 1, 1, True, a.squared).without(a)


def diagonal(a: Polynomial) -> Polynomial:
    """The diagonal of a square matrix as a column."""
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        _accumulate(terms, [_moved(f, 0, 0, 0) for f in m.factors], dict(enumerate(m.bound, 2)), c)
    return Polynomial(terms, a.rows, 1, False, a.squared).without(a)


def diagonal_matrix(a: Polynomial) -> Polynomial:
    """A square matrix with this column as its diagonal."""
    terms: dict[Monomial, float] = {}
    for m, c in a.terms.items():
        factors = [*m.factors, Factor(DELTA, 0, 1)]
        _accumulate(terms, factors, dict(enumerate(m.bound, 2)), c)
    return Polynomial(terms, a.rows, a.rows, False, a.squared)


def _moved(f: Factor, row: int, col: int, shift: int) -> Factor:
    """The factor with index 0 called `row`, 1 `col`, and the summed ones shifted."""
    r, c = f.row, f.col
    r = r if r < 0 else row if r == 0 else col if r == 1 else r + shift
    c = c if c < 0 else row if c == 0 else col if c == 1 else c + shift
    return Factor(f.node, r, c, f.inverse)


def _accumulate(
    terms: dict[Monomial, float], factors: list[Factor], dims: dict[int, Dim], coefficient: float
) -> None:
    scale, monomial = canonical(factors, dims)
    merged = terms.get(monomial, 0.0) + _times(scale, coefficient)
    if merged:
        terms[monomial] = merged
    else:
        terms.pop(monomial, None)


def _times(a: float, b: float) -> float:
    """The product of coefficients. Numbers that together may leave the range of what cells can hold stay apart, as written:
    `X * 1e200 * 1e200` is no `X * Inf`, which is NaN where X is 0."""
    made = a * b
    if abs(a) != 1 and abs(b) != 1 and not 1e-100 < abs(made) < 1e100:
        raise TooBig
    return made


def canonical(factors: list[Factor], dims: dict[int, Dim]) -> tuple[float, Monomial]:
    """The canonical names of the summed indexes `dims`, and a number that comes out of the sum."""
    if len(factors) > MAX_FACTORS:
        raise TooBig
    if any(f.node == DELTA for f in factors):
        factors, dims = _without_deltas(factors, dims)
    if not dims:
        return 1.0, Monomial(tuple(sorted(factors)))
    used = {i for f in factors for i in (f.row, f.col)}
    scale = 1.0
    for index in [i for i in dims if i not in used]:
        dim = dims[index]
        if isinstance(dim, int):
            scale *= dim
            del dims[index]
    names = list(dims)
    if len(names) <= 1:
        renaming = dict.fromkeys(names, 2)
        return scale, Monomial(_renamed(factors, renaming), tuple(dims.values()))
    best: tuple[tuple[Factor, ...], tuple[str, ...], tuple[int, ...]] | None = None
    for order in _orders(factors, dims):
        renaming = {n: i for i, n in enumerate(order, 2)}
        found = _renamed(factors, renaming), tuple(str(dims[n]) for n in order), order
        if best is None or found[:2] < best[:2]:
            best = found
    assert best is not None
    return scale, Monomial(best[0], tuple(dims[n] for n in best[2]))


def _renamed(factors: list[Factor], renaming: Mapping[int, int]) -> tuple[Factor, ...]:
    get = renaming.get
    return tuple(sorted(Factor(f.node, get(f.row, f.row), get(f.col, f.col), f.inverse) for f in factors))


def _without_deltas(factors: list[Factor], dims: dict[int, Dim]) -> tuple[list[Factor], dict[int, Dim]]:
    dims = dict(dims)
    again = True
    while again:
        again = False
        for i, f in enumerate(factors):
            if f.node != DELTA:
                continue
            if f.row == f.col or NONE in (f.row, f.col):
                factors = factors[:i] + factors[i + 1 :]
                again = True
                break
            gone, kept = (f.row, f.col) if f.row in dims else (f.col, f.row)
            if gone in dims:
                del dims[gone]
                rest = factors[:i] + factors[i + 1 :]
                factors = [
                    Factor(
                        g.node, kept if g.row == gone else g.row, kept if g.col == gone else g.col, g.inverse
                    )
                    for g in rest
                ]
                again = True
                break
    if sum(f.node == DELTA for f in factors) > 0:
        # Only 0 and 1 are left: both name the same cell of a diagonal.
        factors = [
            Factor(f.node, 0 if f.row == 1 else f.row, 0 if f.col == 1 else f.col, f.inverse)
            for f in factors
            if f.node != DELTA
        ]
        factors.append(Factor(DELTA, 0, 1))
    return factors, dims


def _orders(factors: list[Factor], dims: Mapping[int, Dim]) -> list[tuple[int, ...]]:
    """Orders of the summed indexes that may be the canonical one: ties that refinement leaves are permuted."""
    rank = _ranked({n: str(dims[n]) for n in dims})
    for _ in range(len(dims)):
        signs: dict[int, list[tuple[int, ...]]] = {n: [] for n in dims}
        for f in factors:
            for own, other, side in ((f.row, f.col, 0), (f.col, f.row, 1)):
                if own in signs:
                    near = rank[other] + 1000 if other in rank else other
                    signs[own].append((f.node, f.inverse, side, near, own == other))
        refined = _ranked({n: (rank[n], tuple(sorted(signs[n]))) for n in dims})
        if max(refined.values()) == max(rank.values()):
            break
        rank = refined
    classes: list[list[int]] = [[] for _ in range(max(rank.values()) + 1)]
    for n, r in rank.items():
        classes[r].append(n)
    ways = 1
    for group in classes:
        for i in range(2, len(group) + 1):
            ways *= i
    if ways == 1 or ways > _MAX_ORDERS:
        return [tuple(n for group in classes for n in group)]
    return [
        tuple(n for part in choice for n in part) for choice in product(*(permutations(g) for g in classes))
    ]


def _ranked(color: Mapping[int, Any]) -> dict[int, int]:
    order = {c: i for i, c in enumerate(sorted(set(color.values())))}
    return {n: order[c] for n, c in color.items()}


def shared_factors(terms: Mapping[Monomial, float]) -> Counter[tuple[int, bool]]:
    """In how many terms each node occurs."""
    found: Counter[tuple[int, bool]] = Counter()
    for m in terms:
        found.update({(f.node, f.inverse) for f in m.factors if f.node != DELTA})
    return found
