"""Every rule of the table: the plan found is at least as cheap as what was written, and has the same value."""

from __future__ import annotations

import numpy as np
import pytest
from tests.passes.sum_product.programs import cost, optimized, program, random_values, results, types_of
from tests.passes.sum_product.rule_table import RULES, SHAPES

EXPRESSIONS = [pytest.param(e, id=f"{name}: {e}") for name, es in RULES.items() for e in es]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_at_least_as_cheap(expression):
    types = types_of(SHAPES)
    before = cost(program([expression], types))
    after, rewrites = optimized([expression], types)
    assert cost(after) <= before * 1.0001
    for r in rewrites:
        assert r.cost_after < r.cost_before


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_equal_in_value(expression, strict):
    types = types_of(SHAPES)
    before = program([expression], types)
    after, _ = optimized([expression], types, strict)
    values = random_values(SHAPES, 1)
    (expected,), (found,) = results(before, values), results(after, values)
    np.testing.assert_allclose(
        found, expected, rtol=1e-9, atol=1e-9 * max(1.0, float(np.max(np.abs(expected))))
    )
    assert np.shape(found) == np.shape(expected)
