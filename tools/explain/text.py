"""A plan and rewrites as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sysmlc.ir.source import Location
from sysmlc.tools.explain.estimates import Estimate
from sysmlc.tools.explain.plan import UNKNOWN_TRIPS, Block, Operator, Plan
from sysmlc.tools.explain.reasons import TEMPLATES
from sysmlc.tools.explain.rewrites import Rewrite

_WIDTH: Final = 96


def plan_text(plan: Plan) -> str:
    """The plan by source line, in the order of execution."""
    lines = [*_summary(plan), ""]
    line: tuple[str, int] | None = None
    for item in plan.items:
        pad = "  " * item.depth
        here = (item.loc.source.name, item.loc.line)
        if isinstance(item, Block):
            repeats = f"   ({trips_text(item)})" if item.loop else ""
            whole = source_line(item.loc)
            # What is written on one line with its heading is shown with it, once.
            shown = whole if here != line and whole.startswith(item.text) else item.text
            lines.append(_line_head(item.loc, plan.name, pad, shown, cut=shown is whole) + repeats)
            line = None if item.text.startswith("function") else here
            continue
        if here != line:
            lines.append(_line_head(item.loc, plan.name, pad, source_line(item.loc)))
            line = here
        lines += [pad + text for text in _operator(item)]
    return "".join(f"{text.rstrip()}\n" for text in lines)


def _summary(plan: Plan) -> list[str]:
    operators = plan.operators
    fused = [o for o in operators if o.fused > 1]
    total, without = plan.total, plan.total_unfused
    kinds = [f"{n} {kind}" for kind in TEMPLATES if (n := sum(o.template == kind for o in operators))]
    about = " (~: rests on sizes that are not known; they count as 1000" if total.assumed else " ("
    about += f"; loops of unknown length as {UNKNOWN_TRIPS} rounds)" if total.assumed else "estimates)"
    if not operators:
        return [f"plan of {plan.name} at -O{plan.level}: no operators on matrices"]
    shown = [f"plan of {plan.name} at -O{plan.level}: {len(operators)} operators ({', '.join(kinds)})"]
    if fused:
        shown.append(f"  fused: {sum(o.fused for o in fused)} operations in {len(fused)} passes over data")
    shown.append(f"  {memory_text(plan)}")
    shown.append(f"  estimated: {cost_text(total)}{about}")
    if fused:
        shown.append(f"  without fusion: {cost_text(without)}")
    return shown


def memory_text(plan: Plan) -> str:
    """How much is materialised, and the peak."""
    written = plan.materialised
    mark = "~" if plan.total.assumed else ""
    shown = f"materialised: {len(written)} matrices, {mark}{_scaled(sum(w.bytes for w in written), 'B')}"
    return (
        shown if plan.peak_bytes is None else f"{shown}; at most {_scaled(plan.peak_bytes, 'B')} at one time"
    )


def _line_head(loc: Location, main: str, pad: str, text: str, cut: bool = True) -> str:
    place = f"{loc.line:>4}" if loc.source.name == main or loc.line <= 0 else f"{short_name(loc)}:{loc.line}"
    return f"{place}  {pad}{_cut(text) if cut else text}"


def _operator(op: Operator) -> list[str]:
    lines = []
    for i, output in enumerate(op.outputs):
        lead = f"      #{op.number:<3} {op.template:<8}" if i == 0 else " " * 19
        target = f"{output.name} = " if output.name and " <- " not in output.expression else ""
        lines.append(f"{lead}{_cut(target + output.expression)}")
        stored = f" {output.format.name}: {output.format.why}" if output.format else ""
        if output.size != "scalar":
            lines.append(f"{'':21}{output.size}{stored}")
    if op.template == "call":
        return lines
    lines.append(f"{'':21}{cost_text(op.cost)}")
    if op.unfused is not None:
        lines[-1] += f" instead of {cost_text(op.unfused)} for {op.fused} operations one by one"
    lines += [f"{'':21}{note}" for note in notes(op)]
    return [text for text in lines if text.strip()]


def notes(op: Operator) -> list[str]:
    """What else there is to say about an operator."""
    found = []
    if op.how:
        found.append(op.how)
    if op.in_place:
        found.append(f"in place, where nobody else needs {' or '.join(op.in_place)}")
    others = sorted({f"line {p.line}" if p.source.name == op.loc.source.name else f"{short_name(p)}:{p.line}"
                     for p in op.places if (p.source.name, p.line) != (op.loc.source.name, op.loc.line)})  # fmt: skip
    if others:
        found.append(f"together with {', '.join(others)}")
    if op.hoisted:
        found.append(f"taken out of the loop at line {op.hoisted}")
    return found


def trips_text(block: Block) -> str:
    """How often a loop runs."""
    if block.trips is None:
        return "rounds not known"
    return f"{block.trips:.0f} round{'s' if block.trips != 1 else ''}"


def cost_text(cost: Estimate) -> str:
    """`1.2 MB, 3.4 Mflop, 56 us`; `~` before what rests on assumptions."""
    mark = "~" if cost.assumed else ""
    return f"{work_text(cost)}, {mark}{seconds_text(cost.seconds)}"


def work_text(cost: Estimate) -> str:
    """`1.2 MB, 3.4 Mflop`"""
    mark = "~" if cost.assumed else ""
    return f"{mark}{_scaled(cost.bytes, 'B')}, {mark}{_scaled(cost.flops, 'flop')}"


def _scaled(amount: float, unit: str) -> str:
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= factor:
            return f"{amount / factor:.3g} {prefix}{unit}"
    return f"{amount:.0f} {unit}"


def seconds_text(seconds: float) -> str:
    """A time in a unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def source_line(loc: Location) -> str:
    """The line of the source, without indentation and comment."""
    text = (loc.source.line(loc.line) or "").strip()
    return text.partition(" #")[0].rstrip(" {")


def short_name(loc: Location) -> str:
    """The file of a place, without its folders."""
    return loc.source.name.rpartition("/")[2]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def rewrites_text(rewrites: Sequence[Rewrite], name: str) -> str:
    """Each rewrite with its line, before and after, and what both are estimated to cost."""
    lines = [f"{len(rewrites)} rewrite{'s' if len(rewrites) != 1 else ''} of {name}"]
    for one in rewrites:
        lines += ["", f"{one.loc}: {source_line(one.loc)}" if one.loc.line > 0 else "(no place)"]
        lines.append(f"  {one.pass_name}: {one.rule}")
        lines.append(f"    before  {_costed(one.before, one.seconds_before)}")
        lines.append(f"    after   {_costed(one.after, one.seconds_after)}")
    return "".join(f"{text.rstrip()}\n" for text in lines)


def _costed(expression: str, seconds: float | None) -> str:
    cost = "" if seconds is None else seconds_text(seconds) if seconds else "free"
    return f"{_cut(expression):<60}  {cost}"
