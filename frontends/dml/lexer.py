"""DML text to tokens: one regular expression finds them all, one classification per distinct token text.

A token is an index into three parallel lists (text, kind, offset): a script of a megabyte has a quarter of a
million tokens, and an object for each would cost more than parsing them. The last tokens are empty texts at the
end of the source. Text that is no token of DML gets the kind `BAD`; `explain` says what is wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from operator import add, sub

from sysmlc.ir.source import Source

# Binary operators have their precedence level as kind: 1 binds loosest.
LEVELS = {
    "|": 1, "||": 1, "&": 2, "&&": 2,
    "<": 4, "<=": 4, ">": 4, ">=": 4, "==": 4, "!=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%/%": 7, "%%": 7, "%*%": 8, "^": 10,
}  # fmt: skip
NOT_LEVEL, SIGN_LEVEL, POWER_LEVEL = 3, 9, 10

NAME, FUNCTION, INT, DOUBLE, STRING, ARG, BOOL, KEYWORD, TYPE, NOT, OPEN, BRACKET, PUNCTUATION, BAD, END = (
    range(11, 26)
)

KEYWORDS = frozenset(
    {"source", "setwd", "as", "ifdef", "if", "else", "for", "in", "parfor", "while", "function", "return"}
    | {"externalFunction", "implemented"}
)
VALUE_TYPES = {
    "int": "int",
    "integer": "int",
    "double": "double",
    "boolean": "boolean",
    "string": "string",
    "unknown": "unknown",
}
TYPE_WORDS = frozenset(VALUE_TYPES) | frozenset(word.capitalize() for word in VALUE_TYPES)
DOTTED = frozenset(
    [
        f"as.{kind}"
        for kind in ("scalar", "matrix", "frame", "list", "double", "integer", "logical", "boolean")
    ]
    + [
        "index.return",
        "empty.return",
        "lower.tail",
        "lower.tri",
        "upper.tri",
        "is.na",
        "is.nan",
        "is.infinite",
    ]
)
ASSIGNS = ("=", "<-")
PUNCTUATIONS = frozenset([")", "]", "{", "}", ",", ";", ":", "=", "<-", "+="])

_STRING = r""" "[^"\\]*+(?:\\[\s\S][^"\\]*+)*+" | '[^'\\]*+(?:\\[\s\S][^'\\]*+)*+' """
_TOKEN = re.compile(
    rf"""
    ( (?: [ \t\r\n\ufeff]++ | \#[^\n]*+ | /\*[\s\S]*?\*/ )*+ )              # blanks and comments
    (   [A-Za-z][A-Za-z0-9_]*+ (?: (?:::|\.)[A-Za-z][A-Za-z0-9_]*+ )*+      # names, keywords
      | (?: [0-9]++(?:\.[0-9]*+)?+ | \.[0-9]++ ) (?:[eE][+-]?[0-9]++)?+ [lL]?+
      | {_STRING} | ["'][\s\S]*+                                            # the second: without an end
      | <<?- | <= | >= | == | != | &&? | \|\|? | ->>? | ::=? | :=
      | \+= | -= | \*= | /= | \^= | \*\* | %[A-Za-z*/]*+% | /\*[\s\S]*+
      | \$(?:[A-Za-z][A-Za-z0-9_]*+|[0-9]++)
      | _[A-Za-z0-9_]++
      | [\s\S]                                                              # one-character operators, or BAD
      | \Z )
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_QUALIFIED = re.compile(r"[A-Za-z][A-Za-z0-9_]*::[A-Za-z][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]|\.[0-9]")
_WHOLE_STRING = re.compile(_STRING, re.VERBOSE)
_ESCAPE = re.compile(r"\\([\s\S])")
_REPLACED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\\\"}
_MAX_INT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a source. `values` maps the texts of literals to what they stand for."""

    source: Source
    texts: list[str]
    kinds: list[int]
    starts: list[int]
    values: dict[str, int | float | str]


def tokenize(source: Source) -> Tokens:
    """All tokens of `source`; never fails, wrong text becomes tokens of kind `BAD`."""
    text = source.text
    pairs = _TOKEN.findall(text)
    # A string without an end has swallowed the rest: cut it at its line, so that later lines are checked too.
    for _ in range(20):
        if len(pairs) < 2 or pairs[-2][1][:1] not in ("'", '"') or _WHOLE_STRING.fullmatch(pairs[-2][1]):
            break
        blanks, broken = pairs[-2]
        line_end = text.find("\n", len(text) - len(broken))
        if line_end < 0:
            break
        pairs[-2:] = [(blanks, broken[: line_end - len(text)]), *_TOKEN.findall(text, line_end)]
    pairs += [("", "")] * 2  # so that looking ahead needs no test
    blanks, texts = zip(*pairs, strict=True)
    sizes = list(map(len, texts))
    starts = list(map(sub, accumulate(map(add, map(len, blanks), sizes)), sizes))
    values: dict[str, int | float | str] = {}
    kind_of = {token: _classify(token, values) for token in set(texts)}
    return Tokens(source, list(texts), list(map(kind_of.__getitem__, texts)), starts, values)


def _classify(text: str, values: dict[str, int | float | str]) -> int:
    if _NAME.fullmatch(text):
        if text in KEYWORDS:
            return KEYWORD
        if text in ("TRUE", "FALSE"):
            return BOOL
        return TYPE if text in TYPE_WORDS else NAME
    if text in LEVELS:
        return LEVELS[text]
    if text in PUNCTUATIONS:
        return PUNCTUATION
    if text[:1] in ("'", '"') and _WHOLE_STRING.fullmatch(text):
        if any(match[1] not in _REPLACED for match in _ESCAPE.finditer(text)):
            return BAD
        values[text] = _ESCAPE.sub(lambda match: _REPLACED[match[1]], text[1:-1])
        return STRING
    if _NUMBER.match(text):
        if text[-1] in "lL":
            return BAD
        if text.isdecimal():
            # Python refuses to read integers of thousands of digits, so look at the length first.
            if len(text.lstrip("0")) > 19 or int(text) > _MAX_INT:
                return BAD
            values[text] = int(text.lstrip("0") or "0")
            return INT
        values[text] = float(text)
        return DOUBLE
    if text[:1] == "$" and len(text) > 1:
        return ARG
    if text in DOTTED or _QUALIFIED.fullmatch(text):
        return FUNCTION
    return {"": END, "!": NOT, "(": OPEN, "[": BRACKET}.get(text, BAD)


_FOREIGN = {
    "**": ("powers are written with '^'", None),
    "->": ("DML assigns from right to left", "write 'name = value'"),
    "->>": ("DML assigns from right to left", "write 'name = value'"),
    "<<-": ("functions of DML cannot assign to variables outside", "return the value instead"),
    ":=": ("assignment is written with '='", None),
    "%in%": ("the operator '%in%' is not part of DML", None),
    "%o%": ("the operator '%o%' is not part of DML", 'write outer(u, v, "*")'),
    "::": ("there may be no blanks around '::'", "write 'namespace::function'"),
    "~": ("formulas with '~' are not part of DML", None),
    "@": ("'@' is not part of DML", "the matrix product is written '%*%'"),
    "?": ("DML has no '?:'", "write ifelse(condition, a, b)"),
    "%": ("the remainder is written with '%%'", None),
    "$": ("a command-line argument is written '$name' or '$1'", None),
    ".": ("names of DML contain no dots", None),
    "_": ("names start with a letter", None),
}


_DOTTED = {
    "read.csv": 'read(…, format="csv")',
    "write.csv": 'write(…, format="csv")',
    "as.numeric": "as.double",
    "which.max": "rowIndexMax",
    "which.min": "rowIndexMin",
}
"""What R calls so is here."""


def explain(text: str) -> tuple[str, str | None, int]:
    """What is wrong with the `BAD` token `text`: a message, a hint, and the offset of the wrong part."""
    first = text[0]
    if text in _FOREIGN:
        return (*_FOREIGN[text], 0)
    if first in "'\"":
        if not _WHOLE_STRING.fullmatch(text):
            return "this string has no closing quote", None, 0
        bad = next(match for match in _ESCAPE.finditer(text) if match[1] not in _REPLACED)
        known = r"""known escapes: \n \t \r \b \f \" \' \\"""
        return f"unknown escape '\\{_visible(bad[1])}' in a string", known, bad.start()
    if _NUMBER.match(text):
        if text[-1] in "lL":
            return "DML has no integer suffix 'L'", f"write {text[:-1]}", len(text) - 1
        hint = f"write {text[:40]}.0 for a double" if len(text) <= 40 else None
        return "this integer does not fit into 64 bits", hint, 0
    if _NAME.match(text):
        if "::" in text:
            return "a function name has the form 'namespace::function'", None, 0
        instead = _DOTTED.get(text, text.replace(".", "_"))
        return "names of DML contain no dots", f"write '{instead}'", text.index(".")
    if text.startswith("/*"):
        return "this comment has no closing '*/'", None, 0
    if text.endswith("=") and len(text) == 2:
        return f"'{text}' is not part of DML", f"write 'x = x {first} …'", 0
    if first == "_":
        return "names start with a letter", None, 0
    if first == "%" and len(text) > 2:
        return f"the operator '{text}' is not part of DML", "there are %*%, %/% and %%", 0
    if first in "“”‘’„«»":
        return f"unexpected character '{first}'", "strings are written with straight quotes, \"…\" or '…'", 0
    return f"unexpected character {_visible(first, quote=True)}", None, 0


def _visible(char: str, *, quote: bool = False) -> str:
    """`char` in a form that any terminal shows."""
    if char.isprintable() and not char.isspace() and ord(char) < 0xFFFF:
        return f"'{char}'" if quote else char
    return f"U+{ord(char):04X}"
