"""Kernels: loops over memory with explicit SIMD. Backends only print this dialect.

Floating arithmetic is the cellwise operations of `dml` on f64, f32 and vectors of them (relations of vectors give 0/1 lanes).
Besides, there are memory (`kernel_memory.py`), integers and lanes (`kernel_lanes.py`), and here loops and kernels. A
`kernel.cell` describes what is computed for one cell and which variants may be launched; a `kernel.func` is one variant, a
function `void (sm_cell_args*, i64 r0, i64 r1, i64 c0, i64 c1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Body, Operand, Operands, define
from sysmlc.ir.types import Matrix, Scalar, Type, f32, f64, i64

FORM_DENSE: Final = 0
PROBED: Final = 1 << 31
"""In the second mask of `joint`: what results are is found at run time."""
SEPARATE: Final = 1 << 30
"""In masks of what it takes to know results: they are 0 where each of these lets them be, the others being 1."""


def csr_form(index: int) -> int:
    """The form number of kernels driven by the non-zeros of input `index`."""
    return index + 1


def form_driver(form: int) -> int | None:
    """The input that drives kernels of this form; None for the dense form."""
    return None if form == FORM_DENSE else form - 1


@define("kernel.cell", traits={"isolated"})
class CellKernel(Op):
    """What a launch computes for each cell: one argument for each input, one yielded value for each output, f64 or f32.

    `outputs` are as in `fused.cell`. `variants` lists the keys that can occur (bits 0..15: inputs with column stride 1, bits
    16..19: the form). `sparse_safe`: bit i says the result is 0 wherever input i is 0 and the others are finite;
    `sparse_probe`: bit i says that what results are there depends on scalars and the inputs `probe_needs[i]` only, so that
    evaluations at run time can tell if these are vectors; `joint`: pairs of masks, inputs that do so together where none of them
    does alone, and as `probe_needs` on what it depends (`PROBED`: not 0 for sure); `outer`: a column vector and a row vector may combine. `leads`: for each
    input those that may only have the full shape where it has, because it stands to the left of them.
    """

    sym: Attr[str]
    outputs: Attr[tuple[str, ...]]
    variants: Attr[tuple[int, ...]]
    sparse_safe: Attr[int] = 0  # type: ignore[assignment]
    sparse_probe: Attr[int] = 0  # type: ignore[assignment]
    probe_needs: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    joint: Attr[tuple[tuple[int, int], ...]] = ()  # type: ignore[assignment]
    outer: Attr[bool] = False  # type: ignore[assignment]
    leads: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    body: Body

    @property
    def elem(self) -> Scalar:
        """What cells are: f64 or f32."""
        type = self.body.args[0].type if self.body.args else f64
        elem = type.elem if isinstance(type, Matrix) else type
        assert isinstance(elem, Scalar)
        return elem

    def infer(self) -> Sequence[Type]:
        return ()

    def check(self) -> None:
        if any(a.type is not self.elem for a in self.body.args) or self.elem not in (f64, f32):
            raise self.error("region arguments must be f64, or f32")
        if len(self.body.terminator.operands) != len(self.outputs):
            raise self.error("needs one yielded value for each output")


@define("kernel.row", traits={"isolated"})
class RowKernel(CellKernel):
    """What a launch computes for each row: the region of a `fused.row`, its types reduced to what is one column.

    `roles` and `outputs` are as in `fused.row`. Bits 0..15 of variants say which inputs have several columns (sides: several
    columns of the product); form 1 is driven by the non-zeros of input 0, which `sparse_safe` bit 0 allows.
    """

    roles: Attr[tuple[str, ...]]

    def check(self) -> None:
        if len(self.body.args) != len(self.roles) or len(self.body.terminator.operands) != len(self.outputs):
            raise self.error("needs one role for each input and one yielded value for each output")


@define("kernel.func", traits={"isolated"})
class KernelFunc(Op):
    """One variant of a kernel. Its parameters are the arguments of `body`; nothing is returned."""

    sym: Attr[str]
    body: Body

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.for")
class KernelFor(Op):
    """Counts `i = start; i < stop; i += step` (step > 0). The region gets the counter, then the carried values."""

    start: Operand[Scalar]
    stop: Operand[Scalar]
    step: Operand[Scalar]
    inits: Operands[Any]
    body: Body

    def infer(self) -> Sequence[Type]:
        return [v.type for v in self.inits]

    def check(self) -> None:
        if any(v.type is not i64 for v in self.operands[:3]):
            raise self.error("bounds must be i64")
        if len(self.body.args) != 1 + len(self.results):
            raise self.error("needs a counter and one region argument for each carried value")
        _check_yield(self, [r.type for r in self.results], 0)


@define("kernel.if")
class KernelIf(Op):
    """One of two regions. Result types are given."""

    condition: Operand[Scalar]
    then: Body
    orelse: Body

    def check(self) -> None:
        for i in range(2):
            _check_yield(self, [r.type for r in self.results], i)


def _check_yield(op: Op, types: list[Type], region: int) -> None:
    last = op.regions[region].terminator
    if last.name != "core.yield" or [v.type for v in last.operands] != types:
        raise op.error(f"region {region} must yield {', '.join(map(str, types)) or 'nothing'}")
