"""The expression half of the DML parser: precedence climbing over the token lists."""

from __future__ import annotations

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.cursor import Cursor
from sysmlc.frontends.dml.lexer import (
    ARG,
    BAD,
    BOOL,
    BRACKET,
    DOUBLE,
    FUNCTION,
    INT,
    KEYWORD,
    NAME,
    NOT,
    NOT_LEVEL,
    OPEN,
    POWER_LEVEL,
    SIGN_LEVEL,
    STRING,
    TYPE,
    explain,
)

_CASTS = {
    "int": "a cast is written as.integer(…)",
    "integer": "a cast is written as.integer(…)",
    "double": "a cast is written as.double(…)",
    "boolean": "a cast is written as.logical(…)",
    "string": "toString(…) makes a text of a value",
}
_NESTED_IFDEF = ("ifdef(…) can only be the whole right-hand side", "assign it to a variable first")


class ExpressionParser(Cursor):
    """One method for each production of expressions."""

    def expression(self, level: int = 1) -> ast.Expr:
        """An expression of operators that bind at least as tight as `level`."""
        kinds, texts, starts, source = self.kinds, self.texts, self.starts, self.source
        first = starts[self.at]
        left = self._operand()
        while level <= (kind := kinds[self.at]) <= POWER_LEVEL:
            here = self.at
            op = texts[here]
            if op in ("&&", "||"):
                self.report(here, f"'{op}' is not part of DML", f"write '{op[0]}', which takes matrices too")
                op = op[0]
            after = self.at = here + 1
            following = kinds[after + 1] if kinds[after] == NAME else OPEN
            if following <= kind != POWER_LEVEL or POWER_LEVEL < following not in (OPEN, BRACKET):
                # The common right operand, a plain variable, without the detour.
                name = texts[after]
                end = starts[after] + len(name)
                right: ast.Expr = ast.Name((source, starts[after], end), name)
                self.at = after + 1
            elif kind == POWER_LEVEL:
                self._descend()
                right = self.expression(POWER_LEVEL)
                self.depth -= 1
                end = self._end()
            else:
                right = self.expression(kind + 1)
                end = self._end()
            left = ast.Binary((source, first, end), op, left, right, starts[here])
        return left

    def _operand(self) -> ast.Expr:
        here = self.at
        kind = self.kinds[here]
        text = self.texts[here]
        start = self.starts[here]
        if kind in (NAME, FUNCTION):
            following = self.kinds[here + 1]
            if following == OPEN:
                return self.call()
            if following == BRACKET and not self._starts_multi_assign(here + 1):
                return self.index()
            return self.variable()
        self.at = here + 1
        span = (self.source, start, start + len(text))
        if kind == INT:
            return ast.IntLit(span, self.values[text])  # type: ignore[arg-type]
        if kind == DOUBLE:
            return ast.DoubleLit(span, self.values[text])  # type: ignore[arg-type]
        if kind == STRING:
            return ast.StringLit(span, self.values[text])  # type: ignore[arg-type]
        if kind == BOOL:
            return ast.BoolLit(span, text == "TRUE")
        if kind == ARG:
            return ast.ArgRef(span, text[1:])
        self._descend()
        result: ast.Expr
        if kind == OPEN:
            result = self.expression()
            self.close(")", here)
        elif text == "-" or text == "+":
            operand = self.expression(SIGN_LEVEL)
            result = ast.Unary((self.source, start, self._end()), text, operand)
        elif kind == NOT:
            operand = self.expression(NOT_LEVEL)
            result = ast.Unary((self.source, start, self._end()), text, operand)
        elif kind == BRACKET:
            items = [self.expression()]
            while self.accept(","):
                items.append(self.expression())
            self.close("]", here)
            result = ast.ListLit((self.source, start, self._end()), tuple(items))
        else:
            self.at = here
            result = self._no_operand(here)
        self.depth -= 1
        return result

    def variable(self) -> ast.Name:
        """The name of a variable."""
        here = self.at
        text, start = self.texts[here], self.starts[here]
        if self.kinds[here] != NAME:
            if self.kinds[here] != FUNCTION:
                raise self.unexpected("a variable")
            self.report(here, f"'{text}' is a function: it is called as '{text}(…)', and is no variable")
        self.at = here + 1
        return ast.Name((self.source, start, start + len(text)), text)

    def call(self) -> ast.Call:
        """`f(a, n=b)`; the cursor stands on the name, before a parenthesis."""
        here = self.at
        texts, kinds, starts = self.texts, self.kinds, self.starts
        namespace, _, name = texts[here].rpartition("::")
        self._descend()
        self.at = here + 2
        args: list[ast.Arg] = []
        if texts[here + 2] != ")":
            while True:
                start = starts[self.at]
                arg_name = self._argument_name() if texts[self.at + 1] == "=" else None
                value = self.expression()
                args.append(ast.Arg((self.source, start, self._end()), arg_name, value))
                if texts[self.at] != ",":
                    break
                self.at += 1
        self.close(")", here + 1)
        self.depth -= 1
        if kinds[self.at] == BRACKET and not self._starts_multi_assign(self.at):
            raise self._fail(
                self.at, "the result of a call cannot be indexed", "assign it to a variable first"
            )
        return ast.Call((self.source, starts[here], self._end()), namespace or None, name, tuple(args))

    def _argument_name(self) -> str | None:
        here = self.at
        text, kind = self.texts[here], self.kinds[here]
        if kind in (KEYWORD, TYPE):
            self.report(here, f"'{text}' is a word of the language and cannot name an argument")
        elif kind == BAD and text[0].isalpha():
            message, hint, offset = explain(text)
            self.report(here, message, hint, offset)
        elif kind != NAME and (kind != FUNCTION or "::" in text):
            return None
        self.at = here + 2
        return text

    def index(self) -> ast.Index:
        """`X[i,j]`; the cursor stands on the name, before a bracket."""
        base = self.variable()
        opened = self.at
        self.at = opened + 1
        self._descend()
        rows = self._dimension()
        cols = None
        single = not self.accept(",")
        if not single:
            cols = self._dimension()
            if self.texts[self.at] == ",":
                raise self._fail(
                    self.at, "a matrix has two dimensions: an index has the form [rows, columns]"
                )
        self.close("]", opened)
        self.depth -= 1
        if self.kinds[self.at] == BRACKET and not self._starts_multi_assign(self.at):
            raise self._fail(
                self.at, "an indexed value cannot be indexed again", "assign it to a variable first"
            )
        return ast.Index((self.source, base.span[1], self._end()), base, rows, cols, single)

    def _dimension(self) -> ast.Expr | ast.Range | None:
        if self.texts[self.at] in (",", "]"):
            return None
        start = self.starts[self.at]
        lower = self.expression()
        if not self.accept(":"):
            return lower
        if self.texts[self.at] in (",", "]"):
            raise self._fail(
                self.at, "an index range needs both ends", "leave the side empty for all, as in X[,1]"
            )
        upper = self.expression()
        return ast.Range((self.source, start, self._end()), lower, upper)

    def ifdef(self) -> ast.IfDef:
        """`ifdef($x, default)`"""
        here = self.at
        self.at = here + 1
        opened = self.expect("(", " after 'ifdef'")
        arg = self.at
        if self.kinds[arg] != ARG:
            raise self._fail(
                arg, "the first argument of ifdef(…) is a command-line argument such as $name or $1"
            )
        argument = self.expression()
        if not isinstance(argument, ast.ArgRef):
            raise self._fail(
                arg, "the first argument of ifdef(…) is a command-line argument such as $name or $1"
            )
        if not self.accept(","):
            if self.texts[self.at] == ")":
                raise self._fail(
                    self.at, "ifdef(…) needs a default value", f"write ifdef(${argument.name}, value)"
                )
            raise self.unexpected("',' and a default value")
        default = self.expression()
        self.close(")", opened)
        if self.kinds[self.at] <= POWER_LEVEL:
            raise self._fail(here, *_NESTED_IFDEF)
        return ast.IfDef((self.source, self.starts[here], self._end()), argument, default)

    def _no_operand(self, here: int) -> ast.Expr:
        """An expression cannot start at token `here`; still stand something in where the meaning is clear."""
        text, kind = self.texts[here], self.kinds[here]
        span = (self.source, self.starts[here], self.starts[here] + len(text))
        if kind == BAD and (text[0].isalnum() or text[0] in "'\"."):
            message, hint, offset = explain(text)
            self.report(here, message, hint, offset)
            if text[0].isalpha() and self.kinds[here + 1] == OPEN:
                return self.call()
            self.at = here + 1
            return ast.Name(span, text)
        if text == "ifdef":
            raise self._fail(here, *_NESTED_IFDEF)
        if text == "if":
            raise self._fail(here, "'if' is a statement, not a value", "write ifelse(condition, a, b)")
        if text == "function":
            raise self._fail(
                here, "a function has to be named", "write 'name = function(…) return (…) { … }'"
            )
        if kind == TYPE:
            hint = _CASTS.get(text.lower()) if self.kinds[here + 1] == OPEN else None
            raise self._fail(here, f"'{text}' is the name of a type and cannot be used as a value", hint)
        raise self.unexpected("an expression")
