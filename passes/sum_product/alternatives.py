"""Plans that the data decides: where nothing is known of the non-zeros of a matrix from outside, and another plan is much cheaper
if they are few, both are kept, and the program counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_matrix import NNZ, NCol, NRow
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.types import Matrix, f64
from sysmlc.passes.sparsity import is_open
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.emit import Emitter
from sysmlc.passes.sum_product.extract import Planner
from sysmlc.passes.sum_product.nodes import Node

_SHARE: Final = 0.01
"""The share of non-zeros of a matrix that is sparse, when that is a mere possibility."""
_GAIN, _FACTOR = 1e-3, 2.0
"""Seconds, and how many times less, that make it worth to keep two plans."""
Choose = Callable[[Model], dict[Node, Node]]
"""The plans of an island by a model."""


@dataclass(frozen=True)
class Alternative:
    """Another plan for a root, where a matrix has fewer than this `share` of non-zeros."""

    root: Node
    plan: Node
    leaf: Node
    share: float
    why: str


def alternative(planner: Planner, chosen: dict[Node, Node], choose: Choose) -> Alternative | None:
    """The plan that pays most if a matrix of which nothing is known is sparse."""
    graph, model = planner.graph, planner.model
    if model.total(chosen.values()) < _GAIN:
        return None
    best: tuple[float, Alternative] | None = None
    movable = _separate(chosen)
    within = {n for root in movable for n in _parts(root)}
    for leaf in [n for n in graph.nodes if n.kind == "leaf" and not n.scalar and n in within]:
        value = leaf.value
        if value is None or not is_open(value, model.expected):
            continue
        sparse = _supposing(model, value, _SHARE)
        others = choose(sparse)
        changed = [r for r, plan in others.items() if plan is not chosen[r]]
        if len(changed) != 1 or changed[0] not in movable:
            continue
        (root,) = changed
        kept, gained = sparse.total(chosen.values()), sparse.total({**chosen, root: others[root]}.values())
        if kept - gained < _GAIN or kept < gained * _FACTOR or (best and kept - gained <= best[0]):
            continue
        low, high, margin = _SHARE, 1.0, planner.margin(root)
        for _ in range(6):  # up to where the other plan is as much cheaper as it has to be
            middle = (low * high) ** 0.5
            supposed = _supposing(model, value, middle)
            if supposed.alone(others[root]) * margin < supposed.alone(chosen[root]):
                low = middle
            else:
                high = middle
        name = value.name or "a matrix"
        why = (
            f"{name} may have fewer than {100 * low:.2g} % non-zeros: with 1 % another plan takes {gained:.2g} s"
            f" instead of {kept:.2g} s"
        )
        best = kept - gained, Alternative(root, others[root], leaf, low, why)
    return None if best is None else best[1]


def _supposing(model: Model, value: Value, share: float) -> Model:
    return Model(model.sizes, model.expected.supposing(value, share), model.samples)


def _separate(chosen: dict[Node, Node]) -> list[Node]:
    """The roots whose plans share no operation with the others, so that they can move into a branch."""
    own = {root: _operations(plan) | _operations(root) for root, plan in chosen.items()}
    others = {root: _operations(plan) | {plan} for root, plan in chosen.items()}
    return [r for r in chosen if all(own[r].isdisjoint(o) for p, o in others.items() if p is not r)]


def _operations(plan: Node) -> set[Node]:
    return {node for node in _parts(plan) if node.args}


def _parts(plan: Node) -> set[Node]:
    found: set[Node] = set()
    stack = [plan]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += node.args
    return found


def emit_both(emitter: Emitter, found: Alternative, otherwise: Node, op: Op) -> Value:
    """Both plans in branches before `op`, the written expression of the root."""
    b = Builder.before(op)
    leaf = found.leaf.value
    assert leaf is not None
    type = leaf.type
    assert isinstance(type, Matrix)
    count = b(NNZ, leaf)
    if isinstance(type.rows, int) and isinstance(type.cols, int):
        few = b(Binary, "lt", count, b(Constant, value=int(found.share * type.rows * type.cols)))
    else:
        rows, cols = (b(Cast, b(size, leaf), types=[f64]) for size in (NRow, NCol))
        limit = b(Binary, "mul", b(Binary, "mul", rows, cols), b(Constant, value=found.share))
        few = b(Binary, "lt", b(Cast, count, types=[f64]), limit)
    regions = []
    for plan in (found.plan, otherwise):
        region = Region()
        inner = Builder(region, loc=b.loc)
        made = emitter.branch().inside(found.root, plan, inner, op)
        inner.op(Yield, [made])
        regions.append(region)
    return b.op(If, few, why=found.why, types=[op.results[0].type], regions=regions).result
