"""Products of one matrix with several others become one `dml.matmul_shared`, which reads and packs that matrix once.

    P = t(X) %*% A                                  %P, %Q = dml.matmul_shared %X, %A, %B {transpose = "l"}
    Q = t(X) %*% B                        →

What one scan of the rows does is taken by `fuse-rows` before; here are the products that are too wide for that, and those whose results are
as wide as the shared matrix. Products stay on their side of loops, branches and whatever else has an effect. The runtime
multiplies one after the other where sharing gains nothing, so sizes need not be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value, walk_regions
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_fit import RequireFit
from sysmlc.ir.dialects.dml_matrix import MatMul, MatMulShared
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix
from sysmlc.passes.effects import cannot_fail, keeps_place, must_follow
from sysmlc.passes.fuse_cells import reorder
from sysmlc.passes.fusion.search import reads

_LARGE: Final = 2e6
"""Multiplications of a product that is worth packing for."""
_WIDEST: Final = 128
"""Columns of a right factor beside which packing the left one is little work. (`kSharedColumns` in `linalg_gemm.cpp`.)"""
_MOST: Final = 8
"""Products of a group: their results are held at the same time."""


@register_pass
class FuseProducts(Pass):
    """Let products of one matrix with several others read it once."""

    name = "fuse-products"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name == "core.func":
                for region in list(walk_regions([func])):
                    if region.parent is None or region.parent.dialect != "fused":
                        while group := _group(region):
                            self._fuse(region, group)

    def _fuse(self, region: Region, group: list[MatMul]) -> None:
        places, follows = {op: 2 * i for i, op in enumerate(region)}, must_follow(region)
        first = group[0]
        b = Builder(region, loc=first.loc)
        rights, types = [op.rhs for op in group], [op.result.type for op in group]
        made = b.op(MatMulShared, first.lhs, rights, transpose=first.transpose, types=types)
        given = [places[v.op] for v in made.operands if v.op in places]
        places[made] = max(max(given, default=-1) + 1, places[first])
        follows[made] = {f for op in group for f in follows.get(op, ())}
        for op, result in zip(group, made.results, strict=True):
            result.name = op.result.name
            op.result.replace_by(result)
            op.erase()
        reorder(region, places, follows)
        self.count("products fused", len(group))


def _group(region: Region) -> list[MatMul]:
    """The first products of a region with a common left factor that can be computed together."""
    waiting: dict[tuple[Value, str], list[MatMul]] = {}
    for op in region:
        if keeps_place(op) and not isinstance(op, RequireFit):
            found = _independent(region, waiting)
            if found:
                return found
            waiting.clear()
        elif isinstance(op, MatMul) and _may_gain(op) and _fits(op):
            waiting.setdefault((op.lhs, op.transpose), []).append(op)
    return _independent(region, waiting)


def _independent(region: Region, waiting: dict[tuple[Value, str], list[MatMul]]) -> list[MatMul]:
    for products in waiting.values():
        if len(products) < 2:
            continue
        follows = must_follow(region)
        for i, first in enumerate(products[:-1]):
            found = [first]
            for op in products[i + 1 :]:
                if len(found) < _MOST and not _needs(op, found, follows):
                    found.append(op)
            if len(found) > 1:
                return found
    return []


def _needs(op: Op, others: list[MatMul], follows: dict[Op, set[Op]]) -> bool:
    """Whether an operation has to wait for one of the others."""
    region, seen, waiting = op.parent, {op}, [op]
    while waiting:
        at = waiting.pop()
        if at in others:
            return True
        before = {v.op for v in reads(at) if v.op is not None and v.op.parent is region}
        new = (before | follows.get(at, set())) - seen
        seen |= new
        waiting += new
    return False


def _may_gain(op: MatMul) -> bool:
    """Whether the product may be one of dense matrices that packs its left factor, for not too many columns."""
    left, right, made = op.lhs.type, op.rhs.type, op.result.type
    assert isinstance(left, Matrix)
    assert isinstance(right, Matrix)
    assert isinstance(made, Matrix)
    if "csr" in (left.format, right.format) or made.rows == 1 or made.cols == 1:
        return False
    if isinstance(made.cols, int) and made.cols > _WIDEST:
        return False
    sizes = (left.rows, left.cols, made.cols)
    return not all(isinstance(d, int) for d in sizes) or _cells(sizes) > _LARGE


def _cells(sizes: tuple[Dim, ...]) -> float:
    product = 1.0
    for d in sizes:
        product *= d if isinstance(d, int) else 1
    return product


def _fits(op: MatMul) -> bool:
    """Whether it is known, or was checked, that the factors fit: then it does not matter which product comes first."""
    if cannot_fail(op):
        return True
    left, right = op.lhs.type, op.rhs.type
    assert isinstance(left, Matrix)
    assert isinstance(right, Matrix)
    inner = {
        left.rows if "l" in op.transpose else left.cols,
        right.cols if "r" in op.transpose else right.rows,
    }
    return None not in inner and any({one, other} == inner for one, other in _checked_before(op))


def _checked_before(op: Op) -> Iterator[tuple[Dim, Dim]]:
    """Sizes that are equal where an operation is, because checks before it, or around it, say so."""
    at: Op | None = op
    while at is not None and at.parent is not None:
        for before in at.parent:
            if before is at:
                break
            if isinstance(before, RequireFit):
                yield from ((one, other) for one, other, repeated in before.demands if not repeated)
        at = at.parent_op
