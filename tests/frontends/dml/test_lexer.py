"""Tokens of DML: their texts, kinds, values and places."""

from __future__ import annotations

import pytest

from sysmlc.frontends.dml import lexer
from sysmlc.frontends.dml.lexer import Tokens, explain, tokenize
from sysmlc.ir.source import Source

KIND_NAMES = {
    value: name
    for name, value in vars(lexer).items()
    if name.isupper() and isinstance(value, int) and value > 10
}


def lex(text: str) -> Tokens:
    return tokenize(Source("t.dml", text))


def texts(text: str) -> list[str]:
    return [token for token in lex(text).texts if token]


def kind(text: str) -> str:
    tokens = lex(text)
    assert tokens.texts[0] == text
    return KIND_NAMES.get(tokens.kinds[0], str(tokens.kinds[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x=1", "x = 1"),
        ("x<-1", "x <- 1"),
        ("a< -1", "a < - 1"),
        ("X%*%Y%/%2%%3", "X %*% Y %/% 2 %% 3"),
        ("a<=b>=c==d!=e", "a <= b >= c == d != e"),
        ("!a&b|c", "! a & b | c"),
        ("1:n", "1 : n"),
        ("a:b", "a : b"),
        ("nn::f(x)", "nn::f ( x )"),
        ("X[1,]+=2;", "X [ 1 , ] += 2 ;"),
        ("$x$1", "$x $1"),
        ("as.scalar(X)", "as.scalar ( X )"),
        ("5.", "5."),
        (".5e+3", ".5e+3"),
        ("1e3x", "1e3 x"),
        ("2e", "2 e"),
        ("a # b\nc", "a c"),
        ("a /* b\n * c */ d", "a d"),
        ("a /**/ b", "a b"),
        ("'#' \"/*\" x", "'#' \"/*\" x"),
        ('"a\\"b" c', '"a\\"b" c'),
        ("\ufeffx", "x"),
        ("x\r\ny", "x y"),
        ("", ""),
        ("  \n# only a remark", ""),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert texts(text) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x", "NAME"),
        ("matrix", "NAME"),
        ("as.scalar", "FUNCTION"),
        ("a::b", "FUNCTION"),
        ("if", "KEYWORD"),
        ("implemented", "KEYWORD"),
        ("int", "TYPE"),
        ("Boolean", "TYPE"),
        ("INT", "NAME"),
        ("TRUE", "BOOL"),
        ("True", "NAME"),
        ("12", "INT"),
        ("9223372036854775807", "INT"),
        ("9223372036854775808", "BAD"),
        ("007", "INT"),
        ("1" + "0" * 9999, "BAD"),
        ("1.0", "DOUBLE"),
        ("1e5", "DOUBLE"),
        ("5L", "BAD"),
        ("1.5l", "BAD"),
        ("'a'", "STRING"),
        ("'a\\q'", "BAD"),
        ("'a", "BAD"),
        ("a.b", "BAD"),
        ("a::b::c", "BAD"),
        ("**", "BAD"),
        ("/* x", "BAD"),
        ("\0", "BAD"),
        ("ä", "BAD"),
        ("٣", "BAD"),
        ("^", "10"),
        ("|", "1"),
    ],
)
def test_kinds(text: str, expected: str) -> None:
    assert kind(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("007", 7),
        ("000", 0),
        ("5.", 5.0),
        (".25", 0.25),
        ("1E-3", 0.001),
        ("1e309", float("inf")),
        ('"a\\tb\\n"', "a\tb\n"),
        ("'it\\'s'", "it's"),
        ('"\\""', '"'),
        ('"a\\\\b"', "a\\\\b"),
        ('"\\b\\f\\r"', "\b\f\r"),
        ('"two\nlines"', "two\nlines"),
    ],
)
def test_values(text: str, value: object) -> None:
    assert lex(text).values[text] == value


def test_offsets_point_into_the_text() -> None:
    text = "x = /* é */ f('a\nb', $y) # end\n + 3.5"
    tokens = lex(text)
    for token, start in zip(tokens.texts, tokens.starts, strict=True):
        assert text[start : start + len(token)] == token
    assert tokens.texts[-2:] == ["", ""]
    assert tokens.starts[-1] == len(text)


def test_a_string_without_end_gives_later_lines_back() -> None:
    assert texts('x = "abc\ny = 3') == ["x", "=", '"abc', "y", "=", "3"]


@pytest.mark.parametrize(
    ("text", "message", "hint", "offset"),
    [
        ("**", "powers are written with '^'", None, 0),
        ("%in%", "the operator '%in%' is not part of DML", None, 0),
        ("%foo%", "the operator '%foo%' is not part of DML", "there are %*%, %/% and %%", 0),
        ("-=", "'-=' is not part of DML", "write 'x = x - …'", 0),
        ("17L", "DML has no integer suffix 'L'", "write 17", 2),
        ("na.rm", "names of DML contain no dots", "write 'na_rm'", 2),
        ("read.csv", "names of DML contain no dots", "write 'read(…, format=\"csv\")'", 4),
        ("_a", "names start with a letter", None, 0),
        ("a::b::c", "a function name has the form 'namespace::function'", None, 0),
        ("'a", "this string has no closing quote", None, 0),
        ("/* a", "this comment has no closing '*/'", None, 0),
        ("'ab\\d'", "unknown escape '\\d' in a string", r"""known escapes: \n \t \r \b \f \" \' \\""", 3),
        ("\u00a0", "unexpected character U+00A0", None, 0),
        ("\\", "unexpected character '\\'", None, 0),
        ("”", "unexpected character '”'", "strings are written with straight quotes, \"…\" or '…'", 0),
    ],
)
def test_explanations(text: str, message: str, hint: str | None, offset: int) -> None:
    assert explain(text) == (message, hint, offset)
