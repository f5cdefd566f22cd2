"""The kernel dialect: loops over memory with vectors, executed operation by operation.

An address is an array and a position in it; whoever reads or writes beyond the array is found out. Vectors are arrays of
their lanes. What `dml` operations compute on numbers and lanes is in `cells.py`, as for matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sysmlc.codegen.reference.table import element, evaluates, executes, fail
from sysmlc.ir.core import Op, Value
from sysmlc.ir.types import Type, Vector, f64, i32, simple_type

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator

ALIGNMENT = 16
"""Where memory begins, modulo a cache line: not where vectors would like it."""


@dataclass(frozen=True)
class Address:
    """The element `at` of an array, or one beyond it that is never touched."""

    memory: Any
    at: int = 0


@dataclass
class Arguments:
    """The argument block of a kernel: its members, arrays and numbers, by name and index."""

    members: dict[tuple[str, int], Any] = field(default_factory=dict)

    def set(self, member: str, index: int, value: Any) -> None:
        self.members[member, index] = value if isinstance(value, int) else Address(value)


def _check(op: Op, address: Address, type: Type, first: int, last: int) -> None:
    """Whether the elements `first` to `last` behind an address are in memory that holds this type."""
    if address.memory.dtype != element(type):
        raise fail(op, f"{type} is not what the memory holds, which is {address.memory.dtype}")
    for at in (address.at + first, address.at + last):
        if not 0 <= at < len(address.memory):
            raise fail(op, f"element {at} of {len(address.memory)} is accessed")


def _row(op: Op, address: Address, type: Type) -> slice:
    """The elements of a scalar or vector at an address."""
    lanes = type.lanes if isinstance(type, Vector) else 1
    _check(op, address, type, 0, lanes - 1)
    return slice(address.at, address.at + lanes)


def _scattered(op: Op, address: Address, type: Type, indices: Any) -> Any:
    """The elements with these indices behind an address."""
    if len(indices):
        _check(op, address, type, int(indices.min()), int(indices.max()))
    return address.at + indices


def _number(type: Type, value: Any) -> Any:
    """What was one element as a number, a vector as it is."""
    return value if isinstance(type, Vector) else value[0].item()


@evaluates("kernel.field")
def get_field(op: Op, args: Arguments) -> Any:
    member, index = str(op.attrs["member"]), op.attrs.get("index", 0)
    assert isinstance(index, int)
    if (member, index) not in args.members:
        raise fail(op, f"the launch has no {member} {index}")
    return args.members[member, index]


@evaluates("kernel.offset")
def offset(op: Op, base: Address, index: int) -> Address:
    elem = simple_type(str(op.attrs.get("elem", "f64"))) or f64
    if base.memory.dtype != element(elem):
        raise fail(op, f"counts {elem} in memory of {base.memory.dtype}")
    return Address(base.memory, base.at + index)


@evaluates("kernel.misaligned")
def misaligned(op: Op, base: Address) -> int:
    to = op.attrs["to"]
    assert isinstance(to, int)
    return int(ALIGNMENT + base.at * base.memory.itemsize) % to


@evaluates("kernel.load")
def load(op: Op, address: Address) -> Any:
    type = op.result.type
    stored = i32 if op.attrs.get("width") == "i32" else type
    return _number(type, address.memory[_row(op, address, stored)].copy())


@evaluates("kernel.load_masked")
def load_masked(op: Op, address: Address, mask: Any) -> Any:
    return _gathered(op, address, np.arange(len(mask)), mask)


@evaluates("kernel.gather")
def gather(op: Op, base: Address, indices: Any, mask: Any) -> Any:
    return _gathered(op, base, indices.astype(np.int64), mask)


def _gathered(op: Op, base: Address, indices: Any, mask: Any) -> Any:
    made = np.zeros(len(mask), element(op.result.type))
    made[mask] = base.memory[_scattered(op, base, op.result.type, indices[mask])]
    return made


@evaluates("kernel.store")
def store(op: Op, value: Any, address: Address) -> None:
    at = _row(op, address, op.operands[0].type)
    size = address.memory.itemsize
    if op.attrs.get("streaming") and (ALIGNMENT + at.start * size) % ((at.stop - at.start) * size):
        raise fail(op, "a streaming store to an address that is not aligned")
    address.memory[at] = value


@evaluates("kernel.store_masked")
def store_masked(op: Op, value: Any, address: Address, mask: Any) -> None:
    at = _scattered(op, address, op.operands[0].type, np.flatnonzero(mask))
    address.memory[at] = value[mask]


@evaluates("kernel.scatter")
def scatter(op: Op, value: Any, base: Address, indices: Any, mask: Any) -> None:
    chosen = indices[mask].astype(np.int64)
    if len(np.unique(chosen)) < len(chosen):
        raise fail(op, "lanes are written to the same place")
    base.memory[_scattered(op, base, op.operands[0].type, chosen)] = value[mask]


@evaluates("kernel.prefetch", "kernel.fence")
def hint(op: Op, *_: Any) -> None:
    """What changes speed only."""


def _numbers(op: Op) -> Any:
    """The numbers of the lanes of the result."""
    lanes = op.attrs["lanes"]
    assert isinstance(lanes, int)
    return np.arange(lanes)


@evaluates("kernel.mask")
def mask(op: Op, count: int) -> Any:
    return _numbers(op) < count


@evaluates("kernel.splat")
def splat(op: Op, value: Any) -> Any:
    return np.full(len(_numbers(op)), value, element(op.result.type))


@evaluates("kernel.iota")
def iota(op: Op, scale: int) -> Any:
    return _numbers(op) * scale


@evaluates("kernel.halves")
def halves(op: Op, value: Any) -> Any:
    half = len(value) // 2
    return tuple(
        _number(r.type, part) for r, part in zip(op.results, (value[:half], value[half:]), strict=True)
    )


@evaluates("kernel.pair_halves")
def pair_halves(op: Op, a: Any, b: Any) -> Any:
    half = op.attrs["half"]
    assert isinstance(half, int)
    groups = np.stack([np.reshape(v, (-1, 2, half)) for v in (a, b)], axis=1)
    return tuple(groups[:, :, k].ravel() for k in (0, 1))


@evaluates("kernel.lane_sums")
def lane_sums(op: Op, *values: Any) -> Any:
    return np.array([v.sum() for v in values])


@evaluates("kernel.number", "kernel.widen", "kernel.narrow")
def precision(op: Op, value: Any) -> Any:
    return value  # becomes what the result type says


@evaluates("kernel.two_sum")
def two_sum(op: Op, a: Any, b: Any) -> Any:
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


@evaluates("kernel.multiply_add")
def multiply_add(op: Op, a: Any, b: Any, c: Any) -> Any:
    return a * b + c


@evaluates("kernel.select")
def select(op: Op, condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b) if isinstance(condition, np.ndarray) else a if condition else b


@evaluates("kernel.iadd", "kernel.isub", "kernel.imul", "kernel.iand", "kernel.imin")
def integer(op: Op, a: int, b: int) -> int:
    return {"iadd": a + b, "isub": a - b, "imul": a * b, "iand": a & b, "imin": min(a, b)}[op.fn]


@evaluates("kernel.ilt", "kernel.ige", "kernel.ieq")
def relation(op: Op, a: int, b: int) -> bool:
    return {"ilt": a < b, "ige": a >= b, "ieq": a == b}[op.fn]


# -- control -----------------------------------------------------------------------------------------------------------


@executes("kernel.if")
def if_(run: Evaluator, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
    return run.region(op.regions[0 if env[op.operands[0]] else 1], (), env)


@executes("kernel.for")
def for_(run: Evaluator, op: Op, env: dict[Value, Any]) -> Sequence[Any]:
    start, stop, step, *values = (env[v] for v in op.operands)
    for i in range(start, stop, step):
        values = list(run.region(op.regions[0], (i, *values), env))
    return values
