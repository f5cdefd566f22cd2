"""The search for a fusion plan of one region.

Vertical: every producer with one consumer is computed inside it. Producers with several are the interesting points
(Boehm et al., On Optimizing Operator Fusion Plans for Large-Scale Machine Learning in SystemML, VLDB 2018): each is either
written once or computed again where it is used. All assignments of up to `EXACT` points are tried, more points one by one.
Horizontal: groups that read the same matrices are joined while that saves time and loses no sparse driver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, product

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.fused import Cell
from sysmlc.passes.fusion.cost import bytes_of, group_seconds
from sysmlc.passes.fusion.groups import Group, feeds, joined, same_shape

EXACT = 8


@dataclass
class Graph:
    """The cells of a region and how everything in it depends on each other."""

    region: Region
    cells: list[Op] = field(default_factory=list)
    order: dict[Op, int] = field(default_factory=dict)
    needs: dict[Op, set[Op]] = field(default_factory=dict)
    consumers: dict[Op, list[Op]] = field(default_factory=dict)
    """For each cell, the cells that can compute it inside themselves."""
    leaves: set[Op] = field(default_factory=set)
    """Cells with a result that something else than such a consumer uses."""

    def __post_init__(self) -> None:
        for i, op in enumerate(self.region):
            self.order[op] = i
            self.needs[op] = {d for v in _reads(op) if (d := self._here(v)) is not None and d is not op}
        self.cells.extend(op for op in self.order if isinstance(op, Cell))
        for cell in self.cells:
            users = [u for r in cell.results for u in r.users()]
            fusible = [
                u
                for u in dict.fromkeys(users)
                if isinstance(u, Cell) and u.parent is self.region and feeds(cell, u)
            ]
            self.consumers[cell] = fusible
            inside = {(r, u) for u in fusible for r in feeds(cell, u)}
            if any((r, u) not in inside for r in cell.results for u in r.users()):
                self.leaves.add(cell)

    def _here(self, value: Value) -> Op | None:
        """The operation of this region that makes a value, itself or deep inside."""
        op = value.op
        while op is not None and op.parent is not self.region:
            op = op.parent_op
        return op

    def path(self, sources: Iterable[Op], targets: Iterable[Op], via: dict[Op, Group]) -> bool:
        """Whether a target depends on a source through something outside both, groups taken as one."""
        goal, start = set(sources), set(targets)
        last = min(self.order[op] for op in goal)
        stack = [d for op in start for d in self.needs[op] if d not in start]
        seen = set(stack)
        while stack:
            op = stack.pop()
            if op in goal:
                return True
            members = via[op].cells if op in via else (op,)
            for member in members:
                for d in self.needs[member]:
                    if d not in seen and (self.order[d] >= last or d in goal):
                        seen.add(d)
                        stack.append(d)
        return False


def _reads(op: Op) -> Iterable[Value]:
    yield from op.operands
    for region in op.regions:
        for inner in region.walk():
            yield from inner.operands


def plan_region(region: Region) -> list[Group]:
    """The groups to build, each with more than one cell or output to share, cheapest plan found."""
    graph = Graph(region)
    if len(graph.cells) < 2:
        return []
    points = [
        c for c in graph.cells if len(graph.consumers[c]) + (c in graph.leaves) > 1 and graph.consumers[c]
    ]
    best, best_seconds = _evaluate(graph, frozenset())
    if len(points) <= EXACT:
        for choice in product((False, True), repeat=len(points)):
            cut = frozenset(p for p, chosen in zip(points, choice, strict=True) if chosen)
            if cut:
                groups, seconds = _evaluate(graph, cut)
                if seconds < best_seconds:
                    best, best_seconds = groups, seconds
        return best
    cut = frozenset()
    for point in points:
        groups, seconds = _evaluate(graph, cut | {point})
        if seconds < best_seconds:
            best, best_seconds, cut = groups, seconds, cut | {point}
    return best


def _evaluate(graph: Graph, cut: frozenset[Op]) -> tuple[list[Group], float]:
    groups = _join(graph, _vertical(graph, cut))
    return groups, sum(group_seconds(g) for g in groups)


def _vertical(graph: Graph, cut: frozenset[Op]) -> list[Group]:
    """One group for each cell that must write something, with all it can compute inside."""
    inlined: dict[Op, bool] = {}
    for cell in graph.cells:
        inlined[cell] = bool(graph.consumers[cell]) and cell not in cut
    groups: list[Group] = []
    for cell in graph.cells:
        if inlined[cell] and cell not in graph.leaves:
            continue
        members = {cell}
        stack = [cell]
        while stack:
            consumer = stack.pop()
            for value in consumer.operands:
                producer = value.op
                if (
                    producer in inlined
                    and inlined[producer]
                    and producer not in members
                    and feeds(producer, consumer)
                ):
                    trial = _group(graph, members | {producer}, cell)
                    if trial.fits and not _detour(graph, trial):
                        members.add(producer)
                        stack.append(producer)
        groups.append(_group(graph, members, cell))
    return _complete(graph, groups)


def _group(graph: Graph, members: set[Op], root: Op) -> Group:
    """A group for `root`: those of its results that anything uses are written."""
    cells = tuple(sorted(members, key=graph.order.__getitem__))
    return Group(cells, tuple(r for r in root.results if r.uses))


def _detour(graph: Graph, group: Group) -> bool:
    """Whether a member depends on another through something that is not in the group, or on what is only known at the end."""
    inside = set(group.cells)
    for cell in group.cells:
        for value in cell.operands:
            producer = value.op
            if producer in inside and value not in feeds(producer, cell):
                return True
    outside = {d for c in group.cells for d in graph.needs[c] if d not in inside}
    first = min(graph.order[c] for c in group.cells)
    stack, seen = list(outside), set(outside)
    while stack:
        op = stack.pop()
        for d in graph.needs[op]:
            if d in inside:
                return True
            if d not in seen and graph.order[d] > first:
                seen.add(d)
                stack.append(d)
    return False


def _complete(graph: Graph, groups: list[Group]) -> list[Group]:
    """Give every value that some group reads and none writes a group of its own (when inlining did not fit)."""
    written = {v for g in groups for v in g.outputs}
    missing = [
        c for c in graph.cells for r in c.results if r not in written and any(r in g.inputs for g in groups)
    ]
    if not missing:
        return groups
    return _complete(graph, groups + [_group(graph, {c}, c) for c in dict.fromkeys(missing)])


def _join(graph: Graph, groups: list[Group]) -> list[Group]:
    """Join groups that share inputs, the greatest saving first."""
    groups = list(groups)
    seconds = {g: group_seconds(g) for g in groups}
    refused: set[tuple[Group, Group]] = set()
    while True:
        best: tuple[float, Group, Group, Group] | None = None
        for a, b in combinations(groups, 2):
            if (a, b) in refused or not same_shape(a.shape, b.shape) or not _related(a, b):
                continue
            both = joined(a, b, graph.order)
            via = {c: g for g in groups if g is not a and g is not b for c in g.cells if len(g.cells) > 1}
            legal = (
                both.fits
                and (not (a.drivers or b.drivers) or bool(both.drivers))
                and not _detour(graph, both)
            )
            legal = legal and not graph.path(a.cells, b.cells, via) and not graph.path(b.cells, a.cells, via)
            gain = seconds[a] + seconds[b] - group_seconds(both) if legal else 0.0
            if gain <= 0:
                refused.add((a, b))
            elif best is None or gain > best[0]:
                best = (gain, a, b, both)
        if best is None:
            return groups
        _, a, b, both = best
        groups = [g for g in groups if g is not a and g is not b] + [both]
        seconds[both] = group_seconds(both)


def _related(a: Group, b: Group) -> bool:
    """Whether joining could save reading something large."""
    common = set(a.inputs) & set(b.inputs)
    flows = {v for v in a.outputs if v in b.inputs} | {v for v in b.outputs if v in a.inputs}
    shared = any(c in b.cells for c in a.cells)
    return shared or any(bytes_of(v) > 4096 for v in common | flows)
