"""What is computed cell by cell from matrix products in one region, and where it leaves that form.

P = U %*% t(V)            a seed: its cells are cheap, all of them together are not
Q = X * log(P + eps)      the cone: cellwise operations on it; zeros of X make zeros of Q
s = sum(Q), Q %*% B       exits: sums, products with another matrix, or Q itself when it is as sparse as X
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Dim, Matrix, same_dim
from sysmlc.passes import estimate
from sysmlc.passes.effects import must_follow
from sysmlc.passes.form_cells import SIMPLE_CONSTANTS, as_cell
from sysmlc.passes.fusion.groups import may_be_sparse
from sysmlc.passes.outer.worth import (
    SKINNY,
    has_known_sizes,
    is_part,
    may_be_outer,
    worth_sampling,
    worth_tiling,
)
from sysmlc.passes.outer.zeros import drivers_of, is_grid
from sysmlc.passes.sparsity import Expectations

WIDEST_CLOSING: Final = 4096


@dataclass(frozen=True)
class Exit:
    """Where a value leaves the cone: `op` computes its `kind` of output (for maps, the value itself)."""

    value: Value
    kind: str
    op: Op
    square: bool = False
    """What leaves is the square of the value."""
    factor: Value | None = None
    """The other matrix of a closing product."""
    factor_flipped: bool = False
    """The factor is needed transposed."""
    flipped: bool = False
    """What the output gives is the transpose of the operation's result."""


@dataclass
class Cone:
    """The cone of one region. `values`: what every value of it depends on, in order."""

    region: Region
    places: dict[Op, int] = field(default_factory=dict)
    seeds: dict[Value, MatMul] = field(default_factory=dict)
    ops: dict[Value, Op] = field(default_factory=dict)
    """The cellwise operations on products by what they compute."""
    companions: dict[Value, Op] = field(default_factory=dict)
    """Cellwise operations on other matrices that nothing but the cone needs: `X != 0`."""
    bare_sums: list[Aggregate] = field(default_factory=list)
    """Sums of a product itself, which need sums of its factors only."""
    follows: dict[Op, set[Op]] = field(default_factory=dict)
    """What operations come behind without needing its results."""
    drivers: dict[Value, list[frozenset[Value]]] = field(default_factory=dict)
    """For each value of the cone, the inputs whose zeros make it zero: alternatives, as `drivers_of` finds them."""

    expected: Expectations = field(default_factory=Expectations)

    def __post_init__(self) -> None:
        for i, op in enumerate(self.region):
            self.places[op] = i
            if (
                isinstance(op, MatMul)
                and not any(self._reaches(v) for v in op.operands)
                and may_be_outer(op)
                and not is_part(op)
            ):
                self.seeds[op.result] = op
            elif isinstance(op, (Unary, Binary, IfElse)) and any(v in self for v in op.operands):
                self.ops[op.result] = op
        if self.seeds:
            self.follows = must_follow(self.region)
        if self.ops:
            self._find_companions()
            self._find_drivers()

    def __contains__(self, value: Value) -> bool:
        return value in self.seeds or value in self.ops

    def _find_companions(self) -> None:
        for op in self.region.reversed():
            if isinstance(op, (Unary, Binary, IfElse)) and op.result not in self.ops and is_grid(op.result):
                inside = (
                    u.results and (u.results[0] in self.ops or u.results[0] in self.companions)
                    for u in op.result.users()
                )
                if op.result.uses and all(inside):
                    self.companions[op.result] = op

    # -- drivers ---------------------------------------------------------------------------------------------------

    def inputs(self, ops: Sequence[Op]) -> list[Value]:
        """The matrices and scalars that operations read besides the cone, each once; constants of the body left out."""
        found = {v: None for op in ops for v in op.operands if not self._made_inside(v) and simple(v) is None}
        return sorted(found, key=lambda v: not isinstance(v.type, Matrix))

    def _made_inside(self, value: Value) -> bool:
        return value in self or value in self.companions

    def _find_drivers(self) -> None:
        ops = sorted([*self.ops.values(), *self.companions.values()], key=self.places.__getitem__)
        products, inputs = list(self.seeds), self.inputs(ops)
        body = make_body(products, inputs, ops, list(self.ops))
        for result, drivers in zip(self.ops, drivers_of(body, inputs), strict=True):
            sets = [frozenset(inputs[i] for i in d) for d in drivers]
            self.drivers[result] = [d for d in sets if _may_lead(d)]

    # -- exits -----------------------------------------------------------------------------------------------------

    def slice(self, value: Value) -> tuple[list[Value], list[Op]]:
        """The seeds and the operations a value of the cone is computed from, in order."""
        seeds: dict[Value, None] = {}
        ops: dict[Op, None] = {}
        stack = [value]
        while stack:
            at = stack.pop()
            if at in self.seeds:
                seeds[at] = None
                continue
            op = self.ops.get(at) or self.companions.get(at)
            if op is not None and op not in ops:
                ops[op] = None
                stack.extend(op.operands)
        return list(seeds), sorted(ops, key=self.places.__getitem__)

    def exits(self) -> list[Exit]:
        """How to compute everything outside that depends on seeds which then need not be formed, in program order."""
        found: dict[Value, list[Exit]] = {}
        covered: dict[Value, bool] = {}
        for value in [*reversed(self.ops), *self.seeds]:
            driven = bool(self.drivers.get(value))
            closings, open_uses, worth = [], False, value in self.ops and self._worth(value)
            if worth and not driven and self._is_sampled(value):
                worth = False  # better at the non-zeros of what it is made of than at all cells
            # What may be tall and narrow is better closed by scans of rows.
            sized = worth and all(has_known_sizes(self.seeds[s]) for s in self.slice(value)[0])
            for user in value.users():
                made = self._closing(value, user) if worth else None
                if made is not None and (driven or sized or all(e.kind == "full:sum" for e in made)):
                    closings += made
                elif (
                    value in self.seeds
                    and isinstance(user, Aggregate)
                    and user.fn == "sum"
                    and user.parent is self.region
                ):
                    self.bare_sums.append(user)
                elif not (len(user.results) == 1 and covered.get(user.results[0])):
                    open_uses = True
            if open_uses and driven and worth:
                closings.append(Exit(value, "map", self.ops[value]))
                open_uses = False
            covered[value] = not open_uses
            found[value] = closings
        # A product that must be formed for something else is there for everybody.
        wanted = [e for v in found for e in found[v] if all(covered[s] for s in self.slice(v)[0])]
        return sorted(wanted, key=lambda e: self.places[e.op])

    def _is_sampled(self, value: Value) -> bool:
        """Whether only values that a matrix drives, which may be sparse, stand between this and the products."""
        if value in self.seeds:
            return False
        if any(all(map(may_be_sparse, d)) for d in self.drivers.get(value, [])):
            return True
        op = self.ops.get(value)
        return op is None or all(self._is_sampled(v) for v in op.operands if v in self)

    def _worth(self, value: Value) -> bool:
        """Whether it pays to compute the value without forming its products."""
        seeds, drivers = self.slice(value)[0], self.drivers.get(value)
        return all(
            worth_sampling(self.seeds[s], drivers) if drivers else worth_tiling(self.seeds[s]) for s in seeds
        )

    def _closing(self, value: Value, user: Op) -> list[Exit] | None:
        """The exits through an operation that closes a value of the cone; None when it does not."""
        if user.parent is not self.region:
            return None
        if isinstance(user, Aggregate):
            square = user.fn == "sumsq"
            return [Exit(value, f"{user.dir}:sum", user, square)] if square or user.fn == "sum" else None
        if isinstance(user, Transpose):
            products = [self._product(value, user.result, u) for u in user.result.users()]
            made = [e for e in products if e is not None]
            return made if made and len(made) == len(products) else None
        if isinstance(user, MatMul):
            closing = self._product(value, value, user)
            return None if closing is None else [closing]
        return None

    def _product(self, value: Value, seen: Value, op: Op) -> Exit | None:
        """`S %*% B`, `t(S) %*% A`, and their transposes, where `seen` is S or t(S)."""
        if not isinstance(op, MatMul) or op.parent is not self.region or op.lhs is op.rhs:
            return None
        left = op.lhs is seen
        factor = op.rhs if left else op.lhs
        transposed = (seen is not value) != (("l" if left else "r") in op.transpose)
        factor_transposed = ("r" if left else "l") in op.transpose
        assert isinstance(factor.type, Matrix)
        width = factor.type.rows if factor_transposed == left else factor.type.cols
        if (
            factor in self.companions
            or self._reaches(factor)
            or (isinstance(width, int) and width > WIDEST_CLOSING)
            or self._stays_sparse(factor, width)
        ):
            return None
        if left:
            return Exit(
                value, "left" if transposed else "right", op, factor=factor, factor_flipped=factor_transposed
            )
        # A %*% S = t(t(S) %*% t(A))
        return Exit(
            value,
            "right" if transposed else "left",
            op,
            factor=factor,
            factor_flipped=not factor_transposed,
            flipped=True,
        )

    def _stays_sparse(self, factor: Value, width: Dim) -> bool:
        """Whether a matrix that leads a scan, or a wide sparse one, had to be made dense to close one."""
        source = factor.op.operand if isinstance(factor.op, Transpose) else factor
        if any(source in driver for drivers in self.drivers.values() for driver in drivers):
            return True
        narrow = isinstance(width, int) and width <= SKINNY
        return not narrow and self.expected.density(source) < estimate.SPARSE

    def _reaches(self, value: Value) -> bool:
        """Whether a value is in the cone, or a transpose of something that is."""
        return value in self or (isinstance(value.op, Transpose) and value.op.operand in self)


def simple(value: Value) -> float | None:
    """The constant a scalar is, when it becomes part of a body."""
    known = None if isinstance(value.type, Matrix) else constant(value)
    return float(known) if isinstance(known, (int, float)) and float(known) in SIMPLE_CONSTANTS else None


def make_body(
    products: Sequence[Value],
    inputs: Sequence[Value],
    ops: Sequence[Op],
    outputs: Sequence[Value],
    squares: Sequence[bool] = (),
) -> Region:
    """The region that computes `outputs` from the cells of products and inputs."""
    elem = next(v.type.elem for v in products if isinstance(v.type, Matrix))
    body = Region([elem] * (len(products) + len(inputs)), [v.name for v in (*products, *inputs)])
    inner = Builder(body)
    known: dict[Value, Value] = dict(zip((*products, *inputs), body.args, strict=True))
    for op in ops:
        cells = []
        for value in op.operands:
            if value not in known:
                number = simple(value)
                assert number is not None
                known[value] = inner(Constant, value=number, types=[elem])
            cells.append(known[value])
        inner.loc = op.loc
        if isinstance(op, IfElse):
            known[op.result] = as_cell(inner, inner(IfElse, *cells), elem)
        else:
            known[op.result] = as_cell(inner, inner(type(op), op.fn, *cells), elem)
    cells = [known[v] for v in outputs]
    inner.op(Yield, [inner(Binary, "mul", c, c) if s else c for c, s in zip_longest(cells, squares)])
    return body


def _may_lead(driver: frozenset[Value]) -> bool:
    """Whether a scan may follow the non-zeros: several matrices must all be sparse for that."""
    return all(map(is_grid, driver)) and (len(driver) == 1 or all(map(may_be_sparse, driver)))


def same_type_shape(a: Value, b: Value) -> bool:
    """Whether two matrices are known to have the same shape."""
    assert isinstance(a.type, Matrix)
    assert isinstance(b.type, Matrix)
    return same_dim(a.type.rows, b.type.rows) and same_dim(a.type.cols, b.type.cols)
