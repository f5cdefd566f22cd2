"""What DML's types are in the IR, how they are named to users, and where two of them meet."""

from __future__ import annotations

import math
from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f64, frame, i1, i64, join, list_, matrix, string

Literal = bool | int | float | str

SCALARS: Final[dict[str, Type]] = {"int": i64, "double": f64, "boolean": i1, "string": string, "unknown": box}
NUMERIC: Final = frozenset({f64, i64, i1, box})
"""Scalars that count as a number where one is needed; what a box holds is looked at at run time."""
_WORDS: Final[dict[Type, str]] = {
    f64: "a double", i64: "an integer", i1: "a boolean", string: "a string", box: "a scalar", list_: "a list",
    frame: "a frame",
}  # fmt: skip
_MAX_INT: Final = 2**63 - 1


def describe(type: Type) -> str:
    """The type in the words of a message: `a double`, `a 2x3 matrix`."""
    if isinstance(type, Matrix):
        if isinstance(type.rows, int) and isinstance(type.cols, int):
            return f"a {type.rows}x{type.cols} matrix"
        return "a matrix"
    return _WORDS.get(type, str(type))


def is_scalar(type: Type) -> bool:
    """Whether `type` is one of DML's scalars."""
    return type in NUMERIC or type is string


def data_type(type: Type) -> str:
    """DML's data type: `matrix`, `list` or `scalar`."""
    if isinstance(type, Matrix):
        return "matrix"
    return "list" if type is list_ else "scalar"


def declared(type: ast.Type) -> Type:
    """The IR type of a declaration such as `matrix[double]`."""
    if type.data == "scalar":
        return SCALARS[type.value]
    if type.data == "matrix":
        if type.value not in ("double", "unknown"):
            raise Diagnostic(
                f"matrices hold doubles, not {type.value} values", type.loc, hint="write matrix[double]"
            )
        return matrix()
    if type.data == "list":
        return list_
    raise Diagnostic(f"'{type}' is a {type.data}, and this version does not have {type.data}s", type.loc)


def merge(a: Type, b: Type) -> Type | None:
    """The type of a variable that is `a` on one path and `b` on the other; None: DML does not allow that.

    An integer and a double are a double; other scalars that differ stay dynamic (a box).
    """
    joined = join(a, b)
    if joined is None and is_scalar(a) and is_scalar(b):
        return box
    return joined


def forget_sizes(type: Type) -> Type:
    """`type` with nothing known about dimensions and non-zeros."""
    return matrix(elem=type.elem) if isinstance(type, Matrix) else type


def forget_nonzeros(type: Type) -> Type:
    """`type` with nothing known about non-zeros."""
    return matrix(type.rows, type.cols, type.elem) if isinstance(type, Matrix) else type


def argument(text: str) -> Literal:
    """What the text of a `$` argument stands for: a boolean, an integer, a double, or else a string."""
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    plain = text.strip()
    if plain.isascii() and "_" not in plain:
        try:
            number = int(plain)
            if -_MAX_INT - 1 <= number <= _MAX_INT:
                return number
        except ValueError:
            pass
        number_like = plain.lstrip("+-")
        if number_like in ("NaN", "Infinity") or number_like.lower() not in ("inf", "nan", "infinity"):
            try:
                return float(plain)
            except ValueError:
                pass
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def convert(value: Literal, to: Type) -> Literal | None:
    """`value` as a constant of type `to`; None where that is left to run time."""
    if to is string:
        if isinstance(value, bool):
            return "TRUE" if value else "FALSE"
        return str(value) if isinstance(value, int | str) else None
    if isinstance(value, str):
        return None
    if to is f64:
        return float(value)
    if to is i1:
        return bool(value)
    if to is i64:
        if isinstance(value, float):
            if math.isnan(value):
                return 0
            return int(value) if abs(value) < 2.0**63 else _saturated(value)
        return int(value)
    return None


def _saturated(value: float) -> int:
    return _MAX_INT if value > 0 else -_MAX_INT - 1


def type_of(value: Literal) -> Type:
    """The type of a literal."""
    if isinstance(value, bool):
        return i1
    if isinstance(value, int):
        return i64
    return f64 if isinstance(value, float) else string
