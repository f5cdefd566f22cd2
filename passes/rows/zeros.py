"""What a scan of all cells computes in vain: where a sparse matrix is zero.

The rows of a sparse matrix that is read along are written out, and whatever is made of them is computed for every cell. Operations
that only need its non-zeros are then better off outside of the scan, in kernels that visit nothing else.
"""

from __future__ import annotations

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul
from sysmlc.ir.dialects.shapes import constant
from sysmlc.passes.fusion.cost import BYTES_PER_SECOND, CACHED_BYTES_PER_SECOND, FLOPS_PER_SECOND, flops_of
from sysmlc.passes.rows.fits import product_factors
from sysmlc.passes.rows.frame import ROWS
from sysmlc.passes.rows.grow import RowGroup, grow
from sysmlc.passes.rows.order import Order
from sysmlc.passes.rows.worth import is_worth_it
from sysmlc.passes.sparse_safety import Abstract, Unknown, evaluate_at
from sysmlc.passes.sparsity.uses import ENTRY_SECONDS, LINE_SECONDS, is_stored_csr

_NEAR = 1 << 20
"""Bytes of a block of rows that stays near the processor while it is written out and read."""
_SHORT_ROW_SECONDS = 4e-9
"""What a row takes along its entries, however few there are."""
_REDUCTION_FLOPS = 2
"""Arithmetic of a product or an aggregate for each cell."""


def group_of(order: Order, main: Value, single: bool = False) -> RowGroup:
    """The largest group of a region that scans `main`, without what needs but few of the cells that it visits."""
    group = grow(order, main, single)
    if not is_worth_it(group):
        return group
    zeros = _Zeros(group)
    outside = zeros.better_outside()
    if outside:
        rest = grow(order, main, single, outside)
        # Where the rest needs a sparse matrix written out, block by block is cheaper than at once.
        if main not in zeros.sparse or is_worth_it(rest):
            zeros = _Zeros(rest)
    made = RowGroup(main, order.expected, single) if zeros.spoils_main() else zeros.group
    made.depends_on_single = group.depends_on_single
    return made


class _Zeros:
    """The sparse matrices that a group reads, and what is zero where they are."""

    def __init__(self, group: RowGroup) -> None:
        self.group, self.expected = group, group.expected
        read = dict.fromkeys(v for op in group.members for v in product_factors(op) or op.operands)
        wide = [v for v in read if group.kind.get(v) == "wide" and v.op not in group.members]
        self.sparse = [v for v in wide if is_stored_csr(v, self.expected)]
        self.zero_at: dict[Value, frozenset[Value]] = {v: frozenset({v}) for v in self.sparse}
        """For each value the sparse matrices whose zeros make it zero."""
        for op in group.members if self.sparse else ():
            if isinstance(op, (Unary, Binary, IfElse)):
                self.zero_at[op.results[0]] = frozenset(s for s in self.sparse if self._is_zero(op, s))

    def _is_zero(self, op: Op, source: Value) -> bool:
        arguments: list[Abstract] = []
        for value in op.operands:
            known = constant(value)
            if source in self.zero_at.get(value, ()):
                arguments.append(0.0)
            else:
                arguments.append(float(known) if isinstance(known, (int, float)) else Unknown.CELL)
        return evaluate_at(op, arguments) == 0.0

    def spoils_main(self) -> bool:
        """Whether the scan would write out the rows of a sparse matrix although nothing needs that: regions over cells keep to the
        non-zeros in what they read and write, and try what zeros make with the numbers that are there at run time."""
        group = self.group
        writes = any(group.kind.get(v) == "wide" for v in group.outputs())
        products = any(isinstance(op, MatMul) for op in group.members)
        return group.main in self.sparse and (writes or not products) and not self._is_along_main()

    def better_outside(self) -> dict[Op, None]:
        """The members that are better off in another kernel: those that only need the non-zeros of a sparse matrix or, where the
        scan could visit nothing but these, the others."""
        group, drivers = self.group, self._drivers()
        if not drivers or self._is_along_main():
            return {}
        inside = {op: None for op in group.members if op not in drivers and group.reads_wide(op)}
        written = [s for s in self.sparse if any(self._reads(op, s) for op in inside)]
        spared = sum(self._writing_seconds(s) for s in self.sparse if s not in written)
        for op, driver in drivers.items():
            sketch = self.expected.sketch(driver)
            closes = isinstance(op, (MatMul, Aggregate))
            flops = _REDUCTION_FLOPS if closes else flops_of([op])
            spared += flops * sketch.rows * sketch.cols / FLOPS_PER_SECOND
            spared -= sketch.nnz * LINE_SECONDS + sketch.rows * _SHORT_ROW_SECONDS if closes else 0.0
        if spared <= 0:
            return {}
        return inside if group.main in self.sparse and group.main not in written else dict.fromkeys(drivers)

    def _reads(self, op: Op, source: Value) -> bool:
        """Whether an operation reads cells of a sparse matrix, or what is zero where they are."""
        return any(source in self.zero_at.get(v, ()) for v in product_factors(op) or op.operands)

    def _writing_seconds(self, value: Value) -> float:
        """What it takes to write out the rows of a sparse matrix."""
        sketch = self.expected.sketch(value)
        rate = BYTES_PER_SECOND if 8 * ROWS * sketch.cols > _NEAR else CACHED_BYTES_PER_SECOND
        return 8 * sketch.rows * sketch.cols / rate + 2 * sketch.nnz * ENTRY_SECONDS

    def _is_along_main(self) -> bool:
        """Whether the scan visits the non-zeros of a sparse matrix only."""
        group, main = self.group, self.group.main
        wide = [op for op in group.members if group.reads_wide(op)]
        return all(main in self._zero_at(op) for op in wide) and not any(
            group.kind.get(v) == "wide" for v in group.outputs()
        )

    def _drivers(self) -> dict[Op, Value]:
        """The members that only need the non-zeros of a sparse matrix, none of which others need all cells of, with the
        matrix that has the fewest."""
        found: dict[Op, Value] = {}
        for op in reversed(self.group.members):
            zero_at = self._zero_at(op) if self.group.reads_wide(op) else frozenset[Value]()
            is_wide = self.group.kind.get(op.results[0]) == "wide"
            users = [u for u in op.results[0].users() if u in self.group.members] if is_wide else []
            if zero_at and all(u in found for u in users):
                found[op] = min(zero_at, key=lambda v: self.expected.sketch(v).nnz)
        return found

    def _zero_at(self, op: Op) -> frozenset[Value]:
        """The sparse matrices at whose zeros an operation has nothing to do."""
        factors = product_factors(op)
        if factors is not None:
            return frozenset().union(*(self.zero_at.get(v, ()) for v in factors))
        reads = op.operands[0] if isinstance(op, (MatMul, Aggregate)) else op.results[0]
        return self.zero_at.get(reads, frozenset())
