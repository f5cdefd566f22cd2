"""The walk through a program in order of execution: what operations, branches and loops make of what is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.shapes import assumed_sizes, constant, size_dim
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Dim, Matrix, Scalar, compatible, i64, matrix, meet
from sysmlc.passes.estimate import nnz_bound
from sysmlc.passes.infer.known import Fact, Known, same

_SIZED: Final = {
    "dml.fill": (1, 2), "dml.reshape": (1, 2), "dml.matrix_of_text": (1, 2), "dml.matrix_of_box": (1, 2),
    "dml.rand": (0, 1), "dml.sample": (1,),
    "dml.table": (3, 4), "dml.grouped_aggregate": (5,),
}  # fmt: skip
"""Operands that are sizes of the result."""
_DEMANDS: Final = frozenset({"dml.assert", "dml.require_defined"})
"""What stops the program when its operand is false."""


class Walk(Known):
    """One walk at a time through regions; calls are what `call` makes of them."""

    def __init__(self, module: Module, kept: Iterable[Value]) -> None:
        super().__init__(module, kept)
        self.errors: dict[Op, Diagnostic] = {}
        self.loops: dict[Op, tuple[list[Fact], list[Fact]]] = {}
        self.ranges: dict[tuple[Value, Value], str] = {}
        self.stopped = False
        self.unsure = 0
        """How many branches around this place are only taken perhaps."""

    def call(self, op: Op) -> None:
        """A call of a function of the module."""
        raise NotImplementedError

    def record(self, op: Op, error: Diagnostic) -> None:
        """An error that will happen, unless the program has stopped before, with a message of its own, or never comes here."""
        if not self.stopped and not self.unsure:
            self.errors[op] = _as_written(op, error)

    def region(self, region: Region) -> list[Fact]:
        """Walk a region; gives the facts of what it yields."""
        for op in region:
            name = op.name
            if name == "scf.if":
                self.branch(op)
            elif name == "scf.for" or name == "scf.parfor":
                self.loop(op, op.operands[3:], op.regions[0].args[1:])
            elif name == "scf.while":
                self.loop(op, op.operands, op.regions[0].args, op.regions[1].args)
            elif name == "core.call":
                self.call(op)
            elif op.results:
                self.plain(op)
            elif name == "dml.stop" or (name in _DEMANDS and constant(op.operands[0]) is False):
                self.stopped = True
        return [self.fact(v) for v in region.terminator.operands]

    def plain(self, op: Op) -> None:
        """An operation that says itself what it gives."""
        for i in _SIZED.get(op.name, ()):
            size = op.operands[i]
            if size.type is i64 and size_dim(size) is None and constant(size) is None:
                assumed_sizes[size] = self.fresh(size, "n")
                self.sizes.append(size)
        try:
            types = (
                op.infer()
                if type(op).infer is not Op.infer
                else [self.base.get(r, r.type) for r in op.results]
            )
            self.errors.pop(op, None)
        except Diagnostic as error:
            self.record(op, error)
            types = [self.base.get(r, r.type) for r in op.results]
        for result, inferred in zip(op.results, types, strict=True):
            if isinstance(inferred, Matrix):
                base = self.base[result]
                made = meet(inferred, base) if compatible(inferred, base) else inferred
                assert isinstance(made, Matrix)
                bound = nnz_bound(op, made)
                if bound is not None and (made.nnz is None or bound < made.nnz):
                    made = matrix(made.rows, made.cols, made.elem, bound, made.format)
                if op.name == "dml.index":
                    made = self.ranged(op, made)
                result.type = self.named(result, made)
        if len(op.results) == 1 and isinstance(op.results[0].type, Scalar) and op.name != "core.constant":
            folded = op.fold()
            known = None if folded is None else folded[0]
            self.assume(op.results[0], constant(known) if isinstance(known, Value) else known)

    def ranged(self, op: Op, type: Matrix) -> Matrix:
        """A range `a:b` has one size, whatever it is taken of: `X[a:b, ]` and `Y[a:b, ]` fit."""
        _, rl, ru, cl, cu = op.operands
        rows, cols = type.rows, type.cols
        if rows is None:
            rows = self.ranges.setdefault((rl, ru), self.fresh(op.results[0], "r"))
        if cols is None:
            cols = self.ranges.setdefault((cl, cu), self.fresh(op.results[0], "c"))
        return matrix(rows, cols, type.elem, type.nnz, type.format)

    def branch(self, op: Op) -> None:
        decided = constant(op.operands[0])
        if decided is None:
            before = self.stopped
            self.unsure += 1
            first = self.region(op.regions[0])
            after, self.stopped = self.stopped, before
            second = self.region(op.regions[1])
            self.unsure -= 1
            self.stopped &= after
            ends = [r.terminator.operands for r in op.regions]
            facts = [self.either(*e) for e in zip(*ends, first, second, strict=True)]
        else:
            self.skip(op.regions[1 if decided else 0])
            facts = self.region(op.regions[0 if decided else 1])
        for result, (type, known) in zip(op.results, facts, strict=True):
            kept = type if isinstance(type, Matrix) else result.type
            self.set(
                result, (self.named(result, kept), known if type is result.type or known is None else None)
            )

    def either(self, a: Value, b: Value, first: Fact, second: Fact) -> Fact:
        """What is known after a branch; a variable that one side leaves undefined is what the other makes it."""
        for undefined, fact in ((a, second), (b, first)):
            if _is_undefined(undefined) and a is not b and isinstance(fact[0], Matrix):
                undefined.type = fact[0]
                return fact
        return self.merged(first, second)

    def skip(self, region: Region) -> None:
        """A region that never runs has no errors."""
        if self.errors:
            for op in region.walk():
                self.errors.pop(op, None)

    def loop(self, op: Op, inits: Sequence[Value], *args: Sequence[Value]) -> None:
        start = [(self.base.get(v, v.type), None) if _is_undefined(v) else self.fact(v) for v in inits]
        before = self.loops.get(op)
        # Entered again with the same initial values, a loop is where it was left: nested loops stay cheap.
        facts = list(before[1] if before is not None and before[0] == start else start)
        counting = {id(r): 0 for r in op.results}
        # What is not defined before the loop is whatever the first iteration makes it.
        unset = (
            set()
            if before is not None and before[0] == start
            else {i for i, v in enumerate(inits) if _is_undefined(v)}
        )
        while True:
            for values in args:
                for arg, fact in zip(values, facts, strict=True):
                    self.set(arg, self.carried(arg, fact))
            stopped = self.stopped
            for region in op.regions:
                given = self.region(region)
            self.stopped = stopped
            stable = True
            for i, (old, new) in enumerate(zip(facts, given, strict=True)):
                result = op.results[i]
                merged = self.outer(new, op) if i in unset else self.merged(old, new)
                merged = self.carried(result, merged)
                if merged[0] is not old[0] or not same(merged[1], old[1]):
                    counting[id(result)] += 1
                    if counting[id(result)] > 1 and isinstance(merged[0], Matrix):
                        merged = self.without_nnz(merged[0]), merged[1]
                    facts[i] = merged
                    stable = False
            unset.clear()
            if stable:
                break
        for init, fact in zip(inits, facts, strict=True):
            if _is_undefined(init) and isinstance(fact[0], Matrix):
                init.type = fact[0]
        self.loops[op] = start, facts
        for result, fact in zip(op.results, facts, strict=True):
            self.set(result, self.carried(result, fact))

    def outer(self, fact: Fact, loop: Op) -> Fact:
        """A fact about what a loop's body yields, without names that are different sizes in every iteration."""
        type, known = fact
        if not isinstance(type, Matrix):
            return fact
        rows, cols = (None if self.is_local(d, loop) else d for d in (type.rows, type.cols))
        return matrix(rows, cols, type.elem, type.nnz, type.format), known

    def is_local(self, dim: Dim, loop: Op) -> bool:
        owner = self.owners.get(dim) if isinstance(dim, str) else None
        at = None if owner is None or owner.region is None else owner.region.parent
        return owner is not None and (at is loop or (at is not None and at.is_inside(loop)))

    @staticmethod
    def without_nnz(type: Matrix) -> Matrix:
        return matrix(type.rows, type.cols, type.elem, None, type.format)

    def carried(self, value: Value, fact: Fact) -> Fact:
        """A fact as a carried value has it: scalars keep their type. Arguments share the names of the result."""
        type, known = fact
        if not isinstance(type, Matrix):
            return value.type, known if type is value.type else None
        return self.named(value, type), None


def _as_written(op: Op, error: Diagnostic) -> Diagnostic:
    """The error in the words of the script: what stands at its place instead of the operation, sizes instead of types."""
    at, line = error.loc, error.loc.source.line(error.loc.line) or ""
    text = line[at.col - 1 : at.end_col - 1] if at.end_col else ""
    message = error.message
    if 0 < len(text) <= 60 and op.name not in text:
        message = re.sub(r"matrix<([^>]*?)xf64[^>]*>", r"\1", message.replace(f"'{op.name}'", f"'{text}'", 1))
    return Diagnostic(message, error.loc, hint=error.hint, notes=error.notes)


def _is_undefined(value: Value) -> bool:
    return value.op is not None and value.op.name == "dml.undefined" and value.has_one_use()
