"""`eval` and `evalList`: functions called by names that are computed."""

from __future__ import annotations

import pytest

import sysmlc
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.runtime.bridge import NativeError

FUNCTIONS = """
add = function(matrix[double] A, double b = 2) return (matrix[double] C) { C = A + b }
both = function(double a, double b = a + 1) return (double s, double p) { s = a + b; p = a * b }
size = function(matrix[double] A) return (int n) { n = length(A) }
take = function(list[unknown] L) return (double s) { s = as.scalar(L[1]) + length(L) }
parts = function(matrix[double] A) return (list[unknown] L) { L = list(A, sum(A), "x") }
source("nn/layers/relu.dml") as relu
X = matrix("1 -2 3 -4", rows=2, cols=2)
"""
CASES = [
    ('f = "a" + "dd"\nprint(sum(eval(f, X, 10)))', "38.0"),
    ('for (i in 1:2) {\n f = "size"\n if (i == 2) { f = "add" }\n Y = eval(f, A=X)\n print(sum(Y)) }', "4.0\n6.0"),
    ('f = "relu" + "::forward"\nprint(sum(eval(f, X)))', "4.0"),
    ('for (i in 1:2) {\n f = ""\n if (i == 1) { f = "rowSums" } else { f = "t" }\n print(toString(eval(f, X), decimal=0)) }',
     "-1\n-1\n\n1 3\n-2 -4\n"),
    ('f = "ad" + "d"\nprint(sum(eval(f, list(A=X))))\nprint(sum(eval(f, list(b=1, A=X))))\nL = list(X, 3)\nprint(sum(eval(f, L)))',
     "6.0\n2.0\n10.0"),
    ('print(sum(eval("add", X, 1)))\nprint(sum(eval("relu::forward", X)))\nprint(sum(eval("max", X)))', "2.0\n4.0\n3.0"),
    ('f = "bo" + "th"\nL = evalList(f, list(a=3))\nprint(length(L) + " " + as.scalar(L[1]) + " " + as.scalar(L[2]))', "2 7.0 12.0"),
    ('f = "par" + "ts"\nL = evalList(f, X)\nprint(length(L) + " " + as.scalar(L[2]) + as.scalar(L[3]))', "3 -2.0x"),
    ('f = "ad" + "d"\nprint(sum(eval(f, X, as.scalar(eval("size", eval(f, X))))))', "14.0"),
    ('f = "take" + ""\nprint(as.scalar(eval(f, list(7, 8))))', "9.0"),
]  # fmt: skip


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(("text", "expected"), CASES)
def test_calls_by_name(text: str, expected: str, level: int, capfd: pytest.CaptureFixture[str]) -> None:
    script = FUNCTIONS + text + "\n"
    sysmlc.compile(script, outputs=[], optimize=level).run()
    assert capfd.readouterr().out == expected + "\n"
    lines: list[str] = []
    evaluate(compile_source(Source("a.dml", script)), output=lines.append)
    assert "\n".join(lines) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('f = "siez" + ""\nY = eval(f, X)', "there is no function 'siez' that could be called here; did you mean 'size'?"),
        ('f = "add" + ""\nY = eval(f, 1, 2, 3)', "the arguments do not fit add(A, b)"),
        ('f = "add" + ""\nY = eval(f, list(b=1))', "the list has no argument 'A' for 'add'"),
        ('f = "both" + ""\nY = eval(f, 1, 2)', "'both' returns 2 values"),
        ('Y = eval("siz", X)', "there is no function 'siz'"),
        ('Y = eval("both", 1, 2)', "'both' returns 2 values"),
        ("Y = eval(X, X)", "the name of the function must be"),
        ("if (as.scalar(eval('size', X)) > 1) { print(1) }", "the condition of 'if' cannot call 'eval'"),
        ("Y = eval()", "'eval' needs the name of a function"),
    ],
)  # fmt: skip
def test_errors(text: str, message: str) -> None:
    with pytest.raises((Diagnostic, NativeError)) as error:
        sysmlc.compile(FUNCTIONS + text + "\nprint(1)\n", outputs=[], optimize=0).run()
    assert message in str(error.value)
