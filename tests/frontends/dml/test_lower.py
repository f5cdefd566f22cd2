"""Lowering of scripts: what the golden files do not show. Meanings are checked with the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.printer import to_text
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.types import f64, matrix
from sysmlc.ir.verify import verify


def lowered(text: str, args: Mapping[str, str] | None = None, **options: object) -> Op:
    module = compile_source(Source("test.dml", text), args, **options)  # type: ignore[arg-type]
    verify(module)
    return module


def printed(text: str, args: Mapping[str, str] | None = None) -> str:
    lines: list[str] = []
    evaluate(lowered(text, args), output=lines.append)
    return "\n".join(lines).rstrip("\n")


def errors(text: str, args: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises((Diagnostic, DiagnosticGroup)) as caught:
        compile_source(Source("test.dml", text), args)
    error = caught.value
    found = error.diagnostics if isinstance(error, DiagnosticGroup) else [error]
    return [f"{one.loc.line}:{one.loc.col}: {one.message}" for one in found]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # loops: the variable keeps its last value; bounds are taken once; downwards without a step
        ("for (i in 1:3) { i = i * 10 }\nprint(i)", "30"),
        ("n = 3\nfor (i in 1:n) n = n + 1\nprint(n)", "6"),
        ("for (i in 1:0) print(i)", "1\n0"),
        ("for (i in seq(5, 1, 2)) print(i)\nprint(\"none\")", "none"),
        ("for (i in seq(1, 6, 2.9)) print(i)", "1\n3\n5"),
        ("i = 7\nfor (i in seq(5, 1, 1)) print(i)\nprint(i)", "7"),
        ("k = 3\nwhile (k) k = k - 1\nprint(k)", "0"),
        # a loop variable over a variable of another kind
        ("i = matrix(1, 2, 2)\nfor (i in 1:2) { x = i }\nprint(i + x)", "4"),
        # defined in the first round, read in the second
        ("for (i in 1:3) {\n  if (i > 1) print(last)\n  last = i\n}", "1\n2"),
        # widened by the body: printed as a double from the start
        ("x = 1\nfor (i in 1:2) {\n  print(x)\n  x = x / 2\n}", "1.0\n0.5"),
        # a variable that is assigned by some rounds only
        ("best = 0\nfor (i in 1:5) {\n  if (i %% 2 == 0) best = i\n}\nprint(best)", "4"),
        # scalars that differ in kind stay dynamic, and take part as what they hold
        ("x = FALSE\nfor (i in 1:3) { if (i == 2) x = 5 }\nprint(x)\nprint(x + 1)", "5\n6"),
        # a branch that stops says nothing about what comes after it
        ("x = 1\nif (x > 0) { y = 2 } else { stop(\"no\") }\nprint(y)", "2"),
        # exists depends on the path
        ("x = 1\nif (x > 0) y = 2\nprint(exists(\"y\"))\nprint(exists(z))\nprint(exists(\"x\"))", "TRUE\nFALSE\nTRUE"),
        # += on straight lines, cells and entries
        ("x = 3\nx += 2\nprint(x)\ns = \"a\"\ns += 1\nprint(s)", "5\na1"),
        ("X = matrix(1, 2, 2)\nX[1, 2] += 5\nX[2, ] += matrix(1, 1, 2)\nprint(sum(X))", "11.0"),
        ("L = list(1, 2)\nL[2] += 5\nprint(as.scalar(L[2]))", "7"),
        # value semantics
        ("X = matrix(1, 2, 2)\nY = X\nX[1, 1] = 9\nprint(as.scalar(Y[1, 1]))", "1.0"),
        # functions: recursion, in/out parameters, named arguments with defaults, several results
        ("f = function(int n) return (int r) { if (n < 2) { r = n } else { a = f(n - 1); b = f(n - 2); r = a + b } }\n"
         "print(f(10))", "55"),
        ("f = function(matrix[double] X) return (matrix[double] X) { X[1, 1] = 5 }\nA = matrix(1, 1, 1)\n"
         "B = f(A)\nprint(as.scalar(A) + as.scalar(B))", "6.0"),
        ("f = function(int n, int k = 3, double s = 0.5) return (double r, int t) { r = n * k + s; t = k }\n"
         "[a, b] = f(s=1, n=2)\nprint(a)\nprint(b)\n[c] = f(1, 2, 3)\nprint(c)", "7.0\n3\n5.0"),
        ("f = function(int n = 2, int m = n * n) return (int r) { r = m }\nprint(f())\nprint(f(n=3))", "4\n9"),
        ("f = function(int n = 3, double m = n / 2) return (double r) { r = m + n }\nprint(f(n=5))", "7.5"),
        ("f = function(int k) return (int r) { r = k }\nprint(f(2.7) + f(TRUE))", "3"),
        ("f = function(string s) return (string r) { r = s + \"!\" }\nprint(f(\"a\" + 1))", "a1!"),
        ("f = function(list[unknown] L) return (double r) { r = as.scalar(L[\"x\"]) }\nprint(f(list(x=2, y=3)))", "2.0"),
        ("f = function(double x) { print(\"in \" + x) }\nf(1)", "in 1.0"),
        # a script's function wins over the builtin
        ("sum = function(matrix[double] X) return (double s) { s = -1 }\nprint(sum(matrix(1, 2, 2)))", "-1.0"),
        # evaluation goes from left to right
        ("f = function(int k) return (int r) { print(\"f\" + k); r = k }\nx = f(1) + f(2) * f(3)\nprint(x)",
         "f1\nf2\nf3\n7"),
        # arguments of the script
        ("x = ifdef($a, 2)\nprint(x)\nprint($b)\nprint($1 + $2)", "2\ntext\n3.5"),
        # printf
        ("print(\"%d %5.2f %s|%-4s|%%\", 3, 2.5, \"x\", TRUE)", "3  2.50 x|true|%"),
        # nested lists
        ("L = list(1, list(2, \"b\"))\nM = as.list(L[2])\nprint(as.scalar(M[2]))\nprint(length(L))", "b\n2"),
        # pi, Inf and NaN are names that can be taken
        ("print(-Inf)\npi = 3\nprint(pi)", "-Infinity\n3"),
    ],
)  # fmt: skip
def test_meaning(text: str, expected: str) -> None:
    assert printed(text + "\n", {"b": '"text"', "1": "1", "2": "2.5", "3": ""}) == expected


def test_arguments_read_at_run_time() -> None:
    text = 'n = ifdef($n, 3)\ns = ifdef($s, "a")\nprint(n + 1)\nX = read($X)\nprint(sum(X) * $f)\n'
    shown = to_text(lowered(text, {"s": "b"}, runtime_args=True))
    assert 'dml.has_arg {name_ = "n"} : i1' in shown
    assert 'dml.arg {name_ = "n"} : box' in shown
    assert 'dml.arg {name_ = "X"} : box' in shown
    assert '"s"' not in shown
    assert errors(text)[0] == "4:10: the argument $X was not passed"


def test_variables_of_an_embedding_program() -> None:
    inputs = {"X": matrix(None, 3), "k": f64}
    text = "Y = X * k\nif (sum(Y) > 0) { z = 1 }\n"
    module = lowered(text, inputs=inputs, outputs=["Y", "z"])
    names = [op.name for op in module.walk() if op.name in ("dml.input", "dml.output", "dml.require_defined")]
    assert names == ["dml.input", "dml.input", "dml.output", "dml.require_defined", "dml.output"]
    with pytest.raises(Diagnostic, match="the output 'Q' is never assigned"):
        compile_source(Source("test.dml", text), inputs=inputs, outputs=["Q"])


def test_every_operation_knows_its_place() -> None:
    text = "X = matrix(1, 2, 2)\ny = sum(X %*%\n  t(X)) + 1\n"
    module = lowered(text, outputs=["y"])
    places = {
        op.name: (op.loc.line, op.loc.col, op.loc.end_col) for op in module.walk() if op.parent is not None
    }
    assert places["dml.fill"] == (1, 5, 20)
    assert places["dml.sum"] == (2, 5, 14)
    assert places["dml.matmul"] == (2, 9, 14)
    assert places["dml.t"] == (3, 3, 7)
    assert places["dml.add"] == (2, 5, 14)


def test_independent_errors_are_reported_in_source_order() -> None:
    text = """\
f = function(double a) return (double b) { b = "x" }
x = y
z = x + 1
w = z * x
if (w) { q = sqrt("a") } else { q = 2 }
print(q)
for (i in 1:3) { u = v; r = TRUE + 1 }
unused = function(matrix[double] A) return (double b) { b = A }
"""
    assert errors(text) == [
        "1:44: the output 'b' is declared as a double, but is a string here",
        "2:5: variable 'y' is not defined",
        "5:14: 'sqrt' cannot be applied to a string",
        "7:22: variable 'v' is not defined",
        "7:29: '+' cannot mix a boolean and an integer",
        "8:57: the output 'b' is declared as a double, but is a matrix here",
    ]


def test_errors_in_loops_that_are_lowered_twice_are_reported_once() -> None:
    assert errors('x = 1\nfor (i in 1:3) { x = x / 2; y = sqrt("a") }\n') == [
        "2:33: 'sqrt' cannot be applied to a string"
    ]


def test_code_after_stop_is_checked_but_may_be_dead() -> None:
    assert errors('stop("x")\ny = sqrt("a")\n') == ["2:5: 'sqrt' cannot be applied to a string"]
    lowered('x = 1\nif (x > 0) { y = 1 }\nstop("x")\nprint(y)\n')


def test_unused_functions_are_checked_but_not_emitted() -> None:
    text = "f = function(double x) return (double y) { y = g(x) }\ng = function(double x) return (double y) { y = x }\n"
    module = lowered(text + "print(1)\n")
    assert [op.attrs["sym"] for op in module.walk() if op.name == "core.func"] == ["main"]
    assert errors("f = function(double x) return (double y) { y = nope(x) }\n") == [
        "1:48: there is no function 'nope'"
    ]


def test_defaults_use_parameters_only() -> None:
    text = "f = function(int k = n) return (int r) { r = k }\nn = 3\nprint(f())\n"
    assert errors(text) == ["1:22: the default of 'k' uses 'n', which is not a parameter before it"]


def test_long_chains_and_deep_nesting() -> None:
    chain = " + ".join(["x"] * 5000)
    assert printed(f"x = 1\nprint({chain})\n") == "5000"
    deep = "abs(" * 150 + "x" + ")" * 150
    assert printed(f"x = -1\nprint({deep})\n") == "1"
    blocks = "if (x > 0) {\n" * 150 + "x = x + 1\n" + "}\n" * 150
    assert printed(f"x = 1\n{blocks}print(x)\n") == "2"
    loops = "".join(f"for (i{k} in 1:1) {{\n" for k in range(60)) + "x = x + 0.5\n" + "}\n" * 60
    assert printed(f"x = 1\n{loops}print(x)\n") == "1.5"
