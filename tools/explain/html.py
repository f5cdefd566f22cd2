"""A plan as an HTML page that needs nothing but itself: the source, the operators, their graph, the rewrites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Final

from sysmlc.ir.source import Location, Source
from sysmlc.tools.explain.graph import graph
from sysmlc.tools.explain.plan import Block, Operator, Plan
from sysmlc.tools.explain.reasons import TEMPLATES
from sysmlc.tools.explain.rewrites import Rewrite
from sysmlc.tools.explain.text import (
    cost_text,
    memory_text,
    notes,
    seconds_text,
    short_name,
    trips_text,
    work_text,
)

_TOKEN: Final = re.compile(
    r"(?P<c>#.*)|(?P<s>\"[^\"]*\"|'[^']*')|(?P<k>\b(?:if|else|for|parfor|while|in|function|return|source|as(?=\s)|TRUE|FALSE)\b)"
)


def page(plan: Plan, rewrites: Sequence[Rewrite]) -> str:
    """The whole page."""
    tabs = {
        "operators": _operators(plan),
        "graph": graph(plan),
        "rewrites": "".join(map(_rewrite, rewrites)) or "<p>No rule applied.</p>",
    }
    first = next(iter(tabs))
    buttons = "".join(
        f'<button data-tab="{t}"{_on(t == first)}>{t}{f" ({len(rewrites)})" if t == "rewrites" else ""}</button>'
        for t in tabs
    )
    sections = "".join(
        f'<section data-tab="{t}"{_on(t == first)}>{body}</section>' for t, body in tabs.items()
    )
    title = escape(short_name(_here(plan.name)))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Plan of {title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>\n{_resource('page.css')}</style></head>\n<body>{_header(plan, title)}\n"
        f'<main><div class="source">{_sources(plan)}</div>\n'
        f'<div class="panel"><nav>{buttons}</nav>{sections}</div></main>\n'
        f"<script>\n{_resource('page.js')}</script></body></html>\n"
    )


def _here(name: str) -> Location:
    return Location(Source(name, ""), 1, 1)


def _on(condition: bool) -> str:
    return ' class="on"' if condition else ""


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _header(plan: Plan, title: str) -> str:
    operators = plan.operators
    fused = [o for o in operators if o.fused > 1]
    total, without = plan.total, plan.total_unfused
    most = max(total.seconds, without.seconds) or 1.0
    legend = "".join(
        f'<span style="--c:var(--{kind})" title="{what}">{kind} {count}</span>'
        for kind, what in TEMPLATES.items()
        if (count := sum(o.template == kind for o in operators))
    )
    bars = "".join(
        f'<span>{label}</span><div class="bar{kind}" style="--c:var(--cell);--w:{100 * cost.seconds / most:.1f}%"></div>'
        f"<span>{cost_text(cost)}</span>"
        for label, kind, cost in (("this plan", "", total), ("without fusion", " without", without))
    )
    about = f"{len(operators)} operators at -O{plan.level}"
    if fused:
        about += f", {sum(o.fused for o in fused)} operations fused into {len(fused)}"
    tilde = "<br>~ rests on sizes that are not known, taken as 1000" if total.assumed else ""
    return (
        f"<header><div><h1>{title}</h1><p>{about}<br>{memory_text(plan)}{tilde}</p></div>"
        f'<div class="totals">{bars}</div><div class="legend">{legend}</div>'
        '<button class="theme" title="light or dark">◐</button></header>'
    )


# -- source ----------------------------------------------------------------------------------------------------------


def _sources(plan: Plan) -> str:
    """Every file that operators come from, the script first; a line knows its operators."""
    sources: dict[str, Source] = {}
    lines: dict[tuple[str, int], list[Operator]] = {}
    for op in plan.operators:
        for place in op.places or [op.loc]:
            sources.setdefault(place.source.name, place.source)
            at = lines.setdefault((place.source.name, place.line), [])
            if op not in at:
                at.append(op)
    slowest = max((o.cost.seconds * o.runs for o in plan.operators), default=0.0) or 1.0
    parts = []
    for name in sorted(sources, key=lambda n: n != plan.name):
        parts.append(f"<h2>{escape(name)}</h2>")
        text = sources[name].text.rstrip("\n").split("\n")
        parts += [_line(name, n, code, lines.get((name, n), []), slowest) for n, code in enumerate(text, 1)]
    return "\n".join(parts)


def _line(file: str, number: int, code: str, operators: list[Operator], slowest: float) -> str:
    shown = _TOKEN.sub(_coloured, escape(code, quote=False))
    here = f'data-at="{escape(file)}:{number}"'
    if not operators:
        return f'<div class="l" {here}><i>{number}</i><b></b><span>{shown}</span></div>'
    own = [o for o in operators if o.loc.line == number] or operators
    heaviest = max(own, key=lambda o: o.cost.seconds * o.runs)
    share = min(1.0, sum(o.cost.seconds * o.runs for o in own) / slowest)
    numbers = " ".join(str(o.number) for o in operators)
    return (
        f'<div class="l has" {here} data-ops="{numbers}" style="--c:var(--{heaviest.template});--w:{2 + 38 * share:.0f}px">'
        f"<i>{number}</i><b></b><span>{shown}</span></div>"
    )


def _coloured(found: re.Match[str]) -> str:
    return f'<span class="{found.lastgroup}" style="padding:0;box-shadow:none">{found.group()}</span>'


# -- operators -------------------------------------------------------------------------------------------------------


def _operators(plan: Plan) -> str:
    slowest = max(
        (max(o.cost.seconds, o.unfused.seconds if o.unfused else 0.0) * o.runs for o in plan.operators),
        default=0.0,
    )
    return "\n".join(
        _block(item) if isinstance(item, Block) else _operator(item, plan, slowest or 1.0)
        for item in plan.items
    )


def _block(block: Block) -> str:
    repeats = f" — {trips_text(block)}" if block.loop else ""
    return f'<div class="block" style="--d:{block.depth}"><code>{escape(block.text)}</code>{repeats}</div>'


def _operator(op: Operator, plan: Plan, slowest: float) -> str:
    place = op.loc.source.name != plan.name
    where = f"{escape(short_name(op.loc))}:{op.loc.line}" if place else f"line {op.loc.line}"
    runs = f" · ×{op.runs:.0f}" if op.runs != 1 else ""
    kind = op.template + (f" · {op.fused} operations in one" if op.fused > 1 else "")
    shown = []
    for output in op.outputs:
        target = f"<b>{escape(output.name)}</b> = " if output.name and " <- " not in output.expression else ""
        shown.append(f'<div class="expr">{target}{escape(output.expression)}</div>')
        if output.format is not None:
            shown.append(
                f'<div class="facts">{escape(output.size)} · <em>{escape(output.format.name)}</em>: '
                f"{escape(output.format.why)}</div>"
            )
    bars = [(op.cost, "", "")]
    if op.unfused is not None:
        bars.append((op.unfused, " without", " one by one"))
    costs = "".join(
        f"<span>{'~' if cost.assumed else ''}{seconds_text(cost.seconds)}{label}</span>"
        f'<div><div class="bar{style}" style="--w:{100 * cost.seconds * op.runs / slowest:.2f}%"></div></div>'
        f"<span>{work_text(cost)}</span>"
        for cost, style, label in bars
    )
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(op))
    return (
        f'<div class="op" data-ops="{op.number}" style="--c:var(--{op.template});--d:{op.depth}">'
        f'<div class="head"><span class="n">#{op.number}</span><span class="t">{kind}</span>'
        f'<span class="place">{where}{runs}</span></div>{"".join(shown)}'
        f'<div class="cost">{costs}</div>{f"<ul class=notes>{said}</ul>" if said else ""}</div>'
    )


def _rewrite(one: Rewrite) -> str:
    rows = "".join(
        f'<tr><td>{label}</td><td class="expr">{escape(text)}</td><td>{_seconds(cost)}</td></tr>'
        for label, text, cost in (
            ("before", one.before, one.seconds_before),
            ("after", one.after, one.seconds_after),
        )
    )
    where = f"{escape(short_name(one.loc))}:{one.loc.line}" if one.loc.line > 0 else ""
    return (
        f'<div class="step" data-at="{escape(one.loc.source.name)}:{one.loc.line}"><div class="rule">{where} · {escape(one.pass_name)}: <code>{escape(one.rule)}</code></div>'
        f"<table>{rows}</table></div>"
    )


def _seconds(cost: float | None) -> str:
    return "" if cost is None else seconds_text(cost) if cost else "free"
