"""Static errors of DML scripts, with their places and hints."""

from __future__ import annotations

from pathlib import Path

import pytest

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.check import check, signature
from sysmlc.frontends.dml.parser import parse
from sysmlc.ir.source import Diagnostic, Source

BUILTINS = {"sum", "print", "matrix", "nrow", "exp"}
F = "f = function(matrix[double] X, int k = 3) return (double s, double t) { s = sum(X) * k\n t = s }\n"
G = "g = function(double x) return (double y) { y = x }\n"
SHOWN = "f(matrix[double] X, int k = 3) return (double s, double t)"


def found(text: str) -> list[Diagnostic]:
    other = {"nn": {d.name: d for d in parse(Source("nn.dml", G)).functions}}
    return check(parse(Source("t.dml", text)), builtins=BUILTINS, namespaces=other)


def messages(text: str) -> list[str]:
    return [f"{error.loc.line}:{error.loc.col} {error.message}" for error in found(text)]


@pytest.mark.parametrize(
    "text",
    [
        F + "X = matrix(1, 2, 2)\n[a, b] = f(X, 4)\n[a] = f(X=X)\nf(k=3, X=X)",
        G + "x = g(1) + exp(g(x=Inf))",
        "g = function(double x) return (double x) { print(x) }",
        "h = function() { print('a') }\nh()",
        "h = function(int a = 1) { print(a) }\nh()",
        "x = 1\nfor (i in 1:3) { x += i }\nprint(i + x)",
        "if (TRUE) { x = 1 } else { x = 2 }\nprint(x)",
        "X = matrix(0, 2, 2)\nX[1,1] = 3\nX[1,1] += 3",
        "y = 0\nparfor (i in 1:3, check=0, par=4, mode=LOCAL, opt='NONE', log=DEBUG, tasksize=$t) y = i",
        "source('nn.dml') as nn\nx = nn::g(3)",
    ],
)
def test_right_scripts(text: str) -> None:
    assert messages(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (G + G, ["2:1 the function 'g' is defined twice"]),
        ("h = function(int a, int a) { print(a) }", ["1:21 'h' has two parameters named 'a'"]),
        ("h = function() return (int a, int a) { a = 1 }", ["1:31 'h' has two outputs named 'a'"]),
        ("h = function(matrix[int] X) { print(1) }", ["1:14 the cells of a matrix are doubles"]),
        ("h = function() return (int y) { z = 1 }", ["1:24 'h' never assigns its output 'y'"]),
        ("source('a') as n\nsource('b') as n", ["2:1 two files are imported as 'n'"]),
        ("x = y + y\nz = y", ["1:5 variable 'y' is not defined"]),
        ("X[1,1] = 3", ["1:1 variable 'X' is not defined"]),
        ("x += 1", ["1:1 '+=' adds to the variable 'x', which is not defined"]),
        ("h = function() { print(z) }\nz = 1", ["1:24 variable 'z' is not defined"]),
        ("x = fun(3)", ["1:5 there is no function 'fun'"]),
        ("x = nn::g(3)", ["1:5 there is no namespace 'nn'"]),
        ("source('a') as nn\nx = nn::f(3)", ["2:5 'nn' has no function 'f'"]),
        (G + "x = g()", ["2:5 'g' lacks the argument 'x'"]),
        (G + "x = g(1, 2)", ["2:10 'g' takes 1 argument, not 2"]),
        (G + "x = g(z=2)", ["2:7 'g' has no parameter 'z'"]),
        (G + "x = g(x=2, x=3)", ["2:12 the argument 'x' is given twice"]),
        (
            F + "[a, b] = f(matrix(1,1,1), k=2)",
            ["3:27 the arguments of 'f' are partly named: name all of them, or none"],
        ),
        (F + "[a, b] = f(k=2)", ["3:10 'f' lacks the argument 'X'"]),
        (F + "[a, b] = f()", ["3:10 'f' lacks the argument 'X'"]),
        (F + "a = f(1, 2)", ["3:5 'f' returns 2 values"]),
        (F + "[a, b, c] = f(1, 2)", ["3:13 'f' returns 2 values, not 3"]),
        ("h = function() { print(1) }\nx = h()", ["2:5 'h' returns nothing"]),
        ("parfor (i in 1:3, chek=0) print(i)", ["1:19 parfor has no parameter 'chek'"]),
        ("parfor (i in 1:3, check=2) print(i)", ["1:25 '2' is no value of 'check'"]),
        ("parfor (i in 1:3, mode=LOCL) print(i)", ["1:24 'LOCL' is no value of 'mode'"]),
        ("parfor (i in 1:3, par=0) print(i)", ["1:23 'par' is a whole number above 0, not '0'"]),
        ("parfor (i in 1:3, par=2, par=3) print(i)", ["1:26 the parameter 'par' is given twice"]),
        (
            "h = function() return (int y) { x = foo(1) }\nz = T + a",
            [
                "1:24 'h' never assigns its output 'y'",
                "1:37 there is no function 'foo'",
                "2:5 variable 'T' is not defined",
                "2:9 variable 'a' is not defined",
            ],
        ),
    ],
)
def test_errors(text: str, expected: list[str]) -> None:
    assert messages(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x = T", "write TRUE"),
        ("x = NULL", "DML has no empty value"),
        ("x = PI", "write pi"),
        ("alpha = 1\nx = alhpa", "did you mean 'alpha'?"),
        ("x = nrow", "'nrow' is a function: call it with parentheses"),
        ("x = nrwo(1)", "did you mean 'nrow'?"),
        ("x += 1", "write 'x = 0' before"),
        ("x = nn::g(1)", 'source("file.dml") as nn'),
        ("source('a') as nn\nx = nn::gg(3)", "did you mean 'g'?"),
        (F + "[a, b] = f(k=2)", SHOWN),
        (F + "a = f(1, 2)", "write '[s, t] = f(…)'"),
        ("parfor (i in 1:3, chek=0) print(i)", "did you mean 'check'?"),
        ("parfor (i in 1:3, check=2) print(i)", "it is one of 0, 1"),
    ],
)
def test_hints(text: str, hint: str) -> None:
    (error,) = found(text)
    assert error.hint == hint


def test_many_unknown_names() -> None:
    text = "".join(f"variable_{i} = undefined_{i}\n" for i in range(5000))
    assert len(found(text)) == 5000


def test_signature() -> None:
    (function,) = parse(Source("t.dml", F)).functions
    assert signature(function) == SHOWN


def test_without_knowing_builtins_and_files() -> None:
    tree = parse(Source("t.dml", "source('a') as a\nx = anything(a::anything(3))"))
    assert check(tree) == []


def test_scripts_of_the_project() -> None:
    root = Path(__file__).resolve().parents[3] / "scripts"
    for path in sorted(root.rglob("*.dml")):
        tree = parse(Source(path.name, path.read_text()))
        assert isinstance(tree, ast.Program)
        assert [str(error) for error in check(tree)] == []
