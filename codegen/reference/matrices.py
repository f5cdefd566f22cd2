"""Products, reorganisation, indexing and construction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sysmlc.codegen.reference.random import rand_matrix, sample_values
from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.ir.core import Op


@evaluates("matmul")
def matmul(op: Op, a: Any, b: Any) -> Any:
    sides = str(op.attrs.get("transpose", ""))
    a, b = a.T if "l" in sides else a, b.T if "r" in sides else b
    if a.shape[1] != b.shape[0]:
        raise fail(op, f"inner dimensions of the matrix product differ: {a.shape} and {b.shape}")
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(a @ b)


@evaluates("matmul_shared")
def matmul_shared(op: Op, a: Any, *factors: Any) -> Any:
    return tuple(matmul(op, a, b) for b in factors)


@evaluates("tsmm")
def tsmm(op: Op, a: Any) -> Any:
    return a.T @ a


@evaluates("t")
def transpose(op: Op, a: Any) -> Any:
    return a.T.copy()


@evaluates("rev")
def rev(op: Op, a: Any) -> Any:
    return a[::-1].copy()


@evaluates("roll")
def roll(op: Op, a: Any, shift: int) -> Any:
    return np.roll(a, shift, axis=0)


@evaluates("diag")
def diag(op: Op, a: Any) -> Any:
    if a.shape[1] == 1:
        return np.diag(a[:, 0])
    if a.shape[0] != a.shape[1]:
        raise fail(op, f"diag needs a column vector or a square matrix, got {a.shape}")
    return np.diag(a).reshape(-1, 1).copy()


@evaluates("nrow")
def nrow(op: Op, a: Any) -> int:
    return int(a.shape[0])


@evaluates("ncol")
def ncol(op: Op, a: Any) -> int:
    return int(a.shape[1])


@evaluates("length")
def length(op: Op, a: Any) -> int:
    return int(a.size)


@evaluates("nnz")
def nnz(op: Op, a: Any) -> int:
    return int(np.count_nonzero(a))


@evaluates("trace")
def trace(op: Op, a: Any) -> float:
    if a.shape[0] != a.shape[1]:
        raise fail(op, f"trace needs a square matrix, got {a.shape}")
    return math.fsum(np.diag(a)) if np.isfinite(a).all() else float(np.trace(a))


def _bounds(op: Op, what: str, low: int, high: int, extent: int) -> slice:
    if extent == 0 and (low, high) == (1, 0):  # all of nothing
        return slice(0, 0)
    if low < 1 or high > extent or low > high:
        raise fail(op, f"{what} range {low}:{high} is out of range: the matrix has {extent} {what}s")
    return slice(low - 1, high)


@evaluates("index")
def index(op: Op, a: Any, rl: int, ru: int, cl: int, cu: int) -> Any:
    return a[_bounds(op, "row", rl, ru, a.shape[0]), _bounds(op, "column", cl, cu, a.shape[1])].copy()


@evaluates("left_index")
def left_index(op: Op, a: Any, rhs: Any, rl: int, ru: int, cl: int, cu: int) -> Any:
    rows, cols = _bounds(op, "row", rl, ru, a.shape[0]), _bounds(op, "column", cl, cu, a.shape[1])
    made = a.copy()
    if made[rows, cols].shape != rhs.shape:
        raise fail(op, f"the range is {made[rows, cols].shape}, the right side {rhs.shape}")
    made[rows, cols] = rhs
    return made


@evaluates("set_cell")
def set_cell(op: Op, a: Any, value: float, i: int, j: int) -> Any:
    made = a.copy()
    made[_bounds(op, "row", i, i, a.shape[0]), _bounds(op, "column", j, j, a.shape[1])] = value
    return made


@evaluates("get_cell")
def get_cell(op: Op, a: Any, i: int, j: int) -> float:
    return float(a[_bounds(op, "row", i, i, a.shape[0]), _bounds(op, "column", j, j, a.shape[1])][0, 0])


def _stack(op: Op, values: tuple[Any, ...], axis: int) -> Any:
    if len({v.shape[1 - axis] for v in values}) > 1:
        raise fail(op, f"the matrices do not fit together: {[v.shape for v in values]}")
    return np.concatenate(values, axis=axis)


@evaluates("cbind")
def cbind(op: Op, *values: Any) -> Any:
    return _stack(op, values, 1)


@evaluates("rbind")
def rbind(op: Op, *values: Any) -> Any:
    return _stack(op, values, 0)


def _size(op: Op, rows: int, cols: int) -> tuple[int, int]:
    if rows < 0 or cols < 0:
        raise fail(op, f"a matrix cannot have {rows} rows and {cols} columns")
    return rows, cols


@evaluates("fill")
def fill(op: Op, value: float, rows: int, cols: int) -> Any:
    return np.full(_size(op, rows, cols), value + 0.0)  # a fill with -0.0 is a fill with 0.0


@evaluates("as_matrix")
def as_matrix(op: Op, value: float) -> Any:
    return np.full((1, 1), float(value))


@evaluates("as_scalar")
def as_scalar(op: Op, a: Any) -> float:
    if a.shape != (1, 1):
        raise fail(op, f"as.scalar needs a 1x1 matrix, got {a.shape}")
    return float(a[0, 0])


@evaluates("as_vector")
def as_vector(op: Op, a: Any) -> Any:
    if a.shape[0 if op.side == "row" else 1] != 1:
        raise fail(op, f"{op.function} needs a {op.side} vector, got {a.shape[0]}x{a.shape[1]}")
    return a


@evaluates("reshape")
def reshape(op: Op, a: Any, rows: int, cols: int, byrow: bool) -> Any:
    _size(op, rows, cols)
    if rows * cols != a.size:
        raise fail(op, f"cannot reshape {a.shape} to {rows}x{cols}")
    return np.ascontiguousarray(a.reshape((rows, cols), order="C" if byrow else "F"))


@evaluates("matrix_of_text")
def matrix_of_text(op: Op, text: str, rows: int, cols: int) -> Any:
    cells = [float(token.rstrip("dDfF")) for token in text.split()]
    if len(cells) != rows * cols:
        raise fail(op, f"the text has {len(cells)} values, a {rows}x{cols} matrix needs {rows * cols}")
    return np.array(cells, float).reshape(_size(op, rows, cols))


@evaluates("matrix_of_box")
def matrix_of_box(op: Op, value: Any, rows: int, cols: int) -> Any:
    if isinstance(value, str):
        return matrix_of_text(op, value, rows, cols)
    return np.full(_size(op, rows, cols), float(value) + 0.0)


@evaluates("seq")
def seq(op: Op, first: float, last: float, step: float) -> Any:
    if not all(map(math.isfinite, (first, last, step))):
        raise fail(op, "seq: from, to and the increment must be finite")
    if step == 0 or (last - first) * step < 0:
        raise fail(op, f"wrong increment {step} for a sequence from {first} to {last}")
    count = 1 + math.floor(last / step - first / step)
    cells = [float(first)]
    for _ in range(count - 1):
        cells.append(cells[-1] + step)
    return np.array(cells[:count]).reshape(-1, 1)


@evaluates("rand")
def rand(
    op: Op, rows: int, cols: int, low: float, high: float, sparsity: float, pdf: str, seed: int, mean: float
) -> Any:
    if not 0 <= sparsity <= 1 or not low <= high or not 0 < mean < 2**31:
        raise fail(
            op, f"rand cannot draw from {low} to {high} with a mean of {mean} and a share of {sparsity}"
        )
    return rand_matrix(*_size(op, rows, cols), low, high, sparsity, pdf, seed, mean)


@evaluates("sample")
def sample(op: Op, extent: int, size: int, replace: bool, seed: int) -> Any:
    if size > extent and not replace:
        raise fail(op, f"cannot draw {size} of {extent} values without replacement")
    return np.array(sample_values(extent, size, replace, seed), float).reshape(-1, 1)


def sorted_order(a: Any, columns: list[int], decreasing: bool) -> list[int]:
    """The stable order of rows; NaN is the largest value."""
    order = list(range(a.shape[0]))
    for c in reversed(columns):
        key = np.where(np.isnan(a[:, c]), np.inf, a[:, c])
        order.sort(key=lambda i: (bool(np.isnan(a[i, c])), float(key[i])), reverse=decreasing)
    return order


@evaluates("order")
def order(op: Op, a: Any, by: Any, decreasing: bool, index_return: bool) -> Any:
    columns = [int(c) - 1 for c in by.ravel()]
    if any(not 0 <= c < a.shape[1] for c in columns):
        raise fail(op, "order: a column is out of range")
    found = sorted_order(a, columns, decreasing)
    return np.array(found, float).reshape(-1, 1) + 1 if index_return else a[found]


@evaluates("table")
def table(op: Op, a: Any, b: Any, w: Any, rows: int, cols: int) -> Any:
    if any(v.size != 1 and v.shape != a.shape for v in (b, w)):
        raise fail(op, f"table: the arguments are {a.shape}, {b.shape} and {w.shape}")
    b, w = np.broadcast_to(b, a.shape), np.broadcast_to(w, a.shape)
    kept = [(x, y, z) for x, y, z in zip(a.ravel(), b.ravel(), w.ravel(), strict=True) if x == x and y == y]
    if any(max(x, y) > 9e15 for x, y, _ in kept):
        raise fail(op, "table: an id is too large")
    found = [(math.floor(max(x, 0)), math.floor(max(y, 0)), z) for x, y, z in kept]
    if any(x < 1 or y < 1 for x, y, _ in found):
        raise fail(op, "table: ids must be at least 1")
    found = [(x, y, z) for x, y, z in found if (rows < 0 or x <= rows) and (cols < 0 or y <= cols)]
    out = np.zeros(
        (
            rows if rows >= 0 else max((x for x, _, _ in found), default=0),
            cols if cols >= 0 else max((y for _, y, _ in found), default=0),
        )
    )
    for x, y, z in found:
        out[x - 1, y - 1] += z
    return out


@evaluates("remove_empty")
def remove_empty(op: Op, a: Any, margin: str, select: Any, empty_return: bool) -> Any:
    if margin not in ("rows", "cols"):
        raise fail(op, f"removeEmpty: margin must be rows or cols, got {margin}")
    axis = 0 if margin == "rows" else 1
    keep = select.ravel() != 0 if select.size else (a != 0).any(axis=1 - axis)
    kept = a[keep] if axis == 0 else a[:, keep]
    if kept.shape[axis] == 0 and empty_return:
        return np.zeros((1, a.shape[1]) if axis == 0 else (a.shape[0], 1))
    return kept.copy()


@evaluates("replace")
def replace(op: Op, a: Any, pattern: float, replacement: float) -> Any:
    return np.where(np.isnan(a) if math.isnan(pattern) else a == pattern, replacement, a)


@evaluates("lower_tri", "upper_tri")
def triangle(op: Op, a: Any, diag: bool, values: bool) -> Any:
    lower = op.fn == "lower_tri"
    cut = np.tril if lower else np.triu
    mask = cut(np.ones_like(a), 0 if diag else (-1 if lower else 1))
    return np.where(mask != 0, a if values else 1.0, 0.0)
