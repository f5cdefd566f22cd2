"""Every line of every rule table is executed on random operands; a missing guard shows as a wrong result or an error."""

from __future__ import annotations

import pytest

from sysmlc.ir.algebra import Apply
from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.rules import Table, TableRule
from sysmlc.ir.source import Source
from sysmlc.passes.rules import table, table_names

from .oracle import agree, trials

RULES = [(name, one) for name in table_names() for one in table(name).rules]


@pytest.mark.parametrize(("name", "rule"), RULES, ids=[f"{n}:{r.name}"[:90] for n, r in RULES])
def test_rule_keeps_values(name: str, rule: TableRule) -> None:
    applied = 0
    for trial in trials(rule, tries=3000, enough=12):
        applied += 1
        assert agree(trial, "regroup" in rule.group), str(trial)
    assert applied, "no random operands make this rule apply"


@pytest.mark.parametrize(
    "wrong",
    [
        "X * Y -> Y * X",
        "sum(X + Y) -> sum(X) + sum(Y)",
        "t(X) -> X",
        "colSums(X) -> X",
        "X * 0 -> fill(0.0, nrow(X), ncol(X))",
        "!(X < x) -> X >= x",
        "diag(X) @ Y -> Y * X",
    ],
)
def test_a_wrong_rule_is_caught(wrong: str) -> None:
    rule = Table(Source("wrong.rules", wrong), DML).rules[0]
    assert isinstance(rule.left, Apply)

    def fails() -> bool:
        try:
            return any(not agree(t) for t in trials(rule, tries=900, enough=60))
        except Exception:
            return True

    assert fails()
