"""The cheapest order of a chain of matrix products, by dynamic programming."""

from __future__ import annotations

from typing import TypeAlias

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.passes.estimate import FREE, Cost, product_cost, sampled_cost
from sysmlc.passes.outer.worth import may_sample
from sysmlc.passes.sparsity import Expectations, Sketch

Factor: TypeAlias = tuple[Value, bool]
"""A factor and whether it is used transposed."""


def is_product(op: Op) -> bool:
    return op.name == "dml.matmul" and not op.attrs


def is_link(op: Op) -> bool:
    """Whether a product is an inner part of a longer chain."""
    result = op.results[0]
    if not result.has_one_use():
        return False
    user = next(iter(result.uses))[0]
    if user.name == "dml.t" and user.parent is op.parent:
        if not user.results[0].has_one_use():
            return False
        user = next(iter(user.results[0].uses))[0]
    return user.parent is op.parent and is_product(user)


def sketch_of(expected: Expectations, value: Value, transposed: bool, sizes: list[int]) -> Sketch:
    """What is expected of a factor, in sizes to compare by."""
    found = expected.sketch(value)
    found = found.t() if transposed else found
    rows, cols = sizes
    return (
        found
        if (found.rows, found.cols) == (rows, cols)
        else Sketch.spread(rows, cols, found.density * rows * cols)
    )


class Plan:
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

    def under(self, other: Plan, i: int, j: int) -> Cost:
        """The cost of another plan's order with these sketches."""
        if i == j:
            return FREE
        k = other.split[i, j]
        cost = self.under(other, i, k) + self.under(other, k + 1, j)
        return cost + self.product(i, k, j)

    def cost_of(self, root: Op, factors: list[Factor]) -> Cost:
        """The cost of the chain in the order it is written in."""
        at = 0

        def walk(op: Op, transposed: bool) -> tuple[int, int, Cost]:
            nonlocal at
            spans: list[tuple[int, int, Cost]] = []
            for value in op.operands[::-1] if transposed else op.operands:
                inner, flipped = value.op, transposed
                if inner is not None and inner.name == "dml.t":
                    source = inner.operands[0].op
                    if source is not None and is_product(source) and is_link(source) and value.has_one_use():
                        inner, flipped = source, not transposed
                if inner is not None and is_product(inner) and inner.parent is op.parent and is_link(inner):
                    spans.append(walk(inner, flipped))
                else:
                    spans.append((at, at, FREE))
                    at += 1
            (i, k, left), (_, j, right) = spans
            if (i, j) not in self.sketch:
                self.sketch[i, j] = self.sketch[i, k].matmul(self.sketch[k + 1, j])
            return i, j, left + right + self.product(i, k, j)

        return walk(root, False)[2]


def build(b: Builder, plan: Plan, factors: list[Factor], i: int, j: int) -> Value:
    if i == j:
        value, transposed = factors[i]
        return b(Transpose, value) if transposed else value
    k = plan.split[i, j]
    return b(MatMul, build(b, plan, factors, i, k), build(b, plan, factors, k + 1, j))
