"""Say where matrices that were edited cell by cell, or row by row, are read as a whole.

`X[i, j] = v` and `X[i, ] = r` in a loop change a CSR matrix without copying it: the runtime keeps changed rows aside. Only reading and
writing of parts knows of them, so an `rt.settle`, which does nothing without edits, stands before any other use of
what may be edited.
"""

from __future__ import annotations

from typing import Final

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.rt import Settle
from sysmlc.ir.passes import Pass, register_pass

_EDITS: Final = frozenset({"dml.set_cell", "dml.left_index"})
_KNOWS: Final = _EDITS | {"dml.get_cell", "dml.index", "dml.nrow", "dml.ncol", "dml.length"}
"""What knows of edits of its first operand, or does not look at cells."""
_HANDS_ON: Final = frozenset({"scf.if", "scf.for", "scf.parfor", "scf.while", "core.yield"})


@register_pass
class SettleEdits(Pass):
    """Have edits of sparse matrices put in before other operations read them."""

    name = "settle-edits"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name == "core.func":
                self._function(func)

    def _function(self, func: Op) -> None:
        flow: dict[Value, list[Value]] = {}
        found: list[Value] = []
        for op in func.walk():
            if op.name in _EDITS:
                found.append(op.result)
            for source, target in op.flow():
                flow.setdefault(source, []).append(target)
        edited: dict[Value, None] = {}
        while found:
            value = found.pop()
            if value not in edited:
                edited[value] = None
                found += flow.get(value, ())
        readers: dict[Op, dict[Value, None]] = {}
        for value in edited:
            for user, i in value.uses:
                if user.name not in _HANDS_ON and not (i == 0 and user.name in _KNOWS):
                    readers.setdefault(user, {})[value] = None
        for user, values in readers.items():
            for value in values:
                Builder.before(user).op(Settle, value)
                self.count("readings of edited matrices")
