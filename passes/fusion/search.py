"""The search for a fusion plan of one region.

Vertical: every producer with one consumer is computed inside it. Producers with several are the interesting points
(Boehm et al., On Optimizing Operator Fusion Plans for Large-Scale Machine Learning in SystemML, VLDB 2018): each is either
written once or computed again where it is used. All assignments of up to `EXACT` points are tried, more points one by one, the
largest values first, within a budget.
Horizontal: groups that read the same matrices are joined while that saves time and loses no sparse driver.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, count

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.fused import Cell
from sysmlc.passes.effects import must_follow
from sysmlc.passes.fusion.cost import bytes_of, group_seconds
from sysmlc.passes.fusion.groups import Group, Shape, feeds, same_shape, shape_of

EXACT = 6
BUDGET = 400
"""Groups that may be looked at before the best plan so far is taken."""
SMALL = 4096
"""Bytes that are not worth sharing."""


@dataclass
class Graph:
    """The cells of a region and how everything in it depends on each other."""

    region: Region
    cells: list[Cell] = field(default_factory=list)
    order: dict[Op, int] = field(default_factory=dict)
    needs: dict[Op, set[Op]] = field(default_factory=dict)
    consumers: dict[Op, list[Cell]] = field(default_factory=dict)
    """For each cell, the cells that can compute it inside themselves."""
    fed: set[tuple[Value, Op]] = field(default_factory=set)
    """Values and cells that read them cell by cell."""
    leaves: set[Op] = field(default_factory=set)
    """Cells with a result that something else than such a consumer uses."""
    groups: dict[tuple[tuple[Op, ...], tuple[Value, ...]], Group] = field(default_factory=dict)
    """Groups are made once: what is known about them does not depend on the plan."""
    detours: dict[Group, bool] = field(default_factory=dict)
    sparse: dict[Value, bool] = field(default_factory=dict)
    gains: dict[tuple[Group, Group], tuple[float, Group] | None] = field(default_factory=dict)
    """What joining two groups saves, and the joined group; None where it cannot or should not be done."""

    def __post_init__(self) -> None:
        follows = must_follow(self.region)
        for i, op in enumerate(self.region):
            self.order[op] = i
            self.needs[op] = {d for v in reads(op) if (d := self._here(v)) is not None and d is not op}
            self.needs[op] |= follows.get(op, set())
        self.cells.extend(op for op in self.order if isinstance(op, Cell))
        for cell in self.cells:
            users = [u for r in cell.results for u in r.users()]
            fusible = [
                u
                for u in dict.fromkeys(users)
                if isinstance(u, Cell) and u.parent is self.region and feeds(cell, u)
            ]
            self.consumers[cell] = fusible
            self.fed.update((r, u) for u in fusible for r in feeds(cell, u))
            if any((r, u) not in self.fed for r in cell.results for u in r.users()):
                self.leaves.add(cell)

    def _here(self, value: Value) -> Op | None:
        """The operation of this region that makes a value, itself or deep inside."""
        op = value.op
        while op is not None and op.parent is not self.region:
            op = op.parent_op
        return op

    def group(self, members: Iterable[Op], outputs: Iterable[Value]) -> Group:
        """The group of these cells and results."""
        cells, wanted = tuple(sorted(set(members), key=self.order.__getitem__)), set(outputs)
        key = (cells, tuple(r for c in cells for r in c.results if r in wanted))
        found = self.groups.get(key)
        if found is None:
            found = self.groups[key] = Group(*key, self.sparse)
        return found

    def gain(self, a: Group, b: Group) -> tuple[float, Group] | None:
        """What joining saves, whatever the rest of the plan is."""
        if (a, b) not in self.gains:
            self.gains[a, b] = self._gain(a, b)
        return self.gains[a, b]

    def _gain(self, a: Group, b: Group) -> tuple[float, Group] | None:
        if not same_shape(a.shape, b.shape) or not _related(a, b):
            return None
        both = self.group((*a.cells, *b.cells), (*a.outputs, *b.outputs))
        if not both.fits or ((a.drivers or b.drivers) and not both.drivers) or _detour(self, both):
            return None
        saved = group_seconds(a) + group_seconds(b) - group_seconds(both)
        return (saved, both) if saved > 0 else None

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


def reads(op: Op) -> Iterable[Value]:
    """The values an operation uses, itself or anywhere inside."""
    yield from op.operands
    for region in op.regions:
        for inner in region.walk():
            yield from inner.operands


def plan_region(region: Region) -> list[Group]:
    """The groups to build: of each set of related cells, the cheapest plan found."""
    graph = Graph(region)
    decided: list[Group] = []
    for cells in _related_cells(graph):
        decided += _plan(graph, cells, decided)
    return decided


def _plan(graph: Graph, cells: list[Cell], decided: list[Group]) -> list[Group]:
    points = [c for c in cells if graph.consumers[c] and len(graph.consumers[c]) + (c in graph.leaves) > 1]
    cut: frozenset[Op] = frozenset()
    best, best_seconds = _evaluate(graph, cells, cut, decided)
    if len(points) <= EXACT:
        choices = (frozenset(c) for n in range(1, len(points) + 1) for c in combinations(points, n))
        for choice in choices:
            if len(graph.groups) > BUDGET:
                break
            groups, seconds = _evaluate(graph, cells, choice, decided)
            if seconds < best_seconds:
                best, best_seconds = groups, seconds
        return best
    for point in sorted(points, key=lambda c: -sum(bytes_of(r) for r in c.results)):
        if len(graph.groups) > BUDGET:
            break
        groups, seconds = _evaluate(graph, cells, cut | {point}, decided)
        if seconds < best_seconds:
            best, best_seconds, cut = groups, seconds, cut | {point}
    return best


def _related_cells(graph: Graph) -> list[list[Cell]]:
    """The cells in sets that could be fused: connected by what they compute for each other or read together."""
    leader: dict[Op, Op] = {c: c for c in graph.cells}

    def find(cell: Op) -> Op:
        while leader[cell] is not cell:
            cell = leader[cell]
        return cell

    readers: dict[tuple[Value, Shape], Op] = {}
    for cell in graph.cells:
        for consumer in graph.consumers[cell]:
            leader[find(cell)] = find(consumer)
        for value in cell.operands:
            if bytes_of(value) > SMALL:
                twin = readers.setdefault((value, shape_of(cell)), cell)
                leader[find(twin)] = find(cell)
    sets: dict[Op, list[Cell]] = {}
    for cell in graph.cells:
        sets.setdefault(find(cell), []).append(cell)
    return [cells for cells in sets.values() if len(cells) > 1]


def _evaluate(
    graph: Graph, cells: list[Cell], cut: frozenset[Op], decided: list[Group]
) -> tuple[list[Group], float]:
    groups = _join(graph, _vertical(graph, cells, cut), decided)
    return groups, sum(group_seconds(g) for g in groups)


def _vertical(graph: Graph, cells: list[Cell], cut: frozenset[Op]) -> list[Group]:
    """One group for each cell that must write something, with all it can compute inside."""
    inlined = {cell for cell in cells if graph.consumers[cell] and cell not in cut}
    groups: list[Group] = []
    for cell in cells:
        if cell in inlined and cell not in graph.leaves:
            continue
        members = {cell}
        stack = [cell]
        while stack:
            consumer = stack.pop()
            for value in consumer.operands:
                producer = value.op
                if not isinstance(producer, Cell) or producer not in inlined or producer in members:
                    continue
                if consumer in graph.consumers[producer]:
                    trial = _group(graph, {*members, producer}, cell)
                    if trial.fits and not _detour(graph, trial):
                        members.add(producer)
                        stack.append(producer)
        groups.append(_group(graph, members, cell))
    return _complete(graph, cells, groups)


def _group(graph: Graph, members: Iterable[Op], root: Op) -> Group:
    """A group for `root`: those of its results that anything uses are written."""
    return graph.group(members, [r for r in root.results if r.uses])


def _detour(graph: Graph, group: Group) -> bool:
    """Whether a member depends on another through something that is not in the group, or on what is only known at the end."""
    found = graph.detours.get(group)
    if found is None:
        found = graph.detours[group] = _has_detour(graph, group)
    return found


def _has_detour(graph: Graph, group: Group) -> bool:
    inside = set(group.cells)
    for cell in group.cells:
        for value in cell.operands:
            producer = value.op
            if producer in inside and (value, cell) not in graph.fed:
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


def _complete(graph: Graph, cells: list[Cell], groups: list[Group]) -> list[Group]:
    """Give every value that some group reads and none writes a group of its own (when inlining did not fit)."""
    written = {v for g in groups for v in g.outputs}
    read = {v for g in groups for v in g.inputs}
    missing = [c for c in cells if any(r in read and r not in written for r in c.results)]
    if not missing:
        return groups
    return _complete(graph, cells, [*groups, *(_group(graph, {c}, c) for c in missing)])


def _join(graph: Graph, groups: list[Group], decided: list[Group]) -> list[Group]:
    """Join groups that share inputs, the greatest saving first."""
    alive = dict.fromkeys(groups)
    waiting: list[tuple[float, int, Group, Group, Group]] = []
    turn = count()

    def consider(a: Group, b: Group) -> None:
        found = graph.gain(a, b)
        if found is not None:
            heapq.heappush(waiting, (-found[0], next(turn), a, b, found[1]))

    for a, b in combinations(groups, 2):
        consider(a, b)
    while waiting:
        _, _, a, b, both = heapq.heappop(waiting)
        if a not in alive or b not in alive:
            continue
        others = [g for g in (*alive, *decided) if g is not a and g is not b and len(g.cells) > 1]
        via = {c: g for g in others for c in g.cells}
        if graph.path(a.cells, b.cells, via) or graph.path(b.cells, a.cells, via):
            continue
        del alive[a], alive[b]
        for other in alive:
            if other is not both:
                consider(other, both)
        alive[both] = None
    return list(alive)


def _related(a: Group, b: Group) -> bool:
    """Whether joining could save reading something large."""
    common = set(a.inputs) & set(b.inputs)
    flows = {v for v in a.outputs if v in b.inputs} | {v for v in b.outputs if v in a.inputs}
    shared = any(c in b.cells for c in a.cells)
    return shared or any(bytes_of(v) > SMALL for v in common | flows)
