"""Operands that do not fit: an error of the compiler where sizes are known, of the program where they are not or may not matter."""

from __future__ import annotations

import re

import numpy as np
import pytest

import sysmlc
from sysmlc.runtime.bridge import NativeError

WRONG = [
    ("A %*% B", (2, 3), (2, 3)),
    ("A + B", (2, 3), (3, 3)),
    ("cbind(A, B)", (2, 3), (3, 3)),
    ("rbind(A, B)", (2, 3), (2, 2)),
    ("outer(A, B, '+')", (3, 1), (3, 2)),
    ("outer(A, B, '+')", (3, 2), (1, 2)),
    ("outer(A, B, '+')", (1, 3), (3, 1)),
    ("ifelse(A, B, 1)", (2, 2), (3, 2)),
    ("ifelse(A, B, 1)", (2, 2), (2, 1)),
    ("ifelse(A, B, 1)", (1, 2), (2, 2)),
    ("B + A", (2, 2), (2, 1)),
    ("exp(B * A)", (2, 2), (1, 2)),
    ("solve(A, B)", (2, 2), (3, 1)),
    ("solve(A, B)", (2, 3), (2, 1)),
    ("mean(A, B)", (3, 1), (2, 1)),
    ("median(A)", (2, 2), (1, 1)),
    ("median(A, B)", (3, 1), (2, 1)),
    ("quantile(A, 0.5)", (2, 2), (1, 1)),
    ("quantile(A, B, 0.5)", (3, 1), (3, 3)),
    ("interQuantile(A, 0.2)", (1, 3), (1, 1)),
    ("interQuartileMean(A, B)", (3, 1), (2, 1)),
    ("moment(A, 2)", (2, 2), (1, 1)),
    ("moment(A, B, 2)", (3, 1), (2, 1)),
    ("cov(A, B)", (3, 1), (2, 1)),
    ("cov(A, A, B)", (3, 1), (2, 1)),
    ("aggregate(target=A, groups=B, fn='sum')", (3, 1), (2, 1)),
    ("aggregate(target=A, groups=B, fn='sum')", (4, 1), (2, 2)),
    ("aggregate(target=A, groups=A, weights=B, fn='sum')", (3, 1), (2, 1)),
    ("aggregate(target=A, groups=B, fn='sum')", (1, 3), (2, 1)),
    ("table(A, B)", (3, 1), (2, 1)),
    ("table(A, A, B)", (3, 1), (2, 1)),
    ("order(target=A, by=3)", (2, 2), (1, 1)),
    ("order(target=A, by=B)", (2, 2), (2, 2)),
    ("removeEmpty(target=A, margin='rows', select=B)", (2, 3), (3, 1)),
    ("removeEmpty(target=A, margin='cols', select=B)", (2, 3), (2, 1)),
    ("matrix(A, 2, 2)", (2, 3), (1, 1)),
    ("diag(A)", (2, 3), (1, 1)),
    ("cumsumprod(A)", (2, 3), (1, 1)),
    *((f"{f}(A)", (2, 3), (1, 1)) for f in ("trace", "inv", "det", "cholesky", "as.scalar")),
    *((f"[P, Q] = {f}(A)", (2, 3), (1, 1)) for f in ("eigen", "lu")),
]


def statement(expression: str) -> str:
    if expression.startswith("["):
        return expression.replace("[P, Q] = lu", "[P, R, Q] = lu") + "\nprint(sum(Q))"
    scalars = (
        "mean",
        "median",
        "quantile",
        "interQuartileMean",
        "moment",
        "cov",
        "trace",
        "det",
        "as.scalar",
    )
    name = expression.partition("(")[0]
    return f"print({expression})" if name in scalars else f"print(sum({expression}))"


@pytest.mark.parametrize(
    ("expression", "a", "b"), WRONG, ids=[f"{e}, {a[0]}x{a[1]}, {b[0]}x{b[1]}" for e, a, b in WRONG]
)
def test_sizes_that_do_not_fit(expression: str, a: tuple[int, int], b: tuple[int, int]) -> None:
    operation = statement(expression)
    known = f"A = matrix(1, {a[0]}, {a[1]})\nB = matrix(1, {b[0]}, {b[1]})\n"
    with pytest.raises(sysmlc.Diagnostic, match=r"^<script>:3:") as found:
        sysmlc.run(known + operation)
    assert re.search(r"\d+x\d+|column \d", str(found.value)) or "different numbers" in str(found.value)
    inputs = {"A": np.ones(a), "B": np.ones(b)}
    unknown = sysmlc.compile(operation, outputs=[])
    unknown.prepare(dict.fromkeys(inputs, "matrix"))
    with pytest.raises(NativeError, match=r"^<script>:1:"):
        unknown.run(inputs)
    guarded = f"{known}if (k > 0) {{\n{operation} }}\nx = 1\n"
    program = sysmlc.compile(guarded, outputs=["x"])
    assert program.run({"k": 0})["x"] == 1
    with pytest.raises(NativeError, match=r"^<script>:4:"):
        program.run({"k": 1})


def test_the_size_of_grouped_rows() -> None:
    """A row of values is a column to `aggregate`: what comes out has one column."""
    script = "r = aggregate(target=X, groups=g, fn='sum')\nn = ncol(r)\n"
    known = "X = matrix('5 6 7', 1, 3)\ng = matrix('1 2 1', 3, 1)\n" + script
    for program, inputs in (
        (sysmlc.compile(known), {}),
        (
            sysmlc.compile(script, inputs={"X": "matrix", "g": "matrix"}),
            {"X": np.array([[5.0, 6, 7]]), "g": np.array([[1.0, 2, 1]])},
        ),
    ):
        found = program.run(inputs)
        assert found["n"] == 1
        assert found["r"].tolist() == [[12.0], [6.0]]


def test_columns_are_counted_from_1() -> None:
    with pytest.raises(sysmlc.Diagnostic, match="cannot sort by column 0: columns are counted from 1"):
        sysmlc.run("X = order(target=A, by=0)\n", inputs={"A": np.ones((2, 2))})
