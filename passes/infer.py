"""Facts: sizes, non-zeros and scalar constants, found by one forward analysis of the program and kept in the types.

Structured: regions are walked in program order; loops start from what is known of their initial values and are walked again
until what they carry is stable; functions are analysed for what all their call sites have in common, until that is stable.

A size that is not known gets a name: equal names are equal sizes, so `X %*% t(X)` is known to fit without numbers. A name
belongs to one value; it is only seen where that value is, except that a loop's argument and result share theirs.

Operands that do not fit are errors of the user, reported with their place; all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value, clone
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.shapes import assumed, assumed_sizes, constant, size_dim
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.source import Diagnostic, DiagnosticGroup
from sysmlc.ir.symbols import symbol_table
from sysmlc.ir.types import Dim, Matrix, Scalar, Type, compatible, i64, join, matrix, meet
from sysmlc.passes.estimate import nnz_bound
from sysmlc.passes.splice import splice, take_place

_ROUNDS: Final = 6
"""Rounds over the program before functions whose call sites keep changing are given up on."""
_SIZED: Final = {
    "dml.fill": (1, 2), "dml.reshape": (1, 2), "dml.matrix_of_text": (1, 2), "dml.rand": (0, 1), "dml.sample": (1,),
    "dml.table": (3, 4), "dml.grouped_aggregate": (5,),
}  # fmt: skip
"""Operands that are sizes of the result."""
_DEMANDS: Final = frozenset({"dml.assert", "dml.require_defined"})
"""What stops the program when its operand is false."""

Fact = tuple[Type, object]
"""What is known of a value: its type and, for scalars, its constant."""


@register_pass
@dataclass(frozen=True)
class Infer(Pass):
    """Find sizes, non-zeros and constants; report operands that cannot fit."""

    name = "infer"

    def run(self, module: Module) -> None:
        analysis = _Analysis(module)
        try:
            analysis.solve()
            errors = list(analysis.errors.values())
            if errors:
                errors.sort(key=lambda e: (e.loc.line, e.loc.col))
                raise errors[0] if len(errors) == 1 else DiagnosticGroup(errors)
            self.count("constants found", analysis.place_constants())
            self.count("branches decided", analysis.take_branches())
        finally:
            analysis.forget()


def _as_written(op: Op, error: Diagnostic) -> Diagnostic:
    """The error in the words of the script: what stands at its place instead of the operation, sizes instead of types."""
    at, line = error.loc, error.loc.source.line(error.loc.line) or ""
    text = line[at.col - 1 : at.end_col - 1] if at.end_col else ""
    message = error.message
    if 0 < len(text) <= 60 and op.name not in text:
        message = re.sub(r"matrix<([^>]*?)xf64[^>]*>", r"\1", message.replace(f"'{op.name}'", f"'{text}'", 1))
    return Diagnostic(message, error.loc, hint=error.hint, notes=error.notes)


class _Function:
    """What is known of a function: its call sites and results."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self.body = op.regions[0]
        self.sites: dict[Op, tuple[Fact, ...]] = {}
        self.seen: tuple[Fact, ...] | None = None
        self.results: list[Fact] | None = None
        self.turn = -1
        self.active = False
        self.given_up = False
        self.stops = False


class _Analysis:
    def __init__(self, module: Module) -> None:
        self.functions = {n: _Function(f) for n, f in symbol_table(module).items() if f.name == "core.func"}
        self.errors: dict[Op, Diagnostic] = {}
        self.base: dict[Value, Matrix] = {}
        self.names: dict[tuple[Value, str], str] = {}
        self.constants: dict[Value, object] = {}
        self.loops: dict[Op, tuple[list[Fact], list[Fact]]] = {}
        self.sizes: list[Value] = []
        self.taken: set[str] = set()
        self.owners: dict[str, Value] = {}
        self.next = {"r": 0, "c": 0, "n": 0}
        self.turn = 0
        self.changed = False
        self.stopped = False
        self.unsure = 0
        """How many branches around this place are only taken perhaps."""
        called = {str(op.attrs["callee"]) for op in module.walk() if op.name == "core.call"}
        self.roots = ["main"] if "main" in self.functions else [n for n in self.functions if n not in called]
        self._reset(module)

    def _reset(self, module: Module) -> None:
        """Forget names given by an earlier analysis; those of inputs and of parameters from outside are facts."""
        kept = {a for name in self.roots for a in self.functions[name].body.args}
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

    def solve(self) -> None:
        """Walk the program until what is known of functions is stable."""
        for turn in range(2 * _ROUNDS):
            self.turn, self.changed = turn, False
            for name in self.roots:
                self.stopped = False
                function = self.functions[name]
                for arg in function.body.args:
                    self.set(arg, (self.named(arg, arg.type), None))
                self.region(function.body)
            for function in self.functions.values():
                function.given_up = function.given_up or (turn == _ROUNDS and function.seen is not None)
            if not self.changed:
                return
        raise AssertionError("inference does not converge")

    def record(self, op: Op, error: Diagnostic) -> None:
        """An error that will happen, unless the program has stopped before, with a message of its own, or never comes here."""
        if not self.stopped and not self.unsure:
            self.errors[op] = _as_written(op, error)

    # -- facts ----------------------------------------------------------------------------------------------------

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
        return (a[0] if type is None else type), (a[1] if _same(a[1], b[1]) else None)

    # -- operations ---------------------------------------------------------------------------------------------

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
                result.type = self.named(result, made)
        if len(op.results) == 1 and isinstance(op.results[0].type, Scalar) and op.name != "core.constant":
            folded = op.fold()
            known = None if folded is None else folded[0]
            self.assume(op.results[0], constant(known) if isinstance(known, Value) else known)

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
                if merged[0] is not old[0] or not _same(merged[1], old[1]):
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

    def call(self, op: Op) -> None:
        function = self.functions.get(str(op.attrs["callee"]))
        if function is None:
            return
        site = tuple(self.fact(v) for v in op.operands)
        if function.sites.get(op) != site:
            function.sites[op] = site
        results = None
        if not function.active:  # else a recursive call, of which nothing is taken for granted
            self.function(function)
            results = function.results
            self.stopped |= function.stops
        for i, result in enumerate(op.results):
            type, known = (self.base.get(result, result.type), None) if results is None else results[i]
            if isinstance(type, Matrix):
                self.set(result, (self.named(result, self.at_site(function, op, type)), None))
            else:
                self.set(result, (result.type, known if type is result.type else None))

    def at_site(self, function: _Function, op: Op, type: Matrix) -> Matrix:
        """A result type of a function, in terms of the arguments of one call."""
        sizes: dict[str, Dim] = {}
        for arg, value in zip(function.body.args, op.operands, strict=True):
            if isinstance(arg.type, Matrix) and isinstance(value.type, Matrix):
                for inner, outer in ((arg.type.rows, value.type.rows), (arg.type.cols, value.type.cols)):
                    if isinstance(inner, str):
                        sizes.setdefault(inner, outer)
        rows = sizes.get(type.rows) if isinstance(type.rows, str) else type.rows
        cols = sizes.get(type.cols) if isinstance(type.cols, str) else type.cols
        return matrix(rows, cols, type.elem, type.nnz, type.format)

    def function(self, function: _Function) -> None:
        """Analyse a function for what its call sites have in common, if that has changed."""
        facts = tuple(self.parameters(function))
        if function.seen == facts and function.turn == self.turn:
            return
        before, stopped = (function.seen, function.results), self.stopped
        function.seen, function.turn = facts, self.turn
        for arg, fact in zip(function.body.args, facts, strict=True):
            self.set(arg, fact)
        function.active, self.stopped = True, False
        function.results = self.region(function.body)
        function.active, function.stops, self.stopped = False, self.stopped, stopped
        self.changed |= before != (facts, function.results)

    def parameters(self, function: _Function) -> list[Fact]:
        """Sizes are equal numbers, or share a name where they are equal at every call site."""
        sites = list(function.sites.values())
        groups: dict[object, str] = {}
        facts: list[Fact] = []
        for i, arg in enumerate(function.body.args):
            given = [site[i] for site in sites]
            types = [t for t, _ in given if isinstance(t, Matrix)]
            if not types or function.given_up:
                known = given[0][1] if given and not function.given_up else None
                same = all(_same(known, k) and t is arg.type for t, k in given)
                facts.append((self.named(arg, self.base.get(arg, arg.type)), known if same else None))
                continue
            rows = self.common(arg, "r", tuple(t.rows for t in types), groups)
            cols = self.common(arg, "c", tuple(t.cols for t in types), groups)
            bounds = [t.nnz for t in types if t.nnz is not None]
            nnz = max(bounds) if len(bounds) == len(types) else None
            facts.append((matrix(rows, cols, types[0].elem, nnz), None))
        return facts

    def common(self, arg: Value, side: str, sizes: tuple[Dim, ...], groups: dict[object, str]) -> Dim:
        first = sizes[0]
        if isinstance(first, int) and all(d == first for d in sizes):
            return first
        if None in sizes:
            return self.fresh(arg, side)
        return groups.setdefault(sizes, self.fresh(arg, side))

    # -- results ------------------------------------------------------------------------------------------------

    def place_constants(self) -> int:
        """Make scalars that turned out to be constants into constants."""
        placed = 0
        for value, known in list(self.constants.items()):
            if not value.uses:
                continue
            owner = value.owner
            b = Builder.before(owner) if isinstance(owner, Op) else Builder(owner, owner.first)
            if b.anchor is not None and not isinstance(owner, Op):
                b.loc = b.anchor.loc
            value.replace_by(b(Constant, value=known, types=[value.type]))
            placed += 1
        return placed

    def take_branches(self) -> int:
        """Replace branches whose condition is a constant by the side that runs."""
        taken = 0
        for function in self.functions.values():
            for op in list(function.op.walk()):
                if op.name != "scf.if" or not op.operands:  # without operands: it was in a branch not taken
                    continue
                decided = constant(op.operands[0])
                if decided is not None:
                    take_place(op, splice(op, op.regions[0 if decided else 1]))
                    taken += 1
        return taken

    def forget(self) -> None:
        """Leave nothing assumed behind."""
        for value in self.constants:
            assumed.pop(value, None)
        for value in self.sizes:
            assumed_sizes.pop(value, None)


def _is_undefined(value: Value) -> bool:
    return value.op is not None and value.op.name == "dml.undefined" and value.has_one_use()


def _one_for_each_use(op: Op) -> None:
    """Give each use its own undefined value, so that it can have the type it needs."""
    for user, i in list(op.results[0].uses)[1:]:
        made = clone(op, {})
        assert op.parent is not None
        op.parent.insert_after(op, made)
        user.set_operand(i, made.results[0])


def _number(dim: Dim) -> Dim:
    return dim if isinstance(dim, int) else None


def _same(a: object, b: object) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)
