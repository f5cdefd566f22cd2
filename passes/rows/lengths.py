"""How many columns the values of a row region have.

Inputs fall into classes: what meets in a cellwise operation has one column or the length of the class. The class of the first
input, the matrix that is scanned, is `WIDE`. A side decides the length of its product. Values that are put together from
columns of others (`cbind`, ranges of columns) count as further inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.types import Matrix

WIDE = 0
REDUCTIONS = {
    "sum": "sum", "sumsq": "sum", "prod": "prod", "min_of": "min", "max_of": "max",
    "row_index_min": "place of min", "row_index_max": "place of max",
}  # fmt: skip


def is_product(op: Op) -> bool:
    """Whether the operation is an outer product, to be added up over the rows."""
    return op.name == "dml.matmul" and "l" in str(op.attrs.get("transpose", ""))


def is_matmul(op: Op) -> bool:
    """Whether the operation multiplies the row with a side."""
    return op.name == "dml.matmul" and not is_product(op)


def is_assembly(op: Op) -> bool:
    """Whether the operation puts columns together, or takes some of them."""
    return op.name in ("dml.cbind", "dml.index")


def first_column(op: Op) -> int:
    """The first column, from 0 on, that a range takes."""
    first = constant_int(op.operands[3])
    assert first is not None
    return first - 1


def is_reduction(op: Op) -> bool:
    return op.dialect == "dml" and op.fn in REDUCTIONS


def one_column(value: Value) -> bool:
    return isinstance(value.type, Matrix) and value.type.cols == 1


class Lengths:
    """Which inputs give a value of a row region its columns, and which of them belong together."""

    def __init__(self, body: Region, roles: Sequence[str]) -> None:
        self.sources: dict[Value, frozenset[int]] = {}
        """For each value, the inputs that may give it more than one column; none: it has one."""
        self.inputs = len(roles)
        self.assembled: list[Op] = []
        """Those that count as inputs, behind the others: they have several columns."""
        self._parent = list(range(len(roles)))
        self.side_is_transposed = [False] * len(roles)
        for i, (arg, role) in enumerate(zip(body.args, roles, strict=True)):
            several = role == "row" and (i == 0 or not one_column(arg))
            self.sources[arg] = frozenset({i} if several else ())
        for op in body:
            if op.name != "core.yield":
                self.sources[op.results[0]] = self._of(op)

    def _of(self, op: Op) -> frozenset[int]:
        if op.name == "core.constant" or is_reduction(op) or is_product(op):
            return frozenset()
        if is_matmul(op):
            side = op.operands[1]
            self.side_is_transposed[side.index] = "r" in str(op.attrs.get("transpose", ""))
            return frozenset() if one_column(op.results[0]) else frozenset({side.index})
        if is_assembly(op):
            if one_column(op.results[0]):
                return frozenset()
            self.assembled.append(op)
            self._parent.append(len(self._parent))
            return frozenset({len(self._parent) - 1})
        merged = frozenset[int]().union(*(self.sources[v] for v in op.operands))
        for i in merged:
            self.join(i, min(merged))
        return merged

    def join(self, a: int, b: int) -> None:
        a, b = self._root(a), self._root(b)
        self._parent[max(a, b)] = min(a, b)

    def _root(self, i: int) -> int:
        while self._parent[i] != i:
            i = self._parent[i]
        return i

    def class_of(self, value: Value) -> int | None:
        """The class of a value (its number is that of an input); None: it has one column."""
        found = self.sources[value]
        return self._root(min(found)) if found else None

    def several(self, mask: int) -> int:
        """The mask of inputs with several columns, and with it all that is assembled."""
        return mask & (1 << self.inputs) - 1 | (1 << len(self.assembled)) - 1 << self.inputs

    def class_of_input(self, i: int) -> int:
        return self._root(i)

    def classes(self) -> dict[int, list[int]]:
        """The members of each class whose length anything has."""
        made: dict[int, set[int]] = {}
        for members in self.sources.values():
            for i in members:
                made.setdefault(self._root(i), set()).add(i)
        return {k: sorted(v) for k, v in sorted(made.items())}


def is_usual(lengths: Lengths, mask: int) -> bool:
    """Whether the inputs of each class all have several columns, or none has: no column is repeated along the others."""
    several = lengths.several(mask)
    return all(len({several >> i & 1 for i in members}) == 1 for members in lengths.classes().values())


def mask(inputs: Iterable[int]) -> int:
    return sum(1 << i for i in inputs)
