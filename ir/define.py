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
`cellwise` (acts cell by cell), `random`, `commutative`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from sysmlc.ir.core import AttrValue, Op, Region, Value
from sysmlc.ir.source import UNKNOWN, Location
from sysmlc.ir.types import Type

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

    @property
    def required(self) -> bool:
        return self.default is _MISSING


@dataclass(frozen=True)
class Definition:
    """What the class declares; used by constructor, parser, verifier and the documentation."""

    cls: type[Op]
    operands: tuple[OperandField, ...]
    attrs: tuple[AttrField, ...]
    regions: tuple[str, ...]

    @property
    def variadic(self) -> bool:
        return any(f.variadic for f in self.operands)


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
        setattr(cls, "new", classmethod(_family_constructor(definition) if names else _constructor(definition)))  # noqa: B010
        return cls

    return decorate


def _read_fields(cls: type[Op]) -> Definition:
    hints = typing.get_type_hints(cls)
    own = [n for c in reversed(cls.__mro__) if issubclass(c, Op) and c is not Op for n in inspect.get_annotations(c)]
    operands: list[OperandField] = []
    attrs: list[AttrField] = []
    regions: list[str] = []
    for field in own:
        hint = hints[field]
        origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if origin in (Operand, Operands):
            operands.append(OperandField(field, origin is Operands, _alternatives(args)))
        elif origin is Attr:
            default = cls.__dict__.get(field, _MISSING)
            attrs.append(AttrField(field, _alternatives(args), default))
            setattr(cls, field, Attr(field, None if default is _MISSING else default))
        elif origin is Body:
            setattr(cls, field, Body(len(regions)))
            regions.append(field)
    assert sum(f.variadic for f in operands) <= 1, f"{cls.__name__} has several variadic operand fields"
    for i, spec in enumerate(operands):
        if spec.variadic:
            setattr(cls, spec.name, Operands(i, len(operands) - 1 - i))
        else:
            seen_variadic = any(f.variadic for f in operands[:i])
            setattr(cls, spec.name, Operand(i - len(operands) if seen_variadic else i))
    return Definition(cls, tuple(operands), tuple(attrs), tuple(regions))


def _alternatives(args: tuple[Any, ...]) -> tuple[Any, ...]:
    if not args or args[0] is Any:
        return ()
    parts = typing.get_args(args[0])
    plain = parts if parts and typing.get_origin(args[0]) is not tuple else (args[0],)
    return tuple(typing.get_origin(p) or p for p in plain)


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
    operands: list[Value] = []
    assert len(args) == len(d.operands), f"{name} takes {[f.name for f in d.operands]}"
    for field, arg in zip(d.operands, args, strict=True):
        if field.variadic:
            operands.extend(arg)
        else:
            operands.append(arg)
    known = {a.name: a for a in d.attrs}
    for attr in attrs:
        assert attr in known, f"{name} has no attribute {attr}"
    op = cls(name, operands, (), {k: v for k, v in attrs.items() if v != known[k].default}, regions, loc)
    try:
        inferred = op.infer() if types is None else types
    except BaseException:
        op.drop_uses()
        raise
    op.results = [Value(t, op, i) for i, t in enumerate(inferred)]
    return op
