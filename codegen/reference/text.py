"""The text forms of values, as `print`, `toString` and printf show them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import numpy as np

from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.ir.core import Op


def double_text(x: float) -> str:
    """Shortest digits that read back, laid out as Java's Double.toString does."""
    if x != x:
        return "NaN"
    if x in (float("inf"), float("-inf")):
        return "Infinity" if x > 0 else "-Infinity"
    if x == 0:
        return "-0.0" if str(x).startswith("-") else "0.0"
    sign, digits, exponent = Decimal(repr(x)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    point = len(text) + exponent  # position of the decimal point in the digits
    if 1e-3 <= abs(x) < 1e7:
        if point <= 0:
            body = "0." + "0" * -point + text
        elif point >= len(text):
            body = text + "0" * (point - len(text)) + ".0"
        else:
            body = text[:point] + "." + text[point:]
    else:
        body = f"{text[0]}.{text[1:] or '0'}E{point - 1}"
    return "-" * sign + body


def scalar_text(value: Any) -> str:
    """The print form of a scalar."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return double_text(value)
    return str(value)


def fixed_text(x: float, decimal: int) -> str:
    """`decimal` fraction digits: the shortest ones that read back, zeros after them, halves to even on the exact value."""
    if x != x:
        return "NaN"
    if x in (float("inf"), float("-inf")):
        return "Infinity" if x > 0 else "-Infinity"
    if x == 0:
        x = 0.0
    shortest = Decimal(repr(x))
    exponent = shortest.as_tuple().exponent
    assert isinstance(exponent, int)
    exact = shortest if -exponent <= decimal else Decimal(x)
    with localcontext() as context:
        context.prec = 400
        return format(exact.quantize(Decimal(1).scaleb(-decimal), ROUND_HALF_EVEN), "f")


def matrix_text(
    m: Any,
    rows: int = 100,
    cols: int = 100,
    decimal: int = 3,
    sparse: bool = False,
    sep: str = " ",
    linesep: str = "\n",
) -> str:
    """toString of a matrix."""
    part = m[: max(rows, 0), : max(cols, 0)]
    if sparse:
        lines = (
            f"{i + 1}{sep}{j + 1}{sep}{fixed_text(float(part[i, j]), decimal)}"
            for i, j in zip(*part.nonzero(), strict=True)
        )
    else:
        lines = (sep.join(fixed_text(float(x), decimal) for x in row) for row in part)
    return "".join(line + linesep for line in lines)


def list_text(items: Iterable[Any]) -> str:
    """toString of a list."""
    from sysmlc.codegen.reference.lists import ListValue

    def one(item: Any) -> str:
        if isinstance(item, np.ndarray):
            return "\nMatrix:\n" + matrix_text(item)
        return list_text(item.items) if isinstance(item, ListValue) else scalar_text(item)

    return "List containing:\n[" + ", ".join(map(one, items)) + "]"


@evaluates("matrix_to_string")
def matrix_to_string(
    op: Op, m: Any, rows: int, cols: int, decimal: int, sparse: bool, sep: str, linesep: str
) -> str:
    return matrix_text(m, rows, cols, decimal, sparse, sep, linesep)


_DIRECTIVE = re.compile(r"%(?P<flags>[-#+ 0,(]*)(?P<width>\d+)?(?:\.(?P<precision>\d+))?(?P<kind>[a-zA-Z%])")


@evaluates("format")
def format_values(op: Op, text: str, *values: Any) -> str:
    """printf: Java's Formatter, of which numbers, strings and booleans are supported."""
    left = list(values)

    def one(match: re.Match[str]) -> str:
        kind, flags, width, precision = (
            match["kind"],
            match["flags"],
            match["width"] or "",
            match["precision"],
        )
        if kind == "%":
            return "%"
        if kind == "n":
            return "\n"
        if not left:
            raise fail(op, f"missing value for '{match[0]}'")
        value = left.pop(0)
        is_int = isinstance(value, int) and not isinstance(value, bool)
        if (kind in "dxX" and not is_int) or (kind in "feEgG" and not isinstance(value, float)):
            raise fail(op, f"'{match[0]}' does not fit {scalar_text(value)}")
        if kind in "sS":
            body = str(value).lower() if isinstance(value, bool) else scalar_text(value)
            body = body[: int(precision)] if precision else body
        elif kind in "bB":
            body = str(value).lower() if isinstance(value, bool) else "true"
        elif kind in "xX":
            body = format(value & 0xFFFFFFFFFFFFFFFF, "x")
        elif kind == "d":
            body = format(value, ("+" if "+" in flags else "") + ("," if "," in flags else "") + "d")
        else:
            body = format(
                value,
                ("+" if "+" in flags else "") + ("," if "," in flags else "") + f".{precision or 6}{kind}",
            )
        if kind.isupper():
            body = body.upper()
        size = int(width or 0)
        return body.ljust(size) if "-" in flags else body.zfill(size) if "0" in flags else body.rjust(size)

    return _DIRECTIVE.sub(one, text)
