"""Algebraic rewriting: the rule tables, and the rules of `rules/functions.py` that a table cannot say.

`simplify` applies static.rules and sized.rules; `simplify{tables=products}` lets products take over transposes, at the end.
`simplify{group=transpose}` applies one group of rules only; `simplify{strict-fp=true}` leaves out those that distribute. `--stats` says how often each rule applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.rewrite import Rule, RuleSet, rewrite
from sysmlc.passes.rules import table


@register_pass
@dataclass(frozen=True)
class Simplify(Pass):
    """Rewrite algebra by the rule tables."""

    name = "simplify"
    tables: str = "static+sized+functions"
    """Which tables, joined by `+`; `functions` are the rules written as code."""
    group: str = ""
    """Only the rules of this group (what a heading names before a comma, or all of it)."""

    strict_fp: bool = False
    """Leave out the groups `distribute`: what is written as a sum stays one."""

    def run(self, module: Module) -> None:
        rewrite(module, rule_set(self.tables, self.group, self.strict_fp), count=self.count)


@cache
def rule_set(tables: str, group: str = "", strict_fp: bool = False) -> RuleSet:
    """The rules of some tables."""
    rules: list[Rule] = []
    for name in tables.split("+"):
        if name == "functions":
            from sysmlc.passes.rules.functions import FUNCTIONS

            rules += FUNCTIONS.rules
        else:
            rules += table(name).rules
    if group:
        rules = [r for r in rules if group in (r.group, r.group.partition(",")[0])]
    if strict_fp:
        rules = [r for r in rules if r.group.partition(",")[0] != "distribute"]
    return RuleSet(rules)
