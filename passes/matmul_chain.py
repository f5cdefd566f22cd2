"""The order of matrix products: `A %*% B %*% v` as `A %*% (B %*% v)`, by dynamic programming over the cost model.

A chain is a tree of products whose inner nodes nobody else uses; transposes of products are pushed down to the factors while
looking (`t(A %*% B)` counts as `t(B) %*% t(A)`). Where a sparse matrix tells which cells of the last product are needed, as in
`X * (A %*% B %*% C)`, `fuse-outer` computes only these, and they are what it costs. Only chains whose sizes are all known are reordered; a size that is only
known by name keeps the order, unless one dimension is 1: then products with the vector come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Module, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_matrix import NNZ, MatMul, Transpose
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix, Type, compatible, meet, same_dim
from sysmlc.passes.estimate import FREE, Cost, product_cost, sampled_cost
from sysmlc.passes.outer.needed import is_masked, needed
from sysmlc.passes.outer.worth import SAMPLED, may_sample
from sysmlc.passes.sparsity import Expectations, Sketch, is_open

_TYPICAL = 1000
"""What an unknown size is taken to be, where all that is known is that others are 1."""
_SPARSE = 0.01
"""The share of non-zeros of a matrix that is sparse, when that is a mere possibility."""
_LARGE_GAIN, _LARGE_FACTOR = 1e-3, 1.5
"""Seconds, and how many times less, that make it worth to leave an order open until the data is there."""
_LONGEST = 60
"""Longer chains keep their order: the search takes time cubic in the length."""


@register_pass
@dataclass(frozen=True)
class MatMulChain(Pass):
    """Order chains of matrix products by cost."""

    name = "matmul-chain"
    sampling: bool = True
    """Count on `fuse-outer`: of a product that is multiplied with a sparse matrix only some cells are computed."""

    def run(self, module: Module) -> None:
        expected = Expectations()
        for func in module.body:
            for region in func.regions:
                for op in list(region.walk()):
                    if _is_product(op) and op.parent is not None and not _is_link(op):
                        self._chain(op, expected)

    def _chain(self, root: Op, expected: Expectations) -> None:
        factors: list[tuple[Value, bool]] = []
        links: list[Op] = []
        _collect(root, False, factors, links)
        if not 3 <= len(factors) <= _LONGEST:
            return
        sizes = _sizes(factors)
        if sizes is None:
            return
        share = needed(root.results[0], expected) if self.sampling else 1.0
        plan = _Plan(
            sizes,
            [_sketch(expected, v, turned, sizes[i : i + 2]) for i, (v, turned) in enumerate(factors)],
            share if share < SAMPLED else 1.0,
        )
        before, after = plan.cost_of(root, factors), plan.cost
        choice = (
            None
            if self.sampling and is_masked(root.results[0], expected)
            else _alternative(plan, factors, expected)
        )
        if choice is None and not after.seconds < before.seconds * 0.99:
            return
        b = Builder.before(root)
        result = root.results[0]
        if choice is None:
            made = _build(b, plan, factors, 0, len(factors) - 1)
        else:
            made = _build_choice(b, plan, choice, factors, result.type)
            self.count("orders decided at run time")
        if not compatible(made.type, result.type):
            return
        made.type = meet(made.type, result.type)
        root.replace_by([made])
        for op in links:
            if op.parent is not None and not op.results[0].uses:
                op.erase()
        self.count("chains reordered")
        self.count("flops saved", int(before.flops - after.flops))


def _is_product(op: Op) -> bool:
    return op.name == "dml.matmul" and not op.attrs


def _is_link(op: Op) -> bool:
    """Whether a product is an inner part of a longer chain."""
    result = op.results[0]
    if not result.has_one_use():
        return False
    user = next(iter(result.uses))[0]
    if user.name == "dml.t" and user.parent is op.parent:
        if not user.results[0].has_one_use():
            return False
        user = next(iter(user.results[0].uses))[0]
    return user.parent is op.parent and _is_product(user)


def _collect(op: Op, transposed: bool, factors: list[tuple[Value, bool]], links: list[Op]) -> None:
    """The factors of a product in order, each with whether it is used transposed."""
    operands = op.operands[::-1] if transposed else op.operands
    for value in operands:
        inner, flipped, passed = value.op, transposed, [] if value.op is None else [value.op]
        if inner is not None and inner.name == "dml.t":
            source = inner.operands[0].op
            if source is not None and _is_product(source) and _is_link(source) and value.has_one_use():
                inner, flipped = source, not transposed
                passed.append(source)
        if inner is not None and _is_product(inner) and inner.parent is op.parent and _is_link(inner):
            links += passed
            _collect(inner, flipped, factors, links)
        elif inner is not None and inner.name == "dml.t":
            factors.append((inner.operands[0], not transposed))
            links.append(inner)
        else:
            factors.append((value, transposed))


def _sizes(factors: list[tuple[Value, bool]]) -> list[int] | None:
    """The dimensions between factors as numbers to compare by; None when too little is known."""
    pairs: list[tuple[Dim, Dim]] = []
    for value, transposed in factors:
        type = value.type
        assert isinstance(type, Matrix)
        pairs.append((type.cols, type.rows) if transposed else (type.rows, type.cols))
    dims: list[Dim] = [pairs[0][0]]
    for (_, left), (right, _) in pairwise(pairs):
        if not same_dim(left, right):  # the products might not fit: they fail in the order written
            return None
        dims.append(left)
    dims.append(pairs[-1][1])
    if all(isinstance(d, int) for d in dims):
        return [d for d in dims if isinstance(d, int)]
    if 1 in dims and all(d == 1 or not isinstance(d, int) for d in dims):
        return [1 if d == 1 else _TYPICAL for d in dims]
    return None


def _sketch(expected: Expectations, value: Value, transposed: bool, sizes: list[int]) -> Sketch:
    """What is expected of a factor, in sizes to compare by."""
    found = expected.sketch(value)
    found = found.t() if transposed else found
    rows, cols = sizes
    return (
        found
        if (found.rows, found.cols) == (rows, cols)
        else Sketch.spread(rows, cols, found.density * rows * cols)
    )


class _Plan:
    """The cheapest order of a chain with dimensions `sizes` and factors with these sketches."""

    def __init__(self, sizes: list[int], sketches: list[Sketch], share: float = 1.0) -> None:
        n = len(sketches)
        self.sizes = sizes
        self.share = share
        """How much of the result is needed."""
        self.best: dict[tuple[int, int], Cost] = {(i, i): FREE for i in range(n)}
        self.sketch: dict[tuple[int, int], Sketch] = {(i, i): s for i, s in enumerate(sketches)}
        self.split: dict[tuple[int, int], int] = {}
        for length in range(1, n):
            for i in range(n - length):
                j = i + length
                options = [(self.together(i, k, j), k) for k in range(i, j)]
                cost, k = min(options, key=lambda o: o[0].seconds)
                self.best[i, j], self.split[i, j] = cost, k
                self.sketch[i, j] = self.sketch[i, k].matmul(self.sketch[k + 1, j])
        self.cost = self.best[0, n - 1]

    def together(self, i: int, k: int, j: int) -> Cost:
        """The cost of factors i … k times k+1 … j, each at its best."""
        return self.best[i, k] + self.best[k + 1, j] + self.product(i, k, j)

    def product(self, i: int, k: int, j: int) -> Cost:
        """The cost of the last product alone."""
        left, right = self.sketch[i, k], self.sketch[k + 1, j]
        if self.share < 1 and j - i == len(self.sizes) - 2 and may_sample(left.cols, self.share):
            return sampled_cost(left.rows, left.cols, right.cols, self.share)
        met = left.products(right)
        return product_cost(left.rows, left.cols, right.cols, left.density, right.density, met)

    def supposed(self, i: int, share: float | None) -> Sketch:
        """The sketch of a factor, or one with this share of non-zeros."""
        found = self.sketch[i, i]
        return (
            found if share is None else Sketch.spread(found.rows, found.cols, share * found.rows * found.cols)
        )

    def under(self, other: _Plan, i: int, j: int) -> Cost:
        """The cost of another plan's order with these sketches."""
        if i == j:
            return FREE
        k = other.split[i, j]
        cost = self.under(other, i, k) + self.under(other, k + 1, j)
        return cost + self.product(i, k, j)

    def cost_of(self, root: Op, factors: list[tuple[Value, bool]]) -> Cost:
        """The cost of the chain in the order it is written in."""
        at = 0

        def walk(op: Op, transposed: bool) -> tuple[int, int, Cost]:
            nonlocal at
            spans: list[tuple[int, int, Cost]] = []
            for value in op.operands[::-1] if transposed else op.operands:
                inner, flipped = value.op, transposed
                if inner is not None and inner.name == "dml.t":
                    source = inner.operands[0].op
                    if (
                        source is not None
                        and _is_product(source)
                        and _is_link(source)
                        and value.has_one_use()
                    ):
                        inner, flipped = source, not transposed
                if inner is not None and _is_product(inner) and inner.parent is op.parent and _is_link(inner):
                    spans.append(walk(inner, flipped))
                else:
                    spans.append((at, at, FREE))
                    at += 1
            (i, k, left), (_, j, right) = spans
            if (i, j) not in self.sketch:
                self.sketch[i, j] = self.sketch[i, k].matmul(self.sketch[k + 1, j])
            return i, j, left + right + self.product(i, k, j)

        return walk(root, False)[2]


def _build(b: Builder, plan: _Plan, factors: list[tuple[Value, bool]], i: int, j: int) -> Value:
    if i == j:
        value, transposed = factors[i]
        return b(Transpose, value) if transposed else value
    k = plan.split[i, j]
    return b(MatMul, _build(b, plan, factors, i, k), _build(b, plan, factors, k + 1, j))


# -- orders that the data decides ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Choice:
    """Another order, for a factor that turns out to have fewer non-zeros than `limit`."""

    factor: int
    plan: _Plan
    limit: int
    why: str


def _alternative(plan: _Plan, factors: list[tuple[Value, bool]], expected: Expectations) -> _Choice | None:
    """The order that pays most if a matrix of which nothing is known is sparse, where that is much."""
    best: tuple[float, _Choice] | None = None
    for value in dict.fromkeys(v for v, _ in factors):
        if not is_open(value, expected) or not all(isinstance(d, int) for d in plan.sizes):
            continue
        places = [i for i, (v, _) in enumerate(factors) if v is value]

        def at(share: float, places: list[int] = places) -> tuple[float, float, _Plan]:
            other = _Plan(
                plan.sizes, [plan.supposed(i, share if i in places else None) for i in range(len(factors))]
            )
            return other.under(plan, 0, len(factors) - 1).seconds, other.cost.seconds, other

        kept, changed, other = at(_SPARSE)
        if kept - changed < _LARGE_GAIN or kept < changed * _LARGE_FACTOR:
            continue
        low, high = _SPARSE, 1.0
        for _ in range(8):  # where the two orders cost the same
            middle = (low * high) ** 0.5
            supposed = at(middle)[2]
            if (
                supposed.under(other, 0, len(factors) - 1).seconds
                < supposed.under(plan, 0, len(factors) - 1).seconds
            ):
                low = middle
            else:
                high = middle
        type = value.type
        assert isinstance(type, Matrix)
        assert isinstance(type.rows, int)
        assert isinstance(type.cols, int)
        limit = int(low * type.rows * type.cols)
        name = value.name or "a factor"
        why = f"{name} may have fewer than {limit} non-zeros: with 1 % of its cells another order takes {changed:.2g} s instead of {kept:.2g} s"
        if best is None or kept - changed > best[0]:
            best = kept - changed, _Choice(places[0], other, limit, why)
    return None if best is None else best[1]


def _build_choice(
    b: Builder, plan: _Plan, choice: _Choice, factors: list[tuple[Value, bool]], type: Type
) -> Value:
    count = b(NNZ, factors[choice.factor][0])
    sparse = b(Binary, "lt", count, b(Constant, value=choice.limit))
    regions = []
    for one in (choice.plan, plan):
        region = Region()
        inner = Builder(region, loc=b.loc)
        inner.op(Yield, [_build(inner, one, factors, 0, len(factors) - 1)])
        regions.append(region)
    return b.op(If, sparse, why=choice.why, types=[type], regions=regions).result
