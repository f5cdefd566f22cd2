"""Write the loops of row kernels: one `kernel.func` for each variant of a `kernel.row`.

Rows are done in blocks of eight: each loop over columns keeps one accumulator for each row, what is one number a row fills the
lanes of a vector, and partial results of closing products are updated once for the block.
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.kernel import RowKernel
from sysmlc.ir.dialects.kernel_lanes import Integer
from sysmlc.passes.cell_body import Code
from sysmlc.passes.rows.csr import CsrLoops
from sysmlc.passes.rows.dense import DenseLoops, scans_of
from sysmlc.passes.rows.frame import ROWS, Block, RowFrame
from sysmlc.passes.rows.lengths import is_usual
from sysmlc.passes.rows.narrow import compute_singles, narrow_loops, narrow_products
from sysmlc.passes.rows.wide import actions_of

FORM_CSR = 1


def row_loops(b: Builder, kernel: RowKernel, key: int, lanes: int, params: list[Value]) -> None:
    """Write the body of one variant."""
    frame = RowFrame(b, kernel, key & 0xFFFF, lanes, params)
    code = frame.code
    sparse = key >> 16 == FORM_CSR
    pointers = (frame.field("rowptr"), frame.field("colidx")) if sparse else None
    levels = range(frame.plan.top + 1)
    actions = [actions_of(frame.plan, level) for level in levels]
    scans = [scan for level in levels for scan in scans_of(level, actions[level])]
    opening = next((level for level in levels if scans_of(level, actions[level])), None)

    def block(rows: int, inner: Code, first: Value) -> list[Value]:
        made = Block(frame, inner, first, rows)
        for level in levels:
            compute_singles(made, level)
            narrow_loops(made, level)
            narrow_products(made, level)
            if pointers is not None:
                CsrLoops(made, actions[level], pointers, level == opening).emit()
            else:
                DenseLoops(made, level, actions[level], scans).emit()
        return []

    if not is_usual(frame.plan.lengths, key):  # less code for what hardly ever runs
        code.loop(frame.r0, frame.r1, 1, [], lambda inner, r, _: block(1, inner, r))
        return
    height = code.sub(frame.r1, frame.r0)
    middle = code.add(frame.r0, code(Integer, "iand", height, code.integer(-ROWS)))
    code.loop(frame.r0, middle, ROWS, [], lambda inner, r, _: block(ROWS, inner, r))
    code.loop(middle, frame.r1, 1, [], lambda inner, r, _: block(1, inner, r))
