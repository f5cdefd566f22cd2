"""Lowering of loops: the variables that change in a loop become values it carries from round to round.

A variable that is read before it is assigned enters the body as an argument, whose type must be known before the
body is lowered: it starts as what the variable is before the loop, and when the body turns out to make it something
wider (a double of an integer), the body is thrown away and lowered again. All other carried variables only leave the
loop, and get their type from the lowered body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.flow import Effect
from sysmlc.frontends.dml.frame import Frame, Variable, literal, lowers
from sysmlc.frontends.dml.types import describe, forget_nonzeros, forget_sizes, is_scalar, merge
from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.core import Yield
from sysmlc.ir.dialects.dml_cell import Binary, IfElse
from sysmlc.ir.dialects.dml_scalar import Stop, Undefined
from sysmlc.ir.dialects.scf import For, If, ParFor, While
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.source import Diagnostic, Note
from sysmlc.ir.types import Type, i1, i64


@dataclass(slots=True)
class Carried:
    """A variable that a loop carries."""

    name: str
    before: Variable | None
    type: Type
    flagged: bool
    args: list[Value] = field(default_factory=list)
    """One for each region; empty where the body never looks at the value from outside."""
    flags: list[Value] = field(default_factory=list)


@lowers(ast.While)
def _while(frame: Frame, node: ast.While) -> None:
    def lower_round(regions: list[Region]) -> None:
        cond, body = regions
        env = frame.env
        with frame.inside(cond):
            frame.env = _view(env, body, cond)
            condition = frame.attempt(node.cond, i1, lambda: frame.truth(node.cond, "while"))
            frame.op(node.cond, Yield, [condition])
        frame.env = env
        with frame.inside(body):
            frame.block(node.body)

    def finish(inits: list[Value], types: list[Type], regions: list[Region]) -> Op:
        return frame.op(node, While, inits, types=types, regions=regions)

    _Loop(frame, node, 2, False).lower(lower_round, finish)


@lowers(ast.For, ast.ParFor)
def _for(frame: Frame, node: ast.For) -> None:
    options = ""
    if isinstance(node, ast.ParFor):
        from sysmlc.frontends.dml.parfor import check_dependencies, parameters  # few scripts need it

        options = parameters(frame, node)
        if "check=0" not in options.split(","):
            for error in check_dependencies(node, frame.flow, frame.env):
                frame.session.report(error)
    elif node.params:
        raise Diagnostic(
            "only 'parfor' has parameters", node.params[0].loc, hint="write parfor (…) or drop them"
        )
    start, stop, step = _bounds(frame, node)

    def lower_round(regions: list[Region]) -> None:
        counter = regions[0].args[0]
        with frame.inside(regions[0]):
            frame.env[node.var.name] = Variable(counter, None, node.var)
            frame.block(node.body)

    def finish(inits: list[Value], types: list[Type], regions: list[Region]) -> Op:
        if isinstance(node, ast.ParFor):
            return frame.op(
                node, ParFor, start, stop, step, inits, types=types, regions=regions, options=options
            )
        return frame.op(node, For, start, stop, step, inits, types=types, regions=regions)

    _Loop(frame, node, 1, node.range.by is None, counter=node.var.name).lower(lower_round, finish)


def _bounds(frame: Frame, node: ast.For) -> tuple[Value, Value, Value]:
    """Start, end and step as integers. Without a step the loop counts towards its end, also downwards."""
    span = node.range
    values: list[Value] = []
    for bound, what in ((span.start, "the start"), (span.stop, "the end"), (span.by, "the step")):
        if bound is not None:
            evaluate = partial(frame.scalar, bound, i64, f"{what} of a loop")
            values.append(frame.attempt(bound, i64, evaluate))
    first, last = values[0], values[1]
    if span.by is not None:
        _check_step(frame, span.by, values[2])
        return first, last, values[2]
    low, high = constant_int(first), constant_int(last)
    if low is not None and high is not None:
        return first, last, frame.constant(node.range, -1 if low > high else 1)
    down = frame.emit(node.range, Binary, "gt", first, last)
    minus, plus = frame.constant(node.range, -1), frame.constant(node.range, 1)
    return first, last, frame.emit(node.range, IfElse, down, minus, plus)


def _check_step(frame: Frame, by: ast.Expr, step: Value) -> None:
    known = constant_int(step)
    text = "the step of a loop must not be 0"
    if known == 0:
        hint = "steps are whole numbers" if isinstance(literal(by), float) else None
        frame.session.report(Diagnostic(text, by.loc, hint=hint))
    elif known is None and step.op is not None and step.op.name != "dml.undefined":
        zero = frame.emit(by, Binary, "eq", step, frame.constant(by, 0))
        wrong, fine = Region(), Region()
        with frame.inside(wrong):
            frame.op(by, Stop, frame.constant(by, text))
            frame.op(by, Yield, [])
        with frame.inside(fine):
            frame.op(by, Yield, [])
        frame.op(by, If, zero, types=[], regions=[wrong, fine])


def _view(env: dict[str, Variable], body: Region, cond: Region) -> dict[str, Variable]:
    """The variables as the condition of a `while` sees them: through the arguments of its own region."""
    view = dict(env)
    for name, variable in env.items():
        value, flag = variable.value, variable.flag
        if value is not None and value.owner is body:
            twin = cond.args[flag.index] if flag is not None else None
            view[name] = Variable(cond.args[value.index], twin, variable.at)
    return view


class _Loop:
    """One loop being lowered."""

    def __init__(
        self, frame: Frame, node: ast.While | ast.For, regions: int, runs: bool, counter: str = ""
    ) -> None:
        self.frame = frame
        self.node = node
        self.regions = regions
        self.runs = runs
        """Whether the body runs at least once."""
        self.counter = counter
        self.effect: Effect = frame.flow.effects[node]
        self.after = frame.flow.after[node]
        self.known = frame.carried.setdefault(node, {})

    def lower(
        self,
        lower_round: Callable[[list[Region]], None],
        finish: Callable[[list[Value], list[Type], list[Region]], Op],
    ) -> None:
        """Lower rounds of the body until the types of the carried variables fit, then build the loop."""
        frame, env, stopped = self.frame, self.frame.env, self.frame.stopped
        # Read before it is assigned, or left as it was by some rounds: either way the body needs the old value.
        kept = self.after - self.effect.kills
        inside = [name for name in self.effect.assigned if name in self.effect.reads or name in kept]
        unassigned: set[str] = set()
        while True:
            errors, poisoned = len(frame.session.errors), len(frame.session.poisoned)
            regions = [Region() for _ in range(self.regions)]
            if self.counter:
                regions[0].add_arg(i64, self.counter)
            carried = [c for name in inside if (c := self._enter(name, regions)) is not None]
            frame.env = self._inner_env(env, carried, inside, unassigned)
            lower_round(regions)
            end, frame.env, frame.stopped = frame.env, env, stopped
            if self._fits(carried, inside, unassigned, end):
                break
            del frame.session.errors[errors:]
            del frame.session.poisoned[poisoned:]
            for region in regions:
                for op in region:
                    op.drop_uses()
        self._leave(carried, regions, end, finish)

    def _enter(self, name: str, regions: list[Region]) -> Carried | None:
        """A variable that the body reads before assigning it."""
        before = self.frame.env.get(name)
        found = self.known.get(name)
        if before is not None and before.value is None:
            return None
        if before is not None and before.value is not None:
            own = before.value.type
            own = forget_sizes(own) if name in self.effect.replaced else forget_nonzeros(own)
            joined = own if found is None else merge(own, found)
            found = joined if joined is not None else own
        if found is None:
            return None  # not known before the loop, nor what the body makes of it
        flagged = before is None or before.flag is not None
        made = Carried(name, before, found, flagged)
        for region in regions:
            made.args.append(region.add_arg(found, name))
            if flagged:
                made.flags.append(region.add_arg(i1, f"{name}_defined"))
        return made

    def _inner_env(
        self, env: dict[str, Variable], carried: list[Carried], inside: list[str], unassigned: set[str]
    ) -> dict[str, Variable]:
        inner = {name: variable for name, variable in env.items() if name not in self.effect.assigned}
        for name in inside:
            before = env.get(name)
            if before is not None and before.value is None:
                inner[name] = before
            elif before is None and name in self.effect.reads and name not in {*self.known, *unassigned}:
                # The first round finds out what it is; what reads it until then is lowered again.
                inner[name] = Variable(None, None, self.node)
        for one in carried:
            at = one.before.at if one.before is not None else self.effect.assigned[one.name]
            inner[one.name] = Variable(one.args[-1], one.flags[-1] if one.flagged else None, at)
        return inner

    def _fits(
        self, carried: list[Carried], inside: list[str], unassigned: set[str], end: dict[str, Variable]
    ) -> bool:
        """Whether the body keeps the types that its variables came in with; else learn the wider ones."""
        fits = True
        for one in carried:
            last = end.get(one.name)
            if last is None or last.value is None:
                continue
            joined = merge(one.type, last.value.type)
            if joined is None:
                self._conflict(one.name, one.type, one.before, last)
                end[one.name] = Variable(None, None, last.at)
            elif joined is not one.type:
                self.known[one.name] = joined
                fits = False
        names = {one.name for one in carried}
        unknown = [name for name in inside if name not in names and name not in self.frame.env]
        for name in unknown:
            last = end.get(name)
            if last is not None and last.value is not None:
                own = last.value.type
                self.known[name] = forget_sizes(own) if name in self.effect.replaced else forget_nonzeros(own)
                fits = False
        if fits and not unassigned.issuperset(unknown):
            unassigned.update(unknown)
            fits = False
        return fits

    def _conflict(self, name: str, type: Type, before: Variable | None, last: Variable) -> None:
        assert last.value is not None
        notes = (Note(f"'{name}' is {describe(type)} here", before.at.loc),) if before is not None else ()
        self.frame.session.report(
            Diagnostic(
                f"'{name}' is {describe(last.value.type)} here, but {describe(type)} before the loop",
                last.at.loc,
                notes=notes,
                hint="use different names for values of different kinds",
            )
        )

    # ---- the end of the loop

    def _leave(
        self,
        carried: list[Carried],
        regions: list[Region],
        end: dict[str, Variable],
        finish: Callable[[list[Value], list[Type], list[Region]], Op],
    ) -> None:
        frame, node, body = self.frame, self.node, regions[-1]
        entered = {one.name for one in carried}
        poisoned: dict[str, Variable] = {}
        for name in self.effect.assigned:
            last = end.get(name)
            if last is not None and last.value is None:
                poisoned[name] = last
            elif name not in entered and last is not None:
                late = self._late(name, last)
                if late is None:
                    poisoned[name] = Variable(None, None, last.at)
                elif name in self.after:
                    carried.append(late)
                    for region in regions:
                        region.add_arg(late.type, name)
                        if late.flagged:
                            region.add_arg(i1, f"{name}_defined")
        inits: list[Value] = []
        types: list[Type] = []
        yields: list[Value] = []
        for one in carried:
            self._carry(one, end.get(one.name), body, inits, types, yields)
        with frame.inside(body):
            frame.op(node, Yield, yields)
        op = finish(inits, types, regions)
        for name in self.effect.assigned:
            frame.env.pop(name, None)
        results = iter(op.results)
        for one in carried:
            value = next(results)
            value.name = one.name
            flag = next(results) if one.flagged else None
            last = end.get(one.name) or one.before
            at = last.at if last is not None else self.effect.assigned[one.name]
            if self.runs and flag is not None and last is not None and last.flag is None:
                flag = None
            frame.env[one.name] = Variable(value, flag, at)
        frame.env.update(poisoned)

    def _late(self, name: str, last: Variable) -> Carried | None:
        """A variable that only leaves the loop: what it is afterwards. None: its kinds do not fit."""
        before = self.frame.env.get(name)
        assert last.value is not None
        type = last.value.type
        if before is not None and before.value is not None:
            joined = merge(before.value.type, type)
            if joined is None and name != self.counter:
                self._conflict(name, before.value.type, before, last)
                return None
            if joined is None:
                before = None  # the loop variable takes the place of what had its name
            elif not self.runs:
                type = joined
        unsure = last.flag is not None or (not self.runs and (before is None or before.flag is not None))
        return Carried(name, before, type, unsure)

    def _carry(
        self,
        one: Carried,
        last: Variable | None,
        body: Region,
        inits: list[Value],
        types: list[Type],
        yields: list[Value],
    ) -> None:
        """Add the initial value and the value at the end of a round, in the carried type, and their flags."""
        frame, node = self.frame, self.node
        before = one.before
        useless = before is None or before.value is None or (not one.args and self.runs)
        if useless or before is None or before.value is None:
            inits.append(frame.emit(node, Undefined, types=[one.type]))
        else:
            inits.append(_widened(frame, node, before.value, one.type))
        types.append(one.type)
        with frame.inside(body):
            if last is not None and last.value is not None:
                yields.append(_widened(frame, node, last.value, one.type))
            else:
                yields.append(one.args[-1] if one.args else frame.emit(node, Undefined, types=[one.type]))
        if one.flagged:
            flag = before.flag if before is not None and not useless else None
            inits.append(flag if flag is not None else frame.constant(node, not useless))
            types.append(i1)
            with frame.inside(body):
                known = last.flag if last is not None else None
                yields.append(known if known is not None else frame.constant(node, True))


def _widened(frame: Frame, node: ast.Node, value: Value, type: Type) -> Value:
    if is_scalar(type) and is_scalar(value.type):
        return frame.cast(node, value, type)
    return value
