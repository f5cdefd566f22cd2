"""The plan of a program: what will run, in order, and why it is the way it is.

A plan is read off the IR after all choices are made and before fused operators become kernels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Instrument, Pass, PassManager
from sysmlc.ir.source import Location
from sysmlc.ir.types import Dim, Handle, Matrix
from sysmlc.passes.fusion.groups import Group
from sysmlc.passes.pipelines import lowering
from sysmlc.passes.update_in_place import UpdateInPlace
from sysmlc.tools.explain.algebra import Writer, aggregate_name
from sysmlc.tools.explain.estimates import Estimate, Estimator
from sysmlc.tools.explain.reasons import CONVERTED, Format, format_of, how_it_runs, template_of

LOOPS: Final = ("scf.for", "scf.parfor", "scf.while")
UNKNOWN_TRIPS: Final = 10
"""How often a loop is taken to run when that is not known."""

_DECIDED: Final = "if, decided at run time:"
_FREE: Final = frozenset(
    {"nrow", "ncol", "length", "undefined", "input", "output", "require_defined", "require_fit"}
)


@dataclass(eq=False)
class Output:
    """One result of an operator."""

    name: str
    expression: str
    type: str
    size: str
    format: Format | None
    """None for a scalar."""
    bytes: float = 0.0
    """What it takes to store it."""


@dataclass(eq=False)
class Operator:
    """One operator of the plan: a launch or a call."""

    number: int
    template: str
    loc: Location
    places: list[Location]
    """All places of the source it computes something of."""
    depth: int
    """How many loops and branches are around it."""
    runs: float
    """How often it runs, as far as known."""
    outputs: list[Output]
    reads: list[int] = field(default_factory=list)
    """The operators whose results it reads."""
    cost: Estimate = field(default_factory=Estimate)
    unfused: Estimate | None = None
    fused: int = 1
    """How many operations it stands for."""
    how: str = ""
    """What decides how it runs: sparse drivers, kernels of the runtime."""
    in_place: list[str] = field(default_factory=list)
    hoisted: int = 0
    """The line of the loop it was taken out of."""


@dataclass(eq=False)
class Block:
    """A loop, a branch or a function: a heading over what is in it."""

    text: str
    """As it is written, `if (a > 0)`, or what the compiler decides at run time."""
    loc: Location
    depth: int
    loop: bool = False
    trips: float | None = None
    """How often a loop runs, if that is known."""


@dataclass
class Plan:
    """A whole program: operators and headings in program order."""

    name: str
    level: int
    items: list[Operator | Block] = field(default_factory=list)

    @property
    def operators(self) -> list[Operator]:
        return [i for i in self.items if isinstance(i, Operator)]

    peak_bytes: int | None = None
    """The most memory that matrices take at one time, None when some sizes are not known."""

    @property
    def materialised(self) -> list[Output]:
        """The matrices that are written to memory."""
        return [out for o in self.operators for out in o.outputs if out.format]

    @property
    def total(self) -> Estimate:
        """Everything, with loops as often as they run."""
        return sum((o.cost.times(o.runs) for o in self.operators), Estimate())

    @property
    def total_unfused(self) -> Estimate:
        """The same without fusion."""
        return sum(((o.unfused or o.cost).times(o.runs) for o in self.operators), Estimate())


def make_plan(
    module: Op,
    name: str,
    level: int,
    passes: Sequence[Pass],
    instruments: Sequence[Instrument] = (),
    *,
    fusion: bool = True,
) -> Plan:
    """Run `passes` (those of `level`, say) over a logical module, choose physical operators, and read the plan."""
    loops = _loops_of(module)
    rest = lowering(fusion)
    choices = list(takewhile(lambda p: not p.name.startswith("lower-"), rest))
    PassManager([*passes, *choices, UpdateInPlace()], instruments=instruments).run(module)  # type: ignore[arg-type]
    made = read_plan(module, name, level, loops)
    PassManager(rest[len(choices) :]).run(module)  # type: ignore[arg-type]
    main = next((f for f in module.regions[0] if f.attrs.get("sym") == "main"), None)
    if (
        main is not None
        and not main.attrs.get("unknown_sizes")
        and isinstance(main.attrs.get("peak_bytes"), int)
    ):
        made.peak_bytes = int(main.attrs["peak_bytes"])  # type: ignore[arg-type]
    return made


def read_plan(module: Op, name: str, level: int, loops: dict[Location, Location] | None = None) -> Plan:
    """The plan of a module whose fused operators are formed; `loops` says in which loop places of the source are."""
    made = Plan(name, level)
    functions = [f for f in module.regions[0] if f.name == "core.func"]
    # Execution starts at main.
    for func in sorted(functions, key=lambda f: f.attrs["sym"] != "main"):
        heading = Block(
            f"function {func.attrs['sym']}" if func.attrs["sym"] != "main" else "the script", func.loc, 0
        )
        if len(functions) > 1:
            made.items.append(heading)
        _Reader(made, loops or {}).region(func.regions[0], 0, 1.0, [])
        if made.items[-1:] == [heading]:
            made.items.pop()
    return made


def _loops_of(module: Op) -> dict[Location, Location]:
    """For places of the source that are in a loop, where the innermost one is."""
    found: dict[Location, Location] = {}

    def visit(region: Region, loop: Location | None) -> None:
        for op in region:
            if loop is not None:
                found[op.loc] = loop
            for nested in op.regions:
                visit(nested, op.loc if op.name in LOOPS else loop)

    for func in module.regions[0]:
        for region in func.regions:
            visit(region, None)
    return found


class _Reader:
    """Walks one function."""

    def __init__(self, plan: Plan, loops: dict[Location, Location]) -> None:
        self.plan = plan
        self.loops = loops
        self.estimator = Estimator()
        self.names: dict[Value, str] = {}
        self.makers: dict[Value, list[int]] = {}

    def region(self, region: Region, depth: int, runs: float, around: list[Location]) -> None:
        for op in region:
            if op.name in LOOPS or op.name == "scf.if":
                self.control(op, depth, runs, around)
            elif _is_work(op):
                self.operator(op, depth, runs, around)

    def control(self, op: Op, depth: int, runs: float, around: list[Location]) -> None:
        loop = op.name in LOOPS
        trips = _trips(op) if loop else None
        block = Block(self.heading(op), op.loc, depth, loop, trips)
        self.plan.items.append(block)
        inside = runs * (UNKNOWN_TRIPS if trips is None else trips) if loop else runs
        if loop:
            first = len(op.regions[0].args) - len(op.results)
            inits = op.operands[len(op.operands) - len(op.results) :]
            for nested in op.regions:
                for arg, init in zip(nested.args[first:], inits, strict=True):
                    self.makers[arg] = self.makers.get(init, [])
        for i, nested in enumerate(op.regions):
            if op.name == "scf.if" and i == 1 and any(_is_work(o) for o in nested.walk()):
                if self.plan.items[-1] is block and block.text.startswith(_DECIDED):
                    block.text = f"{_DECIDED} !({block.text.removeprefix(_DECIDED).strip()})"
                else:
                    self.plan.items.append(Block("else", op.loc, depth))
            self.region(nested, depth + 1, inside, [*around, op.loc] if loop else around)
        self.links(op)
        if self.plan.items[-1] is block:
            self.plan.items.pop()

    def heading(self, op: Op) -> str:
        """What is written, or what a branch that the compiler made depends on."""
        why, written = op.attrs.get("why"), written_heading(op.loc)
        if op.name in LOOPS:
            return written or op.fn
        if why is None and written.startswith("if"):
            return written
        return f"{_DECIDED} {why or Writer(self.name).text(op.operands[0])}"

    def links(self, op: Op) -> None:
        """The results of control flow come from the operators at its end."""
        for i, result in enumerate(op.results):
            ends = op.regions if op.name == "scf.if" else op.regions[-1:]
            made = {n for r in ends for n in self.makers.get(r.terminator.operands[i], [])}
            self.makers[result] = sorted(made)

    def operator(self, op: Op, depth: int, runs: float, around: list[Location]) -> None:
        number = len(self.plan.operators) + 1
        cell = Group((op,), tuple(op.results)) if isinstance(op, Cell) else None
        made = Operator(number, template_of(op), op.loc, _places(op), depth, runs, [])
        made.reads = sorted({n for v in op.operands for n in self.makers.get(v, [])})
        made.cost, made.unfused = self.estimator.cost(op), self.estimator.unfused(op)
        made.fused = len(self.estimator.parts(op)) if op.regions else 1
        made.how = how_it_runs(op, cell, self.shown)
        made.in_place = self.in_place(op)
        left = [loop for p in made.places if (loop := self.loops.get(p)) is not None and loop not in around]
        if left:
            made.hoisted = left[0].line
        for i, result in enumerate(op.results):
            self.names[result] = result.name or f"#{number}" + (f".{i + 1}" if len(op.results) > 1 else "")
            self.makers[result] = [number]
        expressions = self.expressions(op)
        for result, expression in zip(op.results, expressions, strict=bool(op.results)):
            made.outputs.append(self.output(op, result, expression, cell))
        if not op.results:
            made.outputs.append(Output("", expressions[0], "", "", None))
        self.plan.items.append(made)

    def output(self, op: Op, result: Value, expression: str, cell: Group | None) -> Output:
        stored_here = isinstance(result.type, Matrix) and op.name != "core.call"
        format = format_of(op, result, cell, self.shown) if stored_here else None
        return Output(
            self.names[result],
            expression,
            result.type.text,
            size_text(result),
            format,
            self.estimator.stored(result),
        )

    # -- expressions ----------------------------------------------------------------------------------------------

    def name(self, value: Value) -> str | None:
        """How a value outside of an expression is called."""
        found = self.names.get(value)
        if found is not None:
            return found
        op = value.op
        if op is None:
            return value.name or "·"
        if op.name == "core.constant":
            return None
        return value.name or (None if op.dialect == "dml" and not op.regions else "·")

    def shown(self, value: Value) -> str:
        return self.name(value) or "·"

    def expressions(self, op: Op) -> list[str]:
        """What each result of an operator is, in DML."""
        if op.name == "fused.convert":
            return [f"{self.shown(op.operands[0])} as {CONVERTED[str(op.attrs['format'])]}"]
        if op.name == "fused.recast":
            precision = "double" if op.attrs["elem"] == "f64" else "single"
            return [f"{self.shown(op.operands[0])} in {precision} precision"]
        if op.dialect != "fused" or not op.regions:
            shown = Writer(self.name).expression(op)[0]
            return [shown, *(f"{shown}, result {i}" for i in range(2, len(op.results) + 1))]
        body = op.regions[0]
        known: dict[Value, str] = {}
        arguments = list(body.args)
        operands = list(op.operands)
        outer = op.name == "fused.outer"
        if outer:
            products = op.attrs["products"]
            assert isinstance(products, tuple)
            for i, turned in enumerate(products):
                left, right = (
                    self.factor(v, str(turned), f)
                    for v, f in zip(operands[2 * i : 2 * i + 2], "lr", strict=True)
                )
                known[arguments[i]] = f"({left} %*% {right})"
            arguments, operands = arguments[len(products) :], operands[2 * len(products) :]
        for arg, value in zip(arguments, operands, strict=False):
            known[arg] = self.name(value) or Writer(self.name).text(value, 9)
        closing = [self.name(v) or "·" for v in operands[len(arguments) :]]
        outputs = op.attrs["outputs"]
        assert isinstance(outputs, tuple)
        texts = []
        for kind, value, result in zip(outputs, body.terminator.operands, op.results, strict=True):
            writer = Writer(known.get, rowwise=op.name == "fused.row")
            if kind == "product":
                texts.append(writer.text(value))
            elif kind == "right":
                texts.append(f"{writer.text(value, 6)} %*% {closing.pop(0)}")
            elif kind == "left":
                texts.append(f"t({writer.text(value)}) %*% {closing.pop(0)}")
            elif kind == "map":
                texts.append(writer.text(value))
                # What follows can say it by its name.
                if value.op is not None and value.op.name != "core.constant":
                    known[value] = self.names[result]
            else:
                dir, _, fn = str(kind).partition(":")
                names = {"min": "min_of", "max": "max_of"}
                texts.append(f"{aggregate_name(names.get(fn, fn), dir)}({writer.text(value)})")
        return texts

    def factor(self, value: Value, turned: str, flag: str) -> str:
        name = self.name(value) or "·"
        return f"t({name})" if flag in turned else name

    def in_place(self, op: Op) -> list[str]:
        """The operands whose memory a result may take over."""
        reuse = op.attrs.get("reuse", ())
        assert isinstance(reuse, tuple)
        taken = [int(i) for i in reuse] if op.dialect == "fused" else list(op.consumes)  # type: ignore[arg-type]
        return [self.name(op.operands[i]) or "·" for i in taken if isinstance(op.operands[i].type, Matrix)]


def size_text(value: Value) -> str:
    """`1000x50`, with bounds of non-zeros; `scalar`."""
    type = value.type
    if not isinstance(type, Matrix):
        return "scalar" if not isinstance(type, Handle) else type.text
    text = f"{_dim(type.rows)}x{_dim(type.cols)}"
    return text if type.nnz is None else f"{text}, nnz ≤ {type.nnz}"


def _dim(dim: Dim) -> str:
    return "?" if dim is None else str(dim)


def _is_work(op: Op) -> bool:
    known = op.dialect == "fused" or op.name == "core.call" or (op.dialect == "dml" and op.fn not in _FREE)
    return known and _is_matrix_work(op)


def _is_matrix_work(op: Op) -> bool:
    return any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results))


def _places(op: Op) -> list[Location]:
    return list(dict.fromkeys(o.loc for o in op.walk() if o.dialect != "core" and o.loc.line > 0))


def _trips(op: Op) -> float | None:
    if op.name == "scf.while":
        return None
    start, stop, step = (constant(v) for v in op.operands[:3])
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step:
        return float(max(0, (stop - start) // step + 1))
    return None


def written_heading(loc: Location) -> str:
    """`for (i in 1:n)` where the source has a loop or branch at this place, else nothing."""
    text = (loc.source.line(loc.line) or "")[max(0, loc.col - 1) :]
    found = re.match(r"(?:if|for|parfor|while)\s*\(", text)
    if found is None:
        return ""
    deep = 1
    for end in range(found.end(), len(text)):
        deep += {"(": 1, ")": -1}.get(text[end], 0)
        if deep == 0:
            return text[: end + 1]
    return text.rstrip()
