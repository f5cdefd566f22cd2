"""The IR back as algebra: values as the DML expressions a person would write for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix, f64, i1, i64, string

OR, AND, NOT, RELATION, SUM, PRODUCT, MATMUL, SIGN, POWER, ATOM = range(10)
"""Precedence, loosest first."""

INFIX: Final = {
    "or": ("|", OR), "and": ("&", AND), "eq": ("==", RELATION), "ne": ("!=", RELATION), "lt": ("<", RELATION),
    "le": ("<=", RELATION), "gt": (">", RELATION), "ge": (">=", RELATION), "add": ("+", SUM), "sub": ("-", SUM),
    "concat": ("+", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT), "mod": ("%%", MATMUL),
    "intdiv": ("%/%", MATMUL), "matmul": ("%*%", MATMUL), "pow": ("^", POWER),
}  # fmt: skip
AGGREGATES: Final = {
    "sum": "Sums", "prod": "Prods", "min_of": "Mins", "max_of": "Maxs", "mean": "Means", "var": "Vars", "sd": "Sds",
}  # fmt: skip
NAMES: Final = {
    "isna": "is.na", "isnan": "is.nan", "isinf": "is.infinite", "as_scalar": "as.scalar", "as_matrix": "as.matrix",
    "min_of": "min", "max_of": "max", "log_base": "log", "bitand": "bitwAnd", "bitor": "bitwOr", "bitxor": "bitwXor",
    "shiftl": "bitwShiftL", "shiftr": "bitwShiftR", "row_index_max": "rowIndexMax", "row_index_min": "rowIndexMin",
    "lower_tri": "lower.tri", "upper_tri": "upper.tri", "remove_empty": "removeEmpty", "read_matrix": "read",
    "read_scalar": "read", "write_matrix": "write", "write_scalar": "write", "matrix_to_string": "toString",
    "list_to_string": "toString", "list_new": "list", "list_append": "append", "list_length": "length", "list_matrix": "as.matrix", "list_scalar": "as.scalar", "list_list": "as.list",
    "list_remove": "remove",
    "grouped_aggregate": "aggregate", "matrix_of_text": "matrix", "matrix_of_box": "matrix", "inter_quantile": "interQuantile",
    "inter_quartile_mean": "interQuartileMean", "count_distinct": "countDistinct", "rowcumsum": "rowCumsum",
}  # fmt: skip
KEPT: Final = {
    "read_matrix": 1, "write_matrix": 2, "write_scalar": 2, "read_scalar": 1, "matrix_to_string": 1, "table": 2,
    "rand": 2, "list_to_string": 1,
}  # fmt: skip
"""How many operands say what happens; the others are options."""

Names = Callable[[Value], "str | None"]


class Writer:
    """Writes values as expressions. `names` gives the name of a value that is not to be taken apart, else None."""

    def __init__(self, names: Names, *, rowwise: bool = False, longest: int = 40) -> None:
        self.names = names
        self.rowwise = rowwise
        """Whether values stand for one row of a matrix: their aggregates are those of all rows."""
        self.left = longest

    def text(self, value: Value, level: int = OR) -> str:
        """The expression of a value, in parentheses if it binds looser than `level`."""
        name = self.names(value)
        if name is not None:
            return name
        if value.op is None:
            return value.name or "?"
        shown, own = self.expression(value.op)
        return f"({shown})" if own < level else shown

    def expression(self, op: Op) -> tuple[str, int]:
        """What an operation computes, and how tightly its text binds."""
        self.left -= 1
        if self.left < 0:
            return "…", ATOM
        fn, args = op.fn, op.operands
        if op.name == "core.constant":
            return literal(op.attrs["value"])
        if fn == "matmul":
            turned = str(op.attrs.get("transpose", ""))
            sides = [
                f"t({self.text(v)})" if flag in turned else self.text(v, MATMUL + i)
                for i, (flag, v) in enumerate(zip("lr", args, strict=True))
            ]
            return " %*% ".join(sides), MATMUL
        if fn == "mul" and args[0] is args[1]:
            return f"{self.text(args[0], ATOM)}^2", POWER
        if fn in INFIX and len(args) == 2:
            symbol, level = INFIX[fn]
            left, right = self.text(args[0], level + (fn == "pow")), self.text(args[1], level + (fn != "pow"))
            return f"{left}{symbol}{right}" if fn == "pow" else f"{left} {symbol} {right}", level
        if fn in ("neg", "not"):
            level = SIGN if fn == "neg" else NOT
            return ("-" if fn == "neg" else "!") + self.text(args[0], level + (fn == "neg")), level
        if fn == "cast":
            return self._cast(op)
        special = _SPECIAL.get(fn)
        return (special(self, op) if special is not None else self._call(op)), ATOM

    def _call(self, op: Op) -> str:
        fn, dir = op.fn, "row" if self.rowwise else str(op.attrs.get("dir", "full"))
        if fn == "sumsq":
            name, inner = aggregate_name("sum", dir), self.text(op.operands[0], POWER + 1)
            return f"{name}({inner}^2)"
        name = aggregate_name(fn, dir) if fn in AGGREGATES else NAMES.get(fn, fn)
        shown = [self.text(v) for v in op.operands[: KEPT.get(fn)]]
        return f"{name}({', '.join(shown)})"

    def _cast(self, op: Op) -> tuple[str, int]:
        """Numbers become doubles, and anything becomes text, without saying so."""
        target = op.results[0].type
        names = {i64: "as.integer", i1: "as.logical"}
        if target in (f64, string) or target not in names:
            source = op.operands[0]
            if self.names(source) is None and source.op is not None:
                return self.expression(source.op)
            return self.text(source), ATOM
        return f"{names[target]}({self.text(op.operands[0])})", ATOM

    def span(self, first: Value, last: Value, whole: object) -> str:
        """A range of rows or columns; empty when it is all of them."""
        low, high = constant(first), constant(last)
        if first is last or (low is not None and low == high):
            return self.text(first)
        if low == 1 and (high == whole and high is not None):
            return ""
        return f"{self.text(first, SUM)}:{self.text(last, SUM)}"


def aggregate_name(fn: str, dir: str) -> str:
    """`sum`, `rowSums`, `colSums` …"""
    return NAMES.get(fn, fn) if dir == "full" else dir + AGGREGATES[fn]


def literal(value: object) -> tuple[str, int]:
    """A constant as DML writes it."""
    if isinstance(value, bool):
        return str(value).upper(), ATOM
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}…"', ATOM
    assert isinstance(value, (int, float))
    shown = (
        str(int(value)) if value == value and abs(value) < 1e15 and value == int(value) else f"{value:.6g}"
    )
    return shown, ATOM if value >= 0 else SIGN


def _index(w: Writer, op: Op) -> str:
    source = op.operands[0]
    rows, cols = (source.type.rows, source.type.cols) if isinstance(source.type, Matrix) else (None, None)
    rl, ru, cl, cu = op.operands[-4:]
    lines = "" if w.rowwise else w.span(rl, ru, rows)
    return f"{w.text(source, ATOM)}[{lines}, {w.span(cl, cu, cols)}]"


def _left_index(w: Writer, op: Op) -> str:
    return f"{_index(w, op)} <- {w.text(op.operands[1])}"


def _cell(w: Writer, op: Op) -> str:
    i, j = op.operands[-2:]
    return f"{w.text(op.operands[0], ATOM)}[{w.text(i)}, {w.text(j)}]"


def _set_cell(w: Writer, op: Op) -> str:
    return f"{_cell(w, op)} <- {w.text(op.operands[1])}"


def _fill(w: Writer, op: Op) -> str:
    value, rows, cols = op.operands[:3]
    if w.rowwise:  # a column of the same number
        return w.text(value)
    return f"matrix({w.text(value)}, {w.text(rows)}, {w.text(cols)})"


def _rand(w: Writer, op: Op) -> str:
    share = constant(op.operands[4])
    shown = "" if share == 1 else f", sparsity={w.text(op.operands[4])}"
    return f"rand({w.text(op.operands[0])}, {w.text(op.operands[1])}{shown})"


def _tsmm(w: Writer, op: Op) -> str:
    return f"t({w.text(op.operands[0])}) %*% {w.text(op.operands[0], MATMUL + 1)}"


def _outer(w: Writer, op: Op) -> str:
    u, v = op.operands
    fn = str(op.attrs["op"])
    return f'outer({w.text(u)}, {w.text(v)}, "{INFIX[fn][0] if fn in INFIX else fn}")'


def _list_range(w: Writer, op: Op) -> str:
    return f"{w.text(op.operands[0], ATOM)}[{w.span(op.operands[1], op.operands[2], None)}]"


def _list_named(w: Writer, op: Op) -> str:
    return f"{w.text(op.operands[0], ATOM)}[{w.text(op.operands[1])}]"


def _list_set(w: Writer, op: Op) -> str:
    return f"{_list_named(w, op)} <- {w.text(op.operands[2])}"


def _function(w: Writer, op: Op) -> str:
    return f"{op.attrs['callee']}({', '.join(w.text(v) for v in op.operands)})"


def _named(w: Writer, op: Op) -> str:
    return f"${op.attrs['name_']}" if op.fn != "input" else str(op.attrs["name_"])


def _nothing(w: Writer, op: Op) -> str:
    return "undefined"


_SPECIAL: Final[Mapping[str, Callable[[Writer, Op], str]]] = {
    "index": _index, "left_index": _left_index, "get_cell": _cell, "set_cell": _set_cell, "fill": _fill, "rand": _rand,
    "reshape": _fill, "tsmm": _tsmm, "outer": _outer, "arg": _named, "input": _named, "undefined": _nothing,
    "call": _function, "list_range": _list_range, "list_named": _list_named, "list_set": _list_set,
    "list_set_named": _list_set,
}  # fmt: skip
