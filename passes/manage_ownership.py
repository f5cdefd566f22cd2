"""Decide who owns what: insert `rt.retain` and `rt.release` so that every handle is freed at its last use.

The discipline. Results are owned. Operands are borrowed, except those that an operation takes over: what it declares
(`consumes`, `takes`, `reuse`), the initial values of loops, arguments of calls (so that functions may update in place),
and what `core.yield` and `core.return` hand on. Function parameters and the values a loop carries are owned by the body;
in the condition of a while loop they are borrowed. Constants are immortal: retained when handed over, never released.

A value captured by an `if` that is not needed afterwards is handed into both branches: the branch that uses it last
may update it in place, the other one releases it. Values captured by loops are borrowed and released after the loop.
"""

from __future__ import annotations

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.rt import Release, Retain
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Handle, Matrix, ptr, string

LOOPS = frozenset({"scf.for", "scf.parfor", "scf.while"})
IMMORTAL = frozenset({"core.constant"})


def is_handle(value: Value) -> bool:
    """Whether the value is a reference-counted run-time object."""
    type = value.type
    return isinstance(type, Matrix) or type is string or (isinstance(type, Handle) and type is not ptr)


def taken_operands(op: Op) -> frozenset[int]:
    """The operands (by index) whose reference `op` takes over."""
    name = op.name
    if name in ("core.yield", "core.return", "core.call", "scf.while"):
        return frozenset(range(len(op.operands)))
    if name in ("scf.for", "scf.parfor"):
        return frozenset(range(3, len(op.operands)))
    indexes: set[int] = set(op.consumes)
    for attr in ("takes", "reuse"):
        listed = op.attrs.get(attr, ())
        assert isinstance(listed, tuple)
        indexes.update(i for i in listed if isinstance(i, int))
    return frozenset(indexes)


def captured(op: Op) -> dict[Value, None]:
    """The handles that regions of `op` use but do not define, in order of use."""
    if "isolated" in op.traits or op.dialect == "fused":
        return {}
    found: dict[Value, None] = {}
    defined: set[Value] = set()
    for region in op.regions:
        defined.update(region.args)
        for inner in region.walk():
            for nested in inner.regions:
                defined.update(nested.args)
            defined.update(inner.results)
            for value in inner.operands:
                if value not in defined and is_handle(value):
                    found[value] = None
    return found


@register_pass
class ManageOwnership(Pass):
    """Insert the retains and releases that free every value at its last use."""

    name = "manage-ownership"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                if func.name == "core.func":
                    self._region(region, _owned_args(region))

    def _region(self, region: Region, own: dict[Value, None]) -> None:
        """Place ownership operations in a region that owns the values `own` when it starts."""
        for op in region:
            if op.name not in IMMORTAL:
                own.update((r, None) for r in op.results if is_handle(r))
        live: set[Value] = set()
        for op in reversed(list(region)):
            self._op(op, own, live)
        if region.first is not None:
            start = Builder.before(region.first)
            for value in own:
                if value not in live and (value.region is not region or value.op is None):
                    self._release(start, value)

    def _op(self, op: Op, own: dict[Value, None], live: set[Value]) -> None:
        taken = taken_operands(op)
        inside = captured(op) if op.regions else {}
        handed = {v: None for v in inside if op.name == "scf.if" and v in own and v not in live}
        uses: dict[Value, list[int]] = {}
        for i, value in enumerate(op.operands):
            if is_handle(value):
                uses.setdefault(value, [0, 0])[i in taken] += 1
        for value in inside:
            if value not in handed:
                uses.setdefault(value, [0, 0])[0] += 1

        after = Builder.after(op)
        for result in op.results:
            if result in own and result not in live:
                self._release(after, result)
            live.discard(result)
        for value, (borrowed, consumed) in uses.items():
            last = value in own and value not in live
            moved = last and consumed > 0 and borrowed == 0
            self._retain(op, value, consumed - moved)
            if last and not moved:
                self._release(after, value)
            if value in own:
                live.add(value)
        live.update(handed)
        for region in op.regions:
            self._nested(op, region, dict(handed))

    def _nested(self, op: Op, region: Region, handed: dict[Value, None]) -> None:
        if op.name == "scf.if":
            self._region(region, handed)
        elif op.name in LOOPS:
            borrowed = op.name == "scf.while" and region is op.regions[0]
            self._region(region, {} if borrowed else _owned_args(region))

    def _retain(self, op: Op, value: Value, times: int) -> None:
        for _ in range(times):
            Builder.before(op).op(Retain, value)
            self.count("retains")

    def _release(self, at: Builder, value: Value) -> None:
        at.op(Release, value)
        self.count("releases")


def _owned_args(region: Region) -> dict[Value, None]:
    return {a: None for a in region.args if is_handle(a)}
