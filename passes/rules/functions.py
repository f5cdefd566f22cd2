"""Rules that a table cannot say: about any cellwise operation, any number of operands, or ranges.

Their promises are those of the tables (see the head of static.rules).
"""

from __future__ import annotations

from typing import Final

from sysmlc.ir.rewrite import Rule, RuleSet
from sysmlc.passes.rules import cellwise, generators, ranges, slices

FUNCTIONS: Final = RuleSet(
    one
    for module in (cellwise, ranges, slices, generators)
    for one in vars(module).values()
    if isinstance(one, Rule)
)
