"""The operators of a plan as a drawing: one box each, data flowing down."""

from __future__ import annotations

from html import escape
from typing import Final

from sysmlc.tools.explain.plan import Operator, Plan

WIDTH: Final = 148
HEIGHT: Final = 40
_GAP_X: Final = 18
_GAP_Y: Final = 34
_SWEEPS: Final = 6


def graph(plan: Plan) -> str:
    """An SVG of the operators: layers by depth, what is read above."""
    operators = {o.number: o for o in plan.operators}
    if not operators:
        return "<p>There are no operators on matrices.</p>"
    layers = _layers(operators)
    places = _places(layers, operators)
    slowest = max(o.cost.seconds * o.runs for o in operators.values()) or 1.0
    width = max(x for x, _ in places.values()) + WIDTH + 12
    height = max(y for _, y in places.values()) + HEIGHT + 12
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for number, op in operators.items():
        for read in op.reads:
            if read < number:
                parts.append(_edge(places[read], places[number], read, number))
    parts += [_node(op, places[n], op.cost.seconds * op.runs / slowest) for n, op in operators.items()]
    return "\n".join([*parts, "</svg>"])


def _layers(operators: dict[int, Operator]) -> list[list[int]]:
    """Each operator one layer below the lowest it reads from; what reads nothing is just above its first reader."""
    depth: dict[int, int] = {}
    for number, op in operators.items():
        depth[number] = 1 + max((depth[r] for r in op.reads if r in depth and r < number), default=-1)
    readers: dict[int, list[int]] = {}
    for number, op in operators.items():
        for read in op.reads:
            readers.setdefault(read, []).append(number)
    for number in reversed(list(operators)):
        below = [depth[r] for r in readers.get(number, []) if r > number]
        if below and not any(r < number for r in operators[number].reads):
            depth[number] = min(below) - 1
    layers: list[list[int]] = [[] for _ in range(1 + max(depth.values()))]
    for number in operators:
        layers[max(0, depth[number])].append(number)
    return layers


def _places(layers: list[list[int]], operators: dict[int, Operator]) -> dict[int, tuple[float, float]]:
    """Positions: operators near what they read, and near what reads them."""
    step = WIDTH + _GAP_X
    x: dict[int, float] = {n: i * step for layer in layers for i, n in enumerate(layer)}
    near: dict[int, set[int]] = {n: {r for r in op.reads if r < n} for n, op in operators.items()}
    for n, op in operators.items():
        for r in op.reads:
            if r < n:
                near[r].add(n)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wish = {n: sum(x[m] for m in near[n]) / len(near[n]) if near[n] else x[n] for n in layer}
            at = float("-inf")
            layer.sort(key=wish.__getitem__)
            for n in layer:
                x[n] = at = max(wish[n], at + step)
            # Pushing apart has moved them right: half of it goes back.
            drift = sum(x[n] - wish[n] for n in layer) / len(layer)
            for n in layer:
                x[n] -= drift
    left = min(x.values())
    return {n: (x[n] - left + 6, i * (HEIGHT + _GAP_Y) + 6) for i, layer in enumerate(layers) for n in layer}


def _edge(start: tuple[float, float], end: tuple[float, float], first: int, second: int) -> str:
    x0, y0 = start[0] + WIDTH / 2, start[1] + HEIGHT
    x1, y1 = end[0] + WIDTH / 2, end[1] - 1
    bend = max(14.0, (y1 - y0) / 2)
    return (
        f'<path marker-end="url(#tip)" data-ops="{first} {second}" '
        f'd="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}"/>'
    )


def _node(op: Operator, place: tuple[float, float], share: float) -> str:
    x, y = place
    named = ", ".join(o.name for o in op.outputs if o.name and not o.name.startswith("#"))
    title = "; ".join(f"{o.name} = {o.expression}" if o.name else o.expression for o in op.outputs)
    first = f"#{op.number} {named or op.outputs[0].expression}"
    second = (
        f"{op.outputs[0].size.partition(',')[0] or op.template}{f'  ×{op.runs:.0f}' if op.runs != 1 else ''}"
    )
    return (
        f'<g class="node" data-ops="{op.number}" style="--c:var(--{op.template})"><title>{escape(title)}</title>'
        f'<rect class="box" x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        f'<rect class="fill" x="{x:.0f}" y="{y + HEIGHT - 4:.0f}" width="{max(2.0, share * WIDTH):.1f}" height="4" rx="2"/>'
        f'<text x="{x + 9:.0f}" y="{y + 16:.0f}">{escape(_cut(first))}</text>'
        f'<text class="small" x="{x + 9:.0f}" y="{y + 29:.0f}">{escape(second)}</text></g>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= 20 else text[:19] + "…"
