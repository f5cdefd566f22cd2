"""The order of the operations of a region, and what may not join a group because it comes after it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sysmlc.ir.core import Op, Region, Value
from sysmlc.passes.effects import must_follow
from sysmlc.passes.sparsity import Expectations

if TYPE_CHECKING:
    from sysmlc.passes.rows.grow import RowGroup


class Order:
    """Where the operations of a region stand, and what some of them follow whose results they do not need, and what
    is expected of values."""

    def __init__(self, region: Region, expected: Expectations) -> None:
        self.region, self.expected = region, expected
        self.ops = list(region)
        self.places = {op: i for i, op in enumerate(self.ops)}
        self.follows = must_follow(region)

    def holder(self, op: Op | None) -> Op | None:
        """The operation of the region that is or holds this one, None when it stands outside."""
        while op is not None and op.parent is not self.region:
            op = op.parent_op
        return op

    def users(self, value: Value) -> Iterator[int]:
        """Places of the operations that read a value, or hold one that does."""
        for user in value.users():
            op = self.holder(user)
            if op is not None:
                yield self.places[op]


class Tainted:
    """The values that need what a group makes to be finished: nothing that reads them can join it.

    They are looked for backwards, from the operands of what could join, so that the cost is that of the group's
    neighbourhood and not of all that depends on it. Operations are asked about in order: what comes before is decided.
    """

    def __init__(self, group: RowGroup, order: Order) -> None:
        self.group, self.order = group, order
        made = order.holder(group.main.op)
        self.start = -1 if made is None else order.places[made]
        self.known: dict[Op, bool] = {}

    def __contains__(self, value: Value) -> bool:
        op = self.order.holder(value.op)
        return op is not None and value not in self.group.kind and self._of(op)

    def follows(self, op: Op) -> bool:
        """Whether an operation has to stay behind one that needs the group to be finished."""
        return any(map(self._of, self.order.follows.get(op, ())))

    def _of(self, op: Op) -> bool:
        waiting = [op]
        while waiting:
            last = waiting[-1]
            if last not in self.known:
                found = self._decided(last)
                if isinstance(found, bool):
                    self.known[last] = found
                else:
                    waiting += found
                    continue
            waiting.pop()
        return self.known[op]

    def _decided(self, op: Op) -> bool | list[Op]:
        """Whether the results of an operation are tainted, or the operations to ask about before."""
        if self.order.places[op] <= self.start:
            return False
        if op in self.group.members:
            return True
        sources = [source for v in _reads(op) if (source := self.order.holder(v.op)) not in (None, op)]
        sources += self.order.follows.get(op, ())
        if any(source in self.group.members or self.known.get(source) for source in sources):
            return True
        return [source for source in sources if source not in self.known] or False


def _reads(op: Op) -> Iterable[Value]:
    yield from op.operands
    for region in op.regions:
        for inner in region.walk():
            yield from inner.operands
