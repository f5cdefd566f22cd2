"""The rewrites of a compilation: the rule, the expression before and after, and what both cost by estimate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sysmlc.ir.core import Op, Value
from sysmlc.ir.explain import recording
from sysmlc.ir.passes import Pass, PassManager
from sysmlc.ir.source import Location
from sysmlc.ir.types import Matrix
from sysmlc.tools.explain.algebra import Writer
from sysmlc.tools.explain.estimates import Estimator
from sysmlc.tools.explain.plan import Plan, make_plan


@dataclass(frozen=True)
class Rewrite:
    """One rewrite; costs are seconds, None where they are not told."""

    pass_name: str
    rule: str
    loc: Location
    before: str
    after: str
    seconds_before: float | None
    seconds_after: float | None


class _Watch:
    """Knows which pass is running, and collects what passes without rules have rewritten."""

    def __init__(self) -> None:
        self.current = ""
        self.found: list[Rewrite] = []
        self.seen: set[int] = set()

    def before(self, p: Pass, module: Any) -> None:
        self.current = p.name

    def after(self, p: Pass, module: Any) -> None:
        own: Iterable[Any] = getattr(p, "rewrites", ())
        for one in own:
            if id(one) not in self.seen:
                self.seen.add(id(one))
                costs = float(one.cost_before), float(one.cost_after)
                rule = "cheapest equal plan"
                self.found.append(Rewrite(p.name, rule, one.loc, one.before, one.after, *costs))

    def failed(self, p: Pass, module: Any, error: BaseException) -> None:
        pass

    def describe(self, rule: str, op: Op, values: Sequence[Value]) -> None:
        """Take down a rule's rewrite, if it is about matrices and shows."""
        if not values or not any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results, *values)):
            return
        stop = _sources(values, op)
        before, costs = _text(op.results, stop), (_seconds(op.results, stop), _seconds(values, stop))
        after = _text(values, stop)
        if before != after:
            shown = rule.replace(" @ ", " %*% ")
            self.found.append(Rewrite(self.current, shown, op.loc, before, after, *costs))


def make_rewrites(module: Op, passes: Sequence[Pass]) -> list[Rewrite]:
    """Run passes over a logical module and tell what was rewritten."""
    watch = _Watch()
    with recording(watch.describe):
        PassManager(passes, instruments=[watch]).run(module)  # type: ignore[arg-type]
    return watch.found


def recorded_plan(
    module: Op, name: str, level: int, passes: Sequence[Pass], *, fusion: bool = True
) -> tuple[list[Rewrite], Plan]:
    """The plan of a logical module and the rewrites on the way to it."""
    watch = _Watch()
    with recording(watch.describe):
        plan = make_plan(module, name, level, passes, [watch], fusion=fusion)
    return watch.found, plan


def _sources(values: Sequence[Value], op: Op) -> set[Value]:
    """What both sides are made of: the values that the new expressions end in."""
    old = _inside(op.results, set())
    new = _inside(values, {v for o in old for v in o.results} if old else set())
    made = [o for o in new if o not in old]
    found = {v for o in made for v in o.operands if v.op is None or v.op not in new}
    return found | {v for v in values if v.op is None or v.op not in made}


def _inside(values: Iterable[Value], stop: set[Value]) -> dict[Op, None]:
    """The operations an expression is made of: those that nothing else uses."""
    found: dict[Op, None] = {}
    pending = [v for v in values if v not in stop]
    roots = {v.op for v in pending}
    while pending:
        op = pending.pop().op
        if op is None or op in found or op.regions or "pure" not in op.traits:
            continue
        if op in roots or all(user in found for r in op.results for user in r.users()):
            found[op] = None
            pending += [v for v in op.operands if v not in stop]
    return found


def _text(values: Sequence[Value], stop: set[Value]) -> str:
    inside = _inside(values, stop)

    def name(value: Value) -> str | None:
        op = value.op
        if op is not None and (op.name == "core.constant" or (op in inside and value not in stop)):
            return None
        if value.name:
            return value.name
        simple = op is not None and op.dialect == "dml" and not op.regions
        return None if simple else "·"

    return ", ".join(Writer(name).text(v) for v in values)


def _seconds(values: Sequence[Value], stop: set[Value]) -> float:
    """The cost of the operations that only this side needs."""
    estimator = Estimator()  # sketches hold until the next rewrite
    return sum(estimator.cost(op).seconds for op in _inside(values, stop) if _on_matrices(op))


def _on_matrices(op: Op) -> bool:
    return any(isinstance(v.type, Matrix) for v in (*op.operands, *op.results)) and op.fn not in (
        "nrow",
        "ncol",
    )
