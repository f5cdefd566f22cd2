"""Functions: what all call sites of a function have in common, until that is stable."""

from __future__ import annotations

from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.symbols import symbol_table
from sysmlc.ir.types import Dim, Matrix, matrix
from sysmlc.passes.infer.known import Fact, same
from sysmlc.passes.infer.walk import Walk

_ROUNDS: Final = 6
"""Rounds over the program before functions whose call sites keep changing are given up on."""


class Function:
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


class Analysis(Walk):
    """The analysis of a whole module."""

    def __init__(self, module: Module) -> None:
        self.functions = {n: Function(f) for n, f in symbol_table(module).items() if f.name == "core.func"}
        called = {str(op.attrs["callee"]) for op in module.walk() if op.name == "core.call"}
        self.roots = ["main"] if "main" in self.functions else [n for n in self.functions if n not in called]
        super().__init__(module, (a for name in self.roots for a in self.functions[name].body.args))
        self.turn = 0
        self.changed = False

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

    def at_site(self, function: Function, op: Op, type: Matrix) -> Matrix:
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

    def function(self, function: Function) -> None:
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

    def parameters(self, function: Function) -> list[Fact]:
        """Sizes are equal numbers, or share a name where they are equal at every call site."""
        sites = list(function.sites.values())
        groups: dict[object, str] = {}
        facts: list[Fact] = []
        for i, arg in enumerate(function.body.args):
            given = [site[i] for site in sites]
            types = [t for t, _ in given if isinstance(t, Matrix)]
            if not types or function.given_up:
                known = given[0][1] if given and not function.given_up else None
                agree = all(same(known, k) and t is arg.type for t, k in given)
                facts.append((self.named(arg, self.base.get(arg, arg.type)), known if agree else None))
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
