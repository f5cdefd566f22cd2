"""Every rule of every table is true, and applies; and the oracle that says so finds wrong ones.

A missing guard shows as a wrong result or an error.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.ir.rule_oracle import WrongRule, check

from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.rules import Table, TableRule
from sysmlc.ir.source import Source
from sysmlc.passes.rules import table, table_names

RULES = [pytest.param(r, id=f"{name}:{r.loc.line}") for name in table_names() for r in table(name).rules]


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule):
    found = check(rule)
    assert found >= 3, f"{rule.loc}: {rule.name}: applies too rarely to be tested"


def one(text: str) -> TableRule:
    (rule,) = Table(Source("t.rules", text), DML).rules
    return rule


@pytest.mark.parametrize(
    "wrong",
    [
        "t(X) -> X",  # wrong shape
        "rowSums(t(X)) -> colSums(X)",  # a row instead of a column
        "rev(X) -> X if cols(X) == 1",  # the guard should be about rows
        "rev(X) -> X if not rows(X) > 2",
        "X - Y -> Y - X",
        "X + Y -> Y if nnz(X) == 0",  # Y may be smaller than X, and broadcast
        "X * Y -> Y * X",
        "X @ Y -> Y @ X",
        "(X @ Y) @ Z -> X @ (Z @ Y)",
        "X / x -> X * x",
        "X ^ x -> X * X if x > 1",
        "sum(X + Y) -> sum(X) + sum(Y)",
        "max(X) -> sum(X)",
        "x > y -> y > x",
        "X * 0 -> fill(0.0, nrow(X), ncol(X))",  # NaN stays NaN
        "!(X < x) -> X >= x",
        "diag(X) @ Y -> Y * X",
        "rowMaxs(X) -> rowSums(X) if one_in_row(X) and no_nan(X) and cols(X) > 0",  # of negative cells
        "X + (X == 0) * x -> replace(X, 0.0, x) if is_f64(x)",  # infinity times 0
    ],
)
def test_wrong_rules_are_found(wrong):
    with pytest.raises(WrongRule):
        check(one(wrong), count=400)


@pytest.mark.parametrize(
    "right",
    [
        "X + Y -> X if nnz(Y) == 0",
        "X + Y -> Y if nnz(X) == 0 and rows(X) == rows(Y) and cols(X) == cols(Y)",
        "rev(X) -> X if rows(X) == 1",
        "(X @ Y) @ Z -> X @ (Y @ Z)",
        "sum(X + Y) -> sum(X) + sum(Y) if rows(X) == rows(Y) and cols(X) == cols(Y)",
        "t(cbind(X, Y)) -> rbind(t(X), t(Y))",
        "X ^ x -> X * X if x == 2",
    ],
)
def test_right_rules_pass(right):
    assert check(one(right)) >= 3


def test_infinities_matter_only_where_a_table_says_so():
    infinite = (np.inf, -np.inf)
    assert check(one("X - X -> X * 0"), special=infinite)
    with pytest.raises(WrongRule):
        check(one("X / X -> X ^ 0 if nnz(X) > 0"), special=infinite)
    wrong = "X * Y + X * Z -> X * (Y + Z) if rows(X) == rows(Y) and cols(X) == cols(Y) and rows(Y) == rows(Z) and cols(Y) == cols(Z)"
    with pytest.raises(WrongRule):
        check(one(wrong), special=infinite, count=400)
    (allowed,) = Table(Source("t.rules", f"[distribute, regroup]\n{wrong}"), DML).rules
    assert check(allowed, special=infinite, count=400)
