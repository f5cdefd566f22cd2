"""Every production of DML, and every syntax error with its place."""

from __future__ import annotations

import sys

import pytest

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.parser import MAX_DEPTH, parse
from sysmlc.frontends.dml.unparse import same, to_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source


def program(text: str) -> ast.Program:
    tree = parse(Source("t.dml", text))
    assert same(tree, parse(Source("t.dml", to_source(tree)))), to_source(tree)
    return tree


def errors(text: str) -> list[str]:
    """`line:col message` of each error."""
    with pytest.raises((Diagnostic, DiagnosticGroup)) as caught:
        parse(Source("t.dml", text))
    raised = caught.value
    found = raised.diagnostics if isinstance(raised, DiagnosticGroup) else [raised]
    return [f"{error.loc.line}:{error.loc.col} {error.message}" for error in found]


def hint(text: str) -> str | None:
    with pytest.raises(Diagnostic) as caught:
        parse(Source("t.dml", text))
    return caught.value.hint


def grouped(node: ast.Node) -> str:
    """An expression with all its parentheses."""
    match node:
        case ast.Binary(op=op, left=left, right=right):
            return f"({grouped(left)}{op}{grouped(right)})"
        case ast.Unary(op=op, operand=operand):
            return f"({op}{grouped(operand)})"
    return to_source(node)


def value(text: str) -> ast.Node:
    (statement,) = program("r = " + text).body
    assert isinstance(statement, ast.Assign)
    return statement.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2^3^2", "(2^(3^2))"),
        ("-2^2", "(-(2^2))"),
        ("2^-1*3", "((2^(-1))*3)"),
        ("a^-b^c", "(a^(-(b^c)))"),
        ("-A%*%B", "((-A)%*%B)"),
        ("2*A%*%B", "(2*(A%*%B))"),
        ("a%*%b%*%c", "((a%*%b)%*%c)"),
        ("A%*%B^2", "(A%*%(B^2))"),
        ("8/2%/%3", "(8/(2%/%3))"),
        ("10*3%%4", "(10*(3%%4))"),
        ("a%/%b%%c", "((a%/%b)%%c)"),
        ("a%%b%*%c", "(a%%(b%*%c))"),
        ("a-b-c", "((a-b)-c)"),
        ("a-b*c/d", "(a-((b*c)/d))"),
        ("a+b==c", "((a+b)==c)"),
        ("a<b==c", "((a<b)==c)"),
        ("!a>b", "(!(a>b))"),
        ("!a&b", "((!a)&b)"),
        ("!!a", "(!(!a))"),
        ("a&b|c&d", "((a&b)|(c&d))"),
        ("a|b|c", "((a|b)|c)"),
        ("a*-b+c", "((a*(-b))+c)"),
        ("a&!b==c", "(a&(!(b==c)))"),
        ('"v="+!x', '("v="+(!x))'),
        ("a*!b+c", "(a*(!(b+c)))"),
        ("a*!b&c", "((a*(!(b)))&c)".replace("(b)", "b")),
        ("-!a==b", "(-(!(a==b)))"),
        ("--a", "(-(-a))"),
        ("+a", "(+a)"),
        ("a - -b", "(a-(-b))"),
        ("(a+b)*c", "((a+b)*c)"),
        ("a*(b+c)", "(a*(b+c))"),
        ("a-(b-c)", "(a-(b-c))"),
        ("(a^b)^c", "((a^b)^c)"),
        ("(-a)^b", "((-a)^b)"),
        ("f(a)+X[1,2]*$y", "(f(a)+(X[1, 2]*$y))"),
        ("a\n-b", "(a-b)"),
    ],
)
def test_precedence(text: str, expected: str) -> None:
    assert grouped(value(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", ast.IntLit),
        ("4.2", ast.DoubleLit),
        ("TRUE", ast.BoolLit),
        ("'s'", ast.StringLit),
        ("x", ast.Name),
        ("Inf", ast.Name),
        ("$x", ast.ArgRef),
        ("[1, 2]", ast.ListLit),
        ("f()", ast.Call),
        ("X[]", ast.Index),
        ("ifdef($x, 3)", ast.IfDef),
    ],
)
def test_operands(text: str, expected: type) -> None:
    assert type(value(text)) is expected


def test_calls() -> None:
    call = value("nn::forward(X, rows=3, lower.tail = FALSE, stride=[1,1])")
    assert isinstance(call, ast.Call)
    assert (call.namespace, call.name, call.full_name) == ("nn", "forward", "nn::forward")
    assert [arg.name for arg in call.args] == [None, "rows", "lower.tail", "stride"]
    assert (call.name_loc.col, call.name_loc.end_col) == (5, 16)


@pytest.mark.parametrize(
    ("text", "rows", "cols", "single"),
    [
        ("X[i,j]", "i", "j", False),
        ("X[i,]", "i", None, False),
        ("X[,j]", None, "j", False),
        ("X[,]", None, None, False),
        ("X[]", None, None, True),
        ("X[i]", "i", None, True),
        ("X[a+1:b, 2:n]", "a + 1:b", "2:n", False),
        ('L["key"]', '"key"', None, True),
    ],
)
def test_indexing(text: str, rows: str | None, cols: str | None, single: bool) -> None:
    index = value(text)
    assert isinstance(index, ast.Index)
    assert [side and to_source(side) for side in (index.rows, index.cols)] == [rows, cols]
    assert index.single is single


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("x = 1", "x = 1\n"),
        ("x <- 1;", "x = 1\n"),
        ("x += 1 ;;", "x += 1\n"),
        ("X[1,2] = 3", "X[1, 2] = 3\n"),
        ("X[1,2] += 3", "X[1, 2] += 3\n"),
        ("[a, b] = f(x)", "[a, b] = f(x)\n"),
        ("[a, B[1,]] <- f(x)", "[a, B[1, ]] = f(x)\n"),
        ("print('x')", 'print("x")\n'),
        ("x = ifdef($x, 1+2)", "x = ifdef($x, 1 + 2)\n"),
        ("if (a) b = 1", "if (a) {\n  b = 1\n}\n"),
        ("if (a) b = 1; else c = 2", "if (a) {\n  b = 1\n} else {\n  c = 2\n}\n"),
        ("if (a) {}; else {}", "if (a) {\n}\n"),
        ("while (a) { }", "while (a) {\n}\n"),
        ("for (i in 1:n) f(i)", "for (i in 1:n) {\n  f(i)\n}\n"),
        ("for (i in seq(1,n,2)) f(i)", "for (i in seq(1, n, 2)) {\n  f(i)\n}\n"),
        ("parfor (i in seq(1,n), check=0) f(i)", "parfor (i in 1:n, check=0) {\n  f(i)\n}\n"),
        ("source('a.dml') as a", 'source("a.dml") as a\n'),
        ("setwd('a')", 'setwd("a")\n'),
        ("f = function() { }", "f = function() {\n}\n"),
        (
            "f <- function(Matrix[Double] X, Integer k = 3) return (boolean b) { b = TRUE };",
            "f = function(matrix[double] X, int k = 3) return (boolean b) {\n  b = TRUE\n}\n",
        ),
        (
            'f = externalFunction(scalar[int] x) return (list[unknown] y) implemented in (classname="a");',
            'f = externalFunction(int x) return (list[unknown] y) implemented in (classname="a")\n',
        ),
        ("x = y\n[a, b, c] = f(z)", "x = y\n[a, b, c] = f(z)\n"),
        ("x = f(y)\n[a] = f(z)", "x = f(y)\n[a] = f(z)\n"),
        ("x = y [1]", "x = y[1]\n"),
        ("x = 1 y = 2", "x = 1\ny = 2\n"),
        ("if (a) { x = 1 };\n;y = 2", "if (a) {\n  x = 1\n}\ny = 2\n"),
    ],
)
def test_statements(text: str, printed: str) -> None:
    assert to_source(program(text)) == printed


def test_else_belongs_to_the_inner_if() -> None:
    (outer,) = program("if (a) if (b) x = 1 else x = 2").body
    assert isinstance(outer, ast.If)
    assert not outer.orelse


def test_locations() -> None:
    tree = program("x = 1\n  y = foo(a,\n b) %*% X[1,2]")
    second = tree.body[1]
    assert isinstance(second, ast.Assign)
    assert isinstance(second.value, ast.Binary)
    assert str(second.loc) == "t.dml:2:3"
    assert str(second.value.op_loc) == "t.dml:3:5"
    assert str(second.value.right.loc) == "t.dml:3:9"
    assert second.value.right.loc.end_col == 15
    assert [type(node).__name__ for node in ast.walk(second.value.right)] == [
        "Index",
        "Name",
        "IntLit",
        "IntLit",
    ]


ERRORS = {
    "x = 1:3": "1:6 a range 'a:b' is allowed only in an index and in the head of a loop",
    "x = (1:3)": "1:7 a range 'a:b' is allowed only in an index and in the head of a loop",
    "if (x = 3) y = 2": "1:7 expected ')' to close '(' opened at 1:4, found '='",
    "if (x<-3) y = 2": "1:6 expected ')' to close '(' opened at 1:4, found '<-'",
    "x = y = 3": "1:7 expected the end of the statement, found '='",
    "x = (1 + 2": "1:11 expected ')' to close '(' opened at 1:5, found the end of the file",
    "x = ((1 +\ny = 3": "2:1 expected ')' to close '(' opened at 1:6, found 'y'",
    "x = X[1,2": "1:10 expected ']' to close '[' opened at 1:6, found the end of the file",
    "{ x = 1 }": "1:1 a block belongs to an if, else, for, while or function",
    "while (a) { x = 1": "1:18 expected '}' to close '{' opened at 1:11, found the end of the file",
    "}": "1:1 this '}' closes nothing",
    "x = 1 )": "1:7 expected an operator or the end of the statement, found ')'",
    "x = ": "1:4 expected an expression, found the end of the file",
    "x = f(1,,2)": "1:9 expected an expression, found ','",
    "x = f(int=2)": "1:7 'int' is a word of the language and cannot name an argument",
    "x = f(na.rm=TRUE)": "1:9 names of DML contain no dots",
    "x = f(x)[1,1]": "1:9 the result of a call cannot be indexed",
    "f(x)[1,1]": "1:5 the result of a call cannot be indexed",
    "x = (A+B)[1,]": "1:10 only a variable can be indexed",
    "x = X[1,2][3]": "1:11 an indexed value cannot be indexed again",
    "x = X[1,2,3]": "1:10 a matrix has two dimensions: an index has the form [rows, columns]",
    "x = X[2:,]": "1:9 an index range needs both ends",
    "x = X[2:]": "1:9 an index range needs both ends",
    "f(x) = 3": "1:1 a call cannot be assigned to",
    "$x = 3": "1:1 the command-line argument $x cannot be assigned to",
    "[a, $x] = f()": "1:5 the command-line argument $x cannot be assigned to",
    "[a, b] = 3": "1:10 several variables can only be assigned from one function call",
    "[a, b] = f(x) + 1": "1:10 several variables can only be assigned from one function call",
    "x = a && b": "1:7 '&&' is not part of DML",
    "x = a || b": "1:7 '||' is not part of DML",
    "x = 2 ** 3": "1:7 powers are written with '^'",
    "x = u %o% v": "1:7 the operator '%o%' is not part of DML",
    "x -> y": "1:3 DML assigns from right to left",
    "x := 3": "1:3 assignment is written with '='",
    "x -= 3": "1:3 '-=' is not part of DML",
    "x++": "1:2 '++' is not part of DML",
    "x == 3": "1:3 '==' compares and is no statement",
    "x + 3": "1:1 an expression alone is not a statement",
    "3": "1:1 an expression alone is not a statement",
    "$x": "1:1 an expression alone is not a statement",
    "x": "1:1 expected '=' or '(' after 'x'",
    "print 3": "1:7 expected '=' or '(' after 'print'",
    "x = 4 5": "1:7 expected an operator or the end of the statement, found '5'",
    "x = 3abc": "1:5 malformed number '3abc'",
    "x = 1.2.3": "1:5 malformed number '1.2.3'",
    "x = 5L": "1:6 DML has no integer suffix 'L'",
    "x = 99999999999999999999": "1:5 this integer does not fit into 64 bits",
    "a.b = 3": "1:2 names of DML contain no dots",
    "x.1 = 3": "1:2 names of DML contain no dots",
    "_x = 3": "1:1 names start with a letter",
    "x = a :: b(1)": "1:7 there may be no blanks around '::'",
    "x = a::b": "1:5 'a::b' is a function: it is called as 'a::b(…)', and is no variable",
    "as.scalar = 3": "1:1 'as.scalar' is a function: it is called as 'as.scalar(…)', and is no variable",
    "x = 'abc": "1:5 this string has no closing quote",
    "x = 'a\\d'": "1:7 unknown escape '\\d' in a string",
    "x = 1 /* abc": "1:7 this comment has no closing '*/'",
    "x = “a”": "1:5 unexpected character '“'",
    "break": "1:1 'break' is not part of DML",
    "while (TRUE) next": "1:14 'next' is not part of DML",
    "repeat { x = 1 }": "1:1 'repeat' is not part of DML",
    "return (x)": "1:1 'return' belongs to the head of a function",
    "else x = 3": "1:1 this 'else' has no 'if'",
    "if a > b { x = 1 }": "1:4 expected '(' after 'if', found 'a'",
    "if (a) ; x = 1": "1:8 expected a statement or '{' after 'if', found ';'",
    "for (i in x) y = 1": "1:11 a loop runs over a range",
    "for (i in seq(1)) y = 1": "1:11 seq as the range of a loop takes 2 or 3 arguments, not 1",
    "for (i in seq(to=1, from=2)) y = 1": "1:11 the range of a loop is written seq(from, to) or seq(from, to, incr)",
    "for (1 in 1:3) y = 1": "1:6 expected the loop variable, found '1'",
    "for (i = 1:3) y = 1": "1:8 expected 'in' after the loop variable 'i', found '='",
    "parfor (i in 1:3, check) y = 1": "1:19 expected a parameter 'name=value', found 'check'",
    "x = if (a) b else c": "1:5 'if' is a statement, not a value",
    "x = int(3.5)": "1:5 'int' is the name of a type and cannot be used as a value",
    "int = 3": "1:1 'int' is the name of a type and cannot be a variable",
    "double x = 3": "1:1 variables are not declared with a type",
    "x = 1 + ifdef($x, 3)": "1:9 ifdef(…) can only be the whole right-hand side",
    "x = ifdef($x, 3) + 1": "1:5 ifdef(…) can only be the whole right-hand side",
    "x = ifdef($x)": "1:13 ifdef(…) needs a default value",
    "x = ifdef(y, 3)": "1:11 the first argument of ifdef(…) is a command-line argument such as $name or $1",
    "setwd(x)": "1:7 expected a path in quotes, found 'x'",
    "source('a.dml')": "1:16 expected 'as' and a name after source(\"…\"), found the end of the file",
    "x = function(int a) { }": None,
    "y = 1 + function(int a) { }": "1:9 a function has to be named",
    "f = function(x) { }": "1:14 the parameter 'x' needs a type",
    "f = function(matrix x) { }": "1:14 the type 'matrix' needs a value type",
    "f = function(float x) { }": "1:14 unknown type 'float'",
    "f = function(vector[double] x) { }": "1:14 unknown type 'vector'",
    "f = function(matrix[float] x) { }": "1:21 expected a value type: int, double, boolean, string or unknown, found 'float'",
    "f = function(int int) { }": "1:18 'int' is a word of the language and cannot name a parameter",
    "f = function(int 3) { }": "1:18 expected the name of the parameter, found '3'",
    "f = function() return (int y = 3) { }": "1:30 an output has no default value",
    "f = function() x = 3": "1:16 expected 'return (…)' or '{' and the body of 'f', found 'x'",
    "f = function() return (int y) y = 3": "1:31 expected '{' and the body of 'f', found 'y'",
    "if (a) { f = function() { } }": "1:10 functions can only be defined at the top level of a file",
    "f = function() { g = function() { } }": "1:18 functions can only be defined at the top level of a file",
    "f += function() { }": "1:3 a function is defined with '='",
    "a.b = function() { }": "1:2 names of DML contain no dots",
    "n::f = function() { }": "1:1 a function cannot be named 'n::f'",
    "f = externalFunction(int x) return (int y)": "1:43 expected 'implemented' in (…) after the function's head, found the end of the file",
    "x = "
    + "(" * (MAX_DEPTH + 5): f"1:{MAX_DEPTH + 6} this is nested too deeply (more than {MAX_DEPTH} levels)",
}


@pytest.mark.parametrize(("text", "expected"), ERRORS.items(), ids=lambda item: (item or "")[:40])
def test_errors(text: str, expected: str | None) -> None:
    if expected is None:
        program(text)
    else:
        assert errors(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if (x = 3) y = 2", "'=' assigns; '==' compares"),
        ("if (x<-3) y = 2", "'<-' assigns; write 'a < -b' to compare"),
        ("x = 1:3", "seq(a, b) makes a column of these numbers"),
        ("f = function(x) { }", "write 'matrix[double] x', 'double x', …"),
        ("f = function(list x) { }", "write 'list[unknown]'"),
        ("x = integer(3.5)", "a cast is written as.integer(…)"),
        ("x++", "write 'x = x + 1'"),
        ("print 3", "a function is called as 'print(…)'"),
        ("x = 5L", "write 5"),
        ("x = if (a) b else c", "write ifelse(condition, a, b)"),
    ],
)
def test_hints(text: str, expected: str) -> None:
    assert hint(text) == expected


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("x = f(a, b\ny = 3\nz = g(1,,2)", ["2:1", "3:9"]),
        ("x = f(a b,\n      rows=3,\n      cols=4)\ny = 4 5", ["1:9", "4:7"]),
        ("if (a b) { x = 3 3 }\nelse { y = 4 4 }\nz = 5 5", ["1:7", "1:18", "2:14", "3:7"]),
        ("f = function(X,\n  int k) return\n (int y) {\n  y = 3 3\n}\nz = = 4", ["1:14", "4:9", "6:5"]),
        ("break\nx == 3\n$x = 3\nint = 3\nprint 3\ny = 1:3", ["1:1", "2:3", "3:1", "4:1", "5:7", "6:6"]),
        ("while (TRUE) {\n  x = 3 3\n  y = = 4\n}\n[a,b] = 3", ["2:9", "3:7", "5:9"]),
        ('x = "abc\ny = = 3', ["1:5", "2:5"]),
        ("x = 5L + a.b + 'a\\d'", ["1:6", "1:11", "1:18"]),
        ("if (a b) x = 3\nelse y = 4\nz = 5 5", ["1:7", "3:7"]),
    ],
)
def test_several_errors_in_one_run(text: str, places: list[str]) -> None:
    assert [error.split()[0] for error in errors(text)] == places


def test_errors_stop_at_twenty() -> None:
    assert len(errors("x = 3 3\n" * 100)) == 20


def test_a_quote_missing_above_is_pointed_at() -> None:
    with pytest.raises((Diagnostic, DiagnosticGroup)) as caught:
        parse(Source("t.dml", 'print("hi)\nprint("yo")'))
    assert "t.dml:1:7: note: the text before it is a string of several lines" in str(caught.value)


@pytest.mark.parametrize("op", ["+", "-", "*", "%*%", "&", "=="])
def test_long_chains(op: str) -> None:
    tree = program("x = " + op.join(["a"] * 10_000))
    first, chain = ast.left_spine(tree.body[0].value)  # type: ignore[union-attr, arg-type]
    assert isinstance(first, ast.Name)
    assert len(chain) == 9_999


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "[",
        "f(",
        "a[",
        "-",
        "!",
        "a^",
        "if (a) ",
        "if (a) { ",
        "if (a) x = 1 else ",
        "{",
        "f = function(",
    ],
)
def test_deep_nesting_is_a_diagnostic(piece: str) -> None:
    limit = sys.getrecursionlimit()
    for text in (piece * 5000, "x = " + piece * 5000):
        assert errors(text)
    assert sys.getrecursionlimit() == limit


def test_nesting_up_to_the_limit() -> None:
    deep = MAX_DEPTH - 1
    program("x = " + "(" * deep + "a" + ")" * deep)
    program("x = " + "f(" * deep + "a" + ")" * deep)
    program("if (a) { " * deep + "x = 1" + "}" * deep)
