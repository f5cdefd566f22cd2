"""Rule tables: algebra as text, one rule a line, compiled to matchers.

    [transpose]                                  a group
    # Two transposes cancel.                     a heading for people
    t(t(X)) -> X
    sum(x * Y) -> x * sum(Y)                     a scalar variable is lower-case; `x * Y` also matches `Y * x`
    X %*% Y is written X @ Y
    X + Y -> X                                   if nnz(Y) == 0 and rows(X) == rows(Y) and cols(X) == cols(Y)

A variable that occurs twice must be the same value both times. Guards know `rows cols nnz` of a matrix or a matrix expression
of the left side, `uses` (how often it is used), `is_const`, `is_size`, `is_i64`, `is_f64`, `is_i1`, `is_integral`, numbers, scalar
variables (their constant values), and what `use-facts` knows of cells: `low high no_nan whole symmetric ascending one_in_row`. What is not known makes a comparison neither true nor false; a rule applies only when its
guard is certainly true. Functions are operations of the dialect the vocabulary names, or its abbreviations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sysmlc.ir.algebra import Apply, Expr, ExpressionParser, Number, Variable, variables
from sysmlc.ir.core import AttrValue, Builder, Op, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.guards import compile_guard
from sysmlc.ir.nearest import nearest
from sysmlc.ir.rewrite import Rule
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import NUMBERS, Matrix

Bindings = list[Any]
"""What the variables and named parts of a left side matched: a value for each slot, or None."""
Matcher = Callable[[Value, Bindings], bool]
Emitter = Callable[[Builder, Bindings], Value]


@dataclass(frozen=True)
class Vocabulary:
    """What functions and operators of a table mean: operation name and attributes."""

    dialect: str
    short: Mapping[str, tuple[str, Mapping[str, AttrValue]]]
    scalar: frozenset[str]
    """Operations with a scalar result whatever their operands are."""

    def lookup(self, e: Apply) -> tuple[str, dict[str, AttrValue]] | None:
        name, attrs = self.short.get(e.fn, (f"{self.dialect}.{e.fn}", {}))
        return (name, {**attrs, **dict(e.attrs)}) if name in registry else None


_COMMUTATIVE: Final = frozenset({"+", "*", "==", "!=", "&", "|", "pmin", "pmax"})
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Table:
    """The rules of a text; `groups` keeps them by group."""

    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self.rules: list[TableRule] = []
        self.groups: dict[str, list[TableRule]] = {}
        group, start = "", 0
        for line in source.text.split("\n"):
            code = line.partition("#")[0].rstrip()
            if code.startswith("["):
                group = code.strip("[] ")
            elif code:
                made = TableRule(source, start, start + len(code), group, vocabulary)
                self.rules.append(made)
                self.groups.setdefault(group, []).append(made)
            start += len(line) + 1

    @classmethod
    def read(cls, path: Path, vocabulary: Vocabulary) -> Table:
        """The table in a file."""
        return cls(Source(path.name, path.read_text(encoding="utf-8")), vocabulary)


class TableRule(Rule):
    """One line of a table. Keeps both sides as expressions, for the test that evaluates them."""

    __slots__ = ("guard", "left", "right", "vocabulary")

    def __init__(self, source: Source, start: int, end: int, group: str, vocabulary: Vocabulary) -> None:
        reader = ExpressionParser(source, start, end)
        loc = source.location(start, end)
        self.vocabulary = vocabulary
        self.loc = loc
        left = reader.expression()
        if not isinstance(left, Apply):
            raise Diagnostic("the left side of a rule must be an operation", loc)
        reader.expect("->")
        self.left, self.right = left, reader.expression()
        self.guard: Expr | None = reader.expression() if reader.take("if") else None
        if not reader.at_end():
            raise reader.error("expected the end of the rule or 'if'")
        slots = _Slots()
        matchers = [_Left(self, slots, loc).root(form) for form in _orders(left, vocabulary)]
        emit = _Right(self, slots, loc).emitter(self.right)
        guard = compile_guard(self.guard, slots.of, loc) if self.guard is not None else None
        roots = tuple(dict.fromkeys(name for name, _ in matchers))
        count = len(slots.of)

        def apply(op: Op, b: Builder) -> Value | None:
            for name, match in matchers:
                if op.name == name:
                    bindings = [None] * count
                    if match(op, bindings) and (guard is None or guard(bindings) is True):
                        return emit(b, bindings)
            return None

        text = " ".join(source.text[start:end].split())
        needs = frozenset(n for arg in left.args if (n := self._operation(arg)) is not None)
        super().__init__(text, roots, apply, depth=_depth(left), needs=needs, group=group, loc=loc)

    def _operation(self, e: Expr) -> str | None:
        """The one operation that gives what `e` matches, None for a variable or when there are several."""
        if isinstance(e, Number):
            return "core.constant"
        names = {
            resolve(f.fn, self.vocabulary, self.loc)[0]
            for f in _orders(e, self.vocabulary)
            if f.fn is not None
        }
        return names.pop() if len(names) == 1 else None


class _Slots:
    """Numbers the variables of a rule and the parts of its left side."""

    def __init__(self) -> None:
        self.of: dict[Expr, int] = {}

    def number(self, e: Expr) -> int:
        return self.of.setdefault(e, len(self.of))


def is_scalar(e: Expr, vocabulary: Vocabulary) -> bool:
    """Whether an expression of a table is a scalar, by its variables and functions."""
    if not isinstance(e, Apply):
        return isinstance(e, Number) or not e.name[0].isupper()
    found = vocabulary.lookup(e)
    if found is not None and found[0] in vocabulary.scalar:
        return True
    traits = registry[found[0]].traits if found is not None else frozenset()
    if "cellwise" in traits:
        return all(is_scalar(a, vocabulary) for a in e.args)
    attrs = definitions[registry[found[0]]].defaults if found is not None else {}
    return "dir" in attrs and found is not None and found[1].get("dir", "full") == "full"


def _depth(e: Expr) -> int:
    return 1 + max((_depth(a) for a in e.args), default=0) if isinstance(e, Apply) else 0


@dataclass(frozen=True, slots=True)
class _Form:
    """A part of a left side in one of its orders, and what it stands for as written."""

    of: Expr
    fn: Apply | None
    args: tuple[_Form, ...]


def _orders(e: Expr, vocabulary: Vocabulary) -> list[_Form]:
    """Every way the operands of commuting operators may be ordered.

    Cellwise operations broadcast their right operand only, so two matrices do not commute; a scalar does with anything.
    """
    if not isinstance(e, Apply):
        return [_Form(e, None, ())]
    choices: list[tuple[_Form, ...]] = [()]
    for arg in e.args:
        forms = _orders(arg, vocabulary)
        choices = [(*c, f) for c in choices for f in forms]
    made = [_Form(e, e, c) for c in choices]
    if len(e.args) == 2 and e.args[0] != e.args[1] and any(is_scalar(a, vocabulary) for a in e.args):
        swapped = Apply(_MIRRORED.get(e.fn, e.fn), e.args, e.attrs)
        if e.fn in _COMMUTATIVE or e.fn in _MIRRORED:
            made += [_Form(e, swapped, (c[1], c[0])) for c in choices]
    return made


class _Left:
    """Compiles the forms of a left side to matchers."""

    def __init__(self, rule: TableRule, slots: _Slots, loc: Any) -> None:
        self.rule = rule
        self.slots = slots
        self.loc = loc

    def root(self, form: _Form) -> tuple[str, Callable[[Op, Bindings], bool]]:
        name, attrs, args = self.parts(form)
        slot = self.slots.number(form.of)

        def match(op: Op, bindings: Bindings) -> bool:
            operands = op.operands
            if len(operands) != len(args) or op.attrs != attrs:
                return False
            bindings[slot] = op.results[0]
            for arg, value in zip(args, operands, strict=True):  # noqa: SIM110 (a loop is faster than all())
                if not arg(value, bindings):
                    return False
            return True

        return name, match

    def parts(self, form: _Form) -> tuple[str, dict[str, AttrValue], list[Matcher]]:
        assert form.fn is not None
        name, attrs = resolve(form.fn, self.rule.vocabulary, self.loc)
        return name, attrs, [self.matcher(a) for a in form.args]

    def matcher(self, form: _Form) -> Matcher:
        e = form.of
        if isinstance(e, Number):
            return _constant_matcher(e.value)
        slot = self.slots.number(e)
        if isinstance(e, Variable):
            return _matrix_matcher(slot) if e.name[0].isupper() else _scalar_matcher(slot)
        name, attrs, args = self.parts(form)

        def match(value: Value, bindings: Bindings) -> bool:
            op = value.op
            if op is None or op.name != name or len(op.operands) != len(args) or op.attrs != attrs:
                return False
            for arg, operand in zip(args, op.operands, strict=True):
                if not arg(operand, bindings):
                    return False
            if bindings[slot] is not None and bindings[slot] is not value:
                return False
            bindings[slot] = value
            return True

        return match


def _matrix_matcher(slot: int) -> Matcher:
    def match(value: Value, bindings: Bindings) -> bool:
        bound = bindings[slot]
        if bound is not None:
            return bound is value
        bindings[slot] = value
        return isinstance(value.type, Matrix)

    return match


def _scalar_matcher(slot: int) -> Matcher:
    def match(value: Value, bindings: Bindings) -> bool:
        bound = bindings[slot]
        if bound is not None:
            return bound is value or _same_constant(bound, value)
        bindings[slot] = value
        return value.type in NUMBERS

    return match


def _same_constant(a: Value, b: Value) -> bool:
    x, y = a.op, b.op
    if (
        x is None
        or y is None
        or x.name != "core.constant"
        or y.name != "core.constant"
        or a.type is not b.type
    ):
        return False
    return repr(x.attrs["value"]) == repr(y.attrs["value"])


def _constant_matcher(wanted: Any) -> Matcher:
    def match(value: Value, bindings: Bindings) -> bool:
        op = value.op
        if op is None or op.name != "core.constant":
            return False
        found = op.attrs["value"]
        if isinstance(found, (bool, str)) or isinstance(wanted, (bool, str)):
            return type(found) is type(wanted) and found == wanted
        return (found == wanted and str(found)[0] == str(wanted)[0]) or (wanted != wanted and found != found)

    return match


def resolve(e: Apply, vocabulary: Vocabulary, loc: Any) -> tuple[str, dict[str, AttrValue]]:
    """The operation a function of a table names, with its attributes; those at their default are left out."""
    found = vocabulary.lookup(e)
    if found is None:
        known = [
            *vocabulary.short,
            *(n.partition(".")[2] for n in registry if n.startswith(vocabulary.dialect + ".")),
        ]
        raise Diagnostic(f"there is no operation '{e.fn}'", loc, hint=nearest(e.fn, known))
    name, attrs = found
    definition = definitions[registry[name]]
    for attr in attrs:
        if attr not in definition.defaults:
            raise Diagnostic(f"'{name}' has no attribute '{attr}'", loc)
    if len(e.args) != len(definition.operands) and not definition.variadic:
        raise Diagnostic(f"'{name}' takes {len(definition.operands)} operands, not {len(e.args)}", loc)
    return name, {k: v for k, v in attrs.items() if v != definition.defaults[k]}


class _Right:
    """Compiles a right side to a function that builds it. Parts that the left side has are taken from there.

    What is built is located where the part of the left side stands that it replaces, so that errors point to what was written.
    """

    def __init__(self, rule: TableRule, slots: _Slots, loc: Any) -> None:
        self.rule = rule
        self.slots = slots
        self.loc = loc

    def emitter(self, e: Expr) -> Emitter:
        slot = self.slots.of.get(e)
        if slot is not None:
            if e == self.rule.left:
                raise Diagnostic("the right side contains the left side: this rule never ends", self.loc)
            return lambda b, bindings: bindings[slot]
        if isinstance(e, Variable):
            raise Diagnostic(f"'{e.name}' does not occur on the left side", self.loc)
        if isinstance(e, Number):
            value = e.value
            return lambda b, bindings: b(registry["core.constant"], value=value)
        name, attrs = resolve(e, self.rule.vocabulary, self.loc)
        args = [self.emitter(a) for a in e.args]
        cls = registry[name]
        first: tuple[Any, ...] = (name.partition(".")[2],) if len(cls.names) > 1 else ()
        variadic, replaced = definitions[cls].variadic, self._replaced(e, name)

        def emit(b: Builder, bindings: Bindings) -> Value:
            values = [a(b, bindings) for a in args]
            b.loc = bindings[replaced].op.loc
            return b(cls, *first, values, **attrs) if variadic else b(cls, *first, *values, **attrs)

        return emit

    def _replaced(self, e: Apply, name: str) -> int:
        """The slot of the part of the left side that `e` takes the place of: the same operation on what `e` is about, or all."""
        wanted = set(variables(e))
        parts = [p for p in self.slots.of if isinstance(p, Apply)]
        same = [p for p in parts if resolve(p, self.rule.vocabulary, self.loc)[0] == name]
        closest = max(same, key=lambda p: len(wanted.intersection(variables(p))), default=self.rule.left)
        return self.slots.of[closest]
