"""Where the DML parser stands in the tokens, and how it words what is wrong there."""

from __future__ import annotations

from sysmlc.frontends.dml.lexer import (
    ARG,
    ASSIGNS,
    BAD,
    BRACKET,
    DOUBLE,
    END,
    FUNCTION,
    INT,
    NAME,
    POWER_LEVEL,
    PUNCTUATION,
    STRING,
    TYPE,
    Tokens,
    explain,
)
from sysmlc.ir.source import Diagnostic, Location, Note

_FOREIGN_STATEMENTS = {
    "break": ("'break' is not part of DML", "use a while loop with a condition of its own"),
    "next": ("'next' is not part of DML", "put the rest of the body into an if"),
    "continue": ("'continue' is not part of DML", "put the rest of the body into an if"),
    "repeat": ("'repeat' is not part of DML", "write while (TRUE) { … }"),
    "library": ("'library' is not part of DML", 'write source("path.dml") as name'),
    "import": ("'import' is not part of DML", 'write source("path.dml") as name'),
    "else": ("this 'else' has no 'if'", None),
    "return": (
        "'return' belongs to the head of a function",
        "assign the outputs; they are returned at the end",
    ),
    "function": ("a function has to be named", "write 'name = function(…) return (…) { … }'"),
    "def": ("functions are defined by 'name = function(…) return (…) { … }'", None),
}
_KEYWORD_STATEMENTS = ("else", "return", "function")

MAX_DEPTH = 200
"""How deep expressions and blocks may nest (chains of left-associative operators do not count)."""
MAX_ERRORS = 20


class ParseAbortedError(Exception):
    """Ends the parse: what follows would be noise."""


class Cursor:
    """A position `at` in the token lists, and the errors found so far."""

    def __init__(self, tokens: Tokens) -> None:
        self.source = tokens.source
        self.texts = tokens.texts
        self.kinds = tokens.kinds
        self.starts = tokens.starts
        self.values = tokens.values
        self.at = 0
        self.depth = 0
        self.errors: list[Diagnostic] = []
        self._error_places: set[tuple[int, int]] = set()
        self._closing: dict[int, int] | None = None

    # ---- moving

    def accept(self, text: str) -> bool:
        """Step over the token `text` if it is the next one."""
        if self.texts[self.at] != text:
            return False
        self.at += 1
        return True

    def expect(self, text: str, where: str = "") -> int:
        """Step over the token `text`, which has to be there; its index."""
        if self.texts[self.at] != text:
            raise self.unexpected(f"'{text}'{where}")
        self.at += 1
        return self.at - 1

    def close(self, text: str, opened: int) -> None:
        """Step over the bracket `text` that belongs to the one at token `opened`."""
        if self.texts[self.at] == text:
            self.at += 1
            return
        if self.texts[self.at] in ASSIGNS and self._begins_line(self.at - 1):
            self.at -= 1  # a new statement: name what begins it, not its '='
        place = self.source.location(self.starts[opened])
        raise self.unexpected(f"'{text}' to close '{self.texts[opened]}' opened at {place.line}:{place.col}")

    def _end(self) -> int:
        """The offset past the token before the cursor."""
        before = self.at - 1
        return self.starts[before] + len(self.texts[before])

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.report(self.at, f"this is nested too deeply (more than {MAX_DEPTH} levels)")
            raise ParseAbortedError

    def _starts_multi_assign(self, bracket: int) -> bool:
        """Is the `[` at token `bracket` no index but the start of the next statement, `[a, b] = f(x)`?"""
        before = bracket - 1
        if (
            self.kinds[before] == NAME
            and self.starts[before] + len(self.texts[before]) == self.starts[bracket]
        ):
            return False
        if self._closing is None:
            self._closing = {}
            opened: list[int] = []
            for i, text in enumerate(self.texts):
                if text == "[":
                    opened.append(i)
                elif text == "]" and opened:
                    self._closing[opened.pop()] = i
        closing = self._closing.get(bracket)
        return closing is not None and self.texts[closing + 1] in ("=", "<-")

    # ---- errors

    def report(self, token: int, message: str, hint: str | None = None, offset: int = 0) -> None:
        """Record an error at a token (at `offset` within it) and go on."""
        self.record(Diagnostic(message, self._place(token, offset), hint=hint))

    def record(self, error: Diagnostic) -> None:
        """Keep `error`, unless there is one at its place already."""
        place = (error.loc.line, error.loc.col)
        if place in self._error_places:
            return
        self._error_places.add(place)
        self.errors.append(error)
        if len(self.errors) >= MAX_ERRORS:
            raise ParseAbortedError

    def _fail(self, token: int, message: str, hint: str | None = None) -> Diagnostic:
        """An error at a token."""
        return Diagnostic(message, self._place(token), hint=hint)

    def unexpected(self, wanted: str) -> Diagnostic:
        """The error that the next token is not `wanted`."""
        here = self.at
        text, kind = self.texts[here], self.kinds[here]
        message, hint, offset = f"expected {wanted}, found {self._shown(here)}", None, 0
        if kind == BAD:
            message, hint, offset = explain(text)
        elif text == "=":
            message, hint = f"expected {wanted}, found '='", "'=' assigns; '==' compares"
        elif text == "<-":
            message, hint = f"expected {wanted}, found '<-'", "'<-' assigns; write 'a < -b' to compare"
        elif text == ":":
            message = "a range 'a:b' is allowed only in an index and in the head of a loop"
            hint = "seq(a, b) makes a column of these numbers"
        elif kind == BRACKET:
            message, hint = "only a variable can be indexed", "assign the value to a variable first"
        elif text == "+=":
            message, hint = f"expected {wanted}, found '+='", "'+=' is a statement of its own"
        elif kind in (NAME, DOUBLE) and here and self._end() == self.starts[here]:
            if self.kinds[here - 1] in (INT, DOUBLE):
                message, hint = f"malformed number '{self.texts[here - 1]}{text[:40]}'", None
                here -= 1
            elif self.kinds[here - 1] == NAME:
                message = "names of DML contain no dots"
        notes: tuple[Note, ...] = ()
        if here and self.kinds[here - 1] == STRING and "\n" in self.texts[here - 1]:
            remark = "the text before it is a string of several lines that starts here; is a quote missing?"
            notes = (Note(remark, self._place(here - 1)),)
        return Diagnostic(message, self._place(here, offset), hint=hint, notes=notes)

    def _place(self, token: int, offset: int = 0) -> Location:
        if self.kinds[token] == END and token:
            before = self._last_token(token)
            return self.source.location(self.starts[before] + len(self.texts[before]))
        start = self.starts[token]
        return self.source.location(start + offset, start + max(len(self.texts[token]), offset + 1))

    def _last_token(self, token: int) -> int:
        while token and self.kinds[token] == END:
            token -= 1
        return token

    def _shown(self, token: int) -> str:
        if self.kinds[token] == END:
            return "the end of the file"
        text = self.texts[token]
        if self.kinds[token] == STRING:
            return "a string" if len(text) > 30 or not text.isprintable() else text
        return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}…'"

    def no_statement(self) -> Diagnostic:
        """Why no statement can start at the cursor."""
        here = self.at
        text, kind = self.texts[here], self.kinds[here]
        if kind == BAD:
            return self.unexpected("a statement")
        if text in _FOREIGN_STATEMENTS and (kind == NAME or text in _KEYWORD_STATEMENTS):
            return self._fail(here, *_FOREIGN_STATEMENTS[text])
        if self._continues_line(here):
            return self.unexpected("an operator or the end of the statement")
        if kind == ARG:
            return self._assigns_argument()
        if kind == TYPE:
            if self.kinds[here + 1] == NAME:
                name = self.texts[here + 1]
                return self._fail(here, "variables are not declared with a type", f"write '{name} = …'")
            return self._fail(here, f"'{text}' is the name of a type and cannot be a variable")
        if text in (")", "]", "}"):
            return self._fail(here, f"this '{text}' closes nothing")
        if text == "{":
            return self._fail(here, "a block belongs to an if, else, for, while or function")
        if kind in (NAME, FUNCTION):
            following = self.texts[here + 1]
            if following == "==":
                return self._fail(here + 1, "'==' compares and is no statement", f"'{text} = …' assigns")
            if following in ("+", "-") and self.texts[here + 2] == following:
                hint = f"write '{text} = {text} {following} 1'"
                return self._fail(here + 1, f"'{following * 2}' is not part of DML", hint)
            if self.kinds[here + 1] <= POWER_LEVEL:
                return self._fail(
                    here, "an expression alone is not a statement", "assign it to a variable or print it"
                )
            hint = ""
            if self._continues_line(here + 1):
                self.at += 1
                if self.kinds[here + 1] != PUNCTUATION:
                    hint = f"a function is called as '{text}(…)'"
                if self.kinds[here + 1] in (BAD, DOUBLE):
                    return self.unexpected("'='")
            return self._fail(self.at, f"expected '=' or '(' after '{text}'", hint or None)
        if kind in (PUNCTUATION, END):
            return self.unexpected("a statement")
        return self._fail(
            here, "an expression alone is not a statement", "assign it to a variable or print it"
        )

    def _assigns_argument(self) -> Diagnostic:
        text = self.texts[self.at]
        if self.texts[self.at + 1] not in ("=", "<-", "+=", ",", "]"):
            return self._fail(
                self.at, "an expression alone is not a statement", "assign it to a variable or print it"
            )
        hint = f"write 'name = {text}' and assign to 'name'"
        return self._fail(self.at, f"the command-line argument {text} cannot be assigned to", hint)

    def _begins_line(self, token: int) -> bool:
        """Is the token the first of its line?"""
        return token == 0 or "\n" in self.source.text[self.starts[token - 1] : self.starts[token]]

    def _continues_line(self, token: int) -> bool:
        """Does the token follow, on the same line, one that may end an expression?"""
        if token == 0 or self.kinds[token] == END:
            return False
        before = token - 1
        if self.texts[before] in (";", "{", "}", ")", "else", "=", "<-"):
            return False
        return not self._begins_line(token)
