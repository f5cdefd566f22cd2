"""List values and their operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.codegen.reference.text import list_text
from sysmlc.ir.core import Op


@dataclass(frozen=True)
class ListValue:
    """A DML list: entries, and a name for each or none at all."""

    items: tuple[Any, ...]
    names: tuple[str, ...] = ()

    def position(self, op: Op, index: int) -> int:
        if not 1 <= index <= len(self.items):
            raise fail(op, f"list index {index} is out of range: the list has {len(self.items)} entries")
        return index - 1

    def named(self, op: Op, key: str) -> int:
        if key not in self.names:
            raise fail(op, f"the list has no entry named '{key}'")
        return self.names.index(key)

    def only(self, op: Op) -> Any:
        if len(self.items) != 1:
            raise fail(op, f"needs a list of one entry, got {len(self.items)}")
        return self.items[0]

    def replaced(self, at: int, value: Any) -> ListValue:
        return ListValue((*self.items[:at], value, *self.items[at + 1 :]), self.names)

    def part(self, start: int, stop: int) -> ListValue:
        return ListValue(self.items[start:stop], self.names[start:stop])


@evaluates("list_new")
def list_new(op: Op, *values: Any) -> ListValue:
    names = op.attrs.get("names_", ())
    assert isinstance(names, tuple)
    return ListValue(values, tuple(str(n) for n in names))


@evaluates("list_length")
def list_length(op: Op, value: ListValue) -> int:
    return len(value.items)


@evaluates("list_range")
def list_range(op: Op, value: ListValue, start: int, stop: int) -> ListValue:
    first, last = value.position(op, start), value.position(op, stop)
    return value.part(first, last + 1)


@evaluates("list_named")
def list_named(op: Op, value: ListValue, key: str) -> ListValue:
    at = value.named(op, key)
    return value.part(at, at + 1)


@evaluates("list_find")
def list_find(op: Op, value: ListValue, key: str, position: int) -> int:
    if value.names:
        return value.names.index(key) + 1 if key in value.names else 0
    return position if position <= len(value.items) else 0


@evaluates("no_function")
def no_function(op: Op, called: str) -> None:
    raise fail(op, f"there is no function '{called}' that could be called here")


@evaluates("list_matrix")
def list_matrix(op: Op, value: ListValue) -> Any:
    item = value.only(op)
    if isinstance(item, np.ndarray):
        return item
    if isinstance(item, (ListValue, str)):
        raise fail(op, "the list entry is not a matrix or a number")
    return np.full((1, 1), float(item))


@evaluates("list_scalar")
def list_scalar(op: Op, value: ListValue) -> Any:
    item = value.only(op)
    if isinstance(item, np.ndarray) and item.shape == (1, 1):
        return float(item[0, 0])
    if isinstance(item, (np.ndarray, ListValue)):
        raise fail(op, "the list entry is not a scalar")
    return item


@evaluates("list_list")
def list_list(op: Op, value: ListValue) -> ListValue:
    item = value.only(op)
    if not isinstance(item, ListValue):
        raise fail(op, "the list entry is not a list")
    return item


@evaluates("list_append")
def list_append(op: Op, value: ListValue, more: ListValue) -> ListValue:
    names = value.names + more.names if value.names or not value.items else ()
    return ListValue(
        value.items + more.items, names if len(names) == len(value.items) + len(more.items) else ()
    )


@evaluates("list_set")
def list_set(op: Op, value: ListValue, index: int, item: ListValue) -> ListValue:
    return value.replaced(value.position(op, index), item.only(op))


@evaluates("list_set_named")
def list_set_named(op: Op, value: ListValue, key: str, item: ListValue) -> ListValue:
    return value.replaced(value.named(op, key), item.only(op))


@evaluates("list_remove")
def list_remove(op: Op, value: ListValue, index: int) -> tuple[ListValue, ListValue]:
    at = value.position(op, index)
    names = value.names[:at] + value.names[at + 1 :]
    return ListValue(value.items[:at] + value.items[at + 1 :], names), value.part(at, at + 1)


@evaluates("list_to_string")
def list_to_string(op: Op, value: ListValue) -> str:
    return list_text(value.items)
