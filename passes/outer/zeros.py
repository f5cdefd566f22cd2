"""Which inputs of a region over products make all its outputs zero.

A quotient by a product plus a scalar, as in `X / (U %*% t(V) + eps)`, is taken to be 0 where X is: the product would have to
be -eps exactly to make it NaN. Quotients by a product itself are not, because rows of zeros in its factors are common.
"""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Builder, Region, Value, clone
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.types import f64
from sysmlc.passes.sparse_safety import Abstract, Unknown, outputs_at


def zeros_through(body: Region, products: int, matrices: Sequence[bool]) -> list[list[bool]]:
    """For each argument of the region, whether zeros of it make each output zero; never for products and scalars."""
    scalars = {arg for arg, m in zip(body.args, matrices, strict=True) if not m}
    tame = _without_quotients(body, products, scalars)
    unknown: list[Abstract] = [Unknown.CELL if m else Unknown.SCALAR for m in matrices]
    found = []
    for i, matrix in enumerate(matrices):
        if i < products or not matrix:
            found.append([False] * len(body.terminator.operands))
        else:
            at_zero = outputs_at(tame, [*unknown[:i], 0.0, *unknown[i + 1 :]])
            found.append([v == 0.0 for v in at_zero])
    return found


def _without_quotients(body: Region, products: int, scalars: set[Value]) -> Region:
    """The region with quotients by shifted products as products, which are 0 where their dividend is."""
    mapping: dict[Value, Value] = {}
    made = Region()
    for arg in body.args:
        mapping[arg] = made.add_arg(f64)
    inside = set(body.args[:products])
    shifted: set[Value] = set()
    for op in body:
        if op.name == "dml.div" and op.operands[1] in shifted:
            mapping[op.result] = Builder(made)(Binary, "mul", *(mapping[v] for v in op.operands))
            continue
        made.append(clone(op, mapping))
        if op.results and any(v in inside for v in op.operands):
            inside.add(op.result)
            if op.name in ("dml.add", "dml.max") and any(v in scalars or _is_shift(v) for v in op.operands):
                shifted.add(op.result)
    return made


def _is_shift(value: Value) -> bool:
    return isinstance(value.op, Constant) and value.op.attrs["value"] != 0.0
