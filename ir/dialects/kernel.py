"""Kernels: loops over memory with explicit SIMD. Backends only print this dialect.

Floating arithmetic is the cellwise operations of `dml` on f64, f32 and vectors of them (relations of vectors give 0/1 lanes); what
is here is memory, loops, integers and lanes. A `kernel.cell` describes what is computed for one cell and which variants
may be launched; a `kernel.func` is one variant, a function `void (sm_cell_args*, i64 r0, i64 r1, i64 c0, i64 c1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Body, Operand, Operands, define
from sysmlc.ir.dialects.shapes import element
from sysmlc.ir.types import Handle, Matrix, Scalar, Type, Vector, f32, f64, i1, i64, ptr, vector

FORM_DENSE: Final = 0
FORM_UNION: Final = 3
FIELDS: Final = (
    "in",
    "in_rs",
    "out",
    "out_rs",
    "out_rows",
    "rowptr",
    "colidx",
    "rowptr2",
    "colidx2",
    "flags",
    "scratch",
    "lengths",
)
"""Members of sm_cell_args; `scratch` and `lengths` are those of sm_row_args."""
INTEGER: Final = ("iadd", "isub", "imul", "iand", "imin")
INTEGER_RELATIONS: Final = ("ilt", "ige", "ieq")


def csr_form(index: int) -> int:
    """The form number of kernels driven by the non-zeros of input `index`."""
    return index + 1 if index < 2 else index + 2


def form_driver(form: int) -> int | None:
    """The input that drives kernels of this form; None for the dense and the union form."""
    if form in (FORM_DENSE, FORM_UNION):
        return None
    return form - 1 if form < FORM_UNION else form - 2


@define("kernel.cell", traits={"isolated"})
class CellKernel(Op):
    """What a launch computes for each cell: one argument for each input, one yielded value for each output, f64 or f32.

    `outputs` are as in `fused.cell`. `variants` lists the keys that can occur (bits 0..15: inputs with column stride 1, bits
    16..19: the form). `sparse_safe`: bit i says the result is 0 wherever input i is 0 and the others are finite;
    `sparse_probe`: bit i says that this depends on scalar inputs only, so that one evaluation at run time can tell;
    `zero_safe`: the result is 0 where all matrices are; `outer`: a column vector and a row vector may combine. `leads`: for each
    input those that may only have the full shape where it has, because it stands to the left of them.
    """

    sym: Attr[str]
    outputs: Attr[tuple[str, ...]]
    variants: Attr[tuple[int, ...]]
    sparse_safe: Attr[int] = 0  # type: ignore[assignment]
    sparse_probe: Attr[int] = 0  # type: ignore[assignment]
    zero_safe: Attr[bool] = False  # type: ignore[assignment]
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


@define("kernel.while")
class KernelWhile(Op):
    """Runs `body` (carried values to carried values) as long as `cond` (carried values to i1) holds."""

    inits: Operands[Any]
    cond: Body
    body: Body

    def infer(self) -> Sequence[Type]:
        return [v.type for v in self.inits]

    def check(self) -> None:
        _check_yield(self, [i1], 0)
        _check_yield(self, [r.type for r in self.results], 1)


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


@define("kernel.field", traits={"pure"})
class Field(Op):
    """A member of the argument block; `index` counts inputs or outputs. `out_rows` is `out_rs` where it holds an address."""

    args: Operand[Handle]
    member: Attr[str]
    index: Attr[int] = 0  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (i64 if self.member in ("in_rs", "out_rs", "flags") else ptr,)

    def check(self) -> None:
        if self.member not in FIELDS:
            raise self.error(f"unknown member '{self.member}'")


@define("kernel.offset", traits={"pure"})
class Offset(Op):
    """The address of element `index` behind `base`; `elem` is f64, f32, i64 or i32."""

    base: Operand[Handle]
    index: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (ptr,)


@define("kernel.misaligned", traits={"pure"})
class Misaligned(Op):
    """The address modulo `to` bytes (a power of two), i64."""

    base: Operand[Handle]
    to: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("kernel.load")
class Load(Op):
    """Reads the given result type (scalar or vector) at an address; with `width` i32, an i64 is read from 32 bits."""

    address: Operand[Handle]
    width: Attr[str] = ""  # type: ignore[assignment]


@define("kernel.load_masked")
class LoadMasked(Op):
    """Reads the lanes that `mask` names; the others are 0 and not touched. The result type is given."""

    address: Operand[Handle]
    mask: Operand[Vector]


@define("kernel.gather")
class Gather(Op):
    """`base[indices[l]]` for the lanes that `mask` names, 0 in the others. `indices` is a vector of i32 or i64."""

    base: Operand[Handle]
    indices: Operand[Vector]
    mask: Operand[Vector]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        assert isinstance(self.indices.type, Vector)
        return (vector(self.indices.type.lanes, element(self)),)


@define("kernel.store")
class Store(Op):
    """Writes a scalar or vector; `streaming` passes the caches by (the address must be aligned to the vector)."""

    value: Operand[Any]
    address: Operand[Handle]
    streaming: Attr[bool] = False  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.store_masked")
class StoreMasked(Op):
    """Writes the lanes that `mask` names."""

    value: Operand[Vector]
    address: Operand[Handle]
    mask: Operand[Vector]

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.scatter")
class Scatter(Op):
    """Writes to `base[indices[l]]` the lanes that `mask` names, of which no two may have the same index."""

    value: Operand[Vector]
    base: Operand[Handle]
    indices: Operand[Vector]
    mask: Operand[Vector]

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.prefetch")
class Prefetch(Op):
    """Asks for the cache line at an address, which need not be valid: into all caches, or only the far ones."""

    address: Operand[Handle]
    far: Attr[bool] = False  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.fence")
class Fence(Op):
    """Orders streaming stores before everything that follows."""

    def infer(self) -> Sequence[Type]:
        return ()


@define("kernel.mask", traits={"pure"})
class Mask(Op):
    """The first `count` lanes of `lanes`: all for a larger count, none for a negative one."""

    count: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (vector(self.lanes, i1),)


@define("kernel.splat", traits={"pure"})
class Splat(Op):
    """A scalar (f64, f32 or i64) in every lane."""

    operand: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        assert isinstance(self.operand.type, Scalar)
        return (vector(self.lanes, self.operand.type),)


@define("kernel.iota", traits={"pure"})
class Iota(Op):
    """0, scale, 2·scale, … as i64 lanes."""

    scale: Operand[Scalar]
    lanes: Attr[int]

    def infer(self) -> Sequence[Type]:
        return (vector(self.lanes, i64),)


@define("kernel.halves", traits={"pure"})
class Halves(Op):
    """The lower and the upper lanes; scalars once there are two."""

    operand: Operand[Vector]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        assert isinstance(source, Vector)
        half = vector(source.lanes // 2, source.elem) if source.lanes > 2 else source.elem
        return (half, half)


@define("kernel.lane_sums", traits={"pure"})
class LaneSums(Op):
    """The sums of the lanes of vectors, as many as each has lanes: that of the first one in the first lane, and so on.

    Halves are added to halves until one number is left.
    """

    values: Operands[Vector]

    def infer(self) -> Sequence[Type]:
        return (self.values[0].type,)


@define("kernel", names=("widen", "narrow"), traits={"pure"})
class Precision(Op):
    """An f32 as f64 (exact), or an f64 rounded to f32; lane by lane."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        wide = self.fn == "widen"
        elem = source.elem if isinstance(source, Vector) else source
        if elem is not (f32 if wide else f64):
            raise self.error(f"cannot be applied to {source}")
        made = f64 if wide else f32
        return (vector(source.lanes, made) if isinstance(source, Vector) else made,)


@define("kernel.two_sum", traits={"pure"})
class TwoSum(Op):
    """The rounded sum and its exact rounding error (as long as nothing overflows); never contracted."""

    a: Operand[Any]
    b: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type, self.a.type)


@define("kernel.multiply_add", traits={"pure"})
class MultiplyAdd(Op):
    """`a * b + c`, rounded once where the processor can, else twice."""

    a: Operand[Any]
    b: Operand[Any]
    c: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type,)


@define("kernel.select", traits={"pure"})
class Select(Op):
    """`a` where the condition (i1, or a mask for vectors) holds, else `b`."""

    condition: Operand[Any]
    a: Operand[Any]
    b: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return (self.a.type,)


@define("kernel", names=INTEGER, traits={"pure"})
class Integer(Op):
    """i64 arithmetic without overflow checks: addresses and counters."""

    a: Operand[Scalar]
    b: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("kernel", names=INTEGER_RELATIONS, traits={"pure"})
class IntegerRelation(Op):
    """Signed comparison of two i64."""

    a: Operand[Scalar]
    b: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (i1,)
