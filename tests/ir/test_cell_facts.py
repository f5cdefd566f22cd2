"""What is claimed of each function of cells holds for random cells, of which only what they are is known."""

from __future__ import annotations

import random
from math import inf, isinf, nan

import numpy as np
import pytest

from sysmlc.codegen.reference import cells
from sysmlc.ir.dialects import cell_facts
from sysmlc.ir.dialects.dml_cell import BINARY, BITWISE, UNARY
from sysmlc.ir.facts import Facts, observed

POOLS = [
    [0.0, 1.0], [0.0, 0.0], [1.0, 2.0, 3.0, 7.0], [-1.0, 0.0, 1.0], [-3.0, -2.0], [0.25, 0.5, 0.75], [-0.0, 0.0, 0.5], [-0.5, 0.5, 1.5],
    [2.5, 1e3, 800.0], [-800.0, -1e3, -0.5], [1e-300, 5e-324, 1e-200], [1e300, 1e200, 1e308], [-1e300, 1e300], [nan, 0.0, 1.0],
    [inf, 1.0], [-inf, 0.0], [inf, -inf, 0.0], [nan], [nan, inf, -2.0], [4503599627370497.5, 9007199254740993.0], [1.0], [-1.0], [2.0, 0.0],
]  # fmt: skip


def drawn(rng: random.Random, pool: list[float]) -> tuple[np.ndarray, Facts]:
    values = np.array([rng.choice(pool) for _ in range(12)])
    seen = observed(values)
    return values, Facts(float(seen.low), float(seen.high), seen.nan, seen.whole)


def compare(claim: Facts, found: object, what: str) -> None:
    seen = observed(found).cells
    # What an operation rounds may be off by that.
    low, high = (b if isinf(b) else b + sign * 1e-15 * abs(b) for b, sign in ((seen.low, 1), (seen.high, -1)))
    near = Facts(low, high, seen.nan, seen.whole)
    assert not claim.broken_by(near), f"{what}: '{claim}' is not so for {found}"


@pytest.mark.parametrize("fn", UNARY)
def test_functions(fn: str) -> None:
    rng = random.Random(fn)
    for pool in POOLS:
        values, facts = drawn(rng, pool)
        with np.errstate(all="ignore"):
            found = cells.unary(None, fn, values)  # type: ignore[arg-type]
        compare(cell_facts.unary(fn, facts), found, f"{fn} of {values} ({facts})")


@pytest.mark.parametrize("fn", [fn for fn in BINARY if fn not in BITWISE])
def test_functions_of_two(fn: str) -> None:
    rng = random.Random(fn)
    for first in POOLS:
        for second in POOLS:
            (x, left), (y, right) = drawn(rng, first), drawn(rng, second)
            with np.errstate(all="ignore"):
                found = cells.binary(None, fn, x, y)  # type: ignore[arg-type]
                same = cells.binary(None, fn, x, x)  # type: ignore[arg-type]
            compare(cell_facts.binary(fn, left, right), found, f"{x} {fn} {y} ({left}, {right})")
            compare(cell_facts.binary(fn, left, left, True), same, f"{x} {fn} itself ({left})")
