"""Which inputs of a region over products make all its outputs zero.

A quotient by a product plus a scalar, as in `X / (U %*% t(V) + eps)`, is taken to be 0 where X is: the product would have to
be -eps exactly to make it NaN. Quotients by a product itself are not, because rows of zeros in its factors are common.

Inputs known to have their zeros in the same places, like V and W = V != 0, are zero together: W * P - V is 0 where W is.
"""

from __future__ import annotations

from collections.abc import Sequence

from sysmlc.ir.core import Builder, Region, Value, clone
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix
from sysmlc.passes.sparse_safety import Abstract, Unknown, outputs_at


def zeros_through(body: Region, inputs: Sequence[Value]) -> list[list[bool]]:
    """For each input, whether zeros of it make each output zero. The first arguments of the region are products."""
    products = len(body.args) - len(inputs)
    matrices = [isinstance(v.type, Matrix) for v in inputs]
    scalars = {arg for arg, m in zip(body.args[products:], matrices, strict=True) if not m}
    tame = _without_quotients(body, products, scalars)
    patterns = [_pattern(v) if m else None for v, m in zip(inputs, matrices, strict=True)]
    found = []
    for pattern in patterns:
        if pattern is None:
            found.append([False] * len(body.terminator.operands))
            continue
        at_zero: list[Abstract] = [Unknown.CELL] * products
        at_zero += [Unknown.SCALAR if p is None else 0.0 if p == pattern else Unknown.CELL for p in patterns]
        found.append([v == 0.0 for v in outputs_at(tame, at_zero)])
    return found


def _pattern(value: Value) -> tuple[Value, bool]:
    """A matrix with its zeros in the same places, and whether it is transposed."""
    transposed = False
    while value.op is not None:
        op = value.op
        if op.name == "dml.t":
            transposed = not transposed
        elif not (
            op.name in ("dml.abs", "dml.neg", "dml.sign")
            or (op.name == "dml.ne" and _is_zero(op.operands[1]))
        ):
            break
        value = op.operands[0]
    return value, transposed


def _is_zero(value: Value) -> bool:
    return not isinstance(value.type, Matrix) and constant(value) == 0


def _without_quotients(body: Region, products: int, scalars: set[Value]) -> Region:
    """The region with quotients by shifted products as products, which are 0 where their dividend is."""
    mapping: dict[Value, Value] = {}
    made = Region()
    for arg in body.args:
        mapping[arg] = made.add_arg(arg.type)
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
