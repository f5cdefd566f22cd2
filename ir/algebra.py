"""Expressions of rule tables: `sum(t(X)) * 2`, `rows(X) == 1 and not is_const(y)`. Only text to tree; meaning is in `rules`.

Operators, weakest first: `or`, `and`, `not` (guards) · `|` `&` · `== != < <= > >=` · `+ -` · `* /` · `@ %% %/%` · unary `- !` ·
`^`. Names are variables; with parentheses, functions; attributes follow a function's name in braces: `cumsum{dir="row"}(X)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.source import Diagnostic, Source

Literal = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    value: Literal

    def __str__(self) -> str:
        return str(self.value).lower() if isinstance(self.value, bool) else repr(self.value)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: a matrix when its name starts with a capital letter, else a scalar."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Apply:
    """A function or operator of some arguments."""

    fn: str
    args: tuple[Expr, ...]
    attrs: tuple[tuple[str, Literal], ...] = ()

    def __str__(self) -> str:
        if not self.fn[0].isalpha() and len(self.args) == 2:
            return f"({self.args[0]} {self.fn} {self.args[1]})"
        attrs = ", ".join(f"{k}={v!r}" for k, v in self.attrs)
        return f"{self.fn}{'{' + attrs + '}' if attrs else ''}({', '.join(map(str, self.args))})"


Expr = Number | Variable | Apply


def variables(e: Expr) -> list[str]:
    """The names of the variables of an expression, each once, in order."""
    if isinstance(e, Variable):
        return [e.name]
    return list(dict.fromkeys(v for a in e.args for v in variables(a))) if isinstance(e, Apply) else []


_LEVELS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"or"}),
    frozenset({"and"}),
    frozenset({"|"}),
    frozenset({"&"}),
    frozenset({"==", "!=", "<", "<=", ">", ">="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/"}),
    frozenset({"@", "%%", "%/%"}),
)
_LEVEL_OF: Final = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
_NOT: Final = 2
"""The level of the prefix `not`."""
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?)|(?P<text>"[^"]*")|(?P<name>[A-Za-z_]\w*)"""
    r"""|(?P<op>->|==|!=|<=|>=|%%|%/%|[-+*/@^&|!<>=(){},]))"""
)
_CONSTANTS: Final[dict[str, Literal]] = {
    "true": True,
    "false": False,
    "inf": float("inf"),
    "nan": float("nan"),
}


class ExpressionParser:
    """Reads expressions from one line of a source, one after the other."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.tokens: list[tuple[str, str, int]] = []
        self.at = 0
        while start < end:
            found = _TOKEN.match(source.text, start, end)
            if found is None:
                if not source.text[start:end].strip():
                    break
                raise Diagnostic("this is not part of an expression", source.location(start))
            kind = found.lastgroup or ""
            self.tokens.append((kind, found[kind], found.start(kind)))
            start = found.end()
        self.tokens.append(("end", "", end))
        self.words = [text if kind in ("op", "name") else "" for kind, text, _ in self.tokens]
        """The operators and names; empty for other tokens."""

    def take(self, text: str) -> bool:
        if self.words[self.at] != text:
            return False
        self.at += 1
        return True

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.error(f"expected '{text}'")

    def at_end(self) -> bool:
        return self.tokens[self.at][0] == "end"

    def error(self, message: str) -> Diagnostic:
        return Diagnostic(message, self.source.location(self.tokens[self.at][2]))

    def expression(self, level: int = 0) -> Expr:
        """One expression, as long as it goes with operators that bind as strongly as those of `level`."""
        strongest = len(_LEVELS)
        if level <= _NOT and self.take("not"):
            left: Expr = Apply("not", (self.expression(_NOT),))
            strongest = _NOT - 1
        else:
            left = self.unary()
        while level <= (found := _LEVEL_OF.get(self.words[self.at], -1)) <= strongest:
            fn = self.words[self.at]
            self.at += 1
            left = Apply(fn, (left, self.expression(found + 1)))
            strongest = found
        return left

    def unary(self) -> Expr:
        word = self.words[self.at]
        if word == "-":
            self.at += 1
            operand = self.unary()
            if isinstance(operand, Number) and not isinstance(operand.value, (bool, str)):
                return Number(-operand.value)
            return Apply("neg", (operand,))
        if word == "!":
            self.at += 1
            return Apply("!", (self.unary(),))
        base = self.primary()
        return Apply("^", (base, self.unary())) if self.take("^") else base

    def primary(self) -> Expr:
        kind, text, _ = self.tokens[self.at]
        if kind in ("number", "text"):
            self.at += 1
            return Number(text[1:-1] if kind == "text" else int(text) if text.isdigit() else float(text))
        if self.take("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if kind != "name":
            raise self.error("expected an expression")
        self.at += 1
        if text in _CONSTANTS:
            return Number(_CONSTANTS[text])
        attrs = self.attributes() if self.take("{") else ()
        if not attrs and self.words[self.at] != "(":
            return Variable(text)
        self.expect("(")
        args: list[Expr] = []
        while not self.take(")"):
            args.append(self.expression())
            if self.words[self.at] != ")":
                self.expect(",")
        return Apply(text, tuple(args), attrs)

    def attributes(self) -> tuple[tuple[str, Literal], ...]:
        found: list[tuple[str, Literal]] = []
        while not self.take("}"):
            name = self.tokens[self.at][1]
            self.at += 1
            self.expect("=")
            value = self.unary()
            if not isinstance(value, Number):
                raise self.error("attributes are literals")
            found.append((name, value.value))
            if self.words[self.at] != "}":
                self.expect(",")
        return tuple(found)
