"""Builtin → expressions of X → what they give, independently of sysmlc; and which kinds of X they are for."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from scipy import sparse

from tests.language.builtin_matrix import plain
from tests.language.builtin_matrix.plain import NAN, Rows, by_cell, by_column, by_row, columns_of, of_all

INF: Final = math.inf
KINDS: Final[dict[str, Any]] = {
    "dense": np.array([[2.5, -1.0, 0.75], [0.5, 3.0, -2.25], [1.0, 1.0, -0.5], [-3.5, 2.0, 2.5]]),
    "sparse": sparse.csr_matrix(
        np.array(
            [
                [0, 0, 2.0, 0, 0],
                [0, 0, 0, 0, 0],
                [-1.5, 0, 0, 0, 3.0],
                [0, 0, 0, 0, 0],
                [0, 0.25, 0, 0, 0],
                [0, 0, 0, 1.0, 0],
            ]
        )
    ),
    "empty": sparse.csr_matrix((3, 4)),
    "zeros": np.array([[0.0, -0.0, 0.0], [-0.0, 0.0, 0.0]]),
    "1x1": np.array([[-1.75]]),
    "1x1 zero": np.array([[0.0]]),
    "nan": np.array([[NAN, 1.0, -0.0], [2.0, NAN, 0.5], [0.0, -1.0, NAN], [NAN, NAN, NAN]]),
    "inf": np.array([[INF, 1.0, -2.0], [0.0, -INF, 3.0]]),
    "both": np.array([[INF, NAN, -INF, -0.0], [1.0, 1e300, -1e300, 0.0]]),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
}
ALL: Final = frozenset(KINDS)
CELLS: Final = ALL - {"no rows", "no columns"}
FINITE: Final = CELLS - {"nan", "inf", "both"}
WHOLE: Final = FINITE | {"no rows", "no columns"}
EMPTY: Final = frozenset({"no rows", "no columns"})


@dataclass(frozen=True)
class Case:
    """An expression of X (and c, the first column of X, and S, a positive definite matrix), and its value."""

    text: str
    value: Callable[[Rows], Any]
    kinds: frozenset[str] = ALL


def dense(value: Any) -> Any:
    return value.toarray() if sparse.issparse(value) else np.asarray(value, float)


def rows_of(kind: str) -> Rows:
    cells = dense(KINDS[kind])
    return plain.Table(cells.tolist(), cells.shape[1])


def cases(pairs: Sequence[tuple[str, Callable[[Rows], Any]]], kinds: frozenset[str] = ALL) -> list[Case]:
    return [Case(text, value, kinds) for text, value in pairs]


def on_cells(name: str, f: Callable[[float], float]) -> list[Case]:
    return [Case(f"{name}(X)", by_cell(f))]


def column(x: Rows) -> list[float]:
    return columns_of(x)[0]


def pairwise(f: Callable[[float, float], Any], other: float) -> Callable[[Rows], Rows]:
    return by_cell(lambda v: float(f(v, other)))


def bits(f: Callable[[int, int], int], other: int) -> Callable[[Rows], Rows]:
    return by_cell(lambda v: float(wrapped(f(as_long(v), other))))


def quantile(x: Rows, p: float) -> float:
    """SystemML 1.2: the value at position ceil(p n), the first one for p = 0."""
    cells = plain.ascending(column(x))
    return cells[max(math.ceil(p * len(cells)), 1) - 1]


def median(cells: Sequence[float]) -> float:
    cells = plain.ascending(cells)
    middle = cells[(len(cells) - 1) // 2 : len(cells) // 2 + 1]
    return plain.sum_of(middle) / len(middle)


def inter_quantile(x: Rows, p: float) -> Rows:
    cells = plain.ascending(column(x))
    return [[v] for v in cells[math.ceil(p * len(cells)) : math.ceil((1 - p) * len(cells))]]


def inter_quartile_mean(x: Rows) -> float:
    """The mean of the middle half, ends counted in part."""
    cells = plain.ascending(column(x))
    n = len(cells)
    parts = [max(0.0, min(i + 1, 0.75 * n) - max(i, 0.25 * n)) for i in range(n)]
    return plain.sum_of([part * v for part, v in zip(parts, cells, strict=True) if part]) / (0.5 * n)


def contingency(x: Rows, weight: Callable[[float], float] = lambda v: 1.0) -> Rows:
    ids = [int(min(abs(plain.rounded(v)), 5.0)) + 1 for v in column(x)]
    return [
        [plain.sum_of([weight(v) for v, k in zip(column(x), ids, strict=True) if k == i])]
        for i in range(1, max(ids) + 1)
    ]


def grouped(f: Callable[[list[float]], float]) -> Callable[[Rows], Rows]:
    """aggregate by sign: groups 1 (negative), 2 (zero and NaN) and 3 (positive)."""

    def value(x: Rows) -> Rows:
        return [[f([v for v in column(x) if (2 if v != v else plain.sign(v) + 2) == g])] for g in (1, 2, 3)]

    return value


GROUPS = "groups=ifelse(is.nan(c), 2, sign(c) + 2), ngroups=3"
ALL_CELLS = "matrix(X, length(X), 1)"
TEXT = "toString(X[1, 1])"
S: Final = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]])
B: Final = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]])


def as_long(v: float) -> int:
    """Java's conversion: NaN is 0, what is too big the nearest."""
    return (
        0
        if v != v
        else int(min(max(v, -(2.0**63)), 2.0**63 - 1024))
        if abs(v) < 2.0**63
        else 2**63 - 1
        if v > 0
        else -(2**63)
    )


def wrapped(v: int) -> int:
    """The low 64 bits, with a sign."""
    return (v + 2**63) % 2**64 - 2**63


def shown(x: Rows) -> str:
    """toString with two decimals, halves of exact values to even, as Python rounds them."""

    def cell(v: float) -> str:
        text = (
            "Infinity"
            if v == INF
            else "-Infinity"
            if v == -INF
            else "NaN"
            if v != v
            else f"{Decimal(repr(v)):.2f}"
        )
        return "0.00" if v == 0 else text

    return "".join(" ".join(map(cell, row)) + "\n" for row in x)


def fixed(text: str, value: Any) -> Case:
    """An expression that does not depend on X."""
    return Case(text, lambda x: value, frozenset({"dense"}))


CASES: Final[dict[str, list[Case]]] = {
    # cellwise; Java's Math and C agree on all of it
    "abs": on_cells("abs", math.fabs),
    **{name: on_cells(name, plain.total(getattr(math, name))) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "tanh", "cosh")},
    "sinh": on_cells("sinh", lambda v: math.copysign(plain.total(math.sinh)(abs(v)), v)),
    "sqrt": on_cells("sqrt", plain.total(math.sqrt)),
    "exp": on_cells("exp", plain.total(math.exp)),
    "log": cases([("log(X)", by_cell(plain.log)), ("log(X, 2)", by_cell(lambda v: plain.log(v) / math.log(2)))]),
    "round": on_cells("round", plain.rounded),
    "floor": on_cells("floor", plain.whole(math.floor)),
    "ceil": on_cells("ceil", plain.whole(math.ceil)),
    "sign": on_cells("sign", plain.sign),
    "sigmoid": on_cells("sigmoid", plain.sigmoid),
    "is.na": on_cells("is.na", lambda v: float(v != v)),
    "is.nan": on_cells("is.nan", lambda v: float(v != v)),
    "is.infinite": on_cells("is.infinite", lambda v: float(abs(v) == INF)),
    "xor": [Case("xor(X, X > 0)", by_cell(lambda v: float((v != 0) != (v > 0))))],
    "bitwAnd": [Case("bitwAnd(X, 6)", bits(operator.and_, 6))],
    "bitwOr": [Case("bitwOr(X, 6)", bits(operator.or_, 6))],
    "bitwXor": [Case("bitwXor(X, 6)", bits(operator.xor, 6))],
    "bitwShiftL": [Case("bitwShiftL(X, 2)", bits(operator.lshift, 2))],
    "bitwShiftR": [Case("bitwShiftR(X, 1)", bits(operator.rshift, 1))],
    "min": cases([
        ("min(X)", of_all(lambda x: plain.smallest(*x))), ("min(X, 0.6)", by_cell(lambda v: plain.smallest(v, 0.6))),
        ("min(1, X, -X)", by_cell(lambda v: plain.smallest(1.0, v, -v))),
    ]),
    "max": cases([
        ("max(X)", of_all(lambda x: plain.largest(*x))), ("max(X, 0.6)", by_cell(lambda v: plain.largest(v, 0.6))),
        ("max(X, NaN)", by_cell(lambda v: NAN)),
    ]),
    "ifelse": cases([
        ("ifelse(X > 0, X, -1)", by_cell(lambda v: v if v > 0 else -1.0)), ("ifelse(X, 2, X)", by_cell(lambda v: 2.0 if v != 0 else v)),
        ("ifelse(TRUE, X, -X)", by_cell(lambda v: v)),
    ]),
    "outer": [*cases([
        ("outer(c, t(c), '+')", lambda x: [[a + b for b in column(x)] for a in column(x)]),
        ("outer(c, t(c), '>=')", lambda x: [[float(a >= b) for b in column(x)] for a in column(x)]),
        ("outer(c, t(c), 'min')", lambda x: [[plain.smallest(a, b) for b in column(x)] for a in column(x)]),
    ], CELLS), Case(f"outer({ALL_CELLS}, t({ALL_CELLS}), '*')", lambda x: [], EMPTY)],
    "ppred": [Case("ppred(X, 0.5, '<=')", pairwise(operator.le, 0.5))],
    # operators, which are no names of the table but belong here
    "operators": cases([
        *((f"X {o} 2", pairwise(f, 2.0)) for o, f in {
            "+": operator.add, "-": operator.sub, "*": operator.mul, "/": plain.divide, "^": plain.power, "%%": plain.floor_mod, "%/%": plain.floor_div,
            "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
            "&": lambda a, b: a != 0, "|": lambda a, b: True,
        }.items()),
        *((f"1.5 {o} X", by_cell(lambda v, f=f: float(f(1.5, v)))) for o, f in {
            "-": operator.sub, "/": plain.divide, "^": plain.power, "<": operator.lt,
        }.items()),
        ("X / 0", pairwise(plain.divide, 0.0)), ("X ^ 0.5", pairwise(plain.power, 0.5)), ("X ^ -1", pairwise(plain.power, -1.0)), ("X ^ 0", by_cell(lambda v: 1.0)),
        ("-X", by_cell(operator.neg)), ("!X", by_cell(lambda v: float(v == 0))), ("X + X * X", by_cell(lambda v: v + v * v)),
    ]),
    "%*%": [
        Case("t(X) %*% X", lambda x: plain.matrix_product(plain.turned(x), x), FINITE), Case("X %*% t(X)", lambda x: plain.matrix_product(x, plain.turned(x)), FINITE),
        Case("X %*% t(X)", lambda x: [[0.0] * 3] * 3, frozenset({"no columns"})), Case("t(X) %*% X", lambda x: [[0.0] * 3] * 3, frozenset({"no rows"})),
        Case("X %*% matrix(1, ncol(X), 1)", by_row(plain.sum_of), CELLS - {"both"}),
    ],
    # aggregates
    **{name: [Case(f"{name}(X)", of_all(f))] for name, f in {"sum": plain.sum_of, "prod": plain.product}.items()},
    **{name: [Case(f"{name}(X)", of_all(f))] for name, f in {"mean": plain.mean, "var": plain.variance, "sd": plain.deviation}.items()},
    **{f"{side}{name}": [Case(f"{side}{name}(X)", along(f), kinds)] for name, (f, kinds) in {
        "Sums": (plain.sum_of, ALL), "Prods": (plain.product, ALL), "Mins": (lambda x: plain.smallest(*x), ALL),
        "Maxs": (lambda x: plain.largest(*x), ALL), "Means": (plain.mean, ALL), "Vars": (plain.variance, ALL), "Sds": (plain.deviation, ALL),
    }.items() for side, along in (("row", by_row), ("col", by_column))},
    "rowIndexMax": [Case("rowIndexMax(X)", by_row(plain.last_index(operator.gt)))],
    "rowIndexMin": [Case("rowIndexMin(X)", by_row(plain.last_index(operator.lt)))],
    **{name: [Case(f"{name}(X)", lambda x, f=f: plain.turned([plain.scan(f)(c) for c in columns_of(x)]))] for name, f in {
        "cumsum": operator.add, "cumprod": operator.mul, "cummin": plain.smallest, "cummax": plain.largest,
    }.items()},
    "rowcumsum": [Case("rowcumsum(X)", lambda x: [plain.scan(operator.add)(row) for row in x])],
    "cumsumprod": [
        Case("cumsumprod(cbind(c, c))", lambda x: [[v] for v in _sum_product(column(x))], CELLS),
        Case(f"cumsumprod(cbind({ALL_CELLS}, {ALL_CELLS}))", lambda x: [], EMPTY),
    ],
    "trace": [Case("trace(X %*% t(X))", of_all(lambda x: sum((v * v for v in x), 0.0)))],
    "nrow": [Case("nrow(X)", len)],
    "ncol": [Case("ncol(X)", lambda x: x.columns)],  # type: ignore[attr-defined]
    "length": cases([("length(X)", lambda x: len(x) * x.columns)]),  # type: ignore[attr-defined]
    "median": cases([("median(c)", lambda x: median(column(x))), (f"median({ALL_CELLS})", of_all(median))], CELLS),
    "quantile": cases([
        ("quantile(c, 0.3)", lambda x: quantile(x, 0.3)), ("quantile(c, matrix('0 0.5 1', 3, 1))", lambda x: [[quantile(x, p)] for p in (0, 0.5, 1)]),
        ("quantile(c, matrix(2, nrow(c), 1), 0.5)", lambda x: quantile([[v] for v in column(x) * 2], 0.5)),
        (f"quantile({ALL_CELLS}, 0.7)", lambda x: quantile([[v] for row in x for v in row], 0.7)),
    ], CELLS),
    "interQuantile": [Case("interQuantile(c, 0.25)", lambda x: inter_quantile(x, 0.25), CELLS)],
    "interQuartileMean": cases([
        ("interQuartileMean(c)", inter_quartile_mean), (f"interQuartileMean({ALL_CELLS})", lambda x: inter_quartile_mean([[v] for row in x for v in row])),
    ], CELLS),
    "moment": [
        *cases([(f"moment(c, {k})", lambda x, k=k: plain.moment(column(x), k)) for k in (1, 2, 3, 4)], CELLS),
        *cases([("moment(c, is.nan(c) == 0, 2)", lambda x: plain.moment([v for v in column(x) if v == v], 2))], CELLS),
        Case(f"moment({ALL_CELLS}, 1)", lambda x: NAN, EMPTY), Case(f"moment({ALL_CELLS}, 2)", lambda x: NAN, EMPTY),
        fixed("moment(rbind(B[, 1], as.matrix(1 / 0)), 1)", INF), fixed("moment(B[, 1] * 1e300, 2)", INF), fixed("moment(as.matrix(7), 3)", 0.0),
    ],
    "cov": [
        *cases([("cov(c, c * 2)", lambda x: plain.covariance(column(x), [v * 2 for v in column(x)]))], CELLS),
        *cases([("cov(c, seq(1, nrow(c)))", lambda x: plain.covariance(column(x), range(len(x))))], CELLS),
        Case(f"cov({ALL_CELLS}, {ALL_CELLS})", lambda x: NAN, EMPTY),
        fixed("cov(B[, 1] * 1e300, B[, 1])", 1e300 * 7 / 3), fixed("cov(B[, 1] * 1e300, B[, 1] * 1e300)", INF),
    ],
    "countDistinct": [Case("countDistinct(X)", of_all(plain.distinct))],
    "rowCountDistinct": [Case("rowCountDistinct(X)", by_row(plain.distinct))],
    "colCountDistinct": [Case("colCountDistinct(X)", by_column(plain.distinct))],
    "aggregate": [*cases([
        (f"aggregate(target=c, {GROUPS}, fn='sum')", grouped(plain.sum_of)), (f"aggregate(target=c, {GROUPS}, fn='count')", grouped(lambda v: float(len(v)))),
        (f"aggregate(target=c, {GROUPS}, fn='mean')", grouped(plain.mean)), (f"aggregate(target=c, {GROUPS}, fn='variance')", grouped(plain.variance)),
        (f"aggregate(target=c, {GROUPS}, fn='max')", grouped(lambda v: plain.largest(*v))), (f"aggregate(target=c, {GROUPS}, fn='min')", grouped(lambda v: plain.smallest(*v))),
        (f"aggregate(target=c, {GROUPS}, fn='centralmoment', order=3)", grouped(lambda v: plain.moment(v, 3))),
        (f"aggregate(target=c, weights=is.nan(c) == 0, {GROUPS}, fn='mean')", grouped(lambda v: plain.mean([a for a in v if a == a]))),
    ], CELLS), *cases([
        (f"aggregate(target={ALL_CELLS}, groups={ALL_CELLS}, ngroups=2, fn='sum')", lambda x: [[0.0], [0.0]]),
        (f"aggregate(target={ALL_CELLS}, groups={ALL_CELLS}, ngroups=2, fn='mean')", lambda x: [[NAN], [NAN]]),
    ], EMPTY)],
    # construction
    "matrix": [*cases([
        ("matrix(1.5, nrow(X), 2)", lambda x: [[1.5, 1.5]] * len(x)), ("matrix(X, ncol(X), nrow(X))", lambda x: np.array(x).reshape(len(x[0]), -1).tolist()),
        ("matrix(X, 1, length(X), byrow=FALSE)", lambda x: [[v for c in columns_of(x) for v in c]]), ("matrix('1 2 3 4', 2, 2)", lambda x: [[1.0, 2.0], [3.0, 4.0]]),
    ], CELLS),
        Case("matrix(X, ncol(X), nrow(X))", lambda x: [[]] * x.columns, EMPTY), Case("matrix(NaN, nrow(X), 1)", lambda x: [[NAN]] * len(x)),  # type: ignore[attr-defined]
        fixed("matrix('NaN Infinity -Infinity 0', 2, 2)", [[NAN, INF], [-INF, 0.0]]), fixed("matrix('', 0, 3)", []),
    ],
    "rand": [
        Case("rand(rows=nrow(X), cols=ncol(X), min=2, max=2)", lambda x: [[2.0] * x.columns for _ in x]),  # type: ignore[attr-defined]
        Case("rand(rows=nrow(X), cols=ncol(X), sparsity=0)", lambda x: [[0.0] * x.columns for _ in x]),  # type: ignore[attr-defined]
        Case("rand(rows=nrow(X), cols=2, min=-1 / 0, max=1 / 0)", lambda x: [[NAN, NAN]] * len(x)),
        fixed("round(rand(rows=2, cols=3, seed=7) * 1e10)", [[4532435332, 159203042, 860658888], [5966360597, 557539631, 547542647]])],  # SystemDS 3.4
    "seq": [fixed("seq(1, 2, 0.25)", [[1.0], [1.25], [1.5], [1.75], [2.0]]), fixed("seq(3, 1)", [[3.0], [2.0], [1.0]]), fixed("seq(5, 0, -2)", [[5.0], [3.0], [1.0]]), Case("seq(nrow(X), nrow(X))", lambda x: [[float(len(x))]])],
    "sample": [fixed("sample(10, 4, FALSE, 7)", [[2.0], [6.0], [10.0], [8.0]]), fixed("sample(10, 4, TRUE, 7)", [[3.0], [2.0], [6.0], [7.0]]), fixed("sample(1, 1)", [[1.0]]), fixed("sample(5, 0)", [])],  # SystemDS 3.4
    "list": [Case("length(list(X, 2))", lambda x: 2)],
    "diag": [*cases([
        ("diag(c)", lambda x: np.diag(column(x)).tolist()), ("diag(diag(c))", lambda x: [[v] for v in column(x)]),
    ], CELLS), Case(f"diag({ALL_CELLS})", lambda x: [], EMPTY)],
    "table": [*cases([
        ("table(min(abs(round(c)), 5) + 1, 1)", contingency),
        ("table(min(abs(round(c)), 5) + 1, 1, c)", lambda x: contingency(x, lambda v: v)),
        ("table(seq(1, nrow(c)), sign(c) + 2, nrow(c), 3)", lambda x: [[float(plain.sign(v) + 2 == k) for k in (1, 2, 3)] for v in column(x)]),
    ], CELLS), Case(f"table({ALL_CELLS}, 1, 2, 2)", lambda x: [[0.0, 0.0]] * 2, EMPTY), Case(f"table({ALL_CELLS}, {ALL_CELLS})", lambda x: [], EMPTY)],
    "cbind": [Case("cbind(X, X, rowSums(X))", lambda x: [[*row, *row, plain.sum_of(row)] for row in x])],
    "rbind": [Case("rbind(X, colSums(X))", lambda x: [*x, [plain.sum_of(c) for c in columns_of(x)]])],
    # reorganisation
    "t": [Case("t(X)", plain.turned)],
    "rev": [Case("rev(X)", lambda x: x[::-1])],
    "roll": [Case("roll(X, 1)", lambda x: x[-1:] + x[:-1])],
    "order": [*cases([
        (f"order(target=X, by=1{more})", lambda x, d=d, i=i: [[n + 1.0] if i else x[n] for n in plain.ordered(x, [0], d)])
        for more, d, i in (("", False, False), (", decreasing=TRUE", True, False), (", index.return=TRUE", False, True), (", decreasing=TRUE, index.return=TRUE", True, True))
    ], CELLS), Case("order(target=X, by=1)", lambda x: [], frozenset({"no rows"})), Case("order(target=X, by=1, index.return=TRUE)", lambda x: [], frozenset({"no rows"}))],
    "removeEmpty": [*cases([
        ("removeEmpty(target=X, margin='rows')", lambda x: [r for r in x if any(v != 0 for v in r)] or [[0.0] * len(x[0])]),
        ("removeEmpty(target=X, margin='cols')", lambda x: plain.turned([c for c in columns_of(x) if any(v != 0 for v in c)] or [[0.0] * len(x)])),
        ("removeEmpty(target=X, margin='rows', select=c > 0)", lambda x: [r for r in x if r[0] > 0] or [[0.0] * len(x[0])]),
    ], CELLS), *cases([
        ("removeEmpty(target=X, margin='rows')", lambda x: [[0.0] * x.columns]), ("removeEmpty(target=X, margin='cols')", lambda x: [[0.0]] * len(x)),  # type: ignore[attr-defined]
        ("removeEmpty(target=X, margin='rows', empty.return=FALSE)", lambda x: []), ("removeEmpty(target=X, margin='cols', empty.return=FALSE)", lambda x: [[]] * len(x)),
    ], EMPTY)],
    "replace": cases([
        ("replace(target=X, pattern=0, replacement=9)", by_cell(lambda v: 9.0 if v == 0 else v)),
        ("replace(target=X, pattern=NaN, replacement=-1)", by_cell(lambda v: -1.0 if v != v else v)),
        ("replace(target=X, pattern=1 / 0, replacement=NaN)", by_cell(lambda v: NAN if v == INF else v)),
    ]),
    "lower.tri": cases([
        ("lower.tri(target=X, values=TRUE)", lambda x: [[v if j < i else 0.0 for j, v in enumerate(r)] for i, r in enumerate(x)]),
        ("lower.tri(target=X, diag=TRUE)", lambda x: [[float(j <= i) for j, v in enumerate(r)] for i, r in enumerate(x)]),
    ]),
    "upper.tri": cases([
        ("upper.tri(target=X, diag=TRUE, values=TRUE)", lambda x: [[v if j >= i else 0.0 for j, v in enumerate(r)] for i, r in enumerate(x)]),
        ("upper.tri(target=X)", lambda x: [[float(j > i) for j, v in enumerate(r)] for i, r in enumerate(x)]),
    ]),
    # linear algebra: Cramer's rule and what factors multiply to
    "solve": [
        Case("solve(X, X)", lambda x: [[1.0]], frozenset({"1x1"})), Case("solve(matrix(X, 0, 0), matrix(X, 0, 2))", lambda x: [], EMPTY),
        Case("solve(X %*% t(X) + diag(matrix(1, nrow(X), 1)), X)", lambda x: np.linalg.solve(np.array(x) @ np.array(x).T + np.eye(len(x)), np.array(x)).tolist(), FINITE),
        fixed("solve(S, B)", np.linalg.lstsq(S, B, rcond=None)[0].tolist())],
    "inv": [
        Case("inv(X %*% t(X) + diag(matrix(1, nrow(X), 1)))", lambda x: np.linalg.inv(np.array(x) @ np.array(x).T + np.eye(len(x))).tolist(), FINITE),
        Case("inv(matrix(X, 0, 0))", lambda x: [], EMPTY),
        fixed("inv(S)", np.linalg.pinv(S).tolist()), Case("inv(as.matrix(X[1, 1]))", lambda x: [[1 / x[0][0]]], frozenset({"1x1"}))],
    "cholesky": [
        Case("cholesky(X %*% t(X) + diag(matrix(1, nrow(X), 1)))", lambda x: np.linalg.cholesky(np.array(x) @ np.array(x).T + np.eye(len(x))).tolist(), FINITE),
        Case("cholesky(matrix(X, 0, 0))", lambda x: [], EMPTY),
        fixed("cholesky(S) %*% t(cholesky(S))", S.tolist()), fixed("upper.tri(target=cholesky(S), values=TRUE)", np.zeros((3, 3)).tolist())],
    "det": [
        Case("det(X %*% t(X) + diag(matrix(1, nrow(X), 1)))", lambda x: float(np.linalg.det(np.array(x) @ np.array(x).T + np.eye(len(x)))), FINITE),
        Case("det(matrix(X, 0, 0))", lambda x: 1.0, EMPTY), Case("det(X %*% t(X) + 1)", lambda x: NAN, frozenset({"nan", "both"})),
        fixed("det(S)", 4 * (3 * 2 - 1) - 1 * (2 + 0.5) + 0.5 * (-1 - 1.5)), Case("det(X)", lambda x: x[0][0], frozenset({"1x1", "1x1 zero"}))],
    # distributions: R 4 (pnorm(1.96), pexp(2, 0.5), pchisq(5, 3), pf(3, 2, 10), pt(2, 5) and their inverses)
    "cdf": [fixed("cdf(target=1.96, dist='normal')", 0.9750021048517795), fixed("cdf(target=1.96, dist='normal', lower.tail=FALSE)", 0.024997895148220484)],
    "icdf": [fixed("icdf(target=0.975, dist='normal')", 1.959963984540054), fixed("icdf(target=0.95, dist='t', df=10)", 1.8124611228107335)],
    "pnorm": [fixed("pnorm(target=-1)", 0.15865525393145707), fixed("pnorm(target=NaN)", NAN), fixed("pnorm(target=1 / 0)", 1.0)],
    "pexp": [fixed("pexp(target=2, rate=0.5)", 1 - math.exp(-1)), fixed("pexp(target=-1, rate=0.5)", 0.0)],
    "pchisq": [fixed("pchisq(target=3.84, df=1)", math.erf(math.sqrt(1.92))), fixed("pchisq(target=3, df=2)", 1 - math.exp(-1.5))],
    "pf": [fixed("pf(target=3, df1=2, df2=10)", 1 - (1 + 2 * 3 / 10) ** -5)],
    "pt": [fixed("pt(target=2, df=5)", 0.9490302605850709), fixed("pt(target=1, df=1)", 0.75)],
    "qnorm": [fixed("qnorm(target=0.975)", 1.959963984540054), fixed("qnorm(target=0.5, mean=3, sd=2)", 3.0)],
    "qexp": [fixed("qexp(target=0.5, rate=2)", math.log(2) / 2)],
    "qchisq": [fixed("qchisq(target=0.95, df=2)", -2 * math.log(0.05))],
    "qf": [fixed("qf(target=0.95, df1=3, df2=20)", 3.0983912121407795)],
    "qt": [fixed("qt(target=0.75, df=1)", 1.0), fixed("qt(target=0.95, df=10)", 1.8124611228107335)],
    # casts and texts
    "as.scalar": [Case("as.scalar(X[1, 1])", lambda x: x[0][0], CELLS)],
    "as.matrix": [Case("as.matrix(sum(X))", lambda x: [[plain.sum_of([v for r in x for v in r])]])],
    "as.integer": [Case("as.integer(as.scalar(X[1, 1]))", lambda x: as_long(x[0][0]), CELLS)],
    "as.double": [Case("as.double(nrow(X))", lambda x: float(len(x)))],
    "as.logical": [Case("as.logical(as.scalar(X[1, 1]))", lambda x: x[0][0] != 0, CELLS)],
    "exists": [Case("exists('X')", lambda x: True)],
    "toString": [
        Case("toString(X, decimal=2)", shown),
        Case("toString(X, sparse=TRUE, decimal=2, sep=',')", lambda x: "".join(f"{i},{j},{shown([[v]])}" for i, r in enumerate(x, 1) for j, v in enumerate(r, 1) if v != 0)),
        Case("toString(as.scalar(X[1, 1]))", lambda x: {2.5: "2.5", 0.0: "0.0", -1.75: "-1.75", INF: "Infinity"}.get(x[0][0], "NaN"), CELLS)],
}  # fmt: skip


def _sum_product(x: Sequence[float]) -> list[float]:
    made: list[float] = []
    for v in x:
        made.append(v + v * made[-1] if made else v)
    return made


NOT_FINITE: Final = frozenset({"nan", "inf", "both"})
_SQUARE: Final = "X %*% t(X) + 1"
FAILS: Final[dict[str, tuple[str, frozenset[str], str]]] = {
    **{f"{name}({ALL_CELLS}{more})": (f"{name} of an empty vector", EMPTY, name)
       for name, more in (("median", ""), ("quantile", ", 0.5"), ("interQuantile", ", 0.2"), ("interQuartileMean", ""))},
    "order(target=X, by=1)": ("out of range", frozenset({"no columns"}), "order"),
    "as.scalar(X[1, 1])": ("out of range", EMPTY, "as.scalar"),
    **{f"{name}({_SQUARE})": ("NaN or infinite", NOT_FINITE, name) for name in ("inv", "cholesky")},
    f"solve({_SQUARE}, X)": ("NaN or infinite", NOT_FINITE, "solve"),
    **{f"{name}(matrix(X, length(X), 1) %*% matrix(0, 1, length(X)))": (message, frozenset({"dense", "sparse", "empty", "1x1", "zeros"}), name)
       for name, message in (("inv", "singular"), ("cholesky", "positive definite"))},
    "seq(1, sum(X))": ("must be finite", NOT_FINITE, "seq"),
    "seq(nrow(X), nrow(X) + 1, 0 * sum(X))": ("increment", FINITE, "seq"),
    "rand(rows=2, cols=2, sparsity=sum(X) + 20)": ("sparsity must be between", CELLS, "rand"),
    "rand(rows=2, cols=2, min=0, max=sum(X) - 50)": ("must not be greater than max", FINITE | {"nan", "both"}, "rand"),
    "rand(rows=2, cols=2, pdf='poisson', lambda=-abs(sum(X)))": ("lambda must be positive", CELLS, "rand"),
    "sample(nrow(X), nrow(X) + 1)": ("sample", ALL, "sample"),
}  # fmt: skip
"""Expressions of X that are errors for these kinds of data: what the message says, and the builtin."""


ALIASES: Final = {
    "ceiling": "ceil", "isNA": "is.na", "isNaN": "is.nan", "isInf": "is.infinite", "pmin": "min", "pmax": "max", "avg": "mean", "tr": "trace",
    "centralMoment": "moment", "countDistinctApprox": "countDistinct", "countDistinctApproxRow": "rowCountDistinct", "countDistinctApproxCol": "colCountDistinct",
    "groupedAggregate": "aggregate", "ctable": "table", "append": "cbind", "inverse": "inv", "castAsScalar": "as.scalar", "as.boolean": "as.logical",
}  # fmt: skip
"""Other names: their cases are those of the builtin that they mean."""
ELSEWHERE: Final = {
    "eigen": "test_factors", "qr": "test_factors", "lu": "test_factors", "svd": "test_factors", "print": "test_effects", "stop": "test_effects", "assert": "test_effects",
    "read": "test_files", "write": "test_files", "readMM": "test_files", "time": "test_effects", "eval": "test_effects", "evalList": "test_effects", "as.list": "test_effects",
    "remove": "test_effects",
}  # fmt: skip
"""Builtins that are no expressions, and the test here that tries them."""
