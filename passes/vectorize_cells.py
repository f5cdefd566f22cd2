"""Write the loops of cell kernels: one `kernel.func` for each variant of a `kernel.cell`, with explicit SIMD.

In process, variants are written when they are first launched (`vectorize`); the pass writes all of them, for executables.
"""

from __future__ import annotations

from dataclasses import dataclass

from sysmlc.ir.core import Builder, Op, Region
from sysmlc.ir.dialects.core import Module, Return
from sysmlc.ir.dialects.kernel import FORM_DENSE, CellKernel, KernelFunc, RowKernel, form_driver
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import i64, ptr
from sysmlc.passes.cell_body import Frame
from sysmlc.passes.cell_dense import dense_loops
from sysmlc.passes.cell_sparse import csr_loops
from sysmlc.passes.vectorize_rows import row_loops


@register_pass
@dataclass(frozen=True)
class VectorizeCells(Pass):
    """Write the loops of every kernel variant a program may launch."""

    name = "vectorize-cells"
    lanes: int = 8

    def run(self, module: Module) -> None:
        for op in list(module.body):
            if isinstance(op, CellKernel):
                for key in op.variants:
                    module.body.append(vectorize(op, key, self.lanes))
                    self.count("variants")


def variant_name(kernel: CellKernel, key: int) -> str:
    """The symbol of a variant."""
    return f"{kernel.sym}_{key:x}"


def vectorize(kernel: CellKernel, key: int, lanes: int) -> Op:
    """The function of one variant for SIMD registers of `lanes` f64."""
    region = Region([ptr, i64, i64, i64, i64], ["args", "r0", "r1", "c0", "c1"])
    b = Builder(region, loc=kernel.loc)
    if isinstance(kernel, RowKernel):
        row_loops(b, kernel, key, lanes, region.args)
        b.op(Return, ())
        return KernelFunc.new(sym=variant_name(kernel, key), regions=[region], loc=kernel.loc)
    form = key >> 16 & 15
    frame = Frame(b, kernel, key & 0xFFFF, lanes, region.args)
    if form == FORM_DENSE:
        dense_loops(frame)
    else:
        driver = form_driver(form)
        assert driver is not None
        csr_loops(frame, driver)
    b.op(Return, ())
    return KernelFunc.new(sym=variant_name(kernel, key), regions=[region], loc=kernel.loc)
