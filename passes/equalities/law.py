"""What a law is, how laws are applied until nothing new is found, and how they look into classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sysmlc.passes.equalities.graph import Graph, Shape, Term, UnknownShape

Found = Iterator[int]


@dataclass(frozen=True)
class Law:
    """A law: the operations it looks at, and what it gives for a term of one."""

    name: str
    ops: tuple[str, ...]
    statements: tuple[str, ...]
    apply: Callable[[Graph, Term, Shape], Found]
    strict: bool = True
    """Whether sums stay sums, so that it is for `--strict-fp` too. The others go one way: what they give is at least as exact, and
    finite where what they look at is, but this is not so the other way round."""
    needs: frozenset[str] = frozenset()
    """Operations one of which an operand must be, if any are given."""


LAWS: Final[list[Law]] = []


def law(
    ops: str, *statements: str, needs: str = "", strict: bool = True
) -> Callable[[Callable[[Graph, Term, Shape], Found]], Law]:
    """Decorator: a function as a law about terms of these operations, on operands some of which are what it `needs`."""

    def decorate(function: Callable[[Graph, Term, Shape], Found]) -> Law:
        name = function.__name__.replace("_", " ")
        made = Law(name, tuple(ops.split()), statements, function, strict, frozenset(needs.split()))
        LAWS.append(made)
        return made

    return decorate


def saturate(graph: Graph, laws: list[Law], limit: int, rounds: int = 8) -> dict[str, int]:
    """Apply laws until nothing new is found, or `limit` classes or the rounds are spent; how often each found something."""
    by_op: dict[str, list[Law]] = {}
    for one in laws:
        for op in one.ops:
            by_op.setdefault(op, []).append(one)
    hits: dict[str, int] = {}
    graph.limit = limit
    look = list(graph.classes())
    for _ in range(rounds):
        graph.touched.clear()
        for c in look:
            for term in list(graph.terms[graph.find(c)]):
                found = by_op.get(term.op)
                if found:
                    term = Term(term.op, tuple(map(graph.find, term.args)), term.data)
                    if any(graph.refined.get(a) for a in term.args):
                        continue  # the same term of a more exact operand is there
                    below = {t.op for a in term.args for t in graph.terms[a]}
                    for one in found:
                        if not one.needs or not one.needs.isdisjoint(below):
                            _apply(graph, one, c, term, hits)
            if len(graph.parent) > limit:
                graph.rebuild()
                return hits
        graph.rebuild()
        if not graph.touched:
            break
        look = _near(graph)
    return hits


def _apply(graph: Graph, one: Law, c: int, term: Term, hits: dict[str, int]) -> None:
    try:
        for made in one.apply(graph, term, graph.shape[c]):
            if graph.find(made) != graph.find(c):
                hits[one.name] = hits.get(one.name, 0) + 1
                if one.strict:
                    graph.union(c, made)
                else:
                    graph.refine(c, made)
            if len(graph.parent) > graph.limit:
                return
    except UnknownShape:
        return


def _near(graph: Graph) -> list[int]:
    """The classes whose laws may see a change: what changed, its users, and theirs."""
    found = dict.fromkeys(graph.touched)
    for _ in range(3):
        for c in list(found):
            found.update((graph.find(user), None) for _, user in graph.users[c])
    return list(found)


# -- looking into classes -----------------------------------------------------------------------------------------------


def inner(g: Graph, c: int, op: str) -> int | None:
    """The x for which a class is op(x)."""
    return next((g.find(t.args[0]) for t in g.terms[g.find(c)] if t.op == op), None)


def sums(g: Graph, c: int) -> Iterator[tuple[list[tuple[int, float]], float]]:
    """The sums a class is: multiples of others, and a constant."""
    for t in list(g.terms[g.find(c)]):
        if t.op == "+":
            yield list(zip(t.args, t.data[:-1], strict=True)), t.data[-1]


def scaled(g: Graph, c: int) -> tuple[int, float, float]:
    """A class as a x + b."""
    for pairs, b in sums(g, c):
        if len(pairs) == 1 and pairs[0][1]:
            return g.find(pairs[0][0]), pairs[0][1], b
    return g.find(c), 1.0, 0.0


def pairs_of(t: Term) -> list[tuple[int, float]]:
    """The operands of a sum or product with their factors or exponents."""
    return list(zip(t.args, t.data, strict=False))
