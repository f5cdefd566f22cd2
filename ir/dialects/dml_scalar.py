"""Logical operations on scalars, strings and lists, and effects. Library operations: `dml.foo` is `sm_foo`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sysmlc.ir import scalar_semantics
from sysmlc.ir.core import Op, Value
from sysmlc.ir.define import NATIVE, PURE, Attr, Operand, Operands, define
from sysmlc.ir.dialects.shapes import constant, element
from sysmlc.ir.types import Handle, Scalar, Type, box, i1, i64, list_, matrix, string

DYNAMIC = (
    "add",
    "sub",
    "mul",
    "mod",
    "intdiv",
    "min",
    "max",
    "bitand",
    "bitor",
    "bitxor",
    "shiftl",
    "shiftr",
)
DYNAMIC_RELATIONS = ("lt", "le", "gt", "ge", "eq", "ne")


@define("dml.cast", traits=PURE)
class Cast(Op):
    """Scalar conversion; the result type is given. f64→i64 truncates (NaN is 0, ±big saturates); number→i1 is `!= 0`;
    str→number parses; anything→str gives the print form; a `box` gives what it holds."""

    operand: Operand[Any]

    def fold(self) -> Sequence[Value | bool | int | float | str] | None:
        source, to = self.operand, self.results[0].type
        if source.type is to:
            return [source]
        known = constant(source)
        found = None if known is None else scalar_semantics.cast(known, to.text)
        return None if found is None else [found]


@define("dml.dynamic", traits=PURE)
class Dynamic(Op):
    """The operator `operator` of two boxes, whose kinds are known at run time only: integers give an integer, other numbers a
    double, `add` with a string joins texts; anything else is an error."""

    lhs: Operand[Handle]
    rhs: Operand[Handle]
    operator: Attr[str]

    def infer(self) -> Sequence[Type]:
        return (box,)

    def check(self) -> None:
        if self.operator not in DYNAMIC:
            raise self.error(f"has no operator '{self.operator}'")


@define("dml.dynamic_compare", traits=PURE)
class DynamicCompare(Op):
    """The relation `operator` of two boxes, i1: of numbers as numbers; when one is a string, of their print forms."""

    lhs: Operand[Handle]
    rhs: Operand[Handle]
    operator: Attr[str]

    def infer(self) -> Sequence[Type]:
        return (i1,)

    def check(self) -> None:
        if self.operator not in DYNAMIC_RELATIONS:
            raise self.error(f"has no relation '{self.operator}'")


@define("dml.concat", traits=PURE)
class Concat(Op):
    """String concatenation."""

    lhs: Operand[Scalar]
    rhs: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (string,)

    def fold(self) -> Sequence[Value | bool | int | float | str] | None:
        left, right = constant(self.lhs), constant(self.rhs)
        if isinstance(left, str) and isinstance(right, str):
            return [left + right]
        return [self.lhs] if right == "" else [self.rhs] if left == "" else None


@define("dml.format", traits=PURE)
class Format(Op):
    """printf-style formatting of scalars. (C: sm_format(ctx, fmt, n, const sm_value* values), values tagged.)"""

    text: Operand[Scalar]
    values: Operands[Any]

    def infer(self) -> Sequence[Type]:
        return (string,)


@define("dml.print")
class Print(Op):
    """Print a string and a newline."""

    text: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.stop")
class Stop(Op):
    """Abort the program with a message."""

    text: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.no_function")
class NoFunction(Op):
    """Abort because no function is called `called`; the message suggests the nearest of the names in `known`."""

    called: Operand[Scalar]
    known: Attr[str]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.assert")
class Assert(Op):
    """Abort the program with `assertion failed` unless the condition (i1) holds."""

    condition: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.time")
class Time(Op):
    """Nanoseconds, i64."""

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("dml.require_defined")
class RequireDefined(Op):
    """Abort with `variable 'name' is not defined` unless the flag (i1) holds."""

    flag: Operand[Scalar]
    variable: Attr[str]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.undefined", traits=NATIVE)
class Undefined(Op):
    """A value of the given type that is never looked at: what a variable holds on paths that do not assign it.
    0, FALSE, an empty string, list or 0x0 matrix."""


@define("dml.has_arg", traits=PURE)
class HasArg(Op):
    """Whether the script's argument `$name` was passed, i1."""

    name_: Attr[str]

    def infer(self) -> Sequence[Type]:
        return (i1,)


@define("dml.arg", traits=PURE)
class Arg(Op):
    """The script's argument `$name` as the given scalar type (or box); an error when it was not passed or does not fit."""

    name_: Attr[str]


@define("dml.input", traits=NATIVE)
class Input(Op):
    """A value of the given type bound to the variable `name` by the embedding program.

    What the data at hand lets expect, no more: `filled` is the share of cells that are not 0, and no row has more than
    `most_in_row` (-1: not known).
    """

    name_: Attr[str]
    most_in_row: Attr[int] = -1  # type: ignore[assignment]
    filled: Attr[float] = 1.0  # type: ignore[assignment]


@define("dml.output", traits={"f32"})
class Output(Op):
    """Hand a value to the embedding program under `name`."""

    value: Operand[Any]
    name_: Attr[str]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.read_scalar")
class ReadScalar(Op):
    """Read a scalar file (C: sm_read_f64/i64/i1/str by result type). The result type is given."""

    path: Operand[Scalar]
    options: Operand[Scalar]


@define("dml.write_scalar")
class WriteScalar(Op):
    """Write a scalar file (C: sm_write_f64/i64/i1/str by operand type)."""

    operand: Operand[Scalar]
    path: Operand[Scalar]
    options: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return ()


@define("dml.list_new", traits=NATIVE)
class ListNew(Op):
    """A list; `names` is empty or one name for each value. (C: sm_list_new(ctx, n, const sm_value* values, const char* const* names or NULL).)"""

    values: Operands[Any]
    names_: Attr[tuple[str, ...]] = ()  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_length", traits=PURE)
class ListLength(Op):
    """Number of entries, i64."""

    operand: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("dml.list_range", traits=PURE)
class ListRange(Op):
    """`L[from:to]`, a list (positions, i64)."""

    operand: Operand[Handle]
    from_: Operand[Scalar]
    to: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_named", traits=PURE)
class ListNamed(Op):
    """`L["name"]`, a list of one entry."""

    operand: Operand[Handle]
    key: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_find", traits=PURE)
class ListFind(Op):
    """The position (i64) of the entry called `key`; in a list without names, `position` itself; 0 when there is none."""

    operand: Operand[Handle]
    key: Operand[Scalar]
    position: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (i64,)


@define("dml.list_matrix", traits=NATIVE)
class ListMatrix(Op):
    """as.matrix of a list of one entry (a scalar becomes 1x1), as a matrix of `elem`."""

    operand: Operand[Handle]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (matrix(elem=element(self)),)


@define("dml.list_scalar", traits=PURE)
class ListScalar(Op):
    """as.scalar of a list of one entry, a box."""

    operand: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (box,)


@define("dml.list_list", traits=PURE)
class ListList(Op):
    """as.list of a list of one entry that is a list."""

    operand: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_append", traits=PURE)
class ListAppend(Op):
    """The list with `value` (one-entry list) at its end."""

    operand: Operand[Handle]
    value: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_set", traits=PURE)
class ListSet(Op):
    """The list with the entry at `index` (i64) replaced by the entry of the one-entry list `value`."""

    operand: Operand[Handle]
    index: Operand[Scalar]
    value: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_set_named", traits=PURE)
class ListSetNamed(Op):
    """The list with the entry called `key` (str) replaced by the entry of the one-entry list `value`."""

    operand: Operand[Handle]
    key: Operand[Scalar]
    value: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (list_,)


@define("dml.list_remove", traits=PURE)
class ListRemove(Op):
    """`[rest, removed]`: the list without the entry at `index`, and a list of that entry."""

    operand: Operand[Handle]
    index: Operand[Scalar]

    def infer(self) -> Sequence[Type]:
        return (list_, list_)


@define("dml.list_to_string", traits=PURE)
class ListToString(Op):
    """The print form of a list."""

    operand: Operand[Handle]

    def infer(self) -> Sequence[Type]:
        return (string,)


@define("dml.as_matrix", traits=NATIVE)
class AsMatrix(Op):
    """A number (f64) as a 1x1 matrix."""

    operand: Operand[Scalar]
    elem: Attr[str] = "f64"  # type: ignore[assignment]

    def infer(self) -> Sequence[Type]:
        return (matrix(1, 1, element(self)),)
