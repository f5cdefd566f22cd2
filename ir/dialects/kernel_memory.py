"""What kernels do with memory: their arguments, addresses, loads and stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import PURE, Attr, Operand, define
from sysmlc.ir.dialects.shapes import element
from sysmlc.ir.types import Handle, Scalar, Type, Vector, i64, ptr, vector

FIELDS: Final = (
    "in",
    "in_rs",
    "out",
    "out_rs",
    "rowptr",
    "colidx",
    "flags",
    "scratch",
    "lengths",
)
"""Members of sm_cell_args; `scratch` and `lengths` are those of sm_row_args."""


@define("kernel.field", traits=PURE)
class Field(Op):
    """A member of the argument block; `index` counts inputs or outputs."""

    args: Operand[Handle]
    member: Attr[str]
    index: Attr[int] = 0  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (i64 if self.member in ("in_rs", "out_rs", "flags") else ptr,)

    def check(self) -> None:
        if self.member not in FIELDS:
            raise self.error(f"unknown member '{self.member}'")


@define("kernel.offset", traits=PURE)
class Offset(Op):
    """The address of element `index` behind `base`; `elem` is f64, f32, i64 or i32."""

    base: Operand[Handle]
    index: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (ptr,)


@define("kernel.misaligned", traits=PURE)
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
