"""Orders that the data decides: both are compiled, and the program looks at non-zeros or sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_matrix import NNZ, NCol, NRow
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.types import Matrix, Type, f64
from sysmlc.passes.chains.plan import Factor, Plan, build
from sysmlc.passes.sparsity import Expectations, is_open

_SPARSE = 0.01
"""The share of non-zeros of a matrix that is sparse, when that is a mere possibility."""
_LARGE_GAIN, _LARGE_FACTOR = 1e-3, 1.5
"""Seconds, and how many times less, that make it worth to leave an order open until the data is there."""


@dataclass(frozen=True)
class Choice:
    """Another order, for a factor that turns out to have fewer non-zeros than `limit`."""

    factor: int
    plan: Plan
    limit: int
    why: str


def alternative(plan: Plan, factors: list[Factor], expected: Expectations) -> Choice | None:
    """The order that pays most if a matrix of which nothing is known is sparse, where that is much."""
    best: tuple[float, Choice] | None = None
    for value in dict.fromkeys(v for v, _ in factors):
        if not is_open(value, expected) or not all(isinstance(d, int) for d in plan.sizes):
            continue
        places = [i for i, (v, _) in enumerate(factors) if v is value]

        def at(share: float, places: list[int] = places) -> tuple[float, float, Plan]:
            other = Plan(
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
            best = kept - changed, Choice(places[0], other, limit, why)
    return None if best is None else best[1]


def build_choice(b: Builder, plan: Plan, choice: Choice, factors: list[Factor], type: Type) -> Value:
    count = b(NNZ, factors[choice.factor][0])
    sparse = b(Binary, "lt", count, b(Constant, value=choice.limit))
    return _branch(b, sparse, choice.why, (choice.plan, plan), factors, type)


def by_sizes(b: Builder, plans: Mapping[int, Plan], factors: list[Factor], type: Type) -> Value:
    """`(A %*% B) %*% C` or `A %*% (B %*% C)`, whichever takes fewer multiplications."""

    def size(factor: int, first: bool) -> Value:
        value, transposed = factors[factor]
        return b(Cast, b(NRow if first != transposed else NCol, value), types=[f64])

    m, k, n, p = size(0, True), size(1, True), size(2, True), size(2, False)
    left = b(Binary, "mul", b(Binary, "mul", m, n), b(Binary, "add", k, p))
    right = b(Binary, "mul", b(Binary, "mul", k, p), b(Binary, "add", m, n))
    why = "which order takes fewer multiplications depends on sizes that are not known"
    return _branch(b, b(Binary, "lt", right, left), why, (plans[0], plans[1]), factors, type)


def _branch(
    b: Builder, condition: Value, why: str, plans: tuple[Plan, Plan], factors: list[Factor], type: Type
) -> Value:
    regions = []
    for one in plans:
        region = Region()
        inner = Builder(region, loc=b.loc)
        inner.op(Yield, [build(inner, one, factors, 0, len(factors) - 1)])
        regions.append(region)
    return b.op(If, condition, why=why, types=[type], regions=regions).result
