"""Definitions of operations: a class with annotated fields becomes constructor, accessors and structural checks.

    @define("dml.matmul", traits={"pure"})
    class MatMul(Op):
        '''Matrix product `lhs %*% rhs`.'''
        lhs: Operand[Matrix]
        rhs: Operand[Matrix]
        def infer(self) -> ...

Fields: `Operand[T]`, `Operands[T]` (any number, at most one such field), `Attr[T]` (with a default: optional),
`Body` (a region), `Bodies`. Results are what `infer` says, or the `types=` given to `new`.
A family of operations gives several names: `@define("dml", names=("exp", "log"))`, made with `Unary.new("exp", x)`.

Traits: `pure` (no effect, may be removed, moved and merged), `terminator`, `isolated` (regions see no outside values),
`symbols` (its region is a list of named operations, without terminator), `call` (calls the symbol `callee`),
`cellwise` (acts cell by cell), `random`, `f32` (takes and gives matrices of f32 as well as of f64; others are called between
conversions, see `set-precision`).
"""

from __future__ import annotations

import builtins
import inspect
import re
import sys
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, overload

from sysmlc.ir.core import AttrValue, Op, Region, Value
from sysmlc.ir.source import UNKNOWN, Location
from sysmlc.ir.types import Type

PURE: Final = frozenset({"pure"})
NATIVE: Final = frozenset({"pure", "f32"})
"""The traits of most operations: of those that only know f64, and of those that take matrices of f32 as they are."""

T = TypeVar("T")
OpClass = TypeVar("OpClass", bound=type[Op])

_MISSING: Any = object()


class Operand(Generic[T]):
    """A field holding one operand."""

    def __init__(self, index: int) -> None:
        self.index = index

    @overload
    def __get__(self, op: None, owner: type) -> Operand[T]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> Value: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        return self if op is None else op.operands[self.index]

    def __set__(self, op: Op, value: Value) -> None:
        op.set_operand(self.index, value)


class Operands(Generic[T]):
    """A field holding any number of operands; `after` operands follow it."""

    def __init__(self, index: int, after: int) -> None:
        self.index = index
        self.after = after

    @overload
    def __get__(self, op: None, owner: type) -> Operands[T]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> list[Value]: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        return self if op is None else op.operands[self.index : len(op.operands) - self.after]


class Attr(Generic[T]):
    """A field holding an attribute; with a default it may be left out."""

    def __init__(self, name: str, default: Any) -> None:
        self.name = name
        self.default = default

    @overload
    def __get__(self, op: None, owner: type) -> Attr[T]: ...
    @overload
    def __get__(self, op: Op, owner: type) -> T: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        return self if op is None else op.attrs.get(self.name, self.default)

    def __set__(self, op: Op, value: T) -> None:
        op.attrs[self.name] = typing.cast(AttrValue, value)


class Body:
    """A field holding a region."""

    def __init__(self, index: int) -> None:
        self.index = index

    @overload
    def __get__(self, op: None, owner: type) -> Body: ...
    @overload
    def __get__(self, op: Op, owner: type) -> Region: ...
    def __get__(self, op: Op | None, owner: type) -> Any:
        return self if op is None else op.regions[self.index]


@dataclass(frozen=True)
class OperandField:
    name: str
    variadic: bool
    types: tuple[Any, ...]
    """Type classes or type instances that are allowed; empty: any."""


@dataclass(frozen=True)
class AttrField:
    name: str
    types: tuple[type, ...]
    default: Any
    """`MISSING` when the attribute must be given."""
    element: type | None = None
    """The type of a tuple's elements; None: any."""

    @property
    def required(self) -> bool:
        return self.default is _MISSING


class Definition:
    """What the class declares; used by constructor, parser, verifier and the documentation."""

    __slots__ = ("attrs", "cls", "defaults", "operands", "regions", "variadic")

    def __init__(
        self,
        cls: type[Op],
        operands: tuple[OperandField, ...],
        attrs: tuple[AttrField, ...],
        regions: tuple[str, ...],
    ) -> None:
        self.cls = cls
        self.operands = operands
        self.attrs = attrs
        self.regions = regions
        self.variadic = any(f.variadic for f in operands)
        self.defaults = {a.name: a.default for a in attrs}


registry: dict[str, type[Op]] = {}
"""Every operation by its full name."""
definitions: dict[type[Op], Definition] = {}


def define(
    name: str, *, names: Collection[str] = (), traits: Collection[str] = (), consumes: tuple[int, ...] = ()
) -> Callable[[OpClass], OpClass]:
    """Class decorator: register an operation (or, with `names`, a family in dialect `name`)."""

    def decorate(cls: OpClass) -> OpClass:
        full = tuple(f"{name}.{n}" for n in names) if names else (name,)
        cls.names = full
        cls.dialect = full[0].partition(".")[0]
        cls.traits = frozenset(traits)
        cls.consumes = consumes
        definition = _read_fields(cls)
        definitions[cls] = definition
        for one in full:
            assert one not in registry, f"operation {one} is defined twice"
            registry[one] = cls
        # Not an assignment: to the type checker `new` is a method that classes do not replace.
        type.__setattr__(
            cls, "new", classmethod(_family_constructor(definition) if names else _constructor(definition))
        )
        return cls

    return decorate


def _read_fields(cls: type[Op]) -> Definition:
    inherited = next((definitions[c] for c in cls.__mro__[1:] if c in definitions), None)
    operands = list(inherited.operands) if inherited else []
    attrs = list(inherited.attrs) if inherited else []
    regions = list(inherited.regions) if inherited else []
    scope = vars(sys.modules[cls.__module__])
    for field, hint in inspect.get_annotations(cls).items():
        kind, _, rest = hint.partition("[")
        types = _alternatives(rest[:-1], scope) if rest else ()
        if kind in ("Operand", "Operands"):
            operands.append(OperandField(field, kind == "Operands", types))
        elif kind == "Attr":
            default = cls.__dict__.get(field, _MISSING)
            element = re.search(r"tuple\[(\w+)", rest)
            elements = _alternatives(element[1], scope) if element else ()
            attrs.append(AttrField(field, types, default, elements[0] if elements else None))
            setattr(cls, field, Attr(field, None if default is _MISSING else default))
        elif kind == "Body":
            setattr(cls, field, Body(len(regions)))
            regions.append(field)
    variadic = [i for i, f in enumerate(operands) if f.variadic]
    assert len(variadic) <= 1, f"{cls.__name__} has several variadic operand fields"
    for i, spec in enumerate(operands):
        if spec.variadic:
            setattr(cls, spec.name, Operands(i, len(operands) - 1 - i))
        else:
            setattr(cls, spec.name, Operand(i - len(operands) if variadic and i > variadic[0] else i))
    return Definition(cls, tuple(operands), tuple(attrs), tuple(regions))


def _alternatives(text: str, scope: Mapping[str, Any]) -> tuple[Any, ...]:
    """What `bool | int`, `Matrix`, `tuple[str, ...]` or `Any` allow. Read from the text of the annotation, because
    evaluating annotations would be most of the time it takes to import the dialects."""
    if text == "Any":
        return ()
    names = [part.partition("[")[0].strip() for part in text.split("|")]
    return tuple(scope[n] if n in scope else getattr(builtins, n) for n in names)


def _constructor(d: Definition) -> Callable[..., Op]:
    def new(cls: type[Op], *args: Any, **kwargs: Any) -> Op:
        return _make(d, cls, cls.names[0], args, **kwargs)

    return new


def _family_constructor(d: Definition) -> Callable[..., Op]:
    def new(cls: type[Op], fn: str, *args: Any, **kwargs: Any) -> Op:
        name = f"{cls.dialect}.{fn}"
        assert name in cls.names, f"{fn} is not one of {cls.names}"
        return _make(d, cls, name, args, **kwargs)

    return new


def _make(
    d: Definition,
    cls: type[Op],
    name: str,
    args: tuple[Any, ...],
    *,
    types: Sequence[Type] | None = None,
    loc: Location = UNKNOWN,
    regions: Sequence[Region] = (),
    **attrs: AttrValue,
) -> Op:
    assert len(args) == len(d.operands), f"{name} takes {[f.name for f in d.operands]}"
    operands: Sequence[Value] = args
    if d.variadic:
        operands = []
        for field, arg in zip(d.operands, args, strict=True):
            operands.extend(arg if field.variadic else (arg,))
    given: dict[str, AttrValue] = {}
    for attr, value in attrs.items():
        assert attr in d.defaults, f"{name} has no attribute {attr}"
        if value != d.defaults[attr]:
            given[attr] = value
    op = cls(name, operands, (), given, regions, loc)
    try:
        inferred = op.infer() if types is None else types
    except BaseException:
        op.drop_uses()
        raise
    op.results = [Value(t, op, i) for i, t in enumerate(inferred)]
    return op
