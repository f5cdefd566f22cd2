"""Whether operands fit is asked where the script says so, before anything is rewritten or fused.

    %r = dml.add %x, %y                  dml.require_fit %xr, %xc, %yr, %yc {rule = "cells", what = "add"}
                                    →    %r = dml.add %x, %y

Only where types do not tell. The check compares numbers, so it keeps no matrix alive and stays where it is while the operation
becomes part of something else: an error names the operator that was written, its place, and the shapes that it was given. Sizes
are read where a matrix comes from, for which `infer` must have named them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.dml_cell import Binary, IfElse
from sysmlc.ir.dialects.dml_fit import Demand, RequireFit, demands, holds
from sysmlc.ir.dialects.dml_matrix import AsScalar, CBind, Diag, MatMul, NCol, NRow, RBind, Trace
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix

_RULES: dict[type[Op], str] = {
    Binary: "cells", IfElse: "equal", MatMul: "product", CBind: "cbind", RBind: "rbind", Trace: "square", Diag: "diag",
    AsScalar: "single",
}  # fmt: skip


@register_pass
class GuardShapes(Pass):
    """Check that operands fit in front of operations whose sizes are not known."""

    name = "guard-shapes"

    def run(self, module: Module) -> None:
        for func in module.body:
            for region in func.regions:
                _Guard(self).region(region)


@dataclass
class _Guard:
    """One walk through a function."""

    owner: GuardShapes
    named: dict[Dim, tuple[Value, bool]] = field(default_factory=dict)
    """Where the sizes that have a name can be read, by the name: the rows (else the columns) of a value."""
    asked: set[Demand] = field(default_factory=set)
    """What holds where the walk is: it has been checked before."""
    read: dict[tuple[Value, bool], Value] = field(default_factory=dict)

    def region(self, region: Region) -> None:
        outside = dict(self.named), set(self.asked)
        for arg in region.args:
            self.learn(arg)
        for op in region:
            for nested in op.regions:
                self.region(nested)
            self.guard(op)
            if op.name == "dml.undefined":
                continue  # its type is that of what takes its place before anybody looks
            for result in op.results:
                self.learn(result)
        self.named, self.asked = outside

    def learn(self, value: Value) -> None:
        if isinstance(value.type, Matrix):
            self.named.setdefault(value.type.rows, (value, True))
            self.named.setdefault(value.type.cols, (value, False))

    def guard(self, op: Op) -> None:
        rule = _RULES.get(type(op))
        matrices = [v for v in op.operands if isinstance(v.type, Matrix)]
        if rule == "equal":
            matrices = list(dict.fromkeys(matrices))  # as kernels read them
        if rule is None or not matrices or op.attrs.get("transpose"):
            return
        sizes = [size for v in matrices for size in _sizes(v)]
        wanted = [d for d in demands(rule, sizes) if not holds(d)]
        if not wanted or self.asked.issuperset(wanted):
            return
        self.asked.update(d for d in wanted if None not in d)
        b = Builder.before(op)
        values = [self.size(v, rows, b) for v in matrices for rows in (True, False)]
        b.op(RequireFit, values, rule=rule, what=op.fn)
        self.owner.count("checks")

    def size(self, value: Value, rows: bool, b: Builder) -> Value:
        """The rows or columns of a matrix, read where they are known first."""
        size = _sizes(value)[not rows]
        if isinstance(size, int):
            return b(Constant, value=size)
        source = self.named.get(size, (value, rows)) if size is not None else (value, rows)
        if source not in self.read:
            made, of_rows = source
            near = Builder.after(made.op) if made.op is not None else _at_start(made.region)
            self.read[source] = self._read(made, of_rows, near)
        return self.read[source]

    def _read(self, value: Value, rows: bool, b: Builder) -> Value:
        op = value.op
        if isinstance(op, RBind if rows else CBind):  # which need not be made to know its size
            return reduce(lambda x, y: b(Binary, "add", x, y), [self.size(v, rows, b) for v in op.operands])
        return b(NRow if rows else NCol, value)


def _sizes(value: Value) -> Sequence[Dim]:
    assert isinstance(value.type, Matrix)
    return value.type.rows, value.type.cols


def _at_start(region: Region | None) -> Builder:
    assert region is not None
    assert region.first is not None
    return Builder(region, region.first, region.first.loc)
