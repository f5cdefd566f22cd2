"""Every builtin of the language: lowered to the operations it should, or refused by name."""

from __future__ import annotations

import pytest

from sysmlc.frontends.dml.absent import ABSENT
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.verify import verify

PRELUDE = """\
A = read("A", rows=4, cols=4)
X = read("X", rows=6, cols=3)
v = read("v", rows=6, cols=1)
g = read("g", rows=6, cols=1)
i = as.integer(as.scalar(v[1, 1]))
d = as.scalar(v[2, 1])
b = d > 0
s = "s" + d
L = list(a=X, b=d)
"""


def lowered(text: str) -> Op:
    module = compile_source(Source("test.dml", text))
    verify(module)
    return module


def operations(text: str, prelude: str = PRELUDE) -> list[str]:
    """Names of the operations that `text` adds to the script, constants and casts left out."""
    boring = ("core.constant", "core.return", "dml.cast", "dml.undefined")
    before = [op.name for op in lowered(prelude).walk()]
    after = [op.name for op in lowered(prelude + text).walk()]
    return [name for name in after[len(before) - 1 :] if name not in boring]


def message(text: str) -> str:
    with pytest.raises((Diagnostic, DiagnosticGroup)) as caught:
        compile_source(Source("test.dml", text))
    return str(caught.value)


CASES: dict[str, tuple[str, str]] = {
    # name: (call, operations)
    **{
        name: (f"{name}(X)", f"dml.{fn}")
        for name, fn in {
            **{
                n: n
                for n in ["abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "sqrt", "exp", "round", "floor", "ceil", "sign", "sigmoid"]
            },
            "ceiling": "ceil",
            "is.na": "isna",
            "is.nan": "isnan",
            "is.infinite": "isinf",
            "isNA": "isna",
            "isNaN": "isnan",
            "isInf": "isinf",
        }.items()
    },
    "log": ("log(X, 2)", "dml.log_base"),
    "xor": ("xor(X > 0, X < 5)", "dml.gt dml.lt dml.xor"),
    "bitwAnd": ("bitwAnd(i, 3)", "dml.bitand"),
    "bitwOr": ("bitwOr(i, 3)", "dml.bitor"),
    "bitwXor": ("bitwXor(X, 3)", "dml.bitxor"),
    "bitwShiftL": ("bitwShiftL(i, 3)", "dml.shiftl"),
    "bitwShiftR": ("bitwShiftR(i, 3)", "dml.shiftr"),
    "min": ("min(X)", "dml.min_of"),
    "max": ("max(X, d, 3)", "dml.max dml.max"),
    "pmin": ("pmin(X, 3)", "dml.min"),
    "pmax": ("pmax(X, 3)", "dml.max"),
    "ifelse": ("ifelse(X > 0, X, 0)", "dml.gt dml.ifelse"),
    "outer": ('outer(v, t(v), "<=")', "dml.t dml.outer"),
    "ppred": ('ppred(X, 3, "<")', "dml.lt"),
    **{
        name: (f"{name}(X)", f"dml.{fn}")
        for name, fn in {
            "sum": "sum", "rowSums": "sum", "colSums": "sum", "prod": "prod", "rowProds": "prod",
            "colProds": "prod", "mean": "mean", "avg": "mean", "rowMeans": "mean", "colMeans": "mean",
            "rowMins": "min_of", "colMins": "min_of", "rowMaxs": "max_of", "colMaxs": "max_of", "var": "var",
            "rowVars": "var", "colVars": "var", "sd": "sd", "rowSds": "sd", "colSds": "sd",
            "rowIndexMax": "row_index_max", "rowIndexMin": "row_index_min", "cumsum": "cumsum",
            "cumprod": "cumprod", "cummin": "cummin", "cummax": "cummax", "rowcumsum": "rowcumsum",
            "nrow": "nrow", "ncol": "ncol", "length": "length", "rowCountDistinct": "count_distinct",
            "colCountDistinct": "count_distinct", "countDistinctApproxRow": "count_distinct",
            "countDistinctApproxCol": "count_distinct", "t": "t", "rev": "rev",
        }.items()
    },
    "cumsumprod": ("cumsumprod(X[, 1:2])", "dml.index dml.cumsumprod"),
    "trace": ("trace(A)", "dml.trace"),
    "tr": ("tr(A)", "dml.trace"),
    "median": ("median(v)", "dml.median"),
    "quantile": ("quantile(v, 0.5)", "dml.as_matrix dml.quantile dml.as_scalar"),
    "interQuantile": ("interQuantile(v, 0.25)", "dml.inter_quantile"),
    "interQuartileMean": ("interQuartileMean(v, g)", "dml.inter_quartile_mean"),
    "moment": ("moment(v, 2)", "dml.moment"),
    "centralMoment": ("centralMoment(v, g, 2)", "dml.moment"),
    "cov": ("cov(v, g)", "dml.cov"),
    "countDistinct": ("countDistinct(X)", "dml.count_distinct dml.as_scalar"),
    "countDistinctApprox": ('countDistinctApprox(X, type="KMV", dir="r")', "dml.count_distinct"),
    "aggregate": ('aggregate(target=v, groups=g, fn="mean")', "dml.grouped_aggregate"),
    "groupedAggregate": ('groupedAggregate(target=v, groups=g, fn="sum", ngroups=3)', "dml.grouped_aggregate"),
    "matrix": ("matrix(0, rows=2, cols=3)", "dml.fill"),
    "rand": ('rand(rows=2, cols=3, pdf="normal", seed=7)', "dml.rand"),
    "seq": ("seq(1, 10, 2)", "dml.seq"),
    "sample": ("sample(10, 5, FALSE, 42)", "dml.sample"),
    "list": ("list(x=X, y=1)", "dml.list_new"),
    "diag": ("diag(v)", "dml.diag"),
    "table": ("table(v, g)", "dml.as_matrix dml.table"),
    "ctable": ("ctable(v, g, 3, 4)", "dml.as_matrix dml.table"),
    "cbind": ("cbind(X, v, v)", "dml.cbind"),
    "rbind": ("rbind(X, X)", "dml.rbind"),
    "append": ("append(L, X)", "dml.list_new dml.list_append"),
    "roll": ("roll(X, 2)", "dml.roll"),
    "order": ("order(target=X, by=2, decreasing=TRUE, index.return=TRUE)", "dml.as_matrix dml.order"),
    "removeEmpty": ('removeEmpty(target=X, margin="rows")', "dml.remove_empty"),
    "replace": ("replace(target=X, pattern=NaN, replacement=0)", "dml.replace"),
    "lower.tri": ("lower.tri(target=A, diag=TRUE, values=TRUE)", "dml.lower_tri"),
    "upper.tri": ("upper.tri(target=A)", "dml.upper_tri"),
    "solve": ("solve(A, A[, 1])", "dml.index dml.solve"),
    "inv": ("inv(A)", "dml.inv"),
    "inverse": ("inverse(A)", "dml.inv"),
    "cholesky": ("cholesky(A)", "dml.cholesky"),
    "det": ("det(A)", "dml.det"),
    "cdf": ('cdf(target=d, dist="normal", mean=1, sd=2, lower.tail=FALSE)', "dml.cdf"),
    "icdf": ('icdf(target=0.3, dist="chisq", df=3)', "dml.icdf"),
    "pnorm": ("pnorm(target=d)", "dml.cdf"),
    "pexp": ("pexp(target=d, rate=2)", "dml.cdf"),
    "pchisq": ("pchisq(target=d, df=2)", "dml.cdf"),
    "pf": ("pf(target=d, df1=2, df2=3)", "dml.cdf"),
    "pt": ("pt(target=d, df=2, lower.tail=FALSE)", "dml.cdf"),
    "qnorm": ("qnorm(target=d)", "dml.icdf"),
    "qexp": ("qexp(target=d)", "dml.icdf"),
    "qchisq": ("qchisq(target=d, df=2)", "dml.icdf"),
    "qf": ("qf(target=d, df1=2, df2=3)", "dml.icdf"),
    "qt": ("qt(target=d, df=2)", "dml.icdf"),
    "as.scalar": ("as.scalar(X[2, 3])", "dml.get_cell"),
    "castAsScalar": ("castAsScalar(A[1, 1] + A[1, 1])", "dml.index dml.index dml.add dml.as_scalar"),
    "as.matrix": ("as.matrix(L[1])", "dml.list_range dml.list_matrix"),
    "as.integer": ("as.integer(d)", ""),
    "as.double": ("as.double(i)", ""),
    "as.logical": ("as.logical(i)", ""),
    "as.boolean": ("as.boolean(i)", ""),
    "as.list": ('as.list(L["a"])', "dml.list_named dml.list_list"),
    "eval": ('eval("t", X)', "dml.t"),
    "evalList": ('evalList("t", X)', "dml.t dml.list_new"),
    "exists": ('exists("X")', ""),
    "time": ("time()", "dml.time"),
    "toString": ("toString(X, rows=3, decimal=6, sparse=TRUE)", "dml.matrix_to_string"),
    "read": ('read("f.csv", format="csv", header=TRUE)', "dml.read_matrix"),
    "readMM": ('readMM("f.mm")', "dml.read_matrix"),
}  # fmt: skip
STATEMENTS: dict[str, tuple[str, str]] = {
    "remove": ("[M, e] = remove(L, 1)", "dml.list_remove"),
    "eigen": ("[w, V] = eigen(A)", "dml.eigen"),
    "qr": ("[H, R] = qr(A)", "dml.qr"),
    "lu": ("[P, M, U] = lu(A)", "dml.lu"),
    "svd": ("[U, S, V] = svd(X)", "dml.svd"),
    "print": ("print(d)", "dml.print"),
    "stop": ('stop("no")', "dml.stop"),
    "assert": ("assert(d > 0)", "dml.gt dml.assert"),
    "write": ('write(X, "out.csv", format="csv")', "dml.write_matrix"),
}


def test_every_builtin_of_the_table_is_tried() -> None:
    assert set(TABLE) == set(CASES) | set(STATEMENTS)
    assert not set(TABLE) & set(ABSENT)


@pytest.mark.parametrize("name", CASES)
def test_expression(name: str) -> None:
    call, expected = CASES[name]
    assert operations(f"r = {call}\n") == expected.split()


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement(name: str) -> None:
    call, expected = STATEMENTS[name]
    assert operations(call + "\n") == expected.split()


@pytest.mark.parametrize("name", sorted(ABSENT))
def test_absent_functions_are_named(name: str) -> None:
    text = message(f"x = {name}(1)\n")
    assert text.startswith(f"test.dml:1:5: error: '{name}' {ABSENT[name]}\n")


@pytest.mark.parametrize(
    ("call", "type"),
    [
        ("abs(-3)", "i64"), ("abs(-3.5)", "f64"), ("abs(TRUE)", "f64"), ("round(2)", "f64"),
        ("max(3, 5)", "i64"), ("max(3, 5.5)", "f64"), ("min(1, 2, 3)", "i64"), ("log(8, 2)", "f64"),
        ("bitwAnd(5, 3)", "i64"), ("bitwAnd(5.0, 3)", "f64"), ("xor(TRUE, FALSE)", "i1"), ("is.nan(1)", "f64"),
        ("ifelse(TRUE, 1, 2.5)", "f64"), ("ifelse(TRUE, 1, 2)", "i64"), ('ifelse(1, "a", "b")', "str"),
        ("nrow(matrix(0, 3, 2))", "i64"), ("sum(matrix(0, 3, 2))", "f64"), ("as.integer(2.5)", "i64"),
        ("as.scalar(5)", "i64"), ("as.logical(0)", "i1"), ("time()", "i64"), ('exists("y")', "i1"),
        ("matrix(0, 3, 2)", "matrix<3x2xf64, nnz=0>"), ("matrix(seq(1, 6), 3, 2)", "matrix<3x2xf64>"),
        ("seq(1, 10)", "matrix<10x1xf64>"), ("seq(3, 1)", "matrix<3x1xf64>"), ("seq(0, 1, 0.25)", "matrix<5x1xf64>"),
        ("t(matrix(1, 3, 2))", "matrix<2x3xf64>"), ("cbind(matrix(1, 3, 2), matrix(1, 3, 4))", "matrix<3x6xf64>"),
        ("rowSums(matrix(1, 3, 2))", "matrix<3x1xf64>"), ("diag(matrix(1, 3, 1))", "matrix<3x3xf64, nnz=3>"),
        ("quantile(seq(1, 4), 0.5)", "f64"), ("quantile(seq(1, 4), matrix(0.5, 2, 1))", "matrix<2x1xf64>"),
        ("countDistinct(seq(1, 4))", "f64"), ("list(1)", "list"), ('toString(1) + "a"', "str"),
        ("sample(10, 5)", "matrix<5x1xf64>"), ("rand(rows=2, cols=3)", "matrix<2x3xf64>"),
        ("outer(seq(1, 2), t(seq(1, 3)), \"*\")", "matrix<2x3xf64>"), ("append(\"a\", \"b\")", "str"),
    ],
)  # fmt: skip
def test_result_type(call: str, type: str) -> None:
    module = lowered(f"r = {call}\n")
    results = [value for op in module.walk() for value in op.results if value.name == "r"]
    assert [str(value.type) for value in results] == [type]


ERRORS = [
    ("x = sqrt(\"a\")", "5: error: 'sqrt' cannot be applied to a string"),
    ("x = sum(3)", "9: error: the argument 'X' of 'sum' must be a matrix, but is an integer"),
    ("x = max(3)", "5: error: 'max' of one argument needs a matrix, but it is an integer"),
    ("x = rev()", "5: error: 'rev' needs the argument 'X'"),
    ("x = order(target=seq(1,3), by=1, by=2)", "34: error: the argument 'by' is given twice"),
    ("x = order(decreasing=TRUE, seq(1,3))", "28: error: positional arguments stand before named ones"),
    ("x = rand(2, 3)", "10: error: the arguments of 'rand' must be named"),
    ("x = rand(rows=2, cols=3, pdf=\"beta\")", "5: error: the argument 'pdf' cannot be 'beta'"),
    ("x = seq(1, 5, 0)", "5: error: the increment of a sequence must not be 0"),
    ("x = sample(3, 5)", "5: error: cannot draw 5 of 3 values without replacement"),
    ("x = matrix(0, -1, 2)", "5: error: a matrix cannot have -1 rows"),
    ("x = matrix(\"1 a\", 1, 2)", "12: error: 'a' is not a number"),
    ("x = cdf(target=1, dist=\"t\")", "5: error: the distribution 't' needs the argument 'df'"),
    ("x = cdf(target=1, dist=\"beta\")", "19: error: there is no distribution 'beta'"),
    ("x = outer(seq(1,2), t(seq(1,2)), \"%o%\")", "34: error: '%o%' is not an operator for 'outer'"),
    ("x = removeEmpty(target=seq(1,2), margin=\"row\")", "5: error: the argument 'margin' cannot be 'row'"),
    ("x = list(a=1, 2)", "5: error: the entries of a list are either all named or all unnamed"),
    ("x = list(a=1, a=2)", "15: error: two entries of the list are called 'a'"),
    ("x = cbind(seq(1,2), 3)", "21: error: 'cbind' joins matrices, but this is an integer"),
    ("x = qr(matrix(1,2,2))", "5: error: 'qr' returns 2 values"),
    ("[a, b, c] = qr(matrix(1,2,2))", "13: error: 'qr' returns 2 values, not 3"),
    ("x = print(1)", "5: error: 'print' returns nothing"),
    ("sum(matrix(1,2,2))", "1: error: 'sum' has no effect as a statement"),
    ("x = as.frame(1)", "5: error: 'as.frame' works on frames, which this version does not have"),
    ("x = as.scalar(matrix(1,2,2))", "5: error: 'as.scalar' needs a 1x1 matrix"),
    ("x = as.double(matrix(1,2,2))", "15: error: 'as.double' needs a scalar, but this is a 2x2 matrix"),
    ("x = exists(1 + 2)", "12: error: 'exists' takes the name of a variable"),
    ("x = [1, 2]", "5: error: lists in brackets are arguments of the deep-learning operators"),
    ("print(\"%d\", 2.5)", "13: error: '%d' shows integers, but this is a double"),
    ("print(\"%f\", 3)", "13: error: '%f' shows doubles, but this is an integer"),
    ("print(\"%s %s\", 3)", "7: error: the format shows 2 values, but 1 is given"),
    ("print(\"%y\", 3)", "7: error: '%y' is not a format"),
    ("s = \"a\"\nprint(s, 3)", "7: error: the format must be a string literal"),
    ("write(1 + 2, \"f\")", "7: error: the first argument of 'write' must be a variable"),
    ("x = read(format=\"csv\")", "5: error: 'read' needs the path of a file, unnamed"),
    ("x = read(\"f\", format=\"parquet\")", "15: error: the file format 'parquet' is not in this version"),
    ("x = read(\"f\", format=\"cvs\")", "15: error: the option 'format' cannot be 'cvs'"),
    ("x = read(\"f\", data_type=\"frame\")", "15: error: files of the data type 'frame' are not in this version"),
    ("x = read(\"f\", rows=-2)", "15: error: the option 'rows' cannot be -2"),
    ("x = read(\"f\", seperator=\"a\")", "15: error: 'read' has no option 'seperator'"),
    ("x = read(5)", "10: error: the path must be a string, but is an integer"),
    ("assert(\"a\")", "8: error: the condition of 'assert' must be a boolean, but is a string"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ERRORS, ids=[text for text, _ in ERRORS])
def test_error(text: str, expected: str) -> None:
    line = text.count("\n") + 1
    assert message(text + "\n").startswith(f"test.dml:{line}:{expected}")


def test_wrong_arguments_show_the_signature() -> None:
    assert message("x = order(seq(1, 3), bye=3)\n") == (
        "test.dml:1:22: error: 'order' has no parameter 'bye'\n"
        "  x = order(seq(1, 3), bye=3)\n"
        "                       ^~~~~\n"
        "  hint: did you mean 'by'? order(target, by = 1, decreasing = FALSE, index.return = FALSE)"
    )


def test_read_takes_dimensions_from_the_metadata_beside_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "X.csv.mtd").write_text('{"data_type": "matrix", "rows": 5, "cols": 2, "nnz": 7}')
    (tmp_path / "s.mtd").write_text('{"data_type": "scalar", "value_type": "int"}')
    module = lowered(
        f'X = read("{tmp_path}/X.csv", header=TRUE)\ns = read("{tmp_path}/s")\nprint(sum(X) + s)\n'
    )
    read, scalar = (op for op in module.walk() if op.name.startswith("dml.read_"))
    assert str(read.result.type) == "matrix<5x2xf64, nnz=7>"
    assert read.operands[1].op is not None
    assert read.operands[1].op.attrs["value"] == "header=TRUE\nrows=5\ncols=2\nnnz=7"
    assert str(scalar.result.type) == "i64"


def test_options_known_at_run_time_only_are_joined() -> None:
    names = operations('Y = read("f", rows=i, cols=3)\n')
    assert names == ["dml.concat", "dml.concat", "dml.read_matrix"]


def test_read_must_agree_with_the_metadata(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "X.mtd").write_text('{"data_type": "matrix", "rows": 5, "cols": 2}')
    expected = "error: the option 'rows' is 4, but the .mtd file says 5"
    assert expected in message(f'X = read("{tmp_path}/X", rows=4, cols=2)\n')
