"""When a row kernel computes what.

Values are of four kinds: `scalar` (the same for all rows), `single` (one number a row), `narrow` (a few a row, the length of a
product with a side, or of columns put together) and `wide` (the length of the scanned row). A block of rows is done level by level: what is reduced over
columns in one level is known in the next. Wide values are computed where they are needed, again in each level, unless
that is expensive; then they are kept in scratch memory, as are narrow values that later levels need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sysmlc.ir.core import Op, Region, Value
from sysmlc.passes.cell_body import EXPENSIVE
from sysmlc.passes.rows.lengths import (
    REDUCTIONS,
    WIDE,
    Lengths,
    is_assembly,
    is_matmul,
    is_product,
    is_reduction,
)


@dataclass(frozen=True)
class Output:
    """One result of a row kernel: the yielded value, or the two factors of an outer product."""

    index: int
    kind: str
    fn: str
    values: tuple[Value, ...]


class Plan:
    """Kinds, levels and scratch memory of the values of a row region; `mask` says which inputs have several columns."""

    def __init__(self, body: Region, roles: Sequence[str], outputs: Sequence[str], mask: int) -> None:
        self.body, self.roles = body, roles
        self.lengths = Lengths(body, roles)
        mask = self.lengths.several(mask)
        self.kind: dict[Value, str] = {}
        self.level: dict[Value, int] = {}
        self.ops = [op for op in body if op.name != "core.yield" and not is_product(op)]
        for arg, role in zip(body.args, roles, strict=True):
            self.kind[arg] = "scalar" if role == "scalar" else self._kind(arg, mask)
            self.level[arg] = 0
        for op in self.ops:
            value = op.results[0]
            uniform = not (is_reduction(op) or is_assembly(op)) and all(
                self.kind[v] == "scalar" for v in op.operands
            )
            self.kind[value] = "scalar" if uniform else self._kind(value, mask)
            base = max((self.level[v] for v in op.operands), default=0)
            closes = (
                is_matmul(op)
                or (is_reduction(op) and self.kind[op.operands[0]] != "single")
                or (is_assembly(op) and any(self._is_computed(v, base) for v in op.operands))
            )
            self.level[value] = base + closes
        self.outputs: list[Output] = []
        for i, (kind, value) in enumerate(zip(outputs, body.terminator.operands, strict=True)):
            what, _, fn = kind.partition(":")
            factors = tuple(value.op.operands) if what == "product" and value.op is not None else (value,)
            self.outputs.append(Output(i, what, fn, factors))
        self.top = max(self.level.values())
        self.reads_at = {
            op: self.level[op.results[0]]
            if is_assembly(op)
            else max((self.level[v] for v in op.operands), default=0)
            for op in self.ops
        }
        """When each operation reads its operands."""
        self.kept = {v for op in self.ops if self._is_kept(v := op.results[0])}

    def _kind(self, value: Value, mask: int) -> str:
        several = any(mask >> i & 1 for i in self.lengths.sources[value])
        if not several:
            return "single"
        return "wide" if self.lengths.class_of(value) == WIDE else "narrow"

    def _is_computed(self, value: Value, level: int) -> bool:
        """Whether the columns of the value are computed one after the other at this level, not known when it begins."""
        op = value.op
        computed = op is not None and not (is_matmul(op) or is_assembly(op))
        return computed and self.kind[value] == "narrow" and self.level[value] == level

    def output_level(self, output: Output) -> int:
        return max(self.level[v] for v in output.values)

    # -- scratch memory --------------------------------------------------------------------------------------------

    def _is_kept(self, value: Value) -> bool:
        """Whether the value is put into scratch memory by the level that computes it."""
        op, kind = value.op, self.kind[value]
        assert op is not None
        if kind in ("scalar", "single"):
            return False
        if is_matmul(op) or is_assembly(op):
            return True
        later = self.is_used_later(value)
        if kind == "narrow":
            yielded = any(o.kind in ("map", "product") and value in o.values for o in self.outputs)
            return later or yielded
        return self.is_expensive(value) and (later or self._is_used_in_columns(value))

    def is_used_later(self, value: Value) -> bool:
        level = self.level[value]
        return any(self.reads_at.get(u, 0) > level for u in value.users()) or any(
            self.output_level(o) > level for o in self.outputs if value in o.values
        )

    def _is_used_in_columns(self, value: Value) -> bool:
        """Whether a loop over the columns of a side reads the value again and again."""
        return any(is_matmul(u) and self.kind[u.results[0]] == "narrow" for u in value.users()) or any(
            o.kind == "product" and value in o.values and any(self.kind[v] == "narrow" for v in o.values)
            for o in self.outputs
        )

    def is_expensive(self, value: Value) -> bool:
        """Whether computing a wide value again would cost more than reading it."""
        op = value.op
        if op is None or self.kind[value] != "wide" or is_matmul(op):
            return False
        return op.fn in EXPENSIVE or any(self.is_expensive(v) for v in op.operands)


def reduction_of(op: Op) -> tuple[str, bool]:
    """The function of a reduction (`place of min`: the column of the minimum), and whether cells are squared first."""
    return REDUCTIONS[op.fn], op.fn == "sumsq"


def slots(plan: Plan) -> list[tuple[Value | None, int | None]]:
    """What may need scratch memory in some variant, with the class that gives its length; None stands for the scanned rows
    turned round. `plan` is that of all columns."""
    made: list[tuple[Value | None, int | None]] = []
    if any(is_matmul(op) and plan.kind[op.results[0]] == "narrow" for op in plan.ops):
        made.append((None, WIDE))
    for op in plan.ops:
        value = op.results[0]
        cheap = WIDE in plan.lengths.sources[value] and not plan.is_expensive(value)
        if plan.kind[value] != "scalar" and not cheap:
            made.append((value, plan.lengths.class_of(value)))
    return made
