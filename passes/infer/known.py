"""What is known of single values while a program is walked: types with names for unknown sizes, and constants."""

from __future__ import annotations

from collections.abc import Iterable

from sysmlc.ir.core import Op, Value, clone
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.shapes import assumed, assumed_sizes, constant
from sysmlc.ir.types import Dim, Matrix, Type, join, matrix

Fact = tuple[Type, object]
"""What is known of a value: its type and, for scalars, its constant."""


class Known:
    """The facts of all values of a module."""

    def __init__(self, module: Module, kept: Iterable[Value]) -> None:
        """`kept` are values from outside: the names of their sizes are facts."""
        self.base: dict[Value, Matrix] = {}
        self.names: dict[tuple[Value, str], str] = {}
        self.constants: dict[Value, object] = {}
        self.sizes: list[Value] = []
        self.taken: set[str] = set()
        self.owners: dict[str, Value] = {}
        self.next = {"r": 0, "c": 0, "n": 0}
        self._reset(module, set(kept))

    def _reset(self, module: Module, kept: set[Value]) -> None:
        """Forget names given by an earlier analysis; those of inputs and of `kept` are facts."""
        for op in list(module.walk()):
            if op.name == "dml.undefined":
                _one_for_each_use(op)
        for op in module.walk():
            for values in (op.results, *(r.args for r in op.regions)):
                for value in values:
                    type = value.type
                    if not isinstance(type, Matrix):
                        continue
                    named = [d for d in (type.rows, type.cols) if isinstance(d, str)]
                    if named and (value in kept or op.name == "dml.input"):
                        self.taken.update(named)
                    elif named:
                        value.type = type = matrix(
                            _number(type.rows), _number(type.cols), type.elem, type.nnz, type.format
                        )
                    self.base[value] = type

    def fact(self, value: Value) -> Fact:
        return value.type, constant(value)

    def set(self, value: Value, fact: Fact) -> None:
        value.type = fact[0]
        self.assume(value, fact[1])

    def assume(self, value: Value, known: object) -> None:
        if known is None or (value.op is not None and value.op.name == "core.constant"):
            if value in self.constants:
                del self.constants[value], assumed[value]
        else:
            assert isinstance(known, (bool, int, float, str))
            self.constants[value] = assumed[value] = known

    def fresh(self, value: Value, side: str) -> str:
        """The name of a size of `value` (`side` r, c), or of an i64 value as a size (n)."""
        found = self.names.get((value, side))
        if found is None:
            while found is None or found in self.taken:
                found = f"{side}{self.next[side]}"
                self.next[side] += 1
            self.names[value, side] = found
            self.owners[found] = value
        return found

    def named(self, value: Value, type: Type) -> Type:
        """`type` with names for the sizes that are not known."""
        if not isinstance(type, Matrix) or (type.rows is not None and type.cols is not None):
            return type
        rows = self.fresh(value, "r") if type.rows is None else type.rows
        cols = self.fresh(value, "c") if type.cols is None else type.cols
        return matrix(rows, cols, type.elem, type.nnz, type.format)

    def merged(self, a: Fact, b: Fact) -> Fact:
        """What is known of a value that is either of two."""
        type = join(a[0], b[0])
        return (a[0] if type is None else type), (a[1] if same(a[1], b[1]) else None)

    def forget(self) -> None:
        """Leave nothing assumed behind."""
        for value in self.constants:
            assumed.pop(value, None)
        for value in self.sizes:
            assumed_sizes.pop(value, None)


def _one_for_each_use(op: Op) -> None:
    """Give each use its own undefined value, so that it can have the type it needs."""
    for user, i in list(op.results[0].uses)[1:]:
        made = clone(op, {})
        assert op.parent is not None
        op.parent.insert_after(op, made)
        user.set_operand(i, made.results[0])


def _number(dim: Dim) -> Dim:
    return dim if isinstance(dim, int) else None


def same(a: object, b: object) -> bool:
    """Whether two constants are the same, to the last bit and in type."""
    return type(a) is type(b) and repr(a) == repr(b)
