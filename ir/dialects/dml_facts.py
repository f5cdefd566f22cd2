"""What each logical operation makes of what is known of its operands' cells (see `ir/facts.py`).

Ranges rely on rounding being monotonic, which IEEE arithmetic and sums of numbers of one sign are. Functions that are approximated get
no bounds that an error in the last place would break. An operation without an entry says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.cell_facts import binary, extreme_of, joined, unary
from sysmlc.ir.dialects.dml_cell import BINARY, COMMUTATIVE, UNARY
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.facts import ANY, NOTHING, TRUTH, ZERO, Facts, between, by_type, number, replace, transfers_for
from sysmlc.ir.types import Matrix, i1, i64, same_dim

_SIZES: Final = Facts(0.0, inf, False, True)


@transfers_for("core.constant")
def _constant(op: Op, x: Sequence[Facts]) -> Facts:
    value = op.attrs["value"]
    return number(float(value)) if isinstance(value, (bool, int, float)) else ANY


# -- cells ----------------------------------------------------------------------------------------------------


@transfers_for(*(f"dml.{n}" for n in UNARY))
def _unary(op: Op, x: Sequence[Facts]) -> Facts:
    return replace(unary(op.fn, x[0]), symmetric=x[0].symmetric)


@transfers_for(*(f"dml.{n}" for n in BINARY))
def _binary(op: Op, x: Sequence[Facts]) -> Facts:
    a, b = x
    left, right = (isinstance(v.type, Matrix) for v in op.operands)
    made = binary(op.fn, a, b, op.operands[0] is op.operands[1])
    one, other = (a, b) if left else (b, a)
    if left and right:
        mirrored = op.fn in COMMUTATIVE and _is_mirrored(*op.operands)
        return replace(made, symmetric=mirrored or (a.symmetric and b.symmetric))
    if not (left or right):
        return made
    rising = op.fn == "add" or (op.fn == "sub" and left) or (op.fn in ("mul", "div") and other.low > 0)
    return replace(
        made,
        symmetric=one.symmetric,
        ascending=one.ascending and other.finite and rising and (op.fn != "div" or left),
        one_in_row=one.one_in_row
        and other.finite
        and (op.fn == "mul" or (op.fn == "div" and left and other.low > 0)),
    )


def _is_mirrored(one: Value, other: Value) -> bool:
    """`X` and `t(X)`, which fit a cellwise operation if X is square."""
    return any(
        b.op is not None and b.op.name == "dml.t" and b.op.operands[0] is a
        for a, b in ((one, other), (other, one))
    )


@transfers_for("dml.outer")
def _outer(op: Op, x: Sequence[Facts]) -> Facts:
    return binary(str(op.attrs["op"]), x[0], x[1])


@transfers_for("dml.ifelse")
def _ifelse(op: Op, x: Sequence[Facts]) -> Facts:
    picked = joined(x[1], x[2])
    alike = all(f.symmetric or not isinstance(v.type, Matrix) for f, v in zip(x, op.operands, strict=True))
    return replace(picked, symmetric=alike and isinstance(op.result.type, Matrix))


@transfers_for("dml.cast")
def _cast(op: Op, x: Sequence[Facts]) -> Facts:
    (a,), source, to = x, op.operands[0].type, op.result.type
    if isinstance(source, Matrix) or to not in (i64, i1) or source not in (i64, i1):
        if to is i1:
            return TRUTH
        if to is i64:
            return Facts(min(a.low, 0.0), max(a.high, 0.0), False, True)
        return a.cells
    return TRUTH if to is i1 else a.cells


@transfers_for("dml.as_matrix")
def _as_matrix(op: Op, x: Sequence[Facts]) -> Facts:
    if isinstance(op.operands[0].type, Matrix):
        return x[0]
    return replace(x[0].cells, symmetric=True, ascending=not x[0].nan, one_in_row=True)


# -- aggregates -----------------------------------------------------------------------------------------------


def _sum(a: Facts) -> Facts:
    """Numbers of one sign add up to one of that sign; those of both may be infinite on both sides before they meet."""
    low, high = 0.0 if a.low >= 0 else -inf, 0.0 if a.high <= 0 else inf
    return Facts(low, high, a.nan or (low < 0 < high and not (a.low > -1e100 and a.high < 1e100)), a.whole)


@transfers_for(*(f"dml.{n}" for n in ("sum", "sumsq", "mean", "min_of", "max_of", "var", "sd", "prod")))
def _aggregate(op: Op, x: Sequence[Facts]) -> Facts:
    a, source, fn = x[0], op.operands[0].type, op.fn
    assert isinstance(source, Matrix)
    filled = all(isinstance(d, int) and d > 0 for d in (source.rows, source.cols))
    if fn in ("sum", "mean"):
        made = _sum(a)
        return made if fn == "sum" else replace(made, nan=made.nan or not filled, whole=False)
    if fn == "sumsq":
        return _sum(binary("mul", a, a, True))
    if fn in ("min_of", "max_of"):
        return extreme_of(fn, a, filled)
    return Facts(0.0 if a.low >= 0 or fn != "prod" else -inf, inf, True, fn == "prod" and a.whole)


@transfers_for("dml.cumsum", "dml.rowcumsum", "dml.cummin", "dml.cummax")
def _cumulative(op: Op, x: Sequence[Facts]) -> Facts:
    a, type = x[0], op.result.type
    assert isinstance(type, Matrix)
    made = a.cells if op.fn in ("cummin", "cummax") else _sum(a)
    rises = op.fn == "cummax" or (op.fn == "cumsum" and a.low >= 0)
    return replace(made, ascending=type.cols == 1 and rises and not made.nan)


@transfers_for("dml.row_index_max", "dml.row_index_min")
def _row_index(op: Op, x: Sequence[Facts]) -> Facts:
    source = op.operands[0].type
    assert isinstance(source, Matrix)
    return Facts(0.0, float(max(source.cols, 1)) if isinstance(source.cols, int) else inf, False, True)


@transfers_for("dml.nrow", "dml.ncol", "dml.length", "dml.nnz")
def _size(op: Op, x: Sequence[Facts]) -> Facts:
    source = op.operands[0].type
    assert isinstance(source, Matrix)
    known = source.rows if op.fn == "nrow" else source.cols if op.fn == "ncol" else None
    return number(float(known)) if isinstance(known, int) else _SIZES


# -- products -------------------------------------------------------------------------------------------------


@transfers_for("dml.matmul")
def _matmul(op: Op, x: Sequence[Facts]) -> Facts:
    a, b = x
    made = _sum(joined(binary("mul", a, b), ZERO))
    return replace(
        made, symmetric=_is_gram(op.operands[0], op.operands[1], str(op.attrs.get("transpose", "")))
    )


def _is_gram(left: Value, right: Value, transpose: str) -> bool:
    """`t(X) %*% X` or `X %*% t(X)`."""
    sides = []
    for value, side in ((left, "l"), (right, "r")):
        turned = side in transpose
        if value.op is not None and value.op.name == "dml.t":
            value, turned = value.op.operands[0], not turned
        sides.append((value, turned))
    return sides[0][0] is sides[1][0] and sides[0][1] != sides[1][1]


@transfers_for("dml.tsmm")
def _tsmm(op: Op, x: Sequence[Facts]) -> Facts:
    return replace(_sum(joined(binary("mul", x[0], x[0]), ZERO)), symmetric=True)


# -- cells in other places ------------------------------------------------------------------------------------


@transfers_for("dml.t")
def _transpose(op: Op, x: Sequence[Facts]) -> Facts:
    return replace(x[0].cells, symmetric=x[0].symmetric)


@transfers_for(
    "dml.rev",
    "dml.roll",
    "dml.index",
    "dml.reshape",
    "dml.as_scalar",
    "dml.get_cell",
    "dml.order",
    "fused.convert",
)
def _some(op: Op, x: Sequence[Facts]) -> Facts:
    a, fn = x[0], op.fn
    if fn == "convert":
        return a
    if fn == "order":
        return _ordered(op, a)
    return replace(
        a.cells,
        one_in_row=a.one_in_row and fn in ("rev", "roll", "index"),
        ascending=fn == "index" and _is_column(op) and a.ascending,
    )


def _is_column(op: Op) -> bool:
    source = op.operands[0].type
    return isinstance(source, Matrix) and source.cols == 1


def _ordered(op: Op, a: Facts) -> Facts:
    source, index = op.operands[0].type, constant(op.operands[3])
    assert isinstance(source, Matrix)
    places = Facts(1.0, float(source.rows) if isinstance(source.rows, int) else inf, False, True)
    if index is not False:
        return places if index is True else joined(places, a)
    up = constant(op.operands[2]) is False and source.cols == 1 and not a.nan
    return replace(a.cells, one_in_row=a.one_in_row, ascending=up)


@transfers_for("dml.remove_empty")
def _remove_empty(op: Op, x: Sequence[Facts]) -> Facts:
    return joined(x[0], ZERO)


@transfers_for("dml.diag")
def _diag(op: Op, x: Sequence[Facts]) -> Facts:
    source = op.operands[0].type
    assert isinstance(source, Matrix)
    made = joined(x[0], ZERO)
    return replace(made, symmetric=True, one_in_row=True) if source.cols == 1 else made


@transfers_for("dml.lower_tri", "dml.upper_tri")
def _triangle(op: Op, x: Sequence[Facts]) -> Facts:
    return joined(x[0], ZERO) if constant(op.operands[2]) is True else joined(x[0], TRUTH)


@transfers_for("dml.left_index", "dml.set_cell")
def _changed(op: Op, x: Sequence[Facts]) -> Facts:
    return joined(x[0], x[1])


@transfers_for("dml.cbind", "dml.rbind")
def _append(op: Op, x: Sequence[Facts]) -> Facts:
    made = NOTHING
    for one in x:
        made = joined(made, one)
    return replace(made, one_in_row=op.fn == "rbind" and all(f.one_in_row for f in x))


@transfers_for("dml.replace")
def _replace(op: Op, x: Sequence[Facts]) -> Facts:
    a, pattern, value = x
    no_nan = pattern.low > pattern.high
    return joined(replace(a, nan=False) if no_nan else a, value)


# -- matrices from nothing ------------------------------------------------------------------------------------


@transfers_for("dml.fill")
def _fill(op: Op, x: Sequence[Facts]) -> Facts:
    type = op.result.type
    assert isinstance(type, Matrix)
    square = op.operands[1] is op.operands[2] or same_dim(type.rows, type.cols)
    column = type.cols == 1
    nothing = x[0].low == x[0].high == 0 and not x[0].nan
    return replace(
        x[0].cells, symmetric=square, ascending=column and not x[0].nan, one_in_row=column or nothing
    )


@transfers_for("dml.seq")
def _seq(op: Op, x: Sequence[Facts]) -> Facts:
    first, last, step = x
    whole = first.whole and step.whole
    over = 0.0 if whole else max(abs(step.low), abs(step.high))
    low, high = min(first.low, last.low - over), max(first.high, last.high + over)
    if step.low > 0:
        low = first.low
    if step.high < 0:
        high = first.high
    return replace(between(low, high, False, whole), ascending=step.low > 0, one_in_row=True)


@transfers_for("dml.rand")
def _rand(op: Op, x: Sequence[Facts]) -> Facts:
    low, high, share, pdf = *x[2:5], constant(op.operands[5])
    if pdf == "poisson":
        return Facts(0.0, inf, False, True)
    if pdf != "uniform" or not (low.finite and high.finite):
        return Facts(nan=pdf != "normal")
    top = max(low.high, high.high)
    made = between(min(low.low, high.low), max(top, low.low + (high.high - low.low)), False)
    return made if share.low >= 1 else joined(made, ZERO)


@transfers_for("dml.sample")
def _sample(op: Op, x: Sequence[Facts]) -> Facts:
    return Facts(1.0, x[0].high, False, True)


@transfers_for("dml.table")
def _table(op: Op, x: Sequence[Facts]) -> Facts:
    rows = op.operands[0].op
    steps = (
        rows is not None
        and rows.name == "dml.seq"
        and constant(rows.operands[2]) in (1, 1.0)
        and constant(rows.operands[0]) in (1, 1.0)
    )
    return replace(joined(x[2].cells if steps else _sum(x[2]), ZERO), one_in_row=steps)


@transfers_for("dml.undefined")
def _undefined(op: Op, x: Sequence[Facts]) -> Facts:
    return (
        NOTHING
        if isinstance(op.result.type, Matrix)
        else ZERO
        if op.result.type is not i1
        else by_type(op.result)
    )
