"""Which inputs of a region over products make its outputs zero.

One input may be enough, as X in `X * log(U %*% t(V))`, or several be needed, as V and W in `V - W * (U %*% t(V))`.

A quotient by a product plus a scalar, as in `X / (U %*% t(V) + eps)`, is taken to be 0 where X is: the product would have to
be -eps exactly to make it NaN. Quotients by a product itself are not, because rows of zeros in its factors are common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sysmlc.ir.core import Builder, Region, Value, clone
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.types import Matrix
from sysmlc.passes.sparse_safety import Abstract, Unknown, outputs_at

T = TypeVar("T")


def drivers_of(body: Region, inputs: Sequence[Value]) -> list[list[frozenset[int]]]:
    """For each output the inputs that make it zero: each that does so alone, else the fewest that do so together.

    The first arguments of the region are cells of products, and are not numbered. Together only matrices of several rows
    and columns count, because vectors are never stored as the sparse matrices that lead a scan.
    """
    products = len(body.args) - len(inputs)
    scalars = {
        arg
        for arg, value in zip(body.args[products:], inputs, strict=True)
        if not isinstance(value.type, Matrix)
    }
    tame = _without_quotients(body, products, scalars)

    def zeros(at: frozenset[int]) -> list[bool]:
        cells: list[Abstract] = [Unknown.CELL] * products
        for i, value in enumerate(inputs):
            unknown = Unknown.CELL if isinstance(value.type, Matrix) else Unknown.SCALAR
            cells.append(0.0 if i in at else unknown)
        return [v == 0.0 for v in outputs_at(tame, cells)]

    matrices = [i for i, value in enumerate(inputs) if isinstance(value.type, Matrix)]
    alone = {i: zeros(frozenset([i])) for i in matrices}
    grids = frozenset(i for i in matrices if is_grid(inputs[i]))
    together = zeros(grids)
    found = []
    for k in range(len(body.terminator.operands)):
        drivers = [frozenset([i]) for i in matrices if alone[i][k]]
        if not drivers and together[k]:
            needed = grids
            for i in sorted(grids):
                if zeros(needed - {i})[k]:
                    needed -= {i}
            drivers = [needed]
        found.append(drivers)
    return found


def common_drivers(outputs: Sequence[Sequence[frozenset[T]]]) -> list[frozenset[T]]:
    """What makes all outputs zero: the inputs that do so alone, else the fewest known to do so together."""
    if not all(outputs):
        return []
    alone = [d for d in outputs[0] if len(d) == 1 and all(d in other for other in outputs[1:])]
    return alone or [frozenset().union(*(drivers[0] for drivers in outputs))]


def is_grid(value: Value) -> bool:
    """Whether the value may be a matrix with several rows and columns."""
    return isinstance(value.type, Matrix) and value.type.rows != 1 and value.type.cols != 1


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
