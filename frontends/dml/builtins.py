"""The builtin functions of DML: name → signature → how it is lowered. One table; a new builtin is a line here."""

from __future__ import annotations

from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml import builtins_cells as cells
from sysmlc.frontends.dml import builtins_files as files
from sysmlc.frontends.dml import builtins_matrix as matrices
from sysmlc.frontends.dml import builtins_text as texts
from sysmlc.frontends.dml.absent import ABSENT
from sysmlc.frontends.dml.arguments import Builtin, Emitter
from sysmlc.frontends.dml.builtins_cells import aggregate, binary, family, op, unary
from sysmlc.frontends.dml.frame import Frame, PoisonedError
from sysmlc.ir.core import Value
from sysmlc.ir.dialects import dml_matrix as m
from sysmlc.ir.dialects import dml_pick as pick
from sysmlc.ir.dialects import dml_stat as stat
from sysmlc.ir.dialects.dml_scalar import ListRemove, Time
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Type, f64, i1, i64, list_, matrix

_X: Final = "X: matrix"
_CDF: Final = "target: number, dist: word, mean: number = ?, sd: number = ?, rate: number = ?, df: number = ?, df1: number = ?, df2: number = ?"
_TAIL: Final = ", lower.tail: boolean = ?"
_FILE: Final = (
    "path: text, data_type: text = ?, value_type: text = ?, format: text = ?, rows: integer = ?, cols: integer = ?, "
    "nnz: integer = ?, header: boolean = ?, sep: text = ?, fill: boolean = ?, default: number = ?, "
    "rows_in_block: integer = ?, cols_in_block: integer = ?, schema: text = ?, description: text = ?, "
    "author: text = ?, created: text = ?"
)


def by_name(type: Type) -> Emitter:
    """`eval` and `evalList`, which give a value of `type`."""

    def emit(frame: Frame, node: ast.Call, self: Builtin) -> Value:
        from sysmlc.frontends.dml.by_name import call_by_name  # it needs this table, and few scripts need it

        return call_by_name(frame, node, type)

    return emit


# fmt: off
TABLE: Final[dict[str, Builtin]] = {
    # cellwise, of one operand
    **{name: Builtin("x: any", unary(fn)) for name, fn in {
        "abs": "abs", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan",
        "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "sqrt": "sqrt", "exp": "exp", "round": "round",
        "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "sign": "sign", "sigmoid": "sigmoid",
        "is.na": "isna", "is.nan": "isnan", "is.infinite": "isinf",
        "isNA": "isna", "isNaN": "isnan", "isInf": "isinf",
    }.items()},
    "log": Builtin("x: cells, base: cells = ?", cells.logarithm),
    # cellwise, of two and more
    **{name: Builtin("x: any, y: any", binary(fn)) for name, fn in {
        "xor": "xor", "bitwAnd": "bitand", "bitwOr": "bitor", "bitwXor": "bitxor",
        "bitwShiftL": "shiftl", "bitwShiftR": "shiftr",
    }.items()},
    "min": Builtin("…x, y, …", cells.extreme("min", "min_of")),
    "max": Builtin("…x, y, …", cells.extreme("max", "max_of")),
    "pmin": Builtin("…x, y, …", cells.extreme("min", "min_of")),
    "pmax": Builtin("…x, y, …", cells.extreme("max", "max_of")),
    "ifelse": Builtin("test: any, yes: any, no: any", cells.if_else),
    "outer": Builtin("u: matrix, v: matrix, op: word", cells.outer),
    "ppred": Builtin("x: any, y: any, op: word", cells.ppred),
    # aggregates
    **{name: Builtin(_X, aggregate(fn, dir)) for name, (fn, dir) in {
        "sum": ("sum", "full"), "rowSums": ("sum", "row"), "colSums": ("sum", "col"),
        "prod": ("prod", "full"), "rowProds": ("prod", "row"), "colProds": ("prod", "col"),
        "rowMeans": ("mean", "row"), "colMeans": ("mean", "col"),
        "rowMins": ("min_of", "row"), "colMins": ("min_of", "col"),
        "rowMaxs": ("max_of", "row"), "colMaxs": ("max_of", "col"),
        "var": ("var", "full"), "rowVars": ("var", "row"), "colVars": ("var", "col"),
        "sd": ("sd", "full"), "rowSds": ("sd", "row"), "colSds": ("sd", "col"),
    }.items()},
    "mean": Builtin("X: matrix, W: matrix = ?", cells.mean),
    "avg": Builtin("X: matrix, W: matrix = ?", cells.mean),
    "rowIndexMax": Builtin(_X, family(stat.RowIndex, "row_index_max")),
    "rowIndexMin": Builtin(_X, family(stat.RowIndex, "row_index_min")),
    **{name: Builtin(_X, family(stat.Cumulative, name)) for name in stat.CUMULATIVE},
    "cumsumprod": Builtin(_X, op(stat.CumSumProd)),
    "trace": Builtin(_X, op(m.Trace)),
    "tr": Builtin(_X, op(m.Trace)),
    "nrow": Builtin(_X, matrices.size(m.NRow)),
    "ncol": Builtin(_X, matrices.size(m.NCol)),
    "length": Builtin("X: any", matrices.length),
    "median": Builtin("X: matrix, W: matrix = none", op(stat.Median)),
    "quantile": Builtin("…X, p) or quantile(X, W, p", cells.quantile),
    "interQuantile": Builtin("…X, p) or interQuantile(X, W, p", cells.weighted(stat.InterQuantile, "number")),
    "interQuartileMean": Builtin("X: matrix, W: matrix = none", op(stat.InterQuartileMean)),
    "moment": Builtin("…X, k) or moment(X, W, k", cells.weighted(stat.Moment, "integer")),
    "centralMoment": Builtin("…X, k) or centralMoment(X, W, k", cells.weighted(stat.Moment, "integer")),
    "cov": Builtin("X: matrix, Y: matrix, W: matrix = none", op(stat.Cov)),
    "countDistinct": Builtin('X: matrix, dir: word = "rc"', cells.count_distinct),
    "countDistinctApprox": Builtin('X: matrix, type: word = "KMV", dir: word = "rc"', cells.count_distinct_approx),
    "rowCountDistinct": Builtin(_X, op(stat.CountDistinct, dir="row")),
    "colCountDistinct": Builtin(_X, op(stat.CountDistinct, dir="col")),
    "countDistinctApproxRow": Builtin(_X, op(stat.CountDistinct, dir="row")),
    "countDistinctApproxCol": Builtin(_X, op(stat.CountDistinct, dir="col")),
    **{name: Builtin(
        "target: matrix, groups: matrix, fn: text, weights: matrix = none, ngroups: integer = -1, order: integer = 2",
        matrices.grouped,
    ) for name in ("aggregate", "groupedAggregate")},
    # construction
    "matrix": Builtin("data: any, rows: integer, cols: integer, byrow: boolean = ?, dimnames: node = ?", matrices.matrix),
    "rand": Builtin(
        "rows: integer, cols: integer, min: number = 0, max: number = 1, sparsity: number = 1, "
        'pdf: text = "uniform", seed: integer = -1, lambda: number = 1', matrices.rand, named=True,
    ),
    "seq": Builtin("from: number, to: number, incr: number = ?", matrices.seq),
    "sample": Builtin("range: integer, size: integer, replace: any = ?, seed: integer = ?", matrices.sample),
    "list": Builtin("…name = value, …", matrices.make_list),
    "diag": Builtin(_X, op(m.Diag)),
    "table": Builtin("…A, B, W = 1, rows, cols", matrices.table),
    "ctable": Builtin("…A, B, W = 1, rows, cols", matrices.table),
    "cbind": Builtin("…A, B, …", matrices.bind(m.CBind)),
    "append": Builtin("…A, B, …", matrices.bind(m.CBind)),
    "rbind": Builtin("…A, B, …", matrices.bind(m.RBind)),
    # reorganisation
    "t": Builtin(_X, op(m.Transpose)),
    "rev": Builtin(_X, op(m.Rev)),
    "roll": Builtin("X: matrix, shift: integer", op(m.Roll)),
    "order": Builtin(
        "target: matrix, by: column = 1, decreasing: boolean = FALSE, index.return: boolean = FALSE", op(pick.Order)
    ),
    "removeEmpty": Builtin(
        "target: matrix, margin: text, select: matrix = none, empty.return: boolean = TRUE", matrices.remove_empty
    ),
    "replace": Builtin("target: matrix, pattern: number, replacement: number", op(pick.Replace)),
    "lower.tri": Builtin(
        "target: matrix, diag: boolean = FALSE, values: boolean = FALSE", family(pick.Triangle, "lower_tri")
    ),
    "upper.tri": Builtin(
        "target: matrix, diag: boolean = FALSE, values: boolean = FALSE", family(pick.Triangle, "upper_tri")
    ),
    "remove": Builtin("L: list, i: integer", op(ListRemove), results=2),
    # linear algebra
    "solve": Builtin("A: matrix, b: matrix", op(stat.Solve)),
    "inv": Builtin("A: matrix", family(stat.Factor, "inv")),
    "inverse": Builtin("A: matrix", family(stat.Factor, "inv")),
    "cholesky": Builtin("A: matrix", family(stat.Factor, "cholesky")),
    "det": Builtin("A: matrix", op(stat.Det)),
    "eigen": Builtin("A: matrix", op(stat.Eigen), results=2),
    "qr": Builtin("A: matrix", op(stat.QR), results=2),
    "lu": Builtin("A: matrix", op(stat.LU), results=3),
    "svd": Builtin("A: matrix", op(stat.SVD), results=3),
    # distributions
    "cdf": Builtin(_CDF + _TAIL, matrices.distribution("cdf"), raw=True),
    "icdf": Builtin(_CDF, matrices.distribution("icdf"), raw=True),
    **{short + dist: Builtin(
        "target: number, " + ", ".join(f"{p}: number = ?" for p in matrices.DISTRIBUTIONS[full]) + tail,
        matrices.distribution(fn, full), raw=True,
    ) for short, fn, tail in (("p", "cdf", _TAIL), ("q", "icdf", ""))
      for dist, full in (("norm", "normal"), ("exp", "exp"), ("chisq", "chisq"), ("f", "f"), ("t", "t"))},
    # casts
    "as.scalar": Builtin("X: node", matrices.as_scalar),
    "castAsScalar": Builtin("X: node", matrices.as_scalar),
    "as.matrix": Builtin("x: any", matrices.as_matrix),
    "as.integer": Builtin("x: node", matrices.as_type(i64)),
    "as.double": Builtin("x: node", matrices.as_type(f64)),
    "as.logical": Builtin("x: node", matrices.as_type(i1)),
    "as.boolean": Builtin("x: node", matrices.as_type(i1)),
    "as.list": Builtin("x: any", matrices.as_list),
    # the rest
    "eval": Builtin("…name, …", by_name(matrix())),
    "evalList": Builtin("…name, …", by_name(list_)),
    "exists": Builtin("x: node", matrices.exists),
    "time": Builtin("", op(Time)),
    "toString": Builtin(
        "target: any, rows: integer = 100, cols: integer = 100, decimal: integer = 3, sparse: boolean = FALSE, "
        'sep: text = " ", linesep: text = "\n"', texts.to_string,
    ),
    "print": Builtin("…format, …", texts.print_, effect=True),
    "stop": Builtin("message: any", texts.stop, effect=True),
    "assert": Builtin("condition: node", texts.assert_, effect=True),
    "read": Builtin(_FILE, files.read, raw=True),
    "readMM": Builtin(_FILE, files.read, raw=True),
    "write": Builtin("target: any, " + _FILE + ", sparse: boolean = ?", files.write, effect=True, raw=True),
}
# fmt: on
for _name, _entry in TABLE.items():
    _entry.name = _name


def builtin(node: ast.Call) -> Builtin:
    """The builtin that a call names, or the error that says why there is none."""
    name = node.name
    found = TABLE.get(name)
    if found is not None:
        return found
    if name.lower() == "rand":
        return TABLE["rand"]
    if name in ABSENT:
        raise Diagnostic(f"'{name}' {ABSENT[name]}", node.name_loc)
    raise PoisonedError  # no such function: `check` has said so


def names() -> list[str]:
    """All names of functions that DML knows, whether this version has them or not."""
    return [*TABLE, *ABSENT, "Rand", "RAND"]
