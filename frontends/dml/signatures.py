"""The heads of function definitions: parameters, outputs, types."""

from __future__ import annotations

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.expressions import ExpressionParser
from sysmlc.frontends.dml.lexer import (
    ASSIGNS,
    BRACKET,
    KEYWORD,
    NAME,
    STRING,
    TYPE,
    VALUE_TYPES,
)

_DATA_TYPES = ("matrix", "frame", "list", "scalar", "tensor")


class SignatureParser(ExpressionParser):
    """One method for each production of function heads."""

    def implementation(self) -> tuple[tuple[str, str], ...]:
        """`implemented in (classname="…", exectype="…")`"""
        self.expect("implemented", " in (…) after the function's head")
        self.expect("in", " after 'implemented'")
        opened = self.expect("(", " after 'implemented in'")
        attributes: list[tuple[str, str]] = []
        while self.texts[self.at] != ")":
            if attributes:
                self.expect(",", " between the attributes")
            if self.kinds[self.at] != NAME:
                raise self.unexpected("an attribute 'name=\"…\"'")
            name = self.texts[self.at]
            self.at += 1
            self.expect("=", f" after '{name}'")
            if self.kinds[self.at] != STRING:
                raise self.unexpected("a text in quotes")
            attributes.append((name, str(self.values[self.texts[self.at]])))
            self.at += 1
        self.close(")", opened)
        return tuple(attributes)

    def parameters(self, opened: int, *, outputs: bool) -> tuple[ast.Param, ...]:
        """`(type name = default, …)`; the cursor stands past the parenthesis."""
        params: list[ast.Param] = []
        if self.texts[self.at] != ")":
            params.append(self.parameter(outputs=outputs))
            while self.accept(","):
                params.append(self.parameter(outputs=outputs))
        self.close(")", opened)
        return tuple(params)

    def parameter(self, *, outputs: bool) -> ast.Param:
        """`matrix[double] X`, `int k = 3`"""
        here = self.at
        kind = "output" if outputs else "parameter"
        if self.kinds[here] == NAME and self.texts[here + 1] in (",", ")", "="):
            text = self.texts[here]
            hint = f"write 'matrix[double] {text}', 'double {text}', …"
            raise self._fail(here, f"the {kind} '{text}' needs a type", hint)
        typ = self.type()
        if self.kinds[self.at] in (TYPE, KEYWORD):
            raise self._fail(
                self.at, f"'{self.texts[self.at]}' is a word of the language and cannot name a {kind}"
            )
        if self.kinds[self.at] != NAME:
            raise self.unexpected(f"the name of the {kind}")
        name = self.texts[self.at]
        self.at += 1
        default = None
        if self.texts[self.at] in ASSIGNS:
            if outputs:
                raise self._fail(self.at, "an output has no default value")
            self.at += 1
            default = self.expression()
        return ast.Param((self.source, self.starts[here], self._end()), typ, name, default)

    def type(self) -> ast.Type:
        """`double`, `matrix[double]`"""
        here = self.at
        text = self.texts[here]
        data = text.lower()
        known = "int, double, boolean, string, matrix[double], frame[string], list[unknown]"
        if self.kinds[here] == TYPE and data not in _DATA_TYPES:
            self.at = here + 1
            return ast.Type((self.source, self.starts[here], self._end()), "scalar", VALUE_TYPES[data])
        if self.kinds[here] != NAME:
            raise self.unexpected("a type")
        if data not in _DATA_TYPES:
            raise self._fail(here, f"unknown type '{text}'", f"the types are {known}")
        self.at = here + 1
        if self.kinds[self.at] != BRACKET:
            value = {"frame": "string", "list": "unknown"}.get(data, "double")
            raise self._fail(here, f"the type '{text}' needs a value type", f"write '{text}[{value}]'")
        opened = self.at
        self.at += 1
        if self.kinds[self.at] != TYPE:
            raise self.unexpected("a value type: int, double, boolean, string or unknown")
        value = VALUE_TYPES[self.texts[self.at].lower()]
        self.at += 1
        self.close("]", opened)
        return ast.Type((self.source, self.starts[here], self._end()), data, value)
