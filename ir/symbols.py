"""Symbols: operations that others refer to by name (`sym` attribute), found through the operation that holds them."""

from __future__ import annotations

from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic, Note


def symbol_table(holder: Op) -> dict[str, Op]:
    """The operations of `holder`'s first region by their symbol. A Diagnostic when one is defined twice."""
    table: dict[str, Op] = {}
    for op in holder.regions[0]:
        sym = op.attrs.get("sym")
        if not isinstance(sym, str):
            continue
        if sym in table:
            notes = (Note("the other one is here", table[sym].loc),)
            raise Diagnostic(f"'{op.name}' symbol '{sym}' is defined twice", op.loc, notes=notes)
        table[sym] = op
    return table


def symbol_holder(op: Op) -> Op:
    """The nearest operation around `op` (or itself) that holds symbols."""
    at: Op | None = op
    while at is not None and "symbols" not in at.traits:
        at = at.parent_op
    assert at is not None, f"{op.name} is in no operation that holds symbols"
    return at


def find_symbol(op: Op, name: str) -> Op | None:
    """The operation called `name` as seen from `op`, None when there is none. Scans: use `symbol_table` for many."""
    for candidate in symbol_holder(op).regions[0]:
        if candidate.attrs.get("sym") == name:
            return candidate
    return None
