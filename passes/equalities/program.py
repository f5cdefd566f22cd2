"""The pass: operations to classes, and the cheapest terms back to operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Constant, Module
from sysmlc.ir.dialects.dml_cell import BITWISE, Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.explain import current_recording
from sysmlc.ir.facts import assumed, facts_of
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, compatible, f64, i1, i64, meet
from sysmlc.passes.equalities.extract import Choice, Extraction, layers
from sysmlc.passes.equalities.graph import REFINED, Graph, Shape, Term
from sysmlc.passes.equalities.law import LAWS, saturate
from sysmlc.passes.equalities.laws import INCREASING, ROOTS
from sysmlc.passes.fusion.cost import FLOPS
from sysmlc.passes.sparsity import Expectations
from sysmlc.passes.sum_product.nodes import divisor

_FUNCTIONS: Final = {op for one in LAWS for op in (*one.ops, *one.needs)} | {*INCREASING, *ROOTS}
"""What laws are about, besides sums and products."""
MAX_OPERATIONS: Final = 64
"""Longer islands are cut in program order."""
_GAIN: Final = 0.99
_REDUCED: Final = frozenset({"max_of", "min_of", "prod"})


@register_pass
@dataclass(frozen=True)
class Equalities(Pass):
    """Rewrite functions of cells to the cheapest equal ones."""

    name = "equalities"
    strict_fp: bool = False
    """Only laws that keep sums as they are written."""

    linear: bool = False
    """Look also where there are only sums and products of known sizes, which `sum-product` takes anyway."""

    def run(self, module: Module) -> None:
        laws = [one for one in LAWS if one.strict or not self.strict_fp]
        found = list(self._islands(module))
        if not found:
            return
        expected = Expectations()
        with assumed({}):  # what is known across loops, `use-facts` has used
            for region, ops in found:
                island = _Island(region, ops, expected)
                for name, times in saturate(island.graph, laws, 200 + 8 * len(ops)).items():
                    self.count(f"found: {name}", times)
                if island.rewrite():
                    self.count("islands rewritten")

    def _islands(self, module: Module) -> Iterator[tuple[Region, list[Op]]]:
        """Operations of a region that are worth a look, so many at a time."""
        for region in walk_regions([module]):
            if isinstance(region.parent, Module):
                continue
            ops = [op for op in region if _in_fragment(op)]
            for start in range(0, len(ops), MAX_OPERATIONS):
                part = ops[start : start + MAX_OPERATIONS]
                if len(part) > 1 and (self.linear or any(_is_worth_it(op) for op in part)):
                    yield region, part


def _in_fragment(op: Op) -> bool:
    """Whether an operation is cellwise on f64, or an extreme or product of such cells."""
    if isinstance(op, Aggregate):
        return op.fn in _REDUCED and _is_f64(op.operand)
    if not isinstance(op, (Unary, Binary, IfElse)) or op.fn in BITWISE or not _is_f64(op.results[0]):
        return False
    if isinstance(op.results[0].type, Matrix):
        return all(_is_f64(v) or v.type in (i64, i1) for v in op.operands)
    return all(v.type is f64 or (constant(v) is not None and v.type is i64) for v in op.operands)


def _is_worth_it(op: Op) -> bool:
    type = op.results[0].type
    unknown = isinstance(type, Matrix) and None in (type.rows, type.cols)
    if op.fn == "pow" and constant(op.operands[1]) in (2, 3, 4):
        return unknown
    return op.fn in _FUNCTIONS or (unknown and op.fn in ("add", "sub", "mul", "div", "neg"))


def _is_f64(value: Value) -> bool:
    return value.type is f64 or (isinstance(value.type, Matrix) and value.type.elem is f64)


class _Island:
    """Operations of one region as an e-graph, and what becomes of them."""

    def __init__(self, region: Region, ops: list[Op], expected: Expectations) -> None:
        self.graph = Graph()
        self.ops = ops
        self.place = {op: i for i, op in enumerate(region)}
        self.expected = expected
        self.classes: dict[Value, int] = {}
        self.written: dict[int, list[tuple[Term | int, Op]]] = {}
        self.before = 0.0
        terms: list[tuple[int, Term, Op]] = []
        for op in ops:
            made, term = self._term(op)
            self.classes[op.results[0]] = made
            terms.append((made, term, op))
        self._terms = terms

    # -- from operations --------------------------------------------------------------------------------------------

    def _class(self, value: Value) -> int:
        found = self.classes.get(value)
        if found is None:
            number = constant(value)
            if isinstance(number, (int, float)) and value.type in (f64, i64):
                found = self.graph.const(float(number))
            else:
                share = self.expected.density(value) if isinstance(value.type, Matrix) else 1.0
                found = self.graph.leaf(value, _shape(value), facts_of(value).cells, share)
            self.classes[value] = found
        return found

    def _term(self, op: Op) -> tuple[int, Term]:
        g, fn = self.graph, op.fn
        args = [self._class(v) for v in op.operands]
        shape = _shape(op.results[0]) if isinstance(op, Aggregate) else None
        if isinstance(op, Aggregate):
            source = op.operand.type
            assert isinstance(source, Matrix)
            some = all(isinstance(d, int) and d > 0 for d in (source.rows, source.cols))
            term = Term(fn, tuple(args), (op.dir, some))
        elif fn in ("add", "sub", "neg"):
            term = Term(
                "+", tuple(args), (*((1.0, 1.0), (1.0, -1.0), (-1.0,))[("add", "sub", "neg").index(fn)], 0.0)
            )
        elif fn in ("mul", "div"):
            term = Term("*", tuple(args), (1.0, 1.0 if fn == "mul" else -1.0))
        elif fn == "pow" and (e := g.number.get(args[1])) is not None and e.is_integer() and 0 < abs(e) < 1e3:
            term = Term("*", (args[0],), (e,))
        else:
            term = Term(fn, tuple(args))
        if shape is None:  # a cellwise result has the shape of its first matrix
            shape = next((s for a in args if (s := g.shape[g.find(a)]) is not None), None)
        if isinstance(op, Aggregate):
            shape = None if op.dir == "full" else shape
        return g.add(term, shape), term

    # -- back to operations -----------------------------------------------------------------------------------------

    def rewrite(self) -> bool:
        """Replace results by what is cheaper; whether there is anything."""
        g, inside = self.graph, set(self.ops)
        roots = [(c, op) for c, _, op in self._terms if any(u not in inside for u, _ in op.results[0].uses)]
        extraction = Extraction(g, [c for c, _ in roots])
        before = sum(self._written_cost(extraction, op) for op in self.ops)
        after, chosen = extraction.best()
        if not after < before * _GAIN:
            return False
        for c, term, op in self._terms:
            c = g.find(c)
            self.written.setdefault(c, []).append((g.canonical(term, g.shape[c]), op))
        emitter = _Emitter(self, chosen)
        changed = False
        for c, op in roots:
            changed |= emitter.replace(g.find(c), op)
        for op in reversed(self.ops):
            if not op.results[0].uses:
                op.erase()
        return changed

    def _written_cost(self, extraction: Extraction, op: Op) -> float:
        source = op.operands[0] if isinstance(op, Aggregate) else op.results[0]
        c = self.graph.find(self.classes[source] if source in self.classes else self._class(source))
        exponent = constant(op.operands[1]) if op.fn == "pow" else None
        flops = 2 if exponent in (2, 3, 4) else FLOPS.get(op.fn, 1)
        share = 1.0 if isinstance(op, Aggregate) else self.graph.share[c]
        return extraction.seconds(self.graph.shape[c], flops, share, max(1, len(op.operands) - 1))


def _shape(value: Value) -> Shape:
    """Sizes; what is not known is only equal to itself."""
    type = value.type
    if not isinstance(type, Matrix):
        return None
    return (value, "rows") if type.rows is None else type.rows, (
        value,
        "cols",
    ) if type.cols is None else type.cols


class _Emitter:
    """Builds the chosen terms; operations that already are what was chosen stay."""

    def __init__(self, island: _Island, chosen: Choice) -> None:
        self.island = island
        self.graph = island.graph
        self.chosen = chosen
        self.values: dict[int, Value] = {}
        self.texts: dict[int, str] = {}

    def replace(self, c: int, op: Op) -> bool:
        """Compute the class of a result where its operation is."""
        old = op.results[0]
        at = self.island.place[op]
        if not self._available(c, at, set()):
            return False
        made = self._value(c, Builder.before(op), at)
        if made is old or not compatible(made.type, old.type):
            return False
        if isinstance(old.type, Matrix):
            made.type = meet(made.type, old.type)
        recording = current_recording()
        if recording is not None:
            recording[1].append(recording[0]("cheapest equal terms", op, [made]))
        old.replace_by(made)
        self.island.classes[made] = c  # operands of others now
        return True

    def _available(self, c: int, at: int, seen: set[int]) -> bool:
        """Whether everything that a class is made of is there before the operation at this place."""
        if c in self.values or c in seen:
            return True
        seen.add(c)
        term = self.chosen[c]
        if term.op == "leaf":
            value = term.data[0]
            return value.op is None or self.island.place.get(value.op, -1) < at
        return all(self._available(self.graph.find(a), at, seen) for a in term.args)

    def _value(self, c: int, b: Builder, at: int) -> Value:
        c = self.graph.find(c)
        found = self.values.get(c)
        if found is None:
            found = self.values[c] = self._made(c, self.chosen[c], b, at)
        return found

    def _made(self, c: int, term: Term, b: Builder, at: int) -> Value:
        if term.op == "leaf":
            value: Value = term.data[0]
            return value
        if term.op == "const":
            return b(Constant, value=term.data[0])
        if term.op == REFINED:
            return self._value(term.args[0], b, at)
        for written, op in self.island.written.get(c, ()):
            same = written == term and self.island.place[op] <= at
            if same and all(self._operand(v, b, at) is v for v in op.operands):
                return op.results[0]
        if term.op == "+":
            return self._sum(c, term, b, at)
        if term.op == "*":
            return self._product(c, term, b, at)
        args = [self._value(a, b, at) for a in term.args]
        if term.op in ("min", "max"):
            groups = layers(self.graph, [(x, 1.0) for x in term.args], self.graph.shape[c])
            ordered = [a for group in reversed(groups) for a, _ in group]
            made = self._value(ordered[0], b, at)
            for a in ordered[1:]:
                made = b(Binary, term.op, made, self._value(a, b, at))
            return made
        if term.data:
            return b(Aggregate, term.op, args[0], dir=term.data[0])
        if term.op == "ifelse":
            return b(IfElse, *args)
        args = [self._number(v, b) for v in args]
        return b(Unary, term.op, args[0]) if len(args) == 1 else b(Binary, term.op, *args)

    def _operand(self, value: Value, b: Builder, at: int) -> Value:
        if constant(value) is not None:
            return value
        return self._value(self.island.classes[value], b, at)

    def _number(self, value: Value, b: Builder) -> Value:
        """A value that arithmetic takes: scalars are f64."""
        scalar = not isinstance(value.type, Matrix) and value.type is not f64
        return b(Cast, value, types=[f64]) if scalar else value

    def _sum(self, c: int, term: Term, b: Builder, at: int) -> Value:
        groups = layers(self.graph, zip(term.args, term.data, strict=False), self.graph.shape[c])
        constant_, total, sign = term.data[-1], None, 1
        made: list[tuple[int, Value]] = []
        for group in groups:
            part: tuple[int, Value] | None = None
            for a, k in sorted(group, key=lambda p: p[1] < 0):
                one = (1 if k > 0 else -1, self._scaled(self._number(self._value(a, b, at), b), abs(k), b))
                part = one if part is None else _both(part, one, b)
            assert part is not None
            if constant_:
                known = b(Constant, value=abs(constant_))
                part = _both(part, (1 if constant_ > 0 else -1, known), b)
                constant_ = 0.0
            if made and not isinstance(made[-1][1].type, Matrix):
                part = _both(part, made.pop(), b)
            made.append(part)
        sign, total = made.pop()
        for part in made:
            sign, total = _both((sign, total), part, b)
        return total if sign > 0 else b(Unary, "neg", total)

    def _scaled(self, value: Value, factor: float, b: Builder) -> Value:
        if factor == 1:
            return value
        by = divisor(factor)
        return b(
            Binary, "mul" if by is None else "div", value, b(Constant, value=factor if by is None else by)
        )

    def _product(self, c: int, term: Term, b: Builder, at: int) -> Value:
        shape = self.graph.shape[c]
        sides: dict[bool, list[tuple[bool, Value]]] = {True: [], False: []}
        for group in layers(self.graph, zip(term.args, term.data, strict=True), shape):
            for side, parts in sides.items():
                values = [self._power(self._value(a, b, at), abs(e), b) for a, e in group if (e > 0) is side]
                if not values:
                    continue
                made = values[0]
                for value in values[1:]:
                    made = b(Binary, "mul", made, value)
                if parts and not isinstance(parts[-1][1].type, Matrix):
                    made = b(Binary, "mul", made, parts.pop()[1])
                parts.append((self.graph.shape[group[0][0]] == shape, made))
        above, below = sides[True], sides[False]
        if above and (above[-1][0] or not isinstance(above[-1][1].type, Matrix)):
            result = above.pop()[1]
        elif below:
            result = b(Constant, value=1.0)
        else:
            result = above.pop()[1]
        for _, value in reversed(below):  # the largest first
            result = b(Binary, "div", result, value)
        for _, value in above:
            result = b(Binary, "mul", result, value)
        return result

    def _power(self, value: Value, e: float, b: Builder) -> Value:
        value = self._number(value, b)
        if e == 1:
            return value
        return b(Unary, "sqrt", value) if e == 0.5 else b(Binary, "pow", value, b(Constant, value=e))


def _both(a: tuple[int, Value], c: tuple[int, Value], b: Builder) -> tuple[int, Value]:
    """The sum of two signed values, the first of which is not smaller."""
    if a[0] == c[0]:
        return a[0], b(Binary, "add", a[1], c[1])
    if a[0] < 0 and _may_lead(c[1], a[1]):
        return 1, b(Binary, "sub", c[1], a[1])
    return a[0], b(Binary, "sub", a[1], c[1])


def _may_lead(value: Value, other: Value) -> bool:
    """Whether a value may be the left operand of one that is not smaller: DML broadcasts matrices on the right only."""
    type = value.type
    return not isinstance(type, Matrix) or (type is other.type and None not in (type.rows, type.cols))
