"""Compute cellwise expressions over large matrix products without forming the products.

    sum(X * log(U %*% t(V)))      %s = fused.outer %U, %V, %X {products = ["r"], outputs = ["full:sum"]} {
                              →     (%p, %x) { %l = dml.log %p; %m = dml.mul %x, %l; core.yield %m } }

Where the zeros of an input make the result zero, and it is sparse at run time, only its non-zeros are visited: any such
expression, closed by sums, by products with other matrices, or not at all. Without such an input the product is tiled.
Outputs of one shape that share a product and a driver come from one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sysmlc.ir.core import Builder, Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_cell import Aggregate
from sysmlc.ir.dialects.dml_matrix import AsScalar, MatMul, Transpose
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.fused import OuterRegion
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, f64, matrix
from sysmlc.passes.lower_cells import MAX_INPUTS, MAX_OUTPUTS
from sysmlc.passes.outer.cone import Cone, Exit, make_body, same_type_shape
from sysmlc.passes.outer.zeros import common_drivers


@register_pass
class FuseOuter(Pass):
    """Compute cellwise expressions over large products at the non-zeros of a sparse operand, or tile by tile."""

    name = "fuse-outer"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name == "core.func":
                for region in list(walk_regions([func])):
                    if region.parent is None or region.parent.dialect != "fused":
                        self._fuse(region)

    def _fuse(self, region: Region) -> None:
        cone = Cone(region)
        if not cone.seeds:
            return
        groups: list[_Group] = []
        leaving = cone.exits()
        results = {e.op.result for e in leaving}
        for exit in leaving:
            alone = _Group(cone, [exit])
            if not alone.fits or not alone.possible:
                continue
            for i, group in enumerate(groups):
                joined = _Group(cone, [*group.exits, exit])
                # A result of this very region, or of one that comes after it, cannot go in.
                closed = results.isdisjoint(joined.read)
                if joined.fits and group.shares(alone) and closed and joined.possible:
                    groups[i] = joined
                    break
            else:
                groups.append(alone)
        taken: set[Op] = set()
        for i, group in enumerate(groups):
            for exit in _sibling_scans(cone, group):
                joined = _Group(cone, [*groups[i].exits, exit])
                if exit.op not in taken and joined.fits and joined.possible:
                    groups[i] = joined
                    taken.add(exit.op)
        plans = [(group, group.anchor, group.body) for group in groups]
        made: dict[Value, Value] = {}
        for group, anchor, body in plans:
            self._build(group, anchor, body, made)
        for sums in cone.bare_sums:
            if any(sums.operand in g.seeds for g in groups):
                self._sum_factors(sums, cone.seeds[sums.operand])
        exits: list[Op] = [e.op for g in groups for e in g.exits]
        dead = dict.fromkeys([*cone.ops.values(), *cone.companions.values(), *cone.seeds.values(), *exits])
        for op in sorted(dead, key=cone.places.__getitem__, reverse=True):
            _erase_unused(op)

    def _build(self, group: _Group, anchor: Op, body: Region, known: dict[Value, Value]) -> None:
        """Put the region before `anchor`; `known` says what has replaced results of other groups, and learns."""
        b = Builder.before(anchor)
        b.loc = group.exits[0].op.loc
        factors: list[Value] = []
        products = []
        for seed in group.seeds:
            sides, flags = _factors(group.cone.seeds[seed])
            factors += sides
            products.append(flags)
        others = [known.get(v, v) for v in group.inputs]
        inputs = [
            v if isinstance(v.type, Matrix) or v.type is f64 else b(Cast, v, types=[f64]) for v in others
        ]
        closing = [
            _oriented(b, known.get(e.factor, e.factor), e) for e in group.exits if e.factor is not None
        ]
        made = b.op(
            OuterRegion,
            [*factors, *inputs, *closing],
            products=tuple(products),
            outputs=tuple(e.kind for e in group.exits),
            regions=[body],
            types=[_flipped(e) if e.flipped else e.op.result.type for e in group.exits],
        )
        for exit, result in zip(group.exits, made.results, strict=True):
            old = exit.op.result
            result.name = old.name
            known[old] = b(Transpose, result) if exit.flipped else result
            old.replace_by(known[old])
        self.count("outer regions")
        self.count("outputs", len(group.exits))

    def _sum_factors(self, op: Aggregate, product: Op) -> None:
        """sum(U %*% t(V)) = colSums(U) %*% t(colSums(V)), and the same for rows and columns."""
        b = Builder.before(op)
        (left, right), flags = _factors(product)
        if op.dir != "row":
            left = b(Aggregate, "sum", left, dir="row" if "l" in flags else "col")
        if op.dir != "col":
            right = b(Aggregate, "sum", right, dir="col" if "r" in flags else "row")
        made = b(MatMul, left, right, transpose=flags)
        op.replace_by([b(AsScalar, made) if op.dir == "full" else made])
        self.count("sums of factors")


def _sibling_scans(cone: Cone, group: _Group) -> list[Exit]:
    """Sums over a matrix whose non-zeros drive the group: one more output of the same scan."""
    return [
        Exit(op.operand, "full:sum", op, op.fn == "sumsq")
        for driver in dict.fromkeys(v for alternative in group.drivers for v in alternative)
        for op in driver.users()
        if isinstance(op, Aggregate)
        and op.dir == "full"
        and op.fn in ("sum", "sumsq")
        and op.parent is cone.region
    ]


def _factors(product: Op) -> tuple[list[Value], str]:
    """The factors of a product as they are stored, and which of them it uses transposed."""
    sides, flags = [], ""
    for value, letter in zip(product.operands, "lr", strict=True):
        transposed = letter in str(product.attrs.get("transpose", ""))
        if isinstance(value.op, Transpose):
            value, transposed = value.op.operand, not transposed
        sides.append(value)
        flags += letter if transposed else ""
    return sides, flags


def _oriented(b: Builder, factor: Value, exit: Exit) -> Value:
    """The factor of a closing product as the region wants it."""
    if not exit.factor_flipped:
        return factor
    return factor.op.operand if isinstance(factor.op, Transpose) else b(Transpose, factor)


def _flipped(exit: Exit) -> Matrix:
    type = exit.op.result.type
    assert isinstance(type, Matrix)
    return matrix(type.cols, type.rows, type.elem)


def _erase_unused(op: Op) -> None:
    """Remove an operation nobody needs, and the transposes it was the last to need."""
    if op.parent is None or any(r.uses for r in op.results):
        return
    operands = list(op.operands)
    op.erase()
    for value in operands:
        if isinstance(value.op, Transpose):
            _erase_unused(value.op)


@dataclass
class _Group:
    """Exits that one pass computes."""

    cone: Cone
    exits: list[Exit]
    seeds: list[Value] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        seeds: dict[Value, None] = {}
        ops: dict[Op, None] = {}
        for exit in self.exits:
            some_seeds, some_ops = self.cone.slice(exit.value)
            seeds.update(dict.fromkeys(some_seeds))
            ops.update(dict.fromkeys(some_ops))
        self.seeds = list(seeds)
        self.ops = sorted(ops, key=self.cone.places.__getitem__)
        self.inputs = self.cone.inputs(self.ops)

    @property
    def drivers(self) -> list[frozenset[Value]]:
        # The zeros of an input make sums of itself zero.
        return common_drivers(
            [
                self.cone.drivers.get(e.value, [frozenset([e.value])] if e.value in self.inputs else [])
                for e in self.exits
            ]
        )

    @property
    def body(self) -> Region:
        """The region that computes all outputs."""
        values, squares = [e.value for e in self.exits], [e.square for e in self.exits]
        return make_body(self.seeds, self.inputs, self.ops, values, squares)

    @property
    def fits(self) -> bool:
        """Whether one kernel can hold the group."""
        return len(self.seeds) + len(self.inputs) <= MAX_INPUTS and len(self.exits) <= MAX_OUTPUTS

    def shares(self, other: _Group) -> bool:
        """Whether one pass does for both what two would do: a common product, the same shape and a common driver."""
        a, b = self.exits[0].value, other.exits[0].value
        return (
            bool(set(self.seeds) & set(other.seeds))
            and (same_type_shape(a, b) or set(self.inputs) == set(other.inputs))
            and _same_scan(self.drivers, other.drivers)
        )

    @property
    def anchor(self) -> Op:
        """The first operation that needs a result: the region goes before it."""
        return min(self._users(), key=self.cone.places.__getitem__)

    def _users(self) -> list[Op]:
        own = {*self.ops, *(e.op for e in self.exits)}
        found = []
        for exit in self.exits:
            for user in exit.op.result.users():
                at: Op | None = user
                while at is not None and at.parent is not self.cone.region:
                    at = at.parent_op
                if at is not None and (at not in own or exit.kind != "map"):
                    found.append(at)
        return found

    @property
    def read(self) -> list[Value]:
        """What must be there before the region."""
        factors = [v for s in self.seeds for v in self.cone.seeds[s].operands]
        return [*factors, *self.inputs, *(e.factor for e in self.exits if e.factor is not None)]

    @property
    def possible(self) -> bool:
        """Whether there is a place after everything the group reads and before everything that needs its results."""
        users = self._users()
        if not users:
            return False
        place = self.cone.places
        first = min(place[u] for u in users)
        joined = (*(self.cone.seeds[s] for s in self.seeds), *self.ops, *(e.op for e in self.exits))
        if any(place[check] > first for op in joined for check in self.cone.follows.get(op, ())):
            return False
        return all(v.op is None or v.op not in place or place[v.op] < first for v in self.read)


def _same_scan(one: list[frozenset[Value]], other: list[frozenset[Value]]) -> bool:
    """Whether the drivers of one group lead the other as well, or neither has any."""
    return one == other == [] or any(a <= b or b <= a for a in one for b in other)
