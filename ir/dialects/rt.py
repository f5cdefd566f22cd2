"""The program level: calls into the native runtime, kernel launches, cell access, ownership."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sysmlc.ir.core import Op
from sysmlc.ir.define import Attr, Operand, Operands, define
from sysmlc.ir.types import Matrix, Scalar, Type, f64, i64

FIELDS: Final = ("rows", "cols")


@define("rt.call")
class RtCall(Op):
    """Call of the C function `callee(ctx, operands…, attributes…)`; several results come through trailing pointers.

    `takes` lists operands whose reference the callee takes over. Result types are given. With `pack` the operands from
    number `pack_from` on are passed as a count and an array: of matrices (`matrices`) or of tagged values (`values`).
    `names` is then an array of texts that follows the packed operands (NULL when empty), if `named`. With `pack_results` the pointers
    to the results are an array, too.
    """

    args: Operands[Any]
    callee: Attr[str]
    extra: Attr[tuple[Any, ...]] = ()  # type: ignore[assignment]
    takes: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    pack: Attr[str] = ""  # type: ignore[assignment]
    pack_from: Attr[int] = 0  # type: ignore[assignment]
    named: Attr[bool] = False  # type: ignore[assignment]
    names_: Attr[tuple[Any, ...]] = ()  # type: ignore[assignment]
    pack_results: Attr[bool] = False  # type: ignore[assignment]


@define("rt.launch")
class Launch(Op):
    """Launch of `kernel` over matrices and scalars; `reuse` operands are taken over. Result types are given.

    `template` says what kind of kernel it is: `cell` or `row`, launched by `sm_launch_cell` or `sm_launch_row`.
    """

    args: Operands[Any]
    kernel: Attr[str]
    reuse: Attr[tuple[int, ...]] = ()  # type: ignore[assignment]
    template: Attr[str] = "cell"  # type: ignore[assignment]


@define("rt.launch_outer")
class LaunchOuter(Op):
    """Launch of a region over products: the cells of `kernel`, closed as `plan` says (see `sm_launch_outer`)."""

    args: Operands[Any]
    kernel: Attr[str]
    plan: Attr[str]


@define("rt.field", traits={"pure"})
class Field(Op):
    """A size of a matrix, read from its header: `field` is rows or cols."""

    operand: Operand[Matrix]
    field: Attr[str]

    def infer(self) -> Sequence[Type]:
        return (i64,)

    def check(self) -> None:
        if self.field not in FIELDS:
            raise self.error(f"has no field '{self.field}'")


@define("rt.get_cell", traits={"pure"})
class GetCell(Op):
    """One cell (1-based): a load when the matrix is dense and the indexes are in range, else a call of `sm_get_cell`."""

    operand: Operand[Matrix]
    i: Operand[Scalar]
    j: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (f64,)


@define("rt.set_cell", consumes=(0,))
class SetCell(Op):
    """The matrix with one cell (1-based) changed; takes the matrix over.

    A store when it is dense, in range and nobody else holds it, else a call of `sm_set_cell`.
    """

    operand: Operand[Matrix]
    value: Operand[Scalar]
    i: Operand[Scalar]
    j: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        source = self.operand.type
        return (source,)


@define("rt.settle")
class Settle(Op):
    """Puts edits of rows that a CSR matrix holds aside into its arrays, before an operation that knows nothing of edits reads it."""

    operand: Operand[Matrix]

    def infer(self) -> Sequence[Type]:
        return ()


@define("rt.retain")
class Retain(Op):
    """One more owner of a handle."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return ()


@define("rt.release")
class Release(Op):
    """One owner less of a handle; the last one frees it."""

    operand: Operand[Any]

    def infer(self) -> Sequence[Type]:
        return ()
