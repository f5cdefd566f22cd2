"""Chains of sparse products are ordered as if their non-zeros had been counted."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np

from sysmlc.passes.chains.plan import Plan
from sysmlc.passes.estimate import FREE, Cost, product_cost
from sysmlc.passes.sparsity import Sketch


def chain(rng: random.Random) -> list[np.ndarray]:
    data = np.random.default_rng(rng.randrange(1 << 30))
    sizes = [rng.choice((20, 40, 60, 90)) for _ in range(rng.randint(4, 6))]
    factors = []
    for rows, cols in pairwise(sizes):
        kind = rng.random()
        made = (data.random((rows, cols)) < rng.choice((0.01, 0.03, 0.1, 0.3, 1.0))).astype(float)
        if kind < 0.2:  # one in each row
            made = np.zeros((rows, cols))
            made[np.arange(rows), data.integers(0, cols, rows)] = 1
        elif kind < 0.3:
            made = np.eye(rows, cols)
        factors.append(made)
    return factors


class Counted:
    """All orders of a chain, with costs from non-zeros that are counted."""

    def __init__(self, factors: list[np.ndarray]) -> None:
        n = len(factors)
        self.value = {(i, i): f for i, f in enumerate(factors)}
        for length in range(1, n):
            for i in range(n - length):
                made = self.value[i, i + length - 1] @ factors[i + length]
                self.value[i, i + length] = (made != 0).astype(float)

    def product(self, i: int, k: int, j: int) -> Cost:
        left, right = self.value[i, k], self.value[k + 1, j]
        met = float((left != 0).sum(axis=0) @ (right != 0).sum(axis=1))
        return product_cost(*left.shape, right.shape[1], (left != 0).mean(), (right != 0).mean(), met)

    def best(self, i: int, j: int) -> float:
        if i == j:
            return 0.0
        return min(self.best(i, k) + self.best(k + 1, j) + self.product(i, k, j).seconds for k in range(i, j))

    def of(self, plan: Plan, i: int, j: int) -> Cost:
        if i == j:
            return FREE
        k = plan.split[i, j]
        return self.of(plan, i, k) + self.of(plan, k + 1, j) + self.product(i, k, j)


def test_orders_are_those_of_an_exhaustive_search() -> None:
    rng = random.Random(5)
    good = 0
    for _ in range(200):
        factors = chain(rng)
        n = len(factors)
        plan = Plan([f.shape[0] for f in factors] + [factors[-1].shape[1]], [Sketch.of(f) for f in factors])
        counted = Counted(factors)
        good += counted.of(plan, 0, n - 1).seconds <= counted.best(0, n - 1) * 1.02
    assert good >= 0.95 * 200
