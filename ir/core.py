"""The core of the IR: values, operations and regions, in static single assignment form.

Control flow is structured: a region is one list of operations with arguments and ends in a terminator. There are no
blocks and no φ. This module knows no dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from sysmlc.ir.source import UNKNOWN, Diagnostic, Location
from sysmlc.ir.types import Type

AttrValue: TypeAlias = "bool | int | float | str | tuple[AttrValue, ...]"


class Value:
    """What an operation computes or a region receives. Knows its definition and every use."""

    __slots__ = ("index", "name", "op", "owner", "type", "uses")

    def __init__(self, type: Type, owner: Op | Region, index: int, name: str = "") -> None:
        self.type = type
        self.owner = owner
        self.op: Op | None = owner if isinstance(owner, Op) else None
        """The operation that defines this value, None for a region argument."""
        self.index = index
        self.name = name
        self.uses: dict[tuple[Op, int], None] = {}

    @property
    def region(self) -> Region | None:
        """The region this value is defined in."""
        return self.owner if isinstance(self.owner, Region) else self.owner.parent

    def users(self) -> list[Op]:
        """The operations that use this value, each once, in order of first use."""
        return list(dict.fromkeys([op for op, _ in self.uses]))

    def has_one_use(self) -> bool:
        return len(self.uses) == 1

    def replace_by(self, other: Value) -> None:
        """Make every use of this value use `other`."""
        if other is self:
            return
        for op, i in list(self.uses):
            op.operands[i] = other
            other.uses[op, i] = None
        self.uses.clear()
        if self.name and not other.name:
            other.name = self.name

    def __repr__(self) -> str:
        return f"<{self.name or '%'}: {self.type}>"


class Region:
    """A list of operations with arguments, owned by an operation."""

    __slots__ = ("args", "first", "last", "parent")

    def __init__(self, arg_types: Sequence[Type] = (), arg_names: Sequence[str] = ()) -> None:
        self.args: list[Value] = []
        self.first: Op | None = None
        self.last: Op | None = None
        self.parent: Op | None = None
        for i, type in enumerate(arg_types):
            self.args.append(Value(type, self, i, arg_names[i] if i < len(arg_names) else ""))

    def add_arg(self, type: Type, name: str = "") -> Value:
        arg = Value(type, self, len(self.args), name)
        self.args.append(arg)
        return arg

    def erase_arg(self, index: int) -> None:
        """Remove an argument that has no uses."""
        assert not self.args[index].uses, "erasing a region argument that is still used"
        del self.args[index]
        for i, arg in enumerate(self.args):
            arg.index = i

    def __iter__(self) -> Iterator[Op]:
        op = self.first
        while op is not None:
            following = op.next
            yield op
            op = following

    def reversed(self) -> Iterator[Op]:
        op = self.last
        while op is not None:
            before = op.prev
            yield op
            op = before

    def append(self, op: Op) -> Op:
        return self._link(op, self.last, None)

    def insert_before(self, anchor: Op, op: Op) -> Op:
        assert anchor.parent is self
        return self._link(op, anchor.prev, anchor)

    def insert_after(self, anchor: Op, op: Op) -> Op:
        assert anchor.parent is self
        return self._link(op, anchor, anchor.next)

    def _link(self, op: Op, before: Op | None, after: Op | None) -> Op:
        assert op.parent is None, "the operation already is in a region"
        op.parent, op.prev, op.next = self, before, after
        if before is None:
            self.first = op
        else:
            before.next = op
        if after is None:
            self.last = op
        else:
            after.prev = op
        return op

    @property
    def terminator(self) -> Op:
        assert self.last is not None, "empty region"
        return self.last

    def walk(self) -> Iterator[Op]:
        """Every operation in this region and below, parents first."""
        for op in self:
            yield op
            for region in op.regions:
                yield from region.walk()


class Op:
    """An operation: operands, results, attributes, regions, and the place in the source it came from.

    Subclasses declare their fields with annotations (see `sysmlc.ir.define`) and are made with `new`.
    """

    __slots__ = ("attrs", "loc", "name", "next", "operands", "parent", "prev", "regions", "results")

    dialect: ClassVar[str] = ""
    names: ClassVar[tuple[str, ...]] = ()
    traits: ClassVar[frozenset[str]] = frozenset()
    consumes: ClassVar[tuple[int, ...]] = ()

    def __init__(
        self,
        name: str,
        operands: Sequence[Value],
        result_types: Sequence[Type],
        attrs: Mapping[str, AttrValue] | None = None,
        regions: Sequence[Region] = (),
        loc: Location = UNKNOWN,
    ) -> None:
        self.name = name
        self.operands: list[Value] = list(operands)
        self.attrs: dict[str, AttrValue] = dict(attrs) if attrs else {}
        self.regions: list[Region] = list(regions)
        self.loc = loc
        self.parent: Region | None = None
        self.prev: Op | None = None
        self.next: Op | None = None
        for i, value in enumerate(self.operands):
            value.uses[self, i] = None
        for region in self.regions:
            assert region.parent is None, "the region already belongs to an operation"
            region.parent = self
        self.results: list[Value] = [Value(type, self, i) for i, type in enumerate(result_types)]

    @classmethod
    def new(cls, *args: Any, **kwargs: Any) -> Op:
        """Make an operation from its fields in order; attributes by keyword. Generated by `define`."""
        raise AssertionError(f"{cls.__name__} is not a defined operation")

    # -- structure ---------------------------------------------------------------------------------------------

    @property
    def fn(self) -> str:
        """The name without its dialect: `add` for `dml.add`."""
        return self.name.partition(".")[2]

    @property
    def result(self) -> Value:
        """The only result."""
        assert len(self.results) == 1, f"{self.name} has {len(self.results)} results"
        return self.results[0]

    @property
    def parent_op(self) -> Op | None:
        return None if self.parent is None else self.parent.parent

    def set_operand(self, index: int, value: Value) -> None:
        del self.operands[index].uses[self, index]
        self.operands[index] = value
        value.uses[self, index] = None

    def set_operands(self, values: Sequence[Value]) -> None:
        """Replace the whole operand list."""
        for i, old in enumerate(self.operands):
            del old.uses[self, i]
        self.operands = list(values)
        for i, value in enumerate(self.operands):
            value.uses[self, i] = None

    def detach(self) -> Op:
        """Take the operation out of its region; its uses stay."""
        region = self.parent
        assert region is not None
        if self.prev is None:
            region.first = self.next
        else:
            self.prev.next = self.next
        if self.next is None:
            region.last = self.prev
        else:
            self.next.prev = self.prev
        self.parent = self.prev = self.next = None
        return self

    def erase(self) -> None:
        """Remove the operation and everything in it. Its results must be unused."""
        assert all(not r.uses for r in self.results), f"erasing {self.name}, whose results are still used"
        self.drop_uses()
        if self.parent is not None:
            self.detach()

    def drop_uses(self) -> None:
        """Forget the operands of this operation and of everything in it (before it is thrown away)."""
        for i, value in enumerate(self.operands):
            value.uses.pop((self, i), None)
        self.operands = []
        for region in self.regions:
            for op in region:
                op.drop_uses()

    def replace_by(self, values: Sequence[Value]) -> None:
        """Make all users of the results use `values`, then erase the operation."""
        assert len(values) == len(self.results)
        for old, new in zip(self.results, values, strict=True):
            old.replace_by(new)
        self.erase()

    def walk(self) -> Iterator[Op]:
        """This operation and every one inside it, parents first."""
        yield self
        for region in self.regions:
            yield from region.walk()

    def is_inside(self, other: Op) -> bool:
        """Whether `other` is this operation or one of its ancestors."""
        op: Op | None = self
        while op is not None and op is not other:
            op = op.parent_op
        return op is other

    # -- meaning: overridden by operation classes ---------------------------------------------------------------

    def infer(self) -> Sequence[Type]:
        """Result types from operands and attributes. Raises Diagnostic when operands do not fit."""
        raise AssertionError(f"{self.name} has no inference; give its result types")

    def check(self) -> None:
        """Verify what the structure does not show. Raises Diagnostic."""

    def fold(self) -> Sequence[Value | bool | int | float | str] | None:
        """What each result is known to be: an existing value or a constant. None when that is not known."""
        return None

    def flow(self) -> Iterable[tuple[Value, Value]]:
        """Which values become which region arguments and results of this operation: what dataflow follows."""
        return ()

    def error(self, message: str, hint: str | None = None) -> Diagnostic:
        """A diagnostic at this operation, in the form `'op' message`."""
        return Diagnostic(f"'{self.name}' {message}", self.loc, hint=hint)

    def __repr__(self) -> str:
        return f"<{self.name} at {self.loc}>"


def clone_region(region: Region, mapping: dict[Value, Value]) -> Region:
    """A deep copy of `region`; values defined outside are mapped through `mapping` or kept."""
    made = Region()
    for arg in region.args:
        mapping[arg] = made.add_arg(arg.type, arg.name)
    for op in region:
        made.append(clone(op, mapping))
    return made


def clone(op: Op, mapping: dict[Value, Value]) -> Op:
    """A deep copy of `op` with operands mapped; `mapping` learns the results."""
    regions = [clone_region(r, mapping) for r in op.regions]
    made = type(op)(
        op.name,
        [mapping.get(v, v) for v in op.operands],
        [r.type for r in op.results],
        op.attrs,
        regions,
        op.loc,
    )
    for old, new in zip(op.results, made.results, strict=True):
        new.name = old.name
        mapping[old] = new
    return made


class Builder:
    """Inserts operations at a place: at the end of a region, or before an operation. Carries the location."""

    __slots__ = ("anchor", "loc", "region")

    def __init__(self, region: Region, anchor: Op | None = None, loc: Location = UNKNOWN) -> None:
        self.region = region
        self.anchor = anchor
        self.loc = loc

    @classmethod
    def before(cls, op: Op) -> Builder:
        """A builder that inserts before `op`, with its location."""
        assert op.parent is not None
        return cls(op.parent, op, op.loc)

    @classmethod
    def after(cls, op: Op) -> Builder:
        """A builder that inserts right after `op`, with its location."""
        assert op.parent is not None
        return cls(op.parent, op.next, op.loc)

    def insert(self, op: Op) -> Op:
        if self.anchor is None:
            return self.region.append(op)
        return self.region.insert_before(self.anchor, op)

    def __call__(self, cls: Callable[..., Op], *args: Any, **kwargs: Any) -> Value:
        """Insert `cls.new(*args)` and give its only result: `b(MatMul, x, y)`, `b(Binary, "add", x, y)`."""
        return self.op(cls, *args, **kwargs).result

    def op(self, cls: Any, *args: Any, **kwargs: Any) -> Op:
        """Insert `cls.new(*args)` and give the operation."""
        kwargs.setdefault("loc", self.loc)
        made = cls.new(*args, **kwargs)
        assert isinstance(made, Op)
        return self.insert(made)


def walk_regions(ops: Iterable[Op]) -> Iterator[Region]:
    """Every region at or below the given operations."""
    for op in ops:
        for region in op.regions:
            yield region
            yield from walk_regions(region)
