"""The DML parser: `parse(source)` gives the tree of a script, or all the syntax errors that are in it.

Statements are parsed by recursive descent here, expressions by precedence climbing in `expressions`. A statement
with an error is skipped up to where the next one seems to start, and the parse goes on.
"""

from __future__ import annotations

import gc
import sys

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.cursor import MAX_DEPTH, ParseAbortedError
from sysmlc.frontends.dml.lexer import (
    ARG,
    ASSIGNS,
    BRACKET,
    END,
    FUNCTION,
    KEYWORD,
    NAME,
    POWER_LEVEL,
    STRING,
    TYPE,
    tokenize,
)
from sysmlc.frontends.dml.signatures import SignatureParser
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source

__all__ = ["MAX_DEPTH", "parse"]


def parse(source: Source) -> ast.Program:
    """The tree of a script; raises a `Diagnostic`, or a `DiagnosticGroup` where there are several errors."""
    limit, collecting = sys.getrecursionlimit(), gc.isenabled()
    # Nesting is bounded by MAX_DEPTH; the frames it takes must fit whatever the caller's depth is.
    sys.setrecursionlimit(max(limit, 20 * MAX_DEPTH))
    gc.disable()  # trees have no cycles: looking for some costs half as much again as the parse
    try:
        parser = Parser(tokenize(source))
        program = parser.program()
    except ParseAbortedError:
        pass
    finally:
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()
    errors = sorted(parser.errors, key=lambda error: (error.loc.line, error.loc.col))
    if len(errors) > 1:
        raise DiagnosticGroup(errors)
    if errors:
        raise errors[0]
    return program


class Parser(SignatureParser):
    """The statement half of the parser."""

    nesting = 0
    """How many blocks are open: functions are defined outside all of them."""

    def program(self) -> ast.Program:
        """Everything up to the end of the file."""
        self.functions: list[ast.FunctionDef | ast.ExternalFunction] = []
        body: list[ast.Statement] = []
        while True:
            body.extend(self.statements())
            if self.kinds[self.at] == END:
                break
            if not self.errors:
                self.report(self.at, "this '}' closes nothing")
            self.at += 1
        span = (self.source, 0, len(self.source.text))
        return ast.Program(span, self.source, tuple(self.functions), tuple(body))

    def statements(self) -> list[ast.Statement]:
        """Statements up to a `}` or the end, which is left to the caller."""
        found: list[ast.Statement] = []
        texts = self.texts
        while (text := texts[self.at]) != "}" and self.kinds[self.at] != END:
            if text == ";":
                self.at += 1
                continue
            start, depth, nesting = self.at, self.depth, self.nesting
            try:
                statement = self.statement()
                if statement is not None:
                    found.append(statement)
            except Diagnostic as error:
                self.record(error)
                self.depth, self.nesting = depth, nesting
                self.resynchronise(start)
        return found

    def statement(self) -> ast.Statement | None:
        """One statement; None for a function definition, which goes to `functions`."""
        here = self.at
        kind, text = self.kinds[here], self.texts[here]
        if kind in (NAME, FUNCTION):
            following = self.texts[here + 1]
            if following == "(":
                call = self.call()
                if self.texts[self.at] in ASSIGNS:
                    raise self._fail(here, "a call cannot be assigned to", "index with brackets: X[i, j] = …")
                return ast.CallStatement(call.span, call)
            if following in ("=", "<-", "+="):
                if self.texts[here + 2] in ("function", "externalFunction"):
                    self.function()
                    return None
                name = self.variable()
                self.at = here + 2
                value = self.value()
                return ast.Assign((self.source, name.span[1], self._end()), name, value, following == "+=")
            if following == "[":
                return self.indexed_assignment()
            raise self.no_statement()
        if kind == KEYWORD:
            if text == "if":
                return self.if_statement()
            if text == "while":
                return self.while_statement()
            if text == "for" or text == "parfor":
                return self.for_statement()
            if text == "source":
                return self.import_statement()
            if text == "setwd":
                return self.setwd_statement()
        if kind == BRACKET:
            return self.multi_assignment()
        raise self.no_statement()

    # ---- assignments

    def value(self) -> ast.Expr | ast.IfDef:
        """The right-hand side of an assignment."""
        here = self.at
        if self.texts[here] != "ifdef":
            value = self.expression()
            if self.texts[self.at] in ("=", ":", "+=") or (
                self.kinds[self.at] == BRACKET and not self._starts_multi_assign(self.at)
            ):
                raise self.unexpected("the end of the statement")
            return value
        return self.ifdef()

    def indexed_assignment(self) -> ast.IndexedAssign:
        """`X[i,j] = value`"""
        target = self.index()
        sign = self.texts[self.at]
        if sign not in ("=", "<-", "+="):
            raise self.unexpected("'=' after the indexed variable")
        self.at += 1
        value = self.value()
        return ast.IndexedAssign((self.source, target.span[1], self._end()), target, value, sign == "+=")

    def multi_assignment(self) -> ast.MultiAssign:
        """`[a, b] = f(x)`"""
        here = self.at
        self.at = here + 1
        targets: list[ast.Name | ast.Index] = []
        while True:
            if self.kinds[self.at] == ARG:
                raise self._assigns_argument()
            targets.append(self.index() if self.kinds[self.at + 1] == BRACKET else self.variable())
            if not self.accept(","):
                break
        self.close("]", here)
        if self.texts[self.at] not in ASSIGNS:
            raise self.unexpected("'=' after the variables")
        self.at += 1
        start = self.at
        call = self.expression()
        if not isinstance(call, ast.Call):
            raise self._fail(start, "several variables can only be assigned from one function call")
        return ast.MultiAssign((self.source, self.starts[here], self._end()), tuple(targets), call)

    # ---- control flow

    def if_statement(self) -> ast.If:
        """`if (cond) … else …`"""
        here = self.at
        cond = self.condition()
        body = self.body("if")
        before = self.at
        while self.accept(";"):
            pass
        orelse: tuple[ast.Statement, ...] = ()
        if self.accept("else"):
            orelse = self.body("else")
        else:
            self.at = before
        return ast.If((self.source, self.starts[here], self._end()), cond, body, orelse)

    def while_statement(self) -> ast.While:
        """`while (cond) …`"""
        here = self.at
        cond = self.condition()
        body = self.body("while")
        return ast.While((self.source, self.starts[here], self._end()), cond, body)

    def for_statement(self) -> ast.For:
        """`for (i in range, params) …`, and `parfor`"""
        here = self.at
        keyword = self.texts[here]
        self.at = here + 1
        opened = self.expect("(", f" after '{keyword}'")
        if self.kinds[self.at] != NAME:
            raise self.unexpected("the loop variable")
        var = self.variable()
        self.expect("in", f" after the loop variable '{var.name}'")
        span = self.range()
        params: list[ast.Arg] = []
        while self.accept(","):
            start = self.at
            name = self._argument_name() if self.texts[start + 1] == "=" else None
            if name is None:
                raise self.unexpected("a parameter 'name=value'")
            value = self.expression()
            params.append(ast.Arg((self.source, self.starts[start], self._end()), name, value))
        self.close(")", opened)
        body = self.body(keyword)
        cls = ast.ParFor if keyword == "parfor" else ast.For
        return cls((self.source, self.starts[here], self._end()), var, span, body, tuple(params))

    def range(self) -> ast.SeqRange:
        """`a:b` or `seq(a, b, by)`"""
        here = self.at
        first = self.expression()
        if self.accept(":"):
            last = self.expression()
            return ast.SeqRange((self.source, self.starts[here], self._end()), first, last, None)
        if not isinstance(first, ast.Call) or first.full_name != "seq":
            raise self._fail(here, "a loop runs over a range", "write 'i in a:b' or 'i in seq(a, b, step)'")
        given = dict(zip(("from", "to", "incr"), [arg.value for arg in first.args], strict=False))
        for position, arg in enumerate(first.args):
            if arg.name is not None and arg.name != ("from", "to", "incr", "")[min(position, 3)]:
                raise self._fail(here, "the range of a loop is written seq(from, to) or seq(from, to, incr)")
        if not 2 <= len(first.args) <= 3:
            raise self._fail(
                here, f"seq as the range of a loop takes 2 or 3 arguments, not {len(first.args)}"
            )
        return ast.SeqRange(first.span, given["from"], given["to"], given.get("incr"))

    def condition(self) -> ast.Expr:
        """`(cond)` after the keyword the cursor stands on"""
        keyword = self.texts[self.at]
        self.at += 1
        opened = self.expect("(", f" after '{keyword}'")
        cond = self.expression()
        self.close(")", opened)
        return cond

    def body(self, keyword: str) -> tuple[ast.Statement, ...]:
        """A block in braces, or one statement."""
        self._descend()
        self.nesting += 1
        if self.texts[self.at] == "{":
            body = self.block()
        elif self.texts[self.at] in ("}", ";", "else") or self.kinds[self.at] == END:
            raise self.unexpected(f"a statement or '{{' after '{keyword}'")
        else:
            statement = self.statement()
            body = (statement,) if statement is not None else ()
        self.nesting -= 1
        self.depth -= 1
        return body

    def block(self) -> tuple[ast.Statement, ...]:
        """`{ … }`"""
        opened = self.at
        self.at += 1
        body = self.statements()
        self.close("}", opened)
        return tuple(body)

    # ---- files and functions

    def import_statement(self) -> ast.Import:
        """`source("path") as name`"""
        here = self.at
        path = self._path()
        self.expect("as", ' and a name after source("…")')
        if self.kinds[self.at] != NAME:
            raise self.unexpected("a name for the functions of the file")
        name = self.texts[self.at]
        self.at += 1
        return ast.Import((self.source, self.starts[here], self._end()), path, name)

    def setwd_statement(self) -> ast.SetWd:
        """`setwd("dir")`"""
        here = self.at
        path = self._path()
        return ast.SetWd((self.source, self.starts[here], self._end()), path)

    def _path(self) -> str:
        keyword = self.texts[self.at]
        self.at += 1
        opened = self.expect("(", f" after '{keyword}'")
        if self.kinds[self.at] != STRING:
            raise self.unexpected("a path in quotes")
        path = str(self.values[self.texts[self.at]])
        self.at += 1
        self.close(")", opened)
        return path

    def function(self) -> None:
        """`name = function(params) return (outputs) { … }`, and `externalFunction`"""
        here = self.at
        name = self.texts[here]
        if self.kinds[here] != NAME:
            self.report(here, f"a function cannot be named '{name}'")
        if self.texts[here + 1] == "+=":
            raise self._fail(here + 1, "a function is defined with '='")
        if self.nesting:
            self.report(here, "functions can only be defined at the top level of a file")
        keyword = self.texts[here + 2]
        self.at = here + 3
        opened = self.expect("(", f" after '{keyword}'")
        params = self.parameters(opened, outputs=False)
        outputs: tuple[ast.Param, ...] = ()
        if self.accept("return"):
            outputs = self.parameters(self.expect("(", " after 'return'"), outputs=True)
        definition: ast.FunctionDef | ast.ExternalFunction
        if keyword == "function":
            if self.texts[self.at] != "{":
                clause = "" if outputs else "'return (…)' or "
                raise self.unexpected(f"{clause}'{{' and the body of '{name}'")
            outer, self.nesting = self.nesting, 1
            self._descend()
            body = self.block()
            self.depth -= 1
            self.nesting = outer
            span = (self.source, self.starts[here], self._end())
            definition = ast.FunctionDef(span, name, params, outputs, body)
        else:
            attributes = self.implementation()
            span = (self.source, self.starts[here], self._end())
            definition = ast.ExternalFunction(span, name, params, outputs, attributes)
        self.functions.append(definition)

    # ---- errors

    def resynchronise(self, start: int) -> None:
        """Skip what is left of the wrong statement that began at token `start`, checking blocks inside it."""
        texts, starts = self.texts, self.starts
        skipped = texts[start : self.at]
        level = sum(map(skipped.count, "([")) - sum(map(skipped.count, ")]"))
        column = self.source.location(starts[start]).col
        while (text := texts[self.at]) not in ("}", ";") and self.kinds[self.at] != END:
            if text == "{":
                self.at += 1
                self._descend()
                self.nesting += 1
                self.statements()
                self.nesting -= 1
                self.depth -= 1
                self.accept("}")
                if not self.accept("else"):
                    return
                continue
            if (
                self.at > start
                and self._may_start_statement(self.at)
                and (level <= 0 or self.source.location(starts[self.at]).col <= column)
            ):
                return
            level += (text in ("(", "[")) - (text in (")", "]"))
            self.at += 1

    def _may_start_statement(self, token: int) -> bool:
        """Is the token the first of its line, without a sign that the line continues another?"""
        if not self._begins_line(token):
            return False
        if self.kinds[token - 1] <= POWER_LEVEL or self.texts[token - 1] in (
            "!",
            "(",
            "[",
            ",",
            "=",
            "<-",
            "+=",
        ):
            return False
        kind = self.kinds[token]
        if kind == KEYWORD:
            return self.texts[token] in ("if", "for", "while", "parfor", "source", "setwd")
        return kind in (NAME, FUNCTION, TYPE, ARG) or (kind == BRACKET and self._starts_multi_assign(token))
