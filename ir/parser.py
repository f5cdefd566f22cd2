"""Reads the text form of the IR (see `sysmlc.ir.printer`). Operations get their place in the text as location.

The parser checks what text can get wrong: syntax, unknown operations and types, undefined and doubly defined values.
Whether operations are used properly is for `sysmlc.ir.verify`.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from sysmlc.ir.core import AttrValue, Op, Region, Value
from sysmlc.ir.define import registry
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import UNKNOWN, Diagnostic, Location, Source
from sysmlc.ir.types import Dim, Scalar, Type, matrix, simple_type, vector

_GAP: Final = r"(?:[ \t\r\n]++|//[^\n]*+)*+"
_VALUES: Final = rf"%[\w.$]+(?:{_GAP},{_GAP}%[\w.$]+)*+"
_ONE_TYPE: Final = rf"(?::{_GAP}([a-z]\w*+(?:<[^>\n]*+>)?+){_GAP}(?!,))?"
_HEAD: Final = re.compile(
    rf"{_GAP}(?:({_VALUES}){_GAP}={_GAP})?([A-Za-z_]\w*\.\w+){_GAP}({_VALUES})?{_GAP}{_ONE_TYPE}"
)
_VALUE: Final = re.compile(r"%([\w.$]+)")
_ATTRS: Final = re.compile(rf"\{{{_GAP}(?=[A-Za-z_]\w*{_GAP}=)")
_ATTR_NAME: Final = re.compile(rf"{_GAP}([A-Za-z_]\w*){_GAP}={_GAP}")
_WORD: Final = re.compile(r"-?(?:inf|nan|\d[\w.]*(?:(?<=[eE])[+-]\d+)?)|true|false")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_TYPE: Final = re.compile(rf"{_GAP}([A-Za-z_]\w*(?:<[^>\n]*>)?)")
_ARGUMENT: Final = re.compile(rf"{_GAP}%([\w.$]+){_GAP}:")
_LOC: Final = re.compile(rf"loc\((?:\?|{_STRING.pattern}:(\d+):(\d+)(?:-(\d+))?)\)")
_SKIP: Final = re.compile(_GAP)
_SHAPED: Final = re.compile(
    r"(matrix|vec)<(?:(\?|\d+|[a-wyz][a-wyz0-9_]*)x)?(\?|\d+|[a-wyz][a-wyz0-9_]*)x(\w+)(?:, ?nnz=(\d+))?(?:, ?(csr|dense))?>"
)
_CONTROL: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse(text: str, name: str = "<text>") -> Op:
    """The operation a text holds. Several operations, or one that is not a module, are put into a module."""
    return parse_source(Source(name, text))


def parse_source(source: Source) -> Op:
    """As `parse`, of a source."""
    parser = _Parser(source)
    try:
        return parser.file()
    except RecursionError:
        raise Diagnostic("the regions are nested too deeply", source.location(parser.furthest)) from None


def parse_type(text: str) -> Type | None:
    """The type written as `text`, None when it is not one."""
    known = simple_type(text)
    if known is not None:
        return known
    found = _SHAPED.fullmatch(text)
    elem = simple_type(found[4]) if found else None
    if not found or not isinstance(elem, Scalar):
        return None
    if found[1] == "vec":
        return vector(int(found[3]), elem) if not found[2] and not found[5] and found[3].isdigit() else None
    if not found[2]:
        return None
    return matrix(_dim(found[2]), _dim(found[3]), elem, int(found[5]) if found[5] else None, found[6])


def _dim(text: str) -> Dim:
    return None if text == "?" else int(text) if text.isdigit() else text


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.scope: dict[str, Value] = {}
        self.defined: list[str] = []
        self.types: dict[str, Type] = {}
        self.sources: dict[str, Source] = {source.name: source}
        self.furthest = 0

    def fail(self, message: str, start: int, end: int = 0, hint: str | None = None) -> NoReturn:
        raise Diagnostic(message, self.source.location(start, end), hint=hint)

    def file(self) -> Op:
        top = Region()
        at = self.ops(top, 0)
        if at < len(self.text):
            self.fail("expected an operation", at)
        first = top.first
        if first is not None and first is top.last and first.name == "core.module":
            return first.detach()
        return registry["core.module"]("core.module", (), (), None, (top,), self.source.location(0))

    def ops(self, region: Region, at: int) -> int:
        """Operations up to the end of the region or text; gives the place after them."""
        text, scope, head = self.text, self.scope, _HEAD.match
        outer_defined, self.defined = self.defined, []
        while (found := head(text, at)) is not None:
            results, name, operands, only_type = found.groups()
            cls = registry.get(name)
            if cls is None:
                self.fail(f"there is no operation '{name}'", *found.span(2), nearest(name, registry))
            at = found.end()
            values: list[Value] = []
            if operands is not None:
                try:
                    values = [scope[n] for n in _VALUE.findall(operands)]
                except KeyError:
                    self.undefined(found.start(3), found.end(3))
            attrs: dict[str, AttrValue] | None = None
            types: list[Type] = []
            if only_type is not None:
                types.append(self.types.get(only_type) or self.type(found.start(4))[0])
            elif text.startswith("{", at) and (opening := _ATTRS.match(text, at)) is not None:
                attrs = {}
                at = self.attributes(attrs, opening.end())
            if text.startswith(":", at):
                at = self.type_list(types, at + 1)
            names = _VALUE.findall(results) if results is not None else ()
            if names and len(names) != len(types):
                self.fail(f"{len(names)} results are named, but {len(types)} types are given", *found.span(1))
            regions: list[Region] = []
            if text.startswith(("(", "{"), at):
                self.furthest = at
                at = self.regions(regions, at, "isolated" in cls.traits)
            loc = self.source.location(found.start(2), found.end(2))
            if text.startswith("loc(", at):
                loc, at = self.location(at)
            op = cls(name, values, types, attrs, regions, loc)
            region.append(op)
            for value_name, value in zip(names, op.results, strict=False):
                if value_name in scope:
                    self.fail(f"%{value_name} is already defined", *found.span(1))
                scope[value_name] = value
                self.defined.append(value_name)
                if not value_name.isdigit():
                    value.name = value_name
        for value_name in self.defined:
            del scope[value_name]
        self.defined = outer_defined
        return self.skip(at)

    def undefined(self, start: int, end: int) -> NoReturn:
        for use in _VALUE.finditer(self.text, start, end):
            if use[1] not in self.scope:
                hint = nearest(use[1], self.scope)
                self.fail(f"%{use[1]} is not defined here", *use.span(), hint and hint.replace("'", "'%", 1))
        raise AssertionError("every value is defined")

    def regions(self, regions: list[Region], at: int, isolated: bool) -> int:
        outer = self.scope
        if isolated:
            self.scope = {}
        while self.text.startswith(("(", "{"), at):
            region = Region()
            regions.append(region)
            before = self.defined
            self.defined = []
            if self.text[at] == "(":
                at = self.arguments(region, self.skip(at + 1))
            if not self.text.startswith("{", at):
                self.fail("expected '{' and a region", at)
            opening = at
            at = self.ops(region, at + 1)
            if not self.text.startswith("}", at):
                if at == len(self.text):
                    self.fail("this region is not closed", opening, opening + 1)
                self.fail("expected an operation or '}'", at)
            for name in self.defined:
                del self.scope[name]
            self.defined = before
            at = self.skip(at + 1)
        self.scope = outer
        return at

    def arguments(self, region: Region, at: int) -> int:
        while not self.text.startswith(")", at):
            found = _ARGUMENT.match(self.text, at)
            if found is None:
                self.fail("expected an argument, as in (%x: f64)", at)
            name = found[1]
            if name in self.scope:
                self.fail(f"%{name} is already defined", found.start(1) - 1, found.end(1))
            type, at = self.type(found.end())
            self.scope[name] = region.add_arg(type, "" if name.isdigit() else name)
            self.defined.append(name)
            if self.text.startswith(",", at):
                at = self.skip(at + 1)
            elif not self.text.startswith(")", at):
                self.fail("expected ',' or ')'", at)
        return self.skip(at + 1)

    def attributes(self, attrs: dict[str, AttrValue], at: int) -> int:
        while True:
            found = _ATTR_NAME.match(self.text, at)
            if found is None:
                self.fail("expected an attribute, as in {name = 1}", self.skip(at))
            if found[1] in attrs:
                self.fail(f"attribute '{found[1]}' is given twice", *found.span(1))
            attrs[found[1]], at = self.attribute(found.end())
            if self.text.startswith("}", at):
                return self.skip(at + 1)
            if not self.text.startswith(",", at):
                self.fail("expected ',' or '}'", at)
            at += 1

    def attribute(self, at: int) -> tuple[AttrValue, int]:
        text = self.text
        if text.startswith("[", at):
            items: list[AttrValue] = []
            at = self.skip(at + 1)
            while not text.startswith("]", at):
                item, at = self.attribute(at)
                items.append(item)
                if text.startswith(",", at):
                    at = self.skip(at + 1)
                elif not text.startswith("]", at):
                    self.fail("expected ',' or ']'", at)
            return tuple(items), self.skip(at + 1)
        if text.startswith('"', at):
            found = _STRING.match(text, at)
            if found is None:
                self.fail("this string is not closed", at)
            return _unescaped(found[1]), self.skip(found.end())
        word = _WORD.match(text, at)
        if word is None:
            self.fail("expected a value: a number, true, false, a string or [values]", at)
        end = self.skip(word.end())
        if word[0] in ("true", "false"):
            return word[0] == "true", end
        try:
            return int(word[0]), end
        except ValueError:
            pass
        try:
            return float(word[0]), end
        except ValueError:
            self.fail(f"'{word[0]}' is not a number", *word.span())

    def type_list(self, types: list[Type], at: int) -> int:
        while True:
            type, at = self.type(at)
            types.append(type)
            if not self.text.startswith(",", at):
                return at
            at += 1

    def type(self, at: int) -> tuple[Type, int]:
        found = _TYPE.match(self.text, at)
        if found is None:
            self.fail("expected a type", self.skip(at))
        type = self.types.get(found[1])
        if type is None:
            made = parse_type(found[1])
            if made is None:
                hint = "types are f64 f32 i64 i32 i1 str list frame box ptr, matrix<RxCxf64> and vec<8xf64>"
                self.fail(f"'{found[1]}' is not a type", *found.span(1), hint)
            type = self.types[found[1]] = made
        return type, self.skip(found.end())

    def location(self, at: int) -> tuple[Location, int]:
        found = _LOC.match(self.text, at)
        if found is None:
            self.fail('expected a location, as in loc("file":1:2) or loc(?)', at)
        if found[2] is None:
            return UNKNOWN, self.skip(found.end())
        name = _unescaped(found[1])
        source = self.sources.get(name)
        if source is None:
            source = self.sources[name] = Source(name, "")
        return Location(source, int(found[2]), int(found[3]), int(found[4] or 0)), self.skip(found.end())

    def skip(self, at: int) -> int:
        """The first place at or after `at` that is neither blank nor comment."""
        found = _SKIP.match(self.text, at)
        assert found is not None
        return found.end()


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(
        lambda m: _CONTROL.get(m[1]) or (chr(int(m[1][1:], 16)) if len(m[1]) > 1 else m[1]), text
    )
