"""What is done with wide values, level by level; the loops are those of dense rows or of CSR rows."""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Op, Value
from sysmlc.passes.rows.lengths import is_matmul, is_reduction
from sysmlc.passes.rows.plan import Output, Plan


@dataclass
class Actions:
    """What is done with wide values of one level."""

    reductions: list[Op]
    """Aggregates of the row, and products with a side of one column."""
    matmuls: list[Op]
    """Products with a side of several columns."""
    kept: list[Value]
    maps: list[Output]
    sums: list[Output]
    """Sums of columns."""
    products: list[Output]
    """Outer products with one number a row."""
    broad: list[Output]
    """Outer products with several numbers a row."""

    @property
    def joint(self) -> bool:
        """Whether anything is done in the loop that all share."""
        return bool(self.reductions or self.kept or self.maps or self.sums or self.products)

    def joint_values(self) -> list[Value]:
        """The wide values that this loop needs."""
        outputs = [v for output in (*self.maps, *self.sums, *self.products) for v in output.values]
        return [*(op.operands[0] for op in self.reductions), *self.kept, *outputs]


def actions_of(plan: Plan, level: int) -> Actions:
    """The actions of a level."""

    def wide(value: Value) -> bool:
        return plan.kind[value] == "wide"

    closing = [op for op in plan.ops if is_matmul(op) or is_reduction(op)]
    here = [op for op in closing if wide(op.operands[0]) and plan.level[op.operands[0]] == level]
    outputs = [o for o in plan.outputs if plan.output_level(o) == level and any(wide(v) for v in o.values)]
    products = [o for o in outputs if o.kind == "product"]
    kept = [v for op in plan.ops if wide(v := op.results[0]) and v in plan.kept and plan.level[v] == level]
    return Actions(
        [op for op in here if plan.kind[op.results[0]] == "single"],
        [op for op in here if plan.kind[op.results[0]] != "single"],
        kept,
        [o for o in outputs if o.kind == "map"],
        [o for o in outputs if o.kind == "col"],
        [o for o in products if plan.kind[factors(plan, o)[1]] == "single"],
        [o for o in products if plan.kind[factors(plan, o)[1]] != "single"],
    )


def factors(plan: Plan, output: Output) -> tuple[Value, Value]:
    """The wide factor of an outer product, and the other one."""
    a, b = output.values
    return (a, b) if plan.kind[a] == "wide" else (b, a)
